"""The command line: `islands COMMAND`.

Exit codes: 0 done, 1 failed, 2 bad input, 128 + n after a clean stop by signal n (130 for Ctrl-C), which leaves a
campaign that `islands resume` goes on with. No traceback reaches the user.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import tempfile
import traceback
import warnings
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from islands.errors import InputError, IslandsError, IslandsWarning

if TYPE_CHECKING:
    from islands.campaign import Campaign
    from islands.evidence.beside import Beside
    from islands.market.bars import Bars

app = typer.Typer(
    name="islands",
    help="Evolve trading strategies on many islands at once, honestly, and survive any failure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Where nobody's terminal sets a width, tables keep theirs.
out = Console(emoji=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 132)
err = Console(stderr=True, emoji=False)

RUNS = Path("runs")

Dir = Annotated[Path, typer.Argument(help="The campaign's folder.", metavar="DIR")]
RuntimeOption = Annotated[Literal["ray", "inline"], typer.Option(help="Ray actors, or this process alone.")]
WorkersOption = Annotated[int | None, typer.Option(help="Island actors on Ray; by default one a CPU.")]
AddressOption = Annotated[str | None, typer.Option(help="A Ray cluster: auto or ray://...; by default an embedded one.")]
ForOption = Annotated[str | None, typer.Option("--for", help="Stop at the first commit after this long: 90s, 30m, 8h, 2d.")]
BarsOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[NAME=]FILE", help="The same bars, where their file has moved; of several instruments by name."),
]
ReadOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="How to read a file, as `read_bars` takes it: scale=0.00001; repeatable."),
]
KeepLastOption = Annotated[
    int | None,
    typer.Option(metavar="K", help="From the next commit on, only the last K epochs keep their demes on the disk; at least 2."),
]
KeepEveryOption = Annotated[int | None, typer.Option(metavar="N", help="With --keep-last: and every N-th epoch; 1 is all.")]
AcceptOption = Annotated[list[str] | None, typer.Option(help="Go on with this difference, and record it; repeatable.")]
TakeOverOption = Annotated[bool, typer.Option("--take-over", help="Fence off the process that works on the campaign now.")]


@app.command()
def run(
    spec: Annotated[Path | None, typer.Argument(help="The spec (TOML); without one the sample campaign.")] = None,
    dir: Annotated[Path | None, typer.Option(help="A new folder; by default runs/NAME.")] = None,
    runtime: RuntimeOption = "ray",
    workers: WorkersOption = None,
    address: AddressOption = None,
    for_: ForOption = None,
    keep_last: KeepLastOption = None,
    keep_every: KeepEveryOption = None,
) -> None:
    """Start a campaign and work on it: live progress, a table of champions, a report."""
    from islands.campaign import Campaign
    from islands.forecast import disk_estimate
    from islands.orders import Orders
    from islands.spec import CampaignSpec

    options: dict[str, Any] = {"runtime": runtime, "workers": workers, "address": address, "seconds": _seconds(for_)}
    options |= {"keep_last": keep_last, "keep_every": keep_every}
    Orders(**options)  # what can't be meant is refused before a folder is made
    if spec is None:
        with resources.as_file(resources.files("islands.desk") / "sample.toml") as path:
            parsed = CampaignSpec.read(path)
    else:
        parsed = CampaignSpec.read(spec)
    campaign = Campaign.create(parsed, dir or _free_folder(parsed.name))
    size = disk_estimate(campaign.world) / 2**20
    where = f"[bold]{escape(parsed.name)}[/] in {escape(str(campaign.path))}"
    out.print(f"{where}, at most {size:,.0f} MiB", highlight=False, soft_wrap=True)
    _work(campaign, **options)


@app.command()
def init(
    bars: Annotated[list[str], typer.Argument(help="Files, globs, sample:NAME or synthetic:KIND; several are instruments.")],
    path: Annotated[Path, typer.Option("--out", help="Where to write the spec.")] = Path("spec.toml"),
    name: Annotated[str | None, typer.Option(help="The campaign's name; by default the bars'.")] = None,
    read: ReadOption = None,
) -> None:
    """Write a commented spec for your bars, to be read and changed."""
    from islands.desk.cards import save
    from islands.desk.draft import draft

    reading = _reading(read or [])
    found = [(place, _bars_at(place, reading)) for place in bars]
    instruments = {part.name: (place, part) for place, part in found}
    if len(instruments) < len(found):
        raise InputError("two of the bars have the same name; rename a file, or write the spec's [instruments] by hand")
    if path.exists():
        raise InputError(f"{path} exists already; choose another --out, or remove it")
    text = draft(instruments, reading, path, name or "-".join(instruments))
    out.print(f"{save(path, text)}; look at its costs, then: islands validate {path}", soft_wrap=True, highlight=False)


@app.command()
def validate(spec: Annotated[Path, typer.Argument(help="The spec (TOML).")]) -> None:
    """Check a spec on its bars, and say what it will do and what that takes."""
    from islands.desk.plan import doubts, plan
    from islands.evolution.island import try_settings
    from islands.forecast import forecast
    from islands.instruments import bars_of, world_of
    from islands.spec import CampaignSpec

    parsed = CampaignSpec.read(spec)
    found = bars_of(parsed)
    world = world_of(parsed, found)
    try_settings(world)
    expected = forecast(world)
    out.print(plan(world, found, expected))
    for doubt in doubts(world, found, expected):
        _warn(doubt)
    out.print(f"{spec} is sound; start it with: islands run {spec}", soft_wrap=True, highlight=False)


@app.command()
def resume(
    dir: Dir,
    runtime: RuntimeOption = "ray",
    workers: WorkersOption = None,
    address: AddressOption = None,
    for_: ForOption = None,
    bars: BarsOption = None,
    keep_last: KeepLastOption = None,
    keep_every: KeepEveryOption = None,
    accept: AcceptOption = None,
    take_over: TakeOverOption = False,
) -> None:
    """Go on with a campaign from its last commit; safe in a loop, and after any failure."""
    campaign = _open(dir, bars)
    _work(
        campaign,
        runtime=runtime,
        workers=workers,
        address=address,
        seconds=_seconds(for_),
        keep_last=keep_last,
        keep_every=keep_every,
        accept=tuple(accept or ()),
        take_over=take_over,
    )


@app.command()
def extend(dir: Dir, epochs: Annotated[int, typer.Option(help="The number of epochs in all.")]) -> None:
    """Raise the number of epochs: who works on the campaign sees it at its next commit, else `resume` goes on."""
    campaign = _open(dir)
    campaign.extend(epochs)
    way = "" if campaign.status().worker else f"; go on with: islands resume {dir}"
    out.print(f"asked for {epochs} epochs{way}", highlight=False, soft_wrap=True)


@app.command()
def fork(
    dir: Dir,
    new: Annotated[Path, typer.Argument(help="The fork's folder, new or empty.", metavar="NEW")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="What changes in the spec, as TOML: evolution.mutation.eta=5.0; repeatable."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="The number of epochs in all.")] = None,
    bars: BarsOption = None,
) -> None:
    """Begin a campaign that goes on from the last commit of another one: other operators, another seed, more epochs."""
    changes = _changes(set_ or [])
    if epochs is not None:
        changes["evolution.epochs"] = epochs
    campaign = _open(dir, bars).fork(new, changes)
    past, tried = campaign.ancestors[-1], campaign.tried()
    where = f"forked at epoch {past.epoch}, digest {past.digest[:12]}, into {campaign.path}"
    out.print(f"{where}: {tried.distinct:,} strategies tried so far count on", highlight=False, soft_wrap=True)
    out.print(f"go on with: islands resume {new}", highlight=False, soft_wrap=True)


@app.command()
def stop(dir: Dir) -> None:
    """Ask whoever works on a campaign to stop at its next commit."""
    campaign = _open(dir)
    worker = campaign.status().worker
    if worker is None:
        raise InputError(f"{dir}: nobody works on this campaign, so there is nothing to stop")
    campaign.stop()
    out.print(f"asked process {worker.pid} on {worker.host} to stop at its next commit", highlight=False)


@app.command()
def status(dir: Dir) -> None:
    """Where a campaign stands, running or not, without disturbing it."""
    from islands.desk.watch import status_table

    out.print(status_table(_open(dir).status()))


@app.command()
def report(dir: Dir, bars: BarsOption = None) -> None:
    """Write the HTML report into the campaign's folder."""
    out.print(str(_open(dir, bars).report()), soft_wrap=True, highlight=False)


