"""Rules that follow: they hold the side to which prices have been going."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from .compile import device, frozen
from .lanes import Marks, Sides
from .signals import (
    EQUAL,
    InSingle,
    channels,
    from_nothing,
    greatest_target,
    least_target,
    longest,
    marking,
    marks_of,
    of_close,
    of_moves,
    of_running_close,
    watching,
)
from .steps import ema_alpha, ema_sum_next
from .vectors import fma, greater, smaller
from .watch import Watch, Windows
from .windows import gaussian_weights, level_within, weighted_mean, window_max, window_mean, window_min

if TYPE_CHECKING:
    from .batch import Market

# ema_crossover(fast, slow, band, direction)


@device
def ema_crossover_prepare(genome):
    fast, slow, band, direction = genome[0], genome[1], genome[2], genome[3]
    fast_alpha, slow_alpha, reach = ema_alpha(fast), ema_alpha(slow), band + EQUAL
    ratio, bounds = slow_alpha / fast_alpha, (least_target(direction), greatest_target(direction))
    return fast_alpha, slow_alpha, (1.0 + reach) * ratio, (1.0 - reach) * ratio, slow - 1.0, bounds


@device
def ema_crossover_ready(genes):
    return genes[4]


@device
def ema_crossover_start(genes, inputs):
    return inputs[0][0] / genes[0], inputs[0][0] / genes[1]


@device
def ema_crossover_next(genes, state, price):
    return ema_sum_next(state[0], price, genes[0]), ema_sum_next(state[1], price, genes[1])


@device
def ema_crossover_see(genes, state, t, inputs):
    fast, slow = ema_crossover_next(genes, state, inputs[0][t])
    return (fast, slow), (fast > slow * genes[2], fast <= slow * genes[3], True, True)


@device
def ema_crossover_side(genes, state, t, inputs, bound):
    fast, slow = ema_crossover_next(genes, state, inputs[0][t])
    return (fast, slow), fast > slow * bound


@device
def ema_crossover_bounds(genes):
    return genes[3], genes[2]


@device
def ema_crossover_single_prepare(genome):
    fast, slow, band, direction = genome[0], genome[1], genome[2], genome[3]
    fast_alpha, slow_alpha, reach = ema_alpha(fast), ema_alpha(slow), band + EQUAL
    weight, bounds = 1.0 - slow_alpha, (least_target(direction), greatest_target(direction))
    above, below = (1.0 + reach) * weight, (1.0 - reach) * weight
    return fast_alpha, slow_alpha, 1.0 - fast_alpha, above, below, reach, slow - 1.0, bounds


@device
def ema_crossover_single_ready(genes):
    return genes[6]


@device
def ema_crossover_single_see(genes, state, t, inputs):
    """How far the price is from an average a bar of moves makes, as one of prices makes the average: price - average is
    1 - alpha times an ema_sum of moves. The same comparison, with the price taken from both its sides."""
    fast_alpha, slow_alpha, weight, above, below, reach, _, _ = genes
    fast, slow = state
    price, move = inputs[0][t], inputs[1][t]
    fast = ema_sum_next(fast, move, fast_alpha)
    slow = ema_sum_next(slow, move, slow_alpha)
    lead, equal = weight * fast, reach * price
    return (fast, slow), (fma(slow, above, -lead) > equal, fma(-slow, below, lead) > equal, True, True)


ema_crossover = marking(
    "ema_crossover",
    ema_crossover_prepare,
    Marks(
        ema_crossover_ready,
        ema_crossover_start,
        ema_crossover_see,
        sides=Sides(ema_crossover_bounds, ema_crossover_side),
    ),
    of_close,
    InSingle(ema_crossover_single_prepare, Marks(ema_crossover_single_ready, from_nothing, ema_crossover_single_see), of_moves),
)


# sma_trend(fast, slow, direction)


@device
def sma_trend_prepare(genome):
    return int(genome[0]), int(genome[1]), (least_target(genome[2]), greatest_target(genome[2]))


@device
def sma_trend_ready(genes):
    return max(genes[0], genes[1]) - 1


@device
def sma_trend_measure(genes, t, inputs):
    return window_mean(inputs[1], inputs[2], t, genes[0]), window_mean(inputs[1], inputs[2], t, genes[1])


@device
def sma_trend_look(genes, values, t, inputs):
    difference, equal = values[0] - values[1], EQUAL * inputs[0][t]
    return difference > equal, difference < -equal, False, False


sma_trend = watching(
    "sma_trend", sma_trend_prepare, Watch(sma_trend_ready, sma_trend_measure, sma_trend_look), of_running_close
)


# momentum(lookback, band, direction)


@device
def momentum_prepare(genome):
    return int(genome[0]), genome[1], (least_target(genome[2]), greatest_target(genome[2]))


@device
def momentum_ready(genes):
    return genes[0]


@device
def momentum_measure(genes, t, inputs):
    return (inputs[0][t] / inputs[0][t - genes[0]] - 1.0,)


@device
def momentum_look(genes, values, t, inputs):
    band, (growth,) = genes[1], values
    return growth > band, growth < -band, True, True


momentum = watching("momentum", momentum_prepare, Watch(momentum_ready, momentum_measure, momentum_look), of_close)


# macd(fast, slow, signal, band, direction)


@device
def macd_prepare(genome):
    alphas = (ema_alpha(genome[0]), ema_alpha(genome[1]), ema_alpha(genome[2]))
    first = genome[1] + genome[2] - 2.0
    return alphas, genome[3] + EQUAL, first, (least_target(genome[4]), greatest_target(genome[4]))


@device
def macd_ready(genes):
    return genes[2]


@device
def macd_start(genes, inputs):
    fast_alpha, slow_alpha, _ = genes[0]
    return inputs[0][0] / fast_alpha, inputs[0][0] / slow_alpha, 0.0


@device
def macd_see(genes, state, t, inputs):
    (fast_alpha, slow_alpha, signal_alpha), band, _, _ = genes
    fast, slow, signal = state
    price = inputs[0][t]
    fast = ema_sum_next(fast, price, fast_alpha)
    slow = ema_sum_next(slow, price, slow_alpha)
    line = fma(fast, fast_alpha, -(slow * slow_alpha))
    signal = ema_sum_next(signal, line, signal_alpha)
    return (fast, slow, signal), marks_of(fma(-signal, signal_alpha, line), band * price, EQUAL * price)


@device
def macd_single_prepare(genome):
    alphas, band, first, bounds = macd_prepare(genome)
    return alphas, (1.0 - alphas[0], 1.0 - alphas[1]), band, first, bounds


@device
def macd_single_ready(genes):
    return genes[3]


@device
def macd_single_start(genes, inputs):
    return 0.0, 0.0, 0.0


@device
def macd_single_see(genes, state, t, inputs):
    """By the price's distances from its averages, as ema_crossover_single_see: their difference is that of the averages."""
    (fast_alpha, slow_alpha, signal_alpha), (fast_weight, slow_weight), band, _, _ = genes
    fast, slow, signal = state
    price, move = inputs[0][t], inputs[1][t]
    fast = ema_sum_next(fast, move, fast_alpha)
    slow = ema_sum_next(slow, move, slow_alpha)
    line = fma(slow, slow_weight, -(fast * fast_weight))
    signal = ema_sum_next(signal, line, signal_alpha)
    return (fast, slow, signal), marks_of(fma(-signal, signal_alpha, line), band * price, EQUAL * price)


