# cython: wraparound=False, cdivision=True
"""How a value is kept, and what it costs. C only.

A string that is the canonical text of a 64-bit integer is kept as the integer; up to EMBEDDED_LIMIT bytes stand in
the entry; a longer one is a bytes object, taken over without a copy where the request brought one. What commands
change in place is a bytearray once it is too long for the entry.

Python objects cannot be asked what they cost. For bytes and bytearray it follows from their layout and from malloc's
rounding; values of other types say it themselves (``values.Value``).
"""
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from libc.string cimport memcpy

from kvorum.keyspace.entry cimport BUFFER, BYTES, INTEGER, OBJECT, RAW, integer_of, reference_of, value_of
from kvorum.keyspace.values cimport Value
from kvorum.resp.numbers cimport INTEGER_CHARACTERS, parse_integer_text

cdef extern from *:
    """
    #define kvorum_allocated(object) (((PyByteArrayObject *)(object))->ob_alloc)
    """
    Py_ssize_t allocated_by "kvorum_allocated"(PyObject* object) noexcept

cdef enum:
    BYTES_HEADER = 33           # sizeof(PyBytesObject), the closing NUL included
    BYTEARRAY_HEADER = 56
    CHUNK_OVERHEAD = 8          # of malloc
    ALIGNMENT = 16


cdef inline int64_t _chunk(int64_t size) noexcept nogil:
    return (size + CHUNK_OVERHEAD + ALIGNMENT - 1) & ~<int64_t>(ALIGNMENT - 1)


cdef inline int64_t _bytes_cost(int64_t size) noexcept nogil:
    return _chunk(size + BYTES_HEADER)


cdef inline int64_t _buffer_cost(PyObject* buffer) noexcept:
    return BYTEARRAY_HEADER + _chunk(allocated_by(buffer))


cdef int64_t value_bytes(Entry* entry) noexcept:
    """What the value costs outside its entry."""
    if entry.kind == BYTES:
        return _bytes_cost(PyBytes_GET_SIZE(<object>reference_of(entry)))
    if entry.kind == BUFFER:
        return _buffer_cost(reference_of(entry))
    if entry.kind == OBJECT:
        return (<Value>reference_of(entry)).accounted_bytes
    return 0


cdef inline void _refer(Payload* payload, Kind kind, object value, int64_t cost) noexcept:
    payload.kind = kind
    payload.reference = <PyObject*>value
    payload.reference_bytes = cost
    Py_INCREF(value)


cdef int string_payload(Payload* payload, Span text) except -1:
    """A string that is set whole."""
    cdef bytes kept
    payload.flags = 0
    if text.size <= INTEGER_CHARACTERS and parse_integer_text(text.data, text.size, <long long*>&payload.integer):
        payload.kind = INTEGER
    elif text.size <= EMBEDDED_LIMIT:
        payload.kind = EMBEDDED
        payload.data = text.data
        payload.size = <uint32_t>text.size
    else:
        kept = <bytes>text.owner if text.owner != NULL else PyBytes_FromStringAndSize(text.data, text.size)
        _refer(payload, BYTES, kept, _bytes_cost(text.size))
    return 0


cdef int buffer_payload(Payload* payload, bytearray buffer) except -1:
    """A long string that is changed in place."""
    payload.flags = RAW
    _refer(payload, BUFFER, buffer, _buffer_cost(<PyObject*>buffer))
    return 0


cdef int object_payload(Payload* payload, Value value) except -1:
    """A value of another type; it is measured now."""
    cdef int64_t cost = value.used_bytes()
    value.accounted_bytes = cost
    payload.flags = 0
    _refer(payload, OBJECT, value, cost)
    return 0


cdef void payload_of(Payload* payload, Entry* entry) noexcept nogil:
    """The value of an entry; a reference is copied, not counted."""
    payload.kind = <Kind>entry.kind
    payload.flags = entry.flags & RAW
    payload.data = value_of(entry)
    payload.size = entry.value_size
    if entry.kind == INTEGER:
        payload.integer = integer_of(entry)
    elif entry.kind != EMBEDDED:
        payload.reference = reference_of(entry)


cdef void put_payload(Entry* entry, Payload* payload) noexcept nogil:
    """Into an entry that has its key and room for the value."""
    cdef char* value = value_of(entry)
    entry.kind = payload.kind
    entry.flags = (entry.flags & ~RAW) | payload.flags
    if payload.kind == EMBEDDED:
        entry.value_size = payload.size
        memcpy(value, payload.data, payload.size)
    elif payload.kind == INTEGER:
        memcpy(value, &payload.integer, 8)
    else:
        memcpy(value, &payload.reference, 8)
