"""Offspring, bred by DEAP. The only file that knows DEAP.

An individual is a list of genes scaled to [0, 1], so that every operator of DEAP for real numbers serves any family with
low=0 and up=1. Operators are named in the spec and resolved in deap.tools, or as "module:function" for a user's own, and
sit in a toolbox as usual. DEAP draws from global generators: both are seeded from the generation's stream, and restored.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from deap import base, tools
from deap.benchmarks.tools import hypervolume as deap_hypervolume

from islands.errors import SpecError, StepFailed
from islands.evolution.deme import COPY, CROSSOVER, CROSSOVER_MUTATION, MUTATION, NOBODY, RESET, Deme, Key
from islands.evolution.world import World
from islands.randomness import Purpose, seeded_globals, stream
from islands.spec import EvolutionSpec, OperatorSpec, VariationSpec
from islands.strategies.families import nearest


class Fitness(base.Fitness):  # type: ignore[misc]
    """A DEAP fitness in which every feasible individual stands above every infeasible one (Deb's rules, 2000).

    Comparisons follow `rank`: the violation, then the worth of one objective, or of several the front and the crowding
    distance (NSGA-II's crowded comparison). `dominates` is Pareto's domination.
    """

    weights: tuple[float, ...] = (1.0,)

    def __init__(self, worths: tuple[float, ...], violation: float, front: int = 0, crowding: float = 0.0) -> None:
        self.weights = (1.0,) * len(worths)
        super().__init__(worths if violation == 0.0 else (0.0,) * len(worths))  # whoever misses the limits earns nothing
        self.violation = violation
        self.crowding_dist = crowding  # DEAP's name, which selTournamentDCD reads
        better = (worths[0],) if len(worths) == 1 else (-float(front), crowding)
        self.rank = (-violation, *(better if violation == 0.0 else ()))

    def dominates(self, other: Fitness, obj: slice = slice(None)) -> bool:
        if self.violation or other.violation:
            return bool(self.violation < other.violation)
        return bool(super().dominates(other, obj))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fitness) and (self.violation, self.wvalues) == (other.violation, other.wvalues)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Fitness) -> bool:
        return self.rank < other.rank

    def __le__(self, other: Fitness) -> bool:
        return self.rank <= other.rank

    def __gt__(self, other: Fitness) -> bool:
        return self.rank > other.rank

    def __ge__(self, other: Fitness) -> bool:
        return self.rank >= other.rank

    def __hash__(self) -> int:
        return hash((self.violation, self.wvalues))

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        return self  # never changed in place


class Individual(list[float]):
    """Scaled genes with a fitness, the row of the parent, and what made it: the mate's row (-1: none), and mutation."""

    __slots__ = ("family", "fitness", "mate", "mutated", "row")

    def __init__(self, genes: list[float], family: int, row: int, fitness: Fitness) -> None:
        super().__init__(genes)
        self.family, self.row, self.fitness, self.mate, self.mutated = family, row, fitness, -1, False

    def __deepcopy__(self, memo: dict[int, Any]) -> Individual:
        return Individual(list(self), self.family, self.row, self.fitness)

    @property
    def origin(self) -> int:
        """An index of ORIGINS."""
        if self.mate >= 0:
            return CROSSOVER_MUTATION if self.mutated else CROSSOVER
        return MUTATION if self.mutated else COPY


class _Point:
    """What DEAP's sorting asks of an individual."""

    def __init__(self, worths: tuple[float, ...], row: int) -> None:
        self.fitness, self.row = Fitness(worths, 0.0), row


def crowded(deme: Deme, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front (0 is the best) and crowding distance of each individual, (P,); both 0 for the infeasible.

    Copies of a genome would crowd their own front out, so each genome counts once and its copies share its rank.
    """
    front, crowding = np.zeros(len(deme), dtype=np.int64), np.zeros(len(deme))
    first: dict[Key, int] = {}
    island, generation, slot = deme.births.T
    keys = deme.keys()
    feasible = deme.feasible
    for row in np.lexsort((slot, generation, island)).tolist():  # by birth: what DEAP does with ties follows the order given
        if feasible[row]:
            first.setdefault(keys[row], row)
    rows = list(first.values())
    if rows:
        front[rows], crowding[rows] = fronts_and_crowding(deme.scores[rows, :-1] * signs)
        for row in np.flatnonzero(feasible).tolist():
            same = first[keys[row]]
            front[row], crowding[row] = front[same], crowding[same]
    return front, crowding


def fronts_and_crowding(worths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front of non-domination, from 0, and crowding distance on it, (P,), of worths (P, K) of which more is better."""
    points = [_Point(tuple(row), i) for i, row in enumerate(worths.tolist())]
    front, crowding = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    for number, members in enumerate(tools.sortLogNondominated(points, len(points))):
        tools.emo.assignCrowdingDist(members)
        for point in members:
            front[point.row], crowding[point.row] = number, point.fitness.crowding_dist
    return front, crowding


def hypervolume(worths: np.ndarray, reference: np.ndarray) -> float:
    """Volume between points (P, K), of which more is better, and the reference (K,); points that don't reach it add none."""
    inside = worths[(worths > reference).all(axis=1)]
    if not len(inside):
        return 0.0
    points = [_Point(tuple(row), i) for i, row in enumerate(inside.tolist())]
    return float(deap_hypervolume(points, -reference))


def make_toolbox(spec: EvolutionSpec) -> base.Toolbox:
    """DEAP's toolbox with the spec's operators as select, mate and mutate.

    Raises:
        SpecError: an operator does not exist, or lacks a parameter, or does not know one.
    """
    toolbox = base.Toolbox()
    for alias, prefix, part, given in (
        ("select", "sel", spec.selection, 2),
        ("mate", "cx", spec.crossover, 2),
        ("mutate", "mut", spec.mutation, 1),
    ):
        operator = _resolve(part.operator, prefix)
        toolbox.register(alias, operator, **_parameters(part, operator, given))
    return toolbox


def try_operators(world: World) -> None:
    """Uses each operator once on founders of each family, so that a wrong parameter is met before a campaign begins.

    Raises:
        SpecError: see make_toolbox; or an operator raised, or returned something that is no individual.
    """
    tried = list[tuple[EvolutionSpec, int]]()
    for number, habitat in enumerate(world.habitats):
        place = "evolution" if habitat.evolution == world.spec.evolution else f"archipelago.islands[{number}]"
        for index in habitat.holdings:
            if (habitat.evolution, index) not in tried:
                tried.append((habitat.evolution, index))
                _try_on(world, habitat.evolution, index, place)


def _try_on(world: World, spec: EvolutionSpec, index: int, place: str) -> None:
    size = spec.population if spec.population <= 64 else 64 + spec.population % 4  # selTournamentDCD asks for fours
    try:
        toolbox = make_toolbox(spec)
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from None
    chance = stream(world.spec.seed, purpose=Purpose.PROBE, index=index)
    genomes = world.pad(world.spaces[index].founders(chance, size))
    scores = np.column_stack([1.0 + chance.random((size, len(world.signs))), np.zeros(size)])
    births = np.column_stack([np.zeros(size), np.zeros(size), np.arange(size)])
    people = _individuals(world, Deme(np.full(size, index), genomes, scores, births))
    way = f"mend its parameters or the population of {spec.population}"
    with seeded_globals(chance):
        first, second, third = (toolbox.clone(people[i % size]) for i in range(3))
        _try(f"{place}.selection", spec.selection, lambda: [one.fitness for one in toolbox.select(people, size)], way)
        _try(f"{place}.crossover", spec.crossover, lambda: [len(child) for child in toolbox.mate(first, second)])
        _try(f"{place}.mutation", spec.mutation, lambda: len(toolbox.mutate(third)[0]))


def _try(key: str, part: OperatorSpec, use: Callable[[], object], way: str = "mend its parameters") -> None:
    try:
        use()
    except Exception as error:
        given = ", ".join(f"{name} = {value!r}" for name, value in part.parameters.items()) or "no parameters"
        raise SpecError(
            f"{key}: operator {part.operator} ({given}) fails when it is tried: {type(error).__name__}: {error}; "
            f"{way}, or choose another"
        ) from None


def operator_sources(settings: Iterable[EvolutionSpec]) -> dict[str, str]:
    """SHA-256 of the source file of each operator that is a user's own, by name: part of the manifest."""
    names = {part.operator for spec in settings for part in (spec.selection, spec.crossover, spec.mutation)}
    sources = {}
    for name in sorted(name for name in names if ":" in name):
        path = inspect.getsourcefile(inspect.unwrap(_resolve(name)))
        sources[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
    return sources


def _resolve(name: str, prefix: str = "") -> Callable[..., Any]:
    """The operator of that name; DEAP's names say what an operator is for: sel, cx and mut are their prefixes."""
    if ":" in name:
        module, _, function = name.partition(":")
        try:
            found = getattr(importlib.import_module(module), function, None)
        except (ImportError, ValueError, TypeError) as error:  # the last two for names like ":function" and ".module:function"
            raise SpecError(f"operator {name!r}: {error}; the module must be importable on every worker") from None
    else:
        module, found = "deap.tools", getattr(tools, name, None) if name.startswith(prefix) else None
    if not callable(found):
        known = [operator for operator in dir(tools) if operator.startswith(prefix) and ":" not in name]
        raise SpecError(f"operator {name!r}: not found in {module}{nearest(name, known)}")
    operator: Callable[..., Any] = found
    return operator


def _parameters(part: OperatorSpec, operator: Callable[..., Any], given: int) -> dict[str, Any]:
    """The spec's parameters checked against the operator's own; low and up default to the bounds of scaled genes."""
    accepted = list(inspect.signature(operator).parameters.values())[given:]
    names = [parameter.name for parameter in accepted]
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted)
    for name in part.parameters:
        if name not in names and not open_ended:
            raise SpecError(
                f"operator {part.operator}: no parameter {name!r}{nearest(name, names)}; it takes {', '.join(names) or 'none'}"
            )
    bounds = {name: value for name, value in (("low", 0.0), ("up", 1.0)) if name in names}
    parameters = {**bounds, **part.parameters}
    missing = [p.name for p in accepted if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [name for name in missing if name not in parameters]
    if missing:
        raise SpecError(f"operator {part.operator}: needs {', '.join(missing)}; give it in the spec beside `operator`")
    return parameters


@dataclass(frozen=True, eq=False)
class Offspring:
    """Children before they are scored.

    families (P,), padded and repaired genomes (P, G), origins (P,) as in ORIGINS, and the births of up to two parents,
    (P, 6).
    """

    families: np.ndarray
    genomes: np.ndarray
    origins: np.ndarray
    parents: np.ndarray


def breed(world: World, island: int, generation: int, deme: Deme, boost: float = 1.0) -> Offspring:
    """As many children as the deme has members, by selection, crossover within a family, and mutation.

    A child that no operator touched keeps its parent's genome to the last bit. boost: times the mutation's rate, up to 1.

    Raises:
        StepFailed: an operator returned something that is no individual of the same number of genes.
    """
    spec = world.habitats[island].evolution
    toolbox = make_toolbox(spec)
    chance = stream(world.spec.seed, purpose=Purpose.BREED, island=island, generation=generation)
    with seeded_globals(chance):
        parents = toolbox.select(_individuals(world, deme), len(deme))
        if len(parents) != len(deme):  # DEAP's roulettes, where a fitness is not positive
            raise StepFailed(f"operator {spec.selection.operator}: selected {len(parents)} parents, asked for {len(deme)}")
        children = [toolbox.clone(parent) for parent in parents]
        _cross(toolbox, spec.crossover, children)
        _mutate(toolbox, spec.mutation, children, min(1.0, boost * spec.mutation.rate))
    return _collect(world, deme, children)


def mutants(world: World, island: int, generation: int, deme: Deme, count: int) -> Offspring:
    """`count` mutants of the deme's members, in turn: each is mutated once, whatever the mutation's rate."""
    spec = world.habitats[island].evolution
    toolbox = make_toolbox(spec)
    chance = stream(world.spec.seed, purpose=Purpose.RESET, island=island, generation=generation)
    with seeded_globals(chance):
        people = _individuals(world, deme)
        children = [toolbox.clone(people[i % len(people)]) for i in range(count)]
        _mutate(toolbox, spec.mutation, children, 1.0)
    born = _collect(world, deme, children)
    return Offspring(born.families, born.genomes, np.full(count, RESET), born.parents)


def _individuals(world: World, deme: Deme) -> list[Individual]:
    people: list[Individual] = [None] * len(deme)  # type: ignore[list-item]
    several = len(world.signs) > 1
    front, crowding = crowded(deme, world.signs) if several else (np.zeros(len(deme)), np.zeros(len(deme)))
    worths = np.where(deme.feasible[:, None], deme.scores[:, :-1] * world.signs, 0.0)
    for index in np.unique(deme.families).tolist():
        rows = np.flatnonzero(deme.families == index)
        scaled = world.spaces[index].encode(world.genes(index, deme.genomes[rows])).tolist()
        for row, genes in zip(rows.tolist(), scaled, strict=True):
            violation = float(deme.scores[row, -1])
            fitness = Fitness(tuple(worths[row].tolist()), violation, int(front[row]), float(crowding[row]))
            people[row] = Individual(genes, index, row, fitness)
    return people


def _cross(toolbox: base.Toolbox, spec: VariationSpec, children: list[Individual]) -> None:
    by_family: dict[int, list[int]] = {}
    for position, child in enumerate(children):
        by_family.setdefault(child.family, []).append(position)
    for _, members in sorted(by_family.items()):
        for a, b in zip(members[::2], members[1::2], strict=False):
            if random.random() < spec.rate:
                first, second = children[a], children[b]
                genes, rows = len(first), (first.row, second.row)
                pair = toolbox.mate(first, second)
                children[a], children[b] = (
                    _adopt(pair[0], first, genes, spec),
                    _adopt(pair[1], second, genes, spec),
                )
                for child in (children[a], children[b]):
                    child.mate = rows[1] if child.row == rows[0] else rows[0]


def _mutate(toolbox: base.Toolbox, spec: VariationSpec, children: list[Individual], rate: float) -> None:
    for position, child in enumerate(children):
        if random.random() < rate:
            mate, genes = child.mate, len(child)
            mutant = _adopt(toolbox.mutate(child)[0], child, genes, spec)
            mutant.mate, mutant.mutated = mate, True
            children[position] = mutant


def _adopt(result: Any, before: Individual, genes: int, part: OperatorSpec) -> Individual:
    """What an operator returned, as the child in whose place it stands. genes: how many it was given."""
    if len(result) != genes:
        raise StepFailed(f"operator {part.operator}: returned {len(result)} genes for {genes}; it must keep them")
    if isinstance(result, Individual):
        return result
    return Individual([float(gene) for gene in result], before.family, before.row, before.fitness)


def _collect(world: World, deme: Deme, children: list[Individual]) -> Offspring:
    families = np.array([child.family for child in children], dtype=np.int64)
    rows = np.array([child.row for child in children], dtype=np.int64)
    mates = np.array([child.mate for child in children], dtype=np.int64)
    origins = np.array([child.origin for child in children], dtype=np.int64)
    genomes = deme.genomes[rows].copy()
    touched = origins != COPY
    for index in np.unique(families[touched]).tolist():
        own = np.flatnonzero(touched & (families == index))
        scaled = np.array([children[row] for row in own], dtype=np.float64)
        if not np.isfinite(scaled).all():
            raise StepFailed("an operator returned a gene that is no finite number; scaled genes lie in [0, 1]")
        space = world.spaces[index]
        genomes[own] = world.pad(space.repair(space.decode(np.clip(scaled, 0.0, 1.0))))
    second = np.where(mates[:, None] >= 0, deme.births[mates], NOBODY)
    return Offspring(families, genomes, origins, np.hstack([deme.births[rows], second]))
