"""Who sends to whom: each rule by hand or by its defining properties, and what can't be."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import links, play, tiny_world

from islands.errors import SpecError
from islands.evolution.topology import TOPOLOGIES, Topology, make_topology
from islands.spec import TopologySpec


def topology(name: str, islands: int, seed: int = 7, **parameters: Any) -> Topology:
    return make_topology(TopologySpec(name=name, **parameters), islands, seed)


def senders(name: str, islands: int, seed: int = 7, **parameters: Any) -> tuple[tuple[int, ...], ...]:
    return topology(name, islands, seed, **parameters).senders


def edges_of(found: tuple[tuple[int, ...], ...]) -> set[tuple[int, int]]:
    return {(source, target) for target, sources in enumerate(found) for source in sources}


# Rules without chance, by hand

BY_HAND: dict[tuple[str, int], tuple[tuple[int, ...], ...]] = {
    ("ring", 1): ((),),
    ("ring", 2): ((1,), (0,)),
    ("ring", 4): ((3,), (0,), (1,), (2,)),
    ("complete", 1): ((),),
    ("complete", 2): ((1,), (0,)),
    ("complete", 4): ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)),
    ("none", 1): ((),),
    ("none", 3): ((), (), ()),
    ("star", 1): ((),),
    ("star", 2): ((1,), (0,)),
    ("star", 4): ((1, 2, 3), (0,), (0,), (0,)),
    ("grid", 1): ((),),
    ("grid", 4): ((1, 2), (0, 3), (0, 3), (1, 2)),  # 0 1 / 2 3
    ("grid", 5): ((1,), (0, 2), (1, 3), (2, 4), (3,)),  # a prime is a single row
    ("grid", 6): ((1, 3), (0, 2, 4), (1, 5), (0, 4), (1, 3, 5), (2, 4)),  # 0 1 2 / 3 4 5
    ("torus", 1): ((),),
    ("torus", 2): ((1,), (0,)),
    ("torus", 4): ((1, 2), (0, 3), (0, 3), (1, 2)),  # both ways round lead to the same island
    ("torus", 5): ((1, 4), (0, 2), (1, 3), (2, 4), (0, 3)),  # a ring in both directions
    ("torus", 6): ((1, 2, 3), (0, 2, 4), (0, 1, 5), (0, 4, 5), (1, 3, 5), (2, 3, 4)),
    ("torus", 9): (
        (1, 2, 3, 6),
        (0, 2, 4, 7),
        (0, 1, 5, 8),
        (0, 4, 5, 6),
        (1, 3, 5, 7),
        (2, 3, 4, 8),
        (0, 3, 7, 8),
        (1, 4, 6, 8),
        (2, 5, 6, 7),
    ),
}


@pytest.mark.parametrize(("name", "islands"), list(BY_HAND))
def test_senders_of_each_island(name: str, islands: int) -> None:
    assert senders(name, islands) == BY_HAND[name, islands]


COLUMNS: dict[str, tuple[str, int, int, tuple[tuple[int, ...], ...]]] = {
    "a grid of two columns": ("grid", 6, 2, ((1, 2), (0, 3), (0, 3, 4), (1, 2, 5), (2, 5), (3, 4))),
    "a grid of one column": ("grid", 3, 1, ((1,), (0, 2), (1,))),
    "a grid of one row": ("grid", 3, 3, ((1,), (0, 2), (1,))),
    "a torus of two columns": ("torus", 6, 2, ((1, 2, 4), (0, 3, 5), (0, 3, 4), (1, 2, 5), (0, 2, 5), (1, 3, 4))),
    "a torus of one column": ("torus", 3, 1, ((1, 2), (0, 2), (0, 1))),
}


@pytest.mark.parametrize("case", list(COLUMNS))
def test_columns_lay_out_the_rectangle(case: str) -> None:
    name, islands, columns, expected = COLUMNS[case]
    assert senders(name, islands, columns=columns) == expected


@pytest.mark.parametrize("name", ["ring", "complete", "star", "grid", "torus", "none"])
@pytest.mark.parametrize("islands", [1, 2, 3, 7, 12, 16])
def test_rule_without_chance_knows_no_seed_and_nobody_sends_to_himself(name: str, islands: int) -> None:
    found = senders(name, islands)
    assert found == senders(name, islands, seed=8)
    assert len(found) == islands
    assert all(island not in sources and list(sources) == sorted(set(sources)) for island, sources in enumerate(found))
    if name != "ring":  # the others lead both ways
        assert edges_of(found) == {(target, source) for source, target in edges_of(found)}


# Rules of chance


@pytest.mark.parametrize(("islands", "k"), [(2, 1), (6, 1), (6, 3), (6, 5), (40, 4)])
def test_random_k_gives_each_island_k_distinct_senders_that_are_others(islands: int, k: int) -> None:
    found = senders("random_k", islands, k=k)
    assert [len(set(sources)) for sources in found] == [k] * islands
    assert all(island not in sources and set(sources) <= set(range(islands)) for island, sources in enumerate(found))


def test_random_k_is_the_same_for_a_seed_and_another_for_another() -> None:
    assert senders("random_k", 20, k=3) == senders("random_k", 20, k=3)
    assert len({senders("random_k", 20, seed, k=3) for seed in range(10)}) == 10


def test_random_k_chooses_every_island_about_as_often() -> None:
    counts = [0] * 10
    for seed in range(300):
        for sources in senders("random_k", 10, seed, k=2):
            for source in sources:
                counts[source] += 1
    assert sum(counts) == 300 * 10 * 2
    assert all(abs(count - 600) < 100 for count in counts)  # a standard deviation is 22


@pytest.mark.parametrize(("islands", "k"), [(3, 1), (8, 1), (8, 3), (9, 4), (30, 2)])
@pytest.mark.parametrize("rewire", [0.0, 0.1, 0.5, 1.0])
def test_small_world_keeps_its_edges_in_number_and_both_ways(islands: int, k: int, rewire: float) -> None:
    for seed in range(5):
        found = senders("small_world", islands, seed, k=k, rewire=rewire)
        edges = edges_of(found)
        assert len(edges) == 2 * islands * k
        assert edges == {(target, source) for source, target in edges}
        assert all(source != target for source, target in edges)
        assert min(map(len, found)) >= k  # each island keeps the ends of its own k edges


def test_small_world_without_rewiring_is_the_lattice() -> None:
    assert senders("small_world", 6, k=1, rewire=0.0) == ((1, 5), (0, 2), (1, 3), (2, 4), (3, 5), (0, 4))
    lattice = tuple(tuple(sorted((i + step) % 9 for step in (-2, -1, 1, 2))) for i in range(9))
    assert senders("small_world", 9, k=2, rewire=0.0) == lattice


def test_small_world_rewires_about_as_many_edges_as_it_is_told() -> None:
    lattice = edges_of(senders("small_world", 60, k=2, rewire=0.0))
    for rewire, least, most in ((0.1, 12 - 10, 12 + 10), (0.5, 60 - 20, 60 + 20), (1.0, 120 - 10, 120)):
        moved = len(edges_of(senders("small_world", 60, k=2, rewire=rewire)) - lattice) / 2
        assert least <= moved <= most
    assert len({senders("small_world", 20, seed, k=2, rewire=0.3) for seed in range(10)}) == 10


# A list of edges


def test_edges_are_taken_as_they_are_listed() -> None:
    found = topology("edges", 4, edges=[[0, 1], [2, 1, 0.25], [1, 0, 1.0], [3, 1]])
    assert found.senders == ((1,), (0, 2, 3), (), ())
    assert found.weights == {(2, 1): 0.25}
    assert [found.weight(source, 1) for source in (0, 2, 3)] == [1.0, 0.25, 1.0]


def test_no_edges_are_no_topology() -> None:
    assert senders("edges", 3, edges=[]) == senders("none", 3)


# What can't be

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"name": "rings"},
        "archipelago.topology = 'rings' (did you mean 'ring'?); known: none, ring, complete, star, grid, torus, "
        "random_k, small_world, edges",
    ),
    "parameter of another rule": (
        {"name": "grid", "k": 3},
        "archipelago.topology: grid takes columns, not k; leave it out, or choose another topology",
    ),
    "parameter where there is none": (
        {"name": "ring", "columns": 2},
        "archipelago.topology: ring takes no parameters, not columns; leave it out, or choose another topology",
    ),
    "missing parameter": (
        {"name": "random-k"},
        'archipelago.topology: random_k needs k; write topology = { name = "random_k", k = ... }',
    ),
    "one of two is missing": (
        {"name": "small_world", "k": 1},
        'archipelago.topology: small_world needs rewire; write topology = { name = "small_world", k = ..., rewire = ... }',
    ),
    "edges without any": (
        {"name": "edges"},
        'archipelago.topology: edges needs edges; write topology = { name = "edges", edges = ... }',
    ),
    "more senders than others": (
        {"name": "random_k", "k": 6},
        "archipelago.topology: random_k: k = 6 senders to each island are more than 6 islands have; lower k to 5 or less, "
        "or add islands",
    ),
    "more neighbours than a ring has": (
        {"name": "small_world", "k": 3, "rewire": 0.1},
        "archipelago.topology: small_world: k = 3 neighbours on each side are more than 6 islands have; lower k to 2 or "
        "less, or add islands",
    ),
    "rows that are not full": (
        {"name": "grid", "columns": 4},
        "archipelago.topology: 6 islands do not fill rows of columns = 4; give a divisor, or none",
    ),
    "island that does not exist": (
        {"name": "edges", "edges": [[0, 1], [1, 6]]},
        "archipelago.topology.edges[1] = [1, 6]: expected [from, to] or [from, to, weight], islands from 0 to 5",
    ),
    "half an island": (
        {"name": "edges", "edges": [[0.5, 1]]},
        "archipelago.topology.edges[0] = [0.5, 1]: expected [from, to] or [from, to, weight], islands from 0 to 5",
    ),
    "edge with one end": (
        {"name": "edges", "edges": [[0]]},
        "archipelago.topology.edges[0] = [0]: expected [from, to] or [from, to, weight], islands from 0 to 5",
    ),
    "edge to itself": (
        {"name": "edges", "edges": [[2, 2]]},
        "archipelago.topology.edges[0] = [2, 2]: leads back to its island; leave it out",
    ),
    "edge twice": (
        {"name": "edges", "edges": [[0, 1], [0, 1, 0.5]]},
        "archipelago.topology.edges[1] = [0, 1, 0.5]: is there twice; leave it out",
    ),
    "weight above 1": (
        {"name": "edges", "edges": [[0, 1, 1.5]]},
        "archipelago.topology.edges[0] = [0, 1, 1.5]: a weight is the chance of a migration, above 0 and up to 1; leave "
        "out what never is",
    ),
    "weight of nothing": (
        {"name": "edges", "edges": [[0, 1, 0]]},
        "archipelago.topology.edges[0] = [0, 1, 0]: a weight is the chance of a migration, above 0 and up to 1; leave out "
        "what never is",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_topology_that_can_not_be_is_refused(case: str) -> None:
    given, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        make_topology(TopologySpec(**given), 6, 7)
    assert str(error.value) == message


@pytest.mark.parametrize(("name", "islands"), [("random_k", 1), ("small_world", 1), ("small_world", 2)])
def test_too_few_islands_for_any_k_are_told_so(name: str, islands: int) -> None:
    given = {"k": 1} if name == "random_k" else {"k": 1, "rewire": 0.5}
    with pytest.raises(SpecError, match=r"choose another topology, or add islands$"):
        senders(name, islands, **given)


@pytest.mark.parametrize("written", ["small world", "small-world", "small_world"])
def test_name_may_be_written_as_one_speaks(written: str) -> None:
    assert senders(written, 8, k=1, rewire=0.5) == senders("small_world", 8, k=1, rewire=0.5)


# In a world

IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"archipelago.topology": "rings"},
        "archipelago.topology = 'rings' (did you mean 'ring'?); known: none, ring, complete, star, grid, torus, "
        "random_k, small_world, edges",
    ),
    "edge without a common family": (
        {"archipelago.islands": [["sma_trend"], ["sma_trend", "ema_crossover"], ["ema_crossover"]]},
        "archipelago: island 2 sends to island 0, but they share no family, so nobody could arrive; give them one in "
        "common, reorder the islands, or choose topology none",
    ),
    "as many immigrants as members": (
        {"migration.emigrants": 6, "archipelago.topology": "complete"},
        "migration: up to 12 immigrants an epoch reach island 0 of 12; they must be fewer than its population; lower "
        "migration.emigrants",
    ),
    "as many immigrants as members of a smaller island": (
        {"migration.emigrants": 3, "archipelago.islands": [{}, {"population": 3}, {}]},
        "migration: up to 3 immigrants an epoch reach island 1 of 3; they must be fewer than its population; lower "
        "migration.emigrants",
    ),
}


@pytest.mark.parametrize("case", list(IMPOSSIBLE))
def test_topology_that_can_not_work_is_refused(case: str) -> None:
    changes, message = IMPOSSIBLE[case]
    with pytest.raises(SpecError) as error:
        tiny_world(changes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"archipelago.islands": [["sma_trend"], ["ema_crossover"]], "archipelago.topology": "none"},
        {"migration.emigrants": 11},
        {"migration.emigrants": 5, "archipelago.topology": "complete"},
        {"migration.emigrants": 12, "archipelago.topology": "none"},
    ],
    ids=str,
)
def test_topology_that_just_works_is_accepted(changes: dict[str, Any]) -> None:
    world = tiny_world(changes)
    assert len(world.topology.senders) == world.islands


PARAMETERS: dict[str, dict[str, Any]] = {
    "random_k": {"k": 1},
    "small_world": {"k": 1, "rewire": 0.9},
    "edges": {"edges": [[0, 3], [3, 5]]},
}


def test_arrivals_come_along_the_edges_of_every_topology_and_each_gives_another_campaign() -> None:
    digests = set()
    for name in TOPOLOGIES:
        chosen = {"name": name, **PARAMETERS.get(name, {})}
        world = tiny_world({"archipelago.islands": 6, "archipelago.topology": chosen, "migration.emigrants": 1})
        commits = play(world, 2)
        told = {(a.source, answer.island) for answer in commits[1].answers for a in answer.arrivals}
        assert told == edges_of(world.topology.senders)
        digests.add(links(commits)[-1])
    assert len(digests) == len(TOPOLOGIES)
