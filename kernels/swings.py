"""Orders from all or nothing to all or nothing, in numbers that stay in registers: most orders of most runs.

The account is that of orders taken one by one (pnl.py), to the last bit. What an order reads and writes in a book of forty
numbers is here carried from one to the next, in a loop for each way such orders alternate: trips into a long and out of it,
trips into a short, turns from side to side. What is the same in all turns of a loop is said as a constant, what follows from
the bars of the orders is counted behind it, and of what is held the drawdown is asked once, when it ends. An order takes a
third to a half of the time; with one loop for whatever comes next long/flat populations took a quarter longer, long/short
ones a tenth.
"""

from __future__ import annotations

from .compile import device, routine
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
    closes_between,
    course_of,
    earned,
    fallen,
    keep_course,
    lowered,
    order,
    waited,
)
from .vectors import fma, smaller


@device
def with_long(world, units, start, count, course):
    """What `count` bars from `start` on, or none, of a long with all the equity add, but to the drawdown."""
    (total, squares, downside), shorts, peak, lowest, worth = course
    r, r2, loss2, closes = between(opened(world)[2], start, count)
    return (total + r, squares + r2, downside + loss2), shorts, peak, lowest, worth + units * closes


@device
def with_short(world, cash, units, start, count, bounds, course):
    """The same of a short, and whether none of the bars may ruin. bounds: as `earned` takes them."""
    sums, shorts, peak, lowest, worth = course
    closes = closes_between(opened(world)[2], start, count)
    sums, shorts, safe = earned(world, cash, units, start, count, bounds, sums, shorts)
    return (sums, shorts, peak, lowest, worth + (cash * count + units * closes)), safe


@device
def at_close(course, equity):
    """The course with PEAK and LOWEST after one more equity."""
    sums, shorts, peak, lowest, worth = course
    peak = max(peak, equity)
    return sums, shorts, peak, fallen(lowest, equity, peak), worth


@device
def at_closes(world, cash, units, bounds, start, count, course):
    """The same after `count` closes with a position, whose equities are within bounds."""
    sums, shorts, peak, lowest, worth = course
    peak, lowest = lowered(opened(world)[1], cash, units, bounds, peak, lowest, start, count)
    return sums, shorts, peak, lowest, worth


@device
def bounds_of_long(world, units, start, count):
    """The least and the greatest equity at `count` closes, 1 to PIECE, with a long of all the equity."""
    close, places, table = opened(world)[1], opened(world)[4], opened(world)[5]
    cheapest, dearest = extremes_of(places, table, close, close, start, count)
    return units * cheapest, units * dearest


@device
def at_closes_and(world, units, start, count, course, equity):
    """The same after closes with a long of all the equity, and one more equity: most often none of them is a new peak."""
    sums, shorts, peak, lowest, worth = course
    least, most = bounds_of_long(world, units, start, count)
    if max(most, equity) <= peak:
        return sums, shorts, peak, fallen(lowest, min(least, equity), peak), worth
    return at_close(at_closes(world, 0.0, units, (least, most), start, count, course), equity)


@device
def with_bar(course, before, equity):
    """The course, but for PEAK and LOWEST, after one more bar, and how far its return is from 0."""
    (total, squares, downside), shorts, peak, lowest, worth = course
    r = equity / before - 1.0
    loss = min(r, 0.0)
    return ((total + r, fma(r, r, squares), fma(loss, loss, downside)), shorts, peak, lowest, worth + equity), abs(r)


@device
def counts_of(book):
    """What is counted of trades, of orders, and the largest return; as an integer where it is one: the units for numbers have
    enough to do."""
    of_trades = int(book[WINS]), book[GAINS], book[LOSSES]
    return of_trades, (book[TRADED_NOTIONAL], book[PAID_FEES], book[PAID_SLIPPAGE]), book[LARGEST]


@device
def with_fill(of_orders, traded, opening, fill, slippage):
    """The counts of orders after one of so many units, but for its fee."""
    notional, fees, slipped = of_orders
    return notional + traded * fill, fees, slipped + traded * opening * slippage


@device
def with_fee(of_orders, paid):
    notional, fees, slipped = of_orders
    return notional, fees + paid, slipped


@device
def with_trade(of_trades, pnl):
    """The counts of trades after one more that has ended."""
    wins, gains, losses = of_trades
    return wins + int(pnl > 0.0), gains + max(pnl, 0.0), losses + max(-pnl, 0.0)


@device
def trade_of(book):
    return book[ENTERED_NOTIONAL], book[FEES]


@device
def levels_of(book):
    return book[AVERAGE], book[STOP], book[TAKE]


@device
def begun(counts, held, fill, fee):
    """A trade that begins with so many units, and the counts with its fee."""
    of_trades, of_orders, largest = counts
    paid = fee * held * fill
    return (held * fill, paid), (of_trades, with_fee(of_orders, paid), largest)


