"""The HTML report of a campaign: one page that needs nothing else, and says how much of what it shows is luck's.

Held-back figures are on it only where all epochs asked for are committed and the champions were scored there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
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
from islands.archipelago.pages import sealed
from islands.desk import charts, equity, genes, routes
from islands.desk.accounts import Account, Calendar, Stretch, calendar, stretch, trading
from islands.desk.canvas import MOST_IN_LEGEND
from islands.desk.cards import revealed_records, save
from islands.desk.figures import (
    HELD_BACK,
    costs_words,
    count,
    genes_line,
    heading,
    number,
    percent,
    searched,
    short_gene,
    short_genes,
    shown,
)
from islands.desk.robustness import EACH_HEADINGS, HEADINGS, MOST, hangs_on, on_each, shaken
from islands.desk.toml import spec_text
from islands.market.instants import duration_text, instant_text
from islands.spec import ONLY
from islands.strategies.genome import Switched

if TYPE_CHECKING:
    import numpy.typing as npt

    from islands.campaign import Campaign
    from islands.evidence.beside import Beside
    from islands.evidence.champions import Champion
    from islands.evidence.verdict import Verdict
    from islands.evolution.world import World
    from islands.market.bars import Bars
    from islands.spec import CampaignSpec
    from islands.strategies.space import Space

CURVES = 5
"""Champions whose equity is drawn."""

MOST_EDGE_ROWS = 60
"""Edges that have a row each; of more, their ends are summed up by island."""

SEEN_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate")
HELD_BACK_FIGURES = ("sharpe", "total_return", "max_drawdown", "trades")

_DAY_US = 86_400_000_000


def write_report(campaign: Campaign, path: Path) -> Path:
    """Writes the page to `path`, sealed, replacing a file that is there at once and whole.

    Raises:
        InputError: the file can't be written.
        ManifestMismatch: the bars are not at hand.
    """
    return save(path, sealed(_render(_Account(campaign))))


SECTIONS = {
    "verdicts": "Is it luck?",
    "champions": "Champions",
    "growth": "Equity, drawdown and exposure",
    "instruments": "The first champion by instrument",
    "calendars": "Returns by {span}",
    "trades": "Trades",
    "hangs_on": "What each champion hangs on",
    "forward": "Out of sample",
    "front": "Pareto front",
    "convergence": "Convergence",
    "diversity": "Diversity",
    "migration": "Migration",
    "genes": "Genes",
    "repeat": "To check and to repeat it",
}
"""Anchors and headings in the page's order; a section whose content is empty is left out, those below always stand."""

_STANDING = {"champions", "migration", "repeat"}


def _render(account: _Account) -> str:
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"shade": _shade, "in_percent": _in_percent}
    template = page.from_string(files("islands.desk").joinpath("report.html").read_text(encoding="utf-8"))
    content: dict[str, Any] = {
        "verdicts": account.verdicts(),
        "beside": [note.sentence for note in account.beside.search] if account.beside else [],
        "champions": account.champions(),
        "growth": account.growth(),
        "instruments": account.instruments(),
        "calendars": account.calendars(),
        "trades": account.trades(),
        "hangs_on": account.hangs_on(),
        "forward": account.forward(),
        "front": account.front(),
        "convergence": account.convergence(),
        "diversity": account.diversity(),
        "migration": account.migration(),
        "genes": account.genes(),
    }
    span = content["calendars"][0][1].kind if content["calendars"] else ""
    return template.render(
        version=__version__,
        plotly_js=Markup(get_plotlyjs()),
        status=account.status,
        titles={key: title.format(span=span) for key, title in SECTIONS.items() if key in _STANDING or content[key]},
        tiles=account.tiles(),
        facts=account.facts(),
        tried=account.tried(),
        seen=account.seen() if account.records else None,
        sealed=account.sealed(),
        chained=account.revealed,
        logarithmic=account.is_logarithmic(),
        front_is_one=len(account.spec.objectives) == 2,
        crowded=account.campaign.world.islands > MOST_IN_LEGEND,
        feasible=account.any_feasible(),
        stagnated=not charts.stagnations(account.history).is_empty(),
        spec=spec_text(account.spec_to_repeat()),
        level=f"{account.spec.evidence.level:g}",
        commands=account.commands(),
        **content,
    )