@app.command()
def verify(
    dir: Dir,
    replay: Annotated[
        str | None,
        typer.Option(metavar="all|sample|ISLAND:EPOCH", help="Compute these epochs again, and compare them bit for bit."),
    ] = None,
    bars: BarsOption = None,
) -> None:
    """Check every recorded hash, that the digests follow from the files, and that this machine reproduces the campaign."""
    campaign = _open(dir, bars)
    problems = campaign.verify(replay, lambda cost: out.print(cost, soft_wrap=True, highlight=False))
    for problem in problems:
        err.print(f"[red]wrong:[/] {escape(problem)}", soft_wrap=True, highlight=False)
    if problems:
        raise typer.Exit(1)
    standing = campaign.status()
    what = f"{standing.committed} epochs verified" + (f", {replay} reproduced" if replay else "")
    out.print(f"{what}, digest {standing.digest or 'none yet'}", soft_wrap=True, highlight=False)


@app.command()
def verdict(dir: Dir, bars: BarsOption = None) -> None:
    """Say of each champion of a finished campaign whether it is luck, with the number behind each sentence."""
    from islands.desk.verdicts import fold_line, note_line, verdict_lines, verdict_summary

    campaign = _open(dir, bars)
    found = campaign.verdicts()
    if not found:
        raise InputError(f"{dir} has no champions to judge: {_why_unjudged(campaign)}")
    stands = _beside(campaign)
    out.print(verdict_lines(campaign.champion_records(), found, stands), highlight=False)
    out.print(verdict_summary(found), highlight=False)
    for note in stands.search if stands else ():
        out.print(note_line(note), highlight=False)
    for number, judged in enumerate(campaign.fold_verdicts(), 1):
        out.print(fold_line(number, judged), highlight=False, soft_wrap=True)


