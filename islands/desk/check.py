"""What the gate tried of a family, in plain words: for `islands check-family`."""

from __future__ import annotations

from islands.market.bars import Bars
from islands.strategies.families import Family
from islands.strategies.gate import Tried, trial_genomes, try_family, try_on


def checked(kind: Family) -> str:
    """Tries a family on made-up bars, and says how.

    Raises:
        StrategyError: it peeks, or does not work otherwise.
    """
    tried = try_family(kind)
    way = "at every bar" if kind.trial is not None else "at some bars"
    return (
        f"made-up bars: {_genomes(tried)}, over series of {tried.fewest:,} to {tried.most:,} bars; {way} the later ones were "
        f"changed, or not there: {_runs(tried)}{_unmoved(tried)}"
    )


def checked_on(kind: Family, bars: Bars) -> str:
    """Tries a family on bars of the user's, and says how.

    Raises:
        StrategyError: it peeks, or these bars lack a column that it needs.
    """
    tried = try_on(kind, bars.tape, trial_genomes(kind))
    return (
        f"{bars.name}: {_genomes(tried)}, over {tried.most:,} bars; at some of those where the target changes, and at others, "
        f"the later ones were changed, or not there: {_runs(tried)}{_unmoved(tried)}"
    )


def _genomes(tried: Tried) -> str:
    return f"{tried.genomes} genomes, the defaults, the lowest, the highest and others at random"


def _runs(tried: Tried) -> str:
    return f"{tried.runs:,} runs, {tried.compared:,} decisions compared, no difference"


def _unmoved(tried: Tried) -> str:
    return "" if tried.moved else "; but no target ever changed, so they show nothing of the rule"
