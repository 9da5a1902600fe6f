"""Who is better: total orders over individuals, for one objective and for several.

The feasible stand above the infeasible (Deb's rules, 2000), which follow by how far they miss the limits. Among the
feasible one objective decides by its value, several by NSGA-II's crowded comparison: the front of non-domination, then
the distance to the neighbours on it. Ties are broken by birth, so that an order is total but for copies of one genome.

K. Deb, An efficient constraint handling method for genetic algorithms, Comput. Methods Appl. Mech. Eng. 186 (2000).
K. Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Trans. Evol. Comput. 6 (2002).
"""

from __future__ import annotations

import numpy as np

from islands.evolution.deme import Deme
from islands.evolution.distinct import numbers
from islands.kernels.compile import frozen
from islands.kernels.fronts import add_crowding, sort_fronts
from islands.kernels.sorting import DIGITS, VALUES, sort_rows


def order(deme: Deme, signs: np.ndarray) -> np.ndarray:
    """Rows from best to worst. signs: +1 for a maximum, -1 for a minimum, (K,)."""
    violation = deme.scores[:, -1]
    if len(signs) == 1:
        value = deme.scores[:, 0]
        return sorted_rows(*_by_birth(deme), np.where(np.isfinite(value), -signs[0] * value, np.inf), violation)
    front, crowding = crowded(deme, signs)
    return sorted_rows(*_by_birth(deme), -crowding, front, violation)


def sorted_rows(*keys: np.ndarray) -> np.ndarray:
    """np.lexsort: rows by the last key, (P,), the smallest first, then by the one before it, and so on, then as they stand."""
    return _resorted(np.arange(len(keys[0])), *keys)


def _resorted(rows: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """These rows by the last key and so on, then as they stand; `rows` itself changes."""
    spare = np.empty_like(rows)
    for key in keys:
        if (key == key[:1]).all():
            continue
        sort_rows(_as_numbers(key), rows, spare, np.zeros((DIGITS, VALUES), dtype=np.int64))
    return rows


def _as_numbers(key: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of a key's values, (P,) uint64; both zeros are one."""
    lowest = np.int64(-(2**63))
    if key.dtype == np.int64:
        return np.asarray((key ^ lowest).view(np.uint64))
    bits = (key + 0.0).view(np.int64)
    return np.asarray((bits ^ ((bits >> 63) | lowest)).view(np.uint64))  # of a negative number all bits turn, else the sign


def _by_birth(deme: Deme) -> tuple[np.ndarray, ...]:
    """Keys by which births are in order, the last one first: slot, generation, island."""
    return tuple(deme.births.T[::-1])


def crowded(deme: Deme, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front (0 is the best) and crowding distance of each individual, (P,); both 0 for the infeasible.

    Copies of a genome would crowd their own front out, so each genome counts once and its copies share its rank.
    """
    front, crowding = np.zeros(len(deme), dtype=np.int64), np.zeros(len(deme))
    rows = sorted_rows(*_by_birth(deme))  # what the crowding does with ties follows the order given
    rows = rows[deme.feasible[rows]]
    kind, first = numbers(deme.take(rows))
    ranks = fronts_and_crowding(deme.scores[rows[first], :-1] * signs)
    front[rows], crowding[rows] = (rank[kind] for rank in ranks)
    return front, crowding


def fronts_and_crowding(worths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Front of non-domination, from 0, and crowding distance on it, (P,), of worths (P, K) of which more is better.

    The same as DEAP's sortLogNondominated and assignCrowdingDist. Each objective orders a front as the one before has left
    it, and the first one as the sort of the fronts did, which decides who of equals is whose neighbour.
    """
    rows = sorted_rows(*(-worths).T[::-1])
    points, front, crowding = frozen(worths), np.empty(len(worths), dtype=np.int64), np.zeros(len(worths))
    sort_fronts(points, rows, np.empty_like(front), np.empty_like(front), front)
    for objective, worth in enumerate(worths.T):
        rows = _resorted(rows, worth)
        add_crowding(points, objective, rows, front, np.empty((3, len(rows))), np.empty_like(front), crowding)
    return front, crowding


def best_distinct(deme: Deme, count: int, signs: np.ndarray, feasible_only: bool = False) -> Deme:
    """The best `count` individuals of distinct family and genome, best first."""
    if feasible_only:
        deme = deme.take(deme.feasible)
    if feasible_only and len(signs) == 1:
        deme = _leaders(deme, count, signs[0] * deme.scores[:, 0])
    if not count:
        return deme.take([])
    ranked = deme.take(order(deme, signs))
    return ranked.take(np.flatnonzero(numbers(ranked)[1])[:count])


def _leaders(deme: Deme, count: int, worths: np.ndarray) -> Deme:
    """Who comes into question as one of the best `count` of distinct genomes: few of many, which need no more sorting."""
    most = count + len(deme) - int(np.count_nonzero(numbers(deme)[1]))
    if not 0 < most < len(deme):
        return deme
    return deme.take(worths >= np.partition(worths, len(deme) - most)[len(deme) - most])


def distinct_first(deme: Deme, rows: np.ndarray) -> np.ndarray:
    """The same rows, with those behind the rest that repeat a genome of an earlier one."""
    _, first = numbers(deme.take(rows))
    return np.concatenate([rows[first], rows[~first]])


def best_values(deme: Deme, signs: np.ndarray) -> np.ndarray:
    """The best value of each objective over the feasible, (K,); NaN where nobody is."""
    values = deme.scores[deme.feasible, :-1]
    return np.asarray(signs * np.max(signs * values, axis=0)) if len(values) else np.full(len(signs), np.nan)
