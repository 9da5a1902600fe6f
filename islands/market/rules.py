"""What a finished block of bars must obey.

`require_sound` reads a block against `RULES` and refuses the first row that breaks one. A refusal names source, row,
timestamp, value, rule and way out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from islands.errors import BarsError
from islands.market.instants import LIMIT_US, instant_text
from islands.market.places import MEND, Rows
from islands.market.tape import COLUMNS, FUNDING, ROWS, Floats


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that every row obeys.

    `broken` takes the block (6, T) or (7, T) and gives the mask (T,) of the rows that break it. `columns` are shown with their
    values, or, where the rule compares a row with the one before (`with_previous`), both rows' timestamps. `text` says
    the rule, `way_out` what to do.
    """

    columns: tuple[str, ...]
    broken: Callable[[Floats], npt.NDArray[np.bool_]]
    text: str
    way_out: str = MEND
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
        (FUNDING,),
        lambda block: ~(np.abs(block[6]) < 1.0),
        "a funding rate must be a share between -1 and 1 of the notional",
        "mend that row; rates in per cent are divided by 100, those in basis points by 10,000",
    ),
    Rule(
        ("timestamp",),
        _not_after(np.equal),
        "a timestamp must not be given twice",
        "keep one row for each: read_bars(..., on_duplicate='first') or 'last', or "
        "frame.unique('timestamp', keep='first', maintain_order=True)",
        with_previous=True,
    ),
    Rule(
        ("timestamp",),
        _not_after(np.less),
        "rows must be sorted by timestamp, oldest first",
        "sort them: read_bars(..., sort=True), or frame.sort('timestamp'); files of a glob are read in the order of their "
        "names",
        with_previous=True,
    ),
)
"""In the order in which they speak where one row breaks several."""


def require_sound(block: Floats, rows: Rows) -> None:
    """Check a block (6, T) or (7, T) against `RULES`; `rows` tell where its rows came from.

    Raises:
        BarsError: names the first row that breaks a rule, and how many rows break that rule.
    """
    first, worst, count = block.shape[1], None, 0
    for rule in RULES:
        if any(COLUMNS.index(column) >= len(block) for column in rule.columns):
            continue
        broken = rule.broken(block)
        if broken.any():
            row = int(broken.argmax())
            if row < first:
                first, worst, count = row, rule, int(broken.sum())
    if worst is not None:
        _refuse_row(block, rows, first, worst, count)


def _refuse_row(block: Floats, rows: Rows, row: int, rule: Rule, count: int) -> NoReturn:
    source, place = rows.place(row)
    if rule.with_previous:
        before, before_place = rows.place(row - 1)
        where = before_place if before == source else f"{before_place} of {before}"
        what = f"the timestamp follows {instant_text(int(block[0, row - 1]))} in {where}"
    else:
        what = ", ".join(f"{column} is {float(block[COLUMNS.index(column), row])!r}" for column in rule.columns)
    others = f" ({count - 1} more {'row breaks' if count == 2 else 'rows break'} this rule)" if count > 1 else ""
    when = instant_text(int(block[0, row])) if np.isfinite(block[0, row]) else "no time"
    raise BarsError(f"{source}, {place} ({when}): {what}; {rule.text}{others}; {rule.way_out}")
