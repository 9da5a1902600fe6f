"""Offspring: DEAP's operators by name, a user's own, bounds and constraints, and the order of fitness."""

from __future__ import annotations

import copy
import hashlib
import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import odd_operators
import pytest
from worlds import tiny, tiny_bars, tiny_world

from islands.archipelago.manifest import make_manifest
from islands.errors import SpecError, StepFailed
from islands.evolution.breeding import Fitness, Offspring, breed, make_toolbox, operator_sources, try_operators
from islands.evolution.deme import Deme
from islands.evolution.island import advance_epoch
from islands.evolution.world import World
from islands.spec import ONLY

NO_CROSSOVER = {"evolution.crossover": {"operator": "cxTwoPoint", "rate": 0.0}}
NO_MUTATION = {"evolution.mutation": {"operator": "mutFlipBit", "rate": 0.0, "indpb": 0.5}}
SENDS_1 = {"migration.emigrants": 1}
SHAKE = {"operator": "own_operators:shake", "rate": 1.0, "width": 0.2}


def founded(world: World, island: int = 0) -> Deme:
    """A deme of that world as it stands after an epoch."""
    return advance_epoch(world, island, 1, None, []).state.deme


def children_of(changes: dict[str, Any], generation: int = 6) -> tuple[World, Deme, Offspring]:
    world = tiny_world(changes)
    deme = founded(tiny_world())
    return world, deme, breed(world, 0, generation, deme)


def genomes(offspring: Offspring) -> list[tuple[int, bytes]]:
    return [(int(f), g.tobytes()) for f, g in zip(offspring.families, offspring.genomes, strict=True)]


def assert_sound(world: World, offspring: Offspring) -> None:
    """Every child lies on the lattice within the bounds and keeps the constraints: repair finds nothing to do."""
    for index in np.unique(offspring.families).tolist():
        rows = world.genes(index, offspring.genomes[offspring.families == index])
        space = world.spaces[index]
        assert np.array_equal(space.repair(rows), rows)
        for j, gene in enumerate(space.genes):
            assert (rows[:, j] >= gene.low).all()
            assert (rows[:, j] <= gene.high).all()
        for rule in space.family.constraints:
            names = [gene.name for gene in space.genes]
            assert (rows[:, names.index(rule.small)] < rows[:, names.index(rule.large)]).all()


# Operators by name

OPERATORS: dict[str, list[dict[str, Any]]] = {
    "selection": [
        {"operator": "selTournament", "tournsize": 3},
        {"operator": "selTournament", "tournsize": 12},
        {"operator": "selBest"},
        {"operator": "selWorst"},
        {"operator": "selRandom"},
        {"operator": "selNSGA2"},
        {"operator": "selTournamentDCD"},
        {"operator": "selLexicase"},
        {"operator": "own_operators:first_of_all"},
    ],
    "crossover": [
        {"operator": "cxSimulatedBinaryBounded", "eta": 10.0},
        {"operator": "cxSimulatedBinary", "eta": 2.0},
        {"operator": "cxOnePoint"},
        {"operator": "cxTwoPoint"},
        {"operator": "cxUniform", "indpb": 0.5},
        {"operator": "cxBlend", "alpha": 0.5},
        {"operator": "odd_operators:swapped"},
    ],
    "mutation": [
        {"operator": "mutPolynomialBounded", "eta": 10.0, "indpb": 0.4},
        {"operator": "mutGaussian", "mu": 0.0, "sigma": 0.3, "indpb": 0.5},
        {"operator": "mutShuffleIndexes", "indpb": 0.5},
        {"operator": "mutFlipBit", "indpb": 0.5},
        {"operator": "own_operators:shake", "width": 0.3},
        {"operator": "odd_operators:outside", "distance": 0.7},
    ],
}


@pytest.mark.parametrize(
    ("part", "operator"),
    [(part, operator) for part, operators in OPERATORS.items() for operator in operators],
    ids=[operator["operator"] for operators in OPERATORS.values() for operator in operators],
)
def test_children_of_any_operator_stay_in_bounds_and_keep_constraints(part: str, operator: dict[str, Any]) -> None:
    changes = {f"evolution.{part}": {**operator} if part == "selection" else {**operator, "rate": 1.0}}
    world, deme, children = children_of(changes)
    assert children.genomes.shape == deme.genomes.shape
    assert_sound(world, children)
    assert genomes(children) == genomes(breed(world, 0, 6, deme))
    _, _, default = children_of({})
    assert genomes(children) != genomes(default) or operator == {"operator": "selTournament", "tournsize": 3}


