"""The compiled reactor: see ``reactor.py`` for what it promises and why it is shaped like this."""

import os

from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, errno as c_errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport strlen
from posix.unistd cimport close, read as read_descriptor, write

from kvorum.commands.client import SESSION_BYTES
from kvorum.errors import MAX_CLIENTS, PROTECTED_MODE
from kvorum.net.connection cimport Connection
from kvorum.net.sockets cimport (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    MSG_NOSIGNAL,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    accept4,
    describe_address,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    eventfd,
    getsockname,
    is_loopback,
    send,
    sockaddr,
    sockaddr_storage,
    socklen_t,
    spin,
    tune_socket,
)
from kvorum.net.watched cimport CONNECTION, LISTENER, LOOP, WAKER, Listener, Watched
from kvorum.resp.parser cimport Scratch

# Work per turn. What is left over is taken up in the next round, after the others.
cdef enum:
    MAX_EVENTS = 512
    MAX_ACCEPTS = 1000              # per ready listener and round
    MAX_WAIT_MS = 60000
    # Clients that pipeline come back within microseconds. To fall asleep before that, and to be woken for each of them by
    # itself, costs both sides more than the requests: so when nothing is ready after a turn with PIPELINED requests for
    # each event, a moment passes in which several clients can gather. Without pipelines there is no such wait.
    PIPELINED = 8
    GATHER_NS = 20000
    GATHER_MOST_BYTES = 256 * 1024
    GATHER_MOST_NS = 500000         # an fsync for those who wait is not put off any longer
    STEP_NS = 2 * 1000 * 1000       # after this the asyncio loop gets its turn
    EVICTION_STEPS = 8              # in such parts of the limit more must pile up where evicting clients did not suffice

cdef Py_ssize_t SESSION_MEMORY = SESSION_BYTES


