"""From a campaign to its champions' verdicts: counts its trials, opens the held-back bars once, and judges."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from islands import nulls, openings
from islands.archipelago.journal import Entry, Journal, Position, Writer
from islands.archipelago.machine import GENESIS
from islands.archipelago.manifest import LEDGER
from islands.archipelago.tally import Tally, tally
from islands.errors import CorruptCampaign, IslandsWarning, StrategyError
from islands.evidence.beside import Beside, beside, with_diagnostics, with_more_runs
from islands.evidence.champions import Champion, held_back_figures, records
from islands.evidence.findings import Search, adjusted, deflated, held_back, search_of, tested
from islands.evidence.surrogates import DIAGNOSTICS, DRIFTS, Kind
from islands.evidence.verdict import Luck, Unseen, Verdict, judge
from islands.evolution.world import World
from islands.foundation import Foundation
from islands.market.bars import Bars
from islands.openings import Opening
from islands.strategies.gate import require_blind_on


def tried(journal: Journal, world: World, until: int | None = None) -> Tally:
    """The campaign's trials, counted in its ledger: those with a finite Sharpe ratio, where that is the objective on the whole
    of one instrument. Elsewhere the ledger does not say which have one, and all of them count: that is stricter. until: the
    last epoch that counts, by default all do."""
    places = {habitat.markets: number for number, habitat in enumerate(world.habitats)}
    alike = [places[habitat.markets] for habitat in world.habitats]
    alone = [objective.name for objective in world.aim.objectives] == ["sharpe"] and len(world.markets) == 1
    whole = alone and all(len(habitat.markets) == 1 for habitat in world.habitats)
    return tally(journal, alike, world.width, len(world.initial), every=not whole, until=until)


def search(journal: Journal, world: World, elsewhere: int = 0) -> Search | None:
    """The campaign's trials, and how far they differ; None, loudly, where a damaged ledger has lost some of them. elsewhere:
    what other campaigns have tried on its bars."""
    try:
        found = tried(journal, world)
    except CorruptCampaign as error:
        warnings.warn(
            f"{error}: nobody can tell how many strategies were tried, so that no champion can be more than no evidence",
            IslandsWarning,
            stacklevel=2,
        )
        return None
    return search_of(world, found.defined, found.founders, world.spec.evidence.prior_trials, elsewhere)


def counted(ground: Foundation, without: bool) -> Search | None:
    """The campaign's trials, as its champions are to be judged by them; None of a fold, whose are counted with its verdicts.

    without: where they can't be counted, go on, loudly: None.

    Raises:
        CorruptCampaign: they can't be counted. Nothing was opened.
    """
    if ground.is_fold:
        return None
    if without:
        return search(ground.journal, ground.world)
    try:
        found = tried(ground.journal, ground.world)
    except CorruptCampaign as error:
        raise CorruptCampaign(
            f"{error}: all epochs are committed, but nobody can tell how many strategies were tried, without which no champion "
            f"can be judged; the held-back bars were not opened for it. Restore the file from a backup, then islands resume "
            f"{ground.path}; where there is none, --accept {LEDGER} judges all the same, records it, and ends in no evidence"
        ) from None
    return search_of(ground.world, found.defined, found.founders, ground.spec.evidence.prior_trials, _elsewhere(ground, found))


def _elsewhere(ground: Foundation, found: Tally) -> int:
    """What this user's other campaigns have tried on these bars; 0, loudly, where nobody can tell."""
    head = ground.head()
    try:
        return openings.tried_elsewhere(_state(ground, head, found.defined), _digests(ground.journal, head))
    except OSError as error:
        _unkept(error)
        return 0


def tried_before(ground: Foundation) -> int:
    """What this user's other campaigns had tried on the bars of a campaign when it was judged; until it is, and where it has
    no champions, up to now. Its folds are judged by it too, and so say the same whenever they are asked."""
    result = ground.result()
    judged_by = [row["luck"] for row in result["champions"] if row.get("luck")] if result else []
    if judged_by:
        return int(judged_by[0].get("elsewhere", 0))
    try:
        return _elsewhere(ground, tried(ground.journal, ground.world))
    except CorruptCampaign:
        return 0  # nobody can count it, and whoever judges it says so


