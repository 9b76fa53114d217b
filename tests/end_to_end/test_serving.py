"""The main job, end to end: train, publish, serve with real gunicorn workers, predict over HTTP, promote while it runs.

Every served number is compared with the network computed here from the npz file, by numpy alone.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from end_to_end.independent import Independent, stature
from end_to_end.running_service import STATURE, RunningService, free_port, serve, wait_for

from model.training import job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model.registry.registry import Registry

SECONDS_UNTIL_SERVED = 2.0
STEVE = {"weight_kg": 73, "height_cm": 182}


@pytest.fixture
def service(trained: Registry, tmp_path: Path) -> Iterator[RunningService]:
    with serve(trained.storage.root, tmp_path / "log", "--workers", "2") as running:
        yield running


def test_train_publish_serve_predict_and_promote_while_requests_run(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    for arguments in (
        ["--seed", "1"],
        ["--seed", "2", "--promote", "never"],
        ["--hidden", "3,2", "--promote", "never"],
    ):
        stature("train", "--registry", str(registry), *arguments)
    networks = {number: Independent(registry, number) for number in (1, 2, 3)}

    with serve(registry, tmp_path / "log", "--workers", "2") as service:
        answers: list[tuple[float, float, float, dict]] = []
        stopping, failures = threading.Event(), []

        def ask(seed: int) -> None:
            generator = np.random.default_rng(seed)
            connection = service.connect()
            try:
                while not stopping.is_set():
                    weight_lb, height_in = generator.uniform(90, 350), generator.uniform(55, 80)
                    asked_at = time.monotonic()
                    status, answer = service.request(
                        "POST", "/predict", {"weight_lb": weight_lb, "height_in": height_in}, connection
                    )
                    assert status == 200, answer
                    answers.append((asked_at, weight_lb, height_in, answer))
            except BaseException as failure:
                failures.append(failure)
                raise
            finally:
                connection.close()

        askers = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for asker in askers:
            asker.start()
        promoted_at: dict[int, float] = {}
        for number in (2, 3, 1):
            stature("promote", str(number), "--registry", str(registry))
            promoted_at[number] = time.monotonic()
            # Some requests after the time that a promotion may take, so that each version is seen to arrive in full.
            enough = promoted_at[number] + SECONDS_UNTIL_SERVED + 0.3
            wait_for(lambda enough=enough: bool(answers) and answers[-1][0] > enough)
            late = [a for a in answers if promoted_at[number] + SECONDS_UNTIL_SERVED < a[0] < enough]
            assert late
            assert {answer["model_version"] for *_, answer in late} == {number}
        stopping.set()
        for asker in askers:
            asker.join()

    assert failures == []
    assert {answer["model_version"] for *_, answer in answers} == {1, 2, 3}
    for _, weight_lb, height_in, answer in answers:
        expected = networks[answer["model_version"]](weight_lb, height_in)
        assert answer["probability_female"] == pytest.approx(expected, abs=1e-12)
        assert answer["likelier"] == ("female" if answer["probability_female"] >= 0.5 else "male")


def test_all_three_ways_of_asking_agree_with_the_npz_file(service: RunningService, trained: Registry) -> None:
    network = Independent(trained.storage.root, 2)
    weights, heights = [50.0, 73.0, 110.0, 61.25], [150.0, 182.0, 175.5, 168.0]
    expected = [network(w / 0.45359237, h / 2.54) for w, h in zip(weights, heights, strict=True)]
    people = [{"weight_kg": w, "height_cm": h} for w, h in zip(weights, heights, strict=True)]

    singles = [service.request("POST", "/versions/2/predict", person) for person in people]
    _, batch = service.request("POST", "/versions/2/predict/batch", {"instances": people})
    _, columns = service.request("POST", "/versions/2/predict/columns", {"weight_kg": weights, "height_cm": heights})

    assert [answer["probability_female"] for _, answer in singles] == pytest.approx(expected, abs=1e-12)
    assert [answer["probability_female"] for answer in batch["predictions"]] == pytest.approx(expected, abs=1e-12)
    assert columns["probability_female"] == pytest.approx(expected, abs=1e-12)


def test_every_worker_serves_a_promotion_within_two_seconds(service: RunningService, trained: Registry) -> None:
    """One worker at a time is left to answer, the others being stopped."""
    trained.promote(2, by="a test")
    deadline = time.monotonic() + SECONDS_UNTIL_SERVED
    time.sleep(max(0.0, deadline - time.monotonic()))  # the time that it may take is what is being shown
    workers = service.workers()
    assert len(workers) == 2
    for only in workers:
        others = [worker for worker in workers if worker != only]
        for worker in others:
            os.kill(worker, signal.SIGSTOP)
        try:
            # A stopped worker may have taken a connection already; those wait, and are answered when it goes on.
            answered = [_ask_within(service, 5.0) for _ in range(3)]
        finally:
            for worker in others:
                os.kill(worker, signal.SIGCONT)
        assert 2 in answered
        assert set(answered) <= {2, None}


def _ask_within(service: RunningService, seconds: float) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=seconds)
    try:
        return service.request("POST", "/predict", STEVE, connection)[1]["model_version"]
    except TimeoutError:
        return None
    finally:
        connection.close()


def test_a_killed_worker_is_replaced_and_serves_the_champion_of_the_day(
    service: RunningService, trained: Registry
) -> None:
    trained.promote(2, by="a test")
    before = set(service.workers())
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(service.workers()) == 2 and not before & set(service.workers()))
    assert service.request("POST", "/predict", STEVE)[1]["model_version"] == 2


def test_a_chunked_body_is_read_and_one_that_is_too_large_is_refused(service: RunningService) -> None:
    for size, status in ((100, 200), (5_000_000, 413)):
        connection = service.connect()
        content = json.dumps(STEVE).encode().ljust(size)
        chunks = (content[start : start + 65_536] for start in range(0, size, 65_536))
        connection.request("POST", "/predict", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
        assert connection.getresponse().status == status
        connection.close()


def test_sigterm_ends_the_service_cleanly(service: RunningService) -> None:
    assert service.terminate() == 0
    assert "Traceback" not in service.log.read_text()


def test_a_service_that_is_started_first_is_ready_once_something_is_promoted(
    registry: Registry, tmp_path: Path
) -> None:
    with serve(registry.storage.root, tmp_path / "log", "--workers", "1", ready=False) as service:
        assert service.request("GET", "/readyz")[0] == 503
        assert service.request("POST", "/predict", STEVE)[0] == 503
        job.run(job.Settings(hidden=()), registry, by="a test")
        wait_for(lambda: service.request("GET", "/readyz")[0] == 200)
        assert service.request("POST", "/predict", STEVE)[1]["model_version"] == 1
    assert "waiting for `stature train`" in service.log.read_text()


def test_a_setting_that_is_mistyped_is_named_without_its_value(trained: Registry, tmp_path: Path) -> None:
    with serve(
        trained.storage.root, tmp_path / "log", STATURE_TOKEN="deploy admin 5ec2e7", STATURE_LOG="json"
    ) as service:
        log = service.log.read_text()
    assert log.count("STATURE_TOKEN is no setting, and is ignored") == 1
    assert "5ec2e7" not in log
    assert log.count("is no setting") == 1, "those that are settings are not named"


def test_nothing_measured_is_ever_written_to_the_log(trained: Registry, tmp_path: Path) -> None:
    with serve(trained.storage.root, tmp_path / "log") as service:
        for document in ({"weight_kg": 173.515, "height_cm": 173.525}, {"weight_kg": 173.515, "height_cm": 7.3525}):
            service.request("POST", "/predict", document)
        service.terminate()
    assert "173.5" not in service.log.read_text()
    assert "7.3525" not in service.log.read_text()


def test_a_wrong_setting_ends_the_service_at_once_and_names_the_variable(trained: Registry, tmp_path: Path) -> None:
    ended = subprocess.run(
        [str(STATURE), "serve", "--registry", str(trained.storage.root), "--port", "0"],
        env=os.environ | {"STATURE_POLL_SECONDS": "often"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "STATURE_POLL_SECONDS is 'often'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_up_trains_what_is_not_there_and_then_serves(tmp_path: Path) -> None:
    port = free_port()
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [str(STATURE), "up", "--registry", str(tmp_path / "registry"), "--port", str(port)], stdout=log, stderr=log
    )
    try:
        service = RunningService(process, port, tmp_path / "log")

        def ready() -> bool:
            try:
                return service.request("GET", "/readyz")[0] == 200
            except OSError:
                return False

        wait_for(ready, service.log.read_text)
        assert service.request("POST", "/predict", STEVE)[1]["model_version"] == 1
        assert "Published version 1" in service.log.read_text()
        assert service.terminate() == 0
    finally:
        log.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_body_that_breaks_the_rules_of_http_is_the_callers_fault(service: RunningService) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n{}\r\n0\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in service.log.read_text()
