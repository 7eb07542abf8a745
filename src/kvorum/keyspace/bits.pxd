"""C side of bits in strings; ``bits.py`` documents the Python side."""
from libc.stdint cimport uint64_t

from kvorum.keyspace.table cimport Database
from kvorum.resp.span cimport Span


cdef class Bits:
    @staticmethod
    cdef Py_ssize_t size(Span text) noexcept
    @staticmethod
    cdef int get(Span text, uint64_t position) noexcept
    @staticmethod
    cdef long long count(Span text, uint64_t first, uint64_t last) noexcept
    @staticmethod
    cdef long long find(Span text, bint bit, uint64_t first, uint64_t last) noexcept
    @staticmethod
    cdef long long field(Span text, uint64_t position, int width, bint signed) noexcept
    @staticmethod
    cdef int set(Database database, Span key, uint64_t position, bint bit) except -1
    @staticmethod
    cdef bint extend(Database database, Span key, Py_ssize_t size) except -1
    @staticmethod
    cdef long long stored_field(Database database, Span key, uint64_t position, int width, bint signed) except? -1
    @staticmethod
    cdef int store_field(Database database, Span key, uint64_t position, int width, long long number) except -1


cdef class Combination:
    cdef int operation
    cdef bint begun
    cdef readonly bytearray result

    cdef int add(self, Span text) except -1
    cdef Py_ssize_t store(self, Database database, Span key) except -1
