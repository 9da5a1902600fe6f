"""The families that can be evolved: a table of named, versioned kinds of strategy, each with genes and a signal.

A user's own family (`own.define_family`) is found by its address, "module:attribute". `register` also makes it known by its
name, in this process alone.
"""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from islands.errors import StrategyError
from islands.kernels import breakout, carry, reversion, signals, trend
from islands.market.tape import FUNDING
from islands.numerics import Probe
from islands.randomness import Purpose, stream
from islands.strategies.genome import Choice, Gene, Integer, Less, Real, choice
from islands.strategies.space import Space

if TYPE_CHECKING:
    from islands.kernels.batch import Market


@dataclass(frozen=True)
class Family:
    """A kind of strategy.

    genes: in the order of a genome's columns, `direction` last, with default values and default bounds of the search.
    constraints: rules between genes. warmup(genes by name) -> bars until the rule's decisions no longer depend on
    where the data begin: a window counts when it is full, a recursive average when its seed weighs under 1e-3.
    version changes whenever the same genome would decide otherwise. doc: the rule, exactly. needs: columns that bars may
    lack and this rule can't do without; its signal refuses bars without them. Of a user's own family alone: code, the
    digest of everything that decides what it does, its texts aside; trial, its signal with every index tested and its
    targets as the user's step returns them; longest, the entries of the longest array that its functions bring along.
    """

    name: str
    version: int
    signal: signals.Signal
    genes: tuple[Gene, ...]
    constraints: tuple[Less, ...]
    warmup: Callable[[Mapping[str, float]], int]
    doc: str
    needs: tuple[str, ...] = ()
    code: str = ""
    trial: signals.Signal | None = None
    longest: int = 0

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

    @property
    def probe(self) -> str | Probe:
        """How the numeric fingerprint probes it: a built-in by its name."""
        if self.trial is None:
            return self.name
        return Probe(self.name, self.code, self.enough_bars, FUNDING in self.needs, self.signal, self.samples(2))

    def samples(self, count: int) -> np.ndarray:
        """Genomes: its defaults, all lowest and all highest values, and `count` random ones, always the same."""
        default = np.array([[gene.default for gene in self.genes]])
        corners = [0] * len(self.genes), [gene.last for gene in self.genes]
        ends = np.array([[gene.at(np.asarray(end)) for gene, end in zip(self.genes, row, strict=True)] for row in corners])
        space = self.space()
        return np.vstack([default, space.repair(ends), space.founders(stream(3, purpose=Purpose.PROBE), count)])

    @property
    def enough_bars(self) -> int:
        """As many bars as show what it does: the warm-up of its search space and some more, within reason."""
        return min(400 + self.space().warmup, 4_000)


def nearest(name: str, known: list[str]) -> str:
    """The words that offer the nearest known name, or none."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def require_funding(market: Market, name: str) -> None:
    """Refuses bars that lack the funding that a family reads: every way to its positions does so in these words."""
    if market.funding_rate is None:
        raise StrategyError(
            f"family {name} needs the column {FUNDING}, which these bars do not have; join the funding to them "
            "(see docs/bars.md), or leave the family out"
        )


def _of_funding(market: Market, genomes: np.ndarray) -> tuple[Any, ...]:
    require_funding(market, "funding_carry")
    return carry.funding_carry.inputs(market, genomes)


def direction() -> Choice:
    """The gene that ends every genome: the side that a strategy may take."""
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
                direction(),
            ),
            constraints=(Less("fast", "slow"),),
            warmup=lambda g: math.ceil(3.5 * g["slow"]),
            doc="""Follows the faster of two exponential averages.

