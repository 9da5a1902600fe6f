"""How much disk a campaign may need: said before it begins, and never exceeded."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import islands
from effort import thinned
from worlds import tiny, tiny_bars, tiny_market, tiny_world

import islands as isl
from islands.errors import SpecError
from islands.forecast import DISK_BLOCK, REPORT_BYTES, disk_estimate


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """A campaign that was run whole."""
    campaign = isl.Campaign.create(tiny(), tmp_path_factory.mktemp("whole") / "run", bars=tiny_bars())
    assert campaign.run("inline").finished
    return campaign


def written(campaign: isl.Campaign) -> int:
    """Bytes of its files but the bars, in whole blocks of the disk."""
    sizes = [path.stat().st_size for path in campaign.path.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    return sum(-(-size // DISK_BLOCK) * DISK_BLOCK for size in sizes)


def test_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1_000))
    with pytest.raises(SpecError, match=r"the campaign may need .* of disk, 0\.0 MiB are free"):
        isl.Campaign.create(tiny(), tmp_path / "run", bars=tiny_bars())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_disk_estimate_is_not_exceeded(finished: isl.Campaign) -> None:
    finished.report()
    assert written(finished) < disk_estimate(finished.world)
    (finished.path / "report.html").unlink()
    assert disk_estimate(finished.world) - REPORT_BYTES < 20 * written(finished)


FEW = [{"name": "sma_trend", "genes": {"fast": [2, 3], "slow": [10, 11], "direction": "long"}}]
SHAPES: dict[str, dict[str, Any]] = {
    "migrants are most of it": {
        "archipelago": {"islands": 8, "topology": "complete"},
        "migration.emigrants": 5,
        "evolution": {"population": 40, "epochs": 6, "generations_per_epoch": 1},
    },
    "nobody is on the way for long": {
        "archipelago": {"islands": 6, "topology": "ring"},
        "migration": {"emigrants": 0, "delay": 20},
        "evolution": {"population": 2, "epochs": 25, "generations_per_epoch": 1},
        "champions": 1,
    },
    "many islands of two": {
        "archipelago": {"islands": 60, "topology": "none"},
        "evolution": {"population": 2, "epochs": 3, "generations_per_epoch": 1},
        "champions": 1,
    },
    "many generations of many objectives": {
        "objective": [
            {"name": name, "reference": 0.0}
            for name in ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "trades", "exposure")
        ],
        "families": FEW,
        "archipelago": {"islands": 4, "topology": "none"},
        "evolution": {"population": 2, "epochs": 3, "generations_per_epoch": 40},
    },
    "two instruments": {
        "instruments": {"A": {}, "B": {}},
        "families": FEW,
        "archipelago.islands": 1,
        "evolution": {"population": 10, "epochs": 1, "generations_per_epoch": 1},
    },
}


@pytest.mark.parametrize("shape", thinned(SHAPES, "two instruments"))
def test_disk_estimate_holds_where(shape: str, tmp_path: Path) -> None:
    spec = tiny(SHAPES[shape])
    bars = {"A": tiny_market(0), "B": tiny_market(1)} if spec.instruments else tiny_bars()
    campaign = isl.Campaign.create(spec, tmp_path / "run", bars=bars)
    assert campaign.run("inline").finished
    assert written(campaign) < disk_estimate(campaign.world) - REPORT_BYTES


def test_bars_that_the_folder_keeps_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = disk_estimate(tiny_world())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, needed + 1_000))
    with pytest.raises(SpecError, match="the campaign may need"):
        isl.Campaign.create(tiny(), tmp_path / "run", bars=tiny_bars())
    tiny_bars().write(tmp_path / "bars.csv")
    spec = tiny({"bars.path": str(tmp_path / "bars.csv")})
    assert isl.Campaign.create(spec, tmp_path / "run").status().committed == 0


@pytest.mark.slow
def test_a_file_system_that_refuses_a_commit_is_told_by_the_file_and_the_way_out(
    finished: isl.Campaign, tmp_path: Path
) -> None:
    """No file may become larger than 4,000 bytes: those of tokens and commits are smaller, those of demes larger."""
    campaign = isl.Campaign.create(tiny(), tmp_path / "run", bars=tiny_bars())
    campaign.run("inline", epochs=1)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, former[1]))
    try:
        done = islands("resume", campaign.path, "--runtime", "inline", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    words = done.stderr.replace("\n", " ")
    assert (done.returncode, "error: File too large: " in words) == (1, True)
    assert f"{campaign.path}/blobs/00000002-" in words and f"islands resume {campaign.path}" in words
    assert (campaign.status().state, campaign.status().committed, campaign.verify()) == ("stopped", 1, [])
    assert campaign.run("inline").finished
    assert campaign.digest() == finished.digest()
