"""Every way to import the package finds islands.kernels, and never a mixture of two copies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
WHERE = "import islands.kernels.indicators as k, islands; print(islands.__file__); print(k.__file__)"

pytestmark = pytest.mark.slow


def python(executable: str | Path, *arguments: str, cwd: Path, path: str | None = None) -> str:
    """What a fresh interpreter prints; PYTHONPATH is what is given, or nothing."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = path
    done = subprocess.run([str(executable), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's sources: building writes beside them."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    copy.mkdir()
    for name in ("islands", "kernels"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    python(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), ".", cwd=checkout
    )
    (built,) = folder.glob("strategy_islands-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, as an installation lays them out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_one_package_and_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if not name.startswith("strategy_islands")} == {"islands"}
    for needed in (
        "islands/py.typed",
        "islands/kernels/pnl.py",
        "islands/desk/report.html",
        "islands/desk/sample.toml",
        "islands/market/sample/eurusd_1h_ask_2017.parquet",
        "islands/market/sample/README.md",
    ):
        assert needed in names
    sources = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "islands").rglob("*.py")}
    kernels = {f"islands/{path.relative_to(CHECKOUT).as_posix()}" for path in (CHECKOUT / "kernels").glob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources | kernels


def test_a_plain_install_brings_its_kernels(installed: Path, tmp_path: Path) -> None:
    package, kernels = python(sys.executable, "-c", WHERE, cwd=tmp_path, path=str(installed)).split()
    assert Path(package) == installed / "islands" / "__init__.py"
    assert Path(kernels) == installed / "islands" / "kernels" / "indicators.py"


@pytest.mark.parametrize("flags", [["-c", WHERE], ["-m", "where"]])
def test_an_uninstalled_checkout_finds_the_kernels_beside_it(flags: list[str], checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(WHERE)
    package, kernels = python(sys.executable, *flags, cwd=checkout, path=str(tmp_path)).split()
    assert Path(package) == checkout / "islands" / "__init__.py"
    assert Path(kernels) == checkout / "kernels" / "indicators.py"


def test_the_command_runs_from_an_uninstalled_checkout(checkout: Path) -> None:
    assert "ema_crossover" in python(sys.executable, "-m", "islands", "families", cwd=checkout)


def test_an_editable_install_uses_the_checkout(checkout: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    interpreter = home / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    for library in Path(sysconfig.get_path("purelib")).iterdir():  # all that is installed here but this project itself
        if not library.name.startswith(("islands", "strategy_islands", "__editable__")):
            (site / library.name).symlink_to(library)
    python(
        sys.executable, "-m", "pip", "--python", str(interpreter), "install", "-q", "--no-deps", "--no-build-isolation",
        "--force-reinstall", "-e", ".", cwd=checkout,
    )  # fmt: skip
    package, kernels = python(interpreter, "-c", WHERE, cwd=tmp_path).split()
    assert Path(package) == checkout / "islands" / "__init__.py"
    assert Path(kernels) == checkout / "kernels" / "indicators.py"


RUN_ON_RAY = """
import sys
import islands as isl
from islands.campaign import Campaign
spec = isl.CampaignSpec(
    bars={"path": "sample:sp500"}, costs={"fee": 0.0, "slippage": 0.0}, families=[{"name": "sma_trend"}],
    evolution={"population": 10, "epochs": 2, "generations_per_epoch": 1}, archipelago={"islands": 2},
)
campaign = Campaign.create(spec, sys.argv[1])
print(isl.__file__)
try:
    print(campaign.run(workers=1).finished)
except isl.errors.CodeMixture as error:
    print("MIXTURE", error)
"""


def test_a_plain_install_runs_on_ray_from_the_root_of_an_equal_checkout(
    installed: Path, checkout: Path, tmp_path: Path
) -> None:
    script = tmp_path / "run_on_ray.py"
    script.write_text(RUN_ON_RAY)
    lines = python(sys.executable, str(script), str(tmp_path / "run"), cwd=checkout, path=str(installed)).splitlines()
    assert lines[0] == str(installed / "islands" / "__init__.py")
    assert lines[-1] == "True"


def test_workers_that_run_another_copy_are_refused_with_both_paths(installed: Path, checkout: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(checkout, edited)
    with open(edited / "islands" / "runtime" / "report.py", "a") as file:
        file.write("\n# edited after the install\n")
    script = tmp_path / "run_on_ray.py"
    script.write_text(RUN_ON_RAY)
    output = python(sys.executable, str(script), str(tmp_path / "run"), cwd=edited, path=str(installed))
    first, last = output.splitlines()[0], output.splitlines()[-1]
    assert first == str(installed / "islands" / "__init__.py")
    assert last.startswith("MIXTURE")
    assert str(installed / "islands") in last
    assert str(edited / "islands") in last
