"""One epoch of one island: pure, counted, and ruled by every parameter of the spec."""

from __future__ import annotations

import ast
import dataclasses
import functools
import math
from typing import Any

import numpy as np
import pytest
from worlds import in_another_process, links, play, tiny_world, values

import islands as isl
from islands.archipelago.machine import answer_digest
from islands.evolution.deme import Deme
from islands.evolution.island import Answer, IslandState, advance_epoch, survive
from islands.evolution.migration import Immigrants, as_immigrants
from islands.evolution.ranking import best_distinct, order
from islands.evolution.world import World

MAX = np.array([1.0])


def second_epoch(world: World) -> tuple[Answer, list[Immigrants]]:
    """Island 0 after epoch 1, and what arrives there from island 2."""
    return advance_epoch(world, 0, 1, None, []), [as_immigrants(2, advance_epoch(world, 2, 1, None, []).emigrants)]


def digests(answer: Answer) -> str:
    return answer_digest(answer).hex()


# Purity


def test_an_epoch_gives_the_same_answer_again_and_changes_none_of_its_arguments() -> None:
    world = tiny_world()
    first, arriving = second_epoch(world)
    before = (first.state.deme.canonical(), first.state.hall_of_fame.canonical(), arriving[0].genomes.tobytes())
    once = advance_epoch(world, 0, 2, first.state, arriving)
    assert (first.state.deme.canonical(), first.state.hall_of_fame.canonical(), arriving[0].genomes.tobytes()) == before
    again = advance_epoch(tiny_world(), 0, 2, first.state, arriving)
    assert digests(once) == digests(again)
    assert repr(once.generations) == repr(again.generations)  # by their words: NaN equals nothing
    assert repr(once.arrivals) == repr(again.arrivals)


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_gives_the_same_answer(hash_seed: str) -> None:
    code = "from worlds import *; print(links(play(tiny_world(), 2))[-1])"
    assert in_another_process(code, PYTHONHASHSEED=hash_seed) == links(play(tiny_world(), 2))[-1]


def test_columns_of_an_answer_are_read_only() -> None:
    answer = advance_epoch(tiny_world(), 0, 1, None, [])
    for deme in (answer.state.deme, answer.state.hall_of_fame, answer.emigrants, answer.trials.deme):
        for column in (deme.families, deme.genomes, deme.scores, deme.births):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0


@pytest.mark.parametrize("part", ["island", "epoch", "immigrants", "deme", "hall_of_fame"])
def test_every_argument_changes_the_answer(part: str) -> None:
    world = tiny_world()
    first, arriving = second_epoch(world)
    here = advance_epoch(world, 0, 2, first.state, arriving)
    other = {
        "island": lambda: advance_epoch(world, 1, 2, first.state, arriving),
        "epoch": lambda: advance_epoch(world, 0, 3, first.state, arriving),
        "immigrants": lambda: advance_epoch(world, 0, 2, first.state, []),
        "deme": lambda: advance_epoch(
            world, 0, 2, dataclasses.replace(first.state, deme=first.state.deme.take(range(11, -1, -1))), arriving
        ),
        "hall_of_fame": lambda: advance_epoch(
            world, 0, 2, dataclasses.replace(first.state, hall_of_fame=first.state.hall_of_fame.take([])), arriving
        ),
    }
    assert digests(other[part]()) != digests(here)


# Founding


def test_founders_are_families_in_turn_and_born_on_their_island_in_generation_0() -> None:
    world = tiny_world({"evolution.population": 7, "evolution.generations_per_epoch": 1})
    founders = advance_epoch(world, 1, 1, None, []).trials.deme.take(range(7))
    assert founders.families.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert founders.births.tolist() == [[1, 0, slot] for slot in range(7)]


def test_initial_strategies_stand_first_in_generation_0_of_every_island_that_holds_their_family() -> None:
    initial = [
        {"family": "sma_trend", "fast": 5, "slow": 40, "direction": "long"},
        {"family": "rsi_mean_reversion", "period": 9},
    ]
    islands = [["sma_trend"], ["rsi_mean_reversion", "sma_trend"], ["ema_crossover"]]
    world = tiny_world({"initial": initial, "archipelago.islands": islands, "archipelago.topology": "none"})
    known = [
        isl.Strategy("sma_trend", fast=5, slow=40, direction="long"),
        isl.Strategy("rsi_mean_reversion", period=9),
    ]
    expected = {0: known[:1], 1: known, 2: []}
    for island, strategies in expected.items():
        trials = advance_epoch(world, island, 1, None, []).trials.deme
        founders = trials.take(np.flatnonzero(trials.births[:, 1] == 0))
        first = founders.take(range(len(strategies)))
        assert [world.strategy(int(f), g) for f, g in zip(first.families, first.genomes, strict=True)] == strategies
        found = [world.strategy(int(f), g) for f, g in zip(founders.families, founders.genomes, strict=True)]
        assert [strategy in found for strategy in known] == [strategy in strategies for strategy in known]


