"""`train`: the training job, its progress and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model.cli.options import METRICS, common, open_registry, show_result, table

if TYPE_CHECKING:
    from model.registry.registry import Registry
    from model.training.job import Outcome, Settings


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


@click.command()
@common
@click.option(
    "--data", default="nhanes", show_default=True, metavar="FILE|tutorial|nhanes", help="CSV, CSV in gzip, or Parquet."
)
@click.option("--female-code", metavar="NUMBER", help="The number that means female, where gender is a number.")
@click.option(
    "--bad-rows",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="Refuse a file with bad rows, or leave them out and count them.",
)
@click.option("--hidden", type=_LayersType(), default="2", show_default=True, help="The neurons of each hidden layer.")
@click.option("--trainer", type=click.Choice(["sgd", "gauss_newton"]), help="[default: gauss_newton; sgd for tutorial]")
@click.option("--epochs", type=int, help="Of sgd.  [default: 20; 1000 for tutorial]")
@click.option("--learning-rate", type=float, help="Of sgd.  [default: 0.1]")
@click.option("--learning-rate-decay", type=float, help="Of sgd: epoch e has the rate / (1 + decay * e).  [default: 0]")
@click.option("--shuffle", is_flag=True, help="Of sgd: take the people in a new order every epoch.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is random.")
@click.option(
    "--promote",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Make the version champion if it is the first or better, in any case, or not at all.",
)
@click.option("--publish-identical", is_flag=True, help="Publish even what is identical to the champion.")
@click.option("--if-empty", is_flag=True, help="Do nothing if there is a champion already.")
def train(
    registry_path: str,
    model: str,
    *,
    as_json: bool,
    data: str,
    bad_rows: str,
    if_empty: bool,
    **settings: Any,  # noqa: ANN401 - the fields of Settings, by their names
) -> None:
    """Train a network, judge it against the champion, publish it, and promote it if it is better."""
    from model.registry.registry import whoami  # noqa: PLC0415
    from model.training import job  # noqa: PLC0415

    chosen = click.get_current_context().get_parameter_source("model") == click.core.ParameterSource.COMMANDLINE
    registry = open_registry(registry_path, job.TUTORIAL if data == job.TUTORIAL and not chosen else model)
    champion = registry.head().champion
    if if_empty and champion is not None:
        said = f"{registry} has a champion already, version {champion}: nothing to train."
        show_result({"model": registry.model, "model_version": champion, "trained": False}, said, as_json=as_json)
        return
    asked = job.Settings(data=data, skip_bad_rows=bad_rows == "skip", **settings)
    outcome = _run(asked, registry, by=whoami(), quiet=as_json)
    show_result(_outcome_as_json(registry, outcome), _outcome_in_words(registry, outcome), as_json=as_json)


def _run(asked: Settings, registry: Registry, *, by: str, quiet: bool) -> Outcome:
    """The training job, showing its progress: lines, and on a terminal a bar below them."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from model.training import job  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False, quiet=quiet)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"training on {escape(asked.data)}", total=job.epochs_of(asked))

        def on_epoch(epoch: int, loss: float) -> None:
            progress.update(bar, completed=epoch)
            console.print(f"epoch {epoch:>4}  loss {loss:.6f}")

        return job.run(asked, registry, by=by, on_epoch=on_epoch)


def _outcome_as_json(registry: Registry, outcome: Outcome) -> dict[str, Any]:
    manifest = outcome.version.manifest if outcome.version else None
    return {
        "model": registry.model,
        "model_version": manifest.number if manifest else None,
        "trained": True,
        "identical_to": outcome.identical_to,
        "promoted": outcome.promoted,
        "verdict": outcome.verdict.model_dump(),
        "digest": outcome.digest,
        "trainer": outcome.trainer.model_dump(),
        "evaluation": outcome.evaluation.model_dump(),
        "people": len(outcome.people),
        "left_out": outcome.people.left_out,
    }


def _outcome_in_words(registry: Registry, outcome: Outcome) -> str:
    people, evaluation, trainer = outcome.people, outcome.evaluation, outcome.trainer
    held_out = int(people.counts[people.held_out].sum())
    lines = [
        f"{len(people):,} people of {people.source}: {len(people) - held_out:,} trained on, {held_out:,} held out",
        *(f"  left out: {count:,} x {reason}" for reason, count in people.left_out.items()),
        (
            f"{trainer.name}, {'-'.join(map(str, outcome.layer_sizes))}, seed {trainer.seed}: "
            f"loss {trainer.final_loss:.6f} after {trainer.epochs:,} epochs"
        ),
        "",
        table(
            (f"{evaluation.people:,} people {evaluation.population.replace('_', ' ')}", *METRICS),
            [
                (name, *(f"{getattr(metrics, metric):.4f}" for metric in METRICS))
                for name, metrics in (
                    ("this network", evaluation.metrics),
                    ("logistic regression", evaluation.logistic_regression),
                    ("the base rate", evaluation.base_rate),
                )
                if metrics is not None
            ],
        ),
        "",
    ]
    if outcome.version is None:
        return "\n".join([*lines, f"Identical to version {outcome.identical_to}, the champion: nothing was published."])
    number = outcome.version.manifest.number
    lines.append(f"Published version {number} of {registry}.")
    if outcome.promoted:
        return "\n".join([*lines, f"Promoted: {outcome.verdict.reason}."])
    flags = f"--registry {registry.storage} --model {registry.model}"
    return "\n".join(
        [*lines, f"Not promoted: {outcome.verdict.reason}.", f"To promote it: stature promote {number} {flags}"]
    )
