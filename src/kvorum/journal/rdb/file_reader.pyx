# cython: wraparound=False, cdivision=True
"""Reading an RDB file: see ``file_reader.py`` for the contract and the window."""
from copy import copy

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvorum.journal.rdb import EmptyValueError, RdbError, UnsupportedTypeError
from kvorum.journal.rdb.file_format import about_value, lost_functions, module_name, version_of

from kvorum.journal.rdb.crc64 cimport crc64_of
from kvorum.journal.rdb.encoding cimport RdbReader
from kvorum.journal.rdb.lzf cimport decompress_into, may_become
from kvorum.journal.rdb.values cimport MODULE, MODULE_2, read_value
from kvorum.keyspace.access_clock cimport CLOCK_MASK, LFU_INITIAL, lfu_clock, lru_clock
from kvorum.keyspace.buckets cimport BUCKET_ENTRIES, SEGMENT_BITS, Slot, bucket_of, resize
from kvorum.keyspace.entry cimport BYTES, INTEGER, Entry, prefetch_line
from kvorum.keyspace.hashing cimport hash_of_key, slot_of_key
from kvorum.keyspace.payload cimport Payload, object_payload, string_payload
from kvorum.keyspace.store cimport discard_entry, find_in_store, link_entry, new_entry, slot_in
from kvorum.keyspace.table cimport Database, Keyspace
from kvorum.keyspace.values cimport Value
from kvorum.resp.numbers cimport write_integer
from kvorum.resp.span cimport Span

cdef enum:
    HEADER_BYTES = 9
    CHECKSUM_SINCE = 5
    NO_EXPIRY = -1
    STRING = 0                  # types
    FUNCTION2 = 0xF5            # opcodes
    MODULE_AUX = 0xF7
    IDLE = 0xF8
    FREQ = 0xF9
    AUX = 0xFA
    RESIZEDB = 0xFB
    EXPIRETIME_MS = 0xFC
    EXPIRETIME = 0xFD
    SELECTDB = 0xFE
    EOF = 0xFF
    INTEGER_8 = 0xC0            # heads of strings
    INTEGER_16 = 0xC1
    INTEGER_32 = 0xC2
    COMPRESSED = 0xC3
    SHORTEST_KEY = 3            # bytes of type, key and value
    SLOTS = 16384
    SLICE = 1 << 16             # bytes that are summed up at a time


