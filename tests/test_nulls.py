"""The whole search repeated where there is nothing to find: same bits wherever, kept, and counted as the rule says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from worlds import tiny, tiny_bars, tiny_world

import islands as isl
from islands import nulls
from islands.archipelago import forking
from islands.archipelago.tally import tally
from islands.errors import CorruptCampaign, InputError, SpecError
from islands.evidence.surrogates import DIAGNOSTICS, sign_flipped
from islands.nulls import LEAST_RUNS, MOST_LUCKY, Job, Lucky, compute, p_of
from islands.runtime.lockstep import evolve


def lucky(values: Sequence[float]) -> list[Lucky]:
    return [Lucky("zero", run, value, 1, 0.0) for run, value in enumerate(values, 1)]


@pytest.mark.parametrize("last", [LEAST_RUNS, 250])
def test_whoever_asks_for_more_runs_until_he_likes_p_passes_by_luck_no_more_often(last: int) -> None:
    """Exact: where luck alone is at work each run is as good with the chance (k + 1)/(n + 2) after k of n."""

    def p_after(k: int, n: int, early: int) -> float | None:
        """early: how many of the first LEAST_RUNS were as good."""
        first = min(n, LEAST_RUNS)
        later = [0.0] * (n - first - k + early) + [1.0] * (k - early)
        return p_of(lucky([0.0] * (first - early) + [1.0] * early + later), 1.0, 1.0)

    alive, passed = {(0, 0): 1.0}, 0.0
    for n in range(1, last + 1):
        after: dict[tuple[int, int], float] = {}
        for (k, early), weight in alive.items():
            again = weight * (k + 1) / (n + 1)
            for count, part in ((k + 1, again), (k, weight - again)):
                state = (count, count if n <= LEAST_RUNS else early)
                after[state] = after.get(state, 0.0) + part
        ps = {(k, e): p_after(k, n, e) if k == MOST_LUCKY or n >= LEAST_RUNS else None for k, e in after}
        passed += sum(after[state] for state, p in ps.items() if p is not None and p <= 0.05)
        alive = {state: w for state, w in after.items() if state[0] < MOST_LUCKY and (ps[state] is None or ps[state] > 0.05)}
    assert passed == pytest.approx(0.05, abs=5e-5)


def test_p_is_the_share_of_runs_as_good_or_better() -> None:
    assert p_of(lucky([0.0] * 99), 1.0, 1.0) == 0.01
    assert p_of(lucky([2.0] * 4 + [0.0] * 95), 1.0, 1.0) == 0.05
    assert p_of(lucky([1.0] + [0.0] * 98), 1.0, 1.0) == 0.02
    assert p_of(lucky([-2.0] * 4 + [0.0] * 95), -1.0, -1.0) == 0.05
    assert p_of(lucky([float("nan")] * 99), 1.0, 1.0) == 0.01


def test_runs_beyond_those_that_were_fixed_change_no_p() -> None:
    runs = lucky([1.0] * 5 + [0.0] * 500)
    assert p_of(runs, 1.0, 1.0) == 0.06 and p_of(runs, 1.0, 1.0, 505) == 6 / 506
    assert p_of(runs[:198], 1.0, 1.0, 199) is None and p_of(runs[:199], 1.0, 1.0, 199) == 0.03
    assert p_of(lucky([0.0] * 99 + [2.0] * 50), 1.0, 1.0) == 0.01


@pytest.mark.slow
def test_more_runs_than_the_spec_fixed_stand_beside_the_verdict(make: Callable[..., isl.Campaign]) -> None:
    """Five lucky ones of 99 pass no test at 5 %, however many were run after them; where more were fixed they count."""
    for fixed in (99, 199):
        campaign = make({**SMALL, "evidence.null_runs": fixed})
        campaign.run("inline")
        kept = nulls.NullRuns(campaign._journal.folder, campaign.manifest_hash, 1)
        for kind in ("zero", "real"):
            for run in range(1, 200):
                kept.keep(Lucky(kind, run, 1e3 if run <= 5 else -1e3, 1, 0.0))  # type: ignore[arg-type]
        told: list[str] = []
        p = 0.06 if fixed == 99 else 0.03
        assert campaign.null(199, "inline", announce=told.append) == {"zero": p, "real": p}
        assert ("more are a diagnostic" in told[0]) == (fixed == 99)
        claims = {claim.name: claim.passed for claim in campaign.verdicts()[0].claims}
        assert claims["null zero"] == claims["null real"] == (fixed == 199)
        stands = campaign.beside_verdicts()
        assert stands is not None
        more = {note.name: note.figures for note in stands.champions[0] if note.name.startswith("more")}
        assert more == ({name: {"p": 0.03, "runs": 199.0} for name in ("more zero", "more real")} if fixed == 99 else {})
    with pytest.raises(SpecError, match="fixed before the first run"):
        forking.require_allowed(tiny(SMALL), tiny({**SMALL, "evidence.null_runs": 199}))


def test_fewer_runs_than_the_spec_fixes_give_no_p_yet(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({**SMALL, "evidence.null_runs": 199})
    campaign.run("inline")
    kept = nulls.NullRuns(campaign._journal.folder, campaign.manifest_hash, 1)
    for kind in ("zero", "real"):
        for run in range(1, 100):
            kept.keep(Lucky(kind, run, -1e3, 1, 0.0))  # type: ignore[arg-type]
    told: list[str] = []
    assert campaign.null(99, "inline", announce=told.append) == {"zero": None, "real": None}
    assert "no p-value before them" in told[0]
    assert all(claim.passed is None for claim in campaign.verdicts()[0].claims if claim.name.startswith("null"))


@pytest.mark.slow
def test_a_campaign_with_folds_is_told_that_their_verdicts_stay_weak(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({**SMALL, "splits.kind": "walk_forward", "splits.parts": 2})
    campaign.run("inline")
    for part in (campaign, *campaign.folds()):
        kept = nulls.NullRuns(part._journal.folder, part.manifest_hash, 1)
        for kind in ("zero", "real"):
            for run in range(1, 100):
                kept.keep(Lucky(kind, run, -1e3, 1, 0.0))  # type: ignore[arg-type]
    told: list[str] = []
    campaign.null(runtime="inline", announce=told.append)
    assert "weak is the most that they can earn" in told[0]
    found = [verdict for fold in campaign.fold_verdicts() for verdict in fold]
    assert found and all(verdict.word != "evidence" for verdict in found)


def test_a_series_ends_early_where_luck_does_as_well() -> None:
    assert p_of(lucky([2.0, 0.0] * MOST_LUCKY), 1.0, 1.0) == MOST_LUCKY / (2 * MOST_LUCKY - 1)
    assert p_of(lucky([0.0] * (LEAST_RUNS - 1)), 1.0, 1.0) is None


@pytest.mark.slow
def test_lockstep_gives_the_bits_of_a_run(make: Callable[..., isl.Campaign]) -> None:
    for changes in ({}, {"migration.delay": 2, "evolution.epochs": 5}, {"migration.interval": 2, "evolution.epochs": 4}):
        campaign = make(changes)
        campaign.run("inline")
        answers = []
        states = evolve(campaign.world, campaign.spec.evolution.epochs, answers.append)
        for state, expected in zip(states, campaign.position().states, strict=True):
            assert state.deme.canonical() == expected.deme.canonical()
            assert state.hall_of_fame.canonical() == expected.hall_of_fame.canonical()
        assert sum(len(answer.trials) for answer in answers) == len(campaign.trials())


def test_a_run_is_the_campaign_on_surrogates(tmp_path: Path) -> None:
    spec = tiny()
    job = Job(spec.model_dump_json(), ("bars",), "real", 3, tiny_world().numeric)
    found = compute(job, tiny_bars().tape.block)
    bars = sign_flipped({"bars": tiny_bars()}, spec.seed, 3, "real")["bars"]
    campaign = isl.Campaign.create(spec, tmp_path / "run", bars)
    campaign.run("inline")
    assert found.value == campaign.champion_records()[0]["value"]
    assert found.trials == len(campaign.trials())


SMALL = {
    "families": [{"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60]}}],
    "evolution": {"population": 6, "epochs": 1, "generations_per_epoch": 1},
    "archipelago": {"islands": 2},
}

Repeated = tuple[isl.Campaign, dict[str, float | None]]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Repeated:
    """A campaign whose null was computed whole, and its p-values."""
    campaign = isl.Campaign.create(tiny(SMALL), tmp_path_factory.mktemp("repeated") / "run", tiny_bars())
    campaign.run("inline")
    digest, told, done = campaign.digest(), [], []
    found = campaign.null(99, "inline", announce=told.append, on_run=lambda run, count: done.append((run.kind, run.run)))
    assert "198 runs" in told[0] and "one core" in told[0]
    assert done[0] == ("zero", 1) and len(done) == len(set(done))
    assert campaign.digest() == digest and campaign.verify() == []
    return campaign, found


def copied(repeated: Repeated, path: Path) -> isl.Campaign:
    """The same campaign with its null, elsewhere."""
    shutil.copytree(repeated[0].path, path)
    return isl.Campaign.open(path)


@pytest.mark.slow
def test_nulls_are_kept_and_what_is_done_counts(repeated: Repeated) -> None:
    campaign, found = repeated
    assert set(found) == {"zero", "real"} and all(p is not None and 0.0 < p <= 1.0 for p in found.values())
    again: list[object] = []
    assert campaign.null(99, "inline", on_run=lambda run, count: again.append(run)) == found
    assert again == []
    claims = {claim.name: claim for claim in campaign.verdicts()[0].claims}
    assert claims["null zero"].passed == (found["zero"] <= 0.05)  # type: ignore[operator]
    assert isl.Campaign.open(campaign.path, tiny_bars()).verdicts() == campaign.verdicts()


@pytest.mark.slow
def test_diagnostics_stand_beside_the_verdicts_and_enter_none(make: Callable[..., isl.Campaign]) -> None:
    campaign = make(SMALL)
    campaign.run("inline")
    before, digest = campaign.verdicts(), campaign.digest()
    kept = nulls.NullRuns(campaign._journal.folder, campaign.manifest_hash, 1)
    for run in range(1, 98):  # all but two of each have been computed before
        for number, kind in enumerate(DIAGNOSTICS):
            kept.keep(Lucky(kind, run, 1e3 if run <= 2 * number else -1e3, 1, 0.0))
    done: list[tuple[str, int]] = []
    found = campaign.null(99, "inline", diagnostics=True, on_run=lambda run, count: done.append((run.kind, run.run)))
    assert done == [("phases", 98), ("phases", 99), ("blocks", 98), ("blocks", 99)]
    assert list(found) == ["phases", "blocks"] and 0.01 <= found["phases"] <= 0.03 <= found["blocks"] <= 0.05  # type: ignore[operator]
    assert campaign.verdicts() == before and campaign.digest() == digest and campaign.verify() == []
    assert all(claim.passed is None for claim in before[0].claims if claim.name.startswith("null"))
    stands = campaign.beside_verdicts()
    assert stands is not None
    notes = {note.name: note for note in stands.champions[0]}
    for kind, p in found.items():
        assert notes[kind].figures == {"p": p} and "a diagnostic" in notes[kind].sentence
    page = campaign.report().read_text()
    assert all(notes[kind].sentence in page for kind in found)


@pytest.mark.slow
def test_an_interrupted_null_goes_on_where_it_was(repeated: Repeated, make: Callable[..., isl.Campaign]) -> None:
    """What a process killed after 7 runs has kept is not computed again, and the p-values are those of one that was not."""
    one = make(SMALL)
    one.run("inline")

    def pull_the_plug(run: Lucky, count: int) -> None:
        if count == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.null(99, "inline", on_run=pull_the_plug)
    assert all(claim.passed is None for claim in one.verdicts()[0].claims if claim.name.startswith("null"))
    done: list[tuple[str, int]] = []
    assert one.null(99, "inline", on_run=lambda run, count: done.append((run.kind, run.run))) == repeated[1]
    assert done[0] == ("zero", 8)
    assert values(one) == values(repeated[0])


def values(campaign: isl.Campaign) -> list[list[float]]:
    kept = nulls.NullRuns(campaign._journal.folder, campaign.manifest_hash, 1)
    return [[run.value for run in kept.known(drift)] for drift in ("zero", "real")]  # type: ignore[arg-type]


def test_a_damaged_run_is_said(repeated: Repeated, tmp_path: Path) -> None:
    campaign = copied(repeated, tmp_path / "run")
    file = sorted((campaign.path / "nulls").iterdir())[3]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CorruptCampaign, match=file.name):
        campaign.verdicts()
    assert any(file.name in problem for problem in campaign.verify())


def test_what_can_not_be_meant_is_refused(make: Callable[..., isl.Campaign]) -> None:
    campaign = make(SMALL)
    with pytest.raises(InputError, match="is not finished"):
        campaign.null(99, "inline")
    campaign.run("inline")
    with pytest.raises(InputError, match="ask for 99 or more"):
        campaign.null(98, "inline")
    hopeless = make({**SMALL, "limits.min_trades": 100_000})
    hopeless.run("inline")
    with pytest.raises(InputError, match="has no champion"):
        hopeless.null(99, "inline")


def test_every_trial_is_counted_once(make: Callable[..., isl.Campaign]) -> None:
    """Against the frame of all trials: islands scored alike are one place, one of its own part of the bars is another."""
    for changes, alike in (
        ({}, (0, 0, 0)),
        ({"archipelago.islands": [{"train": [0.0, 0.5]}, {}, {}], "migration.emigrants": 3}, (0, 1, 1)),
    ):
        campaign = make(changes)
        campaign.run("inline")
        found = tally(campaign._journal, alike, campaign.world.width, 0)
        rows = campaign.trials().rows(named=True)
        assert found.scored == len(rows)
        assert found.distinct == len({(alike[row["island"]], row["family"], row["genome"]) for row in rows})
        defined = {(alike[r["island"]], r["family"], r["genome"]) for r in rows if np.isfinite(r["value"])}
        assert found.defined == len(defined) <= found.distinct
        founders = [row for row in rows if row["origin"] == "founder" and row["born"].split(".")[1] == "0"]
        assert 0 < len(found.founders) <= len(founders)
        luck = campaign.champion_records()[0]["luck"]
        assert luck["trials"] == found.defined and 1.0 <= luck["effective"] <= luck["trials"] + luck["elsewhere"]


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"name": "profit_factor"}},
        {
            "splits.kind": "segments",
            "splits.parts": 8,
            "families": [{"name": "rsi_mean_reversion", "genes": {"period": [10, 40]}}],
        },
    ],
    ids=["another objective", "averaged over segments"],
)
def test_a_trial_counts_where_the_ledger_does_not_say_whether_its_sharpe_ratio_is_finite(
    make: Callable[..., isl.Campaign], changes: dict[str, Any]
) -> None:
    campaign = make(changes)
    campaign.run("inline")
    rows = campaign.trials().unique(["family", "genome"])
    lacking = rows.filter(~pl.col("value").is_finite())
    assert len(lacking) > 0, "every trial had a finite objective"
    luck = campaign.champion_records()[0]["luck"]
    assert luck["trials"] == campaign.tried().defined == campaign.tried().distinct == len(rows)


def test_known_strategies_are_no_sample_of_chance(make: Callable[..., isl.Campaign]) -> None:
    known = [{"family": "sma_trend", "fast": 5, "slow": 20}]
    with_known, without = make({"initial": known}), make()
    for campaign in (with_known, without):
        campaign.run("inline")
    founders = [tally(c._journal, (0, 0, 0), c.world.width, len(c.world.initial)).founders for c in (with_known, without)]
    assert len(founders[0]) < len(founders[1])


@pytest.mark.slow
def test_ray_gives_the_same_nulls(repeated: Repeated, make: Callable[..., isl.Campaign]) -> None:
    other = make(SMALL)
    other.run("inline")
    assert other.null(99, "ray", workers=2) == repeated[1]
    assert values(other) == values(repeated[0])
