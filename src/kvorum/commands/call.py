"""One command on its way through the server: what a handler sees.

A session owns one ``Call`` and uses it again for every command, so that nothing is allocated per command. ``argv`` is
the request as the parser found it: in the compiled twin an array of ``Span`` (pointers into the receive buffer), here a
list of ``bytes``. Handlers that are not among the hottest take decoded parameters, or ``args``.

Effects. A handler that changed the keyspace says so:

- ``changed(n)``: n things changed; the request itself, word for word, is the effect.
- ``propagate(b"SET", key, ...)``: this command is the effect instead (several calls form one atomic batch).

Events. ``modified(kind, event, key)`` says which key was changed: to who WATCHes it, to who has it cached, and to who
asked for keyspace notifications. It costs one test as long as nobody did. Since a client may be told of what it does
itself, it is called before the handler writes the first byte of its reply, or after the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.journal.effects import Effects
from kvorum.keyspace import events
from kvorum.keyspace.hashing import key_slot
from kvorum.keyspace.table import Database, Keyspace
from kvorum.resp.numbers import parse_integer
from kvorum.resp.parser import Parser
from kvorum.resp.writer import Writer

if TYPE_CHECKING:
    from kvorum.commands.registry import Command
    from kvorum.session.context import ServerContext
    from kvorum.session.session import Session


class Call:
    """The request, the client's state and the places that a handler may touch."""

    __slots__ = (
        "argc", "argv", "command", "db", "dirty", "effects", "keyspace", "now_ms", "raw", "ready_key", "reply", "rewritten",
        "server", "session",
    )  # fmt: skip

    def __init__(
        self, session: Session, server: ServerContext, keyspace: Keyspace, database: Database, reply: Writer
    ) -> None:
        self.session = session
        self.server = server
        self.keyspace = keyspace
        self.db = database
        self.reply = reply
        self.command: Command | Any = None
        self.argv: list[bytes] = []
        self.argc = 0
        self.raw: bytes | None = None
        self.now_ms = 0
        self.dirty = 0
        self.rewritten = False
        self.effects: list[tuple[int, list[bytes]]] = []
        self.ready_key: bytes | None = None  # a blocked command is tried again: the key that has become ready

    def begin(self, parser: Parser) -> None:
        """Take over the request that the parser found; valid until the parser goes on."""
        self.argv = parser.args()
        self.argc = len(self.argv)
        self.raw = None

    def load(self, request: list[bytes]) -> None:
        """Take a request that was kept (by MULTI, by a blocked client) instead of one that the parser found."""
        self.argv = request
        self.argc = len(request)
        self.raw = None

    def arg(self, index: int) -> bytes:
        """Argument ``index`` as bytes; 0 is the command's name as the client wrote it."""
        return self.argv[index]

    @property
    def args(self) -> list[bytes]:
        """The whole request, name included."""
        return list(self.argv)

    def slot(self, index: int) -> int:
        """The slot of the key that stands at ``index``."""
        return key_slot(self.argv[index])

    def integer(self, index: int) -> int:
        """Argument ``index`` as an integer of 64 bits, or the error that says that it is none."""
        number = parse_integer(self.argv[index])
        if number is None:
            raise CommandError(errors.NOT_AN_INTEGER)
        return number

    def changed(self, count: int = 1) -> None:
        """The command changed ``count`` things; its request is logged word for word unless it propagates something else."""
        self.dirty += count

    def modified(self, kind: int, event: bytes, key: bytes, database: Database | None = None) -> None:
        """A key of ``database`` (None: the selected one) was changed by ``event``, which is of class ``kind`` (``events``)."""
        index = self.db.index if database is None else database.index
        if self.keyspace.observed & events.MODIFICATIONS and self.keyspace.on_modified is not None:
            self.keyspace.on_modified(index, key, self.session)
        self.notify(kind, event, key, database)

    def modified_at(self, kind: int, event: bytes, index: int) -> None:
        """``modified`` for the key at position ``index`` of the request, in the selected database."""
        self.modified(kind, event, self.argv[index])

    def notify(self, kind: int, event: bytes, key: bytes, database: Database | None = None) -> None:
        """An event of a key that was not changed by it."""
        index = self.db.index if database is None else database.index
        if self.keyspace.observed & events.EVENTS and self.keyspace.on_event is not None:
            self.keyspace.on_event(kind, event, key, index)

    def block(self, keys: list[bytes], kind: bytes, timeout_s: float, on_timeout: object) -> object:
        """Wait until one of ``keys`` gets a value of type ``kind``, at most ``timeout_s`` (0: for ever).

        Returns what the handler returns: a marker if the client waits now. Where it must not wait, as in a transaction,
        ``on_timeout``, which is also its reply when the time is up; if it can be called, what it then returns. When a key is
        ready the handler runs again, with ``ready_key`` saying which; if it cannot be served after all it calls ``block``
        again.
        """
        return self.server.blocking.block(self, keys, kind, timeout_s, on_timeout)

    def propagate(self, *arguments: bytes) -> None:
        """Log this command, for the selected database, instead of the request."""
        self.rewritten = True
        self.effects.append((self.db.index, list(arguments)))

    def propagate_set_until(self, key: int, value: int, expire_ms: int) -> None:
        """Log ``SET key value PXAT expire_ms`` instead of the request; key and value are positions in the request.

        This and ``propagate_expire_at`` are the commonest rewritten effects; the compiled twin writes them at once.
        """
        self.propagate(b"SET", self.argv[key], self.argv[value], b"PXAT", b"%d" % expire_ms)

    def propagate_expire_at(self, key: int, expire_ms: int) -> None:
        """Log ``PEXPIREAT key expire_ms`` instead of the request; key is a position in the request."""
        self.propagate(b"PEXPIREAT", self.argv[key], b"%d" % expire_ms)

    def finish(self, effects: Effects) -> None:
        """The handler is done: log what it changed, as one unit, and forget it."""
        group = self.effects
        if self.dirty and not self.rewritten:
            group = [*group, (self.db.index, list(self.argv))]
        try:
            effects.finish_group(group)
        except BaseException:
            self.server.request_shutdown(status=1)  # the log is right, what is in memory is not in it
            raise
        finally:
            self.forget()

    def forget(self) -> None:
        """Forget the effects that were noted."""
        self.dirty = 0
        self.rewritten = False
        if self.effects:
            self.effects = []
