"""What the compiled reactor finds behind a descriptor: its own waker, the loop, a listener, a client's connection.

A module of its own, so that reactor and connection, which use each other, can be imported in either order: each makes its
own classes before it asks for the other's, and the base of both stands here. The plain twin asks asyncio instead.
"""


cdef class Watched:
    def __init__(self, int fd, int kind):
        self.fd = fd
        self.kind = kind


cdef class Listener(Watched):
    def __init__(self, object socket, bint local):
        self.fd = socket.fileno()
        self.kind = LISTENER
        self.socket = socket
        self.local = local
