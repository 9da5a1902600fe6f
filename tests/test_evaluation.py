"""backtest and evaluate: one row is one run, positions may stand in for a strategy, and wrong arguments are refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from islands.kernels.metrics import METRICS
from ledger import (
    bars_of,
    funded,
    keep,
    prices,
    random_funding,
    random_prices,
    random_targets,
    real_bars,
    real_files,
    with_wicks,
)
from rules import PLAIN, genes_of, tradable, with_needs

import islands as isl
from islands.errors import InputError, StrategyError
from islands.market.tape import Tape

COSTS = isl.Costs(fee=5e-4, slippage=1e-4)


def walk(bars: int = 500, seed: int = 1) -> isl.Bars:
    return bars_of(*random_prices(seed, bars, "gaps"), name="walk")


def bits(figures: dict[str, float]) -> bytes:
    return np.array([figures[name] for name in METRICS]).tobytes()


def rows_of(frame: pl.DataFrame) -> list[bytes]:
    return [bits(row) for row in frame.to_dicts()]


@st.composite
def strategies(draw: st.DrawFn) -> isl.Strategy:
    family = draw(st.sampled_from(PLAIN))
    return isl.Strategy(family, **draw(genes_of(family)))


# A row equals the backtest alone


@settings(max_examples=100, deadline=None)
@given(prices(), st.lists(strategies(), min_size=1, max_size=6), st.data())
def test_row_is_the_backtest_alone_bit_for_bit(case: tuple, population: list[isl.Strategy], data: st.DataObject) -> None:
    bars = bars_of(*case)
    terms = {
        "costs": data.draw(st.sampled_from([isl.Costs(), COSTS])),
        "score_from": data.draw(st.integers(0, len(bars) - 1)),
        "initial_cash": data.draw(st.sampled_from([1.0, 10_000.0])),
        "periods_per_year": 252,
    }
    alone = [bits(isl.backtest(bars, strategy, **terms).metrics) for strategy in population]
    assert rows_of(isl.evaluate(bars, population, **terms)) == alone
    order = data.draw(st.permutations(range(len(population))))
    shuffled = isl.evaluate(bars, [population[i] for i in order], **terms)
    assert rows_of(shuffled) == [alone[i] for i in order]


def test_row_is_the_backtest_alone_where_funding_is_paid() -> None:
    bars, strategy = walk(), isl.Strategy("momentum", lookback=5)
    paying = funded(bars, random_funding(1, len(bars), "eight"))
    for costs, there in ((COSTS, paying), (isl.Costs(5e-4, 1e-4, funding=False), bars)):
        alone = bits(isl.backtest(there, strategy, COSTS).metrics)
        assert rows_of(isl.evaluate(paying, [strategy], costs)) == [alone]
        assert bits(isl.backtest(paying, strategy, costs).metrics) == alone
    assert rows_of(isl.evaluate(paying, [strategy], COSTS)) != rows_of(isl.evaluate(bars, [strategy], COSTS))


@pytest.mark.parametrize("path", real_files())
def test_row_is_the_backtest_alone_on_real_bars(path: object) -> None:
    bars = real_bars(path, 4_000)
    families = tradable(bars) if bars.tape.funding_rate is None else ["momentum", "funding_carry"]  # these compile apart
    population = [isl.Strategy(f, direction=d) for d in ("long", "short", "both") for f in families]
    table = isl.evaluate(bars, population, COSTS)
    assert rows_of(table) == [bits(isl.backtest(bars, strategy, COSTS).metrics) for strategy in population]
    assert (table["trades"] > 0).all()


def test_table_names_each_strategy_and_keeps_the_order_given() -> None:
    population = [isl.Strategy("sma_trend"), isl.Strategy("ema_crossover", fast=3), isl.Strategy("sma_trend", fast=3)]
    table = isl.evaluate(walk(), population)
    assert table.columns == ["strategy", "family", *METRICS]
    assert table["strategy"].to_list() == [repr(strategy) for strategy in population]
    assert table["family"].to_list() == ["sma_trend", "ema_crossover", "sma_trend"]
    assert table.select(METRICS).dtypes == [pl.Float64] * len(METRICS)


def test_nobody_to_evaluate_is_an_empty_table() -> None:
    assert isl.evaluate(walk(), []).shape == (0, 2 + len(METRICS))


def test_repeated_evaluation_leaves_the_same_bits() -> None:
    population = [isl.Strategy("ema_crossover", fast=n, slow=n + 9) for n in range(2, 30)]
    bars = walk(2_000)
    assert rows_of(isl.evaluate(bars, population, COSTS)) == rows_of(isl.evaluate(bars, population, COSTS))


def test_strategy_and_ledger_agree_from_genes_to_figures() -> None:
    bars, strategy = walk(2_000), isl.Strategy("ema_crossover", fast=4, slow=15, band=0.002)
    result = isl.backtest(bars, strategy, COSTS, periods_per_year=8766)
    slow = keep(bars.open, bars.close, strategy.positions(bars), 5e-4, 1e-4, periods_per_year=8766)
    assert result.metrics == pytest.approx(slow.metrics, rel=1e-11, nan_ok=True)
    np.testing.assert_allclose(result.equity, slow.equity, rtol=1e-11)


# What stands in for a strategy


@pytest.mark.parametrize("family", isl.families())
def test_positions_in_place_of_the_strategy_give_the_same_run(family: str) -> None:
    bars, strategy = with_needs(family, walk(), 1), isl.Strategy(family)
    ours, theirs = isl.backtest(bars, strategy, COSTS), isl.backtest(bars, strategy.positions(bars), COSTS)
    assert ours.equity.tobytes() == theirs.equity.tobytes()
    assert ours.trades.equals(theirs.trades)
    if isl.family(family).signal.watch is None:  # its runs are accounted for where they are decided
        assert theirs.metrics == pytest.approx(ours.metrics, rel=1e-11, abs=1e-11, nan_ok=True)
    else:
        assert bits(ours.metrics) == bits(theirs.metrics)
    assert ours.positions.tobytes() == strategy.positions(bars).tobytes()


def test_nan_positions_are_flat_and_the_callers_array_stays() -> None:
    given_positions = np.array([math.nan, 1.0, math.nan, -1.0, math.nan, 0.5])
    kept = given_positions.copy()
    bars = bars_of([8, 9, 10, 11, 12, 13], [9, 10, 11, 12, 13, 14])
    result = isl.backtest(bars, given_positions)
    flat = isl.backtest(bars, [0, 1, 0, -1, 0, 0.5])
    assert result.equity.tobytes() == flat.equity.tobytes()
    assert result.positions.tolist() == [0, 1, 0, -1, 0, 0.5]
    assert given_positions.tobytes() == kept.tobytes()


def test_positions_may_be_whole_numbers_or_a_polars_series() -> None:
    bars = walk(4)
    expected = isl.backtest(bars, np.array([1.0, 0.0, -1.0, 0.0])).equity.tobytes()
    for targets in ([1, 0, -1, 0], np.array([1, 0, -1, 0]), pl.Series([1, 0, -1, 0]), np.array([1, 5, 0, 5, -1, 5, 0, 5])[::2]):
        assert isl.backtest(bars, targets).equity.tobytes() == expected


# Where scoring starts


def test_standing_target_is_ordered_at_the_first_scored_bars_open() -> None:
    bars = bars_of([8, 8, 8, 4, 8], [8, 8, 4, 8, 16])
    result = isl.backtest(bars, [1, 1, 1, 1, 1], score_from=3)
    assert result.units.tolist() == [0.0, 0.0, 0.0, 2_500.0, 2_500.0]
    assert result.equity.tolist() == [10_000.0] * 3 + [20_000.0, 40_000.0]
    assert result.returns.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert result.trades["entry_bar"].to_list() == [3]


def test_target_given_up_at_the_bar_before_scoring_is_not_ordered() -> None:
    result = isl.backtest(bars_of([8] * 5, [8] * 5), [1, 1, 0, 0, 1], score_from=3)
    assert not result.units.any()
    assert result.metrics["trades"] == 0.0


@settings(max_examples=60, deadline=None)
@given(prices(), st.integers(0, 2**32 - 1), st.data())
def test_segment_scored_alone_equals_the_same_bars_cut_out(case: tuple, seed: int, data: st.DataObject) -> None:
    """With one bar kept before the cut, whose close decides the standing target. Sums over bars are read from tables that
    begin with the data, so the figures made of them agree up to rounding."""
    bars = bars_of(*case)
    first = data.draw(st.integers(0, len(bars) - 1))
    targets = random_targets(seed, len(bars), "levels")
    kept = max(first - 1, 0)
    whole = isl.backtest(bars, targets, COSTS, score_from=first, periods_per_year=252)
    cut = isl.Bars("cut", bars.tape.cut(kept, len(bars)))
    alone = isl.backtest(cut, targets[kept:], COSTS, score_from=first - kept, periods_per_year=252)
    assert whole.equity[kept:].tobytes() == alone.equity.tobytes()
    assert whole.metrics == pytest.approx(alone.metrics, rel=1e-9, abs=1e-11, nan_ok=True)


def test_strategy_decides_with_the_bars_before_the_first_scored_one() -> None:
    bars, strategy = walk(), isl.Strategy("sma_trend")
    result = isl.backtest(bars, strategy, score_from=200)
    assert result.positions.tobytes() == strategy.positions(bars).tobytes()
    assert result.units[200] != 0.0


# What a run tells


def test_run_is_told_bar_by_bar() -> None:
    bars = walk()
    result = isl.backtest(bars, isl.Strategy("ema_crossover"), COSTS)
    for series in (result.equity, result.returns, result.positions, result.units):
        assert series.shape == (500,)
        assert series.dtype == np.float64
    assert tuple(result.metrics) == METRICS
    assert result.equity[-1] / 10_000.0 - 1.0 == result.metrics["total_return"]
    assert result.trades.height == result.metrics["trades"]


def test_trades_frame_has_its_types_even_when_empty() -> None:
    whole = {"entry_bar": pl.Int64, "exit_bar": pl.Int64, "side": pl.Int64}
    amounts = dict.fromkeys(("units", "entry_price", "exit_price", "pnl", "return", "fees"), pl.Float64)
    schema = whole | amounts | {"reason": pl.String, "open": pl.Boolean}
    for targets in (np.zeros(500), random_targets(1, 500, "levels")):
        trades = isl.backtest(walk(), targets).trades
        assert dict(trades.schema) == schema
        assert trades.columns == list(schema)


def test_periods_per_year_are_measured_unless_given() -> None:
    bars, strategy = walk(), isl.Strategy("sma_trend")
    measured = isl.backtest(bars, strategy).metrics["sharpe"]
    assert bars.periods_per_year == 8766.0
    assert isl.backtest(bars, strategy, periods_per_year=8766).metrics["sharpe"] == measured
    assert isl.backtest(bars, strategy, periods_per_year=8766 * 4).metrics["sharpe"] == 2 * measured


def test_costs_are_free_unless_said() -> None:
    assert isl.Costs() == isl.Costs(fee=0.0, slippage=0.0, funding=True)
    bars, strategy = walk(), isl.Strategy("ema_crossover", fast=2, slow=5)
    free, paid = (isl.backtest(bars, strategy, costs).metrics for costs in (isl.Costs(), COSTS))
    assert isl.backtest(bars, strategy).metrics["total_return"] == free["total_return"] > paid["total_return"]


# Refusals


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"score_from": -1}, r"score_from = -1: expected a bar from 0 to 9 of walk"),
        ({"score_from": 10}, r"score_from = 10: expected a bar from 0 to 9 of walk"),
        ({"score_from": 2.5}, r"score_from = 2\.5: expected a bar from 0 to 9 of walk"),
        ({"initial_cash": 0.0}, r"initial_cash = 0\.0: expected a positive amount"),
        ({"initial_cash": math.inf}, r"initial_cash = inf: expected a positive amount"),
        ({"initial_cash": math.nan}, r"initial_cash = nan: expected a positive amount"),
        ({"periods_per_year": 0}, r"periods_per_year = 0: expected a positive number of bars"),
        ({"periods_per_year": math.nan}, r"periods_per_year = nan: expected a positive number of bars"),
        ({"costs": 5e-4}, r"costs = 0\.0005: expected isl\.Costs\(fee=\.\.\., slippage=\.\.\.\)"),
    ],
)
def test_term_out_of_range_is_refused(terms: dict[str, object], message: str) -> None:
    bars = walk(10)
    with pytest.raises(InputError, match=message):
        isl.backtest(bars, np.zeros(10), **terms)
    with pytest.raises(InputError, match=message):
        isl.evaluate(bars, [isl.Strategy("sma_trend")], **terms)


@pytest.mark.parametrize("name", ["fee", "slippage"])
@pytest.mark.parametrize("value", [-1e-4, 1.0, math.nan, "0.1", True, None])
def test_cost_that_is_no_fraction_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"costs: {name} = {value!r}: expected a fraction in \[0, 1\)"):
        isl.Costs(**{name: value})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: isl.Costs(maker_fee=1.0), r"costs: maker_fee = 1\.0: expected a fraction in \[0, 1\)"),
        (lambda: isl.Costs(fixed_fee=-1), r"costs: fixed_fee = -1: expected an amount from 0 on"),
        (lambda: isl.Costs(minimum_fee=math.nan), r"costs: minimum_fee = nan: expected an amount from 0 on"),
        (lambda: isl.Costs(borrow=math.inf), r"costs: borrow = inf: expected an amount from 0 on"),
        (lambda: isl.Costs(participation=0.0), r"costs: participation = 0\.0: expected a share of the volume above 0"),
        (lambda: isl.Stops(stop_loss=0.0), r"stops: stop_loss = 0\.0: expected a fraction of the price above 0, or None"),
        (lambda: isl.Stops(atr_trailing=-1), r"stops: atr_trailing = -1: expected a multiple of the ATR above 0, or None"),
        (lambda: isl.Stops(atr_period=0), r"stops: atr_period = 0: expected a whole number of bars from 1 on"),
        (lambda: isl.Stops(max_holding=2.5), r"stops: max_holding = 2\.5: expected a whole number of bars from 1 on"),
        (lambda: isl.Stops(cooldown=True), r"stops: cooldown = True: expected a whole number of bars from 1 on"),
        (lambda: isl.Stops(intrabar="hopeful"), r"stops: intrabar = 'hopeful': expected 'pessimistic' or 'optimistic'"),
        (lambda: isl.Sizing(fraction=1.5), r"sizing: fraction = 1\.5: expected a share of the equity in \(0, 1\]"),
        (lambda: isl.Sizing(cap=0), r"sizing: cap = 0: expected a share of the equity in \(0, 1\]"),
        (lambda: isl.Sizing(target_volatility=0.0), r"sizing: target_volatility = 0\.0: expected one above 0 per year"),
        (lambda: isl.Sizing(volatility_bars=1), r"sizing: volatility_bars = 1: expected a whole number of bars from 2 on"),
    ],
)
def test_overlay_or_cost_out_of_range_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize(("name", "value"), [("stops", 0.02), ("sizing", 0.5)])
def test_overlay_of_another_kind_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"{name} = {value}: expected isl\."):
        isl.backtest(walk(10), np.zeros(10), **{name: value})


STOPPED = isl.Strategy("ema_crossover", fast=3, slow=15, stop_loss=0.02, take_profit=0.03)
PLAIN_ONE = isl.Strategy("ema_crossover", fast=3, slow=15)


def test_a_strategys_own_overlays_are_those_of_the_call() -> None:
    stops, sizing = isl.Stops(stop_loss=0.02, take_profit=0.03), isl.Sizing(fraction=0.5)
    whole = isl.Strategy("ema_crossover", fast=3, slow=15, stop_loss=0.02, take_profit=0.03, fraction=0.5)
    given = isl.backtest(walk(), PLAIN_ONE, COSTS, stops, sizing)
    for own in (
        isl.backtest(walk(), whole, COSTS),
        isl.backtest(walk(), STOPPED, COSTS, sizing=sizing),
        isl.backtest(walk(), isl.Strategy("ema_crossover", fast=3, slow=15, fraction=0.5), COSTS, stops),
    ):
        assert bits(own.metrics) == bits(given.metrics)
        assert own.trades.equals(given.trades)
    assert bits(given.metrics) != bits(isl.backtest(walk(), PLAIN_ONE, COSTS).metrics)


def test_strategies_with_and_without_overlays_of_their_own_are_scored_side_by_side() -> None:
    half = isl.Strategy("sma_trend", fast=3, slow=15, fraction=0.5)
    everyone = [PLAIN_ONE, STOPPED, half, STOPPED]
    table = rows_of(isl.evaluate(walk(), everyone, COSTS))
    assert table == [bits(isl.backtest(walk(), strategy, COSTS).metrics) for strategy in everyone]
    sizing = isl.Sizing(fraction=0.5)
    sized = rows_of(isl.evaluate(walk(), everyone[:2], COSTS, sizing=sizing))
    assert sized == [bits(isl.backtest(walk(), strategy, COSTS, sizing=sizing).metrics) for strategy in everyone[:2]]


def test_which_level_comes_first_is_said_by_the_call_of_a_strategys_own_stops_too() -> None:
    figures = []
    narrow = isl.Strategy("ema_crossover", fast=3, slow=15, stop_loss=0.005, take_profit=0.005)
    for intrabar in ("pessimistic", "optimistic"):
        bars = with_wicks(*random_prices(1, 500, "gaps"), seed=1)
        given = isl.backtest(bars, PLAIN_ONE, stops=isl.Stops(stop_loss=0.005, take_profit=0.005, intrabar=intrabar))
        own = isl.backtest(bars, narrow, stops=isl.Stops(intrabar=intrabar))
        assert bits(own.metrics) == bits(given.metrics)
        figures.append(own.metrics["total_return"])
    assert figures[0] < figures[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: isl.backtest(walk(), STOPPED, stops=isl.Stops(trailing=0.1)),
        lambda: isl.evaluate(walk(), [PLAIN_ONE, STOPPED], stops=isl.Stops(trailing=0.1)),
    ],
)
def test_two_kinds_of_stops_at_once_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"stops = Stops\(.*trailing=0\.1.*take_profit=0\.03\) has stops of its own"):
        call()


def test_participation_in_bars_without_volume_is_refused() -> None:
    block = walk(10).tape.block.copy()
    block[5] = 0.0
    with pytest.raises(InputError, match=r"costs: participation = 0\.1: the volume of dry is 0 throughout"):
        isl.backtest(isl.Bars("dry", Tape(block)), np.zeros(10), isl.Costs(participation=0.1))


@pytest.mark.parametrize("value", [1, 0, None, "yes", 0.5])
def test_funding_is_on_or_off(value: object) -> None:
    with pytest.raises(InputError, match=rf"costs: funding = {value!r}: expected True or False"):
        isl.Costs(funding=value)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.zeros(9), r"positions have shape \(9,\): expected one target a bar, \(10,\)"),
        (np.zeros((10, 1)), r"positions have shape \(10, 1\): expected one target a bar, \(10,\)"),
        ([0, 0, 0, 1.5, 0, 0, 0, 0, 0, 0], r"positions\[3\] = .*1\.5.*: expected a target exposure in \[-1, 1\]"),
        ([0, -math.inf, 0, 0, 0, 0, 0, 0, 0, 0], r"positions\[1\] = .*-inf.*: expected a target exposure in \[-1, 1\]"),
        ("sma_trend", r"strategy = 'sma_trend': expected a Strategy or an array"),
    ],
)
def test_positions_that_are_none_are_refused(positions: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        isl.backtest(walk(10), positions)


def test_anything_but_a_strategy_is_refused_with_its_place() -> None:
    with pytest.raises(StrategyError, match=r"strategies\[1\] = 'sma_trend': expected a Strategy"):
        isl.evaluate(walk(10), [isl.Strategy("sma_trend"), "sma_trend"])
