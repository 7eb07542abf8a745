"""The reactor: between the sockets of clients and their sessions.

Where it stands. The reactor waits for the sockets of all clients and has each connection (``connection.py``) read, execute
and send its share; at the end of the turn the effects of all that was done are logged once, and only then do replies go
out. Nothing above this room knows of sockets, nothing here of commands.

What it promises, in both forms, beside what each connection does:

- *Fairness.* However fast one client pipelines, it has its share of a round and the others are served, and the asyncio
  loop with everything else in the process (timers, peers, HTTP) gets its turn.
- *Bounds.* All clients together are bounded by maxmemory-clients: at the end of a round in which their memory has exceeded
  it, the biggest are closed, except for those that asked to be spared (CLIENT NO-EVICT). The number of connections is
  bounded by ``max_clients``; who comes then is told so and turned away.
- *One pays, not all.* What goes wrong while one connection is served (memory that cannot be had, a bug) closes that
  connection, with a line in the log.
- *Running out of descriptors* pauses accepting until the next ``cron``, instead of spinning on a backlog that cannot be
  taken.

Two forms of it. Per client socket, asyncio's transports cost as much as the command that is executed, so on Linux the
compiled twin (``reactor.pyx``) owns an epoll descriptor with all client sockets, and reads, parses, executes and writes in
compiled code. In a loop of somebody else's making that one descriptor is registered with the loop, and the reactor polls
again before it gives the loop its turn. In a loop of our own (``net.selector``) it is the other way round: the loop's
selector waits in the reactor, which watches the loop's other descriptors as one more event; so a request costs one
poll, not two nested ones. The plain twin is the same on asyncio's own transports. It serves where there is no epoll
(macOS), it runs interpreted under ``KVORUM_PLAIN=1``, and it is the oracle of the compiled one: the tests in ``tests/net``
run over both.

Rejected: a thread per core or per connection (the keyspace is one, and its locks would cost more than they gain);
uvloop (its transports still cost a Python call per read and write, and it is one more thing to install);
``loop.create_server`` (it neither counts clients before it accepts them nor says a word to those it turns away).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from kvorum import errors
from kvorum.commands.client import SESSION_BYTES
from kvorum.config.kinds import OutputLimit
from kvorum.net.connection import Connection, text
from kvorum.resp.parser import Scratch

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext

MAX_ACCEPTS = 1000  # per ready listener and round
EVICTION_STEPS = 8  # in such parts of the limit more must pile up where evicting clients did not suffice
QUIET_NS = 2_000_000_000  # a connection that was quiet for so long gives its buffers back


class Listener:
    """A listening socket; ``local``: a Unix socket, whose clients are on this machine for certain."""

    def __init__(self, listening: socket.socket, local: bool) -> None:
        self.socket = listening
        self.local = local
        self.fd = listening.fileno()


class Reactor:
    """All client connections of one server. The server sets the limits from the configuration.

    The effects are committed after each round in which something was executed, before replies go out.
    """

    def __init__(self, context: ServerContext) -> None:
        self.context = context
        self.pipeline = context.pipeline
        self.clock = context.clock
        self.scratch = Scratch()
        self.connections: dict[int, Connection] = {}
        self.dirty: list[Connection] = []
        self.dirty_later: list[Connection] = []  # their transports are still being made
        self.pending: list[Connection] = []
        self.graveyard: list[Connection] = []  # closed during this round
        self._listeners: list[Listener] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled: asyncio.Handle | None = None
        self._beginnings: set[asyncio.Task[Any]] = set()
        self._next_id = 1
        self._accepting = True
        # Limits
        self.max_clients = 10000
        self.query_buffer_limit = 1 << 30
        self.max_bulk_bytes = 512 << 20
        self.output_limit = self.subscriber_limit = OutputLimit(0, 0, 0)
        self.held: list[Connection] = []  # connections with output that waits for the log
        self.wake_fd = -1  # the compiled twin has one
        self.on_wake: Callable[[], object] | None = (
            None  # called when something was made safe, or somebody else has woken it
        )
        self.idle_seconds = 0
        self.keepalive_seconds = 300
        self.protected = False
        self.client_limit_bytes = 0  # maxmemory-clients; 0: none
        self.counting = False  # whether the memory of clients is counted as it changes
        self.client_bytes = 0  # buffers of all clients, while they are counted
        self._told_bytes = -1  # what the memory limit was told of them
        self._evict_above_bytes = 0  # when to look again for somebody to evict
        # Statistics
        self.accepted = 0
        self.rejected = 0
        self.reads = 0
        self.writes = 0
        self.bytes_read = 0
        self.bytes_written = 0
        self.evicted = 0

    @property
    def attached(self) -> bool:
        """Whether a loop serves the connections."""
        return self._loop is not None

    def set_max_bulk_bytes(self, limit: int) -> None:
        """proto-max-bulk-len, for those who are here and those who come."""
        self.max_bulk_bytes = limit
        for connection in self.connections.values():
            connection.parser.max_bulk_bytes = limit

    def set_output_limits(self, normal: OutputLimit, subscribers: OutputLimit) -> None:
        """client-output-buffer-limit of ordinary clients and of those that listen to channels."""
        self.output_limit = normal
        self.subscriber_limit = subscribers

    def set_client_limit(self, limit_bytes: int, counting: bool) -> None:
        """maxmemory-clients, for those who are here and those who come; 0: none.

        ``counting``: also without a limit the memory of clients is to be counted, because maxmemory includes it.
        """
        self.client_limit_bytes = limit_bytes
        self.counting = counting or limit_bytes > 0
        self.client_bytes = 0
        self._told_bytes = -1
        self._evict_above_bytes = 0
        for connection in self.connections.values():
            connection.counted_bytes = 0
            connection.count_memory()
        self.schedule()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve in this loop from now on."""
        self._loop = loop
        self._watch_listeners()
        for connection in self.connections.values():
            connection.read_on(not connection.pending)
        if self.pending or self.dirty:
            self.schedule()

    def detach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave everything as it is until ``attach`` is called again."""
        self._unwatch_listeners()
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        for connection in self.connections.values():
            connection.read_on(False)
        self._loop = None

    def wake(self) -> None:
        """Make a round soon, also if no client sends anything. May be called from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.schedule)

    def log_is_safe(self) -> None:
        """The log is safe further than before; also called from another thread."""
        self.wake()

    def schedule(self) -> None:
        """A round is due when the loop has handed out what is ready now."""
        if self._scheduled is None and self._loop is not None:
            self._scheduled = self._loop.call_soon(self._round)

    def _round(self) -> None:
        """Execute what was left over, log what was done, then let the replies go."""
        self._scheduled = None
        if self.on_wake is not None:
            self.on_wake()
        self.tell_failures()
        connections, self.pending = self.pending, []
        for connection in connections:
            connection.pending = False
            if not connection.closed:
                try:
                    connection.process()
                    connection.settle()
                except Exception as error:
                    connection.give_up(error)
        if self.context.tracking.broadcasts:
            try:
                self.context.tracking.broadcast()
            except Exception:
                self.context.log.exception("invalidations not sent")
        self.context.effects.commit()
        outbox = self.context.outbox
        if outbox.wants_flush():
            outbox.flush()
        if outbox.holding or self.held or outbox.waiting:
            self._hold_replies()
        connections, self.dirty = self.dirty, []
        for connection in connections:
            connection.dirty = False
            if not connection.closed:
                try:
                    connection.flush()
                except Exception as error:
                    connection.give_up(error)
        self.dirty += self.dirty_later
        self.dirty_later = []
        if self.counting:
            self._weigh_clients()
        self._bury()

    def tell_failures(self) -> None:
        """Who waits in vain is told before anything else is executed, which has not failed."""
        if self.context.outbox.failure is not None:
            self.context.effects.commit()
            self._hold_replies()

    def _hold_replies(self) -> None:
        """Look how far the log is safe; mark what has to wait for it, and take up again what has waited."""
        outbox = self.context.outbox
        moved = outbox.settle()
        if outbox.holding:
            for connection in self.dirty:
                connection.hold(0)  # what commands of its own did not account for
        if not moved and outbox.failure is None:
            return
        held, self.held = self.held, []
        message, outbox.failure = outbox.failure, None
        for connection in held:
            if connection.closed:
                continue
            if message is not None:
                connection.fail_waiting(message)
                continue
            connection.waiting.allowed(0)  # forgets the marks that have been reached
            connection.mark_dirty()
            if connection.waiting.marks:
                self.held.append(connection)

    def _clients_exceed_limit(self) -> bool:
        limit_bytes = self.client_limit_bytes
        return 0 < limit_bytes < self.client_bytes + len(self.connections) * SESSION_BYTES

    def _weigh_clients(self) -> None:
        """Keep maxmemory-clients; what clients take is taken from what maxmemory leaves to the dataset."""
        if self._clients_exceed_limit() and self.client_bytes >= self._evict_above_bytes:
            self._evict_clients()
        if self.client_bytes != self._told_bytes:
            self._told_bytes = self.client_bytes
            self.context.memory.set_client_bytes(self.client_bytes)

    def _evict_clients(self) -> None:
        """maxmemory-clients: the biggest leave until the others keep the limit.

        If those who may be evicted do not suffice, it looks again when more has piled up, or at the next ``cron``.
        """
        evictable = [connection for connection in self.connections.values() if not connection.session.no_evict]
        for connection in sorted(evictable, key=lambda one: one.counted_bytes, reverse=True):
            if not self._clients_exceed_limit():
                break
            self.context.log.notice(
                "client evicted: maxmemory-clients reached",
                address=text(connection.peer),
                bytes=connection.counted_bytes,
            )
            self.evicted += 1
            connection.close()
        self._evict_above_bytes = 0
        if self._clients_exceed_limit():
            self._evict_above_bytes = self.client_bytes + self.client_limit_bytes // EVICTION_STEPS

    def _bury(self) -> None:
        """Nobody is served any more by these connections: break their cycles, so that no collector is needed."""
        connections, self.graveyard = self.graveyard, []
        for connection in connections:
            connection.session.release()

    # Accepting

    def listen(self, listening: socket.socket, local: bool) -> None:
        """Accept clients of this socket (non-blocking); ``local``: it is a Unix socket."""
        listener = Listener(listening, local)
        self._listeners.append(listener)
        if self._loop is not None and self._accepting:
            self._loop.add_reader(listener.fd, self._accept, listener)

    def stop_listening(self, sockets: Collection[socket.socket] | None = None) -> None:
        """Accept nobody any more on these sockets (all of them, if none are named); who is connected stays."""
        kept = []
        for listener in self._listeners:
            if sockets is not None and listener.socket not in sockets:
                kept.append(listener)
                continue
            if self._loop is not None:
                self._loop.remove_reader(listener.fd)
            listener.socket.close()
        self._listeners = kept

    def _watch_listeners(self) -> None:
        if self._loop is not None and self._accepting:
            for listener in self._listeners:
                self._loop.add_reader(listener.fd, self._accept, listener)

    def _unwatch_listeners(self) -> None:
        if self._loop is not None:
            for listener in self._listeners:
                self._loop.remove_reader(listener.fd)

    def _accept(self, listener: Listener) -> None:
        for _ in range(MAX_ACCEPTS):
            try:
                client, address = listener.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    # The listener stays readable: without a rest the loop would spin on a backlog that it cannot take.
                    self._pause_accepting(os.strerror(error.errno))
                return
            client.setblocking(False)
            if len(self.connections) >= self.max_clients:
                self._turn_away(client, errors.MAX_CLIENTS)
            elif self.protected and not is_loopback(client.family, address):
                self._turn_away(client, errors.PROTECTED_MODE)
            else:
                self._welcome(client, address, listener)

    def _welcome(self, client: socket.socket, address: Any, listener: Listener) -> None:
        """Make a connection; its transport is there a moment later."""
        assert self._loop is not None, "only an attached reactor accepts"
        tune_socket(client, self.keepalive_seconds)
        if listener.local:
            peer = local = os.fsencode(listener.socket.getsockname()) + b":0"
        else:
            peer = describe_address(client.family, address)
            local = describe_address(client.family, client.getsockname())
        connection = Connection(self, client.fileno(), peer, local, listener.local, self._next_id)
        connection.accepted = client
        self._next_id += 1
        self.accepted += 1
        self.connections[connection.fd] = connection
        self.context.clients[connection.session.id] = connection.session
        connection.count_memory()
        self.schedule()
        beginning = self._loop.create_task(self._begin(connection, client))
        self._beginnings.add(beginning)
        beginning.add_done_callback(self._beginnings.discard)

    async def _begin(self, connection: Connection, client: socket.socket) -> None:
        assert self._loop is not None, "only an attached reactor accepts"
        try:
            await self._loop.connect_accepted_socket(lambda: connection, client)
        except OSError as error:
            client.close()
            connection.close()
            self.context.log.verbose(
                "client left while it was accepted", error=str(error), address=text(connection.peer)
            )

    def _turn_away(self, client: socket.socket, error: bytes) -> None:
        self.rejected += 1
        with client:
            try:
                client.send(b"-" + error + b"\r\n")
            except OSError:
                return  # It left before it was told.

    def _pause_accepting(self, reason: str) -> None:
        self.context.log.warning("accepting connections paused", reason=reason)
        self._unwatch_listeners()
        self._accepting = False

    def _resume_accepting(self) -> None:
        if not self._accepting:
            self._accepting = True
            self._watch_listeners()

    # From time to time

    def cron(self) -> None:
        """Once a second: idle clients, limits that depend on time, memory of quiet connections."""
        now_ns = self.clock.monotonic_ns()
        self._resume_accepting()
        for connection in list(self.connections.values()):
            session = connection.session
            quiet_ns = now_ns - session.active_ns
            may_idle = self.idle_seconds <= 0 or session.monitor or session.held_by is not None
            if not may_idle and quiet_ns > self.idle_seconds * 1_000_000_000:
                self.context.log.verbose("client closed: idle", address=text(connection.peer))
                connection.close()
            elif connection.output_bytes:
                connection.check_output_limit()
            elif quiet_ns > QUIET_NS:
                connection.writer.trim()
            connection.count_memory()
        self._evict_above_bytes = 0
        self.schedule()

    def close(self) -> None:
        """Close every connection and listener; a second time changes nothing."""
        self.stop_listening()
        for beginning in self._beginnings:
            beginning.cancel()
        for connection in list(self.connections.values()):
            connection.close()
        self.dirty = []
        self.pending = []
        self._bury()


def describe_address(family: int, address: Any) -> bytes:
    """The textual form that Redis gives to an address of the internet."""
    host, port = address[0], address[1]
    return (f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}").encode()


def is_loopback(family: int, address: Any) -> bool:
    """Whether a peer is on this machine."""
    if family == socket.AF_INET:
        return str(address[0]).startswith("127.")
    if family == socket.AF_INET6:
        return address[0] == "::1" or str(address[0]).startswith("::ffff:127.")
    return True


def tune_socket(client: socket.socket, idle_seconds: int) -> None:
    """Replies go out at once; a dead peer is noticed after about twice ``idle_seconds``."""
    if client.family not in (socket.AF_INET, socket.AF_INET6):
        return
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if idle_seconds <= 0:
        return
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    settings = {
        "TCP_KEEPIDLE": idle_seconds,
        "TCP_KEEPALIVE": idle_seconds,  # what macOS calls it
        "TCP_KEEPINTVL": max(idle_seconds // 3, 1),
        "TCP_KEEPCNT": 3,
    }
    for name, value in settings.items():
        option = getattr(socket, name, None)
        if option is not None:
            client.setsockopt(socket.IPPROTO_TCP, option, value)
