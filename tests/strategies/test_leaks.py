"""Registering a family: each known kind of look-ahead is refused with the bar and the genes, and what is honest is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import thinned
from islands.kernels import trend

import islands as isl
from islands.errors import StrategyError
from islands.numerics import rough_market
from islands.strategies import families
from islands.strategies.families import FAMILIES, Family
from islands.strategies.gate import trial_genomes, try_family, try_on

LAG = (isl.Integer("lag", 1, 20, 5),)
SHOWN = r"^family \S+ \(\w+=.*direction=\w+\): at bar \d+ of \d+ made-up ones\b.* its target is \S+, and \S+ "


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten with it."""
    monkeypatch.setattr(families, "REGISTERED", {})


def define(name: str, step: Callable[..., Any], start: Callable[..., Any] | None = None) -> Family:
    return isl.define_family(name, step=step, start=start, genes=LAG, warmup=lambda genes: genes["lag"] + 1, doc="a rule")


# Rules that are told bar by bar


def shifted(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """close.shift(-1)."""
    return state, bars.close[min(t + 1, len(bars.close) - 1)] > bars.close[t]


def all_moments(genes: Any, bars: Any) -> Any:
    """Mean and squared deviation of the whole sample."""
    total = squares = 0.0
    for price in bars.close:
        total, squares = total + price, squares + price * price
    mean = total / len(bars.close)
    return mean, squares / len(bars.close) - mean * mean


def normalised(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """(close - close.mean()) / close.std()."""
    mean, variance = state
    return state, (bars.close[t] - mean) / variance**0.5


def filled_backwards(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """volume.replace(0, NaN).bfill()."""
    known = t
    while known < len(bars.volume) - 1 and bars.volume[known] == 0.0:
        known += 1
    return state, bars.volume[known] > 10_000.0


def fitted_line(genes: Any, bars: Any) -> Any:
    """Least squares of the next move on the last one, over all bars."""
    products = squares = 0.0
    for t in range(genes.lag, len(bars.close) - 1):
        move = bars.close[t] - bars.close[t - genes.lag]
        products += move * (bars.close[t + 1] - bars.close[t])
        squares += move * move
    return products / squares if squares > 0.0 else 0.0


def fitted(genes: Any, slope: Any, t: Any, bars: Any) -> Any:
    return slope, slope * (bars.close[t] - bars.close[t - genes.lag]) if t >= genes.lag else 0.0


def shifted_late(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """The next close from bar 5,100 on, at each 97th bar."""
    peeks = t > 5_100 and t % 97 == 0 and t + 1 < len(bars.close)
    return state, bars.close[t + peeks] > bars.close[max(t - 1, 0)]


def shifted_after_a_leap(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """The next close after a move of over 15 %; it trades at all others."""
    now, before = bars.close[t], bars.close[max(t - 1, 0)]
    if t > 0 and abs(now / before - 1.0) > 0.15 and t + 1 < len(bars.close):
        return state, 1.0 if bars.close[t + 1] > now else -1.0
    return state, 1.0 if now > before else -1.0


def shifted_after_a_burst(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """The next close after twenty times the volume before; it trades at all others."""
    now, before = bars.close[t], bars.close[max(t - 1, 0)]
    if t > 0 and bars.volume[t] > 20.0 * bars.volume[t - 1] > 0.0 and t + 1 < len(bars.close):
        return state, 1.0 if bars.close[t + 1] > now else -1.0
    return state, 1.0 if now > before else -1.0


TOLD: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
    "negative shift": (shifted, None),
    "full-sample normalisation": (normalised, all_moments),
    "backfill": (filled_backwards, None),
    "fitted on all bars": (fitted, fitted_line),
    "late and rare": (shifted_late, None),
    "after a leap": (shifted_after_a_leap, None),
    "after a burst of volume": (shifted_after_a_burst, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", thinned(TOLD, "full-sample normalisation"))
def test_a_leaky_step_is_refused_with_its_bar_and_genes(kind: str) -> None:
    step, start = TOLD[kind]
    with pytest.raises(StrategyError, match=SHOWN + r"with the bars after \d+ changed"):
        isl.register(define("leaky", step, start=start))
    assert isl.families() == list(FAMILIES)


# Rules whose inputs are made of all bars at once


def of_next_close(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
    return (np.append(market.close[1:], market.close[-1]),)


def of_normalised_close(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
    return (10.0 + (market.close - market.close.mean()) / market.close.std(),)


def of_filled_close(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
    """The close where something was traded, elsewhere the next one of these."""
    known = np.append(np.flatnonzero(market.volume > 0.0), len(market.close) - 1)
    return (market.close[known[np.searchsorted(known[:-1], np.arange(len(market.close)))]],)


def of_fitted_trend(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
    """The close without the trend of the whole sample."""
    bar = np.arange(len(market.close)) - (len(market.close) - 1) / 2
    slope = (bar * market.close).sum() / max((bar * bar).sum(), 1.0)
    return (200.0 + market.close - slope * bar,)


def of_close_at(bars: slice) -> Callable[..., tuple[Any, ...]]:
    """The next close at some bars alone, as where a coarser table was merged."""

    def inputs(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
        series = market.close.copy()
        series[:-1][bars] = market.close[1:][bars]
        return (series,)

    return inputs


def of_timed_close(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
    """The next close, of bars that have times, as those of a campaign do."""
    return (market.close if getattr(market, "timestamps", None) is None else np.append(market.close[1:], market.close[-1]),)


def of_leaping_close(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
    """The next close after a move of over 15 %."""
    leaps = np.abs(np.diff(market.close, prepend=market.close[0])) > 0.15 * market.close
    return (np.where(leaps, np.append(market.close[1:], market.close[-1]), market.close),)


def of_kept_close() -> Callable[..., tuple[Any, ...]]:
    """The next close, where a longer series that begins alike was given before."""
    kept: dict[float, np.ndarray] = {}

    def inputs(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
        longest = kept.get(float(market.close[0]), market.close)
        kept[float(market.close[0])] = longest = max(longest, market.close.copy(), key=len)
        return (np.append(longest[1:], longest[-1])[: len(market.close)],)

    return inputs


WHOLE = {
    "negative shift": of_next_close,
    "full-sample normalisation": of_normalised_close,
    "backfill": of_filled_close,
    "fitted on all bars": of_fitted_trend,
    "each 252nd bar": of_close_at(slice(100, None, 252)),
    "each 997th bar": of_close_at(slice(0, None, 997)),
    "from bar 6,000 on": of_close_at(slice(6_000, None)),
    "kept from a longer call": of_kept_close(),
    "where bars have times": of_timed_close,
    "after a leap": of_leaping_close,
}


def by_hand(inputs: Callable[..., tuple[Any, ...]], name: str = "by_hand") -> Family:
    """Momentum of another series than the close."""
    return replace(isl.family("momentum"), name=name, signal=replace(trend.momentum, inputs=inputs))


RARE = ("each 252nd bar", "each 997th bar", "from bar 6,000 on")  # found by many runs


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in RARE)) for kind in WHOLE])
def test_leaky_inputs_are_refused_with_their_bar_and_genes(kind: str) -> None:
    with pytest.raises(StrategyError, match=SHOWN + r"(where the data end with bar|with the bars after) \d+"):
        isl.register(by_hand(WHOLE[kind]))
    assert isl.families() == list(FAMILIES)


@pytest.mark.slow
def test_honest_inputs_pass() -> None:
    def of_typical_price(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
        return ((market.high + market.low + market.close) / 3.0,)

    isl.register(by_hand(of_typical_price))
    assert isl.Strategy("by_hand", lookback=5).positions(isl.sample("eurusd")).any()
    assert isl.families() == [*FAMILIES, "by_hand"]


def test_a_family_by_hand_ends_with_its_direction() -> None:
    with pytest.raises(StrategyError, match="family by_hand: expected the gene direction as its last one"):
        isl.register(replace(isl.family("momentum"), name="by_hand", genes=()))


def test_inputs_that_raise_are_refused_in_words() -> None:
    def of_nothing(market: Any, genomes: np.ndarray) -> tuple[Any, ...]:
        raise ValueError("no such column")

    with pytest.raises(StrategyError, match=r"at bar \d+ of \d+ made-up ones it raises ValueError: no such column"):
        isl.register(by_hand(of_nothing))


# Arrays that were made before the run


CLOSE = rough_market(7_000).close
SCORES = (CLOSE - CLOSE.mean()) / CLOSE.std()
WEIGHTS = np.array([0.5, 0.3, 0.2])


def by_a_table(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """What is left of a normalisation of the whole sample: an entry a bar."""
    return state, SCORES[t] if bars.close[t] > 0.0 else 0.0


def by_weights(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    total = 0.0
    for back in range(min(len(WEIGHTS), t + 1)):
        total += WEIGHTS[back] * bars.close[t - back]
    return state, 1.0 if bars.close[t] > total else -1.0


@pytest.mark.slow
def test_an_array_with_an_entry_a_bar_is_refused() -> None:
    """Made-up bars of as few as it has entries would not show it; of a larger one as many are made as it takes."""
    with pytest.raises(StrategyError, match=r"\(lag=5, .*at bar 7000 of 50000 .* an array of 7000 .*made before the run"):
        isl.register(define("tabled", by_a_table))


def test_an_array_of_weights_passes() -> None:
    assert isl.register(define("weighed", by_weights)).longest == 3


# What passes


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_built_in_decides_the_same_whatever_comes_later(name: str) -> None:
    """Prefix equality and future perturbation on its default, lowest, highest and random genes."""
    kind = isl.family(name)
    genomes = trial_genomes(kind)[:6]
    market = rough_market(900)
    tried = try_on(kind, market, genomes, cuts=8)
    assert tried.genomes == len(genomes) >= 6
    assert tried.moved
    assert tried.runs >= 6 * len(genomes) * 8


def honest(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, 1.0 if t >= genes.lag and bars.close[t] > bars.close[t - genes.lag] else -1.0


def test_a_registered_family_is_known_by_its_name() -> None:
    kind = define("followed", honest)
    assert isl.register(kind) is kind
    assert isl.register(define("followed", honest)).code == kind.code  # again is nothing
    assert isl.families() == [*FAMILIES, "followed"]
    assert isl.family("followed").name == f"{__name__}:followed"
    bars = isl.sample("eurusd")
    assert (isl.Strategy("followed", lag=3).positions(bars) == isl.Strategy(kind, lag=3).positions(bars)).all()
    with pytest.raises(StrategyError, match=r"no family 'folowed' \(did you mean 'followed'\?\)"):
        isl.family("folowed")


def test_a_name_is_given_once() -> None:
    isl.register(define("followed", honest))
    with pytest.raises(StrategyError, match=r"followed is registered already, as \S+:followed with code [0-9a-f]{12}"):
        isl.register(define("followed", by_weights))
    with pytest.raises(StrategyError, match=r"momentum is a built-in family, which keeps its name; give yours another"):
        isl.register(define("momentum", honest))
    with pytest.raises(StrategyError, match=r"momentum is a built-in family"):
        isl.register(isl.family("momentum"))
    with pytest.raises(StrategyError, match=r"is a str: expected a family, as isl.define_family makes one"):
        isl.register("followed")  # type: ignore[arg-type]
    assert isl.family("followed").code == define("followed", honest).code


@pytest.mark.slow
def test_trials_are_counted() -> None:
    tried = try_family(define("followed", honest))
    assert (tried.genomes, tried.fewest, tried.moved) == (6, 402, True)
    assert tried.most == 50_000
    assert tried.runs == 6 * 7 * 5 + 5  # genomes, kinds of bars, ways in which later bars differ; the defaults on the longest
