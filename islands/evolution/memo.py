"""Scores that this process knows already: a genome met again in another epoch or on another island is not run again.

Scores are a pure function of family, genome and market, so nothing but the time shows whether they were remembered. Of
spaces of whole numbers a campaign meets half of its genomes again (two periods and a direction, 1,000 individuals, 50
generations: 52 %), of those with a real gene few (2 to 3 % in the first campaigns of the README); asking costs the hash
of a row.
"""

from __future__ import annotations

import weakref

import numpy as np

from islands.evolution.distinct import Register, Rows
from islands.evolution.world import Market, World

MOST = 200_000
"""Genomes remembered of one world: some 20 MB. A memo that is full begins anew."""


class _Memo:
    """Scores of the genomes of one world on the same markets."""

    def __init__(self, world: World) -> None:
        self.register = Register(world.width)
        self._scores = Rows(len(world.signs) + 1)

    def known(self, families: np.ndarray, genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of these genomes, and whose scores are known: NaN in the violation says that they are not."""
        numbers, _ = self.register.number(families, genomes)
        self._scores.append(np.full((self.register.count - len(self._scores), self._scores.values.shape[1]), np.nan))
        return numbers, ~np.isnan(self._scores.values[numbers, -1])

    def put(self, numbers: np.ndarray, scores: np.ndarray) -> None:
        self._scores.values[numbers] = scores

    def get(self, numbers: np.ndarray) -> np.ndarray:
        return self._scores.values.take(numbers, axis=0)


_memos: weakref.WeakKeyDictionary[World, dict[tuple[Market, ...], _Memo]] = weakref.WeakKeyDictionary()


def score(world: World, markets: tuple[Market, ...], families: np.ndarray, genomes: np.ndarray) -> np.ndarray:
    """World.score of distinct genomes, (P, K+1), with a run only of those that have none behind them."""
    memos = _memos.setdefault(world, {})
    if sum(memo.register.count for memo in memos.values()) + len(families) > MOST:
        memos.clear()
    if len(families) > MOST:
        return world.score(markets, families, genomes)
    if markets not in memos:
        memos[markets] = _Memo(world)
    memo = memos[markets]
    numbers, known = memo.known(families, genomes)
    new = np.flatnonzero(~known)
    if len(new):
        memo.put(numbers[new], world.score(markets, families[new], genomes[new]))
    return memo.get(numbers)
