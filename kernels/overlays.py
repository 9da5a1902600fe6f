"""Stops, sizes and the costs beyond a fee: the account of pnl.py with everything that may lie over a family's targets.

One account for all families, which the loops that decide keep as they keep the plain one (accounts.py): nothing here
reaches back into what a signal decides. Between two orders something may happen all the same: a level is met, a trade has
been held for its longest time, the position pays. `settle_overlaid` goes from one such bar to the next; whether a level
is met it asks of BARS bars at a time. Where all is switched off, it is pnl.py's account to the last bit.

The rules, which tests/overlay_ledger.py repeats slowly. At each open, in this order:

* the position pays its funding, a short also `borrowing` of its notional; then ruin is tested;
* a trade of max_holding bars is left whole, unless a new target ends it anyway; else the order that is due is filled.
  While flat, targets decided up to `cooldown` bars after the bar of an exit are ignored, for good. An order's units are
  at most `participation` of the decision bar's volume; what overlays leave by themselves is left whole;
* the levels are tested, at the open and then inside the bar (`touched`). After that a run is flat until its target
  changes.

Levels are measured from the average price of what is held, trailing ones from the best price since the entry's fill over
bars that have closed; the ATR and the size are those of the entry's decision bar. A size that is not defined is nothing.

The world of this account: that of the plain one, without funding; the series high, low and volume, of which the first two
go on past the end as prices do there; the funding rate and what a short pays of its notional at each open, and the next
bar from each on at which a long and a short pays (all four empty where none ever does); moments of the returns from bar 1
on; ATRs, (K, T). Its costs: fee, maker's fee, slippage, fixed and minimum fee, participation (NaN: no cap), whether a bar
is read optimistically. An individual's row: its OVERLAYS, and which of the ATRs it reads (-1: none).
"""

from __future__ import annotations

import math

import numpy as np

from .compile import device
from .extremes import cover_of
from .memory import index, opened, part
from .metrics import PAID_BORROW, PAID_SLIPPAGE
from .pnl import (
    ATR,
    AVERAGE,
    BEST,
    CASH,
    ENTRY_BAR,
    HOLDING,
    LAST,
    MAX_HOLDING,
    QUIET,
    RUINED,
    SCALE,
    SIGNAL,
    STOP,
    STOP_LOSS,
    TAKE,
    TAKE_PROFIT,
    TRAILING,
    UNITS,
    bars_in,
    book_order,
    end_bar,
    pay_funding,
    settle,
    wanted_units,
)
from .spans import BARS, bar_bits, bars_from, first_bars
from .swings import make_swings, may_swing
from .vectors import any_of, greatest_lane, least_lane, where
from .windows import level_around, window_moments
from .words import lowest_bit

OVERLAYS = (
    "stop_loss",
    "take_profit",
    "trailing",
    "atr_stop_loss",
    "atr_take_profit",
    "atr_trailing",
    "atr_period",
    "max_holding",
    "cooldown",
    "fraction",
    "target_volatility",
    "volatility_bars",
    "cap",
)
"""A row of overlays, in order; 0 (or NaN) switches one off. Fractions of the price, multiples of the ATR, bars.

fraction: of each target that is ordered. target_volatility: per year, over volatility_bars returns up to the decision
bar; an entry's targets are ordered times min(cap, fraction * target / realised). The periods must be set (atr_period at
least 1, volatility_bars at least 2) where something uses them."""

(
    _STOP_LOSS,
    _TAKE_PROFIT,
    _TRAILING,
    _ATR_STOP_LOSS,
    _ATR_TAKE_PROFIT,
    _ATR_TRAILING,
    _ATR_PERIOD,
    _MAX_HOLDING,
    _COOLDOWN,
    _FRACTION,
    _TARGET_VOLATILITY,
    _VOLATILITY_BARS,
    _CAP,
) = range(len(OVERLAYS))
_ATR_COLUMN = len(OVERLAYS)  # of an individual's row, behind its overlays: which of the world's ATRs is its own, -1 for none

_UNTOUCHED, _STOP_AT_OPEN, _TAKE_AT_OPEN, _STOP_INSIDE, _TAKE_INSIDE = range(5)


