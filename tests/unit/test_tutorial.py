"""The tutorial, faithfully: its scalar loop written out again here, its people, and what they must come out as."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from model import units
from model.errors import MeasurementsError
from model.network.losses import MEAN_SQUARED_ERROR
from model.network.network import Network
from model.network.trainers import sgd
from model.predictor import Predictor

PEOPLE = {"Alice": (133, 65, 1), "Bob": (160, 72, 0), "Charlie": (152, 70, 0), "Diana": (120, 60, 1)}
INPUTS = np.array([[weight - 135.0, height - 66.0] for weight, height, _ in PEOPLE.values()])
TARGETS = np.array([[float(female)] for _, _, female in PEOPLE.values()])


def scalar_loop(w1, w2, w3, w4, w5, w6, b1, b2, b3, epochs):  # noqa: PLR0917 - nine named numbers
    """The tutorial's training, in nine named numbers, without an array."""

    def f(x):
        return 1 / (1 + math.exp(-x))

    def deriv_f(x):
        return f(x) * (1 - f(x))

    for _ in range(epochs):
        for (x1, x2), (y_true,) in zip(INPUTS.tolist(), TARGETS.tolist(), strict=True):
            sum_h1 = w1 * x1 + w2 * x2 + b1
            h1 = f(sum_h1)
            sum_h2 = w3 * x1 + w4 * x2 + b2
            h2 = f(sum_h2)
            sum_o1 = w5 * h1 + w6 * h2 + b3
            y_pred = f(sum_o1)

            d_l_d_ypred = -2 * (y_true - y_pred)
            d_ypred_d_w5, d_ypred_d_w6 = h1 * deriv_f(sum_o1), h2 * deriv_f(sum_o1)
            d_ypred_d_b3 = deriv_f(sum_o1)
            d_ypred_d_h1, d_ypred_d_h2 = w5 * deriv_f(sum_o1), w6 * deriv_f(sum_o1)
            d_h1_d_w1, d_h1_d_w2, d_h1_d_b1 = x1 * deriv_f(sum_h1), x2 * deriv_f(sum_h1), deriv_f(sum_h1)
            d_h2_d_w3, d_h2_d_w4, d_h2_d_b2 = x1 * deriv_f(sum_h2), x2 * deriv_f(sum_h2), deriv_f(sum_h2)

            w1 -= 0.1 * d_l_d_ypred * d_ypred_d_h1 * d_h1_d_w1
            w2 -= 0.1 * d_l_d_ypred * d_ypred_d_h1 * d_h1_d_w2
            b1 -= 0.1 * d_l_d_ypred * d_ypred_d_h1 * d_h1_d_b1
            w3 -= 0.1 * d_l_d_ypred * d_ypred_d_h2 * d_h2_d_w3
            w4 -= 0.1 * d_l_d_ypred * d_ypred_d_h2 * d_h2_d_w4
            b2 -= 0.1 * d_l_d_ypred * d_ypred_d_h2 * d_h2_d_b2
            w5 -= 0.1 * d_l_d_ypred * d_ypred_d_w5
            w6 -= 0.1 * d_l_d_ypred * d_ypred_d_w6
            b3 -= 0.1 * d_l_d_ypred * d_ypred_d_b3
    return w1, w2, w3, w4, w5, w6, b1, b2, b3


def train(seed: int, epochs: int = 1000) -> Predictor:
    start = Network.random((2, 2, 1), np.random.default_rng(seed))
    fit = sgd(start, INPUTS, TARGETS, loss=MEAN_SQUARED_ERROR, learning_rate=0.1, epochs=epochs)
    return Predictor(fit.network, (135.0, 66.0), (1.0, 1.0))


@pytest.fixture(scope="module")
def hundred() -> list[Predictor]:
    return [train(seed) for seed in range(100)]


@pytest.mark.parametrize("seed", range(5))
def test_the_weights_are_those_of_the_scalar_loop(seed: int) -> None:
    start = Network.random((2, 2, 1), np.random.default_rng(seed))
    (hidden, hidden_biases), (output, output_biases) = start.layers
    named = (*hidden.ravel(), *output.ravel(), *hidden_biases, *output_biases)

    expected = scalar_loop(*map(float, named), epochs=1000)

    (hidden, hidden_biases), (output, output_biases) = train(seed).network.layers
    assert (*hidden.ravel(), *output.ravel(), *hidden_biases, *output_biases) == pytest.approx(expected, abs=1e-12)


def test_training_leaves_the_start_as_it_was() -> None:
    start = Network.random((2, 2, 1), np.random.default_rng(0))
    before = start.parameters.copy()
    sgd(start, INPUTS, TARGETS, loss=MEAN_SQUARED_ERROR, learning_rate=0.1, epochs=1)
    assert (start.parameters == before).all()


def test_all_four_people_come_out_right_over_a_hundred_seeds(hundred: list[Predictor]) -> None:
    for predictor in hundred:
        for weight, height, female in PEOPLE.values():
            assert (predictor.probability_female(weight, height) >= 0.5) == bool(female)


def test_emily_is_female_and_frank_is_male(hundred: list[Predictor]) -> None:
    emily = [predictor.probability_female(128, 63) for predictor in hundred]
    frank = [predictor.probability_female(155, 68) for predictor in hundred]
    assert min(emily) >= 0.93
    assert max(emily) <= 0.98
    assert 0.03 <= np.median(frank) <= 0.05


def test_steve_is_male_in_kilograms_and_centimetres(hundred: list[Predictor]) -> None:
    steve = units.to_canonical(73.0, units.WEIGHT_KG, 182.0, units.HEIGHT_CM)
    assert all(predictor.probability_female(*steve) < 0.5 for predictor in hundred)


def test_steve_with_his_measurements_swapped_is_refused() -> None:
    with pytest.raises(MeasurementsError, match="182 kg and 73 cm look swapped"):
        units.to_canonical(182.0, units.WEIGHT_KG, 73.0, units.HEIGHT_CM)


def test_the_loss_is_told_every_ten_epochs_and_falls() -> None:
    told: list[tuple[int, float]] = []
    start = Network.random((2, 2, 1), np.random.default_rng(1))
    sgd(
        start,
        INPUTS,
        TARGETS,
        loss=MEAN_SQUARED_ERROR,
        learning_rate=0.1,
        epochs=1000,
        on_epoch=lambda epoch, loss: told.append((epoch, loss)),
    )
    assert [epoch for epoch, _ in told] == list(range(0, 1000, 10))
    losses = [loss for _, loss in told]
    assert all(later < earlier for earlier, later in pairwise(losses))
