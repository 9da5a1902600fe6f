"""A user's own family: one bar's step in plain Python, with its genes declared.

    import islands as isl

    def step(genes, state, t, bars):
        \"\"\"Buys a close below the one `lag` bars before, sells one above it.\"\"\"
        if t < genes.lag:
            return state, 0.0
        return state, 1.0 if bars.close[t] < bars.close[t - genes.lag] else -1.0

    reversal = isl.define_family("reversal", genes=[isl.Integer("lag", 1, 48, 12)], step=step, warmup=lambda g: g["lag"] + 1)

It compiles into the same loops as a built-in, so it gets batches, overlays, costs, metrics and campaigns as these do.
docs/families.md says what a step may do.
"""

from __future__ import annotations

import hashlib
import inspect
import keyword
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from islands.errors import SpecError, StrategyError
from islands.kernels.compile import checked_device, device, frozen
from islands.kernels.overlays import OVERLAYS
from islands.kernels.own import BarArrays, FundedBarArrays, as_they_are, bare, bounded, unpacked
from islands.kernels.signals import Signal, start_flat
from islands.market.tape import FUNDING
from islands.strategies.families import Family, direction, nearest, require_funding
from islands.strategies.genome import Choice, Gene, Integer, Less, LogReal
from islands.strategies.reach import Pins

if TYPE_CHECKING:
    from islands.kernels.batch import Market

_TAKEN = ("direction", "family", *OVERLAYS)  # what else stands beside genes, in a strategy or in a spec's [[initial]]


def define_family(
    name: str,
    *,
    genes: Sequence[Gene],
    step: Callable[..., Any],
    warmup: int | Callable[[Mapping[str, Any]], float],
    start: Callable[..., Any] | None = None,
    prepare: Callable[..., Any] | None = None,
    version: int = 1,
    constraints: Sequence[Less] = (),
    needs: Sequence[str] = (),
    lanes: bool = False,
    doc: str | None = None,
    module: str | None = None,
) -> Family:
    """A family of the user's own, to be assigned to a variable `name` of the module that calls this, or of `module`.

    step(genes, state, t, bars) -> state, target: what is decided at the close of bar t, from bars up to t. genes is a named
    tuple: whole genes are ints, choices the index of their option, direction the last one (0 long, 1 short, 2 both).
    bars holds the arrays open, high, low, close and volume, and funding_rate where `needs` names it. The target is an
    exposure: it is clipped to [-1, 1], NaN is flat, and the side that `direction` forbids becomes 0.
    start(genes, bars) -> state: before the first bar; 0.0 where not given. prepare(genes): constants of the run, which
    start and step then get in the place of genes. warmup: bars until the decisions no longer depend on where the data
    begin, a number or a function of the genes by name. doc: the rule, exactly; by default the docstring of step.
    lanes: the functions are written for many genomes at once, which is several times as fast: every gene is a float, and
    what depends on genes or state is decided by `where(condition, a, b)` of islands.kernels.vectors, without `if`, `and`,
    `or`, `not`, nor as an index of `bars`. module: the name of the module whose variable it is, by default the one that
    calls this; a function that makes families for other modules is given their `__name__`.

    The functions are compiled by numba, with whatever they reach when this is called: a later change of a global is not
    seen. They may call plain functions and those of islands.kernels.steps, and must not make arrays.

    Raises:
        StrategyError: something is missing or can't be meant.
    """
    if not (module is None or (isinstance(module, str) and all(part.isidentifier() for part in module.split(".")))):
        raise StrategyError(f"family {name}: module = {module!r}: expected the name of the module whose variable it is")
    address = f"{module or sys._getframe(1).f_globals.get('__name__', '__main__')}:{name}"
    owner = f"family {address}"
    _require_name(owner, name)
    _require_functions(owner, step, start, prepare)
    whole = _require_genes(owner, genes)
    _require_rules(owner, whole, constraints)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise StrategyError(f"{owner}: version = {version!r}: expected a whole number from 1 on")
    unknown = [column for column in needs if column != FUNDING]
    if isinstance(needs, str) or unknown:
        raise StrategyError(f"{owner}: needs = {needs!r}: expected a list, of {FUNDING} or nothing")
    doc = inspect.cleandoc(doc or step.__doc__ or "")
    if not doc:
        raise StrategyError(f"{owner} has no doc: say its rule, as doc=... or as the docstring of its step")
    parts: dict[str, Callable[..., Any]] = {"prepare": prepare or as_they_are, "start": start or start_flat, "step": step}
    if not isinstance(lanes, bool):
        raise StrategyError(f"{owner}: lanes = {lanes!r}: expected True or False")
    signal, trial, digest, longest = _signals(address, whole, parts, tuple(needs), lanes)
    bars = _Warmup(owner, warmup, whole)
    bars({gene.name: gene.default for gene in whole})
    code = _whole_digest(digest, whole, tuple(constraints), bars.digest, version)
    family = Family(address, version, signal, whole, tuple(constraints), bars, doc, tuple(needs), code, trial, longest)
    try:
        _ = family.space().warmup
    except SpecError as error:
        raise StrategyError(str(error)) from None
    return family


