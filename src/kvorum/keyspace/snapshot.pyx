# cython: wraparound=False, cdivision=True
"""Snapshots without fork: see ``snapshot.py`` for what they promise. Here is how.

*Which keys are done.* Every entry bears an epoch. The number of the snapshot is written there when its record is
made, and into every entry that is made meanwhile, so that one comparison tells whether a key is done, or need not be.
The table asks this before any change (``keeper.pxd``). Numbers come again after 65,535 snapshots; a walk that came to
its end has left its own everywhere, so old ones can be around only after so many in a row that did not, and before
that the keyspace forgets them.

*The walk* goes from bucket to bucket, in the order of slots and hashes, which stays what it is while tables grow and
shrink. It follows the stores and not the databases: SWAPDB moves them, FLUSH puts them aside, where they are kept
until the walk is through.

*What is about to change* is written at once if it is small. A big value is *held*: a copy of its entry's header and
key keeps a reference. That is enough when the key goes, gets another value, name or expiry. Only when the value
itself is about to change it is *begun*:

- Members of a hash, set or sorted set are taken in the order of their hashes, some at a time; ``Members`` hands over
  what is about to change or to go and was not reached (see ``members.pyx``). What is added has the mark already.
- A list lets the snapshot share its leaves: pointers to all of them are noted, at 16 bytes and some nanoseconds for
  each leaf of some KiB. A leaf is copied by the list before it changes, and the old one is the snapshot's.
- A buffer (a string that is changed in place) is copied. A value of another type, or a big one that was configured to
  be compact, is written whole.

What the walk meets and is big is held and begun in the same way. Values that are held come before the walk goes on,
oldest first, so that the memory they take is given back.

*Clocks.* A read changes the clock of its key, and no more. If the sink wants clocks a small string is written before;
of another value only the clock is noted, in ``touched``, by the address of the entry: that is valid because an entry
without the epoch neither moves nor goes without being written or held.

*Failures.* Where the table asks, nothing may fail: what the sink raises there ends the snapshot and is raised by the
next step.
"""
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from kvorum.keyspace.buckets cimport BUCKET_ENTRIES, Bucket, bucket_at, overflow_of, prefetch_bucket
from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.entry cimport (
    BUFFER,
    BYTES,
    EMBEDDED,
    INTEGER,
    OBJECT,
    RAW,
    Entry,
    expiry_or_never,
    integer_of,
    key_of,
    reference_of,
    value_of,
)
from kvorum.keyspace.keeper cimport Keeper
from kvorum.keyspace.members cimport (
    Members,
    MemberWalk,
    begin_chain,
    member_count,
    next_in_chain,
)
from kvorum.keyspace.store cimport Store, discard_entry, entry_with_key, release_entry, slot_in
from kvorum.keyspace.table cimport Keyspace
from kvorum.keyspace.types.hash cimport Hash
from kvorum.keyspace.types.list cimport List
from kvorum.keyspace.types.list_tree cimport PLAIN, SHARED, Node
from kvorum.keyspace.types.listpack cimport lp_bytes, lp_free
from kvorum.keyspace.types.set cimport TABLE, Set, Table, form_of
from kvorum.keyspace.types.set cimport FORM_BITS as SET_FORM_BITS
from kvorum.keyspace.types.sorted_set cimport SortedSet
from kvorum.keyspace.values cimport Value
from kvorum.keyspace.walk cimport Place, seek, step

ELEMENT_LIMIT = 1024
BYTE_LIMIT = 65536

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object value)

cdef enum:
    BYTES_PER_WORK = 64         # so many bytes count as another element: they may have to be compressed
    LAZY_ELEMENTS = 64          # as for UNLINK: bigger values are freed later
    LAST_EPOCH = 0xFFFF
    UNFINISHED_LIMIT = 60000    # snapshots in a row that did not get to the end, of a collection or of all
    NOTHING_SELECTED = -1


# What a sink in Python gets

cdef class Parts:
    cdef int member(self, Entry* member) except -1:
        raise NotImplementedError

    cdef int leaf(self, const unsigned char* data, size_t size, bint plain) except -1:
        raise NotImplementedError

    cdef int turn(self) except -1:
        return 0

    cdef bint finish(self, long long budget_bytes) except -1:
        raise NotImplementedError

    cdef int text_changes(self) except -1:
        raise NotImplementedError


