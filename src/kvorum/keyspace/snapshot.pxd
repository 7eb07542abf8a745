"""C side of snapshots without fork; ``snapshot.py`` documents the Python side, ``snapshot.pyx`` has the essay.

What a sink gets. Before the first record of a database, and whenever the database changes, ``select(index, keys, expires)``
is called, a Python method; a database may come several times, always with its counts as of the beginning. Then:

- ``entry``: a whole record. Key, expiry, clock and value are those of the Entry, which may lie in a table or not; it and what
  it refers to are valid during the call only. Its kind may be any; with OBJECT the value is whole and small, or of a type that
  cannot be taken apart.
- ``collection``: a big Hash, Set, SortedSet or List, which comes in parts. Key, expiry and clock, and the *type* of the value,
  are those of the Entry (valid during the call only); its content is not to be looked at, for it may have changed already.
  What is returned gets exactly ``parts`` parts, each valid during its call only, and at last ``finish``, which is when the
  record has to go to where the others go. Until then other records and other collections come in between, also of other
  databases: so parts have to be gathered beside. ``finish`` comes with the right database selected.

A sink that raises ends the snapshot; what it raised comes out of the next ``Snapshot.step``.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from kvorum.keyspace.entry cimport Entry


cdef class Parts:               # of one collection
    # Of a Hash, Set or SortedSet, in no particular order. ``key_of``: field or member; ``value_of``, ``value_size``: a field's
    # value, or a member's score as a C double.
    cdef int member(self, Entry* member) except -1
    # Of a List, in order: a listpack, or (plain) one element as it is, which may be of any size.
    cdef int leaf(self, const unsigned char* data, size_t size, bint plain) except -1
    cdef int finish(self) except -1


cdef class SnapshotSink:
    cdef public bint clocks     # whether records bear the access clock; without it, reads of keys cost nothing
    cdef int entry(self, Entry* entry) except -1
    cdef Parts collection(self, Entry* entry, uint64_t parts)
