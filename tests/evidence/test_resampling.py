"""The stationary bootstrap: its blocks, its variance, intervals, and the tests for superior strategies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import islands as isl
from islands.errors import InputError
from islands.evidence import resampling

s = isl.statistics


def persistent(seed: int, bars: int, memory: float, columns: int = 1) -> np.ndarray:
    """Autoregressive returns of 1 % volatility, (T, N)."""
    shocks = np.random.default_rng(seed).normal(0.0, 0.01, (bars, columns))
    for t in range(1, bars):
        shocks[t] += memory * shocks[t - 1]
    return shocks


@given(st.integers(0, 1_000), st.integers(8, 300), st.floats(1.0, 500.0))
def test_blocks_fill_the_bars_and_no_more(seed: int, bars: int, length: float) -> None:
    for starts, spans in resampling._blocks(seed, bars, length, 3):
        assert len(starts) == len(spans) and spans.min() >= 1 and spans.sum() == bars
        assert starts.min() >= 0 and starts.max() < bars
        rows = [(start + i) % bars for start, span in zip(starts.tolist(), spans.tolist(), strict=True) for i in range(span)]
        assert resampling._rows(starts, spans, bars).tolist() == rows


def test_blocks_have_the_mean_length_asked_for() -> None:
    counts = [len(starts) for starts, _ in resampling._blocks(1, 5_000, 25.0, 200)]
    assert 5_000 / np.mean(counts) == pytest.approx(25.0, rel=0.03)


def test_variance_of_the_mean_is_that_of_resampled_means() -> None:
    returns = persistent(2, 200, 0.5)[:, 0]
    means = [returns[resampling._rows(*blocks, 200)].mean() for blocks in resampling._blocks(3, 200, 6.0, 8_000)]
    assert resampling._mean_variance(returns, 6.0) == pytest.approx(200 * np.var(means), rel=0.06)


def test_more_memory_asks_for_longer_blocks() -> None:
    lengths = [s.optimal_block(persistent(4, 4_000, memory)[:, 0]) for memory in (0.0, 0.3, 0.6, 0.9)]
    assert lengths == sorted(lengths) and 1.0 <= lengths[0] < 6.0 < lengths[-1]


@given(st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=80))
def test_any_series_has_an_optimal_block(returns: list[float]) -> None:
    assert 1.0 <= s.optimal_block(returns) <= max(1.0, math.ceil(len(returns) / 3))


def test_intervals_of_independent_returns_cover_as_often_as_they_say() -> None:
    """The error of a Sharpe ratio r over T normal returns is sqrt((1 + r^2/2)/T)."""
    returns = np.random.default_rng(5).normal(0.002, 0.01, 1_000)
    found = s.bootstrap_intervals(returns, seed=1, block=1, replications=2_000)
    sharpe = s.moments(returns).sharpe
    width = 2 * 1.96 * math.sqrt((1 + sharpe**2 / 2) / 1_000)
    assert found.sharpe.high - found.sharpe.low == pytest.approx(width, rel=0.08)
    assert found.sharpe.low < sharpe < found.sharpe.high


def test_intervals_widen_with_memory_and_with_confidence() -> None:
    returns = persistent(6, 1_000, 0.6)[:, 0]
    short, long = (s.bootstrap_intervals(returns, seed=1, block=block).sharpe for block in (1, 20))
    assert long.high - long.low > 1.3 * (short.high - short.low)
    narrow = s.bootstrap_intervals(returns, seed=1, block=20, confidence=0.5)
    assert long.low < narrow.sharpe.low < narrow.sharpe.high < long.high
    assert s.bootstrap_intervals(returns, seed=1).block == s.optimal_block(returns)


def test_drawdown_of_a_draw_is_that_of_its_equity() -> None:
    returns = np.random.default_rng(7).normal(0.0, 0.02, 300)
    assert resampling._drawdown(returns) == pytest.approx(isl.metrics(returns)["max_drawdown"], rel=1e-12)
    assert resampling._drawdown(np.array([-0.5, 1.0, 0.1])) == 0.5
    assert resampling._drawdown(np.array([0.1, -1.0, 0.1])) == 1.0
    found = s.bootstrap_intervals(returns, seed=2).max_drawdown
    assert 0.0 < found.low < found.high < 1.0


def test_what_does_not_vary_has_no_interval_and_rare_trades_have_one() -> None:
    still = s.bootstrap_intervals(np.zeros(50), seed=1)
    assert math.isnan(still.sharpe.low) and still.max_drawdown == (0.0, 0.0)
    once = np.zeros(50)
    once[20] = 0.1
    found = s.bootstrap_intervals(once, seed=1, block=1)
    assert found.sharpe.low == 0.0 < found.sharpe.high


def test_seeds_and_replications_are_addresses() -> None:
    returns = persistent(8, 200, 0.2)[:, 0]
    assert s.bootstrap_intervals(returns, seed=4) == s.bootstrap_intervals(returns, seed=4)
    assert s.bootstrap_intervals(returns, seed=4) != s.bootstrap_intervals(returns, seed=5)
    few, many = ([starts.tolist() for starts, _ in resampling._blocks(4, 50, 5.0, draws)] for draws in (3, 9))
    assert many[:3] == few


def by_hand(differences: np.ndarray, seed: int, replications: int, block: float) -> tuple[float, float, float]:
    """Hansen's p-values from whole resampled tables."""
    bars = len(differences)
    mean = differences.mean(axis=0)
    deviation = np.sqrt([resampling._mean_variance(column, block) for column in differences.T])
    statistic = max(0.0, (math.sqrt(bars) * mean / deviation).max())
    bad = math.sqrt(bars) * mean / deviation < -math.sqrt(2 * math.log(math.log(bars)))
    counts = [0, 0, 0]
    for blocks in resampling._blocks(seed, bars, block, replications):
        drawn = differences[resampling._rows(*blocks, bars)].mean(axis=0)
        for i, centre in enumerate((np.maximum(mean, 0.0), np.where(bad, 0.0, mean), mean)):
            counts[i] += max(0.0, (math.sqrt(bars) * (drawn - centre) / deviation).max()) >= statistic
    return tuple((1 + k) / (1 + replications) for k in counts)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([1.0, 7.0]))
