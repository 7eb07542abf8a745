"""C side of the entry table; ``table.py`` documents the Python side."""
from kvorum.resp.span cimport Span


cdef class Keyspace:
    cdef public long long now_ms
    cdef readonly list databases


cdef class Database:
    cdef readonly Keyspace keyspace
    cdef readonly int index

    # Hot path: no Python object is made. An expired key counts as absent and is removed.
    cdef Span read_string(self, Span key) except *              # absent: data == NULL; valid until the next change of the table
    cdef int write_string(self, Span key, Span value) except -1 # SET without options: replaces any type, drops the expiry
    cdef long long increment_string(self, Span key, long long delta) except? -1
    cdef bint contains(self, Span key) except -1
    cdef bint remove(self, Span key) except -1
