"""Snapshots without fork: a keyspace as it was at one moment, taken in small steps while commands go on changing it.

``Snapshot(keyspace, sink)`` begins: from now on the sink is going to get exactly what the databases hold at this
moment, values, expiries and access clocks, each key once, in no promised order. ``step`` does some of it. Keys that
have expired but are still there count as there, with their expiry, as in Redis' files. One snapshot runs at a time.

What is about to change and was not reached is given to the sink before, or kept aside, at the cost of the change and
not of the value:

- Strings, and collections of up to ``ELEMENT_LIMIT`` elements and ``BYTE_LIMIT`` bytes: the record is written at
  once.
- Bigger values that go (deleted, overwritten, expired, evicted, flushed) stay in memory until they are written.
- Bigger hashes, sets and sorted sets that change: the members that change or go are serialized, those added are
  passed over.
- Bigger lists that change: the blocks of some KiB in which they are kept, of which the list copies those that it
  changes. The first change notes where all the blocks are, some nanoseconds for each.
- The first change *in place* (APPEND, SETRANGE, SETBIT) of a string beyond ``BYTE_LIMIT`` copies it. A collection
  that is that big although it is compact (which options can make it) is written at its first change.

A key that is renamed or moved is in the snapshot under its old name, a database that is swapped under its old number;
what is flushed is freed when it has been written. Reads matter only if the sink wants clocks (``clocks``): then the
first read of a key that was not reached has a small string written, and of other values the clock noted.

**Memory.** Beside the keyspace: what left it or was copied, until written; for a collection that is on its way its
serialized elements, up to the size of its record in the file, because a record needs them together and others are
written meanwhile. Collections are on their way from the first change, or their turn, to their end; those that changed
come first, before new keys are looked at. A write load that changes ``n`` big collections in the time of a step has
``n`` of them on their way.

**Bounds.** A step ends when its budget is spent, in elements (keys, members, blocks of lists, buckets looked at; 256
bytes count as another one). What it exceeds that by is one bucket, of some seven keys, or one value that is written
in one go.

**Sinks.** ``SnapshotSink`` in Python gets ``select(index, keys, expires)`` before the first key of a database, and
whenever the database changes, with the numbers of its keys and of those with an expiry at the beginning; and
``value(key, value, expire_ms, clock)``. The value is bytes, or of a class of ``keyspace.types`` and valid only during
the call. Compiled sinks get entries where they lie and big collections in parts: see ``snapshot.pxd``. If a sink
raises, the snapshot ends, and the next ``step`` raises that error; the command in which it happened does not notice.

This module is the plain twin: it keeps any value aside whole, at its cost. ``snapshot.pyx`` serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.keyspace.values import Value

if TYPE_CHECKING:
    from kvorum.keyspace.table import Keyspace, _Contents, _Entry

ELEMENT_LIMIT = 1024
BYTE_LIMIT = 65536
_LAST_EPOCH = 0xFFFF
_UNFINISHED_LIMIT = 60_000


class SnapshotSink:
    """What a snapshot is given to; ``clocks``: whether it needs access clocks as of the beginning."""

    def __init__(self, clocks: bool = False) -> None:
        self.clocks = clocks

    def select(self, index: int, keys: int, expires: int) -> object:
        """The keys that follow are of this database."""
        raise NotImplementedError

    def value(self, key: bytes, value: bytes | Value, expire_ms: int, clock: int) -> object:
        """One key. ``expire_ms`` 0: never. ``clock``: 24 bits as ``Database.clock`` has them."""
        raise NotImplementedError


class Snapshot:
    """One that begins now. RuntimeError: there is another one.

    To be read: ``running``; ``work`` that steps have done, in elements; ``records`` written or held; ``kept_aside``, those of
    them that were about to change.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        sink: SnapshotSink,
        *,
        element_limit: int = ELEMENT_LIMIT,
        byte_limit: int = BYTE_LIMIT,
    ) -> None:
        self.keyspace = keyspace
        self.element_limit = element_limit
        self.byte_limit = byte_limit
        self.work = 0
        self.records = 0
        self.kept_aside = 0
        self._sink = sink
        self._error: BaseException | None = None
        self._epoch = self._begin(keyspace)
        self.running = True
        self._touched: dict[int, int] = {}
        self._selected: int | None = None
        self._flushed: list[_Contents] = []
        self._counts: list[tuple[int, int]] = []
        self._stores: list[_Contents] = []
        self._slots: list[int] | None = None
        self._keys: list[bytes] = []
        for database in keyspace.databases:
            contents = database._contents
            contents.origin = database.index
            self._stores.append(contents)
            self._counts.append((len(contents.entries), len(contents.volatiles.items)))

    def _begin(self, keyspace: Keyspace) -> int:
        """The number of the snapshot."""
        if keyspace._keeper is not None:
            raise RuntimeError("there is a snapshot already")
        if keyspace.unfinished >= _UNFINISHED_LIMIT:
            # Marks that others left which did not come to the end: their numbers are soon used again.
            for database in keyspace.databases:
                for entry in database._contents.entries.values():
                    entry.epoch = 0
            keyspace.unfinished = 0
        keyspace.last_epoch = keyspace.last_epoch % _LAST_EPOCH + 1
        keyspace.unfinished += 1
        keyspace._keeper = self
        keyspace._epoch = keyspace.last_epoch
        return keyspace._epoch

    # Steps

    def step(self, budget: int) -> bool:
        """Go on for about so much work; whether all is done. Raises what the sink raised, and is over then."""
        if not self.running:
            raise RuntimeError("the snapshot is over")
        done = False
        try:
            while budget > 0 and self._error is None and not done:
                work = self._walk()
                done = work == 0
                self.work += work
                budget -= work
        except BaseException as error:
            self._fail(error)
        if done or self._error is not None:
            self._close(done)
        return done

    def abort(self) -> None:
        """End it before its time; the sink gets no more. Nothing is left behind. Once it is over this does nothing."""
        if self.running:
            self._error = None
            self._close(False)

    def _walk(self) -> int:
        """Take the next key; the work, 0: there is none."""
        while not self._keys:
            if not self._stores:
                return 0
            if self._slots is None:
                self._slots = sorted(self._stores[0].slots, reverse=True)
            if self._slots:
                self._keys = [key for _, key in reversed(self._stores[0].slots.get(self._slots.pop(), ()))]
            else:
                self._leave(self._stores.pop(0))
                self._slots = None
        entry = self._stores[0].entries.get(self._keys.pop())
        if entry is None or entry.epoch == self._epoch:
            return 1
        return self._take(self._stores[0], entry)

    def _leave(self, contents: _Contents) -> None:
        for i, flushed in enumerate(self._flushed):
            if flushed is contents:
                self.keyspace._detached.append(self._flushed.pop(i))
                return

    def _take(self, contents: _Contents, entry: _Entry) -> int:
        entry.epoch = self._epoch
        clock = self._touched.pop(id(entry), entry.clock)
        if self._selected != contents.origin:
            self._sink.select(contents.origin, *self._counts[contents.origin])
            self._selected = contents.origin
        value = entry.value
        shown = b"%d" % value if isinstance(value, int) else bytes(value) if isinstance(value, bytearray) else value
        self._sink.value(entry.key, shown, entry.expire_ms, clock)
        self.records += 1
        return 1 + (shown.elements() if isinstance(shown, Value) else len(shown) // 256)

    # What the table asks

    def entry_changes(self, contents: _Contents, entry: _Entry) -> None:
        """An entry without the epoch is about to be changed, moved or removed."""
        try:
            self.kept_aside += 1
            self._take(contents, entry)
        except BaseException as error:
            self._fail(error)

    def entry_touched(self, contents: _Contents, entry: _Entry) -> None:
        """Its access clock alone is about to change."""
        if self._sink.clocks:
            self._touched.setdefault(id(entry), entry.clock)

    def contents_leave(self, contents: _Contents) -> bool:
        """A database is flushed; whether its contents are not to be freed yet."""
        if any(contents is store for store in self._stores):
            self._flushed.append(contents)
            return True
        return False

    # The end

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self.keyspace._epoch = 0

    def _close(self, complete: bool) -> None:
        if complete and self.records != sum(keys for keys, _ in self._counts):
            self._error = RuntimeError("a snapshot has lost keys or taken keys twice")
        self.running = False
        self.keyspace._epoch = 0
        self.keyspace._keeper = None
        if complete and self._error is None:
            self.keyspace.unfinished = 0
        self.keyspace._detached += self._flushed
        self._flushed.clear()
        self._stores.clear()
        self._keys.clear()
        self._touched.clear()
        error, self._error = self._error, None
        if error is not None:
            raise error
