"""C side of a runtime command; ``command.py`` is compiled with these types."""
cimport cython

from kvorum.commands.grammar cimport Decoder
from kvorum.commands.histogram cimport Histogram


@cython.final
cdef class Command:
    cdef readonly object declaration
    cdef readonly bytes name
    cdef readonly int id
    cdef readonly int arity
    cdef readonly object handler
    cdef readonly bint raw
    cdef readonly Decoder decoder
    cdef readonly long long flags
    cdef readonly long long categories
    cdef readonly object key_range
    cdef readonly int first_key
    cdef readonly int last_key
    cdef readonly int key_step
    cdef readonly bint movable
    cdef readonly bint is_container
    cdef readonly dict subcommands
    cdef public object index            # a container's CommandIndex over its subcommands
    cdef public long long calls
    cdef public long long nanoseconds
    cdef public long long rejected_calls
    cdef public long long failed_calls
    cdef readonly Histogram histogram

    cpdef list keys(self, object request)
    cpdef void record(self, long long nanoseconds) noexcept
    cpdef reset_statistics(self)
