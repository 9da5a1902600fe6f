"""The chain of commits: what is written, what is passed over, who may write, and who is told to stop."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds import fake_play, links

from islands.archipelago import codec
from islands.archipelago.journal import ABANDONED_S, GENESIS, PLACES, Journal, Position, Writer, epoch_digest
from islands.archipelago.lease import LEASE_S, Host, Lease
from islands.archipelago.machine import Commit
from islands.archipelago.storage import Folder
from islands.errors import (
    CampaignLive,
    CorruptCampaign,
    Fenced,
    ForkedJournal,
    IslandsWarning,
    NotACampaign,
)

MANIFEST = {"spec": {"seed": 1}}
COMMITS = fake_play(4)


def founded(root: Path, epochs: int = 3) -> Journal:
    journal = Journal(root)
    assert journal.create(MANIFEST, {"epochs": epochs}) is True
    return journal


def written(root: Path, commits: list[Commit]) -> Journal:
    """A journal with these commits, let go."""
    journal = founded(root)
    writer = journal.acquire()
    writer.resume()
    for commit in commits:
        writer.commit(commit)
    writer.release()
    return journal


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def quiet_position(journal: Journal) -> tuple[Position, list[str]]:
    """The position and the warnings on the way there."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        position = journal.position()
    assert all(warning.category is IslandsWarning for warning in caught)
    return position, [str(warning.message) for warning in caught]


# Founding


