"""Both twins against a naive model: every operation, expiry included, in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from operator import methodcaller
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvorum.errors import CommandError
from kvorum.keyspace.hashing import key_slot
from kvorum.keyspace.table import EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE, Database, Keyspace
from tests.keyspace.tables import NOW_MS, TWINS, Box, new_keyspace, scan_all

DATABASES = 2
TAG_SLOT = key_slot(b"{tag}")
# Few keys, so that operations meet; many of them in one slot, so that its table grows and shrinks.
KEYS = st.one_of(
    st.sampled_from([b"a", b"bb", b"", b"k" * 300, b"\0\xff"]),
    st.integers(0, 40).map(lambda number: b"{tag}%d" % number),
)
STRINGS = st.one_of(
    st.binary(max_size=50),
    st.integers(-(2**63) - 2, 2**63 + 2).map(lambda number: b"%d" % number),
    st.sampled_from(
        [b"-0", b"+1", b"007", b" 1", b"1 ", b"-", b"", b"x" * 44, b"x" * 45, b"y" * 1024, b"z" * 1025, b"w" * 5000]
    ),
)
TIMES = st.sampled_from([0, 0, NOW_MS - 5, NOW_MS + 5, NOW_MS + 50, NOW_MS + 5000])
INDEXES = st.integers(0, DATABASES - 1)


@dataclass
class Known:
    """What the model knows of a key."""

    value: bytes | tuple[bytes, ...]
    expire_ms: int = 0
    raw: bool = False

    @property
    def encoding(self) -> bytes:
        if isinstance(self.value, tuple):
            return b"boxed"
        if is_integer(self.value) and not self.raw:
            return b"int"
        return b"embstr" if len(self.value) <= 44 and not self.raw else b"raw"


def is_integer(text: bytes) -> bool:
    try:
        number = int(text)
    except ValueError:
        return False
    return b"%d" % number == text and -(2**63) <= number < 2**63


@dataclass
class Model:
    """Databases as dictionaries."""

    now_ms: int = NOW_MS
    mode: int = EXPIRY_DELETE
    databases: list[dict[bytes, Known]] = field(default_factory=lambda: [{} for _ in range(DATABASES)])
    removed: list[tuple[int, bytes, str]] = field(default_factory=list)

    def is_due(self, known: Known) -> bool:
        return 0 != known.expire_ms < self.now_ms and self.mode != EXPIRY_IGNORE

    def find(self, index: int, key: bytes, writing: bool = False) -> Known | None:
        known = self.databases[index].get(key)
        if known is None or not self.is_due(known):
            return known
        if self.mode == EXPIRY_DELETE:
            del self.databases[index][key]
            self.removed.append((index, key, "expired"))
        elif writing:
            del self.databases[index][key]
        return None


class TableMachine(RuleBasedStateMachine):
    """Every rule does the same to both twins and to the model, and compares what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.keyspaces = [new_keyspace(name, DATABASES) for name in TWINS]
        self.removed: list[list[tuple[int, bytes, str]]] = [[] for _ in TWINS]
        for keyspace, removed in zip(self.keyspaces, self.removed, strict=True):
            keyspace.on_removed = partial(report, removed)

    def both(self, index: int, operation: Callable[[Database], Any]) -> Any:
        """Do it to both twins; the result, or the error text, must be the same."""
        outcomes = []
        for keyspace in self.keyspaces:
            try:
                outcomes.append(operation(keyspace.databases[index]))
            except CommandError as error:
                outcomes.append((type(error).__name__, error.message))
        first, second = outcomes
        assert comparable(first) == comparable(second)
        return comparable(first)

    @initialize(mode=st.sampled_from([EXPIRY_DELETE, EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE]))
    def begin(self, mode: int) -> None:
        self.model.mode = mode
        for keyspace in self.keyspaces:
            keyspace.expiry_mode = mode

    @rule(step=st.sampled_from([1, 5, 100, 10_000]))
    def time_passes(self, step: int) -> None:
        self.model.now_ms += step
        for keyspace in self.keyspaces:
            keyspace.now_ms = self.model.now_ms

    # Values

    @rule(index=INDEXES, key=KEYS, value=STRINGS, expire_ms=TIMES, keep_ttl=st.booleans())
    def set_string(self, index: int, key: bytes, value: bytes, expire_ms: int, keep_ttl: bool) -> None:
        known = self.model.find(index, key, writing=True)
        if keep_ttl and known is not None:
            expire_ms = known.expire_ms
        self.both(index, lambda db: db.set_string(key, value, expire_ms, keep_ttl))
        self.model.databases[index][key] = Known(value, expire_ms)

    @rule(index=INDEXES, first=st.integers(0, 300), count=st.integers(1, 120), size=st.integers(0, 40))
    def set_many(self, index: int, first: int, count: int, size: int) -> None:
        for number in range(first, first + count):
            key, value = b"{tag}%d" % number, b"v" * size
            self.model.find(index, key, writing=True)
            self.both(index, methodcaller("set_string", key, value))
            self.model.databases[index][key] = Known(value)

    @rule(index=INDEXES, key=KEYS, items=st.lists(st.binary(max_size=4), max_size=80), expire_ms=TIMES)
    def set_object(self, index: int, key: bytes, items: list[bytes], expire_ms: int) -> None:
        self.model.find(index, key, writing=True)
        self.both(index, lambda db: db.put_value(key, Box(list(items)), expire_ms))
        self.model.databases[index][key] = Known(tuple(items), expire_ms)

    @rule(index=INDEXES, key=KEYS, item=st.binary(max_size=20))
    def change_object(self, index: int, key: bytes, item: bytes) -> None:
        def change(db: Database) -> bool:
            box = db.peek(key)
            if not isinstance(box, Box):
                return False
            box.items.append(item)
            db.remeasure(box)
            return True

        changed = self.both(index, change)
        known = self.model.databases[index].get(key)
        expected = known is not None and isinstance(known.value, tuple) and not self.model.is_due(known)
        assert changed == expected
        if expected and known is not None:
            known.value = (*known.value, item)

    @rule(index=INDEXES, key=KEYS)
    def get(self, index: int, key: bytes) -> None:
        known = self.model.find(index, key)
        assert self.both(index, lambda db: db.peek(key)) == (known and known.value)
        assert self.both(index, lambda db: db.get(key)) == (known and known.value)
        if known is not None and isinstance(known.value, tuple):
            assert self.both(index, lambda db: db.get_string(key))[0] == "WrongTypeError"
            assert self.both(index, lambda db: db.get_object(key)) == known.value
        else:
            assert self.both(index, lambda db: db.get_string(key)) == (known and known.value)

    @rule(index=INDEXES, key=KEYS)
    def facts(self, index: int, key: bytes) -> None:
        known = self.model.find(index, key)
        kind = None if known is None else b"box" if isinstance(known.value, tuple) else b"string"
        assert self.both(index, lambda db: db.exists(key)) == (known is not None)
        assert self.both(index, lambda db: db.type_name(key)) == kind
        assert self.both(index, lambda db: db.encoding(key)) == (known and known.encoding)
        assert self.both(index, lambda db: db.expire_at(key)) == (-2 if known is None else known.expire_ms or -1)
        assert self.both(index, lambda db: db.entry_bytes(key) is None) == (known is None)
        self.both(index, lambda db: db.clock(key))
        self.both(index, lambda db: db.idle_seconds(key))

    @rule(index=INDEXES, key=KEYS, start=st.integers(-70, 70), end=st.integers(-70, 6000))
    def get_range(self, index: int, key: bytes, start: int, end: int) -> None:
        known = self.model.find(index, key)
        shown = self.both(index, lambda db: db.get_range(key, start, end))
        length = self.both(index, lambda db: db.string_length(key))
        text = b"" if known is None else known.value
        if isinstance(text, tuple):
            assert shown[0] == length[0] == "WrongTypeError"
            return
        first = start if start >= 0 else max(len(text) + start, 0)
        last = end if end >= 0 else max(len(text) + end, 0)
        if start < 0 and end < 0 and start > end:
            last = -1  # Redis decides this before it clips
        assert shown == bytes(text[position] for position in range(first, min(last + 1, len(text))))
        assert length == len(text)

    @rule(index=INDEXES, key=KEYS, value=STRINGS)
    def append(self, index: int, key: bytes, value: bytes) -> None:
        known = self.model.find(index, key, writing=True)
        length = self.both(index, lambda db: db.append(key, value))
        if known is None:
            self.model.databases[index][key] = Known(value)
            assert length == len(value)
        elif isinstance(known.value, tuple):
            assert length[0] == "WrongTypeError"
        else:
            known.value, known.raw = known.value + value, True
            assert length == len(known.value)

    @rule(index=INDEXES, key=KEYS, offset=st.one_of(st.integers(0, 60), st.just(1020), st.just(3000)), value=STRINGS)
    def set_range(self, index: int, key: bytes, offset: int, value: bytes) -> None:
        known = self.model.find(index, key, writing=bool(value))
        length = self.both(index, lambda db: db.set_range(key, offset, value))
        text = b"" if known is None else known.value
        if isinstance(text, tuple):
            assert length[0] == "WrongTypeError"
            return
        if value:
            text = text.ljust(offset, b"\0")[:offset] + value + text[offset + len(value) :]
            self.model.databases[index][key] = Known(text, known.expire_ms if known else 0, raw=True)
        assert length == len(text)

    @rule(index=INDEXES, key=KEYS, offset=st.integers(0, 9000), bit=st.booleans())
    def set_bit(self, index: int, key: bytes, offset: int, bit: bool) -> None:
        known = self.model.find(index, key, writing=True)
        before = self.both(index, lambda db: db.set_bit(key, offset, bit))
        text = b"" if known is None else known.value
        if isinstance(text, tuple):
            assert before[0] == "WrongTypeError"
            return
        octets = bytearray(text.ljust(offset // 8 + 1, b"\0"))
        mask = 128 >> offset % 8
        assert before == bool(octets[offset // 8] & mask)
        octets[offset // 8] = octets[offset // 8] | mask if bit else octets[offset // 8] & ~mask
        self.model.databases[index][key] = Known(bytes(octets), known.expire_ms if known else 0, raw=True)

    @rule(index=INDEXES, key=KEYS, delta=st.one_of(st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63), 2**62])))
    def increment(self, index: int, key: bytes, delta: int) -> None:
        known = self.model.find(index, key, writing=True)
        outcome = self.both(index, lambda db: db.increment(key, delta))
        text = b"0" if known is None else known.value
        if isinstance(text, tuple):
            assert outcome[0] == "WrongTypeError"
        elif not is_integer(text):
            assert outcome == ("CommandError", b"ERR value is not an integer or out of range")
        elif not -(2**63) <= int(text) + delta < 2**63:
            assert outcome == ("CommandError", b"ERR increment or decrement would overflow")
        else:
            assert outcome == int(text) + delta
            self.model.databases[index][key] = Known(b"%d" % outcome, known.expire_ms if known else 0)

    # Keys

    @rule(index=INDEXES, key=KEYS, lazily=st.booleans())
    def delete(self, index: int, key: bytes, lazily: bool) -> None:
        known = self.model.find(index, key, writing=True)
        deleted = self.both(index, lambda db: db.unlink(key) if lazily else db.delete(key))
        assert deleted == (known is not None)
        self.model.databases[index].pop(key, None)

    @rule(index=INDEXES, first=st.integers(0, 300), count=st.integers(1, 200))
    def delete_many(self, index: int, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.delete(index, b"{tag}%d" % number, lazily=False)

    @rule(index=INDEXES, key=KEYS, expire_ms=TIMES)
    def set_expire(self, index: int, key: bytes, expire_ms: int) -> None:
        known = self.model.find(index, key, writing=True)
        assert self.both(index, lambda db: db.set_expire(key, expire_ms)) == (known is not None)
        if known is not None:
            known.expire_ms = expire_ms

    @rule(index=INDEXES, key=KEYS)
    def expire_at_for_write(self, index: int, key: bytes) -> None:
        known = self.model.find(index, key, writing=True)
        expected = -2 if known is None else known.expire_ms or -1
        assert self.both(index, lambda db: db.expire_at_for_write(key)) == expected

    @rule(index=INDEXES, key=KEYS)
    def persist(self, index: int, key: bytes) -> None:
        known = self.model.find(index, key, writing=True)
        assert self.both(index, lambda db: db.persist(key)) == (known is not None and known.expire_ms != 0)
        if known is not None:
            known.expire_ms = 0

    @rule(index=INDEXES, key=KEYS, new_key=KEYS)
    def rename(self, index: int, key: bytes, new_key: bytes) -> None:
        known = self.model.find(index, key, writing=True)
        assert self.both(index, lambda db: db.rename(key, new_key)) == (known is not None)
        if known is not None and key != new_key:
            self.model.find(index, new_key, writing=True)
            del self.model.databases[index][key]
            self.model.databases[index][new_key] = known

    @rule(index=INDEXES, key=KEYS)
    def move(self, index: int, key: bytes) -> None:
        known = self.model.find(index, key, writing=True)
        other = 1 - index
        taken = known is not None and self.model.find(other, key, writing=True) is not None
        moved = self.both(index, lambda db: db.move(key, db.keyspace.databases[other]))
        assert moved == (known is not None and not taken)
        if moved and known is not None:
            self.model.databases[other][key] = self.model.databases[index].pop(key)

    @rule(index=INDEXES, to=INDEXES, key=KEYS, new_key=KEYS, replacing=st.booleans())
    def copy(self, index: int, to: int, key: bytes, new_key: bytes, replacing: bool) -> None:
        if index == to and key == new_key:
            return
        known = self.model.find(index, key)
        taken = known is not None and self.model.find(to, new_key, writing=True) is not None
        copied = self.both(index, lambda db: db.copy(key, db.keyspace.databases[to], new_key, replacing))
        assert copied == (known is not None and (replacing or not taken))
        if copied and known is not None:
            self.model.databases[to][new_key] = replace(known)

    # The whole

    @rule(index=INDEXES, asynchronous=st.booleans())
    def flush(self, index: int, asynchronous: bool) -> None:
        assert self.both(index, lambda db: db.flush(asynchronous)) == len(self.model.databases[index])
        self.model.databases[index].clear()

    @rule()
    def swap(self) -> None:
        for keyspace in self.keyspaces:
            keyspace.swap(0, 1)
        self.model.databases.reverse()

    @rule(budget=st.sampled_from([1, 10, 1000]))
    def free_some(self, budget: int) -> None:
        for keyspace in self.keyspaces:
            before = keyspace.pending_frees
            keyspace.free_some(budget)
            assert keyspace.pending_frees <= before

    @rule(index=INDEXES, count=st.sampled_from([1, 3, 10, 1000]))
    def scan(self, index: int, count: int) -> None:
        known = self.model.databases[index]
        expected = {key for key, one in known.items() if not self.model.is_due(one)}
        for keyspace in self.keyspaces:
            found = scan_all(keyspace.databases[index], count)
            assert len(found) == len(expected)
            assert set(found) == expected
        for key in list(known):
            self.model.find(index, key)

    @rule(index=INDEXES, limit=st.sampled_from([1, 7, 1000]))
    def expire_some(self, index: int, limit: int) -> None:
        if self.model.mode != EXPIRY_DELETE:
            return
        seen, expired, _ = self.both(index, lambda db: db.expire_some(limit))
        assert expired <= seen <= limit
        gone = [key for where, key, _ in self.removed[0][len(self.model.removed) :] if where == index]
        assert len(gone) == expired
        for key in gone:
            assert self.model.is_due(self.model.databases[index][key])
            self.model.find(index, key)

    @rule(index=INDEXES)
    def random_key(self, index: int) -> None:
        self.model_sees_expiries()
        for keyspace in self.keyspaces:
            key = keyspace.databases[index].random_key()
            known = self.model.databases[index]
            assert key in known if known else key is None
        self.model_follows(index)

    def model_sees_expiries(self) -> None:
        """RANDOMKEY removes expired keys that it meets, not the same ones in both twins: let both remove all."""
        if self.model.mode == EXPIRY_DELETE:
            for index in range(DATABASES):
                for key in sorted(self.model.databases[index]):
                    self.model.find(index, key)
                    self.both(index, methodcaller("exists", key))

    def model_follows(self, index: int) -> None:
        """All keys that were due are gone already."""
        assert self.both(index, len) == len(self.model.databases[index])

    # What always holds

    @invariant()
    def sizes_agree(self) -> None:
        for index, known in enumerate(self.model.databases):
            assert self.both(index, len) == len(known)
            assert self.both(index, lambda db: db.volatile_count) == sum(one.expire_ms != 0 for one in known.values())
            in_slot = sum(key_slot(key) == TAG_SLOT for key in known)
            assert self.both(index, lambda db: db.slot_count(TAG_SLOT)) == in_slot

    @invariant()
    def removals_are_reported_alike(self) -> None:
        for removed in self.removed:
            assert sorted(removed) == sorted(self.model.removed)

    @invariant()
    def memory_is_that_of_the_databases(self) -> None:
        for keyspace in self.keyspaces:
            pieces = sum(database.used_bytes for database in keyspace.databases)
            assert 0 <= pieces <= keyspace.used_bytes

    def teardown(self) -> None:
        for index in range(DATABASES):
            for key, known in self.model.databases[index].items():
                if not self.model.is_due(known):
                    assert self.both(index, methodcaller("peek", key)) == known.value
        for keyspace in self.keyspaces:
            empty(keyspace)
            assert keyspace.used_bytes == 0


def report(removed: list[tuple[int, bytes, str]], index: int, key: bytes, reason: str) -> None:
    removed.append((index, key, reason))


def comparable(value: Any) -> Any:
    return tuple(value.items) if isinstance(value, Box) else value


def empty(keyspace: Keyspace) -> None:
    keyspace.flush_all(asynchronous=True)
    while keyspace.free_some(50):
        pass


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