def test_island_that_holds_one_family_breeds_no_other() -> None:
    islands = [["sma_trend"], ["sma_trend", "ema_crossover"]]
    commits = play(tiny_world({"archipelago.islands": islands}), 3)
    assert {f for commit in commits for f in commit.answers[0].state.deme.families.tolist()} == {1}
    assert {f for commit in commits for f in commit.answers[0].trials.deme.families.tolist()} == {1}
    assert {f for commit in commits for f in commit.answers[1].trials.deme.families.tolist()} == {0, 1}


# Trials


def test_trials_are_exactly_the_distinct_genomes_that_the_deme_did_not_hold() -> None:
    world = tiny_world()
    first, arriving = second_epoch(world)
    answer = advance_epoch(world, 0, 2, first.state, arriving)
    keys, held = answer.trials.deme.keys(), set(first.state.deme.keys())
    assert len(set(keys)) == len(keys) > 0
    assert held.isdisjoint(keys)
    assert set(answer.state.deme.keys()) <= held | set(keys)
    assert set(answer.state.hall_of_fame.keys()) <= set(first.state.hall_of_fame.keys()) | set(keys)


def test_trials_hold_every_founder_once_in_the_first_epoch() -> None:
    genes = {"fast": [2, 3], "slow": [10, 11], "direction": "long"}
    world = tiny_world({"families": [{"name": "sma_trend", "genes": genes}], "evolution.generations_per_epoch": 20})
    answer = advance_epoch(world, 0, 1, None, [])
    assert sorted(map(tuple, answer.trials.deme.genomes.tolist())) == [(f, s, 0.0) for f in (2.0, 3.0) for s in (10.0, 11.0)]
    assert len(answer.state.deme) == 12


def test_scores_of_trials_and_deme_are_the_scores_of_their_genomes() -> None:
    world = tiny_world()
    first, arriving = second_epoch(world)
    answer = advance_epoch(world, 0, 2, first.state, arriving)
    for deme in (answer.trials.deme, answer.state.deme, answer.state.hall_of_fame, answer.emigrants):
        np.testing.assert_array_equal(deme.scores, world.score(world.habitats[0].markets, deme.families, deme.genomes))


def test_generations_are_counted_on_over_epochs_with_their_own_trials() -> None:
    world = tiny_world()
    first, arriving = second_epoch(world)
    second = advance_epoch(world, 0, 2, first.state, arriving)
    assert [record.generation for record in first.generations] == [0, 1, 2]
    assert [record.generation for record in second.generations] == [3, 4]
    assert sum(record.trials for record in first.generations) == len(first.trials)
    accepted = sum(arrival.replaced is not None for arrival in second.arrivals)
    assert accepted == 2
    assert sum(record.trials for record in second.generations) + accepted == len(second.trials)
    born = second.trials.deme.births
    assert [int(np.sum((born[:, 0] == 0) & (born[:, 1] == g))) for g in (3, 4)] == [r.trials for r in second.generations]


def test_record_of_a_generation_is_taken_over_the_feasible() -> None:
    world = tiny_world({"limits.min_trades": 60})
    answer = advance_epoch(world, 0, 1, None, [])
    scores, record = answer.state.deme.scores, answer.generations[-1]
    feasible = scores[scores[:, 1] == 0.0, 0]
    assert 0 < len(feasible) < 12
    assert (record.best, record.median, record.feasible) == ((feasible.max(),), (np.median(feasible),), len(feasible))
    assert record.diversity > 0.0


def test_record_of_a_generation_without_anyone_feasible_has_no_best() -> None:
    record = advance_epoch(tiny_world({"limits.min_trades": 10_000}), 0, 1, None, []).generations[-1]
    assert (math.isnan(record.best[0]), math.isnan(record.median[0]), record.feasible) == (True, True, 0)


def test_negative_zero_makes_no_other_genome() -> None:
    one, other = scored([0.0], [0.5], 1), scored([-0.0], [0.5], 1)
    assert one.genomes.tobytes() != other.genomes.tobytes()
    assert one.keys() == other.keys()
    assert len(best_distinct(one.join(other), 2, MAX)) == 1


# Survival


def scored(genes: list[float], scores: list[float], generation: int, violations: list[float] | None = None) -> Deme:
    """Individuals of sma_trend, told apart by their first gene."""
    count = len(genes)
    genomes = np.full((count, 4), np.nan)
    genomes[:, :3] = np.column_stack([genes, np.full(count, 50.0), np.zeros(count)])
    births = np.column_stack([np.zeros(count), np.full(count, generation), np.arange(count)])
    return Deme(np.ones(count), genomes, np.column_stack([scores, violations or np.zeros(count)]), births)


