"""The search's own null: the whole campaign again on bars where there is nothing to find, many times.

What the best champion of such a run reaches is luck. The share of runs that reach what a real champion has is the chance
that luck alone explains it, whatever the search did: how many it tried, how alike they were, how well it climbed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from islands.archipelago import codec
from islands.archipelago.storage import Folder
from islands.errors import CorruptCampaign, InputError, ManifestMismatch
from islands.evidence.champions import candidates
from islands.evidence.multiplicity import sequential_p
from islands.evidence.surrogates import DRIFTS, Kind, surrogate
from islands.evolution.world import World
from islands.forecast import forecast
from islands.foundation import Foundation
from islands.instruments import world_of
from islands.market.bars import Bars
from islands.market.tape import Tape
from islands.orders import require_count, require_runtime
from islands.runtime.fan_out import in_order
from islands.runtime.lockstep import evolve
from islands.spec import CampaignSpec, EvidenceSpec

LEAST_RUNS = EvidenceSpec.model_fields["null_runs"].default
"""Fewer say nothing: with 99 the smallest p-value is 0.01."""

MOST_LUCKY = 10
"""So many lucky runs end a series: its p-value is then beyond any level of interest, and more runs would not change that."""


@dataclass(frozen=True)
class Job:
    """One run of the null, as any process can compute it. spec: JSON. names: instruments, in the order of the blocks.

    ancestors: of a fork, the specs of those it descends from, each asked for the epochs up to where it was left.
    """

    spec: str
    names: tuple[str, ...]
    kind: Kind
    run: int
    numeric: str
    ancestors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lucky:
    """What a run of the null came to. value: of the first objective, the best candidate's; NaN where none was feasible."""

    kind: Kind
    run: int
    value: float
    trials: int
    seconds: float


def compute(job: Job, *blocks: np.ndarray) -> Lucky:
    """One run: a pure function of the job and the bars, all of them, one block an instrument."""
    began = time.monotonic()
    spec = CampaignSpec.model_validate_json(job.spec)
    real = {name: Bars(name, Tape(block)) for name, block in zip(job.names, blocks, strict=True)}
    surrogates = surrogate(real, spec.seed, job.run, job.kind)
    world = world_of(spec, surrogates)
    if world.numeric != job.numeric:
        raise ManifestMismatch(
            f"a worker's numeric fingerprint {world.numeric[:12]} differs from the campaign's {job.numeric[:12]}: "
            "its arithmetic gives other bits; use machines of one kind, or runtime='inline'"
        )
    tried = 0

    def count(answer: Any) -> None:
        nonlocal tried
        tried += len(answer.trials)

    former = [CampaignSpec.model_validate_json(text) for text in job.ancestors]
    before = [(world_of(part, surrogates), part.evolution.epochs) for part in former]
    states = evolve(world, spec.evolution.epochs, count, before)
    return Lucky(job.kind, job.run, best_value(world, states), tried, time.monotonic() - began)


def best_value(world: World, states: Sequence[Any]) -> float:
    """The best candidate's value of the first objective, on all bars that evolution sees; NaN where nobody is feasible."""
    people = candidates(world, tuple(states), demes=True)
    values = people.scores[:, 0]
    return float(values[np.argmax(world.signs[0] * values)]) if len(values) else float("nan")


class NullRuns:
    """The null runs that a campaign's folder keeps: one write-once file a run."""

    def __init__(self, folder: Folder, manifest_hash: str, epoch: int) -> None:
        self._folder = folder
        self._base = {"manifest": manifest_hash, "epochs": epoch}

    def _key(self, kind: Kind, run: int) -> str:
        return f"nulls/{self._base['epochs']:08d}-{kind}-{run:06d}"

    def read(self, kind: Kind, run: int) -> Lucky | None:
        """One run, None where it was not computed.

        Raises:
            CorruptCampaign: its file is torn, changed or another campaign's.
        """
        key = self._key(kind, run)
        data = self._folder.read(key)
        if data is None:
            return None
        record = codec.unseal("null", data, f"{self._folder.root}/{key}")
        if {name: record[name] for name in self._base} != self._base:
            raise ManifestMismatch(f"{self._folder.root}/{key} belongs to another campaign; remove it")
        return Lucky(kind, run, float(record["value"]), int(record["trials"]), float(record["seconds"]))

    def keep(self, lucky: Lucky) -> None:
        record = {**self._base, "value": lucky.value, "trials": lucky.trials, "seconds": lucky.seconds}
        self._folder.create(self._key(lucky.kind, lucky.run), codec.seal("null", record))

    def problems(self) -> list[str]:
        """One line for each run that is torn, changed or another campaign's, of any number of epochs."""
        found = []
        for key in self._folder.keys("nulls"):
            try:
                codec.unseal("null", self._folder.read(key) or b"", f"{self._folder.root}/{key}")
            except CorruptCampaign as error:
                found.append(str(error))
        return found

    def known(self, kind: Kind) -> list[Lucky]:
        """The runs 1, 2, ... up to the first that is missing."""
        found: list[Lucky] = []
        while (lucky := self.read(kind, len(found) + 1)) is not None:
            found.append(lucky)
        return found


