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
    cdef Span* loaded           # argv of a request that did not come from a parser
    cdef list loaded_arguments
    cdef public Keyspace keyspace
    cdef public Database db
    cdef public object session
    cdef public object server
    cdef public Writer reply
    cdef public object command
    cdef public long long now_ms
    cdef public Py_ssize_t dirty
    cdef public bint rewritten
    cdef readonly list effects

    cdef int begin(self, Parser parser) except -1
    cpdef load(self, list arguments)
    cpdef bytes arg(self, Py_ssize_t index)
    cpdef changed(self, Py_ssize_t count=*)
    cpdef finish(self, Effects effects)
    cpdef forget(self)
