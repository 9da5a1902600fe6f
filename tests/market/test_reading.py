"""Options and what is recognised without any: columns, headers, banners, delimiters, order, duplicates, scale, closes."""

from __future__ import annotations

import gzip
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from islands.errors import BarsError, InputError
from islands.market.bars import Bars, read_bars
from islands.market.instants import instant_text
from islands.market.reading import Reading
from islands.market.tape import ROWS

START = datetime(2024, 1, 1, tzinfo=UTC)
LINES = [f"2024-01-01 0{hour}:00,10{hour}.25,10{hour + 1},9{hour},10{hour}.5,{hour}" for hour in range(6)]
HEADER = "timestamp,open,high,low,close,volume"


def plain_bars() -> Bars:
    return Bars.from_polars(
        pl.DataFrame(
            {
                "timestamp": [START + hour * timedelta(hours=1) for hour in range(6)],
                "open": [100.25 + hour for hour in range(6)],
                "high": [101.0 + hour for hour in range(6)],
                "low": [90.0 + hour for hour in range(6)],
                "close": [100.5 + hour for hour in range(6)],
                "volume": [float(hour) for hour in range(6)],
            }
        )
    )


SOUND = plain_bars().fingerprint


def put(folder: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def text(header: str = HEADER, lines: list[str] = LINES) -> str:
    return "\n".join([header, *lines] if header else lines) + "\n"


def refusal(path: Path, kind: type[InputError] = BarsError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        read_bars(path, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Options


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("time_zone", "Mars/Olympus", "no such time zone"),
        ("time_zone", "europe/athens", "no such time zone"),
        ("time_zone", "", "no such time zone"),
        ("time_zone", "+25:00", "no such time zone"),
        ("time_zone", 3, "'+03:00'"),
        ("time_format", "dd.mm.yyyy", "'%d/%m/%Y %H:%M'"),
        ("time_format", 7, "'%d/%m/%Y %H:%M'"),
        ("time_unit", "seconds", "must be None, 's', 'ms', 'us' or 'ns'"),
        ("bar_time", "end", "must be 'open' or 'close'"),
        ("bar_time", None, "must be 'open' or 'close'"),
        ("on_duplicate", "mean", "must be None, 'first' or 'last'"),
        ("sort", 1, "must be False or True"),
        ("sort", "timestamp", "must be False or True"),
        ("scale", 0, "positive finite number"),
        ("scale", -1e-5, "positive finite number"),
        ("scale", float("nan"), "positive finite number"),
        ("scale", True, "positive finite number"),
        ("scale", "1e-5", "positive finite number"),
        ("delimiter", ",,", "one ASCII character"),
        ("delimiter", "1", "one ASCII character"),
        ("delimiter", '"', "one ASCII character"),
        ("delimiter", "\n", "one ASCII character"),
        ("delimiter", "§", "one ASCII character"),
        ("columns", ["timestamp", "open"], "no high, low, close; bars need"),
        ("columns", ["timestamp", "open", "high", "low", "close", "open"], "'open' is named twice"),
        ("columns", ["timestamp", "open", "high", "low", 5], "5 is a int"),
        ("columns", {"open": 5}, "5 for 'open' is a int"),
    ],
)
def test_an_option_is_checked_before_any_file_is_opened(option: str, value: Any, words: str) -> None:
    message = refusal(Path("nowhere.csv"), InputError, **{option: value})
    assert message.startswith(f"{option}={value!r}: ")
    assert words in message


def test_the_options_are_one_frozen_record_that_travels() -> None:
    reading = Reading(columns={"open": "O"}, time_zone="Europe/Athens", scale=1e-5)
    assert pickle.loads(pickle.dumps(reading)) == reading
    with pytest.raises(AttributeError):
        reading.scale = 2.0  # type: ignore[misc]
    assert Reading() == Reading(None, None, None, None, "open", 1.0, False, None, None)


# Columns


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "datetime,o,h,l,c,v",
        " Time , open_price , high_price , low_price , close_price , tick_volume ",
        "Open time,Open,High,Low,Close,Volume BTC",
        "unix,open,high,low,close,Vol",
        "ts,O,H,L,C,Volume USD",
        "Gmt time,OPEN,HIGH,LOW,CLOSE,VOLUME",
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>",
        "timestamp,1. open,2. high,3. low,4. close,5. volume",
        ",open,high,low,close,volume",
        "Unnamed: 0,open,high,low,close,volume",
        '"date","open","high","low","close","Volume_(BTC)"',
    ],
)
def test_usual_names_are_recognised(tmp_path: Path, header: str) -> None:
    assert read_bars(put(tmp_path, text(header))).fingerprint == SOUND


