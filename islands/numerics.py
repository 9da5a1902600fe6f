"""Bits: the one door to the C library's functions, and the fingerprint of a machine's arithmetic.

Additions, products, divisions and square roots are the same bits on every machine (IEEE 754). exp, log and powers are
not, and numpy's vector forms differ even between processors of one system. What reaches a digest calls them here only,
one number at a time, or inside a kernel; the fingerprint probes both.
"""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from islands.randomness import Purpose, stream

if TYPE_CHECKING:
    from islands.kernels.batch import Terms
    from islands.kernels.signals import Signal


def exp(x: float) -> float:
    """e to the x, by the C library."""
    return math.exp(x)


def log(x: float) -> float:
    """Natural logarithm of x > 0, by the C library."""
    return math.log(x)


def _probe_libm() -> bytes:
    points = stream(0, purpose=Purpose.PROBE).uniform(1e-3, 10.0, 512).tolist()
    values = [f(x) for x in points for f in (exp, log, lambda x: math.pow(x, 1.0 / 21.0), lambda x: x**-3.7)]
    return struct.pack(f"<{len(values)}d", *values)


def _probe_market() -> SimpleNamespace:
    """Bars with funding, 600 of them, as kernels take them."""
    moves = stream(1, purpose=Purpose.PROBE).uniform(-0.01, 0.01, (4, 600))
    close = 100.0 + np.cumsum(moves[0])
    open_ = close * (1.0 + moves[1] / 10)
    high, low = np.maximum(open_, close) + 0.001, np.minimum(open_, close) - 0.001
    return SimpleNamespace(
        timestamps=np.arange(600) * 3_600_000_000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=1.0 + moves[2] * 50,
        funding_rate=moves[2] / 10,
        targets=moves[3],
    )


