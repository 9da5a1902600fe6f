"""`python -m benchmarks STUDY [--out DIR] [--data DIR] [--readme]`."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import first_campaign, generation_cost, kernel_speed, own_family

_STUDIES = {
    "first-campaign": first_campaign,
    "generation-cost": generation_cost,
    "kernel-speed": kernel_speed,
    "own-family": own_family,
}
STUDIES: dict[str, Callable[[Path, Path], dict[str, Any]]] = {name: study.measure for name, study in _STUDIES.items()}
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {name: study.table for name, study in _STUDIES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the JSON files")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ohlcv"), help="folder of the bars")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = {"machine": _machine(), **STUDIES[arguments.study](arguments.data, arguments.out)}
    (arguments.out / f"{arguments.study}.json").write_text(json.dumps(figures, indent=2) + "\n")
    table = TABLES[arguments.study](figures)
    print(table)
    if arguments.readme:
        _into_readme(arguments.study, table)


def _machine() -> dict[str, Any]:
    import os

    model = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _into_readme(study: str, table: str) -> None:
    readme = Path("README.md")
    before, opening, rest = readme.read_text().partition(f"<!-- table: {study} -->\n")
    _, closing, after = rest.partition("<!-- end of table -->")
    if not opening or not closing:
        raise SystemExit(f"README.md has no place for the table of {study}")
    readme.write_text(f"{before}{opening}{table}\n{closing}{after}")


main()
