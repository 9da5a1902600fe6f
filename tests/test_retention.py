"""Epochs whose demes were let go: what stays of them, what a resume finds, and what verify says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command import islands
from worlds import reopened, tiny, tiny_bars

import islands as isl
from islands.archipelago.audit import problems_of
from islands.archipelago.journal import Journal
from islands.archipelago.retention import Allowance, Retention
from islands.archipelago.storage import RECORD_BYTES, Folder
from islands.errors import CampaignLive, CorruptCampaign, InputError, IslandsWarning

EIGHT = {"evolution.epochs": 8, "evolution.population": 6, "evolution.generations_per_epoch": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """Eight epochs that all kept their demes."""
    campaign = isl.Campaign.create(tiny(EIGHT), tmp_path_factory.mktemp("whole") / "run", bars=tiny_bars())
    campaign.run("inline")
    return campaign


@pytest.fixture
def thinned(make: Callable[..., isl.Campaign]) -> isl.Campaign:
    """The same, of which the last two and every third kept them."""
    campaign = make(EIGHT)
    campaign.run("inline", keep_last=2, keep_every=3)
    return campaign


def kept(campaign: isl.Campaign, folder: str = "blobs") -> list[int]:
    return [int(path.name[:8]) for path in sorted((campaign.path / folder).iterdir())]


@pytest.mark.slow
def test_the_last_epochs_and_every_so_many_keep_their_demes_and_everything_else_stays(
    thinned: isl.Campaign, whole: isl.Campaign
) -> None:
    assert kept(thinned) == [3, 6, 7, 8]
    assert kept(thinned, "ledger") == list(range(1, 9))
    assert [thinned.digest(epoch) for epoch in range(9)] == [whole.digest(epoch) for epoch in range(9)]
    assert thinned.manifest_hash == whole.manifest_hash
    for ask in ("history", "trials", "migrations", "champions", "population", "hall_of_fame"):
        assert getattr(thinned, ask)().equals(getattr(whole, ask)(), null_equal=True)
    born = thinned.hall_of_fame()["born"][0]
    assert thinned.lineage(born).equals(whole.lineage(born))


def test_the_rule_is_recorded_in_each_commit_and_holds_until_another_is_asked_for(make: Callable[..., isl.Campaign]) -> None:
    campaign = make(EIGHT)
    campaign.run("inline", epochs=2)
    campaign.run("inline", epochs=2, keep_last=2)
    assert kept(campaign) == [3, 4]
    reopened(campaign).run("inline", epochs=1)
    assert kept(campaign) == [4, 5]
    campaign.run("inline", epochs=2, keep_last=4, keep_every=5)
    assert kept(campaign) == [4, 5, 6, 7]
    campaign.run("inline", keep_last=2, keep_every=1)
    assert kept(campaign) == [4, 5, 6, 7, 8]
    rules = [Journal(campaign.path).read_entry(number).retention for number in range(1, 9)]
    two, four = Retention(2), Retention(4, 5)
    assert rules == [None, None, two, two, two, four, four, Retention(2, 1)]
    assert campaign.verify() == []  # epochs that went under a rule of former times, too


def test_verify_says_what_was_let_go_and_computes_it_again_from_the_nearest_that_was_kept(thinned: isl.Campaign) -> None:
    said: list[str] = []
    assert thinned.verify(announce=said.append) == []
    assert said == [
        "4 epochs, the last of them 5, have not kept the demes (--keep-last): known by digest and trials, and checked by "
        "--replay alone"
    ]
    assert thinned.verify("1:5", said.append) == []
    assert said[2].startswith("3 epochs of islands to compare, and 3 to get there: ")  # all of 5 for its digest, from 3 on
    assert thinned.verify("all", said.append) == []
    assert said[4].startswith("24 epochs of islands to compare: ")


def test_one_epoch_alone_is_said_as_such(make: Callable[..., isl.Campaign]) -> None:
    campaign, said = make(), []
    campaign.run("inline", keep_last=2)
    assert campaign.verify(announce=said.append) == []
    assert said[0].startswith("epoch 1 has not kept the demes")


def test_demes_that_are_gone_without_a_rule_are_missing(thinned: isl.Campaign) -> None:
    """Epochs 6 and 8 were kept: one as every third, one as the last."""
    for number in (6, 8):
        (thinned.path / Journal(thinned.path).read_entry(number).blob[0]).unlink()
    problems = thinned.verify()
    assert [problem.partition(": ")[0] for problem in problems] == ["commit 8", "commit 6"]
    assert all(problem.endswith(" is missing") for problem in problems)


def test_segment_of_an_epoch_without_demes_is_checked_all_the_same(thinned: isl.Campaign) -> None:
    segment = thinned.path / Journal(thinned.path).read_entry(4).segment[0]
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    assert thinned.verify() == [f"commit 4: {segment} does not match the hash in its entry: torn or changed"]
    segment.unlink()
    assert thinned.verify() == [f"commit 4: {segment} is missing"]


def test_a_resume_goes_back_over_what_was_let_go_and_says_so_once(
    thinned: isl.Campaign, whole: isl.Campaign, tmp_path: Path
) -> None:
    for number in (6, 7, 8):
        (thinned.path / Journal(thinned.path).read_entry(number).blob[0]).unlink()
    with pytest.warns(IslandsWarning) as said:
        assert thinned.position().epoch == 3
    words = [str(warning.message) for warning in said]
    assert [word.startswith(f"passed over commit {number}: ") for word, number in zip(words, (8, 7, 6), strict=False)] == [
        True
    ] * 3
    assert words[3:] == ["passed over 2 more, whose demes were not kept (--keep-last): going back to epoch 3"]
    with pytest.warns(IslandsWarning):
        assert reopened(thinned).run("inline").started_at == 3
    assert thinned.digest() == whole.digest()
    assert kept(thinned) == [3, 6, 7, 8]
    assert thinned.verify() == []


def test_campaign_of_which_nothing_that_was_kept_is_whole_is_refused(thinned: isl.Campaign) -> None:
    for path in (thinned.path / "blobs").iterdir():
        path.unlink()
    with pytest.warns(IslandsWarning), pytest.raises(CorruptCampaign, match="none of 8 commits verifies"):
        thinned.run("inline")


class Late(Folder):
    """Is told of no commit after the first two until it has looked for the demes of one, as a reader that was put to sleep."""

    asleep = True

    def keys(self, prefix: str) -> list[str]:
        keys = super().keys(prefix)
        return keys[:2] if prefix == "journal" and self.asleep else keys

    def read(self, key: str, at_most: int = RECORD_BYTES) -> bytes | None:
        self.asleep = self.asleep and not key.startswith("blobs/")
        return super().read(key, at_most)


def test_a_reader_that_is_overtaken_by_commits_that_let_go_looks_again(make: Callable[..., isl.Campaign]) -> None:
    campaign = make(EIGHT)
    campaign.run("inline", keep_last=2)
    assert Journal(Late(campaign.path)).position().epoch == 8  # and no warning, which would be an error here
    assert problems_of(Journal(Late(campaign.path))) == []


class Dies(Exception):
    """The process, before a removal."""


class Mortal(Folder):
    """Dies before the removal of a blob after so many."""

    def __init__(self, root: Path, removals: int) -> None:
        super().__init__(root)
        self.left = removals

    def remove(self, key: str) -> None:
        if key.startswith("blobs/"):
            if self.left == 0:
                raise Dies
            self.left -= 1
        super().remove(key)


@pytest.mark.slow
@pytest.mark.parametrize("removals", [0, 1, 2, 3])
def test_death_between_any_two_removals_leaves_a_whole_campaign_and_the_next_commit_goes_on(
    removals: int, whole: isl.Campaign, tmp_path: Path
) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    for key in ("results/00000008", "journal/00000008"):
        (tmp_path / "run" / key).unlink()
    campaign = isl.Campaign.open(tmp_path / "run")
    campaign.extend(9)
    dying = isl.Campaign(Journal(Mortal(campaign.path, removals)))
    with pytest.raises(Dies):
        dying.run("inline", keep_last=2, keep_every=3)
    assert kept(campaign) == [epoch for epoch in range(1, 9) if epoch not in (1, 2, 4, 5)[:removals]]
    assert campaign.status().committed == 8  # the commit came first
    assert campaign.verify() == []
    assert reopened(campaign).run("inline").started_at == 8
    assert kept(campaign) == [3, 6, 8, 9]
    assert campaign.digest(8) == whole.digest()
    assert campaign.verify() == []


# What may be asked for


@pytest.mark.slow
def test_the_command_line_asks_verifies_and_refuses(make: Callable[..., isl.Campaign], whole: isl.Campaign) -> None:
    campaign = make(EIGHT)
    done = islands(
        "resume", campaign.path, "--runtime", "inline", "--keep-last", 2, "--keep-every", 4, cwd=campaign.path.parent
    )
    assert done.returncode == 0
    assert kept(campaign) == [4, 7, 8]
    done = islands("verify", campaign.path, "--replay", "0:6", cwd=campaign.path.parent)
    assert done.returncode == 0
    assert "5 epochs, the last of them 6, have not kept the demes" in done.stdout
    assert f"8 epochs verified, 0:6 reproduced, digest {whole.digest()}" in done.stdout
    done = islands("resume", campaign.path, "--keep-last", 1, cwd=campaign.path.parent)
    assert (done.returncode, "keep_last = 1: expected a whole number of at least 2" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"keep_last": 1}, "keep_last = 1: expected a whole number of at least 2"),
        ({"keep_last": True}, "keep_last = True: expected a whole number"),
        ({"keep_last": 2.5}, "keep_last = 2.5: expected a whole number"),
        ({"keep_last": 2, "keep_every": -1}, "keep_every = -1: expected a whole number of at least 0"),
        ({"keep_every": 5}, "keep_every = 5: it says which epochs stay beside the last ones; give keep_last, too"),
    ],
)
def test_what_can_not_be_meant_is_refused(arguments: dict[str, object], words: str, make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    with pytest.raises(InputError, match=words):
        campaign.run("inline", **arguments)
    assert campaign.status().committed == 0
    assert Journal(campaign.path).retention() is None


def test_a_campaign_that_another_process_works_on_is_asked_nothing(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()

    def look(progress: object) -> None:
        with pytest.raises(CampaignLive):
            reopened(campaign).run("inline", keep_last=2)

    campaign.run("inline", on_progress=look)
    assert Journal(campaign.path).retention() is None


def test_the_newest_request_counts_and_foreign_files_do_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    asked = [Retention(2), Retention(9, 100), Retention(2), Retention(2), Retention(3, 7)]
    for rule in asked:
        journal.request_retention(rule)
        assert journal.retention() == rule
    assert len(journal.folder.keys("requests")) == 4  # what holds already is not asked for again
    for name in ("keep-soon", "keep-00000099-1-1", "keep-00000099-x-1", "keep-00000099-5"):
        journal.folder.create(f"requests/{name}", b"")
    assert journal.retention() == asked[-1]


def test_an_allowance_is_of_every_rule_that_ever_held() -> None:
    allowance = Allowance()
    assert not allowance.covers(1)
    allowance.add(None, 50)
    allowance.add(Retention(2, 4), 10)
    assert [epoch for epoch in range(1, 12) if allowance.covers(epoch)] == [1, 2, 3, 5, 6, 7]
    allowance.add(Retention(8), 14)
    allowance.add(Retention(8), 12)  # an older entry
    assert [epoch for epoch in range(1, 12) if allowance.covers(epoch)] == [1, 2, 3, 4, 5, 6, 7]
