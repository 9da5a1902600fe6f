"""Mutants and the ordinary tests: each mutant is written into a copy of the checkout, and what is no simulation is run there.

What the simulation finds is worth most where no other test sees it. A mutant says which test does (`seen_by`), or none; this
study runs them and holds it against that. `--together` puts all mutants that no test sees, as far as they are of different
lines, into one copy: one run for all of them, which says so much the less as one fault may hide another.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .simulation.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
LEFT_OUT = (".git", ".tox", ".venv", ".*_cache", "__pycache__", "out", "build", "*.egg-info")
"""What a copy of the checkout does without: environments are gigabytes."""
SIMULATED = ("archipelago/test_mutants.py", "archipelago/test_simulation.py")
"""These are not ordinary."""
STAGES = {
    "units": ("archipelago", "runtime/test_worker.py", "runtime/test_patience.py", "runtime/test_apart.py"),
    "campaigns": (
        *("test_campaign.py", "test_retention.py", "test_disk.py", "test_forks.py", "test_failures.py", "test_damage.py"),
        *("test_history.py", "test_openings.py", "test_held_back.py", "test_provenance.py", "test_several_objectives.py"),
        *("test_instruments.py", "test_reproduces.py", "test_own_campaign.py", "evolution/test_lineage.py", "test_examples.py"),
    ),
    "bytes": ("test_every_byte.py",),
    "processes": ("runtime", "desk/test_cli.py", "desk/test_watch.py"),
}
"""Tests that write or read a campaign, the quick ones first; those after the first that fails are not run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="these mutants; by default all")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="of the tests; by default all")
    parser.add_argument("--together", action="store_true", help="those that no test sees, in one copy")


def measure(data: Path, out: Path, only: Sequence[str], stages: Sequence[str], together: bool) -> dict[str, Any]:
    if unknown := set(only) - {mutant.name for mutant in MUTANTS}:
        raise SystemExit(f"no mutant is called {', '.join(sorted(unknown))}; see benchmarks/simulation/mutants.py")
    chosen = [mutant for mutant in MUTANTS if mutant.name in only or not only]
    groups = list(_of_different_lines([m for m in chosen if not m.seen_by])) if together else [[mutant] for mutant in chosen]
    found = []
    for group in groups:
        seen = seen_by(group, stages)
        found.append({"mutants": [mutant.name for mutant in group], "said": group[0].seen_by, "seen_by": seen})
        print(f"{', '.join(mutant.name for mutant in group)}: {seen or 'no test sees it'}", file=sys.stderr, flush=True)
    return {"stages": list(stages), "groups": found}


def faults(figures: dict[str, Any]) -> list[str]:
    """Mutants of which the list says something else than what was found; of one that a stage left out may see, nothing."""
    whole = figures["stages"] == list(STAGES)
    return [
        f"{', '.join(group['mutants'])}: the list says {group['said'] or 'none'}, it was {group['seen_by'] or 'none'}"
        for group in figures["groups"]
        if bool(group["seen_by"]) != bool(group["said"]) and (whole or group["seen_by"])
    ]


def table(figures: dict[str, Any]) -> str:
    rows = [f"| {', '.join(group['mutants'])} | {group['seen_by'] or 'none'} |" for group in figures["groups"]]
    return "\n".join(
        ["| mutant | the test that sees it, of those of " + ", ".join(figures["stages"]) + " |", "|---|---|", *rows]
    )


def seen_by(mutants: Sequence[Mutant], stages: Sequence[str] = tuple(STAGES)) -> str | None:
    """The first ordinary test that fails where these mutants are in the sources; None where all pass.

    Raises:
        SystemExit: the tests could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        for mutant in mutants:
            path = copy / Path(*mutant.module.split(".")).with_suffix(".py")
            path.write_text(mutant.source(path.read_text(encoding="utf-8")), encoding="utf-8")
        for stage in stages:
            if failed := _first_failure(copy, STAGES[stage]):
                return failed
    return None


def _first_failure(copy: Path, tests: Sequence[str]) -> str | None:
    left_out = [f"--ignore=tests/{name}" for name in SIMULATED]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", *left_out, *(f"tests/{name}" for name in tests)]
    ended = subprocess.run(
        command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )
    if ended.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(.+?)(?: - .*)?$", ended.stdout, re.MULTILINE)
    if ended.returncode != 1 or failed is None:
        raise SystemExit(f"the tests could not be run:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return failed[1]


def _of_different_lines(mutants: Sequence[Mutant]) -> Iterator[list[Mutant]]:
    """Groups, as few as can be, in which no two mutants change the same line."""
    left = list(mutants)
    while left:
        group = list({(mutant.module, mutant.line): mutant for mutant in reversed(left)}.values())[::-1]
        yield group
        left = [mutant for mutant in left if mutant not in group]
