"""The accounting page's worked examples are run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from islands.kernels.metrics import METRICS

PAGE = Path(__file__).parents[1] / "docs" / "accounting.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_worked_example_holds(number: int) -> None:
    assert "assert" in BLOCKS[number]
    exec(compile(BLOCKS[0] + BLOCKS[number], f"{PAGE.name}, block {number}", "exec"), {})


def test_page_defines_every_figure() -> None:
    figures = PAGE.read_text(encoding="utf-8").partition("## Figures")[2]
    assert {name for name in METRICS if f"`{name}`" not in figures} == set()
