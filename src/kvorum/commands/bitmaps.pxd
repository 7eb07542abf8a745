"""C types for ``bitmaps.py``: with Call and Bits known, a string goes from the table to the loops as a Span."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.bits cimport Bits, Combination


cpdef long long bit_offset(Call call, Py_ssize_t index) except -1


cdef class Operation:                   # with numbers of Python: sums of them may take more than 64 bits
    cdef readonly bytes name
    cdef readonly object position
    cdef readonly bint signed
    cdef readonly object width
    cdef readonly object operand
    cdef readonly bytes overflow
