"""The Python API of a campaign: create, run, resume, ask."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from islands.archipelago import ledger
from islands.archipelago.journal import Entry, Journal, Lease, Position
from islands.archipelago.machine import GENESIS, epoch_digest
from islands.archipelago.manifest import make_manifest, require_same
from islands.archipelago.topology import in_neighbours
from islands.errors import CampaignExists, CorruptCampaign, InputError, IslandsWarning, ManifestMismatch, SpecError
from islands.evidence.champions import Champion, held_back_figures, records, replay, select_champions
from islands.evolution.breeding import try_operators
from islands.evolution.world import World, make_world, training_bars
from islands.market.bars import Bars, read_bars
from islands.market.sample import sample
from islands.runtime.conductor import Bounds
from islands.runtime.report import Progress, RunReport
from islands.spec import CampaignSpec
from islands.strategies.families import family

if TYPE_CHECKING:
    import polars as pl

    from islands.evaluation import Backtest

OWN_BARS = "bars.parquet"  # bars given in memory, kept in the campaign's folder
DISK_BLOCK = 4096
REPORT_BYTES = 8 * 2**20


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

    def __init__(self, journal: Journal, bars: Bars | None = None) -> None:
        self._journal = journal
        self._manifest, self._manifest_hash = journal.manifest()
        self._setup = journal.setup()
        self._given_bars = bars
        self.spec = self._read_spec()

    # Making

    @classmethod
    def create(cls, spec: CampaignSpec | str | Path, path: str | Path, bars: Bars | None = None) -> Campaign:
        """A new campaign in an empty or new folder. Nothing is computed yet.

        bars: in memory, in place of the spec's path; a copy is kept in the folder.

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
        if journal.folder.read("manifest") is not None:
            raise CampaignExists(f"{journal.root} holds a campaign already; `islands resume` it, or choose another --dir")
        found = bars if bars is not None else _read(spec.bars.path, spec.bars.columns)
        world = make_world(spec, found.tape.head(training_bars(spec, len(found))))
        in_neighbours(world)
        try_operators(world)
        _require_disk(world, journal.root)
        setup = {
            "epochs": spec.evolution.epochs,
            "bars": _absolute(spec.bars.path) if bars is None else OWN_BARS,
            "columns": spec.bars.columns,
            "bars_name": found.name,
            "created_at": time.time(),
            "host": socket.gethostname(),
        }
        if bars is not None:
            journal.root.mkdir(parents=True, exist_ok=True)
            bars.write(journal.root / OWN_BARS)
        if not journal.create(make_manifest(spec, found.tape), setup):
            raise CampaignExists(f"{journal.root}: another process has just created a campaign here")
        return cls(journal, found)

    @classmethod
    def open(cls, path: str | Path, bars: Bars | None = None) -> Campaign:
        """A campaign that was created before. bars: the same bars, where their file has moved.

        Raises:
            NotACampaign: the folder holds none.
        """
        return cls(Journal(path), bars)

    def _read_spec(self) -> CampaignSpec:
        values = {**self._manifest["spec"]}
        values["evolution"] = {**values["evolution"], "epochs": self._setup["epochs"]}
        values["bars"] = {**values["bars"], "path": self._setup["bars"], "columns": self._setup["columns"]}
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
    def bars(self) -> Bars:
        """All bars of the campaign, the held-back ones too.

        Raises:
            ManifestMismatch: they are not those that the campaign began with.
        """
        if self._given_bars is not None:
            bars = self._given_bars
        elif self._setup["bars"] == OWN_BARS:
            bars = read_bars(self.path / OWN_BARS, name=self._setup["bars_name"])
        else:
            bars = _read(self._setup["bars"], self._setup["columns"])
        recorded = self._manifest["bars"]
        if bars.fingerprint != recorded["fingerprint"]:
            raise ManifestMismatch(
                f"{self.path}: the bars' fingerprint {bars.fingerprint[:12]} ({len(bars)} bars) differs from the "
                f"campaign's {recorded['fingerprint'][:12]} ({recorded['count']} bars); resume with the original file "
                "(--bars, where it has moved), or start a new campaign"
            )
        return bars

    @cached_property
    def world(self) -> World:
        """The spec resolved on the bars that evolution sees."""
        return make_world(self.spec, self.bars.tape.head(training_bars(self.spec, len(self.bars))))

    @property
    def _holds_back(self) -> bool:
        return len(self.world.tape) < len(self.bars)

    # Working

    def run(
        self,
        runtime: Literal["ray", "inline"] = "ray",
        *,
        workers: int | None = None,
        address: str | None = None,
        epochs: int | None = None,
        seconds: float | None = None,
        accept: Sequence[str] = (),
        take_over: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RunReport:
        """Works on the campaign from its last commit: the first run and every resume.

        workers: island actors on Ray, by default one a CPU, at most one an island. address: a Ray cluster; by default
        an embedded one. epochs: stop after so many more commits. seconds: stop at the first commit after so many.
        accept: names of differences in the manifest to go on with, recorded in the journal. take_over: fence off the
        process that works on the campaign now. Ctrl-C (and SIGTERM) stops at the end of the epoch under way; a second
        one stops at once, and loses that epoch.

        Raises:
            ManifestMismatch: spec, bars, code, libraries or arithmetic differ from those it began with.
            CampaignLive: another process works on it.
            StepFailed: an epoch raised an error; the campaign stands at its last commit.
            RuntimeFailed: Ray could not be used.
        """
        require_run_arguments(runtime, workers, address, epochs, seconds)
        self._head()
        names = (accept,) if isinstance(accept, str) else tuple(accept)
        accepted = require_same(self._manifest, make_manifest(self.spec, self.bars.tape), names, self.path)
        position = self._journal.position()
        bounds = Bounds(
            until_epoch=None if epochs is None else position.epoch + epochs,
            deadline=None if seconds is None else time.time() + seconds,
        )
        if position.epoch >= self._journal.epochs():
            report = RunReport(position.epoch, position.epoch, position.epoch, finished=True)
        else:
            with _stop_signals() as stop_asked:
                watch = on_progress or _ignore
                if runtime == "inline":
                    report = self._run_inline(bounds, accepted, take_over, stop_asked, watch)
                else:
                    report = self._run_on_ray(bounds, accepted, take_over, stop_asked, watch, workers, address)
                report.signal = stop_asked.signal
        if report.finished:
            self._finish(take_over)
        return report

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
        block = self.world.tape.block
        with ray_session(address, workers or 1, block.nbytes):
            assignment = Assignment(
                root=str(self.path),
                spec=self.spec.model_dump_json(),
                workers=usable_workers(workers, self.world.islands),
                bounds=bounds,
                accepted=accepted,
                numeric=self._manifest["numeric"] if "numeric" not in accepted else _numeric(),
                code=provenance.code_digest(),
                folder=str(provenance.package_folder()),
                path=tuple(sys.path),
            )
            return run_on_ray(assignment, block, take_over, stop_asked, on_progress)

    def _finish(self, take_over: bool) -> None:
        """Opens the held-back bars, once: the champions' figures there become part of the result."""
        if self._result() is not None:
            return
        position = self._journal.position()
        champions = select_champions(self.world, position.states)
        figures = held_back_figures(self.world, champions, self.bars) if self._holds_back else None
        writer = self._journal.acquire(take_over)
        try:
            writer.write_result(
                position.epoch,
                {
                    "epoch": position.epoch,
                    "digest": position.entry.digest if position.entry else GENESIS,
                    "champions": records(champions, figures),
                    "opened_at": time.time(),
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                },
            )
        finally:
            writer.release()

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
                return ledger.generations(self._journal, [entry])
            except CorruptCampaign as error:
                warnings.warn(f"passed over commit {entry.number}: {error}", IslandsWarning, stacklevel=2)
        return ledger.generations(self._journal, [])

    def history(self) -> pl.DataFrame:
        """A row for each generation of each island: best, median, diversity, feasible, trials. Held-back bars: never."""
        return ledger.generations(self._journal)

    def migrations(self) -> pl.DataFrame:
        """A row for each immigrant: from where, to where, what became of it, and whom it replaced."""
        return ledger.migrations(self._journal, [part.name for part in self.spec.families])

    def trials(self) -> pl.DataFrame:
        """A row for each distinct genome that an island scored in an epoch."""
        return ledger.trials(self._journal, [(part.name, family(part.name).genes) for part in self.spec.families])

    def champion_records(self) -> list[dict[str, Any]]:
        """Champions as plain values, best first; with "held_back" figures only where the campaign has finished."""
        result = self._result()
        if result is not None:
            stored: list[dict[str, Any]] = result["champions"]
            return stored
        return records(self._champions(), None)

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
        return select_champions(self.world, self._journal.position().states)

    def champions(self) -> pl.DataFrame:
        """A row for each champion, best first: rank, family, genes, born, value, and METRICS on the bars of evolution.

        A finished campaign adds METRICS on the held-back bars, as held_back_*.
        """
        import polars as pl

        from islands.kernels.metrics import METRICS

        rows = self.champion_records()
        figures = {name: [row["metrics"][name] for row in rows] for name in METRICS}
        if rows and "held_back" in rows[0]:
            figures |= {f"held_back_{name}": [row["held_back"][name] for row in rows] for name in METRICS}
        return pl.DataFrame(
            {
                "rank": pl.Series([row["rank"] for row in rows], dtype=pl.Int64),
                "family": pl.Series([row["family"] for row in rows], dtype=pl.String),
                "genes": pl.Series([" ".join(f"{k}={v}" for k, v in row["genes"].items()) for row in rows], dtype=pl.String),
                "born": pl.Series([".".join(map(str, row["born"])) for row in rows], dtype=pl.String),
                "value": pl.Series([row["value"] for row in rows], dtype=pl.Float64),
                **{name: pl.Series(values, dtype=pl.Float64) for name, values in figures.items()},
            }
        )

    def replays(self, count: int) -> list[tuple[Champion, Backtest, Backtest | None]]:
        """The first `count` champions, bar by bar: on the bars of evolution, and, once finished, on the held-back ones."""
        finished = self._result() is not None and self._holds_back
        return [
            (c, replay(self.world, c, self.bars, False), replay(self.world, c, self.bars, True) if finished else None)
            for c in self._champions()[:count]
        ]

    def verify(self) -> list[str]:
        """Checks every hash of every living commit, and the digest chain, from the files alone.

        Returns one line for each thing that is wrong; an empty list means that all of it is whole.
        """
        problems: list[str] = []
        readable: dict[int, Entry] = {}
        for number in reversed(self._journal.numbers()):
            try:
                readable[number] = self._journal.read_entry(number)
            except CorruptCampaign as error:
                problems.append(str(error))
        try:
            living = list(self._journal.chain())
        except CorruptCampaign as error:
            problems += [str(error)] if str(error) not in problems else []
            living = list(readable.values())
        problems += self._problems_of_results()
        for entry in living:
            parent = readable.get(entry.parent[0]) if entry.parent else None
            problems += self._problems_of(entry, parent.digest if parent else None)
        return problems

    def _problems_of_results(self) -> list[str]:
        problems = []
        for epoch in self._journal.results():
            try:
                self._journal.result(epoch)
            except CorruptCampaign as error:
                problems.append(str(error))
        return problems

    def _problems_of(self, entry: Entry, previous: str | None) -> list[str]:
        """What is wrong with one commit; its digest is checked where the one before it can be read."""
        problems = []
        if entry.manifest != self._manifest_hash:
            problems.append(f"commit {entry.number}: names the manifest {entry.manifest[:12]}, not this campaign's")
        for place in (entry.blob, entry.segment):
            try:
                self._journal.blob(place)
            except CorruptCampaign as error:
                problems.append(f"commit {entry.number}: {error}")
        if problems or (entry.parent and previous is None):
            return problems
        try:
            answers = ledger.answers(self._journal, entry)
            again = epoch_digest(previous or GENESIS, entry.epoch, answers)
        except CorruptCampaign as error:
            return [f"commit {entry.number}: {error}"]
        if again != entry.digest:
            problems.append(f"commit {entry.number}: its blobs give digest {again[:12]}, it says {entry.digest[:12]}")
        return problems

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


def _read(place: str | None, columns: dict[str, str] | None) -> Bars:
    if not place:
        raise SpecError("bars.path: required; give a file, a glob, or sample:NAME (see `islands sample`)")
    if place.startswith("sample:"):
        return sample(place.removeprefix("sample:"))
    return read_bars(place, columns=columns)


def _absolute(place: str | None) -> str | None:
    """Where bars lie, for a resume from another working directory."""
    return place if not place or place.startswith("sample:") else os.path.abspath(place)


def _numeric() -> str:
    from islands import numerics

    return numerics.fingerprint()


def disk_estimate(world: World) -> int:
    """Bytes that a campaign's files may take at most: every child of every generation a new trial, and the report."""
    spec = world.spec
    evolution, emigrants = spec.evolution, spec.migration.emigrants
    individual = 8 * world.width + 48
    arriving = emigrants * sum(len(sources) for sources in in_neighbours(world))
    trials = world.islands * evolution.population * evolution.generations_per_epoch + arriving
    leaving = world.islands * emigrants * len(world.spaces) * spec.migration.delay
    standing = world.islands * (evolution.population + spec.champions)
    records = 64 * (arriving + world.islands * (evolution.generations_per_epoch + 1)) + 256 * world.islands
    epoch = individual * (trials + leaving + standing) + records + 4 * DISK_BLOCK
    founders = individual * world.islands * evolution.population
    return epoch * evolution.epochs + founders + spec.champions * DISK_BLOCK + REPORT_BYTES


def _require_disk(world: World, root: Path) -> None:
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    needed, free = disk_estimate(world), shutil.disk_usage(existing).free
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


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


@dataclass
class _Wish:
    """Whether a signal has asked to stop, and which."""

    signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def _stop_signals() -> Iterator[_Wish]:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop, and the second into KeyboardInterrupt."""
    wish = _Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def ask(number: int, frame: object) -> None:
        if wish.signal is not None:
            raise KeyboardInterrupt
        wish.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
