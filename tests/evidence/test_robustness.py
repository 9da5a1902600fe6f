"""What a champion hangs on: later fills, dearer ones, neighbouring genes, parts of the time, other instruments."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import tiny_bars, tiny_market, tiny_world

import islands as isl
from islands.errors import InputError
from islands.evidence.robustness import (
    Setting,
    cost_sweep,
    lag_sweep,
    neighbourhood,
    other_instruments,
    regimes,
    sub_periods,
)
from islands.strategies.space import Space

TREND = isl.Strategy("sma_trend", fast=5, slow=20, direction="both")
STOPPED = isl.Strategy("sma_trend", fast=5, slow=20, direction="both", stop_loss=0.02, take_profit=0.04, max_holding=60)
COSTS = isl.Costs(fee=2e-4, slippage=1e-4)
FAMILY = {"families": [{"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60]}}]}


def place(costs: isl.Costs = COSTS, score_from: int = 100) -> Setting:
    return Setting(tiny_bars(), costs, score_from=score_from)


def bars_of(close: np.ndarray) -> isl.Bars:
    """Hourly bars that open where the last one closed."""
    opened = np.concatenate(([100.0], close[:-1]))
    stamps = np.datetime64("2020-01-01", "us") + np.arange(len(close)) * np.timedelta64(1, "h")
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    frame = pl.DataFrame({"timestamp": stamps, "open": opened, "high": high, "low": low, "close": close})
    return isl.Bars.from_polars(frame)


def space_of(changes: dict[str, object]) -> Space:
    return tiny_world(changes).spaces[0]


@pytest.mark.parametrize("strategy", [TREND, STOPPED], ids=["plain", "stops"])
def test_setting_runs_as_backtest_does(strategy: isl.Strategy) -> None:
    run = place().run(strategy)
    assert run.metrics == isl.backtest(tiny_bars(), strategy, COSTS, score_from=100).metrics
    assert place().figures([strategy], "sharpe") == [run.metrics["sharpe"]]


@pytest.mark.parametrize("strategy", [TREND, STOPPED], ids=["plain", "stops"])
def test_lag_moves_the_decisions_and_nothing_else(strategy: isl.Strategy) -> None:
    swept = lag_sweep(place(), strategy)
    assert list(swept) == [0, 1, 2, 3]
    assert swept[0] == place().run(strategy).metrics
    late = np.roll(strategy.positions(tiny_bars()), 2)
    late[:2] = 0.0
    by_hand = isl.backtest(tiny_bars(), late, COSTS, strategy.stops, score_from=100)
    assert swept[2] == by_hand.metrics
    assert len({figures["total_return"] for figures in swept.values()}) == 4


def test_an_edge_of_one_bar_is_gone_after_one_bar() -> None:
    """Bars whose moves alternate, and a family that is right about the next one."""
    close = 100.0 * np.cumprod(np.where(np.arange(400) % 2 == 0, 1.01, 1 / 1.01))
    alternating = Setting(bars_of(close))
    swept = lag_sweep(alternating, isl.Strategy("rsi_mean_reversion", period=2, entry=45, exit=55))
    assert swept[0]["total_return"] > 1.0 > 0.0 > swept[1]["total_return"]
    assert swept[2]["total_return"] > 1.0


def test_costs_sweep_from_nothing_to_dear() -> None:
    swept = cost_sweep(place(), TREND)
    assert list(swept.figures) == pytest.approx([0.0, 1.5, 3.0, 6.0, 12.0])
    returns = [figures["total_return"] for figures in swept.figures.values()]
    assert returns == sorted(returns, reverse=True)
    assert swept.figures[0.0] == isl.backtest(tiny_bars(), TREND, score_from=100).metrics
    assert swept.figures[3.0]["total_return"] == pytest.approx(place().run(TREND).metrics["total_return"], rel=1e-12)


@pytest.mark.parametrize("strategy", [TREND, STOPPED], ids=["plain", "stops"])
@pytest.mark.parametrize(
    "costs", [COSTS, isl.Costs(), isl.Costs(fee=1e-4, maker_fee=5e-5, slippage=3e-4)], ids=["both", "none", "maker"]
)
def test_break_even_is_where_nothing_is_left(strategy: isl.Strategy, costs: isl.Costs) -> None:
    bps = cost_sweep(place(costs), strategy).break_even_bps
    given = costs.fee + costs.slippage
    for nudge, sign in ((-0.02, 1.0), (0.02, -1.0)):
        level = (bps + nudge) * 1e-4
        scale = level / given if given else 0.0
        fee = costs.fee * scale if given else level
        maker = None if costs.maker_fee is None else costs.maker_fee * scale
        charged = isl.Costs(fee=fee, slippage=costs.slippage * scale, maker_fee=maker)
        assert sign * isl.backtest(tiny_bars(), strategy, charged, score_from=100).metrics["total_return"] > 0.0


def test_break_even_of_who_earns_nothing_and_of_who_trades_once_and_well() -> None:
    loser = isl.Strategy("rsi_mean_reversion", period=5)
    assert isl.backtest(tiny_bars(), loser, score_from=100).metrics["total_return"] < 0.0
    assert cost_sweep(place(), loser).break_even_bps == 0.0
    rising = Setting(bars_of(100.0 * np.cumprod(np.full(300, 1.01))))
    short = isl.Strategy("sma_trend", fast=5, slow=20, direction="short")
    assert rising.run(short).metrics["trades"] == 0
    assert cost_sweep(rising, short).break_even_bps == 0.0
    assert cost_sweep(rising, TREND).break_even_bps == math.inf


def test_returns_of_several_are_columns_from_the_first_scored_bar() -> None:
    table = place().returns([TREND, STOPPED])
    assert table.shape == (len(tiny_bars()) - 100, 2)
    assert np.array_equal(table[:, 1], place().run(STOPPED).returns[100:])


def test_neighbours_are_a_step_away_in_one_gene_and_scored_as_any() -> None:
    space = space_of(FAMILY)
    found = neighbourhood(place(), TREND, space)
    assert [(n.gene, n.value) for n in found.neighbours] == [
        ("fast", 4),
        ("fast", 6),
        ("slow", 18),
        ("slow", 22),
        ("direction", "long"),
        ("direction", "short"),
    ]
    for neighbour in found.neighbours:
        strategy = isl.Strategy("sma_trend", **{**TREND.genes, neighbour.gene: neighbour.value})
        assert neighbour.figure == place().run(strategy).metrics["sharpe"]
    assert found.figure == place().run(TREND).metrics["sharpe"]
    assert found.share == np.mean([neighbour.figure >= 0.5 * found.figure for neighbour in found.neighbours])


def test_neighbours_at_the_bounds_and_under_a_constraint_are_kept_within() -> None:
    space = space_of(FAMILY)
    corner = isl.Strategy("sma_trend", fast=2, slow=10, direction="long")
    moved = [(n.gene, n.value) for n in neighbourhood(place(), corner, space).neighbours]
    assert moved == [("fast", 3), ("slow", 12), ("direction", "short"), ("direction", "both")]
    tight = isl.Strategy("sma_trend", fast=20, slow=21, direction="long")
    assert len(neighbourhood(place(), tight, space, step=0.2).neighbours) >= 4


def test_an_overlay_that_is_on_is_tried_without() -> None:
    changes = {**FAMILY, "overlays": {"stop_loss": {"low": 0.01, "high": 0.05, "optional": True}, "max_holding": [5, 200]}}
    space = space_of(changes)
    with_stop = isl.Strategy("sma_trend", fast=5, slow=20, direction="both", stop_loss=0.02, max_holding=60)
    found = neighbourhood(place(), with_stop, space)
    without = isl.Strategy("sma_trend", fast=5, slow=20, direction="both", max_holding=60)
    stops = {n.value: n.figure for n in found.neighbours if n.gene == "stop_loss"}
    assert stops.pop("off") == place().run(without).metrics["sharpe"]
    assert list(stops) == pytest.approx([0.018, 0.022])
    off = neighbourhood(place(), without, space)
    assert "stop_loss" not in {n.gene for n in off.neighbours}


def test_there_is_no_share_of_nothing() -> None:
    space = space_of({"families": [{"name": "sma_trend", "genes": {"fast": 5, "slow": 20, "direction": "both"}}]})
    alone = neighbourhood(place(), TREND, space)
    assert alone.neighbours == () and math.isnan(alone.share)
    dear = neighbourhood(place(isl.Costs(fee=0.05)), TREND, space_of(FAMILY))
    assert dear.figure < 0.0 and math.isnan(dear.share)


@given(st.integers(8, 200), st.integers(1, 4))
def test_sub_periods_are_the_whole_in_order(bars: int, parts: int) -> None:
    returns = np.random.default_rng(bars).normal(0.0, 0.01, bars)
    found = sub_periods(returns, 252, parts)
    whole = isl.metrics(returns, 252)["total_return"]
    assert len(found) == parts
    assert np.prod([1.0 + part["total_return"] for part in found]) == pytest.approx(1.0 + whole)


@settings(deadline=None)
@given(st.integers(0, 1_000), st.integers(60, 150), st.integers(2, 20), st.integers(1, 4))
def test_regimes_know_only_what_was_before_the_bar(seed: int, bars: int, window: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 0.01, bars)
    close = 100.0 * np.cumprod(1.0 + rng.normal(0.0, 0.01, bars))
    before = {t: np.std(close[t - window : t] / close[t - window - 1 : t - 1] - 1.0, ddof=1) for t in range(window + 1, bars)}
    found = regimes(returns, close, 252, window, parts)
    assert sum(regime.bars for regime in found) == bars - window - 1
    assert max(r.bars for r in found) - min(r.bars for r in found) <= 1
    ranked = sorted(before, key=before.__getitem__)
    for regime in found:
        mine, ranked = sorted(ranked[: regime.bars]), ranked[regime.bars :]
        assert regime.total_return == pytest.approx(np.prod(1.0 + returns[mine]) - 1.0)
        assert (regime.low, regime.high) == pytest.approx((min(before[t] for t in mine), max(before[t] for t in mine)))


def test_other_instruments_are_run_on_their_own_terms() -> None:
    places = {"a": place(), "b": Setting(tiny_market(1), isl.Costs(fee=1e-3))}
    found = other_instruments(TREND, places)
    assert found == {"a": place().run(TREND).metrics, "b": isl.backtest(tiny_market(1), TREND, isl.Costs(fee=1e-3)).metrics}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lag_sweep(place(), TREND, [-1]), "lag = -1: expected a whole number from 0 on"),
        (lambda: lag_sweep(place(), TREND, [1_500]), "lag = 1500: expected less than the 1500 bars"),
        (lambda: cost_sweep(place(), TREND, [-1.0]), "factor = -1.0: expected a number from 0 on"),
        (lambda: neighbourhood(place(), TREND, space_of(FAMILY), step=0.0), "step = 0.0: expected a probability"),
        (
            lambda: neighbourhood(place(), TREND, space_of(FAMILY), figure="luck"),
            "figure = 'luck': expected one of total_return",
        ),
        (lambda: sub_periods([0.1] * 7, 252), "parts = 4: 7 returns make parts of less than 2"),
        (lambda: regimes([0.1] * 9, [1.0] * 8, 252), "close has 8 bars for 9 returns"),
        (lambda: regimes([0.1] * 9, [1.0] * 9, 252), "window = 100, parts = 3: too much for 9 bars"),
        (lambda: regimes([0.1] * 9, [1.0] * 8 + [0.0], 252), r"close\[8\] is not above 0"),
    ],
)
def test_wrong_argument_is_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
