"""Genes, search spaces and strategies: scaling is exact, repair is final, and what a rule can't bear is refused."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.overlays import OVERLAYS
from ledger import seeds

import islands as isl
from islands.errors import SpecError, StrategyError
from islands.strategies.genome import FINE, Choice, Gene, Integer, Less, LogReal, Real, Switched, choice, switched
from islands.strategies.overlays import OVERLAY_GENES, READ_BY, SWITCHES, live
from islands.strategies.space import Space

families = pytest.mark.parametrize("family", isl.families())


@st.composite
def integers(draw: st.DrawFn, lowest: int = 1) -> Integer:
    low = draw(st.integers(lowest, 200))
    high = low + draw(st.integers(0, 500))
    return Integer("n", low, high, low).bounded(low, high, draw(st.sampled_from([None, 1, 2, 3, 7])))


@st.composite
def reals(draw: st.DrawFn) -> Real:
    low = draw(st.floats(-100.0, 100.0, allow_subnormal=False)) + 0.0  # without -0.0
    width = draw(st.just(0.0) | st.floats(1e-6, 1e3))
    return Real("x", low, low + width, low, step=draw(st.sampled_from([0.0, 0.5, 0.1, 0.003, 7.0])))


@st.composite
def log_reals(draw: st.DrawFn) -> LogReal:
    low = draw(st.floats(1e-9, 1e6))
    return LogReal("y", low, low * draw(st.just(1.0) | st.floats(1.001, 1e9)), low)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    options = ("one", "two", "three", "four")
    allowed = draw(st.lists(st.sampled_from(options), min_size=1))
    return choice("c", options, "one").restricted(tuple(allowed))


@st.composite
def switches(draw: st.DrawFn) -> Gene:
    """A gene of positive values that may be off."""
    low = draw(st.floats(1e-6, 1.0))
    return switched(
        draw(
            integers()
            | st.just(LogReal("s", low, low * 30.0, low))
            | st.just(Real("s", low, low + 0.5, low, step=draw(st.sampled_from([0.0, 0.1]))))
        )
    )


any_gene = integers() | reals() | log_reals() | choices() | switches()


def lowest(gene: Gene) -> float:
    return 0.0 if isinstance(gene, Switched) else gene.low


def lattice(gene: Gene, generator: np.random.Generator) -> np.ndarray:
    """Points of a gene's lattice: both ends and some between."""
    return gene.at(np.concatenate(([0, gene.last], generator.integers(0, gene.last + 1, 20))).astype(float))


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """A family's search space within random bounds that leave at least one genome."""
    family = isl.family(draw(st.sampled_from(isl.families())))
    genes = []
    for gene in family.genes:
        if isinstance(gene, Choice):
            genes.append(gene.restricted(tuple(draw(st.lists(st.sampled_from(gene.options), min_size=1)))))
        elif isinstance(gene, Integer):
            low, width = draw(st.integers(int(gene.least), 80)), draw(st.integers(0, 300))
            genes.append(gene.bounded(low, min(low + width, gene.most), draw(st.sampled_from([None, 1, 3, 10]))))
        else:
            low, width = draw(st.integers(0, 40)), draw(st.integers(0, 60))
            scale = 1.0 if gene.most > 1.0 else 0.01
            genes.append(gene.bounded(low * scale, (low + width) * scale, draw(st.sampled_from([None, 0.0, 0.1, 0.5]))))
    for rule in family.constraints:  # where the bounds leave nothing, make room above
        names = [gene.name for gene in genes]
        small, large = genes[names.index(rule.small)], names.index(rule.large)
        if small.low + rule.gap > genes[large].at(np.asarray(genes[large].last)):
            room = min(genes[large].most, 100.0) / 100.0
            genes[large] = replace(genes[large], low=small.low + room, high=small.low + 50.0 * room)
    return Space(family, (*genes, *draw(overlays())))


@st.composite
def overlays(draw: st.DrawFn) -> list[Gene]:
    """Overlays as genes, some of which the search may switch off; parameters only where something may read them."""
    names = set(draw(st.lists(st.sampled_from([name for name in OVERLAYS if name not in READ_BY]), max_size=5)))
    names |= {name for name, readers in READ_BY.items() if names & set(readers)}
    genes = []
    for name in [name for name in OVERLAYS if name in names]:
        gene, fixed = OVERLAY_GENES[name], draw(st.booleans())
        bounded = gene.bounded(gene.default, gene.default) if fixed else gene
        genes.append(switched(bounded) if name in SWITCHES and draw(st.booleans()) else bounded)
    return genes


