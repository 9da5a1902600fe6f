"""What a Sharpe ratio is worth: its standard error, and how large the best of many is by luck alone.

Sharpe ratios here are those of one period (a bar): mean over standard deviation of returns, not annualised; an annual one
is divided by the root of the periods per year. Kurtosis is Pearson's: 3 for a normal distribution. A NaN stands for a
figure that is undefined, and gives NaN.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from islands.errors import InputError
from islands.evidence.given import above, number, series, share

_EULER = 0.5772156649015329
_NORMAL = NormalDist()


class Moments(NamedTuple):
    """What the formulas below need of a series of returns."""

    sharpe: float
    observations: int
    skew: float
    kurtosis: float


def moments(returns: npt.ArrayLike) -> Moments:
    """The moments of a series of returns per period, (T,).

    sharpe is mean / standard deviation with ddof 1; skew and kurtosis are the population's. All three are NaN where the
    standard deviation is not above 8 eps times the largest absolute return.

    Source: Sharpe (1994), The Sharpe ratio, Journal of Portfolio Management 21(1), 49-58; skew is the traditional g1, and
    kurtosis g2 + 3, of Joanes and Gill (1998), Comparing measures of sample skewness and kurtosis, The Statistician 47(1),
    183-189.

    Raises:
        InputError: not a series of two finite returns or more.
    """
    given = series("returns", returns)
    largest = float(abs(given).max())
    if largest < 1e-100:  # its squares would lose their digits below the smallest numbers; a ratio has no unit
        given = np.ldexp(given, -math.frexp(largest)[1])
    centred = given - given.mean()
    centred -= centred.mean()  # what rounding left of the mean would be large against a small spread
    second = float((centred * centred).mean())
    deviation = math.sqrt(second * len(given) / (len(given) - 1))
    if deviation <= 8 * 2.0**-52 * float(abs(given).max()):
        return Moments(math.nan, len(given), math.nan, math.nan)
    unit = centred / math.sqrt(second)
    third = unit * unit * unit
    return Moments(float(given.mean()) / deviation, len(given), float(third.mean()), float((third * unit).mean()))


def probabilistic_sharpe(sharpe: float, benchmark: float, observations: float, skew: float, kurtosis: float) -> float:
    """The probability that the true Sharpe ratio is above `benchmark`, given one measured over `observations` returns.

    normal cdf of (sharpe - benchmark) sqrt(observations - 1) / sqrt(1 - skew sharpe + (kurtosis - 1)/4 sharpe^2), which
    takes the standard error at the measured ratio. sharpe, benchmark: per period. Where the error is 0 (two values with
    skew sharpe = 2), 0, 1/2 or 1.

    Source: Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2).

    Raises:
        InputError: fewer than 2 observations, an infinite value, a kurtosis below 1, or one so far below skew^2 + 1, which
            no distribution has, that the error would be the root of a negative number.
    """
    n = above("observations", observations, 2)
    excess = number("sharpe", sharpe) - number("benchmark", benchmark)
    variance = _variance(sharpe, skew, kurtosis)
    if variance == 0.0:
        return 0.5 if excess == 0.0 else float(excess > 0.0)
    return _cdf(excess * math.sqrt(n - 1.0) / math.sqrt(variance))


def deflated_sharpe(
    sharpe: float, trials: float, sharpe_variance: float, observations: float, skew: float, kurtosis: float
) -> float:
    """The probability that the best of `trials` is better than the best of as many strategies without any worth.

    The probabilistic Sharpe ratio against `expected_maximum_sharpe(trials, sharpe_variance)`. sharpe: per period, that of
    the best; sharpe_variance: of the trials' Sharpe ratios per period (an annual one over the periods per year).

    Source: Bailey and Lopez de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5).

    Raises:
        InputError: as in `probabilistic_sharpe` and `expected_maximum_sharpe`.
    """
    return probabilistic_sharpe(sharpe, expected_maximum_sharpe(trials, sharpe_variance), observations, skew, kurtosis)


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """How large the best Sharpe ratio of `trials` independent strategies is expected to be when none has any worth.

    sqrt(variance) ((1 - g) z(1 - 1/trials) + g z(1 - 1/(trials e))), z the normal quantile, g Euler's constant; in the unit
    of the root of `variance`, the variance of Sharpe ratios over trials. trials need not be whole (an effective number).
    Of one trial it is 0, and never less: below about 1.26 trials the approximation would be.

    Source: Bailey and Lopez de Prado (2014), appendix, from the limit of Fisher and Tippett (1928).

    Raises:
        InputError: fewer than 1 trial, or a negative variance.
    """
    return math.sqrt(above("variance", variance, 0)) * _expected_maximum(above("trials", trials, 1))


def minimum_track_record(sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float = 0.95) -> float:
    """How many returns it takes until `probabilistic_sharpe` reaches `confidence`; not rounded up.

    1 + (1 - skew sharpe + (kurtosis - 1)/4 sharpe^2) (z(confidence) / (sharpe - benchmark))^2, in periods of the Sharpe
    ratios given, and 2 at least. Infinite where sharpe is not above the benchmark: no length is enough.

    Source: Bailey and Lopez de Prado (2012).

    Raises:
        InputError: a confidence outside (0.5, 1), or moments as in `probabilistic_sharpe`.
    """
    level = share("confidence", confidence)
    if level <= 0.5:
        raise InputError(f"confidence = {confidence!r}: expected more than 0.5, which any length gives; 0.95 is usual")
    excess = number("sharpe", sharpe) - number("benchmark", benchmark)
    variance = _variance(sharpe, skew, kurtosis)
    if math.isnan(variance + excess):
        return math.nan
    if excess <= 0.0:
        return math.inf
    ratio = _NORMAL.inv_cdf(level) / excess
    return max(2.0, 1.0 + variance * ratio * ratio)


def minimum_backtest_length(trials: float, sharpe: float) -> float:
    """How long a backtest has to be for the best of `trials` strategies without worth not to be expected at `sharpe`.

    (((1 - g) z(1 - 1/trials) + g z(1 - 1/(trials e))) / sharpe)^2, in the time that `sharpe` belongs to: an annual ratio
    gives years, a bar's gives bars. Below 2 ln(trials) / sharpe^2.

    Source: Bailey, Borwein, Lopez de Prado and Zhu (2014), Pseudo-mathematics and financial charlatanism, Notices of the
    AMS 61(5).

    Raises:
        InputError: fewer than 1 trial, or a Sharpe ratio that is not above 0.
    """
    n, target = above("trials", trials, 1), number("sharpe", sharpe)
    if target <= 0.0:
        raise InputError(f"sharpe = {sharpe!r}: expected a ratio above 0, that of a backtest to be believed")
    return (_expected_maximum(n) / target) ** 2


def _expected_maximum(trials: float) -> float:
    """Of that many standard normal numbers. The quantile of 1 - p is taken as minus that of p, exact for many trials."""
    if trials == 1.0:
        return 0.0
    return max(0.0, -(1.0 - _EULER) * _NORMAL.inv_cdf(1.0 / trials) - _EULER * _NORMAL.inv_cdf(1.0 / (trials * math.e)))


def _variance(sharpe: float, skew: float, kurtosis: float) -> float:
    """The variance of an estimated Sharpe ratio, times the number of observations less one.

    It is no less than (1 - skew sharpe / 2)^2 where kurtosis >= skew^2 + 1, which holds for every distribution and sample;
    estimates corrected for bias may miss that a little.
    """
    third, fourth = number("skew", skew), number("kurtosis", kurtosis)
    variance = 1.0 - third * sharpe + (fourth - 1.0) / 4.0 * sharpe * sharpe
    if fourth < 1.0 - 1e-9 or variance < -1e-12 * (1.0 + abs(third * sharpe)):
        raise InputError(
            f"kurtosis = {kurtosis!r} with skew = {skew!r}: a kurtosis is at least skew^2 + 1; "
            "give Pearson's, 3 for a normal distribution, not the excess over it"
        )
    return 0.0 if variance < 0.0 else variance  # rounding; a NaN stays one


def _cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))
