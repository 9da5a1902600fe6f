"""What stands beside a verdict and changes none: how far a champion's figures may move, whether the choice among strategies
was overfitted, and whether any champion is superior where it was not chosen.

Everything is a pure function of the campaign: resampling draws from streams of its seed, the same for every champion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from islands.archipelago.tally import Tally
from islands.evaluation import metrics
from islands.evidence.champions import Champion
from islands.evidence.findings import held_back_pace, held_back_returns, periods_per_year_of, sample_returns, seen_returns
from islands.evidence.given import Floats
from islands.evidence.overfitting import cscv
from islands.evidence.resampling import bootstrap_intervals, stepwise_spa
from islands.evidence.surrogates import Kind
from islands.evidence.verdict import NULLS, said_p
from islands.evolution.world import World
from islands.market.bars import Bars

CONFIDENCE = 0.9
"""How much of what resampling gives lies within an interval."""

DRAWS, FEWEST_DRAWS = 300, 100
"""Stationary bootstraps of a champion's returns: so many, down to so few where the bars are many, ..."""

DRAWN = 20_000_000
"""... since no more bars are drawn than this, of one part for all champions: 1 to 2 s. Then the last ones have none."""

TESTS, TESTED = 1_000, 10_000_000
"""Draws of a test for superior ability, and fewer, `FEWEST_DRAWS` at least, where these were more bars than that."""

TRIALS, FOUNDERS, SAMPLED_RETURNS = 1_000, 200, 5_000_000
"""Trials among which a choice is made, and founders, and fewer, 20 at least, where either were more returns than that."""

BLOCKS, FEWEST_ROWS = 12, 10
"""Blocks that the bars of evolution are cut into, 924 ways to halve them, and the bars that each has at least."""

FEWEST_BARS = 8
"""What resampling takes at least."""


REORDERED = {
    "phases": "on the real bars in another order, in which returns keep their autocorrelation alone (randomised phases)",
    "blocks": "on the real bars drawn anew in blocks, within which all that they remember is kept (stationary bootstrap)",
}
"""What a search was repeated on that enters no verdict."""


@dataclass(frozen=True)
class Note:
    """One diagnostic: its numbers by name, and what they say. There is none of what was not computed."""

    name: str
    figures: Mapping[str, float]
    sentence: str


@dataclass(frozen=True)
class Beside:
    """search: notes on all champions together. champions: on each, in the order of the verdicts."""

    search: tuple[Note, ...]
    champions: tuple[tuple[Note, ...], ...]


@dataclass(frozen=True)
class _Part:
    """Pooled returns of champions on one part of the bars, None of one that could not be run there; a year's periods."""

    name: str
    returns: list[Floats | None]
    pace: float
    chosen: bool


def beside(world: World, champions: Sequence[Champion], tried: Tally, bars: Mapping[str, Bars] | None) -> Beside:
    """The diagnostics of a finished campaign.

    tried: its trials, as its ledger has them. bars: all of each instrument, where the held-back ones have been opened; None
    where they have not, which nothing then looks at.

    "overfitting" (of the search) is the probability of backtest overfitting of choosing among a sample of all trials and the
    champions, and among founders alone, by `cscv`. "evolution" and "held back" (of a champion) are the intervals of
    `bootstrap_intervals`, Sharpe ratios per year. "superior" (of both) has p-values of `stepwise_spa` on the held-back bars,
    of which the smallest is that of `spa`.
    """
    seen: list[Floats | None] = [seen_returns(world, champion) for champion in champions]
    length = max((len(series) for series in seen if series is not None), default=0)
    parts = [_Part("evolution", seen, periods_per_year_of(world, length), chosen=True)]
    superior: list[Note | None] = [None] * (1 + len(champions))
    if bars is not None:
        unseen = [_held_back(world, champion, bars) for champion in champions]
        own = [pair[0] if pair else None for pair in unseen]
        length = max((len(series) for series in own if series is not None), default=0)
        if length >= FEWEST_BARS:
            parts.append(_Part("held back", own, held_back_pace(world, length, bars), chosen=False))
            superior = _superior(unseen, world.spec.seed)
    notes = [*zip(*(_intervals(part, world.spec.seed) for part in parts), strict=True)]
    search = _overfitting(world, seen, tried), superior[0]
    return Beside(_computed(search), tuple(_computed((*each, superior[i + 1])) for i, each in enumerate(notes)))