def test_a_campaign_is_founded_once(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    before = files(tmp_path)
    assert journal.create({"spec": {"seed": 2}}, {"epochs": 9}) is False
    assert files(tmp_path) == before


def test_founding_that_a_crash_interrupted_can_be_repeated(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.folder.write("setup", codec.seal("setup", {"epochs": 99}))
    assert journal.create(MANIFEST, {"epochs": 3}) is True
    assert journal.epochs() == 3


def test_a_folder_without_a_manifest_is_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(NotACampaign, match="no campaign here"):
        Journal(tmp_path / "none").manifest()


def test_manifest_is_known_by_the_hash_of_its_file(tmp_path: Path) -> None:
    record, manifest_hash = founded(tmp_path).manifest()
    assert record["spec"] == MANIFEST["spec"]
    assert manifest_hash == hashlib.sha256((tmp_path / "manifest").read_bytes()).hexdigest()


def test_setup_that_is_gone_is_named(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    for name in ("setup", "copies/setup"):
        (tmp_path / name).unlink()
    with pytest.raises(CorruptCampaign, match="setup is missing; restore it from a backup"):
        journal.setup()


# Commits


def test_an_empty_campaign_stands_at_epoch_0(tmp_path: Path) -> None:
    position = founded(tmp_path).position()
    assert (position.entry, position.epoch, position.states, position.emigrants) == (None, 0, (), {})
    assert founded(tmp_path / "b").head() is None


def test_entries_are_a_chain_of_hashes(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:3])
    entries = [journal.read_entry(number) for number in journal.numbers()]
    assert [(e.number, e.epoch) for e in entries] == [(1, 1), (2, 2), (3, 3)]
    hashes = [hashlib.sha256((tmp_path / f"journal/{n:08d}").read_bytes()).hexdigest() for n in (1, 2, 3)]
    assert [e.hash for e in entries] == hashes
    assert [e.parent for e in entries] == [None, (1, hashes[0]), (2, hashes[1])]
    assert [e.digest for e in entries] == links(COMMITS[:3])
    assert {e.manifest for e in entries} == {journal.manifest()[1]}
    assert list(journal.chain()) == entries[::-1]
    assert journal.head() == entries[-1]


def test_a_digest_is_a_link_to_the_digest_before_over_epoch_and_answers() -> None:
    first, second = COMMITS[0].answers
    here = epoch_digest(GENESIS, 1, (first, second))
    others = [
        epoch_digest(here, 1, (first, second)),
        epoch_digest(GENESIS, 2, (first, second)),
        epoch_digest(GENESIS, 1, (second, first)),
        epoch_digest(GENESIS, 1, (first,)),
    ]
    assert len({here, *others}) == 5


def test_an_entry_names_its_blob_and_segment_with_their_hashes(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:1])
    entry = journal.read_entry(1)
    for (key, sha), folder in ((entry.blob, "blobs"), (entry.segment, "ledger")):
        assert hashlib.sha256((tmp_path / key).read_bytes()).hexdigest() == sha
        assert key.startswith(f"{folder}/00000001-{sha[:16]}.")
        assert journal.blob((key, sha)) == (tmp_path / key).read_bytes()


def test_an_entry_tells_who_wrote_it_and_who_computed_it(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    writer = journal.acquire()
    writer.accepted = {"libraries.numpy": ("1.0", "2.0")}
    writer.resume()
    before = time.time()
    entry = writer.commit(COMMITS[0], ((0, "worker-1", 11, 0.5), (1, "worker-2", 12, 0.25)))
    assert entry == journal.read_entry(1)
    assert entry.made_by == ((0, "worker-1", 11, 0.5), (1, "worker-2", 12, 0.25))
    assert entry.differences == {"libraries.numpy": ("1.0", "2.0")}
    assert (entry.accepted, entry.token, entry.host, entry.pid) == (("libraries.numpy",), 1, socket.gethostname(), os.getpid())
    assert before <= entry.written_at <= time.time()


@pytest.mark.parametrize("delay", [1, 2])
def test_position_is_the_last_commit_with_states_and_emigrants(delay: int, tmp_path: Path) -> None:
    commits = fake_play(3, delay=delay)
    position = written(tmp_path, commits).position()
    assert position.epoch == 3
    for state, answer in zip(position.states, commits[-1].answers, strict=True):
        assert state.deme.canonical() == answer.state.deme.canonical()
        assert state.hall_of_fame.canonical() == answer.state.hall_of_fame.canonical()
    assert sorted(position.emigrants) == [(e, i) for e in range(4 - delay, 4) for i in range(2)]
    for key, deme in commits[-1].emigrants.items():
        assert position.emigrants[key].canonical() == deme.canonical()


def test_equal_campaigns_write_equal_blobs(tmp_path: Path) -> None:
    written(tmp_path / "a", COMMITS[:2])
    written(tmp_path / "b", COMMITS[:2])
    blobs = [{k: v for k, v in files(tmp_path / x).items() if k.startswith(("blobs/", "ledger/"))} for x in "ab"]
    assert blobs[0] == blobs[1]
    assert len(blobs[0]) == 4


# What is damaged


def place_of(journal: Journal, kind: str, number: int) -> str:
    entry = journal.read_entry(number)
    return {"entry": f"journal/{number:08d}", "blob": entry.blob[0], "segment": entry.segment[0]}[kind]


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 4
    path.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path], None]] = {"torn": torn, "emptied": emptied, "flipped": flipped, "missing": Path.unlink}


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("kind", ["entry", "blob", "segment"])
def test_position_walks_back_over_a_damaged_commit_loudly(kind: str, damage: str, tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:3])
    place = place_of(journal, kind, 3)
    DAMAGES[damage](tmp_path / place)
    position, said = quiet_position(journal)
    assert position.epoch == 2
    if (kind, damage) == ("entry", "missing"):
        assert said == []  # nothing shows that it was ever there
    else:
        assert len(said) == 1
        assert said[0].startswith("passed over commit 3: ")
        assert place in said[0]


def test_position_walks_back_as_far_as_needed(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS)
    for number, kind in ((4, "entry"), (3, "blob"), (2, "segment")):
        flipped(tmp_path / place_of(journal, kind, number))
    position, said = quiet_position(journal)
    assert position.epoch == 1
    assert [words.partition(":")[0] for words in said] == [f"passed over commit {n}" for n in (4, 3, 2)]


def test_campaign_of_which_no_commit_verifies_is_not_begun_anew(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:2])
    for number in (1, 2):
        torn(tmp_path / place_of(journal, "blob", number))
    with pytest.warns(IslandsWarning, match="passed over commit"), pytest.raises(CorruptCampaign) as error:
        journal.position()
    assert "none of 2 commits verifies; restore the folder from a backup, or start anew" in str(error.value)