@pytest.mark.parametrize("frame", ["Date,Open,High,Low,Close,Vol", "Datetime,o,h,l,c,v"])
def test_usual_names_of_a_frame_and_of_typed_files_are_recognised(tmp_path: Path, frame: str) -> None:
    renamed = plain_bars().to_polars().rename(dict(zip(ROWS, frame.split(","), strict=True)))
    assert Bars.from_polars(renamed).fingerprint == SOUND
    renamed.write_parquet(tmp_path / "x.parquet")
    assert read_bars(tmp_path / "x.parquet").fingerprint == SOUND


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("unix,date,open,high,low,close,volume", "'unix', 'date' all match 'timestamp'"),
        ("date,time,open,high,low,close,volume", "join them with polars"),
        ("date,tick_volume,open,high,low,close,real_volume", "'tick_volume', 'real_volume' all match 'volume'"),
        ("date,Volume BTC,open,high,low,close,Volume USD", 'columns={"volume": "Volume BTC"}'),
    ],
)
def test_two_usual_names_for_one_column_are_refused_with_both(tmp_path: Path, extra: str, named: str) -> None:
    lines = [f"{line.split(',', 1)[0]},7,{line.split(',', 1)[1]}" for line in LINES]
    assert named in refusal(put(tmp_path, text(extra, lines)))


def test_our_own_name_comes_before_a_usual_one(tmp_path: Path) -> None:
    lines = [f"{line},9,x" for line in LINES]
    assert read_bars(put(tmp_path, text(f"{HEADER},Volume BTC,date", lines))).fingerprint == SOUND
    assert read_bars(put(tmp_path, text(f"{HEADER},adj close,unix", lines))).fingerprint == SOUND


def test_an_adjusted_close_is_no_close_unless_it_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, text("date,open,high,low,Adj Close,volume"))
    assert 'say columns={"close": "Adj Close"}' in refusal(path)
    assert read_bars(path, columns={"close": "Adj Close"}).fingerprint == SOUND


def test_a_closing_time_is_no_opening_time_unless_it_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, text("close_time,open,high,low,close,volume"))
    assert 'say columns={"timestamp": "close_time"} (and bar_time="close")' in refusal(path)


# Wide tables

WIDE = "date,BTC:open,BTC:high,BTC:low,BTC:close,BTC:volume,ETH:open,ETH:high,ETH:low,ETH:close,ETH:volume"


def wide(blank: tuple[int, ...]) -> str:
    lines = [f"{line},{',,,,' if row in blank else line.split(',', 1)[1]}" for row, line in enumerate(LINES)]
    return text(WIDE, lines)


def of_eth() -> dict[str, str]:
    return {"timestamp": "date", **{ours: f"ETH:{ours}" for ours in ROWS[1:]}}


def test_a_wide_table_is_refused_with_its_assets_and_a_mapping_that_works(tmp_path: Path) -> None:
    path = put(tmp_path, wide(()))
    message = refusal(path)
    assert "holds the assets 'BTC', 'ETH' side by side" in message
    mapping = eval(message.split("say columns=")[1])
    assert read_bars(path, columns=mapping).fingerprint == SOUND
    assert read_bars(path, columns=of_eth()).fingerprint == SOUND


def test_an_asset_of_a_wide_table_begins_and_ends_where_it_has_numbers(tmp_path: Path) -> None:
    bars = read_bars(put(tmp_path, wide((0, 1, 5))), columns=of_eth())
    assert bars.to_polars().equals(plain_bars().to_polars()[2:5])
    assert "the table has no rows" in refusal(put(tmp_path, wide(tuple(range(6)))), columns=of_eth())


