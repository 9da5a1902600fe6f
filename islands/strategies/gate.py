"""The gate: a user's own family is tried before its first use, so that it does not peek, crash or guess.

Its step is compiled with every index tested and run over made-up bars, for its defaults, the lowest and highest genes, and
some random ones. Then it runs again up to many a bar, each time with later bars changed, made NaN, or cut off: its targets
must be the same to the last bit. That finds close[t + 1], and close[t - 5] before bar 5 too, which is an index from the
end of the data.

What passed is remembered beside the compiled kernels, by the digest of the family's code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from islands.errors import StrategyError
from islands.kernels import batch
from islands.kernels.compile import checked_kernel, frozen, is_remembered, remember
from islands.kernels.signals import make_population
from islands.numerics import rough_market
from islands.strategies.families import Family

_PASSED: set[str] = set()
_NOBODYS = -7.25e300  # no rule's target: marks the bars that a run did not reach
_CUTS = 100


def require_sound(kind: Family) -> None:
    """Tries a user's own family, once.

    Raises:
        StrategyError: numba can't compile it; at some bar it reads what it must not, raises, or returns no finite target
            (NaN is flat); or it decides otherwise the second time.
    """
    finding = f"sound-1-{kind.code}"
    if finding in _PASSED:
        return
    if not is_remembered(finding):
        _Trial(kind).run()
        remember(finding)
    _PASSED.add(finding)


class _Trial:
    def __init__(self, kind: Family) -> None:
        assert kind.trial is not None
        self._kind = kind
        self._bars: Any = kind.trial.inputs(rough_market(kind.enough_bars), np.empty((0, 0)))
        self._changed = [self._like(4.0 * series for series in self._bars), self._like(series / 4.0 for series in self._bars)]
        self._changed.append(self._like(np.full_like(series, np.nan) for series in self._bars))
        self._loop = _loop(kind.trial.prepare, kind.trial.start, kind.trial.step)

    def _like(self, arrays: Any) -> Any:
        return type(self._bars)(*(frozen(array) for array in arrays))

    def run(self) -> None:
        genomes = self._kind.samples(3)
        self._compile(genomes[0])
        for genome in genomes:
            decided = self._targets(self._bars, genome, len(self._bars.close))
            infinite = np.flatnonzero(np.isinf(decided))
            if infinite.size:
                raise self._error(genome, int(infinite[0]), f"its target is {decided[infinite[0]]}: expected a number or NaN")
            again = self._targets(self._bars, genome, len(decided))
            self._require_same(genome, decided, again, "the second time, on the same bars; a step must not draw chance")
            for cut in self._cuts(decided):
                self._require_blind(genome, decided, cut)
        if self._kind.signal.lanes:
            self._require_lanes(genomes)

    def _compile(self, genome: np.ndarray) -> None:
        """Compiles, and runs prepare and start alone."""
        try:
            self._loop(self._bars, frozen(genome), np.empty(0))
        except IndexError:
            raise StrategyError(f"family {self._kind.name}: its start reads a bar that is not there") from None
        except Exception as error:
            names = {"BarArrays": self._bars._fields, "Genes": [gene.name for gene in self._kind.genes]}
            raise StrategyError(f"family {self._kind.name} can't be compiled: {_useful(error, names)}") from None

    def _require_lanes(self, genomes: np.ndarray) -> None:
        """Compiles the loop for many genomes at once, and holds it against the one for a single genome."""
        signal, market = self._kind.signal, rough_market(self._kind.enough_bars)
        terms = batch.Terms(1e-3, 1e-3, 0, 1e4, 8766.0, funding=False)
        kernels = signal.population, make_population(signal, 1)
        try:
            together, alone = (batch.run_population(kernel, signal, market, genomes, terms) for kernel in kernels)
        except Exception as error:
            names = {"BarArrays": self._bars._fields, "Genes": [gene.name for gene in self._kind.genes]}
            raise StrategyError(
                f"family {self._kind.name} can't be compiled for lanes: {_useful(error, names)}; decide by where(c, a, b) "
                "what depends on genes or state, or leave lanes out"
            ) from None
        if not np.array_equal(together, alone, equal_nan=True):
            raise StrategyError(f"family {self._kind.name}: decides otherwise in lanes than alone; leave lanes out")

    def _targets(self, bars: Any, genome: np.ndarray, count: int) -> np.ndarray:
        """What the step decides at the first `count` bars, as it returns it."""
        out = np.full(count, _NOBODYS)
        try:
            self._loop(bars, frozen(genome), out)
        except IndexError:
            raise self._error(
                genome,
                int(np.argmax(out == _NOBODYS)),
                "it reads beyond its bars; a step may read bar t and those before it, from bar 0 on",
            ) from None
        except Exception as error:
            what = f"it raises {type(error).__name__}: {error}"
            raise self._error(genome, int(np.argmax(out == _NOBODYS)), what) from None
        return out

    def _cuts(self, decided: np.ndarray) -> list[int]:
        """Bars after which the data change: the first ones, some all over, and some at which the target does."""
        last = len(decided) - 2
        turns = np.flatnonzero(np.diff(decided))[:_CUTS]
        spread = np.linspace(0, last, min(_CUTS, last + 1)).astype(int)
        return sorted({*range(min(16, last + 1)), *spread.tolist(), *np.minimum(turns, last).tolist()})

    def _require_blind(self, genome: np.ndarray, decided: np.ndarray, cut: int) -> None:
        what = (
            f"with the bars after {cut} changed; a step may read bar t and those before it, and an index below 0, such as "
            "bars.close[t - 5] at t < 5, counts from the end of the data: test for it"
        )
        for bars in self._others(cut):
            self._require_same(genome, decided[: cut + 1], self._targets(bars, genome, cut + 1), what)

    def _others(self, cut: int) -> Iterator[Any]:
        """Bars that are the same up to the cut."""
        for other in self._changed:
            pairs = zip(self._bars, other, strict=True)
            yield self._like(np.concatenate((series[: cut + 1], changed[cut + 1 :])) for series, changed in pairs)
        yield self._like(series[: cut + 1] for series in self._bars)

    def _require_same(self, genome: np.ndarray, decided: np.ndarray, again: np.ndarray, what: str) -> None:
        if not np.array_equal(decided, again, equal_nan=True):
            bar = int(np.flatnonzero(~((decided == again) | (np.isnan(decided) & np.isnan(again))))[0])
            raise self._error(genome, bar, f"its target is {decided[bar]:g}, and {again[bar]:g} {what}")

    def _error(self, genome: np.ndarray, bar: int, what: str) -> StrategyError:
        genes = ", ".join(
            f"{gene.name}={gene.show(float(entry))}" for gene, entry in zip(self._kind.genes, genome, strict=True)
        )
        return StrategyError(f"family {self._kind.name} ({genes}): at bar {bar} of {len(self._bars.close)} made-up ones {what}")


def _loop(prepare: Any, start: Any, step: Any) -> Any:
    @checked_kernel
    def targets(inputs, genome, out):  # type: ignore[no-untyped-def]
        genes = prepare(genome)
        state = start(genes, inputs)
        for t in range(out.shape[0]):
            state, out[t] = step(genes, state, t, inputs)

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
