"""The campaign's state machine: events in, commands out. No Ray, no disk, no clock.

A runtime tells the machine what happened (past tense) and does what it is told (imperative); the order in which events
come never reaches a result. An island's epoch e may start when the island has finished e-1 and each of its in-neighbours
has finished e-d, d being the migration delay: dataflow over the topology, no global barrier. An epoch that no migration
reaches (the interval is longer than one epoch) waits for nobody. Commits are whole epochs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from islands.errors import DigestConflict, StepFailed
from islands.evolution.deme import Deme
from islands.evolution.island import Answer, IslandState
from islands.evolution.migration import Immigrants, as_immigrants

MAX_LEAD = 4  # epochs that an island may run ahead of the last commit
SUSPICIOUS = 2  # losses with a worker that died of itself, after which only a fresh worker computes a step, and nothing before
HOPELESS = SUSPICIOUS + 3  # such losses after which the campaign pauses


@dataclass(frozen=True)
class Routes:
    """Who sends to whom, and when.

    senders: for each island those that send to it, in island order. delay, interval: of migrations, in epochs.
    """

    senders: tuple[tuple[int, ...], ...]
    delay: int
    interval: int = 1

    def sending(self, island: int, left: int) -> tuple[int, ...]:
        """Who sends to an island emigrants that left after epoch `left`."""
        return self.senders[island] if left >= 1 and left % self.interval == 0 else ()


# Events


@dataclass(frozen=True)
class WorkerJoined:
    worker: str


@dataclass(frozen=True)
class WorkerLost:
    """blamed: it died, or was over its budget, while its machine lived on, so that its step may be the cause."""

    worker: str
    blamed: bool = False


@dataclass(frozen=True)
class StepDone:
    worker: str
    answer: Answer


@dataclass(frozen=True)
class StepRaised:
    island: int
    epoch: int
    error: str


@dataclass(frozen=True)
class CommitDone:
    epoch: int


@dataclass(frozen=True)
class StopAsked:
    """Stop at the last commit, or, with `finish_epoch`, at the end of the epoch that is under way."""

    finish_epoch: bool


@dataclass(frozen=True)
class Extended:
    """More epochs were asked for; a machine that was asked to stop stops all the same."""

    target: int


Event = WorkerJoined | WorkerLost | StepDone | StepRaised | CommitDone | StopAsked | Extended


# Commands


@dataclass(frozen=True)
class Advance:
    """Let a worker compute an island's epoch. `state` is None where the worker holds it, or in epoch 1.

    losses: workers that may have died of this step; its budget of time is doubled by each.
    """

    worker: str
    island: int
    epoch: int
    state: IslandState | None
    immigrants: list[Immigrants]
    losses: int = 0


@dataclass(frozen=True)
class Commit:
    """Make an epoch durable: all islands' answers, and the emigrants of the last d epochs, by (epoch, island)."""

    epoch: int
    answers: tuple[Answer, ...]
    emigrants: dict[tuple[int, int], Deme]


@dataclass(frozen=True)
class Renew:
    """Put a fresh worker in the place of an idle one, which is lost by that: a step under suspicion gets one to itself."""

    worker: str


@dataclass(frozen=True)
class Pause:
    """End the run at the last commit: this step kills whoever computes it. `state` is the island's before the epoch."""

    island: int
    epoch: int
    state: IslandState | None
    immigrants: list[Immigrants]
    losses: int


@dataclass(frozen=True)
class Halt:
    """Everything that was asked for is committed."""


Command = Advance | Commit | Renew | Pause | Halt


def answer_digest(answer: Answer) -> bytes:
    """SHA-256 over the canonical bytes of what an answer contributes to the campaign's digest."""
    digest = hashlib.sha256()
    for part in (answer.state.deme, answer.state.hall_of_fame, answer.emigrants, answer.trials):
        digest.update(part.canonical())
    digest.update(answer.state.stagnant.to_bytes(8, "little"))
    return digest.digest()


GENESIS = hashlib.sha256(b"strategy-islands campaign v2").hexdigest()


