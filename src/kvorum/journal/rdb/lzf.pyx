# cython: wraparound=False, cdivision=True
"""The compression of strings in RDB; see ``lzf.py`` for the format and the rules."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from kvorum.journal.rdb import RdbError

cdef enum:
    LONGEST_RUN = 32            # literals behind one control byte
    WORD = 16                   # bytes that are copied at once
    LONGEST_MATCH = 264
    FARTHEST = 8192
    SHORTEST_MATCH = 3
    LEAST_BITS = 6
    MOST_BITS = 15
    SMALL_TABLE = 1 << 10       # slots that fit on the stack
    EXPANSION = 88              # three bytes become 264 at most
    SAVED_AT_LEAST = 4


cdef inline uint32_t _hash(const unsigned char* data, int bits) noexcept nogil:
    cdef uint32_t word = (<uint32_t>data[0] << 16) | (<uint32_t>data[1] << 8) | data[2]
    return (word * 2654435761u) >> (32 - bits)


cdef Py_ssize_t _literals(
    const unsigned char* data, Py_ssize_t count, unsigned char* out, Py_ssize_t position, Py_ssize_t room
) noexcept nogil:
    """Runs of bytes as they are; the new position, or -1 if there is no room."""
    cdef Py_ssize_t run
    if position + count + (count + LONGEST_RUN - 1) // LONGEST_RUN > room:
        return -1
    while count > 0:
        run = count if count < LONGEST_RUN else LONGEST_RUN
        out[position] = <unsigned char>(run - 1)
        memcpy(out + position + 1, data, run)
        position += run + 1
        data += run
        count -= run
    return position


cdef Py_ssize_t _compress(
    const unsigned char* data, Py_ssize_t size, unsigned char* out, Py_ssize_t room, uint32_t* table, int bits
) noexcept nogil:
    """The table holds for each hash the last position, plus one, at which three bytes with it began."""
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t pending = 0         # the literals from here to ``position`` are not written yet
    cdef Py_ssize_t written = 0
    cdef Py_ssize_t before, distance, length, limit, last
    cdef uint32_t slot
    while position + SHORTEST_MATCH <= size:
        slot = _hash(data + position, bits)
        before = <Py_ssize_t>table[slot] - 1
        table[slot] = <uint32_t>(position + 1)
        distance = position - before - 1
        if (before < 0 or distance >= FARTHEST or data[before] != data[position]
                or data[before + 1] != data[position + 1] or data[before + 2] != data[position + 2]):
            position += 1
            continue
        limit = size - position
        if limit > LONGEST_MATCH:
            limit = LONGEST_MATCH
        length = SHORTEST_MATCH
        while length < limit and data[before + length] == data[position + length]:
            length += 1
        written = _literals(data + pending, position - pending, out, written, room)
        if written < 0 or written + (2 if length <= 8 else 3) > room:
            return 0
        if length <= 8:
            out[written] = <unsigned char>((length - 2) << 5 | distance >> 8)
        else:
            out[written] = <unsigned char>(7 << 5 | distance >> 8)
            written += 1
            out[written] = <unsigned char>(length - 9)
        out[written + 1] = <unsigned char>(distance & 0xFF)
        written += 2
        last = position + length
        position += 1
        while position < last:
            if position + SHORTEST_MATCH <= size:
                table[_hash(data + position, bits)] = <uint32_t>(position + 1)
            position += 1
        pending = last
    written = _literals(data + pending, size - pending, out, written, room)
    return written if written > 0 else 0


cdef Py_ssize_t compress_into(
    const unsigned char* data, Py_ssize_t size, unsigned char* out, Py_ssize_t room
) except -1:
    cdef uint32_t[SMALL_TABLE] small
    cdef uint32_t* table = small
    cdef int bits = LEAST_BITS
    cdef Py_ssize_t written
    if room <= 0 or size >= <Py_ssize_t>1 << 32:
        return 0
    while bits < MOST_BITS and (<Py_ssize_t>1 << bits) < size:
        bits += 1
    if (1 << bits) > SMALL_TABLE:
        table = <uint32_t*>PyMem_Malloc((<size_t>1 << bits) * sizeof(uint32_t))
        if table == NULL:
            raise MemoryError()
    memset(table, 0, (<size_t>1 << bits) * sizeof(uint32_t))
    written = _compress(data, size, out, room, table, bits)
    if table != small:
        PyMem_Free(table)
    return written


cdef Py_ssize_t decompress_into(
    const unsigned char* data, Py_ssize_t length, unsigned char* out, Py_ssize_t size
) noexcept nogil:
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t written = 0
    cdef Py_ssize_t count, distance
    cdef unsigned int control
    while position < length:
        control = data[position]
        position += 1
        if control < LONGEST_RUN:
            count = control + 1
            if count > length - position or count > size - written:
                return -1
            if length - position >= LONGEST_RUN and size - written >= LONGEST_RUN:
                memcpy(out + written, data + position, LONGEST_RUN)     # the rest is overwritten: quicker than to count
            else:
                memcpy(out + written, data + position, count)
            position += count
            written += count
            continue
        count = control >> 5
        if count == 7:
            if position == length:
                return -1
            count += data[position]
            position += 1
        count += 2
        if position == length:
            return -1
        distance = ((control & 0x1F) << 8 | data[position]) + 1
        position += 1
        if distance > written or count > size - written:
            return -1
        if count <= WORD and distance >= WORD and size - written >= WORD:
            memcpy(out + written, out + written - distance, WORD)
            written += count
        elif distance >= count:
            memcpy(out + written, out + written - distance, count)
            written += count
        else:
            while count > 0:            # it overlaps what it makes: byte by byte
                out[written] = out[written - distance]
                written += 1
                count -= 1
    return written if written == size else -1


cdef bint may_become(Py_ssize_t length, unsigned long long size) noexcept nogil:
    return length > 0 and size <= <unsigned long long>length * EXPANSION


def compress(bytes data not None):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t room = size - SAVED_AT_LEAST
    cdef unsigned char* out
    cdef Py_ssize_t written
    if room <= 0:
        return None
    out = <unsigned char*>PyMem_Malloc(room)
    if out == NULL:
        raise MemoryError()
    try:
        written = compress_into(<const unsigned char*>PyBytes_AS_STRING(data), size, out, room)
        return PyBytes_FromStringAndSize(<char*>out, written) if written else None
    finally:
        PyMem_Free(out)


def decompress(bytes data not None, unsigned long long size):
    cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
    cdef bytes made
    cdef Py_ssize_t written
    if not may_become(length, size):
        raise RdbError(f"compressed: {length} bytes cannot become {size}")
    made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
    written = decompress_into(
        <const unsigned char*>PyBytes_AS_STRING(data), length, <unsigned char*>PyBytes_AS_STRING(made), <Py_ssize_t>size)
    if written < 0:
        raise RdbError(f"compressed: {length} bytes do not become {size}")
    return made
