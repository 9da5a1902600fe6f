"""Lanes: what a genome is worth does not depend on the lane it is in, on its neighbours, or on how time is cut."""

from __future__ import annotations

import operator
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels import batch, denormals, memory, signals, spans, vectors, watch
from islands.kernels.compile import device, frozen
from islands.kernels.lanes import CHUNK
from islands.kernels.metrics import METRICS, OF_RECORD
from islands.kernels.overlays import OVERLAYS
from islands.kernels.pnl import STOP_LOSS, TRADE_COLUMNS
from ledger import bars_of, funded, random_funding, random_prices, seeds, with_wicks
from rules import bars_for, genes_of

import islands as isl
from islands.market.bars import Bars

ROOT = Path(__file__).parents[2]

rates = st.just(0.0) | st.floats(1e-6, 0.01)
WIDE = [name for name in isl.families() if isl.family(name).signal.lanes]
NEEDS_FUNDING = [name for name in isl.families() if isl.family(name).needs]


def scores(family: str, bars: Bars, genomes: np.ndarray, terms: batch.Terms, lanes: int | None = None) -> np.ndarray:
    """METRICS (P, M), by the population's kernel or by one of this lane width; 1 is a genome alone, bar by bar."""
    signal = isl.family(family).signal
    if lanes is None:
        return batch.population_metrics(signal, bars.tape, genomes, terms)
    key = (family, lanes)
    if key not in KERNELS:
        KERNELS[key] = signal.alone if lanes == 1 else signal.in_lanes(lanes)
    return batch.run_population(KERNELS[key], signal, bars.tape, genomes, terms)


KERNELS: dict[tuple[str, int], signals.Decider] = {}


def genomes_of(family: str, genes: list[dict]) -> np.ndarray:
    return np.array([isl.Strategy(family, **values).genome for values in genes])


def some_genomes(family: str, count: int, seed: int) -> np.ndarray:
    return isl.family(family).space().founders(np.random.default_rng(seed), count)


@pytest.mark.parametrize("family", isl.families())
@examples(40)
@given(data=st.data())
def test_population_is_its_genomes_alone_bit_for_bit(family: str, data: st.DataObject) -> None:
    bars = data.draw(bars_for(family))
    if bars.tape.funding_rate is None and data.draw(st.booleans()):
        bars = funded(bars, random_funding(data.draw(seeds), len(bars), data.draw(st.sampled_from(["eight", "violent"]))))
    genomes = genomes_of(family, data.draw(st.lists(genes_of(family), min_size=1, max_size=20)))
    first, closes = data.draw(st.integers(0, len(bars) - 1)), data.draw(st.booleans())
    terms = batch.Terms(data.draw(rates), data.draw(rates), first, 1e4, 252.0, closes=closes)
    together = scores(family, bars, genomes, terms)
    np.testing.assert_array_equal(together, scores(family, bars, genomes, terms, 1))
    if family in WIDE:
        np.testing.assert_array_equal(together, scores(family, bars, genomes, terms, 8))


def long_bars(family: str, seed: int = 5) -> Bars:
    """Bars over several chunks, some of them still, and a number that no vector divides."""
    open_, close = random_prices(seed, 2 * CHUNK + 331, "stalls")
    bars = with_wicks(open_, close, seed)
    return funded(bars, random_funding(seed, len(bars), "eight")) if family in NEEDS_FUNDING else bars


def closed(targets: np.ndarray, terms: batch.Terms) -> np.ndarray:
    """Targets (T,) as a run on these terms orders them: nothing at the last open, where it closes."""
    if terms.closes:
        targets[-2:] = 0.0
    return targets


@pytest.mark.parametrize("family", isl.families())
@pytest.mark.parametrize("first", [0, 1, 500, CHUNK, CHUNK + 1])
def test_chunks_of_time_leave_no_trace(family: str, first: int) -> None:
    bars, terms = long_bars(family), batch.Terms(5e-4, 1e-4, first, 1e4, 8766.0, closes=first % 2 == 1)
    genomes = some_genomes(family, 21, seed=first)
    np.testing.assert_array_equal(scores(family, bars, genomes, terms), scores(family, bars, genomes, terms, 1))