prices_of = part(0)  # of a packed world: what the plain account reads

# What a fill costs


@device
def fee_of(traded, fill, rate, charges):
    """The fee of one order, and the rate that it comes to (a reversal's fee is split by units)."""
    _, _, _, fixed, minimum, _, _ = charges
    amount = rate * abs(traded) * fill
    if fixed == 0.0 and amount >= minimum:
        return amount, rate
    amount = max(amount + fixed, minimum)
    return amount, amount / (abs(traded) * fill)


@device
def capped_units(wanted, cash, units, price, charges, volume):
    """Of the signed units wanted, those that the cash pays for with their fee, and that the volume lets through; and
    whether they take the whole cash, to the last bit."""
    fee, _, slippage, fixed, minimum, participation, _ = charges
    whole = False
    if wanted > 0.0:
        fill, covering = price * (1.0 + slippage), max(-units, 0.0)
        affordable = (cash - fixed) / (fill * (1.0 + fee))
        if minimum > 0.0:
            affordable = min(affordable, (cash - minimum) / fill)
        affordable = max(affordable, 0.0)
        whole = wanted >= affordable >= covering and fixed == 0.0 and minimum == 0.0
        wanted = min(wanted, max(affordable, covering))
    if participation > 0.0:
        most = participation * volume
        whole = whole and wanted <= most
        wanted = max(min(wanted, most), -most)
    return wanted, whole


@device
def trade(book, notes, t, cash, units, traded, price, slippage, rate, charges, reason):
    """Fills one order at `price` before slippage; the cash and the units after it, and the price of the fill."""
    fill = price * (1.0 + slippage) if traded > 0.0 else price * (1.0 - slippage)
    fee, effective = fee_of(traded, fill, rate, charges)
    book[PAID_SLIPPAGE] += abs(traded) * price * slippage
    held = book_order(book, notes, t, units, traded, fill, effective, reason)
    return cash - (traded * fill + fee), held, fill


@device
def carry(book, units, price, rate, borrowing):
    """Books and returns what the position held into a bar pays at its open: funding, and a short what it borrows."""
    paid = pay_funding(book, units, price, rate)
    if units < 0.0:
        borrowed = -units * price * borrowing
        book[HOLDING] += borrowed
        book[PAID_BORROW] += borrowed
        paid += borrowed
    return paid


# The order due at the open


@device
def scale_at(overlay, moments, t, periods_per_year):
    """What targets are multiplied by for an entry decided at the close of bar t; 0 where it is not defined."""
    heads, tails = moments
    fraction = overlay[_FRACTION] if overlay[_FRACTION] > 0.0 else 1.0
    if not overlay[_TARGET_VOLATILITY] > 0.0:
        return fraction
    bars = int(overlay[_VOLATILITY_BARS])
    if t < bars:
        return 0.0
    _, squares = window_moments(heads, tails, t - 1, bars, level_around(bars))  # the return of bar t stands at t - 1
    realised = math.sqrt(squares / (bars - 1.0) * periods_per_year)
    cap = overlay[_CAP] if overlay[_CAP] > 0.0 else 1.0
    if realised != realised:
        return 0.0
    return min(fraction * overlay[_TARGET_VOLATILITY] / realised, cap)


@device
def holds_longest(book, units, t, overlay):
    """Whether the trade under way has reached its longest holding at the open of bar t."""
    return units != 0.0 and 0.0 < overlay[_MAX_HOLDING] <= t - book[ENTRY_BAR]


@device
def note_exit(book, overlay, t):
    book[QUIET] = t + overlay[_COOLDOWN] if overlay[_COOLDOWN] > 0.0 else -1.0


@device
def leave_whole(book, notes, t, cash, units, price, slippage, rate, charges, overlay, reason):
    """Leaves the position by an overlay's own order; the cash after it."""
    cash, _, _ = trade(book, notes, t, cash, units, -units, price, slippage, rate, charges, reason)
    note_exit(book, overlay, t)
    return cash


