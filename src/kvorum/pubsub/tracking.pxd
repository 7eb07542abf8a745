"""C side of client-side caching; ``tracking.py`` is compiled with these types."""
cimport cython

from kvorum.pubsub.mailbox cimport Mailbox


cdef class TrackingClient:
    cdef readonly object id         # the very object that stands in the table for every key it holds
    cdef readonly Mailbox mailbox
    cdef readonly object redirect
    cdef readonly bint broadcast
    cdef readonly bint opt_in
    cdef readonly bint opt_out
    cdef readonly bint no_loop
    cdef public bint caching
    cdef public bint broken
    cdef public dict prefixes


cdef class Prefix:
    cdef readonly bytes prefix
    cdef readonly dict clients
    cdef public dict keys


cdef class Tracking:
    cdef readonly object find_mailbox
    cdef readonly object random_below
    cdef public Py_ssize_t max_keys
    cdef readonly dict clients
    cdef readonly dict prefixes
    cdef list prefix_lengths
    cdef list parts
    cdef list discarded
    cdef readonly Py_ssize_t keys
    cdef readonly Py_ssize_t items
    cdef readonly bint broadcasts
    cdef Py_ssize_t rounds_above_limit

    @cython.locals(place=Prefix)
    cdef register(self, TrackingClient client, bytes prefix)
    cdef sort_lengths(self)
    @cython.locals(key=bytes, part=dict)
    cpdef remember(self, TrackingClient client, keys)
    cpdef key_modified(self, bytes key, author)
    @cython.locals(place=Prefix, length=cython.Py_ssize_t)
    cdef gather(self, bytes key, author)
    @cython.locals(client=TrackingClient, content=bytes)
    cdef bint forget(self, bytes key, bint modified) except -1
    @cython.locals(target=Mailbox)
    cdef send(self, TrackingClient client, bytes array, bytes push)
    @cython.locals(place=Prefix, client=TrackingClient)
    cpdef broadcast(self)
    cdef bytes random_key(self)
