"""One island's population, and the account of what was tried, as columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

Key = tuple[int, bytes]

ORIGINS = ("founder", "immigrant", "copy", "crossover", "mutation", "crossover and mutation", "reset")
"""How a genome came to be tried. A copy is a child that no operator changed; a reset is a mutant of a best one."""
FOUNDER, IMMIGRANT, COPY, CROSSOVER, MUTATION, CROSSOVER_MUTATION, RESET = range(7)

NOBODY = (-1, -1, -1)
"""The birth of a parent that does not exist."""


@dataclass(frozen=True, eq=False)
class Deme:
    """P individuals, read-only columns.

    families: (P,) int64, indices of the world's families. genomes: (P, G) float64 in natural units, NaN beyond the
    genes of an individual's family. scores: (P, K+1) float64, the value of each objective and the violation of the
    limits (see objectives.Aim). births: (P, 3) int64, island, generation and slot where the genome arose; the same
    genome found again within an epoch, or copied, keeps the birth it has.
    """

    families: np.ndarray
    genomes: np.ndarray
    scores: np.ndarray
    births: np.ndarray

    def __post_init__(self) -> None:
        for field, dtype in zip(fields(self), ("<i8", "<f8", "<f8", "<i8"), strict=True):
            object.__setattr__(self, field.name, _column(getattr(self, field.name), dtype))

    def __len__(self) -> int:
        return len(self.families)

    @classmethod
    def empty(cls, width: int, objectives: int = 1) -> Deme:
        """No individuals, with room for genomes of `width` genes and scores of so many objectives."""
        return cls(np.empty(0), np.empty((0, width)), np.empty((0, objectives + 1)), np.empty((0, 3)))

    @property
    def present(self) -> list[int]:
        """The families that occur, in order."""
        return present(self.families)

    @property
    def feasible(self) -> np.ndarray:
        """Who keeps within all limits, (P,) bool."""
        return np.asarray(self.scores[:, -1] == 0.0)

    def take(self, rows: np.ndarray | list[int]) -> Deme:
        """The individuals of these rows, in this order; or of those that a mask, (P,) bool, marks."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64, copy=False)
        columns = (self.families, self.genomes, self.scores, self.births)
        return Deme(*(column.take(index, axis=0) for column in columns))  # faster than column[index]

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
        rows = np.ascontiguousarray(genomes).view(f"V{genomes.itemsize * genomes.shape[1]}").ravel()
        return list(zip(self.families.tolist(), rows.tolist(), strict=True))

    def canonical(self) -> bytes:
        """The bytes that enter a digest: the number of individuals, then each column, little-endian."""
        columns = (self.families, self.genomes, self.scores, self.births)
        return len(self).to_bytes(8, "little") + b"".join(column.tobytes() for column in columns)


@dataclass(frozen=True, eq=False)
class Trials:
    """Individuals as they were scored, with where they come from.

    origins: (P,) int64, indices of ORIGINS. parents: (P, 6) int64, the births of up to two parents, NOBODY where there
    is none; an immigrant has none here, its own birth names the island it came from.
    """

    deme: Deme
    origins: np.ndarray
    parents: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", _column(self.origins, "<i8"))
        object.__setattr__(self, "parents", _column(self.parents, "<i8"))

    def __len__(self) -> int:
        return len(self.deme)

    @classmethod
    def without_parents(cls, deme: Deme, origin: int) -> Trials:
        """Trials that nobody here is parent of: founders and immigrants."""
        return cls(deme, np.full(len(deme), origin), np.full((len(deme), 6), -1))

    def join(self, *others: Trials) -> Trials:
        """These trials, then the others."""
        return Trials(
            self.deme.join(*(other.deme for other in others)),
            np.concatenate([self.origins, *(other.origins for other in others)]),
            np.concatenate([self.parents, *(other.parents for other in others)]),
        )

    def canonical(self) -> bytes:
        """The bytes that enter a digest."""
        return self.deme.canonical() + self.origins.tobytes() + self.parents.tobytes()


def present(families: np.ndarray) -> list[int]:
    """The indices that occur, in order; np.unique would sort."""
    found: list[int] = np.flatnonzero(np.bincount(families)).tolist()
    return found


def _column(values: np.ndarray, dtype: str) -> np.ndarray:
    column = np.ascontiguousarray(values, dtype=dtype).view()
    column.flags.writeable = False
    return column
