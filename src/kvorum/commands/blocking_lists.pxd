"""C types for ``blocking_lists.py``."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.list cimport List


@cython.locals(value=List)
cdef object pop_or_wait(Call call, bint at_head)
cdef List ready_list(Call call, Py_ssize_t position)
