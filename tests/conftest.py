"""What all tests share: where nothing may be skipped, nothing is; and a registry with trained versions, made once."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest
from browser import chromium

from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job
from service.live_models import LiveModels

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytest_plugins = ["stores.fixtures", "end_to_end.container_fixtures", "reliability"]


# How long an example takes says more of the machine's load than of the code.
hypothesis.settings.register_profile("stature", deadline=None)
hypothesis.settings.load_profile("stature")

# Whoever starts the tests in the background of a script has them ignore Ctrl-C, and all that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """In CI a skipped test is a failed one: what it needs should have been there."""
    report = yield
    if os.environ.get("CI") and getattr(report, "skipped", False):
        report.outcome = "failed"  # type: ignore[attr-defined]
        report.longrepr = f"skipped, and nothing may be skipped in CI: {report.longrepr}"  # type: ignore[attr-defined]
    return report


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STATURE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry of the model gender."""
    return Registry(LocalStorage(tmp_path / "registry"), "gender")


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained") / "registry"
    registry = Registry(LocalStorage(root), "gender")
    for seed in (1, 2):
        job.run(job.Settings(seed=seed), registry, by="a test")
    return root


@pytest.fixture
def trained(_trained_once: Path, tmp_path: Path) -> Registry:
    """A registry of one's own with two versions of gender, trained on the shipped sample; version 1 is champion."""
    shutil.copytree(_trained_once, tmp_path / "trained")
    return Registry(LocalStorage(tmp_path / "trained"), "gender")


@pytest.fixture
def live_models(trained: Registry) -> LiveModels:
    """Of that registry; refreshed by the tests themselves, not by the watcher."""
    live_models = LiveModels(trained, poll_seconds=3600.0)
    live_models.refresh()
    return live_models


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module; each opens contexts of its own.

    Not for all modules: as long as Playwright runs, its event loop is in the way of those who want one of their own.
    """
    with chromium() as opened:
        yield opened
