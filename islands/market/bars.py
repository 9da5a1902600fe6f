"""Bars: one instrument's OHLCV table, checked at birth, and where it comes from and goes to.

A timestamp is a bar's OPEN time. Nothing is filled, sorted, repaired or guessed: what breaks a rule is refused with its
place, because a repaired table would be evaluated as if it had been traded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from islands.errors import BarsError, InputError
from islands.market.files import found_files, part_from, save
from islands.market.instants import duration_text, instant_text, instant_us, window_us
from islands.market.rules import Part, columns_of, joined, part_of, require_sound
from islands.market.tape import ROWS, Floats, Tape, frozen


@dataclass(frozen=True, eq=False, repr=False)
class Bars:
    """One instrument's bars: a name and a tape that obeys every rule of `islands.market.rules`.

    Bars are immutable; `between` and `resample` give new ones. Compare them by `fingerprint`, which does not depend on
    the name.

    Raises:
        BarsError: the tape breaks a rule.
        InputError: the name is empty.
    """

    name: str
    tape: Tape

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError(f"{self.name!r} is no name for bars; a name is text that is not empty; give name='BTC'")
        if not isinstance(self.tape, Tape):
            raise InputError(
                f"bars {self.name!r} are made of a Tape, not of a {type(self.tape).__name__}; use Bars.from_polars"
            )
        require_sound(self.tape.block, [(self.name, len(self.tape))])

    @classmethod
    def from_polars(cls, frame: pl.DataFrame, name: str = "bars", source: str = "frame") -> Bars:
        """Bars from a polars frame with columns timestamp, open, high, low, close and, optionally, volume.

        Column names match whatever their case; other columns are ignored; a missing volume is 0. `timestamp` is a
        Datetime of any unit and zone (naive means UTC) or a Date; the rest is numeric. `source` is what errors call it.

        Raises:
            BarsError: a column is missing, or a cell breaks a rule; names source, row, timestamp, value and rule.
            InputError: `frame` is no polars DataFrame.
        """
        if not isinstance(frame, pl.DataFrame):
            raise InputError(
                f"{source} is a {type(frame).__name__}; it must be a polars DataFrame; call .collect() on a lazy "
                "frame, pl.from_pandas on a pandas one"
            )
        columns = columns_of(frame.columns, None, source)
        chosen = frame.select(pl.col(theirs).alias(ours) for ours, theirs in columns.items())
        return _bars(name, [part_of(chosen, columns, source, text=False)])

    def __len__(self) -> int:
        return len(self.tape)

    def __repr__(self) -> str:
        first, last = (instant_text(int(self.timestamps[row])) for row in (0, -1))
        step = duration_text(self.step_us) if self.step_us else "unknown"
        count = f"{len(self):,} {'bar' if len(self) == 1 else 'bars'}"
        return f"Bars({self.name!r}, {count}, {first} – {last}, step {step})"

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """Bar open times, int64 (T,), microseconds since the Unix epoch, UTC; read-only."""
        return self.tape.timestamps

    @property
    def open(self) -> Floats:
        """First price of each bar, (T,), read-only."""
        return self.tape.open

    @property
    def high(self) -> Floats:
        """Highest price of each bar, (T,), read-only."""
        return self.tape.high

    @property
    def low(self) -> Floats:
        """Lowest price of each bar, (T,), read-only."""
        return self.tape.low

    @property
    def close(self) -> Floats:
        """Last price of each bar, (T,), read-only."""
        return self.tape.close

    @property
    def volume(self) -> Floats:
        """Volume of each bar in the source's own unit, (T,), read-only; 0 where the source has none."""
        return self.tape.volume

    @property
    def periods_per_year(self) -> float:
        """Bars per year as measured: (T-1) x 365.25 days / (last - first timestamp); NaN for one bar."""
        return self.tape.periods_per_year

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the tape: the same for the same bars, whatever file or name they come from."""
        return self.tape.fingerprint

    @cached_property
    def step_us(self) -> int:
        """The median time between two bars in microseconds; 0 for one bar."""
        return int(np.median(np.diff(self.timestamps))) if len(self) > 1 else 0

    def to_polars(self) -> pl.DataFrame:
        """The bars as a frame: timestamp (Datetime[us, UTC]), open, high, low, close, volume (Float64)."""
        stamps = pl.Series("timestamp", self.timestamps).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame([stamps, *(pl.Series(row, self.tape.block[ROWS.index(row)]) for row in ROWS[1:])])

    def between(self, start: datetime | date | str | None = None, stop: datetime | date | str | None = None) -> Bars:
        """The bars that open in [start, stop): at or after `start`, before `stop`; None is without limit.

        Limits are datetimes, dates (their midnight) or ISO 8601 strings; naive means UTC.

        Raises:
            InputError: a limit is none, or stop <= start.
            BarsError: no bar opens in between.
        """
        start_us = instant_us(start) if start is not None else None
        stop_us = instant_us(stop) if stop is not None else None
        if start_us is not None and stop_us is not None and stop_us <= start_us:
            raise InputError(
                f"between({start!r}, {stop!r}): the end {instant_text(stop_us)} is not after the start "
                f"{instant_text(start_us)}; the interval is [start, stop); give a later end"
            )
        low = 0 if start_us is None else int(np.searchsorted(self.timestamps, start_us))
        high = len(self) if stop_us is None else int(np.searchsorted(self.timestamps, stop_us))
        if low == high:
            first, last = (instant_text(int(self.timestamps[row])) for row in (0, -1))
            raise BarsError(
                f"bars {self.name!r} have none between {start!r} and {stop!r}; they open from {first} to {last}; "
                "bars must not be empty; choose an interval that holds some"
            )
        return Bars(self.name, self.tape.cut(low, high))

    def resample(self, rule: str) -> Bars:
        """Coarser bars: one for each window of length `rule` in which bars open, stamped with the window's start.

        `rule` is a duration as polars writes it ("15m", "1h", "1d", "1w", "1mo"). Windows are closed on the left and
        lie where polars puts them in UTC: counted from the Unix epoch, days at midnight, weeks from Monday, months from
        their first. Open is the first, high the largest, low the smallest, close the last, volume the sum. Windows
        without bars are left out; the first and the last window may be incomplete.

        Raises:
            InputError: `rule` is no duration.
            BarsError: `rule` is finer than the bars' own (median) step.
        """
        if window_us(rule) < self.step_us:
            raise BarsError(
                f"bars {self.name!r} have a (median) step of {duration_text(self.step_us)}, and {rule!r} is finer; "
                "bars cannot be made from coarser ones; choose a longer rule, or read finer data"
            )
        windows = _window_starts(self.timestamps, rule)
        first = np.flatnonzero(np.concatenate(([True], windows[1:] != windows[:-1])))
        last = np.append(first[1:], len(self)) - 1
        block = np.empty((len(ROWS), len(first)))
        block[0] = windows[first]
        block[1] = self.open[first]
        block[2] = np.maximum.reduceat(self.high, first)
        block[3] = np.minimum.reduceat(self.low, first)
        block[4] = self.close[last]
        block[5] = np.add.reduceat(self.volume, first)
        return Bars(self.name, Tape(frozen(block)))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `to_polars` to .parquet, .arrow (.feather, .ipc) or .csv; a file that exists is replaced.

        `read_bars` gives the same bars back, bit for bit, from each of them.

        Raises:
            BarsError: an unknown suffix, or the file cannot be written.
        """
        save(self.to_polars(), path)