def accounts_of(campaign: Campaign, most: int, revealed: bool) -> list[dict[str, Account]]:
    """The first champions' accounts by instrument, best first. Nothing else here knows what Campaign.replays gives."""
    world, cash = campaign.world, campaign.spec.account.initial_cash
    found = []
    for champion, runs in campaign.replays(most):
        label, by_name = f"{champion.rank} {champion.strategy.family.name}", {}
        for market in world.markets:
            (seen, later), bars, count = runs[market.name], campaign.instruments[market.name], len(market.tape)
            held = stretch(bars, later, count, len(bars), cash) if revealed and later is not None else None
            by_name[_name(campaign, market.name)] = Account(label, stretch(bars, seen, world.warmup, count, cash), held)
        found.append(by_name)
    return found


def _name(campaign: Campaign, instrument: str) -> str:
    """What a person calls an instrument: the only one by its bars' name."""
    return campaign.instruments[instrument].name if instrument == ONLY else instrument


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


@dataclass(frozen=True)
class _Shaken:
    """A champion by instrument where there are several, and (instrument, table, sentence) of each that it was shaken on."""

    champion: str
    each: _Table | None
    parts: list[tuple[str, _Table, str]]


@dataclass(frozen=True)
class _HangsOn:
    """The champions that were shaken, how many were not, and how many instruments were left out."""

    champions: list[_Shaken]
    unshaken: int
    left: int


@dataclass(frozen=True)
class _Migration:
    """The chart, whether it is a map of arrows (and not a matrix), and the numbers by edge or by island."""

    chart: Markup
    arrows: bool
    table: _Table


@dataclass(frozen=True)
class _Genes:
    """One family in the last demes: how many, (gene, chart) of each gene that was searched, and the others in words."""

    family: str
    individuals: str
    charts: list[tuple[str, Markup]]
    fixed: str


@dataclass(frozen=True)
class _Verdict:
    """A champion, what it comes to, (mark, sentence) of each claim behind that, and sentences that stand beside it."""

    champion: str
    genes: str
    word: str
    claims: list[tuple[str, str]]
    beside: list[str]


def _claims(verdict: Verdict) -> list[tuple[str, str]]:
    return [(_PASSED[claim.passed], claim.sentence) for claim in verdict.claims]


_PASSED = {True: "passed", False: "failed", None: "not tested"}


