"""The clock, read through vDSO calls: see ``clock.py``."""

from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec


cdef class Clock:
    cpdef long long monotonic_ns(self):
        raise NotImplementedError("a clock says what time it is")

    cpdef long long wall_ms(self):
        return self.wall_us() // 1000

    cpdef long long wall_us(self):
        raise NotImplementedError("a clock says what time it is")


cdef class SystemClock(Clock):
    cpdef long long monotonic_ns(self):
        cdef timespec now
        clock_gettime(CLOCK_MONOTONIC, &now)
        return <long long>now.tv_sec * 1000000000 + now.tv_nsec

    cpdef long long wall_ms(self):
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        return <long long>now.tv_sec * 1000 + now.tv_nsec // 1000000

    cpdef long long wall_us(self):
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        return <long long>now.tv_sec * 1000000 + now.tv_nsec // 1000
