"""What others make of the description: clients that compile, predict and tell problems; requests of every kind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import debian
import pytest
from end_to_end.container_engine import ROOT
from end_to_end.running_service import RunningService, serve

from model.tokens import SCOPES, new_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.registry import Registry

CLIENTS = ROOT / "tests" / "clients"
VALIDATOR = Path("/usr/share/gocode/src/gopkg.in/validator.v2")
"""Where Debian puts the one package that a generated client in Go needs."""
STEVE = {"weight_kg": 73, "height_cm": 182}


@pytest.fixture
def service(trained: Registry, tmp_path: Path) -> Iterator[RunningService]:
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1") as running:
        yield running


@pytest.fixture
def description(service: RunningService, tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(service.request("GET", "/openapi.json")[1]))
    return path


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expected(service: RunningService) -> list[Any]:
    """What each client says of Steve, of what height moved, of the version, and of swapped measurements."""
    _, answer = service.request("POST", "/predict?explain=true", STEVE)
    said = [answer["probability_female"], answer["explanation"]["contributions"]["height"]]
    return [*said, "1", "182 kg and 73 cm look swapped"]


@pytest.mark.slow
def test_a_client_in_python(service: RunningService, description: Path, tmp_path: Path) -> None:
    # Its generator has dependencies of its own, so it gets an environment of its own.
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", "openapi-python-client==0.29.1", folder=tmp_path)
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    arguments = ("--path", description, "--meta", "none", "--output-path", "stature_client", "--fail-on-warning")
    run(binaries / "openapi-python-client", "generate", *arguments, folder=tmp_path, PATH=path)

    shutil.copy(CLIENTS / "use.py", tmp_path)
    said = run(binaries / "python", "use.py", f"http://127.0.0.1:{service.port}", folder=tmp_path)
    assert json.loads(said) == expected(service)


@pytest.mark.slow
def test_a_client_in_typescript(service: RunningService, description: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(CLIENTS, tmp_path / "clients")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    run("npx", "openapi-typescript", description, "--output", "api.d.ts", folder=folder)
    strict = ("--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--target", "es2022", "--module", "nodenext")
    run("npx", "tsc", *strict, "use.ts", folder=folder)

    said = run("node", "use.js", f"http://127.0.0.1:{service.port}", folder=folder)
    assert json.loads(said) == expected(service)


@pytest.mark.slow
def test_a_client_in_go(service: RunningService, description: Path, tmp_path: Path) -> None:
    # Without modules: what the client needs beside Go's own library is among Debian's packages, in their GOPATH.
    packages = ("golang-go", "golang-gopkg-validator.v2-dev", "default-jre-headless")
    debian.install(*packages, are_there=lambda: shutil.which("go") and shutil.which("java") and VALIDATOR.exists())
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    run(tmp_path / "venv" / "bin" / "pip", "install", "--quiet", "openapi-generator-cli==7.26.0", folder=tmp_path)
    only = "models,apis,supportingFiles,modelDocs=false,apiDocs=false,modelTests=false,apiTests=false"
    arguments = ("--global-property", only, "--additional-properties", "packageName=stature,withGoMod=false")
    generate = (tmp_path / "venv" / "bin" / "openapi-generator-cli", "generate", "--generator-name", "go")
    run(*generate, "--input-spec", description, "--output", "go/src/stature", *arguments, folder=tmp_path)

    shutil.copy(CLIENTS / "use.go", tmp_path)
    path = f"{tmp_path / 'go'}{os.pathsep}{VALIDATOR.parents[2]}"
    run("go", "build", "-o", "use", "use.go", folder=tmp_path, GO111MODULE="off", GOPATH=path)
    said = run(tmp_path / "use", f"http://127.0.0.1:{service.port}", folder=tmp_path)
    assert json.loads(said) == expected(service)


@pytest.mark.slow
@pytest.mark.parametrize(("lane", "examples"), [("fast", 50), ("flask", 20)])
def test_schemathesis_finds_no_answer_that_is_not_as_described(
    trained: Registry, tmp_path: Path, lane: str, examples: int
) -> None:
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    run(tmp_path / "venv" / "bin" / "pip", "install", "--quiet", "schemathesis==4.32.5", folder=tmp_path)
    token, line = new_token("schemathesis", SCOPES)
    arguments = ("--checks", "all", "--seed", "1", "--phases", "examples,coverage,fuzzing")
    arguments += ("--max-examples", str(examples))
    # That two lists are equally long is more than a schema can say.
    only, columns = ("--exclude-path-regex", "columns$"), ("--include-path-regex", "columns$")
    with serve(
        trained.storage.root, tmp_path / "log", "--workers", "1", STATURE_TOKENS=line, STATURE_LANE=lane
    ) as guarded:
        for chosen in (only, (*columns, "--exclude-checks", "positive_data_acceptance")):
            command = (tmp_path / "venv" / "bin" / "schemathesis", "run", *arguments, *chosen)
            header = ("--header", f"Authorization: Bearer {token}")
            run(*command, *header, f"http://127.0.0.1:{guarded.port}/openapi.json", folder=tmp_path)
