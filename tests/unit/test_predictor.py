"""Measurements in, probabilities out: one person as many, what the digest covers, and where people trained on lie."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis
from threadpoolctl import threadpool_limits

from model import units
from model.network.network import Network
from model.network.trainers import gauss_newton
from model.predictor import FEMALE, MALE, Predictor, TrainingRange, likelier
from model.training.people import People, read_people

Array = NDArray[np.float64]
SHAPES = [(2, 1), (2, 2, 1), (2, 8, 1), (2, 8, 4, 1), (2, 3, 3, 3, 1)]
SHIFT, SCALE = (178.0, 66.5), (42.0, 4.0)
EPSILON = float(np.finfo(float).eps)

weights_lb = st.floats(units.WEIGHT_LB.minimum, units.WEIGHT_LB.maximum)
heights_in = st.floats(units.HEIGHT_IN.minimum, units.HEIGHT_IN.maximum)


def predictor_of(sizes: tuple[int, ...], seed: int, size: float = 1.0) -> Predictor:
    parameters = np.random.default_rng(seed).standard_normal(Network.count_parameters(sizes)) * size
    return Predictor(Network(sizes, parameters), SHIFT, SCALE)


def rounding_bound(predictor: Predictor, measurements: Array) -> float:
    """How far two ways of adding the same sums may differ, carried through the layers: a sigmoid's slope is up to ¼."""
    activations = np.abs((measurements - predictor.shift) / predictor.scale)
    error = EPSILON * activations
    for weights, biases in predictor.network.layers:
        terms = np.abs(weights) @ activations + np.abs(biases)
        error = np.abs(weights) @ error + 2 * (len(activations) + 1) * EPSILON * terms
        error, activations = np.minimum(0.25 * error, 1.0) + 2 * EPSILON, np.ones_like(biases)
    return float(error[0])


@pytest.fixture(scope="module")
def people() -> People:
    """Those of the shipped sample who are trained on."""
    people = read_people("nhanes")
    return people.where(~people.held_out)


@pytest.fixture(scope="module")
def around(people: People) -> TrainingRange:
    return TrainingRange.around(people.measurements, people.female, people.counts)


# Probabilities


@pytest.fixture(scope="module", params=[(2, 1), (2, 2, 1), (2, 8, 1), (2, 4, 4, 1)], ids=str)
def trained(request: pytest.FixtureRequest, people: People) -> Predictor:
    mean = np.average(people.measurements, axis=0, weights=people.counts)
    shift, scale = tuple(mean.tolist()), tuple(people.measurements.std(axis=0).tolist())
    with threadpool_limits(1, user_api="blas"):
        fit = gauss_newton(
            request.param,
            (people.measurements - shift) / scale,
            people.female[:, None],
            people.counts,
            generator=np.random.default_rng(1),
            restarts=1,
            l2=0.1,
        )
    return Predictor(fit.network, shift, scale)


def test_of_a_trained_network_one_person_is_as_many_to_1e_14(trained: Predictor, people: People) -> None:
    many = trained.probabilities_female(people.measurements)
    one = [trained.probability_female(weight, height) for weight, height in people.measurements.tolist()]
    assert np.abs(many - one).max() <= 1e-14


@settings(deadline=None)
@given(weight=weights_lb, height=heights_in)
def test_a_trained_network_says_the_same_of_one_person_as_of_many_everywhere_in_the_domain(
    trained: Predictor, weight: float, height: float
) -> None:
    many = float(trained.probabilities_female(np.array([[weight, height]]))[0])
    assert abs(trained.probability_female(weight, height) - many) <= 1e-14


@settings(deadline=None)
@given(
    sizes=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32),
    size=st.floats(0, 100),
    weight=weights_lb,
    height=heights_in,
)
def test_of_any_network_one_person_is_as_many_up_to_the_rounding_of_sums(
    sizes: tuple[int, ...], seed: int, size: float, weight: float, height: float
) -> None:
    predictor = predictor_of(sizes, seed, size)
    measurements = np.array([weight, height])

    many = float(predictor.probabilities_female(measurements[None, :])[0])
    one = predictor.probability_female(weight, height)

    assert abs(one - many) <= min(rounding_bound(predictor, measurements), 1.0)


@settings(deadline=None)
@given(
    sizes=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32),
    exponent=st.integers(3, 150),
    weight=weights_lb,
    height=heights_in,
)
def test_extreme_weights_give_a_probability_and_no_warning(
    sizes: tuple[int, ...], seed: int, exponent: int, weight: float, height: float
) -> None:
    predictor = predictor_of(sizes, seed, 10.0**exponent)
    many = float(predictor.probabilities_female(np.array([[weight, height]]))[0])
    one = predictor.probability_female(weight, height)
    assert 0.0 <= many <= 1.0
    assert 0.0 <= one <= 1.0


