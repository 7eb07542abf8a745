"""The compiled connection: see ``connection.py`` for what it promises."""

import socket
from contextlib import suppress

from libc.errno cimport EAGAIN, EINTR, errno as c_errno
from libc.string cimport memset
from posix.unistd cimport close

from kvorum.keyspace.table cimport Database
from kvorum.net.reactor cimport OutputLimit, Reactor
from kvorum.net.sockets cimport EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT, MSG_NOSIGNAL, msghdr, recv, send, sendmsg
from kvorum.net.watched cimport CONNECTION, Watched
from kvorum.resp.parser cimport NEED_MORE, PROTOCOL_ERROR, Parser
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer, iovec
from kvorum.session.outbox cimport HeldOutput
from kvorum.session.pipeline cimport Pipeline
from kvorum.session.session cimport Session
from kvorum.session.session import SUBSCRIBED

# Work per round. What is left over is taken up in the next one, after the others.
cdef enum:
    MAX_REQUESTS = 4096
    SHARE_NS = 5 * 1000 * 1000
    PREFETCHED = 16                 # requests at a time
    MAX_VECTOR = 64                 # segments per sendmsg
    MAX_SENT = 4 * 1024 * 1024      # bytes
    # A client whose unread replies exceed this is not executed further until it reads; what it sends meanwhile
    # is kept up to client-query-buffer-limit, then the connection is closed. So both directions are bounded.
    OUTPUT_HIGH_WATER = 64 * 1024 * 1024
    OUTPUT_LOW_WATER = 16 * 1024 * 1024

cdef int SUBSCRIBER = SUBSCRIBED


cdef int cut_vector(iovec* vector, int segments, Py_ssize_t allowed) noexcept:
    """Leave so many bytes of the pieces; how many pieces these are."""
    cdef int index
    for index in range(segments):
        if <Py_ssize_t>vector[index].iov_len >= allowed:
            vector[index].iov_len = allowed
            return index + 1
        allowed -= vector[index].iov_len
    return segments


