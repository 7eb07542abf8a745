"""C side of the reply writer; ``writer.py`` documents the Python side."""
from kvorum.resp.span cimport Span


cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len


cdef class Writer:
    cdef public int protocol            # 2 or 3
    cdef char* buffer                   # tail buffer, not yet sealed into a segment
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef readonly Py_ssize_t pending    # bytes not yet consumed, segments included

    cdef int simple(self, const char* text, Py_ssize_t size) except -1
    cdef int integer(self, long long number) except -1
    cdef int bulk(self, Span span) except -1                # span.data == NULL writes null; a big span with an owner is sent from the owner, not copied
    cdef int null(self) except -1
    cdef int array(self, Py_ssize_t count) except -1
    cdef int raw(self, const char* data, Py_ssize_t size) except -1
    cpdef value(self, object reply)                         # any reply, see resp/types.py
    cdef int gather(self, iovec* vector, int limit) except -1   # fills the vector with what is to be sent, returns how many
    cdef int consume(self, Py_ssize_t count) except -1      # so many bytes were sent
    cdef int trim(self) except -1                           # idle: give memory back
