"""What Ray's errors say of a death: the next coordinator goes on, and a step that eats all memory is to blame for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from islands.archipelago.journal import Journal
from islands.archipelago.machine import WorkerLost
from islands.errors import RuntimeFailed
from islands.runtime import coordinator, session
from islands.runtime.conductor import Bounds
from islands.runtime.coordinator import SHORT_OF_MEMORY, Assignment, Coordinator, died_of_itself, run_on_ray
from islands.runtime.report import RunReport

EATEN = OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.\nObject store memory usage: ...")


def assignment(root: Path) -> Assignment:
    assert Journal(root).create({"spec": {}}, {"epochs": 3})
    return Assignment(str(root), "{}", 1, Bounds(), (), "", "", "", (), {})


def run(
    root: Path,
    ends: list[RunReport | RayError],
    monkeypatch: pytest.MonkeyPatch,
    kill: Callable[[Any], Any] = lambda _: None,
) -> RunReport:
    """The driver's loop over coordinators that end so, one after another; only Ray is played."""
    coming: Iterator[RunReport | RayError] = iter(ends)

    def get(_: Any) -> RunReport:
        end = next(coming)
        if isinstance(end, RayError):
            raise end
        return end

    call = SimpleNamespace(remote=lambda *_: object())
    actor = SimpleNamespace(run=call, progress=call, stop=call)
    options = SimpleNamespace(remote=lambda: actor)
    monkeypatch.setattr(coordinator, "ray", SimpleNamespace(wait=lambda calls, timeout: (calls, []), get=get))
    monkeypatch.setattr(session, "ray", SimpleNamespace(kill=kill))
    monkeypatch.setattr(coordinator, "this_node", lambda: "0" * 56)
    monkeypatch.setattr(coordinator, "RemoteCoordinator", SimpleNamespace(options=lambda **_: options))
    monkeypatch.setattr(coordinator._Watch, "_look", lambda *_: True)
    report = run_on_ray(assignment(root), {}, False, lambda: False, lambda _: None)
    assert next(coming, None) is None
    return report


def test_the_classes_have_nothing_in_common_that_would_name_a_death() -> None:
    """Where Ray makes one the base of the other, the list of deaths can be shorter."""
    assert not issubclass(OutOfMemoryError, (RayActorError, RayTaskError))


@pytest.mark.parametrize(
    "death",
    [
        EATEN,
        ActorDiedError(),
        ActorUnavailableError("gone", None),
        WorkerCrashedError(),
        NodeDiedError(""),
        LocalRayletDiedError(),
    ],
    ids=lambda death: type(death).__name__,
)
def test_another_coordinator_goes_on_after_any_death(death: RayError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(tmp_path, [death, RunReport(0, 3, 3, finished=True)], monkeypatch)
    assert (report.finished, report.committed) == (True, 3)


def test_nobody_waits_for_a_raylet_that_does_not_answer_when_a_coordinator_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ray.kill does not come back then, which a stopped raylet shows in one run of thirty."""
    answers = threading.Event()
    asked: list[Any] = []
    monkeypatch.setattr(session, "SENT_S", 0.01)

    def kill(actor: Any) -> None:
        asked.append(actor)
        answers.wait()

    try:
        report = run(tmp_path, [ActorDiedError(), RunReport(0, 3, 3, finished=True)], monkeypatch, kill)
        assert report.finished
        assert len(asked) == 2
    finally:
        answers.set()


def test_coordinators_that_are_killed_for_memory_again_and_again_say_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        RuntimeFailed, match="three coordinators in a row were lost without a commit; the last: Ray ended"
    ) as why:
        run(tmp_path, [EATEN] * 3, monkeypatch)
    assert str(why.value).endswith(SHORT_OF_MEMORY)
    assert "\n" not in str(why.value)


def test_who_is_killed_for_memory_died_of_itself() -> None:
    assert died_of_itself(EATEN)
    assert died_of_itself(ActorDiedError())
    assert not died_of_itself(NodeDiedError("its node was lost"))
    assert not died_of_itself(ActorUnavailableError("for a moment", None))


def test_a_step_that_eats_all_memory_is_blamed_and_told_of() -> None:
    events: list[Any] = []
    report = RunReport(0, 0, 3)
    conductor: Any = SimpleNamespace(pids={"worker-1": 11}, report=report, handle=events.append)
    crew: Any = SimpleNamespace(lose=lambda _: None)
    step: Any = SimpleNamespace(island=1, epoch=2)
    Coordinator()._lose(conductor, crew, "worker-1", step, EATEN)
    assert events == [WorkerLost("worker-1", blamed=True)]
    assert report.lost == [(1, 2, 11)]
    assert report.notes == [f"worker 11 at island 1, epoch 2: {SHORT_OF_MEMORY}"]
