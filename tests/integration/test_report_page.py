"""The report itself: what it says, that it needs nothing and runs nothing, and that nobody can be picked out of it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_files import people as rows_of
from people_files import text, write

from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import crowds, job, model_card, pictures, recalibration, report
from model.training.people import read_people

if TYPE_CHECKING:
    from model.registry.manifest import Manifest

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, and its pictures."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "style" and not self.style:
            self.style = data
        else:
            self.text += data

    @property
    def said(self) -> str:
        return " ".join(self.text.split())

    def pictures(self) -> list[str]:
        sources = [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
        return [base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode() for source in sources]


@pytest.fixture
def page(trained: Registry) -> Page:
    return Page(trained.report(1))


def published(registry: Registry, data: str, **asked: Any) -> Manifest:
    version = job.run(job.Settings(data=data, **asked), registry, by="a test").version
    assert version is not None
    return version.manifest


# What it says


def test_a_training_leaves_a_report_that_says_what_its_manifest_says(trained: Registry, page: Page) -> None:
    manifest = trained.manifest(1)
    for said in (
        f"{manifest.data.trained_people:,} people from nhanes",
        f"{manifest.evaluation.metrics.log_loss:.4f}",
        f"{manifest.evaluation.base_rate.log_loss:.4f}",
        "{:.4f} to {:.4f}".format(*manifest.evaluation.intervals["log_loss"]),
        f"May become champion: {manifest.verdict.reason}.",
        manifest.digest,
        manifest.data.fingerprint,
        "stature reproduce VERSION does it",
        "It must not decide about a person",
    ):
        assert said in page.said
    assert len(page.pictures()) == 7
    assert "a point each" not in page.said


def test_the_epochs_of_the_curve_are_those_of_the_best_start_and_the_others_are_counted(
    trained: Registry, page: Page
) -> None:
    assert re.search(r"after epoch \d+, by gauss_newton, in the best of 4 starts", page.said)
    assert f"after {trained.manifest(1).trainer.epochs} epochs of all starts" in page.said


def test_every_picture_has_a_text_for_those_who_do_not_see_it(page: Page) -> None:
    texts = [attributes["alt"] for tag, attributes in page.elements if tag == "img"]
    assert len(set(texts)) == len(texts)
    assert all(text and len(text) > 40 for text in texts)


def test_the_tutorial_shows_its_four_people_and_says_that_they_are_too_few(tmp_path: Path) -> None:
    registry = Registry(LocalStorage(tmp_path), "tutorial")
    published(registry, "tutorial")
    page = Page(registry.report(1))
    women, men, loss = page.pictures()
    assert [svg.count("var(--female)") > 1 for svg in (women, men, loss)] == [True, False, False]
    assert "The women, a point each." in page.said
    assert "too few to learn anything of real people from" in page.said


def test_a_picture_of_points_is_not_said_to_be_of_squares(page: Page, tmp_path: Path) -> None:
    registry = Registry(LocalStorage(tmp_path), "tutorial")
    published(registry, "tutorial", trainer="sgd", epochs=10)
    assert "Each square" in page.said
    assert "Each square" not in Page(registry.report(1)).said


def test_a_recalibrated_version_has_a_report_of_its_own(trained: Registry, tmp_path: Path) -> None:
    data = write(tmp_path / "local.csv", text(rows_of(400)))
    asked = recalibration.Settings(version=1, data=data, promote="never")
    manifest = recalibration.run(asked, trained, by="a test").version.manifest
    page = Page(trained.report(manifest.number))
    assert "It is the network of version 1, fitted to other people" in page.said
    assert f"times {manifest.recalibration.slope:.6g}" in page.said
    assert "How it was learned" not in page.said
    assert "Stature knows them from a file only." in page.said


def test_the_model_card_in_the_documentation_is_that_of_the_shipped_training(trained: Registry) -> None:
    shown = (ROOT / "docs" / "model-card.md").read_text()
    assert shown == model_card.document(trained.manifest(1)), "python -m model.training.model_card > docs/model-card.md"


def test_the_card_has_a_group_only_where_the_slices_end_where_it_does(trained: Registry) -> None:
    evaluation = trained.manifest(1).evaluation
    names = [group.name for section in model_card.card(trained.manifest(1), None) for group in section.groups]
    assert names == ["everyone", "men below 168 cm (66 in)", "women from 168 cm (66 in)", "answers from .4 to .6"]
    fewer = trained.manifest(1).model_copy(
        update={"evaluation": evaluation.model_copy(update={"slices": (), "reliability": ()})}
    )
    assert [group.name for section in model_card.card(fewer, None) for group in section.groups] == ["everyone"]


# It needs nothing, runs nothing, and is the same again


def test_the_page_fetches_nothing_and_runs_nothing(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "video", "audio"}
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in {"style", "srcset"}}
        assert tag != "img" or (attributes["src"] or "").startswith("data:image/svg+xml;base64,")
    for svg in page.pictures():
        assert set(re.findall(r"https?://[^\s\"']+", svg)) == {
            "http://www.w3.org/1999/xlink",
            "http://www.w3.org/2000/svg",
        }
        assert all(address.startswith("#") for address in re.findall(r'href="([^"]*)"', svg))
    assert "url(" not in page.style


def test_the_page_allows_the_one_style_that_it_has(page: Page) -> None:
    (policy,) = (found["content"] for _, found in page.elements if found.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:"


def test_the_same_training_gives_the_same_bytes(tmp_path: Path, trained: Registry) -> None:
    """In another process, with other hashes, other settings of matplotlib, and another time."""
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nxtick.direction: in\n")
    subprocess.run(
        [sys.executable, "-m", "model.cli", "train", "--registry", str(tmp_path / "registry")],
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path), "TZ": "Asia/Tokyo"},
    )
    assert Registry(LocalStorage(tmp_path / "registry"), "gender").report(1) == trained.report(1)


def test_without_matplotlib_a_training_is_published_without_a_report_and_says_so(tmp_path: Path) -> None:
    without = "import sys; sys.modules['matplotlib'] = None; from model.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "train", "--registry", str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    registry = Registry(LocalStorage(tmp_path), "gender")
    assert registry.head().champion == 1
    assert registry.manifest(1).files.report is None
    assert "No report: matplotlib is not installed. pip install 'stature[reports]'" in done.stdout


# What others wrote into it

HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        '"><script>alert(1)</script>',
        "</style><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}`{% raw %}",
        "' onload='x",
        "\0\u202e&lt;",
    ]
)


@settings(max_examples=60)
@given(source=HOSTILE, reason=HOSTILE, left_out=HOSTILE)
def test_what_a_file_or_a_person_says_is_text_and_nothing_else(
    manifest: Manifest, source: str, reason: str, left_out: str
) -> None:
    plain, found = (page_saying(manifest, *texts) for texts in (("", "", ""), (source, reason, left_out)))
    # Backquotes enclose what is typed: the one thing that a text may change.
    elements = [[element for element in page.elements if element != ("code", {})] for page in (plain, found)]
    assert elements[0] == elements[1]
    for said in (source, reason, left_out):
        assert said.replace("`", "").replace("\r", "") in found.text.replace("`", "").replace("\r", "")


@pytest.fixture(scope="module")
def manifest(_trained_once: Path) -> Manifest:
    return Registry(LocalStorage(_trained_once), "gender").manifest(1)


def page_saying(manifest: Manifest, source: str, reason: str, left_out: str) -> Page:
    draft = manifest.model_copy(
        update={
            "data": manifest.data.model_copy(update={"source": source, "left_out": {left_out: 3}}),
            "verdict": manifest.verdict.model_copy(update={"reason": reason}),
        }
    )
    return Page(report.page(draft, pictures.Pictures([], [], None, None, None), model="gender", shipped=None))


# Nobody can be picked out of it


def test_a_person_far_outside_leaves_no_mark_on_the_pictures_of_people(trained: Registry, tmp_path: Path) -> None:
    predictor, rows = trained.load(1).predictor, rows_of(600)
    drawn = []
    for name, extra in (("all", []), ("one more", [("310.0", "231.0", "female")])):
        people = read_people(write(tmp_path / f"{name}.csv", text(rows + extra)), hold_out=False)
        found = pictures._surfaces(predictor, people, as_points=False)
        drawn.append([picture.svg for picture in found])
        assert "231" not in found[0].alternative + found[0].caption
    assert drawn[0] == drawn[1]


def test_the_pictures_of_people_have_a_square_for_each_five_and_nothing_else(trained: Registry, tmp_path: Path) -> None:
    people = read_people(write(tmp_path / "people.csv", text(rows_of(600))), hold_out=False)
    women = people.where(people.female == 1)
    svg = pictures._surfaces(trained.load(1).predictor, people, as_points=False)[0].svg
    squares, name = len(crowds.cells(women).people), 1
    assert svg.count("fill: var(--female)") == squares + name > 10
    assert svg.count("var(--male)") == 0


def test_too_few_people_to_show_any_are_not_shown(trained: Registry, tmp_path: Path) -> None:
    """Not even where their file has the name of the shipped four."""
    apart = [(f"{60 + 3 * number}", f"{145 + 4 * number}", "female" if number % 2 else "male") for number in range(20)]
    people = read_people(write(tmp_path / "tutorial", text(apart)), fewest=1, hold_out=False)
    assert people.source == "tutorial"
    assert not people.are_shipped
    for picture in pictures._surfaces(trained.load(1).predictor, people, as_points=people.are_shipped):
        assert len(re.findall(r"var\(--(?:fe)?male\)", picture.svg)) == 1  # the name in the corner
        assert ": 0 of 10," in picture.caption