Averages of the close with alpha = 2/(span+1), seeded with the first close. Target +1 where fast > slow*(1+band), -1
where fast < slow*(1-band), else the previous target; 0 for t < slow-1. Averages within 1e-10 of each other are equal. The
forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="sma_trend",
            version=1,
            signal=trend.sma_trend,
            genes=(Integer("fast", 2, 60, 10), Integer("slow", 10, 240, 50), direction()),
            constraints=(Less("fast", "slow"),),
            warmup=lambda g: int(g["slow"]),
            doc="""The sign of SMA(fast) - SMA(slow) of the close.

0 until both exist, and where they differ by no more than 1e-10*close. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="rsi_mean_reversion",
            version=2,
            signal=reversion.rsi_mean_reversion,
            genes=(
                Integer("period", 2, 40, 14),
                Real("entry", 5.0, 45.0, 30.0, step=0.5, least=0.0, most=100.0),
                Real("exit", 30.0, 80.0, 50.0, step=0.5, least=0.0, most=100.0),
                direction(),
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
            genes=(Integer("entry", 5, 240, 20), Integer("exit", 2, 120, 10), direction()),
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
                direction(),
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
                direction(),
            ),
            constraints=(),
            warmup=lambda g: int(g["lookback"]) + 1,
            doc="""The sign of the return over the last bars.

With r = close[t]/close[t-lookback] - 1: target +1 where r > band, -1 where r < -band, else the previous target; 0 for
t < lookback. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="bollinger_breakout",
            version=1,
            signal=breakout.bollinger_breakout,
            genes=(
                Integer("period", 5, 120, 20),
                Real("width", 0.5, 4.0, 2.0, step=0.1, least=0.0, most=100.0),
                direction(),
            ),
            constraints=(),
            warmup=lambda g: int(g["period"]),
            doc="""Follows a close out of Bollinger's bands, until it is back at their middle.

middle is the mean of the last `period` closes, bar t included; lower and upper lie `width` standard deviations of the
population (ddof 0) from it; e = 1e-10*close. close > upper + e: +1; close < lower - e: -1, whatever the target was before;
else long and close <= middle + e: 0; short and close >= middle - e: 0; else the previous target; 0 for t < period-1. The
forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="keltner_breakout",
            version=1,
            signal=breakout.keltner_breakout,
            genes=(
                Integer("period", 5, 80, 20),
                Real("width", 0.25, 4.0, 1.5, step=0.05, least=0.0, most=100.0),
                direction(),
            ),
            constraints=(),
            warmup=lambda g: 8 * int(g["period"]) + 1,
            doc="""Follows a close out of Keltner's channel, until it is back at its middle.

middle is the exponential average of the close with alpha = 2/(period+1), seeded with the first close; lower and upper lie
`width` average true ranges from it. A bar's true range is the greatest of high - low, high - close[t-1] and close[t-1] -
low; Wilder's average is at t = period the plain mean of those of bars 1 to period, and after that previous + (true range -
previous)/period. e = 1e-10*close. close > upper + e: +1; close < lower - e: -1, whatever the target was before; else long
and close <= middle + e: 0; short and close >= middle - e: 0; else the previous target; 0 for t < period. The forbidden
side of `direction` becomes 0.""",
        ),
        Family(
            name="macd",
            version=1,
            signal=trend.macd,
            genes=(
                Integer("fast", 2, 60, 12),
                Integer("slow", 10, 160, 26),
                Integer("signal", 2, 40, 9),
                Real("band", 0.0, 0.005, 0.0, least=0.0, most=1.0),
                direction(),
            ),
            constraints=(Less("fast", "slow"),),
            warmup=lambda g: math.ceil(3.5 * (g["slow"] + g["signal"])),
            doc="""Follows MACD's line over or under its signal line.

