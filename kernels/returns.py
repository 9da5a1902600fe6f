"""What a position whose units stay returns between two bars: the sums of its returns, of their squares and of those of losses.

A return is the step of the price times the units, by the equity before it, which differs from bar to bar: nothing is added
up beforehand, as for a position of all the equity (pnl.held_sums). `walk` takes the bars BARS at a time.

Most shorts are taken faster. Let c be a close of reference, A = cash + units c the equity at it, m = -units c / A, and z how
far the close before a bar is from c, as a share of c. Then a return is units/A * step / (1 - m z), and as a power series a sum
of m^j, the same for all bars, times what the tape alone makes: step z^j. Sums of these moments up to each block of bars are
made once, and what is left to walk over are less than HALF bars at either end. To walk over all took a fourth of the time of
a long/short population.
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

TERMS = BARS  # of the series
ROW = 3 * TERMS  # moments before a block of HALF bars
_STEPS, _SQUARES, _RISES = 0, TERMS, 2 * TERMS

DRIFT, LEAP, LEAST_ERA, LONGEST_ERA = 1.0 / 50.0, 1.0 / 10.0, 128, 4096
"""An era, bars that share a reference, the close before them, ends with the block in which a close has gone so far from it,
but lasts so many bars at least, and at most, for its sums not to outgrow those of few of its bars. It ends at once behind a
leap, be it a bad print that is gone at the next bar: its high powers would stay in the sums, and those of quiet bars be lost
beside them."""

CLOSE_BY = 1.0 / 36.0
"""How far equity may be from that at the reference: (TERMS + 1) x^TERMS, what the squares leave out, is then 3e-12."""

MOST = 1 << 20
"""Of longer tapes shorts are walked over: with these rows as well they would take more memory than they may, 1 GiB for four
million bars, nor would what is made of them be kept (kept.ROOM)."""

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The rows of all blocks of HALF bars, the reference of each, and where in the rows its own begins and the bar after its era,
one after the other."""


def moments_of_steps(close: np.ndarray) -> Moments:
    """Sums over the bars of an era that come before a block: of step z^j, of (j + 1) step^2 z^j, and of the latter where the
    step is a rise, with z how far the close before it is from the reference, as a share of that. Of each era there is one
    row more, up to its end. About 55 bytes a bar, read-only; none of more than MOST bars."""
    blocks = -(-len(close) // HALF) if len(close) <= MOST else 0
    references, places = np.empty(blocks), np.empty(2 * blocks, dtype=np.int64)
    rows = aligned(_find_eras(frozen(close), references, places) * ROW)
    _fill_moments(frozen(close), references, places, rows.reshape(-1, ROW))
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
        rows[row + 1] = rows[row]
        for t in range(max(first, 1), min(first + HALF, close.shape[0])):
            step, z = close[t] - close[t - 1], (close[t - 1] - reference) / reference
            power = 1.0
            for j in range(TERMS):
                square = (j + 1) * step * step * power
                rows[row + 1, _STEPS + j] += step * power
                rows[row + 1, _SQUARES + j] += square
                rows[row + 1, _RISES + j] += square if step > 0.0 else 0.0
                power *= z


@device
def with_few(sums, close, held, t, count):
    """The sums with `count` bars from t on, less than HALF; none where it is below 0."""
    r = return_by_products(held, half_from(close, t - 1), half_from(close, t))
    return with_return(sums, where(half_of((1 << max(count, 0)) - 1), r, 0.0))


@device
def moments_between(rows, low, high, near, far):
    """What a series makes of the moments of some bars: near, far: its terms, those of the first HALF and what times these
    are the others."""
    first = half_from(rows, high) - half_from(rows, low)
    second = half_from(rows, high + HALF) - half_from(rows, low + HALF)
    return fma(second, far, first) * near


@device
def with_era(sums, close, rows, row, cash, units, reference, start, stop):
    """The sums with those over bars of one era, of a short. row: of the block of bar `start`."""
    share = 1.0 / (cash + units * reference)
    size = -units * share
    m = size * reference
    m2 = m * m
    near, far = powers(m), m2 * m2
    first = (start + HALF - 1) // HALF
    last = max(stop // HALF, first)
    low = row + ROW * (first - start // HALF)
    high = low + ROW * (last - first)
    steps = moments_between(rows, high + _STEPS, low + _STEPS, near, far)  # of a short what the price rises is lost
    squares = moments_between(rows, low + _SQUARES, high + _SQUARES, near, far)
    rises = moments_between(rows, low + _RISES, high + _RISES, near, far)
    held = cash * share, units * share, -1.0
    some = with_few((steps, squares, rises), close, held, start, min(first * HALF, stop) - start)
    some = with_few(some, close, held, min(last * HALF, stop), stop - last * HALF)
    size2 = size * size
    return fma(some[0], size, sums[0]), fma(some[1], size2, sums[1]), fma(some[2], size2, sums[2])


@device
def with_short(sums, close, moments, cash, units, bounds, start, count):
    """The sums with those over `count` bars from `start` on, of a short whose equity stays within bounds from the bar before;
    and whether it stays close enough to that at all references, without which they are nothing."""
    rows, references, places = moments
    least, most = bounds
    t, end, close_by = start, start + count, references.shape[0] > 0
    while t < end and close_by:
        block = t // HALF
        row, stop, reference = places[index(2 * block)], min(end, places[index(2 * block + 1)]), references[index(block)]
        equity = cash + units * reference
        close_by = max(most - equity, equity - least) < CLOSE_BY * equity
        sums = with_era(sums, close, rows, row, cash, units, reference, t, stop)
        t = stop
    return sums, close_by
