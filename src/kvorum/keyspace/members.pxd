"""C side of the hash table of one collection's members; the essay is in ``members.pyx``.

All functions take the heap from which the table was made. ``Members`` needs no initialization but zeros, and an empty
table costs 0 bytes and owns nothing. Entries stay where they are until they are removed or get a value of another
size: other structures may point to them. No entry has an expiry, and no value is a Python object.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from kvorum.keyspace.buckets cimport (
    BUCKET_ENTRIES,
    OVERFLOW_BIT,
    Bucket,
    Slot,
    bucket_of,
    find_entry,
    trailing_zeros,
)
from kvorum.keyspace.entry cimport Entry, prefetch_line
from kvorum.keyspace.hashing cimport hash_of_key
from kvorum.keyspace.slab cimport Heap

cdef enum:
    MEMBER_CURSOR_SHIFT = 11    # a scan cursor is the hash without so many low bits: below 2**53
    MEMBER_CHAIN_MASK = 0x7F


cdef struct MemberKeeper:       # a snapshot that is on its way through a table
    void (*keep)(void* context, Entry* entry) noexcept
    void* context


cdef struct Members:
    Slot slot                   # slot.count: how many members
    int64_t bytes               # entries and buckets, as they were allocated
    MemberKeeper* keeper        # NULL: no snapshot is on its way
    uint16_t mark               # the epoch of entries that it has, or need not have; all have it, or never had, if none is
    uint16_t unfinished         # snapshots that began since one came to the end


cdef struct MemberWalk:         # a place in a table that must not change meanwhile
    Slot* slot
    Bucket* bucket              # the rest of its chain comes first
    uint64_t following          # then the bucket of this hash; 0: none
    uint32_t left               # bits of the entries in the bucket that are still to come


cdef inline uint64_t member_hash(Heap* heap, const char* member, size_t size) noexcept nogil:
    return hash_of_key(member, size, heap.hash_seed)


cdef inline uint64_t member_count(Members* members) noexcept nogil:
    return members.slot.count


cdef inline Entry* find_hashed(Members* members, uint64_t hash, const char* member, size_t size) noexcept nogil:
    """The entry of a member whose hash is known, or NULL."""
    cdef Entry** place = find_entry(&members.slot, hash, member, size)
    return place[0] if place != NULL else NULL


cdef inline Entry* find_member(Heap* heap, Members* members, const char* member, size_t size) noexcept nogil:
    """The entry of a member, or NULL. Its value is at ``value_of(entry)``, ``entry.value_size`` bytes long."""
    if members.slot.count == 0:
        return NULL
    return find_hashed(members, member_hash(heap, member, size), member, size)


cdef inline void member_changes(Members* members, Entry* entry) noexcept:
    """To be called before an entry or its value is changed or removed, unless a function below does that."""
    if members.keeper != NULL and entry.epoch != members.mark:
        entry.epoch = members.mark
        members.keeper.keep(members.keeper.context, entry)


cdef inline void prefetch_member(Members* members, uint64_t hash) noexcept nogil:
    """Bring in the bucket of a member that will be looked for soon."""
    if members.slot.count > 0:
        prefetch_line(bucket_of(&members.slot, hash))


# Walking through all:
#     begin_walk(&walk, &members)
#     while (entry := next_member(&walk)) != NULL: ...
# For a scan with a cursor that survives changes between two calls, a chain of a few members at a time:
#     cursor = begin_chain(&walk, &members, cursor)         # the next cursor, 0: this is the last chain
#     while (entry := next_in_chain(&walk)) != NULL: ...

cdef inline void enter_bucket(MemberWalk* walk, Bucket* bucket) noexcept nogil:
    cdef uint32_t present = bucket.present
    walk.bucket = bucket
    walk.left = present & (MEMBER_CHAIN_MASK >> (present >> 7))


cdef inline Entry* next_in_chain(MemberWalk* walk) noexcept nogil:
    """The next entry of the chain that ``begin_chain`` found, or NULL."""
    cdef int i
    while walk.left == 0:
        if not walk.bucket.present & OVERFLOW_BIT:
            return NULL
        enter_bucket(walk, <Bucket*>walk.bucket.entries[BUCKET_ENTRIES - 1])
    i = trailing_zeros(walk.left)
    walk.left &= walk.left - 1
    return <Entry*>walk.bucket.entries[i]


cdef inline Entry* next_member(MemberWalk* walk) noexcept nogil:
    """The next entry of all, in the order of the hashes, or NULL."""
    cdef Entry* entry
    if walk.bucket == NULL:
        return NULL
    while True:
        entry = next_in_chain(walk)
        if entry != NULL or walk.following == 0:
            return entry
        walk_on(walk)


cdef void begin_walk(MemberWalk* walk, Members* members) noexcept nogil
cdef void walk_on(MemberWalk* walk) noexcept nogil
cdef uint64_t begin_chain(MemberWalk* walk, Members* members, uint64_t cursor) noexcept nogil

# Results of add_member and put_member: 1 new, 0 the member was there, -1 no memory (nothing has changed).
cdef int add_member(
    Heap* heap, Members* members, const char* member, size_t size, const char* value, size_t value_size, Entry** found
) noexcept
cdef int put_member(
    Heap* heap, Members* members, const char* member, size_t size, const char* value, size_t value_size, Entry** found
) noexcept
cdef bint remove_member(Heap* heap, Members* members, const char* member, size_t size) noexcept
cdef Entry* detach_member(Heap* heap, Members* members, const char* member, size_t size) noexcept
cdef void discard_member(Heap* heap, Entry* entry) noexcept
cdef Entry* random_member(Members* members, uint64_t* random) noexcept nogil
cdef int copy_members(Heap* heap, Members* source, Members* target) noexcept
cdef uint64_t free_members(Heap* heap, Members* members, uint64_t* position, uint64_t budget) noexcept
cdef void clear_members(Heap* heap, Members* members) noexcept
