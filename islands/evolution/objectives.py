"""What evolution is after: metrics with goals, within limits, pooled over segments and instruments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from islands.errors import SpecError
from islands.kernels.metrics import METRICS, OF_RECORD
from islands.spec import CampaignSpec, PoolingSpec
from islands.strategies.families import nearest

# The worst value of interest of a metric, from which a hypervolume is measured unless the spec says otherwise. Metrics
# that are not here have no natural one.
REFERENCES = {
    "total_return": 0.0,
    "cagr": 0.0,
    "sharpe": 0.0,
    "sortino": 0.0,
    "calmar": 0.0,
    "profit_factor": 1.0,
    "win_rate": 0.0,
    "max_drawdown": 1.0,
}


@dataclass(frozen=True)
class Objective:
    """One of METRICS and a goal. reference: the worst value of interest, NaN where it plays no part."""

    name: str
    goal: str
    reference: float = float("nan")

    @property
    def sign(self) -> float:
        return 1.0 if self.goal == "max" else -1.0


def _mean(worths: np.ndarray, pooling: PoolingSpec) -> np.ndarray:
    total = np.zeros(worths.shape[1])
    for instrument in worths:  # one by one: numpy's own sum groups a single genome otherwise than many
        total += instrument
    return total / len(worths)


def _median(worths: np.ndarray, pooling: PoolingSpec) -> np.ndarray:
    return _at(worths, 0.5)


def _minimum(worths: np.ndarray, pooling: PoolingSpec) -> np.ndarray:
    return np.asarray(np.min(worths, axis=0))


def _quantile(worths: np.ndarray, pooling: PoolingSpec) -> np.ndarray:
    return _at(worths, pooling.quantile)


def _at(worths: np.ndarray, share: float) -> np.ndarray:
    """The value a share of the way up the sorted rows, linear between two (Hyndman and Fan's definition 7)."""
    ranked = np.sort(worths, axis=0)
    place = share * (len(ranked) - 1)
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return np.asarray(ranked[low] + (place - low) * (ranked[high] - ranked[low]))


POOLS: dict[str, Callable[[np.ndarray, PoolingSpec], np.ndarray]] = {
    "mean": _mean,
    "median": _median,
    "minimum": _minimum,
    "quantile": _quantile,
}
"""Rules that make one worth of those on each instrument, (I, P) -> (P,). They order by worth: larger is better."""


def _pooled(sign: float, values: list[np.ndarray], pooling: PoolingSpec) -> np.ndarray:
    """One value, (P,), of several of each genome; NaN where one is undefined."""
    if len(values) == 1:
        return values[0]
    worths = sign * np.stack(values)
    defined = np.isfinite(worths).all(axis=0)
    pooled = POOLS[pooling.rule](np.where(defined, worths, 0.0), pooling)
    return np.where(defined, sign * pooled, np.nan)


@dataclass(frozen=True)
class Aim:
    """Objectives within limits of feasibility, and how segments and instruments are pooled.

    limits: (metric, bound, whether the bound is a minimum); they hold on each segment of each instrument by itself. Scores
    are rows (value of each objective, violation): the violation adds up how far the limits are missed, each relative to its
    bound, over all of them. Feasible means violation 0; an undefined value is infinitely far from feasible.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[tuple[str, float, bool], ...]
    pooling: PoolingSpec
    segments: PoolingSpec

    @property
    def signs(self) -> np.ndarray:
        """+1 for a maximum, -1 for a minimum, (K,)."""
        return np.array([objective.sign for objective in self.objectives])

    @property
    def needs_record(self) -> bool:
        """Whether a figure is asked for that only a run recorded bar by bar has (metrics.OF_RECORD)."""
        names = {objective.name for objective in self.objectives} | {metric for metric, _, _ in self.limits}
        return not names.isdisjoint(OF_RECORD)

    def scores(self, tables: list[np.ndarray], names: Sequence[str] = ()) -> np.ndarray:
        """Rows of METRICS, (P, M) for each run -> (P, K+1) scores.

        names: the instrument of each run; runs of one instrument are its segments. Without names each is an instrument.
        """
        violation = np.zeros(len(tables[0]))
        for table in tables:
            violation += self._violation(table)
        groups: dict[object, list[np.ndarray]] = {}
        for name, table in zip(names or range(len(tables)), tables, strict=True):
            groups.setdefault(name, []).append(table)
        columns = [self._value(objective, list(groups.values())) for objective in self.objectives]
        return np.column_stack([*columns, violation])

    def _value(self, objective: Objective, groups: list[list[np.ndarray]]) -> np.ndarray:
        column = METRICS.index(objective.name)
        each = [_pooled(objective.sign, [table[:, column] for table in segments], self.segments) for segments in groups]
        return _pooled(objective.sign, each, self.pooling)

    def _violation(self, table: np.ndarray) -> np.ndarray:
        values = table[:, [METRICS.index(objective.name) for objective in self.objectives]]
        violation = np.where(np.isfinite(values).all(axis=1), 0.0, np.inf)
        for metric, bound, is_minimum in self.limits:
            reached = table[:, METRICS.index(metric)]
            missed = (bound - reached if is_minimum else reached - bound) / (abs(bound) or 1.0)
            violation += np.where(np.isnan(reached), np.inf, np.maximum(missed, 0.0))
        return violation


def make_aim(spec: CampaignSpec) -> Aim:
    """The aim that a spec states.

    Raises:
        SpecError: no such metric or pooling rule; an objective twice; several objectives, one without a reference.
    """
    names = [part.name for part in spec.objectives]
    for index, name in enumerate(names):
        if name not in METRICS:
            place = f"objective[{index}].name" if isinstance(spec.objective, list) else "objective.name"
            raise SpecError(f"{place} = {name!r}{nearest(name, list(METRICS))}; known: {', '.join(METRICS)}")
        if names.count(name) > 1:
            raise SpecError(f"objective: {name} is listed twice; give each metric once")
    for place, rule in (("pooling", spec.pooling.rule), ("splits", spec.splits.rule)):
        if rule not in POOLS:
            raise SpecError(f"{place}.rule = {rule!r}{nearest(rule, list(POOLS))}; known: {', '.join(POOLS)}")
    limits = []
    if spec.limits.min_trades is not None:
        limits.append(("trades", float(spec.limits.min_trades), True))
    if spec.limits.max_drawdown is not None:
        limits.append(("max_drawdown", spec.limits.max_drawdown, False))
    objectives = tuple(Objective(p.name, p.goal, _reference(spec, i)) for i, p in enumerate(spec.objectives))
    return Aim(objectives, tuple(limits), spec.pooling, spec.splits.pooling)


def _reference(spec: CampaignSpec, index: int) -> float:
    part = spec.objectives[index]
    if part.reference is not None:
        return part.reference
    if len(spec.objectives) == 1:
        return float("nan")
    if part.name == "max_drawdown" and part.goal == "min" and spec.limits.max_drawdown is not None:
        return spec.limits.max_drawdown
    natural = REFERENCES.get(part.name)
    if natural is None or (part.goal == "min") != (part.name == "max_drawdown"):
        raise SpecError(
            f"objective[{index}] ({part.name}, {part.goal}): needs a reference, the worst value of interest, since the "
            f"hypervolume of several objectives is measured from there; give reference = ... beside its name"
        )
    return natural
