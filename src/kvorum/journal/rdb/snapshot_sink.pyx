# cython: wraparound=False, cdivision=True
"""Snapshots into RDB files: see ``snapshot_sink.py``.

The record of a big collection or a long string goes into the file some pieces at a time, and no more of it than a block is
ever in memory, except what was about to change before its turn came. Records of what changes meanwhile are put into
another buffer, which stands in for the writer's own, and go after it.
"""
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t

from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.sorted_set import SortedSet

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.journal.rdb.file_writer cimport FileWriter
from kvorum.journal.rdb.lzf cimport compress_into
from kvorum.keyspace.entry cimport Entry, expiry_or_never, key_of, reference_of, value_of
from kvorum.keyspace.snapshot cimport Parts, SnapshotSink
from kvorum.keyspace.types.listpack cimport lp_append, lp_bytes, lp_free, lp_new
from kvorum.resp.span cimport Span

cdef enum:
    STRING = 0                  # types
    SET = 2
    HASH = 4
    ZSET_2 = 5
    LIST_QUICKLIST_2 = 18
    PLAIN_NODE = 1
    PACKED_NODE = 2
    PLAIN_FROM = 1 << 30        # bytes: elements from here on are no listpack
    PIECE_BYTES = 1 << 15
    COMPRESSED = 0xC3           # head of a string
    COMPRESSED_AT_ONCE = 1 << 16    # bytes
    COMPRESSED_UP_TO = 1 << 24
    TRIED_BYTES = 1 << 17       # so much of a string has to become shorter,
    LEAST_GAIN = 16             # by this part
    LITERALS_PER_BYTE = 32      # what cannot be compressed needs another byte for so many
    SAVED_AT_LEAST = 4

cdef Py_ssize_t UNLIMITED = 0x7FFFFFFFFFFFFFFF


cdef inline Span span_at(const char* data, Py_ssize_t size) noexcept:
    cdef Span span
    span.data = data
    span.size = size
    span.owner = NULL
    return span


cdef class FileRecord(Parts):
    cdef int identify(self, FileSink sink, int kind, Entry* entry) except -1:
        self.sink = sink
        self.kind = kind
        self.key = PyBytes_FromStringAndSize(key_of(entry), entry.key_size)
        self.expire_ms = expiry_or_never(entry)
        self.clock = entry.clock
        return 0

    cdef int turn(self) except -1:
        self.sink.writer.head_of(
            self.kind, span_at(PyBytes_AS_STRING(self.key), PyBytes_GET_SIZE(self.key)), self.expire_ms, self.clock
        )
        return self.sink.divert()


cdef class FileParts(FileRecord):
    cdef int turn(self) except -1:
        FileRecord.turn(self)
        self.sink.file.length(self.parts)
        self.direct = True
        return 0

    cdef int text(self, const char* data, Py_ssize_t size) except -1:
        """To the file, or beside. A long one is not compressed: that would take too long for one step."""
        cdef RdbWriter out = self.sink.file if self.direct else self.out
        if size <= COMPRESSED_AT_ONCE:
            return out.span(span_at(data, size))
        out.length(size)
        while self.direct and size > PIECE_BYTES:
            self.sink.append(data, PIECE_BYTES)
            data += PIECE_BYTES
            size -= PIECE_BYTES
        return (self.sink.file if self.direct else out).append(data, size)

    cdef int member(self, Entry* member) except -1:
        self.text(key_of(member), member.key_size)
        if self.kind == HASH:
            self.text(value_of(member), member.value_size)
        elif self.kind == ZSET_2:
            (self.sink.file if self.direct else self.out).append(value_of(member), sizeof(double))
        return self.sink.pass_on() if self.direct else 0

    cdef int leaf(self, const unsigned char* data, size_t size, bint plain) except -1:
        cdef unsigned char* listpack
        cdef unsigned char* filled = NULL
        cdef RdbWriter out = self.sink.file if self.direct else self.out
        if not plain or size >= PLAIN_FROM:
            out.length(PLAIN_NODE if plain else PACKED_NODE)
            self.text(<const char*>data, size)
            return self.sink.pass_on() if self.direct else 0
        listpack = lp_new(0)
        if listpack != NULL:
            filled = lp_append(listpack, <const char*>data, size)
        if filled == NULL:
            lp_free(listpack)
            raise MemoryError
        try:
            out.length(PACKED_NODE)
            self.text(<const char*>filled, lp_bytes(filled))
        finally:
            lp_free(filled)
        return self.sink.pass_on() if self.direct else 0

    cdef bint finish(self, long long budget_bytes) except -1:
        cdef Py_ssize_t size
        while self.passed < self.out.size:
            if budget_bytes <= 0:
                return False
            size = min(self.out.size - self.passed, PIECE_BYTES)
            self.sink.append(<char*>self.out.buffer + self.passed, size)
            self.passed += size
            budget_bytes -= size
        self.out = None
        self.sink.rejoin()
        return True


