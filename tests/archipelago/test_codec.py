"""Records as bytes and back."""

from __future__ import annotations

import dataclasses
import math

import msgpack
import numpy as np
import pytest
from worlds import a_deme, fake_answer, play, tiny_world

from islands.archipelago import codec
from islands.archipelago.journal import _segment_record, _states_record
from islands.errors import CorruptCampaign
from islands.evolution.deme import Deme
from islands.evolution.island import Generation
from islands.evolution.migration import Arrival

RECORD = {"epoch": 3, "names": ["a", "b"], "inner": {"x": 0.1, "none": None}, "raw": b"\x00\xff"}


def test_a_record_comes_back() -> None:
    assert codec.unpack("thing", codec.pack("thing", RECORD), "it") == {"kind": "thing", "schema": codec.SCHEMA, **RECORD}


def test_equal_records_are_equal_bytes() -> None:
    assert codec.pack("thing", RECORD) == codec.pack("thing", {**RECORD})
    assert codec.pack("thing", RECORD) != codec.pack("thing", {**RECORD, "epoch": 4})


BROKEN = {
    "empty": (b"", "runs/x/manifest: not a readable record"),
    "torn": (codec.pack("thing", RECORD)[:-3], "runs/x/manifest: not a readable record"),
    "with a tail": (codec.pack("thing", RECORD) + b"\x00", "runs/x/manifest: not a readable record"),
    "garbage": (b"\xc1" * 20, "runs/x/manifest: not a readable record"),
    "text": (b"hello", "runs/x/manifest: not a readable record"),
    "no record": (msgpack.packb([1, 2]), "runs/x/manifest: expected a record of kind 'thing'"),
    "another kind": (codec.pack("other", RECORD), "runs/x/manifest: expected a record of kind 'thing'"),
    "another schema": (
        msgpack.packb({"kind": "thing", "schema": 99}),
        "runs/x/manifest: schema 99, this version reads 1; use the version that wrote it",
    ),
    "no schema": (msgpack.packb({"kind": "thing"}), "runs/x/manifest: schema None, this version reads 1"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_what_is_no_such_record_is_refused_by_name(case: str) -> None:
    data, words = BROKEN[case]
    with pytest.raises(CorruptCampaign) as error:
        codec.unpack("thing", data, "runs/x/manifest")
    assert str(error.value).startswith(words)


@pytest.mark.parametrize("deme", [Deme.empty(3), a_deme(), a_deme(rows=1, width=5)], ids=["empty", "three", "wide"])
def test_a_deme_comes_back_bit_for_bit(deme: Deme) -> None:
    stored = codec.unpack("d", codec.pack("d", codec.pack_deme(deme)), "d")
    again = codec.unpack_deme(stored)
    assert again.canonical() == deme.canonical()
    assert again.genomes.shape == deme.genomes.shape


def test_nan_padding_infinity_and_negative_zero_come_back_bit_for_bit() -> None:
    genomes = np.array([[-0.0, np.nan], [np.inf, 5e-324]])
    deme = Deme([0, 1], genomes, [[np.nan, np.inf], [-0.0, 0.0]], [[0, 0, 0], [2**62, -1, 3]])
    assert codec.unpack_deme(codec.pack_deme(deme)).canonical() == deme.canonical()


@pytest.mark.parametrize("column", ["families", "genomes", "scores", "births"])
def test_a_column_of_another_size_is_refused(column: str) -> None:
    record = codec.pack_deme(a_deme())
    with pytest.raises(ValueError, match=r"reshape|buffer"):
        codec.unpack_deme({**record, column: record[column] + b"\x00" * 8})


def test_states_come_back() -> None:
    state = fake_answer(0, 1, None, []).state
    again = codec.unpack_state(codec.pack_state(state))
    assert again.deme.canonical() == state.deme.canonical()
    assert again.hall_of_fame.canonical() == state.hall_of_fame.canonical()


@pytest.mark.parametrize("arrival", [Arrival(1, 0, (1, 2, 3), 0, (4, 5, 6)), Arrival(2, 1, (0, 0, 0), 2, None)], ids=str)
def test_arrivals_come_back(arrival: Arrival) -> None:
    assert codec.unpack_arrival(msgpack.unpackb(msgpack.packb(codec.pack_arrival(arrival)))) == arrival


def test_generations_come_back_also_without_anyone_feasible() -> None:
    record = Generation(4, 1.5, 0.5, 0.25, 7, 9)
    assert codec.unpack_generation(msgpack.unpackb(msgpack.packb(codec.pack_generation(record)))) == record
    nobody = codec.unpack_generation(codec.pack_generation(dataclasses.replace(record, best=math.nan)))
    assert math.isnan(nobody.best)


def test_records_of_a_commit_hold_plain_numbers_only() -> None:
    """numpy's own scalars would not pack."""
    commit = play(tiny_world(), 2)[-1]
    assert any(answer.arrivals for answer in commit.answers)
    assert codec.pack("states", _states_record(commit))
    assert codec.pack("trials", _segment_record(commit))