def with_diagnostics(found: Beside, p_values: Sequence[Mapping[str, float | None]]) -> Beside:
    """The same with a note on each of REORDERED on which the search was repeated. p_values: of each champion, by kind."""
    return _with(found, [[_reordered(kind, p) for kind in REORDERED if (p := ps.get(kind)) is not None] for ps in p_values])


def with_more_runs(
    found: Beside, p_values: Sequence[Mapping[str, float | None]], runs: Mapping[Kind, int], fixed: int
) -> Beside:
    """The same with a note on each null that was run more often than the spec fixed. p_values: of all its `runs`, by kind."""
    return _with(
        found, [[_more(kind, p, runs[kind], fixed) for kind in runs if (p := ps.get(kind)) is not None] for ps in p_values]
    )


def _with(found: Beside, added: Sequence[Sequence[Note]]) -> Beside:
    return replace(found, champions=tuple((*notes, *more) for notes, more in zip(found.champions, added, strict=True)))


def _more(kind: Kind, p: float, runs: int, fixed: int) -> Note:
    return Note(
        f"more {kind}",
        {"p": p, "runs": float(runs)},
        f"All {runs:,} runs of the search {NULLS[kind]} reach as much with {said_p(p)}: a diagnostic, since the spec fixed "
        f"{fixed:,} of them before anybody had looked, and those alone enter the verdict",
    )


def _reordered(kind: str, p: float) -> Note:
    return Note(
        kind,
        {"p": p},
        f"The whole search repeated {REORDERED[kind]} reaches as much with {said_p(p)}: a diagnostic, since what is kept "
        "there a strategy may exploit",
    )


def _computed(notes: Sequence[Note | None]) -> tuple[Note, ...]:
    return tuple(note for note in notes if note is not None)


def _held_back(world: World, champion: Champion, bars: Mapping[str, Bars]) -> tuple[Floats, Floats] | None:
    """A champion's returns there and those of its benchmark; None of one that did not trade there, or whose rule raises."""
    try:
        own, steady, _ = held_back_returns(world, champion, bars)
    except Exception:
        return None
    return (own, steady) if own.any() else None