macd = marking(
    "macd",
    macd_prepare,
    Marks(macd_ready, macd_start, macd_see),
    of_close,
    InSingle(macd_single_prepare, Marks(macd_single_ready, macd_single_start, macd_single_see), of_moves),
)


# ichimoku(tenkan, kijun, senkou, direction)


@device
def ichimoku_prepare(genome):
    tenkan, kijun, senkou = int(genome[0]), int(genome[1]), int(genome[2])
    first = kijun + max(kijun, senkou) - 1
    return tenkan, kijun, senkou, first, (least_target(genome[3]), greatest_target(genome[3]))


@device
def ichimoku_ready(genes):
    return genes[3]


@device
def ichimoku_lengths(genes):
    return genes[0], genes[1], genes[2]


@device
def ichimoku_back(genes):
    return genes[1]


@device
def middle(n, t, inputs):
    """The middle between the highest high and the lowest low of the n bars that end with bar t."""
    _, highs, lows = inputs
    level = level_within(n)
    return 0.5 * (window_min(lows, t, n, level) + window_max(highs, t, n, level))


@device
def ichimoku_values(genes, seen, source, t):
    """How far the fast line leads, and the edges of the cloud that a chart draws at bar t."""
    then = t - genes[1]
    lead = seen(genes, source, 0, t) - seen(genes, source, 1, t)
    span_a = 0.5 * (seen(genes, source, 0, then) + seen(genes, source, 1, then))
    span_b = seen(genes, source, 2, then)
    return lead, smaller(span_a, span_b), greater(span_a, span_b)


@device
def ichimoku_look(genes, values, t, inputs):
    lead, below, above = values
    price = inputs[0][t]
    equal = EQUAL * price
    return (lead > equal) & (price > above + equal), (lead < -equal) & (price < below - equal), False, False


def _of_ichimoku(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0, 1, 2))


ichimoku = watching(
    "ichimoku",
    ichimoku_prepare,
    Watch(
        ichimoku_ready,
        None,
        ichimoku_look,
        key=2,
        windows=Windows(ichimoku_lengths, middle, ichimoku_back, ichimoku_values),
    ),
    _of_ichimoku,
    lambda genomes: 2 * longest(genomes, 0, 1, 2),
)


# kernel_trend(bandwidth, band, direction)

REACH = 3  # bandwidths: what lies further back would weigh less than exp(-4.5), 1.1 %, of the newest close


@device
def kernel_trend_prepare(genome):
    bandwidth = int(genome[0])
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return bandwidth, REACH * bandwidth + 1, genome[1] + EQUAL, bounds


@device
def kernel_trend_ready(genes):
    return genes[1]


@device
def kernel_trend_measure(genes, t, inputs):
    """The estimate at bar t, and at the bar before."""
    bandwidth, n, _, _ = genes
    close, weights = inputs
    return weighted_mean(close, weights, bandwidth, t, n), weighted_mean(close, weights, bandwidth, t - 1, n)


@device
def kernel_trend_look(genes, values, t, inputs):
    estimate, before = values
    price = inputs[0][t]
    return marks_of(estimate - before, genes[2] * price, EQUAL * price)


def _of_weighted_close(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The close, and a row of weights for each bandwidth up to the longest, row 0 unused."""
    return frozen(market.close), _weights(longest(genomes, 0))


@functools.lru_cache(maxsize=8)
def _weights(most: int) -> np.ndarray:
    weights = np.zeros((most + 1, REACH * most + 1))
    for bandwidth in range(1, most + 1):
        weights[bandwidth, : REACH * bandwidth + 1] = gaussian_weights(REACH * bandwidth + 1, float(bandwidth))
    return frozen(weights)


kernel_trend = watching(
    "kernel_trend",
    kernel_trend_prepare,
    Watch(kernel_trend_ready, kernel_trend_measure, kernel_trend_look, key=0, by_bar=False),
    _of_weighted_close,
)
