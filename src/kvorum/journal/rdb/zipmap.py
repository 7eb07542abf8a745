"""Zipmaps, which Redis before 2.6 kept small hashes in; its files may still hold some.

    count       a byte; 254: as many as there are
    pairs       field: size and bytes; value: size, one byte with the number of unused bytes, bytes, the unused bytes
    end         0xFF

A size is a byte up to 253, or 254 and 32 bits, little-endian. They are only ever read, all at once.
"""

from __future__ import annotations

from kvorum.journal.rdb import RdbError

END = 0xFF
BIG = 254


def zipmap_elements(blob: bytes) -> list[bytes]:
    """Fields and values, one after the other; there is at least one pair."""
    last = len(blob) - 1
    if last < 1 or blob[last] != END:
        raise RdbError("a zipmap whose frame is broken")
    found = []
    position = 1
    while position < last:
        position, size = after_size(blob, position)
        found.append(blob[position : position + size])
        position, size = after_size(blob, position + size)
        unused = blob[position] if position < last else 0
        found.append(blob[position + 1 : position + 1 + size])
        position += 1 + size + unused
    if position != last or not found or blob[0] not in (BIG, len(found) // 2):
        raise RdbError("a zipmap whose pairs are broken")
    return found


def after_size(blob: bytes, position: int) -> tuple[int, int]:
    """What follows a size, and the size; past the end it is 0."""
    first = blob[position] if position < len(blob) - 1 else 0
    if first < BIG:
        return position + 1, first
    return position + 5, int.from_bytes(blob[position + 1 : position + 5], "little")
