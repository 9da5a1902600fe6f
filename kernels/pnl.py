"""The account: what a target exposure, decided at each close, earns after costs.

The rules, which tests/ledger.py repeats as an explicit slow ledger:

* p[t] in [-1, 1] is the target exposure decided at the close of bar t. An order goes in at the open of t+1 only where
  the target differs from the one ordered before (none before the first scored bar); between orders units stay constant.
* A buy fills at open*(1+slippage), a sell at open*(1-slippage); each pays fee*|units|*fill. A reversal is one order.
* Target units are p*equity_at_open/open. A buy is capped by the cash that pays for it with its fee, except for the part
  that covers a short.
* Funding: at the open of a bar with a rate the position held into that bar pays units*open*rate, before that bar's
  order. It belongs to the trade under way: its pnl is after funding, its fees are fees alone.
* equity[t] = cash + units*close[t]. Ruin (equity <= 0, tested at each open after funding and before the order, and at
  each close) ends the run flat at 0. The position is then taken off at its bankruptcy price, the one at which equity is
  exactly 0 (below 0 for a short where funding took more than the cash).

Between two orders nothing is decided, so the account does not go bar by bar: `order` settles the bars since the last
one, BARS at a time in the lanes of a vector, and then takes its own bar. Of a long with all the equity not even these are
walked over: its returns are the price's own, whose sums are differences of two rows made once; nor are they of most shorts
(returns.py). Whoever decides (lanes.py)
says only when targets change. An individual's account is one sequence of operations, whatever decides for how many beside
it; swings.py is the same sequence for orders of all or nothing, written for registers.
"""

from __future__ import annotations

import numpy as np

from .compile import aligned, device, frozen, kernel, routine
from .extremes import PIECE, extremes_of
from .memory import forward, index, keep, opened
from .metrics import (
    BARS_HELD,
    CLOSED,
    GAINS,
    LOSSES,
    PAID_FEES,
    PAID_FUNDING,
    PAID_SLIPPAGE,
    TRADED_NOTIONAL,
    TRADES,
    WINS,
    second_pass,
    summarise,
    summarise_trades,
)
from .returns import over_lanes, walk, with_short
from .spans import BARS, HALF, bars_from, everywhere, first_bars, half_from, half_in
from .vectors import fma, greater, greatest_lane, least_lane, smaller, where
from .windows import sum_next

# One row a trade, from flat (or a reversal) to flat (or a reversal); prices are averages weighted by units.
TRADE_COLUMNS = (
    "entry_bar",
    "exit_bar",
    "side",
    "units",
    "entry_price",
    "exit_price",
    "pnl",
    "return",
    "fees",
    "reason",
    "open",
)
REASONS = ("signal", "reversal", "ruin", "end", "stop_loss", "take_profit", "trailing", "max_holding")
SIGNAL, REVERSAL, RUIN, END, STOP_LOSS, TAKE_PROFIT, TRAILING, MAX_HOLDING = range(8)

# The trade under way, in the book behind the sums of metrics.py. HOLDING: the funding and the borrowing it paid.
ENTRY_BAR, ENTERED, ENTERED_NOTIONAL, EXITED_NOTIONAL, FEES, HOLDING = range(11, 17)

# The account after the close of bar LAST. PEAK: of its equity; LOWEST: the least share of the
# peak so far that it has been. ACTIVE: bars with a position or an order, EXPOSED: with a
# position at the close. WORTH: the sum of the equities. NEXT: of the bars with
# funding. CENTRE: what returns are measured from, NaN in the first pass. TOTAL, SQUARES, DOWNSIDE: sums of r - CENTRE,
# of its square, and of min(r, 0)^2. LARGEST: |r|, of bars taken one by one.
CASH, UNITS, EQUITY, LAST, PEAK, LOWEST, ACTIVE, EXPOSED, WORTH, NEXT, RUINED, CENTRE = range(17, 29)
TOTAL, SQUARES, DOWNSIDE, LARGEST = range(29, 33)

# The stance, of the account under overlays: what the levels and sizes of the position under way are measured from, its
# levels that do not move, and the last bar of a cooldown.
AVERAGE, BEST, ATR, SCALE, STOP, TAKE, QUIET = range(33, 40)

# What is added to TOTAL, SQUARES and DOWNSIDE at the end: HALF sums of each, of what shorts have earned (returns.py).
SHORTS = 40
BOOK = SHORTS + 3 * HALF


