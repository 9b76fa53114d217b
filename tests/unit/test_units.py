"""Kilograms and pounds, centimetres and inches: exact, one domain in every unit, and refusals that explain."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import units
from model.errors import MeasurementsError, StatureError
from model.units import HEIGHT_CM, HEIGHT_IN, WEIGHT_KG, WEIGHT_LB, Field, to_canonical

FIELDS = [WEIGHT_KG, WEIGHT_LB, HEIGHT_CM, HEIGHT_IN]
METRIC = {WEIGHT_KG: Fraction("0.45359237"), HEIGHT_CM: Fraction("2.54")}
PAIRS = [(weight, height) for weight in (WEIGHT_KG, WEIGHT_LB) for height in (HEIGHT_CM, HEIGHT_IN)]

by_name = pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
metric_by_name = pytest.mark.parametrize("field", METRIC, ids=lambda field: field.name)
any_pair = pytest.mark.parametrize(("weight_field", "height_field"), PAIRS, ids=lambda field: field.name)


def inside(field: Field) -> st.SearchStrategy[float]:
    return st.floats(field.minimum, field.maximum)


def refused(weight: float, weight_field: Field, height: float, height_field: Field) -> list[tuple[str, str, str]]:
    with pytest.raises(MeasurementsError) as error:
        to_canonical(weight, weight_field, height, height_field)
    return list(error.value.problems)


# Conversions


def test_the_definitions_are_those_of_1959() -> None:
    assert Decimal(repr(units.KILOGRAMS_PER_POUND)) == Decimal("0.45359237")
    assert Decimal(repr(units.CENTIMETRES_PER_INCH)) == Decimal("2.54")


@metric_by_name
@given(data=st.data())
def test_a_conversion_divides_by_the_definition_and_rounds_once(field: Field, data: st.DataObject) -> None:
    value = data.draw(inside(field))
    correctly_rounded = float(Fraction(value) / Fraction(field.per_canonical))
    assert field.to_canonical(value) == correctly_rounded


@metric_by_name
@given(data=st.data())
def test_a_conversion_is_within_one_unit_in_the_last_place_of_the_exact_quotient(
    field: Field, data: st.DataObject
) -> None:
    value = data.draw(inside(field))
    converted = field.to_canonical(value)
    assert abs(Fraction(converted) - Fraction(value) / METRIC[field]) <= Fraction(math.ulp(converted))


@pytest.mark.parametrize(
    ("value", "field", "canonical"),
    [
        (0.45359237, WEIGHT_KG, 1.0),
        (45.359237, WEIGHT_KG, 100.0),
        (90.718474, WEIGHT_KG, 200.0),
        (2.54, HEIGHT_CM, 1.0),
        (152.4, HEIGHT_CM, 60.0),
        (182.88, HEIGHT_CM, 72.0),
    ],
)
def test_what_is_whole_in_pounds_or_inches_comes_out_whole(value: float, field: Field, canonical: float) -> None:
    assert field.to_canonical(value) == canonical


@metric_by_name
def test_the_factors_of_the_tutorial_are_these_definitions_rounded_to_six_digits(field: Field) -> None:
    tutorial = {WEIGHT_KG: "2.20462", HEIGHT_CM: "0.393701"}[field]
    assert f"{float(1 / METRIC[field]):.6g}" == tutorial


@pytest.mark.parametrize("field", [WEIGHT_LB, HEIGHT_IN], ids=lambda field: field.name)
@given(data=st.data())
def test_what_is_canonical_already_is_left_as_it_is(field: Field, data: st.DataObject) -> None:
    value = data.draw(st.floats(allow_nan=False))
    assert field.to_canonical(value) == value


@metric_by_name
@given(data=st.data())
def test_there_and_back_is_the_same_to_the_last_digits(field: Field, data: st.DataObject) -> None:
    value = data.draw(inside(field))
    assert field.to_canonical(value) * field.per_canonical == pytest.approx(value, rel=1e-15)


@metric_by_name
@given(data=st.data())
def test_a_heavier_or_taller_person_never_converts_to_less(field: Field, data: st.DataObject) -> None:
    less, more = sorted([data.draw(inside(field)), data.draw(inside(field))])
    assert field.to_canonical(less) <= field.to_canonical(more)


@by_name
@given(data=st.data())
def test_arrays_convert_as_single_values_do(field: Field, data: st.DataObject) -> None:
    values = data.draw(st.lists(inside(field), max_size=20))
    assert field.to_canonical(np.array(values)).tolist() == [field.to_canonical(value) for value in values]


def test_the_body_mass_index_is_kilograms_by_square_metres() -> None:
    weight_lb, height_in = to_canonical(81.0, WEIGHT_KG, 180.0, HEIGHT_CM)
    assert units.body_mass_index(weight_lb, height_in) == pytest.approx(25.0, rel=1e-15)


def test_each_field_is_found_by_its_name_and_each_pair_is_in_one_system() -> None:
    assert {field.name: field for field in FIELDS} == units.FIELDS
    assert [[field.name for field in pair] for pair in units.PAIRS] == [
        ["weight_kg", "height_cm"],
        ["weight_lb", "height_in"],
    ]


# The domain


def test_the_domain_is_an_adult_of_20_to_400_kg_and_100_to_250_cm() -> None:
    assert (WEIGHT_KG.minimum, WEIGHT_KG.maximum) == (20.0, 400.0)
    assert (HEIGHT_CM.minimum, HEIGHT_CM.maximum) == (100.0, 250.0)


@by_name
def test_both_ends_of_the_domain_are_inside_and_the_next_number_beyond_is_outside(field: Field) -> None:
    assert field.contains(field.minimum)
    assert field.contains(field.maximum)
    assert not field.contains(math.nextafter(field.minimum, -math.inf))
    assert not field.contains(math.nextafter(field.maximum, math.inf))


@pytest.mark.parametrize(
    ("metric", "imperial"), [(WEIGHT_KG, WEIGHT_LB), (HEIGHT_CM, HEIGHT_IN)], ids=["weight", "height"]
)
def test_an_end_of_the_domain_converted_is_the_same_end_in_the_other_unit(metric: Field, imperial: Field) -> None:
    assert metric.to_canonical(metric.minimum) == imperial.minimum
    assert metric.to_canonical(metric.maximum) == imperial.maximum


@pytest.mark.parametrize(
    ("metric", "imperial"), [(WEIGHT_KG, WEIGHT_LB), (HEIGHT_CM, HEIGHT_IN)], ids=["weight", "height"]
)
@given(data=st.data())
def test_who_is_inside_in_one_unit_is_inside_in_the_other(metric: Field, imperial: Field, data: st.DataObject) -> None:
    assert imperial.contains(metric.to_canonical(data.draw(inside(metric))))


@any_pair
def test_the_corners_of_the_domain_are_answered_in_every_pair_of_units(
    weight_field: Field, height_field: Field
) -> None:
    corners = [
        to_canonical(weight, weight_field, height, height_field)
        for weight in (weight_field.minimum, weight_field.maximum)
        for height in (height_field.minimum, height_field.maximum)
    ]
    assert corners == [
        (weight, height)
        for weight in (WEIGHT_LB.minimum, WEIGHT_LB.maximum)
        for height in (HEIGHT_IN.minimum, HEIGHT_IN.maximum)
    ]


@any_pair
@pytest.mark.parametrize("quantity", ["weight", "height"])
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_just_beyond_an_end_is_refused_in_every_pair_of_units(
    weight_field: Field, height_field: Field, quantity: str, end: str
) -> None:
    usual = {"weight_kg": 75.0, "weight_lb": 165.0, "height_cm": 170.0, "height_in": 67.0}
    field = weight_field if quantity == "weight" else height_field
    beyond = math.nextafter(getattr(field, end), -math.inf if end == "minimum" else math.inf)
    given_values = usual | {field.name: beyond}

    problems = refused(given_values[weight_field.name], weight_field, given_values[height_field.name], height_field)

    assert [name for name, _, _ in problems] == [field.name]


# What a bad pair looks like


@pytest.mark.parametrize(
    ("pair", "name", "code"),
    [
        ((182.0, WEIGHT_KG, 73.0, HEIGHT_CM), "height_cm", "swapped_measurements"),
        ((65.0, WEIGHT_LB, 133.0, HEIGHT_IN), "height_in", "swapped_measurements"),
        ((73.0, WEIGHT_KG, 72.0, HEIGHT_CM), "height_cm", "looks_like_inches"),
        ((160.0, WEIGHT_LB, 182.0, HEIGHT_IN), "height_in", "looks_like_centimetres"),
        ((450.0, WEIGHT_KG, 182.0, HEIGHT_CM), "weight_kg", "looks_like_pounds"),
        ((40.0, WEIGHT_LB, 60.0, HEIGHT_IN), "weight_lb", "looks_like_kilograms"),
        ((5.0, WEIGHT_KG, 182.0, HEIGHT_CM), "weight_kg", "weight_outside_domain"),
        ((73.0, WEIGHT_KG, 1820.0, HEIGHT_CM), "height_cm", "height_outside_domain"),
        ((73.0, WEIGHT_KG, 1.82, HEIGHT_CM), "height_cm", "height_outside_domain"),
    ],
)
def test_a_bad_pair_is_named_for_what_it_looks_like(
    pair: tuple[float, Field, float, Field], name: str, code: str
) -> None:
    assert [problem[:2] for problem in refused(*pair)] == [(name, code)]


def test_a_swapped_pair_is_told_both_its_numbers_with_their_units() -> None:
    assert refused(182.0, WEIGHT_KG, 73.0, HEIGHT_CM) == [
        ("height_cm", "swapped_measurements", "182 kg and 73 cm look swapped")
    ]


def test_a_number_outside_the_domain_is_told_the_domain_in_its_own_unit() -> None:
    ((_, _, detail),) = refused(160.0, WEIGHT_LB, 182.0, HEIGHT_IN)
    assert detail == "182 in looks like centimetres: the model knows adults of 39.38 to 98.42 in"


def test_a_refused_number_is_repeated_as_it_was_sent_and_not_rounded() -> None:
    ((_, _, detail),) = refused(73.0, WEIGHT_KG, math.nextafter(250.0, math.inf), HEIGHT_CM)
    assert detail.startswith("250.00000000000003 cm ")


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, 0.0, -0.0, -70.0, 5e-324, 1.8e308 * 0.99])
@any_pair
def test_what_is_no_measurement_is_refused_in_both_fields_at_once(
    weight_field: Field, height_field: Field, nonsense: float
) -> None:
    problems = refused(nonsense, weight_field, nonsense, height_field)
    assert [problem[:2] for problem in problems] == [
        (weight_field.name, "weight_outside_domain"),
        (height_field.name, "height_outside_domain"),
    ]


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, 0.0, -170.0])
def test_one_value_that_is_no_measurement_leaves_the_other_in_peace(nonsense: float) -> None:
    assert [problem[:2] for problem in refused(73.0, WEIGHT_KG, nonsense, HEIGHT_CM)] == [
        ("height_cm", "height_outside_domain")
    ]
    assert [problem[:2] for problem in refused(nonsense, WEIGHT_KG, 182.0, HEIGHT_CM)] == [
        ("weight_kg", "weight_outside_domain")
    ]


def test_a_refusal_is_one_of_our_errors_and_a_value_error_and_reads_as_its_details() -> None:
    with pytest.raises(StatureError, match=r"^5 kg is outside the domain: .*; 5 cm is outside the domain: ") as error:
        to_canonical(5.0, WEIGHT_KG, 5.0, HEIGHT_CM)
    assert isinstance(error.value, ValueError)


@any_pair
@given(
    weight=st.one_of(st.floats(), st.floats(-10, 1000)),
    height=st.one_of(st.floats(), st.floats(-10, 1000)),
)
def test_any_two_numbers_are_either_converted_into_the_domain_or_refused_by_name(
    weight_field: Field, height_field: Field, weight: float, height: float
) -> None:
    if weight_field.contains(weight) and height_field.contains(height):
        weight_lb, height_in = to_canonical(weight, weight_field, height, height_field)
        assert WEIGHT_LB.contains(weight_lb)
        assert HEIGHT_IN.contains(height_in)
    else:
        problems = refused(weight, weight_field, height, height_field)
        assert problems
        assert {name for name, _, _ in problems} <= {weight_field.name, height_field.name}
        assert all(code and detail for _, code, detail in problems)


@given(weight=inside(WEIGHT_KG), height=inside(HEIGHT_CM))
def test_an_adult_is_the_same_adult_in_either_pair_of_units(weight: float, height: float) -> None:
    weight_lb, height_in = to_canonical(weight, WEIGHT_KG, height, HEIGHT_CM)
    assert to_canonical(weight_lb, WEIGHT_LB, height_in, HEIGHT_IN) == (weight_lb, height_in)