class _Account:
    """What a campaign's page tells, as of one reading of its status."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.status = campaign.status()
        self.spec = campaign.spec
        self.instruments_seen = {market.name: len(market.tape) for market in campaign.world.markets}
        self.records = revealed_records(campaign, self.status)
        self.complete = self.status.committed >= self.status.epochs
        self.revealed = bool(self.records) and "held_back" in self.records[0]

    @cached_property
    def history(self) -> pl.DataFrame:
        return self.campaign.history()

    # The head

    def facts(self) -> list[tuple[str, str, bool]]:
        """(name, value, whether the value is a hash), for the page's head."""
        spec, status = self.spec, self.status
        of = f"{status.committed:,} of {count(status.epochs, 'epoch')} committed"
        at = "" if status.written_at is None else f", the last at {instant_text(int(status.written_at) * 1_000_000)}"
        return [
            ("State", f"{status.state}: {of}{at}", False),
            *(fact for name, bars in self.campaign.instruments.items() for fact in self._instrument(name, bars)),
            ("Objectives" if len(spec.objectives) > 1 else "Objective", self._objective(), False),
            ("Families", ", ".join(part.name for part in spec.families), False),
            *self._overlays(),
            ("Islands", self._islands(), False),
            ("Seed", str(spec.seed), False),
            ("Digest", status.digest or "none before the first commit", status.digest is not None),
            ("Manifest", self.campaign.manifest_hash, True),
            *(
                (f"Forked after epoch {past.epoch}", f"from the campaign of manifest {past.campaign}", False)
                for past in reversed(self.campaign.ancestors)
            ),
        ]

    def _overlays(self) -> list[tuple[str, str, bool]]:
        """The overlays that are genes, once where they lie over all families alike; none where there are none."""
        first = "stop" if self.spec.account.intrabar == "pessimistic" else "take-profit"
        said = {
            space.family.name: ", ".join(f"{gene.name} {searched(gene)}" for gene in space.overlays)
            + f"; of a stop and a take-profit in one bar the {first} comes first"
            for space in self.campaign.world.spaces
            if space.overlays
        }
        if len(said) == len(self.spec.families) and len(set(said.values())) == 1:
            return [("Overlays", next(iter(said.values())), False)]
        return [(f"Overlays, {name}", words, False) for name, words in said.items()]

    def _instrument(self, name: str, bars: Bars) -> list[tuple[str, str, bool]]:
        first, last = (_day(bars.timestamps[row]) for row in (0, -1))
        step = f", step {duration_text(bars.step_us)}" if bars.step_us else ""
        costs = self.spec.costs_of(name)
        words = costs_words(costs)
        if bars.funding_rate is not None:
            words += ", funding booked" if costs.funding else ", funding left out"
        what, whose = ("Bars", "Costs per side") if name == ONLY else (name, f"{name}, costs per side")
        called = f"{bars.name}, " if name == ONLY else ""
        return [(what, f"{called}{count(len(bars), 'bar')}, {first} to {last}{step}", False), (whose, words, False)]

    def _islands(self) -> str:
        spec, habitats = self.spec, self.campaign.world.habitats
        sizes = sorted({habitat.evolution.population for habitat in habitats})
        people = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        each = f"{count(len(habitats), 'island')} of {people} individuals"
        generations = f"{count(spec.evolution.generations_per_epoch, 'generation')} an epoch"
        migration = spec.migration
        travel = f"{count(migration.emigrants, 'emigrant')} an edge ({migration.selection} for {migration.replacement})"
        seldom = f" every {count(migration.interval, 'epoch')}" if migration.interval > 1 else ""
        return f"{each}, {generations}, topology {spec.archipelago.rule.name}, {travel}{seldom}"

    def _objective(self) -> str:
        spec = self.spec
        limits = []
        if spec.limits.min_trades is not None:
            limits.append(f"at least {count(spec.limits.min_trades, 'trade')}")
        if spec.limits.max_drawdown is not None:
            limits.append(f"drawdown of at most {percent(spec.limits.max_drawdown)}")
        goals = [f"{'highest' if part.goal == 'max' else 'lowest'} {heading(part.name)}" for part in spec.objectives]
        pooled = f" ({spec.pooling.rule} over instruments)" if len(self.campaign.instruments) > 1 else ""
        return f"{' and '.join(goals)}{pooled}, {' and '.join(limits) if limits else 'no limits'}"

    # What is said plainly

    @cached_property
    def trials(self) -> tuple[int, int]:
        """Distinct strategies tried, and scorings in all."""
        found = self.campaign.tried()
        return found.distinct, found.scored

    def tiles(self) -> list[tuple[str, str, bool]]:
        """(figure, what it is, whether it is of the held-back bars): the few numbers to see first."""
        objective = self.spec.objectives[0].name
        name = heading(objective)
        tiles = [(f"{self.trials[0]:,}", "distinct strategies tried", False)]
        if self.records:
            pooled, mean = (f" ({self.spec.pooling.rule})", " (mean)") if len(self.instruments_seen) > 1 else ("", "")
            best = shown(objective, self.records[0]["value"])
            tiles.append((best, f"first champion's {name}{pooled}, in-sample", False))
        if self.revealed:
            later = shown(objective, self.records[0]["held_back"][objective])
            tiles.append((later, f"its {name}{mean} on the held-back bars", True))
        return [*tiles, (f"{self.status.committed:,} / {self.status.epochs:,}", "epochs committed", False)]

    def tried(self) -> str:
        """How many strategies were tried."""
        distinct, scorings = self.trials
        if not distinct:
            return "No strategy has been tried yet."
        times = "" if scorings == distinct else f" (some on several islands or again later: {scorings:,} scorings)"
        return f"{count(distinct, 'distinct strategy', 'distinct strategies')} {_were(distinct)} tried{times}."

    def seen(self) -> str:
        """The span of the bars that the champions were scored on in evolution."""
        warmup = self.campaign.world.warmup
        spans = []
        for name, bars in self.campaign.instruments.items():
            called = "" if name == ONLY else f"{name} "
            spans.append(f"{called}{_day(bars.timestamps[warmup])} to {_day(bars.timestamps[self.instruments_seen[name] - 1])}")
        return "; ".join(spans)

    def _held_part(self) -> str | None:
        """Which bars are held back, in words; None where none are."""
        parts = []
        for name, bars in self.campaign.instruments.items():
            seen = self.instruments_seen[name]
            if seen < len(bars):
                share = f"{100.0 * (len(bars) - seen) / len(bars):.3g}%"
                whose = f"of {'the bars' if name == ONLY else name}"
                parts.append(f"last {share} {whose} ({count(len(bars) - seen, 'bar')} from {_day(bars.timestamps[seen])})")
        return f"The {' and the '.join(parts)}" if parts else None

    def sealed(self) -> str:
        """What is known of the held-back bars."""
        part = self._held_part()
        if part is None:
            return "No bars were held back: nothing here shows how the champions do on bars they were not chosen on."
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

    # Champions

    def verdicts(self) -> list[_Verdict]:
        """What the champions' figures come to; none until the campaign has finished."""
        found = self.beside
        return [
            _Verdict(
                champion=f"{row['rank']} {row['family']}",
                genes=genes_line(row["genes"]),
                word=verdict.word,
                claims=_claims(verdict),
                beside=[note.sentence for note in found.champions[row["rank"] - 1]] if found else [],
            )
            for row, verdict in zip(self.records, self.campaign.verdicts(), strict=False)
        ]

    @cached_property
    def beside(self) -> Beside | None:
        """The diagnostics beside the verdicts; None until the campaign has finished."""
        return self.campaign.beside_verdicts() if self.complete else None

    def champions(self) -> _Table | None:
        """Their table; None where there is none."""
        if not self.records:
            return None
        seen = [*(part.name for part in self.spec.objectives if part.name not in SEEN_FIGURES), *SEEN_FIGURES]
        held = [*HELD_BACK_FIGURES] if self.revealed else []
        several, rule = len(self.instruments_seen) > 1, self.spec.pooling.rule
        pooled = [part.name for part in self.spec.objectives] if several and rule != "mean" else []
        seen = [name for name in seen if not pooled or name != "win_rate"]  # the table is wide enough
        groups = [("", 2, False)] + ([(f"{rule} over instruments", len(pooled), False)] if pooled else [])
        groups.append(("in-sample, mean over instruments" if several else "in-sample", len(seen), False))
        return _Table(
            headings=["#", "strategy", *map(heading, (*pooled, *seen, *held))],
            rows=[_champion_row(row, pooled, seen, held) for row in self.records],
            text=2,
            groups=groups + ([("held back", len(held), True)] if held else []),
        )

    @cached_property
    def accounts(self) -> list[dict[str, Account]]:
        """The first champions' accounts by instrument, best first; none where there is no champion."""
        return accounts_of(self.campaign, CURVES, self.revealed) if self.records else []

    @cached_property
    def best(self) -> dict[str, Account]:
        """The first champion's account on each instrument."""
        return self.accounts[0] if self.accounts else {}

    @property
    def _on_one(self) -> list[Account]:
        """The champions' accounts where there is a single instrument."""
        return [account for by_name in self.accounts for account in by_name.values()] if len(self.best) == 1 else []

    def growth(self) -> Markup | None:
        """The champions' accounts over time, where there is a champion and one instrument."""
        return Markup(equity.growth(self._on_one)) if self._on_one else None

    def is_logarithmic(self) -> bool:
        """Whether that chart's first axis is logarithmic."""
        return bool(self._on_one) and equity.is_logarithmic(self._on_one)

    def instruments(self) -> list[tuple[str, Markup]]:
        """(instrument, chart) of the first champion, where there are several instruments."""
        if len(self.best) < 2:
            return []
        return [(name, Markup(equity.multiple(it, f"growth-{i}"))) for i, (name, it) in enumerate(self.best.items())]

    def calendars(self) -> list[tuple[str, Calendar]]:
        """(instrument, returns of the first champion by year and month or by week and day)."""
        return [(name, calendar(account)) for name, account in self.best.items()]

    def trades(self) -> tuple[_Table, Markup | None] | None:
        """What the first champion's trades come to, and their histogram where there are any; None without a champion."""
        if not self.best:
            return None
        parts = [
            (name, words, part)
            for name, account in self.best.items()
            for words, part in zip(("bars of evolution", "held back"), account.stretches, strict=False)
        ]
        several = len(self.best) > 1
        rows = [_trading_row(f"{words}\n{name}" if several else words, part) for name, words, part in parts]
        any_trade = any(len(part.trades) for _, _, part in parts)
        headings = ["run", "trades", "long", "short", "wins", "mean", "best", "worst", "median bars", "fees"]
        return _Table(headings, rows, 1, []), Markup(equity.trades([*self.best.values()])) if any_trade else None

    def hangs_on(self) -> _HangsOn | None:
        """What is left of champions where something is changed; None without a champion."""
        if not self.records:
            return None
        world, champions = self.campaign.world, self.campaign.proposed()
        first = champions[: shaken(world)]
        return _HangsOn(
            champions=[self._shaken(world, champion) for champion in first],
            unshaken=len(champions) - len(first),
            left=max(0, len(world.markets) - MOST),
        )

    def _shaken(self, world: World, champion: Champion) -> _Shaken:
        each = on_each(world, champion)
        return _Shaken(
            champion=f"{champion.rank} {champion.strategy.family.name}",
            each=_Table(EACH_HEADINGS, each, 2, []) if each else None,
            parts=[(it.instrument, _Table(HEADINGS, it.rows, 2, []), it.summary) for it in hangs_on(world, champion.strategy)],
        )

    def forward(self) -> tuple[_Table, str, list[_Verdict]] | None:
        """The test parts of the folds, all of them as accounts, and what each fold's best champion comes to; None where no
        fold has finished."""
        frame = self.campaign.out_of_sample() if self.spec.splits.kind in ("walk_forward", "combinatorial") else None
        if frame is None or frame.is_empty():
            return None
        names = ("sharpe", "total_return", "max_drawdown", "trades")
        judged = [
            _Verdict(f"fold {fold}, {best['family']}", genes_line(best["genes"]), found[0].word, _claims(found[0]), [])
            for fold, found, best in self._best_of_folds()
        ]
        rows = [
            [
                f"{row['from']:%Y-%m-%d} to {row['to']:%Y-%m-%d}",
                f"{row['family'] or 'no champion'}\n{short_genes(row['genes'] or '')}",
                shown(self.spec.objectives[0].name, row["value"]),
                *(shown(name, row[name]) for name in names),
            ]
            for row in frame.iter_rows(named=True)
        ]
        return _Table(["test part", "strategy", "in-sample", *map(heading, names)], rows, 2, []), self._paths(), judged

    def _best_of_folds(self) -> Iterator[tuple[int, list[Verdict], dict[str, Any]]]:
        """Number, verdicts and best champion of each fold that has any."""
        found = zip(self.campaign.fold_verdicts(), self.campaign.folds(), strict=True)
        for fold, (verdicts, part) in enumerate(found, 1):
            if verdicts:
                yield fold, verdicts, part.champion_records()[0]

    def _paths(self) -> str:
        """What accounts that follow the champions through all test parts come to, in words."""
        paths = self.campaign.out_of_sample_paths()
        if not paths:
            return "Not all folds have finished."
        names = ("sharpe", "total_return", "max_drawdown")
        spans = []
        for name in names:
            low, high = min(path[name] for path in paths), max(path[name] for path in paths)
            spans.append(f"{heading(name)} {shown(name, low)}" + (f" to {shown(name, high)}" if len(paths) > 1 else ""))
        accounts = "one account that follows" if len(paths) == 1 else f"{len(paths)} accounts that follow"
        return f"As {accounts} them: {', '.join(spans)}."

    # Evolution

    def front(self) -> Markup | None:
        """The Pareto front, where there are several objectives and anybody on it."""
        objectives: list[tuple[str, str]] = [(part.name, part.goal) for part in self.spec.objectives]
        if len(objectives) < 2 or not self.records:
            return None
        front = self.campaign.front().rename({"genome": "genes"})
        return Markup(charts.pareto(front, objectives, [part.name for part in self.spec.families]))

    def convergence(self) -> list[tuple[str, Markup]]:
        """(objective, chart by generation); none before the first commit."""
        names = [] if self.history.is_empty() else [part.name for part in self.spec.objectives]
        return [(name, Markup(charts.convergence(self.history, name))) for name in names]

    def diversity(self) -> list[tuple[str, Markup]]:
        """(what, chart by generation): diversity, and hypervolume where the history has it."""
        drawn = {"diversity": charts.diversity, "hypervolume": charts.hypervolume}
        columns = [] if self.history.is_empty() else [name for name in drawn if name in self.history.columns]
        return [(name, Markup(drawn[name](self.history))) for name in columns]

    def any_feasible(self) -> bool:
        """Whether any generation held a feasible strategy."""
        return not self.history.is_empty() and int(self.history["feasible"].sum()) > 0

    def migration(self) -> _Migration | None:
        """The map and its numbers; None where no edge leads anywhere, or nothing is committed."""
        world = self.campaign.world
        topology = [(source, target) for target, sources in enumerate(world.topology.senders) for source in sources]
        edges = routes.edges_of(self.campaign.migrations(), topology)
        if edges.is_empty() or self.history.is_empty():
            return None
        families = [space.family.name for space in world.spaces]
        holdings = [[families[index] for index in habitat.holdings] for habitat in world.habitats]
        drawn = Markup(routes.chart(edges, holdings, families))
        return _Migration(drawn, routes.is_drawn(edges, world.islands), _routes_table(edges, holdings))

    def genes(self) -> list[_Genes]:
        """For each family, where its genes ended."""
        states = self.campaign.position().states
        if not states:
            return []
        families = np.concatenate([state.deme.families for state in states])
        genomes = np.concatenate([state.deme.genomes for state in states])
        return [
            _genes_of(space, genomes[families == index], self.records) for index, space in enumerate(self.campaign.world.spaces)
        ]

    # To do it again

    def spec_to_repeat(self) -> CampaignSpec:
        """The spec, with bars that were given in memory under the path of their copy."""
        return self.spec.beside(self.campaign.path.absolute())

    def commands(self) -> list[tuple[str, str]]:
        """(command line, what it does)."""
        folder = shlex.quote(str(self.campaign.path))
        again = ("islands run spec.toml --dir NEW", "repeats the campaign from the spec below: the same digest")
        if self.campaign.ancestors:  # whose specs are in the manifest, not on this page
            again = (f"islands verify {folder} --replay all", "computes it again, its ancestors' epochs by their own specs")
        return [
            (f"islands verify {folder}", "checks every hash of every commit, and the digest, from the files alone"),
            (f"islands resume {folder}", "goes on from the last commit; computes no committed epoch again"),
            (f"islands report {folder}", "writes this page anew"),
            again,
        ]


