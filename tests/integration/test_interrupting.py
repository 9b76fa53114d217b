"""Ctrl-C, at moments that are chosen: a real process gets a real SIGINT, and what it leaves is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from people_files import people, text, write

from model.registry.audit import problems
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training.job import Settings, run

PRESSED = """
import importlib, os, signal, sys
where, name, count, when = sys.argv.pop(1).split(":")
module = importlib.import_module(where)
real, calls = getattr(module, name), 0
def watched(*arguments, **named):
    global calls
    calls += 1
    if calls == int(count) and when == "before":
        os.kill(os.getpid(), signal.SIGINT)
    result = real(*arguments, **named)
    if calls == int(count) and when == "after":
        os.kill(os.getpid(), signal.SIGINT)
    return result
setattr(module, name, watched)
from model.cli import main
main()
"""
"""Presses Ctrl-C before or after the n-th call of a function."""

AS_IT_READS = """
import os, signal, sys, threading, time
sys.argv.pop(1)
main_thread = threading.get_ident()
def press():
    frame = None
    while frame is None or frame.f_code.co_name != "rows" or "reading.py" not in frame.f_code.co_filename:
        time.sleep(0.001)
        frame = sys._current_frames().get(main_thread)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
from model.cli import main
main()
"""
"""Presses it while DuckDB reads a file, which answers with an error of its own."""

LINE = "Interrupted: nothing is left half done.\n"


def pressed(moment: str, *arguments: str, folder: Path, code: str = PRESSED) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, moment, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write(tmp_path / "people.csv", text(people(200)))


@pytest.mark.parametrize(
    "moment",
    [
        "model.cli.group:main:1:before",
        "model.training.job:people_of:1:before",
        "model.training.job:people_of:1:after",
        "model.training.job:fit:1:after",
        "model.training.job:publish:1:before",
        *(f"os:link:{count}:{when}" for count in (1, 2, 3, 6) for when in ("before", "after")),
        *(f"os:fsync:{count}:{when}" for count in (1, 5, 9) for when in ("before", "after")),
    ],
)
def test_a_training_leaves_whole_versions_or_none(tmp_path: Path, data: str, moment: str) -> None:
    done = pressed(moment, "train", "--data", data, folder=tmp_path)

    assert (done.returncode, done.stderr) == (-signal.SIGINT, LINE)
    registry = Registry(LocalStorage(tmp_path / "registry"), "gender")
    assert list(problems(registry)) == []
    assert not list(tmp_path.glob("registry/.temporary/*"))
    run(Settings(data=data, promote="always"), registry, by="a test")
    assert registry.head().champion is not None


@pytest.mark.parametrize(
    ("moment", "files"),
    [("model.cli.elsewhere:_content:1:after", 0), ("os:link:1:before", 0), ("os:link:1:after", 1)],
)
def test_an_export_leaves_a_whole_file_or_none(tmp_path: Path, trained: Registry, moment: str, files: int) -> None:
    where = ("--registry", str(trained.storage), "--to", "npz", "--output", "weights.npz")
    folder = tmp_path / "exported"
    folder.mkdir()

    done = pressed(moment, "export", "1", *where, folder=folder)

    assert (done.returncode, done.stderr) == (-signal.SIGINT, LINE)
    whole = Path(f"{trained.storage}/gender/{trained.manifest(1).files.weights.key}").read_bytes()
    assert [path.read_bytes() for path in folder.iterdir()] == [whole] * files


def test_a_large_file_is_left_off_while_it_is_read(tmp_path: Path) -> None:
    lines = "".join(f"{60 + index % 40},{150 + index % 37},{'fm'[index % 2]}\n" for index in range(1000))
    (tmp_path / "large.csv").write_text("weight_kg,height_cm,gender\n" + lines * 2000)

    done = pressed("threading:excepthook:1:before", "train", "--data", "large.csv", folder=tmp_path, code=AS_IT_READS)

    assert (done.returncode, done.stderr) == (-signal.SIGINT, LINE)
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize(
    ("moment", "command"),
    [
        ("model.training.elsewhere:evaluate:1:before", ("evaluate", "1", "--data", "people.csv")),
        ("model.registry.version:verify:1:after", ("verify",)),
        ("model.training.reproduce:fit:1:after", ("reproduce", "1")),
    ],
)
def test_what_only_reads_ends_as_it_is_asked_to(
    tmp_path: Path, trained: Registry, data: str, moment: str, command: tuple[str, ...]
) -> None:
    done = pressed(moment, *command, "--registry", str(trained.storage), folder=tmp_path)

    assert (done.returncode, done.stderr) == (-signal.SIGINT, LINE)


@pytest.mark.parametrize(
    "moment",
    [
        *(f"os:link:{count}:{when}" for count in (1, 90) for when in ("before", "after")),
        "os:link:40:before",  # by one of the writers at once
        "concurrent.futures.thread:_WorkItem:4:before",  # while others wait for the fourth writer
        "model.registry.doctor:created_at:1:before",  # while it cleans up
        "model.registry.doctor:created_at:7:after",
    ],
)
def test_a_doctor_leaves_nothing_of_its_own(tmp_path: Path, moment: str) -> None:
    done = pressed(moment, "doctor", folder=tmp_path)

    assert (done.returncode, done.stderr) == (-signal.SIGINT, LINE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_interrupt_that_python_cannot_raise_comes_again(tmp_path: Path) -> None:
    # In a weak reference's callback nothing can be raised: Python says so, and would go on.
    code = """
import os, signal, sys, weakref
from model.cli import main
import model.cli.group
class Held: pass
def command():
    held = Held()
    reference = weakref.ref(held, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del held
    signal.pause()
model.cli.group.main = command
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, LINE)


def test_in_the_background_of_a_script_ctrl_c_is_not_for_it(tmp_path: Path) -> None:
    code = PRESSED.replace("import importlib", "import signal; signal.signal(2, signal.SIG_IGN); import importlib")
    done = pressed("model.cli.options:open_registry:1:before", "models", folder=tmp_path, code=code)
    assert (done.returncode, done.stderr) == (0, "")
