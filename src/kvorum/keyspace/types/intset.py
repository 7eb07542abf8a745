"""Sets of integers in one block of bytes, in Redis' format, so that DUMP and RDB files copy them as they are.

    width       4 bytes: 2, 4 or 8, the bytes of each number
    count       4 bytes
    numbers     ascending, none twice

All little-endian and signed. The width is that of the widest number that was ever added: it does not shrink when that
one goes. Looking up is a search by halves; adding and removing move what comes after.

Here are the doors for Python: blobs whole. Sets that are changed in place are ``set.Set``'s, through ``intset.pxd``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

HEADER = struct.Struct("<II")
CODES = {2: "h", 4: "i", 8: "q"}


def _width_of(number: int) -> int:
    """The bytes that a number needs."""
    if not -(1 << 31) <= number < 1 << 31:
        return 8
    return 2 if -(1 << 15) <= number < 1 << 15 else 4


def is_intset(blob: bytes, deep: bool = True) -> bool:
    """Whether a blob from anywhere is one, and not empty. Not deep: only whether reading it stays within its bounds."""
    if len(blob) < HEADER.size:
        return False
    width, count = HEADER.unpack_from(blob)
    if width not in CODES or count == 0 or len(blob) != HEADER.size + width * count:
        return False
    numbers = unpack_intset(blob) if deep else []
    return numbers == sorted(set(numbers))


def unpack_intset(blob: bytes) -> list[int]:
    """The numbers of a blob; ``ValueError`` if it is none."""
    if not is_intset(blob, deep=False):
        raise ValueError("not an intset")
    width, count = HEADER.unpack_from(blob)
    return list(struct.unpack_from(f"<{count}{CODES[width]}", blob, HEADER.size))


def pack_intset(numbers: Iterable[int], width: int = 2) -> bytes:
    """The blob of one or more 64-bit numbers, in any order; each at least ``width`` bytes wide."""
    ordered = sorted(set(numbers))
    if not ordered:
        raise ValueError("an intset has at least one number")
    if width not in CODES:
        raise ValueError("numbers are 2, 4 or 8 bytes wide")
    width = max(width, _width_of(ordered[0]), _width_of(ordered[-1]))
    return HEADER.pack(width, len(ordered)) + struct.pack(f"<{len(ordered)}{CODES[width]}", *ordered)
