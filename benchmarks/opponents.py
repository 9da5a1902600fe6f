"""Whom the kernels are compared with, on the same bars, orders and costs: vectorbt, numpy and scipy, compiled loops.

A family's rule, long or flat, is written here once more, for whole series: the bars whose close asks to enter, and those
whose close asks to leave (RULES). numpy runs one individual at a time: scipy's lfilter for what recurs, pandas' windows
otherwise, and the account from products of what orders do to it. vectorbt takes both arrays for a chunk of individuals, a
window that several share computed once, by its own functions or pandas' where those are faster; `of_vectorbt` looks for
the chunk at which each of its engines is fastest.

Where its account is another: shorts by `from_signals` are of as many units as the cash would have bought, orders of a
target percentage are ours; its stops come before an exit that is due at the same bar's open, and rest on the entry's own
bar. Neither is met in what is timed, or the figures would not agree.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import time
from collections.abc import Callable
from functools import cached_property
from importlib import metadata
from typing import Any, NamedTuple

import numba
import numpy as np
from islands.kernels import batch
from islands.kernels.metrics import METRICS
from islands.kernels.overlays import OVERLAYS
from islands.kernels.trend import REACH

FEE, SLIPPAGE, CASH, YEARLY = 5e-4, 1e-4, 1e4, 525_600.0
STOP, TAKE = 0.02, 0.04
FIGURES = [METRICS.index(name) for name in ("total_return", "sharpe", "max_drawdown", "trades")]
TERMS = batch.Terms(FEE, SLIPPAGE, 0, CASH, YEARLY, funding=False)
UNSLIPPED = batch.Terms(FEE, 0.0, 0, CASH, YEARLY, funding=False)
STOPS = np.array([{"stop_loss": STOP, "take_profit": TAKE}.get(name, 0.0) for name in OVERLAYS])

Run = Callable[[Any, np.ndarray], np.ndarray]  # market, genomes -> FIGURES (P, 4)


class Contender(NamedTuple):
    """Who takes part: how many individuals it is given at a time, and to what its figures must be ours."""

    name: str
    individuals: int
    run: Run
    tolerance: float = 1e-9
    engine: str = ""


def versions() -> dict[str, str]:
    """Of the opponents that are installed."""
    names = ("vectorbt", "vectorbt-rust", "numpy", "scipy", "pandas", "numba")
    return {name: metadata.version(name) for name in names if importlib.util.find_spec(name.replace("-", "_"))}


# What rules look at


class Indicators:
    """One market's indicators, each computed once: see(kind, series, n) -> (T,), NaN where not yet defined."""

    def __init__(self, market: Any, smooth: Callable[..., np.ndarray], average: Callable[..., np.ndarray]) -> None:
        self.market, self.smooth, self.average = market, smooth, average
        self.close = market.close
        self._made: dict[tuple[str, str, int], np.ndarray] = {}
        self._series: dict[str, np.ndarray] = {}

    @cached_property
    def equal(self) -> np.ndarray:
        return 1e-10 * self.close

    def __call__(self, kind: str, series: str, n: float) -> np.ndarray:
        key = (kind, series, int(n))
        if key not in self._made:
            self._made[key] = _KINDS[kind](self, self.series(series), int(n))
        return self._made[key]

    def series(self, name: str) -> np.ndarray:
        if name not in self._series:
            self._series[name] = _SERIES[name](self.market) if name in _SERIES else getattr(self.market, name)
        return self._series[name]

    def wilder(self, values: np.ndarray, n: int) -> np.ndarray:
        """Wilder's average: the plain mean of the values of bars 1 to n, then a recurrence."""
        out = np.full(len(values), np.nan)
        out[n:] = self.smooth(np.concatenate(([values[1 : n + 1].mean()], values[n + 1 :])), 2 * n - 1)
        return out


def _window(values: np.ndarray, n: int) -> Any:
    import pandas as pd

    return pd.Series(values).rolling(n)


