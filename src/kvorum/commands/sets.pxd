"""C types for ``sets.py``; its helpers become C functions."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.set cimport Set
from kvorum.resp.writer cimport Writer


cdef Set set_to_read(Call call)
cdef Set set_to_write(Call call)
@cython.locals(is_empty=bint)
cdef int account(Call call, Set value, bytes event) except -1
cdef Py_ssize_t store(Call call, Set result, bytes event) except -1
