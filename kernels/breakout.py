"""Rules of breakouts: they follow a close that leaves the range of the bars before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .compile import device
from .lanes import Marks
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
    mean_and_deviation,
    of_moments,
    of_moves_and_ranges,
    of_one_period,
    of_period_prepare,
    of_period_ready,
    of_ranges,
    watching,
)
from .steps import atr_next, ema_alpha, ema_sum_next
from .vectors import fma, greater, where
from .watch import Watch
from .windows import level_within, window_max, window_min

if TYPE_CHECKING:
    from .batch import Market

# donchian_breakout(entry, exit, direction)


@device
def donchian_breakout_prepare(genome):
    entry, leave = int(genome[0]), int(genome[1])
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return entry, level_within(entry), leave, level_within(leave), bounds


@device
def donchian_breakout_ready(genes):
    return max(genes[0], genes[2])


@device
def donchian_breakout_measure(genes, t, inputs):
    """The channels of the bars before t: of entries from above and below, of exits as well."""
    entry, entry_level, leave, leave_level, _ = genes
    _, highs, lows = inputs
    above, below = window_max(highs, t - 1, entry, entry_level), window_min(lows, t - 1, entry, entry_level)
    return above, below, window_max(highs, t - 1, leave, leave_level), window_min(lows, t - 1, leave, leave_level)


@device
def donchian_breakout_look(genes, values, t, inputs):
    above, below, short_exit, long_exit = values
    least, greatest = genes[-1]
    price = inputs[0][t]
    return (price > above) & (greatest > 0.0), (price < below) & (least < 0.0), price >= long_exit, price <= short_exit


def _of_donchian(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0, 1))


def _levels_of_donchian(genomes: np.ndarray) -> np.ndarray:
    """Which rows of the tables of extremes a genome reads, as one number."""
    _, (entry, leave) = np.frexp(genomes[:, :2].T)  # the exponents: one more than level_within
    return 64 * entry + leave


donchian_breakout = watching(
    "donchian_breakout",
    donchian_breakout_prepare,
    Watch(donchian_breakout_ready, donchian_breakout_measure, donchian_breakout_look, beside=_levels_of_donchian),
    _of_donchian,
    lambda genomes: 1 + longest(genomes, 0, 1),
)


# bollinger_breakout(period, width, direction)


@device
def bollinger_breakout_look(genes, values, t, inputs):
    middle, deviation = values
    price = inputs[0][t]
    reach, equal = genes[2] * deviation, EQUAL * price
    return marks_of(price - middle, reach + equal, equal)


bollinger_breakout = watching(
    "bollinger_breakout",
    of_period_prepare,
    Watch(of_period_ready, mean_and_deviation, bollinger_breakout_look, key=0, by_bar=False),
    of_moments,
    of_one_period,
)


# keltner_breakout(period, width, direction)


@device
def keltner_breakout_prepare(genome):
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return genome[0], ema_alpha(genome[0]), genome[1], bounds


@device
def keltner_breakout_ready(genes):
    return genes[0]


@device
def keltner_breakout_start(genes, inputs):
    return inputs[0][0] / genes[1], 0.0


@device
def keltner_breakout_see(genes, state, t, inputs):
    period, alpha, width, _ = genes
    close, ranges = inputs
    middle, reach = state
    price = close[t]
    middle = ema_sum_next(middle, price, alpha)
    reach = where(t >= 1, atr_next(reach, ranges[t], t, period), reach)  # the first bar has no range
    return (middle, reach), marks_of(fma(-middle, alpha, price), width * reach + EQUAL * price, EQUAL * price)


@device
def keltner_breakout_single_prepare(genome):
    period, alpha, width, bounds = keltner_breakout_prepare(genome)
    return period, alpha, 1.0 - alpha, width, bounds


@device
def keltner_breakout_single_see(genes, state, t, inputs):
    """The price's distance from the middle is 1 - alpha times an ema_sum of moves."""
    period, alpha, weight, width, _ = genes
    price, move, true_range = inputs[0][t], inputs[1][t], inputs[2][t]
    away, reach = state
    away = ema_sum_next(away, move, alpha)
    reach = where(t >= 1, atr_next(reach, true_range, t, period), reach)
    return (away, reach), marks_of(weight * away, width * reach + EQUAL * price, EQUAL * price)


keltner_breakout = marking(
    "keltner_breakout",
    keltner_breakout_prepare,
    Marks(keltner_breakout_ready, keltner_breakout_start, keltner_breakout_see),
    of_ranges,
    InSingle(
        keltner_breakout_single_prepare,
        Marks(keltner_breakout_ready, from_nothing, keltner_breakout_single_see),
        of_moves_and_ranges,
    ),
)


# volatility_breakout(period, width, hold, direction)


@device
def volatility_breakout_prepare(genome):
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    return genome[0], genome[1], genome[2], bounds


@device
def volatility_breakout_ready(genes):
    return genes[0] + 1.0


@device
def volatility_breakout_of(genes, state, t, price, move, true_range):
    period, width, hold, _ = genes
    reach, left = state  # the average true range of the bar before, and the bars left of the holding time
    edge = width * reach + EQUAL * price
    up, down = move > edge, move < -edge
    left = where(up | down, hold, greater(left - 1.0, 0.0))
    reach = where(t >= 1, atr_next(reach, true_range, t, period), reach)
    return (reach, left), (up, down, left > 0.0, left > 0.0)


@device
def volatility_breakout_see(genes, state, t, inputs):
    close, ranges = inputs
    return volatility_breakout_of(genes, state, t, close[t], close[t] - close[max(t - 1, 0)], ranges[t])


@device
def volatility_breakout_single_see(genes, state, t, inputs):
    return volatility_breakout_of(genes, state, t, inputs[0][t], inputs[1][t], inputs[2][t])


volatility_breakout = marking(
    "volatility_breakout",
    volatility_breakout_prepare,
    Marks(volatility_breakout_ready, from_nothing, volatility_breakout_see),
    of_ranges,
    InSingle(
        volatility_breakout_prepare,
        Marks(volatility_breakout_ready, from_nothing, volatility_breakout_single_see),
        of_moves_and_ranges,
    ),
)
