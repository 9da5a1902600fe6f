"""Campaigns that somebody made up: files of any size, kind and content are refused in words, before they are read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds import reopened

import islands as isl
from islands.archipelago import codec
from islands.archipelago.journal import Journal
from islands.archipelago.storage import LARGEST_BYTES, RECORD_BYTES, Folder
from islands.errors import CorruptCampaign, IslandsError, IslandsWarning, NewerVersion

OLD = Path(__file__).with_name("campaign_of_schema_3.zip")
OLD_DIGEST = "97107bc5a5eda46bfc4c2be8f6b4ec9c456c46e5266be770d0084c65ce5d1a10"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Two epochs of three, as the version before schema 4 left them."""
    with zipfile.ZipFile(OLD) as packed:
        packed.extractall(tmp_path / "run")
    return tmp_path / "run"


# Older versions


def test_a_campaign_of_schema_3_is_read_checked_and_gone_on_with(old: Path) -> None:
    campaign = isl.Campaign.open(old)
    assert (campaign.status().committed, campaign.digest()) == (2, OLD_DIGEST)
    assert campaign.verify() == []
    assert (len(campaign.history()), len(campaign.trials()) > 0) == (6, True)
    with pytest.raises(isl.errors.ManifestMismatch) as error:
        campaign.run("inline")
    names = str(error.value).partition("have it recorded: ")[2].split("--accept ")
    assert campaign.run("inline", accept=[name.strip() for name in names if name]).finished
    assert campaign.verify() == []
    entries = [Journal(old).read_entry(number) for number in (1, 2, 3)]
    assert [entry.sizes == (LARGEST_BYTES, LARGEST_BYTES) for entry in entries] == [True, True, False]


# Newer versions


NEWER = (
    f"written by a newer version of strategy-islands: schema {codec.SCHEMA + 1}, this version reads 3 and {codec.SCHEMA}; "
    "nothing was changed: upgrade to the version that wrote it"
)


@contextlib.contextmanager
def newer_version(*kinds: str) -> Iterator[None]:
    """This package as one that writes these kinds of records, or all, by a schema that is not known here yet."""
    newer, pack = codec.SCHEMA + 1, codec.pack
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "READABLE", (*codec.READABLE, newer))

        def packed(kind: str, record: dict[str, Any]) -> bytes:
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(codec, "SCHEMA", newer if not kinds or kind in kinds else codec.SCHEMA)
                return pack(kind, record)

        patch.setattr(codec, "pack", packed)
        yield


