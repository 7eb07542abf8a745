"""One command on its way through the server: see ``call.py``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport free, realloc

from kvorum.errors import NOT_AN_INTEGER, CommandError

from kvorum.journal.effects cimport Effects
from kvorum.keyspace.hashing cimport slot_of_key
from kvorum.keyspace.table cimport Database, Keyspace
from kvorum.resp.numbers cimport parse_integer_text
from kvorum.resp.parser cimport Parser
from kvorum.resp.span cimport Span, absent_span
from kvorum.resp.writer cimport Writer

cdef enum:
    MODIFICATIONS = 1       # see keyspace/events.py
    EVENTS = 2
    SPARE_WORDS = 64        # after a request that was loaded room for so many more is kept


cdef class Call:
    def __init__(self, object session, object server, Keyspace keyspace, Database database, Writer reply):
        self.session = session
        self.server = server
        self.keyspace = keyspace
        self.db = database
        self.reply = reply
        self.effects = []
        self.raw = absent_span()

    def __dealloc__(self):
        free(self.spans)

    cdef int begin(self, Parser parser) except -1:
        self.argv = parser.argv
        self.argc = parser.argc
        self.raw = parser.raw
        return 0

    cpdef load(self, list request):
        cdef Span* spans
        cdef bytes word
        cdef Py_ssize_t index
        if len(request) > self.room or len(request) + SPARE_WORDS < self.room:
            spans = <Span*>realloc(self.spans, (len(request) + 1) * sizeof(Span))
            if spans != NULL:
                self.spans = spans
                self.room = len(request) + 1
            elif len(request) > self.room:
                raise MemoryError
        for index in range(len(request)):
            word = request[index]
            self.spans[index].data = PyBytes_AS_STRING(word)
            self.spans[index].size = PyBytes_GET_SIZE(word)
            self.spans[index].owner = <PyObject*>word
        self.loaded = request
        self.argv = self.spans
        self.argc = len(request)
        self.raw = absent_span()

    cpdef bytes arg(self, Py_ssize_t index):
        cdef Span span = self.argv[index]
        if span.owner != NULL:
            return <bytes>span.owner
        return PyBytes_FromStringAndSize(span.data, span.size)

    @property
    def args(self):
        cdef Py_ssize_t index
        return [self.arg(index) for index in range(self.argc)]

    cpdef unsigned int slot(self, Py_ssize_t index) noexcept:
        return slot_of_key(self.argv[index].data, self.argv[index].size)

    cpdef long long integer(self, Py_ssize_t index) except? -1:
        cdef long long number
        if not parse_integer_text(self.argv[index].data, self.argv[index].size, &number):
            raise CommandError(NOT_AN_INTEGER)
        return number

    cpdef changed(self, Py_ssize_t count=1):
        self.dirty += count

    cpdef modified(self, int kind, bytes event, bytes key, Database database=None):
        if self.keyspace.observed & (MODIFICATIONS | EVENTS):
            self.tell(kind, event, key, self.db.index if database is None else database.index)

    cpdef modified_at(self, int kind, bytes event, Py_ssize_t index):
        if self.keyspace.observed & (MODIFICATIONS | EVENTS):
            self.tell(kind, event, self.arg(index), self.db.index)

    cpdef notify(self, int kind, bytes event, bytes key, Database database=None):
        if self.keyspace.observed & EVENTS:
            self.keyspace.on_event(kind, event, key, self.db.index if database is None else database.index)

    cdef int tell(self, int kind, bytes event, bytes key, int database) except -1:
        if self.keyspace.observed & MODIFICATIONS:
            self.keyspace.on_modified(database, key, self.session)
        if self.keyspace.observed & EVENTS:
            self.keyspace.on_event(kind, event, key, database)
        return 0

    def block(self, list keys, bytes kind, double timeout_s, on_timeout):
        return self.server.blocking.block(self, keys, kind, timeout_s, on_timeout)

    def propagate(self, *arguments):
        self.rewritten = True
        self.effects.append((self.db.index, list(arguments)))

    cpdef propagate_set_until(self, Py_ssize_t key, Py_ssize_t value, long long expire_ms):
        self.rewritten = True
        self.expiring_key = key
        self.expiring_value = value
        self.expire_ms = expire_ms

    cpdef propagate_expire_at(self, Py_ssize_t key, long long expire_ms):
        self.rewritten = True
        self.expiring_key = key
        self.expiring_value = 0
        self.expire_ms = expire_ms

    cpdef finish(self, Effects effects):
        cdef Py_ssize_t mark = effects.batch.pending
        try:
            self.log(effects)
        except BaseException:
            effects.undo(mark)
            self.forget()
            self.server.request_shutdown(status=1)      # the log is right, what is in memory is not in it
            raise

    cdef int log(self, Effects effects) except -1:
        if self.dirty == 0 and not self.effects and not effects.removals:
            effects.in_command = False      # an ordinary read
            self.rewritten = False
            return 0
        if effects.group is not None:
            effects.join_group(self.own_effects())
        elif self.expiring_key and not self.effects and not effects.removals:
            effects.finish_expiring(
                self.db.index, self.argv[self.expiring_key],
                self.argv[self.expiring_value] if self.expiring_value else absent_span(), self.expire_ms)
        elif self.dirty != 0 and not self.rewritten and not self.effects:
            effects.finish(self.db.index, self.raw, self.argv, self.argc)
        else:
            effects.finish_group(self.own_effects())
        self.forget()
        return 0

    cdef list own_effects(self):
        cdef list group = self.effects
        if self.expiring_key:
            group = group + [(self.db.index, self.expiring_words())]
        if self.dirty != 0 and not self.rewritten:
            group = group + [(self.db.index, self.args)]
        return group

    cdef list expiring_words(self):
        cdef bytes moment = b"%d" % self.expire_ms
        if self.expiring_value:
            return [b"SET", self.arg(self.expiring_key), self.arg(self.expiring_value), b"PXAT", moment]
        return [b"PEXPIREAT", self.arg(self.expiring_key), moment]

    cpdef forget(self):
        self.expiring_key = 0
        self.dirty = 0
        self.rewritten = False
        if self.effects:
            self.effects = []
