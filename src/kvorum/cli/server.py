"""``kvorum server``: read the configuration from everywhere, then serve.

Flags are not click's but the table's (see ``flags``), so this command takes its arguments as they are and writes its
own help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from kvorum.cli.flags import CommandLine, read_flags
from kvorum.config import Config, load
from kvorum.config.kinds import Effect, Option
from kvorum.config.options import OPTIONS
from kvorum.errors import StartupError
from kvorum.version import KVORUM_VERSION

EXIT_FAILURE = 1
SUMMARY = "Serve Redis clients (also: kvorum node)."
DESCRIPTION = (
    "Serves Redis clients until SIGTERM, SIGINT or SHUTDOWN. Every option of redis.conf is a flag: --option value, "
    "-option value or --option=value. Options may also stand in FILE (redis.conf syntax; - is standard input) or in "
    "environment variables (KVORUM_MAXMEMORY for maxmemory, KVORUM_CONFIG for the file). Flags win over the "
    "environment, the environment over the file."
)
MARKS = {Effect.LIVE: "", Effect.LATER: " [no effect yet]", Effect.NONE: " [ignored]"}


class ServerCommand(click.Command):
    """The command; ``run`` is what serves a configuration, and is the server's own unless a test gives another."""

    def __init__(self, run: Callable[[Config], int] | None = None) -> None:
        super().__init__("server", short_help=SUMMARY, add_help_option=False)
        self._run = run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []

    def invoke(self, ctx: click.Context) -> None:
        try:
            line = read_flags(ctx.args)
            if line.wants_help:
                click.echo(self.get_help(ctx))
                status = 0
            elif line.wants_version:
                click.echo(f"kvorum {KVORUM_VERSION}")
                status = 0
            else:
                status = (self._run or _serve)(_configuration(line))
        except StartupError as error:
            click.echo(f"kvorum: {error}", err=True)
            status = EXIT_FAILURE
        ctx.exit(status)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[PORT]", "[FILE]", "[--config FILE]", "[--OPTION VALUE]..."]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(DESCRIPTION)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        topics: dict[str, list[tuple[str, str]]] = {}
        for option in OPTIONS:
            if not option.hidden:
                topics.setdefault(option.topic, []).append(describe(option))
        for topic, rows in topics.items():
            with formatter.section(topic):
                formatter.write_dl(rows, col_max=34)
        with formatter.section("Other"):
            formatter.write_dl([("--config FILE", "Configuration file."), ("--version", "Print the version and exit.")])


def describe(option: Option[Any]) -> tuple[str, str]:
    """An option's row in the help: how it is written, and what it does."""
    aliases = "".join(f", --{name}" for name in (*option.synonyms, *option.aliases))
    default = option.format(option.default) or '""'
    status = f" [only {default} so far: {option.lacking}]" if option.lacking else MARKS[option.effect]
    unit = f" {option.unit}" if option.unit else ""
    return f"--{option.name}{aliases}", f"{option.summary} Default: {default}{unit}.{status}"


def _configuration(line: CommandLine) -> Config:
    stdin = sys.stdin.buffer.read() if line.reads_stdin else None
    return load(file=line.file, stdin=stdin, environment=os.environ, flags=line.directives)


def _serve(config: Config) -> int:
    # Help and wrong options must not wait for the whole server to be imported.
    from kvorum.server.runner import run

    return run(config)
