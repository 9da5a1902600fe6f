"""The slow ledger with overlays and every cost: plain Python, written from the accounting rules sentence by sentence.

It knows nothing of the kernels; what it shares with `ledger` is how fills become trades, parts and figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from ledger import NAN, Fill, Ledger, seeds, settle, take_off

import islands as isl

YEAR_US = 365.25 * 86_400e6


@dataclass
class Position:
    """What is held: signed units, the average price of what was bought (or sold short), and what was fixed at entry."""

    units: float
    average: float
    entry_bar: int
    extremes: list[float]  # the fill, then the best price of each bar that has closed since
    atr: float
    scale: float

    @property
    def side(self) -> float:
        return math.copysign(1.0, self.units)


def slow_atr(bars: isl.Bars, n: int) -> list[float]:
    """Wilder's: the plain mean of the first n true ranges at bar n, then (previous * (n-1) + today's) / n."""
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    ranges = [max(high[t], close[t - 1]) - min(low[t], close[t - 1]) for t in range(1, len(close))]
    values = [NAN] * len(close)
    for t in range(n, len(close)):
        values[t] = math.fsum(ranges[:n]) / n if t == n else (values[t - 1] * (n - 1) + ranges[t - 1]) / n
    return values


def slow_volatility(close: Sequence[float], t: int, n: int, periods_per_year: float) -> float:
    """Of the last n returns up to the close of bar t, ddof 1, annualised; NaN before there are n."""
    if t < n:
        return NAN
    returns = [close[i] / close[i - 1] - 1.0 for i in range(t - n + 1, t + 1)]
    mean = math.fsum(returns) / n
    return math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (n - 1) * periods_per_year)


class Account:
    """One account that lives through the bars, and the ledger it leaves."""

    def __init__(
        self, bars: isl.Bars, costs: isl.Costs, stops: isl.Stops, sizing: isl.Sizing, cash: float, periods: float
    ) -> None:
        self.costs, self.stops, self.sizing, self.periods = costs, stops, sizing, periods
        self.open, self.high, self.low, self.close, self.volume = (
            series.tolist() for series in (bars.open, bars.high, bars.low, bars.close, bars.volume)
        )
        self.rates = bars.tape.funding_rate if costs.funding else None
        self.years = np.diff(bars.tape.block[0], prepend=bars.tape.block[0, 0]) / YEAR_US
        self.atr = slow_atr(bars, stops.atr_period)
        self.cash, self.position = cash, None
        self.last_exit: int | None = None
        self.ledger = Ledger()

    def equity(self, price: float) -> float:
        return self.cash + (self.position.units * price if self.position else 0.0)

    # what a fill does

    def fee(self, units: float, price: float, rate: float) -> float:
        return max(rate * abs(units) * price + self.costs.fixed_fee, self.costs.minimum_fee)

    def fill(self, t: int, traded: float, quoted: float, slippage: float, rate: float, reason: str) -> Fill:
        price = quoted * (1.0 + slippage) if traded > 0.0 else quoted * (1.0 - slippage)
        held = self.position.units if self.position else 0.0
        fill = Fill(t, held, traded, price, self.fee(traded, price, rate), quoted, reason)
        self.cash -= traded * price + fill.fee
        self.ledger.fills.append(fill)
        return fill

    def leave(self, t: int, quoted: float, slippage: float, rate: float, reason: str) -> None:
        self.fill(t, -self.position.units, quoted, slippage, rate, reason)
        self.position, self.last_exit = None, t

    # at the open

    def carry(self, t: int) -> None:
        units, price = self.position.units, self.open[t]
        if self.rates is not None:
            self.ledger.funding[t] = units * price * float(self.rates[t])
            self.cash -= self.ledger.funding[t]
        if units < 0.0:
            self.ledger.borrow[t] = -units * price * self.costs.borrow * float(self.years[t])
            self.cash -= self.ledger.borrow[t]

    def scale_at(self, t: int) -> float:
        """How much of a target is ordered, for an entry decided at the close of bar t."""
        if self.sizing.target_volatility is None:
            return self.sizing.fraction
        realised = slow_volatility(self.close, t, self.sizing.volatility_bars, self.periods)
        if math.isnan(realised):
            return 0.0
        wanted = self.sizing.fraction * self.sizing.target_volatility / realised if realised > 0.0 else math.inf
        return min(wanted, self.sizing.cap)

    def order(self, t: int, target: float) -> None:
        held, price = (self.position.units if self.position else 0.0), self.open[t]
        enters = held == 0.0 or target * held < 0.0
        scale = self.scale_at(t - 1) if enters else self.position.scale
        exposure = target * scale
        traded = exposure * self.equity(price) / price - held if exposure != 0.0 else -held
        if traded > 0.0:
            paid = price * (1.0 + self.costs.slippage)
            payable = (self.cash - self.costs.fixed_fee) / (paid * (1.0 + self.costs.fee))
            payable = max(0.0, min(payable, (self.cash - self.costs.minimum_fee) / paid))
            traded = min(traded, max(payable, -held))
        if self.costs.participation is not None:
            most = self.costs.participation * self.volume[t - 1]
            traded = math.copysign(min(abs(traded), most), traded)
        if traded == 0.0:
            return
        fill = self.fill(t, traded, price, self.costs.slippage, self.costs.fee, "signal")
        after = held + traded
        if after == 0.0:
            self.position, self.last_exit = None, t
        elif held * after <= 0.0:
            self.position = Position(after, fill.price, t, [fill.price], self.atr[t - 1], scale)
        else:
            if abs(after) > abs(held):
                self.position.average = (self.position.average * abs(held) + fill.price * abs(traded)) / (
                    abs(held) + abs(traded)
                )
            self.position.units = after

    def order_due(self, t: int, target: float, previous: float) -> None:
        longest, wait = self.stops.max_holding, self.stops.cooldown
        ends = self.position is not None and target != previous and target * self.position.units <= 0.0
        if self.position and longest is not None and t - self.position.entry_bar >= longest and not ends:
            self.leave(t, self.open[t], self.costs.slippage, self.costs.fee, "max_holding")
        elif target != previous:
            waits = wait is not None and self.last_exit is not None and t - 1 <= self.last_exit + wait
            if self.position or not waits:
                self.order(t, target)

    # inside the bar

    def levels(self) -> tuple[list[tuple[float, str]], list[float]]:
        """Levels that stop, each with its reason, and levels that take profit."""
        p, s, side = self.position, self.stops, self.position.side
        best = max(p.extremes) if side > 0 else min(p.extremes)
        stop = [
            (p.average * (1.0 - side * s.stop_loss), "stop_loss") if s.stop_loss else None,
            (p.average - side * s.atr_stop_loss * p.atr, "stop_loss") if s.atr_stop_loss else None,
            (best * (1.0 - side * s.trailing), "trailing") if s.trailing else None,
            (best - side * s.atr_trailing * p.atr, "trailing") if s.atr_trailing else None,
        ]
        take = [
            p.average * (1.0 + side * s.take_profit) if s.take_profit else NAN,
            p.average + side * s.atr_take_profit * p.atr if s.atr_take_profit else NAN,
        ]
        return [x for x in stop if x and not math.isnan(x[0])], [x for x in take if not math.isnan(x)]

    def test_levels(self, t: int) -> None:
        side, (stops, takes) = self.position.side, self.levels()
        # the nearest of each kind; of equal ones the first
        stop, why = min(stops, key=lambda x: -side * x[0], default=(-side * math.inf, ""))
        take = min(takes, key=lambda x: side * x, default=side * math.inf)
        worst, best = (self.low[t], self.high[t]) if side > 0 else (self.high[t], self.low[t])
        hits = {
            "open": (side * self.open[t] < side * stop, side * self.open[t] > side * take),
            "inside": (side * worst <= side * stop, side * best >= side * take),
        }
        for where, (stopped, took) in hits.items():
            if not stopped and not took:
                continue
            stopped = stopped and not (took and self.stops.intrabar == "optimistic")
            reason, level = (why, stop) if stopped else ("take_profit", take)
            resting = where == "inside" and not stopped
            maker = self.costs.fee if self.costs.maker_fee is None else self.costs.maker_fee
            slippage, rate = (0.0, maker) if resting else (self.costs.slippage, self.costs.fee)
            self.leave(t, self.open[t] if where == "open" else level, slippage, rate, reason)
            return

    def live(self, t: int, target: float, previous: float) -> None:
        """One bar."""
        if self.position:
            self.carry(t)
        ruined = self.position is not None and self.equity(self.open[t]) <= 0.0
        if not ruined:
            self.order_due(t, target, previous)
            if self.position:
                self.test_levels(t)
        if ruined or self.equity(self.close[t]) <= 0.0:
            take_off(self.ledger, t, self.cash, self.position.units if self.position else 0.0)
            self.cash, self.position = 0.0, None
        if self.position:
            self.position.extremes.append(self.high[t] if self.position.side > 0 else self.low[t])


def keep_overlaid(
    bars: isl.Bars,
    targets: Sequence[float],
    costs: isl.Costs,
    stops: isl.Stops,
    sizing: isl.Sizing,
    score_from: int = 0,
    initial_cash: float = 10_000.0,
    periods_per_year: float = 252.0,
) -> Ledger:
    """Runs the account over the bars as the rules say, order by order."""
    account = Account(bars, costs, stops, sizing, initial_cash, periods_per_year)
    ledger, targets = account.ledger, [float(x) for x in targets]
    before = initial_cash
    for t in range(len(bars)):
        if t >= score_from and not ledger.ruined:
            target = targets[t - 1] if t > 0 else 0.0
            account.live(t, target, targets[t - 2] if t > score_from and t > 1 else 0.0)
        ledger.equity.append(account.equity(account.close[t]))
        ledger.units.append(account.position.units if account.position else 0.0)
        if t >= score_from:
            ledger.returns.append(ledger.equity[-1] / before - 1.0 if before > 0.0 else 0.0)
            before = ledger.equity[-1]
    settle(ledger, account.close, score_from, periods_per_year)
    return ledger


# overlays and costs to run it with


def _maybe(draw: st.DrawFn, values: Sequence[float]) -> float | None:
    return draw(st.none() | st.sampled_from(values))


@st.composite
def any_stops(draw: st.DrawFn) -> isl.Stops:
    """Fractions and multiples near a bar's range, so that bars touch, gap through, and touch both."""
    fractions, multiples = (0.005, 0.02, 0.03125, 0.1), (0.5, 1.0, 2.5)
    return isl.Stops(
        stop_loss=_maybe(draw, fractions),
        take_profit=_maybe(draw, fractions),
        trailing=_maybe(draw, fractions),
        atr_stop_loss=_maybe(draw, multiples),
        atr_take_profit=_maybe(draw, multiples),
        atr_trailing=_maybe(draw, multiples),
        atr_period=draw(st.integers(1, 20)),
        max_holding=_maybe(draw, (1, 2, 5, 20)),
        cooldown=_maybe(draw, (1, 3, 10)),
        intrabar=draw(st.sampled_from(["pessimistic", "optimistic"])),
    )


