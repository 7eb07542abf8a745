# cython: wraparound=False, cdivision=True
"""The hash table of one collection's members: big sets, hashes (member: field) and sorted sets (score as value). C only.

It is made of the same parts as a slot of the keyspace: the buckets of ``buckets.pyx``, which grow in bounded steps and
hold the members in the order of their hashes, and entries from the heap that all tables of a keyspace share. An entry
is a member and the bytes of its value, which may be none, embedded whatever their length. There is nothing to be
released but memory, so that no Python code can run in the middle of a change.

*Scans.* A cursor is the top of a hash: all members with smaller hashes have been seen. That stays true while the table
grows and shrinks, which is the guarantee of Redis' SCAN family.

*Random members.* Hashes are spread evenly, so windows of equal width in the order of the hashes hold numbers of members
that hardly differ in their distribution, however far single segments have grown. A window is drawn at random, with
some six members on average, and one of ``WINDOW_RANKS`` ranks in it; where it has no such rank the draw is repeated.
Every member is so drawn with the same probability. Taking any member of a random bucket, as Redis once did, favours
members that have few neighbours. Small tables are walked to a random rank.

*Snapshots* (``snapshot.pyx``). A snapshot takes the members in the order of their hashes, some at a time. The table counts the
snapshots that began: that is its mark, which entries get when they are made, and when the snapshot has got them. What has
not got it and is about to change or to go is handed to the snapshot first. Sixteen bits are enough as long as a snapshot comes
to the end every now and then, for then all entries have the same mark; ``unfinished`` counts those that did not.

Refused memory leaves a table as it was: an entry is made before the table is touched, and replaced only when its
successor stands.
"""
from libc.string cimport memcpy

from kvorum.keyspace.buckets cimport (
    bucket_at,
    detach_overflow,
    free_buckets,
    insert_entry,
    prefetch_bucket,
    remove_entry,
)
from kvorum.keyspace.entry cimport EMBEDDED, entry_cost, key_of, room_in, value_of
from kvorum.keyspace.payload cimport Payload
from kvorum.keyspace.store cimport new_entry, release_entry
from kvorum.keyspace.walk cimport random_bits

cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long word) noexcept nogil

cdef enum:
    SPARE_BYTES = 64            # an entry may be so much longer than its content, or twice as long
    EXACT_RANK = 32             # members; a table up to this size is walked
    WINDOW_RANKS = 24
    TRIES = 200                 # then the first member from the window on is taken

cdef Bucket NOTHING             # an empty bucket, never changed
cdef uint64_t LONGEST = 0xFFFFFFFF      # a member or value, and a number of members, that an entry and a slot can hold


# Changing

cdef Entry* new_member(
    Heap* heap, const char* member, size_t size, const char* value, size_t value_size
) noexcept:
    """An entry that is in no table yet, or NULL."""
    cdef Payload payload
    if size > LONGEST or value_size > LONGEST:
        return NULL
    payload.kind = EMBEDDED
    payload.flags = 0
    payload.data = value
    payload.size = <uint32_t>value_size
    return new_entry(heap, member, <uint32_t>size, 0, &payload)


cdef int link_member(
    Heap* heap, Members* members, uint64_t hash, const char* member, size_t size, const char* value, size_t value_size,
    Entry** found
) noexcept:
    """Add a member that is not there; 1, or -1: no memory, nothing has changed."""
    cdef Entry* entry
    if members.slot.count == LONGEST:
        return -1
    entry = new_member(heap, member, size, value, value_size)
    if entry == NULL:
        return -1
    if insert_entry(heap, &members.slot, hash, entry, &members.bytes) < 0:
        release_entry(heap, entry)
        return -1
    entry.epoch = members.mark
    members.bytes += entry_cost(entry)
    found[0] = entry
    return 1


cdef int add_member(
    Heap* heap, Members* members, const char* member, size_t size, const char* value, size_t value_size, Entry** found
) noexcept:
    """Add a member with its value unless it is there, in which case it keeps its value. ``found``: its entry."""
    cdef uint64_t hash = member_hash(heap, member, size)
    cdef Entry** place = find_entry(&members.slot, hash, member, size)
    if place != NULL:
        found[0] = place[0]
        return 0
    return link_member(heap, members, hash, member, size, value, value_size, found)


cdef inline bint fits(Entry* entry, size_t needed) noexcept nogil:
    """Whether the allocation can stay as it is: big enough, and not much too big."""
    cdef size_t room = room_in(entry)
    return needed <= room and (room <= 2 * needed or room - needed <= SPARE_BYTES)


cdef int put_member(
    Heap* heap, Members* members, const char* member, size_t size, const char* value, size_t value_size, Entry** found
) noexcept:
    """Give a member a value, adding it if it is not there. ``value`` must not show the member's old one.

    ``found`` is its entry, a new one if the value's size has changed.
    """
    cdef uint64_t hash = member_hash(heap, member, size)
    cdef Entry** place = find_entry(&members.slot, hash, member, size)
    cdef Entry* entry
    if place == NULL:
        return link_member(heap, members, hash, member, size, value, value_size, found)
    entry = place[0]
    member_changes(members, entry)
    if entry.value_size == value_size or (
        value_size <= LONGEST and fits(entry, sizeof(Entry) + entry.key_size + value_size)
    ):
        memcpy(value_of(entry), value, value_size)
        entry.value_size = <uint32_t>value_size
        found[0] = entry
        return 0
    found[0] = new_member(heap, key_of(entry), entry.key_size, value, value_size)
    if found[0] == NULL:
        return -1
    found[0].epoch = members.mark
    members.bytes += entry_cost(found[0]) - entry_cost(entry)
    place[0] = found[0]
    release_entry(heap, entry)
    return 0


