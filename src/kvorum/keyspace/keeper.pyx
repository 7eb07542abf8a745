"""Who keeps aside what is about to change: the base of ``snapshot.Snapshot``, as the table sees it. C only.

It stands in a module of its own because the table must not know snapshots, which know the table and the types. The table
asks only while ``Keyspace.epoch`` is not 0, and then of each entry until that has the epoch. Nothing here can fail: what
goes wrong ends the snapshot, not the command.
"""
from cpython.object cimport PyObject

from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.store cimport Store


cdef class Keeper:
    cdef void entry_changes(self, Store* store, Entry* entry) noexcept:
        pass

    cdef void entry_touched(self, Store* store, Entry* entry) noexcept:
        pass

    cdef void value_changes(self, PyObject* value) noexcept:
        pass

    cdef bint holds(self, PyObject* value) noexcept:
        return False

    cdef bint store_leaves(self, Store* store, Store* aside) noexcept:
        return False
