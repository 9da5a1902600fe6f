"""Campaigns in one process: one digest however they are run, honest about what they held back, and hard to break."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import own_operators
import polars as pl
import pytest
from effort import thinned
from worlds import EVERY_STEP, in_another_process, links, play, reopened, steps, tiny, tiny_bars, tiny_world

import islands as isl
from islands.archipelago.journal import GENESIS
from islands.errors import (
    BarsError,
    CampaignExists,
    InputError,
    ManifestMismatch,
    NotACampaign,
    SpecError,
    StepFailed,
)
from islands.runtime.report import Progress

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", thinned(["0", "1"], "1"))
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
    most_alike = 1.0
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


# Where it breaks


def test_a_step_that_raises_leaves_the_campaign_at_its_last_commit(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"evolution.mutation": {"operator": "own_operators:broken_after", "rate": 1.0, "calls": 100}}
    monkeypatch.setattr(own_operators, "_calls", 0)
    campaign = make(broken)
    with pytest.raises(StepFailed, match=r"island 1, epoch 2: RuntimeError: broken on purpose") as failed:
        campaign.run("inline")
    report = failed.value.report
    assert report is not None
    assert (report.started_at, report.committed, report.finished) == (0, 1, False)
    assert steps(report) == [(0, 1), (1, 1), (2, 1), (0, 2)]
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
