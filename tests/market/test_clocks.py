"""Times: every way to write them that is recognised, and every one that can be read in two ways and is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from effort import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from islands.errors import BarsError, InputError
from islands.market.bars import Bars, read_bars

HOUR_US = 3_600_000_000


def us(*words: str) -> list[int]:
    return [int(datetime.fromisoformat(word).replace(tzinfo=UTC).timestamp()) * 1_000_000 for word in words]


def flat_bars(stamps: pl.Series) -> pl.DataFrame:
    return pl.DataFrame([stamps]).with_columns(pl.lit(1.0).alias(name) for name in ("open", "high", "low", "close"))


def file_of(folder: Path, stamps: Sequence[str]) -> Path:
    path = folder / "x.csv"
    path.write_text("time,open,high,low,close\n" + "".join(f'"{stamp}",1,1,1,1\n' for stamp in stamps))
    return path


def times(folder: Path, *stamps: str, **options: Any) -> list[int]:
    stamped: list[int] = read_bars(file_of(folder, stamps), **options).timestamps.tolist()
    return stamped


def refusal(folder: Path, *stamps: str, kind: type[InputError] = BarsError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        times(folder, *stamps, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024.01.31 15:07", "2024-01-31T15:07"),
        ("2024/01/31 15:07:09", "2024-01-31T15:07:09"),
        ("20240131", "2024-01-31"),
        ("20240131 150709", "2024-01-31T15:07:09"),
        ("20240131 15:07", "2024-01-31T15:07"),
        ("20240131 1507", "2024-01-31T15:07"),
        ("202401311507", "2024-01-31T15:07"),
        ("20240131150709", "2024-01-31T15:07:09"),
        ("20240131T150709Z", "2024-01-31T15:07:09"),
        ("31.01.2024", "2024-01-31"),
        ("01.02.2024 15:07:09.000", "2024-02-01T15:07:09"),
        ("1.2.2024 9:07", "2024-02-01T09:07"),
        ("31.01.2024 15:07:09.000 GMT+0200", "2024-01-31T13:07:09"),
        ("31/01/2024 15:07", "2024-01-31T15:07"),
        ("01/31/2024 15:07", "2024-01-31T15:07"),
        ("1/31/2024", "2024-01-31"),
        ("31-01-2024 15:07", "2024-01-31T15:07"),
        ("2019-10-17 09-AM", "2019-10-17T09:00"),
        ("2019-10-17 12-AM", "2019-10-17T00:00"),
        ("2019-10-17 12-PM", "2019-10-17T12:00"),
        ("2019-10-17 3:15 pm", "2019-10-17T15:15"),
        ("10/17/2019 11:59:59 PM", "2019-10-17T23:59:59"),
        ("2024-01-31 15:07:09 UTC", "2024-01-31T15:07:09"),
        ("2024-01-31, 15:07", "2024-01-31T15:07"),
        (" 2024-01-31 15:07 ", "2024-01-31T15:07"),
        ("1706713629", "2024-01-31T15:07:09"),
        ("1706713629.0", "2024-01-31T15:07:09"),
        ("1706713629000", "2024-01-31T15:07:09"),
        ("1706713629000000", "2024-01-31T15:07:09"),
        ("1706713629000000000", "2024-01-31T15:07:09"),
        ("631152000000", "1990-01-01"),
    ],
)
def test_a_time_is_recognised_as_it_is_written(tmp_path: Path, text: str, instant: str) -> None:
    assert times(tmp_path, text) == us(instant)


@pytest.mark.parametrize(
    "text",
    [
        *("20241301", "20240132", "20240131 25:00", "31.13.2024", "32.01.2024", "2019-10-17 00-AM", "2019-10-17 13:00 PM"),
        *("31.01.24", "Jan 31, 2024", "2024-01-31 15", "2024-01-31 15:60", "13/13/2024", "1e9", "0x65ba", "2024-W05", ""),
    ],
)
def test_what_is_no_time_is_refused_with_a_way_out(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'x.csv'}, row 1: 'time' is ")
    assert "time_format=" in message or "time_unit=" in message or text == ""


def test_the_first_row_decides_how_a_column_is_written(tmp_path: Path) -> None:
    message = refusal(tmp_path, "2024-01-01", "02.01.2024")
    assert "row 2: 'time' is '02.01.2024'; it must be ISO 8601" in message
    assert "as the first row" in message
    assert "must be yyyymmdd" in refusal(tmp_path, "20240101", "2024-01-02")


# Slashes


def test_slashes_without_a_day_beyond_12_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "03/04/2021", "04/04/2021")
    assert "row 1: 'time' is '03/04/2021'; it must show which number is the day, and no row has one beyond 12" in message
    assert "time_format='%d/%m/%Y' or '%m/%d/%Y'" in message


def test_one_day_beyond_12_proves_the_order_for_the_whole_column(tmp_path: Path) -> None:
    assert times(tmp_path, "12/04/2021", "13/04/2021") == us("2021-04-12", "2021-04-13")
    assert times(tmp_path, "04/12/2021", "04/13/2021") == us("2021-04-12", "2021-04-13")


def test_slashes_that_prove_both_orders_are_refused(tmp_path: Path) -> None:
    assert "row 2: 'time' is '04/13/2021'" in refusal(tmp_path, "13/04/2021", "04/13/2021")


def test_a_format_says_what_slashes_mean(tmp_path: Path) -> None:
    assert times(tmp_path, "03/04/2021 15:00", time_format="%d/%m/%Y %H:%M") == us("2021-04-03T15:00")
    assert times(tmp_path, "03/04/2021", time_format="%m/%d/%Y") == us("2021-03-04")
    assert times(tmp_path, "03/04/2021 15:00+0200", time_format="%d/%m/%Y %H:%M%z") == us("2021-04-03T13:00")
    message = refusal(tmp_path, "03/04/2021", "2021-04-05", time_format="%d/%m/%Y")
    assert "row 2: 'time' is '2021-04-05'; it must be written as time_format='%d/%m/%Y'" in message


def test_a_format_that_polars_cannot_use_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "31/01/2024 03", time_format="%d/%m/%Y %I", kind=InputError)
    assert message.startswith("time_format='%d/%m/%Y %I': polars cannot use it (")


# Epochs


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("kind", [None, pl.Int64, pl.UInt64, pl.Float64, pl.Decimal(38, 0)])
def test_an_epoch_of_plausible_size_is_read_in_any_unit(tmp_path: Path, unit: str, factor: int, kind: Any) -> None:
    numbers = [1_706_713_200 * factor, 1_706_716_800 * factor]
    if kind is None:
        assert times(tmp_path, *map(str, numbers)) == us("2024-01-31T15:00", "2024-01-31T16:00")
        assert times(tmp_path, *map(str, numbers), time_unit=unit) == us("2024-01-31T15:00", "2024-01-31T16:00")
        return
    frame = flat_bars(pl.Series("unix", numbers, dtype=pl.Int64).cast(kind))
    assert Bars.from_polars(frame).timestamps.tolist() == us("2024-01-31T15:00", "2024-01-31T16:00")
    frame.write_parquet(tmp_path / "x.parquet")
    assert read_bars(tmp_path / "x.parquet").timestamps.tolist() == us("2024-01-31T15:00", "2024-01-31T16:00")


def test_a_switch_of_unit_is_refused_at_its_row(tmp_path: Path) -> None:
    message = refusal(tmp_path, "1735689480000", "1735689540000", "1735689600000000", "1735689660000000")
    assert "row 3: 'time' is 1735689600000000 (us by its size), the rows before are ms; it must have one unit" in message
    assert "split the file before that row" in message
    assert "mend the 2 rows" in message


def test_files_of_a_glob_may_have_epochs_of_different_units(tmp_path: Path) -> None:
    for name, stamp in (("a", "1735689540000"), ("b", "1735689600000000")):
        file_of(tmp_path, [stamp]).rename(tmp_path / f"{name}.csv")
    assert read_bars(tmp_path / "*.csv").timestamps.tolist() == us("2024-12-31T23:59", "2025-01-01")


@pytest.mark.parametrize("text", ["0", "86400", "631151999", "4102444800", "99999999999", "99999999999999999999"])
def test_an_epoch_outside_the_plausible_years_is_refused(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert f"row 1: 'time' is {text}; " in message or f"'time' is '{text}'" in message
    assert 'time_unit="s"' in message


def test_a_unit_that_is_said_may_reach_any_year(tmp_path: Path) -> None:
    assert times(tmp_path, "-86400", "0", "86400.25", time_unit="s") == [-86_400_000_000, 0, 86_400_250_000]
    assert times(tmp_path, "-0.5", time_unit="s") == [-500_000]
    assert times(tmp_path, "20240131", time_unit="ms") == [20_240_131_000]
    assert "between the years 1684 and 2255" in refusal(tmp_path, "9223372036854775807", time_unit="s")
    assert "must not be finer than a microsecond" in refusal(tmp_path, "1706713629000000001", time_unit="ns")
    assert "must not be finer than a microsecond" in refusal(tmp_path, "1706713629.0000001", time_unit="s")


def test_a_unit_for_what_is_no_number_is_refused(tmp_path: Path) -> None:
    assert "'2024-01-31'" in refusal(tmp_path, "2024-01-31", time_unit="s")
    frame = flat_bars(pl.Series("time", [datetime(2024, 1, 31)]))
    frame.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(BarsError, match="time_unit='s' is the unit of a bare number; leave it out"):
        read_bars(tmp_path / "x.parquet", time_unit="s")
    with pytest.raises(BarsError, match="reads text; leave it out"):
        read_bars(tmp_path / "x.parquet", time_format="%Y")


def test_an_epoch_has_no_zone_to_be_said(tmp_path: Path) -> None:
    message = refusal(tmp_path, "1706713629", time_zone="Europe/Athens")
    assert (
        "row 1: 'time' is 1706713629; an epoch counts from 1970 in UTC, and time_zone='Europe/Athens' is for dates" in message
    )
    assert times(tmp_path, "1706713629", time_zone="UTC") == times(tmp_path, "1706713629", time_zone="+00:00")


def test_text_in_a_typed_table_is_a_time_if_its_format_is_said(tmp_path: Path) -> None:
    frame = flat_bars(pl.Series("time", ["31/01/2024"]))
    frame.write_parquet(tmp_path / "x.parquet")
    assert read_bars(tmp_path / "x.parquet", time_format="%d/%m/%Y").timestamps.tolist() == us("2024-01-31")


# The twelve hours


def test_a_time_without_am_or_pm_among_others_that_have_it_is_refused(tmp_path: Path) -> None:
    assert "row 2: 'time' is '2024-01-31 10:00'" in refusal(tmp_path, "2024-01-31 9:00 AM", "2024-01-31 10:00")


# Zones


def test_a_fixed_offset_or_zone_is_for_stamps_without_one(tmp_path: Path) -> None:
    stamps = ("2024-01-01 03:00", "2024-01-01T01:00Z", "2024-01-01T03:00+01:00")
    assert times(tmp_path, *stamps, time_zone="+03:00") == us("2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00")
    assert times(tmp_path, *stamps, time_zone="Europe/Moscow") == times(tmp_path, *stamps, time_zone="+0300")
    assert times(tmp_path, "2024-07-01 09:30", time_zone="America/New_York") == us("2024-07-01T13:30")


def test_a_stamp_without_a_zone_among_others_that_have_one_is_not_guessed(tmp_path: Path) -> None:
    stamps = ("2024-01-01T02:00+02:00", "2024-01-01T01:00Z", "2024-01-01 02:00")
    assert (
        "row 3: 'time' is '2024-01-01 02:00'; it must say its zone, as row 1 does ('2024-01-01T02:00+02:00'); say the zone "
        "of the 1 rows without one with time_zone='UTC'"
    ) in refusal(tmp_path, *stamps)
    assert times(tmp_path, *stamps, time_zone="UTC") == us("2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00")


def test_typed_times_without_a_zone_take_the_zone_too(tmp_path: Path) -> None:
    for cell in (datetime(2024, 7, 1), datetime(2024, 7, 1).date(), datetime(2024, 7, 1, 4, tzinfo=UTC)):
        flat_bars(pl.Series("time", [cell])).write_parquet(tmp_path / "x.parquet")
        assert read_bars(tmp_path / "x.parquet", time_zone="America/New_York").timestamps.tolist() == us("2024-07-01T04:00")


def test_an_hour_that_the_clocks_skip_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "2024-03-31 02:00", "2024-03-31 03:30", time_zone="Europe/Athens")
    assert "row 2: 'time' is 2024-03-31 03:30; it must exist: clocks in Europe/Athens skip that hour; " in message
    assert "write its offset" in message


def test_an_hour_that_the_clocks_show_twice_is_resolved_by_the_order_of_the_rows(tmp_path: Path) -> None:
    local = ["2024-10-27 02:00", "2024-10-27 03:00", "2024-10-27 03:00", "2024-10-27 04:00"]
    hours = [us("2024-10-26T23:00")[0] + hour * HOUR_US for hour in range(4)]
    assert times(tmp_path, *local, time_zone="Europe/Athens") == hours
    assert times(tmp_path, *reversed(local), time_zone="Europe/Athens") == hours
    halves = ["2024-10-27 03:00", "2024-10-27 03:30", "2024-10-27 03:00", "2024-10-27 03:30"]
    assert times(tmp_path, *halves, time_zone="Europe/Athens") == [hours[1] + half * HOUR_US // 2 for half in range(4)]


@pytest.mark.parametrize(
    "hours",
    [
        pytest.param(["02:00", "03:00", "04:00"], id="shown once"),
        pytest.param(["03:00"], id="alone"),
        pytest.param(["03:00", "03:00"], id="oldest or newest first"),
        pytest.param(["03:30", "03:00", "03:15"], id="oldest or newest first, three rows"),
        pytest.param(["03:00", "03:00", "03:00"], id="shown three times"),
        pytest.param(["03:00", "03:30", "03:00", "03:30", "03:00"], id="back twice"),
        pytest.param(["02:00", "02:00", "03:00", "03:00", "04:00"], id="another row is given twice"),
        pytest.param(["05:00", "03:00", "03:00", "06:00"], id="disorder elsewhere"),
    ],
)
def test_an_hour_shown_twice_that_the_order_does_not_prove_is_refused(tmp_path: Path, hours: list[str]) -> None:
    message = refusal(tmp_path, *(f"2024-10-27 {hour}" for hour in hours), time_zone="Europe/Athens")
    assert "'time' is 2024-10-27 03:" in message
    assert "; it must be one instant: clocks in Europe/Athens show that hour twice" in message


@pytest.mark.parametrize("option", [{"sort": True}, {"on_duplicate": "first"}])
def test_order_proves_nothing_where_the_rows_may_be_in_disorder(tmp_path: Path, option: dict[str, Any]) -> None:
    local = ["2024-10-27 02:00", "2024-10-27 03:00", "2024-10-27 03:00", "2024-10-27 04:00"]
    assert "show that hour twice" in refusal(tmp_path, *local, time_zone="Europe/Athens", **option)


ZONES = {
    "Europe/Athens": ["2024-03-31T01:00", "2024-10-27T01:00"],
    "America/New_York": ["2024-03-10T07:00", "2024-11-03T06:00"],
    "Australia/Lord_Howe": ["2024-04-06T15:00", "2024-10-05T15:30"],
    "Europe/Dublin": ["2024-03-31T01:00", "2024-10-27T01:00"],
    "America/Sao_Paulo": ["2018-02-18T02:00", "2018-11-04T03:00"],
    "Africa/Casablanca": ["2024-03-10T02:00", "2024-04-14T02:00"],
    "Asia/Kolkata": ["2024-03-10T02:00"],
}
"""Zones with instants at which their clocks change."""

WAYS = ["%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%Y%m%d %H%M%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y-%m-%d %I:%M %p"]


@st.composite
def instants_near_a_change(draw: st.DrawFn) -> tuple[str, list[datetime]]:
    zone = draw(st.sampled_from(list(ZONES)))
    change = datetime.fromisoformat(draw(st.sampled_from(ZONES[zone]))).replace(tzinfo=UTC)
    quarters = draw(
        st.sets(st.integers(-16, 16), min_size=1) | st.sets(st.integers(-4, 4), min_size=1) | st.just(set(range(-16, 16)))
    )
    return zone, [change + quarter * timedelta(minutes=15) for quarter in sorted(quarters)]


@given(drawn=instants_near_a_change(), way=st.sampled_from(WAYS), newest_first=st.booleans())
@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_local_times_near_a_change_of_clocks_are_read_right_or_refused(
    tmp_path: Path, drawn: tuple[str, list[datetime]], way: str, newest_first: bool
) -> None:
    zone, instants = drawn
    local = pl.Series(instants).dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.to_string(way).to_list()
    try:
        read = times(tmp_path, *(reversed(local) if newest_first else local), time_zone=zone)
    except BarsError as error:
        assert "show that hour twice" in str(error) or "which number is the day" in str(error)
        return
    assert read == [int(instant.timestamp()) * 1_000_000 for instant in instants]


def test_two_years_of_a_zone_give_every_hour_back(tmp_path: Path) -> None:
    start = datetime(2023, 1, 1, tzinfo=UTC)
    hours = pl.Series([start + hour * timedelta(hours=1) for hour in range(2 * 365 * 24)]).dt.cast_time_unit("us")
    local = hours.dt.convert_time_zone("America/New_York").dt.replace_time_zone(None).dt.to_string("%Y-%m-%d %H:%M")
    assert times(tmp_path, *local, time_zone="America/New_York") == hours.to_physical().to_list()
    assert times(tmp_path, *local.reverse(), time_zone="America/New_York") == hours.to_physical().to_list()
