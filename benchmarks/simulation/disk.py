"""A file system in memory that keeps what was synced, and that can lie, rot, and lose power."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from islands.archipelago.storage import Disk, require_size


@dataclass(eq=False)
class File:
    """data: as processes see it. durable: what a power cut leaves. promised: what a disk that does not lie would leave."""

    data: bytes
    durable: bytes | None = None
    promised: bytes | None = None


class Names:
    """A folder: names now, durable and promised, as in File. A name without a file is a folder's."""

    def __init__(self) -> None:
        self.now: dict[str, File | None] = {}
        self.durable: dict[str, File | None] = {}
        self.promised: dict[str, File | None] = {}


class Files:
    """What outlives processes, below one root.

    damaged: keys that were lost, torn or changed although a sync had promised them, and were not written again since.
    spoiled: whether there ever were such. took: what power cuts took.
    """

    def __init__(self, root: Path, chance: Random) -> None:
        self.root = root
        self._inside = f"{root}/"
        self.chance = chance
        self.damaged: set[str] = set()
        self.spoiled = False
        self.took: Counter[str] = Counter()
        self._folders: dict[Path, Names] = {root.parent: Names()}
        self._removed: dict[Path, File] = {}  # what a name was last removed from
        self._words = 0

    # As processes use it

    def file(self, path: Path) -> File:
        folder = self._folders.get(path.parent)
        found = folder.now.get(path.name) if folder is not None else None
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return found

    def exists(self, path: Path) -> bool:
        folder = self._folders.get(path.parent)
        return folder is not None and path.name in folder.now

    def names(self, folder: Path) -> Names:
        if folder not in self._folders:
            raise FileNotFoundError(errno.ENOENT, "No such folder", str(folder))
        return self._folders[folder]

    def make(self, folder: Path) -> None:
        if folder not in self._folders:
            self.make(folder.parent)
            self._folders[folder.parent].now[folder.name] = None
            self._folders[folder] = Names()

    def sync(self, path: Path, lie: bool) -> None:
        names = self._folders.get(path)
        if names is not None:
            names.promised = dict(names.now)
            names.durable = names.durable if lie else names.promised
            return
        file = self.file(path)
        file.promised = file.data
        file.durable = file.durable if lie else file.data

    def unlink(self, path: Path) -> None:
        self._removed[path] = self.file(path)
        del self._folders[path.parent].now[path.name]

    def word(self) -> str:
        self._words += 1
        return f"{self._words:04d}"

    def key(self, path: Path) -> str:
        text = str(path)  # pathlib's own way took a fifth of a simulation
        return text[len(self._inside) :] if text.startswith(self._inside) else path.name

    def all_keys(self) -> Iterator[str]:
        """All files, sorted, half-written ones apart."""
        paths = (folder / name for folder, names in self._folders.items() for name, file in names.now.items() if file)
        return iter(sorted(self.key(path) for path in paths if not path.name.startswith(".")))

    def is_durable(self, key: str) -> bool:
        """Whether a power cut would leave it, if no sync lied."""
        path = self.root / key
        above = (path, *path.parents)
        names = [(p.parent, p.name) for p in above if p == self.root or self.root in p.parents]
        rooted = all(name in self._folders[folder].promised for folder, name in names)
        promised = self._folders[path.parent].promised.get(path.name)  # perhaps another file of the same content
        return rooted and promised is not None and promised.promised == self.file(path).data == self.file(path).promised

    # What happens to it

    def cut_power(self) -> None:
        """Of names and contents that were not synced, each stays or goes as chance will; contents may also be torn."""
        self._cut(self.root.parent, {})

    def _cut(self, folder: Path, broken: dict[File, bool]) -> None:
        names = self._folders[folder]
        left: dict[str, File | None] = {}
        for name in sorted(names.now.keys() | names.durable.keys()):
            before, after = names.durable.get(name, _NOTHING), names.now.get(name, _NOTHING)
            chosen = after if before is after or self.chance.random() < 0.5 else before
            promised = names.promised.get(name, _NOTHING) is after
            if chosen is not after:
                self.took["name"] += 1
                if promised and after is _NOTHING and chosen is self._removed.get(folder / name):
                    self._break_promise()  # it is there again as it was, and that is no damage
                elif promised:
                    self._lost(folder / name)
            if chosen is _NOTHING:
                self._forget(folder / name)
                continue
            left[name] = chosen
            if chosen is not None:
                if chosen not in broken:
                    broken[chosen] = self._tear(chosen)
                if broken[chosen]:
                    self._lost(folder / name)
            elif folder / name in self._folders:
                self._cut(folder / name, broken)
            else:
                self._folders[folder / name] = Names()
        names.now, names.durable, names.promised = left, left.copy(), left.copy()

    def _tear(self, file: File) -> bool:
        """What a cut leaves of a content; whether a promise was broken."""
        whole, promised = file.data, file.promised
        if file.durable != whole:
            fate = self.chance.random()
            if fate < 0.4:
                file.data = file.durable or b""
            elif fate < 0.8:
                file.data = whole[: self.chance.randrange(len(whole) + 1)]
        if file.data != whole:
            self.took["content"] += 1
        file.durable = file.promised = file.data
        return promised == whole != file.data

    def _break_promise(self) -> None:
        self.took["promise"] += 1
        self.spoiled = True

    def _lost(self, path: Path) -> None:
        """A promise was broken, and what it was about is damaged."""
        self._break_promise()
        inside = [
            place / name for place, names in self._folders.items() if path in (place, *place.parents) for name in names.now
        ]
        self.damaged |= {self.key(place) for place in (path, *inside)}

    def _forget(self, path: Path) -> None:
        for folder in [folder for folder in self._folders if path in (folder, *folder.parents)]:
            del self._folders[folder]

    def rot(self, key: str, kind: str) -> None:
        """Damage that no process did: a bit flipped, an end gone, or all of it."""
        path, names = self.root / key, self._folders[(self.root / key).parent]
        if kind == "missing":
            for table in (names.now, names.durable, names.promised):
                table.pop(path.name, None)
        else:
            old = self.file(path).data
            place = self.chance.randrange(len(old))
            flipped = bytes([old[place] ^ 1 << self.chance.randrange(8)]) + old[place + 1 :]
            new = old[:place] + (flipped if kind == "flipped" else b"")
            names.now[path.name] = names.durable[path.name] = names.promised[path.name] = File(new, new, new)
        self.damaged.add(key)
        self.spoiled = True


