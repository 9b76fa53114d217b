"""A whole evaluation: metrics with their intervals, beside two models that anyone can have, and slice by slice.

No bin, band or slice shows fewer than five people, nor does the difference of two: men and women are cut into the same
bands of height.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from model.network.trainers import gauss_newton
from model.predictor import FEMALE, MALE, Predictor
from model.training import bootstrap
from model.training.metrics import (
    Metrics,
    ReliabilityBin,
    base_rate_totals,
    calibration_error,
    calibration_error_floor,
    hits,
    log_losses,
    measure,
    reliability,
    squares,
)
from model.training.together import FEWEST_TOGETHER, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.network.network import Array
    from model.predictor import Booleans
    from model.training.bootstrap import Interval
    from model.training.people import People

Population = Literal["held_out", "trained_on", "everyone"]
Band = tuple[float | None, float | None]
"""From (inclusive) and to (exclusive); None where it is open."""

L2 = 0.3
"""Of the logistic regression, as of a network by default."""
_WEIGHT_EDGES_LB = (120.0, 150.0, 180.0, 210.0, 240.0)
_HEIGHT_EDGES_IN = (60.0, 63.0, 66.0, 69.0, 72.0)
_FOLDS = 5
_SEED = 0
"""Of resamples and folds: an evaluation of the same people says the same."""


@dataclass(frozen=True)
class Slice:
    """How good the version is for some of the people. None: whatever the gender, the weight, the height."""

    gender: Literal["male", "female"] | None
    weight_lb: Band | None
    height_in: Band | None
    people: int
    log_loss: float
    brier_score: float
    accuracy: float
    calibration_error: float | None
    calibration_error_floor: float | None
    """None for one gender: among men alone a probability of female is never calibrated, nor is it meant to be."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a version on some people, and on the same people those of two models that anyone can have."""

    people: int
    population: Population
    metrics: Metrics
    base_rate: Metrics
    logistic_regression: Metrics | None
    intervals: dict[str, Interval] = field(default_factory=dict)
    """Of each metric, at 95 %."""
    calibration_error_floor: float | None = None
    reliability: tuple[ReliabilityBin, ...] = ()
    slices: tuple[Slice, ...] = ()


def evaluate(
    predictor: Predictor,
    judges: People,
    *,
    population: Population,
    share_female: float,
    logistic_regression_totals: Array | None,
) -> Evaluation:
    """On these people, who hold both genders. `share_female` is that among those trained on."""
    female, counts = judges.female, judges.counts
    totals = predictor.totals(judges.measurements)
    enough = population != "trained_on"  # of the tutorial's four people there is no more to say
    return Evaluation(
        people=len(judges),
        population=population,
        metrics=measure(female, totals, counts),
        base_rate=measure(female, base_rate_totals(share_female, len(female)), counts),
        logistic_regression=(
            None if logistic_regression_totals is None else measure(female, logistic_regression_totals, counts)
        ),
        intervals=bootstrap.intervals(female, totals, counts, np.random.default_rng(_SEED)) if enough else {},
        calibration_error_floor=calibration_error_floor(totals, counts) if enough else None,
        reliability=reliability(female, totals, counts) if enough else (),
        slices=tuple(_slices(judges, totals)) if enough else (),
    )


def evaluate_training(predictor: Predictor, people: People) -> Evaluation:
    """On the held-out people; the tutorial, which holds nobody out, is measured on its own four."""
    trained, judges = people.where(~people.held_out), people.where(people.held_out)
    if not judges:
        return evaluate(
            predictor,
            people,
            population="trained_on",
            share_female=share_of_women(people),
            logistic_regression_totals=None,
        )
    return evaluate(
        predictor,
        judges,
        population="held_out",
        share_female=share_of_women(trained),
        logistic_regression_totals=logistic_regression(trained, predictor).totals(judges.measurements),
    )


def share_of_women(people: People) -> float:
    return float(np.average(people.female, weights=people.counts))


