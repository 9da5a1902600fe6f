"""One campaign under one seed: what happens to its processes and its disk, and what must hold whatever happens."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import threading
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from islands.archipelago import codec, ledger
from islands.archipelago.audit import problems_of
from islands.archipelago.journal import Entry, Journal, Writer
from islands.archipelago.lease import LEASE_S, Host
from islands.archipelago.machine import GENESIS, Routes, StopAsked
from islands.archipelago.retention import Retention
from islands.archipelago.storage import Folder
from islands.errors import CampaignLive, CorruptCampaign, Fenced, ForkedJournal, IslandsWarning, NotACampaign
from islands.evolution.island import Answer
from islands.runtime.conductor import Bounds, Conductor

from .barrier import undisturbed
from .crew import Crew, Violation
from .disk import Files, SimulatedDisk

ROOT = Path("/campaigns/one")
MANIFEST = {"spec": {"seed": 1}}
ROUGH_LIVES = 8  # after so many processes nothing goes wrong any more
ALL_LIVES = 20

TOPOLOGIES = (
    ((), ()),
    ((1,), (0,)),
    ((), (), ()),
    ((2,), (0,), (1,)),
    ((1, 2), (0, 2), (0, 1)),
    ((), (0,), (0,), (1, 2)),
    ((3,), (0,), (1,), (2,)),
    ((1, 2, 3), (0,), (0,), (0,)),
)

FAULTS = {
    # how often: of a process's calls to the disk, or of what happens in a run
    "coordinator killed": (0.002, 0.03),
    "power cut": (0.001, 0.02),
    "disk full": (0.0005, 0.01),
    "sync failed": (0.0005, 0.01),
    "sync lied": (0.02, 0.5),
    "duel": (0.01, 0.2),
    "stalled": (0.01, 0.2),
    "rot": (0.05, 0.6),
    "workers": (0.1, 2.0),
    "stop asked": (0.01, 0.1),
    "extended": (0.01, 0.1),
    "retention": (0.02, 0.2),
}


# The calls at which a schedule aims its blows: most at those of a commit.
COMMITTING = (
    *((call, kind) for kind in ("blobs", "ledger") for call in ("write", "sync", "replace")),
    *((call, "journal") for call in ("write", "sync", "link", "unlink", "read")),
    *(("sync", f"{kind}/") for kind in ("blobs", "ledger", "journal")),
    ("names", "blobs/"),
    ("unlink", "blobs"),
)
ALL_ELSE = (
    *((call, kind) for kind in ("tokens", "results") for call in ("write", "sync", "link", "unlink")),
    *((call, f"{kind}/") for kind in ("manifest", "setup", "lease") for call in ("read", "sync", "link", "replace")),
    *((call, "copies") for call in ("write", "sync", "replace", "read")),
    *((call, f"{kind}/") for kind in ("one", "campaigns", "tokens", "results", "copies") for call in ("sync", "make", "names")),
    *((call, f"{kind}/") for kind in ("blobs", "ledger", "journal", "requests") for call in ("make", "names")),
)


@dataclass
class Aim:
    """What will happen to a process that makes a call, not the first time but after it was let through so often."""

    call: str
    kind: str
    fate: str
    let_through: int


FOUNDATIONS = {name: (name, f"copies/{name}") for name in ("manifest", "setup")}
SPARED = 0.9  # how often rot leaves the last whole commit alone
CHANGES = ("write", "link", "replace", "unlink")


class Killed(BaseException):
    """SIGKILL: nothing of the process runs after it, whatever its code catches."""


class SimulatedHost(Host):
    """The machine that a process runs on, with the schedule's clock and processes."""

    def __init__(self, schedule: Schedule, name: str, pid: int) -> None:
        self._schedule = schedule
        self.name = name
        self.pid = pid

    def now(self) -> float:
        return self._schedule.clock

    def process_start(self, pid: int) -> float:
        alive = any(p.pid == pid and p.host == self.name and not p.dead and not p.over for p in self._schedule.processes)
        return 1_000.0 + pid if alive else 0.0


