"""What a Sharpe ratio is worth: the numbers of the papers, and properties that hold for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from worlds import in_another_process

import islands as isl
from islands.errors import InputError

s = isl.statistics

YEAR = 250
RATIOS = st.floats(-3.0, 3.0)
SKEWS = st.floats(-3.0, 3.0)


def annual(sharpe: float, periods: int = YEAR) -> float:
    """An annual Sharpe ratio per period."""
    return sharpe / math.sqrt(periods)


def test_probabilistic_sharpe_of_the_hedge_fund_in_the_efficient_frontier() -> None:
    """Bailey and Lopez de Prado (2012): two years of months at 1.585 a year; to more digits in pypbo's tests."""
    fund = annual(1.585, 12)
    assert s.probabilistic_sharpe(fund, 0.0, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert s.probabilistic_sharpe(fund, 0.0, 24, -2.448, 10.164) == pytest.approx(0.91323430688486018, abs=1e-14)


def test_deflated_sharpe_of_the_example_in_the_paper() -> None:
    """Bailey and Lopez de Prado (2014): 2.5 a year over 1,250 days, 100 trials; 0.9004, to more digits in pypbo's tests."""
    example = {"sharpe_variance": 0.5 / YEAR, "observations": 1250}
    assert s.expected_maximum_sharpe(100, 0.5 / YEAR) == pytest.approx(0.1132, abs=5e-5)
    deflated = s.deflated_sharpe(annual(2.5), 100, **example, skew=-3, kurtosis=10)
    assert deflated == pytest.approx(0.90039683444939034, abs=1e-14)
    assert s.deflated_sharpe(annual(2.5), 46, **example, skew=-3, kurtosis=10) == pytest.approx(0.9505, abs=5e-5)
    assert s.deflated_sharpe(annual(2.5), 88, **example, skew=0, kurtosis=3) == pytest.approx(0.9505, abs=5e-5)


def test_expected_maximum_of_trials_as_published() -> None:
    """Bailey et al. (2014): 1.57 for 10 trials; pypbo's tests: 100 trials."""
    assert s.expected_maximum_sharpe(10, 1.0) == pytest.approx(1.57, abs=5e-3)
    assert s.expected_maximum_sharpe(100, 1.0) == pytest.approx(2.5306028932016846, abs=1e-13)


def test_track_records_of_the_efficient_frontier() -> None:
    """Bailey and Lopez de Prado (2012): annual 2 above annual 1 takes 2.73 years of days, 2.83 of weeks, 3.24 of months."""
    years = [s.minimum_track_record(annual(2, n), annual(1, n), 0, 3) / n for n in (YEAR, 52, 12)]
    assert years == pytest.approx([2.73, 2.83, 3.24], abs=5e-3)
    assert years[:2] == pytest.approx([2.7311878017281761, 2.8288335869452368], abs=1e-12)
    assert s.minimum_track_record(annual(2, 12), annual(1, 12), -0.72, 5.78) / 12 == pytest.approx(4.99, abs=5e-3)
    assert s.minimum_track_record(annual(3, 12), annual(2.5, 12), -0.72, 5.78) / 12 == pytest.approx(27.352920196040301)


def test_five_years_bear_45_trials() -> None:
    """Bailey et al. (2014), figure 2; to more digits in pypbo's tests."""
    assert s.minimum_backtest_length(45, 1.0) == pytest.approx(4.9980870044434038, abs=1e-12)


def test_expected_maximum_is_near_that_of_normal_numbers() -> None:
    rng = np.random.default_rng(0)
    for trials in (5, 50, 500):
        maxima = rng.normal(size=(4_000, trials)).max(axis=1)
        assert s.expected_maximum_sharpe(trials, 1.0) == pytest.approx(maxima.mean(), abs=0.06)


def test_a_single_trial_has_no_luck_to_be_deducted() -> None:
    assert s.expected_maximum_sharpe(1, 4.0) == 0.0
    assert s.deflated_sharpe(0.1, 1, 4.0, 100, 0.0, 3.0) == s.probabilistic_sharpe(0.1, 0.0, 100, 0.0, 3.0)
    assert s.minimum_backtest_length(1, 1.0) == 0.0


def test_a_thousand_million_million_trials_are_counted() -> None:
    assert 8.0 < s.expected_maximum_sharpe(1e15, 1.0) < s.expected_maximum_sharpe(1e18, 1.0) < 9.0
    assert 0.0 < s.probabilistic_sharpe(-0.3, 0.0, 1_000, 0.0, 3.0) < 1e-19


@given(st.floats(1.0, 1e12), st.floats(1.0, 1e6))
def test_more_trials_expect_more(trials: float, factor: float) -> None:
    fewer = s.expected_maximum_sharpe(trials, 1.0)
    assert 0.0 <= fewer <= s.expected_maximum_sharpe(trials * factor, 1.0)


@given(RATIOS, RATIOS, st.integers(2, 10_000), SKEWS, st.floats(0.0, 10.0))
def test_probability_and_its_complement(sharpe: float, benchmark: float, n: int, skew: float, more: float) -> None:
    kurtosis = skew * skew + 1.0 + more
    here = s.probabilistic_sharpe(sharpe, benchmark, n, skew, kurtosis)
    assert 0.0 <= here <= 1.0
    mirrored = s.probabilistic_sharpe(-sharpe, -benchmark, n, -skew, kurtosis)
    assert here + mirrored == pytest.approx(1.0, abs=1e-12)


@given(st.floats(0.02, 1.0), st.floats(-1.0, 1.0), SKEWS, st.floats(0.0, 10.0), st.floats(0.6, 0.999))
def test_track_record_is_where_the_probability_reaches_its_confidence(
    ahead: float, benchmark: float, skew: float, more: float, confidence: float
) -> None:
    kurtosis = skew * skew + 1.0 + more
    length = s.minimum_track_record(benchmark + ahead, benchmark, skew, kurtosis, confidence)
    assume(length > 2.0)
    reached = s.probabilistic_sharpe(benchmark + ahead, benchmark, length, skew, kurtosis)
    assert reached == pytest.approx(confidence, abs=1e-9)


def test_no_track_record_proves_what_was_not_reached() -> None:
    assert s.minimum_track_record(0.1, 0.1, 0.0, 3.0) == math.inf


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=60))
@example([0.0, 9.715187503815498e-157])
@example([0.0, 5e-324])
@example([0.0, 2.225073858507203e-309])
def test_moments_of_any_sample_are_taken(returns: list[float]) -> None:
    found = s.moments(returns)
    result = s.probabilistic_sharpe(found.sharpe, 0.0, found.observations, found.skew, found.kurtosis)
    assert math.isnan(result) == math.isnan(found.sharpe)


