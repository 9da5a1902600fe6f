"""Who decides for whom: the loops that run a signal over the bars and hand its orders to the account.

`run_alone` decides for one genome at a time, bar by bar; `run_lanes` for LANES genomes at once, each in a lane of its own,
where the signal's functions are written for vectors (see vectors.py). Both compile the same prepare, start and rule, and
give the same orders to the same account: a row of the one is a row of the other, bit for bit, whatever stands in the other
lanes.

What a rule sees of a bar are four marks, as in watch.py: of each lane a bit, and of each register of lanes a byte. The bytes
of WORD bars are then turned into words of bars, one for each lane, which turns.py decides; a genome's orders of a chunk of
bars are filled one after the other: an account that goes from order to order of the same genome is one whose branches the
processor guesses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .accounts import fill_orders
from .compile import device, kernel, routine
from .denormals import flush_denormals, restore_denormals
from .memory import forward, index, keep, kept, size_of, store
from .singles import keep_pairs, rounded, spread_half
from .turns import WORD, changes, make_decided, make_noting, make_positions, targets_at
from .vectors import greatest_lane, rows_of, where
from .words import PIECE, each_at, keep_mark, spread, words_from

CHUNK = 1536  # bars at a time; with 1,024 long/flat populations took longer, with 2,048 long/short ones
MARKS, ROW = 4, CHUNK // WORD  # rows of bytes, and of words, that a register of lanes has
_UP, _DOWN, _LONG_STAYS, _SHORT_STAYS = range(MARKS)
_LONGS, _SHORTS, _CHANGED = range(3)  # what the words are once they have been decided


@dataclass(frozen=True)
class Sides:
    """A rule that, once it has taken a side, is always on one of two, up or down, and is compared with a bound of that side.

    bounds(genes): the bound of who is up, and of who is down. see(genes, state, t, inputs, bound): the state after bar t, and
    whether it is up there: of one that was up, whether there is no mark down, and of one that was not, whether there is one up.
    """

    bounds: Callable[..., Any]
    see: Callable[..., Any]


@dataclass(frozen=True)
class Marks:
    """A rule by what it sees, one bar after the other. The last of its genes are the least and the greatest target.

    start(genes, inputs): its state before the first bar. see(genes, state, t, inputs): the state after bar t, and the marks
    up, down, and whether a long and a short may stay. ready(genes): the first bar whose marks count; before it the target
    is 0. reverses: whether a position may turn on a mark, or only end. sides: the same rule, where it has but two sides.
    """

    ready: Callable[..., Any]
    start: Callable[..., Any]
    see: Callable[..., Any]
    reverses: bool = True
    sides: Sides | None = None

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


_as_it_is = device(lambda genes, state, course, place, room: state)
_as_it_was = device(lambda carried: carried)


@dataclass(frozen=True)
class Steps:
    """How lanes go through the bars of a chunk, and decide.

    enter(genes, state, course, place, room): what they carry from bar to bar, of a state; leave(carried): the state of that.
    see(genes, inputs, carried, t, seen, at): what is carried behind bar t; what is seen of it is kept as entry `at` of `seen`.
    decide(words, seen, like, bars, place, course): makes of what was seen the words of bars whose orders change, for the lanes
    from `place` on.
    """

    see: Callable[..., Any]
    decide: Callable[..., Any]
    enter: Callable[..., Any] = _as_it_is
    leave: Callable[..., Any] = _as_it_was


@dataclass(frozen=True)
class Lanes:
    """How lanes decide, at once.

    first(genes, inputs, seen, none): the state behind bar 0, and what a mark of each kind is like; none: a vector of 0.
    early: as in Steps, `see` of a state until all lanes are ready, at bar all_ready(genes). free: a state with nothing ordered.
    always: the steps of all lanes at all times. shorter: those of lanes of which may_shorten(genes, course, place, t) is true,
    which is the same to the last bit and sooner done.
    noting, source(words, seen, at, bar): as in turns.py, for the lane whose first word is words[at].
    """

    first: Callable[..., Any]
    early: Callable[..., Any]
    all_ready: Callable[..., Any]
    free: Callable[..., Any]
    always: Steps
    shorter: Steps
    may_shorten: Callable[..., Any]
    noting: Callable[..., Any]
    source: Callable[..., Any]


@device
def byte_of(mark, at):
    """Where in `seen` a mark of bar `at` is kept, of the first lanes; those of the next lie MARKS * CHUNK bytes further."""
    return mark * CHUNK + at


@device
def word_of(piece, row, word):
    """Where in `words` PIECE lanes have theirs."""
    return ((piece * MARKS + row) * ROW + word) * PIECE


@device
def spread_mark(words, seen, piece, mark, word, like):
    spread(words, word_of(piece, mark, word), seen[0], piece * MARKS * CHUNK + byte_of(mark, word * WORD), like)


@device
def spread_pair(words, seen, piece, mark, word, like):
    """The same where the marks of two PIECEs stand side by side, which is where PIECE after PIECE would keep the first's."""
    place = piece // 2 * (2 * MARKS * CHUNK) + 2 * byte_of(mark, word * WORD)
    spread_half(words, word_of(piece, mark, word), seen[0], place, piece % 2, like)


