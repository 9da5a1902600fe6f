"""The budget of a step is learned, has a floor, and is doubled by each loss; gaps in which nobody ran are not waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import fake_play

from islands.archipelago.audit import problems_of
from islands.archipelago.journal import Journal, Paused, Writer
from islands.archipelago.machine import HOPELESS
from islands.runtime import patience
from islands.runtime.patience import FLOOR_S, REMEMBERED, STEP_S, Patience, WaitingTime


def test_a_step_has_a_minute_at_least() -> None:
    known = Patience()
    assert FLOOR_S >= 60.0
    assert known.budget_s((0, 1), 0) == FLOOR_S
    known.learn(0.3)
    assert known.budget_s((0, 1), 0) == FLOOR_S


def test_a_step_has_ten_times_the_longest_one() -> None:
    known = Patience()
    for seconds in (2.0, 30.0, 1.0):
        known.learn(seconds)
    assert known.budget_s((0, 1), 0) == 300.0


def test_each_loss_doubles_it() -> None:
    known = Patience(floor_s=5.0)
    assert [known.budget_s((0, 1), losses) for losses in range(4)] == [5.0, 10.0, 20.0, 40.0]


def written(root: Path, seconds: list[float]) -> Writer:
    """A campaign, resumed, of which each commit's second step took so long."""
    journal = Journal(root)
    journal.create({"spec": {"seed": 1}}, {"epochs": len(seconds)})
    writer = journal.acquire()
    writer.resume()
    for commit, took in zip(fake_play(len(seconds)), seconds, strict=True):
        writer.commit(commit, ((0, "worker-1", 11, 0.5), (1, "worker-2", 12, took)))
    writer.release()
    resumed = journal.acquire()
    resumed.resume()
    return resumed


def test_what_the_last_commits_took_is_known_at_a_resume(tmp_path: Path) -> None:
    known = Patience()
    known.recall(written(tmp_path, [1.0, 40.0, 1.0]))
    assert (known.longest_s, known.budget_s((0, 1), 0)) == (40.0, 400.0)


def test_what_older_ones_took_is_forgotten(tmp_path: Path) -> None:
    """One step that a busy machine held up for an hour shall not have all later ones waited for half a day."""
    known = Patience()
    known.recall(written(tmp_path, [3600.0] + [2.0] * REMEMBERED))
    assert known.longest_s == 2.0


def test_a_campaign_without_a_commit_has_nothing_to_recall(tmp_path: Path) -> None:
    known = Patience()
    known.recall(written(tmp_path, []))
    assert known.longest_s == 0.0


def test_an_honestly_slow_step_gets_through_after_as_many_pauses_as_it_takes(tmp_path: Path) -> None:
    """Nobody knows how slow it is: 16 minutes alone in the first run, over four hours in the second."""
    writer, step, most, runs = written(tmp_path, [2.0]), (1, 2), [], 3
    for _ in range(runs):
        known = Patience()
        known.recall(writer)
        budgets = [known.budget_s(step, losses) for losses in range(HOPELESS)]
        for seconds in budgets:
            known.outlast(step, seconds)
        writer.write_paused(Paused(*step, known.outlasted[step]))
        most.append(budgets[-1])
    assert most == [60.0 * 16**run for run in range(1, runs + 1)]
    assert known.budget_s((0, 2), 0) == FLOOR_S  # it is that step alone which is waited for


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: data[:9] + b"\0" + data[10:]])
def test_a_damaged_record_of_a_pause_is_named_by_verify_and_no_obstacle(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    writer = written(tmp_path, [2.0])
    writer.write_paused(Paused(1, 2, 960.0))
    assert not [problem for problem in problems_of(writer.journal) if "paused" in problem]
    (tmp_path / "paused").write_bytes(damage((tmp_path / "paused").read_bytes()))
    known = Patience()
    known.recall(writer)
    assert known.budget_s((1, 2), 0) == FLOOR_S
    assert [f"{tmp_path}/paused" in problem for problem in problems_of(writer.journal) if "paused" in problem] == [True]


def test_a_damaged_older_entry_is_no_obstacle(tmp_path: Path) -> None:
    writer = written(tmp_path, [50.0, 3.0, 4.0])
    (tmp_path / "journal/00000001").write_bytes(b"damaged")
    known = Patience()
    known.recall(writer)
    assert known.longest_s == 4.0


def test_a_gap_counts_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that was stopped for an hour has not waited for its workers for an hour."""
    clock = [100.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: clock[0])
    waited = WaitingTime()
    for seconds in (0.5, 0.25, 3600.0, 0.25):
        clock[0] += seconds
        total = waited.now()
    assert total == 1.0 + STEP_S
