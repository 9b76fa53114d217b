"""`up`, `serve` and `predict`: answering, with a server and without."""

from __future__ import annotations

import gc
import os
import socket
import sys
from pathlib import Path

import click

from model.cli.options import (
    Command,
    common,
    examples,
    names,
    open_registry,
    registry_options,
    resolve,
    show_result,
    shown_option,
)


def serving(command: Command) -> Command:
    """The options of what listens."""
    for option in (
        shown_option(
            "--workers", envvar="STATURE_WORKERS", type=click.IntRange(1, 256), default=2, help="Processes that answer."
        ),
        shown_option(
            "--port", envvar="STATURE_PORT", type=click.IntRange(0, 65535), default=8000, help="The TCP port."
        ),
        shown_option("--host", envvar="STATURE_HOST", default="127.0.0.1", help="The address to listen on."),
    ):
        command = option(command)
    return command


@click.command(epilog=examples("stature up", "stature up --port 8001 --workers 4"))
@serving
@common
@click.pass_context
def up(
    context: click.Context, registry_path: str, model: str, *, as_json: bool, host: str, port: int, workers: int
) -> None:
    """Train if there is no champion yet, then serve.

    It trains on the shipped data.
    """
    from model.cli.training import train  # noqa: PLC0415

    _check_free(host, port)
    context.invoke(train, registry_path=registry_path, model=model, as_json=as_json, if_empty=True)
    sys.stdout.flush()
    # A process of its own is without what the training has imported.
    place = ["--registry", registry_path, "--model", model, "--host", host, "--port", str(port)]
    command = [sys.executable, "-m", "model.cli", "serve", *place, "--workers", str(workers)]
    os.execv(sys.executable, command)  # noqa: S606


@click.command(epilog=examples("stature serve", "stature serve --registry shared/registry --port 8080"))
@serving
@registry_options
def serve(registry_path: str, model: str, *, host: str, port: int, workers: int) -> None:
    """Answer over HTTP with the champion.

    What is promoted later is served within two seconds. It runs until Ctrl-C or SIGTERM; standard error has its log.
    """
    from model.registry.manifest import check_name  # noqa: PLC0415
    from model.registry.storage import open_storage  # noqa: PLC0415

    check_name(model, "a model")
    _check_free(host, port)
    # A look and no more: numpy is not to be imported before gunicorn's settings have limited its threads.
    if not open_storage(registry_path).list_after(f"{model}/log"):
        click.echo(f"No champion of {model} in {registry_path} yet: waiting for `stature train`.", err=True)
    _serve(registry_path, model, host, port, workers)


@click.command(
    epilog=examples(
        "stature predict --weight-kg 73 --height-cm 182",
        "stature predict --weight-lb 128 --height-in 63 --version 2 --json",
    )
)
@click.option("--weight-kg", type=float, help="Kilograms, 20 to 400; with --height-cm.")
@click.option("--height-cm", type=float, help="Centimetres, 100 to 250.")
@click.option("--weight-lb", type=float, help="Pounds; with --height-in.")
@click.option("--height-in", type=float, help="Inches.")
@click.option(
    "--version",
    "name",
    default="champion",
    show_default=True,
    shell_complete=names,
    help="A version's number or alias.",
)
@common
def predict(registry_path: str, model: str, *, as_json: bool, name: str, **measurements: float | None) -> None:
    """Answer for one person, without a server."""
    from model import units  # noqa: PLC0415

    given = {field: value for field, value in measurements.items() if value is not None}
    pair = next((pair for pair in units.PAIRS if set(given) == {field.name for field in pair}), None)
    if pair is None:
        raise click.UsageError("give --weight-kg with --height-cm, or --weight-lb with --height-in")
    weight_lb, height_in = units.to_canonical(given[pair[0].name], pair[0], given[pair[1].name], pair[1])
    registry = open_registry(registry_path, model)
    version = registry.load(resolve(registry, name, registry.head()))
    answer = version.predict(weight_lb, height_in) | version.identity
    outside = "" if answer["in_training_range"] else ", outside the range of the people it was trained on"
    said = (
        f"{answer['likelier']}: the probability of female is {answer['probability_female']:.4f} "
        f"(version {version.manifest.number} of {model}{outside})"
    )
    show_result(answer, said, as_json=as_json)


def _check_free(host: str, port: int) -> None:
    """A busy port is said at once, in words, rather than by gunicorn's retries."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "that is no host"
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {why}. "
            "Choose another with --host and --port, or with STATURE_HOST and STATURE_PORT in front of the command."
        ) from None


def _serve(registry_path: str, model: str, host: str, port: int, workers: int) -> None:
    """Become gunicorn's master, so that signals reach it: in this process, as a second start of Python takes long."""
    os.environ |= {"STATURE_REGISTRY": registry_path, "STATURE_MODEL": model}
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    flags = ["--config", "python:service.gunicorn_conf", "--bind", address, "--workers", str(workers)]
    if "obstore" in sys.modules:  # it has threads by now, which gunicorn's workers, being forks, would lack
        os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *flags])  # noqa: S606
    gc.disable()  # an import leaves little garbage; gunicorn's settings turn it on again
    from gunicorn import __main__ as gunicorn  # noqa: PLC0415

    # Where gunicorn looks; by SIGUSR2 it starts what stands here anew.
    sys.argv = [str(Path(sys.executable).with_name("gunicorn")), *flags]
    gunicorn.run()
