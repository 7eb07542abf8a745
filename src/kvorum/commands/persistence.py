"""Commands about the files: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Category, Flag, Group, Token
from kvorum.errors import CommandError
from kvorum.resp.types import OK, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call

SERVER = Group("server")

IN_BACKGROUND = Flag.NO_ASYNC_LOADING | Flag.ADMIN | Flag.NOSCRIPT
SNAPSHOT = "snapshot"
BASE = "base"


@SERVER.command(
    "BGREWRITEAOF",
    since="1.0.0",
    arity=1,
    flags=IN_BACKGROUND,
    complexity="O(N) where N is the number of keys, in the background",
    summary="Compacts the append-only file.",
)
def bgrewriteaof(call: Call) -> Status:
    saving = call.server.saving
    if saving.compacting:
        raise CommandError(errors.REWRITE_IN_PROGRESS)
    if not saving.has_journal:
        raise CommandError(errors.NO_APPEND_ONLY_FILE)
    if saving.want(BASE, later=call.session.executing):
        return Status(b"Background append only file rewriting started")
    return Status(b"Background append only file rewriting scheduled")


@SERVER.command(
    "BGSAVE",
    since="1.0.0",
    arity=-1,
    flags=IN_BACKGROUND,
    arguments=[Token("schedule", optional=True, since="3.2.2")],
    history=[("3.2.2", "The option `SCHEDULE`.")],
    complexity="O(N) where N is the number of keys, in the background",
    summary="Writes a snapshot to disk while clients are served.",
)
def bgsave(call: Call, schedule: bool) -> Status:
    saving = call.server.saving
    if saving.saving:
        raise CommandError(errors.SAVE_IN_PROGRESS)
    if saving.compacting and not schedule and not call.session.executing:
        raise CommandError(errors.REWRITE_BEFORE_SAVE)
    begun = saving.want(SNAPSHOT, later=call.session.executing)
    return Status(b"Background saving started" if begun else b"Background saving scheduled")


@SERVER.command(
    "LASTSAVE",
    since="1.0.0",
    arity=1,
    flags=Flag.LOADING | Flag.STALE | Flag.FAST,
    more_categories=Category.ADMIN | Category.DANGEROUS,
    tips=["nondeterministic_output"],
    complexity="O(1)",
    summary="When the last snapshot was written, in Unix seconds.",
)
def lastsave(call: Call) -> int:
    last_time_s: int = call.server.saving.snapshots.last_time_s
    return last_time_s


@SERVER.command(
    "SAVE",
    since="1.0.0",
    arity=1,
    flags=Flag.NO_ASYNC_LOADING | Flag.ADMIN | Flag.NOSCRIPT | Flag.NO_MULTI,
    complexity="O(N) where N is the number of keys",
    summary="Writes a snapshot to disk; everybody waits.",
)
def save(call: Call) -> Status:
    saving = call.server.saving
    if saving.saving:
        raise CommandError(errors.SAVE_IN_PROGRESS)
    saving.save_now()
    return OK
