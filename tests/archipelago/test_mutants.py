"""What the simulation is worth: defects of one changed line each, in the real modules, all of which it finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from simulation import mutants, schedule
from simulation.mutants import FRESH, MUTANTS, Mutant, found_after, simulation_of
from simulation.schedule import Violation

from islands.archipelago import journal

SIMULATED = ("archipelago/test_mutants.py", "archipelago/test_simulation.py")
NAMED = {
    "entry before blobs",
    "rename instead of link",
    "an existing torn blob is skipped",
    "no token check",
    "replay with the wrong immigrants",
    "unsorted migrants",
    "ledger rows before the commit",
    "a stale collector",
    "lost emigrants at delay 2",
    "lost lead bound",
}
"""The ways to get it wrong that one thinks of first, which may not go missing."""


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_within_two_thousand_schedules(mutant: Mutant) -> None:
    found = found_after(mutant, 2_000)
    assert found is not None
    assert found[1].startswith("seed ")


def test_each_mutant_is_one_line_of_a_module_as_it_is() -> None:
    for mutant in MUTANTS:
        assert mutant.changed != mutant.line
        assert "\n" not in mutant.changed
        compile(mutant.source(), mutant.name, "exec")
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_twenty_mutants_and_more_are_seen_by_no_other_test_and_of_the_others_one_is_named() -> None:
    """That it is so, `python -m benchmarks mutants` shows, which takes hours."""
    unseen = {mutant.name for mutant in MUTANTS if not mutant.seen_by}
    assert NAMED.issubset(unseen)
    assert len(unseen) >= 20
    tests = Path(__file__).parents[1]
    for mutant in MUTANTS:
        if mutant.seen_by:
            file, _, function = mutant.seen_by.partition("::")
            assert file not in SIMULATED
            assert f"def {function.partition('[')[0]}(" in (tests / file).read_text(encoding="utf-8")


def test_a_mutant_whose_line_is_gone_says_so() -> None:
    gone = Mutant("of former times", "islands.archipelago.journal", "this line is nowhere", "pass")
    with pytest.raises(LookupError, match=r"'of former times': islands.archipelago.journal holds its line 0 times"):
        gone.source()


@pytest.mark.slow
def test_a_line_changed_into_itself_is_not_found_and_nothing_of_a_mutant_stays() -> None:
    line = MUTANTS[0].line
    before = {name: sys.modules[name] for name in FRESH}
    assert found_after(Mutant("none", MUTANTS[0].module, line, line), 40) is None
    with pytest.raises(ZeroDivisionError), simulation_of(MUTANTS[0]) as simulation:
        assert simulation is not schedule
        raise ZeroDivisionError
    assert {name: sys.modules[name] for name in FRESH} == before
    assert sys.modules["islands.archipelago"].journal is journal
    assert mutants.HERE == "simulation"
    assert issubclass(Violation, AssertionError)
