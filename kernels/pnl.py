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
"""

from __future__ import annotations

import numpy as np

from .compile import device
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
    add_bar,
    no_bars,
    second_pass,
    summarise,
    summarise_trades,
)

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
BOOK = 17


@device
def wanted_units(cash, units, price, target):
    """Signed units to trade at the open that bring exposure to `target`, before any cap."""
    if target == 0.0:
        return -units
    return target * (cash + units * price) / price - units


@device
def order_units(cash, units, price, target, fee, slippage):
    """Signed units to trade at the open for target exposure `target`, and the price at which they fill."""
    wanted = wanted_units(cash, units, price, target)
    if wanted > 0.0:
        fill = price * (1.0 + slippage)
        affordable = max(cash / (fill * (1.0 + fee)), 0.0)
        covering = max(-units, 0.0)
        return min(wanted, max(affordable, covering)), fill
    return wanted, price * (1.0 - slippage)


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
def finish(book, rows, t, side, reason):
    """Books the trade under way as ended at bar t (END: still open, marked at the last close) and clears it."""
    pnl = side * (book[EXITED_NOTIONAL] - book[ENTERED_NOTIONAL]) - book[FEES] - book[HOLDING]
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
    book[ENTRY_BAR:] = 0.0


@device
def book_order(book, rows, t, units, traded, fill, fee, reason):
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
        finish(book, rows, t, np.sign(units), reason if held == 0.0 else REVERSAL)
        if held != 0.0:
            enter(book, t, held, fill, fee)
    return held


@device
def fill_order(book, rows, t, cash, units, price, target, fee, slippage):
    """Fills the order that brings exposure to `target` at the open; the cash and the units after it."""
    traded, fill = order_units(cash, units, price, target, fee, slippage)
    if traded == 0.0:
        return cash, units
    book[PAID_SLIPPAGE] += abs(traded) * price * slippage
    held = book_order(book, rows, t, units, traded, fill, fee, SIGNAL)
    return cash - (traded * fill + fee * abs(traded) * fill), held


@device
def pay_funding(book, units, price, rate):
    """Books and returns what the position held into a bar pays at its open; negative where it receives."""
    paid = units * price * rate
    book[HOLDING] += paid
    book[PAID_FUNDING] += paid
    return paid


@device
def book_ruin(book, rows, t, cash, units):
    """Takes a ruined position off at its bankruptcy price, -cash/units."""
    if units != 0.0:
        leave(book, units, -cash / units, 0.0)
        finish(book, rows, t, np.sign(units), RUIN)


def make_run(prepare, start, step):
    """The bar loop for one signal: a compiled `run(...)` that decides, trades and sums up in a single fused pass.

    prepare(genome) -> genes, start(genes, inputs) -> state, step(genes, state, t, inputs) -> state, target.
    prices: open and close, each (T,). funding: the rates, (T,), or None, which compiles to a loop without funding: a
    test at each bar cost 3 to 6 %.
    """

    @device
    def one_pass(prices, funding, inputs, genome, fee, slippage, first, cash, centre, periods_per_year, *out):
        """One pass; `centre` is what the returns are measured from. Tells whether a second pass is due, and the mean.

        out: the METRICS, shape (M,); equity and units after each close, each (T,), or both empty; trade rows, or
        none; the book, (BOOK,).
        """
        open_, close = prices
        metrics, equities, holdings, rows, book = out
        record = equities.shape[0] > 0
        bars = close.shape[0]
        book[:] = 0.0
        genes = prepare(genome)
        state = start(genes, inputs)
        target = 0.0
        for t in range(first):
            state, target = step(genes, state, t, inputs)
            if record:
                equities[t] = cash
                holdings[t] = 0.0

        initial = equity = cash
        units = ordered = equity_sum = 0.0
        exposed = 0
        sums = no_bars(cash)
        for t in range(first, bars):
            held = units != 0.0
            if funding is not None and held:
                cash -= pay_funding(book, units, open_[t], funding[t])
            ruined = held and cash + units * open_[t] <= 0.0
            if target != ordered and not ruined:
                cash, units = fill_order(book, rows, t, cash, units, open_[t], target, fee, slippage)
                ordered = target
            if held or units != 0.0:
                before = equity
                equity = cash + units * close[t]
                if ruined or equity <= 0.0:
                    book_ruin(book, rows, t, cash, units)
                    ruined = True
                    equity = cash = units = 0.0
                sums = add_bar(sums, equity / before - 1.0, equity, centre)
                exposed += units != 0.0
            equity_sum += equity
            if record:
                equities[t] = equity
                holdings[t] = units
            if ruined:
                if record:
                    equities[t:] = 0.0
                    holdings[t:] = 0.0
                break
            state, target = step(genes, state, t, inputs)

        if units != 0.0:
            leave(book, units, close[bars - 1], 0.0)
            finish(book, rows, bars - 1, np.sign(units), END)
        scored = bars - first
        summarise(sums, scored, centre, equity / initial, periods_per_year, metrics)
        summarise_trades(book, scored, exposed, equity_sum, equity - initial, periods_per_year, metrics)
        return second_pass(sums, scored)

    @device
    def run(prices, funding, inputs, genome, fee, slippage, first, cash, periods_per_year, *out):
        again, mean = one_pass(prices, funding, inputs, genome, fee, slippage, first, cash, 0.0, periods_per_year, *out)
        if again:
            one_pass(prices, funding, inputs, genome, fee, slippage, first, cash, mean, periods_per_year, *out)

    return run
