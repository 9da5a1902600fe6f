"""The account of everything tried: trials, migrations and generations of the committed epochs, as polars frames."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from islands.archipelago import codec
from islands.archipelago.forking import Ancestor
from islands.archipelago.journal import Entry, Journal
from islands.errors import CorruptCampaign, InputError, IslandsWarning
from islands.evolution.deme import IMMIGRANT, NOBODY, ORIGINS, Deme, Trials
from islands.evolution.island import Answer, Generation
from islands.evolution.migration import OUTCOMES, Arrival, Birth
from islands.evolution.spaces import spaces_of
from islands.evolution.topology import Topology, make_topology
from islands.spec import CampaignSpec, MigrationSpec
from islands.strategies.genome import Gene
from islands.strategies.space import Space

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Segment:
    """One island's part of one epoch."""

    epoch: int
    island: int
    trials: Trials
    arrivals: tuple[Arrival, ...]
    generations: tuple[Generation, ...]


@dataclass(frozen=True)
class Legend:
    """What the numbers of segments stand for: from the spec alone, since an account is read also where the bars are gone.

    before: of a fork, its ancestor's legend, and the last epoch that went by it.
    """

    spec: CampaignSpec
    objectives: tuple[str, ...]
    migration: MigrationSpec
    topology: Topology
    topology_name: str
    before: tuple[Legend, int] | None = None

    def at(self, epoch: int) -> Legend:
        """The rules of an epoch."""
        return self if self.before is None or epoch > self.before[1] else self.before[0].at(epoch)

    @cached_property
    def spaces(self) -> tuple[Space, ...]:
        """The genes of each family. They are looked up when genomes are read: a user's own family may be gone by then."""
        return spaces_of(self.spec)

    @property
    def width(self) -> int:
        """Genes of the widest family: the columns of every genome matrix."""
        return max(len(space.genes) for space in self.spaces)

    def nobody(self) -> Deme:
        return Deme.empty(self.width, len(self.objectives))

    def require(self, journal: Journal, part: Segment) -> Segment:
        """A segment whose numbers mean something here.

        Raises:
            CorruptCampaign: it knows other families, islands, origins, outcomes or objectives than the campaign has.
        """
        deme, objectives = part.trials.deme, len(self.objectives)
        families = {*deme.families.tolist(), *(a.family for a in part.arrivals)}
        scores = [deme.scores.shape[1], *(len(a.scores) for a in part.arrivals)]
        figures = [len(values) for g in part.generations for values in (g.best, g.median)]
        if (
            not families <= set(range(len(self.spec.families)))
            or not set(part.trials.origins.tolist()) <= set(range(len(ORIGINS)))
            or any(a.outcome >= len(OUTCOMES) or a.source >= len(self.topology.senders) for a in part.arrivals)
            or min(scores) != objectives + 1
            or max(scores) != objectives + 1
            or min(figures, default=objectives) < objectives
        ):
            raise CorruptCampaign(
                f"{journal.root}: island {part.island}'s part of epoch {part.epoch} does not fit the campaign's spec; one of "
                "them comes from another campaign: restore both from a backup"
            )
        return part


def legend_of(spec: CampaignSpec, past: Sequence[Ancestor] = ()) -> Legend:
    """The legend of a campaign's frames. past: the ancestors of a fork, the oldest first."""
    islands = spec.archipelago.islands
    count = islands if isinstance(islands, int) else len(islands)
    return Legend(
        spec=spec,
        objectives=tuple(part.name for part in spec.objectives),
        migration=spec.migration,
        topology=make_topology(spec.archipelago.rule, count, spec.seed),
        topology_name=spec.archipelago.rule.name,
        before=(legend_of(past[-1].parsed(), past[:-1]), past[-1].epoch) if past else None,
    )


def segments(journal: Journal) -> Iterator[Segment]:
    """Segments of the living commits in the order of epochs and islands; none of dead entries or of lost work.

    Raises:
        CorruptCampaign: a segment is missing or does not match its hash, and a later one does.
    """
    for entry in reversed(living(journal)):
        yield from segments_of(journal, entry)


def _parts(journal: Journal, legend: Legend, entries: list[Entry] | None = None) -> Iterator[Segment]:
    """Segments of these commits, by default of all living ones, that the legend explains."""
    parts = segments(journal) if entries is None else (s for entry in entries for s in segments_of(journal, entry))
    return (legend.require(journal, part) for part in parts)


def living(journal: Journal) -> list[Entry]:
    """Living entries from the newest back whose segment is whole: as a resume does, passes over damaged ones loudly."""
    for number in reversed(journal.numbers()):
        try:
            entry = journal.read_entry(number)
            journal.blob(entry.segment, entry.sizes[1])
        except CorruptCampaign as error:
            warnings.warn(f"passed over commit {number}: {error}", IslandsWarning, stacklevel=2)
            continue
        return list(journal.chain(entry))
    return []


