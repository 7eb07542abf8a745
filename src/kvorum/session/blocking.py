"""Clients that wait for a key: BLPOP and its kin.

A blocking handler that finds nothing calls ``Call.block``. The session is then held: its connection executes nothing
more. The keys it waits for stand in queues, in the order of arrival. The table notes every key that gets an object
while somebody waits (``Keyspace.ready``); after the command, or the whole transaction, that brought it, the pipeline
calls ``serve``, which runs the handlers of the waiting clients again, first come, first served, as long as the key
lasts. So one handler serves both ways, and its effects and events are those of an ordinary command.

A client leaves the queues when it is served, when its time is up, by CLIENT UNBLOCK and when it disconnects. Deadlines
stand in a heap; one timer of the loop is set for the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from kvorum.errors import CommandError
from kvorum.keyspace.events import ARRIVALS
from kvorum.keyspace.values import Value
from kvorum.resp.types import WRITTEN
from kvorum.session.session import REPLY_OFF, REPLY_SKIP

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.commands.command import Command
    from kvorum.session.context import ServerContext
    from kvorum.session.session import Session

NANOSECONDS = 1_000_000_000
# 146 years: a client that wants to wait longer waits so long.
LONGEST_WAIT_NS = 1 << 62
# Deadlines of clients that are gone stay in the heap until they come up; with more of them than this it is cleaned.
MOST_STALE_DEADLINES = 1000


class Blocked:
    """One waiting client. A session is ``held_by`` it meanwhile."""

    def __init__(
        self, blocking: BlockedClients, call: Call, keys: list[bytes], kind: bytes, deadline_ns: int, on_timeout: object
    ) -> None:
        self.blocking = blocking
        self.session: Session = call.session
        self.command: Command = call.command
        self.request = call.args
        self.database = call.db.index
        self.keys = list(dict.fromkeys(keys))
        self.kind = kind
        self.deadline_ns = deadline_ns  # 0: none
        self.on_timeout = on_timeout
        self.waiting = True
        self.again = False  # it was tried again, in vain

    def unblock(self, error: bytes | None) -> None:
        """End the wait: with an error, or as if the time were up."""
        self.blocking.end(self, self.on_timeout if error is None else CommandError(error))


class BlockedClients:
    """The queues of one server."""

    def __init__(self, server: ServerContext) -> None:
        self.server = server
        self.keyspace = server.keyspace
        self._queues: dict[tuple[int, bytes], dict[Blocked, None]] = {}
        self._deadlines: list[tuple[int, int, Blocked]] = []
        self._serial = 0
        self._stale = 0
        self._timer: Any = None
        self._timer_ns = 0
        self.count = 0

    def block(self, call: Call, keys: list[bytes], kind: bytes, timeout_s: float, on_timeout: object) -> object:
        """See ``Call.block``."""
        session: Session = call.session
        if call.ready_key is not None:
            session.held_by.again = True
            return WRITTEN
        if session.executing:
            return on_timeout() if callable(on_timeout) else on_timeout
        wait_ns = min(int(timeout_s * NANOSECONDS), LONGEST_WAIT_NS)
        deadline_ns = self.server.clock.monotonic_ns() + wait_ns if timeout_s else 0
        blocked = Blocked(self, call, keys, kind, deadline_ns, on_timeout)
        session.held_by = blocked
        for key in blocked.keys:
            self._queues.setdefault((blocked.database, key), {})[blocked] = None
        self.count += 1
        self.keyspace.observed |= ARRIVALS
        if deadline_ns:
            self._serial += 1
            heappush(self._deadlines, (deadline_ns, self._serial, blocked))
            self._set_timer()
        return WRITTEN

    def serve(self) -> None:
        """Keys have got values: let the clients have them that wait for such."""
        keyspace = self.keyspace
        while keyspace.ready:
            ready, keyspace.ready = keyspace.ready, []
            for database, key in dict.fromkeys(ready):
                self._serve_key(database, key)

    def _serve_key(self, database: int, key: bytes) -> None:
        queue = self._queues.get((database, key))
        if queue is None:
            return
        for blocked in list(queue):
            self.keyspace.databases[database].expire_if_due(key)
            value = self.keyspace.databases[database].peek(key)
            if not isinstance(value, Value):
                return
            if blocked.waiting and blocked.kind == value.kind:
                self.server.pipeline.retry(blocked, key)
                if not blocked.again:
                    self._let_go(blocked)
                blocked.again = False

    def end(self, blocked: Blocked, reply: object) -> None:
        """The client waits no longer, and gets this."""
        if not blocked.waiting:
            return
        session = blocked.session
        if callable(reply):
            reply = reply()
        if isinstance(reply, CommandError):
            self.server.statistics.count_error(reply.code)
            blocked.command.failed_calls += 1
        session.call.reply.value(reply)
        self._let_go(blocked)
        session.connection.written()

    def end_all(self, error: bytes) -> None:
        """Nobody waits for a key any more: what happens to keys from now on is not decided here."""
        for blocked in list(dict.fromkeys(one for queue in self._queues.values() for one in queue)):
            if blocked.waiting:
                blocked.unblock(error)

    def forget(self, session: Session) -> None:
        """The client has left."""
        if isinstance(session.held_by, Blocked):
            self._remove(session.held_by)
            session.held_by = None

    def databases_changed(self, indexes: Iterable[int]) -> None:
        """The content of these databases was exchanged: keys may be there that somebody waits for."""
        for index, key in self._queues:
            if index in indexes and isinstance(self.keyspace.databases[index].peek(key), Value):
                self.keyspace.ready.append((index, key))

    def _let_go(self, blocked: Blocked) -> None:
        """The session goes on with what its client sent meanwhile, unless it was closed just now for reading too slowly."""
        if not blocked.waiting:
            return
        session = blocked.session
        self._remove(blocked)
        session.held_by = None
        if session.gates & (REPLY_SKIP | REPLY_OFF):
            self.server.pipeline.drop_reply(session)
        session.connection.resume(1)

    def _remove(self, blocked: Blocked) -> None:
        blocked.waiting = False
        for key in blocked.keys:
            place = (blocked.database, key)
            queue = self._queues[place]
            del queue[blocked]
            if not queue:
                del self._queues[place]
        # It may stand among the deadlines for long, and is not to keep a request or a session alive there.
        blocked.session = blocked.command = blocked.on_timeout = None  # type: ignore[assignment]
        blocked.request = blocked.keys = []
        self.count -= 1
        if not self.count:
            self.keyspace.observed &= ~ARRIVALS
            self.keyspace.ready = []
        if blocked.deadline_ns:
            self._stale += 1
            if self._stale > MOST_STALE_DEADLINES + self.count:
                self._deadlines = [entry for entry in self._deadlines if entry[2].waiting]
                heapify(self._deadlines)
                self._stale = 0

    # Deadlines

    def _set_timer(self) -> None:
        """Wake up at the first deadline."""
        first_ns = self._deadlines[0][0]
        if self._timer is not None:
            if self._timer_ns <= first_ns:
                return  # it comes early, looks, and is set again
            self._timer.cancel()
        delay_ns = max(first_ns - self.server.clock.monotonic_ns(), 0)
        self._timer = self.server.call_later(delay_ns / NANOSECONDS, self.end_overdue)
        self._timer_ns = first_ns

    def end_overdue(self) -> None:
        """End the waits whose time is up."""
        self._timer = None
        now_ns = self.server.clock.monotonic_ns()
        while self._deadlines and (self._deadlines[0][0] <= now_ns or not self._deadlines[0][2].waiting):
            blocked = heappop(self._deadlines)[2]
            if blocked.waiting:
                blocked.deadline_ns = 0
                self.end(blocked, blocked.on_timeout)
            else:
                self._stale -= 1
        if self._deadlines:
            self._set_timer()

    def close(self) -> None:
        """The server ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
