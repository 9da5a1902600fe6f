"""Rules of breakouts: they follow a close that leaves the range of the bars before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .compile import device
from .signals import Signal, channels, greatest_target, least_target, longest
from .windows import level_within, window_max, window_min

if TYPE_CHECKING:
    from .batch import Market

# donchian_breakout(entry, exit, direction)


@device
def donchian_breakout_prepare(genome):
    entry, leave = int(genome[0]), int(genome[1])
    bounds = (least_target(genome[2]), greatest_target(genome[2]))
    return entry, level_within(entry), leave, level_within(leave), bounds


@device
def donchian_breakout_start(genes, inputs):
    return 0.0


@device
def donchian_breakout_step(genes, state, t, inputs):
    entry, entry_level, leave, leave_level, (least, greatest) = genes
    close, highs, lows = inputs
    if t < max(entry, leave):
        return 0.0, 0.0
    target = state
    price = close[t]
    if (target > 0.0 and price < window_min(lows, t - 1, leave, leave_level)) or (
        target < 0.0 and price > window_max(highs, t - 1, leave, leave_level)
    ):
        target = 0.0
    if greatest > 0.0 and price > window_max(highs, t - 1, entry, entry_level):
        target = 1.0
    elif least < 0.0 and price < window_min(lows, t - 1, entry, entry_level):
        target = -1.0
    return target, target


def _of_donchian(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
    return channels(market, longest(genomes, 0, 1))


donchian_breakout = Signal(
    "donchian_breakout", donchian_breakout_prepare, donchian_breakout_start, donchian_breakout_step, _of_donchian
)
