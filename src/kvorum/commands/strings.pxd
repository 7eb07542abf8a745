"""C types for the hottest string commands; the code stands in ``strings.py``."""
cimport cython

from kvorum.commands.call cimport Call

@cython.locals(call=Call)
cpdef get(Call call)

cpdef set_(Call call)

cpdef incr(Call call)

cpdef decr(Call call)

cpdef add(Call call, long long delta)

@cython.locals(position=cython.Py_ssize_t)
cpdef mset(Call call)

@cython.locals(position=cython.Py_ssize_t)
cpdef mget(Call call)

@cython.locals(
    row="cython.Py_ssize_t", column="cython.Py_ssize_t", width="cython.Py_ssize_t", left="const unsigned char[:]",
    right="const unsigned char[:]", table="unsigned int[:]")
cpdef fill_lcs_table(bytes first, bytes second, object cells)
