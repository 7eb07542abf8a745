"""C side of a mailbox; ``mailbox.py`` is compiled with these types."""
cimport cython

from kvorum.resp.writer cimport Writer

cdef Py_ssize_t UNWATCHED_BYTES
cdef Py_ssize_t NAME_BYTES


cdef class Mailbox:
    cdef readonly long long id
    cdef readonly Writer writer
    cdef public object connection
    cdef readonly list held
    cdef readonly bint in_command
    cdef public dict channels
    cdef public dict patterns
    cdef public dict shard_channels
    cdef public object tracking
    cdef readonly Py_ssize_t kept_bytes

    cpdef keep_name(self, bytes name)
    cpdef drop_name(self, bytes name)
    @cython.locals(waiting=cython.Py_ssize_t)
    cpdef post(self, bytes array, bytes push, tuple parts=*)
    @cython.locals(mark=cython.Py_ssize_t, part=bytes)
    cdef write(self, bytes array, bytes push, tuple parts)
    cpdef open_command(self)
    cpdef release_held(self)
    cpdef close_command(self)
