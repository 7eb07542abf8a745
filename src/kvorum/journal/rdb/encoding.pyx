# cython: wraparound=False, cdivision=True
"""Reading and writing RDB's elements: see ``encoding.py`` for the format and the rules."""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int8_t, int16_t, int32_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from kvorum.journal.rdb import RdbError

from kvorum.journal.rdb.crc64 cimport crc64_of
from kvorum.journal.rdb.lzf cimport compress_into, decompress_into, may_become
from kvorum.resp.numbers cimport parse_double_text, parse_integer_text, write_integer
from kvorum.resp.span cimport Span

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "kvorum's RDB reader reads words in little-endian order"
    #endif
    """
    uint32_t swapped_32 "__builtin_bswap32"(uint32_t word) noexcept nogil
    uint64_t swapped_64 "__builtin_bswap64"(uint64_t word) noexcept nogil

cdef enum:
    SPECIAL = 3                 # the two highest bits of the byte before a special string
    LENGTH_32 = 0x80
    LENGTH_64 = 0x81
    INTEGER_8 = 0
    INTEGER_16 = 1
    INTEGER_32 = 2
    COMPRESSED = 3
    NOT_A_NUMBER = 253
    PLUS_INFINITY = 254
    MINUS_INFINITY = 255
    LONGEST_SHORT_INTEGER = 11  # characters
    NOT_COMPRESSED_UP_TO = 20   # bytes
    SAVED_AT_LEAST = 4
    LONGEST_HEAD = 19           # of a compressed string: mark and two lengths
    FIRST_CAPACITY = 256


@cython.final
cdef class RdbReader:
    def __cinit__(self, data not None, Py_ssize_t start=0, end=None):
        PyObject_GetBuffer(data, &self.view, PyBUF_SIMPLE)
        self.viewing = True
        self.data = <const unsigned char*>self.view.buf
        self.end = self.view.len if end is None else end
        self.position = start
        self.kept = [None] * KEPT_STRINGS
        if not 0 <= start <= self.end <= self.view.len:
            raise ValueError("to be read is what does not lie in the buffer")

    def __dealloc__(self):
        if self.viewing:
            PyBuffer_Release(&self.view)

    @property
    def left(self):
        return self.end - self.position

    cdef object broken(self, str what):
        return RdbError(f"{what} at byte {self.position}")

    cdef const unsigned char* take(self, uint64_t count) except NULL:
        cdef const unsigned char* found = self.data + self.position
        if count > <uint64_t>(self.end - self.position):
            raise self.broken(f"{count} bytes are to follow, but {self.end - self.position} are left")
        self.position += <Py_ssize_t>count
        return found

    cpdef int byte(self) except -1:
        return self.take(1)[0]

    cpdef bytes raw(self, uint64_t count):
        cdef const unsigned char* found = self.take(count)
        return PyBytes_FromStringAndSize(<const char*>found, <Py_ssize_t>count)

    cdef uint64_t head(self, bint* special) except? 0:
        cdef unsigned int first = self.take(1)[0]
        cdef uint32_t word
        cdef uint64_t long_word
        special[0] = False
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.take(1)[0]
        if first >> 6 == SPECIAL:
            special[0] = True
            return first & 0x3F
        if first == LENGTH_32:
            memcpy(&word, self.take(4), 4)
            return swapped_32(word)
        if first == LENGTH_64:
            memcpy(&long_word, self.take(8), 8)
            return swapped_64(long_word)
        self.position -= 1
        raise self.broken("an unknown kind of length")

    cpdef uint64_t length(self) except? 0:
        cdef bint special
        cdef Py_ssize_t began = self.position
        cdef uint64_t value = self.head(&special)
        if special:
            self.position = began
            raise self.broken("a string where a length is to be")
        return value

    cpdef Py_ssize_t count(self, Py_ssize_t least_bytes) except? 0:
        cdef uint64_t value = self.length()
        if value > <uint64_t>((self.end - self.position) // least_bytes):
            raise self.broken(f"{value} elements are to follow, but {self.end - self.position} bytes are left")
        return <Py_ssize_t>value

    cdef Span integer_span(self, int size) except *:
        cdef unsigned int slot = self.next_kept
        cdef char* text = self.digits[slot]
        cdef const unsigned char* found = self.take(size)
        cdef long long number
        cdef int16_t short_number
        cdef int32_t long_number
        cdef Span span
        if size == 1:
            number = <int8_t>found[0]
        elif size == 2:
            memcpy(&short_number, found, 2)
            number = short_number
        else:
            memcpy(&long_number, found, 4)
            number = long_number
        self.next_kept = (slot + 1) % KEPT_STRINGS
        span.data = text
        span.size = write_integer(text, number)
        span.owner = NULL
        return span

    cdef Span compressed_span(self) except *:
        cdef unsigned int slot = self.next_kept
        cdef uint64_t length = self.length()
        cdef uint64_t size = self.length()
        cdef const unsigned char* found = self.take(length)
        cdef bytes made
        cdef Span span
        if not may_become(<Py_ssize_t>length, size):
            raise self.broken(f"compressed: {length} bytes cannot become {size}, ending")
        made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        if decompress_into(
                found, <Py_ssize_t>length, <unsigned char*>PyBytes_AS_STRING(made), <Py_ssize_t>size) < 0:
            raise self.broken(f"compressed: {length} bytes do not become {size}, ending")
        self.next_kept = (slot + 1) % KEPT_STRINGS
        self.kept[slot] = made
        span.data = PyBytes_AS_STRING(made)
        span.size = <Py_ssize_t>size
        span.owner = <PyObject*>made
        return span

    cdef Span span(self) except *:
        cdef bint special
        cdef Py_ssize_t began = self.position
        cdef uint64_t size = self.head(&special)
        cdef Span span
        if not special:
            span.data = <const char*>self.take(size)
            span.size = <Py_ssize_t>size
            span.owner = NULL
            return span
        if size == INTEGER_8:
            return self.integer_span(1)
        if size == INTEGER_16:
            return self.integer_span(2)
        if size == INTEGER_32:
            return self.integer_span(4)
        if size == COMPRESSED:
            return self.compressed_span()
        self.position = began
        raise self.broken("an unknown kind of string")

    cpdef bytes string(self):
        cdef Span span = self.span()
        if span.owner != NULL:
            return <bytes>span.owner
        return PyBytes_FromStringAndSize(span.data, span.size)

    cpdef double binary_double(self) except? -1:
        cdef double value
        memcpy(&value, self.take(8), 8)
        return value

    cpdef double text_double(self) except? -1:
        cdef unsigned int size = self.take(1)[0]
        cdef const unsigned char* text
        cdef double value
        if size == NOT_A_NUMBER:
            return NAN
        if size == PLUS_INFINITY:
            return INFINITY
        if size == MINUS_INFINITY:
            return -INFINITY
        text = self.take(size)
        if not parse_double_text(<const char*>text, size, &value):
            raise self.broken("no number, ending")
        return value


@cython.final
cdef class RdbWriter:
    def __init__(self, bint compress=True):
        self.compress = compress

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    cdef unsigned char* room(self, Py_ssize_t count) except NULL:
        """Where so many bytes may be written; ``size`` is left to the caller."""
        cdef Py_ssize_t capacity
        cdef unsigned char* grown
        if self.capacity - self.size < count:
            capacity = max(2 * self.capacity, self.size + count, FIRST_CAPACITY)
            grown = <unsigned char*>PyMem_Realloc(self.buffer, capacity)
            if grown == NULL:
                raise MemoryError()
            self.buffer = grown
            self.capacity = capacity
        return self.buffer + self.size

    cdef int append(self, const void* data, Py_ssize_t count) except -1:
        memcpy(self.room(count), data, count)
        self.size += count
        return 0

    cpdef int byte(self, int value) except -1:
        self.room(1)[0] = <unsigned char>value
        self.size += 1
        return 0

    cpdef int raw(self, bytes data) except -1:
        return self.append(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cpdef int length(self, uint64_t value) except -1:
        cdef unsigned char* out = self.room(9)
        cdef uint32_t word
        cdef uint64_t long_word
        if value < 0x40:
            out[0] = <unsigned char>value
            self.size += 1
        elif value < 0x4000:
            out[0] = <unsigned char>(0x40 | value >> 8)
            out[1] = <unsigned char>(value & 0xFF)
            self.size += 2
        elif value <= 0xFFFFFFFFu:
            out[0] = LENGTH_32
            word = swapped_32(<uint32_t>value)
            memcpy(out + 1, &word, 4)
            self.size += 5
        else:
            out[0] = LENGTH_64
            long_word = swapped_64(value)
            memcpy(out + 1, &long_word, 8)
            self.size += 9
        return 0

    cdef bint short_integer(self, long long number) except -1:
        """Write it as an integer of up to 32 bits; False if it is longer."""
        cdef unsigned char* out = self.room(5)
        cdef int32_t word = <int32_t>number
        if -(1 << 7) <= number < 1 << 7:
            out[0] = SPECIAL << 6 | INTEGER_8
            memcpy(out + 1, &word, 1)
            self.size += 2
        elif -(1 << 15) <= number < 1 << 15:
            out[0] = SPECIAL << 6 | INTEGER_16
            memcpy(out + 1, &word, 2)
            self.size += 3
        elif word == number:
            out[0] = SPECIAL << 6 | INTEGER_32
            memcpy(out + 1, &word, 4)
            self.size += 5
        else:
            return False
        return True

    cdef bint compressed(self, const char* data, Py_ssize_t size) except -1:
        """Write it compressed; False if that saves too little."""
        cdef Py_ssize_t room = size - SAVED_AT_LEAST
        cdef unsigned char* out = self.room(LONGEST_HEAD + room) + LONGEST_HEAD
        cdef Py_ssize_t began = self.size
        cdef Py_ssize_t length = compress_into(<const unsigned char*>data, size, out, room)
        if length == 0:
            return False
        self.byte(SPECIAL << 6 | COMPRESSED)
        self.length(length)
        self.length(size)
        memmove(self.buffer + self.size, self.buffer + began + LONGEST_HEAD, length)
        self.size += length
        return True

    cdef int span(self, Span text) except -1:
        cdef long long number
        if text.size <= LONGEST_SHORT_INTEGER:
            if parse_integer_text(text.data, text.size, &number) and self.short_integer(number):
                return 0
        elif self.compress and text.size > NOT_COMPRESSED_UP_TO and self.compressed(text.data, text.size):
            return 0
        self.length(text.size)
        return self.append(text.data, text.size)

    cdef int integer(self, long long number) except -1:
        cdef char[DIGIT_ROOM] text
        cdef int size
        if not self.short_integer(number):
            size = write_integer(text, number)
            self.length(size)
            self.append(text, size)
        return 0

    cpdef int string(self, bytes text) except -1:
        cdef Span span
        span.data = PyBytes_AS_STRING(text)
        span.size = PyBytes_GET_SIZE(text)
        span.owner = NULL
        return self.span(span)

    cpdef int binary_double(self, double value) except -1:
        return self.append(&value, 8)

    cpdef bytes take(self):
        cdef bytes taken = PyBytes_FromStringAndSize(<char*>self.buffer, self.size)
        self.size = 0
        return taken

    cpdef uint64_t crc64(self, uint64_t before=0):
        return crc64_of(before, self.buffer, self.size)
