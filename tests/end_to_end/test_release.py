"""A release: what is built of a tag, installed where nothing else is, works; and the workflow that builds it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
from typing import TYPE_CHECKING

import pytest
import yaml
from end_to_end.container_engine import ROOT
from end_to_end.documentation import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "7.8.9"
PERSON = ("--weight-kg", "73", "--height-cm", "182")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make dist` in a clone with a tag: the folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("release")
    clone = folder / "clone"
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, clone, cwd=folder)
    run("git", "tag", f"v{VERSION}", cwd=clone)
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder / "dist", cwd=clone)
    return folder / "dist"


@pytest.mark.slow
def test_the_tag_is_the_version_and_the_source_archive_builds_the_same_wheel_without_git(
    distributions: Path, tmp_path: Path
) -> None:
    wheel, archive = (distributions / f"stature-{VERSION}{rest}" for rest in ("-py3-none-any.whl", ".tar.gz"))
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")

    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", cwd=tmp_path / f"stature-{VERSION}")

    assert (tmp_path / f"stature-{VERSION}" / "dist" / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    binaries = tmp_path / "empty" / "bin"
    pip = (binaries / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "--no-compile", "--require-hashes", "--requirement", ROOT / "requirements" / "runtime.txt", cwd=tmp_path)
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    run(binaries / "python", "-m", "pip", "check", cwd=tmp_path)

    def stature(*arguments: str) -> str:
        return run(binaries / "stature", *arguments, cwd=tmp_path)

    assert stature("--version") == f"stature {VERSION}\n"
    for data in ("nhanes", "tutorial"):
        assert "Published version 1" in stature("train", "--data", data)
    assert json.loads(stature("predict", *PERSON, "--json"))["likelier"] == "male"
    ask_every_page = (
        "from service.app import create_app; from service.live_models import LiveModels;"
        "from service.settings import Settings; from model.registry.registry import Registry;"
        "from model.registry.storage import open_storage;"
        "live = LiveModels(Registry(open_storage('registry'), 'gender'), 1.0); live.refresh();"
        "app = create_app(Settings(), live);"
        "pages = [str(rule) for rule in app.url_map.iter_rules() if 'GET' in rule.methods and not rule.arguments];"
        "print({page: app.test_client().get(page).status_code for page in pages})"
    )
    pages = eval(run(binaries / "python", "-c", ask_every_page, cwd=tmp_path))
    assert set(pages.values()) == {200}, pages
    assert len(pages) >= 5


def test_the_workflow_runs_what_ci_runs_with_actions_pinned_by_their_commit() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    workflow = yaml.safe_load(text)

    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert any(step.get("run", "").endswith(" .ci/run") for step in workflow["jobs"]["ci"]["steps"])
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) for action in used), used
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", text, re.MULTILINE)) == len(used)
    assert workflow["permissions"] == {"contents": "read"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
