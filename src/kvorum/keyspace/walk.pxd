"""C side of ways through a store; the essay is in ``walk.pyx``."""
from libc.stdint cimport uint64_t

from kvorum.keyspace.buckets cimport Bucket
from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.store cimport Store


cdef struct Place:              # a point in the order of keys: everything with a smaller (slot, hash) lies before it
    unsigned int slot
    uint64_t hash


cdef inline uint64_t random_bits(uint64_t* state) noexcept nogil:
    """xorshift64*; the state must not be 0."""
    state[0] ^= state[0] >> 12
    state[0] ^= state[0] << 25
    state[0] ^= state[0] >> 27
    return state[0] * <uint64_t>0x2545F4914F6CDD1D


cdef bint seek(Store* store, Place* place) noexcept nogil
cdef Bucket* step(Store* store, Place* place) noexcept nogil
cdef unsigned int random_slot(Store* store, uint64_t* random, uint64_t* rank) noexcept nogil
cdef Entry* random_entry(Store* store, uint64_t* random) noexcept nogil
cdef Entry* random_volatile(Store* store, uint64_t* random) noexcept nogil
