"""A user's own family in other processes: compiled once, and never stale."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from worlds import in_another_process

pytestmark = pytest.mark.slow

RULES = """
import islands as isl
import helpers
from helpers import stretched

LEAST = 0.25

def step(genes, state, t, bars):
    "A share of the close."
    return state, LEAST + stretched(bars.close[t]) + helpers.OFFSET

share = isl.define_family("share", genes=[isl.Integer("n", 1, 9, 3)], step=step, warmup=0)
"""
HELPERS = """
OFFSET = 0.0

def stretched(x):
    return scaled(x) / 2.0

def scaled(x):
    return x / 8.0
"""

# Positions and metrics of three bars, how often compiled code was found, and how often it was not.
PROBE = """
import json, numpy as np
import islands as isl
from islands.market.tape import Tape
from islands.strategies import gate
trials, run = [], gate._Trial.run
gate._Trial.run = lambda trial: (trials.append(1), run(trial))[1]
close = np.array([1.0, 2.0, 4.0])
bars = isl.Bars("three", Tape(np.stack([np.arange(3) * 1e6, close, close, close, close, np.ones(3)])))
strategy = isl.Strategy("rules:share")
targets = strategy.positions(bars).tolist()
value = isl.evaluate(bars, [strategy], periods_per_year=252)["total_return"][0]
kernels = [strategy.family.signal.positions, strategy.family.signal.alone]
print(json.dumps({
    "targets": targets,
    "value": value,
    "hits": sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels),
    "misses": sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels),
    "trials": len(trials),
}))
"""
TARGETS = [0.25 + 1 / 16, 0.25 + 2 / 16, 0.25 + 4 / 16]


class Desk:
    """A folder with the modules of a user, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("rules.py", RULES)
        self.write("helpers.py", HELPERS)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1
        self.write(name, text.replace(old, new))

    def probe(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            in_another_process(
                f"import sys; sys.path.insert(0, {str(self.folder)!r})\n" + PROBE,
                ISLANDS_CACHE_DIR=str(self.folder / "cache"),
                PYTHONDONTWRITEBYTECODE="1",  # an edit within a second may leave a size and a time unchanged
            )
        )
        return found

    def files(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (self.folder / "cache").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, dict[str, Any]]:
    """A desk whose cache was empty, and what its first process found."""
    desk = Desk(tmp_path_factory.mktemp("compiled"))
    return desk, desk.probe()


@pytest.fixture
def desk(compiled: tuple[Desk, dict[str, Any]], tmp_path: Path) -> Desk:
    """Another desk, with a copy of that cache."""
    shutil.copytree(compiled[0].folder / "cache", tmp_path / "cache")
    return Desk(tmp_path)


COMPILED = {
    *("positions-rules-share", "alone-rules-share"),  # the family's
    *("open", "pack", "orders-plain", "finish-plain", "of_record", "held_sums"),  # of the account
    *("extremes-of-ends", "extremes-of-blocks", "widest_gap", "eras", "moments_of_steps"),  # of what it looks up on the tape
    *("mode", "set-mode"),  # of the processor's denormals
}


def test_second_process_compiles_nothing_tries_nothing_and_writes_nothing(compiled: tuple[Desk, dict[str, Any]]) -> None:
    desk, first = compiled
    assert (first["targets"], first["hits"], first["misses"], first["trials"]) == (TARGETS, 0, 2, 1)
    before = desk.files()
    indices = [Path(path).stem for path in before if path.endswith(".nbi")]
    assert sorted(re.sub(r"(-1)?-[0-9a-f]{12,}(-1)?$", "", name) for name in indices) == sorted(COMPILED)
    second = desk.probe()
    assert (second["targets"], second["value"]) == (first["targets"], first["value"])
    assert (second["hits"], second["misses"], second["trials"]) == (2, 0, 0)
    assert desk.files() == before


EDITS = {
    "the step": ("rules.py", "LEAST + ", "2.0 * LEAST + ", [0.25 + value for value in TARGETS]),
    "a constant": ("rules.py", "LEAST = 0.25", "LEAST = 0.5", [0.25 + value for value in TARGETS]),
    "a constant of another module": ("helpers.py", "OFFSET = 0.0", "OFFSET = 0.25", [0.25 + value for value in TARGETS]),
    "a helper of another module": ("helpers.py", "/ 2.0", "/ 4.0", [0.25 + (value - 0.25) / 2 for value in TARGETS]),
    "a helper's helper": ("helpers.py", "/ 8.0", "/ 16.0", [0.25 + (value - 0.25) / 2 for value in TARGETS]),
}


@pytest.mark.parametrize("name", list(EDITS))
def test_an_edit_is_seen_and_undone_finds_the_old_code(name: str, compiled: tuple[Desk, dict[str, Any]], desk: Desk) -> None:
    before = compiled[1]
    file, old, new, targets = EDITS[name]
    desk.edit(file, old, new)
    after = desk.probe()
    assert after["targets"] == targets
    assert after["value"] != before["value"]
    assert (after["hits"], after["misses"]) == (0, 2)
    desk.edit(file, new, old)
    again = desk.probe()
    assert (again["targets"], again["value"], again["hits"]) == (before["targets"], before["value"], 2)


def test_a_remark_compiles_nothing(desk: Desk) -> None:
    desk.edit("rules.py", "LEAST = 0.25", "\n# a remark\nLEAST = 0.25")
    desk.edit("helpers.py", "    return scaled(x) / 2.0", "    # another\n\n    return scaled(x) / 2.0")
    assert desk.probe()["hits"] == 2


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_digest_is_the_same_in_every_process(hash_seed: str) -> None:
    import own_families

    code = "import own_families as o; print(o.crossover.code, o.reversal.code)"
    assert in_another_process(code, PYTHONHASHSEED=hash_seed).split() == [
        own_families.crossover.code,
        own_families.reversal.code,
    ]
