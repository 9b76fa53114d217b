"""The command as a whole: its commands in sections, and its failures in sentences, with what to do next."""

from __future__ import annotations

from typing import Any

import click

from model.cli.aliases import log, promote, rollback
from model.cli.comparing import diff, reproduce
from model.cli.completion import completion
from model.cli.elsewhere import export, report
from model.cli.evaluating import evaluate, recalibrate
from model.cli.options import examples
from model.cli.serving import predict, serve, up
from model.cli.tokens import token
from model.cli.training import train
from model.cli.upkeep import delete, doctor, prune
from model.cli.versions import models, show, verify
from model.errors import CorruptionError, ExpectationError, NotFoundError, StatureError, StorageError

TRAINING_ONLY = frozenset({"duckdb", "rich", "threadpoolctl"})
"""Packages that an installation which only serves leaves out."""


SECTIONS = {
    "Predict and serve": (up, serve, predict),
    "Train and judge": (train, evaluate, recalibrate, reproduce),
    "Choose who is champion": (models, show, diff, log, promote, rollback),
    "Take a version elsewhere": (report, export),
    "Look after a registry": (verify, delete, prune, doctor),
    "Set up": (token, completion),
}
"""Every command, as help and reference group them."""


NEXT: dict[type[StatureError], str] = {
    NotFoundError: "`stature models` lists what there is.",
    ExpectationError: "`stature log` tells who moved it, and when.",
    CorruptionError: "`stature verify` says all that is wrong in a registry.",
    StorageError: "`stature doctor` tries whether a storage does what a registry needs.",
}
"""What to do next, where the failure itself does not say it."""


class Group(click.Group):
    """Commands in sections, whose failures are sentences, not stack traces."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{command.name:<11}", command.get_short_help_str(100)) for command in commands])

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(context)
        except StatureError as error:
            said = str(error)
            is_told = "`stature " in said or " --" in said
            then = "" if is_told else next((then for kind, then in NEXT.items() if isinstance(error, kind)), "")
            raise click.ClickException(f"{said}\n{then}".rstrip()) from error
        except ModuleNotFoundError as error:
            if error.name not in TRAINING_ONLY:
                raise
            raise click.ClickException(
                f"`stature {context.invoked_subcommand}` needs the package {error.name}, which is not installed here. "
                "The image that serves leaves out what only training uses: use the one that trains, target `train`."
            ) from None

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "stature train",
        "stature predict --weight-kg 73 --height-cm 182",
        "stature serve",
        title="The first three to try",
    ),
)
@click.version_option(package_name="stature", message="%(prog)s %(version)s")
def main() -> None:
    """A person's recorded gender from weight and height: train it, keep its versions, serve it."""


for _commands in SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)
