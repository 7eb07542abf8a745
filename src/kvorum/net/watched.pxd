"""C side of what the compiled reactor watches."""

cdef enum:
    WAKER = 0
    LISTENER = 1
    CONNECTION = 2
    LOOP = 3


cdef class Watched:
    """Something whose descriptor the reactor watches."""
    cdef readonly int fd
    cdef int kind


cdef class Listener(Watched):
    cdef readonly object socket
    cdef readonly bint local        # a Unix socket
