"""C side of the reader of RDB files; ``file_reader.py`` documents it."""
cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvorum.journal.rdb.encoding cimport RdbReader
from kvorum.keyspace.payload cimport Payload
from kvorum.keyspace.table cimport Database, Keyspace
from kvorum.resp.span cimport Span

cdef enum:
    WINDOW = 16                 # keys on their way into the table
    SCRATCH = 1024              # bytes for each key and each value that has to be made


cdef enum Sort:                 # of what a record has
    TEXT                        # value
    NUMBER                      # number
    VALUE                       # an object, which is in ``kept``


cdef struct Record:             # a key on its way
    Span key
    Span value
    int64_t number
    Sort sort
    uint32_t clock
    unsigned int slot
    uint64_t hash
    int64_t expire_ms           # 0: never
    Py_ssize_t at               # where it stands in the file


@cython.final
cdef class FileReader:
    cdef readonly Keyspace keyspace
    cdef readonly int version
    cdef readonly bint finished
    cdef readonly dict aux
    cdef readonly list libraries
    cdef readonly long long keys_loaded
    cdef readonly long long keys_expired
    cdef readonly long long empty_keys

    # From here on private.
    cdef bint whole
    cdef bint skip_expired
    cdef bint replace
    cdef bint strict
    cdef bint verify
    cdef bint functions
    cdef RdbReader reader
    cdef Py_ssize_t summed
    cdef uint64_t sum
    cdef object broken
    cdef Database current
    cdef unsigned int first_bits    # of a slot's table, by what the file says of the database
    cdef int64_t expire_ms      # of the key that follows, as the next two
    cdef int64_t idle_s
    cdef int frequency
    cdef uint32_t first_clock
    cdef Record[WINDOW] window
    cdef int waiting            # in the window
    cdef char* scratch
    cdef list kept              # for each record longer key and value, or an object

    cdef int load(self, Py_ssize_t limit) except -1
    cdef void sum_up(self) noexcept
    cdef int opcode(self, int kind) except -1
    cdef int expect(self, uint64_t keys) noexcept
    cdef int string_record(self, Py_ssize_t at) except -1
    cdef int object_record(self, int kind, Py_ssize_t at) except -1
    cdef int keep(self, Py_ssize_t at) except -1
    cdef Span text(self, int place) except *
    cdef Span compressed(self, int place) except *
    cdef bint small_integer(self, int64_t* number) except -1
    cdef bint is_due(self) noexcept
    cdef int64_t expiry(self) noexcept
    cdef uint32_t clock(self) noexcept
    cdef int empty_window(self) except -1
    cdef int put(self, Record* record, Payload* payload) except -1
    cdef int finish(self) except -1
