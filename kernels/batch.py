"""Whole runs in one call: a population's metrics, one strategy's positions, one account recorded bar by bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .compile import frozen
from .indicators import atr
from .metrics import METRICS, PAID_BORROW, PAID_FEES, PAID_FUNDING, PAID_SLIPPAGE
from .overlays import OVERLAYS
from .pnl import BOOK, TRADE_COLUMNS, held_sums
from .signals import Signal, given
from .vectors import BARS
from .windows import block_moments

_YEAR_US = 365.25 * 86_400e6
_BLOCK_BYTES = 1 << 26  # of ATRs at a time


class Market(Protocol):
    """One instrument's bars as kernels take them: arrays (T,), float64, contiguous and read-only."""

    @property
    def timestamps(self) -> np.ndarray:
        """Bar open times in microseconds, int64: what borrowing accrues by."""

    @property
    def open(self) -> np.ndarray: ...
    @property
    def high(self) -> np.ndarray: ...
    @property
    def low(self) -> np.ndarray: ...
    @property
    def close(self) -> np.ndarray: ...
    @property
    def volume(self) -> np.ndarray: ...
    @property
    def funding_rate(self) -> np.ndarray | None:
        """What a position held into a bar pays of its notional at the open, 0 where none is due; None: never any."""


def _going_on(series: np.ndarray) -> np.ndarray:
    """The series with its last value repeated past the end, for whole vectors to be read there."""
    return frozen(np.concatenate((series, np.full(BARS, series[-1]))))


def _account_world(market: Market, funding: bool) -> tuple[np.ndarray, ...]:
    """What the account without overlays reads: open, close, their held_sums, the bars with funding, and its rates.

    The prices go on past the end. Without funding the last two are empty.
    """
    paying, rates = np.empty(0, np.int64), np.empty(0)
    if funding and market.funding_rate is not None:
        rates = market.funding_rate
        paying = np.append(np.flatnonzero(rates), np.iinfo(np.int64).max)
    return _going_on(market.open), _going_on(market.close), held_sums(market.close), paying, frozen(rates)


@dataclass(frozen=True)
class Terms:
    """On what terms a run is scored.

    fee and slippage: fractions of the traded notional and of the price, per side. first: the first scored bar.
    initial_cash: in the currency of the prices. periods_per_year: bars per year, for annualised figures. funding:
    whether the market's funding is booked.
    An order's fee is max(fee * notional + fixed_fee, minimum_fee). maker_fee: a take-profit's, None: the fee.
    participation: an order's share of the decision bar's volume at most, None: any. borrow: what a short pays of its
    notional at each open, per year. optimistic: where a bar touches stop and take-profit, the latter counts.
    """

    fee: float
    slippage: float
    first: int
    initial_cash: float
    periods_per_year: float
    funding: bool = True
    maker_fee: float | None = None
    fixed_fee: float = 0.0
    minimum_fee: float = 0.0
    participation: float | None = None
    borrow: float = 0.0
    optimistic: bool = False

    @property
    def plain(self) -> bool:
        """Whether orders cost fee and slippage alone, which the account without overlays knows."""
        return self.fixed_fee == self.minimum_fee == self.borrow == 0.0 and self.participation is None

    def of(self, costs: tuple[Any, ...]) -> tuple[Any, ...]:
        """These terms as an account takes them."""
        return costs, int(self.first), float(self.initial_cash), float(self.periods_per_year)

    @property
    def for_plain(self) -> tuple[Any, ...]:
        """What the account without overlays takes; funding reaches it as a series."""
        return self.of((float(self.fee), float(self.slippage)))

    @property
    def for_overlaid(self) -> tuple[Any, ...]:
        """What the account with overlays takes; funding and borrowing reach it as series."""
        maker = self.fee if self.maker_fee is None else self.maker_fee
        participation = math.nan if self.participation is None else self.participation
        values = (self.fee, maker, self.slippage, self.fixed_fee, self.minimum_fee, participation)
        return self.of((*(float(value) for value in values), bool(self.optimistic)))


def population_metrics(
    signal: Signal,
    market: Market,
    genomes: np.ndarray,
    terms: Terms,
    overlays: np.ndarray | None = None,
    *,
    record: bool = False,
) -> np.ndarray:
    """METRICS of each genome, (P, G) in natural units -> (P, M).

    A row depends on its genome and its overlays alone, not on its neighbours or their order. overlays: (P, O), rows of
    OVERLAYS; None, on plain terms, is one fused pass for each genome, in one compiled call. record: whether the figures
    OF_RECORD are computed as well; they are NaN otherwise.
    """
    if not len(genomes):
        return np.empty((0, len(METRICS)))
    out = np.empty((len(genomes), len(METRICS)))
    working = np.zeros(len(genomes), bool) if overlays is None else _working(overlays)
    if not terms.plain:
        working[:] = True
    if not working.all():
        out[~working] = _plain_population(signal, market, genomes[~working], terms, record)
    if working.any():
        rows = np.zeros((len(genomes), len(OVERLAYS))) if overlays is None else overlays
        out[working] = _overlaid_population(signal, market, genomes[working], terms, rows[working], record)
    return out


