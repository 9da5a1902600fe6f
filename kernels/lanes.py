"""Who decides for whom: the loops that run a signal over the bars and hand its orders to the account.

`run_alone` decides for one genome at a time, bar by bar; `run_lanes` for LANES genomes at once, each in a lane of its own,
where the signal's functions are written for vectors (see vectors.py). Both compile the same prepare, start and step, and
give the same orders to the same account: a row of the one is a row of the other, bit for bit, whatever stands in the other
lanes.

A decision costs a few vector operations at each bar for all lanes together, an order some 20 ns for its own lane. So the
bars go in chunks: the chunk's decisions first, with what they carry in registers, noting each bar at which any target
changes; then those orders, lane by lane, or all at once to an account that takes them so (fused.py).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import numpy as np

from .accounts import order, take_block, takes_blocks
from .compile import device, kernel, routine
from .fused import CHUNK
from .pnl import RUINED
from .vectors import (
    bits_of,
    flush_denormals,
    index,
    keep,
    kept,
    lowest_bit,
    restore_denormals,
    rows_of,
    size_of,
)


@kernel("mode")
def _mode():
    before = flush_denormals()
    restore_denormals(before)
    return before


@kernel("set-mode")
def _set_mode(mode):
    restore_denormals(np.uint32(mode))


@contextlib.contextmanager
def denormals_kept() -> Iterator[None]:
    """Whatever becomes of the kernel called in it: a step of a user's own that raises leaves it before it has put back how
    the processor takes denormals, and Python's own floats would be other ones for the rest of the process."""
    mode = _mode()
    try:
        yield
    finally:
        _set_mode(mode)


def make_alone(name, prepare, start, step):
    """The kernel that decides for one genome after the other, run_alone(door, books, inputs, genomes, span, targets, left).

    door: of the account that is kept (accounts.py). books: of that account, open. span: the first scored bar, how many
    bars there are, and for kernels that may be called for some of them at a time (watch.py) the first bar of the inputs,
    and the bars from which and until which to decide. targets: (P,), for these to go on from. left: (P,), they mark the
    genomes for which they did not decide.
    """

    @kernel(name)
    def run_alone(door, books, inputs, genomes, span, targets, left):
        before = flush_denormals()
        first, bars, _, _, _ = span
        for i in range(genomes.shape[0]):
            genes = prepare(genomes[i])
            state = start(genes, inputs)
            target = ordered = 0.0
            for t in range(first - 1):
                state, target = step(genes, state, t, inputs)
            for t in range(max(first - 1, 0), bars - 1):
                state, target = step(genes, state, t, inputs)
                if target != ordered:
                    order(door, i, t + 1, target)
                    ordered = target
                    if books[i, RUINED] != 0.0:
                        break
        restore_denormals(before)

    return run_alone


def make_lanes(name, prepare, start, step, lanes):
    """The kernel that decides for `lanes` genomes at once, of the same arguments.

    Time is the outer loop, by chunks, and the population the inner one: what all of it reads of a chunk is read from the
    nearest caches. What each block of genomes carries from chunk to chunk is kept in memory meanwhile.
    """
    rows = rows_of(lanes)
    genes_from = device(
        (lambda genomes, at: prepare(rows(genomes, at))) if lanes > 1 else lambda genomes, at: prepare(genomes[at])
    )

    @routine(name)
    def decide(genes, state, target, ordered, inputs, begin, end, changes):
        """Goes from the decision of bar `begin`, which is `target`, to that of bar `end`, and notes each change before."""
        when, which, targets = changes
        count = 0
        for t in range(begin, end):
            keep(targets, index(count * lanes), target)
            when[index(count)] = t
            bits = bits_of(target != ordered)
            which[index(count)] = bits
            count += bits != 0  # the next change overwrites what was none: a branch would be guessed wrong
            ordered = target
            state, target = step(genes, state, index(t + 1), inputs)
        return state, target, ordered, count

    @routine(name)
    def carry_out(door, books, changes, count, at, used):
        """The orders that were noted for the genomes from row `at` on, each in the account of its own."""
        when, which, targets = changes
        for change in range(count):
            bits = which[change] & used
            while bits != 0:
                lane = lowest_bit(bits)
                bits &= bits - 1
                if books[at + lane, RUINED] == 0.0:
                    order(door, at + lane, when[change] + 1, targets[change * lanes + lane])

    @device
    def begin(inputs, genomes, at, first):
        """What the genomes from row `at` on carry at the bar whose decision is the first that may be ordered."""
        genes = genes_from(genomes, at)
        state, target = step(genes, start(genes, inputs), 0, inputs)  # plain numbers in, vectors out
        for t in range(1, first):
            state, target = step(genes, state, index(t), inputs)
        return state, target, target * 0.0

    @device
    def advance(door, books, inputs, genomes, at, now, t, end, changes, packed):
        """Takes the genomes from row `at` on from the decision of bar t to that of bar `end`, and fills their orders."""
        state, target, ordered = now
        genes, used = genes_from(genomes, at), min(lanes, genomes.shape[0] - at)
        state, target, ordered, count = decide(genes, state, target, ordered, inputs, t, end, changes)
        if takes_blocks(door):
            take_block(door, packed, at, t, end, count)
        else:
            carry_out(door, books, changes, count, at, (1 << used) - 1)
        return state, target, ordered

    @kernel(name)
    def run_lanes(door, books, inputs, genomes, span, targets, left):
        before = flush_denormals()
        first, bars, _, _, _ = span
        population = genomes.shape[0]
        changes = np.empty(CHUNK, np.int64), np.empty(CHUNK, np.int64), np.empty(CHUNK * lanes)
        packed = np.empty(size_of(changes) // 8 + 1)
        keep(packed, 0, changes)
        now = begin(inputs, genomes, 0, 1)
        room = (size_of(now) + 7) // 8
        carried = np.empty((population + lanes - 1) // lanes * room)
        for at in range(0, population, lanes):
            now = begin(inputs, genomes, at, first)
            keep(carried, at // lanes * room, now)
        for t in range(max(first - 1, 0), bars - 1, CHUNK):
            end = min(t + CHUNK, bars - 1)
            for at in range(0, population, lanes):
                now = kept(carried, at // lanes * room, now)
                now = advance(door, books, inputs, genomes, at, now, t, end, changes, packed)
                keep(carried, at // lanes * room, now)
        restore_denormals(before)

    return run_lanes


@functools.cache
def make_leaving(lanes):
    """The kernel that ends what so many individuals hold at the open of bar t, whose accounts are kept in blocks of lanes."""

    @kernel(f"leave-{lanes}")
    def leave_blocks(door, individuals, t):
        before = flush_denormals()
        changes = np.full(1, t - 1), np.full(1, -1), np.zeros(lanes)
        packed = np.empty(size_of(changes) // 8 + 1)
        keep(packed, 0, changes)
        for at in range(0, individuals, lanes):
            take_block(door, packed, at, t - 1, t, 1)
        restore_denormals(before)

    return leave_blocks
