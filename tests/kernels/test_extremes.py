"""The extremes of any bars, from their tables, are those of the bars themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from islands.kernels.compile import frozen, kernel
from islands.kernels.extremes import PIECE, cover_of, covers, ends, extremes_of
from islands.kernels.spans import BARS


@kernel("extremes-of-each")
def of_each(tables, lower, upper, starts, counts, out):  # type: ignore[no-untyped-def]
    places, table = tables
    for i in range(starts.shape[0]):
        out[i, 0], out[i, 1] = extremes_of(places, table, lower, upper, starts[i], counts[i])
        out[i, 2], out[i, 3] = cover_of(table, starts[i], counts[i])


def read(lower: np.ndarray, upper: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    going_on = [frozen(np.concatenate((series, np.full(BARS, np.nan)))) for series in (lower, upper)]
    out = np.empty((len(starts), 4))
    of_each((ends(lower, upper), covers(lower, upper)), *going_on, starts, counts, out)
    return out


def looked_up(lower: np.ndarray, upper: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    rows = []
    for start, end in zip(starts, starts + counts, strict=True):
        first, last = start // BARS * BARS, -(-end // BARS) * BARS
        rows.append((lower[start:end].min(), upper[start:end].max(), lower[first:last].min(), upper[first:last].max()))
    return np.array(rows)


@pytest.mark.parametrize("bars", [1, 7, 8, 9, 16, 41])
def test_every_stretch_of_few_bars(bars: int) -> None:
    rng = np.random.default_rng(bars)
    lower, upper = rng.normal(size=bars), rng.normal(size=bars)
    every = np.array([(start, count) for start in range(bars) for count in range(1, bars - start + 1)])
    starts, counts = every.T.copy()
    np.testing.assert_array_equal(read(lower, upper, starts, counts), looked_up(lower, upper, starts, counts))


@settings(deadline=None)
@given(st.integers(1, 1_500), st.integers(0, 2**32 - 1))
def test_long_stretches(bars: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lower, upper = rng.integers(-50, 50, (2, bars)).astype(float)
    starts = rng.integers(0, bars, 200)
    counts = np.minimum(rng.integers(1, PIECE + 1, 200), bars - starts)
    starts, counts = np.append(starts, 0), np.append(counts, min(bars, PIECE))
    np.testing.assert_array_equal(read(lower, upper, starts, counts), looked_up(lower, upper, starts, counts))
