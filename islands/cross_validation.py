"""Out of sample: each fold is a campaign of its own, evolved on its training bars alone, and tested where it never looked.

Walk-forward leaves each test part to champions of what lies before it. Combinatorial purged cross-validation (Lopez de Prado,
Advances in Financial Machine Learning (2018), chapter 12) divides the bars into groups and tests each choice of some of them
on champions of all others; a training segment that follows test bars is scored only after the largest warm-up and an embargo,
and begins with that warm-up, so that neither an indicator nor a position there comes from them. The folds lie in folds/N of the
campaign's folder.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from islands import judging
from islands.archipelago.journal import Journal
from islands.archipelago.manifest import differences
from islands.errors import InputError, NotACampaign, SpecError
from islands.evaluation import metrics
from islands.evidence.findings import periods_per_year_of, returns_between
from islands.evidence.verdict import Verdict, judge
from islands.evolution.world import LEAST_HELD_BACK, LEAST_SCORED, Market, World, require_little_eaten
from islands.foundation import Foundation
from islands.market.bars import Bars
from islands.market.instants import EPOCH, instant_text
from islands.orders import Orders
from islands.spec import CampaignSpec

if TYPE_CHECKING:
    import polars as pl

    from islands.campaign import Campaign
    from islands.runtime.conductor import Bounds
    from islands.runtime.report import RunReport

Span = tuple[int, int]
"""[from, to) in microseconds since the Unix epoch."""


@dataclass(frozen=True)
class Fold:
    """One campaign of a cross-validation. tests: the groups it is tested on, by number from 0, and their spans.

    bars: what it is given, by instrument; of a walk-forward up to the end of its test part, which it holds back.
    """

    number: int
    tests: dict[int, Span]
    spec: CampaignSpec
    bars: dict[str, Bars]


def folds_of(world: World) -> list[Fold]:
    """The folds that a spec's splits ask for, in order; none where they ask for none.

    The first instrument's bars of evolution decide where the parts begin: equal numbers of them, of combinatorial ones behind
    the warm-up of every instrument.

    Raises:
        SpecError: an instrument lacks bars for a part, or warm-ups and embargoes eat too much of what is left to train on
            (see `require_little_eaten`).
    """
    kind = world.spec.splits.kind
    return _walking(world) if kind == "walk_forward" else _combined(world) if kind == "combinatorial" else []


def _walking(world: World) -> list[Fold]:
    splits, stamps = world.spec.splits, world.markets[0].tape.timestamps
    start = round(len(stamps) * splits.train)
    edges, spans = _groups(stamps, start, splits.parts)
    seen = _seen(world)
    folds = []
    for group, (test_from, test_to) in enumerate(spans):
        begin = int(stamps[0] if splits.anchored else stamps[edges[group] - start])
        cut = {name: _between(bars, begin, test_to) for name, bars in seen.items()}
        for name, bars in cut.items():
            before = 0 if bars is None else int(np.searchsorted(bars.timestamps, test_from))
            if bars is None or before == len(bars) or before - world.warmup < LEAST_SCORED:
                raise SpecError(
                    f"splits: test part {group + 1} begins at {instant_text(test_from)}; of {name} that leaves {before} bars "
                    f"to training, of which {world.warmup} warm up, and {0 if bars is None else len(bars) - before} to the "
                    "test; ask for fewer parts, a larger share to train on, or shorter periods"
                )
            require_little_eaten(
                f"where part {group + 1} of {len(spans)} is tested, warm-ups of {world.warmup} bars",
                name,
                world.warmup,
                before,
                "raise splits.train",
            )
        tested = max(len(bars) - int(np.searchsorted(bars.timestamps, test_from)) for bars in cut.values() if bars is not None)
        if tested < LEAST_HELD_BACK:
            raise SpecError(
                f"splits: test part {group + 1}, from {instant_text(test_from)} on, has {tested} bars, and "
                f"{LEAST_HELD_BACK} are needed to judge by; ask for fewer parts, or a smaller share to train on"
            )
        spec = _spec_of(world, group + 1, {}, {"held_back_from": _iso(test_from)})
        folds.append(Fold(group + 1, {group: (test_from, test_to)}, spec, {n: b for n, b in cut.items() if b is not None}))
    return folds


def _combined(world: World) -> list[Fold]:
    splits, stamps = world.spec.splits, world.markets[0].tape.timestamps
    warm = max(int(market.tape.timestamps[market.terms.first]) for market in world.markets)
    start = int(np.searchsorted(stamps, warm))
    if len(stamps) - start < splits.parts * LEAST_SCORED:
        raise SpecError(
            f"splits.parts = {splits.parts}: {world.markets[0].name} has {len(stamps) - start} bars from "
            f"{instant_text(warm)} on, where the warm-ups of all instruments are over, and a part needs {LEAST_SCORED} at "
            "least; ask for fewer, or cut instruments to a common period (Bars.between)"
        )
    _, spans = _groups(stamps, start, splits.parts)
    folds = []
    for number, chosen in enumerate(itertools.combinations(range(splits.parts), splits.tests), 1):
        windows = _training(world, spans, chosen)
        spec = _spec_of(world, number, {"kind": "segments", "windows": windows, "anew": True}, {"held_back": 0.0})
        folds.append(Fold(number, {group: spans[group] for group in chosen}, spec, _seen(world)))
    return folds


def _training(world: World, spans: Sequence[Span], chosen: tuple[int, ...]) -> list[list[str]]:
    """The training segments between the test groups, each from where its indicators have forgotten the test before it: from
    the instrument on that takes longest, since they are all scored on the same stretches of time."""
    splits = world.spec.splits
    windows, eaten, left = [], dict.fromkeys(world.spec.sources, 0), dict.fromkeys(world.spec.sources, 0)
    for tested, run in itertools.groupby(range(len(spans)), lambda group: group in chosen):
        if tested:
            continue
        groups = list(run)
        begin, end = spans[groups[0]][0], spans[groups[-1]][1]
        start = begin if groups[0] == 0 else max(_forgotten(market, begin, splits.embargo) for market in world.markets)
        rows = {market.name: _scored(market, begin, start, end) for market in world.markets}
        for name, (first, _, last) in rows.items():
            if last - first < LEAST_SCORED:
                raise SpecError(
                    f"splits: parts {groups[0] + 1} to {groups[-1] + 1} of {len(spans)} lie from {instant_text(begin)} to "
                    f"{instant_text(end)}, where {name} has {last - first} bars; ask for fewer parts, or cut instruments to a "
                    "common period (Bars.between)"
                )
        used = all(last - scored >= LEAST_SCORED for _, scored, last in rows.values())
        for name, (first, scored, last) in rows.items():
            eaten[name] += (scored if used else last) - first
            left[name] += last - first
        if used:
            windows.append([_iso(start), _iso(end)])
    for name in world.spec.sources:
        numbers = ", ".join(str(group + 1) for group in chosen)
        require_little_eaten(
            f"where groups {numbers} of {len(spans)} are tested, warm-ups of {world.warmup} bars and embargoes of "
            f"{splits.embargo}",
            name,
            eaten[name],
            left[name],
            "ask for fewer parts",
        )
    return windows


def _forgotten(market: Market, tested: int, embargo: int) -> int:
    """When the warm-up of an instrument, and an embargo before it, have passed since an instant; a microsecond after its last
    bar where they never have."""
    stamps = market.tape.timestamps
    row = int(np.searchsorted(stamps, tested)) + int(market.terms.first) + embargo
    return int(stamps[row]) if row < len(stamps) else int(stamps[-1]) + 1


def _scored(market: Market, begin: int, start: int, end: int) -> tuple[int, int, int]:
    """Of an instrument's bars in [begin, end) the first, the first that is scored where that begins at `start`, and the end."""
    first, scored, last = (int(row) for row in np.searchsorted(market.tape.timestamps, [begin, start, end]))
    return first, min(max(scored, first, int(market.terms.first)), max(last, first)), last


