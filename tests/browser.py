"""Debian's Chromium, driven by Playwright: the browser in which the pages are tried.

PYTHONPATH=tests python -m browser      installs it from Debian's packages, as root
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import debian

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


def install() -> str:
    """The path of Chromium."""
    debian.install(*PACKAGES, are_there=lambda: shutil.which("chromium"))
    return shutil.which("chromium") or "chromium"


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
