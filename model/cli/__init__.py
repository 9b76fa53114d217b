"""The `stature` command. Each command opens the registry, calls one function of this package, and prints what it said.

What takes long to import (numpy, duckdb, rich) is imported by the commands that use it. Every command takes --registry,
--model and --json; a flag beats the environment, the environment beats the default. Exit codes: 0 done, 1 it could not
be done and standard error says why, 2 the command was not understood.

options.py    what all commands share
serving.py    up, serve, predict
training.py   train
evaluating.py evaluate, recalibrate
outcome.py    what these three say
versions.py   models, show, verify
aliases.py    log, promote, rollback
comparing.py  diff, reproduce
elsewhere.py  export, report
upkeep.py     delete, prune, doctor
tokens.py     token new
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from model.errors import StatureError

COMMANDS = {
    **dict.fromkeys(("up", "serve"), "serving"),
    "train": "training",
    **dict.fromkeys(("evaluate", "recalibrate"), "evaluating"),
    "predict": "serving",
    **dict.fromkeys(("models", "show"), "versions"),
    "diff": "comparing",
    **dict.fromkeys(("log", "promote", "rollback"), "aliases"),
    "delete": "upkeep",
    "verify": "versions",
    "prune": "upkeep",
    "reproduce": "comparing",
    **dict.fromkeys(("report", "export"), "elsewhere"),
    "doctor": "upkeep",
    "token": "tokens",
}
"""Each command, in the order of the help, and its module here, which is imported when the command is called."""

TRAINING_ONLY = frozenset({"duckdb", "rich", "threadpoolctl"})
"""Packages that an installation which only serves leaves out."""


class Group(click.Group):
    """Commands whose failures are sentences, not stack traces."""

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(context)
        except StatureError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            if error.name not in TRAINING_ONLY:
                raise
            raise click.ClickException(
                f"`stature {context.invoked_subcommand}` needs the package {error.name}, which is not installed here. "
                "The image that serves leaves out what only training uses: use the one that trains, target `train`."
            ) from None

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        return getattr(import_module(f"model.cli.{COMMANDS[name]}"), name) if name in COMMANDS else None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stature", message="%(prog)s %(version)s")
def main() -> None:
    """A person's recorded gender from weight and height: train it, keep its versions, serve it."""
