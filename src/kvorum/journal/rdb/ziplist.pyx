# cython: wraparound=False, cdivision=True
"""Ziplists become listpacks: see ``ziplist.py`` for the format and for what is checked."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t
from libc.string cimport memcpy

from kvorum.journal.rdb import RdbError
from kvorum.keyspace.types.listpack import unpack

from kvorum.keyspace.types.listpack cimport lp_append, lp_append_integer, lp_bytes, lp_free, lp_new

cdef extern from *:
    uint32_t swapped_32 "__builtin_bswap32"(uint32_t word) noexcept nogil

cdef enum:
    HEADER = 10
    END = 0xFF
    BIG = 254
    MANY = 0xFFFF
    STRING_14 = 0x40            # heads
    STRING_32 = 0x80
    INTEGER_16 = 0xC0
    INTEGER_32 = 0xD0
    INTEGER_64 = 0xE0
    INTEGER_24 = 0xF0
    FIRST_SMALL = 0xF1
    LAST_SMALL = 0xFD
    INTEGER_8 = 0xFE


cdef struct Found:              # an element
    const unsigned char* data   # NULL: it is an integer
    Py_ssize_t size             # of what lies in the ziplist
    int64_t number


cdef inline uint32_t word_at(const unsigned char* place) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, place, sizeof(word))
    return word


cdef unsigned char* listpack_of_ziplist(const unsigned char* blob, Py_ssize_t size) except NULL:
    cdef Py_ssize_t last = size - 1
    cdef unsigned char* listpack
    if size <= HEADER or word_at(blob) != <size_t>size or blob[last] != END:
        raise RdbError("a ziplist whose frame is broken")
    listpack = lp_new(size)
    if listpack == NULL:
        raise MemoryError
    try:
        take_over(blob, last, &listpack)
    except BaseException:
        lp_free(listpack)
        raise
    return listpack


cdef int take_over(const unsigned char* blob, Py_ssize_t last, unsigned char** listpack) except -1:
    """All entries, whose end is at ``last``."""
    cdef Py_ssize_t position = HEADER
    cdef Py_ssize_t begin = 0, before = 0       # where the entry before begins, and its size
    cdef Py_ssize_t said
    cdef uint32_t count = 0
    cdef unsigned char* grown
    cdef Found found
    while position < last:
        begin = position
        if blob[position] < BIG:
            said = blob[position]
            position += 1
        else:
            said = word_at(blob + position + 1) if last - position > 5 else -1
            position += 5
        if said != before or position >= last or blob[begin] == END:
            raise RdbError("a ziplist whose entries are broken")
        position = data_at(blob, position, last, &found)
        if found.size > last - position:
            raise RdbError("a ziplist with an entry beyond its end")
        if found.data != NULL:
            grown = lp_append(listpack[0], <const char*>blob + position, found.size)
        else:
            grown = lp_append_integer(listpack[0], number_at(&found, blob + position))
        if grown == NULL:
            raise MemoryError
        listpack[0] = grown
        position += found.size
        before = position - begin
        count += 1
    check_header(blob, last, begin, count)
    return 0


cdef Py_ssize_t data_at(const unsigned char* blob, Py_ssize_t position, Py_ssize_t last, Found* found) except -1:
    """Where the data of the entry begins whose head is at ``position``."""
    cdef unsigned int head = blob[position]
    found.data = blob
    found.number = head
    if head < STRING_14:
        found.size = head
        return position + 1
    if head < STRING_32:
        found.size = (head & 0x3F) << 8 | blob[position + 1]    # perhaps the end of the ziplist, but within it
        return position + 2
    if head < INTEGER_16:
        found.size = swapped_32(word_at(blob + position + 1)) if last - position >= 5 else 0
        return position + 5
    found.data = NULL
    if FIRST_SMALL <= head <= LAST_SMALL:
        found.size = 0
    elif head == INTEGER_8:
        found.size = 1
    elif head == INTEGER_16:
        found.size = 2
    elif head == INTEGER_24:
        found.size = 3
    elif head == INTEGER_32:
        found.size = 4
    elif head == INTEGER_64:
        found.size = 8
    else:
        raise RdbError("a ziplist with an entry of an unknown kind")
    return position + 1


cdef int64_t number_at(Found* found, const unsigned char* data) noexcept nogil:
    """The integer of the head or of the bytes behind it."""
    cdef int16_t short_number
    cdef int32_t number
    cdef int64_t long_number
    if found.size == 0:
        return found.number - FIRST_SMALL
    if found.size == 1:
        return <int8_t>data[0]
    if found.size == 2:
        memcpy(&short_number, data, 2)
        return short_number
    if found.size == 3:
        number = <int32_t>(<uint32_t>data[0] << 8 | <uint32_t>data[1] << 16 | <uint32_t>data[2] << 24)
        return number >> 8
    if found.size == 4:
        memcpy(&number, data, 4)
        return number
    memcpy(&long_number, data, 8)
    return long_number


cdef int check_header(const unsigned char* blob, Py_ssize_t last, Py_ssize_t last_begin, uint32_t count) except -1:
    """What the header says of the entries."""
    cdef Py_ssize_t said_last = word_at(blob + 4)
    cdef uint16_t said_count
    memcpy(&said_count, blob + 8, 2)
    if said_last > last or (count > 0 and said_last != last_begin) or (said_count != MANY and said_count != count):
        raise RdbError("a ziplist whose header is broken")
    return 0


def ziplist_elements(bytes blob not None):
    cdef unsigned char* listpack = listpack_of_ziplist(
        <const unsigned char*>PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob)
    )
    try:
        return unpack(PyBytes_FromStringAndSize(<char*>listpack, lp_bytes(listpack)))
    finally:
        lp_free(listpack)
