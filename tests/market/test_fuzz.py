"""Readers under fire: whatever the bytes and options, bars come out that obey every rule, or a refusal.

The quick run tries a few hundred cases. A long one, from the checkout's root, tries other ones until its time is over,
and stops with what it found and the seed that repeats it:

    python tests/market/test_fuzz.py --minutes 15

HYPOTHESIS_PROFILE=long makes any run of these tests thorough.

Known, and not ours to catch: polars 2.1 aborts the process ("memory allocation of … bytes failed") where a damaged page
of a Parquet file claims an absurd length. A long run that ends with exit code -6 has found that.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from islands.errors import InputError, IslandsWarning
from islands.market.bars import Bars, read_bars
from islands.market.files import FORMATS
from islands.market.places import Origin, Rows
from islands.market.rules import require_sound

EXAMPLES = {"long": 20_000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 60)
fuzz = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=False, database=None)
pytestmark = pytest.mark.filterwarnings("ignore::islands.errors.IslandsWarning")

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "columns": st.sampled_from(
        [
            None,
            ["timestamp", "open", "high", "low", "close"],
            ["timestamp", "open", "high", "low", "close", "volume"],
            ("", "timestamp", "open", "high", "low", "close", None),
            {"timestamp": "a"},
            {"timestamp": "", "close": "close"},
            {"funding_rate": "volume"},
        ]
    ),
    "time_zone": st.sampled_from([None, "UTC", "Europe/Athens", "America/New_York", "+03:00", "-23:59", "Asia/Kolkata"]),
    "time_format": st.sampled_from([None, None, "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%.f%z", "%s", "%H:%M", "%Y%m%d", "%"]),
    "time_unit": st.sampled_from([None, None, "s", "ms", "us", "ns"]),
    "bar_time": st.sampled_from(["open", "close"]),
    "scale": st.sampled_from([1.0, 1e-5, 1e-4, 100.0, 1e300, 5e-324, 3]),
    "sort": st.booleans(),
    "on_duplicate": st.sampled_from([None, "first", "last"]),
    "delimiter": st.sampled_from([None, None, None, ",", ";", "\t", "|", " "]),
}
options = st.fixed_dictionaries({}, optional=OPTIONS)

STAMPS = st.sampled_from(
    [
        *("2024-01-01", "2024-01-01 01:00", "2024-01-01T02:00:00Z", "2024-10-27 03:30", "2024-03-31 03:30"),
        *("2024-01-01T02:00:00+05:30", "2024-01-01 01-AM", "2024-01-01 12:00 PM", "9999-12-31", "0001-01-01"),
        *("01.02.2024 03:00", "13/01/2024", "01/02/2024", "20240101", "20240101 000000", "20240101 00:00", "202401010000"),
        *("1704067200", "1704067200000", "1704067200000000", "1704067200000000000", "1704067200.5", "-1", "0"),
        *("9223372036854775807", "9223372036854775808", "99999999999999999999", "1e9", "nan", "", " ", "٣", "\u2028"),
    ]
)
NUMBERS = st.sampled_from(
    [
        "1",
        "1.5",
        "0.1",
        "2",
        "1e308",
        "1e-320",
        "-1",
        "0",
        "nan",
        "inf",
        "-inf",
        "",
        " ",
        "1,5",
        "1_0",
        "0x1",
        "x",
        '"',
        "1e999",
    ]
)
NAMES = st.sampled_from(
    [
        *("timestamp", "open", "high", "low", "close", "volume", "funding_rate", "Date", "Open", "O", "unix", "a", ""),
        *("BTC:open", "BTC:high", "BTC:low", "BTC:close", "<TICKVOL>", "1. open", "Volume BTC", "time"),
    ]
)


def sound_table(rows: int = 40) -> pl.DataFrame:
    """Bars whose files are then damaged."""
    number = np.arange(1.0, rows + 1)
    return pl.DataFrame(
        {
            "timestamp": [datetime(2024, 1, 1, tzinfo=UTC) + hour * timedelta(hours=1) for hour in range(rows)],
            **{name: 100.0 + number + shift for name, shift in (("open", 0), ("high", 1), ("low", -2), ("close", 0.5))},
            "volume": 10.0 * number,
            "funding_rate": np.where(number % 8 == 0, 1e-4, 0.0),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def written(suffix: str) -> bytes:
    frame, stream = sound_table(), io.BytesIO()
    if suffix == ".parquet":
        frame.write_parquet(stream)
    elif suffix in (".arrow", ".feather", ".ipc"):
        frame.write_ipc(stream)
    else:
        frame.write_csv(stream, separator="\t" if suffix.startswith(".tsv") else ",")
    return gzip.compress(stream.getvalue(), mtime=0) if suffix.endswith(".gz") else stream.getvalue()


SOUND = {suffix: written(suffix) for suffix in FORMATS}


def require_sound_or_refused(read: Callable[[], Bars]) -> Bars | None:
    """The one law of this file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IslandsWarning)
            bars = read()
    except InputError as error:
        text = str(error)
        assert text and "\n" not in text.strip(), "a refusal is one paragraph"
        assert error.__suppress_context__ or error.__context__ is None, "a refusal drags no other error along"
        assert pickle.loads(pickle.dumps(error)).args == error.args
        return None
    require_sound(bars.tape.block.copy(), Rows.of((Origin("again"), len(bars))))
    assert bars.tape.block.shape == (7 if bars.funding_rate is not None else 6, len(bars))
    assert (np.diff(bars.timestamps) > 0).all()
    bars.gaps(), bars.suspicious_prints(), bars.summary(), repr(bars)
    assert Bars.from_polars(bars.to_polars()).fingerprint == bars.fingerprint
    return bars


