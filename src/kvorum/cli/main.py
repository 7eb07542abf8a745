"""The ``kvorum`` program: a group of commands, of which only those that exist are listed."""

from __future__ import annotations

import sys

import click

from kvorum.cli.check import check
from kvorum.cli.group import group
from kvorum.cli.restore import restore
from kvorum.cli.server import ServerCommand
from kvorum.version import KVORUM_VERSION

ALIASES = {"node": "server"}


class Commands(click.Group):
    """Finds a command by its name or by another word for it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(KVORUM_VERSION, prog_name="kvorum", message="%(prog)s %(version)s")
def program() -> None:
    """A Redis-compatible key-value server that keeps its data in memory."""


program.add_command(ServerCommand())
program.add_command(check)
program.add_command(group)
program.add_command(restore)


def main() -> None:
    """Entry point of the installed program."""
    sys.exit(program.main(prog_name="kvorum", standalone_mode=True))
