"""Values: how strings are kept, whose references the table holds, how big ones are freed."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable

import pytest

from kvorum.errors import CommandError, WrongTypeError
from kvorum.keyspace.table import Database, Keyspace
from kvorum.keyspace.values import Value
from tests.keyspace.tables import TWINS, Box, new_keyspace, only_compiled

BIG = 5000


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (b"0", b"int"),
        (b"-1", b"int"),
        (b"9223372036854775807", b"int"),
        (b"-9223372036854775808", b"int"),
        (b"9223372036854775808", b"embstr"),
        (b"-9223372036854775809", b"embstr"),
        (b"-0", b"embstr"),
        (b"01", b"embstr"),
        (b"+1", b"embstr"),
        (b"1 ", b"embstr"),
        (b"", b"embstr"),
        (b"x" * 44, b"embstr"),
        (b"x" * 45, b"raw"),
        (b"x" * BIG, b"raw"),
    ],
)
def test_encodings_are_those_of_redis(database: Database, text: bytes, encoding: bytes) -> None:
    database.set_string(b"key", text)
    assert database.encoding(b"key") == encoding
    assert database.get(b"key") == text
    database.append(b"key", b"")
    assert database.encoding(b"key") == b"raw"
    assert database.get(b"key") == text


def test_a_changed_string_can_be_an_integer_again(database: Database) -> None:
    database.set_string(b"key", b"1")
    database.append(b"key", b"0")
    assert database.increment(b"key", 5) == 15
    assert database.encoding(b"key") == b"int"


@pytest.mark.parametrize("size", [10, 1000, BIG])
def test_in_place_changes_keep_the_rest(database: Database, size: int) -> None:
    database.set_string(b"key", b"a" * size, expire_ms=database.keyspace.now_ms + 100)
    assert database.set_range(b"key", 3, b"XYZ") == size
    assert database.set_range(b"key", size + 5, b"!") == size + 6
    assert database.append(b"key", b"end") == size + 9
    assert database.get(b"key") == b"aaaXYZ" + b"a" * (size - 6) + b"\0" * 5 + b"!end"
    assert database.expire_at(b"key") == database.keyspace.now_ms + 100


def test_a_string_has_a_limit(keyspace: Keyspace) -> None:
    keyspace.max_string_bytes = 2000
    database = keyspace.databases[0]
    database.set_string(b"key", b"a" * 1990)
    changes: list[Callable[[], object]] = [
        lambda: database.append(b"key", b"b" * 11),
        lambda: database.append(b"new", b"b" * 2001),
        lambda: database.set_range(b"key", 1999, b"cc"),
        lambda: database.set_range(b"new", 2000, b"c"),
        lambda: database.set_bit(b"new", 16_000, True),
    ]
    for change in changes:
        with pytest.raises(CommandError, match="exceeds maximum allowed size"):
            change()
    assert database.get(b"key") == b"a" * 1990
    assert not database.exists(b"new")
    assert database.append(b"key", b"b" * 10) == 2000


def test_string_commands_refuse_other_types(database: Database) -> None:
    database.set_object(b"box", Box([]))
    uses: list[Callable[[bytes], object]] = [
        database.get_string,
        database.string_length,
        lambda key: database.get_range(key, 0, 1),
        lambda key: database.set_range(key, 0, b"x"),
        lambda key: database.append(key, b"x"),
        lambda key: database.increment(key, 1),
        lambda key: database.set_bit(key, 1, True),
    ]
    for use in uses:
        with pytest.raises(WrongTypeError):
            use(b"box")
    database.set_string(b"string", b"value")
    with pytest.raises(WrongTypeError):
        database.get_object(b"string")
    assert isinstance(database.get_object(b"box"), Value)


def test_big_strings_are_kept_without_a_copy() -> None:
    database = new_keyspace("compiled").databases[0]
    text = b"x" * BIG
    before = sys.getrefcount(text)
    database.set_string(b"key", text)
    assert database.get(b"key") is text
    assert sys.getrefcount(text) == before + 1
    database.copy(b"key", database, b"copy")
    assert sys.getrefcount(text) == before + 2
    database.rename(b"copy", b"renamed")
    database.move(b"renamed", database.keyspace.databases[1])
    assert sys.getrefcount(text) == before + 2
    database.keyspace.databases[1].flush()
    database.set_string(b"key", b"short")
    assert sys.getrefcount(text) == before


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    "ending",
    [
        "delete",
        "unlink",
        "overwrite",
        "expire",
        "evict",
        "flush",
        "flush later",
        "rename over",
        "copy over",
        "drop all",
    ],
)
def test_the_reference_to_a_value_is_given_up(twin: str, ending: str) -> None:
    keyspace = new_keyspace(twin)
    database = keyspace.databases[0]
    box = Box([b"item"] * 100)
    watch = weakref.ref(box)
    database.set_object(b"key", box, expire_ms=keyspace.now_ms + 5)
    database.set_string(b"other", b"value")
    del box
    assert watch() is not None
    if ending == "delete":
        database.delete(b"key")
    elif ending == "unlink":
        database.unlink(b"key")
        assert watch() is not None
        assert keyspace.pending_frees == 1
        while keyspace.free_some(10):
            pass
    elif ending == "overwrite":
        database.set_string(b"key", b"string")
    elif ending == "expire":
        keyspace.now_ms += 6
        assert database.get(b"key") is None
    elif ending == "evict":
        database.evict(b"key")
    elif ending == "flush":
        database.flush()
    elif ending == "flush later":
        database.flush(asynchronous=True)
        assert watch() is not None
        while keyspace.free_some(10):
            pass
    elif ending == "rename over":
        database.rename(b"other", b"key")
    elif ending == "copy over":
        database.copy(b"other", database, b"key", replace=True)
    else:
        del keyspace, database
        gc.collect()
    assert watch() is None


@only_compiled
def test_the_collector_does_not_see_the_entries() -> None:
    database = new_keyspace("compiled").databases[0]
    gc.collect()
    before = len(gc.get_objects())
    for number in range(5000):
        database.set_string(b"key%d" % number, b"v" * 2000)
    assert len(gc.get_objects()) - before < 100


class Sack(Box):
    """A value that lets go of its items in steps."""

    def copy(self) -> Sack:
        return Sack(list(self.items))

    def release_some(self, budget: int) -> int:
        gone = min(budget, len(self.items))
        del self.items[:gone]
        return gone


def test_a_big_value_is_freed_in_steps(keyspace: Keyspace) -> None:
    sack = Sack([b"item"] * 1000)
    keyspace.databases[0].set_object(b"key", sack)
    keyspace.databases[0].unlink(b"key")
    assert keyspace.free_some(300) == 300
    assert len(sack.items) == 700
    while keyspace.free_some(300):
        pass
    assert sack.items == []
    assert keyspace.pending_frees == 0


def test_a_value_is_measured_when_it_says_so(database: Database) -> None:
    box = Box([])
    database.set_object(b"key", box)
    before = database.used_bytes
    box.items.append(b"x" * 1000)
    assert database.used_bytes == before
    database.remeasure(box)
    assert database.used_bytes == before + 1000


def test_a_copy_is_independent(database: Database) -> None:
    box = Box([b"one"])
    database.set_object(b"key", box, expire_ms=database.keyspace.now_ms + 100)
    database.set_string(b"text", b"a" * BIG)
    database.append(b"text", b"b")
    assert database.copy(b"key", database, b"copy")
    assert database.copy(b"text", database, b"text copy")
    box.items.append(b"two")
    database.append(b"text", b"c")
    assert database.get(b"copy").items == [b"one"]  # type: ignore[union-attr]
    assert database.get(b"text copy") == b"a" * BIG + b"b"
    assert database.expire_at(b"copy") == database.keyspace.now_ms + 100
