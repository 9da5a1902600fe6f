"""The arithmetic of the champions' accounts: drawdown, months, exposure, trades."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pages import chart_names, drawn

from islands.desk.accounts import Account, Cell, Stretch, calendar, curve, drawdown, exposure, trading
from islands.desk.equity import growth, is_logarithmic, multiple, trade_edges, trades
from islands.market.instants import instant_us

DAY = timedelta(days=1)


def stretch(first: datetime, step: timedelta, returns: list[float], units: list[float] | None = None) -> Stretch:
    """A run of these returns; the account begins one step before the first bar."""
    stamps = np.array([instant_us(first + i * step) for i in range(len(returns))], dtype=np.int64)
    equity = np.cumprod(1.0 + np.array(returns))
    held = np.zeros(len(returns)) if units is None else np.array(units)
    return Stretch(instant_us(first - step), 1000.0, stamps, equity, equity, np.array(returns), held, closed([]))


def closed(returns: list[float], **columns: list[int]) -> pl.DataFrame:
    """Trades of 100 in money that brought these returns."""
    rows = len(returns)
    return pl.DataFrame(
        {
            "entry_bar": columns.get("entry_bar", [0] * rows),
            "exit_bar": columns.get("exit_bar", [1] * rows),
            "side": columns.get("side", [1] * rows),
            "pnl": [100.0 * value for value in returns],
            "return": pl.Series(returns, dtype=pl.Float64),
            "fees": [0.5] * rows,
            "open": [bool(value) for value in columns.get("open", [0] * rows)],
        }
    )


def utc(year: int, month: int = 1, day: int = 1, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def test_drawdown_is_measured_from_the_highest_close_and_from_the_initial_cash() -> None:
    assert drawdown(np.array([0.9, 1.2, 0.6, 1.2, 1.5])).tolist() == pytest.approx([-0.1, 0.0, -0.5, 0.0, 0.0])


def test_ruin_is_a_drawdown_of_everything() -> None:
    assert drawdown(np.array([1.5, 0.0, 0.0])).tolist() == [0.0, -1.0, -1.0]


def test_a_curve_begins_with_what_the_account_began_with() -> None:
    part = stretch(utc(2020, 1, 2), DAY, [0.1, 0.1])
    stamps, values = curve(part, part.equity, base=2.0)
    assert stamps.tolist() == [instant_us(utc(2020, 1, day)) for day in (1, 2, 3)]
    assert values.tolist() == pytest.approx([2.0, 2.2, 2.42])


def test_returns_are_compounded_within_each_month_and_year() -> None:
    seen = stretch(utc(2019, 12, 30), DAY, [0.1, 0.1] + [0.0] * 31 + [0.5] + [0.0] * 70)
    table = calendar(Account("", seen, None))
    assert (table.kind, table.columns[0], table.columns[-1]) == ("month", "Jan", "Dec")
    (last, months, year), (_, later, after) = table.rows
    assert last == "2019" and months[:11] == [None] * 11
    assert months[11] is not None and months[11].value == year.value == pytest.approx(0.21)
    assert [cell.value for cell in later[:4] if cell] == pytest.approx([0.0, 0.5, 0.0, 0.0])
    assert later[4:] == [None] * 8 and after.value == pytest.approx(0.5)


def test_months_say_what_of_them_was_held_back() -> None:
    seen = stretch(utc(2020, 1, 1), DAY, [0.0] * 45)
    held = stretch(utc(2020, 2, 15), DAY, [0.0] * 60)
    ((_, months, year),) = calendar(Account("", seen, held)).rows
    assert [cell.held for cell in months if cell] == ["", "partly", "held back", "held back"]
    assert year.held == "partly"


def test_less_than_three_months_are_shown_by_week_and_day() -> None:
    seen = stretch(utc(2020, 1, 3), timedelta(hours=12), [0.1] * 8)  # from a Friday to a Monday
    table = calendar(Account("", seen, None))
    assert (table.kind, table.columns) == ("day", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
    assert [label for label, _, _ in table.rows] == ["2019-12-30", "2020-01-06"]
    assert table.rows[0][1][:4] == [None] * 4 and table.rows[1][1][0] is not None
    assert table.rows[1][1][0].value == pytest.approx(0.21)
    assert table.rows[0][2].value == pytest.approx(1.1**6 - 1.0)


def test_weekends_without_bars_have_no_column() -> None:
    seen = stretch(utc(2020, 1, 6), DAY, [0.1] * 4)
    table = calendar(Account("", seen, None))
    assert table.columns == ("Mon", "Tue", "Wed", "Thu")
    assert table.rows[0][2] == Cell(pytest.approx(1.1**4 - 1.0), "")


def test_exposure_is_the_share_of_bars_on_each_side() -> None:
    seen = stretch(utc(2020, 1, 1), timedelta(hours=1), [0.0] * 48, [5.0] * 12 + [-1.0] * 6 + [0.0] * 6 + [0.0] * 24)
    spans = exposure(Account("", seen, None), most=2)
    assert spans["long"].to_list() == [0.5, 0.0] and spans["short"].to_list() == [0.25, 0.0]
    assert spans["start"].to_list() == [instant_us(utc(2020, 1, day)) for day in (1, 2)]
    assert spans["stop"].to_list() == [instant_us(utc(2020, 1, 2)), int(seen.stamps[-1])]


@pytest.mark.parametrize(("bars", "most"), [(24, 120), (5000, 120), (100_000, 120), (100_000, 10)])
def test_exposure_has_as_many_spans_as_a_screen_can_show(bars: int, most: int) -> None:
    seen = stretch(utc(1990), timedelta(hours=7), [0.0] * bars, [1.0] * bars)
    spans = exposure(Account("", seen, None), most)
    assert 1 <= len(spans) <= most and spans["long"].to_list() == [1.0] * len(spans)
    assert spans["start"].to_list()[1:] == spans["stop"].to_list()[:-1]


def test_a_span_that_the_held_back_bars_begin_in_is_two() -> None:
    seen = stretch(utc(2020, 1, 1), DAY, [0.0] * 15, [1.0] * 15)
    held = stretch(utc(2020, 1, 16), DAY, [0.0] * 15, [-1.0] * 15)
    spans = exposure(Account("", seen, held), most=1)
    assert spans.select("long", "short").rows() == [(1.0, 0.0), (0.0, 1.0)]
    assert spans["stop"][0] == spans["start"][1] == held.start


def with_trades(part: Stretch, frame: pl.DataFrame) -> Stretch:
    return Stretch(**{**vars(part), "trades": frame})


def test_trades_are_summed_up_and_an_open_one_is_no_win_yet() -> None:
    part = stretch(utc(2020), DAY, [0.0] * 9)
    frame = closed([0.2, -0.1, 0.3], exit_bar=[2, 4, 9], side=[1, -1, 1], open=[0, 0, 1])
    it = trading(with_trades(part, frame))
    assert (it.trades, it.long, it.wins, it.best, it.worst, it.bars_held) == (3, 2, 0.5, 0.3, -0.1, 4.0)
    assert it.mean == pytest.approx(0.4 / 3) and it.fees == pytest.approx(0.0015)


def test_no_trade_leaves_figures_undefined() -> None:
    it = trading(stretch(utc(2020), DAY, [0.0] * 9))
    assert (it.trades, it.fees) == (0, 0.0)
    assert np.isnan([it.wins, it.mean, it.best, it.worst, it.bars_held]).all()


@pytest.mark.parametrize("returns", [[0.01], [-0.02], [0.0], [0.5, -0.5, 0.1], list(np.linspace(-0.03, 0.11, 500))])
def test_no_bin_of_trades_holds_gains_and_losses(returns: list[float]) -> None:
    edges = trade_edges(np.array(returns))
    assert 0.0 in edges and edges[0] <= min(returns) and edges[-1] >= max(returns)
    assert np.histogram(returns, edges)[0].sum() == len(returns) and len(edges) <= 43


def test_an_account_that_grew_much_is_drawn_on_a_logarithmic_axis() -> None:
    slow, fast = (Account("1 x", stretch(utc(2000), DAY, [gain] * 300), None) for gain in (0.001, 0.02))
    assert not is_logarithmic([slow]) and is_logarithmic([slow, fast])
    assert '"type":"log"' in growth([slow, fast]) and '"type":"log"' not in growth([slow])


def test_a_ruined_account_is_not() -> None:
    ruined = Account("1 x", stretch(utc(2000), DAY, [0.5] * 30 + [-1.0] + [0.0] * 9), None)
    assert not is_logarithmic([ruined])


def test_an_instrument_among_several_has_a_small_chart() -> None:
    seen, held = stretch(utc(2020), DAY, [0.01] * 50), stretch(utc(2020, 2, 20), DAY, [0.01] * 20)
    fragment = multiple(Account("1 x", seen, held), "growth-0")
    assert chart_names(fragment) == ["growth-0"]
    upper = [trace for trace in drawn(fragment, "growth-0") if trace["name"] == "1 x" and trace["yaxis"] == "y"]
    assert upper[1]["y"][0] == upper[0]["y"][-1] == np.float32(1.01**50)


def test_the_histogram_counts_every_trade_once() -> None:
    part = stretch(utc(2020), DAY, [0.0] * 9)
    account = Account("1 x", with_trades(part, closed([0.1, -0.1, 0.02])), with_trades(part, closed([0.05])))
    counts = {trace["name"]: trace["y"].sum() for trace in drawn(trades([account, account]), "trades")}
    assert counts == {"loss, in-sample": 2, "gain, in-sample": 4, "held back": 2}
