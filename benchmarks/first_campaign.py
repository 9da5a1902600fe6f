"""How long whole campaigns take on Ray, from the command to the champions, and how much memory they use.

Each campaign is started as a user starts it, `islands run` in a process of its own: Python's, Ray's and the kernels'
start are in the figure. Memory is the largest sum, over the process and all its descendants, of their proportional set
sizes: what the run really occupies, shared pages counted once. The result is verified: the files by `verify`, and the
digest by computing the first epochs again inline.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from islands.campaign import Campaign

SPEC = """
name = "{name}"
seed = 1
[bars]
path = "{path}"
[costs]
fee = 0.0005
slippage = 0.0001
[[families]]
name = "ema_crossover"
[[families]]
name = "sma_trend"
[[families]]
name = "rsi_mean_reversion"
[limits]
min_trades = 10
[evolution]
population = {population}
epochs = {epochs}
generations_per_epoch = 5
[archipelago]
islands = 4
"""

CASES = (
    # name, file, strategies in all, generations, runs, epochs computed again to verify the digest
    ("hourly", "btcusdt_1h_2020_2021_funding.parquet", 100, 20, 3, 4),
    ("minutes", "btcusdt_1m_2021.parquet", 1_000, 50, 1, 1),
)
WORKERS = 2
RENT = 0.10  # USD an hour for a machine of two cores: about what large clouds ask on demand


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Runs every case and returns its figures."""
    return {"workers": WORKERS, "cases": [_case(data, *case) for case in CASES]}


def _case(data: Path, name: str, file: str, strategies: int, generations: int, runs: int, check: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.toml"
        path = (data / file).resolve()
        spec.write_text(SPEC.format(name=name, path=path, population=strategies // 4, epochs=generations // 5))
        _run(spec, Path(folder) / "warm", ["--for", "1s"])  # compiles the kernels, once
        measured = [_run(spec, Path(folder) / f"run-{i}", []) for i in range(runs)]
        campaign = Campaign.open(Path(folder) / "run-0")
        _verify(campaign, Path(folder) / "again", check)
        return {
            "name": name,
            "file": file,
            "bars": len(campaign.bars),
            "strategies": strategies,
            "generations": generations,
            "distinct_trials": campaign.trials().n_unique(["family", "genome"]),
            "seconds": [seconds for seconds, _ in measured],
            "peak_mib": [peak / 2**20 for _, peak in measured],
            "digest": campaign.digest(),
            "best_sharpe": campaign.champions()["sharpe"][0],
        }


def _run(spec: Path, folder: Path, options: list[str]) -> tuple[float, int]:
    """Seconds and peak memory in bytes of one `islands run`."""
    command = [sys.executable, "-m", "islands", "run", str(spec), "--dir", str(folder), "--workers", str(WORKERS), *options]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory_of_tree(process.pid))
            time.sleep(0.25)
        seconds = time.perf_counter() - began
        if process.returncode != 0:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()}")
    return seconds, peak


def _memory_of_tree(root: int) -> int:
    """Proportional set size in bytes of a process and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    tree, grown = {root}, True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in tree} - tree
        tree |= children
        grown = bool(children)
    return sum(_pss(pid) for pid in tree)


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _verify(campaign: Campaign, folder: Path, epochs: int) -> None:
    problems = campaign.verify()
    again = Campaign.create(campaign.spec, folder)
    again.run("inline", epochs=epochs)
    if problems or again.digest() != campaign.digest(epoch=epochs):
        raise SystemExit(f"the campaign is wrong: {problems or 'its digest differs from the inline run'}")


def table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| bars | strategies x generations | distinct trials | start to champions | rented | memory | best in-sample Sharpe |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in figures["cases"]:
        lines.append(
            f"| {case['file']}, {case['bars']:,} | {case['strategies']:,} x {case['generations']} "
            f"| {case['distinct_trials']:,} | {statistics.median(case['seconds']):.0f} s "
            f"| {100.0 * RENT * statistics.median(case['seconds']) / 3600.0:.2f} cents "
            f"| {max(case['peak_mib']):,.0f} MiB | {case['best_sharpe']:.2f} |"
        )
    machine = figures["machine"]
    lines.append("")
    lines.append(
        f"{figures['workers']} workers on {machine['cores']} cores ({machine['cpu']}), Python {machine['python']}; the start "
        f"of Python and Ray included, compilation not (seconds, once a machine). Rented: two cores at {RENT:.2f} USD an hour."
    )
    return "\n".join(lines)
