"""What a spec will do before it does it: for `islands validate`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from islands.cross_validation import folds_of
from islands.desk.figures import costs_words, count, duration, searched
from islands.evolution.world import MOST_EATEN, Market, World
from islands.forecast import Forecast
from islands.market.bars import Bars
from islands.market.instants import duration_text, instant_text
from islands.spec import ONLY, PoolingSpec
from islands.strategies.space import Space


def plan(world: World, bars: Mapping[str, Bars], expected: Forecast) -> RenderableType:
    """The campaign in figures: instruments, search space, islands, what it is after, and what it costs."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (*_evolution(world), *_costs_of_running(world, expected)):
        facts.add_row(name, value)
    return Group(_instruments(world, bars), _families(world), _islands(world), facts)


def doubts(world: World, bars: Mapping[str, Bars], expected: Forecast) -> Iterator[str]:
    """What is allowed, and probably not meant."""
    for market in world.markets:
        warm = market.terms.first / len(market.tape)
        if warm > MOST_EATEN:
            yield (
                f"{market.name}: the warm-up of the search space takes {market.terms.first:,} of {len(market.tape):,} bars "
                f"({warm:.0%}); lower the upper bounds of the periods"
            )
        if market.terms.fee == 0.0 and market.terms.slippage == 0.0:
            yield f"{market.name}: trading is free; what is found will trade often, and lose by its costs"
        if len(market.tape) == len(bars[market.name]):
            yield f"{market.name}: no bars are held back, so nothing will show how a champion does on bars it was not chosen on"
    if len(world.markets) == 1 and world.spec.pooling != PoolingSpec():
        yield "pooling is over instruments, and there is one: it does nothing"
    if len(world.spec.objectives) == 1 and world.spec.objectives[0].reference is not None:
        yield "objective.reference is for several objectives, and there is one: it does nothing"
    yield from _idle(world)
    if world.spec.limits.min_trades is None:
        yield "limits.min_trades is not set: a single lucky trade may win"
    yield from _never(world)
    genomes = sum(map(genomes_of, world.spaces))
    if genomes < expected.evaluations:
        yield f"the search space holds {genomes:,} genomes for {expected.evaluations:,} evaluations: it will repeat itself"


def _idle(world: World) -> Iterator[str]:
    """Keys of the account that nothing will read."""
    overlays = {gene.name for space in world.spaces for gene in space.overlays}
    takes = overlays & {"take_profit", "atr_take_profit"}
    stops = overlays & {"stop_loss", "trailing", "atr_stop_loss", "atr_trailing"}
    if world.spec.account.intrabar != "pessimistic" and not (takes and stops):
        yield "account.intrabar is for a stop and a take-profit in one bar; without both in overlays it does nothing"
    for market in world.markets:
        costs = world.spec.costs_of(market.name)
        if costs.maker_fee is not None and not takes:
            yield f"{market.name}: costs.maker_fee is a take-profit's; without one in overlays it does nothing"
        if not costs.funding and market.tape.funding_rate is None:
            yield f"{market.name}: costs.funding = false: these bars have no funding_rate, so it does nothing"
    if any(gene.high > 1.0 for space in world.spaces for gene in space.overlays if gene.name == "stop_loss"):
        yield "overlays.stop_loss reaches beyond 1, which is the whole price: it is a fraction, 0.02 for two per cent"


def _never(world: World) -> Iterator[str]:
    """What the campaign is too short for."""
    epochs, migration = world.spec.evolution.epochs, world.spec.migration
    travels = migration.emigrants and any(world.topology.senders)
    if travels and migration.interval + migration.delay > epochs:
        yield (
            f"nobody will arrive anywhere: the first emigrants leave after epoch {migration.interval} and are there in epoch "
            f"{migration.interval + migration.delay}, of {epochs}; lower migration.interval or delay, or run more epochs"
        )
    for rule in world.spec.stagnation:
        if rule.epochs >= epochs:
            yield f"stagnation: {rule.rule} after {count(rule.epochs, 'epoch')} is never due in {count(epochs, 'epoch')}"


def genomes_of(space: Space) -> int:
    """How many genomes a space holds, constraints aside."""
    return math.prod(gene.last + 1 for gene in space.genes)


def _instruments(world: World, bars: Mapping[str, Bars]) -> Table:
    table = _table("instrument", "bars", "from", "to", "step", "gaps", "evolution sees", "held back from", "costs per side")
    for market in world.markets:
        part = bars[market.name]
        seen, costs = len(market.tape), world.spec.costs_of(market.name)
        table.add_row(
            market.name,
            f"{len(part):,}",
            instant_text(int(part.timestamps[0])),
            instant_text(int(part.timestamps[-1])),
            duration_text(part.step_us),
            f"{part.gaps().height:,}",
            f"{seen:,}",
            instant_text(int(part.timestamps[seen])) if seen < len(part) else "–",
            costs_words(costs),
        )
    return table


