"""C side of the reactor; ``reactor.py`` documents the Python side."""
from kvorum.clock cimport Clock
from kvorum.journal.effects cimport Effects
from kvorum.net.sockets cimport epoll_event
from kvorum.net.watched cimport Listener, Watched
from kvorum.pubsub.tracking cimport Tracking
from kvorum.resp.parser cimport Scratch
from kvorum.session.outbox cimport Outbox
from kvorum.session.pipeline cimport Pipeline


cdef struct OutputLimit:            # 0: none
    Py_ssize_t hard_bytes
    Py_ssize_t soft_bytes
    long long soft_seconds


cdef class Reactor:
    cdef readonly object context
    cdef readonly Pipeline pipeline
    cdef readonly Clock clock
    cdef Scratch scratch
    cdef int epoll_fd
    cdef readonly int wake_fd
    cdef public object on_wake          # called when something was made safe, or somebody else has woken it
    cdef Watched loop_watch         # the selector of the loop that the reactor drives, if it does
    cdef bint loop_ready
    cdef bint interrupted
    cdef bint in_turn               # executing: nobody has to be woken
    cdef long long gathering_ns     # since when replies wait for an fsync that was not asked for yet; 0: none do
    cdef bint pipelined             # the last turn executed many requests for each event
    cdef Watched waker
    cdef epoll_event* events
    cdef readonly dict connections  # fd -> Connection
    cdef list listeners
    cdef list dirty                 # connections with output
    cdef list pending               # connections with requests that are still to be executed
    cdef list held                  # connections with output that waits for the log
    cdef Outbox outbox
    cdef list graveyard             # closed during this turn: events may still point to them
    cdef Effects effects
    cdef Tracking tracking
    cdef long long next_id
    cdef bint accepting
    # Limits: the server sets them from the configuration.
    cdef public int max_clients
    cdef public Py_ssize_t query_buffer_limit
    cdef public Py_ssize_t max_bulk_bytes
    cdef OutputLimit output_limit
    cdef OutputLimit subscriber_limit
    cdef public long long idle_seconds
    cdef public int keepalive_seconds
    cdef public bint protected
    cdef readonly bint counting             # whether the memory of clients is counted as it changes
    cdef Py_ssize_t client_limit_bytes      # maxmemory-clients; 0: none
    cdef Py_ssize_t client_bytes            # buffers of all clients, while they are counted
    cdef Py_ssize_t told_bytes              # what the memory limit was told of them
    cdef Py_ssize_t evict_above_bytes       # when to look again for somebody to evict
    # Statistics
    cdef readonly long long accepted
    cdef readonly long long rejected
    cdef readonly long long reads
    cdef readonly long long writes
    cdef readonly long long bytes_read
    cdef readonly long long bytes_written
    cdef readonly long long evicted

    cdef int accept(self, Listener listener) except -1
    cdef bint turn(self, int wait_ms) except -1
    cdef int welcome(self, int fd, bytes peer, bytes local, bint trusted) except -1
    cdef int work_pending(self) except -1
    cdef int end_turn(self) except -1
    cdef int let_go(self) except -1
    cdef int hold_replies(self) except -1
    cdef int release_replies(self) except -1
    cdef int fail_replies(self) except -1
    cdef int make_safe(self, int ready) except -1
    cdef long long log_end(self) noexcept
    cdef bint clients_exceed_limit(self) noexcept
    cdef int weigh_clients(self) except -1
    cdef int evict_clients(self) except -1
    cdef int bury(self) except -1
    cpdef step(self)
