"""C side of entries; ``entries.py`` is compiled with these types."""
cimport cython
from libc.stdint cimport uint32_t

from kvorum.journal.crc32c cimport crc32c_range

cdef Py_ssize_t LONGEST_LINE
cdef Py_ssize_t MOST_DIGITS
cdef int _END
cdef int _IS_ENTRY
cdef int _IS_COMMANDS
cdef int _IS_DAMAGED
cdef Py_ssize_t RUN_BYTES
cdef Py_ssize_t LEAST_ZEROS
cdef Py_ssize_t _INCOMPLETE
cdef Py_ssize_t _MALFORMED
cdef bytes _ENTRY
cdef bytes _LINE
cdef bytes _DURABLE
cdef bytes _TIMESTAMP
cdef bytes _SELECT


@cython.final
cdef class EntryReader:
    cdef readonly long long index
    cdef readonly long long term
    cdef readonly long long time_ms
    cdef readonly long long database
    cdef readonly long long last_index
    cdef readonly long long last_term
    cdef readonly long long timestamp_s
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t body_start
    cdef readonly Py_ssize_t end
    cdef readonly long long durable_index
    cdef readonly long long durable_offset
    cdef readonly Py_ssize_t file_size
    cdef readonly str file
    cdef readonly object damage
    cdef const unsigned char[::1] data

    # From here on private.
    cdef Py_ssize_t size
    cdef Py_ssize_t plain_start
    cdef Py_ssize_t cursor
    cdef Py_ssize_t word_start
    cdef Py_ssize_t word_end
    cdef Py_ssize_t words
    cdef Py_ssize_t trouble_at
    cdef str trouble

    @cython.locals(result=int)
    cpdef int next(self) except -1
    cpdef bytes bytes_of(self, Py_ssize_t start, Py_ssize_t end)
    cpdef bytes body(self)
    @cython.locals(size=Py_ssize_t, count=Py_ssize_t, at=Py_ssize_t, key=tuple)
    cpdef Py_ssize_t tally(self, Py_ssize_t start, Py_ssize_t end, dict counts, bint lines=*) except? -1

    @cython.locals(at=Py_ssize_t, after=Py_ssize_t, byte=int)
    cdef int _read(self) except -1
    @cython.locals(length=Py_ssize_t, position=Py_ssize_t)
    cdef bint _has(self, Py_ssize_t at, bytes word) noexcept
    @cython.locals(limit=Py_ssize_t, position=Py_ssize_t)
    cdef Py_ssize_t _line_end(self, Py_ssize_t at) noexcept
    @cython.locals(number=cython.longlong, position=Py_ssize_t, digit=int)
    cdef long long _field(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long _spaced_field(self, Py_ssize_t end) noexcept
    @cython.locals(at=Py_ssize_t, position=Py_ssize_t, checksum=cython.longlong, byte=int)
    cdef long long _checksum_field(self, Py_ssize_t end) noexcept
    @cython.locals(
        end=Py_ssize_t, format_number=cython.longlong, index=cython.longlong, term=cython.longlong, time_ms=cython.longlong,
        database=cython.longlong, length_at=Py_ssize_t, length=cython.longlong, head_end=Py_ssize_t, checksum=cython.longlong,
    )
    cdef int _entry(self, Py_ssize_t start, Py_ssize_t at) except -1
    cdef bint _in_order(self, Py_ssize_t start, Py_ssize_t at, long long index, long long term, long long database) except -1
    @cython.locals(position=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _body_line(self, Py_ssize_t at) noexcept
    @cython.locals(position=Py_ssize_t, after=Py_ssize_t, in_lines=bint)
    cdef int _short_entry(
        self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t length_at, Py_ssize_t body, long long length, long long checksum
    ) except -1
    cdef int _broken_line(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t reason) except -1
    cdef int _broken_format(self, Py_ssize_t start, long long format_number) except -1
    @cython.locals(end=Py_ssize_t, seconds=cython.longlong)
    cdef Py_ssize_t _other_line(self, Py_ssize_t at) except? -2
    @cython.locals(after=Py_ssize_t)
    cdef Py_ssize_t _selected(self, Py_ssize_t at) except? -2
    @cython.locals(position=Py_ssize_t)
    cdef bint _begins_entry(self, Py_ssize_t at) noexcept
    @cython.locals(at=Py_ssize_t, usable=Py_ssize_t, after=Py_ssize_t, in_transaction=bint, timestamp_s=cython.longlong)
    cdef int _commands(self, Py_ssize_t start) except -1
    cdef int _end_of_commands(self, Py_ssize_t start, Py_ssize_t usable, Py_ssize_t reason) except -1
    @cython.locals(count=Py_ssize_t, argument=Py_ssize_t, length=Py_ssize_t, start=Py_ssize_t, room=Py_ssize_t)
    cdef Py_ssize_t _command(self, Py_ssize_t at) noexcept
    @cython.locals(number=Py_ssize_t, position=Py_ssize_t, digit=int)
    cdef Py_ssize_t _length(self, Py_ssize_t at, int mark) noexcept
    @cython.locals(position=Py_ssize_t, byte=int)
    cdef bint _is_word(self, bytes upper, bytes lower) noexcept
    cdef Py_ssize_t _malformed(self, Py_ssize_t at, str what) noexcept
    @cython.locals(used=Py_ssize_t)
    cdef bint _only_zeros_follow(self) except -1
    cdef int _torn(self, Py_ssize_t offset, str what) except -1
    cdef int _damaged(self, Py_ssize_t offset, object kind, str what) except -1
