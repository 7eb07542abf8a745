"""DEBUG DIGEST: a fingerprint of the data set that is Redis' own, so that two servers can be compared.

20 bytes. Parts whose order matters are *mixed* in (digest = SHA1(digest xor SHA1(part))), parts whose order does not
matter are *added* (digest xor SHA1(part)). A key's fingerprint mixes the key, the number of its type and the value, and
adds a mark if it expires; the data set's adds up those of its keys, and mixes in the number of each database that has
any.

A value that is no string contributes by its method ``add_to_digest(digest)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha1
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from kvorum.keyspace.table import Database, Keyspace


@runtime_checkable
class Digestible(Protocol):
    """A value that is not a string."""

    @property
    def kind(self) -> bytes: ...

    def add_to_digest(self, digest: Digest) -> None:
        """Mix or add what the value consists of, as Redis does for its type."""


SIZE = 20
KEYS_PER_STEP = 1000
EXPIRES = b"!!expire!!"
TYPE_NUMBERS = {b"string": 0, b"list": 1, b"set": 2, b"zset": 3, b"hash": 4, b"module": 5, b"stream": 6}


class Digest:
    """A fingerprint in the making."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0

    def add(self, part: bytes) -> None:
        """Take in a part whose place among others does not matter."""
        self._value ^= int.from_bytes(sha1(part, usedforsecurity=False).digest(), "big")

    def mix(self, part: bytes) -> None:
        """Take in a part that comes after those before it."""
        self.add(part)
        self._value = int.from_bytes(sha1(self.raw, usedforsecurity=False).digest(), "big")

    @property
    def raw(self) -> bytes:
        return self._value.to_bytes(SIZE, "big")

    @property
    def hexadecimal(self) -> bytes:
        return self.raw.hex().encode()


def digest_of_value(database: Database, key: bytes) -> Digest:
    """Fingerprint of a value without its key; of zeros if there is none."""
    digest = Digest()
    _take_value(digest, database, key)
    return digest


def digest_of_everything(keyspace: Keyspace) -> Digest:
    """Fingerprint of all databases."""
    whole = Digest()
    for database in keyspace.databases:
        if len(database):
            whole.mix(database.index.to_bytes(4, "big"))
        for key in _keys(database):
            digest = Digest()
            digest.mix(key)
            _take_value(digest, database, key)
            whole.add(digest.raw)
    return whole


def _keys(database: Database) -> Iterator[bytes]:
    for keys in database.key_steps(KEYS_PER_STEP):
        yield from keys


def _take_value(digest: Digest, database: Database, key: bytes) -> None:
    value = database.peek(key)
    if value is None:
        return
    if isinstance(value, bytes):
        digest.mix(_type_number(b"string"))
        digest.mix(value)
    else:
        assert isinstance(value, Digestible), value.kind
        digest.mix(_type_number(value.kind))
        value.add_to_digest(digest)
    if database.expire_at(key) >= 0:
        digest.add(EXPIRES)


def _type_number(kind: bytes) -> bytes:
    return TYPE_NUMBERS[kind].to_bytes(4, "big")
