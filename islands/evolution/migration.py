"""Who leaves an island, and what becomes of those who arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from islands.evolution.deme import Deme
from islands.evolution.world import World

OUTCOMES = ("accepted", "already there", "family not held")
ACCEPTED, PRESENT, FOREIGN = range(3)


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
    """The best distinct individuals, best first."""
    return deme.best_distinct(world.spec.migration.emigrants, world.objective.sign)


def as_immigrants(source: int, emigrants: Deme) -> Immigrants:
    """Emigrants on their way: without scores."""
    return Immigrants(source, emigrants.families, emigrants.genomes, emigrants.births)


def admit(world: World, island: int, deme: Deme, arriving: list[Immigrants]) -> tuple[Deme, Deme, list[Arrival]]:
    """Lets immigrants in, in the order given: each replaces the worst member that is left, unless it is there already.

    They are repaired to the receiver's bounds and scored here. Returns the deme, the immigrants that were scored, and
    what became of each arrival.
    """
    present = set(deme.keys())
    candidates, log = [], list[Arrival]()
    for group in arriving:
        for family, genome, birth in zip(group.families.tolist(), group.genomes, group.births, strict=True):
            place = tuple(birth.tolist())
            if family not in world.holdings[island]:
                log.append(Arrival(group.source, family, place, FOREIGN, None))
                continue
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
