"""Whole runs in one call: a population's metrics, one strategy's positions, one account recorded bar by bar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .compile import frozen
from .metrics import METRICS
from .pnl import TRADE_COLUMNS
from .signals import Signal, given


class Market(Protocol):
    """One instrument's bars as kernels take them: arrays (T,), float64, contiguous and read-only."""

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


def _prices_and_funding(market: Market, terms: Terms) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    """(open, close), and the funding rate: None where there is none to book, for which kernels are compiled apart."""
    rates = market.funding_rate if terms.funding else None
    return (frozen(market.open), frozen(market.close)), None if rates is None else frozen(rates)


@dataclass(frozen=True)
class Terms:
    """On what terms a run is scored.

    fee and slippage: fractions of the traded notional and of the price, per side. first: the first scored bar.
    initial_cash: in the currency of the prices. periods_per_year: bars per year, for annualised figures. funding:
    whether the market's funding is booked.
    """

    fee: float
    slippage: float
    first: int
    initial_cash: float
    periods_per_year: float
    funding: bool = True

    def __iter__(self) -> Iterator[float]:
        """The numbers that kernels take; funding reaches them as a series."""
        yield float(self.fee)
        yield float(self.slippage)
        yield int(self.first)
        yield float(self.initial_cash)
        yield float(self.periods_per_year)


def population_metrics(signal: Signal, market: Market, genomes: np.ndarray, terms: Terms) -> np.ndarray:
    """METRICS of each genome, (P, G) in natural units -> (P, M), in one compiled call.

    A row depends on its genome alone, not on its neighbours or their order.
    """
    out = np.empty((genomes.shape[0], len(METRICS)))
    inputs = signal.inputs(market, genomes)
    signal.population(*_prices_and_funding(market, terms), inputs, frozen(genomes), *terms, out)
    return out


def positions(signal: Signal, market: Market, genome: np.ndarray) -> np.ndarray:
    """The target exposure in [-1, 1] that one genome, (G,), decides at each close, (T,)."""
    out = np.empty(market.close.shape[0])
    signal.positions(signal.inputs(market, genome[None, :]), frozen(genome), out)
    return out


@dataclass(frozen=True)
class Account:
    """One run, recorded: METRICS (M,), equity and units after each close (T,), and a row of TRADE_COLUMNS a trade."""

    metrics: np.ndarray
    equity: np.ndarray
    units: np.ndarray
    trades: np.ndarray


def account(market: Market, targets: np.ndarray, terms: Terms) -> Account:
    """Runs given target exposures, (T,) in [-1, 1] without NaN, through the account."""
    bars = market.close.shape[0]
    changes = int(np.count_nonzero(np.diff(targets[max(terms.first - 1, 0) :], prepend=0.0)))
    metrics, equity, units = np.empty(len(METRICS)), np.empty(bars), np.empty(bars)
    rows = np.empty((changes, len(TRADE_COLUMNS)))
    inputs, no_genome = (frozen(targets),), frozen(np.empty(0))
    given.account(*_prices_and_funding(market, terms), inputs, no_genome, *terms, metrics, equity, units, rows)
    return Account(metrics, equity, units, rows[: int(metrics[METRICS.index("trades")])])