cdef class SnapshotSink:
    def __init__(self, clocks=False):
        self.clocks = clocks

    def select(self, int index, uint64_t keys, uint64_t expires):
        raise NotImplementedError

    def value(self, bytes key, value, long long expire_ms, uint32_t clock):
        raise NotImplementedError

    cdef int entry(self, Entry* entry) except -1:
        self.value(
            PyBytes_FromStringAndSize(key_of(entry), entry.key_size), loaded(entry), expiry_or_never(entry), entry.clock
        )
        return 0

    cdef Parts collection(self, Entry* entry, uint64_t parts):
        cdef Rebuilt made = Rebuilt()
        value = <object>reference_of(entry)
        made.sink = self
        made.key = PyBytes_FromStringAndSize(key_of(entry), entry.key_size)
        made.made = type(value)(commons_of(value))
        made.expire_ms = expiry_or_never(entry)
        made.clock = entry.clock
        return made

    cdef Parts text(self, Entry* entry):
        return None


cdef class Rebuilt(Parts):
    """Parts put together to a value again."""

    cdef SnapshotSink sink
    cdef bytes key
    cdef object made
    cdef long long expire_ms
    cdef uint32_t clock

    cdef int member(self, Entry* member) except -1:
        cdef bytes name = PyBytes_FromStringAndSize(key_of(member), member.key_size)
        cdef double score
        if isinstance(self.made, Hash):
            self.made.set(name, PyBytes_FromStringAndSize(value_of(member), member.value_size))
        elif isinstance(self.made, Set):
            self.made.add(name)
        else:
            memcpy(&score, value_of(member), sizeof(score))
            self.made.add(name, score)
        return 0

    cdef int leaf(self, const unsigned char* data, size_t size, bint plain) except -1:
        cdef bytes text = PyBytes_FromStringAndSize(<const char*>data, size)
        if plain:
            self.made.push(text)
        else:
            self.made.push_packed(text)
        return 0

    cdef bint finish(self, long long budget_bytes) except -1:
        self.sink.value(self.key, self.made, self.expire_ms, self.clock)
        return True


cdef Commons commons_of(object value):
    if type(value) is Hash:
        return (<Hash>value).commons
    if type(value) is Set:
        return (<Set>value).commons
    return (<SortedSet>value).commons if type(value) is SortedSet else (<List>value).commons


cdef object loaded(Entry* entry):
    """The value of an entry as Python shows it."""
    if entry.kind == INTEGER:
        return b"%d" % integer_of(entry)
    if entry.kind == EMBEDDED:
        return PyBytes_FromStringAndSize(value_of(entry), entry.value_size)
    return bytes(<object>reference_of(entry)) if entry.kind == BUFFER else <object>reference_of(entry)


cdef inline Members* members_of(Value value) noexcept:
    """The table of a big hash, set or sorted set; NULL: it is something else."""
    if type(value) is Hash:
        return (<Hash>value).table if (<Hash>value).lp == NULL else NULL
    if type(value) is SortedSet:
        return &(<SortedSet>value).big.members if (<SortedSet>value).lp == NULL else NULL
    if type(value) is Set and form_of(<Set>value) == TABLE:
        return &(<Table*>((<Set>value).block & ~<size_t>SET_FORM_BITS)).members
    return NULL


# A value that is held

cdef void keep_member(void* context, Entry* entry) noexcept:
    cdef Held held = <Held>context
    try:
        held.left -= 1
        held.parts.member(entry)
    except BaseException as error:
        held.snapshot.fail(error)


cdef void take_leaf(void* context, unsigned char* listpack) noexcept:
    cdef Held held = <Held>context
    held.taken[held.taken_count] = listpack
    held.taken_count += 1


cdef void fail_for_memory(void* context) noexcept:
    (<Held>context).snapshot.fail(MemoryError())


