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

from typing import Any

import click

from model.cli.aliases import log, promote, rollback
from model.cli.comparing import diff, reproduce
from model.cli.elsewhere import export, report
from model.cli.evaluating import evaluate, recalibrate
from model.cli.serving import predict, serve, up
from model.cli.tokens import token
from model.cli.training import train
from model.cli.upkeep import delete, doctor, prune
from model.cli.versions import models, show, verify
from model.errors import StatureError

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
        return list(self.commands)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stature", message="%(prog)s %(version)s")
def main() -> None:
    """A person's recorded gender from weight and height: train it, keep its versions, serve it."""


for _command in (
    *(up, serve, train, evaluate, recalibrate, predict, models, show, diff, log, promote, rollback, delete, verify),
    *(prune, reproduce, report, export, doctor, token),
):
    main.add_command(_command)
