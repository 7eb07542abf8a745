"""C side of the clock; ``clock.py`` documents the Python side."""
from libc.stdint cimport uint64_t


cdef class Clock:
    cpdef long long monotonic_ns(self)
    cpdef long long wall_ms(self)
    cpdef long long wall_us(self)
    cpdef calibrate(self)


cdef class SystemClock(Clock):
    cdef bint counter_trusted       # the kernel itself keeps time by the processor's counter
    cdef bint counting              # it is calibrated: read it instead of asking the kernel
    cdef uint64_t anchor_ticks
    cdef long long anchor_ns
    cdef uint64_t ns_per_tick       # times 2**32
    cdef uint64_t longest_ticks     # since the anchor; beyond it the calibration is too old
    cdef long long last_ns
