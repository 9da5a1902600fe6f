"""Campaigns with a user's own family: inline, in the command line, resumed, and refused where its code has changed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import own_families
import pytest
from command import islands
from worlds import in_another_process, links, play, reopened, tiny, tiny_bars, tiny_world

import islands as isl
from islands import numerics, openings
from islands.archipelago.journal import Journal
from islands.desk.cards import strategy_of
from islands.errors import ManifestMismatch, SpecError, StrategyError
from islands.strategies import families

GENES = {"fast": [2, 15], "slow": [10, 40]}
OWN = {
    "families": [
        {"name": "own_families:crossover", "genes": GENES},
        {"name": "own_families:reversal", "genes": {"lag": [1, 20]}},
        {"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60]}},
    ],
    "archipelago.islands": [["own_families:crossover", "own_families:reversal"], ["own_families:reversal", "sma_trend"]],
    "initial": [],
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of a user, to be edited."""
    (tmp_path / "my_rules.py").write_text(Path(own_families.__file__).read_text())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_rules", raising=False)
    return tmp_path


def edited(desk: Path) -> None:
    """Another constant in the step, in a process that imports the module anew."""
    path = desk / "my_rules.py"
    path.write_text(
        path.read_text().replace("else -1.0\n", "else -0.25\n")
    )  # of another size: within a second Python looks at no more
    sys.modules.pop("my_rules", None)


MINE = {"families": [{"name": "my_rules:reversal", "genes": {"lag": [1, 20]}}]}


@pytest.mark.slow
def test_a_campaign_comes_to_champions_of_it(make: Callable[..., isl.Campaign]) -> None:
    campaign = make(OWN)
    assert campaign.run("inline").finished
    assert campaign.digest() == links(play(tiny_world(OWN), 3))[-1]
    assert campaign.verify() == []
    families = campaign.trials()["family"].unique().to_list()
    assert set(families) == {"own_families:crossover", "own_families:reversal", "sma_trend"}
    assert set(campaign.champions()["family"]) & {"own_families:crossover", "own_families:reversal"}
    assert campaign.report().stat().st_size > 100_000
    again = make(OWN)
    again.run("inline", epochs=1)
    assert reopened(again).run("inline").started_at == 1
    assert again.digest() == campaign.digest()


@pytest.mark.slow
def test_a_champion_that_peeks_is_refused_before_anything_is_opened(
    make: Callable[..., isl.Campaign],
) -> None:
    """The gate tries few genomes before the run; the one that peeks is none of them, and wins."""
    name = "failing_families:seer"
    spec = {"families": [{"name": name, "genes": {"lag": [1, 100]}}], "evolution.epochs": 1}
    campaign = make({**spec, "initial": [{"family": name, "lag": 77, "direction": "both"}]})
    with pytest.raises(StrategyError, match=r"seer \(lag=77, .*no bars were opened for it: mend the family"):
        campaign.run("inline")
    assert openings.booked() == [] and campaign.status().committed == 1
    honest = make({**spec, "families": [{"name": name, "genes": {"lag": [1, 76]}}]})
    assert honest.run("inline").finished and len(openings.booked()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "overlays", [{}, {"stop_loss": [0.002, 0.05], "atr_trailing": [0.5, 6.0], "fraction": 0.5}], ids=["bare", "overlaid"]
)
def test_scores_are_those_of_the_built_in(overlays: dict[str, Any], make: Callable[..., isl.Campaign]) -> None:
    """A population is founded by index and genes, so the two campaigns try the same genomes and come to the same scores."""
    alike = []
    for name in ("ema_crossover", "own_families:crossover"):
        campaign = make({"families": [{"name": name, "genes": GENES, "overlays": overlays}]})
        campaign.run("inline")
        alike.append(campaign.trials().drop("family"))
    assert alike[0].equals(alike[1])
    assert alike[0].height > 50


