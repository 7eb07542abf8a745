"""One key with its value: the layout of an entry in memory. C only; the twin of the table has no need of it.

    header      16 bytes (struct Entry)
    expiry      16 bytes (struct Expiry), only with the flag VOLATILE
    key         key_size bytes
    value       INTEGER: 8 bytes; EMBEDDED: value_size bytes; BYTES, BUFFER, OBJECT: a pointer that owns one reference

The header is short and the key follows it, so that a lookup touches one line
of the entry for keys of usual size. What follows the key is not aligned: it is read and written through memcpy, which
costs nothing on the processors we know. An entry has no pointer to its table; who holds it knows the table.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from kvorum.keyspace.slab cimport room_of

cdef extern from *:
    """
    #if defined(__APPLE__)
    #include <malloc/malloc.h>
    #define kvorum_usable_size(pointer) malloc_size(pointer)
    #else
    #include <malloc.h>
    #define kvorum_usable_size(pointer) malloc_usable_size((void *)(pointer))
    #endif
    """
    size_t usable_size "kvorum_usable_size"(const void* pointer) noexcept nogil
    void prefetch_line "__builtin_prefetch"(const void* address) noexcept nogil

cdef enum Kind:
    INTEGER = 0     # canonical decimal text of a 64-bit integer, kept as the integer
    EMBEDDED = 1    # bytes inside the entry
    BYTES = 2       # an immutable bytes object
    BUFFER = 3      # a bytearray that commands change in place
    OBJECT = 4      # a value of another type, see keyspace/types

cdef enum:
    VOLATILE = 1    # has an expiry
    RAW = 2         # changed in place: OBJECT ENCODING says raw however short it is
    LOOSE = 4       # too long for the slab: from malloc
    CHUNK_OVERHEAD = 8      # what malloc keeps per allocation beside the usable bytes


cdef struct Entry:
    uint8_t kind
    uint8_t flags
    uint16_t epoch          # of a key: the last snapshot that has it, or need not; of a member: see members.pxd
    uint32_t clock          # 24 bits, LRU or LFU as in Redis
    uint32_t key_size
    uint32_t value_size     # of an EMBEDDED value


cdef struct Expiry:
    int64_t at_ms
    uint64_t position       # in the volatile index


cdef inline Expiry* expiry_of(Entry* entry) noexcept nogil:
    return <Expiry*>(entry + 1)


cdef inline int64_t expiry_or_never(Entry* entry) noexcept nogil:
    return expiry_of(entry).at_ms if entry.flags & VOLATILE else 0


cdef inline char* key_of(Entry* entry) noexcept nogil:
    return <char*>(entry + 1) + ((entry.flags & VOLATILE) << 4)


cdef inline char* value_of(Entry* entry) noexcept nogil:
    return key_of(entry) + entry.key_size


cdef inline bint has_key(Entry* entry, const char* key, size_t size) noexcept nogil:
    return entry.key_size == size and memcmp(key_of(entry), key, size) == 0


cdef inline int64_t integer_of(Entry* entry) noexcept nogil:
    cdef int64_t number
    memcpy(&number, value_of(entry), sizeof(number))
    return number


cdef inline PyObject* reference_of(Entry* entry) noexcept nogil:
    cdef PyObject* reference
    memcpy(&reference, value_of(entry), sizeof(reference))
    return reference


cdef inline int64_t chunk_bytes(const void* pointer) noexcept nogil:
    """What an allocation by malloc costs in all."""
    return usable_size(pointer) + CHUNK_OVERHEAD


cdef inline size_t room_in(Entry* entry) noexcept nogil:
    """The bytes that it may occupy."""
    return usable_size(entry) if entry.flags & LOOSE else room_of(entry)


cdef inline int64_t entry_cost(Entry* entry) noexcept nogil:
    """What it costs, values outside it not included."""
    return chunk_bytes(entry) if entry.flags & LOOSE else room_of(entry)
