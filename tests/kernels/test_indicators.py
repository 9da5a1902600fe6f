"""Indicators against slow twins: values, first defined bars, NaN, and what a window must not remember."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from ledger import (
    any_bars,
    prices,
    real_bars,
    real_files,
    slow_bollinger,
    slow_donchian,
    slow_ema,
    slow_rsi,
    slow_sma,
)

import islands as isl

TWINS = {"sma": slow_sma, "ema": slow_ema, "rsi": slow_rsi}
FIRST = {"sma": lambda n: n - 1, "ema": lambda n: 0, "rsi": lambda n: n}
names = pytest.mark.parametrize("name", list(TWINS))


def of(name: str, close: object, n: int) -> np.ndarray:
    return getattr(isl.indicators, name)(np.asarray(close, dtype=float), n)


@names
@examples(150)
@given(case=prices(), n=st.integers(1, 40))
def test_indicator_agrees_with_its_slow_twin(name: str, case: tuple, n: int) -> None:
    close = case[1]
    np.testing.assert_allclose(of(name, close, n), TWINS[name](close.tolist(), n), rtol=1e-11, atol=1e-11)


@names
@pytest.mark.parametrize("path", real_files())
def test_indicator_agrees_with_its_slow_twin_on_real_bars(name: str, path: object) -> None:
    close = real_bars(path, 400).close
    np.testing.assert_allclose(of(name, close, 14), TWINS[name](close.tolist(), 14), rtol=1e-11, atol=1e-11)


@names
@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_first_defined_bar(name: str, n: int) -> None:
    close = np.random.default_rng(1).uniform(1.0, 2.0, 60)
    defined = ~np.isnan(of(name, close, n))
    assert defined.tolist() == [t >= FIRST[name](n) for t in range(60)]


@names
def test_series_shorter_than_the_period_is_undefined_or_empty(name: str) -> None:
    assert of(name, [], 5).shape == (0,)
    assert np.isnan(of(name, [1.0, 2.0, 3.0], 5)).tolist() == [name != "ema"] * 3


def test_known_values() -> None:
    assert of("sma", [1, 2, 3, 6], 3).tolist()[2:] == [2.0, 11.0 / 3.0]
    assert of("ema", [1, 2, 4], 3).tolist() == [1.0, 1.5, 2.75]
    assert of("rsi", [1, 2, 1.5, 1.5, 3.5], 2).tolist()[2:] == [100 * (2 / 3), 100 * (2 / 3), 100 * (1.125 / 1.1875)]


def bands_of(close: object, n: int, width: float = 2.0) -> np.ndarray:
    """Lower, middle and upper band, (3, T)."""
    return np.stack(isl.indicators.bollinger(np.asarray(close, dtype=float), n, width))


@examples(150)
@given(case=prices(), n=st.integers(1, 40) | st.just(150), width=st.sampled_from([0.0, 1.0, 2.0, 2.5]))
def test_bollinger_agrees_with_its_slow_twin(case: tuple, n: int, width: float) -> None:
    close = case[1]
    slow = np.array(slow_bollinger(close.tolist(), n, width)).T
    np.testing.assert_allclose(bands_of(close, n, width), slow, rtol=1e-11, atol=1e-12 * close.max())


@examples(150)
@given(bars=any_bars(), n=st.integers(1, 40) | st.just(150))
def test_donchian_is_its_slow_twin(bars: isl.Bars, n: int) -> None:
    slow = np.array(slow_donchian(bars.high.tolist(), bars.low.tolist(), n)).T
    np.testing.assert_equal(np.stack(isl.indicators.donchian(bars.high, bars.low, n)), slow)


@pytest.mark.parametrize("path", real_files())
@pytest.mark.parametrize("n", [2, 20, 64, 65])
def test_bands_and_channels_agree_with_their_slow_twins_on_real_bars(path: object, n: int) -> None:
    bars = real_bars(path, 400)
    slow = np.array(slow_bollinger(bars.close.tolist(), n)).T
    np.testing.assert_allclose(bands_of(bars.close, n), slow, rtol=1e-13)
    slow = np.array(slow_donchian(bars.high.tolist(), bars.low.tolist(), n)).T
    np.testing.assert_equal(np.stack(isl.indicators.donchian(bars.high, bars.low, n)), slow)


@pytest.mark.parametrize("n", [1, 2, 7, 16, 17, 33])
def test_bands_and_channels_are_first_defined_where_their_window_is_full(n: int) -> None:
    price = np.random.default_rng(1).uniform(1.0, 2.0, 60)
    for line in (*isl.indicators.bollinger(price, n), *isl.indicators.donchian(price, price, n)):
        assert (~np.isnan(line)).tolist() == [t >= n - 1 for t in range(60)]


def test_bands_and_channels_of_short_series_are_undefined_or_empty() -> None:
    for line in (*isl.indicators.bollinger([1.0, 2.0], 3), *isl.indicators.donchian([1.0, 2.0], [1.0, 2.0], 3)):
        assert np.isnan(line).tolist() == [True, True]
    for line in (*isl.indicators.bollinger([], 3), *isl.indicators.donchian([], [], 3)):
        assert line.shape == (0,)


def test_known_bands_and_channels() -> None:
    assert [line.tolist()[3:] for line in isl.indicators.bollinger([2, 4, 4, 4, 8], 4, 1.0)] == [
        [3.5 - 0.75**0.5, 5.0 - 3.0**0.5],
        [3.5, 5.0],
        [3.5 + 0.75**0.5, 5.0 + 3.0**0.5],
    ]
    lower, upper = isl.indicators.donchian([5, 3, 4, 9], [2, 1, 3, 8], 2)
    assert (lower.tolist()[1:], upper.tolist()[1:]) == ([1, 1, 3], [5, 4, 9])


# A window's value depends on the window


@pytest.mark.parametrize("spike", [1e12, -1e12, 1e15])
def test_sma_forgets_what_lies_before_its_window(spike: float) -> None:
    close = np.random.default_rng(2).uniform(1.0, 2.0, 500)
    struck = close.copy()
    struck[100] = spike
    np.testing.assert_allclose(of("sma", struck, 20)[120:], of("sma", close, 20)[120:], rtol=4e-16, atol=0)


@pytest.mark.parametrize("spike", [1e12, -1e12, 1e15])
@pytest.mark.parametrize("n", [2, 16, 20])
def test_bollinger_forgets_what_lies_before_its_window_to_the_last_bit(spike: float, n: int) -> None:
    close = np.random.default_rng(2).uniform(1.0, 2.0, 500)
    struck = close.copy()
    struck[100] = spike
    assert bands_of(struck, n)[:, 100 + n :].tobytes() == bands_of(close, n)[:, 100 + n :].tobytes()


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-9])
def test_bollinger_stays_exact_over_a_long_series(scale: float) -> None:
    """Deviations of a billionth of the price are no noise of the summation."""
    close = 1.1 + scale * np.random.default_rng(3).uniform(0.0, 1.0, 100_000)
    n, ends = 50, range(99_900, 100_000)
    windows = [[Fraction(price) for price in close[t + 1 - n : t + 1].tolist()] for t in ends]
    lower, middle, _ = bands_of(close, n)
    means = [sum(window) / n for window in windows]
    assert middle[99_900:].tolist() == pytest.approx([float(mean) for mean in means], rel=1e-15)
    squares = [float(sum((price - mean) ** 2 for price in w)) for w, mean in zip(windows, means, strict=True)]
    deviations = [math.sqrt(square / n) for square in squares]
    assert ((middle - lower) / 2.0)[99_900:].tolist() == pytest.approx(deviations, rel=1e-9, abs=4e-16)


def test_sma_stays_exact_over_a_long_series() -> None:
    close = np.random.default_rng(3).uniform(1.0, 2.0, 100_000)
    ours = of("sma", close, 50)
    ends = range(99_000, 100_000)
    assert ours[99_000:].tolist() == pytest.approx([math.fsum(close[t - 49 : t + 1]) / 50 for t in ends], rel=4e-16)


@pytest.mark.parametrize("price", [1.1, 101.17753237, 1e-8, 3e9])
@pytest.mark.parametrize("n", [1, 3, 26])
def test_constant_series_stays_constant(price: float, n: int) -> None:
    close = np.full(3_000, price)
    assert set(of("ema", close, n)) == {price}
    np.testing.assert_allclose(of("sma", close, n)[n - 1 :], price, rtol=3e-16, atol=0)
    assert np.isnan(of("rsi", close, n)).all()
    assert np.unique(bands_of(close, n)[:, n - 1 :]).tolist() == [price]


@pytest.mark.parametrize("n", [1, 2, 3, 26, 64])
def test_equal_prices_deviate_by_exactly_nothing_whatever_came_before(n: int) -> None:
    close = np.concatenate((np.random.default_rng(8).uniform(1.0, 1e9, 333), np.full(500, 1.10001)))
    assert np.unique(bands_of(close, n)[:, 333 + n - 1 :]).tolist() == [1.10001]


def test_rsi_is_100_without_losses_and_0_without_gains() -> None:
    rising = np.cumsum(np.random.default_rng(7).uniform(0.1, 1.0, 500))
    assert set(of("rsi", rising, 14)[14:]) == {100.0}
    assert set(of("rsi", rising[::-1], 14)[14:]) == {0.0}


@names
@examples(50)
@given(case=prices(), exponent=st.integers(-60, 60))
def test_powers_of_two_scale_averages_exactly_and_leave_rsi(name: str, case: tuple, exponent: int) -> None:
    close, scale = case[1], 2.0**exponent
    expected = of(name, close, 5) * (1.0 if name == "rsi" else scale)
    assert of(name, close * scale, 5).tobytes() == expected.tobytes()


@examples(50)
@given(case=prices(), n=st.integers(1, 20), exponent=st.integers(-60, 60))
def test_powers_of_two_scale_bands_exactly(case: tuple, n: int, exponent: int) -> None:
    assert bands_of(case[1] * 2.0**exponent, n).tobytes() == (bands_of(case[1], n) * 2.0**exponent).tobytes()


@examples(50)
@given(bars=any_bars(), n=st.integers(1, 20))
def test_future_changes_no_past_band_or_channel(bars: isl.Bars, n: int) -> None:
    bands, channel = bands_of(bars.close, n), np.stack(isl.indicators.donchian(bars.high, bars.low, n))
    for cut in {1, len(bars) // 2 + 1, len(bars)}:
        assert bands_of(bars.close[:cut], n).tobytes() == bands[:, :cut].tobytes()
        past = np.stack(isl.indicators.donchian(bars.high[:cut], bars.low[:cut], n))
        assert past.tobytes() == channel[:, :cut].tobytes()


@names
@examples(50)
@given(case=prices(), n=st.integers(1, 20))
def test_future_changes_no_past_value(name: str, case: tuple, n: int) -> None:
    close = case[1]
    whole = of(name, close, n)
    for cut in {1, len(close) // 2 + 1, len(close)}:
        assert of(name, close[:cut], n).tobytes() == whole[:cut].tobytes()


# NaN


def test_sma_is_nan_while_a_hole_is_in_its_window() -> None:
    close = np.arange(10.0)
    close[[0, 4]] = np.nan
    assert np.isnan(of("sma", close, 3)).tolist() == [True] * 3 + [False] + [True] * 3 + [False] * 3
    assert of("sma", close, 3)[7] == 6.0


def test_ema_passes_over_leading_nan_and_starts_anew_after_a_hole() -> None:
    close = [math.nan, math.nan, 4.0, 8.0, math.nan, 2.0, 4.0]
    np.testing.assert_equal(of("ema", close, 3), [math.nan, math.nan, 4.0, 6.0, math.nan, 2.0, 3.0])


def test_rsi_is_undefined_from_the_first_hole_on() -> None:
    close = np.random.default_rng(4).uniform(1.0, 2.0, 40)
    whole = of("rsi", close, 5)
    close[20] = np.nan
    np.testing.assert_equal(of("rsi", close, 5), np.where(np.arange(40) < 20, whole, np.nan))


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_bands_and_channels_are_nan_while_a_hole_is_in_their_window(n: int) -> None:
    price = np.random.default_rng(9).uniform(1.0, 2.0, 60)
    price[[0, 21, 40]] = np.nan
    holed = [t < n - 1 or bool(np.isnan(price[max(t + 1 - n, 0) : t + 1]).any()) for t in range(60)]
    for line in (*isl.indicators.bollinger(price, n), *isl.indicators.donchian(price, price, n)):
        assert np.isnan(line).tolist() == holed
    lower, upper = isl.indicators.donchian(price, np.ones(60), n)
    assert np.isnan(upper).tolist() == holed
    assert not np.isnan(lower[n - 1 :]).any()


# Arguments


@names
def test_input_is_left_alone_and_may_be_of_any_layout(name: str) -> None:
    close = np.random.default_rng(5).uniform(1.0, 2.0, (60, 2))
    strided = close[::2, 0]
    kept = strided.copy()
    assert not strided.flags.c_contiguous
    expected = of(name, kept, 4)
    assert getattr(isl.indicators, name)(strided, 4).tobytes() == expected.tobytes()
    assert getattr(isl.indicators, name)(kept.tolist(), 4).tobytes() == expected.tobytes()
    assert strided.tobytes() == kept.tobytes()
    assert strided.flags.writeable
    assert expected.flags.writeable


def test_rsi_has_wilders_period_by_default() -> None:
    close = np.random.default_rng(6).uniform(1.0, 2.0, 60)
    assert isl.indicators.rsi(close).tobytes() == of("rsi", close, 14).tobytes()


def test_bands_and_channels_have_twenty_bars_and_two_deviations_by_default() -> None:
    price = np.random.default_rng(6).uniform(1.0, 2.0, 60)
    assert np.stack(isl.indicators.bollinger(price)).tobytes() == bands_of(price, 20, 2.0).tobytes()
    ours, said = isl.indicators.donchian(price, price), isl.indicators.donchian(price, price, 20)
    assert np.stack(ours).tobytes() == np.stack(said).tobytes()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("bollinger", (np.ones(5), 0), r"period n = 0: expected a whole number of bars, at least 1"),
        ("bollinger", (np.ones(5), 2, -1.0), r"width = -1\.0: expected a finite number of standard deviations, at least 0"),
        ("bollinger", (np.ones(5), 2, math.nan), r"width = nan: expected a finite number"),
        ("bollinger", (np.ones(5), 2, math.inf), r"width = inf: expected a finite number"),
        ("bollinger", (np.ones(5), 2, "2"), r"width = '2': expected a finite number"),
        ("bollinger", (np.ones((5, 2)), 2), r"expected a series of shape \(T,\), got an array of shape \(5, 2\)"),
        ("donchian", (np.ones(5), np.ones(5), 2.5), r"period n = 2\.5: expected a whole number of bars, at least 1"),
        ("donchian", (np.ones(5), np.ones(4), 2), r"expected series of one length, got 5 and 4 bars"),
    ],
)
def test_bands_and_channels_refuse_what_is_none(name: str, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(isl.indicators, name)(*arguments)


@names
@pytest.mark.parametrize("n", [0, -3, 2.5])
def test_period_that_is_no_whole_number_of_bars_is_refused(name: str, n: object) -> None:
    with pytest.raises(ValueError, match=f"period n = {n}: expected a whole number of bars, at least 1"):
        getattr(isl.indicators, name)(np.ones(5), n)


@names
def test_table_in_place_of_a_series_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected a series of shape \(T,\), got an array of shape \(3, 2\)"):
        getattr(isl.indicators, name)(np.ones((3, 2)), 2)
