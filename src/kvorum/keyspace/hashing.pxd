"""C side of the two hashes of a key; ``hashing.py`` documents the Python side."""
from libc.stdint cimport uint64_t


cdef unsigned int slot_of_key(const char* key, Py_ssize_t size) noexcept nogil
cdef uint64_t hash_of_key(const char* key, Py_ssize_t size, uint64_t seed) noexcept nogil
