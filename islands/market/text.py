"""Text files: what separates the cells, which lines stand before the table, and whether it has a header.

Only the first lines are looked at, and only to find the table; what its cells mean is decided elsewhere. Nothing that
could be data is ever passed over.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from islands.errors import BarsError
from islands.market.columns import is_known
from islands.market.reading import Reading
from islands.market.tape import COLUMNS, REQUIRED

DELIMITERS = (",", ";", "\t", "|")

KLINE = ("timestamp", "open", "high", "low", "close", "volume", "", "", "", "", "", "")
"""Binance's klines, which come without a header: open time, prices, volume, close time, and five columns more."""

_HEAD_BYTES = 262_144
_SAMPLE_LINES = 200
_BANNER_LINES = 50
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}(?:[T ,].*)?|[0-9]{8}[T ]?[0-9:.]*")


@dataclass(frozen=True, slots=True)
class Grid:
    """A text file as a table of cells, none of them read yet.

    `names` are the header's, or, where there is none, the names given or known for its columns ("" is skipped).
    `lines_before` counts the lines before data row 1.
    """

    content: Path | bytes
    delimiter: str
    names: tuple[str, ...]
    lines_before: int
    has_header: bool

    def scan(self) -> pl.LazyFrame:
        """The cells as text; columns are in the order of `names`, under names of polars' own choice."""
        # A scan of bytes must not outlive them: the stream holds them.
        source = self.content if isinstance(self.content, Path) else io.BytesIO(self.content)
        schema = None if self.has_header else {f"column_{index}": pl.String for index in range(len(self.names))}
        return pl.scan_csv(
            source,
            separator=self.delimiter,
            has_header=self.has_header,
            skip_lines=self.lines_before - self.has_header,
            schema=schema,
            infer_schema=False,
            glob=False,
        )

    def blank_lines_at_end(self) -> int:
        """Blank lines behind the last row; polars makes a row of nulls of each."""
        tail = self._tail()
        return max(0, tail[len(tail.rstrip(b"\r\n")) :].count(b"\n") - 1)

    def ragged_row(self) -> tuple[int, int] | None:
        """The first row with more cells than there are columns: (row from 0, its cells)."""
        try:
            for row, cells in enumerate(csv.reader(self._lines(), delimiter=self.delimiter)):
                if len(cells) > len(self.names):
                    return row, len(cells)
        except (OSError, UnicodeDecodeError, csv.Error):
            return None
        return None

    def _lines(self) -> Iterator[str]:
        binary = self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)
        with io.TextIOWrapper(binary, encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream):
                if number >= self.lines_before:
                    yield line.rstrip("\r\n")

    def _tail(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content[-4096:]
        with self.content.open("rb") as stream:
            stream.seek(max(0, self.content.stat().st_size - 4096))
            return stream.read()


def grid_of(path: Path, reading: Reading, required: Sequence[str]) -> Grid:
    """The table in a text file; `required` are the columns that it must have.

    Raises:
        BarsError: there is none, the delimiter is uncertain, or the columns of a file without a header are not known.
        OSError: the file cannot be read.
    """
    content = _content(path)
    head, whole = _head(content)
    lines = [line.rstrip("\r") for line in head.split("\n")]
    if not whole and len(lines) > 1:
        lines.pop()  # cut in the middle
    filled = [line for line in lines if line.strip()][: _SAMPLE_LINES + _BANNER_LINES]
    if not filled:
        raise BarsError(f"{path}: the file is empty; bars need a header or schema and at least one row; give the whole file")
    delimiter = reading.delimiter or _delimiter(filled, path)
    width = _width(filled, delimiter)[0]
    start = _first_line(lines, delimiter, width, reading)
    cells = tuple(cell.strip() for cell in _cells(lines[start], delimiter)) if start < len(lines) else ()
    if _is_header(cells, reading):
        _require_no_order(cells, path, reading)
        return Grid(content, delimiter, cells, start + 1, has_header=True)
    return Grid(content, delimiter, _names_without_header(cells, path, reading, required), start, has_header=False)


def _content(path: Path) -> Path | bytes:
    """The file itself where it is UTF-8, as nearly always, else its text as UTF-8."""
    if path.suffix.lower() == ".gz":
        try:
            content = gzip.decompress(path.read_bytes())
        except (EOFError, zlib.error) as error:
            raise OSError(str(error)) from None
    else:
        with path.open("rb") as stream:
            if stream.read(2) not in (b"\xff\xfe", b"\xfe\xff"):
                return path
        content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return content.decode("utf-16").encode()
        except UnicodeError as error:
            raise OSError(str(error)) from None
    return content


def _head(content: Path | bytes) -> tuple[str, bool]:
    """The first lines, and whether they are all."""
    if isinstance(content, bytes):
        head = content[: _HEAD_BYTES + 1]
    else:
        with content.open("rb") as stream:
            head = stream.read(_HEAD_BYTES + 1)
    text = head[:_HEAD_BYTES].decode("utf-8-sig", errors="replace")
    return text, len(head) <= _HEAD_BYTES


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]


