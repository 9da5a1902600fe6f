"""Walk-forward: each test part of the bars is left to champions that were evolved on what lies before it, and on that alone.

A fold is a campaign of its own with its own islands, in folds/N of the campaign's folder; what it holds back is its test part.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from islands.errors import SpecError
from islands.evolution.world import World
from islands.market.bars import Bars
from islands.market.instants import EPOCH, instant_text
from islands.spec import CampaignSpec


@dataclass(frozen=True)
class Fold:
    """One test part, [test_from, test_to) in microseconds since the Unix epoch, and the campaign that is tested on it."""

    number: int
    test_from: int
    test_to: int
    spec: CampaignSpec
    bars: dict[str, Bars]


def folds_of(world: World) -> list[Fold]:
    """The folds of a walk-forward campaign, in time; none of another.

    The first instrument's bars decide where the parts begin: its bars of evolution behind `splits.train` are divided
    evenly. Anchored training begins with the first bar; rolling training is as long as that of the first fold.

    Raises:
        SpecError: an instrument has no bars in a part, or too few before it for the warm-up.
    """
    splits = world.spec.splits
    if splits.kind != "walk_forward":
        return []
    leading = world.markets[0].tape
    start = round(len(leading) * splits.train)
    edges = np.linspace(start, len(leading), splits.parts + 1).round().astype(int)
    stamps = [int(leading.timestamps[edge]) for edge in edges[:-1]] + [int(leading.timestamps[-1]) + 1]
    seen = {market.name: Bars(market.name, market.tape) for market in world.markets}
    folds = []
    for number, (test_from, test_to) in enumerate(itertools.pairwise(stamps), 1):
        behind = edges[number - 1] - start
        begin = int(leading.timestamps[0]) if splits.anchored else int(leading.timestamps[behind])
        folds.append(_fold(world, number, begin, test_from, test_to, seen))
    return folds


def _fold(world: World, number: int, begin: int, test_from: int, test_to: int, seen: Mapping[str, Bars]) -> Fold:
    cut = {name: _between(bars, begin, test_to) for name, bars in seen.items()}
    for name, bars in cut.items():
        before = int(np.searchsorted(bars.timestamps, test_from)) if bars is not None else 0
        if bars is None or before == len(bars) or before - world.warmup < 2:
            raise SpecError(
                f"splits: test part {number} begins at {instant_text(test_from)}; of {name} that leaves {before} bars to "
                f"training, of which {world.warmup} warm up, and {0 if bars is None else len(bars) - before} to the test; ask "
                "for fewer parts, a larger share to train on, or shorter periods"
            )
    spec = world.spec
    values = spec.model_dump()
    values["name"] = f"{spec.name}, fold {number}"
    values["splits"] = {}
    values["bars"] |= {"path": None, "held_back": type(spec.bars).model_fields["held_back"].default}
    values["bars"]["held_back_from"] = (EPOCH + timedelta(microseconds=test_from)).isoformat()
    for part in values["instruments"].values():
        part["path"] = None
    return Fold(
        number, test_from, test_to, CampaignSpec(**values), {name: bars for name, bars in cut.items() if bars is not None}
    )


def _between(bars: Bars, begin: int, end: int) -> Bars | None:
    first, last = (int(place) for place in np.searchsorted(bars.timestamps, [begin, end]))
    return Bars(bars.name, bars.tape.cut(first, last)) if first < last else None
