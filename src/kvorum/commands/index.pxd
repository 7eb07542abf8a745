"""C side of the command index; ``index.py`` documents the Python side."""
from libc.stdint cimport uint64_t

from kvorum.commands.command cimport Command
from kvorum.resp.span cimport Span


cdef enum:
    NAME_WORDS = 5
    NAME_BYTES = 40     # longest name that can be indexed


cdef struct Slot:
    uint64_t name[NAME_WORDS]   # lower case, padded with zeros
    Py_ssize_t size             # 0: free
    Py_ssize_t entry            # position in ``entries``


cdef class CommandIndex:
    cdef Slot* slots
    cdef Py_ssize_t mask
    cdef list entries
    cdef Py_ssize_t longest

    cdef Command find(self, Span name)
    cdef Command resolve(self, Span* argv, Py_ssize_t argc)
    cdef Py_ssize_t _place(self, const uint64_t* name, Py_ssize_t size) noexcept nogil
