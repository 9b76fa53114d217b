"""Put if absent, get, list, delete on object storage: S3 and what speaks its language, Google Cloud Storage, Azure.

The `obstore` package does the talking and finds the credentials in each cloud's usual environment variables. A put is
one conditional request, so that the store itself decides who was first. That it really does is not believed of a store
that nobody has tried: `stature doctor` tries it.
"""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from model.errors import OversizedError, SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
    from obstore.store import from_url
except ImportError:  # pragma: no cover - the extra is installed wherever the tests run
    raise SettingsError("object storage needs the package obstore: pip install 'stature[object-storage]'") from None

_RETRIES, _RETRY_SECONDS = 4, 30
_SAID_BY_THE_STORE = re.compile(r"<Code>(\w+)</Code>\s*<Message>([^<\n]*)")
_HOW_LONG = re.compile(r" in [0-9.]+(ns|µs|ms|s)\b")
_NO_BUCKET = re.compile(r"<Code>(NoSuchBucket|ContainerNotFound)</Code>")


class ObjectStorage:
    """A bucket or container, or a folder in one, by its URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._store = from_url(
                self.url,
                retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
            )
        except (BaseError, ValueError) as error:
            raise SettingsError(f"{url} cannot be a registry: {_in_words(error)}") from error

    def __str__(self) -> str:
        return self.url

    def put_if_absent(self, key: str, content: bytes) -> bool:
        with self._explained(f"writing {key}"):
            try:
                obstore.put(self._store, key, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def get(self, key: str, maximum_bytes: int) -> bytes | None:
        content = bytearray()
        with self._explained(f"reading {key}"):
            try:
                for chunk in obstore.get(self._store, key).stream(min_chunk_size=1 << 16):
                    content += chunk
                    if len(content) > maximum_bytes:
                        break
            except (NotFoundError, FileNotFoundError) as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None
        if len(content) > maximum_bytes:
            raise OversizedError(f"{key} is larger than the {maximum_bytes:,} bytes that it may have")
        return bytes(content)

    def list_after(self, prefix: str, after: str = "") -> list[str]:
        offset = f"{prefix}/{after}" if after else None
        with self._explained(f"listing {prefix}"):
            paths = [found["path"] for page in obstore.list(self._store, prefix, offset=offset) for found in page]
        names = (path.removeprefix(f"{prefix}/") for path in paths)
        return sorted(name for name in names if name > after and "/" not in name)

    def delete(self, key: str) -> None:
        with self._explained(f"deleting {key}"), contextlib.suppress(NotFoundError, FileNotFoundError):
            obstore.delete(self._store, key)

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise StorageError(f"{doing} in {self} failed: {_in_words(error)}") from error


def _in_words(error: BaseException) -> str:
    """What the store said, if it said anything, and what obstore says of it: its first line of many.

    How long it took is left out, so that the same failure has the same words, and a watcher's log can say it once.
    """
    text = _HOW_LONG.sub("", str(error).strip())
    said = text.partition("\n")[0].partition("<?xml")[0].rstrip(" :")[:300]
    if "source: BadScheme" in text:
        return f"{said}: plain http is refused unless AWS_ALLOW_HTTP or AZURE_ALLOW_HTTP is true"
    found = _SAID_BY_THE_STORE.search(text)
    return f"{found[2].strip()} ({found[1]}): {said}" if found else said
