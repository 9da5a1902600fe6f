"""What a family decides at each close: one step of a small state machine, written once for every use.

A signal is three functions of one bar that numba compiles into the loops of `pnl` and `batch`:

* prepare(genome) -> genes: constants of the run, from one row of a genome matrix in natural units;
* start(genes, inputs) -> state: before the first bar;
* step(genes, state, t, inputs) -> state, target: at the close of bar t, from `inputs` up to t and nothing later.

`inputs(market, genomes)` makes, once for a whole population, the tuple of arrays that the steps read; what a genome
decides from them does not depend on the other genomes.
The rules of the families are in trend.py, reversion.py, breakout.py and carry.py.
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
from .indicators import true_range
from .lanes import make_alone, make_lanes
from .vectors import LANES, flush_denormals, greatest_lane, restore_denormals, where
from .watch import Watch, make_watchers, step_of
from .windows import block_moments, level_around, running_sums, window_levels, window_moments

if TYPE_CHECKING:
    from .batch import Market

DIRECTIONS = ("long", "short", "both")
LONG, SHORT, BOTH = range(3)

EQUAL = 1e-10  # times the close: what counts as equal where exact ties are common


@device
def least_target(direction):
    return where(direction == LONG, 0.0, -1.0)


@device
def greatest_target(direction):
    return where(direction == SHORT, 0.0, 1.0)


@device
def warming(first):
    """The first bar that decides, of each lane, and the last of these: behind that no lane is asked."""
    return first, greatest_lane(first)


@device
def once_warm(t, warm, decided, target):
    """What is decided from the first bar on that decides, else the target before: a branch that the processor guesses in
    place of a comparison and a choice in every lane, a tenth of the EMA crossover's operations."""
    first, all_warm = warm
    if t >= all_warm:
        return decided
    return where(t >= first, decided, target)


@device
def start_flat(genes, inputs):
    """The state of rules that remember their target alone."""
    return 0.0


@device
def follow(target, score, entry, leave, least, greatest):
    """The next target of a rule with two thresholds on one score, leave <= entry.

    Above `entry` it is `greatest`, below -entry `least`, whatever it was. Between them a long is kept while the score
    lies above `leave` and a short while it lies below -leave; all else is flat, a score of NaN as well.
    """
    stays = ((target > 0.0) & (score > leave)) | ((target < 0.0) & (score < -leave))
    return where(score > entry, greatest, where(score < -entry, least, where(stays, target, 0.0)))


@device
def marks_of(score, entry, leave):
    """What a rule with two thresholds on one score sees (watch.py): the marks by which `follow` decides."""
    return score > entry, score < -entry, score > leave, score < -leave


# What rules of one window have in common: genomes (period, width, ..., direction)


@device
def of_period_prepare(genome):
    period = int(genome[0])
    return period, level_around(period), genome[1], (least_target(genome[-1]), greatest_target(genome[-1]))


@device
def of_period_ready(genes):
    return genes[0] - 1


@device
def mean_and_deviation(genes, t, inputs):
    """Mean and standard deviation of the closes of the window."""
    mean, squares = window_moments(inputs[1], inputs[2], t, genes[0], genes[1])
    return mean, math.sqrt(squares / genes[0])


# positions that the caller gives: their signal is to repeat them


@device
def given_prepare(genome):
    return 0.0


@device
def given_step(genes, state, t, inputs):
    return state, inputs[0][t]


@dataclass(frozen=True)
class Deciders:
    """The compiled kernels that decide for genomes: `orders` hands on order by order (lanes.py, watch.py), `blocks` those
    of a block of so many lanes at once, for an account that takes them so (fused.py). None where there is no such kernel."""

    orders: Callable[..., None]
    blocks: Callable[..., None] | None = None
    lanes: int = 1


@dataclass(frozen=True)
class Signal:
    """The three functions of one signal, and the kernels made from them, each compiled at its first call.

    reach(genomes): how many bars before a bar the inputs there depend on, and on none before these, to the last bit. Said
    by those that watch and whose inputs, tables of windows, take many times the memory of the bars: they are then made
    for some of the bars at a time.
    """

    name: str
    prepare: Callable[..., Any]
    start: Callable[..., Any]
    step: Callable[..., Any]
    inputs: Callable[..., tuple[Any, ...]]
    lanes: bool = False
    watch: Watch | None = None
    reach: Callable[[np.ndarray], int] | None = None

    @cached_property
    def positions(self) -> Callable[..., None]:
        """Compiled positions(inputs, genome, out): the target decided at each close."""
        prepare, start, step = self.prepare, self.start, self.step

        @kernel(f"positions-{self.name}")
        def positions(inputs, genome, out):
            before = flush_denormals()
            genes = prepare(genome)
            state = start(genes, inputs)
            for t in range(out.shape[0]):
                state, out[t] = step(genes, state, t, inputs)
            restore_denormals(before)

        return positions

    @cached_property
    def population(self) -> Deciders:
        """What decides for many genomes; those of one `key` of its watch stand together."""
        if self.watch is not None:
            return Deciders(make_watchers(f"population-{self.name}", self.prepare, self.watch))
        return make_population(self, LANES) if self.lanes else self.alone

    @cached_property
    def alone(self) -> Deciders:
        """What decides for one genome after the other; it leaves none."""
        return make_population(self, 1)


def watching(
    name: str,
    prepare: Callable[..., Any],
    watch: Watch,
    inputs: Callable[..., tuple[Any, ...]],
    reach: Callable[[np.ndarray], int] | None = None,
) -> Signal:
    """The signal of a rule that is told by what it sees (watch.py)."""
    return Signal(name, prepare, start_flat, step_of(watch), inputs, watch=watch, reach=reach)


def make_population(signal: Signal, lanes: int) -> Deciders:
    """What decides at a lane width; at 1 in plain numbers, whatever the signal's functions are written for."""
    name, functions = f"population-{signal.name}-{lanes}", (signal.prepare, signal.start, signal.step)
    if signal.watch is not None:
        return Deciders(make_alone(name, *functions))
    blocks = make_lanes(f"blocks-{signal.name}-{lanes}", *functions, lanes)
    return Deciders(blocks if lanes > 1 else make_alone(name, *functions), blocks, lanes)


def longest(genomes: np.ndarray, *columns: int) -> int:
    """The longest window, in bars, that any of these genomes asks for in these columns."""
    return int(genomes[:, columns].max(initial=1.0))


def of_one_period(genomes: np.ndarray) -> int:
    """The reach of windows of one period, gene 0."""
    return longest(genomes, 0)


def of_close(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return (frozen(market.close),)


def of_running_close(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    close = frozen(market.close)
    return (close, *running_sums(close))


def channels(market: Market, bars: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The close, and the tables of the highest highs and the lowest lows for windows of up to `bars` bars."""
    highs = window_levels(frozen(market.high), bars, np.maximum)
    return frozen(market.close), highs, window_levels(frozen(market.low), bars, np.minimum)


def of_ranges(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The close, and the true range of each bar, NaN at bar 0."""
    return frozen(market.close), frozen(true_range(market.high, market.low, market.close))


def of_moments(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    close = frozen(market.close)
    return (close, *block_moments(close, longest(genomes, 0)))


given = Signal("given", given_prepare, start_flat, given_step, of_close)
