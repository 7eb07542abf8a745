"""C side of the writer of RDB files; ``file_writer.py`` documents it."""
cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.table cimport Database
from kvorum.keyspace.values cimport Value
from kvorum.resp.span cimport Span


@cython.final
cdef class FileWriter:
    cdef readonly long long keys
    cdef readonly RdbWriter out

    # One key as it lies in a table; of the clock and the expiry, too, what the entry has.
    cdef int entry(self, Entry* entry) except -1
    # The value of a head that was written, if it is no string.
    cdef int body(self, Value value) except -1
    # What stands before a value of this type; ``expire_ms`` 0: never.
    cdef int head_of(self, int kind, Span key, int64_t expire_ms, uint32_t clock) except -1
    # Hands on what was gathered if that is a block: to be called at least once for each key or element.
    cpdef int pass_on(self) except -1

    # From here on private.
    cdef object write
    cdef bint compress
    cdef bint checksum
    cdef bint lru
    cdef bint lfu
    cdef int lfu_decay_time
    cdef int64_t now_ms
    cdef Py_ssize_t block_bytes
    cdef Py_ssize_t passed
    cdef uint64_t sum

    cdef int text(self, Entry* entry) except -1
    cdef int elements(self, Value value) except -1
    cdef int add_up(self) except -1
    cdef int hand_on(self) except -1
    cpdef int database(self, Database database) except -1