@device
def ended(counts, trade, side, units, fill, fee):
    """The counts after a trade of so many units has ended."""
    of_trades, of_orders, largest = counts
    entered, paid = trade
    out, off = units * fill, fee * units * fill
    gained = out - entered if side > 0.0 else entered - out
    return with_trade(of_trades, gained - (paid + off)), with_fee(of_orders, off), largest


@device
def bought(was, position, at_open, opening, costs):
    """What all the cash buys, from flat (was 0.0) or short (-1.0): the units traded, those held then, the price, and whether it
    may be so. From flat it always may, for an order costs nothing or something."""
    cash, units = position
    fee, slippage = costs
    fill = opening * (1.0 + slippage)
    cost = fill * (1.0 + fee)
    traded = cash / cost
    if was == 0.0:
        return traded, traded, fill, True
    affordable = cost > opening * (1.0 + 1e-9) or at_open / opening - units >= traded  # a division, where it may not be
    return traded, units + traded, fill, affordable


@device
def sold(was, position, at_open, opening, costs):
    """The units that go into a short with all the equity, from flat (0.0) or long (1.0), those held then, the price, and the
    cash."""
    cash, units = position
    fee, slippage = costs
    fill = opening * (1.0 - slippage)
    traded = -at_open / opening - units
    held = traded if was == 0.0 else units + traded
    return -traded, held, fill, cash - (traded * fill + fee * -traded * fill)


@device
def equity_at(world, position, t):
    """At the close of bar t, or before the first one (-1)."""
    cash, units = position
    return cash + units * opened(world)[1][index(max(t, 0))]


@device
def count(book, closed, held, active, exposed):
    """Adds to a book how many trades have ended since, the bars that they were held since, and those with a position or an
    order, and with a position at the close."""
    if closed > 0 and book[UNITS] != 0.0:
        held += int(book[LAST] - book[ENTRY_BAR])
    book[CLOSED] += closed
    book[TRADES] = book[CLOSED]
    book[BARS_HELD] += held
    book[ACTIVE] += active
    book[EXPOSED] += exposed


@device
def keep_swing(book, entered, last, position, equity, trade, levels, course, counts):
    """Writes into the book what a swing carries. entered: whether the trade under way, if there is one, began in it."""
    cash, units = position
    if units == 0.0:
        book[ENTRY_BAR] = 0.0
    elif entered:
        book[ENTRY_BAR] = last
    book[CASH], book[UNITS], book[EQUITY], book[LAST] = cash, units, equity, last
    book[ENTERED_NOTIONAL], book[FEES] = trade
    book[ENTERED] = abs(units)
    book[AVERAGE], book[STOP], book[TAKE] = levels
    book[BEST] = book[AVERAGE]
    book[SCALE] = 1.0
    keep_course(book, course)
    (book[WINS], book[GAINS], book[LOSSES]), of_orders, book[LARGEST] = counts
    book[TRADED_NOTIONAL], book[PAID_FEES], book[PAID_SLIPPAGE] = of_orders


NO_TRADE = 0.0, 0.0


@device
def into_long(was, bar, position, at_open, before, trade, course, counts, costs):
    """Behind a bar with an order that brings a long with all the equity, from flat (was 0.0) or short (-1.0): whether it may be
    taken so and nothing ruins; the position; the price of the fill; the trade; the course, but for PEAK and LOWEST, and the
    counts. What was is said as a constant, for the compiler to leave out what is not done then. Of a short that its open ruins
    the cash does not even buy back what was sold."""
    opening, price = bar
    fee, slippage = costs
    _, units = position
    traded, held, fill, affordable = bought(was, position, at_open, opening, costs)
    equity = held * price
    if was < 0.0:
        counts = ended(counts, trade, was, -units, fill, fee)
    trade, (of_trades, of_orders, largest) = begun(counts, held, fill, fee)
    course, moved = with_bar(course, before, equity)
    counts = of_trades, with_fill(of_orders, traded, opening, fill, slippage), max(largest, moved)
    return affordable and smaller(held, equity) > 0.0, (0.0, held), fill, trade, course, counts


@device
def into_short(was, bar, position, at_open, before, trade, course, counts, costs):
    """The same of an order that brings a short, from flat or from a long with all the equity (1.0)."""
    opening, price = bar
    fee, slippage = costs
    _, units = position
    traded, held, fill, cash = sold(was, position, at_open, opening, costs)
    equity = cash + held * price
    if was > 0.0:
        counts = ended(counts, trade, was, units, fill, fee)
    trade, (of_trades, of_orders, largest) = begun(counts, -held, fill, fee)
    course, moved = with_bar(course, before, equity)
    counts = of_trades, with_fill(of_orders, traded, opening, fill, slippage), max(largest, moved)
    return smaller(-held, equity) > 0.0, (cash, held), fill, trade, course, counts


