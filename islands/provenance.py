"""Which code runs here: digests of this package's sources, and versions of the libraries that reach a result."""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from islands._version import __version__

# Sources from which a result is made; the rest of the package schedules, stores and shows it.
_RESULT = (
    "kernels",
    "numerics.py",
    "randomness.py",
    "spec.py",  # an island's settings are merged there
    "market/tape.py",
    "strategies",
    "evaluation.py",
    "evolution",
    "archipelago/codec.py",
    "archipelago/machine.py",
)
_LIBRARIES = ("deap", "numpy", "numba", "llvmlite")


def package_folder() -> Path:
    """Where this package was imported from."""
    return Path(__file__).parent


@functools.cache
def _sources() -> tuple[tuple[str, Path], ...]:
    """(name inside the package, path) of every source, kernels included wherever they lie."""
    package = package_folder()
    kernels = Path(str(import_module("islands.kernels").__file__)).parent
    found = {f"kernels/{path.relative_to(kernels).as_posix()}": path for path in kernels.rglob("*.py")}
    found |= {
        path.relative_to(package).as_posix(): path
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] != "kernels"
    }
    return tuple(sorted(found.items()))


def _digest(names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name, path in _sources():
        if not names or any(name == part or name.startswith(f"{part}/") for part in names):
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def code_digest() -> str:
    """SHA-256 over every source of the package: driver and workers must agree."""
    return _digest(())


@functools.cache
def result_digest() -> str:
    """SHA-256 over the sources from which a result is made: part of the manifest."""
    return _digest(_RESULT)


def versions() -> dict[str, str]:
    """Versions of what reaches a result: this package, Python, and the libraries between them."""
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"islands": __version__, "python": platform.python_version(), **libraries}