cdef class Held:
    def __dealloc__(self):
        self.unhook(False)
        if self.record != NULL:
            discard_entry(&(<Commons>self.commons).heap, self.record)
        Py_XDECREF(self.commons)

    cdef int begin(self) except -1:
        """The value is about to change, or it is its turn: from now on parts are taken, unless it is written whole."""
        cdef PyObject* buffer
        cdef PyObject* copied
        cdef Value value
        if self.record.kind == BYTES:
            return 0
        if self.record.kind == BUFFER:
            text = bytes(<object>reference_of(self.record))
            buffer = reference_of(self.record)
            copied = <PyObject*>text
            Py_INCREF(text)
            memcpy(value_of(self.record), &copied, sizeof(copied))
            self.record.kind = BYTES
            self.record.flags &= ~RAW
            del self.snapshot.held[<size_t>buffer]
            Py_DECREF(<object>buffer)
            return 0
        value = <Value>reference_of(self.record)
        self.members = members_of(value)
        if self.members != NULL and self.members.unfinished < UNFINISHED_LIMIT:
            self.left = member_count(self.members)
            self.parts = self.snapshot.sink.collection(self.record, self.left)
            self.member_keeper.keep = keep_member
            self.member_keeper.context = <void*>self
            self.members.mark += 1
            self.members.unfinished += 1
            self.members.keeper = &self.member_keeper
            return 0
        self.members = NULL
        if type(value) is List and (<List>value).tree != NULL:
            return self.share_leaves(<List>value)
        return self.write_whole()

    cdef int share_leaves(self, List value) except -1:
        cdef Node* node = value.tree.first
        cdef uint64_t count = value.tree.leaves
        cdef uint64_t i = 0
        cdef uint32_t position
        self.parts = self.snapshot.sink.collection(self.record, count)
        self.leaves = <size_t*>malloc(count * sizeof(size_t))
        self.taken = <unsigned char**>malloc(count * sizeof(unsigned char*))
        if self.leaves == NULL or self.taken == NULL:
            raise MemoryError
        while node != NULL:
            for position in range(node.used):
                if node.slots[position].at & PLAIN:
                    Py_INCREF(<object><PyObject*>(node.slots[position].at & ~<size_t>PLAIN))
                else:
                    node.slots[position].at |= SHARED
                self.leaves[i] = node.slots[position].at
                i += 1
            node = node.following
        self.leaf_count = self.left = i
        self.leaf_keeper.take = take_leaf
        self.leaf_keeper.fail = fail_for_memory
        self.leaf_keeper.context = <void*>self
        value.tree.keeper = &self.leaf_keeper
        return 0

    cdef int begin_text(self) except -1:
        self.parts = self.snapshot.sink.text(self.record)
        return self.write_whole() if self.parts is None else 0

    cdef int write_whole(self) except -1:
        self.snapshot.select(self.origin)
        self.snapshot.sink.entry(self.record)
        self.done = True
        return 0

    cdef long long advance(self, long long budget) except -1:
        """Go on for about so much work; what it was."""
        cdef long long cost = 1
        if self.parts is None and not self.done:
            if self.record.kind == OBJECT:
                self.begin()
            else:
                self.begin_text()
            if self.done:
                return whole_cost(self.record)
        if not self.its_turn:
            self.its_turn = True
            self.snapshot.select(self.origin)
            self.parts.turn()
        if self.members != NULL:
            cost = self.advance_members(budget)
        elif self.leaves != NULL:
            cost = self.advance_leaves(budget)
        if self.done or self.left > 0 or cost >= budget:
            return cost
        self.snapshot.select(self.origin)       # what has changed since its turn may be of another database
        self.done = self.parts.finish((budget - cost) * BYTES_PER_WORK)
        return cost + 1 if self.done else budget

    cdef long long advance_members(self, long long budget) except -1:
        cdef MemberWalk walk
        cdef Entry* entry
        cdef long long work = 1
        while self.left > 0 and work < budget:
            self.cursor = begin_chain(&walk, self.members, self.cursor)
            work += 1
            while True:
                entry = next_in_chain(&walk)
                if entry == NULL:
                    break
                if entry.epoch != self.members.mark:
                    entry.epoch = self.members.mark
                    self.left -= 1
                    self.parts.member(entry)
                    work += 1 + (entry.key_size + entry.value_size) // BYTES_PER_WORK
            assert self.cursor != 0 or self.left == 0, "members of a collection have been lost"
        return work

    cdef long long advance_leaves(self, long long budget) except -1:
        cdef long long work = 1
        cdef size_t leaf
        cdef unsigned char* listpack
        while self.left > 0 and work < budget:
            leaf = self.leaves[self.leaf_count - self.left]
            self.left -= 1
            if leaf & PLAIN:
                plain = <bytes><PyObject*>(leaf & ~<size_t>PLAIN)
                self.parts.leaf(<const unsigned char*>PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain), True)
                work += 1 + PyBytes_GET_SIZE(plain) // BYTES_PER_WORK
            else:
                listpack = <unsigned char*>(leaf & ~<size_t>SHARED)
                self.parts.leaf(listpack, lp_bytes(listpack), False)
                work += 1 + lp_bytes(listpack) // BYTES_PER_WORK
        return work

    cdef int end(self, bint complete) except -1:
        """Give up all that it has; ``complete``: it was written."""
        cdef Keyspace keyspace = self.snapshot.keyspace
        cdef Entry* record = self.record
        self.unhook(complete)
        self.parts = None
        if record.kind == OBJECT:
            value = <object>reference_of(record)
            self.record = NULL
            release_entry(keyspace.heap, record)
            Py_DECREF(value)
            if Py_REFCNT(value) == 1 and (<Value>value).elements() > LAZY_ELEMENTS:
                keyspace.detached_objects.append(value)
        return 0

    cdef void unhook(self, bint complete) noexcept:
        cdef List value
        cdef uint64_t i
        if self.members != NULL:
            self.members.keeper = NULL
            if complete:
                self.members.unfinished = 0
            self.members = NULL
        if self.leaf_keeper.context != NULL:
            value = <List>reference_of(self.record)
            if value.tree != NULL and value.tree.keeper == &self.leaf_keeper:
                value.tree.keeper = NULL
            for i in range(self.leaf_count):
                if self.leaves[i] & PLAIN:
                    Py_DECREF(<object><PyObject*>(self.leaves[i] & ~<size_t>PLAIN))
            for i in range(self.taken_count):
                lp_free(self.taken[i])
            self.leaf_keeper.context = NULL
        free(self.leaves)
        free(self.taken)
        self.leaves = NULL
        self.taken = NULL


