# cython: cdivision=True
"""The access clock of an entry: 24 bits that say when (LRU) or how often (LFU) it was used, as in Redis. C only.

LRU: seconds, modulo 2**24. LFU: 16 bits of minutes when the counter was last brought up to date, and an 8-bit counter
that rises with a probability that falls as it grows, and falls by one per ``lfu-decay-time`` minutes.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    CLOCK_MASK = 0xFFFFFF
    CLOCK_RESOLUTION_MS = 1000
    MINUTE_MS = 60000
    LFU_INITIAL = 5
    LFU_MAXIMUM = 255


cdef inline uint32_t lru_clock(int64_t now_ms) noexcept nogil:
    return <uint32_t>(now_ms // CLOCK_RESOLUTION_MS) & CLOCK_MASK


cdef inline int64_t idle_ms(uint32_t clock, int64_t now_ms) noexcept nogil:
    return <int64_t>((lru_clock(now_ms) - clock) & CLOCK_MASK) * CLOCK_RESOLUTION_MS


cdef inline uint32_t lfu_minutes(int64_t now_ms) noexcept nogil:
    return <uint32_t>(now_ms // MINUTE_MS) & 0xFFFF


cdef inline uint32_t lfu_clock(uint32_t counter, int64_t now_ms) noexcept nogil:
    return (lfu_minutes(now_ms) << 8) | counter


cdef inline uint32_t lfu_counter(uint32_t clock, int64_t now_ms, int decay_minutes) noexcept nogil:
    """The counter as of now."""
    cdef uint32_t counter = clock & 0xFF
    cdef uint32_t elapsed = (lfu_minutes(now_ms) - (clock >> 8)) & 0xFFFF
    cdef uint32_t periods = elapsed // <uint32_t>decay_minutes if decay_minutes > 0 else 0
    return counter - periods if periods < counter else 0


cdef inline uint32_t lfu_raised(uint32_t counter, int log_factor, uint64_t random_bits) noexcept nogil:
    """The counter after one more access: one higher with probability 1 / (excess * log_factor + 1)."""
    cdef uint32_t excess = counter - LFU_INITIAL if counter > LFU_INITIAL else 0
    if counter == LFU_MAXIMUM:
        return counter
    if <double>(random_bits >> 11) / 9007199254740992.0 * (<double>excess * log_factor + 1) < 1.0:
        return counter + 1
    return counter
