"""The stationary bootstrap: intervals for one strategy's figures, and tests whether any of several is superior.

Blocks of random length begin at random bars and wrap around the end, so what is resampled keeps its dependence over a
block (Politis and Romano (1994), The stationary bootstrap, Journal of the American Statistical Association 89). Every
replication draws from a stream of its own: the first hundred of a thousand are those of a run of a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from islands.errors import InputError
from islands.evidence.given import Floats, above, count, matrix, series, share
from islands.evidence.sharpe import moments
from islands.randomness import Purpose, stream

Ints = npt.NDArray[np.int64]


class Interval(NamedTuple):
    """Bounds of what resampling gives, both included."""

    low: float
    high: float


class Intervals(NamedTuple):
    """Of one strategy: its Sharpe ratio per period, its maximum drawdown as a positive magnitude, the mean block's length."""

    sharpe: Interval
    max_drawdown: Interval
    block: float


class Spa(NamedTuple):
    """p-values of Hansen's test, of which `consistent` is the one to use and the others are its bounds, and the statistic."""

    lower: float
    consistent: float
    upper: float
    statistic: float


def optimal_block(returns: npt.ArrayLike) -> float:
    """The mean length of blocks for the stationary bootstrap of the mean of a series, (T,); 1 at least.

    (2 g^2 T / d)^(1/3), d = 2 s^4, g and s^2 sums of |k| R(k) and R(k) over autocovariances under a flat-top window of
    twice the first lag from which on max(5, log10 T) autocorrelations in a row lie within 2 sqrt(log10(T)/T); at most
    3 sqrt(T) and T/3. The lag is counted as in Patton's program.

    Source: Politis and White (2004), Automatic block-length selection for the dependent bootstrap, Econometric Reviews
    23(1), as corrected by Patton, Politis and White (2009), same journal 28(4).

    Raises:
        InputError: not a series of 8 finite returns or more.
    """
    given = series("returns", returns, least=8)
    if _still(given):
        return 1.0
    n = len(given)
    quiet = max(5, int(math.log10(n)))
    most = min(n - 1, math.ceil(math.sqrt(n)) + quiet)
    covariances = _autocovariances(given / np.ptp(given))[: most + 1]
    inside = np.abs(covariances) < 2.0 * math.sqrt(math.log10(n) / n) * covariances[0]
    runs = np.flatnonzero(np.convolve(inside[:most], np.ones(quiet, dtype=int), mode="valid") == quiet)
    window = min(most, 2 * max(1, int(runs[0]))) if runs.size else most
    lags = np.arange(1, window + 1)
    weights = np.minimum(1.0, 2.0 * (1.0 - lags / window)) * covariances[1 : window + 1]
    g, spectrum = float(2.0 * np.sum(lags * weights)), float(covariances[0] + 2.0 * np.sum(weights))
    bound = float(math.ceil(min(3.0 * math.sqrt(n), n / 3.0)))
    return bound if spectrum == 0.0 else min(bound, max(1.0, (abs(g / spectrum) ** 2 * n) ** (1.0 / 3.0)))


def bootstrap_intervals(
    returns: npt.ArrayLike, *, seed: int, confidence: float = 0.95, replications: int = 1000, block: float | None = None
) -> Intervals:
    """How far a strategy's Sharpe ratio and maximum drawdown move when its returns, (T,), are drawn anew in blocks.

    The percentiles (1 - confidence)/2 and its counterpart of `replications` stationary bootstraps. block: mean length, by
    `optimal_block` where not given. A draw in which nothing varies has a Sharpe ratio of 0; where the returns do not vary
    themselves its bounds are NaN.

    Source: Politis and Romano (1994), The stationary bootstrap, Journal of the American Statistical Association 89; the
    percentile interval is that of Efron and Tibshirani (1993), An introduction to the bootstrap.

    Raises:
        InputError: fewer than 8 returns, one that is not finite or below -1, or an argument out of its range.
    """
    given = series("returns", returns, least=8)
    wrong = np.flatnonzero(given < -1.0)
    if wrong.size:
        raise InputError(f"returns[{wrong[0]}] = {float(given[wrong[0]])!r}: an account can't lose more than all, -1")
    tail = (1.0 - share("confidence", confidence)) / 2.0
    length = optimal_block(given) if block is None else above("block", block, 1)
    draws = count("replications", replications, 1)
    sharpes, drawdowns = np.empty(draws), np.empty(draws)
    for i, (starts, lengths) in enumerate(_blocks(seed, len(given), length, draws)):
        drawn = given[_rows(starts, lengths, len(given))]
        sharpes[i], drawdowns[i] = moments(drawn).sharpe, _drawdown(drawn)
    sharpes = np.full(draws, np.nan) if _still(given) else np.nan_to_num(sharpes, nan=0.0)
    bounds = [Interval(*np.quantile(values, (tail, 1.0 - tail)).tolist()) for values in (sharpes, drawdowns)]
    return Intervals(bounds[0], bounds[1], length)


