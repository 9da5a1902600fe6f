"""The Python API of a campaign: create, run, resume, ask."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from islands import judging, nulls
from islands.archipelago import failures, forking, ledger
from islands.archipelago.audit import audit
from islands.archipelago.codec import MALFORMED
from islands.archipelago.journal import Entry, Journal, Position, Writer
from islands.archipelago.lease import Lease
from islands.archipelago.machine import GENESIS, Routes
from islands.archipelago.manifest import differences, make_manifest, require_same
from islands.archipelago.replay import plan_replay
from islands.archipelago.replay import replay as recompute
from islands.archipelago.retention import Retention
from islands.archipelago.storage import LARGEST_BYTES, Folder
from islands.archipelago.tally import Tally
from islands.cross_validation import CrossValidation, folds_of
from islands.errors import (
    CampaignExists,
    CorruptCampaign,
    InputError,
    IslandsWarning,
    ManifestMismatch,
    SpecError,
)
from islands.evidence.beside import Beside, with_diagnostics
from islands.evidence.champions import Champion, held_back_figures, pareto_front, records, replay, select_champions
from islands.evidence.surrogates import DIAGNOSTICS, DRIFTS, Kind
from islands.evidence.verdict import Luck, Unseen, Verdict, judge
from islands.evolution.failures import Failure
from islands.evolution.island import try_settings
from islands.evolution.spaces import addressed
from islands.evolution.world import World
from islands.forecast import DISK_BLOCK, disk_estimate
from islands.instruments import GivenBars, by_instrument, read_source, tapes_of, with_instruments, world_of
from islands.market.bars import Bars, read_bars
from islands.nulls import LEAST_RUNS, Lucky
from islands.runtime.conductor import Bounds, routes_of
from islands.runtime.report import Progress, RunReport
from islands.runtime.stopping import stop_signals
from islands.spec import ONLY, CampaignSpec

if TYPE_CHECKING:
    import polars as pl

    from islands.evaluation import Backtest
    from islands.strategies.strategy import Strategy

OWN_BARS = "bars-{}.parquet"  # bars given in memory, kept in the campaign's folder, by the number of the instrument


@dataclass(frozen=True)
class Status:
    """A glance at a campaign, running or not, from its journal alone. Islands: the newest generation's record of each."""

    name: str
    root: str
    state: Literal["running", "stopped", "finished"]
    committed: int
    epochs: int
    digest: str | None
    written_at: float | None
    worker: Lease | None
    islands: pl.DataFrame


