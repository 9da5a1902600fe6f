"""The search space of a family: its genes within the spec's bounds, and the overlays that lie over it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from islands.errors import SpecError, StrategyError
from islands.kernels.overlays import OVERLAYS
from islands.randomness import Purpose, stream
from islands.strategies.genome import Gene
from islands.strategies.overlays import OFF, READ_BY, SWITCHES, default_row, live, overlay_warmup

if TYPE_CHECKING:
    from islands.strategies.families import Family
    from islands.strategies.strategy import Strategy


@dataclass(frozen=True)
class Space:
    """What of one family a campaign searches: its genes within the spec's bounds, then the overlays that are genes too.

    Matrices are (P, G), a row an individual, a column a gene.

    Raises:
        SpecError: no genome within the bounds keeps the constraints.
    """

    family: Family
    genes: tuple[Gene, ...]

    @property
    def overlays(self) -> tuple[Gene, ...]:
        """The genes behind the family's own."""
        return self.genes[len(self.family.genes) :]

    def __post_init__(self) -> None:
        for rule in self.family.constraints:
            small, large = self._gene(rule.small), self._gene(rule.large)
            if rule.broken(np.asarray(small.low), large.at(np.asarray(large.last))):
                raise SpecError(
                    f"family {self.family.name}: no genome within the bounds keeps {rule}: {small.name} starts at "
                    f"{small.low:g}, {large.name} ends at {large.high:g}; widen one of them"
                )

        lowest = self.repair(np.array([[gene.low for gene in self.genes]]))[0]
        for rule in self.family.constraints:
            if rule.broken(lowest[self._column(rule.small)], lowest[self._column(rule.large)]):
                rules = ", ".join(map(str, self.family.constraints))
                raise SpecError(f"family {self.family.name}: no genome within the bounds keeps {rules} together; widen some")

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
        one is lowered instead. Rules may share genes: raising goes on until nothing moves, then lowering does. An
        overlay's parameter that nothing reads is set to its default, so that genomes which do the same are one trial.
        """
        repaired = np.column_stack([gene.snap(genomes[:, j]) for j, gene in enumerate(self.genes)])
        rules = [(rule, self._column(rule.small), self._column(rule.large)) for rule in self.family.constraints]
        for _ in rules:  # a chain is settled after as many rounds as it has links
            for rule, i, j in rules:
                broken = rule.broken(repaired[:, i], repaired[:, j])
                repaired[broken, j] = self.genes[j].above(repaired[broken, i] + rule.gap)
        for _ in rules:
            for rule, i, j in rules:
                broken = rule.broken(repaired[:, i], repaired[:, j])
                repaired[broken, i] = self.genes[i].below(repaired[broken, j] - rule.gap)
        return self._settled(repaired)

    def _settled(self, genomes: np.ndarray) -> np.ndarray:
        """Genomes with the parameters that nothing reads at their defaults."""
        settled = genomes.copy()
        for column, gene in enumerate(self.genes):
            settled[self._unread(gene, genomes), column] = gene.snap(np.array([gene.default]))[0]
        return settled

    def _unread(self, gene: Gene, genomes: np.ndarray) -> np.ndarray:
        """In which genomes, (P,), nothing reads an overlay's parameter."""
        readers = [self._column(other.name) for other in self.overlays if other.name in READ_BY.get(gene.name, ())]
        if gene.name not in READ_BY or gene not in self.overlays:
            return np.zeros(len(genomes), dtype=bool)
        return np.asarray(~(genomes[:, readers] > 0.0).any(axis=1))

    def founders(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """`count` random genomes, evenly over the scaled genes, repaired."""
        return self.repair(self.decode(generator.random((count, len(self.genes)))))

    def genome_of(self, strategy: Strategy) -> np.ndarray:
        """The genome, (G,), of a strategy of this family; it need not lie within the bounds.

        Raises:
            StrategyError: it has an overlay that is no gene of this space.
        """
        row = strategy.overlays
        on = [] if row is None else live(row)
        names = [gene.name for gene in self.overlays]
        said = dict(zip(OVERLAYS, default_row() if row is None else row.tolist(), strict=True))
        for name in on:
            if name not in names and said[name] != OFF[name]:
                raise StrategyError(f"{strategy!r}: {name} is none of the overlays of this search; add it to overlays")
        entries = [said[name] if name in on or name not in SWITCHES else 0.0 for name in names]
        whole: np.ndarray = self._settled(np.concatenate([strategy.genome, entries])[None, :])[0]
        return whole

    def overlay_rows(self, genomes: np.ndarray) -> np.ndarray | None:
        """Of genomes, the rows of kernels.overlays.OVERLAYS, (P, O); None where the space has no overlays."""
        if not self.overlays:
            return None
        rows = np.tile(default_row(), (len(genomes), 1))
        for column, gene in enumerate(self.overlays, start=len(self.family.genes)):
            rows[:, OVERLAYS.index(gene.name)] = genomes[:, column]
        return rows

    @cached_property
    def warmup(self) -> int:
        """The largest warm-up, in bars, that any genome of this space needs, its overlays included.

        Asked of the highest genes, the lowest, and some hundred founders with every option of every choice among them.
        """
        highest = np.array([[float(gene.at(np.asarray(gene.last))) for gene in self.genes]])
        lowest = np.array([[float(gene.at(np.asarray(0))) for gene in self.genes]])
        founders = self.founders(stream(4, purpose=Purpose.PROBE), 200)
        names = [gene.name for gene in self.genes]
        rows = self.repair(np.concatenate([highest, lowest, founders])).tolist()
        needs = [self.family.warmup(dict(zip(names, row, strict=True))) for row in rows]
        reach = dict(zip(names, highest[0].tolist(), strict=True))
        return max(*needs, overlay_warmup({gene.name: reach[gene.name] for gene in self.overlays}))
