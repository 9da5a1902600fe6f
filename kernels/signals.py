"""What a family decides at each close: one step of a small state machine, written once for every use.

A signal is three functions of one bar that numba compiles into the loops of `pnl` and `batch`:

* prepare(genome) -> genes: constants of the run, from one row of a genome matrix in natural units;
* start(genes, inputs) -> state: before the first bar;
* step(genes, state, t, inputs) -> state, target: at the close of bar t, from `inputs` up to t and nothing later.

`inputs(market, genomes)` makes, once for a whole population, the tuple of arrays that the steps read; what a genome
decides from them does not depend on the other genomes.
The last gene of every genome is the direction: 0 long, 1 short, 2 both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .compile import device, frozen, kernel
from .pnl import BOOK, make_run
from .steps import ema_alpha, ema_next, rsi_value, wilder_next
from .windows import (
    block_moments,
    level_around,
    level_within,
    running_sums,
    window_levels,
    window_max,
    window_mean,
    window_min,
    window_moments,
)

if TYPE_CHECKING:
    from .batch import Market

DIRECTIONS = ("long", "short", "both")
LONG, SHORT, BOTH = range(3)

EQUAL = 1e-10  # times the close: what counts as equal where exact ties are common


@device
def least_target(direction):
    return 0.0 if direction == LONG else -1.0


@device
def greatest_target(direction):
    return 0.0 if direction == SHORT else 1.0


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


# donchian_breakout(entry, exit, direction)


@device
def donchian_breakout_prepare(genome):
    entry, leave = int(genome[0]), int(genome[1])
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return entry, level_within(entry), leave, level_within(leave), bounds


@device
def donchian_breakout_start(genes, inputs):
    return 0.0


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


# positions that the caller gives: their signal is to repeat them


@device
def given_prepare(genome):
    return 0.0


@device
def given_start(genes, inputs):
    return 0.0


@device
def given_step(genes, state, t, inputs):
    return state, inputs[0][t]


@dataclass(frozen=True)
class Signal:
    """The three functions of one signal, and the kernels made from them, each compiled at its first call."""

    name: str
    prepare: Callable[..., Any]
    start: Callable[..., Any]
    step: Callable[..., Any]
    inputs: Callable[..., tuple[np.ndarray, ...]]

    @cached_property
    def positions(self) -> Callable[..., None]:
        """Compiled positions(inputs, genome, out): the target decided at each close."""
        prepare, start, step = self.prepare, self.start, self.step

        @kernel(f"positions-{self.name}")
        def positions(inputs, genome, out):
            genes = prepare(genome)
            state = start(genes, inputs)
            for t in range(out.shape[0]):
                state, out[t] = step(genes, state, t, inputs)

        return positions

    @cached_property
    def population(self) -> Callable[..., None]:
        """Compiled population(prices, funding, inputs, genomes, fee, ..., out): METRICS of each genome, a fused pass each."""
        run = make_run(self.prepare, self.start, self.step)

        @kernel(f"population-{self.name}")
        def population(prices, funding, inputs, genomes, fee, slippage, first, cash, periods_per_year, out):
            nothing = np.empty(0)
            no_rows = np.empty((0, 0))
            book = np.empty(BOOK)
            for i in range(genomes.shape[0]):
                run(
                    prices, funding, inputs, genomes[i], fee, slippage, first, cash, periods_per_year,
                    out[i], nothing, nothing, no_rows, book
                )  # fmt: skip

        return population

    @cached_property
    def account(self) -> Callable[..., None]:
        """Compiled account(prices, funding, inputs, genome, fee, ..., metrics, equity, units, trades): one run, recorded."""
        run = make_run(self.prepare, self.start, self.step)

        @kernel(f"account-{self.name}")
        def account(prices, funding, inputs, genome, fee, slippage, first, cash, periods_per_year, *out):
            run(prices, funding, inputs, genome, fee, slippage, first, cash, periods_per_year, *out, np.empty(BOOK))

        return account


def _longest(genomes: np.ndarray, *columns: int) -> int:
    """The longest window, in bars, that any of these genomes asks for in these columns."""
    return int(genomes[:, columns].max(initial=1.0))


def _of_close(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return (frozen(market.close),)


def _of_running_close(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    close = frozen(market.close)
    return (close, *running_sums(close))


def _of_channels(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    longest = _longest(genomes, 0, 1)
    highs = window_levels(frozen(market.high), longest, np.maximum)
    return frozen(market.close), highs, window_levels(frozen(market.low), longest, np.minimum)


def _of_moments(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    close = frozen(market.close)
    return (close, *block_moments(close, _longest(genomes, 0)))


ema_crossover = Signal(
    "ema_crossover", ema_crossover_prepare, ema_crossover_start, ema_crossover_step, _of_close
)  # fmt: skip
sma_trend = Signal("sma_trend", sma_trend_prepare, sma_trend_start, sma_trend_step, _of_running_close)
rsi_mean_reversion = Signal(
    "rsi_mean_reversion", rsi_mean_reversion_prepare, rsi_mean_reversion_start, rsi_mean_reversion_step, _of_close
)
donchian_breakout = Signal(
    "donchian_breakout", donchian_breakout_prepare, donchian_breakout_start, donchian_breakout_step, _of_channels
)
bollinger_reversion = Signal(
    "bollinger_reversion", bollinger_reversion_prepare, bollinger_reversion_start, bollinger_reversion_step, _of_moments
)
momentum = Signal("momentum", momentum_prepare, momentum_start, momentum_step, _of_close)
given = Signal("given", given_prepare, given_start, given_step, _of_close)
