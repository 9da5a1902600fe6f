"""Files that hold bars: finding them, and reading the columns that are needed.

`FORMATS` is the table of what can be read and written. Everything that polars or the disk says on the way becomes a
BarsError that names the file.
"""

from __future__ import annotations

import csv
import difflib
import glob
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from islands.errors import BarsError, InputError
from islands.market.rules import Part, columns_of, part_of


@dataclass(frozen=True, slots=True)
class Format:
    """How to scan and write one kind of file. `text` formats have no types: every cell arrives as it was written."""

    scan: Callable[[Path], pl.LazyFrame]
    write: Callable[[pl.DataFrame, Path], None]
    text: bool = False


_ARROW = Format(lambda path: pl.scan_ipc(path, glob=False), lambda frame, path: frame.write_ipc(path))

FORMATS: dict[str, Format] = {
    ".parquet": Format(
        lambda path: pl.scan_parquet(path, glob=False, hive_partitioning=False),
        lambda frame, path: frame.write_parquet(path),
    ),
    ".arrow": _ARROW,
    ".feather": _ARROW,
    ".ipc": _ARROW,
    ".csv": Format(
        lambda path: pl.scan_csv(path, infer_schema=False, glob=False),
        lambda frame, path: frame.write_csv(path),
        text=True,
    ),
}


def found_files(path: str | os.PathLike[str]) -> list[Path]:
    """The files that a path or glob names, in the order of their names; a file that exists is never taken for a glob.

    Raises:
        BarsError: nothing is there, the glob matches no file, or the path is a folder.
        InputError: `path` is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"a {type(path).__name__} is not a path; bars are read from a file's path or a glob; use Bars.from_polars "
            "for a frame, a glob for several files"
        )
    text = os.path.expanduser(os.fspath(path))
    if os.path.isfile(text):
        return [Path(text)]
    if os.path.isdir(text):
        raise BarsError(
            f"{text}: is a folder; bars are read from files; give a glob, such as {os.path.join(text, '*.parquet')}"
        )
    if glob.has_magic(text):
        files = sorted(name for name in glob.glob(text, recursive=True) if os.path.isfile(name))
        if not files:
            raise BarsError(f"{text}: the glob matches no file; it must match at least one; mend the pattern")
        return [Path(name) for name in files]
    if "://" in text:
        raise BarsError(f"{text}: is a URL; only local files are read; download it, or use polars and Bars.from_polars")
    raise BarsError(f"{text}: no such file{_nearest_sibling(Path(text))}; the path must name a file; mend the path")


def format_of(path: Path) -> Format:
    """The format that a file's suffix names, whatever its case.

    Raises:
        BarsError: an unknown suffix.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise BarsError(
            f"{path}: unknown suffix {path.suffix!r}; the suffix must be one of {', '.join(FORMATS)}; "
            "rename or convert the file, or use polars and Bars.from_polars / to_polars"
        )
    return form


def part_from(path: Path, wanted: Mapping[str, str] | None) -> Part:
    """One file's numbers; only the columns of bars are read. `wanted` maps our column names to the file's.

    Raises:
        BarsError: the file cannot be read, lacks columns, or holds cells that are no numbers.
    """
    form = format_of(path)
    source = str(path)
    try:
        scan = form.scan(path)
        names = scan.collect_schema().names()
        columns = columns_of(names, wanted, source)
        frame = scan.select(pl.col(theirs).alias(ours) for ours, theirs in columns.items()).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise BarsError(_unreadable(path, form, error)) from None
    for theirs in columns.values():
        if form.text and f"{theirs}_duplicated_0" in names:
            raise BarsError(f"{path}: the header names {theirs!r} twice; a column must be named once; mend the header")
    if form.text:
        # polars makes a row of nulls of each blank line; at the end of a file they are no mistake.
        frame = frame.head(max(0, frame.height - _blank_lines_at_end(path)))
    return part_of(frame, columns, source, text=form.text)


def save(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame in the format that the path's suffix names.

    Raises:
        BarsError: an unknown suffix, or the file cannot be written.
    """
    target = Path(os.path.expanduser(os.fspath(path)))
    form = format_of(target)
    try:
        form.write(frame, target)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BarsError(
            f"{target}: cannot be written ({_first_line(error)}); the folder must exist and be writable; choose another path"
        ) from None


def _unreadable(path: Path, form: Format, error: BaseException) -> str:
    if path.stat().st_size == 0:
        return f"{path}: the file is empty; bars need a header or schema and at least one row; give the whole file"
    ragged = _ragged_row(path) if form.text else None
    if ragged is not None:
        row, found, expected = ragged
        return (
            f"{path}, row {row}: has {found} cells where the header has {expected}; every row must have as many cells "
            "as the header; mend that row"
        )
    return (
        f"{path}: cannot be read as {path.suffix.lower()} ({_first_line(error)}); the file must be whole and be what "
        "its suffix says; write it again, or rename it"
    )


def _ragged_row(path: Path) -> tuple[int, int, int] | None:
    """The first data row of a CSV with more cells than its header: (row from 1, cells, cells of the header)."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = csv.reader(stream)
            header = next(lines, [])
            for row, cells in enumerate(lines, start=1):
                if len(cells) > len(header):
                    return row, len(cells), len(header)
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return None


def _blank_lines_at_end(path: Path) -> int:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4096))
        tail = stream.read()
    return max(0, tail[len(tail.rstrip(b"\r\n")) :].count(b"\n") - 1)


def _nearest_sibling(path: Path) -> str:
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return f" (the folder {path.parent} cannot be read either)"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (nearest: {near[0]})" if near else ""


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).strip()