cdef class Reactor:
    def __init__(self, object context):
        self.context = context
        self.pipeline = context.pipeline
        self.clock = context.clock
        self.effects = context.effects
        self.tracking = context.tracking
        self.scratch = Scratch()
        self.connections = {}
        self.listeners = []
        self.dirty = []
        self.pending = []
        self.graveyard = []
        self.held = []
        self.outbox = context.outbox
        self.next_id = 1
        self.accepting = True
        self.max_clients = 10000
        self.query_buffer_limit = 1 << 30
        self.max_bulk_bytes = 512 << 20
        self.keepalive_seconds = 300
        self.epoll_fd = -1
        self.wake_fd = -1
        self.events = <epoll_event*>calloc(MAX_EVENTS, sizeof(epoll_event))
        if self.events == NULL:
            raise MemoryError()
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        self.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.epoll_fd < 0 or self.wake_fd < 0:
            raise OSError(c_errno, "epoll: " + os.strerror(c_errno))
        self.waker = Watched(self.wake_fd, WAKER)
        self.watch(self.waker, EPOLL_CTL_ADD, EPOLLIN)

    def __dealloc__(self):
        free(self.events)
        if self.epoll_fd >= 0:
            close(self.epoll_fd)
        if self.wake_fd >= 0:
            close(self.wake_fd)

    def fileno(self):
        return self.epoll_fd

    def attach(self, loop):
        """Be served by ``loop``: by its selector if that knows reactors (see ``selector.py``), else as one of its readers."""
        host = getattr(loop, "reactor_selector", None)
        if host is None or host.reactor is not None:        # a second server in the same loop
            loop.add_reader(self.epoll_fd, self.step)
        else:
            self.loop_watch = Watched(host.fileno(), LOOP)
            self.watch(self.loop_watch, EPOLL_CTL_ADD, EPOLLIN)
            host.reactor = self

    def detach(self, loop):
        host = getattr(loop, "reactor_selector", None)
        if host is not None and host.reactor is self:
            host.reactor = None
            self.watch(self.loop_watch, EPOLL_CTL_DEL, 0)
        else:
            loop.remove_reader(self.epoll_fd)

    def wake(self):
        cdef uint64_t one = 1
        if not self.in_turn:        # who is awake looks at what is pending before it waits
            write(self.wake_fd, &one, 8)

    def watch(self, Watched watched, int operation, uint32_t interest):
        cdef epoll_event event
        event.events = interest
        event.data.ptr = <void*>watched
        if epoll_ctl(self.epoll_fd, operation, watched.fd, &event) < 0 and operation != EPOLL_CTL_DEL:
            raise OSError(c_errno, "epoll_ctl: " + os.strerror(c_errno))

    def listen(self, object socket, bint local):
        listener = Listener(socket, local)
        self.listeners.append(listener)
        self.watch(listener, EPOLL_CTL_ADD, EPOLLIN if self.accepting else 0)

    def set_max_bulk_bytes(self, Py_ssize_t limit):
        cdef Connection connection
        self.max_bulk_bytes = limit
        for connection in self.connections.values():
            connection.parser.max_bulk_bytes = limit

    def set_output_limits(self, normal, subscribers):
        self.output_limit = OutputLimit(normal[0], normal[1], normal[2])
        self.subscriber_limit = OutputLimit(subscribers[0], subscribers[1], subscribers[2])

    def set_client_limit(self, Py_ssize_t limit_bytes, bint counting):
        cdef Connection connection
        self.client_limit_bytes = limit_bytes
        self.counting = counting or limit_bytes > 0
        self.client_bytes = 0
        self.told_bytes = -1
        self.evict_above_bytes = 0
        for connection in self.connections.values():
            connection.counted_bytes = 0
            if self.counting:
                connection.count_memory()
        self.wake()

    def stop_listening(self, object sockets=None):
        cdef Listener listener
        kept = []
        for listener in self.listeners:
            if sockets is not None and listener.socket not in sockets:
                kept.append(listener)
                continue
            self.watch(listener, EPOLL_CTL_DEL, 0)
            listener.socket.close()
            listener.fd = -1                # an event that was fetched already finds nothing to accept
            self.graveyard.append(listener)
        self.listeners = kept

    cdef int accept(self, Listener listener) except -1:
        cdef sockaddr_storage address
        cdef socklen_t size
        cdef char text[160]
        cdef int fd
        cdef int count
        for count in range(MAX_ACCEPTS):
            size = sizeof(address)
            fd = accept4(listener.fd, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                if c_errno == EINTR or c_errno == ECONNABORTED:
                    continue
                if c_errno != EAGAIN:
                    # Level-triggered: without a rest the loop would spin on a backlog that it cannot take.
                    self.pause_accepting(os.strerror(c_errno))
                return 0
            if len(self.connections) >= self.max_clients:
                self.turn_away(fd, MAX_CLIENTS)
                continue
            if self.protected and not is_loopback(&address):
                self.turn_away(fd, PROTECTED_MODE)
                continue
            tune_socket(fd, address.ss_family, self.keepalive_seconds)
            if listener.local:
                peer = local = os.fsencode(listener.socket.getsockname()) + b":0"
            else:
                describe_address(&address, text, sizeof(text))
                peer = <bytes>text[: strlen(text)]
                size = sizeof(address)
                getsockname(fd, <sockaddr*>&address, &size)
                describe_address(&address, text, sizeof(text))
                local = <bytes>text[: strlen(text)]
            try:
                self.welcome(fd, peer, local, listener.local)
            except Exception as error:      # no memory, or no room in the epoll
                self.connections.pop(fd, None)
                close(fd)
                self.pause_accepting(type(error).__name__)
                return 0
        return 0

    cdef int welcome(self, int fd, bytes peer, bytes local, bint trusted) except -1:
        """A client has come: give it a connection and a session."""
        cdef Connection connection = Connection(self, fd, peer, local, trusted, self.next_id)
        self.watch(connection, EPOLL_CTL_ADD, EPOLLIN)
        self.accepted += 1
        self.next_id += 1
        self.connections[fd] = connection
        self.context.clients[connection.session.id] = connection.session
        if self.counting:
            connection.count_memory()
        return 0

    def turn_away(self, int fd, bytes error):
        cdef bytes message = b"-" + error + b"\r\n"
        self.rejected += 1
        send(fd, <char*>message, len(message), MSG_NOSIGNAL)
        close(fd)

    def pause_accepting(self, str reason):
        self.context.log.warning("accepting connections paused", reason=reason)
        self.accepting = False
        for listener in self.listeners:
            self.watch(listener, EPOLL_CTL_MOD, 0)

    def resume_accepting(self):
        if not self.accepting:
            self.accepting = True
            for listener in self.listeners:
                self.watch(listener, EPOLL_CTL_MOD, EPOLLIN)

    cpdef step(self):
        """Serve whatever is ready, until nothing is or the time is up; the loop calls it when there is something."""
        cdef long long deadline_ns = self.clock.monotonic_ns() + STEP_NS
        while self.turn(0):
            if self.clock.monotonic_ns() >= deadline_ns:
                if self.pending or self.dirty or self.gathering_ns:
                    self.wake()
                break

    def serve(self, double timeout_s):
        """Serve clients until the loop has something to do, or for ``timeout_s`` (negative: without end).

        True if one of the loop's own descriptors is ready; False if the time is up or ``interrupt`` was called.
        """
        cdef long long deadline_ns = -1
        cdef long long remaining_ns
        cdef int wait_ms = -1
        if timeout_s >= 0:
            deadline_ns = self.clock.monotonic_ns() + <long long>(timeout_s * 1e9)
        self.interrupted = False
        self.loop_ready = False
        while True:
            if deadline_ns >= 0:
                remaining_ns = deadline_ns - self.clock.monotonic_ns()
                wait_ms = 0 if remaining_ns <= 0 else <int>min((remaining_ns + 999999) // 1000000, MAX_WAIT_MS)
            self.turn(0 if self.pending or self.dirty else wait_ms)
            if self.loop_ready:
                return True
            if self.interrupted or (deadline_ns >= 0 and self.clock.monotonic_ns() >= deadline_ns):
                return False

    def interrupt(self):
        """Something was scheduled in the loop: ``serve`` is to return."""
        self.interrupted = True

    cdef bint turn(self, int wait_ms) except -1:
        """One round: wait, read and execute, log the effects, send. Whether there was anything to do."""
        cdef Watched watched
        cdef uint32_t flags
        cdef uint64_t drained
        cdef int ready
        cdef int index
        cdef long long executed
        cdef long long let_go_ns
        self.in_turn = False                # also after a turn that ended early, by an exception
        if self.outbox.failure is not None:
            self.let_go()                   # what is executed from now on has not failed
        ready = epoll_wait(self.epoll_fd, self.events, MAX_EVENTS, 0)
        if self.gathering_ns:
            ready = self.make_safe(ready)
        if ready == 0 and wait_ms != 0 and not self.dirty and not self.pending:
            with nogil:
                if self.pipelined:
                    spin(GATHER_NS)
                    ready = epoll_wait(self.epoll_fd, self.events, MAX_EVENTS, 0)
                if ready == 0:
                    ready = epoll_wait(self.epoll_fd, self.events, MAX_EVENTS, wait_ms)
        if ready <= 0 and not self.pending and not self.dirty:
            return False
        self.in_turn = True
        executed = self.pipeline.commands
        let_go_ns = self.clock.monotonic_ns() + STEP_NS
        for index in range(ready):
            watched = <Watched><PyObject*>self.events[index].data.ptr
            flags = self.events[index].events
            if watched.kind == CONNECTION:
                try:
                    if flags & EPOLLOUT and not (<Connection>watched).closed and not (<Connection>watched).dirty:
                        (<Connection>watched).flush()
                    if flags & (EPOLLIN | EPOLLERR | EPOLLHUP) and not (<Connection>watched).closed:
                        (<Connection>watched).read()
                except Exception as error:      # memory that cannot be had, or a bug: one client pays for it, not all
                    (<Connection>watched).give_up(error)
                if self.clients_exceed_limit() or (self.dirty and self.clock.monotonic_ns() >= let_go_ns):
                    # What can be sent must not make anybody look big, nor wait for a round of slow commands.
                    self.let_go()
                    let_go_ns = self.clock.monotonic_ns() + STEP_NS
            elif watched.kind == LISTENER:
                self.accept(<Listener>watched)
            elif watched.kind == LOOP:
                self.loop_ready = True
            else:
                read_descriptor(self.wake_fd, &drained, 8)
                if self.on_wake is not None:
                    self.on_wake()
                    if self.outbox.failure is not None:
                        self.let_go()
        watched = None
        if self.pending:
            self.work_pending()
        self.end_turn()
        self.in_turn = False
        self.pipelined = ready > 0 and self.pipeline.commands - executed >= PIPELINED * ready
        return True

    cdef int work_pending(self) except -1:
        cdef list connections = self.pending
        cdef Connection connection
        self.pending = []
        for connection in connections:
            connection.pending = False
            if not connection.closed:
                try:
                    connection.process()
                    connection.parser.settle()
                    if self.counting and not connection.closed:
                        connection.count_memory()
                except Exception as error:
                    connection.give_up(error)
        return 0

    cdef int end_turn(self) except -1:
        self.let_go()
        if self.counting:
            try:
                self.weigh_clients()
            except Exception:
                self.context.log.exception("clients not weighed")
        if self.graveyard:
            self.bury()
        return 0

    cdef int let_go(self) except -1:
        """Log what was done, then let the replies go."""
        cdef list connections
        cdef Connection connection
        if self.tracking.broadcasts:
            try:
                self.tracking.broadcast()
            except Exception:
                self.context.log.exception("invalidations not sent")
        if not self.outbox.holding or self.effects.batch.pending > GATHER_MOST_BYTES:
            self.effects.commit()       # else make_safe does it, for several turns at once
        if self.gathering_ns == 0 and self.outbox.wants_flush():
            self.gathering_ns = self.clock.monotonic_ns()
        if self.outbox.holding or self.held or self.outbox.waiting:
            self.hold_replies()
        while self.dirty:
            connections = self.dirty
            self.dirty = []
            for connection in connections:
                connection.dirty = False
                if not connection.closed:
                    try:
                        connection.flush()
                    except Exception as error:
                        connection.give_up(error)
        return 0

    cdef int hold_replies(self) except -1:
        """Look how far the log is safe; mark what has to wait for it, and take up again what has waited."""
        cdef Connection connection
        cdef long long end = self.log_end()
        cdef bint moved = self.outbox.settle()
        if self.outbox.holding:
            for connection in self.dirty:
                if not connection.closed:
                    connection.hold(end, 0)     # what commands of its own did not account for
        if self.outbox.failure is not None:
            self.fail_replies()
        elif moved:
            self.release_replies()
        return 0

    cdef int make_safe(self, int ready) except -1:
        """Replies wait for an fsync or a quorum: ask for it as soon as nothing more is ready that could share it. Returns what
        is ready."""
        if ready == 0 or self.clock.monotonic_ns() - self.gathering_ns > GATHER_MOST_NS:
            self.gathering_ns = 0
            if self.outbox.wants_flush() and (self.outbox.flush() or self.outbox.failure is not None):
                self.let_go()
        return ready

    cdef int release_replies(self) except -1:
        cdef Connection connection
        cdef list held = self.held
        self.held = []
        for connection in held:
            connection.held = False
            if not connection.closed:
                connection.count_allowed()      # forgets the marks that have been reached
                connection.mark_dirty()
                if connection.waiting.marks:
                    connection.held = True
                    self.held.append(connection)
        return 0

    cdef int fail_replies(self) except -1:
        """The log cannot be written, or is not safe: who waits for it gets the outbox's error."""
        cdef Connection connection
        cdef list held = self.held
        self.held = []
        message = self.outbox.failure
        self.outbox.failure = None
        for connection in held:
            connection.held = False
            if not connection.closed:
                connection.fail_waiting(message)
        return 0

    cdef long long log_end(self) noexcept:
        """The position behind all effects, this turn's included."""
        return self.effects.committed_bytes + self.effects.batch.pending

    def log_is_safe(self):
        """The log is safe further than before; also called from another thread, which may write to wake_fd itself."""
        cdef uint64_t one = 1
        write(self.wake_fd, &one, 8)

    cdef bint clients_exceed_limit(self) noexcept:
        return (self.client_limit_bytes > 0
                and self.client_bytes + len(self.connections) * SESSION_MEMORY > self.client_limit_bytes)

    cdef int weigh_clients(self) except -1:
        """Keep maxmemory-clients; what clients take is taken from what maxmemory leaves to the dataset."""
        if self.clients_exceed_limit() and self.client_bytes >= self.evict_above_bytes:
            self.evict_clients()
        if self.client_bytes != self.told_bytes:
            self.told_bytes = self.client_bytes
            self.context.memory.set_client_bytes(self.client_bytes)
        return 0

    cdef int evict_clients(self) except -1:
        """maxmemory-clients: the biggest leave until the others keep the limit.

        If those who may be evicted do not suffice, it looks again when more has piled up, or at the next ``cron``.
        """
        cdef Connection connection
        sizes = [
            (connection.counted_bytes, connection.fd) for connection in self.connections.values()
            if not connection.session.no_evict
        ]
        sizes.sort(reverse=True)
        for size, fd in sizes:
            if not self.clients_exceed_limit():
                break
            connection = self.connections[fd]
            self.context.log.notice(
                "client evicted: maxmemory-clients reached", address=connection.peer.decode("utf-8", "replace"), bytes=size)
            self.evicted += 1
            connection.close()
        self.evict_above_bytes = 0
        if self.clients_exceed_limit():
            self.evict_above_bytes = self.client_bytes + self.client_limit_bytes // EVICTION_STEPS
        return 0

    cdef int bury(self) except -1:
        """Nothing points to the closed connections any more: break their cycles, so that no collector is needed."""
        cdef Watched watched
        for watched in self.graveyard:
            if watched.kind == CONNECTION:
                (<Connection>watched).session.release()
        self.graveyard = []
        return 0

    def cron(self):
        """Once a second: idle clients, limits that depend on time, memory of quiet connections."""
        cdef Connection connection
        cdef long long now_ns = self.clock.monotonic_ns()
        cdef long long quiet_ns
        self.resume_accepting()
        for connection in list(self.connections.values()):
            quiet_ns = now_ns - connection.session.active_ns
            if (self.idle_seconds > 0 and quiet_ns > self.idle_seconds * 1000000000
                    and not connection.session.monitor and connection.session.held_by is None):
                self.context.log.verbose("client closed: idle", address=connection.peer.decode("utf-8", "replace"))
                connection.close()
            elif connection.writer.pending:
                connection.check_output_limit()
            elif quiet_ns > 2000000000:
                connection.writer.trim()
            if self.counting and not connection.closed:
                connection.count_memory()
        self.evict_above_bytes = 0
        if self.counting:
            self.weigh_clients()
        self.bury()

    def close(self):
        """Close every connection and listener; a second time changes nothing."""
        self.stop_listening()
        for connection in list(self.connections.values()):
            connection.close()
        self.dirty = []
        self.pending = []
        self.bury()
