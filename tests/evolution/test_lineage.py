"""What holds of everything at once: who descends from whom, births, and one result whoever computes it."""

from __future__ import annotations

import dataclasses
import itertools
import random
from typing import Any

import numpy as np
import pytest
from worlds import in_another_process, links, play, tiny_world

from islands.archipelago.machine import Advance, Commit, CommitDone, Machine, StepDone, WorkerJoined, answer_digest
from islands.evolution.breeding import breed
from islands.evolution.deme import (
    COPY,
    CROSSOVER,
    CROSSOVER_MUTATION,
    FOUNDER,
    IMMIGRANT,
    MUTATION,
    NOBODY,
    ORIGINS,
    RESET,
    Deme,
    Trials,
)
from islands.evolution.island import IslandState, advance_epoch
from islands.evolution.migration import ACCEPTED
from islands.evolution.world import World

EVERYTHING: dict[str, Any] = {
    "instruments": {"a": {}, "b": {"costs": {"fee": 5e-4, "slippage": 1e-4}}, "c": {}},
    "pooling": {"rule": "quantile", "quantile": 0.25},
    "objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}],
    "limits": {"max_drawdown": 0.5},
    "evolution": {"population": 12, "epochs": 8, "generations_per_epoch": 2},
    "evolution.selection": {"operator": "selTournamentDCD"},
    "archipelago.islands": [
        {},
        {"families": ["sma_trend", "ema_crossover"], "population": 16, "survival": {"rule": "generational", "elites": 2}},
        {"instruments": ["b", "c"], "mutation": {"rate": 0.9}},
        {"train": [0.0, 0.6], "selection": {"operator": "selTournament", "tournsize": 2}},
        {"train": [0.4, 1.0]},
        {"crossover": {"operator": "cxBlend", "alpha": 0.3}},
    ],
    "archipelago.topology": {"name": "edges", "edges": [[0, 1], [1, 2, 0.5], [2, 3], [3, 4], [4, 5], [5, 0], [0, 3, 0.7]]},
    "migration": {"emigrants": 2, "selection": "distance", "replacement": "similar", "delay": 2},
    "stagnation": [{"rule": "reset", "epochs": 2}, {"rule": "mutate", "epochs": 1}],
}
"""Every rule at once. An island resets after two epochs without improvement, which happens within eight."""

EPOCHS = 8
Birth = tuple[int, ...]


@pytest.fixture(scope="module")
def world() -> World:
    return tiny_world(EVERYTHING)


@pytest.fixture(scope="module")
def commits(world: World) -> list[Commit]:
    return play(world, EPOCHS)


def births(deme: Deme) -> list[Birth]:
    return [tuple(birth) for birth in deme.births.tolist()]


def tried(commits: list[Commit]) -> list[tuple[int, Trials]]:
    return [(answer.island, answer.trials) for commit in commits for answer in commit.answers]


# Lineage


def test_every_origin_occurs_but_the_copy_which_is_no_new_genome(commits: list[Commit]) -> None:
    found = {origin for _, trials in tried(commits) for origin in trials.origins.tolist()}
    assert {ORIGINS[origin] for origin in found} == set(ORIGINS) - {ORIGINS[COPY]}


def test_birth_of_a_trial_belongs_to_one_genome_and_is_given_once(commits: list[Commit]) -> None:
    genome_of: dict[Birth, tuple[int, bytes]] = {}
    for island, trials in tried(commits):
        for origin, birth, key in zip(trials.origins.tolist(), births(trials.deme), trials.deme.keys(), strict=True):
            if origin == IMMIGRANT:
                assert birth[0] != island
                assert genome_of[birth] == key  # whoever arrives was tried where he comes from
            else:
                assert birth[0] == island
                assert birth not in genome_of
                genome_of[birth] = key
    everybody = [deme for c in commits for a in c.answers for deme in (a.state.deme, a.state.hall_of_fame, a.emigrants)]
    for deme in everybody:
        assert all(genome_of[birth] == key for birth, key in zip(births(deme), deme.keys(), strict=True))


