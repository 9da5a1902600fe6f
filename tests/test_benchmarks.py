"""What the kernels are timed against earns the same: rules written for whole series, and a loop with deques. A study that fails
keeps what it found."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from islands.kernels import batch

import islands as isl

pytest.importorskip("scipy")
pytest.importorskip("pandas")
sys.path.append(str(Path(__file__).parents[1]))  # last: the package may be installed, the benchmarks are not
opponents = pytest.importorskip("benchmarks.opponents")
kernel_speed = pytest.importorskip("benchmarks.kernel_speed")
mutants = pytest.importorskip("benchmarks.mutants")


def assert_same(name: str, contender: opponents.Contender) -> None:
    """Of genomes that trade, for the Sharpe of the others is not defined here."""
    market, genomes = kernel_speed._market(4_000), kernel_speed._founders(name, 60, 0)
    ours = batch.population_metrics(isl.family(name).signal, market, genomes, opponents.TERMS)[:, opponents.FIGURES]
    trading = ours[:, 3] > 0.0
    assert trading.any()
    np.testing.assert_allclose(contender.run(market, genomes[trading]), ours[trading], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", isl.families())
def test_rule_for_a_whole_series_earns_what_the_family_earns(name: str) -> None:
    assert_same(name, opponents.with_numpy(name))


def test_every_family_has_an_opponent() -> None:
    assert list(opponents.RULES) == isl.families()


@pytest.mark.slow
def test_loop_with_deques_earns_what_the_family_earns() -> None:
    assert_same("donchian_breakout", opponents.compiled_loop("donchian_breakout"))


def case(verdict: str) -> dict[str, Any]:
    """What `honesty.judged` says of a campaign, here without figures."""
    return {"verdict": verdict, "champions": 1, "passed": {}, "nulls": {}, "luck": None, "unseen": None}


@pytest.mark.parametrize(
    ("noise", "planted", "told"),
    [
        ("evidence", "evidence", ["6 of 6 campaigns on noise were called evidence"]),
        ("weak", "weak", ["at a planted edge of 0.4 verdicts find 0.00 times as many as the oracle"]),
        ("evidence", "weak", ["6 of 6 campaigns", "at a planted edge of 0.4"]),
        ("weak", "evidence", []),
    ],
)
def test_a_study_of_honesty_that_fails_is_written_down_and_says_why(
    noise: str, planted: str, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Judging is replaced by what it might say."""
    study = pytest.importorskip("benchmarks.honesty")
    main = pytest.importorskip("benchmarks.__main__").main
    monkeypatch.setattr(study, "EDGES", (0.4,))
    monkeypatch.setattr(study, "ProcessPoolExecutor", lambda processes, context: ThreadPoolExecutor(1))
    monkeypatch.setattr(study, "judged", lambda bars, seed: case(planted if bars.name.startswith("planted") else noise))
    monkeypatch.setattr(study, "_best_genes", lambda: {"fast": 10, "slow": 80})
    monkeypatch.setattr(study, "_oracle_p", lambda bars, genes: 0.01)
    arguments = ["honesty", "--out", str(tmp_path), "--data", str(tmp_path / "none"), "--campaigns", "6", "--series", "2"]
    monkeypatch.setattr(sys, "argv", ["python -m benchmarks", *arguments])
    if told:
        with pytest.raises(SystemExit) as failed:
            main()
        assert isinstance(failed.value.code, str)  # to the standard error, and an exit code of 1
        assert len(failed.value.code.splitlines()) == len(told)
        assert all(words in failed.value.code for words in told)
    else:
        main()
    written = json.loads((tmp_path / "honesty.json").read_text())
    assert [one["seed"] for one in written["noise"]] == [0, 1, 2, 3, 4, 5]
    assert [(one["seed"], one["verdict"]) for one in written["planted"]] == [(0, planted), (1, planted)]


def test_power_is_asked_for_at_the_smallest_edge_that_the_oracle_finds_nine_times_in_ten() -> None:
    study = pytest.importorskip("benchmarks.honesty")
    planted = [
        {**case("evidence" if i < found else "weak"), "edge": edge, "oracle_p": 0.01 if i < known else 0.2}
        for edge, known, found in zip(study.EDGES, (3, 8, 9, 10, 10, 10), (0, 0, 5, 1, 1, 1), strict=True)
        for i in range(10)
    ]
    assert study._power(planted) == (study.EDGES[2], pytest.approx(5 / 9))
    assert study.faults({"noise": [case("weak")] * 20, "planted": planted}) == []
    assert study._power([{**one, "oracle_p": 0.2} for one in planted]) is None  # an oracle that finds nothing asks for nothing


def two_mutants() -> tuple[Any, Any]:
    """One that a test of workers sees, and a line that stays as it is."""
    seen = next(mutant for mutant in mutants.MUTANTS if mutant.seen_by.startswith("runtime/test_worker.py"))
    return seen, replace(seen, name="none", changed=seen.line, seen_by="")


@pytest.mark.slow
def test_a_mutant_is_run_in_a_copy_and_held_against_what_the_list_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mutants, "STAGES", {"workers": ("runtime/test_worker.py",)})
    monkeypatch.setattr(mutants, "MUTANTS", two_mutants())
    before = Path(mutants.ROOT, "islands/runtime/worker.py").read_bytes()
    figures = mutants.measure(tmp_path, tmp_path, [], ["workers"], together=False)
    assert [group["seen_by"] for group in figures["groups"]] == [mutants.MUTANTS[0].seen_by, None]
    assert mutants.faults(figures) == []
    assert [row.count("runtime/test_worker.py::") for row in mutants.table(figures).splitlines()[2:]] == [1, 0]
    figures["groups"][0]["seen_by"], figures["groups"][1]["seen_by"] = None, "a test"
    assert [words.partition(":")[0] for words in mutants.faults(figures)] == [mutants.MUTANTS[0].name, "none"]
    assert Path(mutants.ROOT, "islands/runtime/worker.py").read_bytes() == before
    with pytest.raises(SystemExit, match="no mutant is called nobody"):
        mutants.measure(tmp_path, tmp_path, ["nobody"], ["workers"], together=False)


def test_mutants_of_one_line_are_of_different_groups_and_all_others_of_one() -> None:
    unseen = [mutant for mutant in mutants.MUTANTS if not mutant.seen_by]
    groups = list(mutants._of_different_lines(unseen))
    assert sorted(mutant.name for group in groups for mutant in group) == sorted(mutant.name for mutant in unseen)
    for group in groups:
        assert len({(mutant.module, mutant.line) for mutant in group}) == len(group)
    together = Counter((mutant.module, mutant.line) for mutant in unseen)
    assert len(groups) == max(together.values())
