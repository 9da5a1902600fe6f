"""Technical indicators: arrays in, arrays out, NaN where not yet defined.

Each docstring states the seeding, the first defined bar and the summation; docs/indicators.md puts them side by side,
with what TA-Lib does differently and what odd inputs give. The arithmetic is in `steps` (one bar), `windows` (the last
n bars) and `loops`.

Every series is (T,); periods are whole numbers of bars >= 1 and may exceed T, which leaves all values undefined. Every
function raises ValueError where a period or another number is none, or the series are not one-dimensional and of one
length. Prices times a power of two give the same values times that power, or, of ratios, the same values, bit for bit.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from . import loops
from .compile import frozen
from .windows import block_moments, gaussian_weights, linear_weights, log_returns, running_sums, window_levels

# Averages


def sma(close: np.ndarray, n: int) -> np.ndarray:
    """Simple moving average over n bars, first defined at bar n-1.

    Window sums are differences of running sums of double-double precision: the value depends on the window alone up to
    rounding. A window with a NaN in it gives NaN.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    loops.sma(series, *running_sums(series), n, out)
    return out


def ema(close: np.ndarray, n: int) -> np.ndarray:
    """Exponential moving average with span n (alpha = 2/(n+1)), defined from bar 0.

    Seeded with the first close (pandas' `ewm(span=n, adjust=False)`); TA-Lib seeds with the mean of the first n values
    instead, so the two agree only after warm-up. Leading NaN are passed over; a NaN after that ends the average, which
    starts anew from the next value.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    loops.ema(series, n, out)
    return out


def wma(close: np.ndarray, n: int) -> np.ndarray:
    """Weighted moving average: weights n for the last close, n-1, ..., 1; first defined at bar n-1.

    Each window is summed anew, as distances from its last close: the value depends on the window alone, n equal closes
    have exactly that mean, and the cost grows with n. A window with a NaN in it gives NaN.
    """
    series, n = _series(close), _period(n)
    return _weighted(series, linear_weights(min(n, len(series))), n)


def nadaraya_watson(close: np.ndarray, n: int, bandwidth: float) -> np.ndarray:
    """Kernel regression of the close on time, one-sided: Gaussian weights over the last n bars; first at bar n-1.

    The close i bars back weighs exp(-i^2 / (2 bandwidth^2)), bandwidth in bars > 0; no later bar enters, so nothing is
    repainted. Each window is summed anew, as distances from its last close: the value depends on the window alone, n
    equal closes have exactly that mean, and the cost grows with n. A window with a NaN in it gives NaN.
    Source: E. A. Nadaraya, On estimating regression, 1964; G. S. Watson, Smooth regression analysis, 1964.
    """
    series, n = _series(close), _period(n)
    return _weighted(series, gaussian_weights(min(n, len(series)), _positive("bandwidth", bandwidth)), n)


def vwap(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray, n: int) -> np.ndarray:
    """Average of the typical price (high+low+close)/3 over n bars, weighted by volume; first defined at bar n-1.

    Both window sums, of price times volume and of volume, are differences of running sums of double-double precision.
    NaN where the window has no volume at all or a NaN in it.
    """
    (highs, lows, closes, volumes), n = _together(high, low, close, volume), _period(n)
    traded, notional = sma(volumes, n), sma((highs + lows + closes) / 3.0 * volumes, n)
    return np.divide(notional, traded, out=np.full_like(traded, np.nan), where=traded != 0.0)


# Oscillators


def rsi(close: np.ndarray, n: int = 14) -> np.ndarray:
    """Wilder's relative strength index in [0, 100], first defined at bar n.

    Seeded at bar n with the plain means of the first n gains and losses, as TA-Lib; without any gain or loss so far it
    is NaN (TA-Lib: 0). A NaN in `close` makes all later values NaN.
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    series, n = _series(close), _period(n)
    out = np.empty_like(series)
    loops.rsi(series, n, out)
    return out


