"""What tests of snapshots share: sinks that collect into dictionaries, and what a keyspace holds as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kvorum.keyspace import snapshot as compiled
from kvorum.keyspace.snapshot import Snapshot, SnapshotSink
from kvorum.keyspace.table import EXPIRY_IGNORE, Keyspace
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.testing.twins import load_plain

SNAPSHOT_TWINS = {"compiled": compiled, "plain": load_plain("kvorum.keyspace.snapshot")}
ELEMENT_LIMIT = 8
BYTE_LIMIT = 2000
FAILURE = OSError("the disk is full")

Contents = dict[tuple[int, bytes], tuple[Any, int, int]]


def deep(value: Any) -> Any:
    """An independent form that can be compared."""
    if isinstance(value, Hash):
        return "hash", dict(value.items())
    if isinstance(value, Set):
        return "set", frozenset(value)
    if isinstance(value, SortedSet):
        return "zset", dict(value.items())
    if isinstance(value, List):
        return "list", list(value)
    return value


def contents(keyspace: Keyspace) -> Contents:
    """By database and key: value, expiry and clock; also of keys that have expired and are still there."""
    found: Contents = {}
    mode, hits, misses = keyspace.expiry_mode, keyspace.hits, keyspace.misses
    keyspace.expiry_mode = EXPIRY_IGNORE
    for database in keyspace.databases:
        for keys in database.key_steps(1000):
            for key in keys:
                expire_ms = database.expire_at(key)
                clock = database.clock(key)
                assert clock is not None
                found[database.index, key] = (deep(database.peek(key)), max(expire_ms, 0), clock)
    keyspace.expiry_mode, keyspace.hits, keyspace.misses = mode, hits, misses
    return found


@dataclass
class Collected:
    """What a sink got. ``fail_at``: that call of ``value`` raises."""

    found: Contents = field(default_factory=dict)
    selected: list[tuple[int, int, int]] = field(default_factory=list)
    calls: int = 0
    fail_at: int = -1


def begin(twin: str, keyspace: Keyspace, collected: Collected, clocks: bool = True, **limits: int) -> Snapshot:
    """A snapshot with limits that are soon reached."""
    module = SNAPSHOT_TWINS[twin]
    base: type[SnapshotSink] = module.SnapshotSink

    class Sink(base):  # type: ignore[valid-type, misc]
        def select(self, index: int, keys: int, expires: int) -> None:
            collected.selected.append((index, keys, expires))

        def value(self, key: bytes, value: Any, expire_ms: int, clock: int) -> None:
            collected.calls += 1
            if collected.calls == collected.fail_at:
                raise FAILURE
            place = collected.selected[-1][0], key
            assert place not in collected.found, "a key came twice"
            collected.found[place] = (deep(value), expire_ms, clock)

    limits = {"element_limit": ELEMENT_LIMIT, "byte_limit": BYTE_LIMIT} | limits
    made: Callable[..., Snapshot] = module.Snapshot
    return made(keyspace, Sink(clocks), **limits)


def without_clocks(found: Contents) -> dict[tuple[int, bytes], tuple[Any, int]]:
    return {place: (value, expire_ms) for place, (value, expire_ms, _) in found.items()}
