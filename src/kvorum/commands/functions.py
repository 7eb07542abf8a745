"""FUNCTION: there are no functions yet, so that all of them are easily removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Flag, Group, OneOf, Token
from kvorum.errors import CommandError
from kvorum.resp.types import OK, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call

FUNCTIONS = Group("scripting")

FUNCTION = FUNCTIONS.container(
    "FUNCTION",
    since="7.0.0",
    complexity="Depends on the subcommand.",
    summary="Looks after the functions of the server.",
)

FUNCTION.help(since="7.0.0")


@FUNCTION.command(
    "FLUSH",
    since="7.0.0",
    arity=-2,
    flags=Flag.NOSCRIPT | Flag.WRITE,
    arguments=[OneOf("async", Token("async"), Token("sync"), optional=True)],
    tips=["request_policy:all_shards", "response_policy:all_succeeded"],
    decode=False,
    complexity="O(N), N being the number of functions",
    summary="Removes all functions.",
)
def function_flush(call: Call, args: list[bytes]) -> Status:
    if len(args) > 1:
        raise CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))
    if args and args[0].upper() not in (b"ASYNC", b"SYNC"):
        raise CommandError(errors.FUNCTION_FLUSH_OPTION)
    call.changed()
    return OK
