"""Who is better with several objectives: fronts and crowding against slow twins and DEAP's own NSGA-II, and hypervolume."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from deap import tools
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from worlds import play, tiny_world

from islands.evolution.breeding import Fitness, hypervolume
from islands.evolution.deme import Deme
from islands.evolution.island import survive
from islands.evolution.ranking import (
    best_distinct,
    best_values,
    crowded,
    distinct_first,
    fronts_and_crowding,
    order,
    sorted_rows,
)

TWO = {"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]}
SIGNS = np.array([1.0, -1.0])


def slow_fronts(worths: np.ndarray) -> list[int]:
    """Front of each point: peel off whoever nobody left dominates, O(n^2) a front."""
    front, left, number = [-1] * len(worths), set(range(len(worths))), 0
    while left:
        peeled = {i for i in left if not any(dominates(worths[j], worths[i]) for j in left)}
        for i in peeled:
            front[i] = number
        left -= peeled
        number += 1
    return front


def dominates(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one >= other).all() and (one > other).any())


def slow_hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """The volume of every cell between neighbouring coordinates that some point covers."""
    inside = [point for point in points if (point > reference).all()]
    axes = [sorted({reference[k], *(point[k] for point in inside)}) for k in range(len(reference))]
    total = 0.0
    for cell in itertools.product(*(range(len(axis) - 1) for axis in axes)):
        upper = np.array([axes[k][i + 1] for k, i in enumerate(cell)])
        if any((point >= upper).all() for point in inside):
            total += float(np.prod([axes[k][i + 1] - axes[k][i] for k, i in enumerate(cell)]))
    return total


def tied(objectives: int) -> st.SearchStrategy[np.ndarray]:
    """Up to 40 points on a small lattice: many equal coordinates, many equal points."""
    values = st.integers(0, 4).map(float)
    return st.integers(1, 40).flatmap(lambda rows: hnp.arrays(np.float64, (rows, objectives), elements=values))


def deme_of(scores: np.ndarray, violations: np.ndarray | None = None, seed: int = 0) -> Deme:
    """Individuals of these values, each another genome, with births in shuffled order."""
    count = len(scores)
    slots = np.random.default_rng(seed).permutation(count)
    births = np.column_stack([np.zeros(count), np.zeros(count), slots])
    genomes = np.column_stack([np.arange(count, dtype=float), np.zeros(count)])
    return Deme(
        np.zeros(count), genomes, np.column_stack([scores, np.zeros(count) if violations is None else violations]), births
    )


# Fronts


@pytest.mark.parametrize("objectives", [2, 3, 4])
@given(data=st.data())
@examples(40)
def test_fronts_of_tied_points_are_those_of_the_slow_twin(objectives: int, data: st.DataObject) -> None:
    worths = data.draw(tied(objectives))
    assert fronts_and_crowding(worths)[0].tolist() == slow_fronts(worths)


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 50, 120])
def test_fronts_of_random_points_are_those_of_the_slow_twin(objectives: int, count: int) -> None:
    for seed in range(3):
        worths = np.random.default_rng(seed).normal(size=(count, objectives))
        assert fronts_and_crowding(worths)[0].tolist() == slow_fronts(worths)


def deaps(worths: np.ndarray) -> tuple[list[int], list[float]]:
    """Front and crowding of each point by DEAP's sortLogNondominated and assignCrowdingDist."""
    points = [Point(row, i) for i, row in enumerate(worths)]
    front, crowding = [0] * len(points), [0.0] * len(points)
    for number, members in enumerate(tools.sortLogNondominated(points, len(points))):
        tools.emo.assignCrowdingDist(members)
        for point in members:
            front[point.row], crowding[point.row] = number, point.fitness.crowding_dist
    return front, crowding


def assert_deaps(worths: np.ndarray) -> None:
    front, crowding = fronts_and_crowding(worths)
    assert (front.tolist(), crowding.tolist()) == deaps(worths)


