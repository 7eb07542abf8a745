"""The log of effects while a turn lasts.

Executing a write yields effects: plain, deterministic Redis commands, the same that redis-server sends to its replicas.
During a turn of the reactor they gather here as one batch of RESP commands. At the end of the turn ``commit`` hands the
batch, as one piece, to the journal and to every sink (replication, ...) and moves the position forward. Messages (PUBLISH)
are for the sinks alone: they are no data, and the journal gets the batch without them.

Invariants: the effects of one command stand together, in MULTI/EXEC when there are several, and so do those of one
transaction; a batch names its database
before its first effect; what a command removed because it had expired comes before the command's own effect.

The compiled twin copies a request that is its own effect straight from the receive buffer.
"""

from __future__ import annotations

from kvorum.journal.batches import MESSAGES, JournalSink, Sink, hand_on, without
from kvorum.resp.writer import Writer


class Effects:
    """The effects of this turn, and the position that the log has reached: bytes of RESP since the start.

    ``commands`` counts effects, ``messages`` what was published. ``removed_keys``, if it is a list, gets the key of every
    expired or evicted key.
    """

    def __init__(self) -> None:
        self.batch = Writer(2)
        self.database = -1
        self.committed_bytes = 0
        self.commands = 0
        self.messages = 0
        self.journal: JournalSink | None = None
        self.sinks: list[Sink] = []
        self.removed_keys: list[bytes] | None = None
        self.published: list[list[bytes]] | None = None  # messages, for who wants them apart; they are to be taken out
        self.removals: list[tuple[int, list[bytes]]] = []
        self.in_command = False
        self.group: list[tuple[int, list[bytes]]] | None = None
        self._first_database = 0
        self._first_size = 0  # of the SELECT that the batch begins with
        self._in_batch = 0  # effects, without messages
        self._message_ranges: list[tuple[int, int]] = []

    @property
    def position(self) -> int:
        """Bytes of RESP logged since the start, this turn's included."""
        return self.committed_bytes + self.batch.pending

    def append(self, database: int, arguments: list[bytes]) -> None:
        """Log one command for ``database``."""
        self._select(database)
        self._write(arguments)
        self.commands += 1
        self._in_batch += 1

    def publish(self, database: int, arguments: list[bytes]) -> None:
        """The same for a message."""
        self._select(database)
        start = self.batch.pending
        self._write(arguments)
        self._message_ranges.append((start, self.batch.pending))
        self.messages += 1
        if self.published is not None:
            self.published.append(arguments)

    def _select(self, database: int) -> None:
        if database == self.database:
            return
        first = self.batch.pending == 0
        self._write([b"SELECT", b"%d" % database])
        if first:
            self._first_database, self._first_size = database, self.batch.pending
        self.database = database

    def _write(self, arguments: list[bytes]) -> None:
        self.batch.array(len(arguments))
        for argument in arguments:
            self.batch.bulk(argument)

    def begin(self) -> None:
        """A command starts: what it removes by the way belongs to its effects."""
        self.in_command = True

    def removed(self, database: int, name: bytes, key: bytes) -> None:
        """A key went because it expired or was evicted; ``name`` is DEL or UNLINK."""
        if self.removed_keys is not None:
            self.removed_keys.append(key)
        if self.in_command:
            self.removals.append((database, [name, key]))
        elif self.group is not None:  # what stands apart keeps its place among the effects of a transaction
            self.group.append((database, [name, key]))
        else:
            self.append(database, [name, key])

    def stand_apart(self) -> None:
        """The command that runs may meet keys of any slot: what it removes by the way stands alone, without MULTI."""
        self.in_command = False

    def open_group(self) -> None:
        """A transaction begins: the effects of its commands are one unit."""
        self.group = []

    def close_group(self) -> None:
        """The transaction is over: log what its commands have gathered."""
        group, self.group = self.group, None
        self.finish_group(group or [])

    def finish_group(self, group: list[tuple[int, list[bytes]]]) -> None:
        """The command is over: log its effects, (database, command) each, as one unit."""
        self.in_command = False
        group = self.removals + group
        self.removals = []
        if self.group is not None:
            self.group += group
            return
        lasting = sum(arguments[0] not in MESSAGES for _, arguments in group)
        write = self.append if lasting else self.publish
        if len(group) > 1:
            write(group[0][0], [b"MULTI"])
        for database, arguments in group:
            if arguments[0] in MESSAGES:
                self.publish(database, arguments)
            else:
                self.append(database, arguments)
        if len(group) > 1:
            write(self.database, [b"EXEC"])

    def commit(self) -> None:
        """End of the turn: hand the batch on. What a sink raises is raised when all have got it."""
        size = self.batch.pending
        if size == 0:
            return
        batch = self.batch.take(size)
        self.committed_bytes += size
        last, self.database = self.database, -1
        ranges, self._message_ranges = self._message_ranges, []
        lasting, self._in_batch = self._in_batch, 0
        if self.journal is not None:
            kept = without(batch, ranges) if lasting else b""
            self.journal(kept, self._first_size, self._first_database, last, self.committed_bytes)
        hand_on(self.sinks, batch)
