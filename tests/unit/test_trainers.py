"""The trainers: they overfit what can be overfitted, move where they should, and repeat themselves to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import TrainingError
from model.network import plain
from model.network.descent import Descent, Rows, descend
from model.network.losses import LOG_LOSS, MEAN_SQUARED_ERROR, Loss
from model.network.network import Network, sigmoid
from model.network.trainers import gauss_newton, saturated_units, sgd


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


def test_of_many_starts_the_best_is_taken() -> None:
    """Among these people two neurons have more than one valley, and a single start often ends in a shallow one."""
    inputs, targets, counts = _people(300)

    def losses(restarts: int) -> list[float]:
        settings = {"restarts": restarts, "l2": 0.1}
        seeds = range(10)
        return [gauss_newton((2, 2, 1), inputs, targets, counts, generator=_seed(s), **settings).loss for s in seeds]

    single, many = losses(1), losses(8)
    assert max(single) > min(single) + 0.005
    assert max(many) < min(single) + 0.001


@pytest.mark.parametrize("hidden", [(), (2,), (8,), (3, 3)])
def test_steps_among_merged_people_end_where_steps_among_all_would(hidden: tuple[int, ...]) -> None:
    inputs, targets, counts = _people(2000)
    sizes = (2, *hidden, 1)
    fit = gauss_newton(sizes, inputs, targets, counts, generator=_seed(0), restarts=2, l2=0.3)

    everyone = Rows(inputs, targets, counts[:, None] / 2000)
    zero = Network(sizes, np.zeros(len(fit.network.parameters)))
    of_weights = [np.repeat([1.0, 0.0], [layer.weights.size, layer.biases.size]) for layer in zero.layers]
    penalty = 0.3 * np.concatenate(of_weights) / 2000
    exact = descend(Descent(fit.network), everyone, everyone, penalty, 1e-12, maximum_epochs=1000)

    reached = fit.loss + 0.5 * penalty @ fit.network.parameters**2
    assert exact.objective <= reached <= exact.objective * (1 + 3e-4)
    assert np.abs(fit.network.feedforward(inputs) - exact.network.feedforward(inputs)).max() < 0.02
    if hidden in ((), (2,)):  # wider networks have directions in which nearly nothing changes
        assert fit.network.parameters == pytest.approx(exact.network.parameters, abs=0.02)


def test_merging_keeps_the_sums_and_puts_together_only_what_is_near() -> None:
    inputs, targets, _ = _people(3000)
    rows = Rows(inputs, targets, np.full((3000, 1), 1 / 3000))
    merged = rows.merged(0.2)
    assert len(merged.inputs) < 1000
    assert merged.share.sum() == pytest.approx(1.0)
    for before, after in ((inputs, merged.inputs), (targets, merged.targets)):
        assert (merged.share * after).sum(axis=0) == pytest.approx(before.mean(axis=0), abs=1e-12)
    nearest = np.abs(inputs[:, None] - merged.inputs[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 0.2 * inputs.std(axis=0).max()


def test_people_far_out_take_nothing_from_the_others() -> None:
    inputs, targets, counts = _people(300)
    inputs[0] = 1e12, -1e12
    fit = gauss_newton((2, 2, 1), inputs, targets, counts, generator=_seed(0), restarts=2, l2=0.3)
    assert 0.3 < fit.loss < 0.7


@pytest.mark.parametrize("inputs_of_each", [1, 2, 3, 5, 40])
def test_any_number_of_inputs_can_be_merged(inputs_of_each: int) -> None:
    inputs = _seed(0).standard_normal((80, inputs_of_each))
    targets = (inputs[:, :1] > 0.0).astype(float)
    sizes = (inputs_of_each, 3, 1)
    fit = gauss_newton(sizes, inputs, targets, np.ones(80), generator=_seed(0), restarts=2, l2=0.1)
    assert fit.loss < 0.2


@pytest.mark.parametrize("hidden", [(), (2,), (8,), (4, 3)])
def test_people_who_are_all_alike_get_the_share_of_them_that_is_female(hidden: tuple[int, ...]) -> None:
    inputs, targets = np.full((40, 2), 0.7), (np.arange(40) < 30).astype(float)[:, None]
    fit = gauss_newton((2, *hidden, 1), inputs, targets, np.ones(40), generator=_seed(0), restarts=2, l2=0.3)
    assert fit.network.feedforward(inputs[:1]).item() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("hidden", [(), (2,), (8,)])
@pytest.mark.parametrize("people", [1, 2, 3])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_few_people_are_enough_to_end_in_finite_numbers(hidden: tuple[int, ...], people: int, l2: float) -> None:
    inputs, targets, counts = _people(people)
    fit = gauss_newton((2, *hidden, 1), inputs, targets, counts, generator=_seed(0), restarts=2, l2=l2)
    assert np.isfinite(fit.network.parameters).all()
    assert fit.loss < 0.7


def test_two_inputs_that_are_the_same_share_the_weight() -> None:
    """Without the penalty's help there: the curvature is singular, and the damping is what makes it solvable."""
    inputs, targets, counts = _people(200)
    twins = np.column_stack([inputs[:, 1], inputs[:, 1]])
    fit = gauss_newton((2, 1), twins, targets, counts, generator=_seed(0), restarts=1, l2=0.0)
    single = gauss_newton((1, 1), inputs[:, 1:], targets, counts, generator=_seed(0), restarts=1, l2=0.0)
    assert fit.loss == pytest.approx(single.loss, rel=1e-6)


