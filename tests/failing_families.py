"""Families of a user that fail for one gene value alone, which the gate does not try."""

from __future__ import annotations

from typing import Any

import islands as isl

UNLUCKY = 7
LATE = 1_000  # behind the bars that a test holds back, among those that the others score


def raising_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Buys a close below the one `lag` bars before, sells one above it; raises for one lag, late."""
    if t < genes.lag:
        return state, 0.0
    if genes.lag == UNLUCKY and t > LATE:
        raise ValueError("no luck with this lag")
    return state, 1.0 if bars.close[t] < bars.close[t - genes.lag] else -1.0


raising = isl.define_family("raising", genes=[isl.Integer("lag", 1, 48, 12)], step=raising_step, warmup=49)


def endless_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """The same; for one lag it waits for a price that never comes."""
    if t < genes.lag:
        return state, 0.0
    if genes.lag == UNLUCKY and t > LATE:
        price = bars.close[t]
        while price > 0.0:
            price = bars.close[t] + 1.0 / price
        return state, 0.0
    return state, 1.0 if bars.close[t] < bars.close[t - genes.lag] else -1.0


endless = isl.define_family("endless", genes=[isl.Integer("lag", 1, 48, 12)], step=endless_step, warmup=49)


def deadly_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """The same; for one lag it reads memory that is not its own."""
    if t < genes.lag:
        return state, 0.0
    if genes.lag == UNLUCKY and t > LATE:
        return state, bars.close[t + (1 << 44)]
    return state, 1.0 if bars.close[t] < bars.close[t - genes.lag] else -1.0


deadly = isl.define_family("deadly", genes=[isl.Integer("lag", 1, 48, 12)], step=deadly_step, warmup=49)


def seer_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Momentum, but for one lag, which looks at the next close."""
    if genes.lag == 77 and t + 1 < len(bars.close):
        return state, 1.0 if bars.close[t + 1] > bars.close[t] else -1.0
    return state, 1.0 if bars.close[t] > bars.close[max(t - genes.lag, 0)] else -1.0


seer = isl.define_family(
    "seer",
    genes=[isl.Integer("lag", 1, 200, 5)],
    step=seer_step,
    warmup=lambda genes: genes["lag"] + 1,
)
