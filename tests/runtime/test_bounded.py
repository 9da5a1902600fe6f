"""Memory of coordinator and workers does not grow with the epochs."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable

import pytest
from worlds import fake_answer

import islands as isl
from islands.archipelago.machine import MAX_LEAD, Advance, Commit, CommitDone, Machine, StepDone, WorkerJoined
from islands.evolution.deme import Deme
from islands.runtime.report import MOST_NOTES, MOST_STEPS, Progress, RunReport, Step
from islands.runtime.worker import Worker

RING = tuple(((island - 1) % 4,) for island in range(4))
EPOCHS = 400


def test_machine_and_worker_hold_after_many_epochs_what_they_held_after_few() -> None:
    """Counted in bytes: all that the machine and two workers would be written as."""
    sizes: dict[int, int] = {}
    machine = Machine(RING, 2, EPOCHS)
    workers = {name: Worker(fake_answer) for name in ("a", "b")}
    commands = [command for name in workers for command in machine.handle(WorkerJoined(name))]
    most = 0
    while commands:
        match commands.pop(0):
            case Advance() as step:
                most = max(most, step.epoch - machine.committed)
                answer, _ = workers[step.worker].advance(step.island, step.epoch, step.state, step.immigrants)
                commands += machine.handle(StepDone(step.worker, answer))
            case Commit() as commit:
                commands += machine.handle(CommitDone(commit.epoch))
                if commit.epoch % 100 == 20:
                    held = (vars(machine), [vars(worker)["_answers"] for worker in workers.values()])
                    sizes[commit.epoch] = len(pickle.dumps(held))
    assert machine.committed == EPOCHS
    assert 1 <= most <= MAX_LEAD
    assert sorted(sizes) == [20, 120, 220, 320]
    assert max(sizes.values()) <= 1.05 * sizes[20]


@pytest.mark.slow
def test_what_a_run_in_this_process_holds_does_not_grow(make: Callable[..., isl.Campaign]) -> None:
    """The arrays of all demes that are anywhere, over 100 epochs."""
    campaign = make({"evolution.epochs": 100, "evolution.population": 8, "evolution.generations_per_epoch": 1})
    held: dict[int, int] = {}
    steps = 0

    def look(progress: Progress) -> None:
        nonlocal steps
        steps += 1
        if progress.committed in (25, 50, 75, 99) and progress.committed not in held:
            gc.collect()
            arrays = [thing for thing in gc.get_objects() if type(thing) is Deme]  # isinstance would ask dead weak proxies
            held[progress.committed] = sum(deme.genomes.nbytes + deme.scores.nbytes + deme.births.nbytes for deme in arrays)

    assert campaign.run("inline", on_progress=look).finished
    assert steps == 3 * 100
    assert len(held) == 4
    assert max(held.values()) < 1.5 * held[25], held


def test_a_report_of_a_long_run_keeps_its_last_steps() -> None:
    report = RunReport(0, 0, 1)
    for epoch in range(3 * MOST_STEPS):
        report.add(Step(0, epoch, "a", 1, 0.0))
        report.note(f"note {epoch}")
    assert MOST_STEPS <= len(report.steps) <= 2 * MOST_STEPS
    assert [step.epoch for step in report.steps[-MOST_STEPS:]] == list(range(2 * MOST_STEPS, 3 * MOST_STEPS))
    assert report.notes == [f"note {number}" for number in range(MOST_NOTES)]
