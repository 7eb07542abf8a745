"""C side of channels; ``channels.py`` is compiled with these types."""
cimport cython

from kvorum.pubsub.mailbox cimport Mailbox


cdef class Audience:
    cdef readonly bytes name
    cdef readonly object matches
    cdef Mailbox first
    cdef dict others
    cdef list receivers

    cdef add(self, Mailbox mailbox)
    cdef remove(self, Mailbox mailbox)
    @cython.locals(receivers=list, mailbox=Mailbox)
    cdef Py_ssize_t send(self, bytes array, bytes push, tuple parts) except -1


cdef class Directory:
    cdef readonly bytes word
    cdef readonly bytes array
    cdef readonly bytes push
    cdef readonly dict audiences

    @cython.locals(audience=Audience)
    cpdef Py_ssize_t count(self, bytes name) except -1
    cpdef dict joined(self, Mailbox mailbox)
    @cython.locals(audience=Audience)
    cpdef bint subscribe(self, Mailbox mailbox, bytes name) except -1
    @cython.locals(audience=Audience)
    cpdef bint unsubscribe(self, Mailbox mailbox, bytes name) except -1


cdef class PubSub:
    cdef readonly Directory channels
    cdef readonly Directory patterns
    cdef readonly Directory shard_channels

    cpdef bint silent(self) except -1
    @cython.locals(audience=Audience, receivers=cython.Py_ssize_t)
    cpdef Py_ssize_t publish(self, bytes channel, bytes message) except -1
    @cython.locals(audience=Audience, receivers=cython.Py_ssize_t)
    cdef Py_ssize_t publish_to_patterns(self, bytes channel, bytes message) except -1
    @cython.locals(audience=Audience)
    cpdef Py_ssize_t publish_to_shard(self, bytes channel, bytes message) except -1
