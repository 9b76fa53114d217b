"""The metrics against scikit-learn's, counted rows against repeated ones, and the calibration that chance shows."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from model.network.network import sigmoid
from model.training.metrics import (
    Metrics,
    base_rate_totals,
    calibration_error,
    calibration_error_floor,
    log_losses,
    measure,
    reliability,
)

Array = NDArray[np.float64]
Rows = tuple[Array, Array, Array]


def rows_of(seed: int, rows: int = 500, decimals: int = 1) -> Rows:
    """Genders, totals with many ties, and counts."""
    generator = np.random.default_rng(seed)
    female = generator.integers(0, 2, rows).astype(float)
    totals = np.round(generator.normal(1.5 * female - 0.75, 1.5), decimals)
    return female, totals, generator.integers(1, 9, rows).astype(float)


@st.composite
def small_rows(draw: st.DrawFn) -> Rows:
    """A few rows, both genders among them; totals repeat often."""
    totals = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-30, 30))
    rows = draw(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), totals, st.integers(1, 5)), max_size=15))
    rows += [(0.0, draw(totals), draw(st.integers(1, 5))), (1.0, draw(totals), draw(st.integers(1, 5)))]
    female, total, counts = np.array(rows, dtype=float).T
    return female, total, counts


def calibration_error_in_a_loop(female: Array, totals: Array, counts: Array) -> float:
    """Ten bins of probability, the last closed; in each the mean answer against the share of women, by its people."""
    bins: list[list[tuple[float, float, float]]] = [[] for _ in range(10)]
    for who, probability, count in zip(female.tolist(), sigmoid(totals).tolist(), counts.tolist(), strict=True):
        bins[min(int(probability * 10), 9)].append((who, probability, count))
    error = 0.0
    for members in bins:
        people = sum(count for _, _, count in members)
        if people:
            said = sum(probability * count for _, probability, count in members) / people
            so = sum(who * count for who, _, count in members) / people
            error += people / counts.sum() * abs(said - so)
    return error


@pytest.mark.parametrize("decimals", [0, 1, 9], ids=["mostly ties", "many ties", "no ties"])
@pytest.mark.parametrize("seed", range(5))
def test_the_metrics_are_those_of_scikit_learn(seed: int, decimals: int) -> None:
    female, totals, counts = rows_of(seed, decimals=decimals)
    probabilities = sigmoid(totals)
    likelier = probabilities >= 0.5

    found = measure(female, totals, counts)

    assert found.log_loss == pytest.approx(log_loss(female, probabilities, sample_weight=counts), rel=1e-12)
    assert found.brier_score == pytest.approx(brier_score_loss(female, probabilities, sample_weight=counts), rel=1e-12)
    assert found.accuracy == pytest.approx(accuracy_score(female, likelier, sample_weight=counts), rel=1e-12)
    assert found.roc_auc == pytest.approx(roc_auc_score(female, totals, sample_weight=counts), rel=1e-12)


@settings(deadline=None)
@given(small_rows())
def test_the_area_under_the_curve_is_that_of_scikit_learn_whatever_the_ties(rows: Rows) -> None:
    female, totals, counts = rows
    expected = roc_auc_score(female, totals, sample_weight=counts)
    assert measure(female, totals, counts).roc_auc == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(small_rows())
def test_the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order(rows: Rows) -> None:
    female, totals, counts = (part.tolist() for part in rows)
    right = pairs = 0.0
    for woman, her_total, her_count in zip(female, totals, counts, strict=True):
        for man, his_total, his_count in zip(female, totals, counts, strict=True):
            if woman == 1.0 and man == 0.0:
                pairs += her_count * his_count
                right += her_count * his_count * (her_total > his_total or 0.5 * (her_total == his_total))
    assert measure(*rows).roc_auc == pytest.approx(right / pairs, rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(small_rows())
def test_the_calibration_error_is_that_of_a_plain_loop(rows: Rows) -> None:
    assert measure(*rows).calibration_error == pytest.approx(calibration_error_in_a_loop(*rows), abs=1e-12)


@settings(deadline=None)
@given(small_rows())
def test_counted_rows_are_measured_as_repeated_ones(rows: Rows) -> None:
    female, totals, counts = rows
    times = counts.astype(int)
    repeated = measure(np.repeat(female, times), np.repeat(totals, times), np.ones(times.sum()))
    for name, value in dataclasses.asdict(measure(female, totals, counts)).items():
        assert value == pytest.approx(getattr(repeated, name), rel=1e-12, abs=1e-12), name


@settings(deadline=None)
@given(small_rows(), st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows: Rows, chance: object) -> None:
    order = list(range(len(rows[0])))
    chance.shuffle(order)
    shuffled = measure(*(part[order] for part in rows))
    assert dataclasses.astuple(shuffled) == pytest.approx(dataclasses.astuple(measure(*rows)), rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(small_rows())
def test_every_metric_is_finite_and_all_but_the_log_loss_lie_between_0_and_1(rows: Rows) -> None:
    found = measure(*rows)
    assert 0.0 <= found.log_loss < math.inf
    for name in ("brier_score", "accuracy", "roc_auc", "calibration_error"):
        assert 0.0 <= getattr(found, name) <= 1.0 + 1e-12, name


def test_a_perfect_answer_has_perfect_metrics() -> None:
    female = np.array([0.0, 1.0, 1.0, 0.0])
    found = measure(female, np.where(female == 1, 800.0, -800.0), np.ones(4))
    assert found == Metrics(log_loss=0.0, brier_score=0.0, accuracy=1.0, roc_auc=1.0, calibration_error=0.0)


def test_a_sure_and_wrong_answer_costs_its_total_and_not_infinity() -> None:
    assert log_losses(np.array([0.0, 1.0]), np.array([900.0, -900.0])).tolist() == [900.0, 900.0]


def test_exactly_one_half_counts_as_female() -> None:
    assert measure(np.array([1.0, 0.0]), np.zeros(2), np.array([3.0, 1.0])).accuracy == 0.75


def test_the_base_rate_answers_everyone_with_the_share_of_women_among_those_trained_on() -> None:
    totals = base_rate_totals(0.25, rows=5)
    assert totals.shape == (5,)
    assert sigmoid(totals) == pytest.approx(0.25, rel=1e-15)


def test_the_base_rate_has_an_area_of_one_half_and_the_entropy_of_the_genders() -> None:
    female, _, counts = rows_of(1)
    share = float(np.average(female, weights=counts))
    found = measure(female, base_rate_totals(share, len(female)), counts)
    assert found.roc_auc == 0.5
    assert found.log_loss == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share), rel=1e-12)
    assert found.calibration_error == pytest.approx(0.0, abs=1e-12)


# The calibration that chance alone shows


@pytest.mark.parametrize("people", [40, 300, 5000])
def test_the_floor_is_what_probabilities_that_are_exactly_right_show_on_average(people: int) -> None:
    generator = np.random.default_rng(people)
    totals = generator.normal(0.0, 1.5, people)
    counts = np.ones(people)
    errors = [
        calibration_error((generator.random(people) < sigmoid(totals)).astype(float), totals, counts)
        for _ in range(1000)
    ]
    assert calibration_error_floor(totals, counts) == pytest.approx(np.mean(errors), rel=0.05)


def test_the_floor_is_that_of_the_people_a_row_stands_for() -> None:
    _, totals, counts = rows_of(3)
    repeated = np.repeat(totals, counts.astype(int))
    expected = calibration_error_floor(repeated, np.ones(len(repeated)))
    assert calibration_error_floor(totals, counts) == pytest.approx(expected, rel=1e-12)


def test_the_floor_falls_with_the_square_root_of_the_people() -> None:
    _, totals, counts = rows_of(4)
    ratio = calibration_error_floor(totals, counts) / calibration_error_floor(totals, counts * 100.0)
    assert ratio == pytest.approx(10.0)


@settings(deadline=None)
@given(small_rows())
def test_a_reliability_table_holds_everyone_in_bins_of_five_or_more(rows: Rows) -> None:
    female, totals, counts = rows
    table = reliability(female, totals, counts)
    if counts.sum() < 5:
        assert table == ()
        return
    assert sum(found.people for found in table) == counts.sum()
    assert all(found.people >= 5 for found in table)
    assert (table[0].lower, table[-1].upper) == (0.0, 1.0)
    assert all(one.upper == other.lower for one, other in pairwise(table))
    for found in table:
        assert found.lower <= found.mean_probability_female <= found.upper + 1e-12
    women = sum(found.share_female * found.people for found in table)
    assert women == pytest.approx((female * counts).sum())


@settings(deadline=None)
@given(small_rows())
def test_no_difference_of_accuracy_and_reliability_table_shows_fewer_than_five(rows: Rows) -> None:
    """Where at least five are called male and five female: how many of each gender follows from the accuracies."""
    female, totals, counts = rows
    called_male = counts[sigmoid(totals) < 0.5].sum()
    if min(called_male, counts.sum() - called_male) < 5:
        return
    below = np.cumsum([found.people for found in reliability(female, totals, counts)])
    apart = np.abs(below - called_male)
    assert ((apart == 0) | (apart >= 5)).all()


def test_the_calibration_error_is_the_mean_gap_of_a_reliability_table_whose_bins_are_full() -> None:
    female, totals, counts = rows_of(5, rows=5000)
    table = reliability(female, totals, counts)
    gaps = [found.people * abs(found.mean_probability_female - found.share_female) for found in table]
    assert len(table) == 10
    assert sum(gaps) / counts.sum() == pytest.approx(calibration_error(female, totals, counts), rel=1e-12)
