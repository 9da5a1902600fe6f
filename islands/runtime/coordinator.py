"""The campaign on Ray: a detached actor that keeps machine and journal, and the driver that starts and watches it."""

from __future__ import annotations

import os
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnschedulableError,
    GetTimeoutError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from islands.archipelago.journal import Journal
from islands.archipelago.machine import Advance, StepRaised, StopAsked, WorkerJoined, WorkerLost
from islands.archipelago.manifest import Differences
from islands.errors import CodeMixture, IslandsError, IslandsWarning, RunEnded, RuntimeFailed
from islands.evolution.world import make_world
from islands.market.tape import Tape
from islands.runtime.apart import Setting
from islands.runtime.conductor import Bounds, Conductor, routes_of
from islands.runtime.heartbeat import beating
from islands.runtime.island_actor import Hello, RemoteIslandActor, extend_path, hello
from islands.runtime.patience import Patience, WaitingTime
from islands.runtime.pausing import paused
from islands.runtime.report import Progress, RunReport, Step
from islands.runtime.session import ASK_S, NAMESPACE, are_sent, end, this_node
from islands.spec import CampaignSpec

Blocks = dict[str, np.ndarray]  # the tapes that evolution sees, by instrument
POLL_S = 0.2
GREETING_S = 1_800.0  # until an actor is placed (a cluster may first have to rent its node) and has compiled its kernels
ASSEMBLE_S = 20.0  # how long the first workers wait for each other
LINGER_S = 60.0  # a coordinator whose driver died stays this long after its run


@dataclass(frozen=True)
class Assignment:
    """What a coordinator needs to know.

    numeric: the campaign's numeric fingerprint. code, folder: the driver's copy of this package. path: where the driver
    finds modules, for a user's own operators and families. families: the code of each as the driver has it, "" for a
    built-in. patience: with steps.
    """

    root: str
    spec: str
    workers: int
    bounds: Bounds
    accepted: Differences
    numeric: str
    code: str
    folder: str
    path: tuple[str, ...]
    families: dict[str, str]
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Overdue:
    """A call of which nothing was heard for its budget."""

    budget_s: float


@dataclass(frozen=True)
class _Call:
    """What a worker was asked, None for its greeting; and until when, in time waited."""

    worker: str
    step: Advance | None
    budget_s: float
    until: float


class Crew:
    """The island actors of one coordinator: starts them, hands out steps, notices losses and who is over its budget."""

    def __init__(self, assignment: Assignment, blocks: Blocks) -> None:
        self._assignment = assignment
        self._names = tuple(blocks)
        self._blocks = [ray.put(block) for block in blocks.values()]  # owned by this process, shared by a node's workers
        self._actors: dict[str, Any] = {}
        self._calls: dict[Any, _Call] = {}
        self._waited = WaitingTime()
        self.patience = assignment.patience
        self.wanted = assignment.workers
        self._born = 0
        self._failures = 0
        self._start_after = 0.0
        self._endings: list[threading.Thread] = []

    def fill(self) -> None:
        """Starts actors until as many exist as are wanted; slower and slower where they keep dying at once."""
        while len(self._actors) < self.wanted and time.monotonic() >= self._start_after:
            self._born += 1
            name = f"worker-{self._born}"
            self._actors[name] = RemoteIslandActor.options(scheduling_strategy="SPREAD").remote()
            greeting = self._actors[name].prepare.remote(
                self._assignment.spec, self._assignment.path, self._names, *self._blocks
            )
            self._ask(greeting, name, None, GREETING_S)

    def dispatch(self, step: Advance) -> None:
        call = self._actors[step.worker].advance.remote(step.island, step.epoch, step.state, step.immigrants)
        self._ask(call, step.worker, step, self.patience.budget_s((step.island, step.epoch), step.losses))

    def _ask(self, call: Any, worker: str, step: Advance | None, budget_s: float) -> None:
        self._calls[call] = _Call(worker, step, budget_s, self._waited.now() + budget_s)

    def wait(self) -> Iterator[tuple[str, Advance | None, Any]]:
        """(worker, step or None for its greeting, result or the error) of calls that ended within the poll interval, and of
        those that should have by now."""
        if not self._calls:
            time.sleep(POLL_S)
            return
        ended, waiting = ray.wait(list(self._calls), num_returns=1, timeout=POLL_S)
        for call in ended:
            asked = self._calls.pop(call)
            try:
                result: Any = ray.get(call)
                self._failures = 0
            except RayError as error:
                result = error
            yield asked.worker, asked.step, result
        now = self._waited.now()
        for call in waiting:
            if call in self._calls and now > self._calls[call].until:
                asked = self._calls.pop(call)
                yield asked.worker, asked.step, Overdue(asked.budget_s)

    def lose(self, worker: str) -> None:
        """Forgets a dead worker and everything it was asked; the next one starts later than the one before."""
        self._failures += 1
        self._start_after = time.monotonic() + min(0.05 * 2 ** min(self._failures, 10), 10.0)
        self.renew(worker)

    def renew(self, worker: str) -> None:
        """Ends a worker, so that another one takes its place."""
        actor = self._actors.pop(worker, None)
        self._calls = {call: asked for call, asked in self._calls.items() if asked.worker != worker}
        if actor is not None:
            self._endings = [*filter(threading.Thread.is_alive, self._endings), end(actor)]

    def dismiss(self) -> None:
        for worker in list(self._actors):
            self.renew(worker)
        are_sent(self._endings)


