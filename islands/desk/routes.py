"""Who migrated where: sums by edge, and the map of the archipelago."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl

from islands.desk.canvas import GREY, INK, RULE, Floats, dressed, family_marks, fragment
from islands.evolution.migration import OUTCOMES

MOST_ISLANDS = 20
MOST_EDGES = 60
"""An archipelago with more of either is drawn as a matrix: arrows would hide one another."""

_ARROW = "#0072b2"
_WIDEST, _FEW_EDGES = 7.0, 16  # of more edges than that, the widest is half as wide
_SQUARE = "min(540px, 115vw)"
_CROWD = 12  # of more islands than that, each is drawn smaller


def edges_of(arrivals: pl.DataFrame, topology: Iterable[tuple[int, int]]) -> pl.DataFrame:
    """Immigrants by edge, in order of source and target: sent, each of OUTCOMES, and survived where that is known.

    arrivals: as Campaign.migrations() gives it. topology: (source, target) of every edge; one nobody came along has
    zeros.
    """
    sums = [pl.len().alias("sent"), *(pl.col("outcome").eq(name).sum().alias(name) for name in OUTCOMES)]
    if "survived" in arrivals.columns:
        sums.append(pl.col("survived").sum())
    ends = pl.DataFrame(list(topology), schema={"source": pl.Int64, "target": pl.Int64}, orient="row")
    came = arrivals.group_by("source", "target").agg(sums)
    joined = ends.join(came, on=["source", "target"], how="full", coalesce=True)
    return joined.with_columns(pl.exclude("source", "target").fill_null(0).cast(pl.Int64)).sort("source", "target")


def by_island(edges: pl.DataFrame, islands: int) -> pl.DataFrame:
    """The same sums for each island: emigrants sent, and of those who came to it what `edges` tells of them."""
    every = pl.DataFrame({"island": range(islands)}, schema={"island": pl.Int64})
    sent = edges.group_by(island="source").agg(pl.col("sent").sum())
    came = edges.group_by(island="target").agg(pl.col("sent").sum().alias("came"), pl.exclude("source", "target", "sent").sum())
    joined = every.join(sent, on="island", how="left").join(came, on="island", how="left")
    return joined.with_columns(pl.exclude("island").fill_null(0)).sort("island")


def most_accepted(edges: pl.DataFrame) -> int:
    """Of all edges' accepted immigrants the highest number, at least 1."""
    most: int = max(edges["accepted"].to_list(), default=0)
    return max(most, 1)


def is_drawn(edges: pl.DataFrame, islands: int) -> bool:
    """Whether `chart` draws arrows, and not a matrix."""
    return islands <= MOST_ISLANDS and len(edges) <= MOST_EDGES


def chart(edges: pl.DataFrame, holdings: Sequence[Sequence[str]], families: Sequence[str]) -> str:
    """The archipelago. edges: as `edges_of` gives them. holdings: for each island the names of its families."""
    return _map(edges, holdings, families) if is_drawn(edges, len(holdings)) else _matrix(edges, len(holdings))


def _map(edges: pl.DataFrame, holdings: Sequence[Sequence[str]], families: Sequence[str]) -> str:
    """Islands on a circle, from the top clockwise, their families as small marks beyond them; arrows for edges."""
    figure, places = dressed(go.Figure()), _places(len(holdings))
    ways = set(edges.select("source", "target").iter_rows())
    most, rim = most_accepted(edges), 0.115 if len(holdings) <= _CROWD else 0.075
    for edge in edges.sort("accepted").iter_rows(named=True):
        both = (edge["target"], edge["source"]) in ways
        widest = _WIDEST if len(ways) <= _FEW_EDGES else _WIDEST / 2.0
        _arrow(figure, edge, _path(places[edge["source"]], places[edge["target"]], both, rim), widest * edge["accepted"] / most)
    _islands(figure, places, holdings)
    _families(figure, places, holdings, families)
    figure.update_xaxes(visible=False, range=[-1.42, 1.42], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-1.42, 1.42], scaleanchor="x", fixedrange=True)
    figure.update_layout(dragmode=False, hovermode="closest")
    return fragment(figure, "migration", legend=True, height=_SQUARE)


def _places(islands: int) -> Floats:
    angles = math.pi / 2.0 - 2.0 * math.pi * np.arange(islands) / islands
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _path(start: Floats, stop: Floats, bent: bool, rim: float, points: int = 24) -> Floats:
    """A curve between two islands of radius `rim`, (n, 2); bent to the right where one comes the other way."""
    way = stop - start
    aside = np.array([way[1], -way[0]]) * (0.16 if bent else 0.0)
    t = np.linspace(0.0, 1.0, 4 * points)[:, None]
    whole = (1 - t) ** 2 * start + 2 * t * (1 - t) * ((start + stop) / 2.0 + aside) + t**2 * stop
    free = (np.hypot(*(whole - start).T) > rim) & (np.hypot(*(whole - stop).T) > rim + 0.02)
    inner = whole[free]
    kept: Floats = inner[np.unique(np.linspace(0, len(inner) - 1, points).astype(int))]
    return kept


