"""C side of sorted sets; ``sorted_set.py`` documents the Python side and what the methods over Spans do."""
cimport cython
from libc.stdint cimport int64_t, uint64_t

from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.members cimport Members
from kvorum.keyspace.table cimport Database
from kvorum.keyspace.types.score_tree cimport ScoreTree
from kvorum.keyspace.types.sorted_set_ranges cimport Range, Section
from kvorum.keyspace.values cimport Value
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer

cpdef enum:
    IF_ABSENT = 1
    IF_PRESENT = 2
    IF_GREATER = 4
    IF_LESS = 8
    INCREMENT = 16

cdef struct Change:
    bint added
    bint changed                # added, or it has another score
    bint refused
    double score


cdef struct Big:
    Members members             # with the score as value
    ScoreTree tree
    int64_t tree_bytes
    uint64_t released           # how far release_some has come


@cython.final
cdef class SortedSet(Value):
    cdef Commons commons
    cdef unsigned char* lp      # member, score, member, score, …, in order; NULL: it is big
    cdef Big* big

    @staticmethod
    cdef SortedSet at(Database database, Span key)
    @staticmethod
    cdef SortedSet open_at(Database database, Span key)
    cdef Change change(self, Span member, double score, int flags) except *
    cdef bint drop(self, Span member) noexcept
    cdef double score_of(self, Span member) noexcept
    cdef long long rank_of(self, Span member, bint reverse) noexcept
    cdef Section between(self, Range ends, bint reverse) noexcept
    cdef Section by_rank(self, long long start, long long stop, bint reverse) noexcept
    cdef int write_items(
        self, Writer writer, Section section, bint reverse, bint scores, bint paired
    ) except -1
    cdef int take_items(self, Writer writer, long long count, bint highest, bint paired) except -1
    cdef long long remove_section(self, Section section) noexcept
    cpdef long long length(self) noexcept

    # From here on private.
    cdef unsigned char* find_packed(self, Span member) noexcept
    cdef Change change_packed(self, Span member, double score, int flags) except *
    cdef Change change_big(self, Span member, double score, int flags) except *
    cdef int add_packed(self, Span member, double score) except -1
    cdef int move_packed(self, unsigned char* p, Span member, double score) except -1
    cdef int convert(self) except -1
    cdef int write_big(self, Writer writer, Section section, bint reverse, bint scores, bint paired) except -1
