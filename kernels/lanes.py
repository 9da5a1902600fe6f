"""Who decides for whom: the loops that run a signal over the bars and hand its orders to the account.

`run_alone` decides for one genome at a time, bar by bar; `run_lanes` for LANES genomes at once, each in a lane of its own,
where the signal's functions are written for vectors (see vectors.py). Both compile the same prepare, start and rule, and
give the same orders to the same account: a row of the one is a row of the other, bit for bit, whatever stands in the other
lanes.

What a rule sees of a bar are four marks, as in watch.py, and each mark of all lanes is the bits of one integer: from target
to target goes a dozen operations on integers for all lanes together, where vectors took as many for every eight. The orders
of a chunk of bars are noted for each genome, and then filled genome after genome: an account that goes from order to order
of the same genome is one whose branches the processor guesses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .accounts import fill_orders
from .compile import device, kernel, routine
from .vectors import (
    bits_of,
    bits_of_all,
    flush_denormals,
    greatest_lane,
    index,
    keep,
    kept,
    lowest_bit,
    restore_denormals,
    rows_of,
    size_of,
)

CHUNK = 1024  # bars at a time


@dataclass(frozen=True)
class Marks:
    """A rule by what it sees, one bar after the other. The last of its genes are the least and the greatest target.

    start(genes, inputs): its state before the first bar. see(genes, state, t, inputs): the state after bar t, and the marks
    up, down, and whether a long and a short may stay. ready(genes): the first bar whose marks count; before it the target
    is 0. reverses: whether a position may turn on a mark, or only end.
    """

    ready: Callable[..., Any]
    start: Callable[..., Any]
    see: Callable[..., Any]
    reverses: bool = True

    def start_flat(self) -> Callable[..., Any]:
        """The start of a signal, for one genome, whose state is the rule's and the target."""
        start = self.start
        return device(lambda genes, inputs: (start(genes, inputs), 0.0))

    def step(self) -> Callable[..., Any]:
        """Its step."""
        ready, see, decided = self.ready, self.see, make_decided(self.reverses)

        @device
        def step(genes, state, t, inputs):
            of_rule, target = state
            least, greatest = genes[-1]
            of_rule, (up, down, long_stays, short_stays) = see(genes, of_rule, t, inputs)
            if t < ready(genes):
                return (of_rule, 0.0), 0.0
            target = decided(target, up, down, long_stays, short_stays, least, greatest)
            return (of_rule, target), target

        return step


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


def make_decided_in_lanes(reverses):
    @device
    def decided(longs, shorts, up, down, long_stays, short_stays, may_long, may_short):
        """The same for many lanes, of which each is a bit: which are long next, and which short."""
        free = -1 if reverses else ~(longs | shorts)
        up, down = up & free, down & ~up & free
        kept = ~(up | down)
        return (up & may_long) | (longs & long_stays & kept), (down & may_short) | (shorts & short_stays & kept)

    return decided


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
    """The kernel that decides for one genome after the other, run_alone(door, inputs, genomes, span, targets, left).

    door: of the account that is kept (accounts.py). span: the first scored bar, how many bars there are, and for kernels
    that may be called for some of them at a time (watch.py) the first bar of the inputs, and the bars from which and until
    which to decide. targets: (P,), for these to go on from. left: (P,), they mark the genomes for which they did not decide.
    """

    @kernel(name)
    def run_alone(door, inputs, genomes, span, targets, left):
        before = flush_denormals()
        first, bars, _, _, _ = span
        when, wanted = np.empty(CHUNK, np.int64), np.empty(CHUNK)
        for i in range(genomes.shape[0]):
            genes = prepare(genomes[i])
            state = start(genes, inputs)
            target = ordered = 0.0
            count = 0
            for t in range(first - 1):
                state, target = step(genes, state, t, inputs)
            for t in range(max(first - 1, 0), bars - 1):
                state, target = step(genes, state, t, inputs)
                if target != ordered:
                    when[index(count)], wanted[index(count)] = t + 1, target
                    ordered = target
                    count += 1
                    if count == CHUNK:
                        fill_orders(door, i, when, wanted, 0, count)
                        count = 0
            fill_orders(door, i, when, wanted, 0, count)
        restore_denormals(before)

    return run_alone