def test_a_blank_in_the_middle_of_an_asset_is_a_missing_cell_in_its_own_row(tmp_path: Path) -> None:
    assert "row 4 (2024-01-01 03:00 UTC): 'ETH:open' is null" in refusal(put(tmp_path, wide((0, 3))), columns=of_eth())


def test_blank_ends_are_an_assets_alone(tmp_path: Path) -> None:
    lines = [f"{line},,,,,{line.split(',', 1)[1]}" for line in ["2024-01-01 00:00,,,,,", *LINES[1:]]]
    path = put(tmp_path, text(f"{HEADER},{WIDE.split(',', 1)[1]}".replace("BTC:volume,", ""), lines))
    assert "row 1 (2024-01-01 00:00 UTC): 'open' is null" in refusal(path)


def test_blank_rows_of_a_plain_table_are_never_left_out(tmp_path: Path) -> None:
    path = put(tmp_path, text(lines=["2024-01-01 00:00,,,,,", *LINES[1:]]))
    assert "row 1 (2024-01-01 00:00 UTC): 'open' is null" in refusal(path)


# Delimiters, banners, headers, encodings


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv", ".CSV"])
def test_delimiters_are_recognised_whatever_the_suffix(tmp_path: Path, delimiter: str, suffix: str) -> None:
    path = put(tmp_path, text().replace(",", delimiter), f"btc.usd{suffix}")
    bars = read_bars(path)
    assert bars.fingerprint == SOUND
    assert bars.name == "btc.usd"
    assert read_bars(path, delimiter=delimiter).fingerprint == SOUND


def test_a_delimiter_that_is_said_is_taken_at_its_word(tmp_path: Path) -> None:
    path = put(tmp_path, text())
    assert "the columns are 'timestamp,open,high,low,close,volume'" in refusal(path, delimiter=";")


def test_decimal_commas_are_refused_and_not_taken_for_delimiters(tmp_path: Path) -> None:
    path = put(tmp_path, text("date;open;high;low;close", ["2024-01-01;1,5;2,5;1,0;2,0", "2024-01-02;1,5;2,5;1,0;2,0"]))
    assert "row 1 (2024-01-01 00:00 UTC): 'open' is '1,5'; it must be a number; write plain numbers" in refusal(path)


@pytest.mark.parametrize(
    "banner",
    [
        "https://www.example.com\n",
        "Timestamps are UTC timezone,https://www.example.com\n",
        "# made by hand, on a Sunday\n# and again\n",
        "// note\n\n",
        "\n\n",
        "EUR/USD hourly\n\n",
    ],
)
def test_a_banner_is_passed_over_and_counted_in_the_line(tmp_path: Path, banner: str) -> None:
    assert read_bars(put(tmp_path, banner + text())).fingerprint == SOUND
    broken = banner + text(lines=[*LINES[:3], LINES[3].replace(",93,", ",x,"), *LINES[4:]])
    line = 5 + banner.count("\n")
    assert f"row 4, line {line} (2024-01-01 03:00 UTC): 'low' is 'x'" in refusal(put(tmp_path, broken))


def test_a_line_that_could_be_data_is_never_taken_for_a_banner(tmp_path: Path) -> None:
    path = put(tmp_path, text("2024-01-01 00:00,1,1"))
    assert "has no header, its first row is '2024-01-01 00:00, 1, 1'" in refusal(path)
    assert "row 1 has 3 cells" in refusal(path, columns=list(ROWS))


@pytest.mark.parametrize("columns", [list(ROWS), tuple(ROWS)])
def test_a_file_without_a_header_is_read_by_the_names_of_its_columns(tmp_path: Path, columns: Any) -> None:
    assert read_bars(put(tmp_path, text("")), columns=columns).fingerprint == SOUND
    assert read_bars(put(tmp_path, "\ufeff" + text("")), columns=columns).fingerprint == SOUND
    more = text("", [f"7,{line},8" for line in LINES])
    assert read_bars(put(tmp_path, more), columns=["", *columns, None]).fingerprint == SOUND
    assert read_bars(put(tmp_path, more), columns=["index", *columns, "note"]).fingerprint == SOUND
    assert "row 1 has 8 cells" in refusal(put(tmp_path, more), columns=columns)


