"""C side of the outbox; ``outbox.py`` is compiled with these types."""


cdef class Outbox:
    cdef public bint holding
    cdef public long long required
    cdef public long long safe
