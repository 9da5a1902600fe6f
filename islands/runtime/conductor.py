"""The loop that every runtime shares: events into the machine, its commits into the journal, its steps to workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from islands.archipelago import failures
from islands.archipelago.journal import Journal, Writer
from islands.archipelago.machine import (
    Advance,
    Commit,
    CommitDone,
    Event,
    Extended,
    Halt,
    Machine,
    Pause,
    Renew,
    Routes,
    StepDone,
    StopAsked,
)
from islands.archipelago.manifest import Differences
from islands.errors import RuntimeFailed
from islands.evolution.failures import Failure
from islands.evolution.island import Answer
from islands.evolution.world import World
from islands.runtime.report import IslandProgress, Progress, RunReport, Step, island_progress

MOST_ERRORS = 10
"""Different errors of evaluations that a run tells of."""


@dataclass(frozen=True)
class Bounds:
    """When a run ends before all epochs are done: at an epoch, or at the first commit after a moment (time.time())."""

    until_epoch: int | None = None
    deadline: float | None = None


def routes_of(world: World) -> Routes:
    """The routes of a campaign's world."""
    return Routes(world.topology.senders, world.spec.migration.delay, world.spec.migration.interval)


@dataclass
class FailureCount:
    """Evaluations that failed, by error, with a file of each."""

    by_error: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def add(self, failure: Failure, key: str | None) -> None:
        if failure.error in self.by_error or len(self.by_error) < MOST_ERRORS:
            times, first = self.by_error.get(failure.error, (0, None))
            self.by_error[failure.error] = times + 1, first or key

    def notes(self, root: Path) -> list[str]:
        """A line an error."""
        return [
            f"{times} evaluation{'s' * (times > 1)} failed, so that the genomes are infeasible: {error}"
            + (f"; run one again: islands replay {root / key}" if key else "")
            for error, (times, key) in self.by_error.items()
        ]


def _there_is_no_other(worker: str) -> None:
    raise RuntimeFailed(f"{worker} can't be replaced; please report this")


class Conductor:
    """Drives one campaign from its last whole commit to its target.

    dispatch(advance) starts a step on a worker without waiting for it; renew(worker) puts a fresh one in an idle one's place.
    The run's commits are written between events, after the steps that may start have been dispatched, so that workers
    compute meanwhile. `pause` is the step that the run ended for, where it kills its workers.
    """

    def __init__(
        self,
        routes: Routes,
        writer: Writer,
        bounds: Bounds,
        dispatch: Callable[[Advance], None],
        accepted: Differences,
        renew: Callable[[str], None] = _there_is_no_other,
    ) -> None:
        self._writer = writer
        self._writer.accepted = accepted
        self._keeper = failures.Keeper(writer)
        self._dispatch = dispatch
        self._renew = renew
        self._bounds = bounds
        self._began = time.monotonic()
        position = writer.resume()
        total = writer.journal.epochs()
        target = total if bounds.until_epoch is None else min(total, bounds.until_epoch)
        self.machine = Machine(
            routes.senders,
            routes.delay,
            target,
            interval=routes.interval,
            committed=position.epoch,
            states=position.states,
            emigrants=position.emigrants,
        )
        self.report = RunReport(position.epoch, position.epoch, target, coordinators=[os.getpid()])
        self.halted = False
        self.pause: Pause | None = None
        self._ahead: list[Step] = []  # done and not committed
        self._failures: dict[tuple[int, int], tuple[Failure, ...]] = {}  # of epochs that are not committed
        self._failed = FailureCount()
        self.pids: dict[str, int] = {}
        self._islands: dict[int, IslandProgress] = {}

    @property
    def journal(self) -> Journal:
        return self._writer.journal

    def handle(self, event: Event) -> None:
        """Takes in one event and does what the machine says."""
        events = [event]
        while events and not self.halted:
            for command in self.machine.handle(events.pop(0)):
                match command:
                    case Advance():
                        self._dispatch(command)
                    case Commit():
                        self._commit(command)
                        if self._bounds.until_epoch is None:
                            events.append(self._extended())
                        events.append(CommitDone(command.epoch))
                        if self._time_is_up():
                            events.append(StopAsked(finish_epoch=False))
                    case Renew(worker):
                        self._renew(worker)
                    case Pause():
                        self.pause, self.halted = command, True
                    case Halt():
                        self.halted = True

    def step_done(self, worker: str, answer: Answer, seconds: float) -> None:
        """Books a finished step and handles it."""
        step = Step(answer.island, answer.epoch, worker, self.pids[worker], seconds)
        self.report.add(step)
        if step.epoch > self.report.committed:
            self._ahead.append(step)
        self.report.trials += len(answer.trials)
        self._islands[answer.island] = island_progress(answer)
        if answer.failures and answer.epoch > self.report.committed:
            self._failures[answer.epoch, answer.island] = answer.failures
        self.handle(StepDone(worker, answer))

    def progress(self) -> Progress:
        """This moment."""
        return Progress(
            committed=self.report.committed,
            target=self.report.target,
            started_at=self.report.started_at,
            seconds=time.monotonic() - self._began,
            islands=dict(self._islands),
            trials=self.report.trials,
            running={self.pids[worker]: step for worker, step in self.machine.running().items() if worker in self.pids},
            ahead=tuple(self._ahead),
            lost=len(self.report.lost),
            coordinator_pid=os.getpid(),
        )

    def close(self) -> RunReport:
        """Ends the run: lets the campaign go and returns the report. Nobody may renew the lease any more."""
        self._writer.release()
        self.report.seconds = time.monotonic() - self._began
        self.report.finished = self.report.committed >= self.journal.epochs()
        self.report.notes += self._failed.notes(self.journal.root)
        return self.report

    def _commit(self, commit: Commit) -> None:
        for epoch, island in sorted(key for key in self._failures if key[0] == commit.epoch):
            for failure in self._failures.pop((epoch, island)):
                self._failed.add(failure, self._keeper.keep(island, epoch, (failure,)))
        steps = [step for step in self._ahead if step.epoch == commit.epoch]
        entry = self._writer.commit(commit, tuple((s.island, s.worker, s.pid, s.seconds) for s in steps))
        self.report.committed = entry.epoch
        self._ahead = [step for step in self._ahead if step.epoch > entry.epoch]
        # What a death left is of the epoch after the last commit, which is past at a run's second one; a run that dies before
        # that leaves it to the first commit of the next.
        if entry.epoch <= self.report.started_at + 2:
            self._writer.collect()

    def _extended(self) -> Extended:
        """The number of epochs asked for by now: another process may have raised it."""
        self.report.target = max(self.report.target, self.journal.epochs())
        return Extended(self.report.target)

    def _time_is_up(self) -> bool:
        late = self._bounds.deadline is not None and time.time() >= self._bounds.deadline
        return late or self.journal.stop_requested()
