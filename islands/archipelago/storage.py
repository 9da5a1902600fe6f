"""Where a campaign's files lie: a local folder, used through the few operations that an object store has too."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


class Folder:
    """Keys are relative paths; values are whole byte strings. Nothing is durable before a call returns.

    Raises:
        OSError: from every method, when the file system refuses.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def __repr__(self) -> str:
        return str(self.root)

    def read(self, key: str) -> bytes | None:
        """The value of a key, or None where there is none."""
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, value: bytes) -> None:
        """Sets a key, replacing what was there at once and whole."""
        temporary = self._synced(key, value)
        os.replace(temporary, self.root / key)
        self._sync_folder(key)

    def create(self, key: str, value: bytes) -> bool:
        """Sets a key that must not exist; False, and nothing changed, where it does.

        By link(2) of a synced file: unlike a rename it fails where the name is taken, and unlike an exclusive open it
        never shows a half-written file.
        """
        temporary = self._synced(key, value)
        try:
            os.link(temporary, self.root / key)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)
        self._sync_folder(key)
        return True

    def remove(self, key: str) -> None:
        """Removes a key; one that does not exist is removed already."""
        (self.root / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        """Keys of one folder, sorted, without what is still being written."""
        try:
            names = os.listdir(self.root / prefix)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(f"{prefix}/{name}" for name in names if not name.startswith("."))

    def _synced(self, key: str, value: bytes) -> Path:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
        try:
            with open(temporary, "xb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _sync_folder(self, key: str) -> None:
        descriptor = os.open((self.root / key).parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
