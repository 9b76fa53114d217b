"""The documents as programs: the blocks of a Markdown file, run top to bottom and compared with what they show.

    ```console
    $ a command, its \\ and here-document
    > continued
    what it prints: … stands for anything within a line, a line of … alone for any lines
    ```

The commands of a document share one bash, so that what one exports or writes, the next one finds. What serves is run
in the background, awaited, and ended with the document. Documents say port 8000; the tests use free ones.

    ```pycon
    >>> what is entered into Python
    ... continued
    what it answers, with … as above
    ```

The Python of a document is one session of its own, which the standard library's doctest runs.
"""

import doctest
import io
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from end_to_end.container_engine import ROOT, eventually
from end_to_end.running_service import free_port

PORTS = ("8000", "8001", "8002", "8003", "8080")
"""The ports that documents name."""

_FENCE = re.compile(r"^ *(```+) *([^\s`]*)[^`]*$")
_SERVES = re.compile(r"(?:\w+=\S* )*(?:stature (?:up|serve)|make run|docker compose up)\b(?!.* --(?:help|detach)\b)")
_COMMAND_SECONDS = 60.0
_FOLLOWING_SECONDS = 10.0
"""How long a running service may take until it answers as shown: it follows the registry, a look a second."""
_STOPPING_SECONDS = 40.0


def shows(shown: Sequence[str], output: str) -> bool:
    """Whether these lines of a document show this output."""
    lines = (
        r"(?:[^\n]*\n)*?" if line == "…" else r"[^\n]*".join(map(re.escape, line.split("…"))) + r"\n" for line in shown
    )
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in output.splitlines())) is not None


@dataclass(frozen=True)
class Step:
    """One command with what a document shows of its output."""

    place: str
    command: str
    shown: tuple[str, ...]

    @property
    def serves(self) -> bool:
        """Whether this runs until it is stopped."""
        return _SERVES.match(self.command) is not None

    @property
    def fails(self) -> bool:
        """Whether the document shows that this goes wrong."""
        return any(line.startswith(("Error: ", "curl: ")) for line in self.shown)

    def is_shown(self, output: str) -> bool:
        """Whether the document shows this output."""
        return shows(self.shown, output)


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    place: str
    language: str
    lines: tuple[str, ...]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The commands of a console block."""
        name, _, number = self.place.rpartition(":")
        steps: list[Step] = []
        for place, line in enumerate(self.lines, start=int(number) + 1):
            last = steps[-1] if steps else None
            if line.startswith("$ "):
                steps.append(Step(f"{name}:{place}", line[2:], ()))
            elif last is None:
                raise ValueError(f"{name}:{place}: a console block begins with a command")
            elif (line == ">" or line.startswith("> ")) and not last.shown:
                steps[-1] = Step(last.place, f"{last.command}\n{line[2:]}", ())
            else:
                steps[-1] = Step(last.place, last.command, (*last.shown, line))
        return tuple(steps)


def documents() -> list[str]:
    """All documents of the project, by their path in it."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("model/**/*.md"), *ROOT.glob("tests/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document, in its order."""
    return list(blocks_of(document, ROOT.joinpath(document).read_text(encoding="utf-8")))


def blocks_of(name: str, text: str) -> Iterator[Block]:
    opened: Block | None = None
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        found = _FENCE.match(line)
        if opened is None and found is not None:
            fence, opened = found[1], Block(f"{name}:{number}", found[2], ())
        elif opened is not None and line.strip() == fence:
            yield opened
            opened = None
        elif opened is not None:
            opened = Block(opened.place, opened.language, (*opened.lines, line))
    if opened is not None:
        raise ValueError(f"{opened.place}: this block is never closed")


class _OutputChecker(doctest.OutputChecker):
    """Compares what Python answers as the output of commands is compared."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return shows(want.splitlines(), got)


def python_session(name: str, text: str) -> doctest.DocTest:
    """All Python of a document, at the lines where it stands there."""
    lines = [""] * len(text.splitlines())
    for block in blocks_of(name, text):
        if block.language == "pycon":
            start = int(block.place.rpartition(":")[2])
            lines[start : start + len(block.lines)] = block.lines
    return doctest.DocTestParser().get_doctest("\n".join(lines), {}, name, name, 0)


def run_python(session: doctest.DocTest) -> None:
    """Run it and compare. AssertionError at the first answer that is not as shown."""
    said = io.StringIO()
    runner = doctest.DocTestRunner(_OutputChecker(), verbose=False, optionflags=doctest.FAIL_FAST)
    assert runner.run(session, out=said.write).failed == 0, said.getvalue()


def clean_environment() -> dict[str, str]:
    """The environment of someone who has just opened a terminal: no settings of ours, no virtual environment."""
    ours = ("STATURE_", "COVERAGE_", "COMPOSE_", "PYTEST_", "VIRTUAL_ENV", "MAKE", "MFLAGS", "PYTHON", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder).is_relative_to(ROOT)]
    return environment | {"PATH": os.pathsep.join(folders), "LC_ALL": "C.UTF-8"}


