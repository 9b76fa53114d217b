"""The report as people see it: served by a real service, opened in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from end_to_end.running_service import serve
from integration.registry_worker import another

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator
    from pathlib import Path

    from end_to_end.running_service import RunningService
    from playwright.sync_api import Browser, Page, Request

    from model.registry.registry import Registry

WIDE, NARROW = 1200, 320


@pytest.fixture(scope="module")
def service(_trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve(_trained_once, tmp_path_factory.mktemp("service") / "log", "--workers", "1") as found:
        yield found


def opened(
    browser: Browser, service: RunningService, scheme: str = "light", width: int = WIDE
) -> tuple[Page, list[str], list[Request]]:
    """The champion's report, with what the console said and what was asked for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[Request] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - Playwright marks what it calls
    response = page.goto(f"http://127.0.0.1:{service.port}/versions/champion/report")
    assert response is not None
    assert response.status == 200
    return page, said, asked


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_say_and_neither_does_the_console(
    browser: Browser, service: RunningService, scheme: str, width: int
) -> None:
    page, said, _ = opened(browser, service, scheme, width)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert said == []
    page.close()


def test_the_page_asks_no_one_for_anything(browser: Browser, service: RunningService) -> None:
    page, _, asked = opened(browser, service)
    fetched = [request.url for request in asked if not request.url.startswith("data:image/svg+xml;base64,")]
    assert fetched == [f"http://127.0.0.1:{service.port}/versions/champion/report"]
    page.close()


@pytest.mark.parametrize("width", [WIDE, 600, NARROW])
def test_the_page_is_as_wide_as_the_window_and_all_pictures_are_seen(
    browser: Browser, service: RunningService, width: int
) -> None:
    page, _, _ = opened(browser, service, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    cut = "element => element.clientWidth && element.scrollWidth > element.clientWidth + 1"
    assert (
        page.evaluate(f"[...document.querySelectorAll('body *')].filter({cut}).map(element => element.outerHTML)") == []
    )
    drawn = page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth > 0])")
    assert drawn == [[True, True]] * 7
    page.close()


def test_the_page_and_its_pictures_follow_the_dark_scheme(browser: Browser, service: RunningService) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page, _, _ = opened(browser, service, scheme)
        picture = page.locator("img").first
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor"), picture.screenshot()
        page.close()
    assert colours["light"][0] == "rgb(246, 244, 239)"
    assert colours["dark"][0] == "rgb(19, 19, 22)"
    assert colours["light"][1] != colours["dark"][1]


def test_a_script_in_a_report_that_someone_else_wrote_is_not_run(
    browser: Browser, trained: Registry, tmp_path: Path
) -> None:
    hostile = b"""<!doctype html><title>quiet</title><script>document.title = 'run'</script>
        <img src=x onerror="document.title = 'run'"><img src="http://127.0.0.1:9/x">"""
    manifest = trained.publish(*another(trained.manifest(1), 3), by="a test", report=hostile).manifest
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1") as service:
        page = browser.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(f"http://127.0.0.1:{service.port}/versions/{manifest.number}/report")
        assert page.title() == "quiet"
        assert len(refused) >= 3
        assert all("Content Security Policy" in one for one in refused)
        page.close()


def test_the_report_is_kept_by_its_number_and_asked_for_again_by_its_alias(service: RunningService) -> None:
    def get(path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = service.connect()
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    by_number, page = get("/versions/1/report")
    assert by_number.getheader("Content-Type") == "text/html; charset=utf-8"
    assert by_number.getheader("X-Content-Type-Options") == "nosniff"
    assert by_number.getheader("Content-Security-Policy", "").startswith("default-src 'none'; ")
    assert by_number.getheader("Cache-Control") == "private, max-age=31536000, immutable"
    by_alias, same = get("/versions/champion/report")
    assert same == page
    assert by_alias.getheader("Cache-Control") == "private, no-cache"
    assert by_alias.getheader("ETag") == by_number.getheader("ETag")
    again, nothing = get("/versions/champion/report", If_None_Match=by_number.getheader("ETag", ""))
    assert (again.status, nothing) == (304, b"")


def test_there_is_a_problem_for_what_is_not_there(service: RunningService) -> None:
    for path, detail in (
        ("/versions/9/report", "model gender has no version 9; the newest is 2"),
        ("/versions/nobody/report", "model gender has no alias 'nobody'; the aliases are: champion"),
    ):
        status, problem = service.request("GET", path)
        assert (status, problem["type"], problem["detail"]) == (404, "/problems/not-found", detail)
