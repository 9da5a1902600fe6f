"""Who leaves an island, and what becomes of those who arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import tiny_world

from islands.evolution.deme import Deme
from islands.evolution.migration import ACCEPTED, PRESENT, Immigrants, admit, as_immigrants, choose_emigrants
from islands.evolution.world import World

EMA, SMA = 0, 1  # indices of families in tiny_world


def people(world: World, fasts: list[int], scores: list[float], island: int = 0, violations: list[float] | None = None) -> Deme:
    """Members of sma_trend with slow 50 and these fast genes and scores, born on an island in generation 3."""
    count = len(fasts)
    genomes = world.pad(np.column_stack([fasts, np.full(count, 50.0), np.zeros(count)]))
    births = np.column_stack([np.full(count, island), np.full(count, 3), np.arange(count)])
    return Deme(np.full(count, SMA), genomes, np.column_stack([scores, violations or np.zeros(count)]), births)


def same(one: Deme, other: Deme) -> bool:
    return one.canonical() == other.canonical()


def fasts(deme: Deme) -> list[float]:
    return deme.genomes[:, 0].tolist()


def arriving(world: World, genes: list[int], source: int = 2) -> Immigrants:
    return as_immigrants(source, people(world, genes, [0.0] * len(genes), island=source))


# Leaving

LEAVING: dict[str, tuple[dict[str, Any], list[int], list[float], list[int]]] = {
    "the best, best first": ({}, [2, 3, 4, 5], [0.1, 0.4, 0.2, 0.3], [3, 5]),
    "the least where the goal is a minimum": ({"objective.goal": "min"}, [2, 3, 4, 5], [0.1, 0.4, 0.2, 0.3], [2, 4]),
    "distinct ones only": ({}, [3, 3, 3, 5], [0.4, 0.4, 0.4, 0.3], [3, 5]),
    "fewer where there are fewer distinct ones": ({}, [3, 3, 3, 3], [0.4] * 4, [3]),
    "equals in the order of their births": ({}, [5, 4, 3, 2], [0.4] * 4, [5, 4]),
    "nobody where none were asked for": ({"migration.emigrants": 0}, [2, 3], [0.1, 0.4], []),
    "all where more were asked for": ({"migration.emigrants": 9}, [2, 3], [0.1, 0.4], [3, 2]),
}


@pytest.mark.parametrize("case", list(LEAVING))
def test_who_leaves(case: str) -> None:
    changes, genes, scores, expected = LEAVING[case]
    world = tiny_world(changes)
    assert fasts(choose_emigrants(world, 0, 3, people(world, genes, scores))) == expected


def test_feasible_ones_leave_before_infeasible_ones() -> None:
    world = tiny_world()
    deme = people(world, [2, 3, 4], [9.0, -1.0, 8.0], violations=[0.5, 0.0, 0.25])
    assert fasts(choose_emigrants(world, 0, 3, deme)) == [3, 4]


def test_scores_do_not_travel() -> None:
    world = tiny_world()
    deme = people(world, [2, 3], [0.1, 0.4], island=1)
    group = as_immigrants(1, deme)
    assert not hasattr(group, "scores")
    assert group.source == 1
    assert group.births.tolist() == deme.births.tolist()


# Arriving


def test_immigrants_replace_the_worst_and_keep_their_births() -> None:
    world = tiny_world()
    deme = people(world, [2, 3, 4, 5], [0.1, 0.4, 0.2, 0.3])
    after, settled, log = admit(world, 0, 4, deme, [arriving(world, [10, 11])])
    assert fasts(after) == [3.0, 5.0, 10.0, 11.0]
    assert after.births.tolist() == [[0, 3, 1], [0, 3, 3], [2, 3, 0], [2, 3, 1]]
    assert fasts(settled) == [10.0, 11.0]
    assert [(a.source, a.family, a.birth, a.outcome, a.replaced) for a in log] == [
        (2, SMA, (2, 3, 0), ACCEPTED, (0, 3, 0)),
        (2, SMA, (2, 3, 1), ACCEPTED, (0, 3, 2)),
    ]


def test_the_infeasible_go_first() -> None:
    world = tiny_world()
    deme = people(world, [2, 3, 4], [0.1, 9.0, 0.2], violations=[0.0, 0.5, 0.0])
    after, _, log = admit(world, 0, 4, deme, [arriving(world, [10])])
    assert fasts(after) == [2.0, 4.0, 10.0]
    assert log[0].replaced == (0, 3, 1)


def test_the_greatest_go_where_the_goal_is_a_minimum() -> None:
    world = tiny_world({"objective.goal": "min"})
    after, _, _ = admit(world, 0, 4, people(world, [2, 3, 4], [0.1, 0.4, 0.2]), [arriving(world, [10])])
    assert fasts(after) == [2.0, 4.0, 10.0]


def test_whoever_is_there_already_is_not_taken() -> None:
    world = tiny_world()
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    after, settled, log = admit(world, 0, 4, deme, [arriving(world, [3, 10])])
    assert fasts(after) == [3.0, 4.0, 10.0]
    assert fasts(settled) == [10.0]
    assert [(a.outcome, a.replaced) for a in log] == [(PRESENT, None), (ACCEPTED, (0, 3, 0))]


def test_twins_from_two_islands_are_taken_once_from_the_first() -> None:
    world = tiny_world()
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    after, _, log = admit(world, 0, 4, deme, [arriving(world, [10], source=1), arriving(world, [10], source=2)])
    assert fasts(after) == [3.0, 4.0, 10.0]
    assert after.births.tolist()[-1] == [1, 3, 0]
    assert [(a.source, a.outcome) for a in log] == [(1, ACCEPTED), (2, PRESENT)]


def test_immigrants_are_repaired_to_the_bounds_of_the_receiver() -> None:
    world = tiny_world()
    genomes = world.pad(np.array([[99.0, 500.0, 0.0], [4.4, 4.0, 1.0]]))
    group = Immigrants(2, np.array([SMA, SMA]), genomes, np.array([[2, 1, 0], [2, 1, 1]]))
    after, settled, _ = admit(world, 0, 4, people(world, [2, 3, 4], [0.1, 0.4, 0.2]), [group])
    assert settled.genomes[:, :3].tolist() == [[20.0, 60.0, 0.0], [4.0, 10.0, 1.0]]
    assert len(after) == 3


def test_immigrant_that_repair_makes_a_member_is_there_already() -> None:
    world = tiny_world()
    genomes = world.pad(np.array([[3.2, 50.3, 0.0]]))
    group = Immigrants(2, np.array([SMA]), genomes, np.array([[2, 1, 0]]))
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    after, settled, log = admit(world, 0, 4, deme, [group])
    assert (same(after, deme), len(settled), log[0].outcome) == (True, 0, PRESENT)


def test_family_that_the_island_does_not_hold_does_not_travel() -> None:
    islands = [["ema_crossover", "rsi_mean_reversion"], ["sma_trend", "ema_crossover"]]
    world = tiny_world({"archipelago.islands": islands})
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    after, settled, log = admit(world, 0, 4, deme, [arriving(world, [10], source=1)])
    assert (same(after, deme), len(settled), log) == (True, 0, ())


def test_best_of_what_the_receiver_holds_arrive_though_others_are_better() -> None:
    islands = [["ema_crossover", "sma_trend"], ["sma_trend", "ema_crossover"], ["sma_trend", "rsi_mean_reversion"]]
    world = tiny_world({"archipelago.islands": islands, "archipelago.topology": "complete", "migration.emigrants": 2})
    trend = people(world, [10, 11, 12], [0.1, 0.3, 0.2], island=0)
    better = people(world, [5, 6, 7], [9.0, 8.0, 7.0], island=0)
    genomes = np.column_stack([better.genomes[:, 0], np.full(3, 30.0), np.zeros(3), np.full(3, 2.0)])
    crossover = Deme(np.full(3, EMA), genomes, better.scores, better.births)
    emigrants = choose_emigrants(world, 0, 3, crossover.join(trend))
    assert fasts(emigrants) == [5, 6, 11, 12]
    receiver = people(world, [2, 3, 4, 5], [0.1, 0.4, 0.2, 0.3], island=2)
    _, settled, _ = admit(world, 2, 4, receiver, [as_immigrants(0, emigrants)])
    assert (settled.families.tolist(), fasts(settled)) == ([SMA, SMA], [11, 12])
    _, settled, _ = admit(world, 1, 4, receiver, [as_immigrants(0, emigrants)])
    assert fasts(settled) == [5, 6]


def test_scores_of_immigrants_are_computed_where_they_arrive() -> None:
    world = tiny_world()
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    after, settled, _ = admit(world, 0, 4, deme, [arriving(world, [10, 11])])
    expected = world.score(world.habitats[0].markets, settled.families, settled.genomes)
    np.testing.assert_array_equal(settled.scores, expected)
    np.testing.assert_array_equal(after.scores[-2:], expected)
    assert (expected[:, 0] != 0.0).all()


def test_nobody_arrives_and_nothing_changes() -> None:
    world = tiny_world()
    deme = people(world, [2, 3], [0.1, 0.4])
    after, settled, log = admit(world, 0, 4, deme, [])
    assert (same(after, deme), len(settled), log) == (True, 0, ())
