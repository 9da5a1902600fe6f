"""Is it luck? The rules, and the sentence that each figure comes to. docs/evidence.md has them in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from islands.spec import EvidenceSpec

Word = Literal["no evidence", "weak", "evidence"]

NULLS = {
    "zero": "on bars whose moves have random signs and no drift",
    "real": "on bars whose moves have random signs and the real drift",
}


SMALLEST_P = 1e-12
"""One less a probability has no digits below 1e-16, and an adjusted p-value is a multiple of one: smaller ones are not told."""


@dataclass(frozen=True)
class Luck:
    """A champion against the luck of its search, on the bars of evolution; Sharpe ratios per year, NaN of one that has none.

    trials, prior, elsewhere: see `Search`. probability: its deflated Sharpe ratio; stricter: the smaller of that by all
    trials and that by the effective number.
    """

    trials: int
    prior: int
    effective: float
    sharpe: float
    expected: float
    probability: float
    probability_effective: float
    elsewhere: int = 0

    @property
    def stricter(self) -> float:
        return min(self.probability, self.probability_effective)


@dataclass(frozen=True)
class Unseen:
    """A champion on the held-back bars. p, p_benchmark: by themselves; the adjusted ones by Holm over champions times openings.

    openings: of these bars, this one included, None where the register could not be read. opened_before: whether this
    very search has opened them in an earlier state, as another fork or under another name, or whether a strategy that it
    began with was looked at there. elsewhere: strategies that other campaigns had tried on these bars. folds: of a
    champion of a fold, on its test parts, how many folds there are, of which each has as many champions: those bars are not
    sealed, as other folds are evolved on them, and `openings` says nothing. sharpe: NaN of one that did not trade there, or
    that raised there, where exposure is NaN as well; p and p_benchmark are then 1.
    """

    sharpe: float
    p: float
    p_adjusted: float
    p_benchmark: float
    p_benchmark_adjusted: float
    exposure: float
    champions: int
    openings: int | None
    opened_before: bool
    elsewhere: int = 0
    folds: int | None = None


@dataclass(frozen=True)
class Claim:
    """One test: whether it was passed, None where it was not made, and what it says."""

    name: str
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """word, and the claims behind it, each a plain sentence with its number."""

    word: Word
    claims: tuple[Claim, ...]


def judge(luck: Luck | None, unseen: Unseen | None, nulls: Mapping[str, float | None], rules: EvidenceSpec) -> Verdict:
    """What a champion's figures come to.

    "evidence": the deflated Sharpe ratio, both nulls, the adjusted p-value on held-back bars and that against holding the
    same exposure all pass, and this campaign has not looked at these bars before. "weak": the deflated Sharpe ratio passes
    and so does everything else that was computed, held-back bars or both nulls among it. "no evidence": all else.

    luck: None where the trials could not be counted. nulls: p-values by drift, None where that null was not run (to its end).
    """
    claims = (_deflated(luck, rules), *_held_back(unseen, rules), *(_null(name, nulls.get(name), rules) for name in NULLS))
    passed = {claim.name: claim.passed for claim in claims}
    tested = [value for value in passed.values() if value is not None]
    nulled = all(passed[f"null {name}"] for name in NULLS)
    if not passed["deflated"] or not all(tested) or not (passed["held back"] or nulled):
        return Verdict("no evidence", claims)
    sealed = unseen is not None and unseen.openings is not None and not unseen.opened_before and unseen.folds is None
    return Verdict("evidence" if len(tested) == len(claims) and sealed else "weak", claims)


def _deflated(luck: Luck | None, rules: EvidenceSpec) -> Claim:
    if luck is None:
        return Claim("deflated", None, "The ledger is damaged, so that nobody can tell how many strategies were tried")
    if math.isnan(luck.sharpe) or math.isnan(luck.stricter):
        sentence = "On the bars of evolution its returns do not vary, so that no Sharpe ratio is defined there"
        return Claim("deflated", False, f"{luck.trials:,} strategies were tried. {sentence} and the test is not passed")
    passed = luck.stricter >= 1.0 - rules.level
    prior = f" and {luck.prior:,} before" if luck.prior else ""
    prior += f" and {luck.elsewhere:,} by other campaigns on these bars" if luck.elsewhere else ""
    return Claim(
        "deflated",
        passed,
        f"{luck.trials:,} strategies were tried{prior}, which amount to {luck.effective:,.0f} independent ones: the best of so "
        f"many without any worth is expected at a Sharpe ratio of {luck.expected:.2f}, this one has {luck.sharpe:.2f}; the "
        f"probability that it is better than that luck is {luck.stricter:.1%}"
        + ("" if passed else f", and {1.0 - rules.level:.0%} is asked for"),
    )


def _held_back(unseen: Unseen | None, rules: EvidenceSpec) -> tuple[Claim, Claim]:
    if unseen is None:
        return (
            Claim("held back", None, "No bars were held back, or they are not opened yet"),
            Claim("benchmark", None, "Without held-back bars it can't be held against holding the instrument"),
        )
    if unseen.folds is not None:
        return _tested(unseen, unseen.folds, rules), _benchmark(unseen, rules)
    looks = "an unknown number of openings" if unseen.openings is None else _times(unseen.openings)
    champions = "one champion was" if unseen.champions == 1 else f"{unseen.champions} champions were"
    before = f", after {unseen.elsewhere:,} strategies that other campaigns had tried" if unseen.elsewhere else ""
    again = (
        "; these bars had been opened before by this search, in an earlier state, as another fork or under another name, or "
        "on a strategy that it began with: they are sealed no more" * unseen.opened_before
    )
    nothing = _nothing(unseen, "held-back bars")
    sentence = nothing or (
        f"On the held-back bars its Sharpe ratio is {unseen.sharpe:.2f}: by chance alone one so large comes with "
        f"{said_p(unseen.p)}, and with {shown_p(unseen.p_adjusted)} as {champions} looked at and {looks} "
        f"of these bars {'is' if unseen.openings == 1 else 'are'} on record{before}"
    )
    return (
        Claim("held back", nothing is None and unseen.p_adjusted <= rules.level, sentence + again),
        _benchmark(unseen, rules),
    )


def _tested(unseen: Unseen, folds: int, rules: EvidenceSpec) -> Claim:
    champions = "one champion" if unseen.champions == 1 else f"{unseen.champions} champions"
    nothing = _nothing(unseen, "test bars")
    sentence = nothing or (
        f"On its test bars, which its fold never saw, its Sharpe ratio is {unseen.sharpe:.2f}: by chance alone one so large "
        f"comes with {said_p(unseen.p)}, and with {shown_p(unseen.p_adjusted)} as {champions} of this fold and as many of "
        f"each other, of {folds} in all, were looked at; test bars are not sealed, since other folds are evolved on them"
    )
    return Claim("held back", nothing is None and unseen.p_adjusted <= rules.level, sentence)


def _nothing(unseen: Unseen, bars: str) -> str | None:
    """Why a champion has no Sharpe ratio on these bars; None where it has one."""
    if not math.isnan(unseen.sharpe):
        return None
    if math.isnan(unseen.exposure):
        return f"Its rule raised an error on the {bars}, so that nothing is known of it there and the test is not passed"
    what = "It did not trade" if unseen.exposure == 0.0 else "Its returns do not vary"
    return f"{what} on the {bars}, so that no Sharpe ratio is defined there and the test is not passed"


def _benchmark(unseen: Unseen, rules: EvidenceSpec) -> Claim:
    if math.isnan(unseen.sharpe):
        return Claim("benchmark", False, "So it can't be held against holding its own average exposure there, either")
    return Claim(
        "benchmark",
        unseen.p_benchmark_adjusted <= rules.level,
        f"Against holding {unseen.exposure:.0%} of the account in the market throughout, its own average, "
        f"{said_p(unseen.p_benchmark)} there, adjusted {shown_p(unseen.p_benchmark_adjusted)}",
    )


def _null(name: str, p: float | None, rules: EvidenceSpec) -> Claim:
    where = NULLS[name]
    if p is None:
        return Claim(f"null {name}", None, f"The search has not been repeated {where}")
    return Claim(f"null {name}", p <= rules.level, f"The whole search repeated {where} reaches as much with {said_p(p)}")


def shown_p(p: float) -> str:
    """A p-value for a sentence; one below SMALLEST_P is said to be below it, as none is 0."""
    if p < SMALLEST_P:
        return f"less than {SMALLEST_P:g}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def said_p(p: float) -> str:
    """The same with its name: "p = 0.020"."""
    return f"p < {SMALLEST_P:g}" if p < SMALLEST_P else f"p = {shown_p(p)}"


def _times(count: int) -> str:
    return "one opening" if count == 1 else f"{count} openings"
