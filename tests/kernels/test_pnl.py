"""The account, against an explicit ledger: bar for bar, trade for trade, figure for figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from ledger import (
    KINDS,
    TRADE_COLUMNS,
    Ledger,
    bars_of,
    funded,
    keep,
    mean_and_std,
    prices,
    random_funding,
    random_prices,
    random_targets,
    real_bars,
    real_files,
    seeds,
)
from rules import SLOW_POSITIONS, bars_for, genes_of

import islands as isl
from islands.evaluation import Backtest, Costs, backtest

CASH = 10_000.0
YEARLY = 252.0
rates = st.just(0.0) | st.floats(1e-6, 0.01)


def run(
    open_: object,
    close: object,
    targets: object,
    fee: float = 0.0,
    slippage: float = 0.0,
    score_from: int = 0,
    funding: object = None,
) -> Backtest:
    """The backtest of given targets on hourly bars with these opens and closes, and funding rates where given."""
    bars = bars_of(open_, close)
    return backtest(
        bars if funding is None else funded(bars, funding),
        targets,
        Costs(fee, slippage),
        initial_cash=CASH,
        periods_per_year=YEARLY,
        score_from=score_from,
    )


def assert_same(result: Backtest, ledger: Ledger, score_from: int) -> None:
    """Equity, units and returns to 1e-11, trades row by row, and every figure to 1e-11."""
    np.testing.assert_allclose(result.equity, ledger.equity, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(result.units, ledger.units, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(result.returns[score_from:], ledger.returns, rtol=1e-11, atol=1e-11)
    assert not result.returns[:score_from].any()
    rows = result.trades.to_dicts()
    assert result.trades.columns == list(TRADE_COLUMNS)
    assert len(rows) == len(ledger.trades)
    for ours, theirs in zip(rows, ledger.trades, strict=True):
        for name in ("entry_bar", "exit_bar", "side", "reason", "open"):
            assert ours[name] == theirs[name], name
        notional = theirs["units"] * theirs["entry_price"]
        for name in ("units", "entry_price", "exit_price", "fees", "return", "pnl"):
            scale = {"pnl": notional, "return": 1.0}.get(name, 0.0)
            assert ours[name] == pytest.approx(theirs[name], rel=1e-9, abs=1e-12 * scale), name
    assert_same_figures(result.metrics, ledger)


def assert_same_figures(figures: dict[str, float], ledger: Ledger) -> None:
    doubtful = any(abs(trade["return"]) < 1e-12 for trade in ledger.trades)  # a gain or a loss: the last bit decides
    exponent = max(1.0, YEARLY / len(ledger.returns))  # annualising magnifies the last bits
    assert list(figures) == list(ledger.metrics)
    for name, ours in figures.items():
        if doubtful and name in ("win_rate", "profit_factor"):
            continue
        loose = exponent if name in ("cagr", "calmar") else math.sqrt(YEARLY)
        if name in ("expectancy", "costs_paid", "break_even_bps"):
            loose *= CASH
        if name in ("calmar", "sortino") and not math.isnan(ours):  # and a division by losses those of small ones
            loose *= max(1.0, 1e-3 / ledger.metrics["max_drawdown"])
        assert ours == pytest.approx(ledger.metrics[name], rel=1e-11 * loose, abs=1e-11 * loose, nan_ok=True), name


@st.composite
def runs(draw: st.DrawFn) -> tuple:
    open_, close = draw(prices())
    bars = len(close)
    style = draw(st.sampled_from(["levels", "signs", "any"]))
    targets = random_targets(draw(st.integers(0, 2**32 - 1)), bars, style)
    funding = random_funding(draw(seeds), bars, draw(st.sampled_from(["none", "eight", "violent"])))
    return open_, close, targets, draw(rates), draw(rates), draw(st.integers(0, bars - 1) | st.just(0)), funding


@pytest.mark.slow
@examples(600)
@given(runs())
def test_account_agrees_with_the_ledger_bar_for_bar_and_trade_for_trade(case: tuple) -> None:
    open_, close, targets, fee, slippage, score_from, funding = case
    ledger = keep(open_, close, targets, fee, slippage, score_from, CASH, YEARLY, funding)
    assert_same(run(*case), ledger, score_from)


@pytest.mark.parametrize("family", isl.families())
@examples(60)
@given(data=st.data())
def test_family_agrees_with_its_slow_twin_and_the_ledger_from_genes_to_figures(family: str, data: st.DataObject) -> None:
    bars, genes = data.draw(bars_for(family)), data.draw(genes_of(family))
    if bars.tape.funding_rate is None and data.draw(st.booleans()):
        bars = funded(bars, random_funding(1, len(bars), "eight"))
    funding = bars.tape.funding_rate
    fee, slippage, score_from = data.draw(rates), data.draw(rates), data.draw(st.integers(0, len(bars) - 1))
    result = backtest(
        bars,
        isl.Strategy(family, **genes),
        Costs(fee, slippage),
        initial_cash=CASH,
        periods_per_year=YEARLY,
        score_from=score_from,
    )
    targets = SLOW_POSITIONS[family](bars, **genes)
    assert result.positions.tolist() == targets
    assert_same(result, keep(bars.open, bars.close, targets, fee, slippage, score_from, CASH, YEARLY, funding), score_from)


@pytest.mark.slow
@pytest.mark.parametrize("path", real_files())
def test_account_agrees_with_the_ledger_on_real_bars(path: object) -> None:
    bars = real_bars(path, 1_500, start=1_000)
    for seed, style in enumerate(("levels", "signs", "any")):
        targets = random_targets(seed, len(bars), style)
        ledger = keep(bars.open, bars.close, targets, 5e-4, 1e-4, 100, CASH, YEARLY, bars.tape.funding_rate)
        result = backtest(bars, targets, Costs(5e-4, 1e-4), initial_cash=CASH, periods_per_year=YEARLY, score_from=100)
        assert_same(result, ledger, 100)


def test_random_runs_meet_ruins_reversals_resizes_open_ends_and_funding_that_ruins() -> None:
    """The property above is worth what its cases hold."""
    met: set[str] = set()
    for seed, kind in enumerate(KINDS * 20):
        case = *random_prices(seed, 80, kind), random_targets(seed, 80, "levels"), 0.005, 0.005
        paying = keep(*case, funding=random_funding(seed, 80, "violent"))
        met |= {"funded ruin" for trade in paying.trades if trade["reason"] == "ruin" and trade["exit_bar"] in paying.funding}
        ledger = keep(*case)
        met |= {trade["reason"] for trade in ledger.trades}
        met |= {"resize" for fill in ledger.fills if fill.held * (fill.held + fill.traded) > 0.0}
    assert met == {"signal", "reversal", "ruin", "end", "resize", "funded ruin"}


# When orders are filled


def test_decision_at_a_close_is_filled_at_the_next_open() -> None:
    result = run([10, 16, 20], [16, 20, 40], [1, 1, 1])
    assert result.units.tolist() == [0.0, 625.0, 625.0]
    assert result.equity.tolist() == [10_000.0, 12_500.0, 25_000.0]
    assert result.returns.tolist() == [0.0, 0.25, 1.0]


def test_last_decision_is_not_filled() -> None:
    result = run([8, 8, 8], [8, 8, 16], [0, 0, 1])
    assert result.units.tolist() == [0.0, 0.0, 0.0]
    assert result.metrics["trades"] == 0.0
    assert result.trades.is_empty()


def test_repeated_target_orders_nothing() -> None:
    result = run([8, 8, 16, 4, 8], [8, 16, 4, 8, 8], [0.5, 0.5, 0.5, 0.5, 0.5])
    assert result.units.tolist() == [0.0, 625.0, 625.0, 625.0, 625.0]
    assert result.metrics["turnover"] == 5_000 / result.equity.mean() * YEARLY / 5


def test_single_bar_is_scored_flat() -> None:
    result = run([8], [16], [1])
    assert result.equity.tolist() == [CASH]
    assert math.isnan(result.metrics["sharpe"])
    assert result.metrics["total_return"] == 0.0


# What orders cost


def test_buy_is_capped_by_the_cash_that_pays_for_it_with_its_fee() -> None:
    result = run([8, 8], [8, 8], [1, 1], fee=0.25, slippage=0.25)
    assert result.units.tolist() == [0.0, 10_000 / (10 * 1.25)]
    assert result.trades["fees"].to_list() == [2_000.0]
    assert result.equity.tolist() == [10_000.0, 6_400.0]


def test_buy_below_the_cap_is_not_scaled() -> None:
    result = run([8, 8], [8, 8], [0.5, 0.5], fee=0.25, slippage=0.25)
    assert result.units.tolist() == [0.0, 625.0]
    assert result.equity.tolist() == [10_000.0, 10_000 - 625 * 10 * 1.25 + 625 * 8]


def test_reversals_buy_is_capped_beyond_the_cover() -> None:
    """Short 1,250 at 8, then long with everything: equity 10,000 asks for 1,250, cash 20,000 pays for 2,000 in all."""
    result = run([8, 8, 8], [8, 8, 8], [-1, 1, 1], fee=0.25)
    cash = 20_000 - 0.25 * 10_000
    assert result.units.tolist() == [0.0, -1_250.0, cash / (8 * 1.25) - 1_250]
    assert result.trades["reason"].to_list() == ["reversal", "end"]


def test_reversals_fee_is_split_by_units() -> None:
    result = run([8, 8, 8, 8], [8, 8, 8, 8], [0.5, -0.25, 0, 0], fee=0.125)
    first, second = result.trades.to_dicts()
    short = 0.25 * (10_000 - 0.125 * 5_000) / 8
    assert (first["units"], first["fees"], first["reason"]) == (625.0, 0.125 * 5_000 * 2, "reversal")
    assert (second["side"], second["units"], second["fees"]) == (-1, short, 0.125 * short * 8 * 2)
    assert first["exit_bar"] == second["entry_bar"] == 2


def test_sell_fills_below_and_buy_above_the_open() -> None:
    trade = run([8, 8, 16, 16], [8, 16, 16, 16], [0.5, 0, 0, 0], slippage=0.25).trades.to_dicts()[0]
    assert (trade["entry_price"], trade["exit_price"]) == (10.0, 12.0)
    trade = run([8, 8, 16, 16], [8, 16, 16, 16], [-0.5, 0, 0, 0], slippage=0.25).trades.to_dicts()[0]
    assert (trade["entry_price"], trade["exit_price"]) == (6.0, 20.0)


# What belongs to a trade


def test_resizes_belong_to_the_trade() -> None:
    result = run([8, 8, 16, 32, 32], [8, 16, 32, 32, 32], [0.25, 0.5, 0.125, 0, 0])
    first, second, third = 312.5, 0.5 * 12_500 / 16, 0.125 * (12_500 + 16 * 390.625) / 32
    assert result.units.tolist() == [0.0, first, second, third, 0.0]
    assert result.trades.height == 1
    trade = result.trades.to_dicts()[0]
    assert (trade["entry_bar"], trade["exit_bar"], trade["side"], trade["open"]) == (1, 4, 1, False)
    assert trade["units"] == second
    assert trade["entry_price"] == (first * 8 + (second - first) * 16) / second
    assert trade["exit_price"] == 32.0
    assert trade["return"] == trade["pnl"] / (trade["units"] * trade["entry_price"])


def test_open_trade_is_marked_at_the_last_close_and_is_neither_won_nor_lost() -> None:
    result = run([8, 8, 8], [8, 8, 12], [1, 1, 1])
    trade = result.trades.to_dicts()[0]
    assert (trade["exit_bar"], trade["exit_price"], trade["pnl"]) == (2, 12.0, 5_000.0)
    assert (trade["open"], trade["reason"]) == (True, "end")
    assert result.metrics["trades"] == 1.0
    assert math.isnan(result.metrics["win_rate"])
    assert math.isnan(result.metrics["profit_factor"])


def test_exposure_counts_bars_held_at_the_close() -> None:
    result = run([8] * 5, [8] * 5, [1, 0, -0.5, -0.5, 0])
    assert result.units.tolist() == [0.0, 1250.0, 0.0, -625.0, -625.0]
    assert result.metrics["exposure"] == 3 / 5


@examples(200)
@given(runs())
def test_trades_pnl_add_up_to_what_the_account_gained(case: tuple) -> None:
    result = run(*case)
    turned = (result.trades["units"] * result.trades["entry_price"]).sum() + CASH
    gained = result.equity[-1] - CASH
    if result.equity[-1] == 0.0 and "ruin" not in result.trades["reason"].to_list():
        assert result.trades["pnl"].sum() <= -CASH  # an order's own costs took the last of it: nothing to take off
    else:
        assert result.trades["pnl"].sum() == pytest.approx(gained, rel=1e-11, abs=1e-12 * turned)


# Ruin


def test_ruin_at_the_open_ends_the_run_flat_at_nothing_before_the_order_that_was_due() -> None:
    result = run([8, 8, 17, 2, 2], [8, 8, 2, 2, 4], [-1, 1, 1, 1, 1], fee=0.0)
    assert result.equity.tolist() == [10_000.0, 10_000.0, 0.0, 0.0, 0.0]
    assert result.units.tolist() == [0.0, -1_250.0, 0.0, 0.0, 0.0]
    assert result.returns.tolist() == [0.0, 0.0, -1.0, 0.0, 0.0]
    trade = result.trades.to_dicts()[0]
    assert (trade["exit_bar"], trade["reason"], trade["open"]) == (2, "ruin", False)
    assert (trade["exit_price"], trade["pnl"]) == (16.0, -10_000.0)  # the price at which equity is exactly 0
    assert result.metrics["max_drawdown"] == 1.0
    assert result.metrics["total_return"] == -1.0


def test_ruin_at_the_close_is_final_though_the_next_open_would_save_it() -> None:
    result = run([8, 8, 8, 8], [8, 16, 8, 8], [-1, -1, -1, -1])
    assert result.equity.tolist() == [10_000.0, 0.0, 0.0, 0.0]
    assert result.trades["exit_bar"].to_list() == [1]
    assert result.metrics["exposure"] == 0.0


def test_equity_above_nothing_is_no_ruin() -> None:
    result = run([8, 8, 8], [8, 15.96875, 8], [-1, -1, -1])
    assert result.equity.tolist() == [10_000.0, 20_000 - 1_250 * 15.96875, 10_000.0]


def test_cover_that_cash_cannot_pay_is_filled_whole_and_ruins() -> None:
    """Equity at the open is 1,250, but the cover costs 19,687.50 and the cash is 18,750."""
    result = run([8, 8, 14, 8], [8, 8, 8, 8], [-1, 0, 0, 0], slippage=0.125)
    assert result.units.tolist() == [0.0, -1_250.0, 0.0, 0.0]
    assert result.equity.tolist() == [10_000.0, 8_750.0, 0.0, 0.0]
    trade = result.trades.to_dicts()[0]
    assert (trade["exit_price"], trade["pnl"], trade["reason"]) == (15.75, -10_937.5, "signal")


def test_cover_due_is_not_filled_after_ruin_at_the_same_open() -> None:
    result = run([8, 8, 16, 8], [8, 8, 8, 8], [-1, 0, 0, 0])
    assert result.trades["reason"].to_list() == ["ruin"]


# Funding


def test_position_held_into_a_bar_pays_funding_at_its_open_before_the_bars_order() -> None:
    """625 units at 8: the entry's bar pays nothing, the exit's bar pays 625 * 16 * 0.01."""
    result = run([8, 8, 16, 8], [8, 8, 16, 8], [0.5, 0, 0, 0], fee=0.125, funding=[0.5, 0.5, 0.01, 0.5])
    assert result.equity.tolist() == [10_000.0, 9_375.0, 9_375 + 5_000 - 1_250 - 100, 13_025.0]
    trade = result.trades.to_dicts()[0]
    assert (trade["fees"], trade["pnl"], trade["return"]) == (1_875.0, 5_000 - 1_875.0 - 100, 3_025 / 5_000)


def test_short_receives_what_a_long_pays() -> None:
    for side, cash in ((1, 10_000 - 50.0), (-1, 10_000 + 50.0)):
        assert run([8] * 3, [8] * 3, [0.5 * side] * 3, funding=[0, 0, 0.01]).equity[-1] == cash


def test_reversals_bar_charges_the_trade_that_ends() -> None:
    result = run([8] * 4, [8] * 4, [0.5, -0.5, 0, 0], funding=[0, 0, 0.01, 0])
    assert result.trades["pnl"].to_list() == [-50.0, 0.0]


def test_order_is_sized_by_the_equity_after_funding() -> None:
    result = run([8] * 3, [8] * 3, [0.5, -1, 0], funding=[0, 0, 0.25])
    assert result.units.tolist() == [0.0, 625.0, -(10_000 - 1_250) / 8]


def test_open_trade_is_marked_after_the_funding_it_paid() -> None:
    result = run([8] * 3, [8] * 3, [0.5] * 3, funding=[0, 0, 0.01])
    assert (result.trades["pnl"].to_list(), result.trades["open"].to_list()) == ([-50.0], [True])


def test_funding_ruins_before_the_order_that_was_due() -> None:
    result = run([8] * 4, [8] * 4, [1, 0, 0, 0], funding=[0, 0, 1.0, 0])
    assert result.equity.tolist() == [10_000.0, 10_000.0, 0.0, 0.0]
    assert result.trades["reason"].to_list() == ["ruin"]
    assert result.trades["pnl"].to_list() == [-10_000.0]


def test_nothing_is_held_and_nothing_paid_before_the_first_scored_bar() -> None:
    result = run([8] * 5, [8] * 5, [1] * 5, score_from=2, funding=[0.01] * 5)
    assert result.equity.tolist() == [10_000.0, 10_000.0, 10_000.0, 9_900.0, 9_800.0]


@examples(50)
@given(runs())
def test_rates_of_nothing_change_no_bit(case: tuple) -> None:
    without, nothing = run(*case[:-1]), run(*case[:-1], np.zeros(len(case[0])))
    assert nothing.equity.tobytes() == without.equity.tobytes()
    assert nothing.trades.equals(without.trades, null_equal=True)
    np.testing.assert_equal(nothing.metrics, without.metrics)


def test_funding_is_not_booked_where_costs_leave_it_out() -> None:
    bars, targets = bars_of([8] * 3, [8] * 3), [0.5] * 3
    paying = funded(bars, [0, 0, 0.01])
    assert backtest(paying, targets).equity[-1] == 9_950.0
    assert backtest(paying, targets, Costs(funding=False)).equity[-1] == 10_000.0
    assert backtest(bars, targets, Costs(funding=True)).equity[-1] == 10_000.0


# Where scoring starts


def test_standing_target_is_ordered_at_the_first_scored_open() -> None:
    result = run([8, 8, 4, 4], [8, 4, 4, 8], [1, 1, 1, 1], score_from=2)
    assert result.units.tolist() == [0.0, 0.0, 2_500.0, 2_500.0]
    assert result.equity.tolist() == [10_000.0, 10_000.0, 10_000.0, 20_000.0]
    assert result.trades["entry_bar"].to_list() == [2]
    assert result.metrics["exposure"] == 1.0
    assert result.metrics["cagr"] == 2.0 ** (YEARLY / 2) - 1.0


def test_bars_before_the_first_scored_one_leave_no_mark() -> None:
    late = run([8, 8, 64, 4, 4], [8, 64, 4, 4, 8], [-1, -1, 1, 1, 1], 0.01, 0.01, score_from=3)
    alone = run([4, 4, 4], [4, 4, 8], [1, 1, 1], 0.01, 0.01, score_from=1)
    assert late.equity.tolist()[3:] == alone.equity.tolist()[1:]
    np.testing.assert_equal(late.metrics, alone.metrics)


# Figures at the edge


@examples(100)
@given(runs(), st.integers(-40, 40))
def test_prices_times_a_power_of_two_change_units_and_nothing_else(case: tuple, exponent: int) -> None:
    open_, close, *terms = case
    scale = 2.0**exponent
    here, there = run(open_, close, *terms), run(open_ * scale, close * scale, *terms)
    assert there.equity.tobytes() == here.equity.tobytes()
    assert there.returns.tobytes() == here.returns.tobytes()
    assert (there.units * scale).tobytes() == here.units.tobytes()
    np.testing.assert_equal(there.metrics, here.metrics)


def test_sharpe_of_exactly_constant_returns_is_undefined() -> None:
    open_ = 2.0 ** np.arange(-10, 20)
    result = run(open_, 2 * open_, np.ones(30), score_from=5)
    assert result.returns[5:].tolist() == [1.0] * 25
    assert math.isnan(result.metrics["sharpe"])
    assert result.metrics["volatility"] == 0.0
    assert math.isnan(result.metrics["sortino"])
    assert math.isnan(result.metrics["calmar"])


def test_figures_of_a_run_that_never_trades() -> None:
    figures = run([8, 9, 10], [9, 10, 8], [0, 0, 0]).metrics
    defined = {name: value for name, value in figures.items() if not math.isnan(value)}
    of_returns = ("total_return", "cagr", "volatility", "max_drawdown", "max_drawdown_length", "var_5", "cvar_5")
    assert defined == dict.fromkeys((*of_returns, "trades", "exposure", "turnover", "costs_paid"), 0.0)


@pytest.mark.parametrize("bars", [50, 5_000])
@pytest.mark.parametrize("noise", [1e-3, 1e-6, 1e-9])
def test_sharpe_of_steady_growth_under_faint_noise_is_that_of_two_passes(bars: int, noise: float) -> None:
    close = np.cumprod(1.01 + noise * np.random.default_rng(7).standard_normal(bars))
    result = run(np.concatenate(([1.0], close[:-1])), close, np.ones(bars), score_from=1)
    mean, std = mean_and_std(result.returns[1:].tolist())
    known = max(1e-9, 2.0**-50 / noise)  # a return is known to the rounding of two equities
    assert result.metrics["sharpe"] == pytest.approx(mean / std * math.sqrt(YEARLY), rel=known)
    assert result.metrics["volatility"] == pytest.approx(std * math.sqrt(YEARLY), rel=known)


def test_rounding_is_neither_a_drawdown_nor_a_loss() -> None:
    """Resizes in a market that stands still leave 1e-15 of the equity behind: no Calmar of 1e14, no profit factor."""
    price = np.full(300, 101.17753237)
    result = run(price, price, np.where(np.arange(300) % 7 == 6, 0.0, random_targets(3, 300, "any")))
    assert 0.0 < result.metrics["max_drawdown"] < 1e-12
    assert (result.trades["pnl"] < 0.0).any()
    assert math.isnan(result.metrics["calmar"])
    assert math.isnan(result.metrics["profit_factor"])


def test_negative_zero_is_flat() -> None:
    result = run([8, 9, 10, 11], [9, 10, 11, 12], [0.0, -0.0, 0.5, -0.0], fee=0.01)
    assert result.units.tolist()[:3] == [0.0, 0.0, 0.0]
    assert result.metrics["trades"] == 1.0
