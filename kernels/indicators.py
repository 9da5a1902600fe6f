"""Technical indicators: arrays in, arrays out, NaN where not yet defined.

The recurrences are written once, as functions of one bar, and used here and by the signals. Each docstring states the
seeding, the first defined bar and the summation.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import device, frozen, kernel


@device
def ema_next(previous, value, alpha):
    """One bar of an exponential moving average. In this form a constant series stays constant to the last bit."""
    return previous + alpha * (value - previous)


@device
def ema_alpha(span):
    return 2.0 / (span + 1.0)


@device
def wilder_next(average_gain, average_loss, change, t, period):
    """One bar (t >= 1) of Wilder's averages: sums up to t = period, there their plain means, a recurrence after."""
    gain = max(change, 0.0)
    loss = max(-change, 0.0)
    if t < period:
        return average_gain + gain, average_loss + loss
    if t == period:
        return (average_gain + gain) / period, (average_loss + loss) / period
    weight = 1.0 / period
    return average_gain + weight * (gain - average_gain), average_loss + weight * (loss - average_loss)


@device
def rsi_value(average_gain, average_loss):
    """100 * gain / (gain + loss); NaN without any gain or loss."""
    total = average_gain + average_loss
    if total == 0.0:
        return np.nan
    return 100.0 * average_gain / total


@device
def window_mean(high_parts, low_parts, t, n):
    """Mean of the n values that end with bar t, from running sums of double-double precision."""
    return ((high_parts[t + 1] - high_parts[t + 1 - n]) + (low_parts[t + 1] - low_parts[t + 1 - n])) / n


@kernel("running_sums")
def _running_sums(values, high_parts, low_parts):
    high = 0.0
    low = 0.0
    high_parts[0] = 0.0
    low_parts[0] = 0.0
    for t in range(values.shape[0]):
        value = values[t] if values[t] == values[t] else 0.0
        total = high + value  # Knuth's two-sum: `error` is exactly what the addition lost
        part = total - high
        error = (high - (total - part)) + (value - part)
        low += error
        high = total + low
        low -= high - total
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
    return max(levels[level, t], levels[level, t - n + (1 << level)])


@device
def window_min(levels, t, n, level):
    """Least of the n values that end with bar t >= n-1; level is level_within(n)."""
    return min(levels[level, t], levels[level, t - n + (1 << level)])


# Mean and variance of windows: parts on both sides of a block's edge, joined


@device
def moments_next(mean, squares, value, count):
    """One more value, the count-th: the mean so far, and the sum of squared deviations from it (Welford)."""
    away = value - mean
    mean += away * (1.0 / count)  # a reciprocal does not wait for the mean, as a quotient would
    return mean, squares + away * (value - mean)


@kernel("block_moments")
def _block_moments(values, heads, tails):
    bars = values.shape[0]
    for k in range(heads.shape[0]):
        within = (1 << k) - 1
        mean = squares = 0.0
        for t in range(bars):
            place = t & within
            if place == 0:
                mean = squares = 0.0
            mean, squares = moments_next(mean, squares, values[t], place + 1.0)
            heads[k, t, 0], heads[k, t, 1] = mean, squares
        mean = squares = 0.0
        count = 0.0
        for t in range(bars - 1, -1, -1):
            if t & within == within:
                mean = squares = count = 0.0
            count += 1.0
            mean, squares = moments_next(mean, squares, values[t], count)
            tails[k, t, 0], tails[k, t, 1] = mean, squares


