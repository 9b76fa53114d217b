"""Each claim of speed is a command that runs; what it measures is not judged here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import page

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_the_registry_benchmark_measures_both_storages(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "registry.py"), "3", "5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    rows = re.findall(r"^\| (disk|S3) \| ([35]) ((?:\| [0-9.]+ ){6})\|$", done.stdout, re.MULTILINE)
    assert [(storage, versions) for storage, versions, _ in rows] == [
        ("disk", "3"),
        ("disk", "5"),
        ("S3", "3"),
        ("S3", "5"),
    ]


@pytest.mark.slow
def test_what_counting_costs_a_request_is_measured_beside_the_library() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "metrics.py")], capture_output=True, text=True, check=True, timeout=300
    )
    assert len(re.findall(r"^\| [a-z', ]+ \| [0-9.]+ \|$", done.stdout, re.MULTILINE)) == 2


@pytest.mark.slow
def test_the_drift_benchmark_finds_what_is_shifted_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "drift.py"), "2"], capture_output=True, text=True, check=True, timeout=300
    )
    rows = re.findall(r"^\| (.+?) \| (200|500|2,000) \| ([0-9.]+) % \|", done.stdout, re.MULTILINE)
    assert len(rows) == 24
    assert {found for people, _, found in rows if people.startswith("the same")} == {"0"}
    assert {found for people, _, found in rows if people.startswith("pounds")} == {"100"}


@pytest.mark.slow
def test_the_training_benchmark_holds_trainers_against_each_other_on_the_same_people(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(BENCHMARKS / "training.py"),
            "--people",
            "400",
            "--repeats",
            "1",
            "--quick",
            "--hidden",
            "2",
        ],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    table = done.stdout.partition("### 400 people, 2 hidden neurons")[2].partition("###")[0]
    rows = re.findall(r"^\| ((?:Stature|scikit)[^|]*) \| (.*) \|$", table, re.MULTILINE)
    assert [trainer for trainer, _ in rows] == [
        "Stature",
        "scikit-learn, lbfgs",
        "scikit-learn, logistic regression",
    ]
    assert re.fullmatch(r"[0-9.]+ \| [0-9.]+ \| [0-9.]+ \| 0\.[0-9]{4}", rows[1][1])
    assert re.search(r"^\| `sgd` \| [0-9.]+ \| [0-9.]+ \|$", done.stdout, re.MULTILINE)


def test_a_benchmark_replaces_its_own_section_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("# Benchmarks\n\n<!-- begin one -->\nold\n<!-- end one -->\n")
    monkeypatch.setattr(page, "PAGE", path)
    page.write_section("two", "second\n")
    page.write_section("one", r"first, with a \1")
    assert path.read_text() == (
        "# Benchmarks\n\n<!-- begin one -->\nfirst, with a \\1\n<!-- end one -->\n\n"
        "<!-- begin two -->\nsecond\n<!-- end two -->\n"
    )