def read_bytes(folder: Path, content: bytes, suffix: str, chosen: dict[str, Any]) -> Bars | None:
    # Another name each time: a reader may keep a map of the file that was.
    path = folder / f"x{time.monotonic_ns()}{suffix}"
    path.write_bytes(content)
    try:
        return require_sound_or_refused(lambda: read_bars(path, **chosen))
    finally:
        path.unlink()


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Text that is nearly a table."""
    delimiter = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    usual = st.just(["timestamp", "open", "high", "low", "close", "volume"])
    header = draw(usual | st.lists(NAMES, max_size=9) | st.just([]))
    stamp = draw(STAMPS)
    stamps = st.just(stamp) | STAMPS
    price = st.just("1") | NUMBERS
    banner = draw(st.sampled_from(["", "", "https://x.y,z\n", "# note\n", "\n", "\ufeff", "x\n"]))
    lines = [delimiter.join(header)] if header else []
    for _ in range(draw(st.integers(0, 6))):
        cells = [draw(stamps), *(draw(price) for _ in range(draw(st.sampled_from([4, 5, 5, 5, 6, 11]))))]
        lines.append(delimiter.join(cells))
    text = banner + end.join(lines) + draw(st.sampled_from(["", end, end * 2, ",,,,,"]))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16"])))


@st.composite
def damaged(draw: st.DrawFn, suffix: str) -> bytes:
    """A sound file with a few bytes changed, cut out, put in or doubled, or cut short."""
    content = bytearray(SOUND[suffix])
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["bit", "byte", "cut", "put", "double", "short"]))
        length = draw(st.integers(1, 40))
        if kind == "bit" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "put":
            content[place:place] = draw(st.binary(max_size=length))
        elif kind == "double":
            content[place:place] = content[place : place + length]
        else:
            del content[place:]
    return bytes(content)


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@given(content=tables(), chosen=options, suffix=st.sampled_from([".csv", ".txt", ".tsv"]))
@fuzz
def test_any_text_that_is_nearly_a_table_is_read_or_refused(
    folder: Path, content: bytes, chosen: dict[str, Any], suffix: str
) -> None:
    read_bytes(folder, content, suffix, chosen)


@given(content=st.binary(max_size=300), chosen=options, suffix=st.sampled_from(list(FORMATS)))
@fuzz
def test_any_bytes_are_read_or_refused(folder: Path, content: bytes, chosen: dict[str, Any], suffix: str) -> None:
    read_bytes(folder, content, suffix, chosen)


@given(place=st.data(), chosen=options, suffix=st.sampled_from(list(FORMATS)))
@fuzz
def test_a_damaged_file_is_read_or_refused(folder: Path, place: st.DataObject, chosen: dict[str, Any], suffix: str) -> None:
    read_bytes(folder, place.draw(damaged(suffix)), suffix, chosen)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Frames of any types under names that may be ours."""
    rows = draw(st.integers(0, 4))
    whole = st.integers(-(2**63), 2**63 - 1)
    columns: dict[str, pl.Series] = {}
    names = draw(
        st.just(["timestamp", "open", "high", "low", "close", "funding_rate"]) | st.lists(NAMES, unique=True, max_size=8)
    )
    for name in names:
        kind: Any = draw(
            st.sampled_from(
                [
                    *(pl.Float64, pl.Float64, pl.Int64, pl.UInt64, pl.Float32, pl.String, pl.Boolean, pl.Date, pl.Null),
                    *(pl.Datetime("us", "UTC"), pl.Datetime("ms"), pl.Datetime("ns", "Asia/Kolkata"), pl.Time, pl.Int8),
                    *(pl.Decimal(20, 4), pl.Duration("us"), pl.List(pl.Int64), pl.Categorical, pl.Binary),
                ]
            )
        )
        cells: st.SearchStrategy[Any] = st.none() | whole | st.sampled_from([1, 2, 1_704_067_200_000_000])
        if kind in (pl.Float64, pl.Float32):
            cells = st.none() | st.floats() | st.just(1.0)
        elif kind in (pl.String, pl.Categorical, pl.Binary):
            cells = st.none() | STAMPS
        values = draw(st.lists(cells, min_size=rows, max_size=rows))
        columns[name] = _series(name, values, kind)
    return pl.DataFrame(columns)