def _groups(stamps: np.ndarray, start: int, parts: int) -> tuple[np.ndarray, list[Span]]:
    """Equal numbers of bars from `start` on: the first bar of each part, and its span."""
    edges = np.linspace(start, len(stamps), parts + 1).round().astype(int)
    ends = [int(stamps[edge]) for edge in edges[:-1]] + [int(stamps[-1]) + 1]
    return edges, list(itertools.pairwise(ends))


def _spec_of(world: World, number: int, splits: dict[str, Any], held_back: dict[str, Any]) -> CampaignSpec:
    values = world.spec.model_dump()
    values["name"] = f"{world.spec.name}, fold {number}"
    values["splits"] = splits
    values["initial"] = []  # whoever found them may have looked at what this fold is tested on
    values["bars"] = {**{key: value for key, value in values["bars"].items() if not key.startswith("held_back")}, **held_back}
    for part in (values["bars"], *values["instruments"].values()):
        part["path"] = None
    return CampaignSpec(**values)


def _iso(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat()


def _seen(world: World) -> dict[str, Bars]:
    return {market.name: Bars(market.name, market.tape) for market in world.markets}


def _between(bars: Bars, begin: int, end: int) -> Bars | None:
    first, last = (int(place) for place in np.searchsorted(bars.timestamps, [begin, end]))
    return Bars(bars.name, bars.tape.cut(first, last)) if first < last else None


def _place(fold: Fold) -> str:
    return f"folds/{fold.number:02d}"


def finished_folds(ground: Foundation, epoch: int) -> list[tuple[str, Foundation]]:
    """One a fold that is there, with its place in the campaign's folder, for a fork that goes on from this epoch.

    Raises:
        InputError: a fold has not come as far, so that nothing of it could go on together with the campaign.
    """
    found = []
    for fold in folds_of(ground.world):
        path = ground.path / _place(fold)
        try:
            part = Foundation(Journal(path))
            head = part.head()
            stands = head.epoch if head is not None else 0
        except NotACampaign:
            stands = 0
        if stands != epoch:
            raise InputError(
                f"{path} stands at epoch {stands}, its campaign at {epoch}, and a fork goes on from one epoch of both; "
                f"finish it first: islands resume {ground.path}"
            )
        found.append((_place(fold), part))
    return found


class CrossValidation:
    """The folds of one campaign, as campaigns of their own."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    @cached_property
    def plan(self) -> list[Fold]:
        return folds_of(self._campaign.world)

    def campaigns(self) -> list[Campaign]:
        """One a fold, made where it is missing, and asked for as many epochs as the campaign."""
        whole, made = self._campaign, []
        for fold in self.plan:
            path = whole.path / _place(fold)
            try:
                part = type(whole).open(path)
            except NotACampaign:
                part = type(whole).create(fold.spec, path, fold.bars, fold_of=whole.manifest_hash)
            if part.status().epochs < whole.status().epochs:
                part.extend(whole.status().epochs)
            made.append(part)
        return made

    def run(self, report: RunReport, orders: Orders, bounds: Bounds) -> None:
        """Runs the folds one after another, as far as the run's bounds allow; says in the report where some are left."""
        campaigns = self.campaigns()
        for number, part in enumerate(campaigns, 1):
            if part.is_closed():
                continue
            seconds = None if bounds.deadline is None else bounds.deadline - time.time()
            done = None
            if bounds.until_epoch is None and (seconds is None or seconds > 0):
                known = differences(part._ground.manifest, part._ground.manifest_now())
                names = tuple(name for name in orders.accept if name in known)
                done = part._work(replace(orders, accept=names, seconds=seconds))
            if done is None or not done.finished:
                report.finished, report.signal = False, done.signal if done else None
                report.notes.append(f"folds {number} to {len(campaigns)} are still to be finished: resume goes on with them")
                return

    def out_of_sample(self) -> pl.DataFrame:
        """See `Campaign.out_of_sample`."""
        import polars as pl

        from islands.kernels.metrics import METRICS

        rows = []
        for fold, part in self._closed():
            best = next(iter(part.champion_records()), None)
            earned = self._returns(part, fold)
            genes = best and " ".join(f"{name}={value}" for name, value in best["genes"].items())
            found = (best["family"], genes, best["value"]) if best else (None, None, None)
            for group, (begin, end) in fold.tests.items():
                figures = self._figures(part, best, fold, earned[group])
                rows.append((fold.number, group + 1, begin, end, *found, *(figures[name] for name in METRICS)))
        instants = {"from": pl.Datetime("us", "UTC"), "to": pl.Datetime("us", "UTC")}
        words = {"family": pl.String, "genes": pl.String, "value": pl.Float64}
        schema = {"fold": pl.Int64, "part": pl.Int64, **instants, **words, **dict.fromkeys(METRICS, pl.Float64)}
        plain = {**schema, **dict.fromkeys(instants, pl.Int64)}
        return pl.DataFrame(rows, schema=plain, orient="row").cast(instants)  # type: ignore[arg-type]

    def verdicts(self) -> list[list[Verdict]]:
        """See `Campaign.fold_verdicts`."""
        if not (pairs := self._pairs()):
            return []
        elsewhere = judging.tried_before(self._campaign._ground)
        return [self._judged(part, fold, elsewhere) if part.is_closed() else [] for fold, part in pairs]

    def _judged(self, part: Campaign, fold: Fold, elsewhere: int) -> list[Verdict]:
        """A fold's champions by its own search on its training bars, and by what they did on its test parts. elsewhere: what
        other campaigns have tried on these bars."""
        champions = part.proposed()
        found = judging.search(part._ground.journal, part.world, elsewhere)
        lucks = judging.lucks(part.world, champions, found) if found else [None] * len(champions)
        spans = list(fold.tests.values())
        tests = judging.tested_unseen(part.world, champions, part.instruments, spans, len(self.plan))
        return [
            judge(luck, unseen, ps, part.spec.evidence)
            for luck, unseen, ps in zip(lucks, tests, part.null_p_values(), strict=True)
        ]

    def paths(self) -> list[dict[str, float]]:
        """See `Campaign.out_of_sample_paths`."""
        closed = self._closed()
        if not closed or len(closed) < len(self.plan):
            return []
        by_group: dict[int, list[np.ndarray]] = {}
        for fold, part in closed:
            for group, returns in self._returns(part, fold).items():
                by_group.setdefault(group, []).append(returns)
        found = []
        for path in zip(*(by_group[group] for group in sorted(by_group)), strict=True):
            whole = np.concatenate(path)
            found.append(metrics(whole, periods_per_year_of(self._campaign.world, len(whole))))
        return found

    def _pairs(self) -> list[tuple[Fold, Campaign]]:
        return list(zip(self.plan, self.campaigns(), strict=True))

    def _closed(self) -> list[tuple[Fold, Campaign]]:
        return [(fold, part) for fold, part in self._pairs() if part.is_closed()]

    def _returns(self, part: Campaign, fold: Fold) -> dict[int, np.ndarray]:
        """What the fold's best champion earned on each of its test groups; nobody earns 0."""
        best = next(iter(part.proposed()), None)
        spans = fold.tests
        return {group: returns_between(part.world, best, part.instruments, *span) for group, span in spans.items()}

    def _figures(self, part: Campaign, best: dict[str, Any] | None, fold: Fold, earned: np.ndarray) -> dict[str, float]:
        """METRICS of a test group: those of the run where the fold holds it back, else of its returns alone."""
        if best is not None and "held_back" in best:
            figures: dict[str, float] = best["held_back"]
            return figures
        return metrics(earned, periods_per_year_of(part.world, len(earned)))