def _champion_row(row: dict[str, Any], pooled: list[str], seen: list[str], held: list[str]) -> list[str]:
    genome = genes_line(row["genes"])
    figures = [shown(name, row["objectives"][name]) for name in pooled]
    figures += [shown(name, row["metrics"][name]) for name in seen]
    later = [shown(HELD_BACK + name, row["held_back"][name]) for name in held]
    return [str(row["rank"]), f"{row['family']}\n{genome}", *figures, *later]


def _trading_row(words: str, part: Stretch) -> list[str]:
    it = trading(part)
    sides = [f"{it.trades:,}", f"{it.long:,}", f"{it.trades - it.long:,}"]
    returns = [percent(value, signed=True, digits=2) for value in (it.mean, it.best, it.worst)]
    return [words, *sides, percent(it.wins), *returns, number(it.bars_held, digits=0), percent(it.fees, digits=2)]


def _routes_table(edges: pl.DataFrame, holdings: list[list[str]]) -> _Table:
    """A row for each edge, or for each island and its families where there are too many edges to read, and the sums."""
    if len(edges) <= MOST_EDGE_ROWS:
        frame = edges.select(pl.format("{} → {}", "source", "target").alias("edge"), pl.exclude("source", "target"))
    else:
        frame = routes.by_island(edges, len(holdings))
        frame = frame.with_columns(pl.Series("island", [_island(i, holdings) for i in range(len(holdings))]))
    columns = frame.columns[1:]
    rows = [[row[0], *(f"{value:,}" for value in row[1:])] for row in frame.iter_rows()]
    if len(rows) > 1:
        rows.append(["all", *(f"{int(frame[name].sum()):,}" for name in columns)])
    return _Table(frame.columns, rows, 1, [])


