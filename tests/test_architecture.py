"""The wings stand on each other in one order, and imports go only downward: read from the sources themselves."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from islands.kernels import compile as kernels_compile
from worlds import in_another_process

import islands

PACKAGE = Path(islands.__file__).parent
KERNELS = Path(kernels_compile.__file__).parent

# From the ground up. "" is islands/__init__.py, the lazy table of public names, which the desk may use as any script does.
WINGS = (
    ("kernels",),
    ("errors", "_version", "deadline", "randomness", "numerics", "provenance", "spec"),
    ("market",),
    ("strategies",),
    ("evaluation",),
    ("evolution",),
    ("archipelago",),
    ("runtime",),
    ("evidence",),
    ("forecast", "instruments", "openings"),
    ("foundation", "orders"),
    ("cross_validation", "judging", "nulls"),
    ("checking", "founding", "proposals", "status", "working"),
    ("campaign",),
    ("", "desk"),
    ("__main__",),
)
LEVEL = {wing: level for level, wings in enumerate(WINGS) for wing in wings}

# The desk shows campaigns; Campaign.report() and Campaign.export() look it up when they are called.
# Cross-validation is handed a campaign and makes more of its kind: it names the type alone.
UPWARD = {
    ("campaign.py", "islands.desk.report"),
    ("campaign.py", "islands.desk.cards"),
    ("cross_validation.py", "islands.campaign"),
}

ONLY_HERE = {
    "ray": {"runtime/island_actor.py", "runtime/coordinator.py", "runtime/session.py", "runtime/fan_out.py"},
    "deap": {"evolution/breeding.py"},
    "plotly": {f"desk/{name}.py" for name in ("canvas", "charts", "equity", "genes", "report", "routes")},
    "msgpack": {"archipelago/codec.py"},
}


def sources() -> dict[str, Path]:
    """Every source by its name inside the package, kernels included wherever they lie."""
    found = {f"kernels/{path.relative_to(KERNELS).as_posix()}": path for path in KERNELS.rglob("*.py")}
    found |= {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    return dict(sorted(found.items()))


SOURCES = sources()


@functools.cache
def imported(name: str) -> tuple[tuple[str, bool], ...]:
    """Modules that a source imports, anywhere in it, and whether that happens when it is loaded."""
    return tuple(_imported(name))


def _imported(name: str) -> Iterator[tuple[str, bool]]:
    tree = ast.parse(SOURCES[name].read_text(encoding="utf-8"))
    late = {inner for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for inner in ast.walk(outer)}
    late |= {inner for outer in ast.walk(tree) if _is_type_checking(outer) for inner in ast.walk(outer)}
    package = ["islands", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node not in late) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node not in late) for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def wing(module: str) -> str:
    """The wing of a module of ours: islands.archipelago.codec -> archipelago."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else ""


def wing_of(name: str) -> str:
    first = name.split("/")[0].removesuffix(".py")
    return "" if first == "__init__" else first


def ours(name: str) -> list[str]:
    return [module for module, _ in imported(name) if module.split(".")[0] == "islands"]


def test_every_source_belongs_to_a_wing() -> None:
    assert {wing_of(name) for name in SOURCES} == set(LEVEL)


def test_the_reader_of_imports_reads_them() -> None:
    assert ("islands.archipelago.codec", True) in list(imported("archipelago/journal.py"))
    assert ("islands.kernels.metrics.METRICS", True) in list(imported("kernels/batch.py"))
    assert ("islands.desk.report.write_report", False) in list(imported("campaign.py"))
    assert ("polars", False) in list(imported("archipelago/ledger.py"))


@pytest.mark.parametrize("name", list(SOURCES))
def test_imports_go_only_downward(name: str) -> None:
    upward = {
        module.rpartition(".")[0] if wing(module) else module
        for module in ours(name)
        if LEVEL[wing(module)] > LEVEL[wing_of(name)]
    }
    assert upward == {module for source, module in UPWARD if source == name}


def test_desk_is_looked_up_only_when_called() -> None:
    late = {module for module, at_once in imported("campaign.py") if "desk" in module and not at_once}
    assert late == {"islands.desk.report.write_report", "islands.desk.cards.write_cards"}
    assert not any("desk" in module for module, at_once in imported("campaign.py") if at_once)


@pytest.mark.parametrize("library", list(ONLY_HERE))
def test_library_is_known_in_its_place_only(library: str) -> None:
    users = {name for name in SOURCES if any(module.split(".")[0] == library for module, _ in imported(name))}
    assert users
    assert users <= ONLY_HERE[library]


def test_kernels_stand_on_numpy_numba_and_llvmlite_alone() -> None:
    names = [name for name in SOURCES if wing_of(name) == "kernels"]
    outside = {module.split(".")[0] for name in names for module, _ in imported(name)} - set(sys.stdlib_module_names)
    assert outside == {"numpy", "numba", "llvmlite", "islands"}
    assert {wing(module) for name in names for module in ours(name)} == {"kernels"}


def test_kernels_draw_no_chance_and_touch_no_file_but_their_cache() -> None:
    names = [name for name in SOURCES if wing_of(name) == "kernels" and name != "kernels/compile.py"]
    modules = {module.split(".")[0] for name in names for module, _ in imported(name)}
    assert modules.isdisjoint({"random", "os", "io", "pathlib", "secrets", "time"})


def test_machine_knows_no_disk_clock_or_ray() -> None:
    modules = {module.split(".")[0] for module, _ in imported("archipelago/machine.py")}
    assert modules.isdisjoint({"os", "io", "pathlib", "time", "datetime", "random", "ray", "threading"})
    assert not any("storage" in module or "journal" in module for module in ours("archipelago/machine.py"))


@pytest.mark.parametrize("name", [name for name in SOURCES if wing_of(name) in ("evolution", "strategies", "evaluation")])
def test_what_makes_a_result_knows_no_clock_and_no_process(name: str) -> None:
    modules = {module.split(".")[0] for module, _ in imported(name)}
    assert modules.isdisjoint({"time", "datetime", "os", "socket", "uuid", "threading", "secrets", "ray"})


def test_global_generators_are_drawn_from_in_breeding_alone() -> None:
    users = {name for name in SOURCES if any(module == "random" for module, _ in imported(name))}
    assert users == {"randomness.py", "evolution/breeding.py"}


def test_importing_the_package_loads_no_library() -> None:
    heavy = ("ray", "deap", "numba", "polars", "numpy", "pydantic", "plotly", "rich", "typer")
    code = f"import islands, sys; print(sorted(set({heavy!r}) & set(sys.modules)))"
    assert in_another_process(code) == "[]"


@pytest.mark.parametrize("name", sorted(set(islands.__all__) - {"__version__"}))
def test_public_name_is_found_without_ray(name: str) -> None:
    assert getattr(islands, name) is not None
    assert name in dir(islands)


@pytest.mark.slow
def test_public_names_load_no_ray_in_a_fresh_process() -> None:
    code = "import islands, sys; [getattr(islands, n) for n in islands.__all__]; print('ray' in sys.modules)"
    assert in_another_process(code) == "False"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'islands' has no attribute 'Kampaign'"):
        islands.Kampaign  # noqa: B018
