"""Who is the same trial: individuals of one family and one genome, told apart by number instead of by key."""

from __future__ import annotations

import numpy as np

from islands.evolution.deme import Deme
from islands.kernels.distinct import FREE, enter_rows, number_rows


class Rows:
    """A matrix that grows at its end, (N, W); what was there before is seldom copied."""

    def __init__(self, width: int, dtype: type = np.float64, room: int = 64) -> None:
        self._room: np.ndarray = np.empty((room, width), dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def values(self) -> np.ndarray:
        """The rows so far, a view."""
        return self._room[: self._count]

    def append(self, rows: np.ndarray) -> None:
        """Adds rows, (P, W)."""
        if self._count + len(rows) > len(self._room):
            room = np.empty((2 * (self._count + len(rows)), self._room.shape[1]), dtype=self._room.dtype)
            room[: self._count] = self.values
            self._room = room
        self._room[self._count : self._count + len(rows)] = rows
        self._count += len(rows)


class Register:
    """Numbers individuals as they come: of one family and genome by one number, in the order of their first appearance."""

    def __init__(self, width: int, room: int = 64) -> None:
        """width: columns of a genome. room: for so many distinct individuals; there is more where they need it."""
        self.count = 0
        self._known = np.empty((room, width + 1), dtype=np.int64)
        self._slots = _free_slots(room)

    def number(self, families: np.ndarray, genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of each individual, (P,), and whether it is the first to have it, (P,) bool."""
        numbers, fresh = np.empty(len(families), dtype=np.int64), np.empty(len(families), dtype=np.bool_)
        self._make_room(self.count + len(families))
        number_rows(_rows(families, genomes), self.count, self._known, self._slots, numbers, fresh)
        self.count += int(np.count_nonzero(fresh))
        return numbers, fresh

    def _make_room(self, most: int) -> None:
        if most <= len(self._known):
            return
        known = np.empty((2 * most, self._known.shape[1]), dtype=np.int64)
        known[: self.count] = self._known[: self.count]
        self._known, self._slots = known, _free_slots(len(known))
        enter_rows(self.count, self._known, self._slots)


def numbers(deme: Deme) -> tuple[np.ndarray, np.ndarray]:
    """The number of each individual of a deme, (P,), and whether it is the first of its kind, (P,) bool."""
    return Register(deme.genomes.shape[1], len(deme)).number(deme.families, deme.genomes)


def _rows(families: np.ndarray, genomes: np.ndarray) -> np.ndarray:
    """Family and genome as whole numbers, (P, G+1): equal where Deme.keys() are."""
    rows = np.empty((len(families), genomes.shape[1] + 1), dtype=np.int64)
    rows[:, 0] = families
    np.add(genomes, 0.0, out=rows[:, 1:].view(np.float64))  # -0.0 and 0.0 are one value
    return rows


def _free_slots(room: int) -> np.ndarray:
    return np.full(1 << (2 * room).bit_length(), FREE, dtype=np.int64)
