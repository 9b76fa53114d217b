"""What a body says, read strictly: every byte is accounted for, and whatever is wrong is named.

Each of the three functions takes the body of a request and gives measurements in pounds and inches. They raise
`service.errors`, never anything that a caller could have caused otherwise. They alone decide what is an error;
`service.plain_reading` is the short way for what is plainly right.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from model import units
from model.errors import MeasurementsError
from service.errors import FieldError, InvalidMeasurementsError, NotJsonError
from service.schemas import Batch, Columns, Measurements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.network.network import Array

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


def one(body: bytes, maximum_people: int) -> tuple[float, float]:
    """`{"weight_kg": 73, "height_cm": 182}` -> weight in pounds and height in inches."""
    fields, values = _pair(_parse(_MEASUREMENTS, body, maximum_people)[0])
    try:
        return units.to_canonical(values[0], fields[0], values[1], fields[1])
    except MeasurementsError as error:
        raise InvalidMeasurementsError(list(_field_errors(error, "#/{}"))) from None


def batch(body: bytes, maximum_people: int) -> Array:
    """`{"instances": [{…}, …]}` -> (people, 2), in their order."""
    instances = [instance for piece in _parse(_BATCH, body, maximum_people) for instance in piece.instances]
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
    return measurements


def columns(body: bytes, maximum_people: int) -> Array:
    """`{"weight_kg": […], "height_cm": […]}` -> (people, 2), in their order."""
    pieces = [_pair(piece) for piece in _parse(_COLUMNS, body, maximum_people)]
    weight_field, height_field = pieces[0][0]
    weights, heights = ([value for _, lists in pieces for value in lists[column]] for column in (0, 1))
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
    return np.column_stack([weight_field.to_canonical(given[:, 0]), height_field.to_canonical(given[:, 1])])


def _pair(measurements: BaseModel) -> tuple[list[units.Field], list[Any]]:
    """The fields of a pair, weight first, and what was given in them: a number each, or a column each."""
    given = dict(measurements)
    return [units.FIELDS[name] for name in given], list(given.values())


# Parsing: bytes that are not JSON are one thing, data that is not valid is another.


_PIECE = 1000
"""Lists are validated in pieces of as many, so that no other thread waits for the whole of a long one."""
_MOST_FIELDS = 100
"""Of an object in which each field that is not known is named."""


def _parse(schema: _Schema[T], body: bytes, maximum_people: int) -> list[T]:
    """What the body says, in pieces. Too many of anything is refused before each of it is looked at."""
    document = decode_json(body)
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, list) and len(value) > maximum_people:
            detail = f"{len(value):,} people in one request; at most {maximum_people:,} are answered at once"
            raise InvalidMeasurementsError([FieldError(f"#/{escaped(name):.200}", "too_many_people", detail)])
    for pointer, fields in _objects(document):
        if len(fields) > _MOST_FIELDS:
            detail = f"{len(fields):,} fields" + (schema.expected if pointer == "#" else _A_PAIR)
            raise InvalidMeasurementsError([FieldError(pointer, "unknown_field", detail)])
    pieces: list[T] = []
    errors: list[FieldError] = []
    for start, piece in _pieces(document):
        try:
            pieces.append(schema.adapter.validate_python(piece))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            # What is wrong with the body as a whole is wrong with each of its pieces.
            errors += [_field_error(dict(one), schema, start) for one in found if not start or _row(one["loc"])]
    if errors:
        raise InvalidMeasurementsError(errors)
    return pieces


def _objects(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - whatever was sent
    """The document and what is in its lists, with the pointer to each, where they are objects."""
    if isinstance(document, dict):
        yield "#", document
        for name, values in document.items():
            if isinstance(values, list):
                path = f"#/{escaped(name):.200}"
                yield from ((f"{path}/{row}", value) for row, value in enumerate(values) if isinstance(value, dict))


def _pieces(document: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401 - whatever was sent
    """The document with its lists cut to the same pieces, and where each begins."""
    lists = [value for value in document.values() if isinstance(value, list)] if isinstance(document, dict) else []
    if not any(len(values) > _PIECE for values in lists):
        yield 0, document
        return
    for start in range(0, max(map(len, lists)), _PIECE):
        end = start + _PIECE
        yield start, {n: value[start:end] if isinstance(value, list) else value for n, value in document.items()}


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - whatever was sent
    """Raises NotJsonError for bytes that are not JSON in UTF-8, for a name that occurs twice, and for NaN."""
    try:
        # Every number is read as a float: an integer of a million digits is then infinite at once, and refused.
        # The hooks are Python's, and not float itself, so that other threads have their turn in a long list.
        return json.loads(
            body.decode("utf-8"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise NotJsonError(f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJsonError("the body is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name, count in times.items() if count > 1)
        raise NotJsonError(f"the body has {twice!r:.80} twice in one object")
    return found


def _number(text: str) -> float:
    return float(text)


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


def _row(path: tuple[int | str, ...]) -> bool:
    """Whether this is the path of something in a list."""
    return any(isinstance(part, int) for part in path)


def _field_error(error: dict[str, Any], schema: _Schema[Any], start: int) -> FieldError:
    """One of pydantic's errors in our words, without what was sent; `start` is where the list begins."""
    path = [
        part + start if isinstance(part, int) else part
        for position, part in enumerate(error["loc"])
        if position != schema.tag_position
    ]
    code, detail = _IN_WORDS.get(error["type"], (error["type"], error["msg"]))
    if code in ("missing", "unknown_field"):
        detail += schema.expected if len(path) == 1 else _A_PAIR
    pointer = "".join("/" + escaped(str(part)) for part in path)
    return FieldError(f"#{pointer:.200}", code, detail)


def escaped(name: str) -> str:
    """A name as it stands in a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _field_errors(error: MeasurementsError, pointer: str) -> Iterator[FieldError]:
    for field, code, detail in error.problems:
        yield FieldError(pointer.format(field), code, detail)
