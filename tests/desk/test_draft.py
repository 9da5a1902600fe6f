"""`islands init` and `islands validate`: a spec for somebody's bars, and what it will do."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import islands
from worlds import play, tiny_bars, tiny_world

import islands as isl
from islands.desk.draft import draft
from islands.desk.plan import doubts, genomes_of
from islands.desk.toml import toml_value
from islands.errors import BarsError
from islands.evolution.island import try_settings
from islands.forecast import Forecast, forecast
from islands.instruments import bars_of, world_of
from islands.spec import CampaignSpec


def drafted(tmp_path: Path, **bars: isl.Bars) -> CampaignSpec:
    """The spec drafted for bars that lie as Parquet files beside it."""
    instruments = {}
    for name, part in bars.items():
        part.write(tmp_path / f"{name}.parquet")
        instruments[name] = (str(tmp_path / f"{name}.parquet"), part)
    path = tmp_path / "spec.toml"
    path.write_text(draft(instruments, {}, path, "mine"))
    return CampaignSpec.read(path)


def test_a_draft_is_a_sound_spec_of_every_family_for_the_bars(tmp_path: Path) -> None:
    spec = drafted(tmp_path, eurusd=isl.sample("eurusd"))
    assert spec.name == "mine"
    assert [part.name for part in spec.families] == [name for name in isl.families() if name != "funding_carry"]
    assert "# Left out: funding_carry, for want of a column funding_rate" in (tmp_path / "spec.toml").read_text()
    try_settings(world_of(spec, bars_of(spec)))


def test_a_draft_holds_the_families_that_need_funding_where_all_bars_have_it(tmp_path: Path) -> None:
    hourly = isl.synthetic("gbm", 6000)
    paying = isl.Bars.from_polars(hourly.to_polars().with_columns(funding_rate=pl.lit(1e-4)))
    spec = drafted(tmp_path, paying=paying)
    assert [part.name for part in spec.families] == isl.families()
    try_settings(world_of(spec, bars_of(spec)))
    assert len(drafted(tmp_path, paying=paying, hourly=hourly).families) == len(isl.families()) - 1


def test_a_draft_says_what_each_choice_may_be(tmp_path: Path) -> None:
    drafted(tmp_path, eurusd=isl.sample("eurusd"))
    text = (tmp_path / "spec.toml").read_text()
    assert "Bars('eurusd', 6,225 bars" in text
    for word in ("CHECK THEM", "small_world", "tournament", "similar", "reset, mutate", "max_drawdown, trades"):
        assert word in text


def test_lines_that_a_draft_comments_out_are_the_defaults(tmp_path: Path) -> None:
    spec = drafted(tmp_path, eurusd=isl.sample("eurusd"))
    text = (tmp_path / "spec.toml").read_text()
    uncommented = re.sub(r"(?m)^# (\w+ = )", r"\1", text.split("[costs]")[1].split("# [[stagnation]]")[0])
    again = CampaignSpec.parse({**tomllib.loads(text), **tomllib.loads("[costs]" + uncommented)})
    assert world_of(again, bars_of(spec)).spec.evolution == spec.evolution
    assert again.migration == spec.migration
    assert [genomes_of(space) for space in world_of(again, bars_of(spec)).spaces] == [
        genomes_of(space) for space in world_of(spec, bars_of(spec)).spaces
    ]


def test_a_draft_of_few_bars_narrows_the_periods(tmp_path: Path) -> None:
    spec = drafted(tmp_path, short=isl.synthetic("gbm", 600))
    world = world_of(spec, bars_of(spec))
    assert world.warmup <= 0.2 * 600
    with pytest.raises(BarsError, match="too few for a draft"):
        drafted(tmp_path, shorter=isl.synthetic("gbm", 20))


def test_a_draft_of_several_bars_makes_instruments_of_them(tmp_path: Path) -> None:
    spec = drafted(tmp_path, a=isl.synthetic("gbm", 6000), b=isl.synthetic("gbm", 5000, seed=2))
    assert list(spec.instruments) == ["a", "b"]
    assert spec.pooling.rule == "minimum"
    try_settings(world_of(spec, bars_of(spec)))


def test_values_are_written_as_toml_reads_them() -> None:
    value = {"text": 'a "quoted" \\ word', "numbers": [1, 2.5, True], "umlaut": "für"}
    assert tomllib.loads(f"value = {toml_value(value)}")["value"] == json.loads(json.dumps(value))


def test_a_forecast_counts_what_a_campaign_can_score_at_most(tmp_path: Path) -> None:
    spec = CampaignSpec(
        costs={"fee": 0.0, "slippage": 0.0},
        families=[{"name": "sma_trend", "genes": {"fast": [2, 4], "slow": [5, 9], "direction": "long"}}],
        evolution={"population": 10, "epochs": 3, "generations_per_epoch": 2},
        archipelago={"islands": [{"population": 4}, {}]},
        bars={"held_back": 0.0},
    )
    bars = {"bars": isl.synthetic("gbm", 500)}
    world = world_of(spec, bars)
    expected = forecast(world)
    immigrants = 2 * 3 * 2  # three to each of two islands, in the second and the third epoch
    assert expected.evaluations == (4 + 10) * (1 + 3 * 2) + immigrants
    assert expected.bar_evaluations == expected.evaluations * 500
    assert expected.seconds > 0.0
    assert list(doubts(world, bars, expected)) == [
        "bars: trading is free; what is found will trade often, and lose by its costs",
        "bars: no bars are held back, so nothing will show how a champion does on bars it was not chosen on",
        "limits.min_trades is not set: a single lucky trade may win",
        "the search space holds 15 genomes for 110 evaluations: it will repeat itself",
    ]


def test_what_a_campaign_is_too_short_for_is_said() -> None:
    """Of three epochs: emigrants of epoch 2 are there in the third, and two without improvement are over before it."""

    def said(changes: dict[str, Any]) -> list[str]:
        world = tiny_world({"limits.min_trades": 1, **changes})
        return list(doubts(world, {"bars": tiny_bars()}, Forecast(1, 1_500, 1.0, 1, 1)))

    soon = {"migration.interval": 2, "stagnation": [{"epochs": 2, "rule": "reset"}]}
    assert said(soon) == []
    assert said({**soon, "migration.delay": 2}) == [
        "nobody will arrive anywhere: the first emigrants leave after epoch 2 and are there in epoch 4, of 3; lower "
        "migration.interval or delay, or run more epochs"
    ]
    assert said({"migration.delay": 50, "archipelago.topology": "none"}) == []
    assert said({"stagnation": [{"epochs": 3, "rule": "mutate"}]}) == [
        "stagnation: mutate after 3 epochs is never due in 3 epochs"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"migration": {"emigrants": 3, "delay": 2, "interval": 2}, "stagnation": [{"epochs": 1, "rule": "reset"}]},
        {"migration.emigrants": 3, "stagnation": [{"epochs": 2, "rule": "reset", "share": 0.9}]},
        {"migration.delay": 50},
    ],
)
def test_no_campaign_scores_more_than_its_forecast(changes: dict[str, Any]) -> None:
    """Hardly any children, always new ones, and nobody ever feasible, so that every island stagnates throughout."""
    world = tiny_world(
        {
            "evolution": {"population": 12, "epochs": 8, "generations_per_epoch": 1},
            "evolution.mutation": {"operator": "mutPolynomialBounded", "rate": 1.0, "eta": 0.1, "indpb": 1.0},
            "archipelago": {"islands": 4, "topology": "complete"},
            "limits.min_trades": 10**6,
            **changes,
        }
    )
    scored = sum(len(step.trials) for commit in play(world, 8) for step in commit.answers)
    bred = 4 * 12 * (1 + 8)
    assert scored <= forecast(world).evaluations
    assert scored > bred or "migration.delay" in changes  # children alone would not have been enough


@pytest.mark.slow
def test_init_and_validate_on_the_command_line(tmp_path: Path) -> None:
    isl.sample("eurusd").write(tmp_path / "mine.csv")
    done = islands("init", "mine.csv", "--out", "spec.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "islands validate spec.toml" in done.stdout
    done = islands("validate", "spec.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("mine", "evolution sees", "ring: 3 by best", "evaluations", "about", "MiB", "is sound"):
        assert words in done.stdout.replace("\n", " ")


@pytest.mark.slow
def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text("mine")
    done = islands("init", "sample:eurusd", "--out", "spec.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (tmp_path / "spec.toml").read_text() == "mine"


@pytest.mark.slow
def test_validate_refuses_what_run_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text('[[families]]\nname = "sma_trend"\n')
    done = islands("validate", "spec.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "costs: required" in done.stderr


@pytest.mark.slow
def test_init_reads_a_file_as_it_is_told(tmp_path: Path) -> None:
    frame = isl.sample("eurusd").to_polars()
    points = frame.with_columns((frame[name] * 1e5).round() for name in ("open", "high", "low", "close"))
    points.rename({"timestamp": "moment"}).write_csv(tmp_path / "points.csv")
    read = ("--read", "scale=0.00001", "--read", "columns.timestamp=moment")
    assert islands("init", "points.csv", *read, cwd=tmp_path).returncode == 0
    spec = CampaignSpec.read(tmp_path / "spec.toml")
    assert spec.bars.scale == 0.00001
    assert spec.bars.columns == {"timestamp": "moment"}
    assert bars_of(spec)["bars"].close[0] == pytest.approx(isl.sample("eurusd").close[0], abs=1e-5)
    done = islands("init", "points.csv", "--read", "skale=1", "--out", "other.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'scale'" in done.stderr