@dataclass(frozen=True)
class Lanes:
    """How lanes decide, at once: what they carry from bar to bar is a state and a decision, that of each lane.

    first(genes, inputs, sides), step(genes, inputs, sides, state, decision, t): both behind a bar. early: `step` until all
    lanes are ready, at bar all_ready(genes). sides_of(genes): what each may decide. none(decision): that of who is flat.
    changed(a, b): the lanes that decide otherwise, as bits. note(notes, at, decision) and noted(notes, at, lane): a
    decision in the notes, and the target of a lane there.
    """

    sides_of: Callable[..., Any]
    first: Callable[..., Any]
    early: Callable[..., Any]
    step: Callable[..., Any]
    all_ready: Callable[..., Any]
    none: Callable[..., Any]
    changed: Callable[..., Any]
    note: Callable[..., Any]
    noted: Callable[..., Any]


def lanes_by_marks(marks: Marks) -> Lanes:
    """A decision is who is long and who is short, each lane a bit."""
    ready, start, see, decided = marks.ready, marks.start, marks.see, make_decided_in_lanes(marks.reverses)

    @device
    def sides_of(genes):
        least, greatest = genes[-1]
        return bits_of_all(greatest != 0.0), bits_of_all(least != 0.0)

    @device
    def step(genes, inputs, sides, state, decision, t):
        state, (up, down, long_stays, short_stays) = see(genes, state, t, inputs)
        up, down = bits_of_all(up), bits_of_all(down)
        long_stays, short_stays = bits_of_all(long_stays), bits_of_all(short_stays)
        return state, decided(decision[0], decision[1], up, down, long_stays, short_stays, sides[0], sides[1])

    @device
    def early(genes, inputs, sides, state, decision, t):
        state, (longs, shorts) = step(genes, inputs, sides, state, decision, t)
        live = bits_of_all(ready(genes) <= t)
        return state, (longs & live, shorts & live)

    @device
    def first(genes, inputs, sides):
        return early(genes, inputs, sides, start(genes, inputs), (0, 0), 0)  # plain numbers in, vectors out

    @device
    def note(notes, at, decision):
        notes[2][at], notes[3][at] = decision

    @device
    def noted(notes, at, lane):
        return float((notes[2][at] >> lane & 1) - (notes[3][at] >> lane & 1))

    all_ready = device(lambda genes: int(greatest_lane(ready(genes))))
    changed = device(lambda a, b: (a[0] ^ b[0]) | (a[1] ^ b[1]))
    return Lanes(sides_of, first, early, step, all_ready, device(lambda decision: (0, 0)), changed, note, noted)


def lanes_by_targets(start: Callable[..., Any], step: Callable[..., Any], lanes: int) -> Lanes:
    """A decision is a vector of targets, any between -1 and 1: what a step of a user's own makes."""

    @device
    def first(genes, inputs, sides):
        return step(genes, start(genes, inputs), 0, inputs)  # plain numbers in, vectors out

    @device
    def following(genes, inputs, sides, state, decision, t):
        return step(genes, state, t, inputs)

    @device
    def note(notes, at, decision):
        keep(notes[4], index(at * lanes), decision)

    @device
    def noted(notes, at, lane):
        return notes[4][index(at * lanes + lane)]

    none, changed = device(lambda decision: decision * 0.0), device(lambda a, b: bits_of(a != b))
    nothing = device(lambda genes: 0)
    return Lanes(nothing, first, following, following, nothing, none, changed, note, noted)


