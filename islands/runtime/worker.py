"""What a worker does in every runtime, in this process or in an actor: it computes epochs, and holds what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from islands.errors import RuntimeFailed
from islands.evolution.island import Answer, IslandState
from islands.evolution.migration import Immigrants

Step = Callable[[int, int, IslandState | None, list[Immigrants]], Answer]


class Worker:
    """Holds the states of the islands that it last computed; a repeated call gets the answer it got before.

    step: `advance_epoch` on the campaign's world.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._answers: dict[int, Answer] = {}

    def advance(self, island: int, epoch: int, state: IslandState | None, immigrants: list[Immigrants]) -> tuple[Answer, float]:
        """An island's epoch and the seconds it took; without `state` it goes on from the one held here.

        Raises:
            RuntimeFailed: there is none, and the island was founded long ago: nobody may found it again.
        """
        known = self._answers.get(island)
        if known is not None and known.epoch == epoch:
            return known, 0.0
        if state is None and known is not None and known.epoch == epoch - 1:
            state = known.state
        if state is None and epoch > 1:
            raise RuntimeFailed(
                f"island {island}, epoch {epoch}: was sent without a state to a worker that holds "
                f"{f'epoch {known.epoch}' if known else 'none'} of it; please report this"
            )
        began = time.monotonic()
        answer = self._step(island, epoch, state, immigrants)
        if known is None or known.epoch < epoch:  # an old call that comes late makes nobody forget what came after it
            self._answers[island] = answer
        return answer, time.monotonic() - began
