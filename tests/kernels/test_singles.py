"""Lanes of float32: what they decide is nearly what float64 decides, and as little as there does it depend on the lanes."""

from __future__ import annotations

import numpy as np
import pytest
from islands.kernels import batch, signals, singles
from islands.kernels.compile import device, kernel
from islands.kernels.lanes import CHUNK, MARKS
from islands.kernels.metrics import METRICS
from islands.kernels.vectors import rows_of
from ledger import bars_of, random_prices, with_wicks

import islands as isl
from islands.market.bars import Bars
from islands.market.tape import Tape

ABLE = [name for name in isl.families() if isl.family(name).signal.of_singles is not None]
TRADES, SHARPE = METRICS.index("trades"), METRICS.index("sharpe")
TERMS = batch.Terms(5e-4, 1e-4, 250, 1e4, 8766.0)


def long_bars(seed: int = 5, bars: int = 2 * CHUNK + 331, kind: str = "stalls") -> Bars:
    """Bars over several chunks, and a number that no vector divides."""
    open_, close = random_prices(seed, bars, kind)
    return with_wicks(open_, close, seed)


def founders(family: str, count: int, seed: int) -> np.ndarray:
    return isl.family(family).space().founders(np.random.default_rng(seed), count)


def of_width(family: str, bars: Bars, genomes: np.ndarray, lanes: int) -> np.ndarray:
    signal = isl.family(family).signal.of_singles
    assert signal is not None
    return batch.run_population(signal.in_lanes(lanes), signal, bars.tape, genomes, TERMS)


def test_the_families_that_decide_in_lanes_have_the_form() -> None:
    assert [name for name in isl.families() if isl.family(name).signal.lanes] == ABLE
    assert len(ABLE) == 5


@pytest.mark.parametrize("family", ABLE)
def test_row_depends_on_its_genome_alone(family: str) -> None:
    """Neither on the width of lanes, nor on the order of individuals, nor on how many there are and who stands beside it."""
    bars, signal = long_bars(), isl.family(family).signal
    genomes = founders(family, 150, seed=1)
    whole = batch.population_metrics(signal, bars.tape, genomes, TERMS, single=True)
    assert (whole[:, TRADES] > 0).mean() > 0.3
    if family in ("macd", "volatility_breakout"):  # to compile another width takes seconds
        np.testing.assert_array_equal(of_width(family, bars, genomes, 16), whole)
    order = np.random.default_rng(2).permutation(len(genomes))
    shuffled = batch.population_metrics(signal, bars.tape, genomes[order], TERMS, single=True)
    np.testing.assert_array_equal(shuffled, whole[order])
    for count in (1, 7, 64, 65):
        few = batch.population_metrics(signal, bars.tape, genomes[:count], TERMS, single=True)
        np.testing.assert_array_equal(few, whole[:count])


def crossover_alone(close: np.ndarray, genome: np.ndarray) -> np.ndarray:
    """The targets (T,) of an EMA crossover as lanes of float32 decide it, one number at a time: a multiply-add is one of
    float64, rounded, whose product is exact."""
    single, (fast, slow, band, direction) = np.float32, genome.tolist()
    of_fast, of_slow, reach = 2.0 / (fast + 1.0), 2.0 / (slow + 1.0), band + signals.EQUAL
    least, greatest = (0.0, -1.0, -1.0)[int(direction)], (1.0, 0.0, 1.0)[int(direction)]
    keeps = [float(single(1.0) - single(alpha)) for alpha in (of_fast, of_slow)]
    weight, edge = single(1.0 - of_fast), single(reach)
    above, below = (float(single((1.0 + sign * reach) * (1.0 - of_slow))) for sign in (1.0, -1.0))
    prices, moves = single(close / close[0]), single(np.diff(close, prepend=close[0]) / close[0])
    targets, sums, target = np.zeros(len(close)), [0.0, 0.0], 0.0
    for t, (price, move) in enumerate(zip(prices, moves, strict=True)):
        sums = [float(single(total * keep + float(move))) for total, keep in zip(sums, keeps, strict=True)]
        lead, equal = float(weight * single(sums[0])), edge * price
        if t >= slow - 1.0:
            up, down = single(sums[1] * above - lead) > equal, single(lead - sums[1] * below) > equal
            target = greatest if up else least if down else target
            targets[t] = target
    return targets


