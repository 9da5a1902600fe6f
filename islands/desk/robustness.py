"""What a champion hangs on, as rows of tables: later fills, dearer ones, its neighbours, the time, the instrument."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from islands.desk.figures import NOTHING, heading, number, percent, short_gene, shown
from islands.errors import InputError, StrategyError
from islands.evidence.champions import Champion, setting
from islands.evidence.robustness import Setting, cost_sweep, lag_sweep, neighbourhood, regimes, sub_periods
from islands.market.bars import Bars
from islands.strategies.strategy import Strategy

if TYPE_CHECKING:
    from islands.evolution.world import Market, World

HEADINGS = ["changed", "to", "Sharpe", "return", "trades"]

FIGURES = ("sharpe", "total_return", "max_drawdown", "trades")
EACH_HEADINGS = ["instrument", "on its island", *map(heading, FIGURES)]

MOST = 6
"""Instruments on which it is shaken, the first ones; its figures are shown on all."""

CHAMPIONS = 20
"""Champions that are shaken at most, ..."""

BARS = 4_000_000
"""... and fewer, one at least, where those were more bars: all of it takes some 10 s of one core at most."""


def shaken(world: World) -> int:
    """How many champions are shaken, the first ones."""
    return max(1, min(CHAMPIONS, BARS // sum(len(market.tape) for market in world.markets[:MOST])))


@dataclass(frozen=True)
class Hangs:
    """rows under HEADINGS, on the bars of evolution of one instrument, and what they come to in a sentence."""

    instrument: str
    rows: list[list[str]]
    summary: str


def hangs_on(world: World, strategy: Strategy) -> list[Hangs]:
    """On the bars of evolution of each instrument by itself, MOST at most; nothing here looks at held-back ones."""
    return [_hangs_on(world, strategy, market) for market in world.markets[:MOST]]


def on_each(world: World, champion: Champion) -> list[list[str]]:
    """Its figures on the bars of evolution of each instrument, under EACH_HEADINGS; none where there is one instrument.

    "on its island" is whether the island where it was born was scored on that instrument; elsewhere nothing bred it.
    """
    bred = {market.name for market in world.habitats[champion.born[0]].markets}
    if len(world.markets) < 2:
        return []
    return [
        [name, "scored" if name in bred else "not scored", *(shown(figure, figures[figure]) for figure in FIGURES)]
        for name, figures in champion.figures.items()
    ]


def _hangs_on(world: World, strategy: Strategy, market: Market) -> Hangs:
    place = setting(world, market.name, Bars(market.name, market.tape), world.warmup)
    swept = cost_sweep(place, strategy)
    rows = [_row("delay", _later(lag), f) for lag, f in lag_sweep(place, strategy).items()]
    rows += [_row("costs a side", f"{bps:.3g} basis points", figures) for bps, figures in swept.figures.items()]
    rows += _over_time(place, strategy)
    around, share = _around(world, place, strategy)
    return Hangs(market.name, rows + around, f"{_break_even(swept.break_even_bps)} {share}".strip())


def _row(what: str, to: str, figures: Mapping[str, float]) -> list[str]:
    return [what, to, *(shown(name, figures[name]) for name in ("sharpe", "total_return", "trades"))]


def _over_time(place: Setting, strategy: Strategy) -> list[list[str]]:
    """Quarters of the time, and terciles of volatility; without what the bars are too few for."""
    run, first = place.run(strategy), place.score_from
    pace = place.periods_per_year or place.bars.periods_per_year
    rows = []
    try:
        for number_, figures in enumerate(sub_periods(run.returns[first:], pace), 1):
            rows.append(["part of the time", f"quarter {number_}", *_both(figures["sharpe"], figures["total_return"])])
        named = zip(("quiet", "middling", "wild"), regimes(run.returns[first:], place.bars.close[first:], pace), strict=True)
        rows += [["volatility before", name, *_both(part.sharpe, part.total_return)] for name, part in named]
    except InputError:
        pass
    return rows


def _both(sharpe: float, total_return: float) -> list[str]:
    return [shown("sharpe", sharpe), shown("total_return", total_return), NOTHING]


def _around(world: World, place: Setting, strategy: Strategy) -> tuple[list[list[str]], str]:
    """The best and the worst neighbour, and the share that keeps half."""
    space = next(space for space in world.spaces if space.family.name == strategy.family.name)
    try:
        found = neighbourhood(place, strategy, space)
    except StrategyError:
        return [], ""
    ranked = sorted((n for n in found.neighbours if math.isfinite(n.figure)), key=lambda n: n.figure)
    rows = [
        ["a gene, one step", f"{each.gene} = {short_gene(each.value)} ({what})", number(each.figure), NOTHING, NOTHING]
        for what, each in zip(("worst", "best"), (ranked[0], ranked[-1]), strict=True)
    ] if ranked else []  # fmt: skip
    if not math.isfinite(found.share):
        return rows, ""
    kind = "a plateau" if found.share >= 0.75 else "a spike" if found.share < 0.5 else "neither a plateau nor a spike"
    kept = percent(found.share, digits=0)
    return rows, f"Of {len(found.neighbours)} neighbours one step away {kept} keep half of its Sharpe ratio: {kind}."


def _break_even(bps: float) -> str:
    if bps == 0.0:
        return "It earns nothing even without costs."
    if math.isinf(bps):
        return "No costs use up what it earns."
    return f"Costs of {bps:.3g} basis points a side use up all that it earns."


def _later(lag: int) -> str:
    return f"{lag} more bar{'s' * (lag > 1)}" if lag else "none, as it is"
