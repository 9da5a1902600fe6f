"""What is known of a champion when it is judged: each figure with what it was computed from, none that was not computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from islands.evaluation import Backtest
from islands.evidence.champions import Champion, replay, setting, setting_of
from islands.evidence.multiplicity import holm
from islands.evidence.overfitting import effective_trials
from islands.evidence.sharpe import deflated_sharpe, expected_maximum_sharpe, moments, probabilistic_sharpe
from islands.evolution.world import World
from islands.market.bars import Bars
from islands.market.tape import YEAR_US
from islands.strategies.strategy import Strategy

SAMPLE = 400
"""Founders whose returns are computed again, at most ..."""

SAMPLE_RETURNS = 20_000_000
"""... and fewer, 20 at least, where these were more returns than this, 160 MB."""


@dataclass(frozen=True)
class Search:
    """What the search was, as far as luck is concerned.

    trials: distinct genomes with a finite Sharpe ratio, infeasible ones included (judging.py: where that is not known, all);
    prior: what the spec says was tried elsewhere; elsewhere: what the register says that other campaigns have tried.
    effective: of all these, how many independent ones, by the correlation of the returns of `sampled` founders, whom nothing
    had selected. variance: of Sharpe ratios a bar over these founders, and 1/T where that is larger.
    """

    trials: int
    prior: int
    effective: float
    sampled: int
    variance: float
    elsewhere: int = 0

    @property
    def tried(self) -> int:
        """All trials that luck had."""
        return self.trials + self.prior + self.elsewhere


@dataclass(frozen=True)
class Part:
    """A champion on one part of the bars. p: of its Sharpe ratio against none; p_benchmark: of that of its returns over a
    position held throughout, as large as its own was on average."""

    bars: int
    sharpe: float
    annual: float
    p: float
    p_benchmark: float
    benchmark_return: float
    exposure: float


def search_of(world: World, trials: int, founders: Sequence[Any], prior: int, elsewhere: int = 0) -> Search:
    """founders: (family, padded genome) of unselected trials of generation 0. The others: see `Search`."""
    sampled = sample_returns(world, founders, SAMPLE, SAMPLE_RETURNS)
    length = len(sampled[0]) if len(sampled) else 2
    ratios = sampled.mean(axis=1) / sampled.std(axis=1, ddof=1) if len(sampled) else np.zeros(0)
    variance = float(max(np.var(ratios, ddof=1) if len(ratios) > 1 else 0.0, 1.0 / length))
    tried = trials + prior + elsewhere
    effective = effective_trials(sampled.T, tried) if len(sampled) > 1 else float(tried)
    return Search(trials, prior, float(effective), len(sampled), variance, elsewhere)


def sample_returns(world: World, founders: Sequence[Any], most: int, budget: int) -> np.ndarray:
    """Pooled returns of founders taken evenly, (N, T), on what is judged of the bars of evolution; those that never move are
    left out.

    founders: as in `search_of`. most: of them at most, and fewer, 20 at least, where these were more than `budget` returns.
    """
    bars = sum(len(market.tape) - market.terms.first for stretch in world.stretches for market in stretch)
    size = int(max(20, min(most, budget // bars)))
    chosen = [founders[i] for i in np.unique(np.linspace(0, len(founders) - 1, size).astype(int))] if founders else []
    found = [_returns_of(world, world.strategy(index, genome)) for index, genome in chosen]
    return np.array([series for series in found if series is not None and series.std() > 0.0])


def _returns_of(world: World, strategy: Strategy) -> np.ndarray | None:
    """As `returns_of`; None of a user's own rule that raises where its island was not scored."""
    try:
        return returns_of(world, strategy)
    except Exception:
        return None


def returns_of(world: World, strategy: Strategy) -> np.ndarray:
    """Pooled returns on what is judged, one stretch after another (see `World.stretches`), (T,)."""
    found = []
    for stretch in world.stretches:
        runs = {market.name: setting_of(world, market).run(strategy) for market in stretch}
        stamps = {market.name: market.tape.timestamps for market in stretch}
        first = {market.name: market.terms.first for market in stretch}
        found.append(pooled({name: run.returns for name, run in runs.items()}, stamps, first))
    return np.concatenate(found)


def _stamps(world: World, bars: Mapping[str, Bars] | None) -> dict[str, np.ndarray]:
    return {market.name: (market.tape if bars is None else bars[market.name].tape).timestamps for market in world.markets}


