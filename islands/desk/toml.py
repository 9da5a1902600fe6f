"""A campaign's spec written as TOML, so that whoever reads a report can run it again."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from islands.spec import CampaignSpec


def spec_text(spec: CampaignSpec) -> str:
    """A spec as TOML that `CampaignSpec.read` takes: every value written out, those that are None left out."""
    values = spec.model_dump(mode="json", exclude_none=True)
    plain = [f"{_key(k)} = {toml_value(v)}" for k, v in values.items() if not isinstance(v, dict) and not _are_tables(v)]
    parts = ["\n".join(plain)]
    for key, value in values.items():
        tables = [value] if isinstance(value, dict) else value if _are_tables(value) else []
        head = f"[{key}]" if isinstance(value, dict) else f"[[{key}]]"
        parts += ["\n".join([head, *(f"{_key(k)} = {toml_value(v)}" for k, v in table.items())]) for table in tables]
    return "\n\n".join(parts) + "\n"


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def toml_value(value: object) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)
