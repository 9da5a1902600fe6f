"""Real kills: SIGKILL and SIGSTOP at each point of the protocol, of workers, coordinator, driver and raylet: one digest.

A kill counts where it was sent to a living process at that very point and work was lost by it; a test fails where none was.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ENVIRONMENT as OURS

import islands as isl
from benchmarks.failpoints import COORDINATOR_POINTS, ENVIRONMENT, WORKER_POINTS, Fault, diary, landed, plan
from islands.campaign import Campaign
from islands.runtime import patience
from islands.runtime.report import RunReport

pytestmark = pytest.mark.slow

ISLANDS, EPOCHS = 3, 9
STOP = signal.SIGSTOP
SOON = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "4", "RAY_health_check_timeout_ms": "2000"}
"""Has Ray give up a node that does not answer after some seconds, in place of a minute."""


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


def is_there(pid: int) -> bool:
    """Whether a process runs, or is stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_gone(pid: int, within_s: float = 60.0) -> bool:
    """Whether a process has ended, or does soon: a worker that was given up is killed a while after the run went on."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ends = select.poll()
        ends.register(process, select.POLLIN)  # also of one that nobody has waited for yet
        return bool(ends.poll(within_s * 1000))
    finally:
        os.close(process)


def same(campaign: Campaign, reference: Campaign) -> None:
    assert [campaign.digest(e) for e in range(EPOCHS + 1)] == [reference.digest(e) for e in range(EPOCHS + 1)]
    assert campaign.champions().equals(reference.champions(), null_equal=True)
    assert campaign.verify() == []


def run(campaign: Campaign, folder: Path, planned: list[Fault], workers: int = 2) -> RunReport:
    """A run through these faults, all of which landed."""
    plan(folder, planned, driver=os.getpid())
    report = campaign.run(workers=workers)
    assert report.finished
    sent = landed(folder)
    assert sorted(fault["number"] for fault in sent) == [fault.number for fault in planned], "a fault did not land"
    assert all(is_gone(fault["target"]) for fault in sent), "who was struck is still there"
    return report


def resuming(campaign: Campaign, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """The command line at work on a campaign, on a Ray of its own."""
    folder.mkdir()
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "islands", "resume", str(campaign.path), "--workers", "2"],
        env={**OURS, **environment, "PYTHONPATH": path, ENVIRONMENT: str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_workers_killed_and_stopped_at_each_point(
    faults: Path, reference: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the step that it was at, and nothing else."""
    monkeypatch.setattr(patience, "FLOOR_S", 2.0)
    campaign = Campaign.create(spec(), tmp_path / "run")
    points = [(point, number) for number in (signal.SIGKILL, STOP) for point in WORKER_POINTS]
    planned = [Fault(i, point, epoch=2 + i, signal=number) for i, (point, number) in enumerate(points)]
    report = run(campaign, faults, planned)
    struck = {(fault["island"], fault["epoch"], fault["target"]) for fault in landed(faults)}
    assert struck <= set(report.lost), "a kill cost no step"
    assert len(report.coordinators) == 1
    assert sum("did not answer within" in note for note in report.notes) >= 3
    same(campaign, reference)


@pytest.mark.parametrize("points", [COORDINATOR_POINTS[:4], COORDINATOR_POINTS[4:]], ids=["computing", "committing"])
def test_coordinators_killed_at_each_point(points: tuple[str, ...], faults: Path, reference: Campaign, tmp_path: Path) -> None:
    """Each costs what was not committed: steps that had been sent are sent again by the next one."""
    campaign = Campaign.create(spec(), tmp_path / "run")
    planned = [Fault(i, point, epoch=2 + 2 * i) for i, point in enumerate(points)]
    report = run(campaign, faults, planned, workers=1)  # each next coordinator starts its own
    dead = [fault["pid"] for fault in landed(faults)]
    assert report.coordinators[:-1] == dead or set(dead) <= {entry["pid"] for entry in diary(faults)} - {os.getpid()}
    assert len(dead) == len(points)
    sent = [(entry["island"], entry["epoch"], entry["pid"]) for entry in diary(faults) if entry["what"] == "sent"]
    for fault in landed(faults):
        before = {(i, e) for i, e, pid in sent if pid == fault["pid"]}
        after = {(i, e) for i, e, pid in sent if pid != fault["pid"]}
        assert before & after or fault["point"] == "resumed", f"nothing was lost at {fault['point']}"
    same(campaign, reference)


