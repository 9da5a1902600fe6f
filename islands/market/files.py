"""Files that hold bars: finding them, and reading the columns that are needed.

`FORMATS` is the table of what can be read and written. Everything that polars or the disk says on the way becomes a
BarsError that names the file.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from islands.errors import BarsError, InputError
from islands.market.columns import columns_of, is_one_of_several, plain
from islands.market.places import Origin
from islands.market.reading import Reading
from islands.market.tape import REQUIRED
from islands.market.text import Grid, grid_of

# PanicException is no Exception: a panic of polars is a damaged file, not the end of the program.
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


_TIME_OF_DAY = r"^([01]?[0-9]|2[0-3])(:[0-5][0-9]){1,2}(\.[0-9]+)?$|^([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]$"


@dataclass(frozen=True, slots=True)
class Format:
    """How to scan and write one kind of file. Without a scan it is text, without a write it is only read."""

    scan: Callable[[Path], pl.LazyFrame] | None
    write: Callable[[pl.DataFrame, Path], None] | None

    @property
    def text(self) -> bool:
        """Whether cells have no types, and arrive as they were written."""
        return self.scan is None


_ARROW = Format(lambda path: pl.scan_ipc(path, glob=False), lambda frame, path: frame.write_ipc(path))
_TEXT = Format(None, None)

FORMATS: dict[str, Format] = {
    ".parquet": Format(
        lambda path: pl.scan_parquet(path, glob=False, hive_partitioning=False),
        lambda frame, path: frame.write_parquet(path),
    ),
    ".arrow": _ARROW,
    ".feather": _ARROW,
    ".ipc": _ARROW,
    ".csv": Format(None, lambda frame, path: frame.write_csv(path)),
    ".txt": _TEXT,
    ".tsv": _TEXT,
    ".csv.gz": _TEXT,
    ".txt.gz": _TEXT,
    ".tsv.gz": _TEXT,
}


@dataclass(frozen=True, slots=True)
class Table:
    """One file's or frame's table under our names; `columns` tell its own (our name -> its name)."""

    frame: pl.DataFrame
    columns: dict[str, str]
    origin: Origin
    text: bool


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


def suffix_of(path: Path) -> str:
    """The suffix that tells the format, in lower case: two where the last is .gz."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == ".gz" else last