def test_no_start_is_no_training() -> None:
    with pytest.raises(TrainingError, match="restarts must be 1 or more"):
        gauss_newton((2, 2, 1), *_people(50), generator=_seed(0), restarts=0, l2=0.1)


def test_the_history_of_gauss_newton_is_that_of_the_best_start() -> None:
    fit = gauss_newton((2, 2, 1), *_people(300), generator=_seed(0), restarts=3, l2=0.1)
    epochs, losses = zip(*fit.history, strict=True)
    assert epochs == tuple(range(1, len(epochs) + 1))
    assert len(epochs) < fit.epochs
    assert losses[-1] == fit.loss < losses[0]


@pytest.mark.parametrize("most", [1, 2, 5, 9])
def test_no_more_steps_than_allowed_and_the_last_loss_is_that_of_everyone(most: int) -> None:
    inputs, targets, counts = _people(300)
    fit = gauss_newton((2, 2, 1), inputs, targets, counts, generator=_seed(1), restarts=1, l2=0.1, maximum_epochs=most)
    mean_loss = float(LOG_LOSS.of_each(targets, fit.network.forward(inputs).totals).mean())
    assert [epoch for epoch, _ in fit.history] == list(range(1, most + 1))
    assert fit.loss == fit.history[-1][1] == pytest.approx(mean_loss, rel=1e-12)


def test_the_history_of_sgd_is_what_was_told_and_the_end() -> None:
    inputs, targets, _ = _people(50)
    told: list[tuple[int, float]] = []
    fit = sgd(
        Network.random((2, 2, 1), _seed(0)),
        inputs,
        targets,
        loss=LOG_LOSS,
        learning_rate=0.1,
        epochs=25,
        on_epoch=lambda epoch, loss: told.append((epoch, loss)),
    )
    assert [epoch for epoch, _ in told] == [0, 10, 20]
    assert fit.history == (*told, (24, fit.loss))


