"""What happens to an island whose best has not improved for some epochs. A row of RULES is what a spec may name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from islands.errors import SpecError
from islands.evolution.breeding import Offspring, mutants
from islands.evolution.deme import Deme
from islands.evolution.ranking import best_distinct, order
from islands.evolution.world import World
from islands.spec import CampaignSpec, StagnationSpec
from islands.strategies.families import nearest


def improved(before: np.ndarray, after: np.ndarray, signs: np.ndarray) -> bool:
    """Whether the best value of any objective, (K,), NaN where nobody was feasible, has become better."""
    return bool((signs * after > signs * before).any() or (np.isnan(before) & ~np.isnan(after)).any())


@dataclass(frozen=True, eq=False)
class Relief:
    """What is done at the beginning of an epoch.

    staying, born: who stays and who takes the places of the rest; born is None where everybody stays. boost: times the
    mutation's rate. rule: the names of the rules applied, joined by "+", or None.
    """

    staying: Deme
    born: Offspring | None = None
    boost: float = 1.0
    rule: str | None = None


def relieve(world: World, island: int, generation: int, stagnant: int, deme: Deme, hall: Deme) -> Relief:
    """What the rules of the spec do to an island of so many stagnant epochs; `generation` is the next to be bred."""
    relief = Relief(deme)
    for rule in world.spec.stagnation:
        if stagnant >= rule.epochs:
            relief = RULES[rule.rule](world, island, generation, rule, hall, relief)
            relief = replace(relief, rule="+".join(filter(None, (relief.rule, rule.rule))))
    return relief


def leaving(rule: StagnationSpec, size: int) -> int:
    """How many of a deme make room for the newly born: by reset its share, but never nobody and never all."""
    return min(max(round(rule.share * size), 1), size - 1) if rule.rule == "reset" else 0


def _reset(world: World, island: int, generation: int, rule: StagnationSpec, hall: Deme, relief: Relief) -> Relief:
    """The weakest become mutants of the best that the island ever had, or, where none was feasible, of who stays."""
    size = len(relief.staying)
    number = leaving(rule, size)
    staying = relief.staying.take(order(relief.staying, world.signs)[: size - number])
    best = best_distinct(hall if len(hall) else staying, len(staying), world.signs)
    return replace(relief, staying=staying, born=mutants(world, island, generation, best, number))


def _mutate(world: World, island: int, generation: int, rule: StagnationSpec, hall: Deme, relief: Relief) -> Relief:
    return replace(relief, boost=rule.factor)


RULES: dict[str, Callable[[World, int, int, StagnationSpec, Deme, Relief], Relief]] = {"reset": _reset, "mutate": _mutate}


def require_rules(spec: CampaignSpec) -> None:
    """Raises SpecError where the spec names a rule that does not exist, one twice, or one that would never be applied."""
    names = [rule.rule for rule in spec.stagnation]
    for name in names:
        if name not in RULES:
            raise SpecError(f"stagnation.rule = {name!r}{nearest(name, list(RULES))}; known: {', '.join(RULES)}")
        if names.count(name) > 1:
            raise SpecError(f"stagnation: rule {name} is given twice; give each once")
    due = {rule.rule: rule.epochs for rule in spec.stagnation}
    late = [name for name in due if due[name] > due.get("reset", due[name])]
    if late:
        raise SpecError(
            f"stagnation: {late[0]} after {due[late[0]]} epochs is never due, since reset begins the count anew after "
            f"{due['reset']}; give {late[0]} {due['reset']} epochs or less"
        )
