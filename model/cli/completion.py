"""`completion`: what makes a shell complete commands, options, versions and aliases at the press of Tab."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from model.cli.options import examples

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(epilog=examples("stature completion bash", "stature completion zsh", "stature completion fish"))
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what lets a shell complete with Tab.

    It completes commands, options, files, and the versions and aliases of the registry. In bash, put the line
    `source <(stature completion bash)` into ~/.bashrc. In zsh, write it into a folder of $fpath as _stature; in fish,
    into ~/.config/fish/completions/stature.fish.
    """
    script = _SHELLS[shell](context.find_root().command, {}, "stature", "_STATURE_COMPLETE").source()
    click.echo(script.strip())
