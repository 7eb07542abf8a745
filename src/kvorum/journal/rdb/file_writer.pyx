# cython: wraparound=False, cdivision=True
"""Writing an RDB file: see ``file_writer.py`` for the contract.

A walk takes the buckets in order and has the entries of the next few brought into the caches while those of one are written.
"""
cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvorum.journal.rdb import file_format
from kvorum.journal.rdb.payload import VERSION
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.sorted_set import SortedSet

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.journal.rdb.values cimport type_of
from kvorum.keyspace.access_clock cimport idle_ms, lfu_counter
from kvorum.keyspace.buckets cimport BUCKET_ENTRIES, Bucket, overflow_of
from kvorum.keyspace.entry cimport (
    BYTES,
    EMBEDDED,
    INTEGER,
    OBJECT,
    Entry,
    expiry_or_never,
    integer_of,
    key_of,
    prefetch_line,
    reference_of,
    value_of,
)
from kvorum.keyspace.table cimport Database
from kvorum.keyspace.values cimport Value
from kvorum.keyspace.walk cimport Place, seek, step
from kvorum.resp.span cimport Span

BLOCK_BYTES = 1 << 17

cdef enum:
    STRING = 0                  # types
    LIST_QUICKLIST_2 = 18
    PLAIN_NODE = 1
    PACKED_NODE = 2
    FUNCTION2 = 0xF5            # opcodes
    IDLE = 0xF8
    FREQ = 0xF9
    AUX = 0xFA
    RESIZEDB = 0xFB
    EXPIRETIME_MS = 0xFC
    SELECTDB = 0xFE
    EOF = 0xFF
    PAIRS_AT_A_TIME = 1000
    LINE = 64
    AHEAD = 4                   # buckets
    KEPT_BLOCKS = 8             # a buffer that a big string has made larger than so many blocks is given back


