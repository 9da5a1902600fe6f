"""Families that are not built in, as a user would write them."""

from __future__ import annotations

from typing import Any

from islands.kernels.steps import ema_alpha, ema_next
from islands.kernels.vectors import where

import islands as isl


def crossover_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """ema_crossover, written again from its doc."""
    fast, slow, target = state
    price = bars.close[t]
    fast = ema_next(fast, price, ema_alpha(genes.fast))
    slow = ema_next(slow, price, ema_alpha(genes.slow))
    if t >= genes.slow - 1:
        if fast > slow * (1.0 + genes.band):
            target = 1.0
        elif fast < slow * (1.0 - genes.band):
            target = -1.0
    return (fast, slow, target), target


def crossover_start(genes: Any, bars: Any) -> Any:
    return bars.close[0], bars.close[0], 0.0


crossover = isl.define_family(
    "crossover",
    genes=isl.family("ema_crossover").genes[:-1],
    constraints=[isl.Less("fast", "slow")],
    step=crossover_step,
    start=crossover_start,
    warmup=lambda genes: 3.5 * genes["slow"],
)


def lane_prepare(genes: Any) -> Any:
    return ema_alpha(genes.fast), ema_alpha(genes.slow), 1.0 + genes.band, 1.0 - genes.band, genes.slow - 1


def lane_step(constants: Any, state: Any, t: Any, bars: Any) -> Any:
    """ema_crossover, written for many genomes at once."""
    fast_alpha, slow_alpha, above, below, first = constants
    fast, slow, target = state
    fast = ema_next(fast, bars.close[t], fast_alpha)
    slow = ema_next(slow, bars.close[t], slow_alpha)
    crossed = where(fast > slow * above, 1.0, where(fast < slow * below, -1.0, target))
    target = where(t >= first, crossed, target)
    return (fast, slow, target), target


crossover_in_lanes = isl.define_family(
    "crossover_in_lanes",
    genes=isl.family("ema_crossover").genes[:-1],
    constraints=[isl.Less("fast", "slow")],
    prepare=lane_prepare,
    start=crossover_start,
    step=lane_step,
    warmup=lambda genes: 3.5 * genes["slow"],
    lanes=True,
)


def reversal_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Buys a close below the one `lag` bars before, sells one above it."""
    if t < genes.lag:
        return state, 0.0
    return state, 1.0 if bars.close[t] < bars.close[t - genes.lag] else -1.0


reversal = isl.define_family(
    "reversal",
    genes=[isl.Integer("lag", 1, 48, 12)],
    step=reversal_step,
    warmup=lambda genes: genes["lag"] + 1,
)

named_otherwise = isl.define_family("another_name", genes=[], step=reversal_step, warmup=0)
