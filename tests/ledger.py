"""What the kernels are held against: an explicit slow ledger, slow twins of indicators, and markets for them.

Plain Python, written from the accounting rules, not from the kernels: every fill is a record, trades are cut from the
list of fills afterwards, and figures come from whole series by `math.fsum`. The families' twins are in rules.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import strategies as st

from islands.market.bars import Bars
from islands.market.tape import ROWS, Tape

DATA = Path(__file__).parents[2] / "shared" / "data" / "ohlcv"
EPS = 2.0**-52
NOTHING = 1e-12  # a drawdown or a loss below this share of the equity or the traded notional is rounding
NAN = math.nan


# the ledger


@dataclass(frozen=True)
class Fill:
    """One order as it was filled: signed units, the position before it, the fill price and the price before slippage.

    reason: why, should it end a trade; "ruin" is a ruined position taken off.
    """

    bar: int
    held: float
    traded: float
    price: float
    fee: float
    quoted: float
    reason: str = "signal"


@dataclass
class Ledger:
    """One run, written down: equity and units after each close, returns of the scored bars, fills, trades, figures."""

    equity: list[float] = field(default_factory=list)
    units: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    funding: dict[int, float] = field(default_factory=dict)  # bar -> what the position held into it paid at its open
    borrow: dict[int, float] = field(default_factory=dict)  # and what a short paid there for what it borrowed
    forgiven: float = 0.0  # what an account that is ruined flat was short of
    pnl: dict[str, float] = field(default_factory=dict)
    trades: list[dict] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    ruined: bool = False


def keep(
    open_: Sequence[float],
    close: Sequence[float],
    targets: Sequence[float],
    fee: float = 0.0,
    slippage: float = 0.0,
    score_from: int = 0,
    initial_cash: float = 10_000.0,
    periods_per_year: float = 252.0,
    funding: Sequence[float] | None = None,
) -> Ledger:
    """Runs the account over the bars as the rules say, order by order."""
    open_, close, targets = ([float(x) for x in series] for series in (open_, close, targets))
    ledger = Ledger()
    cash, held = initial_cash, 0.0
    for t in range(len(close)):
        if t >= score_from and not ledger.ruined:
            if funding is not None and held != 0.0:
                ledger.funding[t] = held * open_[t] * float(funding[t])
                cash -= ledger.funding[t]
            bankrupt = held != 0.0 and cash + held * open_[t] <= 0.0
            standing = targets[t - 1] if t > 0 else 0.0
            previous = targets[t - 2] if t > score_from and t > 1 else 0.0
            if not bankrupt and standing != previous:
                fill = order(t, cash, held, open_[t], standing, fee, slippage)
                if fill.traded != 0.0:
                    ledger.fills.append(fill)
                    cash -= fill.traded * fill.price + fill.fee
                    held = held + fill.traded
            if bankrupt or cash + held * close[t] <= 0.0:
                ledger.ruined = True
                take_off(ledger, t, cash, held)
                cash = held = 0.0
        before = ledger.equity[-1] if t > score_from else initial_cash
        ledger.equity.append(cash + held * close[t])
        ledger.units.append(held)
        if t >= score_from:
            ledger.returns.append(ledger.equity[-1] / before - 1.0 if before > 0.0 else 0.0)
    settle(ledger, close, score_from, periods_per_year)
    return ledger


def take_off(ledger: Ledger, t: int, cash: float, held: float) -> None:
    """Ends a ruined account: a position goes at the price that leaves exactly nothing."""
    ledger.ruined = True
    if held != 0.0:
        ledger.fills.append(Fill(t, held, -held, -cash / held, 0.0, -cash / held, "ruin"))
    else:
        ledger.forgiven = -cash


def settle(ledger: Ledger, close: Sequence[float], score_from: int, periods_per_year: float) -> None:
    """What is known at the end: the trades, what the result is made of, and the figures."""
    ledger.trades = cut_trades(ledger.fills, [ledger.funding, ledger.borrow], close)
    ledger.pnl = parts_of_pnl(ledger, close[-1])
    of_returns, of_trades = (
        figures_of_returns(ledger.returns, periods_per_year),
        figures_of_trades(ledger, score_from, periods_per_year),
    )
    ledger.metrics = {name: (of_returns | of_trades)[name] for name in FIGURES}


def parts_of_pnl(ledger: Ledger, last: float) -> dict[str, float]:
    """Each part by itself: prices from quotes alone, costs from what was paid."""
    moves = [-fill.traded * fill.quoted for fill in ledger.fills]
    slips = [-fill.traded * (fill.price - fill.quoted) for fill in ledger.fills]
    return {
        "price": math.fsum([*moves, ledger.units[-1] * last, ledger.forgiven]),
        "fees": -math.fsum(fill.fee for fill in ledger.fills),
        "slippage": math.fsum(slips),
        "funding": -math.fsum(ledger.funding.values()),
        "borrow": -math.fsum(ledger.borrow.values()),
    }


def order(t: int, cash: float, held: float, price: float, target: float, fee: float, slippage: float) -> Fill:
    """The order that brings exposure to `target` at the open of bar t, as it is filled."""
    equity = cash + held * price
    traded = target * equity / price - held if target != 0.0 else -held
    if traded > 0.0:
        paid = price * (1.0 + slippage)
        payable = max(0.0, cash / (paid * (1.0 + fee)))
        only_covers = held < 0.0 and traded <= -held
        if not only_covers and traded > payable:
            traded = max(payable, -held if held < 0.0 else 0.0)  # the cap never keeps a short from being covered
    else:
        paid = price * (1.0 - slippage)
    return Fill(t, held, traded, paid, fee * abs(traded) * paid, price)


def cut_trades(fills: Sequence[Fill], carried: Sequence[Mapping[int, float]], close: Sequence[float]) -> list[dict]:
    """Cuts fills into trades: from flat, or a reversal, to flat, or a reversal; the last one may still be open.

    carried: funding and borrowing by bar. They come before a bar's order, so a trade pays on the bars after its entry's,
    its exit's included.
    """
    trades: list[dict] = []
    entries: list[tuple[int, float, float, float]] = []  # bar, units, price and fee of what built the trade under way
    exits: list[tuple[int, float, float, float]] = []

    def end(side: int, reason: str) -> None:
        count = math.fsum(units for _, units, _, _ in entries)
        entered = math.fsum(units * price for _, units, price, _ in entries)
        left = math.fsum(units * price for _, units, price, _ in exits)
        fees = math.fsum(paid for *_, paid in entries + exits)
        bars = entries[0][0], exits[-1][0]
        funded = [-paid for series in carried for bar, paid in series.items() if bars[0] < bar <= bars[1]]
        pnl = math.fsum([side * left, -side * entered, -fees, *funded])
        prices = entered / count, left / count
        values = (*bars, side, count, *prices, pnl, pnl / entered, fees, reason, reason == "end")
        trades.append(dict(zip(TRADE_COLUMNS, values, strict=True)))
        entries.clear()
        exits.clear()

    held = 0.0
    for fill in fills:
        side, size, after = (1 if fill.held > 0.0 else -1), abs(fill.traded), fill.held + fill.traded
        whole = (fill.bar, size, fill.price, fill.fee)
        if fill.held == 0.0 or (fill.traded > 0.0) == (fill.held > 0.0):
            entries.append(whole)
        elif after == 0.0:
            exits.append(whole)
            end(side, fill.reason)
        elif (after > 0.0) == (fill.held > 0.0):
            exits.append(whole)
        else:  # a reversal: its fee is split by units
            exits.append((fill.bar, abs(fill.held), fill.price, fill.fee * abs(fill.held) / size))
            end(side, "reversal")
            entries.append((fill.bar, abs(after), fill.price, fill.fee * abs(after) / size))
        held = after
    if held != 0.0:
        exits.append((len(close) - 1, abs(held), close[-1], 0.0))
        end(1 if held > 0.0 else -1, "end")
    return trades


TRADE_COLUMNS = (
    *("entry_bar", "exit_bar", "side", "units", "entry_price", "exit_price"),
    *("pnl", "return", "fees", "reason", "open"),
)


FIGURES = (
    *("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown"),
    *("trades", "win_rate", "profit_factor", "exposure", "turnover"),
    *("max_drawdown_length", "skew", "kurtosis", "var_5", "cvar_5"),
    *("expectancy", "average_holding", "costs_paid", "break_even_bps"),
)
OF_RETURNS = (*FIGURES[:7], *FIGURES[12:17])


def power(base: float, exponent: float) -> float:
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def mean_and_std(returns: Sequence[float]) -> tuple[float, float]:
    """Two passes, summed without rounding; std with ddof 1, NaN for fewer than 2."""
    mean = math.fsum(returns) / len(returns)
    if len(returns) < 2:
        return mean, NAN
    return mean, math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))


def figures_of_returns(returns: Sequence[float], periods_per_year: float) -> dict[str, float]:
    """The figures that bare returns define; NaN where undefined."""
    if not returns:
        return dict.fromkeys(OF_RETURNS, NAN)
    root, largest = math.sqrt(periods_per_year), max(abs(r) for r in returns)
    mean, std = mean_and_std(returns)
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in returns) / len(returns))
    wealth = [1.0]
    for r in returns:
        wealth.append(wealth[-1] * (1.0 + r))
    drawdown = max(1.0 - wealth[t] / max(wealth[: t + 1]) for t in range(len(wealth)))
    cagr = power(wealth[-1], periods_per_year / len(returns)) - 1.0
    spreads = std > 8 * EPS * largest
    values = (
        wealth[-1] - 1.0,
        cagr,
        std * root,
        mean / std * root if spreads else NAN,
        mean / downside * root if downside > 8 * EPS * largest else NAN,
        cagr / drawdown if drawdown > NOTHING else NAN,
        drawdown,
        float(longest_run(wealth[t] < (1.0 - NOTHING) * max(wealth[: t + 1]) for t in range(len(wealth)))),
        standardised_moment(returns, 3) if spreads else NAN,
        standardised_moment(returns, 4) if spreads else NAN,
        *worst_twentieth(returns),
    )
    return dict(zip(OF_RETURNS, values, strict=True))


def longest_run(flags: Iterable[bool]) -> int:
    return max((len(list(run)) for flag, run in groupby(flags) if flag), default=0)


def standardised_moment(returns: Sequence[float], order: int) -> float:
    scale = max(abs(r) for r in returns)  # powers of tiny returns vanish
    returns = [r / scale for r in returns]
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((r - mean) ** 2 for r in returns) / len(returns)
    return math.fsum((r - mean) ** order for r in returns) / len(returns) / variance ** (order / 2)


def worst_twentieth(returns: Sequence[float]) -> tuple[float, float]:
    """The 5 % quantile between its neighbours, and the mean of the returns up to the lower one."""
    ordered, rank = sorted(returns), 0.05 * (len(returns) - 1)
    lower = int(rank)
    upper = min(lower + 1, len(ordered) - 1)
    quantile = ordered[lower] + (rank - lower) * (ordered[upper] - ordered[lower])
    return quantile, math.fsum(ordered[: lower + 1]) / (lower + 1)


def figures_of_trades(ledger: Ledger, score_from: int, periods_per_year: float) -> dict[str, float]:
    """The figures that need trades; NaN where undefined."""
    closed = [trade["pnl"] for trade in ledger.trades if not trade["open"]]
    held = [trade["exit_bar"] - trade["entry_bar"] for trade in ledger.trades if not trade["open"]]
    losses = -math.fsum(pnl for pnl in closed if pnl < 0.0)
    scored = len(ledger.returns)
    mean_equity = math.fsum(ledger.equity[score_from:]) / scored
    notional = math.fsum(abs(fill.traded) * fill.price for fill in ledger.fills if fill.reason != "ruin")
    gross = (ledger.pnl[part] for part in ("price", "funding", "borrow"))
    return {
        "trades": float(len(ledger.trades)),
        "win_rate": sum(pnl > 0.0 for pnl in closed) / len(closed) if closed else NAN,
        "profit_factor": math.fsum(pnl for pnl in closed if pnl > 0.0) / losses if losses > NOTHING * notional else NAN,
        "exposure": sum(units != 0.0 for units in ledger.units[score_from:]) / scored,
        "turnover": notional / mean_equity * periods_per_year / scored if mean_equity > 0.0 else NAN,
        "expectancy": math.fsum(closed) / len(closed) if closed else NAN,
        "average_holding": sum(held) / len(held) if held else NAN,
        "costs_paid": -math.fsum(paid for part, paid in ledger.pnl.items() if part != "price"),
        "break_even_bps": 1e4 * math.fsum(gross) / notional if notional > 0.0 else NAN,
    }


# slow twins: indicators


def slow_sma(close: Sequence[float], n: int) -> list[float]:
    return [math.fsum(close[t + 1 - n : t + 1]) / n if t + 1 >= n else NAN for t in range(len(close))]


def slow_ema(close: Sequence[float], span: float) -> list[float]:
    """The seed's and every close's weight written out, without a recurrence."""
    alpha = 2.0 / (span + 1.0)
    return [
        math.fsum([close[0] * (1 - alpha) ** t, *(alpha * (1 - alpha) ** (t - s) * close[s] for s in range(1, t + 1))])
        for t in range(len(close))
    ]


def slow_rsi(close: Sequence[float], n: int) -> list[float]:
    """As Wilder writes it: the first averages are plain means, then (previous * (n-1) + today's) / n."""
    changes = [b - a for a, b in pairwise(close)]
    gains, losses = [max(c, 0.0) for c in changes], [max(-c, 0.0) for c in changes]
    values = [NAN] * len(close)
    for t in range(n, len(close)):
        if t == n:
            gain, loss = math.fsum(gains[:n]) / n, math.fsum(losses[:n]) / n
        else:
            gain, loss = (gain * (n - 1) + gains[t - 1]) / n, (loss * (n - 1) + losses[t - 1]) / n
        values[t] = 100.0 - 100.0 / (1.0 + gain / loss) if loss > 0.0 else (100.0 if gain > 0.0 else NAN)
    return values


def slow_bollinger(close: Sequence[float], n: int, width: float = 2.0) -> list[tuple[float, float, float]]:
    """Lower, middle, upper: two passes over each window, summed without rounding."""
    bands = []
    for t in range(len(close)):
        window = close[t + 1 - n : t + 1] if t + 1 >= n else [NAN] * n
        middle = math.fsum(window) / n
        reach = width * math.sqrt(math.fsum((price - middle) ** 2 for price in window) / n)
        bands.append((middle - reach, middle, middle + reach))
    return bands


def slow_donchian(high: Sequence[float], low: Sequence[float], n: int) -> list[tuple[float, float]]:
    """Lower and upper: the bars looked through."""
    windows = [slice(t + 1 - n, t + 1) if t + 1 >= n else None for t in range(len(high))]
    return [(min(low[window]), max(high[window])) if window else (NAN, NAN) for window in windows]


# the markets

KINDS = ("walk", "gaps", "ticks", "pips", "stalls", "jumps")
HOUR_US = 3_600_000_000


def random_prices(seed: int, bars: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Open and close, (T,): a log-normal walk; with gaps; in coarse ticks; in a few ticks at five digits; with flat
    stretches; with violent jumps."""
    rng = np.random.default_rng(seed)
    inside, gap = rng.normal(0.0, 0.02, bars), np.zeros(bars)
    if kind == "gaps":
        gap = rng.normal(0.0, 0.03, bars)
    if kind == "stalls":
        inside[rng.random(bars).cumsum() % 6.0 < 4.0] = 0.0
    if kind == "jumps":
        inside += rng.choice([0.0, 1.0, -0.9], bars, p=[0.9, 0.07, 0.03])
        gap = rng.choice([0.0, 0.8, -0.8], bars, p=[0.92, 0.05, 0.03])
    path = 100.0 * np.exp(np.cumsum(np.column_stack([gap, inside]).ravel()))
    if kind == "ticks":
        path = np.maximum(np.round(path), 1.0)
    if kind == "pips":
        path = np.round(1.1 + 1e-5 * np.cumsum(rng.integers(-2, 3, 2 * bars)), 5)
    return np.ascontiguousarray(path[::2]), np.ascontiguousarray(path[1::2])


def bars_of(open_: Iterable[float], close: Iterable[float], name: str = "random") -> Bars:
    """Hourly bars with these opens and closes, no wicks."""
    open_, close = np.asarray(open_, dtype=float), np.asarray(close, dtype=float)
    stamps = np.arange(len(close), dtype=float) * HOUR_US
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    return Bars(name, Tape(np.stack([stamps, open_, high, low, close, np.ones(len(close))])))


def with_wicks(open_: np.ndarray, close: np.ndarray, seed: int, name: str = "random") -> Bars:
    """Hourly bars with wicks and volume as well, which a rule may read."""
    rng = np.random.default_rng([seed, 2])
    high = np.maximum(open_, close) * (1.0 + rng.exponential(0.01, len(close)))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.01, len(close)))
    stamps = np.arange(len(close), dtype=float) * HOUR_US
    return Bars(name, Tape(np.stack([stamps, open_, high, low, close, rng.exponential(1.0, len(close))])))


def funded(bars: Bars, rates: Iterable[float]) -> Bars:
    """The same bars with a funding rate at each open, (T,), 0 where none is due; of any size, which bars are not born with."""
    paying = Bars(bars.name, bars.tape)
    object.__setattr__(paying, "tape", Tape(np.vstack([bars.tape.block[: len(ROWS)], np.asarray(rates, dtype=float)])))
    return paying


def random_funding(seed: int, bars: int, style: str) -> np.ndarray | None:
    """Funding rates (T,): none at all; every eighth bar; any bar, and of a size that ruins."""
    rng = np.random.default_rng([seed, 3])
    if style == "none":
        return None
    if style == "violent":
        return np.clip(rng.normal(0.0, 0.3, bars), -0.99, 0.99) * (rng.random(bars) < 0.3)
    return np.where(np.arange(bars) % 8 == seed % 8, rng.normal(1e-4, 5e-4, bars), 0.0)


def random_targets(seed: int, bars: int, style: str) -> np.ndarray:
    """Target exposures (T,) in [-1, 1]: held levels (repeated, reversed, resized), signs, or another one every bar."""
    rng = np.random.default_rng([seed, 1])
    if style == "any":
        return rng.uniform(-1.0, 1.0, bars)
    levels = [-1.0, 0.0, 1.0] if style == "signs" else [-1.0, -0.7, -0.25, 0.0, 0.25, 0.5, 1.0]
    changes = rng.random(bars) < 0.4
    return rng.choice(levels, bars)[np.maximum.accumulate(np.where(changes, np.arange(bars), 0))]


seeds = st.integers(0, 2**32 - 1)


@st.composite
def prices(draw: st.DrawFn, most: int = 120) -> tuple[np.ndarray, np.ndarray]:
    return random_prices(draw(seeds), draw(st.integers(1, most)), draw(st.sampled_from(KINDS)))


@st.composite
def any_bars(draw: st.DrawFn, most: int = 120) -> Bars:
    """Bars with wicks or without: closes at the very high or low are what breakouts tie on."""
    open_, close = draw(prices(most))
    return with_wicks(open_, close, draw(seeds)) if draw(st.booleans()) else bars_of(open_, close)


def real_files() -> list:
    """Parameters for pytest: the real OHLCV files, or one that is skipped with the reason where they are absent."""
    files = [path for path in sorted(DATA.glob("*.parquet")) if "close_only" not in path.name]
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(reason="real bars are not here (shared/data/ohlcv)"))]
    return [pytest.param(path, id=path.stem) for path in files]


@functools.lru_cache(maxsize=64)  # for the tests of one file a family, a direction or a period
def real_bars(path: Path, rows: int, start: int = 0) -> Bars:
    """`rows` bars of a real file from row `start`."""
    return Bars.from_polars(pl.scan_parquet(path).slice(start, rows).collect(), name=path.stem)