@pytest.mark.parametrize(("kind", "damage", "number"), [("entry", "torn", 4), ("blob", "missing", 4), ("entry", "missing", 3)])
def test_next_commit_takes_the_first_free_number_and_names_the_verified_one(
    kind: str, damage: str, number: int, tmp_path: Path
) -> None:
    journal = written(tmp_path, COMMITS[:3])
    verified = journal.read_entry(2)
    DAMAGES[damage](tmp_path / place_of(journal, kind, 3))
    dead = (tmp_path / "journal/00000003").read_bytes() if damage != "missing" or kind != "entry" else None
    writer = journal.acquire()
    if dead is not None:
        with pytest.warns(IslandsWarning, match="passed over commit 3"):
            writer.resume()
    else:
        writer.resume()
    entry = writer.commit(COMMITS[2])
    assert (entry.number, entry.epoch, entry.parent) == (number, 3, (2, verified.hash))
    assert entry.digest == links(COMMITS[:3])[-1]
    assert [e.number for e in journal.chain()] == [number, 2, 1]
    if dead is not None:
        assert (tmp_path / "journal/00000003").read_bytes() == dead  # stays as evidence
    position, said = quiet_position(journal)
    assert (position.epoch, said) == (3, [])
    assert writer.commit(COMMITS[3]).parent == (number, entry.hash)


def test_damaged_blob_is_written_again_under_its_name(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:3])
    before = files(tmp_path)
    place = place_of(journal, "blob", 3)
    flipped(tmp_path / place)
    writer = journal.acquire()
    with pytest.warns(IslandsWarning):
        writer.resume()
    assert writer.commit(COMMITS[2]).blob[0] == place
    assert files(tmp_path)[place] == before[place]


@pytest.mark.parametrize("bit", range(8))
def test_any_flipped_bit_of_an_entry_is_noticed(bit: int, tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:1])
    path = tmp_path / "journal/00000001"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        with pytest.raises(CorruptCampaign, match="00000001"):
            journal.read_entry(1)


def test_entry_under_another_number_is_noticed(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:2])
    (tmp_path / "journal/00000003").write_bytes((tmp_path / "journal/00000002").read_bytes())
    with pytest.raises(CorruptCampaign, match="it is entry 2"):
        journal.read_entry(3)
    position, said = quiet_position(journal)
    assert (position.epoch, len(said)) == (2, 1)


def test_predecessor_that_was_exchanged_breaks_the_chain(tmp_path: Path) -> None:
    journal = written(tmp_path / "a", COMMITS[:2])
    other = written(tmp_path / "b", fake_play(1, delay=2))
    (tmp_path / "a/journal/00000001").write_bytes((tmp_path / "b/journal/00000001").read_bytes())
    with pytest.raises(CorruptCampaign) as error:
        list(journal.chain())
    assert other.read_entry(1).hash[:12] in str(error.value)
    assert journal.read_entry(2).parent[1][:12] in str(error.value)


def test_what_a_crash_left_behind_before_its_commit_is_not_seen(tmp_path: Path) -> None:
    """Blobs without an entry, and half-written files: the campaign stands where it stood."""
    journal = written(tmp_path, COMMITS[:1])
    (tmp_path / "blobs/00000002-0123456789abcdef.states").write_bytes(b"half")
    (tmp_path / "journal/.00000002.0123456789abcdef").write_bytes(b"half")
    (tmp_path / "ledger/.00000002-0123456789abcdef.trials.ff").write_bytes(b"half")
    position, said = quiet_position(journal)
    assert (position.epoch, said, journal.numbers()) == (1, [], [1])


# Who may write


def two_writers(root: Path, commits: list[Commit]) -> tuple[Journal, Writer, Writer]:
    """A writer that has written these commits, and the one that fenced it off."""
    journal = founded(root)
    first = journal.acquire()
    first.resume()
    for commit in commits:
        first.commit(commit)
    second = Journal(root).acquire(take_over=True)
    second.resume()
    return journal, first, second


