"""What a campaign of many epochs costs to open, to look at and to go on with: counted, not timed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import play, tiny, tiny_bars, tiny_world

import islands as isl
from islands.archipelago.journal import Journal, Writer
from islands.archipelago.machine import Commit
from islands.archipelago.storage import Disk, Folder

SMALL = {"evolution.epochs": 1_000, "evolution.population": 4, "evolution.generations_per_epoch": 1}


class Counted(Disk):
    """Counts what is read, and leaves syncing out."""

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.listings = 0

    def read(self, path: Path, at_most: int) -> bytes:
        data = super().read(path, at_most)
        self.reads.append(len(data))
        return data

    def names(self, folder: Path) -> list[str]:
        self.listings += 1
        return super().names(folder)

    def sync(self, path: Path) -> None:
        pass


def epoch_like(commit: Commit, epoch: int) -> Commit:
    """The same answers under the number of another epoch."""
    answers = tuple(dataclasses.replace(answer, epoch=epoch) for answer in commit.answers)
    return Commit(epoch, answers, {(epoch, answer.island): answer.emigrants for answer in answers})


def committed(root: Path, epochs: int) -> Path:
    """A campaign of so many epochs, written by a real writer."""
    isl.Campaign.create(tiny(SMALL), root, bars=tiny_bars())
    writer = Journal(Folder(root, Counted())).acquire()
    writer.resume()
    commit = play(tiny_world(SMALL), 2)[1]
    for epoch in range(1, epochs + 1):
        writer.commit(epoch_like(commit, epoch))
    writer.release()
    return root


@pytest.fixture(scope="module")
def short_and_long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("long")
    return committed(root / "short", 10), committed(root / "long", 300)


def gone_on_with(campaign: isl.Campaign) -> Writer:
    """As a run begins: the last commit, the right to write, one more epoch, and a look for orphans."""
    campaign.position()
    writer = campaign._journal.acquire()
    position = writer.resume()
    writer.commit(epoch_like(play(tiny_world(SMALL), 2)[1], position.epoch + 1))
    writer.collect()
    writer.release()
    return writer


ASKED: dict[str, Callable[[isl.Campaign], object]] = {
    "open": lambda campaign: campaign.spec,
    "status": lambda campaign: campaign.status(),
    "digest": lambda campaign: campaign.digest(),
    "demes": lambda campaign: campaign.population(),
    "resume": gone_on_with,
}


@pytest.mark.slow
@pytest.mark.parametrize("what", list(ASKED))
def test_ten_epochs_or_hundreds_are_opened_with_as_many_reads_of_as_many_bytes(
    what: str, short_and_long: tuple[Path, Path], tmp_path: Path
) -> None:
    costs = []
    for number, root in enumerate(short_and_long):
        shutil.copytree(root, tmp_path / str(number))
        disk = Counted()
        ASKED[what](isl.Campaign(Journal(Folder(tmp_path / str(number), disk))))
        costs.append((len(disk.reads), sum(disk.reads), disk.listings))
    (few, small, _), (many, large, _) = costs
    assert few == many <= 30
    assert abs(large - small) < 0.01 * small + 64  # numbers of more digits
    assert costs[0][2] == costs[1][2] <= 20


def test_history_reads_each_entry_and_each_segment_once(short_and_long: tuple[Path, Path]) -> None:
    """What walks all commits says so by what it reads: each entry, and each segment, twice at most."""
    disk = Counted()
    campaign = isl.Campaign(Journal(Folder(short_and_long[1], disk)))
    disk.reads.clear()
    assert campaign.history()["epoch"].n_unique() == 300
    assert len(disk.reads) <= 2 * 300 + 4
