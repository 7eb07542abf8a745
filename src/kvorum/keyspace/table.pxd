"""C side of the entry table; ``table.py`` documents the Python side."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.keeper cimport Keeper
from kvorum.keyspace.slab cimport Heap
from kvorum.keyspace.payload cimport Payload
from kvorum.keyspace.store cimport Store
from kvorum.keyspace.values cimport Value
from kvorum.keyspace.walk cimport Place
from kvorum.resp.span cimport Span

cdef enum:
    DIGIT_BUFFERS = 8
    DIGIT_BYTES = 24


cdef class Keyspace:
    cdef public long long now_ms
    cdef readonly list databases
    cdef public long long hits
    cdef public long long misses
    cdef public long long expired_keys
    cdef public long long evicted_keys
    cdef public long long freed_lazily
    cdef public int expiry_mode                 # EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE
    cdef public bint active_expiry
    cdef public bint no_touch
    cdef public bint lfu
    cdef public int lfu_log_factor
    cdef public int lfu_decay_time
    cdef public long long max_string_bytes
    cdef public object on_removed
    cdef public uint64_t random_state
    cdef object _growth_clock
    cdef readonly Commons commons               # what values share
    cdef PyObject* commons_owned
    cdef Heap* heap                             # that of commons
    cdef public int observed                    # what somebody wants to be told of: bits, see events.py
    cdef public object on_modified              # called with (database index, key, session or None)
    cdef public object on_event                 # called with (kind, name, key, database index)
    cdef public list ready                      # (database index, key) that got an object while somebody waits for such
    cdef Store** stores                         # owned here, so that they outlive the databases in a collected cycle
    cdef int store_count
    cdef Store* detached
    cdef Store* kept                            # flushed, but the snapshot that runs still needs them
    cdef uint16_t epoch                         # number of the snapshot that runs, 0: none
    cdef public uint16_t last_epoch
    cdef public unsigned int unfinished         # snapshots that began since one came to the end
    cdef Keeper keeper                          # the snapshot, if the epoch is not 0
    cdef list detached_objects
    cdef bint freeing
    cdef char[DIGIT_BUFFERS][DIGIT_BYTES] digits    # text of integers that read_string has shown
    cdef unsigned int next_digits

    cdef void touch(self, Entry* entry) noexcept
    cdef Span text_of(self, Entry* entry) noexcept
    cdef int set_aside(self, Store* store) except -1
    cdef uint64_t free_stores(self, uint64_t budget) except? 0


cdef class Database:
    cdef readonly Keyspace keyspace
    cdef readonly int index
    cdef public long long average_ttl_ms        # for INFO; the active expiry keeps it
    cdef public long long expiry_position       # where the active expiry walks; see expire_some
    cdef Store* store

    # Hot path: no Python object is made. An expired key counts as absent and is removed.
    # A Span that is read shows memory of the table: valid until the next change of the table. The text of an integer
    # stands in a ring of DIGIT_BUFFERS buffers: valid for so many further reads. A Span that is written must not show
    # memory of a table.
    cdef Span read_string(self, Span key) except *              # absent: data == NULL
    cdef Span read_string_or_absent(self, Span key) except *    # another type: absent
    cdef Span read_range(self, Span key, long long start, long long end) except *   # absent: empty
    cdef Py_ssize_t string_size(self, Span key) except? -1      # absent: 0
    cdef int write_string(self, Span key, Span value) except -1 # SET: replaces any type, drops the expiry
    cdef int write_string_expiring(self, Span key, Span value, long long expire_ms, bint keep_ttl) except -1
    cdef Py_ssize_t append_string(self, Span key, Span value) except -1     # the new size
    cdef Py_ssize_t write_range(self, Span key, Py_ssize_t offset, Span value) except -1    # the new size
    # Bytes to be changed in place, zero-padded to the minimum.
    cdef char* open_string(self, Span key, Py_ssize_t minimum, Py_ssize_t* size) except NULL
    cdef long long increment_string(self, Span key, long long delta) except? -1
    cdef object read_object(self, Span key)                     # absent: None; a string: WrongTypeError
    cdef object open_object(self, Span key)                     # the same as a write: touches, counts nothing
    cdef int write_object(self, Span key, object value, long long expire_ms, bint keep_ttl) except -1
    cpdef remeasure(self, Value value)                          # after a value in this database has changed its size
    cdef bint contains(self, Span key) except -1
    cdef bint remove(self, Span key) except -1
    cdef bint unlink_key(self, Span key) except -1
    cdef long long expiry_ms(self, Span key) except? -3         # -1: none, -2: no key
    cdef bint write_expiry(self, Span key, long long expire_ms) except -1   # 0 removes it; whether the key is there
    # For a run of requests: first prefetch the bucket of each key, then, when that has arrived, the entries with its
    # tag.
    cdef bint outgrows_cache(self) noexcept         # whether prefetching is worth anything
    cdef void prefetch(self, Span key) noexcept
    cdef void prefetch_entry(self, Span key) noexcept

    # Lookups; the place is valid until the next change of the table.
    cdef Entry** find_for_read(self, Span key) except? NULL     # statistics, clock
    cdef Entry** find_quietly(self, Span key, bint counted) except? NULL    # no clock
    cdef Entry** look(self, Span key) except? NULL              # find_quietly that tells of misses
    cdef int miss(self, Span key) except -1
    cdef int announce(self, Span key, bint is_object, bint is_new) except -1
    cdef Entry** find_for_write(self, Span key, unsigned int slot, uint64_t hash) except? NULL
    cdef Entry** peek_place(self, Span key) noexcept            # nothing at all; an expired key is absent
    cdef bint is_due(self, Entry* entry) noexcept
    cdef int expire(self, Entry** place, unsigned int slot, uint64_t hash) except -1
    cdef int drop(self, Entry** place, unsigned int slot, uint64_t hash) except -1
    cdef int put(
        self, Span key, unsigned int slot, uint64_t hash, Entry** place, int64_t expire_ms, Payload* payload
    ) except -1
    cdef object load(self, Entry* entry)
    cdef list gather(self, uint64_t* cursor, long long count, list due)
    cdef int sample_from(self, Place* place, int count, int measure, list sample) except -1
