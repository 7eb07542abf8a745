"""C side of the request parser; ``parser.py`` documents the Python side."""
from kvorum.resp.span cimport Span


cdef enum Status:
    NEED_MORE = 0
    REQUEST = 1
    PROTOCOL_ERROR = 2


cdef class Scratch:
    """A receive buffer that all parsers of one reactor share: idle connections own no buffer."""
    cdef char* data
    cdef Py_ssize_t capacity


cdef class Parser:
    # Limits, bytes and counts; the reactor sets them from the configuration.
    cdef public Py_ssize_t max_bulk_bytes
    cdef public Py_ssize_t max_arguments
    cdef public bint authenticated      # before AUTH: at most 10 arguments of at most 16 KiB
    # The current request: valid after next() returned REQUEST, until the following next() or settle().
    cdef Span* argv
    cdef readonly Py_ssize_t argc
    cdef Span raw                       # the whole request as it came, in RESP; data == NULL if it was inline or has big arguments
    cdef public bytes error             # after PROTOCOL_ERROR: text without the leading '-'

    cdef char* reserve(self, Py_ssize_t* room) except NULL  # where the next bytes from the socket go
    cdef int commit(self, Py_ssize_t count) except -1       # so many bytes were written there
    cdef int next(self) except -1                           # Status
    cdef int hold(self) except -1                           # the current request is to be given again by the following next()
    cdef int settle(self) except -1                         # the reactor leaves this connection: move unconsumed bytes out of the scratch
    cdef Py_ssize_t buffered(self) noexcept                 # unconsumed bytes held, own buffer and big argument included
