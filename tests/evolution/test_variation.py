"""Batch forms against DEAP's own operators: to the last bit given the same numbers, by distribution given other ones."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from deap import tools
from effort import thinned
from worlds import in_another_process, links, play, tiny, tiny_world

from islands.evolution import variation
from islands.evolution.breeding import Fitness, Offspring, breed, make_toolbox, mutants
from islands.evolution.deme import COPY, CROSSOVER, CROSSOVER_MUTATION, MUTATION, ORIGINS, RESET, Deme
from islands.evolution.island import advance_epoch
from islands.evolution.variation import CROSSOVERS, MUTATIONS, SELECTIONS, Candidates, Children, candidates, pairs
from islands.evolution.world import World
from islands.randomness import Purpose, stream

BOUNDS = {"low": 0.0, "up": 1.0}
DEAPS = {"evolution.engine": "deap"}


def children_of(genes: np.ndarray, sizes: list[int] | None = None) -> Children:
    """Children of these scaled genes, of one family unless told otherwise."""
    count, width = genes.shape
    none = np.full(count, -1)
    own = np.array(sizes) if sizes else np.full(count, width)
    return Children(np.zeros(count, dtype=np.int64), np.arange(count), none, np.zeros(count, dtype=bool), genes.copy(), own)


class Fixed:
    """A generator whose numbers are known beforehand."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        assert shape == self.numbers.shape
        return self.numbers.copy()