def p_of(runs: Sequence[Lucky], value: float, sign: float, fixed: int = LEAST_RUNS) -> float | None:
    """The chance to reach a champion's value by luck, from the runs 1, 2, ... of one null; None while they are too few.

    (1 + k)/(1 + N) where k of the first N runs were as good or better; k/n at the run with which `MOST_LUCKY` were: see
    `statistics.sequential_p`. fixed: N, which the spec says before anybody has looked. sign: +1 where more is better.
    """
    matched = (sign * run.value >= sign * value for run in runs)
    found = sequential_p(matched, fixed, MOST_LUCKY)
    return found.p if found.finished else None


def kept_of(ground: Foundation, epochs: int) -> NullRuns:
    """The null runs of a campaign when it had so many epochs."""
    return NullRuns(ground.journal.folder, ground.manifest_hash, epochs)


@dataclass(frozen=True)
class Ways:
    """Which nulls, how many runs of each (None: as the spec says), and where they are computed; see `Campaign.run`.

    Raises:
        InputError: fewer than `LEAST_RUNS` runs, or a runtime that can't be meant.
    """

    kinds: tuple[Kind, ...]
    runs: int | None
    runtime: Literal["ray", "inline"]
    workers: int | None
    address: str | None

    def __post_init__(self) -> None:
        require_runtime(self.runtime, self.workers, self.address)
        require_count("runs", self.runs)
        if self.runs is not None and self.runs < LEAST_RUNS:
            raise InputError(f"runs = {self.runs}: ask for {LEAST_RUNS} or more, as with fewer no p-value is as small as 0.01")


def null(
    ground: Foundation, ways: Ways, announce: Callable[[str], None], on_run: Callable[[Lucky, int], None]
) -> dict[str, float | None]:
    """See `Campaign.null`."""
    result = ground.result()
    if result is None or not result["champions"]:
        what = "is not finished" if result is None else "has no champion"
        raise InputError(f"{ground.path} {what}: there is nothing to hold against its null; go on with islands resume first")
    ground.require_same(ground.accepted())
    return repeat(
        kept_of(ground, result["epoch"]),
        ground.spec.model_copy(update={"evolution": ground.spec.evolution.model_copy(update={"epochs": result["epoch"]})}),
        ground.world,
        ground.instruments,
        [row["value"] for row in result["champions"]],
        ways,
        announce,
        on_run,
        [past.parsed() for past in ground.ancestors],
    )


def repeat(
    kept: NullRuns,
    spec: CampaignSpec,
    world: World,
    bars: Mapping[str, Bars],
    values: Sequence[float],
    ways: Ways,
    announce: Callable[[str], None],
    on_run: Callable[[Lucky, int], None],
    ancestors: Sequence[CampaignSpec] = (),
) -> dict[str, float | None]:
    """Computes what is missing of each kind, each run kept as it ends, and returns the best champion's p-value by kind.

    values: the champions', of the first objective. bars: all of them, by instrument. ancestors: see `Job`.
    """
    sign, fixed = float(world.signs[0]), spec.evidence.null_runs
    best = sign * max(sign * value for value in values)
    asked = fixed if ways.runs is None else ways.runs
    announce(f"{_cost(kept, world, ways.kinds, asked)}{_counting(spec, ways.kinds, asked)}")
    found: dict[str, float | None] = {}
    for kind in ways.kinds:
        known = kept.known(kind)
        missing = range(len(known) + 1, asked + 1)
        former = tuple(part.model_dump_json() for part in ancestors)
        jobs = [Job(spec.model_dump_json(), tuple(bars), kind, run, world.numeric, former) for run in missing]
        blocks = [part.tape.block for part in bars.values()]
        computing = in_order(compute, jobs, blocks, ways.runtime, ways.workers, ways.address)
        with contextlib.closing(computing):
            while len(known) < asked and not _is_hopeless(known, best, sign):
                known.append(next(computing))
                kept.keep(known[-1])
                on_run(known[-1], len(known))
        found[kind] = p_of(known, best, sign, fixed)
    return found


def _is_hopeless(known: Sequence[Lucky], best: float, sign: float) -> bool:
    return sum(sign * run.value >= sign * best for run in known) >= MOST_LUCKY


def _cost(kept: NullRuns, world: World, kinds: Sequence[Kind], asked: int) -> str:
    missing = sum(max(0, asked - len(kept.known(kind))) for kind in kinds)
    seconds = forecast(world).seconds * missing
    return (
        f"at most {missing} runs of the whole campaign, {_duration(seconds)} of computing on one core in all if every child "
        f"were new; {MOST_LUCKY} runs as good as the best champion end a series early; what is done is kept"
    )


def _counting(spec: CampaignSpec, kinds: Sequence[Kind], asked: int) -> str:
    """Which of the runs enter a verdict, where these are not just all that are asked for."""
    fixed, words = spec.evidence.null_runs, ""
    if asked > fixed:
        words += f"; the spec fixes {fixed} of each kind: more are a diagnostic, and improve no verdict"
    if asked < fixed:
        words += f"; the spec fixes {fixed} of each kind: there is no p-value before them, unless a series ends early"
    if kinds == DRIFTS and spec.splits.kind in ("walk_forward", "combinatorial"):
        words += "; its folds are not repeated, and whatever comes of this, weak is the most that they can earn"
    return words


def _duration(seconds: float) -> str:
    return (
        f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
    )