def _intervals(part: _Part, seed: int) -> list[Note | None]:
    """For each champion; None where nothing varies, or where there would be too much to draw."""
    length = max(len(series) for series in part.returns if series is not None)
    if length < FEWEST_BARS:
        return [None] * len(part.returns)
    draws = min(DRAWS, max(FEWEST_DRAWS, DRAWN // (length * len(part.returns))))
    most = max(1, DRAWN // (draws * length))
    return [
        _interval(part, series, seed, draws) if series is not None and rank < most else None
        for rank, series in enumerate(part.returns)
    ]


def _interval(part: _Part, returns: Floats, seed: int, draws: int) -> Note | None:
    found = bootstrap_intervals(returns, seed=seed, confidence=CONFIDENCE, replications=draws)
    own, year = metrics(returns, part.pace), math.sqrt(part.pace)
    if math.isnan(found.sharpe.low) or math.isnan(own["sharpe"]):
        return None
    figures = {
        "sharpe": own["sharpe"],
        "sharpe_low": found.sharpe.low * year,
        "sharpe_high": found.sharpe.high * year,
        "max_drawdown": own["max_drawdown"],
        "max_drawdown_low": found.max_drawdown.low,
        "max_drawdown_high": found.max_drawdown.high,
        "confidence": CONFIDENCE,
        "block": found.block,
        "draws": float(draws),
    }
    where = "bars of evolution" if part.chosen else "held-back bars"
    return Note(
        part.name,
        figures,
        f"On the {where}, drawn anew {draws} times in blocks of {found.block:.1f} bars on average, {CONFIDENCE:.0%} of its "
        f"Sharpe ratios lie from {figures['sharpe_low']:.2f} to {figures['sharpe_high']:.2f} (as it is "
        f"{figures['sharpe']:.2f}) and of its drawdowns from {found.max_drawdown.low:.1%} to {found.max_drawdown.high:.1%} "
        f"(as it is {own['max_drawdown']:.1%})" + ("; the luck of being chosen there is still in them" if part.chosen else ""),
    )


def _overfitting(world: World, champions: Sequence[Floats | None], tried: Tally) -> Note | None:
    """None with fewer than two founders that move, or too few bars."""
    founders = sample_returns(world, tried.founders, FOUNDERS, SAMPLED_RETURNS)
    if len(founders) < 2 or founders.shape[1] < BLOCKS * FEWEST_ROWS:
        return None
    sample = _distinct(sample_returns(world, tried.sample, TRIALS, SAMPLED_RETURNS))
    chosen = _distinct([*sample, *(series for series in champions if series is not None)])
    together, alone = cscv(np.array(chosen).T, BLOCKS), cscv(founders.T, BLOCKS)
    figures = {
        "pbo": together.pbo,
        "pbo_founders": alone.pbo,
        "strategies": float(len(chosen)),
        "trials": float(len(sample)),
        "founders": float(len(founders)),
        "blocks": float(BLOCKS),
        "splits": float(len(together.logits)),
    }
    return Note(
        "overfitting",
        figures,
        f"The bars of evolution, cut into {BLOCKS} blocks, can be halved in {len(together.logits)} ways: the best of "
        f"{len(chosen):,} strategies in one half ({len(sample):,} that trade, each its own way, of a sample of the "
        f"{tried.distinct:,} trials, and the champions) is no better than their median in the other in {together.pbo:.0%} of "
        f"them, where noise gives 50%; evolution chose on both halves, which favours what it bred, and of {len(founders)} "
        f"founders alone, whom nothing had selected, it is {alone.pbo:.0%}",
    )


def _distinct(columns: Iterable[Floats]) -> list[Floats]:
    """Each series of returns once: trials that differ in genes alone are one choice."""
    return list({series.tobytes(): series for series in columns}.values())


def _superior(unseen: Sequence[tuple[Floats, Floats] | None], seed: int) -> list[Note | None]:
    """Of all champions together, then of each where there are several. unseen: as of `_held_back`, one at least not None."""
    ranks = [rank for rank, pair in enumerate(unseen) if pair is not None]
    own, steady = (np.column_stack([pair[i] for pair in unseen if pair is not None]) for i in (0, 1))
    draws = min(TESTS, max(FEWEST_DRAWS, TESTED // len(own)))
    flat, holding = (stepwise_spa(own, other, seed=seed, replications=draws) for other in (0.0, steady))
    several = len(ranks) > 1
    whether = f"whether any of {_champions(len(ranks))} is" if several else "whether the champion is"
    notes: list[Note | None] = [None] * (1 + len(unseen))
    notes[0] = _test(f"Hansen's test on the held-back bars, {whether}", float(flat.min()), float(holding.min()), draws)
    for place, rank in enumerate(ranks if several else ()):
        what = f"Hansen's test on the held-back bars, step by step for each of {_champions(len(ranks))}, whether this one is"
        notes[1 + rank] = _test(what, float(flat[place]), float(holding[place]), draws)
    return notes


def _test(what: str, flat: float, holding: float, draws: int) -> Note:
    return Note(
        "superior",
        {"p_flat": flat, "p_holding": holding, "draws": float(draws)},
        f"{what} really better than staying flat gives {said_p(flat)}, and than holding its own average exposure "
        f"throughout {said_p(holding)} ({draws} draws, not adjusted for openings of these bars)",
    )


def _champions(number: int) -> str:
    return "one champion" if number == 1 else f"{number} champions"