def test_moments_are_those_of_the_metrics() -> None:
    returns = np.random.default_rng(3).standard_t(4, 500) * 0.01
    found, metrics = s.moments(returns), isl.metrics(returns, 1)
    assert found.sharpe == pytest.approx(metrics["sharpe"], rel=1e-12)
    assert (found.skew, found.kurtosis) == pytest.approx((metrics["skew"], metrics["kurtosis"]), rel=1e-10)


def test_undefined_ratio_stays_undefined() -> None:
    still = s.moments([0.01] * 20)
    assert math.isnan(still.sharpe) and still.observations == 20
    assert math.isnan(s.probabilistic_sharpe(still.sharpe, 0.0, 20, still.skew, still.kurtosis))
    assert math.isnan(s.deflated_sharpe(math.nan, 10, 0.1, 20, 0.0, 3.0))
    assert math.isnan(s.minimum_track_record(0.1, 0.0, math.nan, 3.0))


def test_estimates_that_miss_the_bound_a_little_are_taken() -> None:
    assert s.probabilistic_sharpe(0.1, 0.0, 100, -2.0, 4.99) == pytest.approx(
        s.probabilistic_sharpe(0.1, 0.0, 100, -2.0, 5.0), abs=1e-4
    )


def test_without_an_error_the_probability_is_all_or_nothing() -> None:
    exact = {"observations": 50, "skew": 2.0, "kurtosis": 5.0}
    assert [s.probabilistic_sharpe(1.0, benchmark, **exact) for benchmark in (0.9, 1.0, 1.1)] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.probabilistic_sharpe(0.1, 0.0, 1, 0.0, 3.0), "observations = 1: expected a number from 2 on"),
        (lambda: s.probabilistic_sharpe(0.1, 0.0, math.nan, 0.0, 3.0), "observations = nan: expected a number from 2"),
        (lambda: s.probabilistic_sharpe(math.inf, 0.0, 9, 0.0, 3.0), "sharpe = inf: expected a finite number"),
        (lambda: s.probabilistic_sharpe("1", 0.0, 9, 0.0, 3.0), "sharpe = '1': expected a finite number"),
        (lambda: s.probabilistic_sharpe(0.1, 0.0, 9, 0.0, 0.0), "kurtosis = 0.0 with skew = 0.0: .* 3 for a normal"),
        (lambda: s.probabilistic_sharpe(1.0, 0.0, 9, 3.0, 5.0), "kurtosis = 5.0 with skew = 3.0: a kurtosis is at least"),
        (lambda: s.deflated_sharpe(0.1, 0, 0.1, 9, 0.0, 3.0), "trials = 0: expected a number from 1 on"),
        (lambda: s.deflated_sharpe(0.1, 10, -0.1, 9, 0.0, 3.0), "variance = -0.1: expected a number from 0 on"),
        (lambda: s.expected_maximum_sharpe(True, 0.1), "trials = True: expected a finite number"),
        (lambda: s.minimum_track_record(0.1, 0.0, 0.0, 3.0, 95), "confidence = 95: expected a probability between 0 and 1"),
        (lambda: s.minimum_track_record(0.1, 0.0, 0.0, 3.0, 0.5), "confidence = 0.5: expected more than 0.5"),
        (lambda: s.minimum_backtest_length(10, 0.0), "sharpe = 0.0: expected a ratio above 0"),
        (lambda: s.moments([0.1, math.nan]), r"returns\[1\] = nan: expected a finite number"),
        (lambda: s.moments([0.1]), "returns have 1 rows: expected 2 at least"),
        (lambda: s.moments([[0.1, 0.2]]), r"returns have shape \(1, 2\): expected a series"),
        (lambda: s.moments(["x", "y"]), "returns: expected numbers, a series"),
    ],
)
def test_wrong_argument_is_refused_by_name(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_statistics_load_nothing_but_numpy() -> None:
    heavy = ("numba", "scipy", "pandas", "polars", "arch", "ray", "deap")
    code = f"import islands, sys; islands.statistics.pbo; print(sorted(set({heavy!r}) & set(sys.modules)))"
    assert in_another_process(code) == "[]"
