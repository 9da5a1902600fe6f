"""The gate: a family that is not built in is tried before its first use, so that it does not peek, crash or guess.

Its step is compiled with every index tested and run over made-up bars, for its defaults, the lowest and highest genes, some
random ones, and every option of its choices in each direction. Then it runs again as in life: at each bar the later ones
are others, or NaN, or not there, and are put right one by one. Its targets must be the same to the last bit at every bar.
That finds close[t + 1], and close[t - 5] before bar 5 too, which is an index from the end of the data. All that happens on
bars past the warm-up, on many more, with other prices and volumes, as a rule may ask for them, and where prices leap and
volumes burst; by its defaults on 50,000; and on more bars than any array of its own has entries, as one with an entry a bar
was made before the run, from later bars perhaps.

A family whose signal was made by hand may make its inputs from all bars at once. It is run whole, many times: where the data
end early (prefix equality), and where they go on otherwise (future perturbation), by its defaults at each of 2,500 bars in a
row, so that one which looks ahead at each hundredth or thousandth bar is found, and at some of 50,000. So is any family on
real bars, at some of them.

A step that never ends would keep its author waiting for ever: each run has a limit, past which the family is refused.

What passed is remembered, of `define_family`'s beside the compiled kernels, by the digest of the family's code.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from islands.deadline import Endless, in_time
from islands.errors import IslandsWarning, StrategyError
from islands.kernels import batch
from islands.kernels.compile import checked_kernel, frozen, is_remembered, remember
from islands.kernels.own import BarArrays, FundedBarArrays
from islands.market.tape import FUNDING
from islands.numerics import rough_market
from islands.randomness import Purpose, stream
from islands.strategies.families import Family, is_built_in
from islands.strategies.genome import Choice, Integer

if TYPE_CHECKING:
    from islands.kernels.batch import Market

LIMIT_S = 600.0
"""So long may one run of a step over a trial's bars take, which is some milliseconds; a cold compilation is in the first."""

_PASSED: set[str | Family] = set()
_NOBODYS = -7.25e300  # no rule's target: marks the bars that a run did not reach
_FEW = 8  # a whole gene of so few values may be a choice in disguise
_MOST_BARS = 50_000  # of a trial: a warm-up beyond it is not tried to its end
_LONG = 10_000  # trials of more bars have other prices and volumes only where nothing happened
_MOST_TABLE = 2_000_000  # bars of a trial that is to be longer than an array of the family's own
_MANY_CUTS = 32  # among all bars and among those at which the target changes
_FEW_CUTS = 4  # on real bars, where they are many
_CUT_BARS = 1_000_000  # on real bars, over all of one kind of cuts, where that leaves so many
_CHANGES: Sequence[float] = (4.0, 0.25, np.nan)


class _World(NamedTuple):
    """How made-up bars are made: so many past the warm-up, with prices and volumes times these; leaps: every few bars the
    price leaps by up to a half, or the volume by up to a thousandfold."""

    bars: int = 400
    prices: float = 1.0
    volumes: float = 1.0
    leaps: bool = False

    def __str__(self) -> str:
        times = [f"{name} x {by:g}" for name, by in (("prices", self.prices), ("volumes", self.volumes)) if by != 1.0]
        times += ["with leaps"] * self.leaps
        return f", {', '.join(times)}," if times else ""


_FIRST = _World()
_OTHERS = (
    _World(bars=5_000),
    _World(prices=2.0**-7),
    _World(prices=2.0**7),
    _World(volumes=2.0**10),
    _World(volumes=2.0**-10),
    _World(bars=1_000, leaps=True),
)
_LAST = _World(bars=50_000)  # for the defaults, and for what did nothing before
_DENSE = _World(bars=2_500)  # at each bar of which a family that is run whole is cut, by its defaults