cdef long long whole_cost(Entry* entry) except -1:
    """The work of writing a value in one go."""
    cdef Value value
    if entry.kind == EMBEDDED:
        return 1 + entry.value_size // BYTES_PER_WORK
    if entry.kind == BYTES:
        return 1 + PyBytes_GET_SIZE(<bytes>reference_of(entry)) // BYTES_PER_WORK
    if entry.kind == BUFFER:
        return 1 + PyByteArray_GET_SIZE(<bytearray>reference_of(entry)) // BYTES_PER_WORK
    if entry.kind == OBJECT:
        value = <Value>reference_of(entry)
        return 1 + value.elements() + value.accounted_bytes // BYTES_PER_WORK
    return 1


# The snapshot

cdef class Snapshot(Keeper):
    def __init__(
        self,
        Keyspace keyspace not None,
        SnapshotSink sink not None,
        *,
        long long element_limit=ELEMENT_LIMIT,
        long long byte_limit=BYTE_LIMIT,
    ):
        cdef int i
        if self.keyspace is not None:
            raise RuntimeError("a snapshot begins once")
        self.sink = sink
        self.clocks = sink.clocks
        self.element_limit = element_limit
        self.byte_limit = byte_limit
        self.queue = deque()
        self.held = {}
        self.touched = {}
        self.counts = []
        self.selected = NOTHING_SELECTED
        self.stores = <Store**>calloc(keyspace.store_count, sizeof(Store*))
        if self.stores == NULL:
            raise MemoryError
        self.store_count = keyspace.store_count
        self.epoch = begin_epoch(keyspace, self)
        self.keyspace = keyspace
        for i in range(self.store_count):
            keyspace.stores[i].origin = i
            self.stores[i] = keyspace.stores[i] if keyspace.stores[i].count > 0 else NULL
            self.counts.append((keyspace.stores[i].count, keyspace.stores[i].volatiles.count))
        self.running = True

    def __dealloc__(self):
        free(self.stores)

    # Steps

    def step(self, long long budget):
        cdef Held held
        cdef long long before = budget
        if not self.running:
            raise RuntimeError("the snapshot is over")
        try:
            while budget > 0 and self.error is None:
                if self.queue:
                    held = self.queue[0]
                    if not held.done:
                        budget -= held.advance(budget)
                    if held.done:
                        self.queue.popleft()
                        if held.record.kind != BYTES:
                            self.held.pop(<size_t>reference_of(held.record), None)
                        held.end(True)
                        budget -= 1
                elif not self.walk(&budget):
                    break
        except BaseException as error:
            self.fail(error)
        self.work += before - budget
        if self.error is not None:
            self.close(False)
        if budget > 0:
            self.close(True)
            return True
        return False

    def abort(self):
        if self.running:
            self.error = None
            self.close(False)

    cdef bint walk(self, long long* budget) except -1:
        """Take one bucket; False: there is none."""
        cdef Store* store
        cdef Bucket* bucket
        cdef Place ahead
        cdef Entry* entry
        cdef int i
        while self.position < self.store_count:
            store = self.stores[self.position]
            if store != NULL and seek(store, &self.place):
                break
            self.stores[self.position] = NULL
            if store != NULL and is_kept(self.keyspace, store):
                let_go(self.keyspace, store)
            self.position += 1
            self.place.slot = 0
            self.place.hash = 0
        else:
            return False
        bucket = step(store, &self.place)
        ahead = self.place
        if seek(store, &ahead):
            prefetch_bucket(bucket_at(slot_in(store, ahead.slot), ahead.hash, &ahead.hash))
        budget[0] -= 1
        while bucket != NULL:
            for i in range(BUCKET_ENTRIES):
                if bucket.present >> i & 1:
                    entry = <Entry*>bucket.entries[i]
                    if entry.epoch != self.epoch:
                        budget[0] -= self.take(store, entry)
            bucket = overflow_of(bucket)
        return True

    cdef long long take(self, Store* store, Entry* entry) except -1:
        """Write the record of an entry that is not done, or hold its value; the work."""
        cdef uint32_t clock = entry.clock
        entry.epoch = self.epoch
        if self.touched:
            entry.clock = self.touched.pop(<size_t>entry, clock)
        try:
            if self.is_small(entry):
                self.select(store.origin)
                self.sink.entry(entry)
                self.records += 1
                return whole_cost(entry)
            self.hold(store, entry)
            return 1
        finally:
            entry.clock = clock

    cdef bint is_small(self, Entry* entry) except -1:
        cdef Value value
        if entry.kind < BYTES:
            return True
        if entry.kind == BYTES:
            return PyBytes_GET_SIZE(<bytes>reference_of(entry)) <= self.byte_limit
        if entry.kind == BUFFER:
            return PyByteArray_GET_SIZE(<bytearray>reference_of(entry)) <= self.byte_limit
        value = <Value>reference_of(entry)
        return value.accounted_bytes <= self.byte_limit and value.elements() <= self.element_limit

    cdef int hold(self, Store* store, Entry* entry) except -1:
        cdef Held held = Held()
        held.snapshot = self
        held.origin = store.origin
        held.commons = <PyObject*>self.keyspace.commons
        Py_INCREF(self.keyspace.commons)
        held.record = entry_with_key(self.keyspace.heap, entry, key_of(entry), entry.key_size)
        if held.record == NULL:
            raise MemoryError
        Py_INCREF(<object>reference_of(entry))
        self.queue.append(held)
        if entry.kind != BYTES:
            self.held[<size_t>reference_of(entry)] = held
        self.records += 1
        return 0

    cdef int select(self, int origin) except -1:
        if origin != self.selected:
            keys, expires = self.counts[origin]
            self.sink.select(origin, keys, expires)
            self.selected = origin
        return 0

    # What the table asks

    cdef void entry_changes(self, Store* store, Entry* entry) noexcept:
        try:
            self.kept_aside += 1
            self.take(store, entry)
        except BaseException as error:
            self.fail(error)

    cdef void entry_touched(self, Store* store, Entry* entry) noexcept:
        if not self.clocks:
            return
        if entry.kind < BYTES:
            self.entry_changes(store, entry)
            return
        try:
            self.touched.setdefault(<size_t>entry, entry.clock)
        except BaseException as error:
            self.fail(error)

    cdef void value_changes(self, PyObject* value) noexcept:
        cdef Held held
        if not self.held:
            return
        try:
            held = self.held.get(<size_t>value)
            if held is None or held.done:
                return
            if held.parts is None and held.record.kind != BYTES:
                held.begin()
            elif held.parts is not None and held.record.kind == BUFFER:
                held.parts.text_changes()
        except BaseException as error:
            self.fail(error)

    cdef bint holds(self, PyObject* value) noexcept:
        return <size_t>value in self.held

    cdef bint store_leaves(self, Store* store, Store* aside) noexcept:
        cdef int i
        for i in range(self.position, self.store_count):
            if self.stores[i] == store:
                self.stores[i] = aside
                return True
        return False

    # The end

    cdef void fail(self, object error) noexcept:
        """The table asks no more; the rest is done by the next step."""
        if self.error is None:
            self.error = error
        if self.running:
            end_epoch(self.keyspace)

    cdef int close(self, bint complete) except -1:
        cdef int i
        cdef Held held
        if complete and self.records != sum([keys for keys, expires in self.counts]):
            complete = False
            self.fail(RuntimeError("a snapshot has lost keys or taken keys twice"))
        error = self.error
        self.running = False
        end_epoch(self.keyspace)
        self.keyspace.keeper = None
        if complete:
            self.keyspace.unfinished = 0
        for i in range(self.store_count):
            if self.stores[i] != NULL and is_kept(self.keyspace, self.stores[i]):
                let_go(self.keyspace, self.stores[i])
            self.stores[i] = NULL
        self.held.clear()
        self.touched.clear()
        while self.queue:
            held = self.queue.popleft()
            held.end(False)
        self.sink = None
        self.error = None
        if error is not None:
            raise error
        return 0


