"""The tape: a contiguous, read-only, fingerprinted block."""

from __future__ import annotations

import hashlib
import math
import pickle
import struct
from typing import Any

import numpy as np
import pytest

from islands.errors import BarsError, InputError
from islands.market.tape import COLUMNS, ROWS, Tape

HOUR_US = 3_600_000_000


def block_of(bars: int, rows: int = 6) -> np.ndarray[Any, np.dtype[np.float64]]:
    block = np.arange(float(rows * bars)).reshape(rows, bars) + 100.0
    block[0] = np.arange(bars) * HOUR_US
    return block


def test_the_rows_are_views_of_one_read_only_block() -> None:
    tape = Tape(block_of(5))
    for row, name in enumerate(ROWS[1:], start=1):
        column = getattr(tape, name)
        assert np.shares_memory(column, tape.block)
        assert column.tolist() == tape.block[row].tolist()
        assert column.flags.c_contiguous
        assert not column.flags.writeable
    assert not tape.block.flags.writeable
    assert tape.timestamps.dtype == np.int64
    assert tape.timestamps.tolist() == [0, HOUR_US, 2 * HOUR_US, 3 * HOUR_US, 4 * HOUR_US]
    assert not tape.timestamps.flags.writeable
    assert len(tape) == tape.bars == 5


def test_a_read_only_block_is_taken_over_without_a_copy() -> None:
    block = block_of(5)
    block.flags.writeable = False
    assert Tape(block).block is block


def test_a_read_only_view_of_foreign_memory_is_taken_over_without_a_copy() -> None:
    block = np.frombuffer(block_of(5).tobytes()).reshape(6, 5)
    assert not block.flags.writeable
    assert np.shares_memory(Tape(block).block, block)


def test_a_writable_block_is_copied_so_that_its_owner_cannot_change_the_tape() -> None:
    block = block_of(5)
    tape = Tape(block)
    block[1, 0] = -1.0
    assert tape.open[0] == 105.0
    assert block.flags.writeable


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        pytest.param([[1.0]] * 6, "is a list", id="a list"),
        pytest.param(block_of(5).astype(np.float32), "has dtype <f4", id="float32"),
        pytest.param(block_of(5).astype(">f8"), "has dtype >f8", id="foreign byte order"),
        pytest.param(block_of(5).astype(np.int64), "has dtype <i8", id="integers"),
        pytest.param(block_of(5)[:5], "has shape (5, 5)", id="five rows"),
        pytest.param(block_of(5, rows=8), "has shape (8, 5)", id="eight rows"),
        pytest.param(block_of(5)[0], "has shape (5,)", id="one dimension"),
        pytest.param(block_of(5)[:, :0], "has shape (6, 0)", id="no bars"),
        pytest.param(block_of(6)[:, ::2], "is not contiguous in C order", id="strided"),
        pytest.param(np.asfortranarray(block_of(5)), "is not contiguous in C order", id="Fortran order"),
    ],
)
def test_a_block_that_kernels_cannot_read_is_refused(block: Any, problem: str) -> None:
    with pytest.raises(BarsError) as caught:
        Tape(block)
    assert problem in str(caught.value)
    assert "native float64 array of shape (6, T >= 1), contiguous in C order" in str(caught.value)


def test_the_fingerprint_is_a_sha256_over_schema_shape_and_little_endian_bytes() -> None:
    block = block_of(3)
    expected = hashlib.sha256(b"islands.tape/1 timestamp_us open high low close volume <f8\n")
    expected.update(struct.pack("<2q", 6, 3))
    expected.update(struct.pack("<18d", *block.ravel()))
    assert Tape(block).fingerprint == expected.hexdigest()


def test_the_fingerprint_is_pinned() -> None:
    """A changed fingerprint would refuse the resume of every campaign that exists."""
    assert Tape(block_of(3)).fingerprint == "94c5633981a00be1b3677990f3b1c7e27f2904d2d4a96825a62cb5c732756214"


