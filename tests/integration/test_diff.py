"""Two versions side by side: what is not the same, and how far and where they predict otherwise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.stats import multivariate_normal

from model import units
from model.cli.group import main
from model.network.network import Network
from model.predictor import Predictor
from model.registry.difference import differing, differing_manifests, gap
from model.registry.manifest import Draft
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job


def stature(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, [*arguments, "--registry", str(registry.storage), "--model", registry.model], catch_exceptions=False
    )


def constant(probability: float) -> Predictor:
    """Says the same of everyone."""
    bias = math.log(probability / (1.0 - probability))
    return Predictor(Network((2, 1), np.array([0.0, 0.0, bias])), (150.0, 66.0), (30.0, 4.0))


def by_height(limit_in: float) -> Predictor:
    """Female below a height, male from it on, without doubt."""
    return Predictor(Network((2, 1), np.array([0.0, -1e6, 0.0])), (150.0, limit_in), (30.0, 1.0))


# Manifests


def test_what_two_versions_say_differently_is_named_with_both_values(trained: Registry) -> None:
    first, second = trained.manifest(1), trained.manifest(2)
    differences = differing_manifests(first, second)
    assert differences["trainer.seed"] == (1, 2)
    assert differences["evaluation.metrics.log_loss"] == (
        first.evaluation.metrics.log_loss,
        second.evaluation.metrics.log_loss,
    )
    assert not any(name.startswith(("data.", "software.", "shift", "layer_sizes")) for name in differences)


def test_two_documents_differ_in_what_only_one_of_them_has() -> None:
    first, second = {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "e": 3}, "d": [1]}
    assert differing(first, second) == {"a.c": (2, None), "a.e": (None, 3)}


# Predictions


def test_a_version_is_no_distance_from_itself(trained: Registry) -> None:
    version = trained.load(1)
    apart = gap(version.predictor, version.predictor, version.manifest)
    assert (apart.mean, apart.largest, apart.share_changed) == (0.0, 0.0, 0.0)


def test_two_that_never_look_at_anyone_are_as_far_apart_as_their_answers(trained: Registry) -> None:
    apart = gap(constant(0.25), constant(0.75), trained.manifest(1))
    assert apart.mean == pytest.approx(0.5)
    assert apart.largest == pytest.approx(0.5)
    assert apart.probabilities_female == pytest.approx((0.25, 0.75))
    assert apart.share_changed == pytest.approx(1.0)


def test_the_share_of_people_is_that_of_the_normal_distributions_of_both_genders(trained: Registry) -> None:
    """Between 64 and 68 inches the two do not agree; so many people are there, by an independent integral."""
    manifest = trained.manifest(1)
    expected = 0.0
    for who in (manifest.inputs.male, manifest.inputs.female):
        height = multivariate_normal(who.mean[1], who.covariance[1][1])
        expected += (height.cdf(68.0) - height.cdf(64.0)) * who.people / manifest.data.trained_people

    apart = gap(by_height(64.0), by_height(68.0), manifest)

    assert apart.share_changed == pytest.approx(expected, abs=0.01)
    assert apart.mean == pytest.approx(apart.share_changed, abs=1e-3)
    assert 64.0 <= apart.height_in <= 68.0


def test_the_largest_difference_is_what_the_two_say_at_its_place_which_people_reach(trained: Registry) -> None:
    first, second = trained.load(1), trained.load(2)
    apart = gap(first.predictor, second.predictor, first.manifest)
    there = apart.weight_lb, apart.height_in
    said = first.predictor.probability_female(*there), second.predictor.probability_female(*there)
    assert apart.probabilities_female == pytest.approx(said, abs=1e-14)
    assert apart.largest == pytest.approx(abs(said[0] - said[1]), abs=1e-14)
    assert first.training_range.distances(np.array([there]))[0] <= first.training_range.radius + 1e-9
    assert units.WEIGHT_LB.contains(there[0])
    assert units.HEIGHT_IN.contains(there[1])
    assert apart.mean <= apart.largest


def test_no_difference_among_a_thousand_people_in_range_is_much_larger_than_the_largest(trained: Registry) -> None:
    first, second = trained.load(1), trained.load(2)
    apart = gap(first.predictor, second.predictor, first.manifest)
    generator = np.random.default_rng(1)
    people = np.concatenate(
        [
            generator.multivariate_normal(who.mean, who.covariance, 500)
            for who in (first.manifest.inputs.male, first.manifest.inputs.female)
        ]
    )
    people = people[first.training_range.contains(people)]
    distances = np.abs(first.predictor.probabilities_female(people) - second.predictor.probabilities_female(people))
    assert distances.max() <= apart.largest + 0.01
    assert distances.mean() == pytest.approx(apart.mean, rel=0.2)


# The command


def test_diff_says_settings_metrics_and_predictions(trained: Registry) -> None:
    job.run(job.Settings(hidden=(3,), seed=5, promote="never"), trained, by="a test")
    result = stature(trained, "diff", "champion", "3")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["version", "1", "version", "3"]
    assert ["layer_sizes", "2-2-1", "2-3-1"] in lines
    assert ["trainer.seed", "1", "5"] in lines
    assert any(line[:1] == ["evaluation.metrics.log_loss"] for line in lines)
    assert "over people like those that version 1 was trained on" in result.stdout
    assert "another one for" in result.stdout


def test_diff_says_the_same_in_json(trained: Registry) -> None:
    first, second = trained.load(1), trained.load(2)
    apart = gap(first.predictor, second.predictor, first.manifest)
    document = json.loads(stature(trained, "diff", "1", "2", "--json").stdout)
    assert document == {
        "model": "gender",
        "versions": [1, 2],
        "digests": [first.manifest.digest, second.manifest.digest],
        "differences": {
            name: list(pair) for name, pair in differing_manifests(first.manifest, second.manifest).items()
        },
        "predictions": {
            "mean_difference": apart.mean,
            "largest_difference": apart.largest,
            "largest_at": {"weight_lb": apart.weight_lb, "height_in": apart.height_in},
            "probabilities_female_there": list(apart.probabilities_female),
            "share_of_people_whose_likelier_gender_changes": apart.share_changed,
        },
    }


def test_a_version_and_itself_are_the_same_network(trained: Registry) -> None:
    said = stature(trained, "diff", "2", "2").stdout
    assert said == "Settings, data, software and metrics are the same.\n\nThe same network, bit for bit.\n"


def test_two_numbers_that_are_nearly_the_same_are_shown_in_full(trained: Registry) -> None:
    version = trained.load(1)
    nearly = version.manifest.trainer.final_loss + 1e-13
    said = {name: getattr(version.manifest, name) for name in Draft.model_fields}
    said["trainer"] = version.manifest.trainer.model_copy(update={"final_loss": nearly})
    trained.publish(Draft(**said), version.predictor, by="a test")
    shown = stature(trained, "diff", "1", "3").stdout
    assert repr(nearly) in shown
    assert repr(version.manifest.trainer.final_loss) in shown


def test_four_people_are_people_enough(registry: Registry) -> None:
    tutorial = Registry(LocalStorage(registry.storage.root), "tutorial")
    for seed in (1, 2):
        job.run(job.Settings(data="tutorial", seed=seed), tutorial, by="a test")
    document = json.loads(stature(tutorial, "diff", "1", "2", "--json").stdout)
    assert 0.0 < document["predictions"]["mean_difference"] < document["predictions"]["largest_difference"] < 0.1


def test_a_version_that_is_not_there_is_said(trained: Registry) -> None:
    result = stature(trained, "diff", "1", "9")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: model gender has no version 9; the newest is 2\n")
