"""What the tests that try to break Stature counted: docs/reliability.md.

`pytest --write-reliability` runs these tests and no others, the slow ones included, and where all of them pass it puts
their counts into that page: how many cases each had, and what it says of itself by pytest's `record_property`.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin counts -->\n", "<!-- end counts -->\n"
SECTIONS = {
    "Load": ("test_endurance", "test_hot_reload", "test_recycling", "test_lanes"),
    "Faults and crashes": ("test_registry_crashes", "test_adversity", "test_clock", "test_every_number"),
    "Bad input": ("test_malformed_http", "test_abuse", "test_limits", "test_version", "test_plain_reading"),
    "Doors": ("test_tokens", "test_access", "test_administration", "test_browsers"),
}


class Counts:
    """The cases of each test, and the sums of what they recorded, by module and sentence."""

    def __init__(self, passed: list[pytest.Item]) -> None:
        self.rows: dict[str, dict[str, Counter[str]]] = {}
        for item in passed:
            name = getattr(item, "originalname", item.name)
            sentence = name.removeprefix("test_").replace("_", " ")
            row = self.rows.setdefault(item.path.stem, {}).setdefault(sentence, Counter())
            row["cases"] += 1
            for what, count in item.user_properties:
                if isinstance(count, int):
                    row[what] += count

    def tables(self) -> Iterator[str]:
        for section, modules in SECTIONS.items():
            yield f"## {section}\n\n| what was shown | what was counted |\n|---|---|\n"
            for module in modules:
                for sentence, row in self.rows.get(module, {}).items():
                    shown = sorted((what, count) for what, count in row.items() if what != "cases" or len(row) == 1)
                    counted = "; ".join(f"{count:,} {_in_number(what, count)}" for what, count in shown)
                    yield f"| {sentence} | {counted} |\n"
            yield "\n"


def _in_number(what: str, count: int) -> str:
    """One answer, two answers."""
    return re.sub(r"^(\w+?)s\b", r"\1", what) if count == 1 else what


_passed: list[pytest.Item] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-reliability", action="store_true", help="Run and write what docs/reliability.md shows.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--write-reliability"):
        shown = {module for modules in SECTIONS.values() for module in modules}
        items[:] = [item for item in items if item.path.stem in shown]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when == "call" and report.passed:
        _passed.append(item)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--write-reliability") and exitstatus == pytest.ExitCode.OK:
        page = PAGE.read_text(encoding="utf-8")
        counted = BEGIN + "".join(Counts(_passed).tables()).rstrip() + "\n" + END
        PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: counted, page, flags=re.DOTALL), encoding="utf-8")
