"""Rules that follow: they hold the side to which prices have been going."""

from __future__ import annotations

from .compile import device
from .signals import EQUAL, Signal, greatest_target, least_target, of_close, of_running_close
from .steps import ema_alpha, ema_next
from .windows import window_mean

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
    if t >= first:
        if fast > slow * above:
            target = greatest
        elif fast < slow * below:
            target = least
    return (fast, slow, target), target


ema_crossover = Signal("ema_crossover", ema_crossover_prepare, ema_crossover_start, ema_crossover_step, of_close)


# sma_trend(fast, slow, direction)


@device
def sma_trend_prepare(genome):
    return int(genome[0]), int(genome[1]), least_target(genome[2]), greatest_target(genome[2])


@device
def sma_trend_start(genes, inputs):
    return 0.0


@device
def sma_trend_step(genes, state, t, inputs):
    fast, slow, least, greatest = genes
    target = 0.0
    if t >= max(fast, slow) - 1:
        difference = window_mean(inputs[1], inputs[2], t, fast) - window_mean(inputs[1], inputs[2], t, slow)
        if abs(difference) > EQUAL * inputs[0][t]:
            target = greatest if difference > 0.0 else least
    return state, target


sma_trend = Signal("sma_trend", sma_trend_prepare, sma_trend_start, sma_trend_step, of_running_close)


# momentum(lookback, band, direction)


@device
def momentum_prepare(genome):
    return int(genome[0]), genome[1], least_target(genome[2]), greatest_target(genome[2])


@device
def momentum_start(genes, inputs):
    return 0.0


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


momentum = Signal("momentum", momentum_prepare, momentum_start, momentum_step, of_close)
