"""Whether people look like those that a version was trained on, in words that a person understands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from model import population, units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.network.network import Array
    from model.registry.manifest import Inputs
    from model.training.people import People

_POUNDS_FOR_KILOGRAMS = (2.0, 2.45)
_KILOGRAMS_FOR_POUNDS = (0.41, 0.5)
"""By what the mean weight is multiplied where a column is in the other unit, give or take a tenth."""
_SHORTEST_ADULTS_IN = 59.0
"""No nation's adults, men and women together, are so short on average (150 cm)."""
_SHORT_ADULTS_IN, _LIGHTEST_BODY_MASS_INDEX = 62.0, 19.0
"""Some are nearly as short, but none is then so light."""
_SHARE_MOVED = 0.1
_NORMAL_99 = 2.576


@dataclass(frozen=True)
class Likeness:
    """The population stability index of weight and height, None where too few were trained on; and what to be told."""

    stability_index: dict[str, float | None]
    warnings: tuple[str, ...]


def likeness(trained_on: Inputs, people: People) -> Likeness:
    """How these people compare with those that a manifest describes."""
    genders = (trained_on.male, trained_on.female)
    numbers = np.array([gender.people for gender in genders], dtype=np.float64)
    means = np.array([gender.mean for gender in genders])
    before: Array = numbers @ means / numbers.sum()
    now: Array = np.average(people.measurements, axis=0, weights=people.counts)
    weight, height = _moved(trained_on, people)
    warnings = [
        *(["too few people were trained on to tell whether these are like them"] if height.index is None else []),
        *_weight_in_words(before[0], now[0], weight),
        *_height_in_words(before, now, height),
        *_share_in_words(float(numbers[1] / numbers.sum()), float(numbers.sum()), people),
    ]
    return Likeness({"weight": weight.index, "height": height.index}, tuple(warnings))


@dataclass(frozen=True)
class _Moved:
    """How far a measurement has moved, and whether that is more than chance."""

    index: float | None
    much: Literal["", "somewhat ", "much "]
    """Empty: not, as far as can be told."""


def _moved(trained_on: Inputs, people: People) -> Iterator[_Moved]:
    """Of weight, and of height."""
    names: tuple[Literal["weight", "height"], ...] = ("weight", "height")
    for column, name in enumerate(names):
        reference = population.reference(trained_on.male.histograms[name], trained_on.female.histograms[name])
        if reference is None:
            yield _Moved(None, "")
            continue
        counts = reference.bin_counts(people.measurements[:, column], people.counts)
        index = reference.stability_index(counts)
        if index <= max(population.MOVED_LITTLE, reference.noise(len(people))):
            yield _Moved(index, "")
        else:
            yield _Moved(index, "much " if index > population.MOVED_MUCH else "somewhat ")


def _weight_in_words(before: float, now: float, moved: _Moved) -> Iterator[str]:
    times, means = now / before, f"on average {_weight(now)}, there {_weight(before)}"
    if _POUNDS_FOR_KILOGRAMS[0] < times < _POUNDS_FOR_KILOGRAMS[1]:
        yield f"weights look like pounds in a kilogram field: {means}"
    elif _KILOGRAMS_FOR_POUNDS[0] < times < _KILOGRAMS_FOR_POUNDS[1]:
        yield f"weights look like kilograms in a pound field: {means}"
    elif moved.much:
        heavier = "lighter" if now < before else "heavier"
        yield f"this population is {moved.much}{heavier} than the one trained on: {means}"


def _height_in_words(before: Array, now: Array, moved: _Moved) -> Iterator[str]:
    height, index = float(now[1]), units.body_mass_index(float(now[0]), float(now[1]))
    means = f"on average {_height(height)}, there {_height(float(before[1]))}"
    if height < _SHORTEST_ADULTS_IN or (height < _SHORT_ADULTS_IN and index < _LIGHTEST_BODY_MASS_INDEX):
        yield f"these people look like children, and the network knows adults only: {means}"
    elif moved.much:
        taller = "shorter" if height < before[1] else "taller"
        yield f"this population is {moved.much}{taller} than the one trained on: {means}"


def _share_in_words(before: float, trained_on: float, people: People) -> Iterator[str]:
    now = float(np.average(people.female, weights=people.counts))
    noise = _NORMAL_99 * math.sqrt(before * (1.0 - before) * (1.0 / len(people) + 1.0 / trained_on))
    if abs(now - before) > max(_SHARE_MOVED, noise):
        yield (
            f"{now:.0%} of these people are women, of those trained on {before:.0%}: "
            "probabilities are calibrated for the latter"
        )


def _weight(weight_lb: float) -> str:
    return f"{weight_lb * units.KILOGRAMS_PER_POUND:.1f} kg ({weight_lb:.1f} lb)"


def _height(height_in: float) -> str:
    return f"{height_in * units.CENTIMETRES_PER_INCH:.1f} cm ({height_in:.1f} in)"
