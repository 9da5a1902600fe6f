"""The probability of backtest overfitting and the number of independent trials, against brute force."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import islands as isl
from islands.errors import InputError
from islands.evidence import overfitting

s = isl.statistics


def noise(seed: int, rows: int = 120, columns: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (rows, columns))


def sharpe(returns: list[float]) -> float:
    """ddof 1; minus infinity without variance."""
    mean = math.fsum(returns) / len(returns)
    if max(returns) - min(returns) <= 8 * 2.0**-52 * max(map(abs, returns)):
        return -math.inf
    return mean / math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))


def by_hand(returns: np.ndarray, blocks: int) -> list[tuple[float, float, float]]:
    """Of each split: logit, Sharpe ratio in and out of sample of the best, by lists and loops."""
    length = len(returns) // blocks
    rows = returns[len(returns) - length * blocks :].tolist()
    pieces = [rows[i * length : (i + 1) * length] for i in range(blocks)]
    found = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = [row for i in range(blocks) if i in chosen for row in pieces[i]]
        outside = [row for i in range(blocks) if i not in chosen for row in pieces[i]]
        here = [sharpe(list(column)) for column in zip(*inside, strict=True)]
        there = [sharpe(list(column)) for column in zip(*outside, strict=True)]
        best = here.index(max(here))
        worse, equal = sum(x < there[best] for x in there), sum(x == there[best] for x in there)
        w = (worse + (equal + 1) / 2) / (len(there) + 1)
        found.append((math.log(w / (1 - w)), here[best], there[best]))
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 4, 6]), st.integers(12, 80), st.integers(2, 7))
def test_every_split_is_that_of_brute_force(seed: int, blocks: int, rows: int, columns: int) -> None:
    returns = noise(seed, rows, columns)
    returns[: rows // 2, 0] = 0.0
    if columns > 3:
        returns[:, 1] = 0.01
        returns[:, 3] = returns[:, 2]
    found, slow = s.cscv(returns, blocks), by_hand(returns, blocks)
    assert found.logits == pytest.approx([row[0] for row in slow], abs=1e-12)
    for ours, place in ((found.in_sample, 1), (found.out_of_sample, 2)):
        expected = np.array([row[place] for row in slow])
        assert ours == pytest.approx(np.where(np.isinf(expected), np.nan, expected), rel=1e-9, abs=1e-12, nan_ok=True)
    assert found.pbo == s.pbo(returns, blocks) == np.mean([row[0] <= 0.0 for row in slow])
    assert found.probability_of_loss == np.mean([row[2] < 0.0 and not math.isinf(row[2]) for row in slow])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = noise(5)
    whole = s.cscv(returns, 8)
    monkeypatch.setattr(overfitting, "_CELLS", 36)
    for ours, theirs in zip(s.cscv(returns, 8), whole, strict=True):
        assert np.array_equal(ours, theirs)


def test_sixteen_blocks_make_12870_splits() -> None:
    assert len(s.cscv(noise(1, 64, 3), 16).logits) == 12_870


def test_best_of_noise_is_as_good_as_any_other_out_of_sample() -> None:
    found = [s.pbo(noise(seed, 400, 20), 8) for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_a_strategy_that_is_better_throughout_is_no_overfitting() -> None:
    returns = noise(2, 1_000)
    returns[:, 7] += 0.01
    found = s.cscv(returns, 10)
    assert (found.pbo, found.probability_of_loss) == (0.0, 0.0)


def test_a_choice_that_reverses_is_all_overfitting() -> None:
    """Of two opposite strategies the better half of the sample is the worse other half."""
    returns = noise(3, 400, 1)
    returns -= returns.mean()
    found = s.cscv(np.hstack((returns, -returns)), 4)
    assert (found.pbo, found.probability_of_loss) == (1.0, 1.0)
    assert found.slope < 0.0


def test_rows_that_fill_no_block_are_dropped_from_the_start() -> None:
    returns = noise(4, 83)
    assert np.array_equal(s.cscv(returns, 8).logits, s.cscv(returns[3:], 8).logits)
    assert not np.array_equal(s.cscv(returns, 8).logits, s.cscv(returns[:80], 8).logits)


def test_column_without_variance_ranks_last_even_below_losses() -> None:
    returns = noise(6, 80, 3) - 0.02
    returns[:, 1] = 0.5
    found = s.cscv(returns, 4)
    assert (found.in_sample < 0.0).all()
    assert (found.logits >= math.log((2 / 4) / (1 - 2 / 4))).all()


def test_equals_share_a_rank_and_the_first_is_chosen() -> None:
    returns = np.repeat(noise(7, 40, 1), 5, axis=1)
    found = s.cscv(returns, 4)
    assert (found.logits == 0.0).all()
    assert found.pbo == 1.0


def test_nothing_varies() -> None:
    found = s.cscv(np.zeros((40, 3)), 4)
    assert found.pbo == 1.0
    assert np.isnan(found.in_sample).all() and math.isnan(found.slope) and found.probability_of_loss == 0.0


def test_order_of_columns_does_not_matter() -> None:
    returns = noise(8)
    shuffled = returns[:, np.random.default_rng(0).permutation(returns.shape[1])]
    assert np.array_equal(s.cscv(returns, 6).logits, s.cscv(shuffled, 6).logits)


@pytest.mark.parametrize(
    ("returns", "blocks", "message"),
    [
        (noise(0), 5, "blocks = 5: expected an even number"),
        (noise(0), 0, "blocks = 0: expected a whole number from 2 on"),
        (noise(0), 40, "blocks = 40: they make 137,846,528,820 splits; take 24 at most"),
        (noise(0), 2.5, "blocks = 2.5: expected a whole number"),
        (noise(0, 10), 8, "blocks = 8: 10 rows make blocks of 1; take 5 blocks at most"),
        (noise(0, 50, 1), 4, "returns have one column: there is nothing to choose"),
        (noise(0)[:, 0], 4, r"returns have shape \(120,\): expected a column a strategy, \(T, N\)"),
        (np.where(np.arange(240).reshape(120, 2) == 77, np.inf, 0.0), 4, r"returns\[38, 1\] = inf: expected a finite"),
    ],
)
def test_wrong_argument_is_refused(returns: np.ndarray, blocks: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        s.pbo(returns, blocks)


@given(st.integers(0, 10_000), st.integers(3, 60), st.integers(2, 9))
def test_average_correlation_is_that_of_the_matrix(seed: int, rows: int, columns: int) -> None:
    returns = noise(seed, rows, columns)
    matrix = np.corrcoef(returns.T)
    expected = (matrix.sum() - columns) / (columns * (columns - 1))
    assert s.average_correlation(returns) == pytest.approx(expected, abs=1e-12)
    still = np.column_stack((returns, np.full(rows, 0.3)))
    assert s.average_correlation(still) == pytest.approx(expected, abs=1e-12)


def test_copies_are_one_trial_and_strangers_are_many() -> None:
    one = noise(1, 500, 1)
    assert s.effective_trials(np.repeat(one, 30, axis=1) * np.arange(1, 31)) == pytest.approx(1.0)
    assert s.effective_trials(noise(2, 20_000, 30)) == pytest.approx(30.0, abs=0.2)
    assert s.effective_trials(np.hstack((one, -one))) == 2.0
    half = math.sqrt(0.5) * (noise(3, 20_000, 1) + noise(4, 20_000, 20))
    assert s.effective_trials(half, trials=10_000) == pytest.approx(0.5 + 0.5 * 10_000, rel=0.05)


def test_a_sample_in_which_nothing_varies_shares_nothing() -> None:
    assert math.isnan(s.average_correlation(np.zeros((20, 4))))
    assert s.effective_trials(np.zeros((20, 4)), trials=50) == 50.0
