"""Whether the people who are asked about are still like those trained on, told without knowing any right answer.

The inputs of a window are held against the histograms in the champion's manifest. What is found is said in words, and
as little is said as possible while there are few people: nothing then shows what any one of them measures.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from model import units
from model.population import reference
from service.window import HEIGHT_EDGES_IN, ROUND, WEIGHT_EDGES_LB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.network.network import Array
    from model.population import Reference
    from model.registry.manifest import Inputs
    from service.window import Observed

FEWEST_PEOPLE = 200
"""Below, chance alone moves the index too far."""
MOST_MOVED = 0.2
"""Of the population stability index: a mean that has moved by about half a standard deviation."""
MOST_OUTSIDE, MOST_REFUSED, MOST_ROUND = 0.02, 0.05, 0.35
"""Shares: of training's people, 0.001 are outside their region. Of whole numbers, 0.2 are multiples of five."""
_EXPLAINS = 4.0
"""In another unit the index must be so many times smaller to be taken for the reason."""

_WEIGHTS_LB, _HEIGHTS_IN = ((edges[:-1] + edges[1:]) / 2.0 for edges in (WEIGHT_EDGES_LB, HEIGHT_EDGES_IN))
_PLACES = {"weight": (_WEIGHTS_LB, units.WEIGHT_KG, 0), "height": (_HEIGHTS_IN, units.HEIGHT_CM, 1)}
_WORDS = {"weight": ("lighter", "heavier", "weights"), "height": ("shorter", "taller", "heights")}

