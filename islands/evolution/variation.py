"""Selection, crossover and mutation of a whole population at once: batch forms of DEAP's operators.

A batch form has the name and the parameters of DEAP's operator and does the same to as many individuals as there are,
column by column in place of one Individual after another. What it draws comes from the breeding's stream, not from the
global generators. The tables at the end say which operators have one; breeding.py puts them into the toolbox.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from islands.evolution.deme import COPY, CROSSOVER, CROSSOVER_MUTATION, MUTATION, Deme, present
from islands.evolution.ranking import crowded, sorted_rows
from islands.evolution.world import World
from islands.kernels import variation as kernels

Values = float | Sequence[float]
"""A parameter of each gene: one value for all, or a row of at least as many as there are genes."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """From whom parents are chosen, P of them.

    ranks: (P,) int64, 0 for the best; equals have one rank. violation: (P,). worths: (P, K), more is better, 0 for the
    infeasible. crowding: (P,), 0 where there is one objective.
    """

    ranks: np.ndarray
    violation: np.ndarray
    worths: np.ndarray
    crowding: np.ndarray

    def __len__(self) -> int:
        return len(self.ranks)

    def dominate(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether each of `rows` dominates its opposite among `others`, (N,) bool (Deb's rules where limits are missed)."""
        mine, theirs = self.worths[rows], self.worths[others]
        pareto = (mine >= theirs).all(axis=1) & (mine > theirs).any(axis=1)
        nearer = self.violation[rows] < self.violation[others]
        limits = (self.violation[rows] != 0.0) | (self.violation[others] != 0.0)
        return np.asarray(np.where(limits, nearer, pareto))


def candidates(world: World, deme: Deme) -> Candidates:
    """The members of a deme as selection sees them."""
    violation = deme.scores[:, -1]
    worths = np.where(deme.feasible[:, None], deme.scores[:, :-1] * world.signs, 0.0)
    front, crowding = -worths[:, 0], np.zeros(len(deme))
    if len(world.signs) > 1:
        front, crowding = crowded(deme, world.signs)
    return Candidates(_dense_ranks(violation, front, -crowding), violation, worths, crowding)


def _dense_ranks(*keys: np.ndarray) -> np.ndarray:
    """The rank of each row by the first key, then the next, and so on, from 0; equals share one."""
    rows = sorted_rows(*keys[::-1])
    steps = np.zeros(len(rows), dtype=np.int64)
    for key in keys:
        steps[1:] |= key[rows][1:] != key[rows][:-1]
    ranks = np.empty_like(steps)
    ranks[rows] = np.cumsum(steps)
    return ranks


@dataclass(eq=False)
class Children:
    """Children in the making, P of them, columns that operators change in place.

    families, rows, mates: (P,) int64, the family, and the rows of the parent and of the mate in the deme (-1: no mate).
    mutated: (P,) bool. genes: (P, W) scaled; a child has the first sizes[i] of them.
    """

    families: np.ndarray
    rows: np.ndarray
    mates: np.ndarray
    mutated: np.ndarray
    genes: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.families)

    @property
    def origins(self) -> np.ndarray:
        """Indices of ORIGINS, (P,)."""
        table = np.array([[COPY, MUTATION], [CROSSOVER, CROSSOVER_MUTATION]])
        return np.asarray(table[(self.mates >= 0).astype(np.int64), self.mutated.astype(np.int64)])


_scaled_last: weakref.WeakKeyDictionary[World, tuple[Deme, np.ndarray]] = weakref.WeakKeyDictionary()


def scaled(world: World, deme: Deme) -> np.ndarray:
    """Scaled genes of each member, (P, W), read-only; 0 beyond those of its family.

    A deme's diversity is told and then it is bred from: the last ones are kept, for a deme never changes.
    """
    last = _scaled_last.get(world)
    if last is not None and last[0] is deme:
        return last[1]
    genes = np.zeros_like(deme.genomes)
    for index in deme.present:
        rows = np.flatnonzero(deme.families == index)
        own = world.spaces[index].encode(world.genes(index, deme.genomes.take(rows, axis=0)))
        genes[rows, : own.shape[1]] = own
    genes.flags.writeable = False
    _scaled_last[world] = deme, genes
    return genes


def copies(world: World, deme: Deme, rows: np.ndarray) -> Children:
    """The members of these rows, one more than once where it is chosen again, as children that nobody has changed."""
    families = deme.families[rows]
    sizes = np.array([len(space.genes) for space in world.spaces])[families]
    genes = scaled(world, deme).take(rows, axis=0)
    return Children(families, rows, np.full(len(rows), -1), np.zeros(len(rows), bool), genes, sizes)


