"""The kernels' cache on disk: an edit is seen, a second process compiles nothing, a torn file costs a compilation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from islands.kernels import indicators, loops, signals, trend

ROOT = Path(__file__).parents[2]

# Runs one kernel of its own file and one that is made of functions of several files; prints values and cache counters.
PROBE = """
import json, numpy as np
from islands.kernels import compile, indicators, loops, trend
close = np.array([1.0, 2.0, 4.0, 3.0, 1.0, 1.0])
close.flags.writeable = False
targets = np.empty(6)
trend.ema_crossover.positions((close,), np.array([1.0, 3.0, 0.0, 2.0]), targets)
dispatchers = [loops.ema, trend.ema_crossover.positions]
ema = indicators.ema(close, 3).tolist()
print(json.dumps({
    "folder": str(compile.cache_folder()),
    "ema": ema,
    "targets": targets.tolist(),
    "hits": sum(sum(d.stats.cache_hits.values()) for d in dispatchers),
    "misses": sum(sum(d.stats.cache_misses.values()) for d in dispatchers),
}))
"""
EMA = [1.0, 1.5, 2.75, 2.875, 1.9375, 1.46875]
TARGETS = [0.0, 0.0, 1.0, 1.0, -1.0, -1.0]

pytestmark = pytest.mark.slow


class Checkout:
    """A copy of the sources, with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in ("kernels", "islands"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))

    def probe(self, **environment: str) -> dict:
        env = dict(os.environ, ISLANDS_CACHE_DIR=str(self.root / "cache")) | environment
        answer = subprocess.run(
            [sys.executable, "-c", PROBE], cwd=self.root, env=env, capture_output=True, text=True, timeout=300
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / "kernels" / file
        source = path.read_text()
        assert source.count(old) == 1
        path.write_text(source.replace(old, new))

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file in the cache, with its size and the time it was written."""
        found = [path for path in (self.root / "cache").rglob("*") if path.is_file()]
        return {str(p.relative_to(self.root)): (p.stat().st_size, p.stat().st_mtime_ns) for p in found}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Checkout]:
    """Makes copies of a checkout whose cache is already filled."""
    first = Checkout(tmp_path_factory.mktemp("first"))
    answer = first.probe()
    assert (answer["ema"], answer["targets"]) == (EMA, TARGETS)
    assert (answer["hits"], answer["misses"]) == (0, 2)
    assert first.files()

    def copy() -> Checkout:
        folder = tmp_path_factory.mktemp("copy")
        shutil.copytree(first.root, folder, dirs_exist_ok=True)
        checkout = Checkout.__new__(Checkout)
        checkout.root = folder
        return checkout

    return copy


def test_second_process_compiles_nothing_and_writes_nothing(compiled: Callable[[], Checkout]) -> None:
    checkout = compiled()
    before = checkout.files()
    answer = checkout.probe()
    assert (answer["ema"], answer["targets"]) == (EMA, TARGETS)
    assert (answer["hits"], answer["misses"]) == (2, 0)
    assert checkout.files() == before
    assert Path(answer["folder"]).parent == checkout.root / "cache"
    assert sys.implementation.cache_tag in Path(answer["folder"]).name  # machine code is made for one Python


def test_edit_of_a_function_is_seen_by_kernels_of_other_files(compiled: Callable[[], Checkout]) -> None:
    checkout = compiled()
    before = checkout.probe()
    checkout.edit(
        "steps.py",
        "return fma(alpha, value - previous, previous)",
        "return fma(alpha, previous - value, previous)",
    )
    checkout.edit("steps.py", "return fma(previous, 1.0 - alpha, value)", "return fma(previous, 1.0 - alpha, -value)")
    after = checkout.probe()
    assert after["ema"][:2] == [1.0, 0.5]
    assert after["targets"][2:4] == [-1.0, -1.0]
    assert after["folder"] != before["folder"]
    assert (after["hits"], after["misses"]) == (0, 2)


def test_undone_edit_finds_the_old_machine_code(compiled: Callable[[], Checkout]) -> None:
    checkout = compiled()
    checkout.edit("pnl.py", '"""The account: what', '"""The ledger: what')
    edited = checkout.probe()
    checkout.edit("pnl.py", '"""The ledger: what', '"""The account: what')
    again = checkout.probe()
    assert edited["misses"] == 2
    assert again["hits"] == 2


@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("left", [0, 100])
def test_torn_cache_file_costs_a_compilation_not_a_failure(compiled: Callable[[], Checkout], pattern: str, left: int) -> None:
    checkout = compiled()
    torn = list((checkout.root / "cache").rglob(pattern))
    assert len(torn) == 2
    for path in torn:
        path.write_bytes(path.read_bytes()[:left])
    answer = checkout.probe()
    assert (answer["ema"], answer["targets"]) == (EMA, TARGETS)
    assert answer["hits"] == 0
    mended = checkout.probe()
    assert (mended["hits"], mended["misses"]) == (2, 0)


def test_folder_that_cannot_be_written_gives_way_to_the_next(compiled: Callable[[], Checkout]) -> None:
    checkout = compiled()
    blocked = checkout.root / "a file"
    blocked.write_text("no folder")
    answer = checkout.probe(ISLANDS_CACHE_DIR=str(blocked / "cache"), XDG_CACHE_HOME=str(checkout.root / "xdg"))
    assert Path(answer["folder"]).parent == checkout.root / "xdg" / "strategy-islands"
    answer = checkout.probe(
        ISLANDS_CACHE_DIR=str(blocked), XDG_CACHE_HOME=str(blocked), HOME=str(blocked), TMPDIR=str(checkout.root)
    )
    assert Path(answer["folder"]).parent == checkout.root
    assert answer["targets"] == TARGETS


def test_read_only_and_writeable_arrays_share_one_specialisation() -> None:
    close = np.random.default_rng(0).uniform(1.0, 2.0, 50)
    fixed = close.copy()
    fixed.flags.writeable = False
    for function, dispatcher in ((indicators.ema, loops.ema), (indicators.sma, loops.sma)):
        for series in (close, fixed, close[::2], close.astype(np.float32), close.tolist()):
            function(series, 5)
        assert len(dispatcher.signatures) == 1


def test_kernels_of_two_signals_have_names_of_their_own() -> None:
    names = {signal.positions._cache._name for signal in (trend.ema_crossover, trend.sma_trend, signals.given)}
    assert names == {"positions-ema_crossover", "positions-sma_trend", "positions-given"}
