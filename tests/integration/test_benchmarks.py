"""Each claim of speed is a command that runs; what it measures is not judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


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