@pytest.mark.parametrize("family", isl.families())
@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_run_that_closes_on_few_bars_is_the_same_in_lanes(family: str, left: int) -> None:
    """Of one bar alone nothing is ordered: what could be would be ended at the same open."""
    bars = long_bars(family)
    terms = batch.Terms(5e-4, 1e-4, len(bars) - left, 1e4, 8766.0, closes=True)
    genomes = some_genomes(family, 21, seed=left)
    rows = scores(family, bars, genomes, terms)
    np.testing.assert_array_equal(rows, scores(family, bars, genomes, terms, 1))
    assert left > 1 or not rows[:, METRICS.index("trades")].any()


@pytest.mark.parametrize("family", isl.families())
def test_row_depends_on_its_genome_alone(family: str) -> None:
    """Neither on the order of individuals, nor on how many there are, nor on who stands beside it."""
    bars, terms = long_bars(family), batch.Terms(5e-4, 1e-4, 300, 1e4, 8766.0)
    genomes = some_genomes(family, 69, seed=1)
    whole = scores(family, bars, genomes, terms)
    order = np.random.default_rng(2).permutation(len(genomes))
    np.testing.assert_array_equal(scores(family, bars, genomes[order], terms), whole[order])
    for count in (1, 7, 32, 33):
        np.testing.assert_array_equal(scores(family, bars, genomes[:count], terms), whole[:count])
    np.testing.assert_array_equal(scores(family, bars, np.repeat(genomes[:1], 20, axis=0), terms), whole[[0] * 20])


@pytest.mark.parametrize("family", isl.families())
@pytest.mark.parametrize("closes", [False, True])
def test_population_is_what_the_account_says_of_its_positions(family: str, closes: bool) -> None:
    """Of a run that closes, after its last bar but one."""
    bars, terms = long_bars(family), batch.Terms(5e-4, 1e-4, 10, 1e4, 8766.0, closes=closes)
    genomes = some_genomes(family, 5, seed=3)
    of_record = [METRICS.index(name) for name in ("max_drawdown_length", "skew", "kurtosis", "var_5", "cvar_5")]
    for genome, row in zip(genomes, scores(family, bars, genomes, terms), strict=True):
        targets = closed(batch.positions(isl.family(family).signal, bars.tape, genome), terms)
        told = replace(terms, closes=False)
        alone = batch.account(bars.tape, targets, told).metrics.copy()
        alone[of_record] = np.nan
        np.testing.assert_array_equal(row, alone)


stop_sizes = st.sampled_from([0.0, 0.0001, 0.003, 0.02, 0.2])


@examples(300)
@given(
    seed=seeds,
    kind=st.sampled_from(["walk", "stalls", "jumps", "ticks"]),
    costs=st.tuples(rates | st.just(-2e-4), rates),  # a rebate as well
    levels=st.sampled_from([(1.0, 0.0), (1.0, -1.0), (0.0, -1.0), (1.0, 0.0, -1.0), (1.0, 0.5, -1.0, 0.0)]),
    turns=st.sampled_from([0.02, 0.2, 0.9]),
    stops=st.none() | st.tuples(stop_sizes, stop_sizes),
)
def test_orders_in_a_row_are_the_account_that_is_written_down(
    seed: int,
    kind: str,
    costs: tuple[float, float],
    levels: tuple[float, ...],
    turns: float,
    stops: tuple[float, float] | None,
) -> None:
    """Whatever the orders are, of all or nothing or in part, whatever levels end them, and where prices ruin: to the last
    bit."""
    rng = np.random.default_rng(seed)
    open_, close = random_prices(seed, 1_300, kind)
    tape, terms = bars_of(open_, close).tape, batch.Terms(*costs, 3, 1e4, 252.0)
    drawn = np.where(rng.random(len(close)) < turns, rng.choice(levels, len(close)), np.nan)
    drawn[0] = 0.0
    targets = drawn[np.maximum.accumulate(np.where(np.isnan(drawn), 0, np.arange(len(close))))]
    if stops is None:
        stage, rows, overlay = batch._plain_stage(signals.given, tape, terms), np.empty((1, 0)), None
    else:
        overlay = np.zeros(len(OVERLAYS))
        overlay[[OVERLAYS.index("stop_loss"), OVERLAYS.index("take_profit")]] = stops
        world = (*batch._world(tape, terms, overlay[None]), batch._atrs(tape, np.empty(0)))
        stage, rows = batch._overlaid_stage(world, signals.given, tape, terms), np.append(overlay, -1.0)[None]
    stage = replace(stage, inputs=(frozen(targets),))
    row, _ = stage.figures(signals.given.alone, np.empty((1, 0)), rows)
    written = batch.account(tape, targets, terms, overlay).metrics
    rest = [j for j, name in enumerate(METRICS) if name not in OF_RECORD]
    np.testing.assert_array_equal(row[0, rest], written[rest])


