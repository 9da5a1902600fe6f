"""The gate: holes that an honest author falls into, and rules that must pass."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from effort import thinned
from worlds import in_another_process

import islands as isl
from islands.errors import IslandsWarning, StrategyError
from islands.market.tape import Tape
from islands.numerics import rough_market
from islands.strategies import gate
from islands.strategies.families import Family
from islands.strategies.gate import require_blind_on, trial_genomes

MODES = tuple("abcdefgh")


def define(step: Callable[..., Any], genes: tuple[Any, ...] = (), **more: Any) -> Family:
    return isl.define_family("tried", step=step, genes=genes, **{"warmup": 20, "doc": "a rule", **more})


def peek(bars: Any, t: int) -> float:
    """The next move, or what an author gets who forgets that it is unknown and thinks of the last bar alone."""
    return 1.0 if t + 1 < len(bars.close) and bars.close[t + 1] > bars.close[t] else 0.0


def honest(bars: Any, t: int) -> float:
    return 1.0 if t > 0 and bars.close[t] > bars.close[t - 1] else -1.0


def in_one_option(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if genes.mode == 5 and genes.direction == 1 else honest(bars, t)


def in_one_number(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if genes.n == 4 else honest(bars, t)


def after_bar_480(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, 0.0 if t < 480 else peek(bars, t)


def after_bar_480_and_busy_before(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, honest(bars, t) if t < 480 else peek(bars, t)


def after_n_bars(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, 0.0 if t < genes.n else peek(bars, t)


def at_low_prices(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if bars.close[t] < 2.0 else honest(bars, t)


def at_high_prices(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if bars.close[t] > 5_000.0 else 0.0


def at_high_volume(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if bars.volume[t] > 100_000.0 else 0.0


def at_low_volume(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if 0.0 < bars.volume[t] < 1.0 else honest(bars, t)


def by_the_ratio_of_two_later_bars(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    last = len(bars.close) - 1
    return state, 1.0 if bars.close[min(t + 2, last)] > bars.close[min(t + 1, last)] else -1.0


HOLES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "one option of eight, one direction": (in_one_option, (isl.choice("mode", MODES, "a"),), 20),
    "one of eight numbers": (in_one_number, (isl.Integer("n", 1, 8, 1),), 20),
    "past an undeclared warm-up": (after_bar_480, (), 20),
    "past an undeclared warm-up, busy before": (after_bar_480_and_busy_before, (), 20),
    "past a long warm-up": (after_n_bars, (isl.Integer("n", 5_000, 10_080, 6_000),), lambda genes: genes["n"]),
    "at low prices": (at_low_prices, (), 20),
    "at high prices": (at_high_prices, (), 20),
    "at high volume": (at_high_volume, (), 20),
    "at low volume": (at_low_volume, (), 20),
    "the ratio of two later bars": (by_the_ratio_of_two_later_bars, (), 20),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", thinned(HOLES, "at high prices"))
def test_a_step_that_seldom_peeks_is_refused(name: str) -> None:
    step, genes, warmup = HOLES[name]
    with pytest.raises(StrategyError, match=r"at bar \d+ of \d+ made-up ones.* its target is \S+, and \S+ with the bars after"):
        isl.family(define(step, genes, warmup=warmup))


def test_trials_have_every_option_in_each_direction() -> None:
    genes = (isl.choice("mode", MODES, "a"), isl.choice("side", ("x", "y", "z"), "x"), isl.Integer("n", 2, 5, 3))
    family = define(in_one_option, (*genes, isl.Integer("long", 1, 1_000, 5)))
    rows = trial_genomes(family)
    for column, options in ((0, range(8)), (1, range(3)), (2, range(2, 6))):
        assert {(row[column], row[-1]) for row in rows} >= {(float(o), float(side)) for o in options for side in range(3)}
    assert len(rows) == 6 + 8 * 3
    assert rows.tobytes() == trial_genomes(family).tobytes()


def silent(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, peek(bars, t) if bars.close[t] == 12345.678 else 0.0


@pytest.mark.slow
def test_a_rule_that_decides_nothing_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "is_remembered", lambda finding: False)  # by an earlier run of this test
    family = define(silent)
    with pytest.warns(IslandsWarning, match=r"tried decided the same on all of 50000 made-up bars"):
        isl.family(family)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        isl.family(define(silent))


def past_its_warmup(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, 0.0 if t < 15_000 else honest(bars, t)


def with_guards(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Every bar back to the first, never one later, and its state."""
    low = bars.low[t]
    for back in range(1, min(genes.n, t) + 1):
        low = min(low, bars.low[t - back])
    state = 0.9 * state + 0.1 * bars.close[t]
    return state, 1.0 if bars.close[t] > state and low > 0.97 * state else np.nan


