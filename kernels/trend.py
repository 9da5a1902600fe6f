"""Rules that follow: they hold the side to which prices have been going."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .compile import device, frozen
from .signals import (
    EQUAL,
    Signal,
    channels,
    follow,
    greatest_target,
    least_target,
    longest,
    of_close,
    of_running_close,
    start_flat,
)
from .steps import ema_alpha, ema_next, macd_next
from .vectors import where
from .windows import gaussian_weights, level_within, weighted_mean, window_max, window_mean, window_min

if TYPE_CHECKING:
    from .batch import Market

# ema_crossover(fast, slow, band, direction)


@device
def ema_crossover_prepare(genome):
    fast, slow, band, direction = genome[0], genome[1], genome[2], genome[3]
    bounds = (least_target(direction), greatest_target(direction))
    return ema_alpha(fast), ema_alpha(slow), 1.0 + band, 1.0 - band, slow - 1.0, bounds


@device
def ema_crossover_start(genes, inputs):
    return inputs[0][0], inputs[0][0], 0.0


@device
def ema_crossover_step(genes, state, t, inputs):
    fast_alpha, slow_alpha, above, below, first, (least, greatest) = genes
    fast, slow, target = state
    price = inputs[0][t]
    fast = ema_next(fast, price, fast_alpha)
    slow = ema_next(slow, price, slow_alpha)
    crossed = where(fast > slow * above, greatest, where(fast < slow * below, least, target))
    target = where(t >= first, crossed, target)
    return (fast, slow, target), target


ema_crossover = Signal("ema_crossover", ema_crossover_prepare, ema_crossover_start, ema_crossover_step, of_close, lanes=True)


# sma_trend(fast, slow, direction)


@device
def sma_trend_prepare(genome):
    return int(genome[0]), int(genome[1]), least_target(genome[2]), greatest_target(genome[2])


@device
def sma_trend_step(genes, state, t, inputs):
    fast, slow, least, greatest = genes
    target = 0.0
    if t >= max(fast, slow) - 1:
        difference = window_mean(inputs[1], inputs[2], t, fast) - window_mean(inputs[1], inputs[2], t, slow)
        if abs(difference) > EQUAL * inputs[0][t]:
            target = greatest if difference > 0.0 else least
    return state, target


sma_trend = Signal("sma_trend", sma_trend_prepare, start_flat, sma_trend_step, of_running_close)


# momentum(lookback, band, direction)


@device
def momentum_prepare(genome):
    return int(genome[0]), genome[1], least_target(genome[2]), greatest_target(genome[2])


@device
def momentum_step(genes, state, t, inputs):
    lookback, band, least, greatest = genes
    target = state
    if t >= lookback:
        growth = inputs[0][t] / inputs[0][t - lookback] - 1.0
        if growth > band:
            target = greatest
        elif growth < -band:
            target = least
    return target, target


momentum = Signal("momentum", momentum_prepare, start_flat, momentum_step, of_close)


# macd(fast, slow, signal, band, direction)


@device
def macd_prepare(genome):
    alphas = (ema_alpha(genome[0]), ema_alpha(genome[1]), ema_alpha(genome[2]))
    first = genome[1] + genome[2] - 2.0
    return alphas, genome[3] + EQUAL, first, least_target(genome[4]), greatest_target(genome[4])


@device
def macd_start(genes, inputs):
    return inputs[0][0], inputs[0][0], 0.0, 0.0


@device
def macd_step(genes, state, t, inputs):
    (fast_alpha, slow_alpha, signal_alpha), band, first, least, greatest = genes
    fast, slow, signal, target = state
    price = inputs[0][t]
    fast, slow, signal = macd_next(fast, slow, signal, price, fast_alpha, slow_alpha, signal_alpha)
    if t >= first:
        target = follow(target, fast - slow - signal, band * price, EQUAL * price, least, greatest)
    return (fast, slow, signal, target), target


macd = Signal("macd", macd_prepare, macd_start, macd_step, of_close)


# ichimoku(tenkan, kijun, senkou, direction)


@device
def ichimoku_prepare(genome):
    tenkan, kijun, senkou = int(genome[0]), int(genome[1]), int(genome[2])
    levels = (level_within(tenkan), level_within(kijun), level_within(senkou))
    first = kijun + max(kijun, senkou) - 1
    return tenkan, kijun, senkou, levels, first, least_target(genome[3]), greatest_target(genome[3])


@device
def middle(highs, lows, t, n, level):
    """The middle between the highest high and the lowest low of the n bars that end with bar t."""
    return 0.5 * (window_min(lows, t, n, level) + window_max(highs, t, n, level))


@device
def ichimoku_step(genes, state, t, inputs):
    tenkan, kijun, senkou, (tenkan_level, kijun_level, senkou_level), first, least, greatest = genes
    close, highs, lows = inputs
    if t < first:
        return state, 0.0
    price = close[t]
    equal = EQUAL * price
    lead = middle(highs, lows, t, tenkan, tenkan_level) - middle(highs, lows, t, kijun, kijun_level)
    if not abs(lead) > equal:
        return state, 0.0
    then = t - kijun  # the cloud that a chart draws at bar t
    slow = middle(highs, lows, then, kijun, kijun_level)
    span_a = 0.5 * (middle(highs, lows, then, tenkan, tenkan_level) + slow)
    span_b = middle(highs, lows, then, senkou, senkou_level)
    if lead > 0.0 and price > max(span_a, span_b) + equal:
        return state, greatest
    if lead < 0.0 and price < min(span_a, span_b) - equal:
        return state, least
    return state, 0.0


def _of_ichimoku(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0, 1, 2))


ichimoku = Signal("ichimoku", ichimoku_prepare, start_flat, ichimoku_step, _of_ichimoku)


# kernel_trend(bandwidth, band, direction)

REACH = 3  # bandwidths: what lies further back would weigh less than exp(-4.5), 1.1 %, of the newest close


@device
def kernel_trend_prepare(genome):
    bandwidth = int(genome[0])
    return bandwidth, REACH * bandwidth + 1, genome[1] + EQUAL, least_target(genome[2]), greatest_target(genome[2])


@device
def kernel_trend_start(genes, inputs):
    return 0.0, 0.0


@device
def kernel_trend_step(genes, state, t, inputs):
    bandwidth, n, band, least, greatest = genes
    close, weights = inputs
    before, target = state
    if t < n - 1:
        return state, 0.0
    estimate = weighted_mean(close, weights, bandwidth, t, n)
    if t >= n:
        price = close[t]
        target = follow(target, estimate - before, band * price, EQUAL * price, least, greatest)
    return (estimate, target), target


def _of_weighted_close(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The close, and a row of weights for each bandwidth up to the longest, row 0 unused."""
    most = longest(genomes, 0)
    weights = np.zeros((most + 1, REACH * most + 1))
    for bandwidth in range(1, most + 1):
        weights[bandwidth, : REACH * bandwidth + 1] = gaussian_weights(REACH * bandwidth + 1, float(bandwidth))
    return frozen(market.close), frozen(weights)


kernel_trend = Signal("kernel_trend", kernel_trend_prepare, kernel_trend_start, kernel_trend_step, _of_weighted_close)
