"""One bar of each indicator: what the loops of `loops` and the steps of `signals` share.

Recurrences end in _next and take what they carried; values of one bar end in _value or _at. Nothing here reads beyond
bar t. NaN in, NaN out, and a recurrence keeps it.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import device
from .vectors import fma, greatest_lane, where


@device
def ema_next(previous, value, alpha):
    """One bar of an exponential moving average. In this form a constant series stays constant to the last bit."""
    return fma(alpha, value - previous, previous)


@device
def ema_alpha(span):
    return 2.0 / (span + 1.0)


@device
def ema_sum_next(previous, value, alpha):
    """One bar of an exponential moving average divided by its alpha: one operation, for rules that compare averages. A
    constant series does not stay constant to the last bit: they tell by EQUAL whether two differ."""
    return fma(previous, 1.0 - alpha, value)


@device
def macd_next(fast, slow, signal, price, fast_alpha, slow_alpha, signal_alpha):
    """One bar of MACD's three averages; the line is fast - slow, the histogram line - signal.

    Before the first bar fast = slow = its price and signal = 0: that bar then leaves them as they are.
    """
    fast = ema_next(fast, price, fast_alpha)
    slow = ema_next(slow, price, slow_alpha)
    return fast, slow, ema_next(signal, fast - slow, signal_alpha)


@device
def wilder_average_next(average, value, t, period):
    """One bar (t >= 1) of Wilder's average: a sum up to t = period, there the plain mean, a recurrence after."""
    following = fma(1.0 / period, value - average, average)
    if t <= greatest_lane(period):
        total = average + value
        following = where(period >= t, where(period == t, total / period, total), following)
    return following


@device
def wilder_next(average_gain, average_loss, change, t, period):
    """One bar (t >= 1) of Wilder's averages of gains and of losses."""
    gain = wilder_average_next(average_gain, max(change, 0.0), t, period)
    return gain, wilder_average_next(average_loss, max(-change, 0.0), t, period)


@device
def rsi_value(average_gain, average_loss):
    """100 * (gain / (gain + loss)), in this form never above 100; NaN without any gain or loss."""
    return 100.0 * (average_gain / (average_gain + average_loss))


@device
def true_range_at(high, low, close, t):
    """The range of bar t >= 1 together with the close before it; NaN where one of the three is."""
    before = close[t - 1]
    if before != before:
        return np.nan
    reach = high[t] - low[t]
    if high[t] - before > reach:  # never true beside a NaN, which reach then is
        reach = high[t] - before
    if before - low[t] > reach:
        reach = before - low[t]
    return reach


@device
def atr_next(average, true_range, t, period):
    """One bar (t >= 1) of Wilder's average true range, defined from bar `period`; 0 before bar 1."""
    return wilder_average_next(average, true_range, t, period)


@device
def directional_value(movement, true_range):
    """+DI or -DI in [0, 100] from smoothed directional movement and range; 0 where there was no range, as TA-Lib."""
    if true_range == 0.0:
        return 0.0
    return 100.0 * (movement / true_range)


@device
def adx_next(plus, minus, reach, adx, high, low, close, t, period):
    """One bar (t >= 1) of +DM, -DM and true range, smoothed as sums, and of ADX; all 0 before bar 1.

    The sums are plain before bar `period`, +DI and -DI (see directional_value) are defined from that bar, ADX from
    bar 2 period - 1, before which it is the sum so far. A bar without any movement leaves ADX as it was.
    """
    up, down = high[t] - high[t - 1], low[t - 1] - low[t]
    keep = 1.0 if t < period else 1.0 - 1.0 / period
    plus = plus * keep + (up if up > 0.0 and up > down else 0.0)
    minus = minus * keep + (down if down > 0.0 and down > up else 0.0)
    reach = reach * keep + true_range_at(high, low, close, t)
    if up != up or down != down:  # the first bar's high and low enter no range
        reach = np.nan
    if t < period:
        return plus, minus, reach, adx
    above, below = directional_value(plus, reach), directional_value(minus, reach)
    strength = adx if t >= 2 * period else 0.0
    if above + below != 0.0:
        strength = 100.0 * (abs(above - below) / (above + below))
    return plus, minus, reach, wilder_average_next(adx, strength, t - period + 1, period)


@device
def stochastic_value(close, lowest, highest):
    """Fast %K: where the close stands between the lowest low (0) and the highest high (100); 0 where these are equal."""
    still = (highest == lowest) & (close == close)
    return where(still, 0.0, 100.0 * ((close - lowest) / (highest - lowest)))  # in this form never above 100


@device
def zscore_value(value, mean, squares, n):
    """How many standard deviations (of the population) a value lies from the mean of its window of n.

    `mean` and `squares` are window_moments'; NaN where all values of the window are equal.
    """
    if squares == 0.0:
        return np.nan
    return (value - mean) / math.sqrt(squares / n)