@cython.final
cdef class FileWriter:
    def __init__(
        self,
        write not None,
        *,
        int64_t now_ms=0,
        str policy="noeviction",
        int lfu_decay_time=1,
        bint compress=True,
        bint checksum=True,
        Py_ssize_t block_bytes=BLOCK_BYTES,
    ):
        self.write = write
        self.now_ms = now_ms
        self.lru = policy.endswith("-lru")
        self.lfu = policy.endswith("-lfu")
        self.lfu_decay_time = lfu_decay_time
        self.compress = compress
        self.checksum = checksum
        self.block_bytes = block_bytes
        self.out = RdbWriter(compress)

    @property
    def size(self):
        return self.passed + self.out.size

    def begin(self, aux=(), libraries=()):
        self.out.raw(file_format.MAGIC + b"%04d" % VERSION)
        for name, value in aux:
            self.out.byte(AUX)
            self.out.string(name)
            self.out.string(value)
        for code in libraries:
            self.out.byte(FUNCTION2)
            self.out.string(code)

    def select(self, int index, uint64_t keys, uint64_t expires):
        self.out.byte(SELECTDB)
        self.out.length(index)
        self.out.byte(RESIZEDB)
        self.out.length(keys)
        self.out.length(expires)

    def key(self, bytes key not None, value not None, int64_t expire_ms=0, uint32_t clock=0):
        self.head(type_of(value), key, expire_ms, clock)
        if isinstance(value, bytes):
            self.out.string(value)
        else:
            self.body(value)
        self.pass_on()

    def head(self, int kind, bytes key not None, int64_t expire_ms=0, uint32_t clock=0):
        cdef Span span
        span.data = PyBytes_AS_STRING(key)
        span.size = PyBytes_GET_SIZE(key)
        span.owner = NULL
        self.head_of(kind, span, expire_ms, clock)

    cdef int head_of(self, int kind, Span key, int64_t expire_ms, uint32_t clock) except -1:
        if expire_ms:
            self.out.byte(EXPIRETIME_MS)
            self.out.append(&expire_ms, 8)
        if self.lru:
            self.out.byte(IDLE)
            self.out.length(idle_ms(clock, self.now_ms) // 1000)
        elif self.lfu:
            self.out.byte(FREQ)
            self.out.byte(lfu_counter(clock, self.now_ms, self.lfu_decay_time))
        self.out.byte(kind)
        self.out.span(key)
        self.keys += 1
        return 0

    cdef int entry(self, Entry* entry) except -1:
        cdef Span key
        cdef Value value
        cdef int kind = STRING
        key.data = key_of(entry)
        key.size = entry.key_size
        key.owner = NULL
        if entry.kind == OBJECT:
            value = <Value>reference_of(entry)
            kind = type_of(value)
        self.head_of(kind, key, expiry_or_never(entry), entry.clock)
        if entry.kind == OBJECT:
            self.body(value)
        else:
            self.text(entry)
        return self.pass_on()

    cdef int text(self, Entry* entry) except -1:
        """A string as it lies in the table."""
        cdef Span text
        text.owner = NULL
        if entry.kind == INTEGER:
            return self.out.integer(integer_of(entry))
        if entry.kind == EMBEDDED:
            text.data = value_of(entry)
            text.size = entry.value_size
        elif entry.kind == BYTES:
            text.data = PyBytes_AS_STRING(<bytes>reference_of(entry))
            text.size = PyBytes_GET_SIZE(<bytes>reference_of(entry))
        else:
            text.data = PyByteArray_AS_STRING(<bytearray>reference_of(entry))
            text.size = PyByteArray_GET_SIZE(<bytearray>reference_of(entry))
        return self.out.span(text)

    cdef int body(self, Value value) except -1:
        cdef bytes packed = value.packed()
        if packed is None:
            return self.elements(value)
        if isinstance(value, List):
            self.out.length(1)
            self.out.length(PACKED_NODE)
        return self.out.string(packed)

    cdef int elements(self, Value value) except -1:
        """A big value, handed on as it is written."""
        cdef Py_ssize_t nodes = 0
        if isinstance(value, List):
            for plain, blob in value.nodes():
                nodes += 1
            self.out.length(nodes)
            for plain, blob in value.nodes():
                self.out.length(PLAIN_NODE if plain else PACKED_NODE)
                self.out.string(blob)
                self.pass_on()
        elif isinstance(value, Hash):
            self.out.length(len(value))
            for field, content in value.items():
                self.out.string(field)
                self.out.string(content)
                self.pass_on()
        elif isinstance(value, SortedSet):
            self.out.length(len(value))
            for start in range(0, len(value), PAIRS_AT_A_TIME):
                for member, score in value.pairs(start, PAIRS_AT_A_TIME, True):
                    self.out.string(member)
                    self.out.binary_double(score)
                    self.pass_on()
        else:
            self.out.length(len(value))
            for member in value:
                self.out.string(member)
                self.pass_on()
        return 0

    def everything(self, keyspace not None):
        cdef Database database
        for database in keyspace.databases:
            if len(database):
                self.select(database.index, len(database), database.volatile_count)
                self.database(database)

    cpdef int database(self, Database database) except -1:
        cdef Place place
        cdef Bucket* ahead[AHEAD]
        cdef Bucket* bucket
        cdef unsigned int found = 0, written = 0
        cdef int i
        place.slot = 0
        place.hash = 0
        while True:
            while found - written < AHEAD and seek(database.store, &place):
                bucket = step(database.store, &place)
                # Not in a function of its own: compilers drop calls of functions that only prefetch.
                for i in range(BUCKET_ENTRIES):
                    if bucket.present >> i & 1:
                        prefetch_line(bucket.entries[i])
                        prefetch_line(<char*>bucket.entries[i] + LINE)
                ahead[found % AHEAD] = bucket
                found += 1
            if written == found:
                return 0
            bucket = ahead[written % AHEAD]
            written += 1
            while bucket != NULL:
                for i in range(BUCKET_ENTRIES):
                    if bucket.present >> i & 1:
                        self.entry(<Entry*>bucket.entries[i])
                bucket = overflow_of(bucket)

    cpdef int pass_on(self) except -1:
        if self.out.size >= self.block_bytes:
            self.add_up()
            self.hand_on()
        return 0

    def finish(self):
        self.out.byte(EOF)
        self.add_up()
        self.out.append(&self.sum, 8)
        self.hand_on()
        return self.size

    cdef int add_up(self) except -1:
        if self.checksum:
            self.sum = self.out.crc64(self.sum)
        return 0

    cdef int hand_on(self) except -1:
        cdef bytes block = self.out.take()
        if self.out.capacity > KEPT_BLOCKS * self.block_bytes:
            self.out = RdbWriter(self.compress)
        self.passed += PyBytes_GET_SIZE(block)
        self.write(block)
        return 0
