"""Rules that watch windows: what they see of a bar does not depend on what they hold, so it is read for many bars at once.

Such a rule is told in two halves. `measure` takes from the market what the rule looks at (a mean, a channel), `look` says
what that means at a bar, as four marks: up, down, and whether a long and a short may stay. From the marks alone, `decided`
goes from target to target. Both halves are written for one bar and compile for a Span of bars as well (see spans.py):
`step_of` makes of them the step that goes bar by bar, `make_watchers` the loop of a population, where the lanes of a vector
are bars, and the marks of 64 bars are the bits of four integers, from which turns.py decides.

Where a measure can't be read for a span, or costs more than to remember it, it is taken once for all genomes of a period
(`key`), for a chunk of bars at a time, in a column that the nearest caches hold; for rules that look through several windows
(`windows`) once for each length that occurs, in a bank of columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .accounts import fill_orders
from .compile import device, kernel, routine
from .denormals import flush_denormals, restore_denormals
from .memory import forward, index, store
from .spans import BARS, span, store_bits
from .turns import WORD, changes, make_decided, make_noting, make_positions, make_quiet, targets_at
from .words import PIECE

CHUNK = 1024  # bars at a time; twice as many, with their columns, took longer
BANK = 1 << 19  # values of windows that are remembered of a chunk at once, for all lengths that a block of genomes looks at


@dataclass(frozen=True)
class Watch:
    """What a rule sees. The last of its genes are the least and the greatest target.

    ready(genes): the first bar with a decision; before it the target is 0. measure(genes, t, inputs): a tuple, from bars
    up to t. look(genes, values, t, inputs): the marks. reverses: whether a position may turn on a mark, or only end. key:
    the gene, by its column, on which alone `ready` and `measure`, then of two values, depend, where they are taken once
    for all genomes of that key. by_bar: whether they are then taken bar by bar, or in spans. derive: what of the measures
    of several bars `look` looks at, where it is not the measure of its own. windows: instead of `measure`, for a rule that
    looks through several windows; `key` then only tells which genomes stand together. beside(genomes): a number of each,
    where those of one number read the same rows of tables and stand together for the sake of the caches alone.
    """

    ready: Callable[..., Any]
    measure: Callable[..., Any] | None
    look: Callable[..., Any]
    reverses: bool = True
    key: int | None = None
    by_bar: bool = True
    derive: Derived | None = None
    windows: Windows | None = None
    beside: Callable[[np.ndarray], np.ndarray] | None = None

    def order(self, genomes: np.ndarray) -> np.ndarray:
        """Indices of genomes, (P,), in which those stand together that are decided together."""
        if self.beside is None and self.key is None:
            return np.arange(len(genomes))
        numbers = genomes[:, self.key] if self.beside is None else self.beside(genomes)
        return np.argsort(numbers, kind="stable")


@dataclass(frozen=True)
class Windows:
    """Windows of which each is measured once for all genomes that look through one of its length.

    lengths(genes): how many bars each takes, a tuple of whole numbers. measure(n, t, inputs): the value of the n bars that
    end with bar t. back(genes): how many bars before its own a genome reads measures. values(genes, seen, source, t): a
    tuple for `look`; seen(genes, source, which, t) is the measure of the window `which` that ends with bar t.
    """

    lengths: Callable[..., Any]
    measure: Callable[..., Any]
    back: Callable[..., Any]
    values: Callable[..., Any]


@dataclass(frozen=True)
class Derived:
    """What is made of the measures of several bars; `ready` of the watch is then the first bar for which there is one.

    begins(genes): the first bar with a measure, by the key alone. back(genes): how many bars before its own it reads.
    values(genes, seen, source, t): a tuple; seen(genes, source, t) is the measure of bar t.
    """

    begins: Callable[..., Any]
    back: Callable[..., Any]
    values: Callable[..., Any]


@device
def no_bars(genes):
    return 0


@device
def rows_in(row_of, lengths):
    return row_of[lengths[0]], row_of[lengths[1]], row_of[lengths[2]]


def step_of(watch: Watch) -> Callable[..., Any]:
    """The step of a signal whose state is its target."""
    ready, look, decided, derive = watch.ready, watch.look, make_decided(watch.reverses), watch.derive
    once: Any = watch.measure

    if watch.windows is not None:
        lengths, of_window, of_windows = watch.windows.lengths, watch.windows.measure, watch.windows.values

        @device
        def through(genes, inputs, which, t):
            return of_window(lengths(genes)[which], t, inputs)

        @device
        def measure(genes, t, inputs):
            return of_windows(genes, through, inputs, t)

    elif derive is None:
        measure = once
    else:
        values = derive.values

        @device
        def seen(genes, inputs, t):
            return once(genes, t, inputs)

        @device
        def measure(genes, t, inputs):
            return values(genes, seen, inputs, t)

    @device
    def step(genes, state, t, inputs):
        if t < ready(genes):
            return 0.0, 0.0
        least, greatest = genes[-1]
        up, down, long_stays, short_stays = look(genes, measure(genes, t, inputs), t, inputs)
        target = decided(state, up, down, long_stays, short_stays, least, greatest)
        return target, target

    return step


# What is remembered of a chunk of bars, and how it is read: recall(memory, genomes, i, ...) gives what values_at reads


def one_column(name, watch):
    """Nothing, or the measures of the key that genome i has: (room, enrol, gather, recall, values_at)."""
    measure, derive, by_bar, keyed, key = watch.measure, watch.derive, watch.by_bar, watch.key is not None, watch.key or 0
    begins, back, derived = (watch.ready, no_bars, None) if derive is None else (derive.begins, derive.back, derive.values)

    @routine(name)
    def fill(columns, genes, inputs, bars, start, end):
        """The measure of the bars from start to end, bar by bar or in spans."""
        if by_bar:
            for t in range(start, end):
                columns[0, t - start], columns[1, t - start] = measure(genes, forward(t), inputs)
        else:
            for place in range(0, end - start, BARS):
                t = forward(min(start + place, bars - BARS))  # the last span ends with the last bar
                values = measure(genes, span(t), inputs)
                store(columns[0], t - start, values[0])
                store(columns[1], t - start, values[1])

    @device
    def remembered(genes, columns, place):
        return columns[0, place], columns[1, place]

    if derived is not None:

        @device
        def values_at(columns, genes, t, origin, inputs):
            return derived(genes, remembered, columns, span(t - origin))

    elif keyed:

        @device
        def values_at(columns, genes, t, origin, inputs):
            return remembered(genes, columns, span(t - origin))

    else:

        @device
        def values_at(columns, genes, t, origin, inputs):
            return measure(genes, span(t), inputs)

    @device
    def room(genes):
        return back(genes), 0

    @device
    def enrol(memory, genomes, at, left):
        return genomes.shape[0], 0

    @device
    def gather(memory, count, inputs, bars, start, end, offset):
        return -1

    @device
    def recall(memory, genomes, i, genes, filled, inputs, bars, start, end, offset):
        columns, _, _ = memory
        origin = max(begins(genes) - offset, min(start, bars - BARS) + CHUNK + 2 * BARS - columns.shape[1])
        if keyed and (filled < 0 or genomes[filled, key] != genomes[i, key]):
            fill(columns, genes, inputs, bars, origin, end)
        return columns, origin, i

    return room, enrol, gather, recall, values_at


def bank(name, prepare, watch):
    """The measures of all windows that a block of genomes looks through, of each length once: as `one_column`."""
    lengths, measure, back, values = watch.windows.lengths, watch.windows.measure, watch.windows.back, watch.windows.values

    @device
    def remembered(genes, source, which, place):
        columns, rows = source
        return columns[rows[which], place]

    @device
    def values_at(source, genes, t, origin, inputs):
        return values(genes, remembered, source, span(t - origin))

    @device
    def room(genes):
        most = 0
        for n in lengths(genes):
            most = max(most, n)
        return back(genes), most

    @device
    def enrol(memory, genomes, at, left):
        """Gives rows to the lengths of genomes from `at` on, as long as there are any: until whom, and how many rows."""
        columns, row_of, length_of = memory
        row_of[:] = -1
        count = 0
        for i in range(at, genomes.shape[0]):
            if left[i]:
                continue
            wanted = lengths(prepare(genomes[i]))
            if count + len(wanted) > columns.shape[0]:
                return i, count
            for n in wanted:
                if row_of[n] < 0:
                    row_of[n], length_of[count] = count, n
                    count += 1
        return genomes.shape[0], count

    @routine(name)
    def gather(memory, count, inputs, bars, start, end, offset):
        """The measures of the lengths in rows, from the bars before `start` that anybody reads on."""
        columns, _, length_of = memory
        origin = start + CHUNK + 2 * BARS - columns.shape[1]
        for row in range(count):
            n = length_of[row]
            for place in range(max(n - 1 - offset, origin, 0), end, BARS):
                t = forward(min(place, bars - BARS))  # the last span ends with the last bar
                store(columns[row], t - origin, measure(n, span(t), inputs))
        return origin

    @device
    def recall(memory, genomes, i, genes, origin, inputs, bars, start, end, offset):
        columns, row_of, _ = memory
        return (columns, rows_in(row_of, lengths(genes))), origin, origin

    return room, enrol, gather, recall, values_at


def make_watchers(name, prepare, watch):
    """The kernel that decides for a population, run_watchers(door, inputs, genomes, span, targets, left).

    The arguments are those of `make_alone`; genomes of one key must stand together. left: marked for genomes whose windows
    leave less than a span of the bars. Time is the outer loop, as in lanes.py, for one block of genomes after the other. In
    all that follows, bars are counted from the first of the inputs.
    """
    ready, look, positions, noting = watch.ready, watch.look, make_positions(watch.reverses), make_noting(targets_at)
    quiet = make_quiet(watch.reverses)
    kinds = one_column(name, watch) if watch.windows is None else bank(name, prepare, watch)
    room, enrol, gather, recall, values_at = kinds

    def make_marking(short):
        @device
        def mark(words, source, genes, start, end, origin, bars, inputs):
            """The marks of spans from `start` on, but whether a short may stay where there are none; the last span's begin."""
            t = 0
            for place in range((end - start + BARS - 1) // BARS):
                t = forward(min(start + place * BARS, bars - BARS))  # the last span ends with the last bar
                seen = look(genes, values_at(source, genes, t, origin, inputs), span(t), inputs)
                store_bits(words, 0, place, seen[0])
                store_bits(words, 1, place, seen[1])
                store_bits(words, 2, place, seen[2])
                if short:
                    store_bits(words, 3, place, seen[3])
            return t

        return mark

    mark, mark_longs = make_marking(True), make_marking(False)

    @routine(name)
    def see(words, source, genes, start, end, origin, bars, inputs):
        """The marks of the bars from `start` to `end`, as the bits of four rows of words; bits past these mean nothing."""
        least, greatest = genes[-1]
        if least == 0.0:  # said as a constant: what only shorts look at is then not even read
            t = mark_longs(words, source, (*genes[:-1], (0.0, greatest)), start, end, origin, bars, inputs)
        else:
            t = mark(words, source, genes, start, end, origin, bars, inputs)
        last = (end - start - 1) // BARS * BARS
        late, word, at = start + last - t, last // WORD, last % WORD
        if late > 0:
            for row in range(4):
                words[row, word] = (words[row, word] & ~(-1 << at)) | (((words[row, word] >> at) & 255) >> late << at)

    @device
    def walk(orders, words, start, end, offset, least, greatest, target):
        """The decisions of the bars from start to end by their marks, and how many orders they made."""
        may_long, may_short = -int(greatest != 0.0), -int(least != 0.0)
        count, was_long, was_short = 0, int(target > 0.0), int(target < 0.0)
        for base in range(start, end, WORD):
            word, bars = index((base - start) // WORD), min(end - base, WORD)
            mask = -1 if bars == WORD else (1 << bars) - 1
            up, down, long_stays, short_stays = words[0, word], words[1, word], words[2, word], words[3, word]
            if quiet(up, down, long_stays, short_stays, may_long, may_short, was_long, was_short, mask):
                continue
            longs, shorts = positions(up, down, long_stays, short_stays, may_long, may_short, was_long, was_short)
            changed = changes(longs, shorts, was_long, was_short) & mask
            count = noting(orders, count, offset + base + 1, changed, (longs, shorts))
            was_long, was_short = longs >> (bars - 1) & 1, shorts >> (bars - 1) & 1
        return float(was_long - was_short), count

    @routine(name)
    def follow(orders, inputs, genes, source, words, origin, start, end, bars, offset, target):
        """The decisions of the bars from start to end, and how many orders they made; the target of the last."""
        least, greatest = genes[-1]
        see(words, source, genes, start, end, origin, bars, inputs)
        return walk(orders, words, start, end, offset, least, greatest, target)

    @device
    def advance(door, inputs, genomes, block, start, end, bars, live, offset, targets, memory, words, orders, left):
        """A block of genomes over the bars from start to end, and their orders where live."""
        at, until, count = block
        so_far = gather(memory, count, inputs, bars, start, end, offset)
        for i in range(at, until):
            genes = prepare(genomes[i])
            first = max(start, ready(genes) - offset)
            if first >= end or left[i]:
                continue
            source, origin, so_far = recall(memory, genomes, i, genes, so_far, inputs, bars, start, end, offset)
            targets[i], made = follow(orders, inputs, genes, source, words, origin, first, end, bars, offset, targets[i])
            if live:
                fill_orders(door, i, orders[0], orders[1], 0, made)

    @device
    def run_block(door, inputs, genomes, block, span, targets, memory, words, orders, left):
        first, all_bars, offset, begin, end = span
        bars, live_from = min(end + BARS, all_bars) - offset, max(begin, min(first, end))
        for start in range(begin - offset, live_from - offset, CHUNK):
            until = min(start + CHUNK, live_from - offset)
            advance(door, inputs, genomes, block, start, until, bars, False, offset, targets, memory, words, orders, left)
        if begin <= first < all_bars and (first < end or end == all_bars - 1):
            for i in range(block[0], block[1]):
                orders[0][0], orders[1][0] = first, targets[i]
                fill_orders(door, i, orders[0], orders[1], 0, int(targets[i] != 0.0))
        for start in range(live_from - offset, end - offset, CHUNK):
            until = min(start + CHUNK, end - offset)
            advance(door, inputs, genomes, block, start, until, bars, True, offset, targets, memory, words, orders, left)

    @kernel(name)
    def run_watchers(door, inputs, genomes, span, targets, left):
        denormals = flush_denormals()
        population, before, longest = genomes.shape[0], 0, 0
        for i in range(population):
            genes = prepare(genomes[i])
            left[i] = ready(genes) > span[1] - BARS
            if not left[i]:
                own_before, own_longest = room(genes)
                before, longest = max(before, own_before), max(longest, own_longest)
        width = before + CHUNK + 3 * BARS
        rows = max(min(BANK // width, longest), 3)  # a block of one genome at least; of lengths there are no more
        memory = np.zeros((rows, width)), np.zeros(longest + 1, np.int64), np.zeros(rows, np.int64)
        words, at = np.zeros((4, CHUNK // WORD), np.int64), 0
        orders = np.empty(CHUNK + PIECE, np.int64), np.empty(CHUNK + PIECE)
        while at < population:
            until, count = enrol(memory, genomes, at, left)
            run_block(door, inputs, genomes, (at, until, count), span, targets, memory, words, orders, left)
            at = until
        restore_denormals(denormals)

    return run_watchers
