# cython: wraparound=False, cdivision=True
"""The entries of one database: slots, expiries, bytes. C only; ``table.pyx`` gives it its commands.

A store is a plain struct, so that SWAPDB exchanges two pointers and FLUSH puts a store aside whole, to be freed in
steps. Its directory, 128 groups of 128 slots, is made lazily and counts the keys of each group: an empty database is
this struct, and SCAN, RANDOMKEY and DBSIZE pass over empty groups.

*Accounting.* Every allocation is counted as it was made (the slab's size, or malloc's with its overhead) at that
moment, and again when it is freed; nothing is estimated but Python objects. An empty store
therefore always has 0 bytes.

*References.* BYTES, BUFFER and OBJECT entries own one reference. It is given up only when the table is consistent
again, because a value's destructor may run any code: functions here hand such references back instead of dropping
them in the middle.
"""
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove

from kvorum.keyspace.buckets cimport (
    BUCKET_ENTRIES,
    Bucket,
    bucket_at,
    detach_overflow,
    free_buckets,
    insert_entry,
    overflow_of,
    prefetch_bucket,
    remove_entry,
)
from kvorum.keyspace.entry cimport (
    BYTES,
    EMBEDDED,
    LOOSE,
    OBJECT,
    VOLATILE,
    Expiry,
    chunk_bytes,
    entry_cost,
    expiry_of,
    expiry_or_never,
    key_of,
    reference_of,
    room_in,
)
from kvorum.keyspace.payload cimport payload_of, payload_size, put_payload, value_bytes
from kvorum.keyspace.slab cimport SLAB_LIMIT, give, take
from kvorum.keyspace.volatile_index cimport (
    volatile_add,
    volatile_free_chunks,
    volatile_place,
    volatile_remove,
    volatile_reserve,
)

cdef enum:
    SPARE_BYTES = 64            # an entry may be so much longer than its content, or twice as long
    CHUNK_COST = 64             # freeing a chunk of the volatile index, counted in entries


# Entries

cdef Entry* allocate_entry(Heap* heap, size_t size) noexcept nogil:
    """Room for an entry of so many bytes; only its flags are set. NULL: no memory."""
    cdef bint loose = size > SLAB_LIMIT
    cdef Entry* entry = <Entry*>(malloc(size) if loose else take(heap, size))
    if entry != NULL:
        entry.flags = LOOSE if loose else 0
    return entry


cdef void release_entry(Heap* heap, Entry* entry) noexcept nogil:
    """Free the entry itself and nothing that it refers to."""
    if entry.flags & LOOSE:
        free(entry)
    else:
        give(heap, entry)


cdef Entry* new_entry(Heap* heap, const char* key, uint32_t key_size, int64_t expire_ms, Payload* payload) noexcept:
    """An entry that is in no table yet; ``expire_ms`` 0: never. NULL: no memory."""
    cdef Entry* entry = allocate_entry(
        heap, sizeof(Entry) + (sizeof(Expiry) if expire_ms else 0) + key_size + payload_size(payload)
    )
    if entry == NULL:
        return NULL
    if expire_ms:
        entry.flags |= VOLATILE
    entry.epoch = heap.epoch
    entry.clock = 0
    entry.key_size = key_size
    entry.value_size = 0
    if expire_ms:
        expiry_of(entry).at_ms = expire_ms
    memcpy(key_of(entry), key, key_size)
    put_payload(entry, payload)
    return entry


cdef Entry* entry_with_key(Heap* heap, Entry* entry, const char* key, Py_ssize_t size) noexcept:
    """A copy under another key; a reference is copied, not counted. NULL: no memory, or a key beyond 4 GiB."""
    cdef Payload payload
    cdef Entry* fresh
    if size > <Py_ssize_t>0xFFFFFFFFu:
        return NULL
    payload_of(&payload, entry)
    fresh = new_entry(heap, key, <uint32_t>size, expiry_or_never(entry), &payload)
    if fresh != NULL:
        fresh.clock = entry.clock
    return fresh


cdef void discard_entry(Heap* heap, Entry* entry) noexcept:
    """Free an entry that is in no table any more, and give up its reference."""
    cdef PyObject* reference = reference_of(entry) if entry.kind >= BYTES else NULL
    release_entry(heap, entry)
    Py_XDECREF(reference)


