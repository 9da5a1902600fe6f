"""What a campaign remembers durably: manifest, tokens, lease, and a chain of commits, each an entry that names its blobs.

    manifest            what determines the campaign; immutable, hashed
    setup               what does not: where the bars lie, how many epochs, and the manifest's hash
    copies/             of these two, should one be damaged
    tokens/N            who may write: the holder of the newest
    paused              the step that took too long, where a run ended for that
    lease               who works now, renewed every few seconds
    journal/N           entries n = 1, 2, ...; creating one is the commit
    blobs/, ledger/     demes after an epoch, and its trials; keys carry epoch and hash
    requests/           write-once files of other processes: stop, extend, keep
    openings/           who looked at the held-back bars, by epoch: written before it happens
    results/            champions with their held-back figures, by epoch, once

Blobs come first, then the entry. An entry holds its predecessor's number and hash, the manifest's hash, the token, the
epoch, the digest, and every blob with its hash, so whoever reads an entry can tell whether all of it is there. Only the
process that holds a token writes; a clock decides who works, never what results.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from islands.archipelago import codec
from islands.archipelago.lease import Host, Lease
from islands.archipelago.machine import GENESIS, Commit, epoch_digest
from islands.archipelago.retention import LEAST, Allowance, Retention
from islands.archipelago.storage import LARGEST_BYTES, Folder
from islands.errors import CampaignLive, CorruptCampaign, Fenced, ForkedJournal, InputError, IslandsWarning, NotACampaign
from islands.evolution.deme import Deme
from islands.evolution.island import IslandState

PLACES = (".", "copies", "tokens", "journal", "blobs", "ledger", "requests", "openings", "results", "failures", "nulls")
"""Where a campaign's files are written."""

ABANDONED_S = 86_400.0
"""What was half-written for so long is nobody's."""


@dataclass(frozen=True)
class Entry:
    """One commit.

    parent: number and hash of the predecessor's file, None for the first. blob, segment: key and hash of each; sizes: their
    bytes. retention: the rule by which demes of epochs before it may be gone. accepted: names of differences from the manifest
    that it went on with; differences: of each, what the campaign has and what was here, unknown of entries of older versions.
    made_by: (island, worker, pid, seconds) of each step of the epoch.
    """

    number: int
    hash: str
    parent: tuple[int, str] | None
    manifest: str
    token: int
    epoch: int
    digest: str
    blob: tuple[str, str]
    segment: tuple[str, str]
    sizes: tuple[int, int]
    retention: Retention | None
    accepted: tuple[str, ...]
    differences: dict[str, tuple[object, object]]
    made_by: tuple[tuple[int, str, int, float], ...]
    written_at: float
    host: str
    pid: int


class Missing(CorruptCampaign):
    """A blob or segment that an entry names isn't there."""


@dataclass(frozen=True)
class Paused:
    """The step that a run ended for, and the longest time, in seconds, in which no worker had finished it."""

    island: int
    epoch: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Position:
    """Where a campaign stands after its newest whole commit: enough to go on from. free: the first number not in use."""

    entry: Entry | None
    free: int
    states: tuple[IslandState, ...]
    emigrants: dict[tuple[int, int], Deme]

    @property
    def epoch(self) -> int:
        return self.entry.epoch if self.entry else 0


