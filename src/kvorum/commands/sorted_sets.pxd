"""C types for ``sorted_sets.py``; its helpers become C functions."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.sorted_set cimport Change, SortedSet
from kvorum.keyspace.types.sorted_set_ranges cimport Ranges


@cython.locals(
    position=Py_ssize_t, first=Py_ssize_t, option=int, flags=int, change=Change, score=double, changed=Py_ssize_t,
    added=Py_ssize_t, is_new=bint)
cdef object add_pairs(Call call, bint increment)
@cython.locals(position=Py_ssize_t, deleted=Py_ssize_t, is_empty=bint)
cdef Py_ssize_t remove_members(Call call, SortedSet value) except -1
cdef int write_score(Call call, double score) except -1
@cython.locals(rank=cython.longlong)
cdef object show_rank(Call call, bint reverse)
