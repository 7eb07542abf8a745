"""C side of the effect log; ``effects.py`` documents the Python side."""
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer


cdef class Effects:
    cdef Writer batch
    cdef readonly int database
    cdef readonly long long committed_bytes
    cdef readonly long long commands
    cdef readonly long long messages
    cdef public object journal
    cdef readonly list sinks
    cdef public list removed_keys
    cdef public list published
    cdef list removals
    cdef readonly list group            # effects of the transaction that is being executed, or None
    cdef bint in_command
    cdef int first_database             # of the batch, and the size of the SELECT that says so
    cdef Py_ssize_t first_size
    cdef Py_ssize_t in_batch            # effects, without messages
    cdef list message_ranges            # where messages stand in the batch: (start, end)

    cdef void count_one(self) noexcept
    cdef int append_group(self, list group) except -1
    cpdef publish(self, int database, list arguments)
    cdef int write(self, bytes word) except -1
    cdef int select(self, int database) except -1
    cdef int append_span(self, int database, Span raw) except -1
    cpdef append(self, int database, list arguments)
    cdef int begin(self) except -1
    cdef int append_argv(self, int database, const Span* argv, Py_ssize_t argc) except -1
    cdef int finish(self, int database, Span raw, const Span* argv, Py_ssize_t argc) except -1
    cdef int finish_expiring(self, int database, Span key, Span value, long long expire_ms) except -1
    cdef int undo(self, Py_ssize_t mark) except -1
    cdef int join_group(self, list effects) except -1
    cpdef finish_group(self, list group)
    cpdef commit(self)
