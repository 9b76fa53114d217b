"""A network in plain floats, for one person at a time: numpy costs more per call than a few neurons cost to compute.

The same mathematics as in `network.py`, neuron by neuron. A network of more than a hundred parameters or so is quicker
with matrices, even for one person.
"""

from __future__ import annotations

from math import exp
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from model.network.network import Network

if TYPE_CHECKING:
    from model.network.losses import Loss


def sigmoid(total: float) -> float:
    """network.sigmoid for one float."""
    if total >= 0.0:
        return 1.0 / (1.0 + exp(-total))
    exponential = exp(total)
    return exponential / (1.0 + exponential)


class PlainNetwork:
    """The layers of a `Network` as lists, which learn."""

    def __init__(self, network: Network) -> None:
        self.layers = [(layer.weights.tolist(), layer.biases.tolist()) for layer in network.layers]

    def network(self) -> Network:
        return Network.from_layers([(np.array(weights), np.array(biases)) for weights, biases in self.layers])

    def learn(self, inputs: list[float], targets: list[float], loss: Loss, step: float) -> None:
        """Move every weight and bias against the derivative of this person's loss, times the step."""
        entering = []
        for weights, biases in self.layers:
            entering.append(inputs)
            inputs = [sigmoid(sum(map(mul, row, inputs), bias)) for row, bias in zip(weights, biases)]
        deltas = [loss.slope(target, output) / len(targets) for target, output in zip(targets, inputs)]
        for weights, biases in reversed(self.layers):
            activations = entering.pop()
            # How much the loss changes with the totals of the layer before, by the weights as they were on the way up.
            before = [
                sum(map(mul, deltas, column)) * activation * (1.0 - activation)
                for activation, column in zip(activations if entering else (), zip(*weights))
            ]
            for neuron, delta in enumerate(deltas):
                move = step * delta
                biases[neuron] -= move
                weights[neuron] = [
                    weight - move * activation for weight, activation in zip(weights[neuron], activations)
                ]
            deltas = before
