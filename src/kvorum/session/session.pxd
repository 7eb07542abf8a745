"""C side of a session; ``session.py`` is compiled with these types."""
from kvorum.commands.call cimport Call
from kvorum.keyspace.table cimport Database, Keyspace
from kvorum.pubsub.mailbox cimport Mailbox
from kvorum.resp.parser cimport Parser
from kvorum.resp.writer cimport Writer


cdef class Session:
    cdef public long long id
    cdef public object server
    cdef public Keyspace keyspace
    cdef public object connection
    cdef public Parser parser
    cdef public Writer reply
    cdef public Writer muted
    cdef public Call call
    cdef public object user
    cdef public bytes name
    cdef public bytes library_name
    cdef public bytes library_version
    cdef public int gates
    cdef public object last_command
    cdef public long long created_ns
    cdef public long long active_ns
    cdef public bint closing
    cdef public bint no_evict
    cdef public bint monitor
    cdef public object held_by
    cdef public object transaction
    cdef public list watched
    cdef public bint watch_broken
    cdef public bint executing
    cdef public long long required
    cdef public long long required_round
    cdef public Mailbox mailbox

    cpdef Py_ssize_t kept_bytes(self) except -1
    cpdef select(self, int index)
