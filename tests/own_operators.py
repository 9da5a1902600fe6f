"""Operators that are not DEAP's, as a user would write them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

_calls = 0


def shake(individual: list[float], width: float) -> tuple[list[float]]:
    """Moves every gene a little."""
    for i, gene in enumerate(individual):
        individual[i] = gene + random.uniform(-width, width)
    return (individual,)


def broken_after(individual: list[float], calls: int) -> tuple[list[float]]:
    """Works so many times in a process, then raises."""
    global _calls
    _calls += 1
    if _calls > calls:
        raise RuntimeError("broken on purpose")
    return shake(individual, 0.1)


def first_of_all(individuals: Sequence[object], k: int) -> list[object]:
    """A selection that always takes the first."""
    return [individuals[0]] * k


looked_at: list[tuple[object, int, int, list[float]]] = []


def look(individual: Any) -> tuple[Any]:
    """Notes what it is given, and changes nothing."""
    looked_at.append((individual.fitness, individual.row, individual.mate, list(individual)))
    return (individual,)
