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

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .compile import device, frozen, kernel
from .denormals import flush_denormals, restore_denormals
from .indicators import true_range
from .kept import once
from .lanes import Marks, lanes_by_marks, lanes_by_targets, make_alone, make_lanes
from .vectors import LANES, SINGLE_LANES, quotient, square_root, where
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
def start_flat(genes, inputs):
    """The state of rules that remember their target alone."""
    return 0.0


@device
def from_nothing(genes, inputs):
    """Two averages, of what was not before the first bar."""
    return 0.0, 0.0


@device
def marks_of(score, entry, leave):
    """What a rule with two thresholds on one score sees, leave <= entry: above `entry` it is long, below -entry short,
    whatever it was. Between them a long is kept while the score lies above `leave` and a short while it lies below -leave;
    all else is flat, a score of NaN as well."""
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
    return mean, square_root(quotient(squares, genes[0]))


# positions that the caller gives: their signal is to repeat them


@device
def given_prepare(genome):
    return 0.0


@device
def given_step(genes, state, t, inputs):
    return state, inputs[0][t]


Decider = Callable[..., None]
"""A compiled kernel that decides for genomes and hands their orders on (lanes.py, watch.py)."""


@dataclass(frozen=True)
class InSingle:
    """What lanes of a signal see in float32: the same marks of the same genomes, but for what rounding decides.

    `prepare` is in float64, and what it makes is rounded. `inputs` are arrays of float32. A price itself is no number for
    float32: beside it, what it has moved is a small one, and of moves nothing is lost but in their own last bits. So the
    inputs are moves, and averages those of the price's distance, in units of the first close.
    """

    prepare: Callable[..., Any]
    marks: Marks
    inputs: Callable[..., tuple[Any, ...]]


@dataclass(frozen=True)
class Signal:
    """The three functions of one signal, and the kernels made from them, each compiled at its first call.

    reach(genomes): how many bars before a bar the inputs there depend on, and on none before these, to the last bit. Said
    by those that watch and whose inputs, tables of windows, take many times the memory of the bars: they are then made
    for some of the bars at a time. in_single: how its lanes see in float32, where they can; single: whether they do.
    """

    name: str
    prepare: Callable[..., Any]
    start: Callable[..., Any]
    step: Callable[..., Any]
    inputs: Callable[..., tuple[Any, ...]]
    lanes: bool = False
    watch: Watch | None = None
    reach: Callable[[np.ndarray], int] | None = None
    marks: Marks | None = None
    in_single: InSingle | None = None
    single: bool = False

    @cached_property
    def of_singles(self) -> Signal | None:
        """The signal whose lanes see in float32; None of one that has no such form. For populations alone."""
        if self.in_single is None:
            return None
        prepare, marks, inputs = self.in_single.prepare, self.in_single.marks, self.in_single.inputs
        return replace(marking(f"{self.name}-float32", prepare, marks, inputs), single=True)

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
    def population(self) -> Decider:
        """What decides for many genomes; those of one `key` of its watch stand together."""
        if self.watch is not None:
            return make_watchers(f"population-{self.name}", self.prepare, self.watch)
        return self.in_lanes(SINGLE_LANES if self.single else LANES) if self.lanes else self.alone

    def in_lanes(self, lanes: int) -> Decider:
        """What decides for so many genomes at once; in float32 a multiple of singles.PAIR."""
        if self.marks is None:
            way = lanes_by_targets(self.start, self.step, lanes)
        else:
            way = lanes_by_marks(self.marks, lanes, self.single)
        return make_lanes(f"lanes-{self.name}-{lanes}", self.prepare, way, lanes, self.single)

    @cached_property
    def alone(self) -> Decider:
        """What decides for one genome after the other; it leaves none."""
        return make_alone(f"alone-{self.name}", self.prepare, self.start, self.step)


def watching(
    name: str,
    prepare: Callable[..., Any],
    watch: Watch,
    inputs: Callable[..., tuple[Any, ...]],
    reach: Callable[[np.ndarray], int] | None = None,
) -> Signal:
    """The signal of a rule that is told by what it sees in windows (watch.py)."""
    return Signal(name, prepare, start_flat, step_of(watch), inputs, watch=watch, reach=reach)


def marking(
    name: str,
    prepare: Callable[..., Any],
    marks: Marks,
    inputs: Callable[..., tuple[Any, ...]],
    in_single: InSingle | None = None,
) -> Signal:
    """The signal of a rule that is told by what it sees, one bar after the other (lanes.py)."""
    return Signal(name, prepare, marks.start_flat(), marks.step(), inputs, lanes=True, marks=marks, in_single=in_single)


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
    return (close, *once(market, "running sums of closes", lambda: running_sums(close)))


def channels(market: Market, bars: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The close, and the tables of the highest highs and the lowest lows for windows of up to `bars` bars."""
    longest = (1 << bars.bit_length()) - 1  # the longest that tables as large hold

    def levels() -> tuple[np.ndarray, np.ndarray]:
        return window_levels(frozen(market.high), longest, np.maximum), window_levels(frozen(market.low), longest, np.minimum)

    return (frozen(market.close), *once(market, ("levels", longest), levels))


def of_ranges(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The close, and the true range of each bar, NaN at bar 0."""
    ranges = once(market, "true ranges", lambda: frozen(true_range(market.high, market.low, market.close)))
    return frozen(market.close), ranges


def of_moves(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    """In float32: the close, and what it has moved from the bar before, 0 at bar 0; in units of the first close."""
    return once(market, "moves in float32", lambda: _moves(market))


def _moves(market: Market) -> tuple[np.ndarray, ...]:
    close = frozen(market.close)
    unit = close[0]
    return frozen(close / unit, np.float32), frozen(np.diff(close, prepend=unit) / unit, np.float32)


def of_moves_and_ranges(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same, and the true range of each bar, NaN at bar 0."""

    def ranges() -> np.ndarray:
        return frozen(true_range(market.high, market.low, market.close) / market.close[0], np.float32)

    return (*of_moves(market, genomes), once(market, "true ranges in float32", ranges))


def moments_of(market: Market, what: str, values: Callable[[], np.ndarray], bars: int) -> tuple[np.ndarray, np.ndarray]:
    """The block_moments of one series of a market, for windows of up to `bars` bars."""
    longest = 1 << (bars - 1).bit_length()  # the longest that tables as large hold
    return once(market, ("moments", what, longest), lambda: block_moments(values(), longest))


def of_moments(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    close = frozen(market.close)
    return (close, *moments_of(market, "closes", lambda: close, longest(genomes, 0)))


given = Signal("given", given_prepare, start_flat, given_step, of_close)
