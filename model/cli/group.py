"""The command as a whole: its commands in sections, and its failures in sentences, with what to do next."""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Any

import click

from model.cli.options import examples
from model.errors import CorruptionError, ExpectationError, NotFoundError, StatureError, StorageError

TRAINING_ONLY = frozenset({"duckdb", "rich", "threadpoolctl"})
"""Packages that an installation which only serves leaves out."""


SECTIONS = {
    "Predict and serve": {"up": "serving", "serve": "serving", "predict": "serving"},
    "Train and judge": {
        "train": "training",
        **dict.fromkeys(("evaluate", "recalibrate"), "evaluating"),
        "reproduce": "comparing",
    },
    "Choose who is champion": {
        **dict.fromkeys(("models", "show"), "versions"),
        "diff": "comparing",
        **dict.fromkeys(("log", "promote", "rollback"), "aliases"),
    },
    "Take a version elsewhere": dict.fromkeys(("report", "export"), "elsewhere"),
    "Look after a registry": {"verify": "versions", **dict.fromkeys(("delete", "prune", "doctor"), "upkeep")},
    "Set up": {"token": "tokens", "completion": "completion"},
}
"""Each command, as help and reference group them, and its module here, which is imported when the command is called."""
_MODULES = {name: module for section in SECTIONS.values() for name, module in section.items()}

NEXT: dict[type[StatureError], str] = {
    NotFoundError: "`stature models` lists what there is.",
    ExpectationError: "`stature log` tells who moved it, and when.",
    CorruptionError: "`stature verify` says all that is wrong in a registry.",
    StorageError: "`stature doctor` tries whether a storage does what a registry needs.",
}
"""What to do next, where the failure itself does not say it."""


class Group(click.Group):
    """Commands in sections, whose failures are sentences, not stack traces."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            commands = [(name, self.get_command(context, name)) for name in section]
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{name:<11}", command.get_short_help_str(100))
                        for name, command in commands
                        if command is not None
                    ]
                )

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(context)
        except StatureError as error:
            said = str(error)
            is_told = "`stature " in said or " --" in said
            then = "" if is_told else next((then for kind, then in NEXT.items() if isinstance(error, kind)), "")
            raise click.ClickException(f"{said}\n{then}".rstrip()) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads on, which click knows how to end
                raise
            what = error.filename or "what was to be printed cannot be written"
            raise click.ClickException(f"{what}: {error.strerror}") from error
        except ModuleNotFoundError as error:
            if error.name not in TRAINING_ONLY:
                raise
            raise click.ClickException(
                f"`stature {context.invoked_subcommand}` needs the package {error.name}, which is not installed here. "
                "The image that serves leaves out what only training uses: use the one that trains, target `train`."
            ) from None

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, arguments)
        except click.NoSuchCommand as error:  # click does not know the names of what is not imported
            raise click.NoSuchCommand(error.command_name, possibilities=_MODULES, ctx=context) from None

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_MODULES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        return getattr(import_module(f"model.cli.{_MODULES[name]}"), name) if name in _MODULES else None


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
