# cython: wraparound=False, cdivision=True
"""The checksum of journals; see ``crc32c.py`` for the contract.

Where the processor has SSE4.2, asked once at import, its CRC32 instruction takes eight bytes per step. Elsewhere tables do:
``kvorum_crc32c_table[k][b]`` is the remainder of byte b followed by k zero bytes, and the remainders of eight bytes are
independent of each other.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "kvorum's checksum reads words in little-endian order"
    #endif

    static uint32_t kvorum_crc32c_table[8][256];

    static void kvorum_crc32c_fill_tables(void) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t remainder = byte;
            for (int bit = 0; bit < 8; bit++)
                remainder = remainder & 1 ? (remainder >> 1) ^ 0x82F63B78u : remainder >> 1;
            kvorum_crc32c_table[0][byte] = remainder;
        }
        for (int zeros = 1; zeros < 8; zeros++)
            for (int byte = 0; byte < 256; byte++) {
                uint32_t shorter = kvorum_crc32c_table[zeros - 1][byte];
                kvorum_crc32c_table[zeros][byte] = (shorter >> 8) ^ kvorum_crc32c_table[0][shorter & 0xFF];
            }
    }

    static uint32_t kvorum_crc32c_by_tables(uint32_t crc, const unsigned char *data, size_t size) {
        crc = ~crc;
        for (; size >= 8; data += 8, size -= 8) {
            uint64_t word;
            memcpy(&word, data, 8);
            word ^= crc;
            crc = kvorum_crc32c_table[7][word & 0xFF] ^ kvorum_crc32c_table[6][(word >> 8) & 0xFF]
                ^ kvorum_crc32c_table[5][(word >> 16) & 0xFF] ^ kvorum_crc32c_table[4][(word >> 24) & 0xFF]
                ^ kvorum_crc32c_table[3][(word >> 32) & 0xFF] ^ kvorum_crc32c_table[2][(word >> 40) & 0xFF]
                ^ kvorum_crc32c_table[1][(word >> 48) & 0xFF] ^ kvorum_crc32c_table[0][word >> 56];
        }
        for (; size > 0; data++, size--)
            crc = (crc >> 8) ^ kvorum_crc32c_table[0][(crc ^ *data) & 0xFF];
        return ~crc;
    }

    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    /* The attribute lets this one function use the instruction while the rest is built for any processor. */
    __attribute__((target("sse4.2")))
    static uint32_t kvorum_crc32c_by_instruction(uint32_t crc, const unsigned char *data, size_t size) {
        uint64_t remainder = (uint32_t)~crc;
        for (; size >= 8; data += 8, size -= 8) {
            uint64_t word;
            memcpy(&word, data, 8);
            remainder = __builtin_ia32_crc32di(remainder, word);
        }
        for (; size > 0; data++, size--)
            remainder = __builtin_ia32_crc32qi((uint32_t)remainder, *data);
        return ~(uint32_t)remainder;
    }

    static int kvorum_crc32c_has_instruction(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("sse4.2") != 0;
    }
    #else
    #define kvorum_crc32c_by_instruction kvorum_crc32c_by_tables
    #define kvorum_crc32c_has_instruction() 0
    #endif
    """
    void fill_tables "kvorum_crc32c_fill_tables"() noexcept nogil
    uint32_t by_tables "kvorum_crc32c_by_tables"(uint32_t crc, const unsigned char* data, size_t size) noexcept nogil
    uint32_t by_instruction "kvorum_crc32c_by_instruction"(
        uint32_t crc, const unsigned char* data, size_t size
    ) noexcept nogil
    bint has_instruction "kvorum_crc32c_has_instruction"() noexcept nogil

fill_tables()

cdef bint _hardware = has_instruction()
HARDWARE = _hardware


cdef uint32_t crc32c_of(uint32_t crc, const void* data, size_t size) noexcept nogil:
    if _hardware:
        return by_instruction(crc, <const unsigned char*>data, size)
    return by_tables(crc, <const unsigned char*>data, size)


def crc32c(data, uint32_t crc=0):
    cdef const unsigned char[::1] view
    if type(data) is bytes:
        return crc32c_of(crc, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    if data is None:
        raise TypeError("a bytes-like object is required, not None")
    view = data
    return crc32c_of(crc, &view[0] if view.shape[0] else NULL, view.shape[0])


def crc32c_by_tables(const unsigned char[::1] data not None, uint32_t crc=0):
    return by_tables(crc, &data[0] if data.shape[0] else NULL, data.shape[0])


cpdef uint32_t crc32c_range(const unsigned char[::1] data, Py_ssize_t start, Py_ssize_t end, uint32_t crc) except? 0:
    if not 0 <= start <= end <= data.shape[0]:
        raise IndexError(f"no bytes {start} to {end} among {data.shape[0]}")
    return crc32c_of(crc, &data[start] if start < end else NULL, end - start)
