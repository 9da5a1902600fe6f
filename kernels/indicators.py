"""Technical indicators: arrays in, arrays out, NaN where not yet defined.

The recurrences are written once, as functions of one bar, and used here and by the signals. Each docstring states the
seeding, the first defined bar and the summation.
"""

from __future__ import annotations

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


def _period(n: int, least: int = 1) -> int:
    if not isinstance(n, int | float | np.integer | np.floating) or not least <= n < 2**53 or int(n) != n:
        raise ValueError(f"period n = {n!r}: expected a whole number of bars, at least {least}")
    return int(n)


def _series(values: np.ndarray) -> np.ndarray:
    series = frozen(values)
    if series.ndim != 1:
        raise ValueError(f"expected a series of shape (T,), got an array of shape {series.shape}")
    return series


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
