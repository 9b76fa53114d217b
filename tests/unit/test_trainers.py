"""The trainers: they overfit what can be overfitted, move where they should, and repeat themselves to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import TrainingError
from model.network.losses import LOG_LOSS
from model.network.network import Network
from model.network.trainers import gauss_newton, sgd


def test_gauss_newton_ends_where_the_gradient_vanishes() -> None:
    inputs, targets, counts = _people(500)
    fit = gauss_newton((2, 3, 1), inputs, targets, counts, generator=np.random.default_rng(0), restarts=1, l2=0.1)

    forward = fit.network.forward(inputs)
    gradient = fit.network.gradient(forward, LOG_LOSS.slopes(targets, forward.totals)) / len(inputs)
    penalty = np.concatenate([np.append(np.ones(6), np.zeros(3)), np.append(np.ones(3), 0.0)]) * 0.1 / len(inputs)
    assert gradient + penalty * fit.network.parameters == pytest.approx(np.zeros(13), abs=2e-4)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    inputs, targets, counts = _people(500)
    fit = gauss_newton((2, 1), inputs, targets, counts, generator=np.random.default_rng(0), restarts=1, l2=0.1)
    oracle = LogisticRegression(C=10.0, tol=1e-10, max_iter=1000).fit(inputs, targets[:, 0])
    assert fit.network.parameters == pytest.approx([*oracle.coef_[0], *oracle.intercept_], rel=1e-4)


def test_a_counted_row_is_as_good_as_the_row_repeated() -> None:
    inputs, targets, _ = _people(60)
    counts = np.arange(60) % 3 + 1.0
    repeated = np.repeat(np.arange(60), counts.astype(int))
    counted, single = (
        gauss_newton((2, 2, 1), *people, generator=np.random.default_rng(0), restarts=1, l2=0.1)
        for people in ((inputs, targets, counts), (inputs[repeated], targets[repeated], np.ones(len(repeated))))
    )
    assert counted.loss == pytest.approx(single.loss, rel=1e-9)


def test_both_trainers_learn_a_handful_of_people_by_heart() -> None:
    inputs = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    targets = np.array([[0.0], [1.0], [1.0], [0.0]])
    newton = gauss_newton((2, 4, 1), inputs, targets, np.ones(4), generator=_seed(0), restarts=4, l2=1e-4)
    descent = sgd(Network.random((2, 4, 1), _seed(0)), inputs, targets, loss=LOG_LOSS, learning_rate=0.5, epochs=3000)
    for fit in (newton, descent):
        assert fit.loss < 0.05
        assert ((fit.network.feedforward(inputs) >= 0.5) == targets).all()


@pytest.mark.parametrize("restarts", [1, 3])
def test_the_same_seed_gives_the_same_bits(restarts: int) -> None:
    inputs, targets, counts = _people(300)
    first, second = (
        gauss_newton((2, 2, 1), inputs, targets, counts, generator=_seed(7), restarts=restarts, l2=0.1)
        for _ in range(2)
    )
    assert first.network.parameters.tobytes() == second.network.parameters.tobytes()


def test_more_restarts_never_end_worse() -> None:
    inputs, targets, counts = _people(300)
    fits = [
        gauss_newton((2, 4, 1), inputs, targets, counts, generator=_seed(3), restarts=restarts, l2=0.0)
        for restarts in (1, 2, 4, 8)
    ]
    losses = [fit.loss for fit in fits]
    assert losses == sorted(losses, reverse=True)


def test_shuffling_and_decay_change_what_sgd_finds_and_the_generator_decides_how() -> None:
    inputs, targets, _ = _people(50)

    def parameters(**settings: object) -> bytes:
        start = Network.random((2, 2, 1), _seed(0))
        fit = sgd(start, inputs, targets, loss=LOG_LOSS, learning_rate=0.1, epochs=3, **settings)
        return fit.network.parameters.tobytes()

    assert parameters(shuffle=_seed(1)) == parameters(shuffle=_seed(1))
    assert len({parameters(), parameters(shuffle=_seed(1)), parameters(learning_rate_decay=0.5)}) == 3


def test_weights_that_grow_beyond_all_bounds_are_an_error_and_not_a_model() -> None:
    inputs, targets, _ = _people(50)
    with pytest.raises(TrainingError, match="a smaller learning rate is needed"):
        sgd(
            Network.random((2, 2, 1), _seed(0)),
            inputs * 1e10,
            targets,
            loss=LOG_LOSS,
            learning_rate=1e308,
            epochs=5,
        )


def _people(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((number, 2))
    chance = 1.0 / (1.0 + np.exp(-(inputs[:, 0] - 2.0 * inputs[:, 1] + inputs[:, 0] * inputs[:, 1])))
    return inputs, (generator.random(number) < chance).astype(float)[:, None], np.ones(number)


def _seed(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
