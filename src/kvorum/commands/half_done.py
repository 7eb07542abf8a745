"""A command that broke off in the middle, because memory ran out or it has a fault: what it did is logged all the same.

Some of its elements may be in place and others not, and nobody knows which. So the log gets the keys that the command
names as they are now, whole; they come after what the command had noted itself. Without that the data in memory and those
that the log gives would differ from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.commands.dump import dumped
from kvorum.commands.spec import KeyFlag
from kvorum.keyspace.values import Value

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.keyspace.table import Database

# What these do in another database than the selected one is done in one piece: their request says it.
BETWEEN_DATABASES = frozenset([b"copy", b"move"])


def log_what_is_there(call: Call) -> None:
    """Log the present state of the keys that the request may have changed. If not even that is possible the server ends: its
    log is right, its memory is not."""
    try:
        request = call.args
        found = {request[position]: None for position, flags in call.command.keys(request) if not flags & KeyFlag.RO}
        states = [state(call.db, key) for key in found]
        if call.dirty and (not states or call.command.name in BETWEEN_DATABASES):
            call.propagate(*request)
        for effect in states:
            call.propagate(*effect)
    except Exception:
        call.server.log.exception("what a command did cannot be logged: the server ends")
        call.server.request_shutdown(status=1)


def state(database: Database, key: bytes) -> list[bytes]:
    """The command that makes a key what it is."""
    value = database.peek(key)
    if isinstance(value, Value):
        if not len(value):  # type: ignore[arg-type]  # every type has it
            database.delete(key)
            value = None
        else:
            database.remeasure(value)
    if value is None:
        return [b"DEL", key]
    expire_ms = max(database.expire_at(key), 0)
    return [b"RESTORE", key, b"%d" % expire_ms, dumped(value, False), b"REPLACE", b"ABSTTL"]
