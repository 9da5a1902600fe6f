"""Who leaves an island, and what becomes of those who arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from islands.errors import SpecError
from islands.evolution import memo
from islands.evolution.deme import Deme, Key
from islands.evolution.ranking import best_distinct, order
from islands.evolution.world import World
from islands.randomness import Purpose, stream
from islands.spec import MigrationSpec
from islands.strategies.families import nearest

OUTCOMES = ("accepted", "already there")
ACCEPTED, PRESENT = range(2)

Birth = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Immigrants:
    """Genomes and births that arrive from one island; scores never travel. Columns as in Deme."""

    source: int
    families: np.ndarray
    genomes: np.ndarray
    births: np.ndarray


@dataclass(frozen=True)
class Arrival:
    """What became of one immigrant.

    genome: as it entered, repaired to this island's bounds, padded. scores: what it is worth here. outcome: an index of
    OUTCOMES. replaced: the birth of whom it replaced. survived: whether its genome is in the deme at the end of the epoch.
    """

    source: int
    family: int
    birth: Birth
    genome: tuple[float, ...]
    scores: tuple[float, ...]
    outcome: int
    replaced: Birth | None
    survived: bool = False


# Who leaves: a rule picks rows of one family's part of a deme, which holds each genome once, best first.


def _best(world: World, people: Deme, number: int, chance: np.random.Generator) -> list[int]:
    return list(range(min(number, len(people))))


def _tournament(world: World, people: Deme, number: int, chance: np.random.Generator) -> list[int]:
    """The winners of tournaments, each among so many that have not won yet, drawn without repetition."""
    left, chosen = list(range(len(people))), list[int]()
    while left and len(chosen) < number:
        size = min(world.spec.migration.tournament, len(left))
        winner = min(left[i] for i in chance.permutation(len(left))[:size].tolist())
        left.remove(winner)
        chosen.append(winner)
    return sorted(chosen)


def _distance(world: World, people: Deme, number: int, chance: np.random.Generator) -> list[int]:
    """The best, then again and again whoever is farthest from all chosen so far, in scaled genes."""
    scaled = _scaled(world, people)
    chosen = [0][:number]
    nearest_chosen = _squared_distances(scaled, scaled[0])
    while len(chosen) < min(number, len(people)):
        farthest = int(np.argmax(nearest_chosen))  # of equals the better one
        chosen.append(farthest)
        nearest_chosen = np.minimum(nearest_chosen, _squared_distances(scaled, scaled[farthest]))
        nearest_chosen[chosen] = -1.0
    return sorted(chosen)


SELECTIONS: dict[str, Callable[[World, Deme, int, np.random.Generator], list[int]]] = {
    "best": _best,
    "tournament": _tournament,
    "distance": _distance,
}


# Who makes room: a rule picks one of the rows that are left, `standing`, from worst to best. The deme's best is never
# among them: an island does not lose what it has found to make room for a guest.


def _worst(world: World, deme: Deme, standing: list[int], guest: Deme, chance: np.random.Generator) -> int:
    return standing[0]


def _random(world: World, deme: Deme, standing: list[int], guest: Deme, chance: np.random.Generator) -> int:
    return standing[int(chance.integers(len(standing)))]


def _similar(world: World, deme: Deme, standing: list[int], guest: Deme, chance: np.random.Generator) -> int:
    """The nearest of the guest's family in scaled genes, of equals the worst; the worst of all where none is of it."""
    kin = [row for row in standing if deme.families[row] == guest.families[0]]
    if not kin:
        return standing[0]
    return kin[int(np.argmin(_squared_distances(_scaled(world, deme.take(kin)), _scaled(world, guest)[0])))]


REPLACEMENTS: dict[str, Callable[[World, Deme, list[int], Deme, np.random.Generator], int]] = {
    "worst": _worst,
    "random": _random,
    "similar": _similar,
}


def require_rules(spec: MigrationSpec) -> None:
    """Raises SpecError where the spec names a rule that is in neither table."""
    for key, table in (("selection", SELECTIONS), ("replacement", REPLACEMENTS)):
        name, known = getattr(spec, key), list(table)
        if name not in known:
            raise SpecError(f"migration.{key} = {name!r}{nearest(name, known)}; known: {', '.join(known)}")


def choose_emigrants(world: World, island: int, epoch: int, deme: Deme) -> Deme:
    """Distinct individuals of each family, best first: each receiver takes the first of what it holds.

    Nobody leaves after an epoch that is no multiple of the interval.
    """
    if not migrates(world, epoch):
        return deme.take([])
    number, signs = world.spec.migration.emigrants, world.signs
    choose = SELECTIONS[world.spec.migration.selection]
    leaving = deme.take([])
    for family in deme.present:
        people = best_distinct(deme.take(np.flatnonzero(deme.families == family)), len(deme), signs)
        chance = stream(world.spec.seed, purpose=Purpose.EMIGRATE, island=island, generation=epoch, index=family)
        leaving = leaving.join(people.take(choose(world, people, number, chance)))
    return leaving.take(order(leaving, signs))


