"""The account against vectorbt: orders at the next open, over random and real bars, all families and directions.

How vectorbt is asked for the same account: `from_orders` with a target percentage of the equity valued at the open
(`val_price`), an order only where the target changed (NaN elsewhere), and fills at the open. It differs by design in

* funding: vectorbt has none, so it is turned off, and families that decide by it are not asked;
* ruin: vectorbt has none and goes on below zero, so these runs end before it;
* a cover that cash can't pay: vectorbt fills a part, we fill it whole (and ruin follows), so none is met here;
* orders: amounts within 1e-9 of each other count as equal and amounts below 1e-12 as nothing, in absolute terms, so
  prices and cash are of ordinary size and targets are no tiny fractions;
* trades: vectorbt's `trades` are one an exit, its `positions` are our trades, from flat or a reversal to the next.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from ledger import bars_of, random_prices, random_targets, real_bars, real_files, seeds, with_wicks
from rules import PLAIN, genes_of, tradable

import islands as isl

vectorbt = pytest.importorskip("vectorbt", reason="vectorbt is not installed (the extra `oracle`)")
pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.slow

CASH = 10_000.0
PERIODS = 8_766
families = pytest.mark.parametrize("family", PLAIN)


def costs(fee: float, slippage: float) -> isl.Costs:
    """vectorbt knows no funding: without it, also on bars that have a rate."""
    return isl.Costs(fee, slippage, funding=False)


def theirs(bars: isl.Bars, targets: np.ndarray, fee: float, slippage: float) -> object:
    """vectorbt's portfolio for the same orders."""
    changed = np.diff(targets, prepend=0.0) != 0.0
    size = np.concatenate(([np.nan], np.where(changed, targets, np.nan)[:-1]))
    return vectorbt.Portfolio.from_orders(
        pd.Series(bars.close),
        size=pd.Series(size),
        size_type="targetpercent",
        direction="both",
        price=pd.Series(bars.open),
        val_price=pd.Series(bars.open),
        fees=fee,
        slippage=slippage,
        init_cash=CASH,
        freq="1D",
    )


def assert_same(bars: isl.Bars, targets: np.ndarray, fee: float, slippage: float) -> None:
    ours = isl.backtest(bars, targets, costs(fee, slippage), initial_cash=CASH, periods_per_year=PERIODS)
    portfolio = theirs(bars, targets, fee, slippage)
    # vectorbt's year, counted in days of one bar each, so that both annualise alike
    returns = portfolio.get_returns_acc(freq="1D", year_freq=pd.Timedelta(days=PERIODS))
    np.testing.assert_allclose(ours.equity, portfolio.value().to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours.units, portfolio.assets().to_numpy(), rtol=1e-9, atol=1e-9)
    figures = {
        "total_return": portfolio.total_return(),
        "max_drawdown": -portfolio.max_drawdown(),
        "sharpe": returns.sharpe_ratio(),
        "volatility": returns.annualized_volatility(),
        "trades": portfolio.positions.count(),
    }
    if ours.metrics["trades"] == 0 or np.isinf(figures["sharpe"]):  # no spread: undefined here, vectorbt divides by it
        figures |= {"sharpe": np.nan}
    for name, value in figures.items():
        assert ours.metrics[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


def survives(bars: isl.Bars, targets: np.ndarray, fee: float, slippage: float) -> bool:
    """Whether equity stays well above nothing, at opens as well, and every cover is paid."""
    result = isl.backtest(bars, targets, costs(fee, slippage), initial_cash=CASH)
    held = np.concatenate(([0.0], result.units[:-1]))
    at_open = np.concatenate(([CASH], result.equity[:-1])) + held * (bars.open - np.roll(bars.close, 1))
    gross = np.abs(held) * bars.open
    return bool((result.equity > 0.05 * CASH).all() and (at_open[1:] > 0.1 * gross[1:]).all())


@families
@examples(60)
@given(data=st.data())
def test_strategy_on_random_bars_earns_the_same_in_vectorbt(family: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["walk", "gaps", "stalls"]))
    seed = data.draw(seeds)
    bars = with_wicks(*random_prices(seed, 150, kind), seed)
    targets = isl.Strategy(family, **data.draw(genes_of(family))).positions(bars)
    terms = data.draw(st.sampled_from([(0.0, 0.0), (1e-3, 0.0), (5e-4, 1e-4), (0.01, 0.005)]))
    assume(survives(bars, targets, *terms))
    assert_same(bars, targets, *terms)