@device
def note_fill(book, overlay, t, units, traded, held, fill, atr, scale):
    """What an order of `traded` units that turned `units` into `held` means for levels, size and cooldown."""
    if held == 0.0:
        note_exit(book, overlay, t)
        return
    if units * held <= 0.0:
        book[AVERAGE] = book[BEST] = fill
        book[ATR] = atr
        book[SCALE] = scale
    elif abs(held) > abs(units):
        added = abs(traded)
        book[AVERAGE] = (book[AVERAGE] * abs(units) + fill * added) / (abs(units) + added)
    side = np.sign(held)
    book[STOP] = fixed_stop(side, book[AVERAGE], book[ATR], overlay)
    book[TAKE] = fixed_take(side, book[AVERAGE], book[ATR], overlay)


@device
def at_open(book, notes, t, cash, units, new, target, bar, terms, overlay, moments):
    """The order due at the open of bar t, to a new target, or the end of a trade's longest holding; the cash and the
    units after it."""
    charges, _, _, periods_per_year = terms
    price, volume, atr = bar
    fee, slippage = charges[0], charges[2]
    if holds_longest(book, units, t, overlay) and not (new and target * units <= 0.0):
        cash = leave_whole(book, notes, t, cash, units, price, slippage, fee, charges, overlay, MAX_HOLDING)
        return cash, 0.0
    if not new or (units == 0.0 and t - 1 <= book[QUIET]):
        return cash, units
    enters = units == 0.0 or target * units < 0.0
    scale = scale_at(overlay, moments, t - 1, periods_per_year) if enters else book[SCALE]
    wanted = wanted_units(cash, units, price, target * scale)
    traded, whole = capped_units(wanted, cash, units, price, charges, volume)
    if traded == 0.0:
        return cash, units
    cash, held, fill = trade(book, notes, t, cash, units, traded, price, slippage, fee, charges, SIGNAL)
    note_fill(book, overlay, t, units, traded, held, fill, atr, scale)
    return 0.0 if whole else cash, held


# The levels


@device
def fixed_stop(side, average, atr, overlay):
    """The stop-loss that the price meets first, of a position bought at `average`; infinitely far away without any."""
    level = -side * np.inf
    if overlay[_STOP_LOSS] > 0.0:
        level = average * (1.0 - side * overlay[_STOP_LOSS])
    if overlay[_ATR_STOP_LOSS] > 0.0:
        further = average - side * overlay[_ATR_STOP_LOSS] * atr
        level = further if side * further > side * level else level
    return level


@device
def fixed_take(side, average, atr, overlay):
    """The take-profit that the price meets first; infinitely far away without any."""
    level = side * np.inf
    if overlay[_TAKE_PROFIT] > 0.0:
        level = average * (1.0 + side * overlay[_TAKE_PROFIT])
    if overlay[_ATR_TAKE_PROFIT] > 0.0:
        nearer = average + side * overlay[_ATR_TAKE_PROFIT] * atr
        level = nearer if side * nearer < side * level else level
    return level


@device
def trails(overlay):
    return overlay[_TRAILING] > 0.0 or overlay[_ATR_TRAILING] > 0.0


@device
def nearest_stop(side, book, best, overlay):
    """The stop that the price meets first, and its reason; of equal ones the first.

    best: the price that trailing levels follow.
    """
    level, reason = book[STOP], STOP_LOSS
    if overlay[_TRAILING] > 0.0:
        further = best * (1.0 - side * overlay[_TRAILING])
        if side * further > side * level:
            level, reason = further, TRAILING
    if overlay[_ATR_TRAILING] > 0.0:
        further = best - side * overlay[_ATR_TRAILING] * book[ATR]
        if side * further > side * level:
            level, reason = further, TRAILING
    return level, reason


@device
def touched(side, open_, high, low, stop, take, optimistic):
    """Which level the bar meets: a gap through one fills at the open; inside the bar the stop comes before the
    take-profit where both are touched, or after it where the bar is read optimistically."""
    worst, best = (low, high) if side > 0.0 else (high, low)
    stopped, took = side * open_ < side * stop, side * open_ > side * take
    if stopped and not (took and optimistic):
        return _STOP_AT_OPEN
    if took:
        return _TAKE_AT_OPEN
    stopped, took = side * worst <= side * stop, side * best >= side * take
    if stopped and not (took and optimistic):
        return _STOP_INSIDE
    return _TAKE_INSIDE if took else _UNTOUCHED


