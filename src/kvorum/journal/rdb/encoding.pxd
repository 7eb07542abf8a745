"""C side of reading and writing RDB's elements; ``encoding.py`` documents the Python side."""
cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from kvorum.resp.span cimport Span

cdef enum:
    KEPT_STRINGS = 4            # so many strings stay readable after they were read
    DIGIT_ROOM = 24


@cython.final
cdef class RdbReader:
    cdef readonly Py_ssize_t position
    cdef readonly Py_ssize_t end

    # From here on private.
    cdef const unsigned char* data
    cdef Py_buffer view
    cdef bint viewing
    cdef unsigned int next_kept
    cdef char[KEPT_STRINGS][DIGIT_ROOM] digits
    cdef list kept

    # So many bytes as they are; they lie in the buffer that is read.
    cdef const unsigned char* take(self, uint64_t count) except NULL
    cpdef int byte(self) except -1
    cpdef bytes raw(self, uint64_t count)
    cpdef uint64_t length(self) except? 0
    cpdef Py_ssize_t count(self, Py_ssize_t least_bytes) except? 0
    # A string without a copy where that is possible: valid until KEPT_STRINGS further strings were read. ``owner`` is set
    # where it had to be made.
    cdef Span span(self) except *
    cpdef bytes string(self)
    cpdef double binary_double(self) except? -1
    cpdef double text_double(self) except? -1

    cdef uint64_t head(self, bint* special) except? 0
    cdef Span integer_span(self, int size) except *
    cdef Span compressed_span(self) except *
    cdef object broken(self, str what)


@cython.final
cdef class RdbWriter:
    cdef public bint compress
    cdef readonly Py_ssize_t size

    # From here on private.
    cdef unsigned char* buffer
    cdef Py_ssize_t capacity

    cpdef int byte(self, int value) except -1
    cpdef int raw(self, bytes data) except -1
    cpdef int length(self, uint64_t value) except -1
    cdef int span(self, Span text) except -1
    cdef int integer(self, long long number) except -1      # as the string that is its text
    cpdef int string(self, bytes text) except -1
    cpdef int binary_double(self, double value) except -1
    cpdef bytes take(self)
    cpdef uint64_t crc64(self, uint64_t before=*)

    cdef unsigned char* room(self, Py_ssize_t count) except NULL
    cdef int append(self, const void* data, Py_ssize_t count) except -1
    cdef bint short_integer(self, long long number) except -1
    cdef bint compressed(self, const char* data, Py_ssize_t size) except -1