def test_parents_of_a_trial_were_tried_before_it(commits: list[Commit]) -> None:
    known, reset = set[Birth](), set[Birth]()  # those of a reset are parents in the generation that they are born in
    for commit in commits:
        for answer in commit.answers:
            own = answer.trials
            # an island's trials stand in the order in which they were scored
            for origin, birth, parents in zip(own.origins.tolist(), births(own.deme), own.parents.tolist(), strict=True):
                first, second = tuple(parents[:3]), tuple(parents[3:])
                if origin in (FOUNDER, IMMIGRANT):
                    assert (first, second) == (NOBODY, NOBODY)
                else:
                    assert first in known
                    assert second == NOBODY or second in known
                    assert (second != NOBODY) == (origin in (CROSSOVER, CROSSOVER_MUTATION))
                    assert first[1] < birth[1] or (first[1] == birth[1] and first in reset)
                known.add(birth)
                reset |= {birth} if origin == RESET else set()


def test_parents_are_of_the_same_family(commits: list[Commit]) -> None:
    family: dict[Birth, int] = {}
    pairs = 0
    for _, trials in tried(commits):
        family |= dict(zip(births(trials.deme), trials.deme.families.tolist(), strict=True))
        for birth, parents in zip(births(trials.deme), trials.parents.tolist(), strict=True):
            for parent in (tuple(parents[:3]), tuple(parents[3:])):
                if parent != NOBODY:
                    assert family[parent] == family[birth]
                    pairs += 1
    assert pairs > 100


def test_accepted_arrivals_are_the_trials_that_are_immigrants(commits: list[Commit]) -> None:
    for commit in commits:
        for answer in commit.answers:
            told = [(a.family, a.birth, repr(a.scores)) for a in answer.arrivals if a.outcome == ACCEPTED]
            guests = answer.trials.deme.take(np.flatnonzero(answer.trials.origins == IMMIGRANT))
            scores = [repr(tuple(row)) for row in guests.scores.tolist()]
            assert told == list(zip(guests.families.tolist(), births(guests), scores, strict=True))


def test_whoever_is_replaced_was_there_and_is_told_by_his_birth(commits: list[Commit]) -> None:
    for before, after in itertools.pairwise(commits):
        for old, new in zip(before.answers, after.answers, strict=True):
            there = births(old.state.deme)
            replaced = [a.replaced for a in new.arrivals if a.replaced is not None]
            assert all(replaced.count(birth) <= there.count(birth) for birth in replaced)


def test_copies_keep_the_birth_of_their_genome(commits: list[Commit]) -> None:
    for commit in commits:
        for answer in commit.answers:
            deme = answer.state.deme
            born = dict(zip(deme.keys(), births(deme), strict=True))
            assert all(born[key] == birth for key, birth in zip(deme.keys(), births(deme), strict=True))
    few = {"fast": [2, 3], "slow": [10, 11], "direction": "long"}
    copies = play(tiny_world({"families": [{"name": "sma_trend", "genes": few}], "archipelago.islands": 1}), 3)
    for commit in copies:  # four genomes on twelve places
        deme = commit.answers[0].state.deme
        assert (len(deme), len(set(deme.keys())), len(set(births(deme)))) == (12, 4, 4)


def test_a_genome_is_tried_once_an_epoch_and_never_while_the_deme_holds_it(commits: list[Commit]) -> None:
    for before, after in itertools.pairwise(commits):
        for old, new in zip(before.answers, after.answers, strict=True):
            keys = new.trials.deme.keys()
            assert len(set(keys)) == len(keys)
            assert set(keys).isdisjoint(old.state.deme.keys())


PAIRS = {"evolution.crossover": {"operator": "cxUniform", "rate": 1.0, "indpb": 0.5}}


