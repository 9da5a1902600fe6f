"""What a worker holds, and what it refuses to make up."""

from __future__ import annotations

import pytest
from worlds import fake_answer

from islands.errors import RuntimeFailed
from islands.runtime.worker import Worker


def test_worker_goes_on_from_the_state_that_it_holds() -> None:
    worker = Worker(fake_answer)
    first, _ = worker.advance(0, 1, None, [])
    second, _ = worker.advance(0, 2, None, [])
    assert second.state.deme.canonical() == fake_answer(0, 2, first.state, []).state.deme.canonical()


def test_repeated_call_gets_the_answer_that_it_got_before() -> None:
    worker = Worker(fake_answer)
    first, _ = worker.advance(0, 1, None, [])
    assert worker.advance(0, 1, None, []) == (first, 0.0)


def test_given_state_counts_more_than_the_one_held() -> None:
    worker = Worker(fake_answer)
    worker.advance(0, 1, None, [])
    other = fake_answer(1, 1, None, []).state
    answer, _ = worker.advance(0, 2, other, [])
    assert answer.state.deme.canonical() == fake_answer(0, 2, other, []).state.deme.canonical()


@pytest.mark.parametrize("held", [0, 2])
def test_island_without_a_state_is_not_founded_again(held: int) -> None:
    """Neither by a worker that has nothing, nor where an old call arrives late."""
    worker, state = Worker(fake_answer), None
    for epoch in range(1, held + 1):
        state = worker.advance(0, epoch, state, [])[0].state
    with pytest.raises(RuntimeFailed, match=f"island 0, epoch {held + 2}: was sent without a state"):
        worker.advance(0, held + 2, None, [])
    if held:
        with pytest.raises(RuntimeFailed, match="holds epoch 3 of it"):
            worker.advance(0, 3, None, [])
            worker.advance(0, 2, None, [])


def test_old_call_that_comes_late_makes_a_worker_forget_nothing() -> None:
    worker = Worker(fake_answer)
    first, _ = worker.advance(0, 1, None, [])
    second, _ = worker.advance(0, 2, None, [])
    again, _ = worker.advance(0, 1, None, [])
    assert again.state.deme.canonical() == first.state.deme.canonical()
    assert worker.advance(0, 2, None, []) == (second, 0.0)
    worker.advance(0, 3, None, [])
