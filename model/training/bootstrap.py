"""How far a metric would move with other people of the same kind: intervals by the Poisson bootstrap.

A resample takes each person a random number of times, distributed by Poisson with a mean of 1, instead of drawing as
many people as there are (Chamandy et al. 2012, "Estimating uncertainty for massive data streams"). So n people who are
alike are taken Poisson(n) times, all at once. Here they are alike if their totals differ by less than 1/64 (or their
differences by less than 1/1024 of the range) and fewer than one person in 1,024 lies between them: far less than the
noise that is measured. So a file of millions is resampled as fast as one of thousands.

Shapes: female, totals, values and counts are (rows,); what a block of resamples takes is (resamples, levels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.network.network import Array, sigmoid
from model.training.metrics import (
    CALIBRATION_BINS,
    LOWER_IS_BETTER,
    calibration_bins,
    calibration_error,
    hits,
    log_losses,
    squares,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Interval = tuple[float, float]

LEVEL = 0.95
_RESAMPLES, _FEWEST_RESAMPLES = 1000, 200
_DRAWS = 8_000_000
"""As many resamples as these allow, where the totals are spread so widely that there are many levels after all."""
_DRAWS_AT_ONCE = 1 << 18
_LEVELS_OF_A_TOTAL, _LEVELS_OF_A_RANGE, _RANKS = 64, 1024, 1024


def intervals(female: Array, totals: Array, counts: Array, generator: np.random.Generator) -> dict[str, Interval]:
    """The interval of each metric, that holds 95 % of its resamples. Both genders must be among the people.

    The calibration error of resamples is too high, since they add chance to chance: by as much as their mean lies above
    the error itself they are moved down (bias correction, Efron and Tibshirani 1993, chapter 10).
    """
    level = _levels(totals, counts, 1.0 / _LEVELS_OF_A_TOTAL)
    people: Array = np.bincount(level, counts).astype(np.float64)
    mean_totals = np.bincount(level, counts * totals) / people
    genders = [
        (np.ones_like(mean_totals), np.bincount(level, counts * female).astype(np.float64))
    ]  # women, and after them men
    genders.append((np.zeros_like(mean_totals), people - genders[0][1]))
    means = [np.column_stack([of(who, mean_totals) for of in (log_losses, squares, hits)]) for who, _ in genders]
    in_bin = np.eye(CALIBRATION_BINS)[calibration_bins(mean_totals)]
    gaps = [in_bin * (sigmoid(mean_totals) - who)[:, None] for who, _ in genders]

    found = []
    for women, men in _resamples([number for _, number in genders], generator):
        men_below = np.cumsum(men, axis=1) - men
        pairs = women.sum(axis=1) * men.sum(axis=1)
        both = pairs > 0.0  # of a handful of people a resample may have one gender only: it says nothing
        taken = np.maximum(women.sum(axis=1) + men.sum(axis=1), 1.0)
        right = (women * (men_below + 0.5 * men)).sum(axis=1) / np.maximum(pairs, 1.0)
        error = np.abs(women @ gaps[0] + men @ gaps[1]).sum(axis=1) / taken
        mean = (women @ means[0] + men @ means[1]) / taken[:, None]
        found.append(np.column_stack([mean, right, error])[both])
    resampled = dict(zip(LOWER_IS_BETTER, np.concatenate(found).T, strict=True))
    errors = resampled["calibration_error"]
    bias = errors.mean() - calibration_error(female, totals, counts)
    resampled["calibration_error"] = np.maximum(errors - bias, 0.0)
    return {metric: _interval(values) for metric, values in resampled.items()}


def interval_of_mean(values: Array, counts: Array, generator: np.random.Generator) -> Interval:
    """The interval of a mean over people: of a difference between two models, the same people for both (paired)."""
    width = float(np.ptp(values)) / _LEVELS_OF_A_RANGE or 1.0
    level = _levels(values, counts, width)
    people: Array = np.bincount(level, counts).astype(np.float64)
    mean_values = np.bincount(level, counts * values) / people
    found = []
    for (taken,) in _resamples([people], generator):
        total = taken.sum(axis=1)
        found.append((taken @ mean_values)[total > 0.0] / total[total > 0.0])
    return _interval(np.concatenate(found))


def _levels(values: Array, counts: Array, width: float) -> NDArray[np.int64]:
    """Which level each row is in, (rows,), in the order of the values; equal ones share one.

    By rank too: of a network whose neurons are saturated nearly everyone has nearly the same total.
    """
    _, tie = np.unique(values, return_inverse=True)
    people = np.bincount(tie, counts)
    rank = np.floor(_RANKS * (np.cumsum(people) - people) / people.sum())[tie]
    _, level = np.unique(np.round(values / width) * _RANKS + rank, return_inverse=True)
    return level.astype(np.int64)


def _resamples(people: list[Array], generator: np.random.Generator) -> Iterator[list[Array]]:
    """How often the people of each level are taken, some resamples at a time: (resamples, levels) for each array."""
    levels = sum(map(len, people))
    left = min(_RESAMPLES, max(_FEWEST_RESAMPLES, _DRAWS // levels))
    at_once = max(1, _DRAWS_AT_ONCE // levels)
    while left > 0:
        size = min(left, at_once)
        left -= size
        yield [generator.poisson(number, size=(size, len(number))).astype(np.float64) for number in people]


def _interval(values: Array) -> Interval:
    lower, upper = np.quantile(values, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(lower), float(upper)
