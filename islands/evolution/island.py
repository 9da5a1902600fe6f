"""One epoch of one island: the pure step that everything else schedules, moves and remembers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from islands.evolution.breeding import Offspring, breed
from islands.evolution.deme import Deme, Key
from islands.evolution.migration import Arrival, Immigrants, admit, choose_emigrants
from islands.evolution.world import World
from islands.randomness import Purpose, stream


@dataclass(frozen=True, eq=False)
class IslandState:
    """What an island carries from epoch to epoch: its deme, and the best distinct feasible individuals it ever had."""

    deme: Deme
    hall_of_fame: Deme


@dataclass(frozen=True)
class Generation:
    """How one generation stood: objective values over the feasible (NaN where none is), spread of the scaled genes."""

    generation: int
    best: float
    median: float
    diversity: float
    feasible: int
    trials: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What an epoch of an island comes to.

    state: after the epoch. emigrants: chosen from it. trials: every distinct genome that this epoch scored and the deme
    did not hold before. arrivals: what became of the immigrants. generations: one record each.
    """

    island: int
    epoch: int
    state: IslandState
    emigrants: Deme
    trials: Deme
    arrivals: tuple[Arrival, ...]
    generations: tuple[Generation, ...]


class _Scores:
    """The epoch's known scores, so that a genome is scored once; what is new becomes a trial."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[Key, tuple[float, float]] = {}
        self.trials: list[Deme] = []

    def remember(self, deme: Deme) -> None:
        self.known.update(zip(deme.keys(), map(tuple, deme.scores.tolist()), strict=True))

    def score(self, families: np.ndarray, genomes: np.ndarray, births: np.ndarray) -> Deme:
        unscored = Deme(families, genomes, np.full((len(families), 2), np.nan), births)
        keys = unscored.keys()
        first: dict[Key, int] = {}
        for row, key in enumerate(keys):
            if key not in self.known:
                first.setdefault(key, row)
        new = unscored.take(list(first.values()))
        self.record(Deme(new.families, new.genomes, self.world.score(new.families, new.genomes), new.births))
        return Deme(families, genomes, np.array([self.known[key] for key in keys]), births)

    def record(self, scored: Deme) -> None:
        self.remember(scored)
        self.trials.append(scored)


def advance_epoch(world: World, island: int, epoch: int, state: IslandState | None, immigrants: list[Immigrants]) -> Answer:
    """Epoch `epoch` (from 1) of an island: immigrants enter, then each generation breeds, scores and survives.

    A pure function of its arguments: nothing depends on who computes it, where, or when. `state` is None in epoch 1,
    which founds the deme (generation 0). Immigrants come in island order.
    """
    scores = _Scores(world)
    length = world.spec.evolution.generations_per_epoch
    first = (epoch - 1) * length + 1
    records: list[Generation] = []
    arrivals: list[Arrival] = []
    if state is None:
        deme = _found(world, island, scores)
        records.append(_record(world, 0, deme, len(scores.trials[-1])))
        state = IslandState(deme, Deme.empty(world.width))
    deme = state.deme
    scores.remember(deme)
    deme, settled, arrivals = admit(world, island, deme, immigrants)
    scores.record(settled)
    for generation in range(first, first + length):
        children = _scored(breed(world, island, generation, deme), island, generation, scores)
        deme = survive(world, deme, children)
        records.append(_record(world, generation, deme, len(scores.trials[-1])))
    trials = Deme.empty(world.width).join(*scores.trials)
    candidates = state.hall_of_fame.join(trials)
    hall = candidates.best_distinct(world.spec.champions, world.objective.sign, feasible_only=True)
    return Answer(
        island=island,
        epoch=epoch,
        state=IslandState(deme, hall),
        emigrants=choose_emigrants(world, deme),
        trials=trials,
        arrivals=tuple(arrivals),
        generations=tuple(records),
    )


def _found(world: World, island: int, scores: _Scores) -> Deme:
    """Generation 0: the spec's known strategies that the island may hold, then random ones, families in turn."""
    held = world.holdings[island]
    size = world.spec.evolution.population
    known = [(index, genome) for index, genome in world.initial if index in held]
    families = np.array([index for index, _ in known] + [held[i % len(held)] for i in range(size - len(known))])
    genomes = np.full((size, world.width), np.nan)
    for row, (_, genome) in enumerate(known):
        genomes[row, : len(genome)] = genome
    for index in held:
        rows = np.flatnonzero(families[len(known) :] == index) + len(known)
        chance = stream(world.spec.seed, purpose=Purpose.FOUND, island=island, index=index)
        genomes[rows] = world.pad(world.spaces[index].founders(chance, len(rows)))
    return scores.score(families, genomes, _births(island, 0, size))


def _scored(children: Offspring, island: int, generation: int, scores: _Scores) -> Deme:
    return scores.score(children.families, children.genomes, _births(island, generation, len(children.families)))


def _births(island: int, generation: int, count: int) -> np.ndarray:
    births = np.empty((count, 3), dtype=np.int64)
    births[:, 0], births[:, 1], births[:, 2] = island, generation, np.arange(count)
    return births


def survive(world: World, parents: Deme, children: Deme) -> Deme:
    """The next deme, as large as before: distinct genomes first, copies only where those run out.

    plus: the best of parents and children. generational: the best `elites` parents, then the best children.
    """
    rule, size, sign = world.spec.evolution.survival, len(parents), world.objective.sign
    elites = parents.best_distinct(rule.elites, sign) if rule.rule == "generational" else parents
    ranked = elites.join(children)
    if rule.rule == "plus":
        order = ranked.order(sign).tolist()
    else:
        order = [*range(len(elites)), *(children.order(sign) + len(elites)).tolist()]
    keys, seen = ranked.keys(), set[Key]()
    distinct, copies = list[int](), list[int]()
    for row in order:
        (copies if keys[row] in seen else distinct).append(row)
        seen.add(keys[row])
    return ranked.take((distinct + copies)[:size])


def _record(world: World, generation: int, deme: Deme, trials: int) -> Generation:
    values = deme.scores[deme.scores[:, 1] == 0.0, 0]
    best = world.objective.sign * np.max(world.objective.sign * values) if len(values) else np.nan
    median = np.median(values) if len(values) else np.nan
    return Generation(generation, float(best), float(median), _diversity(world, deme), len(values), trials)


def _diversity(world: World, deme: Deme) -> float:
    """Standard deviation of the scaled genes about their family's mean, averaged over genes and individuals."""
    total = 0.0
    for index in np.unique(deme.families).tolist():
        rows = np.flatnonzero(deme.families == index)
        scaled = world.spaces[index].encode(world.genes(index, deme.genomes[rows]))
        total += len(rows) * float(np.mean(np.std(scaled, axis=0)))
    return total / len(deme)
