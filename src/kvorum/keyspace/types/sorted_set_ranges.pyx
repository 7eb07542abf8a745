# cython: wraparound=False, initializedcheck=False, cdivision=True
"""Scores, and the ends of ranges of a sorted set, as requests write them: see ``sorted_set_ranges.py``."""
from libc.math cimport isnan
from libc.stdlib cimport free, malloc, strtod
from libc.string cimport memcpy

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.keyspace.types.score_tree cimport Bound
from kvorum.resp.numbers cimport parse_double_text, parse_integer_text
from kvorum.resp.span cimport Span

cdef enum:
    USUAL_TEXT = 64     # bytes; longer numbers are copied to the heap
    EXACT_DIGITS = 15   # an integer of so many characters is exact as a double


# The options of ZADD (bits of what ``SortedSet.change`` takes, and CH) and of ZRANGE. Python sees the same numbers in the twin.
cdef enum:
    LONGEST_OPTION = 10
    OPTIONS = 11

cdef const char** OPTION_WORDS = ["NX", "XX", "GT", "LT", "INCR", "CH", "WITHSCORES", "LIMIT", "REV", "BYSCORE", "BYLEX"]

CHANGED = 1 << 5
WITH_SCORES = 1 << 6
LIMIT = 1 << 7
REVERSE = 1 << 8
BY_SCORE = 1 << 9
BY_MEMBER = 1 << 10


cdef bint is_word(const char* upper, Span text) noexcept nogil:
    """Whether a text is a word of letters, in any case."""
    cdef Py_ssize_t i
    for i in range(text.size):
        if (text.data[i] & 0xDF) != upper[i] or upper[i] == 0:
            return False
    return upper[text.size] == 0


cdef bint read_whole(char* text, double* number) noexcept nogil:
    """Text that ends with a zero, read by strtod to its end."""
    cdef char* end
    number[0] = strtod(text, &end)
    return end[0] == 0 and not isnan(number[0])


cdef bint read_number(const char* text, Py_ssize_t size, double* number) except *:
    """A number as C reads it, out of range or not, with spaces before it or nothing at all; a zero byte ends it."""
    cdef char usual[USUAL_TEXT]
    cdef char* copy = usual
    cdef long long whole
    cdef bint good
    if size <= EXACT_DIGITS and parse_integer_text(text, size, &whole):
        number[0] = <double>whole
        return True
    if size >= USUAL_TEXT:
        copy = <char*>malloc(size + 1)
        if copy == NULL:
            raise MemoryError
    memcpy(copy, text, size)
    copy[size] = 0
    good = read_whole(copy, number)
    if copy != usual:
        free(copy)
    return good


cdef Bound score_bound(Span text, bint is_high) except *:
    cdef Bound bound
    cdef bint exclusive = text.size > 0 and text.data[0] == c'('
    bound.score = 0
    bound.data = NULL
    bound.size = 0
    bound.by_score = True
    bound.after = exclusive != is_high
    if not read_number(text.data + exclusive, text.size - exclusive, &bound.score):
        raise CommandError(errors.NOT_A_SCORE_RANGE)
    return bound


cdef Bound member_bound(Span text, bint is_high) except *:
    cdef Bound bound
    cdef char kind = text.data[0] if text.size > 0 else 0
    bound.score = 0
    bound.by_score = False
    bound.data = NULL
    bound.size = 0
    if kind == c'[' or kind == c'(':
        bound.data = text.data + 1
        bound.size = text.size - 1
        bound.after = (kind == c'(') != is_high
    elif (kind == c'-' or kind == c'+') and (text.size == 1 or text.data[1] == 0):
        bound.after = kind == c'+'
    else:
        raise CommandError(errors.NOT_A_MEMBER_RANGE)
    return bound


cdef class Ranges:
    @staticmethod
    cdef int option(Span word) noexcept:
        cdef int i
        if not 2 <= word.size <= LONGEST_OPTION or word.data[0] < c'A':
            return 0
        for i in range(OPTIONS):
            if is_word(OPTION_WORDS[i], word):
                return 1 << i
        return 0

    @staticmethod
    cdef double score(Span text) except? -1:
        cdef double number
        if not parse_double_text(text.data, text.size, &number):
            raise CommandError(errors.NOT_A_FLOAT)
        return number

    @staticmethod
    cdef Range scores(Span low, Span high) except *:
        cdef Range found
        found.low = score_bound(low, False)
        found.high = score_bound(high, True)
        return found

    @staticmethod
    cdef Range members(Span low, Span high) except *:
        cdef Range found
        found.low = member_bound(low, False)
        found.high = member_bound(high, True)
        return found

    @staticmethod
    cdef Section nothing() noexcept:
        return Ranges.ranks(0, -1, 0)

    @staticmethod
    cdef Section ranks(long long start, long long stop, long long count) noexcept:
        cdef Section section
        if start < 0:
            start += count
        if stop < 0:
            stop += count
        if start < 0:
            start = 0
        if stop >= count:
            stop = count - 1
        section.first = start
        section.length = stop - start + 1 if start <= stop else 0
        return section

    @staticmethod
    cdef Section limited(Section section, long long offset, long long count, bint reverse) noexcept:
        if offset < 0 or offset >= section.length:
            section.length = 0
            return section
        section.length -= offset
        if not reverse:
            section.first += offset
        if 0 <= count < section.length:
            if reverse:
                section.first += section.length - count
            section.length = count
        return section
