"""Tab, in a real shell: what `stature completion` prints completes commands, options, versions and aliases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_what_these_shells_understand(shell: str, tmp_path: Path) -> None:
    script = subprocess.run(
        [BINARIES / "stature", "completion", shell], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"_STATURE_COMPLETE={shell}_complete" in script.stdout
    assert script.stderr == ""
    if shutil.which(shell):
        (tmp_path / "script").write_text(script.stdout)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=60)