@kernel("held_sums")
def _held_sums(close, out):
    out[:8] = 0.0
    for t in range(1, close.shape[0]):
        r = close[t] / close[t - 1] - 1.0
        loss = min(r, 0.0)
        for column, value in enumerate((r, r * r, loss * loss, close[t])):
            at = 8 * t + column
            out[at], out[at + 4] = sum_next(out[at - 8], out[at - 4], value)


def held_sums(close: np.ndarray) -> np.ndarray:
    """What a position of all the equity adds up to: sums over bars 1..t of the price's returns, their squares, those of
    its losses, and closes, in double-double precision, (8 T,): of each bar four high parts and four low ones, which one
    vector holds. A difference of two bars' is the sum of the bars between, to the last place."""
    out = aligned(8 * close.shape[0])
    _held_sums(frozen(close), out)
    return frozen(out)


@kernel("widest_gap")
def widest_gap(open_, close):
    """The largest step from a close to the open that follows, as a share of the close."""
    widest = 0.0
    for t in range(1, close.shape[0]):
        widest = max(widest, abs(open_[t] / close[t - 1] - 1.0))
    return widest


@device
def wanted_units(cash, units, price, target):
    """Signed units to trade at the open that bring exposure to `target`, before any cap."""
    return where(target == 0.0, -units, target * (cash + units * price) / price - units)


@device
def pay_fee(book, traded, fill, fee):
    """Books the fee of a fill, to the trade and to the run."""
    paid = fee * abs(traded) * fill
    book[FEES] += paid
    book[PAID_FEES] += paid


@device
def enter(book, t, traded, fill, fee):
    """Opens a trade, or adds to the one under way."""
    if book[ENTERED] == 0.0:
        book[ENTRY_BAR] = t
    book[ENTERED] += abs(traded)
    book[ENTERED_NOTIONAL] += abs(traded) * fill
    pay_fee(book, traded, fill, fee)


@device
def leave(book, traded, fill, fee):
    """Takes units off the trade under way."""
    book[EXITED_NOTIONAL] += abs(traded) * fill
    pay_fee(book, traded, fill, fee)


@device
def finish(book, notes, t, side, reason):
    """Books the trade under way as ended at bar t (END: still open, marked at the last close) and clears it."""
    pnl = side * (book[EXITED_NOTIONAL] - book[ENTERED_NOTIONAL]) - book[FEES] - book[HOLDING]
    rows, _ = opened(notes)
    row = int(book[TRADES])
    if row < rows.shape[0]:
        rows[row, 0] = book[ENTRY_BAR]
        rows[row, 1] = t
        rows[row, 2] = side
        rows[row, 3] = book[ENTERED]
        rows[row, 4] = book[ENTERED_NOTIONAL] / book[ENTERED]
        rows[row, 5] = book[EXITED_NOTIONAL] / book[ENTERED]
        rows[row, 6] = pnl
        rows[row, 7] = pnl / book[ENTERED_NOTIONAL]
        rows[row, 8] = book[FEES]
        rows[row, 9] = reason
        rows[row, 10] = 1.0 if reason == END else 0.0
    book[TRADES] += 1.0
    if reason != END:
        book[CLOSED] += 1.0
        book[WINS] += 1.0 if pnl > 0.0 else 0.0
        book[GAINS] += max(pnl, 0.0)
        book[LOSSES] += max(-pnl, 0.0)
        book[BARS_HELD] += t - book[ENTRY_BAR]
    book[ENTRY_BAR : HOLDING + 1] = 0.0


@device
def book_order(book, notes, t, units, traded, fill, fee, reason):
    """Books an order of `traded` signed units against a position of `units`, and returns the units held after it.

    reason: why, should it end the trade and not reverse it.
    """
    book[TRADED_NOTIONAL] += abs(traded) * fill
    held = units + traded
    if units == 0.0 or (units > 0.0) == (traded > 0.0):
        enter(book, t, traded, fill, fee)
    elif held != 0.0 and (units > 0.0) == (held > 0.0):
        leave(book, traded, fill, fee)
    else:
        leave(book, units, fill, fee)
        finish(book, notes, t, np.sign(units), reason if held == 0.0 else REVERSAL)
        if held != 0.0:
            enter(book, t, held, fill, fee)
    return held


@device
def filled(cash, units, price, target, fee, slippage):
    """Of the order that brings exposure to `target` at the open: the signed units traded, the price of the fill, and whether
    a buy takes the whole cash, to the last bit. Without a branch: no processor guesses whether the next order is a buy."""
    wanted = wanted_units(cash, units, price, target)
    dearer, covering = price * (1.0 + slippage), greater(-units, 0.0)
    affordable = greater(cash / (dearer * (1.0 + fee)), 0.0)
    buys = wanted > 0.0
    whole = buys & (wanted >= affordable) & (affordable >= covering)
    traded = where(buys, smaller(wanted, greater(affordable, covering)), wanted)
    return traded, where(buys, dearer, price * (1.0 - slippage)), whole