def stochastic(high: np.ndarray, low: np.ndarray, close: np.ndarray, k: int = 14, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Fast %K and %D: where the close stands in the range of the last k bars, 0 to 100, and the mean of the last d of it.

    %K is first defined at bar k-1 and 0 where the highest high is the lowest low, as TA-Lib; %D is its sma, first at bar
    k+d-2 (TA-Lib begins both there). Extremes are exact. A NaN among the highs or lows of the window, or in the last
    close, gives NaN.
    Source: George C. Lane, Lane's stochastics, 1984.
    """
    (highs, lows, closes), k, d = _together(high, low, close), _period(k, "k"), _period(d, "d")
    fast = np.empty_like(closes)
    loops.stochastic(closes, _extremes(lows, k, np.minimum), _extremes(highs, k, np.maximum), fast)
    return fast, sma(fast, d)


def macd(close: np.ndarray, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Line ema(close, fast) - ema(close, slow), its ema over `signal` bars, and line - signal; all from bar 0.

    Made of this module's ema: seeded with the first close, so line and signal begin with 0; TA-Lib seeds with means and
    begins at bar slow+signal-2. A fast period above the slow one turns the sign. Leading NaN are passed over; a NaN
    after that ends all three, which start anew, at 0, with the next close.
    Source: Gerald Appel, The Moving Average Convergence-Divergence Trading Method, 1979.
    """
    series = _series(close)
    spans = _period(fast, "fast"), _period(slow, "slow"), _period(signal, "signal")
    lines = np.empty_like(series), np.empty_like(series), np.empty_like(series)
    loops.macd(series, *spans, *lines)
    return lines


def adx(high: np.ndarray, low: np.ndarray, close: np.ndarray, n: int = 14) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wilder's average directional index, +DI and -DI, each in [0, 100]; adx first at bar 2n-1, the DI at bar n.

    Directional movements and true ranges are plain sums over bars 1 to n-1, smoothed (sum - sum/n + new) from bar n on,
    as TA-Lib does (Wilder sums n bars first); adx is seeded at bar 2n-1 with the plain mean of the first n DX. Where the
    smoothed range is 0 both DI are 0; a bar on which both are 0 counts as 0 in the seed and later leaves adx as it was.
    No range but 0 counts as 0, whatever the price. A NaN makes all later values NaN.
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    series, n = _together(high, low, close), _period(n)
    lines = np.empty_like(series[0]), np.empty_like(series[0]), np.empty_like(series[0])
    loops.adx(*series, n, *lines)
    return lines


# Ranges and channels


def true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """The greatest of high - low, high - last close and last close - low; first defined at bar 1, as TA-Lib.

    NaN where one of these three prices is.
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    series = _together(high, low, close)
    out = np.empty_like(series[0])
    loops.true_range(*series, out)
    return out


def atr(high: np.ndarray, low: np.ndarray, close: np.ndarray, n: int = 14) -> np.ndarray:
    """Wilder's average true range, first defined at bar n.

    Seeded at bar n with the plain mean of the true ranges of bars 1 to n, as TA-Lib; from then on a recurrence of weight
    1/n. A NaN (but for the first bar's high and low, which no range has) makes all later values NaN.
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    series, n = _together(high, low, close), _period(n)
    out = np.empty_like(series[0])
    loops.atr(*series, n, out)
    return out


def bollinger(close: np.ndarray, n: int = 20, width: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bollinger bands: lower, middle and upper, first defined at bar n-1.

    middle is the mean of n closes, the others lie `width` >= 0 standard deviations (of the population, ddof 0) from it.
    Mean and deviation are joined from the two parts of the window on either side of a fixed edge, each summed by
    Welford's updates from that edge outwards: they depend on the window alone up to rounding, and n equal closes have a
    deviation of exactly 0. A window with a NaN in it gives NaN.
    Source: John Bollinger, Bollinger on Bollinger Bands, 2001.
    """
    series, n, width = _series(close), _period(n), _width(width, "standard deviations")
    middle, deviation, _ = _moments(series, n)
    return middle - width * deviation, middle, middle + width * deviation


def keltner(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, n: int = 20, width: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keltner channel: lower, middle and upper; middle is ema(close, n), the others lie `width` >= 0 times atr(n) from it.

    middle is defined from bar 0, the others from bar n; seeds, sums and NaN are those of ema and atr.
    Source: Linda Bradford Raschke's form, with Wilder's atr, of Chester W. Keltner's channel (How to Make Money in
    Commodities, 1960).
    """
    middle, reach = ema(close, n), _width(width, "average true ranges") * atr(high, low, close, n)
    return middle - reach, middle, middle + reach


def donchian(high: np.ndarray, low: np.ndarray, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Donchian channel: lower (the lowest low) and upper (the highest high) of the n bars that end with bar t.

    First defined at bar n-1; bar t itself is included. There is no arithmetic, values are exact. A window with a NaN in
    it gives NaN on that side.
    """
    (highs, lows), n = _together(high, low), _period(n)
    return _extremes(lows, n, np.minimum), _extremes(highs, n, np.maximum)


def ichimoku(
    high: np.ndarray, low: np.ndarray, tenkan: int = 9, kijun: int = 26, senkou: int = 52
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ichimoku's tenkan, kijun, span A and span B, as known at the close of bar t: undisplaced, and without the chikou.

    tenkan, kijun and span B are the middles between the highest high and the lowest low of so many bars, first defined
    at bar tenkan-1, kijun-1 and senkou-1; span A is the middle between tenkan and kijun. A chart draws the spans `kijun`
    bars later: what it shows at bar t is our span at t - kijun. A window with a NaN in it gives NaN.
    Source: Goichi Hosoda, Ichimoku Kinko Hyo, 1969.
    """
    spans = _period(tenkan, "tenkan"), _period(kijun, "kijun"), _period(senkou, "senkou")
    quick, slow, span_b = (0.5 * (lowest + highest) for lowest, highest in (donchian(high, low, n) for n in spans))
    return quick, slow, 0.5 * (quick + slow), span_b


# Any series over its last n values


def rolling_mean(values: np.ndarray, n: int) -> np.ndarray:
    """Mean of the last n values, first defined at bar n-1: sma, of any series."""
    return sma(values, n)


def rolling_std(values: np.ndarray, n: int) -> np.ndarray:
    """Standard deviation of the last n values (of the population, ddof 0, as TA-Lib), first defined at bar n-1.

    Summed as in bollinger: n equal values have a deviation of exactly 0. A window with a NaN in it gives NaN.
    """
    return _moments(_series(values), _period(n))[1]


def rolling_max(values: np.ndarray, n: int) -> np.ndarray:
    """Greatest of the last n values, exact, first defined at bar n-1. A window with a NaN in it gives NaN."""
    return _extremes(_series(values), _period(n), np.maximum)


def rolling_min(values: np.ndarray, n: int) -> np.ndarray:
    """Least of the last n values, exact, first defined at bar n-1. A window with a NaN in it gives NaN."""
    return _extremes(_series(values), _period(n), np.minimum)


def zscore(values: np.ndarray, n: int) -> np.ndarray:
    """(value - mean) / standard deviation (ddof 0) of the last n values, the value included; first at bar n-1.

    Mean and deviation are summed as in bollinger. NaN where the n values are equal (so always with n = 1), and where a
    NaN is among them.
    """
    return _moments(_series(values), _period(n))[2]


def realised_volatility(close: np.ndarray, n: int, periods_per_year: float) -> np.ndarray:
    """Annualised square root of the mean of the last n squared log returns, first defined at bar n.

    sqrt(periods_per_year / n * sum of squares): no mean is subtracted, as in realised variance and in variance swaps.
    The squares are mean^2 + variance of the window, summed as in bollinger: unmoved prices have a volatility of exactly
    0. Logarithms are the C library's. A close that is NaN or not positive makes its two returns, and every window with
    one of them, NaN.
    Source: T. G. Andersen and T. Bollerslev, Answering the Skeptics, International Economic Review 39, 1998.
    """
    returns, n = log_returns(_series(close)), _period(n)
    mean, deviation, _ = _moments(returns, n)
    return math.sqrt(_positive("periods_per_year", periods_per_year)) * np.sqrt(mean * mean + deviation * deviation)


# What is shared


def _number(value: object) -> bool:
    largest = sys.float_info.max  # also whole numbers that no float can hold are refused
    return isinstance(value, int | float | np.integer | np.floating) and bool(-largest <= value <= largest)


def _period(n: int, name: str = "n") -> int:
    if not _number(n) or not 1 <= n < 2**53 or int(n) != n:
        raise ValueError(f"period {name} = {n!r}: expected a whole number of bars, at least 1")
    return int(n)


def _width(width: float, unit: str) -> float:
    if not _number(width) or width < 0.0:
        raise ValueError(f"width = {width!r}: expected a finite number of {unit}, at least 0")
    return float(width)


def _positive(name: str, value: float) -> float:
    if not _number(value) or value <= 0.0:
        raise ValueError(f"{name} = {value!r}: expected a finite number above 0")
    return float(value)


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


def _weighted(values: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    out = np.empty_like(values)
    loops.weighted_means(values, weights[None, :], n, out)
    return out


def _extremes(values: np.ndarray, n: int, extreme: np.ufunc) -> np.ndarray:
    out = np.full(values.shape[0], np.nan)
    if n <= values.shape[0]:
        levels = window_levels(values, n, extreme)
        rest = n - (1 << (levels.shape[0] - 1))
        extreme(levels[-1, n - 1 :], levels[-1, n - 1 - rest : values.shape[0] - rest], out=out[n - 1 :])
    return out


def _moments(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of each window, and the z-score of its last value."""
    means, deviations, scores = np.empty_like(values), np.empty_like(values), np.empty_like(values)
    loops.moments(values, *block_moments(values, n), n, means, deviations, scores)
    return means, deviations, scores