def _beside(campaign: Campaign) -> Beside | None:
    """The diagnostics, which take the bars and a whole ledger where the verdicts are on record."""
    try:
        return campaign.beside_verdicts()
    except (IslandsError, OSError) as error:
        _warn(f"what stands beside the verdicts could not be computed: {error}")
        return None


def _why_unjudged(campaign: Campaign) -> str:
    standing = campaign.status()
    if standing.committed < standing.epochs:
        return f"{standing.committed} of {standing.epochs} epochs are committed, and they are judged when all are; resume it"
    return "nothing that was tried kept within the limits, or `islands resume` has not closed it yet"


@app.command()
def null(
    dir: Dir,
    runs: Annotated[int | None, typer.Option(help="Repetitions of each of the two nulls: by default as the spec says.")] = None,
    runtime: RuntimeOption = "ray",
    workers: WorkersOption = None,
    address: AddressOption = None,
    diagnostics: Annotated[
        bool, typer.Option("--diagnostics", help="On bars that keep their autocorrelation; enters no verdict.")
    ] = False,
    bars: BarsOption = None,
) -> None:
    """Repeat a finished campaign on bars where there is nothing to find: how often does luck do as well?"""
    from islands.desk.verdicts import verdict_lines, verdict_summary
    from islands.evidence.verdict import said_p

    campaign = _open(dir, bars)
    found = campaign.null(
        runs,
        runtime,
        workers=workers,
        address=address,
        diagnostics=diagnostics,
        announce=lambda cost: out.print(cost, soft_wrap=True, highlight=False),
        on_run=_null_shown,
    )
    for kind, p in found.items():
        if p is not None:
            out.print(f"{_null_name(kind)}: {said_p(p)}", highlight=False)
    out.print(verdict_lines(campaign.champion_records()[:1], campaign.verdicts()[:1]), highlight=False)
    out.print(verdict_summary(campaign.verdicts()), highlight=False)
    _report(campaign)


def _null_name(kind: str) -> str:
    return {"phases": "randomised phases", "blocks": "blocks drawn anew"}.get(kind, f"{kind} drift")


