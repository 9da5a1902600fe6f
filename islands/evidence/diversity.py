"""Which of many strategies are different ideas: told by what they hold and what they earn, not by their genes.

Two genomes may be far apart and trade alike (an overlay that never acts is a neutral gene), or be neighbours and trade
differently. Of a list with the best first, a strategy is taken unless it holds or earns nearly the same as one before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from islands.evaluation import Backtest

Series = npt.NDArray[np.float32]

ROUNDING = 1e-6
"""How near a correlation counts as the same: series are kept in single precision, half the memory."""


class Track(NamedTuple):
    """What a strategy held after each close, as a share of its equity, and its returns: (T,) each, over all instruments.

    Both less their mean and over their norm, so that the sum of a product is a correlation. A series that stands still is
    kept as it is, and `moves` says which of the two do not.
    """

    positions: Series
    returns: Series
    moves: tuple[bool, bool]


def track_of(runs: Iterable[Backtest], closes: Iterable[npt.NDArray[np.float64]], first: int) -> Track:
    """The track of one strategy's runs, one an instrument, from the first scored bar on."""
    held, earned = [], []
    for run, close in zip(runs, closes, strict=True):
        alive = run.equity > 0.0
        held.append((run.units * close / np.where(alive, run.equity, 1.0) * alive)[first:])
        earned.append(run.returns[first:])
    return standardised(np.concatenate(held), np.concatenate(earned))


def standardised(positions: npt.NDArray[np.float64], returns: npt.NDArray[np.float64]) -> Track:
    """The track of a strategy's positions and returns, (T,) each."""
    moves = (bool(np.ptp(positions) > 0.0), bool(np.ptp(returns) > 0.0))
    series = [_unit(values) if moving else values for values, moving in zip((positions, returns), moves, strict=True)]
    return Track(series[0].astype(np.float32), series[1].astype(np.float32), moves)


def _unit(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    centred = (values - values.mean()) / np.ptp(values)
    return np.asarray(centred / np.sqrt(np.sum(centred * centred)))


def alike(one: Track, other: Track, most_alike: float) -> bool:
    """Whether the correlation of positions or that of returns reaches `most_alike`.

    Of series of which one stands still it is 1 where they are equal, else 0.
    """
    for mine, theirs, here, there in zip(one[:2], other[:2], one.moves, other.moves, strict=True):
        if here and there:
            correlation = float(np.sum(mine * theirs, dtype=np.float64))
        else:
            correlation = float(here == there and np.array_equal(mine, theirs))
        if correlation >= most_alike - ROUNDING:
            return True
    return False


def different(tracks: Iterable[Track], count: int, most_alike: float) -> list[int]:
    """Indices of up to `count` tracks, in order, each less like all taken before it than `most_alike`, a correlation.

    Reads no more of them than it needs; what was not taken is not kept.
    """
    taken: list[int] = []
    kept: list[Track] = []
    for index, track in enumerate(tracks):
        like = next((place for place, other in enumerate(kept) if alike(track, other, most_alike)), None)
        if like is not None:
            kept.insert(0, kept.pop(like))  # copies come in crowds: the next one is likely to be like the same
            continue
        taken.append(index)
        kept.append(track)
        if len(taken) == count:
            break
    return taken