def _width(lines: Sequence[str], delimiter: str) -> tuple[int, int]:
    """The number of cells that most lines have, at least 2 where any has, and how many lines have it."""
    counts = Counter(width for line in lines if (width := len(_cells(line, delimiter))) > 1)
    return max(counts.items(), key=lambda item: (item[1], item[0])) if counts else (1, 0)


def _delimiter(lines: Sequence[str], path: Path) -> str:
    """The delimiter that gives most lines one number of cells, and among such the one that gives more cells."""
    scores = {delimiter: _width(lines, delimiter)[::-1] for delimiter in DELIMITERS}
    best = max(scores.values())
    if best[0] == 0:
        return ","
    matches = [delimiter for delimiter, score in scores.items() if score == best]
    if len(matches) > 1:
        raise BarsError(
            f"{path}: its cells may be separated by {' or '.join(map(repr, matches))}; it must be one; say which with "
            f"delimiter={matches[0]!r}"
        )
    return matches[0]


def _first_line(lines: Sequence[str], delimiter: str, width: int, reading: Reading) -> int:
    """The index of the header, or of data row 1 where there is none: the first line that is no banner."""
    for index, line in enumerate(lines[:_BANNER_LINES]):
        bare = line.strip()
        cells = _cells(line, delimiter)
        foreign = len(cells) != width and not any(_is_value(cell) or _is_name(cell, reading) for cell in cells)
        if bare and not foreign and not bare.startswith(("#", "//")):
            return index
    return min(len(lines) - 1, _BANNER_LINES)


def _is_value(cell: str) -> bool:
    bare = cell.strip()
    return bool(_NUMBER.fullmatch(bare) or _DATE.fullmatch(bare))


def _is_name(cell: str, reading: Reading) -> bool:
    bare = cell.strip()
    return bool(bare) and (is_known(bare) or bare in reading.mapping.values())


def _is_header(cells: Sequence[str], reading: Reading) -> bool:
    # A row of data may hold a word that is also a column's name, such as C for a call; a header is made of names.
    names = sum(_is_name(cell, reading) for cell in cells)
    values = sum(_is_value(cell) for cell in cells)
    return not values or names > values


def _require_no_order(header: tuple[str, ...], path: Path, reading: Reading) -> None:
    if reading.order is not None:
        raise BarsError(
            f"{path}: has a header ({_shown(header)}), and columns={list(reading.order)!r} is for files without one; "
            'say columns={"timestamp": "Date"} with the header\'s names, or leave it out'
        )


def _names_without_header(cells: tuple[str, ...], path: Path, reading: Reading, required: Sequence[str]) -> tuple[str, ...]:
    if reading.order is not None:
        if len(reading.order) != len(cells):
            raise BarsError(
                f"{path}: row 1 has {len(cells)} cells ({_shown(cells)}), and columns={list(reading.order)!r} names "
                f"{len(reading.order)}; it must name every column; use '' for each that is not needed"
            )
        return tuple(name if name in COLUMNS else "" for name in reading.order)
    if _is_kline(cells) and not reading.mapping:
        return KLINE
    problem = f"{path}: has no header, its first row is {_shown(cells)}"
    if required != REQUIRED:
        raise BarsError(f"{problem}; a header must name {' and '.join(required)}; give the file one")
    example = [*REQUIRED, "volume"][: max(5, len(cells))]
    example += [""] * (len(cells) - len(example))
    raise BarsError(
        f"{problem}; bars need to know which column is which; name them in the order of the file: columns={example!r} "
        "(if that is the order; '' skips a column)"
    )


def _is_kline(cells: Sequence[str]) -> bool:
    """Whether a row can only be a Binance kline: twelve numbers whose seventh closes the bar that the first opens."""
    if len(cells) != len(KLINE) or not all(_NUMBER.fullmatch(cell) for cell in cells):
        return False
    whole = (cells[0], cells[6], cells[8])
    if not all(cell.isdigit() for cell in whole) or len(cells[0]) not in (13, 16) or len(cells[0]) != len(cells[6]):
        return False
    opens, high, low, close = (float(cell) for cell in cells[1:5])
    return int(cells[0]) < int(cells[6]) and low <= min(opens, close) and max(opens, close) <= high


def _shown(cells: Sequence[str]) -> str:
    text = ", ".join(cells[:12]) + (", …" if len(cells) > 12 else "")
    return repr(text if len(text) <= 160 else text[:160] + "…")