def segments_of(journal: Journal, entry: Entry) -> list[Segment]:
    """The segments of one commit, in island order."""
    record = codec.unpack(
        "trials", journal.blob(entry.segment, entry.sizes[1]), f"{journal.root}/{entry.segment[0]}", proven=True
    )
    try:
        return [
            Segment(
                epoch=entry.epoch,
                island=island,
                trials=codec.unpack_trials(part["trials"]),
                arrivals=tuple(codec.unpack_arrival(row) for row in part["arrivals"]),
                generations=tuple(codec.unpack_generation(row) for row in part["generations"]),
            )
            for island, part in enumerate(record["islands"])
        ]
    except codec.MALFORMED as error:
        raise CorruptCampaign(f"{journal.root}/{entry.segment[0]}: malformed ({error!r})") from None


def answers(journal: Journal, entry: Entry) -> tuple[Answer, ...]:
    """What each island answered in the epoch of one commit, put together again from its blobs."""
    states, emigrants = journal.states(entry)
    parts = segments_of(journal, entry)
    try:
        return tuple(
            Answer(i, entry.epoch, states[i], emigrants[entry.epoch, i], part.trials, part.arrivals, part.generations)
            for i, part in enumerate(parts)
        )
    except (KeyError, IndexError):
        raise CorruptCampaign(f"{journal.root}/{entry.blob[0]}: does not hold all islands of its epoch") from None


def generations(journal: Journal, legend: Legend, entries: list[Entry] | None = None) -> pl.DataFrame:
    """A row for each generation of each island.

    Columns: epoch, island, generation, best and median of the first objective, diversity, feasible, trials, stagnant
    (epochs without improvement when the epoch began), stagnation_rule (what was done about it). Several objectives add
    best_NAME and median_NAME for each, and the deme's hypervolume. entries: of these commits alone.
    """
    import polars as pl

    rows = [(s.epoch, s.island, g) for s in _parts(journal, legend, entries) for g in s.generations]
    records = [g for _, _, g in rows]
    columns = {
        "epoch": pl.Series([epoch for epoch, _, _ in rows], dtype=pl.Int64),
        "island": pl.Series([island for _, island, _ in rows], dtype=pl.Int64),
        "generation": pl.Series([g.generation for g in records], dtype=pl.Int64),
        "best": pl.Series([g.best[0] for g in records], dtype=pl.Float64),
        "median": pl.Series([g.median[0] for g in records], dtype=pl.Float64),
        "diversity": pl.Series([g.diversity for g in records], dtype=pl.Float64),
        "feasible": pl.Series([g.feasible for g in records], dtype=pl.Int64),
        "trials": pl.Series([g.trials for g in records], dtype=pl.Int64),
        "stagnant": pl.Series([g.stagnant for g in records], dtype=pl.Int64),
        "stagnation_rule": pl.Series([g.rule for g in records], dtype=pl.String),
    }
    if len(legend.objectives) > 1:
        for k, name in enumerate(legend.objectives):
            columns[f"best_{name}"] = pl.Series([g.best[k] for g in records], dtype=pl.Float64)
            columns[f"median_{name}"] = pl.Series([g.median[k] for g in records], dtype=pl.Float64)
        columns["hypervolume"] = pl.Series([g.hypervolume for g in records], dtype=pl.Float64)
    return pl.DataFrame(columns)