@device
def valid(bars, word):
    """The bits of a word that are bars, of which there are so many in all words."""
    left = bars - word * WORD
    return -1 if left >= WORD else (1 << left) - 1


@device
def words_of(bars):
    return (bars + WORD - 1) // WORD


@device
def keep_bytes(seen, at, mark, value):
    keep_mark(seen[0], byte_of(mark, at), MARKS * CHUNK, value)


@device
def keep_two_bytes(seen, at, mark, value):
    keep_pairs(seen[0], 2 * byte_of(mark, at), 2 * MARKS * CHUNK, value)


def make_following(lanes, positions_at):
    """following(words, piece, bars, place, course): the words of longs, shorts and bars whose orders change, of PIECE lanes.
    positions_at(words, piece, word, may, was): the longs and the shorts of one word of theirs."""

    @device
    def following(words, piece, bars, place, course):
        held, ordered, may = course
        of_longs, of_shorts = 2 * place + piece * PIECE, 2 * place + lanes + piece * PIECE
        allowed = words_from(may, of_longs), words_from(may, of_shorts)
        was_long, was_short = words_from(held, of_longs), words_from(held, of_shorts)
        ordered_long, ordered_short = words_from(ordered, of_longs), words_from(ordered, of_shorts)
        for word in range(words_of(bars)):
            longs, shorts = positions_at(words, piece, word, allowed, (was_long, was_short))
            changed = changes(longs, shorts, ordered_long, ordered_short) & valid(bars, word)
            store(words, word_of(piece, _LONGS, word), longs)
            store(words, word_of(piece, _SHORTS, word), shorts)
            store(words, word_of(piece, _CHANGED, word), changed)
            last = min(bars - 1 - word * WORD, WORD - 1)
            was_long, was_short = longs >> last & 1, shorts >> last & 1
            ordered_long, ordered_short = was_long, was_short
        store(held, of_longs, was_long)
        store(held, of_shorts, was_short)
        store(ordered, of_longs, was_long)
        store(ordered, of_shorts, was_short)

    return following


