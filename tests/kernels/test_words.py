"""Words of bars: which bits are set, and the orders that follow from the changes of 64 bars."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels import words
from islands.kernels.memory import store
from islands.kernels.turns import WORD, make_noting, targets_at
from islands.kernels.words import PIECE, Words, bits_in, lowest_bits
from numba.core import types
from numba.extending import intrinsic

from tests.effort import examples

any_word = st.integers(-(2**63), 2**63 - 1) | st.builds(lambda a, b, c: a & b & c, *[st.integers(-(2**63), 2**63 - 1)] * 3)


def bits_of(word: int) -> list[int]:
    return [bit for bit in range(WORD) if word >> bit & 1]


def lowest_by(way: Any) -> Any:
    @intrinsic
    def lowest(typingctx: Any, bits: Any) -> Any:
        return Words(PIECE)(types.int64), lambda context, builder, sig, args: way(builder, args[0])

    @numba.njit
    def run(word, out):  # type: ignore[no-untyped-def]
        store(out, 0, lowest(word))

    return run


WAYS = {way: lowest_by(getattr(words, way)) for way in ("_lowest_by_compression", "_lowest_one_by_one")}


@numba.njit
def counted(word):  # type: ignore[no-untyped-def]
    return bits_in(word)


@numba.njit
def lowest_here(word, out):  # type: ignore[no-untyped-def]
    store(out, 0, lowest_bits(word))


@pytest.mark.parametrize("way", WAYS)
@examples(200)
@given(word=any_word)
def test_lowest_bits_are_the_same_on_processors_of_either_kind(way: str, word: int) -> None:
    """Whether one instruction finds them or not: each way compiles on any processor."""
    out, here = np.full(PIECE, -1), np.full(PIECE, -1)
    WAYS[way](word, out)
    lowest_here(word, here)
    expected = (bits_of(word) + [0] * PIECE)[:PIECE]
    assert out.tolist() == here.tolist() == expected
    assert counted(word) == len(bits_of(word))


noting = make_noting(targets_at)


@numba.njit
def note(when, targets, count, after, changed, longs, shorts):  # type: ignore[no-untyped-def]
    return noting((when, targets), count, after, changed, (longs, shorts))


@examples(200)
@given(changed=any_word, longs=any_word, shorts=any_word, count=st.integers(0, 3))
def test_every_change_is_one_order_and_nothing_before_is_touched(changed: int, longs: int, shorts: int, count: int) -> None:
    shorts &= ~longs
    when, targets = np.full(WORD + PIECE + 3, -7), np.full(WORD + PIECE + 3, np.nan)
    until = note(when, targets, count, 1_000, changed, longs, shorts)
    bits = bits_of(changed)
    assert until == count + len(bits)
    assert when[count:until].tolist() == [1_000 + bit for bit in bits]
    assert targets[count:until].tolist() == [float((longs >> bit & 1) - (shorts >> bit & 1)) for bit in bits]
    assert (when[:count] == -7).all()
    assert np.isnan(targets[:count]).all()
