"""How good probabilities are: five metrics, the calibration error that chance alone would show, and a reliability
table.

Everything is computed from totals (log-odds of female) on counted people. Shapes: female, totals and counts are
(rows,); `counts` says how many people each row stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.network.losses import LOG_LOSS
from model.network.network import Array, sigmoid
from model.training.together import merged

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_BINS = 10
LOWER_IS_BETTER = {
    "log_loss": True,
    "brier_score": True,
    "accuracy": False,
    "roc_auc": False,
    "calibration_error": True,
}
"""The metrics, in the order of every table."""


@dataclass(frozen=True)
class Metrics:
    """Lower is better for log-loss, Brier score and calibration error, higher for accuracy and ROC AUC."""

    log_loss: float
    brier_score: float
    accuracy: float
    roc_auc: float
    calibration_error: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Of the people who were given a probability between two, what was said on average and what was so."""

    lower: float
    upper: float
    people: int
    mean_probability_female: float
    share_female: float


def log_losses(female: Array, totals: Array) -> Array:
    """The log-loss of each row, (rows,)."""
    return LOG_LOSS.of_each(female[:, None], totals[:, None])


def squares(female: Array, totals: Array) -> Array:
    """The squared error of each row, (rows,), whose mean is the Brier score."""
    errors: Array = (sigmoid(totals) - female) ** 2
    return errors


def hits(female: Array, totals: Array) -> Array:
    """1 where the likelier gender is the recorded one, else 0, (rows,); exactly one half is female."""
    found: Array = ((sigmoid(totals) >= 0.5) == (female == 1)).astype(np.float64)  # noqa: PLR2004 - one half
    return found


def measure(female: Array, totals: Array, counts: Array) -> Metrics:
    """All metrics of these totals. Both genders must be among the people."""

    def mean(values: Array) -> float:
        return float(np.average(values, weights=counts))

    return Metrics(
        log_loss=mean(log_losses(female, totals)),
        brier_score=mean(squares(female, totals)),
        accuracy=mean(hits(female, totals)),
        roc_auc=_roc_auc(female, totals, counts),
        calibration_error=calibration_error(female, totals, counts),
    )


def base_rate_totals(share_female: float, rows: int) -> Array:
    """The totals of a model that answers everyone with the share of women among those trained on, (rows,)."""
    return np.full(rows, np.log(share_female / (1.0 - share_female)))


def _roc_auc(female: Array, totals: Array, counts: Array) -> float:
    """How often a woman's total lies above a man's, of all pairs of one each; a tie is half (Mann and Whitney 1947)."""
    _, position = np.unique(totals, return_inverse=True)
    women = np.bincount(position, weights=counts * female)
    men = np.bincount(position, weights=counts * (1.0 - female))
    men_below = np.cumsum(men) - men
    return float(women @ (men_below + 0.5 * men) / (women.sum() * men.sum()))


def calibration_bins(totals: Array) -> NDArray[np.int64]:
    """Which of ten bins of probability, of equal width, each row lies in, (rows,)."""
    position: NDArray[np.int64] = np.minimum(
        (sigmoid(totals) * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1
    )
    return position


def calibration_error(female: Array, totals: Array, counts: Array) -> float:
    """The mean distance between what was said and what was so, in ten bins of probability (Naeini et al. 2015)."""
    gap = np.bincount(calibration_bins(totals), counts * (sigmoid(totals) - female), CALIBRATION_BINS)
    return float(np.abs(gap).sum() / counts.sum())


def calibration_error_floor(totals: Array, counts: Array) -> float:
    """The calibration error that is expected of these very probabilities if they were exactly right.

    Even then the women in a bin are a matter of chance: their number varies by the sum of p · (1 - p), and the mean
    distance of a normal variable from its mean is its standard deviation times the square root of 2/π. Whoever has a
    calibration error of about this size cannot be shown to be miscalibrated by so few people.
    """
    probabilities = sigmoid(totals)
    variance = np.bincount(calibration_bins(totals), counts * probabilities * (1.0 - probabilities), CALIBRATION_BINS)
    return float(np.sqrt(2.0 / np.pi * variance).sum() / counts.sum())


def reliability(female: Array, totals: Array, counts: Array) -> tuple[ReliabilityBin, ...]:
    """What was said and what was so, in the ten bins of the calibration error; small ones are put together."""
    position = calibration_bins(totals)
    people, said, women = (
        np.bincount(position, weights, CALIBRATION_BINS)
        for weights in (counts, counts * sigmoid(totals), counts * female)
    )
    return tuple(
        ReliabilityBin(
            lower=start / CALIBRATION_BINS,
            upper=end / CALIBRATION_BINS,
            people=int(people[start:end].sum()),
            mean_probability_female=float(said[start:end].sum() / people[start:end].sum()),
            share_female=float(women[start:end].sum() / people[start:end].sum()),
        )
        for start, end in reliability_bins(people)
    )


def reliability_bins(people: Array | NDArray[np.int64]) -> list[tuple[int, int]]:
    """The ten bins with so many people put together until each holds five: from which, and up to which (exclusive).

    One begins at one half, where five lie on either side: how many are called male is known from the accuracy of each
    gender, and the difference of the two should show no fewer than five.
    """
    half = CALIBRATION_BINS // 2
    below, above = merged(people[:half].tolist()), merged(people[half:].tolist())
    if not below or not above:
        return merged(people.tolist())
    return below + [(half + start, half + end) for start, end in above]
