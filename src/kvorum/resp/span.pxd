"""A run of bytes that someone else owns. In plain mode a Span is a ``bytes`` object."""
from cpython.object cimport PyObject


cdef struct Span:
    const char* data    # NULL: absent
    Py_ssize_t size
    PyObject* owner     # a bytes object that holds exactly these bytes, or NULL (borrowed)


cdef inline Span absent_span() noexcept nogil:
    cdef Span span
    span.data = NULL
    span.size = 0
    span.owner = NULL
    return span