class Journal:
    """Reads one campaign's folder; `acquire` makes a Writer of it."""

    def __init__(self, root: str | Path | Folder, host: Host | None = None) -> None:
        self.folder = root if isinstance(root, Folder) else Folder(root)
        self.host = host or Host()

    @property
    def root(self) -> Path:
        return self.folder.root

    # What never changes

    def create(self, manifest: dict[str, Any], setup: dict[str, Any]) -> bool:
        """Founds the campaign; False where the folder already holds one."""
        return not self.exists() and self.found(manifest, setup)

    def found(self, manifest: dict[str, Any], setup: dict[str, Any]) -> bool:
        """The same, of a folder that may hold commits already; False where another process was first."""
        packed = codec.pack("manifest", manifest)
        sealed = codec.seal("setup", {**setup, "manifest": hashlib.sha256(packed).hexdigest()})
        self.folder.write("setup", sealed)
        if not self.folder.create("manifest", packed):
            return False
        for key, data in (("copies/setup", sealed), ("copies/manifest", packed)):
            self.folder.write(key, data)
        return True

    def exists(self) -> bool:
        """Whether the folder holds a campaign, whole or not."""
        return any(self.folder.keys(folder) for folder in ("copies", "journal")) or self.folder.read("manifest") is not None

    def foundations(self) -> dict[str, tuple[str, bytes]]:
        """Manifest and setup as they were founded, each with the key where it was found: the files, or their copies.

        They belong together where the setup names the manifest's hash; where no two do, there is nothing. A campaign that was
        founded before there were copies, or by a process that died then, has none before its next run.
        """
        for first in ("manifest", "copies/manifest"):
            manifest = self._readable(first)
            own = hashlib.sha256(manifest).hexdigest()
            for second in ("setup", "copies/setup") if manifest else ():
                setup = self._readable(second)
                with contextlib.suppress(CorruptCampaign):
                    if codec.unseal("setup", setup, f"{self.root}/{second}").get("manifest") == own:
                        return {"manifest": (first, manifest), "setup": (second, setup)}
        return {}

    def _readable(self, key: str) -> bytes:
        """A file; nothing where there is none, or what is there can't be it."""
        try:
            return self.folder.read(key) or b""
        except CorruptCampaign:
            return b""

    def _founded(self, name: str) -> tuple[bytes | None, bool]:
        """Manifest or setup as it was founded, and that it is proven to be that; else as it is. A warning says where the copy
        is used."""
        key, data = self.foundations().get(name, (name, None))
        if key != name:
            said = f"{self.root}/{name} is damaged or gone, and its copy is used; the next run restores it"
            warnings.warn(said, IslandsWarning, stacklevel=3)
        return (self.folder.read(name), False) if data is None else (data, True)

    def manifest(self) -> tuple[dict[str, Any], str]:
        """The manifest and its hash.

        Raises:
            NotACampaign: the folder holds none.
            CorruptCampaign: neither it nor its copy is whole, or there.
            NewerVersion: a newer version founded it.
        """
        data, proven = self._founded("manifest")
        if data is None:
            self._require_no_commits()
            raise NotACampaign(f"{self.root}: no campaign here (no manifest); start one with `islands run SPEC --dir`")
        manifest = codec.unpack("manifest", data, f"{self.root}/manifest", proven=proven)
        return manifest, hashlib.sha256(data).hexdigest()

    def _require_no_commits(self) -> None:
        """Refuses a folder whose manifest is gone, with its copy: what is left of it names the one that it was.

        Raises:
            NotACampaign: it is what an interrupted fork has left.
            CorruptCampaign: it was a campaign.
        """
        if not self.exists():
            return
        head = self.head()
        if head is not None and head.token == 0:
            raise NotACampaign(
                f"{self.root}: no campaign here (no manifest), only commits of another: where a fork was interrupted, remove "
                "the folder, and fork again"
            )
        own = head.manifest if head else self._manifest_of_setup()
        raise CorruptCampaign(
            f"{self.root}/manifest is missing; restore it from a backup: its copy in copies/ is gone, too"
            + (f", and its SHA-256 is {own}" if own else "")
            + ". A campaign that is begun in another folder by the same spec, bars, code and libraries (islands run SPEC --dir "
            "NEW) has the same manifest: copy NEW/manifest here"
        )

    def _manifest_of_setup(self) -> str:
        """The hash of the manifest that the setup, or its copy, names; "" where neither can be read."""
        for key in ("setup", "copies/setup"):
            with contextlib.suppress(CorruptCampaign):
                return str(codec.unseal("setup", self._readable(key), f"{self.root}/{key}").get("manifest", ""))
        return ""

    def manifest_hash(self) -> str:
        """The hash of the manifest, or of what is in its place."""
        _, data = self.foundations().get("manifest", ("manifest", self._readable("manifest")))
        return hashlib.sha256(data).hexdigest()

    def setup(self) -> dict[str, Any]:
        """Where the bars lie, how many epochs were asked for at first, and what of the folder belongs to it: the manifest's
        hash, and `files` by key."""
        data, _ = self._founded("setup")
        if data is None:
            raise CorruptCampaign(
                f"{self.root}/setup is missing; restore it from a backup: its copy in copies/ is gone, too. A campaign that is "
                "begun in another folder by the same spec and bars (islands run SPEC --dir NEW) has one that is as good: copy "
                "NEW/setup here"
            )
        setup = codec.unseal("setup", data, f"{self.root}/setup")
        files = setup.get("files", {})
        if not isinstance(setup.get("epochs"), int) or not isinstance(files, dict) or any(map(_leads_away, files)):
            raise CorruptCampaign(f"{self.root}/setup: epochs = {setup.get('epochs')!r}, files = {files!r}: malformed")
        return setup

    # Requests of other processes

    def request_stop(self) -> None:
        """Asks the process that works on this campaign to stop at its next commit."""
        self.folder.create(f"requests/stop-{int(self.host.now() * 1e9)}-{self.host.pid}", b"")

    def stop_requested(self) -> bool:
        return any(key.startswith("requests/stop-") for key in self.folder.keys("requests"))

    def request_epochs(self, epochs: int) -> None:
        """Asks for more epochs; kept for good."""
        self.folder.create(f"requests/extend-{epochs:08d}", b"")

    def epochs(self) -> int:
        """How many epochs are asked for: the most of the spec and of all extensions."""
        asked: list[int] = [self.setup()["epochs"]]
        for key in self.folder.keys("requests"):
            name, _, number = key.partition("requests/extend-")
            if not name and number.isdigit():
                asked.append(int(number))
        return max(asked)

    def request_retention(self, rule: Retention) -> None:
        """Asks for epochs to keep their demes by this rule from the next commit on; the newest request counts."""
        if rule != self.retention():
            newest = max(self._retentions(), default=(0, rule))[0]
            self.folder.create(f"requests/keep-{newest + 1:08d}-{rule.last}-{rule.every}", b"")

    def retention(self) -> Retention | None:
        """The rule asked for last; None where all epochs keep their demes."""
        return max(self._retentions(), default=(0, None))[1]

    def _retentions(self) -> list[tuple[int, Retention]]:
        found = (re.fullmatch(r"requests/keep-(\d{8})-(\d{1,9})-(\d{1,9})", key) for key in self.folder.keys("requests"))
        return [(int(m[1]), Retention(int(m[2]), int(m[3]))) for m in found if m and int(m[2]) >= LEAST]

    # Entries

    def numbers(self) -> list[int]:
        """Numbers of all entries, dead ones included, in order."""
        keys = (key.rpartition("/")[2] for key in self.folder.keys("journal"))
        return sorted(int(name) for name in keys if name.isdigit())

    def read_entry(self, number: int) -> Entry:
        """One entry, checked against its own hash.

        Raises:
            CorruptCampaign: missing, torn, or not what its hash says.
            NewerVersion: a newer version wrote it; so in all that goes back entry by entry, which passes over no such one.
        """
        name = f"{self.root}/journal/{number:08d}"
        data = self.folder.read(_place(number))
        if data is None:
            raise CorruptCampaign(f"{name} is missing")
        return _entry(number, codec.unseal("entry", data, name), hashlib.sha256(data).hexdigest(), name)

    def head(self) -> Entry | None:
        """The newest entry that reads well; its blobs are not looked at. Cheap: for those who watch."""
        for number in reversed(self.numbers()):
            try:
                return self.read_entry(number)
            except CorruptCampaign:
                continue
        return None

    def require_own(self, entry: Entry) -> None:
        """Raises CorruptCampaign where an entry names another manifest than the one in the folder."""
        manifest = self.manifest()[1]
        if entry.manifest != manifest:
            raise CorruptCampaign(
                f"{self.root}: commit {entry.number} belongs to the manifest {entry.manifest[:12]}, the folder's manifest is "
                f"{manifest[:12]}: one of them was changed or comes from another campaign; restore it from a backup"
            )

    def chain(self, head: Entry | None = None) -> Iterator[Entry]:
        """Living entries from the newest back to the first; entries that a resume passed over are not among them.

        Raises:
            CorruptCampaign: a predecessor is missing or is not the one that was named.
        """
        entry = head or self.head()
        while entry is not None:
            yield entry
            if entry.parent is None:
                return
            number, expected = entry.parent
            parent = self.read_entry(number)
            if parent.epoch != entry.epoch - 1:
                raise CorruptCampaign(
                    f"{self.root}/journal/{entry.number:08d} is of epoch {entry.epoch}, its predecessor of {parent.epoch}"
                )
            if parent.hash != expected:
                raise CorruptCampaign(
                    f"{self.root}/journal/{number:08d} has hash {parent.hash[:12]}, its successor names {expected[:12]}"
                )
            entry = parent

    def blob(self, place: tuple[str, str], size: int = LARGEST_BYTES) -> bytes:
        """A blob or segment, checked against the hash and the size that its entry names.

        Raises:
            CorruptCampaign: missing, torn or changed.
        """
        key, expected = place
        data = self.folder.read(key, size)
        if data is None:
            raise Missing(f"{self.root}/{key} is missing")
        if hashlib.sha256(data).hexdigest() != expected:
            raise CorruptCampaign(f"{self.root}/{key} does not match the hash in its entry: torn or changed")
        return data

    def states(self, entry: Entry) -> tuple[tuple[IslandState, ...], dict[tuple[int, int], Deme]]:
        """The islands' states after an entry's epoch, and the emigrants on their way, by (epoch, island)."""
        record = codec.unpack("states", self.blob(entry.blob, entry.sizes[0]), f"{self.root}/{entry.blob[0]}", proven=True)
        try:
            states = tuple(codec.unpack_state(r) for r in record["islands"])
            emigrants = {(e, island): codec.unpack_deme(r) for e, island, r in record["emigrants"]}
        except codec.MALFORMED as error:
            raise CorruptCampaign(f"{self.root}/{entry.blob[0]}: malformed ({error!r})") from None
        return states, emigrants

    def position(self) -> Position:
        """The newest commit that verifies whole, going back entry by entry; a warning names each that does not.

        Commits whose demes a retention has let go are counted in one warning.

        Raises:
            CorruptCampaign: there are entries, and none verifies.
        """
        numbers, said = self.numbers(), list[str]()
        position = self._newest_whole(numbers, said)
        while said and (now := self.numbers()) != numbers:  # whoever commits meanwhile may let go of what was looked for
            numbers, said = now, []
            position = self._newest_whole(numbers, said)
        for words in said:
            warnings.warn(words, IslandsWarning, stacklevel=2)
        forked = self.forked_at()
        if position is None or position.epoch < forked:
            needed = f" from epoch {forked} on, where it was forked" if forked else ""
            raise CorruptCampaign(
                f"{self.root}: none of {len(numbers)} commits verifies{needed}; restore the folder from a backup, or start anew"
            )
        return position

    def forked_at(self) -> int:
        """The last epoch of the ancestor that a fork goes on from, at which it can begin at the earliest; 0 of any other."""
        fork = self.manifest()[0].get("fork")
        return int(fork["epoch"]) if fork else 0

    def _newest_whole(self, numbers: list[int], said: list[str]) -> Position | None:
        """The position after the newest of these commits that is whole; said: a line for what was passed over on the way."""
        allowed, let_go = Allowance(), 0
        for number in reversed(numbers):
            entry = None
            try:
                entry = self.read_entry(number)
                self.require_own(entry)
                allowed.add(entry.retention, entry.epoch)
                states, emigrants = self.states(entry)
                self.blob(entry.segment, entry.sizes[1])
            except CorruptCampaign as error:
                if entry is not None and isinstance(error, Missing) and allowed.covers(entry.epoch):
                    let_go += 1
                else:
                    said.append(f"passed over commit {number}: {error}")
                continue
            if let_go:
                said.append(
                    f"passed over {let_go} more, whose demes were not kept (--keep-last): going back to epoch {entry.epoch}"
                )
            return Position(entry, numbers[-1] + 1, states, emigrants)
        return None if numbers else Position(None, 1, (), {})

    def result(self, epoch: int) -> dict[str, Any] | None:
        """Champions with their held-back figures, written once when the campaign finished at this epoch; else None.

        Raises:
            CorruptCampaign: it is torn or changed.
        """
        key = f"results/{epoch:08d}"
        data = self.folder.read(key, LARGEST_BYTES)
        return None if data is None else codec.unseal("result", data, f"{self.root}/{key}")

    def results(self) -> list[int]:
        """Epochs at which a result was kept."""
        names = (key.rpartition("/")[2] for key in self.folder.keys("results"))
        return sorted(int(name) for name in names if name.isdigit())

    def opening(self, epoch: int) -> dict[str, Any] | None:
        """Who opened the held-back bars when the campaign had finished at this epoch, and when; None where nobody did.

        Raises:
            CorruptCampaign: it is torn or changed; the bars were opened all the same.
        """
        key = f"openings/{epoch:08d}"
        data = self.folder.read(key)
        return None if data is None else codec.unseal("opening", data, f"{self.root}/{key}")

    def openings(self) -> list[int]:
        """Epochs at which the held-back bars were opened."""
        names = (key.rpartition("/")[2] for key in self.folder.keys("openings"))
        return sorted(int(name) for name in names if name.isdigit())

    def paused(self) -> Paused | None:
        """The step for which the last run paused because it took too long; None where there was none.

        Raises:
            CorruptCampaign: it is torn or changed; the next run goes without.
        """
        data = self.folder.read("paused")
        if data is None:
            return None
        r = codec.unseal("paused", data, f"{self.root}/paused")
        try:
            return Paused(int(r["island"]), int(r["epoch"]), float(r["seconds"]))
        except codec.MALFORMED as error:
            raise CorruptCampaign(f"{self.root}/paused: a field is missing or malformed ({error!r})") from None

    def adopt(self, entry: Entry) -> tuple[int, str] | None:
        """Writes a commit of another journal, with this one's number, predecessor and manifest: its number and hash here.

        None where the number is taken.
        """
        sealed = _sealed(entry)
        created = self.folder.create(_place(entry.number), sealed)
        return (entry.number, hashlib.sha256(sealed).hexdigest()) if created else None

    # Who works

    def tokens(self) -> list[int]:
        """Numbers of all tokens that were ever taken, in order."""
        keys = (key.rpartition("/")[2] for key in self.folder.keys("tokens"))
        return sorted(int(name) for name in keys if name.isdigit())

    def newest_token(self) -> int:
        return max(self.tokens(), default=0)

    def token(self, number: int) -> dict[str, Any]:
        """Who took a token, and when.

        Raises:
            CorruptCampaign: it is missing, torn or changed; whoever holds it holds it all the same.
        """
        data = self.folder.read(f"tokens/{number:08d}")
        return codec.unseal("token", data or b"", f"{self.root}/tokens/{number:08d}")

    def lease(self) -> Lease | None:
        """Who last said that it works on this campaign; None where nobody did, or it let go, or can't be read."""
        try:
            return self.lease_as_written()
        except CorruptCampaign:
            return None

    def lease_as_written(self) -> Lease | None:
        """The lease, None where there is none.

        Raises:
            CorruptCampaign: it is torn or changed.
        """
        data = self.folder.read("lease")
        if data is None:
            return None
        r = codec.unseal("lease", data, f"{self.root}/lease")
        try:
            return Lease(int(r["token"]), r["host"], int(r["pid"]), float(r["process_start"]), float(r["renewed_at"]))
        except codec.MALFORMED as error:
            raise CorruptCampaign(f"{self.root}/lease: a field is missing or malformed ({error!r})") from None

    def acquire(self, take_over: bool = False) -> Writer:
        """Takes the next token, and with it the right to write.

        Raises:
            CampaignLive: another process works on the campaign, and `take_over` was not asked for.
        """
        self.require_idle(take_over)
        holder = codec.seal("token", {"host": self.host.name, "pid": self.host.pid, "taken_at": self.host.now()})
        token = self.newest_token() + 1
        while not self.folder.create(f"tokens/{token:08d}", holder):
            token += 1
        writer = Writer(self, token)
        for key in self.folder.keys("requests"):
            if key.startswith("requests/stop-"):
                writer.remove(key)
        return writer

    def require_idle(self, take_over: bool = False) -> None:
        """Raises CampaignLive where another process works on the campaign, unless it is to be fenced off."""
        lease = self.lease()
        if lease is not None and lease.is_live(self.host) and not take_over:
            raise CampaignLive(
                f"{self.root}: process {lease.pid} on {lease.host} works on this campaign (seen "
                f"{max(self.host.now() - lease.renewed_at, 0.0):.0f} s ago); wait for it, stop it with `islands stop`, or "
                "fence it off with --take-over"
            )


