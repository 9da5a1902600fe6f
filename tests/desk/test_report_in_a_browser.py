"""The report in headless Chromium: no script error, every chart drawn, nothing wider than screen, phone or paper.

A page is opened inside a frame, because a browser's window has a least width above a phone's, and tells its frame what
happened to it.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pages import chart_names

from islands.campaign import Campaign
from islands.spec import CampaignSpec

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAPER_PX = 704  # the 186 mm that the page's margins leave of A4
SETTLED_MS = 20_000  # of the browser's own time, which it spends at once where nothing is left to do

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")]

FRAME = """<!doctype html><pre></pre><iframe src="{page}" width="{width}" height="900" style="border: 0"></iframe>
<script>addEventListener('message', event => {{ document.querySelector('pre').textContent = event.data; }});</script>"""

WATCH = """<script>
const wrong = [];
addEventListener('error', event => wrong.push(event.message));
addEventListener('unhandledrejection', event => wrong.push(String(event.reason)));
addEventListener('securitypolicyviolation', event => wrong.push(event.violatedDirective));
for (const kind of ['error', 'warn']) console[kind] = (...words) => wrong.push(words.join(' '));
const measured = () => ({
  inner: innerWidth,
  scroll: document.documentElement.scrollWidth,
  boxes: [...document.querySelectorAll('.box, pre')].map(box =>
    Math.max(box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight)),
  charts: Object.fromEntries([...document.querySelectorAll('[id^="chart-"]')].map(chart => [chart.id.slice(6), {
    over: (chart.querySelector('.main-svg')?.getBoundingClientRect().width ?? 1e9) - chart.parentElement.clientWidth,
    marks: chart.querySelectorAll('.trace path, .trace .point, .hm image, .shapelayer path').length,
  }])),
});
// Timers, not animation frames: a browser without a screen gives a frame inside a page none of these.
addEventListener('load', () => setTimeout(() => {
  const screen = measured();
  dispatchEvent(new Event('beforeprint'));
  const paper = measured();
  dispatchEvent(new Event('afterprint'));
  setTimeout(() => parent.postMessage(JSON.stringify({wrong, screen, paper, after: measured()}), '*'));
}));
</script>"""


def opened(page: Path, folder: Path, width: int = 1280) -> dict[str, Any]:
    """What happened to a page in a browser window of this width: on screen, when asked to print, and after that."""
    source = page.read_text(encoding="utf-8")
    assert "<meta charset" in source
    (folder / "watched.html").write_text(source.replace("<meta charset", WATCH + "<meta charset", 1), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(page="watched.html", width=width), encoding="utf-8")
    profile = folder / "profile"
    quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", *quiet.split(), "--disable-sync", f"--user-data-dir={profile}",
        f"--virtual-time-budget={SETTLED_MS}", "--window-size=1400,1000", "--dump-dom", (folder / "frame.html").as_uri(),
    ]  # fmt: skip
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(profile)}, check=True
    )
    told = re.search(r"<pre>(.*?)</pre>", run.stdout, re.DOTALL)
    assert told is not None and told[1], f"the page told nothing: {run.stderr[-2000:]}"
    answer: dict[str, Any] = json.loads(html.unescape(told[1]))
    return answer


def make(folder: Path, epochs: int | None = None, **changes: Any) -> Path:
    """The report of a small campaign."""
    values: dict[str, Any] = {
        "name": "in a browser",
        "bars": {"path": "sample:sp500"},
        "costs": {"fee": 5e-4, "slippage": 1e-4},
        "families": [{"name": "sma_trend"}, {"name": "rsi_mean_reversion"}],
        "limits": {"min_trades": 10},
        "evolution": {"population": 20, "epochs": 2, "generations_per_epoch": 3},
        "archipelago": {"islands": 3},
    }
    campaign = Campaign.create(CampaignSpec(**(values | changes)), folder / "campaign")
    campaign.run("inline", epochs=epochs)
    return campaign.report()


KINDS: dict[str, dict[str, Any]] = {
    "finished": {},
    "stopped": {"epochs": 1},
    "without a champion": {"limits": {"min_trades": 1_000_000}},
    "of many islands": {"archipelago": {"islands": 40}},
    "of an instrument whose name has no end": {
        "bars": {"held_back_from": "2017-10-01"},
        "instruments": {"NAME" * 40: {"path": "sample:sp500"}, "EURUSD": {"path": "sample:eurusd"}},
    },
}


@pytest.fixture(scope="module", params=list(KINDS))
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("browser"), **KINDS[request.param])


@pytest.mark.parametrize("width", [390, 1280])
def test_every_chart_is_drawn_without_an_error_and_nothing_is_too_wide(page: Path, width: int, tmp_path: Path) -> None:
    told = opened(page, tmp_path, width)
    assert told["wrong"] == []
    for moment in ("screen", "after"):
        seen = told[moment]
        assert seen["inner"] == width and seen["scroll"] <= width, moment
        assert sorted(seen["charts"]) == sorted(chart_names(page.read_text(encoding="utf-8")))
        assert len(seen["charts"]) > 5
        for name, chart in seen["charts"].items():
            assert chart["marks"] > 0, f"{name} did not draw"
            assert chart["over"] <= 1, f"{name} is wider than its place"
    paper = told["paper"]
    assert {name: chart["over"] for name, chart in paper["charts"].items() if chart["over"] > 1} == {}
    assert max(paper["boxes"]) <= 0 and paper["scroll"] <= max(width, PAPER_PX)


def test_a_browser_tells_what_goes_wrong(tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    allowed = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'
    wide = "<div style='width: 999px' id='chart-wide'>wide</div><script>console.error('said'); undefined_name()</script>"
    page.write_text(f"<!doctype html><html><head><meta charset='utf-8'>{policy}</head><body>{wide}<img src='x.png'>")
    told = opened(page, tmp_path, 390)
    assert any("said" in line for line in told["wrong"]) and any("img-src" in line for line in told["wrong"])
    assert any("undefined_name is not defined" in line for line in told["wrong"])
    assert told["screen"]["scroll"] > 390 and told["screen"]["charts"]["wide"]["marks"] == 0
