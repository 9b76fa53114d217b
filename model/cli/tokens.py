"""`token new`: what lets a caller in at a service that asks for it."""

from __future__ import annotations

import click

from model.cli.options import show_result
from model.tokens import SCOPES, new_token


@click.group()
def token() -> None:
    """Make the tokens by which a service knows who may do what."""


@token.command()
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="What it is for; repeatable."
)
@click.option("--holder", default="operator", show_default=True, help="Whose it is: the log names the holder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
def new(*, as_json: bool, scopes: tuple[str, ...], holder: str) -> None:
    """Make a token, and the line that a service keeps of it.

    The token is shown once and kept nowhere. The line goes into the file that STATURE_TOKENS_FILE names, or into
    STATURE_TOKENS.
    """
    secret, line = new_token(holder, scopes)
    said = f"token  {secret}\nline   {line}"
    show_result({"token": secret, "line": line}, said, as_json=as_json)