cdef int link_entry(Store* store, unsigned int slot, uint64_t hash, Entry* entry) noexcept:
    """Take an entry over whose key is not there; -1: no memory, nothing has changed."""
    cdef Slot** group
    cdef int64_t cost
    if store.directory == NULL:
        store.directory = <Directory*>calloc(1, sizeof(Directory))
        if store.directory == NULL:
            return -1
        store.table_bytes += chunk_bytes(store.directory)
    group = &store.directory.groups[slot >> GROUP_BITS]
    if group[0] == NULL:
        group[0] = <Slot*>calloc(GROUP_SLOTS, sizeof(Slot))
        if group[0] == NULL:
            give_directory(store)
            return -1
        store.table_bytes += chunk_bytes(group[0])
    if entry.flags & VOLATILE and volatile_reserve(store.heap, &store.volatiles, &store.expiry_bytes) < 0:
        give_group(store, slot)
        return -1
    if insert_entry(store.heap, group[0] + (slot & (GROUP_SLOTS - 1)), hash, entry, &store.table_bytes) < 0:
        give_group(store, slot)
        return -1
    if entry.flags & VOLATILE:
        volatile_add(&store.volatiles, entry)
    store.directory.counts[slot >> GROUP_BITS] += 1
    store.count += 1
    cost = value_bytes(entry)
    store.entry_bytes += entry_cost(entry) + cost
    if entry.kind == OBJECT:
        store.object_bytes += cost
    return 0


cdef void unlink_entry(Store* store, unsigned int slot, uint64_t hash, Entry** place) noexcept:
    """Take an entry out; it is the caller's then."""
    cdef Entry* entry = place[0]
    cdef int64_t cost = value_bytes(entry)
    cdef unsigned int group = slot >> GROUP_BITS
    remove_entry(store.heap, slot_in(store, slot), hash, place, &store.table_bytes)
    if entry.flags & VOLATILE:
        volatile_remove(&store.volatiles, entry, &store.expiry_bytes)
    store.directory.counts[group] -= 1
    store.count -= 1
    store.entry_bytes -= entry_cost(entry) + cost
    if entry.kind == OBJECT:
        store.object_bytes -= cost
    give_group(store, slot)


cdef void give_group(Store* store, unsigned int slot) noexcept:
    cdef unsigned int group = slot >> GROUP_BITS
    if store.directory.counts[group] == 0 and store.directory.groups[group] != NULL:
        store.table_bytes -= chunk_bytes(store.directory.groups[group])
        free(store.directory.groups[group])
        store.directory.groups[group] = NULL
        give_directory(store)


cdef void give_directory(Store* store) noexcept:
    if store.count == 0:
        store.table_bytes -= chunk_bytes(store.directory)
        free(store.directory)
        store.directory = NULL


cdef inline bint fits(Entry* entry, size_t needed) noexcept nogil:
    """Whether the allocation can stay as it is: big enough, and not much too big."""
    cdef size_t usable = room_in(entry)
    return needed <= usable and (usable <= 2 * needed or usable - needed <= SPARE_BYTES)


cdef int rewrite_entry(Store* store, Entry** place, int64_t expire_ms, Payload* payload, PyObject** replaced) noexcept:
    """Give an entry another value and expiry (0: none). The caller owns what it referred to before. -1: no memory."""
    cdef Entry* entry = place[0]
    cdef Entry* fresh
    cdef bint was_volatile = entry.flags & VOLATILE
    cdef size_t needed = sizeof(Entry) + (sizeof(Expiry) if expire_ms else 0) + entry.key_size + payload_size(payload)
    cdef int64_t cost
    replaced[0] = NULL
    if expire_ms and not was_volatile and volatile_reserve(store.heap, &store.volatiles, &store.expiry_bytes) < 0:
        return -1
    if fits(entry, needed):
        fresh = entry
    else:
        fresh = allocate_entry(store.heap, needed)
        if fresh == NULL:
            return -1
    if entry.kind >= BYTES:
        replaced[0] = reference_of(entry)
        cost = value_bytes(entry)
        store.entry_bytes -= cost
        if entry.kind == OBJECT:
            store.object_bytes -= cost
    if fresh != entry:
        store.entry_bytes += entry_cost(fresh) - entry_cost(entry)
    reshape(store, entry, fresh, expire_ms)
    if fresh != entry:
        place[0] = fresh
        release_entry(store.heap, entry)
    put_payload(fresh, payload)
    if payload.kind >= BYTES:
        store.entry_bytes += payload.reference_bytes
        if payload.kind == OBJECT:
            store.object_bytes += payload.reference_bytes
    return 0


cdef inline void copy_header(Entry* entry, Entry* fresh) noexcept nogil:
    """All but where it was allocated."""
    cdef uint8_t origin = fresh.flags & LOOSE
    fresh[0] = entry[0]
    fresh.flags = (entry.flags & ~LOOSE) | origin


cdef void reshape(Store* store, Entry* entry, Entry* fresh, int64_t expire_ms) noexcept:
    """Header, expiry and key of ``entry`` to ``fresh``, which may be the same; room in the index is reserved."""
    cdef bint was_volatile = entry.flags & VOLATILE
    cdef char* key = key_of(entry)
    if was_volatile and not expire_ms:
        volatile_remove(&store.volatiles, entry, &store.expiry_bytes)
    if fresh != entry:
        copy_header(entry, fresh)
    if expire_ms:
        fresh.flags |= VOLATILE
        if was_volatile and fresh != entry:
            expiry_of(fresh)[0] = expiry_of(entry)[0]
            volatile_place(&store.volatiles, expiry_of(fresh).position)[0] = fresh
    else:
        fresh.flags &= ~VOLATILE
    if key_of(fresh) != key:
        memmove(key_of(fresh), key, entry.key_size)
    if expire_ms:
        expiry_of(fresh).at_ms = expire_ms
        if not was_volatile:
            volatile_add(&store.volatiles, fresh)


