"""Makes the pictures of the page that the documents show, in docs/images/.

PYTHONPATH=tests python -m end_to_end.pictures
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from browser import chromium
from end_to_end.container_engine import ROOT
from end_to_end.running_service import serve
from PIL import Image
from playwright.sync_api import Page, expect

from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job

_FOLDER = ROOT / "docs" / "images"


def save(page: Page, name: str) -> None:
    """A screenshot in 256 colours, dithered, so that what is smooth stays smooth in few bytes."""
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(_FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """One picture in the light, one in the dark, one on a small screen."""
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(LocalStorage(Path(folder) / "registry"), "gender")
        job.run(job.Settings(), registry, by="the documentation")
        job.run(job.Settings(hidden=(8,), seed=3, promote="never"), registry, by="the documentation")
        with serve(Path(folder) / "registry", Path(folder) / "log") as service, chromium() as browser:
            _FOLDER.mkdir(exist_ok=True)
            for name, width, height, scheme in (
                ("page-light", 1280, 1080, "light"),
                ("page-dark", 1280, 1080, "dark"),
                ("page-narrow", 390, 844, "light"),
            ):
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(f"http://127.0.0.1:{service.port}/")
                expect(page.get_by_role("slider")).to_be_visible()
                if name == "page-dark":
                    page.get_by_role("combobox", name="Version").select_option("2")
                    page.get_by_role("textbox", name="Weight kg").fill("120")
                    expect(page.get_by_text("Version 2; the champion")).to_be_visible()
                save(page, name)


if __name__ == "__main__":
    main()
