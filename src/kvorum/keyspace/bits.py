"""Bits in strings: what the bitmap commands do to memory.

Bit 0 is the most significant bit of the first byte. Positions, first and last included, are those of bits; what lies
beyond the end of a string is zero. The compiled twin works on ``Span``s, eight bytes at a time, so that counting, searching
and combining run at the speed of memory; this one says what the results are. Functions whose name says ``text`` take
bytes in both twins.

A number of ``width`` bits (1 to 64 signed, 1 to 63 unsigned) may stand at any position; its most significant bit comes
first, negative numbers in two's complement.
"""

from __future__ import annotations

from kvorum.keyspace.table import Database

# What ``Bits.set`` adds to the bit that was there before if the string is another one now.
CHANGED = 2
AND, OR, XOR, NOT = 0, 1, 2, 3


class Bits:
    """The operations on one string, or on the string at a key; there is nothing to be made."""

    @staticmethod
    def size(text: bytes | None) -> int:
        """Its length in bytes; -1 if it is absent."""
        return -1 if text is None else len(text)

    @staticmethod
    def get(text: bytes | None, position: int) -> int:
        """The bit at a position; 0 in an absent string."""
        if text is None or position >> 3 >= len(text):
            return 0
        return text[position >> 3] >> (7 - (position & 7)) & 1

    @staticmethod
    def count(text: bytes | None, first: int, last: int) -> int:
        """How many bits from first to last are set. Both lie in the string, ``first <= last``."""
        return field_of(text or b"", first, last - first + 1).bit_count()

    @staticmethod
    def find(text: bytes | None, bit: bool, first: int, last: int) -> int:
        """Where the first bit from first to last stands that is as wanted; -1: nowhere. Both lie in the string,
        ``first <= last``."""
        digits = format(field_of(text or b"", first, last - first + 1), f"0{last - first + 1}b")
        found = digits.find("1" if bit else "0")
        return found if found < 0 else first + found

    @staticmethod
    def field(text: bytes | None, position: int, width: int, signed: bool) -> int:
        """The number at a position; 0 in an absent string."""
        number = field_of(text or b"", position, width)
        return number - (1 << width) if signed and number >> (width - 1) else number

    @staticmethod
    def set(database: Database, key: bytes, position: int, bit: bool) -> int:
        """Set a bit in the string at a key, which grows as needed: the bit before, plus ``CHANGED`` if the string has
        become another one."""
        before = _text_at(database, key)
        old = database.set_bit(key, position, bit)
        return old | (CHANGED if _text_at(database, key) != before else 0)

    @staticmethod
    def extend(database: Database, key: bytes, size: int) -> bool:
        """See to it that there is a string of at least ``size`` bytes, zeros at its end; whether that changed it."""
        before = _text_at(database, key)
        text = (before or b"").ljust(size, b"\0")
        database.set_range(key, 0, text)
        return before != text

    @staticmethod
    def stored_field(database: Database, key: bytes, position: int, width: int, signed: bool) -> int:
        """The number at a position of the string at a key; not a read, it was looked up already."""
        return Bits.field(_text_at(database, key), position, width, signed)

    @staticmethod
    def store_field(database: Database, key: bytes, position: int, width: int, number: int) -> None:
        """Write the lowest ``width`` bits of a number into the string at a key, which is long enough."""
        text = _text_at(database, key) or b""
        total = int.from_bytes(text, "big")
        shift = 8 * len(text) - position - width
        mask = (1 << width) - 1
        total = total & ~(mask << shift) | (number & mask) << shift
        database.set_range(key, 0, total.to_bytes(len(text), "big"))


class Combination:
    """AND, OR and XOR of strings, or NOT of one. Shorter ones count as filled up with zeros."""

    def __init__(self, operation: int) -> None:
        self.operation = operation
        self.begun = False
        self.result = bytearray()

    def add(self, text: bytes | None) -> None:
        """The next string; an absent one is empty."""
        fresh = bytes(text or b"")
        size = max(len(fresh), len(self.result))
        fresh, before = fresh.ljust(size, b"\0"), self.result.ljust(size, b"\0")
        if self.operation == NOT:
            self.result = bytearray(~octet & 255 for octet in fresh)
        elif self.operation == AND and self.begun:
            self.result = bytearray(one & other for one, other in zip(before, fresh, strict=True))
        elif self.operation == XOR:
            self.result = bytearray(one ^ other for one, other in zip(before, fresh, strict=True))
        else:
            self.result = bytearray(one | other for one, other in zip(before, fresh, strict=True))
        self.begun = True

    def store(self, database: Database, key: bytes) -> int:
        """Set the result, which is not empty, at a key as a string that was changed in place; its size."""
        database.set_string(key, bytes(self.result))
        return database.set_range(key, 0, bytes(self.result))


def field_of(text: bytes, position: int, width: int) -> int:
    """``width`` bits from a position on as a number; zeros beyond the end."""
    first, end = position >> 3, (position + width + 7) >> 3
    octets = text[first:end].ljust(end - first, b"\0")
    return int.from_bytes(octets, "big") >> (8 * end - position - width) & ((1 << width) - 1)


def _text_at(database: Database, key: bytes) -> bytes | None:
    """The string at a key without any side effect; None if there is no string."""
    value = database.peek(key)
    return value if isinstance(value, bytes) else None


def text_count(text: bytes, first: int, last: int) -> int:
    """``Bits.count``."""
    return Bits.count(text, first, last)


def text_find(text: bytes, bit: bool, first: int, last: int) -> int:
    """``Bits.find``."""
    return Bits.find(text, bit, first, last)


def text_field(text: bytes, position: int, width: int, signed: bool) -> int:
    """``Bits.field``."""
    return Bits.field(text, position, width, signed)


def text_combined(operation: int, texts: list[bytes]) -> bytes:
    """The result of a ``Combination``."""
    combination = Combination(operation)
    for text in texts:
        combination.add(text)
    return bytes(combination.result)
