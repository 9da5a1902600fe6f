"""What a person sees on the terminal: a run as it goes on, a campaign's status, its champions."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from islands.desk.figures import HELD_BACK, NOTHING, count, duration, number, short_genes, shown
from islands.market.instants import instant_text

if TYPE_CHECKING:
    import polars as pl

    from islands.runtime.report import IslandProgress, Progress
    from islands.spec import CampaignSpec
    from islands.status import Status

COLUMNS = (
    "sharpe",
    "total_return",
    "max_drawdown",
    "trades",
    "win_rate",
    "held_back_sharpe",
    "held_back_total_return",
)
"""Figures of the champions' table on a terminal; those that a frame lacks are left out."""

OBJECTIVE = "objective_"
"""What the column of one of several objectives is called: this, then the metric."""

_HEADINGS = {"total_return": "return", "max_drawdown": "draw-\ndown", "win_rate": "wins", "sharpe": "Sharpe"}
_FACTS_AROUND = 10  # lines of the live display that are not rows of its table
_BUSY_SHOWN = 4


@contextmanager
def watch(target_name: str, goal: str = "max", console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """Shows a run: `with watch(spec.name, spec.objectives[0].goal) as show: campaign.run(on_progress=show)`.

    A live display on a terminal; elsewhere one line for each newly committed epoch. goal: "max" or "min", of the
    objective, decides which island is the best.
    """
    console = console or Console(emoji=False)
    if not console.is_terminal:
        yield _Lines(target_name, goal, console)
        return
    board = _Board(target_name, goal, console)
    with Live(console=console, refresh_per_second=4, get_renderable=board.render) as live:
        yield board
        live.refresh()


class _Lines:
    """Progress where nobody looks at a screen: a line an epoch."""

    def __init__(self, name: str, goal: str, console: Console) -> None:
        self._name, self._goal, self._console = name, goal, console
        self._told: int | None = None

    def __call__(self, progress: Progress) -> None:
        told = progress.started_at if self._told is None else self._told
        if progress.committed <= told:
            return
        self._told = progress.committed
        line = "  ".join([self._name, f"epoch {progress.committed}/{progress.target}", *_summary(progress, self._goal)])
        self._console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)
        self._console.file.flush()


class _Board:
    """Progress on a screen: holds the newest moment, and draws it when asked."""

    def __init__(self, name: str, goal: str, console: Console) -> None:
        self._name, self._goal, self._console = name, goal, console
        self._progress: Progress | None = None
        self._waiting = Spinner("dots", Text(f"{name}: starting"))

    def __call__(self, progress: Progress) -> None:
        self._progress = progress

    def render(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return self._waiting
        rows = max(self._console.height - _FACTS_AROUND, 3)
        parts: list[RenderableType] = [_bar(self._name, progress), _islands_live(progress, self._goal, rows)]
        parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in _pace(progress)]
        return Group(*parts)


def _bar(name: str, progress: Progress) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        Text(name, style="bold", no_wrap=True, overflow="ellipsis"),
        ProgressBar(total=max(progress.target, 1), completed=progress.committed, width=32),
        Text(f"epoch {progress.committed}/{progress.target}", no_wrap=True),
        Text(_time_left(progress), no_wrap=True),
    )
    return grid


def _islands_live(progress: Progress, goal: str, rows: int) -> Table:
    table = _table(("island", "epoch", "best", "median", "diversity"))
    leader = _leader(progress, goal)
    ordered = sorted(progress.islands.items())
    for island, at in ordered[:rows]:
        cells = [str(island), str(at.epoch), number(at.best), number(at.median), number(at.diversity)]
        table.add_row(*cells, style="bold" if island == leader else "")
    if len(ordered) > rows:
        table.add_row("…", "", f"{len(ordered) - rows} more", "", "")
    return table


def _pace(progress: Progress) -> list[str]:
    busy = [f"island {island} epoch {epoch}" for island, epoch in sorted(progress.running.values())]
    more = [f"{len(busy) - _BUSY_SHOWN} more"] if len(busy) > _BUSY_SHOWN else []
    lines = [
        f"{count(progress.trials, 'trial')} in {duration(progress.seconds)}, {progress.trials_per_second:,.0f} a second",
        f"{count(len(busy), 'worker')} running" + (": " if busy else "") + ", ".join(busy[:_BUSY_SHOWN] + more),
    ]
    if progress.lost:
        lines.append(f"{count(progress.lost, 'step')} lost with a worker and computed again")
    return lines


def _summary(progress: Progress, goal: str) -> list[str]:
    islands = list(progress.islands.values())
    leader = _leader(progress, goal)
    best = progress.islands[leader].best if leader is not None else math.nan
    return [
        f"best {number(best)}",
        f"median {number(_middle([at.median for at in islands]))}",
        f"diversity {number(_mean([at.diversity for at in islands]))}",
        f"{progress.trials_per_second:,.0f} trials/s",
        _time_left(progress),
    ]