@device
def test_levels(book, notes, t, cash, units, open_, high, low, charges, overlay):
    """Leaves the position where bar t meets one of its levels; the cash and the units after it.

    A take-profit inside the bar is a resting order: no slippage, the maker's fee.
    """
    fee, maker, slippage, _, _, _, optimistic = charges
    side = np.sign(units)
    stop, reason = nearest_stop(side, book, book[BEST], overlay)
    take = book[TAKE]
    met = touched(side, open_, high, low, stop, take, optimistic)
    if met == _UNTOUCHED:
        return cash, units
    if met == _TAKE_INSIDE:
        cash = leave_whole(book, notes, t, cash, units, take, 0.0, maker, charges, overlay, TAKE_PROFIT)
        return cash, 0.0
    price = stop if met == _STOP_INSIDE else open_
    why = TAKE_PROFIT if met == _TAKE_AT_OPEN else reason
    return leave_whole(book, notes, t, cash, units, price, slippage, fee, charges, overlay, why), 0.0


@device
def better(side, best, high, low):
    """What trailing levels follow once a bar has closed."""
    return max(best, high) if side > 0.0 else min(best, low)


# From bar to bar


@device
def take_bar(world, book, notes, t, new, target, terms, overlay):
    """Bar t, next after LAST, by itself: what the position pays, the order to a new target, the levels, and the close."""
    (open_, close, _, _, _, _, _, _, _), (high, low, volume, _), carried, moments, atrs = opened(world)
    funding, borrowing, _, _ = carried
    cash, units = book[CASH], book[UNITS]
    held = units != 0.0
    if held and funding.shape[0] > 0:
        cash -= carry(book, units, open_[t], funding[t], borrowing[t])
    ruined = held and cash + units * open_[t] <= 0.0
    if not ruined and (new or holds_longest(book, units, t, overlay)):
        column = int(overlay[_ATR_COLUMN])
        bar = (open_[t], volume[t - 1], atrs[column, t - 1] if column >= 0 else np.nan)
        cash, units = at_open(book, notes, t, cash, units, new, target, bar, terms, overlay, moments)
    active = held or units != 0.0
    if units != 0.0 and not ruined:
        cash, units = test_levels(book, notes, t, cash, units, open_[t], high[t], low[t], terms[0], overlay)
    end_bar(book, notes, t, cash, units, close[t], active, ruined)
    if book[UNITS] != 0.0:
        book[BEST] = better(book[UNITS], book[BEST], high[t], low[t])


@device
def first_touch(world, book, start, end, terms, overlay):
    """The first bar from `start` on that meets a level of the position under way, or `end`; BEST follows the bars before.

    BARS bars are asked at once, against the levels as they would be had the best price of them all been reached before:
    none of them meets a level where none meets these. Only otherwise, and with a trailing level, one after the other.
    """
    (open_, _, _, _, _, _, _, _, _), (high, low, _, _), _, _, _ = opened(world)
    optimistic = terms[0][6]
    side, best, stop, take = np.sign(book[UNITS]), book[BEST], book[STOP], book[TAKE]
    moving = trails(overlay)
    for place in range(start, end, BARS):
        inside = first_bars(end - place)
        lows, highs = bars_from(low, place), bars_from(high, place)
        following = best
        if moving:
            if side > 0.0:
                following = max(best, greatest_lane(where(inside, highs, best)))
            else:
                following = min(best, least_lane(where(inside, lows, best)))
            stop, _ = nearest_stop(side, book, following, overlay)
        met = ((lows <= stop) | (highs >= take)) if side > 0.0 else ((highs >= stop) | (lows <= take))
        bits = bar_bits(met & inside)
        if bits != 0 and not moving:
            return place + lowest_bit(bits)
        if bits != 0:
            for t in range(place, min(place + BARS, end)):
                book[BEST] = best
                stop, _ = nearest_stop(side, book, best, overlay)
                if touched(side, open_[t], high[t], low[t], stop, take, optimistic) != _UNTOUCHED:
                    return t
                best = better(side, best, high[t], low[t])
            following = best
        best = following
    book[BEST] = best
    return end


