"""Bars: what is read, what is refused and how that is said, and what is made of them."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from effort import examples
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from islands.errors import BarsError, InputError
from islands.market.bars import Bars, read_bars
from islands.market.tape import ROWS, Tape

SHARED = Path(__file__).parents[3] / "shared" / "data"
SUFFIXES = (".csv", ".parquet", ".arrow", ".feather", ".ipc")
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000


def table(rows: int = 6, start: datetime = START, step: timedelta = timedelta(hours=1)) -> pl.DataFrame:
    """Sound bars: row i (from 1) opens at 100 + i, reaches 1 up and 2 down, closes 0.5 up, and has volume 10 i."""
    number = pl.Series(range(1, rows + 1), dtype=pl.Float64)
    return pl.DataFrame(
        {
            "timestamp": [start + row * step for row in range(rows)],
            "open": 100.0 + number,
            "high": 101.0 + number,
            "low": 98.0 + number,
            "close": 100.5 + number,
            "volume": 10.0 * number,
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def with_cell(frame: pl.DataFrame, row: int, column: str, value: Any) -> pl.DataFrame:
    """The frame with one cell replaced; `row` counts from 1, as the messages do."""
    cells = frame[column].to_list()
    cells[row - 1] = value
    return frame.with_columns(pl.Series(column, cells, dtype=frame[column].dtype))


def save(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_ipc(path)
    return path


def refusal(action: Callable[[], object], kind: type[InputError] = BarsError) -> str:
    """The message of the refusal; it must not drag a polars error along."""
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    return str(caught.value)


# Reading


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".CSV", ".Parquet"])
def test_every_format_gives_the_same_bars(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"btc{suffix}"
    table().write_csv(path) if suffix.lower() == ".csv" else save(table(), tmp_path / f"x{suffix.lower()}").rename(path)
    bars = read_bars(path)
    assert bars.name == "btc"
    assert bars.fingerprint == Bars.from_polars(table()).fingerprint
    assert bars.to_polars().equals(table())


def test_a_path_may_be_text_and_a_name_may_be_given(tmp_path: Path) -> None:
    assert read_bars(str(save(table(), tmp_path / "x.csv")), name="BTC").name == "BTC"


def test_bars_delegate_to_their_tape() -> None:
    bars = Bars.from_polars(table(), name="BTC")
    assert len(bars) == 6
    assert bars.timestamps.tolist() == [int(START.timestamp()) * 1_000_000 + row * HOUR_US for row in range(6)]
    assert bars.open.tolist() == [101.0, 102.0, 103.0, 104.0, 105.0, 106.0]
    assert bars.high.tolist() == [102.0, 103.0, 104.0, 105.0, 106.0, 107.0]
    assert bars.low.tolist() == [99.0, 100.0, 101.0, 102.0, 103.0, 104.0]
    assert bars.close.tolist() == [101.5, 102.5, 103.5, 104.5, 105.5, 106.5]
    assert bars.volume.tolist() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert bars.periods_per_year == 8766.0
    assert bars.fingerprint == bars.tape.fingerprint
    assert bars.step_us == HOUR_US


@pytest.mark.parametrize(
    ("bars", "text"),
    [
        (
            Bars.from_polars(table(), name="BTC"),
            "Bars('BTC', 6 bars, 2024-01-01 00:00 UTC – 2024-01-01 05:00 UTC, step 1h)",
        ),
        (Bars.from_polars(table(1)), "Bars('bars', 1 bar, 2024-01-01 00:00 UTC – 2024-01-01 00:00 UTC, step unknown)"),
        (
            Bars.from_polars(table(3, step=timedelta(seconds=90))),
            "Bars('bars', 3 bars, 2024-01-01 00:00 UTC – 2024-01-01 00:03 UTC, step 1m30s)",
        ),
        (
            Bars.from_polars(table(2, step=timedelta(microseconds=1500))),
            "Bars('bars', 2 bars, 2024-01-01 00:00 UTC – 2024-01-01 00:00:00.001500 UTC, step 1ms500us)",
        ),
    ],
)
def test_bars_introduce_themselves(bars: Bars, text: str) -> None:
    assert repr(bars) == text


def test_bars_survive_pickle() -> None:
    bars = Bars.from_polars(table(), name="BTC")
    again = pickle.loads(pickle.dumps(bars))
    assert (again.name, again.fingerprint) == ("BTC", bars.fingerprint)
    assert not again.close.flags.writeable


def test_only_the_columns_of_bars_are_read(tmp_path: Path) -> None:
    frame = table().with_columns(note=pl.lit(None, dtype=pl.String), funding_rate=pl.lit(math.nan))
    for suffix in SUFFIXES:
        assert len(read_bars(save(frame, tmp_path / f"x{suffix}"))) == 6


def test_a_missing_volume_column_is_zero_volume(tmp_path: Path) -> None:
    assert read_bars(save(table().drop("volume"), tmp_path / "x.csv")).volume.tolist() == [0.0] * 6
    assert Bars.from_polars(table().drop("volume")).volume.tolist() == [0.0] * 6


def test_column_names_match_whatever_their_case(tmp_path: Path) -> None:
    frame = table().rename({name: name.capitalize() for name in ROWS})
    assert read_bars(save(frame, tmp_path / "x.parquet")).fingerprint == Bars.from_polars(table()).fingerprint
    assert Bars.from_polars(frame).fingerprint == Bars.from_polars(table()).fingerprint


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_maps_our_names_to_the_files(tmp_path: Path, suffix: str) -> None:
    frame = table().rename({"timestamp": "Date", "close": "Adj Close"}).with_columns(Close=pl.lit(-1.0))
    bars = read_bars(save(frame, tmp_path / f"x{suffix}"), columns={"timestamp": "Date", "close": "Adj Close"})
    assert bars.fingerprint == Bars.from_polars(table()).fingerprint


def test_negative_zero_volume_is_zero() -> None:
    zeros = table().with_columns(volume=pl.lit(0.0))
    signed = table().with_columns(volume=pl.lit(-0.0))
    assert Bars.from_polars(zeros).fingerprint == Bars.from_polars(signed).fingerprint


@pytest.mark.parametrize("kind", [pl.Int32, pl.Int64, pl.UInt16, pl.Float32, pl.Decimal(12, 2)])
def test_every_numeric_type_is_a_number(tmp_path: Path, kind: Any) -> None:
    whole = table().with_columns(close=pl.col("open"))
    frame = whole.with_columns(pl.col("open", "high", "low", "close", "volume").cast(kind))
    assert Bars.from_polars(frame).fingerprint == Bars.from_polars(whole).fingerprint


# Time


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow", None])
def test_datetimes_of_any_unit_and_zone_become_utc(tmp_path: Path, unit: Any, zone: str | None, suffix: str | None) -> None:
    stamps = pl.col("timestamp").dt.cast_time_unit(unit)
    stamps = stamps.dt.convert_time_zone(zone) if zone else stamps.dt.replace_time_zone(None)
    frame = table().with_columns(stamps)
    bars = Bars.from_polars(frame) if suffix is None else read_bars(save(frame, tmp_path / f"x{suffix}"))
    assert bars.fingerprint == Bars.from_polars(table()).fingerprint


def test_dates_are_their_midnight_in_utc(tmp_path: Path) -> None:
    daily = table(step=timedelta(days=1))
    frame = daily.with_columns(pl.col("timestamp").dt.date())
    for bars in (Bars.from_polars(frame), *(read_bars(save(frame, tmp_path / f"x{suffix}")) for suffix in SUFFIXES)):
        assert bars.fingerprint == Bars.from_polars(daily).fingerprint


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        ("2024-01-31 15:07", datetime(2024, 1, 31, 15, 7)),
        ("2024-01-31T15:07:09", datetime(2024, 1, 31, 15, 7, 9)),
        ("2024-01-31T15:07:09Z", datetime(2024, 1, 31, 15, 7, 9)),
        ("2024-01-31 15:07:09.5", datetime(2024, 1, 31, 15, 7, 9, 500_000)),
        ("2024-01-31 15:07:09,123456", datetime(2024, 1, 31, 15, 7, 9, 123_456)),
        ("2024-01-31 15:07:09.123456000", datetime(2024, 1, 31, 15, 7, 9, 123_456)),
        ("2024-01-31T15:07:09+02:00", datetime(2024, 1, 31, 13, 7, 9)),
        ("2024-01-31T15:07:09-0530", datetime(2024, 1, 31, 20, 37, 9)),
        ("2024-01-31T15:07:09 +01", datetime(2024, 1, 31, 14, 7, 9)),
        ("2024-01-31T00:07-00:30", datetime(2024, 1, 31, 0, 37)),
        ("1969-12-31 23:59:59.999999", datetime(1969, 12, 31, 23, 59, 59, 999_999)),
        ("2024-02-29", datetime(2024, 2, 29)),
    ],
)
def test_iso_text_in_csv_is_an_instant_and_naive_means_utc(tmp_path: Path, text: str, instant: datetime) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f'timestamp,open,high,low,close\n"{text}",1,1,1,1\n')
    epoch = datetime(1970, 1, 1)
    assert read_bars(path).timestamps.tolist() == [(instant - epoch) // timedelta(microseconds=1)]


def test_each_csv_row_may_have_its_own_offset(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    cells = ["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00", "2024-03-31 02:00Z", "2024-03-31T03:00:00.25Z"]
    path.write_text("timestamp,open,high,low,close\n" + "".join(f"{cell},1,1,1,1\n" for cell in cells))
    hours = np.array([0.0, 1.0, 2.0, 3.0 + 0.25 / 3600])
    start = int(datetime(2024, 3, 31, tzinfo=UTC).timestamp()) * 1_000_000
    assert read_bars(path).timestamps.tolist() == (start + hours * HOUR_US).astype(np.int64).tolist()


BAD_TIMES = [
    pytest.param("31.01.2024 15:00", "must be ISO 8601", id="day first"),
    pytest.param("03/04/2024", "must be ISO 8601", id="slashes"),
    pytest.param("20240131 150709", "must be ISO 8601", id="compact"),
    pytest.param("2024-1-5", "must be ISO 8601", id="one digit"),
    pytest.param("2024-02-30", "must be ISO 8601", id="no such day"),
    pytest.param("2024-01-31T24:00:00", "must be ISO 8601", id="hour 24"),
    pytest.param("2024-01-31T15:07:60", "must be ISO 8601", id="second 60"),
    pytest.param("2019-10-17 13-AM", "must be ISO 8601", id="thirteen of twelve hours"),
    pytest.param("yesterday", "must be ISO 8601", id="words"),
    pytest.param("2024-01-31T15:07:09.1234567", "must not be finer than a microsecond", id="100 ns"),
    pytest.param("1609459200", "pl.from_epoch('timestamp', time_unit='s')", id="epoch s"),
    pytest.param("1609459200000", "a bare number has no unit", id="epoch ms"),
    pytest.param("1609459200.5", "a bare number has no unit", id="epoch with a fraction"),
    pytest.param("9999-01-01", "must lie between the years 1684 and 2255", id="year 9999"),
    pytest.param("0001-01-01", "must lie between the years 1684 and 2255", id="year 1"),
]


@pytest.mark.parametrize(("text", "rule"), BAD_TIMES)
def test_other_text_in_csv_is_no_instant(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"timestamp,open,high,low,close\n2024-01-01,1,1,1,1\n{text},1,1,1,1\n")
    message = refusal(lambda: read_bars(path))
    assert message.startswith(f"{path}, row 2: 'timestamp' is ")
    assert rule in message
    assert text in message or "1684" in rule


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        pytest.param(pl.Series([1, 1_609_459_200]), ["is 1", "pl.from_epoch('timestamp'"], id="integers"),
        pytest.param(pl.Series([1.5, 1.5e9]), ["is 1.5 (Float64)", "pl.from_epoch('timestamp'"], id="floats"),
        pytest.param(pl.Series(["2024-01-01", "b"]), ["is '2024-01-01' (String)", ".str.to_datetime()"], id="text"),
        pytest.param(pl.Series([True, False]), ["is True (Boolean)", "Datetime or Date"], id="booleans"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow", None])
def test_typed_timestamps_must_be_datetimes_or_certain_epochs(
    tmp_path: Path, stamps: pl.Series, words: list[str], suffix: str | None
) -> None:
    frame = table(2).with_columns(timestamp=stamps)
    source = str(tmp_path / f"x{suffix}") if suffix else "the frame"
    if suffix:
        message = refusal(lambda: read_bars(save(frame, Path(source))))
    else:
        message = refusal(lambda: Bars.from_polars(frame, source=source))
    assert message.startswith(f"{source}, row 1: 'timestamp' ")
    for word in words:
        assert word in message


def test_timestamps_finer_than_a_microsecond_are_refused() -> None:
    stamps = table()["timestamp"].dt.cast_time_unit("ns").to_physical().to_list()
    stamps[3] += 7
    frame = table().with_columns(timestamp=pl.Series(stamps).cast(pl.Datetime("ns")))
    message = refusal(lambda: Bars.from_polars(frame))
    assert "frame, row 4: 'timestamp' is 2024-01-01 03:00:00.000000007" in message
    assert "must not be finer than a microsecond" in message
    assert "dt.cast_time_unit('us')" in message


@pytest.mark.parametrize("unit", ["us", "ms"])
@pytest.mark.parametrize("ticks", [-(2**63), 2**63 - 1, 2**53 + 1, -(2**53) - 1])
def test_timestamps_that_float64_cannot_hold_are_refused(unit: Any, ticks: int) -> None:
    frame = table(2).with_columns(timestamp=pl.Series([0, ticks]).cast(pl.Datetime(unit)))
    message = refusal(lambda: Bars.from_polars(frame))
    assert "frame, row 2: 'timestamp' is " in message
    assert "must lie between the years 1684 and 2255" in message


# Rows that break a rule. One table drives every source: a cell of row 4 is replaced.

ROW_4 = "row 4 (2024-01-01 03:00 UTC)"
PRICES = ("open", "high", "low", "close")
HIGHEST, LOWEST = "the high must be the bar's highest price", "the low must be the bar's lowest price"
FINITE = "every cell must be a finite number"
BAD_CELLS = [
    *(
        pytest.param(column, None, ROW_4, f"'{column}' is null", "must not be missing", id=f"{column} missing")
        for column in ROWS[1:]
    ),
    pytest.param("timestamp", None, "row 4", "'timestamp' is null", "must not be missing", id="timestamp missing"),
    *(pytest.param(column, math.nan, ROW_4, f"{column} is nan", FINITE, id=f"{column} NaN") for column in ROWS[1:]),
    *(
        pytest.param(column, sign * math.inf, ROW_4, f"{column} is {sign * math.inf}", FINITE, id=f"{column} {sign}inf")
        for column in ROWS[1:]
        for sign in (1, -1)
    ),
    *(
        pytest.param(column, value, ROW_4, f"{column} is {value}", "prices must be positive", id=f"{column} {value}")
        for column in PRICES
        for value in (0.0, -104.0)
    ),
    pytest.param("high", 101.0, ROW_4, "high is 101.0, low is 102.0", "high must not be below the low", id="high below low"),
    pytest.param("high", 103.9, ROW_4, "high is 103.9, open is 104.0", HIGHEST, id="high below open"),
    pytest.param("high", 104.2, ROW_4, "high is 104.2, close is 104.5", HIGHEST, id="high below close"),
    pytest.param("low", 104.1, ROW_4, "open is 104.0, low is 104.1", LOWEST, id="low above open"),
    pytest.param("close", 101.9, ROW_4, "close is 101.9, low is 102.0", LOWEST, id="low above close"),
    pytest.param("volume", -1.0, ROW_4, "volume is -1.0", "volume must not be negative", id="negative volume"),
    pytest.param(
        "timestamp",
        START + timedelta(hours=2),
        "row 4 (2024-01-01 02:00 UTC)",
        "follows 2024-01-01 02:00 UTC in row 3",
        "a timestamp must not be given twice",
        id="timestamp twice",
    ),
    pytest.param(
        "timestamp",
        START + timedelta(minutes=30),
        "row 4 (2024-01-01 00:30 UTC)",
        "follows 2024-01-01 02:00 UTC in row 3",
        "rows must be sorted by timestamp, oldest first",
        id="timestamp out of order",
    ),
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", None])
@pytest.mark.parametrize(("column", "value", "row", "what", "rule"), BAD_CELLS)
def test_a_cell_that_breaks_a_rule_is_refused_with_source_row_value_and_rule(
    tmp_path: Path, suffix: str | None, column: str, value: Any, row: str, what: str, rule: str
) -> None:
    frame = with_cell(table(), 4, column, value)
    if suffix is None:
        message = refusal(lambda: Bars.from_polars(frame, source="the frame"))
        source = "the frame"
    else:
        path = save(frame, tmp_path / f"x{suffix}")
        message = refusal(lambda: read_bars(path))
        source = str(path)
    assert message.startswith(f"{source}, {row}: ")
    assert what in message
    assert rule in message
    assert message.count(";") >= 2, "a refusal ends with a way out"


@pytest.mark.parametrize("text", ["abc", "1,234.5", "1_000", "0x10", " ", "12.5 USD", "--", "1.2.3"])
@pytest.mark.parametrize("column", ["open", "volume"])
def test_text_in_csv_that_is_no_number_is_refused(tmp_path: Path, column: str, text: str) -> None:
    frame = with_cell(table().with_columns(pl.col(column).cast(pl.String)), 5, column, text)
    path = save(frame, tmp_path / "x.csv")
    message = refusal(lambda: read_bars(path))
    assert message.startswith(f"{path}, row 5 (2024-01-01 04:00 UTC): '{column}' is {text!r}; it must be a number; ")


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (pl.Series(["101.0", "102.0"]), "'101.0' (String)"),
        (pl.Series([True, False]), "True (Boolean)"),
        (pl.Series([date(2024, 1, 1), date(2024, 1, 2)]), "datetime.date(2024, 1, 1) (Date)"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow", None])
def test_a_typed_column_that_is_not_numeric_is_refused(
    tmp_path: Path, cells: pl.Series, value: str, suffix: str | None
) -> None:
    frame = table(2).with_columns(close=cells)
    if suffix is None:
        message = refusal(lambda: Bars.from_polars(frame))
        source = "frame"
    else:
        source = str(save(frame, tmp_path / f"x{suffix}"))
        message = refusal(lambda: read_bars(source))
    assert message.startswith(f"{source}, row 1 (2024-01-01 00:00 UTC): 'close' is {value}; it must be a number; cast")


@pytest.mark.parametrize("kind", [pl.Date, pl.Datetime("ms"), pl.Datetime("us"), pl.Duration("ms")])
def test_a_cell_that_cannot_be_shown_is_refused_all_the_same(kind: Any) -> None:
    far = 2**31 - 1 if kind == pl.Date else 2**63 - 1
    frame = table(1).with_columns(open=pl.Series([far], dtype=pl.Int64).cast(kind))
    assert "it must be a number; cast the column first" in refusal(lambda: Bars.from_polars(frame))


def test_the_first_broken_row_is_named_and_the_others_counted() -> None:
    frame = with_cell(with_cell(with_cell(table(), 5, "high", 1.0), 3, "volume", -3.0), 4, "volume", -4.0)
    message = refusal(lambda: Bars.from_polars(frame))
    assert message.startswith("frame, row 3 (2024-01-01 02:00 UTC): volume is -3.0; ")
    assert "(1 more row breaks this rule)" in message


def test_newest_first_is_refused_with_the_way_to_sort() -> None:
    message = refusal(lambda: Bars.from_polars(table().reverse()))
    assert message.startswith("frame, row 2 (2024-01-01 04:00 UTC): the timestamp follows 2024-01-01 05:00 UTC in row 1; ")
    assert "(4 more rows break this rule)" in message
    assert "frame.sort('timestamp')" in message


def test_flat_bars_and_zero_volume_are_sound() -> None:
    flat = table().with_columns(high="open", low="open", close="open", volume=pl.lit(0.0))
    assert len(Bars.from_polars(flat)) == 6


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_table_is_refused(tmp_path: Path, suffix: str) -> None:
    path = save(table(0), tmp_path / f"x{suffix}")
    assert refusal(lambda: read_bars(path)).startswith(f"{path}: the table has no rows; bars need at least one; ")
    assert "frame: the table has no rows" in refusal(lambda: Bars.from_polars(table(0)))


# Columns


def test_all_missing_columns_are_named_at_once_with_what_is_there(tmp_path: Path) -> None:
    path = save(table().select("timestamp", "close"), tmp_path / "x.parquet")
    message = refusal(lambda: read_bars(path))
    assert message.startswith(f"{path}: no columns 'open', 'high', 'low'; the columns are 'timestamp', 'close'; ")
    assert "bars need timestamp, open, high, low, close" in message


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("timestamp", "close_time"),
        ("timestamp", "timestmp"),
        ("close", "Adj Close"),
        ("close", "closee"),
        ("high", "hihg"),
    ],
)
def test_a_missing_column_is_refused_with_the_nearest(tmp_path: Path, ours: str, theirs: str) -> None:
    path = save(table().rename({ours: theirs}), tmp_path / "x.csv")
    message = refusal(lambda: read_bars(path))
    assert f"no column {ours!r}" in message
    assert f'columns={{"{ours}": "{theirs}"}}' in message


def test_two_columns_that_match_one_name_are_refused() -> None:
    frame = table().with_columns(Close=pl.col("close"), CLOSE=pl.col("close"))
    message = refusal(lambda: Bars.from_polars(frame))
    assert "the columns 'close', 'Close', 'CLOSE' all match 'close'" in message


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("timestamp,open,high,low,close,close\n2024-01-01,1,1,1,1,2\n")
    assert "the header names 'close' twice" in refusal(lambda: read_bars(path))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"timestamp": "Dat"}, ["'Dat', wanted for 'timestamp', does not exist", "nearest: 'Date'"]),
        ({"time": "Date"}, ["'time' is no column of bars", "timestamp, open, high, low, close, volume"]),
        ({"timestamp": "Date", "open": "Date"}, ["'Date' is given for two columns"]),
        ({"timestamp": "Date", "volume": "turnover"}, ["'turnover', wanted for 'volume', does not exist"]),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(tmp_path: Path, columns: dict[str, str], words: list[str]) -> None:
    path = save(table().rename({"timestamp": "Date"}), tmp_path / "x.csv")
    message = refusal(lambda: read_bars(path, columns=columns))
    for word in words:
        assert word in message


@pytest.mark.parametrize("columns", ["timestamp", 7, {"timestamp"}])
def test_columns_that_are_no_mapping_and_no_list_are_refused(tmp_path: Path, columns: Any) -> None:
    path = save(table(), tmp_path / "x.csv")
    message = refusal(lambda: read_bars(path, columns=columns), InputError)
    assert f"is a {type(columns).__name__}; it must map our names to the file's" in message


def test_a_list_of_columns_is_for_files_without_a_header(tmp_path: Path) -> None:
    path = save(table(), tmp_path / "x.csv")
    message = refusal(lambda: read_bars(path, columns=list(ROWS)))
    assert message.startswith(f"{path}: has a header ('timestamp, open, high, low, close, volume'), and columns=[")


def test_a_separator_that_nobody_uses_is_refused_with_the_way_to_read_it(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    table().write_csv(path, separator="#")
    message = refusal(lambda: read_bars(path))
    assert "the columns are 'timestamp#open#high#low#close#volume'" in message
    assert "delimiter=" in message
    assert read_bars(path, delimiter="#").fingerprint == Bars.from_polars(table()).fingerprint


def test_a_file_without_a_header_is_refused_with_its_first_row_and_the_way_to_read_it(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    table().write_csv(path, include_header=False)
    message = refusal(lambda: read_bars(path))
    assert message.startswith(f"{path}: has no header, its first row is '2024-01-01T00:00:00.000000+0000, 101.0, 102.0, ")
    assert f"columns={list(ROWS)!r}" in message
    assert read_bars(path, columns=list(ROWS)).fingerprint == Bars.from_polars(table()).fingerprint


@pytest.mark.parametrize(
    ("thing", "words"),
    [(table().lazy(), "is a LazyFrame"), ({"close": [1.0]}, "is a dict"), (None, "is a NoneType")],
)
def test_what_is_no_polars_frame_is_refused(thing: Any, words: str) -> None:
    message = refusal(lambda: Bars.from_polars(thing, source="thing"), InputError)
    assert message.startswith(f"thing {words}; it must be a polars DataFrame; ")


@pytest.mark.parametrize("name", ["", "  ", 7])
def test_bars_need_a_name(name: Any) -> None:
    assert f"{name!r} is no name for bars" in refusal(lambda: Bars.from_polars(table(), name=name), InputError)


def test_a_tape_that_breaks_a_rule_cannot_become_bars() -> None:
    block = Bars.from_polars(table()).tape.block.copy()
    block[0, 2] = math.nan
    assert refusal(lambda: Bars("BTC", Tape(block))).startswith("BTC, row 3 (no time): timestamp is nan; ")
    block[0, 2] = 0.5
    assert "timestamp must be whole microseconds" in refusal(lambda: Bars("BTC", Tape(block)))
    assert "made of a Tape, not of a ndarray" in refusal(lambda: Bars("BTC", block), InputError)  # type: ignore[arg-type]


# Files


def test_a_missing_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    save(table(), tmp_path / "btc_1h.parquet")
    message = refusal(lambda: read_bars(tmp_path / "btc_1hr.parquet"))
    assert message.startswith(f"{tmp_path / 'btc_1hr.parquet'}: no such file (nearest: btc_1h.parquet); ")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    message = refusal(lambda: read_bars(tmp_path / "nowhere" / "x.csv"))
    assert "no such file" in message
    assert f"the folder {tmp_path / 'nowhere'} cannot be read either" in message


def test_a_folder_is_refused_with_a_glob_as_the_way_out(tmp_path: Path) -> None:
    message = refusal(lambda: read_bars(tmp_path))
    assert message.startswith(f"{tmp_path}: is a folder; ")
    assert f"{tmp_path / '*.parquet'}" in message


def test_a_glob_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert refusal(lambda: read_bars(tmp_path / "*.csv")).startswith(f"{tmp_path / '*.csv'}: the glob matches no file; ")


@pytest.mark.parametrize("file", ["x.json", "x.gz", "x.parquet.gz", "x", "x.xlsx"])
def test_an_unknown_suffix_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("timestamp,open\n")
    message = refusal(lambda: read_bars(tmp_path / file))
    assert message.startswith(f"{tmp_path / file}: unknown suffix {Path(file).suffix!r}; ")
    assert ".parquet, .arrow, .feather, .ipc, .csv" in message


def test_a_url_is_refused() -> None:
    assert "is a URL; only local files are read" in refusal(lambda: read_bars("https://example.com/x.csv"))


@pytest.mark.parametrize("thing", [None, 7, ["a.csv", "b.csv"], table()])
def test_what_is_no_path_is_refused(thing: Any) -> None:
    assert "is not a path" in refusal(lambda: read_bars(thing), InputError)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"hello\xff\xfe\x00 world\n1,2,3\n", b"PAR1" + bytes(30) + b"PAR1", b"ARROW1\0\0\1"])
def test_a_file_that_is_not_what_its_suffix_says_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    message = refusal(lambda: read_bars(path))
    assert message.startswith(str(path))
    assert "the file is empty" in message if not content else "empty" not in message


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = save(table(500), tmp_path / f"x{suffix}")
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert refusal(lambda: read_bars(path)).startswith(f"{path}: cannot be read as {suffix} (")


def test_a_row_with_too_many_cells_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = table().write_csv().splitlines()
    lines[3] += ",7"
    path.write_text("\n".join(lines))
    assert refusal(lambda: read_bars(path)).startswith(f"{path}, row 3: has 7 cells where the header has 6; ")


def test_a_row_with_too_few_cells_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = table().write_csv().splitlines()
    lines[3] = lines[3].rsplit(",", 2)[0]
    path.write_text("\n".join(lines))
    assert refusal(lambda: read_bars(path)).startswith(f"{path}, row 3 (2024-01-01 02:00 UTC): 'close' is null; ")


def test_a_blank_line_inside_a_csv_is_refused_and_at_its_end_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    text = table().write_csv()
    path.write_text(text + "\r\n\n")
    assert len(read_bars(path)) == 6
    path.write_text(text.replace("\n", "\n\n", 2).replace("\n\n", "\n", 1))
    assert refusal(lambda: read_bars(path)).startswith(f"{path}, row 2: 'timestamp' is null")


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + table().write_csv().replace("\n", "\r\n").encode())
    assert read_bars(path).fingerprint == Bars.from_polars(table()).fingerprint


def test_a_glob_reads_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    frame = table(9)
    save(frame[6:], tmp_path / "btc_c.csv")
    save(frame[:2], tmp_path / "btc_a.parquet")
    save(frame[2:6], tmp_path / "btc_b.arrow")
    bars = read_bars(tmp_path / "btc_*")
    assert bars.name == "btc"
    assert bars.fingerprint == Bars.from_polars(frame).fingerprint


@pytest.mark.parametrize(
    ("stems", "name"),
    [
        (["btc_2020", "btc_2021"], "btc"),
        (["BTC-USD.2020", "BTC-USD.2021"], "BTC_USD"),
        (["2020", "2021"], "2020"),
        (["sp500_a", "sp500_b"], "sp500"),
    ],
)
def test_bars_of_a_glob_are_named_by_what_the_file_names_share(tmp_path: Path, stems: list[str], name: str) -> None:
    save(table()[:3], tmp_path / f"{stems[0]}.csv")
    save(table()[3:], tmp_path / f"{stems[1]}.csv")
    assert read_bars(tmp_path / "*.csv").name == name


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = save(table(), tmp_path / f"btc[1h]{suffix}")
        assert read_bars(path).fingerprint == Bars.from_polars(table()).fingerprint


def test_a_broken_row_of_a_glob_is_named_by_its_own_file_and_row(tmp_path: Path) -> None:
    frame = with_cell(table(9), 8, "volume", -1.0)
    save(frame[:6], tmp_path / "a.csv")
    save(frame[6:], tmp_path / "b.csv")
    message = refusal(lambda: read_bars(tmp_path / "*.csv"))
    assert message.startswith(f"{tmp_path / 'b.csv'}, row 2 (2024-01-01 07:00 UTC): volume is -1.0; ")


def test_files_of_a_glob_that_overlap_are_refused_with_both_places(tmp_path: Path) -> None:
    save(table(9)[:6], tmp_path / "a.csv")
    save(table(9)[5:], tmp_path / "b.csv")
    message = refusal(lambda: read_bars(tmp_path / "*.csv"))
    assert message.startswith(f"{tmp_path / 'b.csv'}, row 1 (2024-01-01 05:00 UTC): ")
    assert f"follows 2024-01-01 05:00 UTC in row 6 of {tmp_path / 'a.csv'}; a timestamp must not be given twice" in message


def test_files_of_a_glob_must_agree_on_volume(tmp_path: Path) -> None:
    save(table()[:3], tmp_path / "a.csv")
    save(table()[3:].drop("volume"), tmp_path / "b.csv")
    message = refusal(lambda: read_bars(tmp_path / "*.csv"))
    assert message.startswith(f"{tmp_path / 'b.csv'}: has no column 'volume', but {tmp_path / 'a.csv'} has one; ")


# Writing


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    chance = np.random.default_rng(1)
    price = 100 * np.exp(chance.normal(size=1000).cumsum() / 50)
    frame = table(1000, step=timedelta(microseconds=1_234_567)).with_columns(
        open=price, high=price * 1.01, low=price * 0.99, close=price, volume=chance.lognormal(size=1000)
    )
    bars = Bars.from_polars(frame)
    path = tmp_path / f"x{suffix}"
    bars.write(path)
    bars.write(str(path))
    assert read_bars(path).fingerprint == bars.fingerprint


def test_writing_to_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert "unknown suffix '.xlsx'" in refusal(lambda: Bars.from_polars(table()).write(tmp_path / "x.xlsx"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_into_a_missing_folder_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "nowhere" / f"x{suffix}"
    assert refusal(lambda: Bars.from_polars(table()).write(path)).startswith(f"{path}: cannot be written (")


# Between


@pytest.mark.parametrize(
    ("start", "stop", "first", "count"),
    [
        (None, None, 1, 6),
        ("2024-01-01T02:00", None, 3, 4),
        (None, "2024-01-01T02:00", 1, 2),
        ("2024-01-01T01:00", "2024-01-01T03:00", 2, 2),
        ("2024-01-01T00:30", "2024-01-01T03:00:00.000001", 2, 3),
        (datetime(2024, 1, 1, 1), datetime(2024, 1, 1, 2, tzinfo=UTC), 2, 1),
        (datetime(2024, 1, 1, 3, tzinfo=timezone(timedelta(hours=2))), "2024-01-01T03:00Z", 2, 2),
        (date(2024, 1, 1), date(2024, 1, 2), 1, 6),
        ("2023-01-01", "2025-01-01", 1, 6),
    ],
)
def test_between_keeps_the_bars_that_open_in_the_half_open_interval(start: Any, stop: Any, first: int, count: int) -> None:
    bars = Bars.from_polars(table(), name="BTC").between(start, stop)
    assert bars.name == "BTC"
    assert bars.to_polars().equals(table()[first - 1 : first - 1 + count])


def test_an_interval_without_bars_is_refused() -> None:
    bars = Bars.from_polars(table(), name="BTC")
    message = refusal(lambda: bars.between("2024-02-01", None))
    assert message.startswith("bars 'BTC' have none between '2024-02-01' and None; ")
    assert "from 2024-01-01 00:00 UTC to 2024-01-01 05:00 UTC" in message
    assert "have none" in refusal(lambda: bars.between("2024-01-01T00:10", "2024-01-01T00:20"))
    assert "have none" in refusal(lambda: bars.between(None, START))


@pytest.mark.parametrize("stop", ["2024-01-01T02:00", "2024-01-01T01:00"])
def test_an_interval_that_ends_before_it_begins_is_refused(stop: str) -> None:
    message = refusal(lambda: Bars.from_polars(table()).between("2024-01-01T02:00", stop), InputError)
    assert "is not after the start 2024-01-01 02:00 UTC" in message


@pytest.mark.parametrize("limit", ["next week", "2024-13-01", 1_704_067_200, 1.5])
def test_a_limit_that_is_no_instant_is_refused(limit: Any) -> None:
    assert repr(limit) in refusal(lambda: Bars.from_polars(table()).between(limit), InputError)


# Resample


def test_resample_groups_by_the_window_of_the_open_time() -> None:
    bars = Bars.from_polars(table(7, start=START + timedelta(hours=1)), name="BTC").resample("3h")
    assert bars.name == "BTC"
    expected = pl.DataFrame(
        {
            "timestamp": [START, START + timedelta(hours=3), START + timedelta(hours=6)],
            "open": [101.0, 103.0, 106.0],
            "high": [103.0, 106.0, 108.0],
            "low": [99.0, 101.0, 104.0],
            "close": [102.5, 105.5, 107.5],
            "volume": [30.0, 120.0, 130.0],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    assert bars.to_polars().equals(expected)


def test_resample_leaves_windows_without_bars_out() -> None:
    gap = pl.concat([table(2), table(2, start=START + timedelta(days=2))])
    bars = Bars.from_polars(gap).resample("1d")
    assert [stamp // (24 * HOUR_US) * 24 * HOUR_US for stamp in bars.timestamps.tolist()] == bars.timestamps.tolist()
    assert np.diff(bars.timestamps).tolist() == [48 * HOUR_US]


def test_resample_to_the_bars_own_step_changes_nothing() -> None:
    bars = Bars.from_polars(table())
    assert bars.resample("1h").fingerprint == bars.resample("60m").fingerprint == bars.fingerprint


@pytest.mark.parametrize("rule", ["1h", "90m", "1h30m", "4h", "1d", "2d", "27h", "1y2q", "2w", "1w", "1mo", "2mo", "1q", "1y"])
def test_windows_lie_where_polars_puts_them(rule: str) -> None:
    frame = table(3000, start=datetime(2023, 11, 17, 13, 20, tzinfo=UTC), step=timedelta(minutes=30))
    twin = frame.group_by_dynamic("timestamp", every=rule, closed="left", label="left", start_by="window").agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    assert Bars.from_polars(frame).resample(rule).to_polars().equals(twin)


@pytest.mark.parametrize("rule", ["30m", "59m", "1s", "1us", "59m59s"])
def test_a_rule_finer_than_the_bars_is_refused_with_both_steps(rule: str) -> None:
    message = refusal(lambda: Bars.from_polars(table(), name="BTC").resample(rule))
    assert message.startswith(f"bars 'BTC' have a (median) step of 1h, and {rule!r} is finer; ")


def test_months_may_be_resampled_to_months() -> None:
    monthly = pl.concat([table(1, start=datetime(2024, month, 1, tzinfo=UTC)) for month in range(1, 13)])
    assert len(Bars.from_polars(monthly).resample("1mo")) == 12
    assert "step of 31d, and '30d' is finer" in refusal(lambda: Bars.from_polars(monthly).resample("30d"))


@pytest.mark.parametrize("rule", ["", "h", "1", "0h", "-1h", "1H", "1 h", "1hour", "1ns", "1i", "1.5h", "99999999y", None, 60])
def test_a_rule_that_is_no_duration_is_refused(rule: Any) -> None:
    message = refusal(lambda: Bars.from_polars(table()).resample(rule), InputError)
    assert message.startswith(f"{rule!r} is not a duration; ")
    assert "'15m', '1h', '1h30m', '1d' or '1mo'" in message


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ("1mo2d", "days and months"),
        ("1w1d", "days and weeks"),
        ("1q1h", "months and shorter units"),
        ("1d3h", "days and shorter units"),
    ],
)
def test_a_rule_of_units_without_a_common_window_is_refused(rule: str, kinds: str) -> None:
    message = refusal(lambda: Bars.from_polars(table()).resample(rule), InputError)
    assert message.startswith(f"{rule!r} mixes {kinds}; ")
    assert "'27h' for '1d3h'" in message


# Properties


@st.composite
def sound_frames(draw: st.DrawFn, min_rows: int = 1) -> pl.DataFrame:
    """Any sound table: irregular steps, prices over many magnitudes, flat bars and zero volume among them."""
    rows = draw(st.integers(min_rows, 25))
    start = draw(st.integers(-(2**52), 2**52))
    steps = draw(st.lists(st.integers(1, 10 * HOUR_US), min_size=rows, max_size=rows))
    price = st.floats(1e-9, 1e12, allow_nan=False)
    prices = [sorted(draw(st.tuples(price, price, price, price))) for _ in range(rows)]
    swap = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    volume = draw(st.lists(st.floats(0.0, 1e15) | st.just(0.0), min_size=rows, max_size=rows))
    inner = [(b, c) if turned else (c, b) for (_, b, c, _), turned in zip(prices, swap, strict=True)]
    return pl.DataFrame(
        {
            "timestamp": pl.Series((start + np.cumsum(steps)).tolist(), dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "open": [first for first, _ in inner],
            "high": [four[3] for four in prices],
            "low": [four[0] for four in prices],
            "close": [last for _, last in inner],
            "volume": volume,
        },
        schema_overrides=dict.fromkeys(ROWS[1:], pl.Float64),
    )


@given(frame=sound_frames())
@examples(100)
def test_a_frame_comes_back_as_it_went_in(frame: pl.DataFrame) -> None:
    assert Bars.from_polars(frame).to_polars().equals(frame)


@given(frame=sound_frames(), suffix=st.sampled_from(SUFFIXES))
@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore:.*suspicious prints:islands.errors.IslandsWarning")
def test_a_file_comes_back_as_it_went_out(tmp_path: Path, frame: pl.DataFrame, suffix: str) -> None:
    bars = Bars.from_polars(frame)
    bars.write(tmp_path / f"x{suffix}")
    assert read_bars(tmp_path / f"x{suffix}").fingerprint == bars.fingerprint


@given(frame=sound_frames(), rule=st.sampled_from(["10h", "12h", "1d", "3d", "1w", "1mo", "1y"]))
@examples(100)
def test_resample_keeps_total_volume_extremes_first_open_and_last_close(frame: pl.DataFrame, rule: str) -> None:
    bars = Bars.from_polars(frame)
    coarse = bars.resample(rule)
    assert len(coarse) <= len(bars)
    assert coarse.volume.sum() == pytest.approx(bars.volume.sum(), rel=1e-12)
    assert coarse.high.max() == bars.high.max()
    assert coarse.low.min() == bars.low.min()
    assert coarse.open[0] == bars.open[0]
    assert coarse.close[-1] == bars.close[-1]
    assert coarse.timestamps[0] <= bars.timestamps[0]


@given(frame=sound_frames(min_rows=2), place=st.data())
@examples(100)
def test_between_partitions_the_bars(frame: pl.DataFrame, place: st.DataObject) -> None:
    bars = Bars.from_polars(frame)
    row = place.draw(st.integers(1, len(bars) - 1))
    limit = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(bars.timestamps[row]))
    before, after = bars.between(None, limit), bars.between(limit, None)
    assert len(before) == row
    assert np.concatenate([before.tape.block, after.tape.block], axis=1).tolist() == bars.tape.block.tolist()


@given(frame=sound_frames(min_rows=2), place=st.data())
@examples(100)
def test_any_single_corrupted_cell_is_refused(frame: pl.DataFrame, place: st.DataObject) -> None:
    row = place.draw(st.integers(1, frame.height), label="row")
    column = place.draw(st.sampled_from(ROWS), label="column")
    low, high = frame["low"][row - 1], frame["high"][row - 1]
    corruptions: dict[str, list[Any]] = {
        "timestamp": [None, frame["timestamp"][row - 2]],
        "open": [low / 2, high * 2],
        "high": [low / 2],
        "low": [high * 2],
        "close": [low / 2, high * 2],
        "volume": [-1.0, -5e-324],
    }
    numbers = [None, math.nan, math.inf, -math.inf]
    numbers += [0.0, -low] if column in PRICES else []
    value = place.draw(st.sampled_from(corruptions[column] + (numbers if column != "timestamp" else [])), label="value")
    assume(column != "timestamp" or value is None or row > 1)
    message = refusal(lambda: Bars.from_polars(with_cell(frame, row, column, value), source="the frame"))
    assert message.startswith(f"the frame, row {row}")
    assert column in message


# The shared data

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside this checkout")
CLOSE_ONLY = "sp500_10stocks_close_only_1990_2022.parquet"
ROW_COUNTS = {
    "ohlcv/aapl_1d.parquet": 5_849,
    "ohlcv/btcusdt_1h_2020_2021_funding.parquet": 17_513,
    "ohlcv/btcusdt_1m_2021.parquet": 524_607,
    "ohlcv/eurusd_1h_ask_2017.parquet": 6_225,
    "ohlcv/eurusd_1h_oanda_mid.parquet": 74_439,
    "ohlcv/eurusd_1m_2017h1.parquet": 186_348,
    "ohlcv/gbpusd_1h_mt.parquet": 57_600,
    "ohlcv/sp500_1d_index.parquet": 5_031,
    "ohlcv/spy_1d.parquet": 5_849,
    "ohlcv/spy_1h.parquet": 40_832,
    "noise/gbm_1000.parquet": 5_000,
    "noise/gbm_1001.parquet": 5_000,
    "noise/gbm_1002.parquet": 5_000,
}


@needs_shared
@pytest.mark.parametrize("file", list(ROW_COUNTS))
@pytest.mark.filterwarnings("ignore:.*suspicious prints:islands.errors.IslandsWarning")
def test_every_shared_file_loads_as_polars_reads_it(file: str) -> None:
    bars = read_bars(SHARED / file)
    assert len(bars) == ROW_COUNTS[file]
    assert bars.to_polars().equals(pl.read_parquet(SHARED / file))


@needs_shared
def test_the_table_above_names_every_shared_file() -> None:
    files = {f"{path.parent.name}/{path.name}" for path in (*SHARED.glob("ohlcv/*"), *SHARED.glob("noise/*"))}
    assert files == {*ROW_COUNTS, f"ohlcv/{CLOSE_ONLY}"}


@needs_shared
def test_the_shared_file_of_closes_only_is_refused_for_what_it_lacks() -> None:
    message = refusal(lambda: read_bars(SHARED / "ohlcv" / CLOSE_ONLY))
    assert CLOSE_ONLY in message
    assert "no columns 'open', 'high', 'low', 'close'; the columns are 'timestamp', 'AAPL', 'AMD', " in message
