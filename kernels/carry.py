"""Rules of carry: they hold the side that is paid for being held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .compile import device, frozen
from .signals import EQUAL, Signal, follow, greatest_target, least_target, start_flat
from .windows import running_sums, window_mean

if TYPE_CHECKING:
    from .batch import Market


# funding_carry(lookback, entry, exit, direction)


@device
def funding_carry_prepare(genome):
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    return int(genome[0]), genome[1] + EQUAL, genome[2] + EQUAL, bounds


@device
def funding_carry_step(genes, state, t, inputs):
    lookback, entry, leave, (least, greatest) = genes
    rates, counts = inputs
    if t < lookback - 1:
        return 0.0, 0.0
    payments = counts[t + 1] - counts[t + 1 - lookback]
    mean = window_mean(rates[0], rates[1], t, lookback) * lookback / payments  # NaN without a payment
    target = follow(state, -mean, entry, leave, least, greatest)
    return target, target


def _of_funding(market: Market, genomes: np.ndarray) -> tuple[object, ...]:
    """Running sums of the rates, and how many of the first t bars have one, t = 0..T; the market has a funding rate."""
    rates = frozen(market.funding_rate)
    return running_sums(rates), frozen(np.concatenate(([0.0], np.cumsum(rates != 0.0))))


funding_carry = Signal("funding_carry", funding_carry_prepare, start_flat, funding_carry_step, _of_funding)
