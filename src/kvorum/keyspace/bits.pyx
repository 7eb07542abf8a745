# cython: wraparound=False, cdivision=True
"""Bits in strings, eight bytes at a time. ``bits.py`` has the contract.

Words are read through memcpy, which costs nothing and allows any address. Counting uses the processor's own instruction: where
a compiler must not take it for granted it is compiled twice, and the first call finds out which one runs.
"""
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from kvorum.keyspace.entry cimport BUFFER, EMBEDDED, OBJECT, RAW, Entry, reference_of
from kvorum.keyspace.hashing cimport hash_of_key, slot_of_key
from kvorum.keyspace.payload cimport EMBEDDED_LIMIT, Payload, buffer_payload
from kvorum.keyspace.table cimport Database
from kvorum.resp.span cimport Span, absent_span

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define KVORUM_COUNT_LOOP \\
        uint64_t word[4], sum[4] = {0, 0, 0, 0}; \\
        for (; words >= 4; words -= 4, data += 32) { \\
            memcpy(word, data, 32); \\
            sum[0] += __builtin_popcountll(word[0]); \\
            sum[1] += __builtin_popcountll(word[1]); \\
            sum[2] += __builtin_popcountll(word[2]); \\
            sum[3] += __builtin_popcountll(word[3]); \\
        } \\
        for (; words > 0; words--, data += 8) { \\
            memcpy(word, data, 8); \\
            sum[0] += __builtin_popcountll(word[0]); \\
        } \\
        return sum[0] + sum[1] + sum[2] + sum[3];

    static uint64_t kvorum_count_plainly(const char *data, size_t words) { KVORUM_COUNT_LOOP }

    #if defined(__x86_64__)
    __attribute__((target("popcnt")))
    static uint64_t kvorum_count_by_instruction(const char *data, size_t words) { KVORUM_COUNT_LOOP }
    static uint64_t kvorum_count_words(const char *data, size_t words) {
        return __builtin_cpu_supports("popcnt") ? kvorum_count_by_instruction(data, words)
                                                : kvorum_count_plainly(data, words);
    }
    #else
    #define kvorum_count_words kvorum_count_plainly
    #endif

    #define KVORUM_COMBINE(name, operation) \\
        static void name(char *result, const char *other, Py_ssize_t size) { \\
            uint64_t one, two; \\
            for (; size >= 8; size -= 8, result += 8, other += 8) { \\
                memcpy(&one, result, 8); \\
                memcpy(&two, other, 8); \\
                one operation two; \\
                memcpy(result, &one, 8); \\
            } \\
            for (; size > 0; size--) \\
                *result++ operation *other++; \\
        }
    KVORUM_COMBINE(kvorum_and, &=)
    KVORUM_COMBINE(kvorum_or, |=)
    KVORUM_COMBINE(kvorum_xor, ^=)
    """
    void and_bytes "kvorum_and"(char* result, const char* other, Py_ssize_t size) noexcept nogil
    void or_bytes "kvorum_or"(char* result, const char* other, Py_ssize_t size) noexcept nogil
    void xor_bytes "kvorum_xor"(char* result, const char* other, Py_ssize_t size) noexcept nogil
    uint64_t count_words "kvorum_count_words"(const char* data, size_t words) noexcept nogil
    int leading_zeros "__builtin_clz"(unsigned int number) noexcept nogil
    int set_bits "__builtin_popcount"(unsigned int number) noexcept nogil

CHANGED = 2
AND = 0
OR = 1
XOR = 2
NOT = 3

cdef enum:
    SET_CHANGED = 2
    BY_AND = 0
    BY_OR = 1
    BY_XOR = 2
    BY_NOT = 3


cdef inline Span span_of(bytes text):
    cdef Span span
    span.data = PyBytes_AS_STRING(text)
    span.size = PyBytes_GET_SIZE(text)
    span.owner = <PyObject*>text
    return span


cdef inline uint8_t octet_within(const char* data, uint64_t index, uint64_t first, uint64_t last) noexcept nogil:
    """A byte with zeros where its bits are not from first to last."""
    cdef unsigned int octet = <uint8_t>data[index]
    if index == first >> 3:
        octet &= 0xFFu >> (first & 7)
    if index == last >> 3:
        octet &= 0xFFu << (7 - (last & 7))
    return <uint8_t>octet


cdef Span text_at(Database database, Span key) noexcept:
    """The string at a key without any side effect; absent if there is no string."""
    cdef Entry** place = database.peek_place(key)
    return absent_span() if place == NULL or place[0].kind == OBJECT else database.keyspace.text_of(place[0])


cdef uint64_t bits_from(const uint8_t* data, uint64_t size, uint64_t position, int width) noexcept nogil:
    """A number of up to 64 bits, byte by byte; zeros beyond the end."""
    cdef uint64_t number = 0
    cdef unsigned int octet
    cdef int room, taken
    while width > 0:
        room = 8 - <int>(position & 7)
        taken = room if room < width else width
        octet = data[position >> 3] if position >> 3 < size else 0
        number = number << taken | (octet >> (room - taken) & ((1u << taken) - 1))
        position += taken
        width -= taken
    return number


cdef class Bits:
    @staticmethod
    cdef Py_ssize_t size(Span text) noexcept:
        return text.size if text.data != NULL else -1

    @staticmethod
    cdef int get(Span text, uint64_t position) noexcept:
        if text.data == NULL or position >> 3 >= <uint64_t>text.size:
            return 0
        return <uint8_t>text.data[position >> 3] >> (7 - (position & 7)) & 1

    @staticmethod
    cdef long long count(Span text, uint64_t first, uint64_t last) noexcept:
        cdef uint64_t index = first >> 3
        cdef uint64_t end = last >> 3
        cdef uint64_t words
        cdef long long total = set_bits(octet_within(text.data, index, first, last))
        index += 1
        if index < end:
            words = (end - index) >> 3
            total += count_words(text.data + index, words)
            index += words << 3
        while index <= end:
            total += set_bits(octet_within(text.data, index, first, last))
            index += 1
        return total

    @staticmethod
    cdef long long find(Span text, bint bit, uint64_t first, uint64_t last) noexcept:
        cdef uint64_t index = first >> 3
        cdef uint64_t end = last >> 3
        cdef uint64_t word
        cdef uint64_t without = 0 if bit else ~<uint64_t>0      # a word that has no such bit
        cdef unsigned int octet
        while index <= end:
            if index > first >> 3:
                while index + 8 <= end:
                    memcpy(&word, text.data + index, 8)
                    if word != without:
                        break
                    index += 8
            octet = <uint8_t>text.data[index] ^ <uint8_t>without
            if index == first >> 3:
                octet &= 0xFFu >> (first & 7)
            if index == end:
                octet &= 0xFFu << (7 - (last & 7)) & 0xFFu
            if octet:
                return <long long>(index << 3) + leading_zeros(octet) - 24
            index += 1
        return -1

    @staticmethod
    cdef long long field(Span text, uint64_t position, int width, bint signed) noexcept:
        cdef uint64_t number
        if text.data == NULL:
            return 0
        number = bits_from(<const uint8_t*>text.data, text.size, position, width)
        if signed and width < 64 and number >> (width - 1):
            number |= ~<uint64_t>0 << width
        return <long long>number

    @staticmethod
    cdef int set(Database database, Span key, uint64_t position, bint bit) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef uint64_t hash = hash_of_key(key.data, key.size, database.store.heap.hash_seed)
        cdef Entry** place = database.find_for_write(key, slot, hash)
        cdef Py_ssize_t before = -1
        cdef Py_ssize_t size
        cdef Span old = absent_span()
        cdef char* text
        cdef uint8_t* octet
        cdef uint8_t mask = 0x80 >> (position & 7)
        cdef bint was
        if place != NULL and place[0].kind != OBJECT:
            old = database.keyspace.text_of(place[0])
            before = old.size
        if before > <Py_ssize_t>(position >> 3) and (place[0].kind == EMBEDDED or place[0].kind == BUFFER):
            # As it nearly always is: long enough, and bytes of its own.
            if place[0].kind == EMBEDDED:
                place[0].flags |= RAW
            elif database.keyspace.epoch:
                database.keyspace.keeper.value_changes(reference_of(place[0]))
            text = <char*>old.data
            size = before
        else:
            text = database.open_string(key, <Py_ssize_t>(position >> 3) + 1, &size)
        octet = <uint8_t*>text + (position >> 3)
        was = (octet[0] & mask) != 0
        octet[0] = octet[0] | mask if bit else octet[0] & ~mask
        return was | (SET_CHANGED if size != before or was != bit else 0)

    @staticmethod
    cdef bint extend(Database database, Span key, Py_ssize_t size) except -1:
        cdef Span old = text_at(database, key)
        cdef Py_ssize_t before = old.size if old.data != NULL else -1
        cdef Py_ssize_t after
        database.open_string(key, size, &after)
        return after != before

    @staticmethod
    cdef long long stored_field(Database database, Span key, uint64_t position, int width, bint signed) except? -1:
        return Bits.field(text_at(database, key), position, width, signed)

    @staticmethod
    cdef int store_field(Database database, Span key, uint64_t position, int width, long long number) except -1:
        cdef Py_ssize_t size
        cdef uint8_t* text = <uint8_t*>database.open_string(key, <Py_ssize_t>((position + width + 7) >> 3), &size)
        cdef unsigned int mask, part
        cdef int room, taken
        while width > 0:
            room = 8 - <int>(position & 7)
            taken = room if room < width else width
            mask = ((1u << taken) - 1) << (room - taken)
            part = <unsigned int>(<uint64_t>number >> (width - taken)) << (room - taken)
            text[position >> 3] = <uint8_t>((text[position >> 3] & ~mask) | (part & mask))
            position += taken
            width -= taken
        return 0


cdef class Combination:
    def __init__(self, int operation):
        self.operation = operation
        self.result = bytearray()

    cdef int add(self, Span text) except -1:
        cdef Py_ssize_t before = PyByteArray_GET_SIZE(self.result)
        cdef Py_ssize_t shared
        cdef char* result
        if text.data == NULL:
            text.size = 0
        shared = text.size if text.size < before else before
        if text.size > before:
            if before == 0:
                self.result = PyByteArray_FromStringAndSize(NULL, text.size)
            else:
                PyByteArray_Resize(self.result, text.size)
        result = PyByteArray_AS_STRING(self.result)
        if self.operation == BY_AND and self.begun:
            and_bytes(result, text.data, shared)
            memset(result + shared, 0, PyByteArray_GET_SIZE(self.result) - shared)
        else:
            if self.operation == BY_OR:
                or_bytes(result, text.data, shared)
            elif self.operation == BY_XOR:
                xor_bytes(result, text.data, shared)
            if text.size > shared:
                memcpy(result + shared, text.data + shared, text.size - shared)
            if self.operation == BY_NOT:
                not_bytes(result, text.size)
        self.begun = True
        return 0

    cdef Py_ssize_t store(self, Database database, Span key) except -1:
        cdef unsigned int slot = slot_of_key(key.data, key.size)
        cdef unsigned long long hash = hash_of_key(key.data, key.size, database.store.heap.hash_seed)
        cdef Entry** place = database.find_for_write(key, slot, hash)
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(self.result)
        cdef Payload payload
        if size <= EMBEDDED_LIMIT:
            payload.kind = EMBEDDED
            payload.flags = RAW
            payload.data = PyByteArray_AS_STRING(self.result)
            payload.size = <unsigned int>size
        else:
            buffer_payload(&payload, self.result)
        database.put(key, slot, hash, place, 0, &payload)
        self.result = bytearray()       # the table has taken it
        return size


cdef void not_bytes(char* result, Py_ssize_t size) noexcept nogil:
    cdef uint64_t one
    cdef Py_ssize_t i = 0
    while i + 8 <= size:
        memcpy(&one, result + i, 8)
        one = ~one
        memcpy(result + i, &one, 8)
        i += 8
    while i < size:
        result[i] = ~result[i]
        i += 1


def text_count(bytes text not None, unsigned long long first, unsigned long long last):
    return Bits.count(span_of(text), first, last)


def text_find(bytes text not None, bint bit, unsigned long long first, unsigned long long last):
    return Bits.find(span_of(text), bit, first, last)


def text_field(bytes text not None, unsigned long long position, int width, bint signed):
    return Bits.field(span_of(text), position, width, signed)


def text_combined(int operation, list texts not None):
    cdef Combination combination = Combination(operation)
    cdef bytes text
    for text in texts:
        combination.add(span_of(text))
    return bytes(combination.result)
