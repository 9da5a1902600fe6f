"""What is made of the bars alone is kept: no figure shows it, the memory is bounded, and it goes with its market."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import numpy as np
import pytest
from islands.kernels import batch, kept
from islands.kernels.overlays import OVERLAYS
from ledger import funded, random_funding, random_prices, with_wicks

import islands as isl
from islands.market.bars import Bars
from islands.market.tape import Tape

SERIES = ("timestamps", "open", "high", "low", "close", "volume", "funding_rate")


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    forget()


def forget() -> None:
    while kept._entries:
        kept._entries.popitem()


def some_bars(seed: int = 5, bars: int = 2_200) -> Bars:
    made = with_wicks(*random_prices(seed, bars, "stalls"), seed)
    return funded(made, random_funding(seed, bars, "eight"))


def under_overlays(count: int) -> np.ndarray:
    """Each kind of overlay that reads a table of its own."""
    rows = np.zeros((count, len(OVERLAYS)))
    for name, values in {
        "stop_loss": [0.0, 0.01],
        "atr_take_profit": [2.0, 0.0, 3.0],
        "atr_period": [5.0, 14.0],
        "target_volatility": [0.0, 0.0, 0.3],
        "volatility_bars": [20.0, 50.0],
    }.items():
        rows[:, OVERLAYS.index(name)] = np.resize(values, count)
    return rows


@pytest.mark.parametrize("family", isl.families())
def test_figures_are_the_same_with_and_without_what_was_kept(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    """First call, second call, in pieces, and where the room is too small for more than one table: bit for bit those of
    arrays for which nothing is kept."""
    tape, signal = some_bars().tape, isl.family(family).signal
    arrays = SimpleNamespace(**{name: getattr(tape, name) for name in SERIES})
    genomes = isl.family(family).space().founders(np.random.default_rng(1), 7)
    terms = batch.Terms(5e-4, 1e-4, 100, 1e4, 8766.0, borrow=0.02)
    plain = batch.Terms(5e-4, 1e-4, 100, 1e4, 8766.0)

    def figures(market: object, count: int) -> list[bytes]:
        few = genomes[:count]
        under = batch.population_metrics(signal, market, few, terms, under_overlays(count))
        return [batch.population_metrics(signal, market, few, plain).tobytes(), under.tobytes()]

    for piece, room in ((batch.PIECE, kept.ROOM), (256, kept.ROOM), (256, 400_000)):
        monkeypatch.setattr(batch, "PIECE", piece)
        monkeypatch.setattr(kept, "ROOM", room)
        forget()
        expected = [figures(arrays, count) for count in (7, 2)]
        assert kept.kept_bytes() == 0
        assert [figures(tape, count) for count in (7, 2, 7)] == [*expected, expected[0]]
        assert kept.kept_bytes() <= room
        assert room < 10**6 or kept.kept_bytes() > 0


def test_tables_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, made = some_bars().tape, []
    for _ in range(3):
        assert kept.once(tape, "a", lambda: made.append(1) or np.zeros(5)).nbytes == 40
    assert made == [1]
    assert kept.once(tape, "b", lambda: (np.zeros(2), (np.zeros(3),)))[0].nbytes == 16
    assert kept.once(some_bars().tape, "a", lambda: np.ones(5))[0] == 1.0
    assert kept.kept_bytes() == 40 + 40, "the last tape has died, and what was kept for it"


def test_what_was_asked_for_longest_ago_leaves_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "ROOM", 100)
    tape = some_bars().tape
    for what in "abac":
        kept.once(tape, what, lambda: np.zeros(5))
    assert [what for _, what in kept._entries] == ["a", "c"]
    assert kept.once(tape, "large", lambda: np.zeros(13)).shape == (13,)
    assert [what for _, what in kept._entries] == ["a", "c"], "what alone takes more than the room drives nothing out"


def test_nothing_outlives_its_tape() -> None:
    tape = some_bars().tape
    for family in ("donchian_breakout", "sma_trend", "vwap_reversion"):
        genomes = isl.family(family).space().founders(np.random.default_rng(1), 3)
        batch.population_metrics(isl.family(family).signal, tape, genomes, batch.Terms(0.0, 0.0, 0, 1e4, 252.0))
    assert kept.kept_bytes() > 0
    del tape
    gc.collect()
    assert not kept._entries


def test_nothing_is_kept_of_arrays_that_may_change() -> None:
    """A view that can't be written to is no promise while its base can."""
    block = some_bars().tape.block.copy()
    view = block.view()
    view.flags.writeable = False
    tape = Tape(view)
    assert tape.block is view
    assert kept.once(tape, "sum", lambda: np.array([tape.close.sum()]))[0] == block[4].sum()
    block[4] *= 2.0
    assert kept.once(tape, "sum", lambda: np.array([tape.close.sum()]))[0] == block[4].sum()
    assert kept.kept_bytes() == 0
