"""Strategy cards: the champions as strict JSON, with all that is needed to run them elsewhere and to know their worth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from islands.archipelago.storage import Folder
from islands.errors import InputError, StrategyError
from islands.strategies.families import family
from islands.strategies.strategy import Strategy

if TYPE_CHECKING:
    from islands.campaign import Campaign
    from islands.evidence.verdict import Verdict
    from islands.status import Status

SCHEMA = 2
"""Rises when a key changes its meaning or goes away."""


def write_cards(campaign: Campaign, path: Path) -> Path:
    """Writes the champions to `path` as JSON, replacing a file that is there at once and whole.

    Figures without a value are null. "held_back" and "verdict" are there for a finished campaign only.

    Raises:
        InputError: the file can't be written.
    """
    text = json.dumps(_without_nan(_document(campaign)), indent=2, ensure_ascii=False, allow_nan=False)
    return save(path, text + "\n")


def strategy_of(card: Mapping[str, Any]) -> Strategy:
    """The strategy of one champion's card.

    Raises:
        InputError: it is no card.
        StrategyError: its family is unknown here, has another version or, a user's own, other code; or a gene does not fit.
    """
    if not isinstance(card, Mapping):
        raise InputError(f"a {type(card).__name__} is no strategy card; give one element of the list under 'champions'")
    missing = [key for key in ("family", "version", "genes") if key not in card]
    if missing:
        inside = "; give one element of the list under 'champions', not the whole file" if "champions" in card else ""
        raise InputError(f"strategy card: {', '.join(missing)} missing{inside}")
    name, version, genes = card["family"], card["version"], card["genes"]
    if not isinstance(name, str) or not isinstance(genes, Mapping):
        raise InputError("strategy card: expected the family's name, and genes by name")
    known = family(name)
    if version != known.version:
        raise StrategyError(
            f"strategy card: version {version!r} of family {name}, here it is version {known.version}, whose genes decide "
            "otherwise; use the version of strategy-islands that wrote the card, or evolve the strategy again"
        )
    if (code := str(card.get("code", ""))) != known.code:
        raise StrategyError(
            f"strategy card: family {name} with code {code[:12] or 'of none'}, here with {known.code[:12] or 'of none'}, which "
            "may decide otherwise; bring back the code that the card was made with, or evolve the strategy again"
        )
    lacking = [gene.name for gene in known.genes if gene.name not in genes]
    if lacking:
        raise StrategyError(f"strategy card: {name} without {', '.join(lacking)}; a card holds a value for every gene")
    return Strategy(name, **genes)


def revealed_records(campaign: Campaign, status: Status) -> list[dict[str, Any]]:
    """Champions as plain values, with "held_back" only where all epochs asked for are committed.

    A campaign that had finished and was extended is unfinished again, whatever its earlier result holds.
    """
    rows = campaign.champion_records()
    if status.committed >= status.epochs:
        return rows
    return [_sealed(row) for row in rows]


def _sealed(row: dict[str, Any]) -> dict[str, Any]:
    """A champion without figures on the held-back bars."""
    seen = {key: value for key, value in row.items() if key != "held_back"}
    if "instruments" in seen:
        seen["instruments"] = {name: {"metrics": part["metrics"]} for name, part in seen["instruments"].items()}
    return seen


def save(path: Path, text: str) -> Path:
    """Writes a text file for a person, replacing one that is there at once and whole, and returns its path.

    Raises:
        InputError: the path can't be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected the name of a file to write")
    try:
        Folder(path.parent).write(path.name, text.encode("utf-8"))
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}; choose another place") from None
    return path


def _document(campaign: Campaign) -> dict[str, Any]:
    status, spec = campaign.status(), campaign.spec
    verdicts = campaign.verdicts()
    return {
        "schema": SCHEMA,
        "campaign": status.name,
        "state": status.state,
        "epochs": {"committed": status.committed, "asked": status.epochs},
        "digest": status.digest,
        "manifest": campaign.manifest_hash,
        "held_back": spec.bars.held_back,
        "instruments": {
            market.name: {
                "name": campaign.instruments[market.name].name,
                "fingerprint": campaign.instruments[market.name].fingerprint,
                "count": len(campaign.instruments[market.name]),
                "seen": len(market.tape),
                "costs": spec.costs_of(market.name).model_dump(mode="json"),
            }
            for market in campaign.world.markets
        },
        "pooling": spec.pooling.model_dump(mode="json"),
        "account": spec.account.model_dump(mode="json"),
        "objectives": [part.model_dump(mode="json") for part in spec.objectives],
        "limits": spec.limits.model_dump(mode="json"),
        "champions": [_card(row, verdicts) for row in revealed_records(campaign, status)],
    }


def _card(row: dict[str, Any], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    keys = ("rank", "family", "version", "code", "genes", "born", "value", "objectives", "metrics", "held_back", "instruments")
    card = {key: row[key] for key in keys if key in row}
    return {**card, "verdict": asdict(verdicts[row["rank"] - 1])} if verdicts else card


def _without_nan(value: Any) -> Any:
    """The same plain values with None where JSON has no number."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