@pytest.mark.parametrize(("bias", "probability"), [(800.0, 1.0), (-800.0, 0.0), (1e308, 1.0), (-1e308, 0.0)])
def test_a_saturated_neuron_is_sure_for_one_as_for_many(bias: float, probability: float) -> None:
    predictor = Predictor(Network((2, 1), np.array([0.0, 0.0, bias])), SHIFT, SCALE)
    assert predictor.probability_female(150.0, 66.0) == probability
    assert predictor.probabilities_female(np.array([[150.0, 66.0]])).tolist() == [probability]


def test_one_person_is_shifted_scaled_and_passed_through_every_neuron() -> None:
    parameters = np.array([0.5, -1.0, 0.25, 1.5, 0.75, -0.5, 2.0, -3.0, 0.1])
    predictor = Predictor(Network((2, 2, 1), parameters), (135.0, 66.0), (10.0, 2.0))

    def sigmoid(total: float) -> float:
        return 1 / (1 + math.exp(-total))

    weight, height = (150.0 - 135.0) / 10.0, (70.0 - 66.0) / 2.0
    first = sigmoid(0.5 * weight - 1.0 * height + 0.75)
    second = sigmoid(0.25 * weight + 1.5 * height - 0.5)
    assert predictor.probability_female(150.0, 70.0) == pytest.approx(sigmoid(2 * first - 3 * second + 0.1), abs=1e-15)


def test_the_totals_are_the_log_odds_of_the_probabilities() -> None:
    predictor = predictor_of((2, 4, 1), seed=3)
    measurements = np.array([[150.0, 66.0], [200.0, 72.0], [110.0, 60.0]])
    probabilities = predictor.probabilities_female(measurements)
    assert predictor.totals(measurements) == pytest.approx(np.log(probabilities / (1 - probabilities)), rel=1e-12)


def test_exactly_one_half_is_female_and_the_next_number_below_is_not() -> None:
    assert likelier(0.5) == "female"
    assert likelier(math.nextafter(0.5, 0.0)) == "male"
    assert (likelier(1.0), likelier(0.0)) == ("female", "male")


def test_a_network_that_knows_nothing_says_one_half_and_so_female() -> None:
    predictor = Predictor(Network((2, 2, 1), np.zeros(9)), SHIFT, SCALE)
    probability = predictor.probability_female(150.0, 66.0)
    assert (probability, likelier(probability)) == (0.5, "female")


# The digest


def test_the_same_numbers_have_the_same_digest_whatever_their_order_in_memory() -> None:
    predictor = predictor_of((2, 3, 2, 1), seed=1)
    layers = [(np.asfortranarray(weights), biases[::-1].copy()[::-1]) for weights, biases in predictor.network.layers]
    assert not layers[0][0].flags.c_contiguous
    # As they lie in memory, without the copy that `from_layers` makes.
    scattered = Network(predictor.network.sizes, predictor.network.parameters)
    scattered.layers = [type(scattered.layers[0])(*layer) for layer in layers]

    assert Predictor(scattered, SHIFT, SCALE).digest == predictor.digest
    assert Predictor(Network.from_layers(layers), SHIFT, SCALE).digest == predictor.digest


def test_any_change_of_shift_scale_weight_or_bias_changes_the_digest() -> None:
    predictor = predictor_of((2, 3, 1), seed=1)
    variants = [
        dataclasses.replace(predictor, shift=(math.nextafter(SHIFT[0], 0.0), SHIFT[1])),
        dataclasses.replace(predictor, shift=(SHIFT[0], math.nextafter(SHIFT[1], 0.0))),
        dataclasses.replace(predictor, scale=(math.nextafter(SCALE[0], 0.0), SCALE[1])),
        dataclasses.replace(predictor, scale=(SCALE[0], math.nextafter(SCALE[1], 0.0))),
        dataclasses.replace(predictor, shift=SCALE, scale=SHIFT),
    ]
    for position in range(len(predictor.network.parameters)):
        parameters = predictor.network.parameters.copy()
        parameters[position] = math.nextafter(parameters[position], 0.0)
        variants.append(dataclasses.replace(predictor, network=Network(predictor.network.sizes, parameters)))

    digests = {variant.digest for variant in (predictor, *variants)}

    assert len(digests) == 1 + len(variants)


def test_the_same_numbers_in_another_shape_have_another_digest() -> None:
    numbers = np.arange(13.0)
    shapes = [(2, 3, 1), (2, 2, 1, 2), (12, 1)]
    digests = {
        Predictor(Network(sizes, numbers[: Network.count_parameters(sizes)]), SHIFT, SCALE).digest for sizes in shapes
    }
    assert len(digests) == 3


def test_the_arrays_are_named_by_layer_and_are_weights_by_neuron_and_biases() -> None:
    sizes = (2, 3, 4, 1)
    arrays = predictor_of(sizes, seed=1).arrays
    expected = {}
    for number, (inputs, neurons) in enumerate(pairwise(sizes), start=1):
        expected |= {f"weights_{number}": (neurons, inputs), f"biases_{number}": (neurons,)}
    assert {name: array.shape for name, array in arrays.items()} == expected