def _series(name: str, values: list[Any], kind: Any) -> pl.Series:
    if kind == pl.Binary:
        return pl.Series(name, [None if value is None else value.encode() for value in values], dtype=kind)
    if isinstance(kind, pl.List):
        return pl.Series(name, [None if value is None else [value] for value in values], dtype=kind)
    if any(isinstance(value, int) for value in values):
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.Int64).cast(kind, strict=False)
    return pl.Series(name, values, dtype=kind)


@given(frame=frames())
@fuzz
def test_any_frame_becomes_bars_or_is_refused(frame: pl.DataFrame) -> None:
    require_sound_or_refused(lambda: Bars.from_polars(frame))


@pytest.mark.slow
@given(frame=frames(), suffix=st.sampled_from([".parquet", ".arrow"]), chosen=options)
@fuzz
def test_any_typed_file_is_read_or_refused(folder: Path, frame: pl.DataFrame, suffix: str, chosen: dict[str, Any]) -> None:
    stream = io.BytesIO()
    frame.write_parquet(stream) if suffix == ".parquet" else frame.write_ipc(stream)
    read_bytes(folder, stream.getvalue(), suffix, chosen)


@given(frame=frames(), tolerance=st.sampled_from([None, "1s", "1h", "1d"]), drop=st.sampled_from([None, "drop"]))
@fuzz
def test_any_frame_of_rates_is_joined_or_refused(frame: pl.DataFrame, tolerance: str | None, drop: str | None) -> None:
    bars = Bars.from_polars(sound_table())
    require_sound_or_refused(lambda: bars.with_funding(frame, tolerance=tolerance, on_unmatched=drop))


@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(OPTIONS, st.none() | st.integers() | st.text() | st.floats())))
@fuzz
def test_any_value_of_an_option_is_taken_or_refused(folder: Path, values: dict[str, Any]) -> None:
    read_bytes(folder, SOUND[".csv"], ".csv", values)


def main() -> None:
    """Run this file's tests again and again, each time thoroughly and with the next seed, until something is found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    chosen = parser.parse_args()
    until, number = time.monotonic() + 60 * chosen.minutes, chosen.seed
    while time.monotonic() < until:
        # A process of its own: a reader that dies, dies alone and is found out.
        run = [sys.executable, "-m", "pytest", "-q", "-x", __file__, f"--hypothesis-seed={number}"]
        answer = subprocess.run(run, env={**os.environ, "HYPOTHESIS_PROFILE": "long"}, check=False).returncode
        if answer:
            raise SystemExit(f"seed {number}: found something (exit code {answer})")
        number += 1
    print(f"nothing found with seeds {chosen.seed} to {number - 1}")


if __name__ == "__main__":
    main()
