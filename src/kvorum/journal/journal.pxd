"""C side of the journal; ``journal.py`` is compiled with these types."""
cimport cython


cdef class Journal:
    cdef public object disk
    cdef public str directory
    cdef public str filename
    cdef public object manifest
    cdef public long long index
    cdef public long long term
    cdef public str policy
    cdef public long long segment_bytes
    cdef public bint named
    cdef public bint changing
    cdef public bint timestamps
    cdef public long long written
    cdef public long long size
    cdef public object failed
    cdef public object on_failure
    cdef public bint paused
    cdef public bint prompt
    cdef public long long keep_bytes
    cdef public object flusher
    cdef public object file
    cdef object _broken
    cdef object _clock
    cdef int _database
    cdef long long _durable_offset
    cdef long long _idle_position
    cdef long long _timestamp_s
    cdef int _delays
    cdef list _kept
    cdef long long _kept_bytes
    cdef bint _direct
    cdef public object offsets
    cdef long long _next_mark
    cdef long long _last_term

    cpdef write(self, bytes batch, Py_ssize_t start, int database, int last, long long position)
    @cython.locals(size=cython.Py_ssize_t, last=int)
    cpdef write_entry(self, long long index, long long term, long long time_ms, int database, bytes data, Py_ssize_t start,
                      long long position=*)
    @cython.locals(size=cython.Py_ssize_t, before=bytes, body=bytes)
    cdef _write(self, long long time_ms, int database, int last, bytes data, Py_ssize_t start)
    cdef _mark(self)
    @cython.locals(lines=bytes)
    cdef bytes _lines_before(self, int database, long long time_ms)
    cdef _write_slowly(self, list parts)
    cdef bint _try(self, list parts, long long size) except -1
    cdef _take_back(self)
    cdef _note_written(self, long long size)
    cdef object _begin_increment(self)