def _null_shown(run: Any, done: int) -> None:
    if done % 10 == 0 or out.is_terminal:
        out.print(
            f"{_null_name(run.kind)}, run {run.run}: {run.value:.4g} from {run.trials:,} trials in {run.seconds:.1f} s",
            highlight=False,
        )


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A file of the campaign's folder failures/, or its folder.", metavar="FILE|DIR")],
    born: Annotated[
        str | None, typer.Argument(help="With the folder: a trial of its ledger, ISLAND.GENERATION.SLOT.", metavar="[BORN]")
    ] = None,
    limit: Annotated[str, typer.Option(help="How long a genome may take: 90s, 5m.")] = "60s",
    bars: BarsOption = None,
) -> None:
    """Score again, in a process of its own, what a campaign could not score; exit code 1 where it fails still."""
    seconds = _seconds(limit, "--limit") or 60.0
    if born is None:
        again = _open(file.absolute().parent.parent, bars).replay_failure(file, seconds)
    else:
        again = _open(file, bars).replay_trial(born, seconds)
    for what, error in again:
        verdict = "[green]scored[/]" if error is None else f"[red]fails:[/] {escape(error)}"
        out.print(f"{escape(what)}: {verdict}", soft_wrap=True, highlight=False)
    if any(error is not None for _, error in again):
        raise typer.Exit(1)


@app.command()
def export(dir: Dir, path: Annotated[Path | None, typer.Option("--out", help="A JSON file.")] = None) -> None:
    """Write the champions as JSON strategy cards."""
    out.print(str(_open(dir).export(path)), soft_wrap=True, highlight=False)


@app.command()
def families(name: Annotated[str | None, typer.Argument(help="One family, in full.")] = None) -> None:
    """List the families that can be evolved, or explain one; your own by its address, module:name."""
    from islands.strategies.families import FAMILIES, family

    for kind in [family(name)] if name else FAMILIES.values():
        out.print(f"[bold]{kind.name}[/]  {escape(kind.doc if name else kind.doc.splitlines()[0])}", highlight=False)
        for gene in kind.genes if name else ():
            bounds = ", ".join(getattr(gene, "options", ())) or f"{gene.low:g} to {gene.high:g}"
            out.print(f"  {gene.name} = {gene.show(gene.default)}   searched: {bounds}", highlight=False)
        for rule in kind.constraints if name else ():
            out.print(f"  {rule}", highlight=False)


@app.command("check-family")
def check_family(
    name: Annotated[str, typer.Argument(help="Your own as module:name, or a built-in.", metavar="MODULE:NAME")],
    bars: Annotated[str | None, typer.Argument(help="Bars to try it on as well: a file, a glob, sample:NAME.")] = None,
    read: ReadOption = None,
) -> None:
    """Try whether a family peeks: whether any decision changes with the bars that come later."""
    from islands.desk.check import checked, checked_on
    from islands.strategies.families import find

    found = None if bars is None else _bars_at(bars, _reading(read or []))
    kind = find(name)
    out.print(checked(kind), highlight=False, soft_wrap=True)
    if found is not None:
        out.print(checked_on(kind, found), highlight=False, soft_wrap=True)
    out.print(f"[bold]{kind.name}[/] is sound: no decision was seen to depend on a later bar", highlight=False, soft_wrap=True)


