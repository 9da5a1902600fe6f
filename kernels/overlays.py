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
from .metrics import (
    PAID_BORROW,
    PAID_SLIPPAGE,
    add_bar,
    no_bars,
    returns_between,
    second_pass,
    summarise,
    summarise_record,
    summarise_trades,
)
from .pnl import (
    BOOK,
    END,
    ENTRY_BAR,
    HOLDING,
    MAX_HOLDING,
    SIGNAL,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING,
    book_order,
    book_ruin,
    finish,
    leave,
    pay_funding,
    wanted_units,
)
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
    """Of the signed units wanted, those that the cash pays for with their fee, and that the volume lets through."""
    fee, _, slippage, fixed, minimum, participation = charges
    if wanted > 0.0:
        fill = price * (1.0 + slippage)
        affordable = max(min((cash - fixed) / (fill * (1.0 + fee)), (cash - minimum) / fill), 0.0)
        wanted = min(wanted, max(affordable, max(-units, 0.0)))
    if participation > 0.0:
        most = participation * volume
        wanted = max(min(wanted, most), -most)
    return wanted


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
    traded = capped_units(wanted_units(cash, units, price, target * scale), cash, units, price, charges, volume)
    if traded == 0.0:
        return cash, units
    cash, held, fill = trade(book, rows, t, cash, units, traded, price, slippage, fee, charges, SIGNAL)
    note_fill(stance, overlay, t, units, traded, held, fill, atr, scale)
    return cash, held


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
def one_pass(tape, carried, moments, atr, targets, overlay, charges, terms, optimistic, centre, *out):
    """One pass, as in pnl.make_run; tells whether a second one is due, and the mean."""
    open_, high, low, close, volume = tape
    funding, borrowing = carried
    first, cash, periods_per_year = terms
    metrics, equities, holdings, rows, book, stance = out
    record = equities.shape[0] > 0
    bars = close.shape[0]
    book[:] = 0.0
    stance[:] = 0.0
    stance[_QUIET] = -1.0
    if record:
        equities[:first] = cash
        holdings[:first] = 0.0

    initial = equity = cash
    units = ordered = equity_sum = 0.0
    exposed = 0
    sums = no_bars(cash)
    target = targets[first - 1] if first > 0 else 0.0
    longest, levels = overlay[_MAX_HOLDING], has_levels(overlay)
    for t in range(first, bars):
        held = units != 0.0
        if held and (funding[t] != 0.0 or borrowing[t] != 0.0):
            cash -= carry(book, units, open_[t], funding[t], borrowing[t])
        ruined = held and cash + units * open_[t] <= 0.0
        if not ruined and (target != ordered or (held and 0.0 < longest <= t - book[ENTRY_BAR])):
            bar = (open_[t], volume[t - 1], atr[t - 1])
            cash, units = at_open(
                book, stance, rows, t, cash, units, target, ordered, bar, charges, overlay, moments, periods_per_year
            )
            ordered = target
        if held or units != 0.0:
            before = equity
            if levels and units != 0.0 and not ruined:
                cash, units = test_levels(
                    book, stance, rows, t, cash, units, open_[t], high[t], low[t], charges, overlay, optimistic
                )
            equity = cash + units * close[t]
            if ruined or equity <= 0.0:
                book_ruin(book, rows, t, cash, units)
                ruined = True
                equity = cash = units = 0.0
            sums = add_bar(sums, equity / before - 1.0, equity, centre)
            exposed += units != 0.0
            note_close(stance, units, high[t], low[t])
        equity_sum += equity
        if record:
            equities[t] = equity
            holdings[t] = units
        if ruined:
            if record:
                equities[t:] = 0.0
                holdings[t:] = 0.0
            break
        target = targets[t]

    if units != 0.0:
        leave(book, units, close[bars - 1], 0.0)
        finish(book, rows, bars - 1, np.sign(units), END)
    scored = bars - first
    summarise(sums, scored, centre, equity / initial, periods_per_year, metrics)
    summarise_trades(book, scored, exposed, equity_sum, equity - initial, periods_per_year, metrics)
    return second_pass(sums, scored)


@kernel("overlaid")
def overlaid(tape, carried, moments, atrs, targets, overlays, charges, terms, optimistic, out, equity, units, rows, books):
    """METRICS (P, M) of given targets, (P, T), under overlays, (P, O); the last run recorded where there is room.

    tape: open, high, low, close, volume. carried: the funding rate, and what a short pays of its notional, at each open.
    moments: of the returns from bar 1 on. atrs: each run's ATR, a list of (T,) and their index for each run. charges:
    fee, maker's fee, slippage, fixed and minimum fee, participation (NaN: no cap). terms: first scored bar, cash,
    periods per year. equity, units: (T,) or empty; rows: of TRADE_COLUMNS; books: (P, BOOK). Without room for the equity
    OF_RECORD is left NaN.
    """
    stance = np.empty(STANCE)
    first, cash, _ = terms
    columns, which = atrs
    returns = np.empty(equity.shape[0] - first if equity.shape[0] > 0 else 0)
    for i in range(out.shape[0]):
        atr = columns[which[i]]
        result = (out[i], equity, units, rows, books[i], stance)
        again, mean = one_pass(
            tape, carried, moments, atr, targets[i], overlays[i], charges, terms, optimistic, 0.0, *result
        )  # fmt: skip
        if again:
            one_pass(tape, carried, moments, atr, targets[i], overlays[i], charges, terms, optimistic, mean, *result)
        if equity.shape[0] > 0:
            returns_between(equity, first, cash, returns)
            summarise_record(returns, out[i])


__all__ = ["BOOK", "OVERLAYS", "overlaid"]
