"""C types for ``hashes.py``; its helpers become C functions."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.hash cimport Hash
from kvorum.resp.writer cimport Writer


cdef Hash hash_to_read(Call call)
cdef Hash hash_to_write(Call call)
cdef int store(Call call, Hash value, bint is_new) except -1
@cython.locals(value=Hash, is_new=bint, position=Py_ssize_t, created=Py_ssize_t)
cdef Py_ssize_t write_fields(Call call) except -1
@cython.locals(position=Py_ssize_t, deleted=Py_ssize_t, is_empty=bint)
cdef Py_ssize_t remove_fields(Call call, Hash value) except -1
