"""Segments in the fitness, and walk-forward: test bars of champions that never saw them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from islands.kernels.metrics import METRICS
from worlds import tiny, tiny_bars, tiny_world

import islands as isl
from islands import openings
from islands.cross_validation import folds_of
from islands.errors import SpecError
from islands.evidence.findings import returns_of
from islands.evidence.verdict import Luck, Unseen, judge, shown_p
from islands.evolution.world import costs_of
from islands.instruments import world_of
from islands.market.bars import Bars
from islands.market.instants import instant_text
from islands.market.tape import Tape
from islands.spec import EvidenceSpec

SEGMENTS = {"splits.kind": "segments", "splits.parts": 3}
FORWARD = {"splits.kind": "walk_forward", "splits.parts": 3, "evolution.epochs": 2}


def _closed(spec: isl.CampaignSpec, tape: Tape, strategy: isl.Strategy, first: int) -> dict[str, float]:
    """The metrics of a run that is told to be flat from the open of its last bar on."""
    bars = Bars("b", tape)
    targets = np.array(strategy.positions(bars))
    targets[-2:] = 0.0
    return isl.backtest(bars, targets, costs_of(spec.costs), score_from=first).metrics


def test_a_genome_is_worth_what_its_segments_are_pooled() -> None:
    """Each segment is a run of its own that starts and ends flat, over indicators that ran over all bars before."""
    for rule, pool in (("mean", np.mean), ("median", np.median), ("minimum", np.min)):
        world = tiny_world({**SEGMENTS, "splits.rule": rule})
        whole = world.markets[0]
        first, bars = whole.terms.first, len(whole.tape)
        edges = [first + (bars - first) * part // 3 for part in range(4)]
        assert [(m.terms.first, len(m.tape)) for m in world.segments] == list(itertools.pairwise(edges))
        strategy = isl.Strategy("sma_trend", fast=5, slow=20)
        index = [space.family.name for space in world.spaces].index("sma_trend")
        genome = world.pad(world.spaces[index].genome_of(strategy)[None, :])
        scores = world.score(world.habitats[0].markets, np.array([index]), genome)
        each = [
            _closed(world.spec, whole.tape.head(last), strategy, begin)["sharpe"] for begin, last in itertools.pairwise(edges)
        ]
        assert scores[0, 0] == pytest.approx(pool(each), rel=1e-12)


def test_a_campaign_over_segments_ends_in_one_digest_and_its_value_is_theirs(make: Callable[..., isl.Campaign]) -> None:
    one, resumed = make(SEGMENTS), make(SEGMENTS)
    one.run("inline")
    resumed.run("inline", epochs=1)
    resumed.run("inline")
    assert one.digest() == resumed.digest() != make().digest()
    row = one.champion_records()[0]
    strategy = isl.Strategy(row["family"], **row["genes"])
    costs = costs_of(one.spec.costs)
    values = [_closed(one.spec, m.tape, strategy, m.terms.first)["sharpe"] for m in one.world.segments]
    assert row["value"] == pytest.approx(np.mean(values), rel=1e-12)
    whole = one.world.markets[0]
    expected = isl.backtest(Bars("b", whole.tape), strategy, costs, score_from=whole.terms.first).metrics["sharpe"]
    assert row["metrics"]["sharpe"] == expected


def test_instruments_are_pooled_over_their_segments() -> None:
    world = tiny_world({**SEGMENTS, "instruments": {"a": {}, "b": {}}})
    assert [market.name for market in world.segments] == ["a"] * 3 + ["b"] * 3
    tables = [np.full((1, len(METRICS)), float(value)) for value in (1, 2, 6, 10, 20, 60)]
    scores = world.aim.scores(tables, [market.name for market in world.segments])
    assert scores[0, 0] == (3 + 30) / 2


def test_islands_may_be_scored_on_different_segments() -> None:
    world = tiny_world({**SEGMENTS, "archipelago.islands": [{"segments": [3, 1]}, {"segments": [2]}, {}]})
    assert [[world.segments.index(market) for market in habitat.markets] for habitat in world.habitats] == [
        [0, 2],
        [1],
        [0, 1, 2],
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**SEGMENTS, "archipelago.islands": [{"segments": [0]}, {}]}, "from 1 to 3"),
        ({**SEGMENTS, "archipelago.islands": [{"segments": []}, {}]}, "from 1 to 3"),
        ({"archipelago.islands": [{"segments": [1]}, {}]}, "set splits.kind = 'segments'"),
        ({**SEGMENTS, "archipelago.islands": [{"segments": [1], "train": [0.0, 0.5]}, {}]}, "leave one of them out"),
    ],
)
def test_segments_of_an_island_that_are_none_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        tiny_world(changes)


def test_an_island_of_its_own_part_has_no_segments() -> None:
    world = tiny_world({**SEGMENTS, "archipelago.islands": [{"train": [0.0, 0.5]}, {}]})
    assert [len(habitat.markets) for habitat in world.habitats] == [1, 3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"splits.parts": 3}, "splits"),
        ({"splits.kind": "walk_forward", "splits.rule": "median"}, "rule belongs to kind = 'segments'"),
        ({"splits.kind": "segments", "splits.train": 0.4}, "train belongs to kind = 'walk_forward'"),
        ({"splits.kind": "segments", "splits.rule": "worst"}, "splits.rule = 'worst'"),
    ],
)
def test_keys_that_do_nothing_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        tiny_world(changes)


def test_folds_train_on_what_lies_before_their_test_and_tests_follow_each_other() -> None:
    world = tiny_world(FORWARD)
    seen, stamps = len(world.markets[0].tape), world.markets[0].tape.timestamps
    folds = folds_of(world)
    spans = [fold.tests[group] for group, fold in enumerate(folds)]
    assert [fold.number for fold in folds] == [1, 2, 3]
    assert spans[0][0] == stamps[round(seen * 0.5)] and spans[-1][1] == stamps[-1] + 1
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    assert all(fold.bars["bars"].timestamps[-1] < span[1] for fold, span in zip(folds, spans, strict=True))
    assert {int(fold.bars["bars"].timestamps[0]) for fold in folds} == {int(stamps[0])}
    rolling = folds_of(tiny_world({**FORWARD, "splits.anchored": False}))
    trained = [int(np.searchsorted(fold.bars["bars"].timestamps, span[0])) for fold, span in zip(rolling, spans, strict=True)]
    assert set(trained) == {round(seen * 0.5)}


COMBINED = {"splits.kind": "combinatorial", "splits.parts": 4, "splits.tests": 2, "splits.embargo": 5, "evolution.epochs": 1}
SHORT = [{"name": "sma_trend", "genes": {"fast": [2, 5], "slow": [6, 20]}}]


def test_combined_folds_train_where_no_indicator_still_looks_at_a_test() -> None:
    world = tiny_world({**COMBINED, "families": SHORT})
    stamps = world.markets[0].tape.timestamps
    folds = folds_of(world)
    assert [tuple(fold.tests) for fold in folds] == list(itertools.combinations(range(4), 2))
    for fold in folds:
        inner = world_of(fold.spec, fold.bars)
        assert len(inner.markets[0].tape) == len(stamps)
        tested = np.zeros(len(stamps), dtype=bool)
        for begin, end in fold.tests.values():
            tested[np.searchsorted(stamps, begin) : np.searchsorted(stamps, end)] = True
        for market in inner.habitats[0].markets:
            begin = int(np.searchsorted(stamps, market.tape.timestamps[0]))
            assert not tested[begin : begin + len(market.tape)].any()
            before = np.flatnonzero(tested[:begin])
            assert market.terms.first == world.warmup and (not before.size or begin - before[-1] - 1 >= 5)


@pytest.mark.slow
def test_each_combined_fold_is_evolved_without_its_tests_and_paths_go_through_all(make: Callable[..., isl.Campaign]) -> None:
    changes = {**COMBINED, "families": SHORT}
    campaign = make(changes)
    assert campaign.run("inline").finished
    frame, paths = campaign.out_of_sample(), campaign.out_of_sample_paths()
    assert len(frame) == 12 and frame["part"].value_counts()["count"].to_list() == [3] * 4
    assert len(paths) == 3
    plan = folds_of(campaign.world)
    for number in (1, 4):
        fold, part = plan[number - 1], campaign.folds()[number - 1]
        record = part.champion_records()[0]
        strategy = isl.Strategy(record["family"], **record["genes"])
        for group, (begin, end) in fold.tests.items():
            first, stop = np.searchsorted(part.bars.timestamps, [begin, end])
            cut = Bars("b", part.bars.tape.head(int(stop)))
            run = isl.backtest(cut, strategy, costs_of(part.spec.costs), score_from=int(first), closes=True)
            row = frame.filter((frame["fold"] == number) & (frame["part"] == group + 1)).row(0, named=True)
            assert row["total_return"] == pytest.approx(run.metrics["total_return"], rel=1e-9)
    block = np.array(campaign.bars.tape.block)
    begin, end = (int(np.searchsorted(block[0], at)) for at in plan[0].tests[1])
    block[1:5, begin + 60 : end] *= np.exp(np.random.default_rng(1).normal(0.0, 0.003, end - begin - 60))
    block[2], block[3] = block[1:5].max(axis=0), block[1:5].min(axis=0)
    other = make(changes, Bars("other", type(campaign.bars.tape)(block)))
    other.run("inline")
    same = [a.digest() == b.digest() for a, b in zip(campaign.folds(), other.folds(), strict=True)]
    assert same == [1 in fold.tests for fold in plan]


def test_islands_of_combined_folds_have_no_part_of_their_own() -> None:
    """A share of all bars would hold bars that a fold tests."""
    words = r"^archipelago.islands\[1\]: train = \[0.0, 0.5\]: with splits.kind = 'combinatorial' .* leave train out"
    with pytest.raises(SpecError, match=words):
        tiny({**COMBINED, "families": SHORT, "archipelago.islands": [{}, {"train": [0.0, 0.5]}]})


@pytest.mark.slow
def test_an_island_of_its_own_part_walks_forward_on_the_training_bars_alone(make: Callable[..., isl.Campaign]) -> None:
    changes = {**FORWARD, "evolution.epochs": 1, "archipelago.islands": [{"train": [0.0, 0.5]}, {"train": [0.5, 1.0]}, {}]}
    campaign = make(changes)
    campaign.run("inline")
    other = make(changes, changed_after(tiny_bars(), round(len(campaign.world.markets[0].tape) * 0.5)))
    other.run("inline")
    assert campaign.digest() != other.digest() and campaign.folds()[0].digest() == other.folds()[0].digest()
    for fold, part in zip(folds_of(campaign.world), campaign.folds(), strict=True):
        trained = len(part.world.markets[0].tape)
        ends = [(market.terms.first, len(market.tape)) for habitat in part.world.habitats for market in habitat.markets]
        half = round(trained * 0.5)
        assert ends == [(part.world.warmup, half), (half, trained), (part.world.warmup, trained)]
        assert part.world.markets[0].tape.timestamps[-1] < min(begin for begin, _ in fold.tests.values())


def test_purging_that_eats_too_much_is_refused_with_the_numbers(tmp_path: Path) -> None:
    spec = tiny({**COMBINED, "families": SHORT, "splits.parts": 12, "splits.embargo": 250})
    with pytest.raises(SpecError, match=r"eat \d+ of the \d+ bars .* more than 30%"):
        isl.Campaign.create(spec, tmp_path / "run", tiny_bars())


SLOW = [{"name": "sma_trend", "genes": {"fast": [2, 5], "slow": [6, 540]}}]
EARLY = [["2020-01-01", "2020-01-24"], ["2020-02-01", "2020-02-10"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {**FORWARD, "splits.anchored": False},
            "where part 1 of 3 is tested, warm-ups of 540 bars eat 540 of the 600 bars that",
        ),
        (FORWARD, "where part 1 of 3 is tested, warm-ups of 540 bars eat 540 of the 600 bars that are left to train on"),
        (SEGMENTS, "warm-ups of 540 bars eat 540 of the 1200 bars that are left to train on"),
        ({"splits.kind": "segments", "splits.windows": EARLY}, "warm-ups of 540 bars eat 540 of the 768 bars that are left"),
        ({"splits.kind": "segments", "splits.windows": EARLY[1:]}, None),
        (
            {"splits.kind": "combinatorial", "splits.tests": 1},
            "where groups 1 of 4 are tested, warm-ups of 540 bars and embargoes",
        ),
    ],
)
def test_warm_ups_that_eat_too_much_are_refused_with_the_numbers(
    changes: dict[str, object], words: str | None, make: Callable[..., isl.Campaign]
) -> None:
    """When the campaign is made; windows behind the warm-up lose nothing to it."""
    if words is None:
        make({**changes, "families": SLOW})
        return
    with pytest.raises(SpecError, match=f"splits: {words}.* more than 30%"):
        make({**changes, "families": SLOW})


def test_thirty_per_cent_is_not_too_much_and_a_bar_more_is() -> None:
    exact = [{"name": "sma_trend", "genes": {"fast": [2, 5], "slow": [6, 360]}}]
    assert tiny_world({**SEGMENTS, "families": exact}).warmup == 360
    with pytest.raises(SpecError, match="eat 361 of the 1200 bars"):
        tiny_world({**SEGMENTS, "families": [{"name": "sma_trend", "genes": {"fast": [2, 5], "slow": [6, 361]}}]})


@pytest.mark.parametrize("coarse", ["a", "b"])
def test_the_purge_is_as_long_as_the_coarsest_instrument_needs(coarse: str) -> None:
    """20 days' bars take longer than 20 hours', and no instrument may look back at a test, whichever comes first."""
    hours = isl.synthetic("planted", bars=6_000, seed=3, edge=0.2)
    days = Bars.from_polars(isl.synthetic("planted", bars=6_000, seed=4, edge=0.2).to_polars()[::24], name="days")
    bars = {name: days if name == coarse else hours for name in ("a", "b")}
    changes = {**COMBINED, "families": SHORT, "splits.tests": 1, "splits.embargo": 3, "splits.parts": 3}
    folds = folds_of(world_of(tiny({**changes, "instruments": {"a": {}, "b": {}}}), bars))
    behind = []
    for fold in folds:
        inner = world_of(fold.spec, fold.bars)
        for market in inner.segments:
            stamps, seen = fold.bars[market.name].timestamps, market.tape.timestamps
            for begin, end in fold.tests.values():
                assert not ((seen >= begin) & (seen < end)).any() and market.terms.first == inner.warmup
                if seen[0] >= end:
                    behind.append(np.searchsorted(stamps, seen[0]) - np.searchsorted(stamps, end))
    assert min(behind) >= 3 and len(behind) == 4
    slow = [{"name": "sma_trend", "genes": {"fast": [2, 5], "slow": [6, 45]}}]
    with pytest.raises(SpecError, match=r"embargoes of 3 eat \d+ of the \d+ bars of [ab] that are left"):
        folds_of(world_of(tiny({**changes, "families": slow, "instruments": {"a": {}, "b": {}}}), bars))


def test_declared_windows_are_segments() -> None:
    stamps = tiny_bars().timestamps
    days = [str(stamps[row].astype("datetime64[us]")) for row in (200, 500, 700, 1_000)]
    world = tiny_world({"splits.kind": "segments", "splits.windows": [days[:2], days[2:]]})
    assert [(m.terms.first, len(m.tape)) for m in world.segments] == [(200, 500), (700, 1_000)]
    with pytest.raises(SpecError, match=r"splits.windows: .* holds 0 bars"):
        tiny_world({"splits.kind": "segments", "splits.windows": [["1999-01-01", "2000-01-01"]]})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["walk_forward", "combinatorial"])
def test_a_test_part_ends_flat_at_its_costs(kind: str, make: Callable[..., isl.Campaign]) -> None:
    """A champion that holds to the end pays to get out: its run is that of one told to be flat from the last open on."""
    long = [{"name": "sma_trend", "genes": {"fast": [2, 5], "slow": [6, 20], "direction": "long"}}]
    splits = FORWARD if kind == "walk_forward" else COMBINED
    changes = {**splits, "families": long, "evolution.epochs": 1, "costs": {"fee": 0.01, "slippage": 0.0}}
    campaign = make({**changes, "champions": 1, "evolution.population": 6})
    campaign.run("inline")
    frame, held = campaign.out_of_sample(), 0
    for fold, part in zip(folds_of(campaign.world), campaign.folds(), strict=True):
        (record,) = part.champion_records()
        strategy = isl.Strategy(record["family"], **record["genes"])
        for group, (begin, end) in fold.tests.items():
            first, stop = (int(row) for row in np.searchsorted(part.bars.timestamps, [begin, end]))
            tape = part.bars.tape.head(stop)
            open_end = isl.backtest(Bars("b", tape), strategy, costs_of(part.spec.costs), score_from=first)
            row = frame.filter((frame["fold"] == fold.number) & (frame["part"] == group + 1)).row(0, named=True)
            expected = _closed(part.spec, tape, strategy, first)["total_return"]
            assert row["total_return"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
            if open_end.units[-2:].all():
                held += 1
                assert row["total_return"] < open_end.metrics["total_return"] - 0.005
    assert held


def changed_after(bars: Bars, bar: int) -> Bars:
    block = np.array(bars.tape.block)
    block[1:5, bar:] = block[1:5, bar:][:, ::-1] * 1.01
    return Bars(bars.name, type(bars.tape)(block))


@pytest.mark.slow
def test_each_fold_is_evolved_on_its_training_bars_alone(make: Callable[..., isl.Campaign]) -> None:
    """Other test bars, and other bars behind them: the fold finds the same champions, and is tested otherwise."""
    campaign = make(FORWARD)
    assert campaign.run("inline").finished
    frame = campaign.out_of_sample()
    assert frame["fold"].to_list() == [1, 2, 3]
    cut = round(len(campaign.world.markets[0].tape) * 0.5)
    other = make(FORWARD, changed_after(tiny_bars(), cut))
    other.run("inline")
    first, same = campaign.folds()[0], other.folds()[0]
    assert first.digest() == same.digest()
    assert [r["genes"] for r in first.champion_records()] == [r["genes"] for r in same.champion_records()]
    assert frame["sharpe"][0] != other.out_of_sample()["sharpe"][0]
    assert campaign.folds()[1].digest() != other.folds()[1].digest()
    for fold, row in zip(campaign.folds(), frame.rows(named=True), strict=True):
        record = fold.champion_records()[0]
        strategy = isl.Strategy(record["family"], **record["genes"])
        test = len(fold.world.markets[0].tape)
        run = isl.backtest(fold.bars, strategy, costs_of(fold.spec.costs), score_from=test, closes=True)
        assert row["sharpe"] == run.metrics["sharpe"]
        assert int(fold.bars.timestamps[test]) == row["from"].timestamp() * 1e6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["donchian_breakout", "zscore_reversion", "momentum"])
def test_a_combined_fold_remembers_nothing_of_its_test_bars(name: str, make: Callable[..., isl.Campaign]) -> None:
    """Families that hold a position until something ends it: one that was entered on test bars is not in the training."""
    genes = {
        "donchian_breakout": {"entry": [5, 20], "exit": [3, 10]},
        "zscore_reversion": {"period": [5, 20]},
        "momentum": {"lookback": [2, 20]},
    }[name]
    changes = {
        **COMBINED,
        "splits.parts": 3,
        "splits.tests": 1,
        "splits.embargo": 0,
        "families": [{"name": name, "genes": genes}],
    }
    campaign = make(changes)
    begin, end = (int(np.searchsorted(campaign.bars.timestamps, at)) for at in folds_of(campaign.world)[0].tests[0])
    block = np.array(campaign.bars.tape.block)
    block[1:5, begin:end] = block[1:5, begin:end][:, ::-1]
    other = make(changes, Bars("other", type(campaign.bars.tape)(block)))
    for each in (campaign, other):
        each.run("inline")
    here, there = campaign.folds()[0], other.folds()[0]
    assert here.digest() == there.digest()
    assert [row["genes"] for row in here.champion_records()] == [row["genes"] for row in there.champion_records()]
    assert campaign.digest() != other.digest() and campaign.folds()[1].digest() != other.folds()[1].digest()


def test_nobody_who_may_have_been_found_on_the_tests_is_among_the_founders_of_a_fold() -> None:
    known = [{"family": "sma_trend", "fast": 3, "slow": 9, "direction": "long"}]
    for changes in (COMBINED, FORWARD):
        world = tiny_world({**changes, "families": SHORT, "initial": known})
        assert world.initial and all(not world_of(fold.spec, fold.bars).initial for fold in folds_of(world))


def test_parts_that_lie_before_another_instruments_warm_up_are_refused_with_the_numbers() -> None:
    early = isl.synthetic("planted", bars=2_000, seed=3, edge=0.2)
    late = Bars.from_polars(isl.synthetic("planted", bars=4_000, seed=4, edge=0.2).to_polars()[1_990:], name="late")
    spec = tiny({**COMBINED, "bars.held_back": 0.0, "families": SHORT, "instruments": {"a": {}, "b": {}}})
    with pytest.raises(
        SpecError, match=r"splits.parts = 4: a has 0 bars from .* on, where the warm-ups of all instruments are over"
    ):
        folds_of(world_of(spec, {"a": early, "b": late}))


def test_windows_that_begin_anew_see_their_warm_up_and_themselves_alone() -> None:
    stamps = tiny_bars().timestamps
    windows = [[instant_text(int(stamps[at])).removesuffix(" UTC") for at in span] for span in ((100, 400), (500, 800))]
    changes = {"splits.kind": "segments", "splits.windows": windows, "families": SHORT}
    whole, anew = tiny_world(changes), tiny_world({**changes, "splits.anew": True})
    for (one,), (other,), (first, last) in zip(whole.stretches, anew.stretches, ((100, 400), (500, 800)), strict=True):
        assert (one.terms.first, len(one.tape)) == (first, last)
        assert (other.terms.first, len(other.tape)) == (anew.warmup, last - first + anew.warmup)
        assert other.tape.timestamps[other.terms.first] == one.tape.timestamps[one.terms.first]
    with pytest.raises(SpecError, match="anew belongs to windows"):
        tiny({"splits.kind": "segments", "splits.anew": True})


def test_a_window_that_reaches_into_what_is_held_back_is_refused(make: Callable[..., isl.Campaign]) -> None:
    stamps = tiny_bars().timestamps
    window = [instant_text(int(stamps[at])).removesuffix(" UTC") for at in (100, 1_300)]
    with pytest.raises(SpecError, match=r"reaches into the bars of .* that are held back, from .* on; let it end there"):
        make({"splits.kind": "segments", "splits.windows": [window], "families": SHORT})


@pytest.mark.slow
def test_walking_forward_leaves_the_campaign_its_digest_and_the_holdout_sealed(make: Callable[..., isl.Campaign]) -> None:
    plain, campaign = make({"evolution.epochs": 2}), make(FORWARD)
    plain.run("inline")
    campaign.run("inline")
    assert plain.digest() == campaign.digest()
    held = len(campaign.world.markets[0].tape)
    assert max(int(fold.bars.timestamps[-1]) for fold in campaign.folds()) < int(campaign.bars.timestamps[held])
    assert campaign.verify() == []
    path = campaign.folds()[1].path / "manifest"
    path.write_bytes(path.read_bytes()[:-1])
    assert any("folds" in problem for problem in campaign.verify())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["walk_forward", "combinatorial"])
def test_a_fold_is_judged_by_its_own_search_and_its_test_bars_alone(make: Callable[..., isl.Campaign], kind: str) -> None:
    changes = {"champions": 2, "evolution.population": 8}
    earlier = make({"families": SHORT, "evolution.epochs": 1})
    earlier.run("inline")
    campaign = make({**(FORWARD if kind == "walk_forward" else {**COMBINED, "families": SHORT}), **changes})
    campaign.run("inline")
    booked = openings.booked()
    verdicts, plan = campaign.fold_verdicts(), folds_of(campaign.world)
    assert len(verdicts) == len(plan) > 1
    number = len(plan) - 1  # one in which two groups lie apart, of the combinatorial
    part, champions = campaign.folds()[number], campaign.folds()[number].champion_records()
    assert len(verdicts[number]) == len(champions) > 0
    ps = []
    for record, verdict in zip(champions, verdicts[number], strict=True):
        claims = {claim.name: claim for claim in verdict.claims}
        tried, before = part.tried().defined, earlier.tried().defined
        said = f"{tried:,} strategies were tried and {before:,} by other campaigns on these bars,"
        assert claims["deflated"].sentence.startswith(said)
        earned = []
        for begin, end in plan[number].tests.values():
            first, stop = np.searchsorted(part.bars.timestamps, [begin, end])
            cut = Bars("b", part.bars.tape.head(int(stop)))
            strategy = isl.Strategy(record["family"], **record["genes"])
            run = isl.backtest(cut, strategy, costs_of(part.spec.costs), score_from=int(first), closes=True)
            earned.append(run.returns[first:])
        whole = np.concatenate(earned)
        skew = float(np.mean((whole - whole.mean()) ** 3) / whole.std() ** 3)
        kurtosis = float(np.mean((whole - whole.mean()) ** 4) / whole.std() ** 4)
        sharpe = float(whole.mean() / whole.std(ddof=1))
        ps.append(1.0 - isl.statistics.probabilistic_sharpe(sharpe, 0.0, len(whole), skew, kurtosis))
        assert f"p = {shown_p(ps[-1])}, and with" in claims["held back"].sentence
        assert f"of {len(plan)} in all" in claims["held back"].sentence and "not sealed" in claims["held back"].sentence
    smallest = verdicts[number][int(np.argmin(ps))].claims[1].sentence
    assert f"and with {shown_p(min(1.0, min(ps) * len(ps) * len(plan)))} as" in smallest
    assert openings.booked() == booked and campaign.verify() == []
    make({"families": SHORT, "evolution.epochs": 1, "seed": 9}).run("inline")
    assert campaign.fold_verdicts() == verdicts, "what is tried later changes nothing"
    page = campaign.report().read_text()
    assert f"fold {number + 1}, {champions[0]['family']}" in page and "is the most that it can earn" in page


@pytest.mark.slow
def test_a_combined_fold_is_judged_on_its_training_bars_alone(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other test bars change neither whom a fold chooses, nor their figures, nor the luck that they are held against."""
    changes = {**COMBINED, "families": SHORT, "champions": 3, "splits.tests": 1}
    campaign = make(changes)
    campaign.run("inline")
    plan, tested = folds_of(campaign.world), 1
    block = np.array(campaign.bars.tape.block)
    begin, end = (int(np.searchsorted(block[0], at)) for at in plan[tested].tests[tested])
    block[1:5, begin + 60 : end] *= np.exp(0.4 * np.sin(np.linspace(0.0, np.pi, end - begin - 60)))
    block[2], block[3] = block[1:5].max(axis=0), block[1:5].min(axis=0)
    other = make(changes, Bars("other", type(campaign.bars.tape)(block)))
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "another-user.jsonl"))  # else one's trials count against the other
    other.run("inline")
    same = []
    for here, there, mine, theirs in zip(
        campaign.folds(), other.folds(), campaign.fold_verdicts(), other.fold_verdicts(), strict=True
    ):
        told = [[verdict.claims[0].sentence for verdict in verdicts] for verdicts in (mine, theirs)]
        found = [[{**row, "held_back": None} for row in part.champion_records()] for part in (here, there)]
        assert told[0] and len(told[0]) == len(found[0])
        same.append((told[0] == told[1], found[0] == found[1]))
    assert same == [(number == tested, number == tested) for number in range(len(plan))]
    assert campaign.out_of_sample()["total_return"][tested] != other.out_of_sample()["total_return"][tested]


