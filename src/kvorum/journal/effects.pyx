"""The log of effects while a turn lasts: see ``effects.py``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject

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

    @property
    def position(self):
        return self.committed_bytes + self.batch.pending

    cdef int write(self, bytes word) except -1:
        return self.batch.bulk_data(PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word), <PyObject*>word)

    cdef int select(self, int database) except -1:
        cdef bytes number
        if database != self.database:
            number = b"%d" % database
            self.batch.array(2)
            self.write(b"SELECT")
            self.write(number)
            self.database = database
        return 0

    cdef int append_span(self, int database, Span raw) except -1:
        self.select(database)
        self.batch.raw(raw.data, raw.size)
        self.commands += 1
        return 0

    cpdef append(self, int database, list arguments):
        cdef bytes argument
        self.select(database)
        self.batch.array(len(arguments))
        for argument in arguments:
            self.write(argument)
        self.commands += 1

    cdef int append_argv(self, int database, const Span* argv, Py_ssize_t argc) except -1:
        cdef Py_ssize_t index
        self.select(database)
        self.batch.array(argc)
        for index in range(argc):
            self.batch.bulk(argv[index])
        self.commands += 1
        return 0

    cdef int begin(self) except -1:
        self.in_command = True
        return 0

    def removed(self, int database, bytes name, bytes key):
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
        self.commands += 1
        return 0

    cdef int undo(self, Py_ssize_t mark) except -1:
        """Take back what was appended since the batch had ``mark`` bytes: half a command must never be logged."""
        self.batch.rewind(mark)
        self.database = -1
        self.removals = []
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
        if len(group) > 1:
            self.append(group[0][0], [b"MULTI"])
        for database, arguments in group:
            self.append(database, arguments)
        if len(group) > 1:
            self.append(self.database, [b"EXEC"])

    cpdef commit(self):
        cdef Py_ssize_t size = self.batch.pending
        if size == 0:
            return
        if self.sinks:
            data = self.batch.take(size)
            for sink in self.sinks:
                sink(data)
        else:
            self.batch.consume(size)
        self.committed_bytes += size
        self.database = -1
