"""What kills cost on Ray: time until the lost island's epoch is finished after all, work lost, and waiting for commits.

Workers and coordinators of real campaigns are killed (SIGKILL) and workers stopped (SIGSTOP) at exact points of the
protocol; a kill counts where a living process was struck at that point, and the study fails where a quarter struck nobody, or
where the digest is not that of the undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.failpoints import COORDINATOR_POINTS, ENVIRONMENT, WORKER_POINTS, Fault, diary, landed, plan
from benchmarks.scaling import waiting_for_commits
from islands.campaign import Campaign
from islands.runtime import patience
from islands.spec import CampaignSpec

ISLANDS, WORKERS, FAULTS_A_RUN = 4, 2, 12
FLOOR_S = 2.0  # the budget of a step: 60 s for users, whose steps are longer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=108, help="how many faults")


def measure(data: Path, out: Path, kills: int) -> dict[str, Any]:
    """Runs campaigns until as many faults have landed."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ[ENVIRONMENT] = f"{folder}/faults"
        reference = Campaign.create(_spec(), Path(folder) / "reference")
        reference.run("inline")
        import ray

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(address="local", num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        patience.FLOOR_S = FLOOR_S
        planned = 0
        while len(found) < kills:
            faults = _faults(planned, min(FAULTS_A_RUN, kills - len(found)))
            planned += len(faults)
            found += _run(Path(folder), reference, faults)
            if planned - len(found) > max(2, planned // 4):
                raise SystemExit(f"{planned - len(found)} of {planned} kills struck nobody")
        ray.shutdown()
        del os.environ[ENVIRONMENT]
    return {
        "kills": found,
        "planned": planned,
        "islands": ISLANDS,
        "workers": WORKERS,
        "floor_s": FLOOR_S,
        "waiting": _waiting(out),
    }


def _waiting(out: Path) -> dict[str, Any]:
    """What the study of scaling found last, where its figures lie beside these."""
    known = out / "scaling.json"
    waiting: dict[str, Any] = json.loads(known.read_text())["waiting"] if known.exists() else waiting_for_commits()
    return waiting


def _spec() -> CampaignSpec:
    return CampaignSpec(
        seed=3,
        bars={"path": "sample:eurusd"},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": "benchmarks.failpoints:victim"}],
        evolution={"population": 100, "epochs": FAULTS_A_RUN + 4, "generations_per_epoch": 10},
        archipelago={"islands": ISLANDS},
    )


def _faults(start: int, count: int) -> list[Fault]:
    """The next faults, an epoch each: the points in turn, every fifth one of a worker a SIGSTOP."""
    points = WORKER_POINTS * 2 + COORDINATOR_POINTS
    faults = []
    for number in range(start, start + count):
        point = points[number % len(points)]
        stops = point in WORKER_POINTS and number % 5 == 4
        faults.append(Fault(number, point, 2 + number - start, signal.SIGSTOP if stops else signal.SIGKILL))
    return faults


def _run(folder: Path, reference: Campaign, planned: list[Fault]) -> list[dict[str, Any]]:
    """What those cost that landed: a process may have been given up by the others, and end, before it is struck."""
    campaign = Campaign.create(_spec(), folder / f"run-{planned[0].number}")
    notes = Path(os.environ[ENVIRONMENT])
    plan(notes, planned)
    report = campaign.run(workers=WORKERS)
    sent, entries = landed(notes), diary(notes)
    if campaign.digest() != reference.digest() or campaign.verify() or not report.finished:
        raise SystemExit(f"the campaign is wrong after {[fault.point for fault in planned]}")
    kinds = {fault.number: fault for fault in planned}
    return [_cost(fault, kinds[fault["number"]], entries) for fault in sent]


def _cost(struck: dict[str, Any], fault: Fault, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds from the kill until everything is finished that was under way, and the seconds of work that was lost."""
    at = struck["at"]
    before = [entry for entry in entries if entry["at"] <= at]
    done = {(e["island"], e["epoch"]) for e in before if e["what"] == "done"}
    sent = {(e["island"], e["epoch"]): e["at"] for e in before if e["what"] == "sent"}
    if fault.point in WORKER_POINTS:
        lost = {(struck["island"], struck["epoch"])}
    else:
        committed = max((e["epoch"] for e in before if e["what"] == "committed"), default=0)
        lost = {step for step in sent if step[1] > committed}
    again = {}
    for entry in entries:
        if entry["what"] == "done" and entry["at"] > at:
            again.setdefault((entry["island"], entry["epoch"]), entry["at"])
    took = {(e["island"], e["epoch"]): e["seconds"] for e in before if e["what"] == "done"}
    work = [took.get(step, at - sent[step]) for step in lost if step in sent]
    first = min((again[step] for step in lost if step in again), default=at)
    return {
        "point": fault.point,
        "signal": signal.Signals(fault.signal).name,
        "recovered_s": first - at,
        "steps_lost": len(lost),
        "of_them_done": len(lost & done),
        "work_lost_s": sum(work),
    }


def table(figures: dict[str, Any]) -> str:
    """A row for each kind of kill."""
    lines = ["| struck | times | next epoch of a lost island after | work lost, a kill |", "|---|---|---|---|"]
    rows = {
        "a worker, SIGKILL": [k for k in figures["kills"] if k["point"] in WORKER_POINTS and k["signal"] == "SIGKILL"],
        "a worker, SIGSTOP": [k for k in figures["kills"] if k["signal"] == "SIGSTOP"],
        "the coordinator, SIGKILL": [k for k in figures["kills"] if k["point"] in COORDINATOR_POINTS],
    }
    for name, kills in rows.items():
        if kills:
            seconds = sorted(kill["recovered_s"] for kill in kills)
            steps = statistics.mean(kill["steps_lost"] for kill in kills)
            work = statistics.median(kill["work_lost_s"] for kill in kills)
            lines.append(
                f"| {name} | {len(kills)} | {statistics.median(seconds):.1f} s (at most {seconds[-1]:.1f}) "
                f"| {steps:.1f} steps, {work:.2f} s |"
            )
    points, machine, waiting = Counter(kill["point"] for kill in figures["kills"]), figures["machine"], figures["waiting"]
    lines.append("")
    lines.append(
        f"{len(figures['kills'])} kills ({figures['planned']} planned) at {len(points)} points of the protocol, "
        f"{figures['workers']} workers, {figures['islands']} islands, {machine['cores']} cores ({machine['cpu']}); "
        f"a stopped worker was given "
        f"{figures['floor_s']:g} s here, 60 s by default. All ended in the digest of the undisturbed run. Waiting for commits: "
        f"{100.0 * waiting['share']:.1f} % of the workers' time at {waiting['islands']} islands of "
        f"{waiting['population']:,} with epochs of one second on {waiting['workers']} workers."
    )
    return "\n".join(lines)
