"""The command line, as a person calls it: in another process, judged by what it prints and its exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import ENVIRONMENT, islands

from islands.campaign import Campaign

pytestmark = pytest.mark.slow

SPEC = """
name = "short"
seed = 5
[bars]
path = "sample:sp500"
[costs]
fee = 0.0005
slippage = 0.0001
[[families]]
name = "ema_crossover"
genes = {{ band = 0.0, direction = ["long", "both"] }}
[[families]]
name = "rsi_mean_reversion"
[evolution]
population = {population}
epochs = {epochs}
generations_per_epoch = {generations}
[archipelago]
islands = 3
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(population=20, epochs=3, generations=2))
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a whole run, and what it printed."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "spec.toml").write_text(SPEC.format(population=20, epochs=3, generations=2))
    done = islands("run", "spec.toml", "--dir", "run", "--runtime", "inline", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


@pytest.fixture
def finished(ran: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(ran[0], tmp_path / "run")
    return tmp_path / "run"


def test_run_ends_in_champions_a_digest_and_a_report(ran: tuple[Path, str]) -> None:
    folder, printed = ran
    campaign = Campaign.open(folder)
    assert campaign.digest() in printed
    assert "rsi_mean_reversion" in printed or "ema_crossover" in printed
    assert (folder / "report.html").stat().st_size > 10_000
    assert campaign.status().state == "finished"


def test_plain_progress_has_a_line_for_each_epoch(ran: tuple[Path, str]) -> None:
    assert [line for line in ran[1].splitlines() if "3/3" in line]
    assert "\x1b[" not in ran[1]


def test_a_stopped_run_is_resumed_to_the_same_digest(finished: Path, spec: Path, tmp_path: Path) -> None:
    done = islands("run", spec, "--dir", "other", "--runtime", "inline", "--for", "0.000001s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "islands resume" in done.stdout
    assert Campaign.open(tmp_path / "other").status().committed == 1
    assert islands("resume", "other", "--runtime", "inline", cwd=tmp_path).returncode == 0
    assert Campaign.open(tmp_path / "other").digest() == Campaign.open(finished).digest()


def test_extend_then_resume_goes_on(finished: Path, tmp_path: Path) -> None:
    assert islands("extend", "run", "--epochs", 5, cwd=tmp_path).returncode == 0
    assert Campaign.open(finished).status().state == "stopped"
    assert islands("resume", "run", "--runtime", "inline", cwd=tmp_path).returncode == 0
    assert Campaign.open(finished).status().committed == 5
    done = islands("extend", "run", "--epochs", 4, cwd=tmp_path)
    assert (done.returncode, "asked for 5 already" in done.stderr) == (2, True)


def test_status_verify_report_and_export(finished: Path, tmp_path: Path) -> None:
    assert "finished" in islands("status", "run", cwd=tmp_path).stdout
    assert "3 epochs verified" in islands("verify", "run", cwd=tmp_path).stdout
    (finished / "report.html").unlink()
    assert islands("report", "run", cwd=tmp_path).stdout.strip().endswith("report.html")
    assert (finished / "report.html").exists()
    assert islands("export", "run", "--out", "cards.json", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "cards.json").read_text())["champions"]


def test_verify_names_a_damaged_file_and_fails(finished: Path, tmp_path: Path) -> None:
    victim = sorted((finished / "ledger").iterdir())[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    done = islands("verify", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert victim.name in done.stderr


def test_families_sample_and_backtest(tmp_path: Path) -> None:
    assert "sma_trend" in islands("families", cwd=tmp_path).stdout
    assert "fast < slow" in islands("families", "ema_crossover", cwd=tmp_path).stdout
    assert "eurusd" in islands("sample", cwd=tmp_path).stdout
    assert islands("sample", "sp500", "--out", "sp.csv", cwd=tmp_path).returncode == 0
    done = islands("backtest", "sp.csv", "sma_trend", "fast=10", "slow=50", "direction=long", "--trades", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sharpe" in done.stdout
    assert "entry_bar" in done.stdout


def test_backtest_takes_overlays_and_every_cost(tmp_path: Path) -> None:
    strategy = ["sma_trend", "fast=10", "slow=50", "stop_loss=0.02", "target_volatility=0.1"]
    costs = ["--fee", "0.001", "--maker-fee", "0", "--fixed-fee", "1", "--minimum-fee", "2", "--borrow", "0.05"]
    done = islands("backtest", "sample:sp500", *strategy, *costs, "--participation", "0.5", "--optimistic", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stop_loss=0.02" in done.stdout
    gained, _, parts = done.stdout.partition("gained ")[2].partition(": ")
    amounts = {part.split()[0]: float(part.split()[1].replace(",", "")) for part in parts.split(", ")}
    assert set(amounts) == {"price", "fees", "borrow"}
    assert sum(amounts.values()) == pytest.approx(float(gained.replace(",", "")), abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere.toml"], ["nowhere.toml", "no such file"]),
        (["run", "bad.toml"], ["evolution.populatoin", "did you mean 'population'"]),
        (["run", "no_costs.toml"], ["costs", "required"]),
        (["resume", "nowhere"], ["nowhere", "no campaign here"]),
        (["status", "nowhere"], ["no campaign here"]),
        (["run", "--for", "soon"], ["--for soon", "8h"]),
        (["run", "--runtime", "dask"], ["dask"]),
        (["families", "ema"], ["no family 'ema'", "ema_crossover"]),
        (["sample", "gold"], ["gold", "eurusd"]),
        (["backtest", "sample:sp500", "sma_trend", "fast=9", "slow=3"], ["fast < slow"]),
        (["backtest", "sample:sp500", "sma_trend", "fast"], ["GENE=VALUE"]),
        (["backtest", "absent.csv", "sma_trend"], ["absent.csv"]),
        (["backtest", "sample:sp500", "sma_trend", "--fee", "2"], ["fee", "2.0"]),
        (["backtest", "sample:sp500", "sma_trend", "cap=0.1"], ["overlay cap = 0.1: nothing reads it"]),
        (["backtest", "sample:sp500", "sma_trend", "stop_loss=0.02", "--borrow", "-1"], ["borrow = -1.0"]),
        (["no-such-command"], ["no-such-command"]),
        (["run", "--workers", "0"], ["workers = 0"]),
        (["run", "--runtime", "inline", "--workers", "2"], ["inline", "workers"]),
        (["backtest", "sample:sp500", "sma_trend", "fast=9", "fast=8"], ["fast is given twice"]),
        (["extend", "nowhere", "--epochs", "5"], ["no campaign here"]),
    ],
)
def test_bad_input_is_named_and_exits_with_2(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    good = SPEC.format(population=20, epochs=3, generations=2)
    (tmp_path / "bad.toml").write_text(good.replace("population", "populatoin"))
    (tmp_path / "no_costs.toml").write_text(good.replace("[costs]\nfee = 0.0005\nslippage = 0.0001\n", ""))
    done = islands(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr.replace("\n", " ") or word in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_report_that_cannot_be_written_does_not_fail_a_whole_campaign(finished: Path, tmp_path: Path) -> None:
    (finished / "report.html").unlink()
    (finished / "report.html").mkdir()
    done = islands("resume", "run", "--runtime", "inline", cwd=tmp_path)
    assert done.returncode == 0
    assert "no report was written" in done.stderr


def test_a_folder_that_holds_a_campaign_is_not_overwritten(finished: Path, spec: Path, tmp_path: Path) -> None:
    digest = Campaign.open(finished).digest()
    done = islands("run", spec, "--dir", "run", "--runtime", "inline", cwd=tmp_path)
    assert (done.returncode, "holds a campaign already" in done.stderr) == (2, True)
    assert Campaign.open(finished).digest() == digest


def _start(tmp_path: Path, *arguments: object) -> subprocess.Popen[str]:
    (tmp_path / "long.toml").write_text(SPEC.format(population=300, epochs=400, generations=10))
    command = [sys.executable, "-m", "islands", "run", "long.toml", "--dir", "run", *map(str, arguments)]
    return subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for_lines(process: subprocess.Popen[str], marker: str, count: int) -> None:
    """Reads the plain progress until so many lines hold the marker."""
    assert process.stdout is not None
    seen = 0
    for line in process.stdout:
        seen += marker in line
        if seen == count:
            return
    raise AssertionError(f"the run ended early: {process.stderr.read() if process.stderr else ''}")


@pytest.mark.parametrize("runtime", ["inline", pytest.param("ray", marks=pytest.mark.slow)])
def test_ctrl_c_stops_at_a_commit_with_130_and_resume_goes_on(runtime: str, tmp_path: Path) -> None:
    process = _start(tmp_path, "--runtime", runtime)
    _wait_for_lines(process, "/400", 2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stdout + stderr
    assert "Traceback" not in stdout + stderr
    assert "islands resume" in stdout
    campaign = Campaign.open(tmp_path / "run")
    standing = campaign.status()
    assert (standing.state, standing.worker) == ("stopped", None)
    assert standing.committed >= 2
    assert campaign.verify() == []
    report = campaign.run("inline", epochs=1)
    assert report.committed == standing.committed + 1


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["inline", "ray"])
def test_a_killed_driver_leaves_a_campaign_that_resumes_at_once(runtime: str, tmp_path: Path) -> None:
    process = _start(tmp_path, "--runtime", runtime)
    _wait_for_lines(process, "/400", 3)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    campaign = Campaign.open(tmp_path / "run")
    deadline = time.monotonic() + 60
    while campaign.status().worker is not None and time.monotonic() < deadline:
        os.sched_yield()  # the coordinator of an embedded Ray notices its driver's death within seconds
    before = campaign.status()
    assert (before.state, before.worker) == ("stopped", None)
    report = campaign.run("inline", epochs=2)
    assert {step.epoch for step in report.steps} == {before.committed + 1, before.committed + 2}
    again = Campaign.create(campaign.spec, tmp_path / "again")
    again.run("inline", epochs=report.committed)
    assert again.digest() == campaign.digest()
