"""One epoch of one island: the pure step that everything else schedules, moves and remembers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from islands.evolution import memo, migration, stagnation
from islands.evolution.breeding import Offspring, breed, hypervolume, try_operators
from islands.evolution.deme import FOUNDER, IMMIGRANT, Deme, Trials
from islands.evolution.distinct import Register, Rows
from islands.evolution.distinct import numbers as distinct
from islands.evolution.failures import Failure, told
from islands.evolution.migration import Arrival, Immigrants, admit, choose_emigrants, told_later
from islands.evolution.ranking import best_distinct, best_values, distinct_first, order
from islands.evolution.stagnation import improved, relieve
from islands.evolution.variation import scaled
from islands.evolution.world import World
from islands.randomness import Purpose, stream
from islands.strategies.gate import require_blind_on


@dataclass(frozen=True, eq=False)
class IslandState:
    """What an island carries from epoch to epoch.

    deme; hall_of_fame: the best distinct feasible individuals it ever had; stagnant: epochs since the best value of an
    objective there last improved, or since a stagnation rule began the count anew.
    """

    deme: Deme
    hall_of_fame: Deme
    stagnant: int = 0


@dataclass(frozen=True)
class Generation:
    """How one generation stood.

    best, median: of each objective, over the feasible (NaN where none is). hypervolume: of the deme's feasible members;
    NaN for one objective. diversity: spread of the scaled genes. stagnant: of the island when the epoch began.
    rule: what was done about it, names joined by "+", or None.
    """

    generation: int
    best: tuple[float, ...]
    median: tuple[float, ...]
    hypervolume: float
    diversity: float
    feasible: int
    trials: int
    stagnant: int = 0
    rule: str | None = None


_Stood = tuple[int, Deme, int, int, str | None]
"""What a Generation is made of: its number, deme and trials, and how stagnant the island was, with the rule."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What an epoch of an island comes to.

    state: after the epoch. emigrants: chosen from it. trials: every distinct genome that this epoch scored and the deme
    did not hold before. arrivals: what became of the immigrants. generations: one record each. failures: genomes that
    could not be scored, for those who mend them.
    """

    island: int
    epoch: int
    state: IslandState
    emigrants: Deme
    trials: Trials
    arrivals: tuple[Arrival, ...]
    generations: tuple[Generation, ...]
    failures: tuple[Failure, ...] = ()


class _Scores:
    """The epoch's known scores and births, so that a genome is scored once; what is new becomes a trial."""

    def __init__(self, world: World, island: int) -> None:
        self.world = world
        self.markets = world.habitats[island].markets
        self.register = Register(world.width)
        self.known_scores, self.known_births = Rows(len(world.signs) + 1), Rows(3, np.int64)  # in the order of their numbers
        self.exact = Rows(1, np.bool_)  # whether a score is known to be of float64
        self.tried = [Trials.without_parents(Deme.empty(world.width, len(world.signs)), FOUNDER)]

    @property
    def screened(self) -> bool:
        """Whether offspring are seen in float32 first."""
        return self.world.screening is not self.world

    @property
    def trials(self) -> Trials:
        trials = self.tried[0].join(*self.tried[1:])
        return replace(trials, deme=self.known(trials.deme)) if self.screened else trials

    def numbers(self, deme: Deme) -> np.ndarray:
        """The numbers of individuals, each met before, (P,)."""
        return self.register.number(deme.families, deme.genomes)[0]

    def known(self, deme: Deme) -> Deme:
        """The individuals, each met before, with the scores that are known by now."""
        return self.with_scores(deme, self.numbers(deme))

    def with_scores(self, deme: Deme, numbers: np.ndarray) -> Deme:
        """The same of those who have these numbers."""
        return replace(deme, scores=self.known_scores.values.take(numbers, axis=0))

    def of_float64(self, deme: Deme) -> np.ndarray:
        """Which of the individuals, each met before, are scored in float64, (P,) bool."""
        return np.asarray(self.exact.values[self.numbers(deme), 0])

    def settle(self, deme: Deme) -> Deme:
        """The individuals, each met before, with scores in float64."""
        due = deme.take(~self.of_float64(deme))
        if len(due):
            due = due.take(distinct(due)[1])
            numbers, _ = self.register.number(due.families, due.genomes)
            self.known_scores.values[numbers] = memo.score(self.world, self.markets, due.families, due.genomes)
            self.exact.values[numbers] = True
        return self.known(deme)

    def settle_best(self, deme: Deme, most: int) -> Deme:
        """The deme, whose best `most` distinct individuals have scores in float64, by which they are still the best."""
        while self.screened and most:
            deme = self.known(deme)
            best = best_distinct(deme, most, self.world.signs)
            if self.of_float64(best).all():
                break
            self.settle(best)
        return deme

    @property
    def count(self) -> int:
        """How many trials there were."""
        return sum(map(len, self.tried))

    def remember(self, deme: Deme) -> None:
        _, fresh = self.register.number(deme.families, deme.genomes)
        self._know(deme.take(fresh), not self.screened)  # which of them were in float64 is not said of a deme

    def score(self, born: Offspring, births: np.ndarray, by: World | None = None) -> Deme:
        """The offspring with scores; a genome known already keeps the birth it is known by. by: the world whose scores
        they are, by default the one that screens."""
        numbers, fresh = self.register.number(born.families, born.genomes)
        families, genomes = born.families[fresh], born.genomes[fresh]
        by = self.world.screening if by is None else by
        scores = memo.score(by, self.markets, families, genomes)
        self._try(Trials(Deme(families, genomes, scores, births[fresh]), born.origins[fresh], born.parents[fresh]), by)
        known = self.known_scores.values.take(numbers, axis=0), self.known_births.values.take(numbers, axis=0)
        return Deme(born.families, born.genomes, *known)

    def record(self, trials: Trials) -> None:
        """Trials that were scored elsewhere, of genomes that nobody had."""
        self.register.number(trials.deme.families, trials.deme.genomes)
        self._try(trials, self.world)

    def _try(self, trials: Trials, by: World) -> None:
        self._know(trials.deme, not by.single)
        self.tried.append(trials)

    def _know(self, deme: Deme, exact: bool) -> None:
        self.known_scores.append(deme.scores)
        self.known_births.append(deme.births)
        self.exact.append(np.full((len(deme), 1), exact))