@contextlib.contextmanager
def drawing(numbers: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python's global generator gives these numbers, and all of them are used."""
    left = iter(numbers)
    with monkeypatch.context() as patched:
        patched.setattr(random, "random", lambda: next(left))
        patched.setattr(random, "gauss", random.Random.gauss.__get__(_Drawn(left)))
        yield
    assert not list(left)


class _Drawn:
    """What random.gauss needs of a generator; it keeps no second number."""

    def __init__(self, left: Iterator[float]) -> None:
        self.random = left.__next__

    @property
    def gauss_next(self) -> None:
        return None

    @gauss_next.setter
    def gauss_next(self, value: float | None) -> None:
        pass


# To the last bit

PAIRS = {  # how many numbers a gene may need; which of them DEAP draws of a gene, of parents x and y
    "cxSimulatedBinaryBounded": (
        {"eta": 10.0, **BOUNDS},
        (3,),
        lambda u, x, y: u.tolist() if u[0] <= 0.5 and abs(x - y) > 1e-14 else [u[0]],
    ),
    "cxSimulatedBinary": ({"eta": 2.5}, (), lambda u, x, y: [float(u)]),
    "cxBlend": ({"alpha": 0.3}, (), lambda u, x, y: [float(u)]),
    "cxUniform": ({"indpb": 0.3}, (), lambda u, x, y: [float(u)]),
}


@pytest.mark.parametrize("name", list(PAIRS))
def test_pairs_become_deaps_children_given_the_numbers_that_deap_draws(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, shape, drawn = PAIRS[name]
    chance = np.random.default_rng(1)
    genes = chance.random((60, 5))
    genes[1, :] = genes[0, :]  # equal parents
    sizes = [5 - (pair % 3) for pair in range(30) for _ in range(2)]
    first, second = np.arange(0, 60, 2), np.arange(1, 60, 2)
    numbers = chance.random((30, 5, *shape))
    children = children_of(genes, sizes)
    CROSSOVERS[name](children, first, second, Fixed(numbers), **parameters)
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        one, other = genes[a, : sizes[a]].tolist(), genes[b, : sizes[b]].tolist()
        script = [n for u, x, y in zip(numbers[i], one, other, strict=False) for n in drawn(u, x, y)]
        with drawing(script, monkeypatch):
            expected = getattr(tools, name)(one, other, **parameters)
        assert [children.genes[row, : sizes[row]].tolist() for row in (a, b)] == [list(child) for child in expected]


SINGLES = {
    "mutPolynomialBounded": ({"eta": 7.5, "indpb": 0.4, **BOUNDS}, 2, lambda u: u.tolist() if u[0] <= 0.4 else [u[0]]),
    "mutGaussian": ({"mu": 0.1, "sigma": 0.2, "indpb": 0.4}, 3, lambda u: u.tolist() if u[0] < 0.4 else [u[0]]),
}


@pytest.mark.parametrize("name", list(SINGLES))
def test_mutants_are_deaps_given_the_numbers_that_deap_draws(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, count, drawn = SINGLES[name]
    chance = np.random.default_rng(2)
    genes, sizes = chance.random((80, 5)), [5 - row % 3 for row in range(80)]
    rows = np.flatnonzero(chance.random(80) < 0.6)
    numbers = chance.random((len(rows), 5, count))
    children = children_of(genes, sizes)
    MUTATIONS[name](children, rows, Fixed(numbers), **parameters)
    for row, own in zip(rows.tolist(), numbers, strict=True):
        with drawing([n for u in own[: sizes[row]] for n in drawn(u)], monkeypatch):
            (expected,) = getattr(tools, name)(genes[row, : sizes[row]].tolist(), **parameters)
        assert children.genes[row, : sizes[row]].tolist() == expected
    still = np.setdiff1d(np.arange(80), rows)
    assert np.array_equal(children.genes[still], genes[still])


def test_a_parameter_of_each_gene_is_taken_gene_by_gene(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"eta": 3.0, "low": [0.0, 0.2, 0.4], "up": [0.5, 0.6, 0.7], "indpb": 1.0}
    genes = np.array([[0.25, 0.5, 0.45], [0.1, 0.3, 0.9]])
    numbers = np.random.default_rng(3).random((2, 3, 2))
    children = children_of(genes, [3, 2])
    MUTATIONS["mutPolynomialBounded"](children, np.arange(2), Fixed(numbers), **parameters)
    for row, size in ((0, 3), (1, 2)):
        with drawing(numbers[row, :size].ravel().tolist(), monkeypatch):
            (expected,) = tools.mutPolynomialBounded(genes[row, :size].tolist(), **parameters)
        assert children.genes[row, :size].tolist() == expected


@pytest.mark.parametrize("outside", [-0.3, 1.7])
def test_gene_that_a_crossover_left_outside_the_bounds_is_mutated_from_the_nearer_one(outside: float) -> None:
    """DEAP's formula takes a power of a negative number there: a complex one, which it fails to compare."""
    with pytest.raises(TypeError):
        for _ in range(100):
            tools.mutPolynomialBounded([outside], eta=7.5, indpb=1.0, **BOUNDS)
    numbers = np.random.default_rng(4).random((400, 1, 2))
    children, at_bound = children_of(np.full((400, 1), outside)), children_of(np.full((400, 1), float(outside > 0.5)))
    for some in (children, at_bound):
        MUTATIONS["mutPolynomialBounded"](some, np.arange(400), Fixed(numbers), eta=7.5, indpb=1.0, **BOUNDS)
    assert np.array_equal(children.genes, at_bound.genes)
    assert (children.genes >= 0.0).all() and (children.genes <= 1.0).all()


# By distribution: 10,000 uses of each form, compared by the largest difference of the distribution functions

USES = 10_000
CRITICAL = 1.95 * (2.0 / USES) ** 0.5  # of Kolmogorov and Smirnov's test of two samples, at 0.1 %

PARENTS = ([0.1, 0.45, 0.8, 0.99], [0.3, 0.5, 0.2, 0.98])


def largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Between the two samples' distribution functions."""
    points = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(sample), points, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


VARIATIONS: list[tuple[str, dict[str, Any]]] = [
    ("cxSimulatedBinaryBounded", {"eta": 10.0, **BOUNDS}),
    ("cxSimulatedBinaryBounded", {"eta": 1.0, **BOUNDS}),
    ("cxSimulatedBinary", {"eta": 2.0}),
    ("cxBlend", {"alpha": 0.5}),
    ("cxUniform", {"indpb": 0.3}),
    ("cxOnePoint", {}),
    ("cxTwoPoint", {}),
    ("mutPolynomialBounded", {"eta": 10.0, "indpb": 0.4, **BOUNDS}),
    ("mutPolynomialBounded", {"eta": 1.0, "indpb": 1.0, **BOUNDS}),
    ("mutGaussian", {"mu": 0.1, "sigma": 0.3, "indpb": 0.5}),
]


@pytest.mark.parametrize(("name", "parameters"), VARIATIONS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(VARIATIONS)])
def test_variation_is_deaps_by_distribution(name: str, parameters: dict[str, Any]) -> None:
    """Of each gene of each child, and of how the genes of a child go together: their sum and who equals a parent."""
    batch, deap = varied(name, parameters), one_by_one(name, parameters)
    assert batch.shape == deap.shape
    for place in np.ndindex(batch.shape[1:]):
        assert largest_difference(batch[:, *place], deap[:, *place]) < CRITICAL, place
    for sample in (lambda x: x.sum(axis=2)[:, 0], kept):
        assert largest_difference(sample(batch), sample(deap)) < CRITICAL


def kept(children: np.ndarray) -> np.ndarray:
    """Which genes of the first child are the first parent's, as a number."""
    return (children[:, 0] == np.array(PARENTS[0])) @ (2.0 ** np.arange(4))


def varied(name: str, parameters: dict[str, Any]) -> np.ndarray:
    """Children of PARENTS, (USES, 1 or 2, 4), by the batch form."""
    chance = stream(5, purpose=Purpose.PROBE)
    if name in MUTATIONS:
        children = children_of(np.tile(PARENTS[0], (USES, 1)))
        MUTATIONS[name](children, np.arange(USES), chance, **parameters)
        return children.genes[:, None, :]
    children = children_of(np.tile(PARENTS, (USES, 1)))
    CROSSOVERS[name](children, np.arange(0, 2 * USES, 2), np.arange(1, 2 * USES, 2), chance, **parameters)
    return children.genes.reshape(USES, 2, 4)


def one_by_one(name: str, parameters: dict[str, Any]) -> np.ndarray:
    state = random.getstate()
    random.seed(6)
    count = 1 if name in MUTATIONS else 2
    children = [getattr(tools, name)(*[list(parent) for parent in PARENTS[:count]], **parameters) for _ in range(USES)]
    random.setstate(state)
    return np.array(children)


# Selection


class Person:
    def __init__(self, worths: tuple[float, ...], violation: float, front: int, crowding: float, row: int) -> None:
        self.fitness, self.row = Fitness(worths, violation, front, crowding), row


def a_world(scores: list[list[float]]) -> tuple[World, Deme]:
    """A world of one or two objectives, and a deme of these scores."""
    several = {"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]} if len(scores[0]) == 3 else {}
    count = len(scores)
    genomes = np.column_stack([np.arange(2.0, 2.0 + count), *[np.full(count, 40.0)] * 3])
    births = np.column_stack([np.zeros(count), np.zeros(count), np.arange(count)])
    return tiny_world(several), Deme(np.zeros(count), genomes, np.array(scores), births)


ONE = [[1.0, 0.0], [3.0, 0.0], [3.0, 0.0], [-2.0, 0.0], [np.nan, np.inf], [5.0, 0.5], [7.0, 0.5], [2.0, 0.25]]
TWO = [
    [4.0, 0.4, 0.0],
    [3.0, 0.3, 0.0],
    [2.0, 0.2, 0.0],
    [1.0, 0.1, 0.0],
    [0.5, 0.5, 0.0],
    [0.5, 0.6, 0.0],
    [9.0, 0.01, 0.5],
    [9.0, 0.02, 0.5],
]


def people_of(world: World, deme: Deme) -> list[Person]:
    from islands.evolution.ranking import crowded

    front, crowding = crowded(deme, world.signs) if len(world.signs) > 1 else (np.zeros(len(deme)), np.zeros(len(deme)))
    worths = [tuple((row[:-1] * world.signs).tolist()) for row in deme.scores]
    columns = zip(worths, deme.scores[:, -1].tolist(), front.tolist(), crowding.tolist(), strict=True)
    return [Person(*column, row) for row, column in enumerate(columns)]


@pytest.mark.parametrize("scores", [ONE, TWO], ids=["one objective", "two objectives"])
def test_ranks_are_the_order_of_fitness(scores: list[list[float]]) -> None:
    world, deme = a_world(scores)
    ranks, people = candidates(world, deme).ranks, people_of(world, deme)
    assert ranks.min() == 0
    assert len(set(ranks.tolist())) == ranks.max() + 1
    for i, j in itertools.product(range(len(people)), repeat=2):
        assert (ranks[i] < ranks[j]) == (people[i].fitness > people[j].fitness)


@pytest.mark.parametrize("scores", [ONE, TWO], ids=["one objective", "two objectives"])
def test_domination_is_that_of_fitness(scores: list[list[float]]) -> None:
    world, deme = a_world(scores)
    people = people_of(world, deme)
    rows, others = np.array(list(itertools.product(range(len(people)), repeat=2))).T
    expected = [people[i].fitness.dominates(people[j].fitness) for i, j in zip(rows.tolist(), others.tolist(), strict=True)]
    assert candidates(world, deme).dominate(rows, others).tolist() == expected


@pytest.mark.parametrize("scores", [ONE, TWO], ids=["one objective", "two objectives"])
@pytest.mark.parametrize("name", ["selBest", "selWorst"])
def test_selection_without_chance_is_deaps(name: str, scores: list[list[float]]) -> None:
    world, deme = a_world(scores)
    people = people_of(world, deme)
    for count in (3, len(people)):
        expected = [person.row for person in getattr(tools, name)(people, count)]
        assert SELECTIONS[name](candidates(world, deme), count, None).tolist() == expected


CHOICES: list[tuple[str, dict[str, Any]]] = [
    ("selTournament", {"tournsize": 1}),
    ("selTournament", {"tournsize": 3}),
    ("selTournament", {"tournsize": 7}),
    ("selRandom", {}),
    ("selTournamentDCD", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize("scores", [ONE, TWO], ids=["one objective", "two objectives"])
@pytest.mark.parametrize(("name", "parameters"), CHOICES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CHOICES)])
def test_selection_is_deaps_by_distribution(name: str, parameters: dict[str, Any], scores: list[list[float]]) -> None:
    """Of whom each place of the list goes to, and of how often one individual is taken at a time."""
    world, deme = a_world(scores)
    everybody, people, chance = candidates(world, deme), people_of(world, deme), stream(7, purpose=Purpose.PROBE)
    state, uses = random.getstate(), 5_000
    random.seed(8)
    batch = np.array([SELECTIONS[name](everybody, 8, chance, **parameters) for _ in range(uses)])
    deap = np.array([[one.row for one in getattr(tools, name)(people, 8, **parameters)] for _ in range(uses)])
    random.setstate(state)
    critical = 1.95 * (2.0 / uses) ** 0.5
    assert all(largest_difference(batch[:, place], deap[:, place]) < critical for place in range(8))
    for row in range(8):
        assert largest_difference((batch == row).sum(axis=1), (deap == row).sum(axis=1)) < critical
    assert largest_difference(batch[:, 0] * 8 + batch[:, 1], deap[:, 0] * 8 + deap[:, 1]) < critical


def test_crowded_tournament_asks_for_fours() -> None:
    everybody = Candidates(np.arange(6), np.zeros(6), np.zeros((6, 2)), np.zeros(6))
    with pytest.raises(ValueError, match="6 parents are no multiple of four"):
        SELECTIONS["selTournamentDCD"](everybody, 6, stream(1, purpose=Purpose.PROBE))


# A whole breeding


def founded(world: World) -> Deme:
    return advance_epoch(world, 0, 1, None, []).state.deme


def test_pairs_are_neighbours_of_a_family() -> None:
    first, second = pairs(np.array([2, 0, 2, 0, 0, 2, 2, 1, 2]))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 3), (0, 2), (5, 6)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crossover", "mutation"), thinned([(0.7, 0.5), (0.25, 0.1), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)], (0.7, 0.5))
)
def test_children_are_touched_as_often_as_by_deaps_own(crossover: float, mutation: float) -> None:
    """Rates of each origin over 300 generations of 60: within four standard deviations of each other."""
    counts = {}
    for engine in ("batch", "deap"):
        changes = {"evolution.population": 60, "evolution.engine": engine, "archipelago.islands": 1}
        rates = {
            "evolution.crossover": {"operator": "cxUniform", "indpb": 0.5, "rate": crossover},
            "evolution.mutation": {"operator": "mutGaussian", "mu": 0.0, "sigma": 0.1, "indpb": 0.5, "rate": mutation},
        }
        world = tiny_world({**changes, **rates})
        deme = founded(tiny_world(changes))
        counts[engine] = np.bincount(
            np.concatenate([breed(world, 0, generation, deme).origins for generation in range(1, 301)]),
            minlength=len(ORIGINS),
        )
    assert counts["batch"].sum() == counts["deap"].sum() == 300 * 60
    spread = 4.0 * np.sqrt(2.0 * (counts["deap"] + 1.0))  # a pair is crossed at once: twice the variance
    assert (np.abs(counts["batch"] - counts["deap"]) <= spread * np.sqrt(2.0)).all()
    expected = {COPY, CROSSOVER, MUTATION, CROSSOVER_MUTATION}
    if 0.0 in (crossover, mutation):
        expected = {COPY} | ({CROSSOVER} if crossover else set()) | ({MUTATION} if mutation else set())
    if mutation == 1.0:
        expected -= {COPY}
    assert {int(i) for i in np.flatnonzero(counts["batch"])} == expected


@pytest.mark.parametrize("engine", ["batch", "deap"])
def test_parents_and_origins_of_a_child_are_told(engine: str) -> None:
    crossover = {"operator": "cxOnePoint", "rate": 0.6}
    world = tiny_world({"evolution.population": 40, "evolution.crossover": crossover, "evolution.engine": engine})
    deme = founded(tiny_world({"evolution.population": 40}))
    row_of = {tuple(birth): row for row, birth in enumerate(deme.births.tolist())}
    crossed, seen = (CROSSOVER, CROSSOVER_MUTATION), set()
    for generation in range(1, 20):
        born = breed(world, 0, generation, deme)
        partner: dict[tuple[int, ...], int] = {}
        for family, genome, origin, parents in zip(born.families, born.genomes, born.origins, born.parents, strict=True):
            seen.add(int(origin))
            parent = row_of[tuple(parents[:3].tolist())]
            assert deme.families[parent] == family
            if origin in crossed:
                mate = row_of[tuple(parents[3:].tolist())]
                assert deme.families[mate] == family
                partner[parent, mate] = partner.get((parent, mate), 0) + 1
            else:
                assert parents[3:].tolist() == [-1, -1, -1]
            if origin == COPY:
                assert genome.tobytes() == deme.genomes[parent].tobytes()
        for parent, mate in partner:  # each pair leaves two children: one of either
            assert parent == mate or partner[parent, mate] == partner[mate, parent]
    assert seen == {COPY, CROSSOVER, MUTATION, CROSSOVER_MUTATION}


SHAKE = {"operator": "own_operators:shake", "rate": 0.5, "width": 0.2}
MIXED: dict[str, dict[str, Any]] = {
    "batch selection and crossover, own mutation": {"evolution.mutation": SHAKE},
    "batch selection and mutation, own crossover": {"evolution.crossover": {"operator": "odd_operators:swapped", "rate": 0.7}},
    "own selection": {"evolution.selection": {"operator": "own_operators:first_of_all"}},
    "batch selection alone": {
        "evolution.crossover": {"operator": "odd_operators:both_mirrored", "rate": 0.7},
        "evolution.mutation": SHAKE,
    },
    "batch crossover alone": {"evolution.selection": {"operator": "selLexicase"}, "evolution.mutation": SHAKE},
}


@pytest.mark.parametrize("case", list(MIXED))
def test_operators_with_and_without_batch_form_work_side_by_side(case: str) -> None:
    world = tiny_world({"evolution.population": 40, **MIXED[case]})
    deme = founded(tiny_world({"evolution.population": 40}))
    born = [breed(world, 0, generation, deme) for generation in range(1, 10)]
    again = [breed(world, 0, generation, deme) for generation in range(1, 10)]
    assert [as_bytes(one) for one in born] == [as_bytes(one) for one in again]
    assert {int(origin) for one in born for origin in one.origins} == {COPY, CROSSOVER, MUTATION, CROSSOVER_MUTATION}
    for one in born:
        for index in np.unique(one.families).tolist():
            rows = world.genes(index, one.genomes[one.families == index])
            assert np.array_equal(world.spaces[index].repair(rows), rows)
    assert len({as_bytes(one) for one in born}) == len(born)


def as_bytes(born: Offspring) -> bytes:
    return b"".join(column.tobytes() for column in (born.families, born.genomes, born.origins, born.parents))


def test_individuals_made_for_a_users_mutation_are_what_they_were() -> None:
    """After a batch selection and crossover an individual knows its fitness, its parent, its mate and its genes."""
    world = tiny_world({"evolution.population": 40, "evolution.mutation": {"operator": "own_operators:look", "rate": 1.0}})
    import own_operators

    deme = founded(tiny_world({"evolution.population": 40}))
    own_operators.looked_at.clear()
    born = breed(world, 0, 5, deme)
    looked = list(own_operators.looked_at)
    assert [row for _, row, _, _ in looked] == [deme.births.tolist().index(parent[:3]) for parent in born.parents.tolist()]
    for (fitness, row, mate, genes), parent in zip(looked, born.parents.tolist(), strict=True):
        assert fitness == Fitness((float(deme.scores[row, 0]),), float(deme.scores[row, 1]))
        assert (mate == -1) == (parent[3] == -1)
        assert len(genes) == len(world.spaces[int(deme.families[row])].genes)
        assert all(isinstance(gene, float) and 0.0 < gene < 1.0 for gene in genes)


def test_batch_forms_stand_in_the_toolbox_beside_deaps_own() -> None:
    toolbox = make_toolbox(tiny().evolution)
    assert toolbox.select.func is tools.selTournament
    assert toolbox.select_all.func is SELECTIONS["selTournament"]
    assert toolbox.mate_all.keywords == {"low": 0.0, "up": 1.0, "eta": 10.0}
    assert toolbox.mutate_all.keywords == {"low": 0.0, "up": 1.0, "eta": 10.0, "indpb": 0.4}


@pytest.mark.parametrize(
    "changes",
    [DEAPS, {"evolution.selection": {"operator": "selTournament", "tournsize": 3, "fit_attr": "fitness"}}],
    ids=["engine deap", "a parameter that the batch form does not have"],
)
def test_deaps_own_works_alone_where_it_is_asked_for(changes: dict[str, Any]) -> None:
    assert not hasattr(make_toolbox(tiny(changes).evolution), "select_all")


@pytest.mark.parametrize("name", [*SELECTIONS, *CROSSOVERS, *MUTATIONS])
def test_batch_form_has_the_parameters_of_deaps_operator(name: str) -> None:
    given = 3 if name in SELECTIONS or name in MUTATIONS else 4
    form: Callable[..., Any] = {**SELECTIONS, **CROSSOVERS, **MUTATIONS}[name]
    own = list(inspect.signature(getattr(tools, name)).parameters)[1 if name in MUTATIONS else 2 :]
    assert list(inspect.signature(form).parameters)[given:] == [key for key in own if key != "fit_attr"]


def test_mutants_of_a_reset_are_each_mutated_once_in_turn() -> None:
    mutation = {"operator": "mutGaussian", "mu": 0.0, "sigma": 0.3, "indpb": 1.0, "rate": 0.1}
    world, deme = tiny_world({"evolution.mutation": mutation}), founded(tiny_world())
    born = mutants(world, 0, 5, deme, 20)
    assert born.origins.tolist() == [RESET] * 20
    assert born.parents[:, :3].tolist() == [deme.births[i % 12].tolist() for i in range(20)]
    assert (born.parents[:, 3:] == -1).all()


def test_batch_breeding_touches_no_global_generator() -> None:
    world, deme = tiny_world(), founded(tiny_world())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("islands.evolution.breeding.seeded_globals", None)  # calling it would fail
        breed(world, 0, 5, deme)
        with pytest.raises(TypeError):
            breed(tiny_world(DEAPS), 0, 5, deme)


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_breeds_the_same_children(hash_seed: str) -> None:
    changes = {
        "evolution.population": 60,
        "evolution.mutation": {"operator": "mutGaussian", "mu": 0, "sigma": 0.1, "indpb": 1, "rate": 1},
    }
    code = f"from worlds import *; print(links(play(tiny_world({changes!r}), 2))[-1])"
    assert in_another_process(code, PYTHONHASHSEED=hash_seed) == links(play(tiny_world(changes), 2))[-1]


def test_number_of_columns_of_other_families_does_not_matter_to_a_kernel() -> None:
    """An individual of three genes in a matrix of five is crossed in three."""
    genes = np.random.default_rng(9).random((2, 5))
    children = children_of(genes, [3, 3])
    variation.CROSSOVERS["cxSimulatedBinary"](children, np.array([0]), np.array([1]), stream(1, purpose=Purpose.PROBE), eta=2.0)
    assert np.array_equal(children.genes[:, 3:], genes[:, 3:])
    assert (children.genes[:, :3] != genes[:, :3]).all()