def logistic_regression(trained: People, scaled_as: Predictor) -> Predictor:
    """The network without a hidden layer, trained on these people with this predictor's shift and scale."""
    fit = gauss_newton(
        (2, 1),
        scaled_as.inputs(trained.measurements),
        trained.female[:, None],
        trained.counts,
        generator=np.random.default_rng(0),  # one valley with one bottom: the start does not matter
        restarts=1,
        l2=L2,
    )
    return Predictor(fit.network, scaled_as.shift, scaled_as.scale)


def cross_fitted_logistic_regression(people: People, scaled_as: Predictor) -> Array | None:
    """The totals of everyone, (rows,), each by a logistic regression that was trained on the other four fifths.

    None where a fifth of the rows leaves men or women without five rows to train on.
    """
    fold = np.random.default_rng(_SEED).permutation(len(people.female)) % _FOLDS
    totals = np.empty(len(people.female))
    for number in range(_FOLDS):
        trained = people.where(fold != number)
        women = trained.female.sum()
        if min(women, len(trained.female) - women) < FEWEST_TOGETHER:
            return None
        judged = fold == number
        totals[judged] = logistic_regression(trained, scaled_as).totals(people.measurements[judged])
    return totals


def _slices(people: People, totals: Array) -> Iterator[Slice]:
    """By gender, by weight, by height, and by gender and height; each of five people or more."""
    weights, heights = people.measurements.T
    genders: dict[Literal["male", "female"], Booleans] = {
        "male": people.female == MALE,
        "female": people.female == FEMALE,
    }
    everyone: Booleans = people.counts > 0
    by_weight = _bands(_WEIGHT_EDGES_LB, weights, people.counts, [everyone])
    by_height = _bands(_HEIGHT_EDGES_IN, heights, people.counts, list(genders.values()))

    def of(
        who: Booleans,
        gender: Literal["male", "female"] | None = None,
        weight_lb: Band | None = None,
        height_in: Band | None = None,
    ) -> Slice:
        female, of_these, counts = people.female[who], totals[who], people.counts[who]

        def mean(values: Array) -> float:
            return float(np.average(values, weights=counts))

        return Slice(
            gender=gender,
            weight_lb=weight_lb,
            height_in=height_in,
            people=int(counts.sum()),
            log_loss=mean(log_losses(female, of_these)),
            brier_score=mean(squares(female, of_these)),
            accuracy=mean(hits(female, of_these)),
            calibration_error=None if gender else calibration_error(female, of_these, counts),
            calibration_error_floor=None if gender else calibration_error_floor(of_these, counts),
        )

    if by_height:  # men and women are five each
        yield from (of(who, gender=gender) for gender, who in genders.items())
    # One band alone is everyone once more.
    by_weight, by_height = ([] if len(bands) == 1 else bands for bands in (by_weight, by_height))
    yield from (of(_inside(band, weights), weight_lb=band) for band in by_weight)
    yield from (of(_inside(band, heights), height_in=band) for band in by_height)
    for gender, who in genders.items():
        yield from (of(who & _inside(band, heights), gender=gender, height_in=band) for band in by_height)


def _bands(edges: tuple[float, ...], values: Array, counts: Array, groups: list[Booleans]) -> list[Band]:
    """Bands between these edges, put together until each holds five people of every group."""
    position = np.searchsorted(edges, values, side="right")
    fewest = np.min([np.bincount(position[who], counts[who], len(edges) + 1) for who in groups], axis=0)
    limits = [None, *edges, None]
    starts = [start for start, _ in merged(fewest.tolist())]
    return [(limits[start], limits[end]) for start, end in pairwise([*starts, len(edges) + 1])] if starts else []


def _inside(band: Band, values: Array) -> Booleans:
    lower, upper = band
    inside: Booleans = (values >= (-np.inf if lower is None else lower)) & (
        values < (np.inf if upper is None else upper)
    )
    return inside