# One gene


@examples(300)
@given(any_gene, seeds)
def test_value_on_the_lattice_survives_scaling_and_back_to_the_last_bit(gene: Gene, seed: int) -> None:
    values = lattice(gene, np.random.default_rng(seed))
    scaled = gene.encode(values)
    assert ((scaled > 0.0) & (scaled < 1.0)).all()
    assert gene.decode(scaled).tobytes() == values.tobytes()
    assert gene.snap(values).tobytes() == values.tobytes()


@examples(300)
@given(any_gene, seeds)
def test_decoded_values_lie_within_the_bounds(gene: Gene, seed: int) -> None:
    units = np.concatenate(([0.0, 1.0, 1.0 - 2.0**-53], np.random.default_rng(seed).random(30)))
    values = gene.decode(units)
    slack = 1e-9 * (gene.high - gene.low)
    assert ((values >= lowest(gene)) & (values <= gene.high + slack)).all()
    assert gene.snap(values).tobytes() == values.tobytes()


@examples(200)
@given(any_gene, seeds)
def test_snap_brings_anything_onto_the_lattice_and_stays(gene: Gene, seed: int) -> None:
    values = np.random.default_rng(seed).normal(gene.low, 2.0 * (gene.high - gene.low) + 1.0, 30)
    snapped = gene.snap(values)
    assert gene.snap(snapped).tobytes() == snapped.tobytes()
    assert ((snapped >= lowest(gene)) & (snapped <= gene.high * (1 + 1e-9 * np.sign(gene.high)))).all()


def test_each_point_of_a_lattice_owns_an_equal_share() -> None:
    gene = Integer("n", 3, 6, 3)
    assert gene.decode(np.array([0.0, 0.249, 0.25, 0.5, 0.75, 0.999, 1.0])).tolist() == [3, 3, 4, 5, 6, 6, 6]
    assert gene.encode(np.array([3.0, 4.0, 5.0, 6.0])).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_lattice_ends_at_its_last_whole_step() -> None:
    gene = Integer("n", 2, 10, 2).bounded(2, 10, 3)
    assert gene.last == 2
    assert gene.snap(np.array([0.0, 4.0, 9.0, 99.0])).tolist() == [2.0, 5.0, 8.0, 8.0]


def test_decimal_steps_reach_the_upper_bound() -> None:
    gene = Real("x", 0.0, 0.3, 0.0, step=0.1)
    assert gene.last == 3


def test_continuous_gene_is_a_lattice_so_fine_that_decimals_survive() -> None:
    gene = Real("x", 0.0, 0.01, 0.0)
    assert gene.last == FINE
    assert gene.snap(np.array([0.00123]))[0] == pytest.approx(0.00123, rel=1e-12)


def test_above_and_below_are_the_neighbours_on_the_lattice() -> None:
    gene = Integer("n", 2, 20, 2).bounded(2, 20, 5)  # 2 7 12 17
    assert gene.above(np.array([1, 2, 2.5, 7, 16, 99])).tolist() == [2, 2, 7, 7, 17, 17]
    assert gene.below(np.array([1, 2, 6.9, 7, 16, 99])).tolist() == [2, 2, 2, 7, 12, 17]


def test_log_gene_searches_decades_evenly() -> None:
    gene = LogReal("y", 1e-4, 1e4, 1.0)
    assert gene.decode(np.array([0.25, 0.5, 0.75])) == pytest.approx([1e-2, 1.0, 1e2], rel=1e-5)
    assert gene.at(np.array([0.0, gene.last])) == pytest.approx([1e-4, 1e4], rel=1e-12)


def test_restricted_choice_uses_its_options_alone_and_keeps_their_numbers() -> None:
    gene = choice("direction", ("long", "short", "both"), "both").restricted(("both", "long"))
    assert gene.decode(np.linspace(0, 1, 5)).tolist() == [0.0, 0.0, 2.0, 2.0, 2.0]
    assert [gene.show(entry) for entry in (0.0, 1.0, 2.0)] == ["long", "short", "both"]
    assert gene.parse("short") == 1.0  # by hand, everything that exists


