"""What a campaign proposes: the best distinct strategies of all islands, and their figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from islands.evaluation import Backtest, backtest, evaluate
from islands.evolution.deme import Deme
from islands.evolution.island import IslandState
from islands.evolution.world import World, costs_of
from islands.market.bars import Bars
from islands.strategies.strategy import Strategy


@dataclass(frozen=True)
class Champion:
    """One proposal: where and when it arose, its score in the campaign, and its METRICS on the bars of evolution."""

    rank: int
    strategy: Strategy
    born: tuple[int, int, int]
    value: float
    metrics: dict[str, float]


def select_champions(world: World, states: tuple[IslandState, ...]) -> list[Champion]:
    """The best distinct feasible individuals of all islands' halls of fame, best first; maybe none."""
    everyone = Deme.empty(world.width).join(*(state.hall_of_fame for state in states))
    best = everyone.best_distinct(world.spec.champions, world.objective.sign, feasible_only=True)
    strategies = [world.strategy(int(f), g) for f, g in zip(best.families, best.genomes, strict=True)]
    if not strategies:
        return []
    table = _figures(world, strategies, _seen(world), world.terms.first)
    births, values = best.births.tolist(), best.scores[:, 0].tolist()
    return [
        Champion(rank + 1, strategies[rank], tuple(births[rank]), values[rank], table[rank]) for rank in range(len(strategies))
    ]


def held_back_figures(world: World, champions: list[Champion], bars: Bars) -> list[dict[str, float]]:
    """METRICS of each champion on the held-back bars: indicators run over all bars, the account starts flat there.

    Only this function and `replay` look at those bars; a campaign calls them when it has finished, not before.
    """
    if not champions:
        return []
    return _figures(world, [champion.strategy for champion in champions], bars, len(world.tape))


def replay(world: World, champion: Champion, bars: Bars, held_back: bool) -> Backtest:
    """A champion's run bar by bar, over the bars of evolution, or over the held-back ones."""
    seen = bars if held_back else _seen(world)
    first = len(world.tape) if held_back else world.terms.first
    return backtest(seen, champion.strategy, costs_of(world.spec), score_from=first, **_account(world))


def _seen(world: World) -> Bars:
    return Bars("bars of evolution", world.tape)


def _figures(world: World, strategies: list[Strategy], bars: Bars, first: int) -> list[dict[str, float]]:
    frame = evaluate(bars, strategies, costs_of(world.spec), score_from=first, **_account(world))
    return frame.drop("strategy", "family").to_dicts()


def _account(world: World) -> dict[str, Any]:
    return {"initial_cash": world.terms.initial_cash, "periods_per_year": world.spec.account.periods_per_year}


def records(champions: list[Champion], held_back: list[dict[str, float]] | None) -> list[dict[str, Any]]:
    """Champions as plain values; `held_back` (by metric) only where a finished campaign has them."""
    rows = []
    for i, champion in enumerate(champions):
        row = {
            "rank": champion.rank,
            **champion.strategy.to_dict(),
            "born": list(champion.born),
            "value": champion.value,
            "metrics": champion.metrics,
        }
        if held_back is not None:
            row["held_back"] = held_back[i]
        rows.append(row)
    return rows
