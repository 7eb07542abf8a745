"""The two forms of an entry: as the core carries it, and as it stands in the journal.

The data of a NORMAL entry are ``time_ms`` (8 bytes) and ``database`` (2 bytes), big-endian, and the body as it is on disk,
so that writing it copies nothing. In the journal every entry is an ordinary one, which Redis reads or skips:

- the no-op of a term (no data) has no body, time 0 and database 0;
- a change of membership has time 0, database 0 and only lines in its body, ``#kvorum-members <type> <base64>`` with the
  number of the entry's type, as many as the limit of a line asks for; without data, one line that ends after the type.

Each form leads to exactly one of the other. A NORMAL entry therefore never has an empty body, nor one that begins with such
a line.
"""

from __future__ import annotations

import binascii
import struct
from typing import Final

from kvorum.journal.bodies import MEMBERS_LINE, MalformedBodyError, body_lines
from kvorum.replication.raft.core.entries import Entry, EntryType

HEADER: Final = struct.Struct(">qh")
HEADER_BYTES: Final = HEADER.size
# So many bytes of a change stand in one line: 960 characters.
LINE_DATA_BYTES: Final = 720
MOST_TIME_MS: Final = 10**18 - 1  # the journal's numbers have 18 digits


class MalformedEntryError(ValueError):
    """Data or body of an entry cannot be what they are said to be."""


def encode(time_ms: int, database: int, body: bytes) -> bytes:
    """The data of a NORMAL entry; ``body`` is not empty."""
    assert body, "an entry without a body would pass for the no-op of a term"
    return HEADER.pack(time_ms, database) + body


def decode(data: bytes) -> tuple[int, int, bytes]:
    """Time in Unix ms, database and body of a NORMAL entry that is no no-op. Raises MalformedEntryError."""
    time_ms, database = _header(data)
    return time_ms, database, data[HEADER_BYTES:]


def to_disk(entry: Entry) -> tuple[int, int, bytes, int]:
    """Time, database, and the body as the bytes of a buffer from an offset on, as ``Journal.write_entry`` takes them. Raises
    MalformedEntryError."""
    data = entry.data
    if entry.type != EntryType.NORMAL:
        return 0, 0, _members_body(entry.type, data), 0
    if not data:
        return 0, 0, b"", 0
    time_ms, database = _header(data)
    return time_ms, database, data, HEADER_BYTES


def from_disk(index: int, term: int, time_ms: int, database: int, body: bytes) -> Entry:
    """The entry that the journal holds so. Raises MalformedEntryError."""
    if not body:
        return Entry(term, index)
    if body.startswith(MEMBERS_LINE):
        kind, data = _members_data(body)
        return Entry(term, index, data, kind)
    return Entry(term, index, HEADER.pack(time_ms, database) + body)


def _header(data: bytes) -> tuple[int, int]:
    if len(data) <= HEADER_BYTES:
        raise MalformedEntryError(f"{len(data)} bytes are no batch of effects")
    time_ms, database = HEADER.unpack_from(data)
    if not 0 <= time_ms <= MOST_TIME_MS or database < 0:
        raise MalformedEntryError(f"a batch of effects has the time {time_ms} and is for database {database}")
    if data.startswith(MEMBERS_LINE, HEADER_BYTES):
        raise MalformedEntryError("a batch of effects begins as a change of membership does")
    return time_ms, database


def _members_body(kind: EntryType, data: bytes) -> bytes:
    start = b"%b%d" % (MEMBERS_LINE, kind)
    if not data:
        return start + b"\r\n"
    pieces = (data[at : at + LINE_DATA_BYTES] for at in range(0, len(data), LINE_DATA_BYTES))
    return b"".join(b"%b %b\r\n" % (start, binascii.b2a_base64(piece, newline=False)) for piece in pieces)


def _members_data(body: bytes) -> tuple[EntryType, bytes]:
    try:
        lines, end = body_lines(body)
        kind = EntryType(int(lines[0].split(b" ")[1]))
        pieces = [binascii.a2b_base64(b"".join(line.split(b" ")[2:])) for line in lines]
    except (MalformedBodyError, ValueError, IndexError) as error:
        raise MalformedEntryError(f"a change of membership cannot be read: {error}") from error
    data = b"".join(pieces)
    # Whatever is not exactly what is written for these data is not ours.
    if end != len(body) or kind == EntryType.NORMAL or _members_body(kind, data) != body:
        raise MalformedEntryError("a change of membership is not in the form in which it is written")
    return kind, data


__all__ = [
    "HEADER_BYTES",
    "MEMBERS_LINE",
    "MalformedEntryError",
    "body_lines",
    "decode",
    "encode",
    "from_disk",
    "to_disk",
]
