"""C side of a client's connection; ``connection.py`` documents the Python side."""
from kvorum.net.reactor cimport Reactor
from kvorum.net.watched cimport Watched
from kvorum.resp.parser cimport Parser
from kvorum.resp.writer cimport Writer
from kvorum.session.outbox cimport HeldOutput
from kvorum.session.session cimport Session


cdef class Connection(Watched):
    cdef Reactor reactor
    cdef readonly Session session
    cdef Parser parser
    cdef Writer writer
    cdef readonly bytes peer
    cdef readonly bytes local
    cdef readonly bint trusted
    cdef readonly bint closed
    cdef bint dirty                 # stands in reactor.dirty
    cdef bint pending               # stands in reactor.pending
    cdef readonly bint wants_write  # EPOLLOUT is registered
    cdef long long over_soft_since_ns
    cdef bint held                  # stands in reactor.held
    cdef HeldOutput waiting         # what of the output waits for the log; None: never has any
    cdef long long sent_bytes       # in all
    cdef Py_ssize_t counted_bytes   # its part of reactor.client_bytes

    cdef int count_memory(self) except -1
    cdef int read(self) except -1
    cdef int process(self) except -1
    cdef int prefetch(self) noexcept
    cdef int flush(self) except -1
    cdef int hold(self, long long position, int replies, long long round_=*) except -1
    cdef Py_ssize_t count_allowed(self) except -1
    cdef int fail_waiting(self, bytes message) except -1
    cdef int mark_dirty(self) except -1
    cdef int forget(self) except -1