@device
def next_bar(world, book, until, terms, overlay):
    """The next bar after LAST and up to `until` at which something may happen to the position without an order, or the
    one after `until`."""
    _, _, (_, _, of_longs, of_shorts), _, _ = opened(world)
    start, end = int(book[LAST]) + 1, until + 1
    if overlay[_MAX_HOLDING] > 0.0:
        end = min(end, max(math.ceil(book[ENTRY_BAR] + overlay[_MAX_HOLDING]), start))
    paying = of_longs if book[UNITS] > 0.0 else of_shorts
    if paying.shape[0] > 0:
        end = min(end, int(paying[start]))
    if trails(overlay) or abs(book[STOP]) != np.inf or abs(book[TAKE]) != np.inf:
        return first_touch(world, book, start, end, terms, overlay)
    return end


@device
def settle_overlaid(world, book, notes, until, terms, overlay):
    """Takes the bars up to `until`, at whose opens no order is due."""
    account = prices_of(world)
    while book[LAST] < until and book[UNITS] != 0.0:
        t = next_bar(world, book, until, terms, overlay)
        settle(account, book, notes, t - 1)
        if t > until or book[RUINED] != 0.0:
            break
        take_bar(world, book, notes, t, False, 0.0, terms, overlay)
    settle(account, book, notes, until)


@device
def order_overlaid(world, book, notes, t, target, terms, overlay):
    """The bars up to t > LAST, and at its open the order to `target`; none where the bars end before it."""
    settle_overlaid(world, book, notes, t - 1, terms, overlay)
    if book[RUINED] == 0.0 and t < bars_in(prices_of(world)):
        take_bar(world, book, notes, t, True, target, terms, overlay)


# Most orders of most runs under a stop-loss and a take-profit, and nothing else, meet neither before the next one


@device
def only_levels(world, terms, overlay):
    """Whether an individual has no overlays but levels that do not move, by its fills alone, and pays plain costs."""
    _, _, (funding, _, _, _), _, _ = opened(world)
    _, _, _, fixed, minimum, participation, _ = terms[0]
    plain = fixed == 0.0 and minimum == 0.0 and not participation > 0.0 and funding.shape[0] == 0
    for other in range(_TRAILING, len(OVERLAYS)):
        plain = plain and not overlay[other] > 0.0
    return plain


@device
def levels_after(overlay, held, fill):
    side = np.sign(held)
    return fill, fixed_stop(side, fill, np.nan, overlay), fixed_take(side, fill, np.nan, overlay)


@device
def meets_levels(world, units, levels, start, count):
    """Whether one of `count` bars from `start` on, at most PIECE, meets a level: most blocks that hold them do not."""
    high, low, _, table = opened(world)[1]
    _, stop, take = levels
    below, above = (stop, take) if units > 0.0 else (take, stop)
    lowest, highest = cover_of(table, start, count)
    if lowest <= below or highest >= above:
        for place in range(start, start + count, BARS):
            lows, highs = bars_from(low, place), bars_from(high, place)
            if any_of(((lows <= below) | (highs >= above)) & first_bars(start + count - place)):
                return True
    return False


_swings = make_swings("overlaid", prices_of, device(lambda terms: (terms[0][0], terms[0][2])), levels_after, meets_levels)


@device
def fill_overlaid(world, book, notes, when, targets, begin, end, terms, overlay):
    """The orders of one individual that stand in these places."""
    plain = opened(notes)[1].shape[0] == 0 and only_levels(world, terms, overlay)
    k = begin
    while k < end:
        if plain and may_swing(book):
            k = _swings(world, book, when, targets, k, end, terms, overlay)
        if k < end:
            order_overlaid(world, book, notes, when[index(k)], targets[index(k)], terms, overlay)
            k += 1
