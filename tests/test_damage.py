"""Campaigns that were changed, damaged or fought over: what is noticed, what is named, and what goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import own_operators
import pytest
from worlds import EVERY_STEP, reopened, steps, tiny, tiny_bars, tiny_world

import islands as isl
from islands.archipelago import codec
from islands.archipelago.journal import Journal
from islands.archipelago.lease import Host
from islands.archipelago.manifest import make_manifest
from islands.errors import (
    CampaignExists,
    CampaignLive,
    CorruptCampaign,
    Fenced,
    IslandsWarning,
    ManifestMismatch,
)
from islands.runtime.report import Progress

# What has changed since


def changed_manifest(campaign: isl.Campaign, change: Callable[[dict[str, Any]], None]) -> isl.Campaign:
    """The campaign as if it had been created where something was different."""
    journal = Journal(campaign.path)
    record = {k: v for k, v in journal.manifest()[0].items() if k not in ("kind", "schema")}
    change(record)
    journal.folder.write("manifest", codec.pack("manifest", record))
    shutil.rmtree(campaign.path / "copies")  # by which it would be restored
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
        "  families: the campaign has {'ema_crossover': 1, 'sma_trend': 0, 'rsi_mean_reversion': 2}, here is "
        "{'ema_crossover': 1, 'sma_trend': 1, 'rsi_mean_reversion': 2}",
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
    entry = Journal(campaign.path).read_entry(1)
    assert entry.accepted == (name,)
    has, here = entry.differences[name]
    assert f"  {name}: the campaign has {has!r}, here is {here!r}" == said[1]
    notes: list[str] = []
    campaign.verify(announce=notes.append)
    assert notes == [f"epoch 1 went on with an accepted difference, {name}: the campaign has {has!r}, there was {here!r}"]


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


def test_manifest_names_the_source_of_an_operator_that_one_island_alone_uses() -> None:
    own = {"operator": "own_operators:shake", "rate": 0.5, "width": 0.25}
    world = tiny_world({"archipelago.islands": [{}, {"mutation": own}, {}]})
    source = Path(own_operators.__file__).read_bytes()
    assert make_manifest(world, {"bars": tiny_bars().tape})["operators"] == {
        "own_operators:shake": hashlib.sha256(source).hexdigest()
    }


def test_accepted_nothing_is_recorded_as_nothing(finished: isl.Campaign) -> None:
    assert Journal(finished.path).read_entry(1).accepted == ()


# Who works


def test_live_campaign_is_refused_and_can_be_taken_over(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    record = {
        "token": 0,
        "host": socket.gethostname(),
        "pid": os.getppid(),
        "process_start": Host().process_start(os.getppid()),
        "renewed_at": time.time(),
    }
    Journal(campaign.path).folder.write("lease", codec.seal("lease", record))
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
    assert [damaged in problem for problem in problems] == [True]


# What is gone without a successor that names it


def test_verify_notices_a_newest_commit_that_is_gone_by_each_of_what_came_after_it(
    finished: isl.Campaign, tmp_path: Path
) -> None:
    """Openings and results of epoch 3; and where it is the one of epoch 2 too, its demes and its trials of epoch 3."""
    after = ["openings/00000003", "results/00000003", *(key for key in map(place, [finished] * 2, ["blob", "segment"], [3, 3]))]
    for number, witness in enumerate(after):
        copy = isl.Campaign.open(shutil.copytree(finished.path, tmp_path / str(number)))
        gone = ("3",) if number < 2 else ("3", "2")
        for key in (*after[:number], *after[number + 1 :], *(f"journal/0000000{n}" for n in gone)):
            (copy.path / key).unlink()
        newest = 3 - len(gone)
        assert copy.verify()[-1] == (
            f"{copy.path}/journal/0000000{newest + 1}, or one after it, is missing: the newest commit, {newest}, is of epoch "
            f"{newest}, and what is in {witness} came after that of epoch {3 if number < 2 else 2}"
        )


def test_verify_says_of_demes_and_trials_without_a_commit_that_it_may_be_gone(finished: isl.Campaign, tmp_path: Path) -> None:
    """That is as a death leaves them, too, so that it is no damage."""
    copy, said = isl.Campaign.open(shutil.copytree(finished.path, tmp_path / "copy")), list[str]()
    for key in ("openings/00000003", "results/00000003", "journal/00000003", "tokens/00000002"):
        (copy.path / key).unlink()
    assert copy.verify(announce=said.append) == []
    assert said == [
        "epoch 3 has its demes and its trials but no commit: whoever computed it ended before that, or "
        f"{copy.path}/journal/00000003, or one after it, is missing; islands resume computes it again"
    ]
    assert copy.run("inline").finished
    assert (copy.digest(), copy.verify(announce=said.append), len(said)) == (finished.digest(), [], 1)


def test_verify_says_of_an_opening_without_a_result_that_it_may_be_gone(finished: isl.Campaign, tmp_path: Path) -> None:
    copy, said = isl.Campaign.open(shutil.copytree(finished.path, tmp_path / "copy")), list[str]()
    (copy.path / "results/00000003").unlink()
    assert copy.verify(announce=said.append) == []
    assert [
        f"{copy.path}/results/00000003 is missing, though the held-back bars were opened for it" in word for word in said
    ] == [True]


def test_verify_names_an_opening_and_tokens_that_are_gone(finished: isl.Campaign, tmp_path: Path) -> None:
    """The result tells of the opening, and under which token it was written; commits of the first token."""
    for key in ("openings/00000003", "tokens/00000001", "tokens/00000002"):
        copy = isl.Campaign.open(shutil.copytree(finished.path, tmp_path / key.replace("/", "-")))
        (copy.path / key).unlink()
        assert [problem.partition(":")[0] for problem in copy.verify()] == [f"{copy.path}/{key} is missing"]


def test_verify_says_of_what_is_missing_between_others_that_nothing_stands_on_it(make: Callable[..., isl.Campaign]) -> None:
    """A dead commit, and a token under which nothing was written: either may be a name that a power cut took."""
    campaign, said = make(), list[str]()
    campaign.run("inline", epochs=2)
    flip(campaign.path / place(campaign, "blob", 2))
    with pytest.warns(IslandsWarning, match="passed over commit 2"):
        campaign.run("inline")
    assert [entry.number for entry in campaign._journal.chain()] == [4, 3, 1]
    campaign._journal.acquire().release()
    campaign._journal.acquire().release()
    for key in ("journal/00000002", f"tokens/{campaign._journal.newest_token() - 1:08d}"):
        (campaign.path / key).unlink()
        assert campaign.verify(announce=said.append) == []
        assert said[-1].startswith(f"{campaign.path}/{key} is missing: nothing that is there stands on it; ")


def test_verify_reads_the_exported_champions(finished: isl.Campaign, tmp_path: Path) -> None:
    copy = isl.Campaign.open(shutil.copytree(finished.path, tmp_path / "copy"))
    path = copy.export()
    assert copy.verify() == []
    whole = path.read_text("utf-8")
    path.write_text(whole[:-9], "utf-8")
    assert [f"{path} can't be read" in problem for problem in copy.verify()] == [True]
    path.write_text(whole, "utf-8")
    for key in ("journal/00000003", "openings/00000003", "results/00000003", "tokens/00000002"):
        (copy.path / key).unlink()
    (problem,) = copy.verify()
    assert problem == (
        f"{path} is of digest {finished.digest()[:12]}, which no commit has: one is missing; islands resume computes it again"
    )


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
    body["blob"], body["sizes"] = list(foreign.blob), [foreign.sizes[0], entry.sizes[1]]
    shutil.copy(other.path / foreign.blob[0], campaign.path / foreign.blob[0])
    path.write_bytes(codec.seal("entry", body))
    problems = campaign.verify()
    assert len(problems) == 1
    assert problems[0].startswith("commit 1: its blobs give digest ")
    assert problems[0].endswith(f"it says {entry.digest[:12]}")


def test_verify_notices_an_opening_of_other_commits(make: Callable[..., isl.Campaign], finished: isl.Campaign) -> None:
    campaign = make({"seed": 8})
    campaign.run("inline")
    shutil.copy(finished.path / "openings/00000003", campaign.path / "openings/00000003")
    assert campaign.verify() == [
        f"{campaign.path}/openings/00000003 is of digest {finished.digest()[:12]}, its commit of {campaign.digest()[:12]}"
    ]


def test_verify_notices_a_result_of_other_commits(make: Callable[..., isl.Campaign], finished: isl.Campaign) -> None:
    campaign = make({"seed": 8})
    campaign.run("inline")
    shutil.copy(finished.path / "results/00000003", campaign.path / "results/00000003")
    assert campaign.verify() == [
        f"{campaign.path}/results/00000003 is of digest {finished.digest()[:12]}, its commit of {campaign.digest()[:12]}"
    ]


def test_verify_notices_bars_that_are_gone_or_exchanged(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    own = campaign.path / "bars-0.parquet"
    own.write_bytes(own.read_bytes() + b"\0")
    assert campaign.verify() == [f"{own} does not match the hash in the setup: torn, changed or another's"]
    own.unlink()
    assert campaign.verify() == [f"{own} is missing"]


@pytest.mark.slow
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


def test_changed_manifest_is_refused_naming_both_hashes(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline", epochs=2)
    recorded = campaign.manifest_hash
    shutil.rmtree(campaign.path / "copies")
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
    assert len(again.verify()) == 3  # the setup and both commits name another


@pytest.mark.slow
@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("name", ["manifest", "setup", "copies/manifest", "copies/setup"])
def test_manifest_and_setup_are_taken_from_their_copies_and_restored(
    name: str, damage: str, make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    campaign = make()
    campaign.run("inline", epochs=2)
    whole = (campaign.path / name).read_bytes()
    DAMAGES[damage](campaign.path / name)
    problems = campaign.verify()
    assert [name in problem for problem in problems] == ([] if (name[:4], damage) == ("copi", "missing") else [True])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        again = reopened(campaign)
        assert again.manifest_hash == campaign.manifest_hash
        assert again.run("inline").finished
    assert all(f"{campaign.path / name} is damaged or gone, and its copy is used" in str(w.message) for w in said)
    assert bool(said) == (not name.startswith("copies"))
    assert (campaign.path / name).read_bytes() == whole
    assert again.digest() == finished.digest()
    assert again.verify() == []


def test_changed_manifest_whose_copy_is_whole_is_restored(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline", epochs=1)
    manifest = codec.unpack("manifest", (campaign.path / "manifest").read_bytes(), "it")
    manifest["spec"]["seed"] += 1
    (campaign.path / "manifest").write_bytes(msgpack.packb(manifest))
    with pytest.warns(IslandsWarning, match="manifest is damaged or gone, and its copy is used"):
        assert reopened(campaign).spec.seed == campaign.spec.seed


@pytest.mark.parametrize("name", ["manifest", "setup"])
def test_a_campaign_that_lost_manifest_or_setup_with_the_copy_says_which_file_and_one_made_anew_is_as_good(
    name: str, finished: isl.Campaign, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(finished.path, tmp_path / "lost"))
    for key in (name, f"copies/{name}"):
        (root / key).unlink()
    for act in (isl.Campaign.open, lambda root: isl.Campaign.open(root).verify()):
        with pytest.raises(CorruptCampaign) as error:
            act(root)
        said = str(error.value)
        assert said.startswith(f"{root}/{name} is missing; restore it from a backup")
        assert (finished.manifest_hash in said) == (name == "manifest")
    with pytest.raises(CampaignExists):
        isl.Campaign.create(tiny(), root, bars=tiny_bars())
    again = isl.Campaign.create(tiny(), tmp_path / "new", bars=tiny_bars())
    shutil.copy(again.path / name, root / name)
    campaign = isl.Campaign.open(root)
    assert (campaign.verify(), campaign.digest(), campaign.status().state) == ([], finished.digest(), "finished")


def test_a_manifest_that_was_lost_before_the_first_commit_is_told_by_its_setup(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    for key in ("manifest", "copies/manifest"):
        (campaign.path / key).unlink()
    with pytest.raises(CorruptCampaign, match=f"manifest is missing; .* its SHA-256 is {campaign.manifest_hash}"):
        reopened(campaign)


def test_campaign_whose_manifest_is_lost_is_not_founded_over(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    (campaign.path / "manifest").unlink()
    with pytest.raises(CampaignExists):
        isl.Campaign.create(tiny({"seed": 8}), campaign.path, bars=tiny_bars())


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


def test_runs_that_all_end_after_one_epoch_collect_what_deaths_have_left(make: Callable[..., isl.Campaign]) -> None:
    campaign, left = make(), "blobs/{:08d}-0123456789abcdef.states"
    campaign.run("inline", epochs=1)
    (campaign.path / left.format(2)).write_bytes(b"of a run that died before its entry")
    reopened(campaign).run("inline", epochs=1)
    assert (campaign.path / left.format(2)).exists()  # of the last epoch: another process may be about to commit it
    reopened(campaign).run("inline", epochs=1)
    assert sorted(path.name[:8] for path in (campaign.path / "blobs").iterdir()) == ["00000001", "00000002", "00000003"]
    assert campaign.verify() == []


def test_each_run_sweeps_what_was_half_written_long_ago_also_one_that_only_judges(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = make()

    def leave() -> Path:
        left = campaign.path / f".lease.{'a' * 32}"
        left.write_bytes(b"of a process that was killed in the middle")
        os.utime(left, (1.0, 1.0))
        return left

    left = leave()
    with monkeypatch.context() as dying:
        dying.setattr("islands.working._finish", lambda *given: None)
        campaign.run("inline")
    assert not left.exists()
    left = leave()
    assert campaign.run("inline").finished
    assert not left.exists()


def half_lost(campaign: isl.Campaign, kind: str) -> tuple[Path, bytes]:
    """The campaign after two epochs of three, without a file of the first: where that lay, and what was in it."""
    campaign.run("inline", epochs=2)
    path = campaign.path / place(campaign, kind, 1)
    whole = path.read_bytes()
    path.unlink()
    return path, whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entry", "segment"])
def test_trials_that_can_not_be_counted_end_a_run_before_the_held_back_bars_are_opened(
    kind: str, make: Callable[..., isl.Campaign], finished: isl.Campaign
) -> None:
    campaign = make()
    path, whole = half_lost(campaign, kind)
    for _ in range(2):  # the second time there is nothing left to do but to judge
        with pytest.raises(CorruptCampaign) as error:
            reopened(campaign).run("inline")
        said = str(error.value)
        assert said.startswith(
            f"{path} is missing: all epochs are committed, but nobody can tell how many strategies were tried"
        )
        assert f"Restore the file from a backup, then islands resume {campaign.path}" in said
        assert campaign.digest() == finished.digest()
        assert campaign._journal.openings() == campaign._journal.results() == []
        assert not campaign.is_closed() and campaign.status().worker is None

    path.write_bytes(whole)
    assert reopened(campaign).run("inline").finished
    assert campaign.verify() == []
    ours, theirs = ([row["luck"] for row in one.champion_records()] for one in (campaign, finished))
    assert ours == theirs and ours[0] is not None
    assert campaign._journal.openings() == [3]


def test_whoever_can_not_restore_the_ledger_accepts_that_and_has_it_recorded(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    half_lost(campaign, "segment")
    with pytest.warns(IslandsWarning, match="nobody can tell how many strategies were tried"):
        assert reopened(campaign).run("inline", accept=("ledger",)).finished
    result, opening = campaign._journal.result(3), campaign._journal.opening(3)
    assert result["accepted"] == opening["accepted"] == ["ledger"]
    assert {verdict.word for verdict in campaign.verdicts()} == {"no evidence"}
    assert campaign._ground.accepted() == ()  # it is no difference from the manifest


def test_a_whole_ledger_has_nothing_to_accept(make: Callable[..., isl.Campaign], finished: isl.Campaign) -> None:
    campaign = make()
    assert campaign.run("inline", accept="ledger").finished
    assert campaign._journal.result(3)["accepted"] == campaign._journal.opening(3)["accepted"] == []
    assert [row["luck"] for row in campaign.champion_records()] == [row["luck"] for row in finished.champion_records()]


def test_what_is_accepted_when_nothing_is_left_but_to_judge_is_recorded(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = make()
    with monkeypatch.context() as dying:
        dying.setattr("islands.working._finish", lambda *given: None)
        campaign.run("inline")
    assert not campaign.is_closed()
    monkeypatch.setattr("islands.provenance.result_digest", lambda: "1" * 64)
    with pytest.raises(ManifestMismatch, match="--accept code"):
        reopened(campaign).run("inline")
    assert campaign._journal.openings() == []
    assert reopened(campaign).run("inline", accept="code").finished
    journal = campaign._journal
    assert [entry.accepted for entry in journal.chain()] == [(), (), ()]
    assert journal.result(3)["accepted"] == journal.opening(3)["accepted"] == ["code"]
    has = {"code": [campaign._ground.manifest["code"], "1" * 64]}
    assert journal.result(3)["differences"] == journal.opening(3)["differences"] == has
    assert campaign._ground.accepted() == ("code",)


def test_status_looks_past_a_commit_whose_segment_is_lost(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline")
    next((campaign.path / "ledger").glob("00000003-*")).unlink()
    with pytest.warns(IslandsWarning, match="passed over commit 3"):
        assert campaign.status().islands["epoch"].unique().to_list() == [2]
