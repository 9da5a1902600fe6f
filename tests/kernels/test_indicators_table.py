"""Every public indicator against its slow twin, and against the tables of docs/indicators.md: what they say is computed."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slow_indicators as slow
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels import windows
from ledger import any_bars, real_bars, real_files, slow_bollinger, slow_donchian, slow_ema, slow_rsi, slow_sma

import islands as isl

DOCUMENT = Path(__file__).parents[2] / "docs" / "indicators.md"
SERIES = ("open", "high", "low", "close", "volume")
RATIOS = {"rsi", "stochastic", "adx", "zscore", "realised_volatility"}  # prices cancel in them

# Each twin of bars b and parameters p, as a list of lines.
TWINS = {
    "sma": lambda b, p: [slow_sma(b.close.tolist(), p.n)],
    "ema": lambda b, p: [slow_ema(b.close.tolist(), p.n)],
    "wma": lambda b, p: [slow.wma(b.close.tolist(), p.n)],
    "nadaraya_watson": lambda b, p: [slow.nadaraya_watson(b.close.tolist(), p.n, p.bandwidth)],
    "vwap": lambda b, p: [slow.vwap(b, p.n)],
    "rsi": lambda b, p: [slow_rsi(b.close.tolist(), p.n)],
    "stochastic": lambda b, p: slow.stochastic(b, p.k, p.d),
    "macd": lambda b, p: slow.macd(b.close.tolist(), p.fast, p.slow, p.signal),
    "adx": lambda b, p: slow.adx(b, p.n),
    "true_range": lambda b, p: [slow.true_range(b)],
    "atr": lambda b, p: [slow.atr(b, p.n)],
    "bollinger": lambda b, p: zip(*slow_bollinger(b.close.tolist(), p.n, p.width), strict=True),
    "keltner": lambda b, p: slow.keltner(b, p.n, p.width),
    "donchian": lambda b, p: zip(*slow_donchian(b.high.tolist(), b.low.tolist(), p.n), strict=True),
    "ichimoku": lambda b, p: slow.ichimoku(b, p.tenkan, p.kijun, p.senkou),
    "rolling_mean": lambda b, p: [slow.rolling(b.close.tolist(), p.n, slow.mean)],
    "rolling_std": lambda b, p: [slow.rolling(b.close.tolist(), p.n, slow.deviation)],
    "rolling_max": lambda b, p: [slow.rolling(b.close.tolist(), p.n, max)],
    "rolling_min": lambda b, p: [slow.rolling(b.close.tolist(), p.n, min)],
    "zscore": lambda b, p: [slow.rolling(b.close.tolist(), p.n, slow.score)],
    "realised_volatility": lambda b, p: [slow.realised_volatility(b.close.tolist(), p.n, p.periods_per_year)],
}
names = pytest.mark.parametrize("name", list(TWINS))


def periods(n: int) -> SimpleNamespace:
    """Parameters of every indicator, from one number."""
    return SimpleNamespace(
        n=n, k=n, d=3, fast=n, slow=2 * n + 1, signal=4, tenkan=n, kijun=2 * n, senkou=3 * n,
        width=1.5, bandwidth=0.4 * n, periods_per_year=252.0,
    )  # fmt: skip


def lines(name: str, bars: object, parameters: SimpleNamespace) -> np.ndarray:
    """The lines of one indicator, (lines, T), its arguments found by their names."""
    function = getattr(isl.indicators, name)
    given_by = {"values": bars.close, **{series: getattr(bars, series) for series in SERIES}, **vars(parameters)}
    out = function(*(given_by[argument] for argument in inspect.signature(function).parameters))
    return np.stack(out) if isinstance(out, tuple) else out[None, :]


def changed(bars: object, change: object) -> SimpleNamespace:
    """The bars' series, each after `change`."""
    return SimpleNamespace(**{series: change(getattr(bars, series)) for series in SERIES})


def scaled(bars: object, scale: float) -> SimpleNamespace:
    return SimpleNamespace(**vars(changed(bars, lambda values: values * scale)) | {"volume": bars.volume})


