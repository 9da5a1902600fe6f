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
    whole, refused, began = Outcome(), 0, time.process_time()
    for number in range(seed, seed + schedules):
        try:
            outcome = run(number)
        except Violation as violation:
            raise SystemExit(
                f"{violation}\nreplay it: python -m benchmarks simulate --schedules 1 --seed {number}"
            ) from violation
        whole.add(outcome)
        refused += outcome.refused is not None
    seconds = time.process_time() - began
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
        "unseen": sum(not mutant.seen_by for mutant in MUTANTS),
    }


def _found(mutant: Any) -> dict[str, Any]:
    found = found_after(mutant, WITHIN)
    if found is None:
        raise SystemExit(f"the mutant {mutant.name!r} was not found within {WITHIN:,} schedules")
    return {"mutant": mutant.name, "module": mutant.module.removeprefix("islands."), "after": found[0], "by": found[1]}


ROWS = {
    "a coordinator killed with work under way, or in the middle of a write": ("coordinator killed",),
    "power cut: names lost, contents lost or torn": ("power cut", "torn"),
    "a sync that lied or failed, a full disk": ("sync lied", "sync failed", "disk full"),
    "a bit flipped, an end gone, a file gone": ("rot: flipped", "rot: truncated", "rot: missing"),
    "a coordinator fenced off by another, or by two": ("duel", "stalled"),
    "a second one refused while the first was alive": ("second resume",),
    "a busy worker killed, or given up while it went on": ("worker killed", "worker given up alive"),
    "an idle worker renewed for a step that was lost twice, a run paused for one that was lost five times": (
        "worker renewed",
        "paused",
    ),
    "answers lost, late, twice, out of order, to a coordinator that was dead; calls twice": (
        "answer dropped",
        "answer of a worker given up",
        "answer repeated",
        "answers reordered",
        "answer to a dead coordinator",
        "call repeated",
    ),
    "stopped, extended, resumed with another number of workers": ("stop asked", "extended", "other number of workers"),
    "demes of an epoch let go": ("retention",),
}


def table(figures: dict[str, Any]) -> str:
    """What cost something, in a few rows; the JSON has each kind of fault, each call and each mutant."""
    rows = [f"| {words} | {sum(figures['cost'].get(kind, 0) for kind in kinds):,} |" for words, kinds in ROWS.items()]
    words = (
        f"{figures['schedules']:,} schedules, {figures['per_minute']:,.0f} a minute of one core "
        f"({figures['machine']['cpu']}). All ended in the digest of the undisturbed run, but for {figures['refused']:,} that "
        "were refused in words: no commit of theirs was left whole, or of manifest or setup neither the file nor its copy. "
        f"Processes were killed at {len(figures['killed_at'])} different calls."
    )
    after = sorted(mutant["after"] for mutant in figures["mutants"])
    if after:
        words += (
            f" {len(after)} mutants of one changed line were found after {after[0]:,} to {after[-1]:,} schedules, half of them "
            f"within {after[len(after) // 2]:,}; {figures['unseen']} of them no other test was seen to find."
        )
    return "\n".join(["| what happened, and cost something | times |", "|---|---|", *rows, "", words])