@dataclass
class Tried:
    """What a family went through without a difference.

    genomes: how many. fewest, most: bars of the series. runs: over bars of which the later ones were changed, or not there.
    compared: decisions. moved: whether the target changed at all.
    """

    genomes: int
    fewest: int = 0
    most: int = 0
    runs: int = 0
    compared: int = 0
    moved: bool = False

    def count(self, bars: int, runs: int, compared: int, moved: bool) -> None:
        """Adds the runs of one genome over one series."""
        self.fewest, self.most = min(self.fewest or bars, bars), max(self.most, bars)
        self.runs, self.compared, self.moved = self.runs + runs, self.compared + compared, self.moved or moved


def require_sound(kind: Family) -> None:
    """Tries a family that is not built in, once.

    Raises:
        StrategyError: numba can't compile it; at some bar it reads what it must not, raises, or returns no finite target
            (NaN is flat); or it decides otherwise the second time.
    """
    finding = f"sound-5-{kind.code}" if kind.code else kind
    if is_built_in(kind) or finding in _PASSED:
        return
    if isinstance(finding, Family) or not is_remembered(finding):
        tried = try_family(kind)
        if not tried.moved:
            warnings.warn(
                f"family {kind.name} decided the same on all of {tried.most} made-up bars, whatever its genes, so the gate saw "
                "nothing of its rule; see to it yourself that it reads no bar after t",
                IslandsWarning,
                stacklevel=2,
            )
        if isinstance(finding, str):
            remember(finding)
    _PASSED.add(finding)


def try_family(kind: Family) -> Tried:
    """Tries any family on made-up bars, whatever is remembered of it.

    Raises:
        StrategyError: as `require_sound`.
    """
    return _Trial(kind).run() if kind.trial is not None else _try_whole(kind)


