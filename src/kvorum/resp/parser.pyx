# cython: wraparound=False, initializedcheck=False, cdivision=True
"""The request parser: bytes from a socket in, argument spans out. ``parser.py`` is its twin and tells the rules.

What is particular here is where the bytes live, for nothing is copied that need not be:

- The reactor receives into memory that ``reserve`` hands out. A connection that holds nothing gets the ``Scratch`` that
  all connections share; most requests are parsed, executed and forgotten there.
- What is left over when the reactor turns to another connection (``settle``) is parked in a buffer of the parser's own,
  which ``reserve`` extends from then on and which goes as soon as it is empty.
- An argument of ``BIG_ARGUMENT`` bytes or more that has not arrived as a whole gets a ``bytes`` object of exactly its
  size, and the socket is read into the inside of that object: the value is never copied again, however large.

Memory that only a client's announcement asks for: up to ``BIG_AT_ONCE`` the object is allocated in full but not
touched, which costs addresses and no memory; beyond that it grows with what has arrived, by moving pages rather than
bytes (mremap, which glibc uses for every block of that size). The argument vector grows with the arguments that have
arrived.

Spans of a half-parsed request point into the buffer; whenever the buffer moves they are moved with it (``rebase``).
Every such move is paid for by growth in proportion, so the cost of a request is linear however it dribbles in.
"""
cimport cython
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, memmove

from kvorum.resp.numbers cimport parse_integer_text
from kvorum.resp.span cimport Span


cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize" (const char* text, Py_ssize_t size) except NULL
    int _PyBytes_Resize(PyObject** string, Py_ssize_t size) except -1
    char* bytes_text "PyBytes_AS_STRING" (PyObject* string) nogil
    void incref "Py_INCREF" (PyObject* thing)
    void decref "Py_DECREF" (PyObject* thing)


cdef enum:
    SCRATCH_BYTES = 65536
    LINE_LIMIT = 65536              # an inline request, or a line that announces a count or a size
    BIG_ARGUMENT = 32768            # from here on an unfinished argument gets an object of its own
    BIG_AT_ONCE = 33554432          # up to here that object has its full size from the beginning
    READ_ROOM = 32768               # what an own buffer grows by at least
    LEAST_ROOM = 4096               # less than this at its tail is not worth a system call
    PARK_SLACK = 64
    SHRINK_SLACK = 16384            # an own buffer may be this much larger than twice what it holds
    KEPT_ARGUMENTS = 64             # a vector larger than this is given back after the request
    UNAUTHENTICATED_ARGUMENTS = 10
    UNAUTHENTICATED_BULK = 16384

cdef enum:                          # stages
    PARSING
    READY                           # a request has been given out
    HELD                            # and is to be given out again
    FAILED

cdef enum:                          # targets of reserve()
    NOTHING
    BUFFER
    BIG

cdef enum:                          # outcomes of parsing one line, besides Status
    CONTINUE = 3

DEFAULT_MAX_BULK_BYTES = 512 * 1024 * 1024
DEFAULT_MAX_ARGUMENTS = 2147483647


cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or (c >= 9 and c <= 13)


