"""What a table of bars must obey, and how it becomes a block of numbers.

Two steps. `values_of` turns the columns of one table into numbers and refuses cells that are none; `require_sound`
reads the finished block against `RULES` and refuses the first row that breaks one. Every refusal names source, row,
timestamp, value, rule and way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from islands.errors import BarsError
from islands.market.instants import DAY_US, LIMIT_US, instant_text
from islands.market.tape import ROWS, Floats

REQUIRED = ROWS[:5]
OPTIONAL = ROWS[5:]

_MEND = "mend or drop that row, then read the bars again"
_NO_EPOCH = "must be a date or time, and a bare number has no unit"
_ISO = (
    r"^(\d{4}-[01]\d-[0-3]\d)(?:[T ]([0-2]\d:[0-5]\d)(:[0-5]\d)?(?:[.,](\d{1,9}))?\s?"
    r"(?:(Z)|([+-])([01]\d|2[0-3])(?::?([0-5]\d))?)?)?$"
)
_TO_US = {"ms": (1, 1_000), "us": (1, 1), "ns": (1_000, 1)}
"""Unit of a polars Datetime -> (divide by, multiply by) to reach microseconds."""

_OTHER_WORDS = {
    "timestamp": ("date", "datetime", "date_time", "time", "open_time", "opentime", "gmt time", "ts", "unix", "index"),
    "open": ("o", "open_price", "opening"),
    "high": ("h", "high_price", "max"),
    "low": ("l", "low_price", "min"),
    "close": ("c", "close_price", "adj close", "adj_close", "last", "price"),
    "volume": ("v", "vol", "tick_volume", "volume_usd", "volume usdt"),
}
"""What other sources call our columns. Only named in an error: bars are never read by a guess."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table's numbers: block is float64 (6, T), `source` the file or frame it came from."""

    source: str
    block: Floats
    has_volume: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that every row obeys.

    `broken` takes the block (6, T) and gives the mask (T,) of the rows that break it. `columns` are shown with their
    values, or, where the rule compares a row with the one before (`with_previous`), both rows' timestamps. `text` says
    the rule, `way_out` what to do.
    """

    columns: tuple[str, ...]
    broken: Callable[[Floats], npt.NDArray[np.bool_]]
    text: str
    way_out: str = _MEND
    with_previous: bool = False


def _not_finite(column: str) -> Rule:
    row = ROWS.index(column)
    return Rule((column,), lambda block: ~np.isfinite(block[row]), "every cell must be a finite number")


def _not_positive(column: str) -> Rule:
    row = ROWS.index(column)
    return Rule(
        (column,),
        lambda block: block[row] <= 0,
        "prices must be positive",
        "mend or drop that row (prices that may be negative, such as spreads, cannot be evaluated)",
    )


def _below(column: str, other: str, text: str) -> Rule:
    row, other_row = ROWS.index(column), ROWS.index(other)
    return Rule((column, other), lambda block: block[row] < block[other_row], text)


def _not_after(compare: Callable[[Floats, Floats], npt.NDArray[np.bool_]]) -> Callable[[Floats], npt.NDArray[np.bool_]]:
    def broken(block: Floats) -> npt.NDArray[np.bool_]:
        return np.concatenate(([False], compare(block[0, 1:], block[0, :-1])))

    return broken


_HIGHEST = "the high must be the bar's highest price"
_LOWEST = "the low must be the bar's lowest price"

RULES: tuple[Rule, ...] = (
    Rule(
        ("timestamp",),
        lambda block: ~((np.abs(block[0]) <= LIMIT_US) & (np.floor(block[0]) == block[0])),
        "a timestamp must be whole microseconds between the years 1684 and 2255, where they are exact",
    ),
    *(_not_finite(column) for column in ROWS[1:]),
    *(_not_positive(column) for column in ROWS[1:5]),
    _below("high", "low", "the high must not be below the low"),
    _below("high", "open", _HIGHEST),
    _below("high", "close", _HIGHEST),
    _below("open", "low", _LOWEST),
    _below("close", "low", _LOWEST),
    Rule(("volume",), lambda block: block[5] < 0, "volume must not be negative"),
    Rule(
        ("timestamp",),
        _not_after(np.equal),
        "a timestamp must not be given twice",
        "keep one row for each timestamp, for example frame.unique('timestamp', keep='first', maintain_order=True)",
        with_previous=True,
    ),
    Rule(
        ("timestamp",),
        _not_after(np.less),
        "rows must be sorted by timestamp, oldest first",
        "sort them, for example frame.sort('timestamp'); files of a glob are read in the order of their names",
        with_previous=True,
    ),
)
"""In the order in which they speak where one row breaks several."""


def columns_of(names: Sequence[str], wanted: Mapping[str, str] | None, source: str) -> dict[str, str]:
    """Which of the table's columns `names` is which of ours: our name -> its name; volume only where there is one.

    `wanted` is the user's own choice (our name -> its name); the rest matches by name, whatever the case.

    Raises:
        BarsError: a required column is missing, two match one name, or `wanted` names what does not exist.
    """
    chosen = _wanted_columns(names, wanted or {}, source)
    for ours in ROWS:
        if ours in chosen:
            continue
        matches = [name for name in names if name.lower() == ours and name not in chosen.values()]
        if len(matches) > 1:
            raise BarsError(
                f"{source}: the columns {_listed(matches)} all match {ours!r}; one must; say which with "
                f'columns={{"{ours}": "{matches[0]}"}}, or rename the others'
            )
        if matches:
            chosen[ours] = matches[0]
    missing = [ours for ours in REQUIRED if ours not in chosen]
    if missing:
        _refuse_missing(missing, names, set(chosen.values()), source)
    return {ours: chosen[ours] for ours in ROWS if ours in chosen}


def part_of(frame: pl.DataFrame, columns: Mapping[str, str], source: str, *, text: bool) -> Part:
    """The numbers of one table.

    `frame` has our column names; `columns` (our name -> the table's name) says what the user calls them. `text` tells
    that the table is a text file: cells are parsed. In a typed table text is not a number.

    Raises:
        BarsError: the table is empty, or a cell is missing or no number, or a timestamp is none.
    """
    if not frame.height:
        raise BarsError(f"{source}: the table has no rows; bars need at least one; give a file with data rows")
    stamps = _timestamps_us(frame["timestamp"], columns["timestamp"], source, text)
    block = np.zeros((len(ROWS), frame.height))
    block[0] = stamps
    for row, ours in enumerate(ROWS[1:], start=1):
        if ours in columns:
            block[row] = values_of(frame[ours], columns[ours], source, stamps, text)
    block[5] += 0.0  # -0.0 becomes 0.0: equal bars have equal fingerprints
    return Part(source, block, has_volume="volume" in columns)


def values_of(cells: pl.Series, column: str, source: str, stamps: npt.NDArray[np.int64] | None, text: bool) -> Floats:
    """The cells of one column as float64 (T,).

    Raises:
        BarsError: a cell is missing, or is not a number.
    """
    _require_present(cells, column, source, stamps)
    parsed = text and cells.dtype == pl.String
    if not parsed and not cells.dtype.is_numeric():
        way_out = f"cast the column first, for example pl.col({column!r}).cast(pl.Float64)"
        _refuse_cell(source, 0, stamps, f"{column!r} is {cells[0]!r} ({cells.dtype})", "must be a number", way_out)
    numbers = cells.cast(pl.Float64, strict=False)
    if numbers.null_count():
        row = _first_null(numbers)
        way_out = "write plain numbers with a decimal point and no separators, or convert the column with polars"
        _refuse_cell(source, row, stamps, f"{column!r} is {cells[row]!r}", "must be a number", way_out)
    return numbers.to_numpy()


def joined(parts: Sequence[Part]) -> Floats:
    """The blocks of all parts one after the other, (6, sum of T).

    Raises:
        BarsError: some parts have a volume column and others have none.
    """
    with_volume = [part.source for part in parts if part.has_volume]
    without = [part.source for part in parts if not part.has_volume]
    if with_volume and without:
        raise BarsError(
            f"{without[0]}: has no column 'volume', but {with_volume[0]} has one; files of one instrument must agree; "
            "add the column, or read the files apart"
        )
    return parts[0].block if len(parts) == 1 else np.concatenate([part.block for part in parts], axis=1)


def require_sound(block: Floats, sources: Sequence[tuple[str, int]]) -> None:
    """Check a block (6, T) against `RULES`; `sources` are the (source, number of rows) it was joined from.

    Raises:
        BarsError: names the first row that breaks a rule, and how many rows break that rule.
    """
    first, worst, count = block.shape[1], None, 0
    for rule in RULES:
        broken = rule.broken(block)
        if broken.any():
            row = int(broken.argmax())
            if row < first:
                first, worst, count = row, rule, int(broken.sum())
    if worst is not None:
        _refuse_row(block, sources, first, worst, count)


def _refuse_row(block: Floats, sources: Sequence[tuple[str, int]], row: int, rule: Rule, count: int) -> NoReturn:
    source, source_row = _located(sources, row)
    if rule.with_previous:
        before, before_row = _located(sources, row - 1)
        place = f"row {before_row}" if before == source else f"row {before_row} of {before}"
        what = f"the timestamp follows {instant_text(int(block[0, row - 1]))} in {place}"
    else:
        what = ", ".join(f"{column} is {float(block[ROWS.index(column), row])!r}" for column in rule.columns)
    others = f" ({count - 1} more {'row breaks' if count == 2 else 'rows break'} this rule)" if count > 1 else ""
    when = instant_text(int(block[0, row])) if np.isfinite(block[0, row]) else "no time"
    raise BarsError(f"{source}, row {source_row} ({when}): {what}; {rule.text}{others}; {rule.way_out}")


def _located(sources: Sequence[tuple[str, int]], row: int) -> tuple[str, int]:
    """The source of a row (counted from 0 over all sources) and its data row there (counted from 1)."""
    for source, rows in sources:
        if row < rows:
            return source, row + 1
        row -= rows
    raise IndexError(row)


def _refuse_cell(source: str, row: int, stamps: npt.NDArray[np.int64] | None, what: str, rule: str, way_out: str) -> NoReturn:
    """A cell that never became a number; `row` counts from 0, `stamps` is None where the timestamp itself is bad."""
    when = f" ({instant_text(int(stamps[row]))})" if stamps is not None else ""
    raise BarsError(f"{source}, row {row + 1}{when}: {what}; it {rule}; {way_out}")


def _require_present(cells: pl.Series, column: str, source: str, stamps: npt.NDArray[np.int64] | None) -> None:
    if not cells.null_count():
        return
    count = cells.null_count()
    others = f" ({count - 1} more in this column)" if count > 1 else ""
    _refuse_cell(source, _first_null(cells), stamps, f"{column!r} is null{others}", "must not be missing", _MEND)


def _first_null(cells: pl.Series) -> int:
    return int(cells.is_null().arg_max() or 0)


def _timestamps_us(cells: pl.Series, column: str, source: str, text: bool) -> npt.NDArray[np.int64]:
    """Bar open times in microseconds since the Unix epoch, UTC, int64 (T,)."""
    _require_present(cells, column, source, None)
    kind = cells.dtype
    if isinstance(kind, pl.Datetime):
        divisor, factor = _TO_US[kind.time_unit]
        ticks = cells.to_physical().to_numpy()
        finer = ticks % divisor != 0
        if finer.any():
            row = int(finer.argmax())
            _refuse_finer(cells[row : row + 1].dt.to_string("%Y-%m-%d %H:%M:%S%.9f")[0], column, source, row)
        return _in_range(ticks // divisor, factor, column, source)
    if kind == pl.Date:
        return _in_range(cells.to_physical().to_numpy().astype(np.int64), DAY_US, column, source)
    if text and kind == pl.String:
        return _parsed_us(cells, column, source)
    value = f"{column!r} is {cells[0]!r} ({kind})"
    if kind.is_numeric():
        _refuse_cell(source, 0, None, value, _NO_EPOCH, _epoch_hint(column))
    way_out = f"convert it first, for example pl.col({column!r}).str.to_datetime(), then Bars.from_polars"
    _refuse_cell(source, 0, None, value, "must be a polars Datetime or Date", way_out)


def _in_range(ticks: npt.NDArray[np.int64], factor: int, column: str, source: str) -> npt.NDArray[np.int64]:
    """Ticks of `factor` microseconds as microseconds, int64 (T,)."""
    limit = LIMIT_US // factor
    far = (ticks > limit) | (ticks < -limit)
    if far.any():
        row = int(far.argmax())
        # In plain Python: the cell itself can be too far for polars to print.
        what = f"{column!r} is {instant_text(int(ticks[row]) * factor)}"
        rule = "must lie between the years 1684 and 2255, where microseconds are exact"
        _refuse_cell(source, row, None, what, rule, "mend that cell, or the unit of the whole column")
    return ticks * factor


def _parsed_us(cells: pl.Series, column: str, source: str) -> npt.NDArray[np.int64]:
    """ISO 8601 text as microseconds; each cell may carry its own offset, and none means UTC.

    Taken apart by one expression and not left to polars' own inference, which also takes '03/04/2021' for a date and
    cuts off what is finer than a microsecond.
    """
    day, minute, second, fraction, _, sign, hours, minutes = cells.str.extract_groups(_ISO).struct.unnest().get_columns()
    whole = day + "T" + minute.fill_null("00:00") + second.fill_null(":00")
    stamps = whole.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="ms")
    if stamps.null_count():
        row = _first_null(stamps)
        _refuse_text(cells[row], column, source, row)
    finer = fraction.fill_null("").str.slice(6).str.strip_chars_end("0") != ""
    if finer.any():
        row = int(finer.arg_max() or 0)
        _refuse_finer(cells[row], column, source, row)
    us = _in_range(stamps.to_physical().to_numpy(), 1_000, column, source)
    if fraction.null_count() < len(fraction):
        us = us + fraction.fill_null("").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).to_numpy()
    if sign.null_count() < len(sign):
        offset = hours.fill_null("0").cast(pl.Int64) * 60 + minutes.fill_null("0").cast(pl.Int64)
        us = us - np.where((sign == "-").fill_null(False).to_numpy(), -1, 1) * offset.to_numpy() * 60_000_000
    return us


def _refuse_text(value: str, column: str, source: str, row: int) -> NoReturn:
    what = f"{column!r} is {value!r}"
    digits = value.replace(".", "", 1)
    if digits.isdigit() and len(digits) >= 9:
        _refuse_cell(source, row, None, what, _NO_EPOCH, _epoch_hint(column))
    way_out = (
        f"convert it, for example pl.read_csv(...) with pl.col({column!r}).str.to_datetime('%d.%m.%Y %H:%M'), then "
        "Bars.from_polars"
    )
    _refuse_cell(source, row, None, what, "must be ISO 8601, such as 2024-01-31 or 2024-01-31T15:00:00Z", way_out)


def _refuse_finer(value: str, column: str, source: str, row: int) -> NoReturn:
    way_out = f"round it, for example pl.col({column!r}).dt.cast_time_unit('us'), then Bars.from_polars"
    _refuse_cell(source, row, None, f"{column!r} is {value}", "must not be finer than a microsecond", way_out)


def _epoch_hint(column: str) -> str:
    return f"say its unit: pl.from_epoch({column!r}, time_unit='s') (or 'ms', 'us'), then Bars.from_polars"


def _wanted_columns(names: Sequence[str], wanted: Mapping[str, str], source: str) -> dict[str, str]:
    for ours, theirs in wanted.items():
        if ours not in ROWS:
            raise BarsError(
                f"columns={dict(wanted)!r}: {ours!r} is no column of bars; they are {', '.join(ROWS)}; "
                "the mapping goes from these names to the file's"
            )
        if theirs not in names:
            raise BarsError(
                f"{source}: the column {theirs!r}, wanted for {ours!r}, does not exist; the columns are "
                f"{_listed(names)}{_nearest(theirs, names)}; mend columns="
            )
    twice = [theirs for theirs in wanted.values() if list(wanted.values()).count(theirs) > 1]
    if twice:
        raise BarsError(
            f"columns={dict(wanted)!r}: {twice[0]!r} is given for two columns of bars; each must have its own; mend it"
        )
    return dict(wanted)


def _refuse_missing(missing: Sequence[str], names: Sequence[str], taken: set[str], source: str) -> NoReturn:
    free = [name for name in names if name not in taken]
    hints = {ours: hint for ours in missing if (hint := _resembling(ours, free))}
    if len(names) == 1:
        way_out = "if the separator is another than ',', use pl.read_csv(separator=...) and Bars.from_polars"
    elif hints:
        mapping = ", ".join(f'"{ours}": "{theirs}"' for ours, theirs in hints.items())
        way_out = f"nearest: say columns={{{mapping}}} if that is right"
    else:
        way_out = "name them with columns={...}; a text file needs a header line"
    plural = "column" if len(missing) == 1 else "columns"
    raise BarsError(
        f"{source}: no {plural} {_listed(missing)}; the columns are {_listed(names)}; bars need {', '.join(REQUIRED)}; "
        f"{way_out}"
    )


def _resembling(ours: str, names: Sequence[str]) -> str | None:
    """The column that probably is meant: one of the words other sources use, else the nearest spelling."""
    by_lower = {name.lower().strip(): name for name in reversed(names)}
    for word in (ours, *_OTHER_WORDS[ours]):
        if word in by_lower:
            return by_lower[word]
    near = difflib.get_close_matches(ours, list(by_lower), n=1)
    return by_lower[near[0]] if near else None


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" (nearest: {near[0]!r})" if near else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "none"
