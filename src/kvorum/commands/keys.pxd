"""C types for the generic commands that take any number of keys; the code stands in ``keys.py``."""
cimport cython

from kvorum.commands.call cimport Call

@cython.locals(position=cython.Py_ssize_t, removed=cython.Py_ssize_t)
cpdef Py_ssize_t remove_keys(Call call, bint lazily) except -1

@cython.locals(position=cython.Py_ssize_t, found=cython.Py_ssize_t)
cpdef Py_ssize_t count_existing(Call call) except -1
