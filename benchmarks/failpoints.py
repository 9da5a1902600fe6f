"""Faults at exact points of the protocol, in the real processes of a campaign.

A campaign breeds the family `victim` of this module, so that its driver, its coordinator and its workers import it. Where
the environment names a folder (ISLANDS_FAILPOINTS), they then keep a diary there, one file a process, and obey the faults of
its plan: at a step of the protocol, once, a signal to one of the campaign's processes that is alive and at work. What landed
is written down before the signal is sent, and what it cost is read out of the diary afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import islands as isl
from benchmarks import waiting
from islands.archipelago.journal import Writer
from islands.archipelago.machine import Advance
from islands.archipelago.storage import Folder
from islands.evolution.world import World
from islands.runtime.conductor import Conductor
from islands.runtime.worker import Worker

ENVIRONMENT = "ISLANDS_FAILPOINTS"

WORKER, COORDINATOR, DRIVER, RAYLET = VICTIMS = "worker", "coordinator", "driver", "raylet"
WORKER_POINTS = ("step begins", "step scores", "step is done")
COORDINATOR_POINTS = (
    "resumed",
    "step sent",
    "answer came",
    "before the blob",
    "before the segment",
    "before the entry",
    "after the entry",
    "commit known",
)


TABLE = tuple(
    (point, victim)
    for victim in VICTIMS
    for point in (*WORKER_POINTS, *COORDINATOR_POINTS)
    if (point, victim) != ("resumed", WORKER)  # a coordinator that resumes has no workers yet
)
"""Every step of the protocol, and who is struck there: the process that takes it, or another one that is at work then."""


@dataclass(frozen=True)
class Fault:
    """At a point, from an epoch on, once: a signal to a victim that is alive, with work under way.

    The worker is who reaches the point, or one that computes a step meanwhile; the coordinator the newest one; the raylet
    that of who reaches the point.
    """

    number: int
    point: str
    epoch: int
    signal: int = signal.SIGKILL
    target: str = WORKER

    def __str__(self) -> str:
        return f"{self.target} {signal.Signals(self.signal).name} at {self.point!r}"


def plan(folder: Path, faults: list[Fault], driver: int | None = None, pace_s: float = 0.0) -> None:
    """Sets the faults of the campaign that runs next; what is left of the one before is cleared away.

    pace_s: a step takes at least so long, so that somebody is at work at any time and few epochs pass.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    told = {"faults": [asdict(fault) for fault in faults], "driver": driver, "pace_s": pace_s}
    temporary = folder / ".plan"
    temporary.write_text(json.dumps(told))
    temporary.replace(folder / "plan")


def diary(*folders: Path) -> list[dict[str, Any]]:
    """Everything that all processes wrote down, by time."""
    lines = [line for folder in folders for path in folder.glob("diary-*") for line in path.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda entry: entry["at"])


def landed(*folders: Path) -> list[dict[str, Any]]:
    """The faults that were sent to a living process, by time."""
    return [entry for entry in diary(*folders) if entry["what"] == "fault"]


