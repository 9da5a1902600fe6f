"""Campaigns under every failure by the thousand, and the mutants that prove that a defect would be found."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from .simulation.mutants import MUTANTS, found_after
from .simulation.schedule import Outcome, Violation, run

WITHIN = 2_000  # schedules in which a mutant must be found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schedules", type=int, default=20_000, help="how many; 1 replays --seed")
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule; the others follow")
    parser.add_argument("--no-mutants", action="store_true", help="leave the mutants out")


def measure(data: Path, out: Path, schedules: int, seed: int, no_mutants: bool) -> dict[str, Any]:
    whole, refused, began = Outcome(), 0, time.perf_counter()
    for number in range(seed, seed + schedules):
        try:
            outcome = run(number)
        except Violation as violation:
            raise SystemExit(
                f"{violation}\nreplay it: python -m benchmarks simulate --schedules 1 --seed {number}"
            ) from violation
        whole.add(outcome)
        refused += outcome.refused is not None
    seconds = time.perf_counter() - began
    mutants = [] if no_mutants or schedules == 1 else [_found(mutant) for mutant in MUTANTS]
    return {
        "schedules": schedules,
        "seed": seed,
        "per_minute": schedules / seconds * 60.0,
        "refused": refused,
        "landed": dict(sorted(whole.landed.items())),
        "cost": dict(sorted(whole.cost.items())),
        "killed_at": dict(sorted(whole.killed_at.items())),
        "mutants": mutants,
    }


def _found(mutant: Any) -> dict[str, Any]:
    found = found_after(mutant, WITHIN)
    if found is None:
        raise SystemExit(f"the mutant {mutant.name!r} was not found within {WITHIN:,} schedules")
    return {"mutant": mutant.name, "module": mutant.module.removeprefix("islands."), "after": found[0], "by": found[1]}


def table(figures: dict[str, Any]) -> str:
    faults = [
        f"| {name} | {figures['landed'].get(name, 0):,} | {figures['cost'].get(name, 0):,} |"
        for name in sorted(figures["landed"].keys() | figures["cost"].keys())
    ]
    mutants = [f"| {m['mutant']} | {m['module']} | {m['after']:,} |" for m in figures["mutants"]]
    machine = figures["machine"]
    return "\n".join(
        [
            "| fault | times | that cost something |",
            "|---|---|---|",
            *faults,
            "",
            *(["| one changed line | in | found after schedules |", "|---|---|---|", *mutants, ""] if mutants else []),
            f"{figures['schedules']:,} schedules, {figures['per_minute']:,.0f} a minute on one core ({machine['cpu']}). All "
            "ended in the digest of the undisturbed run, but for "
            f"{figures['refused']:,} that were refused in words: no commit of theirs was left whole, or not the manifest or "
            f"the setup. Processes were killed at {len(figures['killed_at'])} different calls.",
        ]
    )
