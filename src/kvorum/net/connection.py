"""A client's connection: its socket, what came from it and what is to go out, and the session behind it.

Where it stands. The reactor (``reactor.py``) says which connections have something to do; here it is done: bytes go to the
parser, each request found there is executed by the pipeline, the reply gathers in the session's writer. The reactor lets
it go when the effects are logged, at the end of its round, or later if the reply has to wait until the log is safe.

What it promises, in both forms:

- *Order.* Requests are executed in the order in which they came, and answered in that order. A session that is held back
  (CLIENT PAUSE, blocking commands) goes on with the very request that it stopped at.
- *A share, not more.* In one round at most ``MAX_REQUESTS`` requests are executed, for about ``SHARE_NS``, and about
  ``MAX_SENT`` bytes sent; what is left is taken up after all others had their turn.
- *Bounds.* Input that is not executed yet is bounded by ``query_buffer_limit``. Replies that the client does not read are
  bounded by ``set_output_limits`` (client-output-buffer-limit; those who listen to channels have limits of their own);
  and without such limits a client whose unread replies exceed ``OUTPUT_HIGH_WATER`` is not executed further until it
  has read down to ``OUTPUT_LOW_WATER``, while what it goes on sending falls under the first bound. Whoever exceeds a
  bound is closed and the log says so.
- *Silence costs little.* A connection that says nothing holds a session and a few small objects, no buffers.
- *Nobody waits for the slow.* Sockets never block. Half a request stays in its parser until the rest arrives.
- *Closing* is final and harmless to repeat: the session is told to the context (``client_left``) exactly once.

The compiled twin (``connection.pyx``) reads and writes its socket itself; this one has one of asyncio's transports.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, cast

from kvorum.resp.parser import Parser, Status
from kvorum.resp.writer import Writer
from kvorum.session.outbox import HeldOutput
from kvorum.session.session import SUBSCRIBED, Session

if TYPE_CHECKING:
    from kvorum.net.reactor import Reactor

# Work per round. What is left over is taken up in the next round, after the others.
MAX_REQUESTS = 512  # an eighth of the compiled twin's, as each takes so much longer
SHARE_NS = 5_000_000
MAX_SENT = 4 * 1024 * 1024  # bytes
SEND_PIECE = 256 * 1024  # bytes given to a transport at once: what it cannot send it copies
OUTPUT_HIGH_WATER = 64 * 1024 * 1024
OUTPUT_LOW_WATER = 16 * 1024 * 1024

NEED_MORE = int(Status.NEED_MORE)
PROTOCOL_ERROR = int(Status.PROTOCOL_ERROR)


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
        self.reactor.tell_failures()
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

    def eof_received(self) -> bool:
        if self.waiting.marks and not self.closed:
            self.session.closing = True  # it has said all; what it said is answered when the log is safe
            return True
        self.close()
        return False

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
                session.required = session.required_round = 0
            now_ns = pipeline.run(session, now_ns)
            if now_ns < 0:
                self.parser.hold()
                break
            if holding:
                self.hold(1, session.required, session.required_round)
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

    def hold(self, replies: int, position: int | None = None, round_: int = 0) -> None:
        """What was written since the last time, so many replies, waits until the log is safe up to a position; None: up to
        its end; and until a round of reads is confirmed."""
        reactor = self.reactor
        written = self.taken_bytes + self.writer.pending
        if position is None:
            position = reactor.context.effects.position
        self.waiting.note(self.taken_bytes, written, position, replies, round_)
        if self.waiting.marks and self not in reactor.held:
            reactor.held.append(self)

    def fail_waiting(self, message: bytes) -> None:
        """What waits is not sent: each reply of it becomes an error."""
        allowed = self.waiting.allowed(self.taken_bytes + self.writer.pending) - self.taken_bytes
        self.writer.rewind(allowed)
        for _ in range(self.waiting.give_up()):
            self.writer.error(message)
        self.hold(0, 0)  # the errors wait for nothing
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

    def resume(self, replies: int = 0) -> None:
        """Go on with a session that was held; also after the asyncio loop has gone to sleep. ``replies``: so many were
        written to it just now."""
        if replies and self.reactor.context.outbox.holding:
            self.hold(replies, round_=self.reactor.context.outbox.note_late_read())
        self.mark_pending()

    def written(self) -> None:
        """Something was written to the session's reply from outside of its own commands."""
        if not self.closed:
            self.check_output_limit()
            self.mark_dirty()

    def close_soon(self) -> None:
        """Close after what is going on now, without waiting for pending replies."""
        self.session.closing = True
        self.taken_bytes += self.writer.pending
        self.writer.consume(self.writer.pending)
        self.waiting.give_up()
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
        self._forget()

    @property
    def may_leave(self) -> bool:
        """Whether its socket can be somebody else's: it owes the client no reply."""
        return not self.closed and self.transport is not None and self.output_bytes == 0

    def leave(self) -> tuple[socket.socket, bytes]:
        """The socket, which is the caller's from now on, and what came behind the request that is being executed. For the
        server it is as if the client had gone."""
        assert self.transport is not None
        unread = self.parser.unread()
        kept = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        self.closed = True
        self.transport.abort()  # it closes its own descriptor, and says nothing to the other side
        self._forget()
        return kept, unread

    def _forget(self) -> None:
        """The client is nobody's any more."""
        self.reactor.connections.pop(self.fd, None)
        self.reactor.client_bytes -= self.counted_bytes
        self.counted_bytes = 0
        self.reactor.context.client_left(self.session)
        self.reactor.graveyard.append(self)
        self.reactor.schedule()


def text(raw: bytes) -> str:
    """Bytes of a client for the log."""
    return raw.decode("utf-8", "replace")