def make_lanes(name, prepare, way: Lanes, lanes):
    """The kernel that decides for `lanes` genomes at once, of the same arguments.

    Time is the outer loop, by chunks, and the population the inner one: what all of it reads of a chunk is read from the
    nearest caches. What each block of genomes carries from chunk to chunk is kept in memory meanwhile.
    """
    rows, early, step, changed = rows_of(lanes), way.early, way.step, way.changed
    sides_of, first_step, all_ready, none, note, noted = way.sides_of, way.first, way.all_ready, way.none, way.note, way.noted

    @device  # what takes arrays apart must not count references, as a kernel would
    def genes_of(genomes, at):
        return prepare(rows(genomes, at))

    @device
    def take_down(notes, count, t, ordered, decision):
        """Notes which lanes decide otherwise at bar t than they did, and returns how many notes there are. The next one
        overwrites what was no change: a branch would be guessed wrong."""
        at, which = index(count), changed(decision, ordered)
        notes[0][at], notes[1][at] = t + 1, which
        note(notes, at, decision)
        return count + (which != 0)

    @routine(name)
    def decide(genes, inputs, sides, state, decision, ordered, begin, end, notes):
        """Goes from the decision of bar `begin` to that of bar `end`, and notes each change that one before `end` makes."""
        count, ready = 0, min(max(all_ready(genes), begin), end)
        for t in range(begin, ready):
            count = take_down(notes, count, t, ordered, decision)
            ordered = decision
            state, decision = early(genes, inputs, sides, state, decision, index(t + 1))
        for t in range(ready, end):
            count = take_down(notes, count, t, ordered, decision)
            ordered = decision
            state, decision = step(genes, inputs, sides, state, decision, index(t + 1))
        return state, decision, ordered, count

    @routine(name)
    def hand_on(door, at, used, notes, count, orders):
        """The orders that were noted for the genomes from row `at` on, genome by genome."""
        when, targets, ends = orders
        for lane in range(used):
            ends[lane] = lane * CHUNK
        for change in range(count):
            bits = notes[1][index(change)] & ((1 << used) - 1)
            while bits != 0:
                lane = lowest_bit(bits)
                bits &= bits - 1
                place = index(ends[lane])
                when[place], targets[place] = notes[0][index(change)], noted(notes, index(change), lane)
                ends[lane] = place + 1
        for lane in range(used):
            fill_orders(door, at + lane, when, targets, lane * CHUNK, ends[lane])

    @device
    def begin(inputs, genomes, at, first):
        """What the genomes from row `at` on carry at the bar whose decision is the first that may be ordered: what each may
        decide, the state, the decision, and what is ordered."""
        genes = genes_of(genomes, at)
        sides = sides_of(genes)
        state, decision = first_step(genes, inputs, sides)
        for t in range(1, first):
            state, decision = early(genes, inputs, sides, state, decision, index(t))
        return sides, state, decision, none(decision)

    @kernel(name)
    def run_lanes(door, inputs, genomes, span, targets, left):
        before = flush_denormals()
        first, bars, _, _, _ = span
        population, numbers = genomes.shape[0], np.empty((4, CHUNK), np.int64)
        notes = numbers[0], numbers[1], numbers[2], numbers[3], np.empty(CHUNK * lanes)
        orders = np.empty(lanes * CHUNK, np.int64), np.empty(lanes * CHUNK), np.empty(lanes, np.int64)
        course = begin(inputs, genomes, 0, 1)
        room = (size_of(course) + 7) // 8
        carried = np.empty((population + lanes - 1) // lanes * room)
        for at in range(0, population, lanes):
            course = begin(inputs, genomes, at, first)
            keep(carried, at // lanes * room, course)
        for t in range(max(first - 1, 0), bars - 1, CHUNK):
            end = min(t + CHUNK, bars - 1)
            for at in range(0, population, lanes):
                sides, state, decision, ordered = kept(carried, at // lanes * room, course)
                genes = genes_of(genomes, at)
                state, decision, ordered, count = decide(genes, inputs, sides, state, decision, ordered, t, end, notes)
                hand_on(door, at, min(lanes, population - at), notes, count, orders)
                course = sides, state, decision, ordered
                keep(carried, at // lanes * room, course)
        restore_denormals(before)

    return run_lanes
