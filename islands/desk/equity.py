"""Charts of the champions' accounts: equity, drawdown and exposure over time, and what their trades brought."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from islands.desk.accounts import Account, curve, drawdown, exposure, trading
from islands.desk.canvas import (
    GAIN,
    GREY,
    LOSS,
    POINTS_A_LINE,
    Floats,
    Stamps,
    add_line,
    dressed,
    fragment,
    line_colours,
)

LOG_FROM = 8.0
"""Equity whose highest value is so many times the lowest is drawn on a logarithmic axis."""

_HELD = {"fillcolor": "#f3d9a4", "opacity": 0.35, "line_width": 0, "layer": "below"}
_LONG, _SHORT = "#56b4e9", "#e69f00"


def growth(accounts: list[Account]) -> str:
    """Equity and drawdown of these champions on one instrument over one time axis, and the exposure of the first.

    The held-back part, where there is one, is shaded. The price, bought and held, is grey.
    """
    figure = make_subplots(rows=3, shared_xaxes=True, vertical_spacing=0.035, row_heights=[0.58, 0.24, 0.18])
    dressed(figure, "growth")
    _price(figure, accounts[0], len(accounts))
    ranked = list(enumerate(zip(accounts, line_colours(len(accounts)), strict=True)))
    for rank, (account, colour) in reversed(ranked):  # the best on top
        _draw(figure, account, colour, rank, POINTS_A_LINE)
    _exposure(figure, accounts[0])
    _shade(figure, accounts[0])
    figure.update_xaxes(type="date")
    figure.update_yaxes(tickformat=".3~g", ticksuffix="×", row=1)
    if is_logarithmic(accounts):
        figure.update_yaxes(type="log", dtick="D2", row=1)
    figure.update_yaxes(title_text="drawdown", tickformat=".3~%", rangemode="tozero", nticks=5, row=2)
    figure.update_layout(barmode="relative", bargap=0)
    return fragment(figure, "growth", legend=True, height=640)


def multiple(account: Account, name: str) -> str:
    """A small chart of one account: equity against the price, and drawdown below it."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.7, 0.3])
    dressed(figure)
    _price(figure, account, 1)
    _draw(figure, account, GAIN, 0, POINTS_A_LINE // 4)
    _shade(figure, account, text="")
    figure.update_xaxes(type="date", nticks=5)
    figure.update_yaxes(tickformat=".3~g", ticksuffix="×", nticks=5, row=1)
    figure.update_yaxes(tickformat=".3~%", rangemode="tozero", nticks=3, row=2)
    return fragment(figure, name, legend=False, height=260)


def is_logarithmic(accounts: list[Account]) -> bool:
    """Whether `growth` draws these on a logarithmic axis, which its caption has to say."""
    values = np.concatenate([y for account in accounts for _, y in _chained(account, "equity")])
    return bool(values.min() > 0.0 and values.max() / values.min() >= LOG_FROM)


def _chained(account: Account, which: str) -> list[tuple[Stamps, Floats]]:
    """A curve for each part of the account, the second drawn on from where the first one ended."""
    lines, base = [], 1.0
    for part in account.stretches:
        lines.append(curve(part, part.equity if which == "equity" else part.price, base))
        base = float(lines[-1][1][-1])
    return lines


def _price(figure: go.Figure, account: Account, rank: int) -> None:
    for number, (stamps, values) in enumerate(_chained(account, "price")):
        add_line(
            figure, stamps / 1000.0, values, POINTS_A_LINE, name="buy and hold", legendgroup="buy and hold",
            showlegend=number == 0, legendrank=rank, line={"color": GREY, "width": 1.25}, row=1, col=1,
            hovertemplate="buy and hold<br>%{x|%Y-%m-%d %H:%M}<br>%{y:.3f}×<extra></extra>",
        )  # fmt: skip


def _draw(figure: go.Figure, account: Account, colour: str, rank: int, most: int) -> None:
    """Equity in the first row, drawdown in the second: filled for the first account, so that the others stay visible."""
    name = html.escape(account.label)
    for number, (part, (stamps, values)) in enumerate(zip(account.stretches, _chained(account, "equity"), strict=True)):
        note = ", held back" if number else ""
        when = "%{x|%Y-%m-%d %H:%M}"
        add_line(
            figure, stamps / 1000.0, values, most, name=name, legendgroup=name, showlegend=number == 0, legendrank=rank,
            line={"color": colour, "width": 1.75}, row=1, col=1,
            hovertemplate=f"{name}{note}<br>{when}<br>%{{y:.3f}}×<extra></extra>",
        )  # fmt: skip
        filled = {"fill": "tozeroy", "fillcolor": "rgba(0, 114, 178, 0.12)"} if rank == 0 else {}
        add_line(
            figure, stamps / 1000.0, np.concatenate(([0.0], drawdown(part.equity))), most // 2, name=name, legendgroup=name,
            showlegend=False, line={"color": colour, "width": 1.5 if rank == 0 else 0.75}, row=2, col=1, **filled,
            hovertemplate=f"{name}{note}<br>{when}<br>drawdown %{{y:.1%}}<extra></extra>",
        )  # fmt: skip


def _exposure(figure: go.Figure, account: Account) -> None:
    """Shares of the bars that were held long (upwards) and short (downwards), in spans of the calendar."""
    spans = exposure(account)
    start, stop = (spans[end].to_numpy() / 1000.0 for end in ("start", "stop"))
    used = []
    for side, sign, colour in (("long", 1.0, _LONG), ("short", -1.0, _SHORT)):
        shares = spans[side].to_numpy()
        if shares.any():
            used.append(sign)
            figure.add_bar(
                x=start, y=sign * shares, width=stop - start, offset=0, customdata=shares, name=f"1 {side}",
                legendrank=100, marker={"color": colour, "line": {"width": 0}}, row=3, col=1,
                hovertemplate=f"from %{{x|%Y-%m-%d}}<br>{side} on %{{customdata:.0%}} of the bars<extra></extra>",
            )  # fmt: skip
    ends = [1.06 * min([0.0, *used]), 1.06 * max([0.0, *used])] if used else [0.0, 1.0]
    figure.update_yaxes(title_text="exposure", tickformat=".0%", range=ends, tickvals=[-1, 0, 1], row=3)


def _shade(figure: go.Figure, account: Account, text: str = "held back") -> None:
    if account.held_back is None:
        return
    start, stop = account.held_back.start // 1000, int(account.held_back.stamps[-1]) // 1000
    figure.add_vrect(x0=start, x1=stop, row="all", col=1, **_HELD)
    figure.add_annotation(
        x=start, y=1.0, xref="x", yref="y domain", text=text, showarrow=False, xanchor="left", yanchor="top",
        font={"size": 12, "color": "#7a5a12"},
    )  # fmt: skip


def trades(accounts: list[Account]) -> str:
    """Histogram of the returns of these accounts' trades: losses and gains, those on the held-back bars on their own."""
    seen = np.concatenate([trading(account.seen).returns for account in accounts])
    later = [trading(account.held_back).returns for account in accounts if account.held_back is not None]
    held = np.concatenate(later) if later else np.empty(0)
    edges = trade_edges(np.concatenate([seen, held]))
    figure = dressed(go.Figure(), "trades", "return of a trade")
    _bins(figure, seen[seen <= 0.0], edges, "loss, in-sample", LOSS)
    _bins(figure, seen[seen > 0.0], edges, "gain, in-sample", GAIN)
    _bins(figure, held, edges, "held back", "#e8c77a")
    figure.update_layout(barmode="stack")
    figure.update_xaxes(tickformat=".3~%", tick0=0.0, dtick=float(edges[1] - edges[0]) * max(1, -(-len(edges) // 8)))
    return fragment(figure, "trades", legend=True, height=280)


def _bins(figure: go.Figure, values: Floats, edges: Floats, name: str, colour: str) -> None:
    counts = np.histogram(values, edges)[0]
    used = np.flatnonzero(counts)
    if len(used):
        low, high = edges[used], edges[used + 1]
        figure.add_bar(
            x=(low + high) / 2.0, y=counts[used], width=(high - low) * 0.92, name=name, marker={"color": colour},
            customdata=np.column_stack([low, high]),
            hovertemplate=f"{name}: %{{y}}<br>%{{customdata[0]:.3~%}} to %{{customdata[1]:.3~%}}<extra></extra>",
        )  # fmt: skip


def trade_edges(returns: Floats, most: int = 40) -> Floats:
    """Edges of equally wide bins over all the returns, one at 0, so that no bin holds gains and losses; a round width."""
    low, high = min(float(returns.min()), 0.0), max(float(returns.max()), 0.0)
    least = (high - low) / min(most, max(8, round(2.0 * len(returns) ** 0.5))) or 0.01
    width = _round_up(least)
    first = np.floor(low / width)
    return width * np.arange(first, max(np.ceil(high / width), first + 1.0) + 1.0)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5 and 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * next(step for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1.0 - 1e-12)))
