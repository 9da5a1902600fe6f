"""Who leaves an island, and what becomes of those who arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from islands.evolution.deme import Deme
from islands.evolution.world import World

OUTCOMES = ("accepted", "already there")
ACCEPTED, PRESENT = range(2)


@dataclass(frozen=True, eq=False)
class Immigrants:
    """Genomes and births that arrive from one island; scores never travel. Columns as in Deme."""

    source: int
    families: np.ndarray
    genomes: np.ndarray
    births: np.ndarray


@dataclass(frozen=True)
class Arrival:
    """What became of one immigrant: outcome is an index of OUTCOMES, `replaced` the birth of whom it replaced."""

    source: int
    family: int
    birth: tuple[int, int, int]
    outcome: int
    replaced: tuple[int, int, int] | None


def choose_emigrants(world: World, deme: Deme) -> Deme:
    """The best distinct individuals of each family, best first: each receiver takes the best of what it holds."""
    number, sign = world.spec.migration.emigrants, world.objective.sign
    best = [
        deme.take(np.flatnonzero(deme.families == family)).best_distinct(number, sign)
        for family in np.unique(deme.families).tolist()
    ]
    everyone = best[0].join(*best[1:])
    return everyone.take(everyone.order(sign))


def as_immigrants(source: int, emigrants: Deme) -> Immigrants:
    """Emigrants on their way: without scores."""
    return Immigrants(source, emigrants.families, emigrants.genomes, emigrants.births)


def admit(world: World, island: int, deme: Deme, arriving: list[Immigrants]) -> tuple[Deme, Deme, list[Arrival]]:
    """Lets immigrants in, in the order given: each replaces the worst member that is left, unless it is there already.

    Of each group come the first `migration.emigrants` whose family this island holds. They are repaired to its bounds
    and scored here. Returns the deme, the immigrants that were scored, and what became of each arrival.
    """
    present = set(deme.keys())
    candidates, log = [], list[Arrival]()
    for group in arriving:
        held = np.flatnonzero(np.isin(group.families, world.holdings[island]))[: world.spec.migration.emigrants]
        for row in held.tolist():
            family, genome, birth = int(group.families[row]), group.genomes[row], group.births[row]
            place = tuple(birth.tolist())
            repaired = world.pad(world.spaces[family].repair(world.genes(family, genome[None, :])))
            one = Deme(np.array([family]), repaired, np.full((1, 2), np.nan), birth[None, :])
            key = one.keys()[0]
            if key in present:
                log.append(Arrival(group.source, family, place, PRESENT, None))
                continue
            present.add(key)
            candidates.append(one)
            log.append(Arrival(group.source, family, place, ACCEPTED, None))
    if not candidates:
        return deme, Deme.empty(world.width), log
    settled = candidates[0].join(*candidates[1:])
    scores = world.score(settled.families, settled.genomes)
    settled = Deme(settled.families, settled.genomes, scores, settled.births)
    return _settle(world, deme, settled, log)


def _settle(world: World, deme: Deme, settled: Deme, log: list[Arrival]) -> tuple[Deme, Deme, list[Arrival]]:
    order = deme.order(world.objective.sign)
    leaving = order[::-1][: len(settled)]
    replaced = iter(leaving.tolist())
    log = [
        Arrival(a.source, a.family, a.birth, a.outcome, tuple(deme.births[next(replaced)].tolist()))
        if a.outcome == ACCEPTED
        else a
        for a in log
    ]
    staying = np.setdiff1d(np.arange(len(deme)), leaving)
    return deme.take(staying).join(settled), settled, log
