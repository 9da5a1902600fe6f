"""A first spec for somebody's bars, written to be read and changed."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from islands.desk.toml import toml_value
from islands.errors import BarsError
from islands.evolution.migration import REPLACEMENTS, SELECTIONS
from islands.evolution.stagnation import RULES
from islands.evolution.topology import TOPOLOGIES
from islands.kernels.metrics import METRICS
from islands.market.bars import Bars
from islands.spec import BUILT_IN
from islands.strategies.families import FAMILIES, Family
from islands.strategies.genome import Choice, Gene, Integer
from islands.strategies.overlays import OVERLAY_GENES, SWITCHES
from islands.strategies.space import Space

MOST_WARMUP = 0.2
"""Share of the bars that a drafted search space may take for its warm-up."""


def draft(instruments: dict[str, tuple[str, Bars]], reading: dict[str, Any], path: Path, name: str) -> str:
    """The text of a spec at `path` for bars by name, each with the place it was read from by `reading`.

    The bounds of periods are narrowed where the family's own would leave too few bars.

    Raises:
        BarsError: so few bars that no search space is left.
    """
    several = len(instruments) > 1
    fewest = min(len(bars) for _, bars in instruments.values())
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["toml"] = toml_value
    template = environment.from_string((resources.files("islands.desk") / "draft.toml").read_text(encoding="utf-8"))
    return template.render(
        file=path.name,
        name=name,
        instruments=[
            {"key": key if several else None, "summary": repr(bars), "path": _relative(place, path.parent), "reading": reading}
            for key, (place, bars) in instruments.items()
        ],
        families=[_family(kind, fewest) for kind in FAMILIES.values() if not _lacking(kind, instruments)],
        left_out=[(kind.name, column) for kind in FAMILIES.values() for column in _lacking(kind, instruments)],
        overlays=[_overlay(gene) for gene in OVERLAY_GENES.values()],
        metrics=", ".join(METRICS),
        topologies=", ".join(TOPOLOGIES),
        selections=", ".join(SELECTIONS),
        replacements=", ".join(REPLACEMENTS),
        stagnations=", ".join(RULES),
    )


def _overlay(gene: Gene) -> str:
    """An overlay with bounds, and that it may be off where that is a choice."""
    low, high = toml_value(gene.show(gene.low)), toml_value(gene.show(gene.high))
    optional = ", optional = true" if gene.name in SWITCHES else ""
    return f"{gene.name} = {{ low = {low}, high = {high}{optional} }}"


def _lacking(kind: Family, instruments: dict[str, tuple[str, Bars]]) -> list[str]:
    """The columns that a family needs and some of the bars do not have."""
    return [name for name in kind.needs if any(name not in bars.tape.columns for _, bars in instruments.values())]


def _relative(place: str, folder: Path) -> str:
    return place if place.startswith(BUILT_IN) else os.path.relpath(place, folder)


def _family(kind: Family, bars: int) -> dict[str, Any]:
    space, narrowed = kind.space(), False
    while space.warmup > MOST_WARMUP * bars:
        smaller = _narrowed(space)
        if smaller.warmup >= space.warmup:
            raise BarsError(
                f"{bars} bars are too few for a draft: {kind.name} alone needs {space.warmup} for its warm-up; "
                "bring more bars, or finer ones"
            )
        space, narrowed = smaller, True
    genes = ", ".join(f"{gene.name} = {_bounds(gene)}" for gene in space.genes)
    return {"name": kind.name, "what": kind.doc.splitlines()[0], "genes": genes, "narrowed": narrowed}


def _narrowed(space: Space) -> Space:
    """The same space with the upper bounds of its periods a fifth lower."""
    genes = tuple(
        gene.bounded(gene.low, max(gene.low + 1, gene.high * 4 // 5)) if isinstance(gene, Integer) else gene
        for gene in space.genes
    )
    return Space(space.family, genes)


def _bounds(gene: Any) -> str:
    if isinstance(gene, Choice):
        return toml_value([gene.options[i] for i in gene.allowed])
    return toml_value([gene.show(gene.low), gene.show(gene.high)])