def test_declared_windows_are_what_is_judged() -> None:
    """One after another, each from flat to flat, figures as their means: the returns of none of the bars between."""
    stamps = tiny_bars().timestamps
    days = [str(stamps[row].astype("datetime64[us]")) for row in (200, 500, 700, 1_000)]
    windows = {"splits.kind": "segments", "splits.windows": [days[2:], days[:2]]}
    world, strategy = tiny_world(windows), isl.Strategy("sma_trend", fast=5, slow=20)
    runs = [
        isl.backtest(
            Bars("b", tiny_bars().tape.head(last)), strategy, costs_of(world.spec.costs), score_from=first, closes=True
        )
        for first, last in ((700, 1_000), (200, 500))
    ]
    found = returns_of(world, strategy)
    np.testing.assert_array_equal(found, np.concatenate([runs[0].returns[700:], runs[1].returns[200:]]))
    both = tiny_world({**windows, "instruments": {"a": {}, "b": {}}})
    assert [[market.name for market in stretch] for stretch in both.stretches] == [["a", "b"]] * 2
    spans = [[instant_text(int(m.tape.timestamps[m.terms.first])) for m in stretch] for stretch in both.stretches]
    assert spans[0][0] > spans[1][0]
    with pytest.raises(SpecError, match=r"splits.windows = .* two of them hold the bar of 2020-01-2.*count twice"):
        tiny_world({"splits.kind": "segments", "splits.windows": [[days[0], days[2]], [days[1], days[3]]]})


