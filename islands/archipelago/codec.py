"""Records as bytes: msgpack with a schema version, arrays as little-endian columns. No pickle is ever read."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack
import numpy as np

from islands.errors import CorruptCampaign, NewerVersion
from islands.evolution.deme import Deme, Trials
from islands.evolution.island import Generation, IslandState
from islands.evolution.migration import Arrival

SCHEMA = 4
READABLE = (3, 4)
"""4 lets an entry say how large its parts are; an entry of 3 does not, and is read without. 2 did not seal setup, tokens and
lease: what such a campaign's files say can't be told from damage."""

MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading a record raises that is whole and says something impossible."""


def pack(kind: str, record: dict[str, Any]) -> bytes:
    """The bytes of one record; equal records give equal bytes."""
    packed: bytes = msgpack.packb({"kind": kind, "schema": SCHEMA, **record})
    return packed


def unpack(kind: str, data: bytes, name: str, *, proven: bool = False) -> dict[str, Any]:
    """The record of bytes that `pack` made. `name` is what errors call it. proven: a hash says that they are as written.

    Raises:
        CorruptCampaign: no record of this kind, or one of a schema that this version does not know.
        NewerVersion: proven bytes are of a later schema.
    """
    record = _record(kind, data, name)
    schema = record.get("schema")
    if proven and _is_later(schema):
        raise NewerVersion(
            f"{name}: written by a newer version of strategy-islands: schema {schema}, this version reads {READABLE[0]} and "
            f"{READABLE[-1]}; nothing was changed: upgrade to the version that wrote it"
        )
    if schema not in READABLE:
        raise CorruptCampaign(
            f"{name}: schema {schema!r}, this version reads {READABLE[0]} and {READABLE[-1]}; use the version that wrote it"
        )
    if record["kind"] != kind:
        raise CorruptCampaign(f"{name}: expected a record of kind {kind!r}")
    return record


def _record(kind: str, data: bytes, name: str) -> dict[str, Any]:
    """A record of any schema."""
    try:
        _require_held(data)
        record = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # TypeError: a flipped bit made a list a key
        raise CorruptCampaign(f"{name}: not a readable record ({error})") from None
    if not isinstance(record, dict) or "kind" not in record:
        raise CorruptCampaign(f"{name}: expected a record of kind {kind!r}")
    return record


def _is_later(schema: object) -> bool:
    return type(schema) is int and schema > READABLE[-1]


def _require_held(data: bytes) -> None:
    """Goes through the headers once without making anything of them, so that they can't claim more than there is.

    Without it an array of five bytes has room set aside for as many values as it says, and one inside it again.

    Raises:
        msgpack.OutOfData: a header claims more than follows it.
    """
    headers = msgpack.Unpacker(max_buffer_size=len(data) or 1)
    headers.feed(data)
    headers.skip()


def seal(kind: str, record: dict[str, Any]) -> bytes:
    """`pack`, wrapped with its own SHA-256: for records that no other record names."""
    body = pack(kind, record)
    return pack("sealed", {"body": body, "sha256": hashlib.sha256(body).hexdigest()})


def unseal(kind: str, data: bytes, name: str) -> dict[str, Any]:
    """The record of bytes that `seal` made.

    Raises:
        CorruptCampaign: not whole, or not what `unpack` takes.
        NewerVersion: whole, and of a later schema.
    """
    outer = _record("sealed", data, name)
    if not _is_later(outer.get("schema")):  # else the body says whether that is so, or damage: its hash covers its own schema
        outer = unpack("sealed", data, name)
    body = outer.get("body")
    if not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != outer.get("sha256"):
        raise CorruptCampaign(f"{name} does not match its hash: torn or changed")
    record = unpack(kind, body, name, proven=True)
    if record["schema"] != outer["schema"]:  # the one number around the body that its hash does not cover
        raise CorruptCampaign(f"{name} does not match its hash: torn or changed")
    return record


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
    size, width, objectives = (_count(record[name]) for name in ("size", "width", "objectives"))
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
    return IslandState(unpack_deme(record["deme"]), unpack_deme(record["hall_of_fame"]), _count(record["stagnant"]))


def pack_arrival(a: Arrival) -> list[Any]:
    return [a.source, a.family, a.birth, a.genome, a.scores, a.outcome, a.replaced, a.survived]


def unpack_arrival(row: list[Any]) -> Arrival:
    """The arrival of plain values; one that is no number of its kind raises ValueError or TypeError."""
    source, family, birth, genome, scores, outcome, replaced, survived = row
    return Arrival(
        _count(source),
        _count(family),
        _birth(birth),
        tuple(map(_real, genome)),
        tuple(map(_real, scores)),
        _count(outcome),
        None if replaced is None else _birth(replaced),
        survived is True,
    )


def pack_generation(g: Generation) -> list[Any]:
    return [g.generation, g.best, g.median, g.hypervolume, g.diversity, g.feasible, g.trials, g.stagnant, g.rule]


def unpack_generation(row: list[Any]) -> Generation:
    """The generation's record of plain values; one that is no number of its kind raises ValueError or TypeError."""
    generation, best, median, *rest = row
    checked: list[Any] = [*map(_real, rest[:2]), *map(_count, rest[2:5]), *(None if r is None else str(r) for r in rest[5:])]
    return Generation(_count(generation), tuple(map(_real, best)), tuple(map(_real, median)), *checked)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is no number of things")
    return value


def _real(value: object) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _birth(value: list[Any]) -> tuple[int, int, int]:
    island, generation, slot = map(_count, value)
    return island, generation, slot
