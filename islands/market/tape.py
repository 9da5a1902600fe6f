"""The tape: one instrument's bars as one contiguous, read-only block of numbers.

A kernel reads rows of the block, Ray carries the block without copying it, and a campaign knows it by its fingerprint.
One block and not six arrays: Ray hands over a single buffer, and a row of a C-ordered block is itself contiguous.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from islands.errors import BarsError, InputError

ROWS = ("timestamp", "open", "high", "low", "close", "volume")
"""The rows of a tape's block, in order. Timestamps are microseconds since the Unix epoch, UTC."""

FUNDING = "funding_rate"
"""The row that follows where there is funding: the share of its notional that a long pays at the bar's open."""

COLUMNS = (*ROWS, FUNDING)
REQUIRED = ROWS[:5]
"""What every table of bars must have; volume and funding may be missing."""

YEAR_US = 31_557_600_000_000
"""365.25 days in microseconds."""

_SCHEMA = b"islands.tape/1 timestamp_us open high low close volume <f8\n"
_SCHEMA_FUNDING = b"islands.tape/1 timestamp_us open high low close volume funding_rate <f8\n"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tape:
    """The bars of one instrument as a read-only float64 block, rows as in `ROWS`, (6, T), T >= 1.

    Where there is funding the block is (7, T): `funding_rate` follows, 0 at bars without a payment.

    `block` is taken over without a copy if it is already read-only (as it arrives from Ray's object store); a writable
    one is copied, so that nobody can change the tape later. What the numbers mean is checked where bars are made
    (`islands.market.bars`), not here. Two tapes are the same bars exactly if their fingerprints are equal.

    Raises:
        BarsError: the block is no native float64 array of shape (6, T) or (7, T) in C order.
    """

    block: Floats

    def __post_init__(self) -> None:
        _require_block(self.block)
        if self.block.flags.writeable:
            object.__setattr__(self, "block", frozen(self.block.copy()))

    def __len__(self) -> int:
        return int(self.block.shape[1])

    def __repr__(self) -> str:
        return f"Tape({len(self)} bars, {self.fingerprint[:12]}…)"

    def __reduce__(self) -> tuple[Callable[[Floats], Tape], tuple[Any, ...]]:
        # numpy forgets the read-only flag in a plain pickle, and __post_init__ would then copy what nobody else holds.
        return _restore, (self.block,)

    def _row(self, row: int) -> Floats:
        values: Floats = self.block[row]
        return values

    @cached_property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """Bar open times, int64 (T,), microseconds since the Unix epoch, UTC; read-only."""
        stamps: npt.NDArray[np.int64] = self.block[0].astype(np.int64)
        stamps.flags.writeable = False
        return stamps

    @property
    def open(self) -> Floats:
        """First price of each bar, (T,), a read-only view."""
        return self._row(1)

    @property
    def high(self) -> Floats:
        """Highest price of each bar, (T,), a read-only view."""
        return self._row(2)

    @property
    def low(self) -> Floats:
        """Lowest price of each bar, (T,), a read-only view."""
        return self._row(3)

    @property
    def close(self) -> Floats:
        """Last price of each bar, (T,), a read-only view."""
        return self._row(4)

    @property
    def volume(self) -> Floats:
        """Volume of each bar in the source's own unit, (T,), a read-only view; 0 where the source has none."""
        return self._row(5)

    @property
    def funding_rate(self) -> Floats | None:
        """Funding at each bar's open, (T,), a read-only view; 0 where none is due; None where the bars have no funding."""
        return self._row(6) if len(self.block) == len(COLUMNS) else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the block's rows, in order: `ROWS`, and funding_rate where there is funding."""
        return COLUMNS[: len(self.block)]

    @property
    def bars(self) -> int:
        """T, the number of bars."""
        return len(self)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) over a schema tag, the shape and the little-endian bytes of the block."""
        digest = hashlib.sha256(_SCHEMA if self.funding_rate is None else _SCHEMA_FUNDING)
        digest.update(np.array(self.block.shape, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.block, dtype="<f8").data)
        return digest.hexdigest()

    @cached_property
    def periods_per_year(self) -> float:
        """Bars per year as measured: (T-1) x 365.25 days / (last - first timestamp); NaN for one bar or no span."""
        span_us = int(self.timestamps[-1]) - int(self.timestamps[0])
        return (len(self) - 1) * YEAR_US / span_us if span_us else float("nan")

    def head(self, bars: int) -> Tape:
        """The first `bars` bars as a tape of its own.

        Raises:
            InputError: `bars` is not in 1..T.
        """
        return self.cut(0, bars)

    def cut(self, start: int, stop: int) -> Tape:
        """Bars start..stop-1 (counted from 0) as a tape of its own.

        Raises:
            InputError: not 0 <= start < stop <= T.
        """
        if not 0 <= start < stop <= len(self):
            raise InputError(
                f"bars {start} to {stop} cannot be cut from a tape of {len(self)} bars; a cut is 0 <= start < stop <= "
                f"{len(self)}; ask for bars that exist"
            )
        if stop - start == len(self):
            return self
        return Tape(frozen(np.ascontiguousarray(self.block[:, start:stop])))


def frozen(block: Floats) -> Floats:
    """The same array, read-only from now on."""
    block.flags.writeable = False
    return block


def _restore(block: Floats) -> Tape:
    return Tape(frozen(block))


def _require_block(block: object) -> None:
    if not isinstance(block, np.ndarray):
        problem = f"is a {type(block).__name__}"
    elif block.dtype != np.float64 or not block.dtype.isnative:
        problem = f"has dtype {block.dtype.str}"
    elif block.ndim != 2 or block.shape[0] not in (len(ROWS), len(COLUMNS)) or block.shape[1] == 0:
        problem = f"has shape {block.shape}"
    elif not block.flags.c_contiguous:
        problem = "is not contiguous in C order"
    else:
        return
    raise BarsError(
        f"a tape's block {problem}; it must be a native float64 array of shape (6, T >= 1), contiguous in C order, "
        f"with rows {', '.join(ROWS)}, or (7, T) with {FUNDING} as the last; "
        "make bars with read_bars or Bars.from_polars, or use np.ascontiguousarray"
    )
