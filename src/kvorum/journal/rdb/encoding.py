"""RDB's elements: bytes, lengths, strings and doubles, read from a buffer and written to one.

A length begins with a byte whose two highest bits tell what it is:

    00LLLLLL                the length
    01LLLLLL LLLLLLLL       14 bits, the high ones first
    10000000 + 4 bytes      32 bits, the high ones first; 10000001 + 8 bytes: 64
    11KKKKKK                no length: a string of a special kind follows

A string is its length and its bytes, or of a special kind: 0, 1 and 2 are integers of 8, 16 and 32 bits, little-endian,
whose decimal text the string is; 3 is compressed: length in compressed form, length, and the former (``lzf``). Only the
canonical text of an integer is written as one, so that what is read is what was written.

A double is eight bytes (IEEE 754, little-endian), or before version 8 a text, with one byte for its size; 253 to 255 stand
for NaN and the infinities.

``RdbReader`` reads what lies in memory: a payload, or a file that is mapped into it, so that the strings of a file reach
the table without a copy (C side: ``span``). Rejected: a reader over a stream, which would have to copy each string and to
check for the end of its buffer in each step. ``RdbWriter`` writes into a buffer that is taken when it is large enough.

Every method of the reader raises ``RdbError`` where the bytes end or make no sense; a length never leads to an allocation
before it was compared with what is left.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.crc64 import crc64
from kvorum.journal.rdb.lzf import compress, decompress
from kvorum.resp.numbers import parse_float, parse_integer

_SPECIAL = 3
_COMPRESSED = 3
_INTEGER_BYTES = {0: 1, 1: 2, 2: 4}
_LENGTH_BYTES = {0x80: 4, 0x81: 8}
_SPECIAL_DOUBLES = {253: math.nan, 254: math.inf, 255: -math.inf}
_LONGEST_SHORT_INTEGER = 11
_NOT_COMPRESSED_UP_TO = 20


class RdbReader:
    """Reads from ``start`` up to ``end`` of anything with a buffer; ``position`` is where it is."""

    def __init__(self, data: Any, start: int = 0, end: int | None = None) -> None:
        self._view = memoryview(data)
        self.position = start
        self.end = len(self._view) if end is None else end
        if not 0 <= start <= self.end <= len(self._view):
            raise ValueError("to be read is what does not lie in the buffer")

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return self.end - self.position

    def _broken(self, what: str) -> RdbError:
        return RdbError(f"{what} at byte {self.position}")

    def raw(self, count: int) -> bytes:
        """So many bytes as they are."""
        if count > self.left:
            raise self._broken(f"{count} bytes are to follow, but {self.left} are left")
        found = bytes(self._view[self.position : self.position + count])
        self.position += count
        return found

    def byte(self) -> int:
        """One byte as a number."""
        return self.raw(1)[0]

    def _head(self) -> tuple[bool, int]:
        """What stands before a string or alone: (True, kind of string) or (False, length)."""
        first = self.byte()
        if first < 0x40:
            return False, first
        if first < 0x80:
            return False, (first & 0x3F) << 8 | self.byte()
        if first >> 6 == _SPECIAL:
            return True, first & 0x3F
        size = _LENGTH_BYTES.get(first)
        if size is None:
            self.position -= 1
            raise self._broken("an unknown kind of length")
        return False, int.from_bytes(self.raw(size), "big")

    def length(self) -> int:
        """A length, of up to 64 bits: nothing says yet that so much is there."""
        began = self.position
        special, value = self._head()
        if special:
            self.position = began
            raise self._broken("a string where a length is to be")
        return value

    def count(self, least_bytes: int) -> int:
        """A number of elements, each of which takes at least so many bytes of what is left."""
        value = self.length()
        if value > self.left // least_bytes:
            raise self._broken(f"{value} elements are to follow, but {self.left} bytes are left")
        return value

    def string(self) -> bytes:
        """A string, in whichever form."""
        began = self.position
        special, value = self._head()
        if not special:
            return self.raw(value)
        if value in _INTEGER_BYTES:
            return b"%d" % int.from_bytes(self.raw(_INTEGER_BYTES[value]), "little", signed=True)
        if value != _COMPRESSED:
            self.position = began
            raise self._broken("an unknown kind of string")
        length, size = self.length(), self.length()
        shorter = self.raw(length)
        try:
            return decompress(shorter, size)
        except RdbError as error:
            raise self._broken(f"{error}, ending") from None

    def binary_double(self) -> float:
        """A double of eight bytes; may be NaN."""
        return float(struct.unpack("<d", self.raw(8))[0])

    def text_double(self) -> float:
        """A double as text; may be NaN."""
        size = self.byte()
        if size in _SPECIAL_DOUBLES:
            return _SPECIAL_DOUBLES[size]
        value = parse_float(self.raw(size))
        if value is None:
            raise self._broken("no number, ending")
        return value


class RdbWriter:
    """Writes into a buffer of its own. ``compress``: whether strings are compressed where that makes them shorter."""

    def __init__(self, compress: bool = True) -> None:
        self.compress = compress
        self._buffer = bytearray()

    @property
    def size(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._buffer)

    def byte(self, value: int) -> None:
        self._buffer.append(value)

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._buffer += data

    def length(self, value: int) -> None:
        """A length of up to 64 bits."""
        if value < 0x40:
            self.byte(value)
        elif value < 0x4000:
            self.raw((0x4000 | value).to_bytes(2, "big"))
        elif value < 1 << 32:
            self.raw(b"\x80" + value.to_bytes(4, "big"))
        else:
            self.raw(b"\x81" + value.to_bytes(8, "big"))

    def string(self, text: bytes) -> None:
        """A string in its shortest form."""
        if not (self._short_integer(text) or self._compressed(text)):
            self.length(len(text))
            self.raw(text)

    def _short_integer(self, text: bytes) -> bool:
        number = parse_integer(text) if len(text) <= _LONGEST_SHORT_INTEGER else None
        if number is None:
            return False
        for kind, size in _INTEGER_BYTES.items():
            if -(1 << size * 8 - 1) <= number < 1 << size * 8 - 1:
                self.byte(_SPECIAL << 6 | kind)
                self.raw(number.to_bytes(size, "little", signed=True))
                return True
        return False

    def _compressed(self, text: bytes) -> bool:
        shorter = compress(text) if self.compress and len(text) > _NOT_COMPRESSED_UP_TO else None
        if shorter is None:
            return False
        self.byte(_SPECIAL << 6 | _COMPRESSED)
        self.length(len(shorter))
        self.length(len(text))
        self.raw(shorter)
        return True

    def binary_double(self, value: float) -> None:
        self.raw(struct.pack("<d", value))

    def take(self) -> bytes:
        """What was written, which is forgotten."""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def crc64(self, before: int = 0) -> int:
        """The checksum of what waits to be taken; ``before`` is that of what was taken."""
        return crc64(bytes(self._buffer), before)
