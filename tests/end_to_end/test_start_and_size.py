"""What serving costs before the first request: what is imported, and how much memory the processes have together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import serve, wait_for

if TYPE_CHECKING:
    from model.registry.registry import Registry

NOT_FOR_SERVING = (
    *("duckdb", "rich", "matplotlib", "obstore", "threadpoolctl", "pytest", "hypothesis"),
    *("numpy.testing", "numpy.f2py", "numpy.random", "numpy.ma", "numpy.fft", "numpy.polynomial"),
    *("model.training", "model.cli", "model.export", "model.registry.object_storage"),
)
MOST_MEGABYTES = 130
"""Of the master and two workers. They took 78 where this was written; what is imported in vain is 30 and more."""


@pytest.mark.parametrize("module", ["service.server", "service.app"])
def test_what_serving_does_not_need_is_not_imported(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    imported = set(printed.split())
    assert module in imported
    assert not imported & set(NOT_FOR_SERVING)


def proportional_kilobytes(process: int) -> int:
    """Memory, of which what several processes share counts for each in equal parts."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_two_workers_share_what_they_can(trained: Registry, tmp_path: Path) -> None:
    with serve(trained.storage.root, tmp_path / "log", "--workers", "2") as service:
        wait_for(lambda: len(service.workers()) == 2)
        for _ in range(10):
            assert service.request("POST", "/predict", {"weight_kg": 73, "height_cm": 182})[0] == 200
        processes = [service.process.pid, *service.workers()]
        assert sum(map(proportional_kilobytes, processes)) < 1000 * MOST_MEGABYTES
