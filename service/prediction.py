"""Bytes in, reply out, free of any web framework: parse, validate, convert, predict, write.

Each of the three functions takes the body of a request and the version that answers it, and returns the body of the
answer. They raise `service.errors`, never anything that a caller could have caused otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from model import units
from model.errors import MeasurementsError
from model.predictor import likelier
from service.errors import FieldError, InvalidMeasurementsError, NotJsonError
from service.schemas import Batch, Columns, Measurements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.network.network import Array
    from model.registry.version import Version

    Predict = Callable[[bytes, Version, int], bytes]

T = TypeVar("T")


@dataclass(frozen=True)
class _Schema(Generic[T]):
    """What a body must be, and how to speak of it where it is not."""

    adapter: TypeAdapter[T]
    tag_position: int
    """Where pydantic names the pair of units in the path of an error."""
    expected: str
    """What belongs at the top of the body."""


_A_PAIR = "; weight_kg with height_cm, or weight_lb with height_in, are expected"
_MEASUREMENTS: _Schema[Measurements] = _Schema(TypeAdapter(Measurements), 0, _A_PAIR)
_COLUMNS: _Schema[Columns] = _Schema(TypeAdapter(Columns), 0, _A_PAIR)
_BATCH: _Schema[Batch] = _Schema(TypeAdapter(Batch), 2, "; instances, a list of people, is expected")


def predict_one(body: bytes, version: Version, maximum_people: int) -> bytes:
    """`{"weight_kg": 73, "height_cm": 182}` -> the probability for this person."""
    fields, values = _pair(_parse(_MEASUREMENTS, body, maximum_people))
    try:
        weight_lb, height_in = units.to_canonical(values[0], fields[0], values[1], fields[1])
    except MeasurementsError as error:
        raise InvalidMeasurementsError(list(_field_errors(error, "#/{}"))) from None
    return _write(version.predict(weight_lb, height_in) | version.identity)


def predict_batch(body: bytes, version: Version, maximum_people: int) -> bytes:
    """`{"instances": [{…}, …]}` -> a prediction for each, in their order; all or nothing."""
    instances = _parse(_BATCH, body, maximum_people).instances
    measurements = np.empty((len(instances), 2))
    errors: list[FieldError] = []
    for row, instance in enumerate(instances):
        fields, values = _pair(instance)
        try:
            measurements[row] = units.to_canonical(values[0], fields[0], values[1], fields[1])
        except MeasurementsError as error:
            errors.extend(_field_errors(error, f"#/instances/{row}/{{}}"))
    if errors:
        raise InvalidMeasurementsError(errors)
    probabilities, inside = _predict(version, measurements)
    predictions = [
        {"probability_female": probability, "likelier": likelier(probability), "in_training_range": in_training_range}
        for probability, in_training_range in zip(probabilities.tolist(), inside.tolist(), strict=True)
    ]
    return _write({"predictions": predictions} | version.identity)


def predict_columns(body: bytes, version: Version, maximum_people: int) -> bytes:
    """`{"weight_kg": […], "height_cm": […]}` -> a list of probabilities, in their order; all or nothing."""
    (weight_field, height_field), (weights, heights) = _pair(_parse(_COLUMNS, body, maximum_people))
    if len(weights) != len(heights):
        detail = f"{weight_field.name} has {len(weights)} values and {height_field.name} {len(heights)}; one a person"
        raise InvalidMeasurementsError([FieldError(f"#/{height_field.name}", "unequal_lengths", detail)])
    given = np.column_stack([np.array(weights, dtype=np.float64), np.array(heights, dtype=np.float64)])
    lowest = [weight_field.minimum, height_field.minimum]
    highest = [weight_field.maximum, height_field.maximum]
    errors: list[FieldError] = []
    for row in np.flatnonzero(~((given >= lowest) & (given <= highest)).all(axis=1)).tolist():
        try:
            units.to_canonical(weights[row], weight_field, heights[row], height_field)
        except MeasurementsError as error:
            errors.extend(_field_errors(error, f"#/{{}}/{row}"))
    if errors:
        raise InvalidMeasurementsError(errors)
    canonical = [weight_field.to_canonical(given[:, 0]), height_field.to_canonical(given[:, 1])]
    probabilities, inside = _predict(version, np.column_stack(canonical))
    answer = {"probability_female": probabilities.tolist(), "outside_training_range": np.flatnonzero(~inside).tolist()}
    return _write(answer | version.identity)


def _predict(version: Version, measurements: Array) -> tuple[Array, Any]:
    return version.predictor.probabilities_female(measurements), version.training_range.contains(measurements)


def _pair(measurements: BaseModel) -> tuple[list[units.Field], list[Any]]:
    """The fields of a pair, weight first, and what was given in them: a number each, or a column each."""
    given = dict(measurements)
    return [units.FIELDS[name] for name in given], list(given.values())


def _write(answer: dict[str, Any]) -> bytes:
    """JSON, with every digit of the probabilities; what is not a number would be our fault, and is no JSON."""
    return json.dumps(answer, allow_nan=False).encode()


# Parsing: bytes that are not JSON are one thing, data that is not valid is another.


def _parse(schema: _Schema[T], body: bytes, maximum_people: int) -> T:
    """What the body says. Too many people are refused before each of them is looked at."""
    document = decode_json(body)
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, list) and len(value) > maximum_people:
            detail = f"{len(value):,} people in one request; at most {maximum_people:,} are answered at once"
            raise InvalidMeasurementsError([FieldError(f"#/{_escaped(name):.200}", "too_many_people", detail)])
    try:
        return schema.adapter.validate_python(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidMeasurementsError([_field_error(dict(one), schema) for one in errors]) from None


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - whatever was sent
    """Raises NotJsonError for bytes that are not JSON in UTF-8, for a name that occurs twice, and for NaN."""
    try:
        # Every number is read as a float: an integer of a million digits is then infinite at once, and refused.
        return json.loads(body.decode("utf-8"), parse_int=float, parse_constant=_no_constant, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise NotJsonError(f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJsonError("the body is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJsonError(f"the body has {twice!r:.80} twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotJsonError(f"the body is not JSON: {name} is no number")


_IN_WORDS = {
    "missing": ("missing", "this field is missing"),
    "extra_forbidden": ("unknown_field", "this field is not known"),
    "float_type": ("not_a_number", "a number is expected"),
    "finite_number": ("not_finite", "this number is too large"),
    "list_type": ("not_a_list", "a list is expected"),
    "model_type": ("not_an_object", "an object is expected"),
    "dict_type": ("not_an_object", "an object is expected"),
    "string_unicode": ("not_unicode", "a name here is not Unicode text"),
}


def _field_error(error: dict[str, Any], schema: _Schema[Any]) -> FieldError:
    """One of pydantic's errors in our words, without what was sent."""
    path = [part for position, part in enumerate(error["loc"]) if position != schema.tag_position]
    code, detail = _IN_WORDS.get(error["type"], (error["type"], error["msg"]))
    if code in ("missing", "unknown_field"):
        detail += schema.expected if len(path) == 1 else _A_PAIR
    pointer = "".join("/" + _escaped(str(part)) for part in path)
    return FieldError(f"#{pointer:.200}", code, detail)


def _escaped(name: str) -> str:
    """A name as it stands in a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _field_errors(error: MeasurementsError, pointer: str) -> Iterator[FieldError]:
    for field, code, detail in error.problems:
        yield FieldError(pointer.format(field), code, detail)