def rough_market(bars: int) -> SimpleNamespace:
    """Bars with trends, large moves and funding, as kernels take them; some have no range, and some no volume."""
    moves = stream(2, purpose=Purpose.PROBE).uniform(-0.02, 0.02, (4, bars))
    bar = np.arange(bars)
    close = 100.0 * np.cumprod(1.0 + moves[0] + np.where(bar // 60 % 2 == 0, 0.005, -0.005))
    open_ = np.where(bar % 37 == 36, close, close * (1.0 + moves[1] / 4))
    wick = np.where(bar % 37 == 36, 0.0, np.abs(moves[2]) / 4)
    volume = np.where(bar % 50 == 49, 0.0, 1_000.0 + 2e4 * moves[3])
    rates = np.where(bar % 8 == 0, moves[3] / 20, 0.0)
    high, low = np.maximum(open_, close) * (1.0 + wick), np.minimum(open_, close) * (1.0 - wick)
    stamps = bar * 3_600_000_000
    return SimpleNamespace(timestamps=stamps, open=open_, high=high, low=low, close=close, volume=volume, funding_rate=rates)


@dataclass(frozen=True)
class Probe:
    """How to probe a family that PROBES does not know, a user's own: its signal on so many rough bars, for some genomes.

    name and code (a digest) say which family it is. funded: whether funding is booked; without, the loop is other code.
    """

    name: str
    code: str
    bars: int = field(compare=False)
    funded: bool = field(compare=False)
    signal: Signal = field(compare=False)
    genomes: np.ndarray = field(compare=False)


PROBES: dict[str, tuple[str, list[list[float]]]] = {
    "ema_crossover": ("trend", [[3, 20, 0.0, 2], [5, 40, 1e-5, 0]]),
    "sma_trend": ("trend", [[4, 25, 2], [10, 60, 1]]),
    "rsi_mean_reversion": ("reversion", [[5, 35, 55, 2], [14, 40, 60, 0]]),
    "donchian_breakout": ("breakout", [[7, 4, 2], [40, 20, 1]]),
    "bollinger_reversion": ("reversion", [[6, 1.1, 2], [40, 2.0, 0]]),
    "momentum": ("trend", [[5, 0.0, 2], [40, 0.004, 1]]),
    "bollinger_breakout": ("breakout", [[6, 1.1, 2]]),
    "keltner_breakout": ("breakout", [[6, 0.05, 2]]),
    "volatility_breakout": ("breakout", [[5, 0.05, 4, 2]]),
    "stochastic": ("reversion", [[7, 3, 35, 55, 2]]),
    "vwap_reversion": ("reversion", [[9, 0.9, 2]]),
    "zscore_reversion": ("reversion", [[8, 1.1, 0.3, 2]]),
    "macd": ("trend", [[3, 11, 5, 1e-5, 2]]),
    "ichimoku": ("trend", [[4, 9, 15, 2]]),
    "kernel_trend": ("trend", [[3, 1e-5, 2]]),
    "funding_carry": ("carry", [[6, 1e-4, 5e-5, 2]]),
}
"""Family -> the file of its rule in kernels/, and genomes that trade on the probe's bars."""


_OVERLAYS = np.array(
    [
        [0.0019, 0.00075, 0.00094, 1.4, 1.24, 1.94, 7.0, 4.0, 2.0, 0.9, 0.0052, 20.0, 0.95],
        [0.0007, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
"""Rows of kernels.overlays.OVERLAYS: each of these acts on the probe's bars in one of them."""


def _probe_family(family: str | Probe, terms: Terms, single: bool = False) -> np.ndarray:
    """METRICS of one family's genomes, by its population kernel; by that of float32 none, where there is none."""
    from islands.kernels import batch

    if isinstance(family, Probe):
        market, signal, genomes = rough_market(family.bars), family.signal, family.genomes
        terms = replace(terms, first=0, funding=family.funded)
    else:
        file, rows = PROBES[family]
        market, signal = _probe_market(), getattr(import_module(f"islands.kernels.{file}"), family)
        genomes = np.array(rows, dtype=float)
        if file != "carry":
            market.funding_rate = None  # the loop with funding is other code
    if single and signal.of_singles is None:
        return np.empty((0, 0))
    signal = signal.of_singles or signal if single else signal
    return batch.population_metrics(signal, market, genomes, terms)


def _probe_kernels(families: tuple[str | Probe, ...], overlaid: bool, single: bool) -> bytes:
    """Figures of each family's population kernel, and of accounts with funding and with overlays; of no family nothing."""
    if not families:
        return b""
    from islands.kernels import batch

    terms = batch.Terms(fee=2e-4, slippage=1e-4, first=80, initial_cash=1e4, periods_per_year=8766.0)
    figures = [_probe_family(family, terms) for family in families]
    figures += [_probe_family(family, terms, single=True) for family in families if single]
    market = _probe_market()
    accounts = [batch.account(market, np.sign(market.targets), terms)]
    if overlaid:
        held = np.repeat(np.sign(market.targets[::10]), 10)
        accounts += [batch.account(market, held, replace(terms, minimum_fee=0.5, borrow=0.1), row) for row in _OVERLAYS]
    figures += [part for account in accounts for part in (account.metrics, account.equity)]
    return b"".join(row.astype("<f8").tobytes() for row in figures)


def _probe_variation() -> bytes:
    """Children of the kernels of crossover and mutation that call the C library."""
    from islands.kernels import variation

    chance = stream(2, purpose=Purpose.PROBE)
    genes, drawn = chance.random((64, 4)), chance.random((64, 4, 3))
    rows, sizes, low, up = np.arange(64), np.full(64, 4), np.zeros(4), np.ones(4)
    pairs = rows[:32], rows[32:]
    born = [genes.copy() for _ in range(4)]  # of each kernel its own: the next one would hide a last bit
    variation.cross_simulated_binary_bounded(*pairs, sizes, 10.0, low, up, drawn[:32], born[0])
    variation.cross_simulated_binary(*pairs, sizes, 2.5, drawn[:32, :, 0].copy(), born[1])
    variation.mutate_polynomial_bounded(rows, sizes, 7.5, low, up, 0.7, drawn[:, :, :2].copy(), born[2])
    variation.mutate_gaussian(rows, sizes, low, up, 0.7, drawn, born[3])
    return b"".join(genes.astype("<f8").tobytes() for genes in born)


@functools.cache
def fingerprint(families: tuple[str | Probe, ...] = (), overlaid: bool = False, single: bool = False) -> str:
    """SHA-256 of a fixed probe of every function whose bits a machine may decide, the kernels of these families included.

    families: names out of PROBES, and probes of a user's own. overlaid: whether overlays, or costs beyond fee, slippage and
    funding, are booked, which another loop does. single: whether lanes see in float32 as well. Two machines of one
    fingerprint are held to give one digest; a worker with another is not used. Only the kernels that a campaign uses are
    probed, so that none is compiled for the probe alone (all sixteen took 26 s).
    """
    bred = _probe_variation() if families else b""
    return hashlib.sha256(b"numeric probe v6" + _probe_libm() + bred + _probe_kernels(families, overlaid, single)).hexdigest()
