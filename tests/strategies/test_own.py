"""A user's own family: as good as a built-in of the same arithmetic, and refused in words where it is not sound."""

from __future__ import annotations

import enum
import math
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import own_families
import pytest
from effort import examples, thinned
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels import batch
from islands.kernels.steps import ema_next
from islands.kernels.vectors import where
from ledger import any_bars, bars_of, funded
from overlay_ledger import any_costs, any_sizing, any_stops
from rules import genes_of

import islands as isl
from islands.errors import StrategyError
from islands.evaluation import overlays_of, terms_of
from islands.market.bars import Bars
from islands.strategies.families import Family

CLOSES = [4.0, 5.0, 3.0, 2.0, 6.0, 7.0]
BARS = bars_of(CLOSES, CLOSES)


def define(step: Callable[..., Any], genes: tuple[Any, ...] = (), **more: Any) -> Family:
    """A family of a step, with what the test is not about filled in."""
    return isl.define_family("tried", step=step, genes=genes, **{"warmup": 0, "doc": "a rule", **more})


def positions(family: Family, bars: Bars = BARS, **genes: Any) -> list[float]:
    return isl.Strategy(family, **genes).positions(bars).tolist()


# As a built-in


@examples(100)
@given(bars=any_bars(), genes=genes_of("ema_crossover"))
def test_positions_are_those_of_the_built_in_of_the_same_arithmetic(bars: Bars, genes: dict[str, Any]) -> None:
    own, built_in = isl.Strategy(own_families.crossover, **genes), isl.Strategy("ema_crossover", **genes)
    assert own.positions(bars).tobytes() == built_in.positions(bars).tobytes()


@examples(100)
@given(
    bars=any_bars(),
    genes=st.lists(genes_of("ema_crossover"), min_size=1, max_size=4),
    costs=any_costs(),
    stops=any_stops(),
    sizing=any_sizing(),
)
def test_metrics_are_those_of_the_built_in_under_all_overlays_and_costs(
    bars: Bars, genes: list[dict[str, Any]], costs: isl.Costs, stops: isl.Stops, sizing: isl.Sizing
) -> None:
    overlays = overlays_of(stops, sizing)
    rows = None if overlays is None else np.tile(overlays, (len(genes), 1))
    genomes = np.stack([isl.Strategy("ema_crossover", **one).genome for one in genes])
    terms = terms_of(bars, costs, 0, 1e4, 252.0, stops)
    figures = [
        batch.population_metrics(isl.family(name).signal, bars.tape, genomes, terms, rows, record=True)
        for name in (own_families.crossover, "ema_crossover")
    ]
    assert figures[0].tobytes() == figures[1].tobytes()


@examples(50)
@given(bars=any_bars(), genes=st.lists(genes_of("ema_crossover"), min_size=1, max_size=4))
def test_metrics_of_the_fused_pass_are_those_of_the_built_in(bars: Bars, genes: list[dict[str, Any]]) -> None:
    frames = [
        isl.evaluate(bars, [isl.Strategy(name, **one) for one in genes], isl.Costs(fee=1e-3), periods_per_year=252)
        for name in (own_families.crossover, "ema_crossover")
    ]
    assert frames[0].drop("strategy", "family").equals(frames[1].drop("strategy", "family"))


@examples(25)
@given(any_bars(), st.lists(genes_of("ema_crossover"), min_size=1, max_size=20))
def test_in_lanes_it_is_the_built_in_and_each_genome_alone(bars: Bars, genes: list[dict[str, Any]]) -> None:
    lanes, built_in = own_families.crossover_in_lanes, isl.family("ema_crossover")
    everyone = np.stack([isl.Strategy(lanes, **row).genome for row in genes])
    terms = terms_of(bars, isl.Costs(1e-3, 1e-3), 0, 1e4, None)
    together = batch.population_metrics(lanes.signal, bars.tape, everyone, terms)
    assert together.tobytes() == batch.population_metrics(built_in.signal, bars.tape, everyone, terms).tobytes()
    alone = [batch.population_metrics(lanes.signal, bars.tape, row[None], terms)[0] for row in everyone]
    assert together.tobytes() == np.stack(alone).tobytes()
    for row in genes:
        targets = [isl.Strategy(kind, **row).positions(bars).tobytes() for kind in (lanes, built_in)]
        assert targets[0] == targets[1]


