"""MODULE: there are none. Tools ask for the list when they connect, to learn what a server can do besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.commands.spec import Flag, Group
from kvorum.resp.types import Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call

MODULES = Group("server")

MODULE = MODULES.container(
    "MODULE", since="4.0.0", complexity="Depends on the subcommand.", summary="Looks after extensions of the server."
)

MODULE.help(since="5.0.0")


@MODULE.command(
    "LIST",
    since="4.0.0",
    arity=2,
    flags=Flag.ADMIN | Flag.NOSCRIPT,
    tips=["nondeterministic_output_order"],
    complexity="O(1)",
    summary="Lists the modules that are loaded: none, since kvorum takes none.",
)
def module_list(call: Call) -> list[Status]:
    return []