def _plain_population(signal: Signal, market: Market, genomes: np.ndarray, terms: Terms, record: bool) -> np.ndarray:
    if not record:
        return run_population(signal.population, signal, market, genomes, terms)
    world, none = _account_world(market, terms.funding), frozen(np.empty((len(genomes), 0)))
    return _recorded(signal.recorded, len(market.close), world, signal.inputs(market, genomes), genomes, none, terms.for_plain)


def run_population(
    population: Callable[..., None], signal: Signal, market: Market, genomes: np.ndarray, terms: Terms
) -> np.ndarray:
    """METRICS (P, M) by one of a signal's population kernels without overlays."""
    world, none = _account_world(market, terms.funding), np.empty((len(genomes), 0))
    return _side_by_side(signal, population, world, signal.inputs(market, genomes), genomes, none, terms.for_plain)


def _side_by_side(
    signal: Signal, population: Callable[..., None], world: Any, inputs: Any, genomes: np.ndarray, rows: np.ndarray, terms: Any
) -> np.ndarray:
    """METRICS (P, M) by a population kernel, which takes genomes of one key side by side. rows: of overlays."""
    key = None if signal.watch is None else signal.watch.key
    order = np.arange(len(genomes)) if key is None else np.argsort(genomes[:, key], kind="stable")
    out, sorted_out = np.empty((2, len(genomes), len(METRICS)))
    population(world, inputs, frozen(genomes[order]), frozen(rows[order]), terms, sorted_out)
    out[order] = sorted_out
    return out


def _recorded(
    recorded: Callable[..., None], bars: int, world: Any, inputs: Any, genomes: np.ndarray, rows: np.ndarray, terms: Any
) -> np.ndarray:
    """METRICS (P, M), those OF_RECORD as well."""
    out = np.empty((len(genomes), len(METRICS)))
    room = np.empty(bars), np.empty(bars), np.empty((0, len(TRADE_COLUMNS))), np.empty(BOOK)
    recorded(world, inputs, frozen(genomes), frozen(rows), terms, *room, out)
    return out


def _working(overlays: np.ndarray) -> np.ndarray:
    """Which rows switch anything on, (P,); the others are runs without overlays, to the last bit, at twice the speed."""
    said = dict(zip(OVERLAYS, overlays.T, strict=True))
    parameters = ("atr_period", "volatility_bars", "cap", "fraction")
    on = [column > 0.0 for name, column in said.items() if name not in parameters]
    return np.any([*on, (said["fraction"] > 0.0) & (said["fraction"] != 1.0)], axis=0)


