"""Cells of one table as numbers, and several tables as one block in the order of time.

A table is turned into a `Part`; `arranged` joins parts, puts their rows in order as far as the reading allows, and makes
opening times of closing times. Cells that are no numbers are refused here, numbers that break a rule in `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from islands.errors import BarsError
from islands.market.clocks import times_us
from islands.market.files import Table
from islands.market.places import Ints, Origin, Rows, bad_cell, first_null, quoted, require_present
from islands.market.reading import Reading
from islands.market.tape import COLUMNS, FUNDING, ROWS, Floats

_TICKS_US = ((1, 1_000_000), (1_000, 1_000_000), (1_000_000, 60_000_000))
"""The last instant of a bar, as some sources stamp its close: (one tick before, a whole second or minute)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table's numbers: block is float64 (6, T), or (7, T) with funding, in the order of the table's rows."""

    origin: Origin
    block: Floats
    has_volume: bool


def part_of(table: Table, reading: Reading) -> Part:
    """The numbers of one table. Cells of a text file are parsed; in a typed table text is not a number.

    Raises:
        BarsError: the table is empty, or a cell is missing or no number, or a timestamp is none.
        InputError: the reading's time_format is none.
    """
    frame, columns, origin = table.frame, table.columns, table.origin
    if not frame.height:
        raise BarsError(f"{origin.source}: the table has no rows; bars need at least one; give a file with data rows")
    times = times_us(frame["timestamp"], columns["timestamp"], origin, reading, text=table.text)
    block = np.zeros((len(COLUMNS) if FUNDING in columns else len(ROWS), frame.height))
    block[0] = times
    for row, ours in enumerate(COLUMNS[1 : len(block)], start=1):
        if ours in columns:
            cells = rates_of(frame[ours]) if ours == FUNDING else frame[ours]
            block[row] = values_of(cells, columns[ours], origin, times, text=table.text)
    _scale(block[1:5], reading.scale)
    block[5:] += 0.0  # -0.0 becomes 0.0: equal bars have equal fingerprints
    return Part(origin, block, has_volume="volume" in columns)


def rates_of(cells: pl.Series) -> pl.Series:
    """Funding rates with 0 where there is none: an empty cell or NaN."""
    if cells.dtype == pl.Null:
        return cells.cast(pl.Float64).fill_null(0.0)
    if cells.dtype == pl.String:
        blank = cells.is_null() | cells.str.strip_chars().str.to_lowercase().is_in(["", "nan"])
        return cells.zip_with(~blank, pl.repeat("0", len(cells), dtype=pl.String, eager=True))
    if cells.dtype.is_float():
        return cells.fill_nan(0.0).fill_null(0.0)
    return cells.fill_null(0) if cells.dtype.is_numeric() else cells


def values_of(cells: pl.Series, column: str, origin: Origin, times: Ints | None, *, text: bool) -> Floats:
    """The cells of one column as float64 (T,).

    Raises:
        BarsError: a cell is missing, or is not a number.
    """
    require_present(cells, column, origin, times)
    parsed = text and cells.dtype == pl.String
    if not parsed and not cells.dtype.is_numeric():
        way_out = f"cast the column first, for example pl.col({column!r}).cast(pl.Float64)"
        what = f"{column!r} is {_shown(cells[:1])} ({cells.dtype})"
        raise bad_cell(origin, 0, what, "must be a number", way_out, times=times)
    bare = cells.str.strip_chars(" ") if parsed else cells
    numbers = bare.cast(pl.Float64, strict=False)
    if numbers.null_count():
        row = first_null(numbers)
        way_out = "write plain numbers with a decimal point and no separators, or convert the column with polars"
        raise bad_cell(origin, row, f"{column!r} is {quoted(cells[row])}", "must be a number", way_out, times=times)
    return numbers.to_numpy()


def arranged(parts: Sequence[Part], reading: Reading) -> tuple[Floats, Rows]:
    """All parts as one block, (6, sum of T) or (7, sum of T), and where its rows came from.

    A part that runs from its newest row to its oldest is turned round. With `reading.sort` all rows are sorted by time;
    with `reading.on_duplicate` one of neighbouring rows of one time is kept; with bar_time="close" the times become
    opening times. Rows that are out of order after that are left for the rules to refuse.

    Raises:
        BarsError: some parts have a volume or funding column and others have none, or no step can be measured.
    """
    _require_alike(parts, [part.has_volume for part in parts], "volume")
    _require_alike(parts, [len(part.block) == len(COLUMNS) for part in parts], FUNDING)
    block = parts[0].block if len(parts) == 1 else np.concatenate([part.block for part in parts], axis=1)
    rows = Rows.of(*((part.origin, part.block.shape[1]) for part in parts))
    order = _order(parts, block[0], reading)
    if reading.on_duplicate is not None:
        order = _distinct(order, block[0], reading.on_duplicate)
    if len(order) < block.shape[1] or (np.diff(order) != 1).any():
        block, rows = np.ascontiguousarray(block[:, order]), rows.taken(order)
    if reading.bar_time == "close":
        block[0] = _opening_times(block[0], rows)
    return block, rows


def _scale(prices: Floats, scale: float) -> None:
    """Prices times `scale`, in place.

    Where the inverse is a whole number prices are divided by it: 80439 / 100000 is the double nearest to 0.80439,
    80439 * 1e-5 is not.
    """
    inverse = round(1.0 / scale) if 1e-15 < scale < 1.0 else 0
    if inverse and abs(inverse * scale - 1.0) < 1e-12:
        prices /= inverse
    elif scale != 1.0:
        with np.errstate(over="ignore"):  # the rules refuse what leaves the range of float64
            prices *= scale


def _shown(cells: pl.Series) -> str:
    # A date can be too far for Python, and even for polars, to print.
    try:
        return quoted(cells[0])
    except (OverflowError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return "a cell that cannot be shown"


def _require_alike(parts: Sequence[Part], has: Sequence[bool], column: str) -> None:
    if all(has) or not any(has):
        return
    one, other = (parts[list(has).index(flag)].origin.source for flag in (True, False))
    raise BarsError(
        f"{other}: has no column {column!r}, but {one} has one; files of one instrument must agree; "
        "add the column, or read the files apart"
    )


def _order(parts: Sequence[Part], times: Floats, reading: Reading) -> npt.NDArray[np.intp]:
    """The order in which rows are taken; rows of one time keep the order of their file."""
    if reading.sort:
        return np.argsort(times, kind="stable")
    order = np.arange(len(times))
    start = 0
    for part in parts:
        stop = start + part.block.shape[1]
        steps = np.diff(times[start:stop])
        if (steps <= 0).all() and (steps < 0).any():
            order[start:stop] = start + np.argsort(times[start:stop], kind="stable")
        start = stop
    return order


def _distinct(order: npt.NDArray[np.intp], times: Floats, keep: str) -> npt.NDArray[np.intp]:
    """`order` with one of neighbours of one time."""
    differs = np.diff(times[order]) != 0
    return order[np.concatenate(([True], differs)) if keep == "first" else np.concatenate((differs, [True]))]


def _opening_times(closes: Floats, rows: Rows) -> Floats:
    """Opening times of bars that are stamped with their closing times, (T,).

    A bar opens one nominal (median) step before it closes, but not before the bar ahead of it has closed: months have
    no fixed length. A close stamped with the bar's last instant (23:59:59.999) is first moved up to the next bar's open.
    """
    steps = np.diff(closes)
    if (steps <= 0).any():
        return closes
    if not len(steps):
        source, place = rows.place(0)
        raise BarsError(
            f"{source}, {place}: is the only bar, and bar_time='close' needs the step between two to know when it opened; "
            "give more bars, or stamp the bar with its open and leave bar_time out"
        )
    step = np.floor(np.median(steps))
    for tick, whole in _TICKS_US:
        if step >= whole and ((closes + tick) % whole == 0).all():
            closes = closes + tick
            break
    opens: Floats = np.maximum(closes - step, np.concatenate(([-np.inf], closes[:-1])))
    return opens
