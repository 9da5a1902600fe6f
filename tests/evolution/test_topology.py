"""Who sends to whom."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import tiny_world

from islands.archipelago.topology import in_neighbours
from islands.errors import SpecError

EDGES = {
    ("ring", 1): ((),),
    ("ring", 2): ((1,), (0,)),
    ("ring", 4): ((3,), (0,), (1,), (2,)),
    ("complete", 1): ((),),
    ("complete", 2): ((1,), (0,)),
    ("complete", 4): ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)),
    ("none", 1): ((),),
    ("none", 3): ((), (), ()),
}


@pytest.mark.parametrize(("topology", "islands"), list(EDGES))
def test_senders_of_each_island(topology: str, islands: int) -> None:
    world = tiny_world({"archipelago.topology": topology, "archipelago.islands": islands})
    assert in_neighbours(world) == EDGES[topology, islands]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"archipelago.topology": "rings"},
        "archipelago.topology = 'rings' (did you mean 'ring'?); known: ring, complete, none",
    ),
    "edge without a common family": (
        {"archipelago.islands": [["sma_trend"], ["sma_trend", "ema_crossover"], ["ema_crossover"]]},
        "archipelago: island 2 sends to island 0, but they share no family, so nobody could arrive; give them one in "
        "common, reorder the islands, or choose topology none",
    ),
    "as many immigrants as members": (
        {"migration.emigrants": 6, "archipelago.topology": "complete"},
        "migration: up to 12 immigrants an epoch reach island 0 of 12; they must be fewer than its population; lower "
        "migration.emigrants",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_topology_that_can_not_work_is_refused(case: str) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        in_neighbours(tiny_world(changes))
    assert str(error.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"archipelago.islands": [["sma_trend"], ["ema_crossover"]], "archipelago.topology": "none"},
        {"migration.emigrants": 11},
        {"migration.emigrants": 5, "archipelago.topology": "complete"},
        {"migration.emigrants": 12, "archipelago.topology": "none"},
    ],
    ids=str,
)
def test_topology_that_just_works_is_accepted(changes: dict[str, Any]) -> None:
    world = tiny_world(changes)
    assert len(in_neighbours(world)) == world.islands
