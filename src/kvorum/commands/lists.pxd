"""C types for ``lists.py``; its helpers become C functions. Those that ``blocking_lists.py`` calls too are cpdef."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.list cimport List


cdef List list_to_read(Call call)
cpdef List list_to_write(Call call, Py_ssize_t position)
cdef object push(Call call, bint at_head, bint only_existing)
@cython.locals(value=List)
cdef object pop(Call call, bint at_head)
@cython.locals(value=List, length=cython.longlong)
cdef object pop_several(Call call, List value, bint at_head, long long count)
cpdef int take(Call call, List value, bint at_head, long long count) except -1
cpdef int popped(Call call, List value, Py_ssize_t position, bint at_head, long long count) except -1
cpdef int pop_with_key(Call call, List value, Py_ssize_t position, bint at_head, long long count) except -1
cpdef bytes move(Call call, List source, bint from_head, bint to_head)
