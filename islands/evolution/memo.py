"""Scores that this process knows already: a genome met again in another epoch or on another island is not run again.

Scores are a pure function of family, genome and market, so nothing but the time shows whether they were remembered. Of
spaces of whole numbers a campaign meets half of its genomes again (two periods and a direction, 1,000 individuals, 50
generations: 52 %), of those with a real gene few (2 to 3 % in the first campaigns of the README), and asking costs a
thousandth of a run.
"""

from __future__ import annotations

import weakref

import numpy as np

from islands.evolution.distinct import Register
from islands.evolution.world import Market, World

MOST = 200_000
"""Genomes remembered of one world: some 20 MB. A memo that is full begins anew."""


class _Memo:
    """Scores of the genomes of one world on the same markets."""

    def __init__(self, world: World) -> None:
        self._register = Register(world.width)
        self._scores = np.empty((0, len(world.signs) + 1))
        self._known = np.empty(0, dtype=np.bool_)  # a run that failed leaves a number without scores

    def __len__(self) -> int:
        return self._register.count

    def number(self, families: np.ndarray, genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of these genomes, and whose scores are known."""
        numbers, _ = self._register.number(families, genomes)
        missing = self._register.count - len(self._known)
        if missing > 0:
            room = missing + len(self._known)
            self._scores = np.concatenate([self._scores, np.empty((room, self._scores.shape[1]))])
            self._known = np.concatenate([self._known, np.zeros(room, dtype=np.bool_)])
        return numbers, self._known[numbers]

    def put(self, numbers: np.ndarray, scores: np.ndarray) -> None:
        self._scores[numbers], self._known[numbers] = scores, True

    def get(self, numbers: np.ndarray) -> np.ndarray:
        return self._scores.take(numbers, axis=0)


_memos: weakref.WeakKeyDictionary[World, dict[tuple[Market, ...], _Memo]] = weakref.WeakKeyDictionary()


def score(world: World, markets: tuple[Market, ...], families: np.ndarray, genomes: np.ndarray) -> np.ndarray:
    """World.score of distinct genomes, (P, K+1), with a run only of those that have none behind them."""
    memos = _memos.setdefault(world, {})
    if sum(map(len, memos.values())) + len(families) > MOST:
        memos.clear()
    if len(families) > MOST:
        return world.score(markets, families, genomes)
    memo = memos.get(markets) or memos.setdefault(markets, _Memo(world))
    numbers, known = memo.number(families, genomes)
    new = np.flatnonzero(~known)
    if len(new):
        memo.put(numbers[new], world.score(markets, families[new], genomes[new]))
    return memo.get(numbers)
