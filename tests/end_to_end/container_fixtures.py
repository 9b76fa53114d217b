"""The container suite's fixtures: one engine and one pair of images for all of its tests, and at the end of the run a
list of what was checked on that engine."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from end_to_end.container_engine import ROOT, NoEngineError, Project, container_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BASE_IMAGES = ("python:3.13-slim", "nginx:1.28")
"""What the Dockerfile and the Compose file start from."""


@dataclass(frozen=True)
class Images:
    """The two images of the Dockerfile, by their tags."""

    serve: str

    @property
    def train(self) -> str:
        return f"{self.serve}-train"


@pytest.fixture(scope="session")
def engine() -> Iterator[Mapping[str, str]]:
    """A machine without an engine skips these tests and says why; in CI a skipped test is a failed one."""
    try:
        with container_engine(*BASE_IMAGES) as environment:
            yield environment
    except NoEngineError as error:
        pytest.skip(f"no container engine: {error}")


@pytest.fixture(scope="session")
def checkout(engine: Mapping[str, str]) -> Iterator[Project]:
    """The project's own folder, to build from: the images under tags that nothing had before, so that a failed build
    cannot have an older one tested."""
    tag = f"stature:test-{uuid.uuid4().hex[:12]}"
    own = {"STATURE_IMAGE": tag, "COMPOSE_PROJECT_NAME": "stature-test-build", "STATURE_VERSION": "7.8.9"}
    project = Project(ROOT, {**engine, **own}, 0, 0)
    yield project
    project.docker("image", "rm", "--force", tag, f"{tag}-train")


@pytest.fixture(scope="session")
def images(checkout: Project) -> Images:
    checkout.compose("--file", "docker-compose.yml", "build")
    return Images(checkout.environment["STATURE_IMAGE"])


@pytest.fixture(scope="module")
def shared_project(
    engine: Mapping[str, str], images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = Project.create(tmp_path_factory.mktemp("shared") / "project", engine, images.serve)
    yield project
    project.remove()


@pytest.fixture
def project(shared_project: Project) -> Project:
    """A project that is up and healthy, with at least one version: the same for all tests that can share it."""
    shared_project.up()
    return shared_project


@pytest.fixture
def empty_project(engine: Mapping[str, str], images: Images, tmp_path: Path) -> Iterator[Project]:
    """A project with an empty registry that was never up."""
    project = Project.create(tmp_path / "project", engine, images.serve)
    yield project
    project.remove()


_checks: dict[str, list[str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    on_an_engine = "engine" in getattr(item, "fixturenames", ()) and item.get_closest_marker("slow") is not None
    if on_an_engine and (report.when == "call" or report.outcome != "passed"):
        sentence = item.name.removeprefix("test_").replace("_", " ")
        figures = "".join(f": {value} {name}" for name, value in item.user_properties)
        verdict = "ok    " if report.outcome == "passed" else "FAILED"
        _checks.setdefault(item.location[0], []).append(f"{verdict} {sentence}{figures}")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _checks:
        terminalreporter.section("checked on a container engine")
        for place, lines in _checks.items():
            terminalreporter.write_line(place)
            for line in lines:
                terminalreporter.write_line(f"  {line}")
