"""One strategy: a family with a value for every gene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from islands.errors import StrategyError
from islands.kernels import batch
from islands.strategies.families import Family, family

if TYPE_CHECKING:
    from islands.market.bars import Bars


class Strategy:
    """A point of a family, immutable: `Strategy("ema_crossover", fast=12, slow=26, direction="long")`.

    Genes that are not given take the family's defaults. Values outside the bounds of the search are welcome; a broken
    constraint is refused, never repaired.

    Raises:
        StrategyError: unknown family or gene, a value that the rule can't bear, a broken constraint.
    """

    __slots__ = ("family", "genome")

    family: Family
    genome: np.ndarray

    def __init__(self, family_name: str, /, **genes: Any) -> None:
        kind = family(family_name)
        for name in genes:
            kind.gene(name)
        row = np.array([g.parse(genes[g.name]) if g.name in genes else g.default for g in kind.genes])
        row.flags.writeable = False
        object.__setattr__(self, "family", kind)
        object.__setattr__(self, "genome", row)
        entries = dict(zip((g.name for g in kind.genes), row.tolist(), strict=True))
        for rule in kind.constraints:
            if not rule.holds(entries[rule.small], entries[rule.large]):
                raise StrategyError(
                    f"{self!r} breaks {rule} of family {kind.name}: {rule.small} is {entries[rule.small]:g}, "
                    f"{rule.large} is {entries[rule.large]:g}"
                )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Strategy is immutable; make another one to change {name}")

    @classmethod
    def from_genome(cls, kind: Family, genome: np.ndarray) -> Strategy:
        """The strategy of one genome row (its first G entries; padding is ignored)."""
        return cls(kind.name, **{g.name: g.show(float(v)) for g, v in zip(kind.genes, genome, strict=False)})

    @property
    def genes(self) -> dict[str, int | float | str]:
        """Genes by name, as a person writes them."""
        return {g.name: g.show(float(v)) for g, v in zip(self.family.genes, self.genome, strict=True)}

    @property
    def warmup(self) -> int:
        """Bars until the decisions no longer depend on where the data begin."""
        return self.family.warmup({g.name: float(v) for g, v in zip(self.family.genes, self.genome, strict=True)})

    def positions(self, bars: Bars) -> np.ndarray:
        """Target exposure in [-1, 1] decided at each close, float64 (T,); bar t is decided from bars up to t."""
        return batch.positions(self.family.signal, bars.tape, self.genome)

    def to_dict(self) -> dict[str, Any]:
        """{"family": name, "version": n, "genes": {...}}: plain values for JSON."""
        return {"family": self.family.name, "version": self.family.version, "genes": self.genes}

    def __repr__(self) -> str:
        return f"Strategy({self.family.name!r}, {', '.join(f'{k}={v!r}' for k, v in self.genes.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strategy) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.family.name, self.genes)

    @property
    def _identity(self) -> tuple[str, bytes]:
        return self.family.name, self.genome.tobytes()


def _rebuild(name: str, genes: dict[str, Any]) -> Strategy:
    return Strategy(name, **genes)
