"""The stability index is silent on the version's own population, however few people, and speaks where it has moved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.population import MOVED_LITTLE, MOVED_MUCH, Reference, reference
from model.training.description import describe
from model.training.people import People, read_people


@dataclass(frozen=True)
class Histogram:
    edges: tuple[float, ...]
    people: tuple[int, ...]


COLUMN = {"weight": 0, "height": 1}


def of_people(people: People, name: str) -> Reference:
    """As it comes out of a manifest."""
    by_gender = [describe(people.where(people.female == female))["histograms"][name] for female in (0, 1)]
    found = reference(*(Histogram(**histogram) for histogram in by_gender))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def people() -> People:
    return read_people("nhanes")


@pytest.mark.parametrize("name", COLUMN)
def test_it_is_silent_on_the_people_trained_on(people: People, name: str) -> None:
    found = of_people(people, name)
    counts = found.bin_counts(people.measurements[:, COLUMN[name]], people.counts)
    assert counts.sum() == found.people == len(people)
    assert found.stability_index(counts) < 0.001


@pytest.mark.parametrize("name", COLUMN)
@pytest.mark.parametrize(("trained_on", "number"), [(80, 1000), (1000, 30), (1000, 1000), (4000, 100)])
def test_it_is_silent_on_other_people_of_the_same_population_however_few(
    people: People, name: str, trained_on: int, number: int
) -> None:
    generator = np.random.default_rng(number)
    exceeded = 0
    for _ in range(60):
        order = generator.permutation(len(people.counts))
        rows = np.zeros(len(order), dtype=np.bool_)
        rows[order[:trained_on]] = True
        found = of_people(people.where(rows), name)
        others = people.measurements[order[trained_on : trained_on + number], COLUMN[name]]
        index = found.stability_index(found.bin_counts(others, np.ones(len(others))))
        exceeded += index > max(MOVED_LITTLE, found.noise(number))
    assert exceeded <= 4  # of 60, where one in a hundred is expected


def test_a_population_that_is_half_a_standard_deviation_shorter_has_moved(people: People) -> None:
    heights = people.measurements[:, 1]
    found = of_people(people, "height")
    moved = [found.stability_index(found.bin_counts(heights - shift, people.counts)) for shift in (0.5, 2.0, 4.0)]
    assert moved[0] < MOVED_LITTLE < moved[1] < MOVED_MUCH < moved[2]


def test_its_bins_hold_a_tenth_each_more_or_less(people: People) -> None:
    for name in COLUMN:
        found = of_people(people, name)
        assert 6 <= len(found.shares) <= 11
        assert all(0.05 <= share <= 0.25 for share in found.shares)


def test_both_genders_count_by_their_numbers() -> None:
    men, women = Histogram((60.0, 70.0, 80.0), (0, 900)), Histogram((60.0, 70.0, 80.0), (100, 0))
    assert reference(men, women) == Reference((70.0,), (0.1, 0.9), 1000)


def test_an_edge_of_one_gender_divides_the_bin_of_the_other_evenly() -> None:
    men, women = Histogram((60.0, 80.0), (100,)), Histogram((60.0, 65.0, 80.0), (50, 50))
    assert reference(men, women) == Reference((65.0,), (75 / 200, 125 / 200), 200)


def test_the_outer_bins_are_taken_to_be_as_wide_as_their_neighbours() -> None:
    men = Histogram((0.0, 64.0, 66.0, 68.0, 100.0), (40, 40, 40, 40))
    assert reference(men, Histogram((), ())) == Reference((64.0, 66.0, 68.0), (0.25,) * 4, 160)
    found = reference(men, Histogram((0.0, 63.0, 69.0, 100.0), (100, 100, 100)))
    assert found is not None
    assert found.edges[0] == 62.0  # the men below 64 are between 62 and 64, the women below 63 between 57 and 63
    assert found.shares[0] == pytest.approx(100 * 5 / 6 / 460)


def test_without_a_bin_there_is_no_reference() -> None:
    nothing = Histogram((), ())
    assert reference(nothing, nothing) is None
    one = reference(nothing, Histogram((60.0, 65.0, 80.0), (50, 50)))
    assert one == Reference((65.0,), (0.5, 0.5), 100)


def test_where_nobody_was_seen_nothing_has_moved() -> None:
    found = Reference((65.0,), (0.5, 0.5), 100)
    assert found.stability_index([0, 0]) == 0.0
    assert found.noise(0) == math.inf


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3))
def test_the_index_is_finite_and_never_below_0(counts: list[int]) -> None:
    found = Reference((60.0, 70.0), (0.2, 0.5, 0.3), 1000)
    assert 0.0 <= found.stability_index(counts) < 20.0


def test_it_is_the_sum_of_the_formula() -> None:
    found = Reference((65.0,), (0.5, 0.5), 100)
    expected = (0.75 - 0.5) * math.log(0.75 / 0.5) + (0.25 - 0.5) * math.log(0.25 / 0.5)
    assert found.stability_index([750_000, 250_000]) == pytest.approx(expected, rel=1e-4)
