"""C side of snapshots into RDB files; ``snapshot_sink.py`` documents it."""
cimport cython
from libc.stdint cimport int64_t, uint32_t

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.journal.rdb.file_writer cimport FileWriter
from kvorum.keyspace.snapshot cimport Parts, SnapshotSink


@cython.final
cdef class FileParts(Parts):    # private
    cdef FileSink sink
    cdef FileWriter writer
    cdef RdbWriter out
    cdef Py_ssize_t passed      # bytes of it that have gone into the file
    cdef int kind
    cdef bytes key
    cdef int64_t expire_ms
    cdef uint32_t clock


@cython.final
cdef class FileSink(SnapshotSink):
    cdef readonly FileWriter writer
    # While the record of a collection goes into the file: the writer's own buffer and limit, for which others stand in.
    cdef RdbWriter file
    cdef Py_ssize_t block_bytes

    cdef int divert(self) except -1
    cdef int rejoin(self) except -1
    cdef int append(self, const unsigned char* data, Py_ssize_t size) except -1
