"""Whether a campaign is whole and this machine reproduces it, and what became of the genomes that could not be scored."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from islands import nulls
from islands.archipelago import failures, ledger
from islands.archipelago.audit import audit
from islands.archipelago.journal import Journal
from islands.archipelago.machine import Routes
from islands.archipelago.manifest import differences
from islands.archipelago.replay import plan_replay, replay
from islands.archipelago.storage import LARGEST_BYTES
from islands.errors import CorruptCampaign, InputError
from islands.evolution.failures import Failure, failure_on
from islands.evolution.world import World
from islands.foundation import Foundation
from islands.runtime.conductor import routes_of

if TYPE_CHECKING:
    import polars as pl

    from islands.strategies.strategy import Strategy

Announce = Callable[[str], None] | None

Outcome = tuple[str, str | None]
"""What a genome came to, in words, and its error, None where it could be scored."""

CARDS = "champions.json"
"""Where the champions are exported to, if no other place is asked for."""


def verify(ground: Foundation, choice: str | None, announce: Announce) -> list[str]:
    """See `Campaign.verify`."""
    found = audit(ground.journal)
    problems = found.problems
    if found.let_go and announce is not None:
        count, newest = len(found.let_go), found.let_go[0]
        what = f"{count} epochs, the last of them {newest}, have" if count > 1 else f"epoch {newest} has"
        why = "before the fork, or by --keep-last" if ground.ancestors else "--keep-last"
        announce(f"{what} not kept the demes ({why}): known by digest and trials, and checked by --replay alone")
    problems += nulls.kept_of(ground, 0).problems() + _problems_of_cards(ground)
    notes = found.notes
    for fold in sorted((ground.path / "folds").glob("*")):
        part = audit(Journal(fold))
        problems, notes = problems + part.problems, notes + part.notes
    if announce is not None:
        for note in notes:
            announce(note)
    if choice is not None:
        try:
            problems += _recomputed(ground, choice, announce)
        except CorruptCampaign as error:
            problems.append(f"not everything could be computed again: {error}")
    return problems


def _problems_of_cards(ground: Foundation) -> list[str]:
    """What is wrong with champions.json where `islands export` puts it: it names the commit that its champions are of."""
    path = ground.path / CARDS
    try:
        card = json.loads(ground.journal.folder.read(CARDS, LARGEST_BYTES) or b"{}")
        digest = card.get("digest") if card.get("manifest") == ground.manifest_hash else None
        known = [entry.digest for entry in ground.journal.chain()]
    except (ValueError, AttributeError, RecursionError) as error:
        return [f"{path} can't be read ({error}); islands export writes it anew"]
    except CorruptCampaign:
        return []  # that a commit is damaged is told elsewhere
    if digest is None or digest in known:
        return []
    return [f"{path} is of digest {str(digest)[:12]}, which no commit has: one is missing; islands resume computes it again"]


def _recomputed(ground: Foundation, choice: str, announce: Announce) -> list[str]:
    """A line for each chosen epoch that comes out otherwise here."""
    plan = plan_replay(ground.journal, choice, ground.world.islands)
    found = differences(ground.manifest, ground.manifest_now())
    if announce is not None:
        announce(plan.cost + (f"; since it began, these have changed: {', '.join(found)}" if found else ""))
    return list(replay(ground.journal, lambda epoch: _settings(ground, epoch), plan))


def _settings(ground: Foundation, epoch: int) -> tuple[World, Routes]:
    """World and routes of an epoch: an ancestor's before the fork."""
    former = zip(ground.ancestors, ground.former_worlds, strict=True)
    world = next((world for past, world in former if epoch <= past.epoch), ground.world)
    return world, routes_of(world)


def failed(ground: Foundation) -> pl.DataFrame:
    """See `Campaign.failures`."""
    import polars as pl

    ground.require_own_families()
    rows = []
    for kept in failures.read_all(ground.journal):
        for failure in kept.failures:
            strategy = _strategy_of(ground, failure)
            genes = " ".join(f"{k}={v}" for k, v in strategy.genes.items())
            file = str(ground.path / kept.key)
            rows.append((kept.island, kept.epoch, strategy.family.name, genes, failure.market, failure.error, file))
    words = dict.fromkeys(("family", "genes", "instrument", "error", "file"), pl.String)
    return pl.DataFrame(rows, schema={"island": pl.Int64, "epoch": pl.Int64, **words}, orient="row")


def replay_failure(ground: Foundation, file: str | Path, limit_s: float) -> list[Outcome]:
    """See `Campaign.replay_failure`."""
    path = Path(file).absolute()
    if path.parent != (ground.path / failures.FOLDER).absolute():
        raise InputError(f"{file}: expected a file of {ground.path / failures.FOLDER}")
    return _again(ground, failures.read(ground.journal, f"{failures.FOLDER}/{path.name}").failures, limit_s)


def replay_trial(ground: Foundation, born: str, limit_s: float) -> list[Outcome]:
    """See `Campaign.replay_trial`."""
    met: dict[str, Failure] = {}
    for epoch, island, family, genome in ledger.scored(ground.journal, ground.legend, born):
        world = _settings(ground, epoch)[0]
        genes = tuple(world.genes(family, genome[None])[0].tolist())
        for market in world.habitats[island].markets:
            failure = failure_on(market, family, genes)
            met[repr(failure)] = failure
    return [outcome for failure in met.values() for outcome in _again(ground, (failure,), limit_s)]


def _again(ground: Foundation, suspects: tuple[Failure, ...], limit_s: float) -> list[Outcome]:
    """What genomes come to that are scored together once more, in a process of its own."""
    from islands.runtime.apart import Genomes, Setting, market_of, run_apart

    for failure in suspects:
        market_of(ground.world, failure)
    blocks = {market.name: market.tape.block for market in ground.world.markets}
    setting = Setting(ground.spec.model_dump_json(), blocks, tuple(sys.path))
    ending = run_apart(setting, Genomes(suspects), limit_s)
    if ending.died is not None:
        first, others = suspects[0], len(suspects) - 1
        beside = f" and {others} scored together with it" if others else ""
        return [(f"{_strategy_of(ground, first)!r}{beside} on {first.market}", f"its process {ending.died}")]
    told: list[Outcome] = []
    for failure, (errors, objectives) in zip(suspects, ending.scored, strict=True):
        figures = ", ".join(f"{name} {value:.6g}" for name, value in objectives.items())
        told.append((f"{_strategy_of(ground, failure)!r} on {failure.market}: {figures}", "; ".join(errors) or None))
    return told


def _strategy_of(ground: Foundation, failure: Failure) -> Strategy:
    return ground.world.strategy(failure.family, ground.world.pad(np.array([failure.genome]))[0])