def test_a_switch_is_off_for_half_of_the_interval_and_a_value_that_is_on_stays_on() -> None:
    gene = switched(Integer("n", 3, 6, 3))
    assert gene.decode(np.array([0.0, 0.49, 0.5, 0.63, 0.9, 1.0])).tolist() == [0, 0, 3, 4, 6, 6]
    assert gene.encode(np.array([0.0, 3.0, 6.0])).tolist() == [0.25, 0.5625, 0.9375]
    assert gene.snap(np.array([0.0, -2.0, 0.001, 4.4, 99.0])).tolist() == [0, 0, 3, 4, 6]
    assert [gene.show(entry) for entry in (0.0, 5.0)] == ["off", 5]
    assert (gene.last, gene.parse(0.0), gene.parse(5)) == (4, 0.0, 5.0)


# A family's space


@examples(400)
@given(spaces(), seeds)
def test_founders_are_whole_genomes_that_scaling_and_repair_leave_alone(space: Space, seed: int) -> None:
    founders = space.founders(np.random.default_rng(seed), 20)
    assert founders.shape == (20, len(space.genes))
    assert space.decode(space.encode(founders)).tobytes() == founders.tobytes()
    assert space.repair(founders).tobytes() == founders.tobytes()


@examples(400)
@given(spaces(), seeds)
def test_repair_is_final_within_the_bounds_and_keeps_the_constraints(space: Space, seed: int) -> None:
    wild = np.random.default_rng(seed).normal(40.0, 120.0, (30, len(space.genes)))
    mended = space.repair(wild)
    assert space.repair(mended).tobytes() == mended.tobytes()
    for j, gene in enumerate(space.genes):
        slack = 1e-9 * (gene.high - gene.low)
        assert ((mended[:, j] >= lowest(gene)) & (mended[:, j] <= gene.high + slack)).all(), gene.name
        assert gene.snap(mended[:, j]).tobytes() == mended[:, j].tobytes()
    names = [gene.name for gene in space.genes]
    for rule in space.family.constraints:
        small, large = mended[:, names.index(rule.small)], mended[:, names.index(rule.large)]
        assert (small + rule.gap <= large + 1e-6).all(), str(rule)


@examples(100)
@given(spaces(), seeds)
def test_every_founder_is_a_strategy_with_the_same_genome(space: Space, seed: int) -> None:
    for genome in space.founders(np.random.default_rng(seed), 5):
        strategy = isl.Strategy.from_genome(space, genome)
        assert strategy.genome.tobytes() == genome[: len(space.family.genes)].tobytes()
        assert space.genome_of(strategy).tobytes() == genome.tobytes()
        assert strategy.warmup <= space.warmup
        again = isl.Strategy(strategy.family.name, **strategy.genes)
        assert again == strategy
        assert hash(pickle.loads(pickle.dumps(strategy))) == hash(strategy)


@examples(100)
@given(spaces(), seeds)
def test_rows_of_overlays_are_those_of_the_strategies(space: Space, seed: int) -> None:
    genomes = space.founders(np.random.default_rng(seed), 5)
    rows = space.overlay_rows(genomes)
    for i, genome in enumerate(genomes):
        own = isl.Strategy.from_genome(space, genome).overlays
        if own is None:
            assert rows is None or live(rows[i]) == []
        else:
            assert rows is not None
            said, meant = (dict(zip(OVERLAYS, row.tolist(), strict=True)) for row in (rows[i], own))
            assert live(rows[i]) == live(own)
            assert {name: said[name] for name in live(own)} == {name: meant[name] for name in live(own)}


def test_a_parameter_that_nothing_reads_is_no_second_trial() -> None:
    genes = (switched(OVERLAY_GENES["atr_trailing"]), OVERLAY_GENES["atr_period"])
    space = Space(isl.family("sma_trend"), (*isl.family("sma_trend").genes, *genes))
    off, on = [10.0, 50.0, 2.0, 0.0], [10.0, 50.0, 2.0, 3.0]
    mended = space.repair(np.array([[*off, 20.0], [*off, 30.0], [*on, 20.0], [*on, 30.0]]))
    assert mended[:, -1].tolist() == [14.0, 14.0, 20.0, 30.0]