@pytest.mark.slow
def test_a_known_strategy_of_it_starts_the_islands(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({**OWN, "archipelago.islands": 2, "initial": [{"family": "own_families:reversal", "lag": 7}]})
    campaign.run("inline", epochs=1)
    first = campaign.trials().filter(family="own_families:reversal", origin="founder", genome="lag=7 direction=both")
    assert set(first["island"]) == {0, 1}


@pytest.mark.slow
def test_a_registered_name_is_written_down_as_its_address(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other processes find a family by its address alone."""
    monkeypatch.setattr(families, "REGISTERED", {})
    isl.register(own_families.crossover)
    isl.register(own_families.reversal)
    initial = [{"family": "own_families:reversal", "lag": 3}]
    islands = [{"families": ["own_families:crossover", "own_families:reversal"]}, ["own_families:reversal", "sma_trend"]]
    addressed = {**OWN, "initial": initial, "archipelago.islands": islands}
    named = json.loads(json.dumps(addressed).replace("own_families:", ""))
    made = [make(changes) for changes in (named, addressed)]
    assert [part.name for part in made[0].spec.families] == ["own_families:crossover", "own_families:reversal", "sma_trend"]
    for campaign in made:
        assert campaign.run("inline").finished
    assert made[0].digest() == made[1].digest()


@pytest.mark.slow
def test_a_family_that_was_made_by_hand_is_refused(make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "REGISTERED", {})
    isl.register(replace(isl.family("momentum"), name="by_hand"))
    with pytest.raises(SpecError, match=r"families.by_hand: its signal was made by hand, so no other process finds it"):
        make({"families": [{"name": "by_hand"}]})


@pytest.mark.slow
def test_the_manifest_knows_its_code_and_nothing_of_built_ins(make: Callable[..., isl.Campaign]) -> None:
    manifest, _ = Journal(make(OWN).path).manifest()
    assert manifest["own_families"] == {kind.name: kind.code for kind in (own_families.crossover, own_families.reversal)}
    assert manifest["families"] == {"own_families:crossover": 1, "own_families:reversal": 1, "sma_trend": 1}
    plain, _ = Journal(make().path).manifest()
    assert plain["own_families"] == {}


@pytest.mark.slow
def test_resume_after_an_edit_is_refused_with_the_difference_and_goes_on_where_it_is_accepted(
    desk: Path, make: Callable[..., isl.Campaign]
) -> None:
    campaign = make(MINE)
    campaign.run("inline", epochs=1)
    before = isl.family("my_rules:reversal").code
    edited(desk)
    after = isl.family("my_rules:reversal").code
    with pytest.raises(ManifestMismatch) as error:
        reopened(campaign).run("inline")
    lines = str(error.value).splitlines()
    assert f"  own_families.my_rules:reversal: the campaign has {before!r}, here is {after!r}" in lines
    assert lines[-1].endswith("--accept numeric --accept own_families.my_rules:reversal")
    assert campaign.status().committed == 1
    accept = ("numeric", "own_families.my_rules:reversal")
    assert reopened(campaign).run("inline", accept=accept).finished
    assert set(Journal(campaign.path).read_entry(2).accepted) == set(accept)


@pytest.mark.slow
@pytest.mark.parametrize("ask", ["champions", "front", "export", "report"])
def test_champions_are_not_scored_anew_by_other_code(ask: str, desk: Path, make: Callable[..., isl.Campaign]) -> None:
    campaign = make(MINE)
    campaign.run("inline", epochs=1)
    before = campaign.champions()
    edited(desk)
    with pytest.raises(ManifestMismatch, match=r"of family my_rules:reversal, here is .*, which would score its champions"):
        getattr(reopened(campaign), ask)()
    names = ("own_families.my_rules:reversal", "numeric")
    reopened(campaign).run("inline", epochs=1, accept=names)
    assert reopened(campaign).champions().height == before.height


@pytest.mark.slow
def test_an_account_is_read_where_the_module_is_gone(desk: Path, make: Callable[..., isl.Campaign]) -> None:
    campaign = make(MINE)
    campaign.run("inline", epochs=1)
    history = campaign.history()
    (desk / "my_rules.py").unlink()
    sys.modules.pop("my_rules", None)
    archived = reopened(campaign)
    assert archived.verify() == []
    assert archived.history().equals(history)
    assert archived.status().committed == 1
    with pytest.raises(SpecError, match="No module named 'my_rules'"):
        archived.trials()


@pytest.mark.slow
def test_resume_after_a_remark_goes_on(desk: Path, make: Callable[..., isl.Campaign]) -> None:
    campaign = make(MINE)
    campaign.run("inline", epochs=1)
    path = desk / "my_rules.py"
    path.write_text("# a remark\n" + path.read_text())
    del sys.modules["my_rules"]
    assert reopened(campaign).run("inline").finished


@pytest.mark.slow
def test_a_card_finds_its_strategy_unless_the_code_has_changed(desk: Path, make: Callable[..., isl.Campaign]) -> None:
    campaign = make(MINE)
    campaign.run("inline")
    cards = json.loads(campaign.export().read_text())["champions"]
    assert [strategy_of(card).genes for card in cards] == [card["genes"] for card in cards]
    assert cards[0]["code"] == isl.family("my_rules:reversal").code
    edited(desk)
    with pytest.raises(
        StrategyError, match=r"family my_rules:reversal with code [0-9a-f]{12}, here with [0-9a-f]{12}, which may"
    ):
        strategy_of(cards[0])
    with pytest.raises(StrategyError, match=r"with code of none, here with"):
        strategy_of({key: value for key, value in cards[0].items() if key != "code"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("__main__:reversal", r"families.__main__:reversal: family '__main__:reversal' is defined in the script that runs"),
        ("own_families:nothing", r"families.own_families:nothing: family 'own_families:nothing': nothing is not there"),
        ("no_such_module:reversal", r"No module named 'no_such_module'"),
    ],
)
def test_a_family_that_workers_could_not_import_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        isl.Campaign.create(tiny({"families": [{"name": name}]}), tmp_path / "run", bars=tiny_bars())


@pytest.mark.slow
def test_an_unsound_family_is_refused_before_a_campaign_begins(desk: Path, tmp_path: Path) -> None:
    path = desk / "my_rules.py"
    path.write_text(path.read_text().replace("    if t < genes.lag:\n        return state, 0.0\n", ""))
    with pytest.raises(SpecError, match=r"at bar \d+ of \d+ made-up ones its target is .* counts from the end of the data"):
        isl.Campaign.create(tiny(MINE), tmp_path / "run", bars=tiny_bars())
    assert not (tmp_path / "run").exists()


# The numeric fingerprint


def test_the_fingerprint_probes_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from islands.kernels import batch

    probes = (own_families.reversal.probe,)
    here = numerics.fingerprint(probes)
    assert here != numerics.fingerprint()
    assert here != numerics.fingerprint((own_families.crossover.probe,))
    true = batch.population_metrics

    def off(*arguments: Any) -> Any:
        figures = true(*arguments)
        figures[0, 3] = math.nextafter(figures[0, 3], math.inf)
        return figures

    monkeypatch.setattr(batch, "population_metrics", off)
    assert numerics.fingerprint.__wrapped__(probes) != here


@pytest.mark.slow
def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = "from islands import numerics; import own_families; print(numerics.fingerprint((own_families.reversal.probe,)))"
    assert in_another_process(code) == numerics.fingerprint((own_families.reversal.probe,))


# The command line


@pytest.mark.slow
def test_the_command_line_takes_an_address(desk: Path) -> None:
    shown = islands("families", "my_rules:reversal", cwd=desk)
    assert shown.stdout.splitlines() == [
        "my_rules:reversal  Buys a close below the one `lag` bars before, sells one above it.",
        "  lag = 12   searched: 1 to 48",
        "  direction = both   searched: long, short, both",
    ]
    tested = islands("backtest", "sample:sp500", "my_rules:reversal", "lag=3", cwd=desk)
    assert "Strategy('my_rules:reversal', lag=3, direction='both')" in tested.stdout
    refused = islands("families", "my_rules:reversl", cwd=desk)
    assert refused.returncode == 2
    assert "did you mean 'reversal'?" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_the_command_line_runs_and_resumes_a_campaign_and_notices_an_edit(desk: Path) -> None:
    spec = """
    seed = 5
    [bars]
    path = "sample:sp500"
    [costs]
    fee = 0.0005
    slippage = 0.0001
    [[families]]
    name = "my_rules:reversal"
    [evolution]
    population = 12
    epochs = 3
    generations_per_epoch = 2
    [archipelago]
    islands = 2
    """
    (desk / "spec.toml").write_text(spec)
    done = islands("run", "spec.toml", "--dir", "run", "--runtime", "inline", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert islands("extend", "run", "--epochs", "4", cwd=desk).returncode == 0
    assert islands("resume", "run", "--runtime", "inline", cwd=desk).returncode == 0
    assert islands("extend", "run", "--epochs", "5", cwd=desk).returncode == 0
    edited(desk)
    refused = islands("resume", "run", "--runtime", "inline", cwd=desk)
    assert refused.returncode == 2
    assert "own_families.my_rules:reversal: the campaign has" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_a_family_of_the_script_itself_works_where_no_other_process_needs_it(desk: Path) -> None:
    (desk / "script.py").write_text(
        (desk / "my_rules.py").read_text()
        + "bars = isl.sample('sp500')\n"
        + "mine = isl.Strategy(reversal, lag=3)\n"
        + "print(repr(mine), isl.backtest(bars, mine).metrics['sharpe'] == isl.evaluate(bars, [mine])['sharpe'][0])\n"
    )
    code = "import runpy; runpy.run_path('script.py', run_name='__main__')"
    assert in_another_process(code, cwd=desk) == "Strategy('__main__:reversal', lag=3, direction='both') True"


@pytest.mark.filterwarnings("ignore:family .* decided the same")  # once for each cache of kernels
def test_a_family_that_peeks_on_the_campaigns_own_bars_alone_is_refused(desk: Path, make: Callable[..., isl.Campaign]) -> None:
    """It waits for a price that no made-up bar has."""
    price = float(tiny_bars().close[700])
    (desk / "my_rules.py").write_text(
        "import islands as isl\n"
        "def step(genes, state, t, bars):\n"
        '    """Buys before a rise, from one day on."""\n'
        f"    if bars.close[t] == {price!r}:\n"
        "        state = 1.0\n"
        "    ahead = bars.close[t + 1] if t + 1 < len(bars.close) else 0.0\n"
        "    return state, 1.0 if state > 0.0 and ahead > bars.close[t] else 0.0\n"
        'late = isl.define_family("late", genes=[isl.Integer("n", 1, 9, 2)], step=step, warmup=5)\n'
    )
    with pytest.raises(StrategyError, match="a step may read bar t and"):
        make({"families": [{"name": "my_rules:late"}]})
