"""What the report's charts share: colours and marks, axes, thinning, and how a plotly figure becomes a part of the page.

A fragment draws on a page that holds plotly.js already. Lines are thinned to what a screen can show, so that the page
stays small however long the campaign.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from islands.desk.figures import short_genes

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

POINTS_A_LINE = 2_000
POINTS_A_CHART = 40_000
"""Where there are many lines, each gets its share of these."""

INK, SOFT, RULE, GRID, GREY = "#1c2026", "#3b4048", "#cfd3d8", "#e8eaed", "#8a8f98"
GAIN, LOSS = "#0072b2", "#d55e00"
"""Blue and orange, not green and red, which one man in twelve can't tell apart."""

# Okabe and Ito's colours without the yellow, which is lost on white, then three of Tol's.
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#332288", "#999933", "#6b7280")
MOST_IN_LEGEND = len(_LINES)
"""Lines that a legend names; of more, only the line under the pointer tells its name."""

# Families have colours of their own, so that nobody takes one for an island, and a shape for who sees or prints no colour.
_FAMILIES = ("#332288", "#cc6677", "#117733", "#c9a227", "#44aa99", "#aa4499", "#661100", "#88ccee", "#999933", "#555555")
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "x", "pentagon", "hexagram")

_LOW = 300  # pixels; the buttons would cover what a lower chart shows
# The buttons are named one by one: from its version 7 on, plotly adds one that uploads the chart to a server.
_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "modeBarButtons": [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]],
    "showSendToCloud": False,
}
# A finger that scrolls the page must not zoom the chart it happens to touch.
_FINGERS = "if (matchMedia('(pointer: coarse)').matches) Plotly.relayout('{plot_id}', {dragmode: false});"


@dataclass(frozen=True)
class Mark:
    """How a family is drawn on every chart."""

    colour: str
    shape: str


def family_marks(families: Sequence[str]) -> dict[str, Mark]:
    """A mark for each family, in the order given; colours repeat after ten, with another shape."""
    count = len(_FAMILIES)
    return {
        name: Mark(_FAMILIES[i % count], _SHAPES[(i + i // count) % len(_SHAPES)])
        for i, name in enumerate(dict.fromkeys(families))
    }


def line_colours(number: int) -> list[str]:
    """Colours for so many lines: distinct ones, or shades in order where there are too many for that."""
    if number <= len(_LINES):
        return list(_LINES[:number])
    shades: list[str] = sample_colorscale("Viridis", np.linspace(0.0, 0.9, number).tolist())
    return shades


def line_width(number: int) -> float:
    """The width, in pixels, of each of so many lines."""
    return 2.0 if number <= len(_LINES) else 1.0


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


def share(lines: int) -> int:
    """The points that each of so many lines may have."""
    return int(np.clip(POINTS_A_CHART // max(lines, 1), 100, POINTS_A_LINE))


def add_line(figure: go.Figure, x: npt.NDArray[np.generic], y: Floats, most: int, **style: object) -> None:
    """A line of at most `most` points; further arguments as plotly's scatter and add_trace take them."""
    rows = thinned(y, most)
    place = {key: style.pop(key) for key in ("row", "col") if key in style}
    figure.add_trace(go.Scatter(x=x[rows], y=y[rows].astype(np.float32), mode="lines", **style), **place)


def dressed(figure: go.Figure, ordinate: str = "", abscissa: str | None = None) -> go.Figure:
    """The figure in the page's clothes; titles of the first axes."""
    axis = {"gridcolor": GRID, "zerolinecolor": RULE, "linecolor": RULE, "automargin": True, "title": {"standoff": 8}}
    figure.update_layout(
        template="none",
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": SOFT},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="#fff",
        plot_bgcolor="#fff",
        hoverlabel={"bgcolor": "#fff", "bordercolor": RULE, "font": {"color": INK}, "align": "left"},
        modebar={"bgcolor": "rgba(255, 255, 255, 0.9)"},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(xaxis_title_text=abscissa, yaxis_title_text=html.escape(ordinate))
    return figure


def fragment(figure: go.Figure, name: str, legend: bool, height: int | str = 400) -> str:
    """The figure as HTML: a div "chart-NAME" of that height, and the script that draws it; a low one has no buttons.

    height: in pixels, or as CSS has it.
    """
    figure.update_layout(showlegend=legend)
    low = isinstance(height, int) and height < _LOW
    text: str = figure.to_html(
        config={**_CONFIG, "displayModeBar": False if low else "hover"},
        include_plotlyjs=False,
        full_html=False,
        div_id=f"chart-{name}",
        default_height=f"{height}px" if isinstance(height, int) else height,
        post_script=_FINGERS,
    )
    return text


def wrapped(genes: str, each: int = 3) -> str:
    """A genome's text for a hover label: so many genes a line, escaped."""
    parts = html.escape(short_genes(genes)).split(" ")
    return "<br>".join(" ".join(parts[i : i + each]) for i in range(0, len(parts), each))
