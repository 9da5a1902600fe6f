"""Rules that revert: they buy what has fallen too far and sell what has risen too far, until it is back."""

from __future__ import annotations

import math

import numpy as np

from .compile import device
from .signals import EQUAL, Signal, greatest_target, least_target, of_close, of_moments
from .steps import rsi_value, wilder_next
from .windows import level_around, window_moments

# rsi_mean_reversion(period, entry, exit, direction)


@device
def rsi_mean_reversion_prepare(genome):
    return genome[0], genome[1], genome[2], least_target(genome[3]), greatest_target(genome[3])


@device
def rsi_mean_reversion_start(genes, inputs):
    return 0.0, 0.0, 0.0


@device
def rsi_mean_reversion_step(genes, state, t, inputs):
    period, entry, leave, least, greatest = genes
    gain, loss, target = state
    if t == 0:
        return state, 0.0
    close = inputs[0]
    gain, loss = wilder_next(gain, loss, close[t] - close[t - 1], t, period)
    rsi = rsi_value(gain, loss) if t >= period else np.nan
    if target == 0.0:
        if rsi < entry:
            target = greatest
        if rsi > 100.0 - entry and target == 0.0:
            target = least
    elif target > 0.0:
        target = 0.0 if not rsi <= leave else target  # also where rsi is NaN
    else:
        target = 0.0 if not rsi >= 100.0 - leave else target
    return (gain, loss, target), target


rsi_mean_reversion = Signal(
    "rsi_mean_reversion", rsi_mean_reversion_prepare, rsi_mean_reversion_start, rsi_mean_reversion_step, of_close
)


# bollinger_reversion(period, width, direction)


@device
def bollinger_reversion_prepare(genome):
    period = int(genome[0])
    return period, level_around(period), genome[1], least_target(genome[2]), greatest_target(genome[2])


@device
def bollinger_reversion_start(genes, inputs):
    return 0.0


@device
def bollinger_reversion_step(genes, state, t, inputs):
    period, level, width, least, greatest = genes
    close, heads, tails = inputs
    if t < period - 1:
        return 0.0, 0.0
    target = state
    price = close[t]
    equal = EQUAL * price
    middle, squares = window_moments(heads, tails, t, period, level)
    if target > 0.0:
        target = 0.0 if price >= middle - equal else target
    elif target < 0.0:
        target = 0.0 if price <= middle + equal else target
    else:
        reach = width * math.sqrt(squares / period)
        if price < middle - reach - equal:
            target = greatest
        elif price > middle + reach + equal:
            target = least
    return target, target


bollinger_reversion = Signal(
    "bollinger_reversion", bollinger_reversion_prepare, bollinger_reversion_start, bollinger_reversion_step, of_moments
)
