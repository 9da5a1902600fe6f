"""Offspring, bred by DEAP. The only file that knows DEAP.

An individual is a list of genes scaled to [0, 1], so that every operator of DEAP for real numbers serves any family with
low=0 and up=1. Operators are named in the spec and resolved in deap.tools, or as "module:function" for a user's own, and
sit in a toolbox as usual: select, mate and mutate. Beside them stand select_all, mate_all and mutate_all where an
operator has a batch form (variation.py) and the spec's engine is "batch"; these work on columns, and Individuals are made
only for an operator without one. DEAP draws from global generators: both are seeded from the generation's stream, and
restored. Batch forms draw from the stream itself.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import itertools
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from deap import base, tools

from islands.errors import SpecError, StepFailed
from islands.evolution import variation
from islands.evolution.deme import COPY, RESET, Deme, present
from islands.evolution.ranking import crowded
from islands.evolution.variation import Children, candidates, copies, pairs
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
        self.wvalues = worths if violation == 0.0 else (0.0,) * len(worths)  # whoever misses the limits earns nothing
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

    def __init__(
        self, genes: Iterable[float], family: int, row: int, fitness: Fitness, mate: int = -1, mutated: bool = False
    ) -> None:
        super().__init__(genes)
        self.family, self.row, self.fitness, self.mate, self.mutated = family, row, fitness, mate, mutated

    def clone(self) -> Individual:
        """A copy that nobody has varied yet; it has the same fitness, which is never changed in place."""
        return Individual(self, self.family, self.row, self.fitness)

    def __deepcopy__(self, memo: dict[int, Any]) -> Individual:
        return self.clone()


class _Point:
    """What DEAP's sorting asks of an individual."""

    def __init__(self, worths: tuple[float, ...], row: int) -> None:
        self.fitness, self.row = Fitness(worths, 0.0), row