cdef class FileText(FileRecord):
    """A long string, compressed and written piece by piece.

    Pieces that are compressed by themselves are together a compressed string: no piece refers to the one before. The result
    is gathered, for its length stands before it; so a very long string is not compressed, nor one whose beginning
    does not become shorter.
    """

    cdef int turn(self) except -1:
        FileRecord.turn(self)
        self.compressing = self.sink.writer.compress and self.size <= COMPRESSED_UP_TO
        if self.compressing:
            self.out = RdbWriter(False)
        else:
            self.sink.file.length(self.size)
        return 0

    cdef const char* data(self) noexcept:
        """Where the string from ``first`` on lies now."""
        if type(self.source) is bytes:
            return PyBytes_AS_STRING(<bytes>self.source)
        return PyByteArray_AS_STRING(<bytearray>self.source)

    cdef Py_ssize_t left(self) noexcept:
        """Bytes to be compressed, or to be written."""
        if self.compressing or self.out is None:
            return self.size - self.position
        return self.out.size - self.position

    cdef bint finish(self, long long budget_bytes) except -1:
        cdef Py_ssize_t size
        while self.left() > 0:
            if budget_bytes <= 0:
                return False
            size = min(self.left(), PIECE_BYTES)
            budget_bytes -= size
            if self.compressing:
                self.compress_piece(size)
            else:
                if self.out is not None:
                    self.sink.append(<char*>self.out.buffer + self.position, size)
                else:
                    self.sink.append(self.data() + (self.position - self.first), size)
                self.position += size
        self.out = self.source = None
        self.sink.rejoin()
        return True

    cdef int compress_piece(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t room = size + size // LITERALS_PER_BYTE + 1
        cdef unsigned char* out = self.out.room(room)
        self.out.size += compress_into(<const unsigned char*>self.data() + self.position, size, out, room)
        self.position += size
        if self.position == self.size or (
            self.position >= TRIED_BYTES and self.out.size > self.position - self.position // LEAST_GAIN
        ):
            self.decide()
        return 0

    cdef int decide(self) except -1:
        """How it is going to be written."""
        self.compressing = False
        if self.position == self.size and self.out.size < self.size - SAVED_AT_LEAST:
            self.source = None
            self.sink.file.byte(COMPRESSED)
            self.sink.file.length(self.out.size)
        else:
            self.out = None
        self.sink.file.length(self.size)
        self.position = 0
        return 0

    cdef int text_changes(self) except -1:
        if type(self.source) is bytearray:
            self.first = 0 if self.compressing else self.position
            self.source = PyBytes_FromStringAndSize(
                PyByteArray_AS_STRING(<bytearray>self.source) + self.first, self.size - self.first
            )
        return 0


cdef class FileSink(SnapshotSink):
    def __init__(self, FileWriter writer not None, bint clocks=False):
        self.clocks = clocks
        self.writer = writer

    def select(self, index, keys, expires):
        self.writer.select(index, keys, expires)

    def value(self, key, value, expire_ms, clock):
        self.writer.key(key, value, expire_ms, clock)

    cdef int divert(self) except -1:
        """What the writer writes from now on stands behind what is put into ``file``."""
        self.file = self.writer.out
        self.block_bytes = self.writer.block_bytes
        self.writer.out = RdbWriter(self.writer.compress)
        self.writer.block_bytes = UNLIMITED
        return 0

    cdef int append(self, const char* data, Py_ssize_t size) except -1:
        self.file.append(data, size)
        return self.pass_on()

    cdef int pass_on(self) except -1:
        """Hand on what ``append`` and others have put into ``file``, if that is a block."""
        cdef RdbWriter behind = self.writer.out
        if self.file.size < self.block_bytes:
            return 0
        self.writer.out = self.file
        self.writer.block_bytes = self.block_bytes
        try:
            self.writer.pass_on()
        finally:
            self.file = self.writer.out
            self.writer.out = behind
            self.writer.block_bytes = UNLIMITED
        return 0

    cdef int rejoin(self) except -1:
        cdef RdbWriter behind = self.writer.out
        self.writer.out = self.file
        self.writer.block_bytes = self.block_bytes
        self.file = None
        self.writer.out.append(behind.buffer, behind.size)
        return self.writer.pass_on()

    cdef int entry(self, Entry* entry) except -1:
        return self.writer.entry(entry)

    cdef Parts collection(self, Entry* entry, uint64_t parts):
        cdef FileParts made = FileParts()
        cdef object kind = type(<object>reference_of(entry))
        made.kind = (
            HASH if kind is Hash else ZSET_2 if kind is SortedSet else LIST_QUICKLIST_2 if kind is List else SET
        )
        made.identify(self, made.kind, entry)
        made.parts = parts
        made.out = RdbWriter(self.writer.compress)
        return made

    cdef Parts text(self, Entry* entry):
        cdef FileText made = FileText()
        made.identify(self, STRING, entry)
        made.source = <object>reference_of(entry)
        made.size = len(made.source)
        return made
