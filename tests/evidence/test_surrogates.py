"""Surrogates keep what no strategy can use, and lose what one could."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import islands as isl
from islands.errors import InputError
from islands.evidence.surrogates import sign_flipped
from islands.market.tape import Tape


def log_returns(bars: isl.Bars) -> np.ndarray:
    return np.diff(np.log(bars.close))


def flipped(bars: isl.Bars, run: int = 1, drift: str = "zero", seed: int = 5) -> isl.Bars:
    return sign_flipped({"bars": bars}, seed, run, drift)["bars"]  # type: ignore[arg-type]


@given(st.integers(0, 10**6), st.sampled_from(["zero", "real"]), st.sampled_from(["gbm", "regimes", "planted"]))
def test_the_size_of_every_move_is_kept_and_its_sign_is_chance(run: int, drift: str, kind: str) -> None:
    real = isl.synthetic(kind, 400, seed=3, drift=0.8)
    moves, mean = log_returns(real), log_returns(real).mean()
    found = log_returns(flipped(real, run, drift)) - (mean if drift == "real" else 0.0)
    np.testing.assert_allclose(np.abs(found), np.abs(moves - mean), atol=1e-12)
    turned = np.sign(found) != np.sign(moves - mean)
    assert 120 < turned.sum() < 280


@given(st.integers(0, 10**6))
def test_each_bar_is_a_bar_mirrored_with_its_sign(run: int) -> None:
    real = isl.Bars("e", isl.sample("eurusd").tape.head(300))
    found = flipped(real, run)
    assert np.all(found.low <= np.minimum(found.open, found.close))
    assert np.all(np.maximum(found.open, found.close) <= found.high)
    mean = log_returns(real).mean()
    before, after = real.close[:-1], found.close[:-1]
    turned = np.sign(log_returns(found)) != np.sign(log_returns(real) - mean)
    up, down = np.log(real.high[1:] / before) - mean, np.log(real.low[1:] / before) - mean
    np.testing.assert_allclose(np.log(found.high[1:] / after), np.where(turned, -down, up), atol=1e-12)
    np.testing.assert_allclose(np.log(found.low[1:] / after), np.where(turned, -up, down), atol=1e-12)


def test_times_volume_and_funding_are_kept() -> None:
    real = isl.sample("eurusd")
    found = flipped(real)
    assert found.tape.columns == real.tape.columns
    for row in (0, *range(5, len(real.tape.block))):
        np.testing.assert_array_equal(found.tape.block[row], real.tape.block[row])


def test_instruments_keep_their_joint_moves() -> None:
    """At one time both have one sign, where their calendars differ too."""
    first = isl.synthetic("gbm", 500, seed=1)
    second = isl.Bars("late", isl.synthetic("gbm", 500, seed=2).tape.cut(100, 500))
    found = sign_flipped({"a": first, "b": second}, 1, 1, "zero")
    signs = {
        name: np.sign(log_returns(found[name])) == np.sign(log_returns(real) - log_returns(real).mean())
        for name, real in {"a": first, "b": second}.items()
    }
    np.testing.assert_array_equal(signs["a"][100:], signs["b"])


def test_the_same_run_gives_the_same_bars_and_another_one_others() -> None:
    real = isl.synthetic("gbm", 300)
    assert flipped(real).fingerprint == flipped(real).fingerprint
    others = {flipped(real, run, drift, seed).fingerprint for run in (1, 2) for drift in ("zero", "real") for seed in (1, 2)}
    assert len(others) == 8


def test_what_could_be_told_from_the_past_is_gone() -> None:
    """Returns that follow each other's sign do so no more; their sizes still come in clusters."""
    chance = np.random.default_rng(1)
    sizes = 0.01 * np.exp(np.repeat(chance.normal(0.0, 1.0, 200), 20))
    signs = np.cumprod(np.where(chance.random(4000) < 0.1, -1.0, 1.0))
    close = 100.0 * np.exp(np.cumsum(sizes * signs * 0.1))
    real = isl.Bars("trend", Tape(np.stack([np.arange(4000) * 3.6e9, close, close, close, close, np.ones(4000)])))

    def persistence(series: np.ndarray) -> float:
        return float(np.corrcoef(series[1:], series[:-1])[0, 1])

    before, after = log_returns(real), log_returns(flipped(real))
    assert persistence(before) > 0.5
    assert abs(persistence(after)) < 0.15
    assert persistence(np.abs(after)) == pytest.approx(persistence(np.abs(before - before.mean())), abs=0.02)


def test_another_drift_is_refused() -> None:
    with pytest.raises(InputError, match="zero, real"):
        flipped(isl.synthetic("gbm", 10), drift="none")
