"""Stops, sizes and the costs beyond a fee: the account of pnl.py with everything that may lie over a family's targets.

One loop for all families, over targets decided beforehand: nothing here reaches back into what a signal decides. Where
all is switched off, it is pnl.py's account to the last bit, at about half its speed; that one stays as it is.

The rules, which tests/overlay_ledger.py repeats slowly. At each open, in this order:

* the position pays its funding, a short also `borrowing` of its notional; then ruin is tested;
* a trade of max_holding bars is left whole, unless a new target ends it anyway; else the order that is due is filled.
  While flat, targets decided up to `cooldown` bars after the bar of an exit are ignored, for good. An order's units are
  at most `participation` of the decision bar's volume; what overlays leave by themselves is left whole;
* the levels are tested, at the open and then inside the bar (`touched`). After that a run is flat until its target
  changes.

Levels are measured from the average price of what is held, trailing ones from the best price since the entry's fill over
bars that have closed; the ATR and the size are those of the entry's decision bar. A size that is not defined is nothing.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import device, kernel
from .metrics import PAID_BORROW, PAID_SLIPPAGE, returns_between, summarise_record
from .pnl import (
    BOOK,
    CASH,
    ENTRY_BAR,
    HOLDING,
    MAX_HOLDING,
    RUINED,
    SIGNAL,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING,
    UNITS,
    book_order,
    close_account,
    end_bar,
    open_account,
    pay_funding,
    settle,
    wanted_units,
)
from .vectors import flush_denormals, restore_denormals
from .windows import level_around, window_moments

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

# The stance: what the levels and sizes of the position under way are measured from, and the last bar of a cooldown.
_AVERAGE, _BEST, _ATR, _SCALE, _QUIET = range(5)
STANCE = 5

_UNTOUCHED, _STOP_AT_OPEN, _TAKE_AT_OPEN, _STOP_INSIDE, _TAKE_INSIDE = range(5)


# What a fill costs


@device
def fee_of(traded, fill, rate, charges):
    """The fee of one order, and the rate that it comes to (a reversal's fee is split by units)."""
    _, _, _, fixed, minimum, _ = charges
    amount = rate * abs(traded) * fill
    if fixed == 0.0 and amount >= minimum:
        return amount, rate
    amount = max(amount + fixed, minimum)
    return amount, amount / (abs(traded) * fill)


@device
def capped_units(wanted, cash, units, price, charges, volume):
    """Of the signed units wanted, those that the cash pays for with their fee, and that the volume lets through; and
    whether they take the whole cash, to the last bit."""
    fee, _, slippage, fixed, minimum, participation = charges
    whole = False
    if wanted > 0.0:
        fill, covering = price * (1.0 + slippage), max(-units, 0.0)
        affordable = max(min((cash - fixed) / (fill * (1.0 + fee)), (cash - minimum) / fill), 0.0)
        whole = wanted >= affordable >= covering and fixed == 0.0 and minimum == 0.0
        wanted = min(wanted, max(affordable, covering))
    if participation > 0.0:
        most = participation * volume
        whole = whole and wanted <= most
        wanted = max(min(wanted, most), -most)
    return wanted, whole


@device
def trade(book, rows, t, cash, units, traded, price, slippage, rate, charges, reason):
    """Fills one order at `price` before slippage; the cash and the units after it, and the price of the fill."""
    fill = price * (1.0 + slippage) if traded > 0.0 else price * (1.0 - slippage)
    fee, effective = fee_of(traded, fill, rate, charges)
    book[PAID_SLIPPAGE] += abs(traded) * price * slippage
    held = book_order(book, rows, t, units, traded, fill, effective, reason)
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
def note_exit(stance, overlay, t):
    stance[_QUIET] = t + overlay[_COOLDOWN] if overlay[_COOLDOWN] > 0.0 else -1.0


@device
def leave_whole(book, stance, rows, t, cash, units, price, slippage, rate, charges, overlay, reason):
    """Leaves the position by an overlay's own order; the cash after it."""
    cash, _, _ = trade(book, rows, t, cash, units, -units, price, slippage, rate, charges, reason)
    note_exit(stance, overlay, t)
    return cash


@device
def note_fill(stance, overlay, t, units, traded, held, fill, atr, scale):
    """What an order of `traded` units that turned `units` into `held` means for levels, size and cooldown."""
    if held == 0.0:
        note_exit(stance, overlay, t)
    elif units * held <= 0.0:
        stance[_AVERAGE] = stance[_BEST] = fill
        stance[_ATR] = atr
        stance[_SCALE] = scale
    elif abs(held) > abs(units):
        added = abs(traded)
        stance[_AVERAGE] = (stance[_AVERAGE] * abs(units) + fill * added) / (abs(units) + added)


@device
def at_open(book, stance, rows, t, cash, units, target, ordered, bar, charges, overlay, moments, periods_per_year):
    """The order due at the open of bar t, or the end of a trade's longest holding; the cash and the units after it."""
    price, volume, atr = bar
    fee, slippage = charges[0], charges[2]
    new = target != ordered
    if units != 0.0 and 0.0 < overlay[_MAX_HOLDING] <= t - book[ENTRY_BAR] and not (new and target * units <= 0.0):
        cash = leave_whole(book, stance, rows, t, cash, units, price, slippage, fee, charges, overlay, MAX_HOLDING)
        return cash, 0.0
    if not new or (units == 0.0 and t - 1 <= stance[_QUIET]):
        return cash, units
    enters = units == 0.0 or target * units < 0.0
    scale = scale_at(overlay, moments, t - 1, periods_per_year) if enters else stance[_SCALE]
    wanted = wanted_units(cash, units, price, target * scale)
    traded, whole = capped_units(wanted, cash, units, price, charges, volume)
    if traded == 0.0:
        return cash, units
    cash, held, fill = trade(book, rows, t, cash, units, traded, price, slippage, fee, charges, SIGNAL)
    note_fill(stance, overlay, t, units, traded, held, fill, atr, scale)
    return 0.0 if whole else cash, held


# The levels


@device
def has_levels(overlay):
    fractions = overlay[_STOP_LOSS] > 0.0 or overlay[_TAKE_PROFIT] > 0.0 or overlay[_TRAILING] > 0.0
    multiples = overlay[_ATR_STOP_LOSS] > 0.0 or overlay[_ATR_TAKE_PROFIT] > 0.0 or overlay[_ATR_TRAILING] > 0.0
    return fractions or multiples


@device
def nearest_stop(side, stance, overlay):
    """The stop that the price meets first, and its reason; of equal ones the first. None is infinitely far away."""
    average, best, atr = stance[_AVERAGE], stance[_BEST], stance[_ATR]
    level, reason = -side * np.inf, STOP_LOSS
    if overlay[_STOP_LOSS] > 0.0:
        level = average * (1.0 - side * overlay[_STOP_LOSS])
    if overlay[_ATR_STOP_LOSS] > 0.0:
        further = average - side * overlay[_ATR_STOP_LOSS] * atr
        level = further if side * further > side * level else level
    if overlay[_TRAILING] > 0.0:
        further = best * (1.0 - side * overlay[_TRAILING])
        if side * further > side * level:
            level, reason = further, TRAILING
    if overlay[_ATR_TRAILING] > 0.0:
        further = best - side * overlay[_ATR_TRAILING] * atr
        if side * further > side * level:
            level, reason = further, TRAILING
    return level, reason


@device
def nearest_take(side, stance, overlay):
    """The take-profit that the price meets first."""
    average = stance[_AVERAGE]
    level = side * np.inf
    if overlay[_TAKE_PROFIT] > 0.0:
        level = average * (1.0 + side * overlay[_TAKE_PROFIT])
    if overlay[_ATR_TAKE_PROFIT] > 0.0:
        nearer = average + side * overlay[_ATR_TAKE_PROFIT] * stance[_ATR]
        level = nearer if side * nearer < side * level else level
    return level


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
def test_levels(book, stance, rows, t, cash, units, open_, high, low, charges, overlay, optimistic):
    """Leaves the position where bar t meets one of its levels; the cash and the units after it.

    A take-profit inside the bar is a resting order: no slippage, the maker's fee.
    """
    fee, maker, slippage, _, _, _ = charges
    side = np.sign(units)
    stop, reason = nearest_stop(side, stance, overlay)
    take = nearest_take(side, stance, overlay)
    met = touched(side, open_, high, low, stop, take, optimistic)
    if met == _UNTOUCHED:
        return cash, units
    if met == _TAKE_INSIDE:
        cash = leave_whole(book, stance, rows, t, cash, units, take, 0.0, maker, charges, overlay, TAKE_PROFIT)
        return cash, 0.0
    price = stop if met == _STOP_INSIDE else open_
    why = TAKE_PROFIT if met == _TAKE_AT_OPEN else reason
    return leave_whole(book, stance, rows, t, cash, units, price, slippage, fee, charges, overlay, why), 0.0


@device
def note_close(stance, units, high, low):
    """The bar has closed: a trailing level may follow it from the next one on."""
    if units > 0.0:
        stance[_BEST] = max(stance[_BEST], high)
    elif units < 0.0:
        stance[_BEST] = min(stance[_BEST], low)


# The loop


@device
def meets_level(side, stance, open_, high, low, overlay, optimistic):
    stop, _ = nearest_stop(side, stance, overlay)
    return touched(side, open_, high, low, stop, nearest_take(side, stance, overlay), optimistic) != _UNTOUCHED


@device
def one_pass(world, bars, carried, moments, atr, targets, overlay, charges, terms, optimistic, centre, *out):
    """One pass, bar by bar for the levels; the account itself is settled where something happens, as in pnl.py. Tells
    whether a second pass is due, and the mean."""
    high, low, volume = bars
    open_ = world[0]
    funding, borrowing = carried
    first, initial, periods_per_year = terms
    metrics, book, notes, stance = out
    rows = notes[0]
    open_account(book, first, initial, centre)
    stance[:] = 0.0
    stance[_QUIET] = -1.0
    ordered = 0.0
    target = targets[first - 1] if first > 0 else 0.0
    longest, levels = overlay[_MAX_HOLDING], has_levels(overlay)
    for t in range(first, targets.shape[0]):
        cash, units = book[CASH], book[UNITS]
        held = units != 0.0
        due = target != ordered or (held and 0.0 < longest <= t - book[ENTRY_BAR])
        pays = held and (funding[t] != 0.0 or borrowing[t] != 0.0)
        side = np.sign(units)
        if (
            due or pays or (held and levels and meets_level(side, stance, open_[t], high[t], low[t], overlay, optimistic))
        ):  # fmt: skip
            settle(world, book, notes, t - 1)
            if book[RUINED] != 0.0:
                break
            if pays:
                cash -= carry(book, units, open_[t], funding[t], borrowing[t])
            ruined = held and cash + units * open_[t] <= 0.0
            if due and not ruined:
                bar = (open_[t], volume[t - 1], atr[t - 1])
                cash, units = at_open(
                    book, stance, rows, t, cash, units, target, ordered, bar, charges, overlay, moments, periods_per_year
                )
                ordered = target
            active = held or units != 0.0
            if levels and units != 0.0 and not ruined:
                cash, units = test_levels(
                    book, stance, rows, t, cash, units, open_[t], high[t], low[t], charges, overlay, optimistic
                )
            end_bar(world, book, notes, t, cash, units, active, ruined)
            if book[RUINED] != 0.0:
                break
        note_close(stance, book[UNITS], high[t], low[t])
        target = targets[t]
    return close_account(world, book, notes, first, targets.shape[0], initial, periods_per_year, metrics)


@kernel("overlaid")
def overlaid(world, tape, carried, moments, atrs, targets, overlays, charges, terms, optimistic, out, equity, units, *room):
    """METRICS (P, M) of given targets, (P, T), under overlays, (P, O); the last run recorded where there is room.

    world: as the account's (pnl.py), without funding. tape: high, low, volume. carried: the funding rate, and what a
    short pays of its notional, at each open. moments: of the returns from bar 1 on. atrs: each run's ATR, a list of (T,)
    and their index for each run. charges: fee, maker's fee, slippage, fixed and minimum fee, participation (NaN: no
    cap). terms: first scored bar, cash, periods per year. equity, units: (T,) or empty; room: rows of TRADE_COLUMNS, and
    books, (P, BOOK). Without room for the equity OF_RECORD is left NaN.
    """
    before = flush_denormals()
    rows, books = room
    stance = np.empty(STANCE)
    first, cash, _ = terms
    columns, which = atrs
    equity[:first] = cash
    units[:first] = 0.0
    returns = np.empty(equity.shape[0] - first if equity.shape[0] > 0 else 0)
    for i in range(out.shape[0]):
        run = (targets[i], overlays[i], charges, terms, optimistic)
        result = (out[i], books[i], (rows, equity, units), stance)
        again, mean = one_pass(world, tape, carried, moments, columns[which[i]], *run, np.nan, *result)
        if again:
            one_pass(world, tape, carried, moments, columns[which[i]], *run, mean, *result)
        if equity.shape[0] > 0:
            returns_between(equity, first, cash, returns)
            summarise_record(returns, out[i])
    restore_denormals(before)


__all__ = ["BOOK", "OVERLAYS", "overlaid"]
