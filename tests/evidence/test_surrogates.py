"""Surrogates keep what no strategy can use, and lose what one could."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import islands as isl
from islands.errors import InputError
from islands.evidence.surrogates import DIAGNOSTICS, KINDS, block_bars, sign_flipped, surrogate
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


def reordered(bars: isl.Bars, kind: str, run: int = 1) -> isl.Bars:
    return surrogate({"bars": bars}, 5, run, kind)["bars"]  # type: ignore[arg-type]


def shapes(bars: isl.Bars) -> np.ndarray:
    """Each bar after the first over the close before it, (T-1, 4)."""
    return np.column_stack([part[1:] / bars.close[:-1] for part in (bars.open, bars.high, bars.low, bars.close)])


def sources(real: isl.Bars, found: isl.Bars) -> np.ndarray:
    """Which bar of the real ones, from 1, each of the found ones is, by the nearest shape."""
    distance = np.abs(shapes(found)[:, None, :] - shapes(real)[None, :, :]).max(axis=2)
    assert distance.min(axis=1).max() < 1e-12
    return 1 + distance.argmin(axis=1)


def persistence(series: np.ndarray) -> float:
    return float(np.corrcoef(series[1:], series[:-1])[0, 1])


def persistent(count: int, seed: int) -> isl.Bars:
    """Returns that follow each other, at 0.5, in quiet and wild stretches of fifty bars."""
    chance = np.random.default_rng(seed)
    moves = np.zeros(count)
    for t in range(1, count):
        moves[t] = 0.5 * moves[t - 1] + chance.normal()
    close = 100.0 * np.exp(np.cumsum(0.002 * moves * np.repeat(np.exp(chance.normal(0.0, 0.8, count // 50)), 50)))
    before = np.concatenate(([100.0], close[:-1]))
    highs, lows = np.maximum(before, close) * 1.001, np.minimum(before, close) * 0.999
    return isl.Bars("persistent", Tape(np.stack([np.arange(count) * 3.6e9, before, highs, lows, close, np.ones(count)])))


@pytest.mark.parametrize("kind", DIAGNOSTICS)
def test_diagnostics_put_real_bars_in_another_order_and_keep_what_belongs_to_the_time(kind: str) -> None:
    real = isl.Bars("e", isl.sample("eurusd").tape.head(400))
    found = reordered(real, kind)
    order = sources(real, found)
    assert not np.array_equal(order, np.arange(1, 400))
    for row in (0, *range(5, len(real.tape.block))):
        np.testing.assert_array_equal(found.tape.block[row], real.tape.block[row])
    np.testing.assert_array_equal(found.tape.block[:, 0], real.tape.block[:, 0])
    assert found.fingerprint == reordered(real, kind).fingerprint != reordered(real, kind, 2).fingerprint
    if kind == "phases":
        assert len(set(np.round(shapes(found)[:, 3], 12))) == len(set(np.round(shapes(real)[:, 3], 12)))
        assert found.close[-1] == pytest.approx(real.close[-1], rel=1e-9)


def test_randomised_phases_keep_autocorrelation_and_lose_clusters_where_blocks_keep_both() -> None:
    real = persistent(4_000, 1)
    moves = log_returns(real)
    phases, blocks = (log_returns(reordered(real, kind)) for kind in DIAGNOSTICS)
    assert persistence(moves) > 0.4
    assert persistence(phases) == pytest.approx(persistence(moves), abs=0.03)
    assert persistence(blocks) == pytest.approx(persistence(moves), abs=0.15)  # wild stretches weigh what chance gives them
    wild = persistence(np.abs(moves[::10]))
    assert wild > 0.2 and persistence(np.abs(blocks[::10])) > 0.5 * wild and abs(persistence(np.abs(phases[::10]))) < 0.12


def test_randomised_phases_keep_the_amplitudes_of_the_returns_and_not_their_phases() -> None:
    real = persistent(2_000, 2)
    before = np.fft.rfft(log_returns(real))
    after, other = (np.fft.rfft(log_returns(found)) for found in (reordered(real, "phases"), flipped(real)))
    assert np.corrcoef(np.abs(before), np.abs(after))[0, 1] > 0.99 > 0.7 > np.corrcoef(np.abs(before), np.abs(other))[0, 1]
    turned = np.angle(after[1:] / before[1:])
    assert abs(np.exp(1j * turned).mean()) < 0.1


@pytest.mark.slow
def test_blocks_are_as_long_as_is_said_and_wrap_around_the_end() -> None:
    real = persistent(2_000, 3)
    long = block_bars({"bars": real})
    assert long > 5
    order = sources(real, reordered(real, "blocks"))
    ends = np.count_nonzero(np.diff(order) != 1)
    wraps = np.count_nonzero((order[:-1] == 1_999) & (order[1:] == 1))
    assert 2_000 / long * 0.6 < ends - wraps < 2_000 / long * 1.5
    assert len(set(order.tolist())) < 1_999  # drawn with replacement


@pytest.mark.parametrize("kind", DIAGNOSTICS)
@pytest.mark.parametrize(("late", "lost"), [(0, 0.05), (300, 0.15)])  # of bars that one lacks there is nothing to keep
def test_diagnostics_keep_joint_moves_as_far_as_calendars_allow(kind: str, late: int, lost: float) -> None:
    first, noise = isl.synthetic("gbm", 2_000, seed=4), isl.synthetic("gbm", 2_000, seed=5)
    close = np.sqrt(first.close * noise.close)
    block = np.stack([first.tape.block[0], close, close, close, close, np.ones(2_000)])
    second = isl.Bars("late", Tape(np.ascontiguousarray(block[:, late:])))
    found = surrogate({"a": first, "b": second}, 1, 1, kind)  # type: ignore[arg-type]

    def together(a: isl.Bars, b: isl.Bars) -> float:
        return float(np.corrcoef(log_returns(a)[late:], log_returns(b))[0, 1])

    assert len(found["b"]) == 2_000 - late and 0.5 < together(first, second) < 0.9
    assert together(found["a"], found["b"]) == pytest.approx(together(first, second), abs=lost)
    commonest = np.bincount(np.unique(np.round(log_returns(found["b"]), 12), return_inverse=True)[1]).max()
    assert commonest < 12


def test_bars_that_are_hardly_any_have_surrogates_of_each_kind() -> None:
    for count in (1, 2, 3, 9):
        real = isl.synthetic("gbm", count)
        assert all(len(surrogate({"bars": real}, 1, 1, kind)["bars"]) == count for kind in KINDS)
    with pytest.raises(InputError, match="zero, real, phases, blocks"):
        surrogate({"bars": real}, 1, 1, "none")  # type: ignore[arg-type]