def test_every_operator_has_its_own_effect() -> None:
    for part, operators in OPERATORS.items():
        rate = {} if part == "selection" else {"rate": 1.0}
        # Each alone, so that nothing else can make a difference.
        alone = {} if part == "selection" else NO_MUTATION if part == "crossover" else NO_CROSSOVER
        # With one objective selNSGA2 is selBest, and selLexicase takes the best alone, who stands first.
        operators = [operator for operator in operators if operator["operator"] not in ("selNSGA2", "selLexicase")]
        results = [genomes(children_of({**alone, f"evolution.{part}": {**o, **rate}})[2]) for o in operators]
        same = [
            (a["operator"], b["operator"])
            for (a, x), (b, y) in itertools.combinations(list(zip(operators, results, strict=True)), 2)
            if x == y
        ]
        assert same == []


def test_genes_beyond_the_unit_interval_mean_its_ends() -> None:
    outside = {"operator": "odd_operators:outside", "rate": 1.0, "distance": 5.0}  # down, up, down, up
    world = tiny_world({**NO_CROSSOVER, "evolution.mutation": outside, "evolution.selection": {"operator": "selBest"}})
    founders = advance_epoch(world, 0, 1, None, []).trials.deme.take(range(12))
    children = breed(world, 0, 5, founders)
    ends = [[2.0, 40.0, 0.0, 2.0], [2.0, 60.0, 0.0], [2.0, 45.0, 46.0, 2.0]]  # an exit of 30 is repaired
    assert set(children.families.tolist()) == {0, 1, 2}
    for family, genome in zip(children.families.tolist(), children.genomes, strict=True):
        assert world.genes(family, genome[None, :])[0].tolist() == ends[family]


def test_operators_are_those_that_the_toolbox_holds() -> None:
    toolbox = make_toolbox(tiny().evolution)
    assert (toolbox.select.func.__name__, toolbox.select.keywords) == ("selTournament", {"tournsize": 3})
    assert toolbox.mate.func.__name__ == "cxSimulatedBinaryBounded"
    assert toolbox.mate.keywords == {"low": 0.0, "up": 1.0, "eta": 10.0}
    assert toolbox.mutate.func.__name__ == "mutPolynomialBounded"
    assert toolbox.mutate.keywords == {"low": 0.0, "up": 1.0, "eta": 10.0, "indpb": 0.4}


