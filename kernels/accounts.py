"""The way from whoever decides to the account that is kept: one compiled function, called by its address.

Whoever decides (lanes.py, watch.py) is compiled for each family, an account (pnl.py, overlays.py) once for all of them:
the two know each other by `fill_orders` alone. What an account reads and writes, a Run, is packed into one array, whose
contents the compiled account knows; a call passes that, the individual and a list of its orders: some bars' worth, of one
genome, one after the other. Its book is then in registers or the nearest cache, and whether it next buys or sells, enters
or leaves, is a pattern that the processor guesses; orders as they come, of all genomes in turn, took twice as long. A
family compiles in 1.5 instead of the 4 to 10 seconds that it would take with the account's code in every loop.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from .compile import address_of, device, entry, kernel
from .denormals import flush_denormals, restore_denormals
from .memory import call_at, index, keep, opened, packed_as, part, size_of
from .overlays import fill_overlaid
from .pnl import UNITS, bars_in, close_account, open_account
from .swings import fill_plain


@dataclass(frozen=True)
class Accounting:
    """An account: fill(world, book, notes, when, targets, begin, end, terms, overlay) takes the orders to targets[k] at the
    opens of bars when[k], for k from `begin` to `end`, and the bars before each.
    prices(world): of its world what the plain account reads."""

    name: str
    fill: Callable[..., Any]
    prices: Callable[..., Any]


PLAIN = Accounting("plain", fill_plain, device(lambda world: world))
"""Of orders that cost a fee and slippage. It has no overlays: their rows are empty."""

OVERLAID = Accounting("overlaid", fill_overlaid, device(lambda world: world[0]))
"""With everything that may lie over a family's targets."""

Run = tuple[Any, Any, Any, Any, Any]
"""(world, books, overlays, terms, notes): the series that the account reads; (P, BOOK); (P, O); what an order costs, the
first scored bar, the cash and the periods per year; rows of trades, and (T, 2) for the cash and the units after the bars
that were taken one by one, or empty ones."""

Door = tuple[int, np.ndarray]
"""An account for kernels to call: the address of what fills its orders, and its packed Run. It lives as long as the Run."""


world_of, notes_of = part(0), part(4)


@kernel("open")
def open_books(run, centres):
    """Empty books. centres: what returns are measured from, NaN in the first pass."""
    _, books, _, terms, _ = run
    for i in range(books.shape[0]):
        open_account(books[i], terms, centres[i])


@kernel("pack")
def _pack(run):
    buffer = np.empty(size_of(run) // 8 + 1)
    keep(buffer, 0, run)
    return buffer


@functools.cache
def _fill_of(account: Accounting, contents: Any) -> int:
    """The address of an account's fill(packed, i, when, targets, begin, end), for a Run of this type."""
    fill, unread = account.fill, packed_as(contents)
    digest = hashlib.sha256(str(contents).encode()).hexdigest()[:12]

    @entry(f"orders-{account.name}-{digest}")
    def enter(packed, i, when, targets, begin, end):
        run = unread(packed)
        _, books, overlays, terms, _ = opened(run)
        fill(world_of(run), books[index(i)], notes_of(run), when, targets, begin, end, terms, overlays[index(i)])

    word = numba.int64
    return address_of(enter, numba.types.none(numba.float64[::1], word, word[::1], numba.float64[::1], word, word))


_TYPES: dict[Any, Any] = {}


def _type_of(run: Run) -> Any:
    """numba's type of a Run, which it takes 0.2 ms to find: a third of a short backtest."""

    def kind(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(kind, value))
        if isinstance(value, np.ndarray):
            return value.dtype.char, value.ndim, value.flags.writeable, value.flags.c_contiguous, value.flags.aligned
        return type(value)

    found = kind(run)
    if found not in _TYPES:
        _TYPES[found] = numba.typeof(run)
    return _TYPES[found]


def door(account: Accounting, run: Run) -> Door:
    """The way into an account; compiled where it was not."""
    return _fill_of(account, _type_of(run)), _pack(run)


@device
def fill_orders(door, i, when, targets, begin, end):
    """The orders of individual i that stand in these places: to targets[k] at the open of bar when[k], later than all
    before."""
    address, packed = door
    if end > begin:
        call_at(address, packed, i, when, targets, begin, end)


@kernel("leave")
def _leave(door, books, t):
    before = flush_denormals()
    when, targets = np.full(1, t), np.zeros(1)
    for i in range(books.shape[0]):
        if books[i, UNITS] != 0.0:
            fill_orders(door, i, when, targets, 0, 1)
    restore_denormals(before)


def leave(account: Accounting, run: Run, t: int) -> None:
    """Ends what anybody holds at the open of bar t."""
    _leave(door(account, run), run[1], t)


@functools.cache
def _finish(account: Accounting) -> Callable[..., None]:
    prices = account.prices

    @device  # what takes arrays out of `world` must not count references, as a kernel would
    def close(door, i, past, world, book, notes, terms, metrics):
        when, targets = past
        when[0] = bars_in(prices(world))
        fill_orders(door, i, when, targets, 0, 1)
        return close_account(prices(world), book, notes, terms, metrics)

    @kernel(f"finish-{account.name}")
    def finish(door, run, metrics, centres):
        before = flush_denormals()
        world, books, _, terms, notes = run
        past = np.empty(1, np.int64), np.zeros(1)
        for i in range(books.shape[0]):
            again, centre = close(door, i, past, world, books[i], notes, terms, metrics[i])
            centres[i] = centre if again else np.nan
        restore_denormals(before)

    return finish


def finish(account: Accounting, run: Run, metrics: np.ndarray, centres: np.ndarray) -> None:
    """Closes every account, METRICS (P, M). centres (P,): of those for which a second pass is due what to measure their
    returns from, NaN for the others."""
    _finish(account)(door(account, run), run, metrics, centres)
