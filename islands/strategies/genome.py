"""Genes, constraints between them, and the search space of a family.

A genome is one row of floats in natural units: periods in bars, thresholds as they are, a choice as the index of its
option. Evolution works on the same row scaled to [0, 1] gene by gene; `Space` translates. Every gene is a lattice (of
10^7 steps where none is asked for), so that a genome that was scaled, left alone and scaled back is the same genome to
the last bit, and is not counted as another trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from islands.errors import SpecError, StrategyError
from islands.numerics import exp, log

if TYPE_CHECKING:
    from islands.strategies.families import Family

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


def choice(name: str, options: tuple[str, ...], default: str) -> Choice:
    """A gene that takes one of `options`."""
    indices = tuple(range(len(options)))
    return Choice(name, 0, len(options) - 1, float(options.index(default)), options=options, allowed=indices)


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
        return small < large or (small == large and not self.gap)


@dataclass(frozen=True)
class Space:
    """What of one family a campaign searches: its genes within the spec's bounds.

    Matrices are (P, G), a row an individual, a column a gene.

    Raises:
        SpecError: no genome within the bounds keeps the constraints.
    """

    family: Family
    genes: tuple[Gene, ...]

    def __post_init__(self) -> None:
        for rule in self.family.constraints:
            small, large = self._gene(rule.small), self._gene(rule.large)
            if small.low + rule.gap > large.at(np.asarray(large.last)):
                raise SpecError(
                    f"family {self.family.name}: no genome within the bounds keeps {rule}: {small.name} starts at "
                    f"{small.low:g}, {large.name} ends at {large.high:g}; widen one of them"
                )

    def _gene(self, name: str) -> Gene:
        return next(gene for gene in self.genes if gene.name == name)

    def _column(self, name: str) -> int:
        return [gene.name for gene in self.genes].index(name)

    def decode(self, units: np.ndarray) -> np.ndarray:
        """Genomes of scaled rows in [0, 1], before repair."""
        return np.column_stack([gene.decode(units[:, j]) for j, gene in enumerate(self.genes)])

    def encode(self, genomes: np.ndarray) -> np.ndarray:
        """Scaled rows in (0, 1) of genomes."""
        return np.column_stack([gene.encode(genomes[:, j]) for j, gene in enumerate(self.genes)])

    def repair(self, genomes: np.ndarray) -> np.ndarray:
        """Genomes on the lattice within the bounds that keep the constraints; one that does already is unchanged.

        A broken constraint raises the larger gene to the next point of its lattice; where none is left, the smaller
        one is lowered instead.
        """
        repaired = np.column_stack([gene.snap(genomes[:, j]) for j, gene in enumerate(self.genes)])
        for rule in self.family.constraints:
            i, j = self._column(rule.small), self._column(rule.large)
            small, large = repaired[:, i], repaired[:, j]
            broken = small + rule.gap > large
            raised = np.where(broken, self.genes[j].above(small + rule.gap), large)
            lowered = np.where(small + rule.gap > raised, self.genes[i].below(raised - rule.gap), small)
            repaired[:, i], repaired[:, j] = lowered, raised
        return repaired

    def founders(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """`count` random genomes, evenly over the scaled genes, repaired."""
        return self.repair(self.decode(generator.random((count, len(self.genes)))))

    @property
    def warmup(self) -> int:
        """The largest warm-up, in bars, that any genome of this space needs."""
        highest = {gene.name: float(gene.at(np.asarray(gene.last))) for gene in self.genes}
        return self.family.warmup(highest)
