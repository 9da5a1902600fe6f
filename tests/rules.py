"""Slow twins of the families: their rules in plain Python, written from `Family.doc` alone, and cases to try them on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import strategies as st
from ledger import NAN, any_bars, funded, random_funding, seeds, slow_bollinger, slow_donchian, slow_sma

import islands as isl
from islands.market.bars import Bars
from islands.market.tape import FUNDING, Tape

E = 1e-10  # times the close: equal


def allowed(target: float, direction: str) -> float:
    """The target with the forbidden side set to 0."""
    return 0.0 if (direction, target) in {("long", -1.0), ("short", 1.0)} else target


def average(values: Sequence[float], span: float) -> list[float]:
    """Exponential averages, seeded with the first value, in the one form in which a constant series stays constant: ties
    are exact."""
    averages = [values[0]]
    for value in values[1:]:
        averages.append(averages[-1] + 2.0 / (span + 1.0) * (value - averages[-1]))
    return averages


def slow_ema_crossover(bars: Bars, fast: int, slow: int, band: float, direction: str) -> list[float]:
    close, targets, target = bars.close.tolist(), [], 0.0
    for t, (quick, lazy) in enumerate(zip(average(close, fast), average(close, slow), strict=True)):
        if t >= slow - 1:
            if quick > lazy * (1 + band):
                target = 1.0
            elif quick < lazy * (1 - band):
                target = -1.0
        targets.append(allowed(target, direction))
    return targets


def slow_sma_trend(bars: Bars, fast: int, slow: int, direction: str) -> list[float]:
    close, targets = bars.close.tolist(), []
    for price, quick, lazy in zip(close, slow_sma(close, fast), slow_sma(close, slow), strict=True):
        differ = abs(quick - lazy) > 1e-10 * price  # False where one is NaN
        targets.append(allowed(math.copysign(1.0, quick - lazy), direction) if differ else 0.0)
    return targets


def slow_rsi_mean_reversion(bars: Bars, period: int, entry: float, exit: float, direction: str) -> list[float]:
    """In the kernel's rounding (weights 1/period, no quotient), because thresholds on a lattice are met exactly."""
    close, targets, target, gain, loss = bars.close.tolist(), [], 0.0, 0.0, 0.0
    for t, price in enumerate(close):
        change = price - close[t - 1] if t else 0.0
        up, down = max(change, 0.0), max(-change, 0.0)
        if t <= period:
            gain, loss = gain + up, loss + down
            if t == period:
                gain, loss = gain / period, loss / period
        else:
            gain, loss = gain + (1.0 / period) * (up - gain), loss + (1.0 / period) * (down - loss)
        share, whole = 100.0 * gain, gain + loss
        if t < period or whole == 0.0:
            target = 0.0
        elif target == 0.0:
            if direction != "short" and share < entry * whole:
                target = 1.0
            elif direction != "long" and share > (100.0 - entry) * whole:
                target = -1.0
        elif (target == 1.0 and share > exit * whole) or (target == -1.0 and share < (100.0 - exit) * whole):
            target = 0.0
        targets.append(target)
    return targets


def slow_donchian_breakout(bars: Bars, entry: int, exit: int, direction: str) -> list[float]:
    """Channels looked through anew at every bar."""
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    targets = [0.0] * len(close)
    for t in range(max(entry, exit), len(close)):
        target, price = targets[t - 1], close[t]
        if target == 1.0 and price < min(low[t - exit : t]):
            target = 0.0
        if target == -1.0 and price > max(high[t - exit : t]):
            target = 0.0
        if direction != "short" and price > max(high[t - entry : t]):
            target = 1.0
        if direction != "long" and price < min(low[t - entry : t]):
            target = -1.0
        targets[t] = target
    return targets


def slow_bollinger_reversion(bars: Bars, period: int, width: float, direction: str) -> list[float]:
    close = bars.close.tolist()
    targets, target = [], 0.0
    for price, (lower, middle, upper) in zip(close, slow_bollinger(close, period, width), strict=True):
        e = 1e-10 * price
        if target == 0.0:
            if direction != "short" and price < lower - e:
                target = 1.0
            elif direction != "long" and price > upper + e:
                target = -1.0
        elif (target == 1.0 and price >= middle - e) or (target == -1.0 and price <= middle + e):
            target = 0.0
        targets.append(target)
    return targets


def slow_momentum(bars: Bars, lookback: int, band: float, direction: str) -> list[float]:
    close, targets, target = bars.close.tolist(), [], 0.0
    for t, price in enumerate(close):
        if t >= lookback:
            r = price / close[t - lookback] - 1.0
            target = 1.0 if r > band else -1.0 if r < -band else target
        targets.append(allowed(target, direction))
    return targets


