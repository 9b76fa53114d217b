"""Slots: counted on after every restart, summed once, and no more of them than workers at one time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.slots import Slots, make_directory, totals

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

_FORK = multiprocessing.get_context("fork")


def _worker(directory: Path, connection: Connection) -> None:
    """A worker that counts as often as it is told, says in which slot, and ends by being killed."""
    slots = Slots(directory)
    connection.send(slots.number)
    while True:
        slots.block("counted", 2)[1] += connection.recv()
        connection.send(slots.block("counted", 2)[1])


class Worker:
    def __init__(self, directory: Path) -> None:
        self.connection, theirs = _FORK.Pipe()
        self.process = _FORK.Process(target=_worker, args=(directory, theirs), daemon=True)
        self.process.start()
        self.slot = self.connection.recv()

    def count(self, how_many: float) -> float:
        self.connection.send(how_many)
        return self.connection.recv()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


def test_a_replacement_takes_the_slot_of_the_dead_and_counts_on(tmp_path: Path) -> None:
    first, second = Worker(tmp_path), Worker(tmp_path)
    assert (first.slot, second.slot) == (1, 2)
    assert first.count(3) == 3
    assert second.count(4) == 4
    first.kill()
    replacement = Worker(tmp_path)
    assert replacement.slot == 1
    assert replacement.count(5) == 8

    mine = Slots(tmp_path)
    assert mine.number == 3
    assert totals(mine.read())["counted"].tolist() == [0.0, 12.0]
    second.kill()
    read = mine.read()
    assert [(slot.number, slot.alive) for slot in read] == [(1, True), (2, False), (3, True)]
    assert totals(read)["counted"].tolist() == [0.0, 12.0]
    replacement.kill()


def test_a_thousand_restarts_add_no_file_no_byte_and_nothing_to_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _A_THOUSAND_RESTARTS, str(tmp_path)], capture_output=True, text=True, check=True
    )
    looks = [json.loads(line) for line in done.stdout.splitlines()]
    assert [look["counted"] for look in looks] == [[1.0], *([float(restarts)] for restarts in range(100, 1001, 100))]
    assert {(look["slots"], look["files"], look["blocks"]) for look in looks} == {(2, 3, looks[0]["blocks"])}


# A process of its own, since one as large as that of the tests takes long to fork.
_A_THOUSAND_RESTARTS = """
import json, os, pathlib, signal, sys
from service.slots import Slots, totals
directory = pathlib.Path(sys.argv[1])
survivor = Slots(directory)
for restart in range(1, 1001):
    if (process := os.fork()) == 0:
        slots = Slots(directory)
        assert slots.number == 2
        slots.block("counted", 1)[0] += 1.0
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    if restart == 1 or restart % 100 == 0:
        read, files = survivor.read(), list(directory.iterdir())
        look = {"counted": totals(read)["counted"].tolist(), "slots": len(read), "files": len(files)}
        print(json.dumps({**look, "blocks": sum(file.stat().st_blocks for file in files)}), flush=True)
"""


def test_workers_that_start_at_once_take_different_slots(tmp_path: Path) -> None:
    pipes = [_FORK.Pipe() for _ in range(8)]
    processes = [_FORK.Process(target=_worker, args=(tmp_path, theirs), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()
    assert sorted(mine.recv() for mine, _ in pipes) == [1, 2, 3, 4, 5, 6, 7, 8]
    for process in processes:
        process.kill()
        process.join()


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), st.floats(-1e9, 1e9)),
        max_size=50,
    )
)
def test_what_is_counted_is_read(counted: list[tuple[str, float]]) -> None:
    slots, expected = Slots(), {}
    for key, number in counted:
        slots.block(key, 3)[2] += number
        expected.setdefault(key, np.zeros(3))[2] += number
    (read,) = slots.read()
    assert {key: numbers.tolist() for key, numbers in read.blocks.items()} == {
        key: numbers.tolist() for key, numbers in expected.items()
    }


def test_the_directory_of_a_service_that_was_killed_goes_with_the_next() -> None:
    mine, theirs = _FORK.Pipe()
    process = _FORK.Process(target=_hold_a_directory, args=(theirs,), daemon=True)
    process.start()
    left = mine.recv()
    path = make_directory()
    assert left.is_dir(), "another service's, which is alive"
    assert path.stat().st_mode & 0o777 == 0o700
    process.kill()
    process.join()
    second = make_directory()
    assert not left.exists()
    assert path.is_dir(), "this process still holds it"
    path.rmdir()
    second.rmdir()


def _hold_a_directory(connection: Connection) -> None:
    connection.send(make_directory())
    signal.pause()


def test_memory_that_is_full_ends_no_worker(tmp_path: Path) -> None:
    # A memory of its own, in a namespace of its own, with room for one page of numbers and no more.
    script = f"""
import pathlib, subprocess, sys
from service.slots import Slots, totals
full = pathlib.Path({str(tmp_path)!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], check=True)
first = Slots(full)
first.block("fits", 10)[0] += 1
first.block("does not fit", 10_000)[9_999] += 1
first.block("fits", 10)[0] += 1
(full / "filler").write_bytes(bytes(4096))
late = Slots(full)
late.block("late", 10_000)[0] += 1
print({{key: float(numbers.sum()) for key, numbers in totals(first.read()).items()}})
"""
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'fits': 2.0}\n"
    assert "no memory to count in: No space left on device" in done.stderr