class Coordinator:
    """Keeps one run: `run` in one thread, `progress` and `stop` beside it."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._conductor: Conductor | None = None
        self._waiting: list[str] | None = []

    def run(self, assignment: Assignment, blocks: Blocks, take_over: bool) -> RunReport:
        """The whole run, from the last whole commit to its end."""
        check_code(hello(), assignment)
        extend_path(assignment.path)
        writer = Journal(assignment.root).acquire(take_over)
        try:
            writer.sweep()
            tapes = {name: Tape(block) for name, block in blocks.items()}
            world = make_world(CampaignSpec.model_validate_json(assignment.spec), tapes)
            crew = Crew(assignment, blocks)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", IslandsWarning)
                self._conductor = Conductor(
                    routes_of(world), writer, assignment.bounds, crew.dispatch, assignment.accepted, crew.renew
                )
            crew.patience.recall(writer)
            self._conductor.report.notes += [str(w.message) for w in caught if w.category is IslandsWarning]
            try:
                with beating(writer):
                    self._work(self._conductor, crew, assignment)
                    if self._conductor.pause is not None:
                        crew.dismiss()
                        raise paused(
                            self._conductor.pause, writer, Setting(assignment.spec, blocks, assignment.path), crew.patience
                        )
            except RunEnded as error:
                error.report = self._conductor.report  # which is whole when it is closed
                raise
            finally:
                crew.dismiss()
                report = self._conductor.close()
            return report
        finally:
            writer.release()
            lingering = threading.Timer(LINGER_S, os._exit, (0,))
            lingering.daemon = True
            lingering.start()

    def _work(self, conductor: Conductor, crew: Crew, assignment: Assignment) -> None:
        stop_passed_on = False
        patience = time.monotonic() + ASSEMBLE_S
        while not conductor.halted:
            crew.fill()
            self._assemble(conductor, crew, time.monotonic() > patience)
            if self._stop.is_set() and not stop_passed_on:
                stop_passed_on = True
                conductor.handle(StopAsked(finish_epoch=True))
            for worker, step, result in crew.wait():
                if isinstance(result, RayTaskError):
                    self._fail(conductor, step, result)
                elif isinstance(result, (RayError, Overdue)):
                    self._lose(conductor, crew, worker, step, result)
                elif isinstance(result, Hello):
                    self._welcome(conductor, crew, worker, result, assignment)
                else:
                    crew.patience.learn(result[1])
                    conductor.step_done(worker, *result)

    def _welcome(self, conductor: Conductor, crew: Crew, worker: str, greeting: Hello, assignment: Assignment) -> None:
        check_code(greeting, assignment)
        if greeting.numeric != assignment.numeric:
            note = (
                f"worker {greeting.pid} on {greeting.host} is not used: its numeric fingerprint "
                f"{greeting.numeric[:12]} differs from the campaign's {assignment.numeric[:12]}"
            )
            conductor.report.note(note)
            crew.lose(worker)
            crew.wanted -= 1
            if crew.wanted == 0:
                raise RuntimeFailed(f"{note}; no other worker is left: use machines of the kind it began on")
            return
        conductor.pids[worker] = greeting.pid
        if self._waiting is None:
            conductor.handle(WorkerJoined(worker))
        else:
            self._waiting.append(worker)

    def _assemble(self, conductor: Conductor, crew: Crew, late: bool) -> None:
        """Lets the first workers begin together, so that the first to arrive does not take everything, or when late."""
        if self._waiting is not None and (len(self._waiting) >= crew.wanted or (late and self._waiting)):
            arrived, self._waiting = self._waiting, None
            for worker in arrived:
                conductor.handle(WorkerJoined(worker))

    def _lose(self, conductor: Conductor, crew: Crew, worker: str, step: Advance | None, why: RayError | Overdue) -> None:
        crew.lose(worker)
        if self._waiting and worker in self._waiting:
            self._waiting.remove(worker)
        if step is None:
            return
        pid = conductor.pids[worker]
        conductor.report.lost.append((step.island, step.epoch, pid))
        if isinstance(why, Overdue):
            crew.patience.outlast((step.island, step.epoch), why.budget_s)
            conductor.report.note(
                f"worker {pid} did not answer within {why.budget_s:g} s at island {step.island}, epoch {step.epoch}: it was "
                "replaced, and the epoch computed again"
            )
        elif isinstance(why, OutOfMemoryError):
            conductor.report.note(f"worker {pid} at island {step.island}, epoch {step.epoch}: {SHORT_OF_MEMORY}")
        conductor.handle(WorkerLost(worker, blamed=isinstance(why, Overdue) or died_of_itself(why)))

    @staticmethod
    def _fail(conductor: Conductor, step: Advance | None, error: RayTaskError) -> None:
        cause = error.cause if isinstance(error.cause, Exception) else error
        if step is None or isinstance(cause, IslandsError):
            raise cause
        conductor.handle(StepRaised(step.island, step.epoch, f"{type(cause).__name__}: {cause}"))

    def progress(self) -> Progress | None:
        """This moment of the run; None before it began."""
        return self._conductor.progress() if self._conductor else None

    def stop(self) -> None:
        """Stops at the end of the epoch that is under way."""
        self._stop.set()


RemoteCoordinator: Any = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=4)(Coordinator)


DEATHS = (RayActorError, OutOfMemoryError, WorkerCrashedError, NodeDiedError, LocalRayletDiedError, ActorUnschedulableError)
"""How Ray says that an actor's process is gone, or never came to be: classes that have only RayError in common."""