cdef class Connection(Watched):
    def __init__(self, Reactor reactor, int fd, bytes peer, bytes local, bint trusted, long long id):
        self.fd = fd
        self.kind = CONNECTION
        self.reactor = reactor
        self.peer = peer
        self.local = local
        self.trusted = trusted
        self.parser = Parser(reactor.scratch)
        self.parser.max_bulk_bytes = reactor.max_bulk_bytes
        self.writer = Writer(2)
        self.session = Session(id, reactor.context, self, self.parser, self.writer)

    @property
    def input_bytes(self):
        return self.parser.buffered()

    @property
    def output_bytes(self):
        return self.writer.pending

    @property
    def input_memory_bytes(self):
        return self.parser.footprint()

    @property
    def output_memory_bytes(self):
        return self.writer.footprint()

    cdef int count_memory(self) except -1:
        """Renew its part of what all clients take together; only while that is counted."""
        cdef Py_ssize_t now_bytes = self.parser.footprint() + self.writer.footprint() + self.session.kept_bytes()
        self.reactor.client_bytes += now_bytes - self.counted_bytes
        self.counted_bytes = now_bytes
        return 0

    cdef int read(self) except -1:
        cdef Py_ssize_t room = 0
        cdef char* where = self.parser.reserve(&room)
        cdef Py_ssize_t count = recv(self.fd, where, room, 0)
        if count <= 0:
            if count < 0 and (c_errno == EAGAIN or c_errno == EINTR):
                self.parser.settle()
                return 0
            if count == 0 and self.pending:
                self.parser.settle()            # it has said all; what it said is still to be answered
                return 0
            if count == 0 and self.held and not self.session.closing:
                self.session.closing = True     # the same: its replies wait for the log
                self.reactor.watch(self, EPOLL_CTL_MOD, EPOLLOUT if self.wants_write else 0)
                return 0
            self.close()
            return 0
        self.reactor.reads += 1
        self.reactor.bytes_read += count
        self.parser.commit(count)
        self.process()
        if not self.closed:
            self.parser.settle()
            if self.parser.buffered() > self.reactor.query_buffer_limit:
                self.reactor.context.log.warning(
                    "client closed: query buffer limit reached", address=self.peer.decode("utf-8", "replace"))
                self.close()
            elif self.reactor.counting:
                self.count_memory()
        return 0

    cdef int process(self) except -1:
        """Execute what has arrived: as far as the client may go in this round."""
        cdef Session session = self.session
        cdef Pipeline pipeline = self.reactor.pipeline
        cdef long long now_ns = self.reactor.clock.monotonic_ns()
        cdef long long until_ns = now_ns + SHARE_NS
        cdef int status
        cdef int count = 0
        cdef int ahead = 0              # requests to come whose keys are on their way into the cache
        cdef bint holding = self.reactor.outbox.holding
        cdef Py_ssize_t enough = OUTPUT_HIGH_WATER
        if 0 < self.reactor.output_limit.hard_bytes < OUTPUT_HIGH_WATER:
            enough = self.reactor.output_limit.hard_bytes
        session.active_ns = now_ns
        if session.held_by is not None or session.closing or self.writer.pending > OUTPUT_HIGH_WATER:
            return 0
        while True:
            if ahead == 0 and session.call.db.outgrows_cache():
                ahead = self.prefetch()
            ahead -= 1
            status = self.parser.next()
            if status == NEED_MORE:
                break
            if status == PROTOCOL_ERROR:
                self.writer.raw(b"-ERR Protocol error: ", 21)
                self.writer.raw(self.parser.error, len(self.parser.error))
                self.writer.raw(b"\r\n", 2)
                session.closing = True
                self.reactor.context.log.verbose(
                    "protocol error", error=self.parser.error.decode("utf-8", "replace"),
                    address=self.peer.decode("utf-8", "replace"))
                break
            if holding:
                if self.waiting is None or self.sent_bytes + self.writer.pending > self.waiting.noted:
                    self.hold(self.reactor.log_end(), 0)    # what others have written to it
                session.required = 0
                session.required_round = 0
            now_ns = pipeline.run(session, now_ns)
            if now_ns < 0:
                self.parser.hold()
                break
            if holding:
                self.hold(session.required, 1, session.required_round)
            if session.closing or self.closed:
                break
            if self.writer.pending > enough:
                self.check_output_limit()       # also who reads: so much is not even to pile up
                if not self.closed and self.writer.pending <= OUTPUT_HIGH_WATER:
                    self.mark_pending()         # the limit has just been lifted
                break
            if session.held_by is not None:
                break
            count += 1
            if count >= MAX_REQUESTS or now_ns >= until_ns:
                self.mark_pending()
                break
        if self.writer.pending or session.closing:
            self.mark_dirty()
        return 0

    cdef int prefetch(self) noexcept:
        """Let the memory that the next requests will touch come into the cache while they wait for their turn.

        Reading a key of a big table is two accesses to memory that depend on each other; done for a batch of requests at
        once they overlap. Returns how many requests are to be executed before it is worth doing it again.
        """
        cdef Span keys[PREFETCHED]
        cdef Database database = self.session.call.db
        cdef int index
        cdef int found = self.parser.look_ahead(keys, PREFETCHED)
        if found < 2:
            return 1
        for index in range(found):
            database.prefetch(keys[index])
        for index in range(found):
            database.prefetch_entry(keys[index])
        return found

    cdef int mark_dirty(self) except -1:
        # With replies that wait, what others write to who does not read is to be noted at the end of the turn, too.
        if not self.dirty and not self.closed and (not self.wants_write or self.reactor.outbox.holding):
            self.dirty = True
            self.reactor.dirty.append(self)
        return 0

    def mark_pending(self):
        if not self.pending and not self.closed:
            self.pending = True
            self.reactor.pending.append(self)

    def resume(self, int replies=0):
        """Go on with a session that was held; also after the asyncio loop has gone to sleep. ``replies``: so many were
        written to it just now."""
        if replies and self.reactor.outbox.holding:
            self.hold(self.reactor.log_end(), replies, self.reactor.outbox.note_late_read())
        self.mark_pending()
        self.reactor.wake()

    def written(self):
        """Something was written to the session's reply from outside of its own commands."""
        if self.closed:
            return
        if self.wants_write or self.writer.pending > OUTPUT_LOW_WATER:
            self.check_output_limit()       # it does not read what it has: nothing else would look before the next cron
        self.mark_dirty()
        if not self.reactor.in_turn:
            self.reactor.wake()

    def close_soon(self):
        """Close after what is going on now, without waiting for pending replies."""
        self.session.closing = True
        self.sent_bytes += self.writer.pending
        self.writer.consume(self.writer.pending)
        if self.waiting is not None:
            self.waiting.give_up()
        if not self.dirty and not self.closed:  # also a client that never reads, for which mark_dirty waits
            self.dirty = True
            self.reactor.dirty.append(self)
        self.reactor.wake()

    cdef int flush(self) except -1:
        cdef iovec vector[MAX_VECTOR]
        cdef msghdr message
        cdef int segments
        cdef Py_ssize_t sent
        cdef Py_ssize_t total = 0
        cdef bint was_high = self.writer.pending > OUTPUT_LOW_WATER
        cdef Py_ssize_t allowed = self.writer.pending
        if self.waiting is not None:
            allowed = self.count_allowed()      # 0: let_go comes back when the log is safe that far
        while allowed > 0 and not self.closed:
            segments = self.writer.gather(vector, MAX_VECTOR)
            if allowed < self.writer.pending:
                segments = cut_vector(vector, segments, allowed)
            if segments == 1:
                sent = send(self.fd, vector[0].iov_base, vector[0].iov_len, MSG_NOSIGNAL)
            else:
                memset(&message, 0, sizeof(message))
                message.msg_iov = vector
                message.msg_iovlen = segments
                sent = sendmsg(self.fd, &message, MSG_NOSIGNAL)
            if sent < 0:
                if c_errno == EINTR:
                    continue
                if c_errno != EAGAIN:
                    self.close()
                    return 0
                break
            self.reactor.writes += 1
            self.reactor.bytes_written += sent
            self.writer.consume(sent)
            self.sent_bytes += sent
            total += sent
            allowed -= sent
            if total >= MAX_SENT:
                break
        if self.closed:
            return 0
        if total and self.wants_write:      # who reads, however slowly, is not idle
            self.session.active_ns = self.reactor.clock.monotonic_ns()
        if allowed > 0:
            if not self.wants_write:
                self.wants_write = True
                self.reactor.watch(self, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT)
            self.check_output_limit()
        else:
            if self.wants_write:
                self.wants_write = False
                self.reactor.watch(self, EPOLL_CTL_MOD, 0 if self.session.closing else EPOLLIN)
            if self.writer.pending == 0:
                self.over_soft_since_ns = 0
                if self.session.closing:
                    self.close()
                    return 0
        if was_high and self.writer.pending <= OUTPUT_LOW_WATER:
            self.mark_pending()
        if self.reactor.counting and not self.closed:
            self.count_memory()
        return 0

    cdef int hold(self, long long position, int replies, long long round_=0) except -1:
        """What was written since the last time, so many replies, waits until the log is safe up to a position."""
        cdef long long written = self.sent_bytes + self.writer.pending
        if self.waiting is None:
            self.waiting = HeldOutput(self.reactor.outbox)
        self.waiting.note(self.sent_bytes, written, position, replies, round_)
        if not self.held and self.waiting.marks:
            self.held = True
            self.reactor.held.append(self)
        return 0

    cdef Py_ssize_t count_allowed(self) except -1:
        """How many bytes of the output need nothing that is not safe yet."""
        return self.waiting.allowed(self.sent_bytes + self.writer.pending) - self.sent_bytes

    cdef int fail_waiting(self, bytes message) except -1:
        """What waits is not sent: each reply of it becomes an error."""
        cdef Py_ssize_t allowed = self.count_allowed()
        cdef long long replies = self.waiting.give_up()
        self.writer.rewind(allowed)
        while replies > 0:
            self.writer.error(message)
            replies -= 1
        self.hold(0, 0)                         # the errors wait for nothing
        self.mark_dirty()
        return 0

    def check_output_limit(self):
        """client-output-buffer-limit: close at once above the hard limit, or after a time above the soft one."""
        cdef Reactor reactor = self.reactor
        cdef OutputLimit limit = reactor.subscriber_limit if self.session.gates & SUBSCRIBER else reactor.output_limit
        cdef Py_ssize_t size = self.writer.pending
        cdef bint over = limit.hard_bytes > 0 and size > limit.hard_bytes
        cdef long long now_ns
        if not over and limit.soft_bytes > 0 and size > limit.soft_bytes:
            now_ns = reactor.clock.monotonic_ns()
            if self.over_soft_since_ns == 0:
                self.over_soft_since_ns = now_ns
            over = now_ns - self.over_soft_since_ns > limit.soft_seconds * 1000000000
        elif not over:
            self.over_soft_since_ns = 0
        if over:
            reactor.context.log.warning(
                "client closed: output buffer limit reached", address=self.peer.decode("utf-8", "replace"), bytes=size)
            self.close()

    def give_up(self, Exception error):
        self.close()                            # first, since it frees memory and nothing can prevent it
        with suppress(Exception):               # no memory for a line in the log: the others are served on
            self.reactor.context.log.exception(
                "client closed: " + type(error).__name__, address=self.peer.decode("utf-8", "replace"))

    def close(self):
        """Close now; a second time changes nothing."""
        if not self.closed:
            self.forget()
            close(self.fd)

    @property
    def may_leave(self):
        return not self.closed and self.writer.pending == 0

    def leave(self):
        unread = self.parser.unread()
        self.forget()
        return socket.socket(fileno=self.fd), unread

    cdef int forget(self) except -1:
        """The client is nobody's any more, and its socket is not watched."""
        self.closed = True
        reactor = self.reactor
        reactor.watch(self, EPOLL_CTL_DEL, 0)
        reactor.connections.pop(self.fd, None)
        reactor.client_bytes -= self.counted_bytes
        self.counted_bytes = 0
        reactor.graveyard.append(self)
        reactor.context.client_left(self.session)
        return 0
