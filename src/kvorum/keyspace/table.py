"""The keyspace: sixteen databases of keys, values and expiry times. The one place where data lives.

Commands act on a ``Database`` and on nothing else. Time and chance are handed in (``Keyspace.now_ms``, the seed); a
removal that no command asked for (expiry, eviction) is reported through ``Keyspace.on_removed``, so that the log gets
its deletion.

Four ways of looking a key up, which differ in their side effects:

======  ==============================  =======  ==========================
 way     used by                         counts   touches the access clock
======  ==============================  =======  ==========================
read    GET, TOUCH, …                   yes      yes, unless ``no_touch``
look    EXISTS, TYPE, TTL, OBJECT       yes      no
write   SET, INCR, DEL, …               no       yes, unless ``no_touch``
peek    snapshots, memory usage         no       no
======  ==============================  =======  ==========================

A key whose expiry has passed is absent for all four. ``expiry_mode`` says what else happens: EXPIRY_DELETE removes it
(not by a peek), EXPIRY_HIDE leaves it where it is (replicas wait for the primary's deletion), EXPIRY_IGNORE treats it
as present (applying a log: only who wrote the log decided what had expired).

Strings that are the canonical decimal form of a 64-bit integer are kept as integers. Values of other types are
objects (see ``values.py``) of which the table keeps a reference.

Who wants to be told of what happens sets bits in ``Keyspace.observed`` (see ``events.py``): ``on_event`` gets the events
that only the table can tell (a miss, a new key), ``ready`` the keys that got an object while somebody waits for one.
``on_modified`` is called by commands, not from here.

While a ``Snapshot`` runs it gets to see what is about to change (see ``snapshot.py``). A value may therefore be changed only
after it was asked for as a write asks: by ``open_object_at``, ``open_object`` or the like, not by ``get_object``.

SCAN: keys are ordered by slot and, within it, by hash; a cursor is a place in that order, so "everything before has
been returned" stays true whatever is inserted or removed meanwhile. Slot and 39 bits of the hash make it a number
below 2**53, which also fits clients that keep cursors in floating-point numbers.

This module is the contract, and the oracle in tests: dictionaries and sorted lists. ``table.pyx`` is what serves.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvorum import errors
from kvorum.errors import CommandError, WrongTypeError
from kvorum.keyspace import events
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.hashing import SLOTS, key_hash, key_slot
from kvorum.keyspace.values import Value

if TYPE_CHECKING:
    from kvorum.keyspace.snapshot import Snapshot

EXPIRY_DELETE = 0
EXPIRY_HIDE = 1
EXPIRY_IGNORE = 2
EXPIRED = "expired"
EVICTED = "evicted"
# Measures of Database.eviction_sample
IDLENESS = 0
FREQUENCY = 1
TIME_TO_LIVE = 2

DEFAULT_HASH_SEED = 0x9216D5D98979FB1B
CURSOR_HASH_BITS = 39
_DROPPED_BITS = 64 - CURSOR_HASH_BITS
_WORD_MASK = (1 << 64) - 1
_CLOCK_MASK = 0xFFFFFF
_CLOCK_RESOLUTION_MS = 1000
_MINUTE_MS = 60_000
_LFU_INITIAL = 5
_SHORT_STRING = 44
_SHORT_INTEGER = 20
_LAZY_ELEMENTS = 64
_RANDOM_TRIES = 100
_HEADER_BYTES = 48
_EXPIRY_BYTES = 16
_INTEGER_MIN, _INTEGER_MAX = -(1 << 63), (1 << 63) - 1

Kept = int | bytes | bytearray | Value


@dataclass(slots=True)
class _Entry:
    key: bytes
    slot: int
    hash: int
    value: Kept
    clock: int = 0
    expire_ms: int = 0
    raw: bool = False
    epoch: int = 0


@dataclass(slots=True)
class _Dense:
    """Entries in no particular order, with O(1) removal and choice: the last takes the place of a removed one."""

    items: list[_Entry] = field(default_factory=list)
    positions: dict[bytes, int] = field(default_factory=dict)

    def add(self, entry: _Entry) -> None:
        self.positions[entry.key] = len(self.items)
        self.items.append(entry)

    def remove(self, entry: _Entry) -> None:
        position = self.positions.pop(entry.key)
        last = self.items.pop()
        if last is not entry:
            self.items[position] = last
            self.positions[last.key] = position


@dataclass(slots=True)
class _Contents:
    """What a database holds; SWAPDB exchanges it and FLUSH puts it aside."""

    entries: dict[bytes, _Entry] = field(default_factory=dict)
    slots: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    everything: _Dense = field(default_factory=_Dense)
    volatiles: _Dense = field(default_factory=_Dense)
    entry_bytes: int = 0
    origin: int = 0


class Keyspace:
    """All databases of a server.

    ``seed``: of the random choices. ``hash_seed``: a constant of the group of servers, so that cursors survive a
    failover.
    """

    def __init__(self, databases: int = 16, seed: int = 1, hash_seed: int = DEFAULT_HASH_SEED) -> None:
        self.now_ms = 0
        self.hits = 0
        self.misses = 0
        self.expired_keys = 0
        self.evicted_keys = 0
        self.freed_lazily = 0
        self.expiry_mode = EXPIRY_DELETE
        self.active_expiry = True
        self.no_touch = False
        self.lfu = False
        self.lfu_log_factor = 10
        self.lfu_decay_time = 1
        self.max_string_bytes = 512 * 1024 * 1024
        self.on_removed: Callable[[int, bytes, str], object] | None = None
        self.observed = 0
        self.on_modified: Callable[[int, bytes, Any], object] | None = None
        self.on_event: Callable[[int, bytes, bytes, int], object] | None = None
        self.ready: list[tuple[int, bytes]] = []
        self.commons = Commons(seed, hash_seed)
        self.random_state = seed & _WORD_MASK or 1
        self.growth_clock: Callable[[], int] | None = None
        self.last_epoch = 0
        self.unfinished = 0
        self._epoch = 0
        self._keeper: Snapshot | None = None
        self._hash_seed = hash_seed
        self._detached: list[_Contents] = []
        self._detached_objects: list[Value] = []
        self._databases = [Database(self, index) for index in range(databases)]

    @property
    def databases(self) -> list[Database]:
        """The databases by index; the objects stay what they are, SWAPDB and FLUSHALL included."""
        return self._databases

    @property
    def hash_seed(self) -> int:
        return self._hash_seed

    # Clocks and chance

    def random_bits(self) -> int:
        """64 random bits: xorshift64*."""
        state = self.random_state
        state ^= state >> 12
        state ^= state << 25 & _WORD_MASK
        state ^= state >> 27
        self.random_state = state
        return state * 0x2545F4914F6CDD1D & _WORD_MASK

    def configure_access_clock(self, policy: str, log_factor: int, decay_minutes: int) -> None:
        """``policy``: that of ``maxmemory-policy``; with an LFU policy the clocks count frequency, else time."""
        self.lfu = policy.endswith("-lfu")
        self.lfu_log_factor = log_factor
        self.lfu_decay_time = decay_minutes

    def growth_statistics(self) -> dict[str, int]:
        """How often tables grew, and the thread CPU time of it that ``growth_clock`` measured: in all, the longest."""
        return {"count": 0, "total_ns": 0, "longest_ns": 0}

    def reset_growth_statistics(self) -> None:
        """Begin anew."""

    def _touch(self, entry: _Entry) -> None:
        if self.no_touch:
            return
        if not self.lfu:
            entry.clock = self._lru_clock()
            return
        counter = self._decayed(entry.clock)
        if counter < 255:
            chance = 1.0 / (max(counter - _LFU_INITIAL, 0) * self.lfu_log_factor + 1)
            counter += (self.random_bits() >> 11) / (1 << 53) < chance
        entry.clock = self._minutes() << 8 | counter

    def _first_clock(self) -> int:
        return self._minutes() << 8 | _LFU_INITIAL if self.lfu else self._lru_clock()

    def _lru_clock(self) -> int:
        return self.now_ms // _CLOCK_RESOLUTION_MS & _CLOCK_MASK

    def _minutes(self) -> int:
        return self.now_ms // _MINUTE_MS & 0xFFFF

    def _decayed(self, clock: int) -> int:
        elapsed = self._minutes() - (clock >> 8) & 0xFFFF
        periods = elapsed // self.lfu_decay_time if self.lfu_decay_time > 0 else 0
        return max((clock & 0xFF) - periods, 0)

    def _idle_ms(self, clock: int) -> int:
        return (self._lru_clock() - clock & _CLOCK_MASK) * _CLOCK_RESOLUTION_MS

    # Memory

    @property
    def used_bytes(self) -> int:
        """Bytes of all databases, and of what was flushed and is not freed yet."""
        return sum(database.used_bytes for database in self._databases) + sum(one.entry_bytes for one in self._detached)

    @property
    def reserved_bytes(self) -> int:
        """What was taken from the system for entries and tables, used or not."""
        return self.used_bytes

    @property
    def pending_frees(self) -> int:
        """Entries and objects that wait for ``free_some``."""
        return len(self._detached_objects) + sum(len(one.entries) for one in self._detached)

    def free_some(self, budget_entries: int) -> int:
        """Free about so many entries of what was flushed or unlinked; what work was done, 0: nothing is left to do."""
        freed = 0
        while self._detached_objects and freed < budget_entries:
            release = getattr(self._detached_objects[-1], "release_some", None)
            done = release(budget_entries - freed) if release is not None else 0
            if not done:
                self._detached_objects.pop()
                self.freed_lazily += 1
            freed += done or 1
        while self._detached and freed < budget_entries:
            contents = self._detached[-1]
            while contents.entries and freed < budget_entries:
                _, entry = contents.entries.popitem()
                contents.entry_bytes -= _entry_bytes(entry)
                freed += 1
                self.freed_lazily += 1
            if not contents.entries:
                self._detached.pop()
                freed += 1
        return freed

    def swap(self, first: int, second: int) -> None:
        """Exchange what two databases hold."""
        one, other = self._databases[first], self._databases[second]
        one._contents, other._contents = other._contents, one._contents
        one.average_ttl_ms, other.average_ttl_ms = other.average_ttl_ms, one.average_ttl_ms
        one.expiry_position, other.expiry_position = other.expiry_position, one.expiry_position

    def flush_all(self, asynchronous: bool = False) -> int:
        """Empty every database; how many keys there were."""
        return sum(database.flush(asynchronous) for database in self._databases)


class Database:
    """One numbered database. Keys and strings are bytes; times are Unix milliseconds."""

    def __init__(self, keyspace: Keyspace, index: int) -> None:
        self.keyspace = keyspace
        self.index = index
        self.average_ttl_ms = 0
        self.expiry_position = 0
        self._contents = _Contents()

    # Lookups

    def _is_due(self, entry: _Entry) -> bool:
        keyspace = self.keyspace
        return 0 != entry.expire_ms < keyspace.now_ms and keyspace.expiry_mode != EXPIRY_IGNORE

    def _find(self, key: bytes, counted: bool, touched: bool, told: bool = True) -> _Entry | None:
        keyspace = self.keyspace
        entry = self._contents.entries.get(key)
        if entry is not None and self._is_due(entry):
            if keyspace.expiry_mode == EXPIRY_DELETE:
                self._expire(entry)
            entry = None
        if counted:
            keyspace.hits += entry is not None
            keyspace.misses += entry is None
            if entry is None and told and keyspace.observed & events.EVENTS_OF_MISSES and keyspace.on_event is not None:
                keyspace.on_event(events.KEY_MISS, b"keymiss", key, self.index)
        if touched and entry is not None:
            if not keyspace.no_touch:
                self._will_touch(entry)
            keyspace._touch(entry)
        return entry

    def _will_touch(self, entry: _Entry) -> None:
        keyspace = self.keyspace
        if keyspace._keeper is not None and entry.epoch != keyspace._epoch != 0:
            keyspace._keeper.entry_touched(self._contents, entry)

    def _will_change(self, entry: _Entry) -> None:
        keyspace = self.keyspace
        if keyspace._keeper is not None and entry.epoch != keyspace._epoch != 0:
            keyspace._keeper.entry_changes(self._contents, entry)

    def _read(self, key: bytes) -> _Entry | None:
        return self._find(key, counted=True, touched=True)

    def _look(self, key: bytes) -> _Entry | None:
        return self._find(key, counted=True, touched=False)

    def _write(self, key: bytes) -> _Entry | None:
        entry = self._find(key, counted=False, touched=False)
        if entry is not None:
            self._will_change(entry)
            self.keyspace._touch(entry)
        if entry is None and self.keyspace.expiry_mode == EXPIRY_HIDE and key in self._contents.entries:
            self._remove(self._contents.entries[key])
        return entry

    def _peek(self, key: bytes) -> _Entry | None:
        entry = self._contents.entries.get(key)
        return None if entry is None or self._is_due(entry) else entry

    # Changes: all of them go through these four

    def _add(self, entry: _Entry) -> None:
        contents = self._contents
        entry.epoch = self.keyspace._epoch
        contents.entries[entry.key] = entry
        insort(contents.slots.setdefault(entry.slot, []), (entry.hash, entry.key))
        contents.everything.add(entry)
        if entry.expire_ms:
            contents.volatiles.add(entry)
        contents.entry_bytes += _entry_bytes(entry)

    def _remove(self, entry: _Entry) -> None:
        contents = self._contents
        self._will_change(entry)
        del contents.entries[entry.key]
        order = contents.slots[entry.slot]
        del order[bisect_left(order, (entry.hash, entry.key))]
        if not order:
            del contents.slots[entry.slot]
        contents.everything.remove(entry)
        if entry.expire_ms:
            contents.volatiles.remove(entry)
        contents.entry_bytes -= _entry_bytes(entry)

    def _change_value(self, entry: _Entry, value: Kept, raw: bool = False) -> None:
        self._contents.entry_bytes -= _entry_bytes(entry)
        entry.value = value
        entry.raw = raw
        self._contents.entry_bytes += _entry_bytes(entry)

    def _change_expiry(self, entry: _Entry, expire_ms: int) -> None:
        volatiles = self._contents.volatiles
        self._contents.entry_bytes -= _entry_bytes(entry)
        if entry.expire_ms and not expire_ms:
            volatiles.remove(entry)
        elif expire_ms and not entry.expire_ms:
            volatiles.add(entry)
        entry.expire_ms = expire_ms
        self._contents.entry_bytes += _entry_bytes(entry)

    def _expire(self, entry: _Entry) -> None:
        self._remove(entry)
        self.keyspace.expired_keys += 1
        if self.keyspace.on_removed is not None:
            self.keyspace.on_removed(self.index, entry.key, EXPIRED)

    def _put(self, key: bytes, value: Kept, expire_ms: int, keep_ttl: bool, raw: bool = False) -> None:
        entry = self._write(key)
        if entry is None:
            fresh = _Entry(key, key_slot(key), key_hash(key, self.keyspace.hash_seed), value)
            fresh.clock, fresh.expire_ms, fresh.raw = self.keyspace._first_clock(), expire_ms, raw
            self._add(fresh)
            self._announce(fresh)
            return
        self._change_value(entry, value, raw)
        if not keep_ttl:
            self._change_expiry(entry, expire_ms)

    def _announce(self, entry: _Entry) -> None:
        """There is a new key; tell who asked for that. As with Redis, a value in another's place is no arrival."""
        keyspace = self.keyspace
        if keyspace.observed & events.ARRIVALS and isinstance(entry.value, Value):
            keyspace.ready.append((self.index, entry.key))
        if keyspace.observed & events.EVENTS_OF_NEW_KEYS and keyspace.on_event is not None:
            keyspace.on_event(events.NEW_KEY, b"new", entry.key, self.index)

    # Values

    def get(self, key: bytes) -> bytes | Value | None:
        """The value whatever its type; a read."""
        entry = self._read(key)
        return None if entry is None else _shown(entry.value)

    def peek(self, key: bytes) -> bytes | Value | None:
        """The value, without any side effect."""
        entry = self._peek(key)
        return None if entry is None else _shown(entry.value)

    def peek_many(self, keys: Iterable[bytes]) -> list[bytes | Value | None]:
        """``peek`` of each."""
        return [self.peek(key) for key in keys]

    def put_value(self, key: bytes, value: bytes | Value, expire_ms: int = 0, keep_ttl: bool = False) -> None:
        """Store a value of any type; otherwise as ``set_string``."""
        if isinstance(value, bytes):
            self.set_string(key, value, expire_ms, keep_ttl)
        else:
            self.set_object(key, value, expire_ms, keep_ttl)

    def get_string(self, key: bytes) -> bytes | None:
        """A read; WrongTypeError for another type."""
        entry = self._read(key)
        return None if entry is None else _text(entry)

    def set_string(self, key: bytes, value: bytes, expire_ms: int = 0, keep_ttl: bool = False) -> None:
        """Store a string in place of whatever was there. ``expire_ms`` 0: never; ``keep_ttl``: an old expiry stays."""
        self._put(key, _kept(value), expire_ms, keep_ttl)

    def string_length(self, key: bytes) -> int:
        """A read; 0 if absent."""
        return len(self.get_string(key) or b"")

    def get_range(self, key: bytes, start: int, end: int) -> bytes:
        """The bytes from ``start`` to ``end``, both inclusive; negative ones count from the end. A read."""
        text = self.get_string(key) or b""
        if start < 0 and end < 0 and start > end:
            return b""  # before anything is clipped, as in Redis
        if start < 0:
            start = max(start + len(text), 0)
        if end < 0:
            end = max(end + len(text), 0)
        return text[start : end + 1] if start <= end else b""

    def set_range(self, key: bytes, offset: int, value: bytes) -> int:
        """Overwrite from ``offset`` on, padding with zeros; the new length. Nothing to write: it is only a read."""
        if not value:
            return self.string_length(key)
        buffer = self._opened(key, offset + len(value))
        buffer[offset : offset + len(value)] = value
        return len(buffer)

    def append(self, key: bytes, value: bytes) -> int:
        """The new length."""
        entry = self._peek(key)
        if entry is None:
            if len(value) > self.keyspace.max_string_bytes:
                raise CommandError(errors.STRING_TOO_LONG)
            self.set_string(key, value)
            return len(value)
        before = len(_text(entry))
        buffer = self._opened(key, before + len(value))
        buffer[before:] = value
        return len(buffer)

    def set_bit(self, key: bytes, offset: int, bit: bool) -> int:
        """The bit that was there; bits are counted from the most significant one of the first byte."""
        buffer = self._opened(key, (offset >> 3) + 1)
        mask = 0x80 >> (offset & 7)
        before = buffer[offset >> 3] & mask
        buffer[offset >> 3] = buffer[offset >> 3] | mask if bit else buffer[offset >> 3] & ~mask
        return int(before != 0)

    def _opened(self, key: bytes, minimum: int) -> bytearray:
        """The string as bytes to be changed in place, at least so long. It must keep its length."""
        entry = self._write(key)
        text = b"" if entry is None else _text(entry)
        if max(minimum, len(text)) > self.keyspace.max_string_bytes:
            raise CommandError(errors.STRING_TOO_LONG)
        buffer = bytearray(text.ljust(minimum, b"\0"))
        if entry is None:
            self._put(key, buffer, 0, keep_ttl=False, raw=True)
        else:
            self._change_value(entry, buffer, raw=True)
        return buffer

    def increment(self, key: bytes, delta: int) -> int:
        """Add to an integer (absent: 0); the sum. The expiry stays."""
        entry = self._write(key)
        number = 0
        if entry is not None:
            kept = _kept(_text(entry))
            if not isinstance(kept, int):
                raise CommandError(errors.NOT_AN_INTEGER)
            number = kept
        number += delta
        if not _INTEGER_MIN <= number <= _INTEGER_MAX:
            raise CommandError(errors.INCREMENT_OVERFLOW)
        if entry is None:
            self._put(key, number, 0, keep_ttl=False)
        else:
            self._change_value(entry, number)
        return number

    def get_object(self, key: bytes) -> Value | None:
        """A value that is not a string; a read. WrongTypeError for a string; its type is for the caller to check."""
        entry = self._read(key)
        if entry is None:
            return None
        if isinstance(entry.value, int | bytes | bytearray):
            raise WrongTypeError
        return entry.value

    def open_object_at(self, key: bytes) -> Value | None:
        """As ``get_object``, but as a write asks."""
        entry = self._write(key)
        if entry is None:
            return None
        if isinstance(entry.value, int | bytes | bytearray):
            raise WrongTypeError
        return entry.value

    def expire_if_due(self, key: bytes) -> bool:
        """Remove the key if its time has come, with no other trace; whether it had."""
        entry = self._contents.entries.get(key)
        if entry is None or not self._is_due(entry):
            return False
        self._find(key, counted=False, touched=False)
        return True

    def set_object(self, key: bytes, value: Value, expire_ms: int = 0, keep_ttl: bool = False) -> None:
        """Store a value of another type in place of whatever was there. The object must not be stored elsewhere."""
        value.accounted_bytes = value.used_bytes()
        self._put(key, value, expire_ms, keep_ttl)

    def remeasure(self, value: Value) -> None:
        """A value that is stored in this database has changed its size."""
        size = value.used_bytes()
        self._contents.entry_bytes += size - value.accounted_bytes
        value.accounted_bytes = size

    # Keys

    def exists(self, key: bytes) -> bool:
        return self._look(key) is not None

    def touch(self, key: bytes) -> bool:
        """A read of nothing; whether the key is there."""
        return self._read(key) is not None

    def lookup_for_write(self, key: bytes) -> bool:
        """Whether the key is there, as a write asks."""
        return self._write(key) is not None

    def delete(self, key: bytes) -> bool:
        """Whether the key was there."""
        entry = self._write(key)
        if entry is not None:
            self._remove(entry)
        return entry is not None

    def unlink(self, key: bytes) -> bool:
        """As ``delete``, but a value of many elements is freed later, by ``Keyspace.free_some``."""
        entry = self._write(key)
        if entry is None:
            return False
        if not isinstance(entry.value, int | bytes | bytearray) and entry.value.elements() > _LAZY_ELEMENTS:
            self.keyspace._detached_objects.append(entry.value)
        self._remove(entry)
        return True

    def type_name(self, key: bytes) -> bytes | None:
        """The word that TYPE answers; None: no key."""
        entry = self._look(key)
        if entry is None:
            return None
        return b"string" if isinstance(entry.value, int | bytes | bytearray) else entry.value.kind

    def encoding(self, key: bytes) -> bytes | None:
        """The word that OBJECT ENCODING answers; None: no key."""
        entry = self._find(key, counted=True, touched=False, told=False)
        if entry is None:
            return None
        value = entry.value
        if isinstance(value, int):
            return b"int"
        if isinstance(value, bytes | bytearray):
            return b"embstr" if len(value) <= _SHORT_STRING and not entry.raw else b"raw"
        return value.encoding()

    def expire_at(self, key: bytes) -> int:
        """Milliseconds; -1: never, -2: no key."""
        entry = self._look(key)
        if entry is None:
            return -2
        return entry.expire_ms or -1

    def expire_at_for_write(self, key: bytes) -> int:
        """``expire_at`` as a write asks."""
        entry = self._write(key)
        if entry is None:
            return -2
        return entry.expire_ms or -1

    def set_expire(self, key: bytes, expire_ms: int) -> bool:
        """Whether the key is there. A time that has passed is not treated otherwise. 0: never."""
        entry = self._write(key)
        if entry is not None:
            self._change_expiry(entry, expire_ms)
        return entry is not None

    def persist(self, key: bytes) -> bool:
        """Whether the key had an expiry."""
        entry = self._write(key)
        if entry is None or not entry.expire_ms:
            return False
        self._change_expiry(entry, 0)
        return True

    def rename(self, key: bytes, new_key: bytes) -> bool:
        """Give a key another name, in place of whatever has it; the expiry goes along. Whether the key was there."""
        entry = self._write(key)
        if entry is None or key == new_key:
            return entry is not None
        self.delete(new_key)
        self._remove(entry)
        entry.key, entry.slot, entry.hash = new_key, key_slot(new_key), key_hash(new_key, self.keyspace.hash_seed)
        self._add(entry)
        self._announce(entry)
        return True

    def move(self, key: bytes, destination: Database) -> bool:
        """Move a key to another database. False: it is not there, or the destination has such a key."""
        entry = self._write(key)
        if entry is None or destination._write(key) is not None:
            return False
        self._remove(entry)
        destination._add(entry)
        destination._announce(entry)
        return True

    def copy(self, key: bytes, destination: Database, new_key: bytes, replace: bool = False) -> bool:
        """Copy value and expiry. False: the key is not there, or the other one is and ``replace`` is not."""
        assert destination is not self or key != new_key, "a key copied onto itself"
        entry = self._read(key)
        if entry is None:
            return False
        if destination._write(new_key) is not None:
            if not replace:
                return False
            destination.delete(new_key)
        value = entry.value
        if not isinstance(value, int | bytes):
            value = value.copy()
        if not isinstance(value, int | bytes | bytearray):
            value.accounted_bytes = value.used_bytes()
        destination._put(new_key, value, entry.expire_ms, keep_ttl=False, raw=entry.raw)
        return True

    # Walking

    def __len__(self) -> int:
        """Keys, those included that have expired and are still there."""
        return len(self._contents.entries)

    @property
    def volatile_count(self) -> int:
        """Keys that have an expiry."""
        return len(self._contents.volatiles.items)

    @property
    def used_bytes(self) -> int:
        """Of entries, tables and values."""
        return self._contents.entry_bytes

    @property
    def table_bytes(self) -> int:
        """Of the tables alone."""
        return 0

    @property
    def expiry_bytes(self) -> int:
        """Of the index of keys that have an expiry."""
        return 0

    def scan(self, cursor: int, count: int = 10) -> tuple[int, list[bytes]]:
        """About ``count`` keys from a cursor on, and the next cursor; 0 begins, and 0 is returned at the end.

        A key that is there from the first call to the last is returned. One may be returned twice.
        """
        cursor, keys, due = self._page(cursor, count)
        if self.keyspace.expiry_mode == EXPIRY_DELETE:
            for entry in due:
                self._expire(entry)
        return cursor, keys

    def _page(self, cursor: int, count: int) -> tuple[int, list[bytes], list[_Entry]]:
        """The next cursor, the living keys from a cursor on, and the expired entries that were met."""
        keys: list[bytes] = []
        due: list[_Entry] = []
        for slot, hash_, entry in self._from(cursor):
            if len(keys) >= count:
                return slot << CURSOR_HASH_BITS | hash_ >> _DROPPED_BITS, keys, due
            if self._is_due(entry):
                due.append(entry)
            else:
                keys.append(entry.key)
        return 0, keys, due

    def _from(self, cursor: int) -> Iterator[tuple[int, int, _Entry]]:
        contents = self._contents
        first, least = cursor >> CURSOR_HASH_BITS, (cursor << _DROPPED_BITS) & _WORD_MASK
        for slot in sorted(slot for slot in contents.slots if slot >= first):
            order = contents.slots[slot]
            begin = bisect_left(order, (least, b"")) if slot == first else 0
            for hash_, key in order[begin:]:
                yield slot, hash_, contents.entries[key]

    def key_steps(self, count: int) -> Iterator[list[bytes]]:
        """All living keys, about ``count`` at a time. Removes nothing; nothing may be changed between two steps."""
        cursor = 0
        while True:
            cursor, keys, _ = self._page(cursor, count)
            yield keys
            if cursor == 0:
                return

    def slot_count(self, slot: int) -> int:
        """Keys of a slot."""
        return len(self._contents.slots.get(slot, ()))

    def slot_keys(self, slot: int, count: int) -> list[bytes]:
        """Up to ``count`` keys of a slot."""
        entries = self._contents.entries
        keys = [key for _, key in self._contents.slots.get(slot, ()) if not self._is_due(entries[key])]
        return keys[: max(count, 0)] if slot < SLOTS else []

    def random_key(self) -> bytes | None:
        """Any key that has not expired, if one can be found soon; None: there are no keys."""
        key: bytes | None = None
        for _ in range(_RANDOM_TRIES):
            key = self.random_present_key()
            if key is None or self._peek(key) is not None:
                break
            self._find(key, counted=False, touched=False)
        return key

    # Expiry and eviction

    def expire_some(self, limit: int) -> tuple[int, int, int]:
        """Walk on over up to ``limit`` keys that have an expiry; at the end of a lap it stops early.

        Returns how many were looked at, how many of them had expired and are removed now, and the time that the
        others still have, summed up in ms.
        """
        volatiles = self._contents.volatiles.items
        seen = expired = remaining_ms = 0
        while seen < limit and volatiles:
            if self.expiry_position <= 0 or self.expiry_position > len(volatiles):
                if seen > 0 and self.expiry_position <= 0:
                    break
                self.expiry_position = len(volatiles)
            self.expiry_position -= 1
            entry = volatiles[self.expiry_position]
            seen += 1
            if entry.expire_ms < self.keyspace.now_ms:
                expired += 1
                self._expire(entry)
            else:
                remaining_ms += entry.expire_ms - self.keyspace.now_ms
        return seen, expired, remaining_ms

    def random_present_key(self) -> bytes | None:
        """Any key, expired or not."""
        return self._random(self._contents.everything)

    def random_volatile_key(self) -> bytes | None:
        """Any key that has an expiry, passed or not."""
        return self._random(self._contents.volatiles)

    def _random(self, entries: _Dense) -> bytes | None:
        return entries.items[self.keyspace.random_bits() % len(entries.items)].key if entries.items else None

    def eviction_sample(self, count: int, volatile_only: bool, measure: int) -> list[tuple[int, bytes]]:
        """Up to ``count`` keys, each as (score, key): the higher the score, the better to lose it."""
        among = self._contents.volatiles if volatile_only else self._contents.everything
        drawn = [self._random(among) for _ in range(count)]
        return [(self._score(self._contents.entries[key], measure), key) for key in drawn if key is not None]

    def _score(self, entry: _Entry, measure: int) -> int:
        if measure == IDLENESS:
            return self.keyspace._idle_ms(entry.clock)
        if measure == FREQUENCY:
            return 255 - self.keyspace._decayed(entry.clock)
        return -(entry.expire_ms or _INTEGER_MAX)

    def evict(self, key: bytes, volatile_only: bool = False) -> bool:
        """Remove a key for want of memory; False: it is not there, or has no expiry although it must."""
        entry = self._contents.entries.get(key)
        if entry is None or (volatile_only and not entry.expire_ms):
            return False
        self._remove(entry)
        self.keyspace.evicted_keys += 1
        if self.keyspace.on_removed is not None:
            self.keyspace.on_removed(self.index, key, EVICTED)
        return True

    # Facts about a key

    def idle_seconds(self, key: bytes) -> int | None:
        """Since the last access, as the LRU clock knows it."""
        entry = self._look(key)
        return None if entry is None else self.keyspace._idle_ms(entry.clock) // 1000

    def set_idle_seconds(self, key: bytes, seconds: int) -> bool:
        """Make it so long; whether the key is there."""
        entry = self._peek(key)
        if entry is not None:
            self._will_touch(entry)
            entry.clock = self.keyspace.now_ms // _CLOCK_RESOLUTION_MS - seconds & _CLOCK_MASK
        return entry is not None

    def frequency(self, key: bytes) -> int | None:
        """The logarithmic access counter, 0 to 255, as of now."""
        entry = self._look(key)
        return None if entry is None else self.keyspace._decayed(entry.clock)

    def set_frequency(self, key: bytes, frequency: int) -> bool:
        """Make it so high; whether the key is there."""
        entry = self._peek(key)
        if entry is not None:
            self._will_touch(entry)
            entry.clock = self.keyspace._minutes() << 8 | frequency & 0xFF
        return entry is not None

    def clock(self, key: bytes) -> int | None:
        """The raw access clock, 24 bits."""
        entry = self._peek(key)
        return None if entry is None else entry.clock

    def entry_bytes(self, key: bytes) -> int | None:
        """What a key costs, its value included; a peek."""
        entry = self._peek(key)
        return None if entry is None else _entry_bytes(entry)

    def entry_address(self, key: bytes) -> int | None:
        """Where in memory a key is kept, for DEBUG: it stays there while its value is changed in place; a peek."""
        entry = self._peek(key)
        return None if entry is None else id(entry)

    # The whole

    def flush(self, asynchronous: bool = False) -> int:
        """Remove all keys, how many; with ``asynchronous`` their memory is freed later, by ``Keyspace.free_some``."""
        contents = self._contents
        self._contents = _Contents()
        self.average_ttl_ms = self.expiry_position = 0
        keeper = self.keyspace._keeper
        if contents.entries and asynchronous and not (keeper is not None and keeper.contents_leave(contents)):
            self.keyspace._detached.append(contents)
        return len(contents.entries)

    # The names that hot handlers use with spans, which are bytes here

    read_string = get_string
    read_range = get_range
    string_size = string_length
    append_string = append
    write_range = set_range
    increment_string = increment
    read_object = get_object
    open_object = open_object_at
    contains = exists
    remove = delete
    unlink_key = unlink
    expiry_ms = expire_at
    write_expiry = set_expire

    def read_string_or_absent(self, key: bytes) -> bytes | None:
        """A read; None also for a value of another type."""
        value = self.get(key)
        return value if isinstance(value, bytes) else None

    def write_string(self, key: bytes, value: bytes) -> None:
        """SET without options."""
        self.set_string(key, value)

    def write_string_expiring(self, key: bytes, value: bytes, expire_ms: int, keep_ttl: bool) -> None:
        """SET with an expiry."""
        self.set_string(key, value, expire_ms, keep_ttl)

    def write_object(self, key: bytes, value: Value, expire_ms: int, keep_ttl: bool) -> None:
        """As ``set_object``."""
        self.set_object(key, value, expire_ms, keep_ttl)


def _kept(text: bytes) -> int | bytes:
    """How a string is kept: as an integer if it is the canonical form of one."""
    if len(text) <= _SHORT_INTEGER and text.removeprefix(b"-").isdigit():
        number = int(text)
        if b"%d" % number == text and _INTEGER_MIN <= number <= _INTEGER_MAX:
            return number
    return text


def _shown(value: Kept) -> bytes | Value:
    if isinstance(value, int):
        return b"%d" % value
    return bytes(value) if isinstance(value, bytearray) else value


def _text(entry: _Entry) -> bytes:
    value = _shown(entry.value)
    if not isinstance(value, bytes):
        raise WrongTypeError
    return value


def _entry_bytes(entry: _Entry) -> int:
    value = entry.value
    if isinstance(value, int):
        size = 8
    elif isinstance(value, bytes | bytearray):
        size = len(value)
    else:
        size = value.accounted_bytes
    return _HEADER_BYTES + len(entry.key) + size + (_EXPIRY_BYTES if entry.expire_ms else 0)
