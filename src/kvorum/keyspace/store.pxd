"""C side of one database's entries; the essay is in ``store.pyx``."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvorum.keyspace.buckets cimport Slot, find_entry
from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.payload cimport Payload
from kvorum.keyspace.slab cimport Heap
from kvorum.keyspace.volatile_index cimport VolatileIndex

cdef enum:
    SLOT_COUNT = 16384
    GROUP_BITS = 7
    GROUP_SLOTS = 1 << GROUP_BITS
    GROUPS = SLOT_COUNT >> GROUP_BITS


cdef struct Directory:
    Slot* groups[GROUPS]        # made when a slot of the group gets its first key
    uint64_t counts[GROUPS]


cdef struct Store:
    Heap* heap
    Directory* directory        # NULL: no key
    uint64_t count
    VolatileIndex volatiles
    int64_t entry_bytes         # entries and their values, those of other types as they reported themselves
    int64_t object_bytes        # the part of it that such values reported
    int64_t table_bytes         # directory, groups, buckets
    int64_t expiry_bytes        # the volatile index
    int origin                  # the database whose content this was when the running snapshot began
    # Only for a store that is kept for a snapshot, or being freed:
    Store* following
    uint32_t freed_slots
    uint64_t freed_hash


cdef inline int64_t store_bytes(Store* store) noexcept nogil:
    return store.entry_bytes + store.table_bytes + store.expiry_bytes


cdef inline Slot* slot_in(Store* store, unsigned int slot) noexcept nogil:
    """NULL if no key was ever in the slot's group."""
    cdef Slot* group
    if store.directory == NULL:
        return NULL
    group = store.directory.groups[slot >> GROUP_BITS]
    return group + (slot & (GROUP_SLOTS - 1)) if group != NULL else NULL


cdef inline Entry** find_in_store(
    Store* store, unsigned int slot, uint64_t hash, const char* key, size_t size
) noexcept nogil:
    cdef Slot* table = slot_in(store, slot)
    return find_entry(table, hash, key, size) if table != NULL else NULL


cdef Entry* new_entry(Heap* heap, const char* key, uint32_t key_size, int64_t expire_ms, Payload* payload) noexcept
cdef Entry* entry_with_key(Heap* heap, Entry* entry, const char* key, Py_ssize_t size) noexcept
cdef int link_entry(Store* store, unsigned int slot, uint64_t hash, Entry* entry) noexcept
cdef void unlink_entry(Store* store, unsigned int slot, uint64_t hash, Entry** place) noexcept
cdef int rewrite_entry(Store* store, Entry** place, int64_t expire_ms, Payload* payload, PyObject** replaced) noexcept
cdef int change_expiry(Store* store, Entry** place, int64_t expire_ms) noexcept
cdef void release_entry(Heap* heap, Entry* entry) noexcept nogil
cdef void discard_entry(Heap* heap, Entry* entry) noexcept
cdef uint64_t free_steps(Store* store, uint64_t budget, bint* finished) except? 0