def branching(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Decides by an if that depends on the state."""
    if bars.close[t] > state * genes.width:
        return bars.close[t], 1.0
    return bars.close[t], 0.0


def looking_back(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Reads another bar for each genome."""
    return state, where(bars.close[t] > bars.close[max(t - genes.width, 0)], 1.0, 0.0)


@pytest.mark.parametrize("step", thinned([branching, looking_back]))
def test_a_step_that_is_not_written_for_lanes_is_refused(step: Callable[..., Any]) -> None:
    family = isl.define_family("narrow", genes=[isl.Real("width", 1.0, 2.0, 1.5)], step=step, warmup=5, lanes=True)
    with pytest.raises(StrategyError, match=r"(can't be compiled for lanes|can't be compiled)"):
        isl.Strategy(family)


def test_it_is_found_by_its_address_and_by_itself() -> None:
    found = isl.family("own_families:reversal")
    assert found is own_families.reversal is isl.family(found)
    assert found.name == "own_families:reversal"
    assert [gene.name for gene in found.genes] == ["lag", "direction"]
    assert found.doc.startswith("Buys a close below")
    assert isl.Strategy("own_families:reversal", lag=3) == isl.Strategy(found, lag=3)
    assert found.name not in isl.families()


def test_a_strategy_of_it_pickles_and_repeats() -> None:
    strategy = isl.Strategy(own_families.reversal, lag=3, direction="short")
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert repr(strategy) == "Strategy('own_families:reversal', lag=3, direction='short')"
    assert isl.Strategy.from_genome(strategy.family.space(), strategy.genome) == strategy
    assert strategy.to_dict()["code"] == strategy.family.code
    assert strategy.warmup == 4


@pytest.mark.filterwarnings("ignore:family .* decided the same")
def test_defined_anew_under_its_name_it_is_another_family() -> None:
    buy, sell = define(lambda genes, state, t, bars: (state, 1.0)), define(lambda genes, state, t, bars: (state, -1.0))
    assert buy.name == sell.name
    assert isl.Strategy(buy) != isl.Strategy(sell)
    frame = isl.evaluate(BARS, [isl.Strategy(buy), isl.Strategy(sell)])
    assert frame["total_return"].to_list() == [
        isl.backtest(BARS, isl.Strategy(one)).metrics["total_return"] for one in (buy, sell)
    ]
    assert frame["total_return"][0] != frame["total_return"][1]


# What the step gets and what becomes of its target


def step_of_the_plan(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, bars.close[t] - 4.0


def test_target_is_clipped_nan_is_flat_and_the_forbidden_side_is_0() -> None:
    family = define(lambda genes, state, t, bars: (state, (bars.close[t] - 4.0) / 2.0 if bars.close[t] < 7.0 else math.nan))
    assert positions(family) == [0.0, 0.5, -0.5, -1.0, 1.0, 0.0]
    assert positions(family, direction="long") == [0.0, 0.5, 0.0, 0.0, 1.0, 0.0]
    assert positions(family, direction="short") == [0.0, 0.0, -0.5, -1.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", [int, bool, np.float32], ids=lambda kind: kind.__name__)
def test_target_may_be_a_number_of_any_kind(kind: type) -> None:
    assert positions(define(lambda genes, state, t, bars: (state, kind(t > 2)))) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def test_genes_come_by_name_and_whole_ones_are_ints() -> None:
    """An index must be an int: the test would not compile otherwise."""
    genes = (
        isl.Integer("back", 0, 3, 1, least=0),
        isl.Real("scale", 0.0, 1.0, 0.25),
        isl.choice("of", ("low", "high"), "high"),
    )

    def step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
        prices = (bars.low, bars.high)[genes.of]
        side = (1.0, -1.0, 0.5)[genes.direction]
        return state, side * genes.scale * (prices[t - genes.back] > 4.0) if t >= genes.back else 0.0

    family = define(step, genes)
    assert positions(family, scale=0.5) == [0.0, 0.0, 0.25, 0.0, 0.0, 0.25]
    assert positions(family, scale=0.5, of="low", back=0, direction="long") == [0.0, 0.5, 0.0, 0.0, 0.5, 0.5]


def test_prepare_makes_what_start_and_step_get() -> None:
    family = define(
        lambda genes, state, t, bars: (state + genes[0], 1.0 if state >= genes[1] else 0.0),
        (isl.Integer("bars", 1, 9, 3),),
        prepare=lambda genes: (2.0, 2.0 * genes.bars),
        start=lambda genes, bars: -genes[0],
    )
    assert positions(family) == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_state_without_a_start_is_0() -> None:
    assert positions(define(lambda genes, state, t, bars: (state + 1.0, 1.0 if state == 2.0 else 0.0))) == [0, 0, 1, 0, 0, 0]


def test_state_may_mix_numbers_and_named_tuples() -> None:
    family = define(
        lambda genes, state, t, bars: ((state[0] + 1, Pair(bars.close[t], state[1].now)), state[1].before > 4.0),
        start=lambda genes, bars: (0, Pair(0.0, 0.0)),
    )
    assert positions(family) == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]


class Pair(NamedTuple):
    now: float
    before: float


def test_funding_is_there_where_it_is_needed_and_bars_without_are_refused() -> None:
    family = define(lambda genes, state, t, bars: (state, 1.0 if bars.funding_rate[t] < 0.0 else 0.0), needs=["funding_rate"])
    assert positions(family, funded(BARS, [0.0, 1e-4, -1e-4, 0.0, 0.0, -1e-4])) == [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    with pytest.raises(StrategyError, match=r"tried needs the column funding_rate, which these bars do not have"):
        positions(family)


def test_warmup_is_a_number_or_rounds_a_function_of_the_genes_up() -> None:
    genes = (isl.Integer("n", 1, 9, 3), isl.Real("x", 0.0, 1.0, 0.5))
    assert isl.Strategy(define(step_of_the_plan, genes, warmup=7)).warmup == 7
    family = define(step_of_the_plan, genes, warmup=lambda genes: range(genes["n"])[-1] + genes["x"])
    assert isl.Strategy(family).warmup == 3
    assert family.space().warmup == 9


# Refused


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "two words"}, r"expected the name of the variable"),
    ({"genes": isl.Integer("n", 1, 5, 3)}, r"genes = Integer\(name='n'.*: expected a list of them"),
    ({"constraints": isl.Less("a", "b")}, r"constraints = Less\(.*: expected a list of them"),
    ({"genes": [3]}, r"gene 3: expected isl.Integer"),
    ({"genes": [isl.Real("stop_loss", 0, 1, 0.5)]}, r"gene stop_loss: the name is an overlay"),
    ({"genes": [isl.choice("direction", ("up", "down"), "up")]}, r"gene direction: the name is taken"),
    ({"genes": [isl.Integer("family", 1, 5, 3)]}, r"gene family: the name is taken"),
    ({"genes": [isl.Integer("a b", 1, 5, 3)]}, r"gene 'a b': expected a name that Python takes"),
    ({"genes": [isl.Integer("_n", 1, 5, 3)]}, r"gene '_n': expected a name"),
    ({"genes": [isl.Integer("lambda", 1, 5, 3)]}, r"gene 'lambda': expected a name"),
    ({"genes": [isl.Integer("n", 1, 5, 3), isl.Real("n", 0, 1, 0.5)]}, r"gene n is declared twice"),
    ({"genes": [isl.Integer("n", 5, 1, 3)]}, r"gene n: the lower bound 5 lies above the upper bound 1"),
    ({"genes": [isl.Integer("n", 0, 5, 3)]}, r"gene n = 0: expected a number from 1"),
    ({"genes": [isl.Integer("n", 1, 5, 2.5)]}, r"gene n = 2.5: expected a whole number"),
    ({"genes": [isl.Integer("n", 1, 5, 9)]}, r"gene n has default 9: expected one within its bounds, 1 to 5"),
    ({"genes": [isl.Real("x", 0, math.inf, 1)]}, r"gene x has default 1"),
    ({"genes": [isl.LogReal("x", 0.0, 1.0, 0.5)]}, r"gene x = 0.0: expected a number from"),
    ({"genes": [isl.Integer("a", 1, 5, 3)], "constraints": [isl.Less("a", "b")]}, r"constraint a < b: no gene 'b'"),
    ({"genes": [isl.Integer("a", 1, 5, 3), isl.Integer("b", 1, 5, 2)], "constraints": [isl.Less("a", "b")]}, r"break a < b"),
    (
        {"genes": [isl.Integer("a", 1, 5, 1), isl.Integer("b", 2, 5, 3)], "constraints": [isl.Less("a", "b", gap=9)]},
        r"no genome within the bounds keeps a < b",
    ),
    ({"constraints": ["a < b"]}, r"constraint 'a < b': expected isl.Less"),
    ({"step": None}, r"step = None: expected a function of \(genes, state, t, bars\)"),
    ({"step": lambda genes, state, t: (state, 0.0)}, r"step takes \(genes, state, t\): expected \(genes, state, t, bars\)"),
    ({"start": lambda bars: 0.0}, r"start takes \(bars\): expected \(genes, bars\)"),
    ({"prepare": math}, r"prepare = <module 'math'.*>: expected a function of \(genes\)"),
    ({"start": max}, r"start = <built-in function max>: expected a Python function"),
    ({"warmup": -1}, r"warmup = -1: expected a number of bars"),
    ({"warmup": lambda genes: genes["n"]}, r"warmup of {'direction': 2} raises KeyError: 'n'"),
    ({"warmup": lambda genes: -3}, r"warmup of .* is -3"),
    ({"version": 0}, r"version = 0"),
    ({"needs": ["open_interest"]}, r"needs = \['open_interest'\]: expected a list, of funding_rate or nothing"),
    ({"doc": None}, r"has no doc: say its rule"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_a_definition_that_can_t_be_meant_is_refused(change: dict[str, Any], words: str) -> None:
    given = {"name": "tried", "genes": [], "step": step_of_the_plan, "warmup": 0, "doc": "a rule", **change}
    with pytest.raises(StrategyError, match=words) as error:
        isl.define_family(**given)
    assert str(error.value).startswith(f"family {__name__}:{given['name']}")


def test_a_function_that_is_defined_later_is_named() -> None:
    with pytest.raises(StrategyError, match=r"step uses comes_later, which is not defined where define_family is called"):
        define(lambda genes, state, t, bars: (state, comes_later(t)))  # noqa: F821


def test_an_object_that_can_t_be_compiled_in_is_named() -> None:
    thing = object()
    with pytest.raises(StrategyError, match=r"step uses thing, a object, which can't be compiled into it"):
        define(lambda genes, state, t, bars: (state, thing))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "own_families:reversals",
            r"reversals is not there \(did you mean 'reversal'\?\); families in own_families: crossover",
        ),
        ("own_families:crossover_step", r"crossover_step is a function, not a family"),
        ("own_families:named_otherwise", r"is 'own_families:another_name'; name it by that"),
        (
            "no_such_module:reversal",
            r"No module named 'no_such_module'; its module must be importable here and on every worker",
        ),
        (":reversal", r"family ':reversal': '' is no name of a module"),
        ("__main__:reversal", r"is defined in the script that runs.*put it into a module of its own"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(address: str, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        isl.family(address)


def test_a_module_that_can_t_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_rules.py").write_text("reversal = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StrategyError, match=r"importing broken_rules raises ZeroDivisionError: division by zero"):
        isl.family("broken_rules:reversal")


# The gate


def random_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, np.random.random()


def raising_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    if t == 20:
        raise ValueError("no such bar")
    return state, 0.0


def importing_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    import math

    return state, math.sqrt(2.0)


def allocating_step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    window = np.zeros(3)
    return state, window[0]


UNSOUND: dict[str, tuple[Callable[..., Any], str]] = {
    "the next bar": (lambda g, s, t, b: (s, b.close[t + 1] > b.close[t]), r"at bar 399 of 400 .* reads beyond its bars"),
    "the next bar, with care": (
        lambda g, s, t, b: (s, t + 1 < len(b.close) and b.close[t + 1] > b.close[t]),
        r"at bar \d+ of 400 made-up ones its target is [01], and [01] with the bars after \d+ changed",
    ),
    "a rare move of the next bar": (
        lambda g, s, t, b: (s, t + 1 < len(b.close) and b.close[t + 1] < 0.9 * b.close[t]),
        r"its target is 0, and 1 with the bars after \d+ changed",
    ),
    "the end, by a negative index": (
        lambda g, s, t, b: (s, b.close[t] > b.close[t - 5]),
        r"at bar [0-4] of 400 .*bars.close\[t - 5\] at t < 5, counts from the end of the data: test for it",
    ),
    "the end, through its state": (
        lambda g, s, t, b: (ema_next(s, b.close[t] - b.close[t - 1], 0.01), s > 0.0),
        r"at bar \d+ of 400",
    ),
    "the number of bars": (lambda g, s, t, b: (s, t == len(b.close) - 1), r"at bar \d+ of 400"),
    "the last volume": (lambda g, s, t, b: (s, b.volume[-1] > b.volume[t]), r"at bar \d+ of 400"),
    "chance": (random_step, r"and \S+ the second time, on the same bars; a step must not draw chance"),
    "infinity": (lambda g, s, t, b: (s, 1.0 / (b.high[t] - b.low[t])), r"at bar 36 of 400 made-up ones its target is inf"),
    "an error": (raising_step, r"at bar 20 of 400 made-up ones it raises ValueError: no such bar"),
    "an unknown column": (
        lambda g, s, t, b: (s, b.klose[t]),
        r"can't be compiled: unknown name 'klose'; the bars have open, high, low, close, volume \(line \d+ of test_own.py\)",
    ),
    "an unknown gene": (lambda g, s, t, b: (s, g.m), r"can't be compiled: unknown name 'm'; the genes are n, direction"),
    "one thing": (lambda g, s, t, b: 1.0, r"step returns one thing: expected two, the state and the target"),
    "text": (lambda g, s, t, b: (s, "long"), r"step returns no number as its target"),
    "another state": (lambda g, s, t, b: ((s, 1.0), 1.0), r"the state changes its type from start to step"),
    "an array": (allocating_step, r"it makes an array, a list or a text; keep numbers in its state"),
    "an import": (importing_step, r"Use of unsupported opcode \(IMPORT_NAME\) found"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", thinned(UNSOUND, "the next bar, with care", "the end, by a negative index", "one thing"))
def test_an_unsound_family_is_refused_before_its_first_use(name: str) -> None:
    step, words = UNSOUND[name]
    family = define(step, (isl.Integer("n", 1, 9, 3),))
    with pytest.raises(StrategyError) as error:
        isl.Strategy(family)
    text = str(error.value)
    assert text.startswith(f"family {__name__}:tried")
    assert re.search(words, text), text
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "words"),
    [
        pytest.param(
            lambda genes, bars: bars.close[100_000], "its start reads a bar that is not there", marks=pytest.mark.slow
        ),
        (lambda genes, bars: bars.close[30], "with the bars after 0 changed"),
    ],
)
def test_a_start_that_reads_later_bars_is_refused(start: Callable[..., Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        isl.Strategy(define(lambda genes, state, t, bars: (state, state > 100.0), start=start))


@pytest.mark.slow
def test_the_error_names_the_genome_that_peeks() -> None:
    """Only some of the founders do."""
    family = define(
        lambda g, s, t, b: (s, b.close[t - 1 + g.later // 6] - 100.0 if t else 0.0), (isl.Integer("later", 1, 20, 1),)
    )
    with pytest.raises(StrategyError, match=r"tried \(later=(1[2-9]|20), direction=\w+\): at bar \d+ of 400"):
        isl.Strategy(family)


@pytest.mark.parametrize("family", [own_families.crossover, own_families.reversal], ids=lambda family: family.name)
def test_the_gate_trades_with_what_passes(family: Family) -> None:
    """A gate on bars on which nothing happens would be worth nothing."""
    from islands.numerics import rough_market

    market = rough_market(family.enough_bars)
    targets = [batch.positions(family.signal, market, genome) for genome in family.samples(3)]
    assert all(np.count_nonzero(np.diff(row)) > 0 for row in targets)
    assert (market.low <= np.minimum(market.open, market.close)).all()
    assert (market.high >= np.maximum(market.open, market.close)).all()
    assert (market.volume == 0.0).any()


# The digest of the code


SCALE, TABLE, NEGATIVE_ZERO = 2.0, np.array([1.0, 2.0]), -0.0


class Side(enum.IntEnum):
    BUY = 1
    SELL = -1


@numba.njit(cache=True)
def compiled_helper(x: float) -> float:
    return x * SCALE


def helper(x: float) -> float:
    return compiled_helper(x) + TABLE[1]


def counting_down(n: int) -> int:
    return counting_down(n - 1) if n > 0 else 0


def step_with_helpers(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, helper(bars.close[t]) * Side.BUY.value / 20.0


def test_helpers_plain_and_compiled_are_compiled_in() -> None:
    assert positions(define(step_with_helpers)) == [(2.0 * close + 2.0) / 20.0 for close in CLOSES]


def test_a_decorated_step_is_the_function_itself() -> None:
    assert define(numba.njit(step_of_the_plan)).code == define(step_of_the_plan).code


@pytest.mark.parametrize(
    ("name", "value"),
    [("SCALE", 3.0), ("SCALE", 2), ("TABLE", np.array([1.0, 3.0])), ("TABLE", np.array([1, 2])), ("NEGATIVE_ZERO", 0.0)],
)
def test_every_value_that_is_reached_counts(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
        return state, helper(1.0) + NEGATIVE_ZERO

    before = define(step)
    monkeypatch.setattr(sys.modules[__name__], name, value)
    assert define(step).code != before.code
    monkeypatch.undo()
    assert define(step).code == before.code


def test_what_is_compiled_is_what_was_there_when_it_was_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    family = define(step_with_helpers)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 5.0)
    monkeypatch.setattr(sys.modules[__name__], "TABLE", np.array([7.0, 8.0]))
    later = define(step_with_helpers)
    assert positions(family) == [(2.0 * close + 2.0) / 20.0 for close in CLOSES]
    assert positions(later)[3] == 0.9
    monkeypatch.undo()
    assert family.code == define(step_with_helpers).code


def test_closures_defaults_and_modules_count() -> None:
    def made(width: float, scale: float) -> Family:
        def step(genes: Any, state: Any, t: Any, bars: Any) -> Any:
            return state, width * scaled(bars.close[t]) * own_families.FACTOR

        def scaled(x: float, by: float = scale) -> float:
            return x * by

        return define(step)

    own_families.FACTOR = 1.0
    try:
        codes = [made(0.1, 1.0).code, made(0.2, 1.0).code, made(0.1, 2.0).code]
        assert made(0.1, 1.0).code == codes[0]
        assert positions(made(0.1, 2.0))[:2] == [0.8, 1.0]
        own_families.FACTOR = 0.5
        codes.append(made(0.1, 1.0).code)
        assert positions(made(0.1, 1.0))[:2] == [0.2, 0.25]
    finally:
        del own_families.FACTOR
    assert len(set(codes)) == 4


def test_a_function_that_calls_itself_is_digested_once() -> None:
    family = define(lambda genes, state, t, bars: (state, counting_down(t)))
    assert family.code == define(lambda genes, state, t, bars: (state, counting_down(t))).code


def test_declaration_counts_and_text_does_not() -> None:
    genes = (isl.Integer("n", 1, 9, 3),)
    plain = define(step_of_the_plan, genes)
    others = [
        define(step_of_the_plan, (isl.Integer("n", 1, 8, 3),)),
        define(step_of_the_plan, (isl.Integer("m", 1, 9, 3),)),
        define(step_of_the_plan, (isl.Real("n", 1, 9, 3),)),
        define(step_of_the_plan, genes, warmup=1),
        define(step_of_the_plan, genes, warmup=lambda genes: 0),
        define(step_of_the_plan, genes, version=2),
        define(step_of_the_plan, genes, needs=["funding_rate"]),
        define(step_of_the_plan, genes, start=lambda genes, bars: 0.0),
    ]
    assert len({plain.code, *(other.code for other in others)}) == 9
    assert define(step_of_the_plan, genes, doc="said otherwise").code == plain.code


def test_bounds_leave_the_machine_code_alone() -> None:
    wide, narrow = (define(step_of_the_plan, (isl.Integer("n", 1, high, 1),)) for high in (9, 5))
    assert wide.code != narrow.code
    assert wide.signal.name == narrow.signal.name
