"""The families that can be evolved: a table of named, versioned kinds of strategy, each with genes and a signal."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from islands.errors import StrategyError
from islands.kernels import breakout, reversion, signals, trend
from islands.strategies.genome import Choice, Gene, Integer, Less, Real, Space, choice


@dataclass(frozen=True)
class Family:
    """A kind of strategy.

    genes: in the order of a genome's columns, `direction` last, with default values and default bounds of the search.
    constraints: rules between genes. warmup(genes by name) -> bars until the rule's decisions no longer depend on
    where the data begin: a window counts when it is full, a recursive average when its seed weighs under 1e-3.
    version changes whenever the same genome would decide otherwise. doc: the rule, exactly.
    """

    name: str
    version: int
    signal: signals.Signal
    genes: tuple[Gene, ...]
    constraints: tuple[Less, ...]
    warmup: Callable[[Mapping[str, float]], int]
    doc: str

    def gene(self, name: str) -> Gene:
        """The gene of that name.

        Raises:
            StrategyError: there is none.
        """
        for gene in self.genes:
            if gene.name == name:
                return gene
        raise StrategyError(
            f"family {self.name} has no gene {name!r}{nearest(name, [g.name for g in self.genes])}; "
            f"its genes are {', '.join(g.name for g in self.genes)}"
        )

    def space(self) -> Space:
        """The search space with the default bounds of every gene."""
        return Space(self, self.genes)


def nearest(name: str, known: list[str]) -> str:
    """The words that offer the nearest known name, or none."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _direction() -> Choice:
    return choice("direction", signals.DIRECTIONS, "both")


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="ema_crossover",
            version=1,
            signal=trend.ema_crossover,
            genes=(
                Integer("fast", 2, 60, 12),
                Integer("slow", 10, 240, 26),
                Real("band", 0.0, 0.01, 0.0, least=0.0, most=1.0),
                _direction(),
            ),
            constraints=(Less("fast", "slow"),),
            warmup=lambda g: math.ceil(3.5 * g["slow"]),
            doc="""Follows the faster of two exponential averages.

Averages of the close with alpha = 2/(span+1), seeded with the first close. Target +1 where fast > slow*(1+band), -1
where fast < slow*(1-band), else the previous target; 0 for t < slow-1. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="sma_trend",
            version=1,
            signal=trend.sma_trend,
            genes=(Integer("fast", 2, 60, 10), Integer("slow", 10, 240, 50), _direction()),
            constraints=(Less("fast", "slow"),),
            warmup=lambda g: int(g["slow"]),
            doc="""The sign of SMA(fast) - SMA(slow) of the close.

0 until both exist, and where they differ by no more than 1e-10*close. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="rsi_mean_reversion",
            version=1,
            signal=reversion.rsi_mean_reversion,
            genes=(
                Integer("period", 2, 40, 14),
                Real("entry", 5.0, 45.0, 30.0, step=0.5, least=0.0, most=100.0),
                Real("exit", 30.0, 80.0, 50.0, step=0.5, least=0.0, most=100.0),
                _direction(),
            ),
            constraints=(Less("entry", "exit"),),
            warmup=lambda g: 8 * int(g["period"]) + 1,
            doc="""Buys weakness and sells strength, by Wilder's RSI of the close.

RSI has its first value at t = period, from the plain means of the first `period` gains and losses. Flat and
rsi < entry: +1; long and rsi > exit: 0; flat and rsi > 100-entry: -1; short and rsi < 100-exit: 0. No new entry on the
bar of an exit; a bar without RSI (no gain or loss so far) is flat; the long entry is looked at first. Entries of the
side that `direction` forbids do not exist.""",
        ),
        Family(
            name="donchian_breakout",
            version=1,
            signal=breakout.donchian_breakout,
            genes=(Integer("entry", 5, 240, 20), Integer("exit", 2, 120, 10), _direction()),
            constraints=(Less("exit", "entry", gap=0.0),),
            warmup=lambda g: int(max(g["entry"], g["exit"])) + 1,
            doc="""Follows a close out of the channel of the bars before it, and leaves at a narrower channel.

The channels are the highest high and the lowest low of the `entry`, and of the `exit`, bars before t; bar t itself is
left out. At each close first the exit: long and close < exit low, or short and close > exit high: 0. Then the entry, on
the same bar too, so that a position may reverse: close > entry high: +1, close < entry low: -1. Else the previous
target; 0 for t < max(entry, exit). Entries of the side that `direction` forbids do not exist; as exit <= entry, the
exit channel lies within the entry channel, and a close that would be such an entry ends a position all the same.""",
        ),
        Family(
            name="bollinger_reversion",
            version=1,
            signal=reversion.bollinger_reversion,
            genes=(
                Integer("period", 5, 120, 20),
                Real("width", 0.5, 4.0, 2.0, step=0.1, least=0.0, most=100.0),
                _direction(),
            ),
            constraints=(),
            warmup=lambda g: int(g["period"]),
            doc="""Buys below and sells above Bollinger's bands, until the close is back at their middle.

middle is the mean of the last `period` closes, bar t included; lower and upper lie `width` standard deviations of the
population (ddof 0) from it; e = 1e-10*close. Flat and close < lower - e: +1; flat and close > upper + e: -1; long and
close >= middle - e: 0; short and close <= middle + e: 0; else the previous target; 0 for t < period-1. No new entry on
the bar of an exit. Entries of the side that `direction` forbids do not exist.""",
        ),
        Family(
            name="momentum",
            version=1,
            signal=trend.momentum,
            genes=(
                Integer("lookback", 2, 240, 20),
                Real("band", 0.0, 0.05, 0.0, least=0.0, most=1.0),
                _direction(),
            ),
            constraints=(),
            warmup=lambda g: int(g["lookback"]) + 1,
            doc="""The sign of the return over the last bars.

With r = close[t]/close[t-lookback] - 1: target +1 where r > band, -1 where r < -band, else the previous target; 0 for
t < lookback. The forbidden side of `direction` becomes 0.""",
        ),
    )
}


def families() -> list[str]:
    """Names of the families, in the order of the table."""
    return list(FAMILIES)


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        StrategyError: there is none.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        raise StrategyError(f"no family {name!r}{nearest(str(name), families())}; known: {', '.join(families())}")
    return FAMILIES[name]
