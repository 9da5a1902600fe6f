"""The word follows from the tests that were made, and no number is said that was not computed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from islands.evidence.verdict import Luck, Unseen, judge, said_p, shown_p
from islands.spec import EvidenceSpec

RULES = EvidenceSpec()
LUCK = Luck(5_000, 0, 800.0, sharpe=4.0, expected=2.5, probability=0.97, probability_effective=0.99)
UNSEEN = Unseen(2.0, 0.001, 0.01, 0.002, 0.02, 0.4, champions=10, openings=1, opened_before=False)
NULLS = {"zero": 0.01, "real": 0.02}


def test_all_five_tests_passed_is_evidence() -> None:
    verdict = judge(LUCK, UNSEEN, NULLS, RULES)
    assert verdict.word == "evidence"
    assert [claim.passed for claim in verdict.claims] == [True] * 5


@pytest.mark.parametrize("without", range(1, 16))
def test_any_one_that_fails_is_no_evidence_and_any_one_missing_at_most_weak(without: int) -> None:
    """Each subset of tests fails, or is not made, in turn."""
    deflated, held, zero, real = (bool(without >> bit & 1) for bit in range(4))
    luck = replace(LUCK, probability_effective=0.9) if deflated else LUCK
    unseen = replace(UNSEEN, p_adjusted=0.06) if held else UNSEEN
    nulls = {"zero": 0.06 if zero else 0.01, "real": 0.06 if real else 0.01}
    assert judge(luck, unseen, nulls, RULES).word == "no evidence"
    missing = {"zero": None if zero else 0.01, "real": None if real else 0.01}
    word = judge(LUCK, None if held else UNSEEN, missing, RULES).word
    if not (held or zero or real):
        assert word == "evidence"
    else:
        assert word == ("no evidence" if held and (zero or real) else "weak")


def test_the_benchmark_counts_as_the_others_do() -> None:
    assert judge(LUCK, replace(UNSEEN, p_benchmark_adjusted=0.2), NULLS, RULES).word == "no evidence"


def test_bars_that_this_campaign_has_opened_before_earn_no_evidence() -> None:
    verdict = judge(LUCK, replace(UNSEEN, opened_before=True, openings=2), NULLS, RULES)
    assert verdict.word == "weak"
    assert any("2 openings" in claim.sentence and "sealed no more" in claim.sentence for claim in verdict.claims)


def test_an_unreadable_register_earns_no_evidence() -> None:
    assert judge(LUCK, replace(UNSEEN, openings=None), NULLS, RULES).word == "weak"


def test_the_level_of_the_spec_is_the_level() -> None:
    strict = EvidenceSpec(level=0.005)
    assert judge(LUCK, UNSEEN, NULLS, strict).word == "no evidence"
    assert judge(replace(LUCK, probability=0.8), UNSEEN, NULLS, EvidenceSpec(level=0.25)).word == "evidence"


def test_the_stricter_of_the_two_deflated_ratios_decides() -> None:
    for plain, effective in itertools.permutations((0.94, 0.99)):
        verdict = judge(replace(LUCK, probability=plain, probability_effective=effective), UNSEEN, NULLS, RULES)
        assert verdict.word == "no evidence"
        assert "94.0%" in verdict.claims[0].sentence


def test_undefined_is_not_passed() -> None:
    nan = float("nan")
    for luck in (
        replace(LUCK, probability=nan, probability_effective=nan),
        replace(LUCK, sharpe=nan, probability=nan, probability_effective=nan),
    ):
        verdict = judge(luck, UNSEEN, NULLS, RULES)
        assert verdict.word == "no evidence" and verdict.claims[0].passed is False
        assert "no Sharpe ratio is defined" in verdict.claims[0].sentence and "nan" not in verdict.claims[0].sentence


def test_trials_that_nobody_can_count_are_no_evidence() -> None:
    verdict = judge(None, UNSEEN, NULLS, RULES)
    assert verdict.word == "no evidence" and verdict.claims[0].passed is None


def test_each_sentence_has_its_numbers_and_what_was_not_computed_has_none() -> None:
    sentences = [claim.sentence for claim in judge(replace(LUCK, prior=300), UNSEEN, NULLS, RULES).claims]
    for sentence, figures in zip(
        sentences,
        (("5,000", "300", "800", "2.50", "4.00", "97.0%"), ("2.00", "0.001", "0.010", "10"), ("40%", "0.020")),
        strict=False,
    ):
        assert all(figure in sentence for figure in figures), sentence
    for claim in judge(LUCK, None, {}, RULES).claims[1:]:
        assert claim.passed is None
        assert not any(character.isdigit() for character in claim.sentence)


@pytest.mark.parametrize(
    ("exposure", "why"), [(0.0, "It did not trade"), (0.4, "Its returns do not vary"), (math.nan, "Its rule raised an error")]
)
@pytest.mark.parametrize("folds", [None, 4])
def test_without_a_ratio_there_the_tests_are_not_passed_and_no_figure_is_said(
    exposure: float, why: str, folds: int | None
) -> None:
    """Whatever stands where a p-value would."""
    verdict = judge(LUCK, replace(UNSEEN, sharpe=math.nan, exposure=exposure, folds=folds), NULLS, RULES)
    assert verdict.word == "no evidence"
    assert [claim.passed for claim in verdict.claims[1:3]] == [False, False]
    assert verdict.claims[1].sentence.startswith(f"{why} on the {'test' if folds else 'held-back'} bars")
    assert not any(character.isdigit() for claim in verdict.claims[1:3] for character in claim.sentence)
    assert not any("nan" in claim.sentence for claim in verdict.claims)


def test_no_p_value_is_0() -> None:
    verdict = judge(LUCK, replace(UNSEEN, p=0.0, p_adjusted=0.0, p_benchmark=0.0, p_benchmark_adjusted=4e-13), NULLS, RULES)
    assert verdict.word == "evidence"
    assert "comes with p < 1e-12, and with less than 1e-12 as 10 champions" in verdict.claims[1].sentence
    assert "p < 1e-12 there, adjusted less than 1e-12" in verdict.claims[2].sentence
    assert (said_p(2e-12), shown_p(2e-12), said_p(0.02)) == ("p = 2e-12", "2e-12", "p = 0.020")
