"""A trained network with what belongs to it: measurements go in, probabilities come out.

    (weight in pounds, height in inches) ──► shift and scale ──► feedforward ──► probability of female

Shift and scale travel with the weights, so training and serving cannot disagree about them.
"""

from __future__ import annotations

import hashlib
import math
import operator
from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from model.network.network import Array, Network

Booleans = NDArray[np.bool_]
PlainLayer = list[tuple[list[float], float]]
"""The weights and the bias of each neuron."""

MALE, FEMALE = 0, 1
_LEAST_TOTAL = -700.0
"""Below it the sigmoid is the exponential, to every digit, and the exponential of its opposite soon overflows."""


def likelier(probability_female: float) -> str:
    """The gender with the higher probability; exactly one half is female."""
    return "female" if probability_female >= 0.5 else "male"  # noqa: PLR2004 - one half


@dataclass(frozen=True)
class Predictor:
    """Probabilities of female for measurements in pounds and inches."""

    network: Network
    shift: tuple[float, float]
    """Subtracted from (weight in pounds, height in inches)."""
    scale: tuple[float, float]
    """Divides them after the shift."""

    def inputs(self, measurements: Array) -> Array:
        """What the network is fed: (people, 2) in pounds and inches -> (people, 2)."""
        inputs: Array = (measurements - np.array(self.shift)) / np.array(self.scale)
        return inputs

    def totals(self, measurements: Array) -> Array:
        """The log-odds of female: (people, 2) -> (people,)."""
        totals: Array = self.network.forward(self.inputs(measurements)).totals[:, 0]
        return totals

    def probabilities_female(self, measurements: Array) -> Array:
        """(people, 2) in pounds and inches -> (people,)."""
        probabilities: Array = self.network.feedforward(self.inputs(measurements))[:, 0]
        return probabilities

    def probability_female(self, weight_lb: float, height_in: float) -> float:
        """The same for one person, in plain floats: for two numbers they are ten times as fast as arrays."""
        (shift_weight, shift_height), (scale_weight, scale_height) = self.shift, self.scale
        weight, height = (weight_lb - shift_weight) / scale_weight, (height_in - shift_height) / scale_height
        first, others = self._plain_layers
        activations = []  # filled by loops, which cost a third less than comprehensions of so few
        for (by_weight, by_height), bias in first:
            total = by_weight * weight + by_height * height + bias
            activations.append(1.0 / (1.0 + exp(-total)) if total > _LEAST_TOTAL else exp(total))
        for layer in others:
            entering, activations = activations, []
            for weights, bias in layer:
                total = sum(map(operator.mul, weights, entering)) + bias
                activations.append(1.0 / (1.0 + exp(-total)) if total > _LEAST_TOTAL else exp(total))
        return activations[0]

    @cached_property
    def _plain_layers(self) -> tuple[PlainLayer, list[PlainLayer]]:
        """The layer that is fed weight and height, and those after it."""
        layers = [
            list(zip(layer.weights.tolist(), layer.biases.tolist(), strict=True)) for layer in self.network.layers
        ]
        return layers[0], layers[1:]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a probability is computed from: shift, scale, and each layer's weights and biases.

        Each array is preceded by its name and shape, and written as little-endian float64, row by row.
        """
        digest = hashlib.sha256()
        arrays = {"shift": np.array(self.shift), "scale": np.array(self.scale), **self.arrays}
        for name, array in arrays.items():
            digest.update(f"{name}{array.shape}".replace(" ", "").encode())
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()

    @property
    def arrays(self) -> dict[str, Array]:
        """`weights_1` of shape (neurons, inputs), `biases_1` of shape (neurons,), `weights_2`, …"""
        return {
            f"{part}_{number}": array
            for number, layer in enumerate(self.network.layers, start=1)
            for part, array in layer._asdict().items()
        }


_FEWEST_AT_THE_EDGE = 5
"""People on the edge of a training range or beyond it, so that none of them can be picked out. Only the tutorial has
fewer people altogether, whom everyone knows."""


@dataclass(frozen=True)
class TrainingRange:
    """The region that holds 99.9 % of the people trained on: near enough to the centre of either gender.

    Distance is Mahalanobis': in standard deviations, along the axes of that gender's cloud of people. Of fewer than
    4,000 people the outermost few alone would decide where it ends, and could be read off it. So it ends where five lie
    on its edge or beyond, or where it holds 99.9 % of a normal distribution, whichever is farther.
    """

    means: tuple[tuple[float, float], ...]
    covariances: tuple[tuple[tuple[float, float], tuple[float, float]], ...]
    """Of each gender, of (weight in pounds, height in inches)."""
    radius: float

    SHARE = 0.999

    @classmethod
    def around(cls, measurements: Array, female: Array, counts: Array) -> TrainingRange:
        """The region of these counted people: (people, 2) in pounds and inches, (people,) and (people,)."""
        means, covariances = [], []
        for gender in (MALE, FEMALE):
            who = female == gender
            weight, height = np.average(measurements[who], axis=0, weights=counts[who]).tolist()
            means.append((weight, height))
            # What is measured to a pound or an inch varies at least by its rounding. It matters for a handful only.
            covariance = np.cov(measurements[who], rowvar=False, fweights=counts[who], ddof=0) + np.eye(2) / 12.0
            (a, b), (c, d) = covariance.tolist()
            covariances.append(((a, b), (c, d)))
        unbounded = cls(tuple(means), tuple(covariances), math.inf)
        distances, people = unbounded.distances(measurements), int(counts.sum())

        def holding(share: float) -> float:
            return float(np.quantile(distances, share, weights=counts, method="inverted_cdf"))

        if people < _FEWEST_AT_THE_EDGE or (1.0 - cls.SHARE) * people >= _FEWEST_AT_THE_EDGE - 1:
            radius = holding(cls.SHARE)
        else:  # half a person less than that rank, so that rounding reaches no other
            five_at_the_edge = holding((people - _FEWEST_AT_THE_EDGE + 0.5) / people)
            radius = max(five_at_the_edge, math.sqrt(-2.0 * math.log(1.0 - cls.SHARE)))
        return cls(unbounded.means, unbounded.covariances, radius)

    def contains(self, measurements: Array) -> Booleans:
        """(people, 2) in pounds and inches -> (people,)."""
        inside: Booleans = self.distances(measurements) <= self.radius
        return inside

    def contains_one(self, weight_lb: float, height_in: float) -> bool:
        """The same for one person, in plain floats."""
        for (mean_weight, mean_height), (weight, both, height) in self._gender_regions:
            by_weight, by_height = weight_lb - mean_weight, height_in - mean_height
            if math.sqrt(_square(by_weight, by_height, weight, both, height)) <= self.radius:
                return True
        return False

    def distances(self, measurements: Array) -> Array:
        """To the nearer gender: (people, 2) -> (people,)."""
        squares = []
        for mean, inverse in self._gender_regions:
            by_weight, by_height = (measurements - mean).T
            squares.append(_square(by_weight, by_height, *inverse))
        distances: Array = np.sqrt(np.minimum(*squares))
        return distances

    @cached_property
    def _gender_regions(self) -> list[tuple[tuple[float, float], tuple[float, float, float]]]:
        """Of each gender, the mean and the inverse covariance: (weight · weight, weight · height, height · height)."""
        return [
            (mean, (d / (a * d - b * c), -b / (a * d - b * c), a / (a * d - b * c)))
            for mean, ((a, b), (c, d)) in zip(self.means, self.covariances, strict=True)
        ]


def _square(by_weight: Any, by_height: Any, weight: float, both: float, height: float) -> Any:  # noqa: ANN401
    """The squared distance, by the inverse covariance, to the same bits for a float and in an array."""
    return weight * (by_weight * by_weight) + 2.0 * both * (by_weight * by_height) + height * (by_height * by_height)
