"""A registry that release 0.1.0 wrote, kept as it was: every later release reads it, and answers as that one did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model.registry.audit import problems
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job, recalibration
from model.training.elsewhere import evaluate_elsewhere

WRITTEN = Path(__file__).parents[1] / "fixtures" / "registry_0_1_0"
HEAD = "c849fbe84d6c974d82556607e556bf3d8eeb2d80f868c53ba1ffb18ccaffeaa0"


def registry(model: str = "gender", root: Path = WRITTEN) -> Registry:
    return Registry(LocalStorage(root), model)


@pytest.mark.parametrize("model", ["gender", "tutorial"])
def test_it_is_whole(model: str) -> None:
    assert list(problems(registry(model))) == []


def test_its_log_is_the_one_that_was_written() -> None:
    assert list(problems(registry(), HEAD)) == []
    records = list(registry().log())
    assert [record.operation.name for record in records] == ["promote", "promote", "rollback", "delete"]
    assert records[-1].state.aliases == {"champion": 1, "previous": 2}
    assert records[-1].state.deleted == (3,)


@pytest.mark.parametrize(
    ("model", "number", "weight_lb", "height_in", "probability_female"),
    [
        ("gender", 1, 73 / 0.45359237, 182 / 2.54, 0.041743663720071086),
        ("gender", 2, 128.0, 63.0, 0.8545899702610078),
        ("tutorial", 1, 128.0, 63.0, 0.9675490638362875),
    ],
)
def test_its_versions_answer_as_they_did(
    model: str, number: int, weight_lb: float, height_in: float, probability_female: float
) -> None:
    answer = registry(model).load(number).predict(weight_lb, height_in)
    assert answer["probability_female"] == pytest.approx(probability_female, abs=1e-12)


def test_it_can_be_written_on(tmp_path: Path) -> None:
    shutil.copytree(WRITTEN, tmp_path / "registry")
    copy = registry(root=tmp_path / "registry")
    assert copy.rollback(by="a test").state.aliases == {"champion": 2, "previous": 1}
    assert list(problems(copy, HEAD)) == []


def test_its_versions_are_judged_evaluated_and_recalibrated(tmp_path: Path) -> None:
    shutil.copytree(WRITTEN, tmp_path / "registry")
    copy = registry(root=tmp_path / "registry")
    found = evaluate_elsewhere(copy, 2, "nhanes")
    assert found.likeness.warnings == ()
    assert job.run(job.Settings(hidden=()), copy, by="a test").verdict.champion == 1
    made = recalibration.run(recalibration.Settings(version=2, data="nhanes"), copy, by="a test").version
    assert made is not None
    assert (made.manifest.number, made.manifest.parent) == (5, 2)
    assert list(problems(copy, HEAD)) == []


def test_what_later_releases_record_is_not_known_of_it() -> None:
    assert registry().manifest(1).trainer.saturated_units is None
