"""The clock: see ``clock.py``.

The monotonic clock is read after every command, and even through the vDSO that is a fifth of a small command's time. So where
the kernel itself keeps time by the processor's time-stamp counter, the counter is read directly, and ``calibrate``, called
by the server's timer, relates it to the kernel's clock again and again. A counter that departs from the kernel's clock
by more than ``TOLERANCE_NS`` between two calibrations (a virtual machine that moved) is never trusted again.
"""

from libc.stdint cimport uint64_t
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <x86intrin.h>
    #define kvorum_has_counter 1
    static inline unsigned long long kvorum_ticks(void) { return __rdtsc(); }
    #else
    #define kvorum_has_counter 0
    static inline unsigned long long kvorum_ticks(void) { return 0; }
    #endif
    static inline unsigned long long kvorum_scale(unsigned long long ticks, unsigned long long factor) {
        return (unsigned long long)(((unsigned __int128)ticks * factor) >> 32);
    }
    static inline unsigned long long kvorum_factor(unsigned long long ns, unsigned long long ticks) {
        return (unsigned long long)(((unsigned __int128)ns << 32) / ticks);
    }
    """
    bint kvorum_has_counter
    uint64_t kvorum_ticks() noexcept nogil
    uint64_t kvorum_scale(uint64_t ticks, uint64_t factor) noexcept nogil
    uint64_t kvorum_factor(uint64_t ns, uint64_t ticks) noexcept nogil

CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

cdef enum:
    SHORTEST_NS = 20 * 1000 * 1000      # between two calibrations, for a factor that is exact enough
    TOLERANCE_NS = 1000 * 1000
    STEADINESS = 20000                  # two readings that belong together lie at most 1/20000 of the interval apart

cdef uint64_t LONGEST_NS = 1000 * 1000 * 1000   # after a calibration, then the kernel is asked again


cdef inline long long kernel_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <long long>now.tv_sec * 1000000000 + now.tv_nsec


cdef class Clock:
    cpdef long long monotonic_ns(self):
        raise NotImplementedError("a clock says what time it is")

    cpdef long long wall_ms(self):
        return self.wall_us() // 1000

    cpdef long long wall_us(self):
        raise NotImplementedError("a clock says what time it is")

    cpdef calibrate(self):
        pass


cdef class SystemClock(Clock):
    def __cinit__(self):
        if kvorum_has_counter:
            try:
                with open(CLOCK_SOURCE) as source:
                    self.counter_trusted = source.read().strip() == "tsc"
            except OSError:
                self.counter_trusted = False
        self.anchor_ticks = kvorum_ticks()
        self.anchor_ns = kernel_ns()

    cpdef long long monotonic_ns(self):
        cdef long long now_ns
        cdef uint64_t ticks = kvorum_ticks() - self.anchor_ticks
        if not self.counting or ticks > self.longest_ticks:     # also if the counter went back: the difference wraps round
            now_ns = kernel_ns()
        else:
            now_ns = self.anchor_ns + <long long>kvorum_scale(ticks, self.ns_per_tick)
        if now_ns < self.last_ns:
            return self.last_ns     # a new calibration may set it back by some nanoseconds
        self.last_ns = now_ns
        return now_ns

    cpdef calibrate(self):
        cdef uint64_t ticks
        cdef long long now_ns
        cdef long long elapsed_ns
        if not self.counter_trusted:
            return
        ticks = kvorum_ticks()
        now_ns = kernel_ns()
        elapsed_ns = now_ns - self.anchor_ns
        if elapsed_ns < SHORTEST_NS or kvorum_ticks() - ticks > (ticks - self.anchor_ticks) // STEADINESS:
            return      # too soon, or held up between the two readings: at the next tick
        if ticks <= self.anchor_ticks or (
            self.counting
            and abs(<long long>kvorum_scale(ticks - self.anchor_ticks, self.ns_per_tick) - elapsed_ns) > TOLERANCE_NS
        ):
            self.counter_trusted = self.counting = False
            return
        self.ns_per_tick = kvorum_factor(elapsed_ns, ticks - self.anchor_ticks)
        self.longest_ticks = (LONGEST_NS << 32) // self.ns_per_tick
        self.anchor_ticks = ticks
        self.anchor_ns = now_ns
        self.counting = True

    cpdef long long wall_ms(self):
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        return <long long>now.tv_sec * 1000 + now.tv_nsec // 1000000

    cpdef long long wall_us(self):
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        return <long long>now.tv_sec * 1000000 + now.tv_nsec // 1000
