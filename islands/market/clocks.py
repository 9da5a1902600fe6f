"""Time stamps: what a column of them says, as microseconds since the Unix epoch, UTC.

A column is written in one way. `LAYOUTS` are the ways that are recognised; the first row decides which, every other row
must agree. What can be read in two ways (03/04/2021, a bare number outside the plausible years, an hour that a clock
change skips or repeats) is never guessed: the column itself proves which, or it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from islands.errors import BarsError, InputError
from islands.market.instants import DAY_US, LIMIT_US, instant_text, instant_us
from islands.market.places import Ints, Origin, bad_cell, bare, first_null, quoted, require_present
from islands.market.reading import UNIT_US, Reading, offset_us

_TIME = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?:[ -]?([AaPp])[Mm])?"
_COMPACT_TIME = r"([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]{1,9}))?)?()"
_HALF_DAY = r"([0-9]{1,2})()()()[ -]?([AaPp])[Mm]"
_ZONE = r"(?:\s?(?:(Z|UTC|GMT)|(?:UTC|GMT)?([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?))?"
_DATE_GROUPS = ("one", "two", "three")
_GROUPS = ("hour", "minute", "second", "fraction", "half", "utc", "sign", "hours", "minutes")


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to write a time: the pattern of its date with three groups, and what these are, or "?" if rows must prove it.

    `rule` says the way in a refusal.
    """

    date: str
    order: str
    rule: str
    times: tuple[str, ...] = (_TIME, _HALF_DAY)
    separator: str = r"(?:[T ]|, )"

    def patterns(self) -> list[str]:
        """Patterns of a whole cell: the date alone, then with each way to write the time of day."""
        timed = [f"^{self.date}{self.separator}{time}{_ZONE}$" for time in self.times]
        return [f"^{self.date}$", *timed]


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})", "ymd", "be ISO 8601, such as 2024-01-31 or 2024-01-31T15:00:00Z",
    ),
    Layout(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})", "ymd", "be yyyy.mm.dd, such as 2024.01.31 15:00"),
    Layout(r"([0-9]{4})/([0-9]{2})/([0-9]{2})", "ymd", "be yyyy/mm/dd, such as 2024/01/31 15:00"),
    Layout(
        r"((?:1[6-9]|2[0-2])[0-9]{2})(0[1-9]|1[0-2])([0-3][0-9])", "ymd",
        "be yyyymmdd, such as 20240131 150000 or 20240131 15:00",
        (_COMPACT_TIME,), r"[T ]?",
    ),
    Layout(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})", "dmy", "be dd.mm.yyyy, such as 31.01.2024 15:00"),
    Layout(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", "?", "be dd/mm/yyyy or mm/dd/yyyy throughout"),
    Layout(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})", "?", "be dd-mm-yyyy or mm-dd-yyyy throughout"),
)  # fmt: skip

_EPOCH = r"^(-?[0-9]{1,19})(?:\.([0-9]{1,9}))?$"
_UTC = ("UTC", "Etc/UTC", "GMT", "Etc/GMT")
_PLAUSIBLE_US = (instant_us("1990-01-01"), instant_us("2100-01-01"))
"""Years in which an epoch's unit is certain: no number lies in them in two units."""


def times_us(cells: pl.Series, column: str, origin: Origin, reading: Reading, *, text: bool) -> Ints:
    """The stamps of one column in microseconds since the Unix epoch, UTC, int64 (T,).

    `text` tells that the table is a text file: cells are parsed. In a typed table text is no time unless
    `reading.time_format` says how it is one.

    Raises:
        BarsError: a cell is missing or no time, or can be read in two ways.
        InputError: the reading's time_format is none.
    """
    require_present(cells, column, origin)
    kind = cells.dtype
    if kind == pl.String and (text or reading.time_format is not None):
        return _of_text(cells.str.strip_chars(), column, origin, reading)
    if reading.time_format is not None:
        raise BarsError(
            f"{origin.source}: {column!r} is {kind}, not text; time_format={reading.time_format!r} reads text; leave it out"
        )
    if kind.is_integer() or kind.is_float() or kind.is_decimal():
        return _of_numbers(cells, column, origin, reading)
    _require_no_unit(column, str(kind), origin, reading)
    if isinstance(kind, pl.Datetime):
        local = _of_datetimes(cells, kind, column, origin)
        return local if kind.time_zone is not None else _in_zone(local, column, origin, reading)
    if kind == pl.Date:
        days = cells.to_physical().to_numpy().astype(np.int64)
        return _in_zone(_in_range(days, DAY_US, column, origin), column, origin, reading)
    way_out = f"convert it first, for example pl.col({column!r}).str.to_datetime(), then Bars.from_polars"
    raise bad_cell(origin, 0, f"{column!r} is {_shown(cells)} ({kind})", "must be a polars Datetime or Date", way_out)


