"""People who are unlike those trained on are described in words; those who are like them are passed in silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.registry.manifest import Inputs, InputsOfGender
from model.training.description import describe
from model.training.likeness import likeness
from model.training.people import People, read_people


@pytest.fixture(scope="module")
def people() -> People:
    return read_people("nhanes")


@pytest.fixture(scope="module")
def trained_on(people: People) -> Inputs:
    return inputs_of(people.where(~people.held_out))


def inputs_of(people: People) -> Inputs:
    male, female = (InputsOfGender(**describe(people.where(people.female == gender))) for gender in (0, 1))
    return Inputs(male=male, female=female)


def moved(people: People, weight: float = 1.0, height: float = 0.0, height_times: float = 1.0) -> People:
    return replace(people, measurements=people.measurements * (weight, height_times) + (0.0, height))


def test_other_people_of_the_same_population_are_passed_in_silence(trained_on: Inputs, people: People) -> None:
    found = likeness(trained_on, people.where(people.held_out))
    assert found.warnings == ()
    assert all(index < 0.1 for index in found.stability_index.values())


@pytest.mark.parametrize("number", [10, 50, 200])
def test_a_few_people_of_the_same_population_are_hardly_ever_warned_of(
    trained_on: Inputs, people: People, number: int
) -> None:
    generator = np.random.default_rng(number)
    warned = 0
    for _ in range(50):
        few = np.zeros(len(people.counts), dtype=np.bool_)
        few[generator.choice(len(few), number, replace=False)] = True
        warned += bool(likeness(trained_on, people.where(few)).warnings)
    assert warned <= 5


@pytest.mark.parametrize("number", [30, 50, 100])
def test_where_a_few_were_trained_on_their_share_of_women_is_a_matter_of_chance(people: People, number: int) -> None:
    generator = np.random.default_rng(number)
    warned = 0
    for _ in range(100):
        few = np.zeros(len(people.counts), dtype=np.bool_)
        few[generator.choice(len(few), number, replace=False)] = True
        warnings = likeness(inputs_of(people.where(few)), people).warnings
        warned += any("of these people are women" in warning for warning in warnings)
    assert warned <= 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight": 2.2046}, "weights look like pounds in a kilogram field: on average 179"),
        ({"weight": 0.4536}, "weights look like kilograms in a pound field: on average 36"),
        ({"height": -2.0}, "this population is somewhat shorter than the one trained on: on average 162"),
        ({"height": -4.0}, "this population is much shorter than the one trained on: on average 157"),
        ({"height": 4.0}, "this population is much taller than the one trained on: on average 177"),
        ({"weight": 0.75}, "this population is much lighter than the one trained on: on average 61"),
        ({"weight": 1.1}, "this population is somewhat heavier than the one trained on: on average 89"),
        ({"weight": 0.4, "height_times": 0.8}, "these people look like children, and the network knows adults only: "),
        ({"weight": 0.55, "height_times": 0.92}, "these people look like children, and the network knows adults only"),
    ],
    ids=str,
)
def test_what_is_unlike_is_said_in_words(trained_on: Inputs, people: People, changes: dict, said: str) -> None:
    warnings = likeness(trained_on, moved(people, **changes)).warnings
    assert [warning for warning in warnings if warning.startswith(said)]


def test_a_short_population_of_adults_is_not_taken_for_children(trained_on: Inputs, people: People) -> None:
    warnings = likeness(trained_on, moved(people, weight=0.7, height=-4.5)).warnings
    assert any("shorter than" in warning for warning in warnings)
    assert not any("children" in warning for warning in warnings)


def test_another_share_of_women_is_said(trained_on: Inputs, people: People) -> None:
    counts = np.where(people.female == 1, 3.0 * people.counts, people.counts)
    said = likeness(trained_on, replace(people, counts=counts)).warnings
    assert any(warning.startswith("76% of these people are women, of those trained on 51%") for warning in said)


def test_four_people_trained_on_give_nothing_to_compare_with(people: People) -> None:
    tutorial = read_people("tutorial", fewest=1, hold_out=False)
    found = likeness(inputs_of(tutorial), people)
    assert found.stability_index == {"weight": None, "height": None}
    assert found.warnings == ("too few people were trained on to tell whether these are like them",)
