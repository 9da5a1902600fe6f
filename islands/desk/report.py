"""The HTML report of a campaign: one page that needs nothing else, and says how much of what it shows is luck's.

Held-back figures are on it only where all epochs asked for are committed and the champions were scored there.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from islands._version import __version__
from islands.archipelago.journal import Journal
from islands.desk import charts
from islands.desk.cards import revealed_records, save
from islands.desk.figures import HELD_BACK, cost, count, percent, shown
from islands.evolution.migration import OUTCOMES
from islands.market.instants import duration_text, instant_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from islands.campaign import Campaign
    from islands.evaluation import Backtest
    from islands.spec import CampaignSpec

CURVES = 5
"""Champions whose equity is drawn."""

SEEN_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate")
HELD_BACK_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades")
_HEADINGS = {"sharpe": "Sharpe", "total_return": "return", "max_drawdown": "drawdown", "win_rate": "wins"}

_DAY_US = 86_400_000_000


def write_report(campaign: Campaign, path: Path) -> Path:
    """Writes the page to `path`, replacing a file that is there at once and whole.

    Raises:
        InputError: the file can't be written.
        ManifestMismatch: the bars are not at hand.
    """
    return save(path, _render(_Account(campaign)))


def _render(account: _Account) -> str:
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = page.from_string(files("islands.desk").joinpath("report.html").read_text(encoding="utf-8"))
    return template.render(
        version=__version__,
        plotly_js=Markup(get_plotlyjs()),
        status=account.status,
        facts=account.facts(),
        tried=account.tried(),
        seen=account.seen() if account.records else None,
        sealed=account.sealed(),
        champions=account.champions(),
        growth=_markup(account.growth()),
        chained=account.revealed,
        convergence=_markup(account.convergence()),
        diversity=_markup(account.diversity()),
        crowded=account.campaign.world.islands > charts.MOST_IN_LEGEND,
        feasible=account.any_feasible(),
        migration=account.migration(),
        spec=spec_text(account.spec_to_repeat()),
        commands=account.commands(),
    )


def _markup(fragment: str | None) -> Markup | None:
    return None if fragment is None else Markup(fragment)


@dataclass(frozen=True)
class _Table:
    """Rows of text under headings; `text` counts the columns at the left that are words, the others are numbers.

    A line break in a cell starts a smaller second line.

    groups: (title, columns, whether held back) above the headings.
    """

    headings: list[str]
    rows: list[list[str]]
    text: int
    groups: list[tuple[str, int, bool]]


class _Account:
    """What a campaign's page tells, as of one reading of its status."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.status = campaign.status()
        self.spec = campaign.spec
        self.bars = campaign.bars
        self.seen_bars = len(campaign.world.tape)
        self.records = revealed_records(campaign, self.status)
        self.complete = self.status.committed >= self.status.epochs
        self.revealed = bool(self.records) and "held_back" in self.records[0]

    @cached_property
    def history(self) -> pl.DataFrame:
        return self.campaign.history()

    # The head

    def facts(self) -> list[tuple[str, str, bool]]:
        """(name, value, whether the value is a hash), for the page's head."""
        spec, status, bars = self.spec, self.status, self.bars
        of = f"{status.committed:,} of {count(status.epochs, 'epoch')} committed"
        at = "" if status.written_at is None else f", the last at {instant_text(int(status.written_at) * 1_000_000)}"
        first, last = (_day(self.bars.timestamps[row]) for row in (0, -1))
        step = f", step {duration_text(bars.step_us)}" if bars.step_us else ""
        return [
            ("State", f"{status.state}: {of}{at}", False),
            ("Bars", f"{bars.name}, {count(len(bars), 'bar')}, {first} to {last}{step}", False),
            ("Objective", _objective(spec), False),
            ("Costs per side", f"fee {cost(spec.costs.fee)}, slippage {cost(spec.costs.slippage)}", False),
            ("Families", ", ".join(part.name for part in spec.families), False),
            ("Islands", self._islands(), False),
            ("Seed", str(spec.seed), False),
            ("Digest", status.digest or "none before the first commit", status.digest is not None),
            ("Manifest", self.campaign.manifest_hash, True),
        ]

    def _islands(self) -> str:
        spec = self.spec
        each = f"{count(self.campaign.world.islands, 'island')} of {spec.evolution.population:,} individuals"
        generations = f"{count(spec.evolution.generations_per_epoch, 'generation')} an epoch"
        emigrants = f"{count(spec.migration.emigrants, 'emigrant')} an edge"
        return f"{each}, {generations}, topology {spec.archipelago.topology}, {emigrants}"

    # What is said plainly

    def tried(self) -> str:
        """How many strategies were tried."""
        trials = self.campaign.trials()
        distinct = trials.select("family", "genome").n_unique() if len(trials) else 0
        if not distinct:
            return "No strategy has been tried yet."
        times = "" if len(trials) == distinct else f" (some on several islands or again later: {len(trials):,} scorings)"
        return f"{count(distinct, 'distinct strategy', 'distinct strategies')} {_were(distinct)} tried{times}."

    def seen(self) -> str:
        """The span of the bars that the champions were scored on in evolution."""
        return f"{self._day_of(self.campaign.world.terms.first)} to {self._day_of(self.seen_bars - 1)}"

    def sealed(self) -> str:
        """What is known of the held-back bars."""
        held = len(self.bars) - self.seen_bars
        if not held:
            return "No bars were held back: nothing here shows how the champions do on bars they were not chosen on."
        part = f"The last {100.0 * held / len(self.bars):.3g}% of the bars ({count(held, 'bar')} from "
        part += f"{self._day_of(self.seen_bars)})"
        openings = dict(self._openings())
        if not self.complete:
            again = "" if not openings else (
                f" They were opened before, after {_epochs(openings)}, and the campaign was extended since: to whoever "
                "read those figures these bars are no longer unseen."
            )  # fmt: skip
            return f"{part} are held back and stay sealed until the campaign finishes; nothing here looks at them.{again}"
        if self.status.committed not in openings:
            return f"{part} are held back and not opened yet: `islands resume` scores the champions there, once."
        when = instant_text(int(openings.pop(self.status.committed)) * 1_000_000)
        earlier = f" Before the campaign was extended, they had been opened after {_epochs(openings)}." if openings else ""
        whom = "the champions were scored there once" if self.records else "there was no champion to score there"
        return f"{part} were held back: evolution never saw them, and {whom}, when the campaign finished ({when}).{earlier}"

    def _openings(self) -> list[tuple[int, float]]:
        """(epoch, moment) of each time that the held-back bars were opened."""
        journal = Journal(self.campaign.path)
        epochs = [int(key.rpartition("/")[2]) for key in journal.folder.keys("results")]
        results = [(epoch, journal.result(epoch)) for epoch in epochs]
        return [(epoch, float(result["opened_at"])) for epoch, result in results if result is not None]

    def _day_of(self, bar: int) -> str:
        return _day(self.bars.timestamps[bar])

    # Champions

    def champions(self) -> _Table | None:
        """Their table; None where there is none."""
        if not self.records:
            return None
        seen = [*SEEN_FIGURES]
        if self.spec.objective.name not in seen:
            seen.insert(0, self.spec.objective.name)
        held = [*HELD_BACK_FIGURES] if self.revealed else []
        groups = [("", 2, False), ("in-sample", len(seen), False)]
        return _Table(
            headings=["#", "strategy", *map(_heading, seen), *map(_heading, held)],
            rows=[_champion_row(row, seen, held) for row in self.records],
            text=2,
            groups=groups + ([("held back", len(held), True)] if held else []),
        )

    def growth(self) -> str | None:
        """The chart of the first champions' accounts; None where there is no champion."""
        replays = self.campaign.replays(CURVES) if self.records else []
        if not replays:
            return None
        before = max(self.campaign.world.terms.first - 1, 0)
        held = slice(self.seen_bars - 1, None) if self.revealed else None
        lines = []
        for champion, seen, later in replays:
            name = f"{champion.rank} {champion.strategy.family.name}"
            lines.append(self._line(name, seen, later if self.revealed else None))
        price = self.bars.close / self.bars.close[before]
        stamps = self.bars.timestamps
        on_seen = (stamps[before : self.seen_bars], price[before : self.seen_bars])
        return charts.growth(lines, charts.Line("buy and hold", on_seen, (stamps[held], price[held]) if held else None))

    def _line(self, name: str, seen: Backtest, later: Backtest | None) -> charts.Line:
        """The second run starts flat with the initial cash; it is drawn from where the first one ended."""
        before, last = max(self.campaign.world.terms.first - 1, 0), self.seen_bars - 1
        cash, stamps = self.spec.account.initial_cash, self.bars.timestamps
        on_seen = (stamps[before : last + 1], seen.equity[before : last + 1] / cash)
        if later is None:
            return charts.Line(name, on_seen)
        grown = np.concatenate(([cash], later.equity[last + 1 :])) / cash
        return charts.Line(name, on_seen, (stamps[last:], on_seen[1][-1] * grown))

    # Evolution

    def convergence(self) -> str | None:
        """The chart of the objective by generation; None before the first commit."""
        return None if self.history.is_empty() else charts.convergence(self.history, self.spec.objective.name)

    def diversity(self) -> str | None:
        """The chart of diversity by generation; None before the first commit."""
        return None if self.history.is_empty() else charts.diversity(self.history)

    def any_feasible(self) -> bool:
        """Whether any generation held a feasible strategy."""
        return not self.history.is_empty() and int(self.history["feasible"].sum()) > 0

    def migration(self) -> _Table | None:
        """Immigrants by edge and outcome; None where nobody has arrived."""
        arrivals = self.campaign.migrations()
        if arrivals.is_empty():
            return None
        outcomes = [pl.col("outcome").eq(outcome).sum().alias(outcome) for outcome in OUTCOMES]
        edges = arrivals.group_by("source", "target").agg(pl.len().alias("arrived"), *outcomes).sort("source", "target")
        names = ["arrived", *OUTCOMES]
        rows = [[f"{r['source']} → {r['target']}", *(f"{r[n]:,}" for n in names)] for r in edges.iter_rows(named=True)]
        if len(rows) > 1:
            rows.append(["all", *(f"{int(edges[name].sum()):,}" for name in names)])
        return _Table(["edge", *names], rows, 1, [])

    # To do it again

    def spec_to_repeat(self) -> CampaignSpec:
        """The spec, with bars that were given in memory under the path of their copy."""
        bars, own = self.spec.bars, self.campaign.path / (self.spec.bars.path or "")
        if not bars.path or bars.path.startswith("sample:") or not own.is_file():
            return self.spec
        return self.spec.model_copy(update={"bars": bars.model_copy(update={"path": str(own)})})

    def commands(self) -> list[tuple[str, str]]:
        """(command line, what it does)."""
        folder = shlex.quote(str(self.campaign.path))
        return [
            (f"islands verify {folder}", "checks every hash of every commit, and the digest, from the files alone"),
            (f"islands resume {folder}", "goes on from the last commit; computes no committed epoch again"),
            (f"islands report {folder}", "writes this page anew"),
            ("islands run spec.toml --dir NEW", "repeats the campaign from the spec below: the same digest"),
        ]