Name = Literal["weight", "height"]
_INPUTS: tuple[Name, Name] = ("weight", "height")
Verdict = Literal["as_trained", "drifted", "too_few_requests", "nothing_to_compare_with"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as in training: a name for programs, and words."""

    code: str
    detail: str


@dataclass(frozen=True)
class Input:
    """One of the two inputs: how far it has moved, and its means, in kilograms or centimetres."""

    population_stability_index: float
    mean: float
    mean_in_training: float
    unit: str

    @property
    def is_less(self) -> bool:
        """Whether people measure less than in training, on average."""
        return self.mean < self.mean_in_training


@dataclass(frozen=True)
class Drift:
    """What a window shows. Shares are None, and inputs absent, while too few people were seen."""

    verdict: Verdict
    detail: str
    people: int
    findings: tuple[Finding, ...] = ()
    inputs: dict[str, Input] = field(default_factory=dict)
    outside: float | None = None
    refused: float | None = None
    refused_by_reason: dict[str, float] = field(default_factory=dict)

    @property
    def detected(self) -> bool:
        """Whether someone should look."""
        return self.verdict == "drifted"

    def as_json(self) -> dict[str, Any]:
        """As `GET /drift` answers."""
        return {
            "verdict": self.verdict,
            "detail": self.detail,
            "people": self.people,
            "findings": [asdict(finding) for finding in self.findings],
            "inputs": {name: asdict(given) for name, given in self.inputs.items()},
            "outside_training_range": self.outside,
            "refused": self.refused,
            "refused_by_reason": self.refused_by_reason,
        }


def compare(observed: Observed, trained: Inputs | None, window_seconds: float) -> Drift:
    """The people of a window, held against those trained on; None where there is no champion."""
    people = observed.people + observed.refused
    minutes = f"{window_seconds / 60.0:g} min"
    if people < FEWEST_PEOPLE:
        few = f"too few requests to say: {people:,} people in {minutes}, and {FEWEST_PEOPLE:,} are needed"
        return Drift("too_few_requests", few, people)
    refused = observed.refused / people
    reasons = {reason: count / people for reason, count in observed.reasons.items()}
    findings: list[Finding] = []
    if refused > MOST_REFUSED:
        reason = max(reasons, key=reasons.__getitem__)
        detail = f"{refused:.0%} of all people were refused, mostly for {reason}"
        findings.append(Finding("many_refused", detail))
    inputs: dict[str, Input] = {}
    outside = None
    if observed.people >= FEWEST_PEOPLE / 2:  # or else more than half were refused, which is said already
        outside = observed.outside / observed.people
        inputs, found = _compare_inputs(observed, trained)
        findings += [*found, *_of_shares(outside, observed.round_weights / observed.people)]
    verdict: Verdict = "as_trained"
    detail = f"{people:,} people in {minutes}, as in training"
    if findings:
        verdict, detail = "drifted", "; ".join(finding.detail for finding in findings)
    elif not inputs:
        verdict, detail = "nothing_to_compare_with", "there are no histograms of people trained on to compare with"
    return Drift(verdict, detail, people, tuple(findings), inputs, outside, refused, reasons)


def _compare_inputs(observed: Observed, trained: Inputs | None) -> tuple[dict[str, Input], list[Finding]]:
    inputs: dict[str, Input] = {}
    moved: dict[Name, tuple[Reference, Array]] = {}
    if trained is None:
        return inputs, []
    genders = (trained.male, trained.female)
    for position, name in enumerate(_INPUTS):
        counts = (observed.weights, observed.heights)[position]
        expected = reference(*(one.histograms[name] for one in genders))
        if expected is None:
            continue
        places, unit, digits = _PLACES[name]
        index = expected.stability_index(expected.bin_counts(places, counts))
        mean_trained = np.average([one.mean[position] for one in genders], weights=[one.people for one in genders])
        mean, mean_trained = (
            round(float(one) * unit.per_canonical, digits) for one in (np.average(places, weights=counts), mean_trained)
        )
        inputs[name] = Input(index, mean, mean_trained, unit.unit)
        if index > max(MOST_MOVED, 2.0 * expected.noise(observed.people)):
            moved[name] = expected, counts
    return inputs, _what_moved(inputs, moved, trained)


def _what_moved(
    inputs: Mapping[str, Input], moved: Mapping[Name, tuple[Reference, Array]], trained: Inputs
) -> list[Finding]:
    """In words: a unit in the wrong field, where weights alone have moved; people of another size otherwise."""
    if len(moved) == len(_INPUTS) and inputs["weight"].is_less and _as_children(inputs["height"], trained):
        mean = inputs["height"].mean
        return [
            Finding(
                "size_of_children", f"most are of the size of children, {mean} cm on average; the model knows adults"
            )
        ]
    if list(moved) == ["weight"] and (unit := _another_unit(*moved["weight"], inputs["weight"])) is not None:
        return [unit]
    return [_another_size(name, inputs[name]) for name in moved]


def _another_unit(expected: Reference, counts: Array, weight: Input) -> Finding | None:
    """The unit in which these weights would look far more like those trained on."""
    for factor, code, detail in (
        (units.KILOGRAMS_PER_POUND, "weights_look_like_pounds", "weights look like pounds in a kilogram field"),
        (
            1.0 / units.KILOGRAMS_PER_POUND,
            "weights_look_like_kilograms",
            "weights look like kilograms in a pound field",
        ),
    ):
        undone = expected.stability_index(expected.bin_counts(_WEIGHTS_LB * factor, counts))
        if undone * _EXPLAINS < weight.population_stability_index:
            return Finding(code, detail)
    return None


def _another_size(name: Name, given: Input) -> Finding:
    less, more, plural = _WORDS[name]
    if math.isclose(given.mean, given.mean_in_training, rel_tol=0.01):
        return Finding(f"{name}_spread", f"{plural} are spread otherwise than in training, about the same mean")
    word = less if given.is_less else more
    means = f"{given.mean:g} {given.unit} on average, {given.mean_in_training:g} {given.unit} in training"
    return Finding(word, f"this population is {word} than the one trained on: {means}")


def _as_children(height: Input, trained: Inputs) -> bool:
    """Whether the average is two standard deviations below that of either gender."""
    lowest = min(one.mean[1] - 2.0 * math.sqrt(one.covariance[1][1]) for one in (trained.male, trained.female))
    return height.mean < lowest * units.CENTIMETRES_PER_INCH


def _of_shares(outside: float, round_weights: float) -> list[Finding]:
    findings = []
    if outside > MOST_OUTSIDE:
        detail = f"{outside:.0%} of the people answered are outside the region of 99.9 % of those trained on"
        findings.append(Finding("outside_training_range", detail))
    if round_weights > MOST_ROUND:
        share = f"{round_weights:.0%} are multiples of {ROUND:g} kg or lb"
        detail = f"weights look rounded, as people tell them of themselves: {share}"
        findings.append(Finding("rounded_weights", detail))
    return findings