def everything(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kinds", [(), ("states",), ("entry", "sealed")])
def test_what_a_newer_version_has_committed_is_refused_in_words_and_not_gone_back_over(
    kinds: tuple[str, ...], make: Callable[..., isl.Campaign]
) -> None:
    campaign = make()
    campaign.run("inline", epochs=1)
    with newer_version(*kinds):
        campaign.run("inline", epochs=1)
    before = everything(campaign.path)
    for ask in (lambda: reopened(campaign).run("inline"), campaign.verify, campaign.position, campaign.champions):
        with pytest.raises(NewerVersion) as error:
            ask()
        file, said = str(error.value).split(": ", 1)
        assert file.startswith(f"{campaign.path}/")
        assert said == NEWER
        assert error.value.exit_code == 2
    after = everything(campaign.path)
    assert {path: after[path] for path in before} == before
    assert not any(path.match("journal/*") or path.match("blobs/*") for path in after.keys() - before.keys())
    with newer_version(*kinds):
        assert reopened(campaign).run("inline").finished


def test_trials_of_a_newer_version_are_refused_where_they_are_read(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    with newer_version("trials"):
        campaign.run("inline", epochs=1)
    for ask in (campaign.history, campaign.trials, campaign.verify):
        with pytest.raises(NewerVersion, match=rf"{campaign.path}/ledger/00000001-\w+\.trials: {re.escape(NEWER)}"):
            ask()


def test_a_campaign_that_a_newer_version_has_founded_is_refused_in_words(make: Callable[..., isl.Campaign]) -> None:
    with newer_version():
        campaign = make()
    with pytest.raises(NewerVersion, match="written by a newer version"):
        isl.Campaign.open(campaign.path)


def test_a_flipped_bit_makes_no_newer_version_of_a_whole_record() -> None:
    whole = codec.seal("thing", {"value": 1})
    for place in range(len(whole)):
        for bit in range(8):
            with pytest.raises(CorruptCampaign):
                codec.unseal("thing", whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :], "it")


# Sizes


def holed(path: Path, size: int) -> None:
    """A file of so many bytes that takes no room on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("size", [RECORD_BYTES + 1, 2**40])
@pytest.mark.parametrize("name", ["manifest", "setup", "lease", "tokens/00000001", "journal/00000002"])
def test_a_record_larger_than_any_can_be_is_not_read(name: str, size: int, old: Path) -> None:
    holed(old / name, size)
    journal = Journal(old)
    asked: dict[str, Callable[[], object]] = {
        "manifest": journal.manifest,
        "setup": journal.setup,
        "lease": journal.lease_as_written,
        "tokens/00000001": lambda: journal.token(1),
        "journal/00000002": lambda: journal.read_entry(2),
    }
    with pytest.raises(CorruptCampaign, match=f"{name} has {size:,} bytes, and can't rightly have more than {RECORD_BYTES:,}"):
        asked[name]()


def test_a_blob_larger_than_its_entry_says_is_not_read_and_a_resume_passes_over_it(old: Path) -> None:
    campaign = isl.Campaign.open(old)
    accept = [name.strip() for name in refusal(campaign).partition("have it recorded: ")[2].split("--accept ") if name]
    assert campaign.run("inline", accept=accept).committed == 3
    journal = Journal(old)
    entry = journal.read_entry(3)
    for key, size in zip((entry.blob[0], entry.segment[0]), entry.sizes, strict=True):
        assert (old / key).stat().st_size == size
        whole = (old / key).read_bytes()
        holed(old / key, size + 1)
        with pytest.warns(IslandsWarning, match=rf"{key} has {size + 1:,} bytes, and can't rightly have more than {size:,}"):
            assert journal.position().epoch == 2
        (old / key).write_bytes(whole)
    holed(old / journal.read_entry(2).blob[0], 2**40)  # of an entry that names no size
    assert [f"can't rightly have more than {LARGEST_BYTES:,}" in problem for problem in campaign.verify()] == [True]


def refusal(campaign: isl.Campaign) -> str:
    with pytest.raises(isl.errors.ManifestMismatch) as error:
        campaign.run("inline")
    return str(error.value)


def test_what_is_no_file_is_not_waited_for(old: Path) -> None:
    for name, make in (("lease", os.mkfifo), ("setup", os.mkdir)):
        if (old / name).exists():
            (old / name).unlink()
        make(old / name)
        with pytest.raises(CorruptCampaign, match=f"{name} is no regular file"):
            Folder(old).read(name)
    (old / "manifest").unlink()
    (old / "manifest").symlink_to("/dev/zero")
    with pytest.raises(CorruptCampaign, match="manifest is no regular file"):
        isl.Campaign.open(old)


# Contents

HOSTILE: tuple[Any, ...] = (None, -1, 0, 2**63, 1e308, float("inf"), "", "../../etc/passwd", b"", [], {}, [[[]]], True)


def leaves(record: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def changed(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    made = dict(record) if isinstance(record, dict) else list(record)
    made[path[0]] = changed(made[path[0]], path[1:], value)
    return made


def noticed(root: Path) -> bool:
    """Whether any way of reading tells of damage, in words; none ends otherwise than in an answer or an error of ours."""
    ways: tuple[Callable[[isl.Campaign], object], ...] = (
        lambda c: c.status(),
        lambda c: c.digest(1),
        lambda c: c.history(),
        lambda c: c.migrations(),
        lambda c: c.trials(),
        lambda c: c.population(),
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", IslandsWarning)
        try:
            campaign = isl.Campaign.open(root)
        except IslandsError:
            return True
        errors = 0
        for way in ways:
            try:
                way(campaign)
            except IslandsError:
                errors += 1
        return bool(campaign.verify() or said or errors)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["setup", "manifest", "journal/00000002"])
def test_a_record_that_is_whole_and_says_something_impossible_is_refused_in_words(name: str, old: Path) -> None:
    kind = "entry" if name.startswith("journal") else name
    whole = (old / name).read_bytes()
    open_, close = (codec.unpack, codec.pack) if kind == "manifest" else (codec.unseal, codec.seal)
    record = {k: v for k, v in open_(kind, whole, name).items() if k not in ("kind", "schema")}
    count = 0
    for path in leaves(record):
        for value in HOSTILE[:: {"manifest": 4, "entry": 2}.get(kind, 1)]:
            (old / name).write_bytes(close(kind, changed(record, path, value)))
            count += noticed(old)
    assert count > len(HOSTILE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["states", "trials"])
def test_a_part_of_a_commit_that_says_something_impossible_is_refused_in_words(kind: str, old: Path) -> None:
    """With the hashes of an entry that goes along with it."""
    entry = codec.unseal("entry", (old / "journal/00000002").read_bytes(), "it")
    field = "blob" if kind == "states" else "segment"
    data = (old / entry[field][0]).read_bytes()
    record = {k: v for k, v in codec.unpack(kind, data, kind).items() if k not in ("kind", "schema")}
    count = 0
    for path in leaves(record):
        if len(path) > 1 and path[1] not in (0, "trials"):  # the other islands are the same
            continue
        for value in HOSTILE[::3]:
            made = codec.pack(kind, changed(record, path, value))
            (old / entry[field][0]).write_bytes(made)
            named = {**{k: v for k, v in entry.items() if k not in ("kind", "schema")}, "sizes": [len(data) * 9, len(data) * 9]}
            named[field] = [entry[field][0], hashlib.sha256(made).hexdigest()]
            (old / "journal/00000002").write_bytes(codec.seal("entry", named))
            count += noticed(old)
    assert count > len(HOSTILE)
