# cython: cdivision=True
"""What the values of one keyspace share: see ``commons.py``."""
from libc.stdint cimport uint64_t

from kvorum.keyspace.slab cimport trim_heap

DEFAULT_HASH_SEED = 0x9216D5D98979FB1B


cdef class Commons:
    def __cinit__(self, seed=1, hash_seed=DEFAULT_HASH_SEED):
        self.heap.hash_seed = hash_seed
        self.random_state = seed or 1
        self.hash_max_entries = 128
        self.hash_max_value = 64
        self.list_max_size = -2
        self.set_max_intset_entries = 512
        self.set_max_listpack_entries = 128
        self.set_max_listpack_value = 64
        self.zset_max_entries = 128
        self.zset_max_value = 64

    def __dealloc__(self):
        trim_heap(&self.heap, self.heap.spare_count, 0)

    @property
    def hash_seed(self):
        return self.heap.hash_seed

    cdef uint64_t random_bits(self) noexcept:
        self.random_state ^= self.random_state >> 12
        self.random_state ^= self.random_state << 25
        self.random_state ^= self.random_state >> 27
        return self.random_state * <uint64_t>0x2545F4914F6CDD1D

    cdef uint64_t random_number(self, uint64_t limit) noexcept:
        return self.random_bits() % limit

    def random_below(self, uint64_t limit):
        return self.random_number(limit)
