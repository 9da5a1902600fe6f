"""Deflated Sharpe ratios and probabilities of overfitting against ffn and purgedcv; docs/oracles.md: where they differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import islands as isl

pytestmark = pytest.mark.slow

s = isl.statistics
RATIOS = st.integers(-500, 500).map(lambda thousandths: thousandths / 1_000)
SEEDS = st.integers(0, 2**32 - 1)


def table(seed: int, rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_t(5, (rows, columns)) * 0.01 + rng.normal(0.0, 5e-4, columns)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([2, 4, 6, 8]), st.integers(2, 20), st.integers(2, 12))
def test_splits_are_those_of_ffn(seed: int, blocks: int, rows: int, columns: int) -> None:
    ffn = pytest.importorskip("ffn", reason="ffn is not installed (the extra `oracle`)")
    pandas = pytest.importorskip("pandas")
    returns = table(seed, rows * blocks, columns)
    theirs = ffn.core.calc_prob_backtest_overfitting(pandas.DataFrame(returns), blocks, full_output=True)
    ours = s.cscv(returns, blocks)
    assert ours.pbo == theirs["pbo"]
    assert ours.logits == pytest.approx(theirs["logits"].to_numpy(), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(20, 500), st.integers(2, 200))
def test_deflated_sharpe_is_that_of_ffn(seed: int, rows: int, trials: int) -> None:
    ffn = pytest.importorskip("ffn", reason="ffn is not installed (the extra `oracle`)")
    pandas = pytest.importorskip("pandas")
    returns = pandas.Series(table(seed, rows, 1)[:, 0], index=pandas.date_range("2020-01-01", periods=rows))
    sharpes = np.random.default_rng(seed).normal(0.0, 0.05, trials)
    theirs = ffn.core.calc_deflated_sharpe_ratio(returns, sharpes, nperiods=252, annualized_trials=False)
    ours = s.deflated_sharpe(
        returns.mean() / returns.std(), trials, np.var(sharpes, ddof=1), rows, returns.skew(), returns.kurt() + 3.0
    )
    assert ours == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from([4, 6]), st.integers(2, 10), st.sampled_from([2, 4, 6]))
def test_splits_are_those_of_purgedcv(seed: int, blocks: int, rows: int, columns: int) -> None:
    """It goes through the choices of blocks out of sample, the other way round."""
    purgedcv = pytest.importorskip("purgedcv", reason="purgedcv is not installed (the extra `oracle`)")
    returns = table(seed, rows * blocks, columns)
    theirs = purgedcv.probability_of_backtest_overfitting(returns.T, blocks)
    ours = s.cscv(returns, blocks)
    assert ours.logits == pytest.approx(theirs.logits[::-1], abs=1e-12)
    performance = np.column_stack((ours.in_sample, ours.out_of_sample))
    assert performance == pytest.approx(theirs.is_oos_performance[::-1], abs=1e-12)
    assert ours.slope == pytest.approx(theirs.slope, rel=1e-9)
    assert ours.pbo == theirs.pbo


@settings(max_examples=60, deadline=None)
@given(RATIOS, RATIOS, st.floats(0.51, 0.999), st.floats(-2.0, 2.0), st.floats(0.1, 9.0))
def test_lengths_are_those_of_purgedcv(sharpe: float, benchmark: float, confidence: float, skew: float, more: float) -> None:
    purgedcv = pytest.importorskip("purgedcv", reason="purgedcv is not installed (the extra `oracle`)")
    kurtosis = skew * skew + 1.0 + more
    theirs = purgedcv.min_track_record_length(sharpe, benchmark, 1.0 - confidence, skew, kurtosis)
    ours = s.minimum_track_record(sharpe, benchmark, skew, kurtosis, confidence)
    assert ours == theirs if np.isinf(theirs) else 0.0 <= theirs - ours * (1 - 1e-9) <= 1.0 + 2e-9 * ours
    trials = int(1e4 * abs(sharpe)) + 2
    assert s.minimum_backtest_length(trials, 1.5) == pytest.approx(purgedcv.minimum_backtest_length(trials, 1.5), rel=1e-9)