@device
def cash_after(cash, traded, fill, fee, whole):
    """What an order leaves of the cash. One with all of it leaves exactly none: until the next order the returns are then
    the price's own."""
    return where(whole, 0.0, cash - (traded * fill + fee * abs(traded) * fill))


@device
def fill_order(book, notes, t, cash, units, price, target, fee, slippage):
    """Fills the order that brings exposure to `target` at the open; the cash and the units after it."""
    traded, fill, whole = filled(cash, units, price, target, fee, slippage)
    if traded == 0.0:
        return cash, units
    book[PAID_SLIPPAGE] += abs(traded) * price * slippage
    held = book_order(book, notes, t, units, traded, fill, fee, SIGNAL)
    return cash_after(cash, traded, fill, fee, whole), held


@device
def pay_funding(book, units, price, rate):
    """Books and returns what the position held into a bar pays at its open; negative where it receives."""
    paid = units * price * rate
    book[HOLDING] += paid
    book[PAID_FUNDING] += paid
    return paid


@device
def book_ruin(book, notes, t, cash, units):
    """Takes a ruined position off at its bankruptcy price, -cash/units."""
    if units != 0.0:
        leave(book, units, -cash / units, 0.0)
        finish(book, notes, t, np.sign(units), RUIN)


# Bars


@device
def bars_in(world):
    """How many bars a world has: its series of prices go on for BARS more, so that a vector may be read at any bar."""
    return opened(world)[1].shape[0] - BARS


@device
def open_account(book, terms, centre):
    """An empty book, before the first scored bar."""
    _, first, cash, _ = terms
    book[:] = 0.0
    book[CASH] = book[EQUITY] = book[PEAK] = cash
    book[LOWEST] = 1.0
    book[LAST] = first - 1
    book[CENTRE] = centre
    book[QUIET] = -1.0


@device
def fallen(lowest, equity, peak):
    """LOWEST behind equities of which this is the least, and this the peak before them and at all of them. Quotients, which
    nothing waits for; to compare products and divide the lowest alone at the end had every order wait for the one before."""
    return smaller(equity / peak, lowest)


@device
def add_bar(book, r, equity):
    """One bar of return r that ends with this equity."""
    centre = book[CENTRE]
    away, loss = r - centre if centre == centre else r, min(r, 0.0)
    book[TOTAL] += away
    book[SQUARES] = fma(away, away, book[SQUARES])
    book[DOWNSIDE] = fma(loss, loss, book[DOWNSIDE])
    book[LARGEST] = max(book[LARGEST], abs(r))
    book[ACTIVE] += 1.0
    book[PEAK] = max(book[PEAK], equity)
    book[LOWEST] = fallen(book[LOWEST], equity, book[PEAK])


@device
def end_bar(book, notes, t, cash, units, price, active, ruined):
    """The close of bar t, next after LAST, at this price, with the cash and the units that its events left. active:
    whether it held any units at any time; ruined: at its open."""
    _, steps = opened(notes)
    equity = book[EQUITY]
    if active:
        before, equity = equity, cash + units * price
        if ruined or equity <= 0.0:
            book_ruin(book, notes, t, cash, units)
            book[RUINED] = 1.0
            equity = cash = units = 0.0
        add_bar(book, equity / before - 1.0, equity)
        book[EXPOSED] += 1.0 if units != 0.0 else 0.0
    book[WORTH] += equity
    book[CASH], book[UNITS], book[EQUITY], book[LAST] = cash, units, equity, t
    if steps.shape[0] > 0:
        steps[t, 0], steps[t, 1] = cash, units


@device
def take_bar(book, notes, t, opening, price, rate, due, target, fee, slippage):
    """Bar t, next after LAST, by itself, with its open, close and funding rate: funding, the order to `target` if one is
    due, and the close."""
    cash, units = book[CASH], book[UNITS]
    held = units != 0.0
    if held and rate != 0.0:
        cash -= pay_funding(book, units, opening, rate)
    ruined = held and cash + units * opening <= 0.0
    if due and not ruined:
        cash, units = fill_order(book, notes, t, cash, units, opening, target, fee, slippage)
    end_bar(book, notes, t, cash, units, price, held or units != 0.0, ruined)