class Writer:
    """The holder of a token: appends commits after the last one, and keeps the lease fresh. It looks for a newer token before
    everything that it writes or removes."""

    def __init__(self, journal: Journal, token: int) -> None:
        self.journal = journal
        self.token = token
        self.accepted: dict[str, tuple[object, object]] = {}
        self.last: Entry | None = None
        self._number = 1  # of the next entry; settled by resume
        self._process_start = journal.host.process_start(journal.host.pid)
        self.renew()
        self._restore()
        self._manifest = journal.manifest()[1]

    def resume(self) -> Position:
        """Where to go on from; commits follow it, under the first number that is not in use now.

        Who wrote that commit may have died before it was durable; now it is.
        """
        position = self.journal.position()
        self.last, self._number = position.entry, position.free
        entry = position.entry
        if entry is not None:
            for key in (entry.blob[0], entry.segment[0], _place(entry.number)):
                self.journal.folder.settle(key)
        return position

    def renew(self) -> None:
        """Says that this process still works.

        Raises:
            Fenced: a newer token exists.
        """
        host = self.journal.host
        record = {
            "token": self.token,
            "host": host.name,
            "pid": host.pid,
            "process_start": self._process_start,
            "renewed_at": host.now(),
        }
        self.check()
        self.journal.folder.write("lease", codec.seal("lease", record))

    def _restore(self) -> None:
        """Manifest, setup and their copies, as they were founded."""
        for name, (_, founded) in self.journal.foundations().items():
            for key in (name, f"copies/{name}"):
                if not self.journal.folder.holds(key, founded):
                    self.check()
                    self.journal.folder.write(key, founded)

    def release(self) -> None:
        """Lets the campaign go, unless another has taken it."""
        if self.journal.newest_token() == self.token:
            self.journal.folder.remove("lease")

    def check(self) -> None:
        """Raises Fenced where a newer token exists."""
        newest = self.journal.newest_token()
        if newest != self.token:
            raise Fenced(
                f"{self.journal.root}: token {newest} was taken while this process held {self.token}: another process "
                "took the campaign over; this one stops, and loses nothing that was committed"
            )

    def commit(self, commit: Commit, made_by: tuple[tuple[int, str, int, float], ...] = ()) -> Entry:
        """Writes the blobs of an epoch, then its entry, under the next number, then lets go of demes. made_by: see Entry.

        Where that number is taken by the same result, which another process had just written, that entry is ours.

        Raises:
            Fenced: a newer token exists.
            ForkedJournal: the next number is taken by another result.
        """
        previous, number, folder, rule = self.last, self._number, self.journal.folder, self.journal.retention()
        digest = epoch_digest(previous.digest if previous else GENESIS, commit.epoch, commit.answers)
        blob = _addressed("blobs", "states", commit.epoch, _states_record(commit))
        segment = _addressed("ledger", "trials", commit.epoch, _segment_record(commit))
        entry = _sealed(
            Entry(
                number=number,
                hash="",
                parent=(previous.number, previous.hash) if previous else None,
                manifest=self._manifest,
                token=self.token,
                epoch=commit.epoch,
                digest=digest,
                blob=(blob.key, blob.sha256),
                segment=(segment.key, segment.sha256),
                sizes=(len(blob.data), len(segment.data)),
                retention=rule,
                accepted=tuple(self.accepted),
                differences=dict(self.accepted),
                made_by=made_by,
                written_at=self.journal.host.now(),
                host=self.journal.host.name,
                pid=self.journal.host.pid,
            )
        )
        writes = (
            (folder.keep, blob.key, blob.data),
            (folder.keep, segment.key, segment.data),
            (folder.create, _place(number), entry),
        )
        for write, key, data in writes:  # the entry last: it promises the others, and creating it is the commit
            self.check()  # of all three, however long the one before took
            write(key, data)
        self.last = self._adopted(number, previous, commit.epoch, digest)
        self._number = number + 1
        self._let_go(self.last)
        return self.last

    def write_paused(self, paused: Paused) -> None:
        """Keeps which step the run ends for, in the place of the one before."""
        self.check()
        self.journal.folder.write("paused", codec.seal("paused", asdict(paused)))

    def write_opening(self, epoch: int, record: dict[str, Any]) -> None:
        """Books that the held-back bars are about to be opened; the first to do so at an epoch stays on record."""
        sealed = codec.seal("opening", {**record, "token": self.token})
        self._keep_once(f"openings/{epoch:08d}", sealed, lambda: self.journal.opening(epoch))

    def write_result(self, epoch: int, record: dict[str, Any]) -> None:
        """Keeps a finished campaign's result; one that is there already stays, unless it is damaged."""
        sealed = codec.seal("result", {**record, "token": self.token})
        self._keep_once(f"results/{epoch:08d}", sealed, lambda: self.journal.result(epoch))

    def _keep_once(self, key: str, sealed: bytes, read: Callable[[], object]) -> None:
        self.check()
        if not self.journal.folder.create(key, sealed):
            try:
                read()
            except CorruptCampaign:
                self.check()
                self.journal.folder.write(key, sealed)

    def collect(self) -> int:
        """Removes what crashes have left of epochs before the last commit, and returns how many files that were.

        That is what is half-written (of other files, see `sweep`), and blobs and segments that no entry names, a dead one
        neither. Each of those epochs has one blob and one segment that live; where it has no others, there is nothing to
        look for. Where an entry can't be read, what it names is not known, and all of them stay.
        """
        if self.last is None:
            return 0
        orphans = [
            key
            for folder, before in (("blobs", self.last.epoch), ("ledger", self.last.epoch), ("journal", self.last.number))
            for key in self.journal.folder.unfinished(folder)
            if _number_of(key) < before
        ]
        orphans += self._unnamed(self.last.epoch)
        for key in orphans:
            self.remove(key)
        return len(orphans)

    def sweep(self) -> int:
        """Removes what processes left half-written that ended long ago, and returns how many files that were.

        Any process may be writing here, and nothing says which one: but none takes a day for a file. How old one is, the
        lease tells, which this process keeps fresh: no clock of another machine is asked.
        """
        folder = self.journal.folder
        abandoned = [key for place in PLACES for key in folder.abandoned(place, "lease", ABANDONED_S)]
        for left in abandoned:
            self.remove(left)
        return len(abandoned)

    def remove(self, key: str) -> None:
        """Removes a file that is of no use any more."""
        self.check()
        self.journal.folder.remove(key)

    def _let_go(self, entry: Entry) -> None:
        """Removes the demes that the retention recorded in this entry does not keep; a crash leaves the rest to the next."""
        rule = entry.retention
        for key in self.journal.folder.keys("blobs") if rule else ():
            if rule and not rule.keeps(_number_of(key), entry.epoch):
                self.remove(key)  # looks for a newer token before each

    def _unnamed(self, before: int) -> list[str]:
        """Blobs and segments of epochs before this one that no entry names."""
        suspects: list[str] = []
        for folder in ("blobs", "ledger"):
            keys = [key for key in self.journal.folder.keys(folder) if _number_of(key) < before]
            count = Counter(map(_number_of, keys))
            suspects += [key for key in keys if count[_number_of(key)] > 1]
        if not suspects:
            return []
        try:
            entries = [self.journal.read_entry(number) for number in self.journal.numbers()]
        except CorruptCampaign:
            return []
        named = {key for entry in entries for key, _ in (entry.blob, entry.segment)}
        return [key for key in suspects if key not in named]

    def _adopted(self, number: int, previous: Entry | None, epoch: int, digest: str) -> Entry:
        """The entry that has the number now: our own, or that of whoever was first, where it is the same result."""
        entry = self.journal.read_entry(number)
        parent = (previous.number, previous.hash) if previous else None
        if (entry.parent, entry.epoch, entry.digest) != (parent, epoch, digest):
            raise ForkedJournal(
                f"{self.journal.root}/journal/{entry.number:08d} is taken by epoch {entry.epoch}, digest "
                f"{entry.digest[:12]} (token {entry.token}, process {entry.pid} on {entry.host}); this process has epoch "
                f"{epoch}, digest {digest[:12]}, and stops; nothing was overwritten"
            )
        return entry


