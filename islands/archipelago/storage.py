"""Where a campaign's files lie: a local folder, used through the few operations that an object store has too."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import uuid
from pathlib import Path

from islands.errors import CorruptCampaign

RECORD_BYTES = 16 * 2**20
"""What a record may have at most: manifest, setup, tokens, lease, entries."""
LARGEST_BYTES = 2**32 - 1
"""What any file may have at most: msgpack knows no longer value."""


class Disk:
    """What a folder asks of the operating system, call by call: the simulation of failures puts another one in its place.

    Raises:
        OSError: from every method, when the file system refuses.
    """

    def read(self, path: Path, at_most: int) -> bytes:
        """A file's content. It is looked at before it is read: nothing is set aside for what is no file, or too large a one.

        Raises:
            CorruptCampaign: it is no regular file, or larger than `at_most` bytes.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # whose other end nobody opens, too
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise CorruptCampaign(f"{path} is no regular file; move it away, and restore what was there from a backup")
            require_size(path, found.st_size, at_most)
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(at_most)
        finally:
            os.close(descriptor)

    def write(self, path: Path, value: bytes) -> None:
        """A new file. It is durable once it is synced, and its name once the folder is."""
        with open(path, "xb") as file:
            file.write(value)

    def sync(self, path: Path) -> None:
        """Makes a file's content durable, or the names in a folder."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def link(self, path: Path, name: Path) -> None:
        """Another name for a file, which must be free."""
        os.link(path, name)

    def replace(self, path: Path, name: Path) -> None:
        os.replace(path, name)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def names(self, folder: Path) -> list[str]:
        return os.listdir(folder)

    def make(self, folder: Path) -> None:
        """The folder and those above it, where they don't exist."""
        folder.mkdir(parents=True, exist_ok=True)

    def modified(self, path: Path) -> float:
        """When a file was written, seconds by the clock of its file system."""
        return os.stat(path).st_mtime

    def unique(self) -> str:
        """A word that no other process makes."""
        return uuid.uuid4().hex


def require_size(path: Path, size: int, at_most: int) -> None:
    """Raises CorruptCampaign where a file is larger than it can rightly be."""
    if size > at_most:
        raise CorruptCampaign(
            f"{path} has {size:,} bytes, and can't rightly have more than {at_most:,}: it was not read; restore a backup"
        )


class Folder:
    """Keys are relative paths; values are whole byte strings. Nothing is done before it is durable.

    Raises:
        OSError: from every method, when the file system refuses.
    """

    def __init__(self, root: str | Path, disk: Disk | None = None) -> None:
        self.root = Path(root).absolute()
        self._disk = disk or Disk()
        self._rooted: set[Path] = set()

    def __repr__(self) -> str:
        return str(self.root)

    def read(self, key: str, at_most: int = RECORD_BYTES) -> bytes | None:
        """The value of a key, or None where there is none.

        Raises:
            CorruptCampaign: what is there can't be it: it is larger than `at_most` bytes, or no file.
        """
        try:
            return self._disk.read(self.root / key, at_most)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, value: bytes) -> None:
        """Sets a key, replacing what was there at once and whole."""
        self._disk.replace(self._synced(key, value), self.root / key)
        self._sync_folder(key)

    def keep(self, key: str, value: bytes) -> None:
        """Sets a key that may have its value already: what is there is read, and written where it differs.

        Whoever wrote it may have died before it was durable, so that what is there is synced all the same.
        """
        if self.holds(key, value):
            self.settle(key)
        else:
            self.write(key, value)

    def holds(self, key: str, value: bytes) -> bool:
        """Whether a key has this value."""
        try:
            return self.read(key, len(value)) == value
        except CorruptCampaign:  # larger than it
            return False

    def settle(self, key: str) -> None:
        """Makes a key durable that somebody else has set."""
        self._disk.sync(self.root / key)
        self._sync_folder(key)

    def create(self, key: str, value: bytes) -> bool:
        """Sets a key that must not exist; False, and nothing changed, where it does.

        By link(2) of a synced file: unlike a rename it fails where the name is taken, and unlike an exclusive open it
        never shows a half-written file. A name that was found taken is durable, too, when this returns.
        """
        temporary = self._synced(key, value)
        try:
            self._disk.link(temporary, self.root / key)
            created = True
        except FileExistsError:
            created = False
        finally:
            self._discard(temporary)
        self._sync_folder(key)
        return created

    def remove(self, key: str) -> None:
        """Removes a key; one that does not exist is removed already."""
        self._discard(self.root / key)

    def keys(self, prefix: str) -> list[str]:
        """Keys of one folder, sorted, without what is still being written."""
        return [key for key in self._everything(prefix) if not _is_unfinished(key)]

    def unfinished(self, prefix: str) -> list[str]:
        """What is being written in one folder, or was left by whoever died in the middle: .NAME.WORD, sorted."""
        return [key for key in self._everything(prefix) if _is_unfinished(key)]

    def abandoned(self, prefix: str, beside: str, seconds: float) -> list[str]:
        """Of what is unfinished in one folder that which was written so long before a key, by the same clock, that whoever
        wrote it has ended. Files of other programs, whose names begin with a dot too, are none of it."""
        found = []
        for key in self.unfinished(prefix):
            with contextlib.suppress(FileNotFoundError):
                if _UNFINISHED.fullmatch(key.rpartition("/")[2]) and self._age(key, beside) > seconds:
                    found.append(key)
        return found

    def _age(self, key: str, beside: str) -> float:
        return self._disk.modified(self.root / beside) - self._disk.modified(self.root / key)

    def _everything(self, prefix: str) -> list[str]:
        try:
            names = self._disk.names(self.root / prefix)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(f"{prefix}/{name}" for name in names)

    def _synced(self, key: str, value: bytes) -> Path:
        target = self.root / key
        self._disk.make(target.parent)
        temporary = target.parent / f".{target.name}.{self._disk.unique()}"
        try:
            self._disk.write(temporary, value)
            self._disk.sync(temporary)
        except OSError as error:
            self._discard(temporary)
            error.filename = str(target)  # a write or a sync that is refused names no file, and a temporary one says nothing
            raise
        return temporary

    def _discard(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._disk.unlink(path)

    def _sync_folder(self, key: str) -> None:
        """Makes the names in a key's folder durable, and once the names of the folders on the way there."""
        folder = (self.root / key).parent
        self._disk.sync(folder)
        if folder in self._rooted:
            return
        for above in folder.parents:
            if above == self.root.parent:
                break
            self._disk.sync(above)
        with contextlib.suppress(PermissionError):  # who may write in the campaign's folder need not read the one above
            self._disk.sync(self.root.parent)
        self._rooted.add(folder)


_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")  # see Folder._synced, and Disk.unique


def _is_unfinished(key: str) -> bool:
    return key.rpartition("/")[2].startswith(".")
