"""C side of the checksum; ``crc32c.py`` documents it."""
from libc.stdint cimport uint32_t

cdef uint32_t crc32c_of(uint32_t crc, const void* data, size_t size) noexcept nogil
cpdef uint32_t crc32c_range(const unsigned char[::1] data, Py_ssize_t start, Py_ssize_t end, uint32_t crc) except? 0
