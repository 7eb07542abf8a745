# cython: wraparound=False, cdivision=True
"""The hash table of one slot: buckets of one cache line, found by the top bits of the hash. C only.

A lookup costs two cache lines besides the slot's own: the bucket, which holds seven pointers and a one-byte tag of
each (the low byte of the hash), and the entry. A bucket that is full moves its last pointer into an overflow bucket
and points to that.

*Monotone in the hash.* The bucket is chosen by the top bits, so the buckets in order hold the keys in order of their
hash, at any size of the table. "Every key with a hash below h has been returned" is therefore a scan position that
stays true while the table grows and shrinks. Valkey's and Redis' tables take the low bits and need a bit-reversed
cursor over two tables instead.

*Growth in bounded steps.* A segment is one array of up to 512 buckets and doubles at once: at most 3,584 entries are
moved. Beyond that a slot becomes a directory (extendible hashing): 2^d pointers, chosen by the top d bits, to
segments that grow, split in two and merge with their neighbour each by itself. So a slot with ten million keys costs
no more per step than one with four thousand, there is never a second table to look into, and the usual small slot
pays nothing for it. Splitting one big array in place, some buckets per operation, was the alternative: it needs
mremap to be bounded and a state "half split" in every lookup.

Entries hold no hash, it is computed again when they move; the entries of buckets further on are prefetched meanwhile.

Memory that cannot be had while entries are on the move ends the process, as in Redis; an insertion alone fails
cleanly.
"""
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from kvorum.keyspace.entry cimport chunk_bytes, key_of, prefetch_line
from kvorum.keyspace.hashing cimport hash_of_key
from kvorum.keyspace.slab cimport give, take

cdef extern from "Python.h":
    void Py_FatalError(const char* message) noexcept

cdef enum:
    LINE = 64
    ENTRY_SLOTS = 0x7F
    PREFETCH_DISTANCE = 2       # buckets
    SPARSE_SHARE = 4            # a segment below 7/4 entries per bucket shrinks
    MERGE_SHARE = 2             # two segments merge to one at most half full

cdef const char* EXHAUSTED = "kvorum: out of memory while a hash table changes its size"


cdef Bucket* new_buckets(Heap* heap, unsigned int bits, int64_t* bytes) noexcept:
    """An array of empty buckets, or NULL."""
    cdef size_t size = <size_t>LINE << bits
    cdef Bucket* buckets = <Bucket*>take(heap, size)
    if buckets != NULL:
        memset(buckets, 0, size)
        bytes[0] += size
    return buckets


cdef void give_buckets(Heap* heap, Bucket* buckets, unsigned int bits, int64_t* bytes) noexcept:
    bytes[0] -= <int64_t>LINE << bits
    give(heap, buckets)


cdef void prefetch_bucket(Bucket* bucket) noexcept nogil:
    """Bring in what its pointers point to."""
    cdef int i
    for i in range(BUCKET_ENTRIES):
        if bucket.present >> i & 1 or bucket.present & OVERFLOW_BIT:
            prefetch_line(bucket.entries[i])


cdef inline uint64_t hash_of(Heap* heap, Entry* entry) noexcept nogil:
    return hash_of_key(key_of(entry), entry.key_size, heap.hash_seed)


cdef int put(Heap* heap, Bucket* bucket, uint8_t tag, void* entry, int64_t* bytes) noexcept:
    """Into the first free place of a chain; -1: no memory."""
    cdef unsigned int room
    cdef int i
    cdef Bucket* overflow
    while True:
        room = ~bucket.present & (ENTRY_SLOTS >> (bucket.present >> 7))
        if room:
            i = trailing_zeros(room)
            bucket.tags[i] = tag
            bucket.entries[i] = entry
            bucket.present |= 1 << i
            return 0
        if bucket.present & OVERFLOW_BIT:
            bucket = <Bucket*>bucket.entries[BUCKET_ENTRIES - 1]
            continue
        overflow = new_buckets(heap, 0, bytes)
        if overflow == NULL:
            return -1
        overflow.tags[0] = bucket.tags[BUCKET_ENTRIES - 1]
        overflow.entries[0] = bucket.entries[BUCKET_ENTRIES - 1]
        overflow.tags[1] = tag
        overflow.entries[1] = entry
        overflow.present = 3
        bucket.entries[BUCKET_ENTRIES - 1] = overflow
        bucket.present = (ENTRY_SLOTS >> 1) | OVERFLOW_BIT
        return 0


