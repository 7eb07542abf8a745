# cython: wraparound=False, initializedcheck=False, cdivision=True
"""The reply writer: replies in, bytes for a socket out. ``writer.py`` is its twin and tells what becomes of each value.

Replies are appended to one tail buffer. When that is full it is sealed, as it is, into a queue of segments, and a new
one begins: nothing that was written is moved again, and memory goes back while a long answer is being sent. A bulk
string of ``BY_REFERENCE`` bytes or more that an object owns is queued as a segment of its own that keeps the object
alive instead of copying it. ``gather`` shows the queue to writev, ``consume`` takes off its front what the kernel
accepted.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from kvorum.errors import CommandError
from kvorum.resp.numbers cimport (
    DIGIT_PAIRS, DOUBLE_CHARACTERS, INTEGER_CHARACTERS, write_double, write_integer, write_unsigned,
)
from kvorum.resp.span cimport Span
from kvorum.resp.types cimport Attribute, BigNumber, Members, Pairs, Push, Status, Verbatim
from kvorum.resp.types import NULL_ARRAY as null_array_marker, WRITTEN as written_marker


cdef extern from "Python.h":
    void incref "Py_INCREF" (PyObject* thing)
    void decref "Py_DECREF" (PyObject* thing)
    long long as_long_long "PyLong_AsLongLongAndOverflow" (object number, int* overflow) except? -1


cdef enum:
    FIRST_BYTES = 512               # a tail buffer begins with this much
    CHUNK_BYTES = 65536             # and is sealed when it would grow beyond this
    SEAL_BY_COPY = 4096             # less than this is copied out of the tail, so that its buffer can be used on
    BY_REFERENCE = 16384
    KEPT_BYTES = 65536              # a tail buffer larger than this goes when everything is sent
    MAX_DEPTH = 128                 # of nested replies

cdef object NULL_ARRAY = null_array_marker
cdef object WRITTEN = written_marker


cdef inline bytes exact(object data):
    """Whatever is bytes by type or inheritance, as plain bytes."""
    return <bytes>data if PyBytes_CheckExact(data) else bytes(data)


@cython.final
cdef class Writer:
    def __cinit__(self, int protocol=2):
        self.protocol = protocol

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.first, self.count):
            free(self.segments[i].block)
            if self.segments[i].owner != NULL:
                decref(self.segments[i].owner)
        free(self.segments)
        free(self.buffer)

    # ---- Memory

    cdef int grow(self, Py_ssize_t size) except -1:
        """Makes room for ``size`` more bytes in the tail buffer."""
        cdef Py_ssize_t capacity
        cdef char* grown
        if self.size >= CHUNK_BYTES // 2 and self.size + size > CHUNK_BYTES:
            self.seal()
            if self.capacity - self.size >= size:
                return 0
        capacity = self.capacity * 2 if self.capacity else FIRST_BYTES
        if self.buffer == NULL and self.count:
            capacity = CHUNK_BYTES      # the previous one was full: this is a long answer
        if capacity > CHUNK_BYTES:
            capacity = CHUNK_BYTES
        if capacity < self.size + size:
            capacity = self.size + size
        grown = <char*>realloc(self.buffer, capacity)
        if grown == NULL:
            raise MemoryError
        self.buffer = grown
        self.capacity = capacity
        return 0

    cdef Segment* new_segment(self) except NULL:
        cdef Py_ssize_t capacity
        cdef Segment* grown
        if self.count == self.segment_capacity:
            capacity = self.segment_capacity * 2 if self.segment_capacity else 8
            grown = <Segment*>realloc(self.segments, capacity * sizeof(Segment))
            if grown == NULL:
                raise MemoryError
            self.segments = grown
            self.segment_capacity = capacity
        return &self.segments[self.count]

    cdef int seal(self) except -1:
        """Moves the tail into the queue."""
        cdef Py_ssize_t size = self.size - self.sent
        cdef Segment* segment
        if size > 0:
            segment = self.new_segment()
            segment.owner = NULL
            segment.size = size
            if size < SEAL_BY_COPY:
                segment.block = <char*>malloc(size)
                if segment.block == NULL:
                    raise MemoryError
                memcpy(segment.block, self.buffer + self.sent, size)
                segment.data = segment.block
            else:
                segment.block = self.buffer
                segment.data = self.buffer + self.sent
                self.buffer = NULL
                self.capacity = 0
            self.count += 1
        self.size = self.sent = 0
        return 0

    cpdef int trim(self) except -1:
        cdef char* smaller
        if self.pending == 0:
            free(self.buffer)
            self.buffer = NULL
            self.size = self.sent = self.capacity = 0
            free(self.segments)
            self.segments = NULL
            self.first = self.count = self.segment_capacity = 0
        elif self.buffer != NULL and self.capacity > self.size > 0:
            smaller = <char*>realloc(self.buffer, self.size)
            if smaller != NULL:
                self.buffer = smaller
                self.capacity = self.size
        return 0

    cpdef Py_ssize_t footprint(self) noexcept:
        cdef Py_ssize_t total = self.capacity + self.segment_capacity * <Py_ssize_t>sizeof(Segment)
        cdef Py_ssize_t i
        for i in range(self.first, self.count):
            total += self.segments[i].size
        return total

    # ---- Sending

    cdef int gather(self, iovec* vector, int limit) except -1:
        cdef int filled = 0
        cdef Py_ssize_t i = self.first
        while i < self.count and filled < limit:
            vector[filled].iov_base = self.segments[i].data
            vector[filled].iov_len = self.segments[i].size
            filled += 1
            i += 1
        if filled < limit and self.size > self.sent:
            vector[filled].iov_base = self.buffer + self.sent
            vector[filled].iov_len = self.size - self.sent
            filled += 1
        return filled

    cpdef int consume(self, Py_ssize_t count) except -1:
        cdef Segment* segment
        cdef Py_ssize_t i
        if count < 0 or count > self.pending:
            raise ValueError("more bytes consumed than were pending")
        self.pending -= count
        while count > 0 and self.first < self.count:
            segment = &self.segments[self.first]
            if count < segment.size:
                segment.data += count
                segment.size -= count
                return 0
            count -= segment.size
            self.first += 1
            free(segment.block)
            if segment.owner != NULL:
                decref(segment.owner)
        if self.first == self.count:
            self.first = self.count = 0
        elif self.first > 64 and self.first * 2 > self.count:
            self.count -= self.first
            for i in range(self.count):
                self.segments[i] = self.segments[self.first + i]
            self.first = 0
        self.sent += count
        if self.pending == 0:
            self.size = self.sent = 0
            if self.capacity > KEPT_BYTES:
                self.trim()
        return 0

    cpdef int rewind(self, Py_ssize_t pending) except -1:
        cdef Py_ssize_t excess = self.pending - pending
        cdef Py_ssize_t part
        cdef Segment* segment
        if pending < 0 or excess < 0:
            raise ValueError("that much was never pending")
        self.pending = pending
        part = min(excess, self.size - self.sent)
        self.size -= part
        excess -= part
        while excess > 0:
            segment = &self.segments[self.count - 1]
            part = min(excess, segment.size)
            segment.size -= part
            excess -= part
            if segment.size == 0:
                self.count -= 1
                free(segment.block)
                if segment.owner != NULL:
                    decref(segment.owner)
        if self.first == self.count:
            self.first = self.count = 0
        return 0

    # ---- Parts of replies

    cdef int header(self, char kind, Py_ssize_t count) except -1:
        """``kind`` and a number, as announces a size."""
        cdef char* out
        if self.capacity - self.size < INTEGER_CHARACTERS + 3:
            self.grow(INTEGER_CHARACTERS + 3)
        out = self.buffer + self.size
        out[0] = kind
        if 0 <= count < 10:
            out[1] = <char>(c'0' + count)
            out += 2
        else:
            out += 1 + write_integer(out + 1, count)
        out[0] = c'\r'
        out[1] = c'\n'
        count = out + 2 - (self.buffer + self.size)
        self.size += count
        self.pending += count
        return 0

    cdef int line(self, char kind, const char* text, Py_ssize_t size) except -1:
        """A line of text, which must not contain newlines: spaces take their place."""
        cdef char* out
        cdef Py_ssize_t i
        cdef char c
        if self.capacity - self.size < size + 3:
            self.grow(size + 3)
        out = self.buffer + self.size
        out[0] = kind
        out += 1
        for i in range(size):
            c = text[i]
            out[i] = c' ' if c == c'\r' or c == c'\n' else c
        out[size] = c'\r'
        out[size + 1] = c'\n'
        self.size += size + 3
        self.pending += size + 3
        return 0

    cdef int payload(self, const char* data, Py_ssize_t size, PyObject* owner) except -1:
        """Bytes and the newline behind them."""
        cdef Segment* segment
        cdef char* out
        if owner != NULL and size >= BY_REFERENCE:
            self.seal()
            segment = self.new_segment()
            segment.data = <char*>data
            segment.size = size
            segment.block = NULL
            segment.owner = owner
            incref(owner)
            self.count += 1
            self.pending += size
            size = 0
        if self.capacity - self.size < size + 2:
            self.grow(size + 2)
        out = self.buffer + self.size
        memcpy(out, data, size)
        out[size] = c'\r'
        out[size + 1] = c'\n'
        self.size += size + 2
        self.pending += size + 2
        return 0

    cdef int raw(self, const char* data, Py_ssize_t size) except -1:
        if self.capacity - self.size < size:
            self.grow(size)
        memcpy(self.buffer + self.size, data, size)
        self.size += size
        self.pending += size
        return 0

    cdef int simple(self, const char* text, Py_ssize_t size) except -1:
        return self.line(c'+', text, size)

    cdef int bulk(self, Span span) except -1:
        if span.data == NULL:
            return self.null()
        return self.bulk_data(span.data, span.size, span.owner)

    cdef int bulk_data(self, const char* data, Py_ssize_t size, PyObject* owner) except -1:
        cdef char* start
        cdef char* out
        if size >= BY_REFERENCE:
            self.header(c'$', size)
            return self.payload(data, size, owner)
        if self.capacity - self.size < size + INTEGER_CHARACTERS + 5:
            self.grow(size + INTEGER_CHARACTERS + 5)
        start = out = self.buffer + self.size
        out[0] = c'$'
        if size < 10:
            out[1] = <char>(c'0' + size)
            out += 2
        elif size < 100:
            out[1] = DIGIT_PAIRS[size * 2]
            out[2] = DIGIT_PAIRS[size * 2 + 1]
            out += 3
        else:
            out += 1 + write_unsigned(out + 1, size)
        out[0] = c'\r'
        out[1] = c'\n'
        memcpy(out + 2, data, size)
        out += size + 2
        out[0] = c'\r'
        out[1] = c'\n'
        size = out + 2 - start
        self.size += size
        self.pending += size
        return 0

    cpdef int integer(self, long long number) except -1:
        return self.header(c':', number)

    cpdef int null(self) except -1:
        if self.protocol == 2:
            return self.raw(b"$-1\r\n", 5)
        return self.raw(b"_\r\n", 3)

    cpdef int null_array(self) except -1:
        if self.protocol == 2:
            return self.raw(b"*-1\r\n", 5)
        return self.raw(b"_\r\n", 3)

    cpdef int array(self, Py_ssize_t count) except -1:
        return self.header(c'*', count)

    cpdef int map(self, Py_ssize_t count) except -1:
        if self.protocol == 2:
            return self.header(c'*', count * 2)
        return self.header(c'%', count)

    cpdef int set(self, Py_ssize_t count) except -1:
        return self.header(c'*' if self.protocol == 2 else c'~', count)

    cpdef int push(self, Py_ssize_t count) except -1:
        return self.header(c'*' if self.protocol == 2 else c'>', count)

    cpdef int attribute(self, Py_ssize_t count) except -1:
        if self.protocol == 2:
            raise ValueError("RESP2 has no attributes")
        return self.header(c'|', count)

    cpdef int double(self, double number) except -1:
        cdef char text[DOUBLE_CHARACTERS]
        cdef int size = write_double(text, number)
        if self.protocol == 2:
            self.header(c'$', size)
            return self.payload(text, size, NULL)
        return self.line(c',', text, size)

    cpdef int boolean(self, bint truth) except -1:
        if self.protocol == 2:
            return self.raw(b":1\r\n" if truth else b":0\r\n", 4)
        return self.raw(b"#t\r\n" if truth else b"#f\r\n", 4)

    cpdef int error(self, bytes message) except -1:
        if message is None:
            raise TypeError("an error has a text")
        return self.line(c'-', PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))

    cpdef int status(self, bytes text) except -1:
        if text is None:
            raise TypeError("a status has a text")
        return self.line(c'+', PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    cpdef int string(self, bytes data) except -1:
        if data is None:
            return self.null()
        return self.bulk_data(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), <PyObject*>data)

    cpdef int append(self, bytes data) except -1:
        if data is None:
            raise TypeError("bytes are wanted")
        return self.raw(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cpdef int big_number(self, bytes digits) except -1:
        if self.protocol == 2 or digits is None:
            return self.string(digits)
        return self.line(c'(', PyBytes_AS_STRING(digits), PyBytes_GET_SIZE(digits))

    cpdef int verbatim(self, bytes format, bytes data) except -1:
        if self.protocol == 2:
            return self.string(data)
        self.header(c'=', PyBytes_GET_SIZE(data) + 4)
        self.append((format + b"   ")[:3] + b":")
        return self.payload(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), <PyObject*>data)

    # ---- Whole replies

    cpdef value(self, object reply):
        cdef Py_ssize_t mark
        if PyBytes_CheckExact(reply):
            self.string(<bytes>reply)
        elif reply is None:
            self.null()
        elif type(reply) is int:
            self.number(reply)
        elif type(reply) is Status:
            self.status((<Status>reply).text)
        else:
            mark = self.pending
            try:
                self.any(reply, 0)
            except BaseException:
                self.rewind(mark)
                raise

    cdef int number(self, object number) except -1:
        cdef int overflow = 0
        cdef long long small = as_long_long(number, &overflow)
        if overflow:
            return self.big_number(b"%d" % number)
        return self.header(c':', small)

    cdef int any(self, object reply, int depth) except -1:
        if PyBytes_CheckExact(reply):
            return self.string(<bytes>reply)
        if reply is None:
            return self.null()
        if type(reply) is int:
            return self.number(reply)
        if type(reply) is list or type(reply) is tuple:
            self.header(c'*', len(reply))
            return self.items(reply, depth)
        if type(reply) is bool:
            return self.boolean(reply)
        if type(reply) is float:
            return self.double(reply)
        if isinstance(reply, Status):
            return self.status((<Status>reply).text)
        if isinstance(reply, dict):
            self.map(len(reply))
            return self.pairs(reply.items(), depth)
        if isinstance(reply, (set, frozenset)):
            self.set(len(reply))
            return self.items(reply, depth)
        if reply is NULL_ARRAY:
            return self.null_array()
        if reply is WRITTEN:
            return 0
        if isinstance(reply, CommandError):
            return self.error(reply.message)
        if isinstance(reply, Members):
            self.set(len((<Members>reply).items))
            return self.items((<Members>reply).items, depth)
        if isinstance(reply, Pairs):
            self.map(len((<Pairs>reply).items))
            return self.pairs((<Pairs>reply).items, depth)
        if isinstance(reply, Push):
            self.push(len((<Push>reply).items))
            return self.items((<Push>reply).items, depth)
        if isinstance(reply, Verbatim):
            return self.verbatim((<Verbatim>reply).format, (<Verbatim>reply).data)
        if isinstance(reply, BigNumber):
            return self.big_number((<BigNumber>reply).digits)
        if isinstance(reply, Attribute):
            return self.attributed(<Attribute>reply, depth)
        if isinstance(reply, bytes):
            return self.string(exact(reply))
        if isinstance(reply, int):
            return self.number(int(reply))
        if isinstance(reply, float):
            return self.double(reply)
        if isinstance(reply, (list, tuple)):
            self.header(c'*', len(reply))
            return self.items(reply, depth)
        raise TypeError(f"no reply can be made of {type(reply).__name__}")

    cdef int items(self, object sequence, int depth) except -1:
        if depth == MAX_DEPTH:
            raise ValueError("a reply is nested too deeply")
        for item in sequence:
            self.any(item, depth + 1)
        return 0

    cdef int pairs(self, object pairs, int depth) except -1:
        if depth == MAX_DEPTH:
            raise ValueError("a reply is nested too deeply")
        for field, content in pairs:
            self.any(field, depth + 1)
            self.any(content, depth + 1)
        return 0

    cdef int attributed(self, Attribute reply, int depth) except -1:
        """The attributes, if the protocol has them, and then the reply."""
        if depth == MAX_DEPTH:
            raise ValueError("a reply is nested too deeply")
        if self.protocol != 2:
            attributes = reply.attributes
            if isinstance(attributes, Pairs):
                attributes = (<Pairs>attributes).items
            else:
                attributes = attributes.items()
            self.attribute(len(attributes))
            self.pairs(attributes, depth)
        return self.any(reply.reply, depth + 1)

    # ---- For Python

    def chunks(self, int limit=1024):
        """What ``gather`` would show, as bytes objects; a bulk sent by reference is the very object."""
        cdef int size = <int>max(0, min(<Py_ssize_t>limit, self.count - self.first + 1))
        cdef iovec* vector = <iovec*>malloc((size + 1) * sizeof(iovec))
        cdef list found = []
        cdef int i
        cdef PyObject* owner
        if vector == NULL:
            raise MemoryError
        try:
            for i in range(self.gather(vector, size)):
                owner = self.segments[self.first + i].owner if self.first + i < self.count else NULL
                if owner != NULL and <Py_ssize_t>vector[i].iov_len == PyBytes_GET_SIZE(<object>owner):
                    found.append(<object>owner)
                else:
                    found.append((<char*>vector[i].iov_base)[:vector[i].iov_len])
        finally:
            free(vector)
        return found

    def getvalue(self):
        return self.copy_out(self.pending)

    def take(self, Py_ssize_t count=-1):
        cdef bytes taken = self.copy_out(self.pending if count < 0 else min(count, self.pending))
        self.consume(PyBytes_GET_SIZE(taken))
        return taken

    cdef bytes copy_out(self, Py_ssize_t count):
        """The first ``count`` bytes, no more than are pending."""
        cdef bytes copied = PyBytes_FromStringAndSize(NULL, count)
        cdef char* out = PyBytes_AS_STRING(copied)
        cdef Py_ssize_t i = self.first
        cdef Py_ssize_t part
        while count > 0 and i < self.count:
            part = min(count, self.segments[i].size)
            memcpy(out, self.segments[i].data, part)
            out += part
            count -= part
            i += 1
        if count > 0:
            memcpy(out, self.buffer + self.sent, count)
        return copied
