"""Snapshots under all that can happen to a keyspace, in any order: what is collected is what was there at the beginning."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvorum.errors import CommandError
from kvorum.keyspace.snapshot import Snapshot
from kvorum.keyspace.table import EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE, Database, Keyspace
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from tests.keyspace.snapshots import Collected, Contents, begin, contents, without_clocks
from tests.keyspace.tables import NOW_MS, Box, new_keyspace

DATABASES = 3
EXAMPLES = int(os.environ.get("KVORUM_SNAPSHOT_EXAMPLES", "150"))
# Few keys, so that operations meet; many of them in one slot, so that its table grows and shrinks.
KEYS = st.one_of(
    st.sampled_from([b"a", b"bb", b"", b"k" * 300]), st.integers(0, 30).map(lambda number: b"{tag}%d" % number)
)
STRINGS = st.one_of(
    st.binary(max_size=50),
    st.integers(-5, 300).map(lambda number: b"%d" % number),
    st.sampled_from([b"y" * 1024, b"z" * 1025, b"w" * 1900, b"v" * 5000]),
)
ELEMENTS = st.one_of(
    st.integers(0, 60).map(lambda number: b"%d" % number), st.sampled_from([b"long" * 30, b"L" * 9000])
)
SCORES = st.integers(-20, 20).map(float)
TIMES = st.sampled_from([0, NOW_MS - 5, NOW_MS + 5, NOW_MS + 50, NOW_MS + 5000])
INDEXES = st.integers(0, DATABASES - 1)
SIZES = st.sampled_from([1, 3, 9, 40, 300])


def made(keyspace: Keyspace, kind: type[Value], size: int) -> Value:
    """A collection of so many elements."""
    value: Any = kind(keyspace.commons)  # type: ignore[call-arg]
    for number in range(size):
        element = b"%d" % number if number % 7 else b"text%d" % number
        if kind is Hash:
            value.set(element, b"v" * (number % 90))
        elif kind is SortedSet:
            value.add(element, float(number // 2))
        elif kind is Set:
            value.add(element)
        else:
            value.push(element * (number % 5 + 1))
    return value


class SnapshotMachine(RuleBasedStateMachine):
    """Rules change one keyspace; whenever a snapshot ends, what it has is compared."""

    twin = "compiled"

    def __init__(self) -> None:
        super().__init__()
        self.snapshot: Snapshot | None = None
        self.collected = Collected()
        self.expected: Contents = {}
        self.clocks = True

    @initialize(
        mode=st.sampled_from([EXPIRY_DELETE, EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE]),
        lfu=st.booleans(),
        filling=st.lists(
            st.tuples(INDEXES, KEYS, st.sampled_from([Hash, List, Set, SortedSet]), SIZES, TIMES), max_size=12
        ),
        at_once=st.booleans(),
    )
    def fill(
        self, mode: int, lfu: bool, filling: list[tuple[int, bytes, type[Value], int, int]], at_once: bool
    ) -> None:
        self.keyspace = new_keyspace(self.twin, DATABASES)
        self.keyspace.expiry_mode = mode
        self.keyspace.lfu = lfu
        commons = self.keyspace.commons
        commons.hash_max_entries = commons.zset_max_entries = commons.set_max_listpack_entries = 5
        commons.set_max_intset_entries = 30
        commons.list_max_size = 4
        for index, key, kind, size, expire_ms in filling:
            self.keyspace.databases[index].set_object(key, made(self.keyspace, kind, size), expire_ms)
        if at_once:
            self.begin_snapshot(clocks=True)

    def database(self, index: int) -> Database:
        return self.keyspace.databases[index]

    def opened(self, index: int, key: bytes, kind: type[Value], change: Callable[[Any], object]) -> None:
        """Change the collection at a key as commands do."""
        database = self.database(index)
        try:
            value = database.open_object_at(key)
        except CommandError:
            return
        if type(value) is not kind:
            return
        change(value)
        if len(value):  # type: ignore[arg-type]
            database.remeasure(value)
        else:
            database.delete(key)

    # The snapshot

    @precondition(lambda self: self.snapshot is None)
    @rule(clocks=st.booleans())
    def begin_snapshot(self, clocks: bool) -> None:
        self.collected = Collected()
        self.clocks = clocks
        self.expected = contents(self.keyspace)
        self.snapshot = begin(self.twin, self.keyspace, self.collected, clocks)

    @precondition(lambda self: self.snapshot is not None)
    @rule(budget=st.integers(1, 60))
    def step(self, budget: int) -> None:
        assert self.snapshot is not None
        if self.snapshot.step(budget):
            self.compare()

    @precondition(lambda self: self.snapshot is not None)
    @rule(really=st.integers(0, 3))
    def abort(self, really: int) -> None:
        assert self.snapshot is not None
        if really == 0:
            self.snapshot.abort()
            assert not self.snapshot.running
            self.snapshot = None

    def compare(self) -> None:
        if self.clocks:
            assert self.collected.found == self.expected
        else:
            assert without_clocks(self.collected.found) == without_clocks(self.expected)
        for index, keys, expires in self.collected.selected:
            there = [expire_ms for (place, _), (_, expire_ms, _) in self.expected.items() if place == index]
            assert (keys, expires) == (len(there), sum(expire_ms != 0 for expire_ms in there))
        self.snapshot = None

    def teardown(self) -> None:
        while self.snapshot is not None:
            self.step(1000)
        if hasattr(self, "keyspace"):
            self.keyspace.flush_all(asynchronous=True)
            while self.keyspace.free_some(100):
                pass
            assert self.keyspace.used_bytes == 0
            assert self.keyspace.pending_frees == 0

    # Strings

    @rule(index=INDEXES, key=KEYS, value=STRINGS, expire_ms=TIMES, keep_ttl=st.booleans())
    def set_string(self, index: int, key: bytes, value: bytes, expire_ms: int, keep_ttl: bool) -> None:
        self.database(index).set_string(key, value, expire_ms, keep_ttl)

    @rule(index=INDEXES, first=st.integers(0, 300), count=st.integers(1, 120), size=st.integers(0, 40))
    def set_many(self, index: int, first: int, count: int, size: int) -> None:
        for number in range(first, first + count):
            self.database(index).set_string(b"{tag}%d" % number, b"v" * size)

    @rule(index=INDEXES, first=st.integers(0, 300), count=st.integers(1, 120))
    def delete_many(self, index: int, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.database(index).delete(b"{tag}%d" % number)

    @rule(index=INDEXES, key=KEYS, value=STRINGS)
    def append(self, index: int, key: bytes, value: bytes) -> None:
        with suppress(CommandError):
            self.database(index).append(key, value)

    @rule(index=INDEXES, key=KEYS, offset=st.sampled_from([0, 5, 1020, 3000]), value=STRINGS)
    def set_range(self, index: int, key: bytes, offset: int, value: bytes) -> None:
        with suppress(CommandError):
            self.database(index).set_range(key, offset, value)

    @rule(index=INDEXES, key=KEYS, offset=st.sampled_from([0, 3, 8000, 30000]), bit=st.booleans())
    def set_bit(self, index: int, key: bytes, offset: int, bit: bool) -> None:
        with suppress(CommandError):
            self.database(index).set_bit(key, offset, bit)

    @rule(index=INDEXES, key=KEYS, delta=st.integers(-3, 3))
    def increment(self, index: int, key: bytes, delta: int) -> None:
        with suppress(CommandError):
            self.database(index).increment(key, delta)

    # Keys

    @rule(index=INDEXES, key=KEYS, lazily=st.booleans())
    def delete(self, index: int, key: bytes, lazily: bool) -> None:
        database = self.database(index)
        _ = database.unlink(key) if lazily else database.delete(key)

    @rule(index=INDEXES, key=KEYS, expire_ms=TIMES)
    def expire(self, index: int, key: bytes, expire_ms: int) -> None:
        self.database(index).set_expire(key, expire_ms)

    @rule(index=INDEXES, key=KEYS, new_key=KEYS)
    def rename(self, index: int, key: bytes, new_key: bytes) -> None:
        self.database(index).rename(key, new_key)

    @rule(index=INDEXES, other=INDEXES, key=KEYS)
    def move(self, index: int, other: int, key: bytes) -> None:
        if index != other:
            self.database(index).move(key, self.database(other))

    @rule(index=INDEXES, other=INDEXES, key=KEYS, new_key=KEYS, replace=st.booleans())
    def copy(self, index: int, other: int, key: bytes, new_key: bytes, replace: bool) -> None:
        if (index, key) != (other, new_key):
            self.database(index).copy(key, self.database(other), new_key, replace)

    @rule(index=INDEXES, key=KEYS)
    def evict(self, index: int, key: bytes) -> None:
        self.database(index).evict(key)

    @rule(index=INDEXES)
    def expire_some(self, index: int) -> None:
        if self.keyspace.expiry_mode == EXPIRY_DELETE:
            self.database(index).expire_some(20)

    @rule(step=st.sampled_from([1, 5, 100, 10_000, 120_000]))
    def time_passes(self, step: int) -> None:
        self.keyspace.now_ms += step

    @rule(index=INDEXES, key=KEYS)
    def read(self, index: int, key: bytes) -> None:
        self.database(index).get(key)
        self.database(index).scan(0, 5)

    @rule(index=INDEXES, key=KEYS, seconds=st.integers(0, 1000))
    def set_clock(self, index: int, key: bytes, seconds: int) -> None:
        if self.keyspace.lfu:
            self.database(index).set_frequency(key, seconds & 0xFF)
        else:
            self.database(index).set_idle_seconds(key, seconds)

    @rule(index=INDEXES, asynchronous=st.booleans(), everything=st.booleans())
    def flush(self, index: int, asynchronous: bool, everything: bool) -> None:
        if everything:
            self.keyspace.flush_all(asynchronous)
        else:
            self.database(index).flush(asynchronous)

    @rule(index=INDEXES, other=INDEXES)
    def swap(self, index: int, other: int) -> None:
        self.keyspace.swap(index, other)

    @rule(budget=st.integers(1, 100))
    def free_some(self, budget: int) -> None:
        self.keyspace.free_some(budget)

    # Collections

    @rule(index=INDEXES, key=KEYS, kind=st.sampled_from([Hash, List, Set, SortedSet]), size=SIZES, expire_ms=TIMES)
    def set_collection(self, index: int, key: bytes, kind: type[Value], size: int, expire_ms: int) -> None:
        self.database(index).set_object(key, made(self.keyspace, kind, size), expire_ms)

    @rule(index=INDEXES, key=KEYS, size=st.integers(1, 40))
    def set_box(self, index: int, key: bytes, size: int) -> None:
        """A type that the snapshot does not know is not taken apart."""
        self.database(index).set_object(key, Box([b"item"] * size))

    @rule(index=INDEXES, key=KEYS, element=ELEMENTS, value=st.binary(max_size=40), removed=ELEMENTS)
    def change_hash(self, index: int, key: bytes, element: bytes, value: bytes, removed: bytes) -> None:
        def change(one: Hash) -> None:
            one.set(element, value)
            one.delete(removed)
            with suppress(CommandError):
                one.increment(element, 1)

        self.opened(index, key, Hash, change)

    @rule(index=INDEXES, key=KEYS, element=ELEMENTS, removed=ELEMENTS, popped=st.sampled_from([0, 1, 20]))
    def change_set(self, index: int, key: bytes, element: bytes, removed: bytes, popped: int) -> None:
        def change(one: Set) -> None:
            one.add(element)
            one.remove(removed)
            one.pop_some(min(popped, len(one)))

        self.opened(index, key, Set, change)

    @rule(index=INDEXES, key=KEYS, element=ELEMENTS, score=SCORES, removed=ELEMENTS, popped=st.sampled_from([0, 1, 20]))
    def change_sorted_set(
        self, index: int, key: bytes, element: bytes, score: float, removed: bytes, popped: int
    ) -> None:
        def change(one: SortedSet) -> None:
            one.add(element, score)
            one.remove(removed)
            one.remove_pairs(len(one) // 2, min(popped, len(one) - len(one) // 2))

        self.opened(index, key, SortedSet, change)

    @rule(index=INDEXES, key=KEYS, element=ELEMENTS, at_head=st.booleans(), position=st.integers(0, 50))
    def change_list(self, index: int, key: bytes, element: bytes, at_head: bool, position: int) -> None:
        def change(one: List) -> None:
            one.push(element, at_head)
            one.set(position, element * 2)
            one.insert_beside(b"%d" % position, element, at_head)

        self.opened(index, key, List, change)

    @rule(index=INDEXES, key=KEYS, element=ELEMENTS, at_head=st.booleans(), count=st.sampled_from([0, 1, 3, 39, 290]))
    def shorten_list(self, index: int, key: bytes, element: bytes, at_head: bool, count: int) -> None:
        def change(one: List) -> None:
            one.pop(at_head)
            one.remove_equal(element, 2 if at_head else -2)
            count_now = min(count, len(one))
            one.drop(0 if at_head else len(one) - count_now, count_now)

        self.opened(index, key, List, change)

    @invariant()
    def consistent(self) -> None:
        if self.snapshot is not None:
            assert self.snapshot.running


class PlainSnapshotMachine(SnapshotMachine):
    twin = "plain"


TestSnapshot = SnapshotMachine.TestCase
TestSnapshot.settings = settings(max_examples=EXAMPLES, stateful_step_count=60, deadline=None)
TestPlainSnapshot = PlainSnapshotMachine.TestCase
TestPlainSnapshot.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=50, deadline=None)
