"""Screening in float32: what it decides is who of an island's offspring is worth a float64, and nothing else leaves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from islands.kernels import batch
from worlds import links, play, reopened, tiny, tiny_world

import islands as isl
from islands.archipelago import forking
from islands.errors import SpecError
from islands.evidence.champions import candidates
from islands.evolution import island as epochs
from islands.evolution import memo
from islands.evolution.deme import Deme
from islands.evolution.island import Answer, advance_epoch
from islands.evolution.ranking import best_distinct
from islands.evolution.world import World

SINGLE: dict[str, Any] = {
    "evolution.precision": "float32",
    "evolution.population": 40,
    "families": [{"name": "macd"}, {"name": "rsi_mean_reversion"}, {"name": "sma_trend"}],
}
WORLDS: dict[str, dict[str, Any]] = {
    "plus": SINGLE,
    "generational": {**SINGLE, "evolution.survival": {"rule": "generational", "elites": 7}},
    "a reset": {**SINGLE, "stagnation": [{"rule": "reset", "epochs": 1}]},
    "distant emigrants": {**SINGLE, "migration.selection": "distance", "migration.emigrants": 4},
    "of several instruments, with stops": {
        **SINGLE,
        "instruments": {"a": {}, "b": {}},
        "overlays": {"stop_loss": [0.01, 0.05]},
    },
}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A float32 is so often the very float64 that nothing could be told apart: here each is off by a thousandth."""
    true = batch.population_metrics

    def off(*arguments: Any, single: bool = False, **more: Any) -> Any:
        figures = true(*arguments, single=single, **more)
        return figures * (1.0 + 1e-3 * np.sin(1e6 * figures)) if single else figures

    monkeypatch.setattr(batch, "population_metrics", off)


def truth(world: World, island: int, deme: Deme) -> np.ndarray:
    return world.score(world.habitats[island].markets, deme.families, deme.genomes)


def is_true(world: World, island: int, deme: Deme) -> np.ndarray:
    """Whose scores are those of float64, to the last bit, (P,) bool."""
    return np.array(
        [a.tobytes() == b.tobytes() for a, b in zip(deme.scores, truth(world, island, deme), strict=True)], dtype=bool
    )


def answers(world: World, epochs: int = 3) -> list[Answer]:
    return [answer for commit in play(world, epochs) for answer in commit.answers]


@pytest.mark.parametrize("name", WORLDS)
def test_whatever_leaves_an_island_is_scored_in_float64(name: str) -> None:
    world = tiny_world(WORLDS[name])
    screened = 0
    for answer in answers(world):
        island, deme = answer.island, answer.state.deme
        assert is_true(world, island, answer.state.hall_of_fame).all() and len(answer.state.hall_of_fame)
        assert is_true(world, island, answer.emigrants).all() and len(answer.emigrants)
        assert is_true(world, island, best_distinct(deme, world.hall_size, world.signs, feasible_only=True)).all()
        for arrival in answer.arrivals:
            guest = Deme(np.array([arrival.family]), np.array([arrival.genome]), np.array([arrival.scores]), np.zeros((1, 3)))
            assert is_true(world, island, guest).all()
        best = [generation.best[0] for generation in answer.generations]
        values = {value for value in truth(world, island, answer.trials.deme)[:, 0].tolist()}
        assert answer.epoch > 1 or set(best) <= values
        founders = answer.trials.deme.take(answer.trials.deme.births[:, 1] == 0) if answer.epoch == 1 else deme.take([])
        assert is_true(world, island, founders).all()
        screened += int(np.count_nonzero(~is_true(world, island, answer.trials.deme)))
    assert screened > 100


def test_elites_are_kept_by_scores_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    world, kept = tiny_world(WORLDS["generational"]), list[bool]()
    true = epochs.survive

    def survive(world: World, island: int, parents: Deme, children: Deme) -> Deme:
        elites = best_distinct(parents, 7, world.signs)
        kept.append(len(elites) == 7 and bool(is_true(world, island, elites).all()))
        return true(world, island, parents, children)

    monkeypatch.setattr(epochs, "survive", survive)
    answers(world)
    assert len(kept) == 18 and all(kept)


@pytest.mark.parametrize("name", WORLDS)
def test_hall_of_fame_is_the_best_of_all_that_was_proven(name: str) -> None:
    """Nobody is in it by a float32, and nobody was passed over who is better than the last by more than rounding."""
    world = tiny_world(WORLDS[name])
    for answer in answers(world, 1):
        hall, tried = answer.state.hall_of_fame, answer.trials.deme
        exact = is_true(world, answer.island, tried)
        assert (
            hall.canonical() == best_distinct(tried.take(exact), world.hall_size, world.signs, feasible_only=True).canonical()
        )
        passed = tried.take(~exact & tried.feasible)
        assert (passed.scores[:, 0] <= hall.scores[-1, 0]).all()


