"""The account of everything tried: trials, migrations and generations of the committed epochs, as polars frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from islands.archipelago import codec
from islands.archipelago.journal import Entry, Journal
from islands.errors import CorruptCampaign
from islands.evolution.deme import Deme
from islands.evolution.island import Answer, Generation
from islands.evolution.migration import OUTCOMES, Arrival

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Segment:
    """One island's part of one epoch."""

    epoch: int
    island: int
    trials: Deme
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
                trials=codec.unpack_deme(part["trials"]),
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


def generations(journal: Journal, entries: list[Entry] | None = None) -> pl.DataFrame:
    """A row for each generation of each island: epoch, island, generation, best, median, diversity, feasible, trials.

    entries: of these commits alone.
    """
    import polars as pl

    schema = {
        "epoch": pl.Int64,
        "island": pl.Int64,
        "generation": pl.Int64,
        "best": pl.Float64,
        "median": pl.Float64,
        "diversity": pl.Float64,
        "feasible": pl.Int64,
        "trials": pl.Int64,
    }
    parts = segments(journal) if entries is None else [s for entry in entries for s in segments_of(journal, entry)]
    rows = [
        (s.epoch, s.island, g.generation, g.best, g.median, g.diversity, g.feasible, g.trials)
        for s in parts
        for g in s.generations
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def migrations(journal: Journal, families: list[str]) -> pl.DataFrame:
    """A row for each immigrant: who came from where to where, what became of it, and whom it replaced.

    Births are written island.generation.slot.
    """
    import polars as pl

    schema = {
        "epoch": pl.Int64,
        "source": pl.Int64,
        "target": pl.Int64,
        "family": pl.String,
        "born": pl.String,
        "outcome": pl.String,
        "replaced": pl.String,
    }
    rows = [
        (s.epoch, a.source, s.island, families[a.family], _born(a.birth), OUTCOMES[a.outcome], _born(a.replaced))
        for s in segments(journal)
        for a in s.arrivals
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def trials(journal: Journal, genes: list[tuple[str, Any]]) -> pl.DataFrame:
    """A row for each distinct genome that an island scored in an epoch, with its score.

    genes: for each family its name and its genes. Columns: epoch, island, born, family, genome (text), value, violation.
    """
    import polars as pl

    schema = {
        "epoch": pl.Int64,
        "island": pl.Int64,
        "born": pl.String,
        "family": pl.String,
        "genome": pl.String,
        "value": pl.Float64,
        "violation": pl.Float64,
    }
    rows = []
    for s in segments(journal):
        columns = (s.trials.families, s.trials.genomes, s.trials.scores, s.trials.births)
        for family, genome, (value, violation), birth in zip(*(c.tolist() for c in columns), strict=True):
            name, parts = genes[family]
            text = " ".join(f"{g.name}={g.show(v)}" for g, v in zip(parts, genome, strict=False))
            rows.append((s.epoch, s.island, _born(birth), name, text, value, violation))
    return pl.DataFrame(rows, schema=schema, orient="row")


def _born(birth: Any) -> str | None:
    return None if birth is None else ".".join(str(part) for part in birth)
