"""Listpacks: many small elements in one block of memory, in Redis' format.

Small lists, hashes, sets and sorted sets are listpacks, in memory as in dumps: a dump of a small value is a copy of its
block. The module has two sides. The compiled one gives C functions (``listpack.pxd``) to the types; what stands here is
what Python sees of both, used by codecs and tests.

The format, numbers little-endian where nothing else is said:

    total bytes     32 bits, header and end included
    count           16 bits; 65535: as many as there are, they must be counted
    entries
    end             0xFF

An entry is its head with the data, and then its own size without this trailer, written so that it can be read backwards:
seven bits a byte, the high ones first, bit 7 set in all but the first. The heads:

    0xxxxxxx                    the integer 0 .. 127
    10xxxxxx                    a string of x bytes
    110xxxxx yyyyyyyy           a signed integer of 13 bits, the high ones first
    1110xxxx yyyyyyyy           a string of 12 bits of size, the high ones first
    11110000 + 4 bytes          a string of so many bytes
    11110001 + 2 bytes          a signed integer; 0xF2, 0xF3 and 0xF4 have 3, 4 and 8 bytes

A string that is the canonical text of a 64-bit integer is always kept as the integer; the shortest head is always taken.

Invariants: nothing is read of bytes that came from outside before ``validate(blob, deep=True)`` has accepted them: it
trusts no length, and a listpack that it accepts can be walked in both directions within its bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvorum.resp.numbers import parse_integer
from kvorum.resp.writer import Writer

HEADER = 6
END = 0xFF
MANY = 0xFFFF
LIMIT = 1 << 30

# Bytes of the integers with a head byte of their own.
INTEGER_BYTES = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}


def pack(items: Iterable[bytes]) -> bytes:
    """The listpack of these elements."""
    entries = [encode(item) for item in items]
    body = b"".join(entries)
    size = HEADER + len(body) + 1
    return size.to_bytes(4, "little") + min(len(entries), MANY).to_bytes(2, "little") + body + bytes([END])


def unpack(blob: bytes) -> list[bytes]:
    """The elements of a listpack, integers as their text; ValueError if it is not one."""
    if not validate(blob):
        raise ValueError("this is no listpack")
    found = []
    position = HEADER
    while blob[position] != END:
        item, size = decode(blob, position)
        found.append(item)
        position += size + len(trailer(size))
    return found


def validate(blob: bytes, deep: bool = True) -> bool:
    """Whether these bytes are a listpack. Without ``deep`` only its frame is looked at, which makes nothing safe."""
    if not HEADER < len(blob) <= LIMIT or int.from_bytes(blob[:4], "little") != len(blob) or blob[-1] != END:
        return False
    if not deep:
        return True
    position = HEADER
    last = len(blob) - 1
    count = 0
    while position < last:
        size = claimed_size(blob[position:last])
        end = position + size
        if size == 0 or blob[end : min(last, end + 5)][: len(trailer(size))] != trailer(size):
            return False
        position = end + len(trailer(size))
        count += 1
    return int.from_bytes(blob[4:6], "little") in (MANY, count)


def encode(item: bytes) -> bytes:
    """The entry of an element."""
    number = parse_integer(item)
    entry = string_head(len(item)) + item if number is None else encode_integer(number)
    return entry + trailer(len(entry))


def encode_integer(number: int) -> bytes:
    """An integer without its trailer."""
    if 0 <= number <= 127:
        return bytes([number])
    if -4096 <= number < 4096:
        return (0xC000 | (number & 0x1FFF)).to_bytes(2, "big")
    for head, size in INTEGER_BYTES.items():
        if -(1 << size * 8 - 1) <= number < 1 << size * 8 - 1:
            return bytes([head]) + number.to_bytes(size, "little", signed=True)
    raise OverflowError("an integer of more than 64 bits")


def string_head(size: int) -> bytes:
    """What stands before a string of so many bytes."""
    if size < 64:
        return bytes([0x80 | size])
    if size < 4096:
        return (0xE000 | size).to_bytes(2, "big")
    return b"\xf0" + size.to_bytes(4, "little")


def trailer(size: int) -> bytes:
    """The size of an entry, to be read backwards. The limits from two bytes on are Redis', one lower than they need be."""
    count = next((count for count, limit in ((1, 128), (2, 16383), (3, 2097151), (4, 268435455)) if size < limit), 5)
    groups = [size >> 7 * i & 0x7F for i in reversed(range(count))]
    return bytes([groups[0], *(0x80 | group for group in groups[1:])])


