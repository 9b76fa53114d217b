"""What came of a training, a recalibration or an evaluation: in words, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model.cli.options import METRICS, as_options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.manifest import Evaluation
    from model.registry.registry import Registry
    from model.training.publication import Outcome


def outcome_as_json(registry: Registry, outcome: Outcome) -> dict[str, Any]:
    manifest = outcome.version.manifest if outcome.version else None
    return {
        "model": registry.model,
        "model_version": manifest.number if manifest else None,
        "trained": True,
        "identical_to": outcome.identical_to,
        "promoted": outcome.promoted,
        "challenger": outcome.is_challenger,
        "verdict": outcome.verdict.model_dump(),
        "digest": outcome.digest,
        "parent": manifest.parent if manifest else None,
        "recalibration": outcome.recalibration.model_dump() if outcome.recalibration else None,
        "trainer": outcome.trainer.model_dump(),
        "evaluation": outcome.evaluation.model_dump(),
        "people": len(outcome.people),
        "left_out": outcome.people.left_out,
    }


def outcome_in_words(registry: Registry, outcome: Outcome) -> str:
    people = outcome.people
    held_out = int(people.counts[people.held_out].sum())
    lines = [
        f"{len(people):,} people of {people.source}: {len(people) - held_out:,} trained on, {held_out:,} held out",
        *left_out_in_words(people.left_out),
        _fit_in_words(outcome),
        *(
            f"  saturated: neuron {neuron} of hidden layer {layer} answers nearly the same for everybody"
            for layer, neuron in outcome.trainer.saturated_units or ()
        ),
        "",
        *metrics_in_words(outcome.evaluation),
        "",
        *_publication_in_words(registry, outcome),
    ]
    return "\n".join(lines)


def left_out_in_words(left_out: dict[str, int]) -> list[str]:
    return [f"  left out: {count:,} x {reason}" for reason, count in left_out.items()]


def metrics_in_words(evaluation: Evaluation, network: str = "this network") -> Iterator[str]:
    """The metrics beside those of the baselines, and what to hold the calibration error against."""
    rows = [
        (name, *(f"{getattr(metrics, metric):.4f}" for metric in METRICS))
        for name, metrics in (
            (network, evaluation.metrics),
            ("logistic regression", evaluation.logistic_regression),
            ("the base rate", evaluation.base_rate),
        )
        if metrics is not None
    ]
    if evaluation.intervals:
        intervals = [evaluation.intervals[metric] for metric in METRICS]
        rows.insert(1, ("  95 % interval", *(f"{lower:.4f}-{upper:.4f}" for lower, upper in intervals)))
    population = "" if evaluation.population == "everyone" else f" {evaluation.population.replace('_', ' ')}"
    yield table((f"{evaluation.people:,} people{population}", *METRICS), rows)
    if evaluation.calibration_error_floor is not None:
        yield (
            f"Of {evaluation.people:,} people, probabilities that are exactly right would show a calibration error of "
            f"{evaluation.calibration_error_floor:.4f}."
        )


def reliability_in_words(evaluation: Evaluation) -> Iterator[str]:
    yield table(
        ("probability of female", "people", "said on average", "so were"),
        [
            (
                f"{found.lower:.1f} to {found.upper:.1f}",
                f"{found.people:,}",
                f"{found.mean_probability_female:.3f}",
                f"{found.share_female:.3f}",
            )
            for found in evaluation.reliability
        ],
    )


def slices_in_words(evaluation: Evaluation) -> Iterator[str]:
    from model.training.slices import slice_in_words  # noqa: PLC0415

    yield table(
        ("slice", "people", "log_loss", "brier_score", "accuracy", "calibration_error", "its floor"),
        [
            (
                slice_in_words(found),
                f"{found.people:,}",
                *(_figure(getattr(found, metric)) for metric in METRICS if metric != "roc_auc"),
                _figure(found.calibration_error_floor),
            )
            for found in evaluation.slices
        ],
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _fit_in_words(outcome: Outcome) -> str:
    trainer, recalibration = outcome.trainer, outcome.recalibration
    if recalibration is not None:
        return (
            f"{trainer.name}: log-odds times {recalibration.slope:.4f}, plus {recalibration.intercept:.4f}: "
            f"loss {trainer.final_loss:.6f}"
        )
    return "\n".join(
        [
            (
                f"{trainer.name}, {'-'.join(map(str, outcome.layer_sizes))}, seed {trainer.seed}: "
                f"loss {trainer.final_loss:.6f} after {trainer.epochs:,} epochs"
            ),
            *(
                f"  saturated: neuron {neuron} of hidden layer {layer} answers nearly the same for everybody"
                for layer, neuron in trainer.saturated_units or ()
            ),
        ]
    )


def _publication_in_words(registry: Registry, outcome: Outcome) -> Iterator[str]:
    if outcome.version is None:
        yield f"Identical to version {outcome.identical_to}, the champion: nothing was published."
        return
    manifest = outcome.version.manifest
    made_from = f", made from version {manifest.parent}" if manifest.parent is not None else ""
    yield f"Published version {manifest.number} of {registry}{made_from}."
    if manifest.files.report is None:
        yield "No report: matplotlib is not installed. pip install 'stature[reports]'"
    if outcome.promoted:
        yield f"Promoted: {outcome.verdict.reason}."
        return
    yield f"Not promoted: {outcome.verdict.reason}."
    if outcome.is_challenger:
        yield "It is the challenger."
    yield f"To promote it: stature promote {manifest.number} {as_options(registry)}"
