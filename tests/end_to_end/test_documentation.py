"""Every command in the documents is run, and prints what they show."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import debian
import pytest
from end_to_end.container_engine import ROOT, NoEngineError, container_engine
from end_to_end.container_fixtures import BASE_IMAGES
from end_to_end.documentation import (
    Block,
    Shell,
    Step,
    blocks,
    blocks_of,
    clean_environment,
    documents,
    python_session,
    run_all,
    run_python,
    shell,
)
from kubernetes.tools import ToolMissingError, helm

SHOWN_ONLY = {"json", "text"}
"""Languages of blocks that are no commands: a drawing, a body."""

INSTALLING_SECONDS = 900.0


def runner_of(block: Block) -> str:
    """Which test runs a block."""
    if block.language == "pycon":
        return "python"
    if block.language != "console":
        return "nobody"
    programs = {step.command.partition(" ")[0] for step in block.steps}
    if "docker" in programs and programs <= {"docker", "curl"}:
        return "containers"
    if programs in ({"helm"}, {"cat", "go"}):
        return (programs - {"cat"}).pop()
    if programs == {"make"} and not any(step.command.startswith("make run") for step in block.steps):
        return "make"
    assert not programs & {"docker", "git", "helm", "go"}, (
        f"{block.place}: nothing runs this together with other commands"
    )
    return "shell"


def steps_for(document: str, runner: str) -> list[Step]:
    return [step for block in blocks(document) if runner_of(block) == runner for step in block.steps]


def documents_for(runner: str) -> list[str]:
    return [document for document in documents() if any(runner_of(block) == runner for block in blocks(document))]


def test_every_block_of_every_document_is_run_by_one_test_or_is_no_command() -> None:
    for document in documents():
        for block in blocks(document):
            assert block.language in {"console", "pycon", *SHOWN_ONLY}, f"{block.place}: {block.language!r} is not run"
            runners = {"shell", "make", "containers", "helm", "python", "go"}
            assert runner_of(block) in runners or block.language in SHOWN_ONLY
            assert block.language != "console" or block.steps, f"{block.place}: no command in it"
            assert block.language != "pycon" or block.lines[0].startswith(">>> "), f"{block.place}: begins with no >>>"


def test_no_document_is_left_out() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert set(tracked.stdout.split()) <= set(documents())


@pytest.mark.parametrize("document", documents())
def test_links_to_files_lead_somewhere(document: str) -> None:
    text = ROOT.joinpath(document).read_text(encoding="utf-8")
    targets = [part.partition(")")[0] for part in text.split("](")[1:]]

    for target in targets:
        path, _, _ = target.partition("#")
        assert target.startswith(("https://", "#")) or ROOT.joinpath(document).parent.joinpath(path).exists(), target


def test_the_architecture_names_every_module() -> None:
    page = ROOT.joinpath("docs", "architecture.md").read_text(encoding="utf-8")

    modules = [path for room in ("model", "service") for path in ROOT.joinpath(room).glob("**/*.py")]
    named = {str(path.relative_to(ROOT)) for path in modules if path.name != "__init__.py"}

    assert {name for name in named if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("document", documents_for("shell"))
def test_the_commands_of_a_document_print_what_it_shows(document: str, tmp_path: Path) -> None:
    run_here(tmp_path, steps_for(document, "shell"))


@pytest.mark.slow
@pytest.mark.parametrize("document", documents_for("go"))
def test_the_go_of_a_document_prints_what_it_shows(document: str, tmp_path: Path) -> None:
    debian.install("golang-go", are_there=lambda: shutil.which("go"))
    serving = steps_for(document, "shell")[:1]
    run_here(tmp_path, serving + steps_for(document, "go"))


def run_here(tmp_path: Path, steps: list[Step]) -> None:
    """Run these in a folder with the project in it."""
    folder = tmp_path / "stature"
    folder.mkdir()
    folder.joinpath("data").mkdir()
    for name in (".venv", "model"):
        folder.joinpath(name).symlink_to(ROOT / name)
    environment = clean_environment()
    environment |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
    steps = [
        # It installs, and becomes `stature up`, whose output is the end of its own; test_a_fresh_clone_… runs it.
        Step(step.place, step.command.replace("make run", "stature up"), step.shown)
        for step in steps
    ]

    with shell(folder, environment, tmp_path / "scratch") as opened:
        run_all(opened, steps)


@pytest.mark.parametrize("document", documents_for("python"))
def test_the_python_of_a_document_answers_what_it_shows(document: str) -> None:
    run_python(python_session(document, ROOT.joinpath(document).read_text(encoding="utf-8")))


def pythons() -> list[str]:
    """The interpreters of this machine that `make` may be given."""
    found = {}
    for name in ("python3", "/usr/bin/python3"):
        path = shutil.which(name, path=clean_environment()["PATH"])
        if path is not None:
            asked = [path, "-c", "import sys; print(sys.version, sys.base_prefix)"]
            found.setdefault(subprocess.run(asked, capture_output=True, text=True, check=True).stdout, name)
    return list(found.values())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a user has after `git clone`, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, folder], check=True, timeout=60)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons())
def test_a_fresh_clone_does_what_the_readme_says(python: str, clone: Path, tmp_path: Path) -> None:
    steps = steps_for("README.md", "shell")
    assert steps[0].command == "make run"

    with shell(clone, clean_environment() | {"PYTHON": python}, tmp_path / "scratch") as opened:
        run_all(opened, steps, seconds=INSTALLING_SECONDS)


@pytest.mark.parametrize("document", documents_for("make"))
def test_make_knows_what_the_documents_ask_of_it(document: str) -> None:
    # Not run here: `make test` is what runs this very test, on a fresh checkout in CI; `make test-all` runs `make test`
    # first; and `make lock` asks the world for newer packages.
    for step in steps_for(document, "make"):
        subprocess.run(["make", "--dry-run", *step.command.split()[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def container_shell(clone: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a fresh clone, under a project name and an image tag of its own, that reaches a container engine."""
    own = f"stature-readme-{os.getpid()}"
    try:
        with container_engine(*BASE_IMAGES) as engine:
            environment = {**clean_environment(), **engine, "COMPOSE_PROJECT_NAME": own, "STATURE_IMAGE": own}
            try:
                with shell(clone, environment, tmp_path / "scratch") as opened:
                    yield opened
            finally:
                for command in (
                    "compose --profile * down --volumes --timeout 5",
                    f"image rm --force {own} {own}-train",
                ):
                    subprocess.run(["docker", *command.split()], cwd=clone, env=environment, check=False, timeout=120)
    except NoEngineError as error:
        pytest.skip(f"no container engine: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("document", documents_for("containers"))
def test_docker_does_what_the_documents_say(document: str, container_shell: Shell) -> None:
    files = [step for step in steps_for("README.md", "shell") if " > data/" in step.command]

    run_all(container_shell, [*files, *steps_for(document, "containers")], seconds=INSTALLING_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("document", documents_for("helm"))
def test_helm_does_what_the_documents_say(document: str, tmp_path: Path) -> None:
    try:
        program = helm().program
    except ToolMissingError as error:
        pytest.skip(str(error))
    environment = clean_environment()
    environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"

    with shell(ROOT, environment, tmp_path / "scratch") as opened:
        run_all(opened, steps_for(document, "helm"))


def test_a_shown_output_may_leave_out_the_end_of_a_line_and_whole_lines() -> None:
    (block,) = blocks_of("page.md", "```console\n$ command\na … c\n…\nend\n```\n")
    (step,) = block.steps

    assert step.is_shown("a b c\nend")
    assert step.is_shown("a b c\nmore\nand more\nend\n")
    assert not step.is_shown("a b\nend")
    assert not step.is_shown("a b c\nend\nmore")


def test_a_command_goes_on_in_lines_that_begin_with_a_greater_than_sign() -> None:
    (block,) = blocks_of("page.md", "```console\n$ cat <<END\n> one\n>\n> END\none\n\n> two\n```\n")

    assert block.steps == (Step("page.md:2", "cat <<END\none\n\nEND", ("one", "", "> two")),)


def test_python_in_a_document_is_one_session_and_what_it_answers_is_compared() -> None:
    page = (
        "```pycon\n>>> x = 1 / 3\n```\n\nWords.\n\n```pycon\n>>> x\n{}\n"
        ">>> int('a')\nTraceback (most recent call last):\n…\n{}\n```\n"
    )

    run_python(python_session("page.md", page.format("0.33…", "ValueError: invalid … 'a'")))
    with pytest.raises(AssertionError, match=r'"page.md", line 8'):
        run_python(python_session("page.md", page.format("0.34…", "ValueError: …")))
    with pytest.raises(AssertionError, match=r'"page.md", line 10'):
        run_python(python_session("page.md", page.format("0.33…", "TypeError: …")))
