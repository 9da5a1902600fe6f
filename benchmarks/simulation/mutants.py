"""Mutants: one changed line of the real modules each, as somebody might write it, and the simulation run against it.

Most are faults that show where other tests don't look: after a dead entry, in a duel, of a step that was lost twice.

A mutant's module is compiled from its changed source, in memory, together with fresh copies of the modules that import it;
the islands' stand-in and the undisturbed run stay those of the real sources.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

HERE = __name__.rpartition(".")[0]
FRESH = (
    "islands.archipelago.storage",
    "islands.archipelago.lease",
    "islands.archipelago.codec",
    "islands.archipelago.machine",
    "islands.archipelago.retention",
    "islands.archipelago.journal",
    "islands.archipelago.ledger",
    "islands.archipelago.audit",
    "islands.runtime.report",
    "islands.runtime.worker",
    "islands.runtime.conductor",
    f"{HERE}.disk",
    f"{HERE}.crew",
    f"{HERE}.schedule",
)


@dataclass(frozen=True)
class Mutant:
    """line: as it stands in the module, once. changed: what stands there instead. first: the seed of the schedule that it is
    tried on first, 0 but for those that are rare. seen_by: an ordinary test that sees it, too, as file::function below tests/;
    "" where none does, which `python -m benchmarks mutants` holds against the tests."""

    name: str
    module: str
    line: str
    changed: str
    first: int = 0
    seen_by: str = ""

    def source(self, own: str | None = None) -> str:
        """The module's source, by default the one that is imported, with the one line changed.

        Raises:
            LookupError: the line isn't there, or not once.
        """
        if own is None:
            spec = importlib.util.find_spec(self.module)
            assert spec is not None and spec.origin is not None
            own = Path(spec.origin).read_text(encoding="utf-8")
        lines = own.split("\n")
        places = [number for number, line in enumerate(lines) if line.strip() == self.line]
        if len(places) != 1:
            raise LookupError(f"mutant {self.name!r}: {self.module} holds its line {len(places)} times: {self.line}")
        old = lines[places[0]]
        lines[places[0]] = old[: len(old) - len(old.lstrip())] + self.changed
        return "\n".join(lines)


MACHINE, JOURNAL = "islands.archipelago.machine", "islands.archipelago.journal"
STORAGE, LEDGER = "islands.archipelago.storage", "islands.archipelago.ledger"
RETENTION = "islands.archipelago.retention"
CONDUCTOR, WORKER = "islands.runtime.conductor", "islands.runtime.worker"

TEST_JOURNAL, TEST_MACHINE = "archipelago/test_journal.py", "archipelago/test_machine.py"
TEST_STORAGE, TEST_LEDGER = "archipelago/test_storage.py", "archipelago/test_ledger.py"
TEST_RETENTION, TEST_DAMAGE = "test_retention.py", "test_damage.py"
TEST_CAMPAIGN, TEST_WORKER = "test_campaign.py", "runtime/test_worker.py"

WRITES = "for write, key, data in writes:  # the entry last: it promises the others, and creating it is the commit"
LINK = "self._disk.link(temporary, self.root / key)"
IMMIGRANTS = "return [as_immigrants(source, self._emigrants[left, source]) for source in self._routes.sending(island, left)]"
EMIGRANTS = '"emigrants": [[e, i, codec.pack_deme(deme)] for (e, i), deme in sorted(commit.emigrants.items())],'

MUTANTS = (
    # The ways to get it wrong that one thinks of first, where no other test looks: after two losses, in a duel
    Mutant(
        "entry before blobs",  # where a dead entry has left its number: the epoch's is another one
        JOURNAL,
        WRITES,
        "for write, key, data in writes if number == commit.epoch else reversed(writes):",
    ),
    Mutant(
        "rename instead of link",  # where the name was free a moment ago
        STORAGE,
        LINK,
        "(self._disk.replace if self.read(key) is None else self._disk.link)(temporary, self.root / key)",
    ),
    Mutant(
        "an existing torn blob is skipped",  # of which a power cut has left nothing
        STORAGE,
        "if self.holds(key, value):",
        'if self.read(key) in (value, b""):',
        first=600,
    ),
    Mutant(
        "no token check",  # until whoever took the token has taken the lease, too
        JOURNAL,
        "if newest != self.token:",
        'if newest != self.token and getattr(self.journal.lease(), "token", 0) != self.token:',
    ),
    Mutant(
        "replay with the wrong immigrants",  # of a step that two workers may have died of
        MACHINE,
        "left = epoch - self.delay",
        "left = epoch - self.delay - (self._losses.get((island, epoch), 0) >= SUSPICIOUS)",
    ),
    Mutant(
        "unsorted migrants",  # of a step that two workers may have died of: in the order of arrival
        MACHINE,
        IMMIGRANTS,
        "return [as_immigrants(s, self._emigrants[left, s]) for s in sorted(self._routes.sending(island, left), key=lambda s: "
        "list(self._emigrants).index((left, s)) if self._losses.get((island, epoch), 0) >= SUSPICIOUS else s)]",
    ),
    Mutant(
        "ledger rows before the commit",  # of the epoch that is being committed
        LEDGER,
        "for entry in reversed(living(journal)):",
        "for entry in (*(old := living(journal)[::-1]), *(__import__('dataclasses').replace(old[-1], epoch=old[-1].epoch + 1, "
        "sizes=(9**9,) * 2, segment=(k, sha)) for k in journal.folder.keys('ledger') if old and int(k[7:15]) > old[-1].epoch "
        "if (sha := __import__('hashlib').sha256(journal.folder.read(k) or b'').hexdigest()).startswith(k[16:32]))):",
    ),
    Mutant(
        "a stale collector",  # looks for a newer token before the first file only
        JOURNAL,
        "self.remove(key)",
        "(self.remove if key == orphans[0] else self.journal.folder.remove)(key)",
        first=200,
    ),
    Mutant(
        "lost emigrants at delay 2",  # where an entry's number is taken for its epoch
        CONDUCTOR,
        "emigrants=position.emigrants,",
        "emigrants={k: d for k, d in position.emigrants.items() if k[0] >= min(position.epoch, position.free - routes.delay)},",
    ),
    Mutant(
        "lost lead bound",  # after the first commit
        MACHINE,
        "and done < min(self.target, self.committed + MAX_LEAD)",
        "and done < min(self.target, MAX_LEAD * (self.committed + 1))",
    ),
    # Our own: what a commit promises
    Mutant("entry before one of its blobs", JOURNAL, WRITES, "for write, key, data in (writes[0], writes[2], writes[1]):"),
    Mutant(
        "an existing torn segment is skipped",
        JOURNAL,
        "(folder.keep, segment.key, segment.data),",
        "(folder.create, segment.key, segment.data),",
        seen_by=f"{TEST_DAMAGE}::test_damaged_campaign_is_resumed_from_the_commit_before_and_ends_in_the_same_digest",
    ),
    Mutant(
        "of an existing blob the end alone is compared",
        STORAGE,
        "if self.holds(key, value):",
        'if (self.read(key) or b"")[-64:] == value[-64:]:',
        seen_by=f"{TEST_DAMAGE}::test_verify_says_of_what_is_missing_between_others_that_nothing_stands_on_it",
    ),
    Mutant(
        "ledger rows of dead entries",
        LEDGER,
        "return list(journal.chain(entry))",
        "return [*map(journal.read_entry, journal.numbers()[::-1])]",
        seen_by=f"{TEST_LEDGER}::test_commit_that_was_passed_over_counts_once",
    ),
    # what is durable
    Mutant(
        "segments are not synced",
        STORAGE,
        "self._disk.sync(temporary)",
        'key.startswith("ledger/") or self._disk.sync(temporary)',
    ),
    Mutant(
        "the names of blobs are not synced",
        STORAGE,
        "self._disk.sync(folder)",
        'key.startswith("blobs/") or self._disk.sync(folder)',
    ),
    Mutant(
        "the names of entries are not synced",
        STORAGE,
        "self._disk.sync(folder)",
        'key.startswith("journal/") or self._disk.sync(folder)',
    ),
    Mutant("the setup is not synced", STORAGE, "self._disk.sync(temporary)", 'key == "setup" or self._disk.sync(temporary)'),
    Mutant(
        "a file is not synced before it has its name",
        STORAGE,
        "self._disk.sync(temporary)",
        "pass",
        seen_by=f"{TEST_STORAGE}::test_a_value_that_can_not_be_synced_leaves_nothing",
    ),
    Mutant(
        "a folder's name is not synced",
        STORAGE,
        "self._disk.sync(above)",
        "pass",
        seen_by=f"{TEST_STORAGE}::test_a_value_is_synced_before_its_name_appears",
    ),
    Mutant(
        "a blob that is there is taken for durable",
        STORAGE,
        "self.settle(key)",
        "pass",
        seen_by=f"{TEST_STORAGE}::test_what_another_process_left_unsynced_is_durable_once_it_was_met",
    ),
    Mutant(
        "a commit that is there is taken for durable",
        JOURNAL,
        "self.journal.folder.settle(key)",
        "pass",
    ),
    # what may go
    Mutant(
        "a stale holder lets go of demes",
        JOURNAL,
        "self.remove(key)  # looks for a newer token before each",
        "self.journal.folder.remove(key)",
    ),
    Mutant(
        "demes go by a rule that no commit records yet", JOURNAL, "rule = entry.retention", "rule = self.journal.retention()"
    ),
    Mutant(
        "demes go by the newest epoch that ever was",
        JOURNAL,
        "if rule and not rule.keeps(_number_of(key), entry.epoch):",
        'if rule and not rule.keeps(_number_of(key), _number_of(self.journal.folder.keys("blobs")[-1])):',
    ),
    Mutant(
        "demes go with their segment",
        JOURNAL,
        'for key in self.journal.folder.keys("blobs") if rule else ():',
        'for key in [*self.journal.folder.keys("blobs"), *self.journal.folder.keys("ledger")] if rule else ():',
        seen_by=f"{TEST_RETENTION}::test_the_last_epochs_and_every_so_many_keep_their_demes_and_everything_else_stays",
    ),
    Mutant(
        "one epoch fewer keeps its demes",
        RETENTION,
        "return epoch > committed - self.last or (self.every > 0 and epoch % self.every == 0)",
        "return epoch > committed - self.last + 1 or (self.every > 0 and epoch % self.every == 0)",
        seen_by=f"{TEST_RETENTION}::test_the_last_epochs_and_every_so_many_keep_their_demes_and_everything_else_stays",
    ),
    Mutant(
        "what was let go is known by the oldest entry that says so",
        RETENTION,
        "self.rules[rule] = max(self.rules.get(rule, 0), epoch)",
        "self.rules[rule] = epoch",
        seen_by=f"{TEST_RETENTION}::test_the_rule_is_recorded_in_each_commit_and_holds_until_another_is_asked_for",
    ),
    Mutant(
        "a reader does not look again when it was overtaken",
        JOURNAL,
        "while said and (now := self.numbers()) != numbers:  # whoever commits meanwhile may let go of what was looked for",
        "while False:",
        first=5100,
        seen_by=f"{TEST_RETENTION}::test_a_reader_that_is_overtaken_by_commits_that_let_go_looks_again",
    ),
    # what is whole
    Mutant(
        "resume does not look at the segment",
        JOURNAL,
        "self.blob(entry.segment, entry.sizes[1])",
        "pass",
        seen_by=f"{TEST_JOURNAL}::test_position_walks_back_over_a_damaged_commit_loudly",
    ),
    Mutant(
        "a blob's hash is not compared",
        JOURNAL,
        "if hashlib.sha256(data).hexdigest() != expected:",
        "if not data:",
        seen_by=f"{TEST_JOURNAL}::test_position_walks_back_over_a_damaged_commit_loudly",
    ),
    Mutant(
        "an entry's own hash is not compared",
        "islands.archipelago.codec",
        'if not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != outer.get("sha256"):',
        "if not isinstance(body, bytes):",
        first=5330,
        seen_by=f"{TEST_JOURNAL}::test_position_walks_back_over_a_damaged_commit_loudly",
    ),
    Mutant(
        "the number of a dead entry is used again",
        JOURNAL,
        "return Position(entry, numbers[-1] + 1, states, emigrants)",
        "return Position(entry, number + 1, states, emigrants)",
        seen_by=f"{TEST_JOURNAL}::test_next_commit_takes_the_first_free_number_and_names_the_verified_one",
    ),
    Mutant(
        "a manifest that its setup does not name is taken",
        JOURNAL,
        'if codec.unseal("setup", setup, f"{self.root}/{second}").get("manifest") == own:',
        'if codec.unseal("setup", setup, f"{self.root}/{second}"):',
        first=5000,
        seen_by=f"{TEST_DAMAGE}::test_changed_manifest_is_refused_naming_both_hashes",
    ),
    Mutant(
        "a damaged copy is not restored",
        JOURNAL,
        "if not self.journal.folder.holds(key, founded):",
        "if self.journal.folder.read(key) is None:",
        seen_by=f"{TEST_DAMAGE}::test_manifest_and_setup_are_taken_from_their_copies_and_restored",
    ),
    Mutant(
        "of manifest and setup the copies alone are restored",
        JOURNAL,
        'for key in (name, f"copies/{name}"):',
        'for key in (f"copies/{name}",):',
        seen_by=f"{TEST_DAMAGE}::test_manifest_and_setup_are_taken_from_their_copies_and_restored",
    ),
    # who may write
    Mutant("a token that another took at the same moment is taken for ours", JOURNAL, "token += 1", "break"),
    Mutant("stop requests are removed whoever has the token", JOURNAL, "writer.remove(key)", "self.folder.remove(key)"),
    Mutant(
        "no token check before the entry",
        JOURNAL,
        "self.check()  # of all three, however long the one before took",
        "self.check() if write != folder.create else None",
    ),
    Mutant(
        "whoever was fenced lets go of the other's lease",
        JOURNAL,
        "if self.journal.newest_token() == self.token:",
        "if True:",
        seen_by=f"{TEST_JOURNAL}::test_fenced_writer_writes_no_result_and_does_not_let_go_of_the_other_s_lease",
    ),
    # whose answer it is
    Mutant(
        "answers in the order of arrival",
        MACHINE,
        "answers = tuple(self._answers[island, epoch] for island in range(len(self.finished)))",
        "answers = tuple(answer for (_, at), answer in self._answers.items() if at == epoch)",
        seen_by=f"{TEST_MACHINE}::test_a_commit_holds_the_answers_in_island_order",
    ),
    Mutant(
        "an island does not wait for its senders",
        MACHINE,
        "and self._have_left(island, done + 1 - self.delay)",
        "and self._have_left(island, done - self.delay)",
        seen_by=f"{TEST_MACHINE}::test_an_island_waits_for_its_own_senders_only",
    ),
    Mutant(
        "replay after a resume with the wrong immigrants",
        JOURNAL,
        EMIGRANTS,
        '"emigrants": [[e, i, codec.pack_deme(commit.emigrants[max(e, commit.epoch - 1), i])] for e, i in commit.emigrants],',
        seen_by=f"{TEST_CAMPAIGN}::test_with_a_longer_delay_a_resume_still_knows_who_is_on_the_way",
    ),
    Mutant(
        "an answer that was not asked for is taken",
        MACHINE,
        "if answer.epoch > self.finished[answer.island] + 1:",
        "if False:",
        first=5120,
        seen_by=f"{TEST_MACHINE}::test_answer_of_an_earlier_coordinator_that_was_further_is_dropped_until_it_is_asked_for",
    ),
    Mutant(
        "the state of any epoch is taken for the last",
        MACHINE,
        "state = None if worker.holds.get(island) == epoch - 1 else self._states[island]",
        "state = None if island in worker.holds else self._states[island]",
        seen_by=f"{TEST_MACHINE}::test_whatever_happens_the_digests_are_the_same",
    ),
    Mutant(
        "a late call makes a worker forget",
        WORKER,
        "if known is None or known.epoch < epoch:  # an old call that comes late makes nobody forget what came after it",
        "if True:",
        seen_by=f"{TEST_WORKER}::test_old_call_that_comes_late_makes_a_worker_forget_nothing",
    ),
    Mutant(
        "a worker founds an island again",
        WORKER,
        "if state is None and epoch > 1:",
        "if False:",
        first=900,
        seen_by=f"{TEST_WORKER}::test_island_without_a_state_is_not_founded_again",
    ),
)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, whose source is given."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, f"<mutant of {self._module}>", "exec"), module.__dict__)


@contextlib.contextmanager
def simulation_of(mutant: Mutant) -> Iterator[ModuleType]:
    """The module `schedule` over the mutant's sources."""
    finder = _Finder(mutant.module, mutant.source())
    importlib.import_module(f"{HERE}.schedule")  # so that all are there, to be put back
    before = {name: sys.modules.pop(name) for name in FRESH}
    for name in FRESH:  # `from package import module` would find it there
        parent, _, own = name.rpartition(".")
        delattr(sys.modules[parent], own)
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module(f"{HERE}.schedule")
    finally:
        sys.meta_path.remove(finder)
        for name, module in before.items():
            sys.modules[name] = module
            parent, _, own = name.rpartition(".")
            setattr(sys.modules[parent], own, module)


def found_after(mutant: Mutant, schedules: int) -> tuple[int, str] | None:
    """How many schedules it took until one ended otherwise than it must, and how; None where none did."""
    with simulation_of(mutant) as simulation:
        for number in range(schedules):
            try:
                simulation.run(mutant.first + number)
            except simulation.Violation as violation:
                return number + 1, str(violation).partition("\n")[0]
    return None
