"""Who is better: total orders over individuals, for one objective and for several.

The feasible stand above the infeasible (Deb's rules, 2000), which follow by how far they miss the limits. Among the
feasible one objective decides by its value, several by NSGA-II's crowded comparison: the front of non-domination, then
the distance to the neighbours on it. Ties are broken by birth, so that an order is total but for copies of one genome.

K. Deb, An efficient constraint handling method for genetic algorithms, Comput. Methods Appl. Mech. Eng. 186 (2000).
K. Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Trans. Evol. Comput. 6 (2002).
"""

from __future__ import annotations

import math

import numpy as np

from islands.evolution.deme import Deme
from islands.evolution.distinct import numbers
from islands.kernels.compile import frozen
from islands.kernels.fronts import add_crowding, sort_fronts


def order(deme: Deme, signs: np.ndarray) -> np.ndarray:
    """Rows from best to worst. signs: +1 for a maximum, -1 for a minimum, (K,)."""
    return np.lexsort((_age(deme), *_standing(deme, signs)))


def _age(deme: Deme) -> np.ndarray:
    """A number of each individual, (P,) int64, by which births are in order: island, generation, slot."""
    island, generation, slot = deme.births.T
    spans = [int(column.max(initial=0)) + 1 for column in (island, generation, slot)]
    if math.prod(spans) < 2**63:
        return np.asarray((island * spans[1] + generation) * spans[2] + slot)
    ages = np.empty(len(deme), dtype=np.int64)
    ages[np.lexsort((slot, generation, island))] = np.arange(len(deme))
    return ages


def _standing(deme: Deme, signs: np.ndarray) -> tuple[np.ndarray, ...]:
    """What decides who is better, each (P,) and less the better, the last one first; who is equal in all stands equal."""
    violation = deme.scores[:, -1]
    if len(signs) == 1:
        value = deme.scores[:, 0]
        return np.where(np.isfinite(value), -signs[0] * value, np.inf), violation
    front, crowding = crowded(deme, signs)
    return -crowding, front, violation


def crowded(deme: Deme, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front (0 is the best) and crowding distance of each individual, (P,); both 0 for the infeasible.

    Copies of a genome would crowd their own front out, so each genome counts once and its copies share its rank.
    """
    front, crowding = np.zeros(len(deme), dtype=np.int64), np.zeros(len(deme))
    by_birth = np.argsort(_age(deme), kind="stable")  # what the crowding does with ties follows the order given
    rows = by_birth[deme.feasible[by_birth]]
    kind, first = numbers(deme.take(rows))
    ranks = fronts_and_crowding(deme.scores[rows[first], :-1] * signs)
    front[rows], crowding[rows] = (rank[kind] for rank in ranks)
    return front, crowding


def fronts_and_crowding(worths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front of non-domination, from 0, and crowding distance on it, (P,), of worths (P, K) of which more is better.

    The same as DEAP's sortLogNondominated and assignCrowdingDist. Each objective orders a front as the one before has left
    it, and the first one as the sort of the fronts did, which decides who of equals is whose neighbour.
    """
    rows = np.lexsort((-worths).T[::-1])
    points, front, crowding = frozen(worths), np.empty(len(worths), dtype=np.int64), np.zeros(len(worths))
    sort_fronts(points, rows, np.empty_like(front), np.empty_like(front), front)
    for objective, worth in enumerate(worths.T):
        rows = rows[np.argsort(worth[rows], kind="stable")]
        add_crowding(points, objective, rows, front, np.empty((3, len(rows))), np.empty_like(front), crowding)
    return front, crowding


def best_distinct(deme: Deme, count: int, signs: np.ndarray, feasible_only: bool = False) -> Deme:
    """The best `count` individuals of distinct family and genome, best first."""
    rows = order(deme, signs)
    if feasible_only:
        rows = rows[deme.feasible[rows]]
    return deme.take(rows[numbers(deme.take(rows))[1]][:count])


def distinct_first(deme: Deme, rows: np.ndarray) -> np.ndarray:
    """The same rows, with those behind the rest that repeat a genome of an earlier one."""
    _, first = numbers(deme.take(rows))
    return np.concatenate([rows[first], rows[~first]])


def best_values(deme: Deme, signs: np.ndarray) -> np.ndarray:
    """The best value of each objective over the feasible, (K,); NaN where nobody is."""
    values = deme.scores[deme.feasible, :-1]
    return np.asarray(signs * np.max(signs * values, axis=0)) if len(values) else np.full(len(signs), np.nan)
