"""What is shown on a terminal, and where there is none."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console, RenderableType

from islands.campaign import Campaign
from islands.desk.figures import cost, duration, number, shown
from islands.desk.watch import champions_table, status_table, watch
from islands.runtime.report import IslandProgress, Progress
from islands.spec import CampaignSpec


def make_spec(**changes: Any) -> CampaignSpec:
    values: dict[str, Any] = {
        "name": "watched",
        "bars": {"path": "sample:sp500"},
        "costs": {"fee": 5e-4, "slippage": 1e-4},
        "families": [{"name": "sma_trend"}, {"name": "rsi_mean_reversion"}],
        "evolution": {"population": 20, "epochs": 2, "generations_per_epoch": 3},
        "archipelago": {"islands": 2},
    }
    return CampaignSpec(**(values | changes))


class Pipe(io.StringIO):
    """A file that is no terminal and counts the lines that had been flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = 0

    def flush(self) -> None:
        self.flushed = self.getvalue().count("\n")


def plain(width: int = 100) -> tuple[Console, Pipe]:
    pipe = Pipe()
    return Console(file=pipe, width=width, force_terminal=False), pipe


def drawn(thing: RenderableType, width: int = 100) -> str:
    console, pipe = plain(width)
    console.print(thing)
    return pipe.getvalue()


def moment(committed: int = 0, target: int = 4, started_at: int = 0, **changes: Any) -> Progress:
    islands = {0: IslandProgress(committed, 1.5, 0.5, 0.25), 1: IslandProgress(committed, 0.75, -0.5, 0.75)}
    values: dict[str, Any] = {
        "seconds": 10.0,
        "islands": islands,
        "trials": 12_345,
        "running": {},
        "lost": 0,
        "coordinator_pid": 1,
    }
    return Progress(committed=committed, target=target, started_at=started_at, **(values | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(make_spec(), tmp_path_factory.mktemp("watch") / "finished")
    campaign.run("inline")
    return campaign


def test_a_run_without_a_terminal_prints_a_line_an_epoch(tmp_path: Path) -> None:
    campaign = Campaign.create(make_spec(), tmp_path / "run")
    console, pipe = plain(width=20)
    with watch("watched", "max", console) as show:
        campaign.run("inline", epochs=1, on_progress=show)
        assert pipe.flushed == 1
        Campaign.open(campaign.path).run("inline", on_progress=show)
    figure = r"-?\d+\.\d{3}"
    summary = rf"best {figure}  median {figure}  diversity {figure}  [\d,]+ trials/s  done in \d+\.\d s"
    first, second = pipe.getvalue().splitlines()
    assert re.fullmatch(rf"watched  epoch 1/1  {summary}", first)
    assert re.fullmatch(rf"watched  epoch 2/2  {summary}", second)


def test_the_last_line_agrees_with_the_history(tmp_path: Path) -> None:
    campaign = Campaign.create(make_spec(), tmp_path / "run")
    console, pipe = plain()
    with watch("watched", "max", console) as show:
        campaign.run("inline", on_progress=show)
    last = campaign.status().islands
    line = pipe.getvalue().splitlines()[-1]
    assert (
        f"best {last['best'].max():.3f}  median {last['median'].median():.3f}  diversity {last['diversity'].mean():.3f}" in line
    )


@pytest.mark.parametrize(("goal", "best"), [("max", "1.500"), ("min", "0.750")])
def test_the_goal_decides_which_island_is_best(goal: str, best: str) -> None:
    console, pipe = plain()
    with watch("x", goal, console) as show:
        show(moment(committed=1))
    assert pipe.getvalue() == f"x  epoch 1/4  best {best}  median 0.000  diversity 0.500  1,234 trials/s  30 s left\n"


def test_a_moment_without_a_new_commit_prints_nothing() -> None:
    console, pipe = plain()
    with watch("x", console=console) as show:
        for committed in (3, 3, 4, 4):
            show(moment(committed, target=9, started_at=3))
    assert [line.split("  ")[1] for line in pipe.getvalue().splitlines()] == ["epoch 4/9"]


def test_markup_in_a_name_stays_text_and_nan_is_a_dash() -> None:
    console, pipe = plain()
    with watch("[red]:smile:", "max", console) as show:
        show(moment(1, islands={0: IslandProgress(1, math.nan, math.nan, 0.5)}))
    assert pipe.getvalue().startswith("[red]:smile:  epoch 1/4  best –  median –  diversity 0.500")


def test_a_terminal_shows_islands_pace_and_losses_live() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=100, height=30, force_terminal=True, color_system=None)
    with watch("on screen", "max", console) as show:
        show(moment(1, running={77: (1, 2)}, lost=2))
    text = screen.getvalue()
    for part in ("on screen", "epoch 1/4", "30 s left", "diversity", "1.500", "12,345 trials in 10 s, 1,234 a second"):
        assert part in text
    assert "1 worker running: island 1 epoch 2" in text
    assert "2 steps lost with a worker and computed again" in text


def test_many_islands_fit_a_small_terminal() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80, height=20, force_terminal=True, color_system=None)
    with watch("many", "max", console) as show:
        show(moment(1, islands={i: IslandProgress(1, 1.0, 0.5, 0.1) for i in range(50)}, running={i: (i, 2) for i in range(9)}))
    frame = screen.getvalue().split("\x1b[2K")[-1]
    assert frame.count("\n") < 20
    assert "40 more" in frame and "9 workers running" in frame