def test_spa_is_that_of_resampled_tables(seed: int, columns: int, block: float) -> None:
    returns = persistent(seed, 120, 0.2, columns) + np.linspace(-0.004, 0.002, columns)
    found = s.spa(returns, seed=seed, replications=60, block=block)
    assert found[:3] == pytest.approx(by_hand(returns, seed, 60, block), abs=1e-12)
    assert found.lower <= found.consistent <= found.upper


@pytest.mark.slow
def test_spa_is_fair_on_noise() -> None:
    p_values = [s.spa(persistent(seed, 250, 0.0, 5), seed=seed, replications=99, block=1).consistent for seed in range(150)]
    for level in (0.05, 0.1, 0.5):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=3.5 * math.sqrt(level / 150))


def test_spa_finds_the_one_that_is_better_and_steps_name_it() -> None:
    returns = persistent(9, 600, 0.1, 8)
    returns[:, 5] += 0.003
    assert s.spa(returns, seed=1).consistent < 0.01
    adjusted = s.stepwise_spa(returns, seed=1)
    assert np.flatnonzero(adjusted <= 0.05).tolist() == [5]
    assert adjusted.min() == s.spa(returns, seed=1).consistent


def test_many_bad_strategies_hide_a_good_one_from_the_upper_bound_alone() -> None:
    returns = persistent(10, 500, 0.0, 60) - 0.003
    returns[:, 0] += 0.0042
    found = s.spa(returns, seed=1)
    assert found.consistent < found.upper


