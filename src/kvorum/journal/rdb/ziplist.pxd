"""C side of ziplists; ``ziplist.py`` documents the format."""

# A new listpack with the elements; ``RdbError``: it is no ziplist.
cdef unsigned char* listpack_of_ziplist(const unsigned char* blob, Py_ssize_t size) except NULL