def test_a_trial_has_the_score_that_the_deme_knows_it_by() -> None:
    world = tiny_world(SINGLE)
    for answer in answers(world, 1):
        known = dict(zip(answer.trials.deme.keys(), answer.trials.deme.scores.tolist(), strict=True))
        assert [known[key] for key in list(answer.state.deme.keys())] == answer.state.deme.scores.tolist()


def test_candidates_are_judged_in_float64() -> None:
    world = tiny_world(SINGLE)
    found = candidates(world, tuple(answer.state for answer in play(world, 2)[-1].answers), demes=True)
    scores = world.score(world.segments, found.families, found.genomes)
    assert found.scores.tobytes() == scores.tobytes() and len(found)


@pytest.mark.parametrize("most", [0, 60, 200_000], ids=["without", "often full", "never full"])
def test_memo_keeps_the_two_apart(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = links(play(tiny_world(SINGLE), 3))
    monkeypatch.setattr(memo, "MOST", most)
    world = tiny_world(SINGLE)
    families, genomes = np.zeros(30, dtype=np.int64), world.pad(world.spaces[0].founders(np.random.default_rng(1), 30))
    each = [memo.score(one, world.markets, families, genomes) for one in (world, world.screening, world, world.screening)]
    np.testing.assert_array_equal(each[0], each[2])
    np.testing.assert_array_equal(each[1], each[3])
    assert (each[0] != each[1]).any()
    assert links(play(world, 3)) == expected


def test_float64_is_the_default_and_its_manifest_and_digests_are_those_without_the_key() -> None:
    plain, said = {**SINGLE}, {**SINGLE, "evolution.precision": "float64"}
    del plain["evolution.precision"]
    assert tiny(plain).identity() == tiny(said).identity()
    assert "precision" not in tiny(said).identity()["evolution"]
    assert tiny(SINGLE).identity()["evolution"]["precision"] == "float32"
    world = tiny_world(plain)
    assert world.screening is world and tiny_world(SINGLE).screening.single
    assert links(play(tiny_world(plain), 2)) == links(play(tiny_world(said), 2)) != links(play(tiny_world(SINGLE), 2))
    assert tiny_world(plain).numeric == tiny_world(said).numeric != tiny_world(SINGLE).numeric


def test_an_island_can_go_on_from_its_own_record() -> None:
    """What a resume reads back knows no more of who was in float64, and gives the same epoch."""
    world = tiny_world({**SINGLE, "archipelago.islands": 1, "archipelago.topology": "none"})
    first, second = (commit.answers[0] for commit in play(world, 2))
    again = advance_epoch(
        tiny_world({**SINGLE, "archipelago.islands": 1, "archipelago.topology": "none"}), 0, 2, first.state, []
    )
    assert again.state.deme.canonical() == second.state.deme.canonical()
    assert again.trials.canonical() == second.trials.canonical()


REFUSED = {
    "another value": ({"evolution.precision": "float16"}, "evolution.precision = 'float16': should be 'float64' or 'float32'"),
    "several objectives": (
        {**SINGLE, "objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]},
        "evolution.precision = 'float32' and several objectives",
    ),
    "no family that has the form": (
        {**SINGLE, "families": [{"name": "sma_trend"}]},
        "sma_trend: no family here has such a form",
    ),
    "a figure of recorded runs": ({**SINGLE, "objective.name": "skew"}, "recorded bar by bar"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_words_where_it_would_do_nothing_or_harm(name: str) -> None:
    changes, words = REFUSED[name]
    with pytest.raises(SpecError) as caught:
        tiny_world(changes)
    assert words in str(caught.value)


def test_a_fork_can_not_change_it() -> None:
    with pytest.raises(SpecError, match="the scores of the demes come from it"):
        forking.require_allowed(tiny({**SINGLE, "evolution.precision": "float64"}), tiny(SINGLE))


@pytest.mark.slow
def test_a_campaign_stopped_and_resumed_is_the_same_and_verified(make: Callable[..., isl.Campaign]) -> None:
    whole, parts = make(SINGLE), make(SINGLE)
    whole.run("inline")
    for epoch in (1, 2, 3):
        reopened(parts).run("inline", epochs=1)
        assert parts.digest() == whole.digest(epoch)
    assert whole.digest() == links(play(tiny_world(SINGLE), 3))[-1]
    for replay in (None, "all"):
        assert parts.verify(replay) == []
    world = parts.world
    for champion in parts.proposed():
        genome = world.pad(champion.strategy.genome[None, :])
        index = [space.family.name for space in world.spaces].index(champion.strategy.family.name)
        scores = world.score(world.segments, np.array([index]), genome)
        assert champion.values == tuple(scores[0, :-1].tolist())