fast and slow are exponential averages of the close with alpha = 2/(span+1), seeded with the first close; line = fast -
slow; signal is the exponential average of the line over `signal` bars, seeded with 0; h = line - signal; e = 1e-10*close.
h > band*close + e: +1; h < -band*close - e: -1, whatever the target was before; else long and h <= e: 0; short and h >=
-e: 0; else the previous target; 0 for t < slow+signal-2. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="stochastic",
            version=1,
            signal=reversion.stochastic,
            genes=(
                Integer("period", 3, 120, 14),
                Integer("smooth", 2, 10, 3, least=2.0, most=100.0),
                Real("entry", 5.0, 45.0, 20.0, step=0.5, least=0.0, most=100.0),
                Real("exit", 30.0, 95.0, 50.0, step=0.5, least=0.0, most=100.0),
                direction(),
            ),
            constraints=(Less("entry", "exit"),),
            warmup=lambda g: int(g["period"] + g["smooth"]) - 1,
            doc="""Buys a turn up out of weakness and sells a turn down out of strength, by the stochastic oscillator.

%K = 100*((close - L)/(H - L)), where H is the highest high and L the lowest low of the last `period` bars, bar t included,
and 0 where H = L; %D is the mean of %K over the last `smooth` bars; e = 1e-8. Flat and %K > %D + e and %D < entry - e: +1;
flat and %K < %D - e and %D > 100-entry + e: -1; long and %D >= exit - e: 0; short and %D <= 100-exit + e: 0; else the
previous target; 0 for t < period+smooth-2. No new entry on the bar of an exit. Entries of the side that `direction`
forbids do not exist. The cost of a bar grows with `smooth`.""",
        ),
        Family(
            name="ichimoku",
            version=1,
            signal=trend.ichimoku,
            genes=(
                Integer("tenkan", 3, 60, 9),
                Integer("kijun", 10, 120, 26),
                Integer("senkou", 20, 240, 52),
                direction(),
            ),
            constraints=(Less("tenkan", "kijun"),),
            warmup=lambda g: int(g["kijun"] + max(g["kijun"], g["senkou"])),
            doc="""Long above Ichimoku's cloud, short below it, where the tenkan agrees; flat otherwise.

M(n, s) is the middle, (highest high + lowest low)/2, of the n bars that end with bar s. tenkan = M(tenkan, t), kijun =
M(kijun, t). The cloud is the one that a chart draws at bar t, from s = t - kijun: it lies between A = (M(tenkan, s) +
M(kijun, s))/2 and B = M(senkou, s). e = 1e-10*close. tenkan > kijun + e and close > max(A, B) + e: +1; tenkan < kijun - e
and close < min(A, B) - e: -1; else 0; 0 for t < kijun + max(kijun, senkou) - 1. The forbidden side of `direction`
becomes 0.""",
        ),
        Family(
            name="vwap_reversion",
            version=1,
            signal=reversion.vwap_reversion,
            genes=(
                Integer("period", 5, 240, 24),
                Real("width", 0.5, 4.0, 2.0, step=0.1, least=0.0, most=100.0),
                direction(),
            ),
            constraints=(),
            warmup=lambda g: int(g["period"]),
            doc="""Buys below and sells above the average price weighted by volume, until the close is back at it.

vwap is the sum of (high+low+close)/3*volume over the last `period` bars, bar t included, divided by the sum of their
volumes; d is the standard deviation of the population (ddof 0) of their closes; e = 1e-10*close. close < vwap - width*d - e:
+1; close > vwap + width*d + e: -1, whatever the target was before; else long and close >= vwap - e: 0; short and close <=
vwap + e: 0; else the previous target; 0 for t < period-1. A bar whose window has no volume at all has no vwap and is flat,
so bars that are without volume throughout are never traded. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="kernel_trend",
            version=1,
            signal=trend.kernel_trend,
            genes=(
                Integer("bandwidth", 2, 21, 8, most=100.0),
                Real("band", 0.0, 0.005, 0.0, least=0.0, most=1.0),
                direction(),
            ),
            constraints=(),
            warmup=lambda g: trend.REACH * int(g["bandwidth"]) + 2,
            doc="""Follows the slope of a kernel regression of the close that looks back only.

The estimate at bar t is Nadaraya's and Watson's: the mean of the last n = 3*bandwidth+1 closes, bar t included, where the
close i bars back weighs exp(-i^2/(2*bandwidth^2)); s is the estimate less the one of the bar before; e = 1e-10*close. s >
band*close + e: +1; s < -band*close - e: -1, whatever the target was before; else long and s <= e: 0; short and s >= -e: 0;
else the previous target; 0 for t < n. The forbidden side of `direction` becomes 0. The cost of a bar grows with
`bandwidth`, to 64 closes at the bounds of the search.""",
        ),
        Family(
            name="zscore_reversion",
            version=1,
            signal=reversion.zscore_reversion,
            genes=(
                Integer("period", 5, 240, 20),
                Real("entry", 0.5, 4.0, 2.0, step=0.1, least=0.0, most=100.0),
                Real("exit", -1.0, 2.0, 0.5, step=0.1, least=-100.0, most=100.0),
                direction(),
            ),
            constraints=(Less("exit", "entry", gap=0.0),),
            warmup=lambda g: int(g["period"]),
            doc="""Buys a close far below its mean and sells one far above it, in standard deviations, until it is nearer.

m is the mean of the last `period` closes, bar t included, d their standard deviation (of the population, ddof 0), z =
(close - m)/d; e = 1e-10*close. z < -entry: +1; z > entry: -1, whatever the target was before; else long and z >= -exit: 0;
short and z <= exit: 0; else the previous target; 0 for t < period-1. All of it is compared as prices, so that d may be 0:
m - close > entry*d + e buys, close - m > entry*d + e sells, a long ends where m - close <= exit*d + e, a short where
close - m <= exit*d + e. An exit below 0 lies beyond the mean. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="volatility_breakout",
            version=1,
            signal=breakout.volatility_breakout,
            genes=(
                Integer("period", 2, 60, 14),
                Real("width", 0.25, 4.0, 1.0, step=0.05, least=0.0, most=100.0),
                Integer("hold", 1, 120, 10),
                direction(),
            ),
            constraints=(),
            warmup=lambda g: 8 * int(g["period"]) + 2,
            doc="""Follows a move from close to close that is large for the ranges of the bars before, for some bars.

ATR is Wilder's: a bar's true range is the greatest of high - low, high - close[t-1] and close[t-1] - low; the average is at
t = period the plain mean of those of bars 1 to period, and after that previous + (true range - previous)/period. With move
= close[t] - close[t-1] and edge = width*ATR[t-1] + 1e-10*close[t]: move > edge: +1; move < -edge: -1, whatever the target
was before; else the previous target, which ends `hold` bars after the last such move, to either side: made at bar s, it is
kept on bars s to s+hold-1. 0 for t <= period. The forbidden side of `direction` becomes 0.""",
        ),
        Family(
            name="funding_carry",
            version=1,
            signal=replace(carry.funding_carry, inputs=_of_funding),
            genes=(
                Integer("lookback", 8, 480, 72),
                Real("entry", 0.0, 0.001, 0.0002, least=0.0, most=1.0),
                Real("exit", 0.0, 0.0005, 0.0, least=-1.0, most=1.0),
                direction(),
            ),
            constraints=(Less("exit", "entry", gap=0.0),),
            warmup=lambda g: int(g["lookback"]),
            needs=(FUNDING,),
            doc="""Holds the side that funding pays: long where it has been below zero, short where above.

Needs bars with a funding_rate. m is the mean of the rates other than 0 on the last `lookback` bars, bar t included; a rate
is due at its bar's open, so it is known at the close. e = 1e-10. m < -entry - e: +1; m > entry + e: -1, whatever the target
was before; else long and m >= -exit - e: 0; short and m <= exit + e: 0; else the previous target. No rate on these bars: 0;
0 for t < lookback-1. The forbidden side of `direction` becomes 0.""",
        ),
    )
}


