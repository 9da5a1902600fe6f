"""Every byte of a small campaign: each change of one, and each end cut off, is noticed by verify and named; and whatever was
changed, a resume ends in the digest of the whole campaign, or is refused in words."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from worlds import tiny

import islands as isl
from islands.archipelago.audit import audit, problems_of
from islands.archipelago.journal import Journal
from islands.archipelago.storage import Disk, Folder
from islands.errors import CorruptCampaign, IslandsError, IslandsWarning

SMALL = {
    "families": [{"name": "ema_crossover", "genes": {"fast": [2, 6], "slow": [7, 12]}}],
    "archipelago.islands": 2,
    "evolution.population": 4,
    "evolution.epochs": 3,
    "evolution.generations_per_epoch": 1,
    "migration.emigrants": 1,
    "champions": 1,
}
KINDS = ("bars-0.parquet", "blobs", "copies", "journal", "ledger", "manifest", "openings", "results", "setup", "tokens")


class Held(Disk):
    """The files of a folder in memory, for reading."""

    def __init__(self, root: Path) -> None:
        self.files = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        self.folders: dict[Path, list[Path]] = {}
        for path in self.files:
            self.folders.setdefault(path.parent, []).append(path)

    def read(self, path: Path, at_most: int) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in self.folders.get(folder, ()) if path in self.files]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """A small campaign that was run whole, and whose process then died before it could let go."""
    bars = isl.synthetic("planted", bars=90, seed=3, edge=0.2)
    campaign = isl.Campaign.create(tiny(SMALL), tmp_path_factory.mktemp("small") / "run", bars=bars)
    campaign.run("inline", epochs=2)
    campaign.run("inline")
    return campaign


def kind_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0]


def require_noticed(journal: Journal, path: Path, what: str) -> None:
    problems = problems_of(journal)
    assert problems, f"{path}: {what} is not noticed"
    name = path.name if path.parent != journal.root else f"{journal.root}/{path.name}"
    assert any(name in problem for problem in problems), f"{path}: {what} is not named by {problems}"


@pytest.fixture
def held(small: isl.Campaign) -> tuple[Held, Journal]:
    disk = Held(small.path)
    journal = Journal(Folder(small.path, disk))
    assert problems_of(journal) == []
    assert {kind_of(path, small.path) for path in disk.files} == set(KINDS)
    return disk, journal


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_byte_that_is_changed_is_noticed_and_its_file_named(kind: str, held: tuple[Held, Journal]) -> None:
    disk, journal = held
    chance = Random(kind)
    for path in [path for path in disk.files if kind_of(path, journal.root) == kind]:
        whole = disk.files[path]
        for place, byte in enumerate(whole):
            disk.files[path] = whole[:place] + bytes([byte ^ chance.randrange(1, 256)]) + whole[place + 1 :]
            require_noticed(journal, path, f"byte {place} = {disk.files[path][place]}")
        disk.files[path] = whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_end_that_is_cut_off_is_noticed_and_its_file_named(kind: str, held: tuple[Held, Journal]) -> None:
    disk, journal = held
    for path in [path for path in disk.files if kind_of(path, journal.root) == kind]:
        whole = disk.files[path]
        for length in range(len(whole)):
            disk.files[path] = whole[:length]
            require_noticed(journal, path, f"a length of {length}")
        disk.files[path] = whole


@pytest.mark.slow
def test_each_file_that_is_gone_is_noticed_and_named(held: tuple[Held, Journal]) -> None:
    """All but copies, which a campaign may do without, and the result, which a death at the very end leaves out as well."""
    disk, journal = held
    for path in [path for path in disk.files if kind_of(path, journal.root) != "copies"]:
        whole = disk.files.pop(path)
        if kind_of(path, journal.root) == "results":
            assert [path.name in note for note in audit(journal).notes] == [True]
        else:
            require_noticed(journal, path, "that it is gone")
        disk.files[path] = whole
    assert problems_of(journal) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "results", "setup", "tokens"])
def test_files_that_carry_their_own_hash_notice_each_value_of_each_byte(kind: str, held: tuple[Held, Journal]) -> None:
    disk, journal = held
    for copy in [path for path in disk.files if kind_of(path, journal.root) == "copies"]:
        del disk.files[copy]
    path = next(path for path in reversed(disk.files) if kind_of(path, journal.root) == kind)
    read: dict[str, Callable[[], object]] = {
        "journal": lambda: journal.read_entry(int(path.name)),
        "results": lambda: journal.result(int(path.name)),
        "setup": journal.setup,
        "tokens": lambda: journal.token(int(path.name)),
    }
    whole = disk.files[path]
    for place, byte in enumerate(whole):
        for other in range(256):
            if other != byte:
                disk.files[path] = whole[:place] + bytes([other]) + whole[place + 1 :]
                with pytest.raises(CorruptCampaign, match=path.name):
                    read[kind]()


@pytest.mark.slow
def test_lease_that_a_dead_process_left_is_checked_too(small: isl.Campaign, tmp_path: Path) -> None:
    shutil.copytree(small.path, tmp_path / "run")
    journal = Journal(tmp_path / "run")
    journal.acquire()
    assert problems_of(journal) == []
    whole = (tmp_path / "run/lease").read_bytes()
    for place, byte in enumerate(whole):
        (tmp_path / "run/lease").write_bytes(whole[:place] + bytes([byte ^ 1]) + whole[place + 1 :])
        assert [str(journal.root / "lease") in problem for problem in problems_of(journal)] == [True]


# Resumed all the same


def damages(root: Path, count: int, chance: Random) -> Iterator[tuple[str, Path, bytes]]:
    """(kind, path, new content): as many of each kind of file, changed and cut in turn, the newest file as often as others."""
    files: dict[str, list[Path]] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        files.setdefault(kind_of(path, root), []).append(path)
    for number in range(count):
        kind = list(files)[number % len(files)]
        path = files[kind][-1] if chance.random() < 0.5 else chance.choice(files[kind])
        whole = path.read_bytes()
        place = chance.randrange(len(whole))
        changed = bytes([whole[place] ^ chance.randrange(1, 256)]) + whole[place + 1 :]
        yield kind, path, whole[:place] + (changed if number // len(files) % 2 else b"")


@pytest.mark.slow
@pytest.mark.parametrize("committed", [2, 3])
def test_a_damaged_campaign_ends_in_the_digest_of_the_whole_one_or_is_refused_in_words(
    committed: int, small: isl.Campaign, tmp_path: Path
) -> None:
    """150 of one that stopped after two epochs of three, 150 of one that was finished."""
    base, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(small.path, base)
    for key in ("results/00000003", "journal/00000003") if committed == 2 else ():
        (base / key).unlink()
    ended, restored = Counter[str](), Counter[str]()
    for kind, path, content in damages(base, 150, Random(committed)):
        shutil.copytree(base, run)
        (run / path.relative_to(base)).write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IslandsWarning)
                campaign = isl.Campaign.open(run)
                assert campaign.run("inline").finished
                assert campaign.digest() == small.digest()
                values = [[row["value"] for row in one.champion_records()] for one in (campaign, small)]
                assert values[0] == values[1]
            ended[f"{kind}: goes on"] += 1
        except IslandsError as error:
            assert str(run) in str(error)
            ended[f"{kind}: refused"] += 1
            if "nobody can tell how many strategies were tried" in str(error):
                assert committed == 2 and campaign.digest() == small.digest()
                (run / path.relative_to(base)).write_bytes(path.read_bytes())
                assert campaign.run("inline").finished
                lucks = [[row["luck"] for row in one.champion_records()] for one in (campaign, small)]
                assert lucks[0] == lucks[1] and None not in lucks[0]
                restored[kind] += 1
        shutil.rmtree(run)
    assert sum(ended.values()) == 150
    for kind in ("blobs", "copies", "journal", "ledger", "manifest", "setup", "tokens"):
        assert ended[f"{kind}: goes on"] > 5
        assert ended[f"{kind}: refused"] == restored[kind]  # else an earlier commit, or a copy, is whole
    assert set(restored) == ({"journal", "ledger"} if committed == 2 else set())  # without which trials can't be counted
    assert ended["bars-0.parquet: refused"] > 5
