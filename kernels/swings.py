"""Orders from all or nothing to all or nothing, in numbers that stay in registers: most orders of most runs.

The account is that of orders taken one by one (pnl.py), to the last bit. What an order reads and writes in a book of forty
numbers is here carried from one to the next; what is the same for all orders of a loop is said as a constant; and of a trip
into a long the drawdown is asked once, when it ends. An order takes a third to two thirds of the time.
"""

from __future__ import annotations

from .compile import device
from .extremes import PIECE, extremes_of
from .memory import index, opened
from .metrics import BARS_HELD, CLOSED, GAINS, LOSSES, PAID_FEES, PAID_SLIPPAGE, TRADED_NOTIONAL, TRADES, WINS
from .pnl import (
    ACTIVE,
    AVERAGE,
    BEST,
    CASH,
    CENTRE,
    ENTERED,
    ENTERED_NOTIONAL,
    ENTRY_BAR,
    EQUITY,
    EXPOSED,
    FEES,
    LARGEST,
    LAST,
    RUINED,
    SCALE,
    STOP,
    TAKE,
    UNITS,
    bars_in,
    between,
    carried,
    cash_after,
    course_of,
    fallen,
    keep_course,
    lowered,
    order,
    waited,
)
from .vectors import fma, smaller, where


@device
def with_long(world, units, start, count, course):
    """What `carried` adds, but to the drawdown, of a long with all the equity; the bars may be none, without a branch."""
    (total, squares, downside), shorts, peak, lowest, worth = course
    r, r2, loss2, closes = between(opened(world)[2], start, count)
    return (total + r, squares + r2, downside + loss2), shorts, peak, lowest, worth + units * closes


@device
def left_behind(world, units, start, count, course, equity):
    """The course with PEAK and LOWEST after `count` closes with such a long, 1 to PIECE, and the equity with which it ended."""
    close, places, table = opened(world)[1], opened(world)[4], opened(world)[5]
    sums, shorts, peak, lowest, worth = course
    cheapest, dearest = extremes_of(places, table, close, close, start, count)
    least, most = units * cheapest, units * dearest
    if max(most, equity) <= peak:
        return sums, shorts, peak, fallen(lowest, min(least, equity), peak), worth
    peak, lowest = lowered(close, 0.0, units, (least, most), peak, lowest, start, count)
    return at_close((sums, shorts, peak, lowest, worth), equity)


@device
def at_close(course, equity):
    """The course with PEAK and LOWEST after one more equity."""
    sums, shorts, peak, lowest, worth = course
    peak = max(peak, equity)
    return sums, shorts, peak, fallen(lowest, equity, peak), worth


@device
def counts_of(book):
    """What is counted of trades, orders and bars; as integers where it is one: the units for numbers have enough to do."""
    of_trades = int(book[CLOSED]), int(book[WINS]), book[GAINS], book[LOSSES], int(book[BARS_HELD])
    of_orders = book[TRADED_NOTIONAL], book[PAID_FEES], book[PAID_SLIPPAGE]
    return of_trades, of_orders, (int(book[ACTIVE]), int(book[EXPOSED]), book[LARGEST])


@device
def with_bars(counts, count):
    """The counts with so many more bars with a position."""
    of_trades, of_orders, (active, exposed, largest) = counts
    return of_trades, of_orders, (active + count, exposed + count, largest)


@device
def trade_of(book):
    return int(book[ENTRY_BAR]), book[ENTERED_NOTIONAL], book[FEES]


@device
def keep_swing(book, last, position, trade, average, levels, course, counts):
    """Writes into the book what a swing carries; its position is what one order brought."""
    book[LAST] = last
    book[CASH], book[UNITS], book[EQUITY] = position
    book[ENTRY_BAR], book[ENTERED_NOTIONAL], book[FEES] = trade
    book[ENTERED] = abs(position[1])
    book[AVERAGE] = book[BEST] = average
    book[STOP], book[TAKE] = levels
    book[SCALE] = 1.0
    keep_course(book, course)
    of_trades, of_orders, of_bars = counts
    book[CLOSED], book[WINS], book[GAINS], book[LOSSES], book[BARS_HELD] = of_trades
    book[TRADES] = book[CLOSED]
    book[TRADED_NOTIONAL], book[PAID_FEES], book[PAID_SLIPPAGE] = of_orders
    book[ACTIVE], book[EXPOSED], book[LARGEST] = of_bars