def _regression(values: np.ndarray, bandwidth: int) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(REACH * bandwidth + 1) / bandwidth) ** 2)
    out = np.full(len(values), np.nan)
    out[len(weights) - 1 :] = np.convolve(values, weights / weights.sum(), mode="valid")
    return out


def _before(values: np.ndarray, bars: int = 1) -> np.ndarray:
    return np.concatenate((np.full(bars, np.nan), values[:-bars]))


def _true_range(market: Any) -> np.ndarray:
    before = _before(market.close)
    return np.fmax(market.high, before) - np.fmin(market.low, before)


_KINDS: dict[str, Callable[[Indicators, np.ndarray, int], np.ndarray]] = {
    "ema": lambda see, values, n: see.smooth(values, n),
    "mean": lambda see, values, n: see.average(values, n),
    "wilder": lambda see, values, n: see.wilder(values, n),
    "deviation": lambda see, values, n: _window(values, n).std(ddof=0).to_numpy(),
    "highest": lambda see, values, n: _window(values, n).max().to_numpy(),
    "lowest": lambda see, values, n: _window(values, n).min().to_numpy(),
    "regression": lambda see, values, n: _regression(values, n),
}
_SERIES: dict[str, Callable[[Any], np.ndarray]] = {
    "gain": lambda market: np.maximum(np.diff(market.close, prepend=market.close[0]), 0.0),
    "loss": lambda market: np.maximum(-np.diff(market.close, prepend=market.close[0]), 0.0),
    "range": _true_range,
    "notional": lambda market: (market.high + market.low + market.close) / 3.0 * market.volume,
    "due": lambda market: (market.funding_rate != 0.0).astype(float),
}


# The rules, long or flat: see families.py. What asks to enter counts while flat, what asks to leave while long

Asked = tuple[np.ndarray, np.ndarray]


def _from(first: float, asked: np.ndarray) -> np.ndarray:
    """Nothing is asked before bar `first`."""
    asked[: int(first)] = False
    return asked


def _by_score(score: np.ndarray, entry: Any, leave: Any) -> Asked:
    return score > entry, ~(score > leave)


def _ema_crossover(see: Indicators, g: np.ndarray) -> Asked:
    fast, slow, band = see("ema", "close", g[0]), see("ema", "close", g[1]), g[2]
    above, below = (slow * (1.0 + band), slow * (1.0 - band)) if band else (slow, slow)
    return _from(g[1] - 1, fast > above), _from(g[1] - 1, fast < below)


def _sma_trend(see: Indicators, g: np.ndarray) -> Asked:
    return _by_score(see("mean", "close", g[0]) - see("mean", "close", g[1]), see.equal, see.equal)


def _rsi_mean_reversion(see: Indicators, g: np.ndarray) -> Asked:
    gain, loss = see("wilder", "gain", g[0]), see("wilder", "loss", g[0])
    rsi = 100.0 * (gain / (gain + loss))
    return rsi < g[1], ~(rsi <= g[2])


def _donchian_breakout(see: Indicators, g: np.ndarray) -> Asked:
    return see.close > _before(see("highest", "high", g[0])), see.close < _before(see("lowest", "low", g[1]))


def _bollinger_reversion(see: Indicators, g: np.ndarray) -> Asked:
    middle, reach = see("mean", "close", g[0]), g[1] * see("deviation", "close", g[0])
    return see.close < middle - reach - see.equal, see.close >= middle - see.equal


def _momentum(see: Indicators, g: np.ndarray) -> Asked:
    growth = see.close / _before(see.close, int(g[0])) - 1.0
    return growth > g[1], growth < -g[1]


def _bollinger_breakout(see: Indicators, g: np.ndarray) -> Asked:
    reach = g[1] * see("deviation", "close", g[0])
    return _by_score(see.close - see("mean", "close", g[0]), reach + see.equal, see.equal)


def _keltner_breakout(see: Indicators, g: np.ndarray) -> Asked:
    reach = g[1] * see("wilder", "range", g[0])
    return _by_score(see.close - see("ema", "close", g[0]), reach + see.equal, see.equal)