REFUSED = {
    "unknown operator": (
        {"operator": "selTournamnt", "tournsize": 3},
        "operator 'selTournamnt': not found in deap.tools (did you mean 'selTournament'?)",
    ),
    "operator of another kind": ({"operator": "mutFlipBit"}, "operator 'mutFlipBit': not found in deap.tools"),
    "tool that is no operator": ({"operator": "HallOfFame"}, "operator 'HallOfFame': not found in deap.tools"),
    "missing parameter": (
        {"operator": "selTournament"},
        "operator selTournament: needs tournsize; give it in the spec beside `operator`",
    ),
    "unknown parameter": (
        {"operator": "selTournament", "tornsize": 3},
        "operator selTournament: no parameter 'tornsize' (did you mean 'tournsize'?); it takes tournsize, fit_attr",
    ),
    "unknown module": (
        {"operator": "no_such_module:select"},
        "operator 'no_such_module:select': No module named 'no_such_module'; the module must be importable on every worker",
    ),
    "no module": (
        {"operator": ":select"},
        "operator ':select': Empty module name; the module must be importable on every worker",
    ),
    "unknown function": ({"operator": "odd_operators:thirds"}, "operator 'odd_operators:thirds': not found in odd_operators"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_operator_that_does_not_exist_or_fit_is_refused(case: str) -> None:
    operator, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        make_toolbox(tiny({"evolution.selection": operator}).evolution)
    assert str(error.value) == message


@pytest.mark.parametrize("part", ["crossover", "mutation"])
def test_unknown_variation_is_refused(part: str) -> None:
    with pytest.raises(SpecError, match=r"operator 'selBest': not found in deap\.tools"):
        make_toolbox(tiny({f"evolution.{part}": {"operator": "selBest", "rate": 0.5}}).evolution)


def test_missing_keyword_only_parameter_is_refused() -> None:
    operator = {"operator": "odd_operators:keyword_only", "rate": 1.0}
    with pytest.raises(SpecError, match="needs width"):
        make_toolbox(tiny({"evolution.mutation": operator}).evolution)
    make_toolbox(tiny({"evolution.mutation": {**operator, "width": 0.5}}).evolution)


MISBEHAVING = {
    "other length": ("mutation", "odd_operators:longer", "returned [45] genes for [34]; it must keep them"),
    "not a number": ("mutation", "odd_operators:undefined", "an operator returned a gene that is no finite number"),
    "too few parents": ("selection", "odd_operators:half", "odd_operators:half: selected 6 parents, asked for 12"),
    "roulette where nobody is feasible": ("selection", "selRoulette", "operator selRoulette: selected 0 parents, asked for 12"),
}


@pytest.mark.parametrize("case", list(MISBEHAVING))
def test_operator_that_breaks_its_contract_stops_the_step(case: str) -> None:
    part, name, words = MISBEHAVING[case]
    operator = {"operator": name} if part == "selection" else {"operator": name, "rate": 1.0}
    world = tiny_world({f"evolution.{part}": operator})
    deme = founded(tiny_world({"limits.min_trades": 10_000}))
    with pytest.raises(StepFailed, match=words):
        breed(world, 0, 5, deme)


def test_a_users_own_operator_and_its_source_enter_the_manifest() -> None:
    world, tapes = tiny_world({"evolution.mutation": SHAKE}), {ONLY: tiny_bars().tape}
    source = hashlib.sha256((Path(odd_operators.__file__).parent / "own_operators.py").read_bytes()).hexdigest()
    assert operator_sources([world.spec.evolution]) == {"own_operators:shake": source}
    manifest = make_manifest(world, tapes)
    assert manifest["operators"] == {"own_operators:shake": source}
    assert manifest["spec"]["evolution"]["mutation"] == SHAKE
    assert make_manifest(tiny_world(), tapes)["operators"] == {}


# Several objectives

TWO = {"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}], **NO_CROSSOVER, **NO_MUTATION}


def selected(operator: str, scores: list[list[float]], generations: int = 60) -> list[int]:
    """How often each of these individuals becomes a parent."""
    world = tiny_world({**TWO, "evolution.selection": {"operator": operator}})
    deme = founded(tiny_world()).take(range(len(scores)))
    scored = Deme(deme.families, deme.genomes, np.array(scores), deme.births)
    parents = [tuple(p[:3]) for g in range(1, generations + 1) for p in breed(world, 0, g, scored).parents.tolist()]
    return [parents.count(tuple(birth)) for birth in scored.births.tolist()]


FRONT = [[4.0, 0.4, 0.0], [3.0, 0.3, 0.0], [2.0, 0.2, 0.0], [1.0, 0.1, 0.0]]


def test_crowded_tournament_takes_nobody_whom_all_others_dominate_nor_the_infeasible() -> None:
    dominated = [*FRONT, [0.5, 0.5, 0.0], [0.4, 0.6, 0.0], [9.0, 0.01, 0.5], [9.0, 0.01, 0.6]]
    counts = selected("selTournamentDCD", dominated)
    assert sum(counts) == 8 * 60
    assert counts[7] == 0  # farther from the limits than everybody
    assert min(counts[:4]) > max(counts[4:])
    assert counts[4] > 0 and counts[6] < counts[5]


def test_crowded_tournament_prefers_those_with_distant_neighbours() -> None:
    """All on one front: the ends are infinitely far, and those in a cluster lose to the lonely one between."""
    scores = [[8.0, 0.8, 0.0], [4.0, 0.4, 0.0], [1.2, 0.12, 0.0], [1.1, 0.11, 0.0]]
    counts = selected(
        "selTournamentDCD", [*scores, *[[s - 0.05, d - 0.005, v] for s, d, v in scores[2:]], *[[0.9, 0.09, 0.0]] * 2]
    )
    assert counts[0] > counts[2]
    assert counts[1] > counts[2]


@pytest.mark.parametrize("operator", ["selBest", "selTournament"])
def test_other_selections_follow_the_crowded_comparison(operator: str) -> None:
    ends_first = [[1.0, 0.5, 0.0], *FRONT[:2], FRONT[3]]
    parameters = {"tournsize": 4} if operator == "selTournament" else {}
    world = tiny_world({**TWO, "evolution.selection": {"operator": operator, **parameters}})
    deme = founded(tiny_world()).take(range(4))
    scored = Deme(deme.families, deme.genomes, np.array(ends_first), deme.births)
    rows = [scored.births.tolist().index(parent[:3]) for parent in breed(world, 0, 5, scored).parents.tolist()]
    if operator == "selBest":
        assert (set(rows[:2]), rows[2:]) == ({1, 3}, [2, 0])
    else:
        assert 0 not in rows  # dominated; it would have to meet itself four times


def test_crowded_tournament_is_refused_where_the_population_makes_no_fours() -> None:
    for population, size in ((10, 10), (130, 130)):
        world = tiny_world({"evolution.population": population, "evolution.selection": {"operator": "selTournamentDCD"}})
        with pytest.raises(SpecError) as error:
            try_operators(world)
        assert str(error.value) == (
            "evolution.selection: operator selTournamentDCD (no parameters) fails when it is tried: ValueError: "
            "selTournamentDCD: k must be divisible by four if k == len(individuals); mend its parameters or the population "
            f"of {size}, or choose another"
        )
    for population in (4, 12, 128):
        try_operators(
            tiny_world({"evolution.population": population, "evolution.selection": {"operator": "selTournamentDCD"}, **SENDS_1})
        )


# Crossover and mutation


def test_crossover_stays_inside_a_family() -> None:
    world, deme, children = children_of(
        {**NO_MUTATION, "evolution.crossover": {"operator": "cxUniform", "rate": 1.0, "indpb": 0.5}}
    )
    crossed = 0
    for index in (0, 1, 2):
        before = world.genes(index, deme.genomes[deme.families == index])
        after = world.genes(index, children.genomes[children.families == index])
        # Uniform crossover moves whole genes: every gene of a child is one of its family's parents, or a repair of one.
        known = [set(column.tolist()) for column in before.T]
        crossed += sum(row.tobytes() not in {other.tobytes() for other in before} for row in after)
        direction = after[:, -1]
        assert set(direction.tolist()) <= known[-1]
    assert crossed > 0


def test_child_that_no_operator_touches_keeps_its_genome_bit_for_bit() -> None:
    _, deme, children = children_of({**NO_CROSSOVER, **NO_MUTATION})
    parents = set(deme.keys())
    assert all(key in parents for key in genomes(children))


def test_selection_of_the_best_without_variation_returns_the_deme_in_order() -> None:
    _, deme, children = children_of({**NO_CROSSOVER, **NO_MUTATION, "evolution.selection": {"operator": "selBest"}})
    ranks = {key: value for key, value in zip(deme.keys(), deme.scores[:, 0].tolist(), strict=True)}
    values = [ranks[key] for key in genomes(children)]
    assert values == sorted(deme.scores[:, 0].tolist(), reverse=True)


def test_no_child_is_mutated_at_rate_0_and_every_child_at_rate_1() -> None:
    for rate, kept in ((0.0, 12), (1.0, 0)):
        mutation = {"operator": "odd_operators:mirrored", "rate": rate}
        _, deme, children = children_of({**NO_CROSSOVER, "evolution.mutation": mutation})
        assert sum(key in set(deme.keys()) for key in genomes(children)) == kept


def test_no_pair_is_crossed_at_rate_0_and_every_pair_of_a_family_at_rate_1() -> None:
    for rate in (0.0, 1.0):
        crossover = {"operator": "odd_operators:both_mirrored", "rate": rate}
        _, deme, children = children_of({**NO_MUTATION, "evolution.crossover": crossover})
        single = sum(int(count) % 2 for count in np.unique(children.families, return_counts=True)[1])
        kept = sum(key in set(deme.keys()) for key in genomes(children))
        assert kept == (12 if rate == 0.0 else single)


def test_touched_child_that_did_not_move_is_no_new_genome() -> None:
    """Scaled, given to an operator that changes nothing, and scaled back: the same genome to the last bit."""
    _, deme, children = children_of(
        {**NO_MUTATION, "evolution.crossover": {"operator": "odd_operators:nothing_done", "rate": 1.0}}
    )
    assert set(genomes(children)) <= set(deme.keys())


# Chance


@pytest.mark.parametrize("other", [{"seed": 8}, {"island": 1}, {"generation": 6}], ids=str)
def test_another_seed_island_or_generation_breeds_other_children(other: dict[str, int]) -> None:
    deme = founded(tiny_world())
    here = breed(tiny_world(), 0, 5, deme)
    world = tiny_world({"seed": other.get("seed", 7)})
    there = breed(world, other.get("island", 0), other.get("generation", 5), deme)
    assert genomes(here) != genomes(there)


def test_breeding_leaves_the_global_generators_alone() -> None:
    world, deme = tiny_world(), founded(tiny_world())
    python_state, numpy_state = random.getstate(), np.random.get_state()
    breed(world, 0, 5, deme)
    assert random.getstate() == python_state
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))


def test_breeding_does_not_depend_on_the_global_generators() -> None:
    world, deme = tiny_world(), founded(tiny_world())
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        results.append(genomes(breed(world, 0, 5, deme)))
    assert results[0] == results[1]


def test_globals_are_restored_when_an_operator_fails() -> None:
    world = tiny_world({"evolution.mutation": {"operator": "odd_operators:fails", "rate": 1.0}})
    deme, state = founded(tiny_world()), random.getstate()
    with pytest.raises(ArithmeticError, match="always fails"):
        breed(world, 0, 5, deme)
    assert random.getstate() == state


# The order of fitness

BEST_TO_WORST = [
    Fitness((2.0,), 0.0),
    Fitness((-1.0,), 0.0),
    Fitness((-9.0,), 0.0),
    Fitness((5.0,), 0.1),
    Fitness((9.0,), 0.2),
    Fitness((0.0,), np.inf),
]


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations(range(len(BEST_TO_WORST)), 2)))
def test_feasible_stands_above_infeasible_and_nearer_above_farther(i: int, j: int) -> None:
    better, worse = BEST_TO_WORST[i], BEST_TO_WORST[j]
    assert better > worse
    assert better >= worse
    assert worse < better
    assert worse <= better
    assert better != worse
    assert better.dominates(worse)
    assert not worse.dominates(better)
    assert not better < worse
    assert not better <= worse


