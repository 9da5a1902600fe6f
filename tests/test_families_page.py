"""The blocks of the page on families of one's own are run as they stand there, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from islands.strategies import families

ROOT = Path(__file__).parents[1]
PAGE, README = ROOT / "docs" / "families.md", ROOT / "README.md"


def blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


@pytest.mark.slow
def test_worked_examples_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "REGISTERED", {})
    names = {"__name__": "page"}
    for number, block in enumerate(blocks(PAGE)):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    assert sum("assert" in block for block in blocks(PAGE)) == 5


def test_the_readme_s_family_is_sound() -> None:
    (block,) = (block for block in blocks(README) if "define_family" in block)
    names = {"__name__": "my_rules"}
    exec(compile(block + "\nisl.Strategy(reversal, lag=3)", README.name, "exec"), names)
    assert names["reversal"].name == "my_rules:reversal"
