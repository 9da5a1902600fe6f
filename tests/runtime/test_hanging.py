"""Steps that never end or kill their worker: it is replaced, nothing is decided by that, and in the end a genome is named."""

from __future__ import annotations

import re
from pathlib import Path

import failing_families
import pytest
from worlds import reopened

import islands as isl
from islands.campaign import Campaign
from islands.errors import CampaignPaused
from islands.runtime import patience

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def spec(family: str, low: int = 1, high: int = 48) -> isl.CampaignSpec:
    """The range of the gene holds the unlucky value, unless it is moved."""
    return isl.CampaignSpec(
        seed=7,
        bars={"path": "sample:sp500"},
        costs={"fee": 1e-4, "slippage": 5e-5},
        families=[{"name": f"failing_families:{family}", "genes": {"lag": [low, high]}}],
        evolution={"population": 40, "epochs": 3, "generations_per_epoch": 2},
        archipelago={"islands": [["failing_families:" + family], ["failing_families:" + family]], "topology": "none"},
    )


@pytest.mark.parametrize(
    ("family", "error"), [("endless", r"is still computing after [\d.]+ s"), ("deadly", "died of SIGSEGV")]
)
def test_a_genome_that_kills_every_worker_pauses_the_campaign_and_is_named(
    family: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FLOOR_S", 0.4)
    monkeypatch.setattr(patience, "TIMES", 1.0)
    campaign = Campaign.create(spec(family), tmp_path / "run")
    lost: set[int] = set()
    with pytest.raises(CampaignPaused) as paused:
        campaign.run(workers=2, on_progress=lambda progress: lost.add(progress.lost))
    assert max(lost) >= 5  # two losses, and three of a fresh worker
    words = str(paused.value)
    assert re.search(r"island \d, epoch \d, killed 5 workers", words)
    assert re.search(f"the evaluation of one genome {error}", words)
    ((genes, kept),) = reopened(campaign).failures().select("genes", "error").rows()
    assert re.fullmatch(error, kept)
    assert genes.startswith(f"lag={failing_families.UNLUCKY} ")
    (file,) = campaign.failures()["file"]
    assert f"islands replay {file}" in words
    report = paused.value.report
    assert report is not None
    assert (report.committed, len(report.lost)) == (campaign.status().committed, max(lost))
    assert (paused.value.file, paused.value.epoch) == (file, report.committed + 1)
    assert re.fullmatch(f"its process {error}", campaign.replay_failure(file, limit_s=5.0)[-1][1])
    assert campaign.status().state == "stopped"
    assert campaign.verify() == []
    slow = campaign._journal.paused()  # of one that died a resume has no more patience
    if family == "endless":
        assert (slow.island, slow.epoch) == (paused.value.island, paused.value.epoch)
        assert slow.seconds >= 0.4 * 2**4
    else:
        assert slow is None
