"""Rules that revert: they buy what has fallen too far and sell what has risen too far, until it is back."""

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
    moments_of,
    of_close,
    of_moments,
    of_moves,
    of_one_period,
    of_period_prepare,
    of_period_ready,
    watching,
)
from .steps import stochastic_value, wilder_next
from .vectors import opposite, quotient, square_root, where
from .watch import Derived, Watch
from .windows import level_around, level_within, window_max, window_min, window_moments

if TYPE_CHECKING:
    from .batch import Market

# rsi_mean_reversion(period, entry, exit, direction)


@device
def rsi_mean_reversion_prepare(genome):
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    entry = where(bounds[1] > 0.0, genome[1], -1.0)  # who may not be long is not kept from going short either
    return genome[0], entry, 100.0 - genome[1], genome[2], 100.0 - genome[2], bounds


@device
def rsi_mean_reversion_ready(genes):
    return genes[0]


@device
def rsi_mean_reversion_of(genes, state, t, move):
    period, low, high, leave, cover, _ = genes
    gain, loss = wilder_next(*state, move, t, period)
    share, whole = 100.0 * gain, gain + loss  # RSI is their quotient: four divisions took longer than all the rest
    moved = whole > 0.0  # else there is no RSI
    buys, sells = share < low * whole, share > high * whole
    return (gain, loss), (buys, sells, (share <= leave * whole) & moved, (share >= cover * whole) & moved)


@device
def rsi_mean_reversion_see(genes, state, t, inputs):
    close = inputs[0]
    return rsi_mean_reversion_of(genes, state, t, close[t] - close[max(t - 1, 0)])


@device
def rsi_mean_reversion_single_see(genes, state, t, inputs):
    return rsi_mean_reversion_of(genes, state, t, inputs[1][t])


rsi_mean_reversion = marking(
    "rsi_mean_reversion",
    rsi_mean_reversion_prepare,
    Marks(rsi_mean_reversion_ready, from_nothing, rsi_mean_reversion_see, reverses=False),
    of_close,
    InSingle(
        rsi_mean_reversion_prepare,
        Marks(rsi_mean_reversion_ready, from_nothing, rsi_mean_reversion_single_see, reverses=False),
        of_moves,
    ),
)


# bollinger_reversion(period, width, direction)


@device
def bollinger_reversion_look(genes, values, t, inputs):
    middle, deviation = values
    price = inputs[0][t]
    reach, equal = genes[2] * deviation, EQUAL * price
    long_stays, short_stays = opposite(price >= middle - equal), opposite(price <= middle + equal)
    return price < middle - reach - equal, price > middle + reach + equal, long_stays, short_stays


bollinger_reversion = watching(
    "bollinger_reversion",
    of_period_prepare,
    Watch(of_period_ready, mean_and_deviation, bollinger_reversion_look, reverses=False, key=0, by_bar=False),
    of_moments,
    of_one_period,
)


# zscore_reversion(period, entry, exit, direction)


@device
def zscore_reversion_prepare(genome):
    period = int(genome[0])
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    return period, level_around(period), genome[1], genome[2], bounds


@device
def zscore_reversion_look(genes, values, t, inputs):
    mean, deviation = values
    price = inputs[0][t]
    equal = EQUAL * price
    return marks_of(mean - price, genes[2] * deviation + equal, genes[3] * deviation + equal)


zscore_reversion = watching(
    "zscore_reversion",
    zscore_reversion_prepare,
    Watch(of_period_ready, mean_and_deviation, zscore_reversion_look, key=0, by_bar=False),
    of_moments,
    of_one_period,
)


# vwap_reversion(period, width, direction)


@device
def vwap_reversion_measure(genes, t, inputs):
    """The average price weighted by volume, NaN without any, and the deviation of the closes."""
    period, level, _, _ = genes
    _, moments, traded, notional = inputs
    volume, _ = window_moments(traded[0], traded[1], t, period, level)
    worth, _ = window_moments(notional[0], notional[1], t, period, level)
    _, squares = window_moments(moments[0], moments[1], t, period, level)
    return where(volume == 0.0, np.nan, worth / volume), square_root(quotient(squares, period))


@device
def vwap_reversion_look(genes, values, t, inputs):
    average, deviation = values
    equal = EQUAL * inputs[0][t]
    return marks_of(average - inputs[0][t], genes[2] * deviation + equal, equal)


def _of_volume(market: Market, genomes: np.ndarray) -> tuple[object, ...]:
    close, *moments = of_moments(market, genomes)
    most = longest(genomes, 0)

    def notional() -> np.ndarray:
        return (market.high + market.low + market.close) / 3.0 * market.volume

    traded = moments_of(market, "volumes", lambda: market.volume, most)
    return close, tuple(moments), traded, moments_of(market, "notionals", notional, most)


vwap_reversion = watching(
    "vwap_reversion",
    of_period_prepare,
    Watch(of_period_ready, vwap_reversion_measure, vwap_reversion_look, key=0, by_bar=False),
    _of_volume,
    of_one_period,
)


# stochastic(period, smooth, entry, exit, direction)

PERCENT = 100.0 * EQUAL  # what counts as equal on a scale of 0 to 100


@device
def stochastic_prepare(genome):
    period, smooth = int(genome[0]), int(genome[1])
    bounds = (least_target(genome[4]), greatest_target(genome[4]))
    return period, level_within(period), smooth, genome[2], genome[3], bounds


@device
def stochastic_ready(genes):
    return genes[0] + genes[2] - 2


@device
def stochastic_begins(genes):
    return genes[0] - 1


@device
def stochastic_back(genes):
    return genes[2] - 1


@device
def stochastic_measure(genes, t, inputs):
    """%K, twice: what is kept of a bar is two values."""
    period, level = genes[0], genes[1]
    close, highs, lows = inputs
    fast = stochastic_value(close[t], window_min(lows, t, period, level), window_max(highs, t, period, level))
    return fast, fast


@device
def stochastic_values(genes, seen, source, t):
    """%K, and its mean over the last bars."""
    smooth = genes[2]
    fast, _ = seen(genes, source, t)
    total = fast
    for i in range(1, smooth):
        total += seen(genes, source, t - i)[0]
    return fast, total / smooth


@device
def stochastic_look(genes, values, t, inputs):
    entry, leave = genes[3], genes[4]
    fast, slow = values
    up = (fast > slow + PERCENT) & (slow < entry - PERCENT)
    down = (fast < slow - PERCENT) & (slow > 100.0 - entry + PERCENT)
    return up, down, opposite(slow >= leave - PERCENT), opposite(slow <= 100.0 - leave + PERCENT)


def _of_stochastic(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0))


stochastic = watching(
    "stochastic",
    stochastic_prepare,
    Watch(
        stochastic_ready,
        stochastic_measure,
        stochastic_look,
        reverses=False,
        key=0,
        by_bar=False,
        derive=Derived(stochastic_begins, stochastic_back, stochastic_values),
    ),
    _of_stochastic,
    lambda genomes: longest(genomes, 0) + longest(genomes, 1),
)