def read_bars(path: str | os.PathLike[str], name: str | None = None, columns: Mapping[str, str] | None = None) -> Bars:
    """Bars from a CSV (.csv), Parquet (.parquet) or Arrow IPC (.arrow, .feather, .ipc) file, or from a glob of such.

    The files of a glob are read one after the other in the order of their names, and must continue each other. Needed
    are the columns timestamp, open, high, low and close; volume is 0 where there is none; names match whatever their
    case, and no other column is read. `columns` maps our names to the file's: {"timestamp": "Date"}. Timestamps are
    datetimes of any unit and zone or dates, in CSV ISO 8601 text; naive means UTC. `name` is taken from the file's.

    Raises:
        BarsError: the file is missing or unreadable, or its table breaks a rule; names file, row, timestamp, value and
            rule. A row is the data row in its own file, counted from 1.
        InputError: `path` is no path, or `columns` no mapping.
    """
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(
            f"columns={columns!r} is a {type(columns).__name__}; it must map our names to the file's; give "
            'columns={"timestamp": "Date"}'
        )
    files = found_files(path)
    parts = [part_from(file, columns) for file in files]
    return _bars(_name_of(files) if name is None else name, parts)


def _bars(name: str, parts: Sequence[Part]) -> Bars:
    block = joined(parts)
    # Bars check themselves as well, but only here the rows' sources are known.
    require_sound(block, [(part.source, part.block.shape[1]) for part in parts])
    return Bars(name, Tape(frozen(block)))


def _name_of(files: Sequence[Path]) -> str:
    """The words that the files' names have in common at their beginning, else the first file's name."""
    if len(files) == 1:
        return files[0].stem
    words = [re.split(r"[ _.-]+", file.stem) for file in files]
    shared = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))]
    return "_".join(shared) or files[0].stem


def _window_starts(timestamps: npt.NDArray[np.int64], rule: str) -> npt.NDArray[np.int64]:
    """The start of the window that each timestamp lies in, int64 (T,), microseconds."""
    return pl.Series(timestamps).cast(pl.Datetime("us")).dt.truncate(rule).to_physical().to_numpy()
