"""isl.metrics: the figures of any series of returns, against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.metrics import METRICS
from ledger import bars_of, figures_of_returns, prices, random_targets

import islands as isl
from islands.errors import InputError

OF_RETURNS, OF_TRADES = (*METRICS[:7], *METRICS[12:17]), (*METRICS[7:12], *METRICS[17:])


def defined(figures: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def test_figures_and_their_order() -> None:
    first = ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")
    assert list(OF_RETURNS) == [*first, "max_drawdown_length", "skew", "kurtosis", "var_5", "cvar_5"]
    before = ("trades", "win_rate", "profit_factor", "exposure", "turnover")
    assert list(OF_TRADES) == [*before, "expectancy", "average_holding", "costs_paid", "break_even_bps"]
    assert METRICS[:12] == (*first, *before)
    assert tuple(isl.metrics([0.1, -0.1])) == METRICS


@pytest.mark.parametrize("periods", [12, 252, 8766])
def test_figures_are_their_formulas(periods: int) -> None:
    r = np.random.default_rng(1).normal(1e-4, 0.01, 1_000)
    wealth = np.concatenate(([1.0], np.cumprod(1.0 + r)))
    drawdown = np.max(1.0 - wealth / np.maximum.accumulate(wealth))
    under, runs = wealth < np.maximum.accumulate(wealth), [0]
    for below in under:
        runs.append(runs[-1] + 1 if below else 0)
    cagr = wealth[-1] ** (periods / 1_000) - 1.0
    away = r - np.mean(r)
    expected = {
        "total_return": wealth[-1] - 1.0,
        "cagr": cagr,
        "volatility": np.std(r, ddof=1) * math.sqrt(periods),
        "sharpe": np.mean(r) / np.std(r, ddof=1) * math.sqrt(periods),
        "sortino": np.mean(r) / math.sqrt(np.mean(np.minimum(r, 0.0) ** 2)) * math.sqrt(periods),
        "calmar": cagr / drawdown,
        "max_drawdown": drawdown,
        "max_drawdown_length": max(runs),
        "skew": np.mean(away**3) / np.std(r) ** 3,
        "kurtosis": np.mean(away**4) / np.std(r) ** 4,
        "var_5": np.percentile(r, 5),
        "cvar_5": np.mean(np.sort(r)[: int(0.05 * 999) + 1]),
    }
    assert defined(isl.metrics(r, periods)) == pytest.approx(expected, rel=1e-11)


@examples(300)
@given(st.lists(st.floats(-0.5, 0.5, allow_subnormal=False) | st.just(0.0), min_size=5, max_size=60))
def test_figures_of_any_returns_agree_with_the_slow_ones(returns: list[float]) -> None:
    ours, slow = isl.metrics(returns), figures_of_returns(returns, 252)
    loose = 252 / len(returns)
    steady = slow["kurtosis"] == slow["kurtosis"] and slow["sharpe"] ** 2 / 252 < 1e6
    for name in OF_RETURNS:
        if name in ("skew", "kurtosis") and not steady:  # a spread that is nearly rounding has no digits to compare
            continue
        scale = loose * max(1.0, 1e-3 / slow["max_drawdown"]) if name == "calmar" and slow["max_drawdown"] else loose
        assert ours[name] == pytest.approx(slow[name], rel=1e-11 * scale, abs=1e-11 * scale, nan_ok=True), name


def test_periods_per_year_are_252_unless_said() -> None:
    np.testing.assert_equal(isl.metrics([0.01, -0.02, 0.03]), isl.metrics([0.01, -0.02, 0.03], 252))


def test_nan_is_dropped() -> None:
    np.testing.assert_equal(isl.metrics([math.nan, 0.01, math.nan, -0.02, 0.03]), isl.metrics([0.01, -0.02, 0.03]))


def test_drawdown_counts_from_the_first_return_and_is_positive() -> None:
    assert isl.metrics([-0.25, 0.1, 0.1])["max_drawdown"] == 0.25
    assert isl.metrics([0.5, -0.5, 1.0])["max_drawdown"] == 0.5
    assert isl.metrics([0.5, 0.25])["max_drawdown"] == 0.0


def test_drawdowns_length_counts_bars_below_the_peak_and_the_end_may_cut_it() -> None:
    assert isl.metrics([0.5, -0.5, 0.25, 0.0, 0.75, 0.5])["max_drawdown_length"] == 3.0
    assert isl.metrics([0.5, -0.5, 1.0, 0.0, -0.5, 0.0])["max_drawdown_length"] == 2.0
    assert isl.metrics([0.0, 0.0, 0.5])["max_drawdown_length"] == 0.0


def test_loss_of_everything() -> None:
    figures = isl.metrics([0.5, -1.0, 0.0])
    assert (figures["total_return"], figures["cagr"], figures["max_drawdown"]) == (-1.0, -1.0, 1.0)
    assert figures["calmar"] == -1.0


# What is undefined is NaN


@pytest.mark.parametrize("returns", [[], [math.nan, math.nan]])
def test_nothing_defines_nothing(returns: list[float]) -> None:
    assert defined(isl.metrics(returns)) == {}


def test_one_return_has_no_spread() -> None:
    figures = defined(isl.metrics([-0.5], 2))
    assert figures == {
        "total_return": -0.5,
        "cagr": -0.75,
        "sortino": -math.sqrt(2),
        "calmar": -1.5,
        "max_drawdown": 0.5,
        "max_drawdown_length": 1.0,
        "var_5": -0.5,
        "cvar_5": -0.5,
    }


def test_returns_of_nothing_but_zeros_have_no_ratio() -> None:
    assert defined(isl.metrics(np.zeros(50))) == dict.fromkeys(
        ("total_return", "cagr", "volatility", "max_drawdown", "max_drawdown_length", "var_5", "cvar_5"), 0.0
    )


@pytest.mark.parametrize("r", [-0.01, 0.01, 0.1, -1 / 3, 1e-300])
@pytest.mark.parametrize("bars", [2, 3, 1_000])
def test_constant_returns_have_no_sharpe(r: float, bars: int) -> None:
    figures = isl.metrics(np.full(bars, r))
    assert math.isnan(figures["sharpe"])
    assert math.isnan(figures["sortino"]) == (r > 0.0)
    assert math.isnan(figures["calmar"]) == (r > 0.0)


def test_faint_spread_around_a_constant_is_a_spread() -> None:
    r = 0.01 + 1e-9 * np.random.default_rng(2).standard_normal(2_000)
    slow = figures_of_returns(r.tolist(), 252)
    assert isl.metrics(r)["sharpe"] == pytest.approx(slow["sharpe"], rel=1e-9)


def test_bare_returns_say_nothing_of_trades() -> None:
    figures = isl.metrics(np.random.default_rng(3).normal(0, 0.01, 100))
    assert tuple(defined(figures)) == OF_RETURNS


@examples(150)
@given(prices(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.002]))
def test_figures_of_a_backtests_returns_are_the_backtests(case: tuple, seed: int, fee: float) -> None:
    bars = bars_of(*case)
    r = isl.backtest(bars, random_targets(seed, len(bars), "levels"), isl.Costs(fee=fee), periods_per_year=252)
    alone = isl.metrics(r.returns, 252)
    loose = max(1.0, 252 / len(bars)) * max(1.0, 1e-3 / max(r.metrics["max_drawdown"], 1e-12))
    for name in OF_RETURNS:
        assert alone[name] == pytest.approx(r.metrics[name], rel=1e-11 * loose, abs=1e-11 * loose, nan_ok=True), name


# Arguments


def test_table_of_returns_is_refused() -> None:
    with pytest.raises(InputError, match=r"returns have shape \(2, 2\): expected a series, \(T,\)"):
        isl.metrics(np.zeros((2, 2)))


@pytest.mark.parametrize("periods", [0, -1, math.nan, math.inf])
def test_periods_per_year_that_are_no_number_of_bars_are_refused(periods: float) -> None:
    with pytest.raises(InputError, match=f"periods_per_year = {periods}: expected a positive number of bars"):
        isl.metrics([0.1], periods)
