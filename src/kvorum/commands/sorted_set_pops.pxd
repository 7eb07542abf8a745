"""C types for ``sorted_set_pops.py``; its helpers become C functions."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.types.sorted_set cimport SortedSet


@cython.locals(count=cython.longlong, paired=bint)
cdef object pop_end(Call call, bint highest)
cdef int settle(Call call, SortedSet value, bytes key, bint highest) except -1
