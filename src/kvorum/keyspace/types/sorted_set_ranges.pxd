"""C side of the ends of ranges; ``sorted_set_ranges.py`` documents them."""
from kvorum.keyspace.types.score_tree cimport Bound
from kvorum.resp.span cimport Span


cdef struct Range:
    Bound low
    Bound high


cdef struct Section:
    long long first
    long long length


cdef class Ranges:
    @staticmethod
    cdef int option(Span word) noexcept
    @staticmethod
    cdef double score(Span text) except? -1
    @staticmethod
    cdef Range scores(Span low, Span high) except *
    @staticmethod
    cdef Range members(Span low, Span high) except *
    @staticmethod
    cdef Section nothing() noexcept
    @staticmethod
    cdef Section ranks(long long start, long long stop, long long count) noexcept
    @staticmethod
    cdef Section limited(Section section, long long offset, long long count, bint reverse) noexcept