def _macd(see: Indicators, g: np.ndarray) -> Asked:
    line = see("ema", "close", g[0]) - see("ema", "close", g[1])
    up, leaves = _by_score(line - see.smooth(line, int(g[2])), g[3] * see.close + see.equal, see.equal)
    return _from(g[1] + g[2] - 2, up), leaves


def _stochastic(see: Indicators, g: np.ndarray) -> Asked:
    lowest, highest = see("lowest", "low", g[0]), see("highest", "high", g[0])
    fast = np.where(highest == lowest, 0.0, 100.0 * ((see.close - lowest) / (highest - lowest)))
    slow = see.average(fast, int(g[1]))
    up = (fast > slow + 1e-8) & (slow < g[2] - 1e-8)
    return _from(g[0] + g[1] - 2, up), slow >= g[3] - 1e-8


def _ichimoku(see: Indicators, g: np.ndarray) -> Asked:
    tenkan, kijun, senkou = (0.5 * (see("highest", "high", n) + see("lowest", "low", n)) for n in g[:3])
    cloud = _before(np.maximum(0.5 * (tenkan + kijun), senkou), int(g[1]))
    up = (tenkan - kijun > see.equal) & (see.close > cloud + see.equal)
    return up, ~up


def _vwap_reversion(see: Indicators, g: np.ndarray) -> Asked:
    average = see("mean", "notional", g[0]) / see("mean", "volume", g[0])
    reach = g[1] * see("deviation", "close", g[0])
    return _by_score(average - see.close, reach + see.equal, see.equal)


def _kernel_trend(see: Indicators, g: np.ndarray) -> Asked:
    estimate = see("regression", "close", g[0])
    return _by_score(estimate - _before(estimate), g[1] * see.close + see.equal, see.equal)


def _zscore_reversion(see: Indicators, g: np.ndarray) -> Asked:
    deviation = see("deviation", "close", g[0])
    return _by_score(see("mean", "close", g[0]) - see.close, g[1] * deviation + see.equal, g[2] * deviation + see.equal)


def _volatility_breakout(see: Indicators, g: np.ndarray) -> Asked:
    move, edge = see.close - _before(see.close), g[1] * _before(see("wilder", "range", g[0])) + see.equal
    up, down = move > edge, move < -edge
    bars = np.arange(len(move))
    last = np.maximum.accumulate(np.where(up | down, bars, -1))
    return up, down | (bars - last >= g[2])


def _funding_carry(see: Indicators, g: np.ndarray) -> Asked:
    with np.errstate(invalid="ignore"):  # no rate in the window: NaN, which asks for nothing but to leave
        paid = see("mean", "funding_rate", g[0]) / see("mean", "due", g[0])
    return _by_score(-paid, g[1] + 1e-10, g[2] + 1e-10)


RULES: dict[str, Callable[[Indicators, np.ndarray], Asked]] = {
    "ema_crossover": _ema_crossover,
    "sma_trend": _sma_trend,
    "rsi_mean_reversion": _rsi_mean_reversion,
    "donchian_breakout": _donchian_breakout,
    "bollinger_reversion": _bollinger_reversion,
    "momentum": _momentum,
    "bollinger_breakout": _bollinger_breakout,
    "keltner_breakout": _keltner_breakout,
    "macd": _macd,
    "stochastic": _stochastic,
    "ichimoku": _ichimoku,
    "vwap_reversion": _vwap_reversion,
    "kernel_trend": _kernel_trend,
    "zscore_reversion": _zscore_reversion,
    "volatility_breakout": _volatility_breakout,
    "funding_carry": _funding_carry,
}


# numpy, an individual at a time


def with_numpy(family: str) -> Contender:
    def run(market: Any, genomes: np.ndarray) -> np.ndarray:
        return np.array([_numpy_run(market, family, genome) for genome in genomes])

    return Contender("numpy and lfilter", 20, run)


def _lfilter(values: np.ndarray, span: int) -> np.ndarray:
    from scipy.signal import lfilter

    a = 2.0 / (span + 1.0)
    return np.asarray(lfilter([a], [1.0, a - 1.0], values, zi=[(1.0 - a) * values[0]])[0])


