"""Ziplists, which Redis before 7 kept small collections in, and the nodes of its lists.

Numbers are little-endian where nothing else is said:

    total bytes     32 bits, header and end included
    last entry      32 bits, where it begins
    count           16 bits; 65535: as many as there are
    entries
    end             0xFF

An entry is the size of the one before it (a byte up to 253, or 254 and 32 bits), a head, and the data. The heads:

    00LLLLLL                        a string of L bytes
    01LLLLLL LLLLLLLL               of 14 bits, the high ones first
    10000000 + 4 bytes              of 32 bits, the high ones first
    11000000, 11010000, 11100000    an integer of 2, 4 or 8 bytes
    11110000, 11111110              an integer of 3 bytes or 1 byte
    1111VVVV                        the integer V - 1, V from 1 to 13

They are only ever read, all at once. Everything is checked on the way, as in Redis: sizes against what is left, the way
back against the way there, the header against what was found.
"""

from __future__ import annotations

from kvorum.journal.rdb import RdbError

HEADER = 10
END = 0xFF
BIG = 254
MANY = 0xFFFF
INTEGER_BYTES = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}
FIRST_SMALL, LAST_SMALL = 0xF1, 0xFD
STRING_32 = 0x80


def ziplist_elements(blob: bytes) -> list[bytes]:
    """The elements, integers as their text."""
    last = len(blob) - 1
    if len(blob) <= HEADER or int.from_bytes(blob[:4], "little") != len(blob) or blob[last] != END:
        raise RdbError("a ziplist whose frame is broken")
    found = []
    position = HEADER
    begin = before = 0  # where the entry before begins, and its size
    while position < last:
        begin = position
        if blob[position] < BIG:
            said = blob[position]
            position += 1
        else:
            said = int.from_bytes(blob[position + 1 : position + 5], "little")
            position += 5
        if said != before or position >= last or blob[begin] == END:
            raise RdbError("a ziplist whose entries are broken")
        head = blob[position]
        position, size = after_head(blob, position, head)
        if size > last - position:
            raise RdbError("a ziplist with an entry beyond its end")
        found.append(element(head, blob[position : position + size]))
        position += size
        before = position - begin
    check_header(blob, begin, len(found))
    return found


def after_head(blob: bytes, position: int, head: int) -> tuple[int, int]:
    """Where the data of an entry begins, and how long it is."""
    if head < 0x40:
        return position + 1, head & 0x3F
    if head < 0x80:
        return position + 2, (head & 0x3F) << 8 | blob[position + 1]
    if head < 0xC0:
        return position + 5, int.from_bytes(blob[position + 1 : position + 5], "big")
    if FIRST_SMALL <= head <= LAST_SMALL:
        return position + 1, 0
    size = INTEGER_BYTES.get(head)
    if size is None:
        raise RdbError("a ziplist with an entry of an unknown kind")
    return position + 1, size


def element(head: int, data: bytes) -> bytes:
    """The string that an entry means."""
    if head < 0xC0:
        return data
    if FIRST_SMALL <= head <= LAST_SMALL:
        return b"%d" % (head - FIRST_SMALL)
    return b"%d" % int.from_bytes(data, "little", signed=True)


def check_header(blob: bytes, last_begin: int, count: int) -> None:
    """What the header says of the entries."""
    said_last, said_count = int.from_bytes(blob[4:8], "little"), int.from_bytes(blob[8:10], "little")
    if said_last >= len(blob) or (count and said_last != last_begin) or said_count not in (MANY, count):
        raise RdbError("a ziplist whose header is broken")
