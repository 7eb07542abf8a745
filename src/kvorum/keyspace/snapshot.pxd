"""C side of snapshots without fork; ``snapshot.py`` documents the Python side, ``snapshot.pyx`` has the essay.

What a sink gets. Before the first record of a database, and whenever the database changes, ``select(index, keys, expires)``
is called, a Python method; a database may come several times, always with its counts as of the beginning. Then:

- ``entry``: a whole record. Key, expiry, clock and value are those of the Entry, which may lie in a table or not; it and what
  it refers to are valid during the call only. Its kind may be any; with OBJECT the value is whole and small, or of a type that
  cannot be taken apart.
- ``collection``: a big Hash, Set, SortedSet or List, which comes in parts. Key, expiry and clock, and the *type* of the value,
  are those of the Entry (valid during the call only); its content is not to be looked at, for it may have changed already.
  What is returned gets exactly ``parts`` parts, each valid during its call only. Those that are about to change come first,
  with other records and parts of other collections in between: they have to be gathered beside. Then, the database
  selected, ``turn`` is called, and all others follow: they may go to where the records go, in which case ``entry``, ``select``
  and parts of other collections, which still come in between (of what changes), have to be put behind. ``turn`` of others
  does not come before ``finish``, which is called last: about so many bytes of what is left over, and again until it says
  that it is done.
- ``text``: a long string, which is to be written by ``finish``, after ``turn``. The value of the Entry stays valid until
  then, but a buffer (kind BUFFER) only until ``text_changes``. None: the sink wants it as a whole record.

A sink that raises ends the snapshot; what it raised comes out of the next ``Snapshot.step``.
"""
from cpython.object cimport PyObject
from libc.stdint cimport uint16_t, uint64_t

from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.keeper cimport Keeper
from kvorum.keyspace.members cimport MemberKeeper, Members
from kvorum.keyspace.store cimport Store
from kvorum.keyspace.table cimport Keyspace
from kvorum.keyspace.types.list cimport List
from kvorum.keyspace.types.list_tree cimport LeafKeeper
from kvorum.keyspace.walk cimport Place


cdef class Parts:               # of one collection
    # Of a Hash, Set or SortedSet, in no particular order. ``key_of``: field or member; ``value_of``, ``value_size``: a field's
    # value, or a member's score as a C double.
    cdef int member(self, Entry* member) except -1
    # Of a List, in order: a listpack, or (plain) one element as it is, which may be of any size.
    cdef int leaf(self, const unsigned char* data, size_t size, bint plain) except -1
    cdef int turn(self) except -1
    cdef bint finish(self, long long budget_bytes) except -1
    # The buffer is about to change: what is still needed of it must be copied.
    cdef int text_changes(self) except -1


cdef class SnapshotSink:
    cdef public bint clocks     # whether records bear the access clock; without it, reads of keys cost nothing
    cdef int entry(self, Entry* entry) except -1
    cdef Parts collection(self, Entry* entry, uint64_t parts)
    cdef Parts text(self, Entry* entry)

cdef class Held:                # a value that left the table, or will change, before its record could be written at once
    # Private.
    cdef Snapshot snapshot
    cdef Entry* record          # a copy: key, expiry, clock as of the beginning, and a reference to the value
    cdef PyObject* commons      # owned: the record lies in its heap
    cdef int origin
    cdef Parts parts            # None: not begun, or not taken apart
    cdef bint done
    cdef bint its_turn
    cdef uint64_t left          # parts to come
    cdef Members* members       # of a Hash, Set or SortedSet that was begun
    cdef MemberKeeper member_keeper
    cdef uint64_t cursor
    cdef LeafKeeper leaf_keeper
    cdef size_t* leaves         # of a List that was begun
    cdef uint64_t leaf_count
    cdef unsigned char** taken  # leaves that only the snapshot has
    cdef uint64_t taken_count

    cdef int begin(self) except -1
    cdef int share_leaves(self, List value) except -1
    cdef int begin_text(self) except -1
    cdef int write_whole(self) except -1
    cdef long long advance(self, long long budget) except -1
    cdef long long advance_members(self, long long budget) except -1
    cdef long long advance_leaves(self, long long budget) except -1
    cdef int end(self, bint complete) except -1
    cdef void unhook(self, bint complete) noexcept


cdef class Snapshot(Keeper):
    cdef readonly Keyspace keyspace
    cdef readonly bint running
    cdef readonly long long work
    cdef readonly long long records
    cdef readonly long long kept_aside
    cdef public long long element_limit
    cdef public long long byte_limit

    # Private.
    cdef SnapshotSink sink
    cdef uint16_t epoch
    cdef list counts            # by database: keys, keys with an expiry
    cdef Store** stores         # by database: NULL if it was empty, or is done
    cdef int store_count
    cdef int position           # the database that the walk is in
    cdef Place place
    cdef int selected
    cdef object queue           # of Held
    cdef dict held              # by the address of the value
    cdef dict touched           # clocks as of the beginning, by the address of the entry
    cdef object error

    cdef int select(self, int origin) except -1
    cdef bint is_small(self, Entry* entry) except -1
    cdef long long take(self, Store* store, Entry* entry) except -1
    cdef int hold(self, Store* store, Entry* entry) except -1
    cdef bint walk(self, long long* budget) except -1
    cdef int close(self, bint complete) except -1
    cdef void fail(self, object error) noexcept