@pytest.mark.parametrize("loss", [LOG_LOSS, MEAN_SQUARED_ERROR])
@pytest.mark.parametrize("sizes", [(2, 1), (2, 2, 1), (2, 5, 4, 1), (3, 4, 2)])
def test_one_person_at_a_time_is_the_same_in_plain_floats_and_in_matrices(
    sizes: tuple[int, ...], loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, targets = _seed(1).standard_normal((30, sizes[0])), _seed(2).integers(0, 2, (30, sizes[-1])).astype(float)
    start = Network.random(sizes, _seed(0))
    ends = []
    for few_parameters in (10**6, 0):
        monkeypatch.setattr("model.network.trainers._FEW_PARAMETERS", few_parameters)
        ends.append(sgd(start, inputs, targets, loss=loss, learning_rate=0.1, epochs=20).network.parameters)
    assert ends[0] == pytest.approx(ends[1], abs=1e-12)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_sigmoid_of_a_float_is_that_of_an_array(total: float) -> None:
    assert plain.sigmoid(total) == pytest.approx(sigmoid(np.array([total])).item(), rel=1e-14)


def test_a_neuron_that_is_at_the_same_end_for_everyone_is_saturated() -> None:
    inputs = _seed(0).standard_normal((1000, 2))
    first = np.array([[0.1, 0.0], [1.0, 1.0], [0.0, 0.1], [50.0, 0.0]]), np.array([9.0, 0.0, -9.0, 0.0])
    second = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]), np.array([0.0, 20.0])
    network = Network.from_layers([first, second, (np.ones((1, 2)), np.zeros(1))])
    assert saturated_units(network, inputs, np.ones(1000)) == ((1, 1), (1, 3), (2, 2))


def test_people_count_as_often_as_they_are_in_what_is_saturated() -> None:
    inputs = np.array([[-10.0], [0.0]])
    network = Network.from_layers([(np.array([[1.0]]), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))])
    assert saturated_units(network, inputs, np.array([99.0, 1.0])) == ((1, 1),)
    assert saturated_units(network, inputs, np.array([98.0, 2.0])) == ()


def test_raw_pounds_saturate_what_sgd_trains_and_the_fit_says_so() -> None:
    generator = _seed(0)
    female = np.arange(400) % 2.0
    inputs = np.column_stack([generator.normal(190 - 25 * female, 40), generator.normal(69 - 5 * female, 3)])
    start = Network.random((2, 4, 1), _seed(3))
    raw = sgd(start, inputs, female[:, None], loss=LOG_LOSS, learning_rate=0.1, epochs=2)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    standardised = sgd(start, scaled, female[:, None], loss=LOG_LOSS, learning_rate=0.1, epochs=2)
    assert raw.saturated_units
    assert standardised.saturated_units == ()


def test_shuffling_and_decay_change_what_sgd_finds_and_the_generator_decides_how() -> None:
    inputs, targets, _ = _people(50)

    def parameters(**settings: object) -> bytes:
        start = Network.random((2, 2, 1), _seed(0))
        fit = sgd(start, inputs, targets, loss=LOG_LOSS, learning_rate=0.1, epochs=3, **settings)
        return fit.network.parameters.tobytes()

    assert parameters(shuffle=_seed(1)) == parameters(shuffle=_seed(1))
    assert len({parameters(), parameters(shuffle=_seed(1)), parameters(learning_rate_decay=0.5)}) == 3


@pytest.mark.parametrize("loss", [LOG_LOSS, MEAN_SQUARED_ERROR])
@pytest.mark.parametrize("hidden", [(2,), (60,)], ids=["plain floats", "matrices"])
@pytest.mark.parametrize("learning_rate", [1e9, 1e100, 1e300, 1e308])
def test_weights_that_grow_beyond_all_bounds_are_an_error_and_not_a_model(
    learning_rate: float, hidden: tuple[int, ...], loss: Loss
) -> None:
    inputs, targets, _ = _people(50)
    told: list[float] = []
    with pytest.raises(TrainingError, match="a smaller learning rate is needed"):
        sgd(
            Network.random((2, *hidden, 1), _seed(0)),
            inputs,
            targets,
            loss=loss,
            learning_rate=learning_rate,
            epochs=5,
            on_epoch=lambda _epoch, loss: told.append(loss),
        )
    assert told == []


def _people(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((number, 2))
    chance = 1.0 / (1.0 + np.exp(-(inputs[:, 0] - 2.0 * inputs[:, 1] + inputs[:, 0] * inputs[:, 1])))
    return inputs, (generator.random(number) < chance).astype(float)[:, None], np.ones(number)


def _seed(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
