"""How long a worker may compute before it is replaced. A clock decides who works, never what results."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass, field

from islands.archipelago.journal import Writer
from islands.errors import CorruptCampaign

FLOOR_S = 60.0
"""The least budget of a step."""

TIMES = 10.0
"""Budget of a step, in those of the longest one so far."""

SILENCE_S = 60.0
"""How long a driver waits for a word of its coordinator before it puts another one in its place."""

REMEMBERED = 5
"""Commits, the newest ones, whose steps a new coordinator knows from the journal."""

STEP_S = 2.0
"""Time counts in pieces of at most this: a coordinator that was stopped or slept itself has not waited meanwhile."""


@dataclass
class Patience:
    """The budget of steps: `times` what the longest took that was finished, at least `floor_s`, doubled by each loss; and the
    silence of a coordinator that is put up with.

    outlasted: the longest budgets that steps, (island, epoch), were over in this run, and one for which a run before paused:
    from that it goes on, so that each resume has more patience with the step, and an honestly slow one gets through at last.
    """

    floor_s: float = field(default_factory=lambda: FLOOR_S)
    silence_s: float = field(default_factory=lambda: SILENCE_S)
    times: float = field(default_factory=lambda: TIMES)
    longest_s: float = 0.0
    outlasted: dict[tuple[int, int], float] = field(default_factory=dict)
    _before: dict[tuple[int, int], float] = field(default_factory=dict)

    def learn(self, seconds: float) -> None:
        """Takes in how long a finished step took."""
        self.longest_s = max(self.longest_s, seconds)

    def recall(self, writer: Writer) -> None:
        """Takes in the steps of the last commits, so that a run that goes on need not learn anew how slow its steps are; and
        for which one the run before paused, until it is committed."""
        with contextlib.suppress(CorruptCampaign):
            paused = writer.journal.paused()
            self._before = {} if paused is None else {(paused.island, paused.epoch): paused.seconds}
        if writer.last is None:
            return
        with contextlib.suppress(CorruptCampaign):  # an older entry is damaged: what the newer ones say is enough
            for entry in itertools.islice(writer.journal.chain(writer.last), REMEMBERED):
                for _, _, _, seconds in entry.made_by:
                    self.learn(seconds)

    def budget_s(self, step: tuple[int, int], losses: int) -> float:
        """Seconds for a step that was lost so often."""
        return float(max(self.floor_s, self.times * self.longest_s, self._before.get(step, 0.0)) * 2**losses)

    def outlast(self, step: tuple[int, int], seconds: float) -> None:
        """Takes in that a step was over its budget."""
        self.outlasted[step] = max(self.outlasted.get(step, 0.0), seconds)


class WaitingTime:
    """Seconds that this process has waited, without the gaps in which it did not run."""

    def __init__(self) -> None:
        self._total = 0.0
        self._seen = time.monotonic()

    def now(self) -> float:
        seen = time.monotonic()
        self._total += min(seen - self._seen, STEP_S)
        self._seen = seen
        return self._total
