"""`evaluate` and `recalibrate`: a version among other people, and one that is made to fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from model.cli.options import (
    common,
    examples,
    gate_options,
    open_registry,
    reading_options,
    resolve,
    show_result,
    version_argument,
)
from model.cli.outcome import (
    left_out_in_words,
    metrics_in_words,
    outcome_as_json,
    outcome_in_words,
    reliability_in_words,
    slices_in_words,
)
from model.cli.plots import print_plots
from model.cli.progress import progress

_data_option = click.option(
    "--data", type=click.Path(), required=True, metavar="FILE|nhanes", help="CSV, CSV in gzip, or Parquet."
)

_LOGISTIC_REGRESSION = (
    "The logistic regression is one of these people: each is judged by one that was trained on the others."
)


@click.command(epilog=examples("stature evaluate champion --data people.csv"))
@version_argument()
@_data_option
@reading_options
@common
def evaluate(
    registry_path: str, model: str, *, as_json: bool, name: str, data: str, female_code: str | None, bad_rows: str
) -> None:
    """Measure a version on the people of any file.

    It says too whether they look like those that the version was trained on. Nothing is trained or written.
    """
    from model.training.elsewhere import evaluate_elsewhere  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    with progress(f"measuring version {number} on {Path(data).name}", quiet=as_json):
        found = evaluate_elsewhere(registry, number, data, female_code=female_code, skip_bad_rows=bad_rows == "skip")
    people = found.people
    trained_on = (
        []
        if found.trained_on_people is None
        else [f"It was trained on {found.trained_on_people:,} of them: on others it is hardly better, and often worse."]
    )
    said = [
        f"Version {number} of {registry} on {len(people):,} people of {people.source}.",
        *trained_on,
        *left_out_in_words(people.left_out),
        *(f"Warning: {warning}." for warning in found.likeness.warnings),
        "",
        *metrics_in_words(found.evaluation, f"version {number}"),
        *([_LOGISTIC_REGRESSION] if found.evaluation.logistic_regression else []),
        *(["", *reliability_in_words(found.evaluation)] if found.evaluation.reliability else []),
        *(["", *slices_in_words(found.evaluation)] if found.evaluation.slices else []),
    ]
    document = {
        "model": registry.model,
        "model_version": number,
        "data": {"source": people.source, "fingerprint": people.fingerprint},
        "people": len(people),
        "left_out": people.left_out,
        "trained_on_people": found.trained_on_people,
        "warnings": list(found.likeness.warnings),
        "stability_index": found.likeness.stability_index,
        "evaluation": found.evaluation.model_dump(),
    }
    show_result(document, "\n".join(said), as_json=as_json)


@click.command(epilog=examples("stature recalibrate champion --data people.csv --promote never"))
@version_argument()
@_data_option
@reading_options
@gate_options
@common
def recalibrate(
    registry_path: str,
    model: str,
    *,
    as_json: bool,
    name: str,
    data: str,
    bad_rows: str,
    thresholds: tuple[tuple[str, float], ...],
    **settings: Any,  # noqa: ANN401 - the fields of Settings, by their names
) -> None:
    """Make a version that fits another population.

    Two numbers are fitted on these people, and its ranking is kept.
    """
    from model.registry.registry import whoami  # noqa: PLC0415
    from model.training import recalibration  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    asked = recalibration.Settings(
        version=number, data=data, skip_bad_rows=bad_rows == "skip", thresholds=dict(thresholds), **settings
    )
    with progress(f"recalibrating version {number} on {Path(data).name}", quiet=as_json):
        outcome = recalibration.run(asked, registry, by=whoami())
    show_result(outcome_as_json(registry, outcome), outcome_in_words(registry, outcome), as_json=as_json)
    if not as_json:
        print_plots(outcome, registry)
