"""The report's charts: plotly figures as HTML fragments that draw on a page which holds plotly.js already.

Lines are thinned to what a screen can show, whatever the campaign's length, so that the page stays small.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]

POINTS_A_LINE = 2_000
POINTS_A_CHART = 40_000
"""Where there are many lines, each gets its share of these."""

_COLOURS = ("#1f5fa8", "#c8571b", "#2f8f5b", "#8b4fa6", "#b58900", "#11889c", "#b8405e", "#6b7280", "#5b6b1f", "#7a5230")
MOST_IN_LEGEND = len(_COLOURS)
"""Islands that a legend names; of more, only the line under the pointer tells its name."""

_GREY = "#8a8f98"
# The buttons are named one by one: from its version 7 on, plotly adds one that uploads the chart to a server.
_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "modeBarButtons": [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]],
    "showSendToCloud": False,
}
# A finger that scrolls the page must not zoom the chart it happens to touch.
_FINGERS = "if (matchMedia('(pointer: coarse)').matches) Plotly.relayout('{plot_id}', {dragmode: false});"


@dataclass(frozen=True, eq=False)
class Line:
    """A curve of growth: microseconds since the Unix epoch, and the account as a multiple of what it began with."""

    name: str
    seen: tuple[npt.NDArray[np.int64], Floats]
    held_back: tuple[npt.NDArray[np.int64], Floats] | None = None


def thinned(values: Floats, most: int) -> npt.NDArray[np.int64]:
    """Indices, in order, of at most `most` points that look like the whole: first, last, and each stretch's extremes."""
    if len(values) <= most:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), (most - 2) // 2 + 1).astype(np.int64)
    kept = {0, len(values) - 1}
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        stretch = values[start:stop]
        if not np.isnan(stretch).all():
            kept |= {start + int(np.nanargmin(stretch)), start + int(np.nanargmax(stretch))}
    return np.array(sorted(kept))


def convergence(history: pl.DataFrame, objective: str) -> str:
    """Best (solid) and median (dotted) objective of each island by generation."""
    islands = history.partition_by("island", maintain_order=True)
    figure, colours = _figure(objective, "generation"), _colours(len(islands))
    share = _share(2 * len(islands))
    for part, colour in zip(islands, colours, strict=True):
        name = f"island {part['island'][0]}"
        for column, style in (("best", {"width": 2}), ("median", {"width": 1.5, "dash": "dot"})):
            values = part[column].to_numpy().astype(np.float64)
            _add(
                figure, part["generation"].to_numpy(), values, share, name=name, legendgroup=name,
                showlegend=column == "best", line={"color": colour, **style},
                hovertemplate=f"{name}, generation %{{x}}<br>{column} %{{y:.4g}}<extra></extra>",
            )  # fmt: skip
    _whole_generations(figure, history)
    return _fragment(figure, "convergence", len(islands))


def diversity(history: pl.DataFrame) -> str:
    """Diversity of each island by generation."""
    islands = history.partition_by("island", maintain_order=True)
    figure, colours = _figure("diversity", "generation"), _colours(len(islands))
    for part, colour in zip(islands, colours, strict=True):
        name = f"island {part['island'][0]}"
        values = part["diversity"].to_numpy().astype(np.float64)
        _add(
            figure, part["generation"].to_numpy(), values, _share(len(islands)), name=name,
            line={"color": colour, "width": 1.75},
            hovertemplate=f"{name}, generation %{{x}}<br>diversity %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    _whole_generations(figure, history)
    return _fragment(figure, "diversity", len(islands))


def growth(lines: list[Line], reference: Line) -> str:
    """Growth of the champions' accounts over time; the held-back part, where there is one, is shaded."""
    figure = _figure("growth", None)
    _draw(figure, reference, _GREY, 1.25, len(lines))
    for rank, (line, colour) in reversed(list(enumerate(zip(lines, _colours(len(lines)), strict=True)))):
        _draw(figure, line, colour, 1.75, rank)  # the best on top
    if reference.held_back is not None:
        start, stop = (int(reference.held_back[0][end]) // 1000 for end in (0, -1))
        figure.add_vrect(
            x0=start, x1=stop, fillcolor="#f3d9a4", opacity=0.35, line_width=0, layer="below",
            annotation={"text": "held back", "font": {"size": 12, "color": "#7a5a12"}},
            annotation_position="top left",
        )  # fmt: skip
    figure.update_xaxes(type="date")
    figure.update_yaxes(ticksuffix="×")
    return _fragment(figure, "growth", len(lines) + 1)


def _whole_generations(figure: go.Figure, history: pl.DataFrame) -> None:
    """Keeps the ticks of a short history from falling between generations."""
    if history["generation"].n_unique() <= 8:
        figure.update_xaxes(dtick=1)


def _draw(figure: go.Figure, line: Line, colour: str, width: float, rank: int) -> None:
    name = html.escape(line.name)
    for part, note in ((line.seen, ""), (line.held_back, ", held back")):
        if part is not None:
            _add(
                figure, part[0] / 1000.0, part[1], POINTS_A_LINE, name=name, legendgroup=name, showlegend=not note,
                legendrank=rank, line={"color": colour, "width": width},
                hovertemplate=f"{name}{note}<br>%{{x|%Y-%m-%d %H:%M}}<br>%{{y:.3f}}×<extra></extra>",
            )  # fmt: skip


def _add(figure: go.Figure, x: npt.NDArray[np.generic], y: Floats, most: int, **style: object) -> None:
    rows = thinned(y, most)
    figure.add_scatter(x=x[rows], y=y[rows].astype(np.float32), mode="lines", **style)


def _share(lines: int) -> int:
    return int(np.clip(POINTS_A_CHART // max(lines, 1), 100, POINTS_A_LINE))


def _colours(number: int) -> list[str]:
    if number <= len(_COLOURS):
        return list(_COLOURS[:number])
    shades: list[str] = sample_colorscale("Viridis", np.linspace(0.0, 0.9, number).tolist())
    return shades


def _figure(ordinate: str, abscissa: str | None) -> go.Figure:
    axis = {"gridcolor": "#e8eaed", "zerolinecolor": "#cfd3d8", "linecolor": "#cfd3d8", "automargin": True}
    return go.Figure(
        layout={
            "template": "none",
            "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": "#3b4048"},
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "paper_bgcolor": "#fff",
            "plot_bgcolor": "#fff",
            "hoverlabel": {"bgcolor": "#fff", "bordercolor": "#cfd3d8", "font": {"color": "#1c2026"}},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": "toggle"},
            "xaxis": {**axis, "title": {"text": abscissa}},
            "yaxis": {**axis, "title": {"text": html.escape(ordinate)}},
        }
    )


def _fragment(figure: go.Figure, name: str, lines: int) -> str:
    figure.update_layout(showlegend=lines <= MOST_IN_LEGEND)
    text: str = figure.to_html(
        config=_CONFIG,
        include_plotlyjs=False,
        full_html=False,
        div_id=name,
        default_height="400px",
        post_script=_FINGERS,
    )
    return text