class Campaign:
    """One campaign in one folder. `Campaign.create` starts it, `Campaign.open` finds it again, `run` works on it."""

    def __init__(self, journal: Journal, bars: GivenBars = None) -> None:
        self._journal = journal
        self._manifest, self._manifest_hash = journal.manifest()
        self._setup = journal.setup()
        self.spec = self._read_spec()
        self._given = by_instrument(bars, list(self.spec.sources))

    # Making

    @classmethod
    def create(
        cls, spec: CampaignSpec | str | Path, path: str | Path, bars: GivenBars = None, *, fold_of: str | None = None
    ) -> Campaign:
        """A new campaign in an empty or new folder. Nothing is computed yet.

        bars: in memory, in place of the spec's path, or by name for several instruments; a copy is kept in the folder.
        fold_of: the manifest's hash of the walk-forward campaign that this is a fold of: what it holds back is its test part.

        Raises:
            SpecError: the spec is wrong or can't be carried out.
            BarsError: the bars can't be read.
            CampaignExists: the folder holds a campaign already.
        """
        if not isinstance(spec, (CampaignSpec, str, Path)):
            raise InputError(f"spec = {spec!r}: expected a CampaignSpec or the path of a TOML file")
        spec = spec if isinstance(spec, CampaignSpec) else CampaignSpec.read(spec)
        journal = Journal(path)
        if journal.root.exists() and not journal.root.is_dir():
            raise InputError(f"{journal.root} is a file: expected a folder for the campaign")
        if journal.exists():
            raise CampaignExists(f"{journal.root} holds a campaign already; `islands resume` it, or choose another --dir")
        spec, given = with_instruments(addressed(spec).beside(Path.cwd()), bars)
        found = {name: given[name] if name in given else read_source(name, source) for name, source in spec.sources.items()}
        world = world_of(spec, found)
        try_settings(world)
        folds_of(world)
        _require_disk(world, journal.root, sum(bars.tape.block.nbytes + DISK_BLOCK for bars in given.values()))
        sources, files = {}, {}
        for number, (name, source) in enumerate(spec.sources.items()):
            own = OWN_BARS.format(number)
            sources[name] = {
                "path": own if name in given else source.path,
                "reading": source.reading,
                "name": found[name].name,
            }
            if name in given:
                files[own] = _kept(given[name], journal.folder, own)
        setup = {
            "epochs": spec.evolution.epochs,
            "sources": sources,
            "files": files,
            "created_at": time.time(),
            "host": socket.gethostname(),
            **({"fold_of": fold_of} if fold_of else {}),
        }
        if not journal.create(make_manifest(world, tapes_of(found)), setup):
            raise CampaignExists(f"{journal.root}: another process has just created a campaign here")
        return cls(journal, found)

    @classmethod
    def open(cls, path: str | Path, bars: GivenBars = None) -> Campaign:
        """A campaign that was created before. bars: the same bars, where a file has moved; of several instruments by name.

        Raises:
            NotACampaign: the folder holds none.
        """
        return cls(Journal(path), bars)

    def _read_spec(self) -> CampaignSpec:
        try:
            values = copy.deepcopy(self._manifest["spec"])
            values["evolution"]["epochs"] = self._setup["epochs"]
            for name, source in self._setup["sources"].items():
                part = values["instruments"][name] if values["instruments"] else values["bars"]
                part |= {"path": source["path"], **source["reading"]}
        except MALFORMED as error:
            raise CorruptCampaign(f"{self.path}: its manifest or its setup is malformed ({error!r})") from None
        try:
            return CampaignSpec.parse(values, f"{self.path}/manifest")
        except SpecError as error:
            raise ManifestMismatch(f"{error}; this version of the package can't read the campaign's spec") from None

    # What it stands on

    @property
    def path(self) -> Path:
        """The campaign's folder."""
        return self._journal.root

    @property
    def manifest_hash(self) -> str:
        """SHA-256 of the manifest: the campaign's identity."""
        return self._manifest_hash

    @cached_property
    def instruments(self) -> dict[str, Bars]:
        """All bars of the campaign by instrument, the held-back ones too. The one of a plain campaign is called "bars".

        Raises:
            ManifestMismatch: they are not those that the campaign began with.
        """
        return {name: self._bars_of(name, source) for name, source in self._setup["sources"].items()}

    def _bars_of(self, name: str, source: dict[str, Any]) -> Bars:
        own = [OWN_BARS.format(number) for number in range(len(self._setup["sources"]))]
        if name in self._given:
            bars = self._given[name]
        elif source["path"] in own:
            bars = read_bars(self.path / source["path"], name=source["name"])
        else:
            bars = read_source(name, self.spec.sources[name])
        recorded = self._manifest["bars"][name]
        if bars.fingerprint != recorded["fingerprint"]:
            what = "the bars'" if name == ONLY else f"{name}: its bars'"
            raise ManifestMismatch(
                f"{self.path}: {what} fingerprint {bars.fingerprint[:12]} ({len(bars)} bars) differs from the "
                f"campaign's {recorded['fingerprint'][:12]} ({recorded['count']} bars); resume with the original file "
                "(--bars, where it has moved), or start a new campaign"
            )
        return bars

    @property
    def bars(self) -> Bars:
        """All bars of a campaign of one instrument.

        Raises:
            InputError: it has several; ask `instruments`.
        """
        if len(self.instruments) > 1:
            raise InputError(f"{self.path} has several instruments ({', '.join(self.instruments)}); ask campaign.instruments")
        return next(iter(self.instruments.values()))

    @cached_property
    def world(self) -> World:
        """The spec resolved on the bars that evolution sees."""
        return world_of(self.spec, self.instruments)

    @property
    def _holds_back(self) -> bool:
        return any(len(market.tape) < len(self.instruments[market.name]) for market in self.world.markets)

    # Working

    def run(
        self,
        runtime: Literal["ray", "inline"] = "ray",
        *,
        workers: int | None = None,
        address: str | None = None,
        epochs: int | None = None,
        seconds: float | None = None,
        keep_last: int | None = None,
        keep_every: int | None = None,
        accept: Sequence[str] = (),
        take_over: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RunReport:
        """Works on the campaign from its last commit: the first run and every resume.

        workers: island actors on Ray, by default one a CPU, at most one an island. address: a Ray cluster; by default
        an embedded one. epochs: stop after so many more commits. seconds: stop at the first commit after so many.
        keep_last: from the next commit on, only the last so many epochs keep their demes on the disk, at least 2, and of the
        others every `keep_every`-th (none by default, all with 1); it holds until it is asked for anew. Digests, trials and
        migrations of the others stay, and `verify(replay=...)` computes their demes again.
        accept: names of differences in the manifest to go on with, recorded in the journal. take_over: fence off the
        process that works on the campaign now. Ctrl-C (and SIGTERM) stops at the end of the epoch under way; a second
        one stops at once, and loses that epoch.

        Raises:
            ManifestMismatch: spec, bars, code, libraries or arithmetic differ from those it began with.
            CampaignLive: another process works on it.
            StepFailed: an epoch raised an error; the campaign stands at its last commit, and the error has the `report`.
            CampaignPaused: an epoch killed all who computed it; as above, and `file` is what replays it.
            RuntimeFailed: Ray could not be used.
        """
        require_run_arguments(runtime, workers, address, epochs, seconds)
        rule = retention_of(keep_last, keep_every)
        self._head()
        names = (accept,) if isinstance(accept, str) else tuple(accept)
        accepted = require_same(self._manifest, make_manifest(self.world, tapes_of(self.instruments)), names, self.path)
        if rule is not None:
            self._journal.require_idle(take_over)
            self._journal.request_retention(rule)
        position = self._journal.position()
        bounds = Bounds(
            until_epoch=None if epochs is None else position.epoch + epochs,
            deadline=None if seconds is None else time.time() + seconds,
        )
        if position.epoch >= self._journal.epochs():
            report = RunReport(position.epoch, position.epoch, position.epoch, finished=True)
        else:
            with stop_signals() as stop_asked:
                watch = on_progress or _ignore
                if runtime == "inline":
                    report = self._run_inline(bounds, accepted, take_over, stop_asked, watch)
                else:
                    report = self._run_on_ray(bounds, accepted, take_over, stop_asked, watch, workers, address)
                report.signal = stop_asked.signal
        if report.finished:
            self._finish(take_over)
            options = {"runtime": runtime, "workers": workers, "address": address, "take_over": take_over}
            options |= {"keep_last": keep_last, "keep_every": keep_every}
            self._cross_validation.run(report, bounds, names, options, on_progress)
        return report

    @cached_property
    def _cross_validation(self) -> CrossValidation:
        return CrossValidation(self)

    def folds(self) -> list[Campaign]:
        """The campaigns of a walk-forward or combinatorial cross-validation, in the folder folds/, made where missing.

        Each is evolved on its training bars alone. Empty for other kinds of splits.
        """
        return self._cross_validation.campaigns()

    def out_of_sample(self) -> pl.DataFrame:
        """A row for each test part of each fold whose campaign has finished: what its best champion did there.

        Columns: fold, part, from, to (the part's span, [from, to)), family, genes, value (in-sample), and METRICS of the
        part, whose account starts flat with the initial cash; of combinatorial folds those that need trades are NaN. A fold
        without a champion stays out of the market.
        """
        return self._cross_validation.out_of_sample()

    def out_of_sample_paths(self) -> list[dict[str, float]]:
        """METRICS, from returns, of accounts that follow the folds' best champions through all test parts; see `metrics`.

        One of a walk-forward; of combinatorial folds as many as each part is tested times. Each part starts flat; of several
        instruments the account is split evenly. Empty until all folds have finished.
        """
        return self._cross_validation.paths()

    def fold_verdicts(self) -> list[list[Verdict]]:
        """The verdicts on each fold's champions, best first; of one that has not finished, or has no champion, none.

        A fold's deflated Sharpe ratio is that of its own search on its training bars. In place of held-back bars stand its
        test parts, adjusted over its champions times folds; as other folds, and the campaign itself, are evolved on
        those bars, `weak` is the most that a fold can earn. Computed anew when asked for.
        """
        return self._cross_validation.verdicts()

    def is_closed(self) -> bool:
        """Whether all epochs asked for are committed and the champions are judged."""
        return self._result() is not None

    def proposed(self) -> list[Champion]:
        """The champions as of the last commit, best first."""
        return self._champions()

    def _run_inline(
        self,
        bounds: Bounds,
        accepted: tuple[str, ...],
        take_over: bool,
        stop_asked: Callable[[], bool],
        on_progress: Callable[[Progress], None],
    ) -> RunReport:
        from islands.runtime.inline import run_inline

        writer = self._journal.acquire(take_over)
        try:
            return run_inline(self.world, writer, bounds, accepted, stop_asked, on_progress)
        finally:
            writer.release()

    def _run_on_ray(
        self,
        bounds: Bounds,
        accepted: tuple[str, ...],
        take_over: bool,
        stop_asked: Callable[[], bool],
        on_progress: Callable[[Progress], None],
        workers: int | None,
        address: str | None,
    ) -> RunReport:
        from islands import provenance
        from islands.runtime.coordinator import Assignment, ray_session, run_on_ray, usable_workers

        self._journal.require_idle(take_over)
        blocks = {market.name: market.tape.block for market in self.world.markets}
        with ray_session(address, workers or 1, sum(block.nbytes for block in blocks.values())):
            assignment = Assignment(
                root=str(self.path),
                spec=self.spec.model_dump_json(),
                workers=usable_workers(workers, self.world.islands),
                bounds=bounds,
                accepted=accepted,
                numeric=self._manifest["numeric"] if "numeric" not in accepted else self.world.numeric,
                code=provenance.code_digest(),
                folder=str(provenance.package_folder()),
                path=tuple(sys.path),
                families={space.family.name: space.family.code for space in self.world.spaces},
            )
            return run_on_ray(assignment, blocks, take_over, stop_asked, on_progress)

    def _finish(self, take_over: bool) -> None:
        """Judges the champions, and opens the held-back bars, once: their figures become part of the result."""
        if self._result() is not None:
            return
        position = self._journal.position()
        champions = select_champions(self.world, position.states)
        writer = self._journal.acquire(take_over)
        try:
            rows = self._judged(writer, position, champions)
            writer.write_result(
                position.epoch,
                {
                    "epoch": position.epoch,
                    "digest": position.entry.digest if position.entry else GENESIS,
                    "champions": rows,
                    "opened_at": time.time(),
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                },
            )
        finally:
            writer.release()

    def _judged(self, writer: Writer, position: Position, champions: list[Champion]) -> list[dict[str, Any]]:
        """The champions' records with what they are judged by; those of a fold have their test part's figures alone."""
        if "fold_of" in self._setup:
            tested = held_back_figures(self.world, champions, self.instruments) if self._holds_back else None
            return records(self.world, champions, tested)
        found = judging.search(self._journal, self.world)
        lucks = judging.lucks(self.world, champions, found) if found else None
        figures, unseen = None, None
        if self._holds_back:
            unseen = judging.open_held_back(
                self.world, writer, position, champions, self.instruments, found.trials if found else 0
            )
            figures = held_back_figures(self.world, champions, self.instruments)
        rows = records(self.world, champions, figures)
        for i, row in enumerate(rows):
            row["luck"] = asdict(lucks[i]) if lucks else None
            row["unseen"] = asdict(unseen[i]) if unseen else None
        return rows

    # Judging

    def null(
        self,
        runs: int = LEAST_RUNS,
        runtime: Literal["ray", "inline"] = "ray",
        *,
        workers: int | None = None,
        address: str | None = None,
        diagnostics: bool = False,
        announce: Callable[[str], None] | None = None,
        on_run: Callable[[Lucky, int], None] | None = None,
    ) -> dict[str, float | None]:
        """Repeats the finished campaign `runs` times on bars where there is nothing to find, and again with the real drift.

        diagnostics: in their place on bars that keep their autocorrelation, "phases" and "blocks" of
        `islands.evidence.surrogates`. What comes of these stands beside the verdicts, and enters none.

        What was computed before counts; a series ends early when `MOST_LUCKY` runs have done as well as the best champion.
        announce: is told first what that will take. on_run: is given each run as it is finished, and how many of its kind
        are done. Returns the best champion's p-value by kind, None where Ctrl-C came before its series was complete.

        Raises:
            InputError: fewer than `LEAST_RUNS` runs, or the campaign is not finished, or has no champion.
            ManifestMismatch: spec, bars, code, libraries or arithmetic differ from those it began with.
        """
        require_run_arguments(runtime, workers, address, runs, None)
        if runs < LEAST_RUNS:
            raise InputError(f"runs = {runs}: ask for {LEAST_RUNS} or more, as with fewer no p-value is as small as 0.01")
        result = self._result()
        if result is None or not result["champions"]:
            what = "is not finished" if result is None else "has no champion"
            raise InputError(f"{self.path} {what}: there is nothing to hold against its null; go on with islands resume first")
        accepted = self._head_accepted()
        require_same(self._manifest, make_manifest(self.world, tapes_of(self.instruments)), accepted, self.path)
        return nulls.repeat(
            self._nulls(result["epoch"]),
            self.spec.model_copy(update={"evolution": self.spec.evolution.model_copy(update={"epochs": result["epoch"]})}),
            self.world,
            self.instruments,
            [row["value"] for row in result["champions"]],
            nulls.Ways(DIAGNOSTICS if diagnostics else DRIFTS, runs, runtime, workers, address),
            announce or (lambda cost: None),
            on_run or (lambda run, done: None),
            [past.parsed() for past in self.ancestors],
        )

    def _nulls(self, epochs: int) -> nulls.NullRuns:
        """The null runs of the campaign when it had so many epochs."""
        return nulls.NullRuns(self._journal.folder, self._manifest_hash, epochs)

    def _head_accepted(self) -> tuple[str, ...]:
        head = self._head()
        return head.accepted if head is not None else ()

    def verdicts(self) -> list[Verdict]:
        """What each champion's figures come to, best first: empty until the campaign has finished.

        The nulls count where `null` has computed them.
        """
        result = self._result()
        if result is None or not all("luck" in row for row in result["champions"]):  # none, or an older version's
            return []
        return [
            judge(
                Luck(**row["luck"]) if row["luck"] else None,
                Unseen(**row["unseen"]) if row["unseen"] else None,
                ps,
                self.spec.evidence,
            )
            for row, ps in zip(result["champions"], self._p_values(result, DRIFTS), strict=True)
        ]

    def null_p_values(self) -> list[dict[str, float | None]]:
        """Each champion's p-values by null, None of one that was not run to its end; empty until the campaign has finished."""
        result = self._result()
        return [] if result is None else self._p_values(result, DRIFTS)

    def _p_values(self, result: dict[str, Any], kinds: Sequence[Kind]) -> list[dict[str, float | None]]:
        """Each champion's p-values by kind of null, None where that one was not run to its end."""
        kept = self._nulls(result["epoch"])
        known = {kind: kept.known(kind) for kind in kinds}
        sign = 1.0 if self.spec.objectives[0].goal == "max" else -1.0
        return [{kind: nulls.p_of(runs, row["value"], sign) for kind, runs in known.items()} for row in result["champions"]]

    def beside_verdicts(self) -> Beside | None:
        """Diagnostics that stand beside the verdicts and change none, see `islands.evidence.beside`: computed anew when asked
        for, in 2 to 5 s up to 200,000 bars. None where there are no verdicts. Held-back bars are looked at only where the
        champions were judged by them before.

        Raises:
            CorruptCampaign: the ledger, or the commit whose champions were judged, is damaged.
        """
        result = self._result()
        if result is None or not self.verdicts():
            return None
        if self._journal.position().epoch != result["epoch"]:
            raise CorruptCampaign(
                f"{self.path}: the commit of epoch {result['epoch']}, whose champions were judged, is not whole any more; "
                f"islands verify {self.path} says what is damaged, islands resume computes it again"
            )
        opened = all(row["unseen"] for row in result["champions"])
        found = judging.beside_verdicts(self._journal, self.world, self._champions(), self.instruments if opened else None)
        return with_diagnostics(found, self._p_values(result, DIAGNOSTICS))

    def tried(self) -> Tally:
        """How many trials there were, and how many distinct ones: exact, from the ledger, in memory for these alone."""
        return judging.tried(self._journal, self.world)

    def stop(self) -> None:
        """Asks whoever works on this campaign to stop at the next commit."""
        self._journal.request_stop()

    def extend(self, epochs: int) -> None:
        """Raises the number of epochs to `epochs` in all; 10 extended to 20 gives what 20 would have given.

        Raises:
            InputError: not more than asked for already.
        """
        asked = self._journal.epochs()
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs <= asked:
            raise InputError(f"epochs = {epochs!r}: the campaign is asked for {asked} already; give a larger whole number")
        self._journal.request_epochs(epochs)

    def fork(self, path: str | Path, changes: Mapping[str, Any] | None = None) -> Campaign:
        """A new campaign that goes on from the last commit of this one, in a folder of its own that stands alone.

        changes: of the spec, by dotted key: {"evolution.epochs": 40, "evolution.mutation.eta": 5.0}; what may change is how
        evolution goes on, see `archipelago.forking`. Nothing is computed yet. With no change but the number of epochs, its
        digests are those that this one's extension would have. Its trials are counted with those of its ancestors, and
        where one of these, or another fork of them, has opened the held-back bars, it can't earn `evidence` from them.

        Raises:
            InputError: nothing is committed, or all epochs asked for are; it is a fold of a cross-validation, or has folds that
                have not finished with it.
            SpecError: a change that a fork can't make.
            ManifestMismatch: bars, code, libraries or arithmetic differ from those that this one began with.
            CampaignExists: the folder holds a campaign already.
        """
        journal = Journal(path)
        if journal.root.exists() and (not journal.root.is_dir() or any(journal.root.iterdir())):
            raise CampaignExists(f"{journal.root} is no empty folder: a fork gets one of its own; choose another")
        if "fold_of" in self._setup:
            raise InputError(f"{self.path} is a fold of a cross-validation; fork the whole of it")
        spec = forking.changed(self.spec, {"evolution.epochs": self._journal.epochs(), **(changes or {})})
        return self._fork(journal, spec, None)

    def _fork(self, journal: Journal, spec: CampaignSpec, fold_of: str | None) -> Campaign:
        """A fork with this spec, its folds first. fold_of: see `create`."""
        entry = self._forked_from(spec)
        forking.require_allowed(self.spec, spec)
        world = world_of(spec, self.instruments)
        forking.require_homes(self.world, world)
        try_settings(world)
        require_same(self._manifest, make_manifest(self.world, tapes_of(self.instruments)), self._head_accepted(), self.path)
        files: dict[str, str] = self._setup.get("files", {})
        own = {name: self._journal.folder.read(name, LARGEST_BYTES) or b"" for name in files}
        _require_disk(world, journal.root, forking.bytes_of(self._journal, entry) + sum(map(len, own.values())))
        manifest = make_manifest(world, tapes_of(self.instruments))
        manifest["fork"] = forking.fork_of(self._manifest, self._manifest_hash, entry)
        for fold, (place, part) in zip(folds_of(world), self._cross_validation.finished_at(entry.epoch), strict=True):
            part._fork(Journal(journal.root / place), fold.spec, forking.hash_of(manifest))
        for name, data in own.items():
            journal.folder.keep(name, data)
        setup = {
            "sources": self._setup["sources"],
            "files": files,
            "epochs": spec.evolution.epochs,
            "openings": sorted({*self._setup.get("openings", []), *self._opened()}),
            "created_at": time.time(),
            "host": socket.gethostname(),
            **({"fold_of": fold_of} if fold_of else {}),
        }
        forking.found(journal, self._journal, entry, manifest, setup)
        return type(self)(journal, self.instruments)

    def _forked_from(self, spec: CampaignSpec) -> Entry:
        """The commit that a fork with this spec goes on from."""
        entry = self.position().entry
        if entry is None:
            raise InputError(f"{self.path} has no commit to go on from; run it, or start a new campaign")
        if spec.evolution.epochs <= entry.epoch:
            raise InputError(
                f"evolution.epochs = {spec.evolution.epochs}: {self.path} stands at epoch {entry.epoch}, where its fork "
                "begins; give the fork a larger number"
            )
        return entry

    def _opened(self) -> Iterator[str]:
        """Digests of the states in which it opened the held-back bars."""
        for epoch in self._journal.openings():
            try:
                yield str((self._journal.opening(epoch) or {})["digest"])
            except (CorruptCampaign, KeyError):
                yield f"unknown, of epoch {epoch}"  # they were opened all the same

    # Asking

    def digest(self, epoch: int | None = None) -> str:
        """The result's digest after the last commit, or after an earlier epoch.

        Raises:
            InputError: that epoch is not committed.
        """
        head = self._head()
        if epoch is None:
            return head.digest if head else GENESIS
        if epoch == 0:
            return GENESIS
        for entry in self._journal.chain(head):
            if entry.epoch == epoch:
                return entry.digest
        raise InputError(f"epoch {epoch!r} of {self.path} is not committed; it stands at {head.epoch if head else 0}")

    def status(self) -> Status:
        """Where the campaign stands, from the journal alone, without disturbing who works on it."""
        head = self._head()
        epochs = self._journal.epochs()
        lease = self._journal.lease()
        worker = lease if lease is not None and lease.is_live() else None
        finished = head is not None and head.epoch >= epochs
        return Status(
            name=self.spec.name,
            root=str(self.path),
            state="running" if worker else "finished" if finished else "stopped",
            committed=head.epoch if head else 0,
            epochs=epochs,
            digest=head.digest if head else None,
            written_at=head.written_at if head else None,
            worker=worker,
            islands=self._newest_generations().group_by("island", maintain_order=True).last(),
        )

    def _newest_generations(self) -> pl.DataFrame:
        """The generations of the newest commit whose segment is whole."""
        for entry in self._journal.chain():
            try:
                return ledger.generations(self._journal, self._legend, [entry])
            except CorruptCampaign as error:
                warnings.warn(f"passed over commit {entry.number}: {error}", IslandsWarning, stacklevel=2)
        return ledger.generations(self._journal, self._legend, [])

    @cached_property
    def ancestors(self) -> tuple[forking.Ancestor, ...]:
        """The campaigns that this one is a fork of, the oldest first."""
        return forking.ancestors(self._manifest)

    @cached_property
    def _legend(self) -> ledger.Legend:
        return ledger.legend_of(self.spec, self.ancestors)

    @property
    def _objectives(self) -> list[str]:
        return [part.name for part in self.spec.objectives]

    # Its history: frames of what is committed, also while another process works on it. Held-back bars enter none of them.

    def history(self) -> pl.DataFrame:
        """A row for each generation of each island: best, median, diversity, feasible, trials, and what stagnation did.

        Several objectives add best_NAME and median_NAME of each, and hypervolume.
        """
        return ledger.generations(self._journal, self._legend)

    def migrations(self) -> pl.DataFrame:
        """A row for each immigrant: who came from where with what, under which rules, and what became of it."""
        return ledger.migrations(self._journal, self._legend)

    def trials(self) -> pl.DataFrame:
        """A row for each distinct genome that an island scored in an epoch, with its score and its parents."""
        return ledger.trials(self._journal, self._legend)

    def lineage(self, individual: str) -> pl.DataFrame:
        """The trials of an individual (its `born`, as the frames show it) and of all its ancestors; `depth` 0 is itself.

        Raises:
            InputError: nobody was born there.
        """
        return ledger.lineage(self._journal, self._legend, individual)

    def hall_of_fame(self) -> pl.DataFrame:
        """What each island found: its best distinct feasible individuals, best first, with their scores on that island."""
        return ledger.individuals(self._legend, [state.hall_of_fame for state in self.position().states])

    def population(self) -> pl.DataFrame:
        """Each island's deme after the last commit, best first where it survived selection; columns as hall_of_fame."""
        return ledger.individuals(self._legend, [state.deme for state in self.position().states])

    def front(self) -> pl.DataFrame:
        """The campaign's Pareto front, on the bars of evolution of all instruments: born, family, genome, the objectives.

        Whoever in the islands' halls of fame no other there dominates; of one objective the best individual alone. A
        strategy that its own island's hall has no place for is not in it.
        """
        self._require_own_families()
        return ledger.individuals(self._legend, [pareto_front(self.world, self.position().states)]).drop("island")

    def champion_records(self) -> list[dict[str, Any]]:
        """Champions as plain values, best first; with "held_back" figures only where the campaign has finished."""
        result = self._result()
        if result is not None:
            stored: list[dict[str, Any]] = result["champions"]
            return stored
        return records(self.world, self._champions(), None)

    def _result(self) -> dict[str, Any] | None:
        """The stored result of a finished campaign; None while epochs are left to do, also after an extension."""
        head = self._head()
        if head is None or head.epoch < self._journal.epochs():
            return None
        try:
            return self._journal.result(head.epoch)
        except CorruptCampaign as error:
            warnings.warn(f"{error}; the next resume makes it anew from the last commit", IslandsWarning, stacklevel=2)
            return None

    def _head(self) -> Entry | None:
        """The newest readable commit, which must be of this campaign."""
        head = self._journal.head()
        if head is not None:
            self._journal.require_own(head)
        return head

    def _champions(self) -> list[Champion]:
        self._require_own_families()
        return select_champions(self.world, self._journal.position().states)

    def _require_own_families(self) -> None:
        """Refuses to score anew what a user's own family found with other code than it has now.

        Raises:
            ManifestMismatch: its code has changed, and no run of the campaign has accepted that.
        """
        head = self._head()
        accepted = head.accepted if head is not None else ()
        recorded = self._manifest.get("own_families", {})
        for kind in (space.family for space in self.world.spaces):
            if recorded.get(kind.name, "") != kind.code and f"own_families.{kind.name}" not in accepted:
                raise ManifestMismatch(
                    f"{self.path}: the campaign has code {recorded.get(kind.name, '')[:12]!r} of family {kind.name}, here is "
                    f"{kind.code[:12]!r}, which would score its champions otherwise; bring the former back, or go on with the "
                    f"new one: islands resume --accept own_families.{kind.name}"
                )

    def champions(self) -> pl.DataFrame:
        """A row for each champion, best first: rank, family, genes, born, value, and METRICS on the bars of evolution.

        value is that of the first objective, pooled over instruments; several objectives add objective_NAME. METRICS are
        means over instruments; `champion_figures` has those of each. A finished campaign adds METRICS on the held-back
        bars, as held_back_*, and the verdict's word.
        """
        import polars as pl

        from islands.kernels.metrics import METRICS

        rows = self.champion_records()
        figures = {name: [row["metrics"][name] for row in rows] for name in METRICS}
        if rows and "held_back" in rows[0]:
            figures |= {f"held_back_{name}": [row["held_back"][name] for row in rows] for name in METRICS}
        words = [verdict.word for verdict in self.verdicts()]
        return pl.DataFrame(
            {
                "rank": pl.Series([row["rank"] for row in rows], dtype=pl.Int64),
                "family": pl.Series([row["family"] for row in rows], dtype=pl.String),
                "genes": pl.Series([" ".join(f"{k}={v}" for k, v in row["genes"].items()) for row in rows], dtype=pl.String),
                "born": pl.Series([".".join(map(str, row["born"])) for row in rows], dtype=pl.String),
                "value": pl.Series([row["value"] for row in rows], dtype=pl.Float64),
                **{
                    f"objective_{name}": pl.Series([row["objectives"][name] for row in rows], dtype=pl.Float64)
                    for name in (self._objectives if len(self._objectives) > 1 else [])
                },
                **{name: pl.Series(values, dtype=pl.Float64) for name, values in figures.items()},
                **({"verdict": pl.Series(words, dtype=pl.String)} if words else {}),
            }
        )

    def champion_figures(self) -> pl.DataFrame:
        """A row for each champion, instrument and part ("evolution", once finished "held back"): METRICS."""
        import polars as pl

        from islands.kernels.metrics import METRICS

        rows = []
        for row in self.champion_records():
            by_instrument = row.get("instruments") or {next(iter(self.spec.sources)): row}
            for name, figures in by_instrument.items():
                for part, key in (("evolution", "metrics"), ("held back", "held_back")):
                    if key in figures:
                        rows.append((row["rank"], name, part, *(figures[key][metric] for metric in METRICS)))
        schema = {"rank": pl.Int64, "instrument": pl.String, "part": pl.String, **dict.fromkeys(METRICS, pl.Float64)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def replays(self, count: int) -> list[tuple[Champion, dict[str, tuple[Backtest, Backtest | None]]]]:
        """The first `count` champions bar by bar, by instrument: on the bars of evolution, once finished on those held back."""
        finished = self._result() is not None and self._holds_back
        found = []
        for champion in self._champions()[:count]:
            seen = replay(self.world, champion, self.instruments, False)
            held = replay(self.world, champion, self.instruments, True) if finished else {}
            found.append((champion, {name: (run, held.get(name)) for name, run in seen.items()}))
        return found

    def verify(self, replay: str | None = None, announce: Callable[[str], None] | None = None) -> list[str]:
        """Checks every hash that is recorded of the campaign's files, and that the digests follow from them.

        replay: computes chosen epochs of chosen islands again and compares them bit for bit, so that it also says whether
        this machine reproduces the campaign: "all", "sample" (ten epochs from the first to the last, of an island each), or
        "ISLAND:EPOCH". announce: is told first what that will take, and how many epochs have not kept their demes.

        Returns one line for each thing that is wrong; an empty list means that all of it is whole.

        Raises:
            InputError: `replay` names no such island or epoch.
            ManifestMismatch: the bars are not those that the campaign began with, so that nothing can be computed again.
        """
        found = audit(self._journal)
        problems = found.problems
        if found.let_go and announce is not None:
            count, newest = len(found.let_go), found.let_go[0]
            what = f"{count} epochs, the last of them {newest}, have" if count > 1 else f"epoch {newest} has"
            why = "before the fork, or by --keep-last" if self.ancestors else "--keep-last"
            announce(f"{what} not kept the demes ({why}): known by digest and trials, and checked by --replay alone")
        problems += self._nulls(0).problems()
        for fold in sorted((self.path / "folds").glob("*")):
            problems += audit(Journal(fold)).problems
        if replay is not None:
            try:
                problems += self._replay(replay, announce)
            except CorruptCampaign as error:
                problems.append(f"not everything could be computed again: {error}")
        return problems

    def _replay(self, choice: str, announce: Callable[[str], None] | None) -> list[str]:
        plan = plan_replay(self._journal, choice, self.world.islands)
        found = differences(self._manifest, make_manifest(self.world, tapes_of(self.instruments)))
        if announce is not None:
            announce(plan.cost + (f"; since it began, these have changed: {', '.join(found)}" if found else ""))
        return list(recompute(self._journal, self._settings, plan))

    def _settings(self, epoch: int) -> tuple[World, Routes]:
        """World and routes of an epoch: an ancestor's before the fork."""
        own = (world for past, world in zip(self.ancestors, self._former_worlds, strict=True) if epoch <= past.epoch)
        world = next(own, self.world)
        return world, routes_of(world)

    @cached_property
    def _former_worlds(self) -> list[World]:
        return [world_of(past.parsed(), self.instruments) for past in self.ancestors]

    def failures(self) -> pl.DataFrame:
        """A row for each genome that could not be scored, of those that are kept (100 files): island and epoch that met it,
        family, genes, instrument, error, and the file that `replay_failure` runs again.

        Such a genome is infeasible. Epochs that were not committed have none, but for the step that paused a campaign.
        """
        import polars as pl

        self._require_own_families()
        rows = []
        for kept in failures.read_all(self._journal):
            for failure in kept.failures:
                strategy = self._strategy_of(failure)
                genes = " ".join(f"{k}={v}" for k, v in strategy.genes.items())
                file = str(self.path / kept.key)
                rows.append((kept.island, kept.epoch, strategy.family.name, genes, failure.market, failure.error, file))
        words = dict.fromkeys(("family", "genes", "instrument", "error", "file"), pl.String)
        return pl.DataFrame(rows, schema={"island": pl.Int64, "epoch": pl.Int64, **words}, orient="row")

    def _strategy_of(self, failure: Failure) -> Strategy:
        return self.world.strategy(failure.family, self.world.pad(np.array([failure.genome]))[0])

    def replay_failure(self, file: str | Path, limit_s: float = 60.0) -> list[tuple[str, str | None]]:
        """Scores the genomes of a file of `failures` again, in a process of its own, which may die or be killed after
        `limit_s` seconds: what each came to in words, and its error, or None where it could be scored.

        A process that dies takes the genomes behind with it. A mended family can be tried like that before a resume.

        Raises:
            InputError: the file is not one of this campaign's.
            CorruptCampaign: it is missing, torn or changed.
        """
        from islands.runtime.apart import Genomes, Setting, market_of, run_apart

        path = Path(file).absolute()
        if path.parent != (self.path / failures.FOLDER).absolute():
            raise InputError(f"{file}: expected a file of {self.path / failures.FOLDER}")
        failed = failures.read(self._journal, f"{failures.FOLDER}/{path.name}").failures
        for failure in failed:
            market_of(self.world, failure)
        blocks = {market.name: market.tape.block for market in self.world.markets}
        setting = Setting(self.spec.model_dump_json(), blocks, tuple(sys.path))
        ending = run_apart(setting, Genomes(failed), limit_s)
        told: list[tuple[str, str | None]] = []
        for failure, (errors, objectives) in zip(failed, ending.scored, strict=False):
            figures = ", ".join(f"{name} {value:.6g}" for name, value in objectives.items())
            told.append((f"{self._strategy_of(failure)!r} on {failure.market}: {figures}", "; ".join(errors) or None))
        if ending.died is not None:
            at = ending.during[0] if ending.during else failed[0]
            told.append((f"{self._strategy_of(at)!r} on {at.market}", f"its process {ending.died}"))
        return told

    def position(self) -> Position:
        """The last whole commit: demes, halls of fame, and emigrants on their way."""
        return self._journal.position()

    # Showing: the desk stands above this file, so these two look it up when called

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the HTML report, by default report.html in the campaign's folder, and returns its path."""
        from islands.desk.report import write_report

        return write_report(self, Path(path) if path is not None else self.path / "report.html")

    def export(self, path: str | Path | None = None) -> Path:
        """Writes the champions as JSON strategy cards, by default champions.json in the campaign's folder."""
        from islands.desk.cards import write_cards

        return write_cards(self, Path(path) if path is not None else self.path / "champions.json")


def _kept(bars: Bars, folder: Folder, key: str) -> str:
    """Writes bars into a campaign's folder, and returns their file's SHA-256."""
    folder.root.mkdir(parents=True, exist_ok=True)
    bars.write(folder.root / key)
    folder.settle(key)
    return hashlib.sha256(folder.read(key, LARGEST_BYTES) or b"").hexdigest()


def _require_disk(world: World, root: Path, own: int) -> None:
    """own: bytes of the bars that the folder is to keep."""
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    needed, free = disk_estimate(world) + own, shutil.disk_usage(existing).free
    if needed > free:
        raise SpecError(
            f"{root}: the campaign may need {needed / 2**20:,.1f} MiB of disk, {free / 2**20:,.1f} MiB are free; choose "
            "another --dir, fewer epochs, or a smaller population"
        )


def require_run_arguments(
    runtime: str, workers: int | None, address: str | None, epochs: int | None, seconds: float | None
) -> None:
    """Raises InputError where an argument of `Campaign.run` can't be meant."""
    if runtime not in ("ray", "inline"):
        raise InputError(f"runtime = {runtime!r}: expected 'ray' or 'inline'")
    if runtime == "inline" and (workers not in (None, 1) or address is not None):
        raise InputError("runtime 'inline' computes in this process: workers and address belong to runtime 'ray'")
    for name, value in (("workers", workers), ("epochs", epochs)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name} = {value!r}: expected a whole number of at least 1")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0):
        raise InputError(f"seconds = {seconds!r}: expected a positive number")


def retention_of(keep_last: int | None, keep_every: int | None) -> Retention | None:
    """The rule that arguments of `Campaign.run` ask for; None where they ask for none.

    Raises:
        InputError: a number that can't be meant, or `keep_every` alone.
    """
    if keep_last is None:
        if keep_every is not None:
            raise InputError(
                f"keep_every = {keep_every!r}: it says which epochs stay beside the last ones; give keep_last, too"
            )
        return None
    return Retention(keep_last, 0 if keep_every is None else keep_every)


def _ignore(progress: Progress) -> None:
    """Nobody watches."""
