"""A snapshot into an RDB file: the sink between ``keyspace.snapshot`` and ``FileWriter``.

The caller begins and finishes the file; between the two the snapshot writes the keys, in no promised order and with a
SELECTDB wherever the database changes, which all readers of RDB allow. Big collections are gathered, encoded, in buffers of
their own until they are complete, and go into the file in one go then.
"""

from __future__ import annotations

from kvorum.journal.rdb.file_writer import FileWriter
from kvorum.keyspace.snapshot import SnapshotSink
from kvorum.keyspace.values import Value


class FileSink(SnapshotSink):
    """Writes to ``writer``; ``clocks``: whether its policy has idle times or frequencies written."""

    def __init__(self, writer: FileWriter, clocks: bool = False) -> None:
        super().__init__(clocks)
        self.writer = writer

    def select(self, index: int, keys: int, expires: int) -> None:
        """The next keys are of another database."""
        self.writer.select(index, keys, expires)

    def value(self, key: bytes, value: bytes | Value, expire_ms: int, clock: int) -> None:
        """One key."""
        self.writer.key(key, value, expire_ms, clock)