# Rules of one score between two thresholds


def between(rows: Iterable[tuple[float, float, float] | None], direction: str) -> list[float]:
    """Targets of (score, entry, leave) at each bar, None where the score is not there."""
    targets, target = [], 0.0
    for row in rows:
        score, entry, leave = row or (0.0, 0.0, 0.0)
        if score > entry or -score > entry:
            target = math.copysign(1.0, score)
        elif target * score <= leave:
            target = 0.0
        targets.append(allowed(target, direction))
    return targets


def slow_moments(values: Sequence[float], n: int) -> list[tuple[float, float] | None]:
    """Mean and standard deviation (ddof 0) of the last n values: two passes, summed without rounding."""
    moments: list[tuple[float, float] | None] = [None] * min(n - 1, len(values))
    for t in range(n - 1, len(values)):
        window = values[t + 1 - n : t + 1]
        mean = math.fsum(window) / n
        moments.append((mean, math.sqrt(math.fsum((value - mean) ** 2 for value in window) / n)))
    return moments


def slow_bollinger_breakout(bars: Bars, period: int, width: float, direction: str) -> list[float]:
    close = bars.close.tolist()
    moments = zip(close, slow_moments(close, period), strict=True)
    rows = ((price - m[0], width * m[1] + E * price, E * price) if m else None for price, m in moments)
    return between(rows, direction)


def slow_zscore_reversion(bars: Bars, period: int, entry: float, exit: float, direction: str) -> list[float]:
    close = bars.close.tolist()
    moments = zip(close, slow_moments(close, period), strict=True)
    rows = ((m[0] - p, entry * m[1] + E * p, exit * m[1] + E * p) if m else None for p, m in moments)
    return between(rows, direction)


def slow_vwap_reversion(bars: Bars, period: int, width: float, direction: str) -> list[float]:
    close, volume = bars.close.tolist(), bars.volume.tolist()
    typical = [(h + l + c) / 3.0 for h, l, c in zip(bars.high.tolist(), bars.low.tolist(), close, strict=True)]
    rows = []
    for t, (price, m) in enumerate(zip(close, slow_moments(close, period), strict=True)):
        window = slice(t + 1 - period, t + 1)
        if m is None or not any(volume[window]):
            rows.append(None)
            continue
        notional = math.fsum(p * v for p, v in zip(typical[window], volume[window], strict=True))
        rows.append((notional / math.fsum(volume[window]) - price, width * m[1] + E * price, E * price))
    return between(rows, direction)


def slow_atr(bars: Bars, n: int) -> list[float]:
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    ranges = [NAN, *(max(high[t] - low[t], high[t] - close[t - 1], close[t - 1] - low[t]) for t in range(1, len(close)))]
    values = [NAN] * len(close)
    for t in range(n, len(close)):
        values[t] = math.fsum(ranges[1 : n + 1]) / n if t == n else values[t - 1] + (ranges[t] - values[t - 1]) / n
    return values


def slow_keltner_breakout(bars: Bars, period: int, width: float, direction: str) -> list[float]:
    close = bars.close.tolist()
    series = zip(close, average(close, period), slow_atr(bars, period), strict=True)
    rows = ((p - middle, width * atr + E * p, E * p) if atr == atr else None for p, middle, atr in series)
    return between(rows, direction)


def slow_macd(bars: Bars, fast: int, slow: int, signal: int, band: float, direction: str) -> list[float]:
    close = bars.close.tolist()
    quick, lazy = average(close, fast), average(close, slow)
    line = [a - b for a, b in zip(quick, lazy, strict=True)]
    rows = []
    for t, (price, mean) in enumerate(zip(close, average(line, signal), strict=True)):
        rows.append((line[t] - mean, band * price + E * price, E * price) if t >= slow + signal - 2 else None)
    return between(rows, direction)


def slow_kernel_trend(bars: Bars, bandwidth: int, band: float, direction: str) -> list[float]:
    close, n = bars.close.tolist(), 3 * bandwidth + 1
    weights = [math.exp(-i * i / (2.0 * bandwidth * bandwidth)) for i in range(n)][::-1]
    estimates = [
        math.fsum(w * c for w, c in zip(weights, close[t + 1 - n : t + 1], strict=True)) / math.fsum(weights)
        for t in range(n - 1, len(close))
    ]
    rows: list = [None] * min(n, len(close))
    for t in range(n, len(close)):
        rows.append((estimates[t - n + 1] - estimates[t - n], band * close[t] + E * close[t], E * close[t]))
    return between(rows, direction)


