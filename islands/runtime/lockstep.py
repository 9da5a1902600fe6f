"""A campaign that nobody will resume: epoch after epoch in this process, without a journal. The bits are those of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from islands.evolution.deme import Deme
from islands.evolution.island import Answer, IslandState, advance_epoch
from islands.evolution.migration import as_immigrants
from islands.evolution.world import World
from islands.runtime.conductor import routes_of


def evolve(
    world: World,
    epochs: int,
    on_answer: Callable[[Answer], None] = lambda answer: None,
    before: Sequence[tuple[World, int]] = (),
) -> tuple[IslandState, ...]:
    """Each island's state after so many epochs. on_answer: is given every answer, in the order of epochs and islands.

    before: of a fork, its ancestors' worlds, the oldest first, each with the last epoch that it was the world of.
    """
    states: list[IslandState | None] = [None] * world.islands
    emigrants: dict[tuple[int, int], Deme] = {}
    done = 0
    for stage, last in (*before, (world, epochs)):
        routes = routes_of(stage)
        for epoch in range(done + 1, last + 1):
            left = epoch - routes.delay
            for island, state in enumerate(states):
                arriving = [as_immigrants(source, emigrants[left, source]) for source in routes.sending(island, left)]
                answer = advance_epoch(stage, island, epoch, state, arriving)
                on_answer(answer)
                states[island], emigrants[epoch, island] = answer.state, answer.emigrants
            emigrants = {key: deme for key, deme in emigrants.items() if key[0] > left}
        done = last
    return tuple(state for state in states if state is not None)
