"""The champions' accounts over time, as the report shows them: pure arithmetic on a run's arrays, without a chart.

An account has a part on the bars of evolution and, where it may be shown, a part on the held-back bars: a run of its own
that starts flat with the initial cash. Nothing is computed across the seam but the curve that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from islands.desk.canvas import Floats, Stamps
from islands.market.instants import DAY_US

if TYPE_CHECKING:
    from islands.evaluation import Backtest
    from islands.market.bars import Bars

MOST_SPANS = 120
"""Columns of the chart of exposure."""

_RULES = ("1h", "4h", "1d", "1w", "1mo", "1q", "1y", "5y", "10y")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHORTEST_IN_MONTHS_US = 90 * DAY_US
"""A span below this is shown by week and day instead."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """One scored run: arrays (n,), one entry a bar from the first scored one on.

    start: the instant at which the account holds the initial cash. equity, price: at the close, as multiples of what
    they were then. units: held after the close. trades: as Backtest has them, in the account's money.
    """

    start: int
    cash: float
    stamps: Stamps
    equity: Floats
    price: Floats
    returns: Floats
    units: Floats
    trades: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Account:
    """A champion's account on one instrument; `held_back` only where those bars have been opened."""

    label: str
    seen: Stretch
    held_back: Stretch | None

    @property
    def stretches(self) -> list[Stretch]:
        """The parts that there are, in time."""
        return [self.seen] if self.held_back is None else [self.seen, self.held_back]


def stretch(bars: Bars, run: Backtest, first: int, stop: int, cash: float) -> Stretch:
    """The part of a run over `bars` that was scored: bars `first` to `stop`, the last one left out."""
    part, before = slice(first, stop), max(first - 1, 0)
    return Stretch(
        start=int(bars.timestamps[before]),
        cash=cash,
        stamps=bars.timestamps[part],
        equity=run.equity[part] / cash,
        price=bars.close[part] / bars.close[before],
        returns=run.returns[part],
        units=run.units[part],
        trades=run.trades,
    )


def curve(part: Stretch, values: Floats, base: float = 1.0) -> tuple[Stamps, Floats]:
    """Instants and values of a line that starts at `base` and follows `values`, multiples of it: (n + 1,) each."""
    return np.concatenate(([part.start], part.stamps)), base * np.concatenate(([1.0], values))


def drawdown(equity: Floats) -> Floats:
    """How far equity, which starts at 1, lies below its highest value so far: 0 or negative fractions."""
    return equity / np.maximum.accumulate(np.maximum(equity, 1.0)) - 1.0


def exposure(account: Account, most: int = MOST_SPANS) -> pl.DataFrame:
    """Shares of the bars that were held long and short, in spans of one length of the calendar: the shortest that needs
    at most `most` of them, or the longest there is. A span that the seam cuts is two; one without bars belongs to the one
    before it.

    Columns: start, stop (microseconds), long, short (fractions of the bars in between).
    """
    bars = pl.concat(
        pl.DataFrame(
            {"at": pl.Series(part.stamps), "units": pl.Series(part.units), "first": part.start, "last": part.stamps[-1]}
        )
        for part in account.stretches
    )
    at = pl.from_epoch("at", "us")
    rule = next((rule for rule in _RULES if bars.select(at.dt.truncate(rule).n_unique()).item() <= most), _RULES[-1])
    return (
        bars.group_by("first", "last", at.dt.truncate(rule).alias("from"), maintain_order=True)
        .agg((pl.col("units") > 0).mean().alias("long"), (pl.col("units") < 0).mean().alias("short"))
        .with_columns(pl.max_horizontal(pl.col("from").dt.epoch("us"), "first").alias("start"))
        .select("start", pl.col("start").shift(-1).over("first").fill_null(pl.col("last")).alias("stop"), "long", "short")
    )


@dataclass(frozen=True)
class Cell:
    """The return of one span; held: "" where evolution saw all of it, "partly", or "held back"."""

    value: float
    held: str


@dataclass(frozen=True)
class Calendar:
    """Returns in rows and columns of the calendar, a total at the end of each row; a cell without bars is None."""

    kind: str
    columns: tuple[str, ...]
    rows: list[tuple[str, list[Cell | None], Cell]]


def calendar(account: Account) -> Calendar:
    """Compounded returns by year and month; by week and day where the bars span less than three months."""
    bars = pl.concat(
        pl.DataFrame({"at": pl.Series(part.stamps), "growth": 1.0 + part.returns, "held": part is account.held_back})
        for part in account.stretches
    )
    long = int(bars["at"].max()) - account.seen.start >= SHORTEST_IN_MONTHS_US  # type: ignore[arg-type]
    at = pl.from_epoch("at", "us")
    row = at.dt.truncate("1y" if long else "1w").alias("row")
    column = (at.dt.month() if long else at.dt.weekday()).alias("column")
    sums = (pl.col("growth").product() - 1.0, pl.col("held").any().alias("any"), pl.col("held").all().alias("all"))
    cells = {(r, c): _cell(*v) for r, c, *v in bars.group_by(row, column).agg(*sums).iter_rows()}
    totals = bars.group_by(row).agg(*sums).sort("row")
    used = _MONTHS if long else _WEEKDAYS[: max(c for _, c in cells)]
    rows = [
        (f"{r:%Y}" if long else f"{r:%Y-%m-%d}", [cells.get((r, c + 1)) for c in range(len(used))], _cell(*v))
        for r, *v in totals.iter_rows()
    ]
    return Calendar("month" if long else "day", used, rows)


def _cell(value: float, some_held: bool, all_held: bool) -> Cell:
    return Cell(value, "held back" if all_held else "partly" if some_held else "")


@dataclass(frozen=True)
class Trading:
    """What a run's trades come to; a figure without a trade is NaN.

    wins: the share of closed ones that gained. mean, best, worst: of `returns`, (n,), fractions of the notional at
    entry. bars_held: the median. fees: of all, a fraction of the initial cash.
    """

    trades: int
    long: int
    wins: float
    mean: float
    best: float
    worst: float
    bars_held: float
    fees: float
    returns: Floats


def trading(part: Stretch) -> Trading:
    """Sums up a run's trades, an open one too, as it stands at the last close."""
    trades = part.trades
    returns = trades["return"].to_numpy().astype(np.float64)
    if not len(returns):
        nan = float("nan")
        return Trading(0, 0, nan, nan, nan, nan, nan, 0.0, returns)
    gained = (trades["pnl"].to_numpy() > 0)[~trades["open"].to_numpy()]
    return Trading(
        trades=len(returns),
        long=int((trades["side"].to_numpy() > 0).sum()),
        wins=float(gained.mean()) if len(gained) else float("nan"),
        mean=float(returns.mean()),
        best=float(returns.max()),
        worst=float(returns.min()),
        bars_held=float(np.median(trades["exit_bar"].to_numpy() - trades["entry_bar"].to_numpy())),
        fees=float(trades["fees"].to_numpy().sum()) / part.cash,
        returns=returns,
    )
