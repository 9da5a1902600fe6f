"""Funding rates that come in a table of their own: reading them, and joining them to bars by time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import polars as pl

from islands.errors import BarsError, InputError
from islands.market.cells import rates_of, values_of
from islands.market.clocks import times_us
from islands.market.columns import columns_of
from islands.market.files import Table, found_files, require_typed, table_from
from islands.market.instants import duration_text, fixed_us, instant_text
from islands.market.places import Ints, Origin, Rows
from islands.market.reading import Reading
from islands.market.tape import COLUMNS, FUNDING, ROWS, Floats, Tape, frozen

REQUIRED = (ROWS[0], FUNDING)
"""What a table of rates must have."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Funding rates and when they are due: times (N,) in microseconds since the Unix epoch, UTC; rates (N,); their rows."""

    times: Ints
    rates: Floats
    rows: Rows


def rates_from(rates: pl.DataFrame | str | os.PathLike[str], reading: Reading) -> Rates:
    """The rates of a frame, a file or a glob of files.

    Raises:
        BarsError: they cannot be read, a column is missing, or a cell is no time or number.
        InputError: `rates` is no frame and no path, or the reading's time_format is none.
    """
    tables = [_table_of(rates, reading)] if isinstance(rates, pl.DataFrame) else [
        table_from(file, reading, REQUIRED) for file in found_files(rates)
    ]  # fmt: skip
    times, values = [], []
    for table in tables:
        if table.frame.is_empty():
            raise BarsError(f"{table.origin.source}: the table has no rows; give one with funding rates")
        stamps, cells = (table.frame[column] for column in REQUIRED)
        times.append(times_us(stamps, table.columns["timestamp"], table.origin, reading, text=table.text))
        values.append(values_of(rates_of(cells), table.columns[FUNDING], table.origin, times[-1], text=table.text))
    rows = Rows.of(*((table.origin, table.frame.height) for table in tables))
    return Rates(np.concatenate(times), np.concatenate(values), rows)


def with_rates(tape: Tape, rates: Rates, tolerance: str | None, on_unmatched: str | None) -> Tape:
    """The tape with `rates` as its funding: each at the bar that opens at its time, or at most `tolerance` before it.

    Rates before the first bar's open and after the last one's are not of these bars. A rate in between without a bar is
    refused, or left out where `on_unmatched` is "drop".

    Raises:
        BarsError: a rate in between has no bar, two have the same one, or none has one.
        InputError: `tolerance` is no duration of fixed length, or `on_unmatched` neither None nor "drop".
    """
    if on_unmatched not in (None, "drop"):
        raise InputError(f"on_unmatched={on_unmatched!r}: must be None or 'drop'; give one of them")
    slack = 0 if tolerance is None else fixed_us(tolerance)
    opens = tape.timestamps
    due = np.flatnonzero((rates.times >= opens[0]) & (rates.times <= opens[-1] + slack))
    if not len(due):
        source, _ = rates.rows.place(0)
        raise BarsError(
            f"{source}: no rate is due between the bars' first and last open, {instant_text(int(opens[0]))} and "
            f"{instant_text(int(opens[-1]))}; join rates of the same time; is the clock of the rates another (time_zone=)?"
        )
    bar = np.searchsorted(opens, rates.times[due], side="right") - 1
    late = rates.times[due] - opens[bar]
    unmatched = late > slack
    if unmatched.any() and (on_unmatched is None or unmatched.all()):
        _refuse_unmatched(rates, due[unmatched], int(late[unmatched].min()))
    due, bar = due[~unmatched], bar[~unmatched]
    _require_apart(rates, due, bar, opens)
    block = np.zeros((len(COLUMNS), len(opens)))
    block[: len(ROWS)] = tape.block[: len(ROWS)]
    block[-1, bar] = rates.rates[due]
    block[-1] += 0.0  # no -0.0: equal bars have equal fingerprints
    return Tape(frozen(block))


def _table_of(frame: pl.DataFrame, reading: Reading) -> Table:
    require_typed("frame", reading)
    columns = columns_of(frame.columns, reading.mapping, "frame", REQUIRED)
    chosen = frame.select(pl.col(theirs).alias(ours) for ours, theirs in columns.items())
    return Table(chosen, columns, Origin("frame"), text=False)


def _refuse_unmatched(rates: Rates, unmatched: Ints, nearest_us: int) -> NoReturn:
    row = int(unmatched[0])
    source, place = rates.rows.place(row)
    named = ", ".join(instant_text(int(us)) for us in rates.times[unmatched[:3]])
    count = f"{len(unmatched):,} {'rate' if len(unmatched) == 1 else 'rates'}"
    raise BarsError(
        f"{source}, {place} ({instant_text(int(rates.times[row]))}): {FUNDING} is {float(rates.rates[row])!r}, and no bar "
        f"opens then ({count} without a bar: {named}{', …' if len(unmatched) > 3 else ''}); a rate must be due at a bar's "
        f"open; give the rates' clock (time_zone=), allow a delay (tolerance='1s'; the least is "
        f"{duration_text(nearest_us)}), join them to finer bars and resample, or leave those out (on_unmatched='drop')"
    )


def _require_apart(rates: Rates, due: Ints, bar: Ints, opens: Ints) -> None:
    order = np.argsort(bar, kind="stable")
    same = np.flatnonzero(np.diff(bar[order]) == 0)
    if not len(same):
        return
    first, second = (int(due[order[same[0] + step]]) for step in (0, 1))
    source, place = rates.rows.place(second)
    raise BarsError(
        f"{source}, {place} ({instant_text(int(rates.times[second]))}): the bar that opens at "
        f"{instant_text(int(opens[bar[order[same[0]]]]))} already has the rate of {rates.rows.place(first)[1]}; a bar must "
        "have one rate at most; drop one of the two, or allow less tolerance"
    )


def require_mapping(columns: object) -> None:
    """Refuse what is no mapping of names: a table of rates has a header.

    Raises:
        InputError: another type.
    """
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(
            f"columns={columns!r} is a {type(columns).__name__}; for funding rates it must map our names to the table's; "
            'give columns={"timestamp": "Date", "funding_rate": "Funding Rate"}'
        )
