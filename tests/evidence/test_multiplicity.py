"""p-values looked at together, and Monte Carlo tests that stop early."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import islands as isl
from islands.errors import InputError

s = isl.statistics

PROBABILITIES = st.lists(st.floats(0.0, 1.0), max_size=12)


def test_holm_of_the_textbook() -> None:
    """0.01, 0.04, 0.03, 0.005: the step-down levels are 0.05/4, /3, /2, /1, of which the first two are passed."""
    assert s.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def rejected(p_values: list[float], level: float) -> set[int]:
    """Holm's own words: from the smallest on, stop at the first p above level / (number left)."""
    found: set[int] = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] * (len(p_values) - rank) > level:
            break
        found.add(i)
    return found


@given(PROBABILITIES, st.floats(0.001, 0.5))
def test_holm_rejects_what_the_steps_reject(p_values: list[float], level: float) -> None:
    assert set(np.flatnonzero(s.holm(p_values) <= level).tolist()) == rejected(p_values, level)


@given(PROBABILITIES, st.integers(0, 5))
def test_tests_not_at_hand_count_as_larger_ones(p_values: list[float], more: int) -> None:
    whole = s.holm([*p_values, *[1.0] * more])
    assert np.array_equal(s.holm(p_values, tests=len(p_values) + more), whole[: len(p_values)])


@pytest.mark.parametrize(
    ("p_values", "tests", "message"),
    [
        ([0.1, 1.2], None, r"p_values\[1\] = 1.2: expected a probability"),
        ([math.nan], None, r"p_values\[0\] = nan: expected a probability"),
        ([0.1, 0.2], 1, "tests = 1: expected a whole number from 2 on"),
        ([[0.1]], None, r"p_values have shape \(1, 1\)"),
        (["x"], None, "expected a series of probabilities"),
    ],
)
def test_holm_refuses(p_values: list[float], tests: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        s.holm(p_values, tests)


def repetitions(*exceeds: bool) -> Iterator[bool]:
    yield from exceeds
    raise AssertionError("one repetition too many")


def test_stops_at_the_last_exceedance_it_needs() -> None:
    assert s.sequential_p(repetitions(False, True, False, True), 99, 2) == (0.5, 2, 4, True)


def test_goes_on_to_the_end_where_few_exceed() -> None:
    outcome = s.sequential_p(repetitions(*[i == 50 for i in range(99)]), 99, 10)
    assert outcome == (2 / 100, 1, 99, True)
    assert s.sequential_p(repetitions(*[False] * 99), 99, 10).p == 0.01


def test_says_nothing_before_it_is_finished() -> None:
    outcome = s.sequential_p([False] * 98, 99, 10)
    assert math.isnan(outcome.p) and (outcome.runs, outcome.finished) == (98, False)
    assert math.isnan(s.sequential_p([], 99, 10).p)


def test_a_p_so_small_comes_as_rarely_as_it_says() -> None:
    """Exactly, for a real result that is one of equals: over all places it may take among the repetitions."""
    runs, enough, levels = 19, 4, (0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
    rng = np.random.default_rng(1)
    draws = rng.random((20_000, runs + 1))
    found = np.array([s.sequential_p((row[1:] >= row[0]).tolist(), runs, enough).p for row in draws])
    for level in levels:
        assert np.mean(found <= level) <= level + 4 * math.sqrt(level * (1 - level) / len(draws))
    assert np.mean(found <= 0.05) == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize("argument", ["runs", "stop_after"])
def test_refuses_a_test_without_runs(argument: str) -> None:
    arguments = {"exceedances": [], "runs": 9, "stop_after": 2, argument: 0}
    with pytest.raises(InputError, match=f"{argument} = 0: expected a whole number from 1 on"):
        s.sequential_p(**arguments)