REGISTERED: dict[str, Family] = {}
"""Families of the user's own by name, as `register` was told in this process."""


def is_built_in(kind: Family) -> bool:
    """Whether it is one of the table above."""
    return FAMILIES.get(kind.name) is kind


def register(kind: Family) -> Family:
    """Makes a family of the user's own known by its name, the part of its address behind the colon, and returns it.

    First the gate tries it on made-up bars: where the later bars are others, or not there, the decisions of its default,
    lowest, highest and random genes must be the same, to the last bit. From then on `family(name)`, `families()` and
    `Strategy(name, ...)` know it in this process; other processes, a campaign's workers among them, find it by its address,
    `module:name`, which is what a campaign writes down. To register it again is nothing.

    Raises:
        StrategyError: it peeks (the bar and the genes that show it are named), or does not work otherwise; its name is that
            of a built-in, or is taken by other code.
    """
    if not isinstance(kind, Family):
        raise StrategyError(f"register: {kind!r} is a {type(kind).__name__}: expected a family, as isl.define_family makes one")
    name = kind.name.rpartition(":")[2]
    if not name.isidentifier():
        raise StrategyError(f"register: family {kind.name!r}: expected a name such as Python takes for a variable")
    if name in FAMILIES:
        raise StrategyError(f"register: {name} is a built-in family, which keeps its name; give yours another")
    known = REGISTERED.get(name)
    if known is not None and known is not kind and (known.name, known.code) != (kind.name, kind.code or None):
        raise StrategyError(
            f"register: {name} is registered already, as {known.name} with code {known.code[:12] or 'made by hand'}; this is "
            f"{kind.name} with {kind.code[:12] or 'code made by hand'}; give it another name, or start Python anew"
        )
    REGISTERED[name] = family(kind)
    return kind


