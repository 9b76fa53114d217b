"""What pictures show of people is of five at least, and does not tell where any one of them is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from model.training.crowds import cells, metric, roc
from model.training.metrics import reliability
from model.training.people import People

Array = NDArray[np.float64]


def people_at(measurements: Array, counts: Array | None = None) -> People:
    rows = len(measurements)
    return People(
        measurements=np.asarray(measurements, dtype=float).reshape(-1, 2),
        female=np.ones(rows),
        counts=np.ones(rows) if counts is None else np.asarray(counts, dtype=float),
        held_out=np.zeros(rows, dtype=bool),
        source="people.csv",
        left_out={},
    )


def crowd(seed: int = 1, size: int = 3000) -> Array:
    return np.random.default_rng(seed).normal((160.0, 65.0), (25.0, 3.0), (size, 2)).round(1)


MEASUREMENTS = st.tuples(st.floats(44.1, 881.0), st.floats(39.4, 98.4))


@given(st.lists(st.tuples(MEASUREMENTS, st.integers(1, 9)), min_size=1, max_size=60))
def test_every_square_holds_five_people_who_are_there(rows: list[tuple[tuple[float, float], int]]) -> None:
    measurements, counts = np.array([pair for pair, _ in rows]), np.array([count for _, count in rows], dtype=float)
    found = cells(people_at(measurements, counts))
    assert (found.people >= 5).all()
    assert found.shown <= found.of == counts.sum()
    for centre, people in zip(found.centres, found.people, strict=True):
        near = (np.abs(metric(measurements) - centre) <= found.size / 2 + 1e-6).all(axis=1)
        assert counts[near].sum() >= people


@given(MEASUREMENTS)
def test_a_person_who_is_alone_leaves_no_mark(alone: tuple[float, float]) -> None:
    others = crowd()
    others = others[(np.abs(metric(others) - metric(np.array(alone))) > 20.0).any(axis=1)]
    without, with_them = cells(people_at(others)), cells(people_at(np.vstack([others, alone])))
    assert np.array_equal(without.centres, with_them.centres)
    assert np.array_equal(without.people, with_them.people)


def test_who_was_measured_in_pounds_is_in_the_square_of_their_kilograms() -> None:
    kilograms = np.arange(60.0, 70.0)
    measurements = np.repeat(np.column_stack([kilograms / 0.45359237, np.full(10, 170.0 / 2.54)]), 5, axis=0)
    found = cells(people_at(measurements))
    assert found.centres.tolist() == [[61.0, 171.0], [63.0, 171.0], [65.0, 171.0], [67.0, 171.0], [69.0, 171.0]]
    assert found.people.tolist() == [10.0] * 5


def test_squares_grow_where_people_are_few() -> None:
    sizes = [cells(people_at(crowd(size=size))).size for size in (20_000, 1_000, 50)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 2.0
    assert sizes[-1] == 8.0


def test_a_row_that_stands_for_many_is_as_good_as_many_rows() -> None:
    measurements, counts = crowd(size=200), np.random.default_rng(2).integers(1, 9, 200)
    counted, repeated = (
        cells(people_at(measurements, counts)),
        cells(people_at(np.repeat(measurements, counts, axis=0))),
    )
    assert np.array_equal(counted.people, repeated.people)


def genders_and_totals(seed: int, rows: int) -> tuple[Array, Array, Array]:
    generator = np.random.default_rng(seed)
    female = np.append(generator.integers(0, 2, rows), [0, 1, 0, 1, 0]).astype(float)
    totals = generator.normal(2.0 * female - 1.0, 1.5).round(1)
    return female, totals, generator.integers(1, 4, len(female)).astype(float)


@given(st.integers(0, 200), st.integers(0, 400))
def test_the_roc_curve_goes_from_corner_to_corner_in_steps_of_five_people(seed: int, rows: int) -> None:
    female, totals, counts = genders_and_totals(seed, rows)
    curve = roc(female, totals, counts)
    assert curve[0].tolist() == [0.0, 0.0]
    assert curve[-1] == pytest.approx([1.0, 1.0])
    men, women = (counts @ (female == gender) for gender in (0, 1))
    assert (np.diff(curve, axis=0) @ [men, women] >= 5 - 1e-6).all()
    assert len(curve) <= 112  # a hundred, and a few where one is cut by a bin of the reliability table


@given(st.integers(0, 200), st.integers(0, 400))
def test_no_difference_of_the_roc_curve_and_the_reliability_table_shows_fewer_than_five(seed: int, rows: int) -> None:
    female, totals, counts = genders_and_totals(seed, rows)
    men, women = (counts @ (female == gender) for gender in (0, 1))
    called_male = (1.0 - roc(female, totals, counts)) @ [men, women]
    for below in np.cumsum([found.people for found in reliability(female, totals, counts)]):
        apart = np.abs(called_male - below)
        assert ((apart < 1e-6) | (apart >= 5 - 1e-6)).all()


def test_the_roc_curve_lies_on_that_of_scikit_learn() -> None:
    female, totals, counts = genders_and_totals(1, 3000)
    men, women, _ = roc_curve(female, totals, sample_weight=counts, drop_intermediate=False)
    for point in roc(female, totals, counts):
        assert np.abs(np.column_stack([men, women]) - point).sum(axis=1).min() < 1e-9