class Process(threading.Thread):
    """A coordinator. Its thread runs only while it has the baton, so that one thing happens after another."""

    def __init__(self, schedule: Schedule, pid: int, host: str, size: int, take_over: bool, rough: bool) -> None:
        super().__init__(daemon=True)
        self.schedule = schedule
        self.pid, self.host = pid, host
        self.size = size
        self.take_over = take_over
        self.rough = rough
        self.dead = False  # killed, though its thread may not know yet
        self.over = False
        self.finished = False
        self.error: BaseException | None = None
        self.token = 0
        self.asleep = 0  # turns that it does not get
        self.looked = False  # for a newer token, since it began to change its last file
        self.changing = ""
        self.touched: set[str] = set()  # what it changed after it was fenced
        self.crew: Crew | None = None
        self.writer: Writer | None = None
        self._baton = threading.Semaphore(0)
        self._handed_back = threading.Semaphore(0)

    def go_on(self) -> None:
        """Lets it run until it pauses or ends."""
        self._baton.release()
        self._handed_back.acquire()

    def pause(self) -> None:
        """Others go first; perhaps for a long time."""
        self.asleep = self.schedule.chance.choice((0, 0, 1, 4, 12))
        self._handed_back.release()
        self._baton.acquire()
        if self.dead:
            raise Killed

    def run(self) -> None:
        self._baton.acquire()
        try:
            if not self.dead:
                self.finished = self.schedule.live(self)
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.over = True
        self._handed_back.release()


@dataclass
class Outcome:
    """What a schedule came to.

    landed: faults by kind. cost: those of them that cost something: work done again, a write lost or refused, a process
    turned away. killed_at: what a killed process was about to do. refused: in which words the campaign was given up.
    """

    landed: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    killed_at: Counter[str] = field(default_factory=Counter)
    refused: str | None = None

    def add(self, other: Outcome) -> None:
        self.landed += other.landed
        self.cost += other.cost
        self.killed_at += other.killed_at


def run(seed: int) -> Outcome:
    """One schedule.

    Raises:
        Violation: with the seed and its trace.
    """
    schedule = Schedule(seed)
    try:
        return schedule.run()
    except Violation as violation:
        told = "\n".join(f"  {line}" for line in schedule.trace)
        raise Violation(f"seed {seed}: {violation}\n{schedule.title}\n{told}") from violation.__cause__
    finally:
        schedule.end()


