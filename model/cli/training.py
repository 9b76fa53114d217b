"""`train`: the training job and its progress."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.cli.options import common, examples, gate_options, open_registry, reading_options, show_result
from model.cli.outcome import outcome_as_json, outcome_in_words
from model.cli.plots import print_plots
from model.cli.progress import progress
from model.cli.recording import Recording, recording

if TYPE_CHECKING:
    from model.registry.registry import Registry
    from model.training.job import Settings
    from model.training.publication import Outcome


class _LayersType(click.ParamType[tuple[int, ...]]):
    name = "NEURONS[,NEURONS…]|none"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return () if value in ("none", "") else tuple(int(neurons) for neurons in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of layers such as 2 or 8,4, nor none", parameter, context)


@click.command(
    epilog=examples(
        "stature train",
        "stature train --data people.csv --bad-rows skip",
        "stature train --hidden 8,4 --promote never",
        "stature train --trainer sgd --epochs 5 --shuffle",
        "stature train --data tutorial",
    )
)
@click.option(
    "--data",
    type=click.Path(),
    default="nhanes",
    show_default=True,
    metavar="FILE|tutorial|nhanes",
    help="CSV, CSV in gzip, or Parquet.",
)
@reading_options
@click.option(
    "--hidden",
    type=_LayersType(),
    metavar=_LayersType.name,
    default="2",
    show_default=True,
    help="The neurons of each hidden layer.",
)
@click.option(
    "--trainer",
    type=click.Choice(["sgd", "gauss_newton"]),
    help="How it learns.  [default: gauss_newton; sgd for tutorial]",
)
@click.option("--epochs", type=int, help="Of sgd: how often it sees all people.  [default: 20; 1000 for tutorial]")
@click.option("--learning-rate", type=float, help="Of sgd: the step along the gradient.  [default: 0.1]")
@click.option("--learning-rate-decay", type=float, help="Of sgd: epoch e has the rate / (1 + decay * e).  [default: 0]")
@click.option("--shuffle", is_flag=True, help="Of sgd: take the people in a new order every epoch.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is random.")
@gate_options
@click.option("--publish-identical", is_flag=True, help="Publish even what is identical to the champion.")
@click.option("--if-empty", is_flag=True, help="Do nothing if there is a champion already.")
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Leave what came of it in this file, for Prometheus.",
)
@common
def train(
    registry_path: str,
    model: str,
    *,
    as_json: bool,
    data: str,
    bad_rows: str,
    if_empty: bool,
    metrics_file: Path | None,
    thresholds: tuple[tuple[str, float], ...],
    **settings: Any,  # noqa: ANN401 - the fields of Settings, by their names
) -> None:
    """Train a network, publish it, and promote it if it is better.

    It is judged on people held out of the data, beside the champion. Without --data it trains on the shipped sample.
    """
    from model.registry.registry import whoami  # noqa: PLC0415
    from model.training import job  # noqa: PLC0415

    chosen = click.get_current_context().get_parameter_source("model") == click.core.ParameterSource.COMMANDLINE
    registry = open_registry(registry_path, job.TUTORIAL if data == job.TUTORIAL and not chosen else model)
    champion = registry.head().champion
    if if_empty and champion is not None:
        said = f"{registry} has a champion already, version {champion}: nothing to train."
        show_result({"model": registry.model, "model_version": champion, "trained": False}, said, as_json=as_json)
        return
    asked = job.Settings(data=data, skip_bad_rows=bad_rows == "skip", thresholds=dict(thresholds), **settings)
    with recording(registry.model, metrics_file) as record:
        outcome = _run(asked, registry, record, by=whoami(), quiet=as_json or record.logs)
        record.finished(outcome)
    show_result(outcome_as_json(registry, outcome), outcome_in_words(registry, outcome), as_json=as_json)
    if not (as_json or record.logs):
        print_plots(outcome, registry)


def _run(asked: Settings, registry: Registry, record: Recording, *, by: str, quiet: bool) -> Outcome:
    """The training job, telling how it goes."""
    from model.training import job  # noqa: PLC0415

    with progress(f"training on {Path(asked.data).name}", steps=job.epochs_of(asked), quiet=quiet) as reached:

        def on_epoch(epoch: int, loss: float) -> None:
            reached(epoch)
            record.epoch(epoch, loss)
            if not quiet:
                click.echo(f"epoch {epoch:>4}  loss {loss:.6f}", file=sys.stdout)  # which is above the bar now

        return job.run(asked, registry, by=by, on_epoch=on_epoch)
