"""What a campaign proposes: its champions as records and frames, and their runs bar by bar.

A finished campaign's are those of its stored result, one under way proposes those of its last commit, without a word about
held-back bars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from islands import judging
from islands.archipelago import ledger
from islands.evidence.champions import Champion, pareto_front, records, replay
from islands.foundation import Foundation

if TYPE_CHECKING:
    import polars as pl

    from islands.evaluation import Backtest


def champion_records(ground: Foundation) -> list[dict[str, Any]]:
    """See `Campaign.champion_records`."""
    result = ground.result()
    if result is not None:
        stored: list[dict[str, Any]] = result["champions"]
        return stored
    return records(ground.world, ground.champions(), None)


def champions(ground: Foundation) -> pl.DataFrame:
    """See `Campaign.champions`."""
    import polars as pl

    from islands.kernels.metrics import METRICS

    rows = champion_records(ground)
    figures = {name: [row["metrics"][name] for row in rows] for name in METRICS}
    if rows and "held_back" in rows[0]:
        figures |= {f"held_back_{name}": [row["held_back"][name] for row in rows] for name in METRICS}
    words = [verdict.word for verdict in judging.verdicts(ground)]
    objectives = [part.name for part in ground.spec.objectives]
    return pl.DataFrame(
        {
            "rank": pl.Series([row["rank"] for row in rows], dtype=pl.Int64),
            "family": pl.Series([row["family"] for row in rows], dtype=pl.String),
            "genes": pl.Series([" ".join(f"{k}={v}" for k, v in row["genes"].items()) for row in rows], dtype=pl.String),
            "born": pl.Series([".".join(map(str, row["born"])) for row in rows], dtype=pl.String),
            "value": pl.Series([row["value"] for row in rows], dtype=pl.Float64),
            **{
                f"objective_{name}": pl.Series([row["objectives"][name] for row in rows], dtype=pl.Float64)
                for name in (objectives if len(objectives) > 1 else [])
            },
            **{name: pl.Series(values, dtype=pl.Float64) for name, values in figures.items()},
            **({"verdict": pl.Series(words, dtype=pl.String)} if words else {}),
        }
    )


def champion_figures(ground: Foundation) -> pl.DataFrame:
    """See `Campaign.champion_figures`."""
    import polars as pl

    from islands.kernels.metrics import METRICS

    rows = []
    for row in champion_records(ground):
        by_instrument = row.get("instruments") or {next(iter(ground.spec.sources)): row}
        for name, figures in by_instrument.items():
            for part, key in (("evolution", "metrics"), ("held back", "held_back")):
                if key in figures:
                    rows.append((row["rank"], name, part, *(figures[key][metric] for metric in METRICS)))
    schema = {"rank": pl.Int64, "instrument": pl.String, "part": pl.String, **dict.fromkeys(METRICS, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def front(ground: Foundation) -> pl.DataFrame:
    """See `Campaign.front`."""
    ground.require_own_families()
    people = pareto_front(ground.world, ground.journal.position().states)
    return ledger.individuals(ground.legend, [people]).drop("island")


def replays(ground: Foundation, count: int) -> list[tuple[Champion, dict[str, tuple[Backtest, Backtest | None]]]]:
    """See `Campaign.replays`."""
    finished = ground.result() is not None and ground.holds_back
    found = []
    for champion in ground.champions()[:count]:
        seen = replay(ground.world, champion, ground.instruments, False)
        held = replay(ground.world, champion, ground.instruments, True, ground.is_fold) if finished else {}
        found.append((champion, {name: (run, held.get(name)) for name, run in seen.items()}))
    return found