def _island(number: int, holdings: list[list[str]]) -> str:
    """An island's number, with its families where islands differ in them."""
    alike = all(held == holdings[0] for held in holdings)
    return str(number) if alike else f"{number}\n{' '.join(holdings[number])}"


def _genes_of(space: Space, genomes: npt.NDArray[np.float64], records: list[dict[str, Any]]) -> _Genes:
    name = space.family.name
    mine = [row for row in records if row["family"] == name]
    drawn, fixed = [], []
    for values, searched_for in zip(genomes.T, space.genes, strict=False):
        gene, share = searched_for, ""
        if isinstance(searched_for, Switched):
            gene, values = searched_for.on, values[values > 0.0]
            share = f", on in {len(values):,} of {len(genomes):,}"
        if not genes.is_searched(gene):
            fixed.append(f"{gene.name} = {short_gene(gene.show(gene.low))}{share}")
        elif len(genomes):
            champions = [(row["rank"], gene.parse(row["genes"][gene.name])) for row in mine if gene.name in row["genes"]]
            picture = genes.chart(gene, values, champions, f"gene-{name}-{gene.name}")
            drawn.append((gene.name + share, Markup(picture)))
    left = count(len(genomes), "individual") if len(genomes) else "died out"
    return _Genes(name, left, drawn, ", ".join(fixed))


def _shade(value: float, full: float = 0.08) -> str:
    """The background of a return: blue for a gain, orange for a loss, deeper up to `full`."""
    depth = min(abs(value) / full, 1.0) * 0.62
    return f"rgba({'0, 114, 178' if value > 0.0 else '213, 94, 0'}, {depth:.2f})"


def _in_percent(value: float) -> str:
    """A return in per cent without the sign for it, as a narrow cell has no room."""
    return f"{round(100.0 * value, 1) + 0.0:.1f}"


def _epochs(openings: dict[int, float]) -> str:
    return "epoch " + " and ".join(str(epoch) for epoch in openings)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _day(us: npt.NDArray[np.int64] | np.int64) -> str:
    """An instant for a person; the date alone at midnight."""
    text = instant_text(int(us))
    return text.split(" ")[0] if int(us) % _DAY_US == 0 else text