def migrations(journal: Journal, legend: Legend) -> pl.DataFrame:
    """A row for each immigrant: who came from where with what, and what became of it.

    Columns: epoch (of arrival), left (the epoch after which it left), source, target, family, born, genome (as it
    entered), value and violation (as scored on the target), further objectives by name, outcome, replaced (born), survived
    (its genome was in the deme at the epoch's end), and the rules it travelled under: selection, replacement, topology,
    weight. Births are written island.generation.slot.
    """
    import polars as pl

    arrivals = [(s.epoch, s.island, a) for s in _parts(journal, legend) for a in s.arrivals]
    rows = [a for _, _, a in arrivals]
    left = [epoch - legend.migration.delay for epoch, _, _ in arrivals]
    rules = [legend.at(epoch) for epoch, _, _ in arrivals]
    scores = np.array([a.scores for a in rows]).reshape(len(rows), len(legend.objectives) + 1)
    if not {len(a.genome) for a in rows} <= {legend.width}:
        raise CorruptCampaign(f"{journal.root}: immigrants of another width than the campaign's; restore it from a backup")
    genomes = np.array([a.genome for a in rows]).reshape(len(rows), legend.width)
    return pl.DataFrame(
        {
            "epoch": pl.Series([epoch for epoch, _, _ in arrivals], dtype=pl.Int64),
            "left": pl.Series(left, dtype=pl.Int64),
            "source": pl.Series([a.source for a in rows], dtype=pl.Int64),
            "target": pl.Series([target for _, target, _ in arrivals], dtype=pl.Int64),
            "family": _family_names(legend, [a.family for a in rows]),
            "born": pl.Series([_born(a.birth) for a in rows], dtype=pl.String),
            "genome": _genome_texts(legend, np.array([a.family for a in rows], dtype=np.int64), genomes),
            **_score_columns(legend, scores),
            "outcome": pl.Series([OUTCOMES[a.outcome] for a in rows], dtype=pl.String),
            "replaced": pl.Series([_born(a.replaced) for a in rows], dtype=pl.String),
            "survived": pl.Series([a.survived for a in rows], dtype=pl.Boolean),
            "selection": pl.Series([legend.at(epoch).migration.selection for epoch in left], dtype=pl.String),
            "replacement": pl.Series([rule.migration.replacement for rule in rules], dtype=pl.String),
            "topology": pl.Series([rule.topology_name for rule in rules], dtype=pl.String),
            "weight": pl.Series(
                [rule.topology.weight(a.source, target) for rule, (_, target, a) in zip(rules, arrivals, strict=True)],
                dtype=pl.Float64,
            ),
        }
    )


def trials(journal: Journal, legend: Legend) -> pl.DataFrame:
    """A row for each distinct genome that an island scored in an epoch.

    Columns: epoch, island, born, family, genome (text), value and violation, further objectives by name, origin (see
    deme.ORIGINS), parent and mate (born; null where there is none).
    """
    import polars as pl

    parts = [_trials_frame(legend, s.epoch, s.island, s.trials) for s in _parts(journal, legend)]
    return pl.concat(parts) if parts else _no_trials(legend)


def _no_trials(legend: Legend) -> pl.DataFrame:
    return _trials_frame(legend, 0, 0, Trials.without_parents(legend.nobody(), IMMIGRANT))


def _trials_frame(legend: Legend, epoch: int, island: int, tried: Trials) -> pl.DataFrame:
    import polars as pl

    count = len(tried)
    return pl.DataFrame(
        {
            "epoch": pl.Series([epoch] * count, dtype=pl.Int64),
            "island": pl.Series([island] * count, dtype=pl.Int64),
            "born": _births(tried.deme.births),
            "family": _family_names(legend, tried.deme.families.tolist()),
            "genome": _genome_texts(legend, tried.deme.families, tried.deme.genomes),
            **_score_columns(legend, tried.deme.scores),
            "origin": pl.Series([ORIGINS[code] for code in tried.origins.tolist()], dtype=pl.String),
            "parent": _births(tried.parents[:, :3]),
            "mate": _births(tried.parents[:, 3:]),
        }
    )


def individuals(legend: Legend, parts: Sequence[Deme]) -> pl.DataFrame:
    """A row for each individual of demes, one deme an island: island, rank (from 1), born, family, genome, scores."""
    import polars as pl

    everyone = legend.nobody().join(*parts)
    return pl.DataFrame(
        {
            "island": pl.Series([i for i, deme in enumerate(parts) for _ in range(len(deme))], dtype=pl.Int64),
            "rank": pl.Series([rank + 1 for deme in parts for rank in range(len(deme))], dtype=pl.Int64),
            "born": _births(everyone.births),
            "family": _family_names(legend, everyone.families.tolist()),
            "genome": _genome_texts(legend, everyone.families, everyone.genomes),
            **_score_columns(legend, everyone.scores),
        }
    )


def scored(journal: Journal, legend: Legend, born: str) -> list[tuple[int, int, int, np.ndarray]]:
    """(epoch, island, family, genome) of each trial of an individual: one where it was born, one of each island it came to.

    Raises:
        InputError: nobody was born there.
    """
    found = []
    for segment in _parts(journal, legend) if _is_birth(born) else ():
        deme = segment.trials.deme
        for row in np.flatnonzero((deme.births == _birth_of(born)).all(axis=1)).tolist():
            found.append((segment.epoch, segment.island, int(deme.families[row]), deme.genomes[row]))
    if not found:
        raise _nobody(journal, born)
    return found


def _nobody(journal: Journal, born: str) -> InputError:
    return InputError(
        f"{born!r} is no individual of {journal.root}; give `born` as champions(), trials() and migrations() show it, "
        "island.generation.slot"
    )


