"""The world of a campaign: its spec resolved against tables, and the bars that evolution may see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from islands.errors import SpecError, StrategyError
from islands.evaluation import Costs, Objective
from islands.kernels import batch
from islands.kernels.metrics import METRICS
from islands.kernels.signals import DIRECTIONS
from islands.spec import CampaignSpec, FamilySpec, GeneSpec
from islands.strategies.families import family, nearest
from islands.strategies.genome import Choice, Gene, Integer, LogReal, Space
from islands.strategies.strategy import Strategy

if TYPE_CHECKING:
    from islands.market.tape import Tape


@dataclass(frozen=True, eq=False)
class World:
    """Everything an epoch depends on besides its deme and immigrants; the same on every worker.

    spec: the campaign's spec. tape: the bars that evolution sees, the held-back part cut off. spaces: one a family of
    the spec, in its order; individuals refer to them by index. holdings: for each island the indices it may breed.
    """

    spec: CampaignSpec
    tape: Tape
    spaces: tuple[Space, ...]
    holdings: tuple[tuple[int, ...], ...]
    objective: Objective
    terms: batch.Terms
    initial: tuple[tuple[int, np.ndarray], ...]

    @property
    def islands(self) -> int:
        return len(self.holdings)

    @cached_property
    def width(self) -> int:
        """Genes of the widest family: the columns of every genome matrix."""
        return max(len(space.genes) for space in self.spaces)

    def pad(self, genomes: np.ndarray) -> np.ndarray:
        """Genomes of one family, (P, g), as rows of the common width, NaN beyond their genes."""
        padded = np.full((len(genomes), self.width), np.nan)
        padded[:, : genomes.shape[1]] = genomes
        return padded

    def genes(self, index: int, genomes: np.ndarray) -> np.ndarray:
        """The columns of padded genomes that belong to one family."""
        return genomes[:, : len(self.spaces[index].genes)]

    def score(self, families: np.ndarray, genomes: np.ndarray) -> np.ndarray:
        """Scores, (P, 2), of padded genomes: one kernel call for each family that occurs."""
        scores = np.empty((len(genomes), 2))
        for index in np.unique(families).tolist():
            rows = np.flatnonzero(families == index)
            signal = self.spaces[index].family.signal
            table = batch.population_metrics(signal, self.tape, self.genes(index, genomes[rows]), self.terms)
            scores[rows] = self.objective.scores(table)
        return scores

    def strategy(self, index: int, genome: np.ndarray) -> Strategy:
        """The strategy of one padded genome."""
        return Strategy.from_genome(self.spaces[index].family, genome)


def training_bars(spec: CampaignSpec, bars: int) -> int:
    """How many of `bars` evolution sees; the rest is held back."""
    return bars - round(bars * spec.bars.held_back)


def make_world(spec: CampaignSpec, seen: Tape) -> World:
    """Resolves a spec against the tables of families, metrics and bars. `seen` holds the bars that evolution may see.

    Raises:
        SpecError: an unknown family, gene or metric; bounds that no genome can keep; an island without a family; too
            few bars for the warm-up of the search space.
    """
    spaces = tuple(_space(part) for part in spec.families)
    names = [space.family.name for space in spaces]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise SpecError(f"families: {', '.join(sorted(repeated))} is listed twice; give each family once")
    warmup = max(space.warmup for space in spaces)
    if warmup + 2 > len(seen):
        raise SpecError(
            f"bars: the search space needs {warmup} bars of warm-up, evolution sees {len(seen)}; "
            "lower the upper bounds of the periods, hold back less, or bring more bars"
        )
    periods = spec.account.periods_per_year or seen.periods_per_year
    terms = batch.Terms(spec.costs.fee, spec.costs.slippage, warmup, spec.account.initial_cash, periods)
    return World(
        spec=spec,
        tape=seen,
        spaces=spaces,
        holdings=_holdings(spec, names),
        objective=_objective(spec),
        terms=terms,
        initial=_initial(spec, spaces, names),
    )


def costs_of(spec: CampaignSpec) -> Costs:
    """The costs that a spec declares."""
    return Costs(fee=spec.costs.fee, slippage=spec.costs.slippage)


def _space(part: FamilySpec) -> Space:
    try:
        kind = family(part.name)
        bounds = {name: _bounded(kind.gene(name), value) for name, value in part.genes.items()}
    except (StrategyError, SpecError) as error:
        raise SpecError(f"families.{part.name}: {error}") from None
    return Space(kind, tuple(bounds.get(gene.name, gene) for gene in kind.genes))


def _bounded(gene: Gene, value: float | str | list[float] | list[str] | GeneSpec) -> Gene:
    if isinstance(gene, Choice):
        options = [value] if isinstance(value, str) else value
        if not isinstance(options, list):
            raise SpecError(f"gene {gene.name} = {value!r}: expected options out of {', '.join(DIRECTIONS)}")
        return gene.restricted(tuple(str(option) for option in options))
    if isinstance(value, GeneSpec):
        if value.log:
            if isinstance(gene, Integer):
                raise SpecError(f"gene {gene.name}: log = true: a whole gene is searched on its lattice; leave log out")
            gene = LogReal(gene.name, gene.low, gene.high, gene.default, least=max(gene.least, 5e-324), most=gene.most)
        return gene.bounded(value.low, value.high, value.step)
    if isinstance(value, list):
        if len(value) != 2 or any(isinstance(end, str) for end in value):
            raise SpecError(f"gene {gene.name} = {value!r}: expected [low, high], a value, or a table with low and high")
        return gene.bounded(float(value[0]), float(value[1]))
    if isinstance(value, str):
        raise SpecError(f"gene {gene.name} = {value!r}: expected [low, high], a value, or a table with low and high")
    return gene.bounded(value, value)


def _objective(spec: CampaignSpec) -> Objective:
    name = spec.objective.name
    if name not in METRICS:
        raise SpecError(f"objective.name = {name!r}{nearest(name, list(METRICS))}; known: {', '.join(METRICS)}")
    limits = []
    if spec.limits.min_trades is not None:
        limits.append(("trades", float(spec.limits.min_trades), True))
    if spec.limits.max_drawdown is not None:
        limits.append(("max_drawdown", spec.limits.max_drawdown, False))
    return Objective(name, spec.objective.goal, tuple(limits))


def _holdings(spec: CampaignSpec, names: list[str]) -> tuple[tuple[int, ...], ...]:
    islands = spec.archipelago.islands
    if isinstance(islands, int):
        return (tuple(range(len(names))),) * islands
    if not islands:
        raise SpecError("archipelago.islands = []: expected at least one island")
    for number, held in enumerate(islands):
        for name in held:
            if name not in names:
                raise SpecError(
                    f"archipelago.islands[{number}]: {name!r} is no family of this spec{nearest(name, names)}; "
                    f"its families are {', '.join(names)}"
                )
        if not held:
            raise SpecError(f"archipelago.islands[{number}] = []: an island holds at least one family")
    return tuple(tuple(sorted({names.index(name) for name in held})) for held in islands)


def _initial(spec: CampaignSpec, spaces: tuple[Space, ...], names: list[str]) -> tuple[tuple[int, np.ndarray], ...]:
    known = []
    for number, part in enumerate(spec.initial):
        if part.family not in names:
            raise SpecError(f"initial[{number}]: {part.family!r} is no family of this spec; add it to families")
        index = names.index(part.family)
        try:
            genome = Strategy(part.family, **part.genes).genome
        except StrategyError as error:
            raise SpecError(f"initial[{number}]: {error}") from None
        repaired = spaces[index].repair(genome[None, :])[0]
        for gene, given, kept in zip(spaces[index].genes, genome, repaired, strict=True):
            if abs(given - kept) > 1e-9 * max(1.0, abs(given)) and not (gene.step == 0.0 and gene.low <= given <= gene.high):
                raise SpecError(
                    f"initial[{number}]: {gene.name} = {gene.show(float(given))} is no point of the search; the nearest "
                    f"is {gene.show(float(kept))}; widen the bounds of {part.family} or change the strategy"
                )
        known.append((index, repaired))
    if len(known) > spec.evolution.population:
        raise SpecError(
            f"initial: {len(known)} strategies do not fit into a population of {spec.evolution.population}; "
            "raise evolution.population"
        )
    return tuple(known)
