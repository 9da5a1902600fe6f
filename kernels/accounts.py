"""The way from whoever decides to the account that is kept: one compiled function, called by its address.

Whoever decides (lanes.py, watch.py) is compiled for each family, an account (pnl.py, overlays.py) once for all of them:
the two know each other by `order` alone. What an account reads and writes, a Run, is packed into one array, whose
contents the compiled account knows; a call passes that, the individual, the bar and the target. An order costs some 5 to
20 ns more than with the account's code in every loop, up to an eighth of a family's speed, and a family compiles in 1.5
instead of 4 to 10 seconds.
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
from .fused import make_account
from .overlays import order_overlaid
from .pnl import RUINED, UNITS, bars_in, close_account, open_account
from .pnl import order as order_plain
from .vectors import call_at, call_block, flush_denormals, keep, opened, packed_as, part, restore_denormals, size_of


@dataclass(frozen=True)
class Accounting:
    """An account: order(world, book, notes, t, target, terms, overlay) takes the bars up to t, and at its open the order.
    prices(world): of its world what the plain account reads."""

    name: str
    order: Callable[..., Any]
    prices: Callable[..., Any]


PLAIN = Accounting("plain", order_plain, device(lambda world: world))
"""Of orders that cost a fee and slippage. It has no overlays: their rows are empty."""

OVERLAID = Accounting("overlaid", order_overlaid, device(lambda world: world[0]))
"""With everything that may lie over a family's targets."""

Run = tuple[Any, Any, Any, Any, Any]
"""(world, books, overlays, terms, notes): the series that the account reads; (P, BOOK); (P, O); what an order costs, the
first scored bar, the cash and the periods per year; rows of trades, and (T, 2) for the cash and the units after the bars
that were taken one by one, or empty ones."""

Door = tuple[int, int, np.ndarray]
"""An account for kernels to call: the address of its `order`, or of its `take_block` (fused.py), 0 for the one that it has
not, and its packed Run. It lives as long as the Run does."""


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
def _order_of(account: Accounting, contents: Any) -> int:
    """The address of an account's order(packed, i, t, target), for a Run of this type."""
    order, unread = account.order, packed_as(contents)
    digest = hashlib.sha256(str(contents).encode()).hexdigest()[:12]

    @entry(f"order-{account.name}-{digest}")
    def enter(packed, i, t, target):
        run = unread(packed)
        _, books, overlays, terms, _ = opened(run)
        order(world_of(run), books[i], notes_of(run), t, target, terms, overlays[i])

    return address_of(enter, numba.types.none(numba.float64[::1], numba.int64, numba.int64, numba.float64))


def door(account: Accounting, run: Run) -> Door:
    """The way into an account; compiled where it was not."""
    return _order_of(account, numba.typeof(run)), 0, _pack(run)


CHANGES = numba.types.Tuple((numba.int64[::1], numba.int64[::1], numba.float64[::1]))


@functools.cache
def _block_of(lanes: int, contents: Any) -> int:
    """The address of take_block(packed, changes, at, begin, end, count), at a lane width and for a run of this type."""
    take, unread, changes_of = make_account(lanes), packed_as(contents), packed_as(CHANGES)

    @entry(f"block-{lanes}-{hashlib.sha256(str(contents).encode()).hexdigest()[:12]}")
    def enter(packed, changes, at, begin, end, count):
        take(unread(packed), opened(changes_of(changes)), at, begin, end, count)

    word, series = numba.int64, numba.float64[::1]
    return address_of(enter, numba.types.none(series, series, word, word, word, word))


def fused_door(lanes: int, run: Any) -> Door:
    """The way into the account that is kept in as many lanes as decide; compiled where it was not."""
    return 0, _block_of(lanes, numba.typeof(run)), _pack(run)


@device
def order(door, i, t, target):
    """The order of individual i to `target` at the open of bar t, later than all of its orders before."""
    address, _, packed = door
    call_at(address, packed, i, t, target)


@device
def takes_blocks(door):
    """Whether the account takes the orders of a block of individuals at once."""
    return door[1] != 0


@device
def take_block(door, changes, at, begin, end, count):
    """The bars begin + 1 to `end` of the block from row `at` on, with the orders at their opens, of which there are `count`
    in the packed `changes`."""
    call_block(door[1], door[2], changes, at, begin, end, count)


@kernel("leave")
def _leave(door, books, t):
    before = flush_denormals()
    for i in range(books.shape[0]):
        if books[i, UNITS] != 0.0 and books[i, RUINED] == 0.0:
            order(door, i, t, 0.0)
    restore_denormals(before)


def leave(account: Accounting, run: Run, t: int) -> None:
    """Ends what anybody holds at the open of bar t."""
    _leave(door(account, run), run[1], t)


@functools.cache
def _finish(account: Accounting) -> Callable[..., None]:
    prices = account.prices

    @device  # what takes arrays out of `world` must not count references, as a kernel would
    def close(door, i, world, book, notes, terms, metrics):
        order(door, i, bars_in(prices(world)), 0.0)
        return close_account(prices(world), book, notes, terms, metrics)

    @kernel(f"finish-{account.name}")
    def finish(door, run, metrics, centres):
        before = flush_denormals()
        world, books, _, terms, notes = run
        for i in range(books.shape[0]):
            again, centre = close(door, i, world, books[i], notes, terms, metrics[i])
            centres[i] = centre if again else np.nan
        restore_denormals(before)

    return finish


def finish(account: Accounting, run: Run, metrics: np.ndarray, centres: np.ndarray) -> None:
    """Closes every account, METRICS (P, M). centres (P,): of those for which a second pass is due what to measure their
    returns from, NaN for the others."""
    _finish(account)(door(account, run), run, metrics, centres)