@pytest.mark.parametrize("then", [0.0, 1.0])
@pytest.mark.parametrize("where", ["open", "close"])
@pytest.mark.parametrize("spike", [1.9, 2.5])
def test_a_short_that_a_spike_ruins_stays_ruined_when_the_price_comes_back(then: float, where: str, spike: float) -> None:
    """Whatever ends it later. A spike that leaves something of it does not."""
    series = {"open": np.full(60, 10.0), "close": np.full(60, 10.0)}
    series["close"][1::2] = 10.01
    series[where][31] *= spike
    tape, terms = bars_of(series["open"], series["close"]).tape, batch.Terms(0.0, 0.0, 3, 1e4, 252.0)
    targets = np.zeros(60)
    targets[5:10], targets[10:40], targets[40:] = 1.0, -1.0, then
    stage = replace(batch._plain_stage(signals.given, tape, terms), inputs=(frozen(targets),))
    row, _ = stage.figures(signals.given.alone, np.empty((1, 0)), np.empty((1, 0)))
    written = batch.account(tape, targets, terms).metrics
    rest = [j for j, name in enumerate(METRICS) if name not in OF_RECORD]
    np.testing.assert_array_equal(row[0, rest], written[rest])
    assert (row[0, METRICS.index("total_return")] == -1.0) == (spike > 2.0)


@pytest.mark.parametrize("family", isl.families())
@pytest.mark.parametrize("closes", [False, True])
def test_population_under_overlays_is_what_the_account_says_of_its_positions(family: str, closes: bool) -> None:
    """Each with overlays of its own, on terms that only their account knows, and whoever stands beside it."""
    bars, signal = long_bars(family), isl.family(family).signal
    terms = batch.Terms(5e-4, 1e-4, 10, 1e4, 8766.0, maker_fee=2e-4, minimum_fee=0.5, borrow=0.02, closes=closes)
    genomes, rng = some_genomes(family, 19, seed=4), np.random.default_rng(5)
    overlays = np.zeros((len(genomes), len(OVERLAYS)))
    for name, low, high in (("stop_loss", 0.002, 0.05), ("trailing", 0.002, 0.05), ("atr_take_profit", 1.0, 6.0)):
        overlays[:, OVERLAYS.index(name)] = np.where(rng.random(len(genomes)) < 0.5, rng.uniform(low, high, len(genomes)), 0.0)
    overlays[:, OVERLAYS.index("atr_period")] = rng.integers(2, 20, len(genomes))
    overlays[:, OVERLAYS.index("max_holding")] = rng.integers(0, 3, len(genomes)) * 50
    rest = [j for j, name in enumerate(METRICS) if name not in OF_RECORD]
    ended = 0
    for genome, overlay, row in zip(
        genomes, overlays, batch.population_metrics(signal, bars.tape, genomes, terms, overlays), strict=True
    ):
        targets = closed(batch.positions(signal, bars.tape, genome), terms)
        alone = batch.account(bars.tape, targets, replace(terms, closes=False), overlay)
        if closes:  # who was stopped out before the end has no order there, and one sum more or less in its equity's mean
            np.testing.assert_allclose(row[rest], alone.metrics[rest], rtol=1e-14)
        else:
            np.testing.assert_array_equal(row[rest], alone.metrics[rest])
        ended += int(np.count_nonzero(alone.trades[:, TRADE_COLUMNS.index("reason")] >= STOP_LOSS))
    assert ended > 0, "no overlay has ended a trade"


