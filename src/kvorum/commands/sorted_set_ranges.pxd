"""C types for ``sorted_set_ranges.py``; its helpers become C functions."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.sorted_set cimport SortedSet
from kvorum.keyspace.types.sorted_set_ranges cimport Range, Ranges, Section


@cython.locals(
    key=Py_ssize_t, option=int, with_scores=bint, offset=cython.longlong, count=cython.longlong, position=Py_ssize_t,
    low=Py_ssize_t, high=Py_ssize_t, start=cython.longlong, stop=cython.longlong, ends=Range, section=Section, flat=bint)
cdef object show_range(Call call, bint storing, bint by_score, bint by_member, bint reverse, bint fixed)
@cython.locals(ends=Range, section=Section)
cdef object count_range(Call call, bint by_score)
@cython.locals(ends=Range, section=Section)
cdef object remove_members(Call call)