def block_moments(values: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Moments of parts of blocks, for windows of up to `longest` bars: heads and tails, read-only, each (K, T, 2).

    Time is cut into blocks of 2^k bars. heads[k, t] are the mean, and the sum of squared deviations from it, of the bars
    from the start of t's block to t, tails[k, t] of those from t to the end of its block. A window that crosses one edge
    of blocks is a tail and a head: no value outside the window enters its moments, whatever came before, and a window
    of equal values has deviations of exactly 0. Differences of running sums of squares, even of double-double ones, keep
    neither promise. Memory is 32 bytes a bar for each doubling.
    """
    rows = (max(min(longest, values.shape[0]), 1) - 1).bit_length() + 1
    heads, tails = (np.empty((rows, values.shape[0], 2)) for _ in range(2))
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
    """Mean of the n values that end with bar t >= n-1, and the sum of squared deviations from it.

    level is level_around(n). A window within one block of 2^level bars fills more than half of it and so crosses the
    edge in its middle. The two parts are joined as Chan, Golub and LeVeque do (1979).
    """
    if n == 1:
        return heads[0, t, 0], 0.0
    start = t + 1 - n
    if start >> level == t >> level:
        level -= 1
    after = (t & ((1 << level) - 1)) + 1
    share = after / n
    away = heads[level, t, 0] - tails[level, start, 0]
    squares = tails[level, start, 1] + heads[level, t, 1] + away * away * share * (n - after)
    return tails[level, start, 0] + away * share, squares


@kernel("sma")
def _sma(values, high_parts, low_parts, n, out):
    holes_until = -1  # the last bar with NaN
    for t in range(values.shape[0]):
        if values[t] != values[t]:
            holes_until = t
        if t - n >= holes_until:
            out[t] = window_mean(high_parts, low_parts, t, n)
        else:
            out[t] = np.nan


@kernel("ema")
def _ema(values, span, out):
    alpha = ema_alpha(span)
    average = np.nan
    for t in range(values.shape[0]):
        average = values[t] if average != average else ema_next(average, values[t], alpha)
        out[t] = average


@kernel("rsi")
def _rsi(close, n, out):
    gain = 0.0
    loss = 0.0
    for t in range(close.shape[0]):
        out[t] = np.nan
        if t > 0:
            gain, loss = wilder_next(gain, loss, close[t] - close[t - 1], t, n)
            if t >= n:
                out[t] = rsi_value(gain, loss)


@kernel("bollinger")
def _bollinger(heads, tails, n, width, lower, middle, upper):
    level = level_around(n)
    for t in range(lower.shape[0]):
        lower[t] = middle[t] = upper[t] = np.nan
        if t >= n - 1:
            mean, squares = window_moments(heads, tails, t, n, level)
            reach = width * math.sqrt(squares / n)
            lower[t], middle[t], upper[t] = mean - reach, mean, mean + reach


def _period(n: int, least: int = 1) -> int:
    if not isinstance(n, int | float | np.integer | np.floating) or not least <= n < 2**53 or int(n) != n:
        raise ValueError(f"period n = {n!r}: expected a whole number of bars, at least {least}")
    return int(n)


def _series(values: np.ndarray) -> np.ndarray:
    series = frozen(values)
    if series.ndim != 1:
        raise ValueError(f"expected a series of shape (T,), got an array of shape {series.shape}")
    return series


def _together(*series: np.ndarray) -> list[np.ndarray]:
    arrays = [_series(values) for values in series]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(f"expected series of one length, got {' and '.join(str(len(a)) for a in arrays)} bars")
    return arrays


def sma(close: np.ndarray, n: int) -> np.ndarray:
    """Simple moving average over n bars, (T,) -> (T,), first defined at bar n-1.

    Window sums are differences of running sums of double-double precision: the value depends on the window alone up to
    rounding. A window with a NaN in it gives NaN.

    Raises:
        ValueError: n is not a whole number >= 1, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    _sma(series, *running_sums(series), n, out)
    return out


def ema(close: np.ndarray, n: int) -> np.ndarray:
    """Exponential moving average with span n (alpha = 2/(n+1)), (T,) -> (T,), defined from bar 0.

    Seeded with the first close (pandas' `ewm(span=n, adjust=False)`); TA-Lib seeds with the mean of the first n values
    instead, so the two agree only after warm-up. Leading NaN are passed over; a NaN after that ends the average, which
    starts anew from the next value.

    Raises:
        ValueError: n is not a whole number >= 1, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    _ema(series, n, out)
    return out


def rsi(close: np.ndarray, n: int = 14) -> np.ndarray:
    """Wilder's relative strength index in [0, 100], (T,) -> (T,), first defined at bar n.

    Seeded at bar n with the plain means of the first n gains and losses, as TA-Lib; without any gain or loss so far it
    is NaN (TA-Lib: 0). A NaN in `close` makes all later values NaN.
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.

    Raises:
        ValueError: n is not a whole number >= 1, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    _rsi(series, n, out)
    return out


def bollinger(close: np.ndarray, n: int = 20, width: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bollinger bands: lower, middle and upper, (T,) -> three of (T,), first defined at bar n-1.

    middle is the mean of n closes, the others lie `width` standard deviations (of the population, ddof 0) from it. Mean
    and deviation are joined from the two parts of the window on either side of a fixed edge, each summed by Welford's
    updates from that edge outwards: they depend on the window alone up to rounding, and n equal closes have a deviation
    of exactly 0. A window with a NaN in it gives NaN.
    Source: John Bollinger, Bollinger on Bollinger Bands, 2001.

    Raises:
        ValueError: n is not a whole number >= 1, width is not a finite number >= 0, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    if not isinstance(width, int | float | np.integer | np.floating) or not 0.0 <= width < math.inf:
        raise ValueError(f"width = {width!r}: expected a finite number of standard deviations, at least 0")
    bands = np.empty_like(series), np.empty_like(series), np.empty_like(series)
    _bollinger(*block_moments(series, n), n, float(width), *bands)
    return bands


def donchian(high: np.ndarray, low: np.ndarray, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Donchian channel: lower (the lowest low) and upper (the highest high) of the n bars that end with bar t.

    (T,), (T,) -> two of (T,), first defined at bar n-1; bar t itself is included. There is no arithmetic, values are
    exact. A window with a NaN in it gives NaN on that side.

    Raises:
        ValueError: n is not a whole number >= 1, or the series are not one-dimensional and of one length.
    """
    (highs, lows), n = _together(high, low), _period(n)
    return _extremes(lows, n, np.minimum), _extremes(highs, n, np.maximum)


def _extremes(values: np.ndarray, n: int, extreme: np.ufunc) -> np.ndarray:
    out = np.full(values.shape[0], np.nan)
    if n <= values.shape[0]:
        levels = window_levels(values, n, extreme)
        rest = n - (1 << (levels.shape[0] - 1))
        extreme(levels[-1, n - 1 :], levels[-1, n - 1 - rest : values.shape[0] - rest], out=out[n - 1 :])
    return out