def migrates(world: World, epoch: int) -> bool:
    """Whether emigrants leave after an epoch."""
    return epoch >= 1 and epoch % world.spec.migration.interval == 0


def as_immigrants(source: int, emigrants: Deme) -> Immigrants:
    """Emigrants on their way: without scores."""
    return Immigrants(source, emigrants.families, emigrants.genomes, emigrants.births)


def admit(
    world: World, island: int, epoch: int, deme: Deme, arriving: list[Immigrants]
) -> tuple[Deme, Deme, tuple[Arrival, ...]]:
    """Lets immigrants in, in the order given: each takes a member's place, unless its genome is there already.

    Of each group whose edge is open in this epoch come the first `migration.emigrants` whose family this island holds.
    They are repaired to its bounds and scored here. Returns the deme, the immigrants that were scored, and what became
    of each arrival.
    """
    present, guests = set(deme.keys() if arriving else ()), list[_Guest]()
    for group in arriving:
        if not _is_open(world, group.source, island, epoch):
            continue
        held = np.flatnonzero(np.isin(group.families, world.habitats[island].holdings))
        for row in held[: world.spec.migration.emigrants].tolist():
            guest = _repaired(world, group, row)
            key = guest.keys()[0]
            guests.append(_Guest(group.source, guest, key, PRESENT if key in present else ACCEPTED))
            present.add(key)
    if not guests:
        return deme, deme.take([]), ()
    entering = [guest.deme for guest in guests if guest.outcome == ACCEPTED]
    settled = deme.take([]).join(*entering)
    if entering:
        scores = memo.score(world, world.habitats[island].markets, settled.families, settled.genomes)
        settled = Deme(settled.families, settled.genomes, scores, settled.births)
    leaving = _make_room(world, island, epoch, deme, settled)
    log = _told(guests, deme, settled, leaving)
    staying = np.setdiff1d(np.arange(len(deme)), leaving)
    return deme.take(staying).join(settled), settled, log


@dataclass(frozen=True, eq=False)
class _Guest:
    """One immigrant at the door."""

    source: int
    deme: Deme
    key: Key
    outcome: int


def _is_open(world: World, source: int, island: int, epoch: int) -> bool:
    """Whether a migration along a weighted edge takes place."""
    weight = world.topology.weight(source, island)
    if weight == 1.0:
        return True
    chance = stream(world.spec.seed, purpose=Purpose.EDGE, island=island, generation=epoch, index=source)
    return bool(chance.random() < weight)


def _repaired(world: World, group: Immigrants, row: int) -> Deme:
    family = int(group.families[row])
    genome = world.pad(world.spaces[family].repair(world.genes(family, group.genomes[row][None, :])))
    unknown = np.full((1, len(world.signs) + 1), np.nan)
    return Deme(np.array([family]), genome, unknown, group.births[row][None, :])


def _make_room(world: World, island: int, epoch: int, deme: Deme, settled: Deme) -> list[int]:
    """The rows that leave, one for each of `settled`, in the order of arrival."""
    make_room = REPLACEMENTS[world.spec.migration.replacement]
    standing = order(deme, world.signs)[:0:-1].tolist()
    chance = stream(world.spec.seed, purpose=Purpose.REPLACE, island=island, generation=epoch)
    leaving = []
    for i in range(len(settled)):
        row = make_room(world, deme, standing, settled.take([i]), chance)
        standing.remove(row)
        leaving.append(row)
    return leaving


def _told(guests: list[_Guest], deme: Deme, settled: Deme, leaving: list[int]) -> tuple[Arrival, ...]:
    everyone = deme.join(settled)
    worth = dict(zip(everyone.keys(), map(tuple, everyone.scores.tolist()), strict=True))
    replaced = iter(leaving)
    return tuple(
        Arrival(
            source=guest.source,
            family=int(guest.deme.families[0]),
            birth=_birth(guest.deme, 0),
            genome=tuple(guest.deme.genomes[0].tolist()),
            scores=worth[guest.key],
            outcome=guest.outcome,
            replaced=_birth(deme, next(replaced)) if guest.outcome == ACCEPTED else None,
        )
        for guest in guests
    )


def told_later(log: tuple[Arrival, ...], deme: Deme) -> tuple[Arrival, ...]:
    """The log at the end of the epoch, which says who of the immigrants is still in the deme."""
    there = set(deme.keys() if log else ())
    genomes = [(a.family, (np.array(a.genome) + 0.0).tobytes()) for a in log]
    return tuple(replace(a, survived=key in there) for a, key in zip(log, genomes, strict=True))


def _birth(deme: Deme, row: int) -> Birth:
    island, generation, slot = deme.births[row].tolist()
    return island, generation, slot


def _scaled(world: World, people: Deme) -> np.ndarray:
    """Scaled genes, (P, g), of individuals of one family."""
    index = int(people.families[0])
    return world.spaces[index].encode(world.genes(index, people.genomes))


def _squared_distances(scaled: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Squared distances of rows to a point, gene by gene: a BLAS or pairwise sum would let the machine decide the bits."""
    total = np.zeros(len(scaled))
    for gene in range(scaled.shape[1]):
        total += (scaled[:, gene] - point[gene]) ** 2
    return total
