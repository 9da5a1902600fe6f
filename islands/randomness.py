"""Where chance comes from: streams with an address, never a carried state.

A stream is a pure function of (seed, run, island, generation, purpose, index), so no generator state is ever saved, and
an epoch can be replayed anywhere. Philox is counter-based: its bits are the same on every machine.
"""

from __future__ import annotations

import hashlib
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np

_GLOBALS = threading.Lock()


class Purpose(IntEnum):
    """What a stream is drawn for. The numbers are part of every result: never reuse one."""

    FOUND = 1
    BREED = 2
    PROBE = 3
    TOPOLOGY = 4
    EMIGRATE = 5
    EDGE = 6
    REPLACE = 7
    RESET = 8
    SURROGATE = 9
    SAMPLE = 10
    RESAMPLE = 11


def stream(
    seed: int, *, purpose: Purpose, run: int = 0, island: int = 0, generation: int = 0, index: int = 0
) -> np.random.Generator:
    """The generator at one address. Equal addresses give equal streams; others are independent (SHA-256)."""
    address = struct.pack("<6q", seed, run, island, generation, int(purpose), index)
    key = int.from_bytes(hashlib.sha256(b"strategy-islands stream v1" + address).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


@contextmanager
def seeded_globals(generator: np.random.Generator) -> Iterator[None]:
    """Seeds Python's and numpy's global generators from a stream, and restores both after.

    DEAP draws from `random` and in places from `numpy.random`; nothing else in this package touches either. One block at
    a time in a process: another thread waits.
    """
    with _GLOBALS:
        python_state, numpy_state = random.getstate(), np.random.get_state()
        random.seed(int.from_bytes(generator.bytes(32), "little"))
        np.random.seed(generator.integers(0, 2**32, size=16, dtype=np.uint32))
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
