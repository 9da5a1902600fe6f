"""Bars on which there is nothing to find, made of real ones: what a search earns there is its luck.

Each bar's log return is freed of the mean and gets a random sign. That keeps the size of every move, so volatility comes
in the same clusters, and the joint moves of several instruments, whose bars of one time get one sign; whatever of the
direction could be told from the past is gone. (A wild bootstrap: Wu, Annals of Statistics 14 (1986), with Rademacher signs,
as Liu, Annals of Statistics 16 (1988), and Davidson and Flachaire, Journal of Econometrics 146 (2008), have them.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from islands.errors import InputError
from islands.market.bars import Bars
from islands.market.tape import Tape, frozen
from islands.randomness import Purpose, stream

Drift = Literal["zero", "real"]
DRIFTS: tuple[Drift, ...] = ("zero", "real")
"""What the mean log return of the surrogates is: none, or that of the real bars."""


def sign_flipped(bars: Mapping[str, Bars], seed: int, run: int, drift: Drift) -> dict[str, Bars]:
    """Surrogates of each instrument's bars: as many, at the same times, with the same volume and funding.

    Bar t of the real ones stands to the close before it as (open, high, low, close) / close[t-1]. The surrogate's bar does
    so as well, each ratio over exp(mean log return) first, and then turned upside down (1/open, 1/low, 1/high, 1/close)
    where the bar's sign is negative, times exp(mean) again where drift is "real". Bar 0 stays as it is. Every instrument
    has the same sign at the same time. The same arguments give the same surrogates, to the bit.

    Raises:
        InputError: drift is neither "zero" nor "real".
    """
    if drift not in DRIFTS:
        raise InputError(f"drift = {drift!r}: expected one of {', '.join(DRIFTS)}")
    times = np.unique(np.concatenate([part.tape.timestamps for part in bars.values()]))
    flips = stream(seed, purpose=Purpose.SURROGATE, run=run, index=DRIFTS.index(drift)).random(len(times)) < 0.5
    return {
        name: Bars(part.name, _flipped(part.tape, flips[np.searchsorted(times, part.tape.timestamps)], drift))
        for name, part in bars.items()
    }


def _flipped(tape: Tape, flips: np.ndarray, drift: Drift) -> Tape:
    """Products and quotients alone, which are the same bits on every machine, and keep low <= open, close <= high."""
    bars = len(tape)
    block = np.array(tape.block)
    if bars == 1:
        return Tape(frozen(block))
    growth = math.pow(float(tape.close[-1]) / float(tape.close[0]), 1.0 / (bars - 1))
    ratios = block[1:5, 1:] / tape.close[:-1] / growth
    upside_down = 1.0 / ratios[[0, 2, 1, 3]]  # the highest becomes the lowest
    ratios = np.where(flips[1:], upside_down, ratios)
    if drift == "real":
        ratios *= growth
    before = np.multiply.accumulate(np.concatenate(([tape.close[0]], ratios[3])))
    block[1:5, 1:] = ratios * before[:-1]
    block[4, 1:] = before[1:]
    return Tape(frozen(block))
