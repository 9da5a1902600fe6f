"""Campaigns in one process: one digest however they are run, honest about what they held back, and hard to break."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import own_operators
import polars as pl
import pytest
from islands.kernels.metrics import METRICS
from worlds import in_another_process, links, play, tiny, tiny_bars, tiny_world

import islands as isl
from islands.archipelago import codec
from islands.archipelago.journal import GENESIS, Journal, _process_start
from islands.archipelago.manifest import make_manifest
from islands.errors import (
    BarsError,
    CampaignExists,
    CampaignLive,
    CorruptCampaign,
    Fenced,
    InputError,
    IslandsWarning,
    ManifestMismatch,
    NotACampaign,
    SpecError,
    StepFailed,
)
from islands.evolution.world import costs_of
from islands.market.bars import Bars
from islands.runtime.report import Progress, RunReport

EVERY_STEP = [(island, epoch) for epoch in (1, 2, 3) for island in (0, 1, 2)]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., isl.Campaign]:
    """Creates campaigns on the tiny bars, each in a folder of its own."""
    made: list[isl.Campaign] = []

    def create(changes: dict[str, Any] | None = None, bars: Bars | None = None) -> isl.Campaign:
        made.append(isl.Campaign.create(tiny(changes), tmp_path / f"run-{len(made)}", bars=bars or tiny_bars()))
        return made[-1]

    return create


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """A campaign that was run whole."""
    campaign = isl.Campaign.create(tiny(), tmp_path_factory.mktemp("whole") / "run", bars=tiny_bars())
    assert campaign.run("inline").finished
    return campaign


def steps(report: RunReport) -> list[tuple[int, int]]:
    return [(step.island, step.epoch) for step in report.steps]


def reopened(campaign: isl.Campaign) -> isl.Campaign:
    return isl.Campaign.open(campaign.path)


# One digest


def test_the_digest_is_that_of_the_pure_steps(finished: isl.Campaign) -> None:
    expected = links(play(tiny_world(), 3))
    assert [finished.digest(epoch) for epoch in (1, 2, 3)] == expected
    assert finished.digest() == expected[-1]
    assert finished.digest(epoch=0) == GENESIS


def test_run_whole_computes_every_step_once_in_this_process(make: Callable[..., isl.Campaign]) -> None:
    report = make().run("inline")
    assert sorted(steps(report)) == sorted(EVERY_STEP)
    assert {step.pid for step in report.steps} == {os.getpid()}
    assert (report.started_at, report.committed, report.target, report.finished) == (0, 3, 3, True)
    assert report.lost == []
    assert report.trials > 0


def test_stopped_after_each_epoch_and_resumed_it_is_the_same(make: Callable[..., isl.Campaign], finished: isl.Campaign) -> None:
    campaign = make()
    for epoch in (1, 2, 3):
        report = reopened(campaign).run("inline", epochs=1)
        assert steps(report) == [(island, epoch) for island in (0, 1, 2)]
        assert (report.started_at, report.committed, report.finished) == (epoch - 1, epoch, epoch == 3)
        assert campaign.digest() == finished.digest(epoch)
    assert campaign.verify() == []


def test_running_a_finished_campaign_again_computes_nothing(finished: isl.Campaign) -> None:
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    report = reopened(finished).run("inline")
    assert (steps(report), report.finished, report.committed) == ([], True, 3)
    assert {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()} == before


def test_extended_from_3_to_6_it_equals_6(make: Callable[..., isl.Campaign]) -> None:
    short, long = make(), make({"evolution.epochs": 6})
    short.run("inline")
    long.run("inline")
    short.extend(6)
    assert short.status().state == "stopped"
    report = reopened(short).run("inline")
    assert sorted(steps(report)) == [(island, epoch) for island in (0, 1, 2) for epoch in (4, 5, 6)]
    assert [short.digest(e) for e in range(7)] == [long.digest(e) for e in range(7)]
    assert short.champions().equals(long.champions())


@pytest.mark.parametrize("epochs", [3, 2, 0, -1, True, 4.0, "4"])
def test_extension_must_be_longer(epochs: Any, finished: isl.Campaign) -> None:
    with pytest.raises(InputError, match="the campaign is asked for 3 already; give a larger whole number"):
        finished.extend(epochs)


@pytest.mark.parametrize("epoch", [4, -1])
def test_digest_of_an_epoch_that_is_not_committed_is_refused(epoch: int, finished: isl.Campaign) -> None:
    with pytest.raises(InputError, match=f"epoch {epoch} .* is not committed; it stands at 3"):
        finished.digest(epoch)


def test_digest_of_a_campaign_that_has_not_begun(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    assert (campaign.digest(), campaign.digest(epoch=0)) == (GENESIS, GENESIS)
    with pytest.raises(InputError, match="it stands at 0"):
        campaign.digest(1)


@pytest.mark.parametrize("changes", [{"seed": 8}, {"archipelago.topology": "none"}, {"migration.delay": 2}], ids=str)
def test_seed_and_migration_change_the_digest(
    changes: dict[str, Any], make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    other = make(changes)
    other.run("inline")
    first = other.digest(1) != finished.digest(1)
    assert first is ("seed" in changes)  # nobody arrives before the second epoch
    assert other.digest() != finished.digest()


def test_immigrants_were_accepted(finished: isl.Campaign) -> None:
    frame = finished.migrations()
    accepted = frame.filter(pl.col("outcome") == "accepted")
    assert len(frame) == 2 * 3 * 2
    assert len(accepted) > 0
    assert accepted["replaced"].null_count() == 0
    assert set(frame["epoch"]) == {2, 3}


@pytest.mark.parametrize("delay", [2, 3])
def test_with_a_longer_delay_a_resume_still_knows_who_is_on_the_way(delay: int, make: Callable[..., isl.Campaign]) -> None:
    changes = {"migration.delay": delay, "evolution.epochs": 5}
    whole, pieces = make(changes), make(changes)
    whole.run("inline")
    for _ in range(5):
        reopened(pieces).run("inline", epochs=1)
    assert pieces.digest() == whole.digest() == links(play(tiny_world(changes), 5))[-1]
    assert pieces.migrations().equals(whole.migrations())
    assert set(whole.migrations()["epoch"]) == set(range(delay + 1, 6))


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_hash_seed_and_working_directory_give_the_same_digest(
    hash_seed: str, tmp_path: Path, finished: isl.Campaign
) -> None:
    place = tmp_path / f"elsewhere-{hash_seed}"
    place.mkdir()
    code = (
        "import islands as isl; from worlds import *\n"
        "if __name__ == '__main__':\n"
        "    c = isl.Campaign.create(tiny(), 'run', bars=tiny_bars()); c.run('inline', epochs=1)\n"
        "    c = isl.Campaign.open('run'); c.run('inline'); print(c.digest())"
    )
    assert in_another_process(code, cwd=place, PYTHONHASHSEED=hash_seed) == finished.digest()
    assert (place / "run" / "manifest").is_file()


# Where it ends


def test_seconds_stop_at_the_first_commit_after(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    report = campaign.run("inline", seconds=1e-9)
    assert (report.committed, report.finished) == (1, False)
    assert steps(report) == [(0, 1), (1, 1), (2, 1)]
    assert reopened(campaign).run("inline", seconds=3600.0).finished


def test_more_epochs_than_are_left_end_at_the_last(make: Callable[..., isl.Campaign]) -> None:
    report = make().run("inline", epochs=99)
    assert (report.committed, report.target, report.finished) == (3, 3, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"runtime": "dask"}, "runtime = 'dask': expected 'ray' or 'inline'"),
        ({"runtime": "inline", "workers": 2}, "workers and address belong to runtime 'ray'"),
        ({"runtime": "inline", "address": "auto"}, "workers and address belong to runtime 'ray'"),
        ({"runtime": "inline", "epochs": 0}, "epochs = 0: expected a whole number of at least 1"),
        ({"runtime": "inline", "epochs": 1.5}, "epochs = 1.5: expected a whole number of at least 1"),
        ({"runtime": "inline", "seconds": 0}, "seconds = 0: expected a positive number"),
        ({"runtime": "inline", "seconds": float("nan")}, "seconds = nan: expected a positive number"),
        ({"runtime": "ray", "workers": 0}, "workers = 0: expected a whole number of at least 1"),
    ],
    ids=str,
)
def test_arguments_of_a_run_are_checked_first(arguments: dict[str, Any], words: str, finished: isl.Campaign) -> None:
    with pytest.raises(InputError, match=words):
        finished.run(**arguments)


def test_stop_from_outside_is_honoured_at_the_next_commit(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    asked = []

    def ask(progress: Progress) -> None:
        if not asked:
            asked.append(progress.committed)
            isl.Campaign.open(campaign.path).stop()

    report = campaign.run("inline", on_progress=ask)
    assert (asked, report.committed, report.finished, report.signal) == ([0], 1, False, None)
    assert reopened(campaign).run("inline").finished  # the request was for the run before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_stops_at_the_end_of_the_epoch_under_way(
    number: signal.Signals, make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    campaign = make()
    sent = []
    before = signal.getsignal(number)

    def send(progress: Progress) -> None:
        if not sent:
            sent.append(progress.committed)
            signal.raise_signal(number)

    report = campaign.run("inline", on_progress=send)
    assert (report.committed, report.finished, report.signal) == (1, False, int(number))
    assert signal.getsignal(number) is before
    assert reopened(campaign).run("inline").finished
    assert campaign.digest() == finished.digest()


def test_second_signal_stops_at_once_and_loses_the_epoch_under_way(
    make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    campaign = make()

    def send(progress: Progress) -> None:
        if progress.committed == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        campaign.run("inline", on_progress=send)
    assert campaign.status().state == "stopped"
    assert campaign.digest() == finished.digest(1)
    assert reopened(campaign).run("inline").finished
    assert campaign.digest() == finished.digest()


def test_progress_counts_up_to_the_end(make: Callable[..., isl.Campaign]) -> None:
    seen: list[Progress] = []
    report = make().run("inline", on_progress=seen.append)
    assert [progress.committed for progress in seen] == sorted(progress.committed for progress in seen)
    assert (seen[0].committed, seen[-1].committed, seen[-1].target) == (0, 3, 3)
    assert seen[-1].trials == report.trials
    assert set(seen[-1].islands) == {0, 1, 2}
    assert {i.epoch for i in seen[-1].islands.values()} == {3}
    assert seen[0].seconds_left is None
    assert seen[-1].seconds_left == 0.0


# Its bars


def test_bars_in_memory_are_kept_in_its_folder(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    again = reopened(campaign)
    assert (again.bars.fingerprint, again.bars.name) == (tiny_bars().fingerprint, tiny_bars().name)
    assert (campaign.path / "bars-0.parquet").is_file()
    assert again.run("inline", epochs=1).committed == 1


def test_sample_is_named_by_the_spec(tmp_path: Path) -> None:
    campaign = isl.Campaign.create(tiny({"bars.path": "sample:sp500"}), tmp_path / "run")
    assert reopened(campaign).bars.fingerprint == isl.sample("sp500").fingerprint
    assert not (campaign.path / "bars-0.parquet").exists()


def test_bars_file_that_changed_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    place = tmp_path / "bars.csv"
    tiny_bars().write(place)
    campaign = isl.Campaign.create(tiny({"bars.path": str(place)}), tmp_path / "run")
    campaign.run("inline", epochs=1)
    others = isl.synthetic("planted", bars=1_500, seed=4, edge=0.2)
    others.write(place)
    with pytest.raises(ManifestMismatch) as error:
        reopened(campaign).run("inline")
    assert tiny_bars().fingerprint[:12] in str(error.value)
    assert others.fingerprint[:12] in str(error.value)
    assert campaign.digest(1) == links(play(tiny_world(), 1))[0]  # what is committed can still be read


def test_bars_that_moved_are_given_by_hand(tmp_path: Path) -> None:
    place = tmp_path / "bars.csv"
    tiny_bars().write(place)
    campaign = isl.Campaign.create(tiny({"bars.path": str(place)}), tmp_path / "run")
    place.unlink()
    with pytest.raises(BarsError, match="no such file"):
        reopened(campaign).run("inline")
    assert isl.Campaign.open(campaign.path, bars=tiny_bars()).run("inline").finished


def test_relative_bars_of_a_spec_made_in_python_are_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_bars().write("bars.csv")
    campaign = isl.Campaign.create(tiny({"bars.path": "bars.csv"}), "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert reopened(campaign).bars.fingerprint == tiny_bars().fingerprint


def test_campaign_without_bars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"bars\.path: required; give a file, a glob, sample:NAME .* or synthetic:KIND"):
        isl.Campaign.create(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Creating and opening


def test_a_folder_holds_one_campaign(finished: isl.Campaign) -> None:
    with pytest.raises(CampaignExists, match="holds a campaign already"):
        isl.Campaign.create(tiny({"seed": 9}), finished.path, bars=tiny_bars())
    assert reopened(finished).spec.seed == 7


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="is a file: expected a folder"):
        isl.Campaign.create(tiny(), tmp_path / "run", bars=tiny_bars())


def test_nothing_is_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(NotACampaign, match="no campaign here"):
        isl.Campaign.open(tmp_path / "none")


REFUSED_AT_ONCE = {
    "operator": {"evolution.selection": {"operator": "selTournamnt"}},
    "topology": {"archipelago.topology": "rings"},
    "family": {"families": [{"name": "sma_trendy"}]},
    "too many immigrants": {"migration.emigrants": 12},
}


@pytest.mark.parametrize("case", list(REFUSED_AT_ONCE))
def test_spec_that_can_not_be_carried_out_founds_nothing(case: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        isl.Campaign.create(tiny(REFUSED_AT_ONCE[case]), tmp_path / "run", bars=tiny_bars())
    assert not (tmp_path / "run").exists()


def test_spec_file_makes_the_campaign_of_its_models(tmp_path: Path) -> None:
    tiny_bars().write(tmp_path / "bars.csv")
    text = """
    name = "tiny"
    seed = 7
    champions = 5
    bars.path = "bars.csv"
    costs = { fee = 1e-4, slippage = 5e-5 }
    evolution = { population = 12, epochs = 3, generations_per_epoch = 2 }
    archipelago.islands = 3
    migration.emigrants = 2
    [[families]]
    name = "ema_crossover"
    genes = { fast = [2, 15], slow = [10, 40] }
    [[families]]
    name = "sma_trend"
    genes = { fast = [2, 20], slow = [10, 60] }
    [[families]]
    name = "rsi_mean_reversion"
    genes = { period = [2, 20] }
    """
    (tmp_path / "spec.toml").write_text(text)
    campaign = isl.Campaign.create(tmp_path / "spec.toml", tmp_path / "run")
    assert campaign.spec.identity() == tiny().identity()
    campaign.run("inline", epochs=1)
    assert campaign.digest() == links(play(tiny_world(), 1))[0]


def test_spec_of_an_opened_campaign_is_the_spec_it_was_created_with(make: Callable[..., isl.Campaign]) -> None:
    changes = {
        "initial": [{"family": "sma_trend", "fast": 5, "slow": 40}],
        "archipelago.islands": [["sma_trend"], ["sma_trend", "ema_crossover"]],
        "limits.max_drawdown": 0.5,
        "evolution.mutation": {"operator": "own_operators:shake", "rate": 0.5, "width": 0.25},
        "families": [
            {"name": "ema_crossover", "genes": {"slow": [10, 40], "band": {"low": 1e-4, "high": 1e-2, "log": True}}},
            {"name": "sma_trend", "genes": {"fast": 5, "slow": [10, 60], "direction": ["long", "both"]}},
        ],
    }
    campaign = reopened(make(changes))
    assert campaign.spec.identity() == tiny(changes).identity()
    assert campaign.spec.evolution == tiny(changes).evolution


BAD_PARAMETERS = {
    "selection": {"operator": "selTournament", "tournsize": 0},
    "crossover": {"operator": "cxBlend", "rate": 0.5, "alpha": "x"},
    "mutation": {"operator": "mutGaussian", "rate": 0.5, "mu": [], "sigma": 0.1, "indpb": 0.2},
}


@pytest.mark.parametrize("key", list(BAD_PARAMETERS))
def test_operator_that_fails_with_its_parameters_is_refused_before_the_campaign_begins(
    key: str, make: Callable[..., isl.Campaign], tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as error:
        make({f"evolution.{key}": BAD_PARAMETERS[key]})
    assert str(error.value).startswith(f"evolution.{key}: operator {BAD_PARAMETERS[key]['operator']} (")
    assert not list(tmp_path.rglob("manifest"))


def test_changed_manifest_is_refused_naming_both_hashes(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline", epochs=2)
    recorded = campaign.manifest_hash
    path = campaign.path / "manifest"
    manifest = codec.unpack("manifest", path.read_bytes(), "it")
    manifest["spec"]["seed"] += 1
    path.write_bytes(codec.pack("manifest", {k: v for k, v in manifest.items() if k not in ("kind", "schema")}))
    again = isl.Campaign.open(campaign.path)
    for act in (again.digest, again.status, lambda: again.run("inline"), again.champions):
        with pytest.raises(CorruptCampaign) as error, warnings.catch_warnings():
            warnings.simplefilter("ignore", IslandsWarning)
            act()
        assert recorded[:12] in str(error.value) and again.manifest_hash[:12] in str(error.value)
    assert len(again.verify()) == 2


def test_damaged_result_is_named_and_made_anew(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline")
    champions = campaign.champions()
    path = campaign.path / "results/00000003"
    path.write_bytes(path.read_bytes()[:-9])
    assert [problem for problem in campaign.verify() if "results/00000003" in problem]
    with pytest.warns(IslandsWarning, match="the next resume makes it anew"):
        assert "held_back_sharpe" not in campaign.champions().columns
    with pytest.warns(IslandsWarning, match="the next resume makes it anew"):
        campaign.run("inline")
    assert campaign.verify() == []
    assert campaign.champions().equals(champions, null_equal=True)


def test_status_looks_past_a_commit_whose_segment_is_lost(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline")
    next((campaign.path / "ledger").glob("00000003-*")).unlink()
    with pytest.warns(IslandsWarning, match="passed over commit 3"):
        assert campaign.status().islands["epoch"].unique().to_list() == [2]


def test_epochs_asked_for_during_a_run_are_worked_off_by_it(make: Callable[..., isl.Campaign]) -> None:
    campaign, whole = make(), make({"evolution.epochs": 5})
    asked: list[int] = []

    def extend_once(progress: Progress) -> None:
        if progress.committed == 1 and not asked:
            asked.append(5)
            isl.Campaign.open(campaign.path).extend(5)

    report = campaign.run("inline", on_progress=extend_once)
    whole.run("inline")
    assert (asked, report.committed, report.finished) == ([5], 5, True)
    assert campaign.digest() == whole.digest()


# What has changed since


def changed_manifest(campaign: isl.Campaign, change: Callable[[dict[str, Any]], None]) -> isl.Campaign:
    """The campaign as if it had been created where something was different."""
    journal = Journal(campaign.path)
    record = {k: v for k, v in journal.manifest()[0].items() if k not in ("kind", "schema")}
    change(record)
    journal.folder.write("manifest", codec.pack("manifest", record))
    return reopened(campaign)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "libraries.numpy": (
        lambda m: m["libraries"].update(numpy="1.0.0"),
        f"  libraries.numpy: the campaign has '1.0.0', here is {np.__version__!r}",
    ),
    "libraries.fortran": (
        lambda m: m["libraries"].update(fortran="77"),
        "  libraries.fortran: the campaign has '77', here is None",
    ),
    "spec.champions": (lambda m: m["spec"].pop("champions"), "  spec.champions: the campaign has None, here is 10"),
    "code": (lambda m: m.update(code="0" * 64), "  code: the campaign has '" + "0" * 64),
    "numeric": (lambda m: m.update(numeric="0" * 64), "  numeric: the campaign has '" + "0" * 64),
    "families": (
        lambda m: m["families"].update(sma_trend=0),
        "  families: the campaign has {'ema_crossover': 1, 'sma_trend': 0, 'rsi_mean_reversion': 1}, here is "
        "{'ema_crossover': 1, 'sma_trend': 1, 'rsi_mean_reversion': 1}",
    ),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_determines_a_campaign_may_not_change_unless_accepted(name: str, make: Callable[..., isl.Campaign]) -> None:
    change, line = CHANGES[name]
    campaign = changed_manifest(make(), change)
    with pytest.raises(ManifestMismatch) as error:
        campaign.run("inline", epochs=1)
    said = str(error.value).splitlines()
    assert said[0].endswith("what determines this campaign has changed:")
    assert said[1].startswith(line)
    assert said[2].endswith(f"go on and have it recorded: --accept {name}")
    assert len(said) == 3
    assert campaign.status().committed == 0

    assert campaign.run("inline", epochs=1, accept=(name,)).committed == 1
    assert Journal(campaign.path).read_entry(1).accepted == (name,)


def test_key_that_an_older_version_did_not_have_is_no_difference_where_it_is_not_set(make: Callable[..., isl.Campaign]) -> None:
    campaign = changed_manifest(make(), lambda m: m["spec"]["limits"].pop("min_trades"))
    assert campaign.run("inline", epochs=1).committed == 1


def test_all_differences_are_named_and_all_must_be_accepted(make: Callable[..., isl.Campaign]) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["code"] = "0" * 64
        manifest["libraries"]["deap"] = "0.0"

    campaign = changed_manifest(make(), change)
    with pytest.raises(ManifestMismatch, match=r"--accept code --accept libraries\.deap"):
        campaign.run("inline")
    with pytest.raises(ManifestMismatch, match=r"recorded: --accept libraries\.deap"):
        campaign.run("inline", accept=("code",))
    campaign.run("inline", epochs=1, accept=("libraries.deap", "code"))
    assert set(Journal(campaign.path).read_entry(1).accepted) == {"code", "libraries.deap"}


def test_difference_that_does_not_exist_can_not_be_accepted(make: Callable[..., isl.Campaign]) -> None:
    with pytest.raises(ManifestMismatch, match="accept 'code': no such difference; there is none"):
        make().run("inline", accept=("code",))


def test_manifest_does_not_depend_on_epochs_place_or_reading() -> None:
    tapes = {"bars": tiny_bars().tape}
    manifest = make_manifest(tiny_world(), tapes)
    reading = {"bars.path": "x.csv", "bars.bar_time": "close", "bars.columns": {"open": "Open"}, "bars.time_zone": "+03:00"}
    assert make_manifest(tiny_world({"evolution.epochs": 9, **reading}), tapes) == manifest
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["bars"] == {"bars": {"fingerprint": tiny_bars().fingerprint, "count": 1_500}}


def test_accepted_nothing_is_recorded_as_nothing(finished: isl.Campaign) -> None:
    assert Journal(finished.path).read_entry(1).accepted == ()


# Who works


def test_live_campaign_is_refused_and_can_be_taken_over(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    record = {
        "token": 0,
        "host": socket.gethostname(),
        "pid": os.getppid(),
        "process_start": _process_start(os.getppid()),
        "renewed_at": time.time(),
    }
    Journal(campaign.path).folder.write("lease", codec.pack("lease", record))
    assert campaign.status().state == "running"
    assert campaign.status().worker.pid == os.getppid()
    with pytest.raises(CampaignLive, match=f"process {os.getppid()} on {socket.gethostname()} works on this campaign"):
        campaign.run("inline")
    assert campaign.status().committed == 0
    assert campaign.run("inline", take_over=True).finished
    assert campaign.status().state == "finished"


def test_run_that_is_fenced_off_stops_at_its_commit_and_the_other_one_goes_on(
    make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    campaign = make()
    others = []

    def overtake(progress: Progress) -> None:
        if progress.committed == 1 and not others:
            others.append(Journal(campaign.path).acquire(take_over=True))

    with pytest.raises(Fenced, match="token 2 was taken while this process held 1"):
        campaign.run("inline", on_progress=overtake)
    assert campaign.digest() == finished.digest(1)
    assert Journal(campaign.path).lease().token == 2
    others[0].release()
    assert reopened(campaign).run("inline").started_at == 1
    assert campaign.digest() == finished.digest()


def test_campaign_is_live_while_it_runs_and_can_be_watched(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    seen: list[tuple[str, int, int]] = []

    def look(progress: Progress) -> None:
        watching = isl.Campaign.open(campaign.path)
        status = watching.status()
        seen.append((status.state, status.committed, status.worker.pid))
        assert status.committed == progress.committed
        assert len(watching.history()) == 3 * (2 * status.committed + (status.committed > 0))
        with pytest.raises(CampaignLive):
            watching.run("inline")

    campaign.run("inline", on_progress=look)
    assert {state for state, _, _ in seen} == {"running"}
    assert {pid for _, _, pid in seen} == {os.getpid()}
    assert [committed for _, committed, _ in seen] == [0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert campaign.status().worker is None


def test_status_of_a_campaign_by_its_age(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    fresh = campaign.status()
    assert (fresh.state, fresh.committed, fresh.epochs, fresh.digest, len(fresh.islands)) == ("stopped", 0, 3, None, 0)
    campaign.run("inline", epochs=2)
    stopped = campaign.status()
    assert (stopped.state, stopped.committed, stopped.digest) == ("stopped", 2, campaign.digest())
    assert stopped.islands["island"].to_list() == [0, 1, 2]
    assert stopped.islands["generation"].to_list() == [4, 4, 4]
    campaign.run("inline")
    assert campaign.status().state == "finished"


# Damage


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


DAMAGES = {"flipped": flip, "torn": tear, "missing": Path.unlink}


def place(campaign: isl.Campaign, kind: str, number: int) -> str:
    entry = Journal(campaign.path).read_entry(number)
    return {"entry": f"journal/{number:08d}", "blob": entry.blob[0], "segment": entry.segment[0]}[kind]


def test_verify_finds_nothing_wrong_with_a_good_campaign(finished: isl.Campaign) -> None:
    assert finished.verify() == []


def test_verify_finds_nothing_wrong_with_a_campaign_that_has_not_begun(make: Callable[..., isl.Campaign]) -> None:
    assert make().verify() == []


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("kind", ["entry", "blob", "segment"])
def test_verify_names_the_damaged_file(kind: str, number: int, damage: str, finished: isl.Campaign, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "copy")
    campaign = isl.Campaign.open(tmp_path / "copy")
    damaged = place(campaign, kind, number)
    DAMAGES[damage](campaign.path / damaged)
    problems = campaign.verify()
    if (kind, number, damage) == ("entry", 3, "missing"):
        assert problems == []  # a shorter campaign is a whole one
    else:
        assert [damaged in problem for problem in problems] == [True]


def test_verify_notices_commits_of_another_campaign(finished: isl.Campaign, tmp_path: Path) -> None:
    other = isl.Campaign.create(tiny({"seed": 8}), tmp_path / "run", bars=tiny_bars())
    for folder in ("journal", "blobs", "ledger"):
        shutil.copytree(finished.path / folder, other.path / folder)
    assert other.verify() == [
        f"commit {n}: names the manifest {finished.manifest_hash[:12]}, not this campaign's" for n in (3, 2, 1)
    ]


def test_verify_recomputes_the_digests(make: Callable[..., isl.Campaign], finished: isl.Campaign) -> None:
    """A file exchanged together with every hash of it is found by the chain of digests."""
    campaign, other = make(), make({"seed": 8})
    campaign.run("inline", epochs=1)
    other.run("inline", epochs=1)
    entry, foreign = (Journal(c.path).read_entry(1) for c in (campaign, other))
    path = campaign.path / "journal/00000001"
    body = codec.unseal("entry", path.read_bytes(), "it")
    body = {k: v for k, v in body.items() if k not in ("kind", "schema")}
    body["blob"] = list(foreign.blob)
    shutil.copy(other.path / foreign.blob[0], campaign.path / foreign.blob[0])
    path.write_bytes(codec.seal("entry", body))
    problems = campaign.verify()
    assert len(problems) == 1
    assert problems[0].startswith("commit 1: its blobs give digest ")
    assert problems[0].endswith(f"it says {entry.digest[:12]}")


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("kind", ["entry", "blob", "segment"])
def test_damaged_campaign_is_resumed_from_the_commit_before_and_ends_in_the_same_digest(
    kind: str, damage: str, make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    campaign = make()
    campaign.run("inline", epochs=2)
    DAMAGES[damage](campaign.path / place(campaign, kind, 2))
    if (kind, damage) == ("entry", "missing"):
        report = reopened(campaign).run("inline")
    else:
        with pytest.warns(IslandsWarning, match="passed over commit 2"):
            report = reopened(campaign).run("inline")
    assert (report.started_at, report.finished) == (1, True)
    assert sorted(steps(report)) == sorted(EVERY_STEP)[1:3] + sorted(EVERY_STEP)[4:6] + sorted(EVERY_STEP)[7:9]
    assert [campaign.digest(e) for e in (1, 2, 3)] == [finished.digest(e) for e in (1, 2, 3)]
    assert campaign.history().equals(finished.history())
    assert campaign.trials().equals(finished.trials())


def test_campaign_of_which_nothing_is_left_is_not_begun_anew(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline", epochs=1)
    tear(campaign.path / place(campaign, "blob", 1))
    with pytest.warns(IslandsWarning), pytest.raises(CorruptCampaign, match="none of 1 commits verifies"):
        reopened(campaign).run("inline")


# What evolution may not see


def held_back_altered() -> Bars:
    """The tiny bars with another end: the same bars of evolution, every held-back bar another."""
    frame, others = tiny_bars().to_polars(), isl.synthetic("gbm", bars=1_500, seed=9).to_polars()
    scale = frame["close"][1_199] / others["open"][1_200]
    prices = [pl.col(name) * scale for name in ("open", "high", "low", "close")]
    return isl.Bars.from_polars(frame.head(1_200).vstack(others.tail(300).with_columns(prices)), name="altered")


def test_held_back_bars_reach_nothing_before_the_end(make: Callable[..., isl.Campaign]) -> None:
    one, other = make(), make(bars=held_back_altered())
    assert one.bars.fingerprint != other.bars.fingerprint
    assert one.world.markets[0].tape.fingerprint == other.world.markets[0].tape.fingerprint
    for campaign in (one, other):
        campaign.run("inline", epochs=2)
    assert one.digest() == other.digest()
    assert one.history().equals(other.history())
    assert one.trials().equals(other.trials())
    assert one.status().islands.equals(other.status().islands)
    assert one.champions().equals(other.champions())
    np.testing.assert_equal(one.champion_records(), other.champion_records())
    assert not any("held_back" in name for name in one.champions().columns)

    for campaign in (one, other):
        campaign.run("inline")
    assert one.digest() == other.digest()
    assert one.history().equals(other.history())
    seen = [name for name in one.champions().columns if not name.startswith("held_back")]
    assert one.champions().select(seen).equals(other.champions().select(seen))
    assert not one.champions()["held_back_total_return"].equals(other.champions()["held_back_total_return"])


def strategies_of(campaign: isl.Campaign) -> list[isl.Strategy]:
    return [isl.Strategy(record["family"], **record["genes"]) for record in campaign.champion_records()]


def test_held_back_figures_are_the_backtest_from_the_first_held_back_bar(finished: isl.Campaign) -> None:
    rows = finished.champion_records()
    assert len(rows) == 5
    for row, strategy in zip(rows, strategies_of(finished), strict=True):
        expected = isl.backtest(tiny_bars(), strategy, costs_of(finished.spec.costs), score_from=1_200).metrics
        np.testing.assert_equal(row["held_back"], expected)


def test_champions_are_scored_on_the_bars_of_evolution_from_the_common_first_bar(finished: isl.Campaign) -> None:
    seen = Bars("seen", tiny_bars().tape.head(1_200))
    for row, strategy in zip(finished.champion_records(), strategies_of(finished), strict=True):
        expected = isl.backtest(seen, strategy, costs_of(finished.spec.costs), score_from=finished.world.warmup).metrics
        np.testing.assert_equal(row["metrics"], expected)
        assert row["value"] == expected["sharpe"]


def test_champions_are_the_best_distinct_trials_of_the_campaign(finished: isl.Campaign) -> None:
    best = (
        finished.trials()
        .filter(pl.col("violation") == 0.0)
        .unique(["family", "genome"], keep="first", maintain_order=True)
        .sort("value", descending=True, maintain_order=True)
        .head(5)
    )
    champions = finished.champions()
    assert champions["rank"].to_list() == [1, 2, 3, 4, 5]
    assert champions["value"].to_list() == best["value"].to_list()
    assert set(champions["genes"]) == set(best["genome"])


def test_table_of_champions_has_a_column_for_each_figure(finished: isl.Campaign) -> None:
    assert finished.champions().columns == [
        "rank",
        "family",
        "genes",
        "born",
        "value",
        *METRICS,
        *(f"held_back_{name}" for name in METRICS),
    ]


def test_campaign_without_anyone_feasible_has_no_champions(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({"limits.min_trades": 10_000})
    assert campaign.run("inline").finished
    assert len(campaign.champions()) == 0


def test_campaign_that_holds_nothing_back_has_no_such_figures(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({"bars.held_back": 0.0})
    campaign.run("inline")
    assert campaign.champions().columns == ["rank", "family", "genes", "born", "value", *METRICS]
    assert [held_back for _, runs in campaign.replays(2) for _, held_back in runs.values()] == [None, None]


def test_share_that_rounds_to_no_bar_holds_nothing_back(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({"bars.held_back": 1e-4})
    assert campaign.run("inline").finished
    assert "held_back_sharpe" not in campaign.champions().columns


def test_extended_campaign_shows_no_held_back_figures_until_it_has_finished_again(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline")
    campaign.extend(5)
    for epochs in (0, 1):
        if epochs:
            campaign.run("inline", epochs=epochs)
        assert "held_back_sharpe" not in campaign.champions().columns
        assert campaign.replays(1)[0][1]["bars"][1] is None
    campaign.run("inline")
    assert "held_back_sharpe" in campaign.champions().columns


def test_replays_agree_with_the_figures(finished: isl.Campaign) -> None:
    for champion, runs in finished.replays(3):
        ((seen, held_back),) = runs.values()
        row = finished.champion_records()[champion.rank - 1]
        np.testing.assert_equal(seen.metrics, row["metrics"])
        np.testing.assert_equal(held_back.metrics, row["held_back"])
        assert (len(seen.equity), len(held_back.equity)) == (1_200, 1_500)


# Asking


def test_history_has_a_row_for_each_generation_of_each_island(finished: isl.Campaign) -> None:
    history = finished.history()
    assert len(history) == 3 * 7
    assert history.columns == [
        *("epoch", "island", "generation", "best", "median", "diversity", "feasible", "trials"),
        *("stagnant", "stagnation_rule"),
    ]
    best = history.filter(pl.col("island") == 0)["best"].to_list()
    assert best == sorted(best)  # survival of the best of parents and children


def test_trials_are_counted_once_a_step(finished: isl.Campaign) -> None:
    trials = finished.trials()
    assert len(trials.unique(["epoch", "island", "family", "genome"])) == len(trials)
    accepted = finished.migrations().filter(pl.col("outcome") == "accepted")
    assert len(trials) == finished.history()["trials"].sum() + len(accepted)
    assert len(trials) == sum(len(a.trials) for c in play(tiny_world(), 3) for a in c.answers)


def test_a_step_that_raises_leaves_the_campaign_at_its_last_commit(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"evolution.mutation": {"operator": "own_operators:broken_after", "rate": 1.0, "calls": 100}}
    monkeypatch.setattr(own_operators, "_calls", 0)
    campaign = make(broken)
    with pytest.raises(StepFailed, match=r"island 1, epoch 2: RuntimeError: broken on purpose"):
        campaign.run("inline")
    assert own_operators._calls == 101
    status = campaign.status()
    assert (status.state, status.committed) == ("stopped", 1)
    assert campaign.verify() == []

    monkeypatch.setattr(own_operators, "_calls", -10_000)
    report = reopened(campaign).run("inline")
    assert (report.started_at, report.finished) == (1, True)
    monkeypatch.setattr(own_operators, "_calls", -10_000)
    whole = make(broken)
    whole.run("inline")
    assert campaign.digest() == whole.digest()
