"""C side of the outbox; ``outbox.py`` is compiled with these types."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.commands.command cimport Command
from kvorum.journal.effects cimport Effects

cdef long long WRITES
cdef long long READS


cdef class Outbox:
    cdef public Effects effects
    cdef public object flusher
    cdef long long requested
    cdef public bint named
    cdef public bint holding
    cdef public bint confirming
    cdef public bint in_rounds
    cdef public bint reading
    cdef public long long round
    cdef public long long confirmed
    cdef public long long safe
    cdef public long long everywhere
    cdef long long[::1] slots
    cdef public bytes failure
    cdef public long long safe_before
    cdef public long long confirmed_before
    cdef public list waiting
    cdef public object on_broken

    @cython.locals(position=cython.longlong, needed=cython.longlong, index=cython.Py_ssize_t, last=cython.Py_ssize_t,
                   slot=cython.uint)
    cpdef long long needed(self, Call call, Command command, long long before) except -1
    @cython.locals(needed=cython.longlong, slot=cython.uint)
    cdef long long _needed_by(self, list found, Call call, Command command, long long before, long long position) except -1
    cpdef note_read(self, Call call)
    cpdef long long note_late_read(self) noexcept
    cpdef long long take_round(self) noexcept
    @cython.locals(slot=cython.uint)
    cpdef note_removed(self, long long position)
    @cython.locals(confirmed=cython.longlong, safe=cython.longlong, moved=cython.bint)
    cpdef bint settle(self) except -1
    cpdef bint wants_flush(self) noexcept
    cpdef bint flush(self) except -1


cdef class HeldOutput:
    cdef Outbox outbox
    cdef readonly list marks
    cdef long long noted

    @cython.locals(start=cython.longlong, marks=list, mark=list)
    cpdef note(self, long long taken, long long written, long long position, long long replies, long long round_)
    @cython.locals(safe=cython.longlong, confirmed=cython.longlong, marks=list, mark=list, passed=cython.Py_ssize_t)
    cpdef long long allowed(self, long long written) except -1
