"""Genomes and a tape in, scores out, one kernel call a family: what a strategy would have earned after costs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from islands.errors import InputError, IslandsError, StrategyError
from islands.kernels import batch
from islands.kernels.metrics import METRICS, of_returns
from islands.kernels.pnl import REASONS, TRADE_COLUMNS
from islands.strategies.overlays import NO_STOPS, WHOLE, Sizing, Stops, default_row, is_number, overlays_of
from islands.strategies.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

    from islands.market.bars import Bars


@dataclass(frozen=True)
class Costs:
    """What trading costs.

    fee: of the traded notional, per side. slippage: of the price, per side. maker_fee: that of a take-profit filled at
    its level, the only resting order; as fee where not given. fixed_fee and minimum_fee: amounts an order, in the
    currency of the prices: an order pays max(fee * notional + fixed_fee, minimum_fee). participation: an order's share
    of the decision bar's volume at most, the rest of it is dropped. borrow: what a short pays of its notional, per year.
    funding: whether positions pay funding where the bars have a funding rate.

    Raises:
        InputError: a value is out of its range.
    """

    fee: float = 0.0
    slippage: float = 0.0
    maker_fee: float | None = None
    fixed_fee: float = 0.0
    minimum_fee: float = 0.0
    participation: float | None = None
    borrow: float = 0.0
    funding: bool = True

    def __post_init__(self) -> None:
        for name in ("fee", "slippage", "maker_fee"):
            value = getattr(self, name)
            if (value is not None or name != "maker_fee") and not (is_number(value) and 0.0 <= value < 1.0):
                raise InputError(f"costs: {name} = {value!r}: expected a fraction in [0, 1), 0.0005 for 5 basis points")
        for name in ("fixed_fee", "minimum_fee", "borrow"):
            value = getattr(self, name)
            if not is_number(value) or value < 0.0:
                raise InputError(f"costs: {name} = {value!r}: expected an amount from 0 on")
        if self.participation is not None and not (is_number(self.participation) and self.participation > 0.0):
            raise InputError(f"costs: participation = {self.participation!r}: expected a share of the volume above 0, or None")
        if not isinstance(self.funding, bool):
            raise InputError(f"costs: funding = {self.funding!r}: expected True or False")


FREE = Costs()


@dataclass(frozen=True, eq=False)
class Backtest:
    """One strategy's run over bars; arrays are (T,), one entry a bar.

    equity: cash plus position marked at each close. returns: simple, per bar, the first against the initial cash.
    positions: targets decided at each close. units: held after each close. metrics: METRICS by name, over the scored
    bars. trades: a polars frame, a row a trade, from flat (or a reversal) to flat (or a reversal); pnl is after fees,
    funding and borrowing, the column fees holds fees alone. pnl: what the final equity less the initial cash is made of:
    price (moves of the price, at prices before slippage), fees, slippage, funding, borrow.
    """

    equity: np.ndarray
    returns: np.ndarray
    positions: np.ndarray
    units: np.ndarray
    metrics: dict[str, float]
    pnl: dict[str, float]
    _rows: np.ndarray = field(repr=False)

    @functools.cached_property
    def trades(self) -> pl.DataFrame:
        """Made when it is asked for: of the founders that a verdict runs nobody does, and it took as long as their run."""
        return _trades(self._rows)


def terms_of(
    bars: Bars,
    costs: Costs,
    score_from: int,
    initial_cash: float,
    periods_per_year: float | None,
    stops: Stops = NO_STOPS,
) -> batch.Terms:
    """The terms of a run over these bars, checked.

    Raises:
        InputError: a value is out of its range, or a participation cap over bars without volume. Where periods per year
            are neither given nor measurable (a single bar), annualised figures are NaN.
    """
    if not isinstance(costs, Costs):
        raise InputError(f"costs = {costs!r}: expected isl.Costs(fee=..., slippage=...)")
    if not isinstance(stops, Stops):
        raise InputError(f"stops = {stops!r}: expected isl.Stops(stop_loss=..., ...)")
    if not is_number(score_from) or not 0 <= score_from < len(bars) or int(score_from) != score_from:
        raise InputError(f"score_from = {score_from!r}: expected a bar from 0 to {len(bars) - 1} of {bars.name}")
    if not is_number(initial_cash) or not initial_cash > 0:
        raise InputError(f"initial_cash = {initial_cash!r}: expected a positive amount")
    if costs.participation is not None and not bars.volume.any():
        raise InputError(f"costs: participation = {costs.participation!r}: the volume of {bars.name} is 0 throughout")
    return batch.Terms(
        fee=costs.fee,
        slippage=costs.slippage,
        first=int(score_from),
        initial_cash=float(initial_cash),
        periods_per_year=bars.periods_per_year if periods_per_year is None else _periods(periods_per_year),
        funding=costs.funding,
        maker_fee=costs.maker_fee,
        fixed_fee=costs.fixed_fee,
        minimum_fee=costs.minimum_fee,
        participation=costs.participation,
        borrow=costs.borrow,
        optimistic=stops.intrabar == "optimistic",
    )


def _periods(value: object) -> float:
    if not is_number(value) or not value > 0:
        raise InputError(f"periods_per_year = {value!r}: expected a positive number of bars, 252 or 8766")
    return float(value)


def _own_or_given(strategy: object, stops: Stops, sizing: Sizing) -> np.ndarray | None:
    """The row of overlays over a strategy, (O,), or None: its own, or those of the call where it has none of the kind."""
    given = overlays_of(stops, sizing)
    if not isinstance(strategy, Strategy) or strategy.overlays is None:
        return given
    for name, default, own, other in (("stops", NO_STOPS, strategy.stops, stops), ("sizing", WHOLE, strategy.sizing, sizing)):
        if own != default and (replace(stops, intrabar=NO_STOPS.intrabar) if name == "stops" else other) != default:
            raise InputError(
                f"{name} = {other!r}: {strategy!r} has {name} of its own; leave the argument out, or make the strategy without"
            )
    return overlays_of(
        strategy.stops if strategy.stops != NO_STOPS else stops, strategy.sizing if strategy.sizing != WHOLE else sizing
    )


def _targets(bars: Bars, strategy: Strategy | np.ndarray | Sequence[float]) -> np.ndarray:
    if isinstance(strategy, Strategy):
        with _blaming([strategy], bars):
            return strategy.positions(bars)
    try:
        targets = np.array(strategy, dtype=np.float64)
    except (TypeError, ValueError):
        raise StrategyError(f"strategy = {strategy!r}: expected a Strategy or an array of target exposures") from None
    if targets.shape != (len(bars),):
        raise InputError(f"positions have shape {targets.shape}: expected one target a bar, ({len(bars)},)")
    targets[np.isnan(targets)] = 0.0
    wrong = np.flatnonzero(np.abs(targets) > 1.0)
    if wrong.size:
        raise InputError(f"positions[{wrong[0]}] = {targets[wrong[0]]!r}: expected a target exposure in [-1, 1]")
    return targets


@contextlib.contextmanager
def _blaming(strategies: list[Strategy], bars: Bars) -> Iterator[None]:
    """Names the strategies where one of a user's own family raises."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (IslandsError, MemoryError, OSError)) or not strategies[0].family.code:
            raise
        which = repr(strategies[0]) if len(strategies) == 1 else f"one of {len(strategies)} of {strategies[0].family.name}"
        raise StrategyError(
            f"{which} raises {type(error).__name__} on {bars.name}: {error}; mend its step, or leave these genes out"
        ) from error


