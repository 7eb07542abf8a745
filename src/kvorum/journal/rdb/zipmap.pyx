# cython: wraparound=False, cdivision=True
"""Zipmaps become listpacks: see ``zipmap.py`` for the format."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from kvorum.journal.rdb import RdbError
from kvorum.keyspace.types.listpack import unpack

from kvorum.keyspace.types.listpack cimport lp_append_pair, lp_bytes, lp_free, lp_new

cdef enum:
    END = 0xFF
    BIG = 254


cdef struct Text:
    const char* data
    uint32_t size


cdef unsigned char* listpack_of_zipmap(const unsigned char* blob, Py_ssize_t size) except NULL:
    cdef unsigned char* listpack
    if size < 2 or blob[size - 1] != END:
        raise RdbError("a zipmap whose frame is broken")
    listpack = lp_new(size)
    if listpack == NULL:
        raise MemoryError
    try:
        take_over(blob, blob + size - 1, &listpack)
    except BaseException:
        lp_free(listpack)
        raise
    return listpack


cdef int take_over(const unsigned char* blob, const unsigned char* end, unsigned char** listpack) except -1:
    """All pairs up to the end."""
    cdef const unsigned char* place = blob + 1
    cdef Py_ssize_t unused
    cdef uint64_t count = 0
    cdef unsigned char* grown
    cdef Text field, value
    while place < end:
        place = text_at(place, end, 0, &field)
        place = text_at(place, end, 1, &value)
        unused = (<const unsigned char*>(value.data - 1))[0]
        if unused > end - place:
            raise broken()
        place += unused
        grown = lp_append_pair(listpack[0], field.data, field.size, value.data, value.size)
        if grown == NULL:
            raise MemoryError
        listpack[0] = grown
        count += 1
    if count == 0 or (blob[0] != BIG and blob[0] != count):
        raise broken()
    return 0


cdef const unsigned char* text_at(
    const unsigned char* place, const unsigned char* end, int between, Text* text
) except NULL:
    """The text whose size is at ``place``, so many bytes behind the size; what follows it."""
    cdef Py_ssize_t head = 1
    if place >= end:
        raise broken()
    text.size = place[0]
    if text.size >= BIG:
        if end - place < 5:
            raise broken()
        memcpy(&text.size, place + 1, sizeof(text.size))
        head = 5
    head += between
    if text.size + head > end - place:
        raise broken()
    text.data = <const char*>place + head
    return place + head + text.size


cdef object broken():
    return RdbError("a zipmap whose pairs are broken")


def zipmap_elements(bytes blob not None):
    cdef unsigned char* listpack = listpack_of_zipmap(
        <const unsigned char*>PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob)
    )
    try:
        return unpack(PyBytes_FromStringAndSize(<char*>listpack, lp_bytes(listpack)))
    finally:
        lp_free(listpack)