def _shown(cells: pl.Series) -> str:
    return repr(cells[0]) if cells.dtype.is_numeric() or cells.dtype in (pl.String, pl.Boolean) else "no time"


def _require_no_unit(column: str, kind: str, origin: Origin, reading: Reading) -> None:
    if reading.time_unit is not None:
        raise BarsError(
            f"{origin.source}: {column!r} is {kind}, no epoch; time_unit={reading.time_unit!r} is the unit of a bare "
            "number; leave it out"
        )


# Typed times


def _of_datetimes(cells: pl.Series, kind: pl.Datetime, column: str, origin: Origin) -> Ints:
    factor, divisor = UNIT_US[kind.time_unit]
    ticks = cells.to_physical().to_numpy()
    finer = ticks % divisor != 0
    if finer.any():
        row = int(finer.argmax())
        raise _bad_finer(cells[row : row + 1].dt.to_string("%Y-%m-%d %H:%M:%S%.9f")[0], column, origin, row)
    return _in_range(ticks // divisor, factor, column, origin)


def _in_range(ticks: Ints, factor: int, column: str, origin: Origin) -> Ints:
    """Ticks of `factor` microseconds as microseconds, int64 (T,)."""
    limit = LIMIT_US // factor
    far = (ticks > limit) | (ticks < -limit)
    if far.any():
        row = int(far.argmax())
        # In plain Python: the cell itself can be too far for polars to print.
        what = f"{column!r} is {instant_text(int(ticks[row]) * factor)}"
        rule = "must lie between the years 1684 and 2255, where microseconds are exact"
        raise bad_cell(origin, row, what, rule, "mend that cell, or the unit of the whole column")
    return ticks * factor


# Epochs


def _of_numbers(cells: pl.Series, column: str, origin: Origin, reading: Reading) -> Ints:
    """Bare numbers of a typed table: whole ones are read as their text is."""
    whole = cells.cast(pl.Int64, strict=False)
    broken = whole.is_null() | (whole.cast(cells.dtype, strict=False) != cells).fill_null(True)
    if broken.any():
        row = int(broken.arg_max() or 0)
        what = f"{column!r} is {quoted(cells[row])} ({cells.dtype})"
        raise bad_cell(origin, row, what, "must be a whole number of s, ms, us or ns", _epoch_hint(column))
    return _of_text(whole.cast(pl.String), column, origin, reading)


def _of_epochs(cells: pl.Series, column: str, origin: Origin, reading: Reading) -> Ints:
    """Text that is a bare number, since 1970 in one unit for the whole column."""
    if reading.time_zone is not None and reading.time_zone not in _UTC and offset_us(reading.time_zone) != 0:
        raise BarsError(
            f"{origin.source}, {origin.row(0)}: {column!r} is {bare(cells[0])}; an epoch counts from 1970 in UTC, and "
            f"time_zone={reading.time_zone!r} is for dates and times without a zone; leave it out, or, where the source "
            "counts in local time, make local times of it with polars and use Bars.from_polars"
        )
    whole, fraction = cells.str.extract_groups(_EPOCH).struct.unnest().get_columns()
    ticks = whole.cast(pl.Int64, strict=False)
    if ticks.null_count():
        row = first_null(ticks)
        if reading.time_unit is None:
            raise _bad_epoch(cells[row], column, origin, row)
        rule = f"must be a bare number, as time_unit={reading.time_unit!r} says"
        raise bad_cell(origin, row, f"{column!r} is {quoted(cells[row])}", rule, "mend that cell, or leave time_unit out")
    unit = reading.time_unit or _unit_of(ticks.to_numpy(), cells, column, origin)
    factor, divisor = UNIT_US[unit]
    numbers = ticks.to_numpy()
    finer = numbers % divisor != 0
    if finer.any():
        raise _bad_finer(cells[int(finer.argmax())], column, origin, int(finer.argmax()))
    us = _in_range(numbers // divisor, factor, column, origin)
    digits = {1: 0, 1_000: 3, 1_000_000: 6}[factor]
    if fraction.null_count() == len(fraction):
        return us
    sign: Ints = np.where(cells.str.starts_with("-").to_numpy(), np.int64(-1), np.int64(1))
    return us + sign * _fraction(fraction, cells, digits, column, origin)


def _unit_of(ticks: Ints, cells: pl.Series, column: str, origin: Origin) -> str:
    """The one unit in which every number lies in plausible years."""
    earliest, latest = _PLAUSIBLE_US
    units = np.full(len(ticks), "", dtype="<U2")
    for unit, (factor, divisor) in UNIT_US.items():
        units[(ticks >= earliest * divisor // factor) & (ticks < latest * divisor // factor)] = unit
    first = str(units[0])
    others = units != first
    if others.any():
        row = int(others.argmax())
        if first and units[row]:
            what = f"{column!r} is {bare(cells[row])} ({units[row]} by its size), the rows before are {first}"
            way_out = f"split the file before that row and read both as a glob, or mend the {int(others.sum())} rows"
            raise bad_cell(origin, row, what, "must have one unit throughout", way_out)
    if not (units != "").all():
        row = int((units == "").argmax())
        raise _bad_epoch(cells[row], column, origin, row)
    return first


def _bad_epoch(value: str, column: str, origin: Origin, row: int) -> BarsError:
    rule = "must be a date or time, and a bare number has no unit unless it lies in the years 1990 to 2100 in s, ms, us or ns"
    return bad_cell(origin, row, f"{column!r} is {bare(value)}", rule, _epoch_hint(column))


def _epoch_hint(column: str) -> str:
    return (
        "say its unit with time_unit=\"s\" (or 'ms', 'us', 'ns'), or convert it: "
        f"pl.from_epoch({column!r}, time_unit='s'), then Bars.from_polars"
    )


# Text


def _of_text(cells: pl.Series, column: str, origin: Origin, reading: Reading) -> Ints:
    if reading.time_format is not None:
        _require_no_unit(column, "text with a time_format", origin, reading)
        return _by_format(cells, column, origin, reading, reading.time_format)
    first = str(cells[0])
    if reading.time_unit is not None:
        return _of_epochs(cells, column, origin, reading)
    for layout in LAYOUTS:
        for pattern in layout.patterns():
            if pl.Series([first]).str.contains(pattern)[0]:
                return _by_layout(cells, layout, column, origin, reading)
    if pl.Series([first]).str.contains(_EPOCH)[0]:
        return _of_epochs(cells, column, origin, reading)
    raise _bad_text(first, LAYOUTS[0].rule, column, origin, 0)


def _by_format(cells: pl.Series, column: str, origin: Origin, reading: Reading, time_format: str) -> Ints:
    try:
        stamps = cells.str.to_datetime(time_format, strict=False, time_unit="us")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"time_format={time_format!r}: polars cannot use it ({reason}); it must be a format as str.to_datetime takes "
            "it; give one such as '%d/%m/%Y %H:%M'"
        ) from None
    if stamps.null_count():
        row = first_null(stamps)
        what = f"{column!r} is {quoted(cells[row])}"
        raise bad_cell(origin, row, what, f"must be written as time_format={time_format!r}", "mend the cell or the format")
    kind = stamps.dtype
    us = _in_range(stamps.to_physical().to_numpy(), 1, column, origin)
    aware = isinstance(kind, pl.Datetime) and kind.time_zone is not None
    return us if aware else _in_zone(us, column, origin, reading)


def _by_layout(cells: pl.Series, layout: Layout, column: str, origin: Origin, reading: Reading) -> Ints:
    """Cells of one layout; each may carry its own offset.

    Taken apart by one pattern and not left to polars' own inference, which also takes '03/04/2021' for a date and cuts
    off what is finer than a microsecond.
    """
    parts = _taken_apart(cells, layout)
    missing = parts["one"].is_null()
    if missing.any():
        row = int(missing.arg_max() or 0)
        raise _bad_text(cells[row], layout.rule, column, origin, row)
    order = _proven_order(parts, cells, layout, column, origin) if layout.order == "?" else layout.order
    named = dict(zip(order, _DATE_GROUPS, strict=True))
    days = (
        (parts[named["y"]] + "-" + parts[named["m"]].str.zfill(2) + "-" + parts[named["d"]].str.zfill(2))
        .str.to_date("%Y-%m-%d", strict=False)
        .cast(pl.Int64)
    )
    clock = _time_of_day(parts)
    broken = days.is_null() | clock.is_null()
    if broken.any():
        row = int(broken.arg_max() or 0)
        raise _bad_text(cells[row], layout.rule, column, origin, row)
    us = _in_range(days.to_numpy(), DAY_US, column, origin) + clock.to_numpy()
    us = us + _fraction(parts["fraction"], cells, 6, column, origin)
    return _with_offsets(us, parts, cells, column, origin, reading)


def _taken_apart(cells: pl.Series, layout: Layout) -> pl.DataFrame:
    """`_DATE_GROUPS` and `_GROUPS` of each cell; null throughout where no pattern fits."""
    names = (*_DATE_GROUPS, *_GROUPS)
    found: list[pl.Series] | None = None
    for pattern in sorted(layout.patterns(), key=lambda pattern: not cells[:1].str.contains(pattern)[0]):
        groups = cells.str.extract_groups(pattern).struct.unnest().get_columns()
        groups += [pl.repeat(None, len(cells), dtype=pl.String, eager=True)] * (len(names) - len(groups))
        fits = found[0].is_not_null() if found else None
        found = groups if fits is None else [one.zip_with(fits, two) for one, two in zip(found or [], groups, strict=True)]
        if not found[0].null_count():
            break
    return pl.DataFrame([column.alias(name) for column, name in zip(found or [], names, strict=True)])


def _proven_order(parts: pl.DataFrame, cells: pl.Series, layout: Layout, column: str, origin: Origin) -> str:
    """Which of a date's first two numbers is the day: proven by a row where it is beyond 12, else refused."""
    day_first = parts["one"].cast(pl.Int64, strict=False) > 12
    month_first = parts["two"].cast(pl.Int64, strict=False) > 12
    if day_first.any() != month_first.any():
        return "dmy" if day_first.any() else "mdy"
    row = int(month_first.arg_max() or 0) if month_first.any() else 0
    what = f"{column!r} is {quoted(cells[row])}"
    if month_first.any():
        other = int(day_first.arg_max() or 0)
        raise _bad_text(cells[row], f"{layout.rule} ({origin.row(other)} is {quoted(cells[other])})", column, origin, row)
    way_out = "say it with time_format='%d/%m/%Y' or '%m/%d/%Y' (and ' %H:%M' where there is a time)"
    raise bad_cell(origin, row, what, "must show which number is the day, and no row has one beyond 12", way_out)


def _time_of_day(parts: pl.DataFrame) -> pl.Series:
    """Microseconds since midnight without the fraction; null where there is no such time.

    In a column with AM and PM a time without either may be one or the other: there is no such time.
    """
    twelve = parts["half"].fill_null("").str.len_bytes().sum() > 0
    frame = parts.select(
        timed=pl.col("hour").is_not_null(),
        hour=pl.col("hour").cast(pl.Int64, strict=False).fill_null(0),
        # An empty group is a time without minutes.
        minute=pl.col("minute").replace("", None).cast(pl.Int64, strict=False).fill_null(0),
        second=pl.col("second").replace("", None).cast(pl.Int64, strict=False).fill_null(0),
        half=pl.col("half").replace("", None).str.to_lowercase(),
    )
    hour = pl.when(pl.col("half").is_null()).then(pl.col("hour")).otherwise(
        pl.col("hour") % 12 + pl.when(pl.col("half") == "p").then(12).otherwise(0)
    )  # fmt: skip
    sound = (
        (pl.col("minute") < 60)
        & (pl.col("second") < 60)
        & pl.when(pl.col("half").is_null()).then(pl.col("hour") < 24).otherwise(pl.col("hour").is_between(1, 12))
        & (pl.lit(not twelve) | pl.col("half").is_not_null() | ~pl.col("timed"))
    )
    clock = (hour * 3_600 + pl.col("minute") * 60 + pl.col("second")) * 1_000_000
    return frame.select(clock=pl.when(sound).then(clock))["clock"]


def _fraction(digits: pl.Series, cells: pl.Series, count: int, column: str, origin: Origin) -> Ints:
    """The digits behind a point as microseconds where `count` digits make one unit."""
    filled = digits.fill_null("")
    finer = filled.str.slice(count).str.strip_chars_end("0") != ""
    if finer.any():
        row = int(finer.arg_max() or 0)
        raise _bad_finer(cells[row], column, origin, row)
    if count == 0:
        return np.zeros(len(cells), dtype=np.int64)
    return filled.str.slice(0, count).str.pad_end(count, "0").cast(pl.Int64).to_numpy()


def _with_offsets(us: Ints, parts: pl.DataFrame, cells: pl.Series, column: str, origin: Origin, reading: Reading) -> Ints:
    """Local times as UTC: by the offset of each cell, and by the reading's zone where a cell has none.

    Where other cells have one, a cell without is UTC only if the user says so.
    """
    zoneless = (parts["utc"].is_null() & parts["sign"].is_null()).to_numpy()
    if zoneless.all():
        return _in_zone(us, column, origin, reading)
    hours = parts["hours"].cast(pl.Int64).fill_null(0)
    offset = (hours * 60 + parts["minutes"].cast(pl.Int64).fill_null(0)).to_numpy() * 60_000_000
    sign = np.where((parts["sign"] == "-").fill_null(False).to_numpy(), -1, 1)
    aware: Ints = us - sign * offset
    if not zoneless.any():
        return aware
    if reading.time_zone is None:
        row, other = int(zoneless.argmax()), int((~zoneless).argmax())
        rule = f"must say its zone, as {origin.row(other)} does ({quoted(cells[other])})"
        way_out = f"say the zone of the {int(zoneless.sum())} rows without one with time_zone='UTC', or whatever it is"
        raise bad_cell(origin, row, f"{column!r} is {quoted(cells[row])}", rule, way_out)
    mixed: Ints = np.where(zoneless, _in_zone(us, column, origin, reading, among=zoneless), aware)
    return mixed


# Zones


def _in_zone(local: Ints, column: str, origin: Origin, reading: Reading, among: npt.NDArray[np.bool_] | None = None) -> Ints:
    """Local times of the reading's zone as UTC, (T,).

    An hour that a clock change skips does not exist and is refused. One that it repeats is resolved where the order of
    the rows proves it, else refused. `among` are the rows that matter, if not all; order then proves nothing.
    """
    zone = reading.time_zone
    if zone is None:
        return local
    fixed = offset_us(zone)
    if fixed is not None:
        return local - fixed
    _in_range(local, 1, column, origin)
    naive = pl.Series(local).cast(pl.Datetime("us"))
    first = _as_utc(naive, zone, "earliest")
    second = _as_utc(naive, zone, "latest")
    relevant = np.ones(len(local), dtype=np.bool_) if among is None else among
    skipped = first.is_null().to_numpy() & relevant
    if skipped.any():
        row = int(skipped.argmax())
        rule = f"must exist: clocks in {zone} skip that hour"
        raise _bad_local(local[row], rule, column, origin, row)
    early: Ints = first.fill_null(0).to_numpy()
    late: Ints = second.fill_null(0).to_numpy()
    repeated = (early != late) & relevant
    if not repeated.any():
        return early
    ordered = among is None and not reading.sort and reading.on_duplicate is None
    is_late = _proven_pass(local, repeated) if ordered else np.full(len(local), _UNPROVEN, dtype=np.int8)
    unproven = repeated & (is_late < 0)
    if unproven.any():
        row = int(unproven.argmax())
        rule = f"must be one instant: clocks in {zone} show that hour twice, and the order of the rows does not prove which"
        raise _bad_local(local[row], rule, column, origin, row)
    proven: Ints = np.where(is_late == 1, late, early)
    return proven


def _as_utc(naive: pl.Series, zone: str, ambiguous: str) -> pl.Series:
    stamps = naive.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]
    return stamps.dt.convert_time_zone("UTC").to_physical()


_UNPROVEN, _IMPOSSIBLE = -1, -2


def _proven_pass(local: Ints, repeated: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Of repeated local times, which pass: 0 the first, 1 the second, `_UNPROVEN`; 0 elsewhere. (T,)

    A file runs oldest first or newest first. A few rows inside one hour may be either, and then prove nothing: one
    direction must be proven and the other impossible.
    """
    forward = _second_pass(local, repeated)
    backward = _second_pass(local[::-1], repeated[::-1])[::-1]
    for one, other in ((forward, backward), (backward, forward)):
        if (one >= 0).all() and (other == _IMPOSSIBLE).any():
            return one
    return np.where(repeated, _UNPROVEN, 0).astype(np.int8)


def _second_pass(local: Ints, repeated: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """`_proven_pass` of a file that runs oldest first; `_IMPOSSIBLE` where it cannot.

    Where its clock only goes forward otherwise, the one step back inside a repeated hour is the clock change itself.
    """
    answer = np.zeros(len(local), dtype=np.int8)
    back = np.concatenate(([False], local[1:] <= local[:-1]))
    near = np.concatenate(([False], np.abs(np.diff(local)) < DAY_US))
    inside = repeated & np.concatenate(([False], repeated[:-1])) & near  # in one repeated hour with the row before
    if (back & ~inside).any():
        return np.where(repeated, _IMPOSSIBLE, 0).astype(np.int8)
    starts = repeated & ~inside
    hour = np.cumsum(starts)[repeated] - 1
    steps = np.cumsum(back)
    steps_before = (steps - back)[starts]
    turns = np.bincount(hour, weights=back[repeated])[hour]
    passed = steps[repeated] - steps_before[hour]
    answer[repeated] = np.select([turns == 1, turns == 0], [passed, _UNPROVEN], _IMPOSSIBLE)
    return answer


def _bad_local(local: int, rule: str, column: str, origin: Origin, row: int) -> BarsError:
    what = f"{column!r} is {instant_text(int(local)).removesuffix(' UTC')}"
    way_out = "is this the file's time zone? If so, mend or drop that row, or write its offset, such as +02:00, into it"
    return bad_cell(origin, row, what, rule, way_out)


def _bad_text(value: str, rule: str, column: str, origin: Origin, row: int) -> BarsError:
    digits = value.replace(".", "", 1)
    way_out = "mend that cell, or say how times are written with time_format='%d.%m.%Y %H:%M'"
    if digits.isdigit() and len(digits) >= 9:
        way_out = _epoch_hint(column)
        rule += "; a bare number has no unit"
    because = " as the first row" if row else ""
    return bad_cell(origin, row, f"{column!r} is {quoted(value)}", f"must {rule}", way_out, because=because)


def _bad_finer(value: str, column: str, origin: Origin, row: int) -> BarsError:
    way_out = f"round it, for example pl.col({column!r}).dt.cast_time_unit('us'), then Bars.from_polars"
    return bad_cell(origin, row, f"{column!r} is {bare(value)}", "must not be finer than a microsecond", way_out)