@device
def out_of_long(bar, units, before, trade, course, counts, costs):
    """The same of an order that ends a long with all the equity."""
    opening = bar[0]
    fee, slippage = costs
    fill = opening * (1.0 - slippage)
    equity = units * fill - fee * units * fill
    of_trades, of_orders, largest = ended(counts, trade, 1.0, units, fill, fee)
    course, moved = with_bar(course, before, equity)
    counts = of_trades, with_fill(of_orders, units, opening, fill, slippage), max(largest, moved)
    return equity > 0.0, (equity, 0.0), NO_TRADE, course, counts


@device
def out_of_short(bar, position, at_open, before, trade, course, counts, costs):
    """The same of an order that ends a short, and not with the very last of the cash."""
    opening = bar[0]
    cash, units = position
    fee, slippage = costs
    fill = opening * (1.0 + slippage)
    equity = cash - (-units * fill + fee * -units * fill)
    of_trades, of_orders, largest = ended(counts, trade, -1.0, -units, fill, fee)
    course, moved = with_bar(course, before, equity)
    counts = of_trades, with_fill(of_orders, -units, opening, fill, slippage), max(largest, moved)
    fine = smaller(equity, at_open) > 0.0 and cash / (fill * (1.0 + fee)) != -units
    return fine, (equity, 0.0), NO_TRADE, course, counts


@device
def behind_short(world, t, opening, position, since, course):
    """What a short did up to the open of a bar: the course with the closes behind bar `since`, in PEAK and LOWEST with its own;
    whether it may not have ruined; its worth at the open, and at the close before."""
    cash, units = position
    close, places, table = opened(world)[1], opened(world)[4], opened(world)[5]
    cheapest, dearest = extremes_of(places, table, close, close, since, t - since)
    bounds, safe = (cash + units * dearest, cash + units * cheapest), True
    if t - since > 1:
        course, safe = with_short(world, cash, units, since + 1, t - 1 - since, (*bounds, dearest), course)
    course = at_closes(world, cash, units, bounds, since, t - since, course)
    return course, safe, cash + units * opening, cash + units * close[index(t - 1)]


def make_trips(compiled, side, prices, costs_of, after, meets):
    """trips(...), of the arguments of `swings`: orders from flat to one side and back. A trip is one turn of the loop."""

    @compiled
    def trips(world, book, when, targets, begin, end, terms, overlay):
        account = prices(world)
        open_, close = opened(account)[0], opened(account)[1]
        bars, last, costs = bars_in(account), int(book[LAST]), costs_of(terms)
        position, trade, levels = (book[CASH], book[UNITS]), trade_of(book), levels_of(book)
        course, counts = course_of(book), counts_of(book)
        k, exits, held = begin, 0, 0
        while k < end:
            if position[1] == 0.0:
                t, equity = when[index(k)], position[0]
                if targets[index(k)] != side or t >= bars:
                    break
                bar = open_[index(t)], close[index(t)]
                idly = waited(course, equity, t - 1 - last)
                flat = 0.0, bar, position, equity, equity, NO_TRADE, idly, counts, costs
                fine, entered, fill, begins, so_far, counted = into_long(*flat) if side > 0.0 else into_short(*flat)
                following = after(overlay, entered[1], fill)
                if not fine or meets(world, side, following, t, 1):
                    break
                position, trade, levels, last = entered, begins, following, t
                course, counts = so_far, counted
                k += 1
                if k == end:
                    break
            t = when[index(k)]
            idle = t - 1 - last
            if targets[index(k)] != 0.0 or t >= bars or idle >= PIECE:
                break
            if idle > 0 and meets(world, side, levels, t - idle, idle):
                break
            bar = open_[index(t)], close[index(t)]
            if side > 0.0:
                units = position[1]
                so_far, before = with_long(account, units, t - idle, idle, course), units * close[index(t - 1)]
                fine, left, ends, so_far, counted = out_of_long(bar, units, before, trade, so_far, counts, costs)
                if not fine:
                    break
                course = at_closes_and(account, units, last, idle + 1, so_far, left[0])
            else:
                so_far, safe, at_open, before = behind_short(account, t, bar[0], position, last, course)
                fine, left, ends, so_far, counted = out_of_short(bar, position, at_open, before, trade, so_far, counts, costs)
                if not (fine and safe):
                    break
                course = at_close(so_far, left[0])
            held += t - last
            position, trade, last, counts = left, ends, t, counted
            exits += 1
            k += 1
        entries, equity = k - begin - exits, equity_at(account, position, last)
        if position[1] != 0.0:
            course = at_close(course, equity)
        count(book, exits, held, held + entries, held + entries - exits)
        keep_swing(book, entries > 0, last, position, equity, trade, levels, course, counts)
        return k

    return trips