def test_a_name_that_is_not_ours_skips_its_column_even_if_it_is_a_usual_one(tmp_path: Path) -> None:
    columns = ["timestamp", "open", "high", "low", "close", "tick_volume"]
    assert read_bars(put(tmp_path, text("")), columns=columns).volume.tolist() == [0.0] * 6


def test_a_row_that_holds_a_columns_name_is_no_header(tmp_path: Path) -> None:
    path = put(tmp_path, text("", [f"{line},C" for line in LINES]))
    assert read_bars(path, columns=[*ROWS, "kind"]).fingerprint == SOUND


def test_rows_of_a_file_without_a_header_are_counted_from_its_first_line(tmp_path: Path) -> None:
    path = put(tmp_path, text("", [*LINES[:3], LINES[3] + ",9", *LINES[4:]]))
    assert refusal(path, columns=list(ROWS)).startswith(f"{path}, row 4, line 4: has 7 cells where row 1 has 6; ")


def kline(row: int, unit: int = 1_000, **changed: str) -> str:
    opens = (1_704_067_200 + 60 * row) * unit
    cells = {"open_time": str(opens), "open": "100.5", "high": "101", "low": "99", "close": "100", "volume": "7"}
    cells |= {"close_time": str(opens + 60 * unit - 1), "quote": "700.5", "trades": "3", "base": "1", "taker": "100", "x": "0"}
    return ",".join((cells | changed).values())


@pytest.mark.parametrize("unit", [1_000, 1_000_000])
def test_binance_klines_are_recognised_without_a_header(tmp_path: Path, unit: int) -> None:
    bars = read_bars(put(tmp_path, text("", [kline(row, unit) for row in range(3)])))
    assert bars.to_polars().row(0)[1:] == (100.5, 101.0, 99.0, 100.0, 7.0)
    assert bars.timestamps.tolist() == [(1_704_067_200 + 60 * row) * 1_000_000 for row in range(3)]
    columns = ["", *ROWS[1:], "timestamp", "", "", "", "", ""]
    closes = read_bars(put(tmp_path, text("", [kline(row, unit) for row in range(3)])), columns=columns, bar_time="close")
    assert closes.fingerprint == bars.fingerprint


@pytest.mark.parametrize("changed", [{"high": "99.5"}, {"close_time": "7"}, {"trades": "3.5"}, {"open_time": "1704067200"}])
def test_twelve_columns_that_are_no_certain_klines_are_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    assert "has no header" in refusal(put(tmp_path, text("", [kline(0, **changed)])))


def test_other_encodings_are_read_by_their_mark(tmp_path: Path) -> None:
    assert read_bars(put(tmp_path, text().encode("utf-16"))).fingerprint == SOUND
    assert read_bars(put(tmp_path, text().replace("\n", "\r\n").encode("utf-8-sig"))).fingerprint == SOUND
    assert "cannot be read as .csv" in refusal(put(tmp_path, text().encode("utf-16")[:-1]))
    assert "cannot be read as .csv (invalid utf-8" in refusal(put(tmp_path, text().encode() + "é,1,1,1,1,1".encode("latin-1")))


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz", ".TXT.GZ"])
def test_compressed_text_is_read(tmp_path: Path, suffix: str) -> None:
    bars = read_bars(put(tmp_path, gzip.compress(text().encode()), f"btc{suffix}"))
    assert (bars.fingerprint, bars.name) == (SOUND, "btc")
    cut = put(tmp_path, gzip.compress(text().encode())[:-9], f"x{suffix}")
    assert f"cannot be read as {suffix.lower()}" in refusal(cut)
    assert "cannot be read" in refusal(put(tmp_path, text(), f"y{suffix}"))


@pytest.mark.parametrize("name", ["x.txt", "x.tsv", "x.csv.gz"])
def test_bars_are_not_written_in_a_format_that_is_only_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(BarsError, match=r"bars are not written as .+ one of \.parquet, \.arrow, \.feather, \.ipc, \.csv"):
        plain_bars().write(tmp_path / name)


@pytest.mark.parametrize("option", [{"delimiter": ","}, {"columns": list(ROWS)}])
def test_options_of_text_are_refused_for_typed_files(tmp_path: Path, option: dict[str, Any]) -> None:
    plain_bars().write(tmp_path / "x.parquet")
    assert "is for text files" in refusal(tmp_path / "x.parquet", **option)


