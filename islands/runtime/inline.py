"""The whole campaign in this process: the reference runtime, and the debugger's friend."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable

from islands.archipelago.journal import Writer
from islands.archipelago.machine import Advance, StepRaised, StopAsked, WorkerJoined
from islands.archipelago.manifest import Differences
from islands.errors import IslandsError, RunEnded
from islands.evolution.island import advance_epoch
from islands.evolution.world import World
from islands.runtime.conductor import Bounds, Conductor, routes_of
from islands.runtime.heartbeat import beating
from islands.runtime.report import Progress, RunReport
from islands.runtime.worker import Worker


def run_inline(
    world: World,
    writer: Writer,
    bounds: Bounds,
    accepted: Differences,
    stop_asked: Callable[[], bool],
    on_progress: Callable[[Progress], None],
) -> RunReport:
    """Runs until the target, the bounds or a stop; every step in this thread, one after another."""
    steps: deque[Advance] = deque()
    worker = Worker(functools.partial(advance_epoch, world))
    conductor = Conductor(routes_of(world), writer, bounds, steps.append, accepted)
    conductor.pids["inline"] = os.getpid()
    try:
        with beating(writer):
            conductor.handle(WorkerJoined("inline"))
            asked = False
            while steps and not conductor.halted:
                if stop_asked() and not asked:
                    asked = True
                    conductor.handle(StopAsked(finish_epoch=True))
                    continue
                step = steps.popleft()
                try:
                    answer, seconds = worker.advance(step.island, step.epoch, step.state, step.immigrants)
                except IslandsError:
                    raise
                except Exception as error:
                    conductor.handle(StepRaised(step.island, step.epoch, f"{type(error).__name__}: {error}"))
                    raise
                conductor.step_done(step.worker, answer, seconds)
                on_progress(conductor.progress())
    except RunEnded as error:
        error.report = conductor.report  # which is whole when it is closed
        raise
    finally:
        report = conductor.close()
    return report