def stem_of(path: Path) -> str:
    """The file's name without `suffix_of`."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def format_of(path: Path) -> Format:
    """The format that a file's suffix names, whatever its case.

    Raises:
        BarsError: an unknown suffix.
    """
    form = FORMATS.get(suffix_of(path))
    if form is None:
        raise BarsError(
            f"{path}: unknown suffix {path.suffix!r}; the suffix must be one of {', '.join(FORMATS)}; "
            "rename or convert the file, or use polars and Bars.from_polars / to_polars"
        )
    return form


def table_from(path: Path, reading: Reading, required: Sequence[str] = REQUIRED) -> Table:
    """One file's columns, as far as they are ours; `required` are those that must be there.

    Raises:
        BarsError: the file cannot be read, or lacks columns.
    """
    form = format_of(path)
    grid: Grid | None = None
    try:
        if form.scan is None:
            grid = grid_of(path, reading, required)
            scan, names = grid.scan(), grid.names
        else:
            require_typed(str(path), reading)
            scan = form.scan(path)
            names = tuple(scan.collect_schema().names())
        apart = _date_and_time(scan, names) if grid is not None and "timestamp" not in reading.mapping else None
        wanted = {**reading.mapping, **({"timestamp": apart[0]} if apart else {})}
        columns = columns_of(names, wanted, str(path), required)
        frame = _selected(scan, names, columns, apart)
        if apart:
            columns["timestamp"] = " ".join(apart)
        if grid is not None:
            # At the end of a file blank lines are no mistake.
            frame = frame.head(max(0, frame.height - grid.blank_lines_at_end()))
    except POLARS_ERRORS as error:
        raise BarsError(_unreadable(path, grid, error)) from None
    rows_before = 0
    if is_one_of_several(columns, names):
        rows_before, frame = _without_blank_ends(frame)
    return Table(frame, columns, Origin(str(path), grid.lines_before if grid else None, rows_before), text=form.text)


def _selected(
    table: pl.LazyFrame, names: tuple[str, ...], columns: dict[str, str], apart: tuple[str, str] | None
) -> pl.DataFrame:
    """The columns under our names. apart: the two columns that make the timestamp together."""
    theirs = table.collect_schema().names()
    if len(theirs) != len(names):
        raise pl.exceptions.ComputeError(f"the header has {len(names)} cells, and the table {len(theirs)} columns")
    chosen = {ours: pl.col(theirs[names.index(name)]) for ours, name in columns.items()}
    if apart:
        cells = [pl.col(theirs[names.index(name)]).str.strip_chars() for name in apart]
        chosen["timestamp"] = pl.concat_str(cells, separator=" ")
    return table.select(cells.alias(ours) for ours, cells in chosen.items()).collect()


def _date_and_time(table: pl.LazyFrame, names: tuple[str, ...]) -> tuple[str, str] | None:
    """The columns of a text file that hold date and time of day apart, where they certainly do; else None.

    They are called so, every cell of the one is a time of day, and none of the other holds one.
    """
    found = [[name for name in names if plain(name) == word] for word in ("date", "time")]
    theirs = table.collect_schema().names()
    if [len(matches) for matches in found] != [1, 1] or len(theirs) != len(names):
        return None
    day, time = ((name, pl.col(theirs[names.index(name)]).str.strip_chars()) for (name,) in found)
    is_time = time[1].str.contains(_TIME_OF_DAY).fill_null(True).all()
    has_none = (~day[1].str.contains(":")).fill_null(True).all()
    if not table.select(is_time & has_none).collect().item():
        return None
    return day[0], time[0]


def _without_blank_ends(frame: pl.DataFrame) -> tuple[int, pl.DataFrame]:
    """One asset of a wide table without the rows before it was listed and after: (rows left out at the start, the rest).

    Only rows without any number at the ends are left out; a blank in the middle is a missing cell.
    """
    filled = frame.select(pl.any_horizontal(pl.exclude("timestamp").is_not_null())).to_series()
    if not filled.any():
        return 0, frame.clear()
    first = int(filled.arg_max() or 0)
    last = frame.height - int(filled.reverse().arg_max() or 0)
    return first, frame[first:last]


def require_typed(source: str, reading: Reading) -> None:
    """Refuse options of text files for a table that is none.

    Raises:
        BarsError: the reading has a delimiter, or names of columns in order.
    """
    for option, value in (("delimiter", reading.delimiter), ("columns", reading.order)):
        if value is not None:
            shown = list(value) if isinstance(value, tuple) else value
            raise BarsError(
                f"{source}: is no text, and {option}={shown!r} is for text files; its columns have names and types; leave it "
                "out, or map names with columns={...}"
            )


def save(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame in the format that the path's suffix names.

    Raises:
        BarsError: an unknown suffix, or the file cannot be written.
    """
    target = Path(os.path.expanduser(os.fspath(path)))
    form = format_of(target)
    if form.write is None:
        raise BarsError(
            f"{target}: bars are not written as {suffix_of(target)}; the suffix must be one of "
            f"{', '.join(suffix for suffix, form in FORMATS.items() if form.write)}; choose one of them"
        )
    try:
        form.write(frame, target)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BarsError(
            f"{target}: cannot be written ({_first_line(error)}); the folder must exist and be writable; choose another path"
        ) from None


def _unreadable(path: Path, grid: Grid | None, error: BaseException) -> str:
    if _size(path) == 0:
        return f"{path}: the file is empty; bars need a header or schema and at least one row; give the whole file"
    ragged = grid.ragged_row() if grid else None
    if grid is not None and ragged is not None:
        row, found = ragged
        where = Origin(str(path), grid.lines_before).row(row)
        what = "the header has" if grid.has_header else "row 1 has"
        return (
            f"{path}, {where}: has {found} cells where {what} {len(grid.names)}; every row must have as many cells "
            "as the header; mend that row, or say delimiter=... if the cells are separated by something else"
        )
    return (
        f"{path}: cannot be read as {suffix_of(path)} ({_first_line(error)}); the file must be whole and be what "
        "its suffix says; write it again, or rename it"
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _nearest_sibling(path: Path) -> str:
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return f" (the folder {path.parent} cannot be read either)"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (nearest: {near[0]})" if near else ""


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).strip()
