"""Suspicious prints: prices far outside their neighbourhood that were gone at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from islands.market.places import Ints
from islands.market.tape import Floats, Tape

WINDOW_BARS = 50
FARTHEST = 0.05
RANGES = 12.0
"""A print is suspicious beyond the larger of FARTHEST, a log distance, and RANGES times the median log range of a window."""


@dataclass(frozen=True, slots=True)
class Prints:
    """Suspicious prints: rows of bars, rows of the block, the prices there and the nearer neighbours, all (N,)."""

    rows: Ints
    columns: Ints
    values: Floats
    references: Floats


def prints_of(tape: Tape) -> Prints:
    """The suspicious prints of a tape, at most one a bar: the farthest.

    A high, low or open lies between the close before and its own bar's close; a close between the close before and the
    next one. A price beyond both by more than the bar's limit came and went at once.
    """
    opens, high, low, close = tape.open, tape.high, tape.low, tape.close
    before = np.concatenate((opens[:1], close[:-1]))
    after = np.concatenate((close[1:], close[-1:]))
    top, bottom = np.maximum(before, close), np.minimum(before, close)
    peak, trough = np.maximum(before, after), np.minimum(before, after)
    references = np.stack(
        (np.clip(opens, bottom, top), np.minimum(high, top), np.maximum(low, bottom), np.clip(close, trough, peak))
    )
    prices = tape.block[1:5]
    distances = np.abs(np.log(prices) - np.log(references))
    column = distances.argmax(axis=0)
    farthest = distances[column, np.arange(len(tape))]
    rows = np.flatnonzero(farthest > FARTHEST)
    if len(rows):
        median = pl.Series(np.log(high) - np.log(low)).rolling_median(min(WINDOW_BARS, len(tape))).to_numpy(writable=True)
        # The first bars share the first whole window: alone, a print would be measured by itself.
        median[: WINDOW_BARS - 1] = median[min(WINDOW_BARS, len(tape)) - 1]
        rows = rows[farthest[rows] > RANGES * median[rows]]
    chosen = column[rows]
    return Prints(rows, chosen + 1, prices[chosen, rows], references[chosen, rows])