# The range of the people trained on


def share_inside(training_range: TrainingRange, measurements: Array, counts: Array) -> float:
    return float(counts[training_range.contains(measurements)].sum() / counts.sum())


def test_the_training_range_holds_999_of_1000_of_the_shipped_people(people: People, around: TrainingRange) -> None:
    share = share_inside(around, people.measurements, people.counts)
    assert 0.999 <= share < 1.0
    tighter = dataclasses.replace(around, radius=around.radius * 0.999)
    assert share_inside(tighter, people.measurements, people.counts) < 0.999


def few(seed: int, rows: int) -> tuple[Array, Array, Array]:
    generator = np.random.default_rng(seed)
    measurements = np.round(np.column_stack([generator.normal(170, 30, rows), generator.normal(66, 4, rows)]), 1)
    return measurements, (np.arange(rows) % 2).astype(float), generator.integers(1, 9, rows).astype(float)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(10, 300))
def test_the_training_range_of_few_people_holds_all_but_five(seed: int, rows: int) -> None:
    measurements, female, counts = few(seed, rows)
    training_range = TrainingRange.around(measurements, female, counts)
    assert counts[~training_range.contains(measurements)].sum() < 5


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(10, 300), far=st.floats(0.0, 600.0))
def test_where_the_training_range_ends_is_where_no_person_or_five_are(seed: int, rows: int, far: float) -> None:
    measurements, female, counts = few(seed, rows)
    measurements[0, 0] += far
    training_range = TrainingRange.around(measurements, female, counts)
    at_the_edge = training_range.distances(measurements) >= training_range.radius
    of_a_normal_distribution = math.sqrt(-2.0 * math.log(0.001))
    assert training_range.radius == pytest.approx(of_a_normal_distribution) or counts[at_the_edge].sum() >= 5


def test_the_training_range_of_3999_and_of_4000_people_is_decided_by_five() -> None:
    for people, outside in ((3999, 4), (4000, 4), (5000, 5)):
        heavy_tailed = np.random.default_rng(1).standard_t(3, people)
        measurements = np.column_stack([170.0 + 20.0 * heavy_tailed, np.arange(people) % 7])
        training_range = TrainingRange.around(measurements, np.arange(people) % 2.0, np.ones(people))
        assert np.count_nonzero(~training_range.contains(measurements)) == outside


def test_one_person_is_inside_as_many_are(people: People, around: TrainingRange) -> None:
    one = [around.contains_one(weight, height) for weight, height in people.measurements.tolist()]
    assert one == around.contains(people.measurements).tolist()


@settings(deadline=None)
@given(weight=weights_lb, height=heights_in)
def test_anyone_in_the_domain_is_inside_as_many_are(around: TrainingRange, weight: float, height: float) -> None:
    assert around.contains_one(weight, height) == bool(around.contains(np.array([[weight, height]]))[0])


@pytest.mark.parametrize("gender", [MALE, FEMALE])
def test_the_centres_and_covariances_are_those_of_the_people_repeated(
    gender: int, people: People, around: TrainingRange
) -> None:
    who = people.female == gender
    repeated = np.repeat(people.measurements[who], people.counts[who].astype(int), axis=0)
    assert around.means[gender] == pytest.approx(repeated.mean(axis=0), rel=1e-12)
    # A twelfth is the variance of what is rounded to a whole.
    covariance = np.cov(repeated, rowvar=False, ddof=0) + np.diag([1 / 12, 1 / 12])
    assert np.array(around.covariances[gender]) == pytest.approx(covariance, rel=1e-9)


@settings(deadline=None)
@given(weight=weights_lb, height=heights_in)
def test_the_distance_is_that_of_mahalanobis_to_the_nearer_gender(
    around: TrainingRange, weight: float, height: float
) -> None:
    expected = min(
        mahalanobis([weight, height], mean, np.linalg.inv(np.array(covariance)))
        for mean, covariance in zip(around.means, around.covariances, strict=True)
    )
    assume(expected > 1e-6)
    assert float(around.distances(np.array([[weight, height]]))[0]) == pytest.approx(expected, rel=1e-9)


def test_the_centre_of_either_gender_is_inside_and_the_corners_of_the_domain_are_not(around: TrainingRange) -> None:
    for mean in around.means:
        assert around.contains_one(*mean)
    for weight in (units.WEIGHT_LB.minimum, units.WEIGHT_LB.maximum):
        for height in (units.HEIGHT_IN.minimum, units.HEIGHT_IN.maximum):
            assert not around.contains_one(weight, height)


def test_four_people_have_a_range_too() -> None:
    people = read_people("tutorial", fewest=1, hold_out=False)
    training_range = TrainingRange.around(people.measurements, people.female, people.counts)
    assert training_range.contains(people.measurements).tolist() == [True] * 4
