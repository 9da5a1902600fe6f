"""Records as bytes and back."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from worlds import a_deme, play, tiny_world

import islands as isl
from islands.archipelago import codec
from islands.archipelago.journal import _segment_record, _states_record
from islands.archipelago.machine import Commit
from islands.errors import CorruptCampaign
from islands.evolution.deme import CROSSOVER, FOUNDER, MUTATION, RESET, Deme, Trials
from islands.evolution.island import Generation
from islands.evolution.migration import Arrival

SEVERAL = {
    "objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}],
    "stagnation": [{"epochs": 1, "rule": "reset"}, {"epochs": 1, "rule": "mutate"}],
    "evolution.generations_per_epoch": 1,
}
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
        "runs/x/manifest: schema 99, this version reads 3 and 4; use the version that wrote it",
    ),
    "no schema": (msgpack.packb({"kind": "thing"}), "runs/x/manifest: schema None, this version reads 3 and 4"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_what_is_no_such_record_is_refused_by_name(case: str) -> None:
    data, words = BROKEN[case]
    with pytest.raises(CorruptCampaign) as error:
        codec.unpack("thing", data, "runs/x/manifest")
    assert str(error.value).startswith(words)


def array(claimed: int) -> bytes:
    return b"\xdd" + claimed.to_bytes(4, "big")


CLAIMS = {
    "an array": array(2**31),
    "arrays in arrays": array(2**20) * 1_000 + b"\xc0" * 2**20,
    "a map": b"\xdf\xff\xff\xff\xff",
    "a text": b"\xdb\xff\xff\xff\xff",
    "bytes": b"\xc6\xff\xff\xff\xff",
    "an extension": b"\xc9\xff\xff\xff\xff\x01",
    "arrays without end": b"\x91" * 100_000,
}


@pytest.mark.parametrize("case", list(CLAIMS))
def test_a_header_that_claims_more_than_there_is_has_nothing_set_aside(case: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CorruptCampaign, match=r"^it: not a readable record"):
            codec.unpack("thing", CLAIMS[case], "it")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20  # a thousand arrays of a million values each would be 8 GB
    finally:
        tracemalloc.stop()


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


@pytest.fixture(scope="module")
def commits() -> list[Commit]:
    """Two objectives, islands that stagnate, and migration: every kind of record with every kind of field."""
    return play(tiny_world(SEVERAL), 4)


def through_bytes(record: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(record), strict_map_key=False)


def test_states_of_several_objectives_come_back(commits: list[Commit]) -> None:
    states = [answer.state for commit in commits for answer in commit.answers]
    assert {state.stagnant for state in states} > {0}
    for state in states:
        again = codec.unpack_state(through_bytes(codec.pack_state(state)))
        assert again.deme.canonical() == state.deme.canonical()
        assert again.deme.scores.shape == (12, 3)
        assert again.hall_of_fame.canonical() == state.hall_of_fame.canonical()
        assert again.stagnant == state.stagnant


def test_trials_come_back_with_origins_and_parents(commits: list[Commit]) -> None:
    tried = [answer.trials for commit in commits for answer in commit.answers]
    assert set(np.concatenate([trials.origins for trials in tried]).tolist()) >= {FOUNDER, CROSSOVER, MUTATION, RESET}
    for trials in tried:
        again = codec.unpack_trials(through_bytes(codec.pack_trials(trials)))
        assert again.canonical() == trials.canonical()
        assert again.parents.shape == (len(trials), 6)


def test_no_trials_come_back() -> None:
    none = Trials.without_parents(Deme.empty(4, 3), FOUNDER)
    again = codec.unpack_trials(codec.pack_trials(none))
    assert (len(again), again.parents.shape, again.deme.scores.shape) == (0, (0, 6), (0, 4))


@pytest.mark.parametrize("column", ["origins", "parents"])
def test_a_column_of_trials_of_another_size_is_refused(column: str) -> None:
    record = codec.pack_trials(Trials.without_parents(a_deme(), FOUNDER))
    with pytest.raises(ValueError, match=r"reshape|buffer"):
        codec.unpack_trials({**record, column: record[column][:-8]})


ARRIVALS = [
    Arrival(1, 0, (1, 2, 3), (0.5, 2.0), (1.5, 0.0), 0, (4, 5, 6), True),
    Arrival(2, 1, (0, 0, 0), (-0.0,), (0.1, 0.2, math.inf), 1, None, False),
]


@pytest.mark.parametrize("arrival", ARRIVALS, ids=["accepted", "already there"])
def test_arrivals_come_back(arrival: Arrival) -> None:
    assert codec.unpack_arrival(through_bytes(codec.pack_arrival(arrival))) == arrival


def test_arrivals_of_a_campaign_come_back(commits: list[Commit]) -> None:
    arrivals = [a for commit in commits for answer in commit.answers for a in answer.arrivals]
    assert {len(a.scores) for a in arrivals} == {3}
    again = [codec.unpack_arrival(through_bytes(codec.pack_arrival(a))) for a in arrivals]
    assert repr(again) == repr(arrivals)  # padding is NaN, which equals nothing


GENERATIONS = {
    "one objective": Generation(4, (1.5,), (0.5,), math.nan, 0.25, 7, 9),
    "two objectives": Generation(0, (1.5, 0.2), (0.5, 0.3), 0.125, 0.25, 7, 9, 3, "reset+mutate"),
    "nobody feasible": Generation(1, (math.nan,), (math.nan,), math.nan, 0.25, 0, 9, 1, None),
}


@pytest.mark.parametrize("case", list(GENERATIONS))
def test_generations_come_back(case: str) -> None:
    record = GENERATIONS[case]
    again = codec.unpack_generation(through_bytes(codec.pack_generation(record)))
    assert repr(again) == repr(record)
    assert isinstance(again.best, tuple)


def test_a_generation_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(TypeError, match="missing"):
        codec.unpack_generation(codec.pack_generation(GENERATIONS["one objective"])[:5])


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_of_a_sealed_record_is_refused_in_words(bit: int) -> None:
    whole = codec.seal("thing", RECORD)
    for place in range(len(whole)):
        damaged = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        with pytest.raises(CorruptCampaign, match=r"^runs/x/journal/1"):
            codec.unseal("thing", damaged, "runs/x/journal/1")


@pytest.mark.parametrize("kept", [0, 1, 10, 50])
def test_a_torn_sealed_record_is_refused_in_words(kept: int) -> None:
    with pytest.raises(CorruptCampaign, match=r"^runs/x/journal/1"):
        codec.unseal("thing", codec.seal("thing", RECORD)[:kept], "runs/x/journal/1")


@pytest.mark.parametrize("schema", [1, 2])
def test_a_campaign_of_an_older_schema_is_refused_with_words(schema: int, tmp_path: Path) -> None:
    manifest = {"kind": "manifest", "schema": schema, "spec": {"seed": 1}, "bars": {"fingerprint": "0" * 64, "count": 10}}
    (tmp_path / "manifest").write_bytes(msgpack.packb(manifest))
    (tmp_path / "setup").write_bytes(msgpack.packb({"kind": "setup", "schema": schema, "epochs": 3}))
    with pytest.raises(CorruptCampaign) as error:
        isl.Campaign.open(tmp_path)
    assert (
        str(error.value) == f"{tmp_path}/manifest: schema {schema}, this version reads 3 and 4; use the version that wrote it"
    )


def test_records_of_a_commit_hold_plain_numbers_only(commits: list[Commit]) -> None:
    """numpy's own scalars would not pack."""
    commit = commits[-1]
    assert any(answer.arrivals for answer in commit.answers)
    assert codec.pack("states", _states_record(commit))
    assert codec.pack("trials", _segment_record(commit))