def slow_funding_carry(bars: Bars, lookback: int, entry: float, exit: float, direction: str) -> list[float]:
    rates, rows = bars.tape.funding_rate.tolist(), []
    for t in range(len(rates)):
        paid = [rate for rate in rates[max(t + 1 - lookback, 0) : t + 1] if rate != 0.0]
        there = paid and t >= lookback - 1
        rows.append((-math.fsum(paid) / len(paid), entry + E, exit + E) if there else None)
    return between(rows, direction)


# Other rules


def slow_stochastic(bars: Bars, period: int, smooth: int, entry: float, exit: float, direction: str) -> list[float]:
    channel = slow_donchian(bars.high.tolist(), bars.low.tolist(), period)
    place = [
        100.0 * ((price - low) / (high - low)) if high != low else 0.0
        for price, (low, high) in zip(bars.close.tolist(), channel, strict=True)
    ]
    targets, target, e = [], 0.0, 1e-8
    for t, fast in enumerate(place):
        if t >= period + smooth - 2:
            slow = math.fsum(place[t + 1 - smooth : t + 1]) / smooth
            if target == 0.0:
                if direction != "short" and fast > slow + e and slow < entry - e:
                    target = 1.0
                elif direction != "long" and fast < slow - e and slow > 100.0 - entry + e:
                    target = -1.0
            elif (target == 1.0 and slow >= exit - e) or (target == -1.0 and slow <= 100.0 - exit + e):
                target = 0.0
        targets.append(target)
    return targets


def slow_ichimoku(bars: Bars, tenkan: int, kijun: int, senkou: int, direction: str) -> list[float]:
    high, low, targets = bars.high.tolist(), bars.low.tolist(), []

    def middle(n: int, s: int) -> float:
        return (max(high[s + 1 - n : s + 1]) + min(low[s + 1 - n : s + 1])) / 2.0

    for t, price in enumerate(bars.close.tolist()):
        target, s, e = 0.0, t - kijun, E * price
        if t >= kijun + max(kijun, senkou) - 1:
            cloud = (middle(tenkan, s) + middle(kijun, s)) / 2.0, middle(senkou, s)
            lead = middle(tenkan, t) - middle(kijun, t)
            if lead > e and price > max(cloud) + e:
                target = 1.0
            if lead < -e and price < min(cloud) - e:
                target = -1.0
        targets.append(allowed(target, direction))
    return targets


def slow_volatility_breakout(bars: Bars, period: int, width: float, hold: int, direction: str) -> list[float]:
    close, atr, targets = bars.close.tolist(), slow_atr(bars, period), []
    last, side = -math.inf, 0.0
    for t in range(len(close)):
        if t > period:
            move, edge = close[t] - close[t - 1], width * atr[t - 1] + E * close[t]
            if abs(move) > edge:
                last, side = t, math.copysign(1.0, move)
        targets.append(allowed(side if t - last < hold else 0.0, direction))
    return targets


SLOW_POSITIONS = {
    "ema_crossover": slow_ema_crossover,
    "sma_trend": slow_sma_trend,
    "rsi_mean_reversion": slow_rsi_mean_reversion,
    "donchian_breakout": slow_donchian_breakout,
    "bollinger_reversion": slow_bollinger_reversion,
    "momentum": slow_momentum,
    "bollinger_breakout": slow_bollinger_breakout,
    "keltner_breakout": slow_keltner_breakout,
    "macd": slow_macd,
    "stochastic": slow_stochastic,
    "ichimoku": slow_ichimoku,
    "vwap_reversion": slow_vwap_reversion,
    "kernel_trend": slow_kernel_trend,
    "zscore_reversion": slow_zscore_reversion,
    "volatility_breakout": slow_volatility_breakout,
    "funding_carry": slow_funding_carry,
}


# Cases

PLAIN = [name for name in isl.families() if not isl.family(name).needs]
"""The families that any bars will do for."""


def tradable(bars: Bars) -> list[str]:
    """The families that have what they need in these bars."""
    return [
        name
        for name in isl.families()
        if set(isl.family(name).needs) <= set(bars.tape.columns) and (name != "vwap_reversion" or bars.volume.any())
    ]


def with_volume(bars: Bars, volume: np.ndarray) -> Bars:
    """The same bars with another volume, (T,)."""
    block = bars.tape.block.copy()
    block[5] = volume
    return Bars(bars.name, Tape(block))