# Order and duplicates


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_begins_with_its_newest_row_is_turned_round(tmp_path: Path, suffix: str) -> None:
    frame = plain_bars().to_polars().reverse()
    path = tmp_path / f"x{suffix}"
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    assert read_bars(path).fingerprint == SOUND


def test_a_row_of_a_file_that_was_turned_round_keeps_its_number(tmp_path: Path) -> None:
    lines = [*LINES[:2], LINES[2].replace(",92,", ",200,"), *LINES[3:]]
    assert "row 4 (2024-01-01 02:00 UTC): high is 103.0, low is 200.0" in refusal(put(tmp_path, text(lines=lines[::-1])))


def test_files_of_a_glob_are_turned_round_one_by_one(tmp_path: Path) -> None:
    put(tmp_path, text(lines=LINES[2::-1]), "a.csv")
    put(tmp_path, text(lines=LINES[:2:-1]), "b.csv")
    assert read_bars(tmp_path / "*.csv").fingerprint == SOUND


def test_any_other_disorder_is_refused_unless_it_may_be_sorted(tmp_path: Path) -> None:
    path = put(tmp_path, text(lines=[LINES[0], *LINES[3:], *LINES[1:3]]))
    message = refusal(path)
    assert "row 5 (2024-01-01 01:00 UTC): the timestamp follows 2024-01-01 05:00 UTC in row 4; rows must be sorted" in message
    assert "read_bars(..., sort=True)" in message
    assert read_bars(path, sort=True).fingerprint == SOUND


def test_files_in_disorder_may_be_sorted(tmp_path: Path) -> None:
    put(tmp_path, text(lines=LINES[3:]), "a.csv")
    put(tmp_path, text(lines=LINES[:3]), "b.csv")
    assert "must be sorted" in refusal(tmp_path / "*.csv")
    assert read_bars(tmp_path / "*.csv", sort=True).fingerprint == SOUND


@pytest.mark.parametrize("turned", [False, True])
def test_of_rows_of_one_time_the_first_or_last_of_the_file_is_kept(tmp_path: Path, turned: bool) -> None:
    lines = [*LINES[:3], "2024-01-01 02:00,50,50,50,50,50", *LINES[3:]]
    path = put(tmp_path, text(lines=lines[::-1] if turned else lines))
    message = refusal(path)
    assert "a timestamp must not be given twice" in message
    assert "on_duplicate='first'" in message
    own, other = ("last", "first") if turned else ("first", "last")
    assert read_bars(path, on_duplicate=own).fingerprint == SOUND
    assert read_bars(path, on_duplicate=other).close.tolist() == [100.5, 101.5, 50.0, 103.5, 104.5, 105.5]


def test_duplicates_in_disorder_need_both_options(tmp_path: Path) -> None:
    path = put(tmp_path, text(lines=[*LINES, *LINES[2:4]]))
    assert "must be sorted" in refusal(path, on_duplicate="first")
    assert "given twice" in refusal(path, sort=True)
    assert read_bars(path, sort=True, on_duplicate="last").fingerprint == SOUND


# Scale


def test_prices_are_scaled_and_volume_and_funding_are_not(tmp_path: Path) -> None:
    path = put(tmp_path, "date,open,high,low,close,volume,funding_rate\n2024-01-01,80439,80442,80292,80313,4753,0.5\n")
    bars = read_bars(path, scale=1e-5)
    assert bars.to_polars().row(0)[1:] == (0.80439, 0.80442, 0.80292, 0.80313, 4753.0, 0.5)
    assert read_bars(path, scale=2).close.tolist() == [160626.0]
    assert read_bars(path, scale=0.3).close.tolist() == [80313 * 0.3]


def test_a_scale_that_leaves_the_range_of_numbers_is_refused_by_the_rules(tmp_path: Path) -> None:
    assert "every cell must be a finite number" in refusal(put(tmp_path, text()), scale=1e308)
    tiny = put(tmp_path, text("date,open,high,low,close", ["2024-01-01,0.1,0.1,0.1,0.1"]))
    assert "prices must be positive" in refusal(tiny, scale=5e-324)


# Closing times