@pytest.mark.parametrize("objectives", [2, 3, 4])
@given(data=st.data())
@examples(150)
def test_fronts_and_crowding_of_tied_and_repeated_points_are_deaps_to_the_last_bit(
    objectives: int, data: st.DataObject
) -> None:
    scale = data.draw(st.sampled_from([1.0, 0.1, 1e9]))
    assert_deaps(data.draw(tied(objectives)) * scale)


@pytest.mark.parametrize("objectives", [2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 5, 1_000])
def test_fronts_and_crowding_of_random_points_are_deaps_to_the_last_bit(objectives: int, count: int) -> None:
    for seed in range(3):
        assert_deaps(np.random.default_rng(seed).normal(size=(count, objectives)))
        assert_deaps(np.random.default_rng(seed).normal(size=(count, objectives)).round(1))


def test_points_of_one_front_and_a_front_for_each_point_are_deaps() -> None:
    falling = np.column_stack([np.arange(200.0), -np.arange(200.0)])
    for worths in (falling, np.abs(falling), -np.abs(falling), np.zeros((200, 2)), falling[:, [0, 1, 0]]):
        assert_deaps(worths)


def test_nobody_stands_on_no_front() -> None:
    front, crowding = fronts_and_crowding(np.empty((0, 2)))
    assert (front.tolist(), crowding.tolist()) == ([], [])


@given(data=st.data())
@examples(100)
def test_a_deme_is_ranked_as_deap_ranks_its_distinct_feasible_members_by_birth(data: st.DataObject) -> None:
    worths = data.draw(tied(2))
    violations = data.draw(hnp.arrays(np.float64, len(worths), elements=st.sampled_from([0.0, 0.0, 0.5, np.inf])))
    deme = deme_of(worths, violations, seed=len(worths))
    copied = deme.join(deme.take(data.draw(st.lists(st.integers(0, len(worths) - 1), max_size=10))))
    front, crowding = crowded(copied, np.ones(2))
    feasible = [row for row in np.argsort(deme.births[:, 2]).tolist() if deme.feasible[row]]
    expected = {row: (0, 0.0) for row in range(len(deme))}
    if feasible:
        expected |= dict(zip(feasible, zip(*deaps(worths[feasible]), strict=True), strict=True))
    found = list(zip(front.tolist(), crowding.tolist(), strict=True))
    assert found == [expected[int(genome)] for genome in copied.genomes[:, 0]]


def test_fronts_do_not_know_negative_zero() -> None:
    assert fronts_and_crowding(np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 0.0]]))[0].tolist() == [0, 0, 1]


# Crowding


def test_crowding_distance_by_hand() -> None:
    worths = np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 4.0], [10.0, 0.0], [0.0, 0.0]])
    front, crowding = fronts_and_crowding(worths)
    assert front.tolist() == [0, 0, 0, 0, 1]
    # of each objective the gap between the neighbours over the range, averaged: (4/10 + 6/10)/2 and (9/10 + 6/10)/2
    assert crowding.tolist() == [np.inf, pytest.approx(0.5), pytest.approx(0.75), np.inf, np.inf]


class Point:
    def __init__(self, worths: np.ndarray, row: int) -> None:
        self.fitness, self.row = Fitness(tuple(worths.tolist()), 0.0), row


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_survivors_are_those_of_deaps_nsga_2(objectives: int, seed: int) -> None:
    worths = np.random.default_rng(seed).normal(size=(40, objectives))
    chosen = tools.selNSGA2([Point(row, i) for i, row in enumerate(worths)], 20)
    deme = deme_of(worths, seed=seed)
    front, crowding = fronts_and_crowding(worths)
    kept = order(deme, np.ones(objectives))[:20].tolist()
    figures = [
        sorted(zip(front[rows].tolist(), crowding[rows].tolist(), strict=True)) for rows in (kept, [p.row for p in chosen])
    ]
    assert figures[0] == figures[1]
    last = min(crowding[row] for row in kept if front[row] == max(front[kept]))
    if np.isfinite(last):  # the ends of a front are all infinitely far from their neighbours: which of them is a tie
        assert set(kept) == {point.row for point in chosen}


