"""Stops, take-profits and orders at the next open against backtesting.py; docs/oracles.md says where it differs."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from ledger import random_prices, seeds, with_wicks

import islands as isl

backtesting = pytest.importorskip("backtesting", reason="backtesting.py is not installed (the extra `oracle`)")
pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.slow

CASH = 1e8  # it trades whole units: so many that the rest does not matter


def entries(bars: int, seed: int) -> np.ndarray:
    """Targets that stand for some bars and are flat between, half of the equity long or short."""
    rng = np.random.default_rng(seed)
    targets = np.zeros(bars)
    t = 1
    while t < bars - 12:
        held = int(rng.integers(2, 9))
        targets[t : t + held] = rng.choice([-0.5, 0.5])
        t += held + int(rng.integers(1, 5))
    return targets


def theirs(bars: isl.Bars, targets: np.ndarray, stop: float | None, take: float | None) -> list[tuple]:
    frame = pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume},
        index=pd.date_range("2024-01-01", periods=len(bars), freq="1h"),
    )

    class Repeat(backtesting.Strategy):
        def init(self) -> None:
            self.before = 0.0

        def next(self) -> None:
            t = len(self.data) - 1
            target = targets[t]
            if target != self.before:
                self.position.close()
                fill = self.data.Close[-1]  # where the next bar opens: these bars have no gaps
                if target > 0.0:
                    self.buy(size=1_000, sl=fill * (1 - stop) if stop else None, tp=fill * (1 + take) if take else None)
                elif target < 0.0:
                    self.sell(size=1_000, sl=fill * (1 + stop) if stop else None, tp=fill * (1 - take) if take else None)
            self.before = target

    trades = backtesting.Backtest(frame, Repeat, cash=CASH, finalize_trades=False).run()["_trades"]
    rows = zip(trades.EntryBar, trades.ExitBar, np.sign(trades.Size), trades.EntryPrice, trades.ExitPrice, strict=True)
    return sorted((int(a), int(b), int(side), entry, left) for a, b, side, entry, left in rows)


@examples(60)
@given(seeds, st.sampled_from(["walk", "stalls"]), st.sampled_from([None, 0.01, 0.03]), st.sampled_from([None, 0.02, 0.05]))
def test_entries_and_exits_are_backtestings(seed: int, kind: str, stop: float | None, take: float | None) -> None:
    bars = with_wicks(*random_prices(seed, 120, kind), seed)
    targets = entries(len(bars), seed)
    result = isl.backtest(bars, targets, stops=isl.Stops(stop_loss=stop, take_profit=take), initial_cash=CASH)
    closed = [row for row in result.trades.to_dicts() if not row["open"]]
    other = theirs(bars, targets, stop, take)
    assert len(closed) == len(other)
    for mine, (entered, left, side, entry, price) in zip(closed, other, strict=True):
        assert (mine["entry_bar"], mine["exit_bar"], mine["side"]) == (entered, left, side)
        assert mine["entry_price"] == pytest.approx(entry, rel=1e-12)
        expected = [mine["exit_price"]]
        if mine["reason"] == "signal":  # there a level touched during the bar replaces the exit due at its open
            expected += [entry * (1 - side * (stop or 0.0)), entry * (1 + side * (take or 0.0))]
        assert any(price == pytest.approx(x, rel=1e-12) for x in expected)