def _place(number: int) -> str:
    return f"journal/{number:08d}"


def _sealed(entry: Entry) -> bytes:
    """The file of an entry, whose hash is not in it."""
    return codec.seal(
        "entry",
        {
            "number": entry.number,
            "parent": list(entry.parent) if entry.parent else None,
            "manifest": entry.manifest,
            "token": entry.token,
            "epoch": entry.epoch,
            "digest": entry.digest,
            "blob": list(entry.blob),
            "segment": list(entry.segment),
            "sizes": list(entry.sizes),
            "retention": [entry.retention.last, entry.retention.every] if entry.retention else None,
            "accepted": list(entry.accepted),
            "differences": {name: list(pair) for name, pair in entry.differences.items()},
            "made_by": [list(step) for step in entry.made_by],
            "written_at": entry.written_at,
            "host": entry.host,
            "pid": entry.pid,
        },
    )


def _entry(number: int, r: dict[str, Any], own_hash: str, name: str) -> Entry:
    """The entry of a record; raises CorruptCampaign where a field is missing or says something impossible."""
    try:
        if r["number"] != number:
            raise ValueError(f"it is entry {r['number']!r}")
        return Entry(
            number=number, hash=own_hash, parent=None if r["parent"] is None else (int(r["parent"][0]), _sha(r["parent"][1])),
            manifest=_sha(r["manifest"]), token=int(r["token"]), epoch=int(r["epoch"]), digest=_sha(r["digest"]),
            blob=_named("blobs", *r["blob"]), segment=_named("ledger", *r["segment"]),
            sizes=(LARGEST_BYTES, LARGEST_BYTES) if r["schema"] == 3 else _sizes(*r["sizes"]),
            retention=Retention(*r["retention"]) if r.get("retention") else None,
            accepted=tuple(map(str, r["accepted"])),
            differences={str(name): (was, here) for name, (was, here) in r.get("differences", {}).items()},
            made_by=tuple((int(i), str(w), int(p), float(s)) for i, w, p, s in r["made_by"]),
            written_at=float(r["written_at"]), host=str(r["host"]), pid=int(r["pid"]),
        )  # fmt: skip
    except (*codec.MALFORMED, InputError) as error:
        raise CorruptCampaign(f"{name}: a field is missing or malformed ({error!r})") from None


