"""What a training leaves for machines: a file of metrics whatever became of it, and lines of JSON where asked for."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import STATURE
from end_to_end.scraping import samples
from prometheus_server import promtool

if TYPE_CHECKING:
    from pathlib import Path


def train(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(STATURE), "train", "--registry", str(folder / "registry"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "textfile").mkdir()
    return tmp_path / "textfile" / "stature.prom"


def numbers(written: Path) -> dict[str, float]:
    assert [path.name for path in written.parent.iterdir()] == [written.name], (
        "it is written whole, under no other name"
    )
    return {name.removeprefix("stature_training_"): value for (name, _), value in samples(written.read_text()).items()}


def test_the_outcome_is_a_metric_whatever_it_was(tmp_path: Path, written: Path) -> None:
    assert train(tmp_path, "--metrics-file", str(written)).returncode == 0
    said = numbers(written)
    ended, seconds = said.pop("end_timestamp_seconds"), said.pop("duration_seconds")
    assert abs(ended - written.stat().st_mtime) < 60
    assert 0.0 < seconds < 60.0
    assert said.pop("log_loss") == pytest.approx(0.406, abs=0.001)
    assert said == {"success": 1, "published_version": 1, "promoted": 1, "people": 6000}
    assert promtool("check", "metrics", given=written.read_text()) == ""

    train(tmp_path, "--metrics-file", str(written))
    assert numbers(written).items() >= {"success": 1, "published_version": 0, "promoted": 0}.items(), "it is identical"

    assert train(tmp_path, "--metrics-file", str(written), "--data", "nowhere").returncode == 1
    assert set(numbers(written)) == {"success", "end_timestamp_seconds", "duration_seconds"}
    assert numbers(written)["success"] == 0


def test_a_file_that_cannot_be_written_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    done = train(tmp_path, "--metrics-file", str(tmp_path / "nowhere" / "stature.prom"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing can be written in" in done.stderr
    assert not (tmp_path / "registry").exists()


def test_a_training_logs_as_the_service_does(tmp_path: Path) -> None:
    done = train(tmp_path, STATURE_LOG="json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(set(line) >= {"time", "level", "logger", "message", "model"} for line in lines)
    assert [line["message"] for line in lines] == ["epoch"] * (len(lines) - 1) + ["trained"]
    assert lines[0]["loss"] > 0.0
    assert (lines[-1]["model_version"], lines[-1]["promoted"], lines[-1]["people"]) == (1, True, 6000)
    assert "Published version 1" in done.stdout
    assert not done.stdout.startswith("epoch")

    done = train(tmp_path, "--data", "nowhere", STATURE_LOG="json")
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["level"], line["message"][:34]) == ("error", "nowhere: there is no such file at ")
