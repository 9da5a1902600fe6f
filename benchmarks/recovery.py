"""What kills cost on Ray: time until the lost island's epoch is finished after all, work lost, and waiting for commits.

Workers, coordinators, drivers and raylets of real campaigns are struck at every step of the protocol, by SIGKILL and by
SIGSTOP. A kill counts where the process was alive, the campaign had work under way, and work was lost: steps that had begun and
that another process had to begin again, or, of a coordinator that was only resuming, the resume. The study fails where a
victim, step and signal never counts in three attempts, or where a digest is not that of the undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.failpoints import (
    COORDINATOR,
    ENVIRONMENT,
    TABLE,
    VICTIMS,
    WORKER,
    WORKER_POINTS,
    Fault,
    cost,
    diary,
    landed,
    plan,
)
from benchmarks.scaling import waiting_for_commits
from benchmarks.sessions import PACE_S, Strike, is_gone, strike_in_turn
from islands.campaign import Campaign
from islands.runtime import patience
from islands.spec import CampaignSpec

ISLANDS, WORKERS = 3, 2
FLOOR_S, SILENCE_S = 2.0, 10.0  # a step's budget, and a silent coordinator's: 60 s for users, whose steps are longer
SIGNALS = signal.SIGKILL, signal.SIGSTOP
WHOLE = len(TABLE) * len(SIGNALS)
ATTEMPTS = 3
ENDLESS = 100_000  # epochs: drivers and raylets are struck before they are done


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=108, help=f"how many: the table's {WHOLE} at least, the others of workers")


def measure(data: Path, out: Path, kills: int) -> dict[str, Any]:
    """Strikes the whole table, and workers again and again, until as many have counted."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shared = _counted(root / "shared", _faults(WORKER, COORDINATOR) + _again(kills - WHOLE), _on_one_ray)
        others = [victim for victim in VICTIMS if victim not in (WORKER, COORDINATOR)]
        alone = _counted(root / "alone", _faults(*others), _in_sessions)
    return {
        "kills": [_told(strike) for strike in shared[0] + alone[0]],
        "planned": shared[1] + alone[1],
        "islands": ISLANDS,
        "workers": WORKERS,
        "pace_s": PACE_S,
        "floor_s": FLOOR_S,
        "silence_s": SILENCE_S,
        "waiting": _waiting(out),
    }


def _faults(*victims: str) -> list[Fault]:
    """The table's, victim by victim and signal by signal."""
    return [
        Fault(0, *row[:1], 0, number, row[1]) for victim in victims for number in SIGNALS for row in TABLE if row[1] == victim
    ]


def _again(count: int) -> list[Fault]:
    """Further ones: what happens most, a worker that is killed while it computes."""
    return [Fault(0, WORKER_POINTS[number % len(WORKER_POINTS)], 0, signal.SIGKILL, WORKER) for number in range(count)]


def _counted(
    folder: Path, faults: Sequence[Fault], strike: Callable[[Path, list[Fault]], list[Strike]]
) -> tuple[list[Strike], int]:
    """A strike that counts for each fault, and how many were sent out for that."""
    folder.mkdir()
    left, counted, planned = list(faults), [], 0
    for attempt in range(ATTEMPTS):
        numbered = [replace(fault, number=number) for number, fault in enumerate(left)]
        planned += len(numbered)
        found = [one for one in strike(folder / f"attempt-{attempt}", numbered) if one.cost and _was_busy(one)]
        counted += found
        left = [fault for fault in numbered if fault.number not in {one.fault.number for one in found}]
        if not left:
            return counted, planned
        print(f"struck nobody at work, or cost nothing: {', '.join(map(str, left))}", file=sys.stderr, flush=True)
    raise SystemExit(f"cost nothing in {ATTEMPTS} attempts: {', '.join(map(str, left))}")


def _was_busy(strike: Strike) -> bool:
    return bool(strike.struck["busy"]) or strike.fault.point == "resumed"


def _on_one_ray(folder: Path, faults: list[Fault]) -> list[Strike]:
    """Workers and coordinators: a campaign for each victim and signal, on one Ray, whose driver is this process."""
    import ray

    folder.mkdir()
    os.environ[ENVIRONMENT] = str(folder / "faults")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    patience.FLOOR_S, patience.SILENCE_S = FLOOR_S, SILENCE_S
    strikes: list[Strike] = []
    try:
        for victim, number in sorted({(fault.target, fault.signal) for fault in faults}):
            group = [fault for fault in faults if (fault.target, fault.signal) == (victim, number)]
            strikes += _run(folder / f"{victim}-{number}", group)
    finally:
        ray.shutdown()
        del os.environ[ENVIRONMENT]
    return strikes