PARENTS = ([2, 3, 4], [0.9, 0.5, 0.1])
CHILDREN = ([5, 6, 7], [0.8, 0.3, 0.2])

SURVIVAL = {
    "plus keeps the best of both": ({}, PARENTS, CHILDREN, [2, 5, 3]),
    "generational keeps the children": ({"rule": "generational"}, PARENTS, CHILDREN, [5, 6, 7]),
    "one elite is the best parent": ({"rule": "generational", "elites": 1}, PARENTS, CHILDREN, [2, 5, 6]),
    "two elites are the two best parents": ({"rule": "generational", "elites": 2}, PARENTS, CHILDREN, [2, 3, 5]),
    "distinct ones come before copies under plus": ({}, PARENTS, ([2, 2, 7], [0.9, 0.9, 0.2]), [2, 3, 7]),
    "distinct ones come before copies of elites": (
        {"rule": "generational", "elites": 1},
        PARENTS,
        ([2, 2, 7], [0.9, 0.9, 0.2]),
        [2, 7, 2],
    ),
    "copies fill up where distinct ones run out": ({}, ([2, 2, 2], [0.9] * 3), ([3, 2, 2], [0.1, 0.9, 0.9]), [2, 3, 2]),
    "elites are distinct": ({"rule": "generational", "elites": 2}, ([2, 2, 4], [0.9, 0.9, 0.1]), CHILDREN, [2, 4, 5]),
}


@pytest.mark.parametrize("case", list(SURVIVAL))
def test_who_survives(case: str) -> None:
    survival, parents, children, expected = SURVIVAL[case]
    world = tiny_world({"evolution.survival": survival})
    kept = survive(world, 0, scored(*parents, generation=0), scored(*children, generation=1))
    assert kept.genomes[:, 0].tolist() == expected


def test_equals_survive_in_the_order_of_their_births() -> None:
    kept = survive(tiny_world(), 0, scored([2, 3, 4], [0.5] * 3, 1), scored([5, 6, 7], [0.5] * 3, 0))
    assert kept.genomes[:, 0].tolist() == [5, 6, 7]


def test_feasible_losers_survive_infeasible_winners() -> None:
    parents = scored([2, 3, 4], [9.0, 8.0, np.nan], 0, [0.5, 0.25, np.inf])
    children = scored([5, 6, 7], [-1.0, -9.0, 7.0], 1, [0.0, 0.0, 0.75])
    assert survive(tiny_world(), 0, parents, children).genomes[:, 0].tolist() == [5, 6, 3]


def test_survivors_keep_their_births() -> None:
    kept = survive(tiny_world(), 0, scored(*PARENTS, generation=3), scored(*CHILDREN, generation=4))
    assert kept.births.tolist() == [[0, 3, 0], [0, 4, 0], [0, 3, 1]]


def test_minimum_is_what_survives_where_the_goal_is_one() -> None:
    kept = survive(tiny_world({"objective.goal": "min"}), 0, scored(*PARENTS, generation=0), scored(*CHILDREN, generation=1))
    assert kept.genomes[:, 0].tolist() == [4, 7, 6]


# Hall of fame


def test_hall_of_fame_holds_the_best_distinct_feasible_trials_of_all_epochs() -> None:
    commits = play(tiny_world({"limits.min_trades": 20, "evolution.survival": {"rule": "generational"}}), 4)
    for island in range(3):
        everyone = Deme.empty(4).join(*(commit.answers[island].trials.deme for commit in commits))
        feasible = everyone.take(np.flatnonzero(everyone.scores[:, 1] == 0.0))
        assert 5 < len(feasible) < len(everyone)
        best: dict[tuple[int, bytes], float] = {}
        for row in order(feasible, MAX).tolist():
            best.setdefault(feasible.keys()[row], feasible.scores[row, 0])
        hall = commits[-1].answers[island].state.hall_of_fame
        assert list(zip(hall.keys(), hall.scores[:, 0].tolist(), strict=True)) == list(best.items())[:5]


