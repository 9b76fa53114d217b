"""A training at a glance: only on a terminal, in as many columns as there are, and true."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.cli.plots import calibration_plot, loss_plot, print_plots
from model.registry.manifest import ReliabilityBin
from model.registry.registry import Registry
from model.registry.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable


def bin_of(said: float, was: float, people: int = 100) -> ReliabilityBin:
    return ReliabilityBin(lower=0.0, upper=1.0, people=people, mean_probability_female=said, share_female=was)


def test_the_loss_falls_from_the_highest_to_the_lowest_column() -> None:
    assert list(loss_plot([(0, 0.7), (1, 0.35), (2, 0.0)])) == ["", "loss 0.7000 █▅▁ 0.0000"]
    assert list(loss_plot([(0, 0.5)])) == ["", "loss 0.5000 ▁ 0.5000"]
    assert list(loss_plot([])) == []


@example([2.2e-309, 0.0])
@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=1000))
def test_however_many_epochs_there_are_they_fit(losses: list[float]) -> None:
    _, line = loss_plot(list(enumerate(losses)))
    assert len(line) <= 64


def test_a_bar_is_as_long_as_the_share_of_women_and_a_mark_stands_where_it_should_end() -> None:
    *_, right, low, high = calibration_plot([bin_of(0.5, 0.5), bin_of(0.5, 0.25, 1234), bin_of(0.5, 1.0)])
    assert right == "0.500  " + "█" * 20 + "┃" + " " * 20 + "  0.500      100"
    assert low == "0.500  " + "█" * 10 + " " * 10 + "┃" + " " * 20 + "  0.250    1,234"
    assert high == "0.500  " + "█" * 20 + "┃" + "█" * 19 + "   1.000      100"
    assert list(calibration_plot([])) == []


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=10))
def test_all_lines_of_the_calibration_are_of_one_width(pairs: list[tuple[float, float]]) -> None:
    _, _, *lines = calibration_plot([bin_of(said, was) for said, was in pairs])
    assert {len(line) for line in lines} == {64}


def outcome(*, published: bool = True, report: bool = True) -> SimpleNamespace:
    files = SimpleNamespace(report="a file" if report else None)
    return SimpleNamespace(
        version=SimpleNamespace(manifest=SimpleNamespace(number=7, files=files)) if published else None,
        losses=((1, 0.7), (2, 0.4)),
        evaluation=SimpleNamespace(reliability=(bin_of(0.5, 0.5),)),
    )


class Screen(io.TextIOWrapper):
    """Standard output that is a terminal, or is none."""

    def __init__(self, *, terminal: bool, encoding: str) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def show(made: SimpleNamespace, *, terminal: bool = True, encoding: str = "utf-8") -> str:
        screen = Screen(terminal=terminal, encoding=encoding)
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdout", screen)
            print_plots(made, Registry(LocalStorage(Path("my registry")), "tutorial"))
        screen.flush()
        return screen.raw_bytes.getvalue().decode()

    return show


def test_a_terminal_shows_the_plots_and_says_where_the_report_is(printed: Callable[..., str]) -> None:
    said = printed(outcome())
    assert "loss 0.7000 █▁ 0.4000" in said
    assert "share of women" in said
    _, _, command = said.partition("The report, as a page: stature ")
    assert shlex.split(command) == [
        *("report", "7", "--output", "report.html", "--registry", "my registry", "--model", "tutorial")
    ]
    assert "stature report" not in printed(outcome(report=False))


@pytest.mark.parametrize(
    ("made", "how"),
    [
        (outcome(), {"terminal": False}),
        (outcome(), {"encoding": "ascii"}),
        (outcome(published=False), {}),
    ],
    ids=["piped", "ascii", "nothing published"],
)
def test_elsewhere_nothing_is_added(
    printed: Callable[..., str], made: SimpleNamespace, how: dict[str, bool | str]
) -> None:
    assert printed(made, **how) == ""
