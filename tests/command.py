"""The command `islands`, as a person calls it: in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import islands as package

# The copy of the package that these tests import, wherever the command is called from.
ENVIRONMENT = {**os.environ, "COLUMNS": "132", "PYTHONPATH": str(Path(package.__file__).parents[1])}


def islands(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a call prints and its exit code; a traceback is a failure whatever the test is about."""
    command = [sys.executable, "-m", "islands", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr
    return done
