"""C side of the duration histogram; ``histogram.py`` is compiled with these types."""
cimport cython

cdef long long LARGEST_NS
cdef long long EXACT_BELOW
cdef long long HALF
cdef Py_ssize_t COUNTERS
cdef long long FIRST_LEVEL_NS
cdef long long LAST_LEVEL_NS


@cython.locals(shift=cython.int)
cdef int counter_of(long long nanoseconds) noexcept

@cython.locals(shift=cython.longlong)
cdef long long highest_of(long long counter) noexcept


@cython.final
cdef class Histogram:
    cdef long long[::1] counts
    cdef readonly long long total

    @cython.locals(shift=cython.int)
    cpdef void record(self, long long nanoseconds) noexcept
    @cython.locals(wanted=cython.longlong, met=cython.longlong, counter=cython.Py_ssize_t)
    cpdef object percentile(self, double percent)
    @cython.locals(
        level=cython.longlong, last=cython.longlong, met=cython.longlong, reported=cython.longlong,
        counter=cython.Py_ssize_t,
    )
    cpdef list cumulative(self)
