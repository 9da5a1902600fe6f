"""Genomes and a tape in, scores out, one kernel call a family: what a strategy would have earned after costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from islands.errors import InputError, StrategyError
from islands.kernels import batch
from islands.kernels.metrics import METRICS, of_returns
from islands.kernels.overlays import OVERLAYS
from islands.kernels.pnl import REASONS, TRADE_COLUMNS
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
            if (value is not None or name != "maker_fee") and not (_is_number(value) and 0.0 <= value < 1.0):
                raise InputError(f"costs: {name} = {value!r}: expected a fraction in [0, 1), 0.0005 for 5 basis points")
        for name in ("fixed_fee", "minimum_fee", "borrow"):
            value = getattr(self, name)
            if not _is_number(value) or value < 0.0:
                raise InputError(f"costs: {name} = {value!r}: expected an amount from 0 on")
        if self.participation is not None and not (_is_number(self.participation) and self.participation > 0.0):
            raise InputError(f"costs: participation = {self.participation!r}: expected a share of the volume above 0, or None")
        if not isinstance(self.funding, bool):
            raise InputError(f"costs: funding = {self.funding!r}: expected True or False")


@dataclass(frozen=True)
class Stops:
    """When a position is left though its target stands; None switches one off.

    stop_loss, take_profit, trailing: fractions of the price. atr_stop_loss, atr_take_profit, atr_trailing: multiples of
    the ATR over atr_period bars, at the decision bar of the entry. Where several are set, the nearest level counts.
    max_holding: the position is left at the open of the n-th bar after the entry's. cooldown: targets decided up to the
    n-th bar after an exit's are ignored. intrabar: which comes first where one bar touches a stop and a take-profit, the
    stop ("pessimistic") or the take-profit ("optimistic").

    Raises:
        InputError: a value is out of its range.
    """

    stop_loss: float | None = None
    take_profit: float | None = None
    trailing: float | None = None
    atr_stop_loss: float | None = None
    atr_take_profit: float | None = None
    atr_trailing: float | None = None
    atr_period: int = 14
    max_holding: int | None = None
    cooldown: int | None = None
    intrabar: str = "pessimistic"

    def __post_init__(self) -> None:
        for name in ("stop_loss", "take_profit", "trailing", "atr_stop_loss", "atr_take_profit", "atr_trailing"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0.0):
                kind = "a multiple of the ATR" if name.startswith("atr_") else "a fraction of the price"
                raise InputError(f"stops: {name} = {value!r}: expected {kind} above 0, or None")
        for name in ("max_holding", "cooldown"):
            if getattr(self, name) is not None:
                _require_bars("stops", name, getattr(self, name), 1)
        _require_bars("stops", "atr_period", self.atr_period, 1)
        if self.intrabar not in INTRABAR:
            raise InputError(f"stops: intrabar = {self.intrabar!r}: expected {' or '.join(map(repr, INTRABAR))}")


@dataclass(frozen=True)
class Sizing:
    """How much of a target is ordered.

    fraction: of every target, in (0, 1]. target_volatility: per year; an entry's targets are ordered times
    min(cap, fraction * target_volatility / realised), where realised is that of the last volatility_bars returns up to
    the decision bar. It is set at entry and kept; before there are so many returns nothing is entered.

    Raises:
        InputError: a value is out of its range.
    """

    fraction: float = 1.0
    target_volatility: float | None = None
    volatility_bars: int = 50
    cap: float = 1.0

    def __post_init__(self) -> None:
        for name in ("fraction", "cap"):
            value = getattr(self, name)
            if not _is_number(value) or not 0.0 < value <= 1.0:
                raise InputError(f"sizing: {name} = {value!r}: expected a share of the equity in (0, 1]")
        if self.target_volatility is not None and not (_is_number(self.target_volatility) and self.target_volatility > 0.0):
            raise InputError(f"sizing: target_volatility = {self.target_volatility!r}: expected one above 0 per year, or None")
        _require_bars("sizing", "volatility_bars", self.volatility_bars, 2)


def _is_number(value: object) -> TypeGuard[float]:
    """A finite number, and no truth value."""
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def _require_bars(where: str, name: str, value: object, least: int) -> None:
    if not _is_number(value) or value < least or int(value) != value:
        raise InputError(f"{where}: {name} = {value!r}: expected a whole number of bars from {least} on")


INTRABAR = ("pessimistic", "optimistic")
FREE = Costs()
NO_STOPS = Stops()
WHOLE = Sizing()


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
    trades: pl.DataFrame
    pnl: dict[str, float]


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
    if not _is_number(score_from) or not 0 <= score_from < len(bars) or int(score_from) != score_from:
        raise InputError(f"score_from = {score_from!r}: expected a bar from 0 to {len(bars) - 1} of {bars.name}")
    if not _is_number(initial_cash) or not initial_cash > 0:
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


def overlays_of(stops: Stops, sizing: Sizing) -> np.ndarray | None:
    """The row of OVERLAYS that says the same, (O,); None where nothing is switched on.

    Raises:
        InputError: sizing is no Sizing.
    """
    if not isinstance(sizing, Sizing):
        raise InputError(f"sizing = {sizing!r}: expected isl.Sizing(fraction=..., ...)")
    said = {**vars(stops), **vars(sizing)}
    off = {**vars(NO_STOPS), **vars(WHOLE)}
    if all(said[name] == off[name] for name in OVERLAYS):
        return None
    return np.array([said[name] or 0.0 for name in OVERLAYS], dtype=np.float64)


def _periods(value: object) -> float:
    if not _is_number(value) or not value > 0:
        raise InputError(f"periods_per_year = {value!r}: expected a positive number of bars, 252 or 8766")
    return float(value)


def _targets(bars: Bars, strategy: Strategy | np.ndarray | Sequence[float]) -> np.ndarray:
    if isinstance(strategy, Strategy):
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
) -> Backtest:
    """Runs one strategy, or given target exposures (T,) in [-1, 1] (NaN is flat), over the bars.

    Targets decided at a close are filled at the next open. Bars before `score_from` only warm the indicators up; the
    account starts flat there, and a target that stands is ordered at that bar's open. `stops` and `sizing` lie over the
    targets.

    Raises:
        InputError: positions of another shape or beyond [-1, 1], or a term out of its range.
    """
    terms = terms_of(bars, costs, score_from, initial_cash, periods_per_year, stops)
    overlays = overlays_of(stops, sizing)
    targets = _targets(bars, strategy)
    account = batch.account(bars.tape, targets, terms, overlays)
    before = np.concatenate(([terms.initial_cash], account.equity[:-1]))
    alive = before > 0.0
    returns = np.where(alive, account.equity / np.where(alive, before, 1.0) - 1.0, 0.0)
    metrics = dict(zip(METRICS, account.metrics.tolist(), strict=True))
    pnl = _parts(float(account.equity[-1]) - terms.initial_cash, account.paid)
    return Backtest(account.equity, returns, targets, account.units, metrics, _trades(account.trades), pnl)


def _parts(gained: float, paid: dict[str, float]) -> dict[str, float]:
    """What was gained, in its parts: what was not paid for came from the price (and from ruin, which forgives the rest)."""
    return {"price": gained + sum(paid.values()), **{name: -amount for name, amount in paid.items()}}


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
) -> pl.DataFrame:
    """Scores many strategies: a polars frame, a row a strategy in the order given, one kernel call a family.

    stops and sizing lie over all of them. Columns: strategy (its text), family, and METRICS. A row equals the metrics of
    `backtest` on the same terms.

    Raises:
        InputError: an element is no Strategy, or a term is out of its range.
    """
    import polars as pl

    if isinstance(strategies, Strategy):
        raise StrategyError(f"strategies = {strategies!r}: expected a list of them; put it in brackets")
    for i, strategy in enumerate(strategies):
        if not isinstance(strategy, Strategy):
            raise StrategyError(f"strategies[{i}] = {strategy!r}: expected a Strategy")
    terms = terms_of(bars, costs, score_from, initial_cash, periods_per_year, stops)
    overlays = overlays_of(stops, sizing)
    metrics = np.empty((len(strategies), len(METRICS)))
    by_family: dict[str, list[int]] = {}
    for i, strategy in enumerate(strategies):
        by_family.setdefault(strategy.family.name, []).append(i)
    for rows in by_family.values():
        genomes = np.stack([strategies[i].genome for i in rows])
        signal = strategies[rows[0]].family.signal
        tiled = None if overlays is None else np.tile(overlays, (len(rows), 1))
        metrics[rows] = batch.population_metrics(signal, bars.tape, genomes, terms, tiled, record=True)
    return pl.DataFrame(
        {
            "strategy": pl.Series([repr(s) for s in strategies], dtype=pl.String),
            "family": pl.Series([s.family.name for s in strategies], dtype=pl.String),
            **{name: metrics[:, j] for j, name in enumerate(METRICS)},
        }
    )


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
