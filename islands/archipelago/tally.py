"""How many strategies a campaign has tried: exactly, over all its living commits, each once however often it was met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from islands.archipelago import ledger
from islands.archipelago.journal import Journal
from islands.evolution.deme import FOUNDER
from islands.evolution.distinct import Register


@dataclass(frozen=True)
class Tally:
    """scored: trials in all. distinct: genomes of them, on islands scored alike once. defined: of these, with a finite value
    of every objective, infeasible ones included. founders: (family, padded genome) of these that nobody chose, of generation
    0."""

    scored: int
    distinct: int
    defined: int
    founders: tuple[tuple[int, np.ndarray], ...]


def tally(journal: Journal, alike: Sequence[int], width: int, given: int) -> Tally:
    """Reads every living segment once.

    alike: a number for each island, the same for islands that are scored on the same bars in the same way. width: columns of
    a genome. given: how many known strategies start on each island, in its first slots.
    """
    registers = {group: Register(width) for group in alike}
    scored = defined = 0
    founders: dict[int, list[tuple[int, np.ndarray]]] = {}
    for segment in ledger.segments(journal):
        deme = segment.trials.deme
        scored += len(deme)
        _, fresh = registers[alike[segment.island]].number(deme.families, deme.genomes)
        has_figures = np.isfinite(deme.scores[:, :-1]).all(axis=1)
        defined += int(np.count_nonzero(fresh & has_figures))
        founding = has_figures & (segment.trials.origins == FOUNDER) & (deme.births[:, 1] == 0) & (deme.births[:, 2] >= given)
        rows = np.flatnonzero(fresh & founding)
        if len(rows):
            founders.setdefault(segment.island, []).extend(
                (int(deme.families[row]), deme.genomes[row]) for row in rows.tolist()
            )
    found = sum(register.count for register in registers.values())
    return Tally(scored, found, defined, tuple(pair for island in sorted(founders) for pair in founders[island]))
