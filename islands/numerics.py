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
from types import SimpleNamespace

import numpy as np

from islands.randomness import Purpose, stream


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
    high, low = np.maximum(open_, close) + 0.01, np.minimum(open_, close) - 0.01
    return SimpleNamespace(
        open=open_, high=high, low=low, close=close, volume=1.0 + moves[2] * 50, funding_rate=moves[2] / 10, targets=moves[3]
    )


def _probe_kernels() -> bytes:
    from islands.kernels import batch, breakout, reversion, trend

    market = _probe_market()
    unfunded = SimpleNamespace(**{**vars(market), "funding_rate": None})  # the loop with funding is other code
    terms = batch.Terms(fee=2e-4, slippage=1e-4, first=80, initial_cash=1e4, periods_per_year=8766.0)
    probes = {
        trend.ema_crossover: [[3, 20, 0.0, 2], [5, 40, 1e-5, 0]],
        trend.sma_trend: [[4, 25, 2], [10, 60, 1]],
        reversion.rsi_mean_reversion: [[5, 35, 55, 2], [14, 40, 60, 0]],
        breakout.donchian_breakout: [[7, 4, 2], [40, 20, 1]],
        reversion.bollinger_reversion: [[6, 1.1, 2], [40, 2.0, 0]],
        trend.momentum: [[5, 0.0, 2], [40, 0.004, 1]],
    }
    rows = [batch.population_metrics(s, unfunded, np.array(g, dtype=float), terms) for s, g in probes.items()]
    targets = np.sign(market.targets)
    paying = batch.account(market, targets, terms)
    # under overlays it is another loop: stop, take-profit, ATR multiple (and its period), holding, cooldown, size, volatility
    over = np.array([0.01, 0.02, 0.0, 2.0, 0.0, 1.5, 14, 40, 2, 0.5, 0.2, 20, 1.0])
    overlaid = batch.account(market, targets, terms, over)
    figures = (*rows, paying.metrics, paying.equity, overlaid.metrics, overlaid.equity)
    return b"".join(row.astype("<f8").tobytes() for row in (*figures, *_probe_decisions(market)))


def _probe_decisions(market: SimpleNamespace) -> list[np.ndarray]:
    """Targets of the other rules: a run's figures would show no more of these than what they decide, and take four times
    as long to compile."""
    from islands.kernels import batch, breakout, carry, reversion, trend

    genomes = {
        breakout.bollinger_breakout: [6, 1.1, 2],
        breakout.keltner_breakout: [6, 0.05, 2],
        breakout.volatility_breakout: [5, 0.05, 4, 2],
        reversion.stochastic: [7, 3, 35, 55, 2],
        reversion.vwap_reversion: [9, 0.9, 2],
        reversion.zscore_reversion: [8, 1.1, 0.3, 2],
        trend.macd: [3, 11, 5, 1e-5, 2],
        trend.ichimoku: [4, 9, 15, 2],
        trend.kernel_trend: [3, 1e-5, 2],
        carry.funding_carry: [6, 1e-4, 5e-5, 2],
    }
    return [batch.positions(s, market, np.array(g, dtype=float)) for s, g in genomes.items()]


@functools.cache
def fingerprint() -> str:
    """SHA-256 of a fixed probe of every function whose bits a machine may decide, kernels included.

    Two machines of one fingerprint are held to give one digest; a worker with another is not used.
    """
    return hashlib.sha256(b"numeric probe v4" + _probe_libm() + _probe_kernels()).hexdigest()