def lineage(journal: Journal, legend: Legend, born: str) -> pl.DataFrame:
    """The trial of an individual and of all its ancestors, youngest first: `trials` with `depth`, 0 for itself.

    The depth of an ancestor is the least number of births between. Where it or an ancestor travelled, each island that
    scored it has a row of its own, with origin "immigrant".
    """
    import polars as pl

    entries = living(journal)
    depths = _depths(journal, entries, _birth_of(born)) if _is_birth(born) else {}
    found: list[pl.DataFrame] = []
    for segment in _parts(journal, legend, entries):
        births = segment.trials.deme.births.tolist()
        rows = [row for row, birth in enumerate(births) if tuple(birth) in depths]
        if rows:
            frame = _trials_frame(legend, segment.epoch, segment.island, _take(segment.trials, rows))
            found.append(frame.insert_column(0, pl.Series("depth", [depths[tuple(births[row])] for row in rows])))
    if not found:
        raise _nobody(journal, born)
    whole = pl.concat(found)
    return whole.sort("depth", "epoch", "island", descending=[False, True, False], maintain_order=True)


def _depths(journal: Journal, entries: list[Entry], birth: Birth) -> dict[Birth, int]:
    """An individual and its ancestors, with the births between. From the newest entry back: no parent is younger."""
    depths: dict[Birth, int] = {birth: 0}
    for entry in entries:
        parents: dict[Birth, tuple[Birth, Birth]] = {}
        for segment in segments_of(journal, entry):
            born_here = np.flatnonzero(segment.trials.origins != IMMIGRANT)
            births, both = segment.trials.deme.births[born_here], segment.trials.parents[born_here]
            for (a, b, c), (d, e, f, g, h, i) in zip(births.tolist(), both.tolist(), strict=True):
                parents[a, b, c] = ((d, e, f), (g, h, i))
        waiting = [birth for birth in parents if birth in depths]
        while waiting:  # parents may be of the same epoch
            child = waiting.pop()
            for parent in parents[child]:
                if parent != NOBODY and depths.get(parent, depths[child] + 2) > depths[child] + 1:
                    depths[parent] = depths[child] + 1
                    if parent in parents:
                        waiting.append(parent)
    return depths


def _is_birth(born: object) -> bool:
    return isinstance(born, str) and re.fullmatch(r"\d{1,18}\.\d{1,18}\.\d{1,18}", born, re.ASCII) is not None


def _birth_of(born: str) -> Birth:
    island, generation, slot = map(int, born.split("."))
    return island, generation, slot


def _take(trials: Trials, rows: list[int]) -> Trials:
    return Trials(trials.deme.take(rows), trials.origins[rows], trials.parents[rows])


def _family_names(legend: Legend, families: list[int]) -> pl.Series:
    import polars as pl

    names = [space.family.name for space in legend.spaces]
    return pl.Series([names[index] for index in families], dtype=pl.String)


def _genome_texts(legend: Legend, families: np.ndarray, genomes: np.ndarray) -> pl.Series:
    """Genomes as "gene=value gene=value": each distinct value of a gene is written once, since demes repeat them."""
    import polars as pl

    texts: list[str] = [""] * len(genomes)
    for index in np.unique(families).tolist():
        rows = np.flatnonzero(families == index)
        written = []
        for gene, values in zip(legend.spaces[index].genes, genomes[rows].T, strict=False):
            distinct, where = np.unique(values, return_inverse=True)
            words = [_word(gene, value) for value in distinct.tolist()]
            written.append([words[i] for i in where.tolist()])
        for row, parts in zip(rows.tolist(), zip(*written, strict=True), strict=True):
            texts[row] = " ".join(parts)
    return pl.Series(texts, dtype=pl.String)


def _word(gene: Gene, value: float) -> str:
    try:
        return f"{gene.name}={gene.show(value)}"
    except codec.MALFORMED:
        raise CorruptCampaign(
            f"{value!r} is no value of gene {gene.name}: the ledger comes from another campaign; restore it from a backup"
        ) from None


def _score_columns(legend: Legend, scores: np.ndarray) -> dict[str, Any]:
    """value (of the first objective), violation, and of several objectives each by name."""
    names = legend.objectives
    several = {name: scores[:, k] for k, name in enumerate(names)} if len(names) > 1 else {}
    return {"value": scores[:, 0], "violation": scores[:, -1], **several}


def _births(births: np.ndarray) -> pl.Series:
    import polars as pl

    return pl.Series([_born(birth) if birth[0] >= 0 else None for birth in births.tolist()], dtype=pl.String)


def _born(birth: Any) -> str | None:
    return None if birth is None else ".".join(str(part) for part in birth)