def pooled(series: Mapping[str, np.ndarray], stamps: Mapping[str, np.ndarray], first: int | Mapping[str, int]) -> np.ndarray:
    """Returns of an account split evenly over the instruments: at each time the mean over all, 0 where one has no bar.

    series, stamps: of each instrument, (T,); first: its first scored bar.
    """
    starts = {name: first if isinstance(first, int) else first[name] for name in series}
    if len(series) == 1:
        name = next(iter(series))
        return series[name][starts[name] :]
    times = np.unique(np.concatenate([stamps[name][starts[name] :] for name in series]))
    total = np.zeros(len(times))
    for name, values in series.items():
        total[np.searchsorted(times, stamps[name][starts[name] :])] += values[starts[name] :]
    return total / len(series)


def deflated(world: World, champion: Champion, search: Search) -> dict[str, float]:
    """A champion on the bars of evolution against the luck of the search; see `deflated_sharpe`.

    sharpe is a bar's; expected is the best that so many trials without worth are expected to reach; probability and
    probability_effective are the deflated ratios by all trials and by the effective number.
    """
    series = seen_returns(world, champion)
    found = moments(series)
    values = {"sharpe": found.sharpe, "skew": found.skew, "kurtosis": found.kurtosis}
    values["periods_per_year"] = periods_per_year_of(world, len(series))
    for name, trials in (("", search.tried), ("_effective", max(search.effective, 1.0))):
        values[f"expected{name}"] = expected_maximum_sharpe(trials, search.variance)
        values[f"probability{name}"] = deflated_sharpe(
            found.sharpe, trials, search.variance, len(series), found.skew, found.kurtosis
        )
    return values


def seen_returns(world: World, champion: Champion) -> np.ndarray:
    """A champion's pooled returns on what is judged of the bars of evolution: see `World.stretches`."""
    return returns_of(world, champion.strategy)


def held_back(world: World, champion: Champion, bars: Mapping[str, Bars]) -> Part:
    """A champion on the bars that it was not chosen on; one of a user's own rules that raises there shows nothing."""
    try:
        own, benchmark, exposure = held_back_returns(world, champion, bars)
    except Exception:
        return _NOTHING
    return _part(own, benchmark, exposure, held_back_pace(world, len(own), bars))


def tested(world: World, champion: Champion, bars: Mapping[str, Bars], spans: Sequence[tuple[int, int]]) -> Part:
    """A fold's champion on its test parts, one after another, each from flat to flat; see `returns_between` for `spans`.

    The benchmark holds in each of them the champion's average exposure there.
    """
    try:
        own, benchmark, exposures = zip(*(_between(world, champion, bars, *span) for span in spans), strict=True)
    except Exception:
        return _NOTHING
    whole = np.concatenate(own)
    exposure = float(np.average(exposures, weights=[len(part) for part in own]))
    return _part(whole, np.concatenate(benchmark), exposure, periods_per_year_of(world, len(whole)))


_NOTHING = Part(0, float("nan"), float("nan"), 1.0, 1.0, float("nan"), float("nan"))


def _part(own: np.ndarray, benchmark: np.ndarray, exposure: float, pace: float) -> Part:
    """What pooled returns come to, with those of their benchmark."""
    sharpe = moments(own).sharpe
    return Part(
        bars=len(own),
        sharpe=sharpe,
        annual=sharpe * float(np.sqrt(pace)),
        p=1.0 - _probability(own),
        p_benchmark=1.0 - _probability(own - benchmark),
        benchmark_return=float(np.prod(1.0 + benchmark) - 1.0),
        exposure=exposure,
    )


def held_back_returns(world: World, champion: Champion, bars: Mapping[str, Bars]) -> tuple[np.ndarray, np.ndarray, float]:
    """On the held-back bars a champion's pooled returns, those of holding its own average exposure, and that exposure."""
    runs = replay(world, champion, bars, True)
    first, stamps = _test_starts(world), _stamps(world, bars)
    own = pooled({name: run.returns for name, run in runs.items()}, stamps, first)
    exposures = {name: _exposure(run, bars[name], first[name]) for name, run in runs.items()}
    held = {name: exposures[name] * _market_returns(bars[name]) for name in runs}
    return own, pooled(held, stamps, first), sum(exposures.values()) / len(exposures)