cdef bint is_kept(Keyspace keyspace, Store* store) noexcept:
    cdef Store* kept = keyspace.kept
    while kept != NULL:
        if kept == store:
            return True
        kept = kept.following
    return False


# The keyspace's side

cdef uint16_t begin_epoch(Keyspace keyspace, Keeper keeper) except 0:
    """The number of the snapshot that runs from now on."""
    if keyspace.keeper is not None:
        raise RuntimeError("there is a snapshot already")
    if keyspace.unfinished >= UNFINISHED_LIMIT:
        forget_epochs(keyspace)
    keyspace.last_epoch = keyspace.last_epoch % LAST_EPOCH + 1
    keyspace.unfinished += 1
    keyspace.keeper = keeper
    keyspace.epoch = keyspace.heap.epoch = keyspace.last_epoch
    return keyspace.epoch


cdef void end_epoch(Keyspace keyspace) noexcept:
    """The table asks no more."""
    keyspace.epoch = keyspace.heap.epoch = 0


cdef void forget_epochs(Keyspace keyspace) noexcept:
    """At once for all keys: some may bear one that will soon be used again, after so many snapshots that ended early."""
    cdef Place place
    cdef Bucket* bucket
    cdef int i, j
    for i in range(keyspace.store_count):
        place.slot = 0
        place.hash = 0
        while seek(keyspace.stores[i], &place):
            bucket = step(keyspace.stores[i], &place)
            while bucket != NULL:
                for j in range(BUCKET_ENTRIES):
                    if bucket.present >> j & 1:
                        (<Entry*>bucket.entries[j]).epoch = 0
                bucket = overflow_of(bucket)
    keyspace.unfinished = 0


cdef void let_go(Keyspace keyspace, Store* store) noexcept:
    """A store that was kept for the snapshot is to be freed now."""
    cdef Store** link = &keyspace.kept
    while link[0] != store:
        link = &link[0].following
    link[0] = store.following
    store.following = keyspace.detached
    keyspace.detached = store
