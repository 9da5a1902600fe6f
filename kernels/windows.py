"""What lies in the last n bars: means, extremes, moments and weighted means, for any window at any bar.

Tables are made once for a whole population; any window is then read off them, at the same cost whatever its length
(weighted means alone cost their length). What a window gives depends on its own values: to the last bit, or, where the
docstring says so, up to rounding.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import device, frozen, kernel
from .memory import forward
from .spans import count_in_block
from .vectors import greater, quotient, smaller, where

# Means: differences of running sums


@device
def window_mean(high_parts, low_parts, t, n):
    """Mean of the n values that end with bar t, from running sums of double-double precision."""
    return quotient((high_parts[t + 1] - high_parts[t + 1 - n]) + (low_parts[t + 1] - low_parts[t + 1 - n]), n)


@device
def sum_next(high, low, value):
    """The sum high + low, of double-double precision, with one more value (Knuth, see below)."""
    total = high + value  # his two-sum: `error` is exactly what the addition lost
    part = total - high
    low += (high - (total - part)) + (value - part)
    return total + low, low - ((total + low) - total)


@kernel("running_sums")
def _running_sums(values, high_parts, low_parts):
    high = 0.0
    low = 0.0
    high_parts[0] = 0.0
    low_parts[0] = 0.0
    for t in range(values.shape[0]):
        value = values[t] if values[t] == values[t] else 0.0
        high, low = sum_next(high, low, value)
        high_parts[t + 1] = high
        low_parts[t + 1] = low


def running_sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the first t values, t = 0..T, in double-double precision: two arrays (T+1,) whose sum is the value.

    The difference of two such sums is the sum of a window, exact to about one unit in the last place whatever came
    before the window (Knuth, The Art of Computer Programming 2, 4.2.2). NaN counts as 0 here.
    """
    values = frozen(values)
    high_parts = np.empty(values.shape[0] + 1)
    low_parts = np.empty(values.shape[0] + 1)
    _running_sums(values, high_parts, low_parts)
    return frozen(high_parts), frozen(low_parts)


# Extremes of windows: a table that two looks answer for any window


def window_levels(values: np.ndarray, longest: int, extreme: np.ufunc) -> np.ndarray:
    """Extremes (np.maximum or np.minimum) over 2^k bars, for windows of up to `longest` bars: read-only, (K, T).

    Row k holds at t the extreme of the 2^k bars that end with bar t, or of all bars where there are fewer. Any window
    is the union of two of these, so its extreme costs the same whatever its length (a monotonic queue for each genome
    was 30 times slower), and memory is 8 bytes a bar for each doubling. A NaN is the extreme of its window.
    """
    bars = values.shape[0]
    levels = np.empty((max(min(longest, bars), 1).bit_length(), bars))
    levels[0] = values
    for k in range(1, levels.shape[0]):
        half = 1 << (k - 1)
        levels[k, :half] = extreme.accumulate(values[:half])
        extreme(levels[k - 1, half:], levels[k - 1, :-half], out=levels[k, half:])
    return frozen(levels)


@device
def level_within(n):
    """The greatest k with 2^k <= n: the row of `window_levels` for windows of n bars."""
    level = 0
    while 2 << level <= n:
        level += 1
    return level


@device
def window_max(levels, t, n, level):
    """Greatest of the n values that end with bar t >= n-1; level is level_within(n)."""
    return greater(levels[level, t - n + (1 << level)], levels[level, t])


@device
def window_min(levels, t, n, level):
    """Least of the n values that end with bar t >= n-1; level is level_within(n)."""
    return smaller(levels[level, t - n + (1 << level)], levels[level, t])


# Mean and variance of windows: parts on both sides of a block's edge, joined


@device
def moments_next(mean, squares, value, count):
    """One more value, the count-th: the mean so far, and the sum of squared deviations from it (Welford)."""
    away = value - mean
    mean += away * (1.0 / count)  # a reciprocal does not wait for the mean, as a quotient would
    return mean, squares + away * (value - mean)


@device
def add_to_head(heads, k, t, value, mean, squares):
    """One more bar of a head of blocks of 2^k bars."""
    place = t & ((1 << k) - 1)
    if place == 0:
        mean = squares = 0.0
    mean, squares = moments_next(mean, squares, value, place + 1.0)
    heads[2 * k, t], heads[2 * k + 1, t] = mean, squares
    return mean, squares


@device
def add_to_tail(tails, k, t, value, mean, squares, count):
    """One more bar, going backwards, of a tail of blocks of 2^k bars."""
    within = (1 << k) - 1
    if t & within == within:
        mean = squares = count = 0.0
    count += 1.0
    mean, squares = moments_next(mean, squares, value, count)
    tails[2 * k, t], tails[2 * k + 1, t] = mean, squares
    return mean, squares, count


