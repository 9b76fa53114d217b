"""The gate: whether a candidate may become champion, decided from figures alone.

In this order: the thresholds that were asked for; the base rate, which anyone can have for nothing; and the champion,
on the same people. A difference to the champion counts where it lies outside the noise: where the interval of the
paired difference does not hold 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from model.errors import SettingsError
from model.training.metrics import LOWER_IS_BETTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.training.bootstrap import Interval
    from model.training.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """What is asked of a candidate, and what becomes of one that fails."""

    promote: Literal["auto", "always", "never"] = "auto"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By metric: the highest value allowed where lower is better, otherwise the lowest."""
    min_absolute_change: float = 0.0
    """By how much the log-loss must at least be lower than the champion's."""
    min_relative_change: float = 0.0
    """The same as a share of the champion's log-loss."""
    holdout: str | None = None
    """A file of people who judge, instead of those held out of the data."""
    otherwise: Literal["nothing", "challenger"] = "nothing"


@dataclass(frozen=True)
class Champion:
    """The champion on the people who judge, and the candidate's log-loss minus its own there."""

    number: int
    log_loss: float
    difference_interval: Interval


@dataclass(frozen=True)
class Judgement:
    """What the gate says of a candidate, and by which figures."""

    promote: bool
    reason: str
    candidate_log_loss: float | None = None
    champion_log_loss: float | None = None
    base_rate_log_loss: float | None = None
    difference: float | None = None
    difference_interval: Interval | None = None


def check(settings: GateSettings) -> None:
    """Raises SettingsError where the gate is asked for what cannot be."""
    for metric in settings.thresholds:
        if metric not in LOWER_IS_BETTER:
            raise SettingsError(f"--threshold knows {', '.join(LOWER_IS_BETTER)}; it is {metric!r:.80}")
    for name in ("min_absolute_change", "min_relative_change"):
        value = getattr(settings, name)
        if not 0.0 <= value < float("inf"):
            raise SettingsError(f"--{name.replace('_', '-')} must be at least 0, and finite; it is {value}")


def judge(
    settings: GateSettings, candidate: Metrics, base_rate_log_loss: float, champion: Champion | None, judges: str
) -> Judgement:
    """Whether the candidate is let through. `judges` says in words who judged: "1,222 held-out people"."""
    problem = _below_thresholds(settings, candidate, judges) or _below_base_rate(candidate, base_rate_log_loss, judges)
    if champion is None:
        return Judgement(
            promote=problem is None,
            reason=problem or "it is the first, and better than the base rate",
            candidate_log_loss=candidate.log_loss,
            base_rate_log_loss=base_rate_log_loss,
        )
    difference = candidate.log_loss - champion.log_loss
    better, reason = _compared(settings, candidate.log_loss, champion, judges)
    return Judgement(
        promote=problem is None and better,
        reason=problem or reason,
        candidate_log_loss=candidate.log_loss,
        champion_log_loss=champion.log_loss,
        base_rate_log_loss=base_rate_log_loss,
        difference=difference,
        difference_interval=champion.difference_interval,
    )


def _below_thresholds(settings: GateSettings, candidate: Metrics, judges: str) -> str | None:
    """Written so that what is not a number fails."""
    for metric, threshold in settings.thresholds.items():
        value, lower_is_better = getattr(candidate, metric), LOWER_IS_BETTER[metric]
        if not (value <= threshold if lower_is_better else value >= threshold):
            relation = "above the highest" if lower_is_better else "below the lowest"
            return f"{metric} {value:.5f} on {judges} is {relation} that is allowed, {threshold:g}"
    return None


def _below_base_rate(candidate: Metrics, base_rate_log_loss: float, judges: str) -> str | None:
    if candidate.log_loss < base_rate_log_loss:
        return None
    return (
        f"log-loss {candidate.log_loss:.5f} on {judges} is not lower than the {base_rate_log_loss:.5f} of the base rate"
    )


def _compared(settings: GateSettings, log_loss: float, champion: Champion, judges: str) -> tuple[bool, str]:
    """Whether it beats the champion, and in words by what."""
    difference, (lower, upper) = log_loss - champion.log_loss, champion.difference_interval
    figures = f"log-loss {log_loss:.5f} on {judges}"
    than = f"than the {champion.log_loss:.5f} of version {champion.number}"
    interval = f"difference {difference:+.5f}, 95 % interval {lower:+.5f} to {upper:+.5f}"
    if not difference < 0.0:
        return False, f"{figures} is not lower {than}"
    if not upper < 0.0:
        return False, f"{figures} is lower {than}, but not beyond the noise: {interval}"
    for name, demanded in (
        ("--min-absolute-change", settings.min_absolute_change),
        ("--min-relative-change", settings.min_relative_change * champion.log_loss),
    ):
        if -difference < demanded:
            return False, f"{figures} is lower {than} by {-difference:.5f}, and {name} asks for {demanded:.5f}"
    return True, f"{figures} is lower {than}: {interval}"
