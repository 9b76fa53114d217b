"""What is shown on a terminal, and what is not where there is none: real processes, with a pseudo-terminal or pipes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from people_files import people, text, write
from terminal import AS_A_TERMINAL_IS, typed_on_a_terminal

if TYPE_CHECKING:
    from model.registry.registry import Registry

STATURE = Path(sys.executable).with_name("stature")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C = "\x03"
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3|9)[0-7]")


def on_a_terminal(
    *arguments: str, columns: int = 100, only_errors: bool = False, **environment: str
) -> tuple[str, str]:
    """What a terminal of so many columns gets, and what a pipe does that is standard output if only errors go there."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [STATURE, *arguments],
        stdin=inner,
        stdout=subprocess.PIPE if only_errors else inner,
        stderr=inner,
        env=plain | AS_A_TERMINAL_IS | environment,
    )
    os.close(inner)
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while part := os.read(terminal, 1 << 16):
            shown += part
    os.close(terminal)
    piped, _ = process.communicate(timeout=60)
    assert process.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n"), (piped or b"").decode()


def piped(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STATURE, *arguments], env=os.environ | environment, capture_output=True, text=True, check=True, timeout=60
    )


def in_the_end(shown: str) -> str:
    """What stands on the screen after all: a line that was erased does not."""
    lines = [""]
    for part in re.split(r"(\n|\r|\x1b\[2K|\x1b\[1A|\x1b\[[0-9;?]*[A-Za-z])", shown):
        if part == "\n":
            lines.append("")
        elif part == "\x1b[1A":
            lines.pop()
        elif part == "\x1b[2K":
            lines[-1] = ""
        elif part and part != "\r" and not part.startswith("\x1b"):
            lines[-1] += part
    return "\n".join(lines)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write(tmp_path / "people.csv", text(people(200)))


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("command", ["models", "log"])
def test_a_table_fits_the_terminal_and_loses_nothing(trained: Registry, command: str, columns: int) -> None:
    trained.promote(
        2, by="someone@somewhere", reason="better for the short, and for the tall as well, if only a little"
    )
    arguments = (command, "--registry", str(trained.storage))

    shown = in_the_end(on_a_terminal(*arguments, columns=columns)[0])

    everything = piped(*arguments, COLUMNS=str(columns)).stdout
    assert max(len(line) for line in shown.splitlines()) <= columns
    assert sorted("".join(shown.split())) == sorted("".join(everything.split()))
    assert (shown == everything) == (max(len(line) for line in everything.splitlines()) <= columns)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_tables_and_plots_of_a_training_fit_the_terminal(tmp_path: Path, data: str, columns: int) -> None:
    shown, _ = on_a_terminal("train", "--data", data, "--registry", str(tmp_path / "registry"), columns=columns)

    said = in_the_end(shown)
    table = said[said.index("\n\n") : said.index("\nOf ")]
    plots = said[said.index("\nloss ") : said.index("\nThe report")]
    assert max(len(line) for line in (*table.splitlines(), *plots.splitlines())) <= columns


def test_colours_are_for_a_terminal_and_not_for_who_wants_none(trained: Registry, data: str) -> None:
    arguments = ("evaluate", "1", "--data", data, "--registry", str(trained.storage))

    assert COLOUR.search(on_a_terminal(*arguments)[0])
    assert not COLOUR.search(on_a_terminal(*arguments, NO_COLOR="1")[0])
    assert "\x1b" not in on_a_terminal(*arguments, TERM="dumb")[0]


@pytest.mark.parametrize("command", ["evaluate", "train", "verify", "--help"])
def test_what_is_piped_is_plain_even_where_colours_are_forced(
    trained: Registry, data: str, command: str, tmp_path: Path
) -> None:
    arguments = {"evaluate": ("1", "--data", data), "train": ("--data", data)}.get(command, ())
    where = () if command == "--help" else ("--registry", str(trained.storage))

    done = piped(command, *arguments, *where, FORCE_COLOR="1", CLICOLOR_FORCE="1")

    assert "\x1b" not in done.stdout
    assert done.stderr == ""


PROGRESS = {
    ("train", "--data", "people.csv", "--trainer", "sgd", "--epochs", "50"): "training on people.csv",
    ("evaluate", "1", "--data", "people.csv"): "measuring version 1 on people.csv",
    ("recalibrate", "1", "--data", "people.csv"): "recalibrating version 1 on people.csv",
    ("reproduce", "1"): "training version 1 again",
    ("models",): "reading the versions of",
    ("log",): "reading the log of",
    ("verify",): "reading all of",
    ("prune",): "looking through",
    ("diff", "1", "2"): "comparing versions 1 and 2",
    ("export", "1", "--to", "json"): "writing version 1 as json",
    ("doctor",): "trying",
}


@pytest.mark.parametrize(
    ("command", "doing"), PROGRESS.items(), ids=lambda value: value[0] if isinstance(value, tuple) else ""
)
def test_progress_is_on_standard_error_of_a_terminal_and_gone_at_the_end(
    trained: Registry, data: str, command: tuple[str, ...], doing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(data).parent)
    monkeypatch.setenv("STATURE_REGISTRY", str(trained.storage))

    errors, output = on_a_terminal(*command, only_errors=True)
    both, _ = on_a_terminal(*command)
    json, document = on_a_terminal(*command, "--json", only_errors=True)

    assert doing in ESCAPE.sub("", errors)
    assert in_the_end(errors).strip() == ""
    assert output
    assert "\x1b" not in output
    assert doing in ESCAPE.sub("", both)
    assert doing not in in_the_end(both)
    assert json == ""
    assert document.startswith(("{", "["))


@pytest.mark.parametrize("shown", ["training on nhanes", "epoch "])
def test_ctrl_c_leaves_a_terminal_as_it_was(tmp_path: Path, shown: str) -> None:
    long = (str(STATURE), "train", "--trainer", "sgd", "--epochs", "100000", "--registry", str(tmp_path / "registry"))

    code, said = typed_on_a_terminal(*long, keys=CTRL_C, when=shown)

    assert code == -signal.SIGINT
    assert in_the_end(said).endswith("Interrupted: nothing is left half done.\n")
    assert "training on" not in in_the_end(said)
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # the cursor is there again
    assert not (tmp_path / "registry").exists()


def test_ctrl_c_ends_a_loop_of_a_shell_too(tmp_path: Path) -> None:
    loop = f"""
    for epochs in 100000 1 2; do
        echo "for $epochs"
        "{STATURE}" train --trainer sgd --epochs $epochs --registry "{tmp_path}/registry"
    done
    """

    code, said = typed_on_a_terminal("bash", "--norc", "-c", loop, keys=CTRL_C, when="epoch ")

    assert code == -signal.SIGINT
    assert "Interrupted" in said
    assert "for 1\n" not in said


def test_an_installation_without_rich_shows_no_progress_and_works(trained: Registry) -> None:
    code = (
        "import sys; sys.modules['rich'] = None; sys.stderr.isatty = lambda: True; from model.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", "--registry", str(trained.storage)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert "is whole" in done.stdout