@pytest.mark.parametrize("worths", [((3.0,), (-3.0,)), ((3.0, 1.0), (-3.0, 2.0))], ids=["one objective", "two objectives"])
def test_infeasible_ones_equally_far_from_the_limits_are_equal_whatever_they_earn(
    worths: tuple[tuple[float, ...], tuple[float, ...]],
) -> None:
    one, other = (Fitness(worth, 0.5) for worth in worths)
    assert one == other
    assert hash(one) == hash(other)
    assert not one.dominates(other)
    assert one <= other


SEVERAL = [  # worths, violation, front, crowding: from best to worst by NSGA-II's crowded comparison
    Fitness((1.0, 4.0), 0.0, 0, np.inf),
    Fitness((2.0, 3.0), 0.0, 0, 0.5),
    Fitness((3.0, 2.0), 0.0, 0, 0.25),
    Fitness((1.0, 3.0), 0.0, 1, np.inf),
    Fitness((9.0, 9.0), 0.1, 0, np.inf),
    Fitness((9.0, 9.0), 0.2, 0, np.inf),
]


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations(range(len(SEVERAL)), 2)))
def test_of_several_objectives_the_front_decides_and_then_the_distance_to_the_neighbours(i: int, j: int) -> None:
    better, worse = SEVERAL[i], SEVERAL[j]
    assert better > worse
    assert worse < better
    assert not better <= worse
    assert not worse >= better
    assert better != worse
    assert better.dominates(worse) == (j >= 4 or (i, j) in {(0, 3), (1, 3)})
    assert not worse.dominates(better)


