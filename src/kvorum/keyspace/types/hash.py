"""Hashes: fields with values under one key.

A hash is kept as a *listpack* (field, value, field, value, …) as long as it has at most ``hash_max_entries`` fields and no
field or value of more than ``hash_max_value`` bytes; then it becomes a *table* and stays one. OBJECT ENCODING calls them
``listpack`` and ``hashtable``. When exactly the form changes is Redis' rule: a text that is too long converts the hash even
where it only replaces another one, and ``fit`` converts it for texts that are about to be written.

Methods over Spans (``write_field``, ``remove_field``, ``has_field``, ``field_size``, ``read_field``, ``increment_field``,
``fit``) serve hot commands and take bytes in this twin; ``set``, ``delete``, ``get``, ``exists``, ``increment`` are the
same for callers that have bytes objects.

A scan has the guarantee of Redis' SCAN family: what is in the hash from the first call to the last is shown at least once.
A cursor says how far the walk has come in the order of the fields' hashes, which depends on nothing that a change of the
hash changes. A listpack is shown in one piece, whatever the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.hashing import key_hash
from kvorum.keyspace.types import listpack
from kvorum.keyspace.values import Value
from kvorum.resp.numbers import parse_integer
from kvorum.resp.writer import Writer

if TYPE_CHECKING:
    from kvorum.observe.digest import Digest

CURSOR_SHIFT = 11
OBJECT_BYTES = 64
FIELD_BYTES = 32


class Hash(Value):
    """The value of a key of type hash. Commands remove the key when its last field has gone; an empty one may exist."""

    kind = b"hash"

    def __init__(self, commons: Commons) -> None:
        super().__init__()
        self.commons = commons
        self.fields: dict[bytes, bytes] = {}
        self.is_table = False

    def __len__(self) -> int:
        """How many fields it has."""
        return len(self.fields)

    def used_bytes(self) -> int:
        return OBJECT_BYTES + sum(FIELD_BYTES + len(field) + len(value) for field, value in self.fields.items())

    def encoding(self) -> bytes:
        return b"hashtable" if self.is_table else b"listpack"

    def elements(self) -> int:
        return len(self.fields) if self.is_table else 1

    def copy(self) -> Hash:
        copied = Hash(self.commons)
        copied.fields = dict(self.fields)
        copied.is_table = self.is_table
        return copied

    def release_some(self, budget: int) -> int:
        """Let go of about so many fields of a table that nobody uses any more; how many, 0: there were none left."""
        freed = list(self.fields)[:budget] if self.is_table else []
        for field in freed:
            del self.fields[field]
        return len(freed)

    def add_to_digest(self, digest: Digest) -> None:
        for field, value in self.fields.items():
            part = type(digest)()
            part.mix(field)
            part.mix(value)
            digest.add(part.raw)

    # One field

    def write_field(self, field: bytes, value: bytes) -> int:
        """Give a field a value; 1 if the field is new, else 0."""
        self.fit(field)
        self.fit(value)
        is_new = field not in self.fields
        self.fields[field] = value
        if len(self.fields) > self.commons.hash_max_entries:
            self.is_table = True
        return int(is_new)

    def fit(self, text: bytes) -> None:
        """Make the hash such that this field or value may be written: a table if it is too long for a listpack."""
        if len(text) > self.commons.hash_max_value:
            self.is_table = True

    def remove_field(self, field: bytes) -> bool:
        """Whether it was there."""
        return self.fields.pop(field, None) is not None

    def has_field(self, field: bytes) -> bool:
        return field in self.fields

    def field_size(self, field: bytes) -> int:
        """Length of a field's value; 0 if there is no such field."""
        return len(self.fields.get(field, b""))

    def read_field(self, writer: Writer, field: bytes) -> None:
        """Write a field's value, or null."""
        writer.string(self.fields.get(field))

    def increment_field(self, field: bytes, delta: int) -> int:
        """Add to the integer in a field, 0 if there is none; CommandError if it is no integer or the sum is too big."""
        number = parse_integer(self.fields.get(field, b"0"))
        if number is None:
            raise CommandError(errors.HASH_VALUE_NOT_AN_INTEGER)
        number += delta
        if not -(1 << 63) <= number < 1 << 63:
            raise CommandError(errors.INCREMENT_OVERFLOW)
        self.write_field(field, b"%d" % number)
        return number

    def get(self, field: bytes) -> bytes | None:
        return self.fields.get(field)

    def set(self, field: bytes, value: bytes) -> bool:
        """Whether the field is new."""
        return self.write_field(field, value) == 1

    def delete(self, field: bytes) -> bool:
        """Whether it was there."""
        return self.remove_field(field)

    def exists(self, field: bytes) -> bool:
        return self.has_field(field)

    def increment(self, field: bytes, delta: int) -> int:
        return self.increment_field(field, delta)

    # The whole

    def write_all(self, writer: Writer, fields: bool, values: bool) -> None:
        """Write all fields, all values or both in turn, without the reply's head."""
        for field, value in self.fields.items():
            if fields:
                writer.string(field)
            if values:
                writer.string(value)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All fields with their values; a few at a time, with the guarantee of a scan if the hash is changed meanwhile."""
        return iter(list(self.fields.items()))

    def scan(self, cursor: int, count: int = 10) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Some fields (about ``count``) from a cursor on, and the next cursor, 0: that was all."""
        if not self.is_table:
            return 0, list(self.fields.items())
        places = sorted((key_hash(field, self.commons.hash_seed) >> CURSOR_SHIFT, field) for field in self.fields)
        rest = [(place, field) for place, field in places if place >= cursor]
        end = next((place for place, _ in rest[count:] if place > rest[count - 1][0]), 0)
        return end, [(field, self.fields[field]) for place, field in rest if not end or place < end]

    def random_item(self) -> tuple[bytes, bytes]:
        """A random field with its value; the hash must not be empty."""
        if not self.fields:
            raise KeyError("an empty hash")
        return list(self.fields.items())[self.commons.random_below(len(self.fields))]

    def sample(self, count: int) -> list[tuple[bytes, bytes]]:
        """So many different fields (all, if there are no more) with their values, every choice with the same chance."""
        left = list(self.fields.items())
        if count >= len(left):
            return left
        return [left.pop(self.commons.random_below(len(left))) for _ in range(count)]

    def packed(self) -> bytes | None:
        """The listpack; None: it is a table."""
        if self.is_table:
            return None
        return listpack.pack([text for item in self.fields.items() for text in item])

    @classmethod
    def from_packed(cls, commons: Commons, blob: bytes) -> Hash:
        """A hash from a validated listpack, which has to have a value for each field (else ValueError)."""
        texts = listpack.unpack(blob)
        if len(texts) % 2:
            raise ValueError("a field without a value")
        made = cls(commons)
        made.fields = dict(zip(texts[::2], texts[1::2], strict=True))
        made.is_table = len(made.fields) > commons.hash_max_entries
        return made
