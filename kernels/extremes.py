"""The least and the greatest price of any bars, up to PIECE of them, in four reads, however many they are.

The bars stand in blocks of BARS. A table holds of each bar the extremes from it to the end of its block, and from the
beginning of its block to it; and of each block those of the 1, 2, 4, ... blocks from it on. Bars that reach past the end of
a block are the rest of that block, the part of the last one, and whole blocks between, which two powers of two cover (a
sparse table: Bender and Farach-Colton, The LCA Problem Revisited, 2000). To look at the bars themselves, eight at a time,
took a tenth of the time of a long/flat population; tables for each bar instead of each block would take four times the
memory.
"""

from __future__ import annotations

import numpy as np

from .compile import aligned, device, frozen
from .vectors import (
    BARS,
    bars_from,
    first_bars,
    greatest_lane,
    highest_bit,
    index,
    least_lane,
    pair_from,
    pair_in,
    smaller,
    where,
)

PIECE = 512
LEVELS = (PIECE // BARS).bit_length() - 1  # between two blocks lie fewer than PIECE / BARS
_ENDS = 4 * BARS  # numbers of a block that its bars have; those of its levels follow
_RECORD = _ENDS + 2 * LEVELS


def extremes(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The table of the least of `lower` and the greatest of `upper`, (T,) each; of the latter it holds the negatives, so
    that one comparison of two lanes finds both. 44 bytes a bar, read-only."""
    blocks = -(-len(lower) // BARS)
    pairs = np.stack((lower, -upper), axis=-1)
    pairs = np.concatenate((pairs, np.repeat(pairs[-1:], blocks * BARS - len(pairs), axis=0))).reshape(blocks, BARS, 2)
    table = aligned(blocks * _RECORD).reshape(blocks, _RECORD)
    ends = table[:, :_ENDS].reshape(blocks, BARS, 4)
    ends[:, :, 2:] = np.minimum.accumulate(pairs, axis=1)
    ends[:, ::-1, :2] = np.minimum.accumulate(pairs[:, ::-1], axis=1)
    of_blocks = pairs.min(axis=1)
    for level in range(LEVELS):
        table[:, _ENDS + 2 * level : _ENDS + 2 * level + 2] = of_blocks
        later = np.minimum(np.arange(blocks) + (1 << level), blocks - 1)
        of_blocks = np.minimum(of_blocks, of_blocks[later])
    table[:, :_ENDS] = ends.reshape(blocks, _ENDS)
    return frozen(table.reshape(-1))


@device
def extremes_of(table, lower, upper, start, count):
    """The least of `lower` and the greatest of `upper` over `count` bars from `start` on, 1 to PIECE. Both series go on past
    the end, for a vector to be read at any bar."""
    last = start + count - 1
    block, last_block = start // BARS, last // BARS
    if block == last_block:
        inside = first_bars(count)
        lows, highs = bars_from(lower, index(start)), bars_from(upper, index(start))
        least = least_lane(where(inside, lows, lower[index(start)]))
        return least, greatest_lane(where(inside, highs, upper[index(start)]))
    from_start = pair_from(table, index(_RECORD * block + 4 * (start % BARS)))
    found = smaller(from_start, pair_from(table, index(_RECORD * last_block + 4 * (last % BARS) + 2)))
    between = last_block - block - 1
    if between > 0:
        level = highest_bit(between)
        first = pair_from(table, index(_RECORD * (block + 1) + _ENDS + 2 * level))
        second = pair_from(table, index(_RECORD * (last_block - (1 << level)) + _ENDS + 2 * level))
        found = smaller(found, smaller(first, second))
    least, negative = pair_in(found)
    return least, -negative
