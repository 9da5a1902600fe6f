"""The budget of a step is learned, has a floor, and is doubled by each loss; gaps in which nobody ran are not waited for."""

from __future__ import annotations

import pytest

from islands.runtime import patience
from islands.runtime.patience import FLOOR_S, STEP_S, Patience, WaitingTime


def test_a_step_has_a_minute_at_least() -> None:
    known = Patience()
    assert FLOOR_S >= 60.0
    assert known.budget_s(0) == FLOOR_S
    known.learn(0.3)
    assert known.budget_s(0) == FLOOR_S


def test_a_step_has_ten_times_the_longest_one() -> None:
    known = Patience()
    for seconds in (2.0, 30.0, 1.0):
        known.learn(seconds)
    assert known.budget_s(0) == 300.0


def test_each_loss_doubles_it() -> None:
    known = Patience(floor_s=5.0)
    assert [known.budget_s(losses) for losses in range(4)] == [5.0, 10.0, 20.0, 40.0]


def test_a_gap_counts_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that was stopped for an hour has not waited for its workers for an hour."""
    clock = [100.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: clock[0])
    waited = WaitingTime()
    for seconds in (0.5, 0.25, 3600.0, 0.25):
        clock[0] += seconds
        total = waited.now()
    assert total == 1.0 + STEP_S