class Schedule:
    """A campaign, its disk, and the processes that work on it one after another, or against each other."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = Random(seed)
        self.outcome = Outcome()
        self.trace: list[str] = []
        self.clock = 1_000_000.0
        self.files = Files(ROOT, chance)
        self.processes: list[Process] = []
        self.routes = Routes(chance.choice(TOPOLOGIES), chance.choice((1, 1, 2, 3)), chance.choice((1, 1, 2)))
        self.epochs = self.asked = chance.randrange(2, 7)
        self.rates = dict.fromkeys(FAULTS, 0.0)
        for fault, (low, high) in FAULTS.items():
            if chance.random() < 0.4:
                self.rates[fault] = low * (high / low) ** chance.random()
        self.title = f"{self.routes}, {self.epochs} epochs, { ({k: round(v, 4) for k, v in self.rates.items() if v}) }"
        self.aims = [self._aim() for _ in range(chance.randrange(5))]
        self.acknowledged = 0  # the last epoch whose commit returned
        self.made: dict[str, dict[str, Any]] = {}  # entries, but for those that were lost before they were durable
        self.let_go: dict[str, dict[str, dict[str, Any]]] = {}  # blobs that a retention removed; entries that record it
        self.rotted = 0  # how often
        self.rotten: dict[str, str] = {}  # damage that nobody has met yet
        self.rough = True  # until the campaign is done, or has suffered enough
        self._stray: list[Answer] = []

    def _journal(self) -> Journal:
        """As another process opens it, to which nothing happens."""
        disk = SimulatedDisk(self.files, lambda call, path: "", lambda call, path: None)
        return Journal(Folder(ROOT, disk), SimulatedHost(self, "reader", 0))

    @property
    def newest_token(self) -> int:
        """As the files have it now."""
        if not self.files.exists(ROOT / "tokens"):
            return 0
        return max((int(name) for name in self.files.names(ROOT / "tokens").now if name.isdigit()), default=0)

    # The course of things

    def run(self) -> Outcome:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            while not self._is_over(said):
                self._next()
            self._judge()
        return self.outcome

    def end(self) -> None:
        """No thread is left behind."""
        for process in self.processes:
            while not process.over:
                process.dead = True
                process.go_on()

    def _is_over(self, said: list[warnings.WarningMessage]) -> bool:
        alive = [process for process in self.processes if not process.over]
        for process in self.processes:
            if process.over and process.error is not None:
                self._allow(process, process.error)
                process.error = None
        if said:
            self._allow_warnings([str(w.message) for w in said if issubclass(w.category, IslandsWarning)])
            said.clear()
        if alive:
            return False
        if len(self.processes) > ALL_LIVES:
            raise Violation("the campaign never ends")
        last = self.processes[-1] if self.processes else None
        if last is not None and not last.rough and (last.finished or self.outcome.refused):
            return True
        if any(process.finished for process in self.processes) or len(self.processes) >= ROUGH_LIVES:
            self.rough = False
        return False

    def _next(self) -> None:
        chance, alive = self.chance, [process for process in self.processes if not process.over]
        if not alive:
            self._in_between()
            self._start(duel=False)
        elif self.rough:
            if len(alive) < 3 and len(self.processes) < ROUGH_LIVES and chance.random() < 0.6:
                self._start(duel=True).go_on()
            if chance.random() < self.rates["stalled"]:
                self.clock += 2 * LEASE_S
                self.outcome.landed["stalled"] += 1
                self._tell("a long time passes")
            if chance.random() < self.rates["rot"]:
                self._rot()
            if chance.random() < self.rates["coordinator killed"]:
                victim = chance.choice(alive)
                self._kill(victim, "kill -9 while it waits")
        left = [process for process in self.processes if not process.over]
        awake = [process for process in left if not process.asleep]
        for process in left:
            process.asleep = max(process.asleep - 1, 0)
        if left:
            chance.choice(awake or left).go_on()

    def _in_between(self) -> None:
        """Nobody works on the campaign; others look at it."""
        journal = self._journal()
        head = journal.head()
        if head is not None and not self.files.spoiled:
            self._judge_history(journal, head.epoch)
        if self.rough and self.chance.random() < self.rates["rot"]:
            self._rot()
        if self.chance.random() < 0.5:
            self.clock += 2 * LEASE_S

    def _start(self, duel: bool) -> Process:
        chance, pid = self.chance, len(self.processes) + 1
        take_over = chance.random() < (0.7 if duel else 0.3) or not self.rough
        host = f"host-{chance.randrange(2)}"
        process = Process(self, pid, host, chance.randrange(1, 5), take_over, self.rough)
        if self.processes and process.size != self.processes[-1].size:
            self.outcome.landed["other number of workers"] += 1
            self.outcome.cost["other number of workers"] += self.acknowledged > 0
        self.processes.append(process)
        if duel:
            self.outcome.landed["duel"] += 1
        self._tell(f"process {pid} starts on {host}, {process.size} workers{', takes over' if take_over else ''}")
        process.start()
        return process

    def live(self, process: Process) -> bool:
        """What `Campaign.create` and `Campaign.run` do, on this disk; whether all epochs are done."""
        disk = SimulatedDisk(self.files, functools.partial(self._step, process), functools.partial(self._done, process))
        journal = Journal(Folder(ROOT, disk), SimulatedHost(self, process.host, process.pid))
        if not journal.exists():
            journal.create(MANIFEST, {"epochs": self.epochs})
        head = journal.head()
        if head is not None:
            journal.require_own(head)
        position = journal.position()
        if position.epoch < journal.epochs() and not self._work(process, journal):
            return False
        position = journal.position()
        if not _has_result(journal, position.epoch):
            writer = journal.acquire(process.take_over)
            try:
                digest = position.entry.digest if position.entry else GENESIS
                writer.write_result(position.epoch, {"digest": digest, "pid": process.pid})
            finally:
                writer.release()
        return True

    def _work(self, process: Process, journal: Journal) -> bool:
        """One run, as both runtimes have it."""
        rough = self.rates["workers"] if process.rough else 0.0
        outcome = self.outcome
        whole, rotted = self._journal().foundations(), self.rotted
        writer = process.writer = journal.acquire(process.take_over)
        try:
            if writer.token != process.token:
                raise Violation(f"process {process.pid} works under token {writer.token}, and has taken {process.token}")
            if rotted == self.rotted:
                self._require_restored(whole)
            acknowledged, damaged = self.acknowledged, set(self.files.damaged)
            crew = process.crew = Crew(process.size, self.chance, rough, outcome.landed, outcome.cost, self._stray)
            conductor = crew.conductor = Conductor(self.routes, writer, Bounds(), crew.dispatch, (), crew.renew)
            self._require_kept(acknowledged, conductor.report.started_at)
            self._require_whole(writer.last, damaged & self.files.damaged)
            try:
                while not conductor.halted:
                    self._between_events(process, conductor, writer)
                    self._tell(f"process {process.pid}: {crew.happen()}")
                    self.acknowledged = max(self.acknowledged, conductor.report.committed)
                if conductor.pause is not None:
                    crew.require_pause(conductor.pause)
            finally:
                report = conductor.close()
        finally:
            writer.release()
        return report.finished

    def _between_events(self, process: Process, conductor: Conductor, writer: Writer) -> None:
        chance = self.chance
        self.clock += 1.0
        if chance.random() < 0.1:
            writer.renew()
        if not process.rough:
            return
        if chance.random() < self.rates["coordinator killed"]:
            self._kill(process, "kill -9 between two events")
            raise Killed
        if chance.random() < self.rates["duel"]:
            process.pause()
        if chance.random() < self.rates["stop asked"]:
            self.outcome.landed["stop asked"] += 1
            self.outcome.cost["stop asked"] += bool(conductor.machine.running())
            if chance.random() < 0.5:
                self._journal().request_stop()
            else:
                conductor.handle(StopAsked(finish_epoch=chance.random() < 0.5))
        if chance.random() < self.rates["retention"]:
            self._ask_to_keep()
        if self.asked < 9 and chance.random() < self.rates["extended"]:
            self.asked += 1
            self.outcome.landed["extended"] += 1
            self.outcome.cost["extended"] += 1
            self._journal().request_epochs(self.asked)
            self._tell(f"{self.asked} epochs are asked for")

    def _ask_to_keep(self) -> None:
        rule = Retention(self.chance.choice((2, 2, 3)), self.chance.choice((0, 2, 3)))
        self._journal().request_retention(rule)
        self._tell(f"to be kept: {rule}")

    def _step(self, process: Process, call: str, path: Path) -> str:
        """Before each call of a process to the disk: what goes wrong, or who goes first."""
        if process.dead:
            raise Killed
        key = self.files.key(path)
        self.clock += 0.001
        wrong = ""
        if process.rough:
            wrong = self._trouble(process, call, key)
        self._tell(f"process {process.pid}: {call} {key}{f' ({wrong})' if wrong else ''}")
        if (call, key) == ("names", "tokens"):
            process.looked = True
        if call in CHANGES and not wrong:
            self._require_allowed(process, call, key)
        return wrong

    def _trouble(self, process: Process, call: str, key: str) -> str:
        chance, rates, outcome = self.chance, self.rates, self.outcome
        kind = _kind(key)
        aimed = self._hit(call, kind)
        if aimed == "coordinator killed" or chance.random() < rates["coordinator killed"]:
            outcome.killed_at[f"{call} {kind}"] += 1
            outcome.cost["coordinator killed"] += call not in ("names", "read")
            self._kill(process, f"kill -9 before {call} {key}")
            raise Killed
        if aimed == "power cut" or chance.random() < rates["power cut"]:
            self._cut_power()
            raise Killed
        if aimed == "duel" or chance.random() < rates["duel"]:
            process.pause()
        if chance.random() < 0.05 * rates["retention"]:
            self._ask_to_keep()
        if call == "sync" and chance.random() < rates["sync lied"]:
            outcome.landed["sync lied"] += 1
            return "lie"
        if call == "write" and chance.random() < rates["disk full"]:
            outcome.landed["disk full"] += 1
            return "ENOSPC"
        if call == "sync" and chance.random() < rates["sync failed"]:
            outcome.landed["sync failed"] += 1
            return "EIO"
        return ""

    def _aim(self) -> Aim:
        chance = self.chance
        call, kind = chance.choice(COMMITTING if chance.random() < 0.7 else ALL_ELSE)
        fate = chance.choice(("coordinator killed", "coordinator killed", "power cut", "power cut", "duel"))
        return Aim(call, kind, fate, chance.choice((0, 0, 1, 2)))

    def _hit(self, call: str, kind: str) -> str:
        """The fate of a process that makes a call, if it is aimed at: one blow after another."""
        if not self.aims or (self.aims[-1].call, self.aims[-1].kind) != (call, kind):
            return ""
        self.aims[-1].let_through -= 1
        return self.aims.pop().fate if self.aims[-1].let_through < 0 else ""

    def _kill(self, process: Process, how: str) -> None:
        process.dead = True
        self.outcome.landed["coordinator killed"] += 1
        if process.crew is not None:
            self.outcome.cost["coordinator killed"] += process.crew.busy() > 0
            self._stray += process.crew.left()
        self._tell(f"process {process.pid}: {how}")

    def _cut_power(self) -> None:
        before = self.files.took.copy()
        self.files.cut_power()
        took = self.files.took - before
        self.made = {key: entry for key, entry in self.made.items() if self._there(key) or key in self.files.damaged}
        self.outcome.landed["power cut"] += 1
        self.outcome.cost["power cut"] += took["name"] > 0
        self.outcome.cost["torn"] += took["content"]
        self.outcome.cost["sync lied"] += took["promise"]
        for process in self.processes:
            process.dead = True
        self._stray.clear()
        self._tell(f"the power is cut: {dict(took)}, broken promises: {sorted(self.files.damaged)}")

    def _rot(self) -> None:
        """Damages one of the newest files of commits, seldom any other."""
        files = [key for key in self.files.all_keys() if not key.startswith("requests/") and self.files.file(ROOT / key).data]
        newest = sorted(files, key=lambda key: key.rpartition("/")[2], reverse=True)
        newest = [key for key in newest if key.partition("/")[0] in ("journal", "blobs", "ledger")][:4]
        among = files if self.chance.random() < 0.05 else newest
        if not among:
            return
        key = self.chance.choice(among)
        whole = [number for number in self.made if self._is_whole(number)]
        if len(whole) == 1 and key in self._parts(whole[0]) and self.chance.random() < SPARED:
            return
        self.rotted += 1
        kind = self.chance.choice(("flipped", "truncated", "missing"))
        self.files.rot(key, kind)
        self.rotten[key] = kind
        self.outcome.landed[f"rot: {kind}"] += 1
        self._tell(f"{key} is {kind}")

    def _parts(self, key: str) -> tuple[str, str, str]:
        """The files of a commit, by its entry."""
        return key, self.made[key]["blob"][0], self.made[key]["segment"][0]

    def _is_whole(self, key: str) -> bool:
        return all(self._there(part) and part not in self.files.damaged for part in self._parts(key))

    def _tell(self, what: str) -> None:
        self.trace.append(what)

    # What must hold

    def _require_allowed(self, process: Process, call: str, key: str) -> None:
        """Before a process changes something."""
        for_good = key.startswith(("journal/", "tokens/")) and _target(key) == key
        if for_good and call in ("replace", "unlink") and self._there(key):
            raise Violation(f"{key} was made once for good, and process {process.pid} is about to {call} it")
        if call == "unlink" and key.startswith(("blobs/", "ledger/")) and _target(key) == key:
            self._require_dispensable(process, key)
        target = _target(key)
        if not process.token or target.startswith("tokens/"):
            return
        if target != process.changing:
            if not process.looked:
                raise Violation(f"process {process.pid} is about to {call} {key}, and has not looked for a newer token before")
            process.changing, process.looked = target, False
        if self.newest_token > process.token:
            process.touched.add(target)
            if len(process.touched) > 1:
                raise Violation(
                    f"process {process.pid} holds token {process.token}, {self.newest_token} is the newest, and it "
                    f"changes {sorted(process.touched)}"
                )

    def _require_dispensable(self, process: Process, key: str) -> None:
        """Before a blob or segment goes: no entry names it, or the last one of this process says durably that it may go."""
        if not any(key in (entry["blob"][0], entry["segment"][0]) for entry in self.made.values()):
            return
        last = process.writer.last if process.writer else None
        allowing = {
            name: entry
            for name, entry in self.made.items()
            if entry["retention"]
            and _may_go(entry["retention"], _epoch_of(key), entry["epoch"])
            and (name in self.files.damaged or self.files.is_durable(name))
        }
        if not key.startswith("blobs/") or last is None or f"journal/{last.number:08d}" not in allowing:
            raise Violation(f"process {process.pid} is about to remove {key}, which a commit needs")
        self.let_go[key] = allowing
        self.outcome.landed["retention"] += 1
        self.outcome.cost["retention"] += 1

    def _done(self, process: Process, call: str, path: Path) -> None:
        """After a process has changed something."""
        key = self.files.key(path)
        self.files.damaged.discard(key)
        self.rotten.pop(key, None)
        if key.startswith("tokens/"):
            process.token = int(key[-8:])
            process.looked, process.changing = False, ""
            process.touched.clear()
        if key.startswith("journal/"):
            self._require_blobs(process, key)

    def _require_blobs(self, process: Process, key: str) -> None:
        """An entry promises its blobs: they are there, whole and durable, when it appears."""
        entry = self.made[key] = codec.unseal("entry", self.files.file(ROOT / key).data, key)
        for name, sha in (entry["blob"], entry["segment"]):
            if name in self.files.damaged:
                continue
            if not self._there(name) or hashlib.sha256(self.files.file(ROOT / name).data).hexdigest() != sha:
                raise Violation(f"process {process.pid} has made {key}, which names {name}: it isn't there")
            if not self.files.is_durable(name):
                raise Violation(f"process {process.pid} has made {key}, which names {name}: a power cut may take it")

    def _there(self, key: str) -> bool:
        return self.files.exists(ROOT / key)

    def _require_kept(self, acknowledged: int, started_at: int) -> None:
        if started_at < acknowledged and not self.files.spoiled:
            raise Violation(f"epoch {acknowledged} was committed, and the next run starts after {started_at}")

    def _require_restored(self, whole: dict[str, tuple[str, bytes]]) -> None:
        """Nobody works on a campaign whose manifest, setup or copies he could have restored and did not."""
        for name, (_, founded) in whole.items():
            for key in FOUNDATIONS[name]:
                if not self._there(key) or self.files.file(ROOT / key).data != founded:
                    raise Violation(f"it is worked on, and {key} is still damaged")

    def _require_whole(self, entry: Entry | None, damaged: set[str]) -> None:
        """Nobody goes on from a commit that was damaged before he looked at it."""
        parts = (f"journal/{entry.number:08d}", entry.blob[0], entry.segment[0]) if entry else ()
        for key in damaged.intersection(parts):
            raise Violation(f"it goes on from epoch {entry and entry.epoch}, and {key} is damaged")

    def _allow(self, process: Process, error: BaseException) -> None:
        """Which errors a process may end with, and when."""
        outcome, spoiled, fenced = self.outcome, self.files.spoiled, self.newest_token > process.token
        self._tell(f"process {process.pid} ends: {type(error).__name__}: {error}")
        match error:
            case Violation():
                raise error
            case Fenced() if fenced or spoiled:
                newest = [other for other in self.processes if other.token == self.newest_token]
                outcome.cost["duel" if all(other.take_over for other in newest) else "stalled"] += 1
                return
            case CampaignLive() if not process.take_over:
                outcome.landed["second resume"] += 1
                outcome.cost["second resume"] += 1
                return
            case ForkedJournal() if spoiled and outcome.landed["duel"]:
                outcome.cost["forked"] += 1
                return
            case CorruptCampaign() | NotACampaign() if spoiled:
                self._meet(str(error))
                if not process.rough:
                    outcome.refused = str(error)
                return
            case FileNotFoundError() if fenced or spoiled:
                return  # the newest token's holder has collected what it was writing, or it rotted away between two calls
            case OSError(errno=number) if number in (errno.ENOSPC, errno.EIO):
                outcome.cost["disk full" if number == errno.ENOSPC else "sync failed"] += 1
                return
        raise Violation(f"process {process.pid} ended with {type(error).__name__}: {error}") from error

    def _allow_warnings(self, said: list[str]) -> None:
        for words in said:
            self._tell(f"  warning: {words}")
            if not self.files.spoiled:
                raise Violation(f"nothing was damaged, and yet: {words}")
            self._meet(words)

    def _meet(self, words: str) -> None:
        """Damage has cost something: it was met, and named."""
        for key in [key for key in self.rotten if key in words]:
            self.outcome.cost[f"rot: {self.rotten.pop(key)}"] += 1

    def _judge(self) -> None:
        """The campaign at its end: the bits of the undisturbed run, and nothing wrong but what was damaged."""
        journal = self._journal()
        if self.outcome.refused is not None:
            self._judge_refusal()
            return
        expected = undisturbed(self.routes, self.asked)
        position = journal.position()
        if position.entry is None or (position.epoch, position.entry.digest) != (self.asked, expected[-1][0]):
            raise Violation(f"it ends after epoch {position.epoch}, digest {position.entry and position.entry.digest[:12]}")
        for state, answer in zip(position.states, expected[-1][1], strict=True):
            _require_equal(state.deme.canonical(), answer.state.deme.canonical(), "a deme")
        problems = problems_of(journal)
        for problem in problems:
            self._meet(problem)
            if not any(key in problem for key in self.files.damaged | self._unrecorded()):
                raise Violation(f"verify says: {problem}; damaged: {sorted(self.files.damaged)}")
        if not problems:
            self._judge_history(journal, self.asked)
            result = journal.result(self.asked)
            _require_equal(result and result["digest"], position.entry.digest, "the result's digest")

    def _unrecorded(self) -> set[str]:
        """Blobs that were let go by entries of which none is left: one that was lost may have left its number to another."""
        left = {name: entry for name, entry in self.made.items() if name not in self.files.damaged}
        return {key for key, entries in self.let_go.items() if all(left.get(name) != was for name, was in entries.items())}

    def _judge_history(self, journal: Journal, epochs: int) -> None:
        """Each epoch that is committed once, each trial once."""
        expected = undisturbed(self.routes, self.asked)[:epochs]
        digests = [entry.digest for entry in journal.chain()][::-1]
        _require_equal(digests, [digest for digest, _ in expected], "the digests")
        rows = [(s.epoch, s.island, s.trials.canonical(), s.arrivals) for s in ledger.segments(journal)]
        tried = [(a.epoch, a.island, a.trials.canonical(), a.arrivals) for _, answers in expected for a in answers]
        _require_equal(rows, tried, "the ledger's rows")

    def _judge_refusal(self) -> None:
        """Given up only where the storage has broken its word about everything that a resume could have used: about manifest
        or setup and their copies, or about each commit, but for those whose demes were let go."""
        files, said = self.files, f"refused ({self.outcome.refused}), and"
        lost = False
        for name, keys in FOUNDATIONS.items():
            places = [key for key in keys if self._there(key) and key not in files.damaged]
            lost = lost or not places
            if not places and name not in files.damaged:
                raise Violation(f"{said} nothing has happened to {name}")
        if lost:
            self.outcome.landed["refused: manifest or setup"] += 1
            return
        if not self.made:
            raise Violation(f"{said} there is no commit")
        for key in self.made:
            if self._is_whole(key):
                raise Violation(f"{said} {key} is whole")
            if not files.damaged.intersection(self._parts(key)) and self.made[key]["blob"][0] not in self.let_go:
                raise Violation(f"{said} nothing has happened to {key}")
        self.outcome.landed["refused: all commits"] += 1


def _may_go(rule: list[int], epoch: int, committed: int) -> bool:
    """As the simulation understands a retention, in its own words."""
    last, every = rule
    return epoch + last <= committed and not (every and epoch % every == 0)


def _epoch_of(key: str) -> int:
    return int(key.rpartition("/")[2][:8])


def _require_equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise Violation(f"{what} differ from the undisturbed run's")


def _has_result(journal: Journal, epoch: int) -> bool:
    with contextlib.suppress(CorruptCampaign):
        return journal.result(epoch) is not None
    return False


def _target(key: str) -> str:
    """The key that a half-written file is to get."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name[1:].rpartition('.')[0]}" if name.startswith(".") else key


def _kind(key: str) -> str:
    """Of which kind a file is, or the names of a folder."""
    return _target(key).partition("/")[0] if "/" in key or key.startswith(".") or "." in key else f"{key}/"
