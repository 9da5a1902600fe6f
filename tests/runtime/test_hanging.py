"""Steps that never end or kill their worker: it is replaced, nothing is decided by that, and in the end a genome is named."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import failing_families
import pytest
from worlds import reopened

import islands as isl
from islands.campaign import Campaign
from islands.errors import CampaignPaused
from islands.runtime import patience
from islands.runtime.report import Progress

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def spec(family: str, low: int = 5, high: int = 8) -> isl.CampaignSpec:
    """The range of the gene holds the unlucky value, unless it is moved."""
    return isl.CampaignSpec(
        seed=7,
        bars={"path": "sample:sp500"},
        costs={"fee": 1e-4, "slippage": 5e-5},
        families=[{"name": f"failing_families:{family}", "genes": {"lag": [low, high]}}],
        evolution={"population": 12, "epochs": 3, "generations_per_epoch": 2},
        archipelago={"islands": [["failing_families:" + family], ["failing_families:" + family]], "topology": "none"},
    )


@pytest.mark.parametrize(
    ("family", "error"), [("endless", "is still computing after 2 s"), ("deadly", "died of SIGSEGV")]
)
def test_a_genome_that_kills_every_worker_pauses_the_campaign_and_is_named(
    family: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FLOOR_S", 2.0)
    monkeypatch.setattr(patience, "TIMES", 1.0)
    campaign = Campaign.create(spec(family), tmp_path / "run")
    lost: set[int] = set()
    with pytest.raises(CampaignPaused) as paused:
        campaign.run(workers=2, on_progress=lambda progress: lost.add(progress.lost))
    assert max(lost) >= 5  # two losses, and three of a fresh worker
    words = str(paused.value)
    assert "island 0, epoch 1, killed 5 workers" in words or "island 1, epoch 1, killed 5 workers" in words
    assert f"the evaluation of one genome {error}" in words
    ((genes, kept),) = reopened(campaign).failures().select("genes", "error").rows()
    assert kept == error
    assert genes.startswith(f"lag={failing_families.UNLUCKY} ")
    (file,) = campaign.failures()["file"]
    assert f"islands replay {file}" in words
    assert campaign.replay_failure(file, limit_s=2.0)[-1][1] == f"its process {error}"
    assert campaign.status().committed == 0
    assert campaign.verify() == []
