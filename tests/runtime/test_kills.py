"""Real kills: SIGKILL and SIGSTOP at each step of the protocol, of workers, coordinator, driver and raylet: one digest.

A kill counts where it was sent to a living process at that very step, with work under way, and work was lost by it; a test
fails where none was. Each step is struck here at a worker and at the coordinator, and every second one at the driver or the
raylet, whose loss takes a whole Ray along; each victim by both signals. `python -m benchmarks recovery` strikes every victim at
every step with both.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import islands as isl
from benchmarks.failpoints import (
    COORDINATOR,
    COORDINATOR_POINTS,
    DRIVER,
    ENVIRONMENT,
    RAYLET,
    TABLE,
    VICTIMS,
    WORKER,
    WORKER_POINTS,
    Cost,
    Fault,
    cost,
    diary,
    landed,
    plan,
    process_state,
)
from benchmarks.sessions import PACE_S, is_gone, resuming, strike_in_turn, wait_until
from islands.campaign import Campaign
from islands.runtime import patience
from islands.runtime.report import RunReport

pytestmark = pytest.mark.slow

ISLANDS, EPOCHS = 3, 38
POINTS = WORKER_POINTS + COORDINATOR_POINTS


def in_turn(points: tuple[str, ...], *victims: str, kills: int = 1) -> list[Fault]:
    """A fault for each point, three epochs apart: victims by turns, each so many times killed and then once stopped."""
    signals = (signal.SIGKILL,) * kills + (signal.SIGSTOP,)
    return [
        Fault(i, point, 2 + 3 * i, signals[i // len(victims) % len(signals)], victims[i % len(victims)])
        for i, point in enumerate(points)
    ]


AT_WORKERS = in_turn(tuple(point for point in POINTS if point != "resumed"), WORKER, kills=2)
AT_COORDINATORS = in_turn(POINTS, COORDINATOR, kills=5)  # who is stopped is waited for
AT_DRIVERS_AND_RAYLETS = in_turn(POINTS[::2], DRIVER, RAYLET)


def spec(epochs: int = EPOCHS) -> isl.CampaignSpec:
    return isl.CampaignSpec(
        seed=3,
        bars={"path": "sample:sp500"},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": "benchmarks.failpoints:victim"}],
        evolution={"population": 20, "epochs": epochs, "generations_per_epoch": 3},
        archipelago={"islands": ISLANDS},
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(spec(), tmp_path_factory.mktemp("reference") / "run")
    campaign.run("inline")
    return campaign


@pytest.fixture
def faults(cluster: None) -> Iterator[Path]:
    """The folder of plan and diary, which the processes of the cluster know."""
    yield Path(os.environ[ENVIRONMENT])
    plan(Path(os.environ[ENVIRONMENT]), [])


def test_the_kills_of_this_file_cover_each_step_and_both_signals_of_each_victim() -> None:
    planned = AT_WORKERS + AT_COORDINATORS + AT_DRIVERS_AND_RAYLETS
    assert len(planned) >= 27
    assert {(fault.point, fault.target) for fault in planned} <= set(TABLE)
    assert len(TABLE) == len(POINTS) * len(VICTIMS) - 1
    for point in POINTS:
        assert COORDINATOR in (struck := {fault.target for fault in planned if fault.point == point})
        assert WORKER in struck or (point, WORKER) not in TABLE
    for victim in VICTIMS:
        assert {fault.signal for fault in planned if fault.target == victim} == {signal.SIGKILL, signal.SIGSTOP}


def same(campaign: Campaign, reference: Campaign) -> None:
    assert [campaign.digest(e) for e in range(EPOCHS + 1)] == [reference.digest(e) for e in range(EPOCHS + 1)]
    assert campaign.champions().equals(reference.champions(), null_equal=True)
    assert campaign.verify() == []


def run(campaign: Campaign, folder: Path, planned: list[Fault]) -> tuple[RunReport, list[Cost]]:
    """A run through these faults: all landed, on somebody at work, and cost something."""
    plan(folder, planned, driver=os.getpid(), pace_s=PACE_S)
    report = campaign.run(workers=2)
    assert report.finished
    entries, sent = diary(folder), landed(folder)
    assert sorted(struck["number"] for struck in sent) == [fault.number for fault in planned], "a fault did not land"
    assert all(struck["busy"] or struck["point"] == "resumed" for struck in sent)
    kinds = {fault.number: fault for fault in planned}
    for struck in sent:
        assert cost(struck, entries), f"nothing was lost by {kinds[struck['number']]}"
    return report, [cost(struck, entries) for struck in sent]


def test_workers_are_struck_at_each_step(
    faults: Path, reference: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the step that it was at, and nothing else."""
    monkeypatch.setattr(patience, "FLOOR_S", 1.5)
    campaign = Campaign.create(spec(), tmp_path / "run")
    report, costs = run(campaign, faults, AT_WORKERS)
    struck = {(*fault["at_work"], fault["target"]) for fault in landed(faults)}
    assert struck <= set(report.lost), "a kill cost no step"
    assert all(len(each.steps) == 1 for each in costs)
    assert all(is_gone(fault["target"]) for fault in landed(faults)), "who was struck is still there"
    assert len(report.coordinators) == 1
    stopped = sum(fault.signal == signal.SIGSTOP for fault in AT_WORKERS)
    assert sum("did not answer within" in note for note in report.notes) >= stopped
    same(campaign, reference)


