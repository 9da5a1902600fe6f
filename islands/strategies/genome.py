"""Genes, and constraints between them.

A genome is one row of floats in natural units: periods in bars, thresholds as they are, a choice as the index of its
option. Evolution works on the same row scaled to [0, 1] gene by gene; `space.Space` translates. Every gene is a lattice (of
10^7 steps where none is asked for), so that a genome that was scaled, left alone and scaled back is the same genome to
the last bit, and is not counted as another trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from islands.errors import SpecError, StrategyError
from islands.numerics import exp, log

MOST_STEPS = 1_000_000_000
FINE = 10_000_000  # steps of a gene without a step of its own: values of a few decimals stay what they are


@dataclass(frozen=True)
class Gene:
    """One parameter of a family.

    low, high: bounds of the search, inclusive. least, most: what the rule can bear; a strategy given by hand may lie
    outside the search bounds, not outside these. step: the lattice within the bounds; 0 stands for a continuous gene.
    """

    name: str
    low: float
    high: float
    default: float
    step: float = 0.0
    least: float = -math.inf
    most: float = math.inf

    @property
    def last(self) -> int:
        """Index of the highest point of the lattice, counted from 0."""
        if self.high <= self.low:
            return 0
        return math.floor((self.high - self.low) / self.step + 1e-9) if self.step else FINE

    def at(self, index: np.ndarray) -> np.ndarray:
        """The values at lattice indices."""
        step = self.step or (self.high - self.low) / FINE
        return np.asarray(self.low + index * step, dtype=np.float64)

    def position(self, values: np.ndarray) -> np.ndarray:
        """Where values lie on the lattice, as real numbers from 0 to `last`; the inverse of `at`."""
        step = self.step or (self.high - self.low) / FINE
        return np.asarray((values - self.low) / step if step else np.zeros_like(values), dtype=np.float64)

    def snap(self, values: np.ndarray) -> np.ndarray:
        """The nearest values of the lattice."""
        return self.at(np.clip(np.rint(self.position(values)), 0, self.last))

    def above(self, values: np.ndarray) -> np.ndarray:
        """The lowest values of the lattice that reach `values`; the highest one where none does."""
        return self.at(np.clip(np.ceil(self.position(values) - 1e-9), 0, self.last))

    def below(self, values: np.ndarray) -> np.ndarray:
        """The highest values of the lattice that do not exceed `values`; the lowest one where all do."""
        return self.at(np.clip(np.floor(self.position(values) + 1e-9), 0, self.last))

    def decode(self, units: np.ndarray) -> np.ndarray:
        """Values of scaled genes in [0, 1]; each point of the lattice owns an equal share of that interval."""
        return self.at(np.minimum(np.floor(units * (self.last + 1)), self.last))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Scaled genes of values: the middle of the share that `decode` maps to the nearest lattice point."""
        index = np.clip(np.rint(self.position(values)), 0, self.last)
        return np.asarray((index + 0.5) / (self.last + 1), dtype=np.float64)

    def parse(self, value: object) -> float:
        """The genome entry for a value given by hand.

        Raises:
            StrategyError: not a number, or outside what the rule can bear.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise StrategyError(f"gene {self.name} = {value!r}: expected a number")
        number = float(value) + 0.0  # -0.0 becomes 0.0: one strategy, one key
        if not (self.least <= number <= self.most):
            raise StrategyError(f"gene {self.name} = {value!r}: expected a number from {self.least:g} to {self.most:g}")
        return number

    def show(self, entry: float) -> int | float | str:
        """A genome entry as a person writes it."""
        return entry

    def bounded(self, low: float, high: float, step: float | None = None) -> Gene:
        """The same gene searched within other bounds."""
        step = self.step if step is None else step
        for value in (low, high):
            self.parse(value)
        if low > high:
            raise SpecError(f"gene {self.name}: the lower bound {low:g} lies above the upper bound {high:g}; swap them")
        if step and (high - low) / step > MOST_STEPS:
            raise SpecError(f"gene {self.name}: step {step:g} makes over {MOST_STEPS:,} values; 0 is for a continuous gene")
        return replace(self, low=low, high=high, step=step)


@dataclass(frozen=True)
class Integer(Gene):
    """A whole number, by default on a lattice of step 1."""

    step: float = 1.0
    least: float = 1.0
    most: float = 1e9  # beyond 2^63 a kernel's integer would overflow, and a window reach outside its array

    def parse(self, value: object) -> float:
        number = super().parse(value)
        if number != math.floor(number):
            raise StrategyError(f"gene {self.name} = {value!r}: expected a whole number")
        return number

    def show(self, entry: float) -> int:
        return int(entry)

    def bounded(self, low: float, high: float, step: float | None = None) -> Gene:
        if step is not None and (step != math.floor(step) or step < 1):
            raise SpecError(f"gene {self.name}: step {step:g}: a whole gene takes a whole step of at least 1")
        return super().bounded(low, high, step)


@dataclass(frozen=True)
class Real(Gene):
    """A real number, searched evenly."""


@dataclass(frozen=True)
class LogReal(Gene):
    """A positive real number, searched evenly in its logarithm: 1 to 10 as closely as 10 to 100."""

    least: float = 5e-324

    @property
    def _width(self) -> float:
        return (log(self.high) - log(self.low)) / self.last

    def at(self, index: np.ndarray) -> np.ndarray:
        if self.last == 0:
            return np.full(np.shape(index), self.low)
        values = [exp(log(self.low) + i * self._width) for i in np.ravel(index).tolist()]
        return np.asarray(np.clip(np.reshape(values, np.shape(index)), self.low, self.high))

    def position(self, values: np.ndarray) -> np.ndarray:
        if self.last == 0:
            return np.zeros(np.shape(values))
        inside = np.clip(values, self.low, self.high)
        positions = [(log(v) - log(self.low)) / self._width for v in np.ravel(inside).tolist()]
        return np.reshape(positions, np.shape(values))

    def bounded(self, low: float, high: float, step: float | None = None) -> Gene:
        if step:
            raise SpecError(f"gene {self.name}: step {step:g}: a logarithmic gene takes no step; leave it out")
        return super().bounded(low, high)


@dataclass(frozen=True)
class Choice(Gene):
    """One of several options; its genome entry is the option's index in `options`."""

    step: float = 1.0
    options: tuple[str, ...] = ()
    allowed: tuple[int, ...] = ()  # the options that the search uses; the lattice runs over these

    @property
    def last(self) -> int:
        return len(self.allowed) - 1

    def at(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(self.allowed, dtype=np.float64)[np.asarray(index, dtype=np.int64)]

    def position(self, values: np.ndarray) -> np.ndarray:
        distance = np.abs(np.asarray(self.allowed, dtype=np.float64) - np.asarray(values)[..., None])
        return np.asarray(np.argmin(distance, axis=-1), dtype=np.float64)

    def parse(self, value: object) -> float:
        if value not in self.options:
            raise StrategyError(f"gene {self.name} = {value!r}: expected one of {', '.join(self.options)}")
        return float(self.options.index(str(value)))

    def show(self, entry: float) -> str:
        return self.options[int(entry)]

    def restricted(self, options: tuple[str, ...]) -> Choice:
        """The same gene searched among these options only."""
        indices = tuple(sorted({int(self.parse(option)) for option in options}))
        if not indices:
            raise SpecError(f"gene {self.name}: no option is left; allow one of {', '.join(self.options)}")
        return replace(self, low=indices[0], high=indices[-1], allowed=indices)


def choice(name: str, options: Sequence[str], default: str) -> Choice:
    """A gene that takes one of `options`.

    Raises:
        StrategyError: they are no texts, none, or not distinct; or the default is none of them.
    """
    if isinstance(options, str) or not isinstance(options, Sequence) or not all(isinstance(o, str) for o in options):
        raise StrategyError(f"gene {name}: options = {options!r}: expected texts, such as ('5', '10')")
    options = tuple(options)
    if not options or len(set(options)) < len(options):
        raise StrategyError(f"gene {name}: options = {options!r}: expected at least one, and each once")
    if default not in options:
        raise StrategyError(f"gene {name}: default {default!r} is none of its options {', '.join(options)}")
    indices = tuple(range(len(options)))
    return Choice(name, 0, len(options) - 1, float(options.index(default)), options=options, allowed=indices)


@dataclass(frozen=True)
class Switched(Gene):
    """A gene that the search may also switch off, entry 0: one more point below a lattice of positive values.

    Half of the scaled interval is off, so that a random genome is as often without it as with it.
    """

    inner: Gene | None = None

    @property
    def on(self) -> Gene:
        """The gene itself, without the switch."""
        assert self.inner is not None
        return self.inner

    @property
    def last(self) -> int:
        return self.on.last + 1

    def at(self, index: np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        return np.where(index < 0.5, 0.0, self.on.at(np.maximum(index - 1.0, 0.0)))

    def position(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values)
        above = self.on.position(np.maximum(values, self.on.low))
        return np.where(values > 0.0, 1.0 + above, 0.0)

    def decode(self, units: np.ndarray) -> np.ndarray:
        return np.where(units < 0.5, 0.0, self.on.decode(np.clip(2.0 * units - 1.0, 0.0, 1.0)))

    def encode(self, values: np.ndarray) -> np.ndarray:
        return np.where(values > 0.0, 0.5 + 0.5 * self.on.encode(np.maximum(values, self.on.low)), 0.25)

    def parse(self, value: object) -> float:
        return 0.0 if value == 0.0 else self.on.parse(value)

    def show(self, entry: float) -> int | float | str:
        return self.on.show(entry) if entry else "off"


def switched(gene: Gene) -> Switched:
    """The same gene with a switch."""
    return Switched(gene.name, gene.low, gene.high, gene.default, gene.step, inner=gene)


@dataclass(frozen=True)
class Less:
    """A constraint: gene `small` lies below gene `large`, in a search by at least `gap`; they may be equal if that is 0."""

    small: str
    large: str
    gap: float = 1.0

    def __str__(self) -> str:
        return f"{self.small} {'<' if self.gap else '<='} {self.large}"

    def holds(self, small: float, large: float) -> bool:
        """Whether a strategy may have these two values; the gap is the search's."""
        return small < large if self.gap else bool(~self.broken(np.array(small), np.array(large)))

    def broken(self, small: np.ndarray, large: np.ndarray) -> np.ndarray:
        """Where a search may not have these values. Genes that may be equal are so up to the rounding of their lattices."""
        rounding = 0.0 if self.gap else 1e-9 * np.maximum(1.0, np.abs(large))
        return np.asarray(small + self.gap > large + rounding)
