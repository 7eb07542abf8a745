"""C side of the index of entries that have an expiry; the essay is in ``volatile_index.pyx``."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.slab cimport Heap

cdef enum:
    CHUNK_BITS = 9


cdef struct VolatileIndex:
    Entry*** chunks
    uint64_t count
    uint32_t chunk_count
    uint32_t chunk_capacity


cdef inline Entry** volatile_place(VolatileIndex* index, uint64_t position) noexcept nogil:
    return &index.chunks[position >> CHUNK_BITS][position & ((1 << CHUNK_BITS) - 1)]


cdef int volatile_reserve(Heap* heap, VolatileIndex* index, int64_t* bytes) noexcept
cdef void volatile_add(VolatileIndex* index, Entry* entry) noexcept nogil
cdef void volatile_remove(VolatileIndex* index, Entry* entry, int64_t* bytes) noexcept
cdef uint64_t volatile_free_chunks(VolatileIndex* index, uint64_t limit, int64_t* bytes) noexcept
