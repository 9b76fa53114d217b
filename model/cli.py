"""The `stature` command. Each command opens the registry, calls one function of this package, and prints what it said.

What takes long to import (numpy, duckdb, rich) is imported by the commands that use it. Every command takes --registry,
--model and --json; a flag beats the environment, the environment beats the default. Exit codes: 0 done, 1 it could not
be done and standard error says why, 2 the command was not understood.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from model.errors import NotFoundError, StatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model.registry.log import Head
    from model.registry.registry import Registry
    from model.training.job import Outcome, Settings

Command = TypeVar("Command", bound="Callable[..., Any]")


class Group(click.Group):
    """Commands whose failures are sentences, not stack traces."""

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(context)
        except StatureError as error:
            raise click.ClickException(str(error)) from error

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stature", message="%(prog)s %(version)s")
def main() -> None:
    """A person's recorded gender from weight and height: train it, keep its versions, serve it."""


_option = partial(click.option, show_default=True, show_envvar=True)


def common(command: Command) -> Command:
    """The options that every command takes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines."),
        _option("--model", envvar="STATURE_MODEL", default="gender", help="The name of the model."),
        _option(
            "--registry",
            "registry_path",
            envvar="STATURE_REGISTRY",
            default="./registry",
            help="The directory of the registry.",
        ),
    ):
        command = option(command)
    return command


def serving(command: Command) -> Command:
    """The options of what listens."""
    for option in (
        _option("--workers", envvar="STATURE_WORKERS", type=click.IntRange(1, 256), default=2),
        _option("--port", envvar="STATURE_PORT", type=click.IntRange(0, 65535), default=8000),
        _option("--host", envvar="STATURE_HOST", default="127.0.0.1"),
    ):
        command = option(command)
    return command


class _ExpectType(click.ParamType[int | Literal["none"]]):
    name = "VERSION|none"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> int | Literal["none"]:
        try:
            return "none" if value == "none" else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither the number of a version nor 'none'", parameter, context)


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


def moving(command: Command) -> Command:
    """The options of what moves an alias."""
    for option in (
        click.option("--reason", default="", help="Why, for the log."),
        click.option("--expect", type=_ExpectType(), help="Refuse unless this version is champion."),
    ):
        command = option(command)
    return command


@main.command()
@common
@serving
@click.pass_context
def up(
    context: click.Context, registry_path: str, model: str, *, as_json: bool, host: str, port: int, workers: int
) -> None:
    """Train on the shipped data if there is no champion yet, then serve."""
    _check_free(host, port)
    context.invoke(train, registry_path=registry_path, model=model, as_json=as_json, if_empty=True)
    sys.stdout.flush()
    _serve(registry_path, model, host, port, workers)


@main.command()
@common
@serving
def serve(registry_path: str, model: str, *, as_json: bool, host: str, port: int, workers: int) -> None:
    """Answer over HTTP with the champion, and with every version that is promoted from now on."""
    del as_json  # the service speaks for itself
    _check_free(host, port)
    if _registry(registry_path, model).head().champion is None:
        click.echo(f"No champion of {model} in {registry_path} yet: waiting for `stature train`.", err=True)
    _serve(registry_path, model, host, port, workers)


@main.command()
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
    registry = _registry(registry_path, job.TUTORIAL if data == job.TUTORIAL and not chosen else model)
    champion = registry.head().champion
    if if_empty and champion is not None:
        said = f"{registry} has a champion already, version {champion}: nothing to train."
        _print({"model": registry.model, "model_version": champion, "trained": False}, said, as_json=as_json)
        return
    asked = job.Settings(data=data, skip_bad_rows=bad_rows == "skip", **settings)
    outcome = _run(asked, registry, by=whoami(), quiet=as_json)
    _print(_outcome_as_json(registry, outcome), _outcome_in_words(registry, outcome), as_json=as_json)


def _run(asked: Settings, registry: Registry, *, by: str, quiet: bool) -> Outcome:
    """The training job, showing its progress: lines, and on a terminal a bar below them."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from model.training import job  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False, quiet=quiet)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"training on {asked.data}", total=job.epochs_of(asked))

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
        _table(
            (f"{evaluation.people:,} people {evaluation.population.replace('_', ' ')}", *_METRICS),
            [
                (name, *(f"{getattr(metrics, metric):.4f}" for metric in _METRICS))
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


_METRICS = ("log_loss", "brier_score", "accuracy", "roc_auc", "calibration_error")


@main.command()
@common
@click.option("--weight-kg", type=float)
@click.option("--height-cm", type=float)
@click.option("--weight-lb", type=float)
@click.option("--height-in", type=float)
@click.option("--version", "name", default="champion", show_default=True, help="A version's number or alias.")
def predict(registry_path: str, model: str, *, as_json: bool, name: str, **measurements: float | None) -> None:
    """Answer for one person, without a server."""
    from model import units  # noqa: PLC0415

    given = {field: value for field, value in measurements.items() if value is not None}
    pair = next((pair for pair in units.PAIRS if set(given) == {field.name for field in pair}), None)
    if pair is None:
        raise click.UsageError("give --weight-kg with --height-cm, or --weight-lb with --height-in")
    weight_lb, height_in = units.to_canonical(given[pair[0].name], pair[0], given[pair[1].name], pair[1])
    registry = _registry(registry_path, model)
    version = registry.load(_resolve(registry, name, registry.head()))
    answer = version.predict(weight_lb, height_in) | version.identity
    outside = "" if answer["in_training_range"] else ", outside the range of the people it was trained on"
    said = (
        f"{answer['likelier']}: the probability of female is {answer['probability_female']:.4f} "
        f"(version {version.manifest.number} of {model}{outside})"
    )
    _print(answer, said, as_json=as_json)


@main.command()
@common
def models(registry_path: str, model: str, *, as_json: bool) -> None:
    """List the versions, the newest first."""
    registry = _registry(registry_path, model)
    head = registry.head()
    found = [registry.summary(number, head) for number in reversed(registry.numbers()) if not head.is_deleted(number)]
    rows = [
        (
            str(version["model_version"]),
            ", ".join(version["aliases"]),
            version["created_at"][:16].replace("T", " "),
            version["data"],
            version["trainer"],
            "-".join(map(str, version["layer_sizes"])),
            *(f"{version['metrics'][metric]:.4f}" for metric in _METRICS[:3]),
        )
        for version in found
    ]
    titles = ("version", "aliases", "created (UTC)", "data", "trainer", "layers", *_METRICS[:3])
    said = _table(titles, rows) if rows else f"No version of {registry} yet: `stature train` makes the first."
    _print(found, said, as_json=as_json)


@main.command()
@common
@click.argument("name", metavar="VERSION|ALIAS")
def show(registry_path: str, model: str, *, as_json: bool, name: str) -> None:
    """Show all about a version, and where its weights are; np.load opens them."""
    registry = _registry(registry_path, model)
    head = registry.head()
    version = registry.load(_resolve(registry, name, head))
    manifest = version.manifest
    path = Path(registry_path) / registry.model / manifest.files.weights.key
    document = manifest.model_dump(mode="json")
    aliases = head.aliases_of(manifest.number)
    said = "\n".join(
        [
            f"version {manifest.number} of {registry}{': ' if aliases else ''}{', '.join(aliases)}",
            f"weights    {path}",
            f"digest     {manifest.digest}",
            f"created    {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC by {manifest.created_by}",
            (
                f"trained    {manifest.trainer.name}, {'-'.join(map(str, manifest.layer_sizes))}, "
                f"seed {manifest.trainer.seed}, on {manifest.data.trained_people:,} people of {manifest.data.source}"
            ),
            f"verdict    {'promote' if manifest.verdict.promote else 'do not promote'}: {manifest.verdict.reason}",
            *(f"{metric:<18} {getattr(manifest.evaluation.metrics, metric):.4f}" for metric in _METRICS),
            "",
            "The whole manifest: --json",
        ]
    )
    _print({**document, "aliases": aliases, "weights_path": str(path)}, said, as_json=as_json)


@main.command()
@common
def log(registry_path: str, model: str, *, as_json: bool) -> None:
    """Show who moved which alias, when and why."""
    registry = _registry(registry_path, model)
    records = list(registry.log())
    rows = [
        (
            str(record.number),
            f"{record.at:%Y-%m-%d %H:%M:%S}",
            record.by,
            f"{record.operation.name} {record.operation.version or ''}".strip(),
            ", ".join(f"{alias} {number}" for alias, number in sorted(record.state.aliases.items())),
            record.reason,
        )
        for record in records
    ]
    said = (
        _table(("record", "at (UTC)", "by", "operation", "aliases after it", "reason"), rows)
        if rows
        else f"Nothing has been promoted yet in {registry}."
    )
    _print([record.model_dump(mode="json") for record in records], said, as_json=as_json)


@main.command()
@common
@moving
@click.argument("name", metavar="VERSION|ALIAS")
def promote(registry_path: str, model: str, *, as_json: bool, name: str, expect: Any, reason: str) -> None:  # noqa: ANN401
    """Make a version the champion. Running services have it within two seconds."""
    from model.registry.registry import whoami  # noqa: PLC0415

    registry = _registry(registry_path, model)
    number = _resolve(registry, name, registry.head())
    _print_head(registry.promote(number, by=whoami(), reason=reason, expect=expect), registry, as_json=as_json)


@main.command()
@common
@moving
def rollback(registry_path: str, model: str, *, as_json: bool, expect: Any, reason: str) -> None:  # noqa: ANN401
    """Make the previous champion the champion again."""
    from model.registry.registry import whoami  # noqa: PLC0415

    registry = _registry(registry_path, model)
    _print_head(registry.rollback(by=whoami(), reason=reason, expect=expect), registry, as_json=as_json)


@main.command()
@common
def verify(registry_path: str, model: str, *, as_json: bool) -> None:
    """Read the whole registry and say what in it is not as it must be. Exit code 1 if anything is."""
    from model.registry.audit import problems  # noqa: PLC0415

    registry = _registry(registry_path, model)
    found = list(problems(registry))
    versions, records = len(registry.numbers()), len(registry.record_numbers())
    if not versions and not records:
        raise NotFoundError(f"{registry} holds nothing to verify: is this the right --registry and --model?")
    counted = ", ".join(
        f"{count} {what}{'s' * (count != 1)}" for count, what in ((versions, "version"), (records, "log record"))
    )
    whole = f"{registry} is whole: {counted}."
    _print(
        {"model": registry.model, "versions": versions, "log_records": records, "problems": found},
        "\n".join(found) or whole,
        as_json=as_json,
    )
    if found:
        sys.exit(1)


def _registry(path: str, model: str) -> Registry:
    from model.registry.registry import Registry  # noqa: PLC0415
    from model.registry.storage import LocalStorage  # noqa: PLC0415

    return Registry(LocalStorage(Path(path)), model)


def _resolve(registry: Registry, name: str, head: Head) -> int:
    """As the registry does, with what to do about it if there is nothing yet."""
    if name == "champion" and head.champion is None:
        raise NotFoundError(f"{registry} has no champion yet: `stature train` makes the first")
    return registry.resolve(name, head)


def _check_free(host: str, port: int) -> None:
    """A busy port is said at once, in words, rather than by gunicorn's retries."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --host and --port."
        ) from None


def _serve(registry_path: str, model: str, host: str, port: int, workers: int) -> None:
    """Become gunicorn's master, so that signals reach it."""
    os.environ |= {"STATURE_REGISTRY": registry_path, "STATURE_MODEL": model}
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    flags = ["--config", "python:service.gunicorn_conf", "--bind", address, "--workers", str(workers)]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *flags, "service.app:from_environment()"])  # noqa: S606


def _print(document: Any, said: str, *, as_json: bool) -> None:  # noqa: ANN401 - whatever JSON can say
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else said)


def _print_head(head: Head, registry: Registry, *, as_json: bool) -> None:
    aliases = dict(sorted(head.state.aliases.items()))
    said = f"{registry}: {', '.join(f'{alias} is version {number}' for alias, number in aliases.items())}."
    _print({"model": registry.model, "log_number": head.number, "aliases": aliases}, said, as_json=as_json)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their titles, as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [titles, *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    main()