cdef void spread(Heap* heap, Segment* source, Segment* low, Segment* high, int64_t* bytes) noexcept:
    """Move all entries into another segment, or two (``high``) by the first bit after the depth; frees the buckets."""
    cdef Bucket* buckets = <Bucket*>source.root
    cdef Bucket* bucket
    cdef Bucket* overflow
    cdef Segment* target = low
    cdef uint64_t hash
    cdef uint32_t index, size = <uint32_t>1 << source.bits
    cdef int i
    for index in range(size + PREFETCH_DISTANCE):
        if index < size:
            prefetch_bucket(buckets + index)
        if index < PREFETCH_DISTANCE:
            continue
        bucket = buckets + (index - PREFETCH_DISTANCE)
        while bucket != NULL:
            for i in range(BUCKET_ENTRIES):
                if bucket.present >> i & 1:
                    hash = hash_of(heap, <Entry*>bucket.entries[i])
                    if high != NULL:
                        target = high if hash << source.depth >> 63 else low
                    if put(heap, <Bucket*>target.root + bucket_index(hash << target.depth, target.bits),
                           bucket.tags[i], bucket.entries[i], bytes) < 0:
                        Py_FatalError(EXHAUSTED)
                    target.count += 1
            overflow = overflow_of(bucket)
            if bucket < buckets or bucket >= buckets + size:
                give_buckets(heap, bucket, 0, bytes)
            bucket = overflow
    give_buckets(heap, buckets, source.bits, bytes)


# Growing and shrinking

cdef int64_t growth_begins(Heap* heap) noexcept:
    return heap.clock(heap.clock_context) if heap.clock != NULL else 0


cdef void growth_ended(Heap* heap, int64_t began) noexcept:
    cdef int64_t spent
    heap.growth_count += 1
    if heap.clock != NULL:
        spent = heap.clock(heap.clock_context) - began
        heap.growth_total_ns += spent
        if spent > heap.growth_longest_ns:
            heap.growth_longest_ns = spent


cdef int resize(Heap* heap, Segment* segment, unsigned int bits, int64_t* bytes) noexcept:
    cdef Segment fresh = segment[0]
    fresh.root = new_buckets(heap, bits, bytes)
    if fresh.root == NULL:
        return -1
    fresh.bits = bits
    fresh.count = 0
    spread(heap, segment, &fresh, NULL, bytes)
    segment[0] = fresh
    return 0


cdef Segment* new_segment(Heap* heap, unsigned int depth, unsigned int bits, int64_t* bytes) noexcept:
    cdef Segment* segment = <Segment*>calloc(1, sizeof(Segment))
    if segment == NULL:
        return NULL
    segment.root = new_buckets(heap, bits, bytes)
    if segment.root == NULL:
        free(segment)
        return NULL
    segment.depth = depth
    segment.bits = bits
    bytes[0] += chunk_bytes(segment)
    return segment


cdef void give_segment(Segment* segment, int64_t* bytes) noexcept:
    bytes[0] -= chunk_bytes(segment)
    free(segment)


cdef int deepen_directory(Slot* slot, int64_t* bytes) noexcept:
    """Twice as many pointers; a slot without a directory gets one of two."""
    cdef uint64_t size = <uint64_t>1 << slot.directory_bits
    cdef Segment** old = <Segment**>slot.root
    cdef Segment** directory
    cdef uint64_t i
    if slot.directory_bits == MAX_DIRECTORY_BITS:
        return -1
    directory = <Segment**>malloc(2 * size * sizeof(Segment*))
    if directory == NULL:
        return -1
    bytes[0] += chunk_bytes(directory)
    for i in range(size):
        directory[2 * i] = old[i]
        directory[2 * i + 1] = old[i]
    bytes[0] -= chunk_bytes(old)
    free(old)
    slot.root = directory
    slot.directory_bits += 1
    return 0


cdef int split_slot(Heap* heap, Slot* slot, int64_t* bytes) noexcept:
    """From one array to a directory of two."""
    cdef Segment** directory = <Segment**>malloc(2 * sizeof(Segment*))
    cdef Segment* low = new_segment(heap, 1, SEGMENT_BITS, bytes)
    cdef Segment* high = new_segment(heap, 1, SEGMENT_BITS, bytes)
    if directory == NULL or low == NULL or high == NULL:
        Py_FatalError(EXHAUSTED)
    bytes[0] += chunk_bytes(directory)
    spread(heap, slot, low, high, bytes)
    directory[0] = low
    directory[1] = high
    slot.root = directory
    slot.directory_bits = 1
    return 0