def book(ground: Foundation) -> None:
    """Notes in the register how many strategies the campaign has tried so far, once for each of its states.

    It does so before a run too: whose process is killed, is then counted in its folder. A ledger that can't be counted is
    noted when it can be; a register that can't be kept is said.
    """
    head = ground.head()
    try:
        if not openings.is_noted(ground.manifest_hash, head.digest if head else GENESIS):
            openings.note(_state(ground, head, tried(ground.journal, ground.world).defined))
    except CorruptCampaign:
        pass  # the run itself has said it, or the next one will
    except OSError as error:
        _unkept(error)


def lucks(world: World, champions: Sequence[Champion], found: Search) -> list[Luck]:
    """Each champion against the luck of the search, its Sharpe ratios per year."""
    rows = []
    for champion in champions:
        figures = deflated(world, champion, found)
        year = float(np.sqrt(figures["periods_per_year"]))
        rows.append(
            Luck(
                trials=found.trials,
                prior=found.prior,
                elsewhere=found.elsewhere,
                effective=found.effective,
                sharpe=figures["sharpe"] * year,
                expected=figures["expected"] * year,
                probability=figures["probability"],
                probability_effective=figures["probability_effective"],
            )
        )
    return rows


def judged(
    ground: Foundation,
    writer: Writer,
    position: Position,
    champions: list[Champion],
    found: Search | None,
    accepted: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The champions' records with what they are judged by; those of a fold have their test part's figures alone.

    found: see `counted`. accepted: the differences that are judged with, as the record of an opening has them, to be booked
    before the held-back bars are opened.
    """
    world, bars = ground.world, ground.instruments
    _require_blind(world, champions)
    if ground.is_fold:
        tested = held_back_figures(world, champions, bars, closes=True) if ground.holds_back else None
        return records(world, champions, tested)
    lucky = lucks(world, champions, found) if found else None
    figures, unseen = None, None
    if ground.holds_back:
        unseen = open_held_back(ground, writer, position, champions, found, accepted)
        figures = held_back_figures(world, champions, bars)
    else:
        _noted(ground, position, champions, found)
    rows = records(world, champions, figures)
    for i, row in enumerate(rows):
        row["luck"] = asdict(lucky[i]) if lucky else None
        row["unseen"] = asdict(unseen[i]) if unseen else None
    return rows


def _require_blind(world: World, champions: Sequence[Champion]) -> None:
    """The gate tries a few genomes of a user's own family; those that won may be where it peeks.

    Raises:
        StrategyError: one of them peeks on the bars of evolution. Nothing was opened.
    """
    for champion in champions:
        strategy = champion.strategy
        for market in world.markets:
            try:
                require_blind_on(strategy.family, market.tape, np.array([strategy.genome]))
            except StrategyError as error:
                raise StrategyError(
                    f"{error}. All epochs are committed, but a champion that sees what is to come can't be judged; no "
                    "bars were opened for it: mend the family, and start a new campaign"
                ) from None


def verdicts(ground: Foundation) -> list[Verdict]:
    """See `Campaign.verdicts`."""
    result = ground.result()
    if result is None or not all("luck" in row for row in result["champions"]):  # none, or an older version's
        return []
    return [
        judge(
            Luck(**row["luck"]) if row["luck"] else None,
            Unseen(**row["unseen"]) if row["unseen"] else None,
            ps,
            ground.spec.evidence,
        )
        for row, ps in zip(result["champions"], p_values(ground, result, DRIFTS), strict=True)
    ]


def p_values(ground: Foundation, result: dict[str, Any], kinds: Sequence[Kind]) -> list[dict[str, float | None]]:
    """Each champion's p-values by kind of null, None where that one was not run to its end, which the spec says."""
    return _p_values(ground, result, {kind: ground.spec.evidence.null_runs for kind in kinds})


def _p_values(ground: Foundation, result: dict[str, Any], fixed: Mapping[Kind, int]) -> list[dict[str, float | None]]:
    """fixed: how many runs of each kind are looked at."""
    kept = nulls.kept_of(ground, result["epoch"])
    known = {kind: kept.known(kind) for kind in fixed}
    sign = 1.0 if ground.spec.objectives[0].goal == "max" else -1.0
    return [
        {kind: nulls.p_of(runs, row["value"], sign, fixed[kind]) for kind, runs in known.items()} for row in result["champions"]
    ]


def _more_runs(ground: Foundation, result: dict[str, Any]) -> dict[Kind, int]:
    """How many runs there are of each null of which there are more than the spec fixed."""
    kept = nulls.kept_of(ground, result["epoch"])
    done = {kind: len(kept.known(kind)) for kind in DRIFTS}
    return {kind: runs for kind, runs in done.items() if runs > ground.spec.evidence.null_runs}


def beside_verdicts(ground: Foundation) -> Beside | None:
    """See `Campaign.beside_verdicts`."""
    result = ground.result()
    if result is None or not verdicts(ground):
        return None
    if ground.journal.position().epoch != result["epoch"]:
        raise CorruptCampaign(
            f"{ground.path}: the commit of epoch {result['epoch']}, whose champions were judged, is not whole any more; "
            f"islands verify {ground.path} says what is damaged, islands resume computes it again"
        )
    opened = ground.instruments if all(row["unseen"] for row in result["champions"]) else None
    found = beside(ground.world, ground.champions(), tried(ground.journal, ground.world), opened)
    more = _more_runs(ground, result)
    found = with_diagnostics(found, p_values(ground, result, DIAGNOSTICS))
    return with_more_runs(found, _p_values(ground, result, more), more, ground.spec.evidence.null_runs)


def open_held_back(
    ground: Foundation,
    writer: Writer,
    position: Position,
    champions: Sequence[Champion],
    found: Search | None,
    accepted: Mapping[str, Any],
) -> list[Unseen]:
    """The champions on the held-back bars. That they are opened is on record, here and in the register, before they are."""
    world, bars, entry = ground.world, ground.instruments, position.entry
    assert entry is not None, "only a finished campaign opens them"
    own = _digests(writer.journal, entry)
    opening = _state(ground, entry, found.trials if found else 0, champions, looked=True)
    others = _entered(opening)
    writer.write_opening(
        position.epoch,
        {
            "digest": entry.digest,
            "opened_at": opening.opened_at,
            "host": writer.journal.host.name,
            "pid": writer.journal.host.pid,
            "others": None if others is None else [_told(other) for other in others],
            **accepted,
        },
    )
    inherited = writer.journal.setup().get("openings", [])
    before = bool(inherited) or any(epoch < position.epoch for epoch in writer.journal.openings())
    before = before or any(_is_carried_on(world, opening, own, other) for other in others or ())
    unbooked = {*inherited}.difference(other.digest for other in others or ())
    count = None if others is None else 1 + len(others) + len(unbooked)
    parts = [held_back(world, champion, bars) for champion in champions]
    return [
        Unseen(
            sharpe=part.annual,
            p=part.p,
            p_adjusted=p_adjusted,
            p_benchmark=part.p_benchmark,
            p_benchmark_adjusted=p_benchmark_adjusted,
            exposure=part.exposure,
            champions=len(parts),
            openings=count,
            opened_before=before,
            elsewhere=found.elsewhere if found else 0,
        )
        for part, (p_adjusted, p_benchmark_adjusted) in zip(parts, adjusted(parts, count or 1), strict=True)
    ]


def _is_carried_on(world: World, opening: Opening, own: Sequence[str], other: Opening) -> bool:
    """Whether what another opening showed is in this campaign: it is the same search, whatever its name, or began with a
    strategy that was looked at. own: as of `_digests`."""
    begun = {openings.key_of(known.family.name, known.genes) for known in (world.strategy(*part) for part in world.initial)}
    same = other.is_kin(opening) or other.digest in own or other.origin in own
    return same or not begun.isdisjoint(other.champions)


def _digests(journal: Journal, entry: Entry | None) -> list[str]:
    """The digests of a campaign back to its first commit, the newest first, or to the first damaged one: its own openings
    before that are told by its manifest all the same, only those of an ancestor are not."""
    found: list[str] = []
    if entry is not None:
        with contextlib.suppress(CorruptCampaign):
            for past in journal.chain(entry):
                found.append(past.digest)
    return found


def tested_unseen(
    world: World, champions: Sequence[Champion], bars: Mapping[str, Bars], spans: Sequence[tuple[int, int]], folds: int
) -> list[Unseen]:
    """The champions of a fold on its test parts, adjusted by Holm over its champions times folds. Nothing is opened."""
    parts = [tested(world, champion, bars, spans) for champion in champions]
    return [
        Unseen(
            sharpe=part.annual,
            p=part.p,
            p_adjusted=p_adjusted,
            p_benchmark=part.p_benchmark,
            p_benchmark_adjusted=p_benchmark_adjusted,
            exposure=part.exposure,
            champions=len(parts),
            openings=None,
            opened_before=False,
            folds=folds,
        )
        for part, (p_adjusted, p_benchmark_adjusted) in zip(parts, adjusted(parts, folds), strict=True)
    ]


def _state(
    ground: Foundation, entry: Entry | None, trials: int, champions: Sequence[Champion] = (), *, looked: bool = False
) -> Opening:
    """What the register is to know of the campaign as of a commit."""
    journal, world = ground.journal, ground.world
    held_back = [
        tape.cut(len(market.tape), len(tape))
        for market in world.markets
        if len(market.tape) < len(tape := ground.instruments[market.name].tape)
    ]
    ends = held_back or [market.tape for market in world.markets]
    chain = _digests(journal, entry)
    return Opening(
        campaign=ground.manifest_hash,
        digest=entry.digest if entry else GENESIS,
        name=world.spec.name,
        folder=str(journal.root.resolve()),
        trials=trials,
        opened_at=time.time(),
        first=min(int(tape.timestamps[0]) for tape in ends),
        last=max(int(tape.timestamps[-1]) for tape in ends),
        sketch=openings.sketch(held_back),
        ancestors=tuple(past.campaign for past in ground.ancestors),
        origin=chain[-1] if chain else "",
        champions=tuple(openings.key_of(one.strategy.family.name, one.strategy.genes) for one in champions),
        seen=openings.sketch(market.tape for market in world.markets),
        epoch=entry.epoch if entry else 0,
        inherited=_inherited(ground),
        fold_of=ground.setup.get("fold_of", ""),
        looked=looked,
    )


def _inherited(ground: Foundation) -> tuple[int, ...]:
    """The trials that a fork's ledger has from its ancestors, as of where each of them was left; 0 where it is damaged."""
    try:
        return tuple(tried(ground.journal, ground.world, past.epoch).defined for past in ground.ancestors)
    except CorruptCampaign:
        return (0,) * len(ground.ancestors)


def _noted(ground: Foundation, position: Position, champions: Sequence[Champion], found: Search | None) -> None:
    """Books the champions of a campaign that holds nothing back: they were chosen on what another one may."""
    try:
        openings.note(_state(ground, position.entry, found.trials if found else 0, champions))
    except OSError as error:
        _unkept(error)


def _entered(opening: Opening) -> list[Opening] | None:
    """The other openings of these bars; None where the register can't be kept, which costs the campaign its `evidence`."""
    try:
        return openings.enter(opening)
    except OSError as error:
        _unkept(error)
        return None


def _unkept(error: OSError) -> None:
    warnings.warn(
        f"{openings.place()}: the register of trials and openings can't be kept ({error}), so that nobody can tell how many "
        "strategies were tried on these bars, and how often those held back were looked at; champions can be no more than "
        "weak; set ISLANDS_REGISTER to a file you may write",
        IslandsWarning,
        stacklevel=3,
    )


def _told(opening: Opening) -> dict[str, Any]:
    return {key: value for key, value in asdict(opening).items() if key not in ("sketch", "seen")}
