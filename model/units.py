"""Kilograms and pounds, centimetres and inches, exactly; the model's domain; and what a bad pair looks like.

Canonical units are pounds and inches. A field's name says its unit, and nothing here ever guesses one: a value outside
the domain is refused, and the refusal says what it looks like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from model.errors import MeasurementsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KILOGRAMS_PER_POUND = 0.45359237
CENTIMETRES_PER_INCH = 2.54
"""The international definitions of 1959; both are exact."""

WEIGHT_DOMAIN_KG = (20.0, 400.0)
HEIGHT_DOMAIN_CM = (100.0, 250.0)
"""The model's domain, an adult: the one place where these four numbers stand."""


@dataclass(frozen=True)
class Field:
    """A measurement in a unit, named as it is everywhere: a JSON member, a column of a file, a flag."""

    name: str
    quantity: str
    unit: str
    unit_in_words: str
    per_canonical: float
    """How many of this unit make one pound or one inch."""
    minimum: float
    maximum: float
    """The domain in this unit, both ends included."""

    @overload
    def to_canonical(self, values: float) -> float: ...
    @overload
    def to_canonical(self, values: Array) -> Array: ...
    def to_canonical(self, values: float | Array) -> float | Array:
        """Pounds or inches. Dividing by the exact definition rounds once."""
        return values if self.per_canonical == 1.0 else values / self.per_canonical

    @property
    def domain(self) -> str:
        """The domain in words, rounded inwards, so that what it names is in it."""
        lowest, highest = math.ceil(self.minimum * 100.0) / 100.0, math.floor(self.maximum * 100.0) / 100.0
        return f"{lowest:.5g} to {highest:.5g} {self.unit}"

    def contains(self, value: float) -> bool:
        """Whether the domain holds this value, given in this field's unit; false for NaN."""
        return self.minimum <= value <= self.maximum


def _fields(
    quantity: str, metric: tuple[str, str], imperial: tuple[str, str], size: float, domain: tuple[float, float]
) -> tuple[Field, Field]:
    low, high = domain
    return (
        Field(f"{quantity}_{metric[0]}", quantity, *metric, size, low, high),
        Field(f"{quantity}_{imperial[0]}", quantity, *imperial, 1.0, low / size, high / size),
    )


WEIGHT_KG, WEIGHT_LB = _fields("weight", ("kg", "kilograms"), ("lb", "pounds"), KILOGRAMS_PER_POUND, WEIGHT_DOMAIN_KG)
HEIGHT_CM, HEIGHT_IN = _fields(
    "height", ("cm", "centimetres"), ("in", "inches"), CENTIMETRES_PER_INCH, HEIGHT_DOMAIN_CM
)
PAIRS = ((WEIGHT_KG, HEIGHT_CM), (WEIGHT_LB, HEIGHT_IN))
FIELDS = {field.name: field for pair in PAIRS for field in pair}

_OTHER_UNIT = {WEIGHT_KG: WEIGHT_LB, WEIGHT_LB: WEIGHT_KG, HEIGHT_CM: HEIGHT_IN, HEIGHT_IN: HEIGHT_CM}
_USUAL_ADULT_LB, _USUAL_ADULT_IN = 165.0, 67.0


def to_canonical(weight: float, weight_field: Field, height: float, height_field: Field) -> tuple[float, float]:
    """Weight in pounds and height in inches.

    Raises MeasurementsError, which says what the pair looks like, where either lies outside the domain.
    """
    if not (weight_field.contains(weight) and height_field.contains(height)):
        raise MeasurementsError(tuple(_problems(weight, weight_field, height, height_field)))
    return weight_field.to_canonical(weight), height_field.to_canonical(height)


def body_mass_index(weight_lb: float, height_in: float) -> float:
    """Weight by the square of height, in kg/m²."""
    return weight_lb * KILOGRAMS_PER_POUND / (height_in * CENTIMETRES_PER_INCH / 100.0) ** 2


def _problems(weight: float, weight_field: Field, height: float, height_field: Field) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a pair of which at least one lies outside the domain: (field, code, detail) of each problem.

    Two mistakes explain most such pairs: the two values are swapped, or what lies outside is in the other unit. Where
    both would do, the one that leaves the more usual adult is named.
    """
    outside = [
        (value, field) for value, field in ((weight, weight_field), (height, height_field)) if not field.contains(value)
    ]
    meant = {field: _OTHER_UNIT[field] for value, field in outside if _OTHER_UNIT[field].contains(value)}
    if weight_field.contains(height) and height_field.contains(weight):
        as_weight, as_height = meant.get(weight_field, weight_field), meant.get(height_field, height_field)
        explained = as_weight.contains(weight) and as_height.contains(height)
        swapped = _oddness(height, weight_field, weight, height_field)
        if not explained or swapped <= _oddness(weight, as_weight, height, as_height):
            field = outside[-1][1]
            detail = f"{_number(weight)} {weight_field.unit} and {_number(height)} {height_field.unit} look swapped"
            yield field.name, "swapped_measurements", detail
            return
    for value, field in outside:
        known = f"the model knows adults of {field.domain}"
        given = f"{_number(value)} {field.unit}"
        if field in meant:
            words = meant[field].unit_in_words
            yield field.name, f"looks_like_{words}", f"{given} looks like {words}: {known}"
        else:
            yield field.name, f"{field.quantity}_outside_domain", f"{given} is outside the domain: {known}"


def _number(value: float) -> str:
    """The number as its sender wrote it: the shortest digits that read back the same, no rounding."""
    return repr(float(value)).removesuffix(".0")


def _oddness(weight: float, weight_field: Field, height: float, height_field: Field) -> float:
    """How far a pair is from the usual adult, in logarithms; a weight varies three times as much as a height."""
    return abs(math.log(weight_field.to_canonical(weight) / _USUAL_ADULT_LB)) + 3.0 * abs(
        math.log(height_field.to_canonical(height) / _USUAL_ADULT_IN)
    )
