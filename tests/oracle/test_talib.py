"""The indicators against TA-Lib, over random and real bars: values, and the first defined bar of both.

Prices are scaled so that the last close is SCALE, for some versions of TA-Lib take ranges below an absolute 1e-14 or so
for 0. Values agree to 1e-9, of the value or of what the value is a difference of: the price for macd and deviations,
100 for ratios. TA-Lib's own deviation, from a difference of two sums of squares, loses digits that no scale gives back:
bands and deviations are compared where the deviation is above 1e-6 of the price.
What it does differently by design is in docs/indicators.md, and asserted here.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from ledger import random_prices, real_bars, real_files, seeds, with_wicks

import islands as isl

talib = pytest.importorskip("talib", reason="TA-Lib is not installed (the extra `oracle`)")

pytestmark = pytest.mark.slow

SCALE = 1e4
WARM = 25  # periods n after which the seed of macd's averages, of up to 2n+1 bars, weighs under 1e-9
I = isl.indicators
NEW = tuple(int(part) for part in talib.__version__.split(".")[:2]) >= (0, 8)
of_08 = pytest.mark.skipif(not NEW, reason=f"said of TA-Lib 0.8, this is {talib.__version__}")

# name -> ours(b, n), theirs(b, n): lines in one order; first(n): where ours begin, theirs; the least n that TA-Lib takes.
CASES = {
    "sma": (lambda b, n: [I.sma(b.close, n)], lambda b, n: [talib.SMA(b.close, n)], lambda n: [(n - 1, n - 1)], 1),
    "ema": (lambda b, n: [I.ema(b.close, n)], lambda b, n: [talib.EMA(b.close, n)], lambda n: [(0, n - 1)], 1),
    "wma": (lambda b, n: [I.wma(b.close, n)], lambda b, n: [talib.WMA(b.close, n)], lambda n: [(n - 1, n - 1)], 1),
    "rsi": (lambda b, n: [I.rsi(b.close, n)], lambda b, n: [talib.RSI(b.close, n)], lambda n: [(n, n)], 2),
    "stochastic": (
        lambda b, n: I.stochastic(b.high, b.low, b.close, n, 3),
        lambda b, n: talib.STOCHF(b.high, b.low, b.close, n, 3),
        lambda n: [(n - 1, n + 1), (n + 1, n + 1)],
        1,
    ),
    "macd": (
        lambda b, n: I.macd(b.close, n, 2 * n + 1, 4),
        lambda b, n: talib.MACD(b.close, n, 2 * n + 1, 4),
        lambda n: [(0, 2 * n + 3)] * 3,
        2,
    ),
    "adx": (
        lambda b, n: I.adx(b.high, b.low, b.close, n),
        lambda b, n: [line(b.high, b.low, b.close, n) for line in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)],
        lambda n: [(2 * n - 1, 2 * n - 1), (n, n), (n, n)],
        2,
    ),
    "true_range": (
        lambda b, n: [I.true_range(b.high, b.low, b.close)],
        lambda b, n: [talib.TRANGE(b.high, b.low, b.close)],
        lambda n: [(1, 1)],
        1,
    ),
    "atr": (
        lambda b, n: [I.atr(b.high, b.low, b.close, n)],
        lambda b, n: [talib.ATR(b.high, b.low, b.close, n)],
        lambda n: [(n, n)],
        1,
    ),
    "bollinger": (
        lambda b, n: I.bollinger(b.close, n, 2.0),
        lambda b, n: talib.BBANDS(b.close, n, 2.0, 2.0)[::-1],
        lambda n: [(n - 1, n - 1)] * 3,
        2,
    ),
    "donchian": (
        lambda b, n: I.donchian(b.high, b.low, n),
        lambda b, n: [talib.MIN(b.low, n), talib.MAX(b.high, n)],
        lambda n: [(n - 1, n - 1)] * 2,
        2,
    ),
    "rolling_mean": (
        lambda b, n: [I.rolling_mean(b.volume, n)],
        lambda b, n: [talib.SMA(b.volume, n)],
        lambda n: [(n - 1, n - 1)],
        1,
    ),
    "rolling_std": (
        lambda b, n: [I.rolling_std(b.close, n)],
        lambda b, n: [talib.STDDEV(b.close, n)],
        lambda n: [(n - 1, n - 1)],
        2,
    ),
    "rolling_max": (
        lambda b, n: [I.rolling_max(b.close, n)],
        lambda b, n: [talib.MAX(b.close, n)],
        lambda n: [(n - 1, n - 1)],
        2,
    ),
    "rolling_min": (
        lambda b, n: [I.rolling_min(b.close, n)],
        lambda b, n: [talib.MIN(b.close, n)],
        lambda n: [(n - 1, n - 1)],
        2,
    ),
}
RATIOS = {"rsi", "stochastic", "adx"}
SEEDED_OTHERWISE = {"ema", "macd"}
SQUARES = {"bollinger", "rolling_std"}
names = pytest.mark.parametrize("name", list(CASES))


def scaled(bars: isl.Bars) -> SimpleNamespace:
    scale = SCALE / bars.close[-1]
    prices = {series: getattr(bars, series) * scale for series in ("open", "high", "low", "close")}
    return SimpleNamespace(**prices, volume=bars.volume.copy())


def assert_same(name: str, bars: isl.Bars, n: int) -> None:
    ours, theirs, firsts, _ = CASES[name]
    prices = scaled(bars)
    largest = prices.high.max()
    room = 1e-9 * (100.0 if name in RATIOS else largest if name in SEEDED_OTHERWISE | SQUARES else 0.0)
    clear = I.rolling_std(prices.close, n) > 1e-6 * largest if name in SQUARES else np.full(len(bars), True)
    for a, b, (first, their_first) in zip(ours(prices, n), theirs(prices, n), firsts(n), strict=True):
        assert np.isnan(a[:first]).all()
        assert np.isnan(b[:their_first]).all()
        assert not np.isnan(b[their_first:]).any()
        nothing_moved = np.isnan(a) & (b == 0.0) & (name == "rsi")
        compared = clear & ~nothing_moved
        compared[: their_first + WARM * n if name in SEEDED_OTHERWISE else max(first, their_first)] = False
        np.testing.assert_allclose(a[compared], b[compared], rtol=1e-9, atol=room)


@names
@examples(40)
@given(seed=seeds, kind=st.sampled_from(["walk", "gaps", "ticks", "pips", "stalls"]), n=st.integers(1, 20))
def test_indicator_agrees_with_talib_on_random_bars(name: str, seed: int, kind: str, n: int) -> None:
    bars = with_wicks(*random_prices(seed, 800, kind), seed)
    assert_same(name, bars, max(n, 2))


@names
@pytest.mark.parametrize("path", real_files())
@pytest.mark.parametrize("n", [2, 14, 50])
def test_indicator_agrees_with_talib_on_real_bars(name: str, path: Path, n: int) -> None:
    assert_same(name, real_bars(path, 5_000), n)


@names
@pytest.mark.parametrize("n", [2, 3, 14])
def test_first_defined_bars_are_those_that_the_document_says(name: str, n: int) -> None:
    rng = np.random.default_rng(1)
    close = rng.uniform(1.0, 2.0, 80)
    bars = SimpleNamespace(high=close + 0.1, low=close - 0.1, close=close, volume=close)
    ours, theirs, firsts, _ = CASES[name]
    for a, b, (first, their_first) in zip(ours(bars, n), theirs(bars, n), firsts(n), strict=True):
        assert (~np.isnan(a)).tolist() == [t >= first for t in range(80)]
        assert (~np.isnan(b)).tolist() == [t >= their_first for t in range(80)]


@of_08
def test_least_period_is_what_the_document_says() -> None:
    close = np.random.default_rng(1).uniform(1.0, 2.0, 80)
    bars = SimpleNamespace(high=close + 0.1, low=close - 0.1, close=close, volume=close)
    for _, theirs, _, least in CASES.values():
        theirs(bars, least)
        if least > 1:
            with pytest.raises(Exception, match="Bad Parameter"):
                theirs(bars, least - 1)


# What it does differently on odd inputs, as docs/indicators.md says


def test_constant_prices_have_an_rsi_of_0_there_and_none_here() -> None:
    flat = np.full(40, 100.0)
    assert set(talib.RSI(flat, 5)[5:]) == {0.0}
    assert np.isnan(I.rsi(flat, 5)).all()
    assert set(talib.STOCHF(flat, flat, flat, 5, 3)[0][6:]) == set(I.stochastic(flat, flat, flat, 5, 3)[0][6:]) == {0.0}
    assert set(talib.ADX(flat, flat, flat, 5)[9:]) == set(I.adx(flat, flat, flat, 5)[0][9:]) == {0.0}


@of_08
def test_directional_lines_of_one_bar_are_fractions_there() -> None:
    bars = scaled(with_wicks(*random_prices(4, 200, "walk"), 4))
    ours = I.adx(bars.high, bars.low, bars.close, 1)
    np.testing.assert_allclose(ours[1][1:], 100.0 * talib.PLUS_DI(bars.high, bars.low, bars.close, 1)[1:], rtol=1e-12)
    np.testing.assert_allclose(ours[2][1:], 100.0 * talib.MINUS_DI(bars.high, bars.low, bars.close, 1)[1:], rtol=1e-12)


@of_08
def test_fast_period_above_the_slow_one_turns_the_sign_here_and_is_swapped_there() -> None:
    close = scaled(with_wicks(*random_prices(4, 900, "walk"), 4)).close
    assert talib.MACD(close, 26, 12, 9)[0].tobytes() == talib.MACD(close, 12, 26, 9)[0].tobytes()
    assert (I.macd(close, 26, 12, 9)[0] == -I.macd(close, 12, 26, 9)[0]).all()


@of_08
def test_hole_stays_to_the_end_or_passes_unnoticed_there() -> None:
    bars = scaled(with_wicks(*random_prices(5, 80, "walk"), 5))
    for series in vars(bars).values():
        series[30] = np.nan
    for name in ("sma", "ema", "macd", "atr", "rolling_std", "bollinger"):
        assert all(np.isnan(line[30:]).all() for line in CASES[name][1](bars, 3)), name
    for name in ("rsi", "adx", "donchian", "rolling_max", "rolling_min"):
        assert not any(np.isnan(line[20:]).any() for line in CASES[name][1](bars, 3)), name
