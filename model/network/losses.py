"""How wrong the outputs are: one number for all people, lower is better.

Both losses are computed from the *totals* of the output neurons, before the sigmoid: a probability of exactly 1 is
rounding, and its logarithm would be infinite where the total still knows better.

Shapes: targets and totals are (people, outputs); `counts` (people,) says how many people each row stands for.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import numpy as np

from model.network.network import Array, sigmoid

Numbers = TypeVar("Numbers", float, Array)


class Loss(Protocol):
    """What a trainer needs to know of a loss: its value, its slope and its curvature."""

    name: Literal["mean_squared_error", "log_loss"]

    def of_each(self, targets: Array, totals: Array) -> Array:
        """The loss of each person, (people,): the mean over the output neurons."""

    def slope(self, target: Numbers, output: Numbers) -> Numbers:
        """The derivative of one output neuron's loss by its total, for one person or elementwise."""

    def slopes(self, targets: Array, totals: Array) -> Array:
        """The derivative of each person's loss by each output neuron's total, (people, outputs)."""

    def curvatures(self, totals: Array) -> Array:
        """The Gauss-Newton part of the second derivative by each total, (people, outputs): never negative."""


def mean_squared_error(targets: Array, outputs: Array) -> float:
    """The mean of (target - output)²."""
    return float(np.mean((targets - outputs) ** 2))


class MeanSquaredError:
    """(target - output)², the tutorial's loss."""

    name: Literal["mean_squared_error", "log_loss"] = "mean_squared_error"

    def of_each(self, targets: Array, totals: Array) -> Array:
        squares: Array = np.mean((targets - sigmoid(totals)) ** 2, axis=1)
        return squares

    def slope(self, target: Numbers, output: Numbers) -> Numbers:
        """-2 (target - output) by the output, times the sigmoid's derivative, output · (1 - output)."""
        return -2.0 * (target - output) * output * (1.0 - output)

    def slopes(self, targets: Array, totals: Array) -> Array:
        slopes: Array = self.slope(targets, sigmoid(totals)) / totals.shape[1]
        return slopes

    def curvatures(self, totals: Array) -> Array:
        outputs = sigmoid(totals)
        curvatures: Array = 2.0 * (outputs * (1.0 - outputs)) ** 2 / totals.shape[1]
        return curvatures


class LogLoss:
    """-log of the probability that was given to what is true: log(1 + eᵗ) - target · t for a total t.

    Also called binary cross-entropy. Against the sigmoid its derivative is simply output - target, which does not
    vanish where a neuron is saturated on the wrong side; that of the mean squared error does.
    """

    name: Literal["mean_squared_error", "log_loss"] = "log_loss"

    def of_each(self, targets: Array, totals: Array) -> Array:
        # log(1 + eᵗ) without overflow: max(t, 0) + log(1 + e^-|t|).
        losses = np.log1p(np.exp(-np.abs(totals)))
        losses += np.maximum(totals, 0.0)
        losses -= targets * totals
        mean: Array = np.mean(losses, axis=1)
        return mean

    def slope(self, target: Numbers, output: Numbers) -> Numbers:
        return output - target

    def slopes(self, targets: Array, totals: Array) -> Array:
        slopes: Array = self.slope(targets, sigmoid(totals)) / totals.shape[1]
        return slopes

    def curvatures(self, totals: Array) -> Array:
        outputs = sigmoid(totals)
        curvatures: Array = outputs * (1.0 - outputs) / totals.shape[1]
        return curvatures


MEAN_SQUARED_ERROR = MeanSquaredError()
LOG_LOSS = LogLoss()