def test_funding_is_a_seventh_row_with_a_schema_of_its_own() -> None:
    tape = Tape(block_of(3, rows=7))
    assert tape.funding_rate is not None
    assert np.shares_memory(tape.funding_rate, tape.block)
    assert tape.funding_rate.tolist() == tape.block[6].tolist()
    assert tape.columns == COLUMNS
    assert Tape(block_of(3)).funding_rate is None
    assert Tape(block_of(3)).columns == ROWS
    expected = hashlib.sha256(b"islands.tape/1 timestamp_us open high low close volume funding_rate <f8\n")
    expected.update(struct.pack("<2q", 7, 3))
    expected.update(struct.pack("<21d", *tape.block.ravel()))
    assert tape.fingerprint == expected.hexdigest()


def test_funding_is_cut_and_travels_with_its_tape() -> None:
    tape = Tape(block_of(5, rows=7))
    assert tape.cut(1, 4).block.tolist() == tape.block[:, 1:4].tolist()
    assert tape.head(2).funding_rate.tolist() == tape.block[6, :2].tolist()  # type: ignore[union-attr]
    assert pickle.loads(pickle.dumps(tape)).fingerprint == tape.fingerprint


def test_the_fingerprint_is_computed_once() -> None:
    tape = Tape(block_of(3))
    assert tape.fingerprint is tape.fingerprint


def test_one_changed_bit_changes_the_fingerprint() -> None:
    block = block_of(5)
    prints = {Tape(block).fingerprint}
    for row in range(6):
        other = block.copy()
        other[row, 3] = np.nextafter(other[row, 3], np.inf)
        prints.add(Tape(other).fingerprint)
    assert len(prints) == 7


def test_periods_per_year_are_measured_from_first_to_last_bar() -> None:
    assert Tape(block_of(5)).periods_per_year == 8766.0


def test_periods_per_year_count_gaps() -> None:
    block = block_of(3)
    block[0] = [0, HOUR_US, 4 * HOUR_US]
    assert Tape(block).periods_per_year == 4383.0


def test_periods_per_year_of_one_bar_or_no_span_are_nan() -> None:
    assert math.isnan(Tape(block_of(1)).periods_per_year)
    block = block_of(2)
    block[0] = 7.0
    assert math.isnan(Tape(block).periods_per_year)


def test_a_head_holds_the_first_bars_in_a_block_of_its_own() -> None:
    tape = Tape(block_of(5))
    head = tape.head(3)
    assert head.block.tolist() == tape.block[:, :3].tolist()
    assert head.block.flags.c_contiguous
    assert not head.block.flags.writeable
    assert head.fingerprint != tape.fingerprint


def test_a_cut_holds_the_bars_from_start_to_before_stop() -> None:
    tape = Tape(block_of(5))
    assert tape.cut(1, 4).block.tolist() == tape.block[:, 1:4].tolist()
    assert tape.cut(0, 5) is tape


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 6), (-1, 3), (3, 2), (5, 6)])
def test_a_cut_outside_the_tape_or_without_bars_is_refused(start: int, stop: int) -> None:
    with pytest.raises(InputError) as caught:
        Tape(block_of(5)).cut(start, stop)
    assert f"bars {start} to {stop}" in str(caught.value)
    assert "0 <= start < stop <= 5" in str(caught.value)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_tape_comes_back_read_only_with_the_same_fingerprint(protocol: int) -> None:
    tape = Tape(block_of(5))
    again = pickle.loads(pickle.dumps(tape, protocol))
    assert again.fingerprint == tape.fingerprint
    assert not again.block.flags.writeable
    assert not again.open.flags.writeable


def test_an_out_of_band_pickle_shares_the_block_as_rays_object_store_does() -> None:
    tape = Tape(block_of(5))
    buffers: list[pickle.PickleBuffer] = []
    payload = pickle.dumps(tape, 5, buffer_callback=buffers.append)
    again = pickle.loads(payload, buffers=[buffer.raw().toreadonly() for buffer in buffers])
    assert np.shares_memory(again.block, tape.block)


def test_a_tape_cannot_be_given_another_block() -> None:
    tape = Tape(block_of(5))
    with pytest.raises(AttributeError):
        tape.block = block_of(3)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        tape.close[0] = 1.0