@st.composite
def any_sizing(draw: st.DrawFn) -> isl.Sizing:
    return isl.Sizing(
        fraction=draw(st.sampled_from([1.0, 0.5, 0.1])),
        target_volatility=_maybe(draw, (0.05, 0.2, 1.0)),
        volatility_bars=draw(st.integers(2, 30)),
        cap=draw(st.sampled_from([1.0, 0.6])),
    )


@st.composite
def any_costs(draw: st.DrawFn) -> isl.Costs:
    return isl.Costs(
        fee=draw(st.sampled_from([0.0, 5e-4, 0.01])),
        slippage=draw(st.sampled_from([0.0, 1e-4, 0.01])),
        maker_fee=_maybe(draw, (0.0, 2e-4)),
        fixed_fee=draw(st.sampled_from([0.0, 1.0])),
        minimum_fee=draw(st.sampled_from([0.0, 5.0])),
        participation=_maybe(draw, (0.01, 10.0)),
        borrow=draw(st.sampled_from([0.0, 0.05, 20.0])),
        funding=draw(st.booleans()),
    )


def settings_of(seed: int) -> tuple[isl.Stops, isl.Sizing]:
    """One drawn at random, for loops without hypothesis."""
    rng = np.random.default_rng([seed, 7])

    def pick(*values: float) -> float | None:
        return None if rng.random() < 0.5 else rng.choice(values).item()

    names: Iterator[str] = iter(("stop_loss", "take_profit", "trailing"))
    fractions = {name: pick(0.005, 0.02, 0.1) for name in names}
    multiples = {f"atr_{name}": pick(0.5, 2.0) for name in fractions}
    stops = isl.Stops(**fractions, **multiples, max_holding=pick(2, 9), cooldown=pick(2, 5))
    return stops, isl.Sizing(target_volatility=pick(0.1, 0.5), volatility_bars=10)


__all__ = ["any_costs", "any_sizing", "any_stops", "keep_overlaid", "seeds", "settings_of"]
