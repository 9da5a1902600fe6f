"""The stationary bootstrap's tests and blocks against arch; docs/oracles.md says where it differs."""

from __future__ import annotations

import numpy as np
import pytest

import islands as isl
from islands.evidence import resampling

bootstrap = pytest.importorskip("arch.bootstrap", reason="arch is not installed (the extra `oracle`)")

pytestmark = pytest.mark.slow

s = isl.statistics
DRAWS = 4_000
LEVELS = (0.05, 0.2, 0.5)


def returns_of(seed: int, bars: int = 500, columns: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(0.0, 0.01, (bars, columns)) + np.linspace(-0.001, 0.001, columns)) * np.linspace(1.0, 3.0, columns)


def scaled(returns: np.ndarray, block: int) -> np.ndarray:
    """arch takes the largest mean as it is, not over its deviation: for columns of deviation 1 both are the same."""
    return returns / np.sqrt([resampling._mean_variance(column, block) for column in returns.T])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [1, 10])
def test_p_values_are_those_of_arch(seed: int, block: int) -> None:
    returns = returns_of(seed)
    theirs = bootstrap.SPA(np.zeros(len(returns)), -scaled(returns, block), block_size=block, reps=DRAWS, seed=seed)
    theirs.compute()
    assert theirs._loss_diff_var == pytest.approx(1.0, rel=1e-9)
    ours = s.spa(returns, seed=seed, replications=DRAWS, block=block)
    assert ours[:3] == pytest.approx(theirs.pvalues[["lower", "consistent", "upper"]], abs=0.035)


@pytest.mark.parametrize("seed", range(3))
def test_superior_strategies_are_those_of_arch(seed: int) -> None:
    """But for strategies whose p-value is so near the level that the draws decide."""
    returns = returns_of(seed)
    adjusted = s.stepwise_spa(returns, seed=seed, replications=DRAWS, block=5)
    for level in LEVELS:
        theirs = bootstrap.StepM(np.zeros(len(returns)), -scaled(returns, 5), size=level, block_size=5, reps=DRAWS, seed=seed)
        theirs.compute()
        clear = np.flatnonzero(np.abs(adjusted - level) > 0.035)
        assert [i for i in map(int, theirs.superior_models) if i in clear] == [i for i in clear if adjusted[i] <= level]


def test_optimal_blocks_are_those_of_arch() -> None:
    """But where an autocorrelation lies on the bound: arch divides each by the squares of the bars it overlaps."""
    equal = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        series = rng.normal(size=int(rng.integers(30, 2_000)))
        for t in range(1, len(series)):
            series[t] += rng.random() * 0.7 * series[t - 1]
        theirs = max(1.0, bootstrap.optimal_block_length(series)["stationary"].iloc[0])
        equal += s.optimal_block(series) == pytest.approx(theirs, rel=1e-9)
    assert equal >= 95


@pytest.mark.parametrize("column", range(6))
def test_moments_are_those_of_scipy(column: int) -> None:
    """On which arch stands: skew and kurtosis biased, as g1 and g2 + 3 are."""
    stats = pytest.importorskip("scipy.stats")
    returns = returns_of(4)[:, column]
    found = s.moments(returns)
    assert found.sharpe == pytest.approx(returns.mean() / stats.tstd(returns), rel=1e-12)
    assert found.skew == pytest.approx(stats.skew(returns, bias=True), rel=1e-10)
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False, bias=True), rel=1e-10)


def test_interval_of_the_sharpe_ratio_is_that_of_arch() -> None:
    returns = returns_of(3)[:, 5]
    theirs = bootstrap.StationaryBootstrap(10, returns, seed=1).conf_int(
        lambda x: x.mean() / x.std(ddof=1), reps=DRAWS, method="percentile", size=0.95
    )
    ours = s.bootstrap_intervals(returns, seed=1, block=10, replications=DRAWS).sharpe
    assert ours == pytest.approx(theirs[:, 0], abs=0.01)
