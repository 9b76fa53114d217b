"""A virtual environment for each peer, made once and kept in `.benchmarks/`: what is installed, and how much it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.serving.failure import FailureError

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".benchmarks"
_LOCK = ROOT / "requirements" / "runtime.txt"
_NOT_OURS = {"pip", "setuptools"}
"""What every virtual environment comes with."""


@dataclass(frozen=True)
class Environment:
    """What pip is told, and the packages whose versions are worth a mention."""

    requirements: tuple[str, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Installed:
    """An environment that is there."""

    programs: Path
    versions: str
    packages: int | None = None
    mebibytes: float | None = None


def _locked(*names: str) -> tuple[str, ...]:
    """The same versions as Stature's own, so that a bare server is compared with itself."""
    pins = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", _LOCK.read_text(), re.MULTILINE))
    return tuple(f"{name}=={pins[name]}" for name in names)


_SERVERS = ("gunicorn", "uvicorn", "uvicorn-worker", "uvloop", "httptools")
ENVIRONMENTS = {
    "stature": Environment(
        ("--require-hashes", "-r", str(_LOCK)), ("stature", *_SERVERS, "flask", "pydantic", "numpy")
    ),
    "servers": Environment((*_locked(*_SERVERS), "gunicorn_h1c"), (*_SERVERS, "gunicorn_h1c")),
    "fastapi": Environment(
        ("fastapi", "uvicorn[standard]", "orjson", "numpy"), ("fastapi", "uvicorn", "uvloop", "pydantic", "orjson")
    ),
    "flask": Environment(("flask", "gunicorn", "numpy"), ("flask", "gunicorn", "numpy")),
    "mlserver": Environment(("mlserver",), ("mlserver", "fastapi", "uvicorn", "uvloop")),
    "litserve": Environment(("litserve", "numpy"), ("litserve", "fastapi", "uvicorn", "uvloop")),
    "vetiver": Environment(("vetiver",), ("vetiver", "fastapi", "uvicorn")),
    "bentoml": Environment(("bentoml", "numpy"), ("bentoml", "starlette", "uvicorn")),
    "mlflow": Environment(("mlflow",), ("mlflow", "fastapi", "uvicorn")),
}


def install(name: str) -> Installed:
    """The environment of this name, made unless it is there already. FailureError if pip fails."""
    environment = ENVIRONMENTS[name]
    folder = KEPT / name
    made_of = folder / "made-of.json"
    recipe = json.dumps([sys.version, environment.requirements, _LOCK.read_text() if name == "stature" else ""])
    if not made_of.exists() or made_of.read_text() != recipe:
        print(f"installing {name} into {folder} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _pip(folder, *environment.requirements)
        made_of.write_text(recipe)
    if name == "stature":
        _install_ourselves(folder)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    found = {
        distribution.name.lower().replace("_", "-"): distribution
        for distribution in distributions(path=[str(packages)])
        if distribution.name not in _NOT_OURS
    }
    size = sum(
        file.lstat().st_size
        for part in packages.iterdir()
        if part.name.partition("-")[0] not in _NOT_OURS
        for file in ([part] if part.is_file() else part.rglob("*"))
    )
    return Installed(folder / "bin", _versions(packages, environment.shown), len(found), size / 1024.0**2)


def _install_ourselves(folder: Path) -> None:
    """Stature as it is now, built by the locked tools of the running Python, so that nothing is downloaded for it."""
    with tempfile.TemporaryDirectory() as wheels:
        build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, str(ROOT))
        _run(sys.executable, "-m", "pip", *build)
        _pip(folder, "--no-deps", "--force-reinstall", *map(str, Path(wheels).iterdir()))


def here(name: str) -> Installed:
    """The running Python's own packages in the place of an environment; what it lacks shows when a server starts."""
    packages = Path(sysconfig.get_path("purelib"))
    return Installed(Path(sys.executable).parent, _versions(packages, ENVIRONMENTS[name].shown))


def _versions(packages: Path, names: tuple[str, ...]) -> str:
    def normal(name: str) -> str:
        return name.lower().replace("_", "-")

    found = {normal(one.name): one.version for one in distributions(path=[str(packages)])}
    return ", ".join(f"{name} {found[normal(name)]}" for name in names if normal(name) in found)


def _pip(folder: Path, *arguments: str) -> None:
    _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip and venv
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise FailureError(f"does not install: {errors[-1][:200]}")