@cython.final
cdef class FileReader:
    def __cinit__(self):
        self.scratch = <char*>PyMem_Malloc(2 * WINDOW * SCRATCH)
        if self.scratch == NULL:
            raise MemoryError()

    def __init__(
        self,
        data not None,
        Keyspace keyspace not None,
        *,
        Py_ssize_t start=0,
        end=None,
        bint whole=True,
        bint skip_expired=True,
        bint replace=False,
        bint strict=False,
        bint verify=True,
        bint functions=False,
    ):
        self.keyspace = keyspace
        self.whole = whole
        self.skip_expired = skip_expired
        self.replace = replace
        self.strict = strict
        self.verify = verify
        self.functions = functions
        self.aux = {}
        self.libraries = []
        self.reader = RdbReader(data, start, end)
        self.summed = start
        self.current = keyspace.databases[0]
        self.expire_ms = NO_EXPIRY
        self.idle_s = -1
        self.frequency = -1
        self.kept = [None] * (2 * WINDOW)

    def __dealloc__(self):
        PyMem_Free(self.scratch)

    @property
    def position(self):
        return self.reader.position

    @property
    def end(self):
        return self.reader.end

    def load_some(self, Py_ssize_t budget_bytes=1 << 20):
        cdef Keyspace keyspace = self.keyspace
        if self.broken is not None:
            raise copy(self.broken)
        self.first_clock = (
            lfu_clock(LFU_INITIAL, keyspace.now_ms) if keyspace.lfu else lru_clock(keyspace.now_ms)
        )
        try:
            try:
                self.load(min(budget_bytes, self.reader.end - self.reader.position) + self.reader.position)
            except RdbError:
                self.empty_window()     # what is wrong with keys before it comes first
                raise
        except BaseException as error:
            self.broken = copy(error)   # without its traceback, whose frames hold this reader and the view of the file
            raise
        return self.reader.position

    cdef int load(self, Py_ssize_t limit) except -1:
        cdef RdbReader reader = self.reader
        cdef Py_ssize_t at
        cdef int kind
        if self.version == 0:
            self.version = version_of(reader.raw(HEADER_BYTES), reader.position - HEADER_BYTES)
        while not self.finished:
            at = reader.position
            kind = reader.take(1)[0]
            if kind == STRING:
                self.string_record(at)
            elif kind == EXPIRETIME_MS:
                memcpy(&self.expire_ms, reader.take(8), 8)
            elif kind < FUNCTION2:
                self.object_record(kind, at)
            elif kind == EOF:
                self.finish()
            else:
                self.opcode(kind)
            if reader.position - self.summed >= SLICE:
                self.sum_up()
            if reader.position >= limit:
                break
        return self.empty_window()

    cdef void sum_up(self) noexcept:
        if self.verify and not self.finished:
            self.sum = crc64_of(self.sum, self.reader.data + self.summed, self.reader.position - self.summed)
            self.summed = self.reader.position

    cdef int opcode(self, int kind) except -1:
        cdef RdbReader reader = self.reader
        cdef Py_ssize_t at = reader.position
        cdef uint64_t index
        cdef int32_t seconds
        if kind == EXPIRETIME:
            memcpy(&seconds, reader.take(4), 4)
            self.expire_ms = <int64_t>seconds * 1000
        elif kind == IDLE:
            self.idle_s = <int64_t>min(reader.length(), <uint64_t>CLOCK_MASK)
        elif kind == FREQ:
            self.frequency = reader.byte()
        elif kind == SELECTDB:
            self.empty_window()
            index = reader.length()
            if index >= <uint64_t>len(self.keyspace.databases):
                raise RdbError(f"database {index} at byte {at}, but there are only {len(self.keyspace.databases)}")
            self.current = self.keyspace.databases[<Py_ssize_t>index]
            self.first_bits = 0
        elif kind == RESIZEDB:
            self.expect(reader.length())
            reader.length()
        elif kind == AUX:
            name = reader.string()
            self.aux[name] = reader.string()
        elif kind == FUNCTION2:
            code = reader.string()
            if not self.functions:
                raise lost_functions(code, at - 1)
            self.libraries.append(code)
        elif kind == MODULE_AUX:
            name = module_name(reader.length())
            raise UnsupportedTypeError(f"data of the module {name} at byte {at - 1}; modules are not supported")
        else:
            raise UnsupportedTypeError(f"a function as only candidates of Redis 7.0 wrote it at byte {at - 1}")
        return 0

    cdef int expect(self, uint64_t keys) noexcept:
        """So many keys are said to follow: the tables of their slots begin as large as they would become.

        No more are expected than there is room for in the file, so that a forged number is no danger to the memory.
        """
        cdef uint64_t for_each = min(keys, <uint64_t>(self.reader.end - self.reader.position) // SHORTEST_KEY) // SLOTS
        self.first_bits = 0
        while self.first_bits < SEGMENT_BITS and for_each * 10 > <uint64_t>(BUCKET_ENTRIES << self.first_bits) * 11:
            self.first_bits += 1
        return 0

    # Keys

    cdef int string_record(self, Py_ssize_t at) except -1:
        cdef Record* record = &self.window[self.waiting]
        record.key = self.text(2 * self.waiting)
        if self.small_integer(&record.number):
            record.sort = NUMBER
        else:
            record.sort = TEXT
            record.value = self.text(2 * self.waiting + 1)
        return self.keep(at)

    cdef int object_record(self, int kind, Py_ssize_t at) except -1:
        cdef RdbReader reader = self.reader
        cdef Record* record = &self.window[self.waiting]
        cdef Py_ssize_t value_at
        cdef Value value = None
        record.key = self.text(2 * self.waiting)
        record.sort = VALUE
        value_at = reader.position
        try:
            if kind == MODULE or kind == MODULE_2:
                raise UnsupportedTypeError(f"values of the module {module_name(reader.length())} are not supported")
            value = read_value(reader, kind, self.keyspace.commons, self.strict)
        except EmptyValueError:
            self.empty_keys += 1
        except RdbError as error:
            raise about_value(error, record.key.data[: record.key.size], self.current.index, value_at) from None
        if value is None:
            self.expire_ms = self.idle_s = self.frequency = -1
            return 0
        self.kept[2 * self.waiting + 1] = value
        return self.keep(at)

    cdef int keep(self, Py_ssize_t at) except -1:
        """The record at the window's end waits, unless it has expired."""
        cdef Record* record = &self.window[self.waiting]
        cdef Slot* slot
        if self.is_due():
            self.keys_expired += 1
        else:
            record.at = at
            record.expire_ms = self.expiry()
            record.clock = self.clock()
            record.slot = slot_of_key(record.key.data, record.key.size)
            record.hash = hash_of_key(record.key.data, record.key.size, self.keyspace.heap.hash_seed)
            slot = slot_in(self.current.store, record.slot)
            if slot != NULL and slot.count > 0:
                prefetch_line(bucket_of(slot, record.hash))
            self.waiting += 1
            if self.waiting == WINDOW:
                self.empty_window()
        self.expire_ms = self.idle_s = self.frequency = -1
        return 0

    cdef bint is_due(self) noexcept:
        return self.skip_expired and self.expire_ms != NO_EXPIRY and self.expire_ms < self.keyspace.now_ms

    cdef int64_t expiry(self) noexcept:
        """As the table has it, to which 0 is none; all times before 1970 are the same."""
        if self.expire_ms == NO_EXPIRY:
            return 0
        return self.expire_ms if self.expire_ms > 0 else 1

    cdef uint32_t clock(self) noexcept:
        if self.keyspace.lfu:
            if self.frequency >= 0:
                return lfu_clock(self.frequency, self.keyspace.now_ms)
        elif self.idle_s >= 0:
            return (lru_clock(self.keyspace.now_ms) - <uint32_t>self.idle_s) & CLOCK_MASK
        return self.first_clock

    # Strings: in the file itself, or in one of the window's places

    cdef Span text(self, int place) except *:
        cdef RdbReader reader = self.reader
        cdef const unsigned char* data = reader.data + reader.position
        cdef Py_ssize_t left = reader.end - reader.position
        cdef int64_t number
        cdef Span span
        span.owner = NULL
        if left > 0 and data[0] < 0x40 and data[0] < left:
            span.data = <const char*>data + 1
            span.size = data[0]
            reader.position += 1 + data[0]
        elif left > 0 and data[0] == COMPRESSED:
            return self.compressed(place)
        elif self.small_integer(&number):
            span.data = self.scratch + place * SCRATCH
            span.size = write_integer(self.scratch + place * SCRATCH, number)
        else:
            span = reader.span()
        return span

    cdef Span compressed(self, int place) except *:
        cdef RdbReader reader = self.reader
        cdef uint64_t length, size
        cdef const unsigned char* data
        cdef unsigned char* room = <unsigned char*>self.scratch + place * SCRATCH
        cdef bytes made = None
        cdef Span span
        reader.position += 1
        length = reader.length()
        size = reader.length()
        data = reader.take(length)
        if not may_become(<Py_ssize_t>length, size):
            raise reader.broken(f"compressed: {length} bytes cannot become {size}, ending")
        if size > SCRATCH:
            made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
            room = <unsigned char*>PyBytes_AS_STRING(made)
            self.kept[place] = made
        if decompress_into(data, <Py_ssize_t>length, room, <Py_ssize_t>size) < 0:
            raise reader.broken(f"compressed: {length} bytes do not become {size}, ending")
        span.data = <const char*>room
        span.size = <Py_ssize_t>size
        span.owner = <PyObject*>made if made is not None else NULL
        return span

    cdef bint small_integer(self, int64_t* number) except -1:
        """Whether the string is one that was written as an integer; it is read then."""
        cdef RdbReader reader = self.reader
        cdef const unsigned char* data = reader.data + reader.position
        cdef int16_t short_number
        cdef int32_t long_number
        if reader.position == reader.end or not INTEGER_8 <= data[0] <= INTEGER_32:
            return False
        reader.position += 1
        if data[0] == INTEGER_8:
            number[0] = <int8_t>reader.take(1)[0]
        elif data[0] == INTEGER_16:
            memcpy(&short_number, reader.take(2), 2)
            number[0] = short_number
        else:
            memcpy(&long_number, reader.take(4), 4)
            number[0] = long_number
        return True

    # Into the table

    cdef int empty_window(self) except -1:
        cdef int waiting = self.waiting
        cdef int i
        cdef Record* record
        cdef Payload payload
        self.waiting = 0
        for i in range(waiting):
            record = &self.window[i]
            if record.sort == NUMBER:
                payload.kind = INTEGER
                payload.flags = 0
                payload.integer = record.number
            elif record.sort == TEXT:
                string_payload(&payload, record.value)
            else:
                object_payload(&payload, <Value>self.kept[2 * i + 1])
                self.kept[2 * i + 1] = None
            self.put(record, &payload)
        return 0

    cdef int put(self, Record* record, Payload* payload) except -1:
        """Take the payload over, with its reference."""
        cdef Database database = self.current
        cdef Span key = record.key
        cdef Entry** place = find_in_store(database.store, record.slot, record.hash, key.data, key.size)
        cdef Entry* entry = NULL
        cdef Slot* slot
        if place != NULL and self.replace:
            database.drop(place, record.slot, record.hash)
        elif place != NULL:
            if payload.kind >= BYTES:
                Py_XDECREF(payload.reference)
            raise RdbError(
                f"the key {key.data[: key.size]!r} for the second time at byte {record.at}, in database {database.index}"
            )
        if key.size <= <Py_ssize_t>0xFFFFFFFFu:
            entry = new_entry(database.store.heap, key.data, <uint32_t>key.size, record.expire_ms, payload)
        if entry == NULL:
            if payload.kind >= BYTES:
                Py_XDECREF(payload.reference)
            raise MemoryError()
        entry.clock = record.clock
        if link_entry(database.store, record.slot, record.hash, entry) < 0:
            discard_entry(database.store.heap, entry)
            raise MemoryError()
        if self.first_bits:
            slot = slot_in(database.store, record.slot)
            if slot.count == 1 and slot.bits == 0 and slot.directory_bits == 0:
                resize(database.store.heap, slot, self.first_bits, &database.store.table_bytes)
        self.keys_loaded += 1
        return 0

    cdef int finish(self) except -1:
        cdef RdbReader reader = self.reader
        cdef Py_ssize_t at = reader.position
        cdef uint64_t expected
        self.empty_window()
        self.sum_up()
        if self.version >= CHECKSUM_SINCE:
            memcpy(&expected, reader.take(8), 8)
            if self.verify and expected != 0 and expected != self.sum:
                raise RdbError(
                    f"a wrong checksum at byte {at}: {expected:016x} stands there, but what was read has {self.sum:016x}"
                )
        if self.whole and reader.position < reader.end:
            raise RdbError(f"the file ends at byte {reader.position}, but {reader.end - reader.position} bytes follow")
        self.finished = True
        return 0
