"""Every source that makes a result counts; one that only shows or schedules does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from effort import thinned
from islands.kernels import compile as kernels

import islands

PACKAGE, KERNELS = Path(islands.__file__).parent, Path(kernels.__file__).parent
DIGESTS = "from islands import provenance as p; print(p.result_digest(), p.code_digest())"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "islands", ignore=shutil.ignore_patterns("__pycache__", "*.parquet", "kernels"))
    shutil.copytree(KERNELS, folder / "islands" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def digests(folder: Path) -> tuple[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", DIGESTS]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    result, code = done.stdout.split()
    return result, code


@pytest.fixture(scope="module")
def before(copy: Path) -> tuple[str, str]:
    """The digests of the copy as it is."""
    return digests(copy)


@pytest.mark.parametrize(
    ("source", "makes_results"),
    thinned(
        [
            ("kernels/pnl.py", True),
            ("kernels/indicators.py", True),
            ("randomness.py", True),
            ("numerics.py", True),
            ("spec.py", True),
            ("market/tape.py", True),
            ("strategies/families.py", True),
            ("evaluation.py", True),
            ("evolution/island.py", True),
            ("evolution/topology.py", True),
            ("evolution/objectives.py", True),
            ("evolution/stagnation.py", True),
            ("evidence/champions.py", False),
            ("archipelago/machine.py", True),
            ("archipelago/codec.py", True),
            ("archipelago/storage.py", False),
            ("runtime/coordinator.py", False),
            ("desk/report.py", False),
        ],
        ("kernels/pnl.py", True),
        ("archipelago/codec.py", True),
        ("desk/report.py", False),
    ),
)
def test_an_edit_changes_the_digests_it_should(source: str, makes_results: bool, copy: Path, before: tuple[str, str]) -> None:
    path = copy / "islands" / source
    original = path.read_text()
    try:
        path.write_text(original + "\n# edited\n")
        after = digests(copy)
    finally:
        path.write_text(original)
    assert (after[0] != before[0], after[1] != before[1]) == (makes_results, True)
