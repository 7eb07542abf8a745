"""C side of intsets; ``intset.py`` documents the format, ``intset.pyx`` where they live.

NULL is the empty set. Functions that change a set return where it is now, or NULL: there was no memory, and the old one
is unchanged; a set that became empty is NULL as well, told apart by ``changed``.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t
from libc.string cimport memcpy

from kvorum.keyspace.entry cimport chunk_bytes
from kvorum.keyspace.slab cimport SLAB_LIMIT, Heap, room_of

cdef enum:
    INTSET_HEADER = 8           # width in bytes of a number: 2, 4 or 8; how many numbers: 32 bits each
    INTSET_LIMIT = 1 << 28      # numbers


cdef inline uint32_t intset_width(const unsigned char* intset) noexcept nogil:
    cdef uint32_t width
    memcpy(&width, intset, 4)
    return width


cdef inline uint32_t intset_count(const unsigned char* intset) noexcept nogil:
    cdef uint32_t count
    if intset == NULL:
        return 0
    memcpy(&count, intset + 4, 4)
    return count


cdef inline size_t intset_bytes(const unsigned char* intset) noexcept nogil:
    """Its length in all; not of NULL."""
    return INTSET_HEADER + <size_t>intset_width(intset) * intset_count(intset)


cdef inline int64_t intset_cost(const unsigned char* intset) noexcept nogil:
    """What it costs in memory."""
    if intset == NULL:
        return 0
    return room_of(intset) if intset_bytes(intset) <= SLAB_LIMIT else chunk_bytes(intset)


cdef inline int64_t intset_number(const unsigned char* intset, uint32_t width, uint32_t index) noexcept nogil:
    """The number at an index, which must be below the count."""
    cdef int16_t short_number
    cdef int32_t number
    cdef int64_t long_number
    if width == 2:
        memcpy(&short_number, intset + INTSET_HEADER + 2 * <size_t>index, 2)
        return short_number
    if width == 4:
        memcpy(&number, intset + INTSET_HEADER + 4 * <size_t>index, 4)
        return number
    memcpy(&long_number, intset + INTSET_HEADER + 8 * <size_t>index, 8)
    return long_number


cdef bint intset_find(const unsigned char* intset, int64_t number, uint32_t* index) noexcept nogil
cdef unsigned char* intset_add(Heap* heap, unsigned char* intset, int64_t number, bint* changed) noexcept nogil
cdef unsigned char* intset_remove(Heap* heap, unsigned char* intset, int64_t number, bint* changed) noexcept nogil
cdef unsigned char* intset_from(Heap* heap, const char* data, size_t size) noexcept nogil     # a validated blob, not empty
cdef void intset_free(Heap* heap, unsigned char* intset) noexcept nogil
cdef bint intset_validate(const char* data, size_t size, bint deep) noexcept nogil
