"""Payloads as Redis 2.8 to 7.2 wrote them, put together by hand: an encoder that shares nothing with the decoder."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from kvorum.journal.rdb.crc64 import crc64
from kvorum.resp.numbers import parse_integer

ZIPLIST_INTEGERS = ((1, 0xFE), (2, 0xC0), (3, 0xF0), (4, 0xD0), (8, 0xE0))


def payload(kind: int, *body: bytes, version: int = 6) -> bytes:
    """A DUMP payload with the right checksum."""
    return seal(bytes([kind]) + b"".join(body), version)


def seal(content: bytes, version: int = 10) -> bytes:
    """Anything with a right footer."""
    content += struct.pack("<H", version)
    return content + struct.pack("<Q", crc64(content))


def length(value: int) -> bytes:
    """In the shortest form that Redis before 4 knew, or of 64 bits."""
    if value < 64:
        return bytes([value])
    if value < 16384:
        return bytes([0x40 | value >> 8, value & 0xFF])
    return b"\x80" + struct.pack(">I", value) if value < 1 << 32 else b"\x81" + struct.pack(">Q", value)


def string(text: bytes) -> bytes:
    """As it is, even if it is the text of an integer."""
    return length(len(text)) + text


def strings(texts: Iterable[bytes]) -> bytes:
    return b"".join(map(string, texts))


def text_double(number: float) -> bytes:
    """A score as Redis before 4 wrote it."""
    special = {float("inf"): b"\xfe", float("-inf"): b"\xff"}.get(number)
    text = b"%.17g" % number
    return special or bytes([len(text)]) + text


def binary_double(number: float) -> bytes:
    return struct.pack("<d", number)


def ziplist(elements: Sequence[bytes], long_steps: bool = False) -> bytes:
    """``long_steps``: five bytes for the size of every entry before, as it happens after long ones were removed."""
    body = b""
    before = last = 0
    for element in elements:
        last = len(body)
        step = bytes([before]) if before < 254 and not long_steps else b"\xfe" + struct.pack("<I", before)
        entry = step + ziplist_data(element)
        body += entry
        before = len(entry)
    count = min(len(elements), 65535)
    return struct.pack("<IIH", 11 + len(body), 10 + last, count) + body + b"\xff"


def ziplist_data(element: bytes) -> bytes:
    number = parse_integer(element)
    if number is not None and 0 <= number <= 12:
        return bytes([0xF1 + number])
    if number is not None:
        for size, head in ZIPLIST_INTEGERS:
            if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
                return bytes([head]) + number.to_bytes(size, "little", signed=True)
    if len(element) < 64:
        return bytes([len(element)]) + element
    if len(element) < 16384:
        return struct.pack(">H", 0x4000 | len(element)) + element
    return b"\x80" + struct.pack(">I", len(element)) + element


def zipmap(pairs: Sequence[tuple[bytes, bytes]], unused: int = 0) -> bytes:
    """``unused``: so many bytes are free behind each value."""
    body = b"".join(
        zipmap_size(field) + field + zipmap_size(value) + bytes([unused]) + value + b"?" * unused
        for field, value in pairs
    )
    return bytes([min(len(pairs), 254)]) + body + b"\xff"


def zipmap_size(text: bytes) -> bytes:
    return bytes([len(text)]) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text))


def intset(numbers: Sequence[int], width: int) -> bytes:
    code = {2: "h", 4: "i", 8: "q"}[width]
    return struct.pack(f"<II{len(numbers)}{code}", width, len(numbers), *numbers)