class Shell:
    """A bash that keeps its state from command to command."""

    def __init__(self, folder: Path, environment: Mapping[str, str], scratch: Path) -> None:
        self.ports = {port: str(free_port()) for port in PORTS}
        self._scratch, self._count, self._status = scratch, 0, 0
        self._servers: list[int] = []
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={
                **environment,
                "STATURE_PORT": self.ports["8000"],
                "STATURE_PUBLISHED_PORT": self.ports["8000"],
                "STATURE_LOG": "text",  # what a reader sees, who has a terminal
                "STATURE_PROXY_PORT": self.ports["8080"],
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def run(self, step: Step, *, seconds: float = _COMMAND_SECONDS) -> None:
        """Run a command and compare. AssertionError, with both outputs, where they differ."""
        if step.serves:
            self._serve(step, seconds)
            return
        deadline = time.monotonic() + _FOLLOWING_SECONDS
        status, output = self._execute(step.command, seconds)
        # A request changes nothing here, so it may be made again until the service has followed the registry.
        while step.command.startswith("curl ") and not step.is_shown(output) and time.monotonic() < deadline:
            time.sleep(0.05)
            status, output = self._execute(step.command, seconds)
        self._compare(step, output)
        # A command that fails says so: whoever reads the document must not take it for one that worked.
        as_shown = (status != 0) == step.fails or (status == 0 and "|" in step.command)
        assert as_shown, f"{step.place}: {step.command}\nended with {status} after\n{output}"

    def stop(self) -> None:
        """End what serves, and the bash."""
        for server in self._servers:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGTERM)
            self._ask(f"wait {server}; echo $?", _STOPPING_SECONDS)
        self._bash.communicate(timeout=10)

    def kill(self) -> None:
        """End everything at once."""
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()

    def _execute(self, command: str, seconds: float) -> tuple[int, str]:
        script, printed = self._script(command)
        # The status of the command before is still there for one that asks for it.
        said = self._ask(f"(exit {self._status}); . {script} >{printed} 2>&1 </dev/null; echo $?", seconds)
        output = self._in_document_ports(printed)
        assert said, f"{command}\nhas not ended in {seconds:g} seconds; it said:\n{output}"
        self._status = int(said)
        return self._status, output

    def _serve(self, step: Step, seconds: float) -> None:
        named = re.search(r"--port[ =](\d+)", step.command)
        port = self.ports[named[1] if named else "8000"]
        assert step.fails or not is_alive(port), f"{step.place}: {step.command}\nanother service answers on this port"
        script, printed = self._script(step.command)
        # bash -c becomes the command itself, so that the signal at the end reaches it.
        server = int(self._ask(f'bash -c "$(cat {script})" >{printed} 2>&1 </dev/null & echo $!', seconds))
        self._servers.append(server)
        as_shown = eventually(
            lambda: (
                step.is_shown(self._in_document_ports(printed))
                and (not self._runs(server) or (is_alive(port) and not step.fails))
            ),
            seconds,
        )
        self._compare(step, self._in_document_ports(printed))
        assert as_shown, f"{step.place}: {step.command}\ndoes not answer"

    def _runs(self, server: int) -> bool:
        return self._ask(f"kill -0 {server} && echo yes || echo no", 10) == "yes"

    def _compare(self, step: Step, output: str) -> None:
        assert step.is_shown(output), "\n".join(
            [f"{step.place}: $ {step.command}", "--- the document shows", *step.shown, "--- it printed", output]
        )

    def _script(self, command: str) -> tuple[str, str]:
        """The command in a file, with this machine's ports, and a file for what it prints; both quoted for bash."""
        self._count += 1
        script, printed = (self._scratch / f"{self._count}.{suffix}" for suffix in ("sh", "txt"))
        for port, real in self.ports.items():
            command = re.sub(rf"(?<![\d.]){port}(?!\d)", real, command)
        script.write_text(f"{command}\n", encoding="utf-8")
        return shlex.quote(str(script)), shlex.quote(str(printed))

    def _in_document_ports(self, printed: str) -> str:
        (path,) = shlex.split(printed)
        output = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
        for port, real in self.ports.items():
            output = re.sub(rf"(?<![\d.]){real}(?!\d)", port, output)
        return output

    def _ask(self, line: str, seconds: float) -> str:
        """What bash answers to one line of ours; nothing where it does not answer in time."""
        bash = self._bash
        assert bash.stdin is not None
        assert bash.stdout is not None
        bash.stdin.write(f"{line}\n")
        bash.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(bash.stdout, selectors.EVENT_READ)
            return bash.stdout.readline().strip() if selector.select(seconds) else ""


@contextmanager
def shell(folder: Path, environment: Mapping[str, str], scratch: Path) -> Iterator[Shell]:
    """A Shell that leaves nothing behind it, whatever happened."""
    scratch.mkdir(parents=True, exist_ok=True)
    opened = Shell(folder, environment, scratch)
    try:
        yield opened
    except BaseException:
        opened.kill()
        raise
    opened.stop()


def run_all(opened: Shell, steps: Iterable[Step], *, seconds: float = _COMMAND_SECONDS) -> None:
    for step in steps:
        opened.run(step, seconds=seconds)


def is_alive(port: str) -> bool:
    """Whether a service answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
