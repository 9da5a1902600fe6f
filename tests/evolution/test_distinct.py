"""Who is the same trial, by number: against a dictionary of keys."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.distinct import number_rows

from islands.evolution.deme import Deme
from islands.evolution.distinct import Register, numbers


def deme_of(families: list[int], genomes: list[list[float]], width: int = 2) -> Deme:
    count = len(families)
    return Deme(np.array(families), np.array(genomes).reshape(count, width), np.zeros((count, 2)), np.zeros((count, 3)))


@st.composite
def demes(draw: st.DrawFn) -> Deme:
    """Up to 60 individuals among few genomes, padded and not, of which some differ in the sign of a zero alone."""
    gene = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.5, float("nan")])
    people = draw(st.lists(st.tuples(st.integers(0, 2), gene, gene), max_size=60))
    return deme_of([family for family, _, _ in people], [[x, y] for _, x, y in people])


@given(groups=st.lists(demes(), max_size=6))
@examples(150)
def test_numbers_are_those_of_a_dictionary_of_keys(groups: list[Deme]) -> None:
    register, known = Register(2, room=4), dict[tuple[int, bytes], int]()
    for deme in groups:
        before, keys = len(known), deme.keys()
        expected = [known.setdefault(key, len(known)) for key in keys]
        found, fresh = register.number(deme.families, deme.genomes)
        assert found.tolist() == expected
        first = {number: row for row, number in reversed(list(enumerate(expected)))}
        assert fresh.tolist() == [number >= before and first[number] == row for row, number in enumerate(expected)]
        assert register.count == len(known)


def test_a_register_that_grows_keeps_its_numbers() -> None:
    register = Register(2, room=1)
    genomes = np.random.default_rng(1).random((5_000, 2))
    deme = deme_of([0] * 5_000, genomes.tolist())
    for start in range(0, 5_000, 700):
        part = deme.take(np.arange(start, min(start + 700, 5_000)))
        assert register.number(part.families, part.genomes)[0].tolist() == list(range(start, start + len(part)))
    found, fresh = register.number(deme.families, deme.genomes)
    assert found.tolist() == list(range(5_000))
    assert not fresh.any()


def test_numbers_of_a_deme_begin_anew() -> None:
    found, fresh = numbers(deme_of([0, 1, 0, 1], [[1, 2], [1, 2], [1, 2], [2, 1]]))
    assert (found.tolist(), fresh.tolist()) == ([0, 1, 0, 2], [True, True, False, True])


@pytest.mark.parametrize("low_bits", [True, False])
def test_table_finds_rows_that_begin_at_one_slot(low_bits: bool) -> None:
    """Full but for one slot, of rows that differ in their lowest or highest bits alone: every search walks."""
    count = 63
    rows = np.arange(count, dtype=np.int64)[:, None] << (0 if low_bits else 56)
    known, slots = np.empty((count, 1), dtype=np.int64), np.full(64, -1, dtype=np.int64)
    found, fresh = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.bool_)
    number_rows(rows, 0, known, slots, found, fresh)
    assert found.tolist() == list(range(count))
    number_rows(rows[::-1].copy(), count, known, slots, found, fresh)
    assert found.tolist() == list(range(count))[::-1]
    assert not fresh.any()
