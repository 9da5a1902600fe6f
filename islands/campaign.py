"""The Python API of a campaign: create, run, resume, ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from islands import checking, founding, judging, nulls, proposals, working
from islands.archipelago import forking, ledger
from islands.archipelago.journal import Journal, Position
from islands.archipelago.pages import REPORT
from islands.archipelago.tally import Tally
from islands.cross_validation import CrossValidation
from islands.errors import InputError
from islands.evidence.beside import Beside
from islands.evidence.champions import Champion
from islands.evidence.surrogates import DIAGNOSTICS, DRIFTS
from islands.evidence.verdict import Verdict
from islands.evolution.world import World
from islands.foundation import Foundation
from islands.instruments import GivenBars
from islands.market.bars import Bars
from islands.nulls import Lucky
from islands.orders import Orders
from islands.runtime.report import Progress, RunReport
from islands.spec import CampaignSpec
from islands.status import Status, digest_at, status_of

if TYPE_CHECKING:
    import polars as pl

    from islands.evaluation import Backtest


class Campaign:
    """One campaign in one folder. `Campaign.create` starts it, `Campaign.open` finds it again, `run` works on it."""

    def __init__(self, journal: Journal, bars: GivenBars = None) -> None:
        self._journal, self._ground = journal, Foundation(journal, bars)

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
        return cls(*founding.found(spec, path, bars, fold_of))

    @classmethod
    def open(cls, path: str | Path, bars: GivenBars = None) -> Campaign:
        """A campaign that was created before. bars: the same bars, where a file has moved; of several instruments by name.

        Raises:
            NotACampaign: the folder holds none.
        """
        return cls(Journal(path), bars)

    # What it stands on

    @property
    def path(self) -> Path:
        """The campaign's folder."""
        return self._ground.path

    @property
    def spec(self) -> CampaignSpec:
        """What it was asked to do: its manifest's spec, with the place of the bars and the first number of epochs."""
        return self._ground.spec

    @property
    def manifest_hash(self) -> str:
        """SHA-256 of the manifest: the campaign's identity."""
        return self._ground.manifest_hash

    @property
    def instruments(self) -> dict[str, Bars]:
        """All bars of the campaign by instrument, the held-back ones too. The one of a plain campaign is called "bars".

        Raises:
            ManifestMismatch: they are not those that the campaign began with.
        """
        return self._ground.instruments

    @property
    def bars(self) -> Bars:
        """All bars of a campaign of one instrument.

        Raises:
            InputError: it has several; ask `instruments`.
        """
        if len(self.instruments) > 1:
            raise InputError(f"{self.path} has several instruments ({', '.join(self.instruments)}); ask campaign.instruments")
        return next(iter(self.instruments.values()))

    @property
    def world(self) -> World:
        """The spec resolved on the bars that evolution sees."""
        return self._ground.world

    @property
    def ancestors(self) -> tuple[forking.Ancestor, ...]:
        """The campaigns that this one is a fork of, the oldest first."""
        return self._ground.ancestors

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
        accept: names of differences in the manifest to go on with, recorded in the journal and in the result; "ledger" judges
        champions though the trials of a damaged ledger can't be counted, to no evidence. take_over: fence off the
        process that works on the campaign now. Ctrl-C (and SIGTERM) stops at the end of the epoch under way; a second
        one stops at once, and loses that epoch.

        Raises:
            ManifestMismatch: spec, bars, code, libraries or arithmetic differ from those it began with.
            CampaignLive: another process works on it.
            CorruptCampaign: no commit is whole; or all epochs are committed, and the ledger is damaged: nothing was opened.
            StepFailed: an epoch raised an error; the campaign stands at its last commit, and the error has the `report`.
            CampaignPaused: an epoch killed all who computed it; as above, and `file` is what replays it.
            RuntimeFailed: Ray could not be used.
        """
        names = (accept,) if isinstance(accept, str) else tuple(accept)
        orders = Orders(runtime, workers, address, epochs, seconds, keep_last, keep_every, names, take_over, on_progress)
        return self._work(orders)

    def _work(self, orders: Orders) -> RunReport:
        accepted, bounds = working.prepare(self._ground, orders)
        report = working.work(self._ground, orders, accepted, bounds)
        if report.finished:
            self._cross_validation.run(report, orders, bounds)
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
        return self._ground.result() is not None

    def proposed(self) -> list[Champion]:
        """The champions as of the last commit, best first."""
        return self._ground.champions()

    # Judging

    def null(
        self,
        runs: int | None = None,
        runtime: Literal["ray", "inline"] = "ray",
        *,
        workers: int | None = None,
        address: str | None = None,
        diagnostics: bool = False,
        announce: Callable[[str], None] | None = None,
        on_run: Callable[[Lucky, int], None] | None = None,
    ) -> dict[str, float | None]:
        """Repeats the finished campaign `runs` times on bars where there is nothing to find, and again with the real drift.

        runs: by default as many as the spec fixes, `evidence.null_runs`, of each. Those count; more stand beside the verdicts.

        diagnostics: in their place on bars that keep their autocorrelation, "phases" and "blocks" of
        `islands.evidence.surrogates`. What comes of these stands beside the verdicts, and enters none.

        What was computed before counts; a series ends early when `MOST_LUCKY` runs have done as well as the best champion.
        announce: is told first what that will take. on_run: is given each run as it is finished, and how many of its kind
        are done. Returns the best champion's p-value by kind, None where Ctrl-C came before its series was complete.

        Raises:
            InputError: fewer than 99 runs, or the campaign is not finished, or has no champion.
            ManifestMismatch: spec, bars, code, libraries or arithmetic differ from those it began with.
        """
        ways = nulls.Ways(DIAGNOSTICS if diagnostics else DRIFTS, runs, runtime, workers, address)
        return nulls.null(self._ground, ways, announce or (lambda cost: None), on_run or (lambda run, done: None))

    def verdicts(self) -> list[Verdict]:
        """What each champion's figures come to, best first: empty until the campaign has finished.

        The nulls count where `null` has computed them.
        """
        return judging.verdicts(self._ground)

    def null_p_values(self) -> list[dict[str, float | None]]:
        """Each champion's p-values by null, None of one that was not run to its end; empty until the campaign has finished."""
        result = self._ground.result()
        return [] if result is None else judging.p_values(self._ground, result, DRIFTS)

    def beside_verdicts(self) -> Beside | None:
        """Diagnostics that stand beside the verdicts and change none, see `islands.evidence.beside`: computed anew when asked
        for, in 2 to 5 s up to 200,000 bars. None where there are no verdicts. Held-back bars are looked at only where the
        champions were judged by them before.

        Raises:
            CorruptCampaign: the ledger, or the commit whose champions were judged, is damaged.
        """
        return judging.beside_verdicts(self._ground)

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
        journal = founding.fork_folder(self._ground, path)
        spec = forking.changed(self.spec, {"evolution.epochs": self._journal.epochs(), **(changes or {})})
        founding.fork(self._ground, journal, spec)
        return type(self)(journal, self.instruments)

    # Asking

    def digest(self, epoch: int | None = None) -> str:
        """The result's digest after the last commit, or after an earlier epoch.

        Raises:
            InputError: that epoch is not committed.
        """
        return digest_at(self._ground, epoch)

    def status(self) -> Status:
        """Where the campaign stands, from the journal alone, without disturbing who works on it."""
        return status_of(self._ground)

    # Its history: frames of what is committed, also while another process works on it. Held-back bars enter none of them.

    def history(self) -> pl.DataFrame:
        """A row for each generation of each island: best, median, diversity, feasible, trials, and what stagnation did.

        Several objectives add best_NAME and median_NAME of each, and hypervolume.
        """
        return ledger.generations(self._journal, self._ground.legend)

    def migrations(self) -> pl.DataFrame:
        """A row for each immigrant: who came from where with what, under which rules, and what became of it."""
        return ledger.migrations(self._journal, self._ground.legend)

    def trials(self) -> pl.DataFrame:
        """A row for each distinct genome that an island scored in an epoch, with its score and its parents."""
        return ledger.trials(self._journal, self._ground.legend)

    def lineage(self, individual: str) -> pl.DataFrame:
        """The trials of an individual (its `born`, as the frames show it) and of all its ancestors; `depth` 0 is itself.

        Raises:
            InputError: nobody was born there.
        """
        return ledger.lineage(self._journal, self._ground.legend, individual)

    def hall_of_fame(self) -> pl.DataFrame:
        """What each island found: its best distinct feasible individuals, best first, with their scores on that island."""
        return ledger.individuals(self._ground.legend, [state.hall_of_fame for state in self.position().states])

    def population(self) -> pl.DataFrame:
        """Each island's deme after the last commit, best first where it survived selection; columns as hall_of_fame."""
        return ledger.individuals(self._ground.legend, [state.deme for state in self.position().states])

    def front(self) -> pl.DataFrame:
        """The campaign's Pareto front, on the bars of evolution of all instruments: born, family, genome, the objectives.

        Whoever in the islands' halls of fame no other there dominates; of one objective the best individual alone. A
        strategy that its own island's hall has no place for is not in it.
        """
        return proposals.front(self._ground)

    def champion_records(self) -> list[dict[str, Any]]:
        """Champions as plain values, best first; with "held_back" figures only where the campaign has finished."""
        return proposals.champion_records(self._ground)

    def champions(self) -> pl.DataFrame:
        """A row for each champion, best first: rank, family, genes, born, value, and METRICS on the bars of evolution.

        value is that of the first objective, pooled over instruments; several objectives add objective_NAME. METRICS are
        means over instruments; `champion_figures` has those of each. A finished campaign adds METRICS on the held-back
        bars, as held_back_*, and the verdict's word.
        """
        return proposals.champions(self._ground)

    def champion_figures(self) -> pl.DataFrame:
        """A row for each champion, instrument and part ("evolution", once finished "held back"): METRICS."""
        return proposals.champion_figures(self._ground)

    def replays(self, count: int) -> list[tuple[Champion, dict[str, tuple[Backtest, Backtest | None]]]]:
        """The first `count` champions bar by bar, by instrument: on the bars of evolution, once finished on those held back."""
        return proposals.replays(self._ground, count)

    def verify(self, replay: str | None = None, announce: Callable[[str], None] | None = None) -> list[str]:
        """Checks every hash that is recorded of the campaign's files, and that the digests follow from them.

        replay: computes chosen epochs of chosen islands again and compares them bit for bit, so that it also says whether
        this machine reproduces the campaign: "all", "sample" (ten epochs from the first to the last, of an island each), or
        "ISLAND:EPOCH". announce: is told what that will take, before it begins, how many epochs have not kept their demes,
        what may be gone, or may never have been, and which differences were accepted.

        Returns one line for each thing that is wrong; an empty list means that all of it is whole.

        Raises:
            InputError: `replay` names no such island or epoch.
            ManifestMismatch: the bars are not those that the campaign began with, so that nothing can be computed again.
        """
        return checking.verify(self._ground, replay, announce)

    def failures(self) -> pl.DataFrame:
        """A row for each genome that could not be scored, of those that are kept: island and epoch that met it, family,
        genes, instrument, error, and the file that `replay_failure` runs again.

        Such a genome is infeasible. Kept are the first 100, and then one of each kind of error, 200 files in all; every one
        is in the ledger, and `replay_trial` runs it again. Epochs that were not committed have none, but for the step that
        paused a campaign, which is always kept.
        """
        return checking.failed(self._ground)

    def replay_failure(self, file: str | Path, limit_s: float = 60.0) -> list[tuple[str, str | None]]:
        """Scores the genomes of a file of `failures` again, in a process of its own, which may die or be killed after
        `limit_s` seconds: what each came to in words, and its error, or None where it could be scored.

        Genomes of one file are scored together, as they were when they failed, and fail together where the process dies. A
        mended family can be tried like that before a resume.

        Raises:
            InputError: the file is not one of this campaign's.
            CorruptCampaign: it is missing, torn or changed.
        """
        return checking.replay_failure(self._ground, file, limit_s)

    def replay_trial(self, born: str, limit_s: float = 60.0) -> list[tuple[str, str | None]]:
        """Scores a trial again, by its `born` as `trials` shows it, on the bars of each island that scored it, each instrument
        in a process of its own: what came of it, as `replay_failure` tells it. For a genome that is infeasible and has no
        file.

        Raises:
            InputError: nobody was born there.
            CorruptCampaign: the ledger is damaged.
        """
        return checking.replay_trial(self._ground, born, limit_s)

    def position(self) -> Position:
        """The last whole commit: demes, halls of fame, and emigrants on their way."""
        return self._journal.position()

    # Showing: the desk stands above this file, so these two look it up when called

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the HTML report, by default report.html in the campaign's folder, and returns its path."""
        from islands.desk.report import write_report

        return write_report(self, Path(path) if path is not None else self.path / REPORT)

    def export(self, path: str | Path | None = None) -> Path:
        """Writes the champions as JSON strategy cards, by default champions.json in the campaign's folder."""
        from islands.desk.cards import write_cards

        return write_cards(self, Path(path) if path is not None else self.path / checking.CARDS)
