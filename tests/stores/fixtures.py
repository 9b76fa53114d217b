"""The stores as fixtures: each is started once, when the first test asks for it, and ended with the run.

A store that cannot be had here skips its tests, with the reason.
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from stores.azurite import azurite
from stores.moto_s3 import moto_s3
from stores.radosgw import radosgw
from stores.store import Store, StoreMissingError

from model.registry.storage import Storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

OBJECT_STORES = ("moto", "azurite", pytest.param("radosgw", marks=pytest.mark.slow))


def _started(context: AbstractContextManager[Store]) -> Iterator[Store]:
    try:
        store = context.__enter__()
    except StoreMissingError as error:
        pytest.skip(str(error))
    try:
        yield store
    finally:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from _started(moto_s3(tmp_path_factory.mktemp("moto")))


@pytest.fixture(scope="session")
def azurite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from _started(azurite(tmp_path_factory.mktemp("azurite")))


@pytest.fixture(scope="session")
def radosgw_store() -> Iterator[Store]:
    yield from _started(radosgw())


_FIXTURES = {"moto": "moto", "azurite": "azurite_store", "radosgw": "radosgw_store"}


@pytest.fixture(params=OBJECT_STORES)
def object_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Each object store in turn, with its variables set as a user would set them."""
    store: Store = request.getfixturevalue(_FIXTURES[request.param])
    use(store, monkeypatch)
    return store


@pytest.fixture(params=("local", *OBJECT_STORES))
def location(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A path or a URL where nothing is yet, on each kind of storage in turn."""
    if request.param == "local":
        return str(tmp_path / "registry")
    store: Store = request.getfixturevalue(_FIXTURES[request.param])
    use(store, monkeypatch)
    return fresh(store)


@pytest.fixture
def storage(location: str) -> Storage:
    """The four verbs on each kind of storage in turn."""
    return open_storage(location)


def use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of a store, and none of any other."""

    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)


def fresh(store: Store) -> str:
    """The URL of a folder in which nothing is yet."""
    return f"{store.root}/{uuid.uuid4().hex}"


class Tally:
    """How many processes were killed where, for the summary at the end of the run."""

    def __init__(self) -> None:
        self.kills: dict[str, Counter[str]] = defaultdict(Counter)
        self.faults: dict[str, Counter[str]] = defaultdict(Counter)
        self.acknowledged: Counter[str] = Counter()
        self.pruned: Counter[str] = Counter()

    def __call__(
        self,
        label: str,
        kills: Mapping[str, int] | None = None,
        faults: Mapping[str, int] | None = None,
        acknowledged: int = 0,
        pruned: int = 0,
    ) -> None:
        self.kills[label].update(kills or {})
        self.faults[label].update(faults or {})
        self.acknowledged[label] += acknowledged
        self.pruned[label] += pruned


_TALLY = "killed, as JSON"
"""What a test's tally stands under among the properties of its report, which comes from whichever process ran it."""


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    record_property(_TALLY, json.dumps(vars(tally)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a store: kills, at how many steps, what was acknowledged, which faults."""
    tally = Tally()
    for report in itertools.chain(*terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport) and report.when == "teardown":
            for name, value in report.user_properties:
                if name == _TALLY:
                    said = json.loads(value)
                    for label in said["kills"]:
                        tally(label, **{what: counts[label] for what, counts in said.items() if label in counts})
    if not tally.kills:
        return
    terminalreporter.section("registry under kill -9")
    for label, kills in tally.kills.items():
        faults = ", ".join(f"{count} {name.lower()}" for name, count in sorted(tally.faults[label].items()))
        terminalreporter.write_line(
            f"{label}: {kills.total()} kills at {len(kills) - 1} steps and at random moments, "
            f"{tally.acknowledged[label]} operations acknowledged and kept, {tally.pruned[label]} files pruned"
            f"{faults and '; faults: ' + faults}"
        )
    terminalreporter.write_line(f"{sum(kills.total() for kills in tally.kills.values())} kills, no promise broken")