_NOTHING = File(b"")  # stands for a name that isn't there


class SimulatedDisk(Disk):
    """One process's access to the files.

    step(call, path) comes before each call; it may raise, or let others go first, and returns what goes wrong with the call:
    "" nothing, "lie" a sync that syncs nothing, or an errno's name. done(call, path) comes after a name was set.
    """

    def __init__(self, files: Files, step: Callable[[str, Path], str], done: Callable[[str, Path], None]) -> None:
        self._files = files
        self._step = step
        self._done = done

    def read(self, path: Path, at_most: int) -> bytes:
        self._do("read", path)
        data = self._files.file(path).data
        require_size(path, len(data), at_most)
        return data

    def write(self, path: Path, value: bytes) -> None:
        wrong = self._step("write", path)
        names = self._files.names(path.parent)
        if path.name in names.now:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        names.now[path.name] = File(value[: len(value) // 2] if wrong else value)
        _fail(wrong, path)

    def sync(self, path: Path) -> None:
        wrong = self._step("sync", path)
        if wrong != "lie":
            _fail(wrong, path)
        self._files.sync(path, lie=wrong == "lie")

    def link(self, path: Path, name: Path) -> None:
        self._do("link", name)
        file = self._files.file(path)
        if self._files.exists(name):
            raise FileExistsError(errno.EEXIST, "File exists", str(name))
        self._files.names(name.parent).now[name.name] = file
        self._done("link", name)

    def replace(self, path: Path, name: Path) -> None:
        self._do("replace", name)
        self._files.names(name.parent).now[name.name] = self._files.file(path)
        del self._files.names(path.parent).now[path.name]
        self._done("replace", name)

    def unlink(self, path: Path) -> None:
        self._do("unlink", path)
        self._files.unlink(path)

    def names(self, folder: Path) -> list[str]:
        self._do("names", folder)
        return list(self._files.names(folder).now)

    def make(self, folder: Path) -> None:
        if not self._files.exists(folder):
            self._do("make", folder)
            self._files.make(folder)

    def unique(self) -> str:
        return self._files.word()

    def _do(self, call: str, path: Path) -> None:
        _fail(self._step(call, path), path)


def _fail(wrong: str, path: Path) -> None:
    if wrong:
        raise OSError(getattr(errno, wrong), f"{wrong} in the simulation", str(path))