@kernel("block_moments")
def _block_moments(values, heads, tails):
    """Four chains at a time, of two levels forwards and backwards: none of them waits for another."""
    bars, last = values.shape[0], heads.shape[0] // 2 - 1
    for k in range(0, last + 1, 2):
        other = min(k + 1, last)
        a = a2 = b = b2 = c = c2 = d = d2 = of_c = of_d = 0.0
        for i in range(bars):
            t, back = forward(i), forward(bars - 1 - i)
            a, a2 = add_to_head(heads, k, t, values[t], a, a2)
            b, b2 = add_to_head(heads, other, t, values[t], b, b2)
            c, c2, of_c = add_to_tail(tails, k, back, values[back], c, c2, of_c)
            d, d2, of_d = add_to_tail(tails, other, back, values[back], d, d2, of_d)


def block_moments(values: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Moments of parts of blocks, for windows of up to `longest` bars: heads and tails, read-only, each (2 K, T).

    Time is cut into blocks of 2^k bars. heads[2 k, t] is the mean, and heads[2 k + 1, t] the sum of squared deviations from
    it, of the bars from the start of t's block to t, tails of those from t to the end of its block. A window that crosses
    one edge of blocks is a tail and a head: no value outside the window enters its moments, whatever came before, and a
    window of equal values has deviations of exactly 0. Differences of running sums of squares, even of double-double ones,
    keep neither promise. Memory is 32 bytes a bar for each doubling.
    """
    rows = (max(min(longest, values.shape[0]), 1) - 1).bit_length() + 1
    heads, tails = (np.empty((2 * rows, values.shape[0])) for _ in range(2))
    _block_moments(frozen(values), heads, tails)
    return frozen(heads), frozen(tails)


@device
def level_around(n):
    """The least k with 2^k >= n: windows of n bars cross at most one edge of blocks of 2^k."""
    level = 0
    while 1 << level < n:
        level += 1
    return level


@device
def window_moments(heads, tails, t, n, level):
    """Mean of the n values that end with bar t >= n-1, and the sum of squared deviations from it; also for a span of bars.

    level is level_around(n). A window within one block of 2^level bars fills more than half of it, or is one bar, and so
    crosses the edge in its middle. The two parts are joined as Chan, Golub and LeVeque do (1979).
    """
    start, lower = t - (n - 1), max(level - 1, 0)
    after = count_in_block(t, level)
    whole = after >= n
    after = where(whole, count_in_block(t, lower), after)
    head = where(whole, heads[2 * lower, t], heads[2 * level, t])
    tail = where(whole, tails[2 * lower, start], tails[2 * level, start])
    head_squares = where(whole, heads[2 * lower + 1, t], heads[2 * level + 1, t])
    tail_squares = where(whole, tails[2 * lower + 1, start], tails[2 * level + 1, start])
    share = quotient(after, n)
    away = head - tail
    return tail + away * share, tail_squares + head_squares + away * away * share * (n - after)


# Weighted means: each window summed anew


@device
def weighted_mean(values, weights, row, t, n):
    """Mean of the n values that end with bar t >= n-1, where the value i bars back weighs weights[row, i].

    The weights of a row sum to 1. Summed from the newest distance to the oldest, as distances from values[t]: n equal
    values have exactly that mean.
    """
    last = values[t]
    away = last - last
    for i in range(1, n):
        away += weights[row, i] * (values[t - i] - last)
    return last + away


def linear_weights(n: int) -> np.ndarray:
    """Weights n, n-1, ..., 1 over their sum, newest first: read-only, (n,)."""
    return frozen(np.arange(n, 0.0, -1.0) / (n * (n + 1) / 2))


def gaussian_weights(n: int, bandwidth: float) -> np.ndarray:
    """Weights exp(-i^2 / (2 bandwidth^2)) over their sum for the value i = 0..n-1 bars back: read-only, (n,).

    By the C library's exp, for numpy's differs between processors.
    """
    raw = [math.exp(-0.5 * (i / bandwidth) * (i / bandwidth)) for i in range(n)]
    return frozen(np.array(raw) / math.fsum(raw))


# Returns


@kernel("log_returns")
def _log_returns(close, out):
    for t in range(close.shape[0]):
        out[t] = np.nan
        if t > 0 and close[t] > 0.0 and close[t - 1] > 0.0:
            out[t] = math.log(close[t] / close[t - 1])


def log_returns(close: np.ndarray) -> np.ndarray:
    """log(close[t] / close[t-1]) by the C library's log, (T,) -> (T,), read-only; NaN at bar 0 and by a price <= 0."""
    close = frozen(close)
    out = np.empty_like(close)
    _log_returns(close, out)
    return frozen(out)
