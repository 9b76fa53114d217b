"""A network of sigmoid neurons: feedforward and backpropagation for any number of layers and neurons.

A neuron does three things: it weights its inputs, adds a bias, and passes the total through the sigmoid. A layer is a
row of neurons that all see the same inputs; a network is layers in a row, each fed by the one before it.

    inputs ──► hidden layer ──► … ──► output layer ──► outputs
               total = weights · inputs + bias
               activation = sigmoid(total)

Shapes: `people` rows go through at once. Inputs are (people, inputs); the totals and the activations of a layer are
(people, neurons); its weights are (neurons, inputs), one row a neuron, and its biases (neurons,).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]


def sigmoid(totals: Array) -> Array:
    """1 / (1 + e⁻ˣ), between 0 and 1, for any finite x.

    e⁻ˣ would overflow for a very negative x. There the same fraction is written eˣ / (1 + eˣ); either way the
    exponential is that of -|x|, which is at most 1. Tables are written over: new ones would cost more than the rest.
    """
    exponential = np.abs(totals, out=np.empty_like(totals))  # a table even for a single number
    np.negative(exponential, out=exponential)
    np.exp(exponential, out=exponential)
    sigmoids: Array = np.maximum(exponential, totals >= 0.0)
    exponential += 1.0
    sigmoids /= exponential
    return sigmoids


class Layer(NamedTuple):
    """A row of neurons."""

    weights: Array
    biases: Array

    def totals(self, inputs: Array) -> Array:
        """Weight the inputs, add the bias: (people, inputs) -> (people, neurons)."""
        totals: Array = inputs @ self.weights.T
        totals += self.biases
        return totals


class Forward(NamedTuple):
    """What feedforward leaves behind for backpropagation."""

    entering: list[Array]
    """What each layer was fed: the inputs, then the activations of each hidden layer."""
    totals: Array
    """The totals of the output neurons, before their sigmoid; a loss can be computed from them without overflow."""


class Network:
    """Layers in a row, all of whose weights and biases lie in one vector, `parameters`.

    `sizes` counts the inputs and then the neurons of each layer: (2, 2, 1) is two inputs, two hidden neurons, one
    output; (2, 1) has no hidden layer and is logistic regression. The vector holds weights and biases of the first
    layer, then of the second, …, row by row; `layers` are views into it, so that moving the vector moves the network.
    """

    def __init__(self, sizes: Sequence[int], parameters: Array) -> None:
        """Raises ValueError where the vector's length is not that of the sizes."""
        self.sizes = tuple(sizes)
        self.parameters = parameters
        if parameters.shape != (self.count_parameters(self.sizes),):
            raise ValueError(f"{self.sizes} needs {self.count_parameters(self.sizes)} parameters: {parameters.shape}")
        self.layers: list[Layer] = []
        start = 0
        for inputs, neurons in pairwise(self.sizes):
            middle, end = start + neurons * inputs, start + neurons * (inputs + 1)
            self.layers.append(Layer(parameters[start:middle].reshape(neurons, inputs), parameters[middle:end]))
            start = end

    @staticmethod
    def count_parameters(sizes: Sequence[int]) -> int:
        """Each neuron has a weight for each of its inputs, and a bias."""
        return sum(neurons * (inputs + 1) for inputs, neurons in pairwise(sizes))

    @classmethod
    def from_layers(cls, layers: Sequence[tuple[Array, Array]]) -> Network:
        """The network of these (weights, biases), copied."""
        sizes = [layers[0][0].shape[1], *(len(biases) for _, biases in layers)]
        return cls(sizes, np.concatenate([part.ravel() for layer in layers for part in layer]))

    @classmethod
    def random(cls, sizes: Sequence[int], generator: np.random.Generator) -> Network:
        """Every weight and bias drawn from the normal (0, 1) distribution."""
        return cls(sizes, generator.standard_normal(cls.count_parameters(sizes)))

    def feedforward(self, inputs: Array) -> Array:
        """The outputs: (people, inputs) -> (people, outputs), each between 0 and 1."""
        return sigmoid(self.forward(inputs).totals)

    def forward(self, inputs: Array) -> Forward:
        """Feedforward up to the totals of the output neurons, with what each layer was fed on the way."""
        entering = [inputs]
        for layer in self.layers[:-1]:
            entering.append(sigmoid(layer.totals(entering[-1])))
        return Forward(entering, self.layers[-1].totals(entering[-1]))

    def backward(self, forward: Forward, slopes: Array) -> list[Array]:
        """How anything that depends on the outputs changes with the total of every neuron, layer by layer.

        `slopes` (people, outputs) is its derivative by the totals of the output neurons. The chain rule carries it
        back: a hidden neuron's activation enters each total of the next layer by its weight there, and the neuron's
        own total moves its activation by the sigmoid's derivative, which is activation · (1 - activation).
        """
        deltas = [slopes]
        for layer, activations in zip(self.layers[:0:-1], forward.entering[:0:-1], strict=True):
            deltas.append((deltas[-1] @ layer.weights) * (activations * (1.0 - activations)))
        return deltas[::-1]

    def gradient(self, forward: Forward, slopes: Array) -> Array:
        """Backpropagation: the derivative by every parameter, summed over people, as one vector like `parameters`.

        A total is weights · inputs + bias, so it moves by the input for each weight and by 1 for the bias.
        """
        deltas = self.backward(forward, slopes)
        return np.concatenate(
            [
                part.ravel()
                for delta, entering in zip(deltas, forward.entering, strict=True)
                for part in (delta.T @ entering, delta.sum(axis=0))
            ]
        )

    def jacobian(self, forward: Forward) -> Array:
        """The derivative of the one output neuron's total by every parameter, for each person: (people, parameters).

        It lies in memory parameter by parameter, since numpy is quick along people, who are many, and slow across
        them.
        """
        deltas = self.backward(forward, np.ones_like(forward.totals))
        jacobian = np.empty((len(self.parameters), len(forward.totals)))
        start = 0
        for delta, entering in zip(deltas, forward.entering, strict=True):
            neurons, inputs = delta.shape[1], entering.shape[1]
            middle, end = start + neurons * inputs, start + neurons * (inputs + 1)
            of_weights, of_biases = jacobian[start:middle].reshape(neurons, inputs, -1), jacobian[middle:end]
            of_biases[:] = delta.T
            np.multiply(of_biases[:, None], np.ascontiguousarray(entering.T), out=of_weights)
            start = end
        return jacobian.T
