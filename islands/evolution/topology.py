"""Who sends to whom. A row of TOPOLOGIES is a rule that lists the islands which send to each island."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from islands.errors import SpecError
from islands.randomness import Purpose, stream
from islands.spec import TopologySpec
from islands.strategies.families import nearest

Senders = list[set[int]]


@dataclass(frozen=True)
class Topology:
    """senders: for each island those that send to it, in island order. weights: of the edges (source, target) that have
    one; a weight is the chance that a migration along the edge takes place (pagmo's meaning), 1 for all others."""

    senders: tuple[tuple[int, ...], ...]
    weights: dict[tuple[int, int], float] = field(default_factory=dict)

    def weight(self, source: int, target: int) -> float:
        return self.weights.get((source, target), 1.0)


@dataclass(frozen=True)
class Rule:
    """senders(number of islands, parameters, seed) -> for each island the set of those that send to it.

    takes: the parameters of TopologySpec that the rule reads; `needs` are those it can't do without.
    """

    senders: Callable[[int, TopologySpec, int], Senders]
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _none(islands: int, spec: TopologySpec, seed: int) -> Senders:
    return [set() for _ in range(islands)]


def _ring(islands: int, spec: TopologySpec, seed: int) -> Senders:
    return [{(i - 1) % islands} for i in range(islands)]


def _complete(islands: int, spec: TopologySpec, seed: int) -> Senders:
    return [set(range(islands)) for _ in range(islands)]


def _star(islands: int, spec: TopologySpec, seed: int) -> Senders:
    return [set(range(1, islands)), *({0} for _ in range(1, islands))]


def _grid(islands: int, spec: TopologySpec, seed: int) -> Senders:
    columns = _columns(islands, spec)
    rows = islands // columns
    around = [(r + dr, c + dc) for r, c in _cells(rows, columns) for dr, dc in _STEPS]
    inside = [r * columns + c if 0 <= r < rows and 0 <= c < columns else None for r, c in around]
    return [{n for n in inside[4 * i : 4 * i + 4] if n is not None} for i in range(islands)]


def _torus(islands: int, spec: TopologySpec, seed: int) -> Senders:
    columns = _columns(islands, spec)
    rows = islands // columns
    return [{(r + dr) % rows * columns + (c + dc) % columns for dr, dc in _STEPS} for r, c in _cells(rows, columns)]


def _random_k(islands: int, spec: TopologySpec, seed: int) -> Senders:
    k = _at_most(islands - 1, islands, spec, "senders to each island")
    senders = []
    for i in range(islands):
        chance = stream(seed, purpose=Purpose.TOPOLOGY, island=i)
        others = [other for other in range(islands) if other != i]
        senders.append({others[j] for j in chance.permutation(len(others))[:k].tolist()})
    return senders


def _small_world(islands: int, spec: TopologySpec, seed: int) -> Senders:
    """A ring of k neighbours on each side, each edge rewired with a probability (Watts and Strogatz, Nature 393, 1998)."""
    k = _at_most((islands - 1) // 2, islands, spec, "neighbours on each side")
    chance = stream(seed, purpose=Purpose.TOPOLOGY)
    edges = {frozenset((i, (i + step) % islands)) for i in range(islands) for step in range(1, k + 1)}
    for i, step in [(i, step) for step in range(1, k + 1) for i in range(islands)]:
        edge = frozenset((i, (i + step) % islands))
        free = [other for other in range(islands) if other != i and frozenset((i, other)) not in edges]
        if chance.random() < (spec.rewire or 0.0) and edge in edges and free:
            edges.remove(edge)
            edges.add(frozenset((i, free[int(chance.integers(len(free)))])))
    return [{other for other in range(islands) if other != i and frozenset((i, other)) in edges} for i in range(islands)]


def _edges(islands: int, spec: TopologySpec, seed: int) -> Senders:
    senders = _none(islands, spec, seed)
    for source, target, _ in _edge_list(islands, spec):
        senders[target].add(source)
    return senders


TOPOLOGIES: dict[str, Rule] = {
    "none": Rule(_none),
    "ring": Rule(_ring),
    "complete": Rule(_complete),
    "star": Rule(_star),
    "grid": Rule(_grid, ("columns",)),
    "torus": Rule(_torus, ("columns",)),
    "random_k": Rule(_random_k, ("k",), ("k",)),
    "small_world": Rule(_small_world, ("k", "rewire"), ("k", "rewire")),
    "edges": Rule(_edges, ("edges",), ("edges",)),
}

_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def make_topology(spec: TopologySpec, islands: int, seed: int) -> Topology:
    """The edges of a number of islands; nobody sends to himself.

    Raises:
        SpecError: no such topology, a parameter that it lacks or does not read, or edges that can't be.
    """
    name = spec.name.replace("-", "_").replace(" ", "_")
    if name not in TOPOLOGIES:
        known = list(TOPOLOGIES)
        raise SpecError(f"archipelago.topology = {spec.name!r}{nearest(name, known)}; known: {', '.join(known)}")
    rule = TOPOLOGIES[name]
    given = spec.model_dump(exclude={"name"}, exclude_none=True)
    for key in given:
        if key not in rule.takes:
            takes = ", ".join(rule.takes) or "no parameters"
            raise SpecError(f"archipelago.topology: {name} takes {takes}, not {key}; leave it out, or choose another topology")
    for key in rule.needs:
        if key not in given:
            needed = ", ".join(f"{key} = ..." for key in rule.needs)
            raise SpecError(f'archipelago.topology: {name} needs {key}; write topology = {{ name = "{name}", {needed} }}')
    senders = rule.senders(islands, spec, seed)
    weights = {(s, t): w for s, t, w in _edge_list(islands, spec) if w != 1.0} if spec.edges else {}
    return Topology(tuple(tuple(sorted(sources - {i})) for i, sources in enumerate(senders)), weights)


def _columns(islands: int, spec: TopologySpec) -> int:
    """Islands in a row: as given, else so that the rectangle is as near to a square as it can be."""
    if spec.columns is None:
        rows = max(d for d in range(1, math.isqrt(islands) + 1) if islands % d == 0)
        return islands // rows
    if islands % spec.columns:
        raise SpecError(
            f"archipelago.topology: {islands} islands do not fill rows of columns = {spec.columns}; give a divisor, or none"
        )
    return spec.columns


def _cells(rows: int, columns: int) -> list[tuple[int, int]]:
    return [(r, c) for r in range(rows) for c in range(columns)]


def _at_most(most: int, islands: int, spec: TopologySpec, meaning: str) -> int:
    if spec.k is None or spec.k > most:
        way = f"lower k to {most} or less" if most else "choose another topology"
        raise SpecError(
            f"archipelago.topology: {spec.name}: k = {spec.k} {meaning} are more than {islands} islands have; {way}, or add "
            "islands"
        )
    return spec.k


def _edge_list(islands: int, spec: TopologySpec) -> list[tuple[int, int, float]]:
    """(source, target, weight), checked."""
    seen: dict[tuple[int, int], float] = {}
    for number, edge in enumerate(spec.edges or []):
        place = f"archipelago.topology.edges[{number}] = {edge}"
        if len(edge) not in (2, 3) or any(int(end) != end or not 0 <= end < islands for end in edge[:2]):
            raise SpecError(f"{place}: expected [from, to] or [from, to, weight], islands from 0 to {islands - 1}")
        source, target, weight = int(edge[0]), int(edge[1]), float(edge[2]) if len(edge) == 3 else 1.0
        if source == target or (source, target) in seen:
            raise SpecError(f"{place}: {'leads back to its island' if source == target else 'is there twice'}; leave it out")
        if not 0.0 < weight <= 1.0:
            raise SpecError(f"{place}: a weight is the chance of a migration, above 0 and up to 1; leave out what never is")
        seen[source, target] = weight
    return [(source, target, weight) for (source, target), weight in seen.items()]
