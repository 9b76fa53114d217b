"""Processes that write to one registry and are killed at any moment leave it whole, and lose nothing acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model.registry.audit import problems
from model.registry.registry import Registry
from model.registry.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER = Path(__file__).parent / "registry_worker.py"


class Reader(threading.Thread):
    """Follows the log like a service does: its position never goes back, and its champion always loads."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry, self.stopping, self.looks = registry, threading.Event(), 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        head = self.registry.head()
        try:
            while not self.stopping.is_set():
                later = self.registry.after(head)
                assert later.number >= head.number
                assert self.registry.load(later.champion).manifest.number == later.champion
                head, self.looks = later, self.looks + 1
        except BaseException as failure:
            self.failure = failure
            raise


def keys(registry: Registry) -> dict[str, str]:
    """The sha256 of every file."""
    root = registry.storage.root / registry.model
    return {str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.*")}


@pytest.mark.parametrize(
    "kills", [pytest.param(24, id="24 kills"), pytest.param(400, id="400 kills", marks=pytest.mark.slow)]
)
def test_four_writers_killed_again_and_again_break_no_promise(trained: Registry, kills: int) -> None:
    chance = random.Random(kills)
    root = trained.storage.root
    before = keys(trained)
    readers = [Reader(Registry(LocalStorage(root), "gender")) for _ in range(2)]
    outputs: list[Path] = []
    alive: dict[Path, subprocess.Popen[bytes]] = {}

    def start() -> None:
        output = root.parent / f"acknowledged-{len(outputs)}"
        outputs.append(output)
        command = [sys.executable, str(WORKER), str(root), f"writer-{len(outputs)}"]
        with output.open("wb") as file:
            alive[output] = subprocess.Popen(command, stdout=file)

    for reader in readers:
        reader.start()
    for _ in range(4):
        start()
    for _ in range(kills):
        output = chance.choice(list(alive))
        _wait_for(lambda output=output: output.stat().st_size > 0)
        time.sleep(chance.random() * 0.02)  # a random moment of its work: that is what is being tried
        victim = alive.pop(output)
        victim.kill()
        assert victim.wait() == -9
        start()
    for writer in alive.values():
        writer.kill()
        writer.wait()
    for reader in readers:
        reader.stopping.set()
        reader.join()

    assert [reader.failure for reader in readers] == [None, None]
    assert all(reader.looks > 10 for reader in readers)
    assert set(before.items()) <= set(keys(trained).items())
    assert list(problems(trained)) == []
    assert _lost(trained, outputs) == []
    assert len(trained.numbers()) > kills


def test_the_check_itself_sees_an_acknowledged_version_that_is_not_there(trained: Registry, tmp_path: Path) -> None:
    (tmp_path / "acknowledged").write_text("published 2 0000\nmoved 7 1\n")
    assert len(_lost(trained, [tmp_path / "acknowledged"])) == 2


def _lost(registry: Registry, outputs: list[Path]) -> list[str]:
    """Each acknowledged operation that is not present at its acknowledged number."""
    lost = []
    numbers = registry.record_numbers()
    for output in outputs:
        for line in output.read_text().splitlines(keepends=True):
            match line.split():
                case ["published", number, digest] if line.endswith("\n"):
                    if registry.manifest(int(number)).digest != digest:
                        lost.append(line)
                case ["moved", number, champion] if line.endswith("\n"):
                    if int(number) not in numbers or registry.at(int(number)).champion != int(champion):
                        lost.append(line)
    return lost


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.001)
