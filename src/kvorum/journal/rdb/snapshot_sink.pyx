# cython: wraparound=False, cdivision=True
"""Snapshots into RDB files: see ``snapshot_sink.py``.

The record of a big collection goes into the file some blocks at a time. Records of what changes meanwhile are put into another
buffer, which stands in for the writer's own, and go after it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t

from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.sorted_set import SortedSet

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.journal.rdb.file_writer cimport FileWriter
from kvorum.keyspace.entry cimport Entry, expiry_or_never, key_of, reference_of, value_of
from kvorum.keyspace.snapshot cimport Parts, SnapshotSink
from kvorum.keyspace.types.listpack cimport lp_append, lp_bytes, lp_free, lp_new
from kvorum.resp.span cimport Span

cdef enum:
    SET = 2                     # types
    HASH = 4
    ZSET_2 = 5
    LIST_QUICKLIST_2 = 18
    PLAIN_NODE = 1
    PACKED_NODE = 2
    PLAIN_FROM = 1 << 30        # bytes: elements from here on are no listpack
    PIECE_BYTES = 1 << 16

cdef Py_ssize_t UNLIMITED = 0x7FFFFFFFFFFFFFFF


cdef inline Span span_at(const char* data, Py_ssize_t size) noexcept:
    cdef Span span
    span.data = data
    span.size = size
    span.owner = NULL
    return span


cdef class FileParts(Parts):
    cdef int member(self, Entry* member) except -1:
        self.out.span(span_at(key_of(member), member.key_size))
        if self.kind == HASH:
            self.out.span(span_at(value_of(member), member.value_size))
        elif self.kind == ZSET_2:
            self.out.append(value_of(member), sizeof(double))
        return 0

    cdef int leaf(self, const unsigned char* data, size_t size, bint plain) except -1:
        cdef unsigned char* listpack
        cdef unsigned char* filled = NULL
        if not plain or size >= PLAIN_FROM:
            self.out.length(PLAIN_NODE if plain else PACKED_NODE)
            return self.out.span(span_at(<const char*>data, size))
        listpack = lp_new(0)
        if listpack != NULL:
            filled = lp_append(listpack, <const char*>data, size)
        if filled == NULL:
            lp_free(listpack)
            raise MemoryError
        try:
            self.out.length(PACKED_NODE)
            return self.out.span(span_at(<const char*>filled, lp_bytes(filled)))
        finally:
            lp_free(filled)

    cdef bint finish(self, long long budget_bytes) except -1:
        cdef Py_ssize_t size
        if self.passed == 0:
            self.writer.head_of(
                self.kind, span_at(PyBytes_AS_STRING(self.key), PyBytes_GET_SIZE(self.key)), self.expire_ms, self.clock
            )
            self.sink.divert()
        while self.passed < self.out.size:
            if budget_bytes <= 0:
                return False
            size = min(self.out.size - self.passed, PIECE_BYTES)
            self.sink.append(self.out.buffer + self.passed, size)
            self.passed += size
            budget_bytes -= size
        self.out = None
        self.sink.rejoin()
        return True


cdef class FileSink(SnapshotSink):
    def __init__(self, FileWriter writer not None, bint clocks=False):
        self.clocks = clocks
        self.writer = writer

    def select(self, index, keys, expires):
        self.writer.select(index, keys, expires)

    def value(self, key, value, expire_ms, clock):
        self.writer.key(key, value, expire_ms, clock)

    cdef int divert(self) except -1:
        """What the writer writes from now on stands behind what ``append`` adds."""
        self.file = self.writer.out
        self.block_bytes = self.writer.block_bytes
        self.writer.out = RdbWriter(self.writer.compress)
        self.writer.block_bytes = UNLIMITED
        return 0

    cdef int append(self, const unsigned char* data, Py_ssize_t size) except -1:
        cdef RdbWriter behind = self.writer.out
        self.writer.out = self.file
        self.writer.block_bytes = self.block_bytes
        try:
            self.writer.out.append(data, size)
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
        made.sink = self
        made.writer = self.writer
        made.out = RdbWriter(self.writer.compress)
        made.key = PyBytes_FromStringAndSize(key_of(entry), entry.key_size)
        made.expire_ms = expiry_or_never(entry)
        made.clock = entry.clock
        made.out.length(parts)
        return made
