"""Rules that watch windows: what they see of a bar does not depend on what they hold, so it is read for many bars at once.

Such a rule is told in two halves. `measure` takes from the market what the rule looks at (a mean, a channel), `look` says
what that means at a bar, as four marks: up, down, and whether a long and a short may stay. From the marks alone, `decided`
goes from target to target. Both halves are written for one bar and compile for a Span of bars as well (see vectors.py):
`step_of` makes of them the step that goes bar by bar, `make_watchers` the loop of a population, where the lanes of a vector
are bars, the marks of 64 bars are the bits of four integers, and the walk goes from one bar at which something may change
to the next.

Where a measure can't be read for a span (moments of windows), or costs more than to remember it, it is taken once for all
genomes of a period (`key`), for a chunk of bars at a time, in a column that the nearest caches hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .accounts import order
from .compile import device, kernel, routine
from .pnl import RUINED
from .vectors import BARS, flush_denormals, index, lowest_bit, restore_denormals, span, store, store_bits

CHUNK = 1024  # bars
WORD = 64  # bars, whose marks are the bits of one integer


@dataclass(frozen=True)
class Watch:
    """What a rule sees. The last of its genes are the least and the greatest target.

    ready(genes): the first bar with a decision; before it the target is 0. measure(genes, t, inputs): a tuple, from bars
    up to t. look(genes, values, t, inputs): the marks. reverses: whether a position may turn on a mark, or only end. key:
    the gene, by its column, on which alone `ready` and `measure`, then of two values, depend, where they are taken once
    for all genomes of that key. by_bar: whether they are then taken bar by bar, or in spans. derive: what of the measures
    of several bars `look` looks at, where it is not the measure of its own.
    """

    ready: Callable[..., Any]
    measure: Callable[..., Any]
    look: Callable[..., Any]
    reverses: bool = True
    key: int | None = None
    by_bar: bool = True
    derive: Derived | None = None


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


def make_decided(reverses):
    @device
    def decided(target, up, down, long_stays, short_stays, least, greatest):
        """The next target of a rule that sees these marks."""
        if reverses or target == 0.0:
            if up:
                return greatest
            if down:
                return least
        if (target > 0.0 and long_stays) or (target < 0.0 and short_stays):
            return target
        return 0.0

    return decided


def step_of(watch: Watch) -> Callable[..., Any]:
    """The step of a signal whose state is its target."""
    ready, look, decided, derive, once = watch.ready, watch.look, make_decided(watch.reverses), watch.derive, watch.measure

    @device
    def seen(genes, inputs, t):
        return once(genes, t, inputs)

    if derive is None:
        measure = once
    else:
        values = derive.values

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


def make_watchers(name, prepare, watch):
    """The kernel that decides for a population, run_watchers(door, books, inputs, genomes, span, targets, left).

    The arguments are those of `make_alone`; genomes of one key must stand together. left: marked for genomes whose windows
    leave less than a span of the bars. Time is the outer loop, as in lanes.py. In all that follows, bars are counted from
    the first of the inputs.
    """
    ready, measure, look, reverses, by_bar = watch.ready, watch.measure, watch.look, watch.reverses, watch.by_bar
    keyed, key = watch.key is not None, watch.key or 0
    decided, derive = make_decided(reverses), watch.derive
    begins, back, derived = (ready, no_bars, None) if derive is None else (derive.begins, derive.back, derive.values)

    @device
    def turning(target, up, down, long_stays, short_stays, least, greatest):
        """The bars at which the target may change, and no other where that would cost: up ahead of down."""
        if target == 0.0:
            return (up if greatest != 0.0 else 0) | (down if least != 0.0 else 0)
        ahead, back, stays = (up, down, long_stays) if target > 0.0 else (down, up, short_stays)
        return (back | (~stays & ~ahead)) if reverses else ~stays

    @routine(name)
    def fill(columns, genes, inputs, bars, start, end):
        """The measure of the bars from start to end, bar by bar or in spans."""
        if by_bar:
            for t in range(start, end):
                columns[0, t - start], columns[1, t - start] = measure(genes, index(t), inputs)
        else:
            for place in range(0, end - start, BARS):
                t = index(min(start + place, bars - BARS))  # the last span ends with the last bar
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

    @routine(name)
    def see(words, columns, genes, start, end, origin, bars, inputs):
        """The marks of the bars from `start` to `end`, as the bits of four rows of words; bits past these mean nothing."""
        t = 0
        for place in range((end - start + BARS - 1) // BARS):
            t = index(min(start + place * BARS, bars - BARS))  # the last span ends with the last bar
            seen = look(genes, values_at(columns, genes, t, origin, inputs), span(t), inputs)
            store_bits(words, 0, place, seen[0])
            store_bits(words, 1, place, seen[1])
            store_bits(words, 2, place, seen[2])
            store_bits(words, 3, place, seen[3])
        last = (end - start - 1) // BARS * BARS
        late, word, at = start + last - t, last // WORD, last % WORD
        if late > 0:
            for mark in range(4):
                words[mark, word] = (words[mark, word] & ~(-1 << at)) | (((words[mark, word] >> at) & 255) >> late << at)

    @device
    def walk(door, books, i, words, start, end, live, offset, least, greatest, target):
        """The decisions of the bars from start to end by their marks, and the orders of each where live."""
        for base in range(start, end, WORD):
            word, count = index((base - start) // WORD), end - base
            up, down, long_stays, short_stays = words[0, word], words[1, word], words[2, word], words[3, word]
            left = -1 if count >= WORD else (1 << count) - 1
            while True:
                turns = turning(target, up, down, long_stays, short_stays, least, greatest) & left
                if turns == 0:
                    break
                at = lowest_bit(turns)
                left &= -2 << at
                seen = ((up >> at) & 1 != 0, (down >> at) & 1 != 0, (long_stays >> at) & 1 != 0, (short_stays >> at) & 1 != 0)
                before, target = target, decided(target, *seen, least, greatest)
                if live and target != before and books[i, RUINED] == 0.0:
                    order(door, i, offset + base + at + 1, target)
        return target

    @routine(name)
    def follow(door, books, i, inputs, genes, columns, words, origin, start, end, bars, live, offset, target):
        """The decisions of the bars from start to end, and the orders of each where live; returns the target."""
        least, greatest = genes[-1]
        see(words, columns, genes, start, end, origin, bars, inputs)
        return walk(door, books, i, words, start, end, live, offset, least, greatest, target)

    @device
    def advance(door, books, inputs, genomes, start, end, bars, live, offset, targets, columns, words, left):
        """All genomes over the bars from start to end."""
        filled, before = -1, columns.shape[1] - CHUNK - 2 * BARS
        for i in range(genomes.shape[0]):
            genes = prepare(genomes[i])
            first = max(start, ready(genes) - offset)
            if first >= end or left[i]:
                continue
            origin = max(begins(genes) - offset, min(start, bars - BARS) - before)
            if keyed and (filled < 0 or genomes[filled, key] != genomes[i, key]):
                fill(columns, genes, inputs, bars, origin, end)
                filled = i
            place = columns, words, origin
            targets[i] = follow(door, books, i, inputs, genes, *place, first, end, bars, live, offset, targets[i])

    @kernel(name)
    def run_watchers(door, books, inputs, genomes, span, targets, left):
        denormals = flush_denormals()
        first, all_bars, offset, begin, end = span
        bars, live_from, before = min(end + BARS, all_bars) - offset, max(begin, min(first, end)), 0
        for i in range(genomes.shape[0]):
            genes = prepare(genomes[i])
            left[i] = ready(genes) > all_bars - BARS
            before = max(before, back(genes))
        columns, words = np.zeros((2, before + CHUNK + 2 * BARS)), np.zeros((4, CHUNK // WORD), np.int64)
        for start in range(begin - offset, live_from - offset, CHUNK):
            until = min(start + CHUNK, live_from - offset)
            advance(door, books, inputs, genomes, start, until, bars, False, offset, targets, columns, words, left)
        if begin <= first and (first < end or end == all_bars - 1):
            for i in range(genomes.shape[0]):
                if targets[i] != 0.0:
                    order(door, i, first, targets[i])
        for start in range(live_from - offset, end - offset, CHUNK):
            until = min(start + CHUNK, end - offset)
            advance(door, books, inputs, genomes, start, until, bars, True, offset, targets, columns, words, left)
        restore_denormals(denormals)

    return run_watchers