@device
def swung(bar, target, position, trade, course, counts, costs):
    """What a swing carries, but PEAK and LOWEST, behind a bar with the order to `target` at its open; whether that is one that
    may be taken so, and nothing ruins; and the price of its fill. bar: its number, open and close."""
    t, opening, price = bar
    of_trades, of_orders, of_bars = counts
    cash, units, before = position
    since, entered, paid = trade
    (total, squares, downside), shorts, peak, lowest, worth = course
    closed, wins, gains, losses, bars_held = of_trades
    notional, fees, slipped = of_orders
    active, exposed, largest = of_bars
    fee, slippage = costs
    dearer, cheaper = opening * (1.0 + slippage), opening * (1.0 - slippage)
    at_open = cash + units * opening
    if target == 0.0:
        traded, fill, held = -units, (dearer if units < 0.0 else cheaper), 0.0
        fine = units > 0.0 or (units < 0.0 and cash / (dearer * (1.0 + fee)) != traded)
        left = cash_after(cash, traded, fill, fee, False)
    elif target > 0.0:  # with all the cash
        cost = dearer * (1.0 + fee)
        traded, fill, left = cash / cost, dearer, 0.0
        held = units + traded
        affordable = cost > opening * (1.0 + 1e-9) or at_open / opening - units >= traded  # a division, where it may not be
        fine = units <= 0.0 and traded > -units and affordable
    else:
        traded, fill = -at_open / opening - units, cheaper
        held = units + traded
        fine = units >= 0.0 and traded < 0.0 and held <= 0.0
        left = cash_after(cash, traded, fill, fee, False)
    equity = left + held * price
    fine = fine and equity > 0.0 and at_open > 0.0
    if units != 0.0:
        out, off = abs(units) * fill, fee * abs(units) * fill
        pnl = where(units > 0.0, out - entered, entered - out) - (paid + off)
        closed, wins, bars_held = closed + 1, wins + int(pnl > 0.0), bars_held + (t - since)
        gains, losses, fees = gains + max(pnl, 0.0), losses + max(-pnl, 0.0), fees + off
    if held != 0.0:
        since, entered, paid = t, abs(held) * fill, fee * abs(held) * fill
        fees, exposed = fees + paid, exposed + 1
    else:
        since, entered, paid = 0, 0.0, 0.0
    r = equity / before - 1.0
    loss = min(r, 0.0)
    course = (total + r, fma(r, r, squares), fma(loss, loss, downside)), shorts, peak, lowest, worth + equity
    of_trades = closed, wins, gains, losses, bars_held
    of_orders = notional + abs(traded) * fill, fees, slipped + abs(traded) * opening * slippage
    of_bars = active + 1, exposed, max(largest, abs(r))
    return (fine, fill), (left, held, equity), (since, entered, paid), course, (of_trades, of_orders, of_bars)