@pytest.mark.parametrize("operator", ["cxUniform", "odd_operators:swapped"])
def test_two_children_of_a_pair_name_each_other_s_first_parent_as_their_second(operator: str) -> None:
    parameters = {"indpb": 0.5} if operator == "cxUniform" else {}
    crossover = {"evolution.crossover": {"operator": operator, "rate": 1.0, **parameters}}
    world = tiny_world({**crossover, "evolution.mutation": {"operator": "mutFlipBit", "rate": 0.0, "indpb": 0.5}})
    deme = advance_epoch(tiny_world(), 0, 1, None, []).state.deme
    for generation in range(5, 10):
        children = breed(world, 0, generation, deme)
        for family in np.unique(children.families).tolist():
            own = children.parents[children.families == family]
            paired = len(own) // 2 * 2
            assert own[0:paired:2, :3].tolist() == own[1:paired:2, 3:].tolist()
            assert own[0:paired:2, 3:].tolist() == own[1:paired:2, :3].tolist()
            assert (own[paired:, 3:] == -1).all()  # one is left without a mate


@pytest.mark.parametrize(
    "operator", [{"operator": "mutFlipBit", "indpb": 0.5}, {"operator": "odd_operators:outside", "distance": 0.1}]
)
def test_child_of_two_that_is_mutated_keeps_both_parents(operator: dict[str, Any]) -> None:
    """Also where the operator returns a list of its own."""
    world = tiny_world({**PAIRS, "evolution.mutation": {**operator, "rate": 1.0}})
    deme = advance_epoch(tiny_world(), 0, 1, None, []).state.deme
    children = breed(world, 0, 5, deme)
    mated = (children.parents[:, 3:] != -1).all(axis=1)
    assert children.origins.tolist() == [CROSSOVER_MUTATION if two else MUTATION for two in mated]
    assert int(np.sum(~mated)) == sum(int(n) % 2 for n in np.unique(children.families, return_counts=True)[1])


def test_origins_and_parents_are_part_of_the_digest(commits: list[Commit]) -> None:
    answer = commits[1].answers[0]
    own = answer.trials
    changed = [Trials(own.deme, own.origins, own.parents + 1), Trials(own.deme, own.origins * 0, own.parents)]
    digests = {answer_digest(answer), *(answer_digest(dataclasses.replace(answer, trials=trials)) for trials in changed)}
    assert len(digests) == 3


# Purity


@pytest.mark.slow
def test_the_same_world_gives_the_same_commits_again(world: World, commits: list[Commit]) -> None:
    assert links(play(tiny_world(EVERYTHING), EPOCHS)) == links(commits)
    again = play(world, 2)
    for one, other in zip(commits, again, strict=False):
        for a, b in zip(one.answers, other.answers, strict=True):
            assert repr((a.arrivals, a.generations)) == repr((b.arrivals, b.generations))


@pytest.mark.slow
def test_another_process_with_other_hashes_gives_the_same_commits(commits: list[Commit]) -> None:
    code = "from worlds import *; from test_lineage import EVERYTHING; print(links(play(tiny_world(EVERYTHING), 3))[-1])"
    here = "import sys, pathlib; sys.path.append(str(pathlib.Path(worlds.__file__).parent / 'evolution'))"
    assert in_another_process(f"import worlds; {here}; {code}", PYTHONHASHSEED="1") == links(commits)[2]


@pytest.mark.parametrize("order", [1, 2])
def test_any_number_of_workers_in_any_order_gives_the_same_commits(order: int, world: World, commits: list[Commit]) -> None:
    assert links(shuffled(world, 4, workers=4, order=order)) == links(commits)[:4]


def shuffled(world: World, epochs: int, workers: int, order: int) -> list[Commit]:
    """The commits where whichever worker is next to finish is left to chance."""
    chance = random.Random(order)
    migration = world.spec.migration
    machine = Machine(world.topology.senders, migration.delay, epochs, migration.interval)
    states: dict[int, IslandState] = {}
    waiting, done = list[Advance](), list[Commit]()
    commands = [command for i in range(workers) for command in machine.handle(WorkerJoined(str(i)))]
    while commands or waiting:
        while commands:
            match commands.pop(0):
                case Advance() as step:
                    waiting.append(step)
                case Commit() as commit:
                    done.append(commit)
                    commands += machine.handle(CommitDone(commit.epoch))
        if waiting:
            step = waiting.pop(chance.randrange(len(waiting)))
            answer = advance_epoch(world, step.island, step.epoch, step.state or states.get(step.island), step.immigrants)
            states[step.island] = answer.state
            commands += machine.handle(StepDone(step.worker, answer))
    return done
