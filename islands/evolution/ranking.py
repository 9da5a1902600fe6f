"""Who is better: total orders over individuals, for one objective and for several.

The feasible stand above the infeasible (Deb's rules, 2000), which follow by how far they miss the limits. Among the
feasible one objective decides by its value, several by NSGA-II's crowded comparison: the front of non-domination, then
the distance to the neighbours on it. Ties are broken by birth, so that an order is total but for copies of one genome.

K. Deb, An efficient constraint handling method for genetic algorithms, Comput. Methods Appl. Mech. Eng. 186 (2000).
K. Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Trans. Evol. Comput. 6 (2002).
"""

from __future__ import annotations

import numpy as np

from islands.evolution.breeding import crowded
from islands.evolution.deme import Deme, Key


def order(deme: Deme, signs: np.ndarray) -> np.ndarray:
    """Rows from best to worst. signs: +1 for a maximum, -1 for a minimum, (K,)."""
    violation = deme.scores[:, -1]
    island, generation, slot = deme.births.T
    if len(signs) == 1:
        value = deme.scores[:, 0]
        worth = np.where(np.isfinite(value), signs[0] * value, -np.inf)
        return np.lexsort((slot, generation, island, -worth, violation))
    front, crowding = crowded(deme, signs)
    return np.lexsort((slot, generation, island, -crowding, front, violation))


def best_distinct(deme: Deme, count: int, signs: np.ndarray, feasible_only: bool = False) -> Deme:
    """The best `count` individuals of distinct family and genome, best first."""
    keys, seen, rows = deme.keys(), set[Key](), list[int]()
    feasible = deme.feasible
    for row in order(deme, signs).tolist():
        if len(rows) == count or (feasible_only and not feasible[row]):
            break
        if keys[row] not in seen:
            seen.add(keys[row])
            rows.append(row)
    return deme.take(rows)


def distinct_first(deme: Deme, rows: list[int]) -> list[int]:
    """The same rows, with those behind the rest that repeat a genome of an earlier one."""
    keys, seen = deme.keys(), set[Key]()
    distinct, copies = list[int](), list[int]()
    for row in rows:
        (copies if keys[row] in seen else distinct).append(row)
        seen.add(keys[row])
    return distinct + copies


def best_values(deme: Deme, signs: np.ndarray) -> np.ndarray:
    """The best value of each objective over the feasible, (K,); NaN where nobody is."""
    values = deme.scores[deme.feasible, :-1]
    return np.asarray(signs * np.max(signs * values, axis=0)) if len(values) else np.full(len(signs), np.nan)
