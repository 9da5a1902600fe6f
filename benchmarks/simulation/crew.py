"""Workers of one coordinator, and the calls and answers that are on their way: late, twice, in any order, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from islands.archipelago.machine import Advance, Pause, StepDone, WorkerJoined, WorkerLost
from islands.errors import RuntimeFailed
from islands.evolution.island import Answer
from islands.runtime.conductor import Conductor
from islands.runtime.worker import Worker

from .barrier import stand_in

LEAD, SUSPECT, HOPELESS = 4, 2, 5
"""As the simulation understands them: epochs ahead of the last commit; losses after which a step gets a fresh worker, and after
which the run pauses."""
BLAMED = 0.8  # how often a worker that is lost may have died of its step


class Violation(AssertionError):
    """Something that must hold did not."""


@dataclass(frozen=True, eq=False)
class Call:
    """A step on its way to a worker, and back with its answer."""

    name: str
    worker: Worker
    step: Advance
    answer: Answer | None = None


class Crew:
    """What happens between a conductor and its workers. landed, cost: see Schedule. stray: answers of dead coordinators."""

    def __init__(
        self, size: int, chance: Random, rough: float, landed: Counter[str], cost: Counter[str], stray: list[Answer]
    ) -> None:
        self.size = size
        self.rough = rough  # how often something goes wrong
        self._chance = chance
        self._landed, self._cost = landed, cost
        self._stray = stray
        self._workers: dict[str, Worker] = {}
        self._calls: list[Call] = []
        self._answers: list[Call] = []
        self._born = 0
        self._blamed: Counter[tuple[int, int]] = Counter()  # losses of steps that may be their cause
        self._used: set[str] = set()  # workers that were given a step
        self.conductor: Conductor | None = None

    def dispatch(self, step: Advance) -> None:
        committed, losses = self._conducting().report.committed, self._blamed[step.island, step.epoch]
        if not step.epoch <= committed + LEAD:
            raise Violation(f"island {step.island} runs epoch {step.epoch}, committed is {committed}")
        if step.losses != losses or (losses >= SUSPECT and step.worker in self._used):
            raise Violation(f"{step.worker} gets island {step.island}, epoch {step.epoch}, which was lost {losses} times")
        self._used.add(step.worker)
        self._calls.append(Call(step.worker, self._workers[step.worker], step))

    def renew(self, worker: str) -> None:
        """A fresh worker will join in the place of an idle one, for a step under suspicion."""
        if worker in self._conducting().machine.running():
            raise Violation(f"{worker} is at work, and is to be renewed")
        del self._workers[worker]
        self._landed["worker renewed"] += 1
        self._cost["worker renewed"] += 1

    def require_pause(self, pause: Pause) -> None:
        """The run ends for a step: only for one that was lost so often as can't be by chance."""
        if self._blamed[pause.island, pause.epoch] < HOPELESS:
            raise Violation(f"it pauses for island {pause.island}, epoch {pause.epoch}, lost {pause.losses} times")
        self._landed["paused"] += 1
        self._cost["paused"] += 1

    def happen(self) -> str:
        """One thing, by chance; what it was."""
        chance, ways = self._chance, self._ways()
        if not ways:
            raise Violation(f"stuck after commit {self._conducting().report.committed}: a step is forgotten")
        return chance.choices([way for _, way in ways], [weight for weight, _ in ways])[0]()

    def left(self) -> list[Answer]:
        """Answers that are under way when the coordinator dies."""
        return [call.answer for call in self._answers if call.answer is not None]

    def busy(self) -> int:
        return len(self._calls) + len(self._answers)

    def _conducting(self) -> Conductor:
        assert self.conductor is not None
        return self.conductor

    def _ways(self) -> list[tuple[float, Callable[[], str]]]:
        ways: list[tuple[float, Callable[[], str]]] = []
        if len(self._workers) < self.size:
            ways.append((3.0, self._join))
        if self._calls:
            ways.append((5.0, self._compute))
        if self._answers:
            ways.append((5.0, self._deliver))
        if self._forgotten():
            ways.append((0.5, self._give_up))
        if self.rough:
            if self._workers:
                ways += [(self.rough, self._lose), (self.rough, self._partition)]
            if self._answers:
                ways += [(self.rough, self._drop), (self.rough, self._repeat_answer)]
            if self._calls:
                ways.append((self.rough, self._repeat_call))
            if self._stray:
                ways.append((self.rough, self._deliver_stray))
        return ways

    # What happens as it should

    def _join(self) -> str:
        self._born += 1
        name = f"worker-{self._born}"
        self._workers[name] = Worker(stand_in)
        self._conducting().pids[name] = self._born
        self._conducting().handle(WorkerJoined(name))
        return f"{name} joins"

    def _compute(self) -> str:
        call = self._calls.pop(self._pick(self._calls))
        try:
            answer, _ = call.worker.advance(call.step.island, call.step.epoch, call.step.state, call.step.immigrants)
        except RuntimeFailed:
            if self._workers.get(call.name) is call.worker and self._conducting().machine.running().get(call.name) == _key(
                call
            ):
                raise
            return f"{call.name} refuses an old call"
        self._answers.append(Call(call.name, call.worker, call.step, answer))
        return f"{call.name} computes {_key(call)}"

    def _deliver(self) -> str:
        index = self._pick(self._answers)
        call = self._answers.pop(index)
        if index:
            self._landed["answers reordered"] += 1
            self._cost["answers reordered"] += call.step.epoch != self._answers[0].step.epoch
        if self._workers.get(call.name) is not call.worker:
            self._landed["answer of a worker given up"] += 1
            self._cost["answer of a worker given up"] += self._is_missing(call)
        assert call.answer is not None
        self._conducting().step_done(call.name, call.answer, 0.0)
        return f"{call.name} answers {_key(call)}"

    def _give_up(self) -> str:
        """Nothing is heard of a step: its worker is replaced."""
        name = self._forgotten()[self._pick(self._forgotten())]
        self._cost["answer dropped"] += 1
        return self._without(name, "is given up")

    # What goes wrong

    def _lose(self) -> str:
        """A worker dies, and with it what it was asked and had answered."""
        name = list(self._workers)[self._pick(list(self._workers))]
        worker = self._workers[name]
        self._calls = [call for call in self._calls if call.worker is not worker]
        self._answers = [call for call in self._answers if call.worker is not worker]
        self._landed["worker killed"] += 1
        self._cost["worker killed"] += name in self._conducting().machine.running()
        return self._without(name, "is killed")

    def _partition(self) -> str:
        """A worker is taken for dead and goes on: its calls and answers still come."""
        name = list(self._workers)[self._pick(list(self._workers))]
        self._landed["worker given up alive"] += 1
        self._cost["worker given up alive"] += name in self._conducting().machine.running()
        return self._without(name, "is taken for dead")

    def _without(self, name: str, what: str) -> str:
        """Without a worker; its machine lives on as often as not, so that its step may be the cause."""
        del self._workers[name]
        machine, blamed = self._conducting().machine, self._chance.random() < BLAMED
        island, epoch = machine.running().get(name, (0, 0))
        if blamed and epoch > machine.finished[island]:
            self._blamed[island, epoch] += 1
            self._landed["step blamed"] += 1
            self._cost["step blamed"] += 1
        self._conducting().handle(WorkerLost(name, blamed))
        return f"{name} {what}{', and its step may be the cause' if blamed else ''}"

    def _drop(self) -> str:
        call = self._answers.pop(self._pick(self._answers))
        self._landed["answer dropped"] += 1
        return f"the answer {_key(call)} of {call.name} is lost on the way"

    def _repeat_answer(self) -> str:
        call = self._answers[self._pick(self._answers)]
        self._answers.append(call)
        self._landed["answer repeated"] += 1
        self._cost["answer repeated"] += 1
        return f"the answer {_key(call)} of {call.name} will come twice"

    def _repeat_call(self) -> str:
        call = self._calls[self._pick(self._calls)]
        self._calls.append(call)
        self._landed["call repeated"] += 1
        self._cost["call repeated"] += 1
        return f"{call.name} will be asked twice for {_key(call)}"

    def _deliver_stray(self) -> str:
        answer = self._stray.pop(self._pick(self._stray))
        machine = self._conducting().machine
        self._landed["answer to a dead coordinator"] += 1
        self._cost["answer to a dead coordinator"] += answer.epoch > machine.committed
        self._conducting().handle(StepDone("of another coordinator", answer))
        return f"an answer {answer.island, answer.epoch} to a dead coordinator comes"

    def _is_missing(self, call: Call) -> bool:
        return self._conducting().machine.finished[call.step.island] == call.step.epoch - 1

    def _forgotten(self) -> list[str]:
        """Workers that compute a step of which nothing is on its way."""
        under_way = {(call.name, _key(call)) for call in (*self._calls, *self._answers)}
        return [name for name, step in self._conducting().machine.running().items() if (name, step) not in under_way]

    def _pick(self, among: list[Call] | list[str] | list[Answer]) -> int:
        return self._chance.randrange(len(among))


def _key(call: Call) -> tuple[int, int]:
    return call.step.island, call.step.epoch