def test_warmup_of_overlays_counts() -> None:
    family = isl.family("sma_trend")
    fast = (family.genes[0].bounded(2, 3), family.genes[1].bounded(10, 12), family.genes[2])
    with_overlay = {
        "nothing": ((), 12),
        "a stop": ((OVERLAY_GENES["stop_loss"],), 12),
        "multiples of an ATR": ((OVERLAY_GENES["atr_stop_loss"], OVERLAY_GENES["atr_period"].bounded(5, 30)), 241),
        "of the default ATR": ((switched(OVERLAY_GENES["atr_trailing"]),), 113),
        "a volatility": ((OVERLAY_GENES["target_volatility"],), 51),
    }
    for name, (genes, bars) in with_overlay.items():
        assert Space(family, (*fast, *genes)).warmup == bars, name
    assert isl.Strategy("sma_trend", fast=2, slow=12, atr_stop_loss=2.0, atr_period=30).warmup == 241
    assert isl.Strategy("sma_trend", fast=2, slow=12, stop_loss=0.02).warmup == 12


def test_repair_raises_the_larger_gene_and_lowers_the_smaller_one_only_where_it_must() -> None:
    space = isl.family("sma_trend").space()
    genomes = np.array([[60.0, 10.0, 2.0], [20.0, 20.0, 2.0], [20.0, 21.0, 0.0]])
    assert space.repair(genomes).tolist() == [[60.0, 61.0, 2.0], [20.0, 21.0, 2.0], [20.0, 21.0, 0.0]]
    tight = Space(space.family, (space.genes[0].bounded(2, 60), space.genes[1].bounded(10, 30), space.genes[2]))
    assert tight.repair(np.array([[60.0, 10.0, 1.0]])).tolist() == [[29.0, 30.0, 1.0]]


def chained(lows: list[int], highs: list[int], steps: list[int], gaps: list[float], rules: list[tuple[int, int]]) -> Space:
    """A space of whole genes a, b, c, ... under some rules between them."""
    names = "abcde"[: len(lows)]
    genes = [
        Integer(n, low, high, low).bounded(low, high, step)
        for n, low, high, step in zip(names, lows, highs, steps, strict=True)
    ]
    constraints = tuple(Less(names[i], names[j], gap) for (i, j), gap in zip(rules, gaps, strict=True))
    family = replace(isl.family("sma_trend"), name="chain", genes=tuple(genes), constraints=constraints, warmup=lambda g: 0)
    return Space(family, tuple(genes))


@st.composite
def chains(draw: st.DrawFn) -> Space:
    count = draw(st.integers(2, 5))
    lows = draw(st.lists(st.integers(1, 30), min_size=count, max_size=count))
    highs = [low + draw(st.integers(0, 30)) for low in lows]
    steps = draw(st.lists(st.sampled_from([1, 1, 2, 3, 7]), min_size=count, max_size=count))
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    rules = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=5, unique=True))
    gaps = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=len(rules), max_size=len(rules)))
    try:
        return chained(lows, highs, steps, gaps, rules)
    except SpecError as error:
        assert "widen" in str(error)
        return chained([1] * count, [60] * count, [1] * count, gaps, rules)


@examples(400)
@given(chains(), seeds)
def test_rules_that_share_genes_hold_together_after_repair(space: Space, seed: int) -> None:
    mended = space.founders(np.random.default_rng(seed), 30)
    assert space.repair(mended).tobytes() == mended.tobytes()
    names = [gene.name for gene in space.genes]
    for rule in space.family.constraints:
        assert not rule.broken(mended[:, names.index(rule.small)], mended[:, names.index(rule.large)]).any(), str(rule)


def test_rules_that_no_genome_keeps_together_are_refused() -> None:
    space = chained([1, 1, 1], [3, 3, 3], [1, 1, 1], [1.0, 1.0], [(0, 1), (1, 2)])
    assert space.repair(np.array([[3.0, 3.0, 3.0]])).tolist() == [[1.0, 2.0, 3.0]]
    with pytest.raises(SpecError, match="no genome within the bounds keeps a < b, b < c together; widen some"):
        chained([1, 1, 1], [2, 2, 2], [1, 1, 1], [1.0, 1.0], [(0, 1), (1, 2)])


