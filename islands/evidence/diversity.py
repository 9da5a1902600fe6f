"""Which of many strategies are different ideas: told by what they hold and what they earn, not by their genes.

Two genomes may be far apart and trade alike (an overlay that never acts is a neutral gene), or be neighbours and trade
differently. Of a list with the best first, a strategy is taken unless it holds or earns nearly the same as one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from islands.evidence.given import Floats
from islands.evidence.robustness import Setting
from islands.strategies.strategy import Strategy

MOST_BARS = 1 << 16
"""Of more bars than these every n-th is looked at, which leaves an error of 0.001 to a correlation of 0.9."""

ROUNDING = 1e-9
"""How near a correlation counts as reached."""


class Ground(NamedTuple):
    """One instrument on which strategies are told apart: where they run, the market's returns, (T,), and the bars looked at."""

    setting: Setting
    moves: Floats
    rows: npt.NDArray[np.intp]


def grounds(settings: Sequence[Setting]) -> list[Ground]:
    """What to tell strategies apart on, from the first scored bar of each setting on."""
    stride = _stride(sum(len(place.bars) - place.score_from for place in settings))
    found = []
    for place in settings:
        close = place.bars.close
        moves = np.concatenate(([0.0], close[1:] / close[:-1] - 1.0))
        found.append(Ground(place, moves, np.arange(place.score_from, len(close), stride)))
    return found


def _stride(bars: int) -> int:
    """1 for few bars; else a number that shares no divisor with the bars of an hour, a day or a week."""
    stride = -(-bars // MOST_BARS)
    while stride > 1 and any(stride % prime == 0 for prime in (2, 3, 5, 7)):
        stride += 1
    return stride


class Track(NamedTuple):
    """What a strategy held and earned on the bars looked at, over all instruments, (T,) each.

    Both less their mean and over their norm, so that the sum of a product is a correlation. A series that stands still is
    kept as it is, and `moves` says which of the two do not.
    """

    positions: Floats
    returns: Floats
    moves: tuple[bool, bool]


def track_of(strategy: Strategy, places: Iterable[Ground]) -> Track:
    """A strategy's track: targets and what they earn before costs; under stops or sizes, what was held and earned of them.

    A run through the account takes ten times as long as the decisions alone.
    """
    held, earned = [], []
    for place in places:
        if strategy.overlays is None:
            positions = strategy.positions(place.setting.bars)
            returns = np.concatenate(([0.0], positions[:-1])) * place.moves
        else:
            run = place.setting.run(strategy)
            alive = run.equity > 0.0
            positions = run.units * place.setting.bars.close / np.where(alive, run.equity, 1.0) * alive
            returns = run.returns
        held.append(positions[place.rows])
        earned.append(returns[place.rows])
    return standardised(np.concatenate(held), np.concatenate(earned))


def standardised(positions: Floats, returns: Floats) -> Track:
    """The track of positions and returns, (T,) each."""
    moves = (bool(np.ptp(positions) > 0.0), bool(np.ptp(returns) > 0.0))
    return Track(_unit(positions) if moves[0] else positions, _unit(returns) if moves[1] else returns, moves)


def _unit(values: Floats) -> Floats:
    centred = (values - values.mean()) / np.ptp(values)
    return np.asarray(centred / np.sqrt(np.sum(centred * centred)))


def alike(one: Track, other: Track, most_alike: float) -> bool:
    """Whether the correlation of positions or that of returns reaches `most_alike`.

    Of series of which one stands still it is 1 where they are equal, else 0.
    """
    for mine, theirs, here, there in zip(one[:2], other[:2], one.moves, other.moves, strict=True):
        correlation = float(np.sum(mine * theirs)) if here and there else float(np.array_equal(mine, theirs))
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
