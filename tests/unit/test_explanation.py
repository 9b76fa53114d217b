"""Explanations are Shapley values: they have the properties that define them, and are those that `shap` computes."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.network.network import Network
from model.predictor import Predictor
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job
from service.explanation import average, explain, explained
from service.prediction import predict_one

if TYPE_CHECKING:
    from pathlib import Path

    from model.registry.version import Version


@pytest.fixture(scope="module")
def version(_trained_once: Path) -> Version:
    return Registry(LocalStorage(_trained_once), "gender").load(1)


adults = st.tuples(st.floats(45.0, 881.0), st.floats(40.0, 98.0))


def value(version: Version, person: tuple[float, float], given: set[int]) -> float:
    """The probability with these of a person's measurements, and the average's others."""
    base = average(version.manifest.inputs)
    weight_lb, height_in = (person[axis] if axis in given else base[axis] for axis in (0, 1))
    return version.predictor.probability_female(weight_lb, height_in)


def shapley(version: Version, person: tuple[float, float]) -> list[float]:
    """By the definition: over all coalitions, weighted by how many orders reach them."""
    players, totals = 2, [0.0, 0.0]
    for player in range(players):
        others = [other for other in range(players) if other != player]
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for coalition in map(set, itertools.combinations(others, size)):
                gain = value(version, person, coalition | {player}) - value(version, person, coalition)
                totals[player] += weight * gain
    return totals


@given(person=adults)
def test_contributions_are_shapley_values_and_sum_to_the_difference(
    version: Version, person: tuple[float, float]
) -> None:
    explanation = explain(version, *person)
    contributions = explanation["contributions"]

    assert [contributions["weight"], contributions["height"]] == pytest.approx(shapley(version, person), abs=1e-15)
    start = explanation["baseline"]["probability_female"]
    assert start + sum(contributions.values()) == pytest.approx(
        version.predictor.probability_female(*person), abs=1e-15
    )


def test_the_average_person_is_explained_by_nothing(version: Version) -> None:
    explanation = explain(version, *average(version.manifest.inputs))

    assert explanation["contributions"] == {"weight": 0.0, "height": 0.0}


def test_the_average_is_that_of_all_people_trained_on(version: Version) -> None:
    people = job.people_of(job.Settings())
    trained = people.where(~people.held_out)
    expected = np.average(trained.measurements, axis=0, weights=trained.counts)
    assert average(version.manifest.inputs) == pytest.approx(tuple(expected), rel=1e-12)


def test_an_explanation_is_the_last_member_of_the_answer(version: Version) -> None:
    predicted = predict_one(b'{"weight_lb": 160, "height_in": 71}', version, 1)
    answer = json.loads(explained(predicted, version))

    assert answer == json.loads(predicted.body) | {"explanation": explain(version, 160.0, 71.0)}


def test_a_network_that_only_looks_at_height_says_that_weight_moves_nothing(version: Version) -> None:
    network = Network.from_layers([(np.array([[0.0, -0.3]]), np.array([20.0]))])
    only_height = replace(version, predictor=Predictor(network, shift=(0.0, 0.0), scale=(1.0, 1.0)))

    contributions = explain(only_height, 300.0, 60.0)["contributions"]
    assert contributions["weight"] == 0.0
    assert contributions["height"] > 0.1


_SHAP = """
import json, sys
import numpy as np, shap
asked = json.load(sys.stdin)
layers = [(np.array(weights), np.array(biases)) for weights, biases in asked["layers"]]
def female(people):
    values = (people - asked["shift"]) / asked["scale"]
    for weights, biases in layers:
        values = 1.0 / (1.0 + np.exp(-(values @ weights.T + biases)))
    return values[:, 0]
explainer = shap.explainers.Exact(female, shap.maskers.Independent(np.array([asked["average"]])))
print(json.dumps(explainer(np.array(asked["people"])).values.tolist()))
"""


@pytest.mark.slow
def test_the_package_shap_computes_the_same(version: Version, tmp_path: Path) -> None:
    # Its dependencies are several times as large as all of ours: it gets an environment of its own.
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "shap==0.49.1"]
    subprocess.run(pip, check=True, timeout=900)
    people = np.random.default_rng(1).uniform([90.0, 55.0], [400.0, 80.0], (200, 2)).tolist()
    predictor = version.predictor
    asked = {
        "layers": [(layer.weights.tolist(), layer.biases.tolist()) for layer in predictor.network.layers],
        "shift": predictor.shift,
        "scale": predictor.scale,
        "average": average(version.manifest.inputs),
        "people": people,
    }
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-W", "ignore", "-c", _SHAP],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    ours = [list(explain(version, *person)["contributions"].values()) for person in people]
    np.testing.assert_allclose(ours, json.loads(done.stdout), atol=1e-9)
