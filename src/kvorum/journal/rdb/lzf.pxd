"""C side of the compression; ``lzf.py`` documents it."""

# Both return how many bytes were written. Compressing: 0 if it does not fit into ``room``. Decompressing: -1 if the
# input does not make exactly ``size`` bytes.
cdef Py_ssize_t compress_into(
    const unsigned char* data, Py_ssize_t size, unsigned char* out, Py_ssize_t room) except -1
cdef Py_ssize_t decompress_into(
    const unsigned char* data, Py_ssize_t length, unsigned char* out, Py_ssize_t size) noexcept nogil
# Whether so many bytes can be all that so few become; to be asked before memory is taken for them.
cdef bint may_become(Py_ssize_t length, unsigned long long size) noexcept nogil