def pairs(families: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who meets whom, (N,) each: in each family the first child the second, the third the fourth, and so on."""
    members = [np.flatnonzero(families == index) for index in present(families)]
    first = np.concatenate([own[: len(own) // 2 * 2 : 2] for own in members])
    return first, np.concatenate([own[1::2] for own in members])


# Selection: rows of `count` parents.


def _tournament(candidates: Candidates, count: int, chance: np.random.Generator, tournsize: int) -> np.ndarray:
    met = chance.integers(len(candidates), size=(count, tournsize))
    winners = np.argmin(candidates.ranks[met], axis=1)  # of equals the first one met
    return np.asarray(met[np.arange(count), winners])


def _best(candidates: Candidates, count: int, chance: np.random.Generator) -> np.ndarray:
    return np.argsort(candidates.ranks, kind="stable")[:count]


def _worst(candidates: Candidates, count: int, chance: np.random.Generator) -> np.ndarray:
    return np.argsort(-candidates.ranks, kind="stable")[:count]


def _random(candidates: Candidates, count: int, chance: np.random.Generator) -> np.ndarray:
    return chance.integers(len(candidates), size=count)


def _crowded_tournament(candidates: Candidates, count: int, chance: np.random.Generator) -> np.ndarray:
    """Two shuffled queues; of one the first two meet, and the next two, then as many of the other, and so on."""
    if count % 4:
        raise ValueError(f"selTournamentDCD: {count} parents are no multiple of four")
    queues = [chance.permutation(len(candidates))[:count].reshape(-1, 2, 2) for _ in range(2)]
    one, other = np.stack(queues, axis=1).reshape(-1, 2).T
    mine, theirs = candidates.crowding[one], candidates.crowding[other]
    lonelier = (mine > theirs) | ((mine == theirs) & (chance.random(count) <= 0.5))
    return np.where(candidates.dominate(one, other) | (lonelier & ~candidates.dominate(other, one)), one, other)


# Crossover of the rows first[i] and second[i].


def _simulated_binary_bounded(
    children: Children, first: np.ndarray, second: np.ndarray, chance: np.random.Generator, eta: float, low: Values, up: Values
) -> None:
    width = children.genes.shape[1]
    drawn = chance.random((len(first), width, 3))
    bounds = _of_genes(low, width), _of_genes(up, width)
    kernels.cross_simulated_binary_bounded(first, second, children.sizes, float(eta), *bounds, drawn, children.genes)


def _simulated_binary(
    children: Children, first: np.ndarray, second: np.ndarray, chance: np.random.Generator, eta: float
) -> None:
    drawn = chance.random((len(first), children.genes.shape[1]))
    kernels.cross_simulated_binary(first, second, children.sizes, float(eta), drawn, children.genes)


def _blend(children: Children, first: np.ndarray, second: np.ndarray, chance: np.random.Generator, alpha: float) -> None:
    x, y = children.genes[first], children.genes[second]
    gamma = (1.0 + 2.0 * alpha) * chance.random(x.shape) - alpha
    children.genes[first] = (1.0 - gamma) * x + gamma * y
    children.genes[second] = gamma * x + (1.0 - gamma) * y


def _uniform(children: Children, first: np.ndarray, second: np.ndarray, chance: np.random.Generator, indpb: float) -> None:
    _swap(children, first, second, chance.random((len(first), children.genes.shape[1])) < indpb)


def _one_point(children: Children, first: np.ndarray, second: np.ndarray, chance: np.random.Generator) -> None:
    point = chance.integers(1, children.sizes[first])[:, None]
    _swap(children, first, second, np.arange(children.genes.shape[1]) >= point)


def _two_point(children: Children, first: np.ndarray, second: np.ndarray, chance: np.random.Generator) -> None:
    sizes = children.sizes[first]
    one, other = chance.integers(1, sizes + 1), chance.integers(1, sizes)
    other += other >= one  # two different points
    gene = np.arange(children.genes.shape[1])
    _swap(children, first, second, (gene >= np.minimum(one, other)[:, None]) & (gene < np.maximum(one, other)[:, None]))


def _swap(children: Children, first: np.ndarray, second: np.ndarray, where: np.ndarray) -> None:
    x, y = children.genes[first], children.genes[second]
    children.genes[first], children.genes[second] = np.where(where, y, x), np.where(where, x, y)


# Mutation of rows, (N,).


def _polynomial_bounded(
    children: Children, rows: np.ndarray, chance: np.random.Generator, eta: float, low: Values, up: Values, indpb: float
) -> None:
    width = children.genes.shape[1]
    drawn = chance.random((len(rows), width, 2))
    bounds = _of_genes(low, width), _of_genes(up, width)
    kernels.mutate_polynomial_bounded(rows, children.sizes, float(eta), *bounds, float(indpb), drawn, children.genes)


def _gaussian(
    children: Children, rows: np.ndarray, chance: np.random.Generator, mu: Values, sigma: Values, indpb: float
) -> None:
    width = children.genes.shape[1]
    drawn = chance.random((len(rows), width, 3))
    moments = _of_genes(mu, width), _of_genes(sigma, width)
    kernels.mutate_gaussian(rows, children.sizes, *moments, float(indpb), drawn, children.genes)


def _of_genes(values: Values, width: int) -> np.ndarray:
    """A parameter as a row, (W,); a row given may be as short as the narrowest family."""
    given = np.asarray(values, dtype=np.float64)
    if given.ndim == 0:
        return np.full(width, given)
    row = np.zeros(width)
    row[: len(given)] = given[:width]
    return row


Select = Callable[..., np.ndarray]
Vary = Callable[..., None]

SELECTIONS: dict[str, Select] = {
    "selTournament": _tournament,
    "selBest": _best,
    "selWorst": _worst,
    "selRandom": _random,
    "selTournamentDCD": _crowded_tournament,
}
"""(candidates, count, chance, **parameters) -> rows of the parents, (count,)."""

CROSSOVERS: dict[str, Vary] = {
    "cxSimulatedBinaryBounded": _simulated_binary_bounded,
    "cxSimulatedBinary": _simulated_binary,
    "cxBlend": _blend,
    "cxUniform": _uniform,
    "cxOnePoint": _one_point,
    "cxTwoPoint": _two_point,
}
"""(children, first, second, chance, **parameters): crosses the rows first[i] and second[i], all different."""

MUTATIONS: dict[str, Vary] = {"mutPolynomialBounded": _polynomial_bounded, "mutGaussian": _gaussian}
"""(children, rows, chance, **parameters): mutates these rows."""
