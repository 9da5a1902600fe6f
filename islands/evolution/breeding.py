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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from deap import base, tools

from islands.errors import SpecError, StepFailed
from islands.evolution.deme import Deme
from islands.evolution.world import World
from islands.randomness import Purpose, seeded_globals, stream
from islands.spec import EvolutionSpec, OperatorSpec
from islands.strategies.families import nearest


class Fitness(base.Fitness):  # type: ignore[misc]
    """A DEAP fitness in which every feasible individual stands above every infeasible one (Deb's rules, 2000).

    K. Deb, An efficient constraint handling method for genetic algorithms, Comput. Methods Appl. Mech. Eng. 186.
    """

    weights = (1.0,)

    def __init__(self, worth: float, violation: float) -> None:
        super().__init__((worth,))
        self.violation = violation

    @property
    def rank(self) -> tuple[float, float]:
        return (-self.violation, self.wvalues[0] if self.violation == 0.0 else 0.0)

    def dominates(self, other: Fitness, obj: slice = slice(None)) -> bool:
        return self.rank > other.rank

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fitness) and self.rank == other.rank

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
        return hash(self.rank)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        return self  # never changed in place


class Individual(list[float]):
    """Scaled genes with a fitness, the row of the parent, and whether an operator has touched it."""

    __slots__ = ("family", "fitness", "row", "touched")

    def __init__(self, genes: list[float], family: int, row: int, fitness: Fitness) -> None:
        super().__init__(genes)
        self.family, self.row, self.fitness, self.touched = family, row, fitness, False

    def __deepcopy__(self, memo: dict[int, Any]) -> Individual:
        return Individual(list(self), self.family, self.row, self.fitness)


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
    make_toolbox(world.spec.evolution)
    for index in range(len(world.spaces)):
        _try_on(world, index)


def _try_on(world: World, index: int) -> None:
    spec, size = world.spec.evolution, 16
    toolbox = make_toolbox(spec)
    chance = stream(world.spec.seed, purpose=Purpose.PROBE, index=index)
    genomes = world.pad(world.spaces[index].founders(chance, size))
    scores = np.column_stack([1.0 + chance.random(size), np.zeros(size)])
    births = np.column_stack([np.zeros(size), np.zeros(size), np.arange(size)])
    people = _individuals(world, Deme(np.full(size, index), genomes, scores, births))
    with seeded_globals(chance):
        first, second, third = (toolbox.clone(person) for person in people[:3])
        _try("selection", spec.selection, lambda: [person.fitness for person in toolbox.select(people, size)])
        _try("crossover", spec.crossover, lambda: [len(child) for child in toolbox.mate(first, second)])
        _try("mutation", spec.mutation, lambda: len(toolbox.mutate(third)[0]))


def _try(key: str, part: OperatorSpec, use: Callable[[], object]) -> None:
    try:
        use()
    except Exception as error:
        given = ", ".join(f"{name} = {value!r}" for name, value in part.parameters.items()) or "no parameters"
        raise SpecError(
            f"evolution.{key}: operator {part.operator} ({given}) fails when it is tried: {type(error).__name__}: {error}; "
            "mend its parameters or choose another"
        ) from None


def operator_sources(spec: EvolutionSpec) -> dict[str, str]:
    """SHA-256 of the source file of each operator that is a user's own, by name: part of the manifest."""
    sources = {}
    for part in (spec.selection, spec.crossover, spec.mutation):
        if ":" in part.operator:
            path = inspect.getsourcefile(inspect.unwrap(_resolve(part.operator)))
            sources[part.operator] = hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
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
    """Children before they are scored: families (P,), padded and repaired genomes (P, G)."""

    families: np.ndarray
    genomes: np.ndarray


def breed(world: World, island: int, generation: int, deme: Deme) -> Offspring:
    """As many children as the deme has members, by selection, crossover within a family, and mutation.

    A child that no operator touched keeps its parent's genome to the last bit.

    Raises:
        StepFailed: an operator returned something that is no individual of the same number of genes.
    """
    toolbox = make_toolbox(world.spec.evolution)
    chance = stream(world.spec.seed, purpose=Purpose.BREED, island=island, generation=generation)
    with seeded_globals(chance):
        parents = toolbox.select(_individuals(world, deme), len(deme))
        if len(parents) != len(deme):  # DEAP's roulettes, where a fitness is not positive
            raise StepFailed(
                f"operator {world.spec.evolution.selection.operator}: selected {len(parents)} parents, asked for {len(deme)}"
            )
        children = _vary(toolbox, world.spec.evolution, [toolbox.clone(parent) for parent in parents])
    return _collect(world, deme, children)


def _individuals(world: World, deme: Deme) -> list[Individual]:
    people: list[Individual] = [None] * len(deme)  # type: ignore[list-item]
    sign = world.objective.sign
    for index in np.unique(deme.families).tolist():
        rows = np.flatnonzero(deme.families == index)
        scaled = world.spaces[index].encode(world.genes(index, deme.genomes[rows])).tolist()
        for row, genes, (value, violation) in zip(rows.tolist(), scaled, deme.scores[rows].tolist(), strict=True):
            worth = sign * value if violation == 0.0 else 0.0
            people[row] = Individual(genes, index, row, Fitness(worth, violation))
    return people


def _vary(toolbox: base.Toolbox, spec: EvolutionSpec, children: list[Individual]) -> list[Individual]:
    by_family: dict[int, list[int]] = {}
    for position, child in enumerate(children):
        by_family.setdefault(child.family, []).append(position)
    for _, members in sorted(by_family.items()):
        for a, b in zip(members[::2], members[1::2], strict=False):
            if random.random() < spec.crossover.rate:
                genes = len(children[a])
                pair = toolbox.mate(children[a], children[b])
                children[a], children[b] = (
                    _adopt(pair[0], children[a], genes, spec.crossover),
                    _adopt(pair[1], children[b], genes, spec.crossover),
                )
    for position, child in enumerate(children):
        if random.random() < spec.mutation.rate:
            genes = len(child)
            children[position] = _adopt(toolbox.mutate(child)[0], child, genes, spec.mutation)
    return children


def _adopt(result: Any, before: Individual, genes: int, part: OperatorSpec) -> Individual:
    """What an operator returned, as the child in whose place it stands. genes: how many it was given."""
    if len(result) != genes:
        raise StepFailed(f"operator {part.operator}: returned {len(result)} genes for {genes}; it must keep them")
    if isinstance(result, Individual):
        child = result
    else:
        child = Individual([float(gene) for gene in result], before.family, before.row, before.fitness)
    child.touched = True
    return child


def _collect(world: World, deme: Deme, children: list[Individual]) -> Offspring:
    families = np.array([child.family for child in children], dtype=np.int64)
    genomes = deme.genomes[[child.row for child in children]].copy()
    touched = np.array([child.touched for child in children])
    for index in np.unique(families[touched]).tolist():
        rows = np.flatnonzero(touched & (families == index))
        scaled = np.array([children[row] for row in rows], dtype=np.float64)
        if not np.isfinite(scaled).all():
            raise StepFailed("an operator returned a gene that is no finite number; scaled genes lie in [0, 1]")
        space = world.spaces[index]
        genomes[rows] = world.pad(space.repair(space.decode(np.clip(scaled, 0.0, 1.0))))
    return Offspring(families, genomes)