def process_state(pid: int) -> str:
    """The letter by which Linux names it: T is stopped, Z has ended; X where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


@dataclass(frozen=True)
class Cost:
    """What a fault cost.

    steps: (island, epoch) that had begun before, or before the loss was noticed, and that another process had to begin again.
    seconds: of work on them. recovered_s: from the fault until one of them was finished after all; where there is none, until
    anything was. resumes: a coordinator that had resumed the campaign and had done nothing else had to be replaced.
    """

    steps: frozenset[tuple[int, int]]
    seconds: float
    recovered_s: float
    resumes: bool

    def __bool__(self) -> bool:
        """Whether work was lost."""
        return bool(self.steps) or self.resumes


def cost(struck: dict[str, Any], entries: list[dict[str, Any]]) -> Cost:
    """What a fault of the diary cost."""
    at = struck["at"]
    if struck["victim"] == WORKER:
        ours = {struck["target"]}
        replaced_at = at
    else:  # whoever worked before the next coordinator worked for nothing, but for what was committed
        coming = (e["at"] for e in entries if e["what"] == "coordinator" and e["at"] > at and e["pid"] != struck["coordinator"])
        replaced_at = next(coming, float("inf"))
        ours = {e["pid"] for e in entries if e["at"] < replaced_at}
    began = {(e["island"], e["epoch"]): e["at"] for e in entries if e["what"] == "begins" and e["pid"] in ours}
    again = {
        (e["island"], e["epoch"])
        for e in entries
        if e["what"] == "begins" and e["pid"] not in ours and e["at"] > replaced_at and (e["island"], e["epoch"]) in began
    }
    if struck["victim"] == WORKER:
        again &= {tuple(struck["at_work"])}
    ended = {(e["island"], e["epoch"]): e["at"] for e in entries if e["what"] == "ends" and e["pid"] in ours}
    known = [e for e in entries if e["what"] == "done" and e["at"] > replaced_at]
    first = next((e["at"] for e in known if not again or (e["island"], e["epoch"]) in again), float("inf"))
    spent = sum(max(min(ended.get(step, at), replaced_at) - began[step], 0.0) for step in again)
    resumes = struck["point"] == "resumed" and struck["victim"] != WORKER and replaced_at < float("inf")
    return Cost(frozenset(again), spent, first - at, resumes)


def step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Buys a close below the one `lag` bars before by more than a band, sells one above it."""
    if t < genes.lag:
        return state, 0.0
    then = bars.close[t - genes.lag]
    target = 1.0 if bars.close[t] < then * (1.0 - genes.band) else -1.0 if bars.close[t] > then * (1.0 + genes.band) else state
    return target, target


victim = isl.define_family(
    "victim",
    genes=[isl.Integer("lag", 1, 200, 12), isl.Real("band", 0.0, 0.01, 0.001)],
    step=step,
    warmup=lambda genes: genes["lag"] + 1,
)


