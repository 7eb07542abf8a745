"""LZF, the compression of strings in RDB: literals and references to what was seen up to 8,192 bytes before.

The format, one control byte at a time:

    000LLLLL                    L + 1 bytes follow as they are
    LLLddddd dddddddd           L + 2 bytes (L from 1 to 6) are those that stand d + 1 bytes before
    111ddddd LLLLLLLL dddddddd  L + 9 bytes are those that stand d + 1 bytes before

A reference may overlap what it makes. It is worth compressing only what becomes at least four bytes shorter.

What is decompressed comes from anybody. The size is given beside the compressed bytes and must be met exactly; three
bytes make 264 at most, so that a size beyond that is refused before memory is taken for it.

Rejected: the package python-lzf. It is a thin wrapper around liblzf whose last releases are years apart and bring no
wheels for current versions of Python, the twin would be needed all the same, and loading a file would pay a bytes
object for each string.
"""

from __future__ import annotations

from kvorum.journal.rdb import RdbError

_LONGEST_RUN = 32
_LONGEST_MATCH = 264
_FARTHEST = 8192
_SHORTEST_MATCH = 3
_LEAST_BITS = 6
_MOST_BITS = 15
_EXPANSION = 88
_SAVED_AT_LEAST = 4


def compress(data: bytes) -> bytes | None:
    """The compressed form, or None if that is not at least four bytes shorter."""
    size = len(data)
    bits = _LEAST_BITS
    while bits < _MOST_BITS and 1 << bits < size:
        bits += 1
    last_seen: dict[int, int] = {}
    out = bytearray()
    position = pending = 0
    while position + _SHORTEST_MATCH <= size:
        slot = _hash(data, position, bits)
        before = last_seen.get(slot, -1)
        last_seen[slot] = position
        length = _match(data, before, position)
        if length < _SHORTEST_MATCH:
            position += 1
            continue
        _append_literals(out, data[pending:position])
        _append_reference(out, length, position - before - 1)
        pending = position + length
        for passed in range(position + 1, min(pending, size - _SHORTEST_MATCH + 1)):
            last_seen[_hash(data, passed, bits)] = passed
        position = pending
    _append_literals(out, data[pending:])
    return bytes(out) if out and len(out) <= size - _SAVED_AT_LEAST else None


def _hash(data: bytes, position: int, bits: int) -> int:
    word = int.from_bytes(data[position : position + 3], "big")
    return (word * 2654435761 & 0xFFFFFFFF) >> (32 - bits)


def _match(data: bytes, before: int, position: int) -> int:
    """How many bytes at ``position`` are those at ``before``; 0 if that is too far away or nowhere."""
    if before < 0 or position - before > _FARTHEST:
        return 0
    limit = min(len(data) - position, _LONGEST_MATCH)
    length = 0
    while length < limit and data[before + length] == data[position + length]:
        length += 1
    return length


def _append_literals(out: bytearray, literals: bytes) -> None:
    for start in range(0, len(literals), _LONGEST_RUN):
        run = literals[start : start + _LONGEST_RUN]
        out.append(len(run) - 1)
        out += run


def _append_reference(out: bytearray, length: int, distance: int) -> None:
    if length <= 8:
        out.append((length - 2) << 5 | distance >> 8)
    else:
        out.append(7 << 5 | distance >> 8)
        out.append(length - 9)
    out.append(distance & 0xFF)


def decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes that were compressed."""
    if not data or size > len(data) * _EXPANSION:
        raise RdbError(f"compressed: {len(data)} bytes cannot become {size}")
    out = bytearray()
    position = 0
    try:
        while position < len(data):
            control = data[position]
            position += 1
            if control < _LONGEST_RUN:
                run = data[position : position + control + 1]
                whole = len(run) == control + 1
                out += run
                position += control + 1
            else:
                length = control >> 5
                if length == 7:
                    length += data[position]
                    position += 1
                distance = ((control & 0x1F) << 8 | data[position]) + 1
                position += 1
                whole = _append_copy(out, distance, length + 2)
            if not whole or len(out) > size:
                break
        else:
            if len(out) == size:
                return bytes(out)
    except IndexError:
        pass  # it ends within a reference
    raise RdbError(f"compressed: {len(data)} bytes do not become {size}")


def _append_copy(out: bytearray, distance: int, count: int) -> bool:
    """Again what stands ``distance`` bytes before; whether there is something."""
    start = len(out) - distance
    if start < 0:
        return False
    seen = bytes(out[start:])
    out += (seen * (count // len(seen) + 1))[:count]
    return True
