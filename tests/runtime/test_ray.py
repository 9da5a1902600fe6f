"""The campaign on Ray after losses that really happened: one digest. For any number of workers: test_one_digest.py."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

import islands as isl
from islands.campaign import Campaign
from islands.runtime.report import Progress, RunReport

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

ISLANDS, EPOCHS = 4, 5


def spec(delay: int = 1) -> isl.CampaignSpec:
    """Epochs of some tenths of a second: long enough to be killed in the middle."""
    return isl.CampaignSpec(
        seed=3,
        bars={"path": "sample:eurusd"},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": name} for name in isl.families()[:6]],
        limits={"min_trades": 10},
        evolution={"population": 150, "epochs": EPOCHS, "generations_per_epoch": 15},
        archipelago={"islands": ISLANDS},
        migration={"delay": delay},
    )


ALL_STEPS = {(island, epoch) for island in range(ISLANDS) for epoch in range(1, EPOCHS + 1)}


def computed(report: RunReport) -> Counter[tuple[int, int]]:
    return Counter((step.island, step.epoch) for step in report.steps)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(spec(), tmp_path_factory.mktemp("reference") / "run")
    campaign.run("inline")
    return campaign


def test_a_killed_island_actor_costs_its_epoch_and_no_bit_at_delay_2(tmp_path: Path) -> None:
    """At delay 1: test_one_digest.py."""
    whole = Campaign.create(spec(delay=2), tmp_path / "whole")
    whole.run("inline")
    campaign = Campaign.create(spec(delay=2), tmp_path / "killed")
    killed: list[int] = []

    def kill_a_busy_worker(progress: Progress) -> None:
        if progress.running and progress.committed >= 1 and not killed:
            killed.append(sorted(progress.running)[0])
            os.kill(killed[0], signal.SIGKILL)

    report = campaign.run(workers=2, on_progress=kill_a_busy_worker)
    assert killed, "no live worker was killed"
    assert [pid for _, _, pid in report.lost] == killed, "the kill cost no step"
    assert campaign.digest() == whole.digest()
    assert killed[0] in {step.pid for step in report.steps}, "the killed worker had computed before"
    # the lost step was computed by another process, once, and nothing else was computed twice
    assert computed(report) == Counter(ALL_STEPS)
    ((island, epoch, _),) = report.lost
    assert {s.pid for s in report.steps if (s.island, s.epoch) == (island, epoch)} != {killed[0]}


def test_a_killed_coordinator_costs_what_was_not_committed(reference: Campaign, tmp_path: Path) -> None:
    campaign = Campaign.create(spec(), tmp_path / "run")
    killed: list[int] = []
    committed_before: list[int] = []

    def kill_the_coordinator(progress: Progress) -> None:
        if progress.committed >= 2 and progress.running and not killed:
            killed.append(progress.coordinator_pid)
            committed_before.append(progress.committed)
            os.kill(progress.coordinator_pid, signal.SIGKILL)

    report = campaign.run(workers=2, on_progress=kill_the_coordinator)
    assert killed, "no live coordinator was killed"
    assert report.coordinators[0] == killed[0]
    assert len(report.coordinators) == 2
    assert report.lost, "the kill cost no step"
    assert report.finished
    assert campaign.digest() == reference.digest()
    assert set(computed(report)) == ALL_STEPS
    again = {step for step, times in computed(report).items() if times > 1}
    assert not {step for step in again if step[1] <= committed_before[0]}, "a committed epoch was computed again"
    assert campaign.verify() == []


def test_a_step_that_raises_stops_the_campaign_at_its_last_commit(tmp_path: Path) -> None:
    values = spec().model_dump(mode="json")
    # A worker's two islands make some 2,250 calls an epoch. Round the ring, epoch 4 of one island asks for epoch 1 of all.
    values["evolution"]["mutation"] = {"operator": "own_operators:broken_after", "rate": 0.5, "calls": 7000}
    campaign = Campaign.create(isl.CampaignSpec(**values), tmp_path / "run")
    with pytest.raises(isl.errors.StepFailed, match="RuntimeError: broken on purpose") as failed:
        campaign.run(workers=2)
    committed = campaign.status().committed
    report = failed.value.report
    assert report is not None
    assert (report.started_at, report.committed) == (0, committed)
    assert len(report.steps) >= ISLANDS * committed
    assert 0 < committed < EPOCHS
    assert campaign.status().state == "stopped"
    assert campaign.verify() == []
