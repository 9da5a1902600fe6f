"""How campaigns on Ray grow with their workers: strong and weak scaling, and the overhead at many logical workers.

Strong: one campaign on more and more workers. Weak: as many islands more as workers. Where there are fewer cores than
workers, efficiency is of the cores: what more processes than these cost. Overhead:
workers that wait for a second, then answer with the true result, computed before: far more of them than cores, so that
what is left of each second is what coordinator, Ray and commits cost. Efficiency is the workers' time in steps, of all their
time from the first step's begin until the last one was handed out; behind that a campaign just ends.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import waiting
from benchmarks.failpoints import ENVIRONMENT, diary, plan
from islands.campaign import Campaign
from islands.spec import CampaignSpec

COST_S = 1.0
LOGICAL, ISLANDS, POPULATION, EPOCHS = 16, 100, 1_000, 4
ROUNDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each campaign of real work")


def measure(data: Path, out: Path, rounds: int) -> dict[str, Any]:
    real = [_real(workers, islands, rounds) for workers, islands in _sizes([1, 2, 4])]
    return {"real": real, "rounds": rounds, "waiting": waiting_for_commits()}


def _sizes(counts: list[int]) -> list[tuple[int, int]]:
    """(workers, islands): the strong ones, then the weak ones."""
    most = 4 * counts[-1]
    return [(workers, most) for workers in counts] + [(workers, 4 * workers) for workers in counts[:-1]]


def _spec(bars: str, islands: int, population: int, epochs: int, generations: int) -> CampaignSpec:
    return CampaignSpec(
        seed=3,
        bars={"path": bars},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": "benchmarks.failpoints:victim"}],
        evolution={"population": population, "epochs": epochs, "generations_per_epoch": generations},
        archipelago={"islands": islands},
    )


@contextmanager
def _cluster(folder: str, cpus: int, **environment: str) -> Iterator[Path]:
    """A Ray of so many logical CPUs, whose processes keep a diary in the folder that is returned."""
    import ray

    notes = Path(folder) / "diary"
    os.environ.update({ENVIRONMENT: str(notes), "RAY_USAGE_STATS_ENABLED": "0", **environment})
    plan(notes, [])
    ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield notes
    finally:
        ray.shutdown()
        for name in (ENVIRONMENT, *environment):
            del os.environ[name]


def _real(workers: int, islands: int, rounds: int) -> dict[str, Any]:
    """Seconds from the first step's begin to the last one's end."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder, _cluster(folder, workers) as notes:
        for number in range(rounds):
            plan(notes, [])
            campaign = Campaign.create(_spec("sample:eurusd", islands, 400, 4, 5), Path(folder) / f"run-{number}")
            campaign.run(workers=workers)
            entries = diary(notes)
            begins = [entry["at"] for entry in entries if entry["what"] == "begins"]
            seconds.append(max(entry["at"] for entry in entries if entry["what"] == "done") - min(begins))
    return {"workers": workers, "islands": islands, "seconds": seconds}


def waiting_for_commits() -> dict[str, Any]:
    """The simulated cost: efficiency, and the share of their time in which workers had nothing to do while a commit was
    written."""
    from islands.runtime import inline

    with tempfile.TemporaryDirectory() as folder:
        spec = _spec("sample:sp500", ISLANDS, POPULATION, EPOCHS, 2)
        true = inline.advance_epoch
        inline.advance_epoch = waiting.keeping(Path(folder) / "answers", true)
        reference = Campaign.create(spec, Path(folder) / "reference")
        reference.run("inline")
        inline.advance_epoch = true
        answers = f"{folder}/answers:{COST_S}"
        with _cluster(folder, LOGICAL, **{waiting.ENVIRONMENT: answers}) as notes:
            campaign = Campaign.create(spec, Path(folder) / "run")
            campaign.run(workers=LOGICAL)
            entries = diary(notes)
        if campaign.digest() != reference.digest():
            raise SystemExit("the digest is not that of the inline run")
    commits = [(e["at"] - e["seconds"], e["at"]) for e in entries if e["what"] == "committed"]
    begins = [e for e in entries if e["what"] == "begins"]
    end = max(entry["at"] for entry in begins)
    window = end - begins[0]["at"]
    gaps = [gap for pid in {e["pid"] for e in begins} for gap in _gaps([e["at"] for e in begins if e["pid"] == pid], end)]
    idle, blocked = sum(b - a for a, b in gaps), sum(_overlap(gap, commit) for gap in gaps for commit in commits)
    return {
        "islands": ISLANDS,
        "population": POPULATION,
        "workers": LOGICAL,
        "cost_s": COST_S,
        "efficiency": 1.0 - idle / (LOGICAL * window),
        "share": blocked / (LOGICAL * window),
        "commit_s": statistics.median(b - a for a, b in commits),
    }


def _gaps(begins: list[float], end: float) -> list[tuple[float, float]]:
    """When a worker had nothing to do, from its first step on."""
    return [(at + COST_S, later) for at, later in zip(begins, [*begins[1:], end], strict=True) if later > at + COST_S]


def _overlap(gap: tuple[float, float], commit: tuple[float, float]) -> float:
    return max(min(gap[1], commit[1]) - max(gap[0], commit[0]), 0.0)


def table(figures: dict[str, Any]) -> str:
    real, waited, machine = figures["real"], figures["waiting"], figures["machine"]
    seconds = {(case["workers"], case["islands"]): statistics.median(case["seconds"]) for case in real}
    most = max(islands for _, islands in seconds)
    cores = machine["cores"]
    lines = ["| | workers | islands | seconds | efficiency |", "|---|---|---|---|---|"]
    for kind in ("strong", "weak"):
        rows = [(w, i) for w, i in sorted(seconds) if (i == most if kind == "strong" else i == 4 * w)]
        alone = seconds[rows[0]]
        for workers, islands in rows:
            ideal = alone / min(workers, cores) * (1 if kind == "strong" else workers)
            share = 100.0 * ideal / seconds[workers, islands]
            of = f"{workers}, on {cores} cores" if workers > cores else str(workers)
            lines.append(f"| {kind} | {of} | {islands} | {seconds[workers, islands]:.1f} | {share:.0f}% |")
    lines.append(
        f"| simulated, {waited['cost_s']:g} s a step | {waited['workers']} | {waited['islands']} | "
        f"| {100.0 * waited['efficiency']:.1f}% |"
    )
    lines.append("")
    lines.append(
        f"{machine['cores']} cores ({machine['cpu']}), medians of {figures['rounds']}. The simulated one: islands of "
        f"{waited['population']:,}, commits of {waited['commit_s']:.2f} s, for which workers waited "
        f"{100.0 * waited['share']:.1f} % of their time."
    )
    return "\n".join(lines)
