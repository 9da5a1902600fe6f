"""What a position whose units stay returns between two bars: the sums of its returns, of their squares and of those of losses.

A return is the step of the price times the units, by the equity before it, which differs from bar to bar: nothing is added
up beforehand, as for a position of all the equity (pnl.held_sums). `walk` takes the bars BARS at a time.

Most shorts are taken faster. Let c be a close of reference, A = cash + units c the equity at it, m = -units c / A, and z how
far the close before a bar is from c, as a share of c. Then a return is units/A * step / (1 - m z). A short of all the equity
has an m near 1: with d = m - 1 and y = z / (1 - z) that is units/A * step / (1 - z) / (1 - d y), and as a power series a sum of
d^j, the same for all bars, times what the tape alone makes: step / (1 - z) y^j. Most often d and y are a hundredth or less, and
four terms do. Sums of these moments up to each block of bars are made once, and what is left to walk over are less than HALF
bars at either end. To walk over all took a fourth of the time of a long/short population.
"""

from __future__ import annotations

import numpy as np

from .compile import aligned, device, frozen, kernel
from .memory import index
from .spans import BARS, HALF, bars_from, everywhere, first_bars, half_from, half_of, powers
from .vectors import fma, smaller, sum_of_lanes, where

# Bars one by one


@device
def with_return(sums, r):
    """The sums of returns, of their squares and of those of losses, with these returns of some bars."""
    total, squares, downside = sums
    loss = smaller(r, 0.0)
    return total + r, fma(r, r, squares), fma(loss, loss, downside)


@device
def return_by_division(held, before, price):
    cash, units, _ = held
    return fma(units, price, cash) / fma(units, before, cash) - 1.0


@device
def return_by_products(held, before, price):
    """The same as a share of the units, for cash and units whose equity stays within NEAR of 1. With 1 - x the equity
    before, 1 / (1 - x) is (1 + x)(1 + x^2)(1 + x^4) but for x^8: a division of eight lanes takes as long as thirty
    products. side: -1 of a short, else 1."""
    cash, units, side = held
    x = fma(-units, before, 1.0 - cash)
    x2 = x * x
    inverse = fma(x, side, side)
    inverse = fma(inverse, x2, inverse)
    return (price - before) * fma(inverse, x2 * x2, inverse)


NEAR = 1.0 / 32.0  # of which the eighth power is 1e-12


def make_some_bars(return_of):
    @device
    def some_bars(sums, close, held, t, left):
        """The sums with the bars from t on, of which there are so many left."""
        r = return_of(held, bars_from(close, t - 1), bars_from(close, t))
        return with_return(sums, where(first_bars(left), r, 0.0))

    return some_bars


@device
def none_yet():
    return everywhere(0.0), everywhere(0.0), everywhere(0.0)


@device
def over_lanes(sums):
    total, squares, downside = sums
    return sum_of_lanes(total), sum_of_lanes(squares), sum_of_lanes(downside)


def make_walk(some_bars):
    @device
    def walk(close, held, start, count):
        """The sums over `count` bars from `start` on; two vectors at a time, whatever their lanes hold past the last bar: it
        is when a loop ends that the processor guesses wrong."""
        even, odd = none_yet(), none_yet()
        for place in range(0, count, 2 * BARS):
            t, left = start + place, count - place
            even = some_bars(even, close, held, t, left)
            odd = some_bars(odd, close, held, min(t + BARS, start + count), left - BARS)
        return over_lanes((even[0] + odd[0], even[1] + odd[1], even[2] + odd[2]))

    return walk


_some_near, _some_far = make_some_bars(return_by_products), make_some_bars(return_by_division)
_walk_near, _walk_far = make_walk(_some_near), make_walk(_some_far)


@device
def walk(close, cash, units, before, moved, start, count):
    """The sums of any position, whose equity was `before` and moves by `moved` at most."""
    if moved < NEAR * before:
        share = 1.0 / before
        size = abs(units) * share
        side = where(units > 0.0, 1.0, -1.0)
        r, r2, loss2 = _walk_near(close, (cash * share, units * share, side), start, count)
        return size * r, size * size * r2, size * size * loss2
    return _walk_far(close, (cash, units, 1.0), start, count)


# Of shorts, by moments

TERMS = HALF  # of the series near by, and as many more farther off
ROW = 3 * TERMS  # moments before a block of HALF bars
_STEPS, _SQUARES, _RISES = 0, TERMS, 2 * TERMS

DRIFT, LEAP, LEAST_ERA, LONGEST_ERA = 1.0 / 50.0, 1.0 / 16.0, 128, 4096
"""An era, bars that share a reference, the close before them, ends with the block in which a close has gone so far from it,
but lasts so many bars at least, and at most, for its sums not to outgrow those of few of its bars. It ends at once behind a
leap, be it a bad print that is gone at the next bar: beside its square those of quiet bars would be lost."""

NEAR_BY, CLOSE_BY = 1.0 / 1440.0, 1.0 / 36.0
"""How far d y may go for TERMS terms to do, or twice as many: what the squares leave out, (TERMS + 1) (d y)^TERMS, is then
1e-12 and 3e-12."""

