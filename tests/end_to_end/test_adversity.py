"""What happens to a service in the world: its registry vanishes or is damaged, its disk fills, its workers are stopped
or killed. It goes on answering, never with a wrong number, and follows again when the trouble is over.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from end_to_end.independent import Independent, stature
from end_to_end.running_service import STATURE, RunningService, serve, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model.registry.registry import Registry

PERSON = {"weight_lb": 160.0, "height_in": 66.0}


@pytest.fixture
def registry(trained: Registry) -> Path:
    """Versions 1 and 2; 1 is champion."""
    root: Path = trained.storage.root
    return root


@pytest.fixture
def networks(registry: Path) -> dict[int, Independent]:
    return {number: Independent(registry, number) for number in (1, 2)}


@pytest.fixture(params=["fast", pytest.param("flask", marks=pytest.mark.slow)])
def service(request: pytest.FixtureRequest, registry: Path, tmp_path: Path) -> Iterator[RunningService]:
    with serve(registry, tmp_path / "log", "--workers", "2", STATURE_LANE=request.param) as running:
        yield running


_answers: list[int] = []


@pytest.fixture(autouse=True)
def _counted(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """How many answers a test compared, for docs/reliability.md."""
    _answers.clear()
    yield
    record_property("answers, every one right", len(_answers))


def answered_by(service: RunningService, networks: dict[int, Independent]) -> int:
    """Which version answers; its number is compared with what that version's files say."""
    status, answer = service.request("POST", "/predict", PERSON)
    assert status == 200, answer
    expected = networks[answer["model_version"]](PERSON["weight_lb"], PERSON["height_in"])
    assert abs(answer["probability_female"] - expected) < 1e-12
    version: int = answer["model_version"]
    _answers.append(version)
    return version


def all_answer(service: RunningService, networks: dict[int, Independent], version: int) -> None:
    """Wait until twenty answers in a row are of this version: both workers are at it."""
    wait_for(
        lambda: {answered_by(service, networks) for _ in range(20)} == {version}, service.log.read_text, seconds=20
    )


def test_a_registry_that_vanishes_and_comes_back_is_followed_again(
    service: RunningService, registry: Path, networks: dict[int, Independent]
) -> None:
    away = registry.with_name("away")
    registry.rename(away)
    wait_for(lambda: "serving version 1: " in service.log.read_text(), seconds=10)
    assert {answered_by(service, networks) for _ in range(20)} == {1}
    assert service.request("GET", "/readyz")[0] == 200
    stature("promote", "2", "--registry", str(away))
    away.rename(registry)
    all_answer(service, networks, 2)


@pytest.mark.parametrize("damage", ["weights", "manifest", "log record"])
def test_a_promotion_that_is_damaged_on_disk_is_not_served_until_it_is_mended(
    service: RunningService, registry: Path, networks: dict[int, Independent], tmp_path: Path, damage: str
) -> None:
    stature("promote", "2", "--registry", str(registry))
    all_answer(service, networks, 2)
    stature("promote", "1", "--registry", str(registry))
    all_answer(service, networks, 1)
    # The next promotion is made elsewhere, and arrives here with one file damaged on the way.
    copy = tmp_path / "copy"
    shutil.copytree(registry, copy)
    stature("train", "--seed", "3", "--promote", "always", "--registry", str(copy))
    (weights,) = set((copy / "gender/artifacts").iterdir()) - {
        copy / "gender/artifacts" / path.name for path in (registry / "gender/artifacts").iterdir()
    }
    files = {
        "weights": weights,
        "manifest": copy / "gender/versions/0000000003.json",
        "log record": copy / "gender/log/0000000004.json",
    }
    contents = {path: path.read_bytes() for path in files.values()}
    for path, content in contents.items():
        here = registry / path.relative_to(copy)
        here.write_bytes(content[: len(content) // 2] if path == files[damage] else content)
    wait_for(lambda: "serving version 1: " in service.log.read_text(), service.log.read_text, seconds=10)
    assert {answered_by(service, networks) for _ in range(20)} == {1}
    assert service.request("GET", "/readyz")[0] == 200
    here = registry / files[damage].relative_to(copy)
    here.write_bytes(contents[files[damage]])
    all_answer(service, networks | {3: Independent(copy, 3)}, 3)


def test_a_stopped_worker_holds_up_nobody_and_follows_when_it_is_resumed(
    service: RunningService, registry: Path, networks: dict[int, Independent]
) -> None:
    wait_for(lambda: len(service.workers()) == 2)
    stopped = service.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        stature("promote", "2", "--registry", str(registry))
        all_answer(service, networks, 2)
    finally:
        os.kill(stopped, signal.SIGCONT)
    all_answer(service, networks, 2)
    assert stopped in service.workers()


def test_workers_that_are_killed_one_after_the_other_lose_only_what_they_were_at(
    service: RunningService, networks: dict[int, Independent], record_property: Callable[[str, object], None]
) -> None:
    wait_for(lambda: len(service.workers()) == 2)
    stopping, answered, lost = threading.Event(), [], []

    def ask() -> None:
        while not stopping.is_set():
            try:
                answered.append(answered_by(service, networks))
            except (OSError, http.client.HTTPException):  # its connection was with the worker that was killed
                lost.append(time.monotonic())

    asker = threading.Thread(target=ask)
    asker.start()
    kills = 6
    for _ in range(kills):
        before = set(service.workers())
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda before=before: len(set(service.workers()) - before) == 1)
        count = len(answered)
        wait_for(lambda count=count: len(answered) > count + 5)
    stopping.set()
    asker.join()
    assert set(answered) == {1}
    assert len(lost) <= kills
    record_property("workers killed", kills)
    record_property("requests lost with them", len(lost))


def test_a_training_on_a_full_disk_says_so_and_the_registry_stays_whole(
    service: RunningService, registry: Path, networks: dict[int, Independent], tmp_path: Path
) -> None:
    before = sorted(path.name for path in registry.rglob("*"))
    full = tmp_path / "full"
    full.mkdir()
    # A file system of its own, in a namespace of its own, with room for what is there and for no more.
    script = f"""set -e
        mount -t tmpfs -o size=1m tmpfs {full}
        cp -r {registry}/. {full}
        head -c 10m /dev/zero > {full}/filler 2>/dev/null || true
        "{STATURE}" train --seed 3 --registry {full} && exit 99
        rm {full}/filler
        "{STATURE}" verify --registry {full}
        "{STATURE}" train --seed 3 --promote never --registry {full}
        "{STATURE}" verify --registry {full}
    """
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("is whole") == 2
    assert sorted(path.name for path in registry.rglob("*")) == before
    assert answered_by(service, networks) == 1
