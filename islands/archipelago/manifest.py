"""What determines a campaign, and how to tell that it has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from islands import provenance
from islands.errors import ManifestMismatch
from islands.evolution.breeding import operator_sources
from islands.evolution.world import World
from islands.market.tape import Tape

Differences = dict[str, tuple[object, object]]
"""What differs from the manifest, by name: what the campaign has, and what is here."""

LEDGER = "ledger"
"""The one name to accept that is no difference: that the trials of a damaged ledger can't be counted."""


def make_manifest(world: World, tapes: Mapping[str, Tape]) -> dict[str, Any]:
    """The manifest of a campaign on these bars (of each instrument all of them), with the code and the machine at hand."""
    families = tuple(space.family for space in world.spaces)
    return {
        "spec": world.spec.identity(),
        "bars": {name: {"fingerprint": tape.fingerprint, "count": len(tape)} for name, tape in tapes.items()},
        "families": {kind.name: kind.version for kind in families},
        "own_families": {kind.name: kind.code for kind in families if kind.code},
        "code": provenance.result_digest(),
        "operators": operator_sources(habitat.evolution for habitat in world.habitats),
        "libraries": provenance.versions(),
        "numeric": world.numeric,
    }


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> Differences:
    """What differs. Names are keys of the manifest, or inner ones where it holds several.

    Bars are none: those that differ are refused where they are read, since with them a campaign would be another one.
    """
    found: Differences = {}
    for name in ("families", "code", "operators", "numeric"):
        if recorded.get(name) != current.get(name):
            found[name] = (recorded.get(name), current.get(name))
    for name in ("spec", "libraries", "own_families"):
        for key, old, new in _leaves(recorded.get(name, {}), current.get(name, {}), name):
            found[key] = (old, new)
    return found


def _leaves(old: Any, new: Any, place: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(set(old) | set(new)):
            yield from _leaves(old.get(key), new.get(key), f"{place}.{key}")
    elif old != new:
        yield place, old, new


def recorded(found: Differences) -> dict[str, list[object]]:
    """Differences as plain values, for a record."""
    return {name: list(pair) for name, pair in found.items()}


def require_same(
    founded: Mapping[str, Any], current: Mapping[str, Any], accepted: tuple[str, ...], root: object
) -> Differences:
    """The accepted differences.

    Raises:
        ManifestMismatch: something differs that was not accepted, or a name was accepted that does not differ.
    """
    found = differences(founded, current)
    unknown = [name for name in accepted if name not in found]
    if unknown:
        raise ManifestMismatch(
            f"{root}: accept {unknown[0]!r}: no such difference; there {'are ' + ', '.join(found) if found else 'is none'}"
        )
    refused = {name: pair for name, pair in found.items() if name not in accepted}
    if refused:
        lines = [f"  {name}: the campaign has {old!r}, here is {new!r}" for name, (old, new) in refused.items()]
        raise ManifestMismatch(
            f"{root}: what determines this campaign has changed:\n"
            + "\n".join(lines)
            + "\nresume with the original, start a new campaign, or go on and have it recorded: "
            + " ".join(f"--accept {name}" for name in refused)
        )
    return {name: found[name] for name in accepted}
