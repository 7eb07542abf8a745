# cython: wraparound=False, cdivision=True
"""The slot of a key (CRC16 of its hash tag) and its hash within the slot; see ``hashing.py`` for the contract.

The CRC takes eight bytes per step: ``_crc[k][b]`` is the remainder of byte b followed by k zero bytes, and the
remainders of eight bytes are independent of each other. The hash is a multiply-and-fold construction in the manner of
wyhash: 64 by 64 bits to 128, the halves folded by exclusive or.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "kvorum's compiled keyspace reads words in little-endian order"
    #endif
    static inline uint64_t kvorum_fold(uint64_t left, uint64_t right) {
        unsigned __int128 product = (unsigned __int128)left * right;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t fold "kvorum_fold"(uint64_t left, uint64_t right) noexcept nogil

SLOTS = 16384

cdef enum:
    POLYNOMIAL = 0x1021
    SLOT_MASK = 16383

# Odd constants without structure: the fractional parts of the square roots of 2, 3, 5 and 7.
cdef uint64_t MIX_A = 0x6A09E667F3BCC909
cdef uint64_t MIX_B = 0xBB67AE8584CAA73B
cdef uint64_t MIX_C = 0x3C6EF372FE94F82B
cdef uint64_t MIX_D = 0xA54FF53A5F1D36F1

cdef uint16_t[8][256] _crc


cdef void _fill_tables() noexcept nogil:
    cdef int byte, bit, zeros
    cdef unsigned int remainder
    for byte in range(256):
        remainder = byte << 8
        for bit in range(8):
            remainder = (remainder << 1) ^ POLYNOMIAL if remainder & 0x8000 else remainder << 1
        _crc[0][byte] = <uint16_t>remainder
    for zeros in range(1, 8):
        for byte in range(256):
            remainder = _crc[zeros - 1][byte]
            _crc[zeros][byte] = <uint16_t>(remainder << 8) ^ _crc[0][remainder >> 8]


_fill_tables()


cdef inline unsigned int _crc16(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    cdef unsigned int remainder = 0
    while size >= 8:
        remainder = (
            _crc[7][data[0] ^ (remainder >> 8)] ^ _crc[6][data[1] ^ (remainder & 0xFF)]
            ^ _crc[5][data[2]] ^ _crc[4][data[3]] ^ _crc[3][data[4]] ^ _crc[2][data[5]]
            ^ _crc[1][data[6]] ^ _crc[0][data[7]]
        )
        data += 8
        size -= 8
    while size > 0:
        remainder = ((remainder << 8) & 0xFFFF) ^ _crc[0][(remainder >> 8) ^ data[0]]
        data += 1
        size -= 1
    return remainder


cdef unsigned int slot_of_key(const char* key, Py_ssize_t size) noexcept nogil:
    cdef const char* opening = <const char*>memchr(key, 123, size)
    cdef const char* closing
    if opening != NULL:
        opening += 1
        closing = <const char*>memchr(opening, 125, size - (opening - key))
        if closing != NULL and closing != opening:
            return _crc16(<const uint8_t*>opening, closing - opening) & SLOT_MASK
    return _crc16(<const uint8_t*>key, size) & SLOT_MASK


cdef inline uint64_t _word(const char* data) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, data, 8)
    return word


cdef inline uint64_t _half(const char* data) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, data, 4)
    return word


cdef uint64_t hash_of_key(const char* key, Py_ssize_t size, uint64_t seed) noexcept nogil:
    cdef uint64_t state = seed ^ MIX_A
    # The seed is in both factors: otherwise a key could contain the word that makes a product zero.
    cdef uint64_t salt = MIX_B ^ (seed << 32 | seed >> 32)
    cdef uint64_t first, last
    cdef const uint8_t* octets = <const uint8_t*>key
    cdef Py_ssize_t left = size
    if size > 16:
        while left > 16:
            state = fold(_word(key) ^ salt, _word(key + 8) ^ state)
            key += 16
            left -= 16
        first = _word(key + left - 16)
        last = _word(key + left - 8)
    elif size >= 8:
        first = _word(key)
        last = _word(key + size - 8)
    elif size >= 4:
        first = _half(key)
        last = _half(key + size - 4)
    elif size > 0:
        first = (<uint64_t>octets[0] << 16) | (<uint64_t>octets[size >> 1] << 8) | octets[size - 1]
        last = 0
    else:
        first = 0
        last = 0
    return fold(fold(first ^ salt, last ^ state) ^ MIX_C, <uint64_t>size ^ MIX_D)


def key_slot(bytes key not None):
    return slot_of_key(key, len(key))


def key_hash(bytes key not None, uint64_t seed):
    return hash_of_key(key, len(key), seed)
