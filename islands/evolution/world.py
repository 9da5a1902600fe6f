"""The world of a campaign: its spec resolved against tables, and the bars that evolution may see."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from islands import numerics
from islands.errors import InputError, SpecError, StrategyError
from islands.evaluation import Costs, terms_of
from islands.evolution import failures
from islands.evolution.objectives import Aim, make_aim
from islands.evolution.spaces import spaces_of
from islands.evolution.topology import Topology, make_topology
from islands.kernels import batch
from islands.market.bars import Bars
from islands.market.instants import instant_text, instant_us
from islands.spec import ONLY, CampaignSpec, CostsSpec, EvolutionSpec, IslandSpec
from islands.strategies.families import FAMILIES, Family, nearest
from islands.strategies.overlays import Stops
from islands.strategies.space import Space
from islands.strategies.strategy import Strategy

if TYPE_CHECKING:
    from islands.market.tape import Tape

LEAST_SCORED = 2
"""Bars that have to be left for scoring behind the warm-up."""

LEAST_HELD_BACK = 10
"""Bars that have to be held back, of one instrument at least, where any are: fewer tell nothing of what was found."""

MOST_EATEN = 0.3
"""The share of an instrument's bars, of those that splits leave to training, that warm-ups and embargoes may take."""


@dataclass(frozen=True, eq=False)
class Market:
    """One instrument as strategies are scored on it: bars up to the last scored one, and the terms of the account."""

    name: str
    tape: Tape
    terms: batch.Terms


@dataclass(frozen=True, eq=False)
class Habitat:
    """What one island lives in: the families it may breed (indices), its own settings, and what it is scored on."""

    holdings: tuple[int, ...]
    evolution: EvolutionSpec
    markets: tuple[Market, ...]


@dataclass(frozen=True, eq=False)
class World:
    """Everything an epoch depends on besides its deme and immigrants; the same on every worker.

    spec: the campaign's spec. markets: each instrument with all bars that evolution sees, the held-back part cut off;
    champions' figures are those on these; see `stretches`. segments: each segment of each; who is better is decided on
    these. spaces: one a family of the spec, in its order; individuals refer to them by index.
    habitats: one an island. topology: who sends to whom. initial: known strategies, (family, genome).
    single: whether scores are those of lanes that see in float32 (see `screening`).
    """

    spec: CampaignSpec
    markets: tuple[Market, ...]
    segments: tuple[Market, ...]
    spaces: tuple[Space, ...]
    habitats: tuple[Habitat, ...]
    topology: Topology
    aim: Aim
    initial: tuple[tuple[int, np.ndarray], ...]
    single: bool = False

    @property
    def screening(self) -> World:
        """The world whose scores decide which offspring are worth a float64: itself, unless the spec says float32."""
        return self._in_single if self.spec.evolution.precision == "float32" else self

    @cached_property
    def _in_single(self) -> World:
        return replace(self, single=True)

    @property
    def islands(self) -> int:
        return len(self.habitats)

    @property
    def signs(self) -> np.ndarray:
        """+1 for each objective that is to be large, -1 for one that is to be small, (K,)."""
        return self.aim.signs

    @cached_property
    def width(self) -> int:
        """Genes of the widest family: the columns of every genome matrix."""
        return max(len(space.genes) for space in self.spaces)

    @cached_property
    def stretches(self) -> tuple[tuple[Market, ...], ...]:
        """What is judged, stretch after stretch, each of all instruments: the bars of evolution, or declared windows alone.

        A fold of a combinatorial cross-validation declares its training segments, and holds its test bars between them.
        """
        count = len(self.spec.splits.windows)
        return tuple(self.segments[part::count] for part in range(count)) if count else (self.markets,)

    @property
    def warmup(self) -> int:
        """The bar from which everything is scored: the largest warm-up that the search space allows."""
        return int(self.markets[0].terms.first)

    @property
    def numeric(self) -> str:
        """The numeric fingerprint of this process, of the kernels that this world's scores come from."""
        overlaid = any(space.overlays for space in self.spaces) or not all(market.terms.plain for market in self.markets)
        return numerics.fingerprint(
            tuple(space.family.probe for space in self.spaces), overlaid, self.spec.evolution.precision == "float32"
        )

    @property
    def hall_size(self) -> int:
        """How many an island's hall of fame holds: the champions asked for; of several objectives, a whole deme's front."""
        several = len(self.aim.objectives) > 1
        return max(self.spec.champions, self.spec.evolution.population if several else 0)

    def pad(self, genomes: np.ndarray) -> np.ndarray:
        """Genomes of one family, (P, g), as rows of the common width, NaN beyond their genes."""
        padded = np.full((len(genomes), self.width), np.nan)
        padded[:, : genomes.shape[1]] = genomes
        return padded

    def genes(self, index: int, genomes: np.ndarray) -> np.ndarray:
        """The columns of padded genomes that belong to one family."""
        return genomes[:, : len(self.spaces[index].genes)]

    def score(self, markets: Sequence[Market], families: np.ndarray, genomes: np.ndarray) -> np.ndarray:
        """Scores, (P, K+1), of padded genomes on some markets: a kernel call for each market and family that occurs."""
        scores = np.empty((len(genomes), len(self.aim.objectives) + 1))
        for index in np.unique(families).tolist():
            rows = np.flatnonzero(families == index)
            own = self.genes(index, genomes[rows])
            tables = [self.metrics(market, index, own) for market in markets]
            for market, table in zip(markets, tables, strict=True):
                failures.require_numbers(table, [objective.name for objective in self.aim.objectives], market, index, own)
            scores[rows] = self.aim.scores(tables, [market.name for market in markets])
        return scores

    def metrics(self, market: Market, index: int, genomes: np.ndarray) -> np.ndarray:
        """METRICS, (P, M), of genomes of one family, (P, g), on one market: one kernel call. NaN where a run raises."""
        space, record = self.spaces[index], self.aim.needs_record
        signal, overlays = space.family.signal, space.overlay_rows(genomes)

        def run(rows: np.ndarray) -> np.ndarray:
            over = None if overlays is None else overlays[rows]
            return batch.population_metrics(
                signal, market.tape, genomes[rows], market.terms, over, record=record, single=self.single
            )

        return failures.figures(run, market, index, genomes)

    def strategy(self, index: int, genome: np.ndarray) -> Strategy:
        """The strategy of one padded genome."""
        return Strategy.from_genome(self.spaces[index], genome)


