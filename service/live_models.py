"""The versions in memory: the champion and every other alias, kept up with the registry by a watcher.

One daemon thread a worker asks for the next log record. On a change it loads and verifies what is new, and then swaps
one reference; a request sees the old state or the new one, never something between. If a new champion cannot be loaded
the old one stays, the log says why, and the watcher tries again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from model.errors import CorruptionError, NotFoundError, StatureError, StorageError
from model.registry.log import CHAMPION, Head
from model.registry.registry import Registry
from model.registry.storage import open_storage
from service.errors import NotReadyError
from service.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.registry.version import Version
    from service.settings import Settings

_PINNED_VERSIONS = 16
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """What is served, as of one moment of the log."""

    head: Head = field(default_factory=Head)
    versions: Mapping[int, Version] = field(default_factory=dict)
    """The aliased versions that could be loaded, by number, verified."""
    champion: Version | None = None
    """The version that answers: the champion, or the one before it for as long as the champion cannot be loaded."""


class LiveModels:
    """The champion, other versions by number or alias, and the watcher that follows the registry."""

    def __init__(self, registry: Registry, poll_seconds: float, metrics: Metrics | None = None) -> None:
        """With metrics of its own where none are given."""
        self.registry = registry
        self.metrics = metrics or Metrics()
        self._poll_seconds = poll_seconds
        self._live = Live()
        self._failure = ""
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="registry-watcher", daemon=True)
        self._pinned = lru_cache(_PINNED_VERSIONS)(registry.load)

    @classmethod
    def following(cls, settings: Settings) -> LiveModels:
        """Those of the registry that the settings name, followed from now on. Called in each worker, after the fork."""
        metrics = Metrics.of_worker(settings.drift_window_seconds)
        live_models = cls(Registry(open_storage(settings.registry), settings.model), settings.poll_seconds, metrics)
        live_models.start()
        return live_models

    def start(self) -> None:
        """Load what there is, then follow."""
        self.follow()
        self._watcher.start()

    def stop(self) -> None:
        """End the watcher; what is in memory is still served."""
        self._stopping.set()
        self._watcher.join()

    @property
    def live(self) -> Live:
        """What is served now."""
        return self._live

    def champion(self) -> Version:
        """Raises NotReadyError where none is in memory."""
        live = self._live
        if live.champion is not None:
            return live.champion
        if live.head.champion is None:
            raise NotReadyError(f"{self.registry.model} has no champion: one must be trained and promoted first")
        raise NotReadyError(
            f"version {live.head.champion} is champion of {self.registry.model} and cannot be loaded; the owner of the "
            "service finds the reason in its log"
        )

    def pinned(self, name: str) -> Version:
        """The version that a number or an alias names. NotFoundError, CorruptionError, StorageError."""
        live = self._live
        if name == CHAMPION:
            return self.champion()
        number = self.registry.resolve(name, live.head)
        return live.versions.get(number) or self._pinned(number)

    def aliased(self, name: str) -> Version | None:
        """The same for a version that an alias keeps in memory; None for others, which may have to be loaded."""
        live = self._live
        return self.champion() if name == CHAMPION else live.versions.get(self.registry.resolve(name, live.head))

    def refresh(self) -> None:
        """Follow the log to its end and load what its aliases name.

        What cannot be loaded is logged, and tried again at the next look; a champion that cannot be leaves the version
        before it serving. Raises StatureError where the log itself cannot be read, and then nothing changed. One at a
        time, so that the position in the log never goes back.
        """
        with self._refreshing:
            self._refresh()

    def _refresh(self) -> None:
        before = self._live
        head = self.registry.after(before.head) if before.head.number else self.registry.head()
        if head.number == before.head.number and not self._missing(before):
            # Nothing new, or nothing at all: a registry that has vanished, or in whose place is another, is told.
            if head.number and self.registry.at(head.number).sha256 != head.sha256:
                raise CorruptionError(
                    f"log record {head.number} of {self.registry.model} is not what it was: if another registry is to "
                    "be served, start the service anew"
                )
            self._followed(before)
            self._note_failure("")
            return
        versions: dict[int, Version] = {}
        failures: list[str] = []
        for alias, number in head.state.aliases.items():
            try:
                versions[number] = before.versions.get(number) or self.registry.load(number)
            except (CorruptionError, NotFoundError, StorageError) as error:
                failures.append(f"{alias}: {error}")
        champion = before.champion if head.champion is not None else None
        self._live = Live(head, versions, versions.get(head.champion or 0, champion))
        if self._live.champion is not before.champion and self._live.champion is not None:
            number = self._live.champion.manifest.number
            _logger.info("serving version %s of %s, log record %s", number, self.registry.model, head.number)
        self._followed(self._live)
        self.metrics.reloaded(failed=bool(failures))
        self._note_failure("; ".join(failures))

    def _followed(self, live: Live) -> None:
        champion = live.champion.manifest.number if live.champion else None
        self.metrics.followed(live.head.number, champion, live.versions)

    @staticmethod
    def _missing(live: Live) -> bool:
        return any(number not in live.versions for number in live.head.state.aliases.values())

    def _watch(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.follow()

    def follow(self) -> None:
        """Refresh, and say in the log what hinders it."""
        try:
            self.refresh()
        except StatureError as error:
            self.metrics.reloaded(failed=True)
            self._note_failure(str(error))
        except Exception:
            self.metrics.reloaded(failed=True)
            # The watcher outlives whatever comes: a worker that no longer follows the registry would not be noticed.
            _logger.exception("following the registry failed; trying again")

    def _note_failure(self, failure: str) -> None:
        """Say it once, not at every look."""
        if failure and failure != self._failure:
            champion = self._live.champion
            serving = f"version {champion.manifest.number}" if champion else "no version"
            _logger.error("serving %s: %s", serving, failure)
        self._failure = failure
