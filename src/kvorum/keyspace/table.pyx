# cython: wraparound=False, cdivision=True
"""Keyspace and Database over the compiled store. ``table.py`` has the contract, ``store`` and ``buckets`` the layout.

Every operation does the same three things: slot and hash of the key, the place of its entry (expired ones are removed
on the way), the change. Nothing here keeps a place over a call that can run Python code of others.

While a snapshot runs (``epoch`` is not 0; see ``snapshot.pyx``), it is asked before anything happens to an entry that does not
bear its epoch: by ``find_for_write`` and ``drop``, which all changes go through; by reads, if they move clocks that
matter; and before a value or buffer that was given out by its entry is changed in place.
"""
from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from kvorum import errors
from kvorum.keyspace.access_clock cimport (
    CLOCK_RESOLUTION_MS,
    LFU_INITIAL,
    LFU_MAXIMUM,
    idle_ms,
    lfu_clock,
    lfu_counter,
    lfu_raised,
    lru_clock,
)
from kvorum.keyspace.buckets cimport (
    BUCKET_ENTRIES,
    Bucket,
    Segment,
    Slot,
    bucket_index,
    matching_tags,
    overflow_of,
    segment_of,
)
from kvorum.keyspace.entry cimport (
    BUFFER,
    BYTES,
    EMBEDDED,
    INTEGER,
    OBJECT,
    RAW,
    VOLATILE,
    Entry,
    entry_cost,
    expiry_of,
    expiry_or_never,
    integer_of,
    key_of,
    prefetch_line,
    reference_of,
    room_in,
    value_of,
)
from kvorum.keyspace.hashing cimport hash_of_key, slot_of_key
from kvorum.keyspace.payload cimport (
    EMBEDDED_LIMIT,
    Payload,
    buffer_payload,
    object_payload,
    string_payload,
    value_bytes,
)
from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.slab cimport trim_heap
from kvorum.keyspace.store cimport (
    SLOT_COUNT,
    Store,
    change_expiry,
    discard_entry,
    entry_with_key,
    find_in_store,
    free_steps,
    link_entry,
    new_entry,
    release_entry,
    rewrite_entry,
    slot_in,
    store_bytes,
    unlink_entry,
)
from kvorum.keyspace.values cimport Value
from kvorum.keyspace.volatile_index cimport volatile_place
from kvorum.keyspace.walk cimport Place, random_bits, random_entry, random_slot, random_volatile, seek, step
from kvorum.resp.numbers cimport parse_integer_text, write_integer
from kvorum.resp.span cimport Span, absent_span

EXPIRY_DELETE = 0
EXPIRY_HIDE = 1
EXPIRY_IGNORE = 2
EXPIRED = "expired"
EVICTED = "evicted"
IDLENESS = 0
FREQUENCY = 1
TIME_TO_LIVE = 2
CURSOR_HASH_BITS = 39
DEFAULT_HASH_SEED = 0x9216D5D98979FB1B

cdef enum:
    DELETE_MODE = 0
    HIDE_MODE = 1
    IGNORE_MODE = 2
    BY_IDLENESS = 0
    BY_FREQUENCY = 1
    HASH_BITS = 39              # of a cursor: it stays below 2**53, which any client's number can hold
    DROPPED_BITS = 64 - HASH_BITS
    SHORT_STRING = 44           # up to here Redis embeds a string that was set whole
    MOST_KEYS = 1 << 28         # SCAN: a count beyond this says the same
    BUCKETS_PER_KEY = 10        # SCAN: empty buckets passed per wanted key
    REGION_COST = 4000          # entries that can be freed in the time of unmapping a region
    KEPT_REGIONS = 4            # unused ones, for what comes next
    PREFETCH_FROM = 1 << 21     # bytes of entries; fewer stay in the processor's caches by themselves
    LAZY_ELEMENTS = 64          # UNLINK: bigger objects are freed later
    ALL_AT_ONCE = 1 << 30
    RANDOM_TRIES = 100
    KEY_MISS = 1 << 11          # see events.py
    NEW_KEY = 1 << 14
    MISSES = 4
    NEW_KEYS = 8
    AWAITED = 16

cdef type WrongTypeError = errors.WrongTypeError
cdef type CommandError = errors.CommandError


cdef int64_t LARGEST = 0x7FFFFFFFFFFFFFFF


cdef inline Span span_of(bytes text):
    cdef Span span
    span.data = PyBytes_AS_STRING(text)
    span.size = PyBytes_GET_SIZE(text)
    span.owner = <PyObject*>text
    return span


cdef inline bytes key_bytes(Entry* entry):
    return PyBytes_FromStringAndSize(key_of(entry), entry.key_size)


cdef int64_t _call_clock(void* context) noexcept:
    return (<object>context)()


