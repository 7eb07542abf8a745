"""What DUMP answers, RESTORE takes and MIGRATE sends: one value with its type, and a footer of ten bytes.

type            a byte
body            see ``values``
version         16 bits, little-endian: of the RDB format
checksum        64 bits, little-endian: of everything before it
"""

from __future__ import annotations

from kvorum.journal.rdb import RdbError, WrongFooterError
from kvorum.journal.rdb.crc64 import crc64
from kvorum.journal.rdb.encoding import RdbReader, RdbWriter
from kvorum.journal.rdb.values import read_value, type_of, write_body
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.values import Value

VERSION = 10
"""Of what is written: Redis 7.0's."""

NEWEST_VERSION = 11
"""That can be read: Redis 7.2's."""

FOOTER_BYTES = 10
CHECKSUM_BYTES = 8


def dump_payload(value: bytes | Value, compress: bool = True) -> bytes:
    """The payload of a value. ``compress``: whether strings may be compressed."""
    writer = RdbWriter(compress)
    writer.byte(type_of(value))
    write_body(writer, value)
    writer.raw(VERSION.to_bytes(2, "little"))
    writer.raw(writer.crc64().to_bytes(CHECKSUM_BYTES, "little"))
    return writer.take()


def check_footer(payload: bytes, check_sum: bool = True) -> None:
    """Raise ``WrongFooterError`` for a payload that is not to be read. ``check_sum``: whether the checksum matters."""
    if len(payload) < FOOTER_BYTES:
        raise WrongFooterError("a payload without a footer")
    version = int.from_bytes(payload[-FOOTER_BYTES:-CHECKSUM_BYTES], "little")
    if version > NEWEST_VERSION:
        raise WrongFooterError(f"a payload of version {version}")
    checksum = int.from_bytes(payload[-CHECKSUM_BYTES:], "little")
    if check_sum and checksum != crc64(memoryview(payload)[:-CHECKSUM_BYTES]):
        raise WrongFooterError("a payload with a wrong checksum")


def load_payload(payload: bytes, commons: Commons) -> bytes | Value:
    """The value of a payload whose footer was looked at; ``RdbError`` if there is none."""
    reader = RdbReader(payload, 0, len(payload) - FOOTER_BYTES)
    try:
        return read_value(reader, reader.byte(), commons, strict=True)
    except MemoryError:
        raise RdbError("a value for which there is no memory") from None
