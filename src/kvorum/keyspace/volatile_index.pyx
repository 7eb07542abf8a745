# cython: wraparound=False, cdivision=True
"""The entries of a database that have an expiry, as a dense array. C only.

Each volatile entry knows its position, so that removing one (the last takes its place) and drawing a random one are
O(1). The array is cut into chunks of 512 pointers: it grows by a chunk, and only the small array of chunks is ever
copied.

Who walks it downwards and removes as he goes misses nothing: what takes the place of a removed entry comes from above
and has been seen. That is what the active expiry does.
"""
from libc.stdlib cimport free, malloc, realloc

from kvorum.keyspace.buckets cimport growth_begins, growth_ended
from kvorum.keyspace.entry cimport chunk_bytes, expiry_of

cdef enum:
    CHUNK_ENTRIES = 1 << CHUNK_BITS
    FIRST_CAPACITY = 8


cdef int volatile_reserve(Heap* heap, VolatileIndex* index, int64_t* bytes) noexcept:
    """Room for one more; -1: no memory. volatile_add cannot fail afterwards."""
    cdef Entry*** chunks
    cdef uint32_t capacity
    cdef int64_t began
    if index.count < <uint64_t>index.chunk_count << CHUNK_BITS:
        return 0
    if index.chunk_count == index.chunk_capacity:
        began = growth_begins(heap)
        capacity = index.chunk_capacity * 2 if index.chunk_capacity else FIRST_CAPACITY
        if index.chunks != NULL:
            bytes[0] -= chunk_bytes(index.chunks)
        chunks = <Entry***>realloc(index.chunks, capacity * sizeof(Entry**))
        if chunks != NULL:
            index.chunks = chunks
            index.chunk_capacity = capacity
        if index.chunks != NULL:
            bytes[0] += chunk_bytes(index.chunks)
        growth_ended(heap, began)
        if chunks == NULL:
            return -1
    index.chunks[index.chunk_count] = <Entry**>malloc(CHUNK_ENTRIES * sizeof(Entry*))
    if index.chunks[index.chunk_count] == NULL:
        return -1
    bytes[0] += chunk_bytes(index.chunks[index.chunk_count])
    index.chunk_count += 1
    return 0


cdef void volatile_add(VolatileIndex* index, Entry* entry) noexcept nogil:
    """The entry has its flag and its time already."""
    expiry_of(entry).position = index.count
    index.count += 1
    volatile_place(index, index.count - 1)[0] = entry


cdef void volatile_remove(VolatileIndex* index, Entry* entry, int64_t* bytes) noexcept:
    cdef uint64_t position = expiry_of(entry).position
    cdef Entry* last
    index.count -= 1
    last = volatile_place(index, index.count)[0]
    volatile_place(index, position)[0] = last
    expiry_of(last).position = position
    # One empty chunk is kept, unless there is nothing else: a count that swings about a chunk's border must not
    # allocate each time.
    if index.count == 0:
        volatile_free_chunks(index, index.chunk_count, bytes)
    elif index.chunk_count > 1 and index.count <= <uint64_t>(index.chunk_count - 2) << CHUNK_BITS:
        volatile_free_chunks(index, 1, bytes)


cdef uint64_t volatile_free_chunks(VolatileIndex* index, uint64_t limit, int64_t* bytes) noexcept:
    """Free up to ``limit`` chunks from the end; how many."""
    cdef uint64_t freed = 0
    while freed < limit and index.chunk_count > 0:
        index.chunk_count -= 1
        bytes[0] -= chunk_bytes(index.chunks[index.chunk_count])
        free(index.chunks[index.chunk_count])
        freed += 1
    if index.chunk_count == 0 and index.chunks != NULL:
        bytes[0] -= chunk_bytes(index.chunks)
        free(index.chunks)
        index.chunks = NULL
        index.chunk_capacity = 0
    return freed
