"""What is odd about bars and left as it is: gaps, and prices that probably were never traded."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from islands.errors import IslandsWarning
from islands.market.bars import Bars, read_bars
from islands.market.synthetic import synthetic

START = datetime(2024, 1, 1, tzinfo=UTC)
QUIET_ROWS = 120
SPIKE = 60


def quiet(**cells: float) -> pl.DataFrame:
    """Bars at 100 with a range of about 0.2 %; `cells` replace those of bar SPIKE."""
    values = {"open": 100.0, "high": 100.1, "low": 99.9, "close": 100.0}
    columns = {
        name: [cells.get(name, value) if row == SPIKE else value for row in range(QUIET_ROWS)] for name, value in values.items()
    }
    return pl.DataFrame({"timestamp": [START + row * timedelta(hours=1) for row in range(QUIET_ROWS)], **columns})


# Gaps


def test_a_gap_is_reported_with_the_bars_at_its_ends_and_how_many_are_missing() -> None:
    frame = quiet().filter(~pl.int_range(QUIET_ROWS).is_in([10, 50, 51, 52]))
    gaps = Bars.from_polars(frame).gaps()
    assert gaps.schema == {"before": pl.Datetime("us", "UTC"), "after": pl.Datetime("us", "UTC"), "missing": pl.Int64}
    hour = timedelta(hours=1)
    assert gaps.rows() == [(START + 9 * hour, START + 11 * hour, 1), (START + 49 * hour, START + 53 * hour, 3)]


def test_bars_without_a_gap_and_a_single_bar_report_none() -> None:
    assert Bars.from_polars(quiet()).gaps().is_empty()
    assert Bars.from_polars(quiet()[:1]).gaps().schema["missing"] == pl.Int64


# Prints


@pytest.mark.parametrize(
    ("cells", "column", "reference"),
    [
        ({"high": 108.0}, "high", 100.0),
        ({"low": 92.0}, "low", 100.0),
        ({"open": 108.0, "high": 108.5}, "high", 100.0),
        ({"open": 92.0, "low": 92.0}, "open", 100.0),
        ({"close": 108.0, "high": 108.0}, "close", 100.0),
        ({"close": 108.0, "high": 108.0, "low": 91.0}, "low", 100.0),
    ],
)
def test_a_price_that_came_and_went_is_suspicious(cells: dict[str, float], column: str, reference: float) -> None:
    prints = Bars.from_polars(quiet(**cells)).suspicious_prints()
    assert prints.rows() == [(START + SPIKE * timedelta(hours=1), column, cells[column], reference)]


def test_a_price_that_stayed_is_not_suspicious() -> None:
    later = pl.int_range(QUIET_ROWS) >= SPIKE
    moved = quiet().with_columns(
        pl.when(later).then(pl.col(name) * 1.2).otherwise(name).alias(name) for name in ("open", "close")
    )
    moved = moved.with_columns(high=pl.max_horizontal("open", "close") * 1.001, low=pl.min_horizontal("open", "close") * 0.999)
    assert Bars.from_polars(moved).suspicious_prints().is_empty()


@pytest.mark.parametrize(("high", "count"), [(104.9, 0), (105.5, 1)])
def test_less_than_five_per_cent_is_not_suspicious(high: float, count: int) -> None:
    assert len(Bars.from_polars(quiet(high=high)).suspicious_prints()) == count


def test_what_is_usual_in_a_wild_market_is_not_suspicious() -> None:
    wild = quiet().with_columns(high=pl.col("high") * 1.01, low=pl.col("low") * 0.99)
    assert Bars.from_polars(wild).suspicious_prints().is_empty()
    spike = wild.with_columns(high=pl.when(pl.int_range(QUIET_ROWS) == SPIKE).then(120.0).otherwise("high"))
    assert Bars.from_polars(spike).suspicious_prints().is_empty()  # 18 % is less than 12 ranges of 2.2 %
    spike = wild.with_columns(high=pl.when(pl.int_range(QUIET_ROWS) == SPIKE).then(140.0).otherwise("high"))
    assert len(Bars.from_polars(spike).suspicious_prints()) == 1


def test_the_first_and_last_bar_have_a_neighbour_each() -> None:
    frame = quiet()
    for row in (0, QUIET_ROWS - 1):
        cells = frame["high"].to_list()
        cells[row] = 108.0
        assert len(Bars.from_polars(frame.with_columns(high=pl.Series(cells))).suspicious_prints()) == 1
    for rows in (1, 2, 49, 50, 51):
        assert Bars.from_polars(quiet()[:rows]).suspicious_prints().is_empty()
        first = pl.Series([108.0] + [100.1] * (rows - 1))
        assert len(Bars.from_polars(quiet()[:rows].with_columns(high=first)).suspicious_prints()) == (rows > 2)


@pytest.mark.parametrize("kind", ["gbm", "regimes", "planted"])
def test_synthetic_bars_have_no_suspicious_prints(kind: str) -> None:
    assert synthetic(kind, 2_000).suspicious_prints().is_empty()


def test_prices_of_any_size_are_judged_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = quiet(high=1.7e308, low=5e-324)
        assert len(Bars.from_polars(frame).suspicious_prints()) == 1


def test_reading_warns_once_with_the_first_few_and_their_number(tmp_path: Path) -> None:
    spikes = pl.int_range(QUIET_ROWS).is_in([20, 40, 60, 80, 100])
    quiet().with_columns(high=pl.when(spikes).then(108.0).otherwise("high")).write_csv(tmp_path / "x.csv")
    with pytest.warns(IslandsWarning) as caught:
        bars = read_bars(tmp_path / "x.csv")
    (warning,) = caught
    assert warning.filename == __file__
    first = "high 108 at 2024-01-01 20:00 UTC (beside 100), high 108 at 2024-01-02 16:00 UTC (beside 100), "
    assert str(warning.message).startswith(f"{tmp_path / 'x.csv'}: suspicious prints: 5 ({first}")
    assert str(warning.message).endswith("and 2 more); they stay in the bars")
    assert bars.high.max() == 108.0


# Summary


def test_a_summary_says_what_there_is_in_a_few_lines() -> None:
    frame = quiet(high=108.0).filter(~pl.int_range(QUIET_ROWS).is_in([10, 50, 51, 52]))
    bars = Bars.from_polars(frame.with_columns(funding_rate=pl.lit(1e-4)), name="BTC")
    assert bars.summary().splitlines() == [
        "Bars('BTC', 116 bars, 2024-01-01 00:00 UTC – 2024-01-05 23:00 UTC, step 1h)",
        "gaps: 2 (4 bars by the median step, the longest of 3 after 2024-01-03 01:00 UTC)",
        "volume: 0 in 116 bars",
        "flat bars (high = low): 0",
        "suspicious prints: 1 (high 108 at 2024-01-03 12:00 UTC (beside 100))",
        "funding: due in 116 bars",
    ]
    assert "funding: none" in Bars.from_polars(frame).summary()
    assert "gaps: none" in Bars.from_polars(quiet()).summary()
    assert "suspicious prints: none" in Bars.from_polars(quiet()).summary()