def training_bars(spec: CampaignSpec, tapes: Mapping[str, Tape]) -> dict[str, int]:
    """How many bars of each instrument evolution sees; the rest is held back.

    Of one instrument the last `held_back` of the bars are held back. Several are cut at one instant, so that no
    instrument shows evolution what is held back of another: where the first of them reaches its share. `held_back_from`
    is such an instant as well. A bar that is under way there is held back with all it holds, and the cut moves to its
    open (a day's bar holds hours before and behind the cut). A bar is known to be over when the next one of its
    instrument opens.

    Raises:
        SpecError: the cut leaves nothing of an instrument to one of its sides, or too little to judge by, or
            `held_back_from` is no date or time.
    """
    if spec.bars.held_back_from is not None:
        seen = _cut_from(spec.bars.held_back_from, tapes)
    elif spec.bars.held_back == 0.0:
        return {name: len(tape) for name, tape in tapes.items()}
    else:
        seen = _cut_share(spec, tapes)
    most = max(len(tapes[name]) - count for name, count in seen.items())
    if most < LEAST_HELD_BACK:
        key = "held_back" if spec.bars.held_back_from is None else "held_back_from"
        raise SpecError(
            f"bars.{key} = {getattr(spec.bars, key)!r}: holds {most} bars back, of {max(map(len, tapes.values())):,}; a "
            f"champion is judged on {LEAST_HELD_BACK} at least: hold more back, or nothing (held_back = 0)"
        )
    return seen


def _cut_share(spec: CampaignSpec, tapes: Mapping[str, Tape]) -> dict[str, int]:
    """See `training_bars`."""
    own = {name: len(tape) - round(len(tape) * spec.bars.held_back) for name, tape in tapes.items()}
    if len(tapes) == 1:
        return own
    stamps = {name: int(tape.timestamps[min(own[name], len(tape) - 1)]) for name, tape in tapes.items()}
    earliest = min(stamps, key=lambda name: stamps[name])
    seen = _cut_at(stamps[earliest], tapes)
    for name, count in seen.items():
        if count == 0:
            raise SpecError(
                f"instruments: bars are held back from one instant on, here where {earliest} reaches its last "
                f"{spec.bars.held_back:g}; that leaves none of the {len(tapes[name])} bars of {name} to evolution; "
                "give another instant as bars.held_back_from, cut them to a common period (Bars.between), or hold nothing back"
            )
    return seen


