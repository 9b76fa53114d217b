"""The registry's protocol with one promise broken each, for the check of the invariants to find."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

from model.registry.registry import Registry
from model.registry.storage import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path

_WINDOW_SECONDS = 0.002
"""How long the moment lasts in which the break shows: as wide as a busy disk makes it."""


class InPlace(LocalStorage):
    """Writes under the name itself: a reader, or a crash, can find half a file there."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                file.write(content[: len(content) // 2])
                file.flush()
                time.sleep(_WINDOW_SECONDS)
                file.write(content[len(content) // 2 :])
        except FileExistsError:
            return False
        return True


class CheckThenRename(LocalStorage):
    """Looks first and renames then: two can look before either renames, and the second takes the first's place."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        target = self.root / key
        if target.exists():
            return False
        temporary = self.root / self.TEMPORARY / uuid.uuid4().hex
        for directory in (temporary.parent, target.parent):
            directory.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        time.sleep(_WINDOW_SECONDS)
        temporary.rename(target)
        return True


class ManifestFirst(LocalStorage):
    """Puts the artifact only when it is put for the second time, after the manifest's commit."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._seen: set[str] = set()

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if "/artifacts/" in key and key not in self._seen:
            self._seen.add(key)
            return True
        return super().put_if_absent(key, content)


class NoTransactionId(Registry):
    """Every manifest and record has the same one, so that none can be told from another's."""

    def _claim(self, key: str, content: bytes) -> bool:
        if not key.startswith("artifacts/"):
            content = re.sub(rb'("transaction": ?)"[0-9a-f]{32}"', rb'\1"' + b"0" * 32 + b'"', content)
        return super()._claim(key, content)


ALL: dict[str, tuple[type[LocalStorage] | None, type[Registry]]] = {
    "writing in place": (InPlace, Registry),
    "check, then rename": (CheckThenRename, Registry),
    "manifest before artifact": (ManifestFirst, Registry),
    "no transaction id": (None, NoTransactionId),
}
