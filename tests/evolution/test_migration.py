"""Who leaves an island, and what becomes of those who arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import play, tiny_world

from islands.errors import SpecError
from islands.evolution.deme import Deme
from islands.evolution.island import try_settings
from islands.evolution.migration import (
    ACCEPTED,
    PRESENT,
    REPLACEMENTS,
    SELECTIONS,
    Immigrants,
    admit,
    as_immigrants,
    choose_emigrants,
    migrates,
)
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


# Selections: who leaves by other rules than the best

LINE = [2, 3, 4, 10, 18, 19]  # fast genes, best first with the scores below; slow and direction are all the same
FALLING = [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]


def test_every_selection_is_tested_here() -> None:
    assert list(SELECTIONS) == ["best", "tournament", "distance"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, []),
        (1, [2]),
        (2, [2, 19]),  # whoever is farthest from the best
        (3, [2, 10, 19]),  # in the middle of the two
        (4, [2, 4, 10, 19]),  # 4 is as far from 2 as 18 is not: 2 away against 1
        (5, [2, 3, 4, 10, 19]),  # 3 and 18 are both 1 away: the better one
        (6, LINE),
        (9, LINE),
    ],
)
def test_distance_sends_the_best_and_whoever_is_farthest_from_those_sent(number: int, expected: list[int]) -> None:
    world = tiny_world({"migration.selection": "distance", "migration.emigrants": number, "archipelago.topology": "none"})
    assert fasts(choose_emigrants(world, 0, 3, people(world, LINE, FALLING))) == expected


def test_distance_is_measured_in_scaled_genes() -> None:
    """From (2, 50) it is 18 of 18 steps to fast 20 and 40 of 50 steps to slow 10: fast 20 is farther off."""
    world = tiny_world({"migration.selection": "distance", "migration.emigrants": 2})
    genomes = world.pad(np.array([[2.0, 50.0, 0.0], [2.0, 10.0, 0.0], [20.0, 50.0, 0.0]]))
    deme = people(world, [2, 2, 2], [0.3, 0.2, 0.1])
    moved = Deme(deme.families, genomes, deme.scores, deme.births)
    assert choose_emigrants(world, 0, 3, moved).genomes[:, :2].tolist() == [[2.0, 50.0], [20.0, 50.0]]


def test_tournament_of_one_is_chance_and_of_everybody_is_the_best() -> None:
    genes = list(range(2, 14))
    left: dict[int, list[list[float]]] = {}
    for size in (1, 3, 12):
        world = tiny_world({"migration.selection": "tournament", "migration.tournament": size})
        deme = people(world, genes, [1.0 - 0.05 * i for i in range(12)])
        left[size] = [fasts(choose_emigrants(world, island, epoch, deme)) for island in (0, 1) for epoch in range(1, 101)]
    assert left[12] == [[2.0, 3.0]] * 200
    assert {fast for pair in left[1] for fast in pair} == set(genes)
    assert all(pair[0] < pair[1] for size in (1, 3) for pair in left[size])  # distinct, best first
    mean = {size: float(np.mean(left[size])) for size in left}
    assert mean[12] < mean[3] - 1 < mean[1] - 2
    # chance: 2 of 12 uniformly, mean 7.5, a standard deviation of the mean of 400 is 0.17
    assert mean[1] == pytest.approx(7.5, abs=0.6)


def test_first_tournament_of_three_is_won_with_the_probability_of_being_the_best_of_three() -> None:
    world = tiny_world({"migration.selection": "tournament", "migration.tournament": 3, "migration.emigrants": 1})
    deme = people(world, list(range(2, 8)), [0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    wins = [fasts(choose_emigrants(world, 0, epoch, deme))[0] for epoch in range(1, 601)]
    # of C(6, 3) = 20 tournaments the best wins 10, the second 6, the third 3, the fourth 1, the last two none
    assert [wins.count(fast) / 600 for fast in range(2, 8)] == pytest.approx([0.5, 0.3, 0.15, 0.05, 0, 0], abs=0.07)
    assert wins.count(6) == wins.count(7) == 0


def test_tournament_is_drawn_anew_in_each_epoch_on_each_island_and_the_same_again() -> None:
    world = tiny_world({"migration.selection": "tournament", "migration.tournament": 1})
    deme = people(world, list(range(2, 14)), [1.0 - 0.05 * i for i in range(12)])
    drawn = [tuple(fasts(choose_emigrants(world, island, epoch, deme))) for island in range(3) for epoch in range(1, 5)]
    assert len(set(drawn)) > 6
    assert drawn == [tuple(fasts(choose_emigrants(world, i, e, deme))) for i in range(3) for e in range(1, 5)]


def test_selection_is_made_in_each_family_by_itself() -> None:
    world = tiny_world({"migration.selection": "distance", "migration.emigrants": 2})
    trend = people(world, [2, 3, 19], [0.9, 0.8, 0.1])
    genomes = np.column_stack([[2.0, 3.0, 15.0], np.full(3, 30.0), np.zeros(3), np.full(3, 2.0)])
    crossover = Deme(np.full(3, EMA), genomes, trend.scores - [0.05, 0.0], trend.births)
    leaving = choose_emigrants(world, 0, 3, trend.join(crossover))
    assert list(zip(leaving.families.tolist(), fasts(leaving), strict=True)) == [(SMA, 2), (EMA, 2), (SMA, 19), (EMA, 15)]


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_nobody_leaves_between_migrations(interval: int) -> None:
    world = tiny_world({"migration.interval": interval})
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    left = [len(choose_emigrants(world, 0, epoch, deme)) for epoch in range(1, 7)]
    assert left == [2 if epoch % interval == 0 else 0 for epoch in range(1, 7)]
    assert [migrates(world, epoch) for epoch in range(-2, 7)] == [e >= 1 and e % interval == 0 for e in range(-2, 7)]


@pytest.mark.parametrize(("interval", "delay"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)])
def test_immigrants_arrive_delay_epochs_after_each_interval(interval: int, delay: int) -> None:
    world = tiny_world({"migration.interval": interval, "migration.delay": delay, "migration.emigrants": 1})
    commits = play(world, 7)
    arrived = [commit.epoch for commit in commits if any(answer.arrivals for answer in commit.answers)]
    assert arrived == [epoch for epoch in range(1, 8) if epoch - delay >= 1 and (epoch - delay) % interval == 0]
    for epoch in arrived:  # and they are those who left then
        for island, answer in enumerate(commits[epoch - 1].answers):
            sent = commits[epoch - delay - 1].answers[(island - 1) % 3].emigrants
            assert [a.birth for a in answer.arrivals] == [tuple(birth) for birth in sent.births[:1].tolist()]


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


# Replacements: who makes room by other rules than the worst


def test_every_replacement_is_tested_here() -> None:
    assert list(REPLACEMENTS) == ["worst", "random", "similar"]


def replaced_by(rule: str, guests: list[int], epoch: int = 4, seed: int = 7) -> list[float]:
    """The fast genes that make room on an island of 2, 3, 4, 10, 18, 19, best first, for guests of these."""
    world = tiny_world({"migration.replacement": rule, "migration.emigrants": 5, "seed": seed})
    deme = people(world, LINE, FALLING)
    after, _, log = admit(world, 0, epoch, deme, [arriving(world, guests)])
    gone = [LINE[a.replaced[2]] for a in log if a.replaced is not None]
    assert sorted(fasts(after)) == sorted([*(set(LINE) - set(gone)), *guests])
    assert len(after) == len(LINE)
    return [float(fast) for fast in gone]


def test_similar_replaces_the_nearest_and_of_equals_the_worse() -> None:
    assert replaced_by("similar", [12]) == [10]
    assert replaced_by("similar", [20]) == [19]
    assert replaced_by("similar", [20, 17, 16]) == [19, 18, 10]  # in the order of arrival, each among those left
    assert replaced_by("similar", [11, 9]) == [10, 4]
    assert replaced_by("similar", [14]) == [18]  # 10 and 18 are equally near: the worse one


def test_similar_never_replaces_the_best_though_nearest() -> None:
    assert replaced_by("similar", [5, 6]) == [4, 3]
    world = tiny_world({"migration.replacement": "similar"})
    deme = people(world, [4, 12, 19], [0.9, 0.2, 0.1])
    assert admit(world, 0, 4, deme, [arriving(world, [5])])[2][0].replaced == (0, 3, 1)


def test_similar_takes_the_nearest_of_kin_and_without_kin_the_worst() -> None:
    world = tiny_world({"migration.replacement": "similar"})
    trend = people(world, [2, 10], [0.9, 0.8])
    genomes = np.column_stack([[5.0, 5.0], [30.0, 50.0], np.zeros(2), np.full(2, 2.0)])
    births = np.column_stack([np.zeros(2), np.full(2, 3), [7, 8]])
    crossover = Deme(np.full(2, EMA), genomes, np.array([[0.3, 0.0], [0.1, 0.0]]), births)
    _, _, log = admit(world, 0, 4, crossover.join(trend), [arriving(world, [5])])
    assert log[0].replaced == (0, 3, 1)  # sma_trend 10: ema_crossover 5 is no kin
    _, _, log = admit(world, 0, 4, crossover.join(trend.take([0])), [arriving(world, [5])])
    assert log[0].replaced == (0, 3, 8)  # the only kin is the island's best: the worst of all goes


@pytest.mark.slow
def test_random_replaces_anybody_but_the_best() -> None:
    gone = [replaced_by("random", [12], epoch)[0] for epoch in range(1, 201)]
    assert set(gone) == {3, 4, 10, 18, 19}
    assert all(20 <= gone.count(fast) <= 60 for fast in set(gone))  # 40 expected, a standard deviation is 5.7
    assert replaced_by("random", [12], 9) == replaced_by("random", [12], 9)
    assert [replaced_by("random", [12], epoch, seed=8)[0] for epoch in range(1, 201)] != gone


@pytest.mark.parametrize("rule", list(REPLACEMENTS))
def test_the_best_stays_though_everybody_else_makes_room(rule: str) -> None:
    assert sorted(replaced_by(rule, [5, 6, 7, 8, 9])) == LINE[1:]


@pytest.mark.parametrize("rule", list(REPLACEMENTS))
def test_with_several_objectives_one_of_the_front_stays_and_the_rest_make_room(rule: str) -> None:
    """The first of the crowded order is among those who are best at something: its place is not given away."""
    changes = {"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}], "migration.emigrants": 3}
    world = tiny_world({**changes, "migration.replacement": rule})
    deme = people(world, [2, 3, 4, 5], [0.0] * 4)
    scores = np.array([[0.9, 0.3, 0.0], [0.5, 0.2, 0.0], [0.4, 0.4, 0.0], [0.95, 0.1, 0.1]])
    deme = Deme(deme.families, deme.genomes, scores, deme.births)
    after, settled, _ = admit(world, 0, 4, deme, [arriving(world, [10, 11, 12])])
    assert settled.scores.shape == (3, 3)
    assert fasts(after) == [2.0, 10.0, 11.0, 12.0]


# Weighted edges

EDGES = {"archipelago.topology": {"name": "edges", "edges": [[1, 0, 0.3], [2, 0], [0, 1, 0.9]]}}


def fired(seed: int, source: int, island: int, epochs: int) -> list[bool]:
    world = tiny_world({**EDGES, "seed": seed, "migration.emigrants": 1})
    deme = people(world, [2, 3, 4], [0.1, 0.4, 0.2])
    found = []
    for epoch in range(1, epochs + 1):
        after, settled, log = admit(world, island, epoch, deme, [arriving(world, [10], source=source)])
        assert (len(log), len(settled), same(after, deme)) in {(1, 1, False), (0, 0, True)}  # the log says what happened
        found.append(bool(log))
    return found


def test_weighted_edge_opens_with_its_probability() -> None:
    assert sum(fired(7, 1, 0, 400)) / 400 == pytest.approx(0.3, abs=0.08)  # a standard deviation is 0.023
    assert sum(fired(7, 0, 1, 400)) / 400 == pytest.approx(0.9, abs=0.05)
    assert all(fired(7, 2, 0, 50))


def test_weighted_edge_opens_in_the_same_epochs_again_and_in_others_for_another_seed() -> None:
    assert fired(7, 1, 0, 60) == fired(7, 1, 0, 60)
    assert fired(8, 1, 0, 60) != fired(7, 1, 0, 60)


def test_weighted_edges_to_one_island_open_by_themselves() -> None:
    both = {"archipelago.topology": {"name": "edges", "edges": [[1, 0, 0.5], [2, 0, 0.5]]}, "migration.emigrants": 1}
    world = tiny_world(both)
    deme, counts = people(world, [2, 3, 4, 5], [0.1, 0.4, 0.2, 0.3]), dict[tuple[int, ...], int]()
    for epoch in range(1, 201):
        log = admit(world, 0, epoch, deme, [arriving(world, [10], source=1), arriving(world, [11], source=2)])[2]
        sources = tuple(a.source for a in log)
        counts[sources] = counts.get(sources, 0) + 1
    assert set(counts) == {(), (1,), (2,), (1, 2)}
    assert all(30 <= count <= 70 for count in counts.values())  # 50 expected, a standard deviation is 6


def test_closed_edge_leaves_no_trace_and_does_not_hold_up_the_others() -> None:
    commits = play(tiny_world({**EDGES, "migration.emigrants": 1}), 20)
    arrived = [{a.source for a in commit.answers[0].arrivals} for commit in commits]
    assert arrived[0] == set()
    assert all(sources in ({2}, {1, 2}) for sources in arrived[1:])
    assert {2} in arrived and {1, 2} in arrived


# What the log says later


def test_log_tells_the_genome_the_worth_and_the_fate_of_each_arrival() -> None:
    world = tiny_world({"migration.interval": 1})
    for commit in play(world, 5)[1:]:
        for island, answer in enumerate(commit.answers):
            assert len(answer.arrivals) == 2
            at_the_end = set(answer.state.deme.keys())
            for a in answer.arrivals:
                genome, family = np.array([a.genome]), np.array([a.family])
                assert world.score(world.habitats[island].markets, family, genome)[0].tolist() == list(a.scores)
                assert a.survived == ((a.family, (genome[0] + 0.0).tobytes()) in at_the_end)
                assert (a.replaced is None) == (a.outcome == PRESENT)


def test_both_fates_of_arrivals_occur() -> None:
    arrivals = [a for commit in play(tiny_world(), 8) for answer in commit.answers for a in answer.arrivals]
    assert {a.survived for a in arrivals} == {True, False}
    assert {a.outcome for a in arrivals} == {ACCEPTED, PRESENT}


# What is refused


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("selection", "bst", "migration.selection = 'bst' (did you mean 'best'?); known: best, tournament, distance"),
        ("replacement", "worse", "migration.replacement = 'worse' (did you mean 'worst'?); known: worst, random, similar"),
    ],
)
def test_rule_that_does_not_exist_is_refused_before_a_campaign_begins(key: str, value: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        try_settings(tiny_world({f"migration.{key}": value}))
    assert str(error.value) == message


def test_nobody_arrives_and_nothing_changes() -> None:
    world = tiny_world()
    deme = people(world, [2, 3], [0.1, 0.4])
    after, settled, log = admit(world, 0, 4, deme, [])
    assert (same(after, deme), len(settled), log) == (True, 0, ())
