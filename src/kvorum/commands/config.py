"""CONFIG: reading and changing the options of the running server. What options mean is in ``kvorum.config``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Block, Flag, Group, String
from kvorum.errors import CommandError
from kvorum.resp.types import Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.session.session import Session

OPTIONS = Group("server")
OK = Status(b"OK")
LOOPBACK = (b"127.", b"[::1]:")
FLAGS = Flag.ADMIN | Flag.NOSCRIPT | Flag.LOADING | Flag.STALE

CONFIG = OPTIONS.container(
    "CONFIG",
    since="2.0.0",
    complexity="Depends on the subcommand.",
    summary="Reads and changes the server's options.",
)


@CONFIG.command(
    "GET",
    since="2.0.0",
    arity=-3,
    flags=FLAGS,
    arguments=[Block("parameter", String("parameter"), multiple=True)],
    decode=False,
    history=[("7.0.0", "Takes several patterns.")],
    complexity="O(N) where N is the number of options, times the number of patterns",
    summary="Names and values of the options that match the patterns.",
)
def config_get(call: Call, patterns: list[bytes]) -> dict[bytes, bytes]:
    return call.server.config.get(patterns)


@CONFIG.command(
    "SET",
    since="2.0.0",
    arity=-4,
    flags=FLAGS,
    arguments=[Block("parameter_value", String("parameter"), String("value"), multiple=True)],
    decode=False,
    history=[("7.0.0", "Takes several options, all or none of which are changed.")],
    tips=["request_policy:all_nodes", "response_policy:all_succeeded"],
    complexity="O(N) where N is the number of options given",
    summary="Changes options.",
)
def config_set(call: Call, words: list[bytes]) -> Status:
    if len(words) % 2:
        raise CommandError(errors.SYNTAX)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    call.server.config.set(pairs, local=is_local(call.session), loading=call.server.loading)
    return OK


@CONFIG.command(
    "REWRITE",
    since="2.8.0",
    arity=2,
    flags=FLAGS,
    complexity="O(N) where N is the number of options and of lines in the file",
    summary="Writes the present values into the configuration file.",
)
def config_rewrite(call: Call) -> Status:
    server = call.server
    try:
        server.config.rewrite()
    except CommandError as error:
        server.log.warning("configuration file not rewritten", reason=error.message)
        raise
    server.log.notice("configuration file rewritten", file=str(server.config.file))
    return OK


@CONFIG.command(
    "RESETSTAT",
    since="2.0.0",
    arity=2,
    flags=FLAGS,
    complexity="O(N) where N is the number of commands",
    summary="Sets the counters shown by INFO to zero.",
)
def config_resetstat(call: Call) -> Status:
    call.server.statistics.reset()
    call.server.registry.reset_statistics()
    return OK


CONFIG.help(since="5.0.0")


def is_local(session: Session) -> bool:
    """Whether the client is on this machine: on the loopback interface or on the Unix socket."""
    connection = session.connection
    return bool(connection.trusted) or bytes(connection.peer).startswith(LOOPBACK)
