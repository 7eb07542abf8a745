"""C side of what is computed from several sets; ``set_operations.py`` documents it."""
from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.types.set cimport Set
from kvorum.resp.writer cimport Writer

cpdef int write_intersection(list sets, Writer reply) except -1
cpdef Py_ssize_t count_intersection(list sets, Py_ssize_t limit) except -1
cpdef Set intersection(list sets, Commons commons)
cpdef Set union(list sets, Commons commons)
cpdef int write_difference(list sets, Writer reply) except -1
cpdef Set difference(list sets, Commons commons)
