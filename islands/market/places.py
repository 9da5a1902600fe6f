"""Where rows came from, and how a refusal names the place.

A row is the data row of its own file or frame, counted from 1, whatever order the bars have by now. In a text file the
line is told too where it is not simply the row plus a header line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from islands.errors import BarsError
from islands.market.instants import instant_text

Ints = npt.NDArray[np.int64]

MEND = "mend or drop that row, then read the bars again"


@dataclass(frozen=True, slots=True)
class Origin:
    """One table: what it is called, the file's lines before data row 1 (None: no lines), the data rows left out there."""

    source: str
    lines_before: int | None = None
    rows_before: int = 0

    def row(self, row: int) -> str:
        """Row `row` (from 0) for a person: "row 3", or "row 3, line 5" where the line is not row + 1."""
        number = self.rows_before + row + 1
        if self.lines_before in (None, 1):
            return f"row {number}"
        return f"row {number}, line {number + (self.lines_before or 0)}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The origin of each row of a block: `table` (T,) is an index into `origins`, `row` (T,) the row there, from 0."""

    origins: tuple[Origin, ...]
    table: Ints
    row: Ints

    @classmethod
    def of(cls, *counts: tuple[Origin, int]) -> Rows:
        """Rows of tables that follow each other; `counts` are pairs (origin, number of rows)."""
        table = np.repeat(np.arange(len(counts)), [count for _, count in counts])
        row = np.concatenate([np.arange(count) for _, count in counts])
        return cls(tuple(origin for origin, _ in counts), table, row)

    def taken(self, order: npt.NDArray[np.intp]) -> Rows:
        """The rows at the places `order`."""
        return Rows(self.origins, self.table[order], self.row[order])

    def place(self, row: int) -> tuple[str, str]:
        """Source and row of row `row` (from 0) of the block, as a refusal names them."""
        origin = self.origins[int(self.table[row])]
        return origin.source, origin.row(int(self.row[row]))


def bad_cell(
    origin: Origin, row: int, what: str, rule: str, way_out: str, *, times: Ints | None = None, because: str = ""
) -> BarsError:
    """The refusal of a cell that never became a number; `row` is from 0, `times` (T,) are given unless a time is at fault."""
    when = f" ({instant_text(int(times[row]))})" if times is not None else ""
    return BarsError(f"{origin.source}, {origin.row(row)}{when}: {what}; it {rule}{because}; {way_out}")


def require_present(cells: pl.Series, column: str, origin: Origin, times: Ints | None = None) -> None:
    """Refuse the first missing cell.

    Raises:
        BarsError: a cell is null.
    """
    count = cells.null_count()
    if count:
        others = f" ({count - 1} more in this column)" if count > 1 else ""
        what = f"{column!r} is null{others}"
        raise bad_cell(origin, first_null(cells), what, "must not be missing", MEND, times=times)


def first_null(cells: pl.Series) -> int:
    return int(cells.is_null().arg_max() or 0)


def quoted(cell: object) -> str:
    """A cell as a refusal shows it: quoted, on one line, and not endless."""
    text = repr(cell) if isinstance(cell, str) else " ".join(repr(cell).split())
    return text if len(text) <= 80 else f"{text[:80]}… ({len(text)} characters)"


def bare(cell: str) -> str:
    """A cell that is a number or time as a refusal shows it: without quotes, on one line, and not endless."""
    return quoted(cell).strip("'\"")


def listed(names: list[str] | tuple[str, ...]) -> str:
    """The first dozen names, quoted."""
    shown = ", ".join(quoted(name) for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "none"