@app.command()
def backtest(
    bars: Annotated[str, typer.Argument(help="A file, a glob, sample:NAME or synthetic:KIND.")],
    family: Annotated[str, typer.Argument(help="A family's name; see `islands families`.")],
    genes: Annotated[
        list[str] | None, typer.Argument(help="fast=12 slow=26 direction=long stop_loss=0.02", metavar="GENE=VALUE...")
    ] = None,
    fee: Annotated[float, typer.Option(help="Fraction of the traded notional, per side.")] = 0.0,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, per side.")] = 0.0,
    maker_fee: Annotated[float | None, typer.Option(help="Of a take-profit at its level; else the fee.")] = None,
    fixed_fee: Annotated[float, typer.Option(help="Amount an order, on top of the fee.")] = 0.0,
    minimum_fee: Annotated[float, typer.Option(help="Least amount that an order pays.")] = 0.0,
    participation: Annotated[float | None, typer.Option(help="An order's share of a bar's volume at most.")] = None,
    borrow: Annotated[float, typer.Option(help="What a short pays of its notional, per year.")] = 0.0,
    funding: Annotated[bool, typer.Option(help="Book the bars' funding, where they have any.")] = True,
    optimistic: Annotated[bool, typer.Option("--optimistic", help="A take-profit comes before a stop in one bar.")] = False,
    trades: Annotated[bool, typer.Option("--trades", help="List the trades.")] = False,
    read: ReadOption = None,
) -> None:
    """Run one strategy over bars and print what it was worth."""
    import islands as isl

    found = _bars_at(bars, _reading(read or []))
    strategy = isl.Strategy(family, **_genes(genes or []))
    costs = isl.Costs(fee, slippage, maker_fee, fixed_fee, minimum_fee, participation, borrow, funding)
    result = isl.backtest(found, strategy, costs, isl.Stops(intrabar="optimistic" if optimistic else "pessimistic"))
    out.print(f"{strategy!r}\n{found!r}", highlight=False, soft_wrap=True)
    for name, value in result.metrics.items():
        out.print(f"  {name:<19} {value:>12.6g}", highlight=False)
    parts = ", ".join(f"{name} {amount:,.2f}" for name, amount in result.pnl.items() if amount or name == "price")
    out.print(f"  gained {sum(result.pnl.values()):,.2f}: {parts}", highlight=False)
    if trades:
        with _whole_frames():
            out.print(str(result.trades), highlight=False, soft_wrap=True)


@app.command()
def sample(
    name: Annotated[str | None, typer.Argument(help="One of the packaged series.")] = None,
    path: Annotated[Path | None, typer.Option("--out", help="Write it there (.parquet, .arrow, .csv).")] = None,
) -> None:
    """List the packaged series of bars, show one, or write it to a file."""
    import islands as isl

    if name is None:
        for known, words in isl.samples().items():
            out.print(f"[bold]{known}[/]  {escape(words)}", highlight=False)
        return
    found = isl.sample(name)
    out.print(repr(found), highlight=False, soft_wrap=True)
    if path is not None:
        found.write(path)
        out.print(str(path), highlight=False, soft_wrap=True)


def _work(campaign: Campaign, **options: Any) -> None:
    """Runs a campaign under the eyes of the user, and shows what came of it."""
    from islands.desk.watch import champion_columns, champions_table, forward_table, watch

    try:
        with watch(campaign.spec.name, campaign.spec.objectives[0].goal, out) as on_progress:
            report = campaign.run(on_progress=on_progress, **options)
    except OSError:
        _warn(f"the campaign stands at its last commit; mend what the system refused, then: islands resume {campaign.path}")
        raise
    for note in report.notes:
        _warn(note)
    if report.lost:
        steps = f"{len(report.lost)} step{'s' * (len(report.lost) > 1)}"
        _warn(f"{steps} died with a worker or a coordinator, which was replaced; computed again, with the same result")
    if report.committed:
        out.print(champions_table(campaign.champions(), champion_columns(campaign.spec)))
        _judge(campaign)
        if report.finished and campaign.folds():
            out.print(forward_table(campaign.out_of_sample(), campaign.out_of_sample_paths()))
        out.print(f"digest {campaign.digest()} after epoch {report.committed}", soft_wrap=True, highlight=False)
        _report(campaign)
    if not report.finished:
        out.print(f"stopped after epoch {report.committed}; go on with: islands resume {campaign.path}", highlight=False)
    if report.signal is not None and not report.finished:
        raise typer.Exit(128 + report.signal)


def _judge(campaign: Campaign) -> None:
    """The first champion's verdict, and what the others come to; nothing before the campaign has finished."""
    from islands.desk.verdicts import verdict_lines, verdict_summary

    found = campaign.verdicts()
    if found:
        out.print(verdict_lines(campaign.champion_records()[:1], found[:1]), highlight=False)
        unasked = any(claim.passed is None and claim.name.startswith("null") for claim in found[0].claims)
        way = f"; is it luck? islands null {campaign.path}" if unasked else ""
        out.print(f"{verdict_summary(found)}{way}", soft_wrap=True, highlight=False)


def _report(campaign: Campaign) -> None:
    """The report of a run that is whole either way."""
    try:
        out.print(f"report {campaign.report()}", soft_wrap=True, highlight=False)
    except (IslandsError, OSError) as error:
        _warn(f"no report was written: {error}")