def test_a_coordinator_that_is_stopped_is_replaced(
    faults: Path, reference: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fenced off, whatever it would still write."""
    monkeypatch.setattr(patience, "SILENCE_S", 4.0)
    campaign = Campaign.create(spec(), tmp_path / "run")
    plan(faults, [Fault(0, "before the entry", 3, STOP)])
    report = campaign.run(workers=2)
    (fault,) = landed(faults)
    assert report.finished
    assert any("nothing was heard of it for 4 s" in note for note in report.notes)
    assert len(report.coordinators) == 2
    if is_there(fault["target"]):  # what it wakes up to do is refused
        os.kill(fault["target"], signal.SIGCONT)
    same(campaign, reference)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(0, "step scores", 3, target="driver"),
        Fault(0, "before the entry", 3, target="driver"),
        Fault(0, "step scores", 3, target="raylet"),
        Fault(0, "before the segment", 3, target="raylet"),
        Fault(0, "step scores", 3, STOP, target="raylet"),
    ],
    ids=lambda fault: f"{fault.target} {signal.Signals(fault.signal).name} at {fault.point}",
)
def test_a_run_that_lost_its_driver_or_raylet_is_resumed(fault: Fault, reference: Campaign, tmp_path: Path) -> None:
    """The whole of an embedded Ray goes with either; the folder is all that is left. Workers whose raylet died, or
    does not answer, go on for seconds, so that campaign is one that they never finish."""
    epochs = 100_000 if fault.target == "raylet" else EPOCHS
    campaign = Campaign.create(spec(epochs), tmp_path / "run")
    folder = tmp_path / "faults"
    with resuming(campaign, folder, **(SOON if fault.signal == STOP else {})) as driver:
        plan(folder, [fault], driver=driver.pid)
        code = driver.wait(timeout=120)
    (struck,) = landed(folder)
    assert struck["target"] == (driver.pid if fault.target == "driver" else struck["target"])
    assert code != 0
    assert is_gone(struck["target"])
    committed = campaign.status().committed
    assert committed < epochs, "nothing was lost"
    left = {entry["pid"] for entry in diary(folder)} - {os.getpid()}
    assert all(is_gone(pid) for pid in left), "what was left of the embedded Ray did not end by itself"
    committed = campaign.status().committed
    report = Campaign.open(campaign.path).run("inline", epochs=max(EPOCHS - committed, 1))
    assert report.started_at >= committed
    assert [campaign.digest(e) for e in range(EPOCHS + 1)] == [reference.digest(e) for e in range(EPOCHS + 1)]
    assert campaign.verify() == []


def test_a_driver_that_is_stopped_finds_the_campaign_done(reference: Campaign, tmp_path: Path) -> None:
    campaign = Campaign.create(spec(), tmp_path / "run")
    folder = tmp_path / "faults"
    with resuming(campaign, folder) as driver:
        plan(folder, [Fault(0, "step scores", 2, STOP, target="driver")], driver=driver.pid)
        while campaign.status().committed < EPOCHS and driver.poll() is None:
            time.sleep(0.2)
        (struck,) = landed(folder)
        assert struck["target"] == driver.pid
        assert Path(f"/proc/{driver.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        driver.send_signal(signal.SIGCONT)
        assert driver.wait(timeout=120) == 0
    same(campaign, reference)
