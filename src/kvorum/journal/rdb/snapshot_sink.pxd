"""C side of snapshots into RDB files; ``snapshot_sink.py`` documents it."""
cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.journal.rdb.file_writer cimport FileWriter
from kvorum.keyspace.entry cimport Entry
from kvorum.keyspace.snapshot cimport Parts, SnapshotSink


cdef class FileRecord(Parts):   # private: of what goes into the file in steps
    cdef FileSink sink
    cdef int kind
    cdef bytes key
    cdef int64_t expire_ms
    cdef uint32_t clock

    cdef int identify(self, FileSink sink, int kind, Entry* entry) except -1


@cython.final
cdef class FileParts(FileRecord):
    cdef uint64_t parts
    cdef RdbWriter out          # what was gathered before its turn
    cdef Py_ssize_t passed      # bytes of it that have gone into the file
    cdef bint direct

    cdef int text(self, const char* data, Py_ssize_t size) except -1


@cython.final
cdef class FileText(FileRecord):
    cdef object source          # bytes or bytearray: the string from ``first`` on
    cdef Py_ssize_t first
    cdef Py_ssize_t size
    cdef Py_ssize_t position    # how far it was compressed, or written
    cdef bint compressing
    cdef RdbWriter out          # the compressed form; None: it is written as it is

    cdef const char* data(self) noexcept
    cdef int compress_piece(self, Py_ssize_t size) except -1
    cdef int decide(self) except -1
    cdef Py_ssize_t left(self) noexcept


@cython.final
cdef class FileSink(SnapshotSink):
    cdef readonly FileWriter writer
    # While a record goes into the file in steps: the writer's own buffer and limit, for which others stand in.
    cdef RdbWriter file
    cdef Py_ssize_t block_bytes

    cdef int divert(self) except -1
    cdef int rejoin(self) except -1
    cdef int append(self, const char* data, Py_ssize_t size) except -1
    cdef int pass_on(self) except -1
