"""C side of the request parser; ``parser.py`` documents the Python side."""
cimport cython
from cpython.object cimport PyObject

from kvorum.resp.span cimport Span


cpdef enum Status:
    NEED_MORE = 0
    REQUEST = 1
    PROTOCOL_ERROR = 2


cdef enum:
    INLINE_ARGUMENTS = 8    # spans that live in the parser itself


@cython.final
cdef class Scratch:
    """A receive buffer that all parsers of one reactor share: idle connections own no buffer."""
    cdef char* data
    cdef readonly Py_ssize_t capacity


@cython.final
cdef class Parser:
    # Limits, bytes and counts; the reactor sets them from the configuration.
    cdef public Py_ssize_t max_bulk_bytes
    cdef public Py_ssize_t max_arguments
    cdef public bint authenticated      # before AUTH: at most 10 arguments of at most 16 KiB
    # The current request: valid after next() returned REQUEST, until the following next() or settle().
    cdef Span* argv
    cdef readonly Py_ssize_t argc
    # The whole request as it came, in canonical RESP and in one piece; data == NULL if it was inline, has big
    # arguments, or has lines that do not end in CRLF.
    cdef Span raw
    cdef public bytes error          # after PROTOCOL_ERROR: what follows '-ERR Protocol error: '

    cdef char* reserve(self, Py_ssize_t* room) except NULL  # where the next bytes from the socket go
    cdef int commit(self, Py_ssize_t count) except -1       # so many bytes were written there
    cpdef int next(self) except -1                          # Status
    cdef int look_ahead(self, Span* keys, int most) noexcept    # second words of the complete requests that follow
    cpdef int hold(self) except -1                          # the following next() gives the current request again
    cpdef int settle(self) except -1                        # move unconsumed bytes out of the scratch
    cpdef Py_ssize_t buffered(self) noexcept                # unconsumed bytes held, big arguments included
    cpdef Py_ssize_t footprint(self) noexcept               # bytes of memory held, the shared scratch not included

    # From here on private.
    cdef Scratch scratch
    cdef char* own                      # holds a partial request between turns; NULL while the scratch is in use
    cdef Py_ssize_t own_capacity
    cdef char* start                    # start <= cursor <= limit, all three in the same buffer:
    cdef char* cursor                   #   [start, cursor) belongs to the current or half-parsed request
    cdef char* limit                    #   [cursor, limit) is not parsed yet
    cdef Py_ssize_t searched            # so many bytes after the cursor are known to hold no end of line
    cdef Py_ssize_t expected            # announced arguments; 0: no request has begun
    cdef Py_ssize_t bulk_size           # announced size of the next argument; -1: not known yet
    cdef int stage
    cdef int target                     # what reserve() handed out
    cdef Py_ssize_t room                # and how much of it
    cdef bint canonical                 # every line so far ended in CRLF
    cdef PyObject* big                  # a bytes object being filled
    cdef Py_ssize_t big_filled
    cdef Py_ssize_t big_capacity
    cdef Py_ssize_t big_bytes           # sum of the finished big arguments of this request
    cdef Py_ssize_t owners              # and their number
    cdef Py_ssize_t argv_capacity
    cdef Span inline_argv[INLINE_ARGUMENTS]

    cdef int parse(self) except -1
    cdef int parse_inline(self) except -1
    cdef int parse_count(self) except -1
    cdef int parse_bulk_size(self) except -1
    cdef int find_line_end(self, char wanted, Py_ssize_t* size) except -1
    cdef bint split_line(self, char* line, char* end) except -1
    cdef int add_argument(self, char* data, Py_ssize_t size, PyObject* owner) except -1
    cdef int begin_big(self) except -1
    cdef int grow_big(self) except -1
    cdef int fail(self, bytes text) except -1
    cdef int release(self) except -1
    cdef int park(self, Py_ssize_t room) except -1
    cdef void rebase(self, char* moved) noexcept
