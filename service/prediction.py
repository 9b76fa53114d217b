"""Bytes in, reply out, free of any web framework: read, convert, predict, write.

Each of the three functions takes the body of a request and the version that answers it. They raise `service.errors`,
never anything that a caller could have caused otherwise. One person is computed with plain floats, many with numpy.

JSON is put together here from its parts, because writing is what costs most: the probabilities with every digit, by
orjson, and around them texts that are known beforehand.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from model.predictor import likelier
from service import plain_reading, strict_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from model.network.network import Array
    from model.registry.version import Version

    Predict = Callable[[bytes, Version, int], "Prediction"]


class Prediction(NamedTuple):
    """The body of an answer, and what it is made of: a float each for one person, an array each for many."""

    body: bytes
    weights_lb: float | Array
    heights_in: float | Array
    probabilities: float | Array
    inside: bool | NDArray[np.bool_]
    """Whether each is inside the region of the people trained on."""


def predict_one(body: bytes, version: Version, maximum_people: int) -> Prediction:
    """`{"weight_kg": 73, "height_cm": 182}` -> the probability for this person."""
    weight_lb, height_in = plain_reading.one(body) or strict_reading.one(body, maximum_people)
    probability = version.predictor.probability_female(weight_lb, height_in)
    if not 0.0 <= probability <= 1.0:
        raise ArithmeticError(_NO_PROBABILITY)
    inside = version.training_range.contains_one(weight_lb, height_in)
    manifest = version.manifest
    answer = (
        b'{"probability_female": '
        + orjson.dumps(probability)
        + _SAID[2 * (probability >= 0.5) + inside]  # noqa: PLR2004 - one half
        + _identity(manifest.model, manifest.number)
    )
    return Prediction(answer, weight_lb, height_in, probability, inside)


def predict_batch(body: bytes, version: Version, maximum_people: int) -> Prediction:
    """`{"instances": [{…}, …]}` -> a prediction for each, in their order; all or nothing."""
    measurements = plain_reading.batch(body, maximum_people)
    if measurements is None:
        measurements = strict_reading.batch(body, maximum_people)
    probabilities = _probabilities(version, measurements)
    inside = version.training_range.contains(measurements)
    said = (2 * (probabilities >= 0.5) + inside).tolist()  # noqa: PLR2004 - one half
    predictions = b', {"probability_female": '.join(
        number + _SAID_IN_BATCH[what] for number, what in zip(_each_number(probabilities), said, strict=True)
    )
    opening = b'{"predictions": [{"probability_female": ' if len(measurements) else b'{"predictions": ['
    answer = opening + predictions + b"]" + _identity(version.manifest.model, version.manifest.number)
    return Prediction(answer, measurements[:, 0], measurements[:, 1], probabilities, inside)


def predict_columns(body: bytes, version: Version, maximum_people: int) -> Prediction:
    """`{"weight_kg": […], "height_cm": […]}` -> a list of probabilities, in their order; all or nothing."""
    measurements = plain_reading.columns(body, maximum_people)
    if measurements is None:
        measurements = strict_reading.columns(body, maximum_people)
    probabilities = _probabilities(version, measurements)
    inside = version.training_range.contains(measurements)
    answer = b'{"probability_female": [%b], "outside_training_range": [%b]%b' % (
        _numbers(probabilities),
        _numbers(np.flatnonzero(~inside)),
        _identity(version.manifest.model, version.manifest.number),
    )
    return Prediction(answer, measurements[:, 0], measurements[:, 1], probabilities, inside)


_NO_PROBABILITY = "the network's answer is no probability"

_SAID = [
    f', "likelier": "{likelier(probability)}", "in_training_range": {inside}'.encode()
    for probability in (0.0, 1.0)
    for inside in ("false", "true")
]
"""What is said after a probability: of a male outside the range and in it, of a female outside and in it."""
_SAID_IN_BATCH = [said + b"}" for said in _SAID]


def _probabilities(version: Version, measurements: Array) -> Array:
    """(people, 2) -> (people,). What is not a number would be our fault, and is no JSON."""
    probabilities = np.ascontiguousarray(version.predictor.probabilities_female(measurements))
    if not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
        raise ArithmeticError(_NO_PROBABILITY)
    return probabilities


def _numbers(values: NDArray[Any]) -> bytes:
    """Numbers as JSON has them, without brackets: of each the shortest digits that read back the same."""
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def _each_number(values: NDArray[Any]) -> Iterator[bytes]:
    """The same one by one, made in pieces, so that no other thread waits for all of them."""
    for start in range(0, len(values), _PIECE):
        yield from _numbers(values[start : start + _PIECE]).split(b",")


_PIECE = 4096


@lru_cache(64)
def _identity(model: str, number: int) -> bytes:
    """Which version it is, as the end of every answer: what `Version.identity` says."""
    return b", " + json.dumps({"model": model, "model_version": number}).encode()[1:]
