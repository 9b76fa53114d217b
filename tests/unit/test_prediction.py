"""Bytes in, reply out: what is refused and how, and that every reply is what the network says."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import units
from model.network.network import Network
from model.predictor import Predictor
from service.errors import InvalidMeasurementsError, NotJsonError, ServiceError
from service.prediction import predict_batch, predict_columns, predict_one

if TYPE_CHECKING:
    from model.registry.version import Version

MOST = 1000
STEVE = {"weight_kg": 73, "height_cm": 182}
ALICE = {"weight_kg": 58.5, "height_cm": 160}


@pytest.fixture(scope="module")
def version(_trained_once) -> Version:
    from model.registry.registry import Registry
    from model.registry.storage import LocalStorage

    return Registry(LocalStorage(_trained_once), "gender").load(1)


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def one(document: object, version: Version) -> dict:
    return json.loads(predict_one(body(document), version, MOST).body)


def refused(content: object, version: Version, predict=predict_one) -> list[tuple[str, str]]:
    with pytest.raises(InvalidMeasurementsError) as error:
        predict(content if isinstance(content, bytes) else body(content), version, MOST)
    return [(error.pointer, error.code) for error in error.value.errors]


def test_one_person_is_answered_with_the_probability_and_its_version(version: Version) -> None:
    assert one({"weight_kg": 73, "height_cm": 182}, version) == {
        "probability_female": version.predictor.probability_female(73 / 0.45359237, 182 / 2.54),
        "likelier": "male",
        "in_training_range": True,
        "model": "gender",
        "model_version": 1,
    }


def test_the_same_person_in_either_units_gets_the_same_answer(version: Version) -> None:
    metric = one({"weight_kg": 0.45359237 * 128, "height_cm": 2.54 * 63}, version)
    imperial = one({"weight_lb": 128, "height_in": 63}, version)
    assert metric.pop("probability_female") == pytest.approx(imperial.pop("probability_female"), rel=1e-12)
    assert metric == imperial


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"weight_kg": 182, "height_cm": 73}, [("#/height_cm", "swapped_measurements")]),
        ({"weight_kg": 80, "height_cm": 72}, [("#/height_cm", "looks_like_inches")]),
        ({"weight_lb": 160, "height_in": 182}, [("#/height_in", "looks_like_centimetres")]),
        ({"weight_kg": 450, "height_cm": 180}, [("#/weight_kg", "looks_like_pounds")]),
        ({"weight_kg": 5, "height_cm": 170}, [("#/weight_kg", "weight_outside_domain")]),
        (
            {"weight_kg": -1, "height_cm": 1},
            [("#/weight_kg", "weight_outside_domain"), ("#/height_cm", "height_outside_domain")],
        ),
        ({"weight_kg": "73", "height_cm": True}, [("#/weight_kg", "not_a_number"), ("#/height_cm", "not_a_number")]),
        ({"weight_kg": None, "height_cm": [1]}, [("#/weight_kg", "not_a_number"), ("#/height_cm", "not_a_number")]),
        ({"weight_kg": 73}, [("#/height_cm", "missing")]),
        ({"height_in": 70}, [("#/weight_lb", "missing")]),
        ({}, [("#/weight_kg", "missing"), ("#/height_cm", "missing")]),
        ({"weight_kg": 73, "height_in": 70}, [("#/height_cm", "missing"), ("#/height_in", "unknown_field")]),
        ({"weight_kg": 73, "height_cm": 182, "a/b~c": 1}, [("#/a~1b~0c", "unknown_field")]),
        ({"weight_kg": 73, "height_cm": 182, "metric": 1}, [("#/metric", "unknown_field")]),
        ({str(number): 1 for number in range(101)}, [("#", "unknown_field")]),
        ([], [("#", "not_an_object")]),
        (3, [("#", "not_an_object")]),
        ("weight_kg", [("#", "not_an_object")]),
        (None, [("#", "not_an_object")]),
        (b'{"weight_kg": 1e999, "height_cm": 182}', [("#/weight_kg", "not_finite")]),
        (b'{"weight_kg": ' + b"1" * 1_000_000 + b', "height_cm": 182}', [("#/weight_kg", "not_finite")]),
        (b'{"weight_kg": 73, "height_cm": 182, "\\ud800": 1}', [("#", "not_unicode")]),
    ],
)  # fmt: skip
def test_a_person_that_is_not_valid_is_refused_by_field_and_kind(
    content: object, expected: list[tuple[str, str]], version: Version
) -> None:
    assert refused(content, version) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"nonsense",
        b'{"weight_kg": 73, "height_cm": 182}}',
        b'{"weight_kg": 73, "height_cm": 182,}',
        b'{"weight_kg": NaN, "height_cm": 182}',
        b'{"weight_kg": -Infinity, "height_cm": 182}',
        b'{"weight_kg": 73, "weight_kg": 74, "height_cm": 182}',
        b'{"weight_kg": 073, "height_cm": 182}',
        b'{"weight_kg": .5, "height_cm": 182}',
        b'\xef\xbb\xbf{"weight_kg": 73, "height_cm": 182}',
        '{"weight_kg": 73, "height_cm": 182}'.encode("utf-16"),
        b"\xff\xfe",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
    ],
)
@pytest.mark.parametrize("predict", [predict_one, predict_batch, predict_columns])
def test_bytes_that_are_not_json_are_not_taken_for_bad_data(content: bytes, predict, version: Version) -> None:
    with pytest.raises(NotJsonError):
        predict(content, version, MOST)


def test_a_batch_is_answered_in_its_order_and_may_mix_units(version: Version) -> None:
    people = [{"weight_kg": 73, "height_cm": 182}, {"weight_lb": 128, "height_in": 63}] * 3
    answer = json.loads(predict_batch(body({"instances": people}), version, MOST).body)
    singles = [one(person, version) for person in people]
    identity = {"model": "gender", "model_version": 1}
    assert {name: answer[name] for name in identity} == identity
    for together, alone in zip(answer["predictions"], singles, strict=True):
        assert together | identity | {"probability_female": 0} == alone | {"probability_female": 0}
        assert together["probability_female"] == pytest.approx(alone["probability_female"], abs=1e-14)


def test_columns_are_answered_in_their_order(version: Version) -> None:
    weights, heights = [73.0, 58.1, 250.0], [182.0, 160.0, 130.0]
    answer = json.loads(predict_columns(body({"weight_kg": weights, "height_cm": heights}), version, MOST).body)
    singles = [
        one({"weight_kg": weight, "height_cm": height}, version)
        for weight, height in zip(weights, heights, strict=True)
    ]
    assert answer["probability_female"] == pytest.approx([each["probability_female"] for each in singles], abs=1e-14)
    assert answer["outside_training_range"] == [
        row for row, each in enumerate(singles) if not each["in_training_range"]
    ]


def test_nobody_is_answered_with_nothing(version: Version) -> None:
    assert json.loads(predict_batch(b'{"instances": []}', version, MOST).body)["predictions"] == []
    columns = json.loads(predict_columns(b'{"weight_lb": [], "height_in": []}', version, MOST).body)
    assert columns["probability_female"] == columns["outside_training_range"] == []


def test_a_batch_is_all_or_nothing_and_names_every_offender(version: Version) -> None:
    instances = [
        {"weight_kg": 73, "height_cm": 182},
        {"weight_kg": 182, "height_cm": 73},
        {"weight_lb": 1, "height_in": 63},
    ]
    assert refused({"instances": instances}, version, predict_batch) == [
        ("#/instances/1/height_cm", "swapped_measurements"),
        ("#/instances/2/weight_lb", "weight_outside_domain"),
    ]
    assert refused({"instances": [3, {"weight_kg": 73}], "more": 1}, version, predict_batch) == [
        ("#/instances/0", "not_an_object"),
        ("#/instances/1/height_cm", "missing"),
        ("#/more", "unknown_field"),
    ]
    many = {str(number): 1 for number in range(101)}
    assert refused({"instances": [3, many]}, version, predict_batch) == [("#/instances/1", "unknown_field")]
    assert refused({}, version, predict_batch) == [("#/instances", "missing")]
    assert refused({"instances": {}}, version, predict_batch) == [("#/instances", "not_a_list")]


def test_columns_are_all_or_nothing_and_name_every_offender(version: Version) -> None:
    assert refused({"weight_kg": [73, 182, 5], "height_cm": [182, 73, 170]}, version, predict_columns) == [
        ("#/height_cm/1", "swapped_measurements"),
        ("#/weight_kg/2", "weight_outside_domain"),
    ]
    assert refused({"weight_kg": [73, "x"], "height_cm": [182, None]}, version, predict_columns) == [
        ("#/weight_kg/1", "not_a_number"),
        ("#/height_cm/1", "not_a_number"),
    ]
    assert refused({"weight_kg": [73], "height_cm": []}, version, predict_columns) == [
        ("#/height_cm", "unequal_lengths")
    ]


def test_a_long_list_is_judged_as_a_short_one_is(version: Version) -> None:
    """Beyond a thousand people lists are validated piece by piece, which must not show."""
    good, bad = {"weight_kg": 73, "height_cm": 182}, {"weight_kg": "x", "height_cm": 182}
    instances = {"instances": [good] * 1500 + [bad] + [good] * 1000 + [3], "more": []}
    columns = {"weight_kg": [73] * 2500 + ["x"], "height_cm": [182] * 1200 + [None] + [182] * 1300, "more": [1] * 9}
    with pytest.raises(InvalidMeasurementsError) as error:
        predict_batch(body(instances), version, 3000)
    assert {(found.pointer, found.code) for found in error.value.errors} == {
        ("#/instances/1500/weight_kg", "not_a_number"),
        ("#/instances/2501", "not_an_object"),
        ("#/more", "unknown_field"),
    }
    assert len(error.value.errors) == 3
    with pytest.raises(InvalidMeasurementsError) as error:
        predict_columns(body(columns), version, 3000)
    assert sorted((found.pointer, found.code) for found in error.value.errors) == [
        ("#/height_cm/1200", "not_a_number"),
        ("#/more", "unknown_field"),
        ("#/weight_kg/2500", "not_a_number"),
    ]
    mixed = {"instances": [good, {"weight_lb": 160, "height_in": 70}] * 1100}
    assert len(json.loads(predict_batch(body(mixed), version, 3000).body)["predictions"]) == 2200


def test_of_a_hundred_thousand_names_the_one_that_occurs_twice_is_found_at_once(version: Version) -> None:
    members = [f'"{number}": 1' for number in range(100_000)]
    with pytest.raises(NotJsonError, match="'99999' twice"):
        predict_one(("{" + ", ".join([*members, members[-1]]) + "}").encode(), version, MOST)


def test_more_people_than_allowed_are_refused_as_such(version: Version) -> None:
    too_many = MOST + 1
    instances = {"instances": [{"weight_kg": 73, "height_cm": 182}] * too_many}
    columns = {"weight_kg": [73] * too_many, "height_cm": [182] * too_many}
    assert refused(instances, version, predict_batch) == [("#/instances", "too_many_people")]
    assert refused(columns, version, predict_columns) == [("#/weight_kg", "too_many_people")]


def test_a_prediction_says_what_it_is_made_of(version: Version) -> None:
    alone = predict_one(body(STEVE), version, MOST)
    assert alone[1:] == (73 / 0.45359237, 182 / 2.54, json.loads(alone.body)["probability_female"], True)
    for predict, document in (
        (predict_batch, {"instances": [STEVE, ALICE]}),
        (predict_columns, {"weight_kg": [73, 58.5], "height_cm": [182, 160]}),
    ):
        many = predict(body(document), version, MOST)
        assert many.weights_lb.tolist() == [73 / 0.45359237, 58.5 / 0.45359237]
        assert many.heights_in.tolist() == [182 / 2.54, 160 / 2.54]
        assert many.probabilities == pytest.approx(
            [one(person, version)["probability_female"] for person in (STEVE, ALICE)]
        )


def test_what_is_no_probability_is_our_fault_and_leaves_in_no_answer(version: Version) -> None:
    layer = version.predictor.network.layers[-1]
    broken = dataclasses.replace(
        version,
        predictor=Predictor(
            Network.from_layers([(np.array([[math.inf, -math.inf]]), layer.biases)]), (0, 0), (1e-9, 1e-9)
        ),
    )
    for predict, document in (
        (predict_one, STEVE),
        (predict_batch, {"instances": [STEVE]}),
        (predict_columns, {"weight_kg": [73], "height_cm": [182]}),
    ):
        with np.errstate(all="ignore"), pytest.raises(ArithmeticError):
            predict(body(document), broken, MOST)


numbers = st.floats() | st.integers(-(10**400), 10**400)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*units.FIELDS, "instances"]) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=anything)
def test_anything_is_answered_or_refused_and_never_our_own_fault(document: object, version: Version) -> None:
    content = json.dumps(document).encode()
    for predict in (predict_one, predict_batch, predict_columns):
        try:
            answer = json.loads(predict(content, version, MOST).body, parse_constant=pytest.fail)
        except (InvalidMeasurementsError, NotJsonError):
            continue
        assert answer["model_version"] == 1


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_any_bytes_are_answered_or_refused_and_never_our_own_fault(content: bytes, version: Version) -> None:
    for predict in (predict_one, predict_batch, predict_columns):
        with pytest.raises(ServiceError) as error:
            predict(content, version, MOST)
        assert error.value.status in (400, 422)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weight_kg=st.floats(20, 400), height_cm=st.floats(100, 250))
def test_every_adult_in_the_domain_is_answered_with_the_network_computed_by_hand(
    weight_kg: float, height_cm: float, version: Version
) -> None:
    answer = one({"weight_kg": weight_kg, "height_cm": height_cm}, version)
    activations = (np.array([weight_kg / 0.45359237, height_cm / 2.54]) - version.manifest.shift) / np.array(
        version.manifest.scale
    )
    for weights, biases in version.predictor.network.layers:
        activations = np.array([1 / (1 + math.exp(-total)) for total in weights @ activations + biases])
    assert answer["probability_female"] == pytest.approx(activations.item(), abs=1e-14)
    assert answer["likelier"] == ("female" if answer["probability_female"] >= 0.5 else "male")