MOST = 1 << 20
"""Of longer tapes shorts are walked over: with these rows as well they would take more memory than they may, 1 GiB for four
million bars, nor would what is made of them be kept (kept.ROOM)."""

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The rows of all blocks of HALF bars, all those of the first TERMS before all those of the others; the reference of each; and
where in the rows its own begins and the bar after its era, one after the other."""


def moments_of_steps(close: np.ndarray) -> Moments:
    """Sums over the bars of an era that come before a block: of w y^j, of (j + 1) w^2 y^j, and of the latter where the step is
    a rise, with w = step / (1 - z). Of each era there is one row more, up to its end. About 55 bytes a bar, read-only; none of
    more than MOST bars."""
    blocks = -(-len(close) // HALF) if len(close) <= MOST else 0
    references, places = np.empty(blocks), np.empty(2 * blocks, dtype=np.int64)
    rows = aligned(_find_eras(frozen(close), references, places) * 2 * ROW)
    _fill_moments(frozen(close), references, places, rows.reshape(2, -1, ROW))
    places.flags.writeable = False
    return frozen(rows), frozen(references), places


@kernel("eras")
def _find_eras(close, references, places):
    """Fills the references and the places; how many rows there are."""
    row = begin = 0
    reference = close[0]
    for block in range(references.shape[0]):
        bars, gone = (block - begin) * HALF, 0.0
        for t in range(block * HALF - min(bars, HALF), block * HALF):
            gone = max(gone, abs(close[t] / reference - 1.0))
        if bars == LONGEST_ERA or gone > LEAP or (bars >= LEAST_ERA and gone > DRIFT):
            places[2 * begin + 1 : 2 * block : 2] = block * HALF
            row, begin, reference = row + 1, block, close[block * HALF - 1]
        places[2 * block], references[block] = row * ROW, reference
        row += 1
    places[2 * begin + 1 :: 2] = references.shape[0] * HALF
    return row + 1


@kernel("moments_of_steps")
def _fill_moments(close, references, places, rows):
    rows[:] = 0.0
    for block in range(references.shape[0]):
        row, first, reference = places[2 * block] // ROW, block * HALF, references[block]
        rows[:, row + 1] = rows[:, row]
        for t in range(max(first, 1), min(first + HALF, close.shape[0])):
            z = (close[t - 1] - reference) / reference
            w, y, power = (close[t] - close[t - 1]) / (1.0 - z), z / (1.0 - z), 1.0
            for j in range(2 * TERMS):
                into, term, square = rows[j // TERMS, row + 1], j % TERMS, (j + 1) * w * w * power
                into[_STEPS + term] += w * power
                into[_SQUARES + term] += square
                into[_RISES + term] += square if w > 0.0 else 0.0
                power *= y


@device
def with_few(sums, close, held, t, count):
    """The sums with `count` bars from t on, less than HALF; none where it is below 0."""
    cash, units = held
    before = half_from(close, t - 1)
    r = (before - half_from(close, t)) / fma(units, before, cash)
    return with_return(sums, where(half_of((1 << max(count, 0)) - 1), r, 0.0))


@device
def moments_between(rows, low, high):
    """The moments of some bars: of steps (of a short what the price rises is lost), of squares, and of those of rises."""
    steps = half_from(rows, low + _STEPS) - half_from(rows, high + _STEPS)
    squares = half_from(rows, high + _SQUARES) - half_from(rows, low + _SQUARES)
    return steps, squares, half_from(rows, high + _RISES) - half_from(rows, low + _RISES)


@device
def with_era(sums, close, rows, row, held, d, near_by, start, stop):
    """The sums with those over bars of one era, of a short. row: of the block of bar `start`. held: cash, and units, as a share
    of the equity at the reference. near_by: whether TERMS terms do."""
    first = (start + HALF - 1) // HALF
    last = max(stop // HALF, first)
    low = row + ROW * (first - start // HALF)
    high = low + ROW * (last - first)
    steps, squares, rises = moments_between(rows, low, high)
    if not near_by:
        others, d4 = rows.shape[0] // 2, (d * d) * (d * d)
        more_steps, more_squares, more_rises = moments_between(rows, others + low, others + high)
        steps, squares, rises = fma(more_steps, d4, steps), fma(more_squares, d4, squares), fma(more_rises, d4, rises)
    near = powers(d)
    some = with_few((steps * near, squares * near, rises * near), close, held, start, min(first * HALF, stop) - start)
    some = with_few(some, close, held, min(last * HALF, stop), stop - last * HALF)
    size = -held[1]
    size2 = size * size
    return fma(some[0], size, sums[0]), fma(some[1], size2, sums[1]), fma(some[2], size2, sums[2])


@device
def with_short(sums, close, moments, cash, units, bounds, start, count):
    """The sums with those over `count` bars from `start` on, of a short whose equity stays within bounds from the bar before;
    and whether all references are close enough, without which they are nothing."""
    rows, references, places = moments
    least, most = bounds
    t, end, close_by = start, start + count, references.shape[0] > 0
    while t < end and close_by:
        block = t // HALF
        row, stop, reference = places[index(2 * block)], min(end, places[index(2 * block + 1)]), references[index(block)]
        equity = cash + units * reference
        share = 1.0 / equity
        size = -units * reference
        d = fma(size, share, -1.0)
        moved = max(most - equity, equity - least)
        at_most, left = moved * abs(d), size - moved  # z is at most moved / size, and d y the quotient of these
        close_by = at_most < CLOSE_BY * left
        held = cash * share, units * share
        sums = with_era(sums, close, rows, row, held, d, at_most < NEAR_BY * left, t, stop)
        t = stop
    return sums, close_by
