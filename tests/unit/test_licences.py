"""What is shipped with Stature may be: the licence of every locked dependency is listed, and goes with Apache-2.0."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPATIBLE = {
    *("0BSD", "Apache-2.0", "Apache Software License", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "MIT"),
    *("MIT License", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python Software Foundation License", "Zlib"),
}
"""As SPDX and PyPI's classifiers name them. They ask for their notice to be kept; the MPL, for changes to its own files
to stay open, which leaves the licence of what lies beside them alone."""


def shipped() -> list[str]:
    """The packages that an installation or an image brings along."""
    locks = [ROOT / "requirements" / f"{name}.txt" for name in ("runtime", "object-storage")]
    return sorted({name for lock in locks for name in re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE)})


def licence(package: str) -> str:
    """As the package's own metadata state it: an SPDX expression, PyPI's classifiers, or a short text."""
    metadata = importlib.metadata.metadata(package)
    classifiers = [name for name in metadata.get_all("Classifier") or [] if name.startswith("License :: ")]
    named = " OR ".join(sorted(name.rpartition(" :: ")[2] for name in classifiers))
    return metadata.get("License-Expression") or named or metadata.get("License") or "none"


def test_every_licence_goes_with_ours() -> None:
    refused = {
        package: licence(package)
        for package in shipped()
        if not set(re.split(r" (?:AND|OR) ", re.sub(r"[()]", "", licence(package)))) <= COMPATIBLE
    }
    assert not refused, "look at these, and at whether they may be shipped"


def test_the_licences_are_listed() -> None:
    listed = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    expected = "\n".join(f"| {package} | {licence(package)} |" for package in shipped())
    assert expected in listed, f"docs/licences.md must have these lines:\n{expected}"


def test_the_bill_of_materials_names_every_package_with_its_version_and_hashes(tmp_path: Path) -> None:
    dry_run = subprocess.run(
        ["make", "--dry-run", "--always-make", "bill-of-materials"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    commands = dry_run.stdout.replace("\\\n", " ").splitlines()
    (command,) = [line.replace("build/", f"{tmp_path}/") for line in commands if "cyclonedx-py" in line]
    subprocess.run(command, shell=True, cwd=ROOT, check=True, capture_output=True, timeout=60)

    bill = json.loads((tmp_path / "bill-of-materials.json").read_text())
    found = {part["name"]: part for part in bill["components"]}
    locked = re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "requirements/runtime.txt").read_text(), re.MULTILINE)
    assert {(name, part["version"]) for name, part in found.items()} <= set(locked)
    assert set(found) == {name for name, _ in locked}
    assert all(reference["hashes"] for part in found.values() for reference in part["externalReferences"])
