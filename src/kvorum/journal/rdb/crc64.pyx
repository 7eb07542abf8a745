# cython: wraparound=False, cdivision=True
"""The checksum of RDB files and DUMP payloads; see ``crc64.py`` for the contract.

Eight bytes per step: ``_table[k][b]`` is the remainder of byte b followed by k zero bytes, and the remainders of eight
bytes are independent of each other.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "kvorum's checksum reads words in little-endian order"
    #endif
    """

cdef uint64_t POLYNOMIAL = 0x95AC9329AC4BC9B5u

cdef uint64_t[8][256] _table


cdef void _fill_tables() noexcept nogil:
    cdef int byte, bit, zeros
    cdef uint64_t remainder
    for byte in range(256):
        remainder = byte
        for bit in range(8):
            remainder = (remainder >> 1) ^ POLYNOMIAL if remainder & 1 else remainder >> 1
        _table[0][byte] = remainder
    for zeros in range(1, 8):
        for byte in range(256):
            remainder = _table[zeros - 1][byte]
            _table[zeros][byte] = (remainder >> 8) ^ _table[0][remainder & 0xFF]


_fill_tables()


cdef uint64_t crc64_of(uint64_t crc, const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, data, 8)
        word ^= crc
        crc = (
            _table[7][word & 0xFF] ^ _table[6][(word >> 8) & 0xFF]
            ^ _table[5][(word >> 16) & 0xFF] ^ _table[4][(word >> 24) & 0xFF]
            ^ _table[3][(word >> 32) & 0xFF] ^ _table[2][(word >> 40) & 0xFF]
            ^ _table[1][(word >> 48) & 0xFF] ^ _table[0][word >> 56]
        )
        data += 8
        size -= 8
    while size > 0:
        crc = (crc >> 8) ^ _table[0][(crc ^ data[0]) & 0xFF]
        data += 1
        size -= 1
    return crc


def crc64(const unsigned char[::1] data not None, uint64_t crc=0):
    return crc64_of(crc, &data[0] if data.shape[0] else NULL, data.shape[0])
