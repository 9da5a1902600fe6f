"""Files of a campaign: whole or not there, never replaced unless asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from islands.archipelago.storage import Disk, Folder


def everything(root: Path) -> list[str]:
    """Every file below a folder, also those that keys() hides."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_what_was_created_is_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.create("a/b/c", b"one") is True
    assert folder.read("a/b/c") == b"one"
    assert everything(tmp_path) == ["a/b/c"]


def test_creating_what_exists_fails_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create("a/b", b"one")
    assert folder.create("a/b", b"two") is False
    assert folder.read("a/b") == b"one"
    assert everything(tmp_path) == ["a/b"]


def test_writing_replaces_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a", b"longer than the next")
    folder.write("a", b"short")
    assert folder.read("a") == b"short"
    assert everything(tmp_path) == ["a"]


def test_a_reader_of_a_replaced_file_keeps_the_old_one_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a", b"old")
    with open(tmp_path / "a", "rb") as file:
        folder.write("a", b"new")
        assert file.read() == b"old"


@pytest.mark.parametrize("key", ["none", "none/deeper", "file/below"])
def test_what_does_not_exist_reads_as_none(key: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("file", b"")
    assert folder.read(key) is None
    assert folder.keys(key) == []


def test_an_empty_value_is_not_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create("requests/stop", b"")
    assert folder.read("requests/stop") == b""


def test_keys_are_those_of_one_folder_in_order(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for key in ("journal/00000010", "journal/00000002", "blobs/x", "manifest"):
        folder.create(key, b"")
    assert folder.keys("journal") == ["journal/00000002", "journal/00000010"]


def test_what_a_crash_left_half_written_is_no_key(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create("journal/1", b"one")
    (tmp_path / "journal" / ".2.0123456789abcdef").write_bytes(b"tw")
    assert folder.keys("journal") == ["journal/1"]
    assert folder.create("journal/2", b"two") is True
    assert folder.read("journal/2") == b"two"


def test_removing_twice_is_removing_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create("a", b"")
    folder.remove("a")
    folder.remove("a")
    assert folder.read("a") is None
    assert folder.create("a", b"again") is True


def test_a_value_that_can_not_be_synced_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path)
    folder.create("a/old", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for attempt in (folder.create, folder.write):
        with pytest.raises(OSError, match="No space left") as refused:
            attempt("a/new", b"new")
        assert refused.value.filename == str(tmp_path / "a/new")
    assert everything(tmp_path) == ["a/old"]


def test_a_value_is_synced_before_its_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    true = os.fsync

    def watched(descriptor: int) -> None:
        seen.append(Folder(tmp_path).keys("a"))
        true(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    folder = Folder(tmp_path)
    folder.create("a/new", b"new")
    # the file before it has its name; after that its folder, and once the folders above
    assert seen == [[], ["a/new"], ["a/new"], ["a/new"]]
    seen.clear()
    folder.create("a/newer", b"new")
    assert seen == [["a/new"], ["a/new", "a/newer"]]


def test_keeping_writes_only_what_differs(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.keep("a/b", b"one")
    before = (tmp_path / "a/b").stat().st_ino
    folder.keep("a/b", b"one")
    assert (tmp_path / "a/b").stat().st_ino == before
    folder.keep("a/b", b"on")
    assert folder.read("a/b") == b"on"
    assert everything(tmp_path) == ["a/b"]


@pytest.mark.parametrize("again", [Folder.keep, Folder.create])
def test_what_another_process_left_unsynced_is_durable_once_it_was_met(
    again: Callable[[Folder, str, bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"one")  # by a process that died before it could sync
    synced: list[Path] = []
    monkeypatch.setattr(Disk, "sync", lambda disk, path: synced.append(path))
    again(Folder(tmp_path), "a/b", b"one")
    assert synced[-3:] == [tmp_path / "a", tmp_path, tmp_path.parent]
    if again is Folder.keep:
        assert synced[0] == tmp_path / "a" / "b"


def test_what_is_half_written_is_listed_apart(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create("journal/1", b"one")
    (tmp_path / "journal" / ".2.0123456789abcdef").write_bytes(b"tw")
    assert folder.unfinished("journal") == ["journal/.2.0123456789abcdef"]
    assert folder.unfinished("none") == []


def test_a_folder_does_not_move_with_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder("run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder.create("a", b"")
    assert (tmp_path / "run" / "a").is_file()