@examples(100)
@given(seeds, st.sampled_from(["walk", "gaps", "stalls"]), st.sampled_from(["levels", "signs", "any"]))
def test_any_targets_earn_the_same_in_vectorbt(seed: int, kind: str, style: str) -> None:
    bars = bars_of(*random_prices(seed, 120, kind))
    targets = random_targets(seed, 120, style)
    assume(survives(bars, targets, 5e-4, 1e-4))
    assert_same(bars, targets, 5e-4, 1e-4)


@families
@pytest.mark.parametrize("direction", ["long", "short", "both"])
@pytest.mark.parametrize("path", real_files())
def test_strategy_on_real_bars_earns_the_same_in_vectorbt(family: str, direction: str, path: object) -> None:
    bars = real_bars(path, 5_000)
    if family not in tradable(bars):
        pytest.skip("these bars have no volume")
    targets = isl.Strategy(family, direction=direction).positions(bars)
    assert targets.any()
    if not survives(bars, targets, 5e-4, 1e-4):
        pytest.skip("ends in ruin, which vectorbt does not know")
    assert_same(bars, targets, 5e-4, 1e-4)


# Stops


def exits_of_vectorbt(bars: isl.Bars, entries: np.ndarray, stop: float, take: float) -> list[tuple]:
    """Its longs, entered at the open after each entry's close, with levels from the fill."""
    at_open = pd.Series(np.concatenate(([False], entries[:-1])))
    portfolio = vectorbt.Portfolio.from_signals(
        pd.Series(bars.close),
        entries=at_open,
        exits=pd.Series(np.zeros(len(bars), dtype=bool)),
        price=pd.Series(bars.open),
        open=pd.Series(bars.open),
        high=pd.Series(bars.high),
        low=pd.Series(bars.low),
        sl_stop=stop,
        tp_stop=take,
        stop_entry_price="fillprice",
        stop_exit_price="stoplimit",
        init_cash=CASH,
        freq="1D",
    )
    rows = portfolio.positions.records
    closed = rows[rows["status"] == 1]
    return list(zip(closed.entry_idx, closed.exit_idx, closed.entry_price, closed.exit_price, strict=True))


@examples(60)
@given(seeds, st.sampled_from([0.02, 0.05]), st.sampled_from([0.03, 0.08]))
def test_stops_and_take_profits_leave_as_in_vectorbt(seed: int, stop: float, take: float) -> None:
    """One long for good; an entry's own bar that touches a level, which vectorbt does not test, is left out."""
    bars = with_wicks(*random_prices(seed, 150, "walk"), seed)
    first, entry = 20, bars.open[20]
    assume(bars.low[first] > entry * (1 - stop) and bars.high[first] < entry * (1 + take))
    targets = np.where(np.arange(len(bars)) >= first - 1, 1.0, 0.0)
    stops = isl.Stops(stop_loss=stop, take_profit=take)
    ours = isl.backtest(bars, targets, isl.Costs(), stops, initial_cash=CASH).trades.filter(~pl.col("open"))
    theirs_ = exits_of_vectorbt(bars, np.arange(len(bars)) == first - 1, stop, take)
    assert len(ours) == len(theirs_)
    for mine, its in zip(ours.select("entry_bar", "exit_bar", "entry_price", "exit_price").rows(), theirs_, strict=True):
        assert mine == pytest.approx(its, rel=1e-9)
