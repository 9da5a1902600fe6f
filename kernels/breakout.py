"""Rules of breakouts: they follow a close that leaves the range of the bars before it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .compile import device
from .signals import (
    EQUAL,
    Signal,
    channels,
    follow,
    greatest_target,
    least_target,
    longest,
    of_moments,
    of_ranges,
    start_flat,
)
from .steps import atr_next, ema_alpha, ema_next
from .windows import level_around, level_within, window_max, window_min, window_moments

if TYPE_CHECKING:
    from .batch import Market

# donchian_breakout(entry, exit, direction)


@device
def donchian_breakout_prepare(genome):
    entry, leave = int(genome[0]), int(genome[1])
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return entry, level_within(entry), leave, level_within(leave), bounds


@device
def donchian_breakout_step(genes, state, t, inputs):
    entry, entry_level, leave, leave_level, (least, greatest) = genes
    close, highs, lows = inputs
    if t < max(entry, leave):
        return 0.0, 0.0
    target = state
    price = close[t]
    if (target > 0.0 and price < window_min(lows, t - 1, leave, leave_level)) or (
        target < 0.0 and price > window_max(highs, t - 1, leave, leave_level)
    ):
        target = 0.0
    if greatest > 0.0 and price > window_max(highs, t - 1, entry, entry_level):
        target = 1.0
    elif least < 0.0 and price < window_min(lows, t - 1, entry, entry_level):
        target = -1.0
    return target, target


def _of_donchian(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0, 1))


donchian_breakout = Signal("donchian_breakout", donchian_breakout_prepare, start_flat, donchian_breakout_step, _of_donchian)


# bollinger_breakout(period, width, direction)


@device
def bollinger_breakout_prepare(genome):
    period = int(genome[0])
    return period, level_around(period), genome[1], least_target(genome[2]), greatest_target(genome[2])


@device
def bollinger_breakout_step(genes, state, t, inputs):
    period, level, width, least, greatest = genes
    close, heads, tails = inputs
    if t < period - 1:
        return 0.0, 0.0
    equal = EQUAL * close[t]
    middle, squares = window_moments(heads, tails, t, period, level)
    reach = width * math.sqrt(squares / period)
    target = follow(state, close[t] - middle, reach + equal, equal, least, greatest)
    return target, target


bollinger_breakout = Signal("bollinger_breakout", bollinger_breakout_prepare, start_flat, bollinger_breakout_step, of_moments)


# keltner_breakout(period, width, direction)


@device
def keltner_breakout_prepare(genome):
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return int(genome[0]), ema_alpha(genome[0]), genome[1], bounds


@device
def keltner_breakout_start(genes, inputs):
    return inputs[0][0], 0.0, 0.0


@device
def keltner_breakout_step(genes, state, t, inputs):
    period, alpha, width, (least, greatest) = genes
    close, ranges = inputs
    middle, reach, target = state
    price = close[t]
    middle = ema_next(middle, price, alpha)
    if t >= 1:
        reach = atr_next(reach, ranges[t], t, period)
    if t >= period:
        target = follow(target, price - middle, width * reach + EQUAL * price, EQUAL * price, least, greatest)
    return (middle, reach, target), target


keltner_breakout = Signal(
    "keltner_breakout", keltner_breakout_prepare, keltner_breakout_start, keltner_breakout_step, of_ranges
)


# volatility_breakout(period, width, hold, direction)


@device
def volatility_breakout_prepare(genome):
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    return int(genome[0]), genome[1], int(genome[2]), bounds


@device
def volatility_breakout_start(genes, inputs):
    return 0.0, 0.0, 0


@device
def volatility_breakout_step(genes, state, t, inputs):
    period, width, hold, (least, greatest) = genes
    close, ranges = inputs
    reach, target, left = state  # the average true range of the bar before, and the bars left of the holding time
    if left > 0:
        left -= 1
    if t > period:
        move, edge = close[t] - close[t - 1], width * reach + EQUAL * close[t]
        if move > edge:
            target, left = greatest, hold
        elif move < -edge:
            target, left = least, hold
    if left == 0:
        target = 0.0
    if t >= 1:
        reach = atr_next(reach, ranges[t], t, period)
    return (reach, target, left), target


volatility_breakout = Signal(
    "volatility_breakout", volatility_breakout_prepare, volatility_breakout_start, volatility_breakout_step, of_ranges
)