cdef int split_segment(Heap* heap, Slot* slot, Segment* segment, uint64_t hash, int64_t* bytes) noexcept:
    cdef Segment* low
    cdef Segment* high
    cdef Segment** directory
    cdef uint64_t first, half, i
    if segment.depth == slot.directory_bits and deepen_directory(slot, bytes) < 0:
        return -1
    low = new_segment(heap, segment.depth + 1, SEGMENT_BITS, bytes)
    high = new_segment(heap, segment.depth + 1, SEGMENT_BITS, bytes)
    if low == NULL or high == NULL:
        Py_FatalError(EXHAUSTED)
    spread(heap, segment, low, high, bytes)
    directory = <Segment**>slot.root
    half = <uint64_t>1 << (slot.directory_bits - segment.depth - 1)
    first = (hash >> (64 - slot.directory_bits)) & ~(2 * half - 1)
    for i in range(half):
        directory[first + i] = low
        directory[first + half + i] = high
    give_segment(segment, bytes)
    return 0


cdef int grow(Heap* heap, Slot* slot, Segment* segment, uint64_t hash, int64_t* bytes) noexcept:
    """A failure for want of memory is harmless: chains only get longer."""
    cdef int64_t began = growth_begins(heap)
    cdef int outcome
    if segment.bits < SEGMENT_BITS:
        outcome = resize(heap, segment, segment.bits + 1, bytes)
    elif slot.directory_bits == 0:
        outcome = split_slot(heap, slot, bytes)
    else:
        outcome = split_segment(heap, slot, segment, hash, bytes)
    growth_ended(heap, began)
    return outcome


