"""Bars: one instrument's OHLCV table, checked at birth, and where it comes from and goes to.

A timestamp is a bar's OPEN time. Nothing is filled, repaired or guessed: what breaks a rule is refused with its place,
because a repaired table would be evaluated as if it had been traded.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from islands.errors import BarsError, InputError, IslandsWarning
from islands.market.cells import arranged, part_of
from islands.market.columns import columns_of
from islands.market.files import Table, found_files, save, stem_of, table_from
from islands.market.funding import rates_from, require_mapping, with_rates
from islands.market.instants import duration_text, instant_text, instant_us, window_us
from islands.market.places import Origin, Rows
from islands.market.prints import Prints, prints_of
from islands.market.reading import Columns, Reading
from islands.market.rules import require_sound
from islands.market.tape import Floats, Tape, frozen

_NAMED_PRINTS = 3


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
        require_sound(self.tape.block, Rows.of((Origin(self.name), len(self.tape))))

    @classmethod
    def from_polars(cls, frame: pl.DataFrame, name: str = "bars", source: str = "frame") -> Bars:
        """Bars from a polars frame with columns timestamp, open, high, low, close and, optionally, volume, funding_rate.

        Usual names of these columns are recognised as `read_bars` does; other columns are ignored; a missing volume is 0.
        `timestamp` is a Datetime of any unit and zone (naive means UTC), a Date or whole numbers whose unit is certain;
        the rest is numeric. Rows stand in the order of time: a frame is sorted by its owner. `source` is what errors
        call it.

        Raises:
            BarsError: a column is missing, or a cell breaks a rule; names source, row, timestamp, value and rule.
            InputError: `frame` is no polars DataFrame.
        """
        if not isinstance(frame, pl.DataFrame):
            raise InputError(
                f"{source} is a {type(frame).__name__}; it must be a polars DataFrame; call .collect() on a lazy "
                "frame, pl.from_pandas on a pandas one"
            )
        columns = columns_of(frame.columns, {}, source)
        chosen = frame.select(pl.col(theirs).alias(ours) for ours, theirs in columns.items())
        part = part_of(Table(chosen, columns, Origin(source), text=False), Reading())
        return _sound(name, part.block, Rows.of((part.origin, len(chosen))))

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
    def funding_rate(self) -> Floats | None:
        """Share of its notional that a long pays at each bar's open, (T,), read-only; None where there is no funding."""
        return self.tape.funding_rate

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
        """The bars as a frame: timestamp (Datetime[us, UTC]), open, high, low, close, volume (Float64).

        Where there is funding, funding_rate (Float64) follows.
        """
        columns = [pl.Series(name, self.tape.block[row]) for row, name in enumerate(self.tape.columns)]
        return pl.DataFrame([_instants("timestamp", self.timestamps), *columns[1:]])

    def gaps(self) -> pl.DataFrame:
        """Where bars are missing, a row for each gap: before, after (Datetime[us, UTC]), missing (Int64).

        `before` and `after` are the bars at the gap's ends; `missing` is how many (median) steps fit between them. Closed
        markets are gaps too: nothing knows their hours here. Gaps are never filled.
        """
        steps = np.diff(self.timestamps)
        missing = np.rint(steps / self.step_us).astype(np.int64) - 1 if self.step_us else np.zeros(0, dtype=np.int64)
        rows = np.flatnonzero(missing > 0)
        before, after = self.timestamps[rows], self.timestamps[rows + 1]
        return pl.DataFrame([_instants("before", before), _instants("after", after), pl.Series("missing", missing[rows])])

    def suspicious_prints(self) -> pl.DataFrame:
        """Prices that probably were never traded, a row for each bar: timestamp, column, value, reference (a price).

        A price is suspicious where it lies beyond both the close before and the price after it (`reference` is the nearer
        one) by more than 5 % and more than 12 times the median log range of the 50 bars up to it (of the first 50 for
        these): it came and went at once. Of several in one bar the farthest is named. They stay in the bars.
        """
        prints = self._prints
        return pl.DataFrame(
            [
                _instants("timestamp", self.timestamps[prints.rows]),
                pl.Series("column", [self.tape.columns[row] for row in prints.columns], dtype=pl.String),
                pl.Series("value", prints.values),
                pl.Series("reference", prints.references),
            ]
        )

    @cached_property
    def _prints(self) -> Prints:
        return prints_of(self.tape)

    def summary(self) -> str:
        """What there is and what is odd about it, a line each: span, gaps, volume, flat bars, suspicious prints, funding."""
        rates = self.funding_rate
        return "\n".join(
            (
                repr(self),
                f"gaps: {_gaps_text(self.gaps())}",
                f"volume: 0 in {int((self.volume == 0).sum()):,} bars",
                f"flat bars (high = low): {int((self.high == self.low).sum()):,}",
                f"suspicious prints: {_prints_text(self)}",
                "funding: none" if rates is None else f"funding: due in {int((rates != 0).sum()):,} bars",
            )
        )

    def with_funding(
        self,
        rates: pl.DataFrame | str | os.PathLike[str],
        columns: Mapping[str, str] | None = None,
        *,
        tolerance: str | None = None,
        on_unmatched: str | None = None,
        time_zone: str | None = None,
        time_format: str | None = None,
        time_unit: str | None = None,
        delimiter: str | None = None,
    ) -> Bars:
        """These bars with the funding rates of a frame or file, joined by time.

        Needed are the columns timestamp and funding_rate, recognised or mapped as `read_bars` does, whose options these
        are. A rate belongs to the bar that opens at its time, or, with `tolerance` (a duration such as "1s"), at most so
        long before it. Rates before the first bar and after the last one are left out; one in between without a bar (an
        outage) is refused, or left out with on_unmatched="drop". Bars without a rate have 0. Funding that the bars carried
        already is replaced.

        Raises:
            BarsError: the file or frame cannot be read, a rate in between has no bar or two have one, or none matches.
            InputError: an option is none.
        """
        require_mapping(columns)
        reading = Reading(columns, time_zone, time_format, time_unit, delimiter=delimiter)
        return Bars(self.name, with_rates(self.tape, rates_from(rates, reading), tolerance, on_unmatched))

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

        A funding rate is due at its bar's open, from the position held into it. That position is the one held into the
        first coarser bar that opens then or later, so there the rates are summed. Rates after the last one's open have no
        such bar and are left out.

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
        block = np.empty((len(self.tape.block), len(first)))
        block[0] = windows[first]
        block[1] = self.open[first]
        block[2] = np.maximum.reduceat(self.high, first)
        block[3] = np.minimum.reduceat(self.low, first)
        block[4] = self.close[last]
        block[5] = np.add.reduceat(self.volume, first)
        if self.funding_rate is not None:
            payer = np.searchsorted(block[0], self.timestamps)
            block[6] = np.bincount(payer, weights=self.funding_rate, minlength=len(first))[: len(first)]
        return Bars(self.name, Tape(frozen(block)))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `to_polars` to .parquet, .arrow (.feather, .ipc) or .csv; a file that exists is replaced.

        `read_bars` gives the same bars back, bit for bit, from each of them.

        Raises:
            BarsError: an unknown suffix, or the file cannot be written.
        """
        save(self.to_polars(), path)


def read_bars(
    path: str | os.PathLike[str],
    name: str | None = None,
    columns: Columns | None = None,
    *,
    time_zone: str | None = None,
    time_format: str | None = None,
    time_unit: str | None = None,
    bar_time: str = "open",
    scale: float = 1.0,
    sort: bool = False,
    on_duplicate: str | None = None,
    delimiter: str | None = None,
) -> Bars:
    """Bars from a text (.csv, .txt, .tsv, also .gz), Parquet or Arrow IPC (.arrow, .feather, .ipc) file, or a glob of such.

    The files of a glob are read one after the other in the order of their names, and must continue each other. Needed
    are the columns timestamp, open, high, low and close; volume is 0 and funding_rate none where the file has none; no
    other column is read. `name` is taken from the file's. What is recognised without being told, and what each option
    does, is in docs/bars.md; `islands.market.reading.Reading` lists the options. What can be read in two ways is refused.

    An IslandsWarning names suspicious prints (`Bars.suspicious_prints`), which stay in the bars.

    Raises:
        BarsError: the file is missing or unreadable, or its table breaks a rule; names file, row, timestamp, value and
            rule. A row is the data row in its own file, counted from 1.
        InputError: `path` is no path, or an option is none.
    """
    reading = Reading(
        columns, time_zone, time_format, time_unit, bar_time, scale, sort, on_duplicate, delimiter
    )  # fmt: skip
    files = found_files(path)
    block, rows = arranged([part_of(table_from(file, reading), reading) for file in files], reading)
    bars = _sound(_name_of(files) if name is None else name, block, rows)
    if len(bars.suspicious_prints()):
        warnings.warn(f"{path}: suspicious prints: {_prints_text(bars)}; they stay in the bars", IslandsWarning, stacklevel=2)
    return bars


def _sound(name: str, block: Floats, rows: Rows) -> Bars:
    # Bars check themselves as well, but only here the rows' sources are known.
    require_sound(block, rows)
    return Bars(name, Tape(frozen(block)))


def _gaps_text(gaps: pl.DataFrame) -> str:
    """How many gaps there are, the bars that are missing, and the longest gap."""
    if gaps.is_empty():
        return "none"
    before, missing = gaps["before"].to_physical(), gaps["missing"]
    longest = int(missing.arg_max() or 0)
    return (
        f"{len(gaps):,} ({missing.sum():,} bars by the median step, the longest of {missing[longest]:,} after "
        f"{instant_text(int(before[longest]))})"
    )


def _prints_text(bars: Bars) -> str:
    """How many suspicious prints there are, and the first few."""
    prints = bars.suspicious_prints()
    if prints.is_empty():
        return "none"
    first = [
        f"{column} {value:g} at {instant_text(int(us))} (beside {reference:g})"
        for us, column, value, reference in prints.head(_NAMED_PRINTS).with_columns(pl.col("timestamp").to_physical()).rows()
    ]
    more = f" and {len(prints) - _NAMED_PRINTS} more" if len(prints) > _NAMED_PRINTS else ""
    return f"{len(prints)} ({', '.join(first)}{more})"


def _instants(name: str, us: npt.NDArray[np.int64]) -> pl.Series:
    return pl.Series(name, us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def _name_of(files: Sequence[Path]) -> str:
    """The words that the files' names have in common at their beginning, else the first file's name."""
    stems = [stem_of(file) for file in files]
    if len(stems) == 1:
        return stems[0]
    words = [re.split(r"[ _.-]+", stem) for stem in stems]
    shared = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))]
    return "_".join(shared) or stems[0]


def _window_starts(timestamps: npt.NDArray[np.int64], rule: str) -> npt.NDArray[np.int64]:
    """The start of the window that each timestamp lies in, int64 (T,), microseconds."""
    return pl.Series(timestamps).cast(pl.Datetime("us")).dt.truncate(rule).to_physical().to_numpy()
