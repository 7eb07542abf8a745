"""Reading entries of the log again that stand in its files, by what ``offsets`` knows of them."""

from __future__ import annotations

from collections.abc import Callable

from kvorum.journal.disk import Disk
from kvorum.journal.entries import DAMAGED, ENTRY, EntryReader
from kvorum.journal.offsets import Place

# What gets one entry: index, term, time in Unix ms, database, body. False: not this one, and no more.
Taker = Callable[[int, int, int, int, bytes], bool]


class UnreadableEntryError(Exception):
    """An entry that was written and checked before is not there any more as it was; the text names file, offset and remedy."""


def start_of(disk: Disk, place: Place, index: int) -> int:
    """The offset where this entry begins, with the SELECT that belongs to it; ``place`` is what the offsets say of it.

    :raises UnreadableEntryError: it is not there.
    :raises DiskError: the file cannot be read.
    """
    with disk.view(place.path) as view:
        reader = EntryReader(view.data, place.path, place.offset, place.index - 1)
        try:
            while reader.next() == ENTRY:
                if reader.index == index:
                    return reader.start
            raise UnreadableEntryError(_what_is_wrong(reader, index))
        finally:
            reader.close()


def read_from(disk: Disk, place: Place, low: int, high: int, take: Taker) -> Place:
    """Hand entries ``low`` to ``high - 1`` on to ``take``, as far as they stand in this file. Returns where the next one begins,
    or where the file ends. UnreadableEntryError, DiskError."""
    with disk.view(place.path) as view:
        reader = EntryReader(view.data, place.path, place.offset, place.index - 1)
        try:
            while reader.index + 1 < high:
                kind = reader.next()
                if kind == DAMAGED:
                    raise UnreadableEntryError(_what_is_wrong(reader, low))
                if kind != ENTRY:
                    break
                if reader.index >= low and not take(
                    reader.index, reader.term, reader.time_ms, reader.database, reader.body()
                ):
                    return Place(place.path, reader.start, reader.index)
            return Place(place.path, reader.end, reader.index + 1)
        finally:
            reader.close()


def _what_is_wrong(reader: EntryReader, index: int) -> str:
    if reader.damage is not None:
        return str(reader.damage)
    return f"{reader.file}, byte {reader.end}: entry {index} should stand there; restore the file from a backup or another node"