def noise(bars: int, seed: int = 1) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    open_, close = rng.uniform(1.0, 2.0, (2, bars))
    high, low = np.maximum(open_, close) + rng.uniform(0, 0.1, bars), np.minimum(open_, close) - rng.uniform(0, 0.1, bars)
    return SimpleNamespace(open=open_, high=high, low=low, close=close, volume=rng.uniform(1.0, 5.0, bars))


def constant(price: float, bars: int) -> SimpleNamespace:
    return SimpleNamespace(**dict.fromkeys(SERIES[:4], np.full(bars, price)), volume=np.linspace(0.3, 7.0, bars))


# The document


def tables() -> Iterator[tuple[str, dict[str, str]]]:
    """(name, cells by their heading) of every row that begins with one function of the document's tables."""
    heading: list[str] = []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "function":
            heading = cells
        elif found := re.fullmatch(r"`(\w+)(\(.*\))?`", cells[0]):
            assert len(cells) == len(heading), line
            yield found[1], dict(zip(heading, cells, strict=True))


def column(heading: str) -> dict[str, list[str]]:
    """Each function's cell in one column, taken apart at commas outside parentheses."""
    return {name: re.split(r", (?![^(]*\))", cells[heading]) for name, cells in tables() if heading in cells}


def number(text: str, **names_: object) -> float:
    """The value of a cell: 2n-1, max(tenkan, kijun), 250/3, log(2), NaN."""
    text = re.sub(r"(\d)([a-z])", r"\1*\2", text)
    return eval(text, {"__builtins__": {}}, {"NaN": math.nan, "log": math.log, "max": max, **names_})


def for_each(cells: list[str], out: np.ndarray) -> list[str]:
    """One cell a line: the one for all repeated."""
    assert len(cells) in {1, len(out)}
    return cells * len(out) if len(cells) == 1 else cells


