"""Crossover and mutation of a whole population: DEAP 1.4's formulas, a number at a time, in its order of operations.

Scaled genes, (P, W), are changed in place; an individual uses the first `sizes[row]` columns. No chance is drawn here:
`chance` holds numbers evenly spread over [0, 1), as many for each gene as its operator may need, whether it does or not.
Given the numbers that DEAP's operator draws, the children are DEAP's to the last bit. Powers, logarithms and cosines are
the C library's, which the numeric fingerprint probes.

K. Deb, R. B. Agrawal, Simulated binary crossover for continuous search space, Complex Systems 9 (1995).
K. Deb, M. Goyal, A combined genetic adaptive search (GeneAS) for engineering design, Computer Science and Informatics 26
(1996): polynomial mutation.
"""

from __future__ import annotations

import math

from .compile import device, kernel

_EQUAL = 1e-14  # parents nearer than this have no children between them


@device
def _spread(room, width, u, eta):
    """How far from the middle of two parents, in half their distance, a child lies that has `room` beyond one of them."""
    alpha = 2.0 - (1.0 + (2.0 * room / width)) ** -(eta + 1.0)
    if u <= 1.0 / alpha:
        return (u * alpha) ** (1.0 / (eta + 1.0))
    return (1.0 / (2.0 - u * alpha)) ** (1.0 / (eta + 1.0))


@kernel("cross_simulated_binary_bounded")
def cross_simulated_binary_bounded(first, second, sizes, eta, low, up, chance, genes):
    """Simulated binary crossover within bounds (W,) of the rows first[i] and second[i]; chance (N, W, 3)."""
    for i in range(first.shape[0]):
        a, b = first[i], second[i]
        for j in range(sizes[a]):
            x, y = min(genes[a, j], genes[b, j]), max(genes[a, j], genes[b, j])
            if chance[i, j, 0] > 0.5 or not y - x > _EQUAL:
                continue
            u = chance[i, j, 1]
            lower = 0.5 * (x + y - _spread(x - low[j], y - x, u, eta) * (y - x))
            upper = 0.5 * (x + y + _spread(up[j] - y, y - x, u, eta) * (y - x))
            lower, upper = min(max(lower, low[j]), up[j]), min(max(upper, low[j]), up[j])
            if chance[i, j, 2] <= 0.5:
                lower, upper = upper, lower
            genes[a, j], genes[b, j] = lower, upper


@kernel("cross_simulated_binary")
def cross_simulated_binary(first, second, sizes, eta, chance, genes):
    """Simulated binary crossover without bounds of the rows first[i] and second[i]; chance (N, W)."""
    for i in range(first.shape[0]):
        a, b = first[i], second[i]
        for j in range(sizes[a]):
            u, x, y = chance[i, j], genes[a, j], genes[b, j]
            beta = (2.0 * u if u <= 0.5 else 1.0 / (2.0 * (1.0 - u))) ** (1.0 / (eta + 1.0))
            genes[a, j] = 0.5 * (((1.0 + beta) * x) + ((1.0 - beta) * y))
            genes[b, j] = 0.5 * (((1.0 - beta) * x) + ((1.0 + beta) * y))


@kernel("mutate_polynomial_bounded")
def mutate_polynomial_bounded(rows, sizes, eta, low, up, indpb, chance, genes):
    """Polynomial mutation within bounds (W,) of these rows, (N,); chance (N, W, 2).

    A gene outside the bounds, where a crossover without bounds may leave one, counts as at the nearer bound; there
    DEAP's formula has a power of a negative number, and its operator fails.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        for j in range(sizes[row]):
            if chance[i, j, 0] > indpb:
                continue
            x, width, u = min(max(genes[row, j], low[j]), up[j]), up[j] - low[j], chance[i, j, 1]
            if u < 0.5:
                rest = 1.0 - (x - low[j]) / width
                shift = (2.0 * u + (1.0 - 2.0 * u) * rest ** (eta + 1.0)) ** (1.0 / (eta + 1.0)) - 1.0
            else:
                rest = 1.0 - (up[j] - x) / width
                shift = 1.0 - (2.0 * (1.0 - u) + 2.0 * (u - 0.5) * rest ** (eta + 1.0)) ** (1.0 / (eta + 1.0))
            genes[row, j] = min(max(x + shift * width, low[j]), up[j])


@kernel("mutate_gaussian")
def mutate_gaussian(rows, sizes, mu, sigma, indpb, chance, genes):
    """Adds normally distributed numbers of mean and deviation (W,) to genes of these rows, (N,); chance (N, W, 3).

    Box and Muller's transformation, as Python's random.gauss.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        for j in range(sizes[row]):
            if chance[i, j, 0] < indpb:
                angle, radius = chance[i, j, 1] * (2.0 * math.pi), math.sqrt(-2.0 * math.log(1.0 - chance[i, j, 2]))
                genes[row, j] += mu[j] + math.cos(angle) * radius * sigma[j]
