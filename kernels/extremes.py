"""The least and the greatest price of any bars, up to PIECE of them, at the same cost however many they are.

The bars stand in blocks of BARS. Of each block `covers` hold the extremes of the 1, 2, 4, ... blocks from it on, of which two
make any number of blocks (a sparse table: Bender and Farach-Colton, The LCA Problem Revisited, 2000). Bars that reach past
the end of a block are the rest of that block, the part of the last one, and whole blocks between; where in its block the
extremes of a rest and of a part stand is said by four bytes for each bar. To look at the bars themselves, eight at a time,
took a tenth of the time of a long/flat population; powers of two from each bar on would take six times the memory.
"""

from __future__ import annotations

import numpy as np

from .compile import aligned, device, frozen, kernel
from .memory import index, pair_from, pair_in
from .spans import BARS, HALF, half_from, half_of
from .vectors import greater, greatest_lane, least_lane, smaller, where
from .words import highest_bit

PIECE = 512
LEVELS = (PIECE // BARS + 1).bit_length()  # as many blocks may hold PIECE bars


def covers(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The table of the least of `lower` and the greatest of `upper`, (T,) each, over whole blocks; of the latter it holds
    the negatives, so that one comparison of two lanes finds both. 14 bytes a bar, read-only."""
    table = aligned(-(-len(lower) // BARS) * 2 * LEVELS)
    _fill_blocks(frozen(lower), frozen(upper), table.reshape(-1, 2 * LEVELS))
    return frozen(table)


def ends(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """For each bar the places in its block of the least of `lower` and the greatest of `upper` from it on, and of both up to
    it: (4 T,) of uint8, read-only."""
    places = np.empty(4 * len(lower), dtype=np.uint8)
    _fill_ends(frozen(lower), frozen(upper), places)
    places.flags.writeable = False
    return places


@kernel("extremes-of-ends")
def _fill_ends(lower, upper, places):
    bars = lower.shape[0]
    for t in range(bars):
        start = t - t % BARS
        least = most = start
        for each in range(start, t + 1):
            least, most = each if lower[each] < lower[least] else least, each if upper[each] > upper[most] else most
        places[4 * t + 2], places[4 * t + 3] = least - start, most - start
        least = most = t
        for each in range(t, min(start + BARS, bars)):
            least, most = each if lower[each] < lower[least] else least, each if upper[each] > upper[most] else most
        places[4 * t], places[4 * t + 1] = least - start, most - start


@kernel("extremes-of-blocks")
def _fill_blocks(lower, upper, table):
    blocks, bars = table.shape[0], lower.shape[0]
    for block in range(blocks):
        least = most = np.inf
        for t in range(block * BARS, min((block + 1) * BARS, bars)):
            least, most = min(least, lower[t]), min(most, -upper[t])
        table[block, 0], table[block, 1] = least, most
    for level in range(1, LEVELS):
        for block in range(blocks):
            later = min(block + (1 << (level - 1)), blocks - 1)
            for side in range(2):
                at = 2 * level + side
                table[block, at] = min(table[block, at - 2], table[later, at - 2])


@device
def of_blocks(table, block, count):
    """A pair: the least of `count` blocks, and the negative of the greatest."""
    level = highest_bit(count)
    first = pair_from(table, 2 * (LEVELS * block + level))
    return smaller(first, pair_from(table, 2 * (LEVELS * (block + count - (1 << level)) + level)))


@device
def cover_of(table, start, count):
    """The least and the greatest of the blocks that hold `count` bars from `start` on, 1 to PIECE, from their covers."""
    block = start // BARS
    least, negative = pair_in(of_blocks(table, block, (start + count - 1) // BARS + 1 - block))
    return least, -negative


@device
def extremes_of(places, table, lower, upper, start, count):
    """The least of `lower` and the greatest of `upper` over `count` bars from `start` on, 1 to PIECE, from their ends and
    covers. Both series go on past the end, for a vector to be read at any bar."""
    last = start + count - 1
    block, last_block = start // BARS, last // BARS
    if block == last_block:
        near, far = half_of((1 << count) - 1), half_of(((1 << count) - 1) >> HALF)
        first, last = index(start), index(start + HALF)
        lows = where(near, half_from(lower, first), lower[first]), where(far, half_from(lower, last), lower[first])
        highs = where(near, half_from(upper, first), upper[first]), where(far, half_from(upper, last), upper[first])
        return least_lane(smaller(*lows)), greatest_lane(greater(*highs))
    here, there = BARS * block, BARS * last_block
    least_of_rest, most_of_rest = here + places[index(4 * start)], here + places[index(4 * start + 1)]
    least_of_part, most_of_part = there + places[index(4 * last + 2)], there + places[index(4 * last + 3)]
    least = smaller(lower[index(least_of_rest)], lower[index(least_of_part)])
    most = greater(upper[index(most_of_rest)], upper[index(most_of_part)])
    if last_block - block > 1:
        of_all, negative = pair_in(of_blocks(table, block + 1, last_block - block - 1))
        least, most = smaller(of_all, least), greater(-negative, most)
    return least, most
