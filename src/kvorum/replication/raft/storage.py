"""The journal as the core's storage: what it reads, and the writing side for the driver.

Recent entries are kept in memory, up to ``CACHE_BYTES``; older ones are read from the journal's files again, where
``journal.offsets`` says. What a full disk has not taken yet (``Journal.failed``) is always among those in memory.

Everything that was appended shows at once, as the core's contract asks; what is safe on disk the journal says
(``durable_index``). A DiskError of the journal passes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvorum.journal.disk import DiskError
from kvorum.journal.offsets import Place
from kvorum.journal.reading import read_from
from kvorum.replication.raft.core.entries import (
    ENTRY_HEADER_BYTES,
    ConfState,
    Entry,
    HardState,
    Snapshot,
    entries_size,
    limit_size,
)
from kvorum.replication.raft.core.errors import CompactedError, InvariantError, UnavailableError
from kvorum.replication.raft.entry_data import from_disk, to_disk

if TYPE_CHECKING:
    from kvorum.journal.journal import Journal

CACHE_BYTES: Final = 16 << 20
MOST_CACHED: Final = 1 << 16


class JournalStorage:
    """``hard_state`` and ``conf_state`` are those of the start; ``conf_state`` is the one as of ``Config.applied``, which need
    not be that of ``snapshot``, the base."""

    def __init__(
        self,
        journal: Journal,
        hard_state: HardState,
        conf_state: ConfState,
        snapshot: Snapshot,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.journal = journal
        self._hard_state = hard_state
        self._conf_state = conf_state
        self._snapshot = snapshot
        self._last = journal.index
        self._first = journal.offsets.base_index + 1
        self._cache_bytes = cache_bytes
        self._cache: list[Entry] = []
        self._cached_bytes = 0
        self._cached_from = self._last + 1
        self._next_place: Place | None = None  # where the last reading ended

    # What the core reads

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self._hard_state, self._conf_state

    def first_index(self) -> int:
        # A base that has replaced files is told of a little later.
        oldest: int = self.journal.offsets.base_index + 1
        return max(self._first, oldest)

    def last_index(self) -> int:
        return self._last

    @property
    def in_memory_from(self) -> int:
        """Entries from this one on need not be read from files."""
        return self._cached_from

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def term(self, index: int) -> int:
        if index < self.first_index() - 1:
            raise CompactedError
        if index > self._last:
            raise UnavailableError
        term: int = self.journal.offsets.term(index)
        return term

    def entries(self, low: int, high: int, max_size: int) -> list[Entry]:
        if low < self.first_index():
            raise CompactedError
        if high > self._last + 1:
            raise UnavailableError
        if low >= self._cached_from:
            return limit_size(self._cache[low - self._cached_from : high - self._cached_from], max_size)
        found = self._read(low, min(high, self._cached_from), max_size)
        room = max_size - entries_size(found)
        if low + len(found) == self._cached_from < high and room > 0:
            rest = self._cache[: high - self._cached_from]
            if ENTRY_HEADER_BYTES + len(rest[0].data) <= room:
                found += limit_size(rest, room)
        return found

    def _read(self, low: int, high: int, max_size: int) -> list[Entry]:
        """Entries ``low`` to ``high - 1`` from the files, as many as fit, but at least one."""
        found: list[Entry] = []
        size = 0
        full = False

        def take(index: int, term: int, time_ms: int, database: int, body: bytes) -> bool:
            nonlocal size, full
            entry = from_disk(index, term, time_ms, database, body)
            size += ENTRY_HEADER_BYTES + len(entry.data)
            full = bool(found) and size > max_size
            if full:
                return False
            found.append(entry)
            return True

        while (wanted := low + len(found)) < high and not full:
            self._next_place = read_from(self.journal.disk, self._place(wanted), wanted, high, take)
            if wanted == low + len(found) and not full:
                raise InvariantError(f"entry {wanted} is not in the log, which should have it")
        return found

    def _place(self, index: int) -> Place:
        """Where to read from: where the last reading ended, if that is just there and its file goes on."""
        place: Place = self.journal.offsets.place(index)
        after = self._next_place
        if after is not None and after.index == index and after.path == place.path:
            return after
        return place

    # What the driver writes

    def append(self, entries: Sequence[Entry]) -> None:
        """Write these; whatever was there from the first of them on is cut off before, safely on disk.

        What waits for a promise notes ``journal.written`` afterwards: it is true when ``journal.safe`` has come there, which
        a truncation does not turn back; ``journal.durable_index`` it does.

        :raises DiskError: nothing was changed (``journal.failed``), or the node has to stop (``journal.broken``).
        """
        if not entries:
            return
        first = entries[0].index
        if not self._first <= first <= self._last + 1:
            raise InvariantError(
                f"entries from {first} on do not fit a log with those from {self._first} to {self._last}"
            )
        if first <= self._last:
            self._truncate(first)
        journal = self.journal
        for entry in entries:
            time_ms, database, data, start = to_disk(entry)
            journal.write_entry(entry.index, entry.term, time_ms, database, data, start)
        broken: DiskError | None = journal.broken
        if broken is not None:
            raise broken
        self._last = entries[-1].index
        self._remember(entries)

    def _truncate(self, first: int) -> None:
        self.journal.truncate_after(first - 1)
        self._next_place = None
        self._last = first - 1
        if first <= self._cached_from:
            self._forget()
        else:
            gone = self._cache[first - self._cached_from :]
            del self._cache[first - self._cached_from :]
            self._cached_bytes -= entries_size(gone)

    def _remember(self, entries: Sequence[Entry]) -> None:
        self._cache += entries
        self._cached_bytes += entries_size(entries)
        if self._cached_bytes > self._cache_bytes or len(self._cache) > MOST_CACHED:
            self._trim()

    def _trim(self) -> None:
        """Let go of the oldest: a quarter more than must be, so that it is done seldom. What is in no file stays."""
        bytes_wanted, count_wanted = self._cache_bytes * 3 // 4, MOST_CACHED * 3 // 4
        most = self.journal.written_index + 1 - self._cached_from
        gone = 0
        while gone < most and (self._cached_bytes > bytes_wanted or len(self._cache) - gone > count_wanted):
            self._cached_bytes -= ENTRY_HEADER_BYTES + len(self._cache[gone].data)
            gone += 1
        del self._cache[:gone]
        self._cached_from += gone

    def _forget(self) -> None:
        self._cache = []
        self._cached_bytes = 0
        self._cached_from = self._last + 1

    def note_written(self, index: int) -> None:
        """The journal was written without the core up to this entry, by the only voter."""
        assert self._last <= index <= self.journal.index
        self._last = index
        self._forget()

    def rebased(self, snapshot: Snapshot) -> None:
        """There is a new base; entries that it holds stay readable as long as the journal keeps their files."""
        oldest: int = self.journal.offsets.base_index + 1
        self.compacted(max(oldest, self._first), snapshot)

    def compacted(self, first_index: int, snapshot: Snapshot) -> None:
        """There is a new base. Entries before ``first_index``, which are in it and applied, need not be there any more."""
        assert self._first <= first_index <= snapshot.index + 1
        self._snapshot = snapshot
        self._first = first_index
        self.journal.offsets.drop_before(first_index)
        if self._cached_from < first_index:
            gone = self._cache[: first_index - self._cached_from]
            del self._cache[: first_index - self._cached_from]
            self._cached_bytes -= entries_size(gone)
            self._cached_from = first_index

    def install(self, path: str, snapshot: Snapshot) -> str:
        """The received file at ``path`` takes the place of everything: see ``Journal.install_base``. Returns where the base is
        then. DiskError."""
        base: str = self.journal.install_base(path, snapshot.index, snapshot.term)
        self._snapshot = snapshot
        self._last = snapshot.index
        self._first = snapshot.index + 1
        self._next_place = None
        self._forget()
        return base
