"""Whole series: the compiled loops behind `indicators`, each a step of `steps` or a window of `windows` a bar, `out` last.

NaN is written where nothing is defined yet. n is a number of bars >= 1 and may exceed the series.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import kernel
from .steps import (
    adx_next,
    atr_next,
    directional_value,
    ema_alpha,
    ema_next,
    macd_next,
    rsi_value,
    stochastic_value,
    true_range_at,
    wilder_next,
    zscore_value,
)
from .windows import level_around, weighted_mean, window_mean, window_moments


@kernel("sma")
def sma(values, high_parts, low_parts, n, out):
    holes_until = -1  # the last bar with NaN
    for t in range(values.shape[0]):
        if values[t] != values[t]:
            holes_until = t
        if t - n >= holes_until:
            out[t] = window_mean(high_parts, low_parts, t, n)
        else:
            out[t] = np.nan


@kernel("ema")
def ema(values, span, out):
    alpha = ema_alpha(span)
    average = np.nan
    for t in range(values.shape[0]):
        average = values[t] if average != average else ema_next(average, values[t], alpha)
        out[t] = average


@kernel("macd")
def macd(close, fast_span, slow_span, signal_span, line, signal, histogram):
    alphas = ema_alpha(fast_span), ema_alpha(slow_span), ema_alpha(signal_span)
    fast = slow = average = np.nan
    for t in range(close.shape[0]):
        if fast != fast:
            fast = slow = close[t]
            average = fast - slow  # 0, or NaN in a hole
        else:
            fast, slow, average = macd_next(fast, slow, average, close[t], *alphas)
        line[t], signal[t], histogram[t] = fast - slow, average, fast - slow - average


@kernel("rsi")
def rsi(close, n, out):
    gain = 0.0
    loss = 0.0
    for t in range(close.shape[0]):
        out[t] = np.nan
        if t > 0:
            gain, loss = wilder_next(gain, loss, close[t] - close[t - 1], t, n)
            if t >= n:
                out[t] = rsi_value(gain, loss)


@kernel("true_range")
def true_range(high, low, close, out):
    for t in range(out.shape[0]):
        out[t] = true_range_at(high, low, close, t) if t > 0 else np.nan


@kernel("atr")
def atr(high, low, close, n, out):
    average = 0.0
    for t in range(out.shape[0]):
        out[t] = np.nan
        if t > 0:
            average = atr_next(average, true_range_at(high, low, close, t), t, n)
            if t >= n:
                out[t] = average


@kernel("adx")
def adx(high, low, close, n, out, plus_di, minus_di):
    plus = minus = reach = strength = 0.0
    for t in range(out.shape[0]):
        out[t] = plus_di[t] = minus_di[t] = np.nan
        if t > 0:
            plus, minus, reach, strength = adx_next(plus, minus, reach, strength, high, low, close, t, n)
        if t >= n:
            plus_di[t], minus_di[t] = directional_value(plus, reach), directional_value(minus, reach)
        if t >= 2 * n - 1:
            out[t] = strength


@kernel("stochastic")
def stochastic(close, lowest, highest, out):
    for t in range(out.shape[0]):
        out[t] = stochastic_value(close[t], lowest[t], highest[t])


@kernel("weighted_means")
def weighted_means(values, weights, n, out):
    for t in range(out.shape[0]):
        out[t] = weighted_mean(values, weights, 0, t, n) if t >= n - 1 else np.nan


@kernel("moments")
def moments(values, heads, tails, n, means, deviations, scores):
    level = level_around(n)
    for t in range(values.shape[0]):
        means[t] = deviations[t] = scores[t] = np.nan
        if t >= n - 1:
            mean, squares = window_moments(heads, tails, t, n, level)
            means[t], deviations[t] = mean, math.sqrt(squares / n)
            scores[t] = zscore_value(values[t], mean, squares, n)