def held_back_pace(world: World, count: int, bars: Mapping[str, Bars]) -> float:
    """Periods per year of so many pooled returns on the held-back bars."""
    return periods_per_year_of(world, count, bars, _test_starts(world))


def returns_between(world: World, champion: Champion | None, bars: Mapping[str, Bars], begin: int, end: int) -> np.ndarray:
    """A champion's pooled returns on the bars that open in [begin, end), microseconds since the Unix epoch; nobody's are 0.

    Indicators run over all bars before; the account starts flat there, and an order at the last open ends what is held.
    """
    if champion is None:
        first = {name: int(np.searchsorted(whole.timestamps, begin)) for name, whole in bars.items()}
        stamps = {name: whole.timestamps[: np.searchsorted(whole.timestamps, end)] for name, whole in bars.items()}
        return pooled({name: np.zeros(len(times)) for name, times in stamps.items()}, stamps, first)
    return _between(world, champion, bars, begin, end)[0]


def _between(
    world: World, champion: Champion, bars: Mapping[str, Bars], begin: int, end: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """A champion's pooled returns on the bars that open in [begin, end), those of holding its own average exposure there, and
    that exposure."""
    series, held, stamps, first, exposures = {}, {}, {}, {}, []
    for name, whole in bars.items():
        start, stop = (int(place) for place in np.searchsorted(whole.timestamps, [begin, end]))
        cut = Bars(whole.name, whole.tape.head(stop))
        stamps[name], first[name] = cut.timestamps, start
        series[name], held[name] = np.zeros(stop), np.zeros(stop)
        if start < stop:
            run = setting(world, name, cut, start, closes=True).run(champion.strategy)
            exposures.append(_exposure(run, cut, start))
            series[name], held[name] = run.returns, exposures[-1] * _market_returns(cut)
    exposure = sum(exposures) / len(exposures) if exposures else 0.0
    return pooled(series, stamps, first), pooled(held, stamps, first), exposure


def _test_starts(world: World) -> dict[str, int]:
    return {market.name: len(market.tape) for market in world.markets}


def _probability(series: np.ndarray) -> float:
    """That the ratio behind a series is above 0; 0 where it never moves, since nothing speaks for it."""
    found = moments(series)
    if not np.isfinite(found.sharpe):
        return 0.0
    return probabilistic_sharpe(found.sharpe, 0.0, len(series), found.skew, found.kurtosis)


def periods_per_year_of(
    world: World, count: int, bars: Mapping[str, Bars] | None = None, first: Mapping[str, int] | None = None
) -> float:
    """Of pooled returns: as the spec says or the bars measure; of several instruments, so many over the years they span.

    Without `bars` the pace is that of all bars of evolution, as many as they are: a part of them is no other market.
    """
    given = world.spec.account.periods_per_year
    if given is not None:
        return given
    tapes = [market.tape if bars is None else bars[market.name].tape for market in world.markets]
    if len(tapes) == 1:
        return tapes[0].periods_per_year
    starts = [world.warmup if first is None else first[market.name] for market in world.markets]
    begin = min(int(tape.timestamps[start]) for tape, start in zip(tapes, starts, strict=True))
    end = max(int(tape.timestamps[-1]) for tape in tapes)
    if bars is None:
        count = len(np.unique(np.concatenate([tape.timestamps[start:] for tape, start in zip(tapes, starts, strict=True)])))
    return (count - 1) * YEAR_US / (end - begin)


def _exposure(run: Backtest, bars: Bars, first: int) -> float:
    """The mean share of the account that was in the market, with its sign, over the scored bars."""
    equity = run.equity[first:]
    alive = equity > 0.0
    return float(np.mean(np.where(alive, run.units[first:] * bars.close[first:] / np.where(alive, equity, 1.0), 0.0)))


def _market_returns(bars: Bars) -> np.ndarray:
    """Of holding the instrument, close to close, (T,); bar 0 from its open."""
    before = np.concatenate(([bars.open[0]], bars.close[:-1]))
    return bars.close / before - 1.0


def adjusted(parts: Sequence[Part], openings: int) -> list[tuple[float, float]]:
    """The p-values of champions on held-back bars, and against the benchmark, by Holm over champions times openings."""
    columns = [[getattr(part, name) for part in parts] for name in ("p", "p_benchmark")]
    return list(zip(*(holm(column, len(column) * openings) for column in columns), strict=True)) if parts else []
