"""C side of the checksum; ``crc64.py`` documents it."""
from libc.stdint cimport uint64_t

cdef uint64_t crc64_of(uint64_t crc, const unsigned char* data, Py_ssize_t size) noexcept nogil
