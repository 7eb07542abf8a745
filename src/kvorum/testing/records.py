"""The content of a file of the journal as objects: what ``EntryReader`` finds, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from kvorum.journal import entries
from kvorum.journal.records import Damage


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch of effects: bytes ``body_start`` to before ``end``. With all that belongs to it, it begins at ``start``."""

    index: int
    term: int
    time_ms: int
    database: int
    start: int
    body_start: int
    end: int


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands without annotation, written by redis-server; whole transactions only. ``timestamp_s`` is what its last
    ``#TS:`` line before them said, 0 if there was none."""

    start: int
    end: int
    timestamp_s: int


def read_records(
    data: bytes | bytearray | memoryview,
    file: str,
    last_index: int = -1,
    durable_offset: int = 0,
    module: ModuleType = entries,
) -> Iterator[Entry | Commands | Damage]:
    """All records of a file; damage is the last one. ``module``: which of the twins reads."""
    reader = module.EntryReader(data, file, last_index=last_index, durable_offset=durable_offset)
    while True:
        result = reader.next()
        if result == entries.ENTRY:
            yield Entry(
                reader.index, reader.term, reader.time_ms, reader.database, reader.start, reader.body_start, reader.end
            )
        elif result == entries.COMMANDS:
            yield Commands(reader.start, reader.end, reader.timestamp_s)
        else:
            if reader.damage is not None:
                yield reader.damage
            return
