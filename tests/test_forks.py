"""A fork goes on from its ancestor's last commit: the same bits where nothing changes, exact trials, and no second seal."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import islands
from worlds import tiny, tiny_bars

import islands as isl
from islands import openings
from islands.archipelago.journal import Journal
from islands.errors import CampaignExists, CorruptCampaign, InputError, IslandsWarning, SpecError
from islands.evidence.surrogates import sign_flipped
from islands.nulls import Job, compute

SMALL = {"evolution.population": 8, "evolution.generations_per_epoch": 2}
SIX = {**SMALL, "evolution.epochs": 6}
FOLDED = {**SMALL, "splits": {"kind": "walk_forward", "parts": 2}}
LONGER = {"evolution.epochs": 3}
OTHER = {"evolution.mutation.eta": 3.0, "seed": 11, "migration.replacement": "random", "archipelago.topology": "complete"}


@pytest.fixture(autouse=True)
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "register.jsonl"))


@pytest.fixture
def half(make: Callable[..., isl.Campaign]) -> isl.Campaign:
    """Three of six epochs."""
    campaign = make(SIX)
    campaign.run("inline", epochs=3)
    return campaign


def frames(campaign: isl.Campaign) -> list[Any]:
    return [getattr(campaign, ask)() for ask in ("history", "trials", "migrations", "champions", "population", "hall_of_fame")]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"migration.delay": 2}, {"migration.interval": 2}])
def test_a_fork_without_changes_is_what_its_ancestor_would_have_become(
    make: Callable[..., isl.Campaign], tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole, half = make({**SIX, **changes}), make({**SIX, **changes})
    whole.run("inline")
    half.run("inline", epochs=3)
    fork = half.fork(tmp_path / "fork")
    assert fork.digest() == half.digest() and fork.manifest_hash != half.manifest_hash
    shutil.rmtree(half.path)  # it stands alone
    fork = isl.Campaign.open(fork.path)
    fork.run("inline")
    assert [fork.digest(epoch) for epoch in range(7)] == [whole.digest(epoch) for epoch in range(7)]
    for own, other in zip(frames(fork), frames(whole), strict=True):
        assert own.equals(other.select(own.columns), null_equal=True)
    assert fork.tried().distinct == whole.tried().distinct
    assert fork.verify() == [] and fork.verify("all") == []


@pytest.mark.slow
def test_a_changed_fork_is_a_function_of_its_manifest_and_keeps_its_ancestors_past(half: isl.Campaign, tmp_path: Path) -> None:
    forks = [half.fork(tmp_path / name, OTHER) for name in ("one", "two")]
    for fork in forks:
        fork.run("inline", epochs=1)
        fork.run("inline")
    one, two = forks
    assert one.manifest_hash == two.manifest_hash and one.digest() == two.digest()
    half.run("inline")
    assert [one.digest(epoch) for epoch in range(4)] == [half.digest(epoch) for epoch in range(4)]
    assert one.digest() != half.digest()
    assert one.verify("all") == [] and one.verify("sample") == []
    travelled = one.migrations()
    assert set(travelled.filter(travelled["epoch"] <= 3)["replacement"]) == {"worst"}
    assert set(travelled.filter(travelled["epoch"] > 3)["replacement"]) == {"random"}
    assert set(travelled.filter(travelled["epoch"] > 3)["topology"]) == {"complete"}
    assert one.lineage(one.population()["born"][0])["epoch"].min() == 1


@pytest.mark.slow
def test_trials_are_those_of_the_campaign_and_its_ancestors_each_once(half: isl.Campaign, tmp_path: Path) -> None:
    fork = half.fork(tmp_path / "one", {"seed": 11})
    fork.run("inline", epochs=1)
    last = fork.fork(tmp_path / "two", {"seed": 12, "evolution.epochs": 5})
    last.run("inline")
    assert [(past.campaign, past.epoch) for past in last.ancestors] == [(half.manifest_hash, 3), (fork.manifest_hash, 4)]
    keys = last.trials().select("family", "genome").unique()
    assert last.tried().distinct == len(keys)
    before = half.trials().select("family", "genome").unique()
    assert len(before.join(keys, on=["family", "genome"])) == len(before) == half.tried().distinct < len(keys)
    assert last.verdicts()[0].claims[0].sentence.startswith(f"{last.tried().defined:,} strategies were tried")
    assert last.verify("all") == []


def held_back(campaign: isl.Campaign) -> dict[str, Any]:
    found: dict[str, Any] = campaign.champion_records()[0]["unseen"]
    return found


def test_after_an_opening_no_fork_of_it_can_earn_evidence_from_the_same_bars(
    make: Callable[..., isl.Campaign], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = make({**SMALL, "evolution.epochs": 2})
    campaign.run("inline")
    assert not held_back(campaign)["opened_before"]
    fork = campaign.fork(tmp_path / "one", {"evolution.epochs": 3, "seed": 11})
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "another's.jsonl"))  # on a machine that knows nothing of it
    fork.run("inline")
    assert held_back(fork)["opened_before"] and held_back(fork)["openings"] == 2
    assert "sealed no more" in fork.verdicts()[0].claims[1].sentence
    again = fork.fork(tmp_path / "two", {"evolution.epochs": 4})
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "a third's.jsonl"))
    again.run("inline")
    assert held_back(again)["opened_before"] and held_back(again)["openings"] == 3
    assert held_back(again)["elsewhere"] == 0  # what its ancestors tried is in its own ledger


def test_a_fork_that_was_made_before_pays_for_the_look_of_another_fork(half: isl.Campaign, tmp_path: Path) -> None:
    one, two = half.fork(tmp_path / "one", {"seed": 11}), half.fork(tmp_path / "two", {"seed": 12})
    one.run("inline")
    two.run("inline")
    assert not held_back(one)["opened_before"] and held_back(two)["opened_before"]
    assert held_back(two)["openings"] == 2
    assert held_back(two)["elsewhere"] == openings.booked()[0].trials - half.tried().defined > 0  # those they share count once
    stranger = dataclasses.replace(openings.booked()[0], campaign="0" * 64, ancestors=())
    assert openings.booked()[1].is_kin(openings.booked()[0]) and not openings.booked()[1].is_kin(stranger)


@pytest.mark.slow
def test_the_null_repeats_the_search_with_its_ancestors(half: isl.Campaign, tmp_path: Path) -> None:
    """A run on surrogates is what a campaign on them comes to that was forked in the same way."""
    fork = half.fork(tmp_path / "fork", OTHER)
    former = tuple(past.parsed().model_dump_json() for past in fork.ancestors)
    job = Job(fork.spec.model_dump_json(), ("bars",), "zero", 5, fork.world.numeric, former)
    found = compute(job, fork.bars.tape.block)
    bars = sign_flipped({"bars": tiny_bars()}, fork.spec.seed, 5, "zero")["bars"]
    ancestor = isl.Campaign.create(tiny(SIX), tmp_path / "ancestor", bars)
    ancestor.run("inline", epochs=3)
    again = ancestor.fork(tmp_path / "again", OTHER)
    again.run("inline")
    assert (found.value, found.trials) == (again.champion_records()[0]["value"], len(again.trials()))
    without = compute(dataclasses.replace(job, ancestors=()), fork.bars.tape.block)
    assert without.trials != found.trials


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evolution.population": 9}, "evolution.population = 9: a fork keeps its ancestor's 8, since the demes"),
        ({"evolution.generations_per_epoch": 3}, "births are numbered"),
        ({"migration.delay": 2}, "emigrants are on their way"),
        ({"costs.fee": 0.0}, "costs.fee = 0.0: .*the scores of the demes"),
        ({"bars.held_back": 0.3}, "bars.held_back = 0.3: .*the scores of the demes"),
        ({"objective.name": "sortino"}, "objective.name"),
        ({"evidence.level": 0.1}, "fixed before the first run"),
        ({"families": [{"name": "momentum"}]}, "written in these genes"),
        ({"archipelago.islands": 4}, "3 islands"),
        ({"archipelago.islands": [["sma_trend"], ["sma_trend"], ["sma_trend"]]}, "island 0 would hold other families"),
        ({"evolution.epoch": 9}, "did you mean 'epochs'"),
        ({"name.first": 1}, "no table 'name'"),
        ({"evolution.mutation.operator": "mutNobody"}, "mutNobody"),
    ],
)
def test_a_change_that_a_fork_can_not_make_says_why(
    half: isl.Campaign, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecError, match=words):
        half.fork(tmp_path / "fork", changes)
    assert not (tmp_path / "fork").exists()


def test_prior_trials_may_become_more_and_not_fewer(make: Callable[..., isl.Campaign], tmp_path: Path) -> None:
    campaign = make({**SIX, "evidence.prior_trials": 50})
    campaign.run("inline", epochs=1)
    assert campaign.fork(tmp_path / "more", {"evidence.prior_trials": 60}).spec.evidence.prior_trials == 60
    with pytest.raises(SpecError, match="the ancestor knows of 50"):
        campaign.fork(tmp_path / "fewer", {"evidence.prior_trials": 40})


def test_what_can_not_be_forked_says_why(make: Callable[..., isl.Campaign], half: isl.Campaign, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no commit to go on from"):
        make(SIX).fork(tmp_path / "fork")
    with pytest.raises(InputError, match=r"evolution.epochs = 3: .* stands at epoch 3"):
        half.fork(tmp_path / "fork", {"evolution.epochs": 3})
    with pytest.raises(CampaignExists, match="no empty folder"):
        half.fork(half.path)
    folded = make({**FOLDED, "evolution.epochs": 2})
    folded.run("inline", epochs=1)
    with pytest.raises(InputError, match=r"folds.01 stands at epoch 0, its campaign at 1"):
        folded.fork(tmp_path / "fork")
    with pytest.raises(InputError, match="fork the whole of it"):
        folded.folds()[0].fork(tmp_path / "fork")
    assert not (tmp_path / "fork").exists()


def test_a_fork_whose_own_past_is_damaged_does_not_evolve_its_ancestors_epochs_anew(half: isl.Campaign, tmp_path: Path) -> None:
    fork = half.fork(tmp_path / "fork", OTHER)
    blob = next((fork.path / "blobs").iterdir())
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.warns(IslandsWarning), pytest.raises(CorruptCampaign, match="from epoch 3 on, where it was forked"):
        fork.run("inline")
    assert fork.verify()


def test_a_fork_that_was_not_finished_is_no_campaign(
    half: isl.Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last: whoever dies before leaves nothing that could be taken for a campaign."""

    def pull_the_plug(self: Journal, manifest: object, setup: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "found", pull_the_plug)
    with pytest.raises(KeyboardInterrupt):
        half.fork(tmp_path / "fork")
    assert len(list((tmp_path / "fork" / "journal").iterdir())) == 3
    with pytest.raises(isl.errors.NotACampaign, match="where a fork was interrupted, remove the folder, and fork again"):
        isl.Campaign.open(tmp_path / "fork")


@pytest.mark.slow
def test_the_command_forks(half: isl.Campaign, tmp_path: Path) -> None:
    half.run("inline", epochs=1)
    settings = ("--set", "evolution.mutation.eta=3.0", "--set", "name=braver", "--epochs", "5")
    done = islands("fork", half.path, "fork", *settings, cwd=tmp_path)
    assert done.returncode == 0 and f"{half.tried().distinct:,} strategies" in done.stdout, done.stderr
    fork = isl.Campaign.open(tmp_path / "fork")
    assert fork.spec.name == "braver" and fork.spec.evolution.epochs == 5 and fork.ancestors[-1].epoch == 4
    assert fork.spec.evolution.mutation.parameters["eta"] == 3.0
    page = fork.report().read_text()
    assert "Forked after epoch 4" in page and "--replay all" in page and "islands run spec.toml" not in page
    for change in ("costs.fee=0.0", "seed"):
        refused = islands("fork", half.path, "other", "--set", change, cwd=tmp_path)
        assert refused.returncode == 2 and change[:4] in refused.stderr and not (tmp_path / "other").exists()