@pytest.mark.parametrize("first", [0, 1, CHUNK, CHUNK + 1])
def test_lanes_decide_as_one_number_after_the_other_does(first: int) -> None:
    """Whatever stands in the other lanes, and however time is cut into chunks."""
    bars, terms = long_bars(), batch.Terms(5e-4, 1e-4, first, 1e4, 8766.0)
    genomes = founders("ema_crossover", 65, seed=first)
    rows = batch.population_metrics(isl.family("ema_crossover").signal, bars.tape, genomes, terms, single=True)
    for i in (0, 1, 15, 16, 40, 63, 64):
        alone = batch.account(bars.tape, crossover_alone(bars.tape.close, genomes[i]), terms).metrics
        defined = ~np.isnan(rows[i])
        np.testing.assert_array_equal(rows[i, defined], alone[defined])


@pytest.mark.parametrize("family", ABLE)
def test_figures_are_those_of_float64_but_for_few_decisions(family: str) -> None:
    """Rank correlation, relative error of Sharpe ratios and equal trades on a seeded walk; the bounds are some ten times what
    was measured (`python -m benchmarks float32`)."""
    bars, genomes = long_bars(8, 20_000, "walk"), founders(family, 300, seed=4)
    signal = isl.family(family).signal
    exact, seen = (batch.population_metrics(signal, bars.tape, genomes, TERMS, single=single) for single in (False, True))
    traded = np.isfinite(exact[:, SHARPE])
    assert traded.sum() > 100
    np.testing.assert_array_equal(np.isfinite(seen[:, SHARPE]), traded)
    error = np.abs(seen[traded, SHARPE] - exact[traded, SHARPE])
    assert np.median(error) <= 1e-9
    assert error.max() <= 0.05 * np.std(exact[traded, SHARPE])
    assert (seen[:, TRADES] == exact[:, TRADES]).mean() >= 0.97
    ranks = [np.argsort(np.argsort(table[traded, SHARPE])) for table in (exact, seen)]
    assert np.corrcoef(ranks)[0, 1] > 0.999


@pytest.mark.parametrize("family", ABLE)
def test_prices_of_any_size_are_seen_alike(family: str) -> None:
    """In units of the first close: what float32 can't hold as a price, and what would be denormal there."""
    bars, genomes = long_bars(8, 3_000, "walk"), founders(family, 40, seed=4)
    signal = isl.family(family).signal
    plain = batch.population_metrics(signal, bars.tape, genomes, TERMS, single=True)[:, TRADES]
    assert plain.any()
    for scale in (2.0**-140, 2.0**130):
        block = bars.tape.block.copy()
        block[1:5] *= scale
        scaled = Bars("scaled", Tape(block))
        terms = batch.Terms(5e-4, 1e-4, 250, 1e4 * scale, 8766.0)
        np.testing.assert_array_equal(
            batch.population_metrics(signal, scaled.tape, genomes, terms, single=True)[:, TRADES], plain
        )


@pytest.mark.parametrize("family", ABLE)
def test_still_prices_are_no_signal(family: str) -> None:
    bars = bars_of(np.full(3_000, 3.3), np.full(3_000, 3.3))
    figures = batch.population_metrics(isl.family(family).signal, bars.tape, founders(family, 70, seed=6), TERMS, single=True)
    assert not figures[:, TRADES].any()


def test_a_family_without_the_form_and_a_recorded_run_are_float64() -> None:
    bars = long_bars()
    for family, record in (("sma_trend", False), ("macd", True)):
        signal, genomes = isl.family(family).signal, founders(family, 5, seed=2)
        exact, same = (
            batch.population_metrics(signal, bars.tape, genomes, TERMS, record=record, single=single)
            for single in (False, True)
        )
        np.testing.assert_array_equal(exact, same)


# Marks of sixteen lanes


@pytest.mark.parametrize("piece", range(4))
def test_words_of_a_lane_are_its_marks(piece: int) -> None:
    rows = rows_of(32)

    @device
    def above(values, t):
        return singles.rounded((rows(values, 32 * t)[0],))[0] > 0.5

    @kernel(f"marks-of-pairs-{piece}")
    def words_of(values, seen, words):
        mask = above(values, 0)
        for t in range(64):
            mask = above(values, t)
            singles.keep_pairs(seen, 2 * t, 2 * MARKS * CHUNK, mask)
        singles.spread_half(words, 0, seen, piece // 2 * (2 * MARKS * CHUNK), piece % 2, mask)

    values = np.random.default_rng(piece).random((32 * 64, 1))
    seen, words = np.zeros(4 * MARKS * CHUNK // 8, np.int64), np.zeros(8, np.int64)
    words_of(values, seen, words)
    marks = values.reshape(64, 32) > 0.5
    for lane in range(8):
        expected = sum(int(mark) << t for t, mark in enumerate(marks[:, 8 * piece + lane]))
        assert int(words[lane]) & (2**64 - 1) == expected
