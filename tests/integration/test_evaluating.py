"""A version among other people: measured, compared with those it was trained on, and recalibrated for them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result
from people_files import people, text, write

from model.cli.group import main
from model.errors import DataError, NotFoundError, SettingsError
from model.registry.audit import problems
from model.registry.registry import Registry
from model.training import job, recalibration
from model.training.elsewhere import evaluate_elsewhere
from model.training.people import SHIPPED, read_people
from model.training.reproduce import reproduce

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.training.publication import Outcome

SAMPLE = Path(job.__file__).parents[1] / "data" / SHIPPED["nhanes"]


def stature(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--registry", str(registry.storage), "--model", registry.model])


def document(result: Result) -> dict:
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert isinstance(found, dict)
    return found


def sample(path: Path, change: Callable[[float, float], tuple[float, float]], rows: slice) -> str:
    """Shipped people with other weights and heights."""
    with SAMPLE.open(newline="") as file:
        found = list(csv.DictReader(file))[rows]
    changed = [(*change(float(row["weight_kg"]), float(row["height_cm"])), row["gender"]) for row in found]
    return write(path, text([(f"{weight:.2f}", f"{height:.2f}", gender) for weight, height, gender in changed]))


@pytest.fixture
def local(tmp_path: Path) -> str:
    """Fifteen hundred people, shorter and lighter than those trained on."""
    return sample(tmp_path / "local.csv", lambda weight, height: (weight * 0.8, height - 8), slice(1500))


def recalibrated(registry: Registry, data: str, **settings: object) -> Outcome:
    return recalibration.run(recalibration.Settings(version=1, data=data, **settings), registry, by="a test")


# Evaluate


def test_a_version_is_measured_on_everyone_in_a_file(trained: Registry, local: str) -> None:
    before = {path: path.read_bytes() for path in Path(str(trained.storage)).rglob("*.*[nz]")}
    found = document(stature(trained, "evaluate", "champion", "--data", local, "--json"))
    assert (found["model"], found["model_version"], found["people"]) == ("gender", 1, 1500)
    assert found["data"]["source"] == "local.csv"
    evaluation = found["evaluation"]
    assert (evaluation["population"], evaluation["people"]) == ("everyone", 1500)
    assert set(evaluation["intervals"]) == set(evaluation["metrics"])
    assert found["stability_index"]["height"] > 0.25
    assert any("much shorter than the one trained on" in warning for warning in found["warnings"])
    assert found["trained_on_people"] is None
    assert before == {path: path.read_bytes() for path in Path(str(trained.storage)).rglob("*.*[nz]")}


def test_the_ranking_transfers_and_the_calibration_does_not(trained: Registry, local: str) -> None:
    evaluation = evaluate_elsewhere(trained, 1, local).evaluation
    assert evaluation.metrics.roc_auc > 0.88
    assert evaluation.metrics.calibration_error > 5 * (evaluation.calibration_error_floor or 0.0)
    assert evaluation.logistic_regression is not None
    assert evaluation.logistic_regression.log_loss < evaluation.metrics.log_loss


def test_it_is_said_in_words(trained: Registry, local: str) -> None:
    result = stature(trained, "evaluate", "1", "--data", local)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"Version 1 of {trained} on 1,500 people of local.csv."
    assert sum(line.startswith("Warning: this population is much ") for line in lines) == 2
    for beginning in (
        "version 1  ",
        "  95 % interval",
        "logistic regression",
        "the base rate",
        "0.9 to 1.0",
        "men below",
    ):
        assert any(line.startswith(beginning) for line in lines), beginning


def test_the_people_trained_on_are_known_again(trained: Registry) -> None:
    found = evaluate_elsewhere(trained, 1, "nhanes")
    assert found.trained_on_people == 4778
    assert found.likeness.warnings == ()
    said = stature(trained, "evaluate", "1", "--data", "nhanes").stdout
    assert "It was trained on 4,778 of them: on others it is hardly better, and often worse." in said


def test_the_people_of_a_parent_are_known_again(trained: Registry, local: str) -> None:
    recalibrated(trained, local)
    assert evaluate_elsewhere(trained, 3, local).trained_on_people == trained.manifest(3).data.trained_people
    assert evaluate_elsewhere(trained, 3, "nhanes").trained_on_people == 4778


def test_pounds_in_a_kilogram_column_of_light_people_are_said(trained: Registry, tmp_path: Path) -> None:
    data = sample(tmp_path / "l.csv", lambda weight, height: (min(weight * 0.6, 90) * 2.2046, height), slice(500))
    with pytest.raises(DataError, match="weight_kg looks like pounds"):
        evaluate_elsewhere(trained, 1, sample(tmp_path / "p.csv", lambda w, h: (min(w, 180) * 2.2046, h), slice(500)))
    assert evaluate_elsewhere(trained, 1, data).likeness.warnings


def test_a_handful_of_people_is_measured_too(trained: Registry, tmp_path: Path) -> None:
    few = write(tmp_path / "few.csv", text(people(6)))
    found = evaluate_elsewhere(trained, 1, few)
    assert (found.evaluation.people, found.evaluation.logistic_regression) == (6, None)
    assert stature(trained, "evaluate", "1", "--data", few).exit_code == 0


def test_bad_rows_and_codes_are_treated_as_in_training(trained: Registry, tmp_path: Path) -> None:
    rows = [(weight, height, "2" if gender == "female" else "1") for weight, height, gender in people(100)]
    coded = write(tmp_path / "coded.csv", text([*rows, ("70", "72", "1")]))
    refused = stature(trained, "evaluate", "1", "--data", coded, "--female-code", "2")
    assert (refused.exit_code, refused.stdout) == (1, "")
    found = document(
        stature(trained, "evaluate", "1", "--data", coded, "--female-code", "2", "--bad-rows", "skip", "--json")
    )
    assert found["people"] == 100
    assert sum(found["left_out"].values()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("7", "--data", "nhanes"), "no version 7"), (("1", "--data", "nowhere.csv"), "nowhere.csv")],
)
def test_what_is_not_there_is_not_evaluated(trained: Registry, arguments: tuple[str, ...], said: str) -> None:
    result = stature(trained, "evaluate", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr


# The gate's options


def train(registry: Registry, **settings: object) -> Outcome:
    return job.run(job.Settings(**settings), registry, by="a test")


def test_a_first_version_that_misses_a_threshold_is_published_and_not_promoted(registry: Registry) -> None:
    outcome = train(registry, thresholds={"log_loss": 0.45, "roc_auc": 0.95})
    assert (outcome.promoted, registry.numbers(), registry.head().champion) == (False, [1], None)
    verdict = registry.manifest(1).verdict
    assert re.fullmatch(
        r"roc_auc 0\.\d{5} on 1,222 held-out people is below the lowest that is allowed, 0\.95", verdict.reason
    )
    assert verdict.thresholds == {"log_loss": 0.45, "roc_auc": 0.95}
    assert verdict.base_rate_log_loss == pytest.approx(0.6936, abs=1e-4)


def test_a_first_version_that_is_no_better_than_the_base_rate_is_not_promoted(registry: Registry) -> None:
    outcome = train(registry, trainer="sgd", epochs=1, learning_rate=1e-9, seed=4)
    assert not outcome.promoted
    assert "is not lower than the 0.69356 of the base rate" in outcome.verdict.reason


def test_a_difference_inside_the_noise_does_not_promote(registry: Registry) -> None:
    train(registry)
    outcome = train(registry, hidden=(8,))
    verdict = outcome.verdict
    assert verdict.candidate_log_loss < verdict.champion_log_loss
    assert verdict.difference == pytest.approx(verdict.candidate_log_loss - verdict.champion_log_loss)
    lower, upper = verdict.difference_interval
    assert lower < verdict.difference < 0.0 < upper
    assert not outcome.promoted
    assert "but not beyond the noise" in verdict.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"min_absolute_change": 0.2}, "--min-absolute-change asks for 0.20000"),
        ({"min_relative_change": 0.5}, "--min-relative-change asks for 0.25280"),
    ],
)
def test_a_difference_smaller_than_was_asked_for_does_not_promote(
    registry: Registry, changes: dict[str, float], said: str
) -> None:
    train(registry, hidden=(), l2=1000.0)
    outcome = train(registry, **changes)
    assert not outcome.promoted
    assert said in outcome.verdict.reason


def test_who_fails_becomes_challenger_where_that_is_asked_for(registry: Registry) -> None:
    train(registry)
    outcome = train(registry, hidden=(), otherwise="challenger")
    assert (outcome.promoted, outcome.is_challenger) == (False, True)
    assert registry.head().state.aliases == {"champion": 1, "challenger": 2}
    assert registry.head().record.reason == outcome.verdict.reason
    assert list(problems(registry)) == []
    assert not train(registry, seed=5, otherwise="nothing").is_challenger
    assert registry.head().state.aliases["challenger"] == 2


def test_a_fixed_acceptance_set_judges_champion_and_candidate_alike(registry: Registry, tmp_path: Path) -> None:
    acceptance = sample(tmp_path / "acceptance.csv", lambda *pair: pair, slice(5000, 6000))
    data = sample(tmp_path / "data.csv", lambda *pair: pair, slice(0, 5000))
    train(registry, data=data, hidden=(), l2=1000.0, holdout=acceptance)
    outcome = train(registry, data=data, holdout=acceptance)
    verdict = outcome.verdict
    assert outcome.promoted
    assert (verdict.people, verdict.holdout.people, verdict.holdout.source) == (1000, 1000, "acceptance.csv")
    assert verdict.holdout.fingerprint == read_people(acceptance, hold_out=False).fingerprint
    assert verdict.candidate_log_loss != outcome.evaluation.metrics.log_loss
    assert "1,000 people of acceptance.csv, of whom" in verdict.reason


def test_people_of_the_acceptance_set_who_were_trained_on_are_counted(registry: Registry, tmp_path: Path) -> None:
    data = sample(tmp_path / "data.csv", lambda *pair: pair, slice(0, 1000))
    known = read_people(data)
    trained_on = int(known.counts[~known.held_out].sum())
    outcome = train(registry, data=data, holdout=data)
    assert outcome.verdict.holdout.also_trained_on == trained_on
    moved = sample(tmp_path / "moved.csv", lambda weight, height: (weight + 0.05, height), slice(0, 1000))
    assert train(registry, data=data, holdout=moved, seed=2).verdict.holdout.also_trained_on == 0


def test_a_hold_out_file_with_faults_costs_no_training(registry: Registry) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        job.run(
            job.Settings(holdout="nowhere.csv"),
            registry,
            by="a test",
            on_epoch=lambda _epoch, _loss: pytest.fail("it was trained all the same"),
        )
    assert registry.numbers() == []


@pytest.mark.parametrize("settings", [{"thresholds": {"log_loss": 0.4}}, {"holdout": "people.csv"}])
def test_the_tutorial_has_no_gate(registry: Registry, settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="the tutorial's model has no gate"):
        train(Registry(registry.storage, "tutorial"), data="tutorial", **settings)


def test_the_gates_options_reach_the_manifest_by_the_command(registry: Registry, tmp_path: Path) -> None:
    acceptance = sample(tmp_path / "acceptance.csv", lambda *pair: pair, slice(5000, 6000))
    found = document(
        stature(
            registry,
            *("train", "--threshold", "log_loss=0.5", "--threshold", "roc_auc=0.99", "--min-absolute-change", "0.001"),
            *("--min-relative-change", "0.01", "--holdout", acceptance, "--otherwise", "challenger", "--json"),
        )
    )
    assert (found["promoted"], found["challenger"]) == (False, True)
    verdict = registry.manifest(1).verdict
    assert verdict.thresholds == {"log_loss": 0.5, "roc_auc": 0.99}
    assert (verdict.min_absolute_change, verdict.min_relative_change) == (0.001, 0.01)
    assert verdict.holdout.people == 1000
    assert verdict.model_dump(mode="json") == found["verdict"]


def test_the_manifest_holds_the_whole_evaluation_and_shows_nobody(trained: Registry) -> None:
    evaluation = trained.manifest(1).evaluation
    assert set(evaluation.intervals) == set(evaluation.metrics.model_dump())
    for metric, (lower, upper) in evaluation.intervals.items():
        assert lower <= getattr(evaluation.metrics, metric) <= upper
    assert evaluation.calibration_error_floor == pytest.approx(0.0252, abs=0.001)
    assert sum(found.people for found in evaluation.reliability) == evaluation.people
    assert {found.gender for found in evaluation.slices} == {None, "male", "female"}
    assert min(found.people for found in (*evaluation.reliability, *evaluation.slices)) >= 5


# Recalibrate


def test_a_recalibrated_version_is_published_and_promoted_with_its_parent(trained: Registry, local: str) -> None:
    outcome = recalibrated(trained, local)
    assert outcome.promoted
    manifest = trained.load(3).manifest
    assert (manifest.parent, manifest.layer_sizes) == (1, trained.manifest(1).layer_sizes)
    assert (manifest.trainer.name, manifest.data.source) == ("platt_scaling", "local.csv")
    assert manifest.recalibration.parent_digest == trained.manifest(1).digest
    assert manifest.recalibration.people == manifest.data.trained_people
    assert manifest.inputs.male.mean[1] < trained.manifest(1).inputs.male.mean[1]
    assert manifest.training_range == trained.manifest(1).training_range
    assert manifest.verdict.champion == 1
    assert trained.head().state.aliases == {"champion": 3, "previous": 1}
    assert list(problems(trained)) == []


def test_it_ranks_as_its_parent_and_is_calibrated_among_the_local_people(trained: Registry, local: str) -> None:
    before = evaluate_elsewhere(trained, 1, local).evaluation
    recalibrated(trained, local)
    after = evaluate_elsewhere(trained, 3, local).evaluation
    assert after.metrics.roc_auc == pytest.approx(before.metrics.roc_auc, abs=1e-9)
    assert after.metrics.log_loss < before.metrics.log_loss - 0.1
    assert after.metrics.calibration_error < 2 * after.calibration_error_floor
    found = trained.manifest(3).recalibration
    measurements = read_people(local).measurements
    totals = [trained.load(number).predictor.totals(measurements) for number in (1, 3)]
    assert totals[1] == pytest.approx(found.slope * totals[0] + found.intercept, abs=1e-9)


def test_where_nothing_is_to_be_gained_the_champion_stays(trained: Registry) -> None:
    outcome = recalibrated(trained, "nhanes")
    assert not outcome.promoted
    assert trained.head().champion == 1
    assert outcome.recalibration.slope == pytest.approx(1.0, abs=0.05)


def test_the_options_of_the_gate_hold_for_a_recalibration(trained: Registry, local: str) -> None:
    result = stature(
        trained,
        *("recalibrate", "1", "--data", local, "--threshold", "log_loss=0.1", "--otherwise", "challenger"),
    )
    assert result.exit_code == 0
    assert f"Published version 3 of {trained}, made from version 1." in result.stdout
    assert "is above the highest that is allowed, 0.1." in result.stdout
    assert "It is the challenger." in result.stdout
    assert trained.head().state.aliases == {"champion": 1, "challenger": 3}
    assert "made       from version 1 by platt_scaling, on " in stature(trained, "show", "3").stdout


def test_a_recalibration_is_told_in_json(trained: Registry, local: str) -> None:
    found = document(stature(trained, "recalibrate", "champion", "--data", local, "--json"))
    assert (found["model_version"], found["parent"], found["promoted"]) == (3, 1, True)
    assert found["recalibration"]["slope"] > 0.0


def test_a_recalibration_is_reproduced_to_the_bit(trained: Registry, local: str) -> None:
    recalibrated(trained, local)
    with pytest.raises(SettingsError, match=r"was trained on local\.csv: .* --data FILE"):
        reproduce(trained, 3)
    again = reproduce(trained, 3, data=local)
    assert again.is_same
    assert again.differences == {}


def test_a_recalibration_of_other_people_is_another(trained: Registry, local: str, tmp_path: Path) -> None:
    recalibrated(trained, local)
    other = sample(tmp_path / "local.csv", lambda weight, height: (weight, height), slice(1000))
    again = reproduce(trained, 3, data=other)
    assert not again.is_same
    assert again.reason == "The people are not those that it was trained on."


def test_without_its_parent_a_recalibration_cannot_be_made_again_and_says_so(trained: Registry, local: str) -> None:
    recalibrated(trained, local)
    (Path(str(trained.storage)) / "gender" / trained.manifest(1).files.weights.key).unlink()
    with pytest.raises(SettingsError, match="was recalibrated from version 1, without which it cannot be made again"):
        reproduce(trained, 3, data=local)


def test_people_whom_the_version_ranks_the_wrong_way_round_are_refused(trained: Registry, tmp_path: Path) -> None:
    swapped = [(weight, height, "male" if gender == "female" else "female") for weight, height, gender in people(300)]
    with pytest.raises(DataError, match="no better than chance"):
        recalibrated(trained, write(tmp_path / "swapped.csv", text(swapped)))
    assert trained.numbers() == [1, 2]


def test_a_version_that_is_not_there_is_not_recalibrated(trained: Registry, local: str) -> None:
    with pytest.raises(NotFoundError):
        recalibration.run(recalibration.Settings(version=9, data=local), trained, by="a test")


def test_a_recalibrated_version_answers_as_its_probes_say(trained: Registry, local: str) -> None:
    recalibrated(trained, local)
    version = trained.load(3)
    probe = version.manifest.probes[0]
    answer = version.predictor.probability_female(probe.weight_lb, probe.height_in)
    assert answer == pytest.approx(probe.probability_female, rel=1e-14)
    assert np.isfinite(version.predictor.network.parameters).all()
