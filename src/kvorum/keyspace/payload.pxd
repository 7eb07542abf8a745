"""C side of values on their way into an entry; the rules stand in ``payload.pyx``."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t

from kvorum.keyspace.entry cimport EMBEDDED, Entry, Kind
from kvorum.keyspace.values cimport Value
from kvorum.resp.span cimport Span

cdef enum:
    EMBEDDED_LIMIT = 1024       # bytes; longer strings are objects of their own


cdef struct Payload:            # what ``data`` shows must not lie in a table
    Kind kind
    uint8_t flags               # RAW
    const char* data
    uint32_t size
    int64_t integer
    PyObject* reference         # owned: goes over to the entry
    int64_t reference_bytes     # what the referenced object costs


cdef inline uint32_t payload_size(Payload* payload) noexcept nogil:
    """What it takes inside the entry."""
    return payload.size if payload.kind == EMBEDDED else 8


cdef void put_payload(Entry* entry, Payload* payload) noexcept nogil
cdef int string_payload(Payload* payload, Span text) except -1
cdef int buffer_payload(Payload* payload, bytearray buffer) except -1
cdef int object_payload(Payload* payload, Value value) except -1
cdef void payload_of(Payload* payload, Entry* entry) noexcept nogil
cdef int64_t value_bytes(Entry* entry) noexcept
