"""C side of the slots' hash tables; the essay is in ``buckets.pyx``."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvorum.keyspace.entry cimport Entry, has_key
from kvorum.keyspace.slab cimport Heap

cdef extern from *:
    int trailing_zeros "__builtin_ctzll"(unsigned long long word) noexcept nogil

cdef enum:
    BUCKET_ENTRIES = 7
    OVERFLOW_BIT = 0x80
    SEGMENT_BITS = 8            # a segment has at most 256 buckets: what one growth step moves is bounded by that
    MAX_DIRECTORY_BITS = 30


cdef struct Bucket:             # one cache line
    uint8_t tags[BUCKET_ENTRIES]
    uint8_t present             # bit i: entries[i] is an entry; bit 7: entries[6] is the overflow bucket
    void* entries[BUCKET_ENTRIES]


cdef struct Segment:
    void* root                  # Bucket*; with directory_bits > 0 Segment**
    uint32_t count
    uint8_t bits                # log2 of the number of buckets
    uint8_t depth               # how many of the hash's top bits all its keys share
    uint8_t directory_bits
    uint8_t spare


ctypedef Segment Slot           # a slot is a segment of depth 0, or the directory of several


cdef inline uint64_t bucket_index(uint64_t hash, unsigned int bits) noexcept nogil:
    return (hash >> 1) >> (63 - bits)


cdef inline Segment* segment_of(Slot* slot, uint64_t hash) noexcept nogil:
    if slot.directory_bits == 0:
        return slot
    return (<Segment**>slot.root)[hash >> (64 - slot.directory_bits)]


cdef inline Bucket* bucket_of(Slot* slot, uint64_t hash) noexcept nogil:
    """The head bucket of a hash. The slot must not be empty."""
    cdef Segment* segment = segment_of(slot, hash)
    return <Bucket*>segment.root + bucket_index(hash << segment.depth, segment.bits)


cdef inline Bucket* overflow_of(Bucket* bucket) noexcept nogil:
    return <Bucket*>bucket.entries[BUCKET_ENTRIES - 1] if bucket.present & OVERFLOW_BIT else NULL


cdef inline uint64_t matching_tags(uint64_t line, uint64_t hash) noexcept nogil:
    """Bit 7 of each of the low seven bytes of a bucket's first word that equal the tag, the hash's low byte."""
    cdef uint64_t difference = line ^ (<uint64_t>0x01010101010101 * (hash & 0xFF))
    cdef uint64_t low = <uint64_t>0x7F7F7F7F7F7F7F7F
    return ~(((difference & low) + low) | difference | low) & <uint64_t>0x0080808080808080


cdef inline Entry** find_entry(Slot* slot, uint64_t hash, const char* key, size_t size) noexcept nogil:
    """Where the entry of a key hangs, or NULL. The place is valid until the next insertion or removal in the slot."""
    cdef Bucket* bucket
    cdef uint64_t line, hits
    cdef int i
    if slot.count == 0:
        return NULL
    bucket = bucket_of(slot, hash)
    while True:
        memcpy(&line, bucket, 8)
        hits = matching_tags(line, hash)
        while hits:
            i = trailing_zeros(hits) >> 3
            if (line >> (56 + i)) & 1 and has_key(<Entry*>bucket.entries[i], key, size):
                return <Entry**>&bucket.entries[i]
            hits &= hits - 1
        if not line >> 63:
            return NULL
        bucket = <Bucket*>bucket.entries[BUCKET_ENTRIES - 1]


cdef int insert_entry(Heap* heap, Slot* slot, uint64_t hash, Entry* entry, int64_t* bytes) noexcept
cdef void remove_entry(Heap* heap, Slot* slot, uint64_t hash, Entry** place, int64_t* bytes) noexcept
# To so many buckets (log2), of a slot without a directory that is not empty; -1: no memory, nothing has changed.
cdef int resize(Heap* heap, Segment* segment, unsigned int bits, int64_t* bytes) noexcept
cdef void prefetch_bucket(Bucket* bucket) noexcept nogil
cdef Bucket* bucket_at(Slot* slot, uint64_t hash, uint64_t* following) noexcept nogil
cdef Bucket* detach_overflow(Heap* heap, Bucket* head, int64_t* bytes) noexcept
cdef void free_buckets(Heap* heap, Slot* slot, int64_t* bytes) noexcept
cdef int64_t growth_begins(Heap* heap) noexcept
cdef void growth_ended(Heap* heap, int64_t began) noexcept
