"""One island's population, as columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

Key = tuple[int, bytes]


@dataclass(frozen=True, eq=False)
class Deme:
    """P individuals, read-only columns.

    families: (P,) int64, indices of the world's families. genomes: (P, G) float64 in natural units, NaN beyond the
    genes of an individual's family. scores: (P, 2) float64, the objective's value and the violation of the limits (see
    evaluation.Objective). births: (P, 3) int64, island, generation and slot where the individual arose.
    """

    families: np.ndarray
    genomes: np.ndarray
    scores: np.ndarray
    births: np.ndarray

    def __post_init__(self) -> None:
        for field, dtype in zip(fields(self), ("<i8", "<f8", "<f8", "<i8"), strict=True):
            column = np.ascontiguousarray(getattr(self, field.name), dtype=dtype)
            column = column.view()
            column.flags.writeable = False
            object.__setattr__(self, field.name, column)

    def __len__(self) -> int:
        return len(self.families)

    @classmethod
    def empty(cls, width: int) -> Deme:
        """No individuals, with room for genomes of `width` genes."""
        return cls(np.empty(0), np.empty((0, width)), np.empty((0, 2)), np.empty((0, 3)))

    def take(self, rows: np.ndarray | list[int]) -> Deme:
        """The individuals of these rows, in this order."""
        index = np.asarray(rows, dtype=np.int64)
        return Deme(self.families[index], self.genomes[index], self.scores[index], self.births[index])

    def join(self, *others: Deme) -> Deme:
        """This deme's individuals, then those of the others."""
        parts = (self, *others)
        return Deme(
            np.concatenate([p.families for p in parts]),
            np.concatenate([p.genomes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.births for p in parts]),
        )

    def keys(self) -> list[Key]:
        """What makes individuals the same trial: family and genome."""
        genomes = self.genomes + 0.0  # -0.0 and 0.0 are one value
        return [(family, row.tobytes()) for family, row in zip(self.families.tolist(), genomes, strict=True)]

    def order(self, sign: float) -> np.ndarray:
        """Rows from best to worst: feasible ones first, by value (`sign` +1 for a maximum, -1 for a minimum).

        The infeasible follow by how far they miss the limits, and ties are broken by birth, so the order is total.
        """
        value, violation = self.scores[:, 0], self.scores[:, 1]
        worth = np.where(np.isfinite(value), sign * value, -np.inf)
        island, generation, slot = self.births.T
        return np.lexsort((slot, generation, island, -worth, violation))

    def best_distinct(self, count: int, sign: float, feasible_only: bool = False) -> Deme:
        """The best `count` individuals of distinct family and genome, best first."""
        keys, seen, rows = self.keys(), set[Key](), list[int]()
        for row in self.order(sign).tolist():
            if len(rows) == count or (feasible_only and self.scores[row, 1] > 0.0):
                break
            if keys[row] not in seen:
                seen.add(keys[row])
                rows.append(row)
        return self.take(rows)

    def canonical(self) -> bytes:
        """The bytes that enter a digest: the number of individuals, then each column, little-endian."""
        columns = (self.families, self.genomes, self.scores, self.births)
        return len(self).to_bytes(8, "little") + b"".join(column.tobytes() for column in columns)
