"""C types for ``keys.py``: with Call known, its handlers' annotations are enough for direct calls and Spans."""
from kvorum.commands.call cimport Call

# Imported as a Python constant; handed on as a C one.
cdef int GENERIC

cpdef Py_ssize_t remove_keys(Call call, bint lazily) except -1

cpdef long long left_to_live(Call call) except? -3