def steps_by_marks(marks: Marks, lanes: int, keep_one: Any, spread_one: Any, shorts: bool) -> Steps:
    """All four marks; those that only shorts look at, where there are any."""
    look, positions, downs = marks.see, make_positions(marks.reverses), shorts or marks.reverses

    @device
    def see(genes, inputs, state, t, seen, at):
        state, (up, down, long_stays, short_stays) = look(genes, state, t, inputs)
        keep_one(seen, at, _UP, up)
        if downs:
            keep_one(seen, at, _DOWN, down)
        keep_one(seen, at, _LONG_STAYS, long_stays)
        if shorts:
            keep_one(seen, at, _SHORT_STAYS, short_stays)
        return state

    @device
    def positions_at(words, piece, word, may, was):
        up = words_from(words, word_of(piece, _UP, word))
        down = words_from(words, word_of(piece, _DOWN, word)) if downs else up ^ up
        long_stays = words_from(words, word_of(piece, _LONG_STAYS, word))
        short_stays = words_from(words, word_of(piece, _SHORT_STAYS, word)) if shorts else up ^ up
        return positions(up, down, long_stays, short_stays, may[0], may[1], was[0], was[1])

    following = make_following(lanes, positions_at)

    @device
    def decide(words, seen, like, bars, place, course):
        for piece in range(lanes // PIECE):
            for word in range(words_of(bars)):
                spread_one(words, seen, piece, _UP, word, like[0])
                if downs:
                    spread_one(words, seen, piece, _DOWN, word, like[1])
                spread_one(words, seen, piece, _LONG_STAYS, word, like[2])
                if shorts:
                    spread_one(words, seen, piece, _SHORT_STAYS, word, like[3])
            following(words, piece, bars, place, course)

    return Steps(see, decide)


def steps_by_sides(sides: Sides, lanes: int, keep_one: Any, spread_one: Any) -> Steps:
    """One mark alone: with two bounds and four marks EMA crossovers took a third longer."""
    look, bounds = sides.see, sides.bounds

    @device
    def enter(genes, state, course, place, room):
        held, _, may = course
        for lane in range(lanes):
            of_long, of_short = index(2 * place + lane), index(2 * place + lanes + lane)
            room[index(lane)] = float(held[of_long] | (~may[of_long] & ~held[of_short] & 1))
        of_up, of_down = bounds(genes)
        return state, where(kept(room, 0, of_up) > 0.0, of_up, of_down)

    @device
    def see(genes, inputs, carried, t, seen, at):
        state, bound = carried
        state, up = look(genes, state, t, inputs, bound)
        keep_one(seen, at, _UP, up)
        of_up, of_down = bounds(genes)
        return state, where(up, of_up, of_down)

    @device
    def positions_at(words, piece, word, may, was):
        up = words_from(words, word_of(piece, _UP, word))
        return up & may[0], ~up & may[1]

    following = make_following(lanes, positions_at)

    @device
    def decide(words, seen, like, bars, place, course):
        for piece in range(lanes // PIECE):
            for word in range(words_of(bars)):
                spread_one(words, seen, piece, _UP, word, like[0])
            following(words, piece, bars, place, course)

    return Steps(see, decide, enter, device(lambda carried: carried[0]))


def make_none_short(lanes):
    @device
    def none_short(genes, course, place, t):
        """Whether none of the lanes from `place` on may be short."""
        found = 0
        for lane in range(lanes):
            found |= course[2][index(2 * place + lanes + lane)]
        return found == 0

    return none_short


def make_sided(lanes, all_ready):
    @device
    def sided(genes, course, place, t):
        """Whether all of the lanes from `place` on have taken a side, or have only one to take."""
        held, _, may = course
        undecided = 0
        for lane in range(lanes):
            of_long, of_short = index(2 * place + lane), index(2 * place + lanes + lane)
            undecided |= may[of_long] & may[of_short] & ~(held[of_long] | held[of_short]) & 1
        return t > 0 and undecided == 0 and all_ready(genes) <= t

    return sided


def lanes_by_marks(marks: Marks, lanes: int, single: bool = False) -> Lanes:
    """The position is all that is carried: of each lane whether it is long and whether it is short, in `course`, as well as
    what is ordered, and what it may be. single: whether what is seen is compared as float32, two PIECEs a register."""
    ready, start, look = marks.ready, marks.start, marks.see
    keep_one, spread_one = (keep_two_bytes, spread_pair) if single else (keep_bytes, spread_mark)

    @device
    def early_marks(genes, inputs, state, t, seen, at):
        state, (up, down, long_stays, short_stays) = look(genes, state, t, inputs)
        live = ready(genes) <= t
        up, down = up & live, down & live
        keep_one(seen, at, _UP, up)
        keep_one(seen, at, _DOWN, down)
        keep_one(seen, at, _LONG_STAYS, long_stays)
        keep_one(seen, at, _SHORT_STAYS, short_stays)
        return state, (up, down, long_stays, short_stays)

    @device
    def early(genes, inputs, state, t, seen, at):
        state, _ = early_marks(genes, inputs, state, t, seen, at)
        return state

    @device
    def first(genes, inputs, seen, none):
        return early_marks(genes, inputs, start(genes, inputs), 0, seen, 0)  # plain numbers in, vectors out

    @device
    def source(words, seen, at, bar):
        return words[index(at)], words[index(at + ROW * PIECE)]

    all_ready, free = device(lambda genes: int(greatest_lane(ready(genes)))), device(lambda state, none: state)
    always = steps_by_marks(marks, lanes, keep_one, spread_one, True)
    if marks.sides is None:
        shorter, may_shorten = steps_by_marks(marks, lanes, keep_one, spread_one, False), make_none_short(lanes)
    else:
        shorter, may_shorten = steps_by_sides(marks.sides, lanes, keep_one, spread_one), make_sided(lanes, all_ready)
    return Lanes(first, early, all_ready, free, always, shorter, may_shorten, make_noting(targets_at), source)


def lanes_by_targets(start: Callable[..., Any], step: Callable[..., Any], lanes: int) -> Lanes:
    """What is carried besides the state is a vector of targets, any between -1 and 1: what a step of a user's own makes."""

    @device
    def see(genes, inputs, state, t, seen, at):
        state, ordered = state
        state, targets = step(genes, state, t, inputs)
        keep(seen[1], at * lanes, targets)
        keep_mark(seen[0], byte_of(_CHANGED, at), MARKS * CHUNK, targets != ordered)
        return state, targets

    @device
    def first(genes, inputs, seen, none):
        state = see(genes, inputs, (start(genes, inputs), none), 0, seen, 0)  # plain numbers in, vectors out
        return state, none != none

    @device
    def decide(words, seen, like, bars, place, course):
        for piece in range(lanes // PIECE):
            for word in range(words_of(bars)):
                spread_mark(words, seen, piece, _CHANGED, word, like)
                to = word_of(piece, _CHANGED, word)
                store(words, to, words_from(words, to) & valid(bars, word))

    @device
    def source(words, seen, at, bar):
        lane = at // (MARKS * ROW * PIECE) * PIECE + at % PIECE
        return seen[1], bar * lanes + lane

    shift = lanes.bit_length() - 1

    @device
    def targets_seen(source, bits):
        targets, place = source
        return each_at(targets, (bits << shift) + place)

    at_once, free = device(lambda genes: 0), device(lambda state, none: (state[0], none))
    never, steps = device(lambda genes, course, place, t: False), Steps(see, decide)
    return Lanes(first, see, at_once, free, steps, steps, never, make_noting(targets_seen), source)


def make_lanes(name, prepare, way: Lanes, lanes, single=False):
    """The kernel that decides for `lanes` genomes at once, of the same arguments. single: whether what `prepare` makes of
    them is rounded to float32, as the inputs are.

    Time is the outer loop, by chunks, and the population the inner one: what all of it reads of a chunk is read from the
    nearest caches. What each block of genomes carries from chunk to chunk is kept in memory meanwhile. Of each chunk all
    bars are first seen and then decided: bar by bar the vectors of the one and the integers of the other were in each
    other's way (macd took twice as long).
    """
    rows, early, all_ready, free = rows_of(lanes), way.early, way.all_ready, way.free
    first_seen, may_shorten, noting, source = way.first, way.may_shorten, way.noting, way.source

    @device  # what takes arrays apart must not count references, as a kernel would
    def genes_as_said(genomes, at):
        return prepare(rows(genomes, at))

    @device
    def genes_rounded(genomes, at):
        return rounded(prepare(rows(genomes, at)))

    genes_of = genes_rounded if single else genes_as_said

    @device
    def none_of(genomes, at):
        return rows(genomes, at)[0] * 0.0

    @device
    def begin(inputs, genomes, at, seen):
        """The state of the genomes from row `at` on behind bar 0, and what a mark of theirs is like."""
        return first_seen(genes_of(genomes, at), inputs, seen, none_of(genomes, at))

    @device
    def allow(genomes, may):
        """Whether each genome may be long and short: all bits or none."""
        for at in range(0, genomes.shape[0], lanes):
            for lane in range(lanes):
                least, greatest = prepare(genomes[min(at + lane, genomes.shape[0] - 1)])[-1]
                may[2 * at + lane], may[2 * at + lanes + lane] = -int(greatest != 0.0), -int(least != 0.0)

    def make_steps(name, steps):
        enter, see, leave, decide = steps.enter, steps.see, steps.leave, steps.decide

        @routine(name)
        def see_bars(genes, inputs, state, begin, end, seen, at, course):
            """Goes from the state behind the bar before `begin` to that behind the one before `end`, and keeps what is seen."""
            start = max(begin, 1)
            ready = min(max(all_ready(genes), start), end)
            for t in range(start, ready):
                state = early(genes, inputs, state, forward(t), seen, forward(t - begin))
            carried = enter(genes, state, course, at, seen[1])
            for t in range(ready, end):
                carried = see(genes, inputs, carried, forward(t), seen, forward(t - begin))
            return leave(carried)

        @routine(name)
        def decide_bars(words, seen, like, bars, at, course):
            decide(words, seen, like, bars, at, course)

        return see_bars, decide_bars

    see_bars, decide_bars = make_steps(name, way.always)
    see_sooner, decide_sooner = make_steps(f"{name}-shorter", way.shorter)

    @routine(name)
    def hand_on(door, at, used, words, seen, bars, begin, orders):
        """The orders of the `used` genomes from row `at` on, genome by genome."""
        for lane in range(used):
            first, count = word_of(lane // PIECE, 0, 0) + lane % PIECE, 0
            for word in range(words_of(bars)):
                place = first + word * PIECE
                changed, bar = words[index(place + _CHANGED * ROW * PIECE)], word * WORD
                count = noting(orders, count, begin + bar + 1, changed, source(words, seen, place, bar))
            fill_orders(door, at + lane, orders[0], orders[1], 0, count)

    @kernel(name)
    def run_lanes(door, inputs, genomes, span, targets, left):
        before = flush_denormals()
        first, bars, _, _, _ = span
        population, places = genomes.shape[0], np.zeros((3, 2 * (genomes.shape[0] + lanes)), np.int64)
        course = places[0], places[1], places[2]
        allow(genomes, places[2])
        seen = np.zeros(lanes // PIECE * MARKS * CHUNK // 8, np.int64), np.empty(CHUNK * lanes)
        words = np.zeros(lanes // PIECE * MARKS * ROW * PIECE, np.int64)
        orders = np.empty(CHUNK + PIECE, np.int64), np.empty(CHUNK + PIECE)
        begun, like = begin(inputs, genomes, 0, seen)
        room = (size_of(begun) + 7) // 8
        carried = np.empty((population + lanes - 1) // lanes * room)
        t, scored = 0, max(first - 1, 0)
        while t < bars - 1:
            end = min(t + CHUNK, scored if t < scored else bars - 1)
            for at in range(0, population, lanes):
                if t == 0:
                    state, _ = begin(inputs, genomes, at, seen)
                else:
                    state = kept(carried, at // lanes * room, begun)
                if t == scored:
                    state = free(state, none_of(genomes, at))
                    places[1, 2 * at : 2 * (at + lanes)] = 0
                genes = genes_of(genomes, at)
                if may_shorten(genes, course, at, t):
                    state = see_sooner(genes, inputs, state, t, end, seen, at, course)
                    decide_sooner(words, seen, like, end - t, at, course)
                else:
                    state = see_bars(genes, inputs, state, t, end, seen, at, course)
                    decide_bars(words, seen, like, end - t, at, course)
                keep(carried, at // lanes * room, state)
                if t >= scored:
                    hand_on(door, at, min(lanes, population - at), words, seen, end - t, t, orders)
            t = end
        restore_denormals(before)

    return run_lanes
