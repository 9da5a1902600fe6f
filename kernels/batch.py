"""Whole runs in one call: a population's metrics, one strategy's positions, one account recorded bar by bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from .compile import frozen
from .indicators import atr
from .metrics import METRICS, PAID_BORROW, PAID_FEES, PAID_FUNDING, PAID_SLIPPAGE
from .overlays import OVERLAYS, overlaid
from .pnl import BOOK, TRADE_COLUMNS, held_sums
from .signals import Signal, given
from .vectors import BARS
from .windows import block_moments

_YEAR_US = 365.25 * 86_400e6
_BLOCK_BYTES = 1 << 25  # of targets at a time, and at most as much again of ATRs


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


def _account_world(market: Market, terms: Terms) -> tuple[np.ndarray, ...]:
    """What the account without overlays reads: open, close, their held_sums, the bars with funding, and its rates.

    The prices go on past the end, for whole vectors to be read there. Without funding the last two are empty.
    """
    open_, close = (np.concatenate((series, np.full(BARS, series[-1]))) for series in (market.open, market.close))
    paying, rates = np.empty(0, np.int64), np.empty(0)
    if terms.funding and market.funding_rate is not None:
        rates = market.funding_rate
        paying = np.append(np.flatnonzero(rates), np.iinfo(np.int64).max)
    return frozen(open_), frozen(close), held_sums(market.close), paying, frozen(rates)


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

    def __iter__(self) -> Iterator[float]:
        """The numbers that the account without overlays takes; funding reaches it as a series."""
        yield float(self.fee)
        yield float(self.slippage)
        yield int(self.first)
        yield float(self.initial_cash)
        yield float(self.periods_per_year)

    @property
    def plain(self) -> bool:
        """Whether orders cost fee and slippage alone, which the account without overlays knows."""
        return self.fixed_fee == self.minimum_fee == self.borrow == 0.0 and self.participation is None

    @property
    def charges(self) -> tuple[float, ...]:
        """What the account with overlays takes of an order."""
        maker = self.fee if self.maker_fee is None else self.maker_fee
        participation = math.nan if self.participation is None else self.participation
        values = (self.fee, maker, self.slippage, self.fixed_fee, self.minimum_fee, participation)
        return tuple(float(value) for value in values)


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
    if overlays is not None and terms.plain and not (working := _working(overlays)).all():
        out = np.empty((genomes.shape[0], len(METRICS)))
        out[~working] = population_metrics(signal, market, genomes[~working], terms, record=record)
        if working.any():
            out[working] = population_metrics(signal, market, genomes[working], terms, overlays[working], record=record)
        return out
    if not len(genomes):
        return np.empty((0, len(METRICS)))
    if overlays is None and terms.plain:
        return (
            _recorded(signal, market, genomes, terms)
            if record
            else run_population(signal.population, signal, market, genomes, terms)
        )
    rows = np.zeros((genomes.shape[0], len(OVERLAYS))) if overlays is None else overlays
    return _overlaid_population(signal, market, genomes, signal.inputs(market, genomes), terms, rows, record)


def run_population(
    population: Callable[..., None], signal: Signal, market: Market, genomes: np.ndarray, terms: Terms
) -> np.ndarray:
    """METRICS (P, M) by one of a signal's population kernels, which takes genomes of one key side by side."""
    key = None if signal.watch is None else signal.watch.key
    order = np.arange(len(genomes)) if key is None else np.argsort(genomes[:, key], kind="stable")
    out = np.empty((len(genomes), len(METRICS)))
    rows = np.empty_like(out)
    population(_account_world(market, terms), signal.inputs(market, genomes), frozen(genomes[order]), tuple(terms), rows)
    out[order] = rows
    return out


def _recorded(signal: Signal, market: Market, genomes: np.ndarray, terms: Terms) -> np.ndarray:
    """METRICS (P, M), those OF_RECORD as well."""
    bars, out = market.close.shape[0], np.empty((len(genomes), len(METRICS)))
    room = np.empty(bars), np.empty(bars), np.empty((0, 0)), np.empty(BOOK)
    inputs = signal.inputs(market, genomes)
    signal.recorded(_account_world(market, terms), inputs, frozen(genomes), tuple(terms), *room, out)
    return out


def _working(overlays: np.ndarray) -> np.ndarray:
    """Which rows switch anything on, (P,); the others are runs without overlays, to the last bit, at twice the speed."""
    said = dict(zip(OVERLAYS, overlays.T, strict=True))
    parameters = ("atr_period", "volatility_bars", "cap", "fraction")
    on = [column > 0.0 for name, column in said.items() if name not in parameters]
    return np.any([*on, (said["fraction"] > 0.0) & (said["fraction"] != 1.0)], axis=0)


