"""C side of hashes; ``hash.py`` documents the Python side and what the methods over Spans do."""
cimport cython
from libc.stdint cimport uint64_t

from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.members cimport Members
from kvorum.keyspace.types.listpack cimport Element
from kvorum.keyspace.values cimport Value
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer


@cython.final
cdef class Hash(Value):
    cdef Commons commons
    cdef unsigned char* lp      # field, value, field, value, …; NULL: it is a table
    cdef Members* table         # member: field
    cdef uint64_t released      # how far release_some has come

    cdef int write_field(self, Span field, Span value) except -1        # 1: the field is new
    cdef bint remove_field(self, Span field) except -1
    cdef bint has_field(self, Span field) noexcept
    cdef Py_ssize_t field_size(self, Span field) noexcept
    cdef int read_field(self, Writer writer, Span field) except -1
    cdef long long increment_field(self, Span field, long long delta) except? -1
    cdef int fit(self, Span text) except -1
    cpdef int write_all(self, Writer writer, bint fields, bint values) except -1

    cdef bint find(self, Span field, Element* value) noexcept
    cdef int convert(self) except -1
    cdef int write_table(self, Writer writer, bint fields, bint values) except -1
    cdef list sample_listpack(self, uint64_t count)
    cdef list sample_table(self, uint64_t count)
    cdef list draw(self, uint64_t count)
