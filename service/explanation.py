"""What moved a probability: exact Shapley values of weight and height, against the average of the people trained on.

With two inputs there are two orders in which a person can be put in the average's place, measurement by measurement. A
Shapley value is the mean of what its measurement does in either order (Shapley, 1953), so four evaluations give both
exactly:

    weight = ((f(w, h₀) - f(w₀, h₀)) + (f(w, h) - f(w₀, h))) / 2
    height = ((f(w₀, h) - f(w₀, h₀)) + (f(w, h) - f(w, h₀))) / 2

and together they are f(w, h) - f(w₀, h₀). They tell what the network does, not why a person is as they are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.registry.manifest import Inputs
    from model.registry.version import Version
    from service.prediction import Prediction


def average(inputs: Inputs) -> tuple[float, float]:
    """(weight in pounds, height in inches) of the people trained on, both genders together."""
    genders = (inputs.male, inputs.female)
    people = sum(gender.people for gender in genders)
    weight, height = (sum(gender.people * gender.mean[axis] for gender in genders) / people for axis in (0, 1))
    return weight, height


def explain(version: Version, weight_lb: float, height_in: float) -> dict[str, Any]:
    """The baseline, and how far each measurement moves the probability from there."""
    female = version.predictor.probability_female
    average_lb, average_in = average(version.manifest.inputs)
    start, end = female(average_lb, average_in), female(weight_lb, height_in)
    by_weight, by_height = female(weight_lb, average_in), female(average_lb, height_in)
    return {
        "baseline": {"weight_lb": average_lb, "height_in": average_in, "probability_female": start},
        "contributions": {
            "weight": ((by_weight - start) + (end - by_height)) / 2.0,
            "height": ((by_height - start) + (end - by_weight)) / 2.0,
        },
    }


def explained(prediction: Prediction, version: Version) -> bytes:
    """The body of the answer for one person, with its explanation as a last member."""
    explanation = explain(version, float(prediction.weights_lb), float(prediction.heights_in))
    return b'%b, "explanation": %b}' % (prediction.body[:-1], json.dumps(explanation, allow_nan=False).encode())