def families() -> list[str]:
    """Names of the families: the built-in ones in the order of their table, then those that were registered."""
    return [*FAMILIES, *REGISTERED]


def family(name: str | Family) -> Family:
    """The family of that name, or of that address, "module:attribute", which imports the module; a family is itself.

    A family that is not built in is tried before its first use: see `gate`.

    Raises:
        StrategyError: there is none, or it does not pass.
    """
    kind = find(name)
    if not is_built_in(kind):
        from islands.strategies.gate import require_sound  # the gate needs numba at work; a table does not

        require_sound(kind)
    return kind


def find(name: str | Family) -> Family:
    """As `family`, without a trial.

    Raises:
        StrategyError: there is none.
    """
    if isinstance(name, Family):
        return name
    if isinstance(name, str) and ":" in name:
        return _at_address(name)
    if isinstance(name, str) and (name in FAMILIES or name in REGISTERED):
        return FAMILIES.get(name) or REGISTERED[name]
    raise StrategyError(f"no family {name!r}{nearest(str(name), families())}; known: {', '.join(families())}")


def address_of(name: str) -> str:
    """The name by which other processes find a family: of one that was registered here its address, else the name itself."""
    return REGISTERED[name].name if name in REGISTERED else name


def _at_address(address: str) -> Family:
    module, _, attribute = address.partition(":")
    if module == "__main__":
        raise StrategyError(
            f"family {address!r} is defined in the script that runs, which no other process can import; put it into a "
            f'module of its own, and name it by that: "mymodule:{attribute}"'
        )
    if not all(part.isidentifier() for part in module.split(".")):
        raise StrategyError(f'family {address!r}: {module!r} is no name of a module; a family is named "mymodule:{attribute}"')
    try:
        members = vars(importlib.import_module(module))
    except ImportError as error:
        raise StrategyError(
            f"family {address!r}: {error}; its module must be importable here and on every worker: start in its folder, or "
            "put that on PYTHONPATH"
        ) from None
    except StrategyError:
        raise
    except Exception as error:
        raise StrategyError(f"family {address!r}: importing {module} raises {type(error).__name__}: {error}") from error
    found = members.get(attribute)
    if not isinstance(found, Family):
        known = [name for name, value in members.items() if isinstance(value, Family)]
        what = f"is a {type(found).__name__}, not a family" if attribute in members else "is not there"
        raise StrategyError(
            f"family {address!r}: {attribute} {what}{nearest(attribute, known)}; "
            f"families in {module}: {', '.join(known) or 'none'}"
        )
    if found.name != address:
        raise StrategyError(
            f"family {address!r} is {found.name!r}; name it by that, and assign it to a variable of that name; where a "
            "function of another module makes it, give define_family module=__name__ of this one"
        )
    return found