def spa(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike = 0.0, *, seed: int, replications: int = 1000, block: float | None = None
) -> Spa:
    """Hansen's test for superior predictive ability: is any column of returns, (T, N), really better than the benchmark?

    The statistic is the largest of max(0, sqrt(T) mean / deviation) of the differences; the deviation is that of the
    stationary bootstrap itself. p = (1 + k)/(1 + replications), k the draws of no lesser statistic, centred so that no
    strategy is better; `consistent` leaves out those worse by sqrt(2 ln ln T) deviations. A column that differs from the
    benchmark by a constant is not tested.

    benchmark: 0 for flat, returns (T,), or (T, N) for one of its own for each strategy, as `equal_exposure` gives. block:
    mean length, the largest `optimal_block` of the differences where not given.

    Source: Hansen (2005), A test for superior predictive ability, Journal of Business and Economic Statistics 23(4).

    Raises:
        InputError: fewer than 8 rows, a return that is no finite number, a benchmark of another shape, or an argument out
            of its range.
    """
    test = _simulated(returns, benchmark, seed, replications, block)
    statistic = max([0.0, *test.values.tolist()])
    p_values = [
        _p((test.draws + (test.values - centre)).max(axis=1, initial=0.0), statistic)
        for centre in (np.maximum(test.values, 0.0), test.centre, test.values)
    ]
    return Spa(p_values[0], p_values[1], p_values[2], statistic)


def stepwise_spa(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike = 0.0, *, seed: int, replications: int = 1000, block: float | None = None
) -> Floats:
    """Which columns of returns, (T, N), are better than the benchmark: a p-value each, (N,), adjusted for all of them.

    Those at or below a level are the superior ones, none of them wrongly with a probability of one less the level. The
    largest statistic is judged against the largest of all, the next against the largest of the rest, and so on, a p-value
    no less than the one before it; centring and arguments as in `spa`. A column that is not tested has 1.

    Source: Hsu, Hsu and Kuan (2010), Testing the predictive ability of technical analysis using a new stepwise test
    without data snooping bias, Journal of Empirical Finance 17(3); adjusted p-values as Romano and Wolf (2005), Exact and
    approximate stepdown methods for multiple hypothesis testing, Journal of the American Statistical Association 100.

    Raises:
        InputError: as in `spa`.
    """
    test = _simulated(returns, benchmark, seed, replications, block)
    adjusted = np.ones(len(test.tested))
    columns = np.flatnonzero(test.tested)
    order = np.argsort(-test.values, kind="stable")
    rest = np.maximum.accumulate((test.draws + (test.values - test.centre))[:, order[::-1]], axis=1)[:, ::-1]
    least = 0.0
    for place, best in enumerate(order.tolist()):
        if test.values[best] > 0.0:
            least = adjusted[columns[best]] = max(least, _p(rest[:, place], float(test.values[best])))
    return adjusted


def equal_exposure(positions: npt.ArrayLike, market: npt.ArrayLike) -> Floats:
    """Buy-and-hold at each strategy's exposure, (T, N): its mean position, signed, times the market's returns, (T,).

    positions: exposures held into each bar, (T, N). What is left of a strategy's return over this one is its timing: one
    that is long for 60 % and short for 40 % of the time is held against a steady fifth of the market. Without costs, which
    makes it the harder benchmark.

    Source: Aronson (2007), Evidence-based technical analysis, chapter 1, and the appendix, which proves it to be what positions
    in random order are expected to earn: by their bias and the market's trend, without any power to predict.

    Raises:
        InputError: another shape, or an entry that is no finite number.
    """
    held, moves = matrix("positions", positions), series("market", market)
    if len(held) != len(moves):
        raise InputError(f"market has {len(moves)} returns for positions over {len(held)} bars: expected one a bar")
    steady: Floats = held.mean(axis=0) * moves[:, None]
    return steady


