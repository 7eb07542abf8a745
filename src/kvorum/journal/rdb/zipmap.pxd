"""C side of zipmaps; ``zipmap.py`` documents the format."""

# A new listpack with fields and values; ``RdbError``: it is no zipmap.
cdef unsigned char* listpack_of_zipmap(const unsigned char* blob, Py_ssize_t size) except NULL
