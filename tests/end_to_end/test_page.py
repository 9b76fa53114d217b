"""The pages in a real browser, against a real `stature serve`, by what a user does and sees.

After each test: nothing was asked of another host, no address held a measurement, the console is empty, and nothing
that the content security policy forbids was tried.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from end_to_end.running_service import RunningService, serve, wait_for
from playwright.sync_api import expect

from model.tokens import new_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page, Request, Response, Route

    from model.registry.registry import Registry

STEVE = {"weight_kg": 73, "height_cm": 182}
ADDRESSES = re.compile(
    r"/|/docs|/openapi\.json|/static/[a-z]+\.(js|css|svg)|/aliases|/log\?after=\d+&limit=12"
    r"|/versions\?(before=\d+&)?limit=10|/versions/\d+(/report|/predict(/columns)?\?observe=false(&explain=true)?)?"
)
"""All that the pages ask for. No measurement is in any of it."""


@pytest.fixture(scope="module")
def service(_trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve(_trained_once, tmp_path_factory.mktemp("page") / "log", "--workers", "1") as running:
        yield running


@dataclass
class Visit:
    """A page that was opened, and all that happened on it."""

    page: Page
    root: str
    responses: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    refusals: tuple[int, ...] = ()
    """The statuses with which the service may refuse something during this visit."""

    def open(self, path: str = "/") -> Page:
        self.page.goto(f"{self.root}{path}")
        return self.page

    def failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # which is what leaving a page does to it
            self.complaints.append(f"{request.failure}: {request.url}")

    def check(self) -> None:
        for response in self.responses:
            assert response.url.startswith(self.root), response.url
            assert ADDRESSES.fullmatch(response.url.removeprefix(self.root)), response.url
            assert response.status in (200, 304, *self.refusals), response.url
        assert self.complaints == []


@pytest.fixture
def visit(browser: Browser, service: RunningService) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def opened(
        *, refusals: tuple[int, ...] = (), at: RunningService = service, width: int = 1280, **options: Any
    ) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(10_000)
        this = Visit(context.new_page(), f"http://127.0.0.1:{at.port}", refusals=refusals)
        visits.append(this)
        this.page.on("response", lambda response: this.responses.append(response))  # noqa: PLW0108 - Playwright marks what it is given
        this.page.on("requestfailed", this.failed)
        this.page.on("pageerror", lambda error: this.complaints.append(str(error)))
        # Chromium itself writes a line for every answer that refuses; those are counted by their status above.
        this.page.on(
            "console",
            lambda said: None if "Failed to load resource" in said.text else this.complaints.append(said.text),
        )
        return this

    yield opened
    for one in visits:
        one.page.context.close()
        one.check()


@pytest.fixture
def page(visit: Callable[..., Visit]) -> Page:
    opened = visit().open()
    expect(opened.get_by_role("slider")).to_be_visible()
    return opened


def probability(service: RunningService, person: dict[str, float], version: int = 1) -> float:
    status, answer = service.request("POST", f"/versions/{version}/predict", person)
    assert status == 200
    number: float = answer["probability_female"]
    return number


def in_per_cent(value: float) -> str:
    """As the page writes it: whole in the middle, with a decimal at the ends."""
    return f"{100 * value:.{1 if value < 0.0995 or value > 0.9005 else 0}f}\u202f%"


def number(page: Page) -> Locator:
    return page.locator("#percent")


def enter(page: Page, **fields: str) -> None:
    for name, text in fields.items():
        page.get_by_role("textbox", name=name.replace("_", " ")).fill(text)


def shown(page: Page) -> dict[str, float]:
    """What stands in the fields, in kilograms and centimetres."""
    return {
        "weight_kg": float(page.get_by_role("textbox", name="Weight kg").input_value()),
        "height_cm": float(page.get_by_role("textbox", name="Height cm").input_value()),
    }


# A person


def test_the_page_opens_with_a_person_and_the_champions_probability(page: Page, service: RunningService) -> None:
    assert shown(page) == STEVE
    expect(number(page)).to_have_text(in_per_cent(probability(service, STEVE)))
    expect(page.locator("#verdict")).to_have_text("Probably recorded as male")
    expect(page.get_by_text("Not for deciding about anyone.")).to_be_visible()


def test_what_is_typed_is_predicted_at_once_and_said_in_a_sentence(page: Page, service: RunningService) -> None:
    enter(page, Weight_kg="58,1", Height_cm="160")

    expected = probability(service, {"weight_kg": 58.1, "height_cm": 160})
    expect(number(page)).to_have_text(in_per_cent(expected))
    expect(page.locator("#verdict")).to_have_text("Probably recorded as female")
    expect(page.locator("#meaning")).to_contain_text(f"about {100 * expected:.0f} to be recorded as female")
    expect(page.get_by_role("status")).to_contain_text(f"{in_per_cent(expected)} female")


def test_near_one_half_the_page_cannot_tell(page: Page, service: RunningService) -> None:
    person = next(
        {"weight_kg": 73, "height_cm": height / 10}
        for height in range(1600, 1800)
        if abs(probability(service, {"weight_kg": 73, "height_cm": height / 10}) - 0.5) < 0.02
    )
    enter(page, Height_cm=str(person["height_cm"]))

    expect(page.locator("#verdict")).to_have_text("Cannot tell")
    expect(page.locator("#meaning")).to_contain_text("half of all answers would be wrong")


def test_a_person_unlike_those_trained_on_is_told_as_such(page: Page) -> None:
    enter(page, Weight_kg="390", Height_cm="120")

    expect(page.get_by_text("Outside the training range:")).to_be_visible()
    enter(page, Weight_kg="73", Height_cm="182")
    expect(page.get_by_text("Outside the training range:")).to_be_hidden()


def test_what_the_service_refuses_is_told_at_its_field(visit: Callable[..., Visit]) -> None:
    page = visit(refusals=(422,)).open()
    enter(page, Weight_kg="182", Height_cm="73")

    height = page.get_by_role("textbox", name="Height cm")
    expect(height).to_have_attribute("aria-invalid", "true")
    expect(height).to_have_accessible_description("182 kg and 73 cm look swapped.")
    expect(page.get_by_text("Nothing was predicted.", exact=True)).to_be_visible()
    expect(number(page)).to_have_text("\u2013")
    enter(page, Weight_kg="73", Height_cm="182")
    expect(height).to_have_attribute("aria-invalid", "false")
    expect(number(page)).to_contain_text("%")


def test_what_is_no_number_is_asked_for_anew(page: Page) -> None:
    enter(page, Weight_kg="heavy")

    expect(page.get_by_role("textbox", name="Weight kg")).to_have_accessible_description(
        "A number is expected, such as 70 or 70.5."
    )
    enter(page, Weight_kg="")
    expect(page.locator("#meaning")).to_have_text("Enter a weight and a height.")
    expect(page.get_by_role("status")).to_have_text("Enter a weight and a height.")
    expect(page.get_by_role("slider")).to_be_hidden()


def test_an_answer_that_comes_after_its_question_was_withdrawn_is_not_shown(page: Page) -> None:
    def hold(route: Route) -> None:
        held.append(route)

    held: list[Route] = []
    page.route("**/predict?*", hold)
    with page.expect_request("**/predict?*"):
        enter(page, Weight_kg="80")
    enter(page, Weight_kg="")
    expect(number(page)).to_have_text("\u2013")
    page.evaluate(
        """() => {
            window.shown = [];
            new MutationObserver(() => shown.push(document.getElementById("percent").textContent))
                .observe(document.getElementById("percent"), { childList: true });
        }"""
    )
    with page.expect_response("**/predict?*") as late:
        held[0].continue_()
    late.value.finished()
    page.unroute("**/predict?*")
    with page.expect_response("**/predict?*"):
        enter(page, Weight_kg="73")

    expect(number(page)).to_contain_text("%")
    assert len(page.evaluate("shown")) == 1


def test_what_moved_the_probability_is_told_step_by_step(page: Page, service: RunningService) -> None:
    _, answer = service.request("POST", "/predict?explain=true", STEVE)
    baseline, contributions = answer["explanation"]["baseline"], answer["explanation"]["contributions"]
    table = page.get_by_role("table", name="From the average")

    expect(table.get_by_role("row", name="Average person")).to_contain_text(in_per_cent(baseline["probability_female"]))
    for quantity in ("weight", "height"):
        points = f"{100 * contributions[quantity]:+.1f}".replace("-", "\u2212")
        expect(table.get_by_role("row", name=quantity.title())).to_contain_text(points)
    expect(table.get_by_role("row", name="This person")).to_contain_text(in_per_cent(answer["probability_female"]))


# Units


def test_switching_units_converts_what_is_entered_and_back_to_the_same(page: Page, service: RunningService) -> None:
    page.get_by_role("radio", name="lb, in").check()
    expect(page.get_by_role("textbox", name="Weight lb")).to_have_value("160.9")
    expect(page.get_by_role("textbox", name="Height in")).to_have_value("71.65")
    expected = probability(service, {"weight_lb": 160.9, "height_in": 71.65})
    expect(number(page)).to_have_text(in_per_cent(expected))

    page.get_by_role("radio", name="lb, ft in").check()
    expect(page.get_by_role("textbox", name="Height ft")).to_have_value("5")
    expect(page.get_by_role("textbox", name="Height in")).to_have_value("11.65")
    expect(number(page)).to_have_text(in_per_cent(expected))

    page.get_by_role("radio", name="kg, cm").check()
    assert shown(page) == STEVE


def test_feet_and_inches_are_one_height(page: Page, service: RunningService) -> None:
    page.get_by_role("radio", name="lb, ft in").check()
    enter(page, Weight_lb="128", Height_ft="5", Height_in="3")

    expect(number(page)).to_have_text(in_per_cent(probability(service, {"weight_lb": 128, "height_in": 63})))
    page.get_by_role("radio", name="kg, cm").check()
    assert shown(page) == {"weight_kg": 58.1, "height_cm": 160}


# The surface


def test_the_dot_is_dragged_with_a_mouse_and_the_number_follows(page: Page, service: RunningService) -> None:
    dot = page.get_by_role("slider")
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=5)
    expect(number(page)).not_to_have_text(in_per_cent(probability(service, STEVE)))
    page.mouse.move(x + 60, y + 80, steps=5)
    page.mouse.up()

    moved = shown(page)
    assert moved["weight_kg"] > STEVE["weight_kg"] + 5
    assert moved["height_cm"] < STEVE["height_cm"] - 5
    expect(number(page)).to_have_text(in_per_cent(probability(service, moved)))
    at = dot.bounding_box()
    assert at is not None
    assert (at["x"] - box["x"], at["y"] - box["y"]) == pytest.approx((60, 80), abs=2)


def test_the_dot_is_moved_with_the_keyboard_alone(page: Page, service: RunningService) -> None:
    enter(page, Weight_kg="73", Height_cm="182")
    dot = page.get_by_role("slider")
    for _ in range(40):
        page.keyboard.press("Tab")
        if dot.evaluate("element => element === document.activeElement"):
            break
    expect(dot).to_be_focused()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("PageDown")
    expected = {"weight_kg": 74, "height_cm": 176}
    assert shown(page) == expected
    written = in_per_cent(probability(service, expected))
    expect(number(page)).to_have_text(written)
    expect(dot).to_have_attribute("aria-valuetext", f"74 kg, 176 cm: {written} female")


def test_a_finger_drags_the_dot_and_the_page_does_not_scroll(visit: Callable[..., Visit]) -> None:
    page = visit(width=390, has_touch=True).open()
    dot = page.get_by_role("slider")
    expect(dot).to_be_visible()
    dot.scroll_into_view_if_needed()
    box, scrolled = dot.bounding_box(), page.evaluate("scrollY")
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    fingers = page.context.new_cdp_session(page)
    fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        moved = [{"x": x + 10 * step, "y": y + 10 * step}]
        fingers.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": moved})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    expect(page.get_by_role("textbox", name="Weight kg")).not_to_have_value("73")
    assert shown(page)["weight_kg"] > STEVE["weight_kg"] + 5
    assert shown(page)["height_cm"] < STEVE["height_cm"] - 5
    assert page.evaluate("scrollY") == scrolled


def test_a_finger_taps_the_surface_where_the_person_is(visit: Callable[..., Visit], service: RunningService) -> None:
    page = visit(width=390, has_touch=True).open()
    expect(page.get_by_role("slider")).to_be_visible()
    page.locator("#plot").tap(position={"x": 200, "y": 150})

    expect(page.get_by_role("textbox", name="Weight kg")).not_to_have_value("73")
    expect(number(page)).to_have_text(in_per_cent(probability(service, shown(page))))


def test_the_surface_is_a_table_too(page: Page, service: RunningService) -> None:
    page.get_by_text("The same as a table").click()

    table = page.get_by_role("table", name="Probability of female by weight and height")
    row = table.get_by_role("row", name="180 cm")
    expect(table.get_by_role("columnheader", name="75 kg", exact=True)).to_be_visible()
    column = table.get_by_role("columnheader").all_inner_texts().index("75 kg")
    expected = probability(service, {"weight_kg": 75, "height_cm": 180})
    expect(row.get_by_role("cell").nth(column)).to_have_text(f"{100 * expected:.0f}")


def test_the_surface_is_amber_where_male_is_likelier_and_indigo_where_female_is(page: Page) -> None:
    def colour(x: float, y: float) -> list[int]:
        script = """([x, y]) => { const heat = document.getElementById("heat");
            const context = new OffscreenCanvas(1, 1).getContext("2d");
            context.drawImage(heat, -x * heat.width, -y * heat.height);
            return [...context.getImageData(0, 0, 1, 1).data]; }"""
        found: list[int] = page.evaluate(script, [x, y])
        return found

    tall, short = colour(0.3, 0.1), colour(0.3, 0.9)
    assert tall[0] > tall[2] + 80
    assert short[2] > short[0] + 80
    page.emulate_media(color_scheme="dark")
    wait_for(lambda: colour(0.3, 0.1) != tall)


def test_a_contour_lies_where_the_values_take_the_level_and_closes_around_a_hill(page: Page) -> None:
    lines: list[list[list[float]]] = page.evaluate(
        """async () => { const { contour, joined } = await import("/static/contour.js");
            const hill = Array.from({ length: 400 }, (_, at) => Math.hypot((at % 20) - 9.5, Math.floor(at / 20) - 9.5));
            return joined(contour(hill, 20, 6)); }"""
    )

    (line,) = lines
    assert line[0] == pytest.approx(line[-1])
    assert len(line) > 30
    for x, y in line:
        assert math.hypot(x - 9.5, y - 9.5) == pytest.approx(6, abs=0.05)


# Versions


def test_another_version_is_chosen_and_compared_with_the_champion(page: Page, service: RunningService) -> None:
    page.get_by_role("combobox", name="Version").select_option("2")

    expect(number(page)).to_have_text(in_per_cent(probability(service, STEVE, version=2)))
    champion = in_per_cent(probability(service, STEVE))
    expect(page.get_by_text(f"Version 2; the champion, version 1, says {champion}.")).to_be_visible()
    expect(page.get_by_text("one half, by the champion")).to_be_visible()
    expect(page.get_by_role("heading", name="Version 2")).to_be_visible()
    page.get_by_role("button", name="Choose version 1").click()
    expect(page.get_by_role("combobox", name="Version")).to_have_value("1")
    expect(number(page)).to_have_text(champion)


def test_the_registry_is_shown_with_its_metrics_aliases_and_log(page: Page, service: RunningService) -> None:
    _, listed = service.request("GET", "/versions")
    table = page.get_by_role("table", name="Versions")
    for version in listed["versions"]:
        row = table.get_by_role("row", name=f"Choose version {version['model_version']}")
        expect(row).to_contain_text(f"{version['metrics']['log_loss']:.4f}")
        expect(row).to_contain_text(f"{version['metrics']['roc_auc']:.4f}")
        for alias in version["aliases"]:
            expect(row).to_contain_text(alias)
    expect(page.locator("#log")).to_contain_text("promote 1: it is the first")


def test_the_chosen_versions_report_is_a_click_away(page: Page) -> None:
    page.get_by_role("combobox", name="Version").select_option("2")
    expect(page.get_by_role("heading", name="Version 2")).to_be_visible()
    page.get_by_role("link", name="training, calibration and subgroups").click()

    expect(page).to_have_url(re.compile(r"/versions/2/report$"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_an_empty_registry_is_told(visit: Callable[..., Visit], tmp_path: Path) -> None:
    with serve(tmp_path / "empty", tmp_path / "log", "--workers", "1", ready=False) as empty:
        page = visit(at=empty).open()
        expect(page.get_by_role("alert")).to_have_text("There is no version yet: train one with stature train.")


def test_a_token_is_asked_for_and_kept_in_memory_only(
    visit: Callable[..., Visit], trained: Registry, tmp_path: Path
) -> None:
    token, line = new_token("a.test", ("predict", "read"))
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1", STATURE_TOKENS=line) as guarded:
        opened = visit(at=guarded, refusals=(401,))
        page = opened.open()
        asked = page.get_by_role("heading", name="A token is needed")
        expect(asked).to_be_visible()
        for given in ("of another", token):
            page.get_by_label("Token", exact=True).fill(given)
            page.get_by_role("button", name="Use it").click()
            expect(page.get_by_label("Token", exact=True)).to_have_value("")
        expect(asked).to_be_hidden()
        expect(number(page)).to_contain_text("%")
        expect(page.get_by_role("slider")).to_be_visible()

        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert kept == '[{},{},""]'
        assert token not in page.content()
        page.reload()
        expect(asked).to_be_visible()


def test_a_report_behind_a_token_opens_as_it_does_without_one(
    visit: Callable[..., Visit], service: RunningService, trained: Registry, tmp_path: Path
) -> None:
    def looks(report: Page) -> list[object]:
        expect(report.get_by_role("heading", level=1)).to_be_visible()
        asked = """() => {
            const of = (name) => getComputedStyle(document.querySelector(name));
            const pictures = [...document.images].map((image) => [image.complete, image.naturalWidth]);
            const looks = [of("body").maxWidth, of("h1").fontSize, of("table").borderCollapse];
            return [document.compatMode, document.title, document.body.innerText, ...looks,
                document.body.scrollHeight, pictures];
        }"""
        found: list[object] = report.evaluate(asked)
        return found

    plain = visit().open("/versions/1/report")
    token, line = new_token("a.test", ("predict", "read"))
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1", STATURE_TOKENS=line) as guarded:
        opened = visit(at=guarded, refusals=(401,))
        page = opened.open()
        page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Use it").click()
        for _ in range(2):
            with page.context.expect_page() as found:
                page.get_by_role("link", name="training, calibration and subgroups").click()
            report = found.value
            report.on("console", lambda said: opened.complaints.append(said.text))
            report.wait_for_function("document.images.length && [...document.images].every((image) => image.complete)")
            assert looks(report) == looks(plain)
            report.close()


def test_what_is_tried_on_the_page_is_not_counted_as_people(
    visit: Callable[..., Visit], service: RunningService
) -> None:
    def people() -> int:
        counted: int = service.request("GET", "/drift")[1]["people"]
        return counted

    before = people()
    page = visit().open()
    expect(page.get_by_role("slider")).to_be_visible()
    enter(page, Weight_kg="90")
    expect(number(page)).to_have_text(in_per_cent(probability(service, {"weight_kg": 90, "height_cm": 182})))
    assert people() == before + 1  # whom this test itself has asked about


# Everybody


@pytest.mark.parametrize("path", ["/", "/docs"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_axe_finds_no_barrier_and_nothing_is_cut_off(
    visit: Callable[..., Visit], path: str, width: int, scheme: str
) -> None:
    page = visit(width=width, color_scheme=scheme, refusals=(422,)).open(path)
    states = [lambda: None]
    if path == "/":
        expect(page.get_by_role("slider")).to_be_visible()
        states += [
            lambda: page.get_by_text("The same as a table").click(),
            lambda: page.get_by_role("radio", name="lb, ft in").check(),
            lambda: page.get_by_role("combobox", name="Version").select_option("2"),
            lambda: enter(page, Weight_lb="860"),
            lambda: enter(page, Weight_lb="8"),
        ]
    for state in states:
        state()
        page.wait_for_load_state("networkidle")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_all_of_the_page_together_is_under_100_kilobytes(visit: Callable[..., Visit]) -> None:
    opened = visit()
    expect(opened.open().get_by_role("slider")).to_be_visible()

    own = [one for one in opened.responses if "/static/" in one.url or one.url.removeprefix(opened.root) == "/"]
    assert len(own) > 8
    assert sum(len(one.body()) for one in own) < 100_000


def test_every_page_has_a_policy_that_lets_nothing_else_in(visit: Callable[..., Visit]) -> None:
    opened = visit()
    expect(opened.open("/").get_by_role("slider")).to_be_visible()
    opened.open("/docs").wait_for_load_state("networkidle")
    for one in opened.responses:
        if "/static/" in one.url or one.url.endswith(("/", "/docs")):
            policy = one.headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} < set(
                policy
            )
            assert not any("unsafe" in rule for rule in policy)
            assert one.headers["x-content-type-options"] == "nosniff"
            assert one.headers["referrer-policy"] == "no-referrer"


def test_the_description_needs_no_javascript(visit: Callable[..., Visit]) -> None:
    page = visit(java_script_enabled=False).open()
    page.get_by_role("navigation").get_by_role("link", name="API").click()
    expect(page.get_by_role("heading", name="POST /predict", exact=True)).to_be_visible()
    page.get_by_role("link", name="Measurements").first.click()
    expect(page.get_by_role("heading", name="Measurements", exact=True)).to_be_in_viewport()
