"""Debian's Chromium, driven by Playwright: the browser in which the pages are tried.

PYTHONPATH=tests python -m browser      installs it from Debian's packages, as root
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

PACKAGES = ("chromium", "fonts-dejavu-core")
# Without these, Chromium looks for its maker's hosts at every start, and as root it would not start at all.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserMissingError(Exception):
    """There is no Chromium here, and none can be installed."""


def install() -> str:
    """The path of Chromium, installed from Debian's packages where it is not there yet. BrowserMissingError."""
    found = shutil.which("chromium")
    if found is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise BrowserMissingError(f"Chromium is not installed: {', '.join(PACKAGES)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)
        if done.returncode != 0:
            raise BrowserMissingError(f"Chromium could not be installed: {done.stderr[-500:]}")
    return shutil.which("chromium") or "/usr/bin/chromium"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that lasts as long as the block."""
    from playwright.sync_api import sync_playwright

    path = install()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    install()