def _leads_away(key: object) -> bool:
    return not isinstance(key, str) or re.fullmatch(r"\w[\w.-]*", key) is None


def _sha(word: object) -> str:
    if not isinstance(word, str) or re.fullmatch("[0-9a-f]{64}", word) is None:
        raise ValueError(f"{word!r} is no SHA-256")
    return word


def _named(folder: str, key: object, sha256: object) -> tuple[str, str]:
    """A key of one folder, and nowhere else, with its hash."""
    if not isinstance(key, str) or re.fullmatch(rf"{folder}/[\w-][\w.-]*", key, re.ASCII) is None:
        raise ValueError(f"{key!r} is no key of {folder}")
    return key, _sha(sha256)


def _sizes(blob: int, segment: int) -> tuple[int, int]:
    return min(int(blob), LARGEST_BYTES), min(int(segment), LARGEST_BYTES)


def _number_of(key: str) -> int:
    """The epoch, or the number of the entry, that a key begins with, whole or half-written; a large one for other files."""
    digits = key.rpartition("/")[2].removeprefix(".")[:8]
    return int(digits) if digits.isdigit() else sys.maxsize


@dataclass(frozen=True)
class _Addressed:
    """A file whose key carries its epoch and its content's hash."""

    key: str
    sha256: str
    data: bytes


def _addressed(folder: str, kind: str, epoch: int, record: dict[str, Any]) -> _Addressed:
    data = codec.pack(kind, record)
    if len(data) > LARGEST_BYTES:
        raise InputError(
            f"epoch {epoch}: its {folder} would be a file of {len(data):,} bytes, and {LARGEST_BYTES:,} can be read again; "
            "start a new campaign with fewer or smaller islands"
        )
    sha = hashlib.sha256(data).hexdigest()
    return _Addressed(f"{folder}/{epoch:08d}-{sha[:16]}.{kind}", sha, data)


def _states_record(commit: Commit) -> dict[str, Any]:
    return {
        "epoch": commit.epoch,
        "islands": [codec.pack_state(answer.state) for answer in commit.answers],
        "emigrants": [[e, i, codec.pack_deme(deme)] for (e, i), deme in sorted(commit.emigrants.items())],
    }


def _segment_record(commit: Commit) -> dict[str, Any]:
    return {
        "epoch": commit.epoch,
        "islands": [
            {
                "trials": codec.pack_trials(answer.trials),
                "arrivals": [codec.pack_arrival(a) for a in answer.arrivals],
                "generations": [codec.pack_generation(g) for g in answer.generations],
            }
            for answer in commit.answers
        ],
    }
