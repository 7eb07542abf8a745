"""C side of the pipeline; ``pipeline.py`` is compiled with these types."""
cimport cython

from kvorum.clock cimport Clock
from kvorum.commands.call cimport Call
from kvorum.commands.index cimport CommandIndex
from kvorum.commands.command cimport Command
from kvorum.journal.effects cimport Effects
from kvorum.keyspace.table cimport Keyspace
from kvorum.resp.writer cimport Writer
from kvorum.session.outbox cimport Outbox
from kvorum.session.session cimport Session


cdef class Pipeline:
    cdef public object server
    cdef public Clock clock
    cdef public object registry
    cdef public CommandIndex index
    cdef public Keyspace keyspace
    cdef public Effects effects
    cdef public Outbox outbox
    cdef public int gates
    cdef public long long wall_offset_ms
    cdef public long long slow_ns
    cdef public bint track_latency
    cdef public long long commands
    cdef public long long memory_limit_bytes  # what the dataset may take, if the gate MEMORY is closed
    cdef public long long pause_until_ms
    cdef public bint pause_writes_only
    cdef public list held
    cdef public bytes disk_error
    cdef public long long ahead_ms
    cdef public long long time_set_ms
    cdef public object role

    @cython.locals(call=Call, command=Command, end_ns=cython.longlong, now_ms=cython.longlong)
    cpdef long long run(self, Session session, long long start_ns) except? -2

    @cython.locals(call=Call, reply=Writer, mark=cython.Py_ssize_t, end_ns=cython.longlong, failed=cython.bint,
                   before=cython.longlong, needed=cython.longlong)
    cdef long long execute(self, Session session, Command command, long long start_ns) except? -2

    @cython.locals(call=Call, command=Command, reply=Writer)
    cpdef long long apply(self, Session session) except? -2

    @cython.locals(gates=cython.int, flags=cython.longlong)
    cdef int _admit(self, Session session, Command command) except -2
    cdef bint _make_room(self) except -1
    cdef int _queue(self, Session session, Command command) except -2
    cdef _observe(self, Session session, Command command)
    @cython.locals(gates=cython.int)
    cdef _after(self, Session session, Command command)
    cpdef drop_reply(self, Session session)