@routine("apart")
def pass_bar(book, notes, t, opening, price, rate):
    """A bar without an order. Where it is needed is rare, and each copy of it costs a second to compile."""
    take_bar(book, notes, t, opening, price, rate, False, 0.0, 0.0, 0.0)


@device
def course_of(book):
    sums = book[TOTAL], book[SQUARES], book[DOWNSIDE]
    shorts = half_from(book, SHORTS), half_from(book, SHORTS + HALF), half_from(book, SHORTS + 2 * HALF)
    return sums, shorts, book[PEAK], book[LOWEST], book[WORTH]


@device
def keep_course(book, course):
    sums, shorts, book[PEAK], book[LOWEST], book[WORTH] = course
    book[TOTAL], book[SQUARES], book[DOWNSIDE] = sums
    keep(book, SHORTS, shorts[0])
    keep(book, SHORTS + HALF, shorts[1])
    keep(book, SHORTS + 2 * HALF, shorts[2])


@device
def waited(course, equity, bars):
    """The course after so many bars without a position."""
    sums, shorts, peak, lowest, worth = course
    return sums, shorts, peak, lowest, worth + equity * bars


@device
def deepened(close, cash, units, lowest, peak, start, count):
    """LOWEST after `count` bars, BARS at a time; one by one only where the peak moves as well."""
    for place in range(0, count, BARS):
        t = forward(start + place)
        here = where(first_bars(count - place), cash + units * bars_from(close, t), cash + units * close[t])
        least, most = least_lane(here), greatest_lane(here)
        if most <= peak:
            lowest = fallen(lowest, least, peak)
        elif least / most < lowest:
            for each in range(t, t + min(BARS, count - place)):
                equity = cash + units * close[index(each)]
                peak = max(peak, equity)
                lowest = fallen(lowest, equity, peak)
        peak = max(peak, most)
    return lowest


@device
def between(sums, start, count):
    """The sums over `count` bars from `start` on, of returns, their squares, those of losses, and closes."""
    last, before = 8 * (start + count - 1), 8 * (start - 1)
    high = half_from(sums, last) - half_from(sums, before)
    return half_in(high + (half_from(sums, last + HALF) - half_from(sums, before + HALF)))


@device
def closes_between(sums, start, count):
    """The last of these alone, the same number."""
    last, before = 8 * (start + count - 1) + 3, 8 * (start - 1) + 3
    high = sums[index(last)] - sums[index(before)]
    return high + (sums[index(last + HALF)] - sums[index(before + HALF)])


@device
def least_equity(prices, cash, units, start, count):
    """The least equity at `count` prices from `start` on."""
    least = everywhere(cash + units * prices[index(start)])
    for place in range(0, count, BARS):
        equity = cash + units * bars_from(prices, start + place)
        least = smaller(where(first_bars(count - place), equity, least), least)
    return least_lane(least)


@device
def lowered(close, cash, units, bounds, peak, lowest, start, count):
    """PEAK and LOWEST after `count` bars of equities within bounds."""
    least, most = bounds
    if most <= peak:
        return peak, fallen(lowest, least, peak)
    if least / most < lowest:
        lowest = deepened(close, cash, units, lowest, peak, start, count)
    return most, lowest


@device
def earned(world, cash, units, start, count, bounds, sums, shorts):
    """What `count` bars from `start` on, at most PIECE, of a position that is not one of all the equity in a long, add to sums
    of returns, squares and losses, some of them to those of shorts; whether none of the bars may ruin. bounds: the least and
    the greatest of their equities and of the one before them, and their dearest close or the one before them."""
    open_, close, _, moments, _, _, widest, _, _ = opened(world)
    total, squares, downside = sums
    least, most, highest = bounds
    before = cash + units * close[index(start - 1)]
    close_by = False
    if units < 0.0:
        summed, close_by = with_short(shorts, close, moments, cash, units, (least, most), start, count)
    if close_by:
        shorts = summed
    else:
        r, r2, loss2 = walk(close, cash, units, before, max(before - least, most - before), start, count)
        total, squares, downside = total + r, squares + r2, downside + loss2
    # no open lies further from the close before it than the widest gap, and 1e-12 for what is rounded
    safe = least - abs(units) * highest * (widest + 1e-12) > 1e-9 * before
    if not safe:
        safe = min(least, least_equity(open_, cash, units, start, count)) > 1e-9 * before
    return (total, squares, downside), shorts, safe


