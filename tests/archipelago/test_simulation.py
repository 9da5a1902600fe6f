"""Campaigns under every failure, by the thousand: each ends in the digest of the undisturbed run, or is refused in words.

What a schedule does and what must hold is in benchmarks/simulation/schedule.py; tens of thousands more:
`python -m benchmarks simulate --schedules N --seed S`.
"""

from __future__ import annotations

import threading
import time
from random import Random

import pytest
from simulation import schedule
from simulation.barrier import stand_in, undisturbed
from simulation.disk import Files, SimulatedDisk
from simulation.mutants import MUTANTS, simulation_of
from simulation.schedule import COMMITTING, ROOT, Outcome, run
from worlds import links, play_alone

from islands.archipelago.machine import Routes, answer_digest
from islands.archipelago.storage import Folder
from islands.evolution.migration import Immigrants, as_immigrants

# Every kind of fault, and what it takes for one of them to have cost something.
KINDS = {
    "coordinator killed": "with work under way, or in the middle of a write",
    "power cut": "names that were not synced were lost",
    "torn": "contents that were not synced were lost or cut short",
    "sync lied": "what it had promised was lost",
    "disk full": "a run ended with ENOSPC",
    "sync failed": "a run ended with EIO",
    "duel": "a process was fenced off by a take-over",
    "stalled": "a process that slept too long was fenced off by one that found its lease expired",
    "second resume": "it was refused while the first was alive",
    "rot: flipped": "a resume or verify met it and named the file",
    "rot: truncated": "as above",
    "rot: missing": "as above",
    "other number of workers": "after epochs were committed with the former",
    "extended": "more epochs were asked for while it ran",
    "stop asked": "while steps were under way",
    "retention": "demes that a commit had were removed",
    "worker killed": "a step died with it",
    "worker given up alive": "while it computed; it went on",
    "answer of a worker given up": "it came before its replacement's",
    "answer to a dead coordinator": "it reached the next one before it was computed again",
    "answer dropped": "its worker was given up",
    "answer repeated": "it was delivered twice",
    "answers reordered": "one overtook an answer of another epoch",
    "call repeated": "the worker was asked twice",
    "step blamed": "its worker may have died of it",
    "worker renewed": "a fresh one took an idle one's place, for a step that was lost twice",
    "paused": "a run ended for a step that was lost five times",
}


def runs(first: int, count: int) -> Outcome:
    whole = Outcome()
    for seed in range(first, first + count):
        whole.add(run(seed))
    return whole


@pytest.mark.slow
def test_a_hundred_schedules_end_in_the_digest_of_the_undisturbed_run() -> None:
    assert runs(0, 100).landed


@pytest.mark.slow
def test_thousands_of_schedules_end_in_the_digest_of_the_undisturbed_run_and_every_fault_lands() -> None:
    began = time.process_time()
    whole = runs(1_000, 3_000)
    minutes = (time.process_time() - began) / 60.0
    assert whole.cost.keys() == KINDS.keys() | ({"forked"} & whole.cost.keys())
    assert {kind: whole.cost[kind] for kind in KINDS if whole.cost[kind] < 20} == {}
    committing = {f"{call} {kind}" for call, kind in COMMITTING}
    assert {call for call in committing if whole.killed_at[call] < 5} == set()
    assert 3_000 / minutes > 1_000


def test_a_schedule_is_replayed_to_the_letter() -> None:
    """Also one that fails: the error is the seed, what must hold, and all that happened."""
    for seed in range(5):
        traces = []
        for _ in range(2):
            played = schedule.Schedule(seed)
            played.run()
            played.end()
            traces.append(played.trace)
        assert traces[0] == traces[1]
        assert len(traces[0]) > 50
    told = []
    found_at_once = next(mutant for mutant in MUTANTS if mutant.name == "entry before one of its blobs")
    with simulation_of(found_at_once) as simulation:
        for _ in range(2):
            with pytest.raises(simulation.Violation) as error:
                [simulation.run(seed) for seed in range(20)]
            told.append(str(error.value))
    assert told[0] == told[1]
    first, title, *trace = told[0].splitlines()
    assert first.startswith("seed ")
    assert title.startswith("Routes(")
    assert any("write journal/" in line for line in trace)


