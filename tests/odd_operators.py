"""Operators of a user that do what they should not, or in an unusual way."""

from __future__ import annotations

from collections.abc import Sequence


def longer(individual: list[float]) -> tuple[list[float]]:
    individual.append(0.5)
    return (individual,)


def undefined(individual: list[float]) -> tuple[list[float]]:
    individual[0] = float("nan")
    return (individual,)


def outside(individual: list[float], distance: float) -> tuple[list[float]]:
    """Leaves the unit interval on both sides, in a plain list of its own."""
    return ([gene + distance if i % 2 else gene - distance for i, gene in enumerate(individual)],)


def keyword_only(individual: list[float], *, width: float) -> tuple[list[float]]:
    individual[0] = width
    return (individual,)


def mirrored(individual: list[float]) -> tuple[list[float]]:
    individual[:] = [1.0 - gene for gene in individual]
    return (individual,)


def both_mirrored(first: list[float], second: list[float]) -> tuple[list[float], list[float]]:
    return mirrored(first)[0], mirrored(second)[0]


def nothing_done(first: list[float], second: list[float]) -> tuple[list[float], list[float]]:
    return first, second


def swapped(first: list[float], second: list[float]) -> tuple[list[float], list[float]]:
    return second, first


def half(individuals: Sequence[object], k: int) -> list[object]:
    return list(individuals[: k // 2])


def fails(individual: list[float]) -> tuple[list[float]]:
    raise ArithmeticError("this operator always fails")
