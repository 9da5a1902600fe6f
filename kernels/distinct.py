"""Telling rows apart: a hash table of rows of whole numbers, each distinct row numbered as it first appears."""

from __future__ import annotations

import numpy as np

from .compile import device, kernel

FREE = -1
"""A slot of the table that holds nobody."""

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: products spread over all their upper bits
_FOLD = np.uint64(32)


@device
def _home(row, mask):
    """The slot where a search for a row begins."""
    mixed = np.uint64(0)
    for j in range(row.shape[0]):
        mixed = (mixed ^ np.uint64(row[j])) * _MIX
        mixed ^= mixed >> _FOLD
    return np.int64(mixed & mask)


@device
def _find(row, known, slots, mask):
    """The slot of a row: that which holds its number, or the free one where it belongs."""
    slot = _home(row, mask)
    while slots[slot] != FREE:
        other = known[slots[slot]]
        j = 0
        while j < row.shape[0] and row[j] == other[j]:
            j += 1
        if j == row.shape[0]:
            break
        slot = (slot + 1) & np.int64(mask)
    return slot


@kernel("number_rows")
def number_rows(rows, count, known, slots, numbers, fresh):
    """Numbers of rows, (P, W) -> (P,): of a known row its own, of another the next one, under which it is known from then on.

    known: (C, W), of which `count` rows are in use, with room for P more. slots: (S,), S a power of 2 above C; numbers of
    rows or FREE. fresh: (P,), whether a row is the first of its kind.
    """
    mask = np.uint64(slots.shape[0] - 1)
    for i in range(rows.shape[0]):
        slot = _find(rows[i], known, slots, mask)
        fresh[i] = slots[slot] == FREE
        if fresh[i]:
            known[count] = rows[i]
            slots[slot] = count
            count += 1
        numbers[i] = slots[slot]


@kernel("enter_rows")
def enter_rows(count, known, slots):
    """Enters the first `count` known rows, all distinct, into free slots: what a table does that has grown."""
    mask = np.uint64(slots.shape[0] - 1)
    for number in range(count):
        slots[_find(known[number], known, slots, mask)] = number
