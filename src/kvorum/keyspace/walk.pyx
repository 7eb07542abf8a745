# cython: wraparound=False, cdivision=True
"""Ways through a store: in order, and at random. C only.

In order: ``seek`` moves a place on to the next slot that has keys, passing over empty groups and slots by their
counts; ``step`` takes the bucket there and moves on behind it. Between two calls anything may change: a place is a
point in the order of hashes, not in a table.

At random: the groups' and slots' counts give the slot of a uniformly random rank. A small slot is walked to the rank.
In a larger one a bucket is drawn by a random hash and one of ``CHAIN`` ranks in it; where the chain has no such rank
the draw is repeated, so that full buckets are taken as much more often as they have more keys. Chains longer than
that are so rare that their last keys' smaller chance does not matter.
"""
from kvorum.keyspace.buckets cimport BUCKET_ENTRIES, Slot, bucket_at, overflow_of
from kvorum.keyspace.store cimport GROUP_BITS, SLOT_COUNT, slot_in
from kvorum.keyspace.volatile_index cimport volatile_place

cdef enum:
    EXACT_RANK = 64             # keys; a slot up to this size is walked
    CHAIN = 14
    TRIES = 100                 # then the slot is walked all the same, from its beginning


cdef bint seek(Store* store, Place* place) noexcept nogil:
    """Whether there is anything from the place on; it moves to the slot where it is."""
    cdef Slot* slot
    if store.directory == NULL:
        return False
    while place.slot < SLOT_COUNT:
        if store.directory.counts[place.slot >> GROUP_BITS] == 0:
            place.slot = ((place.slot >> GROUP_BITS) + 1) << GROUP_BITS
        else:
            slot = slot_in(store, place.slot)
            if slot.count > 0:
                return True
            place.slot += 1
        place.hash = 0
    return False


cdef Bucket* step(Store* store, Place* place) noexcept nogil:
    """The head bucket at a place that ``seek`` has found."""
    cdef Bucket* bucket = bucket_at(slot_in(store, place.slot), place.hash, &place.hash)
    if place.hash == 0:
        place.slot += 1
    return bucket


cdef unsigned int random_slot(Store* store, uint64_t* random, uint64_t* rank) noexcept nogil:
    """The slot of a random key, and the key's rank in it. The store must not be empty."""
    cdef unsigned int group = 0, number = 0
    cdef Slot* slots
    cdef uint64_t left = random_bits(random) % store.count
    while left >= store.directory.counts[group]:
        left -= store.directory.counts[group]
        group += 1
    slots = store.directory.groups[group]
    while left >= slots[number].count:
        left -= slots[number].count
        number += 1
    rank[0] = left
    return (group << GROUP_BITS) + number


cdef Entry* random_entry(Store* store, uint64_t* random) noexcept nogil:
    """Each entry with nearly the same chance. The store must not be empty."""
    cdef uint64_t rank, hash = 0
    cdef Slot* slot = slot_in(store, random_slot(store, random, &rank))
    cdef Entry* entry = NULL
    cdef int attempt
    if slot.count > EXACT_RANK:
        for attempt in range(TRIES):
            entry = entry_in_chain(bucket_at(slot, random_bits(random), &hash), random_bits(random) % CHAIN)
            if entry != NULL:
                return entry
        hash = 0
        rank %= EXACT_RANK
    return entry_of_rank(slot, rank)


cdef Entry* random_volatile(Store* store, uint64_t* random) noexcept nogil:
    """A random entry that has an expiry. There must be one."""
    return volatile_place(&store.volatiles, random_bits(random) % store.volatiles.count)[0]


cdef Entry* entry_in_chain(Bucket* bucket, uint64_t rank) noexcept nogil:
    """NULL: the chain is shorter."""
    cdef int i
    while bucket != NULL:
        for i in range(BUCKET_ENTRIES):
            if bucket.present >> i & 1:
                if rank == 0:
                    return <Entry*>bucket.entries[i]
                rank -= 1
        bucket = overflow_of(bucket)
    return NULL


cdef Entry* entry_of_rank(Slot* slot, uint64_t rank) noexcept nogil:
    """The rank must be below the slot's count."""
    cdef uint64_t hash = 0
    cdef Bucket* bucket
    cdef int i
    while True:
        bucket = bucket_at(slot, hash, &hash)
        while bucket != NULL:
            for i in range(BUCKET_ENTRIES):
                if bucket.present >> i & 1:
                    if rank == 0:
                        return <Entry*>bucket.entries[i]
                    rank -= 1
            bucket = overflow_of(bucket)
