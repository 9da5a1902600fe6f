"""Faults at exact points of the protocol, in the real processes of a campaign.

A campaign breeds the family `victim` of this module, so that its driver, its coordinator and its workers import it. Where
the environment names a folder (ISLANDS_FAILPOINTS), they then keep a diary there, one file a process, and obey the faults of
its plan: at a point, once, a signal to a process. What landed is written down before the signal is sent.
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


@dataclass(frozen=True)
class Fault:
    """At a point, from an epoch on, once: a signal to who is there ("self"), to its "raylet", or to the "driver"."""

    number: int
    point: str
    epoch: int
    signal: int = signal.SIGKILL
    target: str = "self"


def plan(folder: Path, faults: list[Fault], driver: int | None = None) -> None:
    """Sets the faults of the campaign that runs next; what is left of the one before is cleared away."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    temporary = folder / ".plan"
    temporary.write_text(json.dumps({"faults": [asdict(fault) for fault in faults], "driver": driver}))
    temporary.replace(folder / "plan")


def diary(folder: Path) -> list[dict[str, Any]]:
    """Everything that all processes wrote down, by time."""
    lines = [line for path in folder.glob("diary-*") for line in path.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda entry: entry["at"])


def landed(folder: Path) -> list[dict[str, Any]]:
    """The faults that were sent to a living process, by time."""
    return [entry for entry in diary(folder) if entry["what"] == "fault"]


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
    """What this process writes down, and whom it kills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.step: tuple[int, int] | None = None  # (epoch, island) that this process computes

    def write(self, what: str, **more: Any) -> None:
        entry = {"at": time.time(), "pid": os.getpid(), "what": what, **more}
        with open(self.folder / f"diary-{os.getpid()}", "a") as file:
            file.write(json.dumps(entry) + "\n")

    def reach(self, point: str, epoch: int, island: int | None = None) -> None:
        """Sends what the plan has for this point."""
        try:
            told = json.loads((self.folder / "plan").read_text())
        except OSError:
            return
        for fault in told["faults"]:
            if fault["point"] == point and epoch >= fault["epoch"] and self._claim(fault["number"]):
                target = {"self": os.getpid(), "raylet": os.getppid(), "driver": told["driver"]}[fault["target"]]
                if fault["target"] == "raylet" and "raylet" not in Path(f"/proc/{target}/comm").read_text():
                    raise RuntimeError(f"the parent of process {os.getpid()} is no raylet")
                self.write("fault", point=point, epoch=epoch, island=island, target=target, number=fault["number"])
                os.kill(target, fault["signal"])
                return

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
            notes.write("begins", island=island, epoch=epoch)
            notes.reach("step begins", epoch, island)
            notes.step = epoch, island
            answer = true(worker, island, epoch, *more)
            notes.reach("step is done", epoch, island)
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