class _Simulated(NamedTuple):
    """Studentised, of the K columns that are tested: statistics and consistent centres, (K,), draws about the mean, (B, K)."""

    tested: npt.NDArray[np.bool_]
    values: Floats
    centre: Floats
    draws: Floats


def _simulated(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike, seed: int, replications: int, block: float | None
) -> _Simulated:
    differences = _differences(returns, benchmark)
    bars, given = len(differences), None if block is None else above("block", block, 1)
    tested = np.array([not _still(column) for column in differences.T])
    length = given or max((optimal_block(column) for column in differences.T[tested]), default=1.0)
    variance = np.array([_mean_variance(column, length) for column in differences.T])
    tested &= variance > 0.0
    mean, scale = differences.mean(axis=0)[tested], np.sqrt(bars / variance[tested])
    before = np.vstack((np.zeros(len(mean)), np.cumsum(differences[:, tested] - mean, axis=0)))
    draws = np.empty((count("replications", replications, 1), len(mean)))
    for i, (starts, spans) in enumerate(_blocks(seed, bars, length, len(draws))):
        ends = starts + spans
        ends[ends > bars] -= bars  # the sum over all bars about their mean is 0
        draws[i] = (before[ends].sum(axis=0) - before[starts].sum(axis=0)) / bars * scale
    values = mean * scale
    centre = np.where(values >= -math.sqrt(2.0 * math.log(math.log(bars))), values, 0.0)
    return _Simulated(tested, values, centre, draws)


def _differences(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> Floats:
    table = matrix("returns", returns, least=8)
    other = np.asarray(benchmark, dtype=np.float64)
    if other.ndim == 0 and other == 0.0:
        return table
    other = series("benchmark", other)[:, None] if other.ndim == 1 else matrix("benchmark", other)
    if len(other) != len(table) or other.shape[1] not in (1, table.shape[1]):
        raise InputError(f"benchmark has shape {other.shape}: expected 0, ({len(table)},) or {table.shape}")
    return table - other


def _p(draws: Floats, statistic: float) -> float:
    return (1 + int(np.sum(draws >= statistic))) / (1 + len(draws))


def _blocks(seed: int, bars: int, length: float, draws: int) -> Iterator[tuple[Ints, Ints]]:
    """For each draw where its blocks start and how long they are, `bars` in all; a block may run past the end once."""
    for index in range(draws):
        chance = stream(seed, purpose=Purpose.RESAMPLE, index=index)
        spans = np.zeros(0, dtype=np.int64)
        while spans.sum() < bars:
            spans = np.concatenate((spans, chance.geometric(1.0 / length, size=int(bars / length) + 16)))
        ends = np.cumsum(spans)
        last = int(np.searchsorted(ends, bars))
        spans = spans[: last + 1]
        spans[last] -= ends[last] - bars
        yield chance.integers(0, bars, size=last + 1), spans


def _rows(starts: Ints, spans: Ints, bars: int) -> Ints:
    """The bars of these blocks one after the other, (T,)."""
    places = np.repeat(starts - (np.cumsum(spans) - spans), spans) + np.arange(bars)
    places[places >= bars] -= bars
    return places


def _drawdown(returns: Floats) -> float:
    equity = np.concatenate(([1.0], np.cumprod(1.0 + returns)))
    return float(np.max(1.0 - equity / np.maximum.accumulate(equity)))


def _still(values: Floats) -> bool:
    return bool(np.ptp(values) <= 8 * np.finfo(float).eps * np.abs(values).max())


def _autocovariances(values: Floats) -> Floats:
    """Sums of products of deviations from the mean at each lag, over T; (T,)."""
    n = len(values)
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(values - values.mean(), size)
    return np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:n] / n


def _mean_variance(values: Floats, length: float) -> float:
    """The variance of sqrt(T) times the mean under the stationary bootstrap: Politis and Romano (1994)."""
    n, stay = len(values), 1.0 - 1.0 / length
    covariances = _autocovariances(values)
    lags = np.arange(1, n)
    weights = (1.0 - lags / n) * stay**lags + lags / n * stay ** (n - lags)
    return float(covariances[0] + 2.0 * np.sum(weights * covariances[1:]))
