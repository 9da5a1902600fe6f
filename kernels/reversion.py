"""Rules that revert: they buy what has fallen too far and sell what has risen too far, until it is back."""

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
    of_close,
    of_moments,
    start_flat,
)
from .steps import rsi_value, stochastic_value, wilder_next
from .windows import level_around, level_within, running_sums, window_max, window_mean, window_min, window_moments

if TYPE_CHECKING:
    from .batch import Market

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
    "bollinger_reversion", bollinger_reversion_prepare, start_flat, bollinger_reversion_step, of_moments
)


# zscore_reversion(period, entry, exit, direction)


@device
def zscore_reversion_prepare(genome):
    period = int(genome[0])
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    return period, level_around(period), genome[1], genome[2], bounds


@device
def zscore_reversion_step(genes, state, t, inputs):
    period, level, entry, leave, (least, greatest) = genes
    close, heads, tails = inputs
    if t < period - 1:
        return 0.0, 0.0
    equal = EQUAL * close[t]
    mean, squares = window_moments(heads, tails, t, period, level)
    deviation = math.sqrt(squares / period)
    target = follow(state, mean - close[t], entry * deviation + equal, leave * deviation + equal, least, greatest)
    return target, target


zscore_reversion = Signal("zscore_reversion", zscore_reversion_prepare, start_flat, zscore_reversion_step, of_moments)


# vwap_reversion(period, width, direction)


@device
def vwap_reversion_prepare(genome):
    period = int(genome[0])
    return period, level_around(period), genome[1], least_target(genome[2]), greatest_target(genome[2])


@device
def vwap_reversion_step(genes, state, t, inputs):
    period, level, width, least, greatest = genes
    close, moments, traded, notional = inputs
    if t < period - 1:
        return 0.0, 0.0
    volume = window_mean(traded[0], traded[1], t, period)
    if volume == 0.0:
        return 0.0, 0.0
    equal = EQUAL * close[t]
    squares = window_moments(moments[0], moments[1], t, period, level)[1]
    away = window_mean(notional[0], notional[1], t, period) / volume - close[t]
    target = follow(state, away, width * math.sqrt(squares / period) + equal, equal, least, greatest)
    return target, target


def _of_volume(market: Market, genomes: np.ndarray) -> tuple[object, ...]:
    close, *moments = of_moments(market, genomes)
    typical = (market.high + market.low + market.close) / 3.0
    return close, tuple(moments), running_sums(market.volume), running_sums(typical * market.volume)


vwap_reversion = Signal("vwap_reversion", vwap_reversion_prepare, start_flat, vwap_reversion_step, _of_volume)


# stochastic(period, smooth, entry, exit, direction)

PERCENT = 100.0 * EQUAL  # what counts as equal on a scale of 0 to 100


@device
def stochastic_prepare(genome):
    period, smooth = int(genome[0]), int(genome[1])
    bounds = (least_target(genome[4]), greatest_target(genome[4]))
    return period, level_within(period), smooth, genome[2], genome[3], bounds


@device
def stochastic_at(inputs, t, period, level):
    close, highs, lows = inputs
    return stochastic_value(close[t], window_min(lows, t, period, level), window_max(highs, t, period, level))


@device
def stochastic_step(genes, state, t, inputs):
    period, level, smooth, entry, leave, (least, greatest) = genes
    if t < period + smooth - 2:
        return 0.0, 0.0
    fast = stochastic_at(inputs, t, period, level)
    total = fast
    for i in range(1, smooth):
        total += stochastic_at(inputs, t - i, period, level)
    slow = total / smooth
    target = state
    if target > 0.0:
        target = 0.0 if slow >= leave - PERCENT else target
    elif target < 0.0:
        target = 0.0 if slow <= 100.0 - leave + PERCENT else target
    elif fast > slow + PERCENT and slow < entry - PERCENT:
        target = greatest
    elif fast < slow - PERCENT and slow > 100.0 - entry + PERCENT:
        target = least
    return target, target


def _of_stochastic(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0))


stochastic = Signal("stochastic", stochastic_prepare, start_flat, stochastic_step, _of_stochastic)