def test_survival_of_several_objectives_is_nsga_2s() -> None:
    world = tiny_world(TWO)
    worths = np.random.default_rng(5).normal(size=(24, 2))
    everybody = deme_of(worths * SIGNS)
    kept = survive(world, 0, everybody.take(range(12)), everybody.take(range(12, 24)))
    chosen = tools.selNSGA2([Point(row, i) for i, row in enumerate(worths)], 12)
    assert {int(row) for row in kept.genomes[:, 0]} == {point.row for point in chosen}


def test_copies_share_the_rank_of_their_genome_and_crowd_nobody() -> None:
    deme = deme_of(np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 4.0], [10.0, 0.0]]))
    front, crowding = crowded(deme, np.ones(2))
    several = deme.join(deme.take([1, 1, 2]))
    front_again, crowding_again = crowded(several, np.ones(2))
    assert front_again.tolist() == [*front, *front[[1, 1, 2]]]
    assert crowding_again.tolist() == [*crowding, *crowding[[1, 1, 2]]]


def test_infeasible_stand_on_no_front_and_crowd_nobody() -> None:
    scores = np.array([[0.0, 1.0], [9.0, 9.0], [1.0, 0.0], [np.nan, 0.0]])
    front, crowding = crowded(deme_of(scores, np.array([0.0, 0.5, 0.0, np.inf])), np.ones(2))
    assert (front.tolist(), crowding.tolist()) == ([0, 0, 0, 0], [np.inf, 0.0, np.inf, 0.0])


# The order


@pytest.mark.parametrize("objectives", [2, 3])
@given(data=st.data())
@examples(40)
def test_order_is_total_and_does_not_depend_on_where_individuals_stand(objectives: int, data: st.DataObject) -> None:
    worths = data.draw(tied(objectives))
    violations = data.draw(hnp.arrays(np.float64, len(worths), elements=st.sampled_from([0.0, 0.0, 0.5, np.inf])))
    deme = deme_of(worths, violations)
    moved = data.draw(st.permutations(range(len(worths))))
    signs = np.ones(objectives)
    best_first = deme.take(order(deme, signs))
    shuffled = deme.take(moved)
    assert best_first.canonical() == shuffled.take(order(shuffled, signs)).canonical()
    assert np.array_equal(np.sort(violations), best_first.scores[:, -1])
    front, crowding = crowded(best_first, signs)
    feasible = best_first.feasible
    pairs = list(zip(front[feasible].tolist(), (-crowding[feasible]).tolist(), strict=True))
    assert pairs == sorted(pairs)


def test_goals_decide_the_front() -> None:
    scores = np.array([[1.0, 0.1], [1.0, 0.2], [2.0, 0.3], [0.5, 0.05]])  # a Sharpe ratio and a drawdown
    assert crowded(deme_of(scores), np.array([1.0, -1.0]))[0].tolist() == [0, 1, 0, 0]
    assert crowded(deme_of(scores), np.array([1.0, 1.0]))[0].tolist() == [2, 1, 0, 3]
    assert crowded(deme_of(scores), np.array([-1.0, -1.0]))[0].tolist() == [1, 2, 3, 0]


def test_ties_of_front_and_crowding_are_broken_by_birth() -> None:
    scores = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 2.0], [2.0, 1.0]])
    deme = deme_of(scores)
    births = np.array([[1, 0, 0], [0, 5, 0], [0, 2, 1], [0, 2, 0]])
    ranked = Deme(deme.families, deme.genomes, deme.scores, births)
    assert order(ranked, np.ones(2)).tolist() == [1, 0, 3, 2]  # the two ends, then the two in the middle


def test_best_distinct_and_distinct_first_put_copies_behind() -> None:
    deme = deme_of(np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 1.0]]))
    several = deme.join(deme.take([0, 1]))
    assert len(best_distinct(several, 9, np.ones(2))) == 3
    assert distinct_first(several, np.array([0, 3, 1, 4, 2])).tolist() == [0, 1, 2, 3, 4]
    assert len(best_distinct(deme_of(np.ones((3, 2)), np.array([0.0, 0.1, 0.0])), 9, np.ones(2), feasible_only=True)) == 2


