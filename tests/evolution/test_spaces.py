"""What a spec says of overlays, resolved into genes: whose they are, what is refused, and that each of them does something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from islands.kernels.metrics import METRICS
from islands.kernels.overlays import OVERLAYS
from worlds import tiny, tiny_bars, tiny_world

import islands as isl
from islands.errors import SpecError
from islands.evolution.spaces import spaces_of
from islands.evolution.world import make_world
from islands.market.bars import Bars
from islands.spec import ONLY
from islands.strategies.genome import LogReal, Switched
from islands.strategies.space import Space

STOP = {"stop_loss": [0.01, 0.05]}


def spaces(overlays: dict[str, Any], own: dict[str, Any] | None = None) -> tuple[Space, ...]:
    families = [{"name": "sma_trend", "overlays": own or {}}, {"name": "ema_crossover"}]
    return spaces_of(tiny({"families": families, "overlays": overlays}))


def names(space: Space) -> list[str]:
    return [gene.name for gene in space.overlays]


def test_overlays_are_genes_behind_a_familys_own_in_one_order() -> None:
    first, second = spaces(
        {"cooldown": 3, "atr_period": [5, 20], "atr_trailing": {"low": 1, "high": 5, "optional": True}, **STOP}
    )
    assert names(first) == names(second) == ["stop_loss", "atr_trailing", "atr_period", "cooldown"]
    assert [gene.name for gene in first.genes][:3] == ["fast", "slow", "direction"]
    assert [isinstance(gene, Switched) for gene in first.overlays] == [False, True, False, False]
    assert [gene.last for gene in first.overlays] == [10_000_000, 10_000_001, 15, 0]
    assert spaces({})[0].overlays == ()


def test_a_family_has_its_own_in_place_of_the_campaigns_or_none() -> None:
    common = {**STOP, "atr_trailing": [1.0, 5.0], "atr_period": 10}
    first, second = spaces(common, {"stop_loss": 0.03, "atr_trailing": False, "max_holding": [5, 9]})
    assert names(first) == ["stop_loss", "max_holding"]  # the period has no reader left, and goes with it
    assert (first.overlays[0].low, first.overlays[0].high) == (0.03, 0.03)
    assert names(second) == ["stop_loss", "atr_trailing", "atr_period"]


def test_an_overlay_may_be_searched_in_its_logarithm() -> None:
    gene = spaces({"stop_loss": {"low": 0.001, "high": 0.1, "log": True, "optional": True}})[0].overlays[0]
    assert isinstance(gene, Switched)
    assert isinstance(gene.on, LogReal)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown": (
        {"stop_los": 0.1},
        {},
        "overlays.stop_los: no such overlay (did you mean 'stop_loss'?); known: " + ", ".join(OVERLAYS),
    ),
    "unknown of a family": (
        {},
        {"trail": 0.1},
        "families.sma_trend: overlays.trail: no such overlay (did you mean 'trailing'?); known: " + ", ".join(OVERLAYS),
    ),
    "bounds the wrong way round": (
        {"stop_loss": [0.05, 0.01]},
        {},
        "families.sma_trend: gene stop_loss: the lower bound 0.05 lies above the upper bound 0.01; swap them",
    ),
    "a stop at no distance": (
        {"stop_loss": 0.0},
        {},
        "families.sma_trend: gene stop_loss = 0.0: expected a number from 1e-09 to 1e+06",
    ),
    "a period that is no whole number": (
        {"max_holding": 2.5},
        {},
        "families.sma_trend: gene max_holding = 2.5: expected a whole number",
    ),
    "a parameter that nothing reads": (
        {"cap": 0.5, **STOP},
        {},
        "overlays.cap: nothing reads it; it belongs to target_volatility: give one of these, or leave it out",
    ),
    "a familys parameter that nothing reads": (
        STOP,
        {"atr_period": 10},
        "families.sma_trend: overlays.atr_period: nothing reads it; it belongs to atr_stop_loss, atr_take_profit, "
        "atr_trailing: give one of these, or leave it out",
    ),
    "a parameter that is off": (
        {"atr_trailing": 2.0, "atr_period": {"low": 5, "high": 10, "optional": True}},
        {},
        "overlays.atr_period: optional = true: it has no off, only values; leave it out",
    ),
    "over no family": (
        STOP,
        {"stop_loss": False},
        "overlays.stop_loss: every family has its own, or none; leave it out of the campaign's",
    ),
    "switching off what is not there": (
        {},
        {"stop_loss": False},
        "families.sma_trend: overlays.stop_loss = false: the campaign has none; leave it out",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_overlay_that_can_not_be_meant_is_refused(case: str) -> None:
    overlays, own, message = REFUSED[case]
    families = [{"name": "sma_trend", "overlays": own}, *([] if case == "over no family" else [{"name": "ema_crossover"}])]
    with pytest.raises(SpecError) as error:
        spaces_of(tiny({"families": families, "overlays": overlays}))
    assert str(error.value) == message


BOUNDS: dict[str, dict[str, Any]] = {
    "stop_loss": {"stop_loss": [0.001, 0.01]},
    "take_profit": {"take_profit": [0.001, 0.01]},
    "trailing": {"trailing": [0.001, 0.01]},
    "atr_stop_loss": {"atr_stop_loss": [0.2, 2.0]},
    "atr_take_profit": {"atr_take_profit": [0.2, 2.0]},
    "atr_trailing": {"atr_trailing": [0.2, 2.0]},
    "atr_period": {"atr_stop_loss": 1.0, "atr_period": [2, 20]},
    "max_holding": {"max_holding": [1, 10]},
    "cooldown": {"cooldown": [1, 40], "max_holding": 5},
    "fraction": {"fraction": [0.2, 0.9]},
    "target_volatility": {"target_volatility": [0.05, 0.3]},
    "volatility_bars": {"target_volatility": 0.1, "volatility_bars": [10, 60]},
    "cap": {"target_volatility": 5.0, "cap": [0.1, 0.9]},
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_of_a_genome_reaches_its_score(name: str) -> None:
    """Two genomes that differ in one overlay alone differ in what they earn, and each earns what `backtest` says."""
    families = [{"name": "sma_trend", "genes": {"fast": 5, "slow": 20}}]
    world = tiny_world({"families": families, "overlays": BOUNDS[name]})
    space = world.spaces[0]
    genomes = space.founders(np.random.default_rng(1), 2)
    genomes[:, -1] = genomes[0, -1]
    ends = space.genes[[gene.name for gene in space.genes].index(name)]
    column = [gene.name for gene in space.genes].index(name)
    genomes[1] = genomes[0]
    genomes[:, column] = ends.low, ends.high
    market = world.markets[0]
    metrics = world.metrics(market, 0, genomes)
    place = METRICS.index("total_return")
    assert metrics[0, place] != metrics[1, place]
    bars = Bars(ONLY, market.tape)
    for genome, row in zip(genomes, metrics, strict=True):
        run = isl.backtest(bars, world.strategy(0, genome), isl.Costs(1e-4, 5e-5), score_from=world.warmup)
        assert run.metrics["total_return"] == row[place]
        assert run.metrics["trades"] == row[METRICS.index("trades")] > 5


def test_costs_of_the_spec_are_the_terms_of_the_account() -> None:
    costs = {
        "fee": 1e-4,
        "slippage": 2e-4,
        "maker_fee": 3e-4,
        "fixed_fee": 1.0,
        "minimum_fee": 2.0,
        "participation": 0.1,
        "borrow": 0.05,
        "funding": False,
    }
    world = tiny_world({"costs": costs, "account.intrabar": "optimistic"})
    terms = world.markets[0].terms
    assert {name: getattr(terms, name) for name in costs} == costs
    assert terms.optimistic
    assert not tiny_world().markets[0].terms.optimistic


def test_participation_in_bars_without_volume_is_refused() -> None:
    frame = tiny_bars().to_polars().with_columns(volume=0.0)
    empty = Bars.from_polars(frame, name="empty")
    with pytest.raises(SpecError, match=r"participation = 0\.1: the volume of bars is 0 throughout"):
        make_world(tiny({"costs.participation": 0.1}), {ONLY: empty.tape})


def test_known_strategy_brings_its_overlays() -> None:
    overlays = {"stop_loss": {"low": 0.01, "high": 0.05, "optional": True}, "max_holding": [5, 50]}
    start = [{"family": "sma_trend", "stop_loss": 0.02, "max_holding": 10}, {"family": "sma_trend", "max_holding": 20}]
    world = tiny_world({"families": [{"name": "sma_trend"}], "overlays": overlays, "initial": start})
    assert [world.strategy(0, genome).genes for _, genome in world.initial] == [
        {"fast": 10, "slow": 50, "direction": "both", "stop_loss": pytest.approx(0.02), "max_holding": 10},
        {"fast": 10, "slow": 50, "direction": "both", "max_holding": 20},
    ]


def test_a_champion_may_start_the_next_campaign() -> None:
    """Its text names the periods that its stops read, at the defaults where the search leaves them there."""
    champion = isl.Strategy("sma_trend", atr_stop_loss=1.5, target_volatility=0.2).genes
    assert {"atr_period", "volatility_bars", "cap"} <= set(champion)
    changes = {"families": [{"name": "sma_trend"}], "overlays": {"atr_stop_loss": [0.5, 3.0], "target_volatility": 0.2}}
    world = tiny_world({**changes, "initial": [{"family": "sma_trend", **champion}]})
    assert world.strategy(0, world.initial[0][1]).genes == champion


def test_a_parameter_that_a_known_strategy_does_not_read_is_no_matter() -> None:
    overlays = {"atr_stop_loss": {"low": 0.5, "high": 3.0, "optional": True}, "atr_period": [20, 40]}
    world = tiny_world({"families": [{"name": "sma_trend"}], "overlays": overlays, "initial": [{"family": "sma_trend"}]})
    assert world.initial[0][1].tolist() == [10.0, 50.0, 2.0, 0.0, 20.0]


def test_a_known_strategy_between_the_points_of_an_optional_overlay_is_refused() -> None:
    overlays = {"max_holding": {"low": 4, "high": 120, "step": 4, "optional": True}}
    start = [{"family": "sma_trend", "max_holding": 50}]
    with pytest.raises(SpecError, match="max_holding = 50 is no point of the search; the nearest is 48"):
        tiny_world({"families": [{"name": "sma_trend"}], "overlays": overlays, "initial": start})


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"trailing": 0.1, "max_holding": 10}, "trailing is none of the overlays of this search; add it to overlays"),
        ({"max_holding": "off"}, "max_holding = 0 is no point of the search; the nearest is 5; widen the bounds of sma_trend"),
        ({"max_holding": 99}, "max_holding = 99 is no point of the search; the nearest is 50"),
    ],
)
def test_known_strategy_with_other_overlays_is_refused(strategy: dict[str, Any], words: str) -> None:
    changes = {"families": [{"name": "sma_trend"}], "overlays": {"max_holding": [5, 50]}}
    with pytest.raises(SpecError) as error:
        tiny_world({**changes, "initial": [{"family": "sma_trend", **strategy}]})
    assert words in str(error.value)
