"""C side of the reply writer; ``writer.py`` documents the Python side."""
cimport cython
from cpython.object cimport PyObject

from kvorum.resp.span cimport Span
from kvorum.resp.types cimport Attribute


cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len


cdef struct Segment:
    char* data
    Py_ssize_t size
    char* block             # memory to free when it has been sent, or NULL
    PyObject* owner         # or the object that holds it


@cython.final
cdef class Writer:
    cdef public int protocol            # 2 or 3
    cdef char* buffer                   # tail buffer, not yet sealed into a segment
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef readonly Py_ssize_t pending    # bytes not yet consumed, segments included

    cdef int simple(self, const char* text, Py_ssize_t size) except -1
    cpdef int integer(self, long long number) except -1
    # span.data == NULL writes null; a big span with an owner is sent from the owner, not copied
    cdef int bulk(self, Span span) except -1
    cpdef int null(self) except -1
    cpdef int array(self, Py_ssize_t count) except -1
    cdef int raw(self, const char* data, Py_ssize_t size) except -1
    cpdef value(self, object reply)                         # any reply, see resp/types.py
    cdef int gather(self, iovec* vector, int limit) except -1   # shows what is to be sent, returns how many pieces
    cpdef int consume(self, Py_ssize_t count) except -1     # so many bytes were sent
    cpdef int trim(self) except -1                          # idle: give memory back

    cpdef int null_array(self) except -1
    cpdef int map(self, Py_ssize_t count) except -1         # count pairs follow
    cpdef int set(self, Py_ssize_t count) except -1
    cpdef int push(self, Py_ssize_t count) except -1
    cpdef int attribute(self, Py_ssize_t count) except -1   # RESP3 only; count pairs follow, then the reply
    cpdef int double(self, double number) except -1
    cpdef int boolean(self, bint truth) except -1
    cpdef int error(self, bytes message) except -1          # full text without the leading '-'
    cpdef int status(self, bytes text) except -1
    cpdef int string(self, bytes data) except -1            # bulk from an object; None writes null
    cpdef int append(self, bytes data) except -1            # raw from an object
    cpdef int big_number(self, bytes digits) except -1
    cpdef int verbatim(self, bytes format, bytes data) except -1
    cpdef int rewind(self, Py_ssize_t pending) except -1    # take back what was written since `pending` had this value
    cpdef Py_ssize_t footprint(self) noexcept               # bytes of memory held, objects sent by reference included

    # From here on private.
    cdef Py_ssize_t sent                # bytes at the start of the tail buffer that are consumed
    cdef Segment* segments
    cdef Py_ssize_t first
    cdef Py_ssize_t count
    cdef Py_ssize_t segment_capacity

    cdef int grow(self, Py_ssize_t size) except -1
    cdef int seal(self) except -1
    cdef Segment* new_segment(self) except NULL
    cdef int header(self, char kind, Py_ssize_t count) except -1
    cdef int line(self, char kind, const char* text, Py_ssize_t size) except -1
    cdef int payload(self, const char* data, Py_ssize_t size, PyObject* owner) except -1
    cdef int number(self, object number) except -1
    cdef int any(self, object reply, int depth) except -1
    cdef int items(self, object sequence, int depth) except -1
    cdef int pairs(self, object pairs, int depth) except -1
    cdef int attributed(self, Attribute reply, int depth) except -1
    cdef bytes copy_out(self, Py_ssize_t count)

    # ``bulk`` from registers: faster than passing a span that was made on the spot. ``owner`` may be NULL.
    cdef int bulk_data(self, const char* data, Py_ssize_t size, PyObject* owner) except -1
