"""`token new`: what lets a caller in at a service that asks for it."""

from __future__ import annotations

import click

from model.cli.options import examples, json_option, show_result
from model.tokens import SCOPES, new_token


@click.group()
def token() -> None:
    """Make a token that lets a caller in at a service."""


@token.command(epilog=examples("stature token new --holder dashboard --scope read"))
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="What it is for; repeatable."
)
@click.option("--holder", default="operator", show_default=True, help="Whose it is: the log names the holder.")
@json_option
def new(*, as_json: bool, scopes: tuple[str, ...], holder: str) -> None:
    """Make a token, and the line that a service keeps of it.

    The token is shown once and kept nowhere. The line goes into the file that STATURE_TOKENS_FILE names, or into
    STATURE_TOKENS.
    """
    secret, line = new_token(holder, scopes)
    said = f"token  {secret}\nline   {line}"
    show_result({"token": secret, "line": line}, said, as_json=as_json)
