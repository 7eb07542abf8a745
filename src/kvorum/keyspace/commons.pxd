"""C side of what the values of one keyspace share; ``commons.py`` documents it."""
from libc.stdint cimport uint64_t

from kvorum.keyspace.slab cimport Heap


cdef class Commons:
    cdef Heap heap                              # of entries and buckets; bears the hash seed
    cdef public uint64_t random_state
    # Limits of the compact encodings
    cdef public Py_ssize_t hash_max_entries
    cdef public Py_ssize_t hash_max_value
    cdef public Py_ssize_t list_max_size        # positive: entries; -1 .. -5: 4 KiB .. 64 KiB per node
    cdef public Py_ssize_t list_compress_depth
    cdef public Py_ssize_t set_max_intset_entries
    cdef public Py_ssize_t set_max_listpack_entries
    cdef public Py_ssize_t set_max_listpack_value
    cdef public Py_ssize_t zset_max_entries
    cdef public Py_ssize_t zset_max_value

    cdef uint64_t random_bits(self) noexcept
    cdef uint64_t random_number(self, uint64_t limit) noexcept
