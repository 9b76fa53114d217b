"""Tab, in a real shell: what `stature completion` prints completes commands, options, versions and aliases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import debian
import pytest
from terminal import typed_on_a_terminal

if TYPE_CHECKING:
    from model.registry.registry import Registry

BINARIES = Path(sys.executable).parent

BASH = """
source <(stature completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_stature_completion stature
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(registry: Path | str, *words: str) -> list[str]:
    """What bash offers at the end of these words, the last of which is begun."""
    environment = os.environ | {
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        "STATURE_REGISTRY": str(registry),
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", BASH, "bash", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("stature", "re"), ["recalibrate", "reproduce", "report"]),
        (("stature", "token", ""), ["new"]),
        (("stature", "train", "--tr"), ["--trainer"]),
        (("stature", "export", "1", "--to", ""), ["json", "python", "sql", "npz"]),
        (("stature", "completion", ""), ["bash", "zsh", "fish"]),
        (("stature", "show", ""), ["champion", "2", "1"]),
        (("stature", "show", "ch"), ["champion"]),
        (("stature", "diff", "1", ""), ["champion", "2", "1"]),
        (("stature", "predict", "--version", ""), ["champion", "2", "1"]),
    ],
    ids=" ".join,
)
def test_bash_completes(trained: Registry, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(str(trained.storage), *words) == offered


def test_versions_are_those_of_the_registry_and_model_that_are_named(trained: Registry, tmp_path: Path) -> None:
    registry = ("--registry", str(trained.storage))
    assert completed(tmp_path, "stature", "show", *registry, "") == ["champion", "2", "1"]
    assert completed(tmp_path, "stature", "show", *registry, "--model", "tutorial", "") == []


@pytest.mark.parametrize("registry", ["nowhere", "ftp://nowhere/registry", "/dev/null/registry"])
def test_a_registry_that_cannot_be_read_offers_nothing_and_says_nothing(registry: str) -> None:
    assert completed(registry, "stature", "show", "") == []


SET_UP = {
    "bash": (".bashrc", "source <(stature completion bash); PS1='ready> '"),
    "zsh": (".zshrc", "fpath=(~/completions $fpath); autoload -U compinit; compinit; bindkey -e; PROMPT='ready> '"),
    "fish": (".config/fish/config.fish", "function fish_prompt; echo 'ready> '; end"),
}
"""What a person has in their own settings of each shell."""

WRITTEN = {"zsh": "completions/_stature", "fish": ".config/fish/completions/stature.fish"}
"""Where the script is, in a shell whose settings do not have it."""


@pytest.mark.parametrize("shell", SET_UP)
@pytest.mark.parametrize(
    ("begun", "line"),
    [
        ("stature pro", "stature promote"),
        ("stature token n", "stature token new"),
        ("stature train --tr", "stature train --trainer"),
        ("stature export 1 --to py", "stature export 1 --to python"),
        ("stature show ch", "stature show champion"),
        ("stature predict --version ch", "stature predict --version champion"),
        ("stature train --data peo", "stature train --data people.csv"),
    ],
)
def test_tab_ends_a_word_in_each_shell(trained: Registry, tmp_path: Path, shell: str, begun: str, line: str) -> None:
    debian.install(shell, are_there=lambda: shutil.which(shell))
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        "STATURE_REGISTRY": str(trained.storage),
        "XDG_CONFIG_HOME": str(tmp_path / ".config"),
        "XDG_DATA_HOME": str(tmp_path / ".data"),
        "ZDOTDIR": str(tmp_path),
    }
    script = subprocess.run(
        [BINARIES / "stature", "completion", shell], capture_output=True, text=True, check=True, timeout=60
    )
    for name, content in (SET_UP[shell], (WRITTEN.get(shell, "unused"), script.stdout)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "people.csv").touch()

    tab, to_the_beginning = "\t", "\x01"
    keys = f"{begun}{tab}{to_the_beginning}echo >~/line \rexit\r"
    code, shown = typed_on_a_terminal(shell, keys=keys, when="ready> ", folder=tmp_path, environment=environment)

    assert code == 0, shown
    assert (tmp_path / "line").read_text().strip() == line