def _run(folder: Path, faults: list[Fault]) -> list[Strike]:
    """A campaign through these faults, three epochs apart: coordinators that die one after another leave commits between."""
    began, notes = time.monotonic(), Path(os.environ[ENVIRONMENT])
    planned = [replace(fault, epoch=2 + 3 * place) for place, fault in enumerate(faults)]
    campaign = Campaign.create(_spec(3 * len(faults) + 8), folder)
    plan(notes, planned, pace_s=PACE_S)
    report = campaign.run(workers=WORKERS)
    entries = diary(notes)
    kinds = {fault.number: fault for fault in planned}
    strikes = [Strike(kinds[struck["number"]], struck, cost(struck, entries)) for struck in landed(notes)]
    if not report.finished:
        raise SystemExit(f"the campaign stopped at epoch {report.committed} of {report.target}")
    for strike in strikes:
        if strike.fault.signal == signal.SIGKILL and not is_gone(strike.struck["target"]):
            raise SystemExit(f"{strike.fault}: the process lives on")
    _check(campaign)
    seconds = time.monotonic() - began
    print(f"{len(strikes)} x {faults[0].target} {_name(faults[0])}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return strikes


def _in_sessions(folder: Path, faults: list[Fault]) -> list[Strike]:
    """Drivers and raylets: one campaign, through a driver and a Ray for each."""
    folder.mkdir()
    began = time.monotonic()

    def say(fault: Fault) -> None:
        done = f"{fault.number} of {len(faults)} drivers and raylets, {time.monotonic() - began:.0f} s"
        print(f"{done}; next: {fault}", file=sys.stderr, flush=True)

    campaign = Campaign.create(_spec(ENDLESS), folder / "run")
    strikes = strike_in_turn(campaign, folder, faults, say)
    _check(campaign)
    return strikes


def _check(campaign: Campaign) -> None:
    """Raises SystemExit where a campaign is not, epoch for epoch, what nobody disturbed."""
    committed = campaign.status().committed
    undisturbed = Campaign.create(campaign.spec, campaign.path.with_name(f"{campaign.path.name}-undisturbed"))
    undisturbed.run("inline", epochs=committed)
    wrong = [epoch for epoch in range(committed + 1) if campaign.digest(epoch) != undisturbed.digest(epoch)]
    if wrong or campaign.verify():
        raise SystemExit(
            f"{campaign.path.name}: another digest than undisturbed, from epoch {wrong[:1]} on: {campaign.verify()}"
        )


def _name(fault: Fault) -> str:
    return signal.Signals(fault.signal).name


def _told(strike: Strike) -> dict[str, Any]:
    recovered = strike.cost.recovered_s
    return {
        "victim": strike.fault.target,
        "point": strike.fault.point,
        "signal": _name(strike.fault),
        "recovered_s": recovered if math.isfinite(recovered) else None,
        "steps_lost": len(strike.cost.steps),
        "work_lost_s": strike.cost.seconds,
        "resume_lost": strike.cost.resumes,
    }


def _waiting(out: Path) -> dict[str, Any]:
    """What the study of scaling found last, where its figures lie beside these."""
    known = out / "scaling.json"
    waiting: dict[str, Any] = json.loads(known.read_text())["waiting"] if known.exists() else waiting_for_commits()
    return waiting


def _spec(epochs: int) -> CampaignSpec:
    return CampaignSpec(
        seed=3,
        bars={"path": "sample:eurusd"},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": "benchmarks.failpoints:victim"}],
        evolution={"population": 40, "epochs": epochs, "generations_per_epoch": 3},
        archipelago={"islands": ISLANDS},
    )


def table(figures: dict[str, Any]) -> str:
    """A row for each victim and signal."""
    lines = [
        "| struck | signal | times | next epoch of a lost island after | work lost, a kill |",
        "|---|---|---|---|---|",
    ]
    for victim in VICTIMS:
        for name in (number.name for number in SIGNALS):
            kills = [kill for kill in figures["kills"] if (kill["victim"], kill["signal"]) == (victim, name)]
            seconds = sorted(kill["recovered_s"] for kill in kills if kill["recovered_s"] is not None)
            steps = statistics.mean(kill["steps_lost"] for kill in kills)
            work = statistics.median(kill["work_lost_s"] for kill in kills)
            lines.append(
                f"| {victim} | {name} | {len(kills)} | {statistics.median(seconds):.1f} s (at most {seconds[-1]:.1f}) "
                f"| {steps:.1f} steps, {work:.2f} s |"
            )
    machine, waiting = figures["machine"], figures["waiting"]
    points = {(kill["point"], kill["victim"]) for kill in figures["kills"]}
    lines.append("")
    pace, floor, silence = (figures[name] for name in ("pace_s", "floor_s", "silence_s"))
    lines.append(
        f"{len(figures['kills'])} kills that cost something ({figures['planned']} planned): {len(points)} pairs of a step of "
        f"the protocol and a victim, each by both signals; {figures['workers']} workers, {figures['islands']} islands, steps "
        f"of {pace:g} s, {machine['cores']} cores ({machine['cpu']}). A stopped worker was given {floor:g} s here, a stopped "
        f"coordinator {silence:g} s, 60 s by default; who lost its driver or raylet lost its Ray, so the time is that of the "
        "next `islands resume`, Ray's own start included, and a stopped driver was taken over from. All ended in the digest of "
        f"the undisturbed run. Waiting for commits: {100.0 * waiting['share']:.1f} % of the workers' time at "
        f"{waiting['islands']} islands of {waiting['population']:,} with epochs of one second on {waiting['workers']} workers."
    )
    return "\n".join(lines)