# What is declared


def _require_name(owner: str, name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise StrategyError(f"{owner}: expected the name of the variable that it is assigned to")


def _require_functions(owner: str, step: object, start: object, prepare: object) -> None:
    for function, role, takes in (
        (step, "step", "genes, state, t, bars"),
        (start, "start", "genes, bars"),
        (prepare, "prepare", "genes"),
    ):
        if function is None and role != "step":
            continue
        if not callable(function):
            raise StrategyError(f"{owner}: {role} = {function!r}: expected a function of ({takes})")
        try:
            parameters = inspect.signature(getattr(function, "py_func", function)).parameters
        except ValueError:  # some of C's have none, and are refused when they are to be compiled
            continue
        if len(parameters) != takes.count(",") + 1:
            raise StrategyError(f"{owner}: {role} takes ({', '.join(parameters)}): expected ({takes})")


def _require_genes(owner: str, genes: Sequence[Gene]) -> tuple[Gene, ...]:
    """The genes, with the direction behind them."""
    if not isinstance(genes, Sequence):
        raise StrategyError(f"{owner}: genes = {genes!r}: expected a list of them")
    for gene in genes:
        if not isinstance(gene, Gene):
            raise StrategyError(f"{owner}: gene {gene!r}: expected isl.Integer, isl.Real, isl.LogReal or isl.choice(...)")
        if gene.name in _TAKEN:
            kind = "an overlay" if gene.name in OVERLAYS else "taken"
            raise StrategyError(f"{owner}: gene {gene.name}: the name is {kind}; choose another")
        if not gene.name.isidentifier() or keyword.iskeyword(gene.name) or gene.name.startswith("_"):
            raise StrategyError(f"{owner}: gene {gene.name!r}: expected a name that Python takes, without a leading _")
        if [other.name for other in genes].count(gene.name) > 1:
            raise StrategyError(f"{owner}: gene {gene.name} is declared twice")
        try:
            if not (math.isfinite(gene.step) and gene.step >= 0.0):
                raise StrategyError(f"gene {gene.name}: step {gene.step:g}: expected a number from 0 on")
            if not isinstance(gene, Choice):
                gene.bounded(gene.low, gene.high, gene.step or None)
                gene.parse(gene.default)
            if isinstance(gene, LogReal) and not gene.low > 0.0:
                raise StrategyError(f"gene {gene.name} starts at {gene.low:g}: a logarithmic gene lies above 0")
        except (StrategyError, SpecError) as error:
            raise StrategyError(f"{owner}: {error}") from None
        if not (math.isfinite(gene.low) and math.isfinite(gene.high) and gene.low <= gene.default <= gene.high):
            raise StrategyError(
                f"{owner}: gene {gene.name} has default {gene.default:g}: expected one within its bounds, {gene.low:g} to "
                f"{gene.high:g}"
            )
    return (*genes, direction())


def _require_rules(owner: str, genes: tuple[Gene, ...], constraints: Sequence[Less]) -> None:
    if not isinstance(constraints, Sequence):
        raise StrategyError(f"{owner}: constraints = {constraints!r}: expected a list of them")
    defaults = {gene.name: gene.default for gene in genes}
    for rule in constraints:
        if not isinstance(rule, Less):
            raise StrategyError(f"{owner}: constraint {rule!r}: expected isl.Less(small, large)")
        for name in (rule.small, rule.large):
            if name not in defaults:
                raise StrategyError(f"{owner}: constraint {rule}: no gene {name!r}{nearest(name, list(defaults))}")
        if not rule.holds(defaults[rule.small], defaults[rule.large]):
            raise StrategyError(f"{owner}: its defaults break {rule}")


def _whole(gene: Gene) -> bool:
    return isinstance(gene, (Integer, Choice))


class _Warmup:
    """The user's warm-up as families have it: genes by name -> bars."""

    def __init__(self, owner: str, warmup: int | Callable[[Mapping[str, Any]], float], genes: tuple[Gene, ...]) -> None:
        if not callable(warmup) and (isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 0):
            raise StrategyError(f"{owner}: warmup = {warmup!r}: expected a number of bars, or a function of the genes by name")
        self._owner, self._warmup = owner, warmup
        self._ints = {gene.name for gene in genes if _whole(gene)}
        self.digest = str(warmup)
        if callable(warmup):
            pins = Pins(_as_it_is, owner)
            self._warmup = pins.pin(warmup, "warmup")
            self.digest = pins.digest

    def __call__(self, genes: Mapping[str, float]) -> int:
        if not callable(self._warmup):
            return self._warmup
        given = {name: int(value) if name in self._ints else value for name, value in genes.items()}
        try:
            bars = math.ceil(self._warmup(given))
        except Exception as error:
            raise StrategyError(f"{self._owner}: warmup of {given} raises {type(error).__name__}: {error}") from None
        if bars < 0:
            raise StrategyError(f"{self._owner}: warmup of {given} is {bars}: expected a number of bars from 0 on")
        return bars


def _as_it_is(function: Callable[..., Any]) -> Any:
    return function


def _whole_digest(functions: str, genes: tuple[Gene, ...], rules: tuple[Less, ...], warmup: str, version: int) -> str:
    """Of everything that decides what a campaign with the family's own bounds comes to."""
    return hashlib.sha256(repr((functions, genes, rules, warmup, version)).encode()).hexdigest()


# What is compiled


def _signals(
    address: str, genes: tuple[Gene, ...], parts: dict[str, Callable[..., Any]], needs: tuple[str, ...], lanes: bool
) -> tuple[Signal, Signal, str, int]:
    """The signal, the one for trials, the digest of what they reach, and the entries of the longest array in that."""
    owner = f"family {address}"

    def inputs(market: Market, genomes: np.ndarray) -> tuple[np.ndarray, ...]:
        arrays = BarArrays(*map(frozen, (market.open, market.high, market.low, market.close, market.volume)))
        if not needs:
            return arrays
        require_funding(market, address)
        return FundedBarArrays(*arrays, funding_rate=frozen(market.funding_rate))

    names, whole = [gene.name for gene in genes], [_whole(gene) and not lanes for gene in genes]
    pins, checked = Pins(device, owner), Pins(checked_device, owner)
    functions, trials = ([each.pin(parts[role], role) for role in parts] for each in (pins, checked))
    digest = hashlib.sha256(repr((pins.digest, names, whole, needs, lanes)).encode()).hexdigest()
    name = f"{address.replace(':', '-')[-80:]}-{digest[:24]}"
    signal = Signal(name, *bounded(unpacked(device, names, whole), len(genes) - 1, *functions), inputs, lanes)
    return signal, Signal(name, *bare(unpacked(checked_device, names, whole), *trials), inputs), digest, pins.longest
