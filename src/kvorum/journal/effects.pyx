"""The log of effects while a turn lasts: see ``effects.py``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject

from kvorum.journal.batches import MESSAGES, hand_on, without

from kvorum.resp.numbers cimport INTEGER_CHARACTERS, write_integer
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer


cdef class Effects:
    def __init__(self):
        self.batch = Writer(2)
        self.database = -1
        self.sinks = []
        self.removals = []
        self.group = None
        self.message_ranges = []

    @property
    def position(self):
        return self.committed_bytes + self.batch.pending

    cdef int write(self, bytes word) except -1:
        return self.batch.bulk_data(PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word), <PyObject*>word)

    cdef int select(self, int database) except -1:
        cdef bytes number
        cdef bint first
        if database != self.database:
            first = self.batch.pending == 0
            number = b"%d" % database
            self.batch.array(2)
            self.write(b"SELECT")
            self.write(number)
            if first:
                self.first_database = database
                self.first_size = self.batch.pending
            self.database = database
        return 0

    cdef void count_one(self) noexcept:
        self.commands += 1
        self.in_batch += 1

    cdef int append_span(self, int database, Span raw) except -1:
        self.select(database)
        self.batch.raw(raw.data, raw.size)
        self.count_one()
        return 0

    cpdef append(self, int database, list arguments):
        cdef bytes argument
        self.select(database)
        self.batch.array(len(arguments))
        for argument in arguments:
            self.write(argument)
        self.count_one()

    cpdef publish(self, int database, list arguments):
        cdef bytes argument
        cdef Py_ssize_t start
        self.select(database)
        start = self.batch.pending
        self.batch.array(len(arguments))
        for argument in arguments:
            self.write(argument)
        self.message_ranges.append((start, self.batch.pending))
        self.messages += 1
        if self.published is not None:
            self.published.append(arguments)

    cdef int append_argv(self, int database, const Span* argv, Py_ssize_t argc) except -1:
        cdef Py_ssize_t index
        self.select(database)
        self.batch.array(argc)
        for index in range(argc):
            self.batch.bulk(argv[index])
        self.count_one()
        return 0

    cdef int begin(self) except -1:
        self.in_command = True
        return 0

    def removed(self, int database, bytes name, bytes key):
        if self.removed_keys is not None:
            self.removed_keys.append(key)
        if self.in_command:
            self.removals.append((database, [name, key]))
        elif self.group is not None:  # what stands apart keeps its place among the effects of a transaction
            self.group.append((database, [name, key]))
        else:
            self.append(database, [name, key])

    def stand_apart(self):
        self.in_command = False

    cdef int finish(self, int database, Span raw, const Span* argv, Py_ssize_t argc) except -1:
        cdef Py_ssize_t index
        if self.removals:
            self.finish_group([(database, [argv[index].data[: argv[index].size] for index in range(argc)])])
            return 0
        self.in_command = False
        if raw.data != NULL:
            return self.append_span(database, raw)
        return self.append_argv(database, argv, argc)

    cdef int finish_expiring(self, int database, Span key, Span value, long long expire_ms) except -1:
        cdef char digits[INTEGER_CHARACTERS]
        cdef int size = write_integer(digits, expire_ms)
        self.in_command = False
        self.select(database)
        if value.data != NULL:
            self.batch.array(5)
            self.write(b"SET")
            self.batch.bulk(key)
            self.batch.bulk(value)
            self.write(b"PXAT")
        else:
            self.batch.array(3)
            self.write(b"PEXPIREAT")
            self.batch.bulk(key)
        self.batch.bulk_data(digits, size, NULL)
        self.count_one()
        return 0

    cdef int undo(self, Py_ssize_t mark) except -1:
        """Take back what was appended since the batch had ``mark`` bytes: half a command must never be logged."""
        self.batch.rewind(mark)
        self.database = -1
        self.removals = []
        self.message_ranges = [(start, end) for start, end in self.message_ranges if end <= mark]
        self.in_command = False
        return 0

    def open_group(self):
        self.group = []

    def close_group(self):
        group = self.group
        self.group = None
        self.finish_group(group)

    cdef int join_group(self, list effects) except -1:
        self.in_command = False
        self.group.extend(self.removals)
        self.group.extend(effects)
        if self.removals:
            self.removals = []
        return 0

    cpdef finish_group(self, list group):
        self.in_command = False
        if self.removals:
            group = self.removals + group
            self.removals = []
        if len(group) == 1 and group[0][1][0] not in MESSAGES:
            self.append(group[0][0], group[0][1])
        elif group:
            self.append_group(group)

    cdef int append_group(self, list group) except -1:
        cdef bint lasting = False
        for database, arguments in group:
            if arguments[0] not in MESSAGES:
                lasting = True
        write = self.append if lasting else self.publish
        if len(group) > 1:
            write(group[0][0], [b"MULTI"])
        for database, arguments in group:
            if arguments[0] in MESSAGES:
                self.publish(database, arguments)
            else:
                self.append(database, arguments)
        if len(group) > 1:
            write(self.database, [b"EXEC"])
        return 0

    cpdef commit(self):
        cdef Py_ssize_t size = self.batch.pending
        cdef int last = self.database
        cdef Py_ssize_t lasting = self.in_batch
        cdef list ranges = self.message_ranges
        if size == 0:
            return
        if self.journal is None and not self.sinks:
            batch = b""
            self.batch.consume(size)
        else:
            batch = self.batch.take(size)
        self.committed_bytes += size
        self.database = -1
        self.in_batch = 0
        if ranges:
            self.message_ranges = []
        if self.journal is not None:
            self.journal(
                b"" if not lasting else without(batch, ranges) if ranges else batch,
                self.first_size, self.first_database, last, self.committed_bytes)
        if self.sinks:
            hand_on(self.sinks, batch)
