"""A whole evaluation: its slices add up, and neither one of them nor the difference of two shows fewer than five."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.network.network import Network
from model.predictor import Predictor
from model.training.evaluation import (
    Evaluation,
    cross_fitted_logistic_regression,
    evaluate,
    evaluate_training,
    logistic_regression,
)
from model.training.metrics import log_losses
from model.training.people import People, read_people
from model.training.together import merged

PREDICTOR = Predictor(Network((2, 1), np.array([0.01, -0.6, 0.2])), shift=(170.0, 66.0), scale=(1.0, 1.0))


def some(number: int, seed: int = 1) -> People:
    """Men and women, rather alike, each in a row that may stand for more."""
    generator = np.random.default_rng(seed)
    female = (np.arange(number) % 2).astype(float)
    measurements = generator.normal((180.0, 67.0), (40.0, 4.0), (number, 2)) - np.outer(female, (20.0, 3.0))
    counts = generator.integers(1, 4, number).astype(float)
    return People(measurements, female, counts, np.zeros(number, dtype=np.bool_), "people", {})


def evaluated(people: People) -> Evaluation:
    return evaluate(PREDICTOR, people, population="everyone", share_female=0.5, logistic_regression_totals=None)


@pytest.mark.parametrize("measurement", ["weight_lb", "height_in"])
@pytest.mark.parametrize("number", [20, 200, 2000])
def test_the_bands_of_a_measurement_hold_everyone_once(number: int, measurement: str) -> None:
    people = some(number)
    found = [one for one in evaluated(people).slices if getattr(one, measurement) and one.gender is None]
    bands = [getattr(one, measurement) for one in found]
    assert bands[0][0] is bands[-1][1] is None
    assert all(one[1] == other[0] for one, other in itertools.pairwise(bands))
    assert sum(one.people for one in found) == len(people)


def test_the_log_loss_of_all_is_the_mean_of_the_slices() -> None:
    evaluation = evaluated(some(2000))
    for which in (
        lambda one: one.gender and not one.height_in,
        lambda one: one.weight_lb,
        lambda one: one.height_in and not one.gender,
        lambda one: one.height_in and one.gender,
    ):
        slices = [one for one in evaluation.slices if which(one)]
        mean = sum(one.people * one.log_loss for one in slices) / evaluation.people
        assert mean == pytest.approx(evaluation.metrics.log_loss, rel=1e-12)


@settings(max_examples=40)
@given(number=st.integers(2, 80), seed=st.integers(0, 1000))
def test_no_slice_and_no_difference_of_slices_shows_fewer_than_five(number: int, seed: int) -> None:
    slices = evaluated(some(number, seed)).slices
    assert all(one.people >= 5 for one in slices)
    by_height = {one.height_in: one.people for one in slices if one.height_in and one.gender is None}
    for gender in ("male", "female"):
        of_gender = {one.height_in: one.people for one in slices if one.height_in and one.gender == gender}
        assert of_gender.keys() == by_height.keys()
        assert all(by_height[band] - count >= 5 for band, count in of_gender.items())


@settings(max_examples=40)
@given(number=st.integers(2, 80), seed=st.integers(0, 1000))
def test_no_band_is_everyone_once_more(number: int, seed: int) -> None:
    for one in evaluated(some(number, seed)).slices:
        assert (None, None) not in (one.weight_lb, one.height_in)


def test_a_slice_of_one_gender_has_no_calibration_error() -> None:
    for one in evaluated(some(500)).slices:
        assert (one.calibration_error is None) == (one.gender is not None)
        assert (one.calibration_error_floor is None) == (one.gender is not None)


def test_four_people_have_metrics_and_nothing_else() -> None:
    evaluation = evaluate_training(PREDICTOR, read_people("tutorial", fewest=1, hold_out=False))
    assert (evaluation.population, evaluation.people) == ("trained_on", 4)
    assert (evaluation.intervals, evaluation.calibration_error_floor) == ({}, None)
    assert (evaluation.reliability, evaluation.slices) == ((), ())


def test_an_evaluation_of_the_same_people_says_the_same() -> None:
    assert evaluated(some(300)) == evaluated(some(300))


def test_each_person_is_judged_by_a_logistic_regression_of_the_others() -> None:
    people = some(300)
    found = cross_fitted_logistic_regression(people, PREDICTOR)
    assert found is not None
    own = logistic_regression(people, PREDICTOR).totals(people.measurements)
    losses = [float(np.average(log_losses(people.female, totals), weights=people.counts)) for totals in (found, own)]
    assert losses[1] < losses[0] < losses[1] + 0.05
    assert np.corrcoef(found, own)[0, 1] > 0.99


def test_too_few_people_have_no_logistic_regression() -> None:
    assert cross_fitted_logistic_regression(some(10), PREDICTOR) is None


@given(st.lists(st.integers(0, 12), max_size=30))
def test_bins_are_put_together_without_losing_anyone(people: list[int]) -> None:
    groups = merged(people)
    if sum(people) < 5:
        assert groups == []
        return
    assert [position for start, end in groups for position in range(start, end)] == list(range(len(people)))
    assert all(sum(people[start:end]) >= 5 for start, end in groups)
