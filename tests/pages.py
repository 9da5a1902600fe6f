"""Reports taken apart, so that tests can ask what is on them."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs


def chart_names(source: str) -> list[str]:
    """The charts that a page or a fragment draws, in order."""
    return re.findall(r'Plotly\.newPlot\(\s*"chart-([^"]+)"', source)


def drawn(source: str, name: str) -> list[dict[str, Any]]:
    """The traces of one chart of a page or a fragment, their numbers as arrays."""
    call = re.search(rf'Plotly\.newPlot\(\s*"chart-{re.escape(name)}",\s*', source)
    assert call is not None, f"no chart {name}"
    traces: list[dict[str, Any]] = json.JSONDecoder().raw_decode(source, call.end())[0]
    return [{key: _array(value) if key in ("x", "y", "z") else value for key, value in trace.items()} for trace in traces]


def _array(values: Any) -> np.ndarray:
    if isinstance(values, dict):
        flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
        return flat.reshape([int(n) for n in values["shape"].split(",")]) if "shape" in values else flat
    return np.array(values, dtype=np.float64)


class Page(HTMLParser):
    """A page taken apart: start tags with attributes, text outside scripts, and the text of each table cell."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self._inside: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._inside or "style" in self._inside:
            return
        self.words.append(data)
        if "td" in self._inside or "th" in self._inside:
            self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u2011", "-").split())

    @property
    def own_size(self) -> int:
        return len(self.source) - len(get_plotlyjs())

    def chart(self, name: str) -> list[dict[str, Any]]:
        """The traces of one chart, their numbers as arrays."""
        return drawn(self.source, name)
