"""DEBUG DIGEST: values that redis-server 7.0.15 gave."""

from __future__ import annotations

from kvorum.keyspace.table import Keyspace
from kvorum.keyspace.values import Value
from kvorum.observe.digest import Digest, digest_of_everything, digest_of_value

NOTHING = b"0" * 40


class Pair(Value):
    """A stored value of some other type: two parts whose order matters."""

    kind = b"list"

    def used_bytes(self) -> int:
        return 0

    def encoding(self) -> bytes:
        return b"listpack"

    def elements(self) -> int:
        return 2

    def copy(self) -> Pair:
        return self

    def add_to_digest(self, digest: Digest) -> None:
        digest.mix(b"a")
        digest.mix(b"b")


def test_strings() -> None:
    keyspace = Keyspace(16)
    assert digest_of_everything(keyspace).hexadecimal == NOTHING
    keyspace.databases[0].set_string(b"a", b"1")
    assert digest_of_everything(keyspace).hexadecimal == b"943d800368fb9c0e951138f1bc0e313ac769d91f"
    assert digest_of_value(keyspace.databases[0], b"a").hexadecimal == b"b4fc66738120fba0b5aa500ab5c2bf89cea1c5da"
    assert digest_of_value(keyspace.databases[0], b"b").hexadecimal == NOTHING


def test_what_it_depends_on() -> None:
    keyspace = Keyspace(16)
    database = keyspace.databases[0]
    seen = {digest_of_everything(keyspace).raw}
    for change in (
        lambda: database.set_string(b"a", b"1"),
        lambda: database.set_string(b"b", b"1"),
        lambda: database.set_string(b"b", b"2"),
        lambda: database.set_expire(b"b", 1 << 50),
        lambda: database.delete(b"a"),
        lambda: keyspace.swap(0, 1),
    ):
        change()
        seen.add(digest_of_everything(keyspace).raw)
    assert len(seen) == 7


def test_the_time_of_expiry_does_not_matter() -> None:
    database = Keyspace(1).databases[0]
    database.set_string(b"a", b"1", 1 << 50)
    before = digest_of_value(database, b"a").raw
    database.set_expire(b"a", 1 << 51)
    assert digest_of_value(database, b"a").raw == before


def test_other_types_add_themselves() -> None:
    database = Keyspace(1).databases[0]
    database.set_object(b"list", Pair())
    expected = Digest()
    for part in (b"\0\0\0\1", b"a", b"b"):
        expected.mix(part)
    assert digest_of_value(database, b"list").raw == expected.raw
