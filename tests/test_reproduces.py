"""`verify --replay`: whether this machine reproduces a campaign, at what cost, and where it first differs."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import reopened, tiny, tiny_bars

import islands as isl
from islands.archipelago import codec
from islands.archipelago import replay as replaying
from islands.archipelago.journal import Journal
from islands.archipelago.replay import plan_replay
from islands.errors import InputError, ManifestMismatch
from islands.evolution.deme import Deme, Trials
from islands.evolution.island import Answer, IslandState, advance_epoch


@pytest.fixture
def copy(finished: isl.Campaign, tmp_path: Path) -> isl.Campaign:
    shutil.copytree(finished.path, tmp_path / "copy")
    return isl.Campaign.open(tmp_path / "copy")


@pytest.mark.parametrize(
    ("choice", "compared"), [("all", "9 epochs of islands"), ("sample", "3 epochs of islands"), ("1:2", "1 epoch of an island")]
)
def test_what_was_computed_here_is_reproduced_here_and_the_cost_is_stated_first(
    choice: str, compared: str, finished: isl.Campaign
) -> None:
    said: list[str] = []
    assert finished.verify(choice, said.append) == []
    assert len(said) == 1
    assert said[0].startswith(f"{compared} to compare: ")
    assert said[0].endswith(" s of computing when they were first computed")


@pytest.mark.slow
@pytest.mark.parametrize("migration", [{"delay": 2}, {"interval": 2}, {"delay": 2, "interval": 2}])
def test_immigrants_come_as_they_came(migration: dict[str, int], make: Callable[..., isl.Campaign]) -> None:
    changes = {f"migration.{key}": value for key, value in migration.items()}
    campaign = make({"evolution.epochs": 5, "evolution.population": 6, **changes})
    campaign.run("inline")
    assert len(campaign.migrations()) > 0
    assert campaign.verify("all") == []


def test_a_sample_is_ten_epochs_from_the_first_to_the_last_of_an_island_each(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({"evolution.epochs": 23, "evolution.population": 4, "evolution.generations_per_epoch": 1})
    campaign.run("inline")
    plan = plan_replay(Journal(campaign.path), "sample", 3)
    steps = [(epoch, islands) for stretch in plan.stretches for epoch, islands in stretch.chosen.items()]
    assert [epoch for epoch, _ in steps] == [1, 3, 6, 8, 11, 13, 16, 18, 21, 23]
    assert [islands for _, islands in steps] == [(number % 3,) for number in range(10)]
    assert (plan.compared, plan.computed) == (10, 10)
    assert campaign.verify("sample") == []


# Elsewhere


def next_up(values: np.ndarray, row: int = 0) -> np.ndarray:
    changed = values.copy()
    changed[row, 0] = np.nextafter(changed[row, 0], np.inf)
    return changed


def other_deme(deme: Deme) -> Deme:
    return dataclasses.replace(deme, scores=next_up(deme.scores))


def other_trials(answer: Answer) -> Answer:
    return dataclasses.replace(answer, trials=dataclasses.replace(answer.trials, deme=other_deme(answer.trials.deme)))


def other_parents(answer: Answer) -> Answer:
    parents = answer.trials.parents.copy()
    parents[2, 5] += 1
    return dataclasses.replace(answer, trials=Trials(answer.trials.deme, answer.trials.origins, parents))


def fewer_trials(answer: Answer) -> Answer:
    few = answer.trials
    return dataclasses.replace(answer, trials=Trials(few.deme.take([0]), few.origins[:1], few.parents[:1]))


def other_state(**change: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    def apply(answer: Answer) -> Answer:
        values = {name: make(getattr(answer.state, name)) for name, make in change.items()}
        return dataclasses.replace(answer, state=dataclasses.replace(answer.state, **values))

    return apply


def other_emigrants(answer: Answer) -> Answer:
    return dataclasses.replace(answer, emigrants=other_deme(answer.emigrants))


OTHERWISE: dict[str, tuple[Callable[[Answer], Answer], str]] = {
    "trials": (other_trials, "its trials, row 0: scores "),
    "parents": (other_parents, "its trials, row 2: parents "),
    "fewer trials": (fewer_trials, "its trials: "),
    "deme": (other_state(deme=other_deme), "its deme, row 0: scores "),
    "hall of fame": (other_state(hall_of_fame=other_deme), "its hall of fame, row 0: scores "),
    "emigrants": (other_emigrants, "its emigrants, row 0: scores "),
    "stagnant": (other_state(stagnant=lambda count: count + 1), "its epochs without improvement: "),
}


@pytest.mark.parametrize("case", list(OTHERWISE))
def test_a_machine_that_computes_otherwise_is_told_where_it_first_differs(
    case: str, finished: isl.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, words = OTHERWISE[case]

    def elsewhere(world: Any, island: int, epoch: int, state: IslandState | None, immigrants: Any) -> Answer:
        answer = advance_epoch(world, island, epoch, state, immigrants)
        return change(answer) if (island, epoch) == (1, 2) else answer

    monkeypatch.setattr(replaying, "advance_epoch", elsewhere)
    problems = finished.verify("all")
    assert len(problems) == 1  # each epoch is computed from what the campaign kept, so that one difference is one line
    assert problems[0].startswith(f"island 1, epoch 2: computed again, it differs first in {words}")
    assert finished.verify("0:2") == []


def test_what_has_changed_since_is_said_before(copy: isl.Campaign) -> None:
    journal = Journal(copy.path)
    record = {k: v for k, v in journal.manifest()[0].items() if k not in ("kind", "schema")}
    record["libraries"]["numpy"] = "1.0.0"
    journal.folder.write("manifest", codec.pack("manifest", record))
    shutil.rmtree(copy.path / "copies")  # by which it would be restored
    said: list[str] = []
    problems = reopened(copy).verify("0:1", said.append)
    assert said[0].endswith("; since it began, these have changed: libraries.numpy")
    assert all("manifest" in problem for problem in problems)


# What was dropped


def test_where_an_epoch_is_gone_the_nearest_one_before_it_is_gone_on_from(copy: isl.Campaign) -> None:
    entry = Journal(copy.path).read_entry(2)
    (copy.path / entry.blob[0]).unlink()
    said: list[str] = []
    missing = f"commit 2: {copy.path / entry.blob[0]} is missing"
    assert copy.verify("2:3", said.append) == [missing]
    assert said[0].startswith("1 epoch of an island to compare, and 3 to get there: ")
    # of an epoch that is gone itself, the digest alone is known: all its islands are computed for it
    assert copy.verify("2:2", said.append) == [missing]
    assert said[1].startswith("3 epochs of islands to compare: ")
    assert copy.verify("all", said.append) == [missing]
    assert said[2].startswith("9 epochs of islands to compare: ")


def differing(case: str, island: int, epoch: int) -> Callable[..., Answer]:
    """A machine that computes one epoch of one island otherwise."""

    def elsewhere(world: Any, i: int, e: int, state: IslandState | None, immigrants: Any) -> Answer:
        answer = advance_epoch(world, i, e, state, immigrants)
        return OTHERWISE[case][0](answer) if (i, e) == (island, epoch) else answer

    return elsewhere


@pytest.mark.parametrize("choice", ["2:2", "0:2", "all"])
def test_where_the_demes_are_gone_the_trials_say_which_island_differs(
    choice: str, copy: isl.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy.path / Journal(copy.path).read_entry(2).blob[0]).unlink()
    monkeypatch.setattr(replaying, "advance_epoch", differing("trials", 1, 2))
    problems = copy.verify(choice)[1:]
    assert problems[0].startswith("island 1, epoch 2: computed again, it differs first in its trials, row 0: scores ")
    assert "; the epoch has digest " in problems[0] and problems[0].endswith(f"in the campaign {copy.digest(2)[:12]}")
    follow = "epochs 3 to 3: follow from that, and were not computed again"
    assert problems[1:] == ([follow] if choice == "all" else [])


def test_an_epoch_on_the_way_that_differs_is_named_and_not_what_follows_from_it(
    copy: isl.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        (copy.path / Journal(copy.path).read_entry(number).blob[0]).unlink()
    monkeypatch.setattr(replaying, "advance_epoch", differing("parents", 2, 1))
    problems = copy.verify("0:3")[2:]
    assert problems[0].startswith("island 2, epoch 1: computed again, it differs first in its trials, row 2: parents ")
    assert problems[1:] == ["epochs 2 to 3: follow from that, and were not computed again"]


def test_where_not_even_the_trials_differ_the_epoch_is_named_and_that_the_island_can_not_be(
    copy: isl.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy.path / Journal(copy.path).read_entry(2).blob[0]).unlink()
    monkeypatch.setattr(replaying, "advance_epoch", differing("deme", 1, 2))
    (problem,) = copy.verify("0:2")[1:]
    assert problem.startswith("epoch 2, an island that nobody can tell, since all trials are the same and the demes are gone: ")
    assert problem.endswith(f"in the campaign {copy.digest(2)[:12]}")


def test_where_the_chain_is_broken_nothing_can_be_computed_again_and_the_rest_is_said(copy: isl.Campaign) -> None:
    (copy.path / "journal/00000001").unlink()
    problems = copy.verify("all")
    assert problems[0].endswith("journal/00000001 is missing")
    assert problems[-1].startswith("not everything could be computed again: ")


# Refusals


@pytest.mark.parametrize("choice", ["", "some", "3:1", "0:0", "0:4", "-1:1", "1", "1:2:3", "0:1,0:2"])
def test_what_can_not_be_replayed_is_refused_with_what_can(choice: str, finished: isl.Campaign) -> None:
    with pytest.raises(InputError, match="expected all, sample, or ISLAND:EPOCH with an island from 0 to 2"):
        finished.verify(choice)


def test_other_bars_are_refused(make: Callable[..., isl.Campaign], tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    tiny_bars().write(path)
    campaign = isl.Campaign.create(tiny({"bars.path": str(path)}), tmp_path / "run")
    isl.synthetic("planted", bars=1_500, seed=4, edge=0.2).write(path)
    assert reopened(campaign).verify() == []
    with pytest.raises(ManifestMismatch, match="fingerprint"):
        reopened(campaign).verify("all")


@pytest.mark.slow
def test_the_command_states_the_cost_and_what_came_of_it(copy: isl.Campaign) -> None:
    def verify(choice: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "islands", "verify", str(copy.path), "--replay", choice]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = verify("1:2")
    assert done.returncode == 0, done.stderr
    cost, result = done.stdout.splitlines()
    assert cost.startswith("1 epoch of an island to compare: ")
    assert result == f"3 epochs verified, 1:2 reproduced, digest {copy.digest()}"
    assert verify("7:1").returncode == 2