def test_coordinators_are_struck_at_each_step(
    faults: Path, reference: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs what was not committed; one that was stopped is fenced off, whatever it would still write."""
    monkeypatch.setattr(patience, "SILENCE_S", 8.0)
    campaign = Campaign.create(spec(), tmp_path / "run")
    report, _ = run(campaign, faults, AT_COORDINATORS)
    struck = landed(faults)
    assert len({fault["target"] for fault in struck}) == len(AT_COORDINATORS)
    assert len(set(report.coordinators)) >= 2
    stopped = [fault["target"] for fault in struck if AT_COORDINATORS[fault["number"]].signal == signal.SIGSTOP]
    assert sum("nothing was heard of it for 8 s" in note for note in report.notes) >= 1
    for pid in stopped:
        if process_state(pid) == "T":  # what it wakes up to do is refused
            os.kill(pid, signal.SIGCONT)
    assert all(is_gone(fault["target"]) for fault in struck), "who was struck is still there"
    same(campaign, reference)


def test_drivers_and_raylets_are_struck(reference: Campaign, tmp_path: Path) -> None:
    """The whole of an embedded Ray goes with either; the folder is all that is left, and the next driver goes on. Workers
    whose raylet died, or does not answer, go on for seconds, so this campaign is one that they never finish."""
    campaign = Campaign.create(spec(100_000), tmp_path / "run")
    strikes = strike_in_turn(campaign, tmp_path, AT_DRIVERS_AND_RAYLETS)
    assert [strike.fault for strike in strikes] == AT_DRIVERS_AND_RAYLETS
    for strike in strikes:
        assert strike.struck["busy"] or strike.fault.point == "resumed"
        assert strike.cost, f"nothing was lost by {strike.fault}"
    committed = campaign.status().committed
    undisturbed = Campaign.create(spec(100_000), tmp_path / "undisturbed")
    undisturbed.run("inline", epochs=committed)
    assert [campaign.digest(e) for e in range(committed + 1)] == [undisturbed.digest(e) for e in range(committed + 1)]
    assert undisturbed.digest(EPOCHS) == reference.digest()
    assert campaign.verify() == []


def test_a_driver_that_is_stopped_finds_the_campaign_done(reference: Campaign, tmp_path: Path) -> None:
    """Where nobody takes over, its coordinator goes on: nothing is lost."""
    campaign, folder = Campaign.create(spec(), tmp_path / "run"), tmp_path / "faults"
    with resuming(campaign, folder) as driver:
        plan(folder, [Fault(0, "step scores", 2, signal.SIGSTOP, DRIVER)], driver=driver.pid)
        wait_until(lambda: campaign.status().committed == EPOCHS or driver.poll() is not None, "the last commit")
        (struck,) = landed(folder)
        assert struck["target"] == driver.pid
        assert process_state(driver.pid) == "T"
        driver.send_signal(signal.SIGCONT)
        assert driver.wait(timeout=120) == 0
    same(campaign, reference)
