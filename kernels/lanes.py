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
    PIECE,
    bits_of,
    flush_denormals,
    greatest_lane,
    index,
    keep,
    kept,
    lowest_bit,
    pair_of,
    restore_denormals,
    rows_of,
    size_of,
    unforeseen,
)

CHUNK = 1024  # bars at a time
ROOM = CHUNK + 24  # from a genome's orders to the next one's: a power of two apart they would drive each other from the cache


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

    first(genes, inputs, seen) and see(genes, inputs, state, t, seen, at): the state behind a bar, and at `at` of `seen` what
    is seen there. early: `see` until all lanes are ready, at bar all_ready(genes). decide(seen, at, sides, decision): the
    next decision. sides_of(genes, seen): what each may decide. none(rows): the decision of who is flat. changed(a, b): the
    lanes that decide otherwise, as bits, of which bit_of(lane) is a lane's and lane_of(bit) its lane. note(notes, at,
    decision) and noted(notes, at, bit): a decision in the notes, and the target there of a lane.
    """

    sides_of: Callable[..., Any]
    first: Callable[..., Any]
    early: Callable[..., Any]
    see: Callable[..., Any]
    decide: Callable[..., Any]
    all_ready: Callable[..., Any]
    none: Callable[..., Any]
    changed: Callable[..., Any]
    note: Callable[..., Any]
    noted: Callable[..., Any]
    bit_of: Callable[..., Any]
    lane_of: Callable[..., Any]


def lanes_by_marks(marks: Marks, lanes: int) -> Lanes:
    """A decision is who is long and who is short, each lane a bit. What is seen of a bar are two words, each of two marks
    whose bytes stand in turn, and so do those of a decision, the other ones 0: it is made from them as they are."""
    ready, start, look, decided = marks.ready, marks.start, marks.see, make_decided_in_lanes(marks.reverses)
    keep_pair, every = pair_of(lanes), int("00ff" * (lanes // PIECE), 16)

    @device
    def sides_of(genes, seen):
        least, greatest = genes[-1]
        keep_pair(seen[0], 0, greatest != 0.0, least != 0.0)
        return seen[0][0] & every, (seen[0][0] >> PIECE) & every

    @device
    def see(genes, inputs, state, t, seen, at):
        state, (up, down, long_stays, short_stays) = look(genes, state, t, inputs)
        keep_pair(seen[0], index(2 * at), up, down)
        keep_pair(seen[0], index(2 * at + 1), long_stays, short_stays)
        return state

    @device
    def early(genes, inputs, state, t, seen, at):
        state, (up, down, long_stays, short_stays) = look(genes, state, t, inputs)
        live = ready(genes) <= t
        keep_pair(seen[0], index(2 * at), up & live, down & live)
        keep_pair(seen[0], index(2 * at + 1), long_stays, short_stays)
        return state

    @device
    def first(genes, inputs, seen):
        return early(genes, inputs, start(genes, inputs), 0, seen, 0)  # plain numbers in, vectors out

    @device
    def decide(seen, at, sides, decision):
        turns, stays = seen[0][index(2 * at)], seen[0][index(2 * at + 1)]
        return decided(decision[0], decision[1], turns, turns >> PIECE, stays, stays >> PIECE, sides[0], sides[1])

    @device
    def note(notes, at, decision):
        notes[2][at], notes[3][at] = decision

    @device
    def noted(notes, at, bit):
        return float((notes[2][at] >> bit & 1) - (notes[3][at] >> bit & 1))

    all_ready = device(lambda genes: int(greatest_lane(ready(genes))))
    changed = device(lambda a, b: (a[0] ^ b[0]) | (a[1] ^ b[1]))
    none, bit_of = device(lambda rows: (0, 0)), device(lambda lane: 2 * lane - lane % PIECE)
    lane_of = device(lambda bit: (bit >> 4) * PIECE + bit % PIECE)
    return Lanes(sides_of, first, early, see, decide, all_ready, none, changed, note, noted, bit_of, lane_of)


def lanes_by_targets(start: Callable[..., Any], step: Callable[..., Any], lanes: int) -> Lanes:
    """A decision is a vector of targets, any between -1 and 1: what a step of a user's own makes."""

    @device
    def see(genes, inputs, state, t, seen, at):
        state, targets = step(genes, state, t, inputs)
        keep(seen[1], index(at * lanes), targets)
        return state

    @device
    def first(genes, inputs, seen):
        return see(genes, inputs, start(genes, inputs), 0, seen, 0)  # plain numbers in, vectors out

    @device
    def decide(seen, at, sides, decision):
        return kept(seen[1], index(at * lanes), decision)

    @device
    def note(notes, at, decision):
        keep(notes[4], index(at * lanes), decision)

    @device
    def noted(notes, at, lane):
        return notes[4][index(at * lanes + lane)]

    all_free, at_once, same = device(lambda genes, seen: 0), device(lambda genes: 0), device(lambda lane: lane)
    none, changed = device(lambda rows: rows[0] * 0.0), device(lambda a, b: bits_of(a != b))
    return Lanes(all_free, first, see, see, decide, at_once, none, changed, note, noted, same, same)


