"""What comes in, in pydantic: two closed pairs of measurements, alone, in a list, or as columns.

The unit is in the field's name. Nothing is converted on the way in: a text is not a number, NaN and infinity are not
measurements, and a field that is not known is an error and not ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

from model import units


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _within(field: units.Field) -> dict[str, JsonValue]:
    """The domain, for the API's description. Values are judged by model.units, which knows more to say."""
    return {"minimum": field.minimum, "maximum": field.maximum, "description": f"An adult: {field.domain}."}


WeightKg = Annotated[float, Field(json_schema_extra=_within(units.WEIGHT_KG))]
HeightCm = Annotated[float, Field(json_schema_extra=_within(units.HEIGHT_CM))]
WeightLb = Annotated[float, Field(json_schema_extra=_within(units.WEIGHT_LB))]
HeightIn = Annotated[float, Field(json_schema_extra=_within(units.HEIGHT_IN))]


class MetricMeasurements(_Closed):
    """One person, in kilograms and centimetres."""

    weight_kg: WeightKg
    height_cm: HeightCm


class ImperialMeasurements(_Closed):
    """One person, in pounds and inches."""

    weight_lb: WeightLb
    height_in: HeightIn


class MetricColumns(_Closed):
    """Many people, in kilograms and centimetres: the first of each list is the first person; both are equally long."""

    weight_kg: list[WeightKg]
    height_cm: list[HeightCm]


class ImperialColumns(_Closed):
    """Many people, in pounds and inches: the first of each list is the first person; both are equally long."""

    weight_lb: list[WeightLb]
    height_in: list[HeightIn]


def _unit_system(value: Any) -> str:  # noqa: ANN401 - anything may have been sent
    """Which pair was meant: the one whose fields are there; the metric one in doubt, so that an error can be told."""
    names = set(value if isinstance(value, dict) else ())
    return "imperial" if names & _IMPERIAL_NAMES and not names & _METRIC_NAMES else "metric"


_METRIC_NAMES, _IMPERIAL_NAMES = ({field.name for field in pair} for pair in units.PAIRS)

Measurements = Annotated[
    Annotated[MetricMeasurements, Tag("metric")] | Annotated[ImperialMeasurements, Tag("imperial")],
    Discriminator(_unit_system),
]
Columns = Annotated[
    Annotated[MetricColumns, Tag("metric")] | Annotated[ImperialColumns, Tag("imperial")],
    Discriminator(_unit_system),
]


class Batch(_Closed):
    """A list of people, each in either pair of units."""

    instances: list[Measurements]