def stepped(returns: np.ndarray, level: float) -> set[int]:
    """Romano and Wolf's steps: what is above the quantile of the largest of those left, then again without them."""
    left, found = list(range(returns.shape[1])), set()
    test = resampling._simulated(returns, 0.0, 3, 400, 4.0)
    while left:
        largest = (test.draws + (test.values - test.centre))[:, left].max(axis=1)
        better = {i for i in left if test.values[i] > 0 and (1 + np.sum(largest >= test.values[i])) / 401 <= level}
        if not better:
            return found
        found |= better
        left = [i for i in left if i not in better]
    return found


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.05, 0.1, 0.3]))
def test_adjusted_p_values_give_the_set_that_the_steps_give(seed: int, level: float) -> None:
    returns = persistent(seed, 300, 0.1, 7) + np.linspace(-0.001, 0.002, 7)
    adjusted = s.stepwise_spa(returns, seed=3, replications=400, block=4.0)
    assert set(np.flatnonzero(adjusted <= level).tolist()) == stepped(returns, level)


def test_benchmark_is_taken_away() -> None:
    returns, market = persistent(11, 200, 0.0, 3), persistent(12, 200, 0.0)[:, 0]
    apart = s.spa(returns - market[:, None], seed=1)
    assert s.spa(returns, market, seed=1) == apart
    assert s.spa(returns, np.repeat(market[:, None], 3, axis=1), seed=1) == apart


def test_strategy_that_is_the_benchmark_is_not_tested() -> None:
    market = persistent(13, 200, 0.0)[:, 0]
    alone = np.column_stack((market, market))
    assert s.spa(alone, market, seed=1) == (1.0, 1.0, 1.0, 0.0)
    assert s.stepwise_spa(alone, market, seed=1).tolist() == [1.0, 1.0]
    other = market + persistent(14, 200, 0.0)[:, 0] + 0.003
    both = np.column_stack((market, other))
    assert s.spa(both, market, seed=1) == pytest.approx(s.spa(other[:, None], market, seed=1), rel=1e-12)
    assert s.stepwise_spa(both, market, seed=1)[0] == 1.0


def test_always_long_is_no_better_than_its_own_exposure() -> None:
    market = persistent(15, 300, 0.0)[:, 0] + 0.005
    positions = np.column_stack((np.ones(300), np.where(np.arange(300) % 5 < 3, 1.0, -1.0)))
    steady = s.equal_exposure(positions, market)
    assert np.array_equal(steady[:, 0], market)
    assert steady[:, 1] == pytest.approx(0.2 * market)
    assert s.spa(positions * market[:, None], seed=1).consistent < 0.01
    assert s.spa(positions[:, :1] * market[:, None], steady[:, :1], seed=1).consistent == 1.0


def test_equal_exposure_earns_what_the_positions_do_in_random_order() -> None:
    """Aronson's appendix: over all orders, of which those turned by so many bars are as even a share as all."""
    market = persistent(16, 40, 0.0)[:, 0] + 0.002
    positions = np.where(np.arange(40) % 7 < 4, 1.0, -0.5)
    turned = [np.roll(positions, by) @ market for by in range(40)]
    assert s.equal_exposure(positions[:, None], market).sum() == pytest.approx(np.mean(turned), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: s.spa(r, r[:50], seed=1), r"benchmark has shape \(50, 2\): expected 0, \(100,\) or \(100, 2\)"),
        (lambda r: s.spa(r, 0.1, seed=1), r"benchmark have shape \(\): expected a column a strategy"),
        (lambda r: s.spa(r[:5], seed=1), "returns have 5 rows: expected 8 at least"),
        (lambda r: s.spa(r, seed=1, block=0.5), "block = 0.5: expected a number from 1 on"),
        (lambda r: s.stepwise_spa(r, seed=1, replications=0), "replications = 0: expected a whole number from 1 on"),
        (lambda r: s.bootstrap_intervals(r[:, 0] - 2.0, seed=1), r"returns\[0\] = -1.99.*an account can't lose more than all"),
        (lambda r: s.bootstrap_intervals(r[:, 0], seed=1, confidence=1.0), "confidence = 1.0: expected a probability"),
        (lambda r: s.equal_exposure(r, r[:9, 0]), "market has 9 returns for positions over 100 bars: expected one a bar"),
    ],
)
def test_wrong_argument_is_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(persistent(0, 100, 0.0, 2))  # type: ignore[operator]