def make_lanes(name, prepare, way: Lanes, lanes):
    """The kernel that decides for `lanes` genomes at once, of the same arguments.

    Time is the outer loop, by chunks, and the population the inner one: what all of it reads of a chunk is read from the
    nearest caches. What each block of genomes carries from chunk to chunk is kept in memory meanwhile. Of each chunk all
    bars are first seen and then decided: bar by bar the vectors of the one and the integers of the other were in each
    other's way (macd took twice as long).
    """
    rows, early, see, decide, changed = rows_of(lanes), way.early, way.see, way.decide, way.changed
    sides_of, first_seen, all_ready, none, note, noted = way.sides_of, way.first, way.all_ready, way.none, way.note, way.noted
    bit_of, lane_of = way.bit_of, way.lane_of

    @device  # what takes arrays apart must not count references, as a kernel would
    def genes_of(genomes, at):
        return prepare(rows(genomes, at))

    @device
    def flat(genomes, at):
        return none(rows(genomes, at))

    @device
    def take_down(notes, count, t, ordered, decision, mine):
        """Notes which of the lanes `mine` decide otherwise at bar t than they did, and returns how many notes there are. The
        next one overwrites what was no change: a branch would be guessed wrong."""
        at, which = index(count), changed(decision, ordered) & mine
        notes[0][at], notes[1][at] = t + 1, which
        note(notes, at, decision)
        return count + (which != 0)

    @routine(name)
    def see_bars(genes, inputs, state, begin, end, seen):
        """Goes from the state behind bar `begin` to that behind bar `end`, and keeps what is seen of the bars between."""
        ready = min(max(all_ready(genes), begin), end)
        for t in range(begin, ready):
            state = early(genes, inputs, state, index(t + 1), seen, t - begin)
        for t in range(ready, end):
            state = see(genes, inputs, state, index(t + 1), seen, t - begin)
        return state

    @routine(name)
    def decide_bars(sides, decision, ordered, begin, end, used, seen, notes):
        """Goes from the decision of bar `begin` to that of bar `end`, and notes each change that one before `end` makes."""
        count, mine = 0, -1 if used == lanes else (1 << bit_of(used)) - 1
        for t in range(begin, end):
            count = take_down(notes, count, t, ordered, decision, mine)
            ordered = decision
            decision = decide(seen, t - begin, sides, decision)
        return decision, ordered, count

    @routine(name)
    def hand_on(door, at, used, notes, count, orders):
        """The orders that were noted for the `used` genomes from row `at` on, genome by genome."""
        when, targets, ends = orders
        for lane in range(used):
            ends[lane] = lane * ROOM
        change, bits = 0, notes[1][0]
        while change < count:  # a loop over the bits of each change in one over changes would be guessed wrong
            bit = lowest_bit(bits)
            lane = index(lane_of(bit))
            place = index(ends[lane])
            when[place], targets[place] = notes[0][index(change)], noted(notes, index(change), bit)
            ends[lane] = place + 1
            bits &= bits - 1
            done = unforeseen(int(bits == 0))
            change += done
            bits |= notes[1][index(change)] & -done
        for lane in range(used):
            fill_orders(door, at + lane, when, targets, lane * ROOM, ends[lane])

    @device
    def begin(inputs, genomes, at, seen, other):
        """What the genomes from row `at` on carry behind bar 0: what each may decide, the state, the decision, and what is
        ordered."""
        genes = genes_of(genomes, at)
        state = first_seen(genes, inputs, seen)
        ordered, sides = flat(genomes, at), sides_of(genes, other)
        return sides, state, decide(seen, 0, sides, ordered), ordered

    @kernel(name)
    def run_lanes(door, inputs, genomes, span, targets, left):
        before = flush_denormals()
        first, bars, _, _, _ = span
        population, numbers = genomes.shape[0], np.empty((4, CHUNK + 1), np.int64)
        notes = numbers[0], numbers[1], numbers[2], numbers[3], np.empty(CHUNK * lanes)
        seen = np.zeros(2 * CHUNK, np.int64), np.empty(CHUNK * lanes)
        other = np.zeros(1, np.int64), np.empty(0)
        orders = np.empty(lanes * ROOM, np.int64), np.empty(lanes * ROOM), np.empty(lanes, np.int64)
        course = begin(inputs, genomes, 0, seen, other)
        room = (size_of(course) + 7) // 8
        carried = np.empty((population + lanes - 1) // lanes * room)
        for at in range(0, population, lanes):
            keep(carried, at // lanes * room, begin(inputs, genomes, at, seen, other))
        t = 0
        while t < bars - 1:
            unscored = t < first - 1
            end = min(t + CHUNK, first - 1 if unscored else bars - 1)
            for at in range(0, population, lanes):
                sides, state, decision, ordered = kept(carried, at // lanes * room, course)
                genes, used = genes_of(genomes, at), min(lanes, population - at)
                state = see_bars(genes, inputs, state, t, end, seen)
                decision, ordered, count = decide_bars(sides, decision, ordered, t, end, used, seen, notes)
                if unscored:
                    ordered = flat(genomes, at)
                else:
                    hand_on(door, at, used, notes, count, orders)
                keep(carried, at // lanes * room, (sides, state, decision, ordered))
            t = end
        restore_denormals(before)

    return run_lanes
