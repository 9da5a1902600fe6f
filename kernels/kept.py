"""What is made of the bars alone: once for each market, and kept while the market lives and there is room.

Sums and tables of windows are the same for every population that runs over a tape, and an island worker runs hundreds of
them over the same few: to make them anew took half of the time at 100 genomes, nine tenths at one.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

ROOM = 9 << 25  # bytes of all that is kept in a process; what was asked for longest ago leaves first

T = TypeVar("T")

_lock = threading.RLock()  # a market may die, and say so, while its own thread holds it
_entries: OrderedDict[tuple[int, Hashable], tuple[Any, int]] = OrderedDict()
_markets: set[int] = set()


def once(market: Any, what: Hashable, make: Callable[[], T]) -> T:
    """make(), or what it gave before for this very market and the same `what`; not to be changed.

    A market whose arrays may change, or that can't tell when it dies, is made for each time, and so is what alone takes more
    than ROOM.
    """
    if not _stays(market):
        return make()
    key = id(market), what
    with _lock:
        if key in _entries:
            _entries.move_to_end(key)
            return _entries[key][0]
    value = make()
    size = size_of(value)
    with _lock:
        if fits(size):
            if id(market) not in _markets:
                _markets.add(id(market))
                weakref.finalize(market, _forget, id(market)).atexit = False
            _entries[key] = value, size
        while kept_bytes() > ROOM:
            _entries.popitem(last=False)
    return value


def kept_bytes() -> int:
    """Bytes of all that is kept."""
    with _lock:
        return sum(size for _, size in _entries.values())


def fits(size: int) -> bool:
    """Whether so many bytes may be kept together."""
    return size <= ROOM


def size_of(value: Any) -> int:
    """Bytes of the arrays in nested tuples; anything else takes none."""
    if isinstance(value, tuple):
        return sum(size_of(part) for part in value)
    return value.nbytes if isinstance(value, np.ndarray) else 0


def _stays(market: Any) -> bool:
    """Whether nobody can change the market's arrays, and it tells when it dies."""
    if type(market).__weakrefoffset__ == 0:
        return False
    series = (market.open, market.high, market.low, market.close, market.volume, market.funding_rate)
    return not any(_may_change(values) for values in series if values is not None)


def _may_change(values: Any) -> bool:
    while isinstance(values, np.ndarray):
        if values.flags.writeable:
            return True
        values = values.base
    return False


def _forget(market: int) -> None:
    with _lock:
        _markets.discard(market)
        for key in [key for key in _entries if key[0] == market]:
            _entries.pop(key, None)  # a piece of it that dies with it has told of its own meanwhile
