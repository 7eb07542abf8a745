"""C side of the command index; ``index.py`` documents the Python side."""
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from kvorum.commands.command cimport Command
from kvorum.resp.span cimport Span


cdef enum:
    NAME_BYTES = 40     # longest name that can be indexed


cdef struct Slot:
    Py_ssize_t size     # of the name; 0: free
    uint64_t head       # the first eight bytes in lower case
    uint64_t tail       # the last eight bytes, overlapping the first; 0 for names of up to eight bytes
    const char* text    # the whole name in lower case; belongs to ``entries``
    PyObject* command   # belongs to ``entries``


cdef class CommandIndex:
    cdef Slot* slots
    cdef int shift
    cdef Py_ssize_t mask
    cdef dict entries
    cdef Py_ssize_t longest

    cdef Command find(self, Span name)
    cdef Command resolve(self, Span* argv, Py_ssize_t argc)
    cdef inline Slot* place_of(self, const char* name, Py_ssize_t size) noexcept nogil