cdef int change_expiry(Store* store, Entry** place, int64_t expire_ms) noexcept:
    """Set, change or (0) remove the expiry, the value stays. -1: no memory."""
    cdef Entry* entry = place[0]
    cdef Entry* fresh
    cdef bint was_volatile = entry.flags & VOLATILE
    cdef uint32_t size = entry.value_size if entry.kind == EMBEDDED else 8
    cdef size_t needed = sizeof(Entry) + sizeof(Expiry) + entry.key_size + size
    if was_volatile and expire_ms:
        expiry_of(entry).at_ms = expire_ms
        return 0
    if not was_volatile and not expire_ms:
        return 0
    if expire_ms and volatile_reserve(store.heap, &store.volatiles, &store.expiry_bytes) < 0:
        return -1
    if not expire_ms:
        # The value moves down after the key.
        volatile_remove(&store.volatiles, entry, &store.expiry_bytes)
        memmove(<char*>(entry + 1), key_of(entry), entry.key_size + size)
        entry.flags &= ~VOLATILE
        return 0
    if fits(entry, needed):
        memmove(<char*>(entry + 1) + sizeof(Expiry), key_of(entry), entry.key_size + size)
        fresh = entry
    else:
        fresh = allocate_entry(store.heap, needed)
        if fresh == NULL:
            return -1
        copy_header(entry, fresh)
        memcpy(<char*>(fresh + 1) + sizeof(Expiry), key_of(entry), entry.key_size + size)
        store.entry_bytes += entry_cost(fresh) - entry_cost(entry)
        place[0] = fresh
        release_entry(store.heap, entry)
    fresh.flags |= VOLATILE
    expiry_of(fresh).at_ms = expire_ms
    volatile_add(&store.volatiles, fresh)
    return 0


# Freeing a store that was put aside

cdef uint64_t free_steps(Store* store, uint64_t budget, bint* finished) except? 0:
    """Free up to about ``budget`` entries of a store that no database refers to; the work done, in entries."""
    cdef uint64_t freed = 0
    cdef Slot* group
    cdef Slot* slot
    cdef unsigned int number
    finished[0] = False
    freed = volatile_free_chunks(&store.volatiles, budget // CHUNK_COST + 1, &store.expiry_bytes) * CHUNK_COST
    if store.volatiles.chunk_count > 0:
        return freed
    while store.directory != NULL and freed < budget:
        number = store.freed_slots >> GROUP_BITS
        group = store.directory.groups[number]
        if group == NULL or (store.directory.counts[number] == 0 and store.freed_hash == 0):
            store.freed_slots = (number + 1) << GROUP_BITS
        else:
            slot = group + (store.freed_slots & (GROUP_SLOTS - 1))
            if slot.count > 0 and not empty_slot(store, slot, budget, &freed):
                break
            store.freed_slots += 1
        if store.freed_slots & (GROUP_SLOTS - 1) == 0 and group != NULL:
            store.table_bytes -= chunk_bytes(group)
            free(group)
            store.directory.groups[number] = NULL
        if store.freed_slots == SLOT_COUNT:
            store.table_bytes -= chunk_bytes(store.directory)
            free(store.directory)
            store.directory = NULL
    finished[0] = store.directory == NULL
    return freed


cdef bint empty_slot(Store* store, Slot* slot, uint64_t budget, uint64_t* freed) noexcept:
    """Free a slot's entries from ``freed_hash`` on while the budget lasts; whether it is done."""
    cdef Bucket* head
    cdef Bucket* bucket
    cdef Entry* entry
    cdef uint64_t following, ahead
    cdef int64_t cost
    cdef unsigned int group = store.freed_slots >> GROUP_BITS
    cdef int i
    while True:
        head = bucket_at(slot, store.freed_hash, &following)
        if following != 0:
            prefetch_bucket(bucket_at(slot, following, &ahead))
        bucket = head
        while bucket != NULL:
            for i in range(BUCKET_ENTRIES):
                if bucket.present >> i & 1:
                    entry = <Entry*>bucket.entries[i]
                    cost = value_bytes(entry)
                    store.entry_bytes -= entry_cost(entry) + cost
                    if entry.kind == OBJECT:
                        store.object_bytes -= cost
                    store.count -= 1
                    store.directory.counts[group] -= 1
                    freed[0] += 1
                    discard_entry(store.heap, entry)
            bucket = overflow_of(bucket)
        detach_overflow(store.heap, head, &store.table_bytes)
        store.freed_hash = following
        if following == 0:
            free_buckets(store.heap, slot, &store.table_bytes)
            return True
        if freed[0] >= budget:
            return False