def _differences_of_sums(values: np.ndarray, n: int) -> np.ndarray:
    sums = np.concatenate(([0.0], np.cumsum(np.nan_to_num(values))))
    return np.concatenate((np.full(n - 1, np.nan), (sums[n:] - sums[:-n]) / n))


def _numpy_run(market: Any, family: str, genome: np.ndarray) -> tuple[float, ...]:
    see = Indicators(market, _lfilter, _differences_of_sums)
    enters, leaves = RULES[family](see, genome)
    first_of = [1 + np.flatnonzero(asked[1:-1] > asked[:-2]) for asked in (enters, leaves)]  # bars of each run
    asking = np.sort(np.concatenate(first_of))
    at = asking[np.diff(enters[asking], prepend=False)] + 1  # the bars of the orders, by turns to buy and to sell
    buying, selling = 1.0 / ((1.0 + FEE) * (1.0 + SLIPPAGE)), (1.0 - FEE) * (1.0 - SLIPPAGE)
    held = np.arange(1 + len(at)) % 2 == 1
    worth = np.cumprod(np.where(held[1:], buying / market.open[at], selling * market.open[at]))
    lengths = np.diff(at, prepend=0, append=len(market.close))
    equity = np.repeat(np.concatenate(([1.0], worth)), lengths)
    np.multiply(equity, market.close, out=equity, where=np.repeat(held, lengths))
    returns = equity[1:] / equity[:-1]  # that of the first bar is 0
    returns -= 1.0
    mean, bars = returns.sum() / len(equity), len(equity)
    deviation = math.sqrt((np.einsum("i,i", returns, returns) - bars * mean * mean) / (bars - 1.0))
    sharpe = mean / deviation * math.sqrt(YEARLY) if at.size else math.nan
    peaks = np.maximum.accumulate(equity)
    drawdown = 1.0 - np.divide(equity, peaks, out=peaks).min()
    return equity[-1] - 1.0, sharpe, drawdown, float(held.sum())


# Compiled loops: one pass an individual, with no thought given to vectors


def compiled_loop(family: str) -> Contender:
    loop = {"ema_crossover": _ema_loop, "donchian_breakout": _donchian_loop}[family]

    def run(market: Any, genomes: np.ndarray) -> np.ndarray:
        out = np.empty((len(genomes), 4))
        loop(market.open, market.high, market.low, market.close, genomes, FEE, SLIPPAGE, YEARLY, out)
        return out

    return Contender("compiled deques" if family == "donchian_breakout" else "compiled loop", 100, run)


@numba.njit(error_model="numpy", inline="always")
def _fill(cash, units, target, price, fee, slippage):  # type: ignore[no-untyped-def]
    """One order at the open: the cash and the units after it."""
    wanted = target * (cash + units * price) / price - units
    fill = price * (1.0 + slippage if wanted > 0.0 else 1.0 - slippage)
    if wanted > 0.0:
        wanted = min(wanted, max(cash / (fill * (1.0 + fee)), -units))
    return cash - (wanted * fill + fee * abs(wanted) * fill), (units + wanted if target != 0.0 else 0.0)


@numba.njit(error_model="numpy")
def _write(out, bars, equity, total, squares, depth, trades, yearly):  # type: ignore[no-untyped-def]
    mean = total / bars
    out[0], out[2], out[3] = equity - 1.0, depth, trades
    out[1] = mean / math.sqrt((squares - total * mean) / (bars - 1.0)) * math.sqrt(yearly)


