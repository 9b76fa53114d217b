"""The trained network in a few lines of numpy, read from `stature export --to json`: what every peer answers with.

It shares no code with Stature, so it is the judge of every answer too.
"""

from __future__ import annotations

import json
import math
import operator
import os
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


class Network:
    """Kilograms and centimetres in, the probability of female out."""

    def __init__(self, exported: dict[str, Any]) -> None:
        self.units = np.array([exported["kilograms_per_pound"], exported["centimetres_per_inch"]])
        self.shift, self.scale = np.array(exported["shift"]), np.array(exported["scale"])
        self.layers = [(np.array(layer["weights"]), np.array(layer["biases"])) for layer in exported["layers"]]
        self._plain = [list(zip(layer["weights"], layer["biases"], strict=True)) for layer in exported["layers"]]
        self._factors = (1.0 / (self.units * self.scale)).tolist()
        self._offsets = (self.shift / self.scale).tolist()

    @classmethod
    def load(cls) -> Network:
        """The network that the environment names."""
        return cls(json.loads(Path(os.environ["BENCHMARK_NETWORK"]).read_bytes()))

    def probabilities_female(self, people: Any) -> Array:  # noqa: ANN401 - whatever numpy makes an array of
        """(people, 2) in kilograms and centimetres -> (people,)."""
        activations: Array = (np.asarray(people, dtype=np.float64) / self.units - self.shift) / self.scale
        for weights, biases in self.layers:
            activations = 1.0 / (1.0 + np.exp(-(activations @ weights.T + biases)))
        return activations[:, 0]

    def probability_female(self, weight_kg: float, height_cm: float) -> float:
        """The same for one person without numpy, which costs more than the arithmetic of two numbers."""
        activations = [
            weight_kg * self._factors[0] - self._offsets[0],
            height_cm * self._factors[1] - self._offsets[1],
        ]
        for layer in self._plain:
            activations = [
                1.0 / (1.0 + math.exp(-sum(map(operator.mul, weights, activations)) - bias)) for weights, bias in layer
            ]
        return activations[0]
