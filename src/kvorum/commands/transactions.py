"""Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

Between MULTI and EXEC the pipeline queues commands instead of executing them. What is queued and what is watched is kept
in ``session/transactions.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import BeginIndex, FindRange, Flag, Group, Key, KeyFlag, KeySpec
from kvorum.errors import CommandError
from kvorum.resp.types import NULL_ARRAY, OK, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call

TRANSACTIONS = Group("transactions")

ALWAYS = Flag.NOSCRIPT | Flag.LOADING | Flag.STALE
AT_ONCE = ALWAYS | Flag.FAST | Flag.ALLOW_BUSY


@TRANSACTIONS.command(
    "DISCARD",
    since="2.0.0",
    arity=1,
    flags=AT_ONCE,
    complexity="O(N) where N is the number of queued commands",
    summary="Drops the transaction: nothing of it is executed, and nothing is watched any more.",
)
def discard(call: Call) -> Status:
    session = call.session
    if session.transaction is None:
        raise CommandError(errors.DISCARD_WITHOUT_MULTI)
    session.end_transaction()
    return OK


@TRANSACTIONS.command(
    "EXEC",
    since="1.2.0",
    arity=1,
    flags=ALWAYS | Flag.SKIP_SLOWLOG,
    complexity="That of the queued commands.",
    summary="Executes the queued commands, unless a watched key was modified: then nothing, and the reply is null.",
)
def exec_(call: Call) -> object:
    session = call.session
    transaction = session.transaction
    if transaction is None:
        raise CommandError(errors.EXEC_WITHOUT_MULTI)
    broken = call.server.watches.broken(session)
    session.end_transaction()
    if transaction.aborted:
        raise CommandError(errors.TRANSACTION_ABORTED)
    if broken:
        session.required = call.server.effects.position  # a reply that tells of what others have written
        call.server.outbox.note_read(call)
        return NULL_ARRAY
    return call.server.pipeline.execute_all(session, transaction.commands)


@TRANSACTIONS.command(
    "MULTI",
    since="1.2.0",
    arity=1,
    flags=AT_ONCE,
    complexity="O(1)",
    summary="Begins a transaction: commands are queued until EXEC.",
)
def multi(call: Call) -> Status:
    if call.session.transaction is not None:
        raise CommandError(errors.NESTED_MULTI)
    call.session.begin_transaction()
    return OK


@TRANSACTIONS.command(
    "UNWATCH",
    since="2.2.0",
    arity=1,
    flags=AT_ONCE,
    complexity="O(1)",
    summary="Watches nothing any more.",
)
def unwatch(call: Call) -> Status:
    call.server.watches.forget(call.session)
    return OK


@TRANSACTIONS.command(
    "WATCH",
    since="2.2.0",
    arity=-2,
    flags=AT_ONCE,
    keys=[KeySpec(KeyFlag.RO, BeginIndex(1), FindRange(-1))],
    arguments=[Key("key", multiple=True)],
    complexity="O(1) for every key.",
    summary="Lets the next EXEC do nothing if one of the keys is modified before.",
)
def watch(call: Call, keys: list[bytes]) -> Status:
    session = call.session
    if session.transaction is not None:
        raise CommandError(errors.WATCH_IN_MULTI)
    if not session.watch_broken:  # else it has already failed: more keys cannot change that
        call.server.watches.watch(session, session.database_index, keys)
    return OK