def test_hall_of_fame_of_several_objectives_holds_as_many_as_a_deme_best_first() -> None:
    objectives = {"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]}
    commits = play(tiny_world({**objectives, "champions": 2, "archipelago.topology": "none"}), 2)
    first = commits[0].answers[0]
    feasible = first.trials.deme.take(np.flatnonzero(first.trials.deme.feasible))
    best = best_distinct(feasible, 12, np.array([1.0, -1.0]))
    assert first.state.hall_of_fame.canonical() == best.canonical()
    assert [len(commit.answers[0].state.hall_of_fame) for commit in commits] == [12, 12]
    assert len(play(tiny_world({"champions": 2}), 1)[0].answers[0].state.hall_of_fame) == 2


def test_hall_of_fame_stays_empty_where_nobody_is_feasible() -> None:
    answer = play(tiny_world({"limits.min_trades": 10_000}), 2)[-1].answers[0]
    assert len(answer.state.hall_of_fame) == 0
    assert np.bincount(answer.emigrants.families).max() == 2


# Every parameter rules

EFFECTS: dict[str, Any] = {
    "seed": 8,
    "costs.fee": 2e-4,
    "costs.slippage": 1e-4,
    "bars.held_back": 0.3,
    "families": values()["families"][::-1],
    "objective.name": "sortino",
    "objective.goal": "min",
    "limits.min_trades": 60,
    "limits.max_drawdown": 0.02,
    "evolution.population": 13,
    "evolution.generations_per_epoch": 3,
    "evolution.selection.operator": "selBest",
    "evolution.selection.tournsize": 2,
    "evolution.crossover.operator": "cxSimulatedBinary",
    "evolution.crossover.rate": 0.4,
    "evolution.crossover.eta": 3.0,
    "evolution.mutation.operator": "own_operators:shake",
    "evolution.mutation.rate": 0.3,
    "evolution.mutation.eta": 3.0,
    "evolution.mutation.indpb": 0.8,
    "evolution.survival.rule": "generational",
    "evolution.survival.elites": 3,
    "evolution.engine": "deap",
    "archipelago.islands": 4,
    "archipelago.topology": "complete",
    "migration.emigrants": 1,
    "migration.delay": 2,
    "migration.interval": 2,
    "migration.selection": "distance",
    "migration.tournament": 2,
    "migration.replacement": "similar",
    "stagnation": [{"rule": "mutate", "epochs": 1}],
    "instruments": {"a": {}, "b": {}},
    "instruments.b.costs": {"fee": 1e-3, "slippage": 1e-3},
    "pooling.rule": "minimum",
    "pooling.quantile": 0.75,
    "objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}],
    "initial": [{"family": "sma_trend", "fast": 5, "slow": 40}],
    "account.periods_per_year": 252.0,
    "champions": 6,
}

BESIDE: dict[str, dict[str, Any]] = {  # what must be there before and after, for the one change to be allowed
    "evolution.survival.elites": {"evolution.survival": {"rule": "generational", "elites": 1}},
    "migration.tournament": {"migration.selection": "tournament"},
    "instruments.b.costs": {"instruments": {"a": {}, "b": {}}},
    "pooling.rule": {"instruments": {"a": {}, "b": {}}},
    "pooling.quantile": {"instruments": {"a": {}, "b": {}}, "pooling.rule": "quantile"},
    "stagnation": {"archipelago.islands": 1, "evolution.generations_per_epoch": 1},
}

DEFAULTS: dict[str, Any] = {
    "evolution.selection": {"operator": "selTournament", "tournsize": 3},
    "evolution.crossover": {"operator": "cxSimulatedBinaryBounded", "rate": 0.7, "eta": 10.0},
    "evolution.mutation": {"operator": "mutPolynomialBounded", "rate": 0.5, "eta": 10.0, "indpb": 0.4},
}

OTHERS: dict[str, dict[str, Any]] = {  # operators do not share their parameters: the whole part changes
    "evolution.selection.operator": {"evolution.selection": {"operator": "selBest"}},
    "evolution.mutation.operator": {"evolution.mutation": {"operator": "own_operators:shake", "rate": 0.5, "width": 0.2}},
}


@functools.cache
def digest_with(changes: str) -> str:
    return links(play(tiny_world(ast.literal_eval(changes)), 3))[-1]


@pytest.mark.parametrize("key", list(EFFECTS))
def test_parameter_changes_the_digest(key: str) -> None:
    beside = {**DEFAULTS, **BESIDE.get(key, {})}
    before = digest_with(repr(beside))
    after = links(play(tiny_world({**beside, **OTHERS.get(key, {key: EFFECTS[key]})}), 3))[-1]
    assert before != after


def test_name_and_number_of_epochs_do_not_change_the_digest() -> None:
    assert links(play(tiny_world(), 3)) == links(play(tiny_world({"name": "other", "evolution.epochs": 9}), 3))


def test_a_longer_run_begins_with_the_shorter_one() -> None:
    assert links(play(tiny_world(), 5))[:3] == links(play(tiny_world(), 3))


def test_state_of_an_epoch_is_all_that_the_next_one_needs() -> None:
    """From a copy of the columns, as a journal keeps them, evolution goes on as if nothing had been."""
    world = tiny_world({"archipelago.topology": "none"})
    state = advance_epoch(world, 0, 1, None, []).state
    copies = [
        Deme(d.families.copy(), d.genomes.copy(), d.scores.copy(), d.births.copy()) for d in (state.deme, state.hall_of_fame)
    ]
    assert digests(advance_epoch(world, 0, 2, IslandState(*copies), [])) == digests(advance_epoch(world, 0, 2, state, []))