def _objective(spec: CampaignSpec) -> str:
    limits = []
    if spec.limits.min_trades is not None:
        limits.append(f"at least {count(spec.limits.min_trades, 'trade')}")
    if spec.limits.max_drawdown is not None:
        limits.append(f"drawdown of at most {percent(spec.limits.max_drawdown)}")
    goal = "highest" if spec.objective.goal == "max" else "lowest"
    return f"{goal} {spec.objective.name.replace('_', ' ')}, {' and '.join(limits) if limits else 'no limits'}"


def _champion_row(row: dict[str, Any], seen: list[str], held: list[str]) -> list[str]:
    genes = " ".join(f"{name}={_gene(value)}" for name, value in row["genes"].items())
    figures = [shown(name, row["metrics"][name]) for name in seen]
    later = [shown(HELD_BACK + name, row["held_back"][name]) for name in held]
    return [str(row["rank"]), f"{row['family']}\n{genes}", *figures, *later]


def _gene(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _heading(name: str) -> str:
    return _HEADINGS.get(name, name.replace("_", " "))


def _epochs(openings: dict[int, float]) -> str:
    return "epoch " + " and ".join(str(epoch) for epoch in openings)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _day(us: npt.NDArray[np.int64] | np.int64) -> str:
    """An instant for a person; the date alone at midnight."""
    text = instant_text(int(us))
    return text.split(" ")[0] if int(us) % _DAY_US == 0 else text


def spec_text(spec: CampaignSpec) -> str:
    """A spec as TOML that `CampaignSpec.read` takes: every value written out, those that are None left out."""
    values = spec.model_dump(mode="json", exclude_none=True)
    plain = [f"{_key(k)} = {_toml(v)}" for k, v in values.items() if not isinstance(v, dict) and not _are_tables(v)]
    parts = ["\n".join(plain)]
    for key, value in values.items():
        tables = [value] if isinstance(value, dict) else value if _are_tables(value) else []
        head = f"[{key}]" if isinstance(value, dict) else f"[[{key}]]"
        parts += ["\n".join([head, *(f"{_key(k)} = {_toml(v)}" for k, v in table.items())]) for table in tables]
    return "\n\n".join(parts) + "\n"


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