def _cut_from(given: str, tapes: Mapping[str, Tape]) -> dict[str, int]:
    try:
        instant = instant_us(given)
    except InputError as error:
        raise SpecError(f"bars.held_back_from: {error}") from None
    seen = _cut_at(instant, tapes)
    for name, count in seen.items():
        first, last = (int(tapes[name].timestamps[row]) for row in (0, -1))
        if count == 0 or instant > last:
            raise SpecError(
                f"bars.held_back_from = {given!r}: leaves {'nothing' if count == 0 else 'all'} of {name} to evolution; choose "
                f"an instant inside its bars, after {instant_text(first)} and up to {instant_text(last)}"
            )
    return seen


def _cut_at(instant: int, tapes: Mapping[str, Tape]) -> dict[str, int]:
    """Of each instrument the number of bars that are over when the first bar under way at an instant opens."""
    cut = min(_under_way(tape, instant) for tape in tapes.values())
    return {name: int(np.searchsorted(tape.timestamps, cut)) for name, tape in tapes.items()}


def _under_way(tape: Tape, instant: int) -> int:
    """The open of the bar that is under way at an instant; the instant itself before the first bar."""
    opened = int(np.searchsorted(tape.timestamps, instant, side="right"))
    return int(tape.timestamps[opened - 1]) if opened else instant


def make_world(spec: CampaignSpec, seen: Mapping[str, Tape]) -> World:
    """Resolves a spec against the tables of families, metrics and rules.

    seen: of each instrument the bars that evolution may see, in any order: that of the spec is taken.

    Raises:
        SpecError: an unknown family, gene, metric, rule or instrument; a column that a family needs and an instrument
            lacks; bounds that no genome can keep; an island without a family; an edge over which nobody could travel; too
            few bars for the warm-up of the search space.
    """
    spaces = spaces_of(spec)
    names = [space.family.name for space in spaces]
    for kind in (space.family for space in spaces):
        for name in spec.sources:
            _require_columns(kind, name, seen[name])
    warmup = max(space.warmup for space in spaces)
    markets = tuple(_market(spec, name, seen[name], warmup) for name in spec.sources)
    segments = tuple(part for market in markets for part in _segments(spec, market))
    own = spec.archipelago.islands
    parts = [IslandSpec()] * own if isinstance(own, int) else [_as_island(part) for part in own]
    if not parts:
        raise SpecError("archipelago.islands = []: expected at least one island")
    habitats = tuple(_habitat(spec, i, part, names, markets, segments) for i, part in enumerate(parts))
    topology = make_topology(spec.archipelago.rule, len(habitats), spec.seed)
    _require_travel(spec, habitats, topology)
    aim = make_aim(spec)
    if spec.evolution.precision == "float32":
        _require_singles(spaces, aim)
    return World(
        spec=spec,
        markets=markets,
        segments=segments,
        spaces=spaces,
        habitats=habitats,
        topology=topology,
        aim=aim,
        initial=_initial(spec, spaces, names, habitats),
    )


def _require_columns(kind: Family, name: str, tape: Tape) -> None:
    """Every family is scored on every instrument, by the champions at the latest."""
    for column in kind.needs:
        if column not in tape.columns:
            raise SpecError(
                f"families.{kind.name}: needs the column {column}, which the bars of {name} do not have; join it to them "
                "(see docs/bars.md), or leave the family out"
            )


def costs_of(costs: CostsSpec) -> Costs:
    """The costs that a spec declares."""
    return Costs(**costs.model_dump())


def _market(spec: CampaignSpec, name: str, tape: Tape, warmup: int) -> Market:
    if warmup + LEAST_SCORED > len(tape):
        which = f"instruments.{name}" if spec.instruments else "bars"
        raise SpecError(
            f"{which}: the search space needs {warmup} bars of warm-up, evolution sees {len(tape)}; "
            "lower the upper bounds of the periods, hold back less, or bring more bars"
        )
    account, costs = spec.account, costs_of(spec.costs_of(name))
    stops = Stops(intrabar=account.intrabar)
    try:
        terms = terms_of(Bars(name, tape), costs, warmup, account.initial_cash, account.periods_per_year, stops)
    except InputError as error:
        raise SpecError(str(error)) from None
    return Market(name, tape, terms)