def hypervolume(worths: np.ndarray, reference: np.ndarray) -> float:
    """Volume between points (P, K), of which more is better, and the reference (K,); points that don't reach it add none."""
    inside = worths[(worths > reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if worths.shape[1] == 2:  # slices between the steps of the front, from its right end
        above = inside[np.argsort(-inside[:, 0], kind="stable")] - reference
        steps = np.diff(np.maximum.accumulate(above[:, 1]), prepend=0.0)
        return math.fsum((above[:, 0] * steps).tolist())
    from deap.benchmarks.tools import hypervolume as deap_hypervolume  # imports scipy where it is: 0.25 s of every worker

    points = [_Point(tuple(row), i) for i, row in enumerate(inside.tolist())]
    return float(deap_hypervolume(points, -reference))


def make_toolbox(spec: EvolutionSpec) -> base.Toolbox:
    """DEAP's toolbox with the spec's operators as select, mate and mutate, and batch forms as select_all and so on.

    A batch form that lacks a parameter which the spec gives leaves the work to DEAP's own.

    Raises:
        SpecError: an operator does not exist, or lacks a parameter, or does not know one.
    """
    own = any(":" in part.operator for part in (spec.selection, spec.crossover, spec.mutation))
    return _filled_toolbox(spec) if own else _kept_toolbox(spec)  # a user's module may be loaded anew


def _filled_toolbox(spec: EvolutionSpec) -> base.Toolbox:
    toolbox = base.Toolbox()
    toolbox.register("clone", Individual.clone)  # DEAP's, which is deepcopy, comes to the same in five times as long
    for alias, prefix, part, given, forms in (
        ("select", "sel", spec.selection, 2, variation.SELECTIONS),
        ("mate", "cx", spec.crossover, 2, variation.CROSSOVERS),
        ("mutate", "mut", spec.mutation, 1, variation.MUTATIONS),
    ):
        operator = _resolve(part.operator, prefix)
        parameters = _parameters(part, operator, given)
        toolbox.register(alias, operator, **parameters)
        form = forms.get(part.operator)
        if spec.engine == "batch" and form is not None and parameters.keys() <= inspect.signature(form).parameters.keys():
            toolbox.register(f"{alias}_all", form, **parameters)
    return toolbox


_kept_toolbox = functools.lru_cache(maxsize=256)(_filled_toolbox)


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
    founded = Deme(np.full(size, index), genomes, scores, births)
    people = _as_individuals(world, founded, copies(world, founded, np.arange(size)))
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
    with _globals(toolbox, ("select", "mate", "mutate"), chance):
        brood = _select(toolbox, spec.selection, world, deme, chance)
        _cross(toolbox, spec.crossover, brood, chance)
        _mutate(toolbox, spec.mutation, brood, min(1.0, boost * spec.mutation.rate), chance)
    return _collect(world, deme, brood.columns())


def mutants(world: World, island: int, generation: int, deme: Deme, count: int) -> Offspring:
    """`count` mutants of the deme's members, in turn: each is mutated once, whatever the mutation's rate."""
    spec = world.habitats[island].evolution
    toolbox = make_toolbox(spec)
    chance = stream(world.spec.seed, purpose=Purpose.RESET, island=island, generation=generation)
    brood = _Brood(world, deme, copies(world, deme, np.arange(count) % len(deme)))
    with _globals(toolbox, ("mutate",), chance):
        _mutate(toolbox, spec.mutation, brood, 1.0, chance)
    born = _collect(world, deme, brood.columns())
    return Offspring(born.families, born.genomes, np.full(count, RESET), born.parents)


def _globals(
    toolbox: base.Toolbox, aliases: tuple[str, ...], chance: np.random.Generator
) -> contextlib.AbstractContextManager[None]:
    """The global generators, seeded where one of these operators has no batch form and draws from them."""
    batch = all(hasattr(toolbox, f"{alias}_all") for alias in aliases)
    return contextlib.nullcontext() if batch else seeded_globals(chance)


@dataclass(eq=False)
class _Brood:
    """Children of a deme in the making: columns or Individuals, whichever the last operator worked on."""

    world: World
    deme: Deme
    children: Children | list[Individual]

    def columns(self) -> Children:
        """The children for a batch form."""
        if isinstance(self.children, list):
            self.children = _as_columns(self.world, self.children)
        return self.children

    def individuals(self) -> list[Individual]:
        """The children for an operator that takes one or two."""
        if not isinstance(self.children, list):
            self.children = _as_individuals(self.world, self.deme, self.children)
        return self.children


def _as_individuals(world: World, deme: Deme, children: Children) -> list[Individual]:
    fitnesses = _fitnesses(world, deme)
    columns = (children.families, children.rows, children.mates, children.mutated, children.sizes, children.genes)
    return [
        Individual(genes[:size], family, row, fitnesses[row], mate, mutated)
        for family, row, mate, mutated, size, genes in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _as_columns(world: World, people: list[Individual]) -> Children:
    genes, sizes = np.zeros((len(people), world.width)), np.array([len(one) for one in people], dtype=np.int64)
    genes[np.arange(world.width) < sizes[:, None]] = np.fromiter(itertools.chain.from_iterable(people), np.float64)
    return Children(
        families=np.array([one.family for one in people], dtype=np.int64),
        rows=np.array([one.row for one in people], dtype=np.int64),
        mates=np.array([one.mate for one in people], dtype=np.int64),
        mutated=np.array([one.mutated for one in people], dtype=np.bool_),
        genes=genes,
        sizes=sizes,
    )


def _fitnesses(world: World, deme: Deme) -> list[Fitness]:
    """The fitness of each member of a deme."""
    front, crowding = np.zeros(len(deme), dtype=np.int64), np.zeros(len(deme))
    if len(world.signs) > 1:
        front, crowding = crowded(deme, world.signs)
    worths = np.where(deme.feasible[:, None], deme.scores[:, :-1] * world.signs, 0.0)
    columns = zip(worths.tolist(), deme.scores[:, -1].tolist(), front.tolist(), crowding.tolist(), strict=True)
    return [Fitness(tuple(worth), violation, number, distance) for worth, violation, number, distance in columns]


def _select(toolbox: base.Toolbox, part: OperatorSpec, world: World, deme: Deme, chance: np.random.Generator) -> _Brood:
    if hasattr(toolbox, "select_all"):
        return _Brood(world, deme, copies(world, deme, toolbox.select_all(candidates(world, deme), len(deme), chance)))
    everybody = copies(world, deme, np.arange(len(deme)))
    parents = toolbox.select(_as_individuals(world, deme, everybody), len(deme))
    if len(parents) != len(deme):  # DEAP's roulettes, where a fitness is not positive
        raise StepFailed(f"operator {part.operator}: selected {len(parents)} parents, asked for {len(deme)}")
    return _Brood(world, deme, [toolbox.clone(parent) for parent in parents])


def _cross(toolbox: base.Toolbox, spec: VariationSpec, brood: _Brood, chance: np.random.Generator) -> None:
    if not hasattr(toolbox, "mate_all"):
        _cross_pair_by_pair(toolbox, spec, brood.individuals())
        return
    children = brood.columns()
    first, second = pairs(children.families)
    met = chance.random(len(first)) < spec.rate
    first, second = first[met], second[met]
    toolbox.mate_all(children, first, second, chance)
    children.mates[first], children.mates[second] = children.rows[second], children.rows[first]


def _cross_pair_by_pair(toolbox: base.Toolbox, spec: VariationSpec, children: list[Individual]) -> None:
    for a, b in zip(*pairs(np.array([child.family for child in children])), strict=True):
        if random.random() < spec.rate:
            first, second = children[a], children[b]
            genes, rows = len(first), (first.row, second.row)
            pair = toolbox.mate(first, second)
            children[a], children[b] = _adopt(pair[0], first, genes, spec), _adopt(pair[1], second, genes, spec)
            for child in (children[a], children[b]):
                child.mate = rows[1] if child.row == rows[0] else rows[0]


def _mutate(toolbox: base.Toolbox, spec: VariationSpec, brood: _Brood, rate: float, chance: np.random.Generator) -> None:
    if not hasattr(toolbox, "mutate_all"):
        _mutate_one_by_one(toolbox, spec, brood.individuals(), rate)
        return
    children = brood.columns()
    rows = np.flatnonzero(chance.random(len(children)) < rate)
    toolbox.mutate_all(children, rows, chance)
    children.mutated[rows] = True


def _mutate_one_by_one(toolbox: base.Toolbox, spec: VariationSpec, children: list[Individual], rate: float) -> None:
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


def _collect(world: World, deme: Deme, children: Children) -> Offspring:
    genomes = deme.genomes.take(children.rows, axis=0)
    origins = children.origins
    touched = origins != COPY
    for index in present(children.families[touched]):
        own = np.flatnonzero(touched & (children.families == index))
        genes = world.genes(index, children.genes.take(own, axis=0))
        if not np.isfinite(genes).all():
            raise StepFailed("an operator returned a gene that is no finite number; scaled genes lie in [0, 1]")
        space = world.spaces[index]
        genomes[own, : genes.shape[1]] = space.repair(space.decode(np.clip(genes, 0.0, 1.0)))
    parents = np.full((len(children), 6), -1)
    parents[:, :3] = deme.births.take(children.rows, axis=0)
    crossed = np.flatnonzero(children.mates >= 0)
    parents[crossed, 3:] = deme.births.take(children.mates[crossed], axis=0)
    return Offspring(children.families, genomes, origins, parents)
