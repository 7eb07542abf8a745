"""Snapshots: bounds of their steps, big values in parts, what is left behind, failures. Their content: test_snapshot_machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from kvorum.keyspace.table import Database, Keyspace
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from tests.keyspace.snapshots import BYTE_LIMIT, FAILURE, Collected, begin, contents
from tests.keyspace.tables import NOW_MS, TWINS, new_keyspace, only_compiled

# What a step may do beyond its budget: a bucket with its overflow, or one value below the limits.
EXCESS = 40
MEMBERS = 3000


@pytest.fixture(params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def filled(keyspace: Keyspace, kind: type[Value], size: int = MEMBERS) -> Any:
    value: Any = kind(keyspace.commons)  # type: ignore[call-arg]
    for number in range(size):
        element = b"element%d" % number
        if kind is Hash:
            value.set(element, b"value%d" % number)
        elif kind is SortedSet:
            value.add(element, float(number))
        elif kind is Set:
            value.add(element)
        else:
            value.push(element)
    return value


def change_hash(value: Hash, turn: int) -> None:
    value.set(b"element%d" % (MEMBERS - 1 - turn), b"other value")
    value.set(b"new%d" % turn, b"value")
    value.delete(b"element%d" % (turn * 7 % MEMBERS))


def change_set(value: Set, turn: int) -> None:
    value.add(b"new%d" % turn)
    value.remove(b"element%d" % (turn * 7 % MEMBERS))
    value.pop()


def change_sorted_set(value: SortedSet, turn: int) -> None:
    value.add(b"element%d" % (MEMBERS - 1 - turn), -1.0)
    value.add(b"new%d" % turn, 2.0)
    value.remove(b"element%d" % (turn * 7 % MEMBERS))
    value.remove_pairs(0, 3)


def change_list(value: List, turn: int) -> None:
    value.push(b"new%d" % turn, at_head=bool(turn % 2))
    value.set(turn * 11 % len(value), b"another one")
    value.pop()
    value.insert_beside(b"element%d" % (turn * 13 % MEMBERS), b"inserted", after=True)
    value.remove_equal(b"element%d" % (turn * 7 % MEMBERS), 1)
    value.drop(turn * 17 % len(value), 2)


CHANGES: dict[type[Value], Callable[[Any, int], None]] = {
    Hash: change_hash,
    Set: change_set,
    SortedSet: change_sorted_set,
    List: change_list,
}
KINDS = pytest.mark.parametrize("kind", list(CHANGES))


def run(snapshot: Any, budget: int = 100) -> int:
    """Steps to the end; how many."""
    steps = 1
    while not snapshot.step(budget):
        steps += 1
    return steps


def changed(database: Database, key: bytes, change: Callable[[Any, int], None], turn: int) -> None:
    value = database.open_object_at(key)
    assert value is not None
    change(value, turn)
    database.remeasure(value)


def test_everything_is_there(twin: str) -> None:
    keyspace = new_keyspace(twin)
    for index in (0, 2):
        for number in range(500):
            keyspace.databases[index].set_string(b"key%d" % number, b"value%d" % number, NOW_MS + number % 2)
    collected = Collected()
    expected = contents(keyspace)
    snapshot = begin(twin, keyspace, collected)
    assert run(snapshot) > 5
    assert collected.found == expected
    assert collected.selected == [(0, 500, 500), (2, 500, 500)]
    assert snapshot.records == 1000
    assert not snapshot.running


def test_an_empty_keyspace_is_done_at_once(twin: str) -> None:
    collected = Collected()
    assert begin(twin, new_keyspace(twin), collected).step(1)
    assert collected == Collected()


@KINDS
def test_a_big_value_changes_on_its_way(twin: str, kind: type[Value]) -> None:
    keyspace = new_keyspace(twin)
    keyspace.commons.list_max_size = 4
    database = keyspace.databases[1]
    database.set_object(b"big", filled(keyspace, kind))
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin(twin, keyspace, collected, clocks=False)
    turn = 0
    while True:
        changed(database, b"big", CHANGES[kind], turn)
        turn += 1
        if snapshot.step(20):
            break
    assert collected.found == expected
    assert contents(keyspace) != expected


@only_compiled
@KINDS
def test_a_big_value_is_taken_in_steps(kind: type[Value]) -> None:
    keyspace = new_keyspace("compiled")
    keyspace.commons.list_max_size = 4
    keyspace.databases[0].set_object(b"big", filled(keyspace, kind))
    parts = MEMBERS // 4 if kind is List else MEMBERS
    steps = run(begin("compiled", keyspace, Collected()), budget=50)
    assert steps >= parts / (50 + EXCESS)


@only_compiled
@KINDS
def test_a_change_costs_what_changes(kind: type[Value]) -> None:
    """Before its turn the value is begun by the change, and not written by it."""
    keyspace = new_keyspace("compiled")
    keyspace.databases[0].set_object(b"big", filled(keyspace, kind))
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin("compiled", keyspace, collected)
    changed(keyspace.databases[0], b"big", CHANGES[kind], 1)
    assert (collected.calls, snapshot.kept_aside) == (0, 1)
    run(snapshot)
    assert collected.found == expected


@only_compiled
@KINDS
@pytest.mark.parametrize("how", ["delete", "unlink", "rename", "overwrite", "expire", "evict", "flush", "flush later"])
def test_a_big_value_leaves_on_its_way(kind: type[Value], how: str) -> None:
    keyspace = new_keyspace("compiled")
    database = keyspace.databases[0]
    value = filled(keyspace, kind)
    before = sys.getrefcount(value)
    database.set_object(b"big", value, NOW_MS + 5)
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin("compiled", keyspace, collected)
    if kind is not List:
        assert not snapshot.step(50)
    changed(database, b"big", CHANGES[kind], 1)
    if how == "rename":
        database.rename(b"big", b"other")
        changed(database, b"other", CHANGES[kind], 2)
        database.unlink(b"other")
    elif how == "expire":
        keyspace.now_ms += 10
        assert not database.exists(b"big")
    elif how == "overwrite":
        database.set_string(b"big", b"text")
    elif how.startswith("flush"):
        keyspace.flush_all(asynchronous=how == "flush later")
    else:
        getattr(database, how)(b"big")
    while keyspace.free_some(1000):
        pass
    assert len(value) > MEMBERS / 2
    run(snapshot)
    assert collected.found == expected
    keyspace.flush_all()
    while keyspace.free_some(1000):
        pass
    assert keyspace.used_bytes == keyspace.pending_frees == 0
    assert sys.getrefcount(value) == before


def test_steps_are_bounded(twin: str) -> None:
    keyspace = new_keyspace(twin)
    for number in range(20_000):
        keyspace.databases[0].set_string(b"key%d" % number, b"value")
    collected = Collected()
    snapshot = begin(twin, keyspace, collected)
    most = 0
    done = False
    while not done:
        calls, work = collected.calls, snapshot.work
        done = snapshot.step(100)
        most = max(most, collected.calls - calls)
        assert snapshot.work - work <= 100 + EXCESS
    assert most <= 100 + EXCESS


@only_compiled
def test_steps_count_bytes() -> None:
    keyspace = new_keyspace("compiled")
    for number in range(1000):
        keyspace.databases[0].set_string(b"key%d" % number, b"v" * 1900)
    collected = Collected()
    assert not begin("compiled", keyspace, collected).step(100)
    assert collected.calls <= 30


def test_a_long_string_that_changes_in_place(twin: str) -> None:
    keyspace = new_keyspace(twin)
    database = keyspace.databases[0]
    for key in (b"a", b"b", b"c", b"d"):
        database.set_string(key, b"text")
        database.append(key, b"x" * BYTE_LIMIT)
    database.set_string(b"e", b"y" * 2 * BYTE_LIMIT)
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin(twin, keyspace, collected)
    database.append(b"a", b"more")
    database.set_bit(b"b", 3, True)
    database.delete(b"c")
    database.rename(b"d", b"f")
    database.set_range(b"f", 5, b"more")
    database.append(b"e", b"more")
    run(snapshot)
    assert collected.found == expected


def test_a_flushed_database_is_freed_when_it_was_walked(twin: str) -> None:
    keyspace = new_keyspace(twin)
    for index in range(3):
        for number in range(300):
            keyspace.databases[index].set_string(b"key%d" % number, b"value%d" % index)
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin(twin, keyspace, collected)
    snapshot.step(400)
    keyspace.flush_all(asynchronous=True)
    keyspace.databases[1].set_string(b"later", b"value")
    keyspace.swap(1, 2)
    keyspace.databases[2].flush(asynchronous=True)
    while keyspace.free_some(10):
        pass
    run(snapshot)
    assert collected.found == expected
    while keyspace.free_some(1000):
        pass
    assert keyspace.used_bytes == 0


def test_reads_matter_only_with_clocks(twin: str) -> None:
    for clocks in (False, True):
        keyspace = new_keyspace(twin)
        database = keyspace.databases[0]
        database.set_string(b"text", b"value")
        database.set_object(b"big", filled(keyspace, Hash, 50))
        expected = contents(keyspace)
        collected = Collected()
        snapshot = begin(twin, keyspace, collected, clocks)
        keyspace.now_ms += 5000
        assert database.get(b"text") == b"value"
        assert database.get(b"big") is not None
        if not clocks:
            assert collected.calls == snapshot.kept_aside == 0
        run(snapshot)
        assert (collected.found == expected) == clocks


def test_one_at_a_time(twin: str) -> None:
    keyspace = new_keyspace(twin)
    keyspace.databases[0].set_string(b"key", b"value")
    first = begin(twin, keyspace, Collected())
    with pytest.raises(RuntimeError, match="there is a snapshot already"):
        begin(twin, keyspace, Collected())
    run(first)
    with pytest.raises(RuntimeError, match="over"):
        first.step(1)
    first.abort()
    run(begin(twin, keyspace, Collected()))


@KINDS
def test_abort_leaves_nothing_behind(twin: str, kind: type[Value]) -> None:
    keyspace = new_keyspace(twin)
    database = keyspace.databases[0]
    values = [filled(keyspace, kind) for _ in range(3)]
    counts = [sys.getrefcount(value) for value in values]
    for number, value in enumerate(values):
        database.set_object(b"big%d" % number, value)
    del value
    for number in range(300):
        database.set_string(b"key%d" % number, b"value")
    snapshot = begin(twin, keyspace, Collected())
    changed(database, b"big0", CHANGES[kind], 1)
    changed(database, b"big1", CHANGES[kind], 1)
    snapshot.step(30)
    database.unlink(b"big1")
    keyspace.flush_all(asynchronous=True)
    snapshot.abort()
    while keyspace.free_some(1000):
        pass
    assert keyspace.used_bytes == keyspace.pending_frees == 0
    assert [sys.getrefcount(value) for value in values] == counts


@KINDS
def test_after_an_abort_all_is_taken(twin: str, kind: type[Value]) -> None:
    keyspace = new_keyspace(twin)
    database = keyspace.databases[0]
    database.set_object(b"big", filled(keyspace, kind))
    for number in range(300):
        database.set_string(b"key%d" % number, b"value")
    for turn in range(4):
        snapshot = begin(twin, keyspace, Collected())
        changed(database, b"big", CHANGES[kind], turn)
        snapshot.step(200)
        snapshot.abort()
        changed(database, b"big", CHANGES[kind], turn + 10)
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin(twin, keyspace, collected)
    changed(database, b"big", CHANGES[kind], 20)
    run(snapshot)
    assert collected.found == expected


def test_numbers_that_come_again(twin: str) -> None:
    """Marks that a snapshot left which did not come to its end are forgotten before its number is used again."""
    keyspace = new_keyspace(twin)
    for number in range(300):
        keyspace.databases[0].set_string(b"key%d" % number, b"value")
    snapshot = begin(twin, keyspace, Collected())
    snapshot.step(100)
    snapshot.abort()
    assert (keyspace.last_epoch, keyspace.unfinished) == (1, 1)
    keyspace.last_epoch, keyspace.unfinished = 0xFFFF, 60_000
    expected = contents(keyspace)
    collected = Collected()
    run(begin(twin, keyspace, collected))
    assert collected.found == expected
    assert (keyspace.last_epoch, keyspace.unfinished) == (1, 0)


@pytest.mark.parametrize("fail_at", [1, 2, 50])
@pytest.mark.parametrize("in_a_command", [False, True])
def test_a_sink_that_fails_ends_the_snapshot(twin: str, fail_at: int, in_a_command: bool) -> None:
    keyspace = new_keyspace(twin)
    database = keyspace.databases[0]
    database.set_object(b"big", filled(keyspace, Hash))
    for number in range(300):
        database.set_string(b"key%d" % number, b"value")
    snapshot = begin(twin, keyspace, Collected(fail_at=fail_at))
    if in_a_command:
        for number in range(100):
            database.set_string(b"key%d" % number, b"new value")
        changed(database, b"big", change_hash, 1)
        database.unlink(b"big")
        keyspace.free_some(10)
    with pytest.raises(OSError, match="disk is full"):
        run(snapshot)
    assert not snapshot.running
    assert FAILURE.errno is None
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin(twin, keyspace, collected, clocks=False)
    database.flush()
    run(snapshot)
    assert collected.found == expected


@only_compiled
def test_a_list_that_shrinks_to_nothing_and_grows_again() -> None:
    keyspace = new_keyspace("compiled")
    keyspace.commons.list_max_size = 4
    database = keyspace.databases[0]
    database.set_object(b"big", filled(keyspace, List, 100))
    expected = contents(keyspace)
    collected = Collected()
    snapshot = begin("compiled", keyspace, collected)
    for left in (5, 4, 1):
        value: Any = database.open_object_at(b"big")
        value.drop(0, len(value) - left)
        value.push(b"more")
    for number in range(50):
        value.push(b"%d" % number)
    copied = value.copy()
    value.set(3, b"changed")
    assert len(copied) == len(value)
    database.remeasure(value)
    run(snapshot, 3)
    assert collected.found == expected
    del value, copied
    database.flush()
    assert keyspace.used_bytes == 0


@pytest.mark.parametrize("twin", TWINS)
def test_what_changes_in_another_database_while_a_big_value_is_on_its_way(twin: str) -> None:
    for budget in range(1, 30):
        keyspace = new_keyspace(twin, 2)
        keyspace.commons.hash_max_entries = 5
        big = Hash(keyspace.commons)
        for number in range(9):
            big.set(b"%d" % number, b"v" * number)
        keyspace.databases[0].set_object(b"big", big, 0)
        keyspace.databases[1].set_string(b"small", b"value")
        expected = contents(keyspace)
        collected = Collected()
        snapshot = begin(twin, keyspace, collected, True)
        keyspace.databases[0].delete(b"big")
        done = snapshot.step(budget)
        keyspace.databases[1].delete(b"small")
        while not done:
            done = snapshot.step(1000)
        assert collected.found == expected
