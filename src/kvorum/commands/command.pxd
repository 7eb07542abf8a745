"""C side of a runtime command; ``command.py`` is compiled with these types."""
cimport cython

from kvorum.commands.grammar cimport Decoder
from kvorum.commands.histogram cimport Histogram


# The bits of ``spec.Flag``.
cdef enum:
    WRITE = 1 << 0
    READONLY = 1 << 1
    DENYOOM = 1 << 2
    ADMIN = 1 << 4
    PUBSUB = 1 << 5
    NOSCRIPT = 1 << 6
    BLOCKING = 1 << 8
    LOADING = 1 << 9
    STALE = 1 << 10
    SKIP_MONITOR = 1 << 11
    SKIP_SLOWLOG = 1 << 12
    ASKING = 1 << 13
    FAST = 1 << 14
    NO_AUTH = 1 << 15
    MAY_REPLICATE = 1 << 16
    NO_MANDATORY_KEYS = 1 << 19
    PROTECTED = 1 << 20
    NO_ASYNC_LOADING = 1 << 23
    NO_MULTI = 1 << 24
    MOVABLE_KEYS = 1 << 25
    ALLOW_BUSY = 1 << 26
    TOUCHES_ARBITRARY_KEYS = 1 << 28


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
    cdef public Command parent
    cdef public long long calls
    cdef public long long nanoseconds
    cdef public long long rejected_calls
    cdef public long long failed_calls
    cdef readonly Histogram histogram

    cpdef list keys(self, object request)
    cpdef void record(self, long long nanoseconds) noexcept
    cpdef reset_statistics(self)