class _Diary:
    """What this process writes down, and whom it strikes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.step: tuple[int, int] | None = None  # (epoch, island) that this process computes

    def write(self, what: str, **more: Any) -> None:
        entry = {"at": time.time(), "pid": os.getpid(), "what": what, **more}
        with open(self.folder / f"diary-{os.getpid()}", "a") as file:
            file.write(json.dumps(entry) + "\n")

    def told(self) -> dict[str, Any]:
        """The plan; nothing where there is none."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "plan").read_text())
        except OSError:
            return {"faults": [], "pace_s": 0.0}
        return found

    def reach(self, point: str, epoch: int, island: int | None = None) -> None:
        """Sends what the plan has for this point, where a victim is at work; else it waits for the next time."""
        told = self.told()
        for fault in told["faults"]:
            if fault["point"] != point or epoch < fault["epoch"] or (self.folder / f"claimed-{fault['number']}").exists():
                continue
            at_work, coordinators = self._at_work()
            coordinator = coordinators[-1] if coordinators else None
            target = {
                WORKER: os.getpid() if point in WORKER_POINTS else next(iter(at_work), None),
                COORDINATOR: coordinator,
                DRIVER: told["driver"],
                RAYLET: os.getppid(),
            }[fault["target"]]
            busy = bool(at_work) or point == "resumed"
            if target is None or not busy or process_state(target) in "TZX" or not self._claim(fault["number"]):
                continue
            if fault["target"] == RAYLET and "raylet" not in Path(f"/proc/{target}/comm").read_text():
                raise RuntimeError(f"the parent of process {os.getpid()} is no raylet")
            self.write(
                "fault",
                number=fault["number"],
                point=point,
                victim=fault["target"],
                target=target,
                coordinator=coordinator,
                at_work=at_work.get(target),
                busy=len(at_work),
                epoch=epoch,
                island=island,
            )
            os.kill(target, fault["signal"])
            return

    def _at_work(self) -> tuple[dict[int, tuple[int, int]], list[int]]:
        """The step (island, epoch) of each process that computes one now, and the coordinators, in their order."""
        at_work: dict[int, tuple[int, int]] = {}
        coordinators: list[tuple[float, int]] = []
        for path in self.folder.glob("diary-*"):
            if process_state(pid := int(path.name.partition("-")[2])) in "TZX":
                continue
            entries = [json.loads(line) for line in path.read_text().splitlines()]
            steps = [entry for entry in entries if entry["what"] in ("begins", "ends")]
            if steps and steps[-1]["what"] == "begins":
                at_work[pid] = steps[-1]["island"], steps[-1]["epoch"]
            coordinators += [(entry["at"], pid) for entry in entries if entry["what"] == "coordinator"]
        return at_work, [pid for _, pid in sorted(coordinators)]

    def _claim(self, number: int) -> bool:
        try:
            (self.folder / f"claimed-{number}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _install(notes: _Diary) -> None:
    """Puts the points around what coordinators and workers do anyway."""

    def wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        setattr(owner, name, make(getattr(owner, name)))

    def sent(true: Any) -> Any:
        def dispatch(command: Advance) -> None:
            true(command)
            notes.write("sent", island=command.island, epoch=command.epoch)
            notes.reach("step sent", command.epoch, command.island)

        return dispatch

    def initialised(true: Any) -> Any:
        def __init__(conductor: Any, *arguments: Any, **more: Any) -> None:
            true(conductor, *arguments, **more)
            conductor._dispatch = sent(conductor._dispatch)
            notes.write("coordinator", committed=conductor.report.committed)
            notes.reach("resumed", conductor.report.committed)

        return __init__

    def answered(true: Any) -> Any:
        def step_done(conductor: Any, worker: str, answer: Any, seconds: float) -> None:
            notes.write("done", island=answer.island, epoch=answer.epoch, worker=conductor.pids[worker], seconds=seconds)
            notes.reach("answer came", answer.epoch, answer.island)
            true(conductor, worker, answer, seconds)

        return step_done

    def committed(true: Any) -> Any:
        def commit(writer: Any, order: Any, *more: Any) -> Any:
            began = time.perf_counter()
            entry = true(writer, order, *more)
            notes.write("committed", epoch=order.epoch, seconds=time.perf_counter() - began)
            notes.reach("commit known", order.epoch)
            return entry

        return commit

    def kept(true: Any) -> Any:
        def keep(folder: Any, key: str, value: bytes) -> None:
            point = {"blobs": "before the blob", "ledger": "before the segment"}.get(key.partition("/")[0])
            if point:
                notes.reach(point, int(key.partition("/")[2][:8]))
            true(folder, key, value)

        return keep

    def created(true: Any) -> Any:
        def create(folder: Any, key: str, value: bytes) -> bool:
            kind, _, number = key.partition("/")
            if kind == "journal":
                notes.reach("before the entry", int(number))
            made: bool = true(folder, key, value)
            if kind == "journal":
                notes.reach("after the entry", int(number))
            return made

        return create

    def advanced(true: Any) -> Any:
        def advance(worker: Any, island: int, epoch: int, *more: Any) -> Any:
            began = time.monotonic()
            notes.write("begins", island=island, epoch=epoch)
            notes.reach("step begins", epoch, island)
            notes.step = epoch, island
            answer = true(worker, island, epoch, *more)
            time.sleep(max(began + notes.told()["pace_s"] - time.monotonic(), 0.0))
            notes.reach("step is done", epoch, island)
            notes.write("ends", island=island, epoch=epoch)
            return answer

        return advance

    def scored(true: Any) -> Any:
        def metrics(world: Any, *more: Any) -> Any:
            figures = true(world, *more)
            if notes.step is not None:
                notes.reach("step scores", *notes.step)
            return figures

        return metrics

    wrap(Conductor, "__init__", initialised)
    wrap(Conductor, "step_done", answered)
    wrap(Writer, "commit", committed)
    wrap(Folder, "keep", kept)
    wrap(Folder, "create", created)
    wrap(Worker, "advance", advanced)
    wrap(World, "metrics", scored)


waiting.install()
if ENVIRONMENT in os.environ:
    _install(_Diary(Path(os.environ[ENVIRONMENT])))