cdef class Keyspace:
    def __cinit__(self, int databases=16, seed=1, hash_seed=DEFAULT_HASH_SEED):
        cdef Commons commons
        cdef int i
        self.databases = []
        self.ready = []
        self.detached_objects = []
        commons = Commons(seed, hash_seed)
        self.commons = commons
        self.heap = &commons.heap
        self.commons_owned = <PyObject*>commons
        Py_INCREF(commons)      # until the stores are freed: the collector may clear `commons` before
        self.stores = <Store**>calloc(databases, sizeof(Store*))
        if self.stores == NULL:
            raise MemoryError
        self.store_count = databases
        for i in range(databases):
            self.stores[i] = <Store*>calloc(1, sizeof(Store))
            if self.stores[i] == NULL:
                raise MemoryError
            self.stores[i].heap = self.heap

    def __init__(self, int databases=16, seed=1, hash_seed=DEFAULT_HASH_SEED):
        self.random_state = seed or 1
        self.active_expiry = True
        self.lfu_log_factor = 10
        self.lfu_decay_time = 1
        self.max_string_bytes = 512 * 1024 * 1024
        for i in range(databases):
            self.databases.append(Database(self, i))

    def __dealloc__(self):
        cdef Store* aside
        cdef int i
        while self.kept != NULL:
            aside = self.kept
            self.kept = aside.following
            aside.following = self.detached
            self.detached = aside
        if self.stores != NULL:
            for i in range(self.store_count):
                if self.stores[i] != NULL:
                    self.stores[i].following = self.detached
                    self.detached = self.stores[i]
            free(self.stores)
        self.freeing = False
        while self.detached != NULL:
            self.free_stores(ALL_AT_ONCE)
        if self.heap != NULL:
            Py_DECREF(<object>self.commons_owned)

    # Clocks and chance

    cdef void touch(self, Entry* entry) noexcept:
        cdef uint32_t counter
        if not self.lfu:
            entry.clock = lru_clock(self.now_ms)
            return
        counter = lfu_counter(entry.clock, self.now_ms, self.lfu_decay_time)
        counter = lfu_raised(counter, self.lfu_log_factor, random_bits(&self.random_state))
        entry.clock = lfu_clock(counter, self.now_ms)

    @property
    def growth_clock(self):
        return self._growth_clock

    @growth_clock.setter
    def growth_clock(self, clock):
        self._growth_clock = clock
        self.heap.clock_context = <void*>clock
        self.heap.clock = NULL
        if clock is not None:
            self.heap.clock = _call_clock

    def growth_statistics(self):
        return {
            "count": self.heap.growth_count,
            "total_ns": self.heap.growth_total_ns,
            "longest_ns": self.heap.growth_longest_ns,
        }

    def reset_growth_statistics(self):
        self.heap.growth_count = 0
        self.heap.growth_total_ns = 0
        self.heap.growth_longest_ns = 0

    @property
    def hash_seed(self):
        return self.heap.hash_seed

    def configure_access_clock(self, str policy, int log_factor, int decay_minutes):
        self.lfu = policy.endswith("-lfu")
        self.lfu_log_factor = log_factor
        self.lfu_decay_time = decay_minutes

    # Memory

    @property
    def used_bytes(self):
        cdef int64_t total = 0
        cdef Store* store = self.detached
        cdef int i
        for i in range(self.store_count):
            total += store_bytes(self.stores[i])
        while store != NULL:
            total += store_bytes(store)
            store = store.following
        store = self.kept
        while store != NULL:
            total += store_bytes(store)
            store = store.following
        return total

    @property
    def reserved_bytes(self):
        return self.heap.reserved_bytes

    @property
    def pending_frees(self):
        cdef uint64_t total = len(self.detached_objects)
        cdef Store* store = self.detached
        while store != NULL:
            total += store.count
            store = store.following
        return total

    def free_some(self, budget_entries):
        cdef uint64_t freed = 0
        cdef object value
        if self.freeing:
            return 0
        while self.detached_objects and freed < budget_entries:
            value = self.detached_objects[len(self.detached_objects) - 1]
            release = getattr(value, "release_some", None)
            done = release(budget_entries - freed) if release is not None else 0
            if not done:
                self.detached_objects.pop()
                done = 1
                self.freed_lazily += 1
            freed += done
            value = None
        if freed < budget_entries:
            freed += self.free_stores(budget_entries - freed)
        if freed < budget_entries:
            freed += REGION_COST * trim_heap(self.heap, (budget_entries - freed) // REGION_COST + 1, KEPT_REGIONS)
        return freed

    cdef uint64_t free_stores(self, uint64_t budget) except? 0:
        """The work done, in entries; 0: nothing is left. A destructor that comes back here finds nothing to do."""
        cdef Store* store
        cdef Store** link
        cdef uint64_t freed = 0
        cdef uint64_t before
        cdef bint finished
        if self.freeing:
            return 0
        self.freeing = True
        while self.detached != NULL and freed < budget:
            store = self.detached
            before = store.count
            freed += free_steps(store, budget - freed, &finished)
            self.freed_lazily += before - store.count
            if not finished:
                break
            freed += 1
            link = &self.detached
            while link[0] != store:
                link = &link[0].following
            link[0] = store.following
            free(store)
        self.freeing = False
        return freed

    cdef int set_aside(self, Store* store) except -1:
        """Put the content of a store into the queue of what is to be freed, and leave the store empty.

        A snapshot that has not been through it keeps it from that.
        """
        cdef Store* aside = <Store*>calloc(1, sizeof(Store))
        if aside == NULL:
            raise MemoryError
        aside[0] = store[0]
        memset(store, 0, sizeof(Store))
        store.heap = self.heap
        if self.epoch and self.keeper.store_leaves(store, aside):
            aside.following = self.kept
            self.kept = aside
        else:
            aside.following = self.detached
            self.detached = aside
        return 0

    def swap(self, int first, int second):
        cdef Store* store
        cdef Database one, other
        if not (0 <= first < self.store_count and 0 <= second < self.store_count):
            raise IndexError((first, second))
        one = self.databases[first]
        other = self.databases[second]
        store = self.stores[first]
        self.stores[first] = self.stores[second]
        self.stores[second] = store
        one.store = self.stores[first]
        other.store = self.stores[second]
        one.average_ttl_ms, other.average_ttl_ms = other.average_ttl_ms, one.average_ttl_ms
        one.expiry_position, other.expiry_position = other.expiry_position, one.expiry_position

    def flush_all(self, bint asynchronous=False):
        cdef int64_t removed = 0
        for database in self.databases:
            removed += database.flush(asynchronous)
        return removed

    # Text of strings

    cdef Span text_of(self, Entry* entry) noexcept:
        cdef Span span
        cdef PyObject* reference
        span.owner = NULL
        if entry.kind == EMBEDDED:
            span.data = value_of(entry)
            span.size = entry.value_size
        elif entry.kind == INTEGER:
            self.next_digits = (self.next_digits + 1) % DIGIT_BUFFERS
            span.data = self.digits[self.next_digits]
            span.size = write_integer(self.digits[self.next_digits], integer_of(entry))
        elif entry.kind == BYTES:
            reference = reference_of(entry)
            span.data = PyBytes_AS_STRING(<bytes>reference)
            span.size = PyBytes_GET_SIZE(<bytes>reference)
            span.owner = reference
        else:
            reference = reference_of(entry)
            span.data = PyByteArray_AS_STRING(<bytearray>reference)
            span.size = PyByteArray_GET_SIZE(<bytearray>reference)
        return span


cdef inline uint32_t first_clock(Keyspace keyspace) noexcept:
    """The clock of a new entry."""
    return lfu_clock(LFU_INITIAL, keyspace.now_ms) if keyspace.lfu else lru_clock(keyspace.now_ms)


cdef tuple living_page(Database database, uint64_t cursor, long long count):
    """About ``count`` keys from a cursor on, without those that have expired, and the next cursor; changes nothing."""
    cdef list keys = database.gather(&cursor, count, [])
    return cursor, keys


cdef class Database:
    def __cinit__(self, Keyspace keyspace not None, int index):
        if not 0 <= index < keyspace.store_count:
            raise IndexError(index)
        self.keyspace = keyspace
        self.index = index
        self.store = keyspace.stores[index]

    # Lookups

    cdef bint is_due(self, Entry* entry) noexcept:
        return (
            entry.flags & VOLATILE
            and expiry_of(entry).at_ms < self.keyspace.now_ms
            and self.keyspace.expiry_mode != IGNORE_MODE
        )

    cdef Entry** find_for_read(self, Span key) except? NULL:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = find_in_store(self.store, slot, hash, key.data, key.size)
        if place == NULL:
            self.miss(key)
            return NULL
        if self.is_due(place[0]):
            if self.keyspace.expiry_mode == DELETE_MODE:
                self.expire(place, slot, hash)
            self.miss(key)
            return NULL
        self.keyspace.hits += 1
        if not self.keyspace.no_touch:
            if self.keyspace.epoch and place[0].epoch != self.keyspace.epoch:
                self.keyspace.keeper.entry_touched(self.store, place[0])
            self.keyspace.touch(place[0])
        return place

    cdef Entry** find_quietly(self, Span key, bint counted) except? NULL:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = find_in_store(self.store, slot, hash, key.data, key.size)
        if place != NULL and self.is_due(place[0]):
            if self.keyspace.expiry_mode == DELETE_MODE:
                self.expire(place, slot, hash)
            place = NULL
        if counted:
            if place == NULL:
                self.keyspace.misses += 1
            else:
                self.keyspace.hits += 1
        return place

    cdef Entry** find_for_write(self, Span key, unsigned int slot, uint64_t hash) except? NULL:
        cdef Entry** place = find_in_store(self.store, slot, hash, key.data, key.size)
        if place == NULL:
            return NULL
        if self.is_due(place[0]):
            # A hidden key that is written all the same makes room; that is not this node's decision to report.
            if self.keyspace.expiry_mode == DELETE_MODE:
                self.expire(place, slot, hash)
            else:
                self.drop(place, slot, hash)
            return NULL
        if self.keyspace.epoch and place[0].epoch != self.keyspace.epoch:
            self.keyspace.keeper.entry_changes(self.store, place[0])
        if not self.keyspace.no_touch:
            self.keyspace.touch(place[0])
        return place

    cdef Entry** peek_place(self, Span key) noexcept:
        cdef Entry** place = find_in_store(
            self.store,
            slot_of_key(key.data, key.size),
            hash_of_key(key.data, key.size, self.store.heap.hash_seed),
            key.data,
            key.size,
        )
        return place if place != NULL and not self.is_due(place[0]) else NULL

    cdef int drop(self, Entry** place, unsigned int slot, uint64_t hash) except -1:
        cdef Entry* entry = place[0]
        if self.keyspace.epoch and entry.epoch != self.keyspace.epoch:
            self.keyspace.keeper.entry_changes(self.store, entry)
        unlink_entry(self.store, slot, hash, place)
        discard_entry(self.store.heap, entry)
        return 0

    cdef int expire(self, Entry** place, unsigned int slot, uint64_t hash) except -1:
        cdef bytes key = key_bytes(place[0])
        self.drop(place, slot, hash)
        self.keyspace.expired_keys += 1
        if self.keyspace.on_removed is not None:
            self.keyspace.on_removed(self.index, key, EXPIRED)
        return 0

    cdef int miss(self, Span key) except -1:
        self.keyspace.misses += 1
        if self.keyspace.observed & MISSES:
            self.keyspace.on_event(KEY_MISS, b"keymiss", key.data[: key.size], self.index)
        return 0

    cdef int announce(self, Span key, bint is_object, bint is_new) except -1:
        """A key got a value: somebody asked to be told of that."""
        cdef bytes name = key.data[: key.size]
        if is_object and self.keyspace.observed & AWAITED:
            self.keyspace.ready.append((self.index, name))
        if is_new and self.keyspace.observed & NEW_KEYS:
            self.keyspace.on_event(NEW_KEY, b"new", name, self.index)
        return 0

    cdef bint outgrows_cache(self) noexcept:
        return self.store.entry_bytes >= PREFETCH_FROM

    cdef void prefetch(self, Span key) noexcept:
        cdef Slot* slot = NULL
        if self.store.entry_bytes >= PREFETCH_FROM:
            slot = slot_in(self.store, slot_of_key(key.data, key.size))
        cdef Segment* segment
        cdef uint64_t hash
        if slot != NULL and slot.count > 0:
            hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
            segment = segment_of(slot, hash)
            prefetch_line(<Bucket*>segment.root + bucket_index(hash << segment.depth, segment.bits))

    cdef void prefetch_entry(self, Span key) noexcept:
        cdef Slot* slot = NULL
        cdef Segment* segment
        cdef Bucket* bucket
        cdef uint64_t hash, line
        cdef int i
        if self.store.entry_bytes >= PREFETCH_FROM:
            slot = slot_in(self.store, slot_of_key(key.data, key.size))
        if slot == NULL or slot.count == 0:
            return
        hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        segment = segment_of(slot, hash)
        bucket = <Bucket*>segment.root + bucket_index(hash << segment.depth, segment.bits)
        memcpy(&line, bucket, 8)
        line = matching_tags(line, hash)
        for i in range(7):
            if line >> (8 * i + 7) & 1:
                prefetch_line(bucket.entries[i])

    # Strings through spans

    cdef Span read_string(self, Span key) except *:
        cdef Entry** place = self.find_for_read(key)
        if place == NULL:
            return absent_span()
        if place[0].kind == OBJECT:
            raise WrongTypeError()
        return self.keyspace.text_of(place[0])

    cdef Span read_string_or_absent(self, Span key) except *:
        cdef Entry** place = self.find_for_read(key)
        return absent_span() if place == NULL or place[0].kind == OBJECT else self.keyspace.text_of(place[0])

    cdef Span read_range(self, Span key, long long start, long long end) except *:
        cdef Span text = self.read_string(key)
        if text.data == NULL:
            text.data = self.keyspace.digits[0]
            text.size = 0
            return text
        if start < 0 and end < 0 and start > end:       # empty before anything is clipped, as in Redis
            text.owner = NULL
            text.size = 0
            return text
        if start < 0:
            start = start + text.size if start + text.size > 0 else 0
        if end < 0:
            end = end + text.size if end + text.size > 0 else 0
        if end >= text.size:
            end = text.size - 1
        if start == 0 and end == text.size - 1:
            return text
        text.owner = NULL
        if text.size == 0 or start > end:
            text.size = 0
        else:
            text.data += start
            text.size = end - start + 1
        return text

    cdef Py_ssize_t string_size(self, Span key) except? -1:
        cdef Entry** place = self.find_for_read(key)
        if place == NULL:
            return 0
        if place[0].kind == OBJECT:
            raise WrongTypeError()
        return self.keyspace.text_of(place[0]).size

    cdef int write_string(self, Span key, Span value) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = self.find_for_write(key, slot, hash)
        cdef Payload payload
        cdef Entry* entry
        string_payload(&payload, value)
        if place != NULL:
            entry = place[0]
            if (
                payload.kind == EMBEDDED
                and entry.kind == EMBEDDED
                and entry.value_size == payload.size
                and not entry.flags & VOLATILE
            ):
                entry.flags &= ~RAW
                memcpy(value_of(entry), payload.data, payload.size)
                return 0
        return self.put(key, slot, hash, place, 0, &payload)

    cdef int write_string_expiring(self, Span key, Span value, long long expire_ms, bint keep_ttl) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = self.find_for_write(key, slot, hash)
        cdef Payload payload
        string_payload(&payload, value)
        if keep_ttl and place != NULL:
            expire_ms = expiry_or_never(place[0])
        return self.put(key, slot, hash, place, expire_ms, &payload)

    cdef int put(
        self, Span key, unsigned int slot, uint64_t hash, Entry** place, int64_t expire_ms, Payload* payload
    ) except -1:
        """Store a value whose reference, if it has one, is taken over. ``place``: what find_for_write gave."""
        cdef PyObject* replaced = NULL
        cdef Entry* entry
        if place != NULL:
            if rewrite_entry(self.store, place, expire_ms, payload, &replaced) == 0:
                Py_XDECREF(replaced)
                return 0
        elif key.size <= <Py_ssize_t>0xFFFFFFFF:
            entry = new_entry(self.store.heap, key.data, <uint32_t>key.size, expire_ms, payload)
            if entry != NULL:
                entry.clock = first_clock(self.keyspace)
                if link_entry(self.store, slot, hash, entry) == 0:
                    if self.keyspace.observed & (AWAITED | NEW_KEYS):
                        self.announce(key, payload.kind == OBJECT, True)
                    return 0
                discard_entry(self.store.heap, entry)
                raise MemoryError
        if payload.kind >= BYTES:
            Py_XDECREF(payload.reference)
        raise MemoryError

    cdef char* open_string(self, Span key, Py_ssize_t minimum, Py_ssize_t* size) except NULL:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = self.find_for_write(key, slot, hash)
        cdef Entry* entry = NULL
        cdef Payload payload
        cdef Span old
        cdef char[EMBEDDED_LIMIT] text
        cdef int64_t before
        cdef object buffer
        old = absent_span()
        if place != NULL:
            entry = place[0]
            if entry.kind == OBJECT:
                raise WrongTypeError()
            old = self.keyspace.text_of(entry)
        size[0] = minimum if minimum > old.size else old.size
        if size[0] > self.keyspace.max_string_bytes:
            raise CommandError(errors.STRING_TOO_LONG)
        if entry != NULL and entry.kind == BUFFER:
            if self.keyspace.epoch:
                self.keyspace.keeper.value_changes(reference_of(entry))
            buffer = <object>reference_of(entry)
            if size[0] > old.size:
                before = value_bytes(entry)
                PyByteArray_Resize(buffer, size[0])
                memset(PyByteArray_AS_STRING(buffer) + old.size, 0, size[0] - old.size)
                self.store.entry_bytes += value_bytes(entry) - before
            return PyByteArray_AS_STRING(buffer)
        if size[0] <= EMBEDDED_LIMIT:
            if entry != NULL and entry.kind == EMBEDDED and has_room(entry, size[0]):
                memset(value_of(entry) + old.size, 0, size[0] - old.size)
                entry.value_size = <uint32_t>size[0]
                entry.flags |= RAW
                return value_of(entry)
            memcpy(text, old.data, old.size)
            memset(text + old.size, 0, size[0] - old.size)
            payload.kind = EMBEDDED
            payload.flags = RAW
            payload.data = text
            payload.size = <uint32_t>size[0]
        else:
            buffer = PyByteArray_FromStringAndSize(NULL, size[0])
            memcpy(PyByteArray_AS_STRING(buffer), old.data, old.size)
            memset(PyByteArray_AS_STRING(buffer) + old.size, 0, size[0] - old.size)
            buffer_payload(&payload, buffer)
        self.put(key, slot, hash, place, expiry_or_never(entry) if entry != NULL else 0, &payload)
        if payload.kind == BUFFER:
            return PyByteArray_AS_STRING(<bytearray>payload.reference)
        if place == NULL:
            place = find_in_store(self.store, slot, hash, key.data, key.size)
        return value_of(place[0])

    cdef Py_ssize_t append_string(self, Span key, Span value) except -1:
        cdef Entry** place = self.peek_place(key)
        cdef Py_ssize_t before, size
        cdef char* text
        if place == NULL:
            if value.size > self.keyspace.max_string_bytes:
                raise CommandError(errors.STRING_TOO_LONG)
            self.write_string(key, value)
            return value.size
        if place[0].kind == OBJECT:
            raise WrongTypeError()
        before = self.keyspace.text_of(place[0]).size
        text = self.open_string(key, before + value.size, &size)
        memcpy(text + before, value.data, value.size)
        return size

    cdef Py_ssize_t write_range(self, Span key, Py_ssize_t offset, Span value) except -1:
        cdef Py_ssize_t size
        cdef char* text
        if value.size == 0:
            return self.string_size(key)
        text = self.open_string(key, offset + value.size, &size)
        memcpy(text + offset, value.data, value.size)
        return size

    cdef long long increment_string(self, Span key, long long delta) except? -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = self.find_for_write(key, slot, hash)
        cdef Payload payload
        cdef Span text
        cdef int64_t number = 0
        cdef int64_t expire_ms = 0
        if place != NULL:
            if place[0].kind == INTEGER:
                number = integer_of(place[0])
            elif place[0].kind == OBJECT:
                raise WrongTypeError()
            else:
                text = self.keyspace.text_of(place[0])
                if not parse_integer_text(text.data, text.size, <long long*>&number):
                    raise CommandError(errors.NOT_AN_INTEGER)
            expire_ms = expiry_or_never(place[0])
        if (delta > 0 and number > LARGEST - delta) or (delta < 0 and number < -LARGEST - 1 - delta):
            raise CommandError(errors.INCREMENT_OVERFLOW)
        number += delta
        if place != NULL and place[0].kind == INTEGER:
            memcpy(value_of(place[0]), &number, sizeof(number))
            return number
        payload.kind = INTEGER
        payload.flags = 0
        payload.integer = number
        self.put(key, slot, hash, place, expire_ms, &payload)
        return number

    # Objects, removal, expiry through spans

    cdef object read_object(self, Span key):
        cdef Entry** place = self.find_for_read(key)
        if place == NULL:
            return None
        if place[0].kind != OBJECT:
            raise WrongTypeError()
        return <object>reference_of(place[0])

    cdef object open_object(self, Span key):
        cdef Entry** place = self.find_for_write(
            key, slot_of_key(key.data, key.size), hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        )
        if place == NULL:
            return None
        if place[0].kind != OBJECT:
            raise WrongTypeError()
        if self.keyspace.epoch:
            self.keyspace.keeper.value_changes(reference_of(place[0]))
        return <object>reference_of(place[0])

    cdef int write_object(self, Span key, object value, long long expire_ms, bint keep_ttl) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Payload payload
        cdef Entry** place
        object_payload(&payload, value)
        try:
            place = self.find_for_write(key, slot, hash)
        except BaseException:
            Py_XDECREF(payload.reference)
            raise
        if keep_ttl and place != NULL:
            expire_ms = expiry_or_never(place[0])
        return self.put(key, slot, hash, place, expire_ms, &payload)

    cdef bint contains(self, Span key) except -1:
        return self.look(key) != NULL

    cdef Entry** look(self, Span key) except? NULL:
        cdef Entry** place = self.find_quietly(key, True)
        if place == NULL and self.keyspace.observed & MISSES:
            self.keyspace.misses -= 1
            self.miss(key)
        return place

    cdef bint remove(self, Span key) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = self.find_for_write(key, slot, hash)
        if place == NULL:
            return False
        self.drop(place, slot, hash)
        return True

    cdef bint unlink_key(self, Span key) except -1:
        cdef Entry** place = self.peek_place(key)
        cdef object value = None
        cdef bint removed
        if place != NULL and place[0].kind == OBJECT:
            value = <object>reference_of(place[0])
        removed = self.remove(key)
        if value is not None and (<Value>value).elements() > LAZY_ELEMENTS:
            # A snapshot that still needs it frees it when it is done.
            if not (self.keyspace.epoch and self.keyspace.keeper.holds(<PyObject*>value)):
                self.keyspace.detached_objects.append(value)
        return removed

    cdef long long expiry_ms(self, Span key) except? -3:
        cdef Entry** place = self.look(key)
        if place == NULL:
            return -2
        return expiry_of(place[0]).at_ms if place[0].flags & VOLATILE else -1

    cdef bint write_expiry(self, Span key, long long expire_ms) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, self.store.heap.hash_seed)
        cdef Entry** place = self.find_for_write(key, slot, hash)
        if place == NULL:
            return False
        if change_expiry(self.store, place, expire_ms) < 0:
            raise MemoryError
        return True

    cdef object load(self, Entry* entry):
        cdef Span text
        if entry.kind >= BYTES and entry.kind != BUFFER:
            return <object>reference_of(entry)
        text = self.keyspace.text_of(entry)
        return PyBytes_FromStringAndSize(text.data, text.size)

    # Values, Python side

    def get(self, bytes key not None):
        cdef Entry** place = self.find_for_read(span_of(key))
        return self.load(place[0]) if place != NULL else None

    def peek(self, bytes key not None):
        cdef Entry** place = self.peek_place(span_of(key))
        return self.load(place[0]) if place != NULL else None

    def peek_many(self, keys):
        return [self.peek(key) for key in keys]

    def put_value(self, bytes key not None, value, long long expire_ms=0, bint keep_ttl=False):
        if isinstance(value, bytes):
            self.write_string_expiring(span_of(key), span_of(value), expire_ms, keep_ttl)
        else:
            self.write_object(span_of(key), value, expire_ms, keep_ttl)

    def get_string(self, bytes key not None):
        cdef Entry** place = self.find_for_read(span_of(key))
        if place == NULL:
            return None
        if place[0].kind == OBJECT:
            raise WrongTypeError()
        return self.load(place[0])

    def set_string(self, bytes key not None, bytes value not None, long long expire_ms=0, bint keep_ttl=False):
        if expire_ms or keep_ttl:
            self.write_string_expiring(span_of(key), span_of(value), expire_ms, keep_ttl)
        else:
            self.write_string(span_of(key), span_of(value))

    def string_length(self, bytes key not None):
        return self.string_size(span_of(key))

    def get_range(self, bytes key not None, long long start, long long end):
        cdef Span text = self.read_range(span_of(key), start, end)
        return <object>text.owner if text.owner != NULL else PyBytes_FromStringAndSize(text.data, text.size)

    def set_range(self, bytes key not None, Py_ssize_t offset, bytes value not None):
        return self.write_range(span_of(key), offset, span_of(value))

    def append(self, bytes key not None, bytes value not None):
        return self.append_string(span_of(key), span_of(value))

    def increment(self, bytes key not None, long long delta):
        return self.increment_string(span_of(key), delta)

    def set_bit(self, bytes key not None, Py_ssize_t offset, bint bit):
        cdef Py_ssize_t size
        cdef char* text = self.open_string(span_of(key), (offset >> 3) + 1, &size)
        cdef uint8_t mask = 0x80 >> (offset & 7)
        cdef uint8_t* octet = <uint8_t*>text + (offset >> 3)
        cdef bint before = octet[0] & mask
        octet[0] = octet[0] | mask if bit else octet[0] & ~mask
        return int(before)

    def get_object(self, bytes key not None):
        return self.read_object(span_of(key))

    def open_object_at(self, bytes key not None):
        return self.open_object(span_of(key))

    def expire_if_due(self, bytes key not None):
        cdef Entry** place = find_in_store(
            self.store, slot_of_key(key, len(key)), hash_of_key(key, len(key), self.store.heap.hash_seed), key, len(key)
        )
        if place == NULL or not self.is_due(place[0]):
            return False
        self.find_quietly(span_of(key), False)
        return True

    def set_object(self, bytes key not None, value, long long expire_ms=0, bint keep_ttl=False):
        self.write_object(span_of(key), value, expire_ms, keep_ttl)

    cpdef remeasure(self, Value value):
        cdef int64_t cost = value.used_bytes()
        cdef int64_t change = cost - value.accounted_bytes
        value.accounted_bytes = cost
        self.store.entry_bytes += change
        self.store.object_bytes += change

    # Keys, Python side

    def exists(self, bytes key not None):
        return self.contains(span_of(key))

    def touch(self, bytes key not None):
        return self.find_for_read(span_of(key)) != NULL

    def delete(self, bytes key not None):
        return self.remove(span_of(key))

    def unlink(self, bytes key not None):
        return self.unlink_key(span_of(key))

    def type_name(self, bytes key not None):
        cdef Entry** place = self.look(span_of(key))
        if place == NULL:
            return None
        return (<object>reference_of(place[0])).kind if place[0].kind == OBJECT else b"string"

    def encoding(self, bytes key not None):
        cdef Entry** place = self.find_quietly(span_of(key), True)
        if place == NULL:
            return None
        if place[0].kind == OBJECT:
            return (<object>reference_of(place[0])).encoding()
        if place[0].kind == INTEGER:
            return b"int"
        if place[0].kind == EMBEDDED and place[0].value_size <= SHORT_STRING and not place[0].flags & RAW:
            return b"embstr"
        return b"raw"

    def expire_at(self, bytes key not None):
        return self.expiry_ms(span_of(key))

    def lookup_for_write(self, bytes key not None):
        cdef Span span = span_of(key)
        return (
            self.find_for_write(
                span, slot_of_key(span.data, span.size), hash_of_key(span.data, span.size, self.store.heap.hash_seed)
            )
            != NULL
        )

    def expire_at_for_write(self, bytes key not None):
        cdef Span span = span_of(key)
        cdef Entry** place = self.find_for_write(
            span, slot_of_key(span.data, span.size), hash_of_key(span.data, span.size, self.store.heap.hash_seed)
        )
        if place == NULL:
            return -2
        return expiry_of(place[0]).at_ms if place[0].flags & VOLATILE else -1

    def set_expire(self, bytes key not None, long long expire_ms):
        return self.write_expiry(span_of(key), expire_ms)

    def persist(self, bytes key not None):
        cdef Entry** place = self.peek_place(span_of(key))
        cdef bint had = place != NULL and place[0].flags & VOLATILE
        self.write_expiry(span_of(key), 0)
        return had

    def rename(self, bytes key not None, bytes new_key not None):
        cdef Span old = span_of(key)
        cdef Span new = span_of(new_key)
        cdef unsigned int slot = slot_of_key(old.data, old.size)
        cdef unsigned int new_slot = slot_of_key(new.data, new.size)
        cdef uint64_t hash = hash_of_key(old.data, old.size, self.store.heap.hash_seed)
        cdef uint64_t new_hash = hash_of_key(new.data, new.size, self.store.heap.hash_seed)
        cdef Entry** place
        cdef Entry* entry
        cdef Entry* fresh
        if self.find_for_write(old, slot, hash) == NULL:
            return False
        if key == new_key:
            return True
        self.remove(new)
        place = find_in_store(self.store, slot, hash, old.data, old.size)
        if place == NULL:
            return False
        entry = place[0]
        fresh = entry_with_key(self.store.heap, entry, new.data, new.size)
        if fresh == NULL:
            raise MemoryError
        unlink_entry(self.store, slot, hash, place)
        release_entry(self.store.heap, entry)
        if link_entry(self.store, new_slot, new_hash, fresh) < 0:
            discard_entry(self.store.heap, fresh)
            raise MemoryError
        if self.keyspace.observed & (AWAITED | NEW_KEYS):
            self.announce(new, fresh.kind == OBJECT, True)
        return True

    def move(self, bytes key not None, Database destination not None):
        cdef Span span = span_of(key)
        cdef unsigned int slot = slot_of_key(span.data, span.size)
        cdef uint64_t hash = hash_of_key(span.data, span.size, self.store.heap.hash_seed)
        cdef Entry** place
        cdef Entry* entry
        assert destination.keyspace is self.keyspace, "databases of different keyspaces"
        if self.find_for_write(span, slot, hash) == NULL or destination.find_for_write(span, slot, hash) != NULL:
            return False
        place = find_in_store(self.store, slot, hash, span.data, span.size)
        if place == NULL:
            return False
        entry = place[0]
        unlink_entry(self.store, slot, hash, place)
        if link_entry(destination.store, slot, hash, entry) < 0:
            discard_entry(self.store.heap, entry)
            raise MemoryError
        if self.keyspace.observed & (AWAITED | NEW_KEYS):
            destination.announce(span, entry.kind == OBJECT, True)
        return True

    def copy(self, bytes key not None, Database destination not None, bytes new_key not None, bint replace=False):
        cdef Span new = span_of(new_key)
        cdef unsigned int slot = slot_of_key(new.data, new.size)
        cdef uint64_t hash = hash_of_key(new.data, new.size, self.store.heap.hash_seed)
        cdef Entry** place
        cdef Entry* source
        cdef Entry* fresh
        cdef PyObject* reference
        cdef object value = None
        assert destination.keyspace is self.keyspace, "databases of different keyspaces"
        assert destination is not self or key != new_key, "a key copied onto itself"
        if self.find_for_read(span_of(key)) == NULL:
            return False
        if destination.find_for_write(new, slot, hash) != NULL:
            if not replace:
                return False
            destination.remove(new)
        place = self.peek_place(span_of(key))
        if place == NULL:
            return False
        source = place[0]
        if source.kind == OBJECT:
            value = (<object>reference_of(source)).copy()
            (<Value>value).accounted_bytes = (<Value>value).used_bytes()
        elif source.kind == BUFFER:
            value = bytearray(<object>reference_of(source))
        elif source.kind == BYTES:
            value = <object>reference_of(source)
        fresh = entry_with_key(self.store.heap, source, new.data, new.size)
        if fresh == NULL:
            raise MemoryError
        if value is not None:
            Py_INCREF(value)
            reference = <PyObject*>value
            memcpy(value_of(fresh), &reference, sizeof(reference))
        fresh.clock = first_clock(self.keyspace)
        if link_entry(destination.store, slot, hash, fresh) < 0:
            discard_entry(self.store.heap, fresh)
            raise MemoryError
        if self.keyspace.observed & (AWAITED | NEW_KEYS):
            destination.announce(new, fresh.kind == OBJECT, True)
        return True

    # Walking

    def __len__(self):
        return self.store.count

    @property
    def volatile_count(self):
        return self.store.volatiles.count

    @property
    def used_bytes(self):
        return store_bytes(self.store)

    @property
    def table_bytes(self):
        return self.store.table_bytes

    @property
    def expiry_bytes(self):
        return self.store.expiry_bytes

    cdef list gather(self, uint64_t* cursor, long long count, list due):
        """The keys from a cursor on, whole buckets until there are ``count``; expired ones go to ``due``."""
        cdef list keys = []
        cdef Place place
        cdef Bucket* bucket
        cdef Entry* entry
        cdef long long buckets = 0
        cdef int i
        count = min(max(count, 1), MOST_KEYS)
        place.slot = <unsigned int>(cursor[0] >> HASH_BITS)
        place.hash = cursor[0] << DROPPED_BITS
        while seek(self.store, &place):
            if len(keys) >= count or buckets >= count * BUCKETS_PER_KEY:
                cursor[0] = (<uint64_t>place.slot << HASH_BITS) | (place.hash >> DROPPED_BITS)
                return keys
            bucket = step(self.store, &place)
            buckets += 1
            while bucket != NULL:
                for i in range(BUCKET_ENTRIES):
                    if bucket.present >> i & 1:
                        entry = <Entry*>bucket.entries[i]
                        (due if self.is_due(entry) else keys).append(key_bytes(entry))
                bucket = overflow_of(bucket)
        cursor[0] = 0
        return keys

    def scan(self, uint64_t cursor, long long count=10):
        cdef list due = []
        cdef list keys = self.gather(&cursor, count, due)
        for key in due:
            self.find_quietly(span_of(key), False)
        return cursor, keys

    def key_steps(self, long long count):
        cursor = 0
        while True:
            cursor, keys = living_page(self, cursor, count)
            yield keys
            if cursor == 0:
                return

    def slot_count(self, unsigned int slot):
        cdef Slot* table = slot_in(self.store, slot) if slot < SLOT_COUNT else NULL
        return table.count if table != NULL else 0

    def slot_keys(self, unsigned int slot, long long count):
        cdef uint64_t cursor = <uint64_t>slot << HASH_BITS
        cdef list keys = []
        cdef list found
        count = min(count, self.slot_count(slot))
        while len(keys) < count and cursor >> HASH_BITS == slot:
            found = self.gather(&cursor, count - len(keys), [])
            keys += [key for key in found if slot_of_key(key, len(key)) == slot]
            if cursor == 0:
                break
        return keys[:count] if count > 0 else []

    def random_key(self):
        cdef Entry* entry
        cdef bytes key
        cdef int attempt
        for attempt in range(RANDOM_TRIES):
            if self.store.count == 0:
                return None
            entry = random_entry(self.store, &self.keyspace.random_state)
            key = key_bytes(entry)
            if not self.is_due(entry):
                return key
            self.find_quietly(span_of(key), False)
        return key

    # Expiry and eviction

    def expire_some(self, long long limit):
        cdef uint64_t position
        cdef long long seen = 0, expired = 0, remaining = 0
        cdef Entry* entry
        cdef unsigned int slot
        cdef uint64_t hash
        cdef Entry** place
        while seen < limit and self.store.volatiles.count > 0:
            if self.expiry_position <= 0 or <uint64_t>self.expiry_position > self.store.volatiles.count:
                if seen > 0 and self.expiry_position <= 0:
                    break
                self.expiry_position = self.store.volatiles.count
            position = self.expiry_position - 1
            entry = volatile_place(&self.store.volatiles, position)[0]
            if position >= 4:
                prefetch_line(volatile_place(&self.store.volatiles, position - 4)[0])
            seen += 1
            self.expiry_position = position
            if expiry_of(entry).at_ms < self.keyspace.now_ms:
                expired += 1
                slot = slot_of_key(key_of(entry), entry.key_size)
                hash = hash_of_key(key_of(entry), entry.key_size, self.store.heap.hash_seed)
                place = find_in_store(self.store, slot, hash, key_of(entry), entry.key_size)
                self.expire(place, slot, hash)
            else:
                remaining += expiry_of(entry).at_ms - self.keyspace.now_ms
        return seen, expired, remaining

    def random_present_key(self):
        return key_bytes(random_entry(self.store, &self.keyspace.random_state)) if self.store.count else None

    def random_volatile_key(self):
        if self.store.volatiles.count == 0:
            return None
        return key_bytes(random_volatile(self.store, &self.keyspace.random_state))

    def eviction_sample(self, int count, bint volatile_only, int measure):
        """Up to ``count`` keys, each as (score, key): the higher the score, the better to lose it."""
        cdef list sample = []
        cdef Entry* entry
        cdef Place place
        cdef uint64_t rank
        cdef int i
        if volatile_only:
            for i in range(count if self.store.volatiles.count > 0 else 0):
                entry = random_volatile(self.store, &self.keyspace.random_state)
                sample.append((score_of(self.keyspace, entry, measure), key_bytes(entry)))
            return sample
        if self.store.count == 0:
            return sample
        # Neighbours in the order of the hash are as good as independent draws, and cost one walk.
        place.slot = random_slot(self.store, &self.keyspace.random_state, &rank)
        place.hash = random_bits(&self.keyspace.random_state)
        self.sample_from(&place, count, measure, sample)
        if not sample:
            # The walk began behind the last entry of all: there is one before that.
            place.slot = place.hash = 0
            self.sample_from(&place, count, measure, sample)
        return sample

    cdef int sample_from(self, Place* place, int count, int measure, list sample) except -1:
        cdef Entry* entry
        cdef Bucket* bucket
        cdef int i
        while len(sample) < count and seek(self.store, place):
            bucket = step(self.store, place)
            while bucket != NULL and len(sample) < count:
                for i in range(BUCKET_ENTRIES):
                    if bucket.present >> i & 1 and len(sample) < count:
                        entry = <Entry*>bucket.entries[i]
                        sample.append((score_of(self.keyspace, entry, measure), key_bytes(entry)))
                bucket = overflow_of(bucket)
        return 0

    def evict(self, bytes key not None, bint volatile_only=False):
        cdef Span span = span_of(key)
        cdef unsigned int slot = slot_of_key(span.data, span.size)
        cdef uint64_t hash = hash_of_key(span.data, span.size, self.store.heap.hash_seed)
        cdef Entry** place = find_in_store(self.store, slot, hash, span.data, span.size)
        if place == NULL or (volatile_only and not place[0].flags & VOLATILE):
            return False
        self.drop(place, slot, hash)
        self.keyspace.evicted_keys += 1
        if self.keyspace.on_removed is not None:
            self.keyspace.on_removed(self.index, key, EVICTED)
        return True

    # Facts about a key

    def idle_seconds(self, bytes key not None):
        cdef Entry** place = self.find_quietly(span_of(key), True)
        return idle_ms(place[0].clock, self.keyspace.now_ms) // 1000 if place != NULL else None

    def set_idle_seconds(self, bytes key not None, long long seconds):
        cdef Entry** place = self.peek_place(span_of(key))
        if place == NULL:
            return False
        if self.keyspace.epoch and place[0].epoch != self.keyspace.epoch:
            self.keyspace.keeper.entry_touched(self.store, place[0])
        place[0].clock = lru_clock(self.keyspace.now_ms - seconds * CLOCK_RESOLUTION_MS)
        return True

    def frequency(self, bytes key not None):
        cdef Entry** place = self.find_quietly(span_of(key), True)
        if place == NULL:
            return None
        return lfu_counter(place[0].clock, self.keyspace.now_ms, self.keyspace.lfu_decay_time)

    def set_frequency(self, bytes key not None, int frequency):
        cdef Entry** place = self.peek_place(span_of(key))
        if place == NULL:
            return False
        if self.keyspace.epoch and place[0].epoch != self.keyspace.epoch:
            self.keyspace.keeper.entry_touched(self.store, place[0])
        place[0].clock = lfu_clock(frequency & 0xFF, self.keyspace.now_ms)
        return True

    def clock(self, bytes key not None):
        cdef Entry** place = self.peek_place(span_of(key))
        return place[0].clock if place != NULL else None

    def entry_bytes(self, bytes key not None):
        cdef Entry** place = self.peek_place(span_of(key))
        return entry_cost(place[0]) + value_bytes(place[0]) + sizeof(void*) if place != NULL else None

    def entry_address(self, bytes key not None):
        cdef Entry** place = self.peek_place(span_of(key))
        return <size_t>place[0] if place != NULL else None

    # The whole

    def flush(self, bint asynchronous=False):
        cdef int64_t removed = self.store.count
        self.expiry_position = 0
        self.average_ttl_ms = 0
        if removed == 0:
            return 0
        self.keyspace.set_aside(self.store)
        if not asynchronous:
            while self.keyspace.detached != NULL and not self.keyspace.freeing:
                self.keyspace.free_stores(ALL_AT_ONCE)
        return removed


cdef inline bint has_room(Entry* entry, Py_ssize_t size) noexcept:
    return <size_t>(value_of(entry) - <char*>entry) + size <= room_in(entry)


cdef int64_t score_of(Keyspace keyspace, Entry* entry, int measure) noexcept:
    if measure == BY_IDLENESS:
        return idle_ms(entry.clock, keyspace.now_ms)
    if measure == BY_FREQUENCY:
        return LFU_MAXIMUM - <int64_t>lfu_counter(entry.clock, keyspace.now_ms, keyspace.lfu_decay_time)
    return -expiry_of(entry).at_ms if entry.flags & VOLATILE else -LARGEST