def backtest(
    bars: Bars,
    strategy: Strategy | np.ndarray | Sequence[float],
    costs: Costs = FREE,
    stops: Stops = NO_STOPS,
    sizing: Sizing = WHOLE,
    *,
    initial_cash: float = 10_000.0,
    periods_per_year: float | None = None,
    score_from: int = 0,
    closes: bool = False,
) -> Backtest:
    """Runs one strategy, or given target exposures (T,) in [-1, 1] (NaN is flat), over the bars.

    Targets decided at a close are filled at the next open. Bars before `score_from` only warm the indicators up; the
    account starts flat there, and a target that stands is ordered at that bar's open. `stops` and `sizing` lie over the
    targets; a strategy that has its own is run under these, whatever `stops.intrabar` says of them. closes: whether an
    order at the last bar's open ends what is held, at its costs, as that of a segment does.

    Raises:
        InputError: positions of another shape or beyond [-1, 1], a term out of its range, or stops or sizing for a
            strategy that has its own.
        StrategyError: the step of a user's own family raises on these bars.
    """
    terms = replace(terms_of(bars, costs, score_from, initial_cash, periods_per_year, stops), closes=closes)
    overlays = _own_or_given(strategy, stops, sizing)
    targets = _targets(bars, strategy)
    account = batch.account(bars.tape, targets, terms, overlays)
    before = np.concatenate(([terms.initial_cash], account.equity[:-1]))
    alive = before > 0.0
    returns = np.where(alive, account.equity / np.where(alive, before, 1.0) - 1.0, 0.0)
    metrics = dict(zip(METRICS, account.metrics.tolist(), strict=True))
    pnl = _parts(float(account.equity[-1]) - terms.initial_cash, account.paid)
    return Backtest(account.equity, returns, targets, account.units, metrics, pnl, account.trades)