def make_swing(prices, costs_of, after, meets):
    """swing(world, book, when, targets, begin, end, terms, overlay): the orders from place `begin` on while each goes from
    flat, or from what one order brought, to all or nothing: up to which place. The account is that of orders taken one by
    one, to the last bit, of a first pass without funding that nobody writes down.

    prices(world): what the plain account reads. costs_of(terms): the fee and the slippage. after(overlay, held, fill): the
    stop and the take-profit of a position. meets(world, units, levels, start, count): whether one of so many bars may meet
    them; none of those of a swing does.
    """

    @device
    def swing(world, book, when, targets, begin, end, terms, overlay):
        account = prices(world)
        open_, close = opened(account)[0], opened(account)[1]
        bars, last, costs = bars_in(account), int(book[LAST]), costs_of(terms)
        position, trade = (book[CASH], book[UNITS], book[EQUITY]), trade_of(book)
        average, levels = book[AVERAGE], (book[STOP], book[TAKE])
        course, counts = course_of(book), counts_of(book)
        k, fine = begin, True
        while k < end:
            t, target = when[index(k)], targets[index(k)]
            cash, units, equity = position
            idle = t - 1 - last
            if t >= bars or not (target == 0.0 or abs(target) == 1.0) or (units != 0.0 and idle > PIECE):
                break
            so_far, held = course, counts
            if units == 0.0:
                so_far = waited(course, equity, idle)
            elif idle > 0:
                if meets(world, units, levels, t - idle, idle):
                    break
                so_far, fine = carried(account, cash, units, t - idle, idle, course)
                held, equity = with_bars(counts, idle), cash + units * close[index(t - 1)]
            if units == 0.0 and target == 0.0:  # its position has been ended already
                course, last = waited(so_far, equity, 1), t
                k += 1
                continue
            bar, now = (t, open_[index(t)], close[index(t)]), (cash, units, equity)
            (may_be, fill), after_it, trade_after, so_far, held = swung(bar, target, now, trade, so_far, held, costs)
            following = after(overlay, after_it[1], fill)
            if not (fine and may_be) or (after_it[1] != 0.0 and meets(world, after_it[1], following, t, 1)):
                break
            position, trade, average, levels = after_it, trade_after, fill, following
            course, counts, last = at_close(so_far, position[2]), held, t
            k += 1
        keep_swing(book, last, position, trade, average, levels, course, counts)
        return k

    return swing


@device
def into_long(bar, equity, idle, course, counts, costs):
    """Behind a bar that goes from flat into a long with all the equity, `idle` bars after the last one: whether nothing
    ruins; the units, the equity and the price of the fill; the trade; the course, but for PEAK and LOWEST, and the counts."""
    t, opening, price = bar
    (total, squares, downside), shorts, peak, lowest, worth = waited(course, equity, idle)
    of_trades, (notional, fees, slipped), (active, exposed, largest) = counts
    fee, slippage = costs
    fill = opening * (1.0 + slippage)
    units = equity / (fill * (1.0 + fee))
    entered, paid, after = units * fill, fee * units * fill, units * price
    r = after / equity - 1.0
    loss = min(r, 0.0)
    course = (total + r, fma(r, r, squares), fma(loss, loss, downside)), shorts, peak, lowest, worth + after
    of_orders = notional + entered, fees + paid, slipped + units * opening * slippage
    counts = of_trades, of_orders, (active + 1, exposed + 1, max(largest, abs(r)))
    return smaller(units, after) > 0.0, (units, after, fill), (t, entered, paid), course, counts


@device
def out_of_long(world, bar, units, trade, idle, course, counts, costs):
    """Behind a bar that goes out of it again, `idle` bars after the last one: the equity, of which nothing is left where it
    ruins, the price of the fill, the course, but for PEAK and LOWEST, and the counts."""
    t, opening, _ = bar
    (total, squares, downside), shorts, peak, lowest, worth = with_long(world, units, t - idle, idle, course)
    (closed, wins, gains, losses, bars_held), (notional, fees, slipped), (active, exposed, largest) = counts
    since, entered, paid = trade
    fee, slippage = costs
    fill = opening * (1.0 - slippage)
    out, off = units * fill, fee * units * fill
    pnl, equity = (out - entered) - (paid + off), out - off
    r = equity / (units * opened(world)[1][index(t - 1)]) - 1.0
    loss = min(r, 0.0)
    course = (total + r, fma(r, r, squares), fma(loss, loss, downside)), shorts, peak, lowest, worth + equity
    of_trades = closed + 1, wins + int(pnl > 0.0), gains + max(pnl, 0.0), losses + max(-pnl, 0.0), bars_held + (t - since)
    of_orders = notional + out, fees + off, slipped + units * opening * slippage
    return (equity, fill), course, (of_trades, of_orders, (active + idle + 1, exposed + idle, max(largest, abs(r))))


