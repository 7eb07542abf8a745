"""One command on its way through the server: see ``call.py``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport free, realloc

from kvorum.journal.effects cimport Effects
from kvorum.keyspace.table cimport Database, Keyspace
from kvorum.resp.parser cimport Parser
from kvorum.resp.span cimport Span, absent_span
from kvorum.resp.writer cimport Writer


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
        free(self.loaded)

    cdef int begin(self, Parser parser) except -1:
        self.argv = parser.argv
        self.argc = parser.argc
        self.raw = parser.raw
        return 0

    cpdef load(self, list arguments):
        cdef Py_ssize_t index
        cdef Span* spans = <Span*>realloc(self.loaded, max(1, len(arguments)) * sizeof(Span))
        cdef object argument
        if spans == NULL:
            raise MemoryError()
        self.loaded = spans
        self.loaded_arguments = arguments
        for index, argument in enumerate(arguments):
            spans[index].data = PyBytes_AS_STRING(argument)
            spans[index].size = PyBytes_GET_SIZE(argument)
            spans[index].owner = <PyObject*>argument
        self.argv = spans
        self.argc = len(arguments)
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

    cpdef changed(self, Py_ssize_t count=1):
        self.dirty += count

    def propagate(self, *arguments):
        self.rewritten = True
        self.effects.append((self.db.index, list(arguments)))

    def propagate_nothing(self):
        self.rewritten = True

    cpdef finish(self, Effects effects):
        if self.dirty == 0 and not self.effects and not effects.removals:
            effects.in_command = False      # an ordinary read
            self.rewritten = False
            return
        if self.dirty != 0 and not self.rewritten and not self.effects:
            effects.finish(self.db.index, self.raw, self.argv, self.argc)
        else:
            group = self.effects
            if self.dirty != 0 and not self.rewritten:
                group = group + [(self.db.index, self.args)]
            effects.finish_group(group)
        self.forget()

    cpdef forget(self):
        self.dirty = 0
        self.rewritten = False
        if self.effects:
            self.effects = []
