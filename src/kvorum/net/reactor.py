"""The reactor: between the sockets of clients and their sessions.

Where it stands. Bytes from a socket go to the connection's parser; each request found there is executed by the
pipeline; the reply gathers in the session's writer; at the end of the turn the effects of all that was done are logged
once, and only then do replies go out. Nothing above this module knows of sockets, nothing here of commands.

What it promises, in both forms:

- *Order.* Requests of one connection are executed in the order in which they came, and answered in that order. A
  session that is held back (CLIENT PAUSE, blocking commands) goes on with the very request that it stopped at.
- *Fairness.* In one round a connection executes at most ``MAX_REQUESTS`` requests, for about ``SHARE_NS``, and sends about
  ``MAX_SENT`` bytes; what is left is taken up after all others had their turn. However fast one client pipelines, the
  others are served, and the asyncio loop with everything else in the process (timers, peers, HTTP) gets its turn.
- *Bounds.* Input that is not executed yet is bounded by ``query_buffer_limit``. Replies that a client does not read are
  bounded by ``set_output_limits`` (client-output-buffer-limit; those who listen to channels have limits of their own);
  and without such limits a client whose unread replies exceed ``OUTPUT_HIGH_WATER`` is not executed further until it
  has read down to ``OUTPUT_LOW_WATER``, while what it goes on sending falls under the first bound. Whoever exceeds a
  bound is closed and the log says so. All clients together are bounded by maxmemory-clients: at the end of a round in
  which their memory has exceeded it, the biggest are closed, except for those that asked to be spared (CLIENT
  NO-EVICT). The number of connections is bounded by ``max_clients``; who comes then is told so and turned away.
- *Silence costs little.* A connection that says nothing holds a session and a few small objects, no buffers.
- *Nobody waits for the slow.* Sockets never block. Half a request stays in its parser until the rest arrives.
- *One pays, not all.* What goes wrong while one connection is served (memory that cannot be had, a bug) closes that
  connection, with a line in the log.
- *Closing* is final and harmless to repeat: the session is told to the context (``client_left``) exactly once.
- *Running out of descriptors* pauses accepting until the next ``cron``, instead of spinning on a backlog that cannot be
  taken.

Two forms of it. Per client socket, asyncio's transports cost as much as the command that is executed, so on Linux the
compiled twin (``reactor.pyx``) owns an epoll descriptor with all client sockets, and reads, parses, executes and writes in
compiled code. In a loop of somebody else's making that one descriptor is registered with the loop, and the reactor polls
again before it gives the loop its turn. In a loop of our own (``net.selector``) it is the other way round: the loop's
selector waits in the reactor, which watches the loop's other descriptors as one more event; so a request costs one
poll, not two nested ones. This module is the same on asyncio's own transports. It serves
where there is no epoll (macOS), it runs interpreted under ``KVORUM_PLAIN=1``, and it is the oracle of the compiled one:
the tests in ``tests/net`` run over both.

Rejected: a thread per core or per connection (the keyspace is one, and its locks would cost more than they gain);
uvloop (its transports still cost a Python call per read and write, and it is one more thing to install);
``loop.create_server`` (it neither counts clients before it accepts them nor says a word to those it turns away).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, cast

from kvorum import errors
from kvorum.commands.client import SESSION_BYTES
from kvorum.config.kinds import OutputLimit
from kvorum.resp.parser import Parser, Scratch, Status
from kvorum.resp.writer import Writer
from kvorum.session.outbox import HeldOutput
from kvorum.session.session import SUBSCRIBED, Session

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext

# Work per round. What is left over is taken up in the next round, after the others.
MAX_ACCEPTS = 1000  # per ready listener
MAX_REQUESTS = 512  # per connection; an eighth of the compiled twin's, as each takes so much longer
SHARE_NS = 5_000_000  # time for one connection
MAX_SENT = 4 * 1024 * 1024  # bytes per connection
SEND_PIECE = 256 * 1024  # bytes given to a transport at once: what it cannot send it copies
OUTPUT_HIGH_WATER = 64 * 1024 * 1024
OUTPUT_LOW_WATER = 16 * 1024 * 1024
EVICTION_STEPS = 8  # in such parts of the limit more must pile up where evicting clients did not suffice

QUIET_NS = 2_000_000_000  # a connection that was quiet for so long gives its buffers back

NEED_MORE = int(Status.NEED_MORE)
PROTOCOL_ERROR = int(Status.PROTOCOL_ERROR)


class Listener:
    """A listening socket; ``local``: a Unix socket, whose clients are on this machine for certain."""

    def __init__(self, listening: socket.socket, local: bool) -> None:
        self.socket = listening
        self.local = local
        self.fd = listening.fileno()


class Connection(asyncio.Protocol):
    """One client's socket, and the session behind it.

    ``peer`` and ``local`` are addresses as Redis writes them (``ip:port``, ``[ip6]:port``, ``path:0``); ``trusted``
    says that it came over a Unix socket.
    """

    def __init__(self, reactor: Reactor, fd: int, peer: bytes, local: bytes, trusted: bool, id: int) -> None:
        self.reactor = reactor
        self.fd = fd
        self.peer = peer
        self.local = local
        self.trusted = trusted
        self.closed = False
        self.parser = Parser(reactor.scratch)
        self.parser.max_bulk_bytes = reactor.max_bulk_bytes
        self.writer = Writer(2)
        self.session = Session(id, reactor.context, self, self.parser, self.writer)
        self.accepted: socket.socket | None = None  # until there is a transport
        self.transport: asyncio.Transport | None = None
        self.dirty = False
        self.waiting = HeldOutput(reactor.context.outbox)  # what of the output waits for the log
        self.taken_bytes = 0  # from the writer, in all
        self.pending = False
        self.wants_write = False
        self.reading = True
        self.unsent = memoryview(b"")  # taken from the writer, not yet given to the transport
        self.over_soft_since_ns = 0
        self.counted_bytes = 0  # its part of reactor.client_bytes

    @property
    def input_bytes(self) -> int:
        """What has arrived and is not executed yet."""
        return self.parser.buffered()

    @property
    def output_bytes(self) -> int:
        """What is written and not sent yet."""
        kept = self.transport.get_write_buffer_size() if self.transport is not None else 0
        return self.writer.pending + len(self.unsent) + kept

    @property
    def input_memory_bytes(self) -> int:
        """Memory that input takes."""
        return self.parser.footprint()

    @property
    def output_memory_bytes(self) -> int:
        """Memory that replies take."""
        return self.writer.footprint() + self.output_bytes - self.writer.pending

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.accepted = None
        if self.closed:
            self.transport.abort()
            return
        # Told of every byte that the kernel does not take, and again when none is left.
        self.transport.set_write_buffer_limits(high=0)
        if not self.reactor.attached:
            self.read_on(False)
        if self.dirty:
            self.reactor.schedule()

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self.reactor.reads += 1
        self.reactor.bytes_read += len(data)
        try:
            self.parser.feed(data)
            self.process()
            self.settle()
        except Exception as error:
            self.give_up(error)

    def settle(self) -> None:
        """The next turn is another connection's: keep what is left of the input, if it is not too much."""
        if self.closed:
            return
        self.parser.settle()
        if self.parser.buffered() > self.reactor.query_buffer_limit:
            self.reactor.context.log.warning("client closed: query buffer limit reached", address=text(self.peer))
            self.close()
        self.count_memory()

    def eof_received(self) -> None:
        self.close()

    def pause_writing(self) -> None:
        self.wants_write = True

    def resume_writing(self) -> None:
        self.wants_write = False
        self.session.active_ns = self.reactor.clock.monotonic_ns()  # Who reads is not idle.
        # Sent in the next round: asyncio's transport, if it were aborted in here, would end the connection twice.
        self.mark_dirty()

    def connection_lost(self, error: Exception | None) -> None:
        self.close()

    # What the reactor calls

    def count_memory(self) -> None:
        """Renew its part of what all clients take together; only while that is counted."""
        if not self.reactor.counting or self.closed:
            return
        now_bytes = self.input_memory_bytes + self.output_memory_bytes + self.session.kept_bytes()
        self.reactor.client_bytes += now_bytes - self.counted_bytes
        self.counted_bytes = now_bytes

    def process(self) -> None:
        """Execute what has arrived: as far as the client may go in this round."""
        session = self.session
        pipeline = self.reactor.pipeline
        holding = self.reactor.context.outbox.holding
        now_ns = session.active_ns = self.reactor.clock.monotonic_ns()
        if not self.may_execute():
            self.read_on(True)
            return
        count = 0
        until_ns = now_ns + SHARE_NS
        while True:
            status = self.parser.next()
            if status == NEED_MORE:
                break
            if status == PROTOCOL_ERROR:
                self.refuse_input()
                break
            if holding:
                self.hold(0)  # what others have written to it
                session.required = 0
            now_ns = pipeline.run(session, now_ns)
            if now_ns < 0:
                self.parser.hold()
                break
            if holding:
                self.hold(1, session.required)
            if 0 < self.reactor.output_limit.hard_bytes < self.output_bytes and not session.closing:
                self.check_output_limit()  # also who reads: so much is not even to pile up
            if self.closed or not self.may_execute():
                break
            count += 1
            if count >= MAX_REQUESTS or now_ns >= until_ns:
                self.mark_pending()
                break
        self.read_on(not self.pending)
        if self.writer.pending or session.closing:
            self.mark_dirty()
        self.reactor.schedule()

    def read_on(self, wanted: bool) -> None:
        """Whether to take more from the socket: not while requests that came are to be executed in the next round, so
        that a client that sends faster than it is served is slowed down by TCP, and not closed for it."""
        if self.transport is None or self.closed or wanted == self.reading:
            return
        self.reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def may_execute(self) -> bool:
        """Whether the next request may be executed: nothing holds the session, and its replies are read."""
        session = self.session
        return session.held_by is None and not session.closing and self.output_bytes <= OUTPUT_HIGH_WATER

    def refuse_input(self) -> None:
        """The bytes that came are no requests: say so and close."""
        error = self.parser.error or b""
        self.writer.append(b"-ERR Protocol error: " + error + b"\r\n")
        self.session.closing = True
        self.reactor.context.log.verbose("protocol error", error=text(error), address=text(self.peer))

    def mark_dirty(self) -> None:
        """There is something to send, or the connection is to be closed, at the end of the turn."""
        if not self.dirty and not self.closed:
            self.dirty = True
            self.reactor.dirty.append(self)
        self.reactor.schedule()

    def mark_pending(self) -> None:
        """There are requests that are still to be executed, in the next round."""
        if not self.pending and not self.closed:
            self.pending = True
            self.reactor.pending.append(self)
        self.reactor.schedule()

    def flush(self) -> None:
        """Send what can be sent; close what is to be closed once nothing is left."""
        if self.transport is None:
            self.dirty = True
            self.reactor.dirty_later.append(self)
            return
        was_high = self.output_bytes > OUTPUT_LOW_WATER
        sent = 0
        while not self.wants_write and not self.closed and sent < MAX_SENT and self.next_piece():
            piece, self.unsent = self.unsent[:SEND_PIECE], self.unsent[SEND_PIECE:]
            self.transport.write(piece)
            sent += len(piece)
            if self.transport.is_closing():
                self.close()  # the client is gone; asyncio would say so only after this round
        self.reactor.writes += 1
        self.reactor.bytes_written += sent
        if self.closed:
            return
        if self.output_bytes:
            if not self.wants_write and not self.waiting.marks:  # the round takes it up again when the log is safe
                self.mark_dirty()
            self.check_output_limit()
        else:
            self.over_soft_since_ns = 0
            if self.session.closing:
                self.close()
                return
        if was_high and self.output_bytes <= OUTPUT_LOW_WATER:
            self.mark_pending()
        self.count_memory()

    def next_piece(self) -> bool:
        """Whether something is left to be given to the transport; takes the writer's next chunk if need be and allowed."""
        if not self.unsent and self.writer.pending:
            allowed = self.waiting.allowed(self.taken_bytes + self.writer.pending) - self.taken_bytes
            chunk = self.writer.chunks(1)[0][:allowed]
            self.writer.consume(len(chunk))
            self.taken_bytes += len(chunk)
            self.unsent = memoryview(chunk)
        return bool(self.unsent)

    def hold(self, replies: int, position: int | None = None) -> None:
        """What was written since the last time, so many replies, waits until the log is safe up to a position; None: up to
        its end."""
        reactor = self.reactor
        written = self.taken_bytes + self.writer.pending
        if position is None:
            position = reactor.context.effects.position
        self.waiting.note(self.taken_bytes, written, position, replies)
        if self.waiting.marks and self not in reactor.held:
            reactor.held.append(self)

    def fail_waiting(self, message: bytes) -> None:
        """What waits is not sent: each reply of it becomes an error."""
        allowed = self.waiting.allowed(self.taken_bytes + self.writer.pending) - self.taken_bytes
        self.writer.rewind(allowed)
        for _ in range(self.waiting.give_up()):
            self.writer.error(message)
        self.mark_dirty()

    def check_output_limit(self) -> None:
        """client-output-buffer-limit: close at once above the hard limit, or after a time above the soft one."""
        reactor = self.reactor
        size = self.output_bytes
        limit = reactor.subscriber_limit if self.session.gates & SUBSCRIBED else reactor.output_limit
        over = 0 < limit.hard_bytes < size
        if not over and 0 < limit.soft_bytes < size:
            now_ns = reactor.clock.monotonic_ns()
            self.over_soft_since_ns = self.over_soft_since_ns or now_ns
            over = now_ns - self.over_soft_since_ns > limit.soft_seconds * 1_000_000_000
        elif not over:
            self.over_soft_since_ns = 0
        if over:
            reactor.context.log.warning(
                "client closed: output buffer limit reached", address=text(self.peer), bytes=size
            )
            self.close()

    def give_up(self, error: Exception) -> None:
        """Memory that cannot be had, or a bug: one client pays for it, not all."""
        self.close()
        self.reactor.context.log.exception("client closed: " + type(error).__name__, address=text(self.peer))

    # What sessions and commands call

    def resume(self) -> None:
        """Go on with a session that was held; also after the asyncio loop has gone to sleep."""
        self.mark_pending()

    def written(self) -> None:
        """Something was written to the session's reply from outside of its own commands."""
        if not self.closed:
            self.check_output_limit()
            self.mark_dirty()

    def close_soon(self) -> None:
        """Close after what is going on now, without waiting for pending replies."""
        self.session.closing = True
        self.writer.consume(self.writer.pending)
        self.unsent = memoryview(b"")
        self.mark_dirty()

    def close(self) -> None:
        """Close now; a second time changes nothing."""
        if self.closed:
            return
        self.closed = True
        if self.transport is not None:
            self.transport.abort()
        elif self.accepted is not None:
            self.accepted.close()
        self.reactor.connections.pop(self.fd, None)
        self.reactor.client_bytes -= self.counted_bytes
        self.counted_bytes = 0
        self.reactor.context.client_left(self.session)
        self.reactor.graveyard.append(self)
        self.reactor.schedule()


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


def text(raw: bytes) -> str:
    """Bytes of a client for the log."""
    return raw.decode("utf-8", "replace")


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
