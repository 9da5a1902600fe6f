"""Where chance comes from: addresses, not states."""

from __future__ import annotations

import random

import numpy as np
import pytest

from islands.randomness import Purpose, seeded_globals, stream

GOLDEN_FOUND = [3549501245025443522, 5418470190722654343, 6529311375170166351]
GOLDEN_BREED = [4262740043758030067, 8282142243654852962, 5087412170266685348]
ADDRESS = {"seed": 5, "purpose": Purpose.BREED, "run": 1, "island": 2, "generation": 3, "index": 4}


def drawn(**changes: object) -> list[int]:
    return stream(**{**ADDRESS, **changes}).integers(0, 2**63, 8).tolist()


def global_draws() -> tuple[float, float]:
    return random.random(), float(np.random.random())


def test_equal_addresses_give_equal_streams() -> None:
    assert drawn() == drawn()


@pytest.mark.parametrize("name", list(ADDRESS))
def test_another_coordinate_gives_another_stream(name: str) -> None:
    other = Purpose.FOUND if name == "purpose" else ADDRESS[name] + 1
    assert set(drawn()).isdisjoint(drawn(**{name: other}))


def test_swapped_coordinates_give_another_stream() -> None:
    assert drawn(island=3, generation=2) != drawn(island=2, generation=3)


def test_a_stream_does_not_depend_on_other_streams() -> None:
    first, second = stream(1, purpose=Purpose.FOUND), stream(2, purpose=Purpose.FOUND)
    mixed = [(first.random(), second.random()) for _ in range(5)]
    alone = stream(1, purpose=Purpose.FOUND)
    assert [alone.random() for _ in range(5)] == [a for a, _ in mixed]


def test_the_first_numbers_of_a_stream_never_change() -> None:
    assert stream(0, purpose=Purpose.FOUND).integers(0, 2**63, 3).tolist() == GOLDEN_FOUND
    assert drawn()[:3] == GOLDEN_BREED


def test_numbers_of_purposes_never_change() -> None:
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "FOUND": 1,
        "BREED": 2,
        "PROBE": 3,
        "TOPOLOGY": 4,
        "EMIGRATE": 5,
        "EDGE": 6,
        "REPLACE": 7,
        "RESET": 8,
        "SURROGATE": 9,
        "SAMPLE": 10,
        "RESAMPLE": 11,
    }


def test_globals_draw_the_same_inside_and_go_on_outside_as_if_nothing_had_been() -> None:
    random.seed(1)
    np.random.seed(1)
    undisturbed = [global_draws() for _ in range(2)]
    random.seed(1)
    np.random.seed(1)
    before = global_draws()
    with seeded_globals(stream(9, purpose=Purpose.BREED)):
        inside = global_draws()
    after = global_draws()
    assert [before, after] == undisturbed
    with seeded_globals(stream(9, purpose=Purpose.BREED)):
        assert global_draws() == inside
    with seeded_globals(stream(10, purpose=Purpose.BREED)):
        assert global_draws() != inside


def test_globals_are_restored_after_an_exception() -> None:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with pytest.raises(ZeroDivisionError), seeded_globals(stream(9, purpose=Purpose.BREED)):
        global_draws()
        raise ZeroDivisionError
    assert random.getstate() == python_state
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