def _as_island(part: list[str] | IslandSpec) -> IslandSpec:
    return part if isinstance(part, IslandSpec) else IslandSpec(families=part)


def _segments(spec: CampaignSpec, market: Market) -> list[Market]:
    """The parts of a market that are runs of their own, equal numbers of its scored bars; itself where it is whole."""
    if spec.splits.kind != "segments":
        return [market]
    first, bars, parts = market.terms.first, len(market.tape), spec.splits.parts
    if spec.splits.windows:
        return _windows(market, spec.splits.windows, spec.splits.anew)
    if bars - first < parts * LEAST_SCORED:
        raise SpecError(
            f"splits.parts = {parts}: of {market.name} evolution scores {bars - first} bars, and a segment needs "
            f"{LEAST_SCORED} at least; ask for fewer, or bring more bars"
        )
    require_little_eaten(f"warm-ups of {first} bars", market.name, first, bars, "hold back less")
    ends = [first + (bars - first) * part // parts for part in range(parts + 1)]
    return [
        Market(market.name, _cut(market.tape, 0, last), replace(market.terms, first=begin, closes=True))
        for begin, last in itertools.pairwise(ends)
    ]


def _windows(market: Market, windows: Sequence[Sequence[str]], anew: bool) -> list[Market]:
    """The market scored on the bars that open in each [begin, end), behind the warm-up; anew: on a tape that begins with it."""
    parts, scored, eaten, declared = [], [], 0, 0
    for begin, end in windows:
        try:
            ends = [instant_us(begin), instant_us(end)]
        except InputError as error:
            raise SpecError(f"splits.windows: {error}") from None
        opened, last = (int(row) for row in np.searchsorted(market.tape.timestamps, ends))
        first = max(opened, market.terms.first)
        if last - first < LEAST_SCORED:
            raise SpecError(
                f"splits.windows: [{begin}, {end}) holds {max(last - first, 0)} bars of {market.name} that evolution scores; "
                f"it needs {LEAST_SCORED} at least, behind the warm-up of {market.terms.first} and before what is held back"
            )
        seen_from = first - market.terms.first if anew else 0
        terms = replace(market.terms, first=first - seen_from, closes=True)
        parts.append(Market(market.name, _cut(market.tape, seen_from, last), terms))
        scored.append((first, last))
        eaten, declared = eaten + first - opened, declared + last - opened
    for (_, last), (first, _) in itertools.pairwise(sorted(scored)):
        if first < last:
            at = instant_text(int(market.tape.timestamps[first]))
            raise SpecError(
                f"splits.windows = {[list(window) for window in windows]}: two of them hold the bar of {at}, which would count "
                "twice in what a champion is judged by; let each begin where another one ends, or later"
            )
    words = f"warm-ups of {market.terms.first} bars"
    require_little_eaten(words, market.name, eaten, declared, "begin the first of splits.windows later")
    return parts


def require_little_eaten(what: str, instrument: str, eaten: int, left: int, way: str) -> None:
    """Refuses splits of which warm-ups and embargoes leave too little of one instrument.

    what: what eats, and where. eaten: so many of the `left` bars. way: what helps besides shorter periods.

    Raises:
        SpecError: they are more than MOST_EATEN of them.
    """
    if eaten > MOST_EATEN * left:
        bars = "bars" if instrument == ONLY else f"bars of {instrument}"
        raise SpecError(
            f"splits: {what} eat {eaten} of the {left} {bars} that are left to train on, more than {MOST_EATEN:.0%}; {way}, or "
            "shorten the periods of the search"
        )


def _habitat(
    spec: CampaignSpec,
    number: int,
    part: IslandSpec,
    names: list[str],
    markets: tuple[Market, ...],
    segments: tuple[Market, ...],
) -> Habitat:
    place = f"archipelago.islands[{number}]"
    families = _chosen(place, "families", part.families, names)
    known = [market.name for market in markets]
    chosen = [known[i] for i in _chosen(place, "instruments", part.instruments, known)]
    own = [segment for segment in segments if segment.name in chosen]
    if part.segments is not None:
        own = _segments_of(place, part.segments, own, spec.splits.kind)
    if part.train is not None:
        own = [_part_of(place, market, *part.train) for market in markets if market.name in chosen]
    try:
        evolution = part.evolution(spec.evolution)
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from None
    return Habitat(families, evolution, tuple(own))


def _chosen(place: str, key: str, given: list[str] | None, known: list[str]) -> tuple[int, ...]:
    """Indices of the names given, in the order of the spec; all where none is given."""
    if given is None:
        return tuple(range(len(known)))
    for name in given:
        if name not in known:
            raise SpecError(
                f"{place}: {name!r} is none of this spec's {key}{nearest(name, known)}; they are {', '.join(known)}"
            )
    if not given:
        raise SpecError(f"{place}: {key} = []: expected at least one")
    return tuple(sorted({known.index(name) for name in given}))


def _segments_of(place: str, numbers: list[int], segments: list[Market], kind: str) -> list[Market]:
    """The segments of these numbers, from 1 on, of each instrument."""
    if kind != "segments":
        raise SpecError(f"{place}: segments = {numbers}: there are none; set splits.kind = 'segments', or leave this out")
    own: dict[str, list[Market]] = {}
    for segment in segments:
        own.setdefault(segment.name, []).append(segment)
    most = len(next(iter(own.values())))
    if not numbers or not all(1 <= number <= most for number in numbers):
        raise SpecError(
            f"{place}: segments = {numbers}: expected numbers from 1 to {most}, the segments of the bars of evolution"
        )
    return [parts[number - 1] for parts in own.values() for number in sorted(set(numbers))]


def _part_of(place: str, market: Market, start: float, stop: float) -> Market:
    """The market scored on a part of its bars, in a run that ends flat; indicators still run over the bars before."""
    bars = len(market.tape)
    first, last = max(market.terms.first, round(start * bars)), round(stop * bars)
    if not 0.0 <= start < stop <= 1.0 or last - first < LEAST_SCORED:
        raise SpecError(
            f"{place}: train = [{start:g}, {stop:g}]: expected shares of the bars of evolution, 0 <= start < stop <= 1, with "
            f"bars to score behind the warm-up of {market.terms.first}; of {market.name} they are bars {first} to {last}"
        )
    return Market(market.name, _cut(market.tape, 0, last), replace(market.terms, first=first, closes=True))


@functools.lru_cache(maxsize=64)
def _cut(tape: Tape, start: int, stop: int) -> Tape:
    """Bars start..stop-1 of a tape, once for all islands that are scored on them."""
    return tape.cut(start, stop)


def _require_singles(spaces: Sequence[Space], aim: Aim) -> None:
    """Refuses float32 where every score would be of float64 all the same."""
    able = [kind.name for kind in FAMILIES.values() if kind.signal.of_singles]
    if aim.needs_record:
        raise SpecError(
            "evolution.precision = 'float32': an objective or limit asks for a figure of a run that is recorded bar by bar, "
            "which is always float64; leave evolution.precision out, or choose others"
        )
    if not any(space.family.signal.of_singles for space in spaces):
        raise SpecError(
            f"evolution.precision = 'float32': {', '.join(space.family.name for space in spaces)}: no family here has such a "
            f"form; those that have are {', '.join(able)}; leave evolution.precision out"
        )


def _require_travel(spec: CampaignSpec, habitats: tuple[Habitat, ...], topology: Topology) -> None:
    for island, sources in enumerate(topology.senders):
        for source in sources:
            if not set(habitats[source].holdings) & set(habitats[island].holdings):
                raise SpecError(
                    f"archipelago: island {source} sends to island {island}, but they share no family, so nobody could "
                    "arrive; give them one in common, reorder the islands, or choose topology none"
                )
        arriving, population = len(sources) * spec.migration.emigrants, habitats[island].evolution.population
        if arriving >= population:
            raise SpecError(
                f"migration: up to {arriving} immigrants an epoch reach island {island} of "
                f"{population}; they must be fewer than its population; lower migration.emigrants"
            )


def _initial(
    spec: CampaignSpec, spaces: tuple[Space, ...], names: list[str], habitats: tuple[Habitat, ...]
) -> tuple[tuple[int, np.ndarray], ...]:
    known = []
    for number, part in enumerate(spec.initial):
        if part.family not in names:
            raise SpecError(f"initial[{number}]: {part.family!r} is no family of this spec; add it to families")
        index = names.index(part.family)
        try:
            genome = spaces[index].genome_of(Strategy(part.family, **part.genes))
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
    least = min(habitat.evolution.population for habitat in habitats)
    if len(known) > least:
        raise SpecError(f"initial: {len(known)} strategies do not fit into a population of {least}; raise evolution.population")
    return tuple(known)