@numba.njit(error_model="numpy")
def _ema_loop(open_, high, low, close, genomes, fee, slippage, yearly, out):  # type: ignore[no-untyped-def]
    """Two averages, the account, and the sums."""
    bars = close.shape[0]
    for i in range(genomes.shape[0]):
        fast_alpha, slow_alpha, first = 2.0 / (genomes[i, 0] + 1.0), 2.0 / (genomes[i, 1] + 1.0), genomes[i, 1] - 1.0
        least = 0.0 if genomes[i, 3] == 0.0 else -1.0
        fast = slow = close[0]
        cash = equity = peak = 1.0
        units = target = ordered = total = squares = depth = 0.0
        trades = 0
        for t in range(bars):
            before = equity
            if target != ordered:
                cash, units = _fill(cash, units, target, open_[t], fee, slippage)
                trades += target != 0.0
                ordered = target
            equity = cash + units * close[t]
            r = equity / before - 1.0
            total += r
            squares += r * r
            peak = max(peak, equity)
            depth = max(depth, 1.0 - equity / peak)
            fast += fast_alpha * (close[t] - fast)
            slow += slow_alpha * (close[t] - slow)
            if t >= first:
                if fast > slow:
                    target = 1.0
                elif fast < slow:
                    target = least
        _write(out[i], bars, equity, total, squares, depth, trades, yearly)


@numba.njit(error_model="numpy", inline="always")
def _push(queue, head, tail, values, t, n, sign):  # type: ignore[no-untyped-def]
    """A monotonic deque of bars, whose head is the greatest of sign*values in the window of n that ends with t."""
    while tail > head and sign * values[queue[tail - 1]] <= sign * values[t]:
        tail -= 1
    queue[tail] = t
    if queue[head] <= t - n:
        head += 1
    return head, tail + 1


@numba.njit(error_model="numpy")
def _donchian_loop(open_, high, low, close, genomes, fee, slippage, yearly, out):  # type: ignore[no-untyped-def]
    """Long or flat: a deque for the highest high and one for the lowest low, the account, and the sums."""
    bars = close.shape[0]
    above, below = np.empty(bars, np.int64), np.empty(bars, np.int64)
    for i in range(genomes.shape[0]):
        entry, leave = int(genomes[i, 0]), int(genomes[i, 1])
        first, above_head, above_tail, below_head, below_tail = max(entry, leave), 0, 0, 0, 0
        cash = equity = peak = 1.0
        units = target = ordered = total = squares = depth = 0.0
        trades = 0
        for t in range(bars):
            before = equity
            if target != ordered:
                cash, units = _fill(cash, units, target, open_[t], fee, slippage)
                trades += target != 0.0
                ordered = target
            equity = cash + units * close[t]
            r = equity / before - 1.0
            total += r
            squares += r * r
            peak = max(peak, equity)
            depth = max(depth, 1.0 - equity / peak)
            if t >= first:
                if close[t] > high[above[above_head]]:
                    target = 1.0
                elif close[t] < low[below[below_head]]:
                    target = 0.0
            above_head, above_tail = _push(above, above_head, above_tail, high, t, entry, 1.0)
            below_head, below_tail = _push(below, below_head, below_tail, low, t, leave, -1.0)
        _write(out[i], bars, equity, total, squares, depth, trades, yearly)


# vectorbt, in chunks of columns

ENGINES = [engine for engine, module in (("numba", "vectorbt"), ("rust", "vectorbt_rust")) if importlib.util.find_spec(module)]
CHUNKS = (5, 20, 50)
_TOLERANCES = {"both sides": 1e-2}  # of an account that isn't ours; what it came to is measured


def of_vectorbt(family: str, market: Any, genomes: np.ndarray, account: str = "longs") -> list[Contender]:
    """Each engine with the chunk of columns at which it was fastest, the fastest first; none without vectorbt."""
    found = []
    for engine in ENGINES:
        run, times = vectorbt(family, engine, account), {}
        run(market, genomes[:2])  # compiles
        for chunk in CHUNKS:
            gc.collect()
            began = time.process_time()
            run(market, genomes[:chunk])
            times[chunk] = (time.process_time() - began) / chunk
        best = min(times, key=times.__getitem__)
        name = f"vectorbt, {engine}" + (", its own shorts" if account == "both sides" else "")
        found.append((times[best], Contender(name, best, run, _TOLERANCES.get(account, 1e-9), engine)))
    return [contender for _, contender in sorted(found, key=lambda one: one[0])]


