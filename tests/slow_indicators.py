"""Slow twins of the indicators: plain Python from the books' formulas, each window looked through, sums by `math.fsum`.

A twin takes bars and parameters and gives its lines as lists; where nothing is defined yet stands NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from ledger import NAN, slow_ema

from islands.market.bars import Bars

Line = list[float]


def rolling(values: Sequence[float], n: int, of: Callable[[Sequence[float]], float]) -> Line:
    """`of` each window of n values without NaN."""
    windows = (values[t + 1 - n : t + 1] if t + 1 >= n else [NAN] for t in range(len(values)))
    return [NAN if any(map(math.isnan, window)) else of(window) for window in windows]


def weighted(window: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(w * v for w, v in zip(weights, window, strict=True)) / math.fsum(weights)


def mean(window: Sequence[float]) -> float:
    return math.fsum(window) / len(window)


def deviation(window: Sequence[float]) -> float:
    if min(window) == max(window):
        return 0.0
    middle = mean(window)
    return math.sqrt(mean([(value - middle) ** 2 for value in window]))


def score(window: Sequence[float]) -> float:
    spread = deviation(window)
    return (window[-1] - mean(window)) / spread if spread > 0.0 else NAN


def wma(close: Line, n: int) -> Line:
    return rolling(close, n, lambda window: weighted(window, range(1, n + 1)))


def nadaraya_watson(close: Line, n: int, bandwidth: float) -> Line:
    weights = [math.exp(-((n - 1 - i) ** 2) / (2.0 * bandwidth**2)) for i in range(n)]
    return rolling(close, n, lambda window: weighted(window, weights))


def vwap(bars: Bars, n: int) -> Line:
    prices = [(h + l + c) / 3.0 for h, l, c in zip(bars.high, bars.low, bars.close, strict=True)]
    volume, values = bars.volume.tolist(), [NAN] * len(prices)
    for t in range(n - 1, len(prices)):
        window = slice(t + 1 - n, t + 1)
        if any(volume[window]):
            values[t] = weighted(prices[window], volume[window])
    return values


def true_range(bars: Bars) -> Line:
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    rest = zip(high[1:], low[1:], close, strict=False)
    return [NAN, *(max(h - l, abs(h - before), abs(l - before)) for h, l, before in rest)]


def atr(bars: Bars, n: int) -> Line:
    """As Wilder writes it: (previous * (n-1) + today's) / n."""
    ranges = true_range(bars)
    values = [NAN] * len(ranges)
    for t in range(n, len(ranges)):
        values[t] = mean(ranges[1 : n + 1]) if t == n else (values[t - 1] * (n - 1) + ranges[t]) / n
    return values


def keltner(bars: Bars, n: int, width: float) -> list[Line]:
    middle, reach = slow_ema(bars.close.tolist(), n), atr(bars, n)
    lower, upper = ([m + side * width * r for m, r in zip(middle, reach, strict=True)] for side in (-1.0, 1.0))
    return [lower, middle, upper]


def adx(bars: Bars, n: int) -> list[Line]:
    """As TA-Lib: sums over n-1 bars, then sum - sum/n + today's; the mean of n DX, then (previous * (n-1) + today's) / n."""
    high, low, ranges = bars.high.tolist(), bars.low.tolist(), true_range(bars)
    ups = [0.0, *(max(b - a, 0.0) for a, b in pairwise(high))]
    downs = [0.0, *(max(a - b, 0.0) for a, b in pairwise(low))]
    plus = [up if up > down else 0.0 for up, down in zip(ups, downs, strict=True)]
    minus = [down if down > up else 0.0 for up, down in zip(ups, downs, strict=True)]

    def smoothed(values: Line) -> Line:
        total, sums = math.fsum(values[1:n]), [NAN] * len(values)
        for t in range(n, len(values)):
            total = total * (n - 1) / n + values[t]
            sums[t] = total
        return sums

    reach = smoothed(ranges)
    above, below = (
        [NAN if math.isnan(r) else 100.0 * m / r if r > 0.0 else 0.0 for m, r in zip(smoothed(moves), reach, strict=True)]
        for moves in (plus, minus)
    )
    strength, seed = [NAN] * len(high), []
    for t in range(n, len(high)):
        total = above[t] + below[t]
        today = 100.0 * abs(above[t] - below[t]) / total if total > 0.0 else None
        if t < 2 * n:
            seed.append(today or 0.0)
        if t == 2 * n - 1:
            strength[t] = mean(seed)
        if t >= 2 * n:
            strength[t] = strength[t - 1] if today is None else (strength[t - 1] * (n - 1) + today) / n
    return [strength, above, below]


def stochastic(bars: Bars, k: int, d: int) -> list[Line]:
    lowest, highest = rolling(bars.low.tolist(), k, min), rolling(bars.high.tolist(), k, max)
    fast = [
        0.0 if high == low else 100.0 * (close - low) / (high - low)
        for close, low, high in zip(bars.close.tolist(), lowest, highest, strict=True)
    ]
    return [fast, rolling(fast, d, mean)]


def macd(close: Line, fast: int, slow: int, signal: int) -> list[Line]:
    line = [a - b for a, b in zip(slow_ema(close, fast), slow_ema(close, slow), strict=True)]
    average = slow_ema(line, signal)
    return [line, average, [a - b for a, b in zip(line, average, strict=True)]]


def ichimoku(bars: Bars, *spans: int) -> list[Line]:
    high, low = bars.high.tolist(), bars.low.tolist()
    middles = [[(a + b) / 2.0 for a, b in zip(rolling(high, n, max), rolling(low, n, min), strict=True)] for n in spans]
    return [*middles[:2], [(a + b) / 2.0 for a, b in zip(*middles[:2], strict=True)], middles[2]]


def realised_volatility(close: Line, n: int, periods_per_year: float) -> Line:
    returns = [NAN, *(math.log(b / a) for a, b in pairwise(close))]
    return rolling(returns, n, lambda window: math.sqrt(periods_per_year * mean([r * r for r in window])))