def advance_epoch(world: World, island: int, epoch: int, state: IslandState | None, immigrants: list[Immigrants]) -> Answer:
    """Epoch `epoch` (from 1) of an island: immigrants enter, then each generation breeds, scores and survives.

    A pure function of its arguments: nothing depends on who computes it, where, or when. `state` is None in epoch 1,
    which founds the deme (generation 0). Immigrants come in island order.

    Where the spec says float32, offspring are screened by scores of lanes that see in it, and those stay inside. Founders and
    immigrants are scored in float64, a generational rule's elites as well, and whoever leaves: see `_proven`. These scores
    take the place of the others, also in the trials; the hall of fame is chosen from them alone.
    """
    with told() as failures:
        answer = _advanced(world, island, epoch, state, immigrants)
    return replace(answer, failures=tuple(failures))


def _advanced(world: World, island: int, epoch: int, state: IslandState | None, immigrants: list[Immigrants]) -> Answer:
    scores = _Scores(world, island)
    length = world.spec.evolution.generations_per_epoch
    first = (epoch - 1) * length + 1
    stood: list[_Stood] = []
    if state is None:
        deme = _found(world, island, scores)
        stood.append((0, deme, scores.count, 0, None))
        state = IslandState(deme, deme.take([]))
    scores.remember(state.deme)
    deme, settled, arrivals = admit(world, island, epoch, state.deme, immigrants)
    scores.record(Trials.without_parents(settled, IMMIGRANT))
    relief = relieve(world, island, first, state.stagnant, deme, state.hall_of_fame)
    if relief.born is not None:
        size = len(deme)
        fresh = scores.score(relief.born, _births(island, first, len(relief.born.families), size))
        deme = relief.staying.join(fresh)
    for generation in range(first, first + length):
        before = scores.count
        children = breed(world, island, generation, deme, relief.boost)
        fresh = scores.score(children, _births(island, generation, len(children.families)))
        deme = scores.settle_best(deme, world.habitats[island].evolution.survival.elites)
        deme = survive(world, island, deme, fresh)
        stood.append((generation, deme, scores.count - before, state.stagnant, relief.rule))
    if scores.screened:
        arrivals, stood = _proven(world, island, epoch, scores, arrivals, stood)
        deme = stood[-1][1]
    trials = scores.trials
    known = trials.deme.join(deme) if scores.screened else trials.deme
    proven = known.take(scores.of_float64(known)) if scores.screened else known
    hall = best_distinct(state.hall_of_fame.join(proven), world.hall_size, world.signs, feasible_only=True)
    better = improved(best_values(state.hall_of_fame, world.signs), best_values(hall, world.signs), world.signs)
    stagnant = 0 if better else 1 if relief.born is not None else state.stagnant + 1
    return Answer(
        island=island,
        epoch=epoch,
        state=IslandState(deme, hall, stagnant),
        emigrants=choose_emigrants(world, island, epoch, deme),
        trials=trials,
        arrivals=told_later(arrivals, deme),
        generations=tuple(_record(world, *one) for one in stood),
    )


def _proven(
    world: World, island: int, epoch: int, scores: _Scores, arrivals: tuple[Arrival, ...], stood: list[_Stood]
) -> tuple[tuple[Arrival, ...], list[_Stood]]:
    """Arrivals and generations with the scores that are known when all who leave the island are scored in float64: emigrants,
    whoever came or was there already, each generation's best, and the best of the deme and of all trials, as many as may
    enter the hall of fame. Then they are chosen again, by these scores, until nobody new is among them."""
    guests, tried, numbered = _guests(world, arrivals), scores.trials.deme, [scores.numbers(one[1]) for one in stood]
    of_guests, of_tried = scores.numbers(guests), scores.numbers(tried)
    while True:
        people = [scores.with_scores(one[1], numbers) for one, numbers in zip(stood, numbered, strict=True)]
        leading = [
            best_distinct(each, world.hall_size, world.signs, True)
            for each in (people[-1], scores.with_scores(tried, of_tried))
        ]
        leading += [_best(world, each) for each in people]
        leaving = guests.join(choose_emigrants(world, island, epoch, people[-1]), *leading)
        if scores.of_float64(leaving).all():
            break
        scores.settle(leaving)
    known = scores.with_scores(guests, of_guests).scores.tolist()
    told = tuple(replace(a, scores=tuple(row)) for a, row in zip(arrivals, known, strict=True))
    return told, [(one[0], each, *one[2:]) for one, each in zip(stood, people, strict=True)]


