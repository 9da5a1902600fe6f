"""A user's own family on Ray's workers: the digest of the inline run, and no worker with other code."""

from __future__ import annotations

import sys
from pathlib import Path

import own_families
import pytest

import islands as isl
from islands.campaign import Campaign
from islands.errors import CodeMixture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def spec(module: str) -> isl.CampaignSpec:
    return isl.CampaignSpec(
        seed=5,
        bars={"path": "sample:sp500"},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": f"{module}:reversal"}, {"name": f"{module}:crossover"}, {"name": "sma_trend"}],
        evolution={"population": 30, "epochs": 3, "generations_per_epoch": 3},
        archipelago={"islands": 3},
    )


def test_two_workers_give_the_digest_of_the_inline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module lies where the driver alone finds it: workers and coordinator look where it does."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "rules_of_the_driver.py").write_text(Path(own_families.__file__).read_text())
    monkeypatch.syspath_prepend(folder)
    runs = [Campaign.create(spec("rules_of_the_driver"), tmp_path / runtime) for runtime in ("inline", "ray")]
    runs[0].run("inline")
    report = runs[1].run(workers=2)
    assert report.finished
    assert len({step.pid for step in report.steps}) == 2
    assert [runs[1].digest(epoch=e) for e in range(4)] == [runs[0].digest(epoch=e) for e in range(4)]
    assert runs[1].champions().equals(runs[0].champions(), null_equal=True)
    assert {"rules_of_the_driver:reversal", "rules_of_the_driver:crossover"} <= set(runs[1].trials()["family"])


def test_workers_that_import_other_code_than_the_driver_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was edited after the driver had imported it."""
    folder = tmp_path / "modules"
    folder.mkdir()
    path = folder / "rules_under_edit.py"
    path.write_text(Path(own_families.__file__).read_text())
    monkeypatch.syspath_prepend(folder)
    campaign = Campaign.create(spec("rules_under_edit"), tmp_path / "run")
    path.write_text(path.read_text().replace("else -1.0\n", "else -0.25\n"))
    with pytest.raises(CodeMixture, match=r"family rules_under_edit:reversal: the driver has imported the code [0-9a-f]{12}, "):
        campaign.run(workers=2)
    assert campaign.status().committed == 0
    del sys.modules["rules_under_edit"]
