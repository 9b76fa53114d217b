"""Drift: found in populations that are really shifted, named for what it is, and not found where there is none.

The people are the shipped sample's: those held out from training are asked about, with the digits that a client sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model import units
from model.errors import MeasurementsError
from model.training import job
from service.drift import FEWEST_PEOPLE, Drift, compare
from service.slots import Slots
from service.window import HEIGHT_EDGES_IN, ROWS, WEIGHT_EDGES_LB, Window

if TYPE_CHECKING:
    from pathlib import Path

    from model.network.network import Array
    from model.registry.registry import Registry
    from model.registry.version import Version

HOUR = 3600.0
METRIC, IMPERIAL = units.PAIRS


@dataclass
class Sample:
    """The version that was trained on the sample, and the sample in kilograms and centimetres, to a tenth."""

    version: Version
    trained: Array
    held_out: Array

    def asked(self, weights: Array, heights: Array, pair: tuple[units.Field, units.Field] = METRIC) -> Drift:
        """What is found in the hour in which these people are asked about, one by one."""
        window = Window(slots := Slots(), HOUR, clock=lambda: 0.0)
        for weight, height in zip(weights.tolist(), heights.tolist(), strict=True):
            try:
                weight_lb, height_in = units.to_canonical(weight, pair[0], height, pair[1])
            except MeasurementsError as error:
                window.add_refused(1, [code for _, code, _ in error.problems])
            else:
                inside = self.version.training_range.contains_one(weight_lb, height_in)
                window.add_one(weight_lb, height_in, inside=inside)
        return compare(window.observed(slots.read()), self.version.manifest.inputs, HOUR)


@pytest.fixture(scope="module")
def sample(_trained_once: Path) -> Sample:
    from model.registry.registry import Registry
    from model.registry.storage import LocalStorage

    people = job.people_of(job.Settings())
    sizes = np.array([units.WEIGHT_KG.per_canonical, units.HEIGHT_CM.per_canonical])

    def population(who: Array) -> Array:
        everyone = np.repeat(people.measurements[who], people.counts[who].astype(int), axis=0)
        return np.round(everyone * sizes, 1)

    version = Registry(LocalStorage(_trained_once), "gender").load(1)
    return Sample(version, population(~people.held_out), population(people.held_out))


def codes(drift: Drift) -> list[str]:
    return [finding.code for finding in drift.findings]


# Shifted populations


def test_pounds_for_kilograms(sample: Sample) -> None:
    kilograms, centimetres = sample.held_out.T
    drift = sample.asked(np.round(kilograms / units.KILOGRAMS_PER_POUND), centimetres)
    assert codes(drift) == ["weights_look_like_pounds", "outside_training_range"]
    assert drift.detail.startswith("weights look like pounds in a kilogram field; ")
    assert drift.detected
    assert drift.inputs["height"].population_stability_index < 0.1


def test_kilograms_for_pounds(sample: Sample) -> None:
    kilograms, centimetres = sample.held_out.T
    drift = sample.asked(kilograms, centimetres / units.CENTIMETRES_PER_INCH, IMPERIAL)
    assert codes(drift) == ["weights_look_like_kilograms"]


def test_inches_for_centimetres_are_refused_and_that_is_seen(sample: Sample) -> None:
    kilograms, centimetres = sample.held_out.T
    drift = sample.asked(kilograms, centimetres / units.CENTIMETRES_PER_INCH)
    assert codes(drift) == ["many_refused"]
    assert drift.detail == "100% of all people were refused, mostly for looks_like_inches"
    assert drift.refused == 1.0
    assert 0.9 < drift.refused_by_reason["looks_like_inches"] <= 1.0
    assert drift.outside is None


def test_a_few_refusals_among_the_fewest_people_leave_enough_to_compare(sample: Sample) -> None:
    kilograms, centimetres = sample.held_out[np.random.default_rng(0).permutation(len(sample.held_out))[:200]].T
    drift = sample.asked(np.round(kilograms / units.KILOGRAMS_PER_POUND), centimetres * np.where(kilograms > 120, 9, 1))
    assert drift.refused is not None
    assert drift.refused > 0.0
    assert "weights_look_like_pounds" in codes(drift)


def test_one_client_of_ten_swaps_the_two(sample: Sample) -> None:
    asked = sample.held_out.copy()
    asked[::10] = asked[::10, ::-1]
    assert codes(sample.asked(*asked.T))[0] == "many_refused"


@pytest.mark.parametrize(
    ("kilograms", "centimetres", "found"),
    [
        (0, -8, ["shorter"]),
        (0, 8, ["taller"]),
        (12, 0, ["heavier"]),
        (-12, 0, ["lighter"]),
        (-12, -8, ["lighter", "shorter"]),
    ],
)
def test_another_population(sample: Sample, kilograms: int, centimetres: int, found: list[str]) -> None:
    weights, heights = sample.held_out.T
    drift = sample.asked(np.maximum(weights + kilograms, 20.0), heights + centimetres)
    assert codes(drift) == found
    assert f"this population is {found[0]} than the one trained on: " in drift.detail


def test_children(sample: Sample) -> None:
    kilograms, centimetres = sample.held_out.T
    drift = sample.asked(np.round(0.42 * kilograms, 1), np.round(0.78 * centimetres, 1))
    assert codes(drift)[0] == "size_of_children"


@pytest.mark.parametrize("pair", units.PAIRS)
def test_what_people_tell_of_themselves(sample: Sample, pair: tuple[units.Field, units.Field]) -> None:
    """Lighter by a kilogram, taller by a centimetre and a half, and rounded: to fives, and to whole centimetres."""
    weights = (sample.held_out[:, 0] - 1.0) / units.WEIGHT_KG.per_canonical * pair[0].per_canonical
    heights = (sample.held_out[:, 1] + 1.5) / units.HEIGHT_CM.per_canonical * pair[1].per_canonical
    assert codes(sample.asked(5.0 * np.round(weights / 5.0), np.round(heights), pair)) == ["rounded_weights"]


def test_men_and_women_in_other_numbers(sample: Sample) -> None:
    shorter_half = sample.held_out[sample.held_out[:, 1] < np.median(sample.held_out[:, 1])]
    assert "shorter" in codes(sample.asked(*shorter_half.T))


# Nothing to be found


@pytest.mark.parametrize("pair", units.PAIRS)
@pytest.mark.parametrize("digits", [0, 1])
def test_the_people_held_out_are_as_those_trained_on_in_every_unit(
    sample: Sample, pair: tuple[units.Field, units.Field], digits: int
) -> None:
    given = [
        np.round(column / metric.per_canonical * field.per_canonical, digits)
        for column, metric, field in zip(sample.held_out.T, METRIC, pair, strict=True)
    ]
    drift = sample.asked(*given, pair)
    assert (drift.verdict, codes(drift)) == ("as_trained", [])
    assert drift.detail == f"{len(sample.held_out):,} people in 60 min, as in training"


@pytest.mark.parametrize("people", [FEWEST_PEOPLE, 500, 2_000])
def test_no_false_alarm_in_500_windows_of_the_training_population(sample: Sample, people: int) -> None:
    generator = np.random.default_rng(people)
    canonical = sample.trained / [units.WEIGHT_KG.per_canonical, units.HEIGHT_CM.per_canonical]
    alarms = 0
    for _ in range(500):
        drawn = canonical[generator.integers(0, len(canonical), people)]
        window = Window(slots := Slots(), HOUR, clock=lambda: 0.0)
        window.add_many(*drawn.T, sample.version.training_range.contains(drawn))
        alarms += compare(window.observed(slots.read()), sample.version.manifest.inputs, HOUR).detected
    assert alarms == 0


def test_too_few_requests_to_say_and_nothing_is_told_of_them(sample: Sample) -> None:
    drift = sample.asked(*(sample.held_out[: FEWEST_PEOPLE - 1].T * np.array([[2.0], [1.0]])))
    assert drift.verdict == "too_few_requests"
    assert drift.detail == "too few requests to say: 199 people in 60 min, and 200 are needed"
    assert (drift.inputs, drift.outside, drift.refused, drift.refused_by_reason) == ({}, None, None, {})
    assert not drift.detected


def test_without_a_champion_there_is_nothing_to_compare_with(sample: Sample) -> None:
    window = Window(slots := Slots(), HOUR, clock=lambda: 0.0)
    window.add_many(np.full(300, 180.0), np.full(300, 70.0), np.full(300, fill_value=True))
    observed = window.observed(slots.read())
    assert compare(observed, None, HOUR).verdict == "drifted", "all weights are multiples of five pounds"
    window.add_many(np.full(900, 181.0), np.full(900, 70.0), np.full(900, fill_value=True))
    assert compare(window.observed(slots.read()), None, HOUR).verdict == "nothing_to_compare_with"


# The window


class Clock:
    now = 100_000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_forgets_what_is_older_than_it(tmp_path: Path) -> None:
    clock = Clock()
    window = Window(slots := Slots(), HOUR, clock)
    counts = []
    for _ in range(3 * ROWS):
        window.add_one(180.0, 70.0, inside=True)
        window.add_refused(1, ["missing", "no such code"])
        counts.append(window.observed(slots.read()).people)
        clock.now += HOUR / ROWS
    assert counts == [*range(1, ROWS + 2), *[ROWS + 1] * (2 * ROWS - 1)]
    observed = window.observed(slots.read())
    assert (observed.refused, observed.reasons) == (ROWS, {"missing": ROWS, "other": ROWS})
    clock.now += 10 * HOUR
    assert window.observed(slots.read()).people == 0, "though nobody has counted since"


def test_the_windows_of_all_workers_are_added_whenever_each_last_counted(tmp_path: Path) -> None:
    clock = Clock()
    first, second = Slots(tmp_path), Slots(tmp_path)
    Window(first, HOUR, clock).add_many(np.full(3, 44.5), np.full(3, 98.4), np.full(3, fill_value=False))
    clock.now += HOUR / 2
    window = Window(second, HOUR, clock)
    window.add_one(881.8, 39.4, inside=True)
    observed = window.observed(second.read())
    assert (observed.people, observed.outside) == (4, 3)
    assert (observed.weights[0], observed.weights[-1]) == (3, 1)
    assert (observed.heights[0], observed.heights[-1]) == (1, 3)
    clock.now += HOUR * 0.6
    assert window.observed(second.read()).people == 1


def test_a_manifests_bins_fall_together_with_those_of_the_window(trained: Registry) -> None:
    inputs = trained.manifest(1).inputs
    for gender in (inputs.male, inputs.female):
        assert set(gender.histograms["weight"].edges[:-1]) <= set(WEIGHT_EDGES_LB.tolist())
        assert set(gender.histograms["height"].edges[:-1]) <= set(HEIGHT_EDGES_IN.tolist())


@pytest.mark.parametrize(("weight", "height"), [(20.0, 100.0), (400.0, 250.0)])
def test_the_ends_of_the_domain_are_counted(weight: float, height: float) -> None:
    for pair in units.PAIRS:
        given = [field.minimum if weight == 20.0 else field.maximum for field in pair]
        window = Window(slots := Slots(), HOUR)
        window.add_one(*units.to_canonical(given[0], pair[0], given[1], pair[1]), inside=True)
        observed = window.observed(slots.read())
        assert observed.weights.sum() == observed.heights.sum() == 1
