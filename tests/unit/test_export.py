"""A version elsewhere: what JSON and Python say is what is served, and what SQL cannot say is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from exported import heights_cm, heights_in, predictors, version_of, weights_kg, weights_lb
from hypothesis import given
from hypothesis import strategies as st

from model import export, units
from model.errors import SettingsError
from model.network.network import Network
from model.predictor import Predictor
from model.registry.registry import Registry
from model.registry.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model.registry.version import Version

METRIC, IMPERIAL = export.PAIRS["metric"], export.PAIRS["imperial"]


@pytest.fixture(scope="module")
def version(_trained_once: Path) -> Version:
    return Registry(LocalStorage(_trained_once), "gender").load(1)


def function_of(source: str) -> Callable[[float, float], float]:
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, "exported.py", "exec"), names)
    return names["probability_female"]


def from_json(document: dict[str, Any], weight_lb: float, height_in: float) -> float:
    """What a reader computes who has nothing but the document."""
    activations = [
        (value - shift) / scale
        for value, shift, scale in zip((weight_lb, height_in), document["shift"], document["scale"], strict=True)
    ]
    for layer in document["layers"]:
        totals = [
            sum(weight * activation for weight, activation in zip(weights, activations, strict=True)) + bias
            for weights, bias in zip(layer["weights"], layer["biases"], strict=True)
        ]
        activations = [math.exp(-max(-total, 0.0)) / (1.0 + math.exp(-abs(total))) for total in totals]
    return activations[0]


# JSON


def test_json_says_which_version_it_is_and_what_its_numbers_mean(version: Version) -> None:
    document = json.loads(export.as_json(version))
    assert (document["model"], document["model_version"]) == ("gender", 1)
    assert document["digest"] == version.predictor.digest
    assert document["units"] == {"weight": "lb", "height": "in"}
    assert document["labels"] == {"male": 0, "female": 1}
    assert document["domain"]["weight_kg"] == [20.0, 400.0]
    assert document["domain"]["height_in"] == [units.HEIGHT_IN.minimum, units.HEIGHT_IN.maximum]
    assert document["layer_sizes"] == [2, 2, 1]


@given(predictor=predictors())
def test_json_holds_every_number_to_the_bit(version: Version, predictor: Predictor) -> None:
    document = json.loads(export.as_json(version_of(predictor, version)))
    layers = [(np.array(layer["weights"]), np.array(layer["biases"])) for layer in document["layers"]]
    read = Predictor(Network.from_layers(layers), tuple(document["shift"]), tuple(document["scale"]))
    assert read.digest == document["digest"] == predictor.digest


@given(predictor=predictors(), weight=weights_lb, height=heights_in)
def test_who_has_the_json_alone_computes_what_is_served(
    version: Version, predictor: Predictor, weight: float, height: float
) -> None:
    document = json.loads(export.as_json(version_of(predictor, version)))
    assert abs(from_json(document, weight, height) - predictor.probability_female(weight, height)) <= 1e-12


# Python


@given(predictor=predictors(), weight=weights_kg, height=heights_cm)
def test_the_python_function_says_what_is_served_in_kilograms_and_centimetres(
    version: Version, predictor: Predictor, weight: float, height: float
) -> None:
    probability_female = function_of(export.as_python(version_of(predictor, version), METRIC))
    served = predictor.probability_female(*units.to_canonical(weight, METRIC[0], height, METRIC[1]))
    assert probability_female(weight_kg=weight, height_cm=height) == pytest.approx(served, rel=0.0, abs=1e-12)


@given(predictor=predictors(), weight=weights_lb, height=heights_in)
def test_the_python_function_says_what_is_served_in_pounds_and_inches(
    version: Version, predictor: Predictor, weight: float, height: float
) -> None:
    probability_female = function_of(export.as_python(version_of(predictor, version), IMPERIAL))
    served = predictor.probability_female(weight, height)
    assert probability_female(weight_lb=weight, height_in=height) == pytest.approx(served, rel=0.0, abs=1e-12)


@pytest.mark.parametrize("pair", [METRIC, IMPERIAL], ids=["metric", "imperial"])
def test_the_python_function_refuses_just_what_lies_outside_the_domain(version: Version, pair: export.Pair) -> None:
    probability_female = function_of(export.as_python(version, pair))
    weight, height = pair
    for inside in ((weight.minimum, height.minimum), (weight.maximum, height.maximum)):
        assert 0.0 <= probability_female(*inside) <= 1.0
    middle = (weight.minimum + weight.maximum) / 2, (height.minimum + height.maximum) / 2
    for outside in (
        (math.nextafter(weight.minimum, 0.0), middle[1]),
        (math.nextafter(weight.maximum, math.inf), middle[1]),
        (middle[0], math.nextafter(height.minimum, 0.0)),
        (middle[0], math.nextafter(height.maximum, math.inf)),
        (math.nan, middle[1]),
        (middle[0], math.inf),
        (-math.inf, -0.0),
        (10**400, 170),
    ):
        with pytest.raises(ValueError, match=f"{weight.name} and {height.name} must be those of an adult"):
            probability_female(*outside)


def test_the_python_file_needs_nothing_but_python(version: Version, tmp_path: Path) -> None:
    path = tmp_path / "exported.py"
    path.write_text(export.as_python(version, METRIC), encoding="utf-8")
    people = [(weight, height) for weight in (20, 55.5, 73, 120.25, 400) for height in (100, 160.5, 182, 250)]
    code = (
        f"import runpy\nfunction = runpy.run_path({str(path)!r})['probability_female']\n"
        f"print([function(*person) for person in {people!r}])"
    )

    alone = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    served = [version.predictor.probability_female(weight / 0.45359237, height / 2.54) for weight, height in people]
    assert json.loads(alone.stdout) == pytest.approx(served, rel=0.0, abs=1e-12)


# SQL


def test_sql_is_one_expression_with_its_origin_as_a_comment(version: Version) -> None:
    sql = export.as_sql(version, METRIC)
    comment, _, expression = sql.partition("*/\n")
    assert "version 1 of the model gender" in comment
    assert version.predictor.digest in comment
    assert expression.startswith("CASE WHEN CAST(weight_kg AS DOUBLE PRECISION)")
    assert expression.endswith("END\n")
    assert not set("%?:;$@") & set(expression), "no client may take a part of it for a parameter"


@pytest.mark.parametrize("hidden", [(256, 4), (32, 32), (256,) * 7])
def test_a_network_too_large_for_one_expression_is_refused_at_once(version: Version, hidden: tuple[int, ...]) -> None:
    predictor = Predictor(zero_network((2, *hidden, 1)), (150.0, 66.0), (40.0, 4.0))
    with pytest.raises(SettingsError, match=r"too large for one SQL expression.*Export it as json or python"):
        export.as_sql(version_of(predictor, version), METRIC)


def test_the_largest_networks_stay_within_half_a_megabyte(version: Version) -> None:
    for hidden in ((256,), (31, 31), (9, 9, 9), (256, 3)):
        network = zero_network((2, *hidden, 1))
        network.parameters += -1.2345678901234567e-100
        predictor = Predictor(network, (178.9494673775033, 65.89004558293763), (47.73771371882829, 3.992484766145905))
        assert len(export.as_sql(version_of(predictor, version), METRIC)) < 500_000


@pytest.mark.parametrize(
    ("what", "parameter", "shift", "scale"),
    [
        ("weight or bias", 1.1e100, 0.0, 1.0),
        ("shift", 1.0, -1.1e50, 1.0),
        ("scale", 1.0, 0.0, 1.1e50),
        ("scale", 1.0, 0.0, 5e-324),
    ],
)
def test_numbers_with_which_a_database_could_overflow_are_refused(
    version: Version, what: str, parameter: float, shift: float, scale: float
) -> None:
    predictor = Predictor(Network((2, 1), np.array([1.0, -parameter, 0.0])), (shift, 66.0), (30.0, scale))
    with pytest.raises(SettingsError, match=f"a {what} of this network is so extreme"):
        export.as_sql(version_of(predictor, version), METRIC)


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_sql_reads_back_the_same(number: float) -> None:
    written = export._sql_number(number)
    assert float(written) == number
    assert "e" in written


def zero_network(sizes: tuple[int, ...]) -> Network:
    return Network(sizes, np.zeros(Network.count_parameters(sizes)))
