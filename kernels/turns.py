"""From marks to orders, WORD bars at a time.

What a rule sees of a bar are four marks: up, down, and whether a long and a short may stay. The marks of WORD bars are the
bits of four integers, bar 0 the lowest, and so is what follows from them: at which bars the position is long, at which it is
short, and at which it differs from the one before. A position that goes on from bar to bar until a mark ends it is what a
carry does in an addition, so WORD bars are decided by a dozen operations. All of it is written for an integer and compiles
for Words as well (words.py), the integers of eight runs.
"""

from __future__ import annotations

from .compile import device
from .memory import store
from .words import PIECE, bits_in, lowest_bits, numbers_of, some

WORD = 64


def make_decided(reverses):
    @device
    def decided(target, up, down, long_stays, short_stays, least, greatest):
        """The next target of a rule that sees these marks of one bar."""
        if reverses or target == 0.0:
            if up:
                return greatest
            if down:
                return least
        if (target > 0.0 and long_stays) or (target < 0.0 and short_stays):
            return target
        return 0.0

    return decided


@device
def going_on(begins, stays, before):
    """The bars at which something is that begins at these bars and goes on while it stays; before: 1 where it was at the bar
    before the first, else 0.

    The carry out of bit t of the sum of two numbers is begins[t] | (stays[t] & the carry into it), where both have a 1
    (begins) or one of them has (stays).
    """
    either = begins | stays
    return begins | (stays & (either ^ begins ^ (either + begins + before)))


@device
def held_before(longs, shorts, was_long, was_short):
    """The bars before which there is a position."""
    return (longs | shorts) << 1 | was_long | was_short


@device
def from_flat(up, down, long_stays, short_stays, was_long, was_short, longs, shorts):
    """Longs and shorts where a position can only end, and none begins on the bar of its end; longs, shorts: a guess.

    Whether one may begin follows from the bar before: a guess that is right up to a bar gives one that is right beyond it,
    and the only one that gives itself is right throughout. Few turns of the loop where bar by bar took 64.
    """
    held = held_before(longs, shorts, was_long, was_short)
    while True:
        longs, shorts = going_on(up & ~held, long_stays, was_long), going_on(down & ~held, short_stays, was_short)
        follows = held_before(longs, shorts, was_long, was_short)
        if not some(follows ^ held):
            return longs, shorts
        held = follows


def make_positions(reverses):
    @device
    def positions(up, down, long_stays, short_stays, may_long, may_short, was_long, was_short):
        """The bars with a long, and those with a short: of WORD bars by their marks, up ahead of down.

        may_long, may_short: all bits, or none. was_long, was_short: 1 for the position before the first bar, else 0.
        """
        if reverses:
            turns = up | down
            longs = going_on(up & may_long, long_stays & ~turns, was_long)
            return longs, going_on(down & ~up & may_short, short_stays & ~turns, was_short)
        up, down = up & may_long, down & ~up & may_short
        longs, shorts = going_on(up, long_stays, was_long), going_on(down, short_stays, was_short)
        met = (up & (shorts << 1 | was_short)) | (down & (longs << 1 | was_long))  # a mark to the other side of a position
        if some(met | (up & ~long_stays) | (down & ~short_stays)):
            return from_flat(up, down, long_stays, short_stays, was_long, was_short, longs, shorts)
        return longs, shorts

    return positions


def make_quiet(reverses):
    @device
    def quiet(up, down, long_stays, short_stays, may_long, may_short, was_long, was_short, bars):
        """Whether the position before the first of these bars stays what it is, seen sooner than what else becomes of it."""
        if was_long:
            turns = ~long_stays & ~up | down & ~up if reverses else ~long_stays
        elif was_short:
            turns = ~short_stays & ~down | up if reverses else ~short_stays
        else:
            turns = (up & may_long) | (down & may_short)
        return turns & bars == 0

    return quiet


@device
def changes(longs, shorts, was_long, was_short):
    """The bars at which the position differs from the one before."""
    return (longs ^ (longs << 1 | was_long)) | (shorts ^ (shorts << 1 | was_short))


@device
def targets_at(positions, bits):
    longs, shorts = positions
    return numbers_of((longs >> bits & 1) - (shorts >> bits & 1))


def make_noting(targets_at):
    """noting(orders, count, after, changed, source): an order for each of the bars `changed`, from place `count` on, filled
    at bar `after` + the bit of its decision; and how many orders there are then. targets_at(source, bits): to what."""

    @device
    def noting(orders, count, after, changed, source):
        """PIECE at a time; those past the last are none, and overwritten by the next. One by one took half as long again."""
        when, targets = orders
        left = bits_in(changed)
        while left > 0:
            bits = lowest_bits(changed)
            store(when, count, bits + after)
            store(targets, count, targets_at(source, bits))
            count += min(left, PIECE)
            left -= PIECE
            if left > 0:
                for _ in range(PIECE):
                    changed &= changed - 1
        return count

    return noting
