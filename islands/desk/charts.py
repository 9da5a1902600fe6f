"""Charts of evolution: convergence, diversity and hypervolume by generation, and the Pareto front."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from islands.desk.canvas import (
    MOST_IN_LEGEND,
    add_line,
    dressed,
    family_marks,
    fragment,
    line_colours,
    line_width,
    share,
    wrapped,
)
from islands.desk.figures import heading

if TYPE_CHECKING:
    import polars as pl


def convergence(history: pl.DataFrame, objective: str) -> str:
    """Best (solid) and median (dotted) of one objective on each island by generation, with what was done to stagnation.

    history: as Campaign.history() gives it; with several objectives each has columns of its own.
    """
    own = f"best_{objective}" in history.columns
    best, median = (f"{column}_{objective}" if own else column for column in ("best", "median"))
    islands = history.partition_by("island", maintain_order=True)
    figure = dressed(go.Figure(), heading(objective), "generation")
    for part, colour in zip(islands, line_colours(len(islands)), strict=True):
        name = f"island {part['island'][0]}"
        width = line_width(len(islands))
        for column, word, style in (
            (best, "best", {"width": width}),
            (median, "median", {"width": 0.75 * width, "dash": "dot"}),
        ):
            add_line(
                figure, part["generation"].to_numpy(), part[column].to_numpy().astype(np.float64), share(2 * len(islands)),
                name=name, legendgroup=name, showlegend=column == best, line={"color": colour, **style},
                hovertemplate=f"{name}, generation %{{x}}<br>{word} %{{y:.4g}}<extra></extra>",
            )  # fmt: skip
    _mark_stagnation(figure, history, best)
    _whole_generations(figure, history)
    return fragment(figure, f"convergence-{objective}" if own else "convergence", len(islands) <= MOST_IN_LEGEND)


def stagnations(history: pl.DataFrame) -> pl.DataFrame:
    """The first generation of each epoch of an island in which something was done against its stagnation; maybe none."""
    if "stagnation_rule" not in history.columns:
        return history.clear()
    events = history.filter(history["stagnation_rule"].is_not_null())
    return events.sort("island", "generation").unique(["island", "epoch"], keep="first", maintain_order=True)


def _mark_stagnation(figure: go.Figure, history: pl.DataFrame, column: str) -> None:
    events = stagnations(history)
    if events.is_empty():
        return
    rules = [html.escape(rule) for rule in events["stagnation_rule"]]
    figure.add_scatter(
        x=events["generation"].to_numpy(), y=events[column].to_numpy(), mode="markers", name="stagnation",
        marker={"symbol": "triangle-down", "size": 9, "color": "#fff", "line": {"color": "#1c2026", "width": 1.5}},
        customdata=list(zip(events["island"].to_list(), events["epoch"].to_list(), rules, strict=True)),
        hovertemplate="island %{customdata[0]} stagnated, epoch %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
    )  # fmt: skip


def diversity(history: pl.DataFrame) -> str:
    """Diversity of each island by generation."""
    return _by_island(history, "diversity", ".3f")


def hypervolume(history: pl.DataFrame) -> str:
    """The volume that each island's front dominates, by generation."""
    return _by_island(history, "hypervolume", ".4g")


def _by_island(history: pl.DataFrame, column: str, digits: str) -> str:
    islands = history.partition_by("island", maintain_order=True)
    figure = dressed(go.Figure(), column, "generation")
    for part, colour in zip(islands, line_colours(len(islands)), strict=True):
        name = f"island {part['island'][0]}"
        add_line(
            figure, part["generation"].to_numpy(), part[column].to_numpy().astype(np.float64), share(len(islands)),
            name=name, line={"color": colour, "width": line_width(len(islands))},
            hovertemplate=f"{name}, generation %{{x}}<br>{column} %{{y:{digits}}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    _whole_generations(figure, history)
    return fragment(figure, column, len(islands) <= MOST_IN_LEGEND)


def _whole_generations(figure: go.Figure, history: pl.DataFrame) -> None:
    """Keeps the ticks of a short history from falling between generations."""
    if history["generation"].n_unique() <= 8:
        figure.update_xaxes(dtick=1)


def pareto(front: pl.DataFrame, objectives: list[tuple[str, str]], families: Sequence[str] = ()) -> str:
    """The Pareto front: a scatter for each pair of objectives, families by colour and shape.

    front: columns rank, family, genes, born, and one for each objective. objectives: (name, "max" or "min"), two or
    more. families: the campaign's, in order, so that a family has the mark it has on other charts.
    """
    pairs = list(combinations(objectives, 2))
    if len(pairs) == 1:
        return _scatter(front, *pairs[0], families, "pareto", 460)
    parts = [_scatter(front, a, b, families, f"pareto-{a[0]}-{b[0]}", 360) for a, b in pairs]
    cells = "".join(f'<div class="chart">{part}</div>' for part in parts)
    return f'<div class="grid wide">{cells}</div>'


def _scatter(
    front: pl.DataFrame, across: tuple[str, str], up: tuple[str, str], families: Sequence[str], name: str, height: int
) -> str:
    marks = family_marks([*families, *front["family"]])
    figure = dressed(go.Figure(), _with_goal(*up), _with_goal(*across))
    for family in sorted(front["family"].unique(), key=list(marks).index):
        part = front.filter(front["family"] == family)
        label = html.escape(family)
        texts = [f"#{row['rank']} {label}, born {row['born']}<br>{wrapped(row['genes'])}" for row in part.to_dicts()]
        figure.add_scatter(
            x=part[across[0]].to_numpy(), y=part[up[0]].to_numpy(), mode="markers", name=label, text=texts,
            marker={"color": marks[family].colour, "symbol": marks[family].shape, "size": 9, "opacity": 0.8},
            hovertemplate=f"%{{text}}<br>{heading(across[0])} %{{x:.4g}}<br>{heading(up[0])} %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    return fragment(figure, name, legend=True, height=height)


def _with_goal(name: str, goal: str) -> str:
    return f"{heading(name)} ({'more' if goal == 'max' else 'less'} is better)"