cdef Entry* detach_member(Heap* heap, Members* members, const char* member, size_t size) noexcept:
    """Take a member out; its entry is the caller's, to be given to ``discard_member``. NULL: it is not there.

    ``member`` may show the entry itself.
    """
    cdef uint64_t hash = member_hash(heap, member, size)
    cdef Entry** place = find_entry(&members.slot, hash, member, size)
    cdef Entry* entry
    if place == NULL:
        return NULL
    entry = place[0]
    member_changes(members, entry)
    remove_entry(heap, &members.slot, hash, place, &members.bytes)
    members.bytes -= entry_cost(entry)
    return entry


cdef void discard_member(Heap* heap, Entry* entry) noexcept:
    release_entry(heap, entry)


cdef bint remove_member(Heap* heap, Members* members, const char* member, size_t size) noexcept:
    """Whether it was there."""
    cdef Entry* entry = detach_member(heap, members, member, size)
    if entry == NULL:
        return False
    release_entry(heap, entry)
    return True


# Walking

cdef void begin_walk(MemberWalk* walk, Members* members) noexcept nogil:
    """At the first member. The table must not change until the walk is over."""
    walk.slot = &members.slot
    walk.bucket = NULL
    walk.following = 0
    if members.slot.count > 0:
        walk_on(walk)


cdef void walk_on(MemberWalk* walk) noexcept nogil:
    """To the bucket that follows; what the one after that points to is brought in meanwhile."""
    cdef uint64_t ahead
    enter_bucket(walk, bucket_at(walk.slot, walk.following, &walk.following))
    if walk.following != 0:
        prefetch_bucket(bucket_at(walk.slot, walk.following, &ahead))


cdef uint64_t begin_chain(MemberWalk* walk, Members* members, uint64_t cursor) noexcept nogil:
    """At the first member of the chain at a scan's cursor. Returns the cursor of the next one, 0: there is none."""
    cdef uint64_t hash = cursor << MEMBER_CURSOR_SHIFT
    walk.slot = &members.slot
    walk.following = hash
    if members.slot.count == 0:
        walk.bucket = &NOTHING
        walk.left = 0
        return 0
    walk_on(walk)
    return walk.following >> MEMBER_CURSOR_SHIFT


cdef Entry* random_member(Members* members, uint64_t* random) noexcept nogil:
    """Each member with the same chance. ``random`` is the state of ``random_bits``. The table must not be empty."""
    cdef Slot* slot = &members.slot
    cdef Entry* entry
    cdef unsigned int shared
    cdef int attempt
    if slot.count <= EXACT_RANK:
        return entry_from(slot, 0, 0, random_bits(random) % slot.count)
    # So many leading bits leave 4 to 8 members per window.
    shared = 61 - leading_zeros(slot.count)
    for attempt in range(TRIES):
        entry = entry_from(
            slot, random_bits(random) >> (64 - shared) << (64 - shared), shared, random_bits(random) % WINDOW_RANKS
        )
        if entry != NULL:
            return entry
    return entry_from(slot, 0, 0, random_bits(random) % EXACT_RANK)


cdef Entry* entry_from(Slot* slot, uint64_t hash, unsigned int shared, uint64_t rank) noexcept nogil:
    """The entry of a rank in the window of hashes that have the first ``shared`` bits of ``hash``; NULL: none.

    A bucket wider than the window stands for it.
    """
    cdef MemberWalk walk
    cdef Entry* entry
    cdef uint64_t last = 0
    cdef uint64_t end = hash + (<uint64_t>1 << (64 - shared)) if shared else 0
    walk.slot = slot
    walk.following = hash
    while True:
        enter_bucket(&walk, bucket_at(slot, walk.following, &walk.following))
        while True:
            entry = next_in_chain(&walk)
            if entry == NULL:
                break
            if last == rank:
                return entry
            last += 1
        if walk.following == 0 or (end != 0 and walk.following >= end):
            return NULL


# Whole tables

cdef int copy_members(Heap* heap, Members* source, Members* target) noexcept:
    """Into an empty table; -1: no memory, it is empty again."""
    cdef MemberWalk walk
    cdef Entry* entry
    cdef Entry* copied
    begin_walk(&walk, source)
    while True:
        entry = next_member(&walk)
        if entry == NULL:
            return 0
        if link_member(
            heap, target, member_hash(heap, key_of(entry), entry.key_size), key_of(entry), entry.key_size,
            value_of(entry), entry.value_size, &copied
        ) < 0:
            clear_members(heap, target)
            return -1


cdef uint64_t free_members(Heap* heap, Members* members, uint64_t* position, uint64_t budget) noexcept:
    """Free about ``budget`` members of a table that nobody uses any more, from a position on, 0 at first.

    Returns how many were freed; 0: none was left. Until then nothing else may be done with the table.
    """
    cdef MemberWalk walk
    cdef Entry* entry
    cdef Bucket* head
    cdef uint64_t freed = 0
    if members.slot.count == 0:
        return 0
    walk.slot = &members.slot
    walk.following = position[0]
    while True:
        head = bucket_at(walk.slot, walk.following, &position[0])
        walk_on(&walk)
        while True:
            entry = next_in_chain(&walk)
            if entry == NULL:
                break
            members.bytes -= entry_cost(entry)
            release_entry(heap, entry)
            freed += 1
        detach_overflow(heap, head, &members.bytes)
        if position[0] == 0:
            free_buckets(heap, &members.slot, &members.bytes)
            return freed
        if freed >= budget:
            return freed


cdef void clear_members(Heap* heap, Members* members) noexcept:
    """Free all; the table is empty then and can be used again."""
    cdef uint64_t position = 0
    free_members(heap, members, &position, LONGEST + 1)
