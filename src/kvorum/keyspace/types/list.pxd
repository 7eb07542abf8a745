"""C side of lists; ``list.py`` documents the Python side.

What takes a Span or a Writer is for compiled handlers; the plain twin has it too, over ``bytes``. Indexes count from the
head, from 0, and must be in range unless a comment says otherwise.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.types.list_tree cimport Node, Slot, Tree
from kvorum.keyspace.types.listpack cimport Element
from kvorum.keyspace.values cimport Value
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer


cdef struct Leaf:               # a leaf and its place
    Slot* slot                  # valid until the tree changes
    Node* node                  # NULL: the list has no tree
    uint32_t position
    int64_t offset              # of the element that was looked for


cdef struct Wanted:             # an element that is searched
    const char* data
    Py_ssize_t size
    bint packable               # short enough to stand in a listpack
    Element element             # if so, what it would be there


cdef class List(Value):
    cdef readonly Commons commons
    cdef Tree* tree             # NULL while one leaf is enough
    cdef Slot whole             # count: the list's length; at: without a tree its only leaf, 0 if it is empty

    cdef int push_span(self, Span element, bint at_head) except -1
    cpdef int write_end(self, Writer writer, bint at_head) except -1             # not of an empty list
    cpdef int write_element_at(self, Writer writer, long long index) except -1
    # ``count`` elements from ``start`` on, or backwards down from it; the array's header is the caller's.
    cpdef int write_range(self, Writer writer, long long start, long long count, bint backwards) except -1
    cpdef long long length(self) noexcept
    cpdef int drop_end(self, bint at_head) except -1
    cpdef int drop(self, long long start, long long count) except -1
    cpdef push(self, bytes element, bint at_head=*)
    cpdef bytes pop(self, bint at_head=*)
    cpdef bytes get(self, long long index)
    cpdef bint set(self, long long index, bytes element) except -1
    cpdef bint insert_beside(self, bytes pivot, bytes element, bint after) except -1
    cpdef long long remove_equal(self, bytes element, long long count) except -1
    cpdef list positions(self, bytes element, long long rank, long long count, long long max_length)

    # From here on private.
    cdef int clear(self) except -1
    cdef void drop_leaf(self, Slot* slot) noexcept
    cdef void own_leaf(self, Slot* slot) noexcept
    cdef Leaf locate(self, long long index) noexcept
    cdef Leaf end_leaf(self, bint at_head) noexcept
    cdef void step(self, Leaf* leaf, bint backwards) noexcept
    cdef void count_in(self, Leaf* leaf, int64_t elements, int64_t allocated) noexcept
    cdef Py_ssize_t byte_limit(self) noexcept
    cdef bint accepts(self, Slot* slot, Py_ssize_t size) noexcept
    cdef Slot new_leaf(self, Span element) except *
    cdef int add_leaf(self, Slot leaf, Leaf* beside, bint after) except -1
    cdef int append_leaf(self, Slot leaf) except -1
    cdef int append_copy(self, Slot* source) except -1
    cdef int remove_leaf(self, Leaf* leaf) except -1
    cdef int shrink(self) except -1
    cdef list elements_from(self, long long index)
    cdef int put_into(self, Leaf* leaf, Span element, int64_t offset) except -1
    cdef int replace_in(self, Leaf* leaf, Span element) except -1
    cdef int insert_at(self, long long index, Span element) except -1
    cdef int split(self, Leaf* leaf, long long index) except -1
    cdef int drop_from(self, Leaf* leaf, int64_t offset, int64_t count) except -1
    cdef int64_t remove_from(self, Leaf* leaf, Wanted* wanted, int64_t limit, bint backwards) except -1