def make_ride(prices, costs_of, after, meets):
    """ride(...): `swing`, of the same arguments, of orders that go into a long with all the equity and out of it again: most of
    most long/flat runs. A trip is one turn of its loop: what is the same in all of them is said as a constant, what is
    carried stays in registers, and the drawdown is asked once. Order after order it took a sixth longer."""

    @device
    def ride(world, book, when, targets, begin, end, terms, overlay):
        account = prices(world)
        open_, close = opened(account)[0], opened(account)[1]
        bars, last, costs = bars_in(account), int(book[LAST]), costs_of(terms)
        units, equity, trade = book[UNITS], book[EQUITY], trade_of(book)
        average, levels = book[AVERAGE], (book[STOP], book[TAKE])
        course, counts = course_of(book), counts_of(book)
        k = begin
        while k < end:
            if units == 0.0:
                t = when[index(k)]
                if targets[index(k)] != 1.0 or t >= bars:
                    break
                bar = t, open_[index(t)], close[index(t)]
                fine, bought, entry, so_far, counted = into_long(bar, equity, t - 1 - last, course, counts, costs)
                following = after(overlay, bought[0], bought[2])
                if not fine or meets(world, 1.0, following, t, 1):
                    break
                (units, equity, average), trade, levels, last = bought, entry, following, t
                course, counts = so_far, counted
                k += 1
                if k == end:
                    break
            t = when[index(k)]
            idle = t - 1 - last
            if targets[index(k)] != 0.0 or t >= bars or idle >= PIECE:
                break
            if idle > 0 and meets(world, 1.0, levels, t - idle, idle):
                break
            bar = t, open_[index(t)], close[index(t)]
            (left, fill), so_far, counted = out_of_long(account, bar, units, trade, idle, course, counts, costs)
            if not left > 0.0:
                break
            course, counts = left_behind(account, units, last, idle + 1, so_far, left), counted
            units, equity, average, trade, last = 0.0, left, fill, (0, 0.0, 0.0), t
            k += 1
        if units != 0.0:
            course = at_close(course, equity)
        position = where(units == 0.0, equity, 0.0), units, equity
        keep_swing(book, last, position, trade, average, levels, course, counts)
        return k

    return ride


def make_swings(prices, costs_of, after, meets):
    """The one, and then the other: of the same arguments."""
    ride, swing = make_ride(prices, costs_of, after, meets), make_swing(prices, costs_of, after, meets)

    @device
    def swings(world, book, when, targets, begin, end, terms, overlay):
        k = begin
        if may_ride(book, targets[index(k)], costs_of(terms)):
            k = ride(world, book, when, targets, k, end, terms, overlay)
        if k < end:
            k = swing(world, book, when, targets, k, end, terms, overlay)
        return k

    return swings


@device
def may_swing(book):
    """Whether the orders of a book may be swung: in the first pass, and a position is what one order brought."""
    return book[CENTRE] != book[CENTRE] and book[RUINED] == 0.0 and book[ENTERED] == abs(book[UNITS])


@device
def may_ride(book, target, costs):
    """Whether an order of a book that may be swung is one into a long with all the equity, or out of it, that costs nothing
    or something: what earns a rebate may not be paid for with all of it."""
    units, cash = book[UNITS], book[CASH]
    into, out_of = units == 0.0 and target == 1.0 and cash == book[EQUITY], units > 0.0 and cash == 0.0 and target == 0.0
    return (into or out_of) and costs[0] >= 0.0 and costs[1] >= 0.0


_swings = make_swings(
    device(lambda world: world),
    device(lambda terms: terms[0]),
    device(lambda overlay, held, fill: (0.0, 0.0)),
    device(lambda world, units, levels, start, count: False),
)


@device
def fill_plain(world, book, notes, when, targets, begin, end, terms, overlay):
    """The orders of one individual that stand in these places."""
    plain = opened(world)[8].shape[0] == 0 and opened(notes)[1].shape[0] == 0
    k = begin
    while k < end:
        if plain and may_swing(book):
            k = _swings(world, book, when, targets, k, end, terms, overlay)
        if k < end:
            order(world, book, notes, when[index(k)], targets[index(k)], terms, overlay)
            k += 1