def epoch_digest(previous: str, epoch: int, answers: tuple[Answer, ...]) -> str:
    """The digest's next link: SHA-256 over the previous one (GENESIS at first), the epoch, and the answers by island."""
    link = hashlib.sha256(bytes.fromhex(previous) + epoch.to_bytes(8, "little"))
    for answer in answers:
        link.update(answer_digest(answer))
    return link.hexdigest()


@dataclass
class _Worker:
    """One worker: the step it computes, the islands whose state after an epoch it holds, and whether it was given none yet."""

    step: tuple[int, int] | None = None
    fresh: bool = True
    holds: dict[int, int] = field(default_factory=dict)


class Machine:
    """Schedules the islands of one campaign.

    in_neighbours: for each island the islands that send to it, in island order. target: the epoch to stop after.
    committed, states, emigrants: where a resumed campaign stands; emigrants of the last d epochs by (epoch, island).
    """

    def __init__(
        self,
        in_neighbours: tuple[tuple[int, ...], ...],
        delay: int,
        target: int,
        interval: int = 1,
        committed: int = 0,
        states: Iterable[IslandState] = (),
        emigrants: Mapping[tuple[int, int], Deme] | None = None,
    ) -> None:
        self.delay = delay
        self._routes = Routes(in_neighbours, delay, interval)
        self.target = target
        self.committed = committed
        self.finished = [committed] * len(in_neighbours)
        self.lost: list[tuple[int, int]] = []
        self._states: list[IslandState | None] = list(states) or [None] * len(in_neighbours)
        self._emigrants = dict(emigrants or {})
        self._answers: dict[tuple[int, int], Answer] = {}
        self._workers: dict[str, _Worker] = {}
        self._losses: dict[tuple[int, int], int] = {}  # of steps that are not done, with a worker that may have died of it
        self._coming = 0  # fresh workers that were asked for and have not joined
        self._committing = False
        self._stopping = False
        self._halted = False

    def handle(self, event: Event) -> list[Command]:
        """Takes one event in and returns what is to be done, in this order.

        Raises:
            DigestConflict: an answer differs from the one already given to the same step.
            StepFailed: a step raised an error.
        """
        match event:
            case WorkerJoined(worker):
                self._workers[worker] = _Worker()
                self._coming = max(self._coming - 1, 0)
            case WorkerLost(worker, blamed):
                self._lose(worker, blamed)
            case StepDone(worker, answer):
                self._take(worker, answer)
            case StepRaised(island, epoch, error):
                self._require_late(island, epoch, error)
            case CommitDone(epoch):
                self._settle(epoch)
            case StopAsked(finish_epoch):
                one_more = finish_epoch and self._under_way(self.committed + 1)
                self.target = min(self.target, self.committed + int(one_more))
                self._stopping = True
            case Extended(target):
                self.target = self.target if self._stopping else max(self.target, target)
        if self._halted:
            return []
        return self._give_up() or [*self._schedule(), *self._conclude()]

    def running(self) -> dict[str, tuple[int, int]]:
        """The (island, epoch) that each busy worker computes. Another thread may ask, so the table is copied first."""
        return {name: step for name, worker in list(self._workers.items()) if (step := worker.step) is not None}

    def _under_way(self, epoch: int) -> bool:
        return any(step[1] >= epoch for step in self.running().values()) or any(e >= epoch for e in self.finished)

    def _lose(self, worker: str, blamed: bool) -> None:
        gone = self._workers.pop(worker, None)
        if gone is not None and gone.step is not None:
            self.lost.append(gone.step)
            island, epoch = gone.step
            if blamed and epoch > self.finished[island]:
                self._losses[gone.step] = self._losses.get(gone.step, 0) + 1

    def _give_up(self) -> list[Command]:
        """The pause, where a step has outlived its last worker, once the commit that is being written is there."""
        hopeless = [step for step, losses in sorted(self._losses.items()) if losses >= HOPELESS and step[1] <= self.target]
        if not hopeless or self._committing:
            return []
        island, epoch = hopeless[0]
        self._halted = True
        return [Pause(island, epoch, self._states[island], self._immigrants(island, epoch), self._losses[hopeless[0]])]

    def _take(self, worker: str, answer: Answer) -> None:
        step = (answer.island, answer.epoch)
        if worker in self._workers and self._workers[worker].step == step:
            self._workers[worker].step = None
            self._workers[worker].holds[answer.island] = answer.epoch
        if answer.epoch <= self.committed:
            return  # late: what is committed stays
        if step in self._answers:
            self._compare(self._answers[step], answer)
            return
        if answer.epoch > self.finished[answer.island] + 1:
            return  # of a coordinator before this one, which was further: this one asks again in its turn
        self._answers[step] = answer
        self._emigrants[answer.epoch, answer.island] = answer.emigrants
        self._states[answer.island] = answer.state
        self.finished[answer.island] = answer.epoch
        self._losses.pop(step, None)

    def _require_late(self, island: int, epoch: int, error: str) -> None:
        """An error is of no account where another worker has answered meanwhile."""
        if epoch > self.finished[island]:
            raise StepFailed(f"island {island}, epoch {epoch}: {error}")

    @staticmethod
    def _compare(known: Answer, again: Answer) -> None:
        first, second = answer_digest(known).hex(), answer_digest(again).hex()
        if first != second:
            raise DigestConflict(
                f"island {known.island}, epoch {known.epoch}: computed twice with different results, {first} and "
                f"{second}; a worker's arithmetic can't be trusted: nothing of this epoch was committed; please report it"
            )

    def _settle(self, epoch: int) -> None:
        self.committed = epoch
        self._committing = False
        self._answers = {step: answer for step, answer in self._answers.items() if step[1] > epoch}
        self._emigrants = {key: deme for key, deme in self._emigrants.items() if key[0] > epoch - self.delay}

    def _ready(self) -> list[tuple[int, int]]:
        """(epoch, island) of every step that may start now, the most backward first."""
        busy = {step[0] for step in self.running().values()}
        return sorted(
            (done + 1, island)
            for island, done in enumerate(self.finished)
            if island not in busy
            and done < min(self.target, self.committed + MAX_LEAD)
            and self._have_left(island, done + 1 - self.delay)
            and self._losses.get((island, done + 1), 0) < HOPELESS
        )

    def _idle_and_fresh(self) -> int:
        return sum(worker.fresh and worker.step is None for worker in self._workers.values())

    def _schedule(self) -> list[Command]:
        """Gives each idle worker the most backward ready island, of equals one whose state it holds.

        What is under suspicion goes first, and only to a fresh worker: where none is idle, one that is idle is renewed.
        """
        commands: list[Command] = []
        for name, worker in list(self._workers.items()):
            ready = self._ready()
            if worker.step is not None or not ready:
                continue
            suspects = [step for step in ready if self._losses.get((step[1], step[0]), 0) >= SUSPICIOUS]
            if not worker.fresh and len(suspects) > self._coming + self._idle_and_fresh():
                del self._workers[name]
                self._coming += 1
                commands.append(Renew(name))
                continue
            among = suspects if suspects and worker.fresh else [step for step in ready if step not in suspects]
            if not among:
                continue
            epoch, island = min(among, key=lambda step: (step[0], worker.holds.get(step[1]) != step[0] - 1, step[1]))
            worker.step, worker.fresh = (island, epoch), False
            state = None if worker.holds.get(island) == epoch - 1 else self._states[island]
            losses = self._losses.get((island, epoch), 0)
            commands.append(Advance(name, island, epoch, state, self._immigrants(island, epoch), losses))
        return commands

    def _immigrants(self, island: int, epoch: int) -> list[Immigrants]:
        left = epoch - self.delay
        return [as_immigrants(source, self._emigrants[left, source]) for source in self._routes.sending(island, left)]

    def _have_left(self, island: int, epoch: int) -> bool:
        """Whether all who send to an island after an epoch have finished it."""
        return all(self.finished[source] >= epoch for source in self._routes.sending(island, epoch))

    def _conclude(self) -> list[Command]:
        """The next commit, where an epoch is whole, or the halt, where nothing is left to do."""
        epoch = self.committed + 1
        if self._committing:
            return []
        if epoch <= self.target and min(self.finished) >= epoch:
            self._committing = True
            answers = tuple(self._answers[island, epoch] for island in range(len(self.finished)))
            window = {key: deme for key, deme in self._emigrants.items() if epoch - self.delay < key[0] <= epoch}
            return [Commit(epoch, answers, window)]
        if self.committed >= self.target:
            self._halted = True
            return [Halt()]
        return []