def make_turns(compiled, prices, costs_of, after, meets):
    """turns(...): the same of orders from a long with all the equity to a short and back."""

    @compiled
    def turns(world, book, when, targets, begin, end, terms, overlay):
        account = prices(world)
        open_, close = opened(account)[0], opened(account)[1]
        bars, last, costs = bars_in(account), int(book[LAST]), costs_of(terms)
        position, trade, levels = (book[CASH], book[UNITS]), trade_of(book), levels_of(book)
        course, counts = course_of(book), counts_of(book)
        k = begin
        while k < end:
            if position[1] > 0.0:
                t, units = when[index(k)], position[1]
                idle = t - 1 - last
                if targets[index(k)] != -1.0 or t >= bars or idle >= PIECE:
                    break
                if idle > 0 and meets(world, 1.0, levels, t - idle, idle):
                    break
                bar = open_[index(t)], close[index(t)]
                so_far, before = with_long(account, units, t - idle, idle, course), units * close[index(t - 1)]
                long = 1.0, bar, (0.0, units), units * bar[0], before, trade, so_far, counts, costs
                fine, sold_to, fill, begins, so_far, counted = into_short(*long)
                following = after(overlay, sold_to[1], fill)
                if not fine or meets(world, -1.0, following, t, 1):
                    break
                bounds = bounds_of_long(account, units, last, idle + 1)
                course, counts = at_closes(account, 0.0, units, bounds, last, idle + 1, so_far), counted
                position, trade, levels, last = sold_to, begins, following, t
                k += 1
                if k == end:
                    break
            t = when[index(k)]
            idle = t - 1 - last
            if targets[index(k)] != 1.0 or t >= bars or idle >= PIECE:
                break
            if idle > 0 and meets(world, -1.0, levels, t - idle, idle):
                break
            bar = open_[index(t)], close[index(t)]
            so_far, safe, at_open, before = behind_short(account, t, bar[0], position, last, course)
            short = -1.0, bar, position, at_open, before, trade, so_far, counts, costs
            fine, bought_to, fill, begins, so_far, counted = into_long(*short)
            following = after(overlay, bought_to[1], fill)
            if not (safe and fine) or meets(world, 1.0, following, t, 1):
                break
            position, trade, levels, last = bought_to, begins, following, t
            course, counts = so_far, counted
            k += 1
        held, equity = last - int(book[LAST]), equity_at(account, position, last)
        count(book, k - begin, held, held, held)
        keep_swing(book, k > begin, last, position, equity, trade, levels, at_close(course, equity), counts)
        return k

    return turns


def make_swings(name, prices, costs_of, after, meets):
    """swings(world, book, when, targets, begin, end, terms, overlay): the orders from place `begin` on while each goes from
    flat, or from what one order brought, to all or nothing: up to which place. The account is that of orders taken one by
    one, to the last bit, of a first pass without funding that nobody writes down.

    name: of the account. prices(world): what the plain account reads. costs_of(terms): the fee and the slippage.
    after(overlay, held, fill): the stop and the take-profit of a position. meets(world, units, levels, start, count):
    whether one of so many bars may meet them; none of those of a swing does.
    """
    way = prices, costs_of, after, meets
    to_long = make_trips(device, 1.0, *way)  # the others in functions of their own, or it has fewer registers: 3 % of its time
    to_short = make_trips(routine(f"shorts-{name}"), -1.0, *way)
    from_side_to_side = make_turns(routine(f"turns-{name}"), *way)

    @device
    def swings(world, book, when, targets, begin, end, terms, overlay):
        k, before = begin, begin - 1
        if not min(costs_of(terms)) >= 0.0:  # what earns a rebate may not be paid for with all of it
            return k
        while before < k < end:
            before, units, target = k, book[UNITS], targets[index(k)]
            if units > 0.0 and book[CASH] != 0.0:
                break
            if units * target < 0.0:
                k = from_side_to_side(world, book, when, targets, k, end, terms, overlay)
            elif units > 0.0 or (units == 0.0 and target > 0.0):
                k = to_long(world, book, when, targets, k, end, terms, overlay)
            else:
                k = to_short(world, book, when, targets, k, end, terms, overlay)
        return k

    return swings


@device
def may_swing(book):
    """Whether the orders of a book may be swung: in the first pass, and a position is what one order brought."""
    return book[CENTRE] != book[CENTRE] and book[RUINED] == 0.0 and book[ENTERED] == abs(book[UNITS])


_swings = make_swings(
    "plain",
    device(lambda world: world),
    device(lambda terms: terms[0]),
    device(lambda overlay, held, fill: (0.0, 0.0, 0.0)),
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