SHORT_OF_MEMORY = (
    "Ray ended it, because the machine was short of memory; fewer workers, or less that runs beside them, leave more of it"
)


def died_of_itself(error: RayError) -> bool:
    """Whether an actor died, or was killed, also for its memory, while its node lived on."""
    if isinstance(error, OutOfMemoryError):
        return True
    return isinstance(error, ActorDiedError) and not error.preempted and "node" not in str(error).partition("died because")[2]


def check_code(greeting: Hello, assignment: Assignment) -> None:
    """Raises CodeMixture where a worker runs other sources than the driver, of the package or of a user's own family."""
    if greeting.code != assignment.code:
        raise CodeMixture(
            f"the driver runs the package at {assignment.folder} (digest {assignment.code[:12]}), process "
            f"{greeting.pid} on {greeting.host} runs {greeting.folder} (digest {greeting.code[:12]}): install one "
            "version everywhere, or start from a folder that holds no other copy"
        )
    for name, code in greeting.families.items():
        if code != assignment.families[name]:
            raise CodeMixture(
                f"family {name}: the driver has imported the code {assignment.families[name][:12]}, process {greeting.pid} on "
                f"{greeting.host} imports {code[:12]}: start again, so that all import the same file, and put the same one on "
                "every machine"
            )


def run_on_ray(
    assignment: Assignment,
    blocks: Blocks,
    take_over: bool,
    stop_asked: Callable[[], bool],
    on_progress: Callable[[Progress], None],
) -> RunReport:
    """Runs a campaign through a coordinator actor, and through the next one where that dies.

    A coordinator that this driver saw die holds no lease worth waiting for: its successor takes over at once. Where
    three in a row die without a commit, the run fails.

    Raises:
        RuntimeFailed: coordinators keep dying.
        IslandsError: whatever the coordinator raised.
    """
    whole: RunReport | None = None
    began = time.monotonic()
    fruitless = 0
    while True:
        watch = _Watch(assignment, blocks, take_over)
        try:
            report, error = watch.follow(stop_asked, on_progress)
        except RunEnded as ended:
            if ended.report is not None:
                ended.report = _joined(whole, ended.report, began)
            raise
        if report is None:
            assert error is not None
            report = watch.obituary(Journal(assignment.root), error)
        whole = _joined(whole, report, began)
        if error is None:
            return whole
        fruitless = 0 if report.committed > report.started_at else fruitless + 1
        if fruitless == 3:
            raise RuntimeFailed(f"three coordinators in a row were lost without a commit; the last: {error}")
        take_over = True