def test_demes_may_be_gone_unrecorded_once_no_entry_that_let_them_go_is_left_be_its_number_in_use_again_or_not() -> None:
    played, entry, other = schedule.Schedule(0), "journal/00000007", "journal/00000008"
    letting_go, another = {"epoch": 6, "retention": [2, 3]}, {"epoch": 6, "retention": [2, 2]}
    played.made = {entry: letting_go, other: letting_go}
    played.let_go = {"blobs/4": {entry: letting_go, other: letting_go}}
    assert played._unrecorded() == set()
    del played.made[other]  # as a power cut takes it
    assert played._unrecorded() == set()
    played.files.damaged.add(entry)
    assert played._unrecorded() == {"blobs/4"}
    played.files.damaged.clear()  # the number is free, and the next commit has it
    played.made[entry] = another
    assert played._unrecorded() == {"blobs/4"}


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    runs(0, 20)
    assert threading.active_count() == before


# The stand-in, and the undisturbed run


def test_the_stand_in_feels_every_byte_and_the_order_of_its_arguments() -> None:
    first, other = (stand_in(island, 1, None, []) for island in (0, 1))
    group = as_immigrants(1, other.emigrants)
    moved = Immigrants(1, group.families, group.genomes[::-1].copy(), group.births)
    again = as_immigrants(0, first.emigrants)
    arguments = [[], [group], [moved], [group, again], [again, group]]
    answers = [stand_in(0, 2, state, arriving) for state in (first.state, other.state) for arriving in arguments]
    assert len({answer_digest(answer) for answer in answers}) == 10


def test_the_undisturbed_run_of_a_ring_is_what_the_machine_makes_of_it() -> None:
    """Once without a conductor, disk or fault, so that both sides of every comparison above are known to move."""
    routes = Routes(((2,), (0,), (1,)), 2, 1)
    assert [digest for digest, _ in undisturbed(routes, 5)] == links(play_alone(routes, 5, stand_in))
    assert undisturbed(routes, 5)[:3] == undisturbed(routes, 3)
    assert undisturbed(Routes(routes.senders, 1, 1), 5)[-1][0] != undisturbed(routes, 5)[-1][0]


# The disk


def a_disk(seed: int = 0) -> tuple[Files, Folder]:
    files = Files(ROOT, Random(seed))
    return files, Folder(ROOT, SimulatedDisk(files, lambda call, path: "", lambda call, path: None))


def test_a_power_cut_takes_nothing_that_a_folder_has_set() -> None:
    for seed in range(50):
        files, folder = a_disk(seed)
        folder.create("journal/1", b"one")
        folder.write("lease", b"two")
        files.cut_power()
        assert (folder.read("journal/1"), folder.read("lease")) == (b"one", b"two")
        assert not files.damaged
        assert not files.took


def test_a_power_cut_takes_what_was_not_synced_or_tears_it_and_may_leave_it() -> None:
    left = set()
    for seed in range(200):
        files, folder = a_disk(seed)
        folder.write("a", b"old")
        disk = SimulatedDisk(files, lambda call, path: "", lambda call, path: None)
        disk.write(ROOT / "b", b"new")
        files.cut_power()
        left.add(folder.read("b"))
        assert folder.read("a") == b"old"
    assert left == {None, b"", b"n", b"ne", b"new"}


def test_what_a_lying_sync_promised_is_named_when_it_is_lost() -> None:
    lost = 0
    for seed in range(50):
        files = Files(ROOT, Random(seed))
        lying = SimulatedDisk(files, lambda call, path: "lie" if call == "sync" else "", lambda call, path: None)
        Folder(ROOT, lying).create("journal/1", b"one")
        files.cut_power()
        whole = a_reader(files).read("journal/1") == b"one"
        assert whole is ("journal/1" not in files.damaged)
        lost += not whole
    assert lost > 10


def test_what_comes_back_whole_although_its_removal_was_promised_is_not_damaged() -> None:
    back = 0
    for seed in range(50):
        files, folder = a_disk(seed)
        folder.create("blobs/1", b"one")
        lying = SimulatedDisk(files, lambda call, path: "lie" if call == "sync" else "", lambda call, path: None)
        Folder(ROOT, lying).remove("blobs/1")
        lying.sync(ROOT / "blobs")
        files.cut_power()
        there = a_reader(files).read("blobs/1")
        assert there in (b"one", None)
        assert not files.damaged
        assert files.spoiled is (there is not None)
        back += there is not None
    assert back > 10


def a_reader(files: Files) -> Folder:
    return Folder(ROOT, SimulatedDisk(files, lambda call, path: "", lambda call, path: None))