def _families(world: World) -> Table:
    table = _table("family", "genomes", "warm-up", "searched")
    for space in world.spaces:
        genes = ", ".join(f"{gene.name} {searched(gene)}" for gene in space.genes)
        table.add_row(space.family.name, f"{genomes_of(space):.3g}", f"{space.warmup:,}", genes)
    return table


def _islands(world: World) -> Table:
    table = _table("islands", "population", "families", "scored on", "receives from", "operators")
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, habitat in enumerate(world.habitats):
        evolution = habitat.evolution
        row: tuple[str, ...] = (
            f"{evolution.population:,}",
            ", ".join(world.spaces[index].family.name for index in habitat.holdings),
            "\n".join(f"{_name(m)}{m.terms.first:,} to {len(m.tape) - 1:,}" for m in habitat.markets),
            _senders(world, number),
            f"{evolution.selection.operator}, {evolution.crossover.operator} {evolution.crossover.rate:g}, "
            f"{evolution.mutation.operator} {evolution.mutation.rate:g}, {evolution.survival.rule}",
        )
        alike.setdefault(row, []).append(number)
    for row, numbers in alike.items():
        table.add_row(", ".join(map(str, numbers)), *row)
    return table


def _name(market: Market) -> str:
    return "bars " if market.name == ONLY else f"{market.name} "


def _senders(world: World, number: int) -> str:
    weights = ((source, world.topology.weight(source, number)) for source in world.topology.senders[number])
    return ", ".join(f"{source}" if weight == 1.0 else f"{source} ({weight:g})" for source, weight in weights) or "nobody"


def _evolution(world: World) -> list[tuple[str, str]]:
    spec = world.spec
    evolution, migration = spec.evolution, spec.migration
    limits = ", ".join(f"{key} {value:g}" for key, value in spec.limits.model_dump().items() if value is not None)
    goals = ", ".join(f"{part.goal} {part.name}" for part in spec.objectives)
    pooled = f"; {spec.pooling.rule} over instruments" if len(world.markets) > 1 else ""
    rules = ", ".join(f"{rule.rule} after {count(rule.epochs, 'epoch')}" for rule in spec.stagnation)
    return [
        ("campaign", f"{spec.name}, seed {spec.seed}"),
        ("objective", f"{goals}{pooled}; limits: {limits or 'none'}"),
        ("evolution", f"{count(evolution.epochs, 'epoch')} of {count(evolution.generations_per_epoch, 'generation')}"),
        (
            "migration",
            f"{spec.archipelago.rule.name}: {migration.emigrants} by {migration.selection}, in place of "
            f"{migration.replacement}; every {count(migration.interval, 'epoch')}, "
            f"{count(migration.delay, 'epoch')} on the way",
        ),
        *([("stagnation", rules)] if rules else []),
        *([("splits", _splits(world))] if spec.splits.kind != "whole" else []),
        (
            "evidence",
            f"level {spec.evidence.level:g}, {spec.evidence.prior_trials:,} trials before this campaign, "
            f"{spec.evidence.null_runs:,} runs of each null",
        ),
    ]


def _splits(world: World) -> str:
    splits = world.spec.splits
    if splits.kind == "segments":
        rule = f"quantile {splits.quantile:g}" if splits.rule == "quantile" else splits.rule
        return f"{count(len(splits.windows) or splits.parts, 'segment')} of each instrument, {rule} of their figures"
    folds = folds_of(world)
    return f"{splits.kind.replace('_', ' ')}: {count(len(folds), 'campaign')} more, each about as long as this one at most"


def _costs_of_running(world: World, expected: Forecast) -> list[tuple[str, str]]:
    workers = max(1, min(os.cpu_count() or 1, world.islands))
    memory = expected.process_memory * (workers + 2) / 2**20
    return [
        ("evaluations", f"at most {expected.evaluations:,}, {expected.bar_evaluations:.3g} bars"),
        (
            "time",
            f"about {duration(expected.seconds / workers)} on {count(workers, 'worker')}, by a calibration of a second; "
            "the start of Ray and the first compilation apart",
        ),
        ("memory", f"about {memory:,.0f} MiB in {workers + 2} processes ({count(workers, 'worker')}, coordinator, driver)"),
        ("disk", f"at most {expected.disk / 2**20:,.0f} MiB"),
    ]


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