def _time_left(progress: Progress) -> str:
    if progress.committed >= progress.target:
        return f"done in {duration(progress.seconds)}"
    return f"{duration(progress.seconds_left)} left"


def _leader(progress: Progress, goal: str) -> int | None:
    """The island with the best feasible individual; None where no island has one."""
    ranked: list[tuple[int, IslandProgress]] = [(i, at) for i, at in progress.islands.items() if not math.isnan(at.best)]
    if not ranked:
        return None
    sign = -1.0 if goal == "min" else 1.0
    return max(ranked, key=lambda pair: (sign * pair[1].best, -pair[0]))[0]


def _known(values: list[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _middle(values: list[float]) -> float:
    return statistics.median(_known(values) or [math.nan])


def _mean(values: list[float]) -> float:
    return statistics.fmean(_known(values) or [math.nan])


def status_table(status: Status) -> RenderableType:
    """Where a campaign stands, for a terminal: its state, and each island's newest generation."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _status_facts(status):
        facts.add_row(name, Text(value))
    if status.islands.is_empty():
        return facts
    names = ("island", "epoch", "generation", "best", "median", "diversity", "feasible", "trials")
    table = _table(names)
    for row in status.islands.sort("island").iter_rows(named=True):
        table.add_row(*(_status_cell(row[name]) for name in names))
    return Group(facts, table)


def _status_facts(status: Status) -> list[tuple[str, str]]:
    facts = [
        ("campaign", status.name),
        ("folder", status.root),
        ("state", f"{status.state}, {status.committed} of {count(status.epochs, 'epoch')} committed"),
        ("digest", status.digest or NOTHING),
    ]
    if status.written_at is not None:
        ago = duration(max(time.time() - status.written_at, 0.0))
        facts.append(("last commit", f"{instant_text(int(status.written_at) * 1_000_000)}, {ago} ago"))
    if status.worker is not None:
        facts.append(("worked on by", f"process {status.worker.pid} on {status.worker.host}"))
    return facts


def _status_cell(value: Any) -> str:
    return number(value) if isinstance(value, float) or value is None else f"{value:,}"


def champions_table(frame: pl.DataFrame, columns: Sequence[str] = COLUMNS) -> Table:
    """`Campaign.champions()` for a terminal of 100 columns: rank, family over genes, and `columns` of the frame."""
    figures = [name for name in columns if name in frame.columns]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, padding=(0, 1))
    table.add_column("#", justify="right", no_wrap=True, vertical="top")
    table.add_column("family, genes", overflow="fold", min_width=24)
    for name in figures:
        table.add_column(_heading(name), justify="right", no_wrap=True)
    for row in frame.iter_rows(named=True):
        strategy = Text.assemble((row["family"], "bold"), "\n", short_genes(row["genes"], digits=4))
        table.add_row(str(row["rank"]), strategy, *(shown(name.removeprefix(OBJECTIVE), row[name]) for name in figures))
    return table


def forward_table(frame: pl.DataFrame, paths: Sequence[Mapping[str, float]]) -> Table:
    """`Campaign.out_of_sample()` for a terminal, and `out_of_sample_paths()` below it."""
    names = ("sharpe", "total_return", "max_drawdown", "trades")
    table = _table(("test part", "family", *map(_heading, names)))
    for row in frame.iter_rows(named=True):
        part = f"{row['from']:%Y-%m-%d} to {row['to']:%Y-%m-%d}"
        table.add_row(part, row["family"] or NOTHING, *(shown(name, row[name]) for name in names))
    for number_, whole in enumerate(paths, 1):
        figures = [NOTHING if name == "trades" else shown(name, whole[name]) for name in names]
        table.add_row(f"all, path {number_}" if len(paths) > 1 else "all, one account", "", *figures, style="bold")
    return table


def champion_columns(spec: CampaignSpec) -> list[str]:
    """The figures to show of a spec's champions: the objectives first, as pooled where that is not by the mean.

    The other figures of several instruments are means.
    """
    names = [part.name for part in spec.objectives]
    pooled = ["value"] if len(names) == 1 else [f"{OBJECTIVE}{name}" for name in names]
    return [
        *(pooled if len(spec.sources) > 1 and spec.pooling.rule != "mean" else []),
        *(name for name in names if name not in COLUMNS),
        *COLUMNS,
    ]


def _heading(column: str) -> str:
    if column == "value":
        return "pooled"
    if column.startswith(OBJECTIVE):
        return f"pooled\n{_heading(column.removeprefix(OBJECTIVE))}"
    name = column.removeprefix(HELD_BACK)
    words = _HEADINGS.get(name, name.replace("_", " "))
    return f"held\nback\n{words}" if column.startswith(HELD_BACK) else words


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