def require_blind_on(kind: Family, tape: Market, genomes: np.ndarray) -> None:
    """Tries a family on real bars, as a made-up bar may not be what its rule waits for; a built-in passes.

    A genome whose rule raises on these bars is passed over: it will be infeasible, with its error.

    Raises:
        StrategyError: as `try_on`.
    """
    if not is_built_in(kind):
        cuts = max(_FEW_CUTS, min(_MANY_CUTS, _CUT_BARS // len(tape.close)))
        try_on(kind, tape, genomes[[_runs(kind, tape, genome) for genome in genomes]], cuts)


def _runs(kind: Family, tape: Market, genome: np.ndarray) -> bool:
    own = genome[: len(kind.genes)]
    try:
        in_time(lambda: batch.positions(kind.signal, tape, own), LIMIT_S)
    except Endless as endless:
        raise _never_ends(kind, own, len(tape.close), endless) from None
    except Exception:
        return False
    return True


def try_on(
    kind: Family,
    tape: Market,
    genomes: np.ndarray,
    cuts: int = _MANY_CUTS,
    changes: Sequence[float] = _CHANGES,
    world: str = "of these {bars}",
) -> Tried:
    """Tries any family on these bars, whole.

    The targets of each genome, (P, G), are looked at up to some bars, `cuts` of those at which they change and as many of
    all: they must be the same where the data end there, and what follows in memory are other bars, and where they go on
    with others. changes: what later bars are multiplied by, one after another. world: how an error speaks of the bars.

    Raises:
        StrategyError: they are not, or the family raises.
    """
    tried, columns = Tried(len(genomes)), {}
    for name in (*BarArrays._fields, FUNDING):
        if (series := getattr(tape, name, None)) is not None:
            columns[name] = np.asarray(series, dtype=np.float64)
    columns["timestamps"] = np.asarray(tape.timestamps)
    bars = len(columns["close"])
    for genome in genomes[:, : len(kind.genes)]:
        error = partial(_error, kind, genome, world.format(bars=bars))
        early = []  # before the later bars were ever shown: inputs may keep what they were given
        for last in _spread(np.arange(bars - 1), min(cuts, _MANY_CUTS)).tolist():
            shown = {name: series[: last + 1].copy() for name, series in columns.items()}
            early.append(_decided(kind, shown, genome, error))
        decided = _decided(kind, columns, genome, error)
        for before in early:
            what = f"where the data end with bar {len(before) - 1}"
            _require_same(decided[: len(before)], before, error, f"{what}; {_MAY_READ}")
        turns = np.flatnonzero(np.diff(np.nan_to_num(decided)))
        runs = compared = 0
        for last in np.union1d(_spread(turns[turns < bars - 1], cuts), _spread(np.arange(bars - 1), cuts)).tolist():
            for change in changes:
                other = {name: _changed(series, last, change) for name, series in columns.items()}
                futures = {
                    f"where the data end with bar {last}": {name: series[: last + 1] for name, series in other.items()},
                    f"with the bars after {last} changed": other,
                }
                for what, seen in futures.items():
                    again = _decided(kind, seen, genome, error, f" {what}")[: last + 1]
                    _require_same(decided[: last + 1], again, error, f"{what}; {_MAY_READ}")
                    runs, compared = runs + 1, compared + last + 1
        tried.count(bars, runs, compared, bool(turns.size))
    return tried


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Some of them, evenly, neither the first nor the last where there are more."""
    return rows[np.linspace(0, len(rows) - 1, count + 2).astype(int)[1:-1]] if len(rows) else rows


def _changed(series: np.ndarray, last: int, times: float) -> np.ndarray:
    other = series.copy()
    if series.dtype == np.float64:  # times are as they are
        other[last + 1 :] *= times
    return other


def _decided(kind: Family, columns: dict[str, np.ndarray], genome: np.ndarray, error: _Error, where: str = "") -> np.ndarray:
    market = SimpleNamespace(**{FUNDING: None, **columns})
    try:
        return in_time(lambda: batch.positions(kind.signal, market, genome), LIMIT_S)
    except StrategyError:
        raise
    except Endless as endless:
        raise _never_ends(kind, genome, len(columns["close"]), endless) from None
    except Exception as fault:
        raise error(len(columns["close"]) - 1, f"it raises {type(fault).__name__}: {fault}{where}") from None


def _try_whole(kind: Family) -> Tried:
    """Tries a family, whose step alone can't be, on made-up bars."""
    if not kind.genes or kind.genes[-1].name != "direction":
        raise StrategyError(f"family {kind.name}: expected the gene direction as its last one, as every genome ends with it")
    genomes = trial_genomes(kind)
    tried = Tried(len(genomes))
    most = max(_warmup(kind, genome) for genome in genomes)
    ways = [(world, genomes, _MANY_CUTS, _CHANGES) for world in (_FIRST, *_OTHERS)]
    ways += [(_DENSE, genomes[:1], _MOST_BARS, _CHANGES[:2]), (_LAST, genomes[:1], _MANY_CUTS, _CHANGES[:2])]
    for world, some, cuts, changes in ways:
        market = _market(world, min(most + world.bars, _MOST_BARS))
        part = try_on(kind, market, some, cuts, changes, f"of {{bars}} made-up ones{world}")
        tried.count(part.most, part.runs, part.compared, part.moved)
    return tried


def _warmup(kind: Family, genome: np.ndarray) -> int:
    return kind.warmup({gene.name: float(entry) for gene, entry in zip(kind.genes, genome, strict=True)})


def _market(world: _World, bars: int) -> SimpleNamespace:
    """Made-up bars, of a world's prices and volumes."""
    market = rough_market(bars)
    times = {"volume": world.volumes, FUNDING: 1.0}
    for name in (*BarArrays._fields, FUNDING):
        setattr(market, name, getattr(market, name) * times.get(name, world.prices))
    if world.leaps:
        _leap(market, bars)
    return market


def _leap(market: SimpleNamespace, bars: int) -> None:
    """Every few bars from 1 % to 60 % up, or as much down, and from a fifth to a thousandfold of the volume."""
    generator = stream(5, purpose=Purpose.PROBE)
    sizes = 10.0 ** generator.uniform(-2.0, -0.2, bars)
    up = np.cumsum(leaping := generator.random(bars) < 0.2) % 2 == 0
    after = np.where(leaping, np.where(up, 1.0 + sizes, 1.0 / (1.0 + sizes)), 1.0)
    level = np.cumprod(after)
    level = level / level[-1] ** np.linspace(0.0, 1.0, bars)  # nowhere for good
    before = np.concatenate(([1.0], level[:-1]))
    for name in ("high", "low", "close"):
        setattr(market, name, getattr(market, name) * level)
    market.open = market.open * before
    market.high, market.low = np.maximum(market.high, market.open), np.minimum(market.low, market.open)
    market.volume = market.volume * np.where(generator.random(bars) < 0.2, 10.0 ** generator.uniform(-0.7, 3.0, bars), 1.0)


class _Trial:
    def __init__(self, kind: Family) -> None:
        assert kind.trial is not None
        self._kind = kind
        self._fields = (FundedBarArrays if FUNDING in kind.needs else BarArrays)._fields
        self._loop = _loop(kind.trial.prepare, kind.trial.start, kind.trial.step, upto=_upto[len(self._fields)])

    def run(self) -> Tried:
        genomes = trial_genomes(self._kind)
        warmups = [_warmup(self._kind, genome) for genome in genomes]
        self._tried = Tried(len(genomes))
        self._compile(genomes[0])
        moved = np.zeros(len(genomes), dtype=bool)
        for world in (_FIRST, *_OTHERS, _LAST):
            for i, (genome, warmup) in enumerate(zip(genomes, warmups, strict=True)):
                bars = min(warmup + world.bars, _MOST_BARS)
                if world is _FIRST or not moved[i] or (i == 0 if world is _LAST else bars <= _LONG):
                    moved[i] |= self._moves(genome, world, bars)
        if self._kind.signal.lanes:
            self._require_lanes(genomes)
        if self._kind.longest >= self._tried.most:
            self._moves(genomes[0], _FIRST, min(self._kind.longest + 1, _MOST_TABLE))
        return self._tried

    def _moves(self, genome: np.ndarray, world: _World, bars: int) -> bool:
        """Whether its targets change on these bars, on which it must be sound."""
        real = self._matrix(world, bars)
        error = partial(_error, self._kind, genome, f"of {bars} made-up ones{world}")
        decided = self._targets(genome, real, real, error)
        infinite = np.flatnonzero(np.isinf(decided))
        if infinite.size:
            raise error(int(infinite[0]), f"its target is {decided[infinite[0]]}: expected a number or NaN")
        again = self._targets(genome, real, real, error)
        _require_same(decided, again, error, "the second time, on the same bars; a step must not draw chance")
        later = (4.0 * real, real / 4.0, real[:, ::-1], np.full_like(real, np.nan))
        for other in later:
            _require_same(decided, self._targets(genome, real, other, error), error, _CHANGED)
        _require_same(decided, self._targets(genome, real, real, error, ends=True), error, _CHANGED)
        moved = bool(np.diff(np.nan_to_num(decided)).any())
        self._tried.count(bars, len(later) + 1, (len(later) + 1) * bars, moved)
        return moved

    def _matrix(self, world: _World, bars: int) -> np.ndarray:
        market = _market(world, bars)
        return np.stack([getattr(market, name) for name in self._fields])

    def _compile(self, genome: np.ndarray) -> None:
        """Compiles, and runs prepare and start alone."""
        try:
            self._call(genome, real := self._matrix(_FIRST, 400), real.copy(), np.empty(0), 400)
        except IndexError:
            raise StrategyError(f"family {self._kind.name}: its start reads a bar that is not there") from None
        except Endless as endless:
            raise StrategyError(f"family {self._kind.name}: tried on made-up bars it {endless}; {_ENDS}") from None
        except Exception as error:
            names = {"BarArrays": self._fields, "Genes": [gene.name for gene in self._kind.genes]}
            raise StrategyError(f"family {self._kind.name} can't be compiled: {_useful(error, names)}") from None

    def _require_lanes(self, genomes: np.ndarray) -> None:
        """Compiles the loop for many genomes at once, and holds it against the one for a single genome."""
        signal, market = self._kind.signal, rough_market(self._kind.enough_bars)
        terms = batch.Terms(1e-3, 1e-3, 0, 1e4, 8766.0, funding=False)
        kernels = signal.population, signal.alone
        try:
            together, alone = (batch.run_population(kernel, signal, market, genomes, terms) for kernel in kernels)
        except Exception as error:
            names = {"BarArrays": self._fields, "Genes": [gene.name for gene in self._kind.genes]}
            raise StrategyError(
                f"family {self._kind.name} can't be compiled for lanes: {_useful(error, names)}; decide by where(c, a, b) "
                "what depends on genes or state, or leave lanes out"
            ) from None
        if not np.array_equal(together, alone, equal_nan=True):
            raise StrategyError(f"family {self._kind.name}: decides otherwise in lanes than alone; leave lanes out")

    def _call(self, genome: np.ndarray, real: np.ndarray, seen: np.ndarray, out: np.ndarray, least: int) -> None:
        kind = FundedBarArrays if FUNDING in self._kind.needs else BarArrays
        bars = kind(*(frozen(series) for series in seen))
        in_time(lambda: self._loop(bars, real, seen, frozen(genome), least, out), LIMIT_S)

    def _targets(
        self, genome: np.ndarray, real: np.ndarray, later: np.ndarray, error: _Error, *, ends: bool = False
    ) -> np.ndarray:
        """What the step decides at each bar, as it returns it, where at each bar the later ones are these, or none."""
        out = np.full(real.shape[1], _NOBODYS)
        try:
            self._call(genome, real, np.array(later, order="C"), out, 0 if ends else len(out))
        except IndexError:
            raise error(bar := int(np.argmax(out == _NOBODYS)), self._beyond(bar)) from None
        except Endless as endless:
            raise error(int(np.argmax(out == _NOBODYS)), f"it {endless}; {_ENDS}") from None
        except Exception as fault:
            raise error(int(np.argmax(out == _NOBODYS)), f"it raises {type(fault).__name__}: {fault}") from None
        return out

    def _beyond(self, bar: int) -> str:
        if not 1 < self._kind.longest <= bar + 1:
            return f"it reads beyond its bars; {_MAY_READ}"
        return (
            f"it reads beyond its bars, or an array of {self._kind.longest} that it brings along: one with an entry a bar was "
            "made before the run, perhaps from later bars; decide from the bars that the step is given"
        )


_Error = Callable[[int, str], StrategyError]
_ENDS = "a step must come to an end at every bar"
_MAY_READ = "a step may read bar t and those before it, from bar 0 on"
_CHANGED = (
    "with the bars after {bar} changed; a step may read bar t and those before it, and an index below 0, such as "
    "bars.close[t - 5] at t < 5, counts from the end of the data: test for it"
)


def _error(kind: Family, genome: np.ndarray, bars: str, bar: int, what: str) -> StrategyError:
    return StrategyError(f"family {kind.name} ({_shown(kind, genome)}): at bar {bar} {bars} {what}")


def _never_ends(kind: Family, genome: np.ndarray, bars: int, endless: Endless) -> StrategyError:
    return StrategyError(f"family {kind.name} ({_shown(kind, genome)}): on {bars} bars it {endless}; {_ENDS}")


def _require_same(decided: np.ndarray, again: np.ndarray, error: _Error, what: str) -> None:
    if not np.array_equal(decided, again, equal_nan=True):
        bar = int(np.flatnonzero(~((decided == again) | (np.isnan(decided) & np.isnan(again))))[0])
        raise error(bar, f"its target is {decided[bar]:g}, and {again[bar]:g} {what.format(bar=bar)}")


def trial_genomes(kind: Family) -> np.ndarray:
    """Genomes, (P, G), always the same: the samples of a family, and every option of each choice in each direction."""
    samples = kind.samples(3)
    choosing = [
        column
        for column, gene in enumerate(kind.genes[:-1])
        if isinstance(gene, Choice) or (isinstance(gene, Integer) and gene.last < _FEW)
    ]
    options = max((kind.genes[column].last + 1 for column in choosing), default=0)
    sides = kind.genes[-1].last + 1
    generator = stream(4, purpose=Purpose.PROBE)
    space = kind.space()
    more = space.founders(generator, options * sides)
    for column in choosing:
        gene = kind.genes[column]
        order = np.resize(generator.permutation(gene.last + 1), options)
        more[:, column] = gene.at(np.repeat(order, sides))
    more[:, -1] = kind.genes[-1].at(np.tile(np.arange(sides), options))
    return np.vstack([samples, space.repair(more)])


def _shown(kind: Family, genome: np.ndarray) -> str:
    return ", ".join(f"{gene.name}={gene.show(float(entry))}" for gene, entry in zip(kind.genes, genome, strict=True))


@checked_kernel  # not a device: views are counted
def _upto_plain(bars, end):  # type: ignore[no-untyped-def]
    return BarArrays(bars.open[:end], bars.high[:end], bars.low[:end], bars.close[:end], bars.volume[:end])


@checked_kernel  # not a device: views are counted
def _upto_funded(bars, end):  # type: ignore[no-untyped-def]
    return FundedBarArrays(
        bars.open[:end], bars.high[:end], bars.low[:end], bars.close[:end], bars.volume[:end], bars.funding_rate[:end]
    )


_upto = {len(BarArrays._fields): _upto_plain, len(FundedBarArrays._fields): _upto_funded}


def _loop(prepare: Any, start: Any, step: Any, upto: Any) -> Any:
    """The targets of one genome at the first bars, as many as `out` takes.

    bars: views of the rows of `seen`, whose bars become those of `real` one by one, as time passes; at bar t the step gets
    the first `least` of them, and at least t + 1.
    """

    @checked_kernel
    def targets(bars, real, seen, genome, least, out):  # type: ignore[no-untyped-def]
        seen[:, 0] = real[:, 0]
        genes = prepare(genome)
        state = start(genes, upto(bars, max(least, 1)))
        for t in range(out.shape[0]):
            for row in range(real.shape[0]):
                seen[row, t] = real[row, t]
            state, out[t] = step(genes, state, t, upto(bars, max(least, t + 1)))

    return targets


def _useful(error: Exception, names: Mapping[str, Sequence[str]]) -> str:
    """Of numba's message what the user can act on, and the line of his that it is about; names: attributes by type."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Failed in nopython mode")]
    said = lines[0].partition(" Raised from ")[0] if lines else type(error).__name__
    if said.endswith(":") and len(lines) > 1:
        said = f"{said} {lines[1].removeprefix('>>> ')}"
    if "NRT required but not enabled" in text or "Only accept returning of array" in text:
        said = f"it makes an array, a list or a text; keep numbers in its state, and read windows in a loop ({said})"
    elif "failed to unpack none" in said:
        return "step returns nothing, or only raises: expected two, the state and the target"
    elif "failed to unpack" in said:
        said = "step returns one thing: expected two, the state and the target"
    elif "add(float64, " in said:
        said = f"step returns no number as its target: {said.partition('add(float64, ')[2].removesuffix(')')}"
    elif unknown := re.search(r"Unknown attribute '(\w+)' of type \w*?(BarArrays|Genes)\(", said):
        kind = "bars have" if unknown[2] == "BarArrays" else "genes are"
        said = f"unknown name {unknown[1]!r}; the {kind} {', '.join(names[unknown[2]])}"
    elif "for 'state" in said:
        said = f"the state changes its type from start to step: {said.partition(' for ')[0]}; let both have the same numbers"
    place = re.search(r'^File "(?!.*(?:numba|islands/strategies)/)([^"]+)", line (\d+):', text, re.M)
    return said + (f" (line {place[2]} of {place[1].rpartition('/')[2]})" if place else "")