def _best(world: World, deme: Deme) -> Deme:
    """The first of the best feasible by the one objective; nobody where none is."""
    rows = np.flatnonzero(deme.feasible)
    return deme.take(rows[[np.argmax(world.signs[0] * deme.scores[rows, 0])]] if len(rows) else rows)


def _guests(world: World, arrivals: tuple[Arrival, ...]) -> Deme:
    unknown = np.full((len(arrivals), len(world.signs) + 1), np.nan)
    genomes = np.array([a.genome for a in arrivals]).reshape(len(arrivals), world.width)
    births = np.array([a.birth for a in arrivals]).reshape(len(arrivals), 3)
    return Deme(np.array([a.family for a in arrivals]), genomes, unknown, births)


OWN_TRIED = 4
"""Founders of a user's own family that are tried on the world's bars before a campaign begins."""


def try_settings(world: World) -> None:
    """Meets what is wrong with a spec's rules and operators before a campaign begins.

    Raises:
        SpecError: a rule that does not exist, or an operator that fails when it is tried.
        StrategyError: a user's own family decides otherwise on the world's bars where later ones change.
    """
    for index, space in enumerate(world.spaces):
        founders = space.founders(stream(world.spec.seed, purpose=Purpose.PROBE, index=index), OWN_TRIED)
        for market in world.markets:
            require_blind_on(space.family, market.tape, founders)
    migration.require_rules(world.spec.migration)
    stagnation.require_rules(world.spec)
    try_operators(world)


def _found(world: World, island: int, scores: _Scores) -> Deme:
    """Generation 0: the spec's known strategies that the island may hold, then random ones, families in turn."""
    held = world.habitats[island].holdings
    size = world.habitats[island].evolution.population
    known = [(index, genome) for index, genome in world.initial if index in held]
    families = np.array([index for index, _ in known] + [held[i % len(held)] for i in range(size - len(known))])
    genomes = np.full((size, world.width), np.nan)
    for row, (_, genome) in enumerate(known):
        genomes[row, : len(genome)] = genome
    for index in held:
        rows = np.flatnonzero(families[len(known) :] == index) + len(known)
        chance = stream(world.spec.seed, purpose=Purpose.FOUND, island=island, index=index)
        genomes[rows] = world.pad(world.spaces[index].founders(chance, len(rows)))
    founders = Offspring(families, genomes, np.full(size, FOUNDER), np.full((size, 6), -1))
    return scores.score(founders, _births(island, 0, size), world)


def _births(island: int, generation: int, count: int, first: int = 0) -> np.ndarray:
    births = np.empty((count, 3), dtype=np.int64)
    births[:, 0], births[:, 1], births[:, 2] = island, generation, np.arange(first, first + count)
    return births


def survive(world: World, island: int, parents: Deme, children: Deme) -> Deme:
    """The next deme, as large as before: distinct genomes first, copies only where those run out.

    plus: the best of parents and children. generational: the best `elites` parents, then the best children.
    """
    rule, signs = world.habitats[island].evolution.survival, world.signs
    if rule.rule == "plus":
        ranked = parents.join(children)
        rows = order(ranked, signs)
    else:
        elites = best_distinct(parents, rule.elites, signs)
        ranked = elites.join(children)
        rows = np.concatenate([np.arange(len(elites)), order(children, signs) + len(elites)])
    return ranked.take(distinct_first(ranked, rows)[: len(parents)])


def _record(world: World, generation: int, deme: Deme, trials: int, stagnant: int, rule: str | None) -> Generation:
    values = deme.scores[deme.feasible, :-1]
    signs = world.signs
    median = np.median(values, axis=0) if len(values) else np.full(len(signs), np.nan)
    reference = np.array([objective.reference for objective in world.aim.objectives])
    return Generation(
        generation=generation,
        best=tuple(best_values(deme, signs).tolist()),
        median=tuple(median.tolist()),
        hypervolume=hypervolume(values * signs, reference * signs) if len(signs) > 1 else float("nan"),
        diversity=_diversity(world, deme),
        feasible=len(values),
        trials=trials,
        stagnant=stagnant,
        rule=rule,
    )


def _diversity(world: World, deme: Deme) -> float:
    """Standard deviation of the scaled genes about their family's mean, averaged over genes and individuals."""
    total, genes = 0.0, scaled(world, deme)
    for index in deme.present:
        own = world.genes(index, genes[deme.families == index])
        total += len(own) * float(np.mean(np.std(own, axis=0)))
    return total / len(deme)
