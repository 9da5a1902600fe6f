"""Records as bytes: msgpack with a schema version, arrays as little-endian columns. No pickle is ever read."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack
import numpy as np

from islands.errors import CorruptCampaign
from islands.evolution.deme import Deme, Trials
from islands.evolution.island import Generation, IslandState
from islands.evolution.migration import Arrival

SCHEMA = 3  # 2 did not seal setup, tokens and lease


def pack(kind: str, record: dict[str, Any]) -> bytes:
    """The bytes of one record; equal records give equal bytes."""
    packed: bytes = msgpack.packb({"kind": kind, "schema": SCHEMA, **record})
    return packed


def unpack(kind: str, data: bytes, name: str) -> dict[str, Any]:
    """The record of bytes that `pack` made. `name` is what errors call it.

    Raises:
        CorruptCampaign: no record of this kind, or one of a schema that this version does not know.
    """
    try:
        record = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # TypeError: a flipped bit made a list a key
        raise CorruptCampaign(f"{name}: not a readable record ({error})") from None
    if not isinstance(record, dict) or "kind" not in record:
        raise CorruptCampaign(f"{name}: expected a record of kind {kind!r}")
    if record.get("schema") != SCHEMA:
        raise CorruptCampaign(
            f"{name}: schema {record.get('schema')!r}, this version reads {SCHEMA}; use the version that wrote it"
        )
    if record["kind"] != kind:
        raise CorruptCampaign(f"{name}: expected a record of kind {kind!r}")
    return record


def seal(kind: str, record: dict[str, Any]) -> bytes:
    """`pack`, wrapped with its own SHA-256: for records that no other record names."""
    body = pack(kind, record)
    return pack("sealed", {"body": body, "sha256": hashlib.sha256(body).hexdigest()})


def unseal(kind: str, data: bytes, name: str) -> dict[str, Any]:
    """The record of bytes that `seal` made.

    Raises:
        CorruptCampaign: not whole, or not what `unpack` takes.
    """
    outer = unpack("sealed", data, name)
    body = outer.get("body")
    if not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != outer.get("sha256"):
        raise CorruptCampaign(f"{name} does not match its hash: torn or changed")
    return unpack(kind, body, name)


def pack_deme(deme: Deme) -> dict[str, Any]:
    """A deme as plain values."""
    return {
        "size": len(deme),
        "width": deme.genomes.shape[1],
        "objectives": deme.scores.shape[1] - 1,
        "families": deme.families.tobytes(),
        "genomes": deme.genomes.tobytes(),
        "scores": deme.scores.tobytes(),
        "births": deme.births.tobytes(),
    }


def unpack_deme(record: dict[str, Any]) -> Deme:
    """The deme of plain values; a column of another size raises ValueError."""
    size, width, objectives = record["size"], record["width"], record["objectives"]
    return Deme(
        np.frombuffer(record["families"], dtype="<i8").reshape(size),
        np.frombuffer(record["genomes"], dtype="<f8").reshape(size, width),
        np.frombuffer(record["scores"], dtype="<f8").reshape(size, objectives + 1),
        np.frombuffer(record["births"], dtype="<i8").reshape(size, 3),
    )


def pack_trials(trials: Trials) -> dict[str, Any]:
    return {"deme": pack_deme(trials.deme), "origins": trials.origins.tobytes(), "parents": trials.parents.tobytes()}


def unpack_trials(record: dict[str, Any]) -> Trials:
    """The trials of plain values; a column of another size raises ValueError."""
    deme = unpack_deme(record["deme"])
    origins = np.frombuffer(record["origins"], dtype="<i8").reshape(len(deme))
    return Trials(deme, origins, np.frombuffer(record["parents"], dtype="<i8").reshape(len(deme), 6))


def pack_state(state: IslandState) -> dict[str, Any]:
    return {"deme": pack_deme(state.deme), "hall_of_fame": pack_deme(state.hall_of_fame), "stagnant": state.stagnant}


def unpack_state(record: dict[str, Any]) -> IslandState:
    return IslandState(unpack_deme(record["deme"]), unpack_deme(record["hall_of_fame"]), int(record["stagnant"]))


def pack_arrival(a: Arrival) -> list[Any]:
    return [a.source, a.family, a.birth, a.genome, a.scores, a.outcome, a.replaced, a.survived]


def unpack_arrival(row: list[Any]) -> Arrival:
    source, family, birth, genome, scores, outcome, replaced, survived = row
    left = None if replaced is None else tuple(replaced)
    return Arrival(source, family, tuple(birth), tuple(genome), tuple(scores), outcome, left, survived)


def pack_generation(g: Generation) -> list[Any]:
    return [g.generation, g.best, g.median, g.hypervolume, g.diversity, g.feasible, g.trials, g.stagnant, g.rule]


def unpack_generation(row: list[Any]) -> Generation:
    generation, best, median, *rest = row
    return Generation(generation, tuple(best), tuple(median), *rest)
