"""`islands check-family`: what was tried in plain words, and a family that peeks refused."""

from __future__ import annotations

import re
from pathlib import Path

import own_families
import pytest
from command import islands

import islands as isl
from islands.desk.check import checked, checked_on
from islands.errors import StrategyError

PEEKING = '''import islands as isl


def step(genes, state, t, bars):
    """Buys what will rise."""
    return state, 1.0 if t + genes.ahead < len(bars.close) and bars.close[t + genes.ahead] > bars.close[t] else 0.0


peeking = isl.define_family("peeking", genes=[isl.Integer("ahead", 0, 5, 0, least=0)], step=step, warmup=0)
'''


@pytest.mark.slow
def test_a_family_that_peeks_is_refused_with_its_bar_and_gene(tmp_path: Path) -> None:
    (tmp_path / "my_rules.py").write_text(PEEKING)
    done = islands("check-family", "my_rules:peeking", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(r"error: family my_rules:peeking \(ahead=[1-5], direction=\w+\): at bar \d+ of 400 made-up", done.stderr)
    assert not done.stdout


@pytest.mark.slow
def test_a_built_in_is_tried_on_made_up_bars_and_on_the_users(tmp_path: Path) -> None:
    done = islands("check-family", "sma_trend", "sample:eurusd", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made_up, real, verdict = done.stdout.splitlines()
    assert re.match(r"made-up bars: 6 genomes, .* series of 640 to 50,000 bars; .*: [\d,]+ runs, [\d,]+ decisions", made_up)
    assert re.match(r"eurusd: 6 genomes, .* over 6,225 bars; .*: [\d,]+ runs, [\d,]+ decisions compared, no difference$", real)
    assert verdict == "sma_trend is sound: no decision was seen to depend on a later bar"


@pytest.mark.slow
def test_the_words_say_that_every_bar_of_a_step_was_tried() -> None:
    assert re.search(
        r"6 genomes.* 402 to 50,000 bars; at every bar the later ones .*: 215 runs, .* no difference$",
        checked(own_families.reversal),
    )


@pytest.mark.slow
def test_the_words_say_how_a_family_was_tried() -> None:
    assert re.search(r"over series of 640 to 50,000 bars; at some bars the later ones", checked(isl.family("sma_trend")))
    few = isl.sample("sp500").between("2018-01-02", "2018-01-10")
    assert re.search(r"no target ever changed, so they show nothing of the rule$", checked_on(isl.family("sma_trend"), few))


def test_bars_that_lack_what_a_family_reads_are_refused() -> None:
    with pytest.raises(StrategyError, match="family funding_carry needs the column funding_rate"):
        checked_on(isl.family("funding_carry"), isl.sample("sp500"))
