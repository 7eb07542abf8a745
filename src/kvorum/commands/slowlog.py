"""SLOWLOG: the commands that took long lately. They are kept by ``kvorum.observe.slowlog``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Flag, Group, Integer
from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import OK, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call

SERVER = Group("server")
FLAGS = Flag.ADMIN | Flag.LOADING | Flag.STALE

DEFAULT_COUNT = 10
ALL = -1

SLOWLOG = SERVER.container(
    "SLOWLOG", since="2.2.12", complexity="Depends on the subcommand.", summary="Shows the commands that took long."
)


def count_of_entries(word: bytes) -> int:
    """How many entries: -1 for all, or from 0 on."""
    count = parse_integer(word)
    if count is None or count < ALL:
        raise CommandError(errors.SLOWLOG_COUNT)
    return count


@SLOWLOG.command(
    "GET",
    since="2.2.12",
    arity=-2,
    flags=FLAGS,
    arguments=[Integer("count", optional=True)],
    decode=False,
    history=[("4.0.0", "Address and name of the client in each entry.")],
    tips=["request_policy:all_nodes", "nondeterministic_output"],
    complexity="O(N) where N is the number of entries returned",
    summary="The last entries (10 unless told; -1: all): id, time, microseconds, arguments, client address and name.",
)
def slowlog_get(call: Call, args: list[bytes]) -> list[list[object]]:
    if len(args) > 1:
        raise CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))
    count = count_of_entries(args[0]) if args else DEFAULT_COUNT
    return [
        [entry.id, entry.time_s, entry.microseconds, entry.arguments, entry.address, entry.client_name]
        for entry in call.server.slowlog.newest(count)
    ]


SLOWLOG.help(since="6.2.0")


@SLOWLOG.command(
    "LEN",
    since="2.2.12",
    arity=2,
    flags=FLAGS,
    tips=["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    complexity="O(1)",
    summary="How many entries there are.",
)
def slowlog_len(call: Call) -> int:
    return len(call.server.slowlog)


@SLOWLOG.command(
    "RESET",
    since="2.2.12",
    arity=2,
    flags=FLAGS,
    tips=["request_policy:all_nodes", "response_policy:all_succeeded"],
    complexity="O(N) where N is the number of entries",
    summary="Forgets all entries.",
)
def slowlog_reset(call: Call) -> Status:
    call.server.slowlog.reset()
    return OK
