"""Runs that could not be scored: a step of a user's own that raises, or a figure that is no number.

Such a genome is infeasible, as its scores are NaN: that is a pure function of the genome, since a row of a kernel call
depends on its own genome alone. What went wrong is told beside the scores, reaches no digest, and is kept in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from islands.errors import IslandsError
from islands.kernels.metrics import METRICS

if TYPE_CHECKING:
    from islands.evolution.world import Market

MOST = 100
"""Failures told of one epoch of an island: who breeds a broken rule makes thousands alike."""

LONGEST = 500
"""Characters of an error."""


@dataclass(frozen=True)
class Failure:
    """One genome that could not be scored, and where.

    family: its index in the spec. genome: its own genes, natural units. market: the instrument's name, and `bars`, `first`:
    how many of it were seen, and from which one it was scored. error: what was raised, or what is no number. begins: the time
    of the first bar that was seen, 0 in files that are older than this.
    """

    family: int
    genome: tuple[float, ...]
    market: str
    bars: int
    first: int
    error: str
    begins: int = 0

    def is_of(self, market: Market) -> bool:
        """Whether it was scored on this part of an instrument."""
        place = market.name, len(market.tape), int(market.terms.first)
        return place == (self.market, self.bars, self.first) and self.begins in (0, int(market.tape.timestamps[0]))


def failure_on(market: Market, family: int, genome: tuple[float, ...], error: str = "") -> Failure:
    """Of a genome on one part of an instrument."""
    return Failure(
        family, genome, market.name, len(market.tape), int(market.terms.first), error, int(market.tape.timestamps[0])
    )


_told: ContextVar[list[Failure] | None] = ContextVar("failures", default=None)


@contextmanager
def told() -> Iterator[list[Failure]]:
    """What fails while the block runs, the first `MOST` of it."""
    found: list[Failure] = []
    before = _told.set(found)
    try:
        yield found
    finally:
        _told.reset(before)


def figures(run: Callable[[np.ndarray], np.ndarray], market: Market, family: int, genomes: np.ndarray) -> np.ndarray:
    """METRICS, (P, M), by `run` of some rows of genomes, (P, g); NaN in all figures of one whose run raises.

    Raises:
        MemoryError, OSError, IslandsError, and what numba says of code that it can't compile: no genome's fault.
    """
    metrics = np.empty((len(genomes), len(METRICS)))
    waiting = [np.arange(len(genomes))]
    while waiting:
        rows = waiting.pop()
        try:
            metrics[rows] = run(rows)
        except Exception as error:
            if _is_nobodys(error):
                raise
            if len(rows) > 1:  # halves, until the one that raises stands alone
                waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
                continue
            metrics[rows] = np.nan
            _tell(market, family, genomes[rows[0]], f"{type(error).__name__}: {error}")
    return metrics


def require_numbers(metrics: np.ndarray, names: list[str], market: Market, family: int, genomes: np.ndarray) -> None:
    """Tells of genomes, (P, g), that traded and have an objective that is no number. Without a trade that is no news."""
    traded = metrics[:, METRICS.index("trades")] > 0.0
    for name in names:
        values = metrics[:, METRICS.index(name)]
        for row in np.flatnonzero(traded & ~np.isfinite(values)).tolist():
            trades = int(metrics[row, METRICS.index("trades")])
            _tell(market, family, genomes[row], f"{name} is {values[row]} after {trades} trade{'s' * (trades != 1)}")


def _is_nobodys(error: Exception) -> bool:
    return isinstance(error, (IslandsError, MemoryError, OSError)) or type(error).__module__.startswith("numba.")


def _tell(market: Market, family: int, genome: np.ndarray, error: str) -> None:
    found = _told.get()
    if found is not None and len(found) < MOST:
        found.append(failure_on(market, family, tuple(genome.tolist()), error[:LONGEST]))
