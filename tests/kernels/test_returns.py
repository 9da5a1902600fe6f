"""What shorts earn by moments of the tape, against bar by bar in more than double precision."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.compile import device
from islands.kernels.returns import LEAP, LEAST_ERA, LONGEST_ERA, MOST, moments_of_steps, over_lanes, with_short
from islands.kernels.spans import BARS, HALF, half_from
from ledger import KINDS, random_prices


@device
def sums_of(none, close, moments, cash, units, bounds, start, count):
    empty = half_from(none, 0), half_from(none, 0), half_from(none, 0)
    sums, close_by = with_short(empty, close, moments, cash, units, bounds, start, count)
    return over_lanes(sums), close_by


@numba.njit(error_model="numpy")
def of_short(none, close, moments, cash, units, bounds, start, count):
    return sums_of(none, close, moments, cash, units, bounds, start, count)


def by_moments(close: np.ndarray, start: int, count: int, leverage: float) -> tuple[tuple[float, ...], bool, list[float]]:
    """What the kernel finds of a short entered at the close before `start`, and the sums of its returns one by one."""
    units = -leverage * 1e4 / close[start - 1]
    cash = 1e4 - units * close[start - 1]
    padded = np.concatenate((close, np.full(BARS, close[-1])))
    equity = cash + units * close[start - 1 : start + count]
    found, close_by = of_short(
        np.zeros(HALF), padded, moments_of_steps(close), cash, units, (equity.min(), equity.max()), start, count
    )
    prices = close[start - 1 : start + count].astype(np.longdouble)
    returns = units * np.diff(prices) / (cash + units * prices[:-1])  # a quotient less 1 would lose what a tiny step has
    losses = np.minimum(returns, 0)
    return found, close_by, [float(each) for each in (returns.sum(), (returns**2).sum(), (losses**2).sum())]


def agrees(found: tuple[float, ...], wanted: list[float]) -> bool:
    return bool(
        abs(found[0] - wanted[0]) <= 1e-12 * np.sqrt(wanted[1])
        and abs(found[1] - wanted[1]) <= 1e-11 * wanted[1]
        and abs(found[2] - wanted[2]) <= 1e-11 * wanted[2] + 1e-14 * wanted[1] * (wanted[2] > 0.0)
    )


def quiet(bars: int, seed: int, volatility: float = 3e-4) -> np.ndarray:
    return np.asarray(100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, volatility, bars))))


@pytest.mark.slow
@given(
    seed=st.integers(0, 99),
    volatility=st.sampled_from([1e-5, 3e-4, 1e-3, 4e-3]),
    start=st.integers(1, 3000),
    count=st.integers(1, 512),
    leverage=st.sampled_from([0.3, 1.0, 1.05]),
)
@examples(100)
def test_a_short_that_stays_close_earns_what_its_bars_do(
    seed: int, volatility: float, start: int, count: int, leverage: float
) -> None:
    close = quiet(3000 + 512, seed, volatility)
    found, close_by, wanted = by_moments(close, start, count, leverage)
    assert agrees(found, wanted) or not close_by
    assert close_by or volatility > 1e-5
    assert not close_by or (found[2] == 0.0) == (wanted[2] == 0.0)


def test_every_start_and_end_within_blocks_and_at_the_ends_of_the_tape() -> None:
    close = quiet(43, 1)
    for start in range(1, 43):
        for count in range(1, 44 - start):
            found, close_by, wanted = by_moments(close, start, count, 1.0)
            assert close_by
            assert agrees(found, wanted), (start, count)


def test_eras_end_where_prices_have_gone_and_a_short_across_them_earns_the_same() -> None:
    rising = 100.0 * 1.00012 ** np.arange(1200) * np.exp(np.random.default_rng(2).normal(0.0, 1e-5, 1200))
    ends = set(moments_of_steps(rising)[2][1::2])
    assert len(ends) > 5
    for end in sorted(ends)[1:-2]:
        for start in range(end - 9, end + 2):
            found, close_by, wanted = by_moments(rising, start, 20, 1.0)
            assert close_by
            assert agrees(found, wanted), (start, end)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("kind", KINDS)
def test_eras_are_of_whole_blocks_and_between_the_least_and_the_longest(kind: str) -> None:
    _, close = random_prices(4, 3 * LONGEST_ERA, kind)
    _, _, places = moments_of_steps(close)
    lengths = np.diff(np.unique(places[1::2]), prepend=0)
    assert (lengths % HALF == 0).all() and lengths.max() <= LONGEST_ERA
    ends = np.cumsum(lengths)[:-1]
    with np.errstate(all="ignore"):  # such jumps overflow
        gone = [
            np.abs(close[end - HALF : end] / close[max(end - length - 1, 0)] - 1.0).max()
            for end, length in zip(ends, lengths[:-1], strict=True)
        ]
    assert ((lengths[:-1] >= LEAST_ERA) | ~(np.array(gone) <= LEAP)).all()


@pytest.mark.parametrize("times", [1.09, 1.3, 20.0, 1e6, 0.5, 1e-3])
@pytest.mark.parametrize("place", [200, 203])
@pytest.mark.parametrize("volatility", [1e-5, 1e-4])
def test_a_bad_print_costs_those_behind_it_no_digits(times: float, place: int, volatility: float) -> None:
    close = quiet(3_000, 3, volatility)
    close[place] *= times
    for start in (place + 2, place + 9, 600, 1_500):
        found, close_by, wanted = by_moments(close, start, 150, 1.0)
        if not close_by:
            assert place == 203, "the print is the last of a block, and so the reference of bars behind it"
            continue
        assert abs(found[0] - wanted[0]) <= 1e-11 * np.sqrt(wanted[1])
        assert abs(found[1] - wanted[1]) <= 1e-10 * wanted[1] and abs(found[2] - wanted[2]) <= 1e-10 * wanted[1]


@pytest.mark.parametrize("gone", [1e-3, 0.01, 0.02, 0.05, -0.05])
@pytest.mark.parametrize("leverage", [0.2, 1.0, 1.02])
def test_far_from_the_reference_twice_as_many_terms_are_as_close(gone: float, leverage: float) -> None:
    away = np.linspace(0.0, np.log1p(gone), 40)  # before the era has lasted long enough to end
    close = quiet(120, 8) * np.exp(np.concatenate((away, np.full(80, away[-1]))))
    found, close_by, wanted = by_moments(close, 43, 70, leverage)
    assert close_by or (leverage < 1.0 and abs(gone) > 0.02)
    assert agrees(found, wanted) or not close_by


@pytest.mark.parametrize("times", [1.07, 1.2, 2.0, 0.9])
def test_a_print_within_an_era_costs_those_behind_it_no_digits(times: float) -> None:
    close = quiet(120, 9, 1e-5)
    close[18] *= times
    for start in (20, 21, 40):
        found, close_by, wanted = by_moments(close, start, 60, 1.0)
        assert close_by and agrees(found, wanted)


@pytest.mark.parametrize("beyond", [-2, 1, 2])
def test_a_price_far_off_beside_the_short_is_no_part_of_it(beyond: int) -> None:
    close = quiet(400, 3)
    start, end = 203, 302  # both within a block
    close[start + beyond if beyond < 0 else end + beyond - 1] *= 1.4
    found, close_by, wanted = by_moments(close, start, end - start, 1.0)
    assert close_by
    assert agrees(found, wanted)


def test_of_a_tape_too_long_nothing_is_made() -> None:
    close = np.full(MOST + 1, 1.0)
    assert [len(each) for each in moments_of_steps(close)][1:] == [0, 0]
    found, close_by, _ = by_moments(close, 5, 20, 1.0)
    assert not close_by
    assert found == (0.0, 0.0, 0.0)


def test_a_flat_price_earns_nothing_at_all() -> None:
    found, close_by, _ = by_moments(np.full(900, 0.1), 3, 500, 1.0)
    assert close_by and found == (0.0, 0.0, 0.0)


def test_a_short_that_only_gains_has_no_losses_at_all() -> None:
    close = np.concatenate((quiet(300, 5), 100.0 * 0.9999 ** np.arange(100)))
    found, _, wanted = by_moments(close, 301, 90, 1.0)
    assert wanted[2] == 0.0 and found[2] == 0.0