def _open(dir: Path, bars: list[str] | None = None) -> Campaign:
    from islands.campaign import Campaign
    from islands.market.sources import bars_at
    from islands.spec import ONLY

    campaign = Campaign.open(dir)
    if not bars:
        return campaign
    sources = campaign.spec.sources
    moved = {}
    for text in bars:
        name, given, place = text.partition("=")
        name, place = (name, place) if given and name in sources else (next(iter(sources)), text)
        if len(sources) > 1 and place == text:
            raise InputError(f"--bars {text}: expected NAME=FILE, with NAME out of {', '.join(sources)}")
        moved[name] = bars_at(place, None if name == ONLY else name, **sources[name].reading)
    return Campaign.open(dir, moved)


def _bars_at(place: str, reading: dict[str, Any]) -> Bars:
    from islands.market.sources import bars_at

    return bars_at(place, **reading)


def _reading(texts: list[str]) -> dict[str, Any]:
    """The arguments of `read_bars` of --read KEY=VALUE; columns.OURS=THEIRS names one column."""
    from islands.spec import reading_of

    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--read {text}: expected KEY=VALUE, such as scale=0.00001")
        if key.startswith("columns."):
            values.setdefault("columns", {})[key.removeprefix("columns.")] = value
        elif key == "columns":
            values[key] = value.split(",")
        else:
            values[key] = {"true": True, "false": False}.get(value, _number(value))
    reading = reading_of(values, "--read").reading
    return {key: reading[key] for key in values}


def _changes(texts: list[str]) -> dict[str, Any]:
    """The changes of --set KEY=VALUE: values are TOML, and words without quotes are text."""
    import tomllib

    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text}: expected KEY=VALUE, such as evolution.mutation.eta=5.0")
        if key.strip() in changes:
            raise InputError(f"--set {text}: {key.strip()} is given twice")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key.strip()] = value.strip()
    return changes


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _free_folder(name: str) -> Path:
    """runs/NAME, or the first of runs/NAME-2, runs/NAME-3, ... that does not exist."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "campaign"
    number, folder = 1, RUNS / stem
    while folder.exists():
        number += 1
        folder = RUNS / f"{stem}-{number}"
    return folder


def _seconds(text: str | None, option: str = "--for") -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip())
    if match is None or float(match[1]) == 0.0:
        raise InputError(f"{option} {text}: expected a duration: 90s, 30m, 8h or 2d")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _genes(texts: list[str]) -> dict[str, int | float | str]:
    pairs = [_gene(text) for text in texts]
    for name, _ in pairs:
        if [other for other, _ in pairs].count(name) > 1:
            raise InputError(f"gene {name} is given twice")
    return dict(pairs)


def _gene(text: str) -> tuple[str, int | float | str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{text!r}: expected GENE=VALUE, such as fast=12")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _whole_frames() -> Any:
    import polars as pl

    return pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200)


@functools.cache  # what was said once is not said again
def _warn(text: str) -> None:
    err.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=True, highlight=False)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, IslandsWarning):
        _warn(str(message))


def _complain(text: str) -> None:
    err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)


def main() -> None:
    """The entry point of the command `islands`."""
    warnings.showwarning = _show_warning
    sys.path.append(os.getcwd())  # where a user's own operators and families lie; last, so that nothing is hidden by them
    try:
        code = app(standalone_mode=False)
    except IslandsError as error:
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        code = 1
    except OSError as error:
        _complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        code = 1
    except Exception as error:
        code = _usage_error(error)
    sys.exit(code if isinstance(code, int) else 0)


def _usage_error(error: Exception) -> int:
    """A wrong call of the command line shows itself; anything else is a bug, kept for its report in a file."""
    if isinstance(error, typer.Abort):  # what typer makes of a KeyboardInterrupt
        _complain("interrupted; a campaign stands at its last commit")
        return 130
    show, exit_code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(exit_code, int):
        show()
        return exit_code
    with tempfile.NamedTemporaryFile("w", prefix="islands-error-", suffix=".txt", delete=False) as file:
        file.write(json.dumps(sys.argv) + "\n")
        traceback.print_exception(error, file=file)
    _complain(f"{type(error).__name__}: {error}\nthis is a bug of islands; please report it with {file.name}")
    return 1
