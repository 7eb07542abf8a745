"""C side of the clock; ``clock.py`` documents the Python side."""


cdef class Clock:
    cpdef long long monotonic_ns(self)
    cpdef long long wall_ms(self)
    cpdef long long wall_us(self)


cdef class SystemClock(Clock):
    pass
