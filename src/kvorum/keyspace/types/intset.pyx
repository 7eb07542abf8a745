# cython: wraparound=False, cdivision=True
"""Sets of integers in one block: see ``intset.py`` for the format.

A block of up to SLAB_LIMIT bytes comes from the heap of the keyspace, whose sizes go up in small steps and which keeps
nothing beside an object: half of what a small set costs otherwise. A longer one comes from malloc. Which it is follows
from the set's own length, so a change that passes that limit moves it, and fails if there is no room to move to.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memmove

from kvorum.keyspace.slab cimport give, take

cdef enum:
    SPARE_BYTES = 64            # a block may be so much longer than its content, or twice as long


# Blocks

cdef inline unsigned char* new_block(Heap* heap, size_t size) noexcept nogil:
    return <unsigned char*>(take(heap, size) if size <= SLAB_LIMIT else malloc(size))


cdef inline void free_block(Heap* heap, unsigned char* block, size_t size) noexcept nogil:
    if size <= SLAB_LIMIT:
        give(heap, block)
    else:
        free(block)


cdef unsigned char* resize_block(Heap* heap, unsigned char* block, size_t size, size_t needed) noexcept nogil:
    """Room for ``needed`` instead of ``size`` bytes, the first of which are kept. NULL: no memory, nothing has changed."""
    cdef unsigned char* moved
    cdef size_t room
    if size > SLAB_LIMIT and needed > SLAB_LIMIT:
        return <unsigned char*>realloc(block, needed)
    if size <= SLAB_LIMIT and needed <= SLAB_LIMIT:
        room = room_of(block)
        if needed <= room and (room <= 2 * needed or room - needed <= SPARE_BYTES):
            return block
    moved = new_block(heap, needed)
    if moved != NULL:
        memcpy(moved, block, min(size, needed))
        free_block(heap, block, size)
    return moved


# Sets

cdef inline uint32_t width_of(int64_t number) noexcept nogil:
    if number < -2147483648 or number > 2147483647:
        return 8
    return 4 if number < -32768 or number > 32767 else 2


cdef inline void write_number(unsigned char* intset, uint32_t width, uint32_t index, int64_t number) noexcept nogil:
    """The processors that we know are little-endian, as the format is: the first bytes are the narrower number."""
    memcpy(intset + INTSET_HEADER + <size_t>width * index, &number, width)


cdef inline void write_header(unsigned char* intset, uint32_t width, uint32_t count) noexcept nogil:
    memcpy(intset, &width, 4)
    memcpy(intset + 4, &count, 4)


cdef bint intset_find(const unsigned char* intset, int64_t number, uint32_t* index) noexcept nogil:
    """Whether a number is there; ``index``: where it is, or belongs."""
    cdef uint32_t low = 0, count = intset_count(intset), middle, width
    cdef int64_t found
    index[0] = 0
    if count == 0:
        return False
    width = intset_width(intset)
    if number > intset_number(intset, width, count - 1):
        index[0] = count            # numbers often come in order
        return False
    while low < count:
        middle = (low + count) >> 1
        found = intset_number(intset, width, middle)
        if found < number:
            low = middle + 1
        elif found > number:
            count = middle
        else:
            index[0] = middle
            return True
    index[0] = low
    return False


cdef unsigned char* intset_add(Heap* heap, unsigned char* intset, int64_t number, bint* changed) noexcept nogil:
    cdef uint32_t index, width, count = intset_count(intset)
    cdef size_t size
    cdef unsigned char* grown
    changed[0] = False
    if intset == NULL:
        width = width_of(number)
        grown = new_block(heap, INTSET_HEADER + width)
    else:
        width = intset_width(intset)
        if width_of(number) > width:
            return widen(heap, intset, number, changed)
        if intset_find(intset, number, &index):
            return intset
        if count >= INTSET_LIMIT:
            return NULL
        size = intset_bytes(intset)
        grown = resize_block(heap, intset, size, size + width)
    if grown == NULL:
        return NULL
    if intset == NULL:
        index = 0
    memmove(
        grown + INTSET_HEADER + <size_t>width * (index + 1), grown + INTSET_HEADER + <size_t>width * index,
        <size_t>width * (count - index)
    )
    write_number(grown, width, index, number)
    write_header(grown, width, count + 1)
    changed[0] = True
    return grown


cdef unsigned char* widen(Heap* heap, unsigned char* intset, int64_t number, bint* changed) noexcept nogil:
    """Add a number that needs more room than those there: it is smaller or greater than all of them."""
    cdef uint32_t i, count = intset_count(intset), width = intset_width(intset), wider = width_of(number)
    cdef uint32_t shift = 1 if number < 0 else 0
    cdef unsigned char* grown = NULL
    if count < INTSET_LIMIT:
        grown = new_block(heap, INTSET_HEADER + <size_t>wider * (count + 1))
    if grown == NULL:
        return NULL
    for i in range(count):
        write_number(grown, wider, i + shift, intset_number(intset, width, i))
    write_number(grown, wider, 0 if shift else count, number)
    write_header(grown, wider, count + 1)
    intset_free(heap, intset)
    changed[0] = True
    return grown


cdef unsigned char* intset_remove(Heap* heap, unsigned char* intset, int64_t number, bint* changed) noexcept nogil:
    cdef uint32_t index, width, count = intset_count(intset)
    cdef size_t size
    cdef unsigned char* shrunk
    cdef unsigned char[8] last
    changed[0] = False
    if count == 0 or not intset_find(intset, number, &index):
        return intset
    if count == 1:
        changed[0] = True
        intset_free(heap, intset)
        return NULL
    width = intset_width(intset)
    size = intset_bytes(intset)
    # Shortened first, which may fail; the last number, which is cut off, is put in its new place afterwards.
    memcpy(last, intset + size - width, width)
    shrunk = resize_block(heap, intset, size, size - width)
    if shrunk == NULL:
        return NULL
    if index < count - 1:
        memmove(
            shrunk + INTSET_HEADER + <size_t>width * index, shrunk + INTSET_HEADER + <size_t>width * (index + 1),
            <size_t>width * (count - 2 - index)
        )
        memcpy(shrunk + INTSET_HEADER + <size_t>width * (count - 2), last, width)
    write_header(shrunk, width, count - 1)
    changed[0] = True
    return shrunk


cdef unsigned char* intset_from(Heap* heap, const char* data, size_t size) noexcept nogil:
    cdef unsigned char* intset = new_block(heap, size)
    if intset != NULL:
        memcpy(intset, data, size)
    return intset


cdef void intset_free(Heap* heap, unsigned char* intset) noexcept nogil:
    if intset != NULL:
        free_block(heap, intset, intset_bytes(intset))


cdef bint intset_validate(const char* data, size_t size, bint deep) noexcept nogil:
    cdef const unsigned char* intset = <const unsigned char*>data
    cdef uint32_t i, count, width
    if size < INTSET_HEADER:
        return False
    width = intset_width(intset)
    count = intset_count(intset)
    if width != 2 and width != 4 and width != 8:
        return False
    if count == 0 or count > INTSET_LIMIT or size != INTSET_HEADER + <size_t>width * count:
        return False
    if deep:
        for i in range(1, count):
            if intset_number(intset, width, i - 1) >= intset_number(intset, width, i):
                return False
    return True


# For Python

def is_intset(bytes blob not None, bint deep=True):
    return intset_validate(blob, len(blob), deep)


def unpack_intset(bytes blob not None):
    cdef const unsigned char* intset = blob
    cdef uint32_t i
    if not intset_validate(blob, len(blob), False):
        raise ValueError("not an intset")
    return [intset_number(intset, intset_width(intset), i) for i in range(intset_count(intset))]


def pack_intset(numbers, uint32_t width=2):
    cdef list ordered = sorted(set(numbers))
    cdef bytes blob
    cdef unsigned char* intset
    cdef uint32_t i
    if not ordered:
        raise ValueError("an intset has at least one number")
    if width not in (2, 4, 8):
        raise ValueError("numbers are 2, 4 or 8 bytes wide")
    width = max(width, width_of(ordered[0]), width_of(ordered[len(ordered) - 1]))
    blob = PyBytes_FromStringAndSize(NULL, INTSET_HEADER + <Py_ssize_t>width * len(ordered))
    intset = blob
    write_header(intset, width, <uint32_t>len(ordered))
    for i in range(len(ordered)):
        write_number(intset, width, i, ordered[i])
    return blob