REACHING = [name for name in isl.families() if isl.family(name).signal.reach is not None]


@pytest.mark.parametrize("family", REACHING)
@pytest.mark.parametrize("piece", [64, 1000])
@pytest.mark.parametrize("first", [0, 1, 999, 1000, 1500])
def test_bars_whose_tables_are_made_at_a_time_leave_no_trace(
    monkeypatch: pytest.MonkeyPatch, family: str, piece: int, first: int
) -> None:
    bars, terms = long_bars(family), batch.Terms(5e-4, 1e-4, first, 1e4, 8766.0)
    genomes = some_genomes(family, 9, seed=6)
    whole = scores(family, bars, genomes, terms)
    monkeypatch.setattr(batch, "PIECE", piece)
    assert len(bars) > 2 * piece
    np.testing.assert_array_equal(scores(family, bars, genomes, terms), whole)


def test_blocks_of_genomes_leave_no_trace() -> None:
    """Windows so long and so many that the bank of their measures does not hold them all at once; one is left alone."""
    open_, close = random_prices(3, 5 * watch.CHUNK + 77, "walk")
    bars, terms = with_wicks(open_, close, 3), batch.Terms(5e-4, 1e-4, 0, 1e4, 8766.0)
    numbers = np.arange(80)
    genomes = np.column_stack([300 + numbers, 1_500 - 5 * numbers, 500 + 7 * numbers, numbers % 3]).astype(float)
    genomes[40, 2] = 1e9
    lengths = np.unique(genomes[:, :3])
    assert len(lengths) > watch.BANK // (watch.CHUNK + 1_500)
    np.testing.assert_array_equal(scores("ichimoku", bars, genomes, terms), scores("ichimoku", bars, genomes, terms, 1))


def test_no_genomes_have_no_rows() -> None:
    bars = long_bars("ema_crossover")
    for family in ("ema_crossover", "momentum"):
        none = np.empty((0, len(isl.family(family).genes)))
        assert scores(family, bars, none, batch.Terms(0.0, 0.0, 0, 1e4, 252.0)).shape == (0, len(METRICS))


# Denormals


def test_every_kernel_that_decides_takes_denormals_for_nothing() -> None:
    """Or averages of still bars, which decay below 1e-308, would take 25 times as long."""

    @device
    def prepare(genome):
        return genome[0], (0.0, 1.0)

    @device
    def step(genes, state, t, inputs):
        return state, vectors.where(genes[0] * inputs[0][t] > 0.0, 1.0, 0.0)

    signal = signals.Signal("denormal", prepare, signals.start_flat, step, signals.of_close, lanes=True)
    bars, genome, terms = long_bars("ema_crossover"), np.full((1, 1), 1e-312), batch.Terms(0.0, 0.0, 0, 1e4, 252.0)
    assert (genome[0, 0] * bars.close > 0.0).all()  # outside it is a number
    for decide in (signal.alone, signal.in_lanes(8)):
        assert batch.run_population(decide, signal, bars.tape, genome, terms)[0, METRICS.index("trades")] == 0.0
    assert not batch.positions(signal, bars.tape, genome[0]).any()


def test_denormal_results_and_operands_are_nothing() -> None:
    @numba.njit
    def halved(x):
        before = denormals.flush_denormals()
        result = x * 0.5
        denormals.restore_denormals(before)
        return result

    assert halved(2.0**-1022) == 0.0
    assert halved(2.0**-1021) == 2.0**-1022
    assert halved(2.0**-1030) == 0.0


