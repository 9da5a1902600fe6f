"""`python -m benchmarks STUDY [--out DIR] [--data DIR] [--readme]`; a study may have arguments of its own: STUDY --help."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import (
    first_campaign,
    generation_cost,
    honesty,
    kernel_speed,
    mutants,
    own_family,
    precision,
    recovery,
    scaling,
    simulate,
)

STUDIES: dict[str, ModuleType] = {
    "first-campaign": first_campaign,
    "generation-cost": generation_cost,
    "honesty": honesty,
    "kernel-speed": kernel_speed,
    "mutants": mutants,
    "own-family": own_family,
    "precision": precision,
    "recovery": recovery,
    "scaling": scaling,
    "simulate": simulate,
}
"""Each has measure(data, out, **its own arguments) -> figures, and table(figures) -> Markdown. One that may fail has
faults(figures) -> sentences: asked when all is written, and any of them makes the exit code 1."""


def main() -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the JSON files")
    common.add_argument("--data", type=Path, default=Path("../shared/data/ohlcv"), help="folder of the bars")
    common.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    studies = parser.add_subparsers(dest="study", required=True, metavar="STUDY")
    for name, study in STUDIES.items():
        told = str(study.__doc__)
        own = studies.add_parser(name, parents=[common], help=told.partition(".")[0], description=told)
        getattr(study, "add_arguments", lambda parser: None)(own)
    arguments = parser.parse_args()
    study = STUDIES[arguments.study]
    own_arguments = {key: value for key, value in vars(arguments).items() if key not in ("study", "out", "data", "readme")}
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ISLANDS_REGISTER"] = str(Path(folder) / "register.jsonl")  # what a study tries is no trial of its user's
        figures = {"machine": _machine(), **study.measure(arguments.data, arguments.out, **own_arguments)}
    (arguments.out / f"{arguments.study}.json").write_text(json.dumps(figures, indent=2) + "\n")
    table = study.table(figures)
    print(table)
    if arguments.readme:
        _into_readme(arguments.study, table)
    if faults := getattr(study, "faults", lambda figures: [])(figures):
        raise SystemExit("\n".join(faults))


def _machine() -> dict[str, Any]:
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


if __name__ == "__main__":
    main()
