"""What a body says, read the short way: for bodies that are plainly right, which nearly all are.

Each function gives what the one of its name in `service.strict_reading` gives, to the same bits, or None: then the body
is unusual, perhaps wrong, and the strict way decides. Nothing here names an error.

orjson reads the same JSON as the strict way, but for three things, and each leaves a trace in the bytes. Of a member
that occurs twice it takes the last: every name has two quotation marks, so they are counted. `true`, `false`, `null`
and names with escapes have a letter, `s` or `u`, that no field's name has. And a number that is too large can be
infinite: it is outside the domain, as everything is here that is not an adult's.
"""

from __future__ import annotations

import re
import struct
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from model import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from model.network.network import Array

_NUMBERS = frozenset({float, int})  # and not bool, which is an int to isinstance alone
_METRIC, _IMPERIAL = units.PAIRS


def one(body: bytes) -> tuple[float, float] | None:
    """`{"weight_kg": 73, "height_cm": 182}` -> weight in pounds and height in inches."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(document) is not dict or body.count(b'"') != 4:  # noqa: PLR2004 - two names
        return None
    weight_field, height_field = _METRIC if "weight_kg" in document else _IMPERIAL
    weight: Any = document.get(weight_field.name)
    height: Any = document.get(height_field.name)
    if (
        type(weight) in _NUMBERS
        and type(height) in _NUMBERS
        and weight_field.minimum <= weight <= weight_field.maximum
        and height_field.minimum <= height <= height_field.maximum
    ):
        return weight / weight_field.per_canonical, height / height_field.per_canonical
    return None


def columns(body: bytes, maximum_people: int) -> Array | None:
    """`{"weight_kg": […], "height_cm": […]}` -> (people, 2), in their order."""
    first = _FIRST_LIST.match(body)
    first_end = body.find(b"]", first.end()) if first else -1
    second = _SECOND_LIST.match(body, first_end) if first_end >= 0 else None
    second_end = body.find(b"]", second.end()) if second else -1
    if first is None or second is None or second_end < 0 or _END.fullmatch(body, second_end) is None:
        return None
    lists = {first[1].decode(): (first.end(), first_end), second[1].decode(): (second.end(), second_end)}
    for weight_field, height_field in units.PAIRS:
        if lists.keys() == {weight_field.name, height_field.name}:
            weights = _column(body, *lists[weight_field.name], weight_field)
            heights = _column(body, *lists[height_field.name], height_field)
            if weights is not None and heights is not None and len(weights) == len(heights) <= maximum_people:
                return np.array([weights, heights]).T  # each column in one piece, as all that follows goes through them
    return None


def batch(body: bytes, maximum_people: int) -> Array | None:
    """`{"instances": [{…}, …]}` -> (people, 2), in their order; all in the same units."""
    opened = _FIRST_LIST.match(body)
    end = body.rfind(b"]")
    if opened is None or opened[1] != b"instances" or end < opened.end() or _END.fullmatch(body, end) is None:
        return None
    pieces: list[Array] = []
    pair, people = None, 0
    for instances, names in _pieces(body, opened.end(), end, b"},"):
        people += len(instances)
        if names != 2 * len(instances) or people > maximum_people:
            return None
        if pair is None:
            pair = _METRIC if type(instances[0]) is dict and "weight_kg" in instances[0] else _IMPERIAL
        measurements = np.empty((2, len(instances)))
        for column, field in zip(measurements, pair, strict=True):
            values = _canonical(map(itemgetter(field.name), instances), len(instances), field)
            if values is None:
                return None
            column[:] = values
        pieces.append(measurements)
    return np.concatenate(pieces, axis=1).T if pieces else None


_PIECE_BYTES = 32 << 10
"""Lists are read in pieces of this size, so that no other thread waits for the whole of a large one."""

_SPACE = rb"[ \t\n\r]*"
_NAME = _SPACE + rb'"([a-z_]+)"' + _SPACE + rb":" + _SPACE
_FIRST_LIST = re.compile(_SPACE + rb"\{" + _NAME + rb"\[")
_SECOND_LIST = re.compile(rb"\]" + _SPACE + rb"," + _NAME + rb"\[")
_END = re.compile(rb"\]" + _SPACE + rb"\}" + _SPACE)


def _pieces(body: bytes, start: int, end: int, comma: bytes) -> Iterator[tuple[list[Any], int]]:
    """What stands in a list between these two places, piece by piece, each with how many names it has.

    A piece ends before a comma, here one that follows what `comma` begins with. If what is before it and what is after
    it are lists of something each, then both together are a list with the comma between them. Where that is not so, or
    a piece has what is plainly no number in it, the piece is given as one that has a name too many.
    """
    while True:
        cut = body.find(comma, start + _PIECE_BYTES, end)
        piece = b"[" + body[start : end if cut < 0 else cut + len(comma) - 1] + b"]"
        try:
            values = orjson.loads(piece)
        except orjson.JSONDecodeError:
            values = []
        marks = piece.count(b'"')
        if not values or marks % 2 or b"u" in piece or b"s" in piece:
            yield [], 1
            return
        yield values, marks // 2
        if cut < 0:
            return
        start = cut + len(comma)


def _column(body: bytes, start: int, end: int, field: units.Field) -> Array | None:
    """The numbers between these two places in pounds or inches."""
    pieces = []
    for values, names in _pieces(body, start, end, b","):
        piece = None if names else _canonical(values, len(values), field)
        if piece is None:
            return None
        pieces.append(piece)
    return np.concatenate(pieces)


def _canonical(values: Iterable[float], count: int, field: units.Field) -> Array | None:
    """Pounds or inches; None where any of them is no number or is outside the domain."""
    try:
        given = np.frombuffer(struct.pack(f"{count}d", *values))  # in half the time of `fromiter`
    except (KeyError, TypeError, struct.error):  # another name, or a list or an object where a number belongs
        return None
    return field.to_canonical(given) if ((given >= field.minimum) & (given <= field.maximum)).all() else None
