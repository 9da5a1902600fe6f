"""How a file of bars is to be read: everything that a user may say about it, checked before a file is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from islands.errors import BarsError, InputError
from islands.market.tape import COLUMNS, REQUIRED

Columns = Mapping[str, str] | Sequence[str | None]
"""Our names -> the file's names; or, for a file without a header, names in the order of the file's columns."""

UNIT_US = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
"""Unit of an epoch -> (multiply by, divide by) to reach microseconds."""

_CHOICES: dict[str, tuple[Any, ...]] = {
    "time_unit": (None, *UNIT_US),
    "bar_time": ("open", "close"),
    "on_duplicate": (None, "first", "last"),
    "sort": (False, True),
}
_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):?([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Reading:
    """The options of `read_bars`.

    columns: our names -> the file's, or for a file without a header a list of names in the order of its columns, where
    every name that is not ours ("" and None too) skips one. time_zone: IANA name or fixed offset of stamps that carry
    none; None is UTC. time_format: how text is a time, as polars' `str.to_datetime` takes it. time_unit: unit of an
    epoch (s, ms, us, ns). bar_time: what the stamps are, a bar's open or its close. scale: prices are multiplied by it.
    sort: put unordered rows in order. on_duplicate: which of several rows of one time is kept, the file's first or
    last. delimiter: what separates the cells of a text file.

    Raises:
        InputError: a value that is none of these.
        BarsError: `columns` names what is no column of bars, or one twice.
    """

    columns: Columns | None = None
    time_zone: str | None = None
    time_format: str | None = None
    time_unit: str | None = None
    bar_time: str = "open"
    scale: float = 1.0
    sort: bool = False
    on_duplicate: str | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        for option, choices in _CHOICES.items():
            value = getattr(self, option)
            if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
                raise InputError(f"{option}={value!r}: must be {_either(choices)}; give one of them")
        _require_columns(self.columns)
        _require_zone(self.time_zone)
        _require_format(self.time_format)
        _require_scale(self.scale)
        _require_delimiter(self.delimiter)

    @property
    def order(self) -> tuple[str | None, ...] | None:
        """The names of a file without a header in the order of its columns, if they were given."""
        return None if self.columns is None or isinstance(self.columns, Mapping) else tuple(self.columns)

    @property
    def mapping(self) -> dict[str, str]:
        """Our names -> the file's names, as far as they were given."""
        return dict(self.columns) if isinstance(self.columns, Mapping) else {}


def offset_us(zone: str) -> int | None:
    """Microseconds that a fixed offset such as "+03:00" is ahead of UTC; None for a zone's name."""
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    return (-1 if sign == "-" else 1) * (int(hours) * 60 + int(minutes)) * 60_000_000


def _either(choices: Sequence[object]) -> str:
    *most, last = (repr(choice) for choice in choices)
    return f"{', '.join(most)} or {last}"


def _require_columns(columns: object) -> None:
    if columns is None:
        return
    if isinstance(columns, Mapping):
        _require_mapping(columns)
    elif isinstance(columns, list | tuple):
        _require_order(columns)
    else:
        raise InputError(
            f"columns={columns!r} is a {type(columns).__name__}; it must map our names to the file's, or, for a file "
            'without a header, be a list of names in the order of its columns; give columns={"timestamp": "Date"}'
        )


def _require_mapping(columns: Mapping[object, object]) -> None:
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise BarsError(
                f"columns={dict(columns)!r}: {ours!r} is no column of bars; they are {', '.join(COLUMNS)}; "
                "the mapping goes from these names to the file's"
            )
        if not isinstance(theirs, str):
            raise InputError(
                f"columns={dict(columns)!r}: {theirs!r} for {ours!r} is a {type(theirs).__name__}; it must be the name "
                "of a column of the file; give its name"
            )
    twice = [theirs for theirs in columns.values() if list(columns.values()).count(theirs) > 1]
    if twice:
        raise BarsError(
            f"columns={dict(columns)!r}: {twice[0]!r} is given for two columns of bars; each must have its own; mend it"
        )


def _require_order(columns: Sequence[object]) -> None:
    for name in columns:
        if name is not None and not isinstance(name, str):
            raise InputError(
                f"columns={list(columns)!r}: {name!r} is a {type(name).__name__}; names are text, and '' or None skips a "
                "column; mend it"
            )
    missing = [ours for ours in REQUIRED if ours not in columns]
    if missing:
        raise InputError(
            f"columns={list(columns)!r}: no {', '.join(missing)}; bars need {', '.join(REQUIRED)}; name these columns"
        )
    twice = [ours for ours in COLUMNS if list(columns).count(ours) > 1]
    if twice:
        raise InputError(f"columns={list(columns)!r}: {twice[0]!r} is named twice; a column must be named once; mend it")


def _require_zone(zone: object) -> None:
    if zone is None or (isinstance(zone, str) and offset_us(zone) is not None):
        return
    if isinstance(zone, str) and zone:
        try:
            pl.Series([0], dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
            return
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError):
            pass
    raise InputError(
        f"time_zone={zone!r}: no such time zone; it must be an IANA name or a fixed offset; give 'UTC', 'Europe/Athens', "
        "'America/New_York' or '+03:00'"
    )


def _require_format(time_format: object) -> None:
    if time_format is not None and not (isinstance(time_format, str) and "%" in time_format):
        raise InputError(
            f"time_format={time_format!r}: must be a format as polars' str.to_datetime takes it; give '%d/%m/%Y %H:%M'"
        )


def _require_scale(scale: object) -> None:
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale={scale!r}: must be a positive finite number; prices are multiplied by it; give 1e-5")


def _require_delimiter(delimiter: object) -> None:
    if delimiter is None:
        return
    plain = isinstance(delimiter, str) and len(delimiter) == 1 and delimiter.isascii()
    if not plain or str(delimiter).isalnum() or str(delimiter) in "\0\r\n\"'.+-":
        raise InputError(
            f"delimiter={delimiter!r}: must be one ASCII character that is no letter, digit, quote, sign, point or line "
            "end; give ',', ';', '\\t' or '|'"
        )
