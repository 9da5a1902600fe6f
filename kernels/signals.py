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
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .compile import device, frozen, kernel
from .indicators import true_range
from .metrics import returns_between, summarise_record
from .pnl import BOOK, make_run
from .windows import block_moments, running_sums, window_levels

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
    if score > entry:
        return greatest
    if score < -entry:
        return least
    if (target > 0.0 and score > leave) or (target < 0.0 and score < -leave):
        return target
    return 0.0


# positions that the caller gives: their signal is to repeat them


@device
def given_prepare(genome):
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
    inputs: Callable[..., tuple[Any, ...]]

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
        """Compiled population(prices, funding, inputs, genomes, fee, ..., record, out): METRICS of each genome, a fused
        pass each; the figures OF_RECORD only where `record` says so, which has the run written down and read again."""
        run = make_run(self.prepare, self.start, self.step)

        @kernel(f"population-{self.name}")
        def population(prices, funding, inputs, genomes, fee, slippage, first, cash, periods_per_year, record, out):
            bars = prices[0].shape[0]
            equity, units = np.empty(bars if record else 0), np.empty(bars if record else 0)
            returns = np.empty(bars - first if record else 0)
            no_rows = np.empty((0, 0))
            book = np.empty(BOOK)
            for i in range(genomes.shape[0]):
                run(
                    prices, funding, inputs, genomes[i], fee, slippage, first, cash, periods_per_year,
                    out[i], equity, units, no_rows, book
                )  # fmt: skip
                if record:
                    returns_between(equity, first, cash, returns)
                    summarise_record(returns, out[i])

        return population

    @cached_property
    def account(self) -> Callable[..., None]:
        """Compiled account(prices, funding, inputs, genome, fee, ..., metrics, equity, units, trades, book): one run,
        recorded."""
        run = make_run(self.prepare, self.start, self.step)

        @kernel(f"account-{self.name}")
        def account(prices, funding, inputs, genome, fee, slippage, first, cash, periods_per_year, *out):
            run(prices, funding, inputs, genome, fee, slippage, first, cash, periods_per_year, *out)
            returns = np.empty(prices[0].shape[0] - first)
            returns_between(out[1], first, cash, returns)
            summarise_record(returns, out[0])

        return account


def longest(genomes: np.ndarray, *columns: int) -> int:
    """The longest window, in bars, that any of these genomes asks for in these columns."""
    return int(genomes[:, columns].max(initial=1.0))


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
