"""C side of keyspace notifications; ``notifications.py`` is compiled with these types."""
from kvorum.pubsub.channels cimport PubSub


cdef class Notifications:
    cdef readonly PubSub pubsub
    cdef readonly int classes

    cpdef bint wants(self, int kind) except -1
    cpdef notify(self, int kind, bytes event, bytes key, int database)
