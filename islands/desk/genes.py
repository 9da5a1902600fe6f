"""Where the search has gone: the distribution of each gene in the final demes, over the bounds of the search."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from islands.desk.canvas import Floats, dressed, fragment
from islands.strategies.genome import Choice, Gene, LogReal

MOST_BINS = 40


@dataclass(frozen=True, eq=False)
class Histogram:
    """Individuals by value of a gene: edges (B + 1,), ascending, over all of the search's bounds; counts (B,)."""

    edges: Floats
    counts: np.ndarray


def histogram(gene: Gene, values: Floats) -> Histogram:
    """Counts the values of one gene.

    A bin holds a whole number of lattice points, the same for all but the last, so that none looks full for the sake of
    its width; a choice and a short lattice have a bin for each point. Bins of a logarithmic gene are even in its logarithm.
    """
    points = gene.last + 1
    each = -(-points // MOST_BINS)
    starts = np.arange(0, points, each)
    edges = np.append(starts, points) - 0.5
    counts = np.histogram(gene.position(values), edges)[0]
    return Histogram(_values_at(gene, edges), counts)


def _values_at(gene: Gene, positions: Floats) -> Floats:
    """Gene values at positions between the points of the lattice, where `Gene.at` rounds or clips."""
    if isinstance(gene, Choice):
        return positions
    if isinstance(gene, LogReal):
        inside = np.clip(positions, 0, gene.last)
        return np.asarray(gene.low * (gene.high / gene.low) ** (inside / gene.last))
    return gene.low + positions * (gene.step or (gene.high - gene.low) / gene.last)


def is_searched(gene: Gene) -> bool:
    """Whether the search has a choice at all."""
    return gene.last > 0


def chart(gene: Gene, values: Floats, champions: Sequence[tuple[int, float]], name: str) -> str:
    """A histogram over the gene's bounds, the champions' values marked below it. champions: (rank, genome entry)."""
    bins = histogram(gene, values)
    figure = dressed(go.Figure())
    figure.add_bar(
        x=(bins.edges[:-1] + bins.edges[1:]) / 2.0, y=bins.counts, width=np.diff(bins.edges) * 0.94,
        marker={"color": "#9cc3e0", "line": {"width": 0}}, text=_spans(gene, bins), textposition="none",
        hovertemplate="%{text}<br>individuals: %{y:,}<extra></extra>",
    )  # fmt: skip
    _mark(figure, gene, champions)
    figure.update_yaxes(rangemode="tozero", nticks=4, tickformat=",~d")
    figure.update_xaxes(tickangle=0)
    figure.update_layout(font_size=11)
    _axis(figure, gene, bins)
    return fragment(figure, name, legend=False, height=190)


def _mark(figure: go.Figure, gene: Gene, champions: Sequence[tuple[int, float]]) -> None:
    ranks: dict[float, list[int]] = {}
    for rank, entry in champions:
        ranks.setdefault(entry, []).append(rank)
    entries = list(ranks)
    texts = [f"champion{'s' if len(ranks[e]) > 1 else ''} {', '.join(map(str, ranks[e]))}: {_shown(gene, e)}" for e in entries]
    figure.add_scatter(
        x=gene.position(np.array(entries)) if isinstance(gene, Choice) else np.array(entries), y=np.zeros(len(entries)),
        mode="markers", cliponaxis=False, text=texts, hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "triangle-up", "size": 9, "color": "#d55e00", "line": {"color": "#fff", "width": 1}},
    )  # fmt: skip


def _axis(figure: go.Figure, gene: Gene, bins: Histogram) -> None:
    low, high = float(bins.edges[0]), float(bins.edges[-1])
    if isinstance(gene, Choice):
        names = [html.escape(gene.options[i]) for i in gene.allowed]
        figure.update_xaxes(range=[low, high], tickvals=list(range(len(names))), ticktext=names)
    elif isinstance(gene, LogReal):
        ticks = log_ticks(low, high)
        figure.update_xaxes(
            type="log", range=[np.log10(low), np.log10(high)], tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks]
        )
    else:
        figure.update_xaxes(range=[low, high], nticks=4)


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`, with twice and five times these where they are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5) if low <= float(f"{step}e{power}") <= high]
    return ticks if len(ticks) <= 5 else [tick for tick in ticks if f"{tick:e}".startswith("1")]


def _spans(gene: Gene, bins: Histogram) -> list[str]:
    """What each bin holds: the one value, or the first and the last."""
    points = gene.last + 1
    each = -(-points // MOST_BINS)
    firsts = np.arange(0, points, each)
    lasts = np.minimum(firsts + each, points) - 1
    ends = zip(gene.at(firsts).tolist(), gene.at(lasts).tolist(), strict=True)
    return [
        f"{gene.name} {_shown(gene, a)}" if a == b else f"{gene.name} {_shown(gene, a)} to {_shown(gene, b)}" for a, b in ends
    ]


def _shown(gene: Gene, entry: float) -> str:
    value = gene.show(entry)
    return html.escape(value) if isinstance(value, str) else f"{value:.6g}"
