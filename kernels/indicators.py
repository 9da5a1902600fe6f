"""Technical indicators: arrays in, arrays out, NaN where not yet defined.

Each docstring states the seeding, the first defined bar and the summation; docs/indicators.md puts them side by side,
with what TA-Lib does differently. The arithmetic is in `steps` (one bar), `windows` (the last n bars) and `loops`.
"""

from __future__ import annotations

import math

import numpy as np

from . import loops
from .compile import frozen
from .windows import block_moments, running_sums, window_levels


def _period(n: int, least: int = 1) -> int:
    if not isinstance(n, int | float | np.integer | np.floating) or not least <= n < 2**53 or int(n) != n:
        raise ValueError(f"period n = {n!r}: expected a whole number of bars, at least {least}")
    return int(n)


def _series(values: np.ndarray) -> np.ndarray:
    series = frozen(values)
    if series.ndim != 1:
        raise ValueError(f"expected a series of shape (T,), got an array of shape {series.shape}")
    return series


def _together(*series: np.ndarray) -> list[np.ndarray]:
    arrays = [_series(values) for values in series]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(f"expected series of one length, got {' and '.join(str(len(a)) for a in arrays)} bars")
    return arrays


def sma(close: np.ndarray, n: int) -> np.ndarray:
    """Simple moving average over n bars, (T,) -> (T,), first defined at bar n-1.

    Window sums are differences of running sums of double-double precision: the value depends on the window alone up to
    rounding. A window with a NaN in it gives NaN.

    Raises:
        ValueError: n is not a whole number >= 1, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    loops.sma(series, *running_sums(series), n, out)
    return out


def ema(close: np.ndarray, n: int) -> np.ndarray:
    """Exponential moving average with span n (alpha = 2/(n+1)), (T,) -> (T,), defined from bar 0.

    Seeded with the first close (pandas' `ewm(span=n, adjust=False)`); TA-Lib seeds with the mean of the first n values
    instead, so the two agree only after warm-up. Leading NaN are passed over; a NaN after that ends the average, which
    starts anew from the next value.

    Raises:
        ValueError: n is not a whole number >= 1, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    loops.ema(series, n, out)
    return out


def rsi(close: np.ndarray, n: int = 14) -> np.ndarray:
    """Wilder's relative strength index in [0, 100], (T,) -> (T,), first defined at bar n.

    Seeded at bar n with the plain means of the first n gains and losses, as TA-Lib; without any gain or loss so far it
    is NaN (TA-Lib: 0). A NaN in `close` makes all later values NaN.
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.

    Raises:
        ValueError: n is not a whole number >= 1, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    loops.rsi(series, n, out)
    return out


def bollinger(close: np.ndarray, n: int = 20, width: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bollinger bands: lower, middle and upper, (T,) -> three of (T,), first defined at bar n-1.

    middle is the mean of n closes, the others lie `width` standard deviations (of the population, ddof 0) from it. Mean
    and deviation are joined from the two parts of the window on either side of a fixed edge, each summed by Welford's
    updates from that edge outwards: they depend on the window alone up to rounding, and n equal closes have a deviation
    of exactly 0. A window with a NaN in it gives NaN.
    Source: John Bollinger, Bollinger on Bollinger Bands, 2001.

    Raises:
        ValueError: n is not a whole number >= 1, width is not a finite number >= 0, or `close` is not one-dimensional.
    """
    series, n = _series(close), _period(n)
    if not isinstance(width, int | float | np.integer | np.floating) or not 0.0 <= width < math.inf:
        raise ValueError(f"width = {width!r}: expected a finite number of standard deviations, at least 0")
    middle, deviation, _ = _moments(series, n)
    reach = width * deviation
    return middle - reach, middle, middle + reach


def donchian(high: np.ndarray, low: np.ndarray, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Donchian channel: lower (the lowest low) and upper (the highest high) of the n bars that end with bar t.

    (T,), (T,) -> two of (T,), first defined at bar n-1; bar t itself is included. There is no arithmetic, values are
    exact. A window with a NaN in it gives NaN on that side.

    Raises:
        ValueError: n is not a whole number >= 1, or the series are not one-dimensional and of one length.
    """
    (highs, lows), n = _together(high, low), _period(n)
    return _extremes(lows, n, np.minimum), _extremes(highs, n, np.maximum)


def _extremes(values: np.ndarray, n: int, extreme: np.ufunc) -> np.ndarray:
    out = np.full(values.shape[0], np.nan)
    if n <= values.shape[0]:
        levels = window_levels(values, n, extreme)
        rest = n - (1 << (levels.shape[0] - 1))
        extreme(levels[-1, n - 1 :], levels[-1, n - 1 - rest : values.shape[0] - rest], out=out[n - 1 :])
    return out


def _moments(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and z-score of the last value, of each window."""
    means, deviations, scores = np.empty_like(values), np.empty_like(values), np.empty_like(values)
    loops.moments(values, *block_moments(values, n), n, means, deviations, scores)
    return means, deviations, scores