def vectorbt(family: str, engine: str, account: str = "longs") -> Run:
    """One of ACCOUNTS, run on a family's signals by an engine."""
    import pandas as pd
    import vectorbt as vbt

    vbt.settings.array_wrapper["freq"], vbt.settings.returns["year_freq"] = "1min", "365 days"

    def run(market: Any, genomes: np.ndarray) -> np.ndarray:
        index = pd.date_range("2020-01-01", periods=len(market.close), freq="1min")
        series = {name: pd.Series(getattr(market, name), index) for name in ("open", "high", "low", "close")}
        terms = {"init_cash": CASH, "fees": FEE, "slippage": SLIPPAGE, "freq": "1min", "engine": engine}
        account_ = ACCOUNTS[account](vbt.Portfolio, series, asked_of_vectorbt(family, market, genomes, engine), terms)
        figures = account_.total_return(), account_.sharpe_ratio(), -account_.max_drawdown(), account_.positions.count()
        return np.column_stack([np.asarray(figure) for figure in figures])

    return run


def asked_of_vectorbt(family: str, market: Any, genomes: np.ndarray, engine: str) -> Asked:
    """Entries and exits, (T, P), at the open after the close that asks for them."""
    from vectorbt.generic import dispatch

    see = Indicators(
        market,
        lambda values, span: dispatch.ewm_mean_1d(values, span, minp=1, adjust=False, engine=engine),
        lambda values, n: dispatch.rolling_mean_1d(values, n, minp=n, engine=engine),
    )
    entries, exits = np.zeros((len(market.close), len(genomes)), bool), np.zeros((len(market.close), len(genomes)), bool)
    for j, genome in enumerate(genomes):
        enters, leaves = RULES[family](see, genome)
        entries[1:, j], exits[1:, j] = enters[:-1], leaves[:-1]
    return entries, exits


def _longs(portfolio: Any, series: dict[str, Any], asked: Asked, terms: dict[str, Any]) -> Any:
    at_open = {"price": series["open"], "open": series["open"], "direction": "longonly"}
    return portfolio.from_signals(series["close"], entries=asked[0], exits=asked[1], **at_open, **terms)


def _both_sides(portfolio: Any, series: dict[str, Any], asked: Asked, terms: dict[str, Any]) -> Any:
    """Shorts by its own rule, of fixed units: not ours."""
    at_open = {"price": series["open"], "open": series["open"], "direction": "both"}
    return portfolio.from_signals(series["close"], entries=asked[0], exits=asked[1], **at_open, **terms)


def _targets(portfolio: Any, series: dict[str, Any], asked: Asked, terms: dict[str, Any]) -> Any:
    """Both sides, by orders of a target percentage where the side changes: our rule."""
    entries, exits = _first_of_each(asked, terms["engine"], entry_first=False)
    size = np.where(entries, 1.0, np.where(exits, -1.0, np.nan))
    at_open = {"price": series["open"], "val_price": series["open"], "direction": "both"}
    return portfolio.from_orders(series["close"], size=size, size_type="targetpercent", **at_open, **terms)


def _stops(portfolio: Any, series: dict[str, Any], asked: Asked, terms: dict[str, Any]) -> Any:
    """Longs with a stop-loss and a take-profit; without slippage, which our take-profit, a resting order, does not pay."""
    entries, exits = _first_of_each(asked, terms["engine"])
    levels = {"sl_stop": STOP, "tp_stop": TAKE, "stop_entry_price": "fillprice", "stop_exit_price": "stopmarket"}
    at_open = {name: series[name] for name in ("open", "high", "low")} | {"price": series["open"], "direction": "longonly"}
    free = terms | {"slippage": 0.0}
    return portfolio.from_signals(series["close"], entries=entries, exits=exits, **at_open, **levels, **free)


def _first_of_each(asked: Asked, engine: str, entry_first: bool = True) -> Asked:
    """Entries and exits where the target changes alone: after a stop a run stays flat until then."""
    from vectorbt.signals import dispatch

    return dispatch.clean_enex(*asked, entry_first, engine=engine)


ACCOUNTS: dict[str, Callable[..., Any]] = {
    "longs": _longs,
    "both sides": _both_sides,
    "targets": _targets,
    "stops": _stops,
}