def _overlaid_population(
    signal: Signal,
    market: Market,
    genomes: np.ndarray,
    inputs: tuple[np.ndarray, ...],
    terms: Terms,
    overlays: np.ndarray,
    record: bool,
) -> np.ndarray:
    """In blocks that bound the memory, ordered by the period of their ATR so that few are computed twice."""
    bars = market.close.shape[0]
    out = np.empty((genomes.shape[0], len(METRICS)))
    world = _world(market, terms, overlays)
    order = np.argsort(_atr_periods(overlays), kind="stable")
    size = max(1, _BLOCK_BYTES // (8 * bars))
    nothing = np.empty(bars if record else 0)
    for start in range(0, len(order), size):
        block = order[start : start + size]
        targets = np.empty((len(block), bars))
        for row, genome in zip(targets, genomes[block], strict=True):
            signal.positions(inputs, frozen(genome), row)
        metrics, books = np.empty((len(block), len(METRICS))), np.empty((len(block), BOOK))
        room = (nothing, np.empty_like(nothing), np.empty((0, len(TRADE_COLUMNS))), books)
        _run_overlaid(world, market, terms, targets, overlays[block], metrics, *room)
        out[block] = metrics
    return out


_World = tuple[tuple[np.ndarray, ...], ...]


def _world(market: Market, terms: Terms, overlays: np.ndarray) -> _World:
    """The series that runs under overlays share: the account's; high, low and volume; funding and borrowing; moments of
    the returns."""
    account = _account_world(market, replace(terms, funding=False))
    tape = tuple(frozen(series) for series in (market.high, market.low, market.volume))
    nothing = np.zeros(market.close.shape[0])
    rates = market.funding_rate if terms.funding else None
    borrowing = nothing
    if terms.borrow:
        stamps = np.asarray(market.timestamps, dtype=np.float64)
        borrowing = terms.borrow * (np.diff(stamps, prepend=stamps[0]) / _YEAR_US)
    column = OVERLAYS.index("volatility_bars")
    wanted = overlays[overlays[:, OVERLAYS.index("target_volatility")] > 0.0, column]
    if not (wanted >= 2.0).all():
        raise ValueError(f"volatility_bars = {wanted.min()}: a volatility target needs at least 2")
    returns = market.close[1:] / market.close[:-1] - 1.0 if wanted.size else np.empty(0)
    moments = block_moments(returns, int(wanted.max(initial=1.0)))
    return account, tape, (frozen(nothing if rates is None else rates), frozen(borrowing)), moments


def _atr_periods(overlays: np.ndarray) -> np.ndarray:
    """The period of each row's ATR, (P,); 0 where nothing uses it."""
    multiples = [j for j, name in enumerate(OVERLAYS) if name.startswith("atr_") and name != "atr_period"]
    used = (overlays[:, multiples] > 0.0).any(axis=1)
    periods = overlays[:, OVERLAYS.index("atr_period")]
    if not (periods[used] >= 1.0).all():
        raise ValueError(f"atr_period = {periods[used].min()}: multiples of the ATR need at least 1")
    return np.where(used, np.floor(periods), 0.0)


def _run_overlaid(
    world: _World, market: Market, terms: Terms, targets: np.ndarray, overlays: np.ndarray, *out: np.ndarray
) -> None:
    """Runs given targets, (P, T), under their overlays, (P, O)."""
    account, tape, carried, moments = world
    periods, which = np.unique(_atr_periods(overlays), return_inverse=True)
    columns = np.full((len(periods), targets.shape[1]), np.nan)
    for column, period in zip(columns, periods.astype(int).tolist(), strict=True):
        if period:
            column[:] = atr(market.high, market.low, market.close, period)
    numbers = (int(terms.first), float(terms.initial_cash), float(terms.periods_per_year))
    overlaid(
        account,
        tape,
        carried,
        moments,
        (frozen(columns), which.astype(np.int64).reshape(-1)),
        frozen(targets),
        frozen(overlays),
        terms.charges,
        numbers,
        bool(terms.optimistic),
        *out,
    )


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
    if overlays is None and terms.plain:
        inputs, no_genome = (frozen(targets),), frozen(np.empty((1, 0)))
        room = equity, units, rows, book
        given.recorded(_account_world(market, terms), inputs, no_genome, tuple(terms), *room, metrics[None, :])
    else:
        row = np.zeros((1, len(OVERLAYS))) if overlays is None else overlays[None, :]
        world = _world(market, terms, row)
        _run_overlaid(world, market, terms, targets[None, :], row, metrics[None, :], equity, units, rows, book[None, :])
    places = {"fees": PAID_FEES, "slippage": PAID_SLIPPAGE, "funding": PAID_FUNDING, "borrow": PAID_BORROW}
    paid = {name: float(book[place]) for name, place in places.items()}
    return Account(metrics, equity, units, rows[: int(metrics[METRICS.index("trades")])], paid)