def test_status_shows_state_and_islands(finished: Campaign) -> None:
    text = drawn(status_table(finished.status()))
    assert "finished, 2 of 2 epochs committed" in text
    assert finished.digest() in text
    best = finished.status().islands.sort("island")["best"]
    assert all(f"{value:.3f}" in text for value in best)


def test_status_of_a_campaign_without_a_commit(tmp_path: Path) -> None:
    text = drawn(status_table(Campaign.create(make_spec(), tmp_path / "fresh").status()))
    assert "stopped, 0 of 2 epochs committed" in text


def test_champions_show_both_parts_once_finished(finished: Campaign) -> None:
    text = drawn(champions_table(finished.champions()))
    best = finished.champion_records()[0]
    row = next(line for line in text.splitlines() if line.split()[:1] == ["1"])
    sharpe, later = (shown("sharpe", best[part]["sharpe"]) for part in ("metrics", "held_back"))
    assert row.split()[1:3] == [best["family"], sharpe]
    assert row.split()[-2:] == [later, shown("total_return", best["held_back"]["total_return"])]


def test_champions_of_any_length_fit_100_columns() -> None:
    frame = pl.DataFrame(
        {
            "rank": [1, 10],
            "family": ["rsi_mean_reversion", "ema_crossover"],
            "genes": ["period=14 entry=30.5 exit=70.5 direction=short", "fast=60 slow=240 band=0.0012345678 direction=short"],
            **{name: [12.345, math.nan] for name in ("sharpe", "held_back_sharpe")},
            **{name: [98.76, -0.5] for name in ("total_return", "held_back_total_return")},
            "max_drawdown": [1.0, 0.25],
            "trades": [123_456.0, 0.0],
            "win_rate": [1.0, math.nan],
        }
    )
    text = drawn(champions_table(frame))
    assert max(map(len, text.splitlines())) <= 100
    words = text.split()
    for part in (
        "rsi_mean_reversion",
        "entry=30.5",
        "band=0.001235",
        "direction=short",
        "12.345",
        "+9,876%",
        "123,456",
        "-50.0%",
    ):
        assert part in words
    assert "nan" not in text and words.count("–") == 3


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("sharpe", 0.5, "0.500"),
        ("sharpe", math.nan, "–"),
        ("profit_factor", math.inf, "–"),
        ("sharpe", None, "–"),
        ("total_return", 0.1234, "+12.3%"),
        ("held_back_total_return", -0.1, "-10.0%"),
        ("total_return", 123.456, "+12,346%"),
        ("max_drawdown", 0.25, "25.0%"),
        ("trades", 1234.0, "1,234"),
        ("turnover", 12_345.6, "12,346"),
    ],
)
def test_a_figure_is_written_by_its_kind(metric: str, value: float | None, text: str) -> None:
    assert shown(metric, value) == text


def test_small_and_long_things_are_written_for_a_person() -> None:
    assert (number(1e-5), number(-1e-5), number(0.0)) == ("1.00e-05", "-1.00e-05", "0.000")
    assert (cost(5e-4), cost(2e-5), cost(0.0)) == ("0.05%", "0.002%", "0%")
    lengths = [duration(s) for s in (0.04, 9.99, 59.4, 61, 3_723, 90_000, math.nan, None)]
    assert lengths == ["0.0 s", "10 s", "59 s", "1 min 01 s", "1 h 02 min", "1 d 1 h", "–", "–"]
