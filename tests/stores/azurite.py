"""Azure Blob Storage on loopback: Azurite, Microsoft's own emulator, under node.

python tests/stores/azurite.py      installs it, from package-lock.json beside this file, into the cache folder
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import shutil
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from end_to_end.running_service import free_port, wait_for
from stores.store import FOLDER, Store, StoreMissingError, running
from turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINER = "stature-tests"
ACCOUNT = "devstoreaccount1"
# Azurite's account and key are the same everywhere, and documented: they are no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LOCK = Path(__file__).with_name("package-lock.json")
_MAIN = "node_modules/azurite/dist/src/blob/main.js"


def install() -> Path:
    """The script that node runs, installed if this very lock has not been. StoreMissingError."""
    folder = FOLDER / f"azurite-{sha256(_LOCK.read_bytes()).hexdigest()[:16]}"
    with turn("azurite"):
        if not (folder / "installed").exists():
            _install(folder)
    return folder / _MAIN


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise StoreMissingError("Azurite runs under node and is installed by npm, and one of the two is not there")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCK.with_name(name), folder / name)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise StoreMissingError(f"npm could not install Azurite: {done.stderr[-500:]}")
    (folder / "installed").touch()


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Store]:
    """A container on an Azurite that lasts as long as the block."""
    main = install()
    log, port = folder / "azurite.log", free_port()
    command = ["node", main, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    with running([*command, "--disableTelemetry", "--skipApiVersionCheck"], log, cwd=folder) as process:
        wait_for(lambda: process.poll() is not None or _listens(port), log.read_text)
        assert process.poll() is None, log.read_text()
        _make_container(port)
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }
        yield Store("azurite", f"az://{CONTAINER}", environment, "AZURE_ENDPOINT")


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _make_container(port: int) -> None:
    """One request, signed as "Authorize with Shared Key" in Azure's documentation says."""
    said = {"x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-ms-version": "2023-11-03"}
    path = f"/{ACCOUNT}/{CONTAINER}"
    headers = "".join(f"{name}:{value}\n" for name, value in sorted(said.items()))
    text = "PUT" + "\n" * 12 + f"{headers}/{ACCOUNT}{path}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "PUT",
            f"{path}?restype=container",
            headers=said | {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"},
        )
        reply = connection.getresponse()
        assert reply.status == 201, reply.read()
    finally:
        connection.close()


if __name__ == "__main__":
    print(install())
