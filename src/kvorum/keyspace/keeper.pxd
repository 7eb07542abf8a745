"""C side of who keeps aside what is about to change; the essay is in ``keeper.pyx``."""
from cpython.object cimport PyObject
from libc.stdint cimport uint16_t

from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.store cimport Store


cdef class Keeper:
    cdef bint clocks            # whether reads of keys matter: they change access clocks

    # An entry whose epoch is not that of the keyspace is about to be changed, moved or removed.
    cdef void entry_changes(self, Store* store, Entry* entry) noexcept
    # Its access clock alone is about to change.
    cdef void entry_touched(self, Store* store, Entry* entry) noexcept
    # A value, or a buffer, is about to be changed in place.
    cdef void value_changes(self, PyObject* value) noexcept
    # Whether a value that has left its key is still needed as it is.
    cdef bint holds(self, PyObject* value) noexcept
    # What a store held is now in ``aside``. Whether it must not be freed before the snapshot has been through it.
    cdef bint store_leaves(self, Store* store, Store* aside) noexcept