def test_warmup_need_not_grow_with_every_gene() -> None:
    mode = choice("mode", ("slow", "quick"), "slow")
    skip, direction = Integer("skip", 1, 400, 1), isl.family("sma_trend").genes[-1]
    family = isl.family("sma_trend")
    for genes, warmup, bars in (
        ((mode, direction), lambda g: 500 if g["mode"] == 0 else 10, 500),
        ((skip, direction), lambda g: 500 - int(g["skip"]), 499),
    ):
        assert Space(replace(family, genes=genes, constraints=(), warmup=warmup), genes).warmup == bars
    between = {"slow": Integer("slow", 2, 40, 20), "fast": Integer("fast", 1, 40, 5)}
    genes = (between["fast"], between["slow"], direction)
    own = replace(family, genes=genes, warmup=lambda g: 100 // int(g["slow"] - g["fast"]))
    assert Space(own, genes).warmup == 100


def test_repair_leaves_equal_genes_alone_where_the_constraint_allows_them() -> None:
    space = isl.family("donchian_breakout").space()  # entry, exit <= entry
    genomes = np.array([[20.0, 20.0, 2.0], [20.0, 21.0, 2.0], [5.0, 120.0, 0.0]])
    assert space.repair(genomes).tolist() == [[20.0, 20.0, 2.0], [21.0, 21.0, 2.0], [120.0, 120.0, 0.0]]
    coarse = Space(space.family, (space.genes[0].bounded(5, 50, 15), *space.genes[1:]))  # 5 20 35 50
    assert coarse.repair(np.array([[20.0, 21.0, 2.0], [50.0, 60.0, 2.0]])).tolist() == [[35.0, 21.0, 2.0], [50.0, 50.0, 2.0]]


def test_constraint_tells_whether_it_is_strict() -> None:
    assert (str(Less("a", "b")), str(Less("a", "b", gap=0.0))) == ("a < b", "a <= b")
    strict, loose = ([Less("a", "b", gap).holds(1.0, b) for b in (0.5, 1.0, 1.5)] for gap in (1.0, 0.0))
    assert (strict, loose) == ([False, False, True], [False, True, True])


def test_founders_come_from_their_generator_alone() -> None:
    space = isl.family("ema_crossover").space()
    here, there = (space.founders(np.random.default_rng(5), 50) for _ in range(2))
    assert here.tobytes() == there.tobytes()
    assert here.tobytes() != space.founders(np.random.default_rng(6), 50).tobytes()
    assert len({row.tobytes() for row in here}) == 50


@families
def test_defaults_lie_in_the_default_space(family: str) -> None:
    space = isl.family(family).space()
    genome = isl.Strategy(family).genome
    assert space.repair(genome[None])[0] == pytest.approx(genome)


def test_warmup_of_a_space_is_that_of_its_slowest_genome() -> None:
    spaces_warmup = {name: isl.family(name).space().warmup for name in isl.families()}
    assert spaces_warmup == {
        "ema_crossover": 840,
        "sma_trend": 240,
        "rsi_mean_reversion": 321,
        "donchian_breakout": 241,
        "bollinger_reversion": 120,
        "momentum": 241,
        "bollinger_breakout": 120,
        "keltner_breakout": 641,
        "macd": 700,
        "stochastic": 129,
        "ichimoku": 360,
        "vwap_reversion": 240,
        "kernel_trend": 65,
        "zscore_reversion": 240,
        "volatility_breakout": 482,
        "funding_carry": 480,
    }


def test_space_without_a_genome_is_refused() -> None:
    family = isl.family("sma_trend")
    fast, slow, direction = family.genes
    with pytest.raises(SpecError, match=r"family sma_trend: no genome within the bounds keeps fast < slow: fast starts at 50"):
        Space(family, (fast.bounded(50, 60), slow.bounded(10, 50), direction))
    family = isl.family("donchian_breakout")
    entry, exit, direction = family.genes
    with pytest.raises(SpecError, match=r"keeps exit <= entry: exit starts at 51, entry ends at 50; widen one of them"):
        Space(family, (entry.bounded(10, 50), exit.bounded(51, 60), direction))
    touching = Space(family, (entry.bounded(10, 50), exit.bounded(50, 60), direction))
    assert touching.repair(np.array([[10.0, 60.0, 2.0]])).tolist() == [[50.0, 50.0, 2.0]]


# One strategy


def test_strategy_fills_in_defaults_in_the_order_of_its_genes() -> None:
    strategy = isl.Strategy("ema_crossover", slow=50)
    assert strategy.genes == {"fast": 12, "slow": 50, "band": 0.0, "direction": "both"}
    assert strategy.genome.tolist() == [12.0, 50.0, 0.0, 2.0]
    assert isl.Strategy("sma_trend").genes == {"fast": 10, "slow": 50, "direction": "both"}
    assert isl.Strategy("rsi_mean_reversion").genes == {"period": 14, "entry": 30.0, "exit": 50.0, "direction": "both"}
    assert isl.Strategy("donchian_breakout").genes == {"entry": 20, "exit": 10, "direction": "both"}
    assert isl.Strategy("bollinger_reversion").genes == {"period": 20, "width": 2.0, "direction": "both"}
    assert isl.Strategy("momentum").genes == {"lookback": 20, "band": 0.0, "direction": "both"}


def test_overlays_are_genes_of_a_strategy_where_they_are_on() -> None:
    strategy = isl.Strategy("sma_trend", fast=5, atr_trailing=3, target_volatility=np.float64(0.2), stop_loss=None)
    own = {"fast": 5, "slow": 50, "direction": "both"}
    on = {"atr_trailing": 3, "atr_period": 14, "target_volatility": 0.2, "volatility_bars": 50, "cap": 1.0}
    assert strategy.genes == own | on
    assert (strategy.stops, strategy.sizing) == (isl.Stops(atr_trailing=3), isl.Sizing(target_volatility=0.2))
    assert isl.Strategy("sma_trend", fraction=1.0) == isl.Strategy("sma_trend", stop_loss="off") == isl.Strategy("sma_trend")
    assert len({strategy, isl.Strategy("sma_trend", fast=5), isl.Strategy("sma_trend", fast=5, atr_trailing=4)}) == 3


def test_strategy_may_lie_outside_the_bounds_of_the_search() -> None:
    assert isl.Strategy("ema_crossover", fast=1, slow=5_000, band=0.5).genome.tolist() == [1.0, 5_000.0, 0.5, 2.0]


def test_equal_strategies_are_one_key() -> None:
    one, same = isl.Strategy("sma_trend", fast=5), isl.Strategy("sma_trend", slow=50, fast=5.0, direction="both")
    assert one == same
    assert len({one, same, isl.Strategy("sma_trend", fast=6), isl.Strategy("ema_crossover")}) == 3
    assert one != "sma_trend"
    assert isl.Strategy("ema_crossover", band=-0.0) == isl.Strategy("ema_crossover", band=0.0)


@families
def test_strategy_survives_pickle_and_its_own_text(family: str) -> None:
    strategy = isl.Strategy(family, direction="short")
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert eval(repr(strategy), {"Strategy": isl.Strategy}) == strategy
    assert strategy.to_dict() == {"family": family, "version": isl.family(family).version, "genes": strategy.genes}


def test_strategy_tells_its_genes() -> None:
    assert repr(isl.Strategy("ema_crossover")) == "Strategy('ema_crossover', fast=12, slow=26, band=0.0, direction='both')"


def test_strategy_is_immutable() -> None:
    strategy = isl.Strategy("sma_trend")
    with pytest.raises(AttributeError, match="a Strategy is immutable; make another one to change fast"):
        strategy.fast = 3
    with pytest.raises(ValueError, match="read-only"):
        strategy.genome[0] = 3.0


def test_numpy_numbers_are_numbers() -> None:
    assert isl.Strategy("sma_trend", fast=np.int64(5), slow=np.float64(9)) == isl.Strategy("sma_trend", fast=5, slow=9)


REFUSED = [
    ("ema", {}, r"no family 'ema'; known: ema_crossover, sma_trend, rsi_mean_reversion"),
    ("sma_trends", {}, r"no family 'sma_trends' \(did you mean 'sma_trend'\?\)"),
    ("sma_trend", {"fsat": 3}, r"family sma_trend has no gene 'fsat' \(did you mean 'fast'\?\); its genes are fast, slow"),
    ("sma_trend", {"fast": 0}, r"gene fast = 0: expected a number from 1 to "),
    ("sma_trend", {"fast": 2.5}, r"gene fast = 2\.5: expected a whole number"),
    ("sma_trend", {"fast": True}, r"gene fast = True: expected a number"),
    ("sma_trend", {"fast": "7"}, r"gene fast = '7': expected a number"),
    ("sma_trend", {"fast": None}, r"gene fast = None: expected a number"),
    ("sma_trend", {"slow": math.nan}, r"gene slow = nan: expected a number from 1 to "),
    ("sma_trend", {"slow": math.inf}, r"gene slow = inf: expected a number from 1 to "),
    ("sma_trend", {"slow": 1e19}, r"gene slow = 1e\+19: expected a number from 1 to "),
    ("sma_trend", {"fast": 50}, r"breaks fast < slow of family sma_trend: fast is 50, slow is 50"),
    ("ema_crossover", {"band": -0.01}, r"gene band = -0\.01: expected a number from 0 to 1"),
    ("ema_crossover", {"direction": "up"}, r"gene direction = 'up': expected one of long, short, both"),
    ("ema_crossover", {"direction": 2}, r"gene direction = 2: expected one of long, short, both"),
    ("rsi_mean_reversion", {"entry": 101}, r"gene entry = 101: expected a number from 0 to 100"),
    ("donchian_breakout", {"exit": 21}, r"breaks exit <= entry of family donchian_breakout: exit is 21, entry is 20"),
    ("donchian_breakout", {"exit": 0}, r"gene exit = 0: expected a number from 1 to "),
    ("bollinger_reversion", {"width": -0.1}, r"gene width = -0\.1: expected a number from 0 to 100"),
    ("momentum", {"band": -0.01}, r"gene band = -0\.01: expected a number from 0 to 1"),
    ("sma_trend", {"stop_los": 0.1}, r"no gene 'stop_los' \(did you mean 'stop_loss'\?\).*; overlays are stop_loss, "),
    ("sma_trend", {"stop_loss": -0.1}, r"stops: stop_loss = -0\.1: expected a fraction of the price above 0, or None"),
    ("sma_trend", {"cap": 1.5, "target_volatility": 0.2}, r"sizing: cap = 1\.5: expected a share of the equity in \(0, 1\]"),
    ("sma_trend", {"atr_period": 20}, r"overlay atr_period = 20: nothing reads it; it belongs to atr_stop_loss, atr_take"),
    ("sma_trend", {"cap": 0.5, "stop_loss": 0.1}, r"overlay cap = 0\.5: nothing reads it; it belongs to target_volatility"),
    ("rsi_mean_reversion", {"entry": 60}, r"breaks entry < exit of family rsi_mean_reversion: entry is 60, exit is 50"),
]


@pytest.mark.parametrize(("family", "genes", "message"), REFUSED)
def test_refusal_names_culprit_value_and_rule(family: str, genes: dict[str, object], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        isl.Strategy(family, **genes)


@pytest.mark.parametrize(
    ("gene", "bounds", "message"),
    [
        (Integer("n", 1, 9, 1), (5, 3), r"gene n: the lower bound 5 lies above the upper bound 3; swap them"),
        (Integer("n", 1, 9, 1), (0, 3), r"gene n = 0: expected a number from 1"),
        (Integer("n", 1, 9, 1), (1, 3, 0.5), r"gene n: step 0\.5: a whole gene takes a whole step of at least 1"),
        (LogReal("y", 1, 9, 1), (1, 3, 0.5), r"gene y: step 0\.5: a logarithmic gene takes no step; leave it out"),
        (LogReal("y", 1, 9, 1), (0, 3), r"gene y = 0: expected a number from"),
    ],
)
def test_bounds_that_make_no_search_are_refused(gene: Gene, bounds: tuple, message: str) -> None:
    with pytest.raises((SpecError, StrategyError), match=message):
        gene.bounded(*bounds)


def test_choice_without_an_option_is_refused() -> None:
    with pytest.raises(SpecError, match="gene c: no option is left; allow one of a, b"):
        choice("c", ("a", "b"), "a").restricted(())


def test_choice_with_a_default_that_is_no_option_is_refused() -> None:
    with pytest.raises(StrategyError, match="gene c: default 'x' is none of its options a, b"):
        choice("c", ("a", "b"), "x")
