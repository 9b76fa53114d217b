"""Debian's Chromium, driven by Playwright, without a screen; it reaches loopback and nothing else.

PYTHONPATH=tests python -m end_to_end.browser      installs it from Debian's packages, as root
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_FLAGS = (
    "--no-sandbox",  # which Chromium cannot have as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserMissingError(Exception):
    """There is no Chromium here, and none can be had."""


def install() -> str:
    """The path of Chromium, from Debian's packages where it is not there yet. BrowserMissingError."""
    if (found := shutil.which("chromium")) is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise BrowserMissingError("Chromium is not installed; on Debian: apt-get install chromium")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        try:
            subprocess.run(["apt-get", "--quiet", *arguments], env=environment, timeout=500, check=True)
        except (subprocess.SubprocessError, OSError) as error:
            raise BrowserMissingError(f"Chromium cannot be installed: {error}") from error
    if (found := shutil.which("chromium")) is None:
        raise BrowserMissingError("Chromium was installed, and is not to be found")
    return found


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that lasts as long as the block."""
    path = install()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    install()
