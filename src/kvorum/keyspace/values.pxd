"""C side of the values that are not strings; ``values.py`` documents them."""


cdef class Value:
    cdef public long long accounted_bytes

    cpdef long long used_bytes(self) except -1
    cpdef bytes encoding(self)
    cpdef Py_ssize_t elements(self) except -1