@device
def carried(world, cash, units, start, count, course):
    """What `count` bars from `start` on, at most PIECE, add to sums of returns, squares and losses, to the drawdown, and to
    the sum of equities; whether none of them may ruin. There is a position: of one of all the equity in a long the
    returns are the price's own, and nothing ruins it."""
    (total, squares, downside), shorts, peak, lowest, worth = course
    close, sums, places, table = opened(world)[1], opened(world)[2], opened(world)[4], opened(world)[5]
    r, r2, loss2, closes = between(sums, start, count)
    worth += cash * count + units * closes
    safe = cash == 0.0 and units > 0.0
    cheapest, dearest = extremes_of(places, table, close, close, start, count)
    least, most = (cheapest, dearest) if units > 0.0 else (dearest, cheapest)
    least, most = cash + units * least, cash + units * most
    if safe:
        added = total + r, squares + r2, downside + loss2
    else:
        price = close[index(start - 1)]
        before = cash + units * price
        bounds = min(least, before), max(most, before), max(dearest, price)
        added, shorts, safe = earned(world, cash, units, start, count, bounds, course[0], shorts)
    peak, lowest = lowered(close, cash, units, (least, most), peak, lowest, start, count)
    return (added, shorts, peak, lowest, worth), safe


@device
def hold(world, book, notes, start, until):
    """Takes the bars from `start`, next after LAST, to `until`, where no order and no funding is due, or to the first
    ruin. One by one in the second pass, which is rare, and where one may ruin."""
    open_, close = opened(world)[0], opened(world)[1]
    cash, units = book[CASH], book[UNITS]
    for piece in range(start, until + 1, PIECE):
        count, taken = min(PIECE, until + 1 - piece), False
        if book[CENTRE] != book[CENTRE]:
            course, taken = carried(world, cash, units, piece, count, course_of(book))
        if not taken:
            for t in range(piece, piece + count):
                pass_bar(book, notes, t, open_[t], close[t], 0.0)
                if book[RUINED] != 0.0:
                    return
            continue
        keep_course(book, course)
        book[LAST] = piece + count - 1
        book[ACTIVE] += count
        book[EXPOSED] += count
        book[EQUITY] = cash + units * close[index(piece + count - 1)]


@device
def settle(world, book, notes, until):
    """Takes the bars up to `until`, at whose opens no order is due."""
    open_, close, paying, rates = opened(world)[0], opened(world)[1], opened(world)[7], opened(world)[8]
    while book[LAST] < until and book[UNITS] != 0.0:
        start, quiet = int(book[LAST]) + 1, until
        if paying.shape[0] > 0:
            following = int(book[NEXT])
            while paying[following] < start:
                following += 1
            book[NEXT] = following
            quiet = min(until, paying[following] - 1)
        hold(world, book, notes, start, quiet)
        if quiet < until and book[RUINED] == 0.0:
            pass_bar(book, notes, quiet + 1, open_[quiet + 1], close[quiet + 1], rates[quiet + 1])
    if book[LAST] < until:  # flat, for the rest
        book[WORTH] += book[EQUITY] * (until - book[LAST])
        book[LAST] = until


@device
def order(world, book, notes, t, target, terms, overlay):
    """The bars up to t > LAST, and at its open the order to `target`; none where the bars end before it. There is no
    overlay."""
    open_, close, rates = opened(world)[0], opened(world)[1], opened(world)[8]
    fee, slippage = terms[0]
    settle(world, book, notes, t - 1)
    if book[RUINED] == 0.0 and t < bars_in(world):
        rate = rates[t] if rates.shape[0] > 0 else 0.0
        take_bar(book, notes, t, open_[t], close[t], rate, True, target, fee, slippage)


@device
def close_account(world, book, notes, terms, metrics):
    """Marks what is open after the last bar and fills the METRICS; tells whether a second pass is due, and the centre."""
    close = opened(world)[1]
    _, first, initial, periods_per_year = terms
    bars = bars_in(world)
    if book[UNITS] != 0.0:
        leave(book, book[UNITS], close[bars - 1], 0.0)
        finish(book, notes, bars - 1, np.sign(book[UNITS]), END)
    total, squares, downside = over_lanes(course_of(book)[1])
    of_returns = book[ACTIVE], book[TOTAL] + total, book[SQUARES] + squares, book[DOWNSIDE] + downside, book[LARGEST]
    sums = (*of_returns, book[PEAK], book[LOWEST])
    scored, equity = bars - first, book[EQUITY]
    centre = book[CENTRE] if book[CENTRE] == book[CENTRE] else 0.0
    summarise(sums, scored, centre, equity / initial, periods_per_year, metrics)
    summarise_trades(book, scored, book[EXPOSED], book[WORTH], equity - initial, periods_per_year, metrics)
    return second_pass(sums, scored)
