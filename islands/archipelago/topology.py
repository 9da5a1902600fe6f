"""Who sends to whom. A row of the table is a rule: (island, number of islands) -> the islands that send to it."""

from __future__ import annotations

from collections.abc import Callable

from islands.errors import SpecError
from islands.evolution.world import World
from islands.strategies.families import nearest

Neighbours = tuple[tuple[int, ...], ...]


def _ring(island: int, islands: int) -> list[int]:
    return [(island - 1) % islands] if islands > 1 else []


def _complete(island: int, islands: int) -> list[int]:
    return [other for other in range(islands) if other != island]


def _none(island: int, islands: int) -> list[int]:
    return []


TOPOLOGIES: dict[str, Callable[[int, int], list[int]]] = {"ring": _ring, "complete": _complete, "none": _none}


def in_neighbours(world: World) -> Neighbours:
    """For each island the islands that send to it, in island order.

    Raises:
        SpecError: no such topology; an edge whose ends share no family; more immigrants than an island can take.
    """
    name = world.spec.archipelago.topology
    if name not in TOPOLOGIES:
        known = list(TOPOLOGIES)
        raise SpecError(f"archipelago.topology = {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    senders = tuple(tuple(sorted(TOPOLOGIES[name](i, world.islands))) for i in range(world.islands))
    for island, sources in enumerate(senders):
        for source in sources:
            if not set(world.holdings[source]) & set(world.holdings[island]):
                raise SpecError(
                    f"archipelago: island {source} sends to island {island}, but they share no family, so nobody could "
                    "arrive; give them one in common, reorder the islands, or choose topology none"
                )
        arriving = len(sources) * world.spec.migration.emigrants
        if arriving >= world.spec.evolution.population:
            raise SpecError(
                f"migration: up to {arriving} immigrants an epoch reach island {island} of "
                f"{world.spec.evolution.population}; they must be fewer than its population; lower migration.emigrants"
            )
    return senders