def _arrow(figure: go.Figure, edge: dict[str, int], path: Floats, width: float) -> None:
    """One edge, so many pixels wide; dotted where nobody came along it. The whole of it tells its numbers."""
    idle, width = edge["sent"] == 0, max(width, 1.2)
    head = [0.0] * (len(path) - 1) + [9.0 + 2.6 * width]
    figure.add_scatter(
        x=path[:, 0], y=path[:, 1], mode="lines+markers", showlegend=False, opacity=0.9,
        line={"color": GREY if idle else _ARROW, "width": width, "dash": "dot" if idle else "solid"},
        marker={"symbol": "arrow", "size": head, "angleref": "previous", "color": GREY if idle else _ARROW, "opacity": 1},
        hovertemplate=f"{_told(edge)}<extra></extra>",
    )  # fmt: skip


def _told(edge: dict[str, int]) -> str:
    numbers = "<br>".join(f"{name} {value:,}" for name, value in edge.items() if name not in ("source", "target"))
    return f"<b>{edge['source']} → {edge['target']}</b><br>{numbers}"


def _islands(figure: go.Figure, places: Floats, holdings: Sequence[Sequence[str]]) -> None:
    numbers, few = [str(island) for island in range(len(holdings))], len(holdings) <= _CROWD
    told = [f"<b>island {i}</b><br>" + "<br>".join(map(html.escape, held)) for i, held in zip(numbers, holdings, strict=True)]
    figure.add_scatter(
        x=places[:, 0], y=places[:, 1], mode="markers+text", text=numbers, showlegend=False, textfont_size=14 if few else 11,
        marker={"size": 34 if few else 22, "color": "#fff", "line": {"color": INK, "width": 1.5}, "opacity": 1},
        customdata=told, hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _families(figure: go.Figure, places: Floats, holdings: Sequence[Sequence[str]], families: Sequence[str]) -> None:
    """A mark for each family that an island holds, in an arc beyond it."""
    marks = family_marks(families)
    step = min(0.1, 0.8 * 2.0 * math.pi / len(holdings) / max(map(len, holdings)))
    for family in families:
        spots = [
            _beyond(places[island], (held.index(family) - (len(held) - 1) / 2.0) * step)
            for island, held in enumerate(holdings)
            if family in held
        ]
        if spots:
            x, y = np.array(spots).T
            mark = {"color": marks[family].colour, "symbol": marks[family].shape, "size": 9 if len(holdings) <= _CROWD else 6}
            figure.add_scatter(x=x, y=y, mode="markers", name=html.escape(family), marker=mark, hoverinfo="skip")


def _beyond(place: Floats, turn: float) -> Floats:
    """A point outside the circle of islands, `turn` radians clockwise of an island."""
    cos, sin = math.cos(-turn), math.sin(-turn)
    return 1.26 * np.array([cos * place[0] - sin * place[1], sin * place[0] + cos * place[1]])


def _matrix(edges: pl.DataFrame, islands: int) -> str:
    """Accepted immigrants from each island (row) to each other (column); blank where there is no edge."""
    accepted = np.full((islands, islands), np.nan)
    told = np.full((islands, islands), "no edge", dtype=object)
    for edge in edges.iter_rows(named=True):
        accepted[edge["source"], edge["target"]] = edge["accepted"]
        told[edge["source"], edge["target"]] = _told(edge)
    figure, step = dressed(go.Figure(), "from island", "to island"), -(-most_accepted(edges) // 5)
    small = islands <= MOST_ISLANDS  # enough room for the numbers themselves
    figure.add_heatmap(
        z=accepted.astype(np.float32), customdata=told, hovertemplate="%{customdata}<extra></extra>", xgap=0.5, ygap=0.5,
        zmin=0, zmax=most_accepted(edges), showscale=not small, texttemplate="%{z}" if small else None,
        colorscale=[[0.0, "#dde7f0"], [1.0, "#0b5c94"]],
        colorbar={
            "title": {"text": "accepted", "side": "top"}, "orientation": "h", "y": 1.01, "yanchor": "bottom",
            "dtick": step, "thickness": 10, "outlinewidth": 0,
        },
    )  # fmt: skip
    axis = {"showgrid": False, "zeroline": False, "tickmode": "linear", "tick0": 0, "linecolor": RULE}
    axis["dtick"] = 1 if small else 5
    figure.update_xaxes(**axis, range=[-0.5, islands - 0.5], constrain="domain")
    figure.update_yaxes(**axis, range=[islands - 0.5, -0.5], scaleanchor="x", constrain="domain")
    return fragment(figure, "migration", legend=False, height=_SQUARE)