def closes_of(folder: Path, *stamps: str) -> list[str]:
    path = put(folder, text("date,open,high,low,close", [f"{stamp},1,1,1,1" for stamp in stamps]))
    stamped = read_bars(path, bar_time="close").to_polars()["timestamp"]
    return stamped.dt.to_string("%Y-%m-%d %H:%M:%S%.f").to_list()


def test_a_closing_time_is_one_median_step_after_the_open_also_after_a_gap(tmp_path: Path) -> None:
    opens = closes_of(tmp_path, "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 09:00", "2024-01-01 10:00")
    assert [text[11:16] for text in opens] == ["00:00", "01:00", "08:00", "09:00"]


@pytest.mark.parametrize("last", ["23:59:59.999", "23:59:59.999999", "23:59:59"])
def test_a_close_on_a_bars_last_instant_is_moved_up_first(tmp_path: Path, last: str) -> None:
    opens = closes_of(tmp_path, *(f"2024-01-0{day} {last}" for day in (1, 2, 3)))
    assert [text[:19] for text in opens] == ["2024-01-01 00:00:00", "2024-01-02 00:00:00", "2024-01-03 00:00:00"]


def test_a_bar_opens_no_earlier_than_the_bar_ahead_closes(tmp_path: Path) -> None:
    ends = ("2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")
    assert [text[:10] for text in closes_of(tmp_path, *ends)][1:] == list(ends[:-1])


def test_newest_first_closing_times_are_turned_round_first(tmp_path: Path) -> None:
    assert closes_of(tmp_path, "2024-01-03", "2024-01-02")[0][:10] == "2024-01-01"


def test_a_single_closing_time_is_refused(tmp_path: Path) -> None:
    message = refusal(put(tmp_path, text(lines=LINES[:1])), bar_time="close")
    assert ", row 1: is the only bar, and bar_time='close' needs the step between two" in message


def test_closing_times_in_disorder_are_refused_as_any(tmp_path: Path) -> None:
    path = put(tmp_path, text(lines=[LINES[1], LINES[0], *LINES[2:]]))
    assert "must be sorted" in refusal(path, bar_time="close")
    assert np.diff(read_bars(path, bar_time="close", sort=True).timestamps).tolist() == [3_600_000_000] * 5


# Date and time of day in two columns


APART = [
    pytest.param(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>",
        ["2020.01.02\t00:00:00\t1\t2\t1\t2\t5", "2020.01.02\t01:00:00\t2\t3\t2\t3\t6"],
        id="MetaTrader",
    ),
    pytest.param(
        "Date,Time,Open,High,Low,Close,Vol.", ["2020-01-02,00:00,1,2,1,2,5", "2020-01-02,01:00,2,3,2,3,6"], id="plain"
    ),
    pytest.param(
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        ["X.US,60,20200102,000000,1,2,1,2,5", "X.US,60,20200102,010000,2,3,2,3,6"],
        id="Stooq",
    ),
]


@pytest.mark.parametrize(("header", "rows"), APART)
def test_date_and_time_of_day_apart_are_one_timestamp(tmp_path: Path, header: str, rows: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    bars = read_bars(path)
    assert [instant_text(int(t)) for t in bars.timestamps] == ["2020-01-02 00:00 UTC", "2020-01-02 01:00 UTC"]
    assert bars.volume.tolist() == [5.0, 6.0]
    assert read_bars(path, time_zone="+02:00").timestamps[0] == bars.timestamps[0] - 2 * 3_600_000_000


@pytest.mark.parametrize("time", ["25:00", "1577923200", "2020-01-02 00:00", "noon"])
def test_columns_called_date_and_time_that_are_something_else_are_refused_both_named(tmp_path: Path, time: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"date,time,open,high,low,close\n2020-01-02,{time},1,2,1,2\n")
    with pytest.raises(BarsError, match="the columns 'date', 'time' all match 'timestamp'"):
        read_bars(path)


def test_a_missing_time_of_day_is_a_missing_timestamp(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("date,time,open,high,low,close\n2020-01-02,00:00,1,2,1,2\n2020-01-02,,1,2,1,2\n")
    with pytest.raises(BarsError, match="row 2: 'date time' is null"):
        read_bars(path)