def _overlaid_population(
    signal: Signal, market: Market, genomes: np.ndarray, terms: Terms, overlays: np.ndarray, record: bool
) -> np.ndarray:
    """In blocks of few periods of ATRs, whose columns bound the memory."""
    out = np.empty((len(genomes), len(METRICS)))
    world, inputs = _world(market, terms, overlays), signal.inputs(market, genomes)
    periods = _atr_periods(overlays)
    distinct = np.unique(periods[periods > 0.0])
    most = max(1, _BLOCK_BYTES // (8 * len(market.close)))
    for start in range(0, max(len(distinct), 1), most):
        block = distinct[start : start + most]
        chosen = np.isin(periods, block) | ((periods == 0.0) & (start == 0))
        run = (*world, _atrs(market, block)), inputs, genomes[chosen], _rows(overlays[chosen], periods[chosen], block)
        if record:
            out[chosen] = _recorded(signal.recorded_overlaid, len(market.close), *run, terms.for_overlaid)
        else:
            out[chosen] = _side_by_side(signal, signal.population_overlaid, *run, terms.for_overlaid)
    return out


_World = tuple[tuple[np.ndarray, ...], ...]


def _world(market: Market, terms: Terms, overlays: np.ndarray) -> _World:
    """The series that runs under overlays share, but the ATRs (overlays.py)."""
    tape = _going_on(market.high), _going_on(market.low), frozen(market.volume)
    column = OVERLAYS.index("volatility_bars")
    wanted = overlays[overlays[:, OVERLAYS.index("target_volatility")] > 0.0, column]
    if not (wanted >= 2.0).all():
        raise ValueError(f"volatility_bars = {wanted.min()}: a volatility target needs at least 2")
    returns = market.close[1:] / market.close[:-1] - 1.0 if wanted.size else np.empty(0)
    moments = block_moments(returns, int(wanted.max(initial=1.0)))
    return _account_world(market, funding=False), tape, _carried(market, terms), moments


def _carried(market: Market, terms: Terms) -> tuple[np.ndarray, ...]:
    """What positions pay (overlays.py): rates of funding and borrowing, and the next bar at which a long and a short pays."""
    rates = market.funding_rate if terms.funding else None
    if rates is None and not terms.borrow:
        return frozen(np.empty(0)), frozen(np.empty(0)), np.empty(0, np.int64), np.empty(0, np.int64)
    bars = len(market.close)
    funding = np.zeros(bars) if rates is None else rates
    stamps = np.asarray(market.timestamps, dtype=np.float64) if terms.borrow else np.zeros(bars)
    borrowing = terms.borrow * (np.diff(stamps, prepend=stamps[0]) / _YEAR_US)

    def following(pays: np.ndarray) -> np.ndarray:
        return np.minimum.accumulate(np.where(pays, np.arange(bars), bars)[::-1])[::-1].copy()

    return frozen(funding), frozen(borrowing), following(funding != 0.0), following((funding != 0.0) | (borrowing != 0.0))


def _atr_periods(overlays: np.ndarray) -> np.ndarray:
    """The period of each row's ATR, (P,); 0 where nothing uses it."""
    multiples = [j for j, name in enumerate(OVERLAYS) if name.startswith("atr_") and name != "atr_period"]
    used = (overlays[:, multiples] > 0.0).any(axis=1)
    periods = overlays[:, OVERLAYS.index("atr_period")]
    if not (periods[used] >= 1.0).all():
        raise ValueError(f"atr_period = {periods[used].min()}: multiples of the ATR need at least 1")
    return np.where(used, np.floor(periods), 0.0)


def _atrs(market: Market, periods: np.ndarray) -> np.ndarray:
    """The ATRs of these periods, (K, T)."""
    columns = np.empty((len(periods), len(market.close)))
    for column, period in zip(columns, periods.astype(int).tolist(), strict=True):
        column[:] = atr(market.high, market.low, market.close, period)
    return frozen(columns)


def _rows(overlays: np.ndarray, periods: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Each individual's overlays, and behind them the column in which its ATR stands, -1 for none."""
    places = np.where(periods > 0.0, np.searchsorted(columns, periods), -1.0)
    return np.column_stack([overlays, places])


def positions(signal: Signal, market: Market, genome: np.ndarray) -> np.ndarray:
    """The target exposure in [-1, 1] that one genome, (G,), decides at each close, (T,)."""
    out = np.empty(market.close.shape[0])
    signal.positions(signal.inputs(market, genome[None, :]), frozen(genome), out)
    return out


@dataclass(frozen=True)
class Account:
    """One run, recorded: METRICS (M,), equity and units after each close (T,), a row of TRADE_COLUMNS a trade, and what
    was paid in fees, slippage, funding and borrow."""

    metrics: np.ndarray
    equity: np.ndarray
    units: np.ndarray
    trades: np.ndarray
    paid: dict[str, float]


def account(market: Market, targets: np.ndarray, terms: Terms, overlays: np.ndarray | None = None) -> Account:
    """Runs given target exposures, (T,) in [-1, 1] without NaN, through the account, under overlays, (O,), or none."""
    bars = market.close.shape[0]
    changes = int(np.count_nonzero(np.diff(targets[max(terms.first - 1, 0) :], prepend=0.0)))
    metrics, equity, units = np.empty(len(METRICS)), np.empty(bars), np.empty(bars)
    rows, book = np.empty((changes, len(TRADE_COLUMNS))), np.empty(BOOK)
    no_genome, out = frozen(np.empty((1, 0))), (equity, units, rows, book, metrics[None, :])
    inputs = (frozen(targets),)
    if overlays is None and terms.plain:
        given.recorded(_account_world(market, terms.funding), inputs, no_genome, no_genome, terms.for_plain, *out)
    else:
        row = np.zeros((1, len(OVERLAYS))) if overlays is None else overlays[None, :]
        periods = _atr_periods(row)
        columns = periods[periods > 0.0]
        world = (*_world(market, terms, row), _atrs(market, columns))
        given.recorded_overlaid(world, inputs, no_genome, frozen(_rows(row, periods, columns)), terms.for_overlaid, *out)
    places = {"fees": PAID_FEES, "slippage": PAID_SLIPPAGE, "funding": PAID_FUNDING, "borrow": PAID_BORROW}
    paid = {name: float(book[place]) for name, place in places.items()}
    return Account(metrics, equity, units, rows[: int(metrics[METRICS.index("trades")])], paid)