def test_second_writer_is_refused_and_told_who_works(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    journal.acquire()
    before = files(tmp_path)
    with pytest.raises(CampaignLive) as error:
        Journal(tmp_path).acquire()
    assert f"process {os.getpid()} on {socket.gethostname()} works on this campaign" in str(error.value)
    assert "--take-over" in str(error.value)
    assert files(tmp_path) == before


def test_fenced_writer_stops_at_its_commit_and_writes_nothing(tmp_path: Path) -> None:
    _, first, second = two_writers(tmp_path, COMMITS[:1])
    before = files(tmp_path)
    with pytest.raises(Fenced, match="token 2 was taken while this process held 1"):
        first.commit(COMMITS[1])
    assert files(tmp_path) == before
    assert second.commit(COMMITS[1]).token == 2


def test_fenced_writer_writes_no_result_and_does_not_let_go_of_the_other_s_lease(tmp_path: Path) -> None:
    journal, first, second = two_writers(tmp_path, COMMITS[:1])
    with pytest.raises(Fenced):
        first.write_result(1, {"epoch": 1})
    first.release()
    assert journal.result(1) is None
    assert journal.lease().token == second.token == 2
    second.release()
    assert journal.lease() is None


class _Slow(Folder):
    """A folder so slow that its writer is overtaken before a blob is there."""

    def keep(self, key: str, value: bytes) -> None:
        if len(self.keys("tokens")) < 3:
            Journal(self.root).acquire(take_over=True)
        super().keep(key, value)


def test_writer_that_is_fenced_while_it_writes_its_blobs_makes_no_entry(tmp_path: Path) -> None:
    written(tmp_path, COMMITS[:1])
    journal = Journal(_Slow(tmp_path))
    writer = journal.acquire()
    writer.resume()
    with pytest.raises(Fenced, match="token 3 was taken while this process held 2"):
        writer.commit(COMMITS[1])
    assert journal.numbers() == [1]
    assert len(files(tmp_path / "ledger")) == 1  # it stopped before the next file, too


def test_fenced_writer_neither_renews_nor_collects(tmp_path: Path) -> None:
    _, first, second = two_writers(tmp_path, COMMITS[:2])
    (tmp_path / "blobs/.00000001-0123.states.ff").write_bytes(b"half")
    before = files(tmp_path)
    for act in (first.renew, first.collect):
        with pytest.raises(Fenced):
            act()
    assert files(tmp_path) == before
    assert second.collect() == 1


class _Raced(Writer):
    """A writer that is overtaken after it has looked for a newer token: the last moment at which it can happen."""

    def check(self) -> None:
        """Sees nothing."""


@contextlib.contextmanager
def raced(root: Path, others: list[Commit]) -> Iterator[Writer]:
    """A writer after one commit, behind whose back another one wrote; no entry changes meanwhile."""
    journal = written(root, COMMITS[:1])
    slow = _Raced(journal, 1)
    slow.resume()
    fast = Journal(root).acquire(take_over=True)
    fast.resume()
    for commit in others:
        fast.commit(commit)
    fast.release()
    before = files(root)
    yield slow
    assert {k: v for k, v in files(root).items() if k.startswith(("journal/", "tokens/"))} == {
        k: v for k, v in before.items() if k.startswith(("journal/", "tokens/"))
    }


def test_whoever_finds_another_result_in_its_place_stops_and_names_both(tmp_path: Path) -> None:
    other = fake_play(2, delay=2)[1]
    with raced(tmp_path, [other]) as slow:
        with pytest.raises(ForkedJournal) as error:
            slow.commit(COMMITS[1])
        mine, theirs = links(COMMITS[:2])[-1], slow.journal.read_entry(2).digest
        assert mine != theirs
        assert mine[:12] in str(error.value)
        assert theirs[:12] in str(error.value)
        assert "journal/00000002 is taken by epoch 2" in str(error.value)


def test_whoever_finds_its_own_result_in_its_place_adopts_it_and_goes_on_from_there(tmp_path: Path) -> None:
    with raced(tmp_path, COMMITS[1:3]) as slow:
        entry = slow.commit(COMMITS[1])
        slow.commit(COMMITS[2])
        assert entry == slow.journal.read_entry(2)
        assert entry.token == 2


def test_tokens_are_taken_once_each(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    tokens = []
    for _ in range(3):
        writer = journal.acquire()
        tokens.append(writer.token)
        writer.release()
    assert tokens == [1, 2, 3]
    assert journal.newest_token() == 3
    assert sorted(files(tmp_path / "tokens")) == ["00000001", "00000002", "00000003"]


# Who works


def lease(root: Path, **changes: Any) -> Journal:
    """A campaign on which a process, by default our parent, works now."""
    journal = founded(root)
    record = {
        "token": 1,
        "host": socket.gethostname(),
        "pid": os.getppid(),
        "process_start": Host().process_start(os.getppid()),
        "renewed_at": time.time(),
        **changes,
    }
    journal.folder.write("lease", codec.seal("lease", record))
    return journal


def a_dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


LEASES: dict[str, tuple[Callable[[], dict[str, Any]], bool]] = {
    "of a living process": (dict, True),
    "of another machine": (lambda: {"host": "elsewhere", "pid": 1, "process_start": 1.0}, True),
    "renewed just in time": (lambda: {"renewed_at": time.time() - LEASE_S + 5}, True),
    "not renewed for too long": (lambda: {"renewed_at": time.time() - LEASE_S - 1}, False),
    "of another machine, not renewed for too long": (
        lambda: {"host": "elsewhere", "renewed_at": time.time() - LEASE_S - 1},
        False,
    ),
    "of a dead process": (lambda: {"pid": a_dead_pid()}, False),
    "of a process whose number was given to another one": (lambda: {"process_start": 12345.0}, False),
}


@pytest.mark.parametrize("case", list(LEASES))
def test_a_lease_is_live_or_not(case: str, tmp_path: Path) -> None:
    changes, live = LEASES[case]
    journal = lease(tmp_path, **changes())
    found = journal.lease()
    assert isinstance(found, Lease)
    assert found.is_live() is live
    if live:
        with pytest.raises(CampaignLive, match=f"process {found.pid} on {found.host} works on this campaign"):
            journal.acquire()
        assert journal.acquire(take_over=True).token == 1
    else:
        assert journal.acquire().token == 1


def test_a_lease_of_a_process_that_has_ended_is_not_live_although_nobody_has_waited_for_it(tmp_path: Path) -> None:
    """As a coordinator's whose raylet was killed before it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        journal = lease(tmp_path, pid=child.pid, process_start=Host().process_start(child.pid))
        assert journal.lease().is_live() is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert journal.lease().is_live() is False


def test_a_lease_that_can_not_be_read_is_nobody_s(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    for data in (b"", b"half", codec.seal("lease", {"token": 1}), codec.pack("other", {})):
        journal.folder.write("lease", data)
        assert journal.lease() is None
    assert journal.acquire().token == 1


def test_renewing_moves_the_time_and_releasing_removes_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = founded(tmp_path)
    writer = journal.acquire()
    first = journal.lease()
    assert (first.token, first.pid, first.is_live()) == (1, os.getpid(), True)
    monkeypatch.setattr(time, "time", lambda: first.renewed_at + LEASE_S + 1)
    assert journal.lease().is_live() is False
    writer.renew()
    assert journal.lease().is_live() is True
    writer.release()
    assert journal.lease() is None


# What crashes leave behind


def test_collecting_takes_what_nobody_will_read_and_nothing_else(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:2])
    kept = files(tmp_path)
    for key in (
        "blobs/.00000001-0123.states.ff",  # half-written, of epochs before the last
        "ledger/.00000001-0123.trials.ff",
        "journal/.00000001.ff",
        "blobs/00000001-0123456789abcdef.states",  # of no entry
        "ledger/00000001-0123456789abcdef.trials",
    ):
        (tmp_path / key).write_bytes(b"half")
    stay = {
        "blobs/.00000002-0123.states.ff": b"half",  # another process may be about to finish these
        "blobs/00000002-0123456789abcdef.states": b"whole",
        "ledger/00000003-0123456789abcdef.trials": b"whole",
        "journal/.00000002.ff": b"half",
        "blobs/notes": b"not ours",
    }
    for key, data in stay.items():
        (tmp_path / key).write_bytes(data)
    writer = journal.acquire()
    assert writer.collect() == 0  # it has committed nothing, and does not know where it stands
    writer.resume()
    assert writer.collect() == 5
    writer.release()
    assert {k: v for k, v in files(tmp_path).items() if not k.startswith("tokens/")} == {
        k: v for k, v in {**kept, **stay}.items() if not k.startswith("tokens/")
    }
    assert writer.collect() == 0


def test_sweeping_takes_what_was_half_written_a_day_ago_wherever_it_lies_and_nobody_elses(tmp_path: Path) -> None:
    writer = founded(tmp_path).acquire()
    word, now = "0123456789abcdef" * 2, (tmp_path / "lease").stat().st_mtime
    old, young, others = [], [], []
    for place in PLACES:
        (tmp_path / place).mkdir(exist_ok=True)
        for name, age, kind in (
            (f".00000007.{word}", ABANDONED_S + 1.0, old),
            (f".00000008.{word}", ABANDONED_S - 1.0, young),
            (".gitignore", 2 * ABANDONED_S, others),
            (f"00000009.{word}", 2 * ABANDONED_S, others),
        ):
            path = tmp_path / place / name
            path.write_bytes(b"half")
            os.utime(path, (now - age, now - age))
            kind.append(path)
    assert writer.sweep() == len(old) == len(PLACES)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*young, *others))
    assert writer.sweep() == 0


def test_who_is_fenced_off_sweeps_nothing(tmp_path: Path) -> None:
    first = founded(tmp_path).acquire()
    left = tmp_path / f"tokens/.00000002.{'0' * 32}"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    Journal(tmp_path).acquire(take_over=True)
    with pytest.raises(Fenced):
        first.sweep()
    assert left.exists()


def test_collecting_leaves_what_a_dead_entry_names(tmp_path: Path) -> None:
    """Evidence: an accepted difference gave another result for an epoch that was committed before."""
    journal = written(tmp_path, COMMITS[:2])
    flipped(tmp_path / place_of(journal, "segment", 2))
    writer = journal.acquire()
    with pytest.warns(IslandsWarning, match="passed over commit 2"):
        writer.resume()
    for commit in fake_play(3, delay=2)[1:]:
        writer.commit(commit)
    before = files(tmp_path / "blobs")
    assert len(before) == 4
    assert writer.collect() == 0
    assert files(tmp_path / "blobs") == before


def test_collecting_leaves_everything_where_an_entry_can_not_be_read(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:3])
    torn(tmp_path / "journal/00000001")
    orphan = tmp_path / "blobs/00000001-0123456789abcdef.states"
    orphan.write_bytes(b"perhaps named by entry 1")
    writer = journal.acquire()
    writer.resume()
    assert writer.collect() == 0
    assert orphan.exists()


# Requests


def test_stop_is_asked_for_until_somebody_begins_to_work(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    assert journal.stop_requested() is False
    journal.request_stop()
    journal.request_stop()
    assert journal.stop_requested() is True
    journal.acquire()
    assert journal.stop_requested() is False


def test_extensions_are_kept_and_the_largest_counts(tmp_path: Path) -> None:
    journal = founded(tmp_path, epochs=3)
    assert journal.epochs() == 3
    for epochs in (12, 7, 12):
        journal.request_epochs(epochs)
    journal.acquire()
    assert journal.epochs() == 12


def test_foreign_files_among_the_requests_are_ignored(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    for name in ("extend-soon", "notes", "extend-"):
        journal.folder.create(f"requests/{name}", b"")
    assert (journal.epochs(), journal.stop_requested()) == (3, False)


# Results


def test_a_result_is_written_once(tmp_path: Path) -> None:
    journal = founded(tmp_path)
    writer = journal.acquire()
    assert journal.result(3) is None
    writer.write_result(3, {"champions": ["first"]})
    writer.write_result(3, {"champions": ["second"]})
    assert journal.result(3)["champions"] == ["first"]
    assert journal.result(2) is None


def test_blob_that_is_whole_but_not_of_this_kind_is_refused(tmp_path: Path) -> None:
    journal = written(tmp_path, COMMITS[:1])
    entry = journal.read_entry(1)
    data = codec.pack("states", {"islands": [{"deme": {}}], "emigrants": []})
    (tmp_path / entry.blob[0]).write_bytes(data)
    place = (entry.blob[0], hashlib.sha256(data).hexdigest())
    with pytest.raises(CorruptCampaign, match="malformed"):
        journal.states(dataclasses.replace(entry, blob=place))