cdef bint merge(Heap* heap, Slot* slot, Segment* segment, uint64_t hash, int64_t* bytes) noexcept:
    """Join a sparse segment with the one that differs in the last shared bit, if the two together are sparse too."""
    cdef Segment** directory = <Segment**>slot.root
    cdef uint64_t width = <uint64_t>1 << (slot.directory_bits - segment.depth)
    cdef uint64_t first = (hash >> (64 - slot.directory_bits)) & ~(width - 1)
    cdef Segment* buddy = directory[first ^ width]
    cdef Segment* joined
    cdef uint64_t i
    cdef bint deepest = segment.depth == slot.directory_bits
    if buddy.depth != segment.depth or segment.count + buddy.count > ((BUCKET_ENTRIES << SEGMENT_BITS) // MERGE_SHARE):
        return False
    joined = new_segment(heap, segment.depth - 1, SEGMENT_BITS, bytes)
    if joined == NULL:
        return False
    spread(heap, segment, joined, NULL, bytes)
    spread(heap, buddy, joined, NULL, bytes)
    give_segment(segment, bytes)
    give_segment(buddy, bytes)
    first &= ~width
    for i in range(2 * width):
        directory[first + i] = joined
    if deepest:
        flatten_directory(slot, bytes)
    return True


cdef void flatten_directory(Slot* slot, int64_t* bytes) noexcept:
    """Halve the directory while no segment needs its last bit; with one segment left the slot is that segment."""
    cdef Segment** directory = <Segment**>slot.root
    cdef Segment* only
    cdef uint64_t i, size = <uint64_t>1 << slot.directory_bits
    for i in range(0, size, 2):
        if directory[i].depth == slot.directory_bits:
            return
    if size == 2:
        only = directory[0]
        bytes[0] -= chunk_bytes(directory)
        free(directory)
        slot[0] = only[0]
        give_segment(only, bytes)
        return
    for i in range(size // 2):
        directory[i] = directory[2 * i]
    bytes[0] -= chunk_bytes(directory)
    slot.root = realloc(directory, size // 2 * sizeof(Segment*))
    if slot.root == NULL:
        slot.root = directory
    bytes[0] += chunk_bytes(slot.root)
    slot.directory_bits -= 1


cdef void shrink(Heap* heap, Slot* slot, Segment* segment, uint64_t hash, int64_t* bytes) noexcept:
    cdef int64_t began = growth_begins(heap)
    if slot.directory_bits == 0 or not merge(heap, slot, segment, hash, bytes):
        if segment.bits > 0:
            resize(heap, segment, segment.bits - 1, bytes)
    growth_ended(heap, began)


# Entries

cdef int insert_entry(Heap* heap, Slot* slot, uint64_t hash, Entry* entry, int64_t* bytes) noexcept:
    """Add the entry of a key that is not there; -1: no memory, nothing has changed."""
    cdef Segment* segment
    cdef Bucket* bucket
    if slot.count == 0:
        slot.root = new_buckets(heap, 0, bytes)
        if slot.root == NULL:
            return -1
        slot.bits = 0
        slot.depth = 0
        slot.directory_bits = 0
    segment = segment_of(slot, hash)
    if segment.count >= <uint32_t>BUCKET_ENTRIES << segment.bits:
        grow(heap, slot, segment, hash, bytes)
        segment = segment_of(slot, hash)
    bucket = <Bucket*>segment.root + bucket_index(hash << segment.depth, segment.bits)
    if put(heap, bucket, hash & 0xFF, entry, bytes) < 0:
        return -1
    segment.count += 1
    if segment != slot:
        slot.count += 1
    return 0


cdef void close_gap(Heap* heap, Bucket* bucket, int gap, int64_t* bytes) noexcept:
    """Fill a gap from the end of the chain; an overflow bucket that has one entry left gives it to its predecessor."""
    cdef Bucket* before = bucket
    cdef Bucket* last = <Bucket*>bucket.entries[BUCKET_ENTRIES - 1]
    cdef int i
    while last.present & OVERFLOW_BIT:
        before = last
        last = <Bucket*>last.entries[BUCKET_ENTRIES - 1]
    i = trailing_zeros(last.present)
    bucket.tags[gap] = last.tags[i]
    bucket.entries[gap] = last.entries[i]
    bucket.present |= 1 << gap
    last.present &= ~(1 << i)
    fold_overflow(heap, before, last, bytes)


cdef void fold_overflow(Heap* heap, Bucket* before, Bucket* last, int64_t* bytes) noexcept:
    cdef int i
    if last.present & (last.present - 1):
        return
    i = trailing_zeros(last.present)
    before.tags[BUCKET_ENTRIES - 1] = last.tags[i]
    before.entries[BUCKET_ENTRIES - 1] = last.entries[i]
    before.present = ENTRY_SLOTS
    give_buckets(heap, last, 0, bytes)


cdef void remove_entry(Heap* heap, Slot* slot, uint64_t hash, Entry** place, int64_t* bytes) noexcept:
    """Take the pointer at ``place``, which find_entry gave, out of the table; the entry itself is the caller's."""
    cdef Segment* segment = segment_of(slot, hash)
    cdef Bucket* bucket = <Bucket*>(<size_t>place & ~<size_t>(LINE - 1))
    cdef Bucket* before
    cdef int i = (<size_t>place & (LINE - 1)) // sizeof(void*) - 1
    bucket.present &= ~(1 << i)
    if bucket.present & OVERFLOW_BIT:
        close_gap(heap, bucket, i, bytes)
    else:
        before = <Bucket*>segment.root + bucket_index(hash << segment.depth, segment.bits)
        if before != bucket:
            while <Bucket*>before.entries[BUCKET_ENTRIES - 1] != bucket:
                before = <Bucket*>before.entries[BUCKET_ENTRIES - 1]
            fold_overflow(heap, before, bucket, bytes)
    segment.count -= 1
    if segment != slot:
        slot.count -= 1
    if slot.count == 0:
        free_buckets(heap, slot, bytes)
    elif segment.bits > 0 and segment.count < (<uint32_t>BUCKET_ENTRIES << segment.bits) // SPARSE_SHARE:
        shrink(heap, slot, segment, hash, bytes)


# Walking

cdef Bucket* bucket_at(Slot* slot, uint64_t hash, uint64_t* following) noexcept nogil:
    """The head bucket of a hash, and the first hash of the next bucket (0: none). The slot must not be empty."""
    cdef Segment* segment = segment_of(slot, hash)
    cdef unsigned int shared = segment.depth + segment.bits
    cdef uint64_t width
    if shared == 0:
        following[0] = 0
    else:
        width = <uint64_t>1 << (64 - shared)
        following[0] = (hash & ~(width - 1)) + width
    return <Bucket*>segment.root + bucket_index(hash << segment.depth, segment.bits)


cdef Bucket* detach_overflow(Heap* heap, Bucket* head, int64_t* bytes) noexcept:
    """Free the overflow chain of a bucket whose entries have all been taken; the bucket is empty then."""
    cdef Bucket* bucket = overflow_of(head)
    cdef Bucket* following
    head.present = 0
    while bucket != NULL:
        following = overflow_of(bucket)
        give_buckets(heap, bucket, 0, bytes)
        bucket = following
    return head


cdef void free_buckets(Heap* heap, Slot* slot, int64_t* bytes) noexcept:
    """The slot's arrays; its entries and overflow buckets must be gone."""
    cdef Segment** directory = <Segment**>slot.root
    cdef Segment* segment
    cdef uint64_t i = 0, size = <uint64_t>1 << slot.directory_bits
    if slot.root == NULL:
        return
    if slot.directory_bits == 0:
        give_buckets(heap, <Bucket*>slot.root, slot.bits, bytes)
    else:
        while i < size:
            segment = directory[i]
            i += <uint64_t>1 << (slot.directory_bits - segment.depth)
            give_buckets(heap, <Bucket*>segment.root, segment.bits, bytes)
            give_segment(segment, bytes)
        bytes[0] -= chunk_bytes(directory)
        free(directory)
    slot.root = NULL
    slot.count = 0
    slot.bits = 0
    slot.directory_bits = 0