@pytest.mark.parametrize(("step", "genes"), [(past_its_warmup, ()), (with_guards, (isl.Integer("n", 1, 30, 3),))])
def test_what_reads_no_later_bar_passes_without_a_word(step: Callable[..., Any], genes: tuple[Any, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        isl.family(define(step, genes))


# On real bars


def tape_of(bars: int = 3_000) -> Tape:
    market = rough_market(bars)
    return Tape(np.stack([np.arange(bars) * 1e6, market.open, market.high, market.low, market.close, market.volume]))


def at_one_price(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    """Made-up bars never have this: all are over 40 or under 2."""
    return state, peek(bars, t) if bars.open[t] == 7.0 else 0.0


def beyond_the_end_at_one_price(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, 1.0 if bars.open[t] == 7.0 and bars.close[t + 1] > bars.close[t] else 0.0


def by_count_at_one_price(genes: Any, state: Any, t: Any, bars: Any) -> Any:
    return state, 1.0 if bars.open[t] == 7.0 and len(bars.close) - t > 900 else 0.0


@pytest.mark.filterwarnings("ignore:.*decided the same")
@pytest.mark.parametrize("step", [at_one_price, beyond_the_end_at_one_price, by_count_at_one_price])
def test_real_bars_show_what_made_up_ones_do_not(step: Callable[..., Any]) -> None:
    family, tape = define(step), tape_of()
    names = ("timestamps", "open", "high", "low", "close", "volume")
    market = SimpleNamespace(**{name: getattr(tape, name).copy() for name in names})
    market.open[::3], market.funding_rate = 7.0, None
    isl.family(family)
    with pytest.raises(
        StrategyError, match=r"tried \(direction=both\): at bar \d+ of these 3000 its target is .* data end with"
    ):
        require_blind_on(family, market, family.samples(1))


@pytest.mark.slow
def test_what_is_blind_on_real_bars_passes() -> None:
    family = define(with_guards, (isl.Integer("n", 1, 30, 3),))
    require_blind_on(family, tape_of(), family.samples(3))
    require_blind_on(isl.family("sma_trend"), tape_of(), isl.family("sma_trend").samples(1))
    require_blind_on(define(past_its_warmup), tape_of(1), family.samples(1))


# Steps that never end, in processes of their own: nothing stops one but the end of its process

ENDLESS = """
import islands as isl
from islands.strategies import gate
from worlds import tiny, tiny_bars
gate.LIMIT_S = 10.0

def step(genes, state, t, bars):
    price = bars.close[t]
    while t == 300 and price > 0.0:
        price = bars.close[t] + 1.0 / price
    return state, 0.0

try:
    {act}
except isl.errors.StrategyError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            "isl.Strategy(isl.define_family('tried', genes=[], step=step, warmup=20, doc='a rule'))",
            r"family __main__:tried.* still computing after 10 s; a step must come to an end at every bar",
        ),
        (
            "isl.Campaign.create(tiny({'families': [{'name': 'failing_families:endless', 'genes': {'lag': 7}}]}), 'run', "
            "tiny_bars())",
            r"family failing_families:endless.* still computing after 10 s; a step must come to an end at every bar",
        ),
    ],
    ids=["of a trial", "of a campaign's founders"],
)
def test_a_step_that_never_ends_is_refused(act: str, words: str, tmp_path: Path) -> None:
    assert re.search(words, in_another_process(ENDLESS.format(act=act), cwd=tmp_path))
    assert not (tmp_path / "run").exists()