def _joined(whole: RunReport | None, later: RunReport, began: float) -> RunReport:
    """The report of all coordinators so far."""
    if whole is None:
        whole = later
    else:
        whole.extend(later)
    whole.seconds = time.monotonic() - began
    return whole


def _how(error: Exception) -> str:
    return str(error) if isinstance(error, RuntimeFailed) else "it died"


class _Watch:
    """One coordinator, as its driver sees it."""

    def __init__(self, assignment: Assignment, blocks: Blocks, take_over: bool) -> None:
        here = this_node()
        self._actor = RemoteCoordinator.options(
            name=f"coordinator-{uuid.uuid4().hex[:12]}",
            namespace=NAMESPACE,
            lifetime="detached",
            # the campaign's folder is on this machine
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=here, soft=False),
        ).remote()
        self._run = self._actor.run.remote(assignment, blocks, take_over)
        self._silence_s = assignment.patience.silence_s
        self._last: Progress | None = None

    def follow(
        self, stop_asked: Callable[[], bool], on_progress: Callable[[Progress], None]
    ) -> tuple[RunReport | None, Exception | None]:
        """The run's report, or the error that says how the coordinator died, or that nothing is heard of it.

        Raises:
            RuntimeFailed: Ray has given up this very machine, where the campaign's folder is.
        """
        stop_sent = False
        waited = WaitingTime()
        heard = asked = 0.0
        try:
            while not ray.wait([self._run], timeout=POLL_S)[0]:
                if stop_asked() and not stop_sent:
                    stop_sent = True
                    self._actor.stop.remote()
                if self._look(on_progress):
                    heard = asked = waited.now()
                elif waited.now() - heard > self._silence_s:
                    return None, RuntimeFailed(f"nothing was heard of it for {self._silence_s:g} s")
                elif waited.now() - asked > ASK_S:
                    this_node()
                    asked = waited.now()
            report: RunReport = ray.get(self._run)
            self._look(on_progress)
            return report, None
        except OutOfMemoryError:  # whose own words fill a page
            return None, RuntimeFailed(SHORT_OF_MEMORY)
        except DEATHS as error:
            return None, error
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        finally:
            are_sent([end(self._actor)])

    def _look(self, on_progress: Callable[[Progress], None]) -> bool:
        """Shows how it stands; whether the coordinator said so."""
        try:
            self._last = ray.get(self._actor.progress.remote(), timeout=1.0) or self._last
        except GetTimeoutError:
            return False
        if self._last is not None:
            on_progress(self._last)
        return True

    def obituary(self, journal: Journal, error: Exception) -> RunReport:
        """What is known of a run whose coordinator died: the commits it left."""
        head = journal.head()
        committed = head.epoch if head else 0
        last = self._last
        report = RunReport(last.started_at if last else committed, committed, last.target if last else committed)
        if last is None:
            return report
        for entry in journal.chain(head):
            if entry.epoch > last.started_at:
                report.steps[:0] = [Step(i, entry.epoch, worker, pid, s) for i, worker, pid, s in entry.made_by]
        report.steps += [step for step in last.ahead if step.epoch > committed]
        report.coordinators = [last.coordinator_pid]
        report.trials = last.trials
        report.lost = [(*step, pid) for pid, step in last.running.items() if step[1] > committed]
        report.notes = [f"coordinator {last.coordinator_pid} was lost after epoch {committed}: {_how(error)}; another went on"]
        return report