def claimed_size(rest: bytes) -> int:
    """The size of the entry that ``rest`` begins with, as it claims to be; 0: that is no head."""
    head = rest[0]
    if head < 0x80:
        return 1
    if head < 0xC0:
        return 1 + (head & 0x3F)
    if head < 0xE0:
        return 2
    if head < 0xF0:
        return 2 + (int.from_bytes(rest[:2], "big") & 0xFFF) if len(rest) >= 2 else 0
    if head == 0xF0:
        return 5 + int.from_bytes(rest[1:5], "little") if len(rest) >= 5 else 0
    return 1 + INTEGER_BYTES[head] if head in INTEGER_BYTES else 0


def decode(blob: bytes, position: int) -> tuple[bytes, int]:
    """The element of a valid listpack at this position, and the size of its entry without the trailer."""
    head = blob[position]
    size = claimed_size(blob[position:])
    data = blob[position : position + size]
    if head < 0x80:
        return b"%d" % head, size
    if head < 0xC0:
        return data[1:], size
    if head < 0xE0:
        number = int.from_bytes(data, "big") & 0x1FFF
        return b"%d" % (number - 8192 if number >= 4096 else number), size
    if head < 0xF0:
        return data[2:], size
    if head == 0xF0:
        return data[5:], size
    return b"%d" % int.from_bytes(data[1:], "little", signed=True), size


class Listpack:
    """A listpack that can be changed. Negative indices count from the end; one that does not exist is an IndexError."""

    def __init__(self, items: Iterable[bytes] = ()) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __bytes__(self) -> bytes:
        return pack(self.items)

    def __getitem__(self, index: int) -> bytes:
        return self.items[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(list(self.items))

    def __reversed__(self) -> Iterator[bytes]:
        return iter(self.items[::-1])

    def append(self, item: bytes) -> None:
        self.items.append(item)

    def append_integer(self, number: int) -> None:
        self.items.append(b"%d" % number)

    def append_pair(self, first: bytes, second: bytes) -> None:
        self.items += [first, second]

    def prepend(self, item: bytes) -> None:
        self.items.insert(0, item)

    def prepend_integer(self, number: int) -> None:
        self.items.insert(0, b"%d" % number)

    def insert(self, index: int, item: bytes, after: bool = False) -> int:
        """Before (or after) the element at an index; returns the offset of the new one in the block."""
        position = self.position(index) + after
        self.items.insert(position, item)
        return self.offset(position)

    def replace(self, index: int, item: bytes) -> int:
        """Returns the offset of the element in the block."""
        position = self.position(index)
        self.items[position] = item
        return self.offset(position)

    def replace_integer(self, index: int, number: int) -> int:
        return self.replace(index, b"%d" % number)

    def delete(self, index: int, count: int = 1) -> int | None:
        """Up to so many elements; returns the offset of what came after them, None: nothing."""
        position = self.position(index)
        del self.items[position : position + count]
        return self.offset(position) if position < len(self.items) else None

    def delete_range(self, index: int, count: int) -> None:
        """As ``delete``, but an index that does not exist deletes nothing."""
        if -len(self.items) <= index < len(self.items):
            self.delete(index, count)

    def merge(self, other: Listpack) -> None:
        """Append the elements of another one."""
        if other is self:
            raise ValueError("a listpack cannot be merged with itself")
        self.items += other.items

    def find(self, item: bytes, start: int = 0, skip: int = 0) -> int | None:
        """Index of an element from ``start`` on, skipping so many elements after each one that is not it."""
        if not -len(self.items) <= start < len(self.items):
            return None
        indices = range(self.position(start), len(self.items), skip + 1)
        return next((index for index in indices if self.items[index] == item), None)

    def equals(self, index: int, item: bytes) -> bool:
        return self.items[index] == item

    def copy(self) -> Listpack:
        return Listpack(self.items)

    def write(self, writer: Writer, start: int = 0, count: int = 0xFFFFFFFF, skip: int = 0) -> None:
        """Elements from an index on as bulk strings, skipping so many after each one."""
        if -len(self.items) <= start < len(self.items):
            for item in self.items[self.position(start) :: skip + 1][:count]:
                writer.string(item)

    def allocated(self) -> int:
        """What the block costs in memory."""
        return len(bytes(self))

    def position(self, index: int) -> int:
        return range(len(self.items))[index]

    def offset(self, position: int) -> int:
        return HEADER + sum(len(encode(item)) for item in self.items[:position])