def test_what_is_not_sealed_is_weak_at_most() -> None:
    luck = Luck(100, 0, 50.0, 3.0, 1.0, 0.999, 0.999)
    tested = Unseen(3.0, 1e-6, 1e-4, 1e-6, 1e-4, 0.5, 2, None, False, folds=4)
    nulls = {"zero": 0.01, "real": 0.01}
    assert judge(luck, tested, nulls, EvidenceSpec()).word == "weak"
    sealed = dataclasses.replace(tested, folds=None, openings=1)
    assert judge(luck, sealed, nulls, EvidenceSpec()).word == "evidence"
    assert judge(luck, dataclasses.replace(tested, p_adjusted=0.2), nulls, EvidenceSpec()).word == "no evidence"


@pytest.mark.slow
def test_a_walk_forward_that_was_stopped_goes_on(make: Callable[..., isl.Campaign]) -> None:
    whole, stopped = make(FORWARD), make(FORWARD)
    whole.run("inline")
    report = stopped.run("inline", epochs=2)
    assert not report.finished and "still to be finished" in report.notes[-1]
    assert stopped.fold_verdicts() == [[], [], []] and len(stopped.out_of_sample()) == 0 and stopped.out_of_sample_paths() == []
    assert stopped.run("inline").finished
    assert stopped.out_of_sample().equals(whole.out_of_sample())
    (figures,) = stopped.out_of_sample_paths()
    np.testing.assert_equal([figures], whole.out_of_sample_paths())
    growth = np.prod(1.0 + whole.out_of_sample()["total_return"].to_numpy())
    assert figures["total_return"] == pytest.approx(growth - 1.0)


def test_parts_that_leave_nothing_to_train_on_are_refused_with_the_numbers(tmp_path: Path) -> None:
    spec = tiny({**FORWARD, "splits.train": 0.05, "splits.parts": 3})
    with pytest.raises(SpecError, match=r"test part 1 .* warm up"):
        isl.Campaign.create(spec, tmp_path / "run", tiny_bars())
