"""What lies between a user's own functions and the loops of `signals`. Here, so that the name of the cache folder holds it.

compiler: `device`, or `checked_device` for trials.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .compile import checked_device, device
from .signals import greatest_target, least_target
from .vectors import greater, smaller, where


class BarArrays(NamedTuple):
    """What a step reads: read-only arrays (T,)."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


class FundedBarArrays(NamedTuple):
    """What the step of a family reads that needs funding."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    funding_rate: np.ndarray


@device
def as_they_are(genes):
    """What a user's prepare does where there is none."""
    return genes


def unpacked(compiler: Callable[..., Any], names: Sequence[str], whole: Sequence[bool]) -> Any:
    """Compiled: genome row, or rows in lanes -> the named tuple of genes, whole ones as ints.

    Its entries have types of their own, so the call is written out.
    """
    kind = namedtuple("Genes", names)  # type: ignore[misc]
    entries = (f"int(genome[{j}])" if is_whole else f"genome[{j}]" for j, is_whole in enumerate(whole))
    return compiler(eval(f"lambda genome: Genes({', '.join(entries)})", {"Genes": kind}))


def bounded(unpack: Any, side: int, prepare: Any, start: Any, step: Any) -> tuple[Any, Any, Any]:
    """(prepare, start, step) of a signal: the user's target is clipped to what the direction, in column `side`, allows, and
    NaN is flat. Columns behind that one are not the family's."""

    @device
    def own_prepare(genome):
        bounds = least_target(genome[side]), greatest_target(genome[side])
        return prepare(unpack(genome)), bounds

    @device
    def own_start(genes, inputs):
        return start(genes[0], inputs)

    @device
    def own_step(genes, state, t, inputs):
        own, (least, greatest) = genes
        state, decided = step(own, state, t, inputs)
        target = 0.0 + decided
        target = where(target == target, target, 0.0)
        return state, greater(smaller(target, greatest), least)  # no branches: with them it was 5 % slower

    return own_prepare, own_start, own_step


def bare(unpack: Any, prepare: Any, start: Any, step: Any) -> tuple[Any, Any, Any]:
    """(prepare, start, step) of a signal for trials: the target as it comes."""

    @checked_device
    def own_prepare(genome):
        return prepare(unpack(genome))

    @checked_device
    def own_step(genes, state, t, inputs):
        state, decided = step(genes, state, t, inputs)
        return state, 0.0 + decided

    return own_prepare, start, own_step
