"""Rules of carry: they hold the side that is paid for being held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .compile import device, frozen
from .kept import once
from .signals import EQUAL, greatest_target, least_target, marks_of, watching
from .watch import Watch
from .windows import running_sums, window_mean

if TYPE_CHECKING:
    from .batch import Market


# funding_carry(lookback, entry, exit, direction)


@device
def funding_carry_prepare(genome):
    bounds = (least_target(genome[3]), greatest_target(genome[3]))
    return int(genome[0]), genome[1] + EQUAL, genome[2] + EQUAL, bounds


@device
def funding_carry_ready(genes):
    return genes[0] - 1


@device
def funding_carry_measure(genes, t, inputs):
    """The mean rate of the payments; NaN without one."""
    lookback = genes[0]
    rates, counts = inputs
    payments = counts[t + 1] - counts[t + 1 - lookback]
    return (window_mean(rates[0], rates[1], t, lookback) * lookback / payments,)


@device
def funding_carry_look(genes, values, t, inputs):
    return marks_of(-values[0], genes[1], genes[2])


def _of_funding(market: Market, genomes: np.ndarray) -> tuple[object, ...]:
    """Running sums of the rates, and how many of the first t bars have one, t = 0..T; the market has a funding rate."""

    def sums() -> tuple[object, ...]:
        rates = frozen(market.funding_rate)
        return running_sums(rates), frozen(np.concatenate(([0.0], np.cumsum(rates != 0.0))))

    return once(market, "sums of funding", sums)


funding_carry = watching(
    "funding_carry",
    funding_carry_prepare,
    Watch(funding_carry_ready, funding_carry_measure, funding_carry_look),
    _of_funding,
)
