"""Snapshots into RDB files: read back they are what was there at the beginning."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kvorum.journal.rdb import file_writer, snapshot_sink
from kvorum.keyspace import snapshot, table
from kvorum.keyspace.table import Keyspace
from kvorum.testing.twins import load_plain
from tests.journal.rdb.files import NOW_MS, digest, put, read, value_of

TWINS: dict[str, tuple[Any, ...]] = {
    "compiled": (table, snapshot, snapshot_sink, file_writer),
    "plain": tuple(
        load_plain(f"kvorum.{name}")
        for name in ("keyspace.table", "keyspace.snapshot", "journal.rdb.snapshot_sink", "journal.rdb.file_writer")
    ),
}
ELEMENTS = 3000


def filled(twin: str) -> Keyspace:
    keyspace: Keyspace = TWINS[twin][0].Keyspace(4)
    keyspace.now_ms = NOW_MS
    for index in (0, 3):
        for number in range(200):
            put(keyspace, index, b"key%d" % number, b"value%d" % number, number % 2 * (NOW_MS + 1000))
        put(keyspace, index, b"list", [b"element%d" % number for number in range(ELEMENTS)] + [b"x" * 70_000])
        put(keyspace, index, b"set", {b"member%d" % number for number in range(ELEMENTS)})
        put(keyspace, index, b"hash", {b"field%d" % number: b"value%d" % number for number in range(ELEMENTS)})
        put(keyspace, index, b"zset", {b"member%d" % number: number / 7 for number in range(ELEMENTS)})
        put(keyspace, index, b"small", {b"1", b"2"})
        put(keyspace, index, b"long", b"x" * 100_000)
    return keyspace


def change(keyspace: Keyspace, turn: int) -> None:
    """Something of everything."""
    for index in (0, 3):
        database = keyspace.databases[index]
        for number in range(turn * 10, turn * 10 + 20):
            database.set_string(b"key%d" % number, b"other")
        value: Any = database.open_object_at(b"list")
        value.pop()
        value.push(b"new")
        value.set(turn, b"new")
        database.remeasure(value)
        value = database.open_object_at(b"set")
        value.remove(b"member%d" % turn)
        value.add(b"new%d" % turn)
        database.remeasure(value)
        value = database.open_object_at(b"hash")
        value.set(b"field%d" % turn, b"new")
        database.remeasure(value)
        value = database.open_object_at(b"zset")
        value.add(b"member%d" % turn, -1.0)
        database.remeasure(value)
        database.append(b"long", b"more")
        database.put_value(b"small", value_of(keyspace, [b"a", b"b"]))


@pytest.mark.parametrize("twin", list(TWINS))
@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_file_of_a_changing_keyspace(twin: str, policy: str) -> None:
    keyspace = filled(twin)
    before = digest(keyspace)
    blocks: list[bytes] = []
    _, walks, sinks, writers = TWINS[twin]
    writer = writers.FileWriter(blocks.append, now_ms=NOW_MS, policy=policy)
    writer.begin()
    walk = walks.Snapshot(keyspace, sinks.FileSink(writer, clocks=policy != "noeviction"))
    keyspace.now_ms += 5000
    turn = 0
    while True:
        change(keyspace, turn)
        turn += 1
        if walk.step(200):
            break
    writer.finish()
    assert digest(keyspace) != before
    loaded: Keyspace = table.Keyspace(4)
    loaded.now_ms = NOW_MS
    assert read(b"".join(blocks), loaded).keys_loaded == 412
    assert digest(loaded) == before
    if policy != "noeviction":
        assert {loaded.databases[0].idle_seconds(b"key%d" % number) for number in range(200)} == {0}


LONG_STRINGS = {
    "compressible": b"abc" * 300_000,
    "not at its beginning": random.Random(1).randbytes(200_000) + bytes(500_000),
    "not at all": random.Random(2).randbytes(700_000),
    "too long to be compressed": bytes(17 << 20),
}


@pytest.mark.parametrize("change_after", [None, 0, 1, 3, 8])
@pytest.mark.parametrize("name", LONG_STRINGS)
def test_a_long_string_goes_into_the_file_in_pieces(name: str, change_after: int | None) -> None:
    """Also one that is changed in place before or while it is written; other keys change meanwhile."""
    text = LONG_STRINGS[name]
    keyspace = Keyspace(4)
    written: list[bytes] = []
    database = keyspace.databases[0]
    database.put_value(b"long", text)
    if change_after is not None:
        database.set_range(b"long", 0, text[:1])  # it is a buffer from now on
    for number in range(100):
        database.put_value(b"%d" % number, b"short")
    expected = digest(keyspace)
    writer = file_writer.FileWriter(written.append)
    writer.begin()
    walk = snapshot.Snapshot(keyspace, snapshot_sink.FileSink(writer))
    database.delete(b"99")
    steps = 0
    while True:
        if steps == change_after:
            database.set_range(b"long", len(text) - 3, b"changed")
            database.put_value(b"5", b"changed too")
        if walk.step(500):
            break
        steps += 1
    writer.finish()
    again = Keyspace(4)
    read(b"".join(written), again)
    assert digest(again) == expected
    assert steps > 10
    assert max(map(len, written)) < 1 << 18
