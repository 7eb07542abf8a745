"""C side of a call; ``call.py`` documents the Python side."""
from kvorum.journal.effects cimport Effects
from kvorum.keyspace.table cimport Database, Keyspace
from kvorum.resp.parser cimport Parser
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer


cdef class Call:
    cdef Span* argv
    cdef readonly Py_ssize_t argc
    cdef Span raw
    cdef public Keyspace keyspace
    cdef public Database db
    cdef public object session
    cdef public object server
    cdef public Writer reply
    cdef public object command
    cdef public long long now_ms
    cdef public Py_ssize_t dirty
    cdef public bint rewritten
    # An effect that sets an expiry: positions of its key and, for SET, of the value (else 0); key 0: there is none.
    cdef Py_ssize_t expiring_key
    cdef Py_ssize_t expiring_value
    cdef long long expire_ms
    cdef readonly list effects
    cdef Span* spans                # of a request that was loaded
    cdef Py_ssize_t room
    cdef list loaded                # and what owns their bytes
    cdef public bytes ready_key

    cdef int begin(self, Parser parser) except -1
    cpdef bytes arg(self, Py_ssize_t index)
    cpdef unsigned int slot(self, Py_ssize_t index) noexcept
    cpdef long long integer(self, Py_ssize_t index) except? -1
    cpdef load(self, list request)
    cpdef modified(self, int kind, bytes event, bytes key, Database database=*)
    cpdef modified_at(self, int kind, bytes event, Py_ssize_t index)
    cpdef notify(self, int kind, bytes event, bytes key, Database database=*)
    cdef int tell(self, int kind, bytes event, bytes key, int database) except -1
    cpdef changed(self, Py_ssize_t count=*)
    cpdef propagate_set_until(self, Py_ssize_t key, Py_ssize_t value, long long expire_ms)
    cpdef propagate_expire_at(self, Py_ssize_t key, long long expire_ms)
    cpdef finish(self, Effects effects)
    cdef int log(self, Effects effects) except -1
    cdef list own_effects(self)
    cdef list expiring_words(self)
    cpdef forget(self)