def test_kernels_leave_pythons_own_denormals_alone() -> None:
    bars = long_bars("ema_crossover")
    scores("ema_crossover", bars, some_genomes("ema_crossover", 3, 1), batch.Terms(0.0, 0.0, 0, 1e4, 252.0))
    smallest = np.full(8, 5e-324)
    assert (smallest * 1.0 > 0.0).all()
    assert float(smallest[0]) + float(smallest[1]) == 1e-323


# Vectors

OPERATORS = (operator.add, operator.sub, operator.mul, operator.truediv)
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
EDGES = np.array([0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-300])


@pytest.mark.parametrize("operation", [*OPERATORS, *COMPARISONS], ids=lambda operation: operation.__name__)
def test_operators_are_numpys_in_every_lane(operation: Callable[..., object]) -> None:
    if operation in OPERATORS:

        @numba.njit(error_model="numpy")
        def apply(a, b, out):
            memory.store(out, 0, operation(spans.bars_from(a, 0), spans.bars_from(b, 0)))

    else:

        @numba.njit(error_model="numpy")
        def apply(a, b, out):
            memory.store(out, 0, vectors.where(operation(spans.bars_from(a, 0), spans.bars_from(b, 0)), 1.0, 0.0))

    for shift in range(8):
        other, out = np.roll(EDGES, shift), np.empty(8)
        apply(EDGES, other, out)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(out, np.asarray(operation(EDGES, other), dtype=float))


def test_function_of_numbers_is_the_function_of_lanes() -> None:
    @numba.njit
    def clipped(a, b):
        return vectors.where((a > b) & vectors.opposite(b < 0.0), vectors.fma(a, b, 1.0), vectors.smaller(-a, b))

    @numba.njit
    def lanes(a, b, out):
        memory.store(out, 0, clipped(spans.bars_from(a, 0), spans.bars_from(b, 0)))

    a, b = np.random.default_rng(0).normal(size=(2, 8))
    out = np.empty(8)
    lanes(a, b, out)
    assert out.tolist() == [clipped(x, y) for x, y in zip(a, b, strict=True)]


@examples(300)
@given(
    st.integers(1, 5_000) | st.integers(1, 2**53),
    st.lists(st.floats(-1e100, 1e100).map(lambda x: x + 0.0), min_size=8, max_size=8),
)
def test_quotient_is_the_division_to_the_last_bit(n: int, values: list[float]) -> None:
    a, out = np.array([x if abs(x) > 1e-200 else 0.0 for x in values]), np.empty(8)
    divide(a, n, out)
    np.testing.assert_array_equal(out, a / float(n))


@numba.njit(error_model="numpy")
def divide(a, n, out):
    memory.store(out, 0, vectors.quotient(spans.bars_from(a, 0), n))


# Machine code from the disk

SCORES = """
import sys
import numpy as np
import islands as isl
from islands.kernels import batch
bars, terms = isl.sample("eurusd"), batch.Terms(1e-4, 1e-4, 0, 1e4, 252.0)
for family in sys.argv[1:]:
    genomes = isl.family(family).space().founders(np.random.default_rng(1), 3)
    print(family, batch.population_metrics(isl.family(family).signal, bars.tape, genomes, terms).tobytes().hex())
"""


@pytest.mark.slow
def test_kernel_from_disk_calls_its_own_routines_whatever_was_compiled_before(tmp_path: Path) -> None:
    """numba counts functions within a process, and code of one process must not call another's of the same number."""

    def scored(*families: str) -> dict[str, str]:
        environment = dict(os.environ, ISLANDS_CACHE_DIR=str(tmp_path))
        command = [sys.executable, "-c", SCORES, *families]
        answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert answer.returncode == 0, answer.stderr
        return dict(line.split() for line in answer.stdout.splitlines())

    alone = {family: scored(family)[family] for family in ("momentum", "sma_trend", "macd", "keltner_breakout")}
    assert scored(*alone) == alone
    assert scored(*reversed(alone)) == alone
