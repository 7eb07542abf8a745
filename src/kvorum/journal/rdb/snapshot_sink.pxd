"""C side of snapshots into RDB files; ``snapshot_sink.py`` documents it."""
cimport cython
from libc.stdint cimport int64_t, uint32_t

from kvorum.journal.rdb.encoding cimport RdbWriter
from kvorum.journal.rdb.file_writer cimport FileWriter
from kvorum.keyspace.snapshot cimport Parts, SnapshotSink


@cython.final
cdef class FileParts(Parts):    # private
    cdef FileWriter writer
    cdef RdbWriter out
    cdef int kind
    cdef bytes key
    cdef int64_t expire_ms
    cdef uint32_t clock


@cython.final
cdef class FileSink(SnapshotSink):
    cdef readonly FileWriter writer