cdef inline int hex_digit(char c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - 48
    if c'a' <= c <= c'f':
        return c - 87
    if c'A' <= c <= c'F':
        return c - 55
    return -1


@cython.final
cdef class Scratch:
    def __cinit__(self, Py_ssize_t capacity=SCRATCH_BYTES):
        if capacity < 1:
            raise ValueError("a scratch has at least one byte")
        self.data = <char*>malloc(capacity)
        if self.data == NULL:
            raise MemoryError
        self.capacity = capacity

    def __dealloc__(self):
        free(self.data)


cdef inline Py_ssize_t short_number(char** cursor, char* limit, char kind) noexcept nogil:
    """The number of one to five digits in a line that begins with ``kind``, and steps behind it; -1: something else."""
    cdef char* at = cursor[0]
    cdef Py_ssize_t number = 0
    cdef int digits = 0
    if limit - at < 4 or at[0] != kind:
        return -1
    at += 1
    while at < limit and c'0' <= at[0] <= c'9' and digits < 5:
        number = number * 10 + (at[0] - c'0')
        digits += 1
        at += 1
    if digits == 0 or limit - at < 2 or at[0] != c'\r' or at[1] != c'\n':
        return -1
    cursor[0] = at + 2
    return number


@cython.final
cdef class Parser:
    def __cinit__(self, Scratch scratch=None):
        self.scratch = Scratch() if scratch is None else scratch
        self.max_bulk_bytes = DEFAULT_MAX_BULK_BYTES
        self.max_arguments = DEFAULT_MAX_ARGUMENTS
        self.authenticated = True
        self.argv = self.inline_argv
        self.argv_capacity = INLINE_ARGUMENTS
        self.bulk_size = -1
        self.canonical = True
        self.stage = PARSING

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.owners:
            for i in range(self.argc):
                if self.argv[i].owner != NULL:
                    decref(self.argv[i].owner)
        if self.argv != self.inline_argv:
            free(self.argv)
        if self.big != NULL:
            decref(self.big)
        free(self.own)

    # ---- Receiving

    cdef char* reserve(self, Py_ssize_t* room) except NULL:
        cdef Py_ssize_t held, capacity
        if self.big != NULL and self.big_filled < self.bulk_size:
            if self.big_filled == self.big_capacity:
                self.grow_big()
            self.target = BIG
            self.room = room[0] = self.big_capacity - self.big_filled
            return bytes_text(self.big) + self.big_filled
        self.target = BUFFER
        held = self.limit - self.start
        if held == 0:
            if self.own != NULL:
                free(self.own)
                self.own = NULL
                self.own_capacity = 0
            self.start = self.cursor = self.limit = self.scratch.data
            self.room = room[0] = self.scratch.capacity
            return self.limit
        if self.own == NULL:
            self.park(READ_ROOM)
        capacity = self.own + self.own_capacity - self.limit
        if capacity < LEAST_ROOM:
            if self.start - self.own >= held:
                memmove(self.own, self.start, held)
                self.rebase(self.own)
            if self.own + self.own_capacity - self.limit < LEAST_ROOM:
                self.park(max(READ_ROOM, held))
            capacity = self.own + self.own_capacity - self.limit
        self.room = room[0] = capacity
        return self.limit

    cdef int commit(self, Py_ssize_t count) except -1:
        if count < 0 or count > self.room:
            raise ValueError("more bytes committed than were reserved")
        self.room -= count
        if self.stage == FAILED:
            return 0
        if self.target == BIG:
            self.big_filled += count
        else:
            self.limit += count
        return 0

    cpdef int settle(self) except -1:
        cdef Py_ssize_t held
        self.room = 0
        if self.stage == READY:
            self.release()
        held = self.limit - self.start
        if held == 0:
            if self.own != NULL:
                free(self.own)
                self.own = NULL
                self.own_capacity = 0
            self.start = self.cursor = self.limit = NULL
        elif self.own == NULL or self.own_capacity > 2 * held + SHRINK_SLACK:
            self.park(PARK_SLACK)
        return 0

    cdef int park(self, Py_ssize_t room) except -1:
        """Moves what is held into a fresh buffer of the parser's own, with so much room behind it."""
        cdef Py_ssize_t held = self.limit - self.start
        cdef char* moved = <char*>malloc(held + room)
        if moved == NULL:
            raise MemoryError
        memcpy(moved, self.start, held)
        self.rebase(moved)
        free(self.own)
        self.own = moved
        self.own_capacity = held + room
        return 0

    cdef void rebase(self, char* moved) noexcept:
        """What began at ``start`` begins at ``moved`` now: every pointer into it follows."""
        cdef char* start = self.start
        cdef Py_ssize_t i
        if moved == start:
            return
        for i in range(self.argc):
            if self.argv[i].owner == NULL:
                self.argv[i].data = moved + (self.argv[i].data - start)
        if self.raw.data != NULL:
            self.raw.data = moved
        self.cursor = moved + (self.cursor - start)
        self.limit = moved + (self.limit - start)
        self.start = moved

    # ---- Giving out requests

    cpdef int next(self) except -1:
        if self.stage != PARSING:
            if self.stage == HELD:
                self.stage = READY
                return REQUEST
            if self.stage == FAILED:
                return PROTOCOL_ERROR
            if self.owners == 0 and self.argv_capacity <= KEPT_ARGUMENTS:
                self.argc = 0
                self.expected = 0
                self.canonical = True
                self.raw.data = NULL
                self.start = self.cursor
                self.stage = PARSING
            else:
                self.release()
        return self.parse()

    cdef int look_ahead(self, Span* keys, int most) noexcept:
        """Second words, mostly keys, of up to ``most`` complete requests that follow; consumes and checks nothing.

        It stops at whatever is not an ordinary request: it only says what is worth prefetching.
        """
        cdef char* cursor = self.cursor
        cdef char* limit = self.limit
        cdef Py_ssize_t words, word, size
        cdef int count = 0
        if self.stage == PARSING and self.expected != 0 or self.big != NULL:
            return 0
        while count < most:
            words = short_number(&cursor, limit, c'*')
            if words < 2:
                break
            for word in range(words):
                size = short_number(&cursor, limit, c'$')
                if size < 0 or limit - cursor < size + 2:
                    return count
                if word == 1:
                    keys[count].data = cursor
                    keys[count].size = size
                    keys[count].owner = NULL
                cursor += size + 2
            count += 1
        return count

    cpdef int hold(self) except -1:
        if self.stage != READY and self.stage != HELD:
            raise AssertionError("there is no request to hold")
        self.stage = HELD
        return 0

    cdef int release(self) except -1:
        """Forgets the current request and what it keeps alive."""
        cdef Py_ssize_t i
        if self.owners:
            for i in range(self.argc):
                if self.argv[i].owner != NULL:
                    decref(self.argv[i].owner)
            self.owners = 0
            self.big_bytes = 0
        if self.argv_capacity > KEPT_ARGUMENTS:
            free(self.argv)
            self.argv = self.inline_argv
            self.argv_capacity = INLINE_ARGUMENTS
        self.argc = 0
        self.expected = 0
        self.bulk_size = -1
        self.canonical = True
        self.raw.data = NULL
        self.raw.size = 0
        self.start = self.cursor
        self.stage = PARSING
        return 0

    cdef int fail(self, bytes text) except -1:
        """The connection is beyond repair: nothing that it sent is kept."""
        self.release()
        if self.big != NULL:
            decref(self.big)
            self.big = NULL
            self.big_filled = self.big_capacity = 0
        self.start = self.cursor = self.limit
        self.error = text
        self.stage = FAILED
        return PROTOCOL_ERROR

    cdef int add_argument(self, char* data, Py_ssize_t size, PyObject* owner) except -1:
        """Appends a span; takes over the reference to ``owner``."""
        cdef Span* grown
        cdef Py_ssize_t capacity
        if self.argc == self.argv_capacity:
            capacity = self.argv_capacity * 2
            if self.argv == self.inline_argv:
                grown = <Span*>malloc(capacity * sizeof(Span))
                if grown == NULL:
                    raise MemoryError
                memcpy(grown, self.inline_argv, sizeof(self.inline_argv))
            else:
                grown = <Span*>realloc(self.argv, capacity * sizeof(Span))
                if grown == NULL:
                    raise MemoryError
            self.argv = grown
            self.argv_capacity = capacity
        self.argv[self.argc].data = data
        self.argv[self.argc].size = size
        self.argv[self.argc].owner = owner
        self.argc += 1
        return 0

    # ---- Parsing

    cdef int parse(self) except -1:
        cdef char* cursor
        cdef char* limit = self.limit
        cdef Py_ssize_t expected, size, argc
        cdef Span* argv
        cdef int status

        if self.big != NULL:
            if self.big_filled < self.bulk_size or limit - self.cursor < 2:
                return NEED_MORE
            self.add_argument(bytes_text(self.big), self.bulk_size, self.big)
            self.owners += 1
            self.big_bytes += self.bulk_size
            self.big = NULL
            self.big_filled = self.big_capacity = 0
            self.cursor += 2
            self.bulk_size = -1

        while self.expected == 0:
            cursor = self.cursor
            if cursor == limit:
                return NEED_MORE
            if cursor[0] != c'*':
                status = self.parse_inline()
            elif limit - cursor >= 4 and cursor[2] == c'\r' and cursor[3] == c'\n' and c'1' <= cursor[1] <= c'9' \
                    and cursor[1] - c'0' <= self.max_arguments:
                self.expected = cursor[1] - c'0'
                self.cursor = cursor + 4
                self.searched = 0
                break
            else:
                status = self.parse_count()
            if status != CONTINUE:
                return status

        # The loop works on copies of the fields; they are written back wherever it is left.
        cursor = self.cursor
        expected = self.expected
        size = self.bulk_size
        argc = self.argc
        argv = self.argv
        while argc < expected:
            if size < 0:
                if limit - cursor >= 5 and cursor[0] == c'$' and c'0' <= cursor[1] <= c'9':
                    if cursor[2] == c'\r' and cursor[3] == c'\n':
                        size = cursor[1] - c'0'
                        cursor += 4
                    elif cursor[3] == c'\r' and cursor[4] == c'\n' and c'0' <= cursor[2] <= c'9' and cursor[1] != c'0':
                        size = (cursor[1] - c'0') * 10 + (cursor[2] - c'0')
                        cursor += 5
                if size < 0 or size > self.max_bulk_bytes:
                    if size >= 0:
                        return self.fail(b"invalid bulk length")
                    if cursor != self.cursor:
                        self.cursor = cursor
                        self.searched = 0
                    self.argc = argc
                    self.bulk_size = -1
                    status = self.parse_bulk_size()
                    if status != CONTINUE:
                        return status
                    cursor = self.cursor
                    size = self.bulk_size
            if limit - cursor - 2 < size:
                self.cursor = cursor
                self.searched = 0
                self.argc = argc
                self.bulk_size = size
                if size >= BIG_ARGUMENT:
                    self.begin_big()
                return NEED_MORE
            if argc == self.argv_capacity:
                self.argc = argc
                self.add_argument(cursor, size, NULL)
                argv = self.argv
            else:
                argv[argc].data = cursor
                argv[argc].size = size
                argv[argc].owner = NULL
            argc += 1
            cursor += size
            if cursor[0] != c'\r' or cursor[1] != c'\n':
                self.canonical = False
            cursor += 2
            size = -1
        self.cursor = cursor
        self.searched = 0
        self.argc = argc
        self.bulk_size = -1
        if self.canonical and self.owners == 0:
            self.raw.data = self.start
            self.raw.size = cursor - self.start
        self.stage = READY
        return REQUEST

    cdef int find_line_end(self, char wanted, Py_ssize_t* size) except -1:
        """CONTINUE with the size of the line up to ``wanted``; NEED_MORE; or PROTOCOL_ERROR when it is too long."""
        cdef Py_ssize_t available = self.limit - self.cursor
        cdef Py_ssize_t window = min(available, <Py_ssize_t>LINE_LIMIT + 1)
        cdef char* found = NULL
        if window > self.searched:
            found = <char*>memchr(self.cursor + self.searched, wanted, window - self.searched)
        if found == NULL:
            if available > LINE_LIMIT:
                return PROTOCOL_ERROR
            self.searched = window
            return NEED_MORE
        size[0] = found - self.cursor
        return CONTINUE

    cdef int parse_count(self) except -1:
        """The line ``*count``, at the cursor."""
        cdef Py_ssize_t size
        cdef long long count = 0
        cdef int status = self.find_line_end(c'\r', &size)
        if status == PROTOCOL_ERROR:
            return self.fail(b"too big mbulk count string")
        if status == CONTINUE and self.limit - self.cursor < size + 2:
            self.searched = size
            status = NEED_MORE
        if status == NEED_MORE:
            return NEED_MORE
        self.searched = 0
        if not parse_integer_text(self.cursor + 1, size - 1, &count) or count > self.max_arguments:
            return self.fail(b"invalid multibulk length")
        if count > UNAUTHENTICATED_ARGUMENTS and not self.authenticated:
            return self.fail(b"unauthenticated multibulk length")
        if self.cursor[size + 1] != c'\n':
            self.canonical = False
        self.cursor += size + 2
        if count > 0:
            self.expected = count
        else:
            self.start = self.cursor
            self.canonical = True
        return CONTINUE

    cdef int parse_bulk_size(self) except -1:
        """The line ``$size``, at the cursor."""
        cdef Py_ssize_t size
        cdef long long announced = 0
        cdef int status = self.find_line_end(c'\r', &size)
        cdef char first
        if status == PROTOCOL_ERROR:
            return self.fail(b"too big bulk count string")
        if status == CONTINUE and self.limit - self.cursor < size + 2:
            self.searched = size
            status = NEED_MORE
        if status == NEED_MORE:
            return NEED_MORE
        self.searched = 0
        first = self.cursor[0]
        if first != c'$':
            if first == c'\r' or first == c'\n':
                first = c' '
            return self.fail(b"expected '$', got '" + (&first)[:1] + b"'")
        if not parse_integer_text(self.cursor + 1, size - 1, &announced) or announced < 0 \
                or announced > self.max_bulk_bytes:
            return self.fail(b"invalid bulk length")
        if announced > UNAUTHENTICATED_BULK and not self.authenticated:
            return self.fail(b"unauthenticated bulk length")
        if self.cursor[size + 1] != c'\n':
            self.canonical = False
        self.cursor += size + 2
        self.bulk_size = announced
        return CONTINUE

    cdef int begin_big(self) except -1:
        """The argument at the cursor is large and incomplete: from here on it is received into an object of its own."""
        cdef Py_ssize_t capacity = min(self.bulk_size, <Py_ssize_t>BIG_AT_ONCE)
        cdef Py_ssize_t arrived = min(self.limit - self.cursor, self.bulk_size)
        cdef Py_ssize_t rest = self.limit - self.cursor - arrived
        if arrived > capacity:
            capacity = arrived
        self.big = new_bytes(NULL, capacity)
        self.big_capacity = capacity
        self.big_filled = arrived
        memcpy(bytes_text(self.big), self.cursor, arrived)
        memmove(self.cursor, self.cursor + arrived, rest)
        self.limit -= arrived
        return 0

    cdef int grow_big(self) except -1:
        cdef Py_ssize_t capacity = self.bulk_size
        if self.big_capacity < capacity // 2:
            capacity = self.big_capacity * 2
        try:
            _PyBytes_Resize(&self.big, capacity)
        except MemoryError:
            self.big = NULL         # the failed call has released it
            self.fail(b"out of memory")
            raise
        self.big_capacity = capacity
        return 0

    cdef int parse_inline(self) except -1:
        """A line of words, at the cursor."""
        cdef Py_ssize_t size
        cdef char* line = self.cursor
        cdef int status = self.find_line_end(c'\n', &size)
        if status == PROTOCOL_ERROR:
            return self.fail(b"too big inline request")
        if status == NEED_MORE:
            return NEED_MORE
        self.searched = 0
        self.cursor += size + 1
        if size > 0 and line[size - 1] == c'\r':
            size -= 1
        if not self.split_line(line, line + size):
            return self.fail(b"unbalanced quotes in request")
        if self.argc == 0:
            self.start = self.cursor
            return CONTINUE
        self.stage = READY
        return REQUEST

    cdef bint split_line(self, char* line, char* end) except -1:
        """Splits a line into arguments, undoing quotes in place; False if a quote stays open or a word sticks to it."""
        cdef char* p = line
        cdef char* out = line       # never ahead of p: no text gets longer by undoing its quotes
        cdef char* word
        cdef char quote, c
        while True:
            while p < end and is_space(p[0]):
                p += 1
            if p == end:
                return True
            word = out
            quote = 0
            while True:
                if p == end:
                    if quote:
                        return False
                    break
                c = p[0]
                p += 1
                if quote == 0:
                    if c == c' ' or c == c'\t' or c == c'\r' or c == c'\n':
                        break
                    if c == c'"' or c == c"'":
                        quote = c
                        continue
                elif c == quote:
                    if p < end and not is_space(p[0]):
                        return False
                    break
                elif c == c'\\' and p < end:
                    if quote == c'"':
                        if p[0] == c'x' and end - p >= 3 and hex_digit(p[1]) >= 0 and hex_digit(p[2]) >= 0:
                            c = <char>(hex_digit(p[1]) * 16 + hex_digit(p[2]))
                            p += 3
                        else:
                            c = p[0]
                            p += 1
                            if c == c'n':
                                c = c'\n'
                            elif c == c'r':
                                c = c'\r'
                            elif c == c't':
                                c = c'\t'
                            elif c == c'b':
                                c = 8
                            elif c == c'a':
                                c = 7
                    elif p[0] == c"'":
                        c = c"'"
                        p += 1
                out[0] = c
                out += 1
            self.add_argument(word, out - word, NULL)

    # ---- What is held

    cpdef Py_ssize_t buffered(self) noexcept:
        return (self.limit - self.start) + self.big_filled + self.big_bytes

    cpdef Py_ssize_t footprint(self) noexcept:
        cdef Py_ssize_t vector = 0
        if self.argv != self.inline_argv:
            vector = self.argv_capacity * <Py_ssize_t>sizeof(Span)
        return self.own_capacity + self.big_capacity + self.big_bytes + vector

    # ---- For Python

    def feed(self, bytes data not None):
        """Bytes have arrived."""
        cdef const char* text = data
        cdef Py_ssize_t left = len(data)
        cdef Py_ssize_t room = 0
        cdef char* place
        while left > 0:
            place = self.reserve(&room)
            room = min(room, left)
            memcpy(place, text, room)
            self.commit(room)
            text += room
            left -= room

    def unread(self):
        if self.stage != READY:
            raise AssertionError("there is no request")
        return self.cursor[:self.limit - self.cursor]

    def arg(self, Py_ssize_t index):
        if not (self.stage == READY or self.stage == HELD) or index < 0 or index >= self.argc:
            raise IndexError("no such argument")
        if self.argv[index].owner != NULL:
            return <object>self.argv[index].owner
        return self.argv[index].data[:self.argv[index].size]

    def args(self):
        if not (self.stage == READY or self.stage == HELD):
            return []
        return [self.arg(index) for index in range(self.argc)]

    def raw_request(self):
        if self.raw.data != NULL and (self.stage == READY or self.stage == HELD):
            return self.raw.data[:self.raw.size]
        arguments = self.args()
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
        return b"".join(parts)
