"""The network: its fixed points, its shapes, and its gradients against two independent oracles."""

from __future__ import annotations

import itertools

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.network.losses import LOG_LOSS, MEAN_SQUARED_ERROR, Loss, mean_squared_error
from model.network.network import Network, sigmoid

SHAPES = [(2, 1), (2, 2, 1), (2, 8, 1), (3, 4, 5, 2), (1, 3, 3, 3, 1), (2, 2, 3)]
LOSSES = [MEAN_SQUARED_ERROR, LOG_LOSS]


def test_three_neurons_alike_give_the_tutorials_output() -> None:
    alike = np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros(2)
    network = Network.from_layers([alike, (np.array([[0.0, 1.0]]), np.zeros(1))])
    assert network.feedforward(np.array([[2.0, 3.0]])).item() == pytest.approx(0.7216325609518421, abs=1e-16)


def test_a_single_neuron_gives_the_tutorials_output() -> None:
    neuron = Network((2, 1), np.array([0.0, 1.0, 4.0]))
    assert neuron.feedforward(np.array([[2.0, 3.0]])).item() == pytest.approx(0.9990889488055994, abs=1e-16)


def test_the_mean_squared_error_of_the_tutorials_example_is_one_half() -> None:
    assert mean_squared_error(np.array([1.0, 0.0, 0.0, 1.0]), np.zeros(4)) == 0.5


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_sigmoid_is_a_probability_for_any_finite_number(total: float) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        output = sigmoid(np.array([total])).item()
    assert 0.0 <= output <= 1.0
    assert output + sigmoid(np.array([-total])).item() == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("sizes", SHAPES)
def test_feedforward_is_what_one_gets_neuron_by_neuron(sizes: tuple[int, ...]) -> None:
    network = Network.random(sizes, np.random.default_rng(0))
    inputs = np.random.default_rng(1).standard_normal((7, sizes[0]))
    for person, outputs in zip(inputs, network.feedforward(inputs), strict=True):
        activations = person.tolist()
        for weights, biases in network.layers:
            activations = [
                1.0 / (1.0 + np.exp(-(sum(w * a for w, a in zip(row, activations, strict=True)) + bias)))
                for row, bias in zip(weights.tolist(), biases.tolist(), strict=True)
            ]
        assert outputs == pytest.approx(activations, abs=1e-15)


@pytest.mark.parametrize(("sizes", "loss"), list(itertools.product(SHAPES, LOSSES)))
def test_the_gradient_agrees_with_central_differences(sizes: tuple[int, ...], loss: Loss) -> None:
    network, inputs, targets = _example(sizes)
    forward = network.forward(inputs)
    gradient = network.gradient(forward, loss.slopes(targets, forward.totals))

    step = 1e-5
    differences = np.empty_like(gradient)
    for index in range(len(gradient)):
        moved = [Network(sizes, network.parameters + sign * step * _unit(index, len(gradient))) for sign in (1, -1)]
        up, down = (loss.of_each(targets, each.forward(inputs).totals).sum() for each in moved)
        differences[index] = (up - down) / (2 * step)

    assert np.abs(gradient - differences).max() <= 1e-6 * np.abs(differences).max()


@pytest.mark.parametrize(("sizes", "loss"), list(itertools.product(SHAPES, LOSSES)))
def test_the_gradient_agrees_with_automatic_differentiation(sizes: tuple[int, ...], loss: Loss) -> None:
    network, inputs, targets = _example(sizes)
    forward = network.forward(inputs)
    gradient = network.gradient(forward, loss.slopes(targets, forward.totals))

    def value(parameters):  # written again, in autograd's numpy, from the definition alone
        activations, start = inputs, 0
        for before, neurons in itertools.pairwise(sizes):
            weights = anp.reshape(parameters[start : start + before * neurons], (neurons, before))
            start += before * neurons
            biases = parameters[start : start + neurons]
            start += neurons
            activations = 1.0 / (1.0 + anp.exp(-(anp.dot(activations, weights.T) + biases)))
        if loss is MEAN_SQUARED_ERROR:
            each = (targets - activations) ** 2
        else:
            each = -targets * anp.log(activations) - (1.0 - targets) * anp.log(1.0 - activations)
        return anp.sum(anp.mean(each, axis=1))

    assert gradient == pytest.approx(autograd.grad(value)(network.parameters), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("sizes", [shape for shape in SHAPES if shape[-1] == 1])
def test_the_jacobian_times_the_slopes_is_the_gradient(sizes: tuple[int, ...]) -> None:
    network, inputs, targets = _example(sizes)
    forward = network.forward(inputs)
    slopes = LOG_LOSS.slopes(targets, forward.totals)
    assert network.jacobian(forward).T @ slopes[:, 0] == pytest.approx(network.gradient(forward, slopes), abs=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_curvature_is_that_of_the_loss_where_the_target_is_met(loss: Loss) -> None:
    """There the residual is zero, and the Gauss-Newton curvature is the second derivative itself."""
    total, step = np.array([[0.7]]), 1e-4
    target = sigmoid(total)
    up, down = (loss.slopes(target, total + sign * step).item() for sign in (1, -1))
    assert loss.curvatures(total).item() == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_the_log_loss_stays_finite_where_a_probability_rounds_to_one() -> None:
    assert LOG_LOSS.of_each(np.array([[0.0]]), np.array([[800.0]])).item() == 800.0


def test_moving_the_parameters_moves_the_layers() -> None:
    network = Network((2, 2, 1), np.arange(9.0))
    network.parameters += 1.0
    assert [part.tolist() for layer in network.layers for part in layer] == [
        [[1.0, 2.0], [3.0, 4.0]],
        [5.0, 6.0],
        [[7.0, 8.0]],
        [9.0],
    ]


def test_parameters_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 9 parameters"):
        Network((2, 2, 1), np.zeros(8))


def _example(sizes: tuple[int, ...]) -> tuple[Network, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(sum(sizes))
    network = Network.random(sizes, generator)
    inputs = generator.standard_normal((11, sizes[0]))
    return network, inputs, generator.integers(0, 2, (11, sizes[-1])).astype(float)


def _unit(index: int, length: int) -> np.ndarray:
    unit = np.zeros(length)
    unit[index] = 1.0
    return unit
