"""The account of everything tried: trials, migrations and generations of the committed epochs, as polars frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from islands.archipelago import codec
from islands.archipelago.journal import Entry, Journal
from islands.errors import CorruptCampaign, InputError
from islands.evolution.deme import ORIGINS, Deme, Trials
from islands.evolution.island import Answer, Generation
from islands.evolution.migration import OUTCOMES, Arrival
from islands.evolution.world import World

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


def segments(journal: Journal) -> Iterator[Segment]:
    """Segments of the living commits in the order of epochs and islands; none of dead entries or of lost work.

    Raises:
        CorruptCampaign: a segment is missing or does not match its hash.
    """
    for entry in reversed(list(journal.chain())):
        yield from segments_of(journal, entry)


def segments_of(journal: Journal, entry: Entry) -> list[Segment]:
    """The segments of one commit, in island order."""
    record = codec.unpack("trials", journal.blob(entry.segment), entry.segment[0])
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
    except (KeyError, TypeError, ValueError) as error:
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


def generations(journal: Journal, objectives: Sequence[str], entries: list[Entry] | None = None) -> pl.DataFrame:
    """A row for each generation of each island.

    Columns: epoch, island, generation, best and median of the first objective, diversity, feasible, trials, stagnant
    (epochs without improvement when the epoch began), stagnation_rule (what was done about it). Several objectives add
    best_NAME and median_NAME for each, and the deme's hypervolume. entries: of these commits alone.
    """
    import polars as pl

    parts = segments(journal) if entries is None else (s for entry in entries for s in segments_of(journal, entry))
    rows = [(s.epoch, s.island, g) for s in parts for g in s.generations]
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
    if len(objectives) > 1:
        for k, name in enumerate(objectives):
            columns[f"best_{name}"] = pl.Series([g.best[k] for g in records], dtype=pl.Float64)
            columns[f"median_{name}"] = pl.Series([g.median[k] for g in records], dtype=pl.Float64)
        columns["hypervolume"] = pl.Series([g.hypervolume for g in records], dtype=pl.Float64)
    return pl.DataFrame(columns)


def migrations(journal: Journal, world: World) -> pl.DataFrame:
    """A row for each immigrant: who came from where with what, and what became of it.

    Columns: epoch (of arrival), left (the epoch after which it left), source, target, family, born, genome (as it
    entered), value and violation (as scored on the target), further objectives by name, outcome, replaced (born), survived
    (its genome was in the deme at the epoch's end), and the rules it travelled under: selection, replacement, topology,
    weight. Births are written island.generation.slot.
    """
    import polars as pl

    arrivals = [(s.epoch, s.island, a) for s in segments(journal) for a in s.arrivals]
    rows = [a for _, _, a in arrivals]
    rules, topology = world.spec.migration, world.topology
    scores = np.array([a.scores for a in rows]).reshape(len(rows), len(world.signs) + 1)
    genomes = np.array([a.genome for a in rows]).reshape(len(rows), world.width)
    return pl.DataFrame(
        {
            "epoch": pl.Series([epoch for epoch, _, _ in arrivals], dtype=pl.Int64),
            "left": pl.Series([epoch - rules.delay for epoch, _, _ in arrivals], dtype=pl.Int64),
            "source": pl.Series([a.source for a in rows], dtype=pl.Int64),
            "target": pl.Series([target for _, target, _ in arrivals], dtype=pl.Int64),
            "family": _family_names(world, [a.family for a in rows]),
            "born": pl.Series([_born(a.birth) for a in rows], dtype=pl.String),
            "genome": _genome_texts(world, np.array([a.family for a in rows], dtype=np.int64), genomes),
            **_score_columns(world, scores),
            "outcome": pl.Series([OUTCOMES[a.outcome] for a in rows], dtype=pl.String),
            "replaced": pl.Series([_born(a.replaced) for a in rows], dtype=pl.String),
            "survived": pl.Series([a.survived for a in rows], dtype=pl.Boolean),
            "selection": pl.Series([rules.selection] * len(rows), dtype=pl.String),
            "replacement": pl.Series([rules.replacement] * len(rows), dtype=pl.String),
            "topology": pl.Series([world.spec.archipelago.rule.name] * len(rows), dtype=pl.String),
            "weight": pl.Series([topology.weight(a.source, target) for _, target, a in arrivals], dtype=pl.Float64),
        }
    )


def trials(journal: Journal, world: World) -> pl.DataFrame:
    """A row for each distinct genome that an island scored in an epoch.

    Columns: epoch, island, born, family, genome (text), value and violation, further objectives by name, origin (see
    deme.ORIGINS), parent and mate (born; null where there is none).
    """
    import polars as pl

    parts = [_trials_frame(world, s) for s in segments(journal)]
    return pl.concat(parts) if parts else _trials_frame(world, None)


def _trials_frame(world: World, segment: Segment | None) -> pl.DataFrame:
    import polars as pl

    none = Trials.without_parents(Deme.empty(world.width, len(world.signs)), 0)
    tried = none if segment is None else segment.trials
    count = len(tried)
    return pl.DataFrame(
        {
            "epoch": pl.Series([segment.epoch if segment else 0] * count, dtype=pl.Int64),
            "island": pl.Series([segment.island if segment else 0] * count, dtype=pl.Int64),
            "born": _births(tried.deme.births),
            "family": _family_names(world, tried.deme.families.tolist()),
            "genome": _genome_texts(world, tried.deme.families, tried.deme.genomes),
            **_score_columns(world, tried.deme.scores),
            "origin": pl.Series([ORIGINS[code] for code in tried.origins.tolist()], dtype=pl.String),
            "parent": _births(tried.parents[:, :3]),
            "mate": _births(tried.parents[:, 3:]),
        }
    )


def individuals(world: World, parts: Sequence[Deme]) -> pl.DataFrame:
    """A row for each individual of demes, one deme an island: island, rank (from 1), born, family, genome, scores."""
    import polars as pl

    everyone = Deme.empty(world.width, len(world.signs)).join(*parts)
    return pl.DataFrame(
        {
            "island": pl.Series([i for i, deme in enumerate(parts) for _ in range(len(deme))], dtype=pl.Int64),
            "rank": pl.Series([rank + 1 for deme in parts for rank in range(len(deme))], dtype=pl.Int64),
            "born": _births(everyone.births),
            "family": _family_names(world, everyone.families.tolist()),
            "genome": _genome_texts(world, everyone.families, everyone.genomes),
            **_score_columns(world, everyone.scores),
        }
    )


def lineage(journal: Journal, world: World, born: str) -> pl.DataFrame:
    """The trial of an individual and of all its ancestors, youngest first: `trials` with `depth`, 0 for itself.

    Where it or an ancestor travelled, each island that scored it has a row of its own, with origin "immigrant".
    """
    import polars as pl

    depths = {born: 0}
    found: list[pl.DataFrame] = []
    for entry in journal.chain():
        frame = pl.concat([_trials_frame(world, s) for s in segments_of(journal, entry)])
        rows = {b: (p, m) for b, o, p, m in frame.select("born", "origin", "parent", "mate").iter_rows() if o != "immigrant"}
        waiting = [name for name in depths if name in rows]
        while waiting:  # parents may be of the same epoch
            name = waiting.pop()
            for parent in filter(None, rows[name]):
                if parent not in depths or depths[parent] > depths[name] + 1:
                    depths[parent] = depths[name] + 1
                    if parent in rows:
                        waiting.append(parent)
        found.append(frame.filter(pl.col("born").is_in(list(depths))))
    whole = pl.concat(found) if found else _trials_frame(world, None)
    if whole.is_empty():
        raise InputError(
            f"{born!r} is no individual of {journal.root}; give `born` as champions(), trials() and migrations() show it, "
            "island.generation.slot"
        )
    depth = whole["born"].replace_strict(depths, return_dtype=pl.Int64).alias("depth")
    return whole.insert_column(0, depth).sort("depth", "epoch", "island", descending=[False, True, False], maintain_order=True)


def _family_names(world: World, families: list[int]) -> pl.Series:
    import polars as pl

    names = [space.family.name for space in world.spaces]
    return pl.Series([names[index] for index in families], dtype=pl.String)


def _genome_texts(world: World, families: np.ndarray, genomes: np.ndarray) -> pl.Series:
    """Genomes as "gene=value gene=value": each distinct value of a gene is written once, since demes repeat them."""
    import polars as pl

    texts: list[str] = [""] * len(genomes)
    for index in np.unique(families).tolist():
        rows = np.flatnonzero(families == index)
        written = []
        for gene, values in zip(world.spaces[index].genes, genomes[rows].T, strict=False):
            distinct, where = np.unique(values, return_inverse=True)
            words = [f"{gene.name}={gene.show(value)}" for value in distinct.tolist()]
            written.append([words[i] for i in where.tolist()])
        for row, parts in zip(rows.tolist(), zip(*written, strict=True), strict=True):
            texts[row] = " ".join(parts)
    return pl.Series(texts, dtype=pl.String)


def _score_columns(world: World, scores: np.ndarray) -> dict[str, Any]:
    """value (of the first objective), violation, and of several objectives each by name."""
    names = [objective.name for objective in world.aim.objectives]
    several = {name: scores[:, k] for k, name in enumerate(names)} if len(names) > 1 else {}
    return {"value": scores[:, 0], "violation": scores[:, -1], **several}


def _births(births: np.ndarray) -> pl.Series:
    import polars as pl

    return pl.Series([_born(birth) if birth[0] >= 0 else None for birth in births.tolist()], dtype=pl.String)


def _born(birth: Any) -> str | None:
    return None if birth is None else ".".join(str(part) for part in birth)
