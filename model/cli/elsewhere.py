"""`export` and `report`: a version, and what was found out about it, for where Stature is not."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.cli.options import common, examples, open_registry, resolve, show_result, version_argument
from model.cli.progress import progress

if TYPE_CHECKING:
    from model.registry.registry import Registry
    from model.registry.version import Version


@click.command(
    epilog=examples(
        "stature export champion --to sql", "stature export champion --to python --units imperial --output model.py"
    )
)
@version_argument()
@click.option(
    "--to",
    "form",
    type=click.Choice(["json", "python", "sql", "npz"]),
    required=True,
    help="The numbers, a function, an expression over two columns, or the file of the weights as it is.",
)
@click.option(
    "--units",
    "unit_system",
    type=click.Choice(["metric", "imperial"]),
    help="What python and sql take: weight_kg and height_cm, or weight_lb and height_in.  [default: metric]",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file, instead of the screen.")
@common
def export(
    registry_path: str,
    model: str,
    *,
    as_json: bool,
    name: str,
    form: str,
    unit_system: str | None,
    output: Path | None,
) -> None:
    """Write a version as JSON, Python, SQL or .npz.

    It can be computed without Stature then.
    """
    if unit_system and form not in _TAKING_UNITS:
        raise click.UsageError("--units belongs to --to python and --to sql; json and npz hold the network as it is")
    if form == "npz" and output is None and (as_json or sys.stdout.isatty()):
        raise click.UsageError("an .npz file is not for reading: say where it goes with --output FILE")
    registry = open_registry(registry_path, model)
    version = registry.load(resolve(registry, name, registry.head()))
    with progress(f"writing version {version.manifest.number} as {form}", quiet=as_json):
        content = _content(registry, version, form, unit_system or "metric")
    if output is not None:
        _write(output, content)
    elif not as_json:
        click.echo(content, nl=False)
        return
    units = {"units": unit_system or "metric"} if form in _TAKING_UNITS else {}
    where = {"content": content.decode()} if output is None else {"output": str(output)}
    said = f"Wrote version {version.manifest.number} of {registry} to {output}."
    document = {**version.identity, "digest": version.manifest.digest, "to": form, **units, **where}
    show_result(document, said, as_json=as_json)


@click.command(epilog=examples("stature report champion --output report.html"))
@version_argument()
@click.option("--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A new file.")
@common
def report(registry_path: str, model: str, *, as_json: bool, name: str, output: Path) -> None:
    """Write the report of a version: one HTML page.

    It can be opened in a browser, or sent to someone.
    """
    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    _write(output, registry.report(number))
    document = {"model": registry.model, "model_version": number, "output": str(output)}
    show_result(document, f"Wrote the report on version {number} of {registry} to {output}.", as_json=as_json)


_TAKING_UNITS = ("python", "sql")


def _content(registry: Registry, version: Version, form: str, unit_system: str) -> bytes:
    from model import export as forms  # noqa: PLC0415

    if form == "npz":
        return _artifact(registry, version)
    if form == "json":
        return forms.as_json(version).encode()
    pair = forms.PAIRS[unit_system]
    return (forms.as_python(version, pair) if form == "python" else forms.as_sql(version, pair)).encode()


def _artifact(registry: Registry, version: Version) -> bytes:
    """The file of the weights, as it was published; it is verified again, since it is read again."""
    from model.errors import CorruptionError  # noqa: PLC0415
    from model.registry.version import verify  # noqa: PLC0415

    file = version.manifest.files.weights
    content = registry.storage.get(f"{registry.model}/{file.key}", file.size)
    if content is None:
        raise CorruptionError(f"version {version.manifest.number} of {registry.model} lacks its weights")
    verify(version.manifest, content)
    return content


def _write(path: Path, content: bytes) -> None:
    """As a new file, whole or not at all: nothing is overwritten."""
    if path.is_dir():
        raise click.ClickException(f"{path} is a folder: name a file in it")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            temporary.write_bytes(content)
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise click.ClickException(
            f"{path} exists already, and is not overwritten: name another, or remove it"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
