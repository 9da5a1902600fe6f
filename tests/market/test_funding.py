"""Funding: a column of the bars, or a table of its own that is joined to them."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from islands.errors import BarsError, InputError
from islands.market.bars import Bars, read_bars

START = datetime(2024, 1, 1, tzinfo=UTC)
SUFFIXES = (".csv", ".parquet", ".arrow")


def table(rates: list[Any] | None, step: timedelta = timedelta(hours=1), rows: int = 6) -> pl.DataFrame:
    frame = pl.DataFrame({"timestamp": [START + row * step for row in range(rows)]}).with_columns(
        open=pl.lit(100.0), high=pl.lit(101.0), low=pl.lit(99.0), close=pl.lit(100.5), volume=pl.lit(1.0)
    )
    return frame if rates is None else frame.with_columns(funding_rate=pl.Series(rates, dtype=pl.Float64))


RATES = [1e-4, 0.0, -2e-4, 0.0, 3e-4, 0.0]


def refusal(action: Any, kind: type[InputError] = BarsError) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def funding(bars: Bars) -> list[float]:
    assert bars.funding_rate is not None
    rates: list[float] = bars.funding_rate.tolist()
    return rates


# A column of the bars


def test_bars_without_the_column_have_no_funding() -> None:
    assert Bars.from_polars(table(None)).funding_rate is None
    assert Bars.from_polars(table(None)).to_polars().columns[-1] == "volume"


@pytest.mark.parametrize("name", ["funding_rate", "Funding Rate", "fundingRate", "FUNDING"])
def test_the_column_is_carried_under_its_usual_names(name: str) -> None:
    bars = Bars.from_polars(table(RATES).rename({"funding_rate": name}))
    assert funding(bars) == RATES
    assert not bars.tape.block.flags.writeable
    assert bars.to_polars().equals(table(RATES))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_funding_is_written_and_read_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    bars = Bars.from_polars(table([1 / 3 * 1e-4, 0.0, -1 / 7, 5e-324, 0.999, 0.0]))
    bars.write(tmp_path / f"x{suffix}")
    assert read_bars(tmp_path / f"x{suffix}").fingerprint == bars.fingerprint


def test_funding_belongs_to_the_fingerprint_and_travels() -> None:
    bare, none, some = (Bars.from_polars(table(rates)) for rates in (None, [0.0] * 6, RATES))
    assert len({bars.fingerprint for bars in (bare, none, some)}) == 3
    assert pickle.loads(pickle.dumps(some)).fingerprint == some.fingerprint


@pytest.mark.parametrize("blank", [None, math.nan, -0.0])
def test_no_rate_is_zero(tmp_path: Path, blank: float | None) -> None:
    bars = Bars.from_polars(table([1e-4, 0.0, -2e-4, blank, 3e-4, 0.0]))
    assert bars.fingerprint == Bars.from_polars(table(RATES)).fingerprint
    for suffix in SUFFIXES:
        frame = table([1e-4, 0.0, -2e-4, blank, 3e-4, 0.0])
        path = tmp_path / f"x{suffix}"
        frame.write_csv(path) if suffix == ".csv" else getattr(frame, f"write_{'parquet' if 'p' in suffix else 'ipc'}")(path)
        assert read_bars(path).fingerprint == bars.fingerprint
    empty = table(None).with_columns(funding_rate=pl.lit(None))
    assert funding(Bars.from_polars(empty)) == [0.0] * 6


@pytest.mark.parametrize("rate", [1.0, -1.0, math.inf, -math.inf, 25.0])
def test_a_rate_beyond_the_whole_notional_is_refused(rate: float) -> None:
    message = refusal(lambda: Bars.from_polars(table([0.0, 0.0, rate, 0.0, 0.0, 0.0])))
    assert message.startswith(f"frame, row 3 (2024-01-01 02:00 UTC): funding_rate is {rate!r}; a funding rate must be a share")


def test_a_rate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    frame = table(None).with_columns(funding_rate=pl.Series(["0", "", "nan", "x", "0", "0"]))
    frame.write_csv(tmp_path / "x.csv")
    assert "row 4 (2024-01-01 03:00 UTC): 'funding_rate' is 'x'; it must be a number" in refusal(
        lambda: read_bars(tmp_path / "x.csv")
    )


def test_files_of_a_glob_must_agree_on_funding(tmp_path: Path) -> None:
    table(RATES)[:3].write_csv(tmp_path / "a.csv")
    table(None)[3:].write_csv(tmp_path / "b.csv")
    message = refusal(lambda: read_bars(tmp_path / "*.csv"))
    assert message.startswith(f"{tmp_path / 'b.csv'}: has no column 'funding_rate', but {tmp_path / 'a.csv'} has one; ")


def test_between_keeps_funding() -> None:
    bars = Bars.from_polars(table(RATES)).between("2024-01-01T02:00", "2024-01-01T05:00")
    assert funding(bars) == RATES[2:5]


# Coarser bars


def test_a_rate_is_booked_at_the_first_coarser_bar_that_opens_then_or_later() -> None:
    """The position held at 01:00 is the one held into the bar of 02:00; after 04:00 no bar follows."""
    bars = Bars.from_polars(table([1e-4, 2e-4, 4e-4, 8e-4, 16e-4, 32e-4])).resample("2h")
    assert funding(bars) == pytest.approx([1e-4, 6e-4, 24e-4], rel=1e-12)


def test_a_rate_in_a_window_before_a_gap_is_booked_after_it() -> None:
    frame = table([0.0, 1e-4, 0.0, 0.0, 2e-4, 0.0])[[0, 1, 4, 5]]
    assert funding(Bars.from_polars(frame).resample("2h")) == pytest.approx([0.0, 3e-4], rel=1e-12)


def test_resample_to_the_own_step_keeps_every_rate() -> None:
    bars = Bars.from_polars(table(RATES))
    assert bars.resample("1h").fingerprint == bars.fingerprint


# A table of its own


def rates_table(*rates: tuple[str, float]) -> pl.DataFrame:
    stamps = [datetime.fromisoformat(stamp) for stamp, _ in rates]
    return pl.DataFrame({"Symbol": ["X"] * len(rates), "Date": stamps, "Funding Rate": [rate for _, rate in rates]})


def test_rates_are_joined_to_the_bars_that_open_at_their_time(tmp_path: Path) -> None:
    rates = rates_table(("2024-01-01T04:00", 3e-4), ("2024-01-01T00:00", 1e-4), ("2024-01-01T02:00", -2e-4))
    expected = Bars.from_polars(table(RATES), name="BTC")
    for given in (None, [0.5] * 6):
        joined = Bars.from_polars(table(given), name="BTC").with_funding(rates)
        assert (joined.fingerprint, joined.name) == (expected.fingerprint, "BTC")
    for suffix in SUFFIXES:
        path = tmp_path / f"x{suffix}"
        rates.write_csv(path) if suffix == ".csv" else getattr(rates, f"write_{'parquet' if 'p' in suffix else 'ipc'}")(path)
        assert Bars.from_polars(table(None)).with_funding(path).fingerprint == expected.fingerprint
        assert Bars.from_polars(table(None)).with_funding(str(tmp_path / f"*{suffix}")).fingerprint == expected.fingerprint


def test_rates_on_another_clock_or_under_other_names_are_joined_as_said(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("when;rate\n01.01.2024 03:00;0.0001\n01.01.2024 05:00;-0.0002\n01.01.2024 07:00;0.0003\n")
    bars = Bars.from_polars(table(None))
    joined = bars.with_funding(path, {"timestamp": "when", "funding_rate": "rate"}, time_zone="+03:00")
    assert funding(joined) == RATES
    assert "no columns 'timestamp', 'funding_rate'; the columns are 'when', 'rate'; funding rates need timestamp, funding" in (
        refusal(lambda: bars.with_funding(path))
    )


def test_rates_outside_the_bars_time_are_left_out() -> None:
    rates = rates_table(("2023-12-31T23:00", 0.1), ("2024-01-01T00:00", 1e-4), ("2024-01-01T06:00", 0.1))
    assert funding(Bars.from_polars(table(None)).with_funding(rates)) == [1e-4, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_rate_without_a_bar_is_refused_and_named_or_dropped() -> None:
    rates = rates_table(("2024-01-01T00:00", 1e-4), ("2024-01-01T01:30", 5e-4), ("2024-01-01T03:15", 6e-4))
    bars = Bars.from_polars(table(None))
    message = refusal(lambda: bars.with_funding(rates))
    assert message.startswith("frame, row 2 (2024-01-01 01:30 UTC): funding_rate is 0.0005, and no bar opens then (2 rates ")
    assert "2024-01-01 01:30 UTC, 2024-01-01 03:15 UTC)" in message
    assert "the least is 15m" in message
    assert funding(bars.with_funding(rates, on_unmatched="drop")) == [1e-4, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_rate_may_be_late_by_the_tolerance() -> None:
    rates = rates_table(("2024-01-01T00:00:00.003", 1e-4), ("2024-01-01T05:00:01", 2e-4))
    bars = Bars.from_polars(table(None))
    assert funding(bars.with_funding(rates, tolerance="1s")) == [1e-4, 0.0, 0.0, 0.0, 0.0, 2e-4]
    assert "no bar opens then" in refusal(lambda: bars.with_funding(rates, tolerance="1ms"))


def test_two_rates_of_one_bar_are_refused_with_both_rows() -> None:
    rates = rates_table(("2024-01-01T00:00", 1e-4), ("2024-01-01T01:00", 1e-4), ("2024-01-01T00:00:30", 2e-4))
    message = refusal(lambda: Bars.from_polars(table(None)).with_funding(rates, tolerance="1m"))
    assert message.startswith("frame, row 3 (2024-01-01 00:00:30 UTC): the bar that opens at 2024-01-01 00:00 UTC already has")
    assert "the rate of row 1" in message


def test_rates_of_another_time_altogether_are_refused() -> None:
    message = refusal(lambda: Bars.from_polars(table(None)).with_funding(rates_table(("2020-01-01T00:00", 1e-4))))
    assert "no rate is due between the bars' first and last open" in message
    dropped = rates_table(("2024-01-01T00:30", 1e-4))
    assert "no bar opens then" in refusal(lambda: Bars.from_polars(table(None)).with_funding(dropped, on_unmatched="drop"))


def test_a_table_of_rates_alone_is_no_table_of_bars(tmp_path: Path) -> None:
    rates_table(("2024-01-01T00:00", 1e-4)).write_csv(tmp_path / "x.csv")
    assert "read the prices with read_bars, then join it with bars.with_funding" in refusal(
        lambda: read_bars(tmp_path / "x.csv")
    )


def test_a_table_of_rates_needs_a_header_and_a_frame_no_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("2024-01-01,0.0001\n")
    bars = Bars.from_polars(table(None))
    message = refusal(lambda: bars.with_funding(path))
    assert message.endswith("'2024-01-01, 0.0001'; a header must name timestamp and funding_rate; give the file one")
    rates = rates_table(("2024-01-01T00:00", 1e-4))
    assert "frame: is no text, and delimiter=';' is for text files" in refusal(lambda: bars.with_funding(rates, delimiter=";"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": "1mo"}, "has no fixed length"),
        ({"tolerance": 1}, "is not a duration"),
        ({"on_unmatched": "ignore"}, "must be None or 'drop'"),
        ({"columns": ["timestamp"]}, "is a list; for funding rates it must map our names"),
        ({"time_zone": "Nowhere"}, "no such time zone"),
    ],
)
def test_an_option_that_is_none_is_refused(options: dict[str, Any], words: str) -> None:
    rates = rates_table(("2024-01-01T00:00", 1e-4))
    assert words in refusal(lambda: Bars.from_polars(table(None)).with_funding(rates, **options), InputError)
