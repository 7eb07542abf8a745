"""C side of blocked clients; ``blocking.py`` is compiled with these types."""
from kvorum.commands.call cimport Call
from kvorum.keyspace.table cimport Keyspace
from kvorum.session.session cimport Session


cdef class Blocked:
    cdef public BlockedClients blocking
    cdef public Session session
    cdef public object command
    cdef public list request
    cdef public int database
    cdef public list keys
    cdef public bytes kind
    cdef public long long deadline_ns
    cdef public object on_timeout
    cdef public bint waiting
    cdef public bint again


cdef class BlockedClients:
    cdef public object server
    cdef public Keyspace keyspace
    cdef dict _queues
    cdef list _deadlines
    cdef long long _serial
    cdef long long _stale
    cdef object _timer
    cdef long long _timer_ns
    cdef readonly long long count

    cpdef block(self, Call call, list keys, bytes kind, double timeout_s, object on_timeout)
    cpdef serve(self)
    cdef _serve_key(self, int database, bytes key)
    cpdef end(self, Blocked blocked, object reply)
    cdef _let_go(self, Blocked blocked)
    cdef _remove(self, Blocked blocked)
    cdef _set_timer(self)
