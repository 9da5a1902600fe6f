"""What a campaign proposes: the best different strategies of all islands, judged on common terms, and their figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from islands.errors import StrategyError
from islands.evaluation import Backtest, evaluate
from islands.evidence.diversity import Track, different, grounds, track_of
from islands.evidence.robustness import Setting
from islands.evolution.deme import Deme
from islands.evolution.island import IslandState
from islands.evolution.ranking import best_distinct, crowded, order
from islands.evolution.world import Market, World, costs_of
from islands.kernels.metrics import METRICS
from islands.market.bars import Bars
from islands.strategies.overlays import Stops
from islands.strategies.strategy import Strategy

Figures = dict[str, dict[str, float]]
"""METRICS by name, for each instrument by name."""

LOOKED_AT = 50
"""Candidates looked at for each champion asked for, at most: in demes that have converged nearly all are copies."""


@dataclass(frozen=True)
class Champion:
    """One proposal: where and when it arose, the value of each objective, and its figures on the bars of evolution."""

    rank: int
    strategy: Strategy
    born: tuple[int, int, int]
    values: tuple[float, ...]
    figures: Figures


def candidates(world: World, states: tuple[IslandState, ...], demes: bool = False) -> Deme:
    """Everybody in the islands' halls of fame, once, scored on common terms: all segments of all instruments.

    Islands may be different worlds, whose scores can't be compared. demes: the best of those who live now come as well;
    a hall has room for the very best alone, which are apt to be copies of one another.
    """
    parts = [state.hall_of_fame for state in states]
    if demes:
        most = LOOKED_AT * world.spec.champions
        parts += [best_distinct(state.deme, most, world.signs, feasible_only=True) for state in states]
    everyone = Deme.empty(world.width, len(world.signs)).join(*parts)
    scores = world.score(world.segments, everyone.families, everyone.genomes)
    rescored = Deme(everyone.families, everyone.genomes, scores, everyone.births)
    return best_distinct(rescored, len(rescored), world.signs, feasible_only=True)


def pareto_front(world: World, states: tuple[IslandState, ...]) -> Deme:
    """The candidates that no other dominates, of equals in all objectives the first born; of one objective the best alone."""
    people = candidates(world, states)
    if len(world.signs) == 1:
        return people.take(list(range(min(len(people), 1))))
    front = people.take(np.flatnonzero(crowded(people, world.signs)[0] == 0))
    first: dict[bytes, int] = {}
    island, generation, slot = front.births.T
    for row in np.lexsort((slot, island, generation)).tolist():
        first.setdefault(front.scores[row].tobytes(), row)
    distinct = front.take(sorted(first.values()))
    return distinct.take(order(distinct, world.signs))


def select_champions(world: World, states: tuple[IslandState, ...]) -> list[Champion]:
    """The best candidates that are different ideas, best first; maybe none, maybe fewer than asked for.

    One whose positions or returns correlate with those of a better champion by the spec's `most_alike` or more is left
    out. Of several objectives: of the front, the least crowded first.
    """
    several = len(world.signs) > 1
    people = _without_twins(world, pareto_front(world, states) if several else candidates(world, states, demes=True))
    people = people.take(list(range(min(len(people), LOOKED_AT * world.spec.champions))))
    best = people.take(different(_tracks(world, people), world.spec.champions, world.spec.most_alike))
    strategies = [world.strategy(int(f), g) for f, g in zip(best.families, best.genomes, strict=True)]
    figures = _figures(strategies, _judged(world))
    births, values = best.births.tolist(), best.scores[:, :-1].tolist()
    return [
        Champion(rank + 1, strategies[rank], tuple(births[rank]), tuple(values[rank]), figures[rank])
        for rank in range(len(strategies))
    ]


def _without_twins(world: World, people: Deme) -> Deme:
    """Those whose figures are not to the last bit those of somebody before them: genes that never act make twins.

    The same could be seen from runs bar by bar; this is a kernel call for all.
    """
    places = [market for stretch in world.stretches for market in stretch]
    figures = np.empty((len(people), len(places), len(METRICS)))
    for index in np.unique(people.families).tolist():
        rows = np.flatnonzero(people.families == index)
        genomes = world.genes(index, people.genomes[rows])
        figures[rows] = np.stack([world.metrics(market, index, genomes) for market in places], axis=1)
    first: dict[bytes, int] = {}
    for row, figure in enumerate(figures):
        first.setdefault(figure.tobytes(), row)
    return people.take(list(first.values()))


def held_back_figures(world: World, champions: list[Champion], bars: Mapping[str, Bars], closes: bool = False) -> list[Figures]:
    """METRICS of each champion on the held-back bars: indicators run over all bars, the account starts flat there. closes:
    whether it ends flat as well, as on the test part of a fold.

    Only this function and `replay` look at those bars; a campaign calls them when it has finished, not before.
    """
    places = {
        market.name: [setting(world, market.name, bars[market.name], len(market.tape), closes)] for market in world.markets
    }
    return _figures([champion.strategy for champion in champions], places)


def replay(
    world: World, champion: Champion, bars: Mapping[str, Bars], held_back: bool, closes: bool = False
) -> dict[str, Backtest]:
    """A champion's run bar by bar on each instrument, over the bars of evolution, or over the held-back ones; closed at the
    end or not."""
    return {
        market.name: setting(
            world,
            market.name,
            (bars if held_back else _seen(world))[market.name],
            len(market.tape) if held_back else world.warmup,
            closes,
        ).run(champion.strategy)
        for market in world.markets
    }


def setting(world: World, instrument: str, bars: Bars, first: int, closes: bool = False) -> Setting:
    """Where champions are run: one instrument's bars on the campaign's terms, from a bar on, maybe closed at the end."""
    account = world.spec.account
    costs = costs_of(world.spec.costs_of(instrument))
    return Setting(bars, costs, account.intrabar, account.initial_cash, account.periods_per_year, first, closes)


def setting_of(world: World, market: Market) -> Setting:
    """Where champions are run on a part of the bars of evolution, on its own terms."""
    place = setting(world, market.name, Bars(market.name, market.tape), market.terms.first, market.terms.closes)
    return replace(place, periods_per_year=market.terms.periods_per_year)


def _judged(world: World) -> dict[str, list[Setting]]:
    """Of each instrument what is judged of its bars of evolution: see `World.stretches`."""
    return {parts[0].name: [setting_of(world, part) for part in parts] for parts in zip(*world.stretches, strict=True)}


def _tracks(world: World, people: Deme) -> Iterator[Track]:
    """What each of these holds and earns on what is judged of the bars of evolution, one at a time."""
    places = grounds([place for places in _judged(world).values() for place in places])
    for family, genome in zip(people.families, people.genomes, strict=True):
        yield track_of(world.strategy(int(family), genome), places)


def _seen(world: World) -> dict[str, Bars]:
    return {market.name: Bars(market.name, market.tape) for market in world.markets}


def _figures(strategies: list[Strategy], settings: Mapping[str, Sequence[Setting]]) -> list[Figures]:
    """The figures of each strategy on each instrument, of several settings their plain means."""
    rows: list[Figures] = [{} for _ in strategies]
    for name, places in settings.items() if strategies else ():
        tables = [_figures_on(place, strategies) for place in places]
        for row, found in zip(rows, zip(*tables, strict=True), strict=True):
            row[name] = _means(found)
    return rows


def _figures_on(place: Setting, strategies: list[Strategy]) -> list[dict[str, float]]:
    """METRICS of each strategy in one setting; NaN of one that raises there, as on held-back bars at the earliest."""
    try:
        frame = evaluate(
            place.bars,
            strategies,
            place.costs,
            Stops(intrabar=place.intrabar),
            initial_cash=place.initial_cash,
            periods_per_year=place.periods_per_year,
            score_from=place.score_from,
            closes=place.closes,
        )
    except StrategyError:
        if len(strategies) == 1:
            return [dict.fromkeys(METRICS, float("nan"))]
        return [_figures_on(place, [strategy])[0] for strategy in strategies]
    return frame.drop("strategy", "family").to_dicts()


def records(world: World, champions: list[Champion], held_back: list[Figures] | None) -> list[dict[str, Any]]:
    """Champions as plain values; `held_back` only where a finished campaign has them.

    "metrics" and "held_back" are figures by name: of several instruments their plain means, and "instruments" has those
    of each.
    """
    names = [objective.name for objective in world.aim.objectives]
    rows = []
    for i, champion in enumerate(champions):
        row = {
            "rank": champion.rank,
            **champion.strategy.to_dict(),
            "born": list(champion.born),
            "value": champion.values[0],
            "objectives": dict(zip(names, champion.values, strict=True)),
            "metrics": _means(list(champion.figures.values())),
        }
        if held_back is not None:
            row["held_back"] = _means(list(held_back[i].values()))
        if len(world.markets) > 1:
            row["instruments"] = {
                name: {"metrics": champion.figures[name], **({"held_back": held_back[i][name]} if held_back else {})}
                for name in champion.figures
            }
        rows.append(row)
    return rows


def _means(tables: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each metric's mean over the instruments, or stretches; NaN where it is undefined on one."""
    return {name: sum(table[name] for table in tables) / len(tables) for name in METRICS}
