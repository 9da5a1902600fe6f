"""An island whose best has not improved: the count, the reset of the weakest, the higher rate of mutation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from worlds import links, play, tiny_world

from islands.archipelago.machine import Commit, answer_digest
from islands.errors import SpecError
from islands.evolution.breeding import breed
from islands.evolution.deme import COPY, MUTATION, NOBODY, RESET, Deme
from islands.evolution.island import Answer, IslandState, advance_epoch, try_settings
from islands.evolution.ranking import order
from islands.evolution.stagnation import RULES, Relief, improved, relieve
from islands.evolution.world import World

NAN = float("nan")
ALONE = {"archipelago.topology": "none", "archipelago.islands": 1}
FEW = {**ALONE, "families": [{"name": "sma_trend", "genes": {"fast": [2, 3], "slow": [10, 11], "direction": "long"}}]}
"""Four genomes in all: an island knows its best after the first epoch."""

MIRRORED = {"evolution.mutation": {"operator": "odd_operators:mirrored", "rate": 0.25}}


def rules(*given: dict[str, Any]) -> dict[str, Any]:
    return {"stagnation": list(given)}


RESET_2 = {"rule": "reset", "epochs": 2}
MUTATE_2 = {"rule": "mutate", "epochs": 2}


def counts(commits: list[Commit]) -> list[int]:
    return [commit.answers[0].state.stagnant for commit in commits]


def applied(commits: list[Commit]) -> list[str | None]:
    """The rule of each epoch, which all its generations tell but the founders."""
    told = [{g.rule for g in commit.answers[0].generations if g.generation > 0} for commit in commits]
    assert all(len(names) == 1 for names in told)
    return [names.pop() for names in told]


# The count


@pytest.mark.parametrize(
    ("before", "after", "better"),
    [
        ([1.0], [1.0], False),
        ([1.0], [1.5], True),
        ([1.0], [0.5], False),
        ([NAN], [NAN], False),
        ([NAN], [-3.0], True),
        ([1.0, 2.0], [1.0, 2.0], False),
        ([1.0, 2.0], [1.0, 1.9], True),  # the second is to be small
        ([1.0, 2.0], [1.0, 2.1], False),
        ([1.0, 2.0], [1.1, 2.1], True),
    ],
)
def test_best_of_any_objective_counts_as_an_improvement(before: list[float], after: list[float], better: bool) -> None:
    signs = np.array([1.0, -1.0])[: len(before)]
    assert improved(np.array(before), np.array(after), signs) is better


def test_epochs_without_improvement_are_counted_and_an_improvement_ends_the_count() -> None:
    assert counts(play(tiny_world(FEW), 5)) == [0, 1, 2, 3, 4]
    commits = play(tiny_world(ALONE), 12)
    best = [float(commit.answers[0].state.hall_of_fame.scores[0, 0]) for commit in commits]
    expected = [0]
    for previous, now in itertools.pairwise(best):
        expected.append(0 if now > previous else expected[-1] + 1)
    assert counts(commits) == expected
    assert 0 in expected[2:] and max(expected) > 1


def test_island_without_anyone_feasible_stagnates_from_the_first_epoch_on() -> None:
    assert counts(play(tiny_world({**ALONE, "limits.min_trades": 10_000}), 3)) == [1, 2, 3]


def test_generations_tell_the_count_at_the_beginning_of_their_epoch() -> None:
    commits = play(tiny_world(FEW), 4)
    told = [{g.stagnant for g in commit.answers[0].generations} for commit in commits]
    assert told == [{0}, {0}, {1}, {2}]


def test_rule_that_is_not_due_changes_nothing() -> None:
    late = rules({"rule": "reset", "epochs": 3}, {"rule": "mutate", "epochs": 3})
    assert links(play(tiny_world({**FEW, **late}), 3)) == links(play(tiny_world(FEW), 3))
    assert links(play(tiny_world({**FEW, **late}), 5))[-1] != links(play(tiny_world(FEW), 5))[-1]


def test_reset_begins_the_count_anew_and_mutate_lasts_until_an_improvement() -> None:
    reset, mutate, both = (
        play(tiny_world({**FEW, **rules(*given)}), 7) for given in ([RESET_2], [MUTATE_2], [RESET_2, MUTATE_2])
    )
    assert counts(reset) == [0, 1, 2, 1, 2, 1, 2]
    assert applied(reset) == [None, None, None, "reset", None, "reset", None]
    assert counts(mutate) == [0, 1, 2, 3, 4, 5, 6]
    assert applied(mutate) == [None, None, None, "mutate", "mutate", "mutate", "mutate"]
    assert counts(both) == counts(reset)
    assert applied(both) == [None, None, None, "reset+mutate", None, "reset+mutate", None]


# Reset


def state_of(world: World, epochs: int = 2) -> IslandState:
    return play(world, epochs)[-1].answers[0].state


def relief_of(world: World, stagnant: int, state: IslandState) -> Relief:
    return relieve(world, 0, 9, stagnant, state.deme, state.hall_of_fame)


@pytest.mark.parametrize(("share", "leaving"), [(0.5, 6), (0.25, 3), (0.3, 4), (0.01, 1), (0.99, 11)])
def test_reset_replaces_a_share_of_the_weakest_and_always_somebody_but_the_best(share: float, leaving: int) -> None:
    world = tiny_world({**ALONE, **rules({**RESET_2, "share": share})})
    state = state_of(world)
    relief = relief_of(world, 2, state)
    ranked = order(state.deme, world.signs)
    assert relief.staying.canonical() == state.deme.take(ranked[: 12 - leaving]).canonical()
    assert relief.born is not None
    assert len(relief.born.families) == leaving


def test_those_born_of_a_reset_are_mutants_of_the_best_ever_in_turn() -> None:
    world = tiny_world({**ALONE, **MIRRORED, **rules({**RESET_2, "share": 0.6}), "champions": 3})
    state = state_of(world)
    born = relief_of(world, 2, state).born
    assert born is not None
    assert born.origins.tolist() == [RESET] * 7
    hall = state.hall_of_fame.take([0, 1, 2, 0, 1, 2, 0])
    assert born.parents.tolist() == [[*birth, *NOBODY] for birth in hall.births.tolist()]
    for family, genome, parent in zip(born.families.tolist(), born.genomes, hall.genomes, strict=True):
        space = world.spaces[family]
        mirrored = space.repair(space.decode(1.0 - space.encode(world.genes(family, parent[None, :]))))
        assert world.genes(family, genome[None, :]).tolist() == mirrored.tolist()
    assert born.families.tolist() == hall.families.tolist()


def test_where_nobody_was_ever_feasible_the_mutants_are_of_those_who_stay() -> None:
    world = tiny_world({**ALONE, **MIRRORED, "limits.min_trades": 10_000, **rules(RESET_2)})
    state = state_of(world)
    assert len(state.hall_of_fame) == 0
    relief = relief_of(world, 2, state)
    assert relief.born is not None
    assert relief.born.parents[:, :3].tolist() == relief.staying.births.tolist()


def reset_epoch() -> tuple[World, IslandState, Answer]:
    world = tiny_world({**ALONE, **rules(RESET_2)})
    state = state_of(world, 4)
    return world, state, advance_epoch(world, 0, 5, IslandState(state.deme, state.hall_of_fame, 2), [])


def test_reset_enters_the_trials_with_births_of_its_own() -> None:
    world, state, answer = reset_epoch()
    fresh = np.flatnonzero(answer.trials.origins == RESET)
    assert 0 < len(fresh) <= 6
    births = answer.trials.deme.births
    first = 4 * world.spec.evolution.generations_per_epoch + 1
    assert {(island, generation) for island, generation, _ in births[fresh].tolist()} == {(0, first)}
    assert all(12 <= slot < 18 for slot in births[fresh, 2].tolist())  # behind the children of that generation
    assert len({tuple(birth) for birth in births.tolist()}) == len(births)
    parents = {tuple(parents[:3]) for parents in answer.trials.parents[fresh].tolist()}
    assert parents <= {tuple(birth) for birth in state.hall_of_fame.births.tolist()}
    assert len(answer.state.deme) == 12


def test_trials_of_a_reset_are_counted_in_no_generation() -> None:
    """As immigrants are: the records count what their generations bred."""
    _, _, answer = reset_epoch()
    bred = sum(record.trials for record in answer.generations)
    assert bred + int(np.sum(answer.trials.origins == RESET)) == len(answer.trials)


def test_reset_of_several_objectives_keeps_the_front() -> None:
    objectives = {"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]}
    world = tiny_world({**ALONE, **objectives, **rules(RESET_2)})
    state = state_of(world)
    relief = relief_of(world, 2, state)
    assert relief.staying.canonical() == state.deme.take(order(state.deme, world.signs)[:6]).canonical()
    assert relief.born is not None and len(relief.born.families) == 6


# Mutate


@pytest.mark.parametrize(("factor", "rate"), [(1.0, 0.25), (2.0, 0.5), (4.0, 1.0), (100.0, 1.0)])
def test_boost_multiplies_the_rate_of_mutation_up_to_1(factor: float, rate: float) -> None:
    world = tiny_world({**ALONE, **MIRRORED, "evolution.crossover": {"operator": "cxTwoPoint", "rate": 0.0}})
    deme = state_of(world).deme
    origins = np.concatenate([breed(world, 0, generation, deme, factor).origins for generation in range(5, 65)])
    assert set(origins.tolist()) <= {COPY, MUTATION}
    assert float(np.mean(origins == MUTATION)) == pytest.approx(rate, abs=0.06 if rate < 1.0 else 0.0)


def test_rule_mutate_boosts_by_its_factor_and_moves_nobody() -> None:
    world = tiny_world({**ALONE, **rules({**MUTATE_2, "factor": 3.0})})
    state = state_of(world)
    for stagnant, boost, name in ((1, 1.0, None), (2, 3.0, "mutate"), (9, 3.0, "mutate")):
        relief = relief_of(world, stagnant, state)
        assert (relief.staying, relief.born, relief.boost, relief.rule) == (state.deme, None, boost, name)


def test_boosted_epoch_is_the_one_that_the_higher_rate_breeds() -> None:
    one, other = (
        tiny_world({**ALONE, "evolution.mutation": {"operator": "mutFlipBit", "indpb": 0.5, "rate": rate}, **rules(*given)})
        for rate, given in ((0.3, [{**MUTATE_2, "factor": 3.0}]), (0.3 * 3.0, []))
    )
    state = state_of(one)
    stagnant = IslandState(state.deme, state.hall_of_fame, 2)
    boosted, higher = (answer_digest(advance_epoch(world, 0, 3, stagnant, [])) for world in (one, other))
    assert boosted == higher
    assert boosted != answer_digest(advance_epoch(one, 0, 3, IslandState(state.deme, state.hall_of_fame, 1), []))


# What the rules have in common


def test_every_rule_is_tested_here() -> None:
    assert list(RULES) == ["reset", "mutate"]


def test_the_count_belongs_to_the_state_and_to_the_digest() -> None:
    world = tiny_world(ALONE)
    deme = state_of(world).deme
    one, other = (advance_epoch(world, 0, 3, IslandState(deme, Deme.empty(world.width), n), []) for n in (0, 0))
    assert answer_digest(one) == answer_digest(other)
    hall = one.state.hall_of_fame
    one, other = (advance_epoch(world, 0, 3, IslandState(deme, hall, n), []) for n in (0, 1))
    assert (one.state.stagnant, other.state.stagnant) == (1, 2)
    assert answer_digest(one) != answer_digest(other)


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "unknown rule": ([{"rule": "rest", "epochs": 2}], "stagnation.rule = 'rest' (did you mean 'reset'?); known: reset, mutate"),
    "rule twice": ([RESET_2, {**RESET_2, "epochs": 4}], "stagnation: rule reset is given twice; give each once"),
    "rule that is never due": (
        [RESET_2, {"rule": "mutate", "epochs": 3}],
        "stagnation: mutate after 3 epochs is never due, since reset begins the count anew after 2; give mutate 2 epochs or "
        "less",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_rules_that_can_not_be_are_refused_before_a_campaign_begins(case: str) -> None:
    given, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        try_settings(tiny_world(rules(*given)))
    assert str(error.value) == message


def test_mutate_may_come_before_reset() -> None:
    try_settings(tiny_world(rules({**RESET_2, "epochs": 5}, MUTATE_2)))