def with_needs(family: str, bars: Bars, seed: int, style: str = "eight") -> Bars:
    """The bars, with random funding where the family needs it: that of ledger.random_funding, or in ticks of 0.01 %."""
    if FUNDING not in isl.family(family).needs:
        return bars
    if style == "ticks":
        rng = np.random.default_rng(seed)
        return funded(bars, np.where(rng.random(len(bars)) < 0.4, 1e-4 * rng.integers(-2, 3, len(bars)), 0.0))
    return funded(bars, random_funding(seed, len(bars), style))


@st.composite
def bars_for(draw: st.DrawFn, family: str, most: int = 120) -> Bars:
    """Bars that a family can be tried on: funded where it needs that, and with gaps in the volume where it reads it."""
    bars = draw(any_bars(most))
    if family == "vwap_reversion":
        share = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
        silent = np.random.default_rng(draw(seeds)).random(len(bars)) < share
        bars = with_volume(bars, np.where(silent, 0.0, bars.volume))
    return with_needs(family, bars, draw(seeds), draw(st.sampled_from(["eight", "violent", "ticks"])))


PERIOD = st.sampled_from([1, 2, 150]) | st.integers(1, 40)
WIDTH = st.sampled_from([0.0, 0.5, 1.0, 2.0]) | st.floats(0.0, 3.0)
BAND = st.just(0.0) | st.floats(0.0, 0.02)

GENES = {
    "bollinger_breakout": {"period": PERIOD, "width": WIDTH},
    "keltner_breakout": {"period": PERIOD, "width": WIDTH},
    "macd": {"fast": st.integers(1, 12), "slow": st.integers(13, 40), "signal": st.integers(1, 20), "band": BAND},
    "ichimoku": {"tenkan": st.integers(1, 8), "kijun": st.integers(9, 20), "senkou": st.integers(1, 40)},
    "vwap_reversion": {"period": PERIOD, "width": WIDTH},
    "kernel_trend": {"bandwidth": st.just(50) | st.integers(1, 21), "band": BAND},
    "volatility_breakout": {"period": PERIOD, "width": WIDTH, "hold": st.integers(1, 20)},
}
"""Genes that keep their constraints whatever the others are."""


@st.composite
def genes_of(draw: st.DrawFn, family: str) -> dict[str, object]:
    """Genes of a family: short periods, so that short series trade, on and off the lattice."""
    direction = draw(st.sampled_from(["long", "short", "both"]))
    if family in GENES:
        return {**draw(st.fixed_dictionaries(GENES[family])), "direction": direction}
    if family in ("zscore_reversion", "funding_carry"):
        unit = 1.0 if family == "zscore_reversion" else 1e-4
        exit = draw(st.sampled_from([0.0, 0.5, -1.0]) | st.floats(-1.0, 1.0))
        above = draw(st.sampled_from([0.0, 1.0]) | st.floats(0.0, 2.0))
        name = "period" if family == "zscore_reversion" else "lookback"
        genes = {name: draw(PERIOD), "entry": max(exit + above, 0.0) * unit, "exit": exit * unit}
        return {**genes, "direction": direction}
    if family in ("rsi_mean_reversion", "stochastic"):
        entry = draw(st.sampled_from([0.0, 20.0, 30.0, 45.0, 50.0]) | st.floats(1.0, 60.0))
        above = draw(st.sampled_from([5.0, 20.0, 40.0]) | st.floats(0.5, 39.0))
        genes = {"period": draw(st.integers(1, 15)), "entry": entry, "exit": entry + above, "direction": direction}
        return genes | ({"smooth": draw(st.integers(2, 12))} if family == "stochastic" else {})
    if family == "donchian_breakout":
        exit = draw(st.integers(1, 12))
        return {"entry": exit + draw(st.just(0) | st.integers(0, 25)), "exit": exit, "direction": direction}
    if family == "bollinger_reversion":
        period = draw(st.sampled_from([1, 2, 150]) | st.integers(1, 40))
        width = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0]) | st.floats(0.0, 3.0))
        return {"period": period, "width": width, "direction": direction}
    if family == "momentum":
        band = draw(st.just(0.0) | st.floats(0.0, 0.1))
        return {"lookback": draw(st.just(150) | st.integers(1, 40)), "band": band, "direction": direction}
    fast = draw(st.integers(1, 12))
    genes = {"fast": fast, "slow": fast + draw(st.integers(1, 25)), "direction": direction}
    if family == "ema_crossover":
        genes["band"] = draw(st.just(0.0) | st.floats(0.0, 0.02))
    return genes