def test_best_values_are_of_each_objective_over_the_feasible() -> None:
    deme = deme_of(np.array([[1.0, 0.3], [0.5, 0.1], [9.0, 0.01]]), np.array([0.0, 0.0, 0.5]))
    assert best_values(deme, SIGNS).tolist() == [1.0, 0.1]
    assert np.isnan(best_values(deme.take([2]), SIGNS)).all()


# Hypervolume


@pytest.mark.parametrize("objectives", [2, 3, 4])
@given(data=st.data())
@examples(40)
def test_hypervolume_is_that_of_the_slow_twin(objectives: int, data: st.DataObject) -> None:
    worths = data.draw(tied(objectives))[:9]
    reference = data.draw(hnp.arrays(np.float64, objectives, elements=st.integers(-1, 2).map(float)))
    assert hypervolume(worths, reference) == pytest.approx(slow_hypervolume(worths, reference), abs=1e-9)


def test_hypervolume_by_hand() -> None:
    reference = np.array([0.0, 1.0])
    assert hypervolume(np.array([[2.0, 3.0]]), reference) == 4.0
    assert hypervolume(np.array([[2.0, 3.0], [1.0, 5.0]]), reference) == 4.0 + 2.0
    assert hypervolume(np.array([[2.0, 3.0], [1.0, 2.0]]), reference) == 4.0
    assert hypervolume(np.array([[2.0, 1.0], [-1.0, 9.0]]), reference) == 0.0
    assert hypervolume(np.empty((0, 2)), reference) == 0.0


def test_generations_tell_the_hypervolume_of_their_feasible_members() -> None:
    changes: dict[str, Any] = {**TWO, "limits.max_drawdown": 0.2, "archipelago.topology": "none"}
    world = tiny_world(changes)
    for commit in play(world, 3):
        for answer in commit.answers:
            deme = answer.state.deme
            worths = deme.scores[deme.feasible, :2] * SIGNS
            expected = slow_hypervolume(worths, np.array([0.0, -0.2]))
            assert answer.generations[-1].hypervolume == pytest.approx(expected, rel=1e-9)
            assert expected > 0.0
            assert answer.generations[-1].best == (worths[:, 0].max(), -worths[:, 1].max())
            assert answer.generations[-1].median == tuple(np.median(worths, axis=0) * SIGNS)


def test_one_objective_has_no_hypervolume() -> None:
    assert np.isnan(play(tiny_world(), 1)[0].answers[0].generations[-1].hypervolume)


def test_hypervolume_of_an_island_under_plus_survival_grows() -> None:
    """NSGA-II may lose a point of a front that is wider than the deme; one of a few points it keeps."""
    world = tiny_world({**TWO, "archipelago.islands": 1, "evolution.population": 40})
    volumes = [g.hypervolume for commit in play(world, 4) for g in commit.answers[0].generations]
    assert volumes[-1] > volumes[0] > 0.0
    assert volumes == sorted(volumes)


# Sorting


@st.composite
def keys(draw: st.DrawFn) -> list[np.ndarray]:
    """Up to three keys of up to 60 rows: whole numbers of any size, real ones with infinities and zeros of both signs."""
    count = draw(st.integers(0, 60))
    whole = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
    real = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 5e-324])
    kinds = st.sampled_from([(np.int64, whole), (np.float64, real)])
    chosen = draw(st.lists(kinds, min_size=1, max_size=3))
    return [np.array(draw(st.lists(values, min_size=count, max_size=count)), dtype=kind) for kind, values in chosen]


@given(some=keys())
@examples(300)
def test_rows_are_sorted_as_numpy_sorts_them(some: list[np.ndarray]) -> None:
    assert sorted_rows(*some).tolist() == np.lexsort(some).tolist()


@pytest.mark.parametrize("count", [255, 256, 257, 3_000])
def test_many_rows_are_sorted_as_numpy_sorts_them(count: int) -> None:
    chance = np.random.default_rng(count)
    for key in (chance.normal(size=count), chance.normal(size=count).round(1), chance.integers(-(2**62), 2**62, count)):
        assert sorted_rows(key).tolist() == np.argsort(key, kind="stable").tolist()
