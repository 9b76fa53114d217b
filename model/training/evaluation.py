"""How good a version is: its metrics, beside those of two models that anyone can have for nothing, and the gate.

Everything is computed from totals (log-odds of female) on counted people. Shapes: female, totals and counts are
(rows,); `counts` says how many people each row stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.network.losses import LOG_LOSS
from model.network.network import Array, sigmoid

_CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Metrics:
    """Lower is better for log-loss, Brier score and calibration error, higher for accuracy and ROC AUC."""

    log_loss: float
    brier_score: float
    accuracy: float
    roc_auc: float
    calibration_error: float


def log_losses(female: Array, totals: Array) -> Array:
    """The log-loss of each row, (rows,)."""
    return LOG_LOSS.of_each(female[:, None], totals[:, None])


def measure(female: Array, totals: Array, counts: Array) -> Metrics:
    """All metrics of these totals. Both genders must be among the people."""
    probabilities = sigmoid(totals)

    def mean(values: Array) -> float:
        return float(np.average(values, weights=counts))

    return Metrics(
        log_loss=mean(log_losses(female, totals)),
        brier_score=mean((probabilities - female) ** 2),
        accuracy=mean(((probabilities >= 0.5) == (female == 1)).astype(np.float64)),  # noqa: PLR2004 - one half
        roc_auc=_roc_auc(female, totals, counts),
        calibration_error=_calibration_error(female, probabilities, counts),
    )


def base_rate_totals(trained_female: Array, trained_counts: Array, rows: int) -> Array:
    """The totals of a model that answers everyone with the share of women it was trained on, (rows,)."""
    share = float(np.average(trained_female, weights=trained_counts))
    return np.full(rows, np.log(share / (1.0 - share)))


def _roc_auc(female: Array, totals: Array, counts: Array) -> float:
    """How often a woman's total lies above a man's, of all pairs of one each; a tie is half (Mann and Whitney 1947)."""
    _, position = np.unique(totals, return_inverse=True)
    women = np.bincount(position, weights=counts * female)
    men = np.bincount(position, weights=counts * (1.0 - female))
    men_below = np.cumsum(men) - men
    return float(women @ (men_below + 0.5 * men) / (women.sum() * men.sum()))


def _calibration_error(female: Array, probabilities: Array, counts: Array) -> float:
    """The mean distance between what was said and what was so, in ten bins of probability (Naeini et al. 2015)."""
    position = np.minimum((probabilities * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
    gap = np.bincount(position, weights=counts * (probabilities - female), minlength=_CALIBRATION_BINS)
    return float(np.abs(gap).sum() / counts.sum())


@dataclass(frozen=True)
class Judgement:
    """What the gate says of a candidate, and by which figures."""

    promote: bool
    reason: str
    candidate_log_loss: float | None = None
    champion_log_loss: float | None = None


def judge(candidate_log_loss: float, champion_log_loss: float, champion: int, people: int) -> Judgement:
    """A candidate is promoted where its log-loss is lower than the champion's, on the same held-out people."""
    better = candidate_log_loss < champion_log_loss
    return Judgement(
        promote=better,
        reason=(
            f"log-loss {candidate_log_loss:.5f} on {people:,} held-out people is "
            f"{'lower' if better else 'not lower'} than the {champion_log_loss:.5f} of version {champion}"
        ),
        candidate_log_loss=candidate_log_loss,
        champion_log_loss=champion_log_loss,
    )