@pytest.mark.parametrize("heading", ["first defined bar", "constant price p", "a hole", "bar 1"])
def test_every_public_indicator_has_its_row(heading: str) -> None:
    module = isl.indicators
    public = {
        name
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert set(column(heading)) == public == set(TWINS)


@names
def test_row_shows_the_signature_and_names_every_line(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"| `{name}({', '.join(inspect.signature(getattr(isl.indicators, name)).parameters)})` |" in text
    said = column("lines")[name]
    assert len(lines(name, noise(9), periods(2))) == len(said)


@names
@pytest.mark.parametrize("n", [1, 2, 7, 16, 17])
def test_first_defined_bar_is_the_documents(name: str, n: int) -> None:
    out = lines(name, noise(70), periods(n))
    for line, cell in zip(out, for_each(column("first defined bar")[name], out), strict=True):
        first = number(cell, **vars(periods(n)))
        defined = np.zeros(70, dtype=bool) if name == "zscore" and n == 1 else np.arange(70) >= first
        assert (~np.isnan(line)).tolist() == defined.tolist()


@names
def test_period_beyond_the_series_defines_nothing_but_a_seed(name: str) -> None:
    for bars in (0, 1, 3):
        out = lines(name, noise(bars), periods(1_000))
        assert out.shape[1] == bars
        for line, cell in zip(out, for_each(column("first defined bar")[name], out), strict=True):
            first = number(cell, **vars(periods(1_000)))
            assert (~np.isnan(line)).tolist() == [t >= first for t in range(bars)]


@names
@pytest.mark.parametrize("price", [1.1, 101.17753237, 1e-8, 3e9])
@pytest.mark.parametrize("n", [1, 3, 26])
def test_constant_price_gives_what_the_document_says(name: str, price: float, n: int) -> None:
    out = lines(name, constant(price, 300), periods(n))
    firsts = for_each(column("first defined bar")[name], out)
    for line, first, cell in zip(out, firsts, for_each(column("constant price p")[name], out), strict=True):
        values = line[int(number(first, **vars(periods(n)))) :]
        assert len(values)
        by_sums = name in {"sma", "rolling_mean", "vwap"}
        np.testing.assert_allclose(values, number(cell, p=price), rtol=9e-16 if by_sums else 0.0, atol=0.0)


@names
@pytest.mark.parametrize("n", [1, 3, 4, 9])
@pytest.mark.parametrize("hole", [0, 1, 40, 63])
def test_hole_does_what_the_document_says(name: str, n: int, hole: int) -> None:
    bars, parameters = noise(120), periods(n)
    whole = lines(name, bars, parameters)
    after = lines(name, changed(bars, lambda values: values[hole + 1 :]), parameters)
    for series in vars(bars).values():
        series[hole] = np.nan
    holed = lines(name, bars, parameters)
    for i, cell in enumerate(for_each(column("a hole")[name], holed)):
        expected = whole[i].copy()
        if cell == "to the end":
            expected[hole:] = np.nan
        elif cell == "anew":
            expected[hole], expected[hole + 1 :] = np.nan, after[i]
        else:
            span = int(number(cell.removesuffix(" bars"), **vars(parameters)))
            expected[hole : hole + span] = np.nan
        np.testing.assert_allclose(holed[i], expected, rtol=1e-14, atol=1e-14)


@names
def test_two_bars_give_what_the_document_says(name: str) -> None:
    bars = SimpleNamespace(
        open=np.array([3.0, 3.0]), high=np.array([4.0, 9.0]), low=np.array([2.0, 3.0]),
        close=np.array([3.0, 6.0]), volume=np.array([1.0, 3.0]),
    )  # fmt: skip
    ones = SimpleNamespace(**dict.fromkeys(vars(periods(1)), 1) | {"slow": 3, "width": 2.0})
    out = lines(name, bars, ones)
    for t in (0, 1):
        said = [number(cell) for cell in for_each(column(f"bar {t}")[name], out)]
        np.testing.assert_allclose(out[:, t], said, rtol=1e-15)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_vwap_counts_no_bar_without_volume_and_is_nan_in_a_window_of_them(n: int) -> None:
    bars = noise(80)
    bars.volume[20:40] = 0.0
    out = lines("vwap", bars, periods(n))[0]
    assert np.flatnonzero(np.isnan(out[n:])).tolist() == list(range(20 - 1, 40 - n))
    bars.close[25] = 1e6
    assert lines("vwap", bars, periods(n))[0].tobytes() == out.tobytes()
    bars.volume[:] = 0.0
    assert np.isnan(lines("vwap", bars, periods(n))).all()


@names
def test_odd_inputs_raise_no_warning_of_numpys(name: str) -> None:
    bars = noise(60)
    for series in vars(bars).values():
        series[[0, 30]] = np.nan
        series[40:50] = 1.0
    bars.volume[50:] = 0.0
    with np.errstate(all="raise"):
        lines(name, bars, periods(3))


@pytest.mark.parametrize("series", ["high", "low", "close"])
@pytest.mark.parametrize("bar", [0, 1, 30])
def test_hole_in_one_price_alone_ends_the_directional_lines(series: str, bar: int) -> None:
    bars = noise(60)
    getattr(bars, series)[bar] = np.nan
    first = bar + (series == "close")  # a close enters the range of the next bar
    for line, start in zip(lines("adx", bars, periods(4)), (7, 4, 4), strict=True):
        assert (~np.isnan(line)).tolist() == [start <= t < first for t in range(60)]


@pytest.mark.parametrize(("series", "first", "last"), [("high", 30, 30), ("low", 30, 30), ("close", 31, 31)])
def test_true_range_is_nan_where_one_of_its_three_prices_is(series: str, first: int, last: int) -> None:
    bars = noise(60)
    getattr(bars, series)[30] = np.nan
    assert np.flatnonzero(np.isnan(lines("true_range", bars, periods(1))[0])).tolist() == [0, *range(first, last + 1)]


@pytest.mark.parametrize(("series", "span"), [("high", 5), ("low", 5), ("close", 1)])
def test_stochastic_is_nan_beside_a_hole_in_one_price_even_where_nothing_moved(series: str, span: int) -> None:
    bars = constant(1.5, 60)
    setattr(bars, series, np.where(np.arange(60) == 30, np.nan, 1.5))
    fast, slow_line = lines("stochastic", bars, periods(5))
    assert np.flatnonzero(np.isnan(fast[4:])).tolist() == list(range(26, 26 + span))
    assert np.flatnonzero(np.isnan(slow_line[6:])).tolist() == list(range(24, 24 + span + 2))


def test_zscore_of_a_deviation_too_small_for_a_float_is_nan() -> None:
    assert np.isnan(isl.indicators.zscore([0.0, 1e-170, 0.0], 2)).all()


# Slow twins


def assert_twins(name: str, bars: isl.Bars, parameters: SimpleNamespace) -> None:
    ours = lines(name, bars, parameters)
    twin = np.array(list(TWINS[name](bars, parameters)))
    largest = float(bars.high.max())
    room = np.full(len(bars), 1e-11 * (100.0 if name in RATIOS else largest))
    if name == "zscore":  # a mean's last bit, in units of the deviation
        with np.errstate(divide="ignore"):
            room = 1e-11 + 4.0 * np.spacing(largest) / np.array(TWINS["rolling_std"](bars, parameters)[0])
    assert np.isnan(ours).tolist() == np.isnan(twin).tolist()
    wrong = ~np.isnan(twin) & ~(np.abs(ours - twin) <= 1e-11 * np.abs(twin) + room)
    assert not wrong.any(), (ours[wrong], twin[wrong])


@names
@examples(40)
@given(bars=any_bars(80), n=st.integers(1, 20))
def test_indicator_agrees_with_its_slow_twin(name: str, bars: isl.Bars, n: int) -> None:
    assert_twins(name, bars, periods(n))


@names
@pytest.mark.parametrize("path", real_files()[:2])
@pytest.mark.parametrize("n", [2, 16, 21])
def test_indicator_agrees_with_its_slow_twin_on_real_bars(name: str, path: Path, n: int) -> None:
    assert_twins(name, real_bars(path, 300), periods(n))


def test_logarithms_and_weights_are_the_c_librarys_to_the_last_bit() -> None:
    close = np.random.default_rng(3).uniform(0.5, 2.0, 3_000)
    assert windows.log_returns(close)[1:].tolist() == [math.log(b / a) for a, b in pairwise(close.tolist())]
    raw = [math.exp(-0.5 * (i / 7.3) * (i / 7.3)) for i in range(40)]
    assert windows.gaussian_weights(40, 7.3).tolist() == [weight / math.fsum(raw) for weight in raw]


@pytest.mark.parametrize("price", [0.0, -1.0, -math.inf, math.nan])
def test_price_that_is_not_positive_makes_its_two_returns_undefined(price: float) -> None:
    bars = noise(60)
    bars.close[20] = price
    assert np.flatnonzero(np.isnan(windows.log_returns(bars.close))).tolist() == [0, 20, 21]
    undefined = np.isnan(lines("realised_volatility", bars, periods(3))[0])
    assert np.flatnonzero(undefined).tolist() == [0, 1, 2, 20, 21, 22, 23]


# What a value must not depend on


@names
@examples(20)
@given(bars=any_bars(), n=st.integers(1, 20))
def test_future_changes_no_past_value(name: str, bars: isl.Bars, n: int) -> None:
    whole = lines(name, bars, periods(n))
    for cut in {1, len(bars) // 2 + 1, len(bars)}:
        past = changed(bars, lambda values, cut=cut: values[:cut])
        assert lines(name, past, periods(n)).tobytes() == whole[:, :cut].tobytes()


@names
@examples(20)
@given(bars=any_bars(), n=st.integers(1, 20), exponent=st.integers(-60, 60))
def test_powers_of_two_scale_lines_exactly_and_leave_ratios(name: str, bars: isl.Bars, n: int, exponent: int) -> None:
    expected = lines(name, bars, periods(n)) * (1.0 if name in RATIOS else 2.0**exponent)
    assert lines(name, scaled(bars, 2.0**exponent), periods(n)).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "name",
    [name for name in TWINS if name not in {"ema", "macd", "keltner", "rsi", "atr", "adx"}],
)
@pytest.mark.parametrize("spike", [1e9, 1e12])
@pytest.mark.parametrize("n", [2, 8, 11])
def test_window_forgets_what_came_before_it(name: str, spike: float, n: int) -> None:
    bars = noise(300)
    calm = lines(name, bars, periods(n))
    for series in (bars.high, bars.close):
        series[100] = spike
    after = slice(100 + 3 * n + 3, None)
    exact = name not in {"sma", "rolling_mean", "vwap", "stochastic"}
    np.testing.assert_allclose(lines(name, bars, periods(n))[:, after], calm[:, after], rtol=0.0 if exact else 1e-14)


@names
def test_values_stay_within_their_bounds(name: str) -> None:
    bounds = {"rsi": 100.0, "stochastic": 100.0, "adx": 100.0, "zscore": math.sqrt(9 - 1), "realised_volatility": math.inf}
    rising = np.cumsum(np.random.default_rng(7).uniform(0.1, 1.0, 2_000))
    bars = SimpleNamespace(open=rising, high=rising, low=rising - 0.05, close=rising, volume=np.ones(2_000))
    out = lines(name, bars, periods(9))
    assert np.nanmax(out) <= bounds.get(name, rising[-1] * 1.1)
    assert np.nanmin(out) >= (-3.0 if name == "zscore" else 0.0 if name in RATIOS else -math.inf)


# Arguments


@names
def test_input_is_left_alone_and_may_be_of_any_layout(name: str) -> None:
    bars = noise(60)
    kept = changed(bars, np.copy)
    expected = lines(name, bars, periods(4))
    assert expected.flags.writeable
    assert all(getattr(bars, series).tobytes() == getattr(kept, series).tobytes() for series in SERIES)
    strided = changed(bars, lambda values: np.column_stack((values, values))[:, 0])
    assert not strided.close.flags.c_contiguous
    for other in (strided, changed(bars, np.ndarray.tolist)):
        assert lines(name, other, periods(4)).tobytes() == expected.tobytes()


def test_defaults_are_the_fields() -> None:
    signatures = {name: inspect.signature(getattr(isl.indicators, name)).parameters.values() for name in TWINS}
    defaults = {name: {p.name: p.default for p in all_ if p.default != p.empty} for name, all_ in signatures.items()}
    assert {name: said for name, said in defaults.items() if said} == {
        "rsi": {"n": 14},
        "atr": {"n": 14},
        "adx": {"n": 14},
        "stochastic": {"k": 14, "d": 3},
        "macd": {"fast": 12, "slow": 26, "signal": 9},
        "bollinger": {"n": 20, "width": 2.0},
        "keltner": {"n": 20, "width": 2.0},
        "donchian": {"n": 20},
        "ichimoku": {"tenkan": 9, "kijun": 26, "senkou": 52},
    }


WHOLE = ("n", "k", "d", "fast", "slow", "signal", "tenkan", "kijun", "senkou")


@names
@pytest.mark.parametrize("value", [0, -3, 2.5, math.nan, math.inf, 10**400, "5", None])
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    for argument in inspect.signature(getattr(isl.indicators, name)).parameters:
        parameters = SimpleNamespace(**vars(periods(3)) | {argument: value})
        if argument in WHOLE:
            rule = f"period {argument} = {value!r}: expected a whole number of bars, at least 1"
        elif argument in {"bandwidth", "periods_per_year"} and value != 2.5:
            rule = f"{argument} = {value!r}: expected a finite number above 0"
        elif argument == "width" and value not in (0, 2.5):
            rule = f"width = {value!r}: expected a finite number of "
        else:
            continue
        with pytest.raises(ValueError, match=re.escape(rule)):
            lines(name, noise(9), parameters)


@names
def test_series_of_two_lengths_or_more_dimensions_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected a series of shape \(T,\), got an array of shape \(3, 2\)"):
        lines(name, SimpleNamespace(**dict.fromkeys(SERIES, np.ones((3, 2)))), periods(2))
    read = [series for series in inspect.signature(getattr(isl.indicators, name)).parameters if series in SERIES]
    if len(read) > 1:
        bars = noise(9)
        setattr(bars, read[-1], np.ones(8))
        with pytest.raises(ValueError, match=r"expected series of one length, got 9 and .*8 bars"):
            lines(name, bars, periods(2))
