"""Intervals hold what they promise to hold: how often is counted, over many sets of people drawn anew."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from model.network.network import sigmoid
from model.training.bootstrap import interval_of_mean, intervals
from model.training.metrics import LOWER_IS_BETTER, log_losses, measure

DRAWS, PEOPLE = 100, 250


def drawn(generator: np.random.Generator, people: int) -> tuple[np.ndarray, np.ndarray]:
    """People of whom a model knows something, and exaggerates it."""
    totals = generator.normal(0.0, 1.5, people)
    female = (generator.random(people) < sigmoid(0.7 * totals + 0.2)).astype(float)
    return female, totals


@pytest.fixture(scope="module")
def coverage() -> dict[str, float]:
    """How often each metric's interval held its mean over all draws: what is measured of so many people on average."""
    generator = np.random.default_rng(1)
    counts = np.ones(PEOPLE)
    mean = {
        metric: np.mean([asdict(measure(*drawn(generator, PEOPLE), counts))[metric] for _ in range(600)])
        for metric in LOWER_IS_BETTER
    }
    held = dict.fromkeys(LOWER_IS_BETTER, 0)
    for _ in range(DRAWS):
        for metric, (lower, upper) in intervals(*drawn(generator, PEOPLE), counts, generator).items():
            held[metric] += lower <= mean[metric] <= upper
    return {metric: number / DRAWS for metric, number in held.items()}


@pytest.mark.parametrize("metric", LOWER_IS_BETTER)
def test_an_interval_of_95_percent_holds_the_truth_about_95_times_of_a_hundred(
    coverage: dict[str, float], metric: str
) -> None:
    assert 0.88 <= coverage[metric] <= 1.0


def test_no_interval_is_so_wide_that_it_always_holds(coverage: dict[str, float]) -> None:
    assert min(coverage.values()) < 1.0


def test_a_difference_inside_the_noise_has_an_interval_around_0_and_one_beyond_it_has_not() -> None:
    generator = np.random.default_rng(2)
    female, totals = drawn(generator, 1000)
    counts = np.ones(1000)
    nearly_the_same = log_losses(female, totals + generator.normal(0.0, 0.05, 1000)) - log_losses(female, totals)
    calibrated = log_losses(female, 0.7 * totals + 0.2) - log_losses(female, totals)

    lower, upper = interval_of_mean(nearly_the_same, counts, generator)
    assert lower < 0.0 < upper
    lower, upper = interval_of_mean(calibrated, counts, generator)
    assert lower < upper < 0.0


def test_of_two_models_that_are_as_good_one_is_better_beyond_the_noise_about_once_in_forty_times() -> None:
    """Both err from the truth alike, to either side: which is better is chance alone."""
    generator = np.random.default_rng(12)
    counts, let_through = np.ones(200), 0
    for _ in range(400):
        totals, error = generator.normal(0.0, 2.0, 200), generator.normal(0.0, 0.3, 200)
        female = (generator.random(200) < sigmoid(totals)).astype(float)
        difference = log_losses(female, totals + error) - log_losses(female, totals - error)
        let_through += interval_of_mean(difference, counts, np.random.default_rng(0))[1] < 0.0
    assert 2 <= let_through <= 20


def test_a_paired_difference_is_known_far_better_than_either_loss() -> None:
    generator = np.random.default_rng(3)
    female, totals = drawn(generator, 1000)
    counts, one, other = np.ones(1000), log_losses(female, totals), log_losses(female, totals + 0.05)
    lower, upper = interval_of_mean(other - one, counts, generator)
    alone_lower, alone_upper = interval_of_mean(one, counts, generator)
    assert upper - lower < 0.2 * (alone_upper - alone_lower)


def test_a_row_that_stands_for_many_people_is_as_many_people() -> None:
    generator = np.random.default_rng(4)
    female, totals = drawn(generator, 400)
    counts = generator.integers(1, 30, 400)
    by_row = intervals(female, totals, counts.astype(float), np.random.default_rng(5))
    each = (np.repeat(female, counts), np.repeat(totals, counts), np.ones(counts.sum()))
    by_person = intervals(*each, np.random.default_rng(6))
    for metric, (lower, upper) in by_row.items():
        width = upper - lower
        assert by_person[metric] == pytest.approx((lower, upper), abs=0.15 * width), metric


def test_the_same_generator_gives_the_same_intervals() -> None:
    female, totals = drawn(np.random.default_rng(7), 200)
    first, second = (intervals(female, totals, np.ones(200), np.random.default_rng(8)) for _ in range(2))
    assert first == second


def test_the_metrics_themselves_lie_in_their_intervals() -> None:
    for seed in range(20):
        female, totals = drawn(np.random.default_rng(seed), 200)
        found = intervals(female, totals, np.ones(200), np.random.default_rng(seed))
        for metric, value in asdict(measure(female, totals, np.ones(200))).items():
            lower, upper = found[metric]
            assert lower < value < upper, metric


def test_a_saturated_network_whose_totals_are_nearly_alike_is_ranked_still() -> None:
    generator = np.random.default_rng(10)
    female, totals = drawn(generator, 1000)
    found = intervals(female, 1e-6 * totals, np.ones(1000), np.random.default_rng(11))
    expected = intervals(female, totals, np.ones(1000), np.random.default_rng(11))
    assert found["roc_auc"] == pytest.approx(expected["roc_auc"], abs=0.005)


def test_a_handful_of_people_of_whom_a_resample_may_lack_a_gender_have_finite_intervals() -> None:
    female, totals = np.array([0.0, 1.0]), np.array([0.3, 0.1])
    found = intervals(female, totals, np.ones(2), np.random.default_rng(9))
    assert np.isfinite(np.array(list(found.values()))).all()
    assert np.isfinite(interval_of_mean(totals, np.ones(2), np.random.default_rng(9))).all()
