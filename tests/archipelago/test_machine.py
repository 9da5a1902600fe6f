"""The campaign's state machine: given what happened, exactly these commands; and whatever happens, one digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from effort import thinned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import a_deme, fake_answer, links

from islands.archipelago.machine import (
    MAX_LEAD,
    Advance,
    Command,
    Commit,
    CommitDone,
    Halt,
    Machine,
    Pause,
    Renew,
    StepDone,
    StepRaised,
    StopAsked,
    WorkerJoined,
    WorkerLost,
    answer_digest,
)
from islands.errors import DigestConflict, StepFailed
from islands.evolution.deme import FOUNDER, Deme, Trials
from islands.evolution.island import Answer, IslandState
from islands.evolution.migration import Immigrants

RING = {n: tuple(((i - 1) % n,) for i in range(n)) for n in (2, 3, 4)}
ALONE = {n: ((),) * n for n in (1, 2, 3)}
DIAMOND = ((), (0,), (0,), (1, 2))  # 0 feeds 1 and 2, both feed 3


def brief(commands: list[Command]) -> list[tuple[Any, ...]]:
    """Commands without what they carry."""
    told: list[tuple[Any, ...]] = []
    for command in commands:
        match command:
            case Advance(worker, island, epoch):
                told.append(("advance", worker, island, epoch))
            case Commit(epoch):
                told.append(("commit", epoch))
            case Renew(worker):
                told.append(("renew", worker))
            case Pause(island, epoch):
                told.append(("pause", island, epoch))
            case Halt():
                told.append(("halt",))
    return told


class Told:
    """A machine, what it was told last, and the answers that the steps it started will give."""

    def __init__(self, neighbours: tuple[tuple[int, ...], ...], delay: int = 1, target: int = 3, **where: Any) -> None:
        self.machine = Machine(neighbours, delay, target, **where)
        self.steps: dict[tuple[int, int], Advance] = {}
        self.states: dict[tuple[int, int], IslandState] = {}
        self.commits: list[Commit] = []

    def handle(self, event: Any) -> list[tuple[Any, ...]]:
        commands = self.machine.handle(event)
        for command in commands:
            if isinstance(command, Advance):
                self.steps[command.island, command.epoch] = command
            if isinstance(command, Commit):
                self.commits.append(command)
        return brief(commands)

    def join(self, worker: str) -> list[tuple[Any, ...]]:
        return self.handle(WorkerJoined(worker))

    def answer(self, island: int, epoch: int) -> Answer:
        step = self.steps[island, epoch]
        state = step.state or self.states.get((island, epoch - 1))
        made = fake_answer(island, epoch, state, step.immigrants)
        self.states[island, epoch] = made.state
        return made

    def done(self, worker: str, island: int, epoch: int) -> list[tuple[Any, ...]]:
        return self.handle(StepDone(worker, self.answer(island, epoch)))


# One worker, several workers


def test_nothing_happens_without_a_worker() -> None:
    told = Told(ALONE[2])
    assert told.handle(CommitDone(0)) == []
    assert told.handle(WorkerLost("never joined")) == []


def test_one_worker_computes_all_islands_of_an_epoch_before_the_next() -> None:
    told = Told(RING[2], target=2)
    assert told.join("a") == [("advance", "a", 0, 1)]
    assert told.done("a", 0, 1) == [("advance", "a", 1, 1)]
    assert told.done("a", 1, 1) == [("advance", "a", 0, 2), ("commit", 1)]
    assert told.handle(CommitDone(1)) == []
    assert told.done("a", 0, 2) == [("advance", "a", 1, 2)]
    assert told.done("a", 1, 2) == [("commit", 2)]
    assert told.handle(CommitDone(2)) == [("halt",)]


def test_two_workers_share_the_islands() -> None:
    told = Told(RING[3])
    assert told.join("a") == [("advance", "a", 0, 1)]
    assert told.join("b") == [("advance", "b", 1, 1)]
    assert told.done("b", 1, 1) == [("advance", "b", 2, 1)]


def test_more_workers_than_islands_stay_idle() -> None:
    told = Told(RING[2])
    assert [told.join(worker) for worker in "abc"] == [[("advance", "a", 0, 1)], [("advance", "b", 1, 1)], []]


def test_a_worker_goes_on_with_the_island_whose_state_it_holds_and_is_sent_no_state() -> None:
    told = Told(ALONE[2], target=3)
    told.join("a")
    told.join("b")
    assert told.done("b", 1, 1) == [("advance", "b", 1, 2)]
    assert told.steps[1, 2].state is None
    assert told.done("b", 1, 2) == [("advance", "b", 1, 3)]
    assert told.done("a", 0, 1) == [("advance", "a", 0, 2), ("commit", 1)]


def test_a_worker_that_does_not_hold_an_island_is_sent_its_state() -> None:
    told = Told(ALONE[2], target=2)
    told.join("a")
    told.done("a", 0, 1)
    told.done("a", 1, 1)
    assert told.steps[0, 2].state is None  # under way at a
    assert told.join("b") == [("advance", "b", 1, 2)]
    assert told.steps[1, 2].state is told.states[1, 1]


def test_a_worker_that_joins_again_under_its_name_holds_nothing() -> None:
    told = Told(ALONE[1], target=2)
    told.join("a")
    told.done("a", 0, 1)
    told.handle(WorkerLost("a"))
    assert told.join("a") == [("advance", "a", 0, 2)]
    assert told.steps[0, 2].state is told.states[0, 1]


# Dataflow


def test_an_island_waits_for_its_own_senders_only() -> None:
    told = Told(RING[3])
    for worker in "abc":
        told.join(worker)
    assert told.done("b", 1, 1) == []  # island 1 needs 0, island 2 needs itself
    assert told.done("a", 0, 1) == [("advance", "a", 1, 2)]  # without waiting for island 2
    assert told.done("c", 2, 1) == [("advance", "b", 0, 2), ("advance", "c", 2, 2), ("commit", 1)]


def test_a_diamond_flows_from_its_source() -> None:
    told = Told(DIAMOND, target=2)
    for worker in "abcd":
        told.join(worker)
    assert told.done("a", 0, 1) == [("advance", "a", 0, 2)]
    assert told.done("b", 1, 1) == [("advance", "b", 1, 2)]
    assert told.done("d", 3, 1) == []
    assert told.done("c", 2, 1) == [("advance", "c", 2, 2), ("advance", "d", 3, 2), ("commit", 1)]
    assert [group.source for group in told.steps[3, 2].immigrants] == [1, 2]


def test_immigrants_are_the_emigrants_of_the_epoch_before_in_island_order() -> None:
    told = Told(((1, 2), (0, 2), (0, 1)), target=2)
    for worker in "abc":
        told.join(worker)
    assert told.steps[1, 1].immigrants == []
    for worker, island in (("c", 2), ("b", 1), ("a", 0)):
        told.done(worker, island, 1)
    assert [group.source for group in told.steps[1, 2].immigrants] == [0, 2]
    for group in told.steps[1, 2].immigrants:
        emigrants = fake_answer(group.source, 1, None, []).emigrants
        np.testing.assert_array_equal(group.genomes, emigrants.genomes)
        np.testing.assert_array_equal(group.births, emigrants.births)


def test_with_a_delay_of_two_an_island_waits_for_the_epoch_before_the_last() -> None:
    told = Told(RING[2], delay=2, target=4)
    assert told.join("a") == [("advance", "a", 0, 1)]
    assert told.join("b") == [("advance", "b", 1, 1)]
    assert told.done("a", 0, 1) == [("advance", "a", 0, 2)]
    assert told.steps[0, 2].immigrants == []
    assert told.done("a", 0, 2) == []  # epoch 3 takes what island 1 sends after its epoch 1
    assert told.done("b", 1, 1) == [("advance", "a", 1, 2), ("advance", "b", 0, 3), ("commit", 1)]
    sent = fake_answer(1, 1, None, []).emigrants
    np.testing.assert_array_equal(told.steps[0, 3].immigrants[0].genomes, sent.genomes)


# Migration in some epochs only


def test_an_epoch_that_no_migration_reaches_waits_for_nobody() -> None:
    told = Told(RING[2], target=4, interval=2)
    told.join("a")
    told.join("b")
    assert told.done("a", 0, 1) == [("advance", "a", 0, 2)]  # whoever left after epoch 1 would arrive now
    assert told.steps[0, 2].immigrants == []
    assert told.done("a", 0, 2) == []  # epoch 3 takes what island 1 sends after its epoch 2
    assert told.done("b", 1, 1) == [("advance", "a", 1, 2), ("commit", 1)]
    assert told.done("a", 1, 2) == [("advance", "a", 0, 3), ("advance", "b", 1, 3)]
    assert [group.source for group in told.steps[0, 3].immigrants] == [1]
    assert told.done("a", 0, 3) == [("advance", "a", 0, 4)]  # and again without waiting for island 1
    assert told.steps[0, 4].immigrants == []


def test_with_an_interval_of_three_and_a_delay_of_two_immigrants_come_in_epochs_five_and_eight() -> None:
    told = Told(RING[2], delay=2, target=9, interval=3)
    play_all(told)
    arrived = {step: [group.source for group in advance.immigrants] for step, advance in told.steps.items()}
    assert arrived == {(i, e): [1 - i] if e in (5, 8) else [] for i in range(2) for e in range(1, 10)}
    for epoch in (5, 8):
        sent = told.commits[epoch - 3].answers[1].emigrants
        np.testing.assert_array_equal(told.steps[0, epoch].immigrants[0].births, sent.births)
        np.testing.assert_array_equal(told.steps[0, epoch].immigrants[0].genomes, sent.genomes)


def test_an_interval_longer_than_the_lead_lets_an_island_run_to_the_lead_alone() -> None:
    told = Told(RING[2], target=20, interval=7)
    told.join("a")
    told.join("b")
    for epoch in range(1, MAX_LEAD):
        assert told.done("a", 0, epoch) == [("advance", "a", 0, epoch + 1)]
    assert told.done("a", 0, MAX_LEAD) == []


@pytest.mark.parametrize("stop_after", range(1, 9))
def test_a_machine_resumed_between_a_departure_and_its_arrival_delivers_it(stop_after: int) -> None:
    where = {"delay": 2, "target": 9, "interval": 3}
    whole, first = Told(RING[3], **where), Told(RING[3], **where)
    play_all(whole)
    play_all(first, until=stop_after)
    stop = first.commits[-1]
    states = [answer.state for answer in stop.answers]
    again = Told(RING[3], **where, committed=stop.epoch, states=states, emigrants=stop.emigrants)
    play_all(again)
    assert links(first.commits + again.commits) == links(whole.commits)


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_a_commit_carries_the_emigrants_of_the_last_delay_epochs(delay: int) -> None:
    told = Told(RING[2], delay=delay, target=4)
    play_all(told)
    for commit in told.commits:
        first = max(1, commit.epoch - delay + 1)
        assert sorted(commit.emigrants) == [(e, i) for e in range(first, commit.epoch + 1) for i in range(2)]


def play_all(told: Told, until: int | None = None) -> None:
    """One worker does everything that the machine says, up to some commit."""
    commands = told.machine.handle(WorkerJoined("only"))
    while commands:
        command = commands.pop(0)
        match command:
            case Advance(_, island, epoch):
                told.steps[island, epoch] = command
                commands += told.machine.handle(StepDone("only", told.answer(island, epoch)))
            case Commit(epoch):
                told.commits.append(command)
                if epoch == until:
                    return
                commands += told.machine.handle(CommitDone(epoch))


def test_nobody_runs_more_than_four_epochs_past_the_last_commit() -> None:
    told = Told(ALONE[2], target=9)
    told.join("a")
    told.join("b")
    for epoch in range(1, MAX_LEAD):
        assert told.done("a", 0, epoch) == [("advance", "a", 0, epoch + 1)]
    assert told.done("a", 0, MAX_LEAD) == []
    assert told.done("b", 1, 1) == [("advance", "a", 1, 2), ("commit", 1)]
    assert told.handle(CommitDone(1)) == [("advance", "b", 0, MAX_LEAD + 1)]
    assert MAX_LEAD == 4


def test_nobody_runs_past_the_target() -> None:
    told = Told(ALONE[2], target=1)
    told.join("a")
    told.join("b")
    assert told.done("a", 0, 1) == []
    assert told.done("b", 1, 1) == [("commit", 1)]


# Commits


def test_an_epoch_is_committed_once_it_is_whole_and_one_at_a_time() -> None:
    told = Told(ALONE[2], target=3)
    told.join("a")
    told.join("b")
    for epoch in (1, 2, 3):
        told.done("a", 0, epoch)
    assert told.done("b", 1, 1) == [("advance", "a", 1, 2), ("commit", 1)]
    assert told.done("a", 1, 2) == [("advance", "a", 1, 3)]  # 2 is whole too, but 1 is still being written
    assert told.handle(CommitDone(1)) == [("commit", 2)]
    assert told.done("a", 1, 3) == []
    assert told.handle(CommitDone(2)) == [("commit", 3)]
    assert told.handle(CommitDone(3)) == [("halt",)]


def test_a_commit_holds_the_answers_in_island_order() -> None:
    told = Told(ALONE[3], target=1)
    for worker in "abc":
        told.join(worker)
    for worker, island in (("c", 2), ("a", 0), ("b", 1)):
        told.done(worker, island, 1)
    assert [answer.island for answer in told.commits[0].answers] == [0, 1, 2]


def test_a_campaign_that_is_done_halts_at_once() -> None:
    states = [fake_answer(i, 1, None, []).state for i in range(2)]
    assert Told(RING[2], target=1, committed=1, states=states).join("a") == [("halt",)]


def test_a_halted_machine_is_silent() -> None:
    told = Told(ALONE[1], target=1)
    told.join("a")
    late = told.answer(0, 1)
    told.done("a", 0, 1)
    assert told.handle(CommitDone(1)) == [("halt",)]
    silent = [told.join("b"), told.handle(WorkerLost("a")), told.handle(StepDone("a", late)), told.handle(StopAsked(True))]
    assert silent == [[], [], [], []]


def test_a_resumed_machine_goes_on_from_the_commit_with_the_immigrants_on_their_way() -> None:
    whole = Told(RING[3], delay=2, target=5)
    play_all(whole)
    stop = whole.commits[1]
    states = [answer.state for answer in stop.answers]
    again = Told(RING[3], delay=2, target=5, committed=2, states=states, emigrants=stop.emigrants)
    play_all(again)
    assert [commit.epoch for commit in again.commits] == [3, 4, 5]
    assert links(whole.commits[:2] + again.commits) == links(whole.commits)


# Losses


def same_immigrants(one: list[Immigrants], other: list[Immigrants]) -> bool:
    columns = ("families", "genomes", "births")
    return [g.source for g in one] == [g.source for g in other] and all(
        np.array_equal(getattr(a, column), getattr(b, column)) for a, b in zip(one, other, strict=True) for column in columns
    )


def test_lost_island_replays_its_epoch_with_the_same_immigrants() -> None:
    told = Told(RING[2], target=2)
    told.join("a")
    told.join("b")
    told.done("a", 0, 1)
    told.done("b", 1, 1)
    lost = told.steps[0, 2]
    assert lost.worker == "a"
    assert told.handle(WorkerLost("a")) == []
    assert told.machine.lost == [(0, 2)]
    assert told.done("b", 1, 2) == [("advance", "b", 0, 2)]
    replay = told.steps[0, 2]
    assert replay is not lost
    assert len(replay.immigrants[0].genomes) == 2
    assert same_immigrants(replay.immigrants, lost.immigrants)
    assert replay.state is told.states[0, 1]


def test_lost_first_epoch_is_founded_again() -> None:
    told = Told(ALONE[1], target=1)
    told.join("a")
    told.handle(WorkerLost("a"))
    assert told.join("b") == [("advance", "b", 0, 1)]
    assert told.steps[0, 1].state is None


def test_idle_worker_is_lost_without_loss() -> None:
    told = Told(ALONE[1])
    told.join("a")
    told.join("b")
    assert told.handle(WorkerLost("b")) == []
    assert told.machine.lost == []
    assert told.done("a", 0, 1)[0] == ("advance", "a", 0, 2)


def test_loss_of_a_worker_that_is_not_known_any_more_changes_nothing() -> None:
    told = Told(ALONE[1])
    told.join("a")
    told.handle(WorkerLost("a"))
    assert told.handle(WorkerLost("a")) == []
    assert told.machine.lost == [(0, 1)]


def test_answer_of_a_worker_given_up_counts_and_its_replay_confirms_it() -> None:
    told = Told(ALONE[1], target=2)
    told.join("a")
    answer = told.answer(0, 1)
    told.handle(WorkerLost("a"))
    told.join("b")  # replays
    assert told.handle(StepDone("a", answer)) == [("commit", 1)]
    assert told.handle(StepDone("b", answer)) == [("advance", "b", 0, 2)]
    assert told.handle(CommitDone(1)) == []
    assert len(told.commits) == 1


def test_late_answer_to_a_committed_epoch_is_dropped_whatever_it_says() -> None:
    told = Told(ALONE[1], target=2)
    told.join("a")
    told.done("a", 0, 1)
    told.handle(CommitDone(1))
    strange = replace(fake_answer(0, 1, None, []), trials=some_trials(seed=99))
    assert told.handle(StepDone("b", strange)) == []
    assert told.done("a", 0, 2) == [("commit", 2)]
    assert answer_digest(told.commits[0].answers[0]) == answer_digest(fake_answer(0, 1, None, []))


def test_repeated_answer_is_dropped() -> None:
    told = Told(ALONE[2], target=1)
    told.join("a")
    told.join("b")
    told.done("a", 0, 1)
    assert told.done("a", 0, 1) == []
    assert told.done("b", 1, 1) == [("commit", 1)]


def some_trials(seed: int) -> Trials:
    return Trials.without_parents(a_deme(seed=seed), FOUNDER)


def other_answer(answer: Answer, part: str) -> Answer:
    """The answer with one part exchanged."""
    changes: dict[str, Any] = {"trials": some_trials(99), "stagnant": answer.state.stagnant + 1}
    changed = changes.get(part, a_deme(seed=99))
    if part in ("emigrants", "trials"):
        return replace(answer, **{part: changed})
    return replace(answer, state=replace(answer.state, **{part: changed}))


@pytest.mark.parametrize("part", ["deme", "hall_of_fame", "stagnant", "emigrants", "trials"])
def test_another_answer_to_the_same_step_is_a_conflict_that_names_both_digests(part: str) -> None:
    told = Told(ALONE[2], target=1)
    told.join("a")
    told.join("b")
    answer = told.answer(0, 1)
    told.handle(StepDone("a", answer))
    other = other_answer(answer, part)
    with pytest.raises(DigestConflict) as error:
        told.handle(StepDone("b", other))
    assert "island 0, epoch 1" in str(error.value)
    assert answer_digest(answer).hex() in str(error.value)
    assert answer_digest(other).hex() in str(error.value)
    assert answer_digest(answer) != answer_digest(other)


@pytest.mark.parametrize("column", ["families", "genomes", "scores", "births"])
def test_one_bit_of_any_column_makes_another_answer(column: str) -> None:
    answer = fake_answer(0, 1, None, [])
    deme = answer.state.deme
    bits = getattr(deme, column).copy()
    bits.view("<i8").reshape(-1)[-1] ^= 1
    other = replace(answer, state=replace(answer.state, deme=replace(deme, **{column: bits})))
    assert answer_digest(other) != answer_digest(answer)


@pytest.mark.parametrize("column", ["origins", "parents"])
def test_other_parents_of_a_trial_make_another_answer(column: str) -> None:
    answer = fake_answer(0, 1, None, [])
    numbers = getattr(answer.trials, column).copy()
    numbers.reshape(-1)[-1] += 1
    assert answer_digest(replace(answer, trials=replace(answer.trials, **{column: numbers}))) != answer_digest(answer)


def test_a_step_that_raised_stops_the_campaign_and_is_named() -> None:
    told = Told(ALONE[1])
    told.join("a")
    with pytest.raises(StepFailed, match=r"island 0, epoch 1: ValueError: broken"):
        told.handle(StepRaised(0, 1, "ValueError: broken"))


def test_an_error_of_a_step_that_another_worker_has_answered_is_of_no_account() -> None:
    told = Told(ALONE[1], target=2)
    told.join("a")
    told.done("a", 0, 1)
    assert told.handle(StepRaised(0, 1, "ValueError: broken")) == []
    with pytest.raises(StepFailed, match="island 0, epoch 2"):
        told.handle(StepRaised(0, 2, "ValueError: broken"))


def test_answer_of_an_earlier_coordinator_that_was_further_is_dropped_until_it_is_asked_for() -> None:
    further = Told(ALONE[1], target=3)
    play_all(further)
    told = Told(ALONE[1], target=3)
    told.join("a")
    assert told.handle(StepDone("gone", further.commits[1].answers[0])) == []
    assert told.handle(StepDone("gone", further.commits[0].answers[0])) == [("commit", 1)]  # this one is


# Steps that their workers die of


def die(told: Told, *workers: str) -> list[tuple[Any, ...]]:
    """Each joins and dies at what it was given; what was told at last."""
    last: list[tuple[Any, ...]] = []
    for worker in workers:
        told.join(worker)
        last = told.handle(WorkerLost(worker, blamed=True))
    return last


def test_a_lost_step_is_computed_by_whoever_is_idle_and_its_budget_grows() -> None:
    told = Told(ALONE[2])
    told.join("a")
    told.join("b")
    assert told.steps[0, 1].losses == 0
    told.handle(WorkerLost("a", blamed=True))
    assert told.done("b", 1, 1) == [("advance", "b", 0, 1)]
    assert told.steps[0, 1].losses == 1


def test_a_step_lost_twice_goes_to_a_fresh_worker_only() -> None:
    told = Told(ALONE[2])
    told.join("a")
    told.join("b")
    told.handle(WorkerLost("a", blamed=True))
    told.done("b", 1, 1)
    assert told.join("c") == [("advance", "c", 1, 2)]
    assert told.handle(WorkerLost("b", blamed=True)) == []
    assert told.done("c", 1, 2) == [("renew", "c")]  # it has computed something, and nobody else is idle
    assert told.machine.running() == {}
    assert told.join("d") == [("advance", "d", 0, 1)]
    assert told.steps[0, 1].losses == 2
    assert told.join("e") == [("advance", "e", 1, 3)]


def test_no_more_workers_are_renewed_than_there_are_suspects() -> None:
    told = Told(ALONE[3], target=1)
    die(told, "a", "b")
    for worker in "cde":
        told.join(worker)
    told.handle(WorkerLost("c"))  # the suspect's, of nothing that it did
    assert told.done("d", 1, 1) == [("renew", "d")]
    assert told.done("e", 2, 1) == []  # goes on: a fresh one is coming
    assert told.join("f") == [("advance", "f", 0, 1)]


def test_after_three_more_deaths_in_a_fresh_worker_the_run_pauses() -> None:
    told = Told(ALONE[2], target=1)
    assert die(told, "a", "b", "c", "d") == []
    told.join("e")
    commands = told.machine.handle(WorkerLost("e", blamed=True))
    assert brief(commands) == [("pause", 0, 1)]
    assert commands[0] == Pause(0, 1, None, [], 5)
    assert told.join("f") == []
    assert told.done("e", 0, 1) == []


def test_the_pause_names_the_state_and_the_immigrants_of_the_step() -> None:
    told = Told(RING[2], target=2)
    for island in (0, 1):
        told.join(f"early-{island}")
    told.done("early-0", 0, 1)
    told.done("early-1", 1, 1)
    for worker in ("early-0", "early-1"):
        told.handle(WorkerLost(worker))
    told.handle(CommitDone(1))
    for worker in "abcd":
        told.join(worker)
        told.handle(WorkerLost(worker, blamed=True))
    told.join("e")
    (pause,) = told.machine.handle(WorkerLost("e", blamed=True))
    assert isinstance(pause, Pause)
    assert pause.state is told.states[0, 1]
    assert same_immigrants(pause.immigrants, told.steps[0, 2].immigrants)


def test_losses_that_are_not_the_steps_doing_never_pause() -> None:
    told = Told(ALONE[1], target=1)
    for number in range(30):
        told.join(f"worker-{number}")
        assert told.handle(WorkerLost(f"worker-{number}")) == []
    assert told.join("last") == [("advance", "last", 0, 1)]
    assert told.steps[0, 1].losses == 0


def test_a_step_that_is_done_after_all_is_forgiven() -> None:
    told = Told(ALONE[1], target=3)
    die(told, "a", "b", "c", "d")
    told.join("e")
    assert told.done("e", 0, 1) == [("advance", "e", 0, 2), ("commit", 1)]
    assert told.handle(WorkerLost("e", blamed=True)) == []
    told.handle(CommitDone(1))
    assert told.join("f") == [("advance", "f", 0, 2)]
    assert told.steps[0, 2].losses == 1


def test_a_late_answer_of_one_that_was_given_up_saves_the_step() -> None:
    told = Told(ALONE[1], target=1)
    die(told, "a", "b", "c", "d")
    told.join("e")
    assert told.done("a", 0, 1) == [("commit", 1)]
    assert told.handle(WorkerLost("e", blamed=True)) == []
    assert told.handle(CommitDone(1)) == [("halt",)]


def test_a_commit_that_is_being_written_is_waited_for_before_the_pause() -> None:
    told = Told(ALONE[1], target=2)
    told.join("a")
    assert told.done("a", 0, 1) == [("advance", "a", 0, 2), ("commit", 1)]
    told.handle(WorkerLost("a", blamed=True))
    assert die(told, "b", "c", "d", "e") == []
    assert told.join("f") == []
    assert told.handle(CommitDone(1)) == [("pause", 0, 2)]


# Stopping


def test_stop_now_halts_at_the_last_commit_whatever_is_under_way() -> None:
    told = Told(ALONE[2], target=5)
    told.join("a")
    told.join("b")
    told.done("a", 0, 1)
    assert told.handle(StopAsked(finish_epoch=False)) == [("halt",)]
    assert told.done("b", 1, 1) == []
    assert told.commits == []


def test_stop_now_waits_for_a_commit_that_is_being_written() -> None:
    told = Told(ALONE[1], target=5)
    told.join("a")
    assert told.done("a", 0, 1) == [("advance", "a", 0, 2), ("commit", 1)]
    assert told.handle(StopAsked(finish_epoch=False)) == []
    assert told.handle(CommitDone(1)) == [("halt",)]


def test_stop_finishes_the_epoch_that_is_under_way_and_starts_no_later_one() -> None:
    told = Told(ALONE[2], target=5)
    told.join("a")
    told.join("b")
    told.done("a", 0, 1)  # epoch 2 of island 0 has begun
    assert told.handle(StopAsked(finish_epoch=True)) == []
    assert told.done("a", 0, 2) == []
    assert told.done("b", 1, 1) == [("commit", 1)]
    assert told.handle(CommitDone(1)) == [("halt",)]


def test_stop_halts_at_once_where_nothing_is_under_way() -> None:
    assert Told(ALONE[2], target=5).handle(StopAsked(finish_epoch=True)) == [("halt",)]


def test_stop_never_raises_the_target() -> None:
    told = Told(ALONE[1], target=1)
    told.join("a")
    told.handle(StopAsked(finish_epoch=True))
    told.handle(StopAsked(finish_epoch=True))
    assert told.done("a", 0, 1) == [("commit", 1)]
    assert told.handle(CommitDone(1)) == [("halt",)]


def test_lost_island_is_replayed_also_when_the_campaign_is_to_stop() -> None:
    told = Told(ALONE[2], target=5)
    told.join("a")
    told.join("b")
    told.handle(StopAsked(finish_epoch=True))
    told.handle(WorkerLost("a"))
    assert told.done("b", 1, 1) == [("advance", "b", 0, 1)]
    assert told.done("b", 0, 1) == [("commit", 1)]
    assert told.handle(CommitDone(1)) == [("halt",)]


# Whatever happens

TARGET = 5
COMPLETE = ((1, 2), (0, 2), (0, 1))
WAYS = {  # neighbours, delay, interval
    "ring of 3": (RING[3], 1, 1),
    "ring of 4, delay 2": (RING[4], 2, 1),
    "diamond": (DIAMOND, 1, 1),
    "alone": (ALONE[3], 1, 1),
    "complete, delay 3": (COMPLETE, 3, 1),
    "complete, interval 2": (COMPLETE, 1, 2),
    "ring of 3, interval 3, delay 2": (RING[3], 2, 3),
    "diamond, interval 2, delay 3": (DIAMOND, 3, 2),
}


@dataclass
class Simulation:
    """A runtime in which anything may happen at any time: a seeded choice picks what happens next."""

    neighbours: tuple[tuple[int, ...], ...]
    delay: int
    interval: int
    choose: Callable[[int], int]
    seen: Counter[str] = field(default_factory=Counter)
    steps: list[Advance] = field(default_factory=list)  # under way, also at workers that were given up
    held: dict[str, dict[int, Answer]] = field(default_factory=dict)  # what each living worker last answered
    answered: list[tuple[str, Answer]] = field(default_factory=list)
    unwritten: Commit | None = None
    commits: list[Commit] = field(default_factory=list)
    immigrants: dict[tuple[int, int], list[Immigrants]] = field(default_factory=dict)
    halted: bool = False
    born: int = 0

    def __post_init__(self) -> None:
        self.machine = Machine(self.neighbours, self.delay, TARGET, self.interval)

    def run(self, happenings: int) -> list[Commit]:
        for _ in range(happenings):
            if not self.halted:
                kinds = (self.join, self.compute, self.compute, self.compute, self.write, self.lose, self.repeat, self.restart)
                kinds[self.choose(len(kinds))]()
        for _ in range(1_000):  # calm at the end
            if self.halted:
                return self.commits
            self.join() if not self.held else self.write() if self.unwritten else self.compute()
        raise AssertionError("the machine goes on forever, or has forgotten a step")

    def handle(self, event: Any) -> None:
        for command in self.machine.handle(event):
            match command:
                case Advance():
                    self.start(command)
                case Commit():
                    assert self.unwritten is None
                    self.unwritten = command
                case Halt():
                    self.halted = True

    def start(self, step: Advance) -> None:
        assert step.worker in self.held
        assert len(self.commits) < step.epoch <= min(TARGET, len(self.commits) + MAX_LEAD)
        key = (step.island, step.epoch)
        running = self.machine.running()
        assert list(running.values()).count(key) == 1
        assert running[step.worker] == key
        if step.state is None and step.epoch > 1:
            assert self.held[step.worker][step.island].epoch == step.epoch - 1
        if key in self.immigrants:
            self.seen["replayed"] += 1
            assert same_immigrants(self.immigrants[key], step.immigrants)
        self.immigrants[key] = step.immigrants
        self.steps.append(step)

    # What may happen

    def join(self) -> None:
        if len(self.held) < 4:
            self.born += 1
            name = f"worker-{self.born}"
            self.held[name] = {}
            self.handle(WorkerJoined(name))

    def compute(self) -> None:
        if not self.steps:
            return
        step = self.steps.pop(self.choose(len(self.steps)))
        state = step.state
        if step.worker in self.held and state is None and step.epoch > 1:
            state = self.held[step.worker][step.island].state
        elif step.worker not in self.held:
            if step.state is None and step.epoch > 1:
                return  # it died, and what it held with it
            self.seen["answered after it was given up"] += 1
        answer = fake_answer(step.island, step.epoch, state, step.immigrants)
        self.held.get(step.worker, {})[step.island] = answer
        self.answered.append((step.worker, answer))
        self.handle(StepDone(step.worker, answer))

    def write(self) -> None:
        if self.unwritten is not None:
            self.commits.append(self.unwritten)
            self.unwritten = None
            self.handle(CommitDone(self.commits[-1].epoch))

    def lose(self) -> None:
        if self.held:
            name = list(self.held)[self.choose(len(self.held))]
            before = len(self.machine.lost)
            busy = name in self.machine.running()
            del self.held[name]
            self.handle(WorkerLost(name))
            assert len(self.machine.lost) == before + busy
            self.seen["lost at work"] += busy

    def repeat(self) -> None:
        if self.answered:
            self.seen["repeated"] += 1
            self.handle(StepDone(*self.answered[self.choose(len(self.answered))]))

    def restart(self) -> None:
        """The coordinator dies with everything it had in mind; what is committed stays."""
        if self.choose(4):
            return
        last = self.commits[-1] if self.commits else None
        self.machine = Machine(
            self.neighbours,
            self.delay,
            TARGET,
            interval=self.interval,
            committed=len(self.commits),
            states=[answer.state for answer in last.answers] if last else (),
            emigrants=last.emigrants if last else None,
        )
        self.steps, self.held, self.answered, self.unwritten = [], {}, [], None
        self.seen["restarted"] += 1


@pytest.mark.parametrize("way", thinned(WAYS, *list(WAYS)[:2]))
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_in_whatever_order_the_steps_are_completed_the_commits_are_the_same(way: str, data: st.DataObject) -> None:
    neighbours, delay, interval = WAYS[way]
    calm = Told(neighbours, delay, TARGET, interval=interval)
    play_all(calm)
    told = Told(neighbours, delay, TARGET, interval=interval)
    unwritten: list[int] = []
    for worker in range(data.draw(st.integers(1, len(neighbours)), label="workers")):
        told.join(f"worker-{worker}")
    while told.machine.committed < TARGET:
        running = sorted(told.machine.running().items())
        unwritten += [commit.epoch for commit in told.commits[told.machine.committed + len(unwritten) :]]
        if unwritten and (not running or data.draw(st.booleans(), label="write")):
            told.handle(CommitDone(unwritten.pop()))
        else:
            worker, (island, epoch) = data.draw(st.sampled_from(running), label="done")
            told.done(worker, island, epoch)
    assert [commit.epoch for commit in told.commits] == list(range(1, TARGET + 1))
    assert links(told.commits) == links(calm.commits)
    for ours, theirs in zip(told.commits, calm.commits, strict=True):
        assert [a.arrivals for a in ours.answers] == [a.arrivals for a in theirs.answers]
        assert {k: d.canonical() for k, d in ours.emigrants.items()} == {k: d.canonical() for k, d in theirs.emigrants.items()}


@pytest.mark.slow
@pytest.mark.parametrize("way", thinned(WAYS, *list(WAYS)[:2]))
def test_whatever_happens_the_digests_are_the_same(way: str) -> None:
    neighbours, delay, interval = WAYS[way]
    calm = Told(neighbours, delay, TARGET, interval=interval)
    play_all(calm)
    expected = links(calm.commits)
    assert len(expected) == TARGET
    seen: Counter[str] = Counter()

    @settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1), st.integers(0, 150))
    def simulate(seed: int, happenings: int) -> None:
        rng = np.random.default_rng(seed)
        simulation = Simulation(neighbours, delay, interval, lambda n: int(rng.integers(n)))
        commits = simulation.run(happenings)
        assert links(commits) == expected
        seen.update(simulation.seen)

    simulate()
    landed = {"lost at work", "repeated", "restarted", "replayed", "answered after it was given up"}
    assert {what for what in landed if seen[what] < 10} == set()


def test_fake_islands_feel_every_immigrant() -> None:
    """The test above is worth what its stand-in notices."""
    deme = a_deme()
    group = Immigrants(1, deme.families, deme.genomes, deme.births)
    moved = Immigrants(1, deme.families, deme.genomes[::-1].copy(), deme.births)
    state = IslandState(deme, Deme.empty(2))
    answers = [fake_answer(0, 2, state, arriving) for arriving in ([], [group], [moved], [group, group])]
    assert len({answer_digest(answer) for answer in answers}) == 4