def _parts(gained: float, paid: dict[str, float]) -> dict[str, float]:
    """What was gained, in its parts: what was not paid for came from the price (and from ruin, which forgives the rest)."""
    return {"price": gained + sum(paid.values()), **{name: 0.0 - amount for name, amount in paid.items()}}


def _trades(rows: np.ndarray) -> pl.DataFrame:
    import polars as pl

    types = {"entry_bar": pl.Int64, "exit_bar": pl.Int64, "side": pl.Int64, "open": pl.Boolean}
    columns = {
        name: pl.Series(name, rows[:, j], dtype=pl.Float64).cast(types.get(name, pl.Float64))
        for j, name in enumerate(TRADE_COLUMNS)
        if name != "reason"
    }
    reasons = pl.Series("reason", [REASONS[int(code)] for code in rows[:, TRADE_COLUMNS.index("reason")]], dtype=pl.String)
    return pl.DataFrame({**columns, "reason": reasons}).select(TRADE_COLUMNS)


def evaluate(
    bars: Bars,
    strategies: Sequence[Strategy],
    costs: Costs = FREE,
    stops: Stops = NO_STOPS,
    sizing: Sizing = WHOLE,
    *,
    initial_cash: float = 10_000.0,
    periods_per_year: float | None = None,
    score_from: int = 0,
    closes: bool = False,
) -> pl.DataFrame:
    """Scores many strategies: a polars frame, a row a strategy in the order given, one kernel call a family.

    stops and sizing lie over all that have none of their own; closes is that of `backtest`. Columns: strategy (its text),
    family, and METRICS. A row equals the metrics of `backtest` on the same terms.

    Raises:
        InputError: an element is no Strategy, a term is out of its range, or stops or sizing are given for a strategy that
            has its own.
        StrategyError: the step of a user's own family raises on these bars.
    """
    import polars as pl

    if isinstance(strategies, Strategy):
        raise StrategyError(f"strategies = {strategies!r}: expected a list of them; put it in brackets")
    for i, strategy in enumerate(strategies):
        if not isinstance(strategy, Strategy):
            raise StrategyError(f"strategies[{i}] = {strategy!r}: expected a Strategy")
    terms = replace(terms_of(bars, costs, score_from, initial_cash, periods_per_year, stops), closes=closes)
    overlays = [_own_or_given(strategy, stops, sizing) for strategy in strategies]
    metrics = np.empty((len(strategies), len(METRICS)))
    by_family: dict[tuple[str, str], list[int]] = {}
    for i, strategy in enumerate(strategies):
        by_family.setdefault((strategy.family.name, strategy.family.code), []).append(i)
    for rows in by_family.values():
        genomes = np.stack([strategies[i].genome for i in rows])
        signal = strategies[rows[0]].family.signal
        over = _rows([overlays[i] for i in rows])
        with _blaming([strategies[i] for i in rows], bars):
            metrics[rows] = batch.population_metrics(signal, bars.tape, genomes, terms, over, record=True)
    return pl.DataFrame(
        {
            "strategy": pl.Series([repr(s) for s in strategies], dtype=pl.String),
            "family": pl.Series([s.family.name for s in strategies], dtype=pl.String),
            **{name: metrics[:, j] for j, name in enumerate(METRICS)},
        }
    )


def _rows(overlays: list[np.ndarray | None]) -> np.ndarray | None:
    """The rows as a matrix, (P, O); None where all are."""
    if all(row is None for row in overlays):
        return None
    return np.stack([default_row() if row is None else row for row in overlays])


def metrics(returns: np.ndarray | Sequence[float], periods_per_year: float = 252) -> dict[str, float]:
    """METRICS by name from any series of simple returns, shape (T,).

    NaN in the series is dropped; figures that need trades are NaN.

    Raises:
        InputError: not one-dimensional, or periods_per_year is not positive.
    """
    series = np.asarray(returns, dtype=np.float64)
    if series.ndim != 1:
        raise InputError(f"returns have shape {series.shape}: expected a series, (T,)")
    return dict(zip(METRICS, of_returns(series, _periods(periods_per_year)).tolist(), strict=True))
