"""ACL, as far as clients always ask: who one is, and the categories. There is one user, who may do everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Category, Flag, Group, String
from kvorum.errors import CommandError

if TYPE_CHECKING:
    from kvorum.commands.call import Call

ACCESS = Group("server")

ACL = ACCESS.container(
    "ACL",
    since="6.0.0",
    flags=Flag.SENTINEL,
    complexity="Depends on the subcommand.",
    summary="Says who may do what.",
)

ANYTIME = Flag.LOADING | Flag.STALE | Flag.SENTINEL
CATEGORIES = {category.name.lower().encode(): category for category in Category if category.name}


@ACL.command(
    "CAT",
    since="6.0.0",
    arity=-2,
    flags=Flag.NOSCRIPT | ANYTIME,
    arguments=[String("categoryname", optional=True)],
    decode=False,
    complexity="O(1), as there are as many categories and commands as there are.",
    summary="Names the categories of commands, or the commands of one category.",
)
def acl_cat(call: Call, args: list[bytes]) -> list[bytes]:
    if not args:
        return list(CATEGORIES)
    if len(args) > 1:
        raise CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))
    category = CATEGORIES.get(args[0].lower())
    if category is None:
        raise CommandError(errors.unknown_category(args[0]))
    return [command.name for command in call.server.registry.everything() if command.categories & category]


@ACL.command(
    "WHOAMI",
    since="6.0.0",
    arity=2,
    flags=Flag.NOSCRIPT | ANYTIME,
    complexity="O(1)",
    summary="Name of the user that this connection acts as.",
)
def acl_whoami(call: Call) -> bytes | None:
    user = call.session.user
    return None if user is None else user.name


ACL.help(since="6.0.0", flags=ANYTIME)