def test_fitness_sorts_and_is_shared_by_copies() -> None:
    shuffled = random.Random(4).sample(BEST_TO_WORST, len(BEST_TO_WORST))
    assert sorted(shuffled, reverse=True) == BEST_TO_WORST
    assert copy.deepcopy(BEST_TO_WORST[0]) is BEST_TO_WORST[0]


@pytest.mark.parametrize(("goal", "best"), [("max", 2), ("min", 0)])
def test_goal_decides_who_is_best(goal: str, best: int) -> None:
    world = tiny_world({**NO_CROSSOVER, **NO_MUTATION, "objective.goal": goal, "evolution.selection": {"operator": "selBest"}})
    deme = founded(world).take([0, 1, 2])
    scored = Deme(deme.families, deme.genomes, [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], deme.births)
    assert genomes(breed(world, 0, 5, scored))[0] == scored.keys()[best]


def test_undefined_value_ranks_last_in_selection() -> None:
    world = tiny_world({**NO_CROSSOVER, **NO_MUTATION, "evolution.selection": {"operator": "selBest"}})
    deme = founded(world).take([0, 1, 2])
    scored = Deme(deme.families, deme.genomes, [[np.nan, np.inf], [-2.0, 0.0], [3.0, 0.5]], deme.births)
    assert genomes(breed(world, 0, 5, scored)) == [scored.keys()[i] for i in (1, 2, 0)]
